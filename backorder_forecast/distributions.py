"""Demand distributions: counts (negative binomial, Poisson) and fractional amounts (zero mass and gamma), by moments.

Counts are given by their mean and variance in units and units squared. The negative binomial has success probability
p = mean / variance and size r = mean^2 / (variance - mean), mean = r (1 - p) / p; with variance <= 1.02 mean (also
below the mean) it is Poisson, r = inf. Levels and probabilities are shares between 0 and 1. All functions broadcast
like numpy, work elementwise and need only special functions, so that a whole panel is one call.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

POISSON_RATIO = 1.02
"""Variance to mean ratio up to which a count is Poisson."""
_MAX_SHAPE = 1e6
_TINY = 1e-250


def negative_binomial_from_moments(mean: ArrayLike, variance: ArrayLike) -> tuple[Floats, Floats]:
    """Size r and probability p of the negative binomial with these moments; r = inf, p = 1 where it is Poisson.

    Parameters
    ----------
    mean, variance
        Units and units squared, any shapes that broadcast.

    Returns
    -------
    r, p
        Arrays of the broadcast shape: r = m^2 / (v - m), p = m / v.

    Examples
    --------
    >>> r, p = negative_binomial_from_moments([4.0, 4.0], [10.0, 4.0])
    >>> r.round(4).tolist(), p.round(4).tolist()
    ([2.6667, inf], [0.4, 1.0])
    """
    m, v = np.broadcast_arrays(np.asarray(mean, dtype=np.float64), np.asarray(variance, dtype=np.float64))
    spread = v > POISSON_RATIO * m
    unknown = np.isnan(m + v)
    r = np.where(unknown, np.nan, np.inf)
    p = np.where(unknown, np.nan, 1.0)
    np.divide(m * m, v - m, out=r, where=spread)
    np.divide(m, v, out=p, where=spread)
    return r, p


def nb_pmf(count: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> Floats:
    """P(D = count) of a negative binomial (or Poisson) count; 0 for negative or fractional counts.

    Examples
    --------
    >>> nb_pmf([0, 1], 4.0, 10.0).round(4).tolist()
    [0.0869, 0.139]
    """
    k, m, r, p = _parameters(count, mean, variance)
    whole = (k >= 0) & (k == np.floor(k)) & np.isfinite(k) & (m > 0)
    poisson, spread = whole & np.isinf(r), whole & np.isfinite(r)
    log = np.full(k.shape, -np.inf)
    log[(k == 0) & (m <= 0)] = 0.0
    x, mu = k[poisson], m[poisson]
    log[poisson] = special.xlogy(x, mu) - mu - special.gammaln(x + 1.0)
    x, a, q = k[spread], r[spread], p[spread]
    # betaln keeps its digits where the difference of gammaln(r + k) and gammaln(r) would lose them
    log[spread] = -np.log(a + x) - special.betaln(a, x + 1.0) + a * np.log(q) + special.xlog1py(x, -q)
    return np.where(np.isnan(k + m + p), np.nan, np.exp(log))


def nb_cdf(count: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> Floats:
    """P(D <= count) of a negative binomial (or Poisson) count.

    Examples
    --------
    >>> nb_cdf([-1, 0, 10], 4.0, 10.0).round(4).tolist()
    [0.0, 0.0869, 0.9578]
    """
    return _cdf(*_parameters(count, mean, variance))


def nb_quantile(level: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> Floats:
    """Smallest count k with P(D <= k) >= level.

    Parameters
    ----------
    level
        Share; 0 or less gives 0, 1 or more gives inf. Broadcasts: levels (1, q) against means (n, 1) give (n, q).
    mean, variance
        Units and units squared.

    Returns
    -------
    Whole numbers as floats, of the broadcast shape.

    Examples
    --------
    >>> nb_quantile([0.5, 0.95], 4.0, 10.0).tolist()
    [3.0, 10.0]
    """
    u, m, v = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (level, mean, variance)))
    shape = u.shape
    u, m, v = u.ravel(), m.ravel(), v.ravel()
    r, p = negative_binomial_from_moments(m, v)
    out = np.where(np.isnan(u + m + v), np.nan, np.where(u >= 1.0, np.inf, 0.0))
    rows = np.flatnonzero((u > 0.0) & (u < 1.0) & (m > 0.0) & np.isfinite(m + v))
    u, m, v, r, p = u[rows], m[rows], v[rows], r[rows], p[rows]
    v = np.where(np.isinf(r), m, v)
    sd = np.sqrt(v)
    # Cornish-Fisher start; the skewness of a negative binomial is (2v - m) / (m sd), of a Poisson 1 / sd
    z = special.ndtri(u)
    start = np.ceil(m + sd * z + (z * z - 1.0) * (2.0 * v / m - 1.0) / 6.0)
    low, high = _bracket(np.clip(start, 0.0, np.ceil(m + 50.0 * sd)), np.ceil(0.05 * sd) + 1.0, u, m, r, p)
    active = np.flatnonzero(high - low > 1.0)
    while active.size:
        middle = np.floor(0.5 * (low[active] + high[active]))
        reached = _cdf(middle, m[active], r[active], p[active]) >= u[active]
        high[active[reached]] = middle[reached]
        low[active[~reached]] = middle[~reached]
        active = active[high[active] - low[active] > 1.0]
    out[rows] = high
    return out.reshape(shape)


def nb_censored_moments(threshold: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> tuple[Floats, Floats]:
    """Mean and variance of demand known only to be at least the threshold (the shelf ran empty after that many).

    E[D | D >= c] = m P(D' >= c - 1) / P(D >= c), where D' is Poisson with the same mean, or negative binomial of size
    r + 1 (Conrad 1976 for the Poisson case); the second factorial moment likewise with r + 2 and c - 2.

    Parameters
    ----------
    threshold
        Units sold before the stock ran out; 0 or less leaves the moments as they are.
    mean, variance
        Moments of the uncensored count.

    Returns
    -------
    mean, variance
        Conditional moments, of the broadcast shape.

    Examples
    --------
    >>> conditional_mean, conditional_variance = nb_censored_moments([0, 5], 4.0, 4.0)
    >>> conditional_mean.round(3).tolist(), conditional_variance.round(3).tolist()
    ([4.0, 6.105], [4.0, 1.673])
    """
    c, m, r, p = _parameters(threshold, mean, variance)
    c = np.ceil(c)
    beyond = _at_least(c, m, r, p)
    usable = (c > 0) & (beyond > _TINY)
    divisor = np.where(usable, beyond, 1.0)
    first = m * _at_least(c - 1.0, m, r + 1.0, p) / divisor
    growth = np.where(np.isinf(r), 1.0, 1.0 + 1.0 / np.where(r > 0, r, np.inf))
    second = m * m * growth * _at_least(c - 2.0, m, r + 2.0, p) / divisor
    # where the tail underflows its terms fall like a geometric series with this ratio
    finite = np.where(np.isinf(r), 0.0, r)
    ratio = np.where(np.isinf(r), m / (c + 1.0), (c + finite) / (c + 1.0) * (1.0 - p))
    ratio = np.clip(ratio, 0.0, 0.999)
    far = (c > 0) & ~usable
    v = np.where(np.isinf(r), m, m / p)
    out_mean = np.where(usable, first, np.where(far, c + ratio / (1.0 - ratio), m))
    out_variance = np.where(usable, second + first - first * first, np.where(far, ratio / (1.0 - ratio) ** 2, v))
    return np.maximum(out_mean, np.where(c > 0, c, 0.0)), np.maximum(out_variance, 0.0)


def nb_shortage(level: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> Floats:
    """Expected units short E[(D - level)+] of a negative binomial (or Poisson) count against a stock level.

    E[(D - x)+] = E[D; D > x] - x P(D > x) (Snyder & Shen 2019, C.3); left over are x - mean + shortage.

    Examples
    --------
    >>> nb_shortage([5, 50], [7.0, 47.0], [7.0, 47.0]).round(6).tolist()
    [2.2926, 1.514547]
    """
    x, m, r, p = _parameters(level, mean, variance)
    above = np.floor(x) + 1.0
    short = m * _at_least(above - 1.0, m, r + 1.0, p) - x * _at_least(above, m, r, p)
    return np.where(x < 0, m - x, np.maximum(short, 0.0))


def poisson_censored_mle(uncensored: ArrayLike, censored_at: ArrayLike, *, tolerance: float = 1e-10) -> float:
    """Poisson mean per period when some periods are known only as "at least this many" (expectation-maximisation).

    Each step replaces a censored count c by E[D | D >= c] under the present mean (Conrad 1976).

    Parameters
    ----------
    uncensored
        Counts of fully stocked periods.
    censored_at
        Units sold in periods that ran out.
    tolerance
        Largest relative change at which the iteration stops.

    Returns
    -------
    The mean in units per period; 0 without any demand, NaN without any period. With censored periods only the
    likelihood has no maximum, so the iteration would not end: NaN as well.

    Examples
    --------
    >>> round(poisson_censored_mle([3, 5, 4, 6, 2, 4], [5, 5, 3]), 4)
    4.6722
    """
    seen = np.asarray(uncensored, dtype=np.float64).ravel()
    at_least = np.asarray(censored_at, dtype=np.float64).ravel()
    if seen.size == 0:
        return float("nan")
    periods = seen.size + at_least.size
    rate = float((seen.sum() + at_least.sum()) / periods)
    for _ in range(10_000):
        imputed = nb_censored_moments(at_least, rate, rate)[0].sum()
        update = float((seen.sum() + imputed) / periods)
        if abs(update - rate) <= tolerance * max(rate, 1.0):
            return update
        rate = update
    return rate


def zero_inflated_gamma_from_moments(
    mean: ArrayLike, variance: ArrayLike, zero_share: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """Zero mass, shape and scale of fractional demand with this mean, variance and share of zero periods.

    The share of zeros is lowered to what the variance allows, z <= v / (v + m^2), with the rest spread at least a
    little, so mean and variance are kept. Draws: zero with probability z, else shape * scale * `gamma_table`.

    Returns
    -------
    zero_share, shape, scale
        Arrays of the broadcast shape; the mean is (1 - zero_share) shape scale.

    Examples
    --------
    >>> z, shape, scale = zero_inflated_gamma_from_moments(2.0, 8.0, 0.5)
    >>> float(z), float(shape.round(4)), float(scale.round(4))
    (0.5, 2.0, 2.0)
    """
    m, v, z = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (mean, variance, zero_share)))
    positive = (m > 0) & (v > 0)
    m_safe = np.where(positive, m, 1.0)
    # squared coefficient of variation of the whole; the positive part has (1 - z)(1 + c) - 1, which must stay positive
    c = np.where(positive, v, 1.0) / (m_safe * m_safe)
    z = np.clip(z, 0.0, np.maximum(1.0 - (1.0 + 1.0 / _MAX_SHAPE) / (1.0 + c), 0.0))
    shape = 1.0 / np.maximum((1.0 - z) * (1.0 + c) - 1.0, 1.0 / _MAX_SHAPE)
    z = np.where(m > 0, np.where(positive, z, 0.0), 1.0)
    shape = np.where(positive, shape, _MAX_SHAPE)
    scale = np.where(m > 0, m, 0.0) / (np.where(z < 1.0, 1.0 - z, 1.0) * shape)
    return z, shape, scale


def zero_inflated_gamma_cdf(value: ArrayLike, zero_share: ArrayLike, shape: ArrayLike, scale: ArrayLike) -> Floats:
    """P(D <= value) of zero mass and gamma.

    Examples
    --------
    >>> zero_inflated_gamma_cdf([-1.0, 0.0, 4.0], 0.5, 2.0, 2.0).round(4).tolist()
    [0.0, 0.5, 0.797]
    """
    x, z, a, b = (np.asarray(v, dtype=np.float64) for v in (value, zero_share, shape, scale))
    t = np.maximum(x, 0.0) / np.where(b > 0, b, 1.0)
    below = np.where(b > 0, special.gammainc(a, t), 1.0)
    return np.where(x < 0, 0.0, z + (1.0 - z) * below)


def zero_inflated_gamma_quantile(level: ArrayLike, zero_share: ArrayLike, shape: ArrayLike, scale: ArrayLike) -> Floats:
    """Smallest amount x with P(D <= x) >= level; level 1 gives inf.

    Examples
    --------
    >>> zero_inflated_gamma_quantile([0.4, 0.9], 0.5, 2.0, 2.0).round(3).tolist()
    [0.0, 5.989]
    """
    u, z, a, b = (np.asarray(v, dtype=np.float64) for v in (level, zero_share, shape, scale))
    rest = np.clip((u - z) / np.where(z < 1.0, 1.0 - z, 1.0), 0.0, 1.0)
    return np.where((u > z) & (b > 0), b * special.gammaincinv(a, rest), 0.0)


def gamma_table(shapes: ArrayLike, n_bins: int) -> Floats:
    """Equiprobable support points of a gamma variable with mean 1: the mean of each of n_bins bins.

    Drawing a row's entry with equal probability has mean exactly 1; the variance falls short of 1 / shape by what lies
    within the bins (1.7 % at 64 bins and shape 1).

    Parameters
    ----------
    shapes
        Gamma shapes, (n,), 0.001 or more; inf gives ones.
    n_bins
        Points per row.

    Returns
    -------
    Array (n, n_bins), increasing along each row. About 0.6 microseconds per entry.

    Examples
    --------
    >>> gamma_table([1.0, float("inf")], 4).round(2).tolist()
    [[0.14, 0.48, 1.0, 2.39], [1.0, 1.0, 1.0, 1.0]]
    """
    a = np.clip(np.asarray(shapes, dtype=np.float64).reshape(-1, 1), 1e-3, _MAX_SHAPE)
    edges = special.gammaincinv(a, np.arange(1, n_bins) / n_bins)
    bounds = np.concatenate([np.zeros_like(a), special.gammainc(a + 1.0, edges), np.ones_like(a)], axis=1)
    table: Floats = np.diff(bounds, axis=1) * n_bins
    table[np.isinf(np.asarray(shapes, dtype=np.float64).ravel())] = 1.0
    return table


def _parameters(count: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> tuple[Floats, Floats, Floats, Floats]:
    k, m, v = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (count, mean, variance)))
    r, p = negative_binomial_from_moments(m, v)
    return k, m, r, p


def _cdf(count: Floats, mean: Floats, r: Floats, p: Floats) -> Floats:
    """P(D <= count), given size and probability; all of one shape."""
    out = np.where(np.isnan(count + mean + p), np.nan, np.where(count >= 0, 1.0, 0.0))
    k = np.floor(count)
    regular = (k >= 0) & np.isfinite(k) & (mean > 0)
    poisson, spread = regular & np.isinf(r), regular & np.isfinite(r)
    # indexed, because where= of scipy's own ufuncs overruns the output (seen in scipy 1.17)
    out[poisson] = special.gammaincc(k[poisson] + 1.0, mean[poisson])
    out[spread] = special.betainc(r[spread], k[spread] + 1.0, p[spread])
    return out


def _at_least(count: Floats, mean: Floats, r: Floats, p: Floats) -> Floats:
    """P(D >= count), accurate in the far tail; all of one shape."""
    out = np.where(np.isnan(count + mean + p), np.nan, np.where(count > 0, 0.0, 1.0))
    k = np.ceil(count)
    regular = (k > 0) & np.isfinite(k) & (mean > 0)
    poisson, spread = regular & np.isinf(r), regular & np.isfinite(r)
    out[poisson] = special.gammainc(k[poisson], mean[poisson])
    out[spread] = special.betaincc(r[spread], k[spread], p[spread])
    return out


def _bracket(start: Floats, step: Floats, level: Floats, mean: Floats, r: Floats, p: Floats) -> tuple[Floats, Floats]:
    """Counts low < high with cdf(low) < level <= cdf(high), searched outwards from a start."""
    low, high, widths = np.full_like(start, -1.0), start.copy(), step.copy()
    rows = np.flatnonzero(_cdf(high, mean, r, p) < level)
    risen = np.zeros(start.shape, dtype=np.bool_)
    risen[rows] = True
    while rows.size:
        low[rows] = high[rows]
        high[rows] += widths[rows]
        widths[rows] *= 2.0
        rows = rows[_cdf(high[rows], mean[rows], r[rows], p[rows]) < level[rows]]
    rows = np.flatnonzero(~risen)
    while rows.size:
        candidate = np.maximum(high[rows] - widths[rows], -1.0)
        reached = (candidate >= 0) & (_cdf(candidate, mean[rows], r[rows], p[rows]) >= level[rows])
        low[rows] = candidate
        high[rows[reached]] = candidate[reached]
        widths[rows] *= 2.0
        rows = rows[reached]
    return low, high
