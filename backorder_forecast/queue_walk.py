"""The queue in motion: customers who leave before their turn.

In a queue (first come, or by priority) a customer who cancels frees what is still missing of the line for those behind;
what the line got before stays shipped, and what was only set aside for a line that takes its complete quantity is given
on with the next supply. Each line is asked when it would be filled had its own customer stayed. Days count from as_of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np

from backorder_forecast.queues import TOLERANCE

if TYPE_CHECKING:
    from numpy.typing import NDArray


@nb.njit(cache=True, nogil=True, inline="always")
def covers(supply: float, need: float) -> bool:
    """Whether a sum of supplies reaches a need, but for rounding."""
    return supply >= need - TOLERANCE * max(1.0, abs(need))


@nb.njit(cache=True, nogil=True)
def sorted_supply(
    arrivals: NDArray[np.int32], quantity: NDArray[np.float64], days: NDArray[np.int32], total: NDArray[np.float64]
) -> None:
    """Arrival days in rising order and the running quantity before and after each; insertion sort, few orders."""
    for k in range(len(arrivals)):
        day, units = arrivals[k], quantity[k]
        j = k
        while j > 0 and days[j - 1] > day:
            days[j] = days[j - 1]
            total[j + 1] = total[j]
            j -= 1
        days[j] = day
        total[j + 1] = units
    total[0] = 0.0
    for k in range(len(arrivals)):
        total[k + 1] += total[k]


@nb.njit(cache=True, nogil=True)
def leaving_fill_days(
    first_need: NDArray[np.float64],
    complete_need: NDArray[np.float64],
    line_start: NDArray[np.int64],
    usable: NDArray[np.float64],
    arrival_days: NDArray[np.int32],
    order_quantity: NDArray[np.float64],
    order_start: NDArray[np.int64],
    next_order_days: NDArray[np.int32],
    leave_days: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Fill days of a queue whose customers leave; arguments and returns as `backorders.fill_days`.

    `leave_days` is the last day on which each customer still takes the goods, shape (n_lines, n_paths). The needs must
    be those of a queue: of rising complete need each line begins where the one before ends.
    """
    n_lines, n_paths = len(first_need), next_order_days.shape[1]
    first_day = np.empty((n_lines, n_paths), np.int32)
    complete_day = np.empty((n_lines, n_paths), np.int32)
    for i in range(len(usable)):
        lo, hi = line_start[i], line_start[i + 1]
        if lo == hi:
            continue
        base, n_orders = order_start[i], order_start[i + 1] - order_start[i]
        order = np.argsort(complete_need[lo:hi], kind="mergesort") + lo
        wanted = np.empty(hi - lo, np.float64)
        opening = np.empty(hi - lo, np.float64)
        for r in range(hi - lo):
            k = order[r]
            wanted[r] = complete_need[k] - (complete_need[order[r - 1]] if r > 0 else 0.0)
            opening[r] = wanted[r] - (complete_need[k] - first_need[k])
        got = np.empty(hi - lo, np.float64)
        days = np.empty(n_orders, np.int32)
        total = np.empty(n_orders + 1, np.float64)
        for path in range(n_paths):
            sorted_supply(
                arrival_days[base : base + n_orders, path], order_quantity[base : base + n_orders], days, total
            )
            latest = next_order_days[i, path]
            for k in range(lo, hi):
                first_day[k, path] = -1
                complete_day[k, path] = -1
            got[:] = 0.0
            day, at = 0, 0
            while True:
                while at < n_orders and days[at] <= day and days[at] < latest:
                    at += 1
                if day < latest:
                    _serve(order, wanted, opening, usable[i] + total[at], day, leave_days[:, path], got,
                           first_day[:, path], complete_day[:, path])  # fmt: skip
                if at >= n_orders or days[at] >= latest:
                    break
                day = days[at]
            for k in range(lo, hi):
                if first_day[k, path] < 0:
                    first_day[k, path] = latest
                if complete_day[k, path] < 0:
                    complete_day[k, path] = latest
    return first_day, complete_day


@nb.njit(cache=True, nogil=True)
def _serve(
    order: NDArray[np.int64],
    wanted: NDArray[np.float64],
    opening: NDArray[np.float64],
    supply: float,
    day: int,
    leave_day: NDArray[np.int32],
    got: NDArray[np.float64],
    first_day: NDArray[np.int32],
    complete_day: NDArray[np.int32],
) -> None:
    """Give out the supply so far; `got` is what each line holds by then, and keeps if its customer is gone."""
    left = supply
    for r in range(len(order)):
        if left <= 0.0:
            return
        k = order[r]
        if first_day[k] < 0 and covers(left, opening[r]):
            first_day[k] = day
        if complete_day[k] < 0 and covers(left, wanted[r]):
            complete_day[k] = day
        if leave_day[k] >= day:
            got[r] = min(wanted[r], left)
        elif opening[r] >= wanted[r] and got[r] < wanted[r]:
            # Held for a line that takes its complete quantity, and given back.
            got[r] = 0.0
        left -= got[r]
