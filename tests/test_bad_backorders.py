"""Flaws of backorder tables: each is handled by a rule and counted, and no line waits for ever in silence."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import backorder_forecast as bf

AS_OF, LAST_RECEIVED = pd.Timestamp("2024-06-30"), pd.Timestamp("2024-06-15")
OPTIONS = bf.Settings(n_paths=100, workers=1, global_model=False, learned_flag=False, theta=False, smooth_items=0)
GOOD = {"order_id": "good", "sku": "A", "order_date": "2024-06-20", "quantity": 3.0}


def plan_of(*rows: dict[str, Any], settings: bf.Settings = OPTIONS, **products: Any) -> bf.Plan:
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
    return bf.make_plan(bf.read_tables(frames, as_of=AS_OF), settings)


# name: (flawed columns, whether the line waits, words of the rule that counts it)
FLAWS: dict[str, tuple[dict[str, Any], bool, str]] = {
    "zero quantity": ({"quantity": 0.0}, False, "quantity"),
    "negative quantity": ({"quantity": -2.0}, False, "quantity"),
    "filled before ordered": ({"quantity_filled": 1.0, "filled_date": "2024-06-01"}, True, "filled before ordered"),
    "filled and cancelled": (
        {"quantity_filled": 3.0, "filled_date": "2024-06-25", "cancelled_date": "2024-06-26"}, False,
        "filled and cancelled",
    ),
    "the same line twice": ({}, True, "the same row twice"),
    "promised in the past": ({"promised_date": "2024-06-25"}, True, "promised date already passed"),
    "prepaid more than the price": ({"unit_price": 10.0, "prepaid_amount": 50.0}, True, "prepaid above the price"),
    "no order date": ({"order_date": None}, False, "order_date"),
}  # fmt: skip
TWICE = [{**GOOD, "order_id": "the same line twice"}]


def flawed(**products: Any) -> bf.Plan:
    return plan_of(*({**GOOD, "order_id": name, **flaw} for name, (flaw, _, _) in FLAWS.items()), *TWICE, **products)


@pytest.fixture(scope="module")
def plan() -> bf.Plan:
    return flawed()


@pytest.mark.parametrize("name", FLAWS)
def test_each_flaw_is_handled_and_counted(plan: bf.Plan, name: str) -> None:
    _, waits, words = FLAWS[name]
    found = plan.fill_dates[plan.fill_dates["order_id"] == name]
    assert len(found) == int(waits)
    assert found["fill_date_0.9"].notna().all()
    quality = plan.data_quality[plan.data_quality["table"] == "backorders"]
    told = quality["rule"].str.contains(words) | quality["effect"].str.contains(words)
    assert told.any(), quality
    assert "good" in set(plan.fill_dates["order_id"])
    if name in ("zero quantity", "negative quantity", "no order date"):
        assert quality.loc[told, "rows_set_aside"].sum() >= 1


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
    # The customer and the shop are told too: a message that names no date, and a decision against taking more.
    notice = plan.notices[plan.notices["order_id"] == "x"]
    assert notice["kind"].tolist() == ["cannot_fill"]
    assert "cannot name a date" in notice["text"].iloc[0]
    decided = plan.wait_cutoffs.set_index("sku").loc["A"]
    assert decided["decision"] == "do not backorder"
    assert "no supply in sight" in decided["reason"]


def test_every_waiting_line_has_a_date_or_is_said_to_have_none(plan: bf.Plan) -> None:
    for told in (plan, flawed(discontinued=[pd.Timestamp("2024-06-01")])):
        dateless = told.fill_dates["promise_date"].isna()
        named = told.fill_dates["order_id"].isin(told.notices.loc[told.notices["new_date"].isna(), "order_id"])
        assert (named == dateless).all()
        counted = told.data_quality[told.data_quality["rule"].isin(["no supply in sight", "no promise"])]
        assert counted["rows_read"].sum() == dateless.sum()


def test_a_promise_that_is_over_is_told_to_the_customer(plan: bf.Plan) -> None:
    notice = plan.notices[plan.notices["order_id"] == "promised in the past"].iloc[0]
    assert notice["kind"] == "consent_or_refund"
    assert notice["old_date"] == pd.Timestamp("2024-06-25")
    assert notice["deadline"] > AS_OF
    assert plan.fill_dates.set_index("order_id").loc["promised in the past", "p_by_promised"] == 0.0


def test_more_prepaid_than_the_price_goes_back_and_the_cash_adds_up(plan: bf.Plan) -> None:
    flow = plan.cash_flow[["deposits", "balances", "goods_shipped", "refunds", "refundable_liability"]]
    sums = flow.cumsum()
    left = sums["deposits"] + sums["balances"] - sums["goods_shipped"] - sums["refunds"]
    assert left.to_numpy() == pytest.approx(flow["refundable_liability"].to_numpy(), abs=0.006)
    assert sums["refunds"].iloc[-1] >= 20.0


def test_the_cash_is_that_of_the_lines_to_the_cent(plan: bf.Plan) -> None:
    lines, flow = plan.fill_dates, plan.cash_flow
    assert flow["deposits"].sum() == pytest.approx(lines["held_amount"].sum(), abs=0.005)
    assert lines.set_index("order_id").loc["prepaid more than the price", "held_amount"] == 50.0
    assert flow["balances"].sum() <= lines["balance_amount"].sum() + 0.005
    # Without cancellations every line ships within the horizon, and every balance is paid.
    patient = bf.Settings(patience_priors=dict.fromkeys(("commodity", "standard", "specialty", "custom"), (0.5, 1e9)))
    sure = flawed(settings=OPTIONS.replace(patience_priors=patient.patience_priors, horizon_days=365))
    assert sure.fill_dates["p_unfilled"].max() == 0.0
    assert sure.cash_flow["balances"].sum() == pytest.approx(sure.fill_dates["balance_amount"].sum(), abs=0.011)
    assert sure.cash_flow["refundable_liability"].iloc[-1] == pytest.approx(0.0, abs=0.011)


def test_shuffled_rows_change_nothing(plan: bf.Plan) -> None:
    rows = [{**GOOD, "order_id": name, **flaw} for name, (flaw, _, _) in FLAWS.items()]
    other = plan_of(*TWICE, *rows[::-1])
    pd.testing.assert_frame_equal(plan.fill_dates, other.fill_dates)
    pd.testing.assert_frame_equal(plan.cash_flow, other.cash_flow)
