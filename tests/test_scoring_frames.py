from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hand_made import Floats, items_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from test_scoring import LOSSES, POOLED, WEEKS, cases, last, paths_of, point, weekly

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.outcomes import LEVELS, QuantileForecast, outcomes
from backorder_forecast.paths import SamplePaths, path_quantiles
from backorder_forecast.scoring import compare_scores, pit_frame, score_by_step, score_forecast, score_sums


@settings(max_examples=25, deadline=None)
@given(cases())
def test_a_perfect_forecast_scores_nothing_and_losses_are_never_negative(case: tuple[Floats, Floats, Floats]) -> None:
    values, demand, exposure = case
    panel = weekly(demand, exposure)
    perfect = score_forecast(point(demand[:, 6:], 6), panel, panel, by="demand_class")
    for name in [*LOSSES, "bias"]:
        assert perfect[name].fillna(0.0).to_numpy() == pytest.approx(0.0, abs=1e-9), name
    assert perfect["coverage_0.8"].fillna(1.0).eq(1.0).all()
    some = score_forecast(paths_of(values, 6), panel, panel, by="demand_class")
    assert some[LOSSES].fillna(0.0).ge(-1e-9).all(axis=None)
    shares = pit_frame(paths_of(values, 6), panel)["share"]
    if some["n_observations"].iloc[-1]:
        assert shares.sum() == pytest.approx(1.0)
        assert shares.ge(-1e-12).all()
        assert [shares.min(), shares.max()] == some[["pit_min", "pit_max"]].iloc[-1].tolist()
    else:
        assert shares.isna().all()


@settings(max_examples=25, deadline=None)
@given(cases(), st.sampled_from([0.25, 2.0, 1024.0]))
def test_units_scale_losses_and_leave_scaled_scores(case: tuple[Floats, Floats, Floats], factor: float) -> None:
    values, demand, exposure = case
    panel, larger = weekly(demand, exposure), weekly(demand * factor, exposure)
    before = last(score_forecast(paths_of(values, 6), panel, panel))
    after = last(score_forecast(paths_of(values * factor, 6), larger, larger))
    for name in POOLED:
        times = factor if name in ("pinball", "crps") else 1.0
        assert after[name] == pytest.approx(times * before[name], rel=1e-9, abs=1e-9, nan_ok=True), name


def test_paths_are_drawn_bucket_by_bucket() -> None:
    asked: list[tuple[int, int]] = []

    def sampler(start: int, stop: int) -> Floats:
        asked.append((start, stop))
        return np.ones((stop - start, 4, 3))

    panel = weekly(np.random.default_rng(8).poisson(1, (50, 10)))
    forecast = SamplePaths(items_of(50), WEEKS[7:10], 4, sampler, 16)
    for score in (score_forecast, score_sums, score_by_step):
        asked.clear()
        score(forecast, panel, panel)
        assert asked == [(0, 16), (16, 32), (32, 48), (48, 50)]


# ---- given quantiles -----------------------------------------------------------------------------------------------


def quantiles_of(
    paths: SamplePaths, levels: Any, *, mean: bool = False, span: int = 1, order: Any = slice(None)
) -> QuantileForecast:
    values = paths.draw()
    middle = values.mean(axis=1)[order] if mean else None
    items = paths.items.iloc[order].reset_index(drop=True)
    return QuantileForecast(items, paths.dates, levels, path_quantiles(values, levels)[order], middle, span)


def test_quantiles_score_like_the_paths_they_come_from() -> None:
    rng = np.random.default_rng(9)
    paths = paths_of(rng.negative_binomial(1, 0.2, (6, 25, 3)).astype(float), 17)
    panel = weekly(rng.negative_binomial(1, 0.2, (6, 20)), np.where(rng.random((6, 20)) < 0.1, 0.0, 1.0))
    expected = last(score_forecast(paths, panel, panel))
    found = last(score_forecast(quantiles_of(paths, (0.1, *LEVELS), mean=True, order=[3, 1, 0, 5, 4, 2]), panel, panel))
    for name in ("n_observations", "n_left_out", "n_unscaled", *LOSSES, "bias", "coverage_0.8"):
        if name != "crps":
            assert found[name] == expected[name], name
    # one quantile for each path holds the whole ensemble
    middles = (np.arange(25) + 0.5) / 25
    dense = last(score_forecast(quantiles_of(paths, middles), panel, panel, levels=[middles[20]]))
    assert dense["crps"] == pytest.approx(expected["crps"])
    assert [dense["pit_min"], dense["pit_max"]] == pytest.approx([expected["pit_min"], expected["pit_max"]], abs=0.03)
    assert np.isnan([dense[name] for name in ("wape", "bias", "mase", "rmsse")]).all()


def test_quantiles_of_the_upper_half_say_nothing_of_the_whole_law() -> None:
    paths = paths_of(np.random.default_rng(10).poisson(3, (4, 50, 2)).astype(float), 8)
    panel = weekly(np.random.default_rng(11).poisson(3, (4, 10)))
    row = last(score_forecast(quantiles_of(paths, LEVELS), panel, panel))
    assert row["pinball"] == last(score_forecast(paths, panel, panel))["pinball"]
    unknown = ["crps", "coverage_0.8", "coverage_0.8_stated", "pit_min", "pit_max"]
    assert np.isnan([row[name] for name in unknown]).all()


def test_the_pit_of_true_quantiles_is_flat() -> None:
    rng = np.random.default_rng(12)
    levels = np.array([0.05, 0.1, 0.25, 0.5, 0.8, 0.9, 0.99])
    panel = weekly(rng.gamma(2.0, 3.0, (500, 8)))
    values = np.broadcast_to(stats.gamma(2.0, scale=3.0).ppf(levels), (500, 4, 7)).copy()
    forecast = QuantileForecast(items_of(500), WEEKS[4:8], levels.tolist(), values)
    row = last(score_forecast(forecast, panel, panel, levels=[0.5]))
    assert (row["pit_min"], row["pit_max"]) == pytest.approx((0.1, 0.1), abs=0.02)
    assert row["coverage_0.8"] == pytest.approx(0.8, abs=0.03)
    assert np.isnan(row["coverage_0.8_stated"])


def test_quantiles_of_sums_are_scored_as_sums() -> None:
    rng = np.random.default_rng(13)
    paths = paths_of(rng.poisson(3, (5, 60, 3)).astype(float), 9)
    panel = weekly(rng.poisson(3, (5, 12)))
    total = paths_of(paths.draw().sum(axis=2, keepdims=True), 9)
    sums = quantiles_of(total, (0.1, *LEVELS), mean=True, span=3)
    frame = compare_scores({"paths": paths, "sums": sums}, panel, panel, periods=3)
    assert frame["relative_pinball"].tolist() == [1.0, 1.0]
    assert frame["rmsse"][0] == frame["rmsse"][1]
    pd.testing.assert_frame_equal(score_sums(sums, panel, panel), score_sums(sums, panel, panel, periods=3))
    with pytest.raises(InvalidSettings, match="have span 3, but sums of 1"):
        score_forecast(sums, panel, panel)
    with pytest.raises(InvalidSettings, match="only 2 of the 3 periods of the first sum have happened"):
        score_sums(sums, panel.until(11), panel)


# ---- comparison ----------------------------------------------------------------------------------------------------


def test_a_comparison_is_relative_to_the_first_in_each_group() -> None:
    panel = weekly([[1, 2, 1, 2], [8, 9, 8, 9]], category=["small", "large"])
    zero, half = point([[0], [0]], 3), point([[1], [9]], 3)
    frame = compare_scores({"zero": zero, "half": half}, panel, panel, by="category")
    assert list(frame.columns[:3]) == ["name", "group", "relative_pinball"]
    assert frame["group"].tolist() == ["large", "small", "all"] * 2
    assert frame["relative_pinball"].tolist() == pytest.approx([1, 1, 1, 0, 0.5, 1 / 11])
    own = score_forecast(half, panel, panel, by="category")
    pd.testing.assert_frame_equal(frame[own.columns].iloc[3:].reset_index(drop=True), own)
    backwards = compare_scores({"half": half, "zero": zero}, panel, panel, by="category")
    assert np.isnan(backwards["relative_pinball"][3])


def test_forecasts_of_other_periods_are_not_compared() -> None:
    panel = weekly(np.ones((1, 8)))
    with pytest.raises(InvalidSettings, match=r"of 'long' 3 from 2023-01-30 on can be scored, of 'short' 2 from"):
        compare_scores({"long": point([[1, 1, 1]], 4), "short": point([[1, 1]], 4)}, panel, panel)
    with pytest.raises(InvalidSettings, match="no forecast to compare"):
        compare_scores({}, panel, panel)


# ---- what is refused -----------------------------------------------------------------------------------------------


def test_items_that_do_not_match_are_named() -> None:
    panel = weekly(np.ones((3, 6)))
    with pytest.raises(
        InvalidSettings, match=r"the forecast has 2 of 5 items that the actual demand lacks: S003, S004"
    ):
        score_forecast(point(np.ones((5, 2)), 4), panel, panel)
    with pytest.raises(InvalidSettings, match=r"the actual demand has 1 of 3 items that the forecast lacks: S002;"):
        score_forecast(point(np.ones((2, 2)), 4), panel, panel)
    north = SamplePaths(items_of(3).assign(location="North"), WEEKS[4:6], 1, lambda a, b: np.ones((b - a, 1, 2)))
    with pytest.raises(InvalidSettings, match="S000 at North, S001 at North"):
        pit_frame(north, panel)
    with pytest.raises(InvalidSettings, match=r"the history lacks 1 of 3 items of the forecast: S002; an item without"):
        score_forecast(point(np.ones((3, 2)), 4), panel, weekly(np.ones((2, 4))))
    double = SamplePaths(items_of(3).iloc[[0, 1, 1]], WEEKS[4:6], 1, lambda a, b: np.ones((b - a, 1, 2)))
    with pytest.raises(InvalidSettings, match=r"the forecast has several rows for S001"):
        score_forecast(double, panel, panel)
    with pytest.raises(InvalidSettings, match="no items"):
        score_forecast(point(np.ones((0, 2)), 4), panel, panel)


def test_periods_that_do_not_match_are_named() -> None:
    panel = weekly(np.ones((1, 6)))
    daily = SamplePaths(items_of(1), pd.date_range("2023-01-30", periods=3), 1, lambda a, b: np.ones((1, 1, 3)))
    with pytest.raises(InvalidSettings, match=r"2 of 3 periods .* \(W-MON, from 2023-01-02\): 2023-01-31, 2023-02-01;"):
        score_forecast(daily, weekly(np.ones((1, 9))), panel)
    with pytest.raises(
        InvalidSettings, match=r"nothing .* has happened yet: it begins 2023-02-20, the last .*2023-02-06"
    ):
        score_forecast(point([[1.0]], 7), panel, panel)
    turned = SamplePaths(items_of(1), WEEKS[[5, 4]], 1, lambda a, b: np.ones((1, 1, 2)))
    with pytest.raises(InvalidSettings, match="out of order"):
        score_forecast(turned, panel, panel)
    with pytest.raises(InvalidSettings, match="there is no period before it"):
        score_forecast(point([[1.0]], 0), panel, panel)
    with pytest.raises(InvalidSettings, match=r"only 2 of the 3 periods to be summed have happened; give periods=2"):
        score_sums(point([[1.0, 1.0, 1.0]], 4), panel, panel)
    for periods in (0, 3, 1.5, True):
        with pytest.raises(InvalidSettings, match="whole number from 1 to the 2 of the forecast, got"):
            score_sums(point([[1.0, 1.0]], 4), panel, panel, periods=periods)  # type: ignore[arg-type]


def test_values_that_cannot_be_scored_are_refused() -> None:
    panel = weekly(np.ones((1, 6)))
    with pytest.raises(InvalidSettings, match="NaN"):
        score_forecast(point([[np.nan]], 5), panel, panel)
    with pytest.raises(InvalidSettings, match="levels lie strictly between 0 and 1"):
        score_forecast(point([[1.0]], 5), panel, panel, levels=[0.5, 1.0])
    items, dates, values = items_of(1), WEEKS[5:6], np.array([[[1.0, 2.0]]])
    few = QuantileForecast(items, dates, (0.5, 0.9), values)
    with pytest.raises(InvalidSettings, match=r"lack the levels 0.6, 0.7, .*; they have 0.5, 0.9"):
        score_forecast(few, panel, panel)
    for bad, text in (
        ((items, dates, (0.5,), values), r"shape \(n_items, n_periods, n_levels\) = \(1, 1, 1\), got \(1, 1, 2\)"),
        ((items, dates, (0.5, 0.9), values, np.ones((2, 1))), r"the mean has the shape .* \(1, 1\), got \(2, 1\)"),
        ((items, dates, (0.9, 0.5), values), r"levels increase"),
        ((items, dates, (0.5, 0.9), values, None, 0), r"span is 1 or more"),
        ((items, dates, (0.5, 0.9), values[..., ::-1]), r"missing or cross"),
        ((items, dates, (0.5, 0.9), values * np.nan), r"missing or cross"),
        ((items[["sku"]], dates, (0.5, 0.9), values), r"columns sku and location, got sku"),
    ):
        with pytest.raises(InvalidSettings, match=text):
            QuantileForecast(*bad)


def test_outcomes_stand_in_the_order_of_the_items() -> None:
    panel = weekly([[1, 2, 3], [4, 5, 6]], [[1, 1, 1], [1, 1, 0.5]])
    paths = point([[7, 8]], 1)
    both = SamplePaths(items_of(2).iloc[[1, 0]], paths.dates, 3, lambda a, b: np.repeat(paths.draw(), 2, axis=0)[a:b])
    told = outcomes(both, panel)
    assert told.items["sku"].tolist() == ["S000", "S001"]
    np.testing.assert_array_equal(told.observed, [[2, 3], [5, np.nan]])
    np.testing.assert_array_equal(told.mean, [[7, 8], [7, 8]])
    assert told.at.tolist() == [[0, 0], [0, 0]]
