from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.scenario import BY, EXTRA_ORDER, Scenario
from backorder_forecast.supply_events import Closures

FACTS = pd.DataFrame(
    {
        "sku": ["A", "B", "B"], "location": ["x", "x", "y"], "category": ["toys", "toys", "tools"],
        "supplier": ["ACME", "", "Borealis"], "product_type": ["custom", "standard", "standard"],
        "on_hand": [5.0, np.nan, 7.0],
    }
)  # fmt: skip


def test_factors_multiply_where_several_apply() -> None:
    scenario = Scenario(demand_factor={"category": {"toys": 2.0}, "sku": {"B": 0.5}, "all": {"": 3.0}})
    assert scenario.demand_factors(FACTS).tolist() == [6.0, 3.0, 1.5]
    assert Scenario().demand_factors(FACTS).tolist() == [1, 1, 1]
    assert Scenario(demand_factor={"location": {"y": 0.0}}).demand_factors(FACTS).tolist() == [1, 1, 0]


def test_all_demand_takes_a_plain_number() -> None:
    scenario = Scenario(demand_factor={"all": 1.2, "sku": {"A": 2}})
    assert scenario.demand_factors(FACTS).tolist() == [2.4, 1.2, 1.2]
    assert scenario.describe() == "all demand x 1.2; demand of sku A x 2"


def test_delays_follow_the_supplier() -> None:
    scenario = Scenario(supplier_delay_days={"ACME": 14, "Borealis": -3})
    assert scenario.delays(FACTS["supplier"]).tolist() == [14, 0, -3]
    assert scenario.delays(FACTS["supplier"].iloc[:0]).tolist() == []


def test_stock_is_replaced_at_every_location_and_else_kept() -> None:
    scenario = Scenario(on_hand={"B": 0})
    stock = scenario.stock(FACTS)
    assert stock.tolist() == [5.0, 0.0, 0.0]
    assert FACTS["on_hand"].tolist()[2] == 7.0, "the facts stay as they were"


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        (Scenario(demand_factor={"category": {"toy": 2.0}}), r"unknown category 'toy' \(did you mean 'toys'\?\)"),
        (Scenario(demand_factor={"sku": {"C": 2.0}}), "unknown sku 'C'; valid are: A, B"),
        (Scenario(on_hand={"C": 1}), "unknown sku 'C'"),
    ],
)
def test_a_name_that_matches_nothing_is_refused(scenario: Scenario, message: str) -> None:
    apply = scenario.stock if scenario.on_hand else scenario.demand_factors
    with pytest.raises(InvalidSettings, match=message):
        apply(FACTS)


def test_a_delay_of_a_supplier_that_nobody_knows_is_refused() -> None:
    scenario = Scenario(supplier_delay_days={"ACMEE": 5})
    with pytest.raises(InvalidSettings, match=r"unknown supplier 'ACMEE' \(did you mean 'ACME'\?\)"):
        scenario.check_suppliers(FACTS["supplier"])
    scenario.check_suppliers([*FACTS["supplier"], "ACMEE"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"demand_factor": {"categories": {"toys": 2.0}}}, r"unknown demand_factor key 'categories' \(did you mean"),
        ({"demand_factor": {"sku": {"A": -1.0}}}, "demand factors are 0 or more"),
        ({"demand_factor": {"sku": {"A": float("nan")}}}, "demand factors are 0 or more"),
        ({"demand_factor": {"all": {"": float("inf")}}}, "demand factors are 0 or more"),
        ({"on_hand": {"A": -2}}, "on_hand is 0 or more"),
        ({"on_hand": {"A": float("nan")}}, "on_hand is 0 or more"),
        ({"on_hand": 5}, "on_hand must name what it changes, as in .*A-1.*; got 5"),
        ({"demand_factor": 1.2}, "demand_factor must name what it changes, as in .*all.*; got 1.2"),
        ({"demand_factor": {"sku": 1.2}}, "demand_factor 'sku' must name what it changes"),
        ({"demand_factor": {"all": "1.2"}}, "demand factors are 0 or more"),
        ({"supplier_delay_days": {"ACME": 2.5}}, "supplier_delay_days are whole days"),
        ({"supplier_closed": {"ACME": "2024-08-01"}}, "supplier_closed has a first and a last day"),
        ({"supplier_closed": {"ACME": ("2024-08-09", "2024-08-01")}}, "supplier_closed has a first and a last day"),
        ({"supplier_closed": {"ACME": ("soon", "later")}}, "supplier_closed has a first and a last day"),
        ({"supplier_closed": "ACME"}, "supplier_closed must name what it changes"),
        ({"recall": "A"}, "recall lists skus"),
        ({"recall": (1.5,)}, "recall lists skus"),
        ({"extra_order": {"A": 0}}, "extra_order is a number of units above 0"),
        ({"extra_order": {"A": (5, 0)}}, "extra_order is a number of units above 0"),
        ({"extra_order": {"A": (5, 1.5)}}, "extra_order is a number of units above 0"),
        ({"order_arrives": {"4711": 0}}, "order_arrives is a number of whole days from now, 1 or more, or a date"),
        ({"order_arrives": {"4711": 1.5}}, "order_arrives is a number of whole days"),
        ({"order_arrives": {"4711": "soon"}}, "order_arrives is a number of whole days"),
        ({"order_arrives": {"4711": None}}, "order_arrives is a number of whole days"),
        ({"order_arrives": {"4711": True}}, "order_arrives is a number of whole days"),
        ({"order_arrives": "4711"}, "order_arrives must name what it changes, as in .*PO 4711"),
    ],
)
def test_impossible_changes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        Scenario(**options)


def test_an_unknown_change_is_told_with_the_valid_ones() -> None:
    wrong: dict[str, Any] = {"on_hands": {"A": 3}}
    with pytest.raises(InvalidSettings, match=r"'on_hands' \(did you mean 'on_hand'\?\); valid are: demand_factor, "):
        Scenario(**wrong)


def test_every_way_to_name_items_is_a_fact() -> None:
    assert set(BY) - {"all"} <= set(FACTS.columns)


def test_it_says_what_it_changes() -> None:
    scenario = Scenario(
        demand_factor={"all": {"": 1.1}, "sku": {"A": 0.5}}, supplier_delay_days={"ACME": 14, "Borealis": -3},
        on_hand={"B": 2},
    )  # fmt: skip
    assert scenario.describe() == (
        "all demand x 1.1; demand of sku A x 0.5; supplier ACME 14 days later; supplier Borealis 3 days earlier;"
        " 2 of B on hand"
    )
    assert Scenario().describe() == "no change"


def test_it_cannot_be_changed_afterwards() -> None:
    delays = {"ACME": 14}
    scenario = Scenario(supplier_delay_days=delays)
    delays["ACME"] = 0
    assert scenario.supplier_delay_days == {"ACME": 14}
    table: Any = scenario.supplier_delay_days
    with pytest.raises(TypeError):
        table["ACME"] = 1


def test_a_supplier_closes_from_tomorrow_on_beside_the_closures_known() -> None:
    known = Closures(pd.DataFrame({"supplier": ["ACME"], "first": [3], "last": [9], "known_end": [True]}))
    scenario = Scenario(
        supplier_closed={"ACME": ("2024-06-20", "2024-07-04"), "Borealis": ("2024-08-01", "2024-08-02")}
    )
    found = scenario.closures(known, pd.Timestamp("2024-06-30")).frame
    assert found[["supplier", "first", "last"]].values.tolist() == [["ACME", 1, 9], ["Borealis", 32, 33]]
    assert Scenario().closures(known, pd.Timestamp("2024-06-30")) is known
    with pytest.raises(InvalidSettings, match="unknown supplier 'Nobody'"):
        Scenario(supplier_closed={"Nobody": ("2024-07-01", "2024-07-02")}).check_suppliers(["ACME"])


def test_extra_orders_are_purchase_orders_of_today() -> None:
    as_of = pd.Timestamp("2024-06-30")
    known = pd.DataFrame({"po_id": ["1"], "sku": ["A"], "location": ["x"], "supplier": ["ACME"],
                          "order_date": [as_of], "quantity_ordered": [3.0], "received_date": [pd.NaT]})  # fmt: skip
    scenario = Scenario(extra_order={"B": 50, "A": (5, 7)})
    orders = scenario.with_orders(known, FACTS, as_of)
    added = orders[orders["po_id"] == EXTRA_ORDER]
    assert added[["sku", "location", "quantity_ordered"]].values.tolist() == [
        ["B", "x", 50.0], ["B", "y", 50.0], ["A", "x", 5.0]
    ]  # fmt: skip
    assert (orders.dtypes[["order_date", "received_date"]] == known.dtypes[["order_date", "received_date"]]).all()
    assert scenario.fixed_days(orders, as_of).tolist() == [0, 0, 0, 7]
    assert Scenario().with_orders(known, FACTS, as_of) is known
    with pytest.raises(InvalidSettings, match="unknown sku 'Z'"):
        Scenario(extra_order={"Z": 1}).with_orders(known, FACTS, as_of)


def test_an_order_arrives_when_it_is_said_to() -> None:
    as_of = pd.Timestamp("2024-06-30")
    lines = pd.DataFrame({"po_id": ["4711", "PO-12", "4711", ""], "sku": ["A", "A", "B", "B"]})
    days = Scenario(order_arrives={"PO 4711": 3, "PO-12": "2024-07-05"}).fixed_days(lines, as_of)
    assert days.tolist() == [3, 5, 3, 0]
    with pytest.raises(InvalidSettings, match="a day after the last known one, 2024-06-30; got '4711': '2024-06-30'"):
        Scenario(order_arrives={"4711": "2024-06-30"}).fixed_days(lines, as_of)
    with pytest.raises(InvalidSettings, match=r"unknown open order '4712' \(did you mean '4711'\?\); valid are: 4711"):
        Scenario(order_arrives={"4712": 3}).fixed_days(lines, as_of)
    with pytest.raises(InvalidSettings, match="the tables name no open order; purchase_orders without a received_date"):
        Scenario(order_arrives={"4712": 3}).fixed_days(lines.iloc[:0], as_of)


def test_names_that_match_nothing_are_told_with_what_comes_near() -> None:
    with pytest.raises(InvalidSettings, match="unknown supplier 'ACME': the tables name no supplier; products"):
        Scenario(supplier_delay_days={"ACME": 5}).check_suppliers(["", ""])
    blank = FACTS.assign(category="")
    with pytest.raises(InvalidSettings, match="unknown category 'toys': the tables name no category; products"):
        Scenario(demand_factor={"category": {"toys": 2.0}}).demand_factors(blank)
    many = pd.DataFrame({"sku": [f"SKU-{k:04d}" for k in range(900)], "on_hand": 1.0})
    with pytest.raises(InvalidSettings, match="unknown sku 'SKU-1234' among 900; near it: SKU-") as told:
        Scenario(on_hand={"SKU-1234": 1}).stock(many)
    assert len(str(told.value)) < 150


def test_a_later_scenario_adds_to_an_earlier_one() -> None:
    first = Scenario(demand_factor={"all": 2.0, "sku": {"A": 3.0}}, supplier_delay_days={"ACME": 5}, recall=("A",))
    later = Scenario(demand_factor={"sku": {"B": 0.5}}, supplier_delay_days={"ACME": 1}, recall=("B", "A"))
    both = first.then(later)
    assert both.demand_factors(FACTS).tolist() == [6.0, 1.0, 1.0]
    assert both.delays(FACTS["supplier"]).tolist() == [1, 0, 0]
    assert both.recall == ("A", "B")


def test_a_recall_holds_every_location_of_the_item() -> None:
    assert Scenario(recall=["B"]).held(FACTS).tolist() == [False, True, True]
    assert not Scenario().held(FACTS).any()
    with pytest.raises(InvalidSettings, match="unknown sku 'Z'"):
        Scenario(recall=("Z",)).held(FACTS)


def test_further_changes_are_told_in_words() -> None:
    scenario = Scenario(supplier_closed={"ACME": ("2024-08-01", "2024-08-20")}, recall=("A",),
                        extra_order={"A": 50, "B": (5, 7)})  # fmt: skip
    assert scenario.describe() == (
        "supplier ACME closed from 2024-08-01 to 2024-08-20; A recalled; 50 more of A ordered;"
        " 5 more of B ordered, arriving in 7 days"
    )
    assert Scenario(order_arrives={"PO 7": 3, "8": "2024-07-05"}).describe() == (
        "order PO 7 arrives in 3 days; order 8 arrives on 2024-07-05"
    )


def test_a_name_given_as_a_number_is_its_text() -> None:
    numbers: dict[str, Any] = {
        "on_hand": {1047: 3}, "recall": (np.int64(7),), "demand_factor": {"sku": {1047.0: 2.0}}, "extra_order": {5: 2}
    }  # fmt: skip
    given = Scenario(**numbers)
    assert given == Scenario(
        on_hand={"1047": 3}, recall=("7",), demand_factor={"sku": {"1047": 2.0}}, extra_order={"5": 2}
    )
    assert given.stock(FACTS.assign(sku=["1047", "B", "B"]))[0] == 3.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_hand": {1.5: 3}}, "names in on_hand are text or whole numbers, got 1.5"),
        ({"on_hand": {None: 3}}, "names in on_hand are text or whole numbers, got None"),
        ({"on_hand": {7: 3, "7": 4}}, "on_hand names '7' twice, as text and as a number: leave one out"),
        ({"recall": (None,)}, "recall lists skus"),
        ({"recall": 7}, "recall lists skus"),
    ],
)
def test_what_is_no_name_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettings, match=re.escape(message)):
        Scenario(**options)
