from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backorder_forecast.allocation import allocation_by_date, allocation_summary, compare_allocations
from backorder_forecast.allocation_rules import allocate_fair_share, allocate_fifo, allocate_priority
from backorder_forecast.atp import atp_accumulated, atp_backward, earliest_period, ship_schedule
from backorder_forecast.errors import InvalidSettings, InvalidTables
from backorder_forecast.queues import purchase_weights, queue_needs

KNOWN: dict[str, Any] = json.loads((Path(__file__).parent / "known_answers" / "allocation.json").read_text())
RULES = {"fifo": allocate_fifo, "priority": allocate_priority, "fair_share": allocate_fair_share}


def make_lines(quantity: Sequence[float], **columns: Any) -> pd.DataFrame:
    n = len(quantity)
    frame = pd.DataFrame({"item": 0, "sku": "A", "location": "", "quantity": np.asarray(quantity, float)})
    frame["order_id"] = [f"o{k:03d}" for k in range(n)]
    frame["order_date"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n), unit="D")
    return frame.assign(**columns)


@pytest.mark.parametrize("name", ["maxmin_fair", "weighted_maxmin_fair"])
def test_water_filling_known_answers(name: str) -> None:
    case = KNOWN[name]
    share = allocate_fair_share(
        case["inputs"]["capacity"], case["inputs"]["demand"], weights=case["inputs"].get("weights")
    )
    np.testing.assert_allclose(share, case["expected"], atol=case["abs_tolerance"])


def test_whole_units_by_past_purchases_known_answer() -> None:
    case = KNOWN["proportional_history_integer"]
    given_ = case["inputs"]
    share = allocate_fair_share(given_["capacity"], given_["demand"], weights=given_["history"], whole_units=True)
    assert share.tolist() == case["expected"]


def test_available_to_promise_known_answers() -> None:
    case = KNOWN["oracle_atp_backward"]
    supply, demand = np.array(case["inputs"]["supply"]), np.array(case["inputs"]["demand"])
    assert (supply - demand).tolist() == case["expected"]["period"]
    free = atp_backward(supply, demand)
    assert free.tolist() == case["expected"]["atp"]
    running = atp_accumulated(free)
    assert running.tolist() == KNOWN["oracle_atp_backward_accumulate"]["expected"]
    assert int(earliest_period(running, 3)) + 1 == case["expected"]["earliest_period_for_3_requested_by_7"]
    later = KNOWN["atp_after_new_order"]
    demand[later["inputs"]["new_order"]["period"] - 1] += later["inputs"]["new_order"]["qty"]
    assert atp_accumulated(atp_backward(supply, demand)).tolist() == later["expected"]


def test_available_to_promise_works_on_many_items_at_once() -> None:
    rng = np.random.default_rng(1)
    supply, demand = rng.integers(0, 9, (20, 8)), rng.integers(0, 9, (20, 8))
    many = atp_backward(supply, demand)
    for i in range(20):
        assert many[i].tolist() == atp_backward(supply[i], demand[i]).tolist()
    np.testing.assert_allclose(many.sum(axis=1), (supply - demand).sum(axis=1))
    assert (earliest_period(np.zeros((3, 4)), 1) == -1).all()


def test_fifo_schedule_known_answer() -> None:
    case = KNOWN["fifo_fill_dates"]
    days, units = zip(*case["inputs"]["receipts"], strict=True)
    shipped = ship_schedule([q for _, q in case["inputs"]["lines"]], days, units)
    for k, (name, _) in enumerate(case["inputs"]["lines"]):
        own = shipped[shipped["line"] == k]
        assert own[["day", "quantity"]].to_numpy().tolist() == case["expected"][name]["fills"]
        assert own["day"].max() == case["expected"][name]["complete"]


@pytest.mark.parametrize("case", KNOWN["frepple_demand_policy"]["cases"], ids=lambda c: c["order"])
def test_maximum_lateness_and_minimum_shipment_known_answers(case: dict[str, Any]) -> None:
    due = pd.Timestamp(case["due"])
    receipt = (pd.Timestamp(case["receipt"][0]) - due).days
    late, least = case["max_lateness_days"], case["min_shipment"]
    shipped = ship_schedule(
        [case["qty"]],
        [0, receipt],
        [case["on_hand"], case["receipt"][1]],
        latest_day=None if late is None else [late],
        minimum_shipment=None if least is None else [least],
    )
    expected = [[(pd.Timestamp(d) - due).days, float(q)] for d, q in case["deliveries"]]
    assert shipped[["day", "quantity"]].to_numpy().tolist() == expected


def test_fifo_serves_by_date_and_holds_for_complete_only() -> None:
    assert allocate_fifo(5, [3, 4], order_date=["2024-02-01", "2024-01-01"]).tolist() == [1.0, 4.0]
    # The first line wants all or nothing: its four units are held, the later line does not overtake.
    assert allocate_fifo(4, [6, 3], complete_only=[True, False]).tolist() == [0.0, 0.0]
    assert allocate_fifo(8, [6, 3], complete_only=[True, False]).tolist() == [6.0, 2.0]


def test_priority_before_date_and_cap() -> None:
    share = allocate_priority(6, [4, 4, 4], priority=[2, 1, 1], order_date=[1, 3, 2])
    assert share.tolist() == [0.0, 2.0, 4.0]
    assert allocate_priority(6, [4, 4, 4], priority=[2, 1, 1], cap=[9, 1, 9]).tolist() == [1.0, 1.0, 4.0]


def test_fair_share_pours_again_what_a_complete_only_line_cannot_use() -> None:
    share = allocate_fair_share(9, [8, 4, 4], complete_only=[True, False, False])
    assert share.tolist() == [0.0, 4.0, 4.0]
    both = allocate_fair_share(6, [5, 6], complete_only=[True, True])
    assert both.tolist() == [5.0, 0.0]


@pytest.mark.parametrize("rule", RULES)
def test_bad_input_is_refused(rule: str) -> None:
    allocate = RULES[rule]
    with pytest.raises(ValueError, match="not negative"):
        allocate(3, [1, -1])
    with pytest.raises(ValueError, match="positive numbers"):
        allocate(3, [1, 1], weights=[1, 0])
    with pytest.raises(ValueError, match="priority has 1 entries"):
        allocate(3, [1, 1], priority=[1])
    assert allocate(-3, [1, 1]).tolist() == [0.0, 0.0]
    with pytest.raises(InvalidSettings, match="did you mean 'fifo'"):
        queue_needs(make_lines([1]), rule="fiffo")


demands = st.lists(st.integers(0, 12), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(RULES)), st.integers(0, 60), demands, st.booleans(), st.data())
def test_never_above_supply_or_demand(
    rule: str, supply: int, demand: list[int], whole: bool, data: st.DataObject
) -> None:
    n = len(demand)
    weights = data.draw(st.lists(st.floats(0.1, 50), min_size=n, max_size=n))
    complete = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    scale = 1.0 if whole else 0.37
    share = RULES[rule](
        supply * scale,
        np.array(demand) * scale,
        weights=weights,
        complete_only=complete,
        priority=weights,
        whole_units=whole,
    )
    assert (share >= 0).all()
    assert (share <= np.array(demand) * scale * (1 + 1e-9)).all()
    assert share.sum() <= supply * scale * (1 + 1e-9)
    partial = (share > 0) & (share < np.array(demand) * scale * (1 - 1e-9))
    assert not (partial & np.array(complete)).any()
    if not any(complete):
        assert share.sum() == pytest.approx(min(supply * scale, sum(demand) * scale))
    if whole:
        assert (share == np.rint(share)).all()


@settings(max_examples=100, deadline=None)
@given(demands, st.integers(0, 60), st.randoms())
def test_shuffled_rows_give_everyone_the_same(demand: list[int], supply: int, random: Any) -> None:
    order = list(range(len(demand)))
    random.shuffle(order)
    dates = np.arange(len(demand))
    for allocate in (allocate_fifo, allocate_priority, allocate_fair_share):
        straight = allocate(supply, demand, order_date=dates, priority=dates)
        mixed = allocate(supply, np.array(demand)[order], order_date=dates[order], priority=dates[order])
        np.testing.assert_allclose(mixed, straight[order], atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=7), st.data())
def test_fair_needs_give_out_one_unit_at_a_time(quantity: list[int], data: st.DataObject) -> None:
    n = len(quantity)
    weights = data.draw(st.lists(st.integers(1, 20), min_size=n, max_size=n))
    first, complete = queue_needs(make_lines(quantity), rule="fair_share", weights=weights)
    # Each supplied unit serves exactly one unit, so needs are whole, distinct at completion and end at the total.
    assert sorted(set(complete)) == sorted(complete)
    assert complete.max() == sum(quantity)
    assert ((first >= 1) & (first <= complete)).all()
    # A line with twice the weight is never served its first unit after an equal one.
    for i in range(n):
        for j in range(n):
            if weights[i] > weights[j]:
                assert first[i] < first[j]


def test_fair_ties_go_to_the_earlier_line() -> None:
    assert [x.tolist() for x in queue_needs(make_lines([1, 2, 1]), rule="fair_share")] == [
        [1.0, 2.0, 3.0],
        [1.0, 4.0, 3.0],
    ]


def test_fair_needs_of_broken_quantities_follow_the_water_level() -> None:
    quantity = [2.0, 2.6, 4.0, 5.0]
    _, complete = queue_needs(make_lines(quantity), rule="fair_share")
    for need, wanted, k in zip(complete, quantity, range(4), strict=True):
        assert allocate_fair_share(float(need), quantity)[k] == pytest.approx(wanted)
        assert allocate_fair_share(float(need) - 0.1, quantity)[k] < wanted


def test_fifo_needs_never_overtake_and_complete_only_waits_for_all() -> None:
    first, complete = queue_needs(make_lines([4, 3, 5], complete_only=[False, True, False]))
    assert first.tolist() == [1.0, 7.0, 8.0]
    assert complete.tolist() == [4.0, 7.0, 12.0]
    first, complete = queue_needs(make_lines([4, 3, 5], priority=[np.nan, 2.0, 1.0]), rule="priority")
    assert complete.tolist() == [12.0, 8.0, 5.0]


def test_weights_ignore_orders_of_the_shortage() -> None:
    lines = make_lines([2, 6, 1, 3], customer_id=["a", "a", "b", ""])
    sales = pd.DataFrame(
        {
            "sku": ["A", "A", "A", "B"],
            "location": "",
            "customer_id": ["a", "b", "b", "a"],
            "date": pd.to_datetime(["2023-06-01", "2023-12-31", "2024-01-05", "2023-06-01"]),
            "quantity": [40.0, 10.0, 500.0, 999.0],
        }
    )
    assert purchase_weights(lines, sales).tolist() == [10.0, 30.0, 10.0, 1.0]


def supply_frame(*rows: tuple[str, float]) -> pd.DataFrame:
    return pd.DataFrame(
        {"sku": "A", "date": pd.to_datetime([d for d, _ in rows]), "quantity": [float(q) for _, q in rows]}
    )


def test_rules_side_by_side() -> None:
    lines = make_lines([4, 3, 5], priority=[3, 2, 1], customer_id=["a", "b", "c"])
    supply = supply_frame(("2024-01-10", 6), ("2024-01-20", 3))
    table = compare_allocations(lines, supply)
    filled = table.pivot_table(index="rule", columns="order_id", values="filled_quantity", sort=False).T
    assert filled["fifo"].tolist() == [4.0, 3.0, 2.0]
    assert filled["priority"].tolist() == [1.0, 3.0, 5.0]
    assert filled["fair_share"].tolist() == [3.0, 3.0, 3.0]
    summary = allocation_summary(table).set_index("rule")
    assert (summary["units_filled"] == 9).all()
    assert summary.loc["fair_share", "concentration"] == pytest.approx(1 / 3)
    assert summary.loc["fifo", "worst_wait_days"] == 18
    assert summary["lines_unfilled"].tolist() == [1, 1, 2]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(1, 28), st.integers(0, 12)), min_size=0, max_size=5),
    st.booleans(),
)
def test_comparison_is_consistent(quantity: list[int], receipts: list[tuple[int, int]], complete: bool) -> None:
    lines = make_lines(quantity, complete_only=[complete and k % 2 == 0 for k in range(len(quantity))])
    supply = supply_frame(*[(f"2024-02-{d:02d}", q) for d, q in receipts])
    table = compare_allocations(lines, supply)
    notes = table.groupby("rule")["note"].first()
    assert notes["fifo"] == ""
    assert "give weights=" in notes["fair_share"]
    bare = compare_allocations(lines.drop(columns="priority", errors="ignore"), supply, rules=["fifo", "priority"])
    assert "served as first come" in bare["note"].iloc[-1]
    assert allocation_summary(bare)["note"].tolist() == ["", bare["note"].iloc[-1]]
    given = compare_allocations(lines.assign(priority=1.0), supply, weights=np.ones(len(lines)))
    assert (given["note"] == "").all()
    mixed = compare_allocations(lines.iloc[::-1], supply.iloc[::-1])
    pd.testing.assert_frame_equal(table, mixed)
    done = table["fill_date"].notna()
    assert (table.loc[done, "filled_quantity"] == table.loc[done, "quantity"]).all()
    assert (table.loc[~done, "filled_quantity"] < table.loc[~done, "quantity"]).all()
    given_out = table.groupby("rule")["filled_quantity"].sum()
    assert (given_out <= sum(q for _, q in receipts) + 1e-9).all()
    if not complete:
        assert (given_out == min(sum(q for _, q in receipts), sum(quantity))).all()


def test_item_without_supply_is_listed_unfilled() -> None:
    lines = pd.concat([make_lines([2]), make_lines([1]).assign(sku="B")], ignore_index=True)
    table = compare_allocations(lines, supply_frame(("2024-01-02", 5)), rules=["fifo"])
    other = table[table["sku"] == "B"]
    assert other["filled_quantity"].tolist() == [0.0]
    assert other["fill_date"].isna().all()


def test_a_reserve_is_for_key_lines_alone() -> None:
    wants, key = [4.0, 3.0, 5.0], [False, False, True]
    assert allocate_fifo(6, wants, key=key, reserve=2).tolist() == [4.0, 0.0, 2.0]
    assert allocate_fifo(6, wants, key=key, reserve=6).tolist() == [0.0, 0.0, 5.0]  # one unit kept for later key orders
    assert allocate_fair_share(6, wants, key=key, reserve=3).tolist() == [1.0, 1.0, 4.0]
    assert allocate_fifo(6, wants, key=key, reserve=0).tolist() == allocate_fifo(6, wants).tolist()
    with pytest.raises(ValueError, match="reserve is a number of units, not negative, got -1"):
        allocate_fifo(6, wants, reserve=-1)


@pytest.mark.parametrize("rule", RULES)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.booleans()), min_size=1, max_size=7), st.integers(0, 40),
    st.integers(0, 20), st.booleans(),
)  # fmt: skip
def test_what_others_get_never_touches_the_reserve(
    rule: str, rows: list[tuple[int, bool, bool]], supply: int, reserve: int, whole: bool
) -> None:
    demand, key, flags = (np.array(c) for c in zip(*rows, strict=True))
    got = RULES[rule](supply, demand, key=key, reserve=reserve, complete_only=flags, whole_units=whole)
    assert (got <= demand + 1e-9).all()
    assert (got >= 0).all()
    assert got.sum() <= supply + 1e-9
    assert got[~key].sum() <= max(supply - reserve, 0) + 1e-9
    assert np.isin(got[flags], [0, *demand[flags]]).all()


@given(
    st.sampled_from(["fifo", "fair_share"]),
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from("xyz")), min_size=1, max_size=7),
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=5), st.integers(0, 12),
    st.one_of(st.none(), st.integers(0, 12)),
)  # fmt: skip
def test_dated_supply_ends_where_the_plain_rule_does(
    rule: str, rows: list[tuple[int, str]], receipts: list[tuple[int, int]], reserve: int, cap: int | None
) -> None:
    lines = make_lines([q for q, _ in rows], customer_id=[c for _, c in rows])
    supply = pd.DataFrame({"sku": "A", "date": [pd.Timestamp("2024-02-01") + pd.Timedelta(days=d) for d, _ in receipts],
                           "quantity": [float(q) for _, q in receipts]})  # fmt: skip
    options: dict[str, Any] = {"rules": [rule], "key_customers": ["x"], "reserve": reserve, "customer_cap": cap}
    table = compare_allocations(lines, supply, **options)
    total = sum(q for _, q in receipts)
    assert table["filled_quantity"].sum() <= total + 1e-9
    others = table["customer_id"] != "x"
    assert table.loc[others, "filled_quantity"].sum() <= max(total - reserve, 0) + 1e-9
    if cap is not None:
        assert (table.groupby("customer_id")["filled_quantity"].sum() <= cap + 1e-9).all()
    elif rule == "fifo":
        plain = allocate_fifo(total, lines["quantity"], key=lines["customer_id"] == "x", reserve=reserve)
        assert table["filled_quantity"].to_numpy() == pytest.approx(plain)
    done = table["fill_date"].notna()
    assert (done == (table["filled_quantity"] >= table["quantity"] - 1e-9)).all()
    by_date = allocation_by_date(lines, supply, **options)
    assert by_date["units_filled"].iloc[-1] == pytest.approx(table["filled_quantity"].sum())
    assert by_date["units_filled"].is_monotonic_increasing
    assert (by_date["units_filled"] <= by_date["units_supplied"] + 1e-9).all()
    dates = np.sort(table.loc[done, "fill_date"].to_numpy())
    assert by_date["lines_filled"].tolist() == [int((dates <= day).sum()) for day in by_date["date"].to_numpy()]


def test_a_cap_leaves_units_to_others_and_known_lines_without_a_customer_alone() -> None:
    lines = make_lines([5, 4, 3], customer_id=["x", "x", ""])
    supply = pd.DataFrame({"sku": "A", "date": [pd.Timestamp("2024-02-01")], "quantity": [20.0]})
    table = compare_allocations(lines, supply, rules=["fifo"], customer_cap=6).set_index("order_id")
    assert table["filled_quantity"].tolist() == [5.0, 1.0, 3.0]
    assert table["fill_date"].notna().tolist() == [True, False, True]
    whole = lines.assign(complete_only=True)
    table = compare_allocations(whole, supply, rules=["fifo"], customer_cap=6)
    assert table["filled_quantity"].tolist() == [5.0, 0.0, 3.0]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(list(RULES)),
    st.lists(
        st.tuples(st.integers(1, 12), st.booleans(), st.booleans(), st.integers(1, 3), st.integers(1, 5)),
        min_size=1, max_size=7,
    ),
    st.integers(0, 50), st.integers(0, 15), st.booleans(),
)  # fmt: skip
def test_supply_of_one_day_is_given_out_as_by_the_plain_rule(
    rule: str, rows: list[tuple[int, bool, bool, int, int]], supply: int, reserve: int, whole_lines: bool
) -> None:
    units, key, flags, priority, weights = (np.array(c) for c in zip(*rows, strict=True))
    # Whole units are shared unit by unit there, so that shares are compared in broken ones.
    demand, flags = units * 0.37, flags & whole_lines
    options: dict[str, Any] = {"priority": priority, "complete_only": flags}
    plain = RULES[rule](supply * 0.37, demand, weights=weights, key=key, reserve=reserve * 0.37, **options)
    lines = make_lines(demand.tolist(), customer_id=np.where(key, "x", ""), **options)
    receipts = supply_frame(("2024-03-01", supply * 0.37))
    table = compare_allocations(
        lines, receipts, rules=[rule], weights=weights, key_customers=["x"], reserve=reserve * 0.37
    )
    np.testing.assert_allclose(table["filled_quantity"], plain, atol=1e-6)
    assert (table["fill_date"].notna() == (plain >= demand - 1e-6)).all()


def test_what_a_line_saved_up_is_poured_again_with_the_last_supply() -> None:
    lines = make_lines([7, 3, 1, 6], complete_only=[False, False, False, True])
    once = compare_allocations(lines, supply_frame(("2024-02-01", 12)), rules=["fair_share"])
    assert once["filled_quantity"].tolist() == [7.0, 3.0, 1.0, 0.0]
    assert once["fill_date"].notna().tolist() == [True, True, True, False]
    supply = supply_frame(("2024-02-01", 6), ("2024-02-09", 6), ("2024-02-20", 0))
    by_date = allocation_by_date(lines, supply, rules=["fair_share"])
    # On the first day the last line still saves up; the last units to come are those of the ninth.
    assert by_date["units_filled"].tolist() == [5.0, 11.0, 11.0]
    assert by_date["lines_filled"].tolist() == [1, 3, 3]
    late = compare_allocations(lines, supply, rules=["fair_share"])
    assert late["fill_date"].dt.day.tolist()[:3] == [9, 9, 1]
    # What the first of two gives up completes the other.
    both = make_lines([5, 6], complete_only=True)
    table = compare_allocations(both, supply_frame(("2024-02-01", 6)), rules=["fair_share"])
    assert table["filled_quantity"].tolist() == [5.0, 0.0]
    assert (table["first_date"].notna() == table["fill_date"].notna()).all()


def test_the_reserve_goes_by_the_rule() -> None:
    lines = make_lines([4, 4, 4], customer_id=["x", "x", "y"], priority=[2, 1, 1])
    supply = supply_frame(("2024-02-01", 4))
    table = compare_allocations(lines, supply, key_customers=["x"], reserve=4)
    filled = {rule: part["filled_quantity"].tolist() for rule, part in table.groupby("rule")}
    assert filled == {"fifo": [4.0, 0.0, 0.0], "priority": [0.0, 4.0, 0.0], "fair_share": [2.0, 2.0, 0.0]}


def test_all_that_cannot_be_compared_is_told_at_once() -> None:
    lines = make_lines([4, np.nan, -4, 2, 1], customer_id="x").drop(columns="order_date").astype({"sku": "object"})
    lines.loc[4, "sku"] = np.nan
    supply = supply_frame(("2024-02-01", 4), ("2024-02-02", 1), ("2024-02-03", -1))
    supply.loc[0, "date"], supply.loc[1, "quantity"] = pd.NaT, np.nan
    for ask in (compare_allocations, allocation_by_date):
        with pytest.raises(InvalidTables) as caught:
            ask(lines, supply)
        found = caught.value.failures[["table", "row", "column"]].to_numpy().tolist()
        assert found == [
            ["lines", "", "order_date"], ["lines", 5, "sku"], ["lines", 2, "quantity"], ["lines", 3, "quantity"],
            ["supply", 1, "date"], ["supply", 2, "quantity"], ["supply", 3, "quantity"],
        ]  # fmt: skip
    assert "supply, row 1, column date: not a date; found NaT" in str(caught.value)
    with pytest.raises(InvalidTables, match="lines, column quantity: needed column is missing; found sku, order_id"):
        compare_allocations(pd.DataFrame({"sku": ["A"], "order_id": ["a"]}), supply_frame(("2024-02-01", 4)))
    with pytest.raises(InvalidSettings, match="reserve is a number of units, not negative, got -1"):
        compare_allocations(make_lines([1]), supply_frame(("2024-02-01", 4)), reserve=-1)


def test_blank_text_is_blank_and_numbers_are_names_too() -> None:
    lines = make_lines([4, 3], location=[np.nan, ""], sku=[17, 17], customer_id=[None, "x"])
    supply = supply_frame(("2024-02-01", 5)).assign(sku="17", location=np.nan)
    table = compare_allocations(lines, supply, rules=["fifo"], key_customers=["x"])
    assert table["filled_quantity"].tolist() == [4.0, 1.0]
    assert table["customer_id"].tolist() == ["", "x"]


@pytest.mark.parametrize("unknown", ["left out", "", np.nan])
def test_unknown_customers_are_no_one_customer(unknown: Any) -> None:
    lines = make_lines([2, 2, 2, 2])
    if unknown != "left out":
        lines["customer_id"] = [unknown, unknown, "x", "x"]
    supply = supply_frame(("2024-02-01", 8))
    served = 4 if unknown == "left out" else 3
    assert allocation_by_date(lines, supply, rules=["fifo"])["customers_served"].tolist() == [served]
    share = allocation_summary(compare_allocations(lines, supply, rules=["fifo"]))["concentration"].iloc[0]
    assert share == pytest.approx(1 / 4 if served == 4 else 1 / 16 + 1 / 16 + 1 / 4)
