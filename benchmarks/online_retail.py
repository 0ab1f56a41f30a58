"""Online retail: 541 909 raw invoice lines of a giftware shop, read with a column mapping and nothing else.

Cancelled invoices, returns, missing customers, postage and bookings of bad debt are left in: the reading has to cope.
There is no stock, no purchase order and no product list, so the plan has forecasts only and says what else it needs.
"""

from __future__ import annotations

from pathlib import Path

from backorder_forecast import Settings, Tables, read_tables
from benchmarks._real_input import plan_and_show

LAST_DAY = "2011-12-09"
COLUMNS = {
    "InvoiceNo": "order_id",
    "StockCode": "sku",
    "Quantity": "quantity",
    "InvoiceDate": "date",
    "UnitPrice": "price",
    "CustomerID": "customer_id",
    "Description": None,
    "Country": None,
}


def tables(data: Path, as_of: str = LAST_DAY) -> Tables:
    """The one table of the shop, as known at the end of `as_of`."""
    return read_tables({"sales": data / "transactions.parquet"}, columns={"sales": COLUMNS}, as_of=as_of)


def main() -> None:
    plan_and_show("online_retail", __doc__ or "", tables, (LAST_DAY,), Settings())


if __name__ == "__main__":
    main()
