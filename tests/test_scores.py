from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from backorder_forecast.distributions import nb_cdf
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.scores import (
    auc,
    average_precision,
    bias,
    brier,
    brier_decomposition,
    coverage,
    expected_calibration_error,
    mase,
    naive_scale,
    pinball,
    pit_histogram,
    pit_nonrandomised,
    recall_at_k,
    rmsse,
    scaled_pinball,
    wape,
)

KNOWN: dict[str, Any] = json.loads((Path(__file__).parent / "known_answers" / "scores.json").read_text())
flags = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: 0 < sum(o for _, o in rows) < len(rows)
)


def test_scaled_pinball_known_answer() -> None:
    case = KNOWN["m5_scaled_pinball"]
    given_ = case["inputs"]
    score = scaled_pinball(given_["y_test"], given_["quantile_forecast"], given_["tau"], given_["y_train"])
    assert float(score) == pytest.approx(case["expected"], abs=case["abs_tolerance"])


def test_pit_known_answer() -> None:
    case = KNOWN["pit_nonrandomised"]
    y, mu = np.array(case["inputs"]["obs"]), case["inputs"]["mu"]
    pit = pit_nonrandomised(nb_cdf(y - 1, mu, mu), nb_cdf(y, mu, mu), case["inputs"]["u"])
    assert pit.tolist() == pytest.approx(case["expected"], abs=case["abs_tolerance"])
    shares = pit_histogram(nb_cdf(y - 1, mu, mu), nb_cdf(y, mu, mu), bins=4)
    assert shares.cumsum().tolist() == pytest.approx([*case["expected"], 1.0], abs=case["abs_tolerance"])


def test_brier_known_answer() -> None:
    case = KNOWN["brier_murphy"]
    parts = brier_decomposition(case["inputs"]["p"], case["inputs"]["o"])
    found = {
        "bs": parts.score,
        "rel": parts.reliability,
        "res": parts.resolution,
        "unc": parts.uncertainty,
        "bss": parts.skill,
    }
    assert found == pytest.approx(case["expected"], abs=case["abs_tolerance"])
    assert brier(case["inputs"]["p"], case["inputs"]["o"]) == parts.score


def test_pinball_is_least_at_the_quantile() -> None:
    draws = np.random.default_rng(1).gamma(2.0, 3.0, 20_000)
    for level in (0.1, 0.5, 0.9):
        best = np.quantile(draws, level)
        losses = [pinball(draws, best * factor, level).mean() for factor in (0.8, 1.0, 1.2)]
        assert losses[1] == min(losses)
    assert pinball([1.0, 3.0], 2.0, 0.5).tolist() == [0.5, 0.5]


def test_scaled_scores_by_hand_and_for_many_items_at_once() -> None:
    train = np.array([[0.0, 0.0, 1.0, 3.0, 3.0, 1.0], [np.nan, 2.0, np.nan, 4.0, 2.0, 4.0], [5.0] * 6])
    assert naive_scale(train)[0] == pytest.approx((2 + 0 + 2) / 3)
    assert naive_scale(train, squared=True)[0] == pytest.approx((4 + 0 + 4) / 3)
    assert naive_scale(train)[1] == pytest.approx(2.0)
    observed = np.array([[2.0, 4.0], [np.nan, 1.0], [1.0, 1.0]])
    assert mase(observed, 3.0, train)[:2].tolist() == pytest.approx([0.75, 1.0])
    assert rmsse(observed, 3.0, train)[:2].tolist() == pytest.approx([np.sqrt(1 / (8 / 3)), 1.0])
    assert scaled_pinball(observed, 3.0, 0.5, train)[:2].tolist() == pytest.approx([0.375, 0.5])
    # demand that never changed has no scale, and saying so beats dividing by zero
    assert np.isnan(rmsse(observed, 3.0, train)[2])
    assert np.isnan(naive_scale([0.0, 0.0, 4.0]))


def test_pooled_errors() -> None:
    assert wape([1.0, np.nan, 3.0], [2.0, 9.0, 1.0]) == pytest.approx(3 / 4)
    assert bias([1.0, np.nan, 3.0], [2.0, 9.0, 1.0]) == pytest.approx(-1 / 4)
    assert np.isnan(wape([0.0], [1.0]))
    assert coverage([1.0, np.nan, 5.0], 1.0, [2.0, 2.0, 4.0]) == 0.5
    assert np.isnan(coverage([np.nan], 0.0, 1.0))
    assert coverage([1.0, 1.0, 1.0], [np.nan, 0.0, 2.0], [2.0, np.inf, np.nan]) == 1.0


def test_pit_is_uniform_for_the_true_law_and_bends_for_a_false_one() -> None:
    y = np.random.default_rng(3).poisson(2.0, 20_000)
    u = np.linspace(0.1, 0.9, 9)
    assert pit_nonrandomised(nb_cdf(y - 1, 2.0, 2.0), nb_cdf(y, 2.0, 2.0), u) == pytest.approx(u, abs=0.01)
    too_high = pit_nonrandomised(nb_cdf(y - 1, 4.0, 4.0), nb_cdf(y, 4.0, 4.0), u)
    assert (too_high > u + 0.05).all()
    assert pit_nonrandomised([0.3, np.nan], [0.3, 0.5], [0.2, 0.4]).tolist() == [0.0, 1.0]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20), st.integers(1, 20))
def test_shares_of_the_pit_are_a_distribution(pairs: list[tuple[float, float]], bins: int) -> None:
    low, high = (np.array([f(pair) for pair in pairs]) for f in (min, max))
    shares = pit_histogram(low, high, bins=bins)
    assert shares.shape == (bins,)
    assert shares.sum() == pytest.approx(1.0)
    assert shares.min() >= -1e-12


def test_the_pit_of_observations_that_no_forecast_thought_of_is_in_the_outer_bins() -> None:
    assert pit_histogram([0.0, 1.0, np.nan], [0.0, 1.0, 1.0], bins=5).tolist() == [0.5, 0, 0, 0, 0.5]
    assert np.isnan(pit_histogram([], [])).all()
    with pytest.raises(InvalidSettings, match="bins"):
        pit_histogram([0.1], [0.2], bins=0)


@settings(max_examples=100, deadline=None)
@given(flags, st.one_of(st.none(), st.integers(1, 12)))
def test_brier_parts_add_up(rows: list[tuple[int, bool]], bins: int | None) -> None:
    p, o = np.array([s / 6 for s, _ in rows]), np.array([e for _, e in rows], dtype=float)
    parts = brier_decomposition(p, o, bins=bins)
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins
    assert parts.score == pytest.approx(total, abs=1e-12)
    assert parts.score == pytest.approx(brier_score_loss(o, p), abs=1e-12)
    assert min(parts.reliability, parts.resolution) >= 0
    if bins is None:
        assert parts.within_bins == pytest.approx(0.0, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(flags, st.randoms(use_true_random=False))
def test_alert_scores_match_scikit_learn_and_ignore_row_order(rows: list[tuple[int, bool]], random: Any) -> None:
    score, outcome = [s for s, _ in rows], [o for _, o in rows]
    assert average_precision(score, outcome) == pytest.approx(average_precision_score(outcome, score))
    assert auc(score, outcome) == pytest.approx(roc_auc_score(outcome, score))
    random.shuffle(rows)
    shuffled = [s for s, _ in rows], [o for _, o in rows]
    assert average_precision(*shuffled) == pytest.approx(average_precision(score, outcome), abs=1e-12)
    for k in (0, 1, 3, len(rows), 99):
        assert recall_at_k(*shuffled, k) == pytest.approx(recall_at_k(score, outcome, k), abs=1e-12)
    assert recall_at_k(score, outcome, len(rows)) == pytest.approx(1.0)
    assert recall_at_k(score, outcome, 0) == 0.0


def test_ties_at_the_last_alert_count_by_their_average() -> None:
    assert recall_at_k([3, 2, 2, 2, 1], [0, 1, 0, 1, 1], 2) == pytest.approx((2 / 3) / 3)
    assert np.isnan(recall_at_k([1, 2], [0, 0], 1))
    assert np.isnan(average_precision([1, 2], [0, 0]))
    assert np.isnan(auc([1, 2], [1, 1]))


def test_calibration_error() -> None:
    p = np.repeat([0.05, 0.55], [100, 10])
    o = np.concatenate([np.repeat([1, 0], [15, 85]), np.repeat([1, 0], [5, 5])])
    assert expected_calibration_error(p, o) == pytest.approx((100 * 0.10 + 10 * 0.05) / 110)
    rng = np.random.default_rng(6)
    rare = rng.beta(0.3, 20, 50_000)
    happened = rng.random(50_000) < rare
    for by in ("width", "count"):
        assert expected_calibration_error(rare, happened, by=by) < 0.003
        assert expected_calibration_error(np.minimum(3 * rare, 1.0), happened, by=by) > 0.02
    assert np.isnan(expected_calibration_error([], []))


def test_bad_options_are_refused() -> None:
    with pytest.raises(InvalidSettings, match="width, count"):
        expected_calibration_error([0.1], [1], by="size")
    with pytest.raises(InvalidSettings, match="bins"):
        brier_decomposition([0.1], [1], bins=0)
    with pytest.raises(InvalidSettings, match="k is a number"):
        recall_at_k([0.1], [1], -1)


def test_nothing_to_score_is_nan() -> None:
    assert np.isnan(brier([], []))
    assert np.isnan(brier_decomposition([np.nan], [1]).score)
    assert np.isnan(average_precision([], []))
