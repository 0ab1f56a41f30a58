"""Columns to fields: by rule, never by guess, and shown on one screen."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import backorder_forecast as bf
from backorder_forecast.mapping import mapping_text

BASE = {"sku": ["A"], "date": ["2024-01-05"], "quantity": [1]}


def failures_of(frame: dict[str, Any], columns: Any = None) -> pd.DataFrame:
    with pytest.raises(bf.InvalidTables) as caught:
        bf.read_tables({"sales": pd.DataFrame(frame)}, columns=columns)
    return caught.value.failures


def test_names_of_forecasting_tools() -> None:
    frame = pd.DataFrame({"unique_id": ["A"], "ds": ["2024-01-05"], "y": [1]})
    tables = bf.read_tables({"sales": frame})
    assert tables.mapping[["column", "field", "how"]].to_numpy().tolist() == [
        ["unique_id", "sku", "known synonym"],
        ["ds", "date", "known synonym"],
        ["y", "quantity", "known synonym"],
    ]
    assert tables.given("sales") == {"sku", "date", "quantity"}


def test_own_name_wins_over_synonyms() -> None:
    frame = pd.DataFrame({**BASE, "item": ["other"], "ds": ["2020-01-01"]})
    tables = bf.read_tables({"sales": frame})
    assert tables.sales["sku"].tolist() == ["A"]
    left = tables.mapping[tables.mapping["how"] == "not used"]
    assert left["column"].tolist() == ["item", "ds"]
    assert left["understood"].iloc[0] == "could be sku, which is sku"


def test_two_synonyms_are_a_question() -> None:
    failures = failures_of({"item": ["A"], "material": ["B"], "date": ["2024-01-05"], "quantity": [1]})
    assert failures["problem"].tolist() == ["several columns could be this field"]
    assert failures["what_to_do"].iloc[0] == "say which: columns={'sales': {'item': 'sku', 'material': None}}"
    frame = pd.DataFrame({"item": ["A"], "material": ["B"], "date": ["2024-01-05"], "quantity": [1]})
    tables = bf.read_tables({"sales": frame}, columns={"sales": {"item": None, "material": "sku"}})
    assert tables.sales["sku"].tolist() == ["B"]


def test_renames_win() -> None:
    frame = pd.DataFrame({**BASE, "code": ["Z"], "weird": [7]})
    tables = bf.read_tables({"sales": frame}, columns={"Sales": {"code": "sku", "weird": "quantity", "quantity": None}})
    assert tables.sales[["sku", "quantity"]].to_numpy().tolist() == [["Z", 7.0]]
    assert tables.mapping.set_index("column").loc["code", "how"] == "columns="


@pytest.mark.parametrize(
    ("columns", "problem", "advice"),
    [
        ({"sales": {"skuu": "sku"}}, "names a column that is not there", "did you mean 'sku'?"),
        ({"sales": {"quantity": "qantity"}}, "unknown field 'qantity'", "did you mean 'quantity'?"),
        ({"sales": {"quantity": "Code"}}, "unknown field 'Code'", "fields are sku"),
        ({"sails": {"a": "b"}}, "names an unknown table", "did you mean 'sales'? the tables are"),
        ({"sale": {"price": None}, "sales": {}}, "names this table twice", "put both parts under one name"),
        ("sales", "is not understood", "write it like"),
        ({"sales": "sku"}, "is not understood", "write it like"),
        ({"inventory": {"a": "sku"}}, "names a table that is not given", "remove it"),
        ({"sales": {"a": "price", "b": "price"}}, "two columns for this field", "rename only one"),
    ],
)
def test_wrong_renames(columns: Any, problem: str, advice: str) -> None:
    failures = failures_of({**BASE, "a": [1], "b": [2]}, columns)
    hit = failures[failures["problem"].str.contains(problem, regex=False)]
    assert len(hit) == 1
    assert advice in hit["what_to_do"].iloc[0]


def test_renames_the_wrong_way_round() -> None:
    failures = failures_of({"Code": ["A"], "date": ["2024-01-05"], "quantity": [1]}, {"sales": {"sku": "Code"}})
    assert any("the other way round: columns={'sales': {'Code': 'sku'}}" in what for what in failures["what_to_do"])


def test_all_problems_at_once() -> None:
    inventory = pd.DataFrame({"sku": ["A"], "on_hand": [1]})
    sales = pd.DataFrame({"sku": ["A"], "amount": [1]})
    orders = pd.DataFrame({"supplier": ["S"], "order_date": ["soon"], "received_date": ["05/01/2024"]})
    with pytest.raises(bf.InvalidTables) as caught:
        bf.read_tables({"sales": sales, "inventory": inventory, "purchase_orders": orders, "prodcts": sales}, as_of="x")
    failures = caught.value.failures
    assert set(zip(failures["table"], failures["column"], strict=True)) == {
        ("sales", "date"), ("sales", "quantity"), ("inventory", "date"), ("purchase_orders", "order_date"),
        ("purchase_orders", "received_date"), ("prodcts", ""), ("", "as_of"),
    }  # fmt: skip
    text = str(caught.value)
    assert text.startswith("7 problems in the input:")
    assert "sales, column quantity: needed column is missing" in text


def test_a_guess_for_a_missing_column() -> None:
    failures = failures_of({"sku": ["A"], "quantty": [1], "date": ["2024-01-05"]})
    assert failures["what_to_do"].iloc[0].endswith("columns={'sales': {'quantty': 'quantity'}}")


def test_date_format_options() -> None:
    sales = pd.DataFrame({"sku": ["A"], "date": ["05/01/2024"], "quantity": [1]})
    for option in ("%d/%m/%Y", "DD/MM/YYYY", {"sales": "%d/%m/%Y"}, {"sales": {"date": "%d/%m/%Y"}}):
        assert bf.read_tables({"sales": sales}, date_format=option).as_of == pd.Timestamp("2024-01-05")
    renamed = sales.rename(columns={"date": "When"})
    options: dict[str, Any] = {"columns": {"sales": {"When": "date"}}, "date_format": {"sales": {"When": "%m/%d/%Y"}}}
    assert bf.read_tables({"sales": renamed}, **options).as_of == pd.Timestamp("2024-05-01")
    with pytest.raises(bf.InvalidTables, match="names a column that is no date"):
        bf.read_tables({"sales": sales}, date_format={"sales": {"quantity": "%d"}})
    with pytest.raises(bf.InvalidSettings, match="not understood"):
        bf.read_tables({"sales": sales}, date_format="d/m/y")
    with pytest.raises(bf.InvalidTables, match="not understood"):
        bf.read_tables({"sales": sales}, date_format={"sales": {"date": 5}})  # type: ignore[dict-item]
    with pytest.raises(bf.InvalidTables, match="no mapping of tables to sheets"):
        bf.read_tables({"sales": sales}, sheets=["a"])  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["columns", "date_format", "sheets"])
def test_an_option_for_a_table_that_is_not_there_is_refused_with_the_near_name(option: str) -> None:
    sales = pd.DataFrame({"sku": ["A"], "date": ["2024-01-05"], "quantity": [1]})
    value: Any = {"columns": {"sku": "sku"}}.get(option, "%Y-%m-%d")
    for name, problem, what in (
        ("salse", "names an unknown table", "did you mean 'sales'? the tables are sales, purchase_orders"),
        ("inventry", "names an unknown table", "did you mean 'inventory'?"),
        ("zzz", "names an unknown table", "the tables are"),
        ("stock", "names a table that is not given", "remove it"),
    ):
        given: dict[str, Any] = {option: {name: value}}
        with pytest.raises(bf.InvalidTables) as caught:
            bf.read_tables({"sales": sales}, **given)
        failure = caught.value.failures.iloc[0]
        assert failure["problem"] == f"{option}= {problem}"
        assert failure["what_to_do"].startswith(what)


def test_an_option_takes_any_name_of_a_table_but_only_one() -> None:
    sales = pd.DataFrame({"sku": ["A"], "date": ["05/01/2024"], "quantity": [1]})
    assert bf.read_tables({"sales": sales}, date_format={"Verkauf": "%d/%m/%Y"}).as_of == pd.Timestamp("2024-01-05")
    for option in ({"*": "%d/%m/%Y"}, {"*": "%m/%d/%Y", "sales": "%d/%m/%Y"}):
        assert bf.read_tables({"sales": sales}, date_format=option).as_of == pd.Timestamp("2024-01-05")
    with pytest.raises(bf.InvalidTables, match=r"sales: date_format= names this table twice; found 'sale'"):
        bf.read_tables({"sales": sales}, date_format={"sales": "%d/%m/%Y", "sale": "%m/%d/%Y"})
    with pytest.raises(bf.InvalidTables, match="date_format= is not understood; found 3"):
        bf.read_tables({"sales": sales}, date_format=3)  # type: ignore[arg-type]


def test_one_column_proves_the_order_for_its_table() -> None:
    orders = pd.DataFrame(
        {"supplier": ["S", "S"], "order_date": ["25/01/2024", "01/02/2024"], "received_date": ["02/03/2024", ""]}
    )
    sales = pd.DataFrame({"sku": ["A"], "date": ["2024-03-05"], "quantity": [1]})
    tables = bf.read_tables({"sales": sales, "purchase_orders": orders})
    assert tables.purchase_orders["received_date"].iloc[0] == pd.Timestamp("2024-03-02")
    words = tables.mapping.set_index("column")["understood"]
    assert "day first as 25/01/2024 proves" in words["order_date"]
    assert "day first as in another column" in words["received_date"]


def test_mapping_on_one_screen() -> None:
    sales = pd.DataFrame(
        {"StockCode": ["007"], "InvoiceDate": ["2024-01-05 10:00"], "Quantity": [2], "Country": ["UK"]}
    )
    stock = pd.DataFrame({"sku": ["007"], "date": ["2024-01-04"], "on_hand": [5], "price": [1]})
    text = mapping_text(bf.read_tables({"sales": sales, "inventory": stock}, as_of="2024-01-05"))
    lines = text.splitlines()
    assert lines[0] == "How the input was understood (known up to the end of 2024-01-05)"
    assert "  StockCode -> sku      text, 1 different" in lines
    assert "  Quantity -> quantity  numbers in units, 2 to 2" in lines
    assert any("InvoiceDate -> date" in line and "time of day dropped" in line for line in lines)
    assert "  not used: Country" in lines
    assert "  on_hand  numbers in units, 5 to 5" in lines
    assert any("not given: purchase_orders" in line for line in lines)
    assert "1 day before as_of" in text
    assert max(map(len, lines)) <= 100
    assert len(lines) < 40


def test_sales_by_order_date_are_pointed_out() -> None:
    frame = pd.DataFrame({"sku": ["A"], "Order Date": ["2024-01-05"], "quantity": [1]})
    assert "sales_are='orders'" in mapping_text(bf.read_tables({"sales": frame}))


def test_codes_that_never_match_are_pointed_out() -> None:
    stock = pd.DataFrame({"sku": ["A-1"], "date": ["2024-01-05"], "on_hand": [5]})
    assert "same product code" in mapping_text(bf.read_tables({"sales": pd.DataFrame(BASE), "inventory": stock}))
