from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.newsvendor import (
    budget_newsvendor,
    newsvendor_discrete,
    newsvendor_normal,
    newsvendor_poisson,
    normal_shortage,
)

KNOWN: dict[str, Any] = json.loads((Path(__file__).parent / "known_answers" / "newsvendor.json").read_text())
costs = st.floats(0.01, 100.0)


@pytest.mark.parametrize("name", ["newsvendor_4_3", "newsvendor_poisson", "newsvendor_poisson6"])
def test_known_answers(name: str) -> None:
    case = KNOWN[name]
    given_ = case["inputs"]
    if "sd" in given_:
        level, cost = newsvendor_normal(given_["mean"], given_["sd"], given_["h"], given_["p"])
    else:
        level, cost = newsvendor_poisson(given_["mean"], given_["h"], given_["p"])
    assert {"S": float(level), "cost": float(cost)} == pytest.approx(case["expected"], abs=case["abs_tolerance"])


def test_budget_known_answer() -> None:
    case = KNOWN["budget_newsvendor"]
    mean, sd, under, cost = np.array(case["inputs"]["items"], dtype=float).T
    quantity, value = budget_newsvendor(mean, sd, 0.25 * cost, under, cost, case["inputs"]["budget"])
    assert value == pytest.approx(case["expected"]["lmbda"], abs=case["abs_tolerance"])
    assert quantity.tolist() == pytest.approx(case["expected"]["q"], abs=case["abs_tolerance"])
    assert float((quantity * cost).sum()) == pytest.approx(case["inputs"]["budget"])


@pytest.mark.parametrize("record", KNOWN["stockpyl"]["records"])
def test_stockpyl(record: dict[str, Any]) -> None:
    given_, function, expected = record["inputs"], record["function"], record["expected"]
    if function.endswith("normal_loss"):
        level, mean, sd = given_.get("x", given_.get("z")), given_.get("mean", 0.0), given_.get("sd", 1.0)
        short = float(normal_shortage(level, mean, sd))
        assert [short, level - mean + short] == pytest.approx(expected, rel=1e-7, abs=1e-9)
        return
    over, under = given_["holding_cost"], given_["stockout_cost"]
    profit = 0.0
    if function.endswith("explicit"):
        over += given_["purchase_cost"] - given_["salvage_value"]
        under += given_["revenue"] - given_["purchase_cost"]
        profit = (given_["revenue"] - given_["purchase_cost"]) * given_["demand_mean"]
    level, periods = given_.get("base_stock_level"), given_.get("lead_time", 0) + 1
    found: tuple[Any, Any]
    if function.startswith("newsvendor_normal"):
        mean, sd = given_["demand_mean"] * periods, given_["demand_sd"] * periods**0.5
        found = newsvendor_normal(mean, sd, over, under, level=level)
    elif function.startswith("newsvendor_poisson"):
        found = newsvendor_poisson(given_["demand_mean"] * periods, over, under, level=level)
    else:
        if given_.get("demand_pmf") is not None:
            values = [float(v) for v in given_["demand_pmf"]]
            weights = list(given_["demand_pmf"].values())
        else:
            values = list(range(200))
            weights = [float(stats.poisson.pmf(v, *given_["demand_distrib"]["args"])) for v in values]
        found = newsvendor_discrete(values, weights, over, under, level=level)
    if function.endswith("cost"):
        assert float(found[1]) == pytest.approx(expected, rel=1e-7)
        return
    cost = float(found[1])
    result = [float(found[0]), profit - cost if function.endswith("explicit") else cost]
    assert result == pytest.approx(expected, rel=1e-6)


@settings(max_examples=80, deadline=None)
@given(mean=st.floats(0.1, 200.0), sd=st.floats(0.1, 50.0), over=costs, under=costs, step=st.floats(-30, 30))
def test_no_other_level_costs_less(mean: float, sd: float, over: float, under: float, step: float) -> None:
    level, cost = newsvendor_normal(mean, sd, over, under)
    assert float(newsvendor_normal(mean, sd, over, under, level=level + step)[1]) >= float(cost) * (1 - 1e-9)
    whole, least = newsvendor_poisson(mean, over, under)
    others = newsvendor_poisson(mean, over, under, level=np.arange(int(mean + 100)))[1]
    assert float(least) == pytest.approx(others.min(), rel=1e-9, abs=1e-12)
    assert float(whole) == np.floor(whole)


@settings(max_examples=60, deadline=None)
@given(mean=st.floats(0.1, 30.0), over=costs, under=costs)
def test_discrete_agrees_with_poisson(mean: float, over: float, under: float) -> None:
    values = np.arange(150)
    level, cost = newsvendor_discrete(values, stats.poisson.pmf(values, mean), over, under)
    exact = newsvendor_poisson(mean, over, under)
    assert cost == pytest.approx(float(exact[1]), rel=1e-6, abs=1e-9)
    assert abs(level - float(exact[0])) <= 1.0


def test_discrete_takes_sample_paths_in_any_order() -> None:
    draws = np.array([7.0, 1.0, 4.0, 4.0, 9.0])
    expected = newsvendor_discrete(np.sort(draws), np.ones(5), 1.0, 3.0)
    assert newsvendor_discrete(draws, np.full(5, 0.2), 1.0, 3.0) == expected
    assert expected[0] == 7.0


def test_normal_shortage_without_spread_is_the_plain_gap() -> None:
    assert normal_shortage([3.0, 9.0], 5.0, 0.0).tolist() == [2.0, 0.0]
    draws = np.random.default_rng(2).normal(10, 3, 400_000)
    assert float(normal_shortage(12.0, 10.0, 3.0)) == pytest.approx(np.maximum(draws - 12, 0).mean(), rel=0.02)


def test_budget_that_does_not_bind_leaves_every_item_its_own_best() -> None:
    mean, sd, over, under, cost = np.array([[10, 20], [3, 5], [1, 1], [7, 4], [2, 3]], dtype=float)
    quantity, value = budget_newsvendor(mean, sd, over, under, cost, 1000.0)
    assert value == 0.0
    assert quantity.tolist() == newsvendor_normal(mean, sd, over, under)[0].tolist()
    nothing, price = budget_newsvendor(mean, sd, over, under, cost, 0.0)
    assert nothing.tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    assert price > 0


@settings(max_examples=60, deadline=None)
@given(budget=st.floats(1.0, 120.0))
def test_a_larger_budget_is_spent_and_worth_less_at_the_margin(budget: float) -> None:
    mean, sd, under, cost = np.array([[10, 20, 5], [3, 5, 2], [7, 4, 10], [2, 3, 1]], dtype=float)
    quantity, value = budget_newsvendor(mean, sd, 0.25 * cost, under, cost, budget)
    more, cheaper = budget_newsvendor(mean, sd, 0.25 * cost, under, cost, budget + 5.0)
    assert float((quantity * cost).sum()) <= budget * (1 + 1e-9)
    assert cheaper <= value + 1e-12
    assert (more >= quantity - 1e-9).all()


def test_bad_inputs_are_refused() -> None:
    with pytest.raises(InvalidSettings, match="weights of 0 or more"):
        newsvendor_discrete([1, 2], [1.0], 1.0, 1.0)
    with pytest.raises(InvalidSettings, match="weights of 0 or more"):
        newsvendor_discrete([1, 2], [0.0, 0.0], 1.0, 1.0)
    with pytest.raises(InvalidSettings, match="budget is 0 or more"):
        budget_newsvendor([1.0], [1.0], [1.0], [1.0], [1.0], -1.0)
