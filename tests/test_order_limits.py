"""Shared limits: minimum of a supplier reached or nothing ordered, budget and capacity never exceeded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop_fixture import SETTINGS, read, shop

from backorder_forecast import Plan, SamplePaths, Settings, make_plan, recommend_orders
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.order_limits import BELOW, CUT, RAISED, UNCHECKED, order_curves, within_limits

N_PATHS = 20


def curves(need: Any, wanted: Any, most: Any, *, pack: float = 1.0, moq: float = 0.0, holding: float = 0.1) -> Any:
    n = len(wanted)
    one = np.ones(n)
    return order_curves(
        need, need[:, :, None] * 1.5, wanted, most, shortage=3.0 * one, holding=holding * one, surplus_share=0.25,
        moq=moq * one, pack=pack * one,
    )  # fmt: skip


@given(
    seed=st.integers(0, 10_000), budget=st.floats(0, 400), capacity=st.floats(0, 60), least=st.floats(0, 300),
    pack=st.sampled_from([1.0, 4.0]), moq=st.sampled_from([0.0, 8.0]),
)  # fmt: skip
def test_no_limit_is_ever_exceeded_and_no_minimum_missed(
    seed: int, budget: float, capacity: float, least: float, pack: float, moq: float
) -> None:
    rng = np.random.default_rng(seed)
    n = 6
    need = rng.poisson(rng.uniform(0, 12, n)[:, None], (n, N_PATHS)).astype(float)
    wanted = np.ceil(np.quantile(need, 0.9, axis=1) / pack) * pack
    wanted = np.where(wanted < moq, 0.0, wanted)
    candidates, saving = curves(need, wanted, wanted * 2 + pack, pack=pack, moq=moq)
    cost = rng.uniform(1, 9, n).round(2)
    supplier = rng.choice(["A", "B", ""], n)
    minimum = np.where(supplier == "A", least, np.nan)
    quantity, remark = within_limits(
        wanted, candidates, saving, unit_cost=cost, supplier=supplier.tolist(), supplier_minimum=minimum,
        budget=budget, capacity=capacity,
    )  # fmt: skip
    assert (quantity * cost).sum() <= budget + 1e-6
    assert quantity.sum() <= capacity + 1e-6
    of_a = float((quantity * cost)[supplier == "A"].sum())
    assert of_a == 0 or of_a >= least - 1e-6
    assert np.allclose(quantity % pack, 0)
    assert ((quantity == 0) | (quantity >= moq)).all()
    assert (quantity[supplier != "A"] <= wanted[supplier != "A"]).all(), "only a minimum raises an order"
    # Nothing changes in silence.
    assert ((quantity == wanted) | (remark != "")).all()


def test_without_limits_orders_stay_as_they_are_wanted() -> None:
    need = np.random.default_rng(1).poisson(5, (3, N_PATHS)).astype(float)
    wanted = np.array([7.0, 0.0, 5.0])
    candidates, saving = curves(need, wanted, wanted)
    quantity, remark = within_limits(
        wanted, candidates, saving, unit_cost=np.full(3, np.nan), supplier=["", "S", "S"],
        supplier_minimum=np.full(3, np.nan),
    )  # fmt: skip
    assert quantity.tolist() == wanted.tolist()
    assert remark.tolist() == [""] * 3


def test_candidates_hold_nothing_what_is_wanted_and_the_most() -> None:
    need = np.full((2, N_PATHS), 10.0)
    candidates, saving = curves(need, np.array([8.0, 12.0]), np.array([16.0, 12.0]), pack=4.0)
    assert candidates[:, 0].tolist() == [0, 0]
    assert candidates[:, -1].tolist() == [16, 12]
    assert 8.0 in candidates[0]
    assert (np.diff(candidates, axis=1) >= 0).all()
    assert (saving[candidates == 0] == 0).all()


def test_a_minimum_is_reached_where_that_costs_least_or_the_supplier_waits() -> None:
    need = np.array([np.full(N_PATHS, 4.0), np.full(N_PATHS, 0.0)])
    wanted = np.array([4.0, 0.0])
    # The second item's need comes later; the first would only pile up.
    later = np.stack([np.full((N_PATHS, 5), 4.0), np.full((N_PATHS, 5), 6.0)])
    candidates, saving = order_curves(
        need, later, wanted, np.array([20.0, 20.0]), shortage=np.full(2, 9.0), holding=np.full(2, 0.5),
        surplus_share=1.0, moq=np.zeros(2), pack=np.ones(2),
    )  # fmt: skip
    terms: dict[str, Any] = {"unit_cost": np.full(2, 10.0), "supplier": ["S", "S"]}
    raised, told = within_limits(wanted, candidates, saving, supplier_minimum=np.array([80.0, np.nan]), **terms)
    assert raised.tolist() == [4, 4]
    assert told.tolist() == ["", RAISED]
    nothing, told = within_limits(wanted, candidates, saving, supplier_minimum=np.array([1e5, np.nan]), **terms)
    assert nothing.tolist() == [0, 0]
    assert told.tolist() == [BELOW, ""]


def test_one_decision_reaches_a_supplier_minimum() -> None:
    dates = pd.date_range("2024-01-01", periods=8, freq="W-MON")
    forecast = SamplePaths.from_array(np.full((2, 10, 8), 5.0), ["A", "B"], dates)
    items = pd.DataFrame(
        {"sku": ["A", "B"], "supplier": "S", "unit_cost": 2.0, "price": 4.0, "supplier_minimum": [60.0, np.nan]}
    )
    stock = pd.Series({"A": 5.0, "B": 20.0})
    plain = recommend_orders(forecast, on_hand=stock, lead_time=2, items=items.drop(columns="supplier_minimum"))
    assert plain["cost"].sum() < 60
    orders = recommend_orders(forecast, on_hand=stock, lead_time=2, items=items)
    assert orders["cost"].sum() >= 60
    assert (orders["order_quantity"] >= plain["order_quantity"]).all()
    assert orders["remark"].str.contains("reaches its minimum").any()


def shop_plan_with(settings: Settings = SETTINGS, **columns: Any) -> Plan:
    tables = shop()
    tables["supplier_items"] = tables["supplier_items"].assign(**columns)
    return make_plan(read(tables), settings)


def test_a_plan_keeps_its_budget_and_its_capacity() -> None:
    free = make_plan(read(shop()), SETTINGS).reorders
    total, units = free["cost"].sum(), free["order_quantity"].sum()
    plan = shop_plan_with(SETTINGS.replace(order_budget=total / 2))
    half = plan.reorders
    assert any(note.startswith(f"orders take {half['cost'].sum():,.0f} of a budget of") for note in plan.notes)
    assert 0.3 * total < half["cost"].sum() <= total / 2
    assert half["remark"].str.contains(f"{CUT}: the budget went to orders that save more").any()
    left = half[half["remark"].str.startswith(CUT) & (half["order_quantity"] == 0)]
    assert len(left)
    assert left["reason"].str.startswith("needed, but not bought").all()
    assert (left["urgency"] != "none").all(), "what is not bought is no less urgent"
    few = shop_plan_with(SETTINGS.replace(order_capacity=units / 3)).reorders
    assert few["order_quantity"].sum() <= units / 3
    enough = shop_plan_with(SETTINGS.replace(order_budget=2 * total)).reorders
    pd.testing.assert_frame_equal(enough, free)


def test_a_plan_reaches_the_minimum_of_a_supplier() -> None:
    free = make_plan(read(shop()), SETTINGS).reorders
    worth = free.groupby("supplier")["cost"].sum()
    least = float(worth[worth > 0].min()) * 1.2
    plan = shop_plan_with(supplier_minimum=least).reorders
    now = plan.groupby("supplier")["cost"].sum()
    assert ((now == 0) | (now >= least - 1e-6)).all()
    told = plan["remark"].str.contains("reaches its minimum") | (plan["reason"] == BELOW)
    assert told.any()


def test_a_budget_among_goods_of_unknown_cost_is_refused() -> None:
    tables = shop()
    for name in ("products", "supplier_items"):
        tables[name] = tables[name].drop(columns="unit_cost")
    with pytest.raises(InvalidSettings, match="have no unit_cost: a budget cannot be shared"):
        make_plan(read(tables), SETTINGS.replace(order_budget=100.0))
    with pytest.raises(InvalidSettings, match="order_budget is 0 or money, got -1"):
        Settings(order_budget=-1.0)


def test_a_minimum_is_not_held_against_goods_of_unknown_cost() -> None:
    need = np.full((2, N_PATHS), 10.0)
    wanted = np.array([10.0, 10.0])
    candidates, saving = curves(need, wanted, wanted)
    for cost in ([np.nan, np.nan], [np.nan, 1.0]):
        quantity, told = within_limits(
            wanted, candidates, saving, unit_cost=np.array(cost), supplier=["A", "A"], supplier_minimum=np.full(2, 50.0)
        )
        assert quantity.tolist() == [10, 10]
        assert told.tolist() == [UNCHECKED] * 2


def test_a_budget_goes_to_the_suppliers_whose_minimum_it_reaches() -> None:
    need = np.full((2, N_PATHS), 10.0)
    wanted = np.array([10.0, 10.0])
    candidates, saving = curves(need, wanted, wanted)
    quantity, told = within_limits(
        wanted, candidates, saving, unit_cost=np.full(2, 10.0), supplier=["A", "B"],
        supplier_minimum=np.full(2, 90.0), budget=100.0,
    )  # fmt: skip
    assert sorted(quantity.tolist()) == [0, 10]
    assert [words.startswith(CUT) for words in told] == [q == 0 for q in quantity]


def test_with_many_minimums_most_of_a_budget_is_spent() -> None:
    rng = np.random.default_rng(5)
    n = 60
    need = rng.poisson(rng.uniform(2, 12, n)[:, None], (n, N_PATHS)).astype(float)
    wanted = np.ceil(np.quantile(need, 0.9, axis=1))
    candidates, saving = curves(need, wanted, wanted)
    cost = rng.uniform(1, 9, n).round(2)
    supplier = np.repeat([f"S{k}" for k in range(10)], 6)
    worth = pd.Series(wanted * cost).groupby(supplier).transform("sum").to_numpy()
    budget = float((wanted * cost).sum()) * 0.8
    quantity, _ = within_limits(
        wanted, candidates, saving, unit_cost=cost, supplier=supplier.tolist(), supplier_minimum=0.9 * worth,
        budget=budget,
    )  # fmt: skip
    assert 0.85 * budget < (quantity * cost).sum() <= budget
