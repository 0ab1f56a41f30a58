"""The schema as data: every synonym belongs to one column, needed columns come first, rules speak."""

from __future__ import annotations

import itertools

import pytest

from backorder_forecast.names import COLUMN_NAMES, TABLE_NAMES, find_column, find_table, plain_name
from backorder_forecast.schema import TABLES, Table


def _synonyms(text: str) -> list[str]:
    return [plain_name(part) for part in text.split(",")]


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda t: t.name)
def test_needed_columns_stand_first(table: Table) -> None:
    needed = [c.needed for c in table.columns]
    assert needed == sorted(needed, reverse=True)
    assert len(set(table.names)) == len(table.names)


@pytest.mark.parametrize("table", TABLES)
def test_each_name_means_one_column(table: str) -> None:
    assert set(COLUMN_NAMES[table]) == set(TABLES[table].names)
    canonical = {plain_name(name) for name in COLUMN_NAMES[table]}
    seen: dict[str, str] = {}
    for name, synonyms in COLUMN_NAMES[table].items():
        for synonym in _synonyms(synonyms):
            assert synonym, (table, name)
            assert synonym not in seen, (table, synonym, name, seen.get(synonym))
            assert synonym not in canonical, (table, synonym, name)
            seen[synonym] = name
            assert find_column(table, synonym) == name


def test_each_file_name_means_one_table() -> None:
    names = [*TABLE_NAMES, *itertools.chain.from_iterable(_synonyms(s) for s in TABLE_NAMES.values())]
    assert len({plain_name(n) for n in names}) == len(names)
    assert list(TABLE_NAMES) == list(TABLES)


@pytest.mark.parametrize(
    ("table", "name", "field"),
    [
        ("sales", "unique_id", "sku"),
        ("sales", "ds", "date"),
        ("sales", "y", "quantity"),
        ("sales", "Qty", "quantity"),
        ("sales", "StockCode", "sku"),
        ("sales", "CustomerID", "customer_id"),
        ("sales", "InvoiceNo", "order_id"),
        ("sales", "Artikel-Nr.", "sku"),
        ("purchase_orders", "order date", "order_date"),
        ("purchase_orders", "Vendor", "supplier"),
        ("inventory", "Stock on hand", "on_hand"),
        ("backorders", "Ship Date", "filled_date"),
        ("products", "Lead Time (days)", "lead_time_days"),
        ("sales", "Country", None),
        ("sales", "", None),
    ],
)
def test_names_of_other_tools(table: str, name: str, field: str | None) -> None:
    assert find_column(table, name) == field


@pytest.mark.parametrize(
    ("name", "table"),
    [("Sales", "sales"), ("purchase orders", "purchase_orders"), ("PO_lines", "purchase_orders"),
     ("stock", "inventory"), ("Item Master", "products"), ("orders", None), ("readme", None)],
)  # fmt: skip
def test_names_of_files(name: str, table: str | None) -> None:
    assert find_table(name) == table


def test_rules_in_words() -> None:
    assert TABLES["backorders"].column("quantity").rule == "above 0"
    assert TABLES["products"].column("lead_time_days").rule == "0 or more, at most 3,650"
    assert TABLES["sales"].column("quantity").rule == "at most 100,000,000,000"


def test_a_table_promises_no_more_than_is_used() -> None:
    """What is read without an effect is said where the reader of `data_quality` sees it."""
    unused_words = {"events": "not used yet", "supplier_items": "not yet used"}
    for table, unused in unused_words.items():
        assert unused in TABLES[table].feeds
    for words in ("price breaks", "express"):
        assert words not in TABLES["supplier_items"].absent
