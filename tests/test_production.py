"""A capacity per day delays what is on order and what is ordered next, and only delays."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hand_made import constant_sales
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import ArrayLike, NDArray

import backorder_forecast as bf
from backorder_forecast.backorders import fill_days, fill_days_behind_demand
from backorder_forecast.clock import NEVER
from backorder_forecast.production import (
    first_made_day,
    later_behind_demand,
    later_when_made,
    made_days,
    not_before,
)

Floats = NDArray[np.float64]
AS_OF = pd.Timestamp("2024-06-30")
CAPACITIES = (0.0, 0.5, 2.0, 40.0, 1e9)


def floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


# --- open orders


@settings(max_examples=60)
@given(
    ages=st.lists(st.integers(0, 60), min_size=1, max_size=6), quantity=st.integers(1, 50), capacity=st.floats(0.2, 30),
)  # fmt: skip
def test_nothing_is_made_faster_than_the_capacity_and_nothing_waits_for_nothing(
    ages: list[int], quantity: int, capacity: float
) -> None:
    placed = -np.sort(ages)[::-1].astype(np.float64)
    item, units = np.zeros(len(ages), dtype=np.int64), np.full(len(ages), float(quantity))
    made, free = made_days(floats([capacity]), item, (-placed).astype(np.int64), units)
    # Between any order and the end of any later one there is time to make all that lies between.
    for j in range(len(ages)):
        for k in range(j, len(ages)):
            assert made[k] >= placed[j] + quantity * (k - j + 1) / capacity - 1e-9
    # The plant rests only while nothing is ordered.
    begin = made - quantity / capacity
    before = np.append(-np.inf, made[:-1])
    assert np.allclose(begin, np.maximum(placed, before))
    assert free[0] == made[-1]


def test_the_limits_nothing_made_and_no_limit() -> None:
    lines = np.array([0, 1, 2]), np.array([5, 5, 5]), floats([10, 10, 10])
    made, free = made_days(floats([np.nan, np.inf, 0.0]), *lines)
    assert made.tolist() == free.tolist() == [-np.inf, -np.inf, np.inf]
    assert first_made_day(floats([np.nan, np.inf, 0.0]), free).tolist() == [0, 0, NEVER]
    days = np.array([[3], [4], [5]], dtype=np.int32)
    assert not_before(days, made).ravel().tolist() == [3, 4, NEVER]
    assert first_made_day(floats([0.25]), floats([2.0])).tolist() == [6]


# --- orders not placed yet


@settings(max_examples=150, deadline=None)
@given(
    need=arrays(np.float64, 3, elements=st.integers(1, 60).map(float)), usable=st.integers(0, 10),
    arrivals=arrays(np.int32, (2, 4), elements=st.one_of(st.integers(1, 50), st.just(int(NEVER)))),
    quantity=arrays(np.float64, 2, elements=st.integers(1, 20).map(float)), placed=st.integers(0, 7),
    lead=st.integers(1, 20), capacity=st.sampled_from([0.5, 1.0, 3.0, 25.0]),
)  # fmt: skip
def test_fill_days_are_those_of_a_diary(
    need: Floats, usable: int, arrivals: NDArray[np.int32], quantity: Floats, placed: int, lead: int, capacity: float
) -> None:
    pointers, orders = np.array([0, 3]), np.array([0, 2])
    following = np.full((1, 4), placed + lead, dtype=np.int32)
    supply = (np.array([float(usable)]), arrivals, quantity, orders, following)
    _, plain = fill_days(need, need, pointers, *supply)
    begin = np.full((1, 4), float(placed))
    found = later_when_made(plain, need, pointers, *supply, begin, floats([capacity]))
    for k in range(3):
        for p in range(4):
            for day in range(400):
                made = capacity * (day - placed) if day >= placed + lead else 0.0
                if usable + quantity[arrivals[:, p] <= day].sum() + made >= need[k] - 1e-9:
                    break
            assert found[k, p] == day
    unlimited = later_when_made(plain, need, pointers, *supply, begin, floats([np.nan]))
    np.testing.assert_array_equal(unlimited, plain)
    np.testing.assert_array_equal(later_when_made(plain, need, pointers, *supply, begin, floats([np.inf])), plain)
    assert (found >= plain).all()


@settings(max_examples=60, deadline=None)
@given(
    need=arrays(np.float64, 2, elements=st.integers(1, 40).map(float)), capacity=st.sampled_from([0.5, 2.0, 8.0]),
    demand=arrays(np.float64, (1, 3, 12), elements=st.integers(0, 3).map(float)),
    receipts=arrays(np.float64, (1, 3, 12), elements=st.integers(0, 4).map(float)),
)  # fmt: skip
def test_where_new_demand_overtakes_it_takes_what_is_made_too(
    need: Floats, capacity: float, demand: Floats, receipts: Floats
) -> None:
    ends, after, pointers = np.arange(1, 13), np.full((1, 3), 5, dtype=np.int32), np.array([0, 2])
    rows = (pointers, floats([2.0]), demand, receipts, ends, after)
    _, plain = fill_days_behind_demand(need, need, *rows)
    made = (np.zeros((1, 3)), floats([capacity]), np.array([12]))
    found = later_behind_demand(plain, need, *rows, *made)
    for k in range(2):
        for p in range(3):
            net, diary = 2.0, None
            for day in range(1, 200):
                net += (receipts[0, p, day - 1] - demand[0, p, day - 1]) if day <= 12 else 0.0
                best = net + (capacity * day if day >= 5 else 0.0)
                if best >= need[k] - 1e-9 and diary is None and (day >= 5 or plain[k, p] < 5):
                    diary = day
            assert found[k, p] == (plain[k, p] if plain[k, p] < 5 else diary)


# --- in a plan


@cache
def planned(capacity: float | None, *, overtakes: bool = False, waiting: bool = True) -> bf.Plan:
    ago = AS_OF - pd.to_timedelta([30, 28, 26, 24, 22, 20, 8, 5], unit="D")
    orders = pd.DataFrame({"supplier": "plant", "sku": "A", "order_date": ago, "quantity_ordered": 20.0})
    orders["po_id"] = [f"P{k}" for k in range(8)]
    orders["received_date"] = (orders["order_date"] + pd.Timedelta(days=10)).where(orders.index < 6)
    lines = pd.DataFrame(
        {"order_id": ["b1", "b2", "b3"], "sku": "A", "order_date": AS_OF, "quantity": [5.0, 30.0, 60.0]}
    )
    tables = {
        "sales": constant_sales("A", "2024-01-01", "2024-06-30"), "purchase_orders": orders, "backorders": lines,
        "inventory": pd.DataFrame({"sku": ["A"], "date": AS_OF, "on_hand": [4.0]}),
        "products": pd.DataFrame({"sku": ["A"], "daily_capacity": [capacity], "price": [3.0]}),
    }  # fmt: skip
    if not waiting:
        del tables["backorders"]
    options = bf.Settings(
        n_paths=200, horizon_days=60, workers=1, global_model=False, learned_flag=False, new_demand_overtakes=overtakes
    )
    return bf.make_plan(bf.read_tables(tables, as_of=AS_OF), options)


def test_more_capacity_never_raises_a_risk() -> None:
    plans = [planned(c, waiting=False).stockouts.iloc[0] for c in (*CAPACITIES, None)]
    for before, after in pairwise(plans):
        for column in (
            "p_stockout",
            "p_stockout_14",
            "p_stockout_30",
            "expected_short_units",
            "p_unmet_before_arrival",
        ):
            assert after[column] <= before[column] + 1e-12
    assert plans[2]["expected_short_units"] > plans[-1]["expected_short_units"] + 1


@pytest.mark.parametrize("overtakes", [False, True])
def test_more_capacity_never_delays_a_line(overtakes: bool) -> None:
    plans = [planned(c, overtakes=overtakes).fill_dates.set_index("order_id").sort_index() for c in (*CAPACITIES, None)]
    for less, more in pairwise(plans):
        for column in ("fill_date_0.5", "fill_date_0.9", "promise_date"):
            dates = [frame[column].fillna(pd.Timestamp("2100-01-01")) for frame in (less, more)]
            assert (dates[1] <= dates[0]).all()
    assert plans[2]["fill_date_0.5"].max() > plans[-1]["fill_date_0.5"].max()


def test_a_capacity_without_bound_is_none() -> None:
    for name in ("stockouts", "fill_dates", "reorders"):
        pd.testing.assert_frame_equal(planned(1e9).frames[name], planned(None).frames[name])


def test_a_need_of_the_next_order_waits_for_its_units_to_be_made() -> None:
    # 95 units wait, 4 are there, 40 on order at half a unit a day are made by day 72; the last 51 take 102 days more.
    plan = planned(0.5)
    days = (plan.fill_dates.set_index("order_id")["fill_date_0.5"] - AS_OF).dt.days
    assert days["b3"] == 174
    assert days["b1"] >= 32


def test_an_order_is_no_larger_than_what_is_made_until_the_next() -> None:
    assert planned(2.0).reorders["order_quantity"].iloc[0] == 14
    assert planned(None).reorders["order_quantity"].iloc[0] > 14
    assert "capacity" in planned(2.0).reorders["reason"].iloc[0]


def test_a_plant_that_makes_nothing_is_told() -> None:
    plan = planned(0.0)
    assert plan.fill_dates.set_index("order_id").loc["b3", "source"] == "no supply in sight"
    assert any("daily_capacity of 0" in note for note in plan.notes)
