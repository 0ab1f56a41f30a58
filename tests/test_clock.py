from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backorder_forecast.clock import (
    DAYS_PER_PERIOD,
    FREQS,
    SEASON_PERIODS,
    Clock,
    check_freq,
    infer_freq,
    period_end,
    period_start,
)
from backorder_forecast.errors import InvalidSettings

DAYS = st.dates(pd.Timestamp("1999-01-01").date(), pd.Timestamp("2041-12-31").date()).map(pd.Timestamp)
ANY_FREQ = st.sampled_from(FREQS)


@given(day=DAYS, freq=ANY_FREQ)
def test_every_day_lies_in_exactly_one_period_named_by_its_first_day(day: pd.Timestamp, freq: str) -> None:
    start = period_start(pd.DatetimeIndex([day]), freq)
    end = period_end(start, freq)
    assert start[0] <= day <= end[0]
    assert period_start(start, freq)[0] == start[0]
    following = period_start(end + pd.Timedelta(days=1), freq)
    assert following[0] == end[0] + pd.Timedelta(days=1)


@pytest.mark.parametrize(
    ("freq", "day", "start", "end"),
    [
        ("D", "2024-02-29", "2024-02-29", "2024-02-29"),
        ("W-MON", "2024-05-06", "2024-05-06", "2024-05-12"),
        ("W-MON", "2024-05-12", "2024-05-06", "2024-05-12"),
        ("W-SUN", "2024-05-11", "2024-05-05", "2024-05-11"),
        ("W-WED", "2024-01-02", "2023-12-27", "2024-01-02"),
        ("MS", "2024-02-29", "2024-02-01", "2024-02-29"),
        ("MS", "2023-12-31", "2023-12-01", "2023-12-31"),
    ],
)
def test_periods_by_hand(freq: str, day: str, start: str, end: str) -> None:
    first = period_start(pd.DatetimeIndex([day]), freq)
    assert str(first[0].date()) == start
    assert str(period_end(first, freq)[0].date()) == end


def test_the_hour_of_a_day_does_not_matter() -> None:
    assert period_start(pd.DatetimeIndex(["2024-05-12 23:59"]), "W-MON")[0] == pd.Timestamp("2024-05-06")


@given(as_of=DAYS, freq=ANY_FREQ, days=st.integers(1, 200))
def test_the_clock_starts_the_day_after_and_covers_the_days_asked_for(
    as_of: pd.Timestamp, freq: str, days: int
) -> None:
    clock = Clock.ahead(as_of, freq, days)
    tomorrow, last = as_of + pd.Timedelta(days=1), as_of + pd.Timedelta(days=days)
    assert clock.starts[0] <= tomorrow <= clock.ends[0]
    assert clock.starts[-1] <= last <= clock.ends[-1]
    assert ((clock.starts[1:] - clock.ends[:-1]).days == 1).all()
    assert clock.n_days == clock.end_days[-1] >= days
    length = (clock.ends - clock.starts).days.to_numpy() + 1
    ahead = np.minimum(length, clock.end_days)
    np.testing.assert_allclose(clock.fraction, ahead / length)
    assert (clock.fraction[1:] == 1).all()
    assert clock.dates(clock.end_days).equals(clock.ends.as_unit("s"))


@given(as_of=DAYS, freq=ANY_FREQ, days=st.integers(1, 120))
def test_a_receipt_is_usable_in_the_period_it_opens_and_else_in_the_next(
    as_of: pd.Timestamp, freq: str, days: int
) -> None:
    clock = Clock.ahead(as_of, freq, days)
    usable = clock.usable_periods()
    assert len(usable) == clock.n_days + 1
    assert usable[0] == 0
    opens = [max(day, as_of + pd.Timedelta(days=1)) for day in clock.starts]
    for number in range(1, clock.n_days + 1):
        day = as_of + pd.Timedelta(days=number)
        wanted = next((k for k, first in enumerate(opens) if first >= day), clock.n_periods)
        assert usable[number] == wanted


def test_a_day_clock_uses_a_receipt_on_its_own_day() -> None:
    assert Clock.ahead(pd.Timestamp("2024-02-28"), "D", 3).usable_periods().tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("dates", "freq"),
    [
        (["2024-01-01", "2024-02-01", "2024-04-01"], "MS"),
        (["2024-01-02", "2024-01-09", "2024-02-06"], "W-TUE"),
        (["2024-01-02", "2024-01-09", "2024-01-10"], "D"),
        (["2024-01-01", "2024-02-01"], "D"),
        (["2024-01-01", "2024-01-01", "2024-01-08", "2024-01-08", None], "D"),
        ([], "D"),
    ],
)
def test_the_period_is_read_from_at_least_three_different_dates(dates: list[str], freq: str) -> None:
    assert infer_freq(pd.Series(pd.to_datetime(pd.Series(dates, dtype="object")))) == freq


def test_every_period_code_has_its_length() -> None:
    assert set(DAYS_PER_PERIOD) == set(SEASON_PERIODS) == set(FREQS)
    for freq in FREQS:
        assert DAYS_PER_PERIOD[freq] * SEASON_PERIODS[freq] == pytest.approx(365.25)


@pytest.mark.parametrize(("freq", "hint"), [("W", "valid are: D, W-MON"), ("W-MONDAY", "did you mean 'W-MON'")])
def test_an_unknown_period_code_is_refused_with_the_valid_ones(freq: str, hint: str) -> None:
    with pytest.raises(InvalidSettings, match=hint):
        check_freq(freq)
    with pytest.raises(InvalidSettings, match=hint):
        Clock.ahead(pd.Timestamp("2024-01-01"), freq, 7)


def test_day_numbers_that_never_come_have_no_date() -> None:
    clock = Clock.ahead(pd.Timestamp("2024-02-28 13:00"), "D", 3)
    dates = clock.dates(np.array([0.0, 1.0, 2.0, np.nan, -1.0, np.inf]))
    assert dates.strftime("%m-%d").tolist()[:3] == ["02-28", "02-29", "03-01"]
    assert dates.isna().tolist() == [False, False, False, True, True, True]
