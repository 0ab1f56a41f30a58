"""Continuous ranked probability score: the distance of a whole forecast distribution from what happened, in units.

CRPS = integral of (F(x) - 1{x >= observed})^2 = E|D - y| - E|D - D'| / 2 (Gneiting & Raftery 2007); smaller is better,
and for a point forecast it is the absolute error. One score per observation, a NaN observation gives NaN.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from backorder_forecast.distributions import nb_cdf, negative_binomial_from_moments
from backorder_forecast.scores import pinball

Floats = NDArray[np.float64]


def crps_samples(observed: ArrayLike, samples: ArrayLike) -> Floats:
    """CRPS of each ensemble forecast, units: E|X - y| - E|X - X'| / 2 over the samples (Gneiting & Raftery 2007).

    Parameters
    ----------
    observed
        Shape (...).
    samples
        Shape (..., n_samples); equally likely draws.

    Examples
    --------
    >>> crps_samples([1.0], [[0.0, 2.0]]).tolist()
    [0.5]
    """
    y = np.asarray(observed, dtype=np.float64)
    x = np.sort(np.asarray(samples, dtype=np.float64), axis=-1)
    n = x.shape[-1]
    distance = np.abs(x - y[..., None]).mean(axis=-1)
    # sum over pairs |x_i - x_j| of sorted values in one pass
    spread = ((2.0 * np.arange(1, n + 1) - n - 1.0) * x).sum(axis=-1) / (n * n)
    return np.asarray(distance - spread)


def crps_quantiles(observed: ArrayLike, quantiles: ArrayLike, levels: ArrayLike) -> Floats:
    """CRPS approximated from quantiles, units: twice the pinball loss averaged over the levels.

    Each level stands for the part of (0, 1) nearest to it, so unequal steps are weighted.

    Parameters
    ----------
    observed
        Shape (...).
    quantiles
        Shape (..., n_levels).
    levels
        Increasing shares, (n_levels,).

    Examples
    --------
    >>> crps_quantiles([1.0], [[0.0, 2.0]], [0.25, 0.75]).tolist()
    [0.5]
    """
    tau = np.asarray(levels, dtype=np.float64)
    edges = np.concatenate([[0.0], (tau[1:] + tau[:-1]) / 2.0, [1.0]])
    y = np.asarray(observed, dtype=np.float64)[..., None]
    return np.asarray(2.0 * (pinball(y, quantiles, tau) * np.diff(edges)).sum(axis=-1))


def crps_negative_binomial(observed: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> Floats:
    """Continuous ranked probability score of a count forecast, in units; smaller is better.

    Sum over k of (F(k) - 1{k >= observed})^2 = E|D - y| - E|D - D'| / 2 (Gneiting & Raftery 2007).

    Parameters
    ----------
    observed
        Observed counts.
    mean, variance
        Moments of the forecast; Poisson where variance <= 1.02 mean.

    Examples
    --------
    >>> float(crps_negative_binomial(0, 3.0, 7.5).round(6))
    1.564453
    """
    y, m, v = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (observed, mean, variance)))
    r, p = negative_binomial_from_moments(m, v)
    spread = np.isfinite(r) & (m > 0)
    # E[D; D <= y] = m P(D' <= y - 1), where D' has size r + 1, so mean m + (1 - p) / p; Poisson keeps its mean
    ratio = np.where(spread, 1.0 / p, 1.0)
    inside = m * nb_cdf(y - 1.0, m + ratio - 1.0, (m + ratio - 1.0) * ratio)
    distance = y * (2.0 * nb_cdf(y, m, v) - 1.0) + m - 2.0 * inside
    half: Floats = np.asarray(m * (special.i0e(2.0 * m) + special.i1e(2.0 * m)))
    half[spread] = _half_mean_difference(m[spread], r[spread], p[spread])
    score: Floats = np.where(m > 0, distance - half, np.abs(y))
    return score


def crps_poisson(observed: ArrayLike, mean: ArrayLike) -> Floats:
    """Continuous ranked probability score of a Poisson forecast, in units.

    Examples
    --------
    >>> float(crps_poisson(5, 3.0).round(6))
    1.313114
    """
    return crps_negative_binomial(observed, mean, mean)


def _half_mean_difference(mean: Floats, r: Floats, p: Floats) -> Floats:
    """E|D - D'| / 2 of negative binomials; beyond 100 000 terms by the gamma law of the same moments (1e-4 relative).

    The closed form with a hypergeometric function overflows in scipy already at means of a few hundred.
    """
    variance = mean / p
    summed = mean + 12.0 * np.sqrt(variance) + 35.0 / p <= 1e5
    shape = mean * mean / variance
    out: Floats = mean * np.exp(special.gammaln(shape + 0.5) - special.gammaln(shape + 1.0)) / np.sqrt(np.pi)
    out[summed] = _gini_sums(mean[summed], r[summed], p[summed])
    return out


@nb.njit(cache=True, nogil=True)
def _gini_sums(mean: Floats, r: Floats, p: Floats) -> Floats:
    out = np.zeros(mean.size)
    for i in range(mean.size):
        m, size, q = mean[i], r[i], 1.0 - p[i]
        k = max(0.0, math.floor(m - 12.0 * math.sqrt(m / p[i])))
        log = math.lgamma(size + k) - math.lgamma(size) - math.lgamma(k + 1.0)
        mass = math.exp(log + size * math.log(p[i]) + k * math.log(q))
        below, total = 0.0, 0.0
        while k < m or mass > 1e-16 * p[i]:
            below = min(below + mass, 1.0)
            total += below * (1.0 - below)
            mass *= q * (size + k) / (k + 1.0)
            k += 1.0
        out[i] = total
    return out
