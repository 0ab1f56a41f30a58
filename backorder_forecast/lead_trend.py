"""Whether suppliers have become slower: what arrived in the last half-year against the year before.

A receipt counts in the span in which it came, and an order is watched in a span only while it was open there: what was
ordered before counts among those waiting from the age it had when the span began (delayed entry, as for lines that
entered the records late), and what was still open at the end of the span is censored there. So neither quick receipts
of recent orders nor slow ones of old records move the comparison. The law of each span is that of Kaplan & Meier with
delayed entry, its mean is restricted to the age up to which both spans know it, and the two are compared by the
log-rank test (Klein & Moeschberger 2003, sections 4.6, 7.3). Lines of one supplier that were ordered on one day and
came on one day are one delivery, and count once. Days are calendar days. Of a law of which at most `FEW_LEFT` is not
known, the rest counts as arriving at the longest watch (Efron 1967), so that one late order does not cut off both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.lead_cases import ARRIVED, Cases, LineTimes, cases_of, line_times
from backorder_forecast.order_lines import OrderLines

RECENT_DAYS = 182
BEFORE_DAYS = 365
MIN_DELIVERIES = 3
"""Deliveries of each span below which nothing is said."""
SLOWER_Z = 1.645
"""Log-rank statistic from which receipts have become slower: one-sided at 5 %."""
LEAST_DAYS = 1.0
"""Days that a supplier must have become slower by to be named."""
FEW_LEFT = 0.25
"""Share of a span's law beyond its longest watch up to which its mean is not restricted to that age. Judgement."""
_SPAN = 100_000
_NO_WEIGHT = 1e-9

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Watched:
    """Deliveries watched in one span: group, age after which and up to which each was watched (-1: from the start),
    whether it arrived then, its weight (share of its lines); and receipts per group, (n_groups,)."""

    group: Ints
    entry: Ints
    days: Ints
    arrived: NDArray[np.bool_]
    weight: Floats
    n_receipts: Ints


def lead_trends(orders: OrderLines, groups: Sequence[Ints], n: int) -> pd.DataFrame:
    """How long receipts took in the last half-year and in the year before, for n groups of lines.

    Parameters
    ----------
    orders
        Lines and receipts.
    groups
        Arrays (n_lines,) that give each line a group 0 ... n - 1, or -1 for none; a line may be in one group of each.
    n
        Number of groups.

    Returns
    -------
    DataFrame, one row per group: trend (restricted mean days of the last half-year less that of the year before; empty
    below `MIN_DELIVERIES` in either), slower (whether that is at least a day and more than chance), n_recent,
    mean_days_recent, n_before, mean_days_before (receipts of each span, and the restricted means).

    Examples
    --------
    >>> from backorder_forecast.order_lines import order_lines
    >>> placed = pd.Series(pd.date_range("2023-07-01", "2024-11-01", freq="14D"))
    >>> days = pd.to_timedelta(np.where(placed < "2024-06-20", 10, 15), "D")
    >>> rows = pd.DataFrame({"supplier": "ACME", "order_date": placed, "received_date": placed + days})
    >>> lines = order_lines(rows, as_of="2024-12-31")
    >>> found = lead_trends(lines, [np.zeros(len(rows), dtype=np.int64)], 1)
    >>> found[["mean_days_before", "mean_days_recent", "slower"]].values.tolist()
    [[10.0, 15.0, True]]
    """
    times = line_times(orders, longest=_SPAN)
    supplier = pd.factorize(orders.lines["supplier"], sort=True)[0].astype(np.int64)
    spans = [
        _watched(times, supplier, groups, n, end=end, length=length)
        for end, length in ((times.as_of, RECENT_DAYS), (times.as_of - RECENT_DAYS, BEFORE_DAYS))
    ]
    deaths = [_deaths(span) for span in spans]
    enough = np.all([np.bincount(s.group[s.arrived], minlength=n) >= MIN_DELIVERIES for s in spans], axis=0)
    watched = [_last_days(span, n).astype(np.float64) for span in spans]
    limit = np.minimum(*(_known_until(last, dead, n) for last, dead in zip(watched, deaths, strict=True)))
    recent, before = (
        np.where(enough, _restricted_mean(dead, np.minimum(limit, last)), np.nan)
        for last, dead in zip(watched, deaths, strict=True)
    )
    z = _slower_statistic(spans, deaths, n)
    return pd.DataFrame(
        {
            "trend": recent - before,
            "slower": enough & (z >= SLOWER_Z) & (recent - before >= LEAST_DAYS),
            "n_recent": spans[0].n_receipts, "mean_days_recent": recent,
            "n_before": spans[1].n_receipts, "mean_days_before": before,
        }
    )  # fmt: skip


def _watched(times: LineTimes, supplier: Ints, groups: Sequence[Ints], n: int, *, end: int, length: int) -> _Watched:
    """What was open in the span of `length` days up to `end`, by group."""
    cases = cases_of(times, np.inf, origin=end)
    ordered = times.ordered[cases.line]
    # On the first evening of the span all that is not there yet is watched.
    entry = np.maximum(cases.entry, np.maximum(end - length - ordered, -1))
    kept = (cases.days > entry) & (cases.weight > _NO_WEIGHT)
    cases = Cases(cases.line[kept], cases.days[kept], cases.cause[kept], cases.weight[kept], entry[kept])
    arrived = cases.cause == ARRIVED
    parts = []
    for group in groups:
        of = group[cases.line]
        parts.append(
            pd.DataFrame(
                {
                    "group": of, "supplier": supplier[cases.line], "ordered": times.ordered[cases.line],
                    "entry": cases.entry, "days": cases.days, "arrived": arrived, "weight": cases.weight,
                }
            )[of >= 0]
        )  # fmt: skip
    rows = pd.concat(parts, ignore_index=True)
    counts = np.bincount(rows["group"][rows["arrived"]], minlength=n)
    keys = ["group", "supplier", "ordered", "entry", "days", "arrived"]
    once = rows.groupby(keys, sort=True)["weight"].max().reset_index()
    group, age, days = (once[c].to_numpy(np.int64) for c in ("group", "entry", "days"))
    came, weight = once["arrived"].to_numpy(bool), once["weight"].to_numpy(np.float64)
    return _Watched(group, age, days, came, weight, counts)


def _deaths(span: _Watched) -> pd.DataFrame:
    """Ages at which deliveries of a group arrived: group, day, arrived, at_risk (weights), survival after it."""
    rows = pd.DataFrame({"group": span.group, "day": span.days, "arrived": span.weight})[span.arrived]
    found = rows.groupby(["group", "day"], sort=True)["arrived"].sum().reset_index()
    at = found["group"].to_numpy(np.int64), found["day"].to_numpy(np.int64)
    found["at_risk"] = _at_risk(span, *at)
    later = _last_days(span, int(found["group"].max()) + 1 if len(found) else 0)[at[0]] > at[1]
    share = np.minimum(found["arrived"] / found["at_risk"], 1.0)
    # Where all that was watched arrived but more enters at a later age, the law does not end: Nelson-Aalen.
    found["stays"] = np.where((share > 1.0 - _NO_WEIGHT) & later, np.exp(-share), 1.0 - share)
    found["survival"] = found.groupby("group")["stays"].cumprod()
    return found.drop(columns="stays")


def _at_risk(span: _Watched, group: Ints, day: Ints) -> Floats:
    """Weight of the deliveries of each group that were watched at an age: entry < day <= days."""
    return _weight_up_to(span, span.entry + 1, group, day) - _weight_up_to(span, span.days + 1, group, day)


def _weight_up_to(span: _Watched, ages: Ints, group: Ints, day: Ints) -> Floats:
    """Weight of the deliveries of each group whose `ages` are at most a day."""
    key = span.group * _SPAN + np.minimum(ages, _SPAN - 1)
    order = np.lexsort((span.weight, key))
    total = np.append(0.0, span.weight[order].cumsum())
    low, high = (np.searchsorted(key[order], group * _SPAN + limit, side="right") for limit in (-1, day))
    return np.asarray(total[high] - total[low])


def _last_days(span: _Watched, n: int) -> Ints:
    last = np.zeros(n, dtype=np.int64)
    np.maximum.at(last, span.group[span.group < n], span.days[span.group < n])
    return last


def _known_until(watched: Floats, deaths: pd.DataFrame, n: int) -> Floats:
    """Age up to which a span knows the law of each group: for ever where nearly all arrived, else the longest watch."""
    ends = deaths.groupby("group")["survival"].last().reindex(range(n)).to_numpy(np.float64)
    return np.where(ends <= FEW_LEFT, np.inf, watched)


def _restricted_mean(deaths: pd.DataFrame, limit: Floats) -> Floats:
    """Mean of min(days, limit) under the law of each group, shape (n_groups,)."""
    group, day = deaths["group"].to_numpy(np.int64), deaths["day"].to_numpy(np.float64)
    survival = deaths["survival"].to_numpy(np.float64)
    first = np.append(True, group[1:] != group[:-1])[: len(group)]
    before = np.where(first, 0.0, np.append(0.0, day)[: len(day)])
    open_share = np.where(first, 1.0, np.append(1.0, survival)[: len(survival)])
    top = limit[group]
    area = open_share * np.maximum(np.minimum(day, top) - np.minimum(before, top), 0.0)
    last = np.append(group[1:] != group[:-1], True)[: len(group)]
    area += np.where(last, survival * np.maximum(top - day, 0.0), 0.0)
    return np.asarray(np.bincount(group, area, len(limit)), dtype=np.float64)


def _slower_statistic(spans: Sequence[_Watched], deaths: Sequence[pd.DataFrame], n: int) -> Floats:
    """Log-rank statistic by which fewer arrived in the first span than by the hazards of both, shape (n_groups,)."""
    days = pd.concat([d[["group", "day"]] for d in deaths]).drop_duplicates().sort_values(["group", "day"])
    group, day = days["group"].to_numpy(np.int64), days["day"].to_numpy(np.int64)
    index = pd.MultiIndex.from_frame(days)
    came = [
        d.set_index(["group", "day"])["arrived"].reindex(index, fill_value=0.0).to_numpy(np.float64) for d in deaths
    ]
    risk = [_at_risk(span, group, day) for span in spans]
    total, ended = risk[0] + risk[1], came[0] + came[1]
    share = risk[0] / total
    spread = ended * share * (1.0 - share) * np.clip((total - ended) / np.maximum(total - 1.0, _NO_WEIGHT), 0.0, 1.0)
    due, variance = (np.bincount(group, values, n) for values in (ended * share - came[0], spread))
    return np.divide(due, np.sqrt(variance), out=np.zeros(n), where=variance > _NO_WEIGHT)
