"""Flaws of backorder tables: each is handled by a rule and counted, and no line waits for ever in silence."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import backorder_forecast as bf

AS_OF, LAST_RECEIVED = pd.Timestamp("2024-06-30"), pd.Timestamp("2024-06-15")
OPTIONS = bf.Settings(n_paths=100, workers=1, global_model=False, learned_flag=False, theta=False, smooth_items=0)
GOOD = {"order_id": "good", "sku": "A", "order_date": "2024-06-20", "quantity": 3.0}


def plan_of(*rows: dict[str, Any], **products: Any) -> bf.Plan:
    placed = pd.date_range("2024-01-01", AS_OF, freq="7D")
    frames = {
        "sales": pd.DataFrame({"sku": "A", "date": pd.date_range("2023-07-01", AS_OF), "quantity": 2.0}),
        "inventory": pd.DataFrame({"sku": ["A"], "date": [AS_OF], "on_hand": [0.0]}),
        "purchase_orders": pd.DataFrame(
            {"po_id": [f"P{k}" for k in range(len(placed))], "supplier": "S", "sku": "A", "order_date": placed,
             "received_date": (placed + pd.Timedelta(days=9)).where(placed <= LAST_RECEIVED), "quantity_ordered": 14.0}
        ),
        "products": pd.DataFrame({"sku": ["A"], "supplier": ["S"], "price": [10.0]} | products),
        "backorders": pd.DataFrame([GOOD, *rows]),
    }  # fmt: skip
    return bf.make_plan(bf.read_tables(frames, as_of=AS_OF), OPTIONS)


# name: (rows beside the good one, lines that then wait, words of the rule that counts them)
FLAWS: dict[str, tuple[list[dict[str, Any]], set[str], str]] = {
    "zero quantity": ([{**GOOD, "order_id": "x", "quantity": 0.0}], {"good"}, "quantity"),
    "negative quantity": ([{**GOOD, "order_id": "x", "quantity": -2.0}], {"good"}, "quantity"),
    "filled before ordered": (
        [{**GOOD, "order_id": "x", "quantity_filled": 1.0, "filled_date": "2024-06-01"}],
        {"good", "x"}, "filled before ordered",
    ),
    "filled and cancelled": (
        [{**GOOD, "order_id": "x", "quantity_filled": 3.0, "filled_date": "2024-06-25",
          "cancelled_date": "2024-06-26"}],
        {"good"}, "filled and cancelled",
    ),
    "the same line twice": ([dict(GOOD)], {"good"}, "twice"),
    "promised in the past": (
        [{**GOOD, "order_id": "x", "promised_date": "2024-06-25"}], {"good", "x"}, "promised date already passed",
    ),
    "prepaid more than the price": (
        [{**GOOD, "order_id": "x", "unit_price": 10.0, "prepaid_amount": 50.0}],
        {"good", "x"}, "prepaid above the price",
    ),
    "no order date": ([{**GOOD, "order_id": "x", "order_date": None}], {"good"}, "order_date"),
}  # fmt: skip


@pytest.mark.parametrize("name", FLAWS)
def test_each_flaw_is_handled_and_counted(name: str) -> None:
    rows, waiting, words = FLAWS[name]
    plan = plan_of(*rows)
    assert set(plan.fill_dates["order_id"]) == waiting
    assert len(plan.fill_dates) == len(waiting)
    quality = plan.data_quality[plan.data_quality["table"] == "backorders"]
    assert quality["rule"].str.contains(words).any() or quality["effect"].str.contains(words).any(), quality
    assert plan.fill_dates["fill_date_0.9"].notna().all()


def test_a_line_of_an_unknown_item_is_set_aside_and_named() -> None:
    plan = plan_of({**GOOD, "order_id": "x", "sku": "Z"})
    assert plan.fill_dates["order_id"].tolist() == ["good"]
    rules = plan.data_quality[plan.data_quality["table"] == "backorders"]
    assert rules.loc[rules["examples"].str.contains("Z"), "rows_set_aside"].tolist() == [1]


def test_a_line_of_an_item_without_stock_record_and_orders_waits_for_the_next_order() -> None:
    plan = plan_of({**GOOD, "order_id": "x", "sku": "Z"}, sku=["A", "Z"], supplier=["S", "S"], price=[10.0, 5.0])
    line = plan.fill_dates.set_index("order_id").loc["x"]
    assert line["source"] == "next order"
    assert pd.notna(line["promise_date"])


def test_an_item_without_any_supply_is_said_and_counted() -> None:
    late = {**GOOD, "order_id": "x", "quantity": 500.0}
    plan = plan_of(late, discontinued=[pd.Timestamp("2024-06-01")])
    line = plan.fill_dates.set_index("order_id").loc["x"]
    assert line["source"] == "no supply in sight"
    assert line[["fill_date_0.5", "promise_date"]].isna().all()
    assert line["p_unfilled"] == 1.0
    assert (plan.data_quality["rule"] == "no supply in sight").any()


def test_more_prepaid_than_the_price_goes_back_and_the_cash_adds_up() -> None:
    plan = plan_of({**GOOD, "order_id": "x", "unit_price": 10.0, "prepaid_amount": 50.0})
    flow = plan.cash_flow[["deposits", "balances", "goods_shipped", "refunds", "refundable_liability"]]
    sums = flow.cumsum()
    left = sums["deposits"] + sums["balances"] - sums["goods_shipped"] - sums["refunds"]
    assert left.to_numpy() == pytest.approx(flow["refundable_liability"].to_numpy(), abs=0.006)
    assert sums["refunds"].iloc[-1] >= 20.0


def test_shuffled_rows_change_nothing() -> None:
    rows = [row for flaws, _, _ in FLAWS.values() for row in flaws]
    rows = [{**row, "order_id": f"x{k}"} for k, row in enumerate(rows)]
    one, two = plan_of(*rows), plan_of(*rows[::-1])
    pd.testing.assert_frame_equal(one.fill_dates, two.fill_dates)
    pd.testing.assert_frame_equal(one.cash_flow, two.cash_flow)
