"""Rolling-origin trials: candidates held against what came after origins in the past.

At origins one window apart, the demand of the window after each is held against what a candidate says of it, knowing
only what was known then; the season is fitted before the first of these origins. The loss is the pinball loss of the
summed demand, pooled over the items of a class, never of one item. Of a window touched by a stockout the part in stock
is scored, against the same part of the forecast: to leave such windows out would be to leave out high demand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast import streams
from backorder_forecast.calendars import DemandCalendar, fit_calendar
from backorder_forecast.clock import SEASON_PERIODS
from backorder_forecast.level_laws import (
    LevelLaw,
    first_period,
    fractional,
    level_law,
    sum_loss,
    sum_moments,
)
from backorder_forecast.nbses import LevelStates, scan_levels
from backorder_forecast.panel import LEAST_SHOWN, SHOWN_SOME, DemandPanel, shown_share
from backorder_forecast.settings import Settings
from backorder_forecast.smoothing import demand_classes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

CLASSES = ("smooth", "erratic", "intermittent", "lumpy", "no_demand", "new")
"""Classes of items that share a choice: the demand classes, and items with little history."""
NEW = len(CLASSES) - 1
WINDOW = {"D": 28, "W": 4, "M": 3}
"""Protection interval in periods where none is given, by the first letter of the clock."""
LEVELS = np.array([0.5, 0.75, 0.9, 0.95])
MIN_SUMS = 30
"""Scored sums below which nothing is chosen."""
_SUMS = 1200
_SHARED_SUMS = 500
_UNKNOWN_ERROR = 0.02
_MIN_ORIGINS = 6
_MAX_ORIGINS = 12
_ITEMS = 400
_ITEMS_GLOBAL = 3000


@dataclass(frozen=True, eq=False)
class Trial:
    """Items and origins on which candidates are compared.

    `actual`, `scored`, `factor_sum`, `square_sum`, `shown`, `shown_some` are (n_items, n_origins): demand of the part
    in stock of the window after each origin, whether that part is large enough, the sum of its factors and of their
    squares, its share of the whole window, and whether it is more than next to nothing.
    """

    panel: DemandPanel
    calendar: DemandCalendar
    factors: Floats
    window: int
    origins: Ints
    first: Ints
    counted: Bools
    no_demand: Floats
    classes: Ints
    actual: Floats
    scored: Bools
    factor_sum: Floats
    square_sum: Floats
    shown: Floats
    shown_some: Bools


def default_window(freq: str, horizon: int | None = None) -> int:
    """Periods of the protection interval where lead times are not known: a month, or the horizon if shorter."""
    usual = WINDOW[freq[0]]
    return usual if horizon is None else max(1, min(usual, horizon))


def season_columns(items: pd.DataFrame) -> list[str]:
    """Columns that group items and may have a season of their own: text with few values, category first.

    Examples
    --------
    >>> items = pd.DataFrame({"sku": list("abcdefgh"), "category": list("xxxxyyyy"), "price": range(8)})
    >>> season_columns(items)
    ['category']
    """
    found = []
    for name in items.columns:
        if name in ("sku", "location") or not (
            isinstance(items[name].dtype, pd.CategoricalDtype) or pd.api.types.is_string_dtype(items[name].dtype)
        ):
            continue
        values = items[name].nunique()
        if 2 <= values <= len(items) / 4:
            found.append(str(name))
    return sorted(found, key=lambda name: (name != "category", name))[:6]


def item_classes(panel: DemandPanel) -> NDArray[np.str_]:
    """Demand class of each item over its in-stock periods."""
    return demand_classes(panel.demand, exposure=panel.exposure)


def class_codes(names: NDArray[np.str_]) -> Ints:
    """Place of each class name in `CLASSES`."""
    return np.array([CLASSES.index(name) for name in names], dtype=np.int64)


def make_trial(
    panel: DemandPanel, column: str, events: pd.DataFrame | None, settings: Settings, window: int
) -> Trial | None:
    """A trial of the last windows of a panel, its season grouped by a column; None where too few can be scored."""
    rows = _sampled(panel, _ITEMS_GLOBAL if settings.global_model else _ITEMS)
    some = _rows(panel, rows)
    begun = int((some.demand > 0).any(axis=1).sum())
    wanted = int(np.clip(-(-_SUMS // max(begun, 1)), _MIN_ORIGINS, _MAX_ORIGINS))
    last = panel.n_periods - window
    origins = np.array([o for o in (last - window * k for k in reversed(range(wanted))) if o >= max(window, 4)])
    # Before two cycles are known there is no season, and a fast level would pass for it.
    cycles = int(2 * SEASON_PERIODS[panel.freq])
    if (origins >= cycles).any():
        origins = origins[origins >= cycles]
    if not len(origins):
        return None
    groups = some.items[column] if column else None
    calendar = fit_calendar(some.until(int(origins[0])), groups, events, settings)
    factors = calendar.factors(some.periods)
    ahead = origins[:, None] + np.arange(window)[None, :]
    own = factors[calendar.row][:, ahead]
    share = shown_share(some.exposure[:, ahead])
    first = first_period(some)
    begun_by = first[:, None] < origins[None, :]
    scored = (share.mean(axis=2) >= LEAST_SHOWN) & begun_by
    if int(scored.sum()) < MIN_SUMS:
        return None
    zero = (some.demand == 0) & (some.exposure > 0)
    no_demand = (zero.sum(axis=1) / np.maximum((some.exposure > 0).sum(axis=1), 1)) ** window
    part = (own * share).sum(axis=2)
    return Trial(
        some, calendar, factors, window, origins, first, ~fractional(some), no_demand,
        class_codes(item_classes(some)), (some.demand[:, ahead] * (share > 0)).sum(axis=2), scored, part,
        (own**2 * share).sum(axis=2), part / own.sum(axis=2), (share.mean(axis=2) >= SHOWN_SOME) & begun_by,
    )  # fmt: skip


def pick(
    losses: Floats, count: Ints, candidates: Floats, default: Floats, choice: str, rows: list[pd.DataFrame],
    *, least_gain: float = 0.0,
) -> Floats:  # fmt: skip
    """Candidate of least loss per class, its gain drawn to that of all classes together; shape (n_classes,).

    `losses` are (n_candidates, n_origins, n_classes). A candidate replaces the default only for a gain beyond its
    standard error over the origins: what won once by luck does not win again. The losses are added to `rows`.
    """
    best = default.copy()
    if int(count.sum()) < MIN_SUMS:
        return best
    losses = losses[:, losses.sum(axis=(0, 2)) > 0]
    everyone = losses.sum(axis=2)
    for c in range(len(CLASSES)):
        at = int(np.argmin(np.abs(candidates - default[c])))
        share = count[c] / (count[c] + _SHARED_SUMS)
        gain = share * relative_gains(losses[:, :, c], at) + (1.0 - share) * relative_gains(everyone, at)
        best[c] = candidates[best_of(gain, at, least_gain)]
        if count[c]:
            names = [f"{value:g}" for value in candidates]
            rows.append(loss_rows([], CLASSES[c], choice, names, 1.0 - gain.sum(axis=1)))
    return best


def relative_gains(losses: Floats, default: int) -> Floats:
    """Loss saved against the default, by candidate and origin, as a share of the default's whole loss."""
    return np.asarray((losses[default] - losses) / max(float(losses[default].sum()), 1e-12))


def best_of(gain: Floats, default: int | None = None, least_gain: float = 0.0) -> int:
    """Candidate whose gain less its standard error over the origins is largest; the default unless that is positive.

    Examples
    --------
    >>> best_of(np.array([[0.0, 0.0, 0.0], [0.02, -0.015, 0.001], [0.01, 0.012, 0.011]]))
    2
    """
    n = gain.shape[1]
    error = np.sqrt(n) * gain.std(axis=1, ddof=1) if n > 1 else np.where(gain.any(axis=1), _UNKNOWN_ERROR, 0.0)
    worth = gain.sum(axis=1) - error
    k = int(np.argmax(worth))
    return k if default is None or worth[k] > least_gain else default


def class_losses(trial: Trial, mean: Floats, variance: Floats, code: Ints, use: Bools) -> Floats:
    """Summed loss by origin and class, shape (n_origins, n_classes)."""
    total = np.zeros((len(trial.origins), len(CLASSES)))
    for k in range(len(trial.origins)):
        rows = use[:, k]
        total[k] = np.bincount(code[rows, k], window_loss(trial, k, mean[:, k], variance[:, k], rows), len(CLASSES))
    return total


def window_loss(
    trial: Trial, k: int, mean: Floats, variance: Floats, use: Bools, *, actual: Floats | None = None
) -> Floats:
    """Pinball loss of the items `use` at origin k, units; of other sums than the trial's where `actual` is given."""
    sums = trial.actual[:, k] if actual is None else actual
    return sum_loss(sums[use], mean[use], variance[use], trial.counted[use], trial.no_demand[use], LEVELS)


def trial_states(trial: Trial, alpha: Floats, settings: Settings) -> LevelStates:
    """NB-SES states at the origins of a trial, the smoothing constant given per class."""
    return scan_levels(
        trial.panel, trial.factors, trial.calendar.row, trial.first, alpha=alpha[trial.classes],
        min_in_stock=settings.min_in_stock, init_periods=settings.init_periods,
        origins=trial.origins.tolist(),
    )  # fmt: skip


def trial_law(
    trial: Trial, states: LevelStates, k: int, alpha: Floats, settings: Settings
) -> tuple[LevelLaw, Floats, Floats, Bools]:
    """Law at an origin, mean and variance of the window's sum, and which items took their law from the group."""
    law, thin = level_law(
        states, k, alpha[trial.classes], trial.calendar.season.item_group, counted=trial.counted,
        shrink_n=settings.variance_shrink_n, init_periods=settings.init_periods,
    )  # fmt: skip
    mean, variance = sum_moments(law, trial.counted, trial.factor_sum[:, k], trial.square_sum[:, k])
    return law, mean, variance, thin


def loss_rows(
    given: list[pd.DataFrame], name: str = "", choice: str = "", candidates: list[str] | None = None,
    losses: Floats | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Losses as rows: of one choice of a class, or all that were given."""
    if candidates is not None:
        return pd.DataFrame({"class": name, "choice": choice, "candidate": candidates, "relative_loss": losses})
    empty = pd.DataFrame(columns=["class", "choice", "candidate", "relative_loss"])
    return pd.concat(given, ignore_index=True) if given else empty


def _sampled(panel: DemandPanel, n: int) -> Ints:
    """Items that stand for all: those with the smallest stable hash."""
    if panel.n_items <= n:
        return np.arange(panel.n_items)
    keys = streams.item_keys(panel.items["sku"], panel.items["location"], 0, 0)
    return np.sort(np.argsort(keys, kind="stable")[:n])


def _rows(panel: DemandPanel, rows: Ints) -> DemandPanel:
    if len(rows) == panel.n_items:
        return panel
    items = panel.items.iloc[rows].reset_index(drop=True)
    return DemandPanel(items, panel.periods, panel.freq, panel.as_of, panel.demand[rows], panel.exposure[rows])
