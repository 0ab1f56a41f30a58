"""Lead-time laws: many distributions on one grid of days, each learning from its own lines and from its parent.

A law is a row F with F[t] = P(L <= t) for t = 0 ... T days. Its daily hazard mixes what was seen with what the parent
law expects: h(t) = (k f(t) + d(t)) / (k S(t-1) + Y(t)), where d(t) is the weight that arrived on day t, Y(t) the
weight that could have, and f, S the parent's density and survival. Without open orders this is exactly
F = (n F_own + k F_parent) / (n + k) (see `survival.shrink_cdf`); with them it stays honest, because an order still
open at its age pulls the hazard down to that age and says nothing beyond it. Where nothing was seen the parent decides.
Far out, where k S(t-1) has shrunk to nothing, the parent's hazard still counts for `FEWEST` orders, so that one late
order does not make all that wait as long come on its day.

Y(t) holds only orders that entered the records at an age below t: of those that were open when the records began, early
ages are not counted as survived, since quick ones among them were never recorded. Where few have entered yet Y is small
and the parent's k S(t-1) orders keep a single early arrival from deciding the law (the product-limit estimate alone
would fall to 0 there; Klein & Moeschberger 2003, section 4.6). The root leans on its tail law in the same way.

Beyond T, and where a law leaves hardly anyone waiting, the tail law continues: a log-logistic survival curve from day
0, of which the part beyond the age in question is used. Hjort (1990), Annals of Statistics 18:1259-1294.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from backorder_forecast.clock import NEVER

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TAIL_GRIDS = 8
"""The tail law reaches this many times the grid."""
MAX_TAIL_SHAPE = 6.0
"""The survival of the tail law falls no faster than t ^ -6: what is late may stay late. Judgement."""

FEWEST = 1.0
"""Orders that a parent counts for at least at every age, however few of its own wait so long. Of 0, 1, 2 and 4 it told
best how much longer the last fifth to five hundredth of orders take, against the true laws of made-up suppliers: with 0
the one late order seen decides alone (median off by more than three times in 13 %, with 1 in 9 % at the last 1 %)."""

_FEW = 1e-9
_LARGEST_EXPONENT = 700.0


def loglogistic_survival(median: ArrayLike, shape: ArrayLike, n_days: int) -> FloatArray:
    """P(L > t) for whole days t = 0 ... n_days, shape (n, n_days + 1); a duration is rounded to the nearest day.

    Examples
    --------
    >>> loglogistic_survival(2.5, 2.0, 4).round(3).tolist()
    [[0.962, 0.735, 0.5, 0.338, 0.236]]
    """
    ends = np.arange(n_days + 1) + 0.5
    logs = np.log(ends)[None, :] - np.log(np.atleast_1d(np.asarray(median, dtype=np.float64)))[:, None]
    odds = np.atleast_1d(np.asarray(shape, dtype=np.float64))[:, None] * logs
    return np.asarray(1.0 / (1.0 + np.exp(np.minimum(odds, _LARGEST_EXPONENT))))


def shape_of_sd_log(sd_log: float) -> float:
    """Shape of the log-logistic law whose logarithm has this standard deviation."""
    return math.pi / (math.sqrt(3.0) * sd_log)


def effective_weights(law: IntArray, weight: FloatArray, n_laws: int) -> tuple[FloatArray, FloatArray]:
    """Kish's effective number of lines per law, and the factor that makes the line weights add up to it.

    n = (sum w)^2 / sum w^2, so that many old lines count as many but a few recent ones among them dominate.

    Examples
    --------
    >>> n, factor = effective_weights(np.array([0, 0]), np.array([1.0, 0.5]), 1)
    >>> n.round(2).tolist(), factor.round(2).tolist()
    ([1.8], [1.2])
    """
    total = np.bincount(law, weight, n_laws).astype(np.float64)
    squares = np.bincount(law, weight**2, n_laws).astype(np.float64)
    factor = np.divide(total, squares, out=np.zeros(n_laws), where=squares > 0)
    return total * factor, factor


def pooled_laws(
    law: IntArray, days: IntArray, event: NDArray[np.bool_], weight: FloatArray, parents: FloatArray, k: float,
    *, entry: IntArray | None = None,
) -> FloatArray:  # fmt: skip
    """Laws of many groups at once, each pooled with its parent.

    Parameters
    ----------
    law, days, event, weight
        One entry per observation: group 0 ... n - 1, whole days, whether it arrived then (else still open), weight.
        Durations beyond the grid count as still open at its end.
    parents
        Parent law of each group, shape (n, T + 1).
    k
        How many observations the parent counts for.
    entry
        Age after which each observation was watched, below `days`; -1, the default, is from the beginning.

    Returns
    -------
    Array (n, T + 1).

    Examples
    --------
    >>> parent = np.array([[0.0, 0.5, 1.0]])
    >>> one = np.array([0, 0]), np.array([1, 2]), np.array([True, True]), np.array([1.0, 1.0])
    >>> pooled_laws(*one, parent, k=2.0).tolist()
    [[0.0, 0.5, 1.0]]
    """
    n, width = parents.shape
    seen = event & (days < width)
    at = np.minimum(days, width - 1)
    order = np.lexsort((at, law))
    starts = np.searchsorted(law[order], np.arange(n + 1)).astype(np.int64)
    out = np.empty((n, width))
    delayed = np.flatnonzero(entry >= 0) if entry is not None else order[:0]
    age = np.minimum(entry[delayed], width - 1) if entry is not None else delayed
    by_entry = np.lexsort((age, law[delayed]))
    late = delayed[by_entry]
    late_starts = np.searchsorted(law[late], np.arange(n + 1)).astype(np.int64)
    # Where parents are hardly to count at all, far out neither.
    fewest = min(FEWEST, k / 5.0)
    watched = starts, at[order], np.where(seen, weight, 0.0)[order], weight[order]
    _pool(*watched, late_starts, age[by_entry], weight[late], parents, float(k), fewest, out)
    return out


def law_quantiles(cdf: FloatArray, tail: FloatArray, rows: IntArray, levels: FloatArray) -> FloatArray:
    """Days within which a share `levels` of orders arrive, shape (n, n_levels); inf beyond the tail.

    Examples
    --------
    >>> law_quantiles(np.array([[0.0, 0.2, 0.9, 1.0]]), np.ones(9), np.array([0]), np.array([0.2, 0.5])).tolist()
    [[1.0, 2.0]]
    """
    ages = np.full(len(rows), -1, dtype=np.int64)
    found = _quantiles(cdf, tail, rows.astype(np.int64), ages, levels.astype(np.float64))
    return np.where(found == NEVER, np.inf, found - 1.0)


def residual_quantiles(
    cdf: FloatArray, tail: FloatArray, rows: IntArray, ages: IntArray, levels: FloatArray
) -> FloatArray:
    """Days still to wait for orders that have been open for `ages` >= 0 days, at least 1, shape (n, n_levels).

    Examples
    --------
    >>> law, tail = np.array([[0.0, 0.2, 0.6, 0.9, 1.0]]), np.ones(9)
    >>> residual_quantiles(law, tail, np.array([0]), np.array([2]), np.array([0.5, 0.9])).tolist()
    [[1.0, 2.0]]
    """
    found = _quantiles(cdf, tail, rows.astype(np.int64), ages.astype(np.int64), levels.astype(np.float64))
    return np.where(found == NEVER, np.inf, found.astype(np.float64))


def share_waiting(cdf: FloatArray, tail: FloatArray, rows: IntArray, days: IntArray) -> FloatArray:
    """P(L > days) of each order, shape (n,); days beyond the tail count as its end.

    Examples
    --------
    >>> share_waiting(np.array([[0.0, 0.2, 0.6, 1.0]]), np.ones(9), np.array([0, 0]), np.array([1, 3])).tolist()
    [0.8, 0.0]
    """
    found = _waiting(cdf, tail, rows.astype(np.int64), np.clip(days, 0, len(tail) - 1).astype(np.int64))
    return np.asarray(found, dtype=np.float64)


def never_arrives(
    law: IntArray, days: IntArray, cause: IntArray, weight: FloatArray, n_laws: int, *, entry: IntArray | None = None
) -> FloatArray:
    """Probability that a line is cancelled before it arrives, per law (NaN without lines).

    `cause` is 1 for an arrival, 2 for a cancellation, 0 for still open; `entry` as in `pooled_laws`. Aalen & Johansen
    (1978), Scandinavian Journal of Statistics 5:141-150: the sum over days of S(t-1) d_cancelled(t) / Y(t). While some
    have still to enter, `FEWEST` more count as waiting: the first one watched shall not decide alone.

    Examples
    --------
    >>> one = np.array([0, 0, 0]), np.array([5, 9, 9]), np.array([1, 2, 0]), np.ones(3)
    >>> never_arrives(*one, 1).round(3).tolist()
    [0.333]
    """
    rows = pd.DataFrame({"law": law, "days": days, "all": weight})
    rows["arrived"], rows["cancelled"] = weight * (cause == 1), weight * (cause == 2)
    daily = rows.groupby(["law", "days"], sort=True, as_index=False).sum()
    by_law = daily.groupby("law")
    at_risk = by_law["all"].transform("sum") - by_law["all"].cumsum() + daily["all"]
    if entry is not None and (entry >= 0).any():
        at_risk = at_risk - _to_enter(daily, law, entry, weight)
    left = (1.0 - (daily["arrived"] + daily["cancelled"]) / at_risk).clip(lower=0.0)
    after = left.groupby(daily["law"]).cumprod()
    before = after.groupby(daily["law"]).shift(1, fill_value=1.0)
    step = before * daily["cancelled"] / at_risk
    result = np.full(n_laws, np.nan)
    sums = step.groupby(daily["law"]).sum()
    result[sums.index.to_numpy()] = sums.to_numpy()
    return result


def _to_enter(daily: pd.DataFrame, law: IntArray, entry: IntArray, weight: FloatArray) -> FloatArray:
    """Weight of each row's law that enters at its day or later, less `FEWEST` where there is any."""
    late = entry >= 0
    span = int(max(entry.max(), daily["days"].max())) + 2
    key, place = law[late] * span + entry[late], daily["law"].to_numpy() * span + daily["days"].to_numpy()
    order = np.argsort(key, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(weight[late][order])])
    ends = (daily["law"].to_numpy() + 1) * span
    first, last = (np.searchsorted(key[order], bound, side="left") for bound in (place, ends))
    return np.where(last > first, sums[last] - sums[first] - FEWEST, 0.0)


@nb.njit(cache=True, nogil=True)
def _pool(starts, days, arrived, weight, late_starts, entry, late_weight, parents, k, fewest, out):  # type: ignore[no-untyped-def]
    n, width = out.shape
    at_risk = np.zeros(len(days) + 1)
    for i in range(n):
        first, last = starts[i], starts[i + 1]
        running = 0.0
        for j in range(last - 1, first - 1, -1):
            running += weight[j]
            at_risk[j] = running
        j, m = first, late_starts[i]
        to_come = 0.0
        for u in range(m, late_starts[i + 1]):
            to_come += late_weight[u]
        survival, parent_before = 1.0, 0.0
        for t in range(width):
            while m < late_starts[i + 1] and entry[m] < t:
                to_come -= late_weight[m]
                m += 1
            exposed = at_risk[j] if j < last else 0.0
            if m < late_starts[i + 1]:
                exposed = max(exposed - to_come, 0.0)
            ended = 0.0
            while j < last and days[j] == t:
                ended += arrived[j]
                j += 1
            waiting = 1.0 - parent_before
            counts = max(k, fewest / waiting) if waiting > 1e-12 else k
            denominator = counts * waiting + exposed
            if denominator > 0.0:
                hazard = (counts * (parents[i, t] - parent_before) + ended) / denominator
                survival *= 1.0 - min(max(hazard, 0.0), 1.0)
            parent_before = parents[i, t]
            out[i, t] = 1.0 - survival


@nb.njit(cache=True, nogil=True, inline="always")
def _survival(cdf, tail, row, t):  # type: ignore[no-untyped-def]
    last = cdf.shape[1] - 1
    if t <= last:
        return 1.0 - cdf[row, t]
    return (1.0 - cdf[row, last]) * tail[t] / tail[last]


@nb.njit(cache=True, nogil=True)
def _waiting(cdf, tail, rows, days):  # type: ignore[no-untyped-def]
    out = np.empty(len(rows))
    for i in range(len(rows)):
        out[i] = _survival(cdf, tail, rows[i], days[i])
    return out


@nb.njit(cache=True, nogil=True)
def first_day(cdf, tail, row, age, share):  # type: ignore[no-untyped-def]
    """First day after `age` by which at most `share` of those open at `age` are still open, or NEVER.

    `age` -1 is a new order. Where hardly anyone of this law waits so long, the tail law decides.
    """
    last, end = cdf.shape[1] - 1, len(tail) - 1
    here = 1.0 if age < 0 else _survival(cdf, tail, row, age)
    by_tail = age >= 0 and here < _FEW
    if by_tail:
        here = tail[age]
    goal = here * share
    low, high = age + 1, end
    if not by_tail and age < last and 1.0 - cdf[row, last] <= goal:
        high = last
        while low < high:
            middle = (low + high) // 2
            if 1.0 - cdf[row, middle] <= goal:
                high = middle
            else:
                low = middle + 1
        return low
    if (tail[end] if by_tail else _survival(cdf, tail, row, end)) > goal:
        return NEVER
    while low < high:
        middle = (low + high) // 2
        if (tail[middle] if by_tail else _survival(cdf, tail, row, middle)) <= goal:
            high = middle
        else:
            low = middle + 1
    return low


@nb.njit(cache=True, nogil=True)
def _quantiles(cdf, tail, rows, ages, levels):  # type: ignore[no-untyped-def]
    out = np.empty((len(rows), len(levels)), dtype=np.int64)
    for i in range(len(rows)):
        # Ages that come close to the end of the tail are read where it still has room ahead.
        age = min(ages[i], len(tail) // 2)
        for j in range(len(levels)):
            # A hair above 1 - level, so that F(t) = level counts as reached in spite of rounding.
            day = first_day(cdf, tail, rows[i], age, (1.0 - levels[j]) * (1.0 + 1e-12) + 1e-15)
            out[i, j] = day if day == NEVER else day - age
    return out
