"""Days on which suppliers work: business days, and lead times counted in them.

Dates are calendar days. A business day is Monday to Friday and no holiday. Where the calendar of a supplier is given,
its lead times are counted on the days on which it works, times 7 / (working days per week): five working days are a
week for a supplier that works on Monday to Friday, so that suppliers with and without a calendar can be pooled. An
order of a Friday that takes two working days comes on Tuesday.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.events import holiday_events

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

WORKWEEK = "1111100"
_HAIR = 1e-9


@dataclass(frozen=True, eq=False)
class WorkCalendars:
    """Working days of the suppliers whose calendar is given; days are counted from 1970.

    Attributes
    ----------
    first
        Day of the first entry of each count.
    counts
        Per supplier: working days up to and including each day from `first` on.
    days_per_work_day
        Per supplier: calendar days per working day, 1.4 for Monday to Friday.
    """

    first: int
    counts: Mapping[str, IntArray]
    days_per_work_day: Mapping[str, float]

    def elapsed(self, suppliers: pd.Series, start: IntArray, end: IntArray) -> IntArray:
        """Lead time in days between two days of each row: calendar days, or working days times 7 / days per week."""
        days = end - start
        for rows, count, ratio in self._parts(suppliers):
            a, b = (self._place(count, day[rows]) for day in (start, end))
            days[rows] = np.floor((count[b] - count[a]) * ratio + 0.5 + _HAIR)
        return np.asarray(days, dtype=np.int64)

    def calendar_days(self, suppliers: pd.Series, start: IntArray, days: FloatArray) -> FloatArray:
        """Calendar days from `start` (n,) until a lead time of `days` (n, m) is over; the inverse of `elapsed`."""
        result = days.astype(np.float64)
        for rows, count, ratio in self._parts(suppliers):
            work = np.ceil((result[rows] - 0.5) / ratio - _HAIR)
            place = self._place(count, start[rows])
            end = np.searchsorted(count, count[place][:, None] + np.maximum(work, 0.0), side="left")
            # Beyond the calendar a lead time is as long as it is on average.
            known = (end < len(count)) & (start[rows] >= self.first)[:, None]
            result[rows] = np.where(known, np.maximum(end - place[:, None], 0), result[rows])
        return result

    def _parts(self, suppliers: pd.Series) -> list[tuple[IntArray, IntArray, float]]:
        parts = []
        for name, count in self.counts.items():
            rows = np.flatnonzero((suppliers == name).to_numpy())
            if len(rows):
                parts.append((rows, count, self.days_per_work_day[name]))
        return parts

    def _place(self, count: IntArray, day: IntArray) -> IntArray:
        return np.clip(day - self.first, 0, len(count) - 1).astype(np.int64)


def work_calendars(codes: Mapping[str, str], first: int, last: int) -> WorkCalendars:
    """Working days of suppliers between two days (counted from 1970).

    Parameters
    ----------
    codes
        Per supplier a week such as "1111110" (Monday first, 1 = works), or a country code such as "CN" or "DE-BY" whose
        public holidays are free beside Saturday and Sunday (needs the `holidays` library).
    first, last
        First and last day of the counts.

    Raises
    ------
    InvalidSettings
        For a week that is none, an unknown country, or without the library.

    Examples
    --------
    >>> found = work_calendars({"ACME": "1111100"}, 0, 30)  # 1970-01-01 was a Thursday
    >>> acme = pd.Series(["ACME", "ACME"])
    >>> found.elapsed(acme, np.array([0, 1]), np.array([1, 4])).tolist()
    [1, 1]
    >>> found.calendar_days(acme, np.array([0, 1]), np.array([[1.0], [1.0]])).ravel().tolist()
    [1.0, 3.0]
    """
    counts, ratios = {}, {}
    days = np.arange(first, last + 1).astype("datetime64[D]")
    for supplier, code in sorted(codes.items()):
        week, free = WORKWEEK, np.zeros(0, dtype="datetime64[D]")
        if re.fullmatch("[01]*", code):
            if len(code) != 7 or "1" not in code:
                raise InvalidSettings(
                    "a week is seven signs, 1 for a working day (at least one), Monday first, such as 1111100;"
                    f" got {code!r} for {supplier}"
                )
            week = code
        else:
            last_day = pd.Timestamp(min(days[-1], np.datetime64("2099-12-31")))
            setting = f"supplier_calendars of {supplier}"
            found = holiday_events(code, pd.Timestamp(days[0]), last_day, setting=setting)
            free = found["start"].to_numpy().astype("datetime64[D]")
        counts[supplier] = np.cumsum(np.is_busday(days, weekmask=week, holidays=free)).astype(np.int64)
        ratios[supplier] = 7.0 / week.count("1")
    return WorkCalendars(first, counts, ratios)


def add_business_days(dates: ArrayLike, days: ArrayLike, *, holidays: ArrayLike = ()) -> pd.DatetimeIndex:
    """The date that lies a number of business days (Monday to Friday, no holidays) after each date.

    Counting starts at the date itself: one business day after a Saturday is the Monday. 0 is the date itself, or the
    next business day where it is none. A missing date stays missing.

    Parameters
    ----------
    dates, days
        Dates, and whole numbers (negative: before), of one length or single.
    holidays
        Dates that are no business days.

    Examples
    --------
    >>> add_business_days("2024-12-20", 5, holidays=["2024-12-25", "2024-12-26"]).strftime("%a %d").tolist()
    ['Tue 31']
    """
    start, number = np.broadcast_arrays(_calendar_days(dates), np.atleast_1d(np.asarray(days, dtype=np.int64)))
    free = _calendar_days(holidays)
    result = np.full(start.shape, np.datetime64("NaT"), dtype="datetime64[D]")
    known = ~np.isnat(start)
    # Going forward from a free day counts from the business day before it, so that its next one is the first.
    later, earlier = known & (number > 0), known & (number <= 0)
    result[later] = np.busday_offset(start[later], number[later], "backward", WORKWEEK, free)
    result[earlier] = np.busday_offset(start[earlier], number[earlier], "forward", WORKWEEK, free)
    return pd.DatetimeIndex(result.astype("datetime64[s]"))


def business_days_between(start: ArrayLike, end: ArrayLike, *, holidays: ArrayLike = ()) -> FloatArray:
    """Business days from each start (included) to each end (not included); negative if it lies before.

    NaN where a date is missing.

    Examples
    --------
    >>> business_days_between("2024-12-20", "2024-12-31", holidays=["2024-12-25", "2024-12-26"]).tolist()
    [5.0]
    """
    first, last = np.broadcast_arrays(_calendar_days(start), _calendar_days(end))
    result = np.full(first.shape, np.nan)
    known = ~(np.isnat(first) | np.isnat(last))
    free = _calendar_days(holidays)
    result[known] = np.busday_count(first[known], last[known], weekmask=WORKWEEK, holidays=free)
    return result


def _calendar_days(dates: ArrayLike) -> NDArray[np.datetime64]:
    return np.atleast_1d(np.asarray(dates, dtype="datetime64[D]")).ravel()
