"""Patience when the form of its law is not known: an average over laws, and how far they lie apart.

A few cancellations tell how fast customers leave while lines usually wait, and hardly how that goes on. Laws of three
families (Weibull, log-logistic, lognormal) with shapes over the usual range are each given the pace at which they
expect as many cancellations as were seen; each then counts by its prior weight times the likelihood of the lines. What
the laws say beyond the waits that were seen differs, and that difference is the error of the form. Days throughout.

Source: Bayesian model averaging (Hoeting, Madigan, Raftery & Volinsky 1999), here at the fitted pace of each law.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_ndtr

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

FAMILIES = ("weibull", "log-logistic", "lognormal")
SHAPES = {
    "weibull": (0.6, 0.75, 1.0, 1.3, 1.7),
    "log-logistic": (1.0, 1.4, 2.0, 2.8),
    "lognormal": (1.5, 1.1, 0.8, 0.55),
}
"""Shapes tried; of the lognormal law the standard deviation of the logarithm."""
FAMILY_WEIGHT = {"weibull": 0.5, "log-logistic": 0.25, "lognormal": 0.25}
"""Prior weight of each family, spread evenly over its shapes. Judgement: hazards that rise or fall steadily are as
likely as those that rise first and fall later."""
_STEPS = 60
_LAWS = tuple((family, shape) for family in FAMILIES for shape in SHAPES[family])


def form_average(days: ArrayLike, event: ArrayLike, grid: ArrayLike) -> tuple[NDArray[np.float64], float]:
    """Share still waiting at the days of `grid`, averaged over laws, and the relative error that their form leaves.

    Parameters
    ----------
    days
        How long each line waited, shape (n,).
    event
        True where it was cancelled, at least once; else it was filled or still waits.
    grid
        Days asked about, shape (m,).

    Returns
    -------
    Shares, shape (m,); and the standard deviation over the laws of the logarithm of the cumulative hazard, at the day
    by which half would have left.

    Examples
    --------
    >>> share, error = form_average([4, 5, 9, 10, 10, 10], [True, True, True, False, False, False], [0, 10, 30])
    >>> share.round(2).tolist(), round(error, 1)
    ([1.0, 0.51, 0.11], 0.1)
    >>> _, further = form_average([1, 2, 3, 4, 4, 4, 4, 4, 4, 4], [True, True] + [False] * 8, [0])
    >>> bool(further > error)    # less of the law was seen
    True
    """
    cancelled = np.asarray(event, dtype=bool)
    # Whole days: what ended on day 0 took half of one.
    times = np.maximum(np.asarray(days, dtype=np.float64), 0.5)
    order = np.lexsort((cancelled, times))
    logs, cancelled = np.log(times[order]), cancelled[order]
    paces = np.array([_pace(law, logs, float(cancelled.sum())) for law in _LAWS])
    scores = np.array([_likelihood(law, logs - pace, cancelled) for law, pace in zip(_LAWS, paces, strict=True)])
    prior = np.array([FAMILY_WEIGHT[family] / len(SHAPES[family]) for family, _ in _LAWS])
    weight = prior * np.exp(scores - scores.max())
    weight /= weight.sum()

    def hazards(log_days: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([_hazard(law, log_days - pace) for law, pace in zip(_LAWS, paces, strict=True)])

    low, high = float(logs.min()) - 10.0, float(logs.max()) + 20.0
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        staying = float(weight @ np.exp(-hazards(np.array([middle])))[:, 0])
        low, high = (middle, high) if staying > 0.5 else (low, middle)
    apart = np.log(hazards(np.array([low]))[:, 0])
    error = float(np.sqrt(weight @ (apart - weight @ apart) ** 2))
    asked = np.log(np.maximum(np.asarray(grid, dtype=np.float64), 1e-9))
    return np.asarray(weight @ np.exp(-hazards(asked)), dtype=np.float64), error


def _hazard(law: tuple[str, float], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cumulative hazard at log time `z` from the pace of the law."""
    family, shape = law
    if family == "weibull":
        return np.exp(np.minimum(shape * z, 700.0))
    if family == "log-logistic":
        return np.logaddexp(0.0, shape * z)
    return np.asarray(-log_ndtr(-z / shape), dtype=np.float64)


def _pace(law: tuple[str, float], logs: NDArray[np.float64], events: float) -> float:
    """Logarithm of the law's scale at which it expects as many cancellations as were seen."""
    low, high = float(logs.min()) - 20.0, float(logs.max()) + 30.0
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _hazard(law, logs - middle).sum() > events else (low, middle)
    return 0.5 * (low + high)


def _likelihood(law: tuple[str, float], z: NDArray[np.float64], cancelled: NDArray[np.bool_]) -> float:
    """Log-likelihood of the lines, but for terms that all laws share."""
    family, shape = law
    seen = z[cancelled]
    if family == "weibull":
        rate = np.log(shape) + shape * seen
    elif family == "log-logistic":
        rate = np.log(shape) + shape * seen - np.logaddexp(0.0, shape * seen)
    else:
        rate = -np.log(shape) - 0.5 * (seen / shape) ** 2 - 0.5 * np.log(2.0 * np.pi) - log_ndtr(-seen / shape)
    return float(rate.sum() - _hazard(law, z).sum())
