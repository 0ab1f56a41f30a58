"""Intermittent demand: size and interval smoothed apart (Croston and successors), and aggregation over time.

Conventions of panel, exposure, smoothing constants and flat forecasts as in `smoothing`. A period of in-stock share f
counts as f periods of waiting; the size of a demand is taken as it is.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from backorder_forecast.errors import InvalidSettings, unknown_option
from backorder_forecast.smoothing import (
    MIN_EXPOSURE,
    adi_cv2,
    least_squares_alpha,
    moving_average,
    panel_arrays,
    ses,
    usable_share,
)

Floats = NDArray[np.float64]


def demand_events(
    y: ArrayLike, *, exposure: ArrayLike | None = None, min_exposure: float = MIN_EXPOSURE
) -> tuple[Floats, Floats]:
    """Sizes of the non-zero demands and the periods waited for each, the first counted from the first usable period.

    Returns
    -------
    sizes, intervals
        Arrays (n_items, most demands of an item), NaN beyond an item's last demand.

    Examples
    --------
    >>> sizes, intervals = demand_events([[0.0, 2.0, 0.0, 1.0, 0.0]])
    >>> sizes.tolist(), intervals.tolist()
    ([[2.0, 1.0]], [[2.0, 2.0]])
    """
    panel, shares = panel_arrays(y, exposure)
    events: tuple[Floats, Floats] = _events(panel, shares, min_exposure)
    return events


def croston_states(
    y: ArrayLike,
    alpha: ArrayLike | None,
    *,
    interval_alpha: ArrayLike | None = None,
    exposure: ArrayLike | None = None,
    min_exposure: float = MIN_EXPOSURE,
    initial: str = "first",
) -> tuple[Floats, Floats]:
    """Smoothed demand size (units) and interval (periods) of Croston's method, each (n_items,).

    Parameters
    ----------
    alpha, interval_alpha
        Constants for sizes and intervals; the interval takes alpha where not given.
    initial
        `first`: both start at their first value (Croston 1972; R's croston); `mean`: the interval starts at the mean
        of all intervals (R's tsintermittent, init="mean").

    Examples
    --------
    >>> size, interval = croston_states([[1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0]], 0.1)
    >>> size.round(4).tolist(), interval.round(4).tolist()
    ([1.1], [1.3])
    """
    if initial not in ("first", "mean"):
        raise unknown_option("initial", initial, ("first", "mean"))
    sizes, intervals = demand_events(y, exposure=exposure, min_exposure=min_exposure)
    if initial == "mean" and sizes.shape[1]:
        # the first interval is not smoothed in again
        intervals = intervals.copy()
        intervals[:, 0] = moving_average(intervals, intervals.shape[1])
    gap_alpha = alpha if interval_alpha is None else interval_alpha
    return ses(sizes, alpha), ses(intervals, gap_alpha)


def croston(
    y: ArrayLike,
    alpha: ArrayLike | None,
    *,
    interval_alpha: ArrayLike | None = None,
    exposure: ArrayLike | None = None,
    min_exposure: float = MIN_EXPOSURE,
    initial: str = "first",
    correction: str = "none",
) -> Floats:
    """Croston's forecast, size / interval, updated in periods with demand only; (n_items,).

    Parameters
    ----------
    alpha, interval_alpha, initial
        As in `croston_states`.
    correction
        Factor against the bias of the ratio: `none` (Croston 1972), `sba` 1 - b/2 (Syntetos & Boylan 2005), `sbj`
        1 - b/(2 - b) (Shale, Boylan & Johnston 2006), with b the constant of the intervals.

    Examples
    --------
    >>> croston([[1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0]], 0.1).round(6).tolist()
    [0.846154]
    """
    if correction not in ("none", "sba", "sbj"):
        raise unknown_option("correction", correction, ("none", "sba", "sbj"))
    size, interval = croston_states(
        y, alpha, interval_alpha=interval_alpha, exposure=exposure, min_exposure=min_exposure, initial=initial
    )
    factor: Floats = np.ones(len(size))
    if correction != "none":
        gains = alpha if interval_alpha is None else interval_alpha
        if gains is None:
            intervals = demand_events(y, exposure=exposure, min_exposure=min_exposure)[1]
            gains = least_squares_alpha(intervals)
        b = np.asarray(gains, dtype=np.float64)
        factor = factor * (1.0 - b / 2.0 if correction == "sba" else 1.0 - b / (2.0 - b))
    return _zero_if_seen(factor * size / interval, y, exposure, min_exposure)


def tsb_states(
    y: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike,
    *,
    exposure: ArrayLike | None = None,
    min_exposure: float = MIN_EXPOSURE,
    initial: str = "first_interval",
) -> tuple[Floats, Floats]:
    """Smoothed demand size (units) and probability of a demand per period, each (n_items,).

    The probability moves in every period, the size with demand only, so that the forecast of an item that stopped
    selling fades (Teunter, Syntetos & Babai 2011).

    Parameters
    ----------
    alpha, beta
        Constants of size and probability, numbers or (n_items,).
    initial
        Start of the probability: `first_interval` at 1 / first interval after the first demand; `first` at whether
        the first period had demand (statsforecast; tsintermittent init="naive"); `mean` at the share of periods with
        demand (tsintermittent init="mean"). The size starts at the first demand.

    Examples
    --------
    >>> size, probability = tsb_states([[0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0]], 0.2, 0.2, initial="first")
    >>> size.tolist(), probability.round(3).tolist()
    ([2.0], [0.128])
    """
    starts = ("first_interval", "first", "mean")
    if initial not in starts:
        raise unknown_option("initial", initial, starts)
    panel, shares = panel_arrays(y, exposure)
    a, b = (np.broadcast_to(np.asarray(v, dtype=np.float64), len(panel)).copy() for v in (alpha, beta))
    states: tuple[Floats, Floats] = _tsb(panel, shares, min_exposure, a, b, starts.index(initial))
    return states


def tsb(
    y: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike,
    *,
    exposure: ArrayLike | None = None,
    min_exposure: float = MIN_EXPOSURE,
    initial: str = "first_interval",
) -> Floats:
    """Teunter-Syntetos-Babai forecast, probability times size, (n_items,); options as in `tsb_states`.

    Examples
    --------
    >>> tsb([[0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0]], 0.2, 0.2, initial="first").round(3).tolist()
    [0.256]
    """
    size, probability = tsb_states(y, alpha, beta, exposure=exposure, min_exposure=min_exposure, initial=initial)
    return _zero_if_seen(size * probability, y, exposure, min_exposure)


def adida(y: ArrayLike, alpha: ArrayLike | None = None, *, bucket: ArrayLike | None = None) -> Floats:
    """Aggregate-disaggregate: smooth sums over buckets of periods, divide by the bucket; (n_items,).

    Non-overlapping buckets end at the last usable period; what does not fill the oldest is dropped (Nikolopoulos,
    Syntetos, Boylan, Petropoulos & Assimakopoulos 2011).

    Parameters
    ----------
    y
        Panel; NaN periods are left out before buckets are formed.
    alpha
        Smoothing constant of the sums; None for the least squared error in [0.1, 0.3].
    bucket
        Periods per bucket, number or (n_items,); None for the rounded mean interval between demands.

    Examples
    --------
    >>> adida([[9.0, 1.0, 0.0, 2.0, 0.0, 3.0, 1.0]], 0.5, bucket=2).tolist()
    [1.375]
    """
    panel = np.atleast_2d(np.asarray(y, dtype=np.float64))
    width = _mean_interval(panel) if bucket is None else np.asarray(bucket, dtype=np.float64)
    widths = np.broadcast_to(width, len(panel)).astype(np.int64)
    if (widths < 1).any():
        raise InvalidSettings(f"bucket is at least one period, got {int(widths.min())}")
    return ses(_bucket_sums(panel, widths), alpha) / widths


def imapa(y: ArrayLike, alpha: ArrayLike | None = None) -> Floats:
    """Mean of the ADIDA forecasts with buckets of 1, 2, ... periods up to the mean interval; (n_items,).

    Petropoulos & Kourentzes (2015), with exponential smoothing at every level.

    Examples
    --------
    >>> imapa([[0.0, 2.0, 0.0, 2.0]], 0.5).round(4).tolist()
    [1.125]
    """
    panel = np.atleast_2d(np.asarray(y, dtype=np.float64))
    widest = _mean_interval(panel)
    total, levels = np.zeros(len(panel)), np.zeros(len(panel))
    for width in range(1, int(widest.max(initial=1)) + 1):
        rows = np.flatnonzero(widest >= width)
        gain = None if alpha is None else np.broadcast_to(np.asarray(alpha, dtype=np.float64), len(panel))[rows]
        total[rows] += adida(panel[rows], gain, bucket=width)
        levels[rows] += 1.0
    return total / levels


def _zero_if_seen(forecast: Floats, y: ArrayLike, exposure: ArrayLike | None, min_exposure: float) -> Floats:
    """Forecast 0 for items that were in stock without ever selling; NaN stays for those never in stock."""
    panel, shares = panel_arrays(y, exposure)
    rows = np.flatnonzero(np.isnan(forecast))
    used = ~np.isnan(panel[rows])
    if shares.size:
        used &= (shares[rows] >= min_exposure) & (shares[rows] > 0.0)
    forecast[rows[used.any(axis=1)]] = 0.0
    return forecast


def _mean_interval(panel: Floats) -> Floats:
    """Rounded mean periods between demands (halves to even), at least 1."""
    adi, _ = adi_cv2(panel, count_after_last=False)
    return np.where(np.isinf(adi), 1.0, np.maximum(np.round(adi), 1.0))


@nb.njit(cache=True, nogil=True)
def _events(y: Floats, exposure: Floats, min_exposure: float) -> tuple[Floats, Floats]:
    n, periods = y.shape
    most = 0
    for i in range(n):
        count = 0
        for t in range(periods):
            count += y[i, t] > 0.0 and usable_share(y, exposure, min_exposure, i, t) > 0.0
        most = max(most, count)
    sizes = np.full((n, most), np.nan)
    intervals = np.full((n, most), np.nan)
    for i in range(n):
        waited, k = 0.0, 0
        for t in range(periods):
            share = usable_share(y, exposure, min_exposure, i, t)
            waited += share
            if share > 0.0 and y[i, t] > 0.0:
                sizes[i, k], intervals[i, k] = y[i, t], waited
                waited = 0.0
                k += 1
    return sizes, intervals


@nb.njit(cache=True, nogil=True)
def _tsb(
    y: Floats, exposure: Floats, min_exposure: float, alpha: Floats, beta: Floats, start: int
) -> tuple[Floats, Floats]:
    n, periods = y.shape
    size = np.full(n, np.nan)
    probability = np.full(n, np.nan)
    for i in range(n):
        z, p, waited, events, seen = np.nan, np.nan, 0.0, 0, 0.0
        if start == 2:
            for t in range(periods):
                share = usable_share(y, exposure, min_exposure, i, t)
                seen += share
                events += share > 0.0 and y[i, t] > 0.0
            p = events / seen if seen > 0.0 else np.nan
        first = True
        for t in range(periods):
            share = usable_share(y, exposure, min_exposure, i, t)
            if share <= 0.0:
                continue
            waited += share
            hit = 1.0 if y[i, t] > 0.0 else 0.0
            if np.isnan(p):
                if start == 1:
                    p = hit
                elif hit > 0.0:
                    p = 1.0 / waited
            elif not (first and start == 2):
                p += beta[i] * (hit - share * p)
            first = False
            if hit > 0.0:
                z = y[i, t] if np.isnan(z) else z + alpha[i] * (y[i, t] - z)
        size[i], probability[i] = z, p
    return size, probability


@nb.njit(cache=True, nogil=True)
def _bucket_sums(y: Floats, widths: NDArray[np.int64]) -> Floats:
    n, periods = y.shape
    out = np.full((n, periods), np.nan)
    for i in range(n):
        usable = 0
        for t in range(periods):
            usable += not np.isnan(y[i, t])
        dropped = usable % widths[i]
        position = 0
        for t in range(periods):
            if np.isnan(y[i, t]):
                continue
            if position >= dropped:
                k = (position - dropped) // widths[i]
                out[i, k] = y[i, t] + (0.0 if np.isnan(out[i, k]) else out[i, k])
            position += 1
    return out
