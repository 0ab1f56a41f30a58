"""The backlog over time: what was waiting on a past day, and whether it grows faster than the demand it comes from.

A line is in the backlog of a day if it was ordered by the end of that day and neither complete nor closed by then.
Lines closed at an unknown date are left out of the past. Days are weekly steps back from `as_of`; units are those
still open at the end of the day; ages are days since the order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backorder_forecast.panel import item_codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backorder_forecast.lines import BackorderLines

WINDOW_DAYS = 28
"""Days over which the backorder rate and the growth of the backlog are taken."""
COLUMNS = (
    "date", "sku", "location", "open_lines", "open_units", "median_age_days", "backorder_rate", "growth_vs_forecast",
    "new_vs_forecast", "faster_than_forecast",
)  # fmt: skip
CLEARLY = 2.0
"""Standard deviations of a Poisson count beyond the forecast from which backorders speak against it."""


def backlog_frame(
    lines: BackorderLines,
    items: pd.DataFrame,
    *,
    demand: pd.DataFrame | None = None,
    daily_forecast: NDArray[np.float64] | None = None,
    weeks: int = 26,
) -> pd.DataFrame:
    """Open lines and units per week and item, with a total per week (sku and location empty).

    Parameters
    ----------
    lines
        From `open_lines`.
    items
        sku, location; the row number is the item code of `lines`.
    demand
        Units wanted, backordered ones included: sku, location, date, quantity. None leaves `backorder_rate` empty.
    daily_forecast
        Expected demand per day, shape (n_items,). None leaves `growth_vs_forecast` empty.
    weeks
        Weeks looked back.

    Returns
    -------
    date, sku, location, open_lines, open_units, median_age_days, backorder_rate (units that became backorders in the 28
    days up to the date / units demanded in them), growth_vs_forecast (change of the open units over those days /
    expected demand of 28 days), new_vs_forecast (units that became backorders in those days / the same), and
    faster_than_forecast (they alone are clearly more than all that is forecast: demand is higher than the forecast, not
    only supply short); the last three on `as_of` only, because past forecasts are not known. Items with an open line on
    the date, sorted by date, then the total, then items.
    """
    n = len(items)
    table = _all_lines(lines)
    shipments = _shipments(lines, table)
    wanted = _demand_by_day(demand, items, lines.as_of, weeks)
    parts = []
    for back in range(weeks * 7, -1, -7):
        day = lines.as_of - pd.Timedelta(days=back)
        part = _one_day(table, shipments, day, n)
        if wanted is not None:
            part["backorder_rate"] = _rate(part, table, wanted, day, n)
        if back == 0 and daily_forecast is not None:
            before = _one_day(table, shipments, day - pd.Timedelta(days=WINDOW_DAYS), n)
            part["growth_vs_forecast"] = _growth(part, before, daily_forecast)
            fresh, expected = _fresh(part, table, day, n), _expected(part, daily_forecast)
            part["new_vs_forecast"] = fresh / np.where(expected > 0, expected, np.nan)
            part["faster_than_forecast"] = fresh > expected + CLEARLY * np.sqrt(expected) + 1.0
        part.insert(0, "date", day)
        parts.append(part)
    frame = pd.concat(parts, ignore_index=True)
    item = frame["item"].to_numpy(np.int64)
    for column in ("sku", "location"):
        names = np.append(items[column].astype("str").to_numpy(object), "")
        frame[column] = pd.Series(names[item], dtype="str")
    frame["date"] = frame["date"].astype("datetime64[s]")
    frame = frame.reindex(columns=list(COLUMNS))
    frame["faster_than_forecast"] = frame["faster_than_forecast"].eq(True)
    return frame.astype(dict.fromkeys(("backorder_rate", "growth_vs_forecast", "new_vs_forecast"), "float64"))


def growing_note(backlog: pd.DataFrame) -> str:
    """Which items' backorders speak against their forecast, in a sentence; empty where none do."""
    faster = backlog[backlog["faster_than_forecast"] & (backlog["sku"] != "")]
    if not len(faster):
        return ""
    worst = faster.sort_values(
        ["new_vs_forecast", "sku", "location"], ascending=[False, True, True], kind="stable", na_position="first"
    )
    times = [f"{x:.1f} times" if np.isfinite(x) else "none forecast" for x in worst["new_vs_forecast"]]
    named = [f"{s} {p}".strip() + f" ({x})" for s, p, x in zip(worst["sku"], worst["location"], times, strict=True)]
    more = f" and {len(named) - 5} more" if len(named) > 5 else ""
    return (
        f"backorders of the last {WINDOW_DAYS} days alone exceed the forecast demand of {WINDOW_DAYS} days, so the"
        f" forecast may be too low: {', '.join(named[:5])}{more}"
    )


def _all_lines(lines: BackorderLines) -> pd.DataFrame:
    """Every open line and every line whose end is known."""
    columns = ["item", "order_id", "order_date", "ordered_quantity"]
    opened = lines.frame[columns].assign(end=np.datetime64("NaT", "s"))
    dated = lines.closed[lines.closed["closed_date"].notna()]
    closed = dated[columns].assign(end=dated["closed_date"])
    return pd.concat([opened, closed], ignore_index=True)


def _shipments(lines: BackorderLines, table: pd.DataFrame) -> pd.DataFrame:
    """Line number, date and quantity of each shipment; one without a date counts as shipped from the start."""
    keys = pd.MultiIndex.from_frame(table[["item", "order_id"]])
    line = keys.get_indexer(pd.MultiIndex.from_frame(lines.shipments[["item", "order_id"]]))
    sent = lines.shipments[["date", "quantity"]].assign(line=line)
    return sent[line >= 0]


def _one_day(table: pd.DataFrame, shipments: pd.DataFrame, day: pd.Timestamp, n: int) -> pd.DataFrame:
    """Open lines, units and median age per item that has any, the total (item -1) first."""
    sent = shipments[~(shipments["date"] > day)]
    shipped = np.bincount(sent["line"].to_numpy(np.int64), sent["quantity"].to_numpy(np.float64), len(table))
    is_open = ((table["order_date"] <= day) & ~(table["end"] <= day)).to_numpy()
    left = np.maximum(table["ordered_quantity"].to_numpy(np.float64) - shipped, 0.0)
    alive, units = table[is_open], left[is_open]
    item = alive["item"].to_numpy(np.int64)
    age = (day - alive["order_date"]).dt.days.to_numpy(np.float64)
    count, total = np.bincount(item, minlength=n), np.bincount(item, units, n)
    have = np.flatnonzero(count)
    median = pd.Series(age).groupby(item).median().reindex(have).to_numpy(np.float64)
    overall = float(np.median(age)) if len(age) else np.nan
    return pd.DataFrame(
        {
            "item": np.append(-1, have),
            "open_lines": np.append(len(alive), count[have]),
            "open_units": np.append(units.sum(), total[have]),
            "median_age_days": np.append(overall, median),
        }
    )


def _demand_by_day(
    demand: pd.DataFrame | None, items: pd.DataFrame, as_of: pd.Timestamp, weeks: int
) -> pd.DataFrame | None:
    if demand is None:
        return None
    recent = demand[demand["date"] > as_of - pd.Timedelta(days=weeks * 7 + WINDOW_DAYS)]
    recent = recent[["date", "quantity"]].assign(item=item_codes(recent, items))
    return recent[recent["item"] >= 0]


def _rate(
    part: pd.DataFrame, table: pd.DataFrame, wanted: pd.DataFrame, day: pd.Timestamp, n: int
) -> NDArray[np.float64]:
    begin = day - pd.Timedelta(days=WINDOW_DAYS)
    fresh = table[(table["order_date"] > begin) & (table["order_date"] <= day)]
    asked = wanted[(wanted["date"] > begin) & (wanted["date"] <= day)]
    late = np.bincount(fresh["item"].to_numpy(np.int64), fresh["ordered_quantity"].to_numpy(np.float64), n)
    total = np.bincount(asked["item"].to_numpy(np.int64), asked["quantity"].to_numpy(np.float64), n)
    late, total = np.append(late, late.sum()), np.append(total, total.sum())
    row = part["item"].to_numpy(np.int64)
    known = total[row] > 0
    return np.where(known, late[row] / np.where(known, total[row], 1.0), np.nan)


def _fresh(part: pd.DataFrame, table: pd.DataFrame, day: pd.Timestamp, n: int) -> NDArray[np.float64]:
    """Units of lines ordered in the window, open or not."""
    begin = day - pd.Timedelta(days=WINDOW_DAYS)
    new = table[(table["order_date"] > begin) & (table["order_date"] <= day)]
    units = np.bincount(new["item"].to_numpy(np.int64), new["ordered_quantity"].to_numpy(np.float64), n)
    return np.asarray(np.append(units, units.sum())[part["item"].to_numpy(np.int64)], dtype=np.float64)


def _expected(part: pd.DataFrame, daily: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(WINDOW_DAYS * np.append(daily, daily.sum())[part["item"].to_numpy(np.int64)], dtype=np.float64)


def _growth(part: pd.DataFrame, before: pd.DataFrame, daily: NDArray[np.float64]) -> NDArray[np.float64]:
    earlier = before.set_index("item")["open_units"].reindex(part["item"]).fillna(0.0).to_numpy(np.float64)
    expected = _expected(part, daily)
    known = expected > 0
    change = part["open_units"].to_numpy(np.float64) - earlier
    return np.where(known, change / np.where(known, expected, 1.0), np.nan)
