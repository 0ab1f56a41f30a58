"""What the trials choose: season, smoothing constant, weights of other models, spread, quiet periods, carry.

Everything is chosen per class of items by the pooled loss of the demand over the protection interval, one choice after
the other in this order, and kept with its losses, so that it can be shown. A default stays unless the gain is beyond
its standard error.

The simple model (NB-SES) is averaged with the global model (`global_model.py`) in mean and variance, then in the mean
with a model of each item's own (`theta.py`, for a few long steady items `smooth_items.py`). What they change in the
protection interval may hold on after it in part: `carry` is the power of the ratio to the simple mean that does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.global_features import past_features
from backorder_forecast.global_model import MIN_HISTORY, learn, predict
from backorder_forecast.level_laws import LevelLaw, no_demand_chance, sum_moments
from backorder_forecast.nbses import LevelStates
from backorder_forecast.panel import LEAST_SHOWN, DemandPanel, shown_share
from backorder_forecast.settings import Settings
from backorder_forecast.smooth_items import choose_items, local_sums
from backorder_forecast.theta import theta_sums
from backorder_forecast.trials import (
    CLASSES,
    MIN_SUMS,
    NEW,
    Trial,
    best_of,
    class_losses,
    loss_rows,
    make_trial,
    pick,
    relative_gains,
    season_columns,
    trial_law,
    trial_states,
    window_loss,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Weights of the global model; half is the default, because averages of unlike models rarely lose."""
OWN_WEIGHTS = (0.0, 0.25, 0.5, 0.75)
SPREADS = (0.7, 0.85, 1.0, 1.2, 1.45, 1.75)
QUIET = (0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9)
CARRY = (0.0, 0.5, 1.0)
DRIFT = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How much of the last window's pooled error is expected again: demand of a whole class that rises or falls."""
USUAL_ALPHA = {"D": 0.03, "W": 0.1, "M": 0.1}
_MIN_TRAINING_ORIGINS = 6
_TRAINING_SHARE = 0.6
_OWN_ORIGINS = 3
_SPREAD_GAIN = 0.005
_DRIFT_UNITS = 50.0


@dataclass(frozen=True, eq=False)
class Choice:
    """What the trials chose; arrays over `CLASSES`.

    Attributes
    ----------
    alpha
        Smoothing constant.
    weight, own_weight
        Weight of the global model, and of an item's own model in what remains, 0 to 1.
    drift
        Factor on the mean: a share of what the class sold in the last window over its forecast.
    spread
        Factor on the variance beyond Poisson.
    quiet
        Quiet periods as a share of the most that mean and variance allow.
    carry
        Power of the correction of the mean that holds after the protection interval, one number.
    season_column
        Column whose values group the season; empty for all items together.
    n_sums
        Scored sums per class.
    losses
        class, choice, candidate, relative_loss: the loss of each candidate over that of the default.
    """

    alpha: Floats
    weight: Floats
    own_weight: Floats
    drift: Floats
    spread: Floats
    quiet: Floats
    carry: float
    season_column: str
    n_sums: Ints
    losses: pd.DataFrame


def choose(panel: DemandPanel, events: pd.DataFrame | None, settings: Settings, *, window: int) -> Choice:
    """Run the trials of a panel for a protection interval of `window` periods; defaults where history is too short."""
    columns = season_columns(panel.items)
    column = columns[0] if columns else ""
    usual = USUAL_ALPHA[panel.freq[0]]
    alpha = np.full(len(CLASSES), min(settings.alphas, key=lambda a: (abs(a - usual), a)))
    nothing, one = np.zeros(len(CLASSES)), np.ones(len(CLASSES))
    rows: list[pd.DataFrame] = []
    trial = make_trial(panel, column, events, settings, window)
    if trial is None:
        counts = np.zeros(len(CLASSES), dtype=np.int64)
        return Choice(alpha, nothing, nothing, one, one, nothing, 0.5, column, counts, loss_rows(rows))
    if (trial.calendar.season.yearly != 1.0).any():
        column, trial = _season(trial, panel, columns, events, settings, rows)
    alpha, states = _alpha(trial, alpha, settings, rows)
    laws = [trial_law(trial, states, k, alpha, settings) for k in range(len(trial.origins))]
    simple = np.stack([mean for _, mean, _, _ in laws], axis=1)
    variance = np.stack([v for _, _, v, _ in laws], axis=1)
    code = np.stack([np.where(thin, NEW, trial.classes) for *_, thin in laws], axis=1)
    known = trial.scored & (simple > 0)
    weight, mean, variance = _weight(trial, simple, variance, code, known, settings, rows)
    own_weight, mean, variance = _own_weight(trial, mean, variance, code, known, settings, rows)
    drift, mean, variance = _drift(trial, mean, variance, code, trial.shown_some & (simple > 0), rows)
    spread, variance = _spread(trial, mean, variance, code, known, rows)
    quiet = _quiet(trial, mean, variance, code, known, rows)
    carry = _carry(trial, [law for law, *_ in laws], simple, mean, rows)
    n_sums = np.bincount(code[known], minlength=len(CLASSES))
    return Choice(alpha, weight, own_weight, drift, spread, quiet, carry, column, n_sums, loss_rows(rows))


def blended(weight: Floats | float, simple: Floats, other: Floats) -> Floats:
    """Average of two moments, the other at its weight; the simple one where the other is missing.

    Examples
    --------
    >>> blended(np.array([0.5, 0.5]), np.array([2.0, 2.0]), np.array([4.0, np.nan])).tolist()
    [3.0, 2.0]
    """
    return np.where(np.isnan(other), simple, (1.0 - weight) * simple + weight * np.nan_to_num(other))


def training_origins(before: int, window: int, freq: str, settings: Settings) -> list[int]:
    """Origins that a global model used at `before` may learn from, oldest first."""
    spacing = max(window // 4, 1) if freq == "D" else 1
    return list(range(before - window, MIN_HISTORY[freq[0]] - 1, -spacing))[: settings.global_origins][::-1]


def moved_variance(before: Floats, after: Floats, variance: Floats, counted: Bools) -> Floats:
    """Variance of sums whose mean has been moved: what is beyond Poisson moves with it.

    Examples
    --------
    >>> moved_variance(np.array([4.0]), np.array([2.0]), np.array([10.0]), np.array([True])).tolist()
    [5.0]
    """
    ratio = np.where(before > 0, after / np.where(before > 0, before, 1.0), 1.0)
    poisson = np.where(counted, before, 0.0)
    return np.asarray((poisson + np.maximum(variance - poisson, 0.0)) * ratio)


def own_rows(panel: DemandPanel, level: Floats, names: NDArray[np.str_], settings: Settings) -> Ints:
    """Items whose own model is fitted by likelihood, the most valuable first."""
    price = None
    if "price" in panel.items:
        price = pd.to_numeric(panel.items["price"], errors="coerce").to_numpy(dtype=np.float64)
    return choose_items(panel, level, names, n_items=settings.smooth_items, price=price)


def own_sums(
    panel: DemandPanel, factors: Floats, row: Ints, level: Floats, first: Ints, names: NDArray[np.str_],
    origins: list[int], window: int, settings: Settings, *, n_fitted: int,
) -> Floats:  # fmt: skip
    """Demand of the window after each origin by each item's own model, (n_items, n_origins); NaN for none.

    The theta method with the constant of least error; at the last `n_fitted` origins the most valuable of the long
    steady items have it fitted by likelihood.
    """
    sums = theta_sums(panel, factors, row, first, origins, window)
    chosen = own_rows(panel, level, names, settings)
    if len(chosen):
        fitted = local_sums(panel, factors, row, chosen, origins[-n_fitted:], window).mean
        part = sums[chosen, -n_fitted:]
        sums[chosen, -n_fitted:] = np.where(np.isnan(fitted), part, fitted)
    return sums


def _season(
    trial: Trial, panel: DemandPanel, columns: list[str], events: pd.DataFrame | None, settings: Settings,
    rows: list[pd.DataFrame],
) -> tuple[str, Trial]:  # fmt: skip
    """The column whose groups have the most useful seasons, or none; a category is the default."""
    alpha = np.full(len(CLASSES), 0.1)
    usual = columns[0] if columns else ""
    found: dict[str, tuple[Floats, Trial]] = {}
    for name in [*columns, ""]:
        other = trial if name == usual else make_trial(panel, name, events, settings, trial.window)
        if other is None:
            continue
        states = trial_states(other, alpha, settings)
        total = np.zeros(len(other.origins))
        for k in range(len(other.origins)):
            _, mean, variance, _ = trial_law(other, states, k, alpha, settings)
            total[k] = window_loss(other, k, mean, variance, other.scored[:, k] & (mean > 0)).sum()
        found[name] = (total, other)
    names = list(found)
    gain = relative_gains(np.stack([found[name][0] for name in names]), names.index(usual))
    best = names[best_of(gain)]
    rows.append(loss_rows([], "all", "season", [name or "all items" for name in names], 1.0 - gain.sum(axis=1)))
    return best, found[best][1]


def _alpha(trial: Trial, default: Floats, settings: Settings, rows: list[pd.DataFrame]) -> tuple[Floats, LevelStates]:
    losses = np.zeros((len(settings.alphas), len(trial.origins), len(CLASSES)))
    count = np.zeros(len(CLASSES), dtype=np.int64)
    for a, candidate in enumerate(settings.alphas):
        constant = np.full(len(CLASSES), candidate)
        states = trial_states(trial, constant, settings)
        count[:] = 0
        for k in range(len(trial.origins)):
            _, mean, variance, thin = trial_law(trial, states, k, constant, settings)
            use = trial.scored[:, k] & (mean > 0) & ~thin
            losses[a, k] = np.bincount(trial.classes[use], window_loss(trial, k, mean, variance, use), len(CLASSES))
            count += np.bincount(trial.classes[use], minlength=len(CLASSES))
    best = pick(losses, count, np.asarray(settings.alphas), default, "smoothing constant", rows)
    return best, trial_states(trial, best, settings)


def _weight(
    trial: Trial, mean: Floats, variance: Floats, code: Ints, known: Bools, settings: Settings, rows: list[pd.DataFrame]
) -> tuple[Floats, Floats, Floats]:
    nothing = np.zeros(len(CLASSES))
    if not settings.global_model:
        return nothing, mean, variance
    by_trees, variance_by_trees = _by_trees(trial, settings)
    use = known & ~np.isnan(by_trees)
    if int(use.sum()) < MIN_SUMS:
        return nothing, mean, variance
    losses = np.stack([
        class_losses(trial, blended(w, mean, by_trees), blended(w, variance, variance_by_trees),
                     code, use)
        for w in WEIGHTS
    ])  # fmt: skip
    count = np.bincount(code[use], minlength=len(CLASSES))
    weight = pick(losses, count, np.asarray(WEIGHTS), np.full(len(CLASSES), 0.5), "weight of the global model", rows)
    # Trees that were not seen to foretell young items do not speak for them: they know old ones alone.
    if count[NEW] < MIN_SUMS:
        weight[NEW] = 0.0
    return weight, blended(weight[code], mean, by_trees), blended(weight[code], variance, variance_by_trees)


def _by_trees(trial: Trial, settings: Settings) -> tuple[Floats, Floats]:
    """Mean and variance by the global model at the later origins of a trial; NaN where it cannot be tried."""
    freq, last = trial.panel.freq, len(trial.origins) - 1
    none = np.full(trial.actual.shape, np.nan)
    in_the_end = len(training_origins(trial.panel.n_periods, trial.window, freq, settings))
    # Trees that saw much less than the final ones will would be judged too hard.
    wanted = max(_MIN_TRAINING_ORIGINS, round(_TRAINING_SHARE * in_the_end))
    k, start, earlier = 0, 0, list[int]()
    for k, start in enumerate(trial.origins.tolist()):
        earlier = training_origins(start, trial.window, freq, settings)
        if len(earlier) >= (wanted if k < last - 1 else _MIN_TRAINING_ORIGINS // 2):
            break
    if len(earlier) < _MIN_TRAINING_ORIGINS // 2:
        return none, none
    tried = trial.origins[k:].tolist()
    origins = sorted({*earlier, *tried})
    past = past_features(
        trial.panel, trial.factors, trial.calendar.row, trial.first, trial.calendar.season.item_group, origins,
        min_in_stock=settings.min_in_stock, init_periods=settings.init_periods,
    )  # fmt: skip
    learned = learn(past, trial.window, start, max_rows=settings.global_rows // 3)
    if learned is None:
        return none, none
    mean, variance = none.copy(), none.copy()
    mean[:, k:], variance[:, k:] = predict(past, learned, trial.window, [origins.index(o) for o in tried])
    return mean * trial.shown, variance * trial.shown


def _own_weight(
    trial: Trial, mean: Floats, variance: Floats, code: Ints, known: Bools, settings: Settings, rows: list[pd.DataFrame]
) -> tuple[Floats, Floats, Floats]:
    if not settings.theta:
        return np.zeros(len(CLASSES)), mean, variance
    own = own_sums(
        trial.panel, trial.factors, trial.calendar.row, mean[:, -1] / trial.window, trial.first,
        np.asarray(CLASSES)[trial.classes], trial.origins.tolist(), trial.window, settings, n_fitted=_OWN_ORIGINS,
    ) * trial.shown  # fmt: skip
    own[code == NEW] = np.nan
    use = known & ~np.isnan(own)
    default = np.zeros(len(CLASSES))
    counted = trial.counted[:, None]

    def averaged(weight: Floats | float) -> tuple[Floats, Floats]:
        target = blended(weight, mean, own)
        return target, moved_variance(mean, target, variance, counted)

    if int(use.sum()) < MIN_SUMS:
        return default, mean, variance
    losses = np.stack([class_losses(trial, *averaged(w), code, use) for w in OWN_WEIGHTS])
    count = np.bincount(code[use], minlength=len(CLASSES))
    weight = pick(losses, count, np.asarray(OWN_WEIGHTS), default, "weight of own models", rows)
    return weight, *averaged(weight[code])


def _drift(
    trial: Trial, mean: Floats, variance: Floats, code: Ints, known: Bools, rows: list[pd.DataFrame]
) -> tuple[Floats, Floats, Floats]:
    """Each window corrected by the pooled error of the one before it, which has just been seen."""
    n = len(trial.origins)
    one = np.ones(len(CLASSES))
    if trial.panel.freq == "D" and trial.window < 7:
        # The error of a few days is that of their days of the week.
        return one, mean, variance
    error = np.ones((n + 1, len(CLASSES)))
    for k in range(n):
        use = known[:, k]
        sold = np.bincount(code[use, k], trial.actual[use, k], len(CLASSES))
        due = np.bincount(code[use, k], mean[use, k], len(CLASSES))
        error[k + 1] = (sold + _DRIFT_UNITS) / (due + _DRIFT_UNITS)
    use = known.copy()
    use[:, 0] = False
    if int(use.sum()) < MIN_SUMS:
        return one, mean, variance
    before = np.stack([error[k][code[:, k]] for k in range(n)], axis=1)
    losses = np.stack([
        class_losses(trial, *_times(trial, mean, variance, before**share), code, use) for share in DRIFT
    ])  # fmt: skip
    count = np.bincount(code[use], minlength=len(CLASSES))
    share = pick(losses, count, np.asarray(DRIFT), np.zeros(len(CLASSES)), "drift", rows)
    return (error[n] ** share, *_times(trial, mean, variance, before ** share[code]))


def _times(trial: Trial, mean: Floats, variance: Floats, factor: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of sums with the level multiplied."""
    poisson = np.where(trial.counted[:, None], mean, 0.0)
    return mean * factor, poisson * factor + np.maximum(variance - poisson, 0.0) * factor**2


def _spread(
    trial: Trial, mean: Floats, variance: Floats, code: Ints, known: Bools, rows: list[pd.DataFrame]
) -> tuple[Floats, Floats]:
    poisson = np.where(trial.counted[:, None], mean, 0.0)
    excess = np.maximum(variance - poisson, 0.0)
    losses = np.stack([class_losses(trial, mean, poisson + s * excess, code, known) for s in SPREADS])
    count = np.bincount(code[known], minlength=len(CLASSES))
    default = np.ones(len(CLASSES))
    spread = pick(losses, count, np.asarray(SPREADS), default, "spread", rows, least_gain=_SPREAD_GAIN)
    return spread, poisson + spread[code] * excess


def _quiet(trial: Trial, mean: Floats, variance: Floats, code: Ints, known: Bools, rows: list[pd.DataFrame]) -> Floats:
    """By the log loss of no demand at all in the window."""
    use = known & trial.counted[:, None] & (trial.shown >= 0.999)
    safe = np.where(mean > 0, mean, 1.0) / trial.window
    excess = np.maximum(variance - mean, 0.0) / trial.window
    none = trial.actual == 0
    losses = np.zeros((len(QUIET), len(trial.origins), len(CLASSES)))
    for q, share in enumerate(QUIET):
        silent = np.clip(no_demand_chance(safe, excess, share) ** trial.window, 1e-4, 1.0 - 1e-4)
        loss = -np.log(np.where(none, silent, 1.0 - silent))
        for k in range(len(trial.origins)):
            losses[q, k] = np.bincount(code[use[:, k], k], loss[use[:, k], k], len(CLASSES))
    count = np.bincount(code[use], minlength=len(CLASSES))
    return pick(losses, count, np.asarray(QUIET), np.zeros(len(CLASSES)), "quiet periods", rows)


def _carry(trial: Trial, laws: list[LevelLaw], simple: Floats, mean: Floats, rows: list[pd.DataFrame]) -> float:
    """Power of the correction that forecasts the window after the protection interval best, one for all items."""
    window, n = trial.window, trial.panel.n_periods
    later = [k for k, origin in enumerate(trial.origins) if origin + 2 * window <= n]
    losses = np.zeros((len(CARRY), max(len(later), 1)))
    default = CARRY.index(0.5)
    changed = False
    for j, k in enumerate(later):
        part = slice(int(trial.origins[k]) + window, int(trial.origins[k]) + 2 * window)
        share = shown_share(trial.panel.exposure[:, part])
        factors = trial.factors[trial.calendar.row, part]
        use = (share.mean(axis=1) >= LEAST_SHOWN) & (simple[:, k] > 0) & (trial.first < trial.origins[k])
        ratio = np.where(use, mean[:, k] / np.where(use, simple[:, k], 1.0), 1.0)
        changed |= bool((np.abs(ratio[use] - 1.0) > 1e-9).any())
        actual = (trial.panel.demand[:, part] * (share > 0)).sum(axis=1)
        first, square = (factors * share).sum(axis=1), (factors**2 * share).sum(axis=1)
        for c, power in enumerate(CARRY):
            law = laws[k].scaled(ratio**power, np.ones(len(ratio)), trial.counted)
            m, v = sum_moments(law, trial.counted, first, square)
            losses[c, j] = window_loss(trial, k, m, v, use, actual=actual).sum()
    if not changed or not losses.any():
        return CARRY[default]
    gain = relative_gains(losses, default)
    rows.append(loss_rows([], "all", "carry", [str(c) for c in CARRY], 1.0 - gain.sum(axis=1)))
    return CARRY[best_of(gain)]
