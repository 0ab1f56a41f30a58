from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backorder_forecast.crps import crps_negative_binomial, crps_poisson, crps_quantiles, crps_samples
from backorder_forecast.distributions import nb_cdf, nb_quantile

KNOWN: dict[str, Any] = json.loads((Path(__file__).parent / "known_answers" / "distributions.json").read_text())
ratios = st.one_of(st.floats(0.2, 1.02), st.floats(1.05, 200.0))


def test_crps_known_answers() -> None:
    case = KNOWN["rps_poisson"]
    assert float(crps_poisson(case["inputs"]["y"], case["inputs"]["mu"])) == pytest.approx(case["expected"], abs=1e-6)
    case = KNOWN["rps_negbin"]
    r, p = case["inputs"]["r"], case["inputs"]["p"]
    mean = r * (1 - p) / p
    score = crps_negative_binomial(case["inputs"]["y"], mean, mean / p)
    assert float(score) == pytest.approx(case["expected"], abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(mean=st.floats(0.01, 500.0), ratio=ratios, z=st.floats(-2.0, 6.0))
def test_crps_equals_the_squared_distance_of_the_cdfs(mean: float, ratio: float, z: float) -> None:
    variance = mean * ratio
    y = np.floor(max(mean + z * np.sqrt(variance), 0.0))
    k = np.arange(int(mean + 40 * np.sqrt(max(variance, mean)) + y + 100 + 40 * ratio))
    expected = float(((nb_cdf(k, mean, variance) - (k >= y)) ** 2).sum())
    assert float(crps_negative_binomial(y, mean, variance)) == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_crps_of_no_demand_forecast_is_the_observation() -> None:
    assert crps_negative_binomial([0.0, 3.0], 0.0, 0.0).tolist() == [0.0, 3.0]


def test_crps_beyond_the_summed_range_joins_on_smoothly() -> None:
    # sd 50 000: the normal law with the same moments is an independent limit, sd (2 phi(0) - 1 / sqrt(pi)) at the mean
    mean, sd = 1e9, 5e4
    limit = sd * (2 / np.sqrt(2 * np.pi) - 1 / np.sqrt(np.pi))
    assert float(crps_negative_binomial(mean, mean, sd**2)) == pytest.approx(limit, rel=1e-3)
    near = crps_negative_binomial(0.0, 2000.0, np.array([3.6e6, 3.7e6, 3.8e6, 4.4e6, 4.5e6, 4.6e6, 4.7e6]))
    assert np.ptp(np.diff(near[:3])) < 1.0
    steps = np.diff(crps_negative_binomial(0.0, 2000.0, np.linspace(4e6, 6e6, 60)))
    assert (steps < 0).all()
    assert np.abs(np.diff(steps)).max() < 0.1 * np.abs(steps).max()


def test_samples_and_quantiles_approach_the_exact_score() -> None:
    rng = np.random.default_rng(5)
    draws = rng.negative_binomial(2.0, 0.25, (1, 20_000)).astype(float)
    exact = crps_negative_binomial([[0.0], [4.0], [20.0]], 6.0, 24.0)[:, 0]
    sampled = crps_samples([0.0, 4.0, 20.0], np.repeat(draws, 3, axis=0))
    assert sampled == pytest.approx(exact, rel=0.03)
    levels = (np.arange(200) + 0.5) / 200
    quantiles = nb_quantile(levels, 6.0, 24.0)
    assert crps_quantiles([0.0, 4.0, 20.0], np.tile(quantiles, (3, 1)), levels) == pytest.approx(exact, rel=0.02)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=1, max_size=12), st.floats(-60, 60))
def test_sample_score_is_the_pairwise_definition(samples: list[float], observed: float) -> None:
    x = np.array(samples)
    expected = np.abs(x - observed).mean() - 0.5 * np.abs(x[:, None] - x[None, :]).mean()
    assert float(crps_samples(observed, x)) == pytest.approx(expected, abs=1e-9)
    assert float(crps_samples(observed, x)) >= -1e-9


def test_a_point_forecast_scores_its_absolute_error() -> None:
    assert crps_samples([5.0, 5.0], [[3.0, 3.0], [5.0, 5.0]]).tolist() == [2.0, 0.0]
    assert crps_quantiles([5.0], [[3.0, 3.0, 3.0]], [0.1, 0.5, 0.9]).tolist() == pytest.approx([2.0])


def test_the_true_law_scores_best_on_average() -> None:
    draws = np.random.default_rng(8).negative_binomial(3.0, 0.5, 4000).astype(float)
    true = float(crps_negative_binomial(draws, 3.0, 6.0).mean())
    assert true < float(crps_negative_binomial(draws, 3.0, 18.0).mean())
    assert true < float(crps_poisson(draws, 3.0).mean())
    assert true < float(crps_negative_binomial(draws, 4.0, 8.0).mean())


def test_a_missing_observation_gives_nan() -> None:
    assert np.isnan(crps_negative_binomial(np.nan, 3.0, 6.0))
    assert np.isnan(crps_samples([np.nan], [[1.0, 2.0]])[0])
