"""Raw cells to days: ISO dates and datetimes as they are, other orders only where they are proven or said.

Whether 05/01/2024 is in January or in May is never guessed: a value with a day above 12 proves the order of its column
(and of the other columns of its table), `date_format` says it, and otherwise the column becomes a question
(`Parsed.question`). Times of day and time zones are dropped: the day is the one the clock on the wall showed. Dates
outside `FIRST_YEAR` to `LAST_YEAR` are unreadable; placeholders such as 9999-12-31 are empty.
"""

from __future__ import annotations

import re
from datetime import datetime

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.values import NO_VALUE, Parsed, cell_text, factorized

FIRST_YEAR, LAST_YEAR = 1950, 2150
PLACEHOLDERS = (
    "0000-00-00", "0001-01-01", "1899-12-30", "1899-12-31", "1900-01-00", "1900-01-01", "2999-12-31", "9999-12-31",
)  # fmt: skip
"""Dates that programs write where there is none."""

_SAY_FORMAT = 'say date_format="%d/%m/%Y" (day first) or date_format="%m/%d/%Y" (month first)'
_TIME = r"(\d)(?:[T ]+\d{1,2}:\d{2}.*|T\d{4,6}.*)$"
_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:\.0)?")
_MONTH_ONLY = re.compile(r"(\d{4})-(\d{2})")
_YEAR_LAST = re.compile(r"(\d{1,2})([-/. ])(\d{1,2})\2(\d{2}|\d{4})")
_NAMED = re.compile(r"(?:(\d{1,2})[-/. ]*([A-Za-z]{3,9})|([A-Za-z]{3,9})[-/. ]*(\d{1,2}))[-/., ]*(\d{4})")
_MONTHS = {
    name: i
    for i, name in enumerate(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1)
}

Ymd = tuple[int, int, int]
Question = tuple[str, str, str]


def parse_dates(raw: pd.Series, *, date_format: str = "", order: str = "") -> Parsed:
    """Days from dates, datetimes or text.

    Parameters
    ----------
    raw
        Raw column.
    date_format
        `strptime` pattern such as "%d/%m/%Y", or "excel" for day numbers; ISO dates are read as well.
    order
        "day first" or "month first" where another column of the same table proves it.

    Examples
    --------
    >>> parse_dates(pd.Series(["2024-01-05", "2024-01-06 23:59"])).values.dt.day.tolist()
    [5, 6]
    >>> proven = parse_dates(pd.Series(["05/01/2024", "25/01/2024"]))
    >>> proven.values.dt.strftime("%Y-%m-%d").tolist(), proven.understood
    (['2024-01-05', '2024-01-25'], 'dates, day first as 25/01/2024 proves, 2024-01-05 to 2024-01-25')
    >>> parse_dates(pd.Series(["05/01/2024"])).question[1]
    '05/01/2024: is it 5 January or 1 May 2024?'
    """
    if isinstance(raw.dtype, pd.PeriodDtype):
        raw = raw.dt.to_timestamp()
    if pd.api.types.is_datetime64_any_dtype(raw.dtype):
        return _from_datetimes(raw)
    codes, uniques = factorized(raw)
    texts = pd.Series([cell_text(value) for value in uniques], dtype="str")
    # Many moments share a day: the time of day goes before anything is parsed.
    day_codes, day_texts = pd.factorize(texts.str.replace(_TIME, r"\1", regex=True))
    days, unread, how, question, proven = _days([str(t) for t in day_texts], _day_part(date_format), order)
    to_day = np.append(day_codes, len(day_texts)).astype(np.int64)[codes]
    values = pd.Series(np.append(days, np.datetime64("NaT", "s"))[to_day], index=raw.index)
    if bool((texts.to_numpy() != day_texts.take(day_codes)).any()) if len(texts) else False:
        how.append("time of day dropped")
    return Parsed(values, np.append(unread, False)[to_day], _words(how, values), question, proven)


def check_date_format(text: str) -> str:
    """A `strptime` pattern from a pattern or from DD/MM/YYYY words.

    Examples
    --------
    >>> check_date_format("DD.MM.YYYY"), check_date_format("%m/%d/%Y"), check_date_format("excel")
    ('%d.%m.%Y', '%m/%d/%Y', 'excel')
    """
    if text == "excel":
        return text
    pattern = text
    if "%" not in text:
        for word, code in (("yyyy", "%Y"), ("yy", "%y"), ("mmm", "%b"), ("mm", "%m"), ("dd", "%d")):
            pattern = re.sub(word, code, pattern, count=1, flags=re.IGNORECASE)
    if not re.search("%d|%j", pattern) or not re.search("%[mbBj]", pattern) or not re.search("%[Yy]", pattern):
        raise InvalidSettings(f"date_format {text!r} is not understood; write it like '%d/%m/%Y' or 'DD/MM/YYYY'")
    return pattern


def _day_part(date_format: str) -> str:
    return re.split(r"[T ]+%[HI]", date_format)[0]


def _from_datetimes(raw: pd.Series) -> Parsed:
    how = []
    if isinstance(raw.dtype, pd.DatetimeTZDtype):
        how.append(f"time zone {raw.dtype.tz} dropped")
        raw = raw.dt.tz_localize(None)
    moments = raw.to_numpy()
    seconds = _plain_days(moments)
    if seconds is not None:
        values = pd.Series(seconds.view("datetime64[s]"), index=raw.index)
        return Parsed(values, np.zeros(len(raw), dtype=bool), _words(how, values))
    days = moments.astype("datetime64[D]")
    empty = np.isnat(days)
    if bool(((moments != days.astype(moments.dtype)) & ~empty).any()):
        how.append("time of day dropped")
    number = days.astype(np.int64)
    first, last = (np.datetime64(f"{y}-01-01", "D").astype(np.int64) for y in (FIRST_YEAR, LAST_YEAR + 1))
    odd = ~empty & ((number < first) | (number >= last))
    if odd.any():
        days = days.copy()
        placeholder = np.isin(days, np.array([p for p in PLACEHOLDERS if "00" not in p[4:]], dtype="datetime64[D]"))
        if placeholder.any():
            how.append(f"placeholders such as {days[placeholder][0]} read as empty ({int(placeholder.sum()):,})")
        days[odd] = np.datetime64("NaT")
        odd &= ~placeholder
    values = pd.Series(days.astype("datetime64[s]"), index=raw.index)
    return Parsed(values, odd, _words(how, values))


_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def _plain_days(moments: NDArray[np.datetime64]) -> NDArray[np.int64] | None:
    """Seconds of moments that are all whole days of usual years, or empty; None where one is not."""
    unit, count = np.datetime_data(moments.dtype)
    if unit not in _PER_SECOND or count != 1:
        return None
    first, last = (np.datetime64(f"{y}-01-01", "D").astype(np.int64) for y in (FIRST_YEAR, LAST_YEAR + 1))
    per_day = 86400 * _PER_SECOND[unit]
    seconds = np.empty(len(moments), dtype=np.int64)
    plain = _whole_days(np.ascontiguousarray(moments).view(np.int64), per_day, int(first), int(last), seconds)
    return seconds if plain else None


@nb.njit(cache=True, nogil=True)
def _whole_days(ticks, per_day, first, last, seconds):  # type: ignore[no-untyped-def]
    empty = np.iinfo(np.int64).min
    for i in range(len(ticks)):
        if ticks[i] == empty:
            seconds[i] = empty
            continue
        day = ticks[i] // per_day
        if day * per_day != ticks[i] or day < first or day >= last:
            return False
        seconds[i] = day * 86400
    return True


def _days(
    texts: list[str], date_format: str, order: str
) -> tuple[NDArray[np.datetime64], NDArray[np.bool_], list[str], Question | None, str]:
    """Days of distinct texts, which are unreadable, how they were read, an open question, the proven order."""
    parts: list[Ymd | None] = [None] * len(texts)
    unread = np.zeros(len(texts), dtype=bool)
    year_last: list[tuple[int, re.Match[str]]] = []
    counts = {"months read as their first day": 0, "placeholders read as empty": 0, f"written as {date_format}": 0}
    months, placeholders, formats = counts
    for i, text in enumerate(texts):
        if text.lower() in NO_VALUE:
            continue
        if text in PLACEHOLDERS or not text.strip("0"):
            counts[placeholders] += 1
        elif match := _YEAR_FIRST.fullmatch(text):
            parts[i] = (int(match[1]), int(match[3]), int(match[4]))
        elif date_format:
            parts[i] = _formatted(text, date_format)
            unread[i] = parts[i] is None
            counts[formats] += parts[i] is not None
        elif match := _COMPACT.fullmatch(text):
            parts[i] = (int(match[1]), int(match[2]), int(match[3]))
        elif match := _MONTH_ONLY.fullmatch(text):
            parts[i] = (int(match[1]), int(match[2]), 1)
            counts[months] += 1
        elif match := _YEAR_LAST.fullmatch(text):
            year_last.append((i, match))
        elif (match := _NAMED.fullmatch(text)) and (match[2] or match[3])[:3].lower() in _MONTHS:
            parts[i] = (int(match[5]), _MONTHS[(match[2] or match[3])[:3].lower()], int(match[1] or match[4]))
        else:
            unread[i] = True
    how, question, proven = _resolve(year_last, parts, order)
    unread[[i for i, _ in year_last if parts[i] is None]] = True
    how += [words for words, count in counts.items() if count]
    days = np.full(len(texts), np.datetime64("NaT", "s"))
    for i, ymd in enumerate(parts):
        if ymd is not None:
            day = _calendar_day(ymd)
            unread[i] = day is None
            days[i] = np.datetime64("NaT") if day is None else day
    return days, unread, how, question, proven


def _resolve(
    year_last: list[tuple[int, re.Match[str]]], parts: list[Ymd | None], order: str
) -> tuple[list[str], Question | None, str]:
    """Decide the day/month order from the values and fill `parts`, or return the question."""
    if not year_last:
        return [], None, ""
    if short := next((m for _, m in year_last if len(m[4]) == 2), None):
        found = f"{short[0]}: which part is the year, which the month?"
        return [], ("two-digit years can be read in several ways", found, 'say date_format, such as "%d/%m/%y"'), ""
    day_first = next((m for _, m in year_last if 31 >= int(m[1]) > 12 >= int(m[3])), None)
    month_first = next((m for _, m in year_last if 31 >= int(m[3]) > 12 >= int(m[1])), None)
    if day_first and month_first:
        found = f"{day_first[0]} has the day first, {month_first[0]} the month first"
        return [], ("day and month come in both orders", found, "write all dates one way, best as 2024-01-31"), ""
    proof = day_first or month_first
    proven = "day first" if day_first else "month first" if month_first else ""
    doubt = next((m for _, m in year_last if m[1] != m[3]), None)
    if doubt and not (proven or order):
        a, b, year = int(doubt[1]), int(doubt[3]), doubt[4]
        found = f"{doubt[0]}: is it {a} {_month(b)} or {b} {_month(a)} {year}?"
        return [], ("no value shows whether the day or the month comes first", found, _SAY_FORMAT), ""
    for i, m in year_last:
        first, second = int(m[1]), int(m[3])
        month, day = (first, second) if (proven or order) == "month first" else (second, first)
        parts[i] = (int(m[4]), month, day)
    if proof:
        return [f"{proven} as {proof[0]} proves"], None, proven
    return ([f"{order} as in another column of the table"] if doubt else []), None, ""


def _formatted(text: str, date_format: str) -> Ymd | None:
    if date_format == "excel":
        if not re.fullmatch(r"\d{5}(?:[.,]\d+)?", text):
            return None
        day = datetime.fromordinal(datetime(1899, 12, 30).toordinal() + int(text[:5]))
    else:
        try:
            day = datetime.strptime(text, date_format)
        except ValueError:
            return None
    return day.year, day.month, day.day


def _calendar_day(ymd: Ymd) -> np.datetime64 | None:
    if not FIRST_YEAR <= ymd[0] <= LAST_YEAR:
        return None
    try:
        return np.datetime64(f"{ymd[0]:04d}-{ymd[1]:02d}-{ymd[2]:02d}", "s")
    except ValueError:
        return None


def _month(number: int) -> str:
    return pd.Timestamp(2000, number, 1).month_name() if 1 <= number <= 12 else str(number)


def _words(how: list[str], values: pd.Series) -> str:
    span = [f"{values.min():%Y-%m-%d} to {values.max():%Y-%m-%d}"] if bool(values.notna().any()) else []
    return ", ".join(["dates", *how, *span])
