"""What the global model may know and what it learns, on panels whose rule is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hand_made import panel_of, sleepers
from numpy.typing import NDArray

from backorder_forecast.choices import choose
from backorder_forecast.clock import Clock
from backorder_forecast.demand import fit_demand
from backorder_forecast.global_features import PastFeatures, feature_names, past_features
from backorder_forecast.global_model import MIN_HISTORY, Learned, learn, predict
from backorder_forecast.level_laws import first_period
from backorder_forecast.panel import LEAST_SHOWN, RAN_OUT, DemandPanel
from backorder_forecast.scores import pinball
from backorder_forecast.settings import Settings
from backorder_forecast.trials import CLASSES

Floats = NDArray[np.float64]
WINDOW, LATEST = 4, 76
ORIGINS = list(range(6, 81))


def past_of(panel: DemandPanel, origins: Sequence[int] = ORIGINS, *, groups: int = 1) -> PastFeatures:
    row = np.zeros(panel.n_items, dtype=np.int64)
    factors = np.ones((1, panel.n_periods + WINDOW))
    return past_features(
        panel, factors, row, first_period(panel), np.arange(panel.n_items) % groups, origins, min_in_stock=0.25,
        init_periods=12,
    )  # fmt: skip


def learned_of(past: PastFeatures, before: int, *, max_rows: int = 60_000) -> Learned:
    learned = learn(past, WINDOW, before, max_rows=max_rows)
    assert learned is not None
    return learned


@cache
def panel() -> DemandPanel:
    return panel_of(sleepers(60, 80), freq="W-MON")


@cache
def trained() -> tuple[PastFeatures, Learned]:
    past = past_of(panel())
    return past, learned_of(past, LATEST)


def forecast(past: PastFeatures, learned: Learned, *origins: int) -> tuple[Floats, Floats]:
    return predict(past, learned, WINDOW, [past.origins.tolist().index(o) for o in origins])


def planted(origin: int) -> DemandPanel:
    """The same panel with other demand, some of it huge, some hidden, from the origin on."""
    rng = np.random.default_rng(5)
    demand, exposure = panel().demand.copy(), panel().exposure.copy()
    demand[:, origin:] = rng.choice([0.0, 1e4, 1e6], demand[:, origin:].shape)
    exposure[:, origin + 1 :] = rng.choice([1.0, 0.4, 0.0, RAN_OUT], exposure[:, origin + 1 :].shape)
    return replace(panel(), demand=demand, exposure=exposure)


# --- nothing at or after the origin


@pytest.mark.parametrize("origin", [20, 60, 79])
def test_forecasts_at_an_origin_know_nothing_of_it_or_later(origin: int) -> None:
    past, learned = trained()
    other = past_of(planted(origin))
    k = past.origins.tolist().index(origin) + 1
    np.testing.assert_array_equal(past.levels[:, :, :k], other.levels[:, :, :k])
    np.testing.assert_array_equal(past.variance[:, :k], other.variance[:, :k])
    for o in (origin - 7, origin):
        for mine, theirs in zip(forecast(past, learned, o), forecast(other, learned, o), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    if origin < 79:
        assert not np.array_equal(forecast(past, learned, origin + 1)[0], forecast(other, learned, origin + 1)[0])


@pytest.mark.parametrize("before", [40, 79])
def test_what_is_learned_before_a_period_does_not_depend_on_it_or_later(before: int) -> None:
    past, other = past_of(panel()), past_of(planted(before))
    mine, theirs = learned_of(past, before), learned_of(other, before)
    assert mine.n_rows == theirs.n_rows
    assert mine.n_origins == before - WINDOW - MIN_HISTORY["W"] + 1
    for a, b in zip(forecast(past, mine, 30, before), forecast(other, theirs, 30, before), strict=True):
        np.testing.assert_array_equal(a, b)
    # One period earlier is known, and matters.
    early = learned_of(past_of(planted(before - 1)), before)
    assert not np.array_equal(forecast(past, mine, 30)[0], forecast(past, early, 30)[0])


def test_hidden_periods_teach_nothing() -> None:
    rng = np.random.default_rng(2)
    hide = (rng.random(panel().demand.shape) < 0.3) & (np.arange(80) > 20)
    shown = np.where(hide, 0.0, 1.0)
    zeros, junk = (past_of(panel_of(np.where(hide, x, panel().demand), shown, freq="W-MON")) for x in (0.0, 999.0))
    learned, other = learned_of(zeros, LATEST), learned_of(junk, LATEST)
    for mine, theirs in zip(forecast(zeros, learned, 79), forecast(junk, other, 79), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    # A window is learned from where it lies after the first sale and enough of it was in stock.
    first = first_period(panel())
    begun = [(i, o) for i in range(60) for o in range(6, LATEST - WINDOW + 1) if first[i] < o]
    assert trained()[1].n_rows == len(begun)
    assert learned.n_rows == sum(shown[i, o : o + WINDOW].mean() >= LEAST_SHOWN for i, o in begun) < len(begun)


@pytest.mark.parametrize("code", [0.0, 0.5, RAN_OUT])
def test_demand_behind_stockouts_is_in_the_forecast(code: float) -> None:
    """A third of the weeks show nothing or half of their demand; the forecast is of a window in stock."""
    rng = np.random.default_rng(4)
    level = rng.uniform(4, 9, (60, 1))
    demand = rng.poisson(level, (60, 80)).astype(np.float64)
    hide = (rng.random(demand.shape) < 0.33) & (np.arange(80) > 4)
    sold = np.where(hide, 0.0 if code == 0 else rng.binomial(demand.astype(int), 0.5), demand)
    past = past_of(panel_of(sold, np.where(hide, code, 1.0), freq="W-MON"))
    mean, _ = forecast(past, learned_of(past, 80), 80)
    truth = WINDOW * level.sum()
    assert mean.sum() == pytest.approx(truth, rel=0.04)
    assert WINDOW * sold.mean(axis=1).sum() < 0.9 * truth


# --- what it learns


def test_a_rule_that_no_smoothed_level_sees_is_learned() -> None:
    past, learned = trained()
    origins = list(range(LATEST - 4 * WINDOW, LATEST + 1, WINDOW))
    demand = panel().demand
    actual = np.stack([demand[:, o : o + WINDOW].sum(axis=1) for o in origins], axis=1)
    # Judged at origins that were not learned from.
    earlier = learned_of(past, origins[0])
    mean, variance = forecast(past, earlier, *origins)
    smoothed = WINDOW * past.levels[1][:, [past.origins.tolist().index(o) for o in origins]]
    sleep = np.arange(60) % 4 < 2
    assert ((mean - actual)[sleep] ** 2).mean() < 0.5 * ((smoothed - actual)[sleep] ** 2).mean()
    assert ((mean - actual)[~sleep] ** 2).mean() < 1.2 * ((smoothed - actual)[~sleep] ** 2).mean()
    assert mean.sum() == pytest.approx(actual.sum(), rel=0.1)
    # And it knows how sure it is.
    assert 0.6 < ((mean - actual) ** 2).mean() / variance.mean() < 1.6
    wide = variance > np.median(variance)
    assert ((mean - actual)[wide] ** 2).mean() > 2 * ((mean - actual)[~wide] ** 2).mean()
    assert learned.n_rows > earlier.n_rows


def test_the_trials_see_that_it_helps_and_the_forecast_gains() -> None:
    demand = sleepers(80, 124)
    known, later = panel_of(demand[:, :120], freq="W-MON"), demand[:, 120:].sum(axis=1)
    settings = Settings(theta=False, alphas=(0.1,))
    choice = choose(known, None, settings, window=WINDOW)
    table = choice.losses[choice.losses["choice"] == "weight of the global model"]
    for name in table["class"].unique():
        loss = table[table["class"] == name].set_index("candidate")["relative_loss"]
        weight = choice.weight[CLASSES.index(name)]
        assert weight > 0, name
        assert loss[f"{weight:g}"] < 0.95 * loss["0"], name
    levels = np.array([0.5, 0.75, 0.9, 0.95])
    losses = []
    for options in (settings, settings.replace(global_model=False)):
        model = fit_demand(known, options, window=WINDOW)
        paths = model.paths(Clock.ahead(known.as_of, "W-MON", 28), n_paths=400, seed=0).draw().sum(axis=2)
        quantiles = np.quantile(paths, levels, axis=1).T
        losses.append(pinball(later[:, None], quantiles, levels[None, :]).mean())
    assert losses[0] < 0.8 * losses[1]


def test_the_trials_see_it_also_behind_stockouts() -> None:
    rng = np.random.default_rng(6)
    demand = sleepers(60, 100)
    half = (rng.random(demand.shape) < 0.6) & (np.arange(100) > 10)
    sold = np.where(half, rng.binomial(demand.astype(int), 0.5), demand)
    known = panel_of(sold, np.where(half, 0.5, 1.0), freq="W-MON")
    choice = choose(known, None, Settings(theta=False, alphas=(0.1,)), window=WINDOW)
    assert (choice.weight[choice.n_sums > 100] > 0).all()
    rows = choice.losses[choice.losses["choice"] == "weight of the global model"]
    loss = rows.groupby("candidate")["relative_loss"].mean()
    assert loss["1"] < 0.9 * loss["0"], "of a window half hidden half of the forecast is meant"


def test_noise_is_not_learned() -> None:
    rng = np.random.default_rng(3)
    demand = rng.poisson(rng.uniform(2, 8, (60, 1)), (60, 80))
    past = past_of(panel_of(demand, freq="W-MON"))
    mean, variance = forecast(past, learned_of(past, LATEST), 80)
    truth = WINDOW * demand[:, 20:].mean(axis=1)
    assert np.abs(mean[:, 0] / truth - 1).mean() < 0.15
    # Four Poisson periods, and a little for the level.
    assert 0.8 < np.median(variance[:, 0] / truth) < 1.5


def test_demand_that_never_strays_is_learned_with_hardly_any_spread() -> None:
    past = past_of(panel_of(np.full((12, 60), 5.0), freq="W-MON"), range(6, 61))
    mean, variance = forecast(past, learned_of(past, 60), 60)
    np.testing.assert_allclose(mean, 20.0, rtol=1e-3)
    assert (variance < 0.1).all()


# --- gates


def test_too_little_to_learn_from() -> None:
    past = past_of(panel())
    assert learn(past, WINDOW, MIN_HISTORY["W"] + WINDOW - 1, max_rows=1000) is None, "no window has ended"
    assert learn(past, WINDOW, LATEST, max_rows=100) is None, "too few rows"
    few = past_of(panel_of(panel().demand[:2], freq="W-MON"))
    assert learn(few, WINDOW, LATEST, max_rows=60_000) is None
    nothing = past_of(panel_of(np.zeros((60, 80)), freq="W-MON"))
    assert learn(nothing, WINDOW, LATEST, max_rows=60_000) is None
    half = np.zeros((60, 80))
    half[::2] = 1.0
    # Only one of the two halves that check each other has sold.
    assert learn(past_of(panel_of(half, freq="W-MON")), WINDOW, LATEST, max_rows=60_000) is None


def test_items_that_have_not_sold_have_no_forecast() -> None:
    demand = panel().demand.copy()
    demand[3], demand[4, :70] = 0.0, 0.0
    demand[4, 70] = 2.0
    past = past_of(panel_of(demand, freq="W-MON"))
    mean, variance = forecast(past, learned_of(past, LATEST), 70, 71)
    assert np.isnan(mean[3]).all()
    assert np.isnan(mean[4, 0])
    assert np.isfinite(mean[4, 1])
    known = ~np.isnan(mean)
    np.testing.assert_array_equal(known, ~np.isnan(variance))
    assert known.sum() >= 2 * 57
    assert (mean[known] > 0).all()
    assert (variance[known] > 0).all()


def test_a_sample_of_many_rows_is_the_same_every_time() -> None:
    past = past_of(panel())
    learned, again = (learned_of(past, LATEST, max_rows=900) for _ in range(2))
    assert learned.n_rows == again.n_rows == 900
    np.testing.assert_array_equal(forecast(past, learned, 80)[0], forecast(past_of(panel()), again, 80)[0])


@pytest.mark.parametrize("priced", [False, True])
def test_every_feature_has_a_name(priced: bool) -> None:
    named = panel_of(panel().demand[:, :40], freq="W-MON")
    if priced:
        named.items["price"] = np.linspace(1, 9, 60)
    names = feature_names(named)
    learned = learned_of(past_of(named, range(6, 41)), 40, max_rows=600)
    assert {trees.n_features_in_ for trees in learned.means} == {len(names)}
    assert len(set(names)) == len(names)
    assert ("log_price" in names) == priced
