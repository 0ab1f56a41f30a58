from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hand_made import known, panel_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.panel import RAN_OUT, DemandPanel
from backorder_forecast.smooth_items import (
    FAILED,
    FITTED,
    HISTORY,
    MIN_FIT,
    MIN_STEPS,
    SHORT,
    LocalSums,
    choose_items,
    local_sums,
)
from backorder_forecast.smoothing import demand_classes, ses

Floats = NDArray[np.float64]


def forecast(
    demand: ArrayLike,
    exposure: ArrayLike | None = None,
    *,
    window: int = 3,
    freq: str = "W-MON",
    factors: Floats | None = None,
    origins: list[int] | None = None,
) -> LocalSums:
    """Every item of a panel, at its end unless told otherwise."""
    panel = panel_of(demand, exposure, freq=freq)
    n, t = panel.demand.shape
    index = np.ones((1, t + window)) if factors is None else np.atleast_2d(factors)
    return local_sums(panel, index, np.zeros(n, dtype=np.int64), np.arange(n), origins or [t], window)


def choose(panel: DemandPanel, *, n_items: int = 10, price: Floats | None = None) -> list[int]:
    classes = demand_classes(np.where(panel.exposure > 0, panel.demand, np.nan))
    chosen: list[int] = choose_items(panel, panel.demand.mean(axis=1), classes, n_items=n_items, price=price).tolist()
    return chosen


def steady(n: int, t: int, mean: float = 20.0, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).poisson(mean, (n, t)).astype(np.float64)


@pytest.mark.parametrize("window", [1, 3])
def test_a_straight_line_goes_on_with_half_its_slope(window: int) -> None:
    case = known("smooth_items")["line"]
    y = case["a"] + case["b"] * np.arange(1, case["n"] + 1)
    mean = forecast(y, window=window).mean[0, 0]
    assert mean == pytest.approx(sum(case["forecast"][:window]), rel=case["rel_tolerance"])


def test_the_nile_is_forecast_as_by_the_model_alone_and_by_the_formula() -> None:
    case = known("smooth_items")["nile"]
    y, a = np.asarray(case["y"]), case["alpha"]
    for window in (1, 5):
        mean = forecast(y, window=window, freq="MS").mean[0, 0]
        assert mean == pytest.approx(sum(case["forecast"][:window]), rel=case["rel_tolerance"])
    slope = np.polyfit(np.arange(len(y)), y, 1)[0]
    assert slope == pytest.approx(case["slope"], rel=1e-5)
    by_hand = ses(y, a)[0] + slope / 2 * (1 - (1 - a) ** len(y)) / a
    assert forecast(y, window=1, freq="MS").mean[0, 0] == pytest.approx(by_hand, rel=1e-4)


def test_on_trends_it_is_closer_than_a_level_and_on_steady_items_not_far_off() -> None:
    rng = np.random.default_rng(1)
    slopes = rng.uniform(-0.3, 0.3, 40)
    mean = 40 + slopes[:, None] * np.arange(83)
    demand = rng.poisson(mean).astype(np.float64)
    truth = mean[:, 80:].sum(axis=1)
    own = forecast(demand[:, :80]).mean[:, 0]
    level = 3 * ses(demand[:, :80], 0.1)
    assert np.abs(own - truth).mean() < 0.8 * np.abs(level - truth).mean()
    flat = forecast(rng.poisson(40.0, (40, 80))).mean[:, 0]
    assert np.abs(flat - 120).mean() < 12


@settings(max_examples=15)
@given(
    y=st.lists(st.integers(0, 50), min_size=MIN_FIT, max_size=60).filter(lambda y: y[0] > 0),
    factor=st.sampled_from([1e-3, 0.37, 8.0, 1e6]),
)
def test_another_unit_of_measure_changes_only_the_unit(y: list[int], factor: float) -> None:
    plain, scaled = forecast(y).mean[0, 0], forecast(factor * np.asarray(y)).mean[0, 0]
    assert scaled == pytest.approx(factor * plain, rel=1e-4, abs=1e-4 * factor)
    assert plain >= 0


@pytest.mark.parametrize("freq", ["D", "W-MON", "MS"])
def test_nothing_after_an_origin_and_no_other_item_has_a_say(freq: str) -> None:
    t = 7 * 50 if freq == "D" else 60
    rng = np.random.default_rng(3)
    demand = steady(4, t)
    exposure = rng.choice([1.0, 0.6, 0.1, 0.0, RAN_OUT], (4, t), p=[0.8, 0.05, 0.05, 0.05, 0.05])
    factors = rng.uniform(0.5, 1.5, (2, t + 5))
    groups, origins = np.array([0, 1, 1, 0]), [t, t - 9, t - 20]
    panel = panel_of(demand, exposure, freq=freq)
    every = local_sums(panel, factors, groups, np.arange(4), origins, 5)
    assert every.failures() == {}
    assert (every.outcome == FITTED).all()
    for k, origin in enumerate(origins):
        short = local_sums(panel.until(origin), factors, groups, np.array([2]), [origin], 5)
        assert short.mean[0, 0] == every.mean[2, k]
        assert short.n_used[0, 0] == every.n_used[2, k]
    order = np.array([3, 1, 0, 2])
    items = panel.items.iloc[order].reset_index(drop=True)
    turned = replace(panel, items=items, demand=demand[order], exposure=exposure[order])
    again = local_sums(turned, factors, groups[order], np.argsort(order), origins, 5)
    np.testing.assert_array_equal(again.mean, every.mean)


def test_the_season_is_taken_out_and_put_back_for_the_periods_ahead() -> None:
    season = np.tile([0.5, 1.0, 1.5], 30)
    sums = forecast(10 * season[:60], window=2, factors=season, origins=[57, 58, 59])
    np.testing.assert_allclose(sums.mean[0], [15.0, 25.0, 20.0], rtol=1e-6)


def test_a_period_out_of_season_says_nothing() -> None:
    season = np.tile([1.0, 1.0, 1.0, 0.02], 16)
    demand = 10 * season[:60]
    demand[3::4] = 5.0  # twenty-five times what the season lets expect
    sums = forecast(demand, window=3, factors=season)
    assert sums.mean[0, 0] == pytest.approx(30.0, rel=1e-6)
    assert sums.n_used[0, 0] == 45


@pytest.mark.parametrize("freq", ["D", "W-MON"])
def test_hidden_periods_do_not_pull_the_forecast_down(freq: str) -> None:
    t = 420 if freq == "D" else 60
    demand, hide = steady(30, t, 30.0), np.random.default_rng(4).random((30, t)) < 0.15
    hide[:, -6:] = True  # out of stock now
    hide[:, 0] = False
    full = forecast(demand, freq=freq).mean.sum()
    aware = forecast(np.where(hide, 0.0, demand), np.where(hide, 0.0, 1.0), freq=freq).mean.sum()
    blind = forecast(np.where(hide, 0.0, demand), freq=freq).mean.sum()
    assert aware == pytest.approx(full, rel=0.04)
    assert blind < 0.8 * full


def test_part_of_a_period_is_scaled_up_and_a_sell_out_is_a_lower_bound() -> None:
    half = np.where(np.arange(60) % 2, 0.5, 1.0)
    assert forecast(12 * half, half).mean[0, 0] == pytest.approx(36.0, rel=1e-6)
    flat, out = np.full(60, 12.0), np.ones(60)
    out[-1] = RAN_OUT
    less, more = flat.copy(), flat.copy()
    less[-1], more[-1] = 3.0, 40.0
    assert forecast(less, out).mean[0, 0] == pytest.approx(36.0, rel=1e-6)
    assert forecast(more, out).mean[0, 0] > 36.5
    assert forecast(more, out).mean[0, 0] == pytest.approx(forecast(more).mean[0, 0], rel=1e-9)


def test_a_hidden_step_takes_the_mean_of_the_eight_shown_before_it() -> None:
    y = np.concatenate([np.full(52, 5.0), np.arange(1.0, 9.0)])
    y = np.concatenate([y, [0.0, 0.0]])
    shown = np.concatenate([np.ones(60), [0.0, 0.0]])
    by_hand = np.concatenate([y[:60], [4.5, 4.5]])
    assert forecast(y, shown).mean[0, 0] == pytest.approx(forecast(by_hand).mean[0, 0], rel=1e-12)
    launch, gap = np.concatenate([np.zeros(9), [8.0, 0.0], y[:50]]), np.ones(61)
    gap[10] = 0.0
    by_hand = np.concatenate([[8.0, 8.0], y[:50]])
    assert forecast(launch, gap).mean[0, 0] == pytest.approx(forecast(by_hand).mean[0, 0], rel=1e-12), "no launch zeros"


def test_on_a_daily_clock_weeks_are_fitted_and_days_summed() -> None:
    week = np.array([4.0, 4.0, 4.0, 4.0, 8.0, 4.0, 0.0])
    index = week / week.mean()
    days = np.tile(week, 60)
    closed = np.maximum(np.tile(index, 62), 0.02)
    for origin, window in ((420, 7), (420, 3), (419, 9), (417, 1)):
        mean = forecast(days[:origin], window=window, freq="D", factors=closed).mean[0, 0]
        assert mean == pytest.approx(np.tile(week, 62)[origin : origin + window].sum(), rel=0.01, abs=0.1)
    weekly = steady(1, 60)[0]
    daily = np.repeat(weekly / 7, 7)
    by_day = forecast(daily, window=14, freq="D").mean[0, 0]
    assert by_day == pytest.approx(forecast(weekly, window=2).mean[0, 0], rel=1e-5)
    odd = np.concatenate([[90.0, 0.0, 90.0], daily])
    assert forecast(odd, window=14, freq="D").mean[0, 0] == by_day, "days that fill no week are the oldest"
    glimpse, shown = daily.copy(), np.ones(420)
    glimpse[5::7], shown[5::7] = 30.0, 0.1
    hidden = np.where(shown < 1, 0.0, 1.0)
    assert forecast(glimpse, shown, freq="D").mean[0, 0] == forecast(daily, hidden, freq="D").mean[0, 0]


@pytest.mark.parametrize(
    "y",
    [
        [5.0] * 60,
        [0.0] * 59 + [1.0],
        [1.0] + [0.0] * 59,
        [1.0] + [0.0] * 200,
        [0.0, 9.0] * 30,
        [1e12] * 60,
        [1e-9, 3e-9] * 30,
        [1.0] * 59 + [1e9],
        list(np.linspace(100, 0, 60)),
        list(1.3 ** np.arange(60)),
    ],
)
def test_odd_series_give_a_sensible_number_or_a_reason(y: list[float]) -> None:
    sums = forecast(y)
    missing = np.isnan(sums.mean)
    assert (missing == (sums.outcome != FITTED)).all()
    assert (missing == (sums.n_used < MIN_FIT)).all()
    shown = sums.mean[~missing]
    assert ((shown >= 0) & (shown <= 3 * 1.5 * max(y))).all()


def test_demand_that_stopped_long_ago_is_forecast_as_none() -> None:
    assert forecast([9.0] * 30 + [0.0] * 110).mean[0, 0] == 0.0
    falling = np.maximum(np.linspace(60, -10, 70), 0.0)
    assert forecast(falling, window=13).mean[0, 0] == 0.0


def test_history_counts_from_the_first_demand_and_two_years_back() -> None:
    y = steady(1, 130)[0]
    late = np.concatenate([np.zeros(40), y[:60]])
    assert forecast(late).mean[0, 0] == forecast(y[:60]).mean[0, 0]
    assert forecast(late).n_used[0, 0] == 60
    long = forecast(np.concatenate([np.full(50, 900.0), y]))
    assert long.n_used[0, 0] == HISTORY["W"]
    assert long.mean[0, 0] == pytest.approx(forecast(y[-104:]).mean[0, 0], rel=1e-12)


def test_what_was_not_fitted_is_counted_by_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    from statsmodels.tsa.forecasting import theta

    demand = steady(3, 60)
    demand[1, :45] = 0.0
    demand[2] = 0.0

    class Broken:
        def __init__(self, *args: object, **kwargs: object) -> None:
            raise ArithmeticError("singular")

    sums = forecast(demand, origins=[20, 60])
    assert sums.failures() == {SHORT: 5}
    np.testing.assert_array_equal(np.isnan(sums.mean), [[True, False], [True, True], [True, True]])
    monkeypatch.setattr(theta, "ThetaModel", Broken)
    broken = forecast(demand, origins=[20, 60])
    assert broken.failures() == {SHORT: 5, FAILED: 1}
    assert np.isnan(broken.mean).all()

    class Endless(Broken):
        def __init__(self, *args: object, **kwargs: object) -> None:
            pass

        def fit(self) -> Endless:
            return self

        def forecast(self, n: int) -> Floats:
            return np.full(n, np.inf)

    monkeypatch.setattr(theta, "ThetaModel", Endless)
    assert forecast(demand).failures() == {SHORT: 2, FAILED: 1}


def test_the_shortest_history_that_is_fitted() -> None:
    sums = forecast(steady(1, 40), origins=[MIN_FIT - 1, MIN_FIT])
    assert sums.outcome.tolist() == [[SHORT, FITTED]]
    assert sums.n_used.tolist() == [[MIN_FIT - 1, MIN_FIT]]


def test_no_items_and_no_origins_are_fine() -> None:
    panel = panel_of(steady(2, 60), freq="W-MON")
    none = np.empty(0, dtype=np.int64)
    assert local_sums(panel, np.ones((1, 63)), np.zeros(2, dtype=np.int64), none, [60], 3).mean.shape == (0, 1)
    empty = local_sums(panel, np.ones((1, 63)), np.zeros(2, dtype=np.int64), np.array([1]), [], 3)
    assert empty.mean.shape == (1, 0)
    assert empty.failures() == {}
    assert forecast([3.0, 4.0]).failures() == {SHORT: 1}
    assert forecast([3.0, 4.0], freq="D").failures() == {SHORT: 1}


def test_factors_that_end_too_early_are_refused() -> None:
    with pytest.raises(InvalidSettings, match=r"cover 60 periods.*ends after 63.*extend"):
        forecast(steady(1, 60), factors=np.ones(60))


def test_the_most_valuable_eligible_items_come_first() -> None:
    demand = steady(5, 60)
    demand[0] *= 3
    demand[1, ::2] = 0.0  # intermittent
    demand[2, :20] = 0.0  # too young
    demand[4] *= 2
    panel = panel_of(demand, freq="W-MON")
    assert choose(panel) == [0, 4, 3]
    assert choose(panel, n_items=2) == [0, 4]
    assert choose(panel, n_items=0) == []
    assert choose(panel, price=np.array([1.0, 9.0, 9.0, 9.0, 1.0])) == [3, 0, 4]
    assert choose(panel, price=np.array([np.nan, 9.0, 9.0, 9.0, 1.0])) == [0, 3, 4], "unknown prices are typical"
    assert choose(panel, price=np.full(5, np.nan)) == [0, 4, 3]
    assert choose(panel, price=np.array([1.0, 1.0, 1.0, 0.0, 1.0])) == [0, 4], "without value there is nothing to gain"


def test_hidden_items_are_left_out_and_long_ones_told_by_the_clock() -> None:
    exposure = np.ones((3, 80))
    exposure[0, 60:] = 0.0
    exposure[1, 70:75] = RAN_OUT
    assert sorted(choose(panel_of(steady(3, 80), exposure, freq="W-MON"))) == [1, 2]
    for freq, unit in (("W-MON", "W"), ("MS", "M")):
        enough = MIN_STEPS[unit]
        assert choose(panel_of(steady(1, enough), freq=freq)) == [0]
        assert choose(panel_of(steady(1, enough - 1), freq=freq)) == []


def test_on_a_daily_clock_the_weeks_decide() -> None:
    rng = np.random.default_rng(5)
    now_and_then = rng.poisson(0.6, (1, 400)).astype(np.float64)
    seldom = np.zeros((1, 400))
    seldom[0, ::30] = 9.0
    panel = panel_of(np.concatenate([now_and_then, seldom]))
    assert demand_classes(panel.demand)[0] == "intermittent"
    assert choose(panel) == [0]
    assert choose(panel_of(now_and_then[:, :363])) == []
    assert choose(panel_of(now_and_then[:, :364])) == [0]


def test_the_choice_depends_neither_on_row_order_nor_on_how_many_stand_before() -> None:
    n, t = 1300, 56
    demand = np.tile(np.array([6.0, 7.0]), (n, t // 2))
    demand[:1200, 10:] = 0.0  # the first thousand look valuable and are long gone
    level = np.where(np.arange(n) < 1200, 50.0, 1.0 + np.arange(n) % 7)
    panel = panel_of(demand, freq="W-MON")
    smooth = np.full(n, "smooth")
    hidden = np.ones((n, t))
    hidden[:1200, 10:] = 0.0
    panel = replace(panel, exposure=hidden)
    chosen = choose_items(panel, level, smooth, n_items=20)
    assert (chosen >= 1200).all()
    assert (np.diff(level[chosen]) <= 0).all()
    ties = chosen[level[chosen] == 7.0]
    assert (np.diff(ties) > 0).all(), "ties by sku"
    order = np.random.default_rng(6).permutation(n)
    items = panel.items.iloc[order].reset_index(drop=True)
    turned = replace(panel, items=items, demand=demand[order], exposure=hidden[order])
    again = choose_items(turned, level[order], smooth, n_items=20)
    np.testing.assert_array_equal(order[again], chosen)


@pytest.mark.parametrize("n_items", [-1, 2.5, True])
def test_a_number_of_items_is_a_whole_number(n_items: int) -> None:
    with pytest.raises(InvalidSettings, match="whole number of items, 0 for none; got"):
        choose(panel_of(steady(1, 60), freq="W-MON"), n_items=n_items)
