"""Demand as a distribution: a panel goes in, one law per item comes out, from which paths are drawn.

The simple model is NB-SES (`nbses.py`) on a calendar of pooled seasonal indices and event lifts (`calendars.py`). A
global model of gradient-boosted trees (`global_model.py`) corrects mean and variance of the demand over the protection
interval. Smoothing constant, seasonal groups, the weight of the global model and the spread are chosen per class of
items by trials at past origins (`trials.py`). The law is that of `demand_law.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.calendars import DemandCalendar, fit_calendar, with_periods_ahead
from backorder_forecast.choices import Choice, blended, choose, moved_variance, own_sums, training_origins
from backorder_forecast.demand_law import DemandDraw, DemandModel
from backorder_forecast.global_features import past_features
from backorder_forecast.global_model import Learned, learn, predict
from backorder_forecast.level_laws import (
    LevelLaw,
    first_period,
    fractional,
    hidden_share,
    level_law,
    quiet_share,
    sum_moments,
)
from backorder_forecast.nbses import LevelStates, scan_levels
from backorder_forecast.panel import DemandPanel
from backorder_forecast.settings import Settings
from backorder_forecast.trials import CLASSES, MIN_SUMS, NEW, class_codes, default_window, item_classes

__all__ = [
    "DemandDraw", "DemandModel", "Recipe", "earlier_level", "fit_demand", "history_confidence", "refit_demand",
    "sale_dates",
]  # fmt: skip

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MOSTLY_HIDDEN = 0.5
"""Hidden share of the recent periods from which a level is drawn to its group and confidence is low."""


class Recipe(NamedTuple):
    """What trials chose and the trees that were learned, to be used again on later periods of the same items."""

    choice: Choice
    learned: Learned | None


def fit_demand(
    panel: DemandPanel, settings: Settings, *, window: int | None = None, events: pd.DataFrame | None = None
) -> DemandModel:
    """Fit the demand of every item of a panel; product columns in `panel.items` are used where present.

    Parameters
    ----------
    panel
        Demand and exposure per item and period.
    settings
        See `Settings`.
    window
        Protection interval in periods that choices and the global model are scored on; a month without it.
    events
        Table `events`: promotions and other dated events, past and planned.
    """
    return refit_demand(panel, settings, window=window, events=events)[0]


def refit_demand(
    panel: DemandPanel, settings: Settings, *, window: int | None = None, events: pd.DataFrame | None = None,
    recipe: Recipe | None = None,
) -> tuple[DemandModel, Recipe]:  # fmt: skip
    """`fit_demand`, and the recipe of the fit.

    With a `recipe` of an earlier fit (same items and window) levels, seasons and features are those of the panel, but
    no trials are run and no trees learned, at about a tenth of the time.
    """
    panel = while_on_sale(panel)
    items = panel.items
    window = default_window(panel.freq) if window is None else window
    choice = choose(panel, events, settings, window=window) if recipe is None else recipe.choice
    groups = items[choice.season_column] if choice.season_column else None
    calendar = fit_calendar(panel, groups, events, settings)
    periods = with_periods_ahead(panel, window)
    factors = calendar.factors(periods)
    first = first_period(panel)
    names = item_classes(panel)
    classes = class_codes(names)
    alpha = choice.alpha[classes]
    counted = ~fractional(panel)
    states = scan_levels(
        panel, factors, calendar.row, first, alpha=alpha, min_in_stock=settings.min_in_stock,
        init_periods=settings.init_periods, origins=[panel.n_periods],
    )  # fmt: skip
    hidden, shown = hidden_share(panel)
    law, thin = level_law(
        states, 0, alpha, calendar.season.item_group, counted=counted, shrink_n=settings.variance_shrink_n,
        init_periods=settings.init_periods, shown=np.where(hidden >= MOSTLY_HIDDEN, shown, np.nan),
    )  # fmt: skip
    starts, ends = sale_dates(items)
    # Never sold and no launch stated: nothing says that it ever will be.
    dead = (first >= panel.n_periods) & np.asarray(starts.isna())
    law = LevelLaw(*(np.where(dead, 0.0, values) for values in (law.level, law.level_variance, law.within)))
    code = np.where(thin, NEW, classes)
    ahead = factors[calendar.row, panel.n_periods :]
    mean, variance = sum_moments(law, counted, ahead.sum(axis=1), (ahead**2).sum(axis=1))
    weight = choice.weight[code]
    learned, by_trees, variance_by_trees = _by_trees(panel, calendar, factors, weight, window, settings, recipe)
    pooled = blended(weight, mean, by_trees)
    own_weight = choice.own_weight[code]
    own = np.full(panel.n_items, np.nan)
    if own_weight.any():
        own = own_sums(
            panel, factors, calendar.row, pooled / window, first, names, [panel.n_periods], window, settings,
            n_fitted=1,
        )[:, 0]  # fmt: skip
        own[thin | dead] = np.nan
    target = blended(own_weight, pooled, own)
    spread = moved_variance(pooled, target, blended(weight, variance, variance_by_trees), counted)
    poisson = np.where(counted, target, 0.0)
    drift = choice.drift[code]
    spread = poisson * drift + np.maximum(spread - poisson, 0.0) * drift**2
    target = target * drift
    law, near = _corrected(law, counted, ahead, target, spread, choice.spread[code], choice.carry)
    quiet = np.where(counted, quiet_share(law.level, np.maximum(law.within - law.level, 0.0), choice.quiet[code]), 0.0)
    zero = np.where(counted, np.nan, _zero_share(states))
    models = _Models(np.where(np.isnan(by_trees), 0.0, weight), np.where(np.isnan(own), 0.0, own_weight), choice, code)
    about = _about(panel, states, target / window, alpha, names, thin, dead, ends, models)
    model = DemandModel(
        items, law.level, law.level_variance, law.within, zero, calendar.season, starts, ends, about,
        effects=calendar.effects, near=near, near_periods=window, quiet_share=quiet, losses=choice.losses,
    )  # fmt: skip
    return model, Recipe(choice, learned)


def while_on_sale(panel: DemandPanel) -> DemandPanel:
    """The panel without the periods after an item's stated end: zeros there say nothing of items still on sale."""
    _, ends = sale_dates(panel.items)
    if not ends.notna().any():
        return panel
    over = panel.periods.to_numpy()[None, :] > ends.to_numpy()[:, None]
    return replace(panel, exposure=np.where(over, 0.0, panel.exposure))


class _Models(NamedTuple):
    """Weights of the global model and of own models per item, and the choice behind them."""

    weight: Floats
    own_weight: Floats
    choice: Choice
    code: NDArray[np.int64]


def _by_trees(
    panel: DemandPanel, calendar: DemandCalendar, factors: Floats, weight: Floats, window: int, settings: Settings,
    recipe: Recipe | None,
) -> tuple[Learned | None, Floats, Floats]:  # fmt: skip
    """The trees, and mean and variance by them for each item; NaN where they have nothing to say."""
    nothing = np.full(panel.n_items, np.nan)
    earlier = None if recipe is None else recipe.learned
    if not weight.any() or (recipe is not None and earlier is None):
        return None, nothing, nothing
    n = panel.n_periods
    origins = [n] if earlier is not None else [*training_origins(n, window, panel.freq, settings), n]
    past = past_features(
        panel, factors, calendar.row, first_period(panel), calendar.season.item_group, origins,
        min_in_stock=settings.min_in_stock, init_periods=settings.init_periods,
        floor=None if earlier is None else earlier.floor,
    )  # fmt: skip
    learned = earlier or learn(past, window, n, max_rows=settings.global_rows)
    if learned is None:
        return None, nothing, nothing
    mean, variance = predict(past, learned, window, [len(origins) - 1])
    return learned, mean[:, 0], variance[:, 0]


def _corrected(
    law: LevelLaw, counted: Bools, ahead: Floats, target: Floats, variance: Floats, spread: Floats, carry: float
) -> tuple[LevelLaw, Floats]:
    """The law that has mean `target` and the given variance over the periods `ahead`, and the near factor.

    The ratio of the means to the power `carry` stays in the level, the rest is a factor on the near periods. `spread`
    multiplies the variance beyond Poisson.
    """
    factor_sum, square_sum = ahead.sum(axis=1), (ahead**2).sum(axis=1)
    mean, _ = sum_moments(law, counted, factor_sum, square_sum)
    known = mean > 0
    ratio = np.where(known, target / np.where(known, mean, 1.0), 1.0)
    one = np.ones(len(ratio))
    near_law = law.scaled(ratio, one, counted)
    poisson = np.where(counted, target, 0.0)
    excess = sum_moments(near_law, counted, factor_sum, square_sum)[1] - poisson
    # Next to Poisson there is nothing to stretch: two percent more variance gives it something.
    narrow = counted & (excess < 0.02 * poisson)
    within = np.where(narrow, law.within + 0.02 * law.level, law.within)
    excess = np.where(narrow, excess + 0.02 * law.level * ratio**2 * square_sum, excess)
    wanted = spread * np.maximum(variance - poisson, 0.0)
    stretch = np.where(excess > 0, wanted / np.where(excess > 0, excess, 1.0), 1.0)
    kept = ratio**carry
    return LevelLaw(law.level, law.level_variance, within).scaled(kept, stretch, counted), ratio / kept


def earlier_level(panel: DemandPanel, model: DemandModel, settings: Settings, *, periods_ago: int) -> Floats:
    """Level that the simple model held some periods ago over the level it holds now, times the level of `model`.

    Shape (n_items,); 0 where it held none.
    """
    panel = while_on_sale(panel)
    alpha = np.nan_to_num(model.about["alpha"].to_numpy(dtype=np.float64), nan=0.1)
    n = panel.n_periods
    states = scan_levels(
        panel, model.past_factors(panel.periods), np.arange(panel.n_items), first_period(panel), alpha=alpha,
        min_in_stock=settings.min_in_stock, init_periods=settings.init_periods,
        origins=[max(n - periods_ago, 0), n],
    )  # fmt: skip
    before, now = states.level[:, 0], states.level[:, 1]
    return np.where(now > 0, before / np.where(now > 0, now, 1.0) * model.level, before)


def sale_dates(items: pd.DataFrame) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
    """First and last day on which each item sells, columns `launched` and `discontinued`; NaT where open."""
    none = pd.Series(pd.NaT, index=items.index, dtype="datetime64[us]")
    launched = pd.to_datetime(items["launched"]) if "launched" in items else none
    ended = pd.to_datetime(items["discontinued"]) if "discontinued" in items else none
    return pd.DatetimeIndex(launched), pd.DatetimeIndex(ended)


def history_confidence(
    panel: DemandPanel, states: LevelStates, *, ended: Bools, dead: Bools, thin: Bools, short: str
) -> pd.DataFrame:
    """How much an item's history says: n_periods, n_nonzero, censored_share, confidence, confidence_reason.

    `states` after the last period; items that have `ended`, never sold (`dead`), or have little history (`thin`, told
    in the words of `short`).
    """
    hidden, _ = hidden_share(panel)
    nonzero, used = states.n_nonzero[:, 0], states.n_used[:, 0]
    reasons = np.select(
        [ended, dead, thin, nonzero < 4, hidden >= MOSTLY_HIDDEN, (nonzero < 12) | (used < 26)],
        [
            "discontinued: no demand expected",
            "no demand in the history",
            short,
            "fewer than 4 periods with demand",
            "out of stock in half of the last 26 periods or more",
            "fewer than 12 periods with demand or 26 periods of history",
        ],
        "enough history",
    )
    confidence = np.select(
        [ended, dead | thin | (nonzero < 4) | (hidden >= MOSTLY_HIDDEN), (nonzero < 12) | (used < 26)],
        ["high", "low", "medium"],
        "high",
    )
    return pd.DataFrame(
        {
            "n_periods": used.astype(np.int64), "n_nonzero": nonzero.astype(np.int64), "censored_share": hidden,
            "confidence": confidence, "confidence_reason": reasons,
        },
        index=panel.items.index,
    )  # fmt: skip


def _zero_share(states: LevelStates) -> Floats:
    share = 1.0 - (states.n_nonzero[:, 0] + 0.5) / (states.n_used[:, 0] + 1.0)
    return np.clip(share, 0.0, 0.999)


def _about(
    panel: DemandPanel, states: LevelStates, level: Floats, alpha: Floats, names: NDArray[np.str_], thin: Bools,
    dead: Bools, ends: pd.DatetimeIndex, models: _Models,
) -> pd.DataFrame:  # fmt: skip
    ended = np.asarray(ends <= panel.as_of)
    plain = dead | thin
    weight, own = models.weight, np.where(plain, 0.0, models.own_weight)
    joined = np.where(own > 0, "NB-SES + own model", np.where(plain, "group prior", "NB-SES"))
    joined = np.where((weight > 0) & (weight < 1), np.char.add(joined, " + global trees"), joined)
    joined = np.where(weight == 1, np.where(own > 0, "own model + global trees", "global trees"), joined)
    frame = panel.items[["sku", "location"]].copy()
    frame["method"] = np.where(dead, "none", joined)
    frame["method_reason"] = np.where(dead, "no demand in the history", _reasons(models))
    frame["global_weight"] = np.where(dead, 0.0, weight)
    frame["own_weight"] = own
    frame["demand_class"] = names
    frame["mean_per_period"] = level
    frame["alpha"] = np.where(plain, np.nan, alpha)
    history = history_confidence(
        panel, states, ended=ended, dead=dead, thin=thin, short="short history: level borrowed from its group"
    )
    return pd.concat([frame, history], axis=1)


def _reasons(models: _Models) -> NDArray[np.str_]:
    """Why each item has its method: what the trials of its class compared."""
    losses = models.choice.losses
    out = []
    for c, name in enumerate(CLASSES):
        n = int(models.choice.n_sums[c])
        mine = losses[(losses["class"] == name) & (losses["choice"] == "weight of the global model")]
        if not models.choice.n_sums.any():
            out.append("too little history to compare methods: defaults")
        elif c == NEW and n < MIN_SUMS:
            out.append(f"{n or 'no'} past windows of {name} items, too few to compare methods on: their group alone")
        elif not n:
            out.append(f"no past window of {name} items to compare methods on: as for items of all classes together")
        elif mine.empty:
            out.append(f"{n} past windows of {name} items: NB-SES alone, too few items for a global model")
        else:
            loss = mine.set_index("candidate")["relative_loss"]
            best, alone = loss[f"{models.choice.weight[c]:g}"], loss["0"]
            out.append(f"{n} past windows of {name} items: loss {best / alone:.2f} of that of NB-SES alone")
    return np.asarray(out)[models.code]
