"""Codes that two exports spell differently are one item of the shop: refused, and never read as items of their own."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import backorder_forecast as bf
from backorder_forecast.spellings import bare_code, rarer_spellings, spelled_otherwise

SKUS = ["001207", "040117", "161000", "161001"]


def sales(skus: list[str] = SKUS) -> pd.DataFrame:
    days = [f"2024-01-{day:02d}" for day in range(1, 31)]
    return pd.DataFrame({"sku": skus * 30, "date": [d for d in days for _ in skus], "quantity": 2})


def stock(skus: list[str] = SKUS) -> pd.DataFrame:
    return pd.DataFrame({"sku": skus, "date": "2024-01-30", "on_hand": 5})


def orders(skus: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {"supplier": "S", "order_date": "2024-01-20", "received_date": None, "sku": skus, "quantity_ordered": 10}
    )


def refused(given: dict[str, pd.DataFrame], **options: Any) -> pd.Series:
    with pytest.raises(bf.InvalidTables) as caught:
        bf.read_tables(given, **options)
    assert len(caught.value.failures) == 1
    return caught.value.failures.iloc[0]


def test_lost_zeros_are_refused_even_where_some_skus_match() -> None:
    failure = refused(
        {"sales": sales(), "inventory": stock(), "purchase_orders": orders(["1207", "40117", "161000", "161000"])}
    )
    assert (failure["table"], failure["column"]) == ("purchase_orders", "sku")
    assert failure["problem"].startswith("SKUs that are those of sales but for leading zeros, and would count as items")
    assert failure["found"] == "1207 against 001207, 40117 against 040117 (2 of 3, 2 rows)"
    assert "leading zeros were lost in one of the files: write and read the codes as text" in failure["what_to_do"]
    assert "columns={'purchase_orders': {'that column': 'sku'}}" in failure["what_to_do"]
    assert failure["what_to_do"].endswith("if they are different items, unknown_sku='keep'")


@pytest.mark.parametrize("some", ["some match", "none matches"])
def test_sales_are_held_against_products(some: str) -> None:
    products = pd.DataFrame({"sku": ["1207", "40117", *(SKUS[2:] if some == "some match" else [])]})
    failure = refused({"sales": sales(SKUS if some == "some match" else SKUS[:2]), "products": products})
    assert failure["table"] == "sales"
    assert "those of products but for leading zeros" in failure["problem"]
    assert failure["found"].startswith("001207 against 1207, 040117 against 40117 (2 of ")


@pytest.mark.parametrize(
    ("spelled", "known", "form", "advice"),
    [
        ("a7-x", "A7-X", "upper and lower case", "write them one way"),
        ("A 7", "A7", "spaces", "take them out"),
        ("1207.0", "1207", "dots", "export the codes as text"),
        ("1207.", "1207", "dots", "export the codes as text"),
        ("1207.0", "001207", "dots and leading zeros", "leading zeros were lost"),
        ("a 7", "A7", "spaces and upper and lower case", "write them one way"),
    ],
)
@pytest.mark.parametrize("table", ["inventory", "purchase_orders", "backorders", "supplier_items", "events"])
def test_other_forms_are_told_for_every_table(table: str, spelled: str, known: str, form: str, advice: str) -> None:
    skus = [spelled, "B", "C"]
    frame = {
        "inventory": stock(skus),
        "purchase_orders": orders(skus),
        "backorders": pd.DataFrame(
            {"order_id": ["1", "2", "3"], "sku": skus, "order_date": "2024-01-20", "quantity": 1}
        ),
        "supplier_items": pd.DataFrame({"supplier": "S", "sku": skus}),
        "events": pd.DataFrame({"kind": "promotion", "start": "2024-01-02", "end": "2024-01-03", "sku": skus}),
    }[table]
    failure = refused({"sales": sales([known, "B"]), table: frame})
    assert failure["table"] == table
    assert f"but for {form}, and" in failure["problem"]
    assert failure["found"] == f"{spelled} against {known} (1 of 3, 1 rows)"
    assert advice in failure["what_to_do"]


def test_spellings_that_sales_or_products_both_have_are_two_items() -> None:
    both = ["1207", "001207"]
    assert len(bf.read_tables({"sales": sales(both), "purchase_orders": orders(both)}).purchase_orders) == 2
    listed = pd.DataFrame({"sku": both})
    tables = bf.read_tables({"sales": sales(["001207"]), "products": listed, "purchase_orders": orders(["1207"])})
    assert tables.purchase_orders["sku"].tolist() == ["1207"]
    # Sales that use both are not told by a product list that has one of them.
    one = bf.read_tables({"sales": sales(both), "products": listed.head(1)})
    assert one.set_aside["found"].unique().tolist() == ["001207"]


def test_keep_takes_them_for_different_items_and_says_so() -> None:
    given = {"sales": sales(), "purchase_orders": orders(["1207", "40117", "161000"])}
    tables = bf.read_tables(given, unknown_sku="keep")
    assert tables.purchase_orders["sku"].tolist() == ["1207", "40117", "161000"]
    noted = tables.quality.set_index("rule").loc["SKUs spelled otherwise elsewhere"]
    assert noted["rows_used"] == 2
    assert noted["effect"] == "kept as different items, as asked for: 1207 against 001207, 40117 against 040117"
    products = pd.DataFrame({"sku": ["1207", "40117"]})
    failure = refused({"sales": sales(SKUS[:2]), "products": products}, unknown_sku="keep")
    assert failure["what_to_do"].endswith("if they are different items, list them in products too")


def test_new_codes_are_no_complaint() -> None:
    tables = bf.read_tables({"sales": sales(), "purchase_orders": orders(["001208", "161000", "NEW"])})
    assert len(tables.purchase_orders) == 3


@given(st.lists(st.text("0aA1. ", min_size=1, max_size=5), min_size=1, max_size=6))
def test_bare_codes_stay_as_they_are(codes: list[str]) -> None:
    bare = bare_code(pd.Series(codes, dtype="str"))
    assert bare_code(bare).tolist() == bare.tolist()
    pairs = spelled_otherwise(pd.Index(bare.drop_duplicates(), dtype="str"), pd.Index(codes, dtype="str").unique())
    assert set(bare) == set(pairs["given"])
    assert (bare_code(pairs["given"]).to_numpy() == bare_code(pairs["known"]).to_numpy()).all()


def test_an_item_without_stock_is_named_with_its_location() -> None:
    shops = pd.concat([sales().assign(location=place) for place in ("North", "South")])
    tables = bf.read_tables({"sales": shops, "inventory": stock(SKUS[2:]).assign(location="North")})
    plan = bf.make_plan(tables, bf.Settings(n_paths=20, horizon_days=14))
    (note,) = (note for note in plan.notes if "no stock record" in note)
    assert note.startswith("6 items have no stock record")
    assert note.endswith("such as 001207 at North, 001207 at South, 040117 at North")


def bought(suppliers: list[str]) -> pd.DataFrame:
    return orders(["001207"] * len(suppliers)).assign(supplier=suppliers)


def spelled(tables: bf.Tables) -> dict[tuple[str, str], dict[Any, Any]]:
    rows = tables.quality[tables.quality["rule"].str.endswith("spelled in two ways")]
    return {(row["table"], row["rule"]): row for row in rows.to_dict("records")}


def test_suppliers_spelled_in_two_ways_are_listed_and_stay_two() -> None:
    names = ["ACME Ltd"] * 9 + ["Acme Ltd.", "acme  ltd", "Acme", "Bolt"]
    products = pd.DataFrame({"sku": SKUS, "supplier": ["ACME-LTD", "Bolt", "Bolt", " Bolt "]})
    tables = bf.read_tables({"sales": sales(), "purchase_orders": bought(names), "products": products})
    found = spelled(tables)
    rule = "suppliers spelled in two ways"
    assert sorted(found) == [("products", rule), ("purchase_orders", rule)]
    row = found["purchase_orders", rule]
    assert (row["rows_read"], row["rows_used"], row["rows_merged"], row["rows_set_aside"]) == (2, 2, 0, 0)
    assert row["examples"] == (
        "Acme Ltd. (1 row here) against ACME Ltd (9 in all tables); acme  ltd (1 row here) against ACME Ltd (9 in all"
        " tables)"
    )
    assert row["effect"].startswith("taken as different suppliers, so their orders and lead times are told apart")
    assert row["effect"].endswith("if they are one, write one name in all tables")
    assert found["products", rule]["rows_read"] == 1
    assert {"ACME Ltd", "Acme Ltd.", "acme  ltd", "Acme"} <= set(tables.purchase_orders["supplier"])


def test_locations_spelled_in_two_ways_are_listed() -> None:
    places = sales().assign(location=["North 1", "South"] * 60)
    shelves = stock().assign(location=["north-1", "South", "South", "North-11"])
    found = spelled(bf.read_tables({"sales": places, "inventory": shelves}))
    assert list(found) == [("inventory", "locations spelled in two ways")]
    examples = [row["examples"] for row in found.values()]
    assert examples == ["north-1 (1 row here) against North 1 (60 in all tables)"]


def test_names_that_are_one_or_two_need_no_row() -> None:
    names = ["Acme", "Acme", " Acme ", "Acme Two", "1-1", "11", "1.1", "-", "--"]
    tables = bf.read_tables({"sales": sales(), "purchase_orders": bought(names)})
    assert [row["examples"] for row in spelled(tables).values()] == ["1.1 (1 row here) against 1-1 (1 in all tables)"]


@given(st.lists(st.text(" aA1.-é", min_size=1, max_size=6), min_size=1, unique=True))
def test_of_spellings_of_one_name_all_but_one_are_listed(names: list[str]) -> None:
    counts = pd.Series(range(1, len(names) + 1), index=names)
    found = rarer_spellings(counts)
    assert found["given"].is_unique
    assert not set(found["given"]) & set(found["known"])
    assert (counts[found["known"]].to_numpy() > counts[found["given"]].to_numpy()).all()
