"""The queue of waiting lines as two numbers per line, whatever the rule that orders it.

A rule says at which cumulative supply of the item a line's first and last unit are served (`queue_needs`). First come
and priority serve in a queue that is never overtaken: what is set aside for a line that takes only its complete
quantity is held for it. Fair share raises a level; line i receives weight_i * level until its demand is met. All are
monotone in cumulative supply, so receipts may arrive in any order and the needs stay the same. Quantities are units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np
import pandas as pd

from backorder_forecast.errors import unknown_option
from backorder_forecast.settings import ALLOCATIONS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

TOLERANCE = 1e-9
"""Relative slack when cumulative supply is compared with a need; sums of floats are not exact."""


def queue_needs(
    lines: pd.DataFrame, *, rule: str = "fifo", weights: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cumulative supply of the item at which each line's first and last unit are served.

    Parameters
    ----------
    lines
        Sorted by `item`: columns item, quantity, order_date, order_id; priority for that rule; complete_only.
    rule
        fifo, priority or fair_share.
    weights
        Positive weights of fair share, shape (n_lines,); equal where missing.

    Returns
    -------
    first_need, complete_need, shape (n_lines,); equal where a line takes only its complete quantity. Fair share of
    whole quantities gives out unit by unit, lowest level first (a divisor method, so that more supply never takes a
    unit back); other quantities are poured.

    Examples
    --------
    >>> lines = pd.DataFrame({"item": 0, "order_id": ["a", "b", "c"], "quantity": [4.0, 3.0, 5.0],
    ...                       "order_date": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"])})
    >>> [need.tolist() for need in queue_needs(lines)]
    [[1.0, 5.0, 8.0], [4.0, 7.0, 12.0]]
    >>> [need.tolist() for need in queue_needs(lines, rule="fair_share")]
    [[1.0, 2.0, 3.0], [10.0, 8.0, 12.0]]
    """
    if rule not in ALLOCATIONS:
        raise unknown_option("allocation", rule, ALLOCATIONS)
    quantity = lines["quantity"].to_numpy(np.float64)
    order = _queue_order(lines, rule)
    item = lines["item"].to_numpy(np.int64)[order]
    start = np.flatnonzero(np.append(True, item[1:] != item[:-1])) if len(item) else np.zeros(0, np.int64)
    sorted_quantity = quantity[order]
    if rule == "fair_share":
        weight = positive_weights(weights, len(lines))[order]
        first, complete = _fair_needs(np.append(start, len(item)), sorted_quantity, weight)
    else:
        # One cumulative sum per item, so that a line's need does not depend on the items before it.
        complete = cumulative_by_item(np.append(start, len(item)), sorted_quantity)
        first = complete - sorted_quantity + np.minimum(sorted_quantity, 1.0)
    if "complete_only" in lines:
        first = np.where(lines["complete_only"].to_numpy(bool)[order], complete, first)
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return first[back], complete[back]


def purchase_weights(
    lines: pd.DataFrame, sales: pd.DataFrame, *, floor: float = 1.0, days: int = 365
) -> NDArray[np.float64]:
    """Fair-share weights: what the line's customer bought of the item before the shortage began.

    The shortage of an item begins with its oldest open line; purchases of the `days` before that day count, so that
    ordering more during a shortage earns nothing. A customer's weight is spread over its lines by quantity; unknown
    customers and those without purchases weigh `floor` units.

    Parameters
    ----------
    lines
        Open lines: sku, location, customer_id, order_date, quantity.
    sales
        sku, location, customer_id, date, quantity.

    Returns
    -------
    Positive weights in units, shape (n_lines,).
    """
    key = ["sku", "location", "customer_id"]
    start = lines.groupby(["sku", "location"])["order_date"].transform("min")
    wanted = lines[key].astype("str").assign(start=start.to_numpy(), quantity=lines["quantity"].to_numpy())
    wanted["line"] = np.arange(len(lines))
    sold = sales.loc[sales["sku"].isin(wanted["sku"].unique()), [*key, "date", "quantity"]]
    sold = sold.rename(columns={"quantity": "sold"}).astype(dict.fromkeys(key, "str"))
    pairs = wanted[wanted["customer_id"] != ""].merge(sold, on=key)
    age = (pairs["start"] - pairs["date"]).dt.days
    bought = pairs[(age > 0) & (age <= days)].groupby("line")["sold"].sum()
    weight = np.maximum(bought.reindex(wanted["line"]).fillna(0.0).to_numpy(np.float64), floor)
    total = wanted.groupby(key)["quantity"].transform("sum").to_numpy()
    share = np.where(wanted["customer_id"].to_numpy() == "", 1.0, wanted["quantity"].to_numpy() / total)
    return np.asarray(weight * share, dtype=np.float64)


def positive_weights(weights: ArrayLike | None, n: int) -> NDArray[np.float64]:
    """Checked weights, shape (n,); ones where missing."""
    if weights is None:
        return np.ones(n)
    values = np.asarray(weights, dtype=np.float64)
    if len(values) != n or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"weights must be {n} positive numbers; give customers without purchases a floor weight")
    return values


@nb.njit(cache=True, nogil=True)
def cumulative_by_item(start: NDArray[np.int64], quantity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running sums that start anew at each item; `start` has one pointer per item and the end."""
    out = np.empty(len(quantity), np.float64)
    for i in range(len(start) - 1):
        total = 0.0
        for k in range(start[i], start[i + 1]):
            total += quantity[k]
            out[k] = total
    return out


@nb.njit(cache=True, nogil=True)
def fair_filled(
    start: NDArray[np.int64], demand: NDArray[np.float64], weight: NDArray[np.float64], supply: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Units each line holds once its item's supply (one entry per line) is given out: bisection on its own units."""
    out = np.empty(len(demand), np.float64)
    for i in range(len(start) - 1):
        lo, hi = start[i], start[i + 1]
        whole = _all_whole(lo, hi, demand)
        for k in range(lo, hi):
            have = supply[k] + TOLERANCE * max(1.0, supply[k])
            low, high = 0.0, demand[k]
            # All that is wanted, to the last bit: bisection only comes near it.
            if whole:
                served = _served_units(lo, hi, k, high, demand, weight)
            else:
                served = _poured(lo, hi, high / weight[k], demand, weight)
            if served <= have:
                low = high
            for _ in range(64):
                if high - low < TOLERANCE:
                    break
                unit = np.floor((low + high + 1.0) / 2.0) if whole else (low + high) / 2.0
                if whole:
                    fits = _served_units(lo, hi, k, unit, demand, weight) <= have
                else:
                    fits = _poured(lo, hi, unit / weight[k], demand, weight) <= have
                if fits:
                    low = unit
                elif whole:
                    high = unit - 1.0
                else:
                    high = unit
            out[k] = low
    return out


def _queue_order(lines: pd.DataFrame, rule: str) -> NDArray[np.int64]:
    keys = ["item", "priority", "order_date", "order_id"] if rule == "priority" else ["item", "order_date", "order_id"]
    table = lines[[k for k in keys if k in lines]].reset_index(drop=True)
    return table.sort_values(list(table.columns), kind="stable", na_position="last").index.to_numpy(np.int64)


@nb.njit(cache=True, nogil=True)
def _served_units(
    lo: int, hi: int, line: int, unit: float, demand: NDArray[np.float64], weight: NDArray[np.float64]
) -> float:
    """Units given out up to and including this unit of this line, lowest unit / weight first, ties in queue order."""
    level = unit / weight[line]
    count = 0.0
    for j in range(lo, hi):
        poured = weight[j] * level
        units = np.floor(poured + TOLERANCE * max(1.0, poured))
        if j > line and units >= 1.0 and units <= demand[j] and units >= poured - TOLERANCE * max(1.0, poured):
            units -= 1.0
        count += min(units, demand[j])
    return count


@nb.njit(cache=True, nogil=True)
def _poured(lo: int, hi: int, level: float, demand: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    total = 0.0
    for j in range(lo, hi):
        total += min(demand[j], weight[j] * level)
    return total


@nb.njit(cache=True, nogil=True)
def _all_whole(lo: int, hi: int, demand: NDArray[np.float64]) -> bool:
    apart = 0.0
    for j in range(lo, hi):
        apart = max(apart, abs(demand[j] - np.rint(demand[j])))
    return apart <= TOLERANCE


@nb.njit(cache=True, nogil=True)
def _fair_needs(
    start: NDArray[np.int64], demand: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first = np.empty(len(demand), np.float64)
    complete = np.empty(len(demand), np.float64)
    for i in range(len(start) - 1):
        lo, hi = start[i], start[i + 1]
        whole = _all_whole(lo, hi, demand)
        for k in range(lo, hi):
            if whole:
                first[k] = _served_units(lo, hi, k, 1.0, demand, weight)
                complete[k] = _served_units(lo, hi, k, demand[k], demand, weight)
            else:
                first[k] = _poured(lo, hi, min(1.0, demand[k]) / weight[k], demand, weight)
                complete[k] = _poured(lo, hi, demand[k] / weight[k], demand, weight)
    return first, complete
