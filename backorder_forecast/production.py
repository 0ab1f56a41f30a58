"""What a capacity per day does to supply: no unit arrives before it can have been made.

`daily_capacity` is the number of units of an item that its plant or supplier can make in a day. Its orders are made one
after another in order of their dates: with c units a day, line j of q_j units placed on day o_j is finished on day

    f_j = max(o_j, f_(j-1)) + q_j / c                                           (Lindley 1952: a queue with one server)

and arrives no earlier, whatever its lead time says. An order that is placed later waits until the plant is free, and a
need that it covers with its k-th unit waits until k / c days after that. Lead times already hold the usual time of
making, so a capacity only ever delays: none stated, or one without bound, changes nothing; 0 means that nothing is
made. Days count from `as_of`, units that came in before it are made.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from backorder_forecast.clock import NEVER

_SLACK = 1e-9
_FAR = float(NEVER)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Days = NDArray[np.int32]


def made_days(capacity: Floats, item: Ints, age_days: Ints, quantity: Floats) -> tuple[Floats, Floats]:
    """When open order lines are made, and when each item's plant is free again.

    Parameters
    ----------
    capacity
        Units a day of each item, shape (n_items,); NaN where none is stated.
    item, age_days, quantity
        Item, days since the order and units still open of each line, shape (n_lines,), sorted by item and order date.

    Returns
    -------
    Day on which each line is finished, shape (n_lines,), and on which the plant is free, shape (n_items,): -infinity
    where nothing limits them, infinity where nothing is made.

    Examples
    --------
    >>> lines = np.array([0, 0]), np.array([10, 2]), np.array([50.0, 40.0])
    >>> made, free = made_days(np.array([4.0, np.nan]), *lines)
    >>> made.tolist(), free.tolist()
    ([2.5, 12.5], [12.5, -inf])
    """
    made, free = _made(capacity.astype(np.float64), item.astype(np.int64), age_days.astype(np.float64), quantity)
    return np.asarray(made), np.asarray(free)


def first_made_day(capacity: Floats, free: Floats) -> Ints:
    """Day on which the first unit of an order placed now is made, shape (n_items,); 0 without a limit.

    Examples
    --------
    >>> first_made_day(np.array([4.0, np.nan]), np.array([12.5, -np.inf])).tolist()
    [13, 0]
    """
    limited = capacity > 0
    begin = np.maximum(free, 0.0) + 1.0 / np.where(limited, capacity, 1.0)
    day = np.ceil(np.where(np.isinf(begin), 0.0, begin) - _SLACK).astype(np.int64)
    # Less than one unit a day may take its day; what has no limit takes none.
    return np.where(limited & ~np.isinf(begin), day, np.where(capacity == 0, int(NEVER), 0)).astype(np.int64)


def not_before(days: Days, earliest: Floats | Ints) -> Days:
    """Arrival days (n, n_paths), not before a day of each row; `NEVER` stays.

    Examples
    --------
    >>> not_before(np.array([[3, 9]], dtype=np.int32), np.array([4.5])).tolist()
    [[5, 9]]
    """
    day = np.ceil(np.clip(np.asarray(earliest, dtype=np.float64), 0.0, float(NEVER)) - _SLACK)
    return np.maximum(days, day[:, None]).astype(np.int32)


def later_when_made(
    days: Days,
    need: Floats,
    line_start: Ints,
    usable: Floats,
    arrival_days: Days,
    order_quantity: Floats,
    order_start: Ints,
    next_days: Days,
    begin: Floats,
    capacity: Floats,
) -> Days:
    """Fill days (n_lines, n_paths) of lines that wait for orders not yet placed, which are made at so much a day.

    Parameters
    ----------
    days, need, line_start, usable, arrival_days, order_quantity, order_start
        As given by and to `fill_days`, whose lines are filled at once when the next order comes.
    next_days
        Day on which the next order begins to arrive, shape (n_items, n_paths).
    begin
        Day from which it is made, shape (n_items, n_paths).
    capacity
        Units a day, shape (n_items,); items without one keep their days.

    Examples
    --------
    >>> need, one = np.array([30.0]), np.array([0, 1])
    >>> supply = np.array([[40]], dtype=np.int32), np.array([10.0]), one
    >>> following, begin = np.array([[20]], dtype=np.int32), np.array([[0.0]])
    >>> days = np.array([[20]], dtype=np.int32)
    >>> later_when_made(days, need, one, np.array([0.0]), *supply, following, begin, np.array([1.0])).tolist()
    [[30]]
    >>> later_when_made(days, need, one, np.array([0.0]), *supply, following, begin, np.array([0.4])).tolist()
    [[50]]
    """
    limited = ~np.isnan(capacity)
    if not limited.any() or not len(days):
        return days
    rows = (need, line_start, usable, arrival_days, order_quantity, order_start)
    return np.asarray(_later(days, *rows, next_days, begin.astype(np.float64), capacity, limited))


def later_behind_demand(
    days: Days,
    need: Floats,
    line_start: Ints,
    usable: Floats,
    demand: Floats,
    receipts: Floats,
    end_days: Ints,
    next_days: Days,
    begin: Floats,
    capacity: Floats,
    n_periods: Ints,
) -> Days:
    """The same where new demand is served first: lines get what demand leaves of stock, receipts and what is made.

    `demand`, `receipts` and `end_days` as given to `fill_days_behind_demand`; beyond the `n_periods` of an item nothing
    more is wanted, and making goes on.
    """
    limited = ~np.isnan(capacity)
    if not limited.any() or not len(days):
        return days
    rows = (need, line_start, usable, demand, receipts, end_days)
    return np.asarray(_behind(days, *rows, next_days, begin.astype(np.float64), capacity, limited, n_periods))


@nb.njit(cache=True, nogil=True)
def _made(capacity, item, age, quantity):  # type: ignore[no-untyped-def]
    made = np.full(len(item), -np.inf)
    free = np.full(len(capacity), -np.inf)
    for j in range(len(item)):
        i = item[j]
        if not np.isnan(capacity[i]) and not np.isinf(capacity[i]):
            made[j] = np.inf
            if capacity[i] > 0.0:
                made[j] = max(-age[j], free[i]) + quantity[j] / capacity[i]
            free[i] = made[j]
    return made, free


@nb.njit(cache=True, nogil=True)
def _later(days, need, line_start, usable, arrivals, quantity, order_start, following, begin, capacity, limited):  # type: ignore[no-untyped-def]
    out = days.copy()
    for i in range(len(usable)):
        if not limited[i]:
            continue
        first, last = order_start[i], order_start[i + 1]
        for p in range(days.shape[1]):
            if following[i, p] == NEVER:
                continue
            order = np.argsort(arrivals[first:last, p], kind="mergesort") + first
            for k in range(line_start[i], line_start[i + 1]):
                if days[k, p] < following[i, p]:
                    continue
                have = usable[i]
                at = 0
                day = float(following[i, p])
                while True:
                    missing = need[k] - have
                    made = _FAR
                    if missing <= _SLACK * max(1.0, need[k]):
                        made = 0.0
                    elif capacity[i] > 0.0:
                        made = np.ceil(begin[i, p] + missing / capacity[i] - _SLACK)
                    found = max(day, made)
                    if at == len(order) or arrivals[order[at], p] == NEVER or arrivals[order[at], p] >= found:
                        break
                    # Another order comes before the rest is made.
                    day = max(day, float(arrivals[order[at], p]))
                    have += quantity[order[at]]
                    at += 1
                out[k, p] = np.int32(min(found, _FAR))
    return out


@nb.njit(cache=True, nogil=True)
def _behind(days, need, line_start, usable, demand, receipts, ends, following, begin, capacity, limited, n_periods):  # type: ignore[no-untyped-def]
    out = days.copy()
    for i in range(len(usable)):
        if not limited[i]:
            continue
        for p in range(days.shape[1]):
            if following[i, p] == NEVER:
                continue
            for k in range(line_start[i], line_start[i + 1]):
                if days[k, p] < following[i, p]:
                    continue
                enough = need[k] - _SLACK * max(1.0, need[k])
                net = usable[i]
                found = _FAR
                for t in range(min(n_periods[i], len(ends))):
                    net += receipts[i, p, t] - demand[i, p, t]
                    made = capacity[i] * max(ends[t] - begin[i, p], 0.0) if ends[t] >= following[i, p] else 0.0
                    if net + made >= enough:
                        found = float(ends[t])
                        break
                if found == _FAR and capacity[i] > 0.0:
                    found = float(np.ceil(begin[i, p] + (need[k] - net) / capacity[i] - _SLACK))
                out[k, p] = np.int32(min(max(found, float(following[i, p])), _FAR))
    return out
