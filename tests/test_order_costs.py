from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hand_made import skus
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from backorder_forecast.budgets import within_limit
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.order_costs import fill_rate_orders, least_cost_orders, saving_curves
from backorder_forecast.paths import SamplePaths
from backorder_forecast.reorders import recommend_orders
from backorder_forecast.settings import Settings

Floats = NDArray[np.float64]
WEEKS = pd.date_range("2024-07-01", periods=8, freq="W-MON")
BY_COST = Settings(order_target="cost", unmet="lost")


def forecast_of(values: Floats) -> SamplePaths:
    return SamplePaths.from_array(values, skus(len(values)), WEEKS[: values.shape[2]])


def no_stock(n: int) -> pd.Series:
    return pd.Series(0.0, index=skus(n))


def poisson(n: int, mean: float, seed: int = 0) -> SamplePaths:
    return forecast_of(np.random.default_rng(seed).poisson(mean, (n, 300, 8)).astype(float))


def total_cost(quantity: float, need: Floats, later: Floats, p: float, h: float, share: float) -> float:
    """The definition, unit by unit: short units, units left at the first review, units left at later ones."""
    short = np.maximum(need - quantity, 0.0)
    left = np.maximum(quantity - need, 0.0)
    lasting = np.maximum(quantity - later, 0.0).sum(axis=1)
    return float((p * short + h * left + share * h * lasting).mean())


# --- the least-cost quantity


@settings(max_examples=60)
@given(
    need=arrays(np.float64, 12, elements=st.integers(0, 9).map(float)),
    grow=arrays(np.float64, (12, 3), elements=st.integers(0, 4).map(float)),
    p=st.floats(0.2, 9.0), h=st.floats(0.05, 3.0), share=st.sampled_from([0.0, 0.25, 1.0]),
    pack=st.sampled_from([1.0, 3.0]), moq=st.sampled_from([0.0, 5.0]),
)  # fmt: skip
def test_no_other_order_of_full_packs_costs_less(
    need: Floats, grow: Floats, p: float, h: float, share: float, pack: float, moq: float
) -> None:
    later = need[:, None] + np.cumsum(grow, axis=1)
    quantity, saving = least_cost_orders(
        need[None], later[None], shortage_cost=p, holding_cost=h, surplus_share=share, moq=moq, pack=pack
    )
    allowed = [0.0, *(q for q in pack * np.arange(1, 20) if q >= moq)]
    costs = [total_cost(q, need, later, p, h, share) for q in allowed]
    assert quantity[0] in allowed
    assert total_cost(quantity[0], need, later, p, h, share) == pytest.approx(min(costs), abs=1e-9)
    assert saving[0] == pytest.approx(costs[0] - min(costs), abs=1e-9)
    curve = saving_curves(
        need[None], later[None], np.array([allowed]), shortage_cost=p, holding_cost=h, surplus_share=share
    )
    np.testing.assert_allclose(curve[0], costs[0] - np.array(costs), atol=1e-9)


def test_without_later_holding_it_is_the_newsvendor_quantile() -> None:
    paths = poisson(20, 6.0)
    items = pd.DataFrame({"sku": skus(20), "shortage_cost": 1.0, "holding_cost": 0.2})
    orders = recommend_orders(
        paths, on_hand=no_stock(20), lead_time=1, items=items, settings=BY_COST.replace(surplus_share=0.0)
    )
    expected = np.sort(paths.draw()[:, :, 0], axis=1)[:, int(np.ceil(300 / 1.2)) - 1]
    assert orders["order_quantity"].tolist() == expected.tolist()
    assert set(orders["basis"]) == {"cost"}
    assert orders["target"].tolist() == pytest.approx([1 / 1.2] * 20)


def test_a_surplus_that_lasts_makes_smaller_orders_of_slow_items_only() -> None:
    items = pd.DataFrame({"sku": skus(30), "shortage_cost": 1.0, "holding_cost": 0.2})
    ordered = {}
    for mean in (0.4, 20.0):
        for share in (0.0, 1.0):
            frame = recommend_orders(
                poisson(30, mean), on_hand=no_stock(30), lead_time=1, items=items,
                settings=BY_COST.replace(surplus_share=share),
            )  # fmt: skip
            ordered[mean, share] = float(frame["order_quantity"].sum())
    assert ordered[0.4, 1.0] < 0.5 * ordered[0.4, 0.0]
    assert ordered[20.0, 1.0] > 0.9 * ordered[20.0, 0.0]


@settings(max_examples=25)
@given(
    demand=arrays(np.float64, (2, 8, 6), elements=st.integers(0, 6).map(float)), more=st.integers(1, 9),
    unmet=st.sampled_from(["lost", "backorder", "partial"]),
)  # fmt: skip
def test_by_cost_more_stock_never_makes_a_larger_order(demand: Floats, more: int, unmet: str) -> None:
    items = pd.DataFrame({"sku": skus(2), "shortage_cost": [1.0, 5.0], "holding_cost": 0.2})
    chosen = BY_COST.replace(unmet=unmet)
    quantity = [
        recommend_orders(
            forecast_of(demand), on_hand=pd.Series([float(s), float(s)], index=skus(2)), lead_time=2, items=items,
            settings=chosen,
        )["order_quantity"]
        for s in (1, 1 + more)
    ]  # fmt: skip
    assert (quantity[1] <= quantity[0]).all()
    none = recommend_orders(
        forecast_of(0 * demand), on_hand=no_stock(2), lead_time=2, items=items.assign(moq=5.0), settings=chosen
    )
    assert none["order_quantity"].tolist() == [0, 0]


# --- fill rate


@settings(max_examples=40)
@given(
    need=arrays(np.float64, 10, elements=st.integers(0, 9).map(float)), wanted=st.floats(0.5, 9.0),
    rate=st.floats(0.5, 0.99),
)  # fmt: skip
def test_a_fill_rate_is_kept_and_by_no_more_than_it_takes(need: Floats, wanted: float, rate: float) -> None:
    quantity = fill_rate_orders(need[None], np.array([wanted]), rate)[0]

    def short(q: float) -> float:
        return float(np.maximum(need - q, 0.0).mean())

    assert short(quantity) <= (1 - rate) * wanted + 1e-9
    if quantity > 0:
        assert short(quantity - 1e-3) > (1 - rate) * wanted


def test_orders_by_fill_rate_need_less_stock_than_the_same_cycle_service() -> None:
    paths, stock = poisson(10, 8.0), no_stock(10)
    filled, cycle = (
        recommend_orders(paths, on_hand=stock, settings=Settings(order_target=target, service_level=0.95))
        for target in ("fill_rate", "service_level")
    )
    assert set(filled["basis"]) == {"fill_rate"}
    assert set(cycle["basis"]) == {"service_level"}
    assert (filled["order_quantity"] < cycle["order_quantity"]).all()


# --- limits over all items


@settings(max_examples=40)
@given(
    saving=arrays(np.float64, (4, 5), elements=st.floats(0, 9)), use=arrays(np.float64, 4, elements=st.floats(0.1, 5)),
    limit=st.floats(0, 40),
)  # fmt: skip
def test_a_limit_is_never_exceeded_and_half_the_best_at_least_is_found(
    saving: Floats, use: Floats, limit: float
) -> None:
    gains = -np.sort(-saving, axis=1)
    curve = np.concatenate([np.zeros((4, 1)), np.cumsum(gains, axis=1)], axis=1)
    candidates = np.tile(np.arange(6.0), (4, 1))
    quantity, price = within_limit(candidates, curve, use, limit)
    assert (quantity * use).sum() <= limit + 1e-9
    got = curve[np.arange(4), quantity.astype(int)].sum()
    if price == 0.0:
        assert got == pytest.approx(curve[:, -1].sum())
    steps = np.argsort(-(gains / use[:, None]).ravel(), kind="stable")
    room, best = limit, 0.0
    for step in steps:  # the same with fractions of a unit is never worse
        part = min(room / use[step // 5], 1.0)
        best += part * gains.ravel()[step]
        room -= part * use[step // 5]
    assert got <= best + 1e-6
    assert got >= best - gains.max(initial=0.0) - 1e-6


@pytest.mark.parametrize("target", ["cost", "service_level", "fill_rate"])
def test_budget_and_capacity_bind_with_packs_and_minimum(target: str) -> None:
    n = 12
    items = pd.DataFrame(
        {"sku": skus(n), "unit_cost": np.arange(1.0, n + 1), "price": np.arange(1.0, n + 1) * 2, "pack_size": 4.0,
         "moq": 6.0, "holding_cost_rate": 1.0}
    )  # fmt: skip
    options: dict[str, Any] = {"on_hand": no_stock(n), "lead_time": 2, "items": items}
    chosen = Settings(order_target=target)
    free = recommend_orders(poisson(n, 9.0), **options, settings=chosen)
    spent = float(free["cost"].sum())
    for share in (0.0, 0.3, 0.8):
        tight = recommend_orders(poisson(n, 9.0), **options, settings=chosen, budget=share * spent)
        assert tight["cost"].sum() <= share * spent
        assert tight["cost"].sum() >= share * spent - 4 * 12 - 1e-9 or share == 0.0, "what is left buys no pack"
        assert (tight["order_quantity"] % 4 == 0).all()
        assert ((tight["order_quantity"] == 0) | (tight["order_quantity"] >= 6)).all()
        assert (tight["remark"] != "").sum() == (tight["order_quantity"] < free["order_quantity"]).sum() > 0
    room = recommend_orders(poisson(n, 9.0), **options, settings=chosen, budget=0.8 * spent, capacity=90)
    assert room["order_quantity"].sum() <= 90
    assert room["cost"].sum() <= 0.8 * spent
    plenty = recommend_orders(poisson(n, 9.0), **options, settings=chosen, budget=spent, capacity=1e9)
    pd.testing.assert_series_equal(plenty["order_quantity"], free["order_quantity"])


def test_an_items_own_daily_capacity_is_never_exceeded() -> None:
    items = pd.DataFrame(
        {"sku": skus(3), "daily_capacity": [1.0, 1.0, np.nan], "pack_size": 2.0, "moq": [0.0, 8.0, 0.0]}
    )
    orders = recommend_orders(poisson(3, 30.0), on_hand=no_stock(3), items=items)
    assert orders["order_quantity"].tolist()[:2] == [6.0, 0.0], "seven days, full packs; below the minimum nothing"
    assert orders["order_quantity"][2] > 30
    assert orders["remark"].tolist() == ["less than wanted: its capacity until the next review"] * 2 + [""]
    # A budget that leaves room for all of it changes nothing, also where the capacity is no round part of the need.
    rich = recommend_orders(
        poisson(3, 30.0), on_hand=no_stock(3), items=items.assign(unit_cost=1.0), budget=1e9, capacity=1e9
    )
    assert rich["order_quantity"].tolist() == orders["order_quantity"].tolist()


# --- bad input


def test_odd_terms_are_said_and_counted() -> None:
    items = pd.DataFrame(
        {"sku": skus(5), "unit_cost": [1.0, np.nan, 5.0, 1.0, 1.0], "price": [2.0, 2.0, 4.0, 2.0, 2.0],
         "pack_size": [1.0, 1.0, 1.0, 0.0, 1.0], "moq": [1.0, 1.0, 1.0, 1.0, 90_000.0],
         "supplier": ["s", "s", "s", "", "s"]}
    )  # fmt: skip
    orders = recommend_orders(
        poisson(5, 9.0), on_hand=no_stock(5), items=items, settings=Settings(order_target="service_level")
    )
    assert orders["remark"].tolist() == [
        "", "", "", "pack_size of 0 or less taken as 1; no supplier", "moq above a year's demand",
    ]  # fmt: skip
    by_cost = recommend_orders(poisson(5, 9.0), on_hand=no_stock(5), items=items, settings=BY_COST)
    assert by_cost["basis"].tolist() == ["cost", "service_level", "service_level", "cost", "cost"]
    assert by_cost["remark"].tolist()[1:3] == [
        "no unit_cost or price: service level instead", "price does not exceed unit_cost: service level instead",
    ]  # fmt: skip
    assert by_cost["order_quantity"][4] == 0, "a minimum of years of demand costs more than it saves"


def test_an_order_below_its_suppliers_minimum_is_raised_or_waits_and_says_so() -> None:
    items = pd.DataFrame(
        {
            "sku": skus(4),
            "supplier": ["s", "s", "t", ""],
            "unit_cost": 2.0,
            "supplier_minimum": [90.0, 90.0, 20.0, 99.0],
        }
    )
    stock = pd.Series([0.0, 99.0, 0.0, 0.0], index=skus(4))
    orders = recommend_orders(poisson(4, 9.0), on_hand=stock, items=items)
    of_s = orders["cost"][:2].sum()
    assert of_s == 0 or of_s >= 90.0
    assert orders["remark"][:2].str.contains("minimum").any()
    free = recommend_orders(poisson(4, 9.0), on_hand=stock, items=items.drop(columns="supplier_minimum"))
    assert orders["order_quantity"].tolist()[2:] == free["order_quantity"].tolist()[2:], "reached, or no supplier"
    assert orders["remark"].tolist()[2:] == free["remark"].tolist()[2:]


def test_a_budget_among_goods_of_unknown_cost_is_refused() -> None:
    items = pd.DataFrame({"sku": skus(2), "unit_cost": [1.0, np.nan]})
    with pytest.raises(InvalidSettings, match="1 of 2 items to order have no unit_cost"):
        recommend_orders(poisson(2, 5.0), on_hand=no_stock(2), items=items, budget=20.0)
    with pytest.raises(InvalidSettings, match="a limit on all orders is 0 or more, got -1"):
        recommend_orders(poisson(2, 5.0), on_hand=no_stock(2), capacity=-1)


def test_each_item_may_have_its_own_lead_time() -> None:
    paths = forecast_of(np.full((3, 20, 8), 2.0))
    lead = pd.Series([1, 3, 6], index=skus(3))
    orders = recommend_orders(paths, on_hand=no_stock(3), lead_time=lead)
    assert orders["order_quantity"].tolist() == [2, 6, 12]
    assert orders["arrival_0.5"].tolist() == list(WEEKS[[0, 2, 5]])
    with pytest.raises(InvalidSettings, match=r"lead_time is a whole number of periods, got 2\.5 for S001"):
        recommend_orders(paths, on_hand=no_stock(3), lead_time=pd.Series([1, 2.5, 3], index=skus(3)))
    with pytest.raises(InvalidSettings, match="it has 8 periods"):
        recommend_orders(paths, on_hand=no_stock(3), lead_time=pd.Series([1, 2, 9], index=skus(3)))


def test_a_lead_time_beyond_the_longest_is_said() -> None:
    orders = recommend_orders(
        poisson(1, 9.0), on_hand=no_stock(1), lead_time=3, settings=Settings(max_lead_time_days=14)
    )
    assert orders["arrival_0.5"].isna().all()
    assert orders["remark"].tolist() == ["may take over 14 days: raise max_lead_time_days"]
