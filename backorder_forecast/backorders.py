"""When each waiting line is filled: the fill date as a distribution, and the date that can be promised.

Net supply of an item is its usable stock now, its open purchase orders at their simulated arrival days, and without
limit whatever arrives from the next order (not yet placed) onward. A line is filled on a path on the first day on
which cumulative supply reaches its need (see `queues.py`). Orders may arrive in any order. Days count from
`as_of`: day 0 is what can be filled from stock now, `NEVER` means not within the simulated lead times. Customers ahead
may leave (`queue_walk.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np
import pandas as pd

from backorder_forecast.clock import NEVER
from backorder_forecast.lines import QUALITY_COLUMNS
from backorder_forecast.promises import promise_days, quantile_days
from backorder_forecast.queue_walk import covers, leaving_fill_days, sorted_supply

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backorder_forecast.promise_record import Calibration
    from backorder_forecast.settings import Settings

STOCK_NOW, NEXT_ORDER, NO_SUPPLY = "stock now", "next order", "no supply in sight"
FILL_LEVELS = (0.1, 0.5, 0.8, 0.9, 0.95)


def fill_days(
    first_need: NDArray[np.float64],
    complete_need: NDArray[np.float64],
    line_start: NDArray[np.int64],
    usable: NDArray[np.float64],
    arrival_days: NDArray[np.int32],
    order_quantity: NDArray[np.float64],
    order_start: NDArray[np.int64],
    next_order_days: NDArray[np.int32],
    *,
    leave_days: NDArray[np.int32] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Day on which each line gets its first and its last unit, on every path. Exact; waiting lines before new demand.

    Parameters
    ----------
    first_need, complete_need
        Cumulative supply that serves the line's first and last unit (`queue_needs`), shape (n_lines,).
    line_start
        Pointers of the items' lines, shape (n_items + 1,), beginning at 0.
    usable
        Units that can be shipped now (on hand less reserved), shape (n_items,).
    arrival_days
        Day numbers of the open purchase order lines, shape (n_orders, n_paths); NEVER if not within the grid.
    order_quantity, order_start
        Units of those lines, shape (n_orders,), and their pointers, shape (n_items + 1,).
    next_order_days
        Day from which supply not yet ordered covers everything, shape (n_items, n_paths); NEVER if none will come.
    leave_days
        Last day on which each customer still takes the goods, shape (n_lines, n_paths); None: all stay. Only for the
        needs of a queue (first come, priority), not of fair share.

    Returns
    -------
    first_day, complete_day, int32 of shape (n_lines, n_paths); of a line as if its own customer stayed.

    Examples
    --------
    >>> pointers, arrivals = np.array([0, 2]), np.array([[8], [3]], dtype=np.int32)
    >>> supply = (arrivals, np.array([3.0, 2.0]), pointers, np.array([[30]], dtype=np.int32))
    >>> queue = (np.array([1.0, 5.0]), np.array([4.0, 7.0]), pointers, np.array([2.0]))
    >>> first, complete = fill_days(*queue, *supply)
    >>> first.ravel().tolist(), complete.ravel().tolist()
    ([0, 8], [3, 8])
    >>> leave = np.array([[2], [99]], dtype=np.int32)    # the first customer leaves with 2 of 4 units
    >>> first, complete = fill_days(*queue, *supply, leave_days=leave)
    >>> first.ravel().tolist(), complete.ravel().tolist()
    ([0, 3], [3, 8])
    """
    queue = (first_need, complete_need, line_start, usable, arrival_days, order_quantity, order_start, next_order_days)
    days: tuple[NDArray[np.int32], NDArray[np.int32]]
    days = _staying_fill_days(*queue) if leave_days is None else leaving_fill_days(*queue, leave_days)
    return days


@nb.njit(cache=True, nogil=True)
def _staying_fill_days(
    first_need: NDArray[np.float64],
    complete_need: NDArray[np.float64],
    line_start: NDArray[np.int64],
    usable: NDArray[np.float64],
    arrival_days: NDArray[np.int32],
    order_quantity: NDArray[np.float64],
    order_start: NDArray[np.int64],
    next_order_days: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    n_lines, n_paths = len(first_need), next_order_days.shape[1]
    first_day = np.empty((n_lines, n_paths), np.int32)
    complete_day = np.empty((n_lines, n_paths), np.int32)
    for i in range(len(usable)):
        lo, hi = line_start[i], line_start[i + 1]
        if lo == hi:
            continue
        base, n_orders = order_start[i], order_start[i + 1] - order_start[i]
        by_first = np.argsort(first_need[lo:hi], kind="mergesort") + lo
        by_complete = np.argsort(complete_need[lo:hi], kind="mergesort") + lo
        days = np.empty(n_orders, np.int32)
        total = np.empty(n_orders + 1, np.float64)
        for path in range(n_paths):
            sorted_supply(
                arrival_days[base : base + n_orders, path], order_quantity[base : base + n_orders], days, total
            )
            latest = next_order_days[i, path]
            _reach(by_first, first_need, usable[i], days, total, latest, first_day[:, path])
            _reach(by_complete, complete_need, usable[i], days, total, latest, complete_day[:, path])
    return first_day, complete_day


@nb.njit(cache=True, nogil=True)
def fill_days_behind_demand(
    first_need: NDArray[np.float64],
    complete_need: NDArray[np.float64],
    line_start: NDArray[np.int64],
    usable: NDArray[np.float64],
    demand: NDArray[np.float64],
    receipts: NDArray[np.float64],
    end_days: NDArray[np.int64],
    next_order_days: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The same where new demand overtakes: lines get what demand leaves, at the end of each period.

    What the lines have received by period t is the highest value so far of usable stock + receipts - demand, each
    summed up to that period. `demand` and `receipts` have shape (n_items, n_paths, n_periods), `end_days` is the day
    number of each period's last day; the other arguments and the returns are those of `fill_days`.
    """
    n_lines, n_paths = len(first_need), next_order_days.shape[1]
    first_day = np.empty((n_lines, n_paths), np.int32)
    complete_day = np.empty((n_lines, n_paths), np.int32)
    for i in range(len(usable)):
        for path in range(n_paths):
            latest = next_order_days[i, path]
            for k in range(line_start[i], line_start[i + 1]):
                first_day[k, path] = latest
                complete_day[k, path] = latest
            net = usable[i]
            best = -np.inf
            for t in range(-1, len(end_days)):
                day = 0 if t < 0 else end_days[t]
                if t >= 0:
                    net += receipts[i, path, t] - demand[i, path, t]
                if day >= latest:
                    break
                if net <= best:
                    continue
                best = net
                for k in range(line_start[i], line_start[i + 1]):
                    if first_day[k, path] == latest and covers(best, first_need[k]):
                        first_day[k, path] = day
                    if complete_day[k, path] == latest and covers(best, complete_need[k]):
                        complete_day[k, path] = day
    return first_day, complete_day


def new_line_days(
    queue_quantity: NDArray[np.float64],
    quantity: NDArray[np.float64],
    usable: NDArray[np.float64],
    arrival_days: NDArray[np.int32],
    order_quantity: NDArray[np.float64],
    order_start: NDArray[np.int64],
    next_order_days: NDArray[np.int32],
) -> NDArray[np.int32]:
    """Days a new line of `quantity` units would wait behind the whole queue, shape (n_items, n_paths).

    `queue_quantity` and `quantity` have shape (n_items,); the other arguments are those of `fill_days`. Those ahead are
    taken to stay.
    """
    need = queue_quantity + quantity
    pointers = np.arange(len(need) + 1)
    supply = (arrival_days, order_quantity, order_start, next_order_days)
    return fill_days(need, need, pointers, usable, *supply)[1]


def fill_date_frame(
    lines: pd.DataFrame,
    first_day: NDArray[np.int32],
    complete_day: NDArray[np.int32],
    *,
    line_start: NDArray[np.int64],
    orders: pd.DataFrame,
    arrival_days: NDArray[np.int32],
    order_start: NDArray[np.int64],
    next_order_days: NDArray[np.int32],
    as_of: pd.Timestamp,
    settings: Settings,
    calibration: Calibration | None = None,
) -> pd.DataFrame:
    """One row per open line: when it will be filled, how surely, and from what.

    Parameters
    ----------
    lines
        Open lines of the bucket (`BackorderLines.bucket`), in the order of the day arrays.
    first_day, complete_day
        From `fill_days`, shape (n_lines, n_paths).
    orders
        Purchase order lines of the bucket: po_id, supplier, order_date, in the order of `arrival_days`.
    line_start, arrival_days, order_start, next_order_days
        As given to `fill_days`.
    calibration
        How often stated probabilities were kept in the past (`promise_record.py`): dates are read at the level that
        keeps them, and probabilities told as they are kept. None: as the paths have them.

    Returns
    -------
    order_id, sku, location, customer_id, quantity, order_date, status, promised_date, priority (NaN without
    one), first_date_0.5, fill_date_0.1/_0.5/_0.8/_0.9/_0.95, promise_date, p_at_promise, p_by_promised (NaN without a
    promise), p_unfilled (not within the horizon), waited_days, source (the supply that completes it). A quantile that
    is not reached within the simulated days is NaT, never a far date. The end of `as_of` has passed: what can ship from
    stock now ships on the day after, and a promise for `as_of` or before is broken where its line is still open.
    """
    head = [
        "order_id",
        "sku",
        "location",
        "customer_id",
        "quantity",
        "order_date",
        "status",
        "promised_date",
        "priority",
    ]
    frame = lines[head].reset_index(drop=True)
    # Day 0 keeps the meaning of stock now for the source below.
    shipped = np.maximum(complete_day, 1)
    ranked = np.sort(shipped, axis=1)
    item = lines["item"].to_numpy(np.int64)

    def level_of(wanted: float) -> float | NDArray[np.float64]:
        return wanted if calibration is None else calibration.level(item, wanted)

    def share_by(limit: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
        stated = _share_by(shipped, limit)
        return stated if calibration is None else calibration.kept(item, stated)

    first_ranked = np.sort(np.maximum(first_day, 1), axis=1)
    frame["first_date_0.5"] = _dates(quantile_days(first_ranked, level_of(0.5)), as_of)
    for level in FILL_LEVELS:
        frame[f"fill_date_{level}"] = _dates(quantile_days(ranked, level_of(level)), as_of)
    wanted = level_of(settings.promise_level)
    promise = promise_days(ranked, as_of=as_of, level=wanted, business_days=settings.business_days)
    frame["promise_date"] = _dates(promise, as_of)
    frame["p_at_promise"] = np.where(promise < NEVER, share_by(promise), np.nan)
    promised = (frame["promised_date"] - as_of).dt.days.to_numpy(np.float64)
    by_promised = share_by(np.where(np.isnan(promised), -1, promised))
    frame["p_by_promised"] = np.where(np.isnan(promised), np.nan, by_promised)
    frame["p_unfilled"] = 1.0 - share_by(np.full(len(frame), settings.horizon_days))
    frame["waited_days"] = lines["waited_days"].to_numpy()
    counts = _source_counts(line_start, order_start, complete_day, arrival_days, next_order_days)
    frame["source"] = _source_text(counts, orders, complete_day.shape[1])
    return frame


def supply_by_day(
    arrival_days: NDArray[np.int32],
    order_quantity: NDArray[np.float64],
    order_start: NDArray[np.int64],
    days: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Units of open orders that arrive by day `days` of each item, shape (n_items, n_paths)."""
    item = np.repeat(np.arange(len(days)), np.diff(order_start))
    arrived = np.where(arrival_days <= np.asarray(days)[item, None], order_quantity[:, None], 0.0)
    total = np.zeros((len(days), arrival_days.shape[1]))
    np.add.at(total, item, arrived)
    return total


def fill_quality(fill_dates: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Lines without a fill date or a promise, counted (columns of `data_quality`), so that none waits in silence."""
    never = fill_dates["source"] == NO_SUPPLY
    open_ended = fill_dates["promise_date"].isna() & ~never
    level = f"{settings.promise_level:.0%}"
    rules = (
        ("no supply in sight", never, "no fill date and no promise: no stock, no open order, no next order"),
        ("no promise", open_ended, f"not filled with {level} probability within the simulated lead times"),
    )
    records = []
    for rule, hit, effect in rules:
        count = int(hit.sum())
        if count:
            examples = ", ".join(sorted(fill_dates.loc[hit, "order_id"].astype("str").unique())[:3])
            records.append(("backorders", rule, count, count, 0, 0, examples, effect))
    return pd.DataFrame(records, columns=list(QUALITY_COLUMNS))


@nb.njit(cache=True, nogil=True)
def _reach(
    order: NDArray[np.int64],
    need: NDArray[np.float64],
    usable: float,
    days: NDArray[np.int32],
    total: NDArray[np.float64],
    latest: int,
    out: NDArray[np.int32],
) -> None:
    """Walk the needs in rising order along the supply; what is not reached before `latest` is filled then."""
    at = 0
    for k in order:
        while not covers(usable + total[at], need[k]) and at < len(days) and days[at] < latest:
            at += 1
        if not covers(usable + total[at], need[k]):
            out[k] = latest
        elif at == 0:
            out[k] = 0
        else:
            out[k] = days[at - 1]


@nb.njit(cache=True, nogil=True)
def _source_counts(
    line_start: NDArray[np.int64],
    order_start: NDArray[np.int64],
    complete_day: NDArray[np.int32],
    arrival_days: NDArray[np.int32],
    next_order_days: NDArray[np.int32],
) -> NDArray[np.int64]:
    """The two commonest supplies that complete each line and their paths: code, count, code, count per line.

    Codes: row of the order, or -1 stock now, -2 next order, -3 never.
    """
    out = np.zeros((complete_day.shape[0], 4), np.int64)
    for i in range(len(line_start) - 1):
        base, n_orders = order_start[i], order_start[i + 1] - order_start[i]
        for k in range(line_start[i], line_start[i + 1]):
            count = np.zeros(n_orders + 3, np.int64)
            for path in range(complete_day.shape[1]):
                day = complete_day[k, path]
                slot = n_orders + 1
                if day == 0:
                    slot = n_orders
                elif day == NEVER:
                    slot = n_orders + 2
                else:
                    latest = 0 if day < next_order_days[i, path] else day - 1
                    for j in range(n_orders):
                        arrival = arrival_days[base + j, path]
                        if latest < arrival <= day:
                            slot, latest = j, arrival
                count[slot] += 1
            for rank in range(2):
                best = np.argmax(count)
                out[k, 2 * rank] = base + best if best < n_orders else n_orders - best - 1
                out[k, 2 * rank + 1] = count[best]
                count[best] = -1
    return out


def _source_text(counts: NDArray[np.int64], orders: pd.DataFrame, n_paths: int) -> pd.Series:
    named = orders["po_id"].astype("str").fillna("")
    dated = "order of " + orders["order_date"].astype("str").fillna("unknown date")
    label = ("PO " + named).where(named != "", dated) + " (" + orders["supplier"].astype("str").fillna("") + ")"
    # Codes -1, -2, -3 index the three words at the end from the back.
    labels = np.array([*label.to_list(), NO_SUPPLY, NEXT_ORDER, STOCK_NOW], dtype=object)
    text = labels[counts[:, 0]]
    share = counts[:, 1] / n_paths
    for k in np.flatnonzero(share < 0.95):
        second = labels[counts[k, 2]]
        text[k] = f"{text[k]} {share[k]:.0%}, {second} {counts[k, 3] / n_paths:.0%}"
    return pd.Series(text, dtype="str")


def _share_by(days: NDArray[np.int32], limit: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((days <= np.asarray(limit)[:, None]).mean(axis=1), dtype=np.float64)


def _dates(days: NDArray[np.int32] | NDArray[np.int64], as_of: pd.Timestamp) -> pd.Series:
    start = as_of.to_datetime64().astype("datetime64[s]")
    known = days < NEVER
    dates = start + np.where(known, days, 0).astype("timedelta64[D]").astype("timedelta64[s]")
    dates[~known] = np.datetime64("NaT")
    return pd.Series(dates)
