from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hand_made import panel_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backorder_forecast.clock import period_start
from backorder_forecast.panel import RAN_OUT, DemandPanel
from backorder_forecast.seasonality import fit_seasonality, year_position

Floats = NDArray[np.float64]
WEEKDAYS = np.array([1.4, 1.2, 1.2, 1.2, 1.0, 0.6, 0.4])
MONTHS = np.array([0.6, 0.7, 0.8, 1.0, 1.1, 1.2, 1.3, 1.3, 1.2, 1.1, 0.9, 0.8])


def poisson_panel(factor: Floats, *, n: int, seed: int, freq: str, start: str, low: float = 3.0) -> DemandPanel:
    """Items of different levels that share a factor per period (n_periods,) or have their own (n, n_periods)."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(low, 3 * low, n)
    return panel_of(
        rng.poisson(level[:, None] * np.broadcast_to(factor, (n, factor.shape[-1]))), freq=freq, start=start
    )


def weekly_wave(n_weeks: int, start: str = "2021-01-04") -> Floats:
    weeks = pd.date_range(start, periods=n_weeks, freq="W-MON") + pd.Timedelta(days=3)
    return 1 + 0.5 * np.sin(2 * np.pi * weeks.day_of_year.to_numpy() / 365.25)


def hidden(panel: DemandPanel, share: float, seed: int = 1) -> DemandPanel:
    """The same panel with a share of the periods out of stock."""
    out = np.random.default_rng(seed).random(panel.demand.shape) < share
    return panel_of(
        np.where(out, 0.0, panel.demand), np.where(out, 0.0, 1.0), freq=panel.freq, start=str(panel.periods[0].date())
    )


def test_weekday_indices_are_recovered_also_from_a_shop_that_was_often_out_of_stock() -> None:
    days = pd.date_range("2023-01-02", periods=364)
    panel = poisson_panel(WEEKDAYS[days.day_of_week], n=40, seed=0, freq="D", start="2023-01-02")
    for seen in (panel, hidden(panel, 0.2)):
        season = fit_seasonality(seen)
        np.testing.assert_allclose(season.weekly[0], WEEKDAYS, atol=0.06)
        assert season.weekly.mean() == pytest.approx(1)
        np.testing.assert_allclose(season.factors(days[:7])[0], season.weekly[0])


def test_the_year_is_recovered_from_weeks_and_from_months() -> None:
    wave = weekly_wave(156)
    panel = poisson_panel(wave, n=60, seed=1, freq="W-MON", start="2021-01-04")
    season = fit_seasonality(panel)
    found = season.factors(panel.periods)[0]
    assert np.abs(found - wave).mean() < 0.05
    assert np.corrcoef(found, wave)[0, 1] > 0.995
    months = pd.date_range("2021-01-01", periods=36, freq="MS")
    monthly = poisson_panel(MONTHS[months.month - 1], n=40, seed=2, freq="MS", start="2021-01-01", low=10)
    index = fit_seasonality(monthly).yearly[0]
    np.testing.assert_allclose(index, MONTHS, atol=0.06)
    assert index.mean() == pytest.approx(1)


def test_the_year_is_recovered_from_days_beside_the_week() -> None:
    days = pd.date_range("2021-01-04", periods=800)
    year = 1 + 0.5 * np.sin(2 * np.pi * days.day_of_year.to_numpy() / 365.25)
    panel = poisson_panel(year * WEEKDAYS[days.day_of_week], n=40, seed=12, freq="D", start="2021-01-04", low=0.5)
    season = fit_seasonality(hidden(panel, 0.2))
    np.testing.assert_allclose(season.weekly[0], WEEKDAYS, atol=0.05)
    assert np.abs(season.factors(days)[0] - year * WEEKDAYS[days.day_of_week]).mean() < 0.05


@pytest.mark.parametrize(("n", "yearly"), [(102, False), (104, True)])
def test_two_years_are_needed(n: int, yearly: bool) -> None:
    panel = poisson_panel(weekly_wave(n), n=30, seed=3, freq="W-MON", start="2021-01-04")
    assert bool((fit_seasonality(panel).yearly != 1).any()) == yearly


@pytest.mark.parametrize("n", [1, 2, 7, 55])
def test_a_short_history_has_no_season(n: int) -> None:
    panel = panel_of(np.arange(float(n)))
    season = fit_seasonality(panel)
    assert (season.weekly == 1).all()
    assert (season.yearly == 1).all()
    assert (season.factors(panel.periods) == 1).all()


def test_growth_and_a_changing_assortment_do_not_pass_for_season() -> None:
    growth = np.linspace(1.0, 2.5, 156)
    panel = poisson_panel(growth, n=60, seed=4, freq="W-MON", start="2021-01-04", low=6)
    assert np.abs(fit_seasonality(panel).yearly - 1).max() < 0.12
    steady = poisson_panel(np.ones(156), n=60, seed=5, freq="W-MON", start="2021-01-04", low=6)
    entry = np.arange(60) * 2
    steady.demand[np.arange(156)[None, :] < entry[:, None]] = 0.0
    assert np.abs(fit_seasonality(steady).yearly - 1).max() < 0.12


def test_a_shop_that_opened_in_summer_has_no_quiet_spring() -> None:
    panel = poisson_panel(np.ones(160), n=60, seed=11, freq="W-MON", start="2021-01-04", low=6)
    panel.demand[:, :26] = 0.0
    assert np.abs(fit_seasonality(panel).yearly - 1).max() < 0.12


def test_stockouts_in_the_high_season_do_not_hide_it() -> None:
    wave = weekly_wave(156)
    panel = poisson_panel(wave, n=80, seed=6, freq="W-MON", start="2021-01-04")
    out = (wave > 1.3)[None, :] & (np.random.default_rng(7).random(panel.demand.shape) < 0.5)
    sold, exposure = np.where(out, 0.0, panel.demand), np.where(out, 0.0, 1.0)
    blind = fit_seasonality(panel_of(sold, freq="W-MON", start="2021-01-04"))
    aware = fit_seasonality(panel_of(sold, exposure, freq="W-MON", start="2021-01-04"))
    peak = wave > 1.4
    assert aware.factors(panel.periods)[0][peak].mean() == pytest.approx(wave[peak].mean(), abs=0.08)
    assert blind.factors(panel.periods)[0][peak].mean() < wave[peak].mean() - 0.3


def test_a_period_that_ran_out_teaches_no_season() -> None:
    days = pd.date_range("2023-01-02", periods=140)
    panel = poisson_panel(np.ones(140), n=30, seed=8, freq="D", start="2023-01-02")
    sunday = np.asarray(days.day_of_week) == 6
    panel.demand[:, sunday] = 0.0
    panel.exposure[:, sunday] = RAN_OUT
    assert np.abs(fit_seasonality(panel).weekly - 1).max() < 0.05


def lumpy(mean: Floats, rng: np.random.Generator, shape: float = 0.3) -> Floats:
    """Overdispersed counts: variance mean + mean^2 / shape."""
    return np.asarray(rng.negative_binomial(shape, shape / (shape + mean)), dtype=np.float64)


def plain_index(panel: DemandPanel) -> Floats:
    """Units by week of the year, smoothed over five weeks, over their mean: all noise believed."""
    weeks = panel.periods + pd.Timedelta(days=3)
    position = np.minimum((weeks.day_of_year.to_numpy() - 1) // 7, 51)
    smooth = pd.Series(panel.demand.sum(axis=0)).rolling(5, center=True, min_periods=1).mean().to_numpy()
    units = np.bincount(position, smooth, 52) / np.bincount(position, minlength=52)
    return np.asarray(units / units.mean())


@pytest.mark.parametrize("law", ["poisson", "lumpy"])
def test_noise_alone_is_no_season(law: str) -> None:
    found, plain = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        demand = rng.poisson(4.0, (20, 156)) if law == "poisson" else lumpy(np.full((20, 156), 4.0), rng)
        panel = panel_of(demand, freq="W-MON", start="2021-01-04")
        found.append(np.sqrt(((fit_seasonality(panel).yearly[0] - 1) ** 2).mean()))
        plain.append(np.sqrt(((plain_index(panel) - 1) ** 2).mean()))
    assert np.mean(found) < 0.01
    assert np.mean(found) < 0.25 * np.mean(plain)
    assert np.max(found) < 0.05


def test_nor_are_weekdays_that_differ_by_chance() -> None:
    worst = []
    for seed in range(12):
        demand = lumpy(np.full((20, 120), 4.0), np.random.default_rng(seed))
        worst.append(np.abs(fit_seasonality(panel_of(demand)).weekly - 1).max())
    assert np.median(worst) < 0.05
    assert np.max(worst) < 0.2


def test_a_strong_season_is_believed_also_of_lumpy_items() -> None:
    wave = weekly_wave(156)
    for seed in range(4):
        demand = lumpy(np.broadcast_to(4 * wave, (60, 156)), np.random.default_rng(seed), shape=0.5)
        panel = panel_of(demand, freq="W-MON", start="2021-01-04")
        found = fit_seasonality(panel).factors(panel.periods)[0]
        assert np.corrcoef(found, wave)[0, 1] > 0.97
        assert 0.75 < found.std() / wave.std() < 1.05
        # What lumpiness hides is lost to the season, not the other way round.
        assert np.abs(found - wave).mean() < 0.08


def test_the_more_is_known_the_more_is_believed() -> None:
    wave = weekly_wave(156)
    error = np.zeros((10, 2))
    for seed in range(10):
        demand = lumpy(np.broadcast_to(4 * wave, (60, 156)), np.random.default_rng(seed))
        for k, n in enumerate((3, 60)):
            panel = panel_of(demand[:n], freq="W-MON", start="2021-01-04")
            error[seed, k] = np.abs(fit_seasonality(panel).factors(panel.periods)[0] - wave).mean()
    few, many = error.mean(axis=0)
    assert many < 0.4 * few
    assert few < np.abs(wave - 1).mean(), "even three lumpy items are better off with what they show"


@pytest.mark.parametrize("rise", [3.0, 1 / 3])
def test_the_season_is_found_beside_growth(rise: float) -> None:
    wave = weekly_wave(156)
    panel = poisson_panel(wave * np.linspace(1, rise, 156), n=60, seed=2, freq="W-MON", start="2021-01-04", low=6)
    found = fit_seasonality(panel).factors(panel.periods)[0]
    assert np.abs(found - wave).mean() < 0.04
    assert np.abs(found - wave).max() < 0.12


def test_a_group_has_its_own_season_and_a_small_one_borrows() -> None:
    wave = weekly_wave(156)
    n = 90
    factor = np.where((np.arange(n) < 45)[:, None], wave[None, :], 1.0)
    panel = poisson_panel(factor, n=n, seed=9, freq="W-MON", start="2021-01-04")
    groups = pd.Series(np.where(np.arange(n) < 44, "waves", np.where(np.arange(n) < 45, "one wave", "flat")))
    season = fit_seasonality(panel, groups)
    assert season.groups == ["flat", "one wave", "waves"]
    assert season.item_group.tolist() == [2] * 44 + [1] + [0] * 45
    found = season.factors(panel.periods)
    error = np.abs(found - np.stack([np.ones(156), wave, wave])).mean(axis=1)
    assert error[0] < 0.03
    assert error[2] < 0.04
    # Hardly anything is sold of the small group: it has the season of all items, half a wave.
    slow = panel_of(panel.demand.copy(), freq="W-MON", start="2021-01-04")
    slow.demand[44] = np.random.default_rng(1).poisson(0.05, 156)
    borrowed, everyone = fit_seasonality(slow, groups), fit_seasonality(slow)
    strength = everyone.factors(panel.periods)[0].std()
    assert strength == pytest.approx(0.5 * wave.std(), rel=0.1)
    away = np.abs(borrowed.yearly - everyone.yearly).mean(axis=1)
    assert away[1] < 0.3 * away[[0, 2]].min()


def test_groups_that_differ_by_chance_share_the_season_of_all() -> None:
    wave = weekly_wave(156)
    panel = poisson_panel(wave, n=90, seed=9, freq="W-MON", start="2021-01-04")
    groups = pd.Series(np.random.default_rng(0).permutation(np.repeat(list("abc"), 30)))
    everyone = fit_seasonality(panel).yearly
    grouped = np.abs(fit_seasonality(panel, groups).yearly - everyone).mean()
    alone = []
    for name in "abc":
        own = panel_of(panel.demand[(groups == name).to_numpy()], freq="W-MON", start="2021-01-04")
        alone.append(np.abs(fit_seasonality(own).yearly - everyone).mean())
    assert grouped < 0.2 * min(alone)


def test_groups_may_be_missing() -> None:
    panel = panel_of(np.ones((3, 10)))
    assert fit_seasonality(panel, pd.Series([None, None, None])).groups == ["all"]
    some = fit_seasonality(panel, pd.Series(["b", None, "a"]))
    assert some.groups == ["", "a", "b"]
    assert some.item_group.tolist() == [2, 0, 1]


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), zero=st.floats(0.3, 1.0))
def test_indices_average_one_and_stay_positive_on_sparse_data(seed: int, zero: float) -> None:
    rng = np.random.default_rng(seed)
    demand = rng.poisson(1.0, (4, 120)) * (rng.random((4, 120)) > zero)
    panel = panel_of(demand, rng.choice([0.0, 0.4, 1.0, RAN_OUT], demand.shape), freq="W-MON", start="2021-01-04")
    season = fit_seasonality(panel, pd.Series(list("xxyz")))
    np.testing.assert_allclose(season.yearly.mean(axis=1), 1.0)
    factors = season.factors(pd.date_range("2020-01-06", periods=300, freq="W-MON"))
    assert np.isfinite(factors).all()
    assert (factors >= 0.02).all()


def test_the_order_of_the_items_does_not_matter() -> None:
    panel = poisson_panel(weekly_wave(110), n=12, seed=10, freq="W-MON", start="2021-01-04")
    groups = pd.Series(["b", "a"] * 6)
    turned = panel_of(panel.demand[::-1], freq="W-MON", start="2021-01-04")
    there, back = fit_seasonality(panel, groups), fit_seasonality(turned, groups[::-1].reset_index(drop=True))
    np.testing.assert_allclose(there.yearly, back.yearly)
    assert there.item_group.tolist() == back.item_group[::-1].tolist()


@given(day=st.dates(pd.Timestamp("2000-01-01").date(), pd.Timestamp("2040-12-31").date()))
def test_every_day_has_a_place_in_the_year(day: object) -> None:
    days = pd.DatetimeIndex([pd.Timestamp(str(day))])
    assert 0 <= year_position(days, "D")[0] <= 52
    assert 0 <= year_position(period_start(days, "W-MON"), "W-MON")[0] <= 52
    assert year_position(period_start(days, "MS"), "MS")[0] == days[0].month - 1
    # A week across New Year belongs to the year that holds its middle.
    assert year_position(pd.DatetimeIndex(["2024-12-30"]), "W-MON")[0] == 0
