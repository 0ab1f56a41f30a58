"""What a plan says of money is what its frames hold, with and without prices and costs."""

from __future__ import annotations

import pytest
from shop_fixture import plan_of, shop


@pytest.mark.parametrize("priced", [True, False])
def test_what_is_said_of_money_without_products_is_what_the_frames_hold(priced: bool) -> None:
    tables = {name: frame for name, frame in shop().items() if name not in ("products", "supplier_items")}
    tables["sales"] = tables["sales"].drop(columns="price", errors="ignore")
    if priced:
        tables["sales"] = tables["sales"].assign(price=12.5)
    else:
        tables["backorders"] = tables["backorders"].drop(columns="unit_price")
    plan = plan_of(tables)
    (note,) = (note for note in plan.notes if note.startswith("no product master: "))
    n = len(plan.items)
    assert (f"prices are the latest of sales ({n} of {n} items)" in note) == priced
    assert ("revenue at risk and the cost of a miss are empty, and what a backorder earns is" in note) == (not priced)
    assert ("margins are taken as 30% of the price" in note) == priced
    assert "the cost of orders and the value of excess are empty" in note
    for column in ("revenue_at_risk", "expected_miss_cost"):
        assert plan.stockouts[column].notna().all() == priced
    assert plan.wait_cutoffs["value_accept"].notna().any() == priced
    assert plan.reorders["cost"].isna().all()
    assert plan.excess["excess_value"].isna().all()


def test_products_without_costs_say_what_is_empty() -> None:
    tables = shop()
    del tables["supplier_items"]
    tables["products"] = tables["products"].drop(columns="unit_cost")
    plan = plan_of(tables)
    assert any("costs are unknown" in n and n.endswith("unit_cost of products would give them") for n in plan.notes)
