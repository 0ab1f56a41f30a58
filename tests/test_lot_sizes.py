from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.lot_sizes import (
    eoq,
    eoq_all_units_discount,
    eoq_backorders,
    eoq_incremental_discount,
    eoq_partial_backorders,
)

KNOWN: dict[str, Any] = json.loads((Path(__file__).parent / "known_answers" / "lot_sizes.json").read_text())
money = st.floats(0.1, 1000.0)


def test_eoq_known_answer() -> None:
    case = KNOWN["eoq_ss_3_1"]
    quantity, cost = eoq(case["inputs"]["D"], case["inputs"]["K"], case["inputs"]["h"])
    assert float(quantity) == pytest.approx(case["expected"]["Q"], abs=case["abs_tolerance"])
    assert float(cost) == pytest.approx(case["expected"]["cost"], abs=case["abs_tolerance"])


def test_backorders_known_answer() -> None:
    case = KNOWN["eoq_backorders_3_8"]
    quantity, share, cost = eoq_backorders(*(case["inputs"][k] for k in ("D", "K", "h", "p")))
    found = {"Q": float(quantity), "x": float(share), "cost": float(cost)}
    assert found == pytest.approx(case["expected"], abs=case["abs_tolerance"])


def test_all_units_discount_known_answer() -> None:
    case = KNOWN["eoq_all_units_3_5"]
    quantity, cost = eoq_all_units_discount(*(case["inputs"][k] for k in ("D", "K", "i", "breakpoints", "unit_costs")))
    assert {"Q": quantity, "cost": cost} == pytest.approx(case["expected"], abs=case["abs_tolerance"])


def test_partial_backorders_known_answer() -> None:
    case = KNOWN["eoq_partial_backorder"]
    demand, order, holding, wait, lost, share = (case["inputs"][k] for k in ("D", "K", "h", "b", "l", "beta"))
    time, filled, cost = eoq_partial_backorders(demand, order, holding, wait, lost, share)
    assert time == pytest.approx(case["expected"]["T"], abs=case["abs_tolerance"])
    assert filled == pytest.approx(case["expected"]["F"], abs=case["abs_tolerance"])
    assert cost == pytest.approx(case["expected"]["cost"], abs=case["abs_tolerance"])
    # below the least share of patient customers it is the plain EOQ, and it joins on there
    least = case["expected"]["beta_min"]
    plain = eoq(demand, order, holding)
    below = eoq_partial_backorders(demand, order, holding, wait, lost, least - 1e-4)
    above = eoq_partial_backorders(demand, order, holding, wait, lost, least + 1e-4)
    assert below == pytest.approx((float(plain[0]) / demand, 1.0, float(plain[1])))
    assert above == pytest.approx(below, rel=1e-3)


@pytest.mark.parametrize("record", KNOWN["stockpyl"]["records"])
def test_stockpyl(record: dict[str, Any]) -> None:
    given_ = record["inputs"]
    demand, order = given_["demand_rate"], given_["fixed_cost"]
    if record["function"] == "economic_order_quantity":
        found = [*eoq(demand, order, given_["holding_cost"], quantity=given_.get("order_quantity"))]
        expected = record["expected"]
    elif record["function"] == "economic_order_quantity_with_backorders":
        costs = given_["holding_cost"], given_["stockout_cost"]
        fixed = {"quantity": given_.get("order_quantity"), "backordered_share": given_.get("stockout_fraction")}
        found = [*eoq_backorders(demand, order, *costs, **fixed)]
        expected = record["expected"]
    else:
        method = eoq_all_units_discount if "all_units" in record["function"] else eoq_incremental_discount
        prices = given_["breakpoints"], given_["unit_costs"]
        found = [np.asarray(v) for v in method(demand, order, given_["holding_cost_rate"], *prices)]
        expected = [record["expected"][0], record["expected"][2]]
    assert [float(v) for v in found] == pytest.approx(expected, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(demand=money, order=money, holding=money, wait=money, factor=st.floats(0.3, 3.0))
def test_no_other_quantity_costs_less(demand: float, order: float, holding: float, wait: float, factor: float) -> None:
    quantity, cost = eoq(demand, order, holding)
    assert float(eoq(demand, order, holding, quantity=quantity * factor)[1]) >= float(cost) * (1 - 1e-12)
    # at the EOQ ordering and holding cost the same
    assert float(cost) == pytest.approx(2 * order * demand / float(quantity))
    quantity, share, least = eoq_backorders(demand, order, holding, wait)
    other = eoq_backorders(demand, order, holding, wait, quantity=quantity * factor, backordered_share=share / factor)
    assert float(other[2]) >= float(least) * (1 - 1e-12)
    assert float(least) <= float(cost)


@settings(max_examples=60, deadline=None)
@given(demand=money, order=money, holding=money, cuts=st.lists(st.floats(0.5, 1.0), min_size=0, max_size=3))
def test_discounts_are_the_least_of_a_fine_grid(demand: float, order: float, holding: float, cuts: list[float]) -> None:
    rate = holding / 1000
    base = math.sqrt(2 * order * demand / (rate * 10))
    breaks = [0.0, *(base * (0.7 + k) for k in range(len(cuts)))]
    prices = [10.0, *(10.0 * np.cumprod(cuts))]
    grid = np.concatenate([np.geomspace(base / 20, base * 5000, 20_000), breaks[1:]])
    row = np.searchsorted(breaks, grid, side="right") - 1
    unit = np.array(prices)[row]
    total = unit * demand + order * demand / grid + rate * unit * grid / 2
    quantity, cost = eoq_all_units_discount(demand, order, rate, breaks, prices)
    assert cost <= total.min() * (1 + 1e-9)
    assert cost == pytest.approx(total.min(), rel=1e-3)
    assert quantity >= 0
    steps = np.minimum(np.maximum(grid[:, None] - np.array(breaks), 0.0), np.diff([*breaks, np.inf]))
    bought = (steps * np.array(prices)).sum(axis=1)
    increments = bought * demand / grid + order * demand / grid + rate * bought / 2
    _, least = eoq_incremental_discount(demand, order, rate, breaks, prices)
    assert least <= increments.min() * (1 + 1e-9)
    assert least == pytest.approx(increments.min(), rel=1e-3)


@settings(max_examples=100, deadline=None)
@given(demand=money, order=money, holding=money, wait=money, lost=money, share=st.floats(0.0, 1.0))
def test_partial_backorders_are_the_least_of_a_grid(
    demand: float, order: float, holding: float, wait: float, lost: float, share: float
) -> None:
    time, filled, cost = eoq_partial_backorders(demand, order, holding, wait, lost, share)
    cycle = np.geomspace(1e-3, 1e3, 400)[:, None] * math.sqrt(order / (holding * demand))
    stocked = np.linspace(0, 1, 101)[None, :]
    short = 1 - stocked
    grid = (
        order / cycle
        + demand * cycle * (holding * stocked**2 + share * wait * short**2) / 2
        + (1 - share) * lost * demand * short
    )
    assert 0.0 <= filled <= 1.0
    assert cost <= min(float(grid.min()), lost * demand) * (1 + 1e-9)
    if math.isinf(time):
        assert (filled, cost) == (0.0, lost * demand)


def test_where_orders_cost_more_than_losing_everyone_nothing_is_ordered() -> None:
    assert eoq_partial_backorders(10.0, 1000.0, 5.0, 1.0, 0.5, 0.0) == (math.inf, 0.0, 5.0)


def test_many_items_at_once() -> None:
    quantity, cost = eoq([100.0, 400.0], 10.0, 2.0)
    assert quantity[1] == pytest.approx(2 * quantity[0])
    assert cost.shape == (2,)


def test_bad_inputs_are_refused() -> None:
    for breaks, prices in [([0, 5], [1.0]), ([1, 5], [2.0, 1.0]), ([0, 5], [1.0, 2.0]), ([0, 0], [2.0, 1.0]), ([], [])]:
        with pytest.raises(InvalidSettings, match="price_breaks start at 0"):
            eoq_all_units_discount(100, 10, 0.2, breaks, prices)
    with pytest.raises(InvalidSettings, match="waiting_share"):
        eoq_partial_backorders(100, 10, 1, 1, 1, 1.5)
