"""Calendar effects: what promotions, other dated events and public holidays do to demand.

While an event runs, demand is multiplied by a lift L. A period of which the event covers a share s of the days has the
factor 1 + s (L - 1); factors of several events multiply. A public holiday moves all of the period that holds it: on a
weekly clock the shopping before it falls into the same week. Lifts are learned from the past (`lifts.py`), one per kind
of event, pooled over all items that such events touched, and per category where it has a history of its own. They are
applied to the days that events and holidays have in the future, which are known in advance.

A lift holds what the season does not: of Christmas on a monthly clock little is left, of Easter, which moves, all.
Where events state their effects, what is learned is the part of the stated uplift that comes true. What follows an
event, such as the dip after a promotion, is not modelled: where it matters, give those days as events of their own
kind. An event without an end lasts one day.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.clock import DAYS_PER_PERIOD, period_end
from backorder_forecast.errors import InvalidSettings, InvalidTables, unknown_option
from backorder_forecast.lifts import LIFT_RANGE, Cells, Lifts, learn_lifts
from backorder_forecast.panel import DemandPanel
from backorder_forecast.schema import UNPLANNED_EVENTS, event_words
from backorder_forecast.seasonality import SeasonalIndex

STOPS = ("clos", "shutdown", "stop", "holiday", "vacation")
"""Words in a kind that concern supply where the row or its kind names a supplier, the shop's own demand elsewhere."""
_SCOPE = ["sku", "category", "supplier"]
_EVENT = ["kind", "start", "end", *_SCOPE, "effect"]
_YEARS_AHEAD = 10
_ENOUGH = 0.5

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Calendar(NamedTuple):
    """When events run, and what they apply to.

    `freq` is the period code; `events` has one row per event: start, end (days since 1970), scope, unit (its kind),
    stated (factor, NaN for none), whole (moves all of a period that it touches). `scope`, `row` are the pairs that
    belong together, sorted; `category` is the category code of each row, shape (n_rows,).
    """

    freq: str
    events: pd.DataFrame
    scope: Ints
    row: Ints
    category: Ints

    def cells(self, periods: pd.DatetimeIndex, after: pd.Timestamp | None = None) -> Cells:
        """Every row, period and event that meet, sorted, with the share of the period that the event covers."""
        begin = _days(periods)
        finish = _days(period_end(periods, self.freq))
        opens = begin
        if after is not None:
            tomorrow = int(_days(pd.DatetimeIndex([after]))[0]) + 1
            opens = np.where(finish >= tomorrow, np.maximum(begin, tomorrow), begin)
        start, end, scope, unit = (self.events[c].to_numpy(np.int64) for c in ("start", "end", "scope", "unit"))
        first = np.searchsorted(finish, start, side="left")
        event, period = _runs(first, np.searchsorted(begin, end, side="right") - first)
        covered = np.minimum(end[event], finish[period]) - np.maximum(start[event], opens[period]) + 1
        event, period, covered = event[covered > 0], period[covered > 0], covered[covered > 0]
        cover = covered / (finish - opens + 1)[period]
        first = np.searchsorted(self.scope, scope[event], side="left")
        cell, pair = _runs(first, np.searchsorted(self.scope, scope[event], side="right") - first)
        row, period, event, cover = self.row[pair], period[cell], event[cell], cover[cell]
        order = np.lexsort((event, period, row))
        row, period, event, cover = row[order], period[order], event[order], cover[order]
        whole = self.events["whole"].to_numpy()[event]
        # A holiday of several days moves its week once.
        key = (row * len(periods) + period) * (int(unit.max(initial=0)) + 1) + unit[event]
        keep = ~whole | (np.diff(key, prepend=-1) != 0)
        row, period, event, cover, whole = row[keep], period[keep], event[keep], cover[keep], whole[keep]
        share = np.where(whole, 1.0, cover)
        stated = self.events["stated"].to_numpy()[event]
        said = ~np.isnan(stated)
        offset, gain = said.astype(np.float64), np.where(said, stated - 1.0, 1.0)
        return Cells(row, period, self.category[row], unit[event], cover, share, offset, gain)


@dataclass(frozen=True, eq=False)
class CalendarEffects:
    """Lifts of dated events, and the items and days they apply to.

    Attributes
    ----------
    row_of_item
        Row of `factors` of each item, shape (n_items,). Items with the same events share a row; row 0 has none.
    table
        One row per kind, and per category whose own history weighs more than the kind's: kind, category (empty: all),
        lift, stated (mean stated effect, empty: none), basis (learned, stated, learned and stated, too little
        history), n_item_periods and n_periods seen, units_observed in them and units_expected without the event,
        history_share (weight of the past in the lift, 0-1).
    notes
        Sentences about events that change nothing.
    calendar
        The events by rows and days.
    values
        Lift per category and kind, or the part of the stated uplift that comes true, shape (n_categories, n_units).
    """

    row_of_item: Ints
    table: pd.DataFrame
    notes: tuple[str, ...]
    calendar: Calendar
    values: Floats

    def factors(self, periods: pd.DatetimeIndex, *, after: pd.Timestamp | None = None) -> Floats:
        """Factor on demand per row and period, shape (n_rows, n_periods).

        Parameters
        ----------
        periods
            First days of periods, oldest first.
        after
            Last day that is over: of the period that holds it, only the days still ahead count.
        """
        out = np.ones((len(self.calendar.category), len(periods)))
        if len(self.calendar.events):
            cells = self.calendar.cells(periods, after)
            np.multiply.at(out, (cells.row, cells.period), cells.factors(self.values))
        return out


def fit_effects(
    panel: DemandPanel,
    season: SeasonalIndex,
    events: pd.DataFrame | None,
    *,
    holidays_country: str = "",
    shrink_units: float = 40.0,
) -> CalendarEffects:
    """Learn the lifts of events and holidays from a panel.

    Parameters
    ----------
    panel
        Demand and exposure; `items` may have the columns category and supplier.
    season
        Seasonal indices of the same panel.
    events
        Columns kind, start, end (empty: one day) and optionally sku, category, supplier (empty: all) and effect (the
        stated factor on demand). Kinds that concern supply (`schema.UNPLANNED_EVENTS`, and `STOPS` of a supplier) are
        left out, except rows that state an effect.
    holidays_country
        Country code, with a subdivision where wanted ("DE", "DE-BY"), whose public holidays are kinds of events, such
        as "holiday: Good Friday"; empty for none. Needs the `holidays` library.
    shrink_units
        Pseudo-units that draw a lift to 1 or to the stated effect: 1 / shrink_units is the variance of lifts expected
        beforehand. For holidays on a coarser clock, times the days of a period.

    Returns
    -------
    CalendarEffects

    Raises
    ------
    InvalidTables
        If an event lacks its kind or start, ends before it starts, or has an unreadable date or effect.
    InvalidSettings
        If the country is unknown or the `holidays` library is missing.

    Examples
    --------
    >>> from backorder_forecast.panel import demand_panel
    >>> from backorder_forecast.seasonality import fit_seasonality
    >>> weeks = pd.date_range("2023-01-02", periods=60, freq="W-MON")
    >>> promoted = weeks.month % 4 == 0
    >>> sales = pd.DataFrame({"sku": "A", "date": weeks, "quantity": np.where(promoted, 60, 30)})
    >>> panel = demand_panel(sales, freq="W-MON")
    >>> first = weeks[promoted]
    >>> events = pd.DataFrame({"kind": "promotion", "start": first, "end": first + pd.Timedelta(days=6)})
    >>> effects = fit_effects(panel, fit_seasonality(panel), events)
    >>> effects.table[["kind", "lift", "basis", "n_item_periods"]].round(2).values.tolist()
    [['promotion', 1.9, 'learned', 12]]
    >>> effects.factors(weeks[12:15])[effects.row_of_item].round(2).tolist()
    [[1.0, 1.9, 1.9]]
    """
    given, notes = _demand_events(events)
    given["whole"] = False
    if holidays_country:
        until = panel.as_of + pd.DateOffset(years=_YEARS_AHEAD)
        days = holiday_events(holidays_country, panel.periods[0], until)
        days = days.assign(**dict.fromkeys(_SCOPE, ""), effect=np.nan, whole=True)
        given = pd.concat([given, days], ignore_index=True)
    units = given[["kind"]].assign(stated=given["effect"].notna())
    kinds = units.drop_duplicates().sort_values(["kind", "stated"], ignore_index=True)
    places = given[_SCOPE].drop_duplicates().sort_values(_SCOPE, ignore_index=True)
    given = given.assign(
        start=_days(pd.DatetimeIndex(given["start"])), end=_days(pd.DatetimeIndex(given["end"])),
        unit=_codes(units, kinds), scope=_codes(given[_SCOPE], places),
        stated=given["effect"].astype("float64").clip(*LIFT_RANGE),
    )  # fmt: skip
    # One order whatever the order of the rows, so that sums are the same to the last bit.
    columns = ["unit", "start", "end", "scope", "stated", "whole"]
    dates = given[columns].drop_duplicates().sort_values(columns, ignore_index=True)
    row_of_item, scope, row, category, categories = _rows(panel.items, places)
    calendar = Calendar(panel.freq, dates, scope, row, category)
    notes += _unmatched_note(places, scope)
    whole = dates.groupby("unit")["whole"].any().to_numpy()
    learned = learn_lifts(
        panel, season, row_of_item, calendar.cells(panel.periods), shape=(len(categories), len(kinds)),
        shrink_units=shrink_units * np.where(whole, DAYS_PER_PERIOD[panel.freq], 1.0),
    )  # fmt: skip
    stated = dates.groupby("unit")["stated"].mean().to_numpy()
    table = _table(kinds.assign(effect=stated), learned, categories)
    return CalendarEffects(row_of_item, table, notes, calendar, learned.values)


def holiday_events(
    country: str, first: pd.Timestamp, last: pd.Timestamp, *, setting: str = "holidays_country"
) -> pd.DataFrame:
    """Public holidays of a country as events: kind ("holiday: Good Friday"), start, end; errors name the `setting`.

    Dates that the calendar only estimates and days moved to make up for a holiday share the kind of the others.

    Examples
    --------
    >>> holiday_events("DE", pd.Timestamp("2024-03-01"), pd.Timestamp("2024-04-30"))["kind"].tolist()
    ['holiday: Good Friday', 'holiday: Easter Monday']
    """
    try:
        import holidays
    except ImportError as error:
        raise InvalidSettings(
            f"{setting} needs the holidays library: pip install 'backorder_forecast[holidays]', or do without and list"
            " the days in events"
        ) from error
    code, _, region = country.strip().upper().partition("-")
    known = holidays.list_supported_countries()
    if code not in known:
        raise unknown_option(setting, code, sorted(known))
    if region and region not in known[code]:
        raise unknown_option(f"part of {code} in {setting}", region, sorted(known[code]))
    years = range(first.year, last.year + 1)
    found = holidays.country_holidays(code, subdiv=region or None, years=years, language="en_US")
    rows = [(_holiday_name(name), day) for day in sorted(found) for name in found.get_list(day)]
    frame = pd.DataFrame(rows, columns=["kind", "start"]).drop_duplicates(ignore_index=True)
    frame["start"] = pd.to_datetime(frame["start"]).astype("datetime64[s]")
    frame = frame[(frame["start"] >= first) & (frame["start"] <= last)].reset_index(drop=True)
    return frame.assign(end=frame["start"])


def _holiday_name(name: str) -> str:
    """Name without what differs from year to year: "(estimated)", "(substituted from 02/04/2024)"."""
    name = re.sub(r",?\s*estimated(?=\))", "", name)
    return "holiday: " + re.sub(r"\s*\((?:[^)]*\d[^)]*)?\)", "", name).strip()


def _demand_events(events: pd.DataFrame | None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Events that concern demand, with every column filled, and a note on those without an end."""
    if events is None or events.empty:
        text = {c: pd.Series(dtype="str") for c in ("kind", *_SCOPE)}
        dates = {c: pd.Series(dtype="datetime64[s]") for c in ("start", "end")}
        return pd.DataFrame({**text, **dates, "effect": pd.Series(dtype="float64")})[_EVENT], ()
    missing = [c for c in ("kind", "start", "end") if c not in events]
    if missing:
        found = ", ".join(map(str, events.columns))
        raise InvalidTables([_failure("", c, "needed column is missing", found, "add it") for c in missing])
    frame = events.reindex(columns=_EVENT).reset_index(drop=True)
    for column in ("kind", *_SCOPE):
        frame[column] = frame[column].astype("str").fillna("").str.strip()
    plain = event_words(frame["kind"])
    # One kind, however it is spelled.
    frame["kind"] = frame.groupby(plain)["kind"].transform("min")
    raw = frame.copy()
    for column in ("start", "end"):
        frame[column] = pd.to_datetime(frame[column], errors="coerce").astype("datetime64[s]")
    frame["effect"] = pd.to_numeric(frame["effect"], errors="coerce").astype("float64")
    _refuse(raw, frame)
    ours = (frame["supplier"] == "") & ~plain.str.contains("suppl|vendor")
    supply = plain.str.contains("|".join(UNPLANNED_EVENTS)) | (~ours & plain.str.contains("|".join(STOPS)))
    frame = frame[~supply | frame["effect"].notna()].reset_index(drop=True)
    endless = int(frame["end"].isna().sum())
    notes = (f"{endless} events without an end count as one day",) if endless else ()
    return frame.assign(end=frame["end"].fillna(frame["start"])), notes


def _refuse(raw: pd.DataFrame, frame: pd.DataFrame) -> None:
    """Raise for events that cannot be read, each with its row."""
    problems = [
        ("kind", frame["kind"] == "", "the kind is missing", "name the kind, such as promotion"),
        ("start", frame["start"].isna(), "not a date", "write the first day as YYYY-MM-DD"),
        ("end", frame["end"].isna() & raw["end"].notna(), "not a date", "write the last day as YYYY-MM-DD"),
        ("end", frame["end"] < frame["start"], "the event ends before it starts", "swap or correct the dates"),
        ("effect", frame["effect"].isna() & raw["effect"].notna(), "not a number", "a factor on demand such as 1.5"),
        ("effect", (frame["effect"] < 0) | np.isinf(frame["effect"]), "not a factor", "0 or more; 1 means none"),
    ]
    failures = [
        _failure(row + 1, column, problem, raw[column].iloc[row], what)
        for column, wrong, problem, what in problems
        for row in np.flatnonzero(wrong).tolist()
    ]
    if failures:
        raise InvalidTables(failures)


def _failure(row: object, column: str, problem: str, found: object, what_to_do: str) -> dict[str, object]:
    return {
        "table": "events", "row": row, "column": column, "problem": problem, "found": str(found),
        "what_to_do": what_to_do,
    }  # fmt: skip


def _rows(items: pd.DataFrame, places: pd.DataFrame) -> tuple[Ints, Ints, Ints, Ints, list[str]]:
    """Rows of items with the same events.

    Returns the row of each item (0: no event), the pairs (scope, row) that belong together, the category code of each
    row, and the names of the categories.
    """
    about = pd.DataFrame({c: items[c].astype("str").fillna("") if c in items else "" for c in _SCOPE})
    about = about.reset_index(drop=True).astype("str")
    for column in ("sku", "supplier"):
        about[column] = about[column].where(about[column].isin(places[column]), "")
    alike = about.drop_duplicates().sort_values(_SCOPE, ignore_index=True)
    filled = places != ""
    parts = [pd.DataFrame({"scope": [], "row": []}, dtype=np.int64)]
    for pattern in filled.drop_duplicates().to_numpy():
        here = places[(filled == pattern).all(axis=1)].rename_axis("scope").reset_index()
        named = [c for c, used in zip(_SCOPE, pattern, strict=True) if used]
        rows = alike.rename_axis("row").reset_index()
        pairs = here[["scope", *named]].merge(rows, on=named) if named else here[["scope"]].merge(rows, how="cross")
        parts.append(pairs[["scope", "row"]])
    pairs = pd.concat(parts).sort_values(["scope", "row"], ignore_index=True)
    touched = np.unique(pairs["row"].to_numpy(np.int64))
    row_of = np.zeros(len(alike), dtype=np.int64)
    row_of[touched] = np.arange(len(touched)) + 1
    codes, names = pd.factorize(alike["category"].iloc[touched], sort=True)
    category = np.concatenate([np.zeros(1, dtype=np.int64), codes.astype(np.int64)])
    row_of_item = row_of[_codes(about, alike)] if len(about) else np.zeros(0, dtype=np.int64)
    scope, row = pairs["scope"].to_numpy(np.int64), row_of[pairs["row"].to_numpy(np.int64)]
    return row_of_item, scope, row, category, [str(n) for n in names] or [""]


def _unmatched_note(places: pd.DataFrame, scope: Ints) -> tuple[str, ...]:
    lost = places[~places.index.isin(scope)]
    if lost.empty:
        return ()
    example = ", ".join(f"{c} {v}" for c, v in lost.iloc[0].items() if v)
    return (f"events that no item belongs to change nothing: {len(lost)} such as {example}",)


def _table(kinds: pd.DataFrame, learned: Lifts, categories: list[str]) -> pd.DataFrame:
    """What was learned of each kind, and of categories with a history of their own."""
    overall = kinds.assign(category="", value=learned.overall, **learned.history)
    own = []
    if len(categories) > 1:
        for code, name in enumerate(categories):
            history = {column: values[code] for column, values in learned.category_history.items()}
            part = kinds.assign(category=name, value=learned.values[code], **history)
            own.append(part[part["history_share"] >= _ENOUGH])
    table = pd.concat([overall, *own]).sort_values(["kind", "stated", "category"], kind="stable", ignore_index=True)
    enough, said = table["history_share"] >= _ENOUGH, table["stated"].astype(bool)
    table["basis"] = np.select(
        [enough & said, enough, said], ["learned and stated", "learned", "stated"], "too little history"
    )
    table["lift"] = (table["value"].where(~said, 1 + table["value"] * (table["effect"] - 1))).clip(*LIFT_RANGE)
    table["stated"] = table["effect"].where(said)
    return table[
        ["kind", "category", "lift", "stated", "basis", "n_item_periods", "n_periods", "units_observed",
         "units_expected", "history_share"]
    ]  # fmt: skip


def _runs(first: Ints, count: Ints) -> tuple[Ints, Ints]:
    """Index and value of each number first, first + 1, ... of `count` numbers."""
    count = np.maximum(count, 0)
    index = np.repeat(np.arange(len(count)), count)
    before = np.cumsum(count) - count
    return index, first[index] + np.arange(len(index)) - before[index]


def _codes(frame: pd.DataFrame, among: pd.DataFrame) -> Ints:
    """Row of `among` that equals each row of `frame`."""
    order = among.assign(_code=np.arange(len(among)))
    return frame.merge(order, on=list(among.columns), how="left")["_code"].to_numpy(np.int64)


def _days(dates: pd.DatetimeIndex) -> Ints:
    """Days since 1970."""
    return dates.to_numpy().astype("datetime64[D]").astype(np.int64)
