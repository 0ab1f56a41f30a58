"""Lead times: how long orders take, and how long late ones will still take, in calendar days.

Laws form a tree: all orders -> category -> supplier -> location -> item of a supplier (`lead_tree.py`). Each learns
from its own lines, open ones counted as "longer than their age so far", and is pulled towards its parent
(`lead_laws.py`); older orders count less. How much, and which levels earn their keep, is chosen on the past
(`lead_check.py`). The laws above the suppliers keep the spread between them, so that an unknown supplier gets an
honestly wide law. A partial receipt counts by its share of the line; a cancelled line counts as open until its
cancellation. A line that entered the records after its order (`recorded_date`) tells only of ages beyond its age then.
Beyond what was seen a log-logistic tail, fitted to all orders, continues. A stated lead time, corrected by how far this
supplier's stated times are usually off, is a prior where history is thin.

Where suppliers name dates, a second set of laws holds how late they are against the dates they name. It speaks for new
orders where it foretold past ones better, and for open orders wherever the supplier has confirmed a date, or has named
one far beyond its usual lead time.

A lead time of 0 is a delivery on the day of the order. Nothing after `as_of` is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from backorder_forecast.errors import InvalidSettings, InvalidTables
from backorder_forecast.formats import pandas_frame
from backorder_forecast.lead_cases import cases_of, line_times, lines_of_laws
from backorder_forecast.lead_check import LeadCheck, check_lead_times, fit_choice
from backorder_forecast.lead_days import WorkCalendars, add_business_days, business_days_between, work_calendars
from backorder_forecast.lead_laws import TAIL_GRIDS, FloatArray, IntArray, law_quantiles, residual_quantiles
from backorder_forecast.lead_promises import PromiseLaws, fit_promises, named_days
from backorder_forecast.lead_tree import KEYS, key_index, law_tree, match_keys, never_share, stated_days
from backorder_forecast.order_lines import (
    NEEDED,
    NO_DAY,
    TABLE,
    OrderLines,
    day_numbers,
    known_day,
    need_columns,
    order_lines,
    remark,
    text_of,
)
from backorder_forecast.order_remarks import far_remark, long_remark, order_remarks
from backorder_forecast.scorecards import scorecard
from backorder_forecast.settings import Settings

__all__ = ["LeadTimes", "add_business_days", "business_days_between", "fit_lead_times"]

TABLE_LEVELS = (0.1, 0.5, 0.9)
SCORES = (
    "n_received", "n_open", "n_late", "on_time_share", "lead_time_days_0.1", "lead_time_days_0.5", "lead_time_days_0.9",
    "mean_late_days", "fill_share", "trend", "disruption_probability",
)  # fmt: skip
FURTHER = (
    "slower", "n_judged", "n_late_now", "quantity_received", "n_recent", "mean_days_recent", "n_before",
    "mean_days_before",
)  # fmt: skip
CHECKED = ("check_n", "check_coverage_80", "check_pinball")


@dataclass(frozen=True, eq=False)
class LeadTimes:
    """Fitted lead-time laws.

    Attributes
    ----------
    as_of, settings
        What the fit rests on.
    laws
        One row per law, the row of `cdf`: level (all, category, supplier, location, item), supplier, sku, location,
        category, n_lines, n_effective, basis, the scorecard columns and those of the check. Row 0 is the law of all.
    cdf
        P(L <= t) for t = 0 ... T days, shape (n_laws, T + 1); the mass beyond T is 1 - cdf[:, -1].
    tail
        Survival of the tail law on days 0 ... 8 T; beyond T a law continues as S(T) tail[t] / tail[T].
    calendars
        Working days of suppliers; their laws count these (`lead_days.py`).
    promises
        Laws of lateness against the dates that suppliers name; None without such dates.
    check
        What was chosen on the past, and how it did there.
    set_aside
        Rows not used: table, row, column, reason, found.
    quality
        How rows that are used were understood, as rows of `data_quality`.
    """

    as_of: pd.Timestamp
    settings: Settings
    laws: pd.DataFrame
    cdf: FloatArray
    tail: FloatArray
    calendars: WorkCalendars
    promises: PromiseLaws | None
    check: LeadCheck
    set_aside: pd.DataFrame
    quality: pd.DataFrame

    def __repr__(self) -> str:
        counts = self.laws["level"].value_counts()
        return (
            f"LeadTimes({self.laws['n_lines'].iloc[0]} order lines to {self.as_of:%Y-%m-%d}, "
            f"{counts.get('supplier', 0)} suppliers, {counts.get('item', 0)} items of a supplier, "
            f"{len(self.set_aside)} rows set aside)"
        )

    def quantiles(self, new_orders: pd.DataFrame, levels: Sequence[float]) -> pd.DataFrame:
        """Days from order to arrival of orders placed now.

        Parameters
        ----------
        new_orders
            Frame with supplier and, where known, sku, location and category; unknown ones get the law of their parent.
            With order_date, promised_date and supplier_confirmed_date are used where they tell more than the past.
        levels
            Probabilities strictly between 0 and 1.

        Returns
        -------
        DataFrame with the index of `new_orders` and the levels as columns, whole days; inf beyond the tail.
        """
        new_orders = pandas_frame(new_orders, "new_orders")
        wanted, laws = _checked(levels), self.law_rows(new_orders)
        values = law_quantiles(self.cdf, self.tail, laws, wanted)
        placed = np.full(len(new_orders), known_day(self.as_of))
        if "order_date" in new_orders:
            given, _ = day_numbers(new_orders["order_date"])
            placed = np.where(given == NO_DAY, placed, given)
        values = self.calendars.calendar_days(text_of(new_orders, "supplier"), placed, values)
        if "order_date" in new_orders and self.promises is not None:
            named, _ = self.named_days(new_orders, laws)
            at = np.flatnonzero(named != NO_DAY)
            ages = np.full(len(at), -1, dtype=np.int64)
            values[at] = self.promises.waits(laws[at], named[at], ages, wanted) - 1.0
        return pd.DataFrame(np.maximum(values, 0.0), index=new_orders.index, columns=list(levels))

    def remaining(
        self, open_orders: pd.DataFrame, levels: Sequence[float], *, as_of: str | pd.Timestamp | None = None
    ) -> pd.DataFrame:
        """Days still to wait for open orders, given how long they have been open; always at least 1.

        F(t | L > a) = (F(a + t) - F(a)) / (1 - F(a)); where hardly any order ever took this long the tail law decides,
        whose remaining wait grows in proportion to the age. Where the supplier has named a date that counts (see the
        module), F is the law of its lateness against that date.

        Parameters
        ----------
        open_orders
            Frame with order_date and supplier and, where known, sku, location, category, promised_date,
            supplier_confirmed_date and promise_recorded_date (dates recorded after `as_of` are not known).
        levels
            Probabilities strictly between 0 and 1.
        as_of
            End of the day up to which the orders are open; default the day of the fit.

        Returns
        -------
        DataFrame with the index of `open_orders` and the levels as columns, whole days; NaN without an order date.
        """
        open_orders = pandas_frame(open_orders, "open_orders")
        need_columns(open_orders, ["order_date"])
        laws, wanted = self.law_rows(open_orders), _checked(levels)
        day = known_day(self.as_of if as_of is None else as_of)
        named, ordered = self.named_days(open_orders, laws, as_of=day)
        known = ordered != NO_DAY
        ages = np.where(known, day - ordered, 0)
        suppliers, placed = text_of(open_orders, "supplier"), day - ages
        worked = self.calendars.elapsed(suppliers, np.minimum(placed, day), np.full(len(ages), day))
        values = worked[:, None] + residual_quantiles(self.cdf, self.tail, laws, worked, wanted)
        ahead = ages < 0
        if ahead.any():
            values[ahead] = law_quantiles(self.cdf, self.tail, laws[ahead], wanted)
        values = self.calendars.calendar_days(suppliers, placed, values) - ages[:, None]
        at = np.flatnonzero(known & (named != NO_DAY))
        if self.promises is not None and len(at):
            values[at] = self.promises.waits(laws[at], named[at], ages[at], wanted)
        values[~known] = np.nan
        return pd.DataFrame(np.maximum(values, 1.0), index=open_orders.index, columns=list(levels))

    def law_rows(self, orders: pd.DataFrame) -> IntArray:
        """Row of `cdf` for each order: the most specific law that knows its supplier, sku, location, category."""
        wanted = pd.DataFrame({c: text_of(orders, c) for c in (*KEYS, "category")})
        rows = np.zeros(len(wanted), dtype=np.int64)
        for level, (first, index) in self._indexes.items():
            if not len(index):
                continue
            if level in ("category", "supplier"):
                found = index.get_indexer(pd.Index(wanted[level]))
            elif level == "location":
                found = index.get_indexer(key_index(wanted.assign(sku="")))
            else:
                found = match_keys(index, wanted)
            rows = np.where(found >= 0, found + first, rows)
        return rows.astype(np.int64)

    def named_days(
        self, orders: pd.DataFrame, laws: IntArray, *, as_of: int | None = None
    ) -> tuple[IntArray, IntArray]:
        """Days from each order to the date its arrival is read from (`NO_DAY`: the durations decide), and its day."""
        ordered, _ = day_numbers(orders["order_date"])
        day = known_day(self.as_of) if as_of is None else as_of
        named = named_days(
            orders, ordered, self.promises, as_of=day, laws=laws, cdf=self.cdf, tail=self.tail
        )  # fmt: skip
        return named, ordered

    def table(self) -> pd.DataFrame:
        """One row per supplier and per item of a supplier, the law of all orders first.

        Returns
        -------
        DataFrame: supplier, sku, location, level (all, category, supplier, location, item), n_received, n_open, n_late
        (lines), on_time_share, lead_time_days_0.1/_0.5/_0.9 (of an order placed now, without a named date),
        mean_late_days (of late lines), fill_share (received of ordered units), trend (days by which receipts of the
        last half year took longer than those of the year before), disruption_probability (filled in by the plan),
        basis; slower (whether the trend is more than chance), n_judged (lines behind on_time_share), n_late_now (open
        beyond their promise), quantity_received, n_recent, mean_days_recent, n_before, mean_days_before (receipts
        behind the trend, see `scorecard`), category; and the check on the past: check_n (receipts foretold),
        check_coverage_80 (share of them inside the 80 % interval), check_pinball (mean loss of the quantiles .1, .5,
        .9, days), days_from (order or promised date), pool_k, half_life_days (what the check chose).
        """
        choice = self.check.choice
        frame = self._scores().assign(
            days_from="promised date" if choice.from_promise else "order",
            pool_k=choice.k, half_life_days=choice.half_life_days,
        )  # fmt: skip
        further = [*FURTHER, "category", *CHECKED, "days_from", "pool_k", "half_life_days"]
        return frame[[*KEYS, "level", *SCORES, "basis", *further]].reset_index(drop=True)

    def suppliers(self) -> pd.DataFrame:
        """One row per supplier.

        Returns
        -------
        DataFrame: supplier, n_lines, the scorecard columns of `table`, n_cancelled, p_never_arrives (cancellations
        competing with arrivals, Aalen-Johansen, pooled with all suppliers).
        """
        frame = self._scores()
        columns = ["supplier", "n_lines", *SCORES, "n_cancelled", "p_never_arrives", *FURTHER]
        return frame.loc[frame["level"] == "supplier", columns].reset_index(drop=True)

    @cached_property
    def _indexes(self) -> dict[str, tuple[int, pd.Index]]:
        """Per level below all: its first row, and the keys of its laws."""
        found = {}
        for level in ("category", "supplier", "location", "item"):
            rows = np.flatnonzero((self.laws["level"] == level).to_numpy())
            part = self.laws.iloc[rows]
            index: pd.Index = pd.Index(part[level]) if level in ("category", "supplier") else key_index(part)
            found[level] = (int(rows[0]) if len(rows) else 0, index)
        return found

    def _scores(self) -> pd.DataFrame:
        values = law_quantiles(self.cdf, self.tail, np.arange(len(self.laws)), np.array(TABLE_LEVELS))
        days = {f"lead_time_days_{q}": values[:, j] for j, q in enumerate(TABLE_LEVELS)}
        return self.laws.assign(**days)


def fit_lead_times(
    purchase_orders: pd.DataFrame,
    *,
    as_of: str | pd.Timestamp,
    settings: Settings | None = None,
    stated: pd.DataFrame | None = None,
) -> LeadTimes:
    """Learn lead-time laws from purchase orders, open ones included.

    Parameters
    ----------
    purchase_orders
        Frame with supplier, order_date, received_date (empty = open), one row per line and receipt; optional po_id,
        sku, location, category, quantity_ordered, quantity_received, promised_date, supplier_confirmed_date,
        promise_recorded_date, cancelled_date, recorded_date (the day on which the records began to hold the line: a
        migration, the start of a register, a late entry; empty: its order date). It may be empty.
    as_of
        Last known day: what is dated later has not happened.
    settings
        Uses lead_time_pool_k, lead_time_half_life_days (0: chosen on the past), max_lead_time_days,
        default_lead_time_days and stated_lead_time_sd_log.
    stated
        Lead times as stated: sku, lead_time_days and, where known, supplier and location (empty = any). Counts as
        `lead_time_pool_k` observations against at most half as many of the supplier's other items. Of several for
        one key the longest counts.

    Returns
    -------
    LeadTimes

    Raises
    ------
    InvalidTables
        If a needed column is missing, or holds no date at all. Unusable rows are set aside, see `LeadTimes.set_aside`.

    Notes
    -----
    Kaplan & Meier (1958), with delayed entry Klein & Moeschberger (2003), section 4.6: a line recorded at an age of 20
    days tells of later ages only, and one recorded when it had arrived tells none (see `lead_cases.py`). Pooling by
    Ferguson (1973) and, with open orders, Hjort (1990); tail by Bennett (1983).

    Examples
    --------
    >>> orders = pd.DataFrame({"supplier": "ACME", "order_date": pd.date_range("2024-01-01", periods=40),
    ...     "received_date": pd.date_range("2024-01-08", periods=40)})
    >>> lead = fit_lead_times(orders, as_of="2024-06-30")
    >>> lead.quantiles(pd.DataFrame({"supplier": ["ACME", "new"]}), [0.5]).to_dict("list")
    {0.5: [7.0, 7.0]}
    >>> late = pd.DataFrame({"supplier": ["ACME"], "order_date": ["2024-05-31"]})
    >>> float(lead.remaining(late, [0.5]).iloc[0, 0]) > 2
    True
    """
    settings = Settings() if settings is None else settings
    purchase_orders = pandas_frame(purchase_orders, TABLE)
    need_columns(purchase_orders, NEEDED)
    _some_dates(purchase_orders)
    orders = order_lines(purchase_orders, as_of=as_of)
    longest = settings.max_lead_time_days
    calendars = _calendars(orders, settings)
    times = line_times(orders, longest=longest, calendars=calendars)
    prior = stated_days(stated)
    median = float(prior["days"].median()) if len(prior) else float(settings.default_lead_time_days)
    tree = law_tree(orders, lines_of_laws(times), prior)
    check = check_lead_times(tree, times, settings, median=median)
    choice = check.choice
    durations = replace(choice, from_promise=False)
    cdf, tail, _ = fit_choice(tree, times, durations, settings, median=median)
    promises = fit_promises(orders, tree, times, choice, settings, median=median)
    scores = scorecard(orders, tree.groups, len(tree.laws)).drop(columns="n_lines")
    laws = pd.concat([tree.laws, scores, check.by_law.reindex(range(len(tree.laws)))], axis=1)
    laws["check_n"] = laws["check_n"].fillna(0).astype(np.int64)
    # Of orders that are all still open only a lower bound is known.
    unseen = (laws["n_received"] == 0) & (laws["n_lines"] > 0)
    laws["basis"] = laws["basis"].mask(unseen, laws["basis"].str.replace("history", "open orders"))
    laws["p_never_arrives"] = never_share(tree, cases_of(times, choice.half_life_days), choice.k)
    laws["disruption_probability"] = np.nan
    quality = pd.concat([order_remarks(orders), long_remark(orders, longest)])
    unknown = sorted(set(settings.supplier_calendars) - set(orders.lines["supplier"]))
    words = "not used: no order known by now names this supplier, check how it is spelled"
    quality = pd.concat([quality, remark("calendar of an unknown supplier", words, len(unknown), unknown)])
    if promises is not None:
        far = far_remark(orders, longest=promises.longest, fillers=promises.fillers)
        quality = pd.concat([quality, far])
    return LeadTimes(
        orders.as_of,
        settings,
        laws,
        cdf,
        tail,
        calendars,
        promises,
        check,
        orders.set_aside,
        quality.reset_index(drop=True),
    )


def _calendars(orders: OrderLines, settings: Settings) -> WorkCalendars:
    """Working days from the first order to the end of the tail."""
    if not settings.supplier_calendars:
        return WorkCalendars(0, {}, {})
    day = known_day(orders.as_of)
    first = known_day(orders.lines["order_date"].min()) if len(orders.lines) else day
    return work_calendars(settings.supplier_calendars, first, day + settings.max_lead_time_days * TAIL_GRIDS)


def _some_dates(purchase_orders: pd.DataFrame) -> None:
    """Raise where none of the dates of orders, or of receipts, is one: such a table teaches nothing."""
    problems = []
    for column in ("order_date", "received_date"):
        days, wrong = day_numbers(purchase_orders[column])
        if wrong.any() and not (days != NO_DAY).any():
            found = str(purchase_orders[column].iloc[int(wrong.argmax())])
            what = "write dates as 2024-01-31, or read the table by read_tables, which takes date_format"
            problem = {"table": TABLE, "column": column, "problem": "no value is a date"}
            problems.append(problem | {"found": found, "what_to_do": what})
    if problems:
        raise InvalidTables(problems)


def _checked(levels: Sequence[float]) -> FloatArray:
    try:
        values = np.asarray(list(levels), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidSettings(f"levels lists probabilities, as in [0.1, 0.5, 0.9]; got {levels!r}") from error
    if not ((values > 0) & (values < 1)).all():
        raise InvalidSettings(f"levels lie strictly between 0 and 1, got {list(levels)}")
    return values
