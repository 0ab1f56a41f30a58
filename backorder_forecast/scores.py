"""Scores: how good forecasts, quantiles, probabilities and alerts were; smaller is better unless said otherwise.

Observations and point forecasts are in units, probabilities and levels are shares, outcomes 0/1 or bool. Functions of
one observation per row return arrays; summaries return floats. A NaN observation is left out of every mean. Weighted
absolute errors (WAPE, MASE) are won by all-zero forecasts on intermittent demand: rank on pinball loss or CRPS there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backorder_forecast.errors import InvalidSettings, unknown_option

Floats = NDArray[np.float64]


def pinball(observed: ArrayLike, quantile: ArrayLike, level: ArrayLike) -> Floats:
    """Pinball (quantile) loss of each forecast, units: level (y - q) above the quantile, (1 - level)(q - y) below.

    Parameters
    ----------
    observed, quantile, level
        Any shapes that broadcast.

    Examples
    --------
    >>> pinball([0, 2], 1.0, 0.75).tolist()
    [0.25, 0.75]
    """
    y, q, tau = (np.asarray(v, dtype=np.float64) for v in (observed, quantile, level))
    return np.asarray(np.maximum(tau * (y - q), (tau - 1.0) * (y - q)))


def naive_scale(train: ArrayLike, *, squared: bool = False) -> Floats:
    """Mean absolute (or squared) change from period to period in training, from the first demand on; shape (...).

    The unit in which scaled scores are expressed. Zero where demand never changed, NaN with fewer than two periods.

    Parameters
    ----------
    train
        Past periods on the last axis, (..., n_periods); NaN periods are left out.

    Examples
    --------
    >>> naive_scale([[0, 1, 0, 2, 0, 1]]).tolist()
    [1.5]
    """
    past = np.asarray(train, dtype=np.float64)
    started = np.cumsum(np.nan_to_num(past, nan=0.0) != 0.0, axis=-1) > 0
    change = np.diff(np.where(started, past, np.nan), axis=-1)
    return known_mean(change * change if squared else np.abs(change))


def scaled_pinball(observed: ArrayLike, quantile: ArrayLike, level: ArrayLike, train: ArrayLike) -> Floats:
    """Mean pinball loss over the horizon divided by `naive_scale` of the training periods (M5 SPL); shape (...).

    Parameters
    ----------
    observed, quantile
        Horizon on the last axis, (..., horizon).
    level
        One share, or an array that broadcasts against `observed`.
    train
        Past periods, (..., n_periods). A scale of zero gives NaN: such items cannot be compared.

    Examples
    --------
    >>> float(scaled_pinball([0, 2, 0, 3], [1, 1, 1, 1], 0.75, [1, 0, 2, 0, 1]).round(6))
    0.458333
    """
    return ratio(known_mean(pinball(observed, quantile, level)), naive_scale(train))


def pit_nonrandomised(cdf_below: ArrayLike, cdf_at: ArrayLike, u: ArrayLike) -> Floats:
    """Mean probability integral transform of count forecasts at the points u; u itself where forecasts are calibrated.

    Above u the observations fall too low, below u too high (Czado, Gneiting & Held 2009, eq. 2).

    Parameters
    ----------
    cdf_below, cdf_at
        Forecast P(D <= y - 1) and P(D <= y) at each observation, (n,).
    u
        Points in [0, 1], (k,).

    Returns
    -------
    Array (k,). `pit_histogram` takes the differences between successive points.

    Examples
    --------
    >>> pit_nonrandomised([0.0, 0.5], [0.5, 1.0], [0.25, 0.5]).tolist()
    [0.25, 0.5]
    """
    low = np.asarray(cdf_below, dtype=np.float64)[:, None]
    high = np.asarray(cdf_at, dtype=np.float64)[:, None]
    point = np.asarray(u, dtype=np.float64)[None, :]
    width = np.where(high > low, high - low, 1.0)
    inside = np.where(high > low, np.clip((point - low) / width, 0.0, 1.0), np.where(point >= high, 1.0, 0.0))
    return known_mean(np.where(np.isnan(low + high), np.nan, inside).T)


def pit_histogram(cdf_below: ArrayLike, cdf_at: ArrayLike, *, bins: int = 10) -> Floats:
    """Shares of the non-randomised PIT in equally wide bins, (bins,); all 1 / bins where forecasts are calibrated.

    High outer bins: forecasts too narrow; high inner bins: too wide (Czado, Gneiting & Held 2009, section 2.1).

    Parameters
    ----------
    cdf_below, cdf_at
        As for `pit_nonrandomised`. What lies on an edge counts in the bin below it, and 0 in the first.

    Examples
    --------
    >>> pit_histogram([0.0, 0.5], [0.5, 1.0], bins=4).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    if bins < 1:
        raise InvalidSettings(f"bins is at least 1, got {bins!r}")
    edges = np.arange(1, bins + 1) / bins
    # One point at a time: all of them at once would be an array of observations times bins.
    return np.diff([0.0, *(float(pit_nonrandomised(cdf_below, cdf_at, [u])[0]) for u in edges)])


def coverage(observed: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> float:
    """Share of observations within [lower, upper], bounds included; where one of the three is NaN it is left out.

    Examples
    --------
    >>> coverage([1, 2, 9], [0, 0, 0], [2, 2, 2])
    0.6666666666666666
    """
    y, low, high = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (observed, lower, upper)))
    unknown = np.isnan(y) | np.isnan(low) | np.isnan(high)
    return float(known_mean(np.where(unknown, np.nan, (y >= low) & (y <= high)).ravel()))


def rmsse(observed: ArrayLike, forecast: ArrayLike, train: ArrayLike) -> Floats:
    """Root mean squared error over the root mean squared change in training (M5 RMSSE); shapes as `scaled_pinball`.

    Examples
    --------
    >>> float(rmsse([2.0, 0.0], [1.0, 1.0], [0, 1, 3, 1]))
    0.5
    """
    error = np.asarray(observed, dtype=np.float64) - np.asarray(forecast, dtype=np.float64)
    return np.sqrt(ratio(known_mean(error * error), naive_scale(train, squared=True)))


def mase(observed: ArrayLike, forecast: ArrayLike, train: ArrayLike) -> Floats:
    """Mean absolute error over the mean absolute change in training (Hyndman & Koehler 2006); shapes as above.

    Examples
    --------
    >>> float(mase([2.0, 0.0], [1.0, 1.0], [1, 3, 1]))
    0.5
    """
    error = np.asarray(observed, dtype=np.float64) - np.asarray(forecast, dtype=np.float64)
    return ratio(known_mean(np.abs(error)), naive_scale(train))


def wape(observed: ArrayLike, forecast: ArrayLike) -> float:
    """Sum of absolute errors over the sum of demand; NaN without demand.

    Examples
    --------
    >>> wape([2.0, 2.0], [1.0, 3.0])
    0.5
    """
    y, f = _pairs(observed, forecast)
    return float(ratio(np.abs(y - f).sum(), np.abs(y).sum()))


def bias(observed: ArrayLike, forecast: ArrayLike) -> float:
    """Sum of forecast minus demand over the sum of demand; positive is too high, 0 is best.

    Examples
    --------
    >>> bias([2.0, 2.0], [1.0, 4.0])
    0.25
    """
    y, f = _pairs(observed, forecast)
    return float(ratio((f - y).sum(), np.abs(y).sum()))


def brier(probability: ArrayLike, outcome: ArrayLike) -> float:
    """Mean squared difference of probability and outcome.

    Examples
    --------
    >>> brier([0.5, 1.0], [0, 1])
    0.125
    """
    p, o = _pairs(probability, outcome)
    return float(known_mean((p - o) ** 2))


@dataclass(frozen=True)
class BrierParts:
    """Murphy's decomposition: score = reliability - resolution + uncertainty + within_bins.

    Attributes
    ----------
    score
        Brier score.
    reliability
        Squared distance of stated and observed frequency; 0 is best.
    resolution
        Squared distance of the groups' frequencies from the base rate; larger is better.
    uncertainty
        Base rate times its complement: what always stating the base rate scores.
    within_bins
        What rounding the probabilities to bins leaves over; 0 where groups are distinct probabilities.
    skill
        1 - score / uncertainty: 0 is no better than the base rate, 1 perfect. NaN where all outcomes are equal.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float
    skill: float


def brier_decomposition(probability: ArrayLike, outcome: ArrayLike, *, bins: int | None = None) -> BrierParts:
    """Brier score split into reliability, resolution and uncertainty (Murphy 1973).

    Parameters
    ----------
    probability, outcome
        Shares and 0/1, (n,).
    bins
        Number of equally wide bins; None groups by distinct probability.

    Examples
    --------
    >>> parts = brier_decomposition([0.1, 0.1, 0.8, 0.8], [0, 0, 1, 0])
    >>> round(parts.reliability, 3), round(parts.resolution, 4), parts.uncertainty
    (0.05, 0.0625, 0.1875)
    """
    p, o = _pairs(probability, outcome)
    if p.size == 0:
        return BrierParts(*[float("nan")] * 6)
    score, base = brier(p, o), float(o.mean())
    count, stated, seen = _groups(p, o, _bin_codes(p, bins))
    reliability = float((count * (stated - seen) ** 2).sum() / p.size)
    resolution = float((count * (seen - base) ** 2).sum() / p.size)
    uncertainty = base * (1.0 - base)
    within = score - (reliability - resolution + uncertainty)
    skill = 1.0 - score / uncertainty if uncertainty > 0.0 else float("nan")
    return BrierParts(score, reliability, resolution, uncertainty, within, skill)


def expected_calibration_error(
    probability: ArrayLike, outcome: ArrayLike, *, bins: int = 10, by: str = "width"
) -> float:
    """Mean distance of stated and observed frequency over bins, weighted by their size.

    With `by="width"` the bins are equally wide; with "count" they hold equally many forecasts, equal ones together,
    which is better for rare events.

    Examples
    --------
    >>> round(expected_calibration_error([0.1, 0.1, 0.8, 0.8], [0, 0, 1, 0]), 6)
    0.2
    """
    p, o = _pairs(probability, outcome)
    if by == "width":
        codes = _bin_codes(p, bins)
    elif by == "count":
        inside = np.quantile(p, np.arange(1, bins) / bins) if p.size else np.empty(0)
        codes = np.searchsorted(inside, p, side="left")
    else:
        raise unknown_option("by", by, ("width", "count"))
    count, stated, seen = _groups(p, o, codes)
    return float(ratio((count * np.abs(stated - seen)).sum(), p.size))


def auc(score: ArrayLike, outcome: ArrayLike) -> float:
    """P(a random event scores above a random non-event), ties one half; 0.5 is chance, 1 is best.

    Examples
    --------
    >>> auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75
    """
    s, o = _pairs(score, outcome)
    hits, misses, _ = _descending(s, o)
    above = np.concatenate([[0.0], np.cumsum(hits)[:-1]])
    return float(ratio(((above + hits / 2.0) * misses).sum(), hits.sum() * misses.sum()))


def average_precision(score: ArrayLike, outcome: ArrayLike) -> float:
    """Area under the precision-recall steps, sum of (recall gained) times precision; 1 is best, the base rate chance.

    Examples
    --------
    >>> round(average_precision([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]), 4)
    0.8333
    """
    s, o = _pairs(score, outcome)
    hits, misses, _ = _descending(s, o)
    caught = np.cumsum(hits)
    alerts = caught + np.cumsum(misses)
    return float(ratio((hits * ratio(caught, alerts)).sum(), hits.sum()))


def recall_at_k(score: ArrayLike, outcome: ArrayLike, k: int) -> float:
    """Share of the events among the k highest scores; 1 is best.

    Scores tied at the k-th place count by their average, so that row order does not matter.

    Examples
    --------
    >>> recall_at_k([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0], 2)
    0.75
    """
    if k < 0:
        raise InvalidSettings(f"k is a number of alerts, 0 or more, got {k!r}")
    s, o = _pairs(score, outcome)
    hits, _, size = _descending(s, o)
    before = np.concatenate([[0.0], np.cumsum(size)[:-1]])
    taken = np.clip((k - before) / size, 0.0, 1.0) if size.size else size
    return float(ratio((hits * taken).sum(), hits.sum()))


def known_mean(values: ArrayLike) -> Floats:
    """Mean over the last axis without NaN; NaN where nothing is left.

    Examples
    --------
    >>> known_mean([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]]).tolist()
    [2.0, nan]
    """
    rows = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(rows)
    return ratio(np.where(known, rows, 0.0).sum(axis=-1), known.sum(axis=-1))


def ratio(top: ArrayLike, bottom: ArrayLike) -> Floats:
    """Quotient, NaN where the divisor is zero.

    Examples
    --------
    >>> ratio([1.0, 1.0], [2.0, 0.0]).tolist()
    [0.5, nan]
    """
    a, b = np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)
    return np.asarray(np.where(b != 0.0, a / np.where(b != 0.0, b, 1.0), np.nan))


def _pairs(forecast: ArrayLike, observed: ArrayLike) -> tuple[Floats, Floats]:
    """Two flat arrays without the rows in which either is NaN."""
    pair = (np.asarray(v, dtype=np.float64) for v in (forecast, observed))
    a, b = (v.ravel() for v in np.broadcast_arrays(*pair))
    known = ~np.isnan(a + b)
    return a[known], b[known]


def _bin_codes(p: Floats, bins: int | None) -> NDArray[np.int64]:
    if bins is None:
        return np.unique(p, return_inverse=True)[1].astype(np.int64).ravel()
    if bins < 1:
        raise InvalidSettings(f"bins is at least 1, got {bins!r}")
    return np.clip(np.floor(p * bins), 0, bins - 1).astype(np.int64)


def _groups(p: Floats, o: Floats, codes: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Size, mean probability and observed frequency of each group that has members."""
    count = np.bincount(codes).astype(np.float64)
    used = count > 0
    stated, seen = (np.bincount(codes, weights=v)[used] / count[used] for v in (p, o))
    return count[used], stated, seen


def _descending(score: Floats, outcome: Floats) -> tuple[Floats, Floats, Floats]:
    """Events, non-events and size of each group of equal scores, highest first."""
    _, codes = np.unique(-score, return_inverse=True)
    size: Floats = np.bincount(codes.ravel()).astype(np.float64)
    hits: Floats = np.bincount(codes.ravel(), weights=outcome).astype(np.float64)
    return hits, size - hits, size
