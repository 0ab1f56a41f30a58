"""Probabilities of events moved without changing their order: log odds, another prior, calibration curves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_CERTAIN = 1e-4


def corrected_prior(probability: ArrayLike, sample_share: float, true_share: float) -> Floats:
    """Probabilities learned at one share of events, as they are at another (Saerens et al. 2002, eq. 2.4).

    Odds are multiplied by (true odds / sample odds), which is right where the features of events, and those of the
    others, are distributed as in the population.

    Examples
    --------
    >>> corrected_prior([0.5, 0.9], 0.5, 0.01).round(4).tolist()
    [0.01, 0.0833]
    """
    p = np.asarray(probability, dtype=np.float64)
    up, down = true_share / sample_share, (1.0 - true_share) / (1.0 - sample_share)
    return np.asarray(p * up / (p * up + (1.0 - p) * down))


def log_odds(probability: ArrayLike) -> Floats:
    """log(p / (1 - p)), with p kept .0001 away from 0 and 1.

    Examples
    --------
    >>> log_odds([0.5, 0.0]).round(2).tolist()
    [0.0, -9.21]
    """
    p = np.clip(np.asarray(probability, dtype=np.float64), _CERTAIN, 1.0 - _CERTAIN)
    return np.asarray(np.log(p / (1.0 - p)))


def share(score: Floats) -> Floats:
    """Probabilities of log odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-score)))


def log_loss(p: Floats, event: Ints) -> float:
    """Mean negative log likelihood of 0/1 events under probabilities."""
    q = np.clip(p, _CERTAIN, 1.0 - _CERTAIN)
    return float(-np.mean(np.where(event == 1, np.log(q), np.log(1.0 - q))))


def fitted_curve(kind: str, score: Floats, event: Ints) -> Any:
    """A calibration curve from log odds to probabilities: sigmoid (Platt 1999) or isotonic."""
    if kind == "isotonic":
        from sklearn.isotonic import IsotonicRegression

        return IsotonicRegression(y_min=_CERTAIN, y_max=1.0 - _CERTAIN, out_of_bounds="clip").fit(score, event)
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=1e3).fit(score[:, None], event)


def applied_curve(curve: Any, score: Floats) -> Floats:
    """Probabilities of log odds under a calibration curve."""
    if hasattr(curve, "predict_proba"):
        return np.asarray(curve.predict_proba(score[:, None])[:, 1])
    return np.asarray(curve.predict(score))
