from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hand_made import known, panel_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_events import START, by_item, events_of, fitted, promoted, steady

from backorder_forecast import Settings, demand_panel, forecast_demand
from backorder_forecast.errors import InvalidSettings, InvalidTables
from backorder_forecast.events import fit_effects, holiday_events
from backorder_forecast.panel import RAN_OUT
from backorder_forecast.seasonality import fit_seasonality


def test_an_event_is_one_however_often_and_however_it_is_written() -> None:
    panel, events, _ = promoted(20, 104, "W-MON", 1.7)
    first = fitted(panel, events)
    twice = pd.concat([events, events.assign(kind=" PROMOTION ")[:10], events[:10]])
    second = fitted(panel, twice)
    assert second.table["kind"].tolist() == ["PROMOTION"]
    pd.testing.assert_frame_equal(first.table.drop(columns="kind"), second.table.drop(columns="kind"))


def test_an_event_ahead_changes_only_what_is_ahead() -> None:
    panel, events, _ = promoted(20, 104, "W-MON", 1.7)
    plan = pd.DataFrame(
        {"kind": ["promotion", "opening"], "start": "2024-03-04", "end": "2024-03-10", "sku": ["S003", "S004"],
         "effect": [np.nan, 4.0]}
    )  # fmt: skip
    weeks = pd.date_range(START, periods=130, freq="W-MON")
    before, after = fitted(panel, events), fitted(panel, pd.concat([events, plan]))
    past = weeks <= panel.as_of
    old, new = by_item(before, weeks), by_item(after, weeks)
    assert (old[:, past] == new[:, past]).all()
    changed = old != new
    assert changed.sum() == 2
    lift = before.table["lift"][0]
    week = weeks == pd.Timestamp("2024-03-04")
    np.testing.assert_allclose(new[[3, 4]][:, week].ravel(), [lift, 4.0])
    assert after.table.loc[after.table["kind"] == "promotion", "lift"].iloc[0] == lift


def test_kinds_of_supply_are_left_out_unless_they_state_an_effect_on_demand() -> None:
    panel = steady(n=2, supplier=["A", "B"])
    kinds = ["Recall", "supply disruption", "supplier closure", "Supplier holiday", "Closed", "Promotion", "FLOOD"]
    events = pd.DataFrame({"kind": kinds, "start": "2022-06-06", "end": "2022-06-12"})
    assert fitted(panel, events).table["kind"].tolist() == ["Closed", "Promotion"]
    named = fitted(panel, events.assign(supplier="A"))
    assert named.table["kind"].tolist() == ["Promotion"]
    said = fitted(panel, events.assign(effect=0.8, supplier="A"))
    assert sorted(said.table["kind"]) == sorted(kinds)


def test_lifts_stay_plausible() -> None:
    panel = steady(n=3, n_periods=80)
    weeks = panel.periods[5::8]
    panel.demand[:, 5::8] = 0.0
    closed = pd.DataFrame({"kind": "closed", "start": weeks, "end": weeks + pd.Timedelta(days=6)})
    assert fitted(panel, closed, shrink_units=1e-9).table["lift"][0] == 0.02
    panel.demand[:, 5::8] = 30000.0
    effects = fitted(panel, closed, shrink_units=1e-9)
    assert effects.table["lift"][0] == 20.0
    assert effects.factors(panel.periods).max() == 20.0
    gone = fitted(panel, closed.assign(start="2030-01-07", end="2030-01-13", effect=0.0))
    assert by_item(gone, pd.DatetimeIndex(["2030-01-07"]))[0, 0] == pytest.approx(0.02)


def test_what_changes_nothing_is_said() -> None:
    panel = steady(n=2, category="x")
    events = pd.DataFrame(
        {"kind": "sale", "start": "2022-06-08", "end": ["2022-06-09", None, None], "sku": ["S000", "S001", "S9"]}
    )
    effects = fitted(panel, events)
    assert effects.notes == (
        "2 events without an end count as one day",
        "events that no item belongs to change nothing: 1 such as sku S9",
    )
    np.testing.assert_allclose(effects.calendar.events["end"] - effects.calendar.events["start"], [0, 0, 1])


@pytest.mark.parametrize(
    ("change", "column", "text"),
    [
        ({"end": "2022-05-01"}, "end", "ends before it starts"),
        ({"start": "soon"}, "start", "not a date"),
        ({"start": None}, "start", "not a date"),
        ({"end": "later"}, "end", "not a date"),
        ({"kind": ""}, "kind", "the kind is missing"),
        ({"effect": "plenty"}, "effect", "not a number; found plenty"),
        ({"effect": -0.5}, "effect", "not a factor"),
        ({"effect": np.inf}, "effect", "not a factor"),
    ],
)
def test_events_that_cannot_be_read_are_refused_with_their_row(
    change: dict[str, object], column: str, text: str
) -> None:
    good = {"kind": "sale", "start": "2022-06-06", "end": "2022-06-12", "effect": 1.5}
    with pytest.raises(InvalidTables, match=text) as error:
        fitted(steady(), pd.DataFrame([good, good | change]))
    assert error.value.failures[["table", "row", "column"]].values.tolist() == [["events", 2, column]]


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InvalidTables, match="column end: needed column is missing; found kind, start"):
        fitted(steady(), events_of(("sale", "2022-06-06"), columns="kind start"))


def test_good_friday_is_where_it_belongs() -> None:
    days = holiday_events("DE", pd.Timestamp("2019-01-01"), pd.Timestamp("2024-12-31"))
    friday = days.loc[days["kind"] == "holiday: Good Friday", "start"]
    sundays = pd.to_datetime(list(known("events")["easter_sunday"]["dates"].values()))
    assert (pd.DatetimeIndex(friday) + pd.Timedelta(days=2)).tolist() == sundays.tolist()
    assert (days["start"] == days["end"]).all()
    assert "holiday: Epiphany" not in set(days["kind"])
    bavaria = holiday_events("de-by", pd.Timestamp("2019-01-01"), pd.Timestamp("2024-12-31"))
    assert "holiday: Epiphany" in set(bavaria["kind"])


def test_a_holiday_has_one_name_in_all_years() -> None:
    first, last = pd.Timestamp("2015-01-01"), pd.Timestamp("2030-12-31")
    for country in ("TR", "CN", "US"):
        kinds = holiday_events(country, first, last)["kind"]
        assert not kinds.str.contains(r"estimated|\(.*\d.*\)|\(\)").any()
    eids = holiday_events("TR", first, last)
    eids = eids[eids["kind"] == "holiday: Eid al-Fitr"]
    assert eids["start"].dt.year.nunique() == 16


@pytest.mark.parametrize(
    ("country", "text"), [("XX", "unknown holidays_country 'XX'"), ("DE-ZZ", "unknown part of DE in holidays_country")]
)
def test_an_unknown_country_is_refused(country: str, text: str) -> None:
    with pytest.raises(InvalidSettings, match=text):
        fitted(steady(), None, holidays_country=country)


def test_without_the_library_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)
    with pytest.raises(InvalidSettings, match=r"pip install 'backorder_forecast\[holidays\]'"):
        fitted(steady(), None, holidays_country="DE")
    assert len(fitted(steady(), None).table) == 0


@pytest.mark.parametrize("freq", ["D", "W-MON"])
def test_easter_moves_and_is_learned(freq: str) -> None:
    rng = np.random.default_rng(4)
    periods = pd.date_range("2019-12-30", "2023-12-31", freq=freq)
    easter = pd.to_datetime(list(known("events")["easter_sunday"]["dates"].values()))
    fridays = easter - pd.Timedelta(days=2)
    held = periods.isin(fridays) if freq == "D" else periods.isin(fridays - pd.Timedelta(days=4))
    mean = np.where(held, 2.0, 1.0) * 40.0 / (7 if freq == "D" else 1)
    panel = panel_of(rng.poisson(mean, (60, len(periods))), freq=freq, start="2019-12-30")
    first = fit_effects(panel, fit_seasonality(panel), None, holidays_country="GB")
    # Without what was learned of Easter, the season of the weeks around it is the one of other years too.
    rest = replace(panel, demand=panel.demand / by_item(first, periods))
    season = fit_seasonality(rest)
    effects = fit_effects(panel, season, None, holidays_country="GB")
    both = by_item(effects, periods)[0] * season.factors(periods)[0]
    assert np.abs(both - np.where(held, 2.0, 1.0)).mean() < 0.015
    np.testing.assert_allclose(both[held], 2.0, atol=0.1)
    table = effects.table.set_index("kind")
    row = table.loc["holiday: Good Friday"]
    assert row["basis"] == "learned"
    assert row["lift"] == pytest.approx(2.0, abs=0.25)
    assert row["n_periods"] == 4
    others = table.drop(index="holiday: Good Friday")["lift"]
    assert (others - 1).abs().max() < 0.12
    ahead = pd.date_range("2024-01-01", "2024-06-30", freq=freq)
    factor = by_item(effects, ahead)[0]
    # Good Friday 2024 is the 29th of March, three weeks before that of 2022.
    assert ahead[factor.argmax()] == pd.Timestamp("2024-03-29" if freq == "D" else "2024-03-25")
    assert len(set(effects.row_of_item)) == 1


def test_a_holiday_that_the_season_knows_leaves_nothing_to_learn() -> None:
    rng = np.random.default_rng(5)
    months = pd.date_range("2018-01-01", periods=72, freq="MS")
    mean = np.where(months.month == 12, 90.0, 30.0)
    panel = panel_of(rng.poisson(mean, (40, 72)), freq="MS", start="2018-01-01")
    effects = fit_effects(panel, fit_seasonality(panel), None, holidays_country="DE")
    assert (effects.table["lift"] - 1).abs().max() < 0.05


def test_a_holiday_of_several_days_moves_its_week_once() -> None:
    rng = np.random.default_rng(6)
    panel = panel_of(rng.poisson(30, (30, 156)), freq="W-MON", start="2021-01-04")
    eid = holiday_events("TR", panel.periods[0], panel.as_of)
    first = eid.loc[eid["kind"] == "holiday: Eid al-Adha", "start"]
    held = panel.periods.isin(first - pd.to_timedelta(first.dt.day_of_week, unit="D"))
    panel.demand[:, held] *= 2
    table = fitted(panel, None, holidays_country="TR").table.set_index("kind")
    assert table.loc["holiday: Eid al-Adha", "lift"] == pytest.approx(2.0, abs=0.3)
    assert table.loc["holiday: Eid al-Adha", "n_item_periods"] == 30 * held.sum()


@settings(max_examples=30)
@given(data=st.data(), freq=st.sampled_from(["D", "W-MON", "MS"]), seed=st.integers(0, 100))
def test_whatever_happens_factors_are_plausible(data: st.DataObject, freq: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_periods = data.draw(st.integers(1, 70))
    demand = rng.poisson(1.0, (3, n_periods)) * (rng.random((3, n_periods)) < 0.5) * rng.choice([1.0, 0.3])
    exposure = rng.choice([0.0, 0.1, 0.5, 1.0, RAN_OUT], demand.shape)
    start = "2022-01-01" if freq == "MS" else "2022-01-03"
    panel = panel_of(demand, exposure, freq=freq, start=start, category=["x", None, "y"])
    day = st.integers(-200, 900)
    rows = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from(["a", "b"]), day, st.integers(0, 400), st.sampled_from(["S000", "S001", ""]),
                st.sampled_from(["x", ""]), st.sampled_from([None, 0.0, 0.5, 1.0, 7.0, 1e6]),
            ),
            max_size=6,
        )
    )  # fmt: skip
    events = events_of(
        *[(k, START + pd.Timedelta(days=a), START + pd.Timedelta(days=a + d), s, c, e) for k, a, d, s, c, e in rows],
        columns="kind start end sku category effect",
    )
    effects = fitted(panel, events, holidays_country=data.draw(st.sampled_from(["", "GB"])))
    assert np.isfinite(effects.table["lift"]).all()
    assert effects.table["lift"].between(0.02, 20).all()
    assert effects.table["history_share"].between(0, 1).all()
    factors = effects.factors(pd.date_range(start, periods=100, freq=freq))
    assert np.isfinite(factors).all()
    assert (factors > 0).all()
    assert (factors[0] == 1).all()
    assert effects.row_of_item.max() < len(factors)


def test_a_planned_promotion_lifts_the_forecast() -> None:
    days = pd.date_range("2024-01-01", periods=200)
    promoted = (np.arange(200) % 40 < 4).astype(float)
    rng = np.random.default_rng(3)
    demand = rng.poisson(10.0 * (1.0 + promoted[None, :]), (30, 200)).astype(float)
    long = pd.DataFrame({"sku": np.repeat([f"S{i}" for i in range(30)], 200), "date": np.tile(days, 30)})
    panel = demand_panel(long.assign(quantity=demand.ravel()), freq="D")
    starts = days[np.arange(200) % 40 == 0].append(pd.DatetimeIndex(["2024-07-20"]))
    events = pd.DataFrame({"kind": "promotion", "start": starts, "end": starts + pd.Timedelta(days=3)})
    ahead = forecast_demand(panel, 10, settings=Settings(n_paths=200), events=events).mean()
    by_day = ahead.groupby("date")["mean"].mean()
    during = (by_day.index >= "2024-07-20") & (by_day.index <= "2024-07-23")
    assert by_day[during].mean() / by_day[~during].mean() == pytest.approx(2.0, rel=0.1)
