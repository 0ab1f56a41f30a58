"""Lead times: how long orders take, and how long late ones will still take, in calendar days.

Laws form a tree: all orders -> supplier -> item of a supplier. Each learns from its own lines, open ones counted as
"longer than their age so far", and is pulled towards its parent by `lead_time_pool_k` observations (`lead_laws.py`);
a past order counts half per `lead_time_half_life_days`. The parent keeps the spread between suppliers, so that an
unknown supplier gets an honestly wide law. A partial receipt counts by its share of the line; a cancelled line counts
as open until its cancellation. Beyond what was seen a log-logistic tail, fitted to all orders, continues. A stated
lead time, corrected by how far this supplier's stated times are usually off, is a prior where history is thin.

A lead time of 0 is a delivery on the day of the order. Nothing after `as_of` is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.lead_laws import FloatArray, IntArray, law_quantiles, residual_quantiles
from backorder_forecast.lead_tree import (
    KEYS,
    cases_of,
    fit_tree,
    key_index,
    law_tree,
    match_keys,
    never_share,
    stated_days,
    tail_survival,
)
from backorder_forecast.order_lines import NO_DAY, day_numbers, known_day, need_columns, order_lines, text_of
from backorder_forecast.scorecards import scorecard
from backorder_forecast.settings import Settings

TABLE_LEVELS = (0.1, 0.5, 0.9)
SCORES = (
    "n_received", "n_open", "n_late", "on_time_share", "lead_time_days_0.1", "lead_time_days_0.5", "lead_time_days_0.9",
    "mean_late_days", "fill_share", "trend", "disruption_probability",
)  # fmt: skip
WORKWEEK = "1111100"


@dataclass(frozen=True, eq=False)
class LeadTimes:
    """Fitted lead-time laws.

    Attributes
    ----------
    as_of, settings
        What the fit rests on.
    laws
        One row per law, the row of `cdf`: level (all, supplier, item), supplier, sku, location, n_lines, n_effective,
        basis and the scorecard columns. Row 0 is the law of all orders.
    cdf
        P(L <= t) for t = 0 ... T days, shape (n_laws, T + 1); the mass beyond T is 1 - cdf[:, -1].
    tail
        Survival of the tail law on days 0 ... 8 T; beyond T a law continues as S(T) tail[t] / tail[T].
    set_aside
        Rows not used: table, row, column, reason, found.
    """

    as_of: pd.Timestamp
    settings: Settings
    laws: pd.DataFrame
    cdf: FloatArray
    tail: FloatArray
    set_aside: pd.DataFrame

    def __repr__(self) -> str:
        counts = self.laws["level"].value_counts()
        return (
            f"LeadTimes({self.laws['n_lines'].iloc[0]} order lines to {self.as_of:%Y-%m-%d}, "
            f"{counts.get('supplier', 0)} suppliers, {counts.get('item', 0)} items of a supplier, "
            f"{len(self.set_aside)} rows set aside)"
        )

    def quantiles(self, new_orders: pd.DataFrame, levels: Sequence[float]) -> pd.DataFrame:
        """Days from order to arrival of orders placed now.

        Parameters
        ----------
        new_orders
            Frame with supplier and, where known, sku and location; unknown ones get the law of their parent.
        levels
            Probabilities strictly between 0 and 1.

        Returns
        -------
        DataFrame with the index of `new_orders` and the levels as columns, whole days; inf beyond the tail.
        """
        values = law_quantiles(self.cdf, self.tail, self.law_rows(new_orders), _checked(levels))
        return pd.DataFrame(values, index=new_orders.index, columns=list(levels))

    def remaining(
        self, open_orders: pd.DataFrame, levels: Sequence[float], *, as_of: str | pd.Timestamp | None = None
    ) -> pd.DataFrame:
        """Days still to wait for open orders, given how long they have been open; always at least 1.

        F(t | L > a) = (F(a + t) - F(a)) / (1 - F(a)); where hardly any order ever took this long the tail law decides,
        whose remaining wait grows in proportion to the age.

        Parameters
        ----------
        open_orders
            Frame with order_date and supplier and, where known, sku and location.
        levels
            Probabilities strictly between 0 and 1.
        as_of
            End of the day up to which the orders are open; default the day of the fit.

        Returns
        -------
        DataFrame with the index of `open_orders` and the levels as columns, whole days; NaN without an order date.
        """
        need_columns(open_orders, ["order_date"])
        ordered, _ = day_numbers(open_orders["order_date"])
        known = ordered != NO_DAY
        ages = np.where(known, known_day(self.as_of if as_of is None else as_of) - ordered, 0)
        rows, wanted = self.law_rows(open_orders), _checked(levels)
        values = residual_quantiles(self.cdf, self.tail, rows, np.maximum(ages, 0), wanted)
        ahead = ages < 0
        if ahead.any():
            values[ahead] = law_quantiles(self.cdf, self.tail, rows[ahead], wanted) - ages[ahead, None]
        values[~known] = np.nan
        return pd.DataFrame(np.maximum(values, 1.0), index=open_orders.index, columns=list(levels))

    def law_rows(self, orders: pd.DataFrame) -> IntArray:
        """Row of `cdf` for each order: the most specific law that knows its supplier, sku and location."""
        wanted = pd.DataFrame({c: text_of(orders, c) for c in KEYS})
        suppliers, items = self._indexes
        found = suppliers.get_indexer(pd.Index(wanted["supplier"]))
        rows = np.where(found >= 0, found + 1, 0)
        found = match_keys(items, wanted) if len(items) else np.full(len(wanted), -1)
        return np.where(found >= 0, found + 1 + len(suppliers), rows).astype(np.int64)

    def table(self) -> pd.DataFrame:
        """One row per supplier and per item of a supplier, the law of all orders first.

        Returns
        -------
        DataFrame: supplier, sku, location, level (all, supplier, item), n_received, n_open, n_late (lines),
        on_time_share, lead_time_days_0.1/_0.5/_0.9, mean_late_days (of late lines), fill_share (received of ordered
        units), trend (days by which receipts of the last half year took longer than those of the year before),
        disruption_probability (not estimated: empty), basis.
        """
        return self._scores()[[*KEYS, "level", *SCORES, "basis"]].reset_index(drop=True)

    def suppliers(self) -> pd.DataFrame:
        """One row per supplier.

        Returns
        -------
        DataFrame: supplier, n_lines, the scorecard columns of `table`, n_cancelled, p_never_arrives (cancellations
        competing with arrivals, Aalen-Johansen, pooled with all suppliers).
        """
        frame = self._scores()
        columns = ["supplier", "n_lines", *SCORES, "n_cancelled", "p_never_arrives"]
        return frame.loc[frame["level"] == "supplier", columns].reset_index(drop=True)

    @cached_property
    def _indexes(self) -> tuple[pd.Index, pd.Index]:
        level = self.laws["level"]
        return pd.Index(self.laws.loc[level == "supplier", "supplier"]), key_index(self.laws[level == "item"])

    def _scores(self) -> pd.DataFrame:
        values = law_quantiles(self.cdf, self.tail, np.arange(len(self.laws)), np.array(TABLE_LEVELS))
        days = {f"lead_time_days_{q}": values[:, j] for j, q in enumerate(TABLE_LEVELS)}
        return self.laws.assign(**days, disruption_probability=np.nan)


def fit_lead_times(
    purchase_orders: pd.DataFrame,
    *,
    as_of: str | pd.Timestamp,
    settings: Settings | None = None,
    stated: pd.DataFrame | None = None,
) -> LeadTimes:
    """Learn lead-time laws from purchase orders, open ones included.

    Parameters
    ----------
    purchase_orders
        Frame with supplier, order_date, received_date (empty = open), one row per line and receipt; optional po_id,
        sku, location, quantity_ordered, quantity_received, promised_date, promise_recorded_date, cancelled_date. It
        may be empty.
    as_of
        Last known day: what is dated later has not happened.
    settings
        Uses lead_time_pool_k, lead_time_half_life_days, max_lead_time_days, default_lead_time_days and
        stated_lead_time_sd_log.
    stated
        Lead times as stated: sku, lead_time_days and, where known, supplier and location (empty = any). Counts as
        `lead_time_pool_k` observations against at most half as many of the supplier's other items. Of several for
        one key the longest counts.

    Returns
    -------
    LeadTimes

    Raises
    ------
    InvalidTables
        If a needed column is missing. Unusable rows are set aside, see `LeadTimes.set_aside`.

    Notes
    -----
    Kaplan & Meier (1958); pooling by Ferguson (1973) and, with open orders, Hjort (1990); tail by Bennett (1983).

    Examples
    --------
    >>> orders = pd.DataFrame({"supplier": "ACME", "order_date": pd.date_range("2024-01-01", periods=40),
    ...     "received_date": pd.date_range("2024-01-08", periods=40)})
    >>> lead = fit_lead_times(orders, as_of="2024-06-30")
    >>> lead.quantiles(pd.DataFrame({"supplier": ["ACME", "new"]}), [0.5]).to_dict("list")
    {0.5: [7.0, 7.0]}
    >>> late = pd.DataFrame({"supplier": ["ACME"], "order_date": ["2024-05-31"]})
    >>> float(lead.remaining(late, [0.5]).iloc[0, 0]) > 2
    True
    """
    settings = Settings() if settings is None else settings
    orders = order_lines(purchase_orders, as_of=as_of)
    prior = stated_days(stated)
    cases = cases_of(orders, settings.lead_time_half_life_days)
    tree = law_tree(orders, cases, prior)
    tail = tail_survival(cases, prior, settings)
    cdf, effective = fit_tree(tree, cases, tail, settings)
    scores = scorecard(orders, tree.groups, len(tree.laws)).drop(columns="n_lines")
    laws = pd.concat([tree.laws.assign(n_effective=effective), scores], axis=1)
    laws["p_never_arrives"] = never_share(tree, cases, settings.lead_time_pool_k)
    return LeadTimes(orders.as_of, settings, laws, cdf, tail, orders.set_aside)


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


def _checked(levels: Sequence[float]) -> FloatArray:
    values = np.asarray(list(levels), dtype=np.float64)
    if not ((values > 0) & (values < 1)).all():
        raise InvalidSettings(f"levels lie strictly between 0 and 1, got {list(levels)}")
    return values
