"""Arithmetic of returns and fills on sorted whole numbers: what cancels, what is taken off which earlier sale.

Rows are (item code, day number, units); units are whole multiples of a fixed unit, so sums are exact and row order
never matters. Everything here runs once over sorted rows, without a loop per item in Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Codes = NDArray[np.int32]


def exact_reversals(code: Codes, day: Codes, quantity: Ints, who: Codes, order: Codes) -> NDArray[np.bool_]:
    """Rows that cancel each other: a return and the latest earlier or same-day sale of the same item, size, customer.

    Parameters
    ----------
    code, day, quantity, who
        Item, day number, signed quantity (0: takes no part) and customer of each row, shape (n,).
    order
        Rank, at least -1, that decides between sales of one day, so that row order does not.

    Examples
    --------
    >>> one = np.zeros(3, dtype=np.int32)
    >>> exact_reversals(one, np.array([1, 2, 3]), np.array([5, 5, -5]), one, one).tolist()
    [False, True, True]
    """
    rows, start = _rows_with_returns(code, quantity, int(code.max(initial=-1)) + 1)
    cancelled = np.zeros(len(code), dtype=bool)
    _reverse(rows, start, day, quantity, who, order, cancelled)
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
def _rows_with_returns(code: Codes, quantity: Ints, n_items: int) -> tuple[Ints, Ints]:
    """Rows of the items that have returns, item by item in row order, and pointers to those of each item."""
    returned = np.zeros(n_items, dtype=np.bool_)
    for row in range(len(code)):
        if quantity[row] < 0:
            returned[code[row]] = True
    start = np.zeros(n_items + 1, dtype=np.int64)
    for row in range(len(code)):
        if quantity[row] != 0 and returned[code[row]]:
            start[code[row] + 1] += 1
    start = np.cumsum(start)
    at = start[:-1].copy()
    rows = np.empty(start[-1], dtype=np.int64)
    for row in range(len(code)):
        if quantity[row] != 0 and returned[code[row]]:
            rows[at[code[row]]] = row
            at[code[row]] += 1
    return rows, start


@nb.njit(cache=True, nogil=True)
def _reverse(rows, start, day, quantity, who, order, cancelled):  # type: ignore[no-untyped-def]
    """In order of time each return cancels the latest sale of its size and customer still standing."""
    for item in range(len(start) - 1):
        own = rows[start[item] : start[item + 1]]
        if len(own) == 0:
            continue
        # Within a day sales come first. Rows mostly stand in order of time already.
        moment, rising, n_returns = np.empty(len(own), dtype=np.int64), True, 0
        for i in range(len(own)):
            back = int(quantity[own[i]] < 0)
            moment[i] = ((np.int64(day[own[i]]) * 2 + back) << 32) + np.int64(order[own[i]])
            rising &= i == 0 or moment[i] >= moment[i - 1]
            n_returns += back
        if not rising:
            own = own[np.argsort(moment, kind="mergesort")]
        # A stack of sales for each size and customer that has a return: `group` finds it by its first return.
        n_slots = 4
        while n_slots < 2 * n_returns:
            n_slots *= 2
        group = np.full(n_slots, -1, dtype=np.int64)
        top = np.full(n_slots, -1, dtype=np.int64)
        for row in own:
            if quantity[row] < 0:
                slot = _slot(group, quantity, who, row)
                group[slot] = row if group[slot] < 0 else group[slot]
        below = np.empty(len(own), dtype=np.int64)
        for i in range(len(own)):
            row = own[i]
            slot = _slot(group, quantity, who, row)
            if group[slot] < 0:
                continue
            if quantity[row] > 0:
                below[i], top[slot] = top[slot], i
            elif top[slot] >= 0:
                cancelled[row] = cancelled[own[top[slot]]] = True
                top[slot] = below[top[slot]]


@nb.njit(cache=True, inline="always")
def _slot(group, quantity, who, row):  # type: ignore[no-untyped-def]
    """Place of a size and customer in a table of row numbers with open addressing."""
    size, last = abs(quantity[row]), len(group) - 1
    mixed = np.uint64(size) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(who[row] + 2) * np.uint64(0xBF58476D1CE4E5B9)
    slot = np.int64((mixed ^ (mixed >> np.uint64(29))) & np.uint64(last))
    while group[slot] >= 0 and (abs(quantity[group[slot]]) != size or who[group[slot]] != who[row]):
        slot = (slot + 1) & last
    return slot
