from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backorder_forecast.backorders import (
    NO_SUPPLY,
    fill_date_frame,
    fill_days,
    fill_days_behind_demand,
    fill_quality,
    new_line_days,
    supply_by_day,
)
from backorder_forecast.clock import NEVER
from backorder_forecast.promises import promise_buffer, promise_days, promise_moves, quantile_days
from backorder_forecast.queues import queue_needs
from backorder_forecast.settings import Settings

KNOWN: dict[str, Any] = json.loads((Path(__file__).parent / "known_answers" / "allocation.json").read_text())
AS_OF = pd.Timestamp("2024-05-05")  # a Sunday


def int32(values: Any) -> NDArray[np.int32]:
    return np.asarray(values, dtype=np.int32)


def dates(*days: str) -> pd.Series:
    return pd.Series(np.array(days, dtype="datetime64[s]"))


def one_item(need: Any, arrivals: Any, quantity: Any, *, usable: float = 0.0, latest: Any = None) -> NDArray[np.int32]:
    """Complete days of lines with these needs, shape (n_lines, n_paths)."""
    days = int32(arrivals).reshape(len(quantity), -1 if len(quantity) else len(latest))
    n_paths = days.shape[1]
    after = int32(np.full((1, n_paths), NEVER) if latest is None else np.reshape(latest, (1, n_paths)))
    needs = np.asarray(need, dtype=np.float64)
    pointers = np.array([0, len(quantity)])
    supply = (days, np.asarray(quantity, dtype=np.float64), pointers, after)
    first, complete = fill_days(needs, needs, np.array([0, len(needs)]), np.array([usable]), *supply)
    np.testing.assert_array_equal(first, complete)
    return complete


def test_two_crossing_orders_known_answer() -> None:
    case = KNOWN["fill_date_two_pos"]
    po1, po2 = ({int(d): p for d, p in case["inputs"][k].items()} for k in ("po1", "po2"))
    paths = list(product(po1, po2))
    weight = np.array([po1[a] * po2[b] for a, b in paths])
    complete = one_item([3.0, 7.0], np.array(paths).T, [case["inputs"]["q1"], case["inputs"]["q2"]])
    for row, name in zip(complete, ("pos3", "pos7"), strict=True):
        law = {int(d): p for d, p in case["expected"][name].items()}
        assert {int(d): float(weight[row == d].sum()) for d in np.unique(row)} == law
    # The paths are equally likely, so the empirical quantile is exact.
    assert quantile_days(np.sort(complete, axis=1), 0.9).tolist() == case["expected"]["promise90"]


def test_sufficient_receipt_known_answer() -> None:
    case = KNOWN["coverage_sufficient_receipt"]
    days, units = zip(*case["inputs"]["receipts"], strict=True)
    for share, expected in zip(case["inputs"]["yields"], case["expected"], strict=True):
        complete = one_item([case["inputs"]["pos"]], np.array(days)[:, None], np.array(units) * share)
        assert complete[0, 0] == (NEVER if expected is None else expected)


def test_fifo_known_answer_through_needs() -> None:
    case = KNOWN["fifo_fill_dates"]
    names, units = zip(*case["inputs"]["lines"], strict=True)
    days, received = zip(*case["inputs"]["receipts"], strict=True)
    lines = queue_of(units)
    first, complete = queue_needs(lines)
    supply = (int32(days)[:, None], np.asarray(received, float), np.array([0, len(days)]), int32([[NEVER]]))
    got = fill_days(first, complete, np.array([0, len(lines)]), np.zeros(1), *supply)
    for k, name in enumerate(names):
        assert got[0][k, 0] == case["expected"][name]["fills"][0][0]
        assert got[1][k, 0] == case["expected"][name]["complete"]


def test_conformal_buffer_known_answer() -> None:
    case = KNOWN["conformal_promise_quantile"]
    residuals = case["inputs"]["residuals"]
    assert promise_buffer(residuals, coverage=case["inputs"]["coverage"]) == case["expected"]["buffer"]
    assert sorted(residuals)[case["expected"]["k"] - 1] == case["expected"]["buffer"]
    assert promise_buffer(residuals[:8], coverage=0.9) == np.inf


def queue_of(quantity: Any, **columns: Any) -> pd.DataFrame:
    n = len(quantity)
    frame = pd.DataFrame({"item": np.zeros(n, np.int64), "quantity": np.asarray(quantity, float)})
    frame["order_id"] = [f"o{k:02d}" for k in range(n)]
    frame["order_date"] = AS_OF - pd.to_timedelta(np.arange(n)[::-1] + 1, unit="D")
    return frame.assign(sku="A", location="", customer_id="c", complete_only=False, priority=1.0).assign(**columns)


quantities = st.lists(st.integers(1, 9), min_size=1, max_size=6)
receipts = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 12)), min_size=0, max_size=6)


def played(
    quantity: list[int], complete_only: list[bool], usable: int, orders: list[tuple[int, int]], latest: int
) -> list[tuple[int, int]]:
    """First and complete day by walking the days: strict first come first served, supply held for complete lines."""
    left, first, done = list(quantity), [NEVER] * len(quantity), [NEVER] * len(quantity)
    stock = float(usable)
    for day in range(61):
        stock += sum(q for d, q in orders if d == day)
        if day == latest:
            stock = 1e9
        for k in range(len(left)):
            if done[k] < NEVER:
                continue
            take = min(left[k], stock) if not complete_only[k] or stock >= left[k] else 0
            if take > 0:
                first[k] = min(first[k], day)
                left[k] -= int(take)
                stock -= take
            if left[k] == 0:
                done[k] = day
            else:
                break
    return list(zip(first, done, strict=True))


@settings(max_examples=200, deadline=None)
@given(quantities, receipts, st.integers(-5, 20), st.one_of(st.none(), st.integers(1, 60)), st.data())
def test_agrees_with_walking_the_days(
    quantity: list[int], orders: list[tuple[int, int]], usable: int, latest: int | None, data: st.DataObject
) -> None:
    flags = data.draw(st.lists(st.booleans(), min_size=len(quantity), max_size=len(quantity)))
    after = NEVER if latest is None else latest
    first, complete = queue_needs(queue_of(quantity, complete_only=flags))
    days, units = int32([d for d, _ in orders]).reshape(-1, 1), np.array([q for _, q in orders], float)
    supply = (days, units, np.array([0, len(orders)]), int32([[after]]))
    got = fill_days(first, complete, np.array([0, len(quantity)]), np.array([float(usable)]), *supply)
    expected = played(quantity, flags, usable, orders, after)
    assert list(zip(got[0][:, 0].tolist(), got[1][:, 0].tolist(), strict=True)) == expected


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["fifo", "priority", "fair_share"]), quantities, receipts, st.integers(0, 10), st.data())
def test_more_or_earlier_supply_never_raises_a_wait(
    rule: str, quantity: list[int], orders: list[tuple[int, int]], usable: int, data: st.DataObject
) -> None:
    n = len(quantity)
    ranks = data.draw(st.lists(st.integers(1, 3), min_size=n, max_size=n))
    _, need = queue_needs(queue_of(quantity, priority=ranks), rule=rule, weights=np.array(ranks, float))
    days, units = np.array([d for d, _ in orders]), [float(q) for _, q in orders]
    base = one_item(need, days, units, usable=usable, latest=[50])
    assert (one_item(need, days, units, usable=usable + 1, latest=[50]) <= base).all()
    assert (one_item(need, days, units, usable=usable, latest=[30]) <= base).all()
    if orders:
        k = data.draw(st.integers(0, len(orders) - 1))
        sooner = days.copy()
        sooner[k] = data.draw(st.integers(1, int(days[k])))
        assert (one_item(need, sooner, units, usable=usable, latest=[50]) <= base).all()
        order = data.draw(st.permutations(range(len(orders))))
        mixed = one_item(need, days[order], [units[j] for j in order], usable=usable, latest=[50])
        np.testing.assert_array_equal(mixed, base)
    # What has been given out by any day never exceeds what has arrived by then.
    for day in np.unique(base[base < 50]):
        arrived = usable + sum(q for d, q in orders if d <= day)
        assert np.array(quantity)[base[:, 0] <= day].sum() <= arrived


@settings(max_examples=100, deadline=None)
@given(quantities, receipts, st.integers(0, 10))
def test_fifo_never_overtakes(quantity: list[int], orders: list[tuple[int, int]], usable: int) -> None:
    first, complete = queue_needs(queue_of(quantity))
    supply = (
        int32([d for d, _ in orders]).reshape(-1, 1),
        np.array([q for _, q in orders], float),
        np.array([0, len(orders)]),
        int32([[NEVER]]),
    )
    got_first, got = fill_days(first, complete, np.array([0, len(quantity)]), np.array([float(usable)]), *supply)
    assert (np.diff(got[:, 0].astype(np.int64)) >= 0).all()
    assert (got_first[1:, 0] >= got[:-1, 0]).all()
    assert (got_first <= got).all()


def bucket(seed: int, n_items: int = 6, n_paths: int = 40) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    lines = pd.concat([queue_of(rng.integers(1, 6, rng.integers(0, 5)), item=i, sku=f"S{i}") for i in range(n_items)])
    lines = lines.reset_index(drop=True).assign(status="created", waited_days=3)
    lines["promised_date"] = pd.Series(pd.NaT, index=lines.index, dtype="datetime64[s]")
    count = rng.integers(0, 4, n_items)
    orders = pd.DataFrame({"po_id": [f"P{k}" for k in range(count.sum())], "supplier": "ACME", "order_date": AS_OF})
    return {
        "lines": lines,
        "line_start": np.append(0, np.cumsum(np.bincount(lines["item"], minlength=n_items))),
        "usable": rng.integers(0, 6, n_items).astype(float),
        "arrival_days": int32(rng.integers(1, 50, (count.sum(), n_paths))),
        "order_quantity": rng.integers(1, 8, count.sum()).astype(float),
        "order_start": np.append(0, np.cumsum(count)),
        "next_order_days": int32(
            np.where(rng.random((n_items, n_paths)) < 0.1, NEVER, rng.integers(20, 90, (n_items, n_paths)))
        ),
        "orders": orders,
    }


def days_of(b: dict[str, Any]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    first, complete = queue_needs(b["lines"])
    order = ("arrival_days", "order_quantity", "order_start", "next_order_days")
    got: tuple[NDArray[np.int32], NDArray[np.int32]] = fill_days(
        first, complete, b["line_start"], b["usable"], *(b[k] for k in order)
    )
    return got


def frame_of(b: dict[str, Any], options: Settings | None = None, **changes: Any) -> pd.DataFrame:
    b = {**b, **changes}
    first, complete = days_of(b)
    keep = ("line_start", "orders", "arrival_days", "order_start", "next_order_days")
    return fill_date_frame(
        b["lines"], first, complete, as_of=AS_OF, settings=options or Settings(), **{k: b[k] for k in keep}
    )


@pytest.mark.parametrize("seed", range(4))
def test_items_do_not_depend_on_their_bucket(seed: int) -> None:
    b = bucket(seed)
    whole = frame_of(b)
    parts = []
    for i in range(len(b["usable"])):
        l0, l1 = b["line_start"][i], b["line_start"][i + 1]
        p0, p1 = b["order_start"][i], b["order_start"][i + 1]
        own = {
            "lines": b["lines"].iloc[l0:l1],
            "line_start": np.array([0, l1 - l0]),
            "usable": b["usable"][i : i + 1],
            "arrival_days": b["arrival_days"][p0:p1],
            "order_quantity": b["order_quantity"][p0:p1],
            "order_start": np.array([0, p1 - p0]),
            "next_order_days": b["next_order_days"][i : i + 1],
            "orders": b["orders"].iloc[p0:p1],
        }
        parts.append(frame_of(own))
    pd.testing.assert_frame_equal(whole, pd.concat(parts, ignore_index=True))


def test_fill_dates_of_a_small_case() -> None:
    lines = queue_of([2, 3, 4]).assign(status="created", waited_days=[3, 2, 1], item=0)
    lines["promised_date"] = dates("2024-05-04", "2024-05-10", "")
    arrivals = int32([[5] * 5 + [8] * 4 + [20]])
    case = {
        "lines": lines,
        "line_start": np.array([0, 3]),
        "usable": np.array([2.0]),
        "arrival_days": arrivals,
        "order_quantity": np.array([4.0]),
        "order_start": np.array([0, 1]),
        "next_order_days": int32([[40] * 9 + [NEVER]]),
        "orders": pd.DataFrame({"po_id": ["4711"], "supplier": ["ACME"], "order_date": [AS_OF]}),
    }
    frame = frame_of(case, Settings(horizon_days=30))
    now, soon, late = (frame.iloc[k] for k in range(3))
    assert now["fill_date_0.9"] == now["first_date_0.5"] == AS_OF + pd.Timedelta(days=1)
    assert now["promise_date"] == AS_OF + pd.Timedelta(days=1)
    assert (now["p_at_promise"], now["p_by_promised"], now["source"]) == (1.0, 0.0, "stock now")
    assert soon["fill_date_0.5"] == AS_OF + pd.Timedelta(days=5)
    assert soon["fill_date_0.9"] == AS_OF + pd.Timedelta(days=8)
    assert (soon["p_by_promised"], soon["p_unfilled"], soon["source"]) == (0.5, 0.0, "PO 4711 (ACME)")
    assert soon["p_at_promise"] == 0.9
    assert late["first_date_0.5"] == AS_OF + pd.Timedelta(days=5)
    assert late["fill_date_0.5"] == AS_OF + pd.Timedelta(days=40)
    assert late["p_unfilled"] == 1.0
    assert pd.isna(late["p_by_promised"])
    assert late["source"] == "next order 90%, no supply in sight 10%"
    # Day 40 is a Friday; without business days the same, with a Saturday it moves on to Monday.
    assert late["promise_date"] == AS_OF + pd.Timedelta(days=40)


@pytest.mark.parametrize(("promised", "kept"), [(-1, 0.0), (0, 0.0), (1, 1.0)])
def test_a_promise_for_a_day_that_is_over_is_broken_though_there_is_stock(promised: int, kept: float) -> None:
    lines = queue_of([2]).assign(status="promised", waited_days=3, promised_date=AS_OF + pd.Timedelta(days=promised))
    frame = frame_of(
        {
            "lines": lines, "line_start": np.array([0, 1]), "usable": np.array([9.0]),
            "arrival_days": np.zeros((0, 5), np.int32), "order_quantity": np.zeros(0), "order_start": np.zeros(2, int),
            "next_order_days": int32(np.full((1, 5), 30)),
            "orders": pd.DataFrame({"po_id": [], "supplier": [], "order_date": []}),
        }
    )  # fmt: skip
    assert frame["p_by_promised"].tolist() == [kept]
    assert frame["source"].tolist() == ["stock now"]
    shown = frame[["first_date_0.5", "fill_date_0.1", "fill_date_0.95", "promise_date"]]
    assert (shown == AS_OF + pd.Timedelta(days=1)).all(axis=None)


def test_no_supply_is_said_and_counted() -> None:
    b = bucket(1)
    n_paths = b["next_order_days"].shape[1]
    barren = {
        "usable": np.zeros(6),
        "arrival_days": np.zeros((0, n_paths), np.int32),
        "order_quantity": np.zeros(0),
        "order_start": np.zeros(7, np.int64),
        "orders": b["orders"].iloc[:0],
        "next_order_days": int32(np.full((6, n_paths), NEVER)),
    }
    frame = frame_of(b, **barren)
    assert (frame["source"] == NO_SUPPLY).all()
    assert frame[["promise_date", "fill_date_0.1", "p_at_promise"]].isna().all(axis=None)
    assert (frame["p_unfilled"] == 1.0).all()
    counted = fill_quality(frame, Settings())
    assert counted["rule"].tolist() == ["no supply in sight"]
    assert counted["rows_used"].tolist() == [len(frame)]
    mixed = fill_quality(frame_of(b, next_order_days=barren["next_order_days"]), Settings())
    assert (mixed["rows_used"] + mixed["rows_set_aside"] == mixed["rows_read"]).all()
    assert fill_quality(frame_of(b).iloc[:0], Settings()).empty


def test_source_is_the_order_that_completes_the_line() -> None:
    lines = queue_of([5]).assign(
        status="created", waited_days=1, promised_date=pd.Series([pd.NaT], dtype="datetime64[s]")
    )
    arrivals = int32([[9, 9, 9, 9], [4, 4, 12, 12]])
    case = {
        "lines": lines,
        "line_start": np.array([0, 1]),
        "usable": np.array([0.0]),
        "arrival_days": arrivals,
        "order_quantity": np.array([3.0, 3.0]),
        "order_start": np.array([0, 2]),
        "next_order_days": int32([[50] * 4]),
        "orders": pd.DataFrame(
            {"po_id": ["", "2"], "supplier": ["X", "Y"], "order_date": pd.to_datetime(["2024-04-01"] * 2)}
        ),
    }
    assert frame_of(case)["source"].tolist() == ["order of 2024-04-01 (X) 50%, PO 2 (Y) 50%"]


def test_source_between_period_ends_is_the_latest_arrival_before() -> None:
    starts = (np.array([0, 1]), np.array([0, 2]))
    orders = pd.DataFrame({"po_id": ["1", "2"], "supplier": "X", "order_date": AS_OF})
    missing = pd.Series([pd.NaT], dtype="datetime64[s]")
    lines = queue_of([5]).assign(status="created", waited_days=1, promised_date=missing)
    weekly, after = int32([[14, 14]]), int32([[30, 14]])
    frame = fill_date_frame(
        lines, weekly, weekly, orders=orders, arrival_days=int32([[9, 20], [11, 30]]), next_order_days=after,
        as_of=AS_OF, settings=Settings(), line_start=starts[0], order_start=starts[1],
    )  # fmt: skip
    assert frame["source"].tolist() == ["PO 2 (X) 50%, next order 50%"]


def test_promise_is_a_business_day_with_at_least_the_level() -> None:
    rng = np.random.default_rng(3)
    days = np.sort(int32(rng.geometric(0.1, (200, 500))), axis=1)
    for level in (0.5, 0.8, 0.9):
        plain = promise_days(days, as_of=AS_OF, level=level, business_days=False)
        moved = promise_days(days, as_of=AS_OF, level=level, business_days=True)
        kept = (days <= plain[:, None]).mean(axis=1)
        before = (days <= plain[:, None] - 1).mean(axis=1)
        assert (kept >= level).all()
        assert (before < level).all()
        assert ((moved >= plain) & (moved <= plain + 2)).all()
        assert ((AS_OF + pd.to_timedelta(moved, unit="D")).day_of_week < 5).all()


def test_a_promise_is_not_made_for_a_day_that_is_over() -> None:
    now = np.zeros((1, 4), dtype=np.int32)
    assert promise_days(now, as_of=AS_OF, level=0.9, business_days=False).tolist() == [1]


def test_re_promise_only_when_it_is_worth_a_message() -> None:
    old = dates(*["2024-05-20"] * 6, "")
    new = dates("2024-05-23", "2024-05-24", "2024-05-15", "2024-05-13", "", "2024-12-01", "2024-05-06")
    moved = promise_moves(old, new, as_of=AS_OF, settings=Settings())
    assert moved.tolist() == [0, 1, 0, -1, 1, 1, 0]
    far = pd.Series(pd.to_datetime(["2024-12-01"]))
    assert promise_moves(far, far + pd.Timedelta(days=10), as_of=AS_OF, settings=Settings()).tolist() == [0]


def test_new_demand_may_overtake() -> None:
    first, complete = queue_needs(queue_of([3, 2]))
    ends = np.arange(1, 6)
    rest = (np.array([0, 2]), np.array([1.0]))
    receipts_ = np.array([[[0.0, 4.0, 0.0, 4.0, 0.0]]])
    none = np.zeros_like(receipts_)
    demand = np.array([[[0.0, 3.0, 0.0, 0.0, 0.0]]])
    after = int32([[NEVER]])
    plain = fill_days_behind_demand(first, complete, *rest, none, receipts_, ends, after)
    assert plain[1][:, 0].tolist() == [2, 2]
    assert plain[0][:, 0].tolist() == [0, 2]
    behind = fill_days_behind_demand(first, complete, *rest, demand, receipts_, ends, after)
    assert behind[1][:, 0].tolist() == [4, 4]
    assert fill_days_behind_demand(first, complete, *rest, demand, receipts_, ends, int32([[3]]))[1][:, 0].tolist() == [
        3,
        3,
    ]


@settings(max_examples=60, deadline=None)
@given(quantities, receipts, st.integers(0, 10))
def test_without_demand_both_kernels_agree(quantity: list[int], orders: list[tuple[int, int]], usable: int) -> None:
    _, need = queue_needs(queue_of(quantity))
    daily = np.zeros((1, 1, 40))
    for day, units in orders:
        daily[0, 0, day - 1] += units
    pointers = np.array([0, len(quantity)])
    stock = np.array([float(usable)])
    behind = fill_days_behind_demand(
        need, need, pointers, stock, np.zeros_like(daily), daily, np.arange(1, 41), int32([[NEVER]])
    )
    exact = one_item(need, np.array([d for d, _ in orders]), [q for _, q in orders], usable=usable, latest=[NEVER])
    np.testing.assert_array_equal(behind[1], exact)


def test_a_new_line_waits_behind_the_queue() -> None:
    supply = (int32([[5, 9], [7, 7]]), np.array([4.0, 4.0]), np.array([0, 1, 2]), int32([[30, 30], [NEVER, 20]]))
    wait = new_line_days(np.array([3.0, 4.0]), np.array([1.0, 2.0]), np.array([0.0, 1.0]), *supply)
    assert wait.tolist() == [[5, 9], [NEVER, 20]]
    assert new_line_days(np.array([0.0, 0.0]), np.array([1.0, 1.0]), np.array([1.0, 1.0]), *supply).max() == 0


def test_supply_by_day() -> None:
    got = supply_by_day(
        int32([[5, 9], [7, NEVER], [2, 2]]),
        np.array([4.0, 3.0, 1.0]),
        np.array([0, 2, 3, 3]),
        np.array([7.0, 1.0, 9.0]),
    )
    assert got.tolist() == [[7.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
