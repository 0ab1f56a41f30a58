"""Scorecards: how suppliers and their items have delivered, counted from order lines as known at `as_of`.

Counts are lines, and stand beside every share, so that nobody reads much into three orders. A line is late when it was
complete after the first promise known, or is still open beyond it; cancelled lines are not judged. Days are calendar
days.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.order_lines import OrderLines

RECENT_DAYS = 182
BEFORE_DAYS = 365
MIN_TREND_RECEIPTS = 3
TREND_ERRORS = 2.0
"""Standard errors by which receipts must have become slower to say so."""


def scorecard(orders: OrderLines, groups: Sequence[NDArray[np.int64]], n: int) -> pd.DataFrame:
    """Delivery record of n groups of lines.

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
    DataFrame, one row per group: n_lines, n_received (something arrived), n_open, n_cancelled, n_late, on_time_share
    (of lines with a promise that are complete or overdue), mean_late_days (of late lines; overdue ones so far),
    fill_share (received of ordered units, lines with a receipt or cancelled), trend (mean days of the receipts of the
    last half year less those of the year before; empty below 3 receipts each), slower (whether that is at least a day
    and more than two standard errors), n_judged (lines behind on_time_share), n_late_now (open beyond their promise),
    quantity_received (units); n_recent, mean_days_recent, n_before, mean_days_before (receipts of the last half year
    and of the year before, and how long they took, behind the trend).

    Examples
    --------
    >>> from backorder_forecast.order_lines import order_lines
    >>> rows = pd.DataFrame({"supplier": "ACME", "order_date": "2024-01-01", "promised_date": "2024-01-09",
    ...     "received_date": ["2024-01-08", "2024-01-13", None]})
    >>> found = scorecard(order_lines(rows, as_of="2024-01-20"), [np.zeros(3, dtype=np.int64)], 1)
    >>> found[["n_received", "n_open", "n_late", "mean_late_days"]].iloc[0].to_dict()
    {'n_received': 2.0, 'n_open': 1.0, 'n_late': 2.0, 'mean_late_days': 7.5}
    """
    lines = orders.lines
    # A row of nothing received is no receipt.
    received = lines["received_date"].notna() & (lines["open_share"] + lines["cancelled_share"] < 1)
    is_open = lines["open_share"] > 0
    cancelled = lines["cancelled_share"] > 0
    promised = lines["first_promised_date"]
    overdue = is_open & (promised < orders.as_of)
    judged = (received & ~is_open & ~cancelled & promised.notna()) | overdue
    lateness = (lines["received_date"].where(~is_open, orders.as_of) - promised).dt.days.where(judged)
    late = lateness > 0
    counted = lines["quantity_ordered"].notna() & ((lines["n_receipts"] > 0) | cancelled)
    ordered = lines["quantity_ordered"].where(counted, 0.0)

    def total(values: pd.Series[Any]) -> NDArray[np.float64]:
        return _sums(values.to_numpy(dtype=np.float64), groups, n)

    frame = pd.DataFrame(
        {
            "n_lines": total(received | is_open | cancelled),
            "n_received": total(received),
            "n_open": total(is_open),
            "n_cancelled": total(cancelled),
            "n_late": total(late),
        }
    ).astype(np.int64)
    frame["on_time_share"] = 1.0 - _ratio(total(late), total(judged))
    frame["mean_late_days"] = _ratio(total(lateness.where(late, 0.0)), total(late))
    received_units = lines["quantity_received"].fillna(0.0).where(lines["quantity_received"] < ordered, ordered)
    frame["fill_share"] = _ratio(total(received_units), total(ordered))
    trend = _trend(orders, groups, n)
    frame["trend"], frame["slower"] = trend.pop("trend"), trend.pop("slower")
    frame["n_judged"], frame["n_late_now"] = total(judged).astype(np.int64), total(overdue).astype(np.int64)
    frame["quantity_received"] = total(lines["quantity_received"].fillna(0.0))
    return frame.assign(**trend)


def _trend(orders: OrderLines, groups: Sequence[NDArray[np.int64]], n: int) -> dict[str, NDArray[Any]]:
    """Days by which receipts became slower, whether that is more than chance, and the means and counts behind it."""
    receipts = orders.receipts
    line = receipts["line"].to_numpy()
    # By day of receipt, not of order: recent orders are known only where they were quick.
    age = (orders.as_of - receipts["received_date"]).dt.days.to_numpy()
    of_receipt = [group[line] for group in groups]
    days = receipts["days"].to_numpy(dtype=np.float64)
    means, errors, counts = [], [], []
    for window in (age < RECENT_DAYS, (age >= RECENT_DAYS) & (age < RECENT_DAYS + BEFORE_DAYS)):
        share = receipts["share"].to_numpy() * window
        count = _sums(window.astype(np.float64), of_receipt, n)
        total = _sums(share, of_receipt, n)
        mean = _ratio(_sums(share * days, of_receipt, n), total)
        spread = np.maximum(_ratio(_sums(share * days**2, of_receipt, n), total) - mean**2, 0.0)
        counts.append(count.astype(np.int64))
        enough = count >= MIN_TREND_RECEIPTS
        means.append(np.where(enough, mean, np.nan))
        errors.append(np.where(enough, spread / np.maximum(count - 1.0, 1.0), np.nan))
    trend = np.asarray(means[0] - means[1])
    return {
        "trend": trend, "slower": trend >= np.maximum(TREND_ERRORS * np.sqrt(errors[0] + errors[1]), 1.0),
        "n_recent": counts[0], "mean_days_recent": means[0], "n_before": counts[1], "mean_days_before": means[1],
    }  # fmt: skip


def _sums(values: NDArray[np.float64], groups: Sequence[NDArray[np.int64]], n: int) -> NDArray[np.float64]:
    result = np.zeros(n)
    for group in groups:
        known = group >= 0
        result += np.bincount(group[known], values[known], n)
    return result


def _ratio(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0))
