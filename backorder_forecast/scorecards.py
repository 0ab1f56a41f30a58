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

from backorder_forecast.lead_trend import lead_trends
from backorder_forecast.order_lines import OrderLines


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
    fill_share (received of ordered units, lines with a receipt or cancelled), trend, slower (see `lead_trends`),
    n_judged (lines behind on_time_share), n_late_now (open beyond their promise), quantity_received (units);
    n_recent, mean_days_recent, n_before, mean_days_before (behind the trend).

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
    trend = lead_trends(orders, groups, n)
    frame["trend"], frame["slower"] = trend.pop("trend"), trend.pop("slower")
    frame["n_judged"], frame["n_late_now"] = total(judged).astype(np.int64), total(overdue).astype(np.int64)
    frame["quantity_received"] = total(lines["quantity_received"].fillna(0.0))
    return pd.concat([frame, trend], axis=1)


def _sums(values: NDArray[np.float64], groups: Sequence[NDArray[np.int64]], n: int) -> NDArray[np.float64]:
    result = np.zeros(n)
    for group in groups:
        known = group >= 0
        result += np.bincount(group[known], values[known], n)
    return result


def _ratio(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0))
