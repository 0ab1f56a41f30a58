from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hand_made import flat_season, known, panel_of, skus
from numpy.typing import NDArray

from backorder_forecast.clock import DAYS_PER_PERIOD, period_end
from backorder_forecast.events import CalendarEffects, fit_effects
from backorder_forecast.panel import RAN_OUT, DemandPanel
from backorder_forecast.seasonality import fit_seasonality

Floats = NDArray[np.float64]
START = pd.Timestamp("2022-01-03")
COLUMNS = [
    "kind", "category", "lift", "stated", "basis", "n_item_periods", "n_periods", "units_observed", "units_expected",
    "history_share",
]  # fmt: skip


def events_of(*rows: tuple[object, ...], columns: str = "kind start end") -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns.split())


def covered(events: pd.DataFrame, periods: pd.DatetimeIndex, freq: str) -> Floats:
    """Share of each period that each event covers, (n_events, n_periods), counted day by day."""
    days = pd.date_range(periods[0], period_end(periods[-1:], freq)[0]).to_numpy()
    first, last = (pd.to_datetime(events[c]).to_numpy()[:, None] for c in ("start", "end"))
    running = ((days >= first) & (days <= last)).astype(np.float64)
    begins = np.searchsorted(days, periods.to_numpy())
    return np.asarray(np.add.reduceat(running, begins, axis=1) / np.diff(np.r_[begins, len(days)]))


def promoted(
    n: int = 40, n_periods: int = 104, freq: str = "W-MON", lift: float = 1.6, *, days: int = 14, per: int = 4,
    seed: int = 0, noise: float = 0.0, level: float = 8.0,
) -> tuple[DemandPanel, pd.DataFrame, Floats]:  # fmt: skip
    """A panel of Poisson items with promotions of their own of known lift, the events, and the true factors."""
    rng = np.random.default_rng(seed)
    periods = pd.date_range(START if freq != "MS" else "2022-01-01", periods=n_periods, freq=freq)
    last = int(n_periods * DAYS_PER_PERIOD[freq]) - days
    first = periods[0] + pd.to_timedelta(rng.integers(0, last, n * per), unit="D")
    events = pd.DataFrame({"kind": "promotion", "start": first, "end": first + pd.Timedelta(days=days - 1)})
    events["sku"] = np.repeat(skus(n), per)
    share = covered(events, periods, freq).reshape(n, per, n_periods)
    factor = (1 + share * (lift - 1)).prod(axis=1)
    mean = rng.uniform(0.5, 2, n)[:, None] * level * factor * np.exp(noise * rng.normal(size=n_periods))
    return panel_of(rng.poisson(mean), freq=freq, start=str(periods[0].date())), events, factor


def fitted(panel: DemandPanel, events: pd.DataFrame | None, **options: Any) -> CalendarEffects:
    return fit_effects(panel, flat_season(panel.n_items, panel.freq), events, **options)


def steady(n: int = 3, n_periods: int = 60, units: float = 30.0, freq: str = "W-MON", **columns: Any) -> DemandPanel:
    return panel_of(np.full((n, n_periods), units), freq=freq, start=str(START.date()), **columns)


def by_item(effects: CalendarEffects, periods: pd.DatetimeIndex, **options: pd.Timestamp) -> Floats:
    return effects.factors(periods, **options)[effects.row_of_item]


@pytest.mark.parametrize("events", [None, pd.DataFrame(), events_of(("recall", "2022-03-01", "2022-04-01"))])
def test_without_events_nothing_changes(events: pd.DataFrame | None) -> None:
    panel = steady(n=4)
    effects = fitted(panel, events)
    assert effects.row_of_item.tolist() == [0, 0, 0, 0]
    assert effects.factors(panel.periods).tolist() == [[1.0] * 60]
    assert effects.table.columns.tolist() == COLUMNS
    assert len(effects.table) == 0
    assert effects.notes == ()


@pytest.mark.parametrize(("freq", "n_periods", "days"), [("D", 400, 7), ("W-MON", 104, 14), ("MS", 48, 45)])
@pytest.mark.parametrize("lift", [0.4, 1.0, 1.6, 3.0])
def test_a_known_lift_is_learned_on_every_clock(freq: str, n_periods: int, days: int, lift: float) -> None:
    level = 8.0 * DAYS_PER_PERIOD[freq] / 7
    panel, events, factor = promoted(60, n_periods, freq, lift, days=days, level=level)
    effects = fitted(panel, events)
    row = effects.table.iloc[0]
    assert row["basis"] == "learned"
    assert row["lift"] == pytest.approx(lift, rel=0.08, abs=0.04)
    assert np.abs(by_item(effects, panel.periods) - factor).mean() < 0.01
    assert row["n_item_periods"] == (factor != 1).sum() if lift != 1 else row["n_item_periods"] > 0


def test_it_is_learned_beside_a_season_that_is_learned_too() -> None:
    _, events, factor = promoted(80, 156, "W-MON", 1.8)
    wave = 1 + 0.4 * np.sin(2 * np.pi * np.arange(156) / 52.18)
    waved = panel_of(np.random.default_rng(3).poisson(wave * factor * 10), freq="W-MON", start=str(START.date()))
    season = fit_seasonality(waved)
    assert fit_effects(waved, season, events).table["lift"][0] == pytest.approx(1.8, abs=0.08)


def test_whole_periods_follow_the_gamma_poisson_posterior() -> None:
    answer = known("events")["gamma_poisson"]
    panel = steady(n=1, units=answer["level"])
    weeks = panel.periods[2::5][: answer["n_weeks"]]
    panel.demand[0, panel.periods.isin(weeks)] = answer["promoted"]
    events = pd.DataFrame({"kind": "promotion", "start": weeks, "end": weeks + pd.Timedelta(days=6)})
    table = fitted(panel, events, shrink_units=answer["pseudo_units"]).table
    assert table["lift"][0] == pytest.approx(answer["posterior_mean"])
    assert table["units_observed"][0] == answer["n_weeks"] * answer["promoted"]
    assert table["units_expected"][0] == pytest.approx(answer["n_weeks"] * answer["level"])
    assert table["history_share"][0] == pytest.approx(360 / 400)


def test_little_history_stays_near_one_and_none_is_one() -> None:
    panel = steady(n=1, units=2.0)
    panel.demand[0, 30] = 20.0
    week = panel.periods[30]
    once = events_of(("sale", week, week + pd.Timedelta(days=6)))
    table = fitted(panel, once).table
    assert 1.0 < table["lift"][0] < 1.5
    assert table["basis"][0] == "too little history"
    future = events_of(("sale", "2030-01-07", "2030-01-13"))
    effects = fitted(panel, future)
    assert effects.table["lift"][0] == 1.0
    assert effects.table["n_item_periods"][0] == 0
    assert by_item(effects, pd.DatetimeIndex(["2030-01-07"])).tolist() == [[1.0]]
    assert fitted(panel, once, shrink_units=1e9).table["lift"][0] == pytest.approx(1, abs=1e-6)


def test_what_the_whole_shop_does_on_one_day_proves_little_where_its_days_differ() -> None:
    def lift(noise: float, occasions: int) -> float:
        panel, _, _ = promoted(100, 120, "W-MON", 1.0, noise=noise, seed=5)
        weeks = panel.periods[10 : 110 : 100 // occasions]
        panel.demand[:, panel.periods.isin(weeks)] = np.round(panel.demand[:, panel.periods.isin(weeks)] * 1.5)
        events = pd.DataFrame({"kind": "festival", "start": weeks, "end": weeks + pd.Timedelta(days=6)})
        return float(fitted(panel, events).table["lift"][0])

    assert lift(0.02, 1) > 1.4
    assert lift(0.5, 1) - 1 < 0.1
    assert lift(0.5, 1) < lift(0.5, 10)


def test_hidden_periods_teach_nothing() -> None:
    panel, events, _ = promoted(60, 104, "W-MON", 2.0)
    share = covered(events, panel.periods, "W-MON").reshape(60, 4, 104).max(axis=1)
    out = (share > 0) & (np.random.default_rng(1).random(share.shape) < 0.6)
    for code, sold in ((RAN_OUT, 0.4), (0.0, 0.0), (0.2, 0.1)):
        demand = np.where(out, np.floor(panel.demand * sold), panel.demand)
        seen = panel_of(demand, np.where(out, code, 1.0), freq="W-MON", start=str(START.date()))
        table = fitted(seen, events).table
        assert table["lift"][0] == pytest.approx(2.0, abs=0.12)
        blind = panel_of(demand, freq="W-MON", start=str(START.date()))
        assert fitted(blind, events).table["lift"][0] < 1.7
    half = panel_of(np.where(out, panel.demand / 2, panel.demand), np.where(out, 0.5, 1.0), freq="W-MON",
                    start=str(START.date()))  # fmt: skip
    assert fitted(half, events).table["lift"][0] == pytest.approx(2.0, abs=0.12)


def test_the_level_around_an_event_leaves_other_events_out() -> None:
    panel = steady(n=1, n_periods=80)
    weeks = panel.periods[6::2]
    panel.demand[0, 6::2] = 90.0
    events = pd.DataFrame({"kind": "promotion", "start": weeks, "end": weeks + pd.Timedelta(days=6)})
    table = fitted(panel, events, shrink_units=1e-6).table
    assert table["units_expected"][0] == pytest.approx(30 * len(weeks))
    assert table["lift"][0] == pytest.approx(3.0)
    # An item that is always promoted has no other level: it cannot tell.
    always = events_of(("promotion", "2021-01-01", "2030-01-01"))
    assert fitted(panel, always).table[["lift", "n_item_periods"]].values.tolist() == [[1.0, 0]]


def test_overlapping_events_multiply_and_are_told_apart() -> None:
    rng = np.random.default_rng(2)
    panel = steady(n=30, n_periods=120)
    weeks = panel.periods
    price, flyer = rng.random(120) < 0.3, rng.random(120) < 0.3
    panel.demand[:] = rng.poisson(30.0 * np.where(price, 1.5, 1.0) * np.where(flyer, 2.0, 1.0), (30, 120))
    rows = [("price", w, w + pd.Timedelta(days=6)) for w in weeks[price]]
    rows += [("flyer", w, w + pd.Timedelta(days=6)) for w in weeks[flyer]]
    effects = fitted(panel, events_of(*rows))
    lifts = effects.table.set_index("kind")["lift"]
    assert lifts["price"] == pytest.approx(1.5, abs=0.04)
    assert lifts["flyer"] == pytest.approx(2.0, abs=0.05)
    both = by_item(effects, weeks)[0, price & flyer]
    np.testing.assert_allclose(both, lifts["price"] * lifts["flyer"])
    # Two kinds that never come alone share what they do together.
    twins = events_of(*[(k, w, w + pd.Timedelta(days=6)) for k in ("a", "b") for w in weeks[price]])
    assert by_item(fitted(panel, twins), weeks)[0, price].mean() == pytest.approx(1.5, abs=0.06)


def test_an_event_applies_to_its_sku_category_and_supplier() -> None:
    panel = steady(n=6, category=["x", "x", "y", "y", None, "x"], supplier=["A", "B", "A", "B", "A", None])
    day = ("2030-01-07", "2030-01-13", 2.0)
    columns = "kind start end effect sku category supplier"
    ahead = pd.DatetimeIndex(["2030-01-07"])

    def touched(sku: object, category: object, supplier: object) -> list[bool]:
        effects = fitted(panel, events_of(("promotion", *day, sku, category, supplier), columns=columns))
        return [bool(f > 1) for f in by_item(effects, ahead)[:, 0]]

    assert touched(None, None, "") == [True] * 6
    assert touched("S001", None, None) == [False, True, False, False, False, False]
    assert touched("", "x", None) == [True, True, False, False, False, True]
    assert touched(None, None, "A") == [True, False, True, False, True, False]
    assert touched(None, "x", "A") == [True, False, False, False, False, False]
    assert touched("S001", "y", None) == [False] * 6


def test_items_with_the_same_events_share_a_row_and_others_cost_nothing() -> None:
    panel = steady(n=5, category=["x", "x", "y", "y", "z"])
    events = events_of(("sale", "2022-03-07", "2022-03-13", "x"), columns="kind start end category")
    effects = fitted(panel, events)
    assert effects.row_of_item.tolist() == [1, 1, 0, 0, 0]
    assert effects.factors(panel.periods).shape == (2, 60)
    more = pd.concat([events, events_of(("sale", "2022-05-02", "2022-05-08", "S001"), columns="kind start end sku")])
    rows = fitted(panel, more).row_of_item
    assert rows[0] != rows[1]
    assert rows[2:].tolist() == [0, 0, 0]


def test_the_share_of_a_period_counts() -> None:
    panel = steady(n=1)
    events = events_of(("sale", "2024-01-03", "2024-01-16", 2.0), columns="kind start end effect")
    effects = fitted(panel, events)
    weeks = pd.date_range("2024-01-01", periods=4, freq="W-MON")
    np.testing.assert_allclose(by_item(effects, weeks)[0], [1 + 5 / 7, 2.0, 1 + 2 / 7, 1.0])
    # On Tuesday the five days of the sale are all that is left of the first week.
    left = by_item(effects, weeks, after=pd.Timestamp("2024-01-02"))[0]
    np.testing.assert_allclose(left, [2.0, 2.0, 1 + 2 / 7, 1.0])
    left = by_item(effects, weeks, after=pd.Timestamp("2024-01-16"))[0]
    np.testing.assert_allclose(left[2:], [1.0, 1.0])


def test_a_stated_effect_is_used_and_corrected_by_what_came_true() -> None:
    panel, events, factor = promoted(60, 104, "W-MON", 1.5)
    ahead = pd.DatetimeIndex(["2030-01-07"])
    plan = events_of(("promotion", "2030-01-07", "2030-01-13", 3.0), columns="kind start end effect")
    alone = fitted(panel, plan)
    assert alone.table[["lift", "stated", "basis"]].values.tolist() == [[3.0, 3.0, "stated"]]
    assert by_item(alone, ahead)[0, 0] == 3.0
    right = fitted(panel, events.assign(effect=1.5))
    assert right.table["basis"][0] == "learned and stated"
    assert right.table["lift"][0] == pytest.approx(1.5, abs=0.04)
    assert np.abs(by_item(right, panel.periods) - factor).mean() < 0.01
    # Half of the stated uplift came true, so half of the next one is expected.
    late = pd.concat([events.assign(effect=2.0), plan], ignore_index=True)
    assert by_item(fitted(panel, late), ahead)[0, 0] == pytest.approx(2.0, abs=0.1)
    firm = fitted(panel, late, shrink_units=1e7)
    assert by_item(firm, ahead)[0, 0] == pytest.approx(3.0, abs=0.01)
    none = fitted(panel, events.assign(effect=1.0))
    assert (none.factors(panel.periods) == 1.0).all()


def test_rows_with_and_without_a_stated_effect_are_two_kinds() -> None:
    panel, events, _ = promoted(60, 104, "W-MON", 1.5)
    stated = events.assign(effect=np.where(np.arange(len(events)) % 2 == 0, 1.5, np.nan))
    table = fitted(panel, stated).table
    assert table["kind"].tolist() == ["promotion", "promotion"]
    assert table["basis"].tolist() == ["learned", "learned and stated"]
    assert table["stated"].fillna(0).tolist() == [0.0, 1.5]
    np.testing.assert_allclose(table["lift"], 1.5, atol=0.06)


def test_a_category_with_history_has_its_own_lift() -> None:
    weak, events, _ = promoted(40, 104, "W-MON", 1.2, seed=1)
    strong, _, _ = promoted(40, 104, "W-MON", 2.4, seed=1)
    category = np.repeat(["weak", "strong"], 20)
    demand = np.where((category == "weak")[:, None], weak.demand, strong.demand)
    panel = panel_of(demand, freq="W-MON", start=str(START.date()), category=[*category[:-1], "tiny"])
    only = events[(events["sku"] != "S039") | ~events["sku"].duplicated()]
    table = fitted(panel, only).table.set_index("category")["lift"]
    assert table["weak"] == pytest.approx(1.2, abs=0.07)
    assert table["strong"] == pytest.approx(2.4, abs=0.12)
    assert table["weak"] < table[""] < table["strong"]
    # One promotion says little of its category, which follows the others.
    assert "tiny" not in table.index
    effects = fitted(panel, pd.concat([only, events_of(("promotion", "2030-01-07", "2030-01-13"))]))
    ahead = by_item(effects, pd.DatetimeIndex(["2030-01-07"]))[:, 0]
    assert ahead[0] < ahead[39] < ahead[20] * 1.05


def test_the_order_of_rows_and_items_does_not_matter() -> None:
    panel, events, _ = promoted(20, 104, "W-MON", 1.7)
    more = pd.concat([events, events_of(("Sale", "2022-05-02", "2022-05-20"), ("sale", "2022-09-01", None))])
    there = fitted(panel, more, holidays_country="DE")
    for seed in range(3):
        mixed = more.sample(frac=1, random_state=seed)
        back = fitted(panel, mixed, holidays_country="DE")
        pd.testing.assert_frame_equal(there.table, back.table, check_exact=True)
        assert (there.factors(panel.periods) == back.factors(panel.periods)).all()
    turned = DemandPanel(
        panel.items[::-1].reset_index(drop=True), panel.periods, panel.freq, panel.as_of, panel.demand[::-1].copy(),
        panel.exposure[::-1].copy(),
    )  # fmt: skip
    again = fitted(turned, more, holidays_country="DE")
    np.testing.assert_allclose(by_item(again, panel.periods)[::-1], by_item(there, panel.periods))
