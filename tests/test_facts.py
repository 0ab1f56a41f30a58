from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from backorder_forecast.facts import StockHistory, item_facts, stock_history, with_start_level
from backorder_forecast.lines import open_lines
from backorder_forecast.panel import RAN_OUT
from backorder_forecast.receipts import open_order_lines
from backorder_forecast.settings import Settings
from backorder_forecast.tables import Tables, read_tables

DAYS = pd.date_range("2024-03-01", "2024-03-10")
SALES = pd.DataFrame({"sku": ["A"] * 10 + ["B"] * 10, "date": [*DAYS, *DAYS], "quantity": 1})


def stock(*rows: tuple[str, str, float], **columns: Any) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["sku", "date", "on_hand"]).assign(**columns)


def orders(*rows: dict[str, Any]) -> pd.DataFrame:
    base = {"po_id": "1", "supplier": "ACME", "sku": "A", "order_date": "2024-03-01", "received_date": None,
            "quantity_ordered": 5, "quantity_received": None}  # fmt: skip
    return pd.DataFrame([{**base, **row} for row in rows])


def read(as_of: str = "2024-03-10", **tables: pd.DataFrame) -> Tables:
    return read_tables({"sales": SALES, **tables}, as_of=as_of)


def history(tables: Tables) -> StockHistory:
    return stock_history(tables, tables.items(), tables.sales["date"].min())


def facts(settings: Settings | None = None, as_of: str = "2024-03-10", **tables: pd.DataFrame) -> pd.DataFrame:
    known = read(as_of, **tables)
    items = known.items()
    on_order = open_order_lines(known.purchase_orders, items, as_of=known.as_of)
    waiting = open_lines(known.backorders, items, as_of=known.as_of)
    frame = item_facts(known, items, history(known), on_order, waiting, settings or Settings())
    return frame.set_index("sku")


# --- stock


def test_no_stock_table_no_stock() -> None:
    found = history(read())
    assert np.isnan(found.on_hand).all()
    assert found.exposure is None
    assert not found.notes


def test_an_old_snapshot_is_rolled_forward_by_sales_and_receipts_and_that_is_said() -> None:
    received = orders({"received_date": "2024-03-08", "quantity_received": 5})
    found = history(read(inventory=stock(("A", "2024-03-06", 9), ("B", "2024-03-06", 9)), purchase_orders=received))
    assert found.on_hand.tolist() == [9 - 4 + 5, 9 - 4]
    assert any("2024-03-06 was rolled forward 4 days" in note for note in found.notes)
    assert found.quality["rule"].tolist() == ["snapshot older than as_of"]


@pytest.mark.parametrize(
    "received", [None, orders({"sku": "Z", "received_date": "2024-03-02", "quantity_received": 5})]
)
def test_an_item_missing_in_the_latest_snapshot_is_rolled_forward_from_its_own(received: pd.DataFrame | None) -> None:
    tables: dict[str, Any] = {} if received is None else {"purchase_orders": received}
    found = history(read(inventory=stock(("A", "2024-03-04", 20), ("B", "2024-03-10", 20)), **tables))
    assert found.on_hand[:2].tolist() == [20 - 6, 20]
    assert any("1 items are not in the stock of 2024-03-10" in note for note in found.notes)


def test_a_snapshot_of_the_last_day_is_taken_as_it_is() -> None:
    found = history(read(inventory=stock(("A", "2024-03-10", 7), ("B", "2024-03-10", 0))))
    assert found.on_hand.tolist() == [7, 0]
    assert found.exposure is None
    assert any("one stock snapshot and no receipts" in note for note in found.notes)


def test_days_without_stock_are_found_by_walking_back() -> None:
    # Three in stock, sold out on day 3, eight received on day 8.
    sales = pd.DataFrame({"sku": "A", "date": DAYS[[0, 1, 2, 8, 9]], "quantity": 1})
    received = orders({"order_date": "2024-02-20", "received_date": "2024-03-08", "quantity_ordered": 8,
                       "quantity_received": 8})  # fmt: skip
    tables = read_tables({"sales": sales, "inventory": stock(("A", "2024-03-10", 6)), "purchase_orders": received})
    found = history(tables)
    assert found.exposure is not None
    assert found.exposure[0].tolist() == [1, 1, RAN_OUT, 0, 0, 0, 0, 1, 1, 1]
    assert found.first_day == DAYS[0]


def test_storage_places_are_added_up_and_booking_errors_hold_nothing() -> None:
    frame = facts(inventory=stock(("A", "2024-03-10", 20), ("A", "2024-03-10", 5), ("B", "2024-03-10", -3)))
    assert frame["on_hand"].tolist() == [25, 0]
    assert frame["start"].tolist() == [25, 0]


def test_records_that_cannot_be_true_are_not_taken_for_an_empty_shelf() -> None:
    # Twenty received on the last day but eleven on hand: before that the walk stands at minus nine.
    received = orders({"received_date": "2024-03-10", "quantity_received": 20, "quantity_ordered": 20})
    found = history(read(inventory=stock(("A", "2024-03-10", 1), ("B", "2024-03-10", 5)), purchase_orders=received))
    assert found.exposure is not None
    assert (found.exposure[0] == 1).all()
    assert any("below zero" in note for note in found.notes)
    assert "stock does not reconcile" in found.quality["rule"].tolist()


def test_weekly_sales_are_walked_by_the_week() -> None:
    weeks = pd.date_range("2024-01-01", periods=6, freq="W-MON")
    sales = pd.DataFrame({"sku": "A", "date": weeks, "quantity": 2})
    tables = read_tables({"sales": sales, "inventory": stock(("A", "2024-01-21", 10))}, as_of="2024-02-11")
    found = stock_history(tables, tables.items(), weeks[0], freq="W-MON")
    assert found.on_hand.tolist() == [10 - 3 * 2]


def test_receipts_without_quantities_share_what_was_ordered() -> None:
    twice = orders({"received_date": "2024-03-07", "quantity_ordered": 100}, {"received_date": "2024-03-09"})
    twice["quantity_ordered"] = 100
    found = history(read(inventory=stock(("A", "2024-03-06", 50)), purchase_orders=twice))
    assert found.on_hand[0] == 50 + 100 - 4
    dateless = twice.assign(order_date=None, quantity_received=[30, 40])
    found = history(read(inventory=stock(("A", "2024-03-06", 50)), purchase_orders=dateless))
    assert found.on_hand[0] == 50 + 70 - 4


def test_an_order_that_waits_has_not_left_the_shelf_where_sales_are_orders() -> None:
    sales = SALES.assign(order_id=[f"o{k}" for k in range(20)])
    sales = sales.assign(
        order_id=sales["order_id"].replace({"o8": "late", "o9": "part"}),
        quantity=np.where(sales.index == 8, 15, np.where(sales.index == 9, 8, 1)),
    )
    waiting = pd.DataFrame(
        {
            "order_id": ["late", "part"], "sku": "A", "order_date": ["2024-03-09", "2024-03-10"], "quantity": [15, 6],
            "quantity_filled": [0, 2], "filled_date": [None, "2024-03-10"],
        }
    )  # fmt: skip
    inventory = stock(("A", "2024-03-06", 10))
    for given in (sales, sales.drop(columns="order_id")):
        tables = read_tables({"sales": given, "inventory": inventory, "backorders": waiting}, as_of="2024-03-10")
        found = stock_history(tables, tables.items(), DAYS[0], sales_are="orders")
        # One on each of two days, two of the order of eight at once, two as a fill.
        assert found.on_hand[0] == 10 - 2 - 2 - 2
        assert found.shipped_since[0] == 6
        assert history(tables).on_hand[0] == 10 - 2 - 15 - 8


def test_an_order_filled_on_an_unknown_day_has_left_the_shelf() -> None:
    filled = pd.DataFrame(
        {"order_id": ["x"], "sku": "A", "order_date": ["2024-03-08"], "quantity": [1], "quantity_filled": [1]}
    )
    tables = read(inventory=stock(("A", "2024-03-06", 10)), backorders=filled)
    assert stock_history(tables, tables.items(), DAYS[0], sales_are="orders").on_hand[0] == 10 - 4


def test_fractions_leave_no_dust_and_large_numbers_stay_whole() -> None:
    sales = SALES.assign(quantity=0.1)
    found = history(read_tables({"sales": sales, "inventory": stock(("A", "2024-03-07", 0.3))}, as_of="2024-03-10"))
    assert found.on_hand[0] == 0.0
    found = history(read(inventory=stock(("A", "2024-03-10", 12.3), ("B", "2024-03-10", 20_000_001))))
    assert found.on_hand.tolist() == [12.3, 20_000_001]


# --- facts


def test_what_was_reserved_in_an_old_snapshot_leaves_with_later_shipments() -> None:
    inventory = stock(("A", "2024-03-06", 20), ("B", "2024-03-10", 20), reserved=[3, 3])
    tables = read(inventory=inventory)
    assert "reserved before later shipments" in history(tables).quality["rule"].tolist()
    frame = facts(inventory=inventory)
    assert frame["reserved"].tolist() == [0, 3]
    assert frame["usable"].tolist() == [16, 17]
    more = facts(inventory=inventory.assign(reserved=[6, 3]))
    assert more["reserved"].tolist() == [2, 3]
    now = history(read(inventory=stock(("A", "2024-03-10", 20), reserved=[3])))
    assert now.quality.empty


def test_what_can_be_promised_is_on_hand_less_reserved_held_and_waiting() -> None:
    inventory = stock(("A", "2024-03-10", 20), ("B", "2024-03-10", 3), reserved=[4, 0], on_hold=[1, 5])
    backorders = pd.DataFrame(
        {"order_id": ["1", "2"], "sku": ["A", "B"], "order_date": "2024-03-09", "quantity": [6, 2]}
    )
    frame = facts(inventory=inventory, backorders=backorders, purchase_orders=orders({}, {"po_id": "2"}))
    assert frame["usable"].tolist() == [15, 0]
    assert frame["start"].tolist() == [9, -2]
    assert frame["backordered"].tolist() == [6, 2]
    assert frame["on_order"].tolist() == [10, 0]
    inside = facts(Settings(reserved_includes_backorders=True), inventory=inventory, backorders=backorders)
    assert inside["usable"].tolist() == [19, 0], "four reserved units are part of the six that wait"
    changed = with_start_level(frame.assign(on_hand=100.0), Settings())
    assert changed["start"].tolist() == [89, 93]


@pytest.mark.parametrize(
    ("start", "end", "held"),
    [("2024-03-05", None, True), ("2024-03-05", "2024-03-09", False), ("2024-03-05", "2024-03-10", True),
     ("2024-03-11", None, False), (None, None, False)],
)  # fmt: skip
def test_recalled_stock_is_on_hold_while_the_recall_runs(start: str | None, end: str | None, held: bool) -> None:
    products = pd.DataFrame({"sku": ["A", "B"], "recalled_from": [start, None], "recalled_to": [end, None]})
    frame = facts(inventory=stock(("A", "2024-03-10", 20), ("B", "2024-03-10", 3)), products=products)
    assert frame["usable"].tolist() == [0 if held else 20, 3]


def test_a_discontinued_item_is_not_active_from_its_last_day_on() -> None:
    products = pd.DataFrame({"sku": ["A", "B"], "discontinued": ["2024-03-10", "2024-03-11"]})
    assert facts(products=products)["active"].tolist() == [False, True]


def test_stock_that_nobody_recorded_is_unknown_and_not_zero() -> None:
    frame = facts(inventory=stock(("A", "2024-03-10", 20)))
    assert frame["stock_known"].tolist() == [True, False]
    assert np.isnan(frame["on_hand"]["B"])
    assert np.isnan(frame["start"]["B"])


def test_the_supplier_is_the_stated_one_else_of_the_latest_order_else_the_cheapest_offer() -> None:
    bought = orders(
        {"sku": "A", "supplier": "Old", "order_date": "2024-02-01"}, {"sku": "A", "supplier": "New", "po_id": "2"},
        {"sku": "B", "supplier": "Other", "po_id": "3"},
    )  # fmt: skip
    offers = pd.DataFrame(
        {"supplier": ["Dear", "Cheap", "Unpriced"], "sku": "A", "unit_cost": [9.0, 4.0, None], "moq": [1, 2, 3]}
    )
    stated = pd.DataFrame({"sku": ["A", "B"], "supplier": ["Stated", None]})
    for rows in (slice(None), slice(None, None, -1)):
        tables: dict[str, Any] = {"purchase_orders": bought[rows], "supplier_items": offers[rows]}
        assert facts(**tables)["supplier"].tolist() == ["New", "Other"]
        assert facts(products=stated[rows], **tables)["supplier"].tolist() == ["Stated", "Other"]
        assert facts(supplier_items=offers[rows])["supplier"].tolist() == ["Cheap", ""]
        assert facts(supplier_items=offers[rows])["moq"].tolist()[0] == 2
    assert facts()["supplier"].tolist() == ["", ""]


def test_terms_of_the_supplier_fill_what_the_product_master_leaves_open() -> None:
    products = pd.DataFrame({"sku": ["A", "B"], "supplier": "ACME", "unit_cost": [3.0, None], "pack_size": [None, 6]})
    offers = pd.DataFrame(
        {"supplier": ["ACME", "ACME", "Other"], "sku": ["A", "B", "B"], "unit_cost": [8.0, 5.0, 1.0],
         "pack_size": [12, 24, 2], "lead_time_days": [10, 20, 1]}
    )  # fmt: skip
    for rows in (slice(None), slice(None, None, -1)):
        frame = facts(products=products, supplier_items=offers[rows])
        assert frame["unit_cost"].tolist() == [3, 5]
        assert frame["pack_size"].tolist() == [12, 6]
        assert frame["lead_time_days"].tolist() == [10, 20]


def test_the_last_price_paid_stands_in_for_a_missing_one() -> None:
    sales = SALES.assign(price=np.arange(1.0, 21.0))
    products = pd.DataFrame({"sku": ["A", "B"], "price": [99.0, None]})
    tables = read_tables({"sales": sales, "products": products})
    items = tables.items()
    nothing = open_order_lines(tables.purchase_orders, items, as_of=tables.as_of)
    nobody = open_lines(tables.backorders, items, as_of=tables.as_of)
    frame = item_facts(tables, items, history(tables), nothing, nobody, Settings())
    assert frame["price"].tolist() == [99, 20]


def test_review_days_come_from_the_product_else_from_the_settings() -> None:
    products = pd.DataFrame({"sku": ["A", "B"], "review_days": [14, None]})
    assert facts(Settings(review_days=5), products=products)["review_days"].tolist() == [14, 5]
    assert facts()["review_days"].tolist() == [7, 7]


def test_an_unknown_product_type_is_left_open() -> None:
    products = pd.DataFrame({"sku": ["A", "B"], "product_type": ["custom", "Gadget"]})
    assert facts(products=products)["product_type"].tolist() == ["custom", ""]
