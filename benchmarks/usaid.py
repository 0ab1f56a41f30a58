"""USAID: the monthly stock ledger of 155 clinics and 11 contraceptives.

What had to be decided beside names:

- `ds` is the first day of the month and labels it; what was given out in the month (`y`) is a sale of that day, the
  stock at its end a snapshot of the last day;
- the ledger says what came in each month, not when it was ordered: receipts are history, nothing is on order, and no
  lead time can be learned;
- an item is a product at a clinic.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from backorder_forecast import Settings, Tables, read_tables
from benchmarks._real_input import plan_and_show

LAST_DAY = "2018-12-31"


def tables(data: Path, as_of: str = LAST_DAY) -> Tables:
    """Sales, receipts and month-end stock, as known at the end of `as_of`."""
    ledger = pd.read_parquet(data / "stock_ledger.parquet")
    items = pd.DataFrame({"sku": ledger["product_code"], "location": ledger["site_code"]})
    received = ledger["stock_received"] > 0
    frames = {
        "sales": items.assign(date=ledger["ds"], quantity=ledger["y"]),
        "inventory": items.assign(date=ledger["ds"] + pd.offsets.MonthEnd(0), on_hand=ledger["stock_end"]),
        "purchase_orders": items[received].assign(
            supplier="programme",
            order_date=None,
            received_date=ledger["ds"],
            quantity_received=ledger["stock_received"],
        ),
    }
    return read_tables(frames, as_of=as_of)


def main() -> None:
    plan_and_show("usaid_contraceptive", __doc__ or "", tables, (LAST_DAY,), Settings())


if __name__ == "__main__":
    main()
