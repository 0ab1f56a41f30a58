"""Purchase orders as they come: each flaw is handled by a rule and counted in `data_quality`, or refused in words."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import backorder_forecast as bf
from backorder_forecast.errors import InvalidTables

DAYS = pd.date_range("2024-01-01", periods=150)
AS_OF = DAYS[-1]
PLACED = pd.date_range("2024-01-02", periods=26, freq="5D")
SETTINGS = bf.Settings(n_paths=100, horizon_days=30, workers=1, global_model=False)


def tables(orders: pd.DataFrame, **others: Any) -> dict[str, pd.DataFrame]:
    sales = pd.DataFrame({"sku": "A", "date": DAYS, "quantity": 1.0})
    inventory = pd.DataFrame({"sku": ["A"], "date": AS_OF, "on_hand": 20.0})
    products = pd.DataFrame({"sku": ["A"], "supplier": "ACME", "unit_cost": 1.0, "price": 2.0})
    return {"sales": sales, "inventory": inventory, "purchase_orders": orders, "products": products} | others


def history() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "po_id": [f"H{i}" for i in range(26)], "supplier": "ACME", "sku": "A", "order_date": PLACED,
            "received_date": PLACED + pd.Timedelta(days=10), "quantity_ordered": 10.0, "quantity_received": 10.0,
            "promised_date": PLACED + pd.Timedelta(days=10),
        }
    )  # fmt: skip


def with_line(*lines: dict[str, Any]) -> pd.DataFrame:
    """The history and a line of 40 units, ordered a week ago, with what differs."""
    usual = {
        "po_id": "X", "supplier": "ACME", "sku": "A", "order_date": AS_OF - pd.Timedelta(days=7),
        "received_date": pd.NaT, "quantity_ordered": 40.0, "quantity_received": np.nan,
    }  # fmt: skip
    return pd.concat([history(), pd.DataFrame([usual | line for line in lines])], ignore_index=True)


@cache
def planned(name: str) -> bf.Plan:
    return bf.make_plan(bf.read_tables(tables(CASES[name])), settings=SETTINGS)


def day(n: int) -> pd.Timestamp:
    return AS_OF - pd.Timedelta(days=n)


RECEIVED = {"received_date": day(2), "quantity_received": 40.0}
CASES = {
    "as it should be": with_line({}),
    "received before it was ordered": with_line({"received_date": day(20), "quantity_received": 40.0}),
    "receipt booked twice": with_line(RECEIVED, RECEIVED),
    "more than was ordered": with_line(RECEIVED | {"quantity_received": 55.0}),
    "no supplier": with_line({"supplier": None}),
    "another supplier": with_line({"supplier": "OTHER"}),
    "promised in 2099": with_line({"promised_date": pd.Timestamp("2099-12-31")}),
    "closed with a rest": with_line(
        {"received_date": day(3), "quantity_received": 15.0, "cancelled_date": day(1)},
    ),
    "nothing received": with_line({"received_date": day(3), "quantity_received": 0.0}),
}  # fmt: skip
ON_ORDER = {"as it should be": 40, "no supplier": 40, "another supplier": 40, "promised in 2099": 40,
            "nothing received": 40}  # fmt: skip
RULES = {
    "received before it was ordered": "received_date: received before it was ordered",
    "receipt booked twice": "received more than was ordered",
    "more than was ordered": "received more than was ordered",
    "no supplier": "order without a supplier",
    "another supplier": "item with several suppliers",
    "promised in 2099": "promised date beyond every lead time",
    "closed with a rest": "rest of an order was cancelled",
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_on_order_is_right_whatever_the_flaw(name: str) -> None:
    stock = planned(name).stockouts
    assert stock["on_order"].tolist() == [ON_ORDER.get(name, 0)]
    # 20 units last 20 days: safe where 40 are on their way for a usual lead time, else surely out within 30.
    coming = name in ON_ORDER and name != "promised in 2099"
    chance = float(stock["p_stockout"].iloc[0])
    assert chance < 0.2 if coming else chance > 0.8


@pytest.mark.parametrize("name", RULES)
def test_every_flaw_is_counted_where_it_is_found(name: str) -> None:
    quality = planned(name).data_quality
    rows = quality[(quality["table"] == "purchase_orders") & (quality["rule"] == RULES[name])]
    assert len(rows) == 1
    assert rows["rows_read"].iloc[0] >= 1
    assert rows["examples"].iloc[0] != ""
    clean = planned("as it should be").data_quality
    assert RULES[name] not in set(clean.loc[clean["table"] == "purchase_orders", "rule"])


@pytest.mark.parametrize("name", CASES)
def test_every_row_is_accounted_for(name: str) -> None:
    quality = planned(name).data_quality
    total = quality[(quality["table"] == "purchase_orders") & (quality["rule"] == "all rows")].iloc[0]
    assert total["rows_read"] == len(CASES[name])
    assert total["rows_read"] == total["rows_used"] + total["rows_merged"] + total["rows_set_aside"]


def test_a_negative_lead_time_teaches_nothing_and_leaves_nothing_open() -> None:
    table = history()
    clean = bf.fit_lead_times(table, as_of=AS_OF)
    bad = table.iloc[:3].assign(po_id=["a", "b", "c"], received_date=lambda f: f["order_date"] - pd.Timedelta(days=4))
    found = bf.fit_lead_times(pd.concat([table, bad]), as_of=AS_OF)
    assert (found.cdf == clean.cdf).all()
    assert found.set_aside["reason"].tolist() == ["received before it was ordered"] * 3
    assert found.table()["n_open"].tolist() == clean.table()["n_open"].tolist()


def test_a_receipt_booked_twice_counts_once() -> None:
    table = history()
    found = bf.fit_lead_times(pd.concat([table, table.iloc[:5]]), as_of=AS_OF)
    assert (found.cdf[:, 9] == bf.fit_lead_times(table, as_of=AS_OF).cdf[:, 9]).all()


def test_a_day_before_any_data_is_refused_by_tables_and_takes_the_default_in_a_fit() -> None:
    with pytest.raises(InvalidTables, match="no sale lies at or before as_of 2020-01-01"):
        bf.read_tables(tables(history()), as_of="2020-01-01")
    lead = bf.fit_lead_times(history(), as_of="2020-01-01")
    assert lead.table()["basis"].tolist() == ["default lead time"]
    assert set(lead.set_aside["reason"]) == {"ordered after as_of"}
    assert len(lead.set_aside) == len(history())


def test_an_item_bought_from_two_suppliers_follows_each() -> None:
    far = history().assign(
        supplier="FAR",
        po_id=lambda f: "F" + f["po_id"],
        received_date=lambda f: f["order_date"] + pd.Timedelta(days=25),
    )
    known = far["received_date"] <= AS_OF
    far = far.assign(
        received_date=far["received_date"].where(known), quantity_received=far["quantity_received"].where(known)
    )
    lead = bf.fit_lead_times(pd.concat([history(), far]), as_of=AS_OF)
    new = pd.DataFrame({"supplier": ["ACME", "FAR"], "sku": "A"})
    assert lead.quantiles(new, [0.5])[0.5].tolist() == [10, 25]


def test_product_rows_that_repeat_a_key_give_the_same_plan_in_any_order() -> None:
    one = pd.DataFrame({"sku": ["A"], "supplier": "ACME", "lead_time_days": 10.0, "price": 2.0})
    other = one.assign(supplier="OTHER", lead_time_days=60.0)
    plans = [
        bf.make_plan(bf.read_tables(tables(history(), products=pd.concat(rows))), settings=SETTINGS)
        for rows in ([one, other], [other, one])
    ]
    pd.testing.assert_frame_equal(plans[0].stockouts, plans[1].stockouts)
    pd.testing.assert_frame_equal(plans[0].lead_times, plans[1].lead_times)
    assert "a second row" in " ".join(plans[0].data_quality["rule"])


def test_the_chance_that_a_supplier_stands_still_is_told_with_its_record() -> None:
    quiet = history()
    for column in ("received_date", "quantity_received"):
        quiet[column] = quiet[column].where(quiet.index < 18)
    plans = {
        "usual": planned("as it should be"),
        "silent": bf.make_plan(bf.read_tables(tables(quiet)), settings=SETTINGS),
    }
    chance = {name: plan.suppliers.set_index("supplier")["disruption_probability"] for name, plan in plans.items()}
    assert chance["usual"]["ACME"] < 0.1
    assert chance["silent"]["ACME"] > 0.3
    table = plans["silent"].lead_times
    assert table["disruption_probability"].isna().tolist() == (table["level"] == "all").tolist()
    row = plans["silent"].suppliers.iloc[0]
    assert (row["n_received"], row["n_open"], row["n_late_now"], row["n_judged"]) == (18, 8, 8, 26)
    assert row["receipts_come"] == 0
    assert row["receipts_due"] > 1
    assert row["disruption_days"] >= 1


def test_a_lead_time_longer_than_a_year_is_looked_at_to_its_end() -> None:
    """450 units last 450 days; an order placed now takes 600: it comes too late, whatever happens in the first year."""
    inventory = pd.DataFrame({"sku": ["A"], "date": AS_OF, "on_hand": 450.0})
    products = pd.DataFrame({"sku": ["A"], "lead_time_days": 600.0, "price": 2.0})
    far = {"inventory": inventory, "products": products, "purchase_orders": history().iloc[:0]}
    plan = bf.make_plan(
        bf.read_tables(tables(history(), **far)), settings=SETTINGS.replace(stated_lead_time_sd_log=0.05)
    )
    row = plan.stockouts.iloc[0]
    assert row["p_unmet_before_arrival"] > 0.9
    assert row["flag"] == "critical"
    assert not row["avoidable"]


@pytest.mark.parametrize("table", ["sales", "inventory"])
@pytest.mark.parametrize("n", [1, 2])
def test_a_stray_later_row_does_not_move_the_last_known_day_and_is_told(table: str, n: int) -> None:
    given = tables(history())
    date = [AS_OF + pd.Timedelta(days=200 + 100 * k) for k in range(n)]
    stray = given[table].iloc[-1:].loc[lambda f: f.index.repeat(n)].assign(date=date)
    read = bf.read_tables(given | {table: pd.concat([given[table], stray], ignore_index=True)})
    assert read.as_of == AS_OF
    assert read.set_aside["reason"].str.contains("dated long after all others").sum() == n
    quality = read.quality[read.quality["rule"].str.contains("dated long after all others")]
    assert quality["rows_set_aside"].tolist() == [n]
    assert read.inventory["date"].max() == AS_OF
    # Who says so gets the later day.
    assert bf.read_tables(given, as_of=AS_OF + pd.Timedelta(days=200)).as_of == AS_OF + pd.Timedelta(days=200)


def test_a_late_receipt_or_a_new_season_is_no_stray_row() -> None:
    late = with_line({"received_date": AS_OF + pd.Timedelta(days=400), "quantity_received": 40.0})
    assert bf.read_tables(tables(late)).as_of == AS_OF
    given = tables(history())
    # After a pause the shop goes on: more than a row or two.
    more = given["sales"].iloc[-5:].assign(date=lambda f: f["date"] + pd.Timedelta(days=300))
    stock = given["inventory"].assign(date=AS_OF + pd.Timedelta(days=300))
    resumed = given | {"sales": pd.concat([given["sales"], more], ignore_index=True), "inventory": stock}
    assert bf.read_tables(resumed).as_of == AS_OF + pd.Timedelta(days=300)
    only = given | {"inventory": stock}
    assert bf.read_tables(only).as_of == AS_OF + pd.Timedelta(days=300), "the only stock there is, counted late"


def test_an_open_line_without_a_quantity_is_named_and_still_tells_its_age() -> None:
    plan = bf.make_plan(bf.read_tables(tables(with_line({"quantity_ordered": np.nan}))), settings=SETTINGS)
    quality = plan.data_quality[plan.data_quality["rule"] == "open line without an ordered quantity"]
    assert quality["examples"].tolist() == ["order X of ACME, sku A"]
    assert quality["effect"].tolist() == ["not on order; its age counts for lead times"]
    assert plan.suppliers["n_open"].tolist() == [1]


def test_an_order_without_a_supplier_is_named_by_what_is_known() -> None:
    quality = planned("no supplier").data_quality
    assert quality.loc[quality["rule"] == "order without a supplier", "examples"].tolist() == ["order X, sku A"]


def test_receipts_beyond_the_longest_lead_time_are_counted() -> None:
    old = history().assign(order_date=lambda f: f["order_date"] - pd.Timedelta(days=2000))
    lead = bf.fit_lead_times(old, as_of=AS_OF)
    rows = lead.quality[lead.quality["rule"] == "receipt beyond the longest lead time"]
    assert rows["rows_read"].tolist() == [len(old)]
    assert rows["examples"].iloc[0].startswith("order H0 of ACME, sku A: 2,010 days; ")
    wide = bf.fit_lead_times(old, as_of=AS_OF, settings=bf.Settings(max_lead_time_days=3000))
    assert "receipt beyond the longest lead time" not in set(wide.quality["rule"])
    assert wide.quantiles(pd.DataFrame({"supplier": ["ACME"]}), [0.5])[0.5].tolist() == [2010]


@pytest.mark.parametrize("filler", ["9999-12-31", "2999-12-31", "1900-01-01"])
def test_a_date_that_stands_for_none_is_counted(filler: str) -> None:
    orders = with_line({}).astype({"promised_date": "str"})
    orders["promised_date"] = orders["promised_date"].mask(orders["po_id"] == "X", filler)
    plan = bf.make_plan(bf.read_tables(tables(orders)), settings=SETTINGS)
    rows = plan.data_quality[plan.data_quality["rule"] == "promised_date: stands for no date"]
    assert rows["rows_read"].tolist() == [1]
    assert rows["effect"].tolist() == [f"found {filler}; read as empty"]
    assert float(plan.stockouts["p_stockout"].iloc[0]) < 0.2


def test_a_law_of_open_orders_alone_says_so() -> None:
    orders = history().tail(5)
    for column in ("received_date", "quantity_received"):
        orders[column] = orders[column].where(orders.index < 0)
    lead = bf.fit_lead_times(orders, as_of=AS_OF)
    assert set(lead.table()["basis"]) == {"open orders"}
    assert set(bf.fit_lead_times(history(), as_of=AS_OF).table()["basis"]) == {"history"}
    stated = pd.DataFrame({"sku": ["A"], "lead_time_days": 30.0})
    assert "open orders and stated lead time" in set(
        bf.fit_lead_times(orders, as_of=AS_OF, stated=stated).table()["basis"]
    )
