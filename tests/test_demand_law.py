"""The paths that a demand model draws: their moments, their factors, and what they do not depend on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hand_made import flat_season, items_of, model_of, panel_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from backorder_forecast.clock import Clock
from backorder_forecast.demand_law import DemandModel
from backorder_forecast.events import fit_effects
from backorder_forecast.level_laws import LevelLaw, quiet_share, sum_moments

Floats = NDArray[np.float64]
SUNDAY = pd.Timestamp("2024-06-30")
LAWS = [(4.0, 10.0, 0.1), (0.3, 1.0, 0.1), (0.05, 0.06, 0.1), (60.0, 500.0, 0.2), (3.0, 12.0, 0.3)]


def drawn(model: DemandModel, n_periods: int, n_paths: int, *, seed: int = 1, freq: str = "D") -> Floats:
    clock = Clock.ahead(SUNDAY, freq, n_periods)
    return model.paths(clock, n_paths=n_paths, seed=seed).draw()


def variance_error(values: Floats) -> float:
    """Standard error of the sample variance."""
    centred = values - values.mean()
    return float(np.sqrt(max((centred**4).mean() - values.var() ** 2, 0.0) / len(values)))


def promoted(model: DemandModel, lift: float = 2.0) -> DemandModel:
    """The same model with a promotion of the first item in the second week ahead."""
    past = panel_of(np.full((len(model.level), 60), 5.0), start="2024-05-02")
    days = pd.DatetimeIndex(["2024-07-08", "2024-07-14"])
    events = pd.DataFrame({"kind": "promotion", "start": days[:1], "end": days[1:], "sku": "S000", "effect": lift})
    return replace(model, effects=fit_effects(past, flat_season(len(model.level)), events))


def every_kind() -> dict[str, DemandModel]:
    """A model of two items of each kind, with season, near factor, quiet periods, events and dates of sale."""
    level = np.array([3.0, 0.4])
    counted, fractional = model_of(level, [9.0, 1.0]), model_of(level, [9.0, 1.0], zero_share=0.4)
    seasonal = replace(counted, season=flat_season(2))
    seasonal.season.weekly[0] = [2.0, 0.5, 1, 1, 1, 1, 0.5]
    quiet = quiet_share(level, np.array([5.0, 0.5]), 0.6)
    near = replace(counted, near=np.array([0.3, 2.5]), near_periods=7)
    ended = replace(
        counted, ends=pd.DatetimeIndex(["2024-07-10", pd.NaT]), starts=pd.DatetimeIndex([pd.NaT, "2024-07-05"])
    )
    return {
        "counted": counted, "fractional": fractional, "season": seasonal, "quiet": replace(counted, quiet_share=quiet),
        "near": near, "near, quiet": replace(near, quiet_share=quiet), "near, fractional": replace(
            fractional, near=near.near, near_periods=7
        ),
        "events": promoted(counted), "dates": ended,
    }  # fmt: skip


KINDS = every_kind()


# --- moments


@pytest.mark.parametrize("kind", KINDS)
def test_every_period_and_sum_has_the_mean_of_the_model(kind: str) -> None:
    model, n = KINDS[kind], 20_000
    clock = Clock.ahead(SUNDAY, "D", 21)
    values, mean = drawn(model, 21, n), model.mean(clock)
    assert mean.shape == (2, 21)
    error = np.sqrt(np.maximum(values.var(axis=1), mean) / n)
    # 42 periods: the worst of so many is further out than one.
    assert (np.abs(values.mean(axis=1) - mean) <= 4.5 * error).all()
    for part in (slice(0, 7), slice(5, 21), slice(0, 21)):
        sums = values[:, :, part].sum(axis=2)
        assert (np.abs(sums.mean(axis=1) - mean[:, part].sum(axis=1)) < 4 * sums.std(axis=1) / np.sqrt(n)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_any_window_has_the_variance_of_the_law(kind: str) -> None:
    model, n = KINDS[kind], 20_000
    factors = model.factors(Clock.ahead(SUNDAY, "D", 21), slice(None))
    values = drawn(model, 21, n)
    law, counted = LevelLaw(model.level, model.level_variance, model.within_variance), np.isnan(model.zero_share)
    for part in (slice(0, 7), slice(5, 21), slice(0, 21)):
        f = factors[:, part]
        _, variance = sum_moments(law, counted, f.sum(axis=1), (f**2).sum(axis=1))
        for i in range(2):
            sums = values[i, :, part].sum(axis=1)
            assert abs(sums.var() - variance[i]) < 4 * variance_error(sums)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "quiet" not in kind])
def test_quantiles_of_the_sum_need_no_paths(kind: str) -> None:
    """Near those of the paths: by how much the paths say that a quantile is of another level."""
    model, levels, n = KINDS[kind], [0.1, 0.5, 0.75, 0.9, 0.95], 20_000
    quantiles = model.sum_quantiles(Clock.ahead(SUNDAY, "D", 21), levels)
    assert quantiles.shape == (2, 5)
    sums = drawn(model, 21, n).sum(axis=2)[:, :, None]
    below, up_to = (sums < quantiles[:, None]).mean(axis=1), (sums <= quantiles[:, None]).mean(axis=1)
    assert (up_to > np.array(levels) - 0.05).all()
    assert (below < np.array(levels) + 0.05).all()


def test_for_one_period_at_a_sure_level_they_are_exact() -> None:
    model = model_of([3.0], [9.0], alpha=1e-12)
    model.season.weekly[0] = [4.0, *[0.5] * 6]
    levels = [0.05, 0.5, 0.9, 0.99]
    # Mean 12, and a variance beyond Poisson of 6 times the square of the index.
    law = stats.nbinom(144 / 96, 12 / 108)
    quantiles = model.sum_quantiles(Clock.ahead(SUNDAY, "D", 1), levels)
    np.testing.assert_array_equal(quantiles[0], law.ppf(levels))


@pytest.mark.parametrize("kind", KINDS)
def test_counts_are_whole_numbers_and_nothing_is_negative(kind: str) -> None:
    values = drawn(KINDS[kind], 30, 300)
    assert (values >= 0).all()
    assert np.isfinite(values).all()
    assert ((values == np.floor(values)).all()) == ("fractional" not in kind)


def test_so_are_those_of_extreme_laws() -> None:
    values = drawn(model_of([0.01, 0.5, 9.0, 3000.0, 1e6], [0.5, 4.0, 9.0, 1e6, 1e13]), 20, 200)
    assert (values >= 0).all()
    assert (values == np.floor(values)).all()


@pytest.mark.parametrize(("mean", "variance", "alpha"), LAWS)
def test_one_period_and_sums_have_the_stated_mean_and_variance(mean: float, variance: float, alpha: float) -> None:
    h, n = 12, 30_000
    values = drawn(model_of(mean, variance, alpha=alpha), h, n)[0]
    sums = values.sum(axis=1)
    assert abs(sums.mean() - h * mean) < 4 * sums.std() / np.sqrt(n)
    # Counts are never less spread than Poisson, so a law near it keeps a little more than its variance.
    within = max(variance * (1 - alpha / 2), mean)
    level = variance * alpha / 2
    for first in (0, h - 1):
        one = values[:, first]
        assert abs(one.var() - (within + level)) < 4 * variance_error(one)
    assert abs(sums.var() - (h * within + h**2 * level)) < 4 * variance_error(sums)
    assert sums.var() > 1.1 * values.var(axis=0).sum(), "paths must carry the uncertainty of the level"


@pytest.mark.parametrize(
    ("mean", "variance", "zero", "alpha"), [(2.0, 8.0, 0.5, 0.2), (1.0, 2.0, 0.3, 0.1), (2.0, 40.0, 0.7, 0.3)]
)
def test_fractional_units_have_the_same_moments_and_the_stated_zeros(
    mean: float, variance: float, zero: float, alpha: float
) -> None:
    h, n = 12, 30_000
    values = drawn(model_of(mean, variance, alpha=alpha, zero_share=zero), h, n)[0]
    sums = values.sum(axis=1)
    assert abs(sums.mean() - h * mean) < 4 * sums.std() / np.sqrt(n)
    level = variance * alpha / 2
    law = h * (variance - level) + h**2 * level
    assert abs(sums.var() - law) < 4 * variance_error(sums)
    assert abs(values[:, 0].var() - variance) < 4 * variance_error(values[:, 0])
    one = values.ravel()
    assert abs((one == 0).mean() - zero) < 4 * np.sqrt(zero * (1 - zero) / len(one))
    assert (one % 1 != 0).any()


def test_the_season_scales_mean_and_level_error() -> None:
    model = model_of([6.0], [6.0])
    model.season.weekly[0] = [2.0, 0.5, 1, 1, 1, 1, 0.5]
    values = drawn(model, 7, 30_000)[0]
    mean = values.mean(axis=0)
    wanted = 6.0 * model.season.weekly[0]
    assert (np.abs(mean - wanted) < 4 * values.std(axis=0) / np.sqrt(len(values))).all()


# --- what they do not depend on


@settings(max_examples=25)
@given(
    data=st.data(), n_paths=st.integers(2, 40), periods=st.integers(2, 15), bucket=st.integers(1, 7),
    fractional=st.booleans(),
)  # fmt: skip
def test_a_redraw_is_identical_and_nothing_depends_on_how_much_is_drawn(
    data: st.DataObject, n_paths: int, periods: int, bucket: int, fractional: bool
) -> None:
    model = model_of([0.2, 1.0, 5.0, 0.0, 40.0], [0.4, 3.0, 6.0, 0.0, 400.0], zero_share=0.4 if fractional else np.nan)
    clock = Clock.ahead(SUNDAY, "D", periods)
    paths = model.paths(clock, n_paths=n_paths, seed=3, bucket_size=bucket)
    whole = paths.draw()
    np.testing.assert_array_equal(paths.draw(), whole)
    np.testing.assert_array_equal(np.concatenate([paths.draw(a, b) for a, b in paths.buckets()]), whole)
    fewer = data.draw(st.integers(1, n_paths))
    np.testing.assert_array_equal(model.paths(clock, n_paths=fewer, seed=3).draw(), whole[:, :fewer])
    shorter = data.draw(st.integers(1, periods))
    near = Clock.ahead(SUNDAY, "D", shorter)
    np.testing.assert_array_equal(model.paths(near, n_paths=n_paths, seed=3).draw(), whole[:, :, :shorter])
    assert not np.array_equal(model.paths(clock, n_paths=n_paths, seed=4).draw()[4], whole[4])


def test_items_draw_from_streams_of_their_own_name() -> None:
    both, alone = model_of([5.0, 5.0], [9.0, 9.0]), model_of([5.0], [9.0])
    values = drawn(both, 10, 50)
    assert not np.array_equal(values[0], values[1])
    np.testing.assert_array_equal(drawn(alone, 10, 50)[0], values[0])


def test_a_factor_scales_the_mean_and_a_zero_ends_demand() -> None:
    model = model_of([4.0, 4.0], [9.0, 9.0])
    scaled = model.scaled(np.array([2.5, 0.0]))
    assert scaled.level.tolist() == [10.0, 0.0]
    values = drawn(scaled, 5, 4000)
    assert abs(values[0].mean() - 10) < 0.4
    assert (values[1] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_buckets_and_horizons_cut_the_same_paths(kind: str) -> None:
    model = KINDS[kind]
    clock = Clock.ahead(SUNDAY, "D", 21)
    whole = model.paths(clock, n_paths=30, seed=2).draw()
    one_by_one = model.paths(clock, n_paths=30, seed=2, bucket_size=1)
    np.testing.assert_array_equal(np.concatenate([one_by_one.draw(a, b) for a, b in one_by_one.buckets()]), whole)
    np.testing.assert_array_equal(drawn(model, 9, 30, seed=2), whole[:, :, :9])
    draw = model.drawer(clock, n_paths=30, seed=2)
    np.testing.assert_array_equal(draw(1, 2, 9), whole[1:, :, :9])
    sums = model.paths(clock, n_paths=30, seed=2).cumulative().draw()
    np.testing.assert_allclose(sums[:, :, 20] - sums[:, :, 4], whole[:, :, 5:].sum(axis=2))


# --- factors


def test_the_near_factor_is_of_the_first_periods_only() -> None:
    clock = Clock.ahead(SUNDAY, "D", 21)
    mean = KINDS["near"].mean(clock)
    np.testing.assert_allclose(mean[:, :7], [[0.9] * 7, [1.0] * 7])
    np.testing.assert_allclose(mean[:, 7:], [[3.0] * 14, [0.4] * 14])
    # It changes what is drawn there and, by the keyed streams, the mean alone of what comes after.
    plain, near = drawn(KINDS["counted"], 21, 4000), drawn(KINDS["near"], 21, 4000)
    assert near[0, :, :7].mean() < 0.4 * plain[0, :, :7].mean()
    assert near[0, :, 7:].mean() == pytest.approx(plain[0, :, 7:].mean(), rel=0.05)


def test_an_event_ahead_lifts_its_item_on_its_days() -> None:
    clock = Clock.ahead(SUNDAY, "D", 21)
    mean = KINDS["events"].mean(clock)
    np.testing.assert_allclose(mean[0], [3.0] * 7 + [6.0] * 7 + [3.0] * 7)
    assert (mean[1] == 0.4).all()
    past = KINDS["events"].past_factors(pd.date_range("2024-07-07", periods=3))
    assert past.tolist() == [[1.0, 2.0, 2.0], [1.0, 1.0, 1.0]]
    assert KINDS["counted"].past_factors(pd.date_range("2024-07-07", periods=3)).tolist() == [[1.0] * 3] * 2


def test_of_a_week_that_has_begun_only_an_event_still_ahead_counts() -> None:
    model = replace(model_of([7.0], [14.0], freq="W-MON"), season=flat_season(1, "W-MON"))
    past = panel_of(np.full((1, 20), 7.0), freq="W-MON", start="2024-02-12")
    wednesday = Clock.ahead(pd.Timestamp("2024-07-03"), "W-MON", 14)
    for first, last, lift in ((1, 3, 1.0), (1, 5, 1.5), (4, 7, 2.0)):
        events = pd.DataFrame({"kind": ["sale"], "start": [f"2024-07-0{first}"], "end": [f"2024-07-0{last}"]})
        events["effect"] = 2.0
        lifted = replace(model, effects=fit_effects(past, flat_season(1, "W-MON"), events))
        np.testing.assert_allclose(lifted.mean(wednesday), [[4.0 * lift, 7.0, 7.0]])


def test_nothing_is_sold_before_the_launch_and_after_the_end() -> None:
    values = drawn(KINDS["dates"], 21, 500)
    # Days 1 to 21 of July: the first item ends on the 10th, the second begins on the 5th.
    assert (values[0].sum(axis=0) > 0).tolist() == [True] * 10 + [False] * 11
    assert (values[1].sum(axis=0) > 0).tolist() == [False] * 4 + [True] * 17


def test_a_week_that_has_begun_has_the_days_that_are_left() -> None:
    wednesday = Clock.ahead(pd.Timestamp("2024-07-03"), "W-MON", 14)
    model = replace(model_of([7.0], [14.0], freq="W-MON"), near=np.array([2.0]), near_periods=1)
    np.testing.assert_allclose(model.mean(wednesday), [[8.0, 7.0, 7.0]])
    sold = replace(model, ends=pd.DatetimeIndex(["2024-07-05"]))
    np.testing.assert_allclose(sold.mean(wednesday), [[4.0, 0.0, 0.0]])
    values = model.paths(wednesday, n_paths=20_000, seed=1).draw()[0]
    assert values[:, 0].mean() == pytest.approx(8.0, rel=0.03)


def test_paths_name_their_items_and_periods() -> None:
    paths = KINDS["counted"].paths(Clock.ahead(SUNDAY, "D", 3), n_paths=2, seed=0)
    assert paths.items.equals(items_of(2))
    assert paths.dates.equals(pd.date_range("2024-07-01", periods=3))
    assert paths.n_paths == 2
