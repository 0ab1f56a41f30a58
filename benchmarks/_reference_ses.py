"""The frozen reference of the benchmark of forecasts: NB-SES with smoothing constant .1 and no season.

Every figure of `benchmarks.demand` is relative to its loss, so it shares nothing with the package's forecasts but the
quantile function of the negative binomial, and it does not change when they do. Level m and one-step error variance v
per period in stock: m += a (y - m), v += b ((y - m_before)^2 - v), from the first sale on; the first `INIT_PERIODS`
are their mean and variance. A period of in-stock share f counts as the rate y / f with the gain f, one below
`MIN_IN_STOCK` is skipped. Variances are drawn to the line that all items share, log v = c + d log m. A sum of h periods
has the mean h m and the variance h v (1 - a / 2) + h^2 v a / 2, at least its mean. Demand is in units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backorder_forecast.distributions import nb_quantile

Floats = NDArray[np.float64]

LEVELS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.833, 0.9, 0.95, 0.975, 0.99)
"""Levels over which the loss of every forecast of the benchmark is averaged."""
ALPHA = 0.1
BETA = 0.1
INIT_PERIODS = 12
MIN_IN_STOCK = 0.25
PRIOR_PERIODS = 15.0
"""Periods that the common line of variances counts for, against (2 - b) / b = 19 effective ones of the item."""
_ON_LINE = 6
"""Periods in stock from which an item helps to draw that line."""
_LINE_ITEMS = 20
"""Items that the line needs; with fewer each keeps its own variance."""


@dataclass(frozen=True, eq=False)
class LevelState:
    """Where an item stands after its history: level, one-step variance and periods counted, each (n_items,)."""

    level: Floats
    variance: Floats
    n_used: NDArray[np.int64]


def reference_quantiles(demand: Floats, exposure: Floats, *, window: int) -> Floats:
    """Quantiles at `LEVELS` of the demand summed over the next `window` periods, shape (n_items, n_levels).

    Parameters
    ----------
    demand, exposure
        Units and in-stock share (below 0: unknown) of the periods known, shape (n_items, n_periods).
    window
        Periods to sum.
    """
    state = smooth(demand, exposure)
    variance = _shrunk(state)
    mean = window * state.level
    spread = window * variance * (1 - ALPHA / 2) + window**2 * variance * ALPHA / 2
    return nb_quantile(np.array(LEVELS)[None, :], mean[:, None], np.maximum(spread, mean)[:, None])


def smooth(demand: Floats, exposure: Floats) -> LevelState:
    """Level and one-step variance of each item after its history; 0 before the first sale."""
    n_items, n_periods = demand.shape
    sold = demand > 0
    first = np.where(sold.any(axis=1), sold.argmax(axis=1), n_periods)
    level, variance = np.zeros(n_items), np.zeros(n_items)
    exposed, units, squares = np.zeros(n_items), np.zeros(n_items), np.zeros(n_items)
    n_used = np.zeros(n_items, dtype=np.int64)
    for period in range(n_periods):
        share = np.minimum(exposure[:, period], 1.0)
        used = (period >= first) & (share >= MIN_IN_STOCK)
        n_used += used
        rows = np.flatnonzero(used & (n_used <= INIT_PERIODS))
        f, y, n = share[rows], demand[rows, period], n_used[rows]
        exposed[rows] += f
        units[rows] += y
        squares[rows] += y * y / f
        level[rows] = units[rows] / exposed[rows]
        own = (squares[rows] - units[rows] ** 2 / exposed[rows]) / np.maximum(n - 1.0, 1.0)
        variance[rows] = np.where(n > 1, np.maximum(own, 0.0), level[rows])
        rows = np.flatnonzero(used & (n_used > INIT_PERIODS))
        f = share[rows]
        error = demand[rows, period] - level[rows] * f
        variance[rows] += BETA * f * (error * error / f - variance[rows])
        level[rows] = np.maximum(level[rows] + ALPHA * error, 0.0)
    return LevelState(level, variance, n_used)


def _shrunk(state: LevelState) -> Floats:
    m, v, n = state.level, state.variance, state.n_used
    known = (m > 0) & (v > 0) & (n >= _ON_LINE)
    if int(known.sum()) < _LINE_ITEMS:
        return np.maximum(v, m)
    slope, intercept = np.polyfit(np.log(m[known]), np.log(v[known]), 1)
    line = intercept + slope * np.log(np.maximum(m, 1e-9))
    effective = np.minimum(n, (2 - BETA) / BETA)
    own = np.log(np.maximum(v, 1e-9))
    shrunk = np.where(v > 0, (effective * own + PRIOR_PERIODS * line) / (effective + PRIOR_PERIODS), line)
    return np.where(m > 0, np.exp(shrunk), 0.0)
