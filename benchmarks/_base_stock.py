"""Base-stock policies on recorded demand: stock and units filled at once for every level that a forecast may choose.

Reviewed each month, unmet demand waits. An order placed at the end of a month arrives `lead` months later and is usable
in the month after: the base stock must last for lead + 1 months. It is revised now and then, with a new forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backorder_forecast.distributions import nb_cdf, nb_quantile
from backorder_forecast.paths import SamplePaths

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EQUAL_TARGETS = 1.0 - np.logspace(np.log10(0.5), -7.0, 70)
"""Cycle service levels, the same for all items."""
PRICES = np.logspace(2.0, -7.0, 120)
"""Filled units per month that one more unit of money in stock must bring, the same for all items."""


@dataclass(frozen=True, eq=False)
class Levels:
    """Base stock per item for each equal target, and for each price of a marginal-value allocation, (n_items, n)."""

    equal: Ints
    marginal: Ints


def choose_levels(paths: SamplePaths, lead: Ints, price: Floats) -> Levels:
    """Levels that a forecast chooses: quantiles of demand over lead + 1 months; or the best filled units for money.

    High fill rates ask for chances that no number of paths shows: the demand of the lead time and of a month more is a
    negative binomial with the mean and the variance that it has on the paths, for every forecast alike. For a price x
    the marginal allocation takes the level at which expected filled units per month less x times the expected value of
    the stock is largest.
    """
    before, over_next = _moments(paths, lead)
    sells = over_next[0] > 0
    equal = np.zeros((paths.n_items, EQUAL_TARGETS.size), dtype=np.int64)
    mean, variance = (m[sells, None] for m in over_next)
    equal[sells] = nb_quantile(EQUAL_TARGETS[None, :], mean, variance)
    marginal = np.zeros((paths.n_items, PRICES.size), dtype=np.int64)
    for i in np.flatnonzero(sells):
        units = np.arange(equal[i, -1] + 1.0)
        # The unit after `units` fills one at once if the level covers the months before and not the next as well.
        covers = nb_cdf(units, before[0][i], before[1][i]) if before[0][i] > 0 else np.ones(units.size)
        lasts = nb_cdf(units, over_next[0][i], over_next[1][i])
        filled = np.concatenate([[0.0], np.cumsum(np.maximum(covers - lasts, 0.0))])
        stock = np.concatenate([[0.0], np.cumsum(lasts)])
        marginal[i] = np.argmax(filled[None, :] - PRICES[:, None] * price[i] * stock[None, :], axis=1)
    return Levels(equal, marginal)


def _moments(paths: SamplePaths, lead: Ints) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Mean and variance, (n_items,), of the demand of the lead time, and of that and a month more."""
    moments = np.zeros((4, paths.n_items))
    for begin, stop in paths.buckets():
        total = np.cumsum(paths.draw(begin, stop), axis=2)
        last = np.broadcast_to(lead[begin:stop, None, None], (stop - begin, paths.n_paths, 1))
        longer = np.take_along_axis(total, last, axis=2)[:, :, 0]
        shorter = np.where(last[:, :, 0] > 0, np.take_along_axis(total, np.maximum(last - 1, 0), axis=2)[:, :, 0], 0.0)
        for k, sums in enumerate((shorter, longer)):
            moments[2 * k, begin:stop] = sums.mean(axis=1)
            moments[2 * k + 1, begin:stop] = np.maximum(sums.var(axis=1), sums.mean(axis=1))
    return (moments[0], moments[1]), (moments[2], moments[3])


def replay(
    levels: Sequence[Ints], every: int, demand: Floats, lead: Ints, price: Floats, *, first: int, scored: slice
) -> tuple[Floats, Floats]:
    """Units filled at once, and mean value of the stock at month ends, (n_items, n_levels), over the scored months.

    Parameters
    ----------
    levels
        Base stock from month `first` on and after each revision, `every` months later, (n_items, n_levels) each.
    demand, lead, price
        Units per item and month; months from an order at a month's end until the month before it is usable; money.
    """
    shape, rows = levels[0].shape, np.arange(len(demand))
    filled, value = np.zeros(shape), np.zeros(shape)
    coming = np.zeros((int(lead.max()) + 2, *shape))
    net, on_order = levels[0].astype(np.float64), np.zeros(shape)
    for t in range(first, scored.stop):
        slot = t % len(coming)
        net += coming[slot]
        on_order -= coming[slot]
        coming[slot] = 0.0
        wanted = demand[:, t, None]
        if t >= scored.start:
            filled += np.minimum(wanted, np.maximum(net, 0.0))
        net -= wanted
        if t >= scored.start:
            value += np.maximum(net, 0.0) * price[:, None]
        upto = levels[min((t + 1 - first) // every, len(levels) - 1)]
        order = np.maximum(upto - net - on_order, 0.0)
        coming[(t + lead + 1) % len(coming), rows] += order
        on_order += order
    return filled, value / (scored.stop - scored.start)


def value_at_fill(filled: Floats, value: Floats, wanted: float | Floats, at: Floats) -> Floats:
    """Stock value at given fill rates, between the levels of a curve by straight lines; NaN beyond the curve.

    `filled` and `value` are sums over items, (n_levels,), `wanted` the units demanded.
    """
    order = np.argsort(filled, kind="stable")
    return np.interp(at, filled[order] / wanted, np.maximum.accumulate(value[order]), left=np.nan, right=np.nan)
