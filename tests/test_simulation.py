"""Stages that share the paths of a bucket agree with each other, however long the lead times are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import backorder_forecast as bf

AS_OF = pd.Timestamp("2024-06-30")
DAYS = pd.date_range("2023-01-01", AS_OF)


def tables(lead_days: float = 10, *, waiting: float = 0.0, on_hand: float = 20.0) -> bf.Tables:
    frames = {
        "sales": pd.DataFrame({"sku": "A", "date": DAYS, "quantity": 2.0}),
        "inventory": pd.DataFrame({"sku": ["A"], "date": [AS_OF], "on_hand": [on_hand]}),
        "products": pd.DataFrame({"sku": ["A"], "supplier": ["S"], "lead_time_days": [lead_days], "unit_cost": [1.0]}),
    }
    if waiting:
        line = {"order_id": ["1"], "sku": ["A"], "order_date": [AS_OF], "quantity": [waiting]}
        frames["backorders"] = pd.DataFrame(line)
    return bf.read_tables(frames, as_of=AS_OF)


def ordered(source: bf.Tables, scenario: bf.Scenario | None = None, **settings: int) -> float:
    plan = bf.make_plan(source, bf.Settings(n_paths=200).replace(**settings), scenario=scenario)
    return float(plan.reorders["order_quantity"].iloc[0])


def test_a_longer_lead_time_never_orders_less() -> None:
    orders = [ordered(tables(days)) for days in (5, 30, 90, 200, 330, 400, 500)]
    assert orders == sorted(orders)
    # 2 a day must last for the lead time and a review, less 20 on hand, and some safety above that.
    assert orders[-1] > 2 * (500 + 7) - 20


@pytest.mark.parametrize("days", [60, 90, 120, 200])
def test_a_delay_is_ordered_for(days: int) -> None:
    late = ordered(tables(), bf.Scenario(supplier_delay_days={"S": days}))
    assert late == pytest.approx(ordered(tables()) + 2 * days, rel=0.2)


def test_the_horizon_of_the_report_does_not_change_the_order() -> None:
    near, far = (ordered(tables(120), horizon_days=days) for days in (30, 300))
    assert near == pytest.approx(far, rel=0.03)


def test_a_horizon_beyond_the_longest_paths_is_looked_at() -> None:
    plan = bf.make_plan(tables(on_hand=2 * 450), bf.Settings(horizon_days=600, n_paths=100))
    assert plan.stockouts["p_stockout"].iloc[0] > 0.95
    assert plan.forecasts["date"].max() >= AS_OF + pd.Timedelta(days=600)


def test_waiting_lines_are_promised_from_the_order_we_are_told_to_place() -> None:
    plan = bf.make_plan(tables(waiting=5, on_hand=0), bf.Settings(n_paths=300))
    assert plan.reorders["order_quantity"].iloc[0] > 0
    assert plan.fill_dates["fill_date_0.5"].iloc[0] == plan.reorders["arrival_0.5"].iloc[0]
    assert plan.fill_dates["fill_date_0.9"].iloc[0] == plan.reorders["arrival_0.9"].iloc[0]


def test_buckets_shrink_where_paths_are_long_and_nothing_changes() -> None:
    source = tables(300)
    small = bf.make_plan(source, bf.Settings(n_paths=100, bucket_size=1, workers=1))
    large = bf.make_plan(source, bf.Settings(n_paths=100))
    pd.testing.assert_frame_equal(small.stockouts, large.stockouts)
    np.testing.assert_array_equal(small.reorders["order_quantity"], large.reorders["order_quantity"])


PATIENT = {"commodity": (0.0, 1e12), "standard": (0.0, 1e12), "specialty": (0.0, 1e12), "custom": (0.0, 1e12)}
"""Nobody walks away, nobody ever cancels."""
HASTY = dict.fromkeys(PATIENT, (1.0, 1.0))
"""Everybody walks away."""


def shop(cancelled: int = 0, filled: int = 0) -> bf.Tables:
    """An empty shelf, 30 units on order at about 10 days, and a past of backorder lines."""
    ordered = pd.date_range("2023-06-01", periods=20, freq="14D")
    orders = pd.DataFrame({"supplier": "S", "sku": "A", "order_date": [*ordered, AS_OF - pd.Timedelta(days=3)]})
    orders["quantity_ordered"] = 30.0
    orders["po_id"] = [f"P{k}" for k in range(21)]
    orders["received_date"] = (orders["order_date"] + pd.Timedelta(days=10)).where(orders.index < 20)
    frames = {
        "sales": pd.DataFrame({"sku": "A", "date": DAYS, "quantity": 2.0}), "purchase_orders": orders,
        "inventory": pd.DataFrame({"sku": ["A"], "date": [AS_OF], "on_hand": [3.0]}),
    }  # fmt: skip
    n = cancelled + filled
    if n:
        lines = pd.DataFrame({"order_id": [f"b{k}" for k in range(n)], "sku": "A", "quantity": 1.0})
        lines["order_date"] = pd.date_range("2023-03-01", periods=n, freq="3D")
        gone = lines.index < cancelled
        lines["cancelled_date"] = (lines["order_date"] + pd.Timedelta(days=2)).where(gone)
        lines["filled_date"] = (lines["order_date"] + pd.Timedelta(days=9)).where(~gone)
        lines["quantity_filled"] = np.where(gone, 0.0, 1.0)
        frames["backorders"] = lines
    return bf.read_tables(frames, as_of=AS_OF)


def row_of(source: bf.Tables, **settings: object) -> pd.Series:
    options = bf.Settings(n_paths=200, horizon_days=40, global_model=False, learned_flag=False).replace(**settings)
    plan = bf.make_plan(source, options)
    both = plan.stockouts.merge(plan.reorders[["sku", "need_units"]], on="sku")
    return both[["expected_short_units", "revenue_at_risk", "p_stockout", "need_units"]].iloc[0]


def test_partial_lies_between_lost_and_backorder_and_meets_both_at_the_limits() -> None:
    source = shop()
    lost, waits = row_of(source, unmet="lost"), row_of(source, unmet="backorder")
    some = row_of(source, unmet="partial")
    for name in ("expected_short_units", "need_units"):
        assert lost[name] < some[name] < waits[name]
    assert lost["p_stockout"] == some["p_stockout"] == waits["p_stockout"]
    pd.testing.assert_series_equal(row_of(source, unmet="partial", patience_priors=HASTY), lost)
    pd.testing.assert_series_equal(row_of(source, unmet="partial", patience_priors=PATIENT), waits)


def test_customers_who_were_seen_to_cancel_wait_less() -> None:
    fickle = row_of(shop(cancelled=40, filled=5), unmet="partial")
    loyal = row_of(shop(cancelled=1, filled=44), unmet="partial")
    # Those who leave take nothing of the next delivery: less is short afterwards, and less has to be ordered.
    assert fickle["expected_short_units"] < loyal["expected_short_units"]
    assert fickle["need_units"] < loyal["need_units"]
