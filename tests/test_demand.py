from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hand_made import constant_sales, flat_season, items_of, panel_of, skus, sleepers
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from backorder_forecast.choices import choose
from backorder_forecast.clock import Clock
from backorder_forecast.demand import DemandModel, earlier_level, fit_demand
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.forecasters import forecast_demand
from backorder_forecast.panel import RAN_OUT, DemandPanel, demand_panel
from backorder_forecast.settings import Settings

Floats = NDArray[np.float64]
SUNDAY = pd.Timestamp("2024-06-30")
SIMPLE = Settings(global_model=False, theta=False)
TREES = Settings(smooth_items=10)


def shop(n: int = 30, periods: int = 120, seed: int = 0, **columns: Any) -> DemandPanel:
    rng = np.random.default_rng(seed)
    level = np.exp(rng.normal(0.5, 1.0, n))
    return panel_of(rng.negative_binomial(2.0, 2 / (2 + level[:, None]), (n, periods)), **columns)


# --- fitting


@cache
def by_trees() -> tuple[DemandPanel, DemandModel]:
    """A panel whose rule only the global model sees, with some odd items, and the model of its demand."""
    demand = sleepers(40, 88)
    demand[0] = 0.0
    demand[1, :-6], demand[1, -6:] = 0.0, 3.0
    demand[2] += 0.25 * (demand[2] > 0)
    panel = panel_of(demand, freq="W-MON", category=["x", "y"] * 20)
    with threadpool_limits(limits=2):
        return panel, fit_demand(panel, TREES, window=4)


def test_the_mean_of_the_paths_is_that_of_the_model_and_the_stated_one() -> None:
    for panel, model in (by_trees(), (shop(), fit_demand(shop(), SIMPLE, window=28))):
        window = model.near_periods
        clock = Clock.ahead(panel.as_of, panel.freq, window * (7 if panel.freq == "W-MON" else 1))
        mean = model.mean(clock).sum(axis=1)
        np.testing.assert_allclose(mean, window * model.about["mean_per_period"])
        values = model.paths(clock, n_paths=2000, seed=0).draw().sum(axis=2)
        sold = mean > 0
        z = (values.mean(axis=1) - mean)[sold] / (values.std(axis=1)[sold] / np.sqrt(2000))
        assert np.abs(z).max() < 4.2
        assert abs(z.mean()) < 4 / np.sqrt(len(z))


def test_the_global_model_corrects_the_near_periods() -> None:
    panel, model = by_trees()
    assert model.near is not None
    assert model.near_periods == 4
    alone = fit_demand(panel, SIMPLE, window=4)
    assert alone.near is not None
    np.testing.assert_allclose(alone.near, 1.0)
    weight = model.about["global_weight"].to_numpy()
    assert (weight[3:] > 0).all()
    # Items that stopped five to eight weeks ago are about to come back.
    last = panel.demand[3:, ::-1]
    quiet = (last > 0).argmax(axis=1)
    sleep = np.arange(3, 40) % 4 < 2
    near = model.mean(Clock.ahead(panel.as_of, "W-MON", 28))[3:].mean(axis=1) / alone.level[3:]
    assert near[sleep & (quiet >= 1) & (quiet <= 5)].max() < near[sleep & (quiet >= 8)].min()


def test_of_a_correction_the_carried_part_stays_in_the_level() -> None:
    """Level and near factor share the ratio of the means; both laws have the same smoothed level beneath."""
    panel, model = by_trees()
    carry = choose(panel, None, TREES, window=4).carry
    alone = fit_demand(panel, SIMPLE, window=4)
    assert carry < 1
    assert alone.near is not None
    assert model.near is not None
    kept = model.level[3:] / (alone.level * alone.near)[3:]
    ratio = kept * model.near[3:]
    assert np.abs(ratio - 1).max() > 0.5
    np.testing.assert_allclose(kept, ratio**carry, rtol=1e-6)


def test_buckets_rows_and_cores_change_no_byte() -> None:
    panel, model = by_trees()
    clock = Clock.ahead(panel.as_of, "W-MON", 42)
    whole = model.paths(clock, n_paths=20, seed=3).draw()
    # The first fit had two threads.
    with threadpool_limits(limits=1):
        again = fit_demand(panel, TREES, window=4)
    for name in ("level", "level_variance", "within_variance", "zero_share", "near", "quiet_share"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name), err_msg=name)
    pd.testing.assert_frame_equal(again.about, model.about)
    assert again.losses is not None
    assert model.losses is not None
    pd.testing.assert_frame_equal(again.losses, model.losses)
    for bucket in (1, 7):
        paths = again.paths(clock, n_paths=20, seed=3, bucket_size=bucket)
        np.testing.assert_array_equal(np.concatenate([paths.draw(a, b) for a, b in paths.buckets()]), whole)


def test_each_item_says_how_it_is_forecast_and_why() -> None:
    _, model = by_trees()
    about = model.about
    assert about.columns.tolist() == [
        "sku", "location", "method", "method_reason", "global_weight", "own_weight", "demand_class", "mean_per_period",
        "alpha", "n_periods", "n_nonzero", "censored_share", "confidence", "confidence_reason",
    ]  # fmt: skip
    assert about["method"][0] == "none"
    assert about["method_reason"][0] == "no demand in the history"
    assert about["global_weight"].between(0, 1).all()
    assert about["own_weight"].between(0, 1).all()
    trees = about["method"].str.contains("global trees").to_numpy()
    np.testing.assert_array_equal(trees, about["global_weight"] > 0)
    assert trees[3:].all()
    reason = about["method_reason"][3]
    found = re.fullmatch(r"(\d+) past windows of (\w+) items: loss (0\.\d\d) of that of NB-SES alone", reason)
    assert found is not None, reason
    assert found[2] == about["demand_class"][3]
    assert float(found[3]) < 0.95
    assert np.isnan(about["alpha"][0])
    assert np.isnan(about["alpha"][1]), "six weeks: the level is from the group"
    assert about["alpha"][3:].isin(Settings().alphas).all()
    assert model.losses is not None
    assert "weight of the global model" in set(model.losses["choice"])


def test_without_a_trial_the_simple_model_stands_alone() -> None:
    model = fit_demand(panel_of(np.full((3, 20), 2.0)), Settings())
    assert model.about["method"].tolist() == ["NB-SES"] * 3
    assert model.about["method_reason"].tolist() == ["too little history to compare methods: defaults"] * 3
    assert (model.about["global_weight"] == 0).all()
    assert model.losses is not None
    assert model.losses.empty


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
    aware, blind = fit_demand(panel_of(demand, exposure), SIMPLE), fit_demand(panel_of(demand), SIMPLE)
    assert abs(aware.level.sum() / level.sum() - 1) < 0.03
    assert blind.level.sum() / level.sum() < 0.95
    assert demand.mean(axis=1).sum() / level.sum() < 0.95


def test_the_fitted_variance_is_near_the_true_one() -> None:
    rng = np.random.default_rng(1)
    level = rng.uniform(1, 8, 150)
    model = fit_demand(panel_of(rng.negative_binomial(2.0, 2 / (2 + level[:, None]), (150, 200))), SIMPLE)
    truth = level + level**2 / 2
    ratio = (model.level_variance + model.within_variance) / truth
    assert 0.8 < ratio.mean() < 1.1
    assert ((model.level_variance + model.within_variance) >= model.level - 1e-9).all()


def test_intervals_of_young_items_are_as_honest_as_those_of_old_ones() -> None:
    inside = np.zeros((2, 2))
    for seed in range(2):
        rng = np.random.default_rng(seed)
        level = rng.uniform(2, 10, (200, 1)) * np.ones(126)
        demand = rng.negative_binomial(2.0, 2 / (2 + level)).astype(np.float64)
        demand[::2, :86] = 0.0
        panel = panel_of(demand[:, :100], freq="W-MON")
        paths = fit_demand(panel, SIMPLE, window=4).paths(Clock.ahead(panel.as_of, "W-MON", 182), n_paths=500, seed=0)
        low, high = np.quantile(paths.draw().sum(axis=2), [0.05, 0.95], axis=1)
        sold = demand[:, 100:].sum(axis=1)
        hit = (low <= sold) & (sold <= high)
        inside[seed] = hit[::2].mean(), hit[1::2].mean()
    young, old = inside.mean(axis=0)
    assert old > 0.85
    assert young > 0.82


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


def test_a_zero_after_the_stated_end_is_no_zero() -> None:
    demand = np.full((12, 120), 3.0)
    demand[6:, 60:] = 0.0
    ended = pd.to_datetime(pd.Series([None] * 6 + ["2023-03-02"] * 6))
    stated = fit_demand(panel_of(demand, discontinued=ended), SIMPLE)
    np.testing.assert_allclose(stated.level, 3.0, rtol=0.05)
    assert stated.about["n_periods"].tolist() == [120] * 6 + [60] * 6
    assert (stated.mean(Clock.ahead(pd.Timestamp("2023-05-01"), "D", 7))[6:] == 0).all()
    assert fit_demand(panel_of(demand), SIMPLE).level[6:].max() < 2.5


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
    model = fit_demand(panel, SIMPLE)
    earlier = earlier_level(panel, model, SIMPLE, periods_ago=60)
    assert earlier.sum() < 0.5 * model.level.sum()
    # The smoothed level of then over that of now, times whatever level the model has now.
    np.testing.assert_allclose(earlier_level(panel, model.scaled(np.full(8, 3.0)), SIMPLE, periods_ago=60), 3 * earlier)
    np.testing.assert_allclose(earlier_level(panel, model, SIMPLE, periods_ago=0), model.level)
    np.testing.assert_allclose(earlier, fit_demand(panel.until(200), SIMPLE.replace(alphas=(0.03,))).level, rtol=0.35)
    new = panel_of(np.where(np.arange(260) < 230, 0.0, demand))
    assert (earlier_level(new, fit_demand(new, SIMPLE), SIMPLE, periods_ago=60) == 0).all()
    dead = panel_of(np.zeros((2, 50)))
    assert earlier_level(dead, fit_demand(dead, SIMPLE), SIMPLE, periods_ago=10).tolist() == [0, 0]


def test_the_earlier_level_of_steady_items_is_that_of_now_with_all_corrections() -> None:
    panel = panel_of(np.full((12, 60), 5.0), freq="W-MON")
    model = fit_demand(panel, TREES, window=4)
    np.testing.assert_allclose(earlier_level(panel, model, TREES, periods_ago=8), model.level, rtol=1e-6)


def test_a_planned_promotion_is_in_the_forecast() -> None:
    rng = np.random.default_rng(8)
    weeks = pd.date_range("2022-01-03", periods=84, freq="W-MON")
    sale = np.arange(84) % 12 == 5
    demand = rng.poisson(np.where(sale, 12.0, 6.0), (30, 84))
    panel = panel_of(demand[:, :80], freq="W-MON", start="2022-01-03")
    events = pd.DataFrame({"kind": "sale", "start": weeks[sale], "end": weeks[sale] + pd.Timedelta(days=6)})
    assert sale[80:].tolist() == [False] * 4
    later = pd.DataFrame({"kind": ["sale"], "start": [weeks[81]], "end": [weeks[81] + pd.Timedelta(days=6)]})
    clock = Clock.ahead(panel.as_of, "W-MON", 28)
    none = fit_demand(panel, SIMPLE, window=4, events=events).mean(clock).mean(axis=0)
    planned = fit_demand(panel, SIMPLE, window=4, events=pd.concat([events, later])).mean(clock).mean(axis=0)
    np.testing.assert_allclose(none, 6.0, rtol=0.1)
    np.testing.assert_allclose(planned[[0, 2, 3]], none[[0, 2, 3]], rtol=1e-6)
    assert planned[1] / none[1] == pytest.approx(2.0, abs=0.2)


def test_what_all_items_grow_by_is_in_the_forecast() -> None:
    rng = np.random.default_rng(5)
    level = rng.uniform(2, 10, (80, 1)) * 1.02 ** np.arange(108)
    slow = SIMPLE.replace(alphas=(0.01,))
    panel = panel_of(rng.poisson(level[:, :104]), freq="W-MON")
    ahead = fit_demand(panel, slow, window=4).about["mean_per_period"].sum() / level[:, 104:].mean(axis=1).sum()
    assert 0.85 < ahead < 1.1
    # The level alone, that of the mean of two years, is far behind.
    assert panel.demand.mean(axis=1).sum() / level[:, 104:].mean(axis=1).sum() < 0.5


def test_the_season_ahead_is_in_the_forecast() -> None:
    rng = np.random.default_rng(9)
    weeks = pd.date_range("2021-01-04", periods=180, freq="W-MON")
    wave = 1 + 0.6 * np.sin(2 * np.pi * (weeks.day_of_year.to_numpy() + 3) / 365.25)
    panel = panel_of(rng.poisson(8 * wave[:160], (40, 160)), freq="W-MON", start="2021-01-04")
    model = fit_demand(panel, SIMPLE, window=4)
    mean = model.mean(Clock.ahead(panel.as_of, "W-MON", 140)).mean(axis=0)
    np.testing.assert_allclose(mean, 8 * wave[160:], rtol=0.1)


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
