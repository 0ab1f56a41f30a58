"""Cases: what each order line tells about durations, as known at the end of any past day.

A line's receipts, its open rest and its cancelled rest are cases: whole days, what happened, and a weight (share of the
line x recency). Open at a day is what had not arrived by then, whatever came later, so that the same lines can be
looked back at from several days. Days run from the order, or from `early` days before the date first promised: the
second tells how late a supplier is against its own promises.

Delayed entry (left truncation): a line that entered the records after its order could not have been seen arriving
before, so it counts among those waiting only at ages beyond its age at entry. What of it had arrived by then (the day
of entry included) tells no duration: had all of it come, the line would often not be in the records at all. A line
recorded when everything had arrived is such a case, entered in retrospect; it stays in the scorecards. Klein &
Moeschberger (2003), Survival Analysis, 2nd ed., section 4.6.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.lead_days import WorkCalendars
from backorder_forecast.order_lines import NO_DAY, OrderLines

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

OPEN, ARRIVED, CANCELLED = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Cases:
    """What the lines tell about durations; rows are aligned, `line` is a row of the lines.

    `entry` is the age after which a case counts among those waiting, always below `days`; -1 is from the beginning.
    """

    line: IntArray
    days: IntArray
    cause: IntArray
    weight: FloatArray
    entry: IntArray


@dataclass(frozen=True, eq=False)
class LineTimes:
    """Lines as numbers. Days are counted from 1970, shares are of the line.

    Attributes
    ----------
    as_of
        Last known day.
    ordered, promised_days
        Day of the order and days from it to the first promise (-1 for none), shape (n_lines,).
    entered
        Day on which the line entered the records, at least `ordered`, shape (n_lines,).
    open_share, cancelled_share, cancelled
        Shares still open and cancelled at `as_of`, and the day of the cancellation, shape (n_lines,).
    receipt_line, received, receipt_share
        Line, day and share of each receipt with a duration.
    supplier, calendars
        Name per line, and the days on which some of them work.
    """

    as_of: int
    ordered: IntArray
    promised_days: IntArray
    entered: IntArray
    open_share: FloatArray
    cancelled_share: FloatArray
    cancelled: IntArray
    receipt_line: IntArray
    received: IntArray
    receipt_share: FloatArray
    supplier: pd.Series
    calendars: WorkCalendars

    @property
    def n_lines(self) -> int:
        """Number of lines."""
        return len(self.ordered)

    def elapsed(self, line: IntArray, until: IntArray) -> IntArray:
        """Days of each line from its order to a day, on the days on which its supplier works."""
        if not self.calendars.counts:
            return np.asarray(until - self.ordered[line], dtype=np.int64)
        return self.calendars.elapsed(self.supplier.iloc[line], self.ordered[line], until)

    def entry_ages(self, line: IntArray) -> IntArray:
        """Age of each line after which it could be seen arriving, on the days of `elapsed`; -1 from the beginning."""
        late = self.entered > self.ordered
        if not late.any():
            return np.full(len(line), -1, dtype=np.int64)
        return np.where(late[line], self.elapsed(line, self.entered[line]), -1)

    def calendar_days(self, line: IntArray, days: FloatArray) -> FloatArray:
        """The same back to calendar days, (n, m)."""
        if not self.calendars.counts:
            return days
        return self.calendars.calendar_days(self.supplier.iloc[line], self.ordered[line], days)


def line_times(orders: OrderLines, *, longest: int, calendars: WorkCalendars | None = None) -> LineTimes:
    """Order lines as numbers; a promise later than `longest` days after the order is no promise of a date."""
    lines, receipts = orders.lines, orders.receipts
    ordered = _numbers(lines["order_date"])
    promised = _numbers(lines["first_promised_date"])
    ahead = np.where(promised != NO_DAY, promised, ordered - 1) - ordered
    return LineTimes(
        as_of=int(_numbers(pd.Series([orders.as_of]))[0]),
        ordered=ordered,
        entered=np.maximum(_numbers(lines["recorded_date"]), ordered),
        promised_days=np.where((ahead >= 0) & (ahead <= longest), ahead, -1),
        open_share=lines["open_share"].to_numpy(dtype=np.float64),
        cancelled_share=lines["cancelled_share"].to_numpy(dtype=np.float64),
        cancelled=_numbers(lines["cancelled_date"]),
        receipt_line=receipts["line"].to_numpy(dtype=np.int64),
        received=_numbers(receipts["received_date"]),
        receipt_share=receipts["share"].to_numpy(dtype=np.float64),
        supplier=lines["supplier"],
        calendars=WorkCalendars(0, {}, {}) if calendars is None else calendars,
    )


def cases_of(times: LineTimes, half_life_days: float, *, origin: int | None = None, early: int | None = None) -> Cases:
    """Arrivals, open rests and cancelled rests of all lines as weighted durations.

    Parameters
    ----------
    times
        The lines.
    half_life_days
        Days after which a past order counts half; they run from the day on which it entered the records.
    origin
        Day at the end of which the lines are looked at; default the last known day. Lines recorded later are unknown.
    early
        None counts days from the order; a number of days counts from that many days before the first promise, and
        leaves out lines without one and open lines that have not come so far.

    Examples
    --------
    >>> from backorder_forecast.order_lines import order_lines
    >>> rows = pd.DataFrame({"supplier": "ACME", "order_date": ["1970-01-01", "1970-01-06"],
    ...     "received_date": ["1970-01-13", None]})
    >>> times = line_times(order_lines(rows, as_of="1970-01-21"), longest=730)
    >>> [cases_of(times, 1e9, origin=day).days.tolist() for day in (3, 10, 20)]
    [[3], [10, 5], [12, 15]]
    """
    day = times.as_of if origin is None else origin
    begun = times.entered <= day
    came = begun[times.receipt_line] & (times.received <= day)
    coming = begun[times.receipt_line] & ~came
    over = (times.cancelled != NO_DAY) & (times.cancelled <= day)
    rest = times.open_share + np.bincount(times.receipt_line[coming], times.receipt_share[coming], times.n_lines)
    rest = rest + np.where(over, 0.0, times.cancelled_share)
    is_open, ended = np.flatnonzero(begun & (rest > 0)), np.flatnonzero(begun & over & (times.cancelled_share > 0))
    arrived = times.receipt_line[came]
    line = np.concatenate([arrived, is_open, ended])
    until = np.concatenate([times.received[came], np.full(len(is_open), day), times.cancelled[ended]])
    cause = np.repeat([ARRIVED, OPEN, CANCELLED], [len(arrived), len(is_open), len(ended)])
    share = np.concatenate([times.receipt_share[came], rest[is_open], times.cancelled_share[ended]])
    weight = share * 0.5 ** ((day - times.entered[line]) / half_life_days)
    entry = times.entry_ages(line)
    if early is None:
        days = times.elapsed(line, until)
        return _at_risk(Cases(line, days, cause, weight, entry))
    shift = early - times.promised_days[line]
    late = times.entered[line] > times.ordered[line]
    entry = np.where(late, np.maximum(times.entered[line] - times.ordered[line] + shift, -1), -1)
    days = until - times.ordered[line] + shift
    told = (
        (times.promised_days[line] >= 0) & ((days >= 0) | (cause == ARRIVED)) & ((until > times.entered[line]) | ~late)
    )
    days = np.maximum(days, 0)
    return _at_risk(Cases(line[told], days[told], cause[told], weight[told], entry[told]))


def lines_of_laws(times: LineTimes) -> NDArray[np.bool_]:
    """Lines that belong to a law: all that tell a duration, or would had they been in the records from their order on.

    Examples
    --------
    >>> from backorder_forecast.order_lines import order_lines
    >>> rows = pd.DataFrame({"supplier": "ACME", "order_date": "2024-01-01", "received_date": "2024-01-08",
    ...     "recorded_date": ["2024-01-03", "2024-01-20"]})
    >>> times = line_times(order_lines(rows, as_of="2024-01-31"), longest=730)
    >>> lines_of_laws(times).tolist(), cases_of(times, 1e9).line.tolist()
    ([True, True], [0])
    """
    always = cases_of(replace(times, entered=times.ordered), 1.0)
    return np.bincount(always.line, minlength=times.n_lines) > 0


def most_early(times: LineTimes, limit: int) -> int:
    """Days before the promise from which lateness is counted: no receipt came earlier, and at most `limit`."""
    late = times.received - times.ordered[times.receipt_line] - times.promised_days[times.receipt_line]
    late = late[times.promised_days[times.receipt_line] >= 0]
    return int(min(max(-int(late.min(initial=0)), 0) + 1, limit))


def _at_risk(cases: Cases) -> Cases:
    """Without the cases that ended before they could have been seen to."""
    seen = cases.entry < cases.days
    if seen.all():
        return cases
    return Cases(cases.line[seen], cases.days[seen], cases.cause[seen], cases.weight[seen], cases.entry[seen])


def _numbers(dates: pd.Series) -> IntArray:
    days = dates.to_numpy().astype("datetime64[D]").astype(np.int64)
    return np.asarray(days, dtype=np.int64)
