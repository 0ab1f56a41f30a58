"""A global model: gradient-boosted trees that learn from all items how demand differs from its smoothed level.

One row is an item at an origin: features of its past, all relative to an anchor (its own smoothed level times the
calendar of the window ahead), and the demand summed over the `window` periods after the origin. Trees learn the mean of
that sum as a ratio to the anchor (Poisson deviance), then the squared error of the mean, predicted on the items that
the mean was not learned from (gamma deviance). Mean and variance feed the same law as the simple model, so quantiles,
paths and sums stay one law. On public data this beats trees for every quantile, at a fraction of their cost
(benchmarks/README.md).

Rows come from origins whose window lies before the forecast's origin. Of a window touched by a stockout the part in
stock counts, against the same part of the anchor. Windows mostly in stock teach the shape, and because those are the
windows of low demand, all windows together, whatever part they show, then set the level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backorder_forecast.global_features import PastFeatures, features_at, shown_part
from backorder_forecast.panel import LEAST_SHOWN, SHOWN_SOME, shown_share

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingRegressor

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MIN_HISTORY = {"D": 28, "W": 6, "M": 4}
"""Periods before the first origin that is learned from."""
_MOST = 1000.0
_BINS = 64
_TREES = {"max_iter": 120, "learning_rate": 0.06, "max_leaf_nodes": 6, "l2_regularization": 5.0, "max_bins": _BINS}


@dataclass(frozen=True, eq=False)
class Learned:
    """Trees for the mean (one per half of the items) and the spread, and how many rows and origins they saw.

    `edges` (n_features + 1, n_bins - 1) are the bounds of the bins that the trees see instead of values; `level` is the
    factor by which all windows sold more than the trees say, `floor` that of the features.
    """

    edges: Floats
    means: tuple[HistGradientBoostingRegressor, ...]
    spread: HistGradientBoostingRegressor
    n_rows: int
    n_origins: int
    floor: float
    level: float = 1.0


def learn(past: PastFeatures, window: int, before: int, *, max_rows: int) -> Learned | None:
    """Fit on every origin whose window ends at or before the period `before`; None where there is too little."""
    origins = np.flatnonzero((past.origins + window <= before) & (past.origins >= MIN_HISTORY[past.panel.freq[0]]))
    if not len(origins):
        return None
    item, origin = _training_rows(past, window, origins, max_rows)
    if len(item) < 200:
        return None
    import sklearn.ensemble  # noqa: F401 - only the threads of a loaded library can be limited
    from threadpoolctl import threadpool_limits

    features, anchor = features_at(past, item, origin, window)
    # More threads than one save little here and cost much where cores are shared.
    with threadpool_limits(limits=1, user_api="openmp"):
        learned = _fitted(past, window, item, origin, features, anchor, len(origins))
        return None if learned is None else replace(learned, level=_level(past, window, origins, learned, max_rows))


def _level(past: PastFeatures, window: int, origins: Ints, learned: Learned, max_rows: int) -> float:
    """Units sold over units expected in all windows, in the part of each that was in stock."""
    if (past.panel.exposure == 1.0).all():
        return 1.0
    item, column = _training_rows(past, window, origins, max_rows, least=SHOWN_SOME)
    if len(item) <= learned.n_rows < max_rows:
        return 1.0
    sold = due = 0.0
    for k in np.unique(column):
        rows = item[column == k]
        mean = _means(past, learned, window, rows, int(k))[1]
        units, part = shown_part(past, rows, np.full(len(rows), k), window)
        sold, due = sold + float(units.sum()), due + float((mean * part).sum())
    return sold / due if due > 0 else 1.0


def _fitted(
    past: PastFeatures, window: int, item: Ints, origin: Ints, features: Floats, anchor: Floats, n_origins: int
) -> Learned | None:
    demand, part = shown_part(past, item, origin, window)
    anchor = anchor * part
    ratio = np.minimum(demand / anchor, _MOST)
    odd = item % 2 == 1
    if min(int(odd.sum()), int((~odd).sum())) < 50 or not demand.any():
        return None
    edges = _edges(features, anchor)
    binned = _binned(features, edges)
    leaf = int(np.clip(len(item) // 150, 20, 400))
    means = []
    fitted = np.zeros(len(item))
    for train, test in ((odd, ~odd), (~odd, odd)):
        if not ratio[train].any():
            return None
        trees = _trees("poisson", leaf).fit(binned[train], ratio[train], sample_weight=anchor[train])
        fitted[test] = np.clip(trees.predict(binned[test]), 0.0, _MOST)
        means.append(trees)
    expected = np.maximum(fitted * anchor, 1e-3 * past.floor)
    error = (demand - expected) ** 2 / expected
    of_mean = _edges(fitted[:, None], anchor)
    seen = np.column_stack([binned, _binned(fitted[:, None], of_mean)])
    # Where nothing ever strays there is still no error of 0: the gamma law has none.
    least = max(1e-3 * float(error.mean()), 1e-6 * past.floor)
    spread = _trees("gamma", leaf).fit(seen, np.maximum(error, least))
    return Learned(np.concatenate([edges, of_mean]), tuple(means), spread, len(item), n_origins, past.floor)


def predict(past: PastFeatures, learned: Learned, window: int, columns: Sequence[int]) -> tuple[Floats, Floats]:
    """Mean and variance of the summed demand of the window after some origins (columns of `past.origins`).

    Returns
    -------
    mean, variance
        Shape (n_items, n_columns); NaN for items that have not sold before the origin.
    """
    from threadpoolctl import threadpool_limits

    n_items = past.panel.n_items
    mean, variance = np.full((n_items, len(columns)), np.nan), np.full((n_items, len(columns)), np.nan)
    with threadpool_limits(limits=1, user_api="openmp"):
        for k, column in enumerate(columns):
            item = np.flatnonzero(past.first < past.origins[column])
            if not len(item):
                continue
            seen, expected = _means(past, learned, window, item, int(column))
            mean[item, k] = expected * learned.level
            variance[item, k] = learned.spread.predict(seen) * mean[item, k]
    return mean, variance


def _means(past: PastFeatures, learned: Learned, window: int, item: Ints, column: int) -> tuple[Floats, Floats]:
    """What the trees for the spread see (n, n_features + 1) and the mean by the trees for the mean (n,), one origin."""
    features, anchor = features_at(past, item, np.full(len(item), column), window)
    binned = _binned(features, learned.edges[:-1])
    ratio = np.mean([np.clip(trees.predict(binned), 0.0, _MOST) for trees in learned.means], axis=0)
    return np.column_stack([binned, _binned(ratio[:, None], learned.edges[-1:])]), ratio * anchor


def _trees(loss: str, leaf: int) -> HistGradientBoostingRegressor:
    from sklearn.ensemble import HistGradientBoostingRegressor

    settings: dict[str, Any] = {**_TREES, "min_samples_leaf": leaf, "early_stopping": False, "random_state": 0}
    return HistGradientBoostingRegressor(loss=loss, **settings)


def _training_rows(
    past: PastFeatures, window: int, origins: Ints, max_rows: int, *, least: float = LEAST_SHOWN
) -> tuple[Ints, Ints]:
    """Items and columns of the rows learned from: begun and in stock for a part; a sample if there are many."""
    shown = _window_share(past.panel.exposure, past.origins[origins], window) >= least
    begun = past.first[:, None] < past.origins[origins][None, :]
    item, column = np.nonzero(shown & begun)
    if len(item) > max_rows:
        kept = np.sort(np.random.default_rng(0).choice(len(item), max_rows, replace=False))
        item, column = item[kept], column[kept]
    return item.astype(np.int64), origins[column]


def _window_share(exposure: Floats, origins: Ints, window: int) -> Floats:
    return np.stack([shown_share(exposure[:, o : o + window]).mean(axis=1) for o in origins], axis=1)


def _edges(values: Floats, weight: Floats) -> Floats:
    """Bounds of bins per column, (n_columns, n_bins - 1): half by number of rows, half by what they sell."""
    out = np.empty((values.shape[1], _BINS - 1))
    for c in range(values.shape[1]):
        order = np.argsort(values[:, c], kind="stable")
        mass = np.cumsum(weight[order] + weight.mean())
        out[c] = values[order[np.searchsorted(mass, mass[-1] * np.arange(1, _BINS) / _BINS)], c]
    return out


def _binned(values: Floats, edges: Floats) -> Floats:
    """Bin of each value, as numbers; scikit-learn's own weighted binning costs more than the trees."""
    return np.column_stack([np.searchsorted(edges[c], values[:, c]) for c in range(values.shape[1])]).astype(np.float64)
