"""NB-SES: exponentially smoothed level and variance of seasonal, partly hidden counts, for a whole panel at once.

With u the effective exposure of a period (in-stock share times seasonal index), level m and one-step variance v obey

    m += a * min(u, 1) * (y / u - m)            v += b * min(u, 1) * ((y - m u)^2 / u - v),  m as it was before

so that a period that shows little of the demand moves them little. The gains are a = max(alpha, 1/n) and
b = max(alpha, 0.1, 1/n) in the n-th period used: a young item's level is the mean of what was seen, whatever alpha is.
Periods without exposure are skipped; a period in which stock ran out at an unknown moment enters as the expectation of
demand given that it reached the amount sold (Conrad 1976), under the negative binomial law held at that moment.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from backorder_forecast.panel import RAN_OUT, DemandPanel

_MIN_EXPOSURE_UNITS = 0.02
_IMPUTE_LIMIT = 500.0


@dataclass(frozen=True, eq=False)
class LevelStates:
    """State of every item after given numbers of periods, arrays (n_items, n_origins).

    `level` units per period at seasonal index 1, `variance` of one period, `exposure` summed effective exposure since
    the first sale, `units` sold in it, `n_used` periods used, `n_nonzero` of them with demand.
    """

    level: NDArray[np.float64]
    variance: NDArray[np.float64]
    exposure: NDArray[np.float64]
    units: NDArray[np.float64]
    n_used: NDArray[np.float64]
    n_nonzero: NDArray[np.float64]


def scan_levels(
    panel: DemandPanel,
    factors: NDArray[np.float64],
    group: NDArray[np.int64],
    first: NDArray[np.int64],
    *,
    alpha: float | NDArray[np.float64],
    min_in_stock: float,
    init_periods: int,
    origins: Sequence[int],
) -> LevelStates:
    """Run NB-SES over a panel and record the states after the given numbers of periods.

    Parameters
    ----------
    panel
        Demand and exposure.
    factors
        Seasonal index per group and period, shape (n_groups, n_periods).
    group
        Row of `factors` per item, shape (n_items,).
    first
        First period that counts per item (launch or first sale), shape (n_items,); n_periods for none.
    alpha
        Smoothing constant, one number or one per item, shape (n_items,).
    min_in_stock
        In-stock share below which a period is skipped.
    init_periods
        Periods that initialise level and variance.
    origins
        Increasing numbers of periods after which the state is recorded.
    """
    result = _scan(
        panel.demand, panel.exposure, factors, group, first, np.broadcast_to(np.float64(alpha), first.shape),
        min_in_stock, init_periods, np.asarray(origins, dtype=np.int64),
    )  # fmt: skip
    return LevelStates(*result)


@nb.njit(cache=True, nogil=True)
def _censored_moments(mean: float, variance: float, sold: float) -> tuple[float, float]:
    """Mean and variance of a negative binomial given that it reached `sold`."""
    if sold <= 0.0:
        return mean, variance
    if sold > _IMPUTE_LIMIT:
        return max(sold, mean), 0.0
    spread = max(variance, mean * 1.02)
    r = mean * mean / (spread - mean)
    q = 1.0 - mean / spread
    p_k = math.exp(r * math.log(mean / spread))
    below = 0.0
    first_moment = 0.0
    second_moment = 0.0
    for k in range(math.ceil(sold)):
        below += p_k
        first_moment += k * p_k
        second_moment += k * k * p_k
        p_k *= (r + k) / (k + 1.0) * q
    above = 1.0 - below
    if above < 1e-9:
        return sold, 0.0
    expected = (mean - first_moment) / above
    square = (spread + mean * mean - second_moment) / above
    return max(expected, sold), max(square - expected * expected, 0.0)


@nb.njit(cache=True, nogil=True)
def _scan(demand, exposure, factors, group, first, alpha, min_in_stock, init_periods, origins):  # type: ignore[no-untyped-def]
    n_items, n_periods = demand.shape
    n_origins = origins.size
    level = np.zeros((n_items, n_origins))
    variance = np.zeros((n_items, n_origins))
    exposed = np.zeros((n_items, n_origins))
    units = np.zeros((n_items, n_origins))
    used = np.zeros((n_items, n_origins))
    nonzero = np.zeros((n_items, n_origins))
    for i in range(n_items):
        m = 0.0
        v = 0.0
        sum_u = 0.0
        sum_y = 0.0
        sum_w = 0.0
        sum_yy = 0.0
        n_used = 0
        n_nonzero = 0
        k = 0
        for t in range(n_periods + 1):
            while k < n_origins and origins[k] == t:
                level[i, k] = m
                variance[i, k] = v
                exposed[i, k] = sum_u
                units[i, k] = sum_y
                used[i, k] = n_used
                nonzero[i, k] = n_nonzero
                k += 1
            if t == n_periods or k == n_origins:
                break
            if t < first[i]:
                continue
            f = exposure[i, t]
            y = demand[i, t]
            imputed_variance = 0.0
            if f == RAN_OUT:
                u = factors[group[i], t]
                if u < _MIN_EXPOSURE_UNITS or m <= 0.0 or n_used < init_periods:
                    continue
                y, imputed_variance = _censored_moments(m * u, max(v, m) * u, y)
            else:
                if f < min_in_stock:
                    continue
                u = f * factors[group[i], t]
                if u < _MIN_EXPOSURE_UNITS:
                    continue
            n_used += 1
            if y > 0.0:
                n_nonzero += 1
            sum_u += u
            sum_y += y
            if n_used <= init_periods:
                # Running totals give mean and variance of the first periods without storing them.
                sum_w += 1.0
                sum_yy += y * y / u
                m = sum_y / sum_u
                if n_used > 1:
                    v = max((sum_yy - sum_y * sum_y / sum_u) / (sum_w - 1.0), 0.0)
                else:
                    v = m
                continue
            gain = min(u, 1.0)
            error = y - m * u
            fresh = 1.0 / n_used
            v += max(alpha[i], 0.1, fresh) * gain * ((error * error + imputed_variance) / u - v)
            m += max(alpha[i], fresh) * gain * error / u
            if m < 0.0:
                m = 0.0
    return level, variance, exposed, units, used, nonzero
