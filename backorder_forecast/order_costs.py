"""What the next unit of an order is worth: the order quantity of least expected cost.

The q-th unit of an order placed now is sold on a path if the need until the next order arrives reaches q. Then it saves
the shortage cost. Else it is left over and costs its holding over one review, in which the next order could not have
been smaller. If it is still there at the end of later reviews a share of their holding is charged to it too: where the
level of demand is uncertain later orders correct an order that was too large only as far as they learn of it, and where
demand is slow they may be nothing already. The share (`Settings.surplus_share`) may be chosen on the past
(`calibrate_orders`). Costs per unit only ever rise with q, so the least is found by bisection, in steps of full packs.

Units of goods, money per unit short, money per unit left over at the end of a review.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def least_cost_orders(
    need: Floats,
    later_needs: Floats,
    *,
    shortage_cost: ArrayLike,
    holding_cost: ArrayLike,
    surplus_share: float,
    moq: ArrayLike = 0.0,
    pack: ArrayLike = 1.0,
) -> tuple[Floats, Floats]:
    """Order quantities of least expected cost, and what they save against no order.

    Parameters
    ----------
    need
        Units that an order placed now must cover until the next one arrives, shape (n_items, n_paths).
    later_needs
        The same until the ends of the reviews after that, never falling, shape (n_items, n_paths, n_reviews).
    shortage_cost, holding_cost
        Money per unit short, and per unit left over at the end of a review; positive, per item.
    surplus_share
        Share of the holding after the first review that is charged to a unit that is still there.
    moq, pack
        Smallest order and units per pack, per item; below the smallest order the choice is that or nothing.

    Returns
    -------
    quantity, saving
        Units, and money, shape (n_items,).

    Examples
    --------
    Ten equally likely needs: at a ratio of 4 / (4 + 1) eight of them are covered.

    >>> import numpy as np
    >>> need = np.arange(1.0, 11.0)[None, :]
    >>> quantity, saving = least_cost_orders(
    ...     need, np.empty((1, 10, 0)), shortage_cost=4.0, holding_cost=1.0, surplus_share=0.0)
    >>> quantity.tolist(), saving.round(9).tolist()
    ([8.0], [18.0])
    """
    n = len(need)
    costs = [_per_item(values, n) for values in (shortage_cost, holding_cost, moq, pack)]
    quantity, saving = _least_cost(need, later_needs, costs[0], costs[1], surplus_share, costs[2], costs[3])
    return np.asarray(quantity), np.asarray(saving)


def saving_curves(
    need: Floats,
    later_needs: Floats,
    candidates: Floats,
    *,
    shortage_cost: ArrayLike,
    holding_cost: ArrayLike,
    surplus_share: float,
) -> Floats:
    """Expected saving of each candidate quantity against no order, money, shape (n_items, n_candidates).

    Parameters
    ----------
    candidates
        Units, shape (n_items, n_candidates).
    need, later_needs, shortage_cost, holding_cost, surplus_share
        As in `least_cost_orders`.

    Examples
    --------
    >>> import numpy as np
    >>> curve = saving_curves(np.array([[0.0, 2.0]]), np.empty((1, 2, 0)), np.array([[0.0, 1.0, 2.0]]),
    ...                       shortage_cost=3.0, holding_cost=1.0, surplus_share=0.0)
    >>> curve.tolist()
    [[0.0, 1.0, 2.0]]
    """
    n = len(need)
    return np.asarray(
        _curves(need, later_needs, candidates, _per_item(shortage_cost, n), _per_item(holding_cost, n), surplus_share)
    )


def fill_rate_orders(need: Floats, wanted: Floats, fill_rate: ArrayLike) -> Floats:
    """Smallest quantity whose expected units short are at most (1 - fill_rate) of the demand it serves.

    Parameters
    ----------
    need
        As in `least_cost_orders`.
    wanted
        Mean demand between the two arrivals, units (n_items,).
    fill_rate
        Share of demand to be filled at once, per item.

    Examples
    --------
    >>> import numpy as np
    >>> fill_rate_orders(np.array([[0.0, 2.0, 4.0, 6.0]]), np.array([5.0]), 0.9).tolist()
    [4.0]
    """
    n, n_paths = need.shape
    allowed = (1.0 - _per_item(fill_rate, n)) * wanted * n_paths
    high = np.sort(need, axis=1)[:, ::-1]
    # Units short in all at the k-th largest need as quantity: the sum of what the larger ones exceed it by.
    short = np.cumsum(high, axis=1) - np.arange(1, n_paths + 1) * high
    last = (short <= allowed[:, None]).sum(axis=1)
    over = np.take_along_axis(np.cumsum(high, axis=1), last[:, None] - 1, axis=1)[:, 0]
    # Between two needs the units short fall by `last` per unit.
    return np.asarray(np.maximum((over - allowed) / last, 0.0))


def _per_item(values: ArrayLike, n: int) -> Floats:
    return np.ascontiguousarray(np.broadcast_to(np.asarray(values, dtype=np.float64), (n,)))


@nb.njit(cache=True, nogil=True)
def _step_cost(need, later, units, step, shortage, holding, share):  # type: ignore[no-untyped-def]
    """Expected cost of `step` more units beyond `units`, for one item."""
    n_paths, n_reviews = later.shape
    sold = 0.0
    left = 0.0
    for p in range(n_paths):
        used = min(max(need[p] - units, 0.0), step)
        sold += used
        for k in range(n_reviews):
            if used >= step:
                break
            used = min(max(later[p, k] - units, 0.0), step)
            left += step - used
    return (-shortage * sold + holding * (step * n_paths - sold) + share * holding * left) / n_paths


@nb.njit(cache=True, nogil=True)
def _least_cost(need, later, shortage, holding, share, moq, pack):  # type: ignore[no-untyped-def]
    n_items = need.shape[0]
    quantity = np.zeros(n_items)
    saving = np.zeros(n_items)
    for i in range(n_items):
        step = pack[i]
        low, high = 0, int(np.ceil(need[i].max() / step))
        while low < high:
            middle = (low + high) // 2
            if _step_cost(need[i], later[i], middle * step, step, shortage[i], holding[i], share) < 0.0:
                low = middle + 1
            else:
                high = middle
        units = low * step
        least = np.ceil(moq[i] / step - 1e-9) * step
        if 0.0 < units < least:
            units = least
        if units > 0.0:
            saving[i] = -_step_cost(need[i], later[i], 0.0, units, shortage[i], holding[i], share)
            if saving[i] > 0.0:
                quantity[i] = units
            else:
                saving[i] = 0.0
    return quantity, saving


@nb.njit(cache=True, nogil=True)
def _curves(need, later, candidates, shortage, holding, share):  # type: ignore[no-untyped-def]
    n_items, n_candidates = candidates.shape
    saving = np.zeros((n_items, n_candidates))
    for i in range(n_items):
        for c in range(n_candidates):
            if candidates[i, c] > 0.0:
                cost = _step_cost(need[i], later[i], 0.0, candidates[i, c], shortage[i], holding[i], share)
                saving[i, c] = -cost
    return saving
