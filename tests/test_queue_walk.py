"""Customers who leave the queue, against walking the days."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import backorder_forecast as bf
from backorder_forecast.backorders import fill_days
from backorder_forecast.clock import NEVER
from backorder_forecast.queues import queue_needs
from backorder_forecast.synthetic import make_world
from backorder_forecast.waits import StayLaw, draw_leave_days

AS_OF = pd.Timestamp("2024-05-05")
Orders = list[tuple[int, int]]
quantities = st.lists(st.integers(1, 9), min_size=1, max_size=6)
receipts = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 12)), min_size=0, max_size=6)


def needs(quantity: list[int], complete_only: list[bool]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    n = len(quantity)
    frame = pd.DataFrame({"item": 0, "quantity": np.asarray(quantity, float), "complete_only": complete_only})
    frame["order_id"] = [f"o{k:02d}" for k in range(n)]
    frame["order_date"] = AS_OF - pd.to_timedelta(np.arange(n)[::-1] + 1, unit="D")
    return queue_needs(frame)


def walked(
    quantity: list[int], flags: list[bool], usable: int, orders: Orders, latest: int, leave: list[int], asked: int,
) -> tuple[int, int]:  # fmt: skip
    """First and complete day of one line that stays, by serving the queue on every day on which something comes."""
    left, first, stock = list(quantity), NEVER, float(usable)
    for day in range(60):
        came = sum(q for d, q in orders if d == day) + 1e9 * (latest <= day)
        stock += came
        if day and not came:
            continue
        for k in range(len(left)):
            gone = k != asked and leave[k] < min(day, latest)
            if gone or not left[k]:
                continue
            take = min(float(left[k]), max(stock, 0.0)) if not flags[k] or stock >= left[k] else 0.0
            left[k] -= int(take)
            stock -= take
            if k == asked and take:
                first = min(first, day)
            if k == asked and not left[k]:
                return first, day
            if left[k]:
                break
    return first, NEVER


def asked_for(
    quantity: list[int], flags: list[bool], usable: int, orders: Orders, latest: int, leave: list[int] | None,
) -> list[tuple[int, int]]:  # fmt: skip
    first, complete = needs(quantity, flags)
    supply = (
        np.array([d for d, _ in orders], np.int32).reshape(-1, 1), np.array([q for _, q in orders], float),
        np.array([0, len(orders)]), np.array([[latest]], np.int32),
    )  # fmt: skip
    days = fill_days(
        first, complete, np.array([0, len(quantity)]), np.array([float(usable)]), *supply,
        leave_days=None if leave is None else np.array(leave, np.int32).reshape(-1, 1),
    )  # fmt: skip
    return list(zip(days[0][:, 0].tolist(), days[1][:, 0].tolist(), strict=True))


@settings(max_examples=300, deadline=None)
@given(quantities, receipts, st.integers(-5, 20), st.one_of(st.none(), st.integers(1, 50)), st.data())
def test_agrees_with_walking_the_days(
    quantity: list[int], orders: Orders, usable: int, latest: int | None, data: st.DataObject
) -> None:
    n = len(quantity)
    flags = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    leave = data.draw(st.lists(st.integers(1, 60), min_size=n, max_size=n))
    after = NEVER if latest is None else latest
    got = asked_for(quantity, flags, usable, orders, after, leave)
    assert got == [walked(quantity, flags, usable, orders, after, leave, k) for k in range(n)]


@settings(max_examples=150, deadline=None)
@given(quantities, receipts, st.integers(-5, 20), st.integers(1, 50), st.data())
def test_where_nobody_leaves_both_walks_agree_and_leaving_only_helps_those_behind(
    quantity: list[int], orders: Orders, usable: int, latest: int, data: st.DataObject
) -> None:
    n = len(quantity)
    flags = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    staying = asked_for(quantity, flags, usable, orders, latest, None)
    assert asked_for(quantity, flags, usable, orders, latest, [NEVER] * n) == staying
    leave = data.draw(st.lists(st.integers(1, 60), min_size=n, max_size=n))
    left = asked_for(quantity, flags, usable, orders, latest, leave)
    assert all(a <= b for some, all_ in zip(left, staying, strict=True) for a, b in zip(some, all_, strict=True))
    assert left[0] == staying[0]


@pytest.mark.parametrize("waited", [0.0, 25.0])
def test_days_of_leaving_follow_the_law_given_the_wait_so_far(waited: float) -> None:
    item, keys = np.array([0, 0, 1]), np.array([5, 9], np.uint64)
    lomax = StayLaw.lomax([3.0, 3.0, 3.0], [80.0, 80.0, 80.0])
    grid = np.arange(366.0)
    hazard = 3.0 * np.log1p(grid / 80.0)
    one = np.ones(3)
    curve = StayLaw(one, one, np.zeros(3, np.int64), one, hazard[None, :], np.zeros(3))
    for law in (lomax, curve):
        days = draw_leave_days(law, item, np.full(3, waited), keys, n_paths=20_000)
        for day in (5, 20, 60):
            share = ((80.0 + waited) / (80.0 + waited + day)) ** 3
            assert (days > day).mean(axis=1) == pytest.approx(share, abs=0.02)
        # Every line has draws of its own.
        assert abs(np.corrcoef(np.minimum(days, 1000))[np.triu_indices(3, 1)]).max() < 0.05


def plan_of(**options: Any) -> bf.Plan:
    world = make_world("matched", n_skus=40, seed=11)
    base = bf.Settings(n_paths=100, workers=1, global_model=False, learned_flag=False, theta=False, smooth_items=0,
                       promise_origins=0)  # fmt: skip
    return bf.make_plan(bf.read_tables(dict(world.tables), as_of=world.as_of), base.replace(**options))


def test_in_a_plan_those_behind_gain_where_customers_may_leave() -> None:
    left, stay = plan_of().fill_dates, plan_of(customers_leave=False).fill_dates
    assert left["order_id"].tolist() == stay["order_id"].tolist()
    assert (left["fill_date_0.5"].fillna(pd.Timestamp.max) <= stay["fill_date_0.5"].fillna(pd.Timestamp.max)).all()
    first = ~left.duplicated(["sku", "location"])
    pd.testing.assert_frame_equal(left[first], stay[first])
    fair = plan_of(allocation="fair_share")
    assert len(fair.fill_dates) == len(left)
