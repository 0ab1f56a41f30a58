"""Smoothing of a whole panel: one level per item from its past periods, in units per period.

`y` is a panel (n_items, n_periods), NaN where a period says nothing about demand (before launch, out of stock, after
the last period of a shorter series). `exposure` is the in-stock share of each period, 0 to 1: a period below
`min_exposure` is skipped like NaN; one of share f counts as the rate y / f with gain alpha f, and as f periods of
waiting for the next demand. All forecasts are flat: the same expected demand for every period ahead, shape (n_items,).
No demand at all gives 0, no usable period NaN. Smoothing constants are shares, one number or one per item; None takes
per item the constant in [0.1, 0.3] with the least squared one-step error, as statsforecast does.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from backorder_forecast.errors import InvalidSettings, unknown_option

Floats = NDArray[np.float64]

ALPHA_RANGE = (0.1, 0.3)
"""Range searched where the smoothing constant is not given (Syntetos & Boylan 2005 use it for intermittent demand)."""
ADI_CUT, CV2_CUT = 1.32, 0.49
"""Cut-offs of Syntetos, Boylan & Croston (2005)."""
MIN_EXPOSURE = 0.25
"""In-stock share below which a period is skipped."""
_GOLDEN = 0.6180339887498949


def ses(
    y: ArrayLike,
    alpha: ArrayLike | None,
    *,
    exposure: ArrayLike | None = None,
    min_exposure: float = MIN_EXPOSURE,
    initial: str = "first",
) -> Floats:
    """Simple exponential smoothing, level += alpha (y - level); the level after the last period, (n_items,).

    Parameters
    ----------
    y, exposure
        Panel (n_items, n_periods) and in-stock shares of the same shape, see the module.
    alpha
        Smoothing constant, number or (n_items,); None for the least squared error in [0.1, 0.3].
    initial
        `first`: the level starts at the first usable period; `mean`: at the mean of all usable periods.

    Raises
    ------
    InvalidSettings
        For another `initial`.

    Examples
    --------
    >>> ses([[1.0, 0.0, 2.0], [np.nan, 4.0, np.nan]], 0.5).tolist()
    [1.25, 4.0]
    """
    if initial not in ("first", "mean"):
        raise unknown_option("initial", initial, ("first", "mean"))
    panel, shares = panel_arrays(y, exposure)
    if alpha is None:
        alpha = least_squares_alpha(panel, exposure=exposure, min_exposure=min_exposure)
    gains = np.broadcast_to(np.asarray(alpha, dtype=np.float64), len(panel)).copy()
    level: Floats = _ses(panel, shares, min_exposure, gains, initial == "mean")
    return level


def least_squares_alpha(
    y: ArrayLike,
    *,
    exposure: ArrayLike | None = None,
    min_exposure: float = MIN_EXPOSURE,
    bounds: tuple[float, float] = ALPHA_RANGE,
) -> Floats:
    """Smoothing constant per item with the least sum of squared one-step errors; the middle where all are equal.

    Examples
    --------
    >>> least_squares_alpha([[0.0, 0.0, 2.0, 0.0], [1.0, 2.0, 3.0, 4.0], [7.0, 7.0, 7.0, 7.0]]).round(3).tolist()
    [0.1, 0.3, 0.2]
    """
    panel, shares = panel_arrays(y, exposure)
    best: Floats = _least_squares(panel, shares, min_exposure, float(bounds[0]), float(bounds[1]))
    return best


def ses_horizon_variance(variance: ArrayLike, alpha: ArrayLike, horizon: ArrayLike) -> Floats:
    """Variance of the sum of `horizon` periods when the level is a random walk smoothed with the optimal constant.

    s^2 (h + a h (h - 1) + a^2 h (h - 1)(2h - 1) / 6), with s^2 the one-step error variance (Graves 1999; Hyndman,
    Koehler, Ord & Snyder 2008, chapter 6).

    Examples
    --------
    >>> float(ses_horizon_variance(4.0, 0.2, 3).round(6))
    17.6
    """
    s2, a, h = (np.asarray(v, dtype=np.float64) for v in (variance, alpha, horizon))
    return np.asarray(s2 * (h + a * h * (h - 1.0) + a * a * h * (h - 1.0) * (2.0 * h - 1.0) / 6.0))


def naive(y: ArrayLike) -> Floats:
    """The last usable period's demand, (n_items,).

    Examples
    --------
    >>> naive([[1.0, 5.0, np.nan]]).tolist()
    [5.0]
    """
    return moving_average(y, 1)


def moving_average(y: ArrayLike, window: int) -> Floats:
    """Mean of the last `window` usable periods (all of them where there are fewer), (n_items,).

    With the periods out of stock set to NaN and a window of the whole history this is the in-stock rate of sale.

    Examples
    --------
    >>> moving_average([[9.0, 1.0, np.nan, 3.0]], 2).tolist()
    [2.0]
    """
    if window < 1:
        raise InvalidSettings(f"window is at least one period, got {window!r}")
    panel = panel_arrays(y, None)[0]
    seen = ~np.isnan(panel)
    left = np.cumsum(seen[:, ::-1], axis=1)[:, ::-1]
    used = seen & (left <= window)
    count = used.sum(axis=1)
    return np.where(count > 0, np.where(used, panel, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def seasonal_naive(y: ArrayLike, season: int, horizon: int) -> Floats:
    """The demand one season earlier for each of `horizon` periods, (n_items, horizon).

    A period without information takes the season before it; NaN where no season has any.

    Examples
    --------
    >>> seasonal_naive([[1.0, 2.0, 3.0, np.nan]], 2, 3).tolist()
    [[3.0, 2.0, 3.0]]
    """
    if season < 1 or horizon < 1:
        raise InvalidSettings(f"season and horizon are at least one period, got {season!r} and {horizon!r}")
    panel = panel_arrays(y, None)[0]
    seasons = -(-panel.shape[1] // season)
    padded = np.full((len(panel), seasons * season), np.nan)
    padded[:, seasons * season - panel.shape[1] :] = panel
    last = np.full((len(panel), season), np.nan)
    for cycle in padded.reshape(len(panel), seasons, season).transpose(1, 0, 2):
        last = np.where(np.isnan(cycle), last, cycle)
    return last[:, np.arange(horizon) % season]


def adi_cv2(
    y: ArrayLike, *, exposure: ArrayLike | None = None, count_after_last: bool = True, ddof: int = 0
) -> tuple[Floats, Floats]:
    """Average demand interval (periods) and squared coefficient of variation of the non-zero demands, each (n_items,).

    Parameters
    ----------
    y, exposure
        Panel and in-stock shares of the same shape; periods of NaN or without exposure are left out.
    count_after_last
        Whether periods after the last demand count: ADI is all periods / demands, else the mean interval.
    ddof
        0 for the population variance of the sizes, 1 for the sample variance (tsintermittent).

    Returns
    -------
    adi, cv2
        inf and NaN without demand; cv2 is 0 for a single demand.

    Examples
    --------
    >>> adi, cv2 = adi_cv2([[0.0, 2.0, 0.0, 4.0], [0.0, 0.0, 0.0, 0.0]])
    >>> adi.tolist(), cv2.round(4).tolist()
    ([2.0, inf], [0.1111, nan])
    """
    panel, shares = panel_arrays(y, exposure)
    adi, cv2 = _adi_cv2(panel, shares, count_after_last, ddof)
    return adi, cv2


def demand_classes(y: ArrayLike, *, exposure: ArrayLike | None = None) -> NDArray[np.str_]:
    """Class of each item: smooth, erratic, intermittent, lumpy, or no_demand (Syntetos, Boylan & Croston 2005).

    Intermittent and lumpy from an average interval of 1.32 periods on, erratic and lumpy from CV^2 .49 on.

    Examples
    --------
    >>> demand_classes([[3.0, 4.0, 3.0], [0.0, 2.0, 0.0], [0.0, 0.0, np.nan]]).tolist()
    ['smooth', 'intermittent', 'no_demand']
    """
    adi, cv2 = adi_cv2(y, exposure=exposure)
    rare, varied = adi >= ADI_CUT, cv2 >= CV2_CUT
    conditions = [np.isinf(adi), rare & varied, rare, varied]
    return np.select(conditions, ["no_demand", "lumpy", "intermittent", "erratic"], "smooth")


def croston_or_sba(
    adi: ArrayLike, cv2: ArrayLike, *, rule: str = "sbc", alpha: float | None = None
) -> NDArray[np.str_]:
    """Which of `Croston` and `SBA` has the smaller expected squared error.

    Parameters
    ----------
    adi, cv2
        From `adi_cv2`.
    rule
        `sbc`: Croston up to ADI 1.32 and CV^2 .49; `kostenko_hyndman`: SBA where CV^2 > 2 - 1.5 ADI, or with `alpha`
        the exact line it approximates (Kostenko & Hyndman 2006, equations 1 and 2).

    Examples
    --------
    >>> croston_or_sba([1.2, 1.2], [0.19, 0.21], rule="kostenko_hyndman").tolist()
    ['Croston', 'SBA']
    """
    p, c = np.broadcast_arrays(np.asarray(adi, dtype=np.float64), np.asarray(cv2, dtype=np.float64))
    if rule == "sbc":
        better = (p > ADI_CUT) | (c > CV2_CUT)
    elif rule == "kostenko_hyndman" and alpha is None:
        better = c > 2.0 - 1.5 * p
    elif rule == "kostenko_hyndman":
        a = float(alpha or 0.0)
        top = 4.0 * p * (2.0 - p) - a * (4.0 - a) - p * (p - 1.0) * (4.0 - a) * (2.0 - a)
        better = c > top / (p * (4.0 - a) * (2.0 * p - a))
    else:
        raise unknown_option("rule", rule, ("sbc", "kostenko_hyndman"))
    return np.where(better, "SBA", "Croston")


def panel_arrays(y: ArrayLike, exposure: ArrayLike | None) -> tuple[Floats, Floats]:
    """Panel and in-stock shares as contiguous arrays for compiled code; no shares are an empty array.

    Examples
    --------
    >>> [a.shape for a in panel_arrays([1.0, 2.0], None)]
    [(1, 2), (0, 0)]
    """
    panel = np.ascontiguousarray(np.atleast_2d(np.asarray(y, dtype=np.float64)))
    if exposure is None:
        return panel, np.empty((0, 0))
    return panel, np.ascontiguousarray(np.broadcast_to(np.asarray(exposure, dtype=np.float64), panel.shape))


@nb.njit(cache=True, inline="always")
def usable_share(y: Floats, exposure: Floats, min_exposure: float, i: int, t: int) -> float:
    """In-stock share with which period t of item i is used, 0 to skip it; for compiled code."""
    if np.isnan(y[i, t]):
        return 0.0
    if exposure.size == 0:
        return 1.0
    share = exposure[i, t]
    return share if share >= min_exposure and share > 0.0 else 0.0


@nb.njit(cache=True, nogil=True)
def _adi_cv2(panel: Floats, shares: Floats, count_after_last: bool, ddof: int) -> tuple[Floats, Floats]:
    adi, cv2 = np.full(panel.shape[0], np.inf), np.full(panel.shape[0], np.nan)
    for i in range(panel.shape[0]):
        count, periods, periods_at_last, total = 0, 0, 0, 0.0
        for t in range(panel.shape[1]):
            if np.isnan(panel[i, t]) or (shares.size > 0 and shares[i, t] <= 0.0):
                continue
            periods += 1
            if panel[i, t] > 0.0:
                count += 1
                periods_at_last = periods
                total += panel[i, t]
        if count == 0:
            continue
        mean, squares = total / count, 0.0
        for t in range(panel.shape[1]):
            if panel[i, t] > 0.0 and (shares.size == 0 or shares[i, t] > 0.0):
                squares += (panel[i, t] - mean) ** 2
        adi[i] = (periods if count_after_last else periods_at_last) / count
        cv2[i] = squares / max(count - ddof, 1) / mean**2
    return adi, cv2


@nb.njit(cache=True, nogil=True)
def _usable(y: Floats, exposure: Floats, min_exposure: float, i: int, rates: Floats, shares: Floats) -> int:
    """Rates and shares of the usable periods of one item, packed to the front; how many."""
    n = 0
    for t in range(y.shape[1]):
        share = usable_share(y, exposure, min_exposure, i, t)
        if share > 0.0:
            rates[n] = y[i, t] / share
            shares[n] = share
            n += 1
    return n


@nb.njit(cache=True, nogil=True)
def _ses(y: Floats, exposure: Floats, min_exposure: float, alpha: Floats, from_mean: bool) -> Floats:
    out = np.full(y.shape[0], np.nan)
    rates, shares = np.empty(y.shape[1]), np.empty(y.shape[1])
    for i in range(y.shape[0]):
        n = _usable(y, exposure, min_exposure, i, rates, shares)
        if n == 0:
            continue
        level = rates[0]
        if from_mean:
            level = (rates[:n] * shares[:n]).sum() / shares[:n].sum()
            level += alpha[i] * shares[0] * (rates[0] - level)
        for t in range(1, n):
            level += alpha[i] * shares[t] * (rates[t] - level)
        out[i] = level
    return out


@nb.njit(cache=True, nogil=True)
def _squared_error(rates: Floats, shares: Floats, n: int, alpha: float) -> float:
    level, total = rates[0], 0.0
    for t in range(1, n):
        error = rates[t] - level
        total += shares[t] * error * error
        level += alpha * shares[t] * error
    return total


@nb.njit(cache=True, nogil=True)
def _least_squares(y: Floats, exposure: Floats, min_exposure: float, low: float, high: float) -> Floats:
    """A grid finds the valley, golden section its bottom; the middle wins ties."""
    width = (high - low) / 10
    out = np.full(y.shape[0], 0.5 * (low + high))
    rates, shares = np.empty(y.shape[1]), np.empty(y.shape[1])
    for i in range(y.shape[0]):
        n = _usable(y, exposure, min_exposure, i, rates, shares)
        if n < 3:
            continue
        best = out[i]
        least = _squared_error(rates, shares, n, best)
        for k in range(11):
            error = _squared_error(rates, shares, n, low + k * width)
            if error < least * (1.0 - 1e-12):
                best, least = low + k * width, error
        a, b = max(low, best - width), min(high, best + width)
        left, right = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)
        at_left = _squared_error(rates, shares, n, left)
        at_right = _squared_error(rates, shares, n, right)
        for _ in range(24):
            if at_left < at_right:
                b, right, at_right = right, left, at_left
                left = b - _GOLDEN * (b - a)
                at_left = _squared_error(rates, shares, n, left)
            else:
                a, left, at_left = left, right, at_right
                right = a + _GOLDEN * (b - a)
                at_right = _squared_error(rates, shares, n, right)
        if min(at_left, at_right) < least * (1.0 - 1e-12):
            best = left if at_left < at_right else right
        out[i] = best
    return out
