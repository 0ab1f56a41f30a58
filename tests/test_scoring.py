"""Whole forecasts held against what happened: frames of scores, what is left out of them, and what must not matter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hand_made import Floats, items_of, known, panel_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from backorder_forecast.crps import crps_samples
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.panel import RAN_OUT, DemandPanel
from backorder_forecast.paths import SamplePaths, path_quantiles
from backorder_forecast.scores import mase, naive_scale, pinball, rmsse, scaled_pinball
from backorder_forecast.scoring import compare_scores, pit_frame, score_by_step, score_forecast, score_sums

WEEKS = pd.date_range("2023-01-02", periods=60, freq="W-MON")
ANSWERS = known("scores") | known("distributions") | known("scoring")
LOSSES = ["pinball", "scaled_pinball", "crps", "rmsse", "mase", "wape"]
POOLED = ["n_observations", "n_left_out", *LOSSES, "bias", "pit_min", "pit_max", "coverage_0.8", "coverage_0.8_stated"]


def weekly(demand: Any, exposure: Any = None, **columns: Any) -> DemandPanel:
    return panel_of(demand, exposure, freq="W-MON", **columns)


def paths_of(values: Floats, after: int, bucket_size: int = 128) -> SamplePaths:
    """Paths over the periods that follow the first `after`."""
    n_items, n_paths, n_periods = values.shape
    dates = WEEKS[after : after + n_periods]
    return SamplePaths(items_of(n_items), dates, n_paths, lambda a, b: values[a:b], bucket_size)


def point(forecast: Any, after: int) -> SamplePaths:
    """The same path three times."""
    return paths_of(np.repeat(np.asarray(forecast, dtype=float)[:, None, :], 3, axis=1), after)


def last(frame: pd.DataFrame) -> dict[str, Any]:
    row = {str(name): value for name, value in frame.iloc[-1].items()}
    assert row["group"] == "all"
    return row


@st.composite
def cases(draw: st.DrawFn) -> tuple[Floats, Floats, Floats]:
    """Paths (5, 6, 3), demand (5, 9) of which the last 3 are forecast, exposure; whole and broken units."""
    kind = draw(st.sampled_from([st.integers(0, 9).map(float), st.floats(0, 50).map(lambda x: round(x, 3))]))
    share = st.sampled_from([1.0, 1.0, 1.0, 0.4, 0.0, RAN_OUT])
    values = draw(arrays(np.float64, (5, 6, 3), elements=kind))
    demand = draw(arrays(np.float64, (5, 9), elements=kind))
    return values, demand, draw(arrays(np.float64, (5, 9), elements=share))


# ---- known answers -------------------------------------------------------------------------------------------------


def test_scaled_pinball_is_that_of_the_m5_guide() -> None:
    case = ANSWERS["m5_scaled_pinball"]
    given_ = case["inputs"]
    panel = weekly([given_["y_train"] + given_["y_test"]])
    forecast = point([given_["quantile_forecast"]], len(given_["y_train"]))
    row = last(score_forecast(forecast, panel, panel, levels=[given_["tau"]]))
    assert row["scaled_pinball"] == pytest.approx(case["expected"], abs=case["abs_tolerance"])


def test_point_scores_are_those_of_a_textbook() -> None:
    case = ANSWERS["oil_naive"]
    y, n = np.array(case["inputs"]["y"]), case["inputs"]["n_train"]
    test, training = case["expected"]["test"], case["expected"]["training"]
    row = last(score_forecast(point([np.full(10, y[n - 1])], n), weekly([y]), weekly([y[:n]])))
    tolerance = case["abs_tolerance"]
    assert row["crps"] == pytest.approx(test["mae"], abs=tolerance)
    assert row["mase"] == pytest.approx(test["mase"], abs=1e-4)
    assert row["mase"] * training["mae"] == pytest.approx(test["mae"], abs=tolerance)
    assert row["rmsse"] == pytest.approx(test["rmse"] / training["rmse"], abs=2e-4)
    assert row["bias"] == pytest.approx(-test["me"] / y[n:].mean(), abs=1e-5)


@pytest.mark.parametrize("name", ["rps_poisson", "rps_negbin"])
def test_crps_of_many_paths_is_that_of_their_law(name: str) -> None:
    case = ANSWERS[name]
    given_ = case["inputs"]
    law = stats.poisson(given_["mu"]) if "mu" in given_ else stats.nbinom(given_["r"], given_["p"])
    draws = law.ppf((np.arange(4000) + 0.5) / 4000)
    row = last(score_forecast(paths_of(draws[None, :, None], 5), weekly([[1, 0, 2, 0, 1, given_["y"]]]), weekly([[1]])))
    assert row["crps"] == pytest.approx(case["expected"], abs=2e-3)


def test_pit_is_that_of_czado_gneiting_and_held() -> None:
    case = ANSWERS["pit_nonrandomised"]
    y, mu = np.array(case["inputs"]["obs"], dtype=float), case["inputs"]["mu"]
    draws = stats.poisson(mu).ppf((np.arange(8000) + 0.5) / 8000)
    panel = weekly(np.column_stack([np.ones((3, 2)), y]))
    frame = pit_frame(paths_of(np.tile(draws[None, :, None], (3, 1, 1)), 2), panel)
    assert frame["decile"].tolist() == list(range(1, 11))
    reached = frame["share"].cumsum().to_numpy()
    half = case["inputs"]["u"].index(0.5)
    assert reached[4] == pytest.approx(case["expected"][half], abs=1e-3)
    # equation 2 written out, with the law of another library
    low, high = stats.poisson.cdf(y - 1, mu), stats.poisson.cdf(y, mu)
    u = np.arange(1, 11)[:, None] / 10
    expected = np.clip((u - low) / (high - low), 0, 1).mean(axis=1)
    assert reached == pytest.approx(expected, abs=1e-3)


# ---- what is scored ------------------------------------------------------------------------------------------------


def test_a_small_shop_by_hand() -> None:
    demand = [[1, 3, 1, 3, 2, 4], [5, 5, 5, 5, 5, 7], [0, 0, 0, 0, 1, 1], [2, 0, 0, 4, 9, 9]]
    exposure = np.ones((4, 6))
    exposure[2, 5], exposure[3, 4:] = 0.5, RAN_OUT
    panel = weekly(demand, exposure)
    row = last(score_forecast(point([[3, 3], [5, 5], [2, 2], [0, 0]], 4), panel, panel, levels=[0.5, 0.9]))
    assert (row["n_items"], row["n_observations"], row["n_left_out"]) == (4, 5, 3)
    # B never changed and C never sold: neither has a scale; D has one and no observation
    assert row["n_unscaled"] == 2
    # A misses by -1 and 1, B by 0 and 2, C by -1 (under is +)
    at_half, at_nine = (0.5 + 0.5 + 1.0 + 0.5) / 5, (0.1 + 0.9 + 1.8 + 0.1) / 5
    assert row["pinball"] == pytest.approx((at_half + at_nine) / 2)
    assert row["crps"] == pytest.approx(5 / 5)
    assert row["mase"] == pytest.approx(1.0 / 2.0)
    assert row["rmsse"] == pytest.approx(1.0 / 2.0)
    assert row["scaled_pinball"] == pytest.approx((0.5 + 0.1 + 0.5 + 0.9) / 4 / 2)
    assert row["wape"] == pytest.approx(5 / (2 + 4 + 5 + 7 + 1))
    assert row["bias"] == pytest.approx((1 - 1 - 2 + 1) / 19)
    assert row["coverage_0.8"] == pytest.approx(1 / 5)
    assert row["coverage_0.8_stated"] == 1.0


@settings(max_examples=25, deadline=None)
@given(cases())
def test_each_item_scores_as_the_functions_of_one_item_say(case: tuple[Floats, Floats, Floats]) -> None:
    values, demand, exposure = case
    panel = weekly(demand, exposure, name=["a", "b", "c", "d", "e"])
    frame = score_forecast(paths_of(values, 6), panel, panel, levels=[0.5, 0.9], by="name")
    assert frame["group"].tolist() == ["a", "b", "c", "d", "e", "all"]
    seen = np.where(exposure >= 0.999, demand, np.nan)
    y, past, mean = seen[:, 6:], seen[:, :6], values.mean(axis=1)
    q = path_quantiles(values, [0.5, 0.9])
    each = frame.iloc[:5]
    scaled = np.mean([scaled_pinball(y, q[..., k], level, past) for k, level in enumerate([0.5, 0.9])], axis=0)
    for name, expected in (
        ("scaled_pinball", scaled),
        ("mase", mase(y, mean, past)),
        ("rmsse", rmsse(y, mean, past)),
        ("pinball", _mean(pinball(y[..., None], q, [0.5, 0.9]).mean(axis=2))),
        ("crps", _mean(crps_samples(y, values.transpose(0, 2, 1)))),
    ):
        assert each[name].to_numpy() == pytest.approx(expected, nan_ok=True), name
    whole = frame.iloc[5]
    assert whole["mase"] == pytest.approx(each["mase"].mean(), nan_ok=True)
    assert whole[["n_items", "n_observations", "n_left_out", "n_unscaled"]].tolist() == (
        each[["n_items", "n_observations", "n_left_out", "n_unscaled"]].sum().tolist()
    )
    assert whole["n_observations"] == (~np.isnan(y)).sum()
    assert whole["n_unscaled"] == ((~np.isnan(y)).any(axis=1) & ~(naive_scale(past) > 0)).sum()


def _mean(values: Floats) -> Floats:
    seen = ~np.isnan(values)
    total = np.where(seen, values, 0.0).sum(axis=1)
    return np.where(seen.any(axis=1), total / np.maximum(seen.sum(axis=1), 1), np.nan)


def test_demand_classes_come_from_the_history_in_stock() -> None:
    smooth, lumpy = [4.0, 5.0] * 5, [0.0, 0.0, 9.0, 0.0, 1.0] * 2
    # out of stock, the smooth item looks like a lumpy one to who believes its zeros
    demand = np.array([np.where(np.arange(10) % 3 == 0, smooth, 0.0), lumpy, np.zeros(10)])
    exposure = np.ones((3, 10))
    exposure[0] = np.where(np.arange(10) % 3 == 0, 1.0, 0.0)
    history = weekly(demand, exposure)
    actual = weekly(np.column_stack([demand, [4, 0, 0]]))
    frame = score_forecast(point(np.ones((3, 1)), 10), actual, history, by="demand_class")
    assert frame["group"].tolist() == ["lumpy", "no_demand", "smooth", "all"]
    assert frame["crps"].tolist() == pytest.approx([1, 1, 3, 5 / 3])


def test_items_without_a_value_of_the_grouping_column_form_a_group() -> None:
    panel = weekly(np.arange(12.0).reshape(3, 4), category=["toys", None, "toys"])
    frame = score_forecast(point(np.ones((3, 1)), 3), panel, panel, by="category")
    assert frame[["group", "n_items"]].to_numpy().tolist() == [["(none)", 1], ["toys", 2], ["all", 3]]
    with pytest.raises(InvalidSettings, match=r"'categry' \(did you mean 'category'\?\); valid are: demand_class"):
        score_forecast(point(np.ones((3, 1)), 3), panel, panel, by="categry")


def test_later_history_does_not_leak_into_the_scale() -> None:
    rng = np.random.default_rng(2)
    panel = weekly(rng.poisson(3, (4, 20)))
    forecast = paths_of(rng.poisson(3, (4, 50, 6)).astype(float), 14)
    with_later = score_forecast(forecast, panel, panel, by="demand_class")
    pd.testing.assert_frame_equal(with_later, score_forecast(forecast, panel, panel.until(14), by="demand_class"))


def test_periods_that_have_not_happened_are_not_scored() -> None:
    values = np.random.default_rng(3).poisson(2, (3, 20, 6)).astype(float)
    panel = weekly(np.random.default_rng(4).poisson(2, (3, 20)))
    now = panel.until(16)
    frame = score_forecast(paths_of(values, 14), now, now)
    pd.testing.assert_frame_equal(frame, score_forecast(paths_of(values[:, :, :2], 14), panel, panel))
    assert score_by_step(paths_of(values, 14), now, now)["step"].tolist() == [1, 2]


def test_sums_score_the_total_of_the_window() -> None:
    rng = np.random.default_rng(5)
    values, demand = rng.poisson(2, (4, 30, 5)).astype(float), rng.poisson(2, (4, 20)).astype(float)
    exposure = np.ones((4, 20))
    exposure[0, 17], exposure[1, 18] = 0.0, RAN_OUT
    panel = weekly(demand, exposure)
    row = last(score_sums(paths_of(values, 15), panel, panel, periods=3))
    # item 0 ran out within the window, item 1 only after it
    assert (row["n_observations"], row["n_left_out"]) == (3, 1)
    total, window = values[:, :, :3].sum(axis=2), demand[:, 15:18].sum(axis=1)
    assert row["crps"] == pytest.approx(crps_samples(window[1:], total[1:]).mean())
    scale = naive_scale(demand[:, :15])
    assert row["mase"] == pytest.approx((np.abs(window - total.mean(axis=1)) / scale)[1:].mean())
    whole = last(score_sums(paths_of(values, 15), panel, panel))
    assert whole["n_observations"] == 2
    assert whole["wape"] == pytest.approx(
        np.abs(demand[2:, 15:].sum(axis=1) - values[2:].sum(axis=2).mean(axis=1)).sum() / demand[2:, 15:].sum()
    )
    one = last(score_sums(paths_of(values, 15), panel, panel, periods=1))
    assert one["crps"] == score_by_step(paths_of(values, 15), panel, panel)["crps"][0]


def test_steps_are_the_periods_one_by_one() -> None:
    rng = np.random.default_rng(6)
    values = rng.poisson(2, (5, 40, 4)).astype(float)
    panel = weekly(rng.poisson(2, (5, 24)), np.where(rng.random((5, 24)) < 0.2, 0.5, 1.0))
    steps = score_by_step(paths_of(values, 20), panel, panel)
    assert steps["date"].tolist() == WEEKS[20:24].tolist()
    alone = last(score_forecast(paths_of(values[:, :, 2:3], 22), panel, panel))
    for name in ("n_observations", "n_left_out", "pinball", "crps", "wape", "coverage_0.8", "pit_max"):
        assert steps[name][2] == alone[name]
    whole = last(score_forecast(paths_of(values, 20), panel, panel))
    assert np.average(steps["pinball"], weights=steps["n_observations"]) == pytest.approx(whole["pinball"])


def test_a_true_forecast_is_told_from_a_narrow_and_a_high_one() -> None:
    rng = np.random.default_rng(7)
    mean = rng.uniform(0.5, 6.0, 2000)
    panel = weekly(rng.poisson(mean[:, None], (2000, 12)))
    laws = {
        "true": rng.poisson(mean[:, None, None], (2000, 100, 4)).astype(float),
        "narrow": np.round(mean[:, None, None] + rng.normal(0, 0.2, (2000, 100, 4))),
        "high": rng.poisson(1.5 * mean[:, None, None], (2000, 100, 4)).astype(float),
    }
    frame = compare_scores({name: paths_of(v, 8) for name, v in laws.items()}, panel, panel).set_index("name")
    true, narrow, high = (frame.loc[name] for name in laws)
    assert true["coverage_0.8"] == pytest.approx(true["coverage_0.8_stated"], abs=0.03)
    assert true["coverage_0.8_stated"] > 0.8
    assert (true["pit_min"], true["pit_max"]) == pytest.approx((0.1, 0.1), abs=0.02)
    assert narrow["coverage_0.8"] < 0.5
    assert high["bias"] == pytest.approx(0.5, abs=0.06)
    assert true["relative_pinball"] == 1.0
    assert min(narrow["relative_pinball"], high["relative_pinball"]) > 1.1
    assert frame["crps"].idxmin() == frame["scaled_pinball"].idxmin() == "true"
    bowl = pit_frame(paths_of(laws["narrow"], 8), panel)["share"]
    assert bowl[[0, 9]].min() > 2 * bowl[4]
    assert pit_frame(paths_of(laws["high"], 8), panel, periods=3)["share"].is_monotonic_decreasing


# ---- what must not matter ------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(cases(), st.integers(1, 6), st.permutations(range(5)), st.permutations(range(5)))
def test_row_order_and_buckets_change_nothing(
    case: tuple[Floats, Floats, Floats], bucket_size: int, order: list[int], other: list[int]
) -> None:
    values, demand, exposure = case
    panel = weekly(demand, exposure, category=["x", "y", "x", "y", "x"])
    forecast = paths_of(values, 6)
    moved = SamplePaths(
        items_of(5).iloc[order].reset_index(drop=True),
        forecast.dates,
        6,
        lambda a, b: values[order][a:b],
        bucket_size,
    )
    turned = DemandPanel(
        panel.items.iloc[other].reset_index(drop=True), panel.periods, panel.freq, panel.as_of, demand[other],
        exposure[other],
    )  # fmt: skip
    for score in (score_forecast, score_sums):
        frame = score(forecast, panel, panel, by="category")
        pd.testing.assert_frame_equal(score(moved, turned, turned, by="category"), frame, check_exact=True)
    pd.testing.assert_frame_equal(
        score_by_step(moved, turned, panel), score_by_step(forecast, panel, turned), check_exact=True
    )
    pd.testing.assert_frame_equal(pit_frame(moved, turned), pit_frame(forecast, panel), check_exact=True)
