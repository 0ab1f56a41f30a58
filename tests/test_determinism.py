"""A plan depends on what was known at the end of `as_of` and on nothing else: not on the order of rows, not on buckets
and cores, not on anything recorded later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from shop_fixture import AS_OF, N_ITEMS, SETTINGS, Frames, assert_same_plan, plan_of, read, shop, shop_plan

from backorder_forecast.pipeline import make_plan
from backorder_forecast.tables import Tables

TABLES = ("sales", "purchase_orders", "inventory", "backorders", "products", "supplier_items", "events")
LATER = AS_OF + pd.Timedelta(days=2)


@pytest.mark.parametrize("options", [{"workers": 2}, {"bucket_size": 1}, {"bucket_size": 7, "workers": 0}])
def test_buckets_and_cores_change_no_byte(options: dict[str, int]) -> None:
    assert_same_plan(shop_plan(), plan_of(None, SETTINGS.replace(**options)))


@pytest.mark.parametrize(
    "choice",
    [
        {"new_demand_overtakes": True},
        {"unmet": "lost"},
        {"allocation": "fair_share"},
        {"freq": "W-MON"},
        {"freq": "MS"},
    ],
    ids=str,
)
def test_nor_under_other_settings(choice: dict[str, Any]) -> None:
    settings = SETTINGS.replace(**choice)
    one_bucket, several = (plan_of(None, settings.replace(bucket_size=n)) for n in (N_ITEMS, 5))
    assert_same_plan(one_bucket, several)


def test_the_same_call_gives_the_same_bytes_and_another_seed_does_not() -> None:
    assert_same_plan(shop_plan(), plan_of(None))
    other = plan_of(None, SETTINGS.replace(seed=1))
    assert not other.stockouts["p_stockout"].equals(shop_plan().stockouts["p_stockout"])
    pd.testing.assert_frame_equal(other.items, shop_plan().items)


@pytest.mark.parametrize("table", TABLES)
def test_the_order_of_rows_changes_nothing(table: str) -> None:
    tables = shop()
    assert len(tables[table]) > 1
    tables[table] = tables[table].sample(frac=1, random_state=3)
    assert_same_plan(shop_plan(), plan_of(tables))


def test_the_order_of_fractional_rows_changes_nothing() -> None:
    tables = shop()
    rng = np.random.default_rng(0)
    for name, column in (("sales", "quantity"), ("inventory", "on_hand"), ("backorders", "quantity")):
        tables[name][column] = tables[name][column] * rng.uniform(0.1, 1.9, len(tables[name])).round(3)
    shuffled = {name: frame.sample(frac=1, random_state=4) for name, frame in tables.items()}
    assert_same_plan(plan_of(tables), plan_of(shuffled))


# --- nothing recorded after as_of


def _sales(tables: Frames) -> None:
    rows = tables["sales"].tail(40).assign(date=LATER, quantity=999.0, order_id="L1")
    # A return of everything that was ever sold would cancel history.
    back = tables["sales"].tail(400).assign(date=LATER, order_id="L2")
    back["quantity"] = -back["quantity"]
    tables["sales"] = pd.concat([tables["sales"], rows, back], ignore_index=True)


def _purchase_orders(tables: Frames) -> None:
    orders = tables["purchase_orders"]
    still_open = orders["received_date"].isna() & orders["cancelled_date"].isna()
    rows = orders.index[still_open]
    assert len(rows) > 3
    received, cancelled = rows[::2], rows[1::2]
    orders.loc[received, "received_date"] = LATER
    orders.loc[received, "quantity_received"] = orders.loc[received, "quantity_ordered"]
    orders.loc[cancelled, "cancelled_date"] = LATER
    placed = orders.tail(20).assign(po_id="L1", order_date=LATER, promised_date=LATER, quantity_ordered=1e6)
    placed["received_date"] = pd.NaT
    tables["purchase_orders"] = pd.concat([orders, placed], ignore_index=True)


def _inventory(tables: Frames) -> None:
    rows = tables["inventory"].drop_duplicates("sku").assign(date=LATER, on_hand=0.0, on_hold=1e6)
    tables["inventory"] = pd.concat([tables["inventory"], rows], ignore_index=True)


def _backorders(tables: Frames) -> None:
    lines = tables["backorders"]
    waits = lines["order_id"].astype("str").str.startswith("W")
    # What a later row says of money may be as late as the row, so only lines without a prepayment are touched.
    filled, cancelled = np.split(lines.index[waits & lines["prepaid_amount"].isna()], [2])
    assert len(filled) == 2
    assert len(cancelled) == 1
    lines.loc[filled, "filled_date"] = LATER
    lines.loc[filled, "quantity_filled"] = lines.loc[filled, "quantity"]
    lines.loc[cancelled, "cancelled_date"] = LATER
    lines.loc[cancelled, "refunded_amount"] = 55.0
    revised = lines[waits].tail(2).assign(promised_date=pd.Timestamp("2025-01-31"), promise_recorded_date=LATER)
    placed = lines[waits].assign(order_id="L1", order_date=LATER, quantity=500.0)
    tables["backorders"] = pd.concat([lines, revised, placed], ignore_index=True)


def _products(tables: Frames) -> None:
    products = tables["products"]
    free = products["recalled_from"].isna()
    products.loc[free, "recalled_from"] = LATER


def _events(tables: Frames) -> None:
    sku = tables["products"]["sku"].iloc[0]
    rows = pd.DataFrame({"kind": ["recall"], "start": [LATER], "end": [LATER + pd.Timedelta(days=30)], "sku": [sku]})
    tables["events"] = pd.concat([tables["events"], rows], ignore_index=True)


PLANT: dict[str, Callable[[Frames], None]] = {
    "sales": _sales, "purchase_orders": _purchase_orders, "inventory": _inventory,
    "backorders": _backorders, "products": _products, "events": _events,
}  # fmt: skip


@pytest.mark.parametrize("what", PLANT)
def test_what_was_recorded_later_changes_no_answer(what: str) -> None:
    tables = shop()
    PLANT[what](tables)
    # The account of the rows read, and the notes on them, do know that these rows are there.
    assert_same_plan(shop_plan(), plan_of(tables), but=["data_quality"])


def test_a_promise_recorded_later_is_not_known() -> None:
    before, after = shop(), shop()
    for tables in (before, after):
        orders = tables["purchase_orders"]
        still_open = orders["received_date"].isna()
        said = tables is after
        orders.loc[still_open, "promised_date"] = pd.Timestamp("2024-12-31") if said else pd.NaT
        orders.loc[still_open, "promise_recorded_date"] = LATER if said else pd.NaT
    assert_same_plan(plan_of(before), plan_of(after), but=["data_quality"])


def test_all_of_it_together_changes_no_answer() -> None:
    tables = shop()
    for plant in PLANT.values():
        plant(tables)
    planted = plan_of(tables)
    assert_same_plan(shop_plan(), planted, but=["data_quality"])
    account = planted.data_quality
    later = account["rule"].str.endswith(": recorded after as_of")
    assert account.loc[later, "rows_set_aside"].sum() > 400


def test_a_past_day_is_replayed_from_what_was_known_then() -> None:
    cut = pd.Timestamp("2024-05-31")
    tables = shop()
    replayed = make_plan(read(tables).as_known(cut), SETTINGS)
    assert_same_plan(make_plan(_erased(tables, cut), SETTINGS), replayed, but=["data_quality"])
    assert len(replayed.fill_dates)


def _erased(tables: Frames, cut: pd.Timestamp) -> Tables:
    """The tables as an export of that day would have shown them."""
    tables["sales"] = tables["sales"][tables["sales"]["date"] <= cut]
    tables["inventory"] = tables["inventory"][tables["inventory"]["date"] <= cut]
    orders = tables["purchase_orders"]
    orders = orders[orders["order_date"] <= cut].copy()
    orders.loc[orders["promise_recorded_date"] > cut, ["promised_date", "promise_recorded_date"]] = pd.NaT
    orders.loc[orders["received_date"] > cut, "quantity_received"] = np.nan
    orders.loc[orders["received_date"] > cut, "received_date"] = pd.NaT
    orders.loc[orders["cancelled_date"] > cut, "cancelled_date"] = pd.NaT
    # What is still to come of a line is one open row, however many receipts it will take.
    orders = orders.drop_duplicates()
    lines = tables["backorders"]
    lines = lines[lines["order_date"] <= cut].copy()
    filled, cancelled = lines["filled_date"] > cut, lines["cancelled_date"] > cut
    lines.loc[filled, "quantity_filled"] = 0.0
    lines.loc[filled | cancelled, "refunded_amount"] = np.nan
    lines.loc[filled, "filled_date"] = pd.NaT
    lines.loc[cancelled, "cancelled_date"] = pd.NaT
    lines.loc[lines["promise_recorded_date"] > cut, ["promised_date", "promise_recorded_date"]] = pd.NaT
    products = tables["products"]
    products.loc[products["recalled_from"] > cut, ["recalled_from", "recalled_to"]] = pd.NaT
    products.loc[products["recalled_to"] > cut, "recalled_to"] = pd.NaT
    products.loc[products["discontinued"] > cut, "discontinued"] = pd.NaT
    return read({**tables, "purchase_orders": orders, "backorders": lines, "products": products}, cut)
