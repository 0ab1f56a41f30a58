from __future__ import annotations

import numpy as np
import pytest
from hand_made import known, panel_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from backorder_forecast.nbses import LevelStates, scan_levels
from backorder_forecast.panel import RAN_OUT

Floats = NDArray[np.float64]


def scan(
    demand: ArrayLike,
    exposure: ArrayLike | None = None,
    *,
    factors: Floats | None = None,
    alpha: float | Floats = 0.1,
    init_periods: int = 4,
    first: int = 0,
    origins: list[int] | None = None,
) -> LevelStates:
    panel = panel_of(demand, exposure)
    n, t = panel.demand.shape
    index = np.ones((1, t)) if factors is None else np.atleast_2d(factors)
    return scan_levels(
        panel, index, np.zeros(n, dtype=np.int64), np.full(n, first), alpha=alpha, min_in_stock=0.25,
        init_periods=init_periods, origins=[t] if origins is None else origins,
    )  # fmt: skip


def by_the_book(y: Floats, f: Floats, s: Floats, alpha: float, init: int, first: int = 0) -> tuple[float, float, int]:
    """The recursion of the module docstring in plain words, with scipy for the law of hidden demand."""
    start: list[tuple[float, float]] = []
    m = v = 0.0
    used = 0
    for t in range(first, len(y)):
        sold, extra = y[t], 0.0
        if f[t] == RAN_OUT:
            u = s[t]
            if used < init or m <= 0 or u < 0.02:
                continue
            mean, variance = m * u, max(v, m) * u
            if sold <= 0:
                sold, extra = mean, variance
            else:
                spread = max(variance, 1.02 * mean)
                law = stats.nbinom(mean**2 / (spread - mean), mean / spread)
                k = np.arange(np.ceil(sold), 3000)
                weight = law.pmf(k) / law.pmf(k).sum()
                sold = float((weight * k).sum())
                extra = float((weight * k**2).sum()) - sold**2
        else:
            u = f[t] * s[t]
            if f[t] < 0.25 or u < 0.02:
                continue
        used += 1
        if used <= init:
            start.append((sold, u))
            ys, us = np.array(start).T
            m = ys.sum() / us.sum()
            # Spread of y / u around m, each weighted by u.
            v = float((us * (ys / us - m) ** 2).sum() / (used - 1)) if used > 1 else m
            continue
        gain = min(u, 1.0)
        error = sold - m * u
        v += max(alpha, 0.1, 1 / used) * gain * ((error**2 + extra) / u - v)
        m += max(alpha, 1 / used) * gain * error / u
    return m, v, used


@settings(max_examples=60)
@given(data=st.data(), alpha=st.sampled_from([0.01, 0.1, 0.3]), n=st.integers(1, 25), first=st.integers(0, 3))
def test_the_compiled_scan_is_the_recursion_of_its_docstring(
    data: st.DataObject, alpha: float, n: int, first: int
) -> None:
    y = np.array(data.draw(st.lists(st.integers(0, 12), min_size=n, max_size=n)), dtype=float)
    shares = st.sampled_from([1.0, 1.0, 1.0, 0.6, 0.25, 0.2, 0.0, RAN_OUT])
    f = np.array(data.draw(st.lists(shares, min_size=n, max_size=n)))
    s = np.array(data.draw(st.lists(st.sampled_from([1.0, 0.5, 1.7, 0.01]), min_size=n, max_size=n)))
    states = scan(y, f, factors=s, alpha=alpha, first=first)
    m, v, used = by_the_book(y, f, s, alpha, 4, first)
    assert states.level[0, 0] == pytest.approx(m, rel=1e-6, abs=1e-9)
    assert states.variance[0, 0] == pytest.approx(v, rel=1e-6, abs=1e-7)
    assert states.n_used[0, 0] == used


def test_masked_periods_are_no_information_known_answer() -> None:
    case = known("demand")["instock_rate_naive"]
    sold = [*case["inputs"]["uncensored"], *case["inputs"]["censored_at"]]
    in_stock = [1.0] * len(case["inputs"]["uncensored"]) + [0.0] * len(case["inputs"]["censored_at"])
    masked = scan(sold, in_stock, init_periods=20)
    assert masked.level[0, 0] == pytest.approx(case["expected"]["mask"], abs=case["abs_tolerance"])
    naive = scan(sold, init_periods=20)
    assert naive.level[0, 0] == pytest.approx(case["expected"]["naive"], abs=case["abs_tolerance"])


def imputed(mean: float, sold: float) -> tuple[float, float]:
    """Mean and variance put in the place of a period that ran out after `sold`, under a Poisson law held before."""
    states = scan([mean, sold], [1.0, RAN_OUT], alpha=1.0, init_periods=1)
    expected = float(states.level[0, 0])
    return expected, float(states.variance[0, 0]) - (expected - mean) ** 2


@settings(max_examples=60)
@given(mean=st.floats(0.05, 60), sold=st.integers(1, 80))
def test_hidden_demand_is_its_expectation_given_what_was_sold(mean: float, sold: int) -> None:
    law = stats.nbinom(mean / 0.02, 1 / 1.02)
    expected, spread = imputed(mean, sold)
    if law.sf(sold - 1) < 1e-9:
        assert expected == sold
        return
    k = np.arange(sold, sold + 1000)
    weight = law.pmf(k) / law.sf(sold - 1)
    exact = float((weight * k).sum())
    assert expected == pytest.approx(exact, rel=1e-4)
    assert spread == pytest.approx(float((weight * (k - exact) ** 2).sum()), rel=1e-2, abs=1e-3 * sold)
    assert expected >= sold


def test_selling_nothing_before_running_out_says_nothing() -> None:
    assert imputed(3.0, 0.0) == pytest.approx((3.0, 3.0))
    assert imputed(3.0, 1e9) == pytest.approx((1e9, 0.0))


def test_states_at_an_origin_are_those_of_the_panel_that_ends_there() -> None:
    rng = np.random.default_rng(0)
    demand, exposure = rng.poisson(2.0, (5, 40)), rng.choice([1.0, 0.5, 0.0, RAN_OUT], (5, 40))
    origins = [0, 1, 10, 39, 40]
    states = scan(demand, exposure, origins=origins)
    for k, origin in enumerate(origins):
        if origin:
            short = scan(demand[:, :origin], exposure[:, :origin])
            for name in ("level", "variance", "exposure", "units", "n_used", "n_nonzero"):
                np.testing.assert_array_equal(getattr(states, name)[:, k], getattr(short, name)[:, 0])
    assert (states.level[:, 0] == 0).all()


def test_the_season_is_taken_out_of_the_level() -> None:
    s = np.tile([0.5, 1.5], 30)
    states = scan(4 * s, factors=s)
    assert states.level[0, 0] == pytest.approx(4.0)
    assert states.variance[0, 0] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("how", ["out", "ran_out", "part"])
def test_a_fifth_of_the_periods_hidden_leaves_the_level_where_a_plain_average_falls(how: str) -> None:
    rng = np.random.default_rng(5)
    level = rng.uniform(2, 8, 80)
    demand = rng.poisson(level[:, None], (80, 200)).astype(float)
    hide = (rng.random(demand.shape) < 0.2) & (np.arange(200) >= 12)[None, :]
    exposure = np.ones_like(demand)
    if how == "out":
        demand[hide], exposure[hide] = 0.0, 0.0
    elif how == "ran_out":
        stock = rng.poisson(0.6 * level[:, None], demand.shape)
        hide &= demand >= stock
        demand[hide], exposure[hide] = stock[hide], RAN_OUT
    else:
        share = rng.uniform(0.3, 0.9, demand.shape)
        demand = np.where(hide, rng.binomial(demand.astype(int), share), demand)
        exposure = np.where(hide, share, 1.0)
    aware = scan(demand, exposure, alpha=0.05, init_periods=12).level.sum()
    blind = scan(demand, alpha=0.05, init_periods=12).level.sum()
    naive = demand.mean(axis=1).sum()
    assert abs(aware / level.sum() - 1) < 0.03
    assert naive / level.sum() < 0.95
    assert blind / level.sum() < 0.95


@given(y=st.lists(st.integers(0, 30), min_size=1, max_size=40), init=st.integers(1, 12))
def test_a_young_level_is_the_mean_of_what_was_seen(y: list[int], init: int) -> None:
    """Whatever the smoothing constant is below 1 / n."""
    for alpha in (0.001, 1 / len(y)):
        assert scan(y, alpha=alpha, init_periods=init).level[0, 0] == pytest.approx(np.mean(y), abs=1e-12)


def test_periods_out_of_stock_do_not_age_an_item() -> None:
    rng = np.random.default_rng(4)
    y = rng.poisson(5.0, 30).astype(float)
    gaps = np.zeros(90)
    gaps[::3] = y
    shown = np.zeros(90)
    shown[::3] = 1.0
    assert scan(gaps, shown, alpha=0.02).level[0, 0] == pytest.approx(y.mean())


def test_a_sudden_rise_counts_for_an_nth_or_for_the_smoothing_constant() -> None:
    """After n - 1 periods of 2, one of 12 moves the level by 10 max(alpha, 1 / n)."""
    for n in (5, 10, 20, 50, 200):
        level = scan([2.0] * (n - 1) + [12.0], alpha=0.05).level[0, 0]
        assert level == pytest.approx(2 + 10 * max(0.05, 1 / n)), n


def test_each_item_may_have_a_smoothing_constant_of_its_own() -> None:
    rng = np.random.default_rng(7)
    demand = rng.poisson(rng.uniform(1, 9, (4, 1)), (4, 50))
    alphas = np.array([0.01, 0.3, 0.05, 0.1])
    together = scan(demand, alpha=alphas)
    for i, alpha in enumerate(alphas):
        alone = scan(demand[i : i + 1], alpha=float(alpha))
        assert together.level[i, 0] == alone.level[0, 0]
        assert together.variance[i, 0] == alone.variance[0, 0]
    assert len(set((together.level[:, 0] - scan(demand, alpha=0.1).level[:, 0]).tolist())) == 4


@pytest.mark.parametrize("y", [[0.0] * 20, [0.0] * 19 + [1.0], [5.0] * 20, [3.0], [1e12] * 20, [0.3, 0.0] * 10])
def test_odd_series_have_finite_states(y: list[float]) -> None:
    states = scan(y)
    for name in ("level", "variance", "exposure", "units"):
        assert np.isfinite(getattr(states, name)).all()
        assert (getattr(states, name) >= 0).all()
    assert states.n_nonzero[0, 0] == np.count_nonzero(y)
