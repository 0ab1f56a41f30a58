"""Season and events learned side by side, and the rows of their product."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hand_made import panel_of
from numpy.typing import NDArray

from backorder_forecast.calendars import DemandCalendar, fit_calendar, with_periods_ahead
from backorder_forecast.panel import DemandPanel
from backorder_forecast.seasonality import fit_seasonality
from backorder_forecast.settings import Settings

Floats = NDArray[np.float64]
N_WEEKS = 209
WEEKS = pd.date_range("2020-01-06", periods=N_WEEKS, freq="W-MON")
WAVE = 1 + 0.4 * np.sin(2 * np.pi * (WEEKS + pd.Timedelta(days=3)).day_of_year.to_numpy() / 365.25)
# Sundays of a feast that moves from year to year, the last one still ahead.
FEASTS = pd.to_datetime(["2020-04-12", "2021-04-04", "2022-04-17", "2023-04-09", "2024-03-31"])


def feasts() -> pd.DataFrame:
    return pd.DataFrame({"kind": "feast", "start": FEASTS - pd.Timedelta(days=6), "end": FEASTS})


def feast_panel(lift: float = 3.0, n: int = 40, seed: int = 0) -> tuple[DemandPanel, NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    feast = np.isin(WEEKS, FEASTS - pd.Timedelta(days=6))
    assert feast.sum() == 4
    truth = WAVE * np.where(feast, lift, 1.0)
    return panel_of(rng.poisson(rng.uniform(4, 12, (n, 1)) * truth), freq="W-MON", start="2020-01-06"), feast


def calendar_of(
    panel: DemandPanel, groups: pd.Series | None = None, events: pd.DataFrame | None = None
) -> DemandCalendar:
    return fit_calendar(panel, groups, events, Settings())


def test_a_feast_that_moves_does_not_pass_for_season() -> None:
    panel, _ = feast_panel()
    calendar = calendar_of(panel, events=feasts())
    season = calendar.season.factors(WEEKS)[0]
    blind = fit_seasonality(panel).factors(WEEKS)[0]
    spring = np.abs((WEEKS.day_of_year.to_numpy() + 3) - 99) < 28
    assert np.abs(season - WAVE)[spring].mean() < 0.06
    assert np.abs(season - WAVE)[spring].mean() < 0.35 * np.abs(blind - WAVE)[spring].mean()
    assert calendar.effects.table["lift"][0] == pytest.approx(3.0, abs=0.2)


def test_the_lift_is_learned_beside_the_season_without_it() -> None:
    """With the bump left in the season the feast would seem to do less."""
    panel, feast = feast_panel()
    both = calendar_of(panel, events=feasts()).factors(WEEKS)[0]
    truth = WAVE * np.where(feast, 3.0, 1.0)
    assert np.abs(both / truth - 1)[feast].max() < 0.1
    assert np.abs(both / truth - 1).mean() < 0.05


def test_the_feast_ahead_is_forecast_on_its_own_day() -> None:
    panel, _ = feast_panel()
    periods = with_periods_ahead(panel, 20)
    calendar = calendar_of(panel, events=feasts())
    ahead = calendar.factors(periods)[0, N_WEEKS:] / calendar.season.factors(periods)[0, N_WEEKS:]
    week = periods[N_WEEKS:].get_loc(pd.Timestamp("2024-03-25"))
    assert ahead[week] == pytest.approx(3.0, abs=0.2)
    assert (np.delete(ahead, week) == 1).all()


def test_without_events_it_is_the_season() -> None:
    panel, _ = feast_panel(lift=1.0, n=6)
    groups = pd.Series(list("bababa"))
    calendar = calendar_of(panel, groups)
    plain = fit_seasonality(panel, groups)
    np.testing.assert_array_equal(calendar.season.yearly, plain.yearly)
    np.testing.assert_array_equal(calendar.factors(WEEKS), plain.factors(WEEKS))
    assert calendar.row.tolist() == plain.item_group.tolist() == [1, 0, 1, 0, 1, 0]


def test_items_of_one_season_and_the_same_events_share_a_row() -> None:
    wave = np.where(np.arange(8)[:, None] < 4, WAVE, 2 - WAVE)
    panel = panel_of(np.random.default_rng(3).poisson(20 * wave), freq="W-MON", start="2020-01-06")
    panel.items["category"] = list("xxxxyyyy")
    weeks = WEEKS[[20, 60, 100, 140, 180]]
    events = pd.DataFrame({"kind": "promotion", "start": weeks, "end": weeks + pd.Timedelta(days=6)})
    # Two items of one category and one of the other are promoted, at the same time.
    events = pd.concat([events.assign(sku=sku) for sku in ("S001", "S002", "S005")], ignore_index=True)
    calendar = calendar_of(panel, panel.items["category"], events)
    row = calendar.row
    assert len(calendar.pairs.T) == len(calendar.factors(WEEKS)) == row.max() + 1
    assert row[0] == row[3]
    assert row[4] == row[6] == row[7]
    assert len({row[0], row[1], row[4], row[5]}) == 4
    assert np.abs(np.diff(calendar.season.factors(WEEKS), axis=0)).max() > 0.5
    own = calendar.season.factors(WEEKS)[calendar.season.item_group]
    own = own * calendar.effects.factors(WEEKS)[calendar.effects.row_of_item]
    np.testing.assert_array_equal(calendar.factors(WEEKS)[row], own)


def test_a_thousand_items_without_events_of_their_own_have_one_row() -> None:
    panel = panel_of(np.ones((1000, 10)), freq="W-MON")
    first = panel.periods[2]
    everyone = pd.DataFrame({"kind": ["sale"], "start": [first], "end": [first + pd.Timedelta(days=6)]})
    calendar = calendar_of(panel, events=everyone)
    assert calendar.factors(panel.periods).shape == (1, 10)
    assert (calendar.row == 0).all()


@pytest.mark.parametrize(
    ("freq", "start", "last"),
    [("D", "2024-02-27", "2024-03-05"), ("W-SUN", "2024-01-07", "2024-02-25"), ("MS", "2023-11-01", "2024-06-01")],
)
def test_the_periods_ahead_follow_the_last_one(freq: str, start: str, last: str) -> None:
    panel = panel_of(np.ones((1, 3)), freq=freq, start=start)
    periods = with_periods_ahead(panel, 5)
    assert periods.equals(pd.date_range(start, periods=8, freq=freq))
    assert periods[-1] == pd.Timestamp(last)
    assert with_periods_ahead(panel, 0).equals(panel.periods)
