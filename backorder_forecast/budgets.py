"""Orders of many items under one limit: the money or the units that all of them together may take.

One multiplier, the price of a unit of the limit, is raised until the quantities that are best at that price keep
within it (Everett 1963). What is left because of full packs goes to the steps that bring most per unit of the limit, as
long as they fit. The limit is never exceeded.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from backorder_forecast.errors import InvalidSettings

Floats = NDArray[np.float64]
_ROUNDS = 60


def within_limit(candidates: Floats, saving: Floats, use_per_unit: Floats, limit: float) -> tuple[Floats, float]:
    """Quantities that save most while what they use together stays within a limit.

    Parameters
    ----------
    candidates
        Quantities to choose from, per item rising from 0, units (n_items, n_candidates).
    saving
        Money that each saves, same shape.
    use_per_unit
        What a unit uses of the limit: its cost, or 1 where the limit counts units, shape (n_items,).
    limit
        Money or units, 0 or more.

    Returns
    -------
    quantity, multiplier
        Units (n_items,), and the saving that one more unit of the limit would bring; 0 where it does not bind.

    Raises
    ------
    InvalidSettings
        If the limit is negative or not a number, or an item to be ordered has no cost.

    Examples
    --------
    >>> import numpy as np
    >>> candidates = np.array([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    >>> saving = np.array([[0.0, 5.0, 6.0], [0.0, 4.0, 7.0]])
    >>> within_limit(candidates, saving, np.array([1.0, 1.0]), 3.0)[0].tolist()
    [1.0, 2.0]
    """
    if not limit >= 0.0:
        raise InvalidSettings(f"a limit on all orders is 0 or more, got {limit!r}")
    wanted = saving.max(axis=1) > 0
    unknown = wanted & ~(use_per_unit >= 0)
    if unknown.any():
        raise InvalidSettings(
            f"{int(unknown.sum())} of {int(wanted.sum())} items to order have no unit_cost: a budget cannot be shared"
            " among goods of unknown cost; give unit_cost, or order them apart"
        )
    use = np.where(wanted, use_per_unit, 0.0)[:, None] * candidates
    rows = np.arange(len(candidates))

    def best(price: float) -> NDArray[np.int64]:
        # The first of equals: the smaller quantity.
        return np.asarray(np.argmax(saving - price * use, axis=1))

    chosen = best(0.0)
    if use[rows, chosen].sum() <= limit:
        return candidates[rows, chosen], 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = 0.0, 2.0 * float(np.nanmax(np.where(use > 0, saving / use, 0.0), initial=0.0)) + 1.0
    for _ in range(_ROUNDS):
        price = 0.5 * (low + high)
        if use[rows, best(price)].sum() <= limit:
            high = price
        else:
            low = price
    chosen = best(high)
    _fill_up(chosen, saving, use, limit)
    return candidates[rows, chosen], high


@nb.njit(cache=True, nogil=True)
def _fill_up(chosen, saving, use, limit):  # type: ignore[no-untyped-def]
    """Give what is left of the limit to the best further steps that still fit, until none does.

    Steps are ranked once per round; one that no longer fits is looked at again in the next round.
    """
    n_items, n_candidates = saving.shape
    left = limit
    for i in range(n_items):
        left -= use[i, chosen[i]]
    rate = np.zeros(n_items)
    step = np.zeros(n_items, dtype=np.int64)
    while True:
        for i in range(n_items):
            rate[i] = 0.0
            now = chosen[i]
            for c in range(now + 1, n_candidates):
                more = use[i, c] - use[i, now]
                if more > left:
                    break
                gain = saving[i, c] - saving[i, now]
                if gain > 0.0 and gain > rate[i] * more:
                    rate[i], step[i] = gain / max(more, 1e-300), c
        taken = False
        for i in np.argsort(-rate, kind="mergesort"):
            if rate[i] == 0.0:
                break
            more = use[i, step[i]] - use[i, chosen[i]]
            if more <= left:
                left -= more
                chosen[i] = step[i]
                taken = True
        if not taken:
            return
