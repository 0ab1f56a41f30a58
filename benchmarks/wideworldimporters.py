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

The fill dates of past days are held against what was picked later, which checks the mechanics only: that every line
that waited is in the plan, dated, and found again. The interval is judged within the horizon of the plan; a line that
is never picked in the data stays among the lines as not filled. What a chain of `BackorderOrderID` moves is one line:
it keeps its order date and carries the number of the last order, though on the day it may have had an earlier one.
Dates are kept for hardly any line, and that says nothing of a real shop. For the nine items that anybody waits for,
139 million units are received against 0.74 million ordered, so goods for the whole queue come in by every promised date
(a test this easy proves little either); the pickers leave the queue all the same, and 88 % of the picks of these items
went past a line that was ordered on an earlier day and still waited. The plan fills first come, first served.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from backorder_forecast import Plan, Settings, Tables, make_plan, read_tables
from benchmarks._real_input import Figures, plan_and_show

LAST_DAY, EARLIER_DAY = "2016-05-31", "2015-06-30"
PAST_DAYS = ("2013-12-31", "2014-06-30", "2014-12-31", EARLIER_DAY, "2015-12-31")
"""Ends of half years with a whole horizon of data after them."""


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


def outcomes(data: Path, plan: Plan) -> pd.DataFrame:
    """What became of each line of `plan.fill_dates`: the same rows in the same order.

    Columns: order_id, sku, order_date, quantity, fill_date_0.1, _0.5, _0.9, promise_date of the plan; `picked` (the day
    the line was picked; empty if never in the data); and `goods_in`, the first day on which as much had been received
    since the plan as the item's lines need, oldest first, up to and including this one. Goods may come in and a line
    still wait: the first is supply, the second whom the pickers served.
    """
    dates = ["fill_date_0.1", "fill_date_0.5", "fill_date_0.9", "promise_date"]
    lines = plan.fill_dates[["order_id", "sku", "order_date", "quantity", *dates]].copy()
    raw = _raw(data, "Sales.OrderLines")
    picked = pd.Series(
        raw["PickingCompletedWhen"].dt.normalize().to_numpy(),
        index=pd.MultiIndex.from_arrays([raw["OrderID"].astype(str), raw["StockItemID"].astype(str)]),
    )
    asked = pd.MultiIndex.from_frame(lines[["order_id", "sku"]].astype(str))
    lost = asked[~asked.isin(picked.index)]
    if len(lost):
        # Else a line that is not in the data would pass for one that was never picked.
        raise LookupError(f"{len(lost)} planned lines are not in Sales.OrderLines, e.g. {list(lost[:3])}")
    lines["picked"] = picked[picked.index.isin(asked)].reindex(asked).to_numpy()
    return lines.assign(goods_in=_goods_in(data, lines, plan.as_of))


def figures_of(lines: pd.DataFrame, as_of: pd.Series | pd.Timestamp, horizon_days: int) -> Figures:
    """Counts and shares of `outcomes`; a line that was never picked is a line not filled.

    A date after the horizon is empty in the plan: for the interval, such dates and the picks after it are one, "later".
    The median error, days picked after the median date, can only be of lines that were picked.
    """
    later = pd.Series(as_of, index=lines.index) + pd.Timedelta(days=horizon_days + 1)
    low, high = (lines[f"fill_date_{level}"].fillna(later).clip(upper=later) for level in (0.1, 0.9))
    picked = lines["picked"].fillna(later).clip(upper=later)
    return {
        "wwi_lines": float(len(lines)),
        "wwi_with_date": float(lines["promise_date"].notna().mean()),
        "wwi_by_median_date": _share_by(lines, "picked", "fill_date_0.5"),
        "wwi_by_nine_tenths_date": _share_by(lines, "picked", "fill_date_0.9"),
        "wwi_kept": _share_by(lines, "picked", "promise_date"),
        "wwi_coverage_80": float(picked.between(low, high).mean()),
        "wwi_goods_in_by_promise": _share_by(lines, "goods_in", "promise_date"),
        "wwi_picked_in_horizon": float((picked < later).mean()),
        "wwi_never_picked": float(lines["picked"].isna().mean()),
        "wwi_median_error_days": float((lines["picked"] - lines["fill_date_0.5"]).dt.days.median()),
    }


def _share_by(lines: pd.DataFrame, event: str, date: str) -> float:
    dated = lines[lines[date].notna()]
    return float((dated[event] <= dated[date]).mean())


def _goods_in(data: Path, lines: pd.DataFrame, as_of: pd.Timestamp) -> pd.Series:
    received = _purchase_orders(data).rename(columns={"received_date": "day"})
    received = received[(received["day"] > as_of) & (received["quantity_received"] > 0)].sort_values("day")
    received["units"] = received.groupby("sku")["quantity_received"].cumsum().astype(float)
    queue = lines[["sku", "quantity"]].assign(line=lines.index, number=lines["order_id"].astype(int))
    queue = queue.assign(order_date=lines["order_date"]).sort_values(["order_date", "number"])
    queue["units"] = queue.groupby("sku")["quantity"].cumsum().astype(float)
    found = pd.merge_asof(
        queue.astype({"sku": "str"}).sort_values("units"),
        received[["sku", "units", "day"]].astype({"sku": "str"}).sort_values("units"),
        on="units",
        by="sku",
        direction="forward",
    )
    days: pd.Series = found.set_index("line")["day"].dt.normalize()
    return days.reindex(lines.index)


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


def _held_against(data: Path, as_of: str | None) -> Figures:
    settings, parts, table = Settings(), [], {}
    for day in (as_of,) if as_of else PAST_DAYS:
        if pd.Timestamp(day) + pd.Timedelta(days=settings.horizon_days) > pd.Timestamp(LAST_DAY):
            print(f"the data end within the horizon of {day}: its fill dates cannot be held against them yet")
            continue
        plan = make_plan(tables(data, day), settings=settings)
        lines = outcomes(data, plan)
        table[day] = figures_of(lines, plan.as_of, settings.horizon_days)
        parts.append(lines.assign(as_of=plan.as_of))
    if not parts:
        return {}
    both = pd.concat(parts, ignore_index=True)
    figures = table["all"] = figures_of(both, both["as_of"], settings.horizon_days)
    print("Waiting lines of past days, held against what was picked later (a line that waits on two days counts twice)")
    print(pd.DataFrame(table).round(3).to_string(), end="\n\n")
    return figures


def main() -> None:
    plan_and_show("wideworldimporters", __doc__ or "", tables, (LAST_DAY, EARLIER_DAY), Settings(), _held_against)


if __name__ == "__main__":
    main()
