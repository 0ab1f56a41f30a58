"""Limits that orders share: a supplier's minimum, and the money or the units that all orders together may take.

Quantities are chosen from a few candidates per item by what each saves against no order. An order to a supplier that is
worth less than its minimum is raised where it costs least per unit of money, as long as the whole then still saves
more than no order; else the supplier waits for the next review. A budget and a capacity are never exceeded
(`budgets.py`); of suppliers that fall below their minimum for them those that save least per unit of money are left
out, and the limit shared anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.budgets import within_limit
from backorder_forecast.order_costs import saving_curves

Floats = NDArray[np.float64]

CANDIDATES = 48
"""Quantities per item among which a limit chooses."""
CUT, BELOW, RAISED, UNCHECKED = (
    "less than wanted",
    "not ordered: the supplier's minimum would cost more than waiting for the next review",
    "raised so that the supplier's order reaches its minimum",
    "the supplier's minimum cannot be held against an order without unit_cost",
)


def order_curves(
    need: Floats, later_needs: Floats, quantity: Floats, most: Floats, *, shortage: Floats, holding: Floats,
    surplus_share: float, moq: Floats, pack: Floats,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Quantities to choose from, and what each saves against no order.

    Parameters
    ----------
    need, later_needs
        As in `least_cost_orders`.
    quantity, most
        What is wanted, and the most that may be ordered (`quantity` where there is no reason for more), units
        (n_items,).
    shortage, holding, surplus_share, moq, pack
        As in `least_cost_orders`, per item.

    Returns
    -------
    candidates, saving
        Units, never falling, the first 0, and money; shape (n_items, n_candidates). `quantity` is among them.

    Examples
    --------
    >>> need, none = np.array([[2.0, 4.0]]), np.empty((1, 2, 0))
    >>> one = np.ones(1)
    >>> units, saving = order_curves(need, none, 4.0 * one, 4.0 * one, shortage=3.0 * one, holding=one,
    ...                              surplus_share=0.0, moq=0.0 * one, pack=2.0 * one)
    >>> np.unique(units).tolist(), float(saving[0, -1])
    ([0.0, 2.0, 4.0], 8.0)
    """
    half = CANDIDATES // 2 if (most > quantity).any() else 0
    lower = np.arange(CANDIDATES + 1 - half) / (CANDIDATES - half)
    upper = np.arange(1, half + 1) / max(half, 1)
    units = np.concatenate(
        [lower * quantity[:, None], quantity[:, None] + upper * np.maximum(most - quantity, 0.0)[:, None]], axis=1
    )
    candidates = np.floor(units / pack[:, None] + 1e-9) * pack[:, None]
    candidates = np.where(candidates < moq[:, None], 0.0, candidates)
    saving = saving_curves(
        need, later_needs, candidates, shortage_cost=shortage, holding_cost=holding, surplus_share=surplus_share
    )
    return candidates, saving


def within_limits(
    wanted: Floats, candidates: Floats, saving: Floats, *, unit_cost: Floats, supplier: Sequence[str],
    supplier_minimum: Floats, budget: float | None = None, capacity: float | None = None,
) -> tuple[Floats, NDArray[np.str_]]:  # fmt: skip
    """Order quantities under all limits, and what each item is to be told.

    Parameters
    ----------
    wanted
        Quantities without limits, among the candidates, units (n_items,).
    candidates, saving
        From `order_curves`.
    unit_cost, supplier, supplier_minimum
        Money per unit, name, and money that the order to the item's supplier is worth at least (NaN: no minimum).
    budget, capacity
        Money and units of all orders together; None for no limit.

    Returns
    -------
    quantity, remark

    Raises
    ------
    InvalidSettings
        If a limit is negative, or a budget is to be shared among goods of unknown cost.

    Examples
    --------
    Of two items of one supplier the first is wanted; the second is the cheaper way to the minimum.

    >>> candidates = np.array([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    >>> saving = np.array([[0.0, 9.0, 7.0], [0.0, -0.5, -1.5]])
    >>> quantity, remark = within_limits(np.array([1.0, 0.0]), candidates, saving, unit_cost=np.array([10.0, 10.0]),
    ...                                  supplier=["S", "S"], supplier_minimum=np.array([20.0, 20.0]))
    >>> quantity.tolist(), str(remark[1])
    ([1.0, 1.0], "raised so that the supplier's order reaches its minimum")
    """
    codes = pd.factorize(pd.Series(list(supplier), dtype="str"))[0].astype(np.int64)
    least = _minimums(codes, np.asarray(supplier), supplier_minimum)
    cost = np.where(np.isfinite(unit_cost), unit_cost, 0.0)
    # What an order is worth cannot be told where one of its items has no cost: no minimum is held against it.
    unknown = pd.Series((wanted > 0) & ~np.isfinite(unit_cost)).groupby(codes).transform("any").to_numpy(dtype=bool)
    minimum = np.where(unknown, 0.0, least)
    chosen = (candidates <= wanted[:, None] + 1e-9).sum(axis=1) - 1
    _reach(chosen, saving, candidates * cost[:, None], codes, minimum)
    rows = np.arange(len(wanted))
    # Nothing is told of a supplier without a minimum, whose quantities stay as they are wanted.
    raised = np.where(minimum > 0, candidates[rows, chosen], wanted) if len(wanted) else wanted.copy()
    start = raised
    while True:
        quantity = start
        for limit, of_unit in ((budget, unit_cost), (capacity, np.ones(len(wanted)))):
            if limit is not None:
                allowed = np.where(candidates <= quantity[:, None] + 1e-9, saving, -np.inf)
                quantity, _ = within_limit(candidates, allowed, of_unit, float(limit))
        left = _out_of_reach(codes, quantity, start, cost, minimum, candidates, saving)
        if not len(left):
            break
        # What these would have taken goes to the others.
        start = np.where(np.isin(codes, left), 0.0, start)
    limits = " or ".join(name for name, given in (("budget", budget), ("capacity", capacity)) if given is not None)
    cut = f"{CUT}: the {limits} went to orders that save more"
    dropped = (minimum > 0) & (raised <= 0) & (wanted > 0)
    blind = unknown & (least > 0) & (wanted > 0)
    told = [quantity < raised, dropped, blind, quantity > wanted]
    return quantity, np.select(told, [cut, BELOW, UNCHECKED, RAISED], "")


def _minimums(codes: NDArray[np.int64], supplier: NDArray[np.str_], stated: Floats) -> Floats:
    """One minimum per supplier, whatever row states it; 0 for none."""
    known = np.where((supplier != "") & (stated > 0), stated, 0.0)
    return np.asarray(pd.Series(known).groupby(codes).transform("max"), dtype=np.float64)


def _out_of_reach(
    codes: NDArray[np.int64], quantity: Floats, start: Floats, cost: Floats, minimum: Floats, candidates: Floats,
    saving: Floats,
) -> NDArray[np.int64]:  # fmt: skip
    """Suppliers to leave out: of those below their minimum an eighth, which save least per unit of money."""
    n = int(codes.max(initial=-1)) + 1
    worth, full = (np.bincount(codes, units * cost, minlength=n) for units in (quantity, start))
    least = np.zeros(n)
    np.maximum.at(least, codes, minimum)
    below = (full > 0) & (least > 0) & (worth < least - 1e-9)
    if not below.any():
        return np.zeros(0, dtype=np.int64)
    place = (candidates <= start[:, None] + 1e-9).sum(axis=1) - 1
    gain = np.bincount(codes, saving[np.arange(len(start)), place], minlength=n)
    rate = np.where(below, gain / np.maximum(full, 1e-12), np.inf)
    return np.argsort(rate, kind="stable")[: max(int(below.sum()) // 8, 1)].astype(np.int64)


@nb.njit(cache=True, nogil=True)
def _next_step(i, chosen, saving, use):  # type: ignore[no-untyped-def]
    """The next larger candidate of an item and what it loses per money; infinite where there is none."""
    now = chosen[i]
    for c in range(now + 1, saving.shape[1]):
        more = use[i, c] - use[i, now]
        if more > 0.0:
            return c, (saving[i, now] - saving[i, c]) / more
    return now, np.inf


@nb.njit(cache=True, nogil=True)
def _reach(chosen, saving, use, supplier, minimum):  # type: ignore[no-untyped-def]
    """Steps up where they lose least per money, until each supplier's order reaches its minimum, or none at all."""
    n_items = supplier.size
    order = np.argsort(supplier, kind="mergesort")
    begin = 0
    while begin < n_items:
        end = begin
        while end < n_items and supplier[order[end]] == supplier[order[begin]]:
            end += 1
        rows = order[begin:end]
        begin = end
        spent, least = 0.0, 0.0
        for i in rows:
            spent += use[i, chosen[i]]
            least = max(least, minimum[i])
        if spent <= 0.0 or spent >= least:
            continue
        step = np.zeros(rows.size, dtype=np.int64)
        rate = np.zeros(rows.size)
        for k in range(rows.size):
            step[k], rate[k] = _next_step(rows[k], chosen, saving, use)
        while spent < least:
            best = np.argmin(rate)
            if rate[best] == np.inf:
                break
            i = rows[best]
            spent += use[i, step[best]] - use[i, chosen[i]]
            chosen[i] = step[best]
            step[best], rate[best] = _next_step(i, chosen, saving, use)
        total = 0.0
        for i in rows:
            total += saving[i, chosen[i]]
        if spent < least or total <= 0.0:
            for i in rows:
                chosen[i] = 0
