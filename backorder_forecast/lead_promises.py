"""Dates that suppliers name: how late they are against them, and which of them an arrival is read from.

Lateness is counted on a grid that begins `early` days before the named date; a law on it says P(arrival - named date <=
t - early). It is pooled over suppliers like the lead times. A named date beyond the longest lead time of the grid is a
filler ("2099") where such orders have arrived in the past, and no date is read from it; otherwise it is believed: an
order that its supplier puts off for years does not come in the usual time. A date recorded after `as_of` is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.lead_cases import LineTimes
from backorder_forecast.lead_check import Choice, fit_choice
from backorder_forecast.lead_laws import FloatArray, IntArray, residual_quantiles, share_waiting
from backorder_forecast.lead_tree import Tree
from backorder_forecast.order_lines import NO_DAY, OrderLines, day_numbers
from backorder_forecast.settings import Settings

UNUSUAL = 0.99
"""Share of lead times, and of past promises, before a named date from which it is believed where durations guide
better: the past says nothing of such promises. Judgement."""


@dataclass(frozen=True, eq=False)
class PromiseLaws:
    """How late suppliers are against the dates they name.

    Attributes
    ----------
    cdf, tail
        Laws on the grid that begins `early` days before the named date, as in `leadtimes.LeadTimes`.
    early
        Days before the named date at which the grid begins.
    row_of_law
        Row of `cdf` for each law of the lead times, shape (n_laws,).
    usual
        Whether promised dates foretold past orders better than durations did.
    tried
        Days from the order within which nearly all promises of orders that arrived lay; the past judges these.
    longest
        Days from the order beyond which a named date is a filler or a denial.
    fillers
        Whether orders with such dates have arrived.
    """

    cdf: FloatArray
    tail: FloatArray
    early: int
    row_of_law: IntArray
    usual: bool
    tried: int
    longest: int
    fillers: bool

    def begin(self, named: IntArray, ages: IntArray) -> IntArray:
        """Day of the grid on which each order stands: its age, counted from the beginning of the grid (may be < 0)."""
        return np.asarray(ages + self.early - named, dtype=np.int64)

    def waits(self, laws: IntArray, named: IntArray, ages: IntArray, levels: FloatArray) -> FloatArray:
        """Days still to wait for orders `ages` days old (-1: not placed yet), shape (n, n_levels)."""
        begin = self.begin(named, ages)
        inside = np.maximum(begin, -1)
        found = residual_quantiles(self.cdf, self.tail, self.row_of_law[laws], inside, levels)
        return np.asarray(found + np.minimum(inside, len(self.tail) // 2)[:, None] - begin[:, None])


def fit_promises(
    orders: OrderLines, tree: Tree, times: LineTimes, choice: Choice, settings: Settings, *, median: float
) -> PromiseLaws | None:
    """Laws of lateness, or None where no line names a date."""
    lines = orders.lines
    if lines["promised_date"].isna().all():
        return None
    longest = settings.max_lead_time_days
    far = ((lines["promised_date"] - lines["order_date"]).dt.days > longest).to_numpy()
    fillers = bool((far & lines["received_date"].notna().to_numpy()).any())
    rows = np.arange(len(tree.laws))
    if not choice.from_promise:
        # Only exceptional dates are read from these laws: suppliers tell them apart well enough.
        upper = tree.laws["level"].isin(["all", "category", "supplier"]).to_numpy()
        rows = np.where(upper, rows, tree.supplier_row)
        n = int(upper.sum())
        tree = replace(
            tree, laws=tree.laws.iloc[:n], parents=tree.parents[:n], supplier_row=tree.supplier_row[:n],
            groups=tuple(np.where(g < n, g, -1) for g in tree.groups), stated=tree.stated[:n],
        )  # fmt: skip
    cdf, tail, early = fit_choice(tree, times, replace(choice, from_promise=True), settings, median=median)
    past = times.promised_days[times.receipt_line]
    tried = int(np.quantile(past[past >= 0], UNUSUAL)) if (past >= 0).any() else -1
    return PromiseLaws(cdf, tail, early, rows, choice.from_promise, tried, longest, fillers)


def named_days(
    orders: pd.DataFrame, ordered: IntArray, promises: PromiseLaws | None, *, as_of: int, laws: IntArray,
    cdf: FloatArray, tail: FloatArray,
) -> IntArray:  # fmt: skip
    """Days from the order to the date that its arrival is read from, or `NO_DAY` where the durations decide.

    Parameters
    ----------
    orders
        Frame with any of promised_date, supplier_confirmed_date (or confirmed_date), promise_recorded_date.
    ordered
        Day of each order.
    promises
        Laws of lateness, or None.
    as_of
        Last known day.
    laws, cdf, tail
        Law of each order, and the durations.
    """
    nothing = np.full(len(orders), NO_DAY)
    if promises is None or not len(orders):
        return nothing
    told = _dates(orders, "promise_recorded_date")
    # A new order is asked about with what is known when it is placed.
    unknown = (told != NO_DAY) & (told > np.maximum(ordered, as_of))
    confirmed = np.maximum(_dates(orders, "supplier_confirmed_date"), _dates(orders, "confirmed_date"))
    confirmed = _ahead(np.where(unknown, NO_DAY, confirmed), ordered)
    promised = _ahead(np.where(unknown, NO_DAY, _dates(orders, "promised_date")), ordered)
    if promises.fillers:
        confirmed, promised = (np.where(days > promises.longest, NO_DAY, days) for days in (confirmed, promised))
    if not promises.usual:
        unusual = share_waiting(cdf, tail, laws, np.maximum(promised, 0)) < 1.0 - UNUSUAL
        promised = np.where(unusual & (promised > promises.tried), promised, NO_DAY)
    return np.where(confirmed != NO_DAY, confirmed, promised)


def _dates(orders: pd.DataFrame, column: str) -> IntArray:
    if column not in orders:
        return np.full(len(orders), NO_DAY)
    return day_numbers(orders[column])[0]


def _ahead(day: IntArray, ordered: IntArray) -> IntArray:
    known: NDArray[np.bool_] = (day != NO_DAY) & (ordered != NO_DAY)
    ahead = np.where(known, day, 0) - np.where(known, ordered, 0)
    return np.where(known & (ahead >= 0), ahead, NO_DAY)
