"""The newsvendor: how much to hold when what is left over costs money and so does what is missing, for one period.

Levels in units, `overage_cost` in money per unit left over, `underage_cost` in money per unit short. The best level is
the quantile of demand at underage / (overage + underage). Normal demand may go below zero; with a low mean prefer the
Poisson form. `newsvendor_discrete` takes one item; the others work elementwise on arrays.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from backorder_forecast.distributions import nb_quantile, nb_shortage
from backorder_forecast.errors import InvalidSettings

Floats = NDArray[np.float64]


def normal_shortage(level: ArrayLike, mean: ArrayLike, sd: ArrayLike) -> Floats:
    """Expected units short E[(D - level)+] of normal demand: sd (phi(z) - z (1 - Phi(z))), z = (level - mean) / sd.

    Examples
    --------
    >>> float(normal_shortage(6000.0, 5000.0, 500.0 * 2**0.5).round(3))
    25.127
    """
    x, m, s = (np.asarray(a, dtype=np.float64) for a in (level, mean, sd))
    z = (x - m) / np.where(s > 0, s, 1.0)
    loss = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi) - z * special.ndtr(-z)
    return np.where(s > 0, s * np.maximum(loss, 0.0), np.maximum(m - x, 0.0))


def newsvendor_normal(
    demand_mean: ArrayLike,
    demand_sd: ArrayLike,
    overage_cost: ArrayLike,
    underage_cost: ArrayLike,
    *,
    level: ArrayLike | None = None,
) -> tuple[Floats, Floats]:
    """Stock level of least expected cost for one period of normal demand (Snyder & Shen 2019, 4.24 and 4.30).

    S = mean + z sd with Phi(z) = underage / (overage + underage).

    Parameters
    ----------
    overage_cost, underage_cost
        Money per unit left over and per unit short.
    level
        Cost this level instead of the best one.

    Returns
    -------
    level, cost
        Units and expected money per period.

    Examples
    --------
    >>> level, cost = newsvendor_normal(50, 8, 0.18, 0.7)
    >>> float(level.round(4)), float(cost.round(4))
    (56.604, 1.9976)
    """
    m, s, h, p = (np.asarray(v, dtype=np.float64) for v in (demand_mean, demand_sd, overage_cost, underage_cost))
    best = m + s * special.ndtri(p / (h + p))
    chosen = np.asarray(best if level is None else level, dtype=np.float64)
    return chosen, np.asarray(h * (chosen - m) + (h + p) * normal_shortage(chosen, m, s))


def newsvendor_poisson(
    demand_mean: ArrayLike, overage_cost: ArrayLike, underage_cost: ArrayLike, *, level: ArrayLike | None = None
) -> tuple[Floats, Floats]:
    """Stock level of least expected cost for one period of Poisson demand; parameters as `newsvendor_normal`.

    The smallest S with P(D <= S) >= underage / (overage + underage) (Snyder & Shen 2019, 4.35).

    Examples
    --------
    >>> level, cost = newsvendor_poisson(6, 1, 4)
    >>> float(level), float(cost.round(4))
    (8.0, 3.5701)
    """
    m, h, p = (np.asarray(v, dtype=np.float64) for v in (demand_mean, overage_cost, underage_cost))
    chosen = np.asarray(nb_quantile(p / (h + p), m, m) if level is None else level, dtype=np.float64)
    return chosen, np.asarray(h * (chosen - m) + (h + p) * nb_shortage(chosen, m, m))


def newsvendor_discrete(
    values: ArrayLike,
    probabilities: ArrayLike,
    overage_cost: float,
    underage_cost: float,
    *,
    level: float | None = None,
) -> tuple[float, float]:
    """Stock level of least expected cost for any discrete demand, such as sample paths; as `newsvendor_normal`.

    Parameters
    ----------
    values, probabilities
        Possible demands and their weights, (n,); weights are scaled to sum to 1.

    Examples
    --------
    >>> newsvendor_discrete([0, 1, 2, 3], [1, 1, 1, 1], 1.0, 4.0)
    (3.0, 1.5)
    """
    x, w = np.asarray(values, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    if x.shape != w.shape or x.size == 0 or bool((w < 0).any()) or not w.sum() > 0:
        raise InvalidSettings("values and probabilities are two lists of one length with weights of 0 or more")
    order = np.argsort(x, kind="stable")
    x, w = x[order], w[order] / w.sum()
    if level is None:
        reached = np.cumsum(w) >= underage_cost / (overage_cost + underage_cost) - 1e-12
        level = float(x[int(np.argmax(reached))]) if reached.any() else float(x[-1])
    left, short = np.maximum(level - x, 0.0), np.maximum(x - level, 0.0)
    return level, float((w * (overage_cost * left + underage_cost * short)).sum())


def budget_newsvendor(
    demand_mean: ArrayLike,
    demand_sd: ArrayLike,
    overage_cost: ArrayLike,
    underage_cost: ArrayLike,
    unit_cost: ArrayLike,
    budget: float,
) -> tuple[Floats, float]:
    """Order quantities of least expected cost that together cost no more than the budget, normal demand.

    One multiplier l over all items: q = F^-1((underage - l unit_cost) / (underage + overage)), 0 where that is not
    positive (Hadley & Whitin 1963).

    Parameters
    ----------
    demand_mean, demand_sd, overage_cost, underage_cost, unit_cost
        Per item, (n,).
    budget
        Money for all items.

    Returns
    -------
    quantities, multiplier
        Units (n,), and the value of one more unit of money; 0 where the budget does not bind.

    Examples
    --------
    >>> quantities, value = budget_newsvendor([10, 20, 5], [3, 5, 2], [0.5, 0.75, 0.25], [7, 4, 10], [2, 3, 1], 85)
    >>> quantities.round(3).tolist(), round(value, 4)
    ([11.77, 17.972, 7.545], 0.7911)
    """
    m, s, over, under, cost = (
        np.asarray(v, dtype=np.float64) for v in (demand_mean, demand_sd, overage_cost, underage_cost, unit_cost)
    )
    if not budget >= 0.0 or bool((cost <= 0).any()):
        raise InvalidSettings(f"the budget is 0 or more and unit costs are positive, got {budget!r}")

    def quantities(value: float) -> Floats:
        ratio = np.clip((under - value * cost) / (under + over), 0.0, 1.0)
        return np.maximum(m + s * special.ndtri(ratio), 0.0)

    def slack(value: float) -> float:
        return budget - float((cost * quantities(value)).sum())

    if slack(0.0) >= 0.0:
        return quantities(0.0), 0.0
    value = crossing(slack, 0.0, float((under / cost).max()))
    return quantities(value), value


def crossing(increasing: Callable[[float], float], low: float, high: float) -> float:
    """Where an increasing function crosses zero between low and high, by bisection to the last digit.

    Examples
    --------
    >>> round(crossing(lambda x: x * x - 2.0, 0.0, 2.0), 9)
    1.414213562
    """
    while True:
        middle = 0.5 * (low + high)
        if not low < middle < high:
            return middle
        if increasing(middle) < 0.0:
            low = middle
        else:
            high = middle
