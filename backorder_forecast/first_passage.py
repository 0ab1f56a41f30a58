"""Exact first passage: P(stock runs out by each period), without paths.

Stock that starts at s and falls by independent integer demands runs out in the first period in which demand exceeds
what is there (`unmet`), or stock reaches zero (`zero`). The distribution of the level over 0 ... s is carried from
period to period: P(level = j after t) = sum_k P(level = j + k before t) P(D_t = k); what passes below is absorbed.
Receipts shift it up. A level of demand that is unknown but constant (gamma with mean m) is integrated over the
conditional means of equally likely slices; given it, periods are independent.

Paths answer the same question with an error of up to 0.5 / sqrt(n_paths); the exact answer costs stock^2 operations per
period and is affordable up to about `MOST_UNITS`.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np
from numpy.typing import NDArray

from backorder_forecast.clock import Clock
from backorder_forecast.demand_law import DemandModel
from backorder_forecast.distributions import gamma_table
from backorder_forecast.errors import InvalidSettings

MOST_UNITS = 128
"""Units in stock and on order up to which the exact answer is cheaper than paths of the same use."""
SLICES = 32
"""Equally likely slices of the unknown level of demand."""

Floats = NDArray[np.float64]


def first_passage(start: int, demand: Floats, receipts: Floats | None = None, *, event: str = "unmet") -> Floats:
    """P(the event has happened by the end of each period), shape (n_periods,).

    Parameters
    ----------
    start
        Units on the shelf, a whole number >= 0.
    demand
        P(D_t = k), shape (n_periods, n_values); what is missing to 1 is demand beyond the last value.
    receipts
        Units that arrive at the beginning of each period, whole numbers, shape (n_periods,); none by default.
    event
        unmet (demand exceeds stock) or zero (stock is used up, demand met or not).

    Returns
    -------
    Array (n_periods,), not decreasing.

    Examples
    --------
    >>> coin = np.array([[0.5, 0.5]] * 3)
    >>> first_passage(1, coin).tolist()
    [0.0, 0.25, 0.5]
    >>> first_passage(1, coin, event="zero").tolist()
    [0.5, 0.75, 0.875]
    """
    if event not in ("unmet", "zero"):
        raise InvalidSettings(f"event is unmet or zero, got {event!r}")
    if start != int(start) or start < 0:
        raise InvalidSettings(f"start is a whole number of units, 0 or more; got {start!r}")
    came = np.zeros(len(demand)) if receipts is None else np.asarray(receipts, dtype=np.float64)
    if len(came) != len(demand) or (came != np.round(came)).any() or (came < 0).any():
        raise InvalidSettings("receipts are whole numbers of units, 0 or more, one for each period of demand")
    law = np.ascontiguousarray(demand, dtype=np.float64)
    return np.asarray(_passage(int(start), law, came.astype(np.int64), event == "zero"))


def demand_probabilities(mean: Floats, shape: float, quiet: float, n_values: int) -> Floats:
    """P(D = k), k = 0 ... n_values - 1, of negative binomial periods that may be quiet, shape (n_periods, n_values).

    Parameters
    ----------
    mean
        Mean of each period that is not quiet, shape (n_periods,).
    shape
        Shape r of the mixing gamma: variance = mean + mean^2 / r; infinite for Poisson.
    quiet
        Share of periods without any demand.

    Examples
    --------
    >>> demand_probabilities(np.array([1.0]), np.inf, 0.5, 3).round(4).tolist()
    [[0.6839, 0.1839, 0.092]]
    """
    out = np.zeros((len(mean), n_values))
    _probabilities(np.asarray(mean, dtype=np.float64), float(shape), float(quiet), out)
    return out


def stockout_chances(
    model: DemandModel, clock: Clock, item: int, start: int, receipts: Floats | None = None, *, event: str = "unmet"
) -> Floats:
    """P(one item has run out by the end of each period of a clock) under its demand model; counted items only.

    `receipts` are known units per period. Equal to what `project_stock` finds on paths of the same model.
    """
    if not np.isnan(model.zero_share[item]):
        raise InvalidSettings("exact first passage needs demand in whole units; use project_stock for this item")
    factors = model.factors(clock, slice(item, item + 1))[0]
    shape, scale, quiet = (values[item] for values in model._laws())
    spread = model.level[item] ** 2 / max(float(model.level_variance[item]), 1e-300)
    levels = gamma_table(np.array([spread]), SLICES)[0] if spread < 1e4 else np.ones(1)
    came = np.zeros(len(factors)) if receipts is None else np.asarray(receipts, dtype=np.float64)
    n_values = int(start + came.sum()) + 1
    total = np.zeros(len(factors))
    for level in levels:
        mean = model.level[item] * level * factors * scale
        # A period in which nothing is sold has no demand, quiet or not.
        law = demand_probabilities(mean, float(shape), float(quiet), n_values)
        total += first_passage(start, law, came, event=event)
    return np.asarray(total / len(levels))


@nb.njit(cache=True, nogil=True)
def _probabilities(mean, shape, quiet, out):  # type: ignore[no-untyped-def]
    for t in range(len(mean)):
        m = mean[t]
        if m <= 0.0:
            out[t, 0] = 1.0
            continue
        poisson = not shape < 1e7
        # Ratio of neighbouring probabilities: m / k, or (r + k - 1) / k (1 - p) with 1 - p = m / (r + m).
        share = 0.0 if poisson else m / (shape + m)
        p = math.exp(-m) if poisson else math.exp(-shape * math.log1p(m / shape))
        for k in range(out.shape[1]):
            if k > 0:
                p *= m / k if poisson else (shape + k - 1.0) / k * share
            out[t, k] = (1.0 - quiet) * p
        out[t, 0] += quiet


@nb.njit(cache=True, nogil=True)
def _passage(start, demand, receipts, at_zero):  # type: ignore[no-untyped-def]
    n_periods, n_values = demand.shape
    most = start + receipts.sum()
    level = np.zeros(most + 1)
    level[start] = 1.0
    done = 0.0
    out = np.empty(n_periods)
    if at_zero and start == 0:
        out[:] = 1.0
        return out
    for t in range(n_periods):
        up = receipts[t]
        after = np.zeros(most + 1)
        alive = 0.0
        for j in range(most + 1 - up):
            if level[j] <= 0.0:
                continue
            have = j + up
            last = have - 1 if at_zero else have
            for k in range(min(last, n_values - 1) + 1):
                after[have - k] += level[j] * demand[t, k]
        for j in range(most + 1):
            alive += after[j]
        done = max(done, 1.0 - alive)
        out[t] = done
        level = after
    return out
