"""Survival: how long something lasts when some cases are still running.

A case has a time (any unit, usually days) and an event flag: True where the end was seen, False where it was still
running when last looked at (right-censored). Events come before censorings at the same time. A distribution on a day
grid is an array F with F[t] = P(L <= t), t = 0, 1, ..., T. Lead times and customers' patience both rest on this file.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from backorder_forecast.errors import InvalidSettings, NotEnoughHistory

FloatArray = NDArray[np.float64]

_MAX_STEPS = 200
_SPREAD_QUANTILES = (np.arange(10) + 0.5) / 10.0


def kaplan_meier(time: ArrayLike, event: ArrayLike, weight: ArrayLike | None = None) -> pd.DataFrame:
    """Share still running after each time at which an end was seen.

    Parameters
    ----------
    time, event, weight
        Arrays (n_cases,): durations >= 0, whether the end was seen, and how much each case counts (default 1).

    Returns
    -------
    DataFrame, one row per distinct event time: time, at_risk (weight still running just before), events (weight that
    ended), survival = product of (1 - events / at_risk).

    Raises
    ------
    InvalidSettings
        If the arrays differ in length, or a time or weight is negative or missing.

    Notes
    -----
    Kaplan & Meier (1958), JASA 53:457-481.

    Examples
    --------
    >>> kaplan_meier([6, 6, 7, 10], [True, False, True, True])["survival"].round(3).tolist()
    [0.75, 0.375, 0.0]
    """
    names = ("time", "at_risk", "events", "survival")
    return pd.DataFrame(dict(zip(names, kaplan_meier_steps(time, event, weight), strict=True)))


def kaplan_meier_steps(
    time: ArrayLike, event: ArrayLike, weight: ArrayLike | None = None
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """The columns of `kaplan_meier` as arrays, for the many small groups of a fit.

    Examples
    --------
    >>> [values.tolist() for values in kaplan_meier_steps([6, 6, 7, 8], [True, False, True, False])]
    [[6.0, 7.0], [4.0, 2.0], [1.0, 1.0], [0.75, 0.375]]
    """
    times, events, weights = _cases(time, event, weight)
    values, code = np.unique(times, return_inverse=True)
    ended = np.bincount(code, weights * events, len(values))
    left = np.bincount(code, weights, len(values))
    at_risk = left[::-1].cumsum()[::-1]
    seen = ended > 0
    survival = np.cumprod(1.0 - ended[seen] / at_risk[seen])
    return values[seen], at_risk[seen], np.asarray(ended[seen], dtype=np.float64), survival


def exponential_censored_rate(time: ArrayLike, event: ArrayLike) -> float:
    """Maximum-likelihood hazard of an exponential law: events / total time.

    Raises `NotEnoughHistory` if the cases together have no running time.

    Examples
    --------
    >>> exponential_censored_rate([10, 30, 60], [True, True, False])
    0.02
    """
    times, events, _ = _cases(time, event, None)
    exposure = float(times.sum())
    if exposure <= 0:
        raise NotEnoughHistory("a hazard needs cases with a positive duration; got a total time of 0")
    return float(events.sum() / exposure)


def weibull_censored_fit(time: ArrayLike, event: ArrayLike) -> tuple[float, float]:
    """Maximum-likelihood Weibull law S(t) = exp(-(t / scale) ^ shape) of censored cases.

    Returns
    -------
    (shape, scale); the scale has the unit of `time`.

    Raises
    ------
    NotEnoughHistory
        With fewer than two distinct positive event times the shape is not determined.

    Notes
    -----
    The shape solves the profile equation (Cohen 1965, Technometrics 7:579-588, eq. 2.5), monotone in the shape.

    Examples
    --------
    >>> shape, scale = weibull_censored_fit([5, 8, 13, 20, 20], [True, True, True, True, False])
    >>> round(shape, 3), round(scale, 2)
    (1.927, 16.24)
    """
    times, events, _ = _cases(time, event, None)
    # An end on day 0 happened during that day; half a day keeps its logarithm finite.
    times = np.maximum(times, 0.5 * _smallest_positive(times))
    if len(np.unique(times[events])) < 2:
        raise NotEnoughHistory(f"a Weibull law needs two distinct event times; got {int(events.sum())} event(s)")
    relative = np.log(times / times.max())
    mean_log = float(relative[events].mean())

    def slope(shape: float) -> float:
        power = np.exp(shape * relative)
        return float((power * relative).sum() / power.sum()) - 1.0 / shape - mean_log

    low, high = 1e-3, 1.0
    while slope(high) < 0:
        low, high = high, high * 2.0
    for _ in range(_MAX_STEPS):
        middle = 0.5 * (low + high)
        if slope(middle) < 0:
            low = middle
        else:
            high = middle
        if high - low < 1e-12 * high:
            break
    shape = 0.5 * (low + high)
    scale = float(times.max()) * (float(np.exp(shape * relative).sum()) / float(events.sum())) ** (1.0 / shape)
    return shape, scale


def loglogistic_censored_fit(
    time: ArrayLike,
    event: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    prior_median: float,
    prior_shape: float,
    prior_n: float = 1.0,
    max_shape: float = math.inf,
    entry: ArrayLike | None = None,
) -> tuple[float, float]:
    """Log-logistic law F(t) = 1 / (1 + (median / t) ^ shape) of censored, weighted cases.

    Its hazard falls like shape / t, so that what has been waited for long is expected to take proportionally longer.
    A prior law enters as `prior_n` seen ends spread over its quantiles; the fit therefore always exists.

    Parameters
    ----------
    time, event, weight
        Arrays (n_cases,) as in `kaplan_meier`; times below half a day count as half a day.
    prior_median, prior_shape, prior_n
        The prior law and how many cases it counts for.
    max_shape
        Upper bound of the shape: the tail is never thinner than t ^ -max_shape.
    entry
        Time after which each case was watched (left truncation), at most its `time`; 0, the default, is from the start.

    Returns
    -------
    (median, shape); the median has the unit of `time`.

    Notes
    -----
    Bennett (1983), Applied Statistics 32:165-171; Newton's method in (log median, log shape) with step halving. A case
    watched from e on has the likelihood f(t) / S(e) or S(t) / S(e) (Klein & Moeschberger 2003, section 3.5): it is a
    case and, with the opposite sign, one censored at e.

    Examples
    --------
    >>> median, shape = loglogistic_censored_fit([9, 10, 11, 12, 14], [True] * 5, prior_median=14, prior_shape=5)
    >>> round(median, 1), shape > 5
    (11.3, True)
    """
    times, events, weights = _cases(time, event, weight)
    if entry is not None:
        since = np.asarray(entry, dtype=np.float64).ravel()
        if len(since) != len(times) or not ((since <= times) & (since >= 0)).all():
            raise InvalidSettings("entry has one time per case, from 0 to the time of the case")
        late = since > 0
        times = np.concatenate([times, since[late]])
        events = np.concatenate([events, np.zeros(int(late.sum()), dtype=bool)])
        weights = np.concatenate([weights, -weights[late]])
    spread = math.log(prior_median) + np.log(_SPREAD_QUANTILES / (1.0 - _SPREAD_QUANTILES)) / prior_shape
    logs = np.concatenate([np.log(np.maximum(times, 0.5)), spread])
    seen = np.concatenate([events, np.ones(len(spread), dtype=bool)])
    mass = np.concatenate([weights, np.full(len(spread), prior_n / len(spread))])

    def value(mu: float, log_shape: float) -> float:
        z = math.exp(log_shape) * (logs - mu)
        return float((mass * np.where(seen, log_shape + z - 2 * np.logaddexp(0, z), -np.logaddexp(0, z))).sum())

    mu = float((mass * logs)[seen].sum() / mass[seen].sum())
    log_shape = math.log(prior_shape)
    best = value(mu, log_shape)
    for _ in range(_MAX_STEPS):
        step = _loglogistic_step(logs, seen, mass, mu, log_shape)
        # Far from the maximum a full step may leave every reasonable range.
        size = 1.0 / max(1.0, abs(step[0]), abs(step[1]))
        while (new := value(mu + size * step[0], log_shape + size * step[1])) < best and size > 1e-8:
            size *= 0.5
        if new < best:
            break
        mu, log_shape = mu + size * step[0], log_shape + size * step[1]
        if new - best < 1e-12 * (1.0 + abs(best)):
            break
        best = new
    return math.exp(mu), min(math.exp(log_shape), max_shape)


def residual_cdf(cdf: ArrayLike, age: ArrayLike) -> FloatArray:
    """Distribution of the time still to wait, given that nothing has happened up to `age`.

    F(t | L > a) = (F(a + t) - F(a)) / (1 - F(a)).

    Parameters
    ----------
    cdf
        F on a grid of whole steps, shape (T + 1,) or (n, T + 1).
    age
        Steps already waited, a whole number >= 0, or (n,) of them.

    Returns
    -------
    Array of the shape of `cdf` (or (n, T + 1) if only `age` has several): P(L <= age + t | L > age), t = 0 ... T. Steps
    past the end of the grid hold its last value. NaN where the law leaves nobody waiting at that age.

    Examples
    --------
    Of 8 orders that took 10, 12, 14, 14, 15, 18, 21 and 30 days, 3 took longer than 15; one came within 5 days more.

    >>> import numpy as np
    >>> history = np.array([10, 12, 14, 14, 15, 18, 21, 30])
    >>> cdf = (history[:, None] <= np.arange(41)).mean(axis=0)
    >>> float(residual_cdf(cdf, 15)[5].round(4))
    0.3333
    """
    grid = np.asarray(cdf, dtype=np.float64)
    ages = np.asarray(age, dtype=np.int64)
    if (ages < 0).any():
        raise InvalidSettings(f"an age is at least 0 steps, got {ages.min()}")
    rows = np.atleast_2d(grid)
    each = np.broadcast_to(np.atleast_1d(ages), (max(len(rows), ages.size),))
    rows = np.broadcast_to(rows, (len(each), rows.shape[1]))
    last = rows.shape[1] - 1
    steps = np.minimum(each[:, None] + np.arange(last + 1), last)
    reached = np.take_along_axis(rows, np.minimum(each, last)[:, None], axis=1)
    waiting = 1.0 - reached
    with np.errstate(divide="ignore", invalid="ignore"):
        result = np.where(waiting > 0, (np.take_along_axis(rows, steps, axis=1) - reached) / waiting, np.nan)
    return result[0] if grid.ndim == 1 and ages.ndim == 0 else result


def shrink_cdf(n: ArrayLike, own: ArrayLike, parent: ArrayLike, k: float) -> FloatArray:
    """A distribution pulled towards its parent: (n F_own + k F_parent) / (n + k).

    Parameters
    ----------
    n
        Observations behind `own` (effective number if weighted).
    own, parent
        Values of F; any shapes that broadcast.
    k
        How many observations the parent counts for.

    Notes
    -----
    Posterior mean of a Dirichlet process (Ferguson 1973, Annals of Statistics 1:209-230).

    Examples
    --------
    >>> float(shrink_cdf(4, 0.75, 0.5, k=10).round(6))
    0.571429
    """
    n = np.asarray(n, dtype=np.float64)
    own, parent = np.asarray(own, dtype=np.float64), np.asarray(parent, dtype=np.float64)
    if not k >= 0 or (n < 0).any() or (n + k <= 0).any():
        raise InvalidSettings(f"n and k are not negative and n + k is positive, got n = {n}, k = {k}")
    return np.asarray((n * own + k * parent) / (n + k), dtype=np.float64)


def _cases(
    time: ArrayLike, event: ArrayLike, weight: ArrayLike | None
) -> tuple[FloatArray, NDArray[np.bool_], FloatArray]:
    times = np.asarray(time, dtype=np.float64).ravel()
    events = np.asarray(event).astype(bool).ravel()
    weights = np.ones_like(times) if weight is None else np.asarray(weight, dtype=np.float64).ravel()
    if not len(times) == len(events) == len(weights):
        raise InvalidSettings(
            f"time, event and weight have one entry per case, got {len(times)}, {len(events)}, {len(weights)}"
        )
    if not (np.isfinite(times).all() and (times >= 0).all()):
        raise InvalidSettings("times are finite and at least 0")
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise InvalidSettings("weights are finite and at least 0")
    return times, events, weights


def _smallest_positive(times: FloatArray) -> float:
    positive = times[times > 0]
    return float(positive.min()) if len(positive) else 1.0


def _loglogistic_step(
    logs: FloatArray, seen: NDArray[np.bool_], mass: FloatArray, mu: float, log_shape: float
) -> tuple[float, float]:
    # With z = shape (log t - mu) and p = F: log f = log shape + z - 2 log(1 + e^z), log S = -log(1 + e^z).
    shape = math.exp(log_shape)
    z = shape * (logs - mu)
    p = 0.5 * (1.0 + np.tanh(0.5 * z))
    count = np.where(seen, 2.0, 1.0)
    first = np.where(seen, 1.0, 0.0) - count * p
    second = -count * p * (1.0 - p)
    g_mu = float((mass * first).sum()) * -shape
    g_shape = float((mass * (first * z + seen)).sum())
    h_mu = float((mass * second).sum()) * shape**2
    h_cross = -shape * float((mass * (second * z + first)).sum())
    h_shape = float((mass * (second * z * z + first * z)).sum())
    determinant = h_mu * h_shape - h_cross**2
    if h_mu < 0 < determinant:
        return (
            -(h_shape * g_mu - h_cross * g_shape) / determinant,
            -(h_mu * g_shape - h_cross * g_mu) / determinant,
        )
    # Away from the maximum the curvature may have the wrong sign: climb the gradient instead.
    total = float(np.abs(mass).sum())
    return g_mu / (total * shape**2), g_shape / total
