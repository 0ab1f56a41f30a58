"""Small shops whose answers can be worked out on paper: why an item is at risk, when a waiting customer is served."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hand_made import constant_sales

from backorder_forecast.pipeline import make_plan
from backorder_forecast.result import Plan
from backorder_forecast.settings import Settings
from backorder_forecast.tables import read_tables

AS_OF = pd.Timestamp("2024-06-30")
SETTINGS = Settings(n_paths=200, horizon_days=30, workers=1, alphas=(0.3,), lead_time_pool_k=0.001)


def ago(days: int) -> pd.Timestamp:
    return AS_OF - pd.Timedelta(days=days)


def delivered(skus: str, lead: int = 10, n: int = 12) -> pd.DataFrame:
    """A past of weekly orders, each delivered after the same number of days."""
    ordered = pd.date_range(end=ago(lead + 60), periods=n, freq="7D")
    rows = [pd.DataFrame({"supplier": "ACME", "sku": s, "order_date": ordered, "quantity_ordered": 14.0}) for s in skus]
    orders = pd.concat(rows, ignore_index=True)
    orders["po_id"] = [f"P{k}" for k in range(len(orders))]
    orders["received_date"] = orders["order_date"] + pd.Timedelta(days=lead)
    return orders


def on_order(sku: str, quantity: float, placed: int) -> pd.DataFrame:
    return pd.DataFrame(
        {"supplier": ["ACME"], "sku": [sku], "order_date": [ago(placed)], "quantity_ordered": [quantity],
         "po_id": [f"open-{sku}-{placed}"]}
    )  # fmt: skip


def plan_of(on_hand: dict[str, float], orders: pd.DataFrame, *, sales: pd.DataFrame | None = None, **more: Any) -> Plan:
    stock = pd.DataFrame({"sku": list(on_hand), "date": AS_OF, "on_hand": list(on_hand.values())})
    extra = more.pop("stock", {})
    tables = {
        "sales": constant_sales("".join(on_hand), "2024-01-01", "2024-06-30") if sales is None else sales,
        "inventory": stock.assign(**extra), "purchase_orders": orders, **more,
    }  # fmt: skip
    return make_plan(read_tables(tables, as_of=AS_OF), SETTINGS)


def risk(plan: Plan, sku: str = "A") -> pd.Series:
    return plan.stockouts[plan.stockouts["sku"] == sku].iloc[0]


# --- causes


def test_a_jump_in_demand_is_called_one() -> None:
    sales = constant_sales("A", "2024-01-01", "2024-06-30")
    sales.loc[sales["date"] > ago(9), "quantity"] = 10.0
    row = risk(plan_of({"A": 45}, delivered("A"), sales=sales))
    assert row["flag"] == "critical"
    assert row["cause"] == "demand surge"
    assert row["demand_surge"] > 0.8
    steady = risk(plan_of({"A": 45}, delivered("A")))
    assert steady["p_unmet_before_arrival"] < 0.05


def test_a_late_order_is_called_late() -> None:
    # Ordered twenty days ago, usually ten days: it should be here, and with it the stock would last.
    orders = pd.concat([delivered("A"), on_order("A", 60, 20)], ignore_index=True)
    row = risk(plan_of({"A": 3}, orders))
    assert row["on_order"] == 60
    assert row["p_unmet_before_arrival"] > 0.5
    assert row["cause"] == "late order"
    assert row["late_order"] > 0.4


def test_stock_on_hold_is_named() -> None:
    orders = pd.concat([delivered("A"), on_order("A", 60, 1)], ignore_index=True)
    row = risk(plan_of({"A": 60}, orders, stock={"on_hold": 58.0}))
    assert row["cause"] == "recall or hold"
    assert row["recall_or_hold"] > 0.5


def test_too_little_on_order_is_named() -> None:
    row = risk(plan_of({"A": 8}, delivered("A")))
    assert row["cause"] == "ordered too little"
    shares = row[["late_order", "demand_surge", "ordered_too_little", "recall_or_hold"]].sum()
    assert row["baseline"] + shares == pytest.approx(row["p_unmet_before_arrival"], abs=0.1)


# --- those who wait


def lines(*rows: dict[str, Any]) -> pd.DataFrame:
    base = {"sku": "A", "order_date": ago(2), "quantity": 2.0, "unit_price": 10.0}
    return pd.DataFrame([{"order_id": str(k + 1), **base, **row} for k, row in enumerate(rows)])


def test_the_queue_is_served_from_the_shelf_then_from_what_is_on_order_then_from_the_next() -> None:
    waiting = lines(
        {"order_date": ago(9)}, {"order_date": ago(8), "quantity": 4.0}, {"order_date": ago(1), "quantity": 30.0}
    )
    orders = pd.concat([delivered("A"), on_order("A", 5, 4)], ignore_index=True)
    plan = plan_of({"A": 3}, orders, backorders=waiting)
    served = plan.fill_dates.set_index("order_id")
    tomorrow = AS_OF + pd.Timedelta(days=1)
    assert served["fill_date_0.5"]["1"] == tomorrow
    assert served["source"]["1"] == "stock now"
    # One unit of the shelf, then three of the order of four days ago: six days to go.
    assert served["first_date_0.5"]["2"] == tomorrow
    assert served["fill_date_0.5"]["2"] == AS_OF + pd.Timedelta(days=6)
    assert "open-A-4" in served["source"]["2"]
    assert served["fill_date_0.5"]["3"] >= AS_OF + pd.Timedelta(days=10)
    assert served["source"]["3"] == "next order"
    assert (served["p_unfilled"][["1", "2"]] == 0).all()
    assert (served["promise_date"] >= served["fill_date_0.5"]).all()
    assert (served["promise_date"].dt.day_of_week < 5).all()
    row = risk(plan)
    assert (row["backordered"], row["already_out"], row["p_stockout"]) == (36, True, 1)
    assert plan.reorders["order_quantity"].iloc[0] >= 36 - 8 + 2 * 10


def test_whom_new_demand_may_overtake_waits_longer() -> None:
    orders = pd.concat([delivered("A"), on_order("A", 6, 4)], ignore_index=True)
    tables = {"backorders": lines({"quantity": 6.0})}
    first = plan_of({"A": 0}, orders, **tables).fill_dates["fill_date_0.9"]
    stock = pd.DataFrame({"sku": ["A"], "date": AS_OF, "on_hand": 0.0})
    sales = constant_sales("A", "2024-01-01", "2024-06-30")
    overtaken = make_plan(
        read_tables({"sales": sales, "inventory": stock, "purchase_orders": orders, **tables}, as_of=AS_OF),
        SETTINGS.replace(new_demand_overtakes=True),
    ).fill_dates["fill_date_0.9"]
    assert first[0] == AS_OF + pd.Timedelta(days=6)
    assert overtaken[0] > first[0]


def test_money_of_waiting_lines_adds_up() -> None:
    orders = pd.concat([delivered("A"), on_order("A", 50, 4)], ignore_index=True)
    waiting = lines({"prepaid_amount": 20.0}, {"quantity": 4.0, "prepaid_amount": 10.0})
    plan = plan_of({"A": 0}, orders, backorders=waiting)
    flow = plan.cash_flow
    paid_in = flow["deposits"].sum() + flow["balances"].sum() - flow["refunds"].sum()
    assert flow["deposits"].iloc[0] == 30
    # All six units ship at ten each, unless a customer leaves first and gets the money back.
    assert paid_in <= 60 + 1e-6
    assert paid_in > 40
    assert (flow["refundable_liability"] >= -1e-9).all()
    assert flow["refundable_liability"].iloc[-1] < 3
    assert np.isfinite(flow["expected_cash"]).all()
