"""Shapes of real input in small: ledgers by month, flags by week, receipts without orders, records that disagree."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backorder_forecast import Settings, Tables, make_plan, read_tables
from backorder_forecast.fitting import read_history
from backorder_forecast.netting import net_demand
from backorder_forecast.panel import RAN_OUT, DemandPanel
from backorder_forecast.reorders import order_need

SMALL = Settings(n_paths=50, horizon_days=30)


def panel_of(tables: Tables) -> DemandPanel:
    return read_history(tables, SMALL).panel


# --- records by period


def test_a_month_is_judged_by_its_own_sales_and_its_own_end() -> None:
    months = pd.date_range("2024-01-01", periods=5, freq="MS")
    tables = read_tables(
        {
            "sales": pd.DataFrame({"sku": "A", "date": months, "quantity": [5, 8, 0, 6, 4]}),
            "inventory": pd.DataFrame(
                {"sku": "A", "date": months + pd.offsets.MonthEnd(0), "on_hand": [8, 0, 0, 4, 0]}
            ),
            "purchase_orders": pd.DataFrame(
                {
                    "supplier": "S",
                    "sku": "A",
                    "order_date": None,
                    "received_date": pd.to_datetime(["2024-04-01"]),
                    "quantity_received": 10,
                }
            ),
        }
    )
    panel = panel_of(tables)
    assert panel.freq == "MS"
    # January ends with stock, February sells out, March is empty throughout, April is filled again, May sells out.
    assert panel.exposure.tolist() == [[1.0, RAN_OUT, 0.0, 1.0, RAN_OUT]]


def test_weekly_snapshots_without_receipts_mark_their_own_week() -> None:
    weeks = pd.date_range("2024-01-01", periods=5, freq="W-MON")
    tables = read_tables(
        {
            "sales": pd.DataFrame({"sku": "A", "date": weeks, "quantity": [3, 2, 0, 0, 1]}),
            "inventory": pd.DataFrame({"sku": "A", "date": weeks + pd.Timedelta(days=6), "on_hand": [4, 0, 0, 5, 4]}),
        }
    )
    panel = panel_of(tables)
    assert panel.freq == "W-MON"
    assert panel.exposure.tolist() == [[1.0, RAN_OUT, 0.0, 1.0, 1.0]]


def test_daily_sales_on_a_weekly_clock_are_still_walked_by_day() -> None:
    days = pd.date_range("2024-01-01", periods=28, freq="D")
    tables = read_tables(
        {
            "sales": pd.DataFrame({"sku": "A", "date": days, "quantity": np.where(np.arange(28) < 10, 1, 0)}),
            "inventory": pd.DataFrame({"sku": "A", "date": days[[0, -1]], "on_hand": [9, 0]}),
            "purchase_orders": pd.DataFrame(
                {
                    "supplier": "S",
                    "sku": "A",
                    "order_date": ["2023-12-20"],
                    "received_date": ["2024-01-01"],
                    "quantity_ordered": 10,
                }
            ),
        }
    )
    panel = read_history(tables, SMALL.replace(freq="W-MON")).panel
    # Out from the evening of Wednesday the 10th: that day counts half, the days after it not at all.
    assert panel.exposure.round(3).tolist() == [[1.0, round(2.5 / 7, 3), 0.0, 0.0]]


# --- receipts without an order date


def _receipts(order_date: list[str | None], received_date: list[str | None]) -> pd.DataFrame:
    lines = pd.DataFrame({"order_date": order_date, "received_date": received_date})
    return lines.assign(supplier="S", sku="A", quantity_received=5)


def _shop(orders: pd.DataFrame, as_of: str = "2024-03-31") -> Tables:
    days = pd.date_range("2024-01-01", "2024-03-31", freq="D")
    sales = pd.DataFrame({"sku": "A", "date": days, "quantity": 1})
    inventory = pd.DataFrame({"sku": ["A"], "date": ["2024-02-29"], "on_hand": [40]})
    return read_tables({"sales": sales, "inventory": inventory, "purchase_orders": orders}, as_of=as_of)


def test_a_receipt_without_an_order_date_moves_stock_and_nothing_else() -> None:
    plan = make_plan(_shop(_receipts([None], ["2024-03-04"])), SMALL)
    assert plan.stockouts["on_hand"].tolist() == [40 + 5 - 31]
    assert plan.stockouts["on_order"].tolist() == [0]
    assert plan.suppliers.empty
    assert any("no purchase order has both an order date and a receipt" in note for note in plan.notes)
    quality = plan.data_quality.set_index(["table", "rule"])
    assert quality.loc[("purchase_orders", "all rows"), "rows_used"] == 1


def test_a_purchase_order_without_any_date_is_set_aside() -> None:
    tables = _shop(_receipts([None, "2024-03-01"], [None, "2024-03-04"]))
    assert tables.set_aside["reason"].tolist() == ["neither ordered nor received on a known date"]


def test_a_later_receipt_without_an_order_date_is_not_known_yet() -> None:
    tables = _shop(_receipts([None, None], ["2024-03-04", "2024-03-20"]), as_of="2024-03-10")
    assert len(tables.purchase_orders) == 1
    assert make_plan(tables, SMALL).stockouts["on_hand"].tolist() == [40 + 5 - 10]


# --- records that disagree


def test_stock_that_its_moves_contradict_does_not_censor_demand() -> None:
    days = pd.date_range("2024-01-01", periods=60, freq="D")
    received = pd.DataFrame({"order_date": days[:50], "received_date": days[:50] + pd.Timedelta(days=1)})
    tables = read_tables(
        {
            "sales": pd.DataFrame({"sku": "A", "date": days, "quantity": 2}),
            "inventory": pd.DataFrame({"sku": ["A"], "date": [days[-1]], "on_hand": [3]}),
            "purchase_orders": received.assign(supplier="S", sku="A", quantity_ordered=500, quantity_received=500),
        }
    )
    plan = make_plan(tables, SMALL)
    assert (panel_of(tables).exposure == 1).all()
    assert plan.items["mean_per_period"].iloc[0] == pytest.approx(2, abs=0.2)
    assert "stock does not reconcile" in plan.data_quality["rule"].tolist()


def test_a_write_off_is_no_return() -> None:
    sales = pd.DataFrame({"sku": "A", "date": pd.date_range("2024-01-01", periods=4, freq="D")})
    sales = sales.assign(quantity=[6, 6, -6, -6], price=[2.0, 2.0, 0.0, 2.0], customer_id=["1", "2", "", ""])
    tables = read_tables({"sales": sales})
    # Nobody brought the six units of the third day back; those of the fourth were paid for.
    assert tables.set_aside["row"].tolist() == [3]
    assert net_demand(tables).frame["quantity"].tolist() == [6.0]


def test_every_table_is_counted_once() -> None:
    plan = make_plan(_shop(_receipts(["2024-03-01"], ["2024-03-04"])), SMALL)
    totals = plan.data_quality[plan.data_quality["rule"] == "all rows"]
    assert not totals["table"].duplicated().any()
    assert totals.set_index("table")["rows_read"]["sales"] == 91


# --- who waits, and what is on order for them


def test_what_is_on_order_for_the_queue_is_not_ordered_again() -> None:
    demand = np.full((1, 1, 6), 2.0)
    receipts = np.zeros_like(demand)
    receipts[0, 0, 3] = 100.0

    def period(t: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return np.array([[t]])

    # 100 units wait and arrive in period 3; the order placed now comes in period 1 and must last through period 4.
    need = order_need(np.array([-100.0]), demand, receipts, period(1), period(5), joins=np.ones(1)).need
    assert need.tolist() == [[10.0]]
    # If the next order comes before them, the queue is for this order.
    need = order_need(np.array([-100.0]), demand, receipts, period(1), period(3), joins=np.ones(1)).need
    assert need.tolist() == [[106.0]]


def test_a_line_of_unknown_stock_is_filled_from_what_is_on_order() -> None:
    days = pd.date_range("2024-01-01", periods=90, freq="D")
    orders = pd.DataFrame({"po_id": [f"{k}" for k in range(12)], "order_date": days[::8]})
    orders["received_date"] = orders["order_date"] + pd.Timedelta(days=5)
    tables = read_tables(
        {
            "sales": pd.DataFrame(
                {"sku": np.repeat(["A", "B"], 90), "date": [*days, *days], "quantity": 1, "price": 3.0}
            ),
            "inventory": pd.DataFrame({"sku": ["B"], "date": [days[-1]], "on_hand": [50]}),
            "purchase_orders": orders.assign(supplier="S", sku="A", quantity_ordered=20),
            "backorders": pd.DataFrame({"order_id": ["7"], "sku": ["A"], "order_date": [days[-3]], "quantity": [4]}),
        },
        as_of=days[-1],
    )
    assert tables.purchase_orders["received_date"].isna().sum() == 1
    plan = make_plan(tables, SMALL)
    assert plan.stockouts["sku"].tolist() == ["B"]
    assert plan.fill_dates["source"].iloc[0].startswith("PO 11 (S)")
    assert plan.fill_dates["promise_date"].notna().all()
    cutoffs = plan.wait_cutoffs.set_index("sku")
    assert cutoffs.loc["A", "max_open_quantity"] == 16
    assert cutoffs["revenue_kept"].isna().tolist() == [True, False]


def test_without_prices_the_summary_counts_units() -> None:
    plan = make_plan(_shop(_receipts(["2024-03-01"], ["2024-03-04"])), SMALL)
    summary = plan.summary().set_index("topic")
    assert not {"revenue at risk", "order value", "excess stock"} & set(summary.index)
    assert summary.loc["units at risk", "kind"] == "units"
    assert summary.loc["units at risk", "figure"] == plan.stockouts["expected_short_units"].sum()
    assert str(summary.loc["units at risk", "text"]).endswith("; no price is known, so units are counted")
    assert summary.loc["units to order", "figure"] == plan.reorders["order_quantity"].sum()
