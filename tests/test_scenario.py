from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.scenario import BY, Scenario

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
    ],
)
def test_impossible_changes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        Scenario(**options)


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
