"""What a plan says of supply in words, and that the words go with the numbers: holds, closures, due orders, costs."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import backorder_forecast as bf
from backorder_forecast.panel import DemandPanel

DAYS = pd.date_range("2024-01-01", periods=180)
AS_OF = DAYS[-1]
SETTINGS = bf.Settings(n_paths=200, horizon_days=60, workers=1, global_model=False, learned_flag=False)


class OneADay:
    """Exactly one unit of each item every day, so that every date can be counted by hand."""

    def forecast(self, panel: DemandPanel, horizon: int, seed: int) -> bf.SamplePaths:
        ones: NDArray[np.float64] = np.ones((len(panel.items), 200, horizon))
        dates = pd.date_range(panel.periods[-1], periods=horizon + 1, freq=panel.freq)[1:]
        return bf.SamplePaths.from_array(ones, panel.items, dates)


def day(n: int) -> pd.Timestamp:
    return AS_OF + pd.Timedelta(days=n)


def tables(on_hand: float, *orders: dict[str, Any], **more: Any) -> dict[str, pd.DataFrame]:
    """Item A; item H has brought the history of its supplier: every order took 10 days."""
    placed = pd.date_range(day(-220), periods=200)
    past = pd.DataFrame(
        {
            "po_id": [f"H{i}" for i in range(200)], "supplier": "ACME", "sku": "H", "order_date": placed,
            "received_date": placed + pd.Timedelta(days=10), "quantity_ordered": 1.0, "quantity_received": 1.0,
        }
    )  # fmt: skip
    usual = {"supplier": "ACME", "sku": "A", "received_date": pd.NaT, "quantity_received": np.nan}
    lines = pd.DataFrame([{"po_id": f"X{i}"} | usual | order for i, order in enumerate(orders)])
    stock = {"sku": "A", "date": AS_OF, "on_hand": on_hand} | more.pop("stock", {})
    product = {"sku": "A", "supplier": "ACME", "unit_cost": 1.0, "price": 2.0} | more.pop("product", {})
    return {
        "sales": pd.concat([pd.DataFrame({"sku": s, "date": DAYS, "quantity": 1.0}) for s in "AH"]),
        "inventory": pd.DataFrame([stock, {"sku": "H", "date": AS_OF, "on_hand": 1000.0}]),
        "purchase_orders": pd.concat([past, lines], ignore_index=True) if orders else past,
        "products": pd.DataFrame([product, {"sku": "H", "supplier": "ACME", "unit_cost": 1.0, "price": 2.0}]),
    } | more


def planned(on_hand: float, *orders: dict[str, Any], settings: bf.Settings = SETTINGS, **more: Any) -> bf.Plan:
    return bf.make_plan(bf.read_tables(tables(on_hand, *orders, **more)), settings=settings, demand_model=OneADay())


def row_of(plan: bf.Plan) -> pd.Series:
    return plan.stockouts[plan.stockouts["sku"] == "A"].iloc[0]


def event(kind: str, first: int, last: int, **who: str) -> dict[str, Any]:
    return {"events": pd.DataFrame([{"kind": kind, "start": day(first), "end": day(last)} | who])}


@cache
def short_units(kind: str, who: str, name: str) -> float:
    arriving = {"order_date": day(-5), "quantity_ordered": 100.0}  # comes on day 5
    return float(row_of(planned(5.0, arriving, **event(kind, 2, 11, **{who: name})))["expected_short_units"])


@pytest.mark.parametrize(
    ("kind", "plain", "who"),
    [
        ("supplier_closure", "supplier closure", "supplier"), ("SupplierShutdown", "supplier shutdown", "supplier"),
        ("quality_hold", "quality hold", "sku"), ("on_hold", "on hold", "sku"),
        ("Stock-Blocked", "stock blocked", "sku"),
        ("planned_recall", "planned recall", "sku"),
    ],
)  # fmt: skip
def test_a_kind_of_event_says_the_same_however_its_words_are_joined(kind: str, plain: str, who: str) -> None:
    name = "ACME" if who == "supplier" else "A"
    assert short_units(kind, who, name) == short_units(plain, who, name) > 1.9


def test_a_hold_that_is_to_come_is_named_by_its_day() -> None:
    row = row_of(planned(20.0, **event("hold", 5, 9, sku="A")))
    assert row["cause"] == "recall or hold"
    assert row["cause_text"].startswith(f"a hold takes its stock out of use from {day(5):%Y-%m-%d}; without it, ")


def test_no_more_is_released_than_is_there_and_free() -> None:
    until = event("hold", -3, 9, sku="A")
    # Held to day 9, so 9 units wait; what is back on day 10 serves them and 11 or 3 of the 51 that follow.
    whole = row_of(planned(20.0, stock={"on_hold": 25.0}, **until))
    assert whole["expected_short_units"] == 60 - 11
    assert "20 units are on hold" in whole["cause_text"]
    reserved = row_of(planned(20.0, stock={"reserved": 8.0}, **until))
    assert reserved["expected_short_units"] == 60 - 3
    plan = planned(20.0, stock={"on_hold": 25.0})
    note = plan.data_quality[plan.data_quality["rule"] == "more on hold than on hand"]
    assert note["rows_read"].tolist() == [1]


def test_an_order_that_falls_due_is_said_to_be_due() -> None:
    row = row_of(planned(10.0))
    assert row["flag"] == "watch"
    assert row["cause_text"].startswith(f"an order is due by {AS_OF:%Y-%m-%d}, before the next review; ")


def test_who_waits_already_does_not_run_out() -> None:
    waiting = pd.DataFrame([{"order_id": "O1", "sku": "A", "order_date": day(-3), "quantity": 6.0}])
    text = row_of(planned(2.0, backorders=waiting))["cause_text"]
    assert text.startswith("more is waited for than is there; nothing is on order; had ")
    assert "the chance that demand goes unmet before" in text


def test_what_customers_wait_for_is_part_of_the_cost_of_a_miss() -> None:
    waiting = pd.DataFrame([{"order_id": "O1", "sku": "A", "order_date": day(-3), "quantity": 6.0}])
    product = {"price": 101.0, "discontinued": day(-1)}
    row = row_of(planned(2.0, backorders=waiting, product=product))
    # Nothing new is wanted; of 6 units waited for 2 are there.
    assert row["short_if_out"] == 4.0
    assert row["expected_miss_cost"] == 4 * 100.0


def test_what_can_be_made_in_a_day_is_named_where_it_limits() -> None:
    order = {"order_date": day(-9), "quantity_ordered": 100.0}
    row = row_of(planned(5.0, order, product={"daily_capacity": 2.0}))
    # 100 units at 2 a day from day -9 on are made on day 41.
    assert row["expected_short_units"] == 40 - 5
    assert row["cause_text"].endswith("what is on order waits to be made, 2 a day; nothing else explains it")


@pytest.mark.parametrize("horizon", [30, 90, 365])
def test_the_cost_of_a_miss_is_that_of_the_units_short_until_an_order_arrives(horizon: int) -> None:
    settings = SETTINGS.replace(horizon_days=horizon)
    # 8 units last 8 days, an order placed now comes on day 10: one unit is missed on day 9.
    row = row_of(planned(8.0, settings=settings, product={"price": 101.0}))
    assert row["short_if_out"] == pytest.approx(1.0, abs=0.5)
    assert row["expected_miss_cost"] == pytest.approx(100.0, rel=0.5)


def test_a_small_chance_of_a_large_loss_is_flagged_and_explained() -> None:
    late = {"po_id": "4711", "order_date": day(-14), "quantity_ordered": 20.0}
    levels = dict.fromkeys(("watch_probability", "warning_probability", "critical_probability"), 0.3)
    settings = SETTINGS.replace(action_cost=1.0, **levels)
    plan = planned(5.0, late, settings=settings, product={"price": 1000.0, "unit_cost": 100.0})
    row = row_of(plan)
    assert 0.1 < row["p_unmet_before_arrival"] < 0.3
    assert row["flag"] == "critical"
    assert row["cause"] == "late order"
    assert "PO 4711" in row["cause_text"]
    assert len(plan.causes("A"))


def test_only_an_order_that_falls_due_is_said_to_be() -> None:
    """A dear item at a small risk is watched for its cost; its order is due in some weeks only."""
    order = {"order_date": day(-5), "quantity_ordered": 20.0}
    row = row_of(planned(5.0, order, settings=SETTINGS.replace(watch_probability=0.02), product={"price": 1000.0}))
    assert row["flag"] == "watch"
    assert row["order_by_date"] > AS_OF
    assert "is due by" not in row["cause_text"]
