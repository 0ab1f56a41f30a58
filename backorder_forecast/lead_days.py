"""Days on which suppliers work: business days, and closures during which nothing is made or sent.

Dates are calendar days. A business day is Monday to Friday and no holiday.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

WORKWEEK = "1111100"


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
