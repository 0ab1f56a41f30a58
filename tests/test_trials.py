"""Trials know only what was known, score only what was seen, and take luck for luck."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hand_made import panel_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from backorder_forecast.level_laws import sum_loss
from backorder_forecast.panel import LEAST_SHOWN, RAN_OUT, RAN_OUT_SHARE, DemandPanel
from backorder_forecast.settings import Settings
from backorder_forecast.trials import (
    CLASSES,
    LEVELS,
    MIN_SUMS,
    Trial,
    best_of,
    class_codes,
    class_losses,
    default_window,
    item_classes,
    loss_rows,
    make_trial,
    pick,
    relative_gains,
    season_columns,
    trial_law,
    trial_states,
    window_loss,
)

Floats = NDArray[np.float64]
SETTINGS = Settings(global_model=False)
ALPHA = np.full(len(CLASSES), 0.1)
N_PERIODS, WINDOW = 160, 4


def shop(n: int = 30, seed: int = 0, n_periods: int = N_PERIODS) -> DemandPanel:
    rng = np.random.default_rng(seed)
    weeks = pd.date_range("2021-01-04", periods=n_periods, freq="W-MON")
    wave = 1 + 0.4 * np.sin(2 * np.pi * weeks.day_of_year.to_numpy() / 365.25)
    demand = rng.poisson(rng.uniform(0.2, 8, (n, 1)) * wave)
    return panel_of(demand, freq="W-MON", start="2021-01-04", category=["x", "y"] * (n // 2))


def trial_of(panel: DemandPanel, *, window: int = WINDOW, column: str = "category") -> Trial:
    trial = make_trial(panel, column, None, SETTINGS, window)
    assert trial is not None
    return trial


def sums_of(trial: Trial, alpha: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of every window's sum by the simple model, (n_items, n_origins)."""
    states = trial_states(trial, alpha, SETTINGS)
    mean, variance = np.zeros(trial.actual.shape), np.zeros(trial.actual.shape)
    for k in range(len(trial.origins)):
        _, mean[:, k], variance[:, k], _ = trial_law(trial, states, k, alpha, SETTINGS)
    return mean, variance


# --- what is scored


def test_origins_are_one_window_apart_up_to_the_last_that_is_over() -> None:
    panel = shop()
    for window in (1, 4, 13):
        trial = trial_of(panel, window=window)
        assert trial.origins[-1] + window == N_PERIODS
        assert (np.diff(trial.origins) == window).all()
        assert (3 if window == 13 else 6) <= len(trial.origins) <= 12
        for k, origin in enumerate(trial.origins):
            np.testing.assert_array_equal(trial.actual[:, k], panel.demand[:, origin : origin + window].sum(axis=1))
    few, many = trial_of(shop(10)), trial_of(shop(300))
    assert len(few.origins) > len(many.origins), "fewer items are tried more often"


@pytest.mark.parametrize(("code", "worth"), [(0.0, 0.0), (0.4, 0.4), (RAN_OUT, RAN_OUT_SHARE)])
def test_of_a_window_touched_by_a_stockout_the_part_in_stock_is_scored(code: float, worth: float) -> None:
    panel, whole, k = shop(), trial_of(shop(), window=8), 5
    origin = int(whole.origins[k])
    item = int(panel.demand[:, origin + 1].argmax())
    exposure = panel.exposure.copy()
    exposure[item, origin + 1] = code
    trial = trial_of(replace(panel, exposure=exposure), window=8)
    hidden = panel.demand[item, origin + 1]
    assert hidden > 0
    other = np.ones_like(trial.scored)
    other[item, k] = False
    factor = trial.factors[trial.calendar.row[item], origin + 1]
    for name, lost in (("actual", hidden if worth == 0 else 0.0), ("factor_sum", (1 - worth) * factor),
                       ("square_sum", (1 - worth) * factor**2)):  # fmt: skip
        mine, before = getattr(trial, name), getattr(whole, name)
        np.testing.assert_allclose(mine[other], before[other], rtol=1e-12)
        assert mine[item, k] == pytest.approx(before[item, k] - lost)
    assert trial.shown[item, k] == pytest.approx(trial.factor_sum[item, k] / whole.factor_sum[item, k])
    assert (trial.shown[other] == 1).all()
    np.testing.assert_array_equal(trial.scored, whole.scored)


def test_a_window_too_much_of_which_was_out_of_stock_is_not_scored() -> None:
    panel = shop()
    origin = int(trial_of(panel).origins[-2])
    exposure = panel.exposure.copy()
    for item, share in ((3, 0.0), (5, LEAST_SHOWN - 0.01), (7, LEAST_SHOWN + 0.01)):
        exposure[item, origin : origin + WINDOW] = share
    trial = trial_of(replace(panel, exposure=exposure))
    assert (~trial.scored).sum() == 2
    assert trial.scored[[3, 5, 7], -2].tolist() == [False, False, True]


def test_nor_are_items_before_their_first_sale() -> None:
    panel = shop()
    panel.demand[0] = 0.0
    panel.demand[1, :150] = 0.0
    panel.demand[1, 150] = 5.0
    trial = trial_of(panel)
    assert not trial.scored[0].any()
    assert trial.scored[1].tolist() == (trial.origins > 150).tolist()


def test_no_trial_of_a_short_history_or_of_few_sums() -> None:
    assert make_trial(shop(n_periods=7), "", None, SETTINGS, WINDOW) is None
    one = panel_of(np.full((1, 200), 2.0), freq="W-MON")
    assert make_trial(one, "", None, SETTINGS, WINDOW) is None
    hidden = replace(shop(), exposure=np.where(np.arange(N_PERIODS) >= 100, 0.2, 1.0) * np.ones((30, 1)))
    assert make_trial(hidden, "", None, SETTINGS, WINDOW) is None


def test_factors_of_a_window_are_summed() -> None:
    trial = trial_of(shop())
    own = trial.factors[trial.calendar.row]
    for k, origin in enumerate(trial.origins):
        part = own[:, origin : origin + WINDOW]
        np.testing.assert_allclose(trial.factor_sum[:, k], part.sum(axis=1))
        np.testing.assert_allclose(trial.square_sum[:, k], (part**2).sum(axis=1))
    assert trial.factor_sum.std() > 0.1


def test_many_items_are_stood_for_by_the_same_ones_whatever_their_order() -> None:
    panel = shop(700, n_periods=60)
    turned = replace(
        panel, items=panel.items.iloc[::-1].reset_index(drop=True), demand=panel.demand[::-1],
        exposure=panel.exposure[::-1],
    )  # fmt: skip
    there, back = trial_of(panel), trial_of(turned)
    assert there.panel.n_items == back.panel.n_items < 700
    assert set(there.panel.items["sku"]) == set(back.panel.items["sku"])
    np.testing.assert_array_equal(there.actual, back.actual[::-1])


# --- what is known


def test_a_candidate_sees_nothing_after_its_origin() -> None:
    panel = shop()
    trial = trial_of(panel)
    rng = np.random.default_rng(1)
    for k in (0, 2, len(trial.origins) - 1):
        origin = int(trial.origins[k])
        demand = panel.demand.copy()
        demand[:, origin:] = rng.choice([0.0, 2.0, 1e5], demand[:, origin:].shape)
        other = trial_of(replace(panel, demand=demand))
        np.testing.assert_array_equal(trial.origins, other.origins)
        known, now = sums_of(trial, ALPHA), sums_of(other, ALPHA)
        for mine, theirs in zip(known, now, strict=True):
            np.testing.assert_array_equal(mine[:, : k + 1], theirs[:, : k + 1])
        if k + 1 < len(trial.origins):
            assert not np.array_equal(known[0][:, k + 1], now[0][:, k + 1])


def test_the_season_is_of_the_time_before_the_first_origin() -> None:
    panel = shop()
    trial = trial_of(panel)
    assert (trial.calendar.season.yearly != 1).any()
    wild = panel.demand.copy()
    wild[:, trial.origins[0] :] *= np.linspace(1, 30, N_PERIODS - trial.origins[0]).round()
    np.testing.assert_array_equal(trial.factors, trial_of(replace(panel, demand=wild)).factors)


def test_planned_events_are_known_and_what_they_did_is_not() -> None:
    panel = shop()
    first = panel.periods[[30, 50, 70, 158]]
    events = pd.DataFrame({"kind": "sale", "start": first, "end": first + pd.Timedelta(days=6)})
    sold = panel.demand.copy()
    sold[:, [30, 50, 70]] = 2 * sold[:, [30, 50, 70]]
    factors = []
    for there in (1.0, 9.0):
        sold[:, 158] = there * panel.demand[:, 158]
        trial = make_trial(replace(panel, demand=sold), "", events, SETTINGS, WINDOW)
        assert trial is not None
        factors.append(trial.factors[0] / trial.calendar.season.factors(panel.periods)[0])
    np.testing.assert_array_equal(factors[0], factors[1])
    assert factors[0][158] == pytest.approx(2.0, abs=0.3)
    assert factors[0][157] == 1.0


# --- losses


def test_the_loss_is_that_of_the_summed_demand_by_class() -> None:
    trial = trial_of(shop())
    mean, variance = sums_of(trial, ALPHA)
    code = np.repeat(trial.classes[:, None], len(trial.origins), axis=1)
    use = trial.scored & (np.arange(30) % 3 > 0)[:, None]
    losses = class_losses(trial, mean, variance, code, use)
    for c in range(len(CLASSES)):
        for k in range(len(trial.origins)):
            rows = use[:, k] & (trial.classes == c)
            by_hand = sum_loss(
                trial.actual[rows, k], mean[rows, k], variance[rows, k], trial.counted[rows], trial.no_demand[rows],
                LEVELS,
            )  # fmt: skip
            assert losses[k, c] == pytest.approx(by_hand.sum())
    other = window_loss(trial, 0, mean[:, 0], variance[:, 0], use[:, 0], actual=trial.actual[:, 0] + 50)
    assert other.sum() > losses[0].sum()


def test_a_sharper_candidate_loses_less() -> None:
    """Steady demand, so that less smoothing is only noise."""
    trial = trial_of(shop(60, seed=3))
    everything = trial.scored & (trial.first < trial.origins[0])[:, None]
    code = np.zeros(everything.shape, dtype=np.int64)
    losses = [class_losses(trial, *sums_of(trial, ALPHA * k), code, everything).sum() for k in (0.5, 5.0)]
    assert losses[0] < 0.95 * losses[1]


# --- picking


CANDIDATES = np.array([0.0, 0.5, 1.0])
DEFAULT = np.full(len(CLASSES), 0.5)


def picked(
    losses: Floats, count: list[int], *, default: Floats = DEFAULT, least_gain: float = 0.0
) -> tuple[Floats, pd.DataFrame]:
    rows: list[pd.DataFrame] = []
    full = np.array([*count, *[0] * (len(CLASSES) - len(count))])
    wide = np.zeros((3, losses.shape[1], len(CLASSES)))
    wide[:, :, : losses.shape[2]] = losses
    best = pick(wide, full, CANDIDATES, default, "thing", rows, least_gain=least_gain)
    return best, loss_rows(rows)


def one_class(*gains: list[float]) -> Floats:
    """Losses of the first and the last candidate, each by what they save of 100 a period, around the default."""
    saved = np.zeros((3, len(gains[0]), 1))
    saved[2, :, 0] = gains[0]
    saved[0, :, 0] = gains[1] if len(gains) > 1 else -5.0
    return 100.0 - saved


def test_luck_at_one_origin_is_no_reason_to_leave_the_default() -> None:
    lucky = [30.0, -0.5, 0.3, -0.2, 0.1, -0.4, 0.2, -0.1]
    steady = [2.0, 1.5, 2.5, 1.0, 2.2, 1.8, 1.2, 2.4]
    assert sum(lucky) > sum(steady)
    assert picked(one_class(lucky), [5000])[0][0] == 0.5
    assert picked(one_class(steady), [5000])[0][0] == 1.0
    assert picked(one_class(lucky, steady), [5000])[0][0] == 0.0
    assert picked(one_class([-x for x in steady]), [5000])[0][0] == 0.5


def test_one_origin_alone_must_gain_more_than_two_percent() -> None:
    assert picked(one_class([1.9]), [5000])[0][0] == 0.5
    assert picked(one_class([2.5]), [5000])[0][0] == 1.0


def test_a_gain_may_have_to_be_worth_it() -> None:
    small = [0.4, 0.5, 0.45, 0.5]
    assert picked(one_class(small), [5000])[0][0] == 1.0
    assert picked(one_class(small), [5000], least_gain=0.005)[0][0] == 0.5


def test_a_small_class_goes_with_all_and_a_large_one_its_own_way() -> None:
    many, few = one_class([3.0, 2.8, 3.1, 2.9, 3.0], [-3.0] * 5), one_class([-3.0] * 5, [3.0, 2.8, 3.1, 2.9, 3.0])
    small, _ = picked(np.concatenate([many, few / 50], axis=2), [20_000, 10])
    assert small[:2].tolist() == [1.0, 1.0]
    large, _ = picked(np.concatenate([many, few / 5], axis=2), [20_000, 4_000])
    assert large[:2].tolist() == [1.0, 0.0]
    # Who was never scored goes with all, and there is nothing to show for it.
    best, rows = picked(many, [20_000])
    assert best.tolist() == [1.0] * len(CLASSES)
    assert rows["class"].unique().tolist() == [CLASSES[0]]


def test_each_class_starts_from_its_own_default() -> None:
    even = np.full((3, 6, 2), 100.0)
    default = np.array([0.0, 1.0, *DEFAULT[2:]])
    assert picked(even, [500, 500], default=default)[0].tolist() == default.tolist()


def test_too_few_sums_choose_nothing() -> None:
    best, rows = picked(one_class([9.0] * 6), [MIN_SUMS - 1])
    assert best.tolist() == DEFAULT.tolist()
    assert rows.empty
    assert picked(one_class([9.0] * 6), [MIN_SUMS])[0][0] == 1.0


def test_what_was_compared_is_shown() -> None:
    _, rows = picked(one_class([2.0, 3.0, 2.5, 2.5]), [100_000_000])
    assert rows.columns.tolist() == ["class", "choice", "candidate", "relative_loss"]
    assert rows["choice"].unique().tolist() == ["thing"]
    assert rows["candidate"].tolist() == ["0", "0.5", "1"]
    np.testing.assert_allclose(rows["relative_loss"], [1.05, 1.0, 0.975], rtol=1e-5)


@given(losses=st.lists(st.lists(st.floats(0, 1e6), min_size=3, max_size=3), min_size=1, max_size=8))
def test_gains_are_shares_of_the_loss_of_the_default(losses: list[list[float]]) -> None:
    values = np.array(losses).T
    gain = relative_gains(values, 1)
    assert gain.shape == values.shape
    assert (gain[1] == 0).all()
    assert np.isfinite(gain).all()
    if values[1].sum() > 1e-6:
        assert 1 - gain.sum(axis=1) == pytest.approx(values.sum(axis=1) / values[1].sum(), rel=1e-6, abs=1e-6)
    chosen = best_of(gain, 1)
    assert chosen == 1 or gain[chosen].sum() > 0


# --- names


def test_windows_of_each_clock() -> None:
    assert [default_window(f) for f in ("D", "W-MON", "W-SUN", "MS")] == [28, 4, 4, 3]
    assert [default_window("D", h) for h in (1, 10, 90)] == [1, 10, 28]


def test_columns_that_may_have_a_season() -> None:
    n = 40
    items = pd.DataFrame({
        "sku": [f"S{k}" for k in range(n)], "location": ["a", "b"] * 20, "supplier": ["p", "q"] * 20,
        "category": pd.Categorical(["x", "y"] * 20), "name": [f"thing {k}" for k in range(n)], "one": "same",
        "price": np.arange(n) % 3, "launched": pd.Timestamp("2024-01-01"), "brand": [None, "u", "v", "w"] * 10,
    })  # fmt: skip
    assert season_columns(items) == ["category", "brand", "supplier"]
    assert season_columns(items[["sku", "location", "price"]]) == []


def test_classes_are_of_periods_in_stock() -> None:
    demand = np.array([[5.0, 6, 5, 6] * 10, [5.0, 0, 0, 0] * 10, [5.0, 0, 0, 0] * 10, [0.0] * 40])
    exposure = np.ones((4, 40))
    exposure[2] = np.tile([1.0, 0, 0, 0], 10)
    names = item_classes(panel_of(demand, exposure))
    assert names.tolist() == ["smooth", "intermittent", "smooth", "no_demand"]
    assert [CLASSES[c] for c in class_codes(names)] == names.tolist()
