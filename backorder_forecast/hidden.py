"""How much of demand shows while an item is out of stock.

A shop that takes backorders records part of the demand of such days: the customers who agree to wait. That share is
estimated per product type, from demand recorded on days out of stock over what the same items sold per day with
stock, drawn to a prior by a number of pseudo-units. A day out of stock is then worth that share of exposure instead of
none, so that recorded demand is neither thrown away nor corrected twice.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.panel import RAN_OUT

PSEUDO_UNITS = 50.0
"""Weight of the prior share, in units of demand expected while out of stock. Judgement."""
_ROUNDS = 5
NEARLY_ALL = 0.9
"""Share from which a day that ran out is not corrected for demand above what was recorded. Judgement."""


def waiting_shares(
    exposure: NDArray[np.float64], demand: NDArray[np.float64], groups: pd.Series, prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of demand that is recorded while out of stock, per item (its group's share), shape (n_items,).

    Parameters
    ----------
    exposure
        In-stock share per item and day (0 out of stock all day, `RAN_OUT` ran out within it), shape (n_items, n_days).
    demand
        Recorded demand, backorders at their order day included, same shape.
    groups
        Group of each item, such as its product type.
    prior
        Share assumed without evidence, shape (n_items,).

    Examples
    --------
    >>> exposure = np.tile([1.0, 1.0, 0.0, 0.0], (1, 500))
    >>> demand = np.tile([4.0, 4.0, 2.0, 2.0], (1, 500))
    >>> waiting_shares(exposure, demand, pd.Series(["standard"]), np.ones(1)).round(2).tolist()
    [0.51]
    """
    begun = np.maximum.accumulate(demand > 0, axis=1)
    stocked, empty = begun & (exposure != 0.0), begun & (exposure == 0.0)
    ran_out = (begun & (exposure == RAN_OUT)).sum(axis=1)
    full = stocked.sum(axis=1) - ran_out
    sold, seen = (demand * stocked).sum(axis=1), (demand * empty).sum(axis=1)
    codes, _ = pd.factorize(groups, sort=True, use_na_sentinel=False)
    n = int(codes.max()) + 1 if len(codes) else 0
    seen_by = np.bincount(codes, np.where(full > 0, seen, 0.0), n)[codes]
    share = prior.astype(np.float64)
    for _ in range(_ROUNDS):
        # Days that ran out are the busiest: without them the rate would be too low and the share too high. They count
        # half as in stock, half with the share itself. Only items that also show what they sell in stock can tell.
        worth = full + ran_out * (1.0 + share) / 2
        due = np.where(full > 0, sold / np.maximum(worth, 1.0) * empty.sum(axis=1), 0.0)
        due_by = np.bincount(codes, due, n)[codes]
        share = np.clip((seen_by + PSEUDO_UNITS * prior) / (due_by + PSEUDO_UNITS), 0.0, 1.0)
    return np.asarray(share)


def visible_exposure(exposure: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exposure when a share of demand shows while out of stock: (n_items, n_days), (n_items,) -> (n_items, n_days).

    A day that ran out counts half in and half out of stock where nearly all demand shows (`NEARLY_ALL`); otherwise it
    keeps the code `RAN_OUT`.

    Examples
    --------
    >>> visible_exposure(np.array([[1.0, 0.0, RAN_OUT]]), np.array([0.96])).tolist()
    [[1.0, 0.96, 0.98]]
    >>> visible_exposure(np.array([[1.0, 0.0, RAN_OUT]]), np.array([0.6])).tolist()
    [[1.0, 0.6, -1.0]]
    """
    waits = share[:, None]
    part = np.where(waits >= NEARLY_ALL, (1.0 + waits) / 2, RAN_OUT)
    return np.asarray(np.where(exposure == RAN_OUT, part, exposure + (1.0 - exposure) * waits))
