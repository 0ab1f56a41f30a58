"""Rows to canonical tables: every row accounted for, nothing known too early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import backorder_forecast as bf
from backorder_forecast.schema import TABLES

ITEM = {"sku": "A", "date": "2024-01-05", "quantity": 1}


def sales(*rows: dict[str, Any], **columns: Any) -> pd.DataFrame:
    return pd.DataFrame([{**ITEM, **row} for row in rows] or [ITEM]).assign(**columns)


def check_account(tables: bf.Tables) -> None:
    q = tables.quality
    assert (q["rows_used"] + q["rows_merged"] + q["rows_set_aside"] == q["rows_read"]).all()
    totals = q[q["rule"] == "all rows"].set_index("table")
    assert list(totals.index) == list(TABLES)
    for name in TABLES:
        assert totals.loc[name, "rows_used"] == len(tables.frame(name))
        assert totals.loc[name, "rows_set_aside"] == (tables.set_aside["table"] == name).sum()
    parts = q[q["rule"] != "all rows"]
    assert parts["rows_set_aside"].sum() == len(tables.set_aside)
    assert not tables.set_aside.duplicated(["table", "row"]).any()


def reasons(tables: bf.Tables) -> list[tuple[str, int, str, str]]:
    a = tables.set_aside
    return list(zip(a["table"], a["row"], a["column"], a["found"], strict=True))


def rules(tables: bf.Tables, table: str) -> dict[str, int]:
    q = tables.quality[(tables.quality["table"] == table) & (tables.quality["rule"] != "all rows")]
    return dict(zip(q["rule"], q["rows_read"], strict=True))


def test_canonical_frames() -> None:
    tables = bf.read_tables({"sales": sales()})
    for name, table in TABLES.items():
        frame = tables.frame(name)
        assert tuple(frame.columns) == table.names
        for column in table.columns:
            kind = str(frame[column.name].dtype)
            wanted = {"number": "float64", "date": "datetime64[s]", "flag": "bool", "text": "str"}[column.kind]
            long = name == "sales" and column.kind == "text"
            assert kind == ("category" if long else wanted), (name, column.name)
    assert tables.sales["location"].tolist() == [""]
    assert tables.has("sales")
    assert not tables.has("inventory")
    assert tables.given("inventory") == frozenset()
    with pytest.raises(bf.InvalidSettings, match="did you mean 'sales'"):
        tables.has("sale")
    check_account(tables)


def test_rows_set_aside_with_reason() -> None:
    frame = sales(
        {}, {"sku": None}, {"date": "2024-13-01"}, {"quantity": "x"}, {"quantity": None}, {"price": -1}, {"date": None}
    )
    tables = bf.read_tables({"sales": frame})
    assert reasons(tables) == [
        ("sales", 2, "sku", "(empty)"),
        ("sales", 3, "date", "2024-13-01"),
        ("sales", 7, "date", "(empty)"),
        ("sales", 4, "quantity", "x"),
        ("sales", 5, "quantity", "(empty)"),
        ("sales", 6, "price", "-1"),
    ]
    assert tables.sales.index.tolist() == [1]
    assert tables.set_aside["reason"].astype("str").str.len().gt(3).all()
    check_account(tables)


def test_optional_values_are_ignored_not_the_row() -> None:
    products = pd.DataFrame(
        {
            "sku": ["A", "B", "C"],
            "pack_size": [0, 6, "six"],
            "price": [-1, 2, 3],
            "product_type": ["Custom", "rare", None],
        }
    )
    tables = bf.read_tables({"sales": sales(), "products": products})
    assert tables.products["pack_size"].isna().tolist() == [True, False, True]
    assert tables.products["price"].isna().tolist() == [True, False, False]
    assert tables.products["product_type"].tolist()[:1] == ["custom"]
    assert tables.products["product_type"].isna().tolist() == [False, True, True]
    assert len(tables.set_aside) == 0
    assert rules(tables, "products") == {
        "product_type: must be one of commodity, standard, specialty, custom": 1,
        "price: impossible, must be 0 or more": 1,
        "pack_size: not a number": 1,
        "pack_size: impossible, must be above 0": 1,
    }
    check_account(tables)


def test_nearly_all_values_wrong_is_a_failure() -> None:
    frame = sales(*[{"quantity": "many"}] * 19, {})
    with pytest.raises(bf.InvalidTables, match="19 of 20 values are not a number; found many"):
        bf.read_tables({"sales": frame})
    half = sales(*[{"quantity": "many"}] * 5, *[{}] * 5)
    assert len(bf.read_tables({"sales": half}).set_aside) == 5
    with pytest.raises(bf.InvalidTables, match="the needed column is empty"):
        bf.read_tables({"sales": sales(quantity=None)})
    products = pd.DataFrame({"sku": ["A", "B"], "launched": ["soon", "later"]})
    with pytest.raises(bf.InvalidTables, match="2 of 2 values are not a date"):
        bf.read_tables({"sales": sales(), "products": products})


def test_last_known_day() -> None:
    stock = pd.DataFrame({"sku": ["A", "A"], "date": ["2024-01-03", "2024-01-04"], "on_hand": [1, 2]})
    assert bf.read_tables({"sales": sales()}).as_of == pd.Timestamp("2024-01-05")
    tables = bf.read_tables({"sales": sales({"date": "2024-01-01"}, {}), "inventory": stock})
    assert tables.as_of == pd.Timestamp("2024-01-04")
    assert reasons(tables) == [("sales", 2, "date", "2024-01-05")]
    assert "read_tables(as_of=...)" in tables.notes[0]
    promised = pd.DataFrame(
        {"supplier": ["S"], "order_date": ["2024-01-01"], "received_date": [None], "promised_date": ["2024-09-01"]}
    )
    assert bf.read_tables({"sales": sales(), "purchase_orders": promised}).as_of == pd.Timestamp("2024-01-05")
    for day in ("2024-01-05", pd.Timestamp("2024-01-05 18:00"), pd.Timestamp("2024-01-05").date()):
        assert bf.read_tables({"sales": sales()}, as_of=day).as_of == pd.Timestamp("2024-01-05")


def test_days_that_cannot_be_the_last_known() -> None:
    tomorrow = pd.Timestamp.today().normalize() + pd.Timedelta(days=1)
    with pytest.raises(bf.InvalidTables, match="lies after today"):
        bf.read_tables({"sales": sales()}, as_of=tomorrow)
    with pytest.raises(bf.InvalidTables, match="this is not a date"):
        bf.read_tables({"sales": sales()}, as_of="monday")
    with pytest.raises(bf.InvalidTables, match="day or the month"):
        bf.read_tables({"sales": sales()}, as_of="05/01/2024")
    with pytest.raises(bf.InvalidTables, match="no sale lies at or before as_of 2023-12-31"):
        bf.read_tables({"sales": sales()}, as_of="2023-12-31")
    with pytest.raises(bf.InvalidTables, match="all dates lie after today"):
        bf.read_tables({"sales": sales({"date": str(tomorrow.date())})})
    slip = bf.read_tables({"sales": sales({}, {"date": "2120-01-05"})})
    assert slip.as_of == pd.Timestamp("2024-01-05")
    assert reasons(slip) == [("sales", 2, "date", "2120-01-05")]


def test_duplicates_are_reported_and_dropped_on_request() -> None:
    frame = sales({"date": "2024-01-05 10:00"}, {"date": "2024-01-05 10:00"}, {"date": "2024-01-05 11:00"})
    tables = bf.read_tables({"sales": frame})
    assert len(tables.sales) == 3
    assert rules(tables, "sales") == {"exact duplicates": 1}
    dropped = bf.read_tables({"sales": frame}, drop_duplicates=True)
    assert dropped.sales.index.tolist() == [1, 3]
    assert dropped.quality.iloc[0][["rows_read", "rows_used", "rows_merged"]].tolist() == [3, 2, 1]
    check_account(tables)
    check_account(dropped)


def test_unknown_skus() -> None:
    products = pd.DataFrame({"sku": ["A"]})
    orders = pd.DataFrame({"supplier": "S", "sku": ["A", "X", None], "order_date": "2024-01-02", "received_date": None})
    given = {"sales": sales({}, {"sku": "X"}), "products": products, "purchase_orders": orders}
    tables = bf.read_tables(given)
    assert reasons(tables) == [("sales", 2, "sku", "X"), ("purchase_orders", 2, "sku", "X")]
    assert tables.items()["sku"].tolist() == ["A"]
    kept = bf.read_tables(given, unknown_sku="keep")
    assert kept.items()["sku"].tolist() == ["A", "X"]
    assert rules(kept, "sales") == {"SKU not in products": 1}
    check_account(tables)
    check_account(kept)
    with pytest.raises(bf.InvalidSettings, match="valid are: set_aside, keep"):
        bf.read_tables(given, unknown_sku="drop")


@pytest.mark.parametrize(
    ("sku", "words"), [("007", "leading zeros were lost"), ("a7", "upper and lower case"), ("Z", "same product code")]
)
def test_no_sku_matches(sku: str, words: str) -> None:
    products = pd.DataFrame({"sku": ["7", "A7"]})
    with pytest.raises(bf.InvalidTables, match=words):
        bf.read_tables({"sales": sales({"sku": sku}), "products": products})


def test_product_rules() -> None:
    products = pd.DataFrame({"sku": ["A", "A", "A", "B"], "price": [1, 1, 2, 3]})
    tables = bf.read_tables({"sales": sales(), "products": products})
    assert tables.products["price"].tolist() == [1.0, 3.0]
    assert tables.quality.loc[tables.quality["table"] == "products", "rows_merged"].iloc[0] == 1
    assert reasons(tables) == [("products", 3, "sku", "A")]
    check_account(tables)


def test_without_locations_in_sales_stock_is_added_up() -> None:
    stock = pd.DataFrame(
        {
            "sku": "A",
            "date": "2024-01-05",
            "on_hand": [1, 2, 2, 5],
            "location": ["N", "S", "S", "N"],
            "reserved": [1, None, None, None],
        }
    )
    tables = bf.read_tables({"sales": sales(), "inventory": stock})
    # The second S row repeats the first: one fact. The two N rows differ: two bins.
    assert tables.inventory[["location", "on_hand", "reserved"]].to_numpy().tolist() == [["", 8.0, 1.0]]
    assert any("2 locations is added up" in e for e in tables.quality["effect"])
    check_account(tables)


def test_locations_follow_the_sales() -> None:
    places = sales(
        {"location": "N"},
        {"location": "S"},
        {"sku": "B", "location": "S"},
        {"sku": "B", "location": None},
        {"location": None},
    )
    stock = pd.DataFrame({"sku": ["A", "B", "C"], "date": "2024-01-05", "on_hand": [1, 2, 3]})
    products = pd.DataFrame({"sku": ["A", "B", "C", "D"], "price": [1, 2, 3, 4]})
    lines = pd.DataFrame({"order_id": ["1", "2"], "sku": ["A", "B"], "order_date": "2024-01-05", "quantity": 1})
    tables = bf.read_tables({"sales": places, "inventory": stock, "products": products, "backorders": lines})
    assert tables.sales["location"].tolist() == ["N", "S", "S", "S"]
    assert tables.inventory[["sku", "location"]].to_numpy().tolist() == [["B", "S"]]
    assert tables.backorders[["sku", "location"]].to_numpy().tolist() == [["B", "S"]]
    assert [(t, r) for t, r, _, _ in reasons(tables)] == [
        ("sales", 5),
        ("inventory", 1),
        ("inventory", 3),
        ("backorders", 1),
    ]
    items = tables.items()
    assert items[["sku", "location", "price"]].to_numpy().tolist() == [
        ["A", "N", 1.0], ["A", "S", 1.0], ["B", "S", 2.0], ["C", "", 3.0], ["D", "", 4.0],
    ]  # fmt: skip
    check_account(tables)


def test_products_of_one_location_win_over_those_of_all() -> None:
    products = pd.DataFrame({"sku": ["A", "A"], "location": ["N", None], "price": [9, None], "moq": [None, 5]})
    tables = bf.read_tables({"sales": sales({"location": "N"}, {"location": "S"}), "products": products})
    items = tables.items()
    assert items["location"].tolist() == ["N", "S"]
    assert items["price"].isna().tolist() == [False, True]
    assert items["moq"].isna().tolist() == [True, False]


def test_purchase_order_rules() -> None:
    orders = pd.DataFrame(
        {
            "supplier": ["S", "S", "S", "S", None],
            "po_id": ["1", "1", "2", "3", "4"],
            "sku": "A",
            "order_date": ["2024-01-03"] * 5,
            "received_date": ["2024-01-02", "2024-01-04", "2024-01-05", None, None],
            "quantity_ordered": [10, 10, 5, -1, 5],
            "quantity_received": [4, 3, 5, None, None],
            "promised_date": ["2024-01-09", "2024-01-09", "2024-01-01", None, None],
        }
    )
    tables = bf.read_tables({"sales": sales(), "purchase_orders": orders})
    # Row 2 is a receipt of the line whose other receipt is impossible: its open quantity cannot be known.
    # Row 5 is on order whoever delivers it.
    assert tables.purchase_orders["po_id"].tolist() == ["2", "4"]
    assert tables.purchase_orders["promised_date"].isna().all()
    assert sorted(r for _, r, _, _ in reasons(tables)) == [1, 2, 4]
    assert ("purchase_orders", 1, "received_date", "2024-01-02, ordered 2024-01-03") in reasons(tables)
    check_account(tables)


def test_backorder_rules() -> None:
    lines = pd.DataFrame(
        {
            "order_id": ["1", "2", "3", "3", None, "5"],
            "sku": "A",
            "order_date": "2024-01-03",
            "quantity": [2, 5, 5, 5, 1, 0],
            "quantity_filled": [2, 1, 1, 2, 0, 0],
            "filled_date": ["2024-01-01", "2024-01-01", "2024-01-01", "2024-01-05", None, None],
            "complete_only": ["yes", "no", None, None, None, None],
        }
    )
    tables = bf.read_tables({"sales": sales(), "backorders": lines})
    # The first line is closed by its impossible row and can go; the others still wait and stay.
    assert tables.backorders["order_id"].tolist() == ["2", "3", "3"]
    assert tables.backorders["complete_only"].tolist() == [False, False, False]
    assert rules(tables, "backorders")["filled before it was ordered"] == 2
    check_account(tables)


def test_negative_stock_counts_as_none() -> None:
    stock = pd.DataFrame({"sku": ["A", "B"], "date": "2024-01-05", "on_hand": [-3, 4], "reserved": [-1, 0]})
    tables = bf.read_tables({"sales": sales(), "inventory": stock})
    assert tables.inventory["on_hand"].tolist() == [0.0, 4.0]
    assert tables.inventory["reserved"].isna().tolist() == [True, False]
    assert any("count these items" in e for e in tables.quality["effect"])


def test_optional_table_with_header_only(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("sku,date,quantity\nA,2024-01-05,1\n")
    (tmp_path / "backorders.csv").write_text("order_id,sku,order_date,quantity\n")
    tables = bf.read_tables(tmp_path)
    assert not tables.has("backorders")
    assert tables.given("backorders") == {"order_id", "sku", "order_date", "quantity"}
    effects = tables.quality.set_index("table")["effect"]
    assert effects["backorders"].startswith("no rows: ")
    assert effects["inventory"].startswith("not given: ")
    check_account(tables)


def test_skus_that_differ_in_case_are_pointed_out() -> None:
    tables = bf.read_tables({"sales": sales({"sku": "a1"}, {"sku": "A1"}, {"sku": "B"})})
    assert rules(tables, "sales") == {"SKUs that differ only in case": 2}


CELLS = st.sampled_from(["A", "B", " A", "", None, "NULL", "007"])
DATES = st.sampled_from(["2024-01-05", "2024-01-06 10:00", "", "2024-02-30", "2023-12-31", "0000-00-00", "2190-01-01"])
NUMBERS = st.sampled_from(["1", "-2", "2.5", "x", "", "1e15", "0"])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(CELLS, DATES, NUMBERS, CELLS), min_size=1, max_size=12), st.booleans())
def test_every_row_is_accounted_for(cells: list[tuple[str, str, str, str]], drop: bool) -> None:
    frame = pd.DataFrame(cells, columns=["sku", "date", "quantity", "location"], dtype="str")
    stock = frame.rename(columns={"quantity": "on_hand"})
    try:
        tables = bf.read_tables({"sales": frame, "inventory": stock}, drop_duplicates=drop)
    except bf.InvalidTables as refused:
        tables, failures = None, refused.failures
    if tables is None:
        assert len(failures)
        return
    check_account(tables)
    assert tables.quality.iloc[0]["rows_read"] == len(frame)
    assert np.isfinite(tables.sales["quantity"]).all()


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(6)))
def test_row_order_changes_nothing(order: list[int]) -> None:
    frame = sales(
        *[{"sku": s, "quantity": q, "location": p} for s, q, p in zip("ABABAC", range(6), "NNSSN ", strict=True)]
    )
    one, other = bf.read_tables({"sales": frame}), bf.read_tables({"sales": frame.iloc[order]})
    pd.testing.assert_frame_equal(one.items(), other.items())
    key = ["sku", "location", "quantity"]
    a, b = (t.sales.astype({"sku": "str", "location": "str"}).sort_values(key, ignore_index=True) for t in (one, other))
    pd.testing.assert_frame_equal(a, b, check_categorical=False)


def test_a_stated_pattern_that_leaves_many_dates_unread_is_refused() -> None:
    days = pd.date_range("2024-01-01", "2024-03-31")
    written = pd.DataFrame({"sku": "A", "date": days.strftime("%d/%m/%Y"), "quantity": 1})
    assert len(bf.read_tables({"sales": written}, date_format="%d/%m/%Y").sales) == 91
    with pytest.raises(
        bf.InvalidTables, match=r"(?s)55 of 91 dates do not fit date_format='%m/%d/%Y'.*found 13/01/2024"
    ):
        bf.read_tables({"sales": written}, date_format="%m/%d/%Y")


def test_a_row_of_totals_is_no_item_unless_a_product_is_called_so() -> None:
    given_rows = sales({}, {"sku": "B"}, {"sku": "Gesamtsumme", "quantity": 2})
    tables = bf.read_tables({"sales": given_rows})
    assert reasons(tables) == [("sales", 3, "sku", "Gesamtsumme")]
    check_account(tables)
    named = pd.DataFrame({"sku": ["A", "B", "Gesamtsumme"]})
    assert bf.read_tables({"sales": given_rows, "products": named}).set_aside.empty
