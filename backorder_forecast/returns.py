"""Arithmetic of returns and fills on sorted whole numbers: what cancels, what is taken off which earlier sale.

Rows are (item code, day number, units); units are whole multiples of a fixed unit, so sums are exact and row order
never matters. Everything here runs once over sorted rows, without a loop per item in Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Codes = NDArray[np.int32]


def same_size_rows(code: Codes, size: Ints, who: Codes, returns: Ints, sold: NDArray[np.bool_]) -> Ints:
    """Some returns, and the sales of their item, size and customer: the only rows that can cancel each other.

    `returns` are row numbers, `sold` marks the sales that may be cancelled.

    Examples
    --------
    >>> code, size = np.array([0, 0, 1, 0], dtype=np.int32), np.array([5, 4, 5, 5])
    >>> same_size_rows(code, size, code * 0, np.array([3]), np.array([True, True, True, False])).tolist()
    [0, 3]
    """
    # A hash finds them in one pass; a collision only adds a row that the exact comparison drops again.
    mixed = size.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for part in (code, who):
        mixed ^= (part.astype(np.uint64) + np.uint64(2)) * np.uint64(0xBF58476D1CE4E5B9)
        mixed *= np.uint64(0x94D049BB133111EB)
    rows = np.flatnonzero(sold & pd.Series(mixed).isin(mixed[returns]).to_numpy())
    return np.sort(np.concatenate([rows, returns]))


def exact_reversals(code: Codes, day: Codes, quantity: Ints, who: Codes, order: Ints) -> NDArray[np.bool_]:
    """Rows that cancel each other: a return and the latest earlier or same-day sale of the same item, size, customer.

    Parameters
    ----------
    code, day, quantity, who
        Item, day number, signed quantity and customer of each row, shape (n,).
    order
        Rank that decides between sales of one day, so that row order does not.

    Examples
    --------
    >>> one = np.zeros(3, dtype=np.int32)
    >>> exact_reversals(one, np.array([1, 2, 3]), np.array([5, 5, -5]), one, one).tolist()
    [False, True, True]
    """
    cancelled = np.zeros(len(code), dtype=bool)
    size = np.abs(quantity)
    rows = np.lexsort((order, quantity < 0, day, who, size, code))
    groups = np.stack([code[rows], size[rows], who[rows]])
    new_group = np.append(True, (groups[:, 1:] != groups[:, :-1]).any(axis=0))
    _match(rows, new_group, quantity, cancelled)
    return cancelled


@nb.njit(cache=True, nogil=True)
def sums_by_day(code: Codes, day: Codes, quantity: Ints, n_items: int) -> tuple[Ints, Codes, Ints]:
    """Sums per item and day, sorted by item and day.

    Returns pointers (n_items + 1,), day numbers and units: the days of item i are entries start[i] to start[i + 1].

    Examples
    --------
    >>> code, day, units = np.array([0, 1, 0]), np.array([9, 7, 9]), np.array([2, 5, 3])
    >>> [part.tolist() for part in sums_by_day(code, day, units, 2)]
    [[0, 1, 2], [9, 7], [5, 5]]
    """
    start = np.zeros(n_items + 1, dtype=np.int64)
    for c in code:
        start[c + 1] += 1
    start = np.cumsum(start)
    at = start[:-1].copy()
    row_day = np.empty(len(code), dtype=np.int32)
    row_quantity = np.empty(len(code), dtype=np.int64)
    for i in range(len(code)):
        row_day[at[code[i]]] = day[i]
        row_quantity[at[code[i]]] = quantity[i]
        at[code[i]] += 1
    out_start = np.zeros(n_items + 1, dtype=np.int64)
    out_day = np.empty(len(code), dtype=np.int32)
    out_units = np.empty(len(code), dtype=np.int64)
    n = 0
    for item in range(n_items):
        low, high = start[item], start[item + 1]
        if high > low:
            days = row_day[low:high]
            first = np.int64(days.min())
            span = np.int64(days.max()) - first + 1
            sums = np.zeros(span, dtype=np.int64)
            seen = np.zeros(span, dtype=np.bool_)
            for i in range(low, high):
                sums[row_day[i] - first] += row_quantity[i]
                seen[row_day[i] - first] = True
            for d in range(span):
                if seen[d]:
                    out_day[n] = first + d
                    out_units[n] = sums[d]
                    n += 1
        out_start[item + 1] = n
    return out_start, out_day[:n].copy(), out_units[:n].copy()


@nb.njit(cache=True, nogil=True)
def take_back(code: Codes, day: Codes, size: Ints, start: Ints, days: Codes, units: Ints) -> Ints:
    """Take returns off earlier sales of their item, latest day first; changes `units`, returns what is left of each.

    `code`, `day`, `size` are the returns sorted by item and day; `start`, `days`, `units` as `sums_by_day` gives them.

    Examples
    --------
    >>> units = np.array([5, 2])
    >>> one = np.array([0])
    >>> take_back(one, one + 9, one + 4, np.array([0, 2]), np.array([7, 8]), units).tolist(), units.tolist()
    ([0], [3, 0])
    """
    left = size.copy()
    # link[i] leads to the nearest earlier entry that may still hold units.
    link = np.arange(len(units))
    for r in range(len(code)):
        low = start[code[r]]
        i = low + np.searchsorted(days[low : start[code[r] + 1]], day[r], side="right") - 1
        while left[r] > 0 and i >= low:
            root = i
            while root >= low and link[root] != root:
                root = link[root]
            while i >= low and link[i] != i:
                following = link[i]
                link[i] = root
                i = following
            i = root
            if i < low:
                break
            taken = min(left[r], units[i])
            units[i] -= taken
            left[r] -= taken
            if units[i] <= 0:
                link[i] = i - 1
                i -= 1
    return left


@nb.njit(cache=True, nogil=True)
def take_fills(code: Codes, day: Codes, size: Ints, start: Ints, days: Codes, units: Ints) -> int:
    """Take fills off the sales of their own item and day, never below zero; changes `units`, returns what was missing.

    Arguments as in `take_back`, in any order.

    Examples
    --------
    >>> units = np.array([5, 2])
    >>> one = np.array([0])
    >>> take_fills(one, one + 8, one + 3, np.array([0, 2]), np.array([7, 8]), units), units.tolist()
    (1, [5, 0])
    """
    missing = 0
    for r in range(len(code)):
        low, high = start[code[r]], start[code[r] + 1]
        i = low + np.searchsorted(days[low:high], day[r])
        taken = 0
        if i < high and days[i] == day[r]:
            taken = min(size[r], units[i])
            units[i] -= taken
        missing += size[r] - taken
    return missing


@nb.njit(cache=True, nogil=True)
def _match(rows: Ints, new_group: NDArray[np.bool_], quantity: Ints, cancelled: NDArray[np.bool_]) -> None:
    """Within each group, in order of time: each return cancels the latest sale still standing."""
    stack = np.empty(len(rows), dtype=np.int64)
    top = 0
    for i in range(len(rows)):
        if new_group[i]:
            top = 0
        row = rows[i]
        if quantity[row] > 0:
            stack[top] = row
            top += 1
        elif top > 0:
            top -= 1
            cancelled[stack[top]] = True
            cancelled[row] = True
