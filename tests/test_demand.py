from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hand_made import constant_sales, flat_season, items_of, model_of, panel_of, skus
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backorder_forecast.clock import Clock
from backorder_forecast.demand import DemandModel, earlier_level, fit_demand, forecast_demand
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.panel import RAN_OUT, DemandPanel, demand_panel
from backorder_forecast.settings import Settings

Floats = NDArray[np.float64]
SUNDAY = pd.Timestamp("2024-06-30")
LAWS = [(4.0, 10.0, 0.1), (0.3, 1.0, 0.1), (0.05, 0.06, 0.1), (60.0, 500.0, 0.2), (3.0, 12.0, 0.3)]


def drawn(model: DemandModel, n_periods: int, n_paths: int, *, seed: int = 1, freq: str = "D") -> Floats:
    clock = Clock.ahead(SUNDAY, freq, n_periods)
    return model.paths(clock, n_paths=n_paths, seed=seed).draw()


def shop(n: int = 30, periods: int = 120, seed: int = 0, **columns: Any) -> DemandPanel:
    rng = np.random.default_rng(seed)
    level = np.exp(rng.normal(0.5, 1.0, n))
    return panel_of(rng.negative_binomial(2.0, 2 / (2 + level[:, None]), (n, periods)), **columns)


def variance_error(values: Floats) -> float:
    """Standard error of the sample variance."""
    centred = values - values.mean()
    return float(np.sqrt(max((centred**4).mean() - values.var() ** 2, 0.0) / len(values)))


# --- the law of the paths


@pytest.mark.parametrize(("mean", "variance", "alpha"), LAWS)
def test_one_period_and_sums_have_the_stated_mean_and_variance(mean: float, variance: float, alpha: float) -> None:
    h, n = 12, 30_000
    values = drawn(model_of(mean, variance, alpha=alpha), h, n)[0]
    sums = values.sum(axis=1)
    assert abs(sums.mean() - h * mean) < 4 * sums.std() / np.sqrt(n)
    # Counts are never less spread than Poisson, so a law near it keeps a little more than its variance.
    within = max(variance * (1 - alpha / 2), mean)
    level = variance * alpha / 2
    for first in (0, h - 1):
        one = values[:, first]
        assert abs(one.var() - (within + level)) < 4 * variance_error(one)
    assert abs(sums.var() - (h * within + h**2 * level)) < 4 * variance_error(sums)
    assert sums.var() > 1.1 * values.var(axis=0).sum(), "paths must carry the uncertainty of the level"


@pytest.mark.parametrize(
    ("mean", "variance", "zero", "alpha"), [(2.0, 8.0, 0.5, 0.2), (1.0, 2.0, 0.3, 0.1), (2.0, 40.0, 0.7, 0.3)]
)
def test_fractional_units_have_the_same_moments_and_the_stated_zeros(
    mean: float, variance: float, zero: float, alpha: float
) -> None:
    h, n = 12, 30_000
    values = drawn(model_of(mean, variance, alpha=alpha, zero_share=zero), h, n)[0]
    sums = values.sum(axis=1)
    assert abs(sums.mean() - h * mean) < 4 * sums.std() / np.sqrt(n)
    level = variance * alpha / 2
    law = h * (variance - level) + h**2 * level
    assert abs(sums.var() - law) < 4 * variance_error(sums)
    assert abs(values[:, 0].var() - variance) < 4 * variance_error(values[:, 0])
    one = values.ravel()
    assert abs((one == 0).mean() - zero) < 4 * np.sqrt(zero * (1 - zero) / len(one))
    assert (one % 1 != 0).any()


def test_the_season_scales_mean_and_level_error() -> None:
    model = model_of([6.0], [6.0])
    model.season.weekly[0] = [2.0, 0.5, 1, 1, 1, 1, 0.5]
    values = drawn(model, 7, 30_000)[0]
    mean = values.mean(axis=0)
    wanted = 6.0 * model.season.weekly[0]
    assert (np.abs(mean - wanted) < 4 * values.std(axis=0) / np.sqrt(len(values))).all()


def test_paths_of_counts_are_counts_and_never_negative() -> None:
    values = drawn(model_of([0.01, 0.5, 9.0, 3000.0], [0.5, 4.0, 9.0, 1e6]), 20, 200)
    assert (values >= 0).all()
    assert (values == np.floor(values)).all()


@settings(max_examples=25)
@given(
    data=st.data(), n_paths=st.integers(2, 40), periods=st.integers(2, 15), bucket=st.integers(1, 7),
    fractional=st.booleans(),
)  # fmt: skip
def test_a_redraw_is_identical_and_nothing_depends_on_how_much_is_drawn(
    data: st.DataObject, n_paths: int, periods: int, bucket: int, fractional: bool
) -> None:
    model = model_of([0.2, 1.0, 5.0, 0.0, 40.0], [0.4, 3.0, 6.0, 0.0, 400.0], zero_share=0.4 if fractional else np.nan)
    clock = Clock.ahead(SUNDAY, "D", periods)
    paths = model.paths(clock, n_paths=n_paths, seed=3, bucket_size=bucket)
    whole = paths.draw()
    np.testing.assert_array_equal(paths.draw(), whole)
    np.testing.assert_array_equal(np.concatenate([paths.draw(a, b) for a, b in paths.buckets()]), whole)
    fewer = data.draw(st.integers(1, n_paths))
    np.testing.assert_array_equal(model.paths(clock, n_paths=fewer, seed=3).draw(), whole[:, :fewer])
    shorter = data.draw(st.integers(1, periods))
    near = Clock.ahead(SUNDAY, "D", shorter)
    np.testing.assert_array_equal(model.paths(near, n_paths=n_paths, seed=3).draw(), whole[:, :, :shorter])
    assert not np.array_equal(model.paths(clock, n_paths=n_paths, seed=4).draw()[4], whole[4])


def test_items_draw_from_streams_of_their_own_name() -> None:
    both, alone = model_of([5.0, 5.0], [9.0, 9.0]), model_of([5.0], [9.0])
    values = drawn(both, 10, 50)
    assert not np.array_equal(values[0], values[1])
    np.testing.assert_array_equal(drawn(alone, 10, 50)[0], values[0])


def test_a_factor_scales_the_mean_and_a_zero_ends_demand() -> None:
    model = model_of([4.0, 4.0], [9.0, 9.0])
    scaled = model.scaled(np.array([2.5, 0.0]))
    assert scaled.level.tolist() == [10.0, 0.0]
    values = drawn(scaled, 5, 4000)
    assert abs(values[0].mean() - 10) < 0.4
    assert (values[1] == 0).all()


# --- fitting


def test_the_forecast_mean_is_the_mean_of_its_paths() -> None:
    panel = shop(category=["x", "y"] * 15)
    model = fit_demand(panel, Settings())
    clock = Clock.ahead(panel.as_of, "D", 28)
    values = model.paths(clock, n_paths=2000, seed=0).draw().sum(axis=2)
    error = values.std(axis=1) / np.sqrt(2000)
    z = (values.mean(axis=1) - model.mean(clock).sum(axis=1)) / error
    assert np.abs(z).max() < 4.2
    assert abs(z.mean()) < 4 / np.sqrt(len(z))


def test_the_order_of_sales_rows_does_not_matter_and_a_seed_repeats() -> None:
    rng = np.random.default_rng(0)
    sales = constant_sales("ABC", "2023-01-02", "2023-12-31").sample(frac=0.4, random_state=1)
    sales["quantity"] = rng.integers(1, 9, len(sales)) / 8 + rng.random(len(sales)) * (sales["sku"] == "C").to_numpy()
    first = forecast_demand(demand_panel(sales, freq="W-MON"), horizon=6, seed=5).draw()
    again = forecast_demand(demand_panel(sales.sample(frac=1, random_state=2), freq="W-MON"), horizon=6, seed=5).draw()
    np.testing.assert_array_equal(first, again)
    assert first.shape == (3, 500, 6)


@pytest.mark.parametrize("how", ["out", "ran_out"])
def test_the_level_is_recovered_where_stockouts_hide_a_fifth_of_it(how: str) -> None:
    rng = np.random.default_rng(9)
    level = rng.uniform(2, 8, 60)
    demand = rng.poisson(level[:, None], (60, 200)).astype(float)
    hide, exposure = rng.random(demand.shape) < 0.2, np.ones_like(demand)
    if how == "out":
        demand[hide], exposure[hide] = 0.0, 0.0
    else:
        stock = rng.poisson(0.6 * level[:, None], demand.shape)
        hide &= demand >= stock
        demand[hide], exposure[hide] = stock[hide], RAN_OUT
    aware, blind = fit_demand(panel_of(demand, exposure), Settings()), fit_demand(panel_of(demand), Settings())
    assert abs(aware.level.sum() / level.sum() - 1) < 0.03
    assert blind.level.sum() / level.sum() < 0.95
    assert demand.mean(axis=1).sum() / level.sum() < 0.95


def test_the_fitted_variance_is_near_the_true_one() -> None:
    rng = np.random.default_rng(1)
    level = rng.uniform(1, 8, 150)
    model = fit_demand(panel_of(rng.negative_binomial(2.0, 2 / (2 + level[:, None]), (150, 200))), Settings())
    truth = level + level**2 / 2
    ratio = (model.level_variance + model.within_variance) / truth
    assert 0.8 < ratio.mean() < 1.1
    assert ((model.level_variance + model.within_variance) >= model.level - 1e-9).all()


def test_new_ended_and_never_sold_items() -> None:
    demand = np.full((5, 120), 2.0)
    demand[1, :-9] = 0.0
    demand[2] = 0.0
    ended = pd.to_datetime(pd.Series([None, None, None, "2023-05-10", "2023-04-01"]))
    launched = pd.to_datetime(pd.Series([None, "2023-04-24", None, None, None]))
    panel = panel_of(demand, discontinued=ended, launched=launched)
    model = fit_demand(panel, Settings())
    assert model.about["method"].tolist() == ["NB-SES", "group prior", "none", "NB-SES", "NB-SES"]
    assert model.about["confidence"].tolist() == ["high", "low", "low", "high", "high"]
    assert "discontinued" in model.about["confidence_reason"][4]
    assert model.about["demand_class"][2] == "no_demand"
    mean = model.mean(Clock.ahead(panel.as_of, "D", 14))
    assert panel.as_of == pd.Timestamp("2023-05-01")
    assert mean[0] == pytest.approx(np.full(14, 2.0), rel=0.1)
    # Nine days of 2 after the launch, and established items that sell 2: the new one does too.
    assert mean[1] == pytest.approx(np.full(14, 2.0), rel=0.3)
    assert (mean[2] == 0).all()
    assert mean[3, 8] > 0
    assert (mean[3, 9:] == 0).all()
    assert (mean[4] == 0).all()


def test_a_zero_before_the_launch_is_no_zero() -> None:
    demand = np.zeros((1, 200))
    demand[0, 150:] = 3.0
    stated = fit_demand(panel_of(demand, launched=pd.to_datetime(pd.Series(["2023-06-01"]))), Settings())
    assert stated.level[0] == pytest.approx(3.0, rel=0.1)
    assert stated.about["n_periods"][0] == 50
    quiet = fit_demand(panel_of(demand, launched=pd.to_datetime(pd.Series(["2023-01-02"]))), Settings())
    assert quiet.about["n_periods"][0] == 200
    assert quiet.level[0] < 3.0
    later = pd.to_datetime(pd.Series(["2023-03-10"]))
    planned = fit_demand(panel_of(np.full((1, 60), 3.0), launched=later), Settings())
    clock = Clock.ahead(pd.Timestamp("2023-03-02"), "D", 12)
    assert (planned.mean(clock)[0] > 0).tolist() == [False] * 7 + [True] * 5


def test_an_item_with_little_history_borrows_from_its_group() -> None:
    rng = np.random.default_rng(2)
    demand = np.concatenate([rng.poisson(20.0, (12, 150)), rng.poisson(0.5, (12, 150)), np.zeros((2, 150))])
    demand[24:, -2] = 1.0
    model = fit_demand(panel_of(demand, category=["fast"] * 12 + ["slow"] * 12 + ["fast", "slow"]), Settings())
    assert model.level[24] > 3 * model.level[25] > 0
    assert model.level_variance[24] > model.level_variance[:12].max() * 0.5


def test_the_earlier_level_is_what_was_held_then() -> None:
    rng = np.random.default_rng(3)
    demand = np.concatenate([rng.poisson(2.0, (8, 200)), rng.poisson(8.0, (8, 60))], axis=1)
    panel = panel_of(demand)
    model = fit_demand(panel, Settings())
    assert earlier_level(panel, model, Settings(), periods_ago=60).sum() < 0.5 * model.level.sum()
    dead = panel_of(np.zeros((2, 50)))
    assert earlier_level(dead, fit_demand(dead, Settings()), Settings(), periods_ago=10).tolist() == [0, 0]


def test_an_item_often_out_of_stock_is_forecast_with_low_confidence() -> None:
    exposure = np.ones((2, 200))
    exposure[0, -26:][::2] = 0.0
    model = fit_demand(panel_of(np.full((2, 200), 3.0), exposure), Settings())
    assert model.about["confidence"].tolist() == ["low", "high"]
    assert "out of stock in half" in model.about["confidence_reason"][0]
    assert model.about["censored_share"].tolist() == [0.5, 0.0]


# --- odd input


ODD = {
    "zeros": [0.0] * 40, "sold today": [0.0] * 39 + [1.0], "sold once": [7.0] + [0.0] * 39, "constant": [4.0] * 40,
    "one period": [3.0], "one zero": [0.0], "huge": [1e9] * 40, "fractions": [0.25] * 40, "tiny": [1e-6] * 40,
}  # fmt: skip


@pytest.mark.parametrize("series", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("freq", ["D", "W-MON", "MS"])
def test_odd_histories_give_finite_paths(series: list[float], freq: str) -> None:
    panel = panel_of([series], freq=freq, start="2023-05-01")
    forecast = forecast_demand(panel, horizon=3)
    values = forecast.draw()
    assert values.shape == (1, 500, 3)
    assert np.isfinite(values).all()
    assert (values >= 0).all()
    if max(series) == 0:
        assert (values == 0).all()
    if len(set(series)) == 1 and len(series) > 1:
        assert values.mean() == pytest.approx(series[0], rel=0.1, abs=1e-9)
    assert forecast.dates[0] > panel.periods[-1]


def test_alone_or_among_others_fractions_stay_fractions() -> None:
    demand = np.concatenate([np.full((1, 60), 0.3), np.full((1, 60), 3.0)])
    values = forecast_demand(panel_of(demand), horizon=4).draw()
    assert (values[0] % 1 != 0).any()
    assert (values[1] % 1 == 0).all()


def test_months_ahead_are_calendar_months() -> None:
    forecast = forecast_demand(panel_of(np.full((1, 30), 3.0), freq="MS", start="2022-01-01"), horizon=14)
    assert forecast.dates.tolist() == list(pd.date_range("2024-07-01", periods=14, freq="MS"))
    weeks = forecast_demand(panel_of(np.full((1, 30), 3.0), freq="W-SUN", start="2024-01-07"), horizon=3)
    assert weeks.dates.strftime("%Y-%m-%d").tolist() == ["2024-08-04", "2024-08-11", "2024-08-18"]


@pytest.mark.parametrize("horizon", [0, 2.5, "8"])
def test_a_horizon_is_a_whole_number_of_periods_ahead(horizon: Any) -> None:
    with pytest.raises(InvalidSettings, match="whole number of periods, at least one; got"):
        forecast_demand(panel_of([[1.0, 2.0]]), horizon=horizon)


def test_settings_given_to_a_forecast_are_used() -> None:
    forecast = forecast_demand(panel_of(np.full((3, 20), 2.0)), horizon=2, settings=Settings(n_paths=7, bucket_size=2))
    assert forecast.draw().shape == (3, 7, 2)
    assert list(forecast.buckets()) == [(0, 2), (2, 3)]
    assert forecast.items.equals(items_of(3))
    assert skus(3) == forecast.items["sku"].tolist()
    assert flat_season(1).factors(forecast.dates).tolist() == [[1, 1]]
