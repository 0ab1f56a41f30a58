from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from backorder_forecast.distributions import (
    gamma_table,
    nb_cdf,
    nb_censored_moments,
    nb_pmf,
    nb_quantile,
    nb_shortage,
    negative_binomial_from_moments,
    poisson_censored_mle,
    zero_inflated_gamma_cdf,
    zero_inflated_gamma_from_moments,
    zero_inflated_gamma_quantile,
)

KNOWN: dict[str, Any] = json.loads((Path(__file__).parent / "known_answers" / "distributions.json").read_text())
means = st.floats(0.001, 2000.0)
ratios = st.one_of(st.floats(0.2, 1.02), st.floats(1.05, 200.0))


def reference(mean: float, variance: float) -> Any:
    """scipy's own frozen law with these moments: an implementation independent of ours."""
    if variance <= 1.02 * mean:
        return stats.poisson(mean)
    return stats.nbinom(mean**2 / (variance - mean), mean / variance)


def test_moments_known_answer() -> None:
    case = KNOWN["negbin_moments"]
    mean, variance = case["inputs"]["mean"], case["inputs"]["var"]
    r, p = negative_binomial_from_moments(mean, variance)
    assert float(r) == pytest.approx(case["expected"]["r"], abs=1e-6)
    assert float(p) == pytest.approx(case["expected"]["p"], abs=1e-6)
    assert float(nb_quantile(0.95, mean, variance)) == case["expected"]["q95"]
    assert float(nb_pmf(0, mean, variance)) == pytest.approx(case["expected"]["p0"], abs=case["abs_tolerance"])


def test_censored_mean_known_answer() -> None:
    case = KNOWN["poisson_censored_em"]
    rate = poisson_censored_mle(case["inputs"]["uncensored"], case["inputs"]["censored_at"])
    assert rate == pytest.approx(case["expected"], abs=case["abs_tolerance"])


@pytest.mark.parametrize("record", KNOWN["stockpyl"]["records"])
def test_shortage_matches_stockpyl(record: dict[str, Any]) -> None:
    given_ = record["inputs"]
    if "r" in given_:
        mean = given_["r"] * (1 - given_["p"]) / given_["p"]
        variance = mean / given_["p"]
    else:
        mean = given_["mean"]
        variance = given_["sd"] ** 2 if "sd" in given_ else mean
    short = float(nb_shortage(given_["x"], mean, variance))
    assert short == pytest.approx(record["expected"][0], rel=1e-9)
    assert given_["x"] - mean + short == pytest.approx(record["expected"][1], rel=1e-9, abs=1e-9)


@settings(max_examples=150, deadline=None)
@given(mean=means, ratio=ratios, level=st.floats(0.0005, 0.9999))
def test_quantile_is_the_smallest_count_that_reaches_the_level(mean: float, ratio: float, level: float) -> None:
    variance = mean * ratio
    k = float(nb_quantile(level, mean, variance))
    assert k == np.floor(k) >= 0
    assert float(nb_cdf(k, mean, variance)) >= level > float(nb_cdf(k - 1, mean, variance))
    assert float(nb_cdf(k, mean, variance)) == pytest.approx(reference(mean, variance).cdf(k), rel=1e-8)


def test_panel_of_quantiles_equals_scipy_and_rows_do_not_influence_each_other() -> None:
    rng = np.random.default_rng(1)
    mean = np.exp(rng.uniform(-6, 7, 400))
    variance = mean * (1 + np.exp(rng.uniform(-4, 5, 400)))
    levels = np.array([0.01, 0.5, 0.9, 0.999])
    grid = nb_quantile(levels[None, :], mean[:, None], variance[:, None])
    expected = np.array([reference(m, v).ppf(levels) for m, v in zip(mean, variance, strict=True)])
    assert np.array_equal(grid, expected)
    alone = np.array([nb_quantile(levels, m, v) for m, v in zip(mean[::40], variance[::40], strict=True)])
    assert np.array_equal(grid[::40], alone)


def test_edges_of_the_count_distributions() -> None:
    assert nb_quantile([0.0, 1.0, 0.5], [3.0, 3.0, 0.0], 3.0).tolist() == [0.0, np.inf, 0.0]
    assert nb_cdf([-1, 0, 5, np.inf], [1.0, 0.0, 0.0, 4.0], 1.0).tolist() == [0.0, 1.0, 1.0, 1.0]
    assert nb_pmf([0, 1, -1, 0.5], [0.0, 0.0, 2.0, 2.0], 2.0).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert np.isnan(nb_quantile(0.5, [np.nan, 1.0], [1.0, np.nan])).all()
    assert np.isnan(nb_cdf([1, 1, np.nan], [1.0, np.nan, 1.0], [np.nan, 1.0, 2.0])).all()
    assert np.isnan(nb_pmf([1, 1, np.nan], [1.0, np.nan, 1.0], [np.nan, 1.0, 2.0])).all()
    assert nb_shortage([-2.0, 3.0], [4.0, 0.0], [4.0, 0.0]).tolist() == [6.0, 0.0]
    assert nb_quantile(np.empty(0), 1.0, 1.0).shape == (0,)


@settings(max_examples=80, deadline=None)
@given(mean=st.floats(0.05, 300.0), ratio=ratios)
def test_pmf_sums_to_the_cdf_and_has_the_stated_moments(mean: float, ratio: float) -> None:
    variance = mean * ratio
    expected_variance = mean if variance <= 1.02 * mean else variance
    k = np.arange(int(mean + 60 * np.sqrt(expected_variance) + 400 + 40 * ratio))
    pmf = nb_pmf(k, mean, variance)
    assert np.cumsum(pmf) == pytest.approx(nb_cdf(k, mean, variance), abs=1e-9)
    assert float((k * pmf).sum()) == pytest.approx(mean, rel=1e-6)
    assert float((k * k * pmf).sum()) - mean**2 == pytest.approx(expected_variance, rel=1e-4)


@settings(max_examples=80, deadline=None)
@given(mean=st.floats(0.05, 200.0), ratio=ratios, z=st.floats(-1.0, 5.0))
def test_censored_moments_equal_the_sum_over_the_tail(mean: float, ratio: float, z: float) -> None:
    variance = mean * ratio
    c = np.ceil(max(mean + z * np.sqrt(variance), 1.0))
    k = np.arange(c, c + 60 * np.sqrt(max(variance, mean)) + 400 + 40 * ratio)
    weight = nb_pmf(k, mean, variance)
    m, v = nb_censored_moments(c, mean, variance)
    expected = float((k * weight).sum() / weight.sum())
    assert float(m) == pytest.approx(expected, rel=1e-6)
    assert float(v) == pytest.approx(float(((k - expected) ** 2 * weight).sum() / weight.sum()), rel=1e-3, abs=1e-6)
    assert float(m) >= max(c, mean)


def test_censored_moments_far_in_the_tail_stay_finite_and_just_above_the_threshold() -> None:
    m, v = nb_censored_moments([5000.0, 5000.0, 0.0], [1.0, 1.0, 1.0], [1.0, 3.0, 3.0])
    assert 5000.0 <= m[0] < 5001.0
    assert m[1] == pytest.approx(5000.0 + (2 / 3) / (1 - 2 / 3), abs=0.01)
    assert (m[2], v[2]) == (1.0, 3.0)
    assert (v >= 0).all()


def test_shortage_is_the_sum_of_the_survivor_function() -> None:
    for mean, variance in [(0.3, 0.3), (5.0, 20.0), (40.0, 41.0)]:
        k = np.arange(5000)
        tail = 1 - nb_cdf(k, mean, variance)
        for level in (0, 1, 7, 60):
            assert float(nb_shortage(level, mean, variance)) == pytest.approx(tail[level:].sum(), rel=1e-6, abs=1e-9)
        # between whole levels it falls in a straight line
        halves = nb_shortage([2.0, 2.5, 3.0], mean, variance)
        assert halves[1] == pytest.approx((halves[0] + halves[2]) / 2)


def test_censored_rate_without_censoring_is_the_mean_and_rises_with_it() -> None:
    assert poisson_censored_mle([3, 5, 4], []) == pytest.approx(4.0)
    assert poisson_censored_mle([3, 5, 4], [6]) > 4.5
    assert poisson_censored_mle([3, 5, 4], [0]) == pytest.approx(4.0, rel=1e-6)
    assert poisson_censored_mle([0, 0], []) == 0.0
    assert np.isnan(poisson_censored_mle([], []))
    assert np.isnan(poisson_censored_mle([], [4]))


@settings(max_examples=100, deadline=None)
@given(mean=st.floats(0.01, 500.0), ratio=st.floats(0.05, 50.0), zero=st.floats(0.0, 0.95))
def test_zero_inflated_gamma_keeps_mean_and_variance(mean: float, ratio: float, zero: float) -> None:
    variance = mean * mean * ratio
    z, shape, scale = (float(v) for v in zero_inflated_gamma_from_moments(mean, variance, zero))
    assert 0.0 <= z <= zero + 1e-12
    second = (1 - z) * shape * (shape + 1) * scale**2
    assert (1 - z) * shape * scale == pytest.approx(mean, rel=1e-9)
    assert second - mean**2 == pytest.approx(variance, rel=1e-5)


def test_zero_inflated_gamma_quantile_inverts_the_cdf() -> None:
    z, shape, scale = zero_inflated_gamma_from_moments([2.0, 0.0, 3.0], [8.0, 0.0, 0.0], [0.5, 0.5, 0.0])
    x = zero_inflated_gamma_quantile([[0.6], [0.9], [0.99]], z, shape, scale)
    assert zero_inflated_gamma_cdf(x[:, 0], z[0], shape[0], scale[0]) == pytest.approx([0.6, 0.9, 0.99])
    assert (x[:, 1] == 0).all()
    assert x[:, 2] == pytest.approx(3.0, rel=0.01)
    assert zero_inflated_gamma_quantile([0.3, 1.0], z[0], shape[0], scale[0]).tolist() == [0.0, np.inf]


def test_gamma_table_has_mean_one_and_nearly_the_variance() -> None:
    shapes = np.array([0.05, 0.3, 1.0, 4.0, 50.0, 1e4, np.inf])
    table = gamma_table(shapes, 128)
    assert table.shape == (7, 128)
    assert table.mean(axis=1) == pytest.approx(1.0, abs=1e-12)
    assert (np.diff(table, axis=1) >= 0).all()
    assert (table.var(axis=1)[2:6] * shapes[2:6]) == pytest.approx(1.0, abs=0.02)
    assert (table[-1] == 1.0).all()
    # bin means of an exponential: (1 + a) e^-a - (1 + b) e^-b per bin
    edges = -np.log(1 - np.arange(129) / 128 + np.where(np.arange(129) == 128, 1e-300, 0))
    exact = -np.diff((1 + edges) * np.exp(-edges)) * 128
    assert table[2] == pytest.approx(exact, rel=1e-9)


def test_monte_carlo_agrees_with_the_closed_forms() -> None:
    draws = np.random.default_rng(3).negative_binomial(2.5, 0.3, 200_000).astype(float)
    mean = 2.5 * 0.7 / 0.3
    variance = mean / 0.3
    assert float(nb_cdf(7, mean, variance)) == pytest.approx((draws <= 7).mean(), abs=0.005)
    assert float(nb_shortage(8, mean, variance)) == pytest.approx(np.maximum(draws - 8, 0).mean(), rel=0.03)
    tail = draws[draws >= 9]
    m, v = nb_censored_moments(9, mean, variance)
    assert float(m) == pytest.approx(tail.mean(), rel=0.01)
    assert float(v) == pytest.approx(tail.var(), rel=0.05)
