"""The clock: which days are past, which period a day belongs to, when a receipt becomes usable.

`as_of` is the end of that day: everything recorded up to and including it is known, nothing after it is. A period is
labelled by its first day; `W-MON` means weeks from Monday to Sunday. In each later period receipts come first, then
backorders are filled, then new demand; levels are end of period. A receipt on the first day still ahead of a period is
usable in it, a later one in the next period. Day numbers count from `as_of`: day 1 is the day after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backorder_forecast.errors import unknown_option

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
FREQS = ("D", *(f"W-{d}" for d in WEEKDAYS), "MS")
NEVER = 2**31 - 1
"""Day number of what does not happen on the days looked at; fits int32, never add to it."""
DAYS_PER_PERIOD = {"D": 1.0, "MS": 365.25 / 12, **{f"W-{d}": 7.0 for d in WEEKDAYS}}
SEASON_PERIODS = {"D": 365.25, "MS": 12.0, **{f"W-{d}": 365.25 / 7 for d in WEEKDAYS}}


def check_freq(freq: str) -> str:
    """The period code, or an error naming the valid ones."""
    if freq not in FREQS:
        raise unknown_option("freq", freq, FREQS)
    return freq


def infer_freq(dates: pd.Series) -> str:
    """Period of the clock read from dates: all on first days of months -> MS, all on one weekday -> weeks, else D.

    Examples
    --------
    >>> infer_freq(pd.Series(pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"])))
    'MS'
    >>> infer_freq(pd.Series(pd.to_datetime(["2024-01-01", "2024-01-08", "2024-01-22"])))
    'W-MON'
    >>> infer_freq(pd.Series(pd.to_datetime(["2024-01-01", "2024-01-02"])))
    'D'
    """
    days = pd.DatetimeIndex(pd.Series(dates).dropna().unique())
    if len(days) >= 3:
        if bool((days.day == 1).all()):
            return "MS"
        if days.day_of_week.nunique() == 1:
            return f"W-{WEEKDAYS[int(days.day_of_week[0])]}"
    return "D"


def period_start(dates: pd.Series | pd.DatetimeIndex, freq: str) -> pd.DatetimeIndex:
    """First day of the period that holds each date.

    Examples
    --------
    >>> period_start(pd.DatetimeIndex(["2024-05-08"]), "W-MON").strftime("%Y-%m-%d").tolist()
    ['2024-05-06']
    """
    days = pd.DatetimeIndex(dates).normalize()
    if freq == "D":
        return days
    if freq == "MS":
        return pd.DatetimeIndex(days - pd.to_timedelta(days.day - 1, unit="D"))
    offset = (days.day_of_week - WEEKDAYS.index(freq[2:])) % 7
    return pd.DatetimeIndex(days - pd.to_timedelta(offset, unit="D"))


def period_end(starts: pd.DatetimeIndex, freq: str) -> pd.DatetimeIndex:
    """Last day of each period, given its first day."""
    if freq == "D":
        return starts
    if freq == "MS":
        return pd.DatetimeIndex(starts + pd.offsets.MonthEnd(0))
    return pd.DatetimeIndex(starts + pd.Timedelta(days=6))


@dataclass(frozen=True, eq=False)
class Clock:
    """The periods ahead of `as_of`.

    Attributes
    ----------
    freq, as_of
        Period code and the last known day.
    starts, ends
        First and last day of each period ahead, length n_periods. The first may have begun before `as_of`.
    fraction
        Share of each period that is still ahead (1 except perhaps for the first), shape (n_periods,).
    """

    freq: str
    as_of: pd.Timestamp
    starts: pd.DatetimeIndex
    ends: pd.DatetimeIndex
    fraction: NDArray[np.float64]

    @classmethod
    def ahead(cls, as_of: pd.Timestamp, freq: str, days: int) -> Clock:
        """All periods from the day after `as_of` until at least `days` days are covered.

        Examples
        --------
        >>> clock = Clock.ahead(pd.Timestamp("2024-05-08"), "W-MON", 14)   # a Wednesday
        >>> clock.starts.strftime("%m-%d").tolist(), clock.fraction.round(2).tolist()
        (['05-06', '05-13', '05-20'], [0.57, 1.0, 1.0])
        """
        check_freq(freq)
        as_of = pd.Timestamp(as_of).normalize()
        first = period_start(pd.DatetimeIndex([as_of + pd.Timedelta(days=1)]), freq)[0]
        last = as_of + pd.Timedelta(days=int(days))
        starts = pd.DatetimeIndex(pd.date_range(first, last, freq=freq))
        ends = period_end(starts, freq)
        length = (ends - starts).days.to_numpy() + 1.0
        left = (ends - as_of).days.to_numpy().astype(np.float64)
        return cls(freq, as_of, starts, ends, np.minimum(left / length, 1.0))

    @property
    def n_periods(self) -> int:
        """Periods ahead."""
        return len(self.starts)

    @property
    def n_days(self) -> int:
        """Days from `as_of` to the last day of the last period."""
        return int((self.ends[-1] - self.as_of).days)

    @cached_property
    def end_days(self) -> NDArray[np.int64]:
        """Day number of each period's last day, shape (n_periods,)."""
        return np.asarray((self.ends - self.as_of).days, dtype=np.int64)

    def usable_periods(self) -> NDArray[np.int64]:
        """Table day number -> index of the first period in which a receipt of that day is usable.

        Shape (n_days + 1,); entry 0 (on hand already) is period 0; n_periods means beyond the last one.

        Examples
        --------
        >>> Clock.ahead(pd.Timestamp("2024-05-05"), "W-MON", 14).usable_periods().tolist()
        [0, 0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2]
        """
        return self._usable

    @cached_property
    def _usable(self) -> NDArray[np.int64]:
        first_days = np.maximum((self.starts - self.as_of).days.to_numpy(), 1)
        return np.searchsorted(first_days, np.maximum(np.arange(self.n_days + 1), 1), side="left").astype(np.int64)

    def dates(self, days: NDArray[np.int64] | NDArray[np.float64]) -> pd.DatetimeIndex:
        """Calendar dates of day numbers; NaN or negative gives NaT."""
        numbers = np.asarray(days, dtype=np.float64)
        known = np.isfinite(numbers) & (numbers >= 0)
        offsets = np.where(known, numbers, 0).astype("timedelta64[D]")
        dates = (self.as_of.to_datetime64().astype("datetime64[D]") + offsets).astype("datetime64[s]")
        dates[~known] = np.datetime64("NaT")
        return pd.DatetimeIndex(dates)
