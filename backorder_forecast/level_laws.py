"""From the state of NB-SES to the law of an item's demand, and from that law to the law of a sum of periods.

The variance is drawn to the line that all items share, log v = c + d log m. Of the one-step variance v, v a / 2 is the
level's own uncertainty (Harvey 1989: the stationary error variance of exponential smoothing), v / n where n periods
are fewer than 2 / a. Items with little history take a gamma-Poisson posterior from their group.

With F1 the sum of the factors ahead and F2 the sum of their squares, a sum has mean m F1 and variance
m F1 + (w - m) F2 + l F1^2 for counts, w F2 + l F1^2 in other units: the moments of what `demand_law` draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.distributions import nb_quantile, zero_inflated_gamma_from_moments, zero_inflated_gamma_quantile
from backorder_forecast.nbses import LevelStates
from backorder_forecast.panel import RAN_OUT, DemandPanel, shown_share
from backorder_forecast.scores import pinball

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

RECENT = 26
"""Periods by which it is judged how much of an item's demand stockouts hide."""
_MIN_PEERS = 5
_MIN_LENDING = 4.0
_MOST_COUNTED = 1e6


@dataclass(frozen=True, eq=False)
class LevelLaw:
    """Mean level, its variance, and the variance of one period given the level, each shape (n_items,)."""

    level: Floats
    level_variance: Floats
    within: Floats

    def scaled(self, mean: Floats, spread: Floats, counted: Bools) -> LevelLaw:
        """The law with the mean times `mean` and what is beyond Poisson (counts) times `spread`, shape (n_items,)."""
        level = self.level * mean
        poisson = np.where(counted, self.level, 0.0)
        within = np.maximum(self.within - poisson, 0.0) * mean**2 * spread + poisson * mean
        return LevelLaw(level, self.level_variance * mean**2 * spread, within)


def sum_moments(law: LevelLaw, counted: Bools, factor_sum: Floats, square_sum: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of the demand of several periods, given the sum of their factors and of the squares.

    Examples
    --------
    >>> law = LevelLaw(np.array([2.0]), np.array([0.1]), np.array([5.0]))
    >>> mean, variance = sum_moments(law, np.array([True]), np.array([3.0]), np.array([3.0]))
    >>> mean.tolist(), variance.round(6).tolist()
    ([6.0], [15.9])
    """
    mean = law.level * factor_sum
    poisson = np.where(counted, law.level, 0.0)
    excess = np.maximum(law.within - poisson, 0.0)
    return mean, poisson * factor_sum + excess * square_sum + law.level_variance * factor_sum**2


def sum_quantiles(mean: Floats, variance: Floats, counted: Bools, no_demand: Floats, levels: Floats) -> Floats:
    """Quantiles of a sum by its moments, (n, n_levels): negative binomial, or gamma with a share of zeros.

    `no_demand` is the probability of no demand in a sum of non-integer units, shape (n,).

    Examples
    --------
    >>> no, yes = np.array([False]), np.array([True])
    >>> sum_quantiles(np.array([6.0]), np.array([9.0]), yes, np.array([0.0]), np.array([0.5, 0.9])).tolist()
    [[6.0, 10.0]]
    """
    tau = np.asarray(levels, dtype=np.float64)[None, :]
    out = np.zeros((len(mean), tau.shape[1]))
    some = mean > 0
    # Sums of millions are as good as continuous, and the count law would take its time over them.
    small = counted & (mean < _MOST_COUNTED) & (variance < _MOST_COUNTED**2)
    rows = some & small
    if rows.any():
        out[rows] = nb_quantile(tau, mean[rows, None], np.maximum(variance, mean)[rows, None])
    rows = some & ~small
    if rows.any():
        m, v = mean[rows], np.maximum(variance[rows], 1e-9 * mean[rows] ** 2)
        # A share of zeros fixes a least variance: the periods with demand cannot all be alike and more.
        zero = np.minimum(np.where(counted, 0.0, no_demand)[rows], 0.999 * v / (v + m**2))
        z, a, b = zero_inflated_gamma_from_moments(m, v, zero)
        out[rows] = zero_inflated_gamma_quantile(tau, z[:, None], a[:, None], b[:, None])
    return out


def sum_loss(
    actual: Floats, mean: Floats, variance: Floats, counted: Bools, no_demand: Floats, levels: Floats
) -> Floats:
    """Mean pinball loss over the levels of each sum, units, shape (n,)."""
    quantiles = sum_quantiles(mean, variance, counted, no_demand, levels)
    return np.asarray(pinball(actual[:, None], quantiles, levels[None, :]).mean(axis=1))


def quiet_share(mean: Floats, excess: Floats, share: Floats | float) -> Floats:
    """Share of periods set apart as without demand: a share of the most that mean and variance allow.

    `excess` is the variance of a count beyond Poisson; at the most, periods with demand are Poisson.

    Examples
    --------
    >>> quiet_share(np.array([1.0]), np.array([4.0]), np.array([0.5])).tolist()
    [0.4]
    """
    size = excess + mean**2
    return np.asarray(share * excess / np.where(size > 0, size, 1.0))


def no_demand_chance(mean: Floats, excess: Floats, share: Floats | float) -> Floats:
    """Probability of a period without demand: zero-inflated negative binomial of this mean and variance beyond Poisson.

    Examples
    --------
    >>> from scipy import stats
    >>> float(no_demand_chance(np.array(1.0), np.array(4.0), np.array(0.0)).round(6))
    0.66874
    >>> float(stats.nbinom(0.25, 0.2).pmf(0).round(6))
    0.66874
    """
    quiet = quiet_share(mean, excess, share)
    busy = 1.0 - quiet
    inverse_shape = np.maximum((excess + mean**2) * busy / mean**2 - 1.0, 1e-9)
    return np.asarray(quiet + busy * (1.0 + mean / busy * inverse_shape) ** (-1.0 / inverse_shape))


def hidden_share(panel: DemandPanel) -> tuple[Floats, Floats]:
    """Share of the last `RECENT` periods that hides demand, and how many periods' worth they show; both (n_items,)."""
    recent = panel.exposure[:, -RECENT:]
    hidden = ((recent < 0.25) | (recent == RAN_OUT)).mean(axis=1)
    return np.asarray(hidden), np.asarray(shown_share(recent).sum(axis=1))


def level_law(
    states: LevelStates, origin: int, alpha: Floats, group: Ints, *, counted: Bools, shrink_n: float,
    init_periods: int, shown: Floats | None = None,
) -> tuple[LevelLaw, Bools]:  # fmt: skip
    """Law of every item from its state after one of the recorded origins, and which items took it from their group.

    `alpha` is the smoothing constant per item, `group` the group that lends to items with little history. `shown` says
    how many recent periods an item shows whose demand was mostly hidden, NaN for the others: its level is drawn to the
    group as if it rested on those alone.
    """
    level = states.level[:, origin]
    used, nonzero = states.n_used[:, origin], states.n_nonzero[:, origin]
    variance = _shrunk_variance(states, origin, alpha, shrink_n, counted)
    # The level of a young item is a mean of n periods, whatever the constant.
    level_variance = variance * np.clip(np.maximum(alpha / 2, 1.0 / np.maximum(used, 1.0)), 0.0, 0.5)
    law = LevelLaw(level.copy(), level_variance, variance - level_variance)
    thin = (used < init_periods) | (nonzero < 1)
    units, exposure = states.units[:, origin], states.exposure[:, origin]
    lent = thin
    if shown is not None:
        lent = thin | ~np.isnan(shown)
        rests_on = np.where(thin, exposure, np.nan_to_num(shown))
        units, exposure = np.where(thin, units, level * rests_on), rests_on
    own = states.variance[:, origin] * np.maximum(used - 1.0, 0.0)
    return _from_group(units, exposure, np.where(thin, used, np.inf), own, group, lent, law), thin


def first_period(panel: DemandPanel) -> Ints:
    """First period that counts: the stated launch, else the first sale; n_periods for neither."""
    sold = panel.demand > 0
    first = np.where(sold.any(axis=1), sold.argmax(axis=1), panel.n_periods)
    if "launched" in panel.items:
        launched = pd.DatetimeIndex(pd.to_datetime(panel.items["launched"]))
        at = panel.periods.searchsorted(launched.fillna(pd.Timestamp.max.normalize()), side="left")
        first = np.where(np.asarray(launched.isna()), first, np.minimum(first, at))
    return first.astype(np.int64)


def fractional(panel: DemandPanel) -> Bools:
    """Items whose demand is not in whole units, shape (n_items,)."""
    return np.asarray(_fractional(panel.demand))


@nb.njit(cache=True, nogil=True)
def _fractional(demand):  # type: ignore[no-untyped-def]
    out = np.zeros(demand.shape[0], dtype=np.bool_)
    for i in range(demand.shape[0]):
        for t in range(demand.shape[1]):
            if demand[i, t] != np.floor(demand[i, t]):
                out[i] = True
                break
    return out


def _shrunk_variance(states: LevelStates, origin: int, alpha: Floats, pseudo: float, counted: Bools) -> Floats:
    m, v = states.level[:, origin], states.variance[:, origin]
    known = (m > 0) & (v > 0) & (states.n_nonzero[:, origin] >= 4)
    # Counts of independent customers are never less spread than Poisson; smaller is chance. Kilograms may be.
    floor = np.where(counted, m, 0.0)
    if int(known.sum()) < 10:
        return np.maximum(v, floor)
    slope, intercept = np.polyfit(np.log(m[known]), np.log(v[known]), 1)
    beta = np.maximum(alpha, 0.1)
    effective = np.minimum(states.n_used[:, origin], (2 - beta) / beta)
    with np.errstate(divide="ignore"):
        line = intercept + slope * np.log(np.maximum(m, 1e-12))
        own = np.where(v > 0, np.log(np.maximum(v, 1e-300)), line)
    shrunk = np.exp((effective * own + pseudo * line) / (effective + pseudo))
    return np.where(m > 0, np.maximum(shrunk, floor), 0.0)


def _from_group(
    units: Floats, exposure: Floats, used: Floats, squares: Floats, group: Ints, lent: Bools, law: LevelLaw
) -> LevelLaw:
    """Gamma-Poisson posterior of the items `lent` to, its prior the levels of the other items of the group.

    Lumpy counts say as much as that many fewer single ones: both counts and periods are divided by variance over mean,
    that of the group or, if larger, that of the item's own periods and one more at the mean of the group. `squares` are
    the squared distances of the `used` periods from their mean, all (n_items,).
    """
    if not lent.any():
        return law
    level, level_variance, within = law.level.copy(), law.level_variance.copy(), law.within.copy()
    established = ~lent & (level > 0)
    if int(established.sum()) < _MIN_PEERS:
        # A young shop: its items lend to each other.
        established = (level > 0) & (exposure >= _MIN_LENDING)
    for code in np.unique(group[lent]):
        peers = established & (group == code)
        if int(peers.sum()) < _MIN_PEERS:
            peers = established
        rows = lent & (group == code)
        seen = np.maximum(units[rows], 0.5) / np.maximum(exposure[rows], 1.0)
        mean = float((level[peers] if peers.any() else seen).mean())
        spread = float(level[peers].var()) if int(peers.sum()) > 1 else mean**2
        shape = float(np.clip(mean**2 / max(spread, 1e-12), 0.2, 5.0))
        rate = shape / max(mean, 1e-9)
        usual = max(float(np.median(within[peers] / level[peers])) if peers.any() else 1.0, 1.0)
        ratio = np.maximum(_lumpiness(units[rows], exposure[rows], used[rows], squares[rows], mean), usual)
        a = shape + units[rows] / ratio
        b = rate + exposure[rows] / ratio
        level[rows] = a / b
        level_variance[rows] = a / b**2
        within[rows] = level[rows] * ratio
    return LevelLaw(level, level_variance, within)


def _lumpiness(units: Floats, exposure: Floats, used: Floats, squares: Floats, mean: float) -> Floats:
    """Variance over mean of an item's periods and one more at `mean`; a level below `mean` is no sign of lumps."""
    above = np.maximum(units - mean * exposure, 0.0) ** 2 / np.maximum(exposure * (exposure + 1.0), 1e-9)
    centre = (units + mean) / (exposure + 1.0)
    return np.asarray((squares + above) / np.maximum(used, 1.0) / np.maximum(centre, 1e-12))
