from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.lot_sizes import eoq, eoq_backorders
from backorder_forecast.newsvendor import newsvendor_normal, newsvendor_poisson
from backorder_forecast.policies import (
    base_stock_fill_rate,
    base_stock_for_fill_rate,
    base_stock_normal,
    base_stock_wait_probability,
    fill_rate_from_lot,
    round_to_pack,
    rq_eil_approximation,
    rq_normal_cost,
    rq_normal_reorder_point,
    rq_poisson_cost,
    rq_poisson_exact,
    safety_stock,
    safety_stock_for_fill_rate,
)

KNOWN: dict[str, Any] = json.loads((Path(__file__).parent / "known_answers" / "policies.json").read_text())


def test_safety_stock_known_answer() -> None:
    case = KNOWN["chopra_dell_ss"]
    demand, sd, lead, lead_sd, level = (case["inputs"][k] for k in ("D", "sD", "L", "sL", "csl"))
    spread, stock = safety_stock(demand, sd, lead, [lead_sd, 0.0], level)
    assert spread[0] == pytest.approx(case["expected"]["sd"], abs=case["abs_tolerance"])
    expected = [case["expected"]["ss"], case["expected"]["ss_sL0"]]
    assert stock.tolist() == pytest.approx(expected, abs=case["abs_tolerance"])


def test_base_stock_known_answer() -> None:
    case = KNOWN["base_stock_4_4"]
    mean, sd, lead, holding, wait = (case["inputs"][k] for k in ("mean", "sd", "L", "h", "p"))
    level, cost = base_stock_normal(mean, sd, lead, 1, holding, wait)
    assert {"S": float(level), "cost": float(cost)} == pytest.approx(case["expected"], abs=case["abs_tolerance"])


def test_rq_eil_known_answer() -> None:
    case = KNOWN["rq_eil_5_2"]
    found = rq_eil_approximation(*(case["inputs"][k] for k in ("D", "sd", "L", "K", "h", "p")))
    assert dict(zip("rQ", found, strict=False)) | {"cost": found[2]} == pytest.approx(
        case["expected"], abs=case["abs_tolerance"]
    )


def test_rq_poisson_known_answer() -> None:
    case = KNOWN["rq_poisson_5_8"]
    point, quantity, cost = rq_poisson_exact(*(case["inputs"][k] for k in ("lam", "L", "K", "h", "p")))
    assert (point, quantity) == (case["expected"]["r"], case["expected"]["Q"])
    assert cost == pytest.approx(case["expected"]["cost"], abs=case["abs_tolerance"])


def test_fill_rate_known_answer() -> None:
    case = KNOWN["fill_rate_palm"]
    lot, lead, mean, sd, point = (case["inputs"][k] for k in ("Q", "L", "mean", "sd", "rop"))
    short, filled = fill_rate_from_lot(lot, point, lead * mean, sd * lead**0.5)
    assert float(short) == pytest.approx(case["expected"]["esc"], abs=case["abs_tolerance"])
    assert float(filled) == pytest.approx(case["expected"]["fr"], abs=1e-6)
    stock = safety_stock_for_fill_rate(lot, sd * lead**0.5, 0.975)
    assert stock == pytest.approx(case["expected"]["ss_975"], abs=case["abs_tolerance"])
    assert float(fill_rate_from_lot(lot, lead * mean + stock, lead * mean, sd * lead**0.5)[1]) == pytest.approx(0.975)


def test_base_stock_fill_rate_known_answer() -> None:
    case = KNOWN["s_1s_poisson_fill"]
    mean, target = case["inputs"]["mean"], case["inputs"]["target"]
    level = float(base_stock_for_fill_rate(mean, target))
    assert level == case["expected"]["S"]
    expected = [case["expected"]["fr6"], case["expected"]["fr7"]]
    assert base_stock_fill_rate([6, 7], mean).tolist() == pytest.approx(expected, abs=case["abs_tolerance"])


def test_base_stock_wait_known_answer() -> None:
    case = KNOWN["base_stock_wait_poisson"]
    stock, rate, lead = (case["inputs"][k] for k in ("S", "lam", "L"))
    waits = base_stock_wait_probability([0, 2, 3, 4, 9], stock, rate, lead)
    expected = [case["expected"]["w0"], case["expected"]["w2"], case["expected"]["w3"], 1.0, 1.0]
    assert waits.tolist() == pytest.approx(expected, abs=case["abs_tolerance"])
    assert float(base_stock_fill_rate(stock, rate * lead)) == pytest.approx(waits[0])


def test_packs_known_answer() -> None:
    case = KNOWN["moq_pack"]
    found = round_to_pack(case["inputs"]["need"], moq=case["inputs"]["moq"], pack=case["inputs"]["pack"])
    assert found.tolist() == case["expected"]


@pytest.mark.parametrize("record", KNOWN["stockpyl"]["records"])
def test_stockpyl(record: dict[str, Any]) -> None:
    g, function = record["inputs"], record["function"]
    demand, lead, holding, wait = g["demand_mean"], g["lead_time"], g["holding_cost"], g["stockout_cost"]
    order, sd = g.get("fixed_cost"), g.get("demand_sd")
    found: Any
    if function == "r_q_cost":
        found = rq_normal_cost(g["reorder_point"], g["order_quantity"], demand, sd, lead, order, holding, wait)
    elif function == "r_q_optimal_r_for_q":
        found = rq_normal_reorder_point(g["order_quantity"], demand, sd, lead, holding, wait)
    elif function == "r_q_eil_approximation":
        found = rq_eil_approximation(demand, sd, lead, order, holding, wait)
    elif function == "r_q_eoqb_approximation":
        quantity = float(eoq_backorders(demand, order, holding, wait)[0])
        found = (rq_normal_reorder_point(quantity, demand, sd, lead, holding, wait), quantity)
    elif function == "r_q_eoqss_approximation":
        quantity = float(eoq(demand, order, holding)[0])
        found = (float(newsvendor_normal(demand * lead, sd * lead**0.5, holding, wait)[0]), quantity)
    elif function == "r_q_cost_poisson":
        found = rq_poisson_cost(g["reorder_point"], g["order_quantity"], demand, lead, order, holding, wait)
    else:
        found = rq_poisson_exact(demand, lead, order, holding, wait)
    assert found == pytest.approx(record["expected"], rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    rate=st.floats(0.1, 8.0),
    lead=st.floats(0.2, 4.0),
    order=st.floats(0.5, 200.0),
    holding=st.floats(0.2, 20.0),
    wait=st.floats(0.2, 200.0),
)
def test_exact_rq_is_the_least_of_its_neighbourhood(
    rate: float, lead: float, order: float, holding: float, wait: float
) -> None:
    point, quantity, cost = rq_poisson_exact(rate, lead, order, holding, wait)
    assert cost == pytest.approx(rq_poisson_cost(point, quantity, rate, lead, order, holding, wait))
    for r in range(point - 3, point + 4):
        for q in range(max(quantity - 3, 1), quantity + 4):
            assert rq_poisson_cost(r, q, rate, lead, order, holding, wait) >= cost * (1 - 1e-9)


@settings(max_examples=40, deadline=None)
@given(quantity=st.floats(1.0, 500.0), sd=st.floats(1.0, 60.0), step=st.floats(-40, 40))
def test_normal_reorder_point_is_the_best_for_its_quantity(quantity: float, sd: float, step: float) -> None:
    point = rq_normal_reorder_point(quantity, 100.0, sd, 0.5, 1.0, 9.0)
    least = rq_normal_cost(point, quantity, 100.0, sd, 0.5, 20.0, 1.0, 9.0)
    assert rq_normal_cost(point + step, quantity, 100.0, sd, 0.5, 20.0, 1.0, 9.0) >= least * (1 - 1e-9)


def test_normal_cost_is_the_mean_newsvendor_cost_over_the_positions() -> None:
    positions = np.linspace(60.0, 260.0, 20_001)
    running = newsvendor_normal(108.0, 25.0 * 1.5**0.5, 0.2, 3.0, level=positions)[1].mean()
    exact = rq_normal_cost(60.0, 200.0, 72.0, 25.0, 1.5, 8.0, 0.2, 3.0)
    assert exact == pytest.approx(float(running) + 8.0 * 72.0 / 200.0, rel=1e-4)


def test_poisson_policy_in_a_simulated_shop_costs_what_is_stated() -> None:
    rate, lead, holding, wait = 1.5, 2.0, 20.0, 150.0
    rng = np.random.default_rng(9)
    # the position is uniform over r + 1 ... r + Q and independent of lead-time demand
    position = rng.integers(4, 9, 400_000)
    level = position - rng.poisson(rate * lead, 400_000)
    simulated = 100.0 * rate / 5 + (holding * np.maximum(level, 0) + wait * np.maximum(-level, 0)).mean()
    assert rq_poisson_cost(3, 5, rate, lead, 100.0, holding, wait) == pytest.approx(simulated, rel=0.01)
    expected = float(newsvendor_poisson(3.0, holding, wait, level=np.arange(4, 9))[1].mean()) + 30.0
    assert rq_poisson_cost(3, 5, rate, lead, 100.0, holding, wait) == pytest.approx(expected)


@settings(max_examples=100, deadline=None)
@given(need=st.floats(-20, 500), moq=st.floats(0, 100), pack=st.integers(1, 50))
def test_packs_cover_need_and_minimum_without_a_spare_pack(need: float, moq: float, pack: int) -> None:
    quantity = float(round_to_pack(need, moq=moq, pack=pack))
    if need <= 0:
        assert quantity == 0.0
        return
    assert quantity / pack == pytest.approx(round(quantity / pack))
    assert quantity >= max(need, moq) - 1e-6
    assert quantity - pack < max(need, moq)


def test_packs_with_nothing_stated() -> None:
    assert round_to_pack([2.3, 0.0], moq=np.nan, pack=np.nan).tolist() == [2.3, 0.0]
    assert round_to_pack([2.3, 7.0], moq=[np.nan, 9.0], pack=[1.0, 0.0]).tolist() == [3.0, 9.0]
    assert float(round_to_pack(0.1 + 0.2, moq=0, pack=0.1)) == pytest.approx(0.3)


def test_waits_in_a_simulated_one_for_one_shop() -> None:
    rng = np.random.default_rng(12)
    arrivals = np.cumsum(rng.exponential(1.0, 200_000))
    stock, lead = 3, 4.0
    # each sale takes the unit ordered `stock` sales before it
    wait = np.maximum(arrivals[:-stock] + lead - arrivals[stock:], 0.0)
    for limit in (0.0, 1.0, 2.5):
        expected = float(base_stock_wait_probability(limit, stock, 1.0, lead))
        assert (wait <= limit).mean() == pytest.approx(expected, abs=0.01)


def test_bad_inputs_are_refused() -> None:
    with pytest.raises(InvalidSettings, match="fill_rate lies strictly"):
        safety_stock_for_fill_rate(100.0, 10.0, 1.0)
    with pytest.raises(InvalidSettings, match="no reorder point is optimal"):
        rq_eil_approximation(10.0, 3.0, 1.0, 100.0, 5.0, 0.1)
