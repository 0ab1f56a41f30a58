"""Patience: how long customers wait for a backorder before they cancel.

A customer who is told of a wait walks away at once with probability `balk`; one who stays cancels with a hazard per
day that is uncertain: Gamma(shape, rate), rate in backorder-days. The share still waiting after w days is then
S0(w) = (rate / (rate + w)) ^ shape (Lomax). Cancellations are the events; filled, substituted and still open lines
are censored at their age. Evidence is pooled item -> category -> product type -> prior: what a parent has learned
without the child is the child's prior, worth at most `pool_n` cancellations, because items differ. From `curve_n`
cancellations on, the Kaplan-Meier curve of the deepest such pool gives the form, the laws that fit it best its tail,
and the item's own hazard the pace. With fewer, but at least `FORM_N`, the form is an average over laws
(`patience_forms.py`), and how far they lie apart widens every interval. Days throughout; the priors are judgement
(`Settings.patience_priors`) and are reported as such in `basis`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backorder_forecast.patience_forms import form_average
from backorder_forecast.settings import PRODUCT_TYPES, Settings
from backorder_forecast.survival import kaplan_meier_steps, loglogistic_censored_fit, weibull_censored_fit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

PRIOR_SHAPE = 2.0
"""Cancellations the prior of the hazard is worth."""
FEWEST_AT_RISK = 10
"""Waiting lines up to which a Kaplan-Meier curve is followed."""
FORM_N = 3
"""Cancellations from which lines say something of the form of their law."""
FORM_ERROR = 0.1
"""Relative error of the hazard that no number of cancellations takes away: that of medians estimated from 200
cancellations of made-up customers beyond what those cancellations explain (`benchmarks/backorders.py`)."""
UNKNOWN_FORM = 0.5
"""The same where no form was seen: laws of the usual shapes lie that far apart where a fifth has left. Judgement."""
CANCELLED = ("cancelled", "refunded")
LEVELS = ("prior", "product type", "category", "item")


@dataclass(frozen=True, eq=False)
class Patience:
    """Patience of each item's customers.

    Attributes
    ----------
    frame
        One row per item: sku, location, product_type, type_assumed (no type was given), balk, shape, rate (posterior of
        the hazard), n_cancelled, exposure_days (of the item), n_pooled (cancellations at the deepest level that has
        any), basis (that level: item, category, product type, or prior), n_type (cancellations of the product type).
    curves
        Shares still waiting after day 0, 1, ..., shape (n_curves, n_days + 1): Kaplan-Meier or an average over laws.
    curve
        Row of `curves` for each item, -1 where the Lomax form holds, shape (n_items,).
    power
        Item's mean hazard over that of its curve's pool, shape (n_items,): the item's S0 is curve ** power.
    form_error
        Relative error of the hazard that the form of the law leaves, shape (n_items,).
    """

    frame: pd.DataFrame
    curves: NDArray[np.float64]
    curve: NDArray[np.int64]
    power: NDArray[np.float64]
    form_error: NDArray[np.float64]

    def stay(self, start: int, stop: int, days: ArrayLike) -> NDArray[np.float64]:
        """Share of those who wait that still does after given days, items start to stop, shape (n_items, n_days)."""
        rows, wait = slice(start, stop), np.asarray(days, dtype=np.float64)
        shape, rate = (self.frame[c].to_numpy(np.float64)[rows, None] for c in ("shape", "rate"))
        share = stay_share(wait[None, :], shape, rate)
        curve = self.curve[rows]
        own = np.flatnonzero(curve >= 0)
        if len(own):
            grid = np.arange(self.curves.shape[1])
            for i in own:
                share[i] = np.interp(wait, grid, self.curves[curve[i]]) ** self.power[start + i]
        return share


def gamma_posterior(
    events: ArrayLike, exposure_days: ArrayLike, *, shape: ArrayLike, rate: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Posterior (shape, rate) of a cancellation hazard after `events` cancellations in `exposure_days` of waiting.

    Source: gamma-exponential conjugacy; the mean hazard is shape / rate.

    Examples
    --------
    >>> shape, rate = gamma_posterior(3, 210, shape=2, rate=60)
    >>> round(float(shape / rate), 6), round(float(stay_share(45, shape, rate)), 6)
    (0.018519, 0.462664)
    """
    total = np.asarray(shape, dtype=np.float64) + np.asarray(events, dtype=np.float64)
    return total, np.asarray(rate, dtype=np.float64) + np.asarray(exposure_days, dtype=np.float64)


def stay_share(wait_days: ArrayLike, shape: ArrayLike, rate: ArrayLike) -> NDArray[np.float64]:
    """Share still waiting after `wait_days`: S0(w) = (rate / (rate + w)) ^ shape, broadcast over all arguments.

    A known hazard h is the limit shape = n, rate = n / h for large n (1e9 is exact to nine digits).

    Examples
    --------
    >>> round(float(stay_share(20, 2, 40)), 4)
    0.4444
    """
    growth = np.log1p(np.asarray(wait_days, dtype=np.float64) / np.asarray(rate, dtype=np.float64))
    share: NDArray[np.float64] = np.exp(-np.asarray(shape, dtype=np.float64) * growth)
    return share


def held_days(wait_days: ArrayLike, shape: ArrayLike, rate: ArrayLike) -> NDArray[np.float64]:
    """Expected days a line is held until `wait_days` or its cancellation: the integral of S0 from 0 to w.

    Examples
    --------
    >>> round(float(held_days(20, 2, 40)), 4)
    13.3333
    """
    a, b = np.asarray(shape, dtype=np.float64), np.asarray(rate, dtype=np.float64)
    growth = np.log1p(np.asarray(wait_days, dtype=np.float64) / b)
    power = (1.0 - a) * growth
    # (b / (a - 1)) (1 - (b / (b + w)) ^ (a - 1)), continuous at a = 1.
    flat = np.abs(power) < 1e-12
    held: NDArray[np.float64] = b * growth * np.where(flat, 1.0, np.expm1(power) / np.where(flat, 1.0, power))
    return held


def stay_share_random_wait(mean_patience_days: float, mean_wait_days: float) -> float:
    """Share that waits through an exponential wait with exponential patience: the Laplace transform of the wait.

    Examples
    --------
    >>> stay_share_random_wait(40, 10)
    0.8
    """
    return mean_patience_days / (mean_patience_days + mean_wait_days)


def fit_patience(
    closed: pd.DataFrame,
    opened: pd.DataFrame,
    items: pd.DataFrame,
    *,
    settings: Settings | None = None,
    pool_n: float = 10.0,
    curve_n: int = 30,
    asked: NDArray[np.int64] | None = None,
) -> Patience:
    """Patience of every item from what became of its backorder lines.

    Parameters
    ----------
    closed
        Closed lines (`BackorderLines.closed`): item, days, outcome; lines without a closing date are left out.
    opened
        Open lines (`BackorderLines.frame`): item, waited_days.
    items
        sku, location; optionally product_type, category. A missing type is standard.
    pool_n
        Most cancellations that evidence from a parent may be worth to its child.
    curve_n
        Cancellations from which a pool has its own curve.
    asked
        Rows of the items whose curves are wanted; default all. Of the others only the Lomax law is fitted.

    Examples
    --------
    >>> items = pd.DataFrame({"sku": ["A", "B"], "location": "", "product_type": ["commodity", ""]})
    >>> closed = pd.DataFrame({"item": [0, 0], "days": [6.0, 8.0], "outcome": ["cancelled", "filled"]})
    >>> patience = fit_patience(closed, pd.DataFrame({"item": [], "waited_days": []}), items)
    >>> patience.frame[["product_type", "balk", "shape", "rate", "n_pooled", "basis"]].to_dict("split")["data"]
    [['commodity', 0.85, 3.0, 28.0, 1, 'item'], ['standard', 0.5, 2.0, 40.0, 0, 'prior']]
    """
    options = settings or Settings()
    n = len(items)
    types, assumed = _product_types(items)
    category = items.get("category", pd.Series("", index=items.index)).astype("str").fillna("").to_numpy(str)
    by_type = pd.factorize(types, sort=True)[0].astype(np.int64)
    by_category = pd.MultiIndex.from_arrays([types, category]).factorize(sort=True)[0].astype(np.int64)
    # A blank category is no category: such items are pooled by product type alone.
    has_category = category != ""

    item, days, event = _cases(closed, opened)
    events, exposure = (np.bincount(item, x, n).astype(np.float64) for x in (event, days))
    type_events, type_days = _pooled(by_type, events), _pooled(by_type, exposure)
    group_events = np.where(has_category, _pooled(by_category, events), events)
    group_days = np.where(has_category, _pooled(by_category, exposure), exposure)

    prior = np.array([options.patience_priors[t] for t in types], dtype=np.float64).reshape(n, 2)
    law = (np.full(n, PRIOR_SHAPE), PRIOR_SHAPE * prior[:, 1])
    for own, own_days in (
        (type_events - group_events, type_days - group_days),
        (group_events - events, group_days - exposure),
    ):
        law = gamma_posterior(own, own_days, shape=law[0], rate=law[1])
        worth = np.minimum(1.0, pool_n / law[0])
        law = (law[0] * worth, law[1] * worth)
    shape, rate = gamma_posterior(events, exposure, shape=law[0], rate=law[1])

    counts = np.stack([np.zeros(n), type_events, np.where(has_category, group_events, 0.0), events])
    deepest = np.where(counts > 0, np.arange(4)[:, None], 0).max(axis=0)
    pools = np.stack([np.full(n, -1), by_type, by_category, np.arange(n)])
    drawn = np.ones(n, dtype=bool) if asked is None else np.bincount(asked, minlength=n) > 0
    found = _curves(item, days, event, pools, np.where(drawn, counts, 0), curve_n, options.max_cutoff_days)
    curves, curve, hazard, form_error = found
    frame = pd.DataFrame(
        {
            "sku": items["sku"].to_numpy(),
            "location": items["location"].to_numpy(),
            "product_type": types,
            "type_assumed": assumed,
            "balk": prior[:, 0],
            "shape": shape,
            "rate": rate,
            "n_cancelled": events.astype(np.int64),
            "exposure_days": exposure,
            "n_pooled": counts[deepest, np.arange(n)].astype(np.int64),
            "basis": np.array(LEVELS)[deepest],
            "n_type": type_events.astype(np.int64),
        }
    )
    power = np.where(curve >= 0, shape / rate / hazard, 1.0)
    return Patience(frame=frame, curves=curves, curve=curve, power=power, form_error=form_error)


def _product_types(items: pd.DataFrame) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
    given = items.get("product_type", pd.Series("", index=items.index)).astype("str").fillna("")
    known = given.isin(PRODUCT_TYPES).to_numpy(bool)
    return np.where(known, given.to_numpy(str), "standard"), ~known


def _cases(
    closed: pd.DataFrame, opened: pd.DataFrame
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Item, days and event of each line; a line closed at an unknown date says nothing."""
    dated = closed[closed["days"].notna()]
    item = np.concatenate([dated["item"].to_numpy(np.int64), opened["item"].to_numpy(np.int64)])
    days = np.concatenate([dated["days"].to_numpy(np.float64), opened["waited_days"].to_numpy(np.float64)])
    event = np.concatenate([dated["outcome"].isin(CANCELLED).to_numpy(np.float64), np.zeros(len(opened))])
    return item, days, event


def _pooled(group: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of the item's group, shape (n_items,)."""
    return np.asarray(np.bincount(group, values)[group] if len(group) else values, dtype=np.float64)


def _curves(
    item: NDArray[np.int64],
    days: NDArray[np.float64],
    event: NDArray[np.float64],
    pools: NDArray[np.int64],
    counts: NDArray[np.float64],
    curve_n: int,
    n_days: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Curves of the deepest pools with enough cancellations, each item's curve, its hazard, the error of the form."""
    n = pools.shape[1]
    rank = np.arange(4)[:, None]
    level = np.where(counts >= curve_n, rank, 0).max(axis=0) if n else np.zeros(0, np.int64)
    # Where no pool has a curve of its own, the deepest one that says something of the form.
    level = np.where(level > 0, level, np.where(counts >= FORM_N, rank, 0).max(axis=0)) if n else level
    curve = np.full(n, -1, dtype=np.int64)
    hazard, form_error = np.ones(n), np.full(n, UNKNOWN_FORM)
    rows: list[NDArray[np.float64]] = []
    for depth in (1, 2, 3):
        wanted = np.unique(pools[depth, level == depth])
        pool_of_case = pools[depth][item]
        chosen = np.isin(pool_of_case, wanted)
        order = np.argsort(pool_of_case[chosen], kind="stable")
        cases = np.flatnonzero(chosen)[order]
        edges = np.searchsorted(pool_of_case[cases], np.append(wanted, np.iinfo(np.int64).max))
        for k, pool in enumerate(wanted):
            part = cases[edges[k] : edges[k + 1]]
            gone = event[part] > 0
            members = (level == depth) & (pools[depth] == pool)
            curve[members], hazard[members] = len(rows), gone.sum() / max(days[part].sum(), 1.0)
            if gone.sum() >= curve_n:
                row, error = _curve(days[part], gone, n_days), FORM_ERROR
            else:
                row, spread = form_average(days[part], gone, np.arange(n_days + 1))
                row, error = np.maximum(row, 1e-300), float(np.hypot(FORM_ERROR, spread))
            form_error[members] = error
            rows.append(row)
    curves = np.stack(rows) if rows else np.zeros((0, n_days + 1))
    return curves, curve, hazard, form_error


def _curve(days: NDArray[np.float64], event: NDArray[np.bool_], n_days: int) -> NDArray[np.float64]:
    """Kaplan-Meier on the day grid as long as enough lines wait; beyond, the tail of the laws that fit the lines."""
    # Sums of floats follow the order of the lines; the days themselves fix it.
    order = np.lexsort((event, days))
    days, event = days[order], event[order]
    time, at_risk, _, share = kaplan_meier_steps(days, event)
    grid = np.arange(n_days + 1)
    survival = np.append(1.0, share)
    after, before = (survival[np.searchsorted(time, grid, side=side)] for side in ("right", "left"))
    # Days are whole: half of those who left on a day did so before the hour at which they had ordered.
    curve = np.sqrt(after * before)
    curve[0] = 1.0
    enough = time[at_risk >= np.minimum(FEWEST_AT_RISK, at_risk[0])]
    last = int(min(enough[-1], n_days))
    tail = _tail(days, event, grid)
    # The curve ends at 0 when the longest case is a cancellation; half a case keeps the tail alive.
    curve[last:] = max(float(curve[last]), 0.5 / len(days)) * tail[last:] / tail[last]
    return np.asarray(np.minimum.accumulate(curve), dtype=np.float64)


def _tail(days: NDArray[np.float64], event: NDArray[np.bool_], grid: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share still waiting by exponential, Weibull and log-logistic laws, weighted by how well they fit (Akaike)."""
    n, total = float(event.sum()), max(float(days.sum()), 1.0)
    hazard = n / total
    time, wait = np.maximum(days, 0.5), np.maximum(grid, 1e-9).astype(np.float64)
    shares, scores = [np.exp(-hazard * grid)], [n * np.log(hazard) - n - 1.0]
    if len(np.unique(days[event & (days > 0)])) >= 2:
        shape, scale = weibull_censored_fit(time, event)
        density = np.log(shape / scale) + (shape - 1.0) * np.log(time[event] / scale)
        shares.append(np.exp(-((wait / scale) ** shape)))
        scores.append(density.sum() - ((time / scale) ** shape).sum() - 2.0)
        half, steep = loglogistic_censored_fit(time, event, prior_median=np.log(2.0) / hazard, prior_shape=1.5)
        odds = (time / half) ** steep
        density = np.log(steep / half) + (steep - 1.0) * np.log(time[event] / half) - np.log1p(odds[event])
        shares.append(1.0 / (1.0 + (wait / half) ** steep))
        scores.append(density.sum() - np.log1p(odds).sum() - 2.0)
    weight = np.exp(np.array(scores) - max(scores))
    share = (weight / weight.sum()) @ np.stack(shares)
    return np.asarray(np.maximum(share, 1e-300), dtype=np.float64)
