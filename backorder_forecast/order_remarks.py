"""How purchase order lines that are used were understood, as rows of `data_quality`; counts are lines.

Nothing here is left out of a result: an order without a supplier follows the lead times of all, more units than ordered
complete their line, a rest that was cancelled is not on order, and an item with several suppliers has one law for each.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from backorder_forecast.order_lines import UNREAD_RECORD, OrderLines, order_names, remark

_MORE = 1.0 + 1e-9


def order_remarks(orders: OrderLines) -> pd.DataFrame:
    """Rows of `data_quality` about lines; none where there is nothing to say.

    Examples
    --------
    >>> from backorder_forecast.order_lines import order_lines
    >>> rows = pd.DataFrame({"po_id": "7", "supplier": "ACME", "sku": "A", "order_date": ["2024-01-01"],
    ...     "received_date": ["2024-01-08"], "quantity_ordered": 10.0, "quantity_received": 12.0})
    >>> order_remarks(order_lines(rows, as_of="2024-01-31"))[["rule", "rows_read", "examples"]].values.tolist()
    [['received more than was ordered', 1, 'order 7 of ACME, sku A: 12 of 10']]
    """
    lines = orders.lines
    ordered, received = lines["quantity_ordered"], lines["quantity_received"]
    more = lines[(received > ordered * _MORE).to_numpy()]
    ended = lines[(lines["cancelled_share"] > 0).to_numpy() & (lines["n_receipts"] > 0).to_numpy()]
    nobody = lines[(lines["supplier"] == "").to_numpy()]
    named = lines[((lines["supplier"] != "") & (lines["sku"] != "")).to_numpy()]
    several = named.groupby(["sku", "location"])["supplier"].nunique()
    several = several[several > 1]
    late = (lines["recorded_date"] > lines["order_date"]).to_numpy()
    last = lines["received_date"].mask((lines["cancelled_share"] > 0).to_numpy(), lines["cancelled_date"])
    over = late & (lines["recorded_date"] >= last).to_numpy() & (lines["open_share"] <= 0).to_numpy()
    afterwards, delayed = lines[over], lines[late & ~over]
    of_several = pd.MultiIndex.from_frame(named[["sku", "location"]]).isin(several.index)
    parts = [
        orders.remarks[orders.remarks["rule"] == UNREAD_RECORD],
        remark(
            "received more than was ordered",
            "the line is complete; the surplus is stock and tells no lead time. Repeated receipts show here too",
            len(more), _quantities(more),
        ),
        remark(
            "rest of an order was cancelled",
            "what came counts, the rest is not on order", len(ended), _quantities(ended),
        ),
        remark(
            "order without a supplier",
            "follows the lead times of all suppliers, and belongs to no scorecard", len(nobody), _names(nobody),
        ),
        remark(
            "item with several suppliers",
            "each order follows its own supplier; new ones go to the supplier of the product, else of the latest order",
            int(of_several.sum()), _counted(several.head(3)),
        ),
        remark(
            "recorded after it was ordered",
            "tells lead times only of ages beyond that at which it was recorded; what had come before tells none",
            len(delayed), _recorded(delayed),
        ),
        remark(
            "recorded after it had arrived or ended",
            "tells no lead time (slower orders of that time may have been left out); counts in the scorecards",
            len(afterwards), _recorded(afterwards),
        ),
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def long_remark(orders: OrderLines, longest: int) -> pd.DataFrame:
    """Row on receipts that took longer than the grid of the lead-time laws; none where there are none."""
    slow = orders.receipts[(orders.receipts["days"] > longest).to_numpy()]
    names = order_names(orders.lines.iloc[slow["line"].to_numpy()[:3]])
    found = [f"{name}: {days:,} days" for name, days in zip(names, slow["days"], strict=False)]
    words = (
        f"counts as longer than {longest:,} days (Settings.max_lead_time_days), where lead times are not told apart;"
        " raise it if such long ones are true"
    )
    return remark("receipt beyond the longest lead time", words, len(slow), found)


def far_remark(orders: OrderLines, *, longest: int, fillers: bool) -> pd.DataFrame:
    """Row on open lines whose named date lies more than `longest` days after the order; none where there are none."""
    lines = orders.lines
    far = (lines["promised_date"] - lines["order_date"]).dt.days > longest
    some = lines[(far & (lines["open_share"] > 0)).to_numpy()]
    words = "believed: it does not arrive before; correct the date if it stands for none"
    if fillers:
        words = "taken as no date, since orders with such dates have arrived; the usual lead time holds"
    dates = some["promised_date"].dt.strftime("%Y-%m-%d").head(3)
    found = [f"{name}: promised {date}" for name, date in zip(_names(some), dates, strict=True)]
    return remark("promised date beyond every lead time", words, len(some), found)


def _names(lines: pd.DataFrame) -> list[str]:
    return order_names(lines.head(3))


def _recorded(lines: pd.DataFrame) -> list[str]:
    days = (lines["recorded_date"] - lines["order_date"]).dt.days.head(3)
    return [f"{name}: {age} days later" for name, age in zip(_names(lines), days, strict=True)]


def _counted(several: pd.Series) -> list[str]:
    pairs = zip(several.index.get_level_values("sku"), several, strict=True)
    return [f"sku {sku}: {n} suppliers" for sku, n in pairs]


def _quantities(lines: pd.DataFrame) -> list[str]:
    pairs = np.stack([lines["quantity_received"].head(3), lines["quantity_ordered"].head(3)], axis=1)
    return [
        f"{name}: {came:,.10g} of {wanted:,.10g}" for name, (came, wanted) in zip(_names(lines), pairs, strict=True)
    ]
