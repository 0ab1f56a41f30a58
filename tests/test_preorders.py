"""Items not launched yet go through the same stages: fill dates, promises, the acceptable wait, cash."""

from __future__ import annotations

import pandas as pd
import pytest

import backorder_forecast as bf

AS_OF = pd.Timestamp("2024-06-30")
LAUNCH = pd.Timestamp("2024-07-22")
OPTIONS = bf.Settings(n_paths=200, workers=1, global_model=False, learned_flag=False, theta=False, smooth_items=0)


@pytest.fixture(scope="module")
def plan() -> bf.Plan:
    placed = pd.date_range("2024-01-01", AS_OF, freq="7D")
    arrived = (placed + pd.Timedelta(days=20)).where(placed <= AS_OF - pd.Timedelta(days=20))
    usual = {"supplier": "S", "quantity_ordered": 14.0}
    orders = pd.DataFrame({"po_id": [f"P{k}" for k in range(len(placed))], "sku": "A", "order_date": placed,
                           "received_date": arrived, **usual})  # fmt: skip
    first = pd.DataFrame({"po_id": ["FIRST"], "sku": "NEW", "order_date": [AS_OF - pd.Timedelta(days=4)],
                          "received_date": [pd.NaT], **usual, "quantity_ordered": 5.0})  # fmt: skip
    lines = pd.DataFrame({"order_id": ["o0", "o1", "o2", "o3"], "sku": "NEW", "customer_id": ["c0", "c1", "c2", "c3"],
                          "order_date": AS_OF - pd.to_timedelta([9, 6, 3, 1], unit="D"), "quantity": 2.0,
                          "unit_price": 30.0, "prepaid_amount": [9.0, 9.0, 0.0, 60.0]})  # fmt: skip
    frames = {
        "sales": pd.DataFrame({"sku": "A", "date": pd.date_range("2023-07-01", AS_OF), "quantity": 2.0}),
        "inventory": pd.DataFrame({"sku": ["A", "NEW"], "date": AS_OF, "on_hand": [40.0, 0.0]}),
        "purchase_orders": pd.concat([orders, first], ignore_index=True),
        "products": pd.DataFrame({"sku": ["A", "NEW"], "supplier": "S", "price": [10.0, 30.0], "unit_cost": [6.0, 18.0],
                                  "product_type": ["standard", "specialty"], "launched": [pd.NaT, LAUNCH]}),
        "backorders": lines,
    }  # fmt: skip
    return bf.make_plan(bf.read_tables(frames, as_of=AS_OF), OPTIONS)


def test_lines_of_an_item_to_come_have_dates_and_sources(plan: bf.Plan) -> None:
    lines = plan.fill_dates
    assert lines["order_id"].tolist() == ["o0", "o1", "o2", "o3"]
    assert lines["promise_date"].notna().all()
    assert lines["promise_date"].is_monotonic_increasing
    # The first order covers two lines and one unit of the third.
    assert lines["source"].str.startswith("PO FIRST").tolist() == [True, True, False, False]
    assert lines["fill_date_0.5"].iloc[0] == pytest.approx(AS_OF + pd.Timedelta(days=16), abs=pd.Timedelta(days=3))
    assert set(plan.notices["kind"]) <= {"new_estimate", "consent_or_refund", "discount"}


def test_the_acceptable_wait_of_an_item_to_come_rests_on_its_type(plan: bf.Plan) -> None:
    row = plan.wait_cutoffs.set_index("sku").loc["NEW"]
    assert row["basis"] == "band"  # nobody has cancelled yet: the usual band of a specialty decides
    assert 30 <= row["wait_cutoff_days"] <= 60
    assert row["decision"] in {"accept", "accept only against a confirmed order"}
    assert (row["wait_cutoff_days_low"], row["wait_cutoff_days_high"]) == (30.0, 60.0)
    assert row["max_open_quantity"] == 0.0  # five units are on order, eight are waited for


def test_deposits_of_an_item_to_come_are_owed_until_it_ships(plan: bf.Plan) -> None:
    cash = plan.cash_flow
    assert cash["deposits"].sum() == 78.0
    assert cash["refundable_liability"].iloc[0] == 78.0
    assert cash["refundable_liability"].iloc[-1] < 10.0
    parts = cash[["deposits", "balances"]].sum().sum() - cash[["goods_shipped", "refunds"]].sum().sum()
    assert parts == pytest.approx(cash["refundable_liability"].iloc[-1], abs=0.005)
