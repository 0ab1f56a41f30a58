"""Limits that orders share: a supplier's minimum, and the money or the units that all orders together may take.

Quantities are chosen from a few candidates per item by what each saves against no order. An order to a supplier that is
worth less than its minimum is raised where it costs least per unit of money, as long as the whole then still saves
more than no order; else the supplier waits for the next review. A budget and a capacity are never exceeded
(`budgets.py`); a supplier that falls below its minimum for them is left out.
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
CUT, BELOW, RAISED = (
    "less than wanted: capacity or budget",
    "not ordered: the supplier's minimum would cost more than waiting for the next review",
    "raised so that the supplier's order reaches its minimum",
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
    codes, _ = pd.factorize(pd.Series(list(supplier), dtype="str"))
    stated = np.where((np.asarray(supplier) != "") & (supplier_minimum > 0), supplier_minimum, 0.0)
    # One minimum per supplier, whatever row states it.
    minimum = pd.Series(stated).groupby(codes).transform("max").to_numpy(dtype=np.float64)
    cost = np.where(np.isfinite(unit_cost), unit_cost, 0.0)
    chosen = (candidates <= wanted[:, None] + 1e-9).sum(axis=1) - 1
    use = candidates * cost[:, None]
    _reach(chosen, saving, use, codes.astype(np.int64), minimum)
    rows = np.arange(len(wanted))
    quantity = candidates[rows, chosen] if len(wanted) else wanted.copy()
    # Nothing is told of a supplier without a minimum, whose quantities stay as they are wanted.
    quantity = np.where(minimum > 0, quantity, wanted)
    raised = quantity
    for _ in range(len(np.unique(codes)) + 1):
        for limit, of_unit in ((budget, unit_cost), (capacity, np.ones(len(wanted)))):
            if limit is not None:
                allowed = np.where(candidates <= quantity[:, None] + 1e-9, saving, -np.inf)
                quantity, _ = within_limit(candidates, allowed, of_unit, float(limit))
        worth = np.bincount(codes, quantity * cost, minlength=1)[codes] if len(codes) else np.zeros(0)
        below = (quantity > 0) & (worth < minimum - 1e-9)
        if not below.any():
            break
        quantity = np.where(below, 0.0, quantity)
    dropped = (minimum > 0) & (quantity <= 0) & (wanted > 0)
    remark = np.select([dropped, quantity < raised, quantity > wanted], [BELOW, CUT, RAISED], "")
    return quantity, remark


@nb.njit(cache=True, nogil=True)
def _reach(chosen, saving, use, supplier, minimum):  # type: ignore[no-untyped-def]
    """Steps up where they lose least per money, until each supplier's order reaches its minimum, or none at all."""
    n_items, n_candidates = saving.shape
    n_suppliers = 0
    for i in range(n_items):
        n_suppliers = max(n_suppliers, supplier[i] + 1)
    spent = np.zeros(n_suppliers)
    least = np.zeros(n_suppliers)
    for i in range(n_items):
        spent[supplier[i]] += use[i, chosen[i]]
        least[supplier[i]] = max(least[supplier[i]], minimum[i])
    for s in range(n_suppliers):
        if spent[s] <= 0.0 or spent[s] >= least[s]:
            continue
        while spent[s] < least[s]:
            best, step, rate = -1, 0, np.inf
            for i in range(n_items):
                if supplier[i] != s:
                    continue
                now = chosen[i]
                for c in range(now + 1, n_candidates):
                    more = use[i, c] - use[i, now]
                    if more <= 0.0:
                        continue
                    loss = (saving[i, now] - saving[i, c]) / more
                    if loss < rate:
                        best, step, rate = i, c, loss
                    break
            if best < 0:
                break
            spent[s] += use[best, step] - use[best, chosen[best]]
            chosen[best] = step
        total = 0.0
        for i in range(n_items):
            if supplier[i] == s:
                total += saving[i, chosen[i]]
        if spent[s] < least[s] or total <= 0.0:
            for i in range(n_items):
                if supplier[i] == s:
                    chosen[i] = 0
