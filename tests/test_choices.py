"""What the trials choose on panels whose law is known, and that luck, noise and the future choose nothing."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hand_made import panel_of, sleepers
from numpy.typing import ArrayLike
from scipy import stats

from backorder_forecast.choices import (
    CARRY,
    DRIFT,
    OWN_WEIGHTS,
    QUIET,
    SPREADS,
    WEIGHTS,
    Choice,
    blended,
    choose,
    own_rows,
    training_origins,
)
from backorder_forecast.clock import Clock
from backorder_forecast.demand import fit_demand
from backorder_forecast.global_model import MIN_HISTORY
from backorder_forecast.panel import DemandPanel
from backorder_forecast.scores import pinball
from backorder_forecast.settings import Settings
from backorder_forecast.trials import CLASSES, item_classes

SIMPLE = Settings(global_model=False, theta=False)
SMOOTH, ERRATIC, INTERMITTENT, LUMPY = range(4)


def weekly(demand: ArrayLike) -> DemandPanel:
    return panel_of(demand, freq="W-MON", start="2021-01-04")


def chosen(demand: ArrayLike, window: int = 4, settings: Settings = SIMPLE) -> Choice:
    return choose(weekly(demand), None, settings, window=window)


# --- each choice on its own


def test_the_smoothing_constant_fits_the_pace_of_the_level() -> None:
    rng = np.random.default_rng(6)
    steady = rng.poisson(6.0, (100, 120))
    walk = np.exp(np.cumsum(rng.normal(0, 0.25, (100, 120)), axis=1) + 2.5)
    slow, fast = chosen(steady, 3), chosen(rng.poisson(np.minimum(walk, 1e4)), 3)
    assert slow.alpha[SMOOTH] <= 0.03
    assert fast.alpha[ERRATIC] >= 0.3
    rows = slow.losses[(slow.losses["choice"] == "smoothing constant") & (slow.losses["class"] == "smooth")]
    loss = rows.set_index("candidate")["relative_loss"]
    assert loss["0.1"] == 1.0
    assert loss["0.03"] < 1 < loss["0.2"] < loss["0.3"]


def test_each_class_has_its_own_smoothing_constant() -> None:
    rng = np.random.default_rng(1)
    n, n_periods = 200, 120
    steady = rng.poisson(8.0, (n, n_periods))
    # Rare large sales whose size wanders: another pace, another class.
    size = np.exp(np.cumsum(rng.normal(0, 0.3, (n, n_periods)), axis=1) + 2.0)
    jumpy = rng.poisson(np.clip(size, 0.5, 500)) * (rng.random((n, n_periods)) < 0.6)
    choice = chosen(np.concatenate([steady, jumpy]), 3)
    names = item_classes(weekly(jumpy))
    usual = CLASSES.index(pd.Series(names).mode()[0])
    assert usual != SMOOTH
    assert choice.alpha[SMOOTH] < choice.alpha[usual]


def test_the_spread_widens_where_periods_go_together_and_narrows_where_they_make_up() -> None:
    rng = np.random.default_rng(0)
    good_months = np.repeat(rng.gamma(1.0, 1.0, (80, 25)), 4, axis=1)
    assert chosen(rng.poisson(5 * good_months)).spread[ERRATIC] > 1.2
    # Twelve units every fourth week: no four weeks differ.
    every_fourth = np.where((np.arange(100) + rng.integers(0, 4, (80, 1))) % 4 == 0, 12.0, 0.0)
    assert chosen(every_fourth).spread[INTERMITTENT] == min(SPREADS)
    # Poisson is the least that counts vary: there is nothing to widen.
    even = chosen(rng.poisson(6.0, (80, 100))).losses
    assert even.loc[even["choice"] == "spread", "relative_loss"].between(0.99, 1.01).all()
    apart = rng.gamma(1.0, 1.0, (80, 100))
    assert chosen(rng.poisson(5 * apart)).spread[ERRATIC] == 1.0


def test_quiet_periods_are_set_apart_where_demand_comes_in_lots() -> None:
    rng = np.random.default_rng(2)
    lots = rng.poisson(8.0, (80, 100)) * (rng.random((80, 100)) < 0.25)
    assert chosen(lots, 2).quiet[INTERMITTENT] >= 0.75
    assert (chosen(rng.poisson(0.7, (80, 100)), 2).quiet == 0).all()
    assert (chosen(rng.poisson(5 * rng.gamma(1.0, 1.0, (80, 100))), 2).quiet == 0).all()


def test_a_correction_carries_on_only_where_it_lasts() -> None:
    settings = Settings(theta=False, alphas=(0.1,))
    short = chosen(sleepers(80, 104, asleep=6), 4, settings)
    assert short.carry == 0.0, "after a nap the item sells as before"
    rng = np.random.default_rng(0)
    demand, born = np.zeros((140, 104)), rng.integers(-20, 90, 140)
    for i, age in enumerate(rng.integers(10, 60, 140)):
        first, last = max(born[i], 0), min(max(born[i] + age, 0), 104)
        demand[i, first:last] = rng.poisson(6.0, last - first)
    assert chosen(demand, 4, settings).carry >= 0.5, "the dead stay dead"


def test_what_a_whole_class_sold_more_than_forecast_is_expected_again() -> None:
    rng = np.random.default_rng(5)
    slow = SIMPLE.replace(alphas=(0.01,))
    level = rng.uniform(2, 10, (80, 1))
    apart = chosen(rng.poisson(level, (80, 104)), 4, slow)
    assert apart.drift[SMOOTH] == pytest.approx(1.0, abs=0.03)
    # All items grow by 2 % a week; a level that hardly moves lags behind.
    growing = chosen(rng.poisson(level * 1.02 ** np.arange(104)), 4, slow)
    most = int(growing.n_sums.argmax())
    assert growing.drift[most] > 1.3
    rows = growing.losses[(growing.losses["choice"] == "drift") & (growing.losses["class"] == CLASSES[most])]
    loss = rows.set_index("candidate")["relative_loss"]
    assert loss["1"] < loss["0.5"] < loss["0"] == 1.0
    # What counts for the forecast is the window just seen.
    demand = rng.poisson(level * 1.02 ** np.arange(104))
    demand[:, -4:] *= 2
    leap = chosen(demand, 4, slow)
    assert leap.drift[int(leap.n_sums.argmax())] > 1.5 * growing.drift[most]
    shrinking = chosen(rng.poisson(5 * level * 0.98 ** np.arange(104)), 4, slow)
    assert shrinking.drift[int(shrinking.n_sums.argmax())] < 0.8


def test_steady_growth_gives_items_models_of_their_own() -> None:
    """A smoothed level lags behind a trend; where there is none, a trend is noise."""
    rng = np.random.default_rng(4)
    level = rng.uniform(20, 40, (20, 1))
    settings = Settings(global_model=False, smooth_items=20, alphas=(0.1,))
    growing = chosen(rng.poisson(np.linspace(1, 6, 100) * level), 4, settings)
    assert growing.own_weight[SMOOTH] >= 0.5
    flat = chosen(rng.poisson(np.broadcast_to(level, (20, 100))), 4, settings.replace(alphas=(0.01,)))
    assert flat.own_weight[SMOOTH] == 0.0


def test_without_a_correction_nothing_is_compared_that_could_carry() -> None:
    choice = chosen(np.random.default_rng(0).poisson(6.0, (60, 100)))
    assert choice.carry == 0.5
    assert "carry" not in set(choice.losses["choice"])


# --- the season


@cache
def dressed(same: bool, seed: int = 0, n_periods: int = 170) -> DemandPanel:
    """Summer and winter goods (or all alike), in categories that say nothing of it."""
    rng = np.random.default_rng(seed)
    weeks = pd.date_range("2021-01-04", periods=n_periods, freq="W-MON")
    wave = 0.6 * np.sin(2 * np.pi * weeks.day_of_year.to_numpy() / 365.25)
    winter = np.arange(60)[:, None] % 2 == 1
    demand = rng.poisson(rng.uniform(3, 8, (60, 1)) * (1 + np.where(winter & (not same), -wave, wave)))
    return panel_of(
        demand, freq="W-MON", start="2021-01-04", category=rng.permutation(["x", "y", "z"] * 20),
        style=np.where(winter[:, 0], "winter", "summer"),
    )  # fmt: skip


def season_losses(choice: Choice) -> pd.Series:
    rows = choice.losses[choice.losses["choice"] == "season"]
    return rows.set_index("candidate")["relative_loss"]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_column_whose_groups_have_seasons_is_found(seed: int) -> None:
    choice = choose(dressed(False, seed), None, SIMPLE, window=4)
    assert choice.season_column == "style"
    loss = season_losses(choice)
    assert loss.index.tolist() == ["category", "style", "all items"]
    assert loss["category"] == 1.0
    assert loss["style"] < 0.7
    assert loss["all items"] > 0.9


@pytest.mark.parametrize("seed", [0, 1])
def test_a_season_that_all_share_leaves_the_category(seed: int) -> None:
    choice = choose(dressed(True, seed), None, SIMPLE, window=4)
    assert choice.season_column == "category"
    assert season_losses(choice).max() < 1.01


def test_without_two_years_no_column_is_tried() -> None:
    choice = choose(dressed(False).until(100), None, SIMPLE, window=4)
    assert choice.season_column == "category"
    assert season_losses(choice).empty
    assert chosen(np.random.default_rng(0).poisson(6.0, (60, 100))).season_column == ""


def test_a_season_does_not_pass_for_a_fast_level() -> None:
    """Two and a half years: the forecast has a season, so all that is chosen must be chosen beside one."""
    rng = np.random.default_rng(0)
    weeks = pd.date_range("2021-01-04", periods=134, freq="W-MON")
    mean = rng.uniform(3, 20, (60, 1)) * (1 + 0.5 * np.sin(2 * np.pi * weeks.day_of_year.to_numpy() / 365.25))
    demand, levels = rng.poisson(mean), np.array([0.5, 0.75, 0.9, 0.95])
    known, later = weekly(demand[:, :130]), demand[:, 130:].sum(axis=1)
    choice = choose(known, None, SIMPLE, window=4)
    assert choice.alpha[SMOOTH] <= 0.1
    assert choice.drift[SMOOTH] == pytest.approx(1.0, abs=0.1)
    model = fit_demand(known, SIMPLE, window=4)
    paths = model.paths(Clock.ahead(known.as_of, "W-MON", 28), n_paths=500, seed=0).draw().sum(axis=2)
    ours = pinball(later[:, None], np.quantile(paths, levels, axis=1).T, levels[None, :]).mean()
    truth = stats.poisson(mean[:, 130:].sum(axis=1)[:, None]).ppf(levels)
    assert ours < 1.25 * pinball(later[:, None], truth, levels[None, :]).mean()


# --- what is known at the time


def test_nothing_after_the_last_period_chooses() -> None:
    panel = dressed(False)
    wild = panel_of(
        np.where(np.arange(170) < 150, panel.demand, 1e4), freq="W-MON", start="2021-01-04",
        category=panel.items["category"], style=panel.items["style"],
    )  # fmt: skip
    promoted = panel.periods[[20, 60, 90, 130]]
    past = pd.DataFrame({"kind": "sale", "start": promoted, "end": promoted + pd.Timedelta(days=6)})
    ahead = pd.DataFrame(
        {"kind": ["sale", "fair"], "start": panel.periods[[155, 160]], "end": panel.periods[[155, 160]]}
    )
    settings = SIMPLE.replace(theta=True, smooth_items=3)
    first = choose(panel.until(150), past, settings, window=4)
    again = choose(wild.until(150), pd.concat([past, ahead], ignore_index=True), settings, window=4)
    pd.testing.assert_frame_equal(first.losses, again.losses)
    for name in ("alpha", "weight", "own_weight", "drift", "spread", "quiet", "n_sums"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert (first.carry, first.season_column) == (again.carry, again.season_column)
    assert first.losses["relative_loss"].nunique() > 10


# --- defaults and what is shown


@pytest.mark.parametrize(("freq", "alpha"), [("D", 0.03), ("W-MON", 0.1), ("MS", 0.1)])
def test_defaults_for_a_short_history(freq: str, alpha: float) -> None:
    short = panel_of(np.full((20, 6), 3.0), freq=freq, category=["a", "b"] * 10)
    choice = choose(short, None, Settings(), window=4)
    assert choice.alpha.tolist() == [alpha] * len(CLASSES)
    for values in (choice.weight, choice.own_weight, choice.quiet):
        assert values.tolist() == [0] * len(CLASSES)
    for values in (choice.spread, choice.drift):
        assert values.tolist() == [1] * len(CLASSES)
    assert (choice.carry, choice.season_column) == (0.5, "category")
    assert choice.n_sums.sum() == 0
    assert choice.losses.columns.tolist() == ["class", "choice", "candidate", "relative_loss"]
    assert choice.losses.empty


def test_the_default_constant_is_the_nearest_of_those_allowed() -> None:
    short = panel_of(np.full((20, 6), 3.0), freq="W-MON")
    for alphas, usual in (((0.3,), 0.3), ((0.02, 0.08, 0.4), 0.08), ((0.01, 0.2), 0.01)):
        assert choose(short, None, Settings(alphas=alphas), window=4).alpha[0] == usual


def test_what_is_switched_off_is_not_tried() -> None:
    demand = np.random.default_rng(0).poisson(6.0, (60, 100))
    choice = chosen(demand)
    assert set(choice.losses["choice"]) == {"smoothing constant", "drift", "spread", "quiet periods"}
    assert (choice.weight == 0).all()
    assert (choice.own_weight == 0).all()


def test_all_that_was_compared_is_shown() -> None:
    rng = np.random.default_rng(3)
    trend = np.linspace(1, 3, 160) * rng.uniform(10, 30, (40, 1))
    slow = rng.poisson(0.3, (40, 160))
    settings = Settings(smooth_items=20)
    choice = chosen(np.concatenate([rng.poisson(trend), slow]), 4, settings)
    rows = choice.losses
    candidates = {
        "smoothing constant": settings.alphas, "weight of the global model": WEIGHTS,
        "weight of own models": OWN_WEIGHTS, "drift": DRIFT, "spread": SPREADS, "quiet periods": QUIET, "carry": CARRY,
    }  # fmt: skip
    assert set(rows["choice"]) == {*candidates, "season"}
    assert set(rows["class"]) <= {*CLASSES, "all"}
    for what, values in candidates.items():
        for _, part in rows[rows["choice"] == what].groupby("class"):
            assert part["candidate"].astype(float).tolist() == list(values)
    for _, part in rows.groupby(["class", "choice"]):
        assert (part["relative_loss"] == 1.0).any(), "the default, to which the others are compared"
        assert (part["relative_loss"] > 0).all()
    for c, name in enumerate(CLASSES):
        shown = set(rows.loc[rows["class"] == name, "choice"])
        assert ("spread" in shown) == (choice.n_sums[c] > 0)
    assert set(choice.weight) <= set(WEIGHTS)
    assert set(choice.own_weight) <= set(OWN_WEIGHTS)
    assert set(choice.spread) <= set(SPREADS)
    assert set(choice.quiet) <= set(QUIET)
    assert choice.carry in CARRY


# --- small parts


def test_a_blend_is_between_its_parts_and_does_without_a_missing_one() -> None:
    simple, other = np.array([[2.0, 2.0], [2.0, 2.0]]), np.array([[4.0, np.nan], [0.0, 2.0]])
    assert blended(0.25, simple, other).tolist() == [[2.5, 2.0], [1.5, 2.0]]
    assert blended(np.array([[1.0], [0.0]]), simple, other).tolist() == [[4.0, 2.0], [2.0, 2.0]]


@pytest.mark.parametrize("freq", ["D", "W-MON", "MS"])
@pytest.mark.parametrize("window", [1, 4, 28])
def test_training_windows_end_where_the_forecast_begins(freq: str, window: int) -> None:
    settings = Settings(global_origins=10)
    origins = training_origins(200, window, freq, settings)
    assert origins[-1] + window == 200
    assert len(origins) == 10
    spacing = {("D", 28): 7}.get((freq, window), 1)
    assert np.diff(origins).tolist() == [spacing] * 9
    first = MIN_HISTORY[freq[0]]
    assert training_origins(first + window - 1, window, freq, settings) == []
    assert training_origins(first + window, window, freq, settings) == [first]
    assert min(training_origins(first + window + 5, window, freq, settings)) >= first


def test_the_most_valuable_items_get_a_model_of_their_own() -> None:
    panel = panel_of(np.full((3, 80), 5.0), freq="W-MON")
    names, level = np.array(["smooth"] * 3), np.array([3.0, 5.0, 4.0])
    assert own_rows(panel, level, names, Settings(smooth_items=2)).tolist() == [1, 2]
    panel.items["price"] = pd.Series([10.0, 1.0, np.nan])
    assert own_rows(panel, level, names, Settings(smooth_items=2)).tolist() == [0, 2]
    assert own_rows(panel, level, names, Settings(smooth_items=0)).tolist() == []
