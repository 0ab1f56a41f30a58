"""Receipts: open order lines, the days on which they arrive on every path, and receipts by period.

An open line has been open for `age_days`; its arrival is drawn from the law of its supplier and item, given that age
(`leadtimes.py`), or from the date its supplier names. Orders are drawn one by one and may cross, unless
`Settings.no_crossover` sorts those of one item and supplier. Day numbers count from `as_of`, day 1 is the day after it;
`NEVER` = 2**31 - 1 means not within the laws' reach: compare with it before adding to it. Each line has its own
stream, keyed by its item and its place among the item's lines, one number per path: the first paths stay the same when
more are drawn, and no result depends on the bucket.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast import streams
from backorder_forecast.clock import NEVER
from backorder_forecast.lead_laws import FloatArray, IntArray, first_day
from backorder_forecast.leadtimes import LeadTimes
from backorder_forecast.order_lines import (
    NO_DAY,
    SET_ASIDE_COLUMNS,
    TABLE,
    OrderLines,
    known_day,
    order_lines,
    order_names,
    remark,
    text_of,
)

__all__ = [
    "NEVER",
    "OpenLines",
    "draw_arrival_days",
    "draw_lead_days",
    "draw_new_orders",
    "open_order_lines",
    "receipt_paths",
]

_KEYS = ("supplier", "sku", "location")
OPEN_LINE = "open line"
"""Words with which the reasons begin for which a line that is still open is not on order."""
NEARLY_ALL = 0.99
"""Share of receipts after whose duration a rest is called long overdue. Judgement."""
OWN_RECEIPTS = 20
"""Receipts from which a supplier's own durations decide, else those of all."""
_LINE_STEP = np.uint64(0xA0761D6478BD642F)


@dataclass(frozen=True, eq=False)
class OpenLines:
    """Purchase order lines that are still to come.

    Attributes
    ----------
    frame
        One row per open line, sorted by item, order_date, po_id, quantity: item (code), po_id, supplier, sku,
        location, category, order_date, promised_date (what the supplier names now), confirmed_date (the same where the
        supplier confirmed it), quantity (still open), age_days.
    item_start
        Rows item_start[i] ... item_start[i + 1] - 1 are the lines of item i, shape (n_items + 1,).
    set_aside
        What is not on order for a reason: table, row (empty for a whole line), column, reason, found.
    quality
        How rows that count were understood, and rests that may never come, as rows of `data_quality`.
    """

    frame: pd.DataFrame
    item_start: IntArray
    set_aside: pd.DataFrame
    quality: pd.DataFrame

    def __repr__(self) -> str:
        return (
            f"OpenLines({len(self.frame)} lines of {len(self.item_start) - 1} items, {len(self.set_aside)} set aside)"
        )


def open_order_lines(
    purchase_orders: pd.DataFrame | OrderLines, items: pd.DataFrame, *, as_of: str | pd.Timestamp
) -> OpenLines:
    """What is on order at the end of `as_of`: ordered less received, not cancelled.

    Parameters
    ----------
    purchase_orders
        As for `fit_lead_times`, with sku and quantity_ordered; lines without them are set aside. Or their
        `order_lines` at `as_of`, where these are known already.
    items
        Frame with sku and location; the row is the item code.
    as_of
        Last known day; later receipts and cancellations have not happened.

    Examples
    --------
    >>> orders = pd.DataFrame({"po_id": ["7", "7"], "supplier": "ACME", "sku": "A", "order_date": "2024-01-01",
    ...     "quantity_ordered": 10, "quantity_received": [4, 3], "received_date": ["2024-01-08", "2024-02-01"]})
    >>> items = pd.DataFrame({"sku": ["A"], "location": [""]})
    >>> open_order_lines(orders, items, as_of="2024-01-31").frame[["item", "quantity", "age_days"]].values.tolist()
    [[0.0, 6.0, 30.0]]
    """
    found = purchase_orders if isinstance(purchase_orders, OrderLines) else order_lines(purchase_orders, as_of=as_of)
    lines = found.lines[found.lines["open_share"] > 0].reset_index(drop=True)
    quiet = lines[_quiet_rests(found, lines)]
    known = pd.MultiIndex.from_arrays([text_of(items, "sku"), text_of(items, "location")])
    code = known.get_indexer(pd.MultiIndex.from_arrays([lines["sku"], lines["location"]]))
    lines.insert(0, "item", code.astype(np.int64))
    lines["quantity"] = lines["quantity_ordered"] - lines["quantity_received"]
    lines["age_days"] = (found.as_of - lines["order_date"]).dt.days.astype(np.int64)
    no_sku = (lines["sku"] == "").to_numpy()
    no_item, no_quantity = ~no_sku & (code < 0), (code >= 0) & lines["quantity_ordered"].isna().to_numpy()
    reasons = (("sku", f"{OPEN_LINE} without a sku", no_sku), ("sku", f"{OPEN_LINE} of an unknown item", no_item),
               ("quantity_ordered", f"{OPEN_LINE} without an ordered quantity", no_quantity))  # fmt: skip
    parts = [found.set_aside, *(_aside(lines[wrong], column, reason) for column, reason, wrong in reasons)]
    columns = [
        "item", "po_id", *_KEYS, "category", "order_date", "promised_date", "confirmed_date", "quantity", "age_days",
    ]  # fmt: skip
    frame = lines.loc[~(no_sku | no_item | no_quantity), columns]
    frame = frame.sort_values(["item", "order_date", "po_id", "quantity", "supplier"], kind="stable", ignore_index=True)
    start = np.searchsorted(frame["item"].to_numpy(), np.arange(len(items) + 1)).astype(np.int64)
    set_aside = pd.concat([p for p in parts if len(p)] or parts[:1], ignore_index=True)
    quality = pd.concat([found.remarks, _quiet_remark(quiet)], ignore_index=True)
    return OpenLines(frame, start, set_aside[list(SET_ASIDE_COLUMNS)], quality)


def draw_arrival_days(
    lines: OpenLines, lead: LeadTimes, keys: NDArray[np.uint64], start: int, stop: int, n_paths: int
) -> NDArray[np.int32]:
    """Days on which the open lines of items start ... stop - 1 arrive, on every path.

    Parameters
    ----------
    lines, lead
        Open lines, and the laws (their rows in the column law, where that was looked up before); each line draws from
        P(L <= age + t | L > age), or from the lateness of its supplier against the date that it names.
    keys
        Stream keys of all items for the purpose RECEIPTS, shape (n_items,).
    start, stop, n_paths
        The bucket of items, and how many paths.

    Returns
    -------
    int32 array (n_lines of the bucket, n_paths): day numbers >= 1, or NEVER.
    """
    first, last = int(lines.item_start[start]), int(lines.item_start[stop])
    bucket = lines.frame.iloc[first:last]
    item = bucket["item"].to_numpy(dtype=np.int64)
    place = np.arange(first, last) - lines.item_start[item]
    line_keys = _line_keys(keys[item], place)
    ages = bucket["age_days"].to_numpy(dtype=np.int64)
    laws = bucket["law"].to_numpy(dtype=np.int64) if "law" in bucket else lead.law_rows(bucket)
    placed = known_day(lead.as_of) - ages
    worked = lead.calendars.elapsed(bucket["supplier"], placed, placed + ages)
    days = _draw(lead.cdf, lead.tail, laws, worked, worked, line_keys, n_paths)
    if lead.calendars.counts:
        days = _by_calendar(lead, bucket["supplier"], placed, worked, days)
    named, ordered = lead.named_days(bucket, laws)
    at = np.flatnonzero(named != NO_DAY)
    if lead.promises is not None and len(at):
        # A named date is one of the calendar, whatever the age counts.
        late, begin = lead.promises, lead.promises.begin(named[at], known_day(lead.as_of) - ordered[at])
        inside = np.maximum(begin, -1)
        days[at] = _draw(late.cdf, late.tail, late.row_of_law[laws[at]], inside, begin, line_keys[at], n_paths)
    if lead.settings.no_crossover and len(bucket):
        suppliers, _ = pd.factorize(bucket["supplier"], sort=True)
        _in_order(days, item, suppliers.astype(np.int64))
    return np.asarray(days, dtype=np.int32)


def receipt_paths(
    arrival_days: NDArray[np.int32],
    quantity: FloatArray,
    line_item: IntArray,
    n_items: int,
    usable_periods: IntArray,
    n_periods: int,
) -> FloatArray:
    """Receipts by period: each line's quantity in the first period in which it is usable.

    Parameters
    ----------
    arrival_days, quantity, line_item
        Day numbers (n_lines, n_paths), open quantities and 0-based items of the bucket (n_lines,).
    n_items
        Items of the bucket.
    usable_periods, n_periods
        `Clock.usable_periods()` and the number of periods; later arrivals are left out.

    Returns
    -------
    Array (n_items, n_paths, n_periods).

    Examples
    --------
    >>> days, quantity = np.array([[1, 3]], dtype=np.int32), np.array([5.0])
    >>> receipt_paths(days, quantity, np.array([0]), 1, np.array([0, 0, 1, 2]), 2).tolist()
    [[[5.0, 0.0], [0.0, 0.0]]]
    """
    out = np.zeros((n_items, arrival_days.shape[1], n_periods))
    _fill(arrival_days, np.asarray(quantity, dtype=np.float64), line_item.astype(np.int64), usable_periods, out)
    return out


def draw_lead_days(cdf: FloatArray, rows: IntArray, keys: NDArray[np.uint64], n_paths: int) -> NDArray[np.int32]:
    """Lead times in days of orders placed at the end of `as_of`.

    Parameters
    ----------
    cdf, rows
        `LeadTimes.cdf` and the law of each order, shape (n,).
    keys
        Stream key of each order, shape (n,).
    n_paths
        Draws per order.

    Returns
    -------
    int32 array (n, n_paths): at least 1 (a same-day delivery is usable the next day), or NEVER beyond the grid.

    Examples
    --------
    >>> cdf = np.array([[0.0, 0.0, 0.5, 1.0]])
    >>> days = draw_lead_days(cdf, np.array([0]), np.array([7], dtype=np.uint64), 1000)
    >>> int(days.min()), int(days.max()), bool(abs((days == 2).mean() - 0.5) < 0.06)
    (2, 3, True)
    """
    # Without a tail beyond the grid what has not arrived by its end never does.
    closed = np.ones(cdf.shape[1])
    ages = np.full(len(rows), -1, dtype=np.int64)
    return np.asarray(_draw(cdf, closed, rows.astype(np.int64), ages, ages + 1, keys, n_paths), dtype=np.int32)


def draw_new_orders(
    lead: LeadTimes, rows: IntArray, suppliers: pd.Series, keys: NDArray[np.uint64], n_paths: int,
    *, after: IntArray | int = 0,
) -> NDArray[np.int32]:  # fmt: skip
    """Calendar days from order to arrival of orders placed on days seen from `as_of`: `draw_lead_days` by calendar.

    Parameters
    ----------
    lead, rows, keys, n_paths
        The laws, and as for `draw_lead_days`.
    suppliers
        Supplier of each order: where `Settings.supplier_calendars` names it, goods come on days on which it works.
    after
        Day number on which each is placed, negative in the past, shape (n,) or one for all.

    Examples
    --------
    >>> from backorder_forecast.leadtimes import fit_lead_times
    >>> from backorder_forecast.settings import Settings
    >>> days = pd.date_range("2024-01-01", periods=40, freq="7D")  # placed on Mondays, here on the Wednesday after
    >>> orders = pd.DataFrame({"supplier": "ACME", "order_date": days, "received_date": days + pd.Timedelta(days=2)})
    >>> lead = fit_lead_times(orders, as_of="2024-10-04", settings=Settings(supplier_calendars={"ACME": "1111100"}))
    >>> key, acme = np.array([7], dtype=np.uint64), pd.Series(["ACME"])  # placed on a Friday
    >>> int(np.median(draw_new_orders(lead, lead.law_rows(pd.DataFrame({"supplier": acme})), acme, key, 99)))
    4
    """
    days = draw_lead_days(lead.cdf, rows, keys, n_paths)
    if not lead.calendars.counts:
        return days
    placed = np.broadcast_to(known_day(lead.as_of) + np.asarray(after, dtype=np.int64), rows.shape)
    over = lead.calendars.calendar_days(suppliers, placed, days.astype(np.float64))
    return np.where(days == NEVER, NEVER, np.clip(over, 1, NEVER)).astype(np.int32)


def _by_calendar(
    lead: LeadTimes, suppliers: pd.Series, placed: IntArray, worked: IntArray, days: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Days from now as calendar days, where those drawn count the days on which the supplier works."""
    over = (worked[:, None] + days).astype(np.float64)
    total = lead.calendars.calendar_days(suppliers, placed, over)
    left = total - (known_day(lead.as_of) - placed)[:, None]
    return np.where(days == NEVER, NEVER, np.clip(left, 1, NEVER)).astype(np.int32)


def _quiet_rests(found: OrderLines, lines: pd.DataFrame) -> NDArray[np.bool_]:
    """Open lines of which a part came, and then nothing for longer than nearly all receipts took."""
    days = found.receipts["days"].astype(np.float64)
    groups = days.groupby(found.lines["supplier"].to_numpy()[found.receipts["line"]])
    longest = groups.quantile(NEARLY_ALL)[groups.size() >= OWN_RECEIPTS]
    limit = lines["supplier"].map(longest).astype(np.float64).fillna(days.quantile(NEARLY_ALL))
    return np.asarray((found.as_of - lines["received_date"]).dt.days > limit, dtype=bool)


def _quiet_remark(lines: pd.DataFrame) -> pd.DataFrame:
    some = lines.head(3)
    since = some["received_date"].dt.strftime("%Y-%m-%d")
    last = [f"{name}: nothing came since {day}" for name, day in zip(order_names(some), since, strict=True)]
    words = "still counts as on order, though 99 % of receipts took less; give cancelled_date if it will not come"
    return remark("rest of an order line is long overdue", words, len(lines), last)


def _aside(lines: pd.DataFrame, column: str, reason: str) -> pd.DataFrame:
    return pd.DataFrame(
        {"table": TABLE, "row": pd.NA, "column": column, "reason": reason, "found": order_names(lines)}
    ).astype({"row": "Int64", "found": "str"})


@nb.njit(cache=True, nogil=True)
def _line_keys(keys, place):  # type: ignore[no-untyped-def]
    out = np.empty(len(keys), dtype=np.uint64)
    for i in range(len(keys)):
        out[i] = streams.splitmix(keys[i] + np.uint64(place[i] + 1) * _LINE_STEP)
    return out


@nb.njit(cache=True, nogil=True)
def _draw(cdf, tail, rows, ages, begin, keys, n_paths):  # type: ignore[no-untyped-def]
    """Days from now of each order, which stands on day `begin` of its law's grid and is known to be beyond `ages`."""
    out = np.empty((len(rows), n_paths), dtype=np.int32)
    for i in range(len(rows)):
        age = min(ages[i], len(tail) // 2)
        wait = begin[i] - ages[i] + age
        for p in range(n_paths):
            s0, s1 = streams.start(keys[i], p)
            bits, s0, s1 = streams.step(s0, s1)
            day = first_day(cdf, tail, rows[i], age, 1.0 - streams.unit(bits))
            out[i, p] = NEVER if day == NEVER else max(day - wait, 1)
    return out


@nb.njit(cache=True, nogil=True)
def _in_order(days, item, supplier):  # type: ignore[no-untyped-def]
    """Sorts the days of each item's lines from one supplier, path by path; lines stand in the order of their orders."""
    for i in range(1, days.shape[0]):
        for p in range(days.shape[1]):
            here = i
            for j in range(i - 1, -1, -1):
                if item[j] != item[i]:
                    break
                if supplier[j] != supplier[i]:
                    continue
                if days[j, p] <= days[here, p]:
                    break
                days[j, p], days[here, p] = days[here, p], days[j, p]
                here = j


@nb.njit(cache=True, nogil=True)
def _fill(arrival_days, quantity, line_item, usable, out):  # type: ignore[no-untyped-def]
    n_periods = out.shape[2]
    for i in range(arrival_days.shape[0]):
        for p in range(arrival_days.shape[1]):
            day = arrival_days[i, p]
            if day < len(usable) and usable[day] < n_periods:
                out[line_item[i], p, usable[day]] += quantity[i]
