"""Named baselines: their means are those of the kernels, their spread that of their own errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from backorder_forecast.baselines import BASELINES, Forecaster, baseline
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.forecasters import forecast_demand
from backorder_forecast.intermittent import adida, croston, imapa, tsb
from backorder_forecast.panel import RAN_OUT, DemandPanel
from backorder_forecast.point_laws import PointLaw, error_dispersion, horizon_clock, law_model, usable_history
from backorder_forecast.smoothing import moving_average, naive, seasonal_naive, ses

Floats = NDArray[np.float64]
COUNTED = tuple(n for n in BASELINES if n != "bootstrap")
STARTS = {"D": "2022-01-01", "W-MON": "2022-01-03", "MS": "2020-01-01"}


def make_panel(
    demand: object, exposure: object = None, *, freq: str = "W-MON", **columns: list[str | None]
) -> DemandPanel:
    """A panel of the given demand, in stock throughout unless said otherwise; items A, B, C..."""
    values = np.atleast_2d(np.asarray(demand, dtype=np.float64))
    shares = np.ones_like(values) if exposure is None else np.atleast_2d(np.asarray(exposure, dtype=np.float64))
    periods = pd.date_range(STARTS[freq], periods=values.shape[1] + 1, freq=freq)
    items = pd.DataFrame({"sku": [chr(65 + i) for i in range(len(values))], "location": "", **columns})
    as_of = periods[-1] - pd.Timedelta(days=1)
    return DemandPanel(items, periods[:-1], freq, as_of, values, np.broadcast_to(shares, values.shape))


@pytest.fixture(scope="module")
def mixed() -> DemandPanel:
    """Eight kinds of demand over 60 weeks, each beginning with a sale; some weeks out of stock."""
    rng = np.random.default_rng(7)
    rates = np.array([30.0, 6.0, 1.5, 0.4, 0.15])[:, None]
    demand = rng.poisson(rates * rng.gamma(2.0, 0.5, (5, 60))).astype(np.float64)
    lumpy = rng.binomial(1, 0.2, 60) * 12.0
    rising = np.arange(60) // 4
    single = np.zeros(60)
    demand = np.vstack([demand, lumpy, rising, single])
    demand[:, 0] = 2.0
    exposure = rng.choice([1.0, 1.0, 1.0, 0.5, 0.0, RAN_OUT], size=demand.shape)
    exposure[:, 0] = 1.0
    return make_panel(demand, exposure)


@pytest.mark.parametrize("name", BASELINES)
def test_paths_are_counts_with_the_mean_of_the_method(name: str, mixed: DemandPanel) -> None:
    method = baseline(name, n_paths=4000)
    values = method.forecast(mixed, 4, seed=3).draw()
    assert values.shape == (8, 4000, 4)
    assert (values >= 0).all()
    assert (values == np.floor(values)).all()
    expected = method.means(mixed, 4)
    # A count varies at least as a Poisson one, also where too few paths show it.
    error = np.sqrt(np.maximum(values.var(axis=1), expected) / 4000)
    assert (np.abs(values.mean(axis=1) - expected) <= 4 * error).all()


def test_means_are_those_of_the_kernels(mixed: DemandPanel) -> None:
    usable = mixed.exposure >= 0.25
    y = np.where(usable, mixed.demand, np.nan)
    shares = np.where(usable, mixed.exposure, 1.0)
    weight = np.where(usable, mixed.exposure, 0.0)
    kernels: dict[str, Floats] = {
        "naive": naive(y / shares),
        "moving_average": moving_average(y / shares, 13),
        "ses": ses(y, 0.1, exposure=shares, initial="mean"),
        "croston": croston(y, 0.1, exposure=shares),
        "sba": croston(y, 0.1, exposure=shares, correction="sba"),
        "tsb": tsb(y, 0.1, 0.1, exposure=shares),
        "adida": adida(y / shares),
        "imapa": imapa(y / shares),
        "bootstrap": np.where(usable, mixed.demand, 0.0).sum(axis=1) / weight.sum(axis=1),
    }
    for name, expected in kernels.items():
        np.testing.assert_allclose(
            baseline(name).means(mixed, 3), np.repeat(expected[:, None], 3, axis=1), err_msg=name
        )
    ahead = baseline("seasonal_naive").means(mixed, 3)
    seen = seasonal_naive(y / shares, 52, 3)
    np.testing.assert_allclose(ahead[~np.isnan(seen)], seen[~np.isnan(seen)])


@pytest.mark.parametrize("name", BASELINES)
def test_same_bytes_for_any_bucket_size_row_order_and_company(name: str, mixed: DemandPanel) -> None:
    method: Forecaster = baseline(name, n_paths=50)
    paths = method.forecast(mixed, 3, 5)
    values = paths.draw()
    in_threes = replace(paths, bucket_size=3)
    np.testing.assert_array_equal(np.concatenate([in_threes.draw(a, b) for a, b in in_threes.buckets()]), values)
    order = np.array([6, 1, 4])
    items = mixed.items.iloc[order].reset_index(drop=True)
    some = replace(mixed, items=items, demand=mixed.demand[order], exposure=mixed.exposure[order])
    np.testing.assert_array_equal(method.forecast(some, 3, 5).draw(), values[order])
    assert (method.forecast(mixed, 3, 6).draw() != values).any()


@pytest.mark.parametrize("freq", STARTS)
def test_periods_are_those_of_forecast_demand(freq: str) -> None:
    panel = make_panel([[1, 2, 3] * 10], freq=freq)
    # A period that has only begun is not complete and is forecast as well.
    begun = replace(panel, as_of=panel.as_of + pd.Timedelta(days=0 if freq == "D" else 2))
    paths = baseline("ses").forecast(begun, 5)
    assert paths.dates.equals(forecast_demand(begun, 5).dates)
    assert paths.dates[0] == panel.as_of + pd.Timedelta(days=1)
    assert paths.items.equals(forecast_demand(begun, 5).items)


@pytest.mark.parametrize("name", BASELINES)
def test_hidden_periods_are_not_zero_demand(name: str) -> None:
    demand = np.tile([6.0, 0.0, 0.0, 6.0], 20)
    exposure = np.tile([1.0, 0.0, RAN_OUT, 1.0], 20)
    panel = make_panel(demand, exposure)
    assert baseline(name).means(panel, 2) == pytest.approx(6.0 * (0.95 if name == "sba" else 1.0))
    mean = baseline(name, n_paths=2000).forecast(panel, 2).draw().mean()
    assert mean == pytest.approx(6.0, rel=0.1)


@pytest.mark.parametrize("name", ["naive", "seasonal_naive", "moving_average", "ses", "adida", "imapa", "bootstrap"])
def test_a_partly_stocked_period_counts_as_its_rate(name: str) -> None:
    panel = make_panel(np.full(30, 3.0), np.full(30, 0.5))
    assert baseline(name).means(panel, 1) == pytest.approx(6.0)


def test_min_in_stock_decides_which_periods_are_left_out() -> None:
    panel = make_panel([4.0] * 10 + [1.0] * 10, [1.0] * 10 + [0.4] * 10)
    assert baseline("bootstrap").means(panel, 1) == pytest.approx(50 / 14)
    assert baseline("bootstrap", min_in_stock=0.5).means(panel, 1) == pytest.approx(4.0)


@pytest.mark.parametrize("name", BASELINES)
def test_items_without_usable_history_forecast_zero(name: str) -> None:
    demand = np.zeros((4, 30))
    demand[1, 7] = demand[3] = 2.0
    exposure = np.ones((4, 30))
    exposure[2:] = 0.0
    exposure[3] = RAN_OUT
    panel = make_panel(demand, exposure)
    values = baseline(name).forecast(panel, 3).draw()
    assert np.isfinite(values).all()
    assert (values[[0, 2, 3]] == 0).all()
    if name in ("ses", "bootstrap", "croston"):
        assert values[1].max() > 0


@pytest.mark.parametrize("name", BASELINES)
def test_one_period_is_enough(name: str) -> None:
    values = baseline(name, n_paths=2000).forecast(make_panel([[5.0], [0.0]]), 2).draw()
    expected = 5.0 * (0.95 if name == "sba" else 1.0)
    assert values[0].mean() == pytest.approx(expected, abs=0.25)
    assert (values[1] == 0).all()
    # Nothing is known of the spread: a Poisson count, except where the one period is drawn again.
    assert values[0].var() == pytest.approx(0.0 if name == "bootstrap" else expected, rel=0.15)


def test_dispersion_by_hand() -> None:
    y = np.array([[4.0, 4.0, 1.0, np.nan, 3.0, 8.0]])
    forecast = np.array([[9.0, 9.0, 2.0, 2.0, 2.0, np.nan]])
    # Five periods are usable, two of them to learn from; the errors are -1 and 1, the second of half a period.
    shares = np.array([[1.0, 1.0, 1.0, 1.0, 1.0, 1.0]])
    mean = np.array([2.0])
    counts = error_dispersion(y, shares, forecast, mean, counted=np.array([True]))
    assert counts == pytest.approx(max(0.0, (1 + 1) - (2 + 2)) / (4 + 4 + 4))
    units = error_dispersion(y, shares, forecast, mean, counted=np.array([False]))
    assert units == pytest.approx((1 + 1 + 4) / (4 + 4 + 4))
    half = np.where(np.arange(6) == 4, 0.5, 1.0)[None, :]
    wide = error_dispersion(y * 3, half, forecast, mean, counted=np.array([True]))
    # Errors 3 - 2 and 9 / 0.5 - 2 = 16, the second weighted by half.
    assert wide == pytest.approx(((1 + 128) - (2 + 1)) / (4 + 2 + 4))


@pytest.mark.parametrize("name", ["moving_average", "ses", "croston", "sba", "tsb", "adida", "imapa", "bootstrap"])
def test_one_period_is_as_spread_as_the_demand_was(name: str) -> None:
    rng = np.random.default_rng(1)
    demand = rng.negative_binomial(2.0, 2.0 / (2.0 + 6.0), size=(40, 150)).astype(np.float64)
    items = pd.DataFrame({"sku": [f"S{i}" for i in range(40)], "location": ""})
    panel = replace(make_panel(demand[0]), items=items, demand=demand, exposure=np.ones_like(demand))
    values = baseline(name).forecast(panel, 2).draw()
    # Negative binomial of mean 6 and size 2: variance 24, and the error of the level on top of it.
    assert values.var(axis=1).mean() == pytest.approx(24.0 * (1.0 if name == "bootstrap" else 1.05), rel=0.15)


def test_sums_carry_what_the_periods_have_in_common() -> None:
    panel = make_panel(np.ones((1, 20)))
    for share, dispersion in [(0.0, 0.5), (0.16, 0.5), (0.4, 0.2)]:
        law = PointLaw(np.full((1, 6), 8.0), np.array([dispersion]), np.array([share]))
        values = law_model(panel, law).paths(horizon_clock(panel, 6), n_paths=40_000, seed=1).draw()[0]
        variance = 8.0 + dispersion * 64.0
        assert values.var(axis=0) == pytest.approx(variance, rel=0.06)
        assert values.sum(axis=1).var() == pytest.approx(variance * (6 + 30 * share), rel=0.06)


def test_a_bootstrap_draws_periods_apart_and_only_such_as_were_in_stock() -> None:
    demand = np.tile([0.0, 3.0, 0.0, 7.0, 90.0], 20)
    panel = make_panel(demand, np.tile([1.0, 1.0, 1.0, 1.0, 0.0], 20))
    values = baseline("bootstrap", n_paths=20_000).forecast(panel, 4).draw()[0]
    assert set(np.unique(values)) == {0.0, 3.0, 7.0}
    # History begins at the first sale: one zero of forty comes before it.
    assert (values == 0).mean() == pytest.approx(39 / 79, abs=0.01)
    assert np.corrcoef(values.T)[0, 1:] == pytest.approx(0.0, abs=0.03)


def test_half_life_favours_recent_periods() -> None:
    panel = make_panel([10.0] * 20 + [2.0] * 10)
    method = baseline("bootstrap", half_life=10, n_paths=20_000)
    weights = 0.5 ** (np.arange(30)[::-1] / 10)
    share = weights[20:].sum() / weights.sum()
    assert method.means(panel, 1) == pytest.approx(10 - 8 * share)
    assert (method.forecast(panel, 2).draw() == 2).mean() == pytest.approx(share, abs=0.015)
    long_gone = make_panel([5.0] * 3 + [0.0] * 2000, [1.0] * 3 + [0.0] * 2000, freq="D")
    assert (baseline("bootstrap", half_life=1.0).forecast(long_gone, 2).draw() == 5).all()


def test_half_stocked_periods_are_resampled_as_whole_units_of_the_same_mean() -> None:
    panel = make_panel([3.0, 1.0] * 10, [0.8, 1.0] * 10)
    values = baseline("bootstrap", n_paths=20_000).forecast(panel, 1).draw()
    assert set(np.unique(values)) == {1.0, 3.0, 4.0}
    assert values.mean() == pytest.approx(4.0 / 1.8, abs=0.03)


def test_seasonal_naive_repeats_the_season_with_spread_in_proportion() -> None:
    rng = np.random.default_rng(0)
    mean = np.array([2.0, 2.0, 2.0, 5.0, 20.0, 40.0, 20.0, 5.0, 2.0, 2.0, 2.0, 0.0])
    demand = rng.poisson(np.tile(mean, 6)).astype(np.float64)
    panel = make_panel(demand, freq="MS")
    method = baseline("seasonal_naive", n_paths=4000)
    np.testing.assert_array_equal(method.means(panel, 14)[0], demand[-12:][np.arange(14) % 12])
    values = method.forecast(panel, 12).draw()[0]
    assert (values[:, 11] == 0).all()
    assert values[:, 5].std() > 3 * values[:, 0].std()
    few = baseline("seasonal_naive", n_paths=4000).forecast(panel, 3).draw()[0]
    # A horizon in the low season is not as spread as the whole year.
    assert few.std() < 5
    assert baseline("seasonal_naive", season=5).means(panel, 2)[0].tolist() == demand[-5:-3].tolist()


def test_a_place_of_the_season_never_seen_takes_the_mean() -> None:
    panel = make_panel([0.0] * 80 + [2.0, 4.0, 6.0, 8.0])
    assert baseline("seasonal_naive").means(panel, 50)[0, :2].tolist() == [5.0, 5.0]
    assert baseline("seasonal_naive").means(panel, 52)[0, -4:].tolist() == [2.0, 4.0, 6.0, 8.0]


def test_history_begins_at_the_first_sale_unless_intervals_are_smoothed() -> None:
    demand = np.array([0.0] * 9 + [4.0] + [0.0, 4.0] * 5)
    panel = make_panel(demand)
    assert baseline("bootstrap").means(panel, 1) == pytest.approx(24 / 11)
    assert baseline("croston").means(panel, 1) == pytest.approx(croston(demand, 0.1)[0])
    stated = make_panel(np.vstack([demand, demand]), launched=["2022-01-31", None])
    y, _ = usable_history(stated, from_first_sale=False)
    assert np.isnan(y).sum(axis=1).tolist() == [4, 0]
    assert np.isnan(usable_history(stated)[0]).sum(axis=1).tolist() == [4, 9]


@pytest.mark.parametrize("name", ["ses", "bootstrap"])
def test_nothing_is_sold_outside_the_stated_dates(name: str) -> None:
    columns: dict[str, list[str | None]] = {
        "launched": [None, "2023-06-01", None],
        "discontinued": ["2022-12-31", None, "2023-01-15"],
    }
    panel = make_panel(np.full((3, 36), 6.0), freq="MS", **columns)
    values = baseline(name, n_paths=4000).forecast(panel, 6).draw()
    assert panel.as_of == pd.Timestamp("2022-12-31")
    assert (values[0] == 0).all()
    assert (values[1, :, :5] == 0).all()
    assert values[1, :, 5].mean() == pytest.approx(6.0, rel=0.1)
    assert (values[2, :, 1:] == 0).all()
    assert values[2, :, 0].mean() == pytest.approx(6.0 * 15 / 31, rel=0.1)


@pytest.mark.parametrize("name", COUNTED)
def test_weights_and_lengths_stay_fractional(name: str) -> None:
    rng = np.random.default_rng(4)
    demand = np.round(rng.gamma(2.0, 1.5, 120), 3) * (rng.random(120) < 0.6)
    demand[[0, -12, -1]] = 2.5, 3.75, 1.25
    method = baseline(name, n_paths=20_000)
    values = method.forecast(make_panel(demand, freq="MS"), 1).draw()
    assert values.mean() == pytest.approx(float(method.means(make_panel(demand, freq="MS"), 1)[0, 0]), rel=0.05)
    assert (values == 0).mean() == pytest.approx((demand == 0).mean(), abs=0.02)
    assert (values != np.floor(values)).any()
    resampled = baseline("bootstrap").forecast(make_panel(demand), 2).draw()
    assert set(np.unique(resampled)) <= set(demand)


def test_options_reach_the_method() -> None:
    demand = np.arange(1.0, 31.0)
    panel = make_panel(demand)
    assert baseline("moving_average", window=2).means(panel, 1) == 29.5
    assert baseline("ses", alpha=1.0).means(panel, 1) == 30.0
    assert baseline("tsb", alpha=0.5).means(panel, 1) == pytest.approx(tsb(demand, 0.5, 0.5)[0])
    assert baseline("imapa", alpha=0.5).means(panel, 1) == pytest.approx(imapa(demand, 0.5)[0])
    assert baseline("naive", n_paths=7).forecast(panel, 1).n_paths == 7


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: baseline("crosston"),
            r"unknown baseline 'crosston' \(did you mean 'croston'\?\); valid are: naive, .*",
        ),
        (lambda: baseline("naive", alpha=0.1), "naive has no option alpha; .*: ses, croston, sba, tsb, adida, imapa"),
        (lambda: baseline("ses", half_life=3), "ses has no option half_life; .*: bootstrap"),
        (lambda: baseline("ses", alpha=1.5), "alpha is a share above 0 and at most 1; got 1.5"),
        (lambda: baseline("moving_average", window=0), "window is a whole number, at least 1; got 0"),
        (lambda: baseline("bootstrap", half_life=0), "half_life is a number of periods above 0; got 0"),
        (lambda: baseline("naive", n_paths=True), "n_paths is a whole number, at least 1; got True"),
        (lambda: baseline("naive", min_in_stock=2.0), "min_in_stock is a share from 0 to 1; got 2.0"),
        (lambda: baseline("naive").forecast(make_panel([1.0]), 0), "horizon is a whole number of periods, .*; got 0"),
    ],
)
def test_errors_say_what_is_wrong(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        make()


@settings(max_examples=40)
@given(
    name=st.sampled_from(BASELINES),
    demand=arrays(
        np.float64, st.tuples(st.integers(1, 3), st.integers(1, 30)), elements=st.sampled_from([0, 1, 2, 40])
    ),
    data=st.data(),
)
def test_any_panel_gives_finite_counts(name: str, demand: Floats, data: st.DataObject) -> None:
    shares = st.sampled_from([1.0, 0.6, 0.25, 0.1, 0.0, RAN_OUT])
    panel = make_panel(demand, data.draw(arrays(np.float64, demand.shape, elements=shares)))
    values = baseline(name, n_paths=20).forecast(panel, 3).draw()
    assert np.isfinite(values).all()
    assert (values >= 0).all()
    assert (values == np.floor(values)).all()
    sold = ((panel.demand > 0) & (panel.exposure >= 0.25)).any(axis=1)
    assert (values[~sold] == 0).all()
