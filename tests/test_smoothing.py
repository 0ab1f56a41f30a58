from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.smoothing import (
    adi_cv2,
    croston_or_sba,
    demand_classes,
    least_squares_alpha,
    moving_average,
    naive,
    seasonal_naive,
    ses,
    ses_horizon_variance,
)

KNOWN: dict[str, Any] = json.loads((Path(__file__).parent / "known_answers" / "demand.json").read_text())
STATSFORECAST = KNOWN["statsforecast"]
panels = st.lists(
    st.lists(st.one_of(st.just(0.0), st.floats(0.5, 100)), min_size=6, max_size=6), min_size=1, max_size=5
).map(np.array)
alphas = st.floats(0.01, 1.0)


@pytest.mark.parametrize("case", [c for c in STATSFORECAST["cases"] if c["model"] == "SES"], ids=lambda c: c["series"])
def test_ses_matches_statsforecast(case: dict[str, Any]) -> None:
    level = ses(STATSFORECAST["series"][case["series"]], case["params"]["alpha"])
    assert level.tolist() == pytest.approx([case["forecast"]], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", ["ts_data1", "ts_data2"])
def test_ses_from_the_mean_matches_tsintermittent(name: str) -> None:
    case = KNOWN["tsintermittent"][name]
    level = ses(case["y"], 0.1, initial="mean")
    assert level[0] == pytest.approx(case["expected"]["sexsm|w=0.1|init=mean"], rel=1e-12)


def test_horizon_variance_known_answer() -> None:
    case = KNOWN["ses_horizon_variance"]
    variance = ses_horizon_variance(case["inputs"]["s2"], case["inputs"]["alpha"], case["inputs"]["h"])
    assert float(variance) == pytest.approx(case["expected"], abs=case["abs_tolerance"])


def test_horizon_variance_is_that_of_simulated_level_paths() -> None:
    rng = np.random.default_rng(4)
    noise = rng.normal(0, 2, (200_000, 5))
    level = 0.3 * np.cumsum(noise, axis=1) - 0.3 * noise
    total = (level + noise).sum(axis=1)
    assert total.var() == pytest.approx(float(ses_horizon_variance(4.0, 0.3, 5)), rel=0.02)


def test_in_stock_rate_known_answer() -> None:
    case = KNOWN["instock_rate_naive"]
    sales = np.array([case["inputs"]["uncensored"] + case["inputs"]["censored_at"]], dtype=float)
    masked = sales.copy()
    masked[0, len(case["inputs"]["uncensored"]) :] = np.nan
    assert moving_average(masked, sales.shape[1])[0] == pytest.approx(case["expected"]["mask"], abs=1e-12)
    assert moving_average(sales, sales.shape[1])[0] == pytest.approx(case["expected"]["naive"], abs=1e-12)


def test_class_known_answer() -> None:
    case = KNOWN["sbc_fpp2_productC"]
    adi, cv2 = adi_cv2(case["inputs"]["y"])
    assert adi[0] == pytest.approx(case["expected"]["adi"], abs=case["abs_tolerance"])
    assert cv2[0] == pytest.approx(case["expected"]["cv2"], abs=case["abs_tolerance"])
    assert adi_cv2(case["inputs"]["y"], ddof=1)[1][0] == pytest.approx(case["expected"]["cv2_ddof1"], abs=1e-5)
    assert demand_classes(case["inputs"]["y"]).tolist() == [case["expected"]["label"]]


def test_kostenko_hyndman_known_answer() -> None:
    case = KNOWN["kostenko_hyndman"]
    points = np.array(case["inputs"]["points"])
    assert croston_or_sba(points[:, 0], points[:, 1], rule="kostenko_hyndman").tolist() == case["expected"]


def test_twelve_series_are_classed_as_by_tsintermittent() -> None:
    case = KNOWN["idclass"]
    p, cv2 = adi_cv2(case["series"], count_after_last=False, ddof=1)
    assert p == pytest.approx(case["p"], rel=1e-12)
    assert cv2 == pytest.approx(case["cv2"], rel=1e-12)

    def lower(labels: Any) -> list[str]:
        return [str(label).lower() for label in labels]

    assert lower(croston_or_sba(p, cv2)) == case["SBC"]
    assert lower(croston_or_sba(p, cv2, rule="kostenko_hyndman")) == case["KHa"]
    assert lower(croston_or_sba(p, cv2, rule="kostenko_hyndman", alpha=0.1)) == case["KH"]


def test_all_five_classes_and_their_edges() -> None:
    panel: list[list[float]] = [
        [5, 5, 5, 5, 5, 5, 5, 5],
        [1, 30, 1, 1, 40, 1, 1, 1],
        [0, 0, 3, 0, 0, 3, 0, 0],
        [0, 0, 1, 0, 0, 90, 0, 1],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [np.nan] * 8,
    ]
    expected = ["smooth", "erratic", "intermittent", "lumpy", "no_demand", "no_demand"]
    assert demand_classes(panel).tolist() == expected


def test_unseen_periods_do_not_change_the_class() -> None:
    seen = np.array([[4.0, 0.0, 5.0, 6.0, 0.0, 4.0]])
    with_gaps = np.array([[np.nan, 4.0, 0.0, np.nan, 5.0, 6.0, 0.0, np.nan, 4.0]])
    for plain, gaps in zip(adi_cv2(seen), adi_cv2(with_gaps), strict=True):
        assert gaps.tolist() == plain.tolist()


@settings(max_examples=60, deadline=None)
@given(panel=panels, alpha=alphas, factor=st.floats(0.1, 10))
def test_ses_lies_within_its_history_and_scales_with_it(panel: np.ndarray, alpha: float, factor: float) -> None:
    level = ses(panel, alpha)
    assert (level >= panel.min(axis=1) - 1e-9).all()
    assert (level <= panel.max(axis=1) + 1e-9).all()
    assert ses(panel * factor, alpha) == pytest.approx(level * factor, rel=1e-9)
    assert ses(panel[::-1], alpha).tolist() == level[::-1].tolist()


@settings(max_examples=60, deadline=None)
@given(panel=panels, alpha=alphas, data=st.data())
def test_skipped_periods_are_as_if_they_had_not_been(panel: np.ndarray, alpha: float, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, panel.shape[1]))
    with_gap = np.insert(panel, position, np.nan, axis=1)
    assert ses(with_gap, alpha).tolist() == ses(panel, alpha).tolist()
    sold_out = np.insert(panel, position, 0.0, axis=1)
    exposure = np.insert(np.ones_like(panel), position, 0.2, axis=1)
    assert ses(sold_out, alpha, exposure=exposure).tolist() == ses(panel, alpha).tolist()
    assert moving_average(with_gap, 3).tolist() == moving_average(panel, 3).tolist()


def test_partly_stocked_periods_count_as_rates_with_less_gain() -> None:
    level = ses([[4.0, 3.0]], 0.2, exposure=[[1.0, 0.5]])
    assert level[0] == pytest.approx(4.0 + 0.2 * 0.5 * (6.0 - 4.0))
    assert ses([[4.0, 1.0]], 0.2, exposure=[[1.0, 0.2]], min_exposure=0.1)[0] == pytest.approx(4.0 + 0.2 * 0.2 * 1.0)
    assert np.isnan(ses([[1.0, 2.0]], 0.1, exposure=[[0.0, 0.1]])).all()


def test_one_constant_per_item() -> None:
    panel = np.array([[1.0, 5.0], [1.0, 5.0]])
    assert ses(panel, [0.1, 0.5]).tolist() == pytest.approx([1.4, 3.0])


def test_least_squares_constant_is_the_best_of_a_fine_grid() -> None:
    panel = np.random.default_rng(2).gamma(0.8, 3.0, (30, 40)) + np.linspace(0, 6, 30)[:, None] * np.linspace(0, 1, 40)
    grid = np.linspace(0.1, 0.3, 2001)

    def error(alpha: float) -> np.ndarray:
        level, total = panel[:, 0].copy(), np.zeros(len(panel))
        for t in range(1, panel.shape[1]):
            total += (panel[:, t] - level) ** 2
            level += alpha * (panel[:, t] - level)
        return total

    best = np.min([error(a) for a in grid], axis=0)
    found = np.array([error(a)[i] for i, a in enumerate(least_squares_alpha(panel))])
    assert (found <= best * (1 + 1e-9)).all()


def test_baselines() -> None:
    panel = [[1.0, 2.0, 3.0, 4.0, np.nan], [np.nan] * 5]
    assert naive(panel)[0] == 4.0
    assert moving_average(panel, 3)[0] == 3.0
    assert moving_average(panel, 99)[0] == 2.5
    assert np.isnan(naive(panel)[1])
    repeated = seasonal_naive(panel, 3, 4)
    assert repeated[0].tolist() == [3.0, 4.0, 2.0, 3.0]
    assert np.isnan(repeated[1]).all()
    assert np.isnan(seasonal_naive([[1.0, 2.0]], 3, 3)[0]).tolist() == [True, False, False]


def test_unknown_options_name_the_valid_ones() -> None:
    with pytest.raises(InvalidSettings, match="first, mean"):
        ses([[1.0]], 0.1, initial="frist")
    with pytest.raises(InvalidSettings, match="sbc, kostenko_hyndman"):
        croston_or_sba(1.0, 1.0, rule="sba")
    with pytest.raises(InvalidSettings, match="at least one period"):
        moving_average([[1.0]], 0)
    with pytest.raises(InvalidSettings, match="at least one period"):
        seasonal_naive([[1.0]], 0, 1)
