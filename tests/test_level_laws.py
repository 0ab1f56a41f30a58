"""From smoothed states to laws, and that sums, quantiles and paths are of one law."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hand_made import known, model_of, panel_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from backorder_forecast.clock import Clock
from backorder_forecast.level_laws import (
    LevelLaw,
    first_period,
    fractional,
    level_law,
    no_demand_chance,
    quiet_share,
    sum_loss,
    sum_moments,
    sum_quantiles,
)
from backorder_forecast.nbses import LevelStates

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
SUNDAY = pd.Timestamp("2024-06-30")
N_PATHS = 40_000
WEEK = [2.0, 0.5, 1.0, 1.0, 1.0, 1.0, 0.5]
LEVELS = np.array([0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99])


def states_of(
    level: ArrayLike, variance: ArrayLike, *, units: ArrayLike = 50.0, exposure: ArrayLike = 50.0,
    used: ArrayLike = 50.0, nonzero: ArrayLike = 20.0,
) -> LevelStates:  # fmt: skip
    n = len(np.atleast_1d(level))
    columns = [np.broadcast_to(np.asarray(x, dtype=np.float64), (n,)) for x in (level, variance, exposure, units)]
    counts = [np.broadcast_to(np.asarray(x, dtype=np.float64), (n,)) for x in (used, nonzero)]
    return LevelStates(*(x.copy()[:, None] for x in [*columns, *counts]))


def law_of(
    states: LevelStates, *, alpha: ArrayLike = 0.1, group: ArrayLike = 0, counted: ArrayLike = True,
    shrink_n: float = 15.0,
) -> tuple[LevelLaw, Bools]:  # fmt: skip
    n = len(states.level)
    rows = [np.broadcast_to(np.asarray(x), (n,)) for x in (alpha, group, counted)]
    return level_law(
        states, 0, rows[0].astype(np.float64), rows[1].astype(np.int64), counted=rows[2].astype(np.bool_),
        shrink_n=shrink_n, init_periods=12,
    )  # fmt: skip


# --- sums of periods


def drawn(mean: float, variance: float, alpha: float, h: int, zero: float = np.nan) -> tuple[Floats, LevelLaw, Floats]:
    """Paths (n_paths, h) of a law with a season, the law, and the factors of its periods."""
    model = model_of(mean, variance, alpha=alpha, zero_share=zero)
    model.season.weekly[0] = WEEK
    clock = Clock.ahead(SUNDAY, "D", h)
    law = LevelLaw(model.level, model.level_variance, model.within_variance)
    return model.paths(clock, n_paths=N_PATHS, seed=3).draw()[0], law, model.factors(clock, slice(None))[0]


def moments(law: LevelLaw, factors: Floats, counted: bool = True) -> tuple[Floats, Floats]:
    return sum_moments(law, np.array([counted]), factors.sum()[None], (factors**2).sum()[None])


COUNTS = [(4.0, 10.0, 0.1), (0.3, 1.0, 0.1), (60.0, 500.0, 0.2), (3.0, 12.0, 0.3), (2.0, 2.0, 0.1), (4.0, 10.0, 1e-9)]


@pytest.mark.parametrize("h", [1, 7, 28])
@pytest.mark.parametrize(("mean", "variance", "alpha"), COUNTS)
def test_moments_of_sums_are_those_of_the_paths(mean: float, variance: float, alpha: float, h: int) -> None:
    paths, law, factors = drawn(mean, variance, alpha, h)
    sums = paths.sum(axis=1)
    expected, spread = moments(law, factors)
    assert abs(sums.mean() - expected[0]) < 4 * sums.std() / np.sqrt(N_PATHS)
    error = np.sqrt((((sums - sums.mean()) ** 4).mean() - sums.var() ** 2) / N_PATHS)
    assert abs(sums.var() - spread[0]) < 4 * error


@pytest.mark.parametrize("h", [1, 7, 28])
@pytest.mark.parametrize(("mean", "variance", "zero"), [(2.0, 8.0, 0.5), (1.0, 2.0, 0.3), (0.2, 0.02, 0.0)])
def test_so_are_those_of_other_units(mean: float, variance: float, zero: float, h: int) -> None:
    paths, law, factors = drawn(mean, variance, 0.2, h, zero)
    sums = paths.sum(axis=1)
    expected, spread = moments(law, factors, counted=False)
    assert abs(sums.mean() - expected[0]) < 4 * sums.std() / np.sqrt(N_PATHS)
    error = np.sqrt((((sums - sums.mean()) ** 4).mean() - sums.var() ** 2) / N_PATHS)
    assert abs(sums.var() - spread[0]) < 4 * error


def misplaced(sums: Floats, quantiles: Floats) -> Floats:
    """By how much the paths say that each quantile is of another level, 0 where the level is within its jump."""
    below = (sums[:, None] < quantiles).mean(axis=0) - LEVELS
    up_to = (sums[:, None] <= quantiles).mean(axis=0) - LEVELS
    return np.asarray(np.where(up_to < 0, -up_to, np.maximum(below, 0.0)))


@pytest.mark.parametrize(("h", "alpha", "most"), [(1, 1e-9, 0.0), (7, 1e-9, 0.004), (28, 1e-9, 0.004), (28, 0.2, 0.03)])
@pytest.mark.parametrize(("mean", "variance"), [(4.0, 10.0), (0.3, 1.0), (60.0, 500.0), (2.0, 2.0)])
def test_quantiles_by_moments_are_those_of_the_paths(
    mean: float, variance: float, h: int, alpha: float, most: float
) -> None:
    """Exact for one period at a sure level; else the sum is nearly, not quite, negative binomial."""
    paths, law, factors = drawn(mean, variance, alpha, h)
    expected, spread = moments(law, factors)
    counted, never = np.array([True]), np.array([0.0])
    quantiles = sum_quantiles(expected, spread, counted, never, LEVELS)[0]
    allowed = most + 4 * np.sqrt(LEVELS * (1 - LEVELS) / N_PATHS)
    assert (misplaced(paths.sum(axis=1), quantiles) <= allowed).all()
    if mean == 60.0:
        narrow = sum_quantiles(expected, 0.6 * spread, counted, never, LEVELS)[0]
        assert not (misplaced(paths.sum(axis=1), narrow) <= allowed).all(), (
            "the check sees a variance that is too small"
        )


def test_quantiles_of_other_units_are_near_those_of_the_paths() -> None:
    paths, law, factors = drawn(2.0, 8.0, 0.2, 7, 0.5)
    quantiles = sum_quantiles(*moments(law, factors, counted=False), np.array([False]), np.array([0.5**7]), LEVELS)[0]
    assert (misplaced(paths.sum(axis=1), quantiles) < 0.02).all()
    one, law, factors = drawn(2.0, 8.0, 0.2, 1, 0.5)
    quantiles = sum_quantiles(*moments(law, factors, counted=False), np.array([False]), np.array([0.5]), LEVELS)[0]
    assert (quantiles[:3] == 0).all()
    assert (misplaced(one[:, 0], quantiles) < 0.02).all()


def test_quantiles_known_answer() -> None:
    case = known("level_laws")["negative_binomial"]
    mean, variance = np.array([case["mean"]]), np.array([case["variance"]])
    counted = np.array([True])
    assert sum_quantiles(mean, variance, counted, np.zeros(1), np.array([0.95]))[0, 0] == case["q95"]
    assert no_demand_chance(mean, variance - mean, 0.0)[0] == pytest.approx(case["p0"], abs=case["abs_tolerance"])


def test_each_item_has_the_quantiles_of_its_own_kind() -> None:
    mean, variance = np.array([0.0, 6.0, 6.0, 0.0]), np.array([0.0, 9.0, 9.0, 1.0])
    counted = np.array([True, True, False, False])
    quantiles = sum_quantiles(mean, variance, counted, np.zeros(4), LEVELS)
    assert (quantiles[[0, 3]] == 0).all()
    np.testing.assert_array_equal(quantiles[1], stats.nbinom(12, 2 / 3).ppf(LEVELS))
    np.testing.assert_allclose(quantiles[2], stats.gamma(4.0, scale=1.5).ppf(LEVELS), rtol=1e-6)


def test_a_variance_below_the_mean_of_a_count_is_poisson() -> None:
    quantiles = sum_quantiles(np.array([6.0]), np.array([0.0]), np.array([True]), np.zeros(1), LEVELS)
    np.testing.assert_array_equal(quantiles[0], stats.poisson(6.0).ppf(LEVELS))


def test_the_loss_is_least_for_the_law_that_is_true() -> None:
    rng = np.random.default_rng(0)
    n = 20_000
    actual = rng.negative_binomial(2.0, 0.25, n).astype(np.float64)
    counted, levels = np.ones(n, dtype=np.bool_), np.array([0.5, 0.75, 0.9, 0.95])

    def loss(mean: float, variance: float) -> float:
        full = np.full(n, 1.0)
        return float(sum_loss(actual, mean * full, variance * full, counted, 0 * full, levels).mean())

    truth = loss(6.0, 24.0)
    assert truth < min(loss(5.0, 24.0), loss(7.2, 24.0), loss(6.0, 12.0), loss(6.0, 48.0))
    q = stats.nbinom(2.0, 0.25).ppf(levels)
    by_hand = np.where(actual[:, None] >= q, levels * (actual[:, None] - q), (1 - levels) * (q - actual[:, None]))
    assert truth == pytest.approx(by_hand.mean())


# --- a law times factors


@given(
    level=st.floats(0.01, 50), spread=st.floats(0.0, 10), share=st.floats(0.0, 0.5), mean=st.floats(0.1, 5),
    stretch=st.floats(0.2, 3), counted=st.booleans(), f1=st.floats(0.5, 30),
)  # fmt: skip
def test_a_scaled_law_scales_its_sums(
    level: float, spread: float, share: float, mean: float, stretch: float, counted: bool, f1: float
) -> None:
    """The mean by one factor; what is beyond Poisson by its square and the other factor."""
    poisson = level if counted else 0.0
    law = LevelLaw(np.array([level]), np.array([spread * share]), np.array([poisson + spread * (1 - share)]))
    sums = np.array([f1]), np.array([0.7 * f1])
    kind = np.array([counted])
    before, spread_before = sum_moments(law, kind, *sums)
    after, spread_after = sum_moments(law.scaled(np.array([mean]), np.array([stretch]), kind), kind, *sums)
    assert after[0] == pytest.approx(mean * before[0])
    excess = spread_before[0] - (before[0] if counted else 0.0)
    assert spread_after[0] == pytest.approx(stretch * mean**2 * excess + (after[0] if counted else 0.0), abs=1e-6)


# --- quiet periods


def test_quiet_periods_known_answer() -> None:
    case = known("level_laws")["zero_inflated_poisson"]
    mean, excess = np.array([case["mean"]]), np.array([case["variance"] - case["mean"]])
    assert quiet_share(mean, excess, 1.0)[0] == pytest.approx(case["share"])
    assert no_demand_chance(mean, excess, 1.0)[0] == pytest.approx(case["p0"], abs=1e-6)


@given(mean=st.floats(0.02, 40), ratio=st.floats(0.05, 8), share=st.floats(0.0, 0.999))
def test_no_demand_is_likelier_with_quiet_periods(mean: float, ratio: float, share: float) -> None:
    m, excess = np.array([mean]), np.array([mean * ratio])
    quiet = quiet_share(m, excess, share)[0]
    chance = no_demand_chance(m, excess, share)[0]
    assert 0 <= quiet < 1
    assert np.exp(-mean) - 1e-12 < chance < 1
    assert chance >= no_demand_chance(m, excess, 0.0)[0] - 1e-9
    assert chance >= quiet
    # Mixed with a negative binomial of the rest it is the stated mean and variance, and the stated chance.
    busy = mean / (1 - quiet)
    extra = (mean * ratio + mean**2) / (1 - quiet) - busy**2
    if extra > 1e-3 * busy:
        shape = busy**2 / extra
        expected = quiet + (1 - quiet) * stats.nbinom(shape, shape / (shape + busy)).pmf(0)
        assert chance == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize(("mean", "excess"), [(1.0, 4.0), (0.2, 0.5), (5.0, 10.0)])
def test_paths_with_quiet_periods_keep_mean_and_variance_and_have_the_stated_zeros(
    mean: float, excess: float, share: float
) -> None:
    m, e = np.array([mean]), np.array([excess])
    for certain in (True, False):
        level_variance = 0 * m if certain else 0.2 * e
        within = m + e - level_variance
        model = replace(
            model_of(mean, mean), level_variance=level_variance, within_variance=within,
            quiet_share=quiet_share(m, within - m, share),
        )  # fmt: skip
        paths = model.paths(Clock.ahead(SUNDAY, "D", 8), n_paths=N_PATHS, seed=2).draw()[0]
        sums = paths.sum(axis=1)
        assert abs(sums.mean() - 8 * mean) < 4 * sums.std() / np.sqrt(N_PATHS)
        for values, variance in ((paths[:, 0], mean + excess), (sums, 8 * within[0] + 64 * level_variance[0])):
            error = np.sqrt((((values - values.mean()) ** 4).mean() - values.var() ** 2) / N_PATHS)
            assert abs(values.var() - variance) < 4 * error
        if certain:
            chance = no_demand_chance(m, e, share)[0]
            assert abs((paths == 0).mean() - chance) < 4 * np.sqrt(chance * (1 - chance) / paths.size)


# --- from states to laws


def test_the_level_keeps_its_share_of_the_one_step_variance() -> None:
    law, thin = law_of(states_of([4.0, 2.0], [10.0, 9.0]), alpha=[0.1, 0.3])
    assert not thin.any()
    assert law.level.tolist() == [4.0, 2.0]
    np.testing.assert_allclose(law.level_variance, [0.5, 1.35])
    np.testing.assert_allclose(law.level_variance + law.within, [10.0, 9.0])


def test_a_young_level_is_as_uncertain_as_a_mean_of_what_was_seen() -> None:
    law, _ = law_of(states_of([4.0] * 4, [10.0] * 4, used=[14, 40, 200, 2000]), alpha=0.01)
    np.testing.assert_allclose(law.level_variance, [10 / 14, 10 / 40, 10 / 200, 10 * 0.005])
    np.testing.assert_allclose(law.level_variance + law.within, 10.0)


def test_counts_are_never_less_spread_than_poisson_and_kilograms_may_be() -> None:
    law, _ = law_of(states_of([4.0, 4.0], [1.0, 1.0]), counted=[True, False])
    np.testing.assert_allclose(law.level_variance + law.within, [4.0, 1.0])


def test_a_variance_is_drawn_to_the_line_of_all_items() -> None:
    level = np.exp(np.linspace(0, 3, 21))
    line = 2.0 * level**1.5
    own = line.copy()
    own[10] *= 9
    states = states_of(level, own)

    def variance(shrink_n: float) -> float:
        law, _ = law_of(states, shrink_n=shrink_n)
        return float((law.within + law.level_variance)[10])

    assert variance(1e-9) == pytest.approx(own[10])
    # The odd one moves the line a little.
    assert line[10] < variance(1e9) < 1.15 * line[10]
    # 19 periods count at a smoothing constant of 0.1, (2 - a) / a; halfway in the logarithm at as many pseudo-ones.
    assert variance(19.0) == pytest.approx(np.sqrt(variance(1e9) * own[10]), rel=1e-6)
    few = states_of(level[5:14], own[5:14])
    law, _ = law_of(few)
    np.testing.assert_allclose((law.within + law.level_variance), own[5:14], err_msg="nine items are no line")


def test_an_item_without_demand_has_no_spread() -> None:
    law, _ = law_of(states_of([0.0, 3.0], [0.0, 5.0], nonzero=[1, 20]))
    assert (law.level[0], law.level_variance[0], law.within[0]) == (0.0, 0.0, 0.0)


def peers(shape: float, rate: float, variance: float = 0.0) -> tuple[Floats, Floats]:
    """Levels of six established items with the mean and variance of a gamma, and their one-period variance."""
    mean, spread = shape / rate, np.sqrt(shape) / rate
    return np.array([mean - spread, mean + spread] * 3), np.full(6, variance)


@pytest.mark.parametrize("years", ["one_year", "ten_years"])
def test_little_history_follows_the_gamma_poisson_posterior(years: str) -> None:
    case = known("level_laws")["gamma_poisson"]
    seen = case[years]
    level, variance = peers(case["prior"]["shape"], case["prior"]["rate"])
    states = states_of(
        [*level, 9.0], [*variance, 0.0], units=[*[50.0] * 6, seen["units"]], exposure=[*[50.0] * 6, seen["exposure"]],
        used=[*[50] * 6, 4], nonzero=[*[20] * 6, 2],
    )  # fmt: skip
    law, thin = law_of(states)
    assert thin.tolist() == [False] * 6 + [True]
    assert law.level[6] == pytest.approx(seen["shape"] / seen["rate"])
    assert law.level[6] == pytest.approx(seen["mean"], abs=case["abs_tolerance"])
    assert law.level_variance[6] == pytest.approx(seen["shape"] / seen["rate"] ** 2)
    assert law.within[6] == pytest.approx(law.level[6])


def test_lumpy_demand_says_as_much_as_that_many_fewer_single_units() -> None:
    level, _ = peers(3.0, 5.0)
    # Six items: no line; of the variance 4.4 m a share of 0.05 is the level's.
    states = states_of(
        [*level, 9.0], [*(4.0 / 0.95 * level), 0.0], units=[*[50.0] * 6, 12.0], exposure=[*[50.0] * 6, 8.0],
        used=[*[50] * 6, 8], nonzero=[*[20] * 6, 2],
    )  # fmt: skip
    law, _ = law_of(states)
    assert law.level[6] == pytest.approx((3 + 12 / 4) / (5 + 8 / 4))
    assert law.within[6] == pytest.approx(4 * law.level[6])


def test_one_large_sale_of_a_new_item_is_rather_a_lump_than_its_rate() -> None:
    level = np.full(6, 3.0)
    states = states_of(
        [*level, 40.0, 40.0], [*(level / 0.95), 40.0, 0.0], units=[*[50.0] * 6, 40.0, 200.0],
        exposure=[*[50.0] * 6, 1.0, 5.0], used=[*[50] * 6, 1, 5], nonzero=[*[20] * 6, 1, 5],
    )  # fmt: skip
    law, _ = law_of(states)
    # The group: shape 5, the most, and rate 5/3. With a period at 3 the one of 40 has variance 18.5**2 * 2, mean 21.5.
    lump = 18.5**2 * 2 / 21.5
    assert law.level[6] == pytest.approx((5 + 40 / lump) / (5 / 3 + 1 / lump))
    assert law.within[6] == pytest.approx(lump * law.level[6])
    assert law.level[7] > 3 * law.level[6], "five days alike are a rate"


def test_a_group_lends_where_it_has_enough_items_else_all_do() -> None:
    fast, slow = np.linspace(18, 22, 6), np.linspace(0.8, 1.2, 6)
    level = [*fast, *slow, *slow[:2], 9.0, 9.0, 9.0]
    group = [*[0] * 6, *[1] * 6, 2, 2, 0, 1, 2]
    thin = [*[False] * 14, True, True, True]
    states = states_of(
        level, level, units=np.where(thin, 0.0, 50.0), exposure=np.where(thin, 0.0, 50.0),
        used=np.where(thin, 0, 50), nonzero=np.where(thin, 0, 20),
    )  # fmt: skip
    law, found = law_of(states, group=group)
    assert found.tolist() == thin
    np.testing.assert_allclose(law.level[14:], [fast.mean(), slow.mean(), np.mean(level[:14])])
    np.testing.assert_array_equal(law.level[:14], level[:14])


def test_without_anyone_to_borrow_from_the_own_sales_count() -> None:
    states = states_of([9.0, 9.0], [0.0, 0.0], units=[0.0, 8.0], exposure=[3.0, 4.0], used=3, nonzero=[0, 3])
    law, thin = law_of(states)
    assert thin.all()
    assert 0 < law.level[0] < law.level[1] < 8.0
    assert (law.level_variance > 0).all()


# --- what is known of an item


def test_history_begins_at_the_launch_or_the_first_sale() -> None:
    demand = np.zeros((6, 4))
    demand[:3, 2], demand[5, 0] = 3.0, 1.0
    assert first_period(panel_of(demand)).tolist() == [2, 2, 2, 4, 4, 0]
    # Panel of 2 to 5 January: a launch after the first sale is a slip, one in the future nothing yet.
    days = pd.to_datetime(pd.Series(["2023-01-03", "2023-01-05", None, "2023-01-04", "2024-01-01", None]))
    assert first_period(panel_of(demand, launched=days)).tolist() == [1, 2, 2, 2, 4, 0]


def test_fractional_items_are_told_by_their_demand() -> None:
    demand = np.array([[1, 2, 0], [1, 2.5, 0], [0, 0, 1e-9], [0, 0, 0]])
    assert fractional(panel_of(demand)).tolist() == [False, True, True, False]
