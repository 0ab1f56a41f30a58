"""WideWorldImporters: the raw tables of a sample company's database, to a full plan.

What had to be decided beside names:

- a sale is an order line when it was picked;
- an undersupplied line is moved to an order of its own, which the first order names in `BackorderOrderID`, with the
  same order date. The lines of such orders are the backorders, and so is any other that was not picked on its day;
- purchase orders count outers, sales and stock count units: `QuantityPerOuter` turns one into the other;
- the holdings are of the last day. On an earlier day stock is the sum of the stock moves up to it, on top of the least
  opening stock that never lets the shelf fall below zero, for the moves do not tell it. They tell nothing of an item
  that shipped more than it received: it gets no inventory row, and the plan says that its stock is unknown. And where
  customers wait, the shelf was found empty, whatever was booked into it.

The company is made up: deliveries take 1 to 3 days where 20 are promised, and stock does not reconcile with its moves
(millions of shirts were received for which thousands of lines still wait).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from backorder_forecast import Settings, Tables, read_tables
from benchmarks._real_input import plan_and_show

LAST_DAY, EARLIER_DAY = "2016-05-31", "2015-06-30"


def tables(data: Path, as_of: str = LAST_DAY) -> Tables:
    """The tables of the library from the raw tables, as known at the end of `as_of`."""
    lines = _raw(data, "Sales.OrderLines").merge(_raw(data, "Sales.Orders"), on="OrderID", suffixes=("", "Order"))
    frames = {
        "sales": _sales(lines),
        "backorders": _backorders(lines),
        "purchase_orders": _purchase_orders(data),
        "inventory": _holdings(data) if as_of == LAST_DAY else _rebuilt_stock(data, lines, as_of),
        "products": _products(data, lines, as_of),
    }
    return read_tables(frames, as_of=as_of)


def _sales(lines: pd.DataFrame) -> pd.DataFrame:
    picked = lines[lines["PickedQuantity"] > 0]
    return pd.DataFrame(
        {
            "sku": picked["StockItemID"].astype(str),
            "date": picked["PickingCompletedWhen"],
            "quantity": picked["PickedQuantity"],
            "customer_id": picked["CustomerID"].astype(str),
            "order_id": picked["OrderID"].astype(str),
            "price": picked["UnitPrice"],
        }
    )


def _backorders(lines: pd.DataFrame) -> pd.DataFrame:
    moved = lines["OrderID"].isin(lines["BackorderOrderID"].dropna())
    in_time = lines["PickingCompletedWhen"].dt.normalize() <= lines["OrderDate"]
    waited = lines[moved | ~in_time]
    return pd.DataFrame(
        {
            "order_id": waited["OrderID"].astype(str),
            "sku": waited["StockItemID"].astype(str),
            "order_date": waited["OrderDate"],
            "quantity": waited["Quantity"],
            "customer_id": waited["CustomerID"].astype(str),
            "promised_date": waited["ExpectedDeliveryDate"],
            "quantity_filled": waited["PickedQuantity"],
            "filled_date": waited["PickingCompletedWhen"],
            "unit_price": waited["UnitPrice"],
        }
    )


def _purchase_orders(data: Path) -> pd.DataFrame:
    lines = _raw(data, "Purchasing.PurchaseOrderLines").merge(
        _raw(data, "Purchasing.PurchaseOrders"), on="PurchaseOrderID"
    )
    lines = lines.merge(_raw(data, "Purchasing.Suppliers"), on="SupplierID")
    lines = lines.merge(_raw(data, "Warehouse.StockItems")[["StockItemID", "QuantityPerOuter"]], on="StockItemID")
    return pd.DataFrame(
        {
            "supplier": lines["SupplierName"],
            "order_date": lines["OrderDate"],
            "received_date": lines["LastReceiptDate"],
            "po_id": lines["PurchaseOrderID"].astype(str),
            "sku": lines["StockItemID"].astype(str),
            "quantity_ordered": lines["OrderedOuters"] * lines["QuantityPerOuter"],
            "quantity_received": lines["ReceivedOuters"] * lines["QuantityPerOuter"],
            "promised_date": lines["ExpectedDeliveryDate"],
        }
    )


def _products(data: Path, lines: pd.DataFrame, as_of: str) -> pd.DataFrame:
    items = _raw(data, "Warehouse.StockItems").merge(_raw(data, "Purchasing.Suppliers"), on="SupplierID")
    items = items.merge(_raw(data, "Warehouse.StockItemHoldings"), on="StockItemID")
    # The item list is of the last day too: what nobody had ordered yet was not on it.
    items = items[items["StockItemID"].isin(lines.loc[lines["OrderDate"] <= as_of, "StockItemID"])]
    return pd.DataFrame(
        {
            "sku": items["StockItemID"].astype(str),
            "supplier": items["SupplierName"],
            "unit_cost": items["LastCostPrice"],
            "price": items["UnitPrice"],
            "lead_time_days": items["LeadTimeDays"],
            "pack_size": items["QuantityPerOuter"],
        }
    )


def _holdings(data: Path) -> pd.DataFrame:
    held = _raw(data, "Warehouse.StockItemHoldings")
    return pd.DataFrame({"sku": held["StockItemID"].astype(str), "date": LAST_DAY, "on_hand": held["QuantityOnHand"]})


def _rebuilt_stock(data: Path, lines: pd.DataFrame, as_of: str) -> pd.DataFrame:
    end = pd.Timestamp(as_of) + pd.Timedelta(days=1)
    moves = _raw(data, "Warehouse.StockItemTransactions")
    moves = moves[moves["TransactionOccurredWhen"] < end]
    moves = moves.sort_values(["TransactionOccurredWhen", "StockItemTransactionID"], kind="stable")
    running = moves.groupby("StockItemID")["Quantity"].cumsum().groupby(moves["StockItemID"])
    moved, opening = running.last(), -running.min().clip(upper=0)
    known = moved[moved > 0] + opening[moved > 0]
    waits = (lines["OrderDate"] < end) & ~(lines["PickingCompletedWhen"] < end)
    known[known.index.isin(lines.loc[waits, "StockItemID"])] = 0
    return pd.DataFrame({"sku": known.index.astype(str), "date": as_of, "on_hand": known.to_numpy()})


def _raw(data: Path, table: str) -> pd.DataFrame:
    return pd.read_parquet(data / f"{table}.parquet")


def main() -> None:
    plan_and_show("wideworldimporters", __doc__ or "", tables, (LAST_DAY, EARLIER_DAY), Settings())


if __name__ == "__main__":
    main()
