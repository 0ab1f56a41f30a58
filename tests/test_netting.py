"""Sales, returns and backorders to demand: each unit wanted counted once, each row accounted for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import backorder_forecast as bf
from backorder_forecast.netting import DemandRecords, net_demand
from backorder_forecast.returns import exact_reversals, sums_by_day, take_back, take_fills


def sale(day: int, quantity: float, sku: str = "A", **more: Any) -> dict[str, Any]:
    return {"sku": sku, "date": f"2024-01-{day:02d}", "quantity": quantity, **more}


def line(order: str, day: int, quantity: float, **more: Any) -> dict[str, Any]:
    return {"order_id": order, "sku": "A", "order_date": f"2024-01-{day:02d}", "quantity": quantity, **more}


def demand_of(sales: list[dict[str, Any]], lines: list[dict[str, Any]] | None = None, **options: Any) -> DemandRecords:
    given: dict[str, Any] = {"sales": pd.DataFrame(sales)}
    if lines:
        given["backorders"] = pd.DataFrame(lines)
    records = net_demand(bf.read_tables(given, as_of="2024-01-31"), bf.Settings(**options))
    q = records.quality
    assert (q["rows_used"] + q["rows_merged"] + q["rows_set_aside"] == q["rows_read"]).all()
    return records


def days(records: DemandRecords) -> dict[int, float]:
    return dict(zip(records.frame["date"].dt.day, records.frame["quantity"], strict=True))


def detail(records: DemandRecords, rule: str) -> dict[str, Any]:
    (row,) = records.quality[records.quality["rule"] == rule].to_dict("records")
    return {str(name): value for name, value in row.items()}


def account(records: DemandRecords, rule: str) -> list[int]:
    return [detail(records, rule)[c] for c in ("rows_used", "rows_merged", "rows_set_aside")]


def test_sales_are_added_per_item_and_day() -> None:
    records = demand_of([sale(5, 1), sale(5, 2.5), sale(3, 4), sale(3, 0), sale(4, 7, "B")])
    assert list(records.frame.columns) == ["sku", "location", "date", "quantity"]
    assert records.frame["sku"].tolist() == ["A", "A", "B"]
    assert records.frame["date"].dt.day.tolist() == [3, 5, 4]
    assert records.frame["quantity"].tolist() == [4.0, 3.5, 7.0]
    assert records.quality.iloc[0]["rows_used"] == 5


def test_a_reversal_cancels_its_sale() -> None:
    # The latest earlier or same-day sale of that size goes, not the nearest in size and not a later one.
    records = demand_of([sale(1, 5), sale(3, 5), sale(3, 6), sale(4, -5), sale(5, 5)])
    assert days(records) == {1: 5.0, 3: 6.0, 5: 5.0}
    assert account(records, "returns that reverse a sale exactly") == [0, 2, 0]
    assert days(demand_of([sale(9, 80995), sale(9, -80995), sale(8, 1)])) == {8: 1.0}


def test_a_reversal_belongs_to_its_customer() -> None:
    rows = [sale(1, 5, customer_id="x"), sale(2, 5, customer_id="y"), sale(3, -5, customer_id="x")]
    assert days(demand_of(rows)) == {2: 5.0}
    unknown = [*rows[:2], sale(3, -5, customer_id=None)]
    assert days(demand_of(unknown)) == {1: 5.0}


def test_other_returns_go_back_to_earlier_sales_latest_first() -> None:
    records = demand_of([sale(1, 5), sale(3, 2), sale(4, -4), sale(6, 9)])
    assert days(records) == {1: 3.0, 6: 9.0}
    assert account(records, "other returns") == [0, 1, 0]


def test_returns_without_an_earlier_sale() -> None:
    records = demand_of([sale(2, -3), sale(3, 2), sale(4, -5), sale(5, -1), sale(4, -1, "B"), sale(6, 1)])
    assert days(records) == {6: 1.0}
    assert records.set_aside["row"].tolist() == [1, 4, 5]
    assert records.quality.iloc[0][["rows_used", "rows_merged", "rows_set_aside"]].tolist() == [2, 1, 3]
    assert "3 units of them exceed all earlier sales" in detail(records, "other returns")["effect"]


def test_returns_stay_in_their_location() -> None:
    records = demand_of([sale(1, 5, location="N"), sale(1, 5, location="S"), sale(2, -5, location="S")])
    assert records.frame[["location", "quantity"]].to_numpy().tolist() == [["N", 5.0]]


def test_fractions_leave_no_dust() -> None:
    records = demand_of([sale(1, 0.3), sale(2, -0.1), sale(2, -0.2), sale(3, 0.1), sale(3, 0.2)])
    assert days(records) == {3: 0.3}


def test_shipments_of_an_order_move_to_its_day() -> None:
    sales = [sale(10, 6, order_id="7"), sale(10, 2, order_id="8"), sale(12, 1, order_id="7")]
    lines = [line("7", 3, 10, quantity_filled=7, filled_date="2024-01-12")]
    records = demand_of(sales, lines)
    # 7 shipped (moved), 3 open: 10 wanted on the 3rd; order 8 stays.
    assert days(records) == {3: 10.0, 10: 2.0}
    assert account(records, "shipments of backorder lines") == [2, 0, 0]


def test_shipped_at_once_and_backordered_rest() -> None:
    # 15 wanted: 5 left the shop the same day, a line of 10 waits.
    records = demand_of([sale(3, 5, order_id="7")], [line("7", 3, 10)])
    assert days(records) == {3: 15.0}


def test_fills_without_order_numbers_leave_the_sales_of_their_day() -> None:
    records = demand_of([sale(10, 6), sale(9, 1)], [line("7", 3, 5, quantity_filled=4, filled_date="2024-01-10")])
    assert days(records) == {3: 5.0, 9: 1.0, 10: 2.0}
    short = demand_of([sale(10, 3)], [line("7", 3, 5, filled_date="2024-01-10")])
    assert days(short) == {3: 5.0}
    effect = detail(short, "fills without a sale of that order")["effect"]
    assert "2 of them are not in the sales of that day" in effect


def test_fills_of_an_unknown_day_stay_in_the_sales() -> None:
    records = demand_of([sale(10, 6)], [line("7", 3, 5, quantity_filled=4)])
    assert days(records) == {3: 1.0, 10: 6.0}


def test_cancelled_and_open_lines_are_demand() -> None:
    records = demand_of([sale(10, 6)], [line("7", 3, 5, cancelled_date="2024-01-09"), line("8", 4, 2)])
    assert days(records) == {3: 5.0, 4: 2.0, 10: 6.0}


def test_shipments_and_revisions_of_one_line_count_once() -> None:
    lines = [
        line("7", 3, 10, quantity_filled=4, filled_date="2024-01-10"),
        line("7", 3, 10, quantity_filled=4, filled_date="2024-01-10", promise_recorded_date="2024-01-11"),
        line("7", 3, 10, quantity_filled=3, filled_date="2024-01-12"),
    ]
    records = demand_of([sale(10, 4), sale(12, 5)], lines)
    assert days(records) == {3: 10.0, 12: 2.0}


def test_sales_by_order_need_no_backorders() -> None:
    records = demand_of([sale(3, 5)], [line("7", 3, 5)], sales_are="orders")
    assert days(records) == {3: 5.0}


def test_an_item_that_was_only_backordered() -> None:
    records = demand_of([sale(3, 5, "B")], [line("7", 4, 2)])
    assert records.frame[["sku", "quantity"]].to_numpy().tolist() == [["A", 2.0], ["B", 5.0]]


def test_only_items_of_the_tables() -> None:
    given = {"sales": pd.DataFrame([sale(3, 5), sale(4, -9, "B")])}
    tables = bf.read_tables(given)
    frame = net_demand(tables).frame
    assert set(frame["sku"].astype("str")) <= set(tables.items()["sku"])
    assert frame["sku"].tolist() == ["A"]


def test_the_future_is_not_netted() -> None:
    given = {"sales": pd.DataFrame([sale(3, 5), sale(9, -5)]), "backorders": pd.DataFrame([line("1", 8, 2)])}
    tables = bf.read_tables(given, as_of="2024-01-09")
    assert days(net_demand(tables)) == {8: 2.0}
    assert days(net_demand(tables.as_known("2024-01-07"))) == {3: 5.0}


ROWS = st.lists(
    st.tuples(
        st.sampled_from("AB"),
        st.integers(1, 6),
        st.integers(-4, 6),
        st.sampled_from(["x", "y", None]),
        st.integers(1, 9),
    ),
    min_size=1,
    max_size=25,
)


Row = tuple[str, int, int, str | None, int]


@settings(deadline=None, max_examples=30)
@given(ROWS, st.randoms(use_true_random=False))
def test_units_are_kept_and_order_does_not_matter(rows: list[Row], random: Any) -> None:
    sales = [sale(d, q, s, customer_id=c, order_id=str(o)) for s, d, q, c, o in rows]
    records = demand_of(sales)
    shuffled = list(sales)
    random.shuffle(shuffled)
    pd.testing.assert_frame_equal(records.frame, demand_of(shuffled).frame)
    # No way of netting can absorb more returns than units standing at their time, item by item.
    for sku in "AB":
        level = 0
        for _, _, quantity in sorted((d, q < 0, q) for s, d, q, _, _ in rows if s == sku):
            level = max(level + quantity, 0)
        total = records.frame.loc[records.frame["sku"] == sku, "quantity"].sum()
        assert total >= level
        assert total <= sum(q for s, _, q, _, _ in rows if s == sku and q > 0)
    assert (records.frame["quantity"] > 0).all()
    assert not records.frame.duplicated(["sku", "date"]).any()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(1, 9)), max_size=20), st.data())
def test_take_back_against_brute_force(sold: list[tuple[int, int, int]], data: Any) -> None:
    back = sorted(data.draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(1, 12)), max_size=10)))
    code, day = (np.array([r[i] for r in sold], dtype=np.int32) for i in (0, 1))
    size = np.array([r[2] for r in sold], dtype=np.int64)
    start, days_, units = sums_by_day(code, day, size, 3)
    expected = {(i, d): int(size[(code == i) & (day == d)].sum()) for i, d, _ in sold}
    rest = []
    for item, last, amount in back:
        left = amount
        for key in sorted((k for k in expected if k[0] == item and k[1] <= last), reverse=True):
            taken = min(left, expected[key])
            expected[key] -= taken
            left -= taken
        rest.append(left)
    codes, moments = (np.array([r[i] for r in back], dtype=np.int32) for i in (0, 1))
    amounts = np.array([r[2] for r in back], dtype=np.int64)
    assert take_back(codes, moments, amounts, start, days_, units).tolist() == rest
    items = np.repeat(np.arange(3), np.diff(start))
    assert {(i, d): u for i, d, u in zip(items.tolist(), days_.tolist(), units.tolist(), strict=True)} == expected


def test_fills_are_never_taken_twice() -> None:
    start, days_, units = np.array([0, 1, 2]), np.array([5, 5], dtype=np.int32), np.array([3, 3])
    one = np.array([0, 0], dtype=np.int32)
    assert take_fills(one, one + 5, np.array([2, 2]), start, days_, units) == 1
    assert units.tolist() == [0, 3]


def test_same_day_sales_come_before_returns() -> None:
    zero, order = np.zeros(2, dtype=np.int32), np.zeros(2, dtype=np.int32)
    assert exact_reversals(zero, zero, np.array([-5, 5]), zero, order).all()
    assert not exact_reversals(zero, np.array([1, 2], dtype=np.int32), np.array([-5, 5]), zero, order).any()


@pytest.mark.slow
def test_raw_invoice_lines_of_a_shop() -> None:
    data = os.environ.get("BACKORDER_DATA")
    if not data:
        pytest.skip("BACKORDER_DATA is not set: the raw invoice lines are not here")
    path = Path(data) / "online_retail" / "transactions.parquet"
    tables = bf.read_tables({"sales": path}, columns={"sales": {"StockCode": "sku", "InvoiceNo": "order_id"}})
    records = net_demand(tables)
    total = records.quality.iloc[0]
    assert total["rows_read"] == 541_909
    assert total["rows_used"] + total["rows_merged"] + total["rows_set_aside"] == 541_909
    assert len(tables.set_aside) + len(records.set_aside) == total["rows_set_aside"]
    # The order of 80 995 units and its reversal twelve minutes later.
    assert "23843" not in set(records.frame["sku"].astype("str"))
    assert records.frame["quantity"].max() < 80_000
    assert tables.sales["customer_id"].iloc[0] == "17850"
