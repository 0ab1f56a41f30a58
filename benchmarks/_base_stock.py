"""Base-stock policies on recorded demand: stock and units filled at once for every level that a forecast may choose.

Reviewed each month, unmet demand waits. An order placed at the end of a month arrives `lead` months later and is usable
in the month after: the base stock must last for lead + 1 months. It is revised now and then, with a new forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backorder_forecast.distributions import nb_cdf, nb_quantile
from backorder_forecast.paths import SamplePaths

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PRICES = np.logspace(2.0, -11.0, 170)
"""Filled units per month that one more unit of money in stock must bring, the same for all items."""
_BEYOND = 1e-7
"""Chance of more demand that the farthest equal target leaves."""
_RARE, _HIGH = 0.001, 0.01
"""Share of the paths beyond which a law is drawn on, and share that its drawing rests on."""
_TARGETS = 70


@dataclass(frozen=True, eq=False)
class Levels:
    """Base stock per item for each equal target, and for each price of a marginal-value allocation, (n_items, n)."""

    equal: Ints
    marginal: Ints


def choose_levels(paths: SamplePaths, lead: Ints, price: Floats, *, law: str = "paths") -> Levels:
    """Levels that a forecast chooses: quantiles of demand over lead + 1 months; or the best filled units for money.

    For a price x the marginal allocation takes the level at which expected filled units per month less x times the
    expected value of the stock is largest.

    Parameters
    ----------
    paths
        Forecast of at least `lead` + 1 months.
    lead, price
        Months per item; money per unit.
    law
        "paths": the forecast's own law, as its paths show it, the far tail drawn on. "moments": a negative binomial
        with the mean and the variance that demand has on the paths.
    """
    targets = 1.0 - np.logspace(np.log10(0.5), np.log10(_BEYOND), _TARGETS)
    chosen = Levels(*(np.zeros((paths.n_items, n), dtype=np.int64) for n in (_TARGETS, PRICES.size)))
    for begin, stop in paths.buckets():
        total = np.cumsum(paths.draw(begin, stop), axis=2)
        for i in range(begin, stop):
            over_next = np.sort(total[i - begin, :, lead[i]])
            before = np.sort(total[i - begin, :, lead[i] - 1]) if lead[i] else np.zeros(paths.n_paths)
            if over_next[-1] == 0:
                continue
            pair = (_Sample(before), _Sample(over_next)) if law == "paths" else (_fitted(before), _fitted(over_next))
            chosen.equal[i] = pair[1].quantile(targets)
            chosen.marginal[i] = _marginal(*pair, price[i], int(chosen.equal[i, -1]))
    return chosen


def _marginal(before: Law, over_next: Law, price: float, most: int) -> Ints:
    """Level of the largest filled units less the cost of money in stock, for each price."""
    # Between two levels at which a law changes every unit is worth the same: the best level is one of these.
    levels = np.union1d(np.union1d(before.changes(most), over_next.changes(most)), [0, most])
    # The unit after `levels` fills one at once if the stock covers the months before and not the next as well.
    lasts = over_next.cdf(levels[:-1])
    steps = np.diff(levels)
    filled = np.concatenate([[0.0], np.cumsum(steps * np.maximum(before.cdf(levels[:-1]) - lasts, 0.0))])
    stock = np.concatenate([[0.0], np.cumsum(steps * lasts)])
    return np.asarray(levels[np.argmax(filled[None, :] - PRICES[:, None] * price * stock[None, :], axis=1)])


class Law(Protocol):
    """Law of a sum of demand, units."""

    def quantile(self, levels: Floats) -> Ints:
        """Least numbers of units that cover demand with these chances."""

    def cdf(self, units: Ints) -> Floats:
        """Chances that so many units cover demand."""

    def changes(self, most: int) -> Ints:
        """Numbers of units up to `most` at which the chance changes."""


class _Sample:
    """What sorted paths show; beyond the highest of them by an exponential law of the excess.

    The excess over a high level tends to a generalised Pareto law (Pickands 1975), here the exponential one, with the
    mean excess of the highest hundredth of the paths. It begins where one path in a thousand is left.
    """

    def __init__(self, ordered: Floats) -> None:
        self.ordered = ordered
        n = len(ordered)
        self._least = max(_RARE, 1.0 / n)
        self._begin = float(ordered[n - max(round(_RARE * n), 1)])
        high = ordered[n - max(round(_HIGH * n), 1) :]
        self._excess = float((high - high[0]).mean())

    def quantile(self, levels: Floats) -> Ints:
        # Levels are sums of floats: without the small number one that is k / n would take the path after.
        place = np.ceil(levels * len(self.ordered) - 1e-6).astype(np.int64) - 1
        shown = self.ordered[np.clip(place, 0, len(self.ordered) - 1)]
        rarer = self._begin + self._excess * np.log(np.maximum(self._least / (1.0 - levels), 1.0))
        return np.ceil(np.where(1.0 - levels < self._least, rarer, np.minimum(shown, self._begin))).astype(np.int64)

    def cdf(self, units: Ints) -> Floats:
        shown = np.searchsorted(self.ordered, units, side="right") / len(self.ordered)
        if self._excess == 0.0:
            return np.asarray(shown)
        rarer = 1.0 - self._least * np.exp(-np.maximum(units - self._begin, 0.0) / self._excess)
        return np.asarray(np.where(units >= self._begin, rarer, shown))

    def changes(self, most: int) -> Ints:
        shown = np.unique(np.ceil(self.ordered[self.ordered < self._begin]))
        return np.concatenate([shown, np.arange(np.ceil(self._begin), most + 1)]).astype(np.int64)


@dataclass(frozen=True, eq=False)
class _NegativeBinomial:
    """Law of a mean and a variance."""

    mean: float
    variance: float

    def quantile(self, levels: Floats) -> Ints:
        return np.asarray(nb_quantile(levels, np.array(self.mean), np.array(self.variance)), dtype=np.int64)

    def cdf(self, units: Ints) -> Floats:
        return np.asarray(nb_cdf(units.astype(np.float64), self.mean, self.variance))

    def changes(self, most: int) -> Ints:
        return np.arange(most + 1)


def _fitted(ordered: Floats) -> Law:
    mean = float(ordered.mean())
    return _NegativeBinomial(mean, max(float(ordered.var()), mean)) if mean > 0 else _Sample(ordered)


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
