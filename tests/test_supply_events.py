from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from backorder_forecast.clock import NEVER
from backorder_forecast.supply_events import Closures, item_holds, merged_closures, supplier_closures

AS_OF = pd.Timestamp("2024-06-30")
ITEMS = pd.DataFrame({"sku": ["A", "B", "C"], "category": ["toys", "toys", ""]})


def event(kind: str, start: int, end: int | None, **more: Any) -> dict[str, Any]:
    day = pd.Timedelta(days=1)
    return {"kind": kind, "start": AS_OF + start * day, "end": pd.NaT if end is None else AS_OF + end * day,
            "sku": "", "category": "", "supplier": "", "effect": np.nan, **more}  # fmt: skip


def events(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(rows))


@pytest.mark.parametrize(
    ("row", "window"),
    [
        (event("Supplier closure", 3, 9, supplier="ACME"), [3, 9, True]),
        (event("holiday", -2, 4, supplier="ACME"), [-2, 4, True]),
        (event("closed for stocktaking", 5, None, supplier="ACME"), [5, 5, True]),
        (event("strike", -3, None, supplier="ACME"), [-3, 0, False]),
        (event("fire at the plant", -3, 20, supplier="ACME"), [-3, 20, True]),
    ],
)
def test_a_closure_is_read_by_the_words_of_its_kind(row: dict[str, Any], window: list[Any]) -> None:
    found = supplier_closures(events(row), AS_OF).frame
    assert found["supplier"].tolist() == ["ACME"]
    assert found[["first", "last", "known_end"]].iloc[0].tolist() == window


@pytest.mark.parametrize(
    "row",
    [
        event("closure", 3, 9),
        event("promotion", 3, 9, supplier="ACME"),
        event("closing sale", 3, 9, supplier="ACME", effect=1.5),
        event("recall", -3, 9, supplier="ACME"),
    ],
)
def test_what_names_no_supplier_or_speaks_of_demand_closes_nobody(row: dict[str, Any]) -> None:
    assert supplier_closures(events(row), AS_OF).frame.empty


def test_windows_that_overlap_count_once() -> None:
    rows = pd.DataFrame({"supplier": ["X", "X", "Y", "X"], "first": [1, 4, 2, 20], "last": [5, 9, 3, 22]})
    merged = merged_closures(rows.assign(known_end=True)).frame
    assert merged[["supplier", "first", "last"]].values.tolist() == [["X", 1, 9], ["X", 20, 22], ["Y", 2, 3]]
    days = np.array([[0 + 1, 10, 30]], dtype=np.int32)
    # Day 1 is put off to 10; day 10 to 19; day 30 by both to 30 + 9 + 3.
    assert Closures(merged).later(days, pd.Series(["X"])).tolist() == [[10, 19, 42]]


def test_closed_days_count_within_the_life_of_an_order() -> None:
    shut = Closures(pd.DataFrame({"supplier": ["X"], "first": [-9], "last": [4], "known_end": [True]}))
    ages = np.array([0, 3, 10, 30])
    assert shut.closed_days(pd.Series(["X"] * 4), ages).tolist() == [0, 3, 10, 10]
    assert shut.closed_days(pd.Series(["Z"] * 4), ages).tolist() == [0, 0, 0, 0]


def test_what_never_comes_stays_so() -> None:
    shut = Closures(pd.DataFrame({"supplier": ["X"], "first": [1], "last": [4], "known_end": [True]}))
    assert shut.later(np.array([[NEVER]], dtype=np.int32), pd.Series(["X"])).tolist() == [[NEVER]]


@pytest.mark.parametrize(
    ("row", "held", "release"),
    [
        (event("recall", -3, 9, sku="A"), [True, False, False], 10),
        (event("Quality hold", 0, 0, category="toys"), [True, True, False], 1),
        (event("quarantine", -3, None, sku="C"), [False, False, True], NEVER),
        (event("recall", -9, -1, sku="A"), [False, False, False], 0),
        (event("recall", 1, 9, sku="A"), [False, False, False], 0),
        (event("recall", -3, 9), [False, False, False], 0),
        (event("promotion", -3, 9, sku="A"), [False, False, False], 0),
        (event("recall", -3, 9, sku="A", category="tools"), [False, False, False], 0),
    ],
)
def test_a_hold_concerns_what_it_names_while_it_runs(row: dict[str, Any], held: list[bool], release: int) -> None:
    holds = item_holds(events(row), ITEMS, AS_OF)
    assert holds.held.tolist() == held
    assert set(holds.release[holds.held].tolist()) <= {release}
    # A recall concerns what comes in as well, a hold only what is there.
    assert holds.receipts.tolist() == [h and row["kind"] == "recall" for h in held]


def test_a_hold_of_receipts_keeps_deliveries_until_its_end() -> None:
    holds = item_holds(events(event("hold of incoming goods", -1, 9, sku="A")), ITEMS, AS_OF)
    assert holds.receipts.tolist() == [True, False, False]
    days = np.array([[3, 15], [3, 15]], dtype=np.int32)
    assert holds.later(days, np.array([0, 1])).tolist() == [[10, 15], [3, 15]]


def test_the_next_hold_is_known_and_what_touches_is_one() -> None:
    rows = events(
        event("recall", 5, 9, sku="A"), event("hold", 10, 14, category="toys"), event("recall", 30, 33, sku="A"),
        event("hold", -3, 4, sku="C"), event("recall", 5, None, sku="C"),
    )  # fmt: skip
    holds = item_holds(rows, ITEMS, AS_OF)
    assert holds.held.tolist() == [False, False, True]
    assert holds.release[2] == NEVER, "a recall that follows at once goes on from the hold"
    assert holds.next_day.tolist() == [5, 10, NEVER]
    assert holds.next_release.tolist() == [15, 15, 0]
    assert holds.next_receipts.tolist() == [True, False, False]
    assert holds.n_later == 1
    days = np.array([[4, 5, 14, 15]] * 2, dtype=np.int32)
    assert holds.later(days, np.array([0, 1])).tolist() == [[4, 15, 15, 15], [4, 5, 14, 15]]


def test_recall_dates_of_products_are_recalls() -> None:
    items = ITEMS.assign(
        recalled_from=AS_OF + pd.to_timedelta(pd.Series([-2, 3, None]), unit="D"),
        recalled_to=AS_OF + pd.to_timedelta(pd.Series([7, None, 2]), unit="D"),
    )
    holds = item_holds(events(), items, AS_OF)
    assert (holds.held.tolist(), holds.receipts.tolist()) == ([True, False, False], [True, False, False])
    assert (holds.release[0], holds.next_day[1], holds.next_release[1]) == (8, 3, NEVER)
    assert holds.next_day[2] == NEVER, "an end without a beginning says nothing"


def test_of_two_holds_the_later_end_counts() -> None:
    two = events(event("hold", -3, 5, sku="A"), event("recall", -3, 20, category="toys"))
    assert item_holds(two, ITEMS, AS_OF).release.tolist() == [21, 21, 0]


def test_words_within_words_are_no_holds_and_no_closures() -> None:
    items = pd.DataFrame({"sku": ["A"], "category": ["x"]})
    start, end = pd.Timestamp("2024-07-01"), pd.Timestamp("2024-07-30")
    for kind, held in (("household week", False), ("threshold sale", False), ("quality hold", True), ("on-hold", True)):
        rows = pd.DataFrame({"kind": [kind], "start": start, "end": end, "sku": "A", "effect": np.nan})
        assert item_holds(rows, items, pd.Timestamp("2024-07-10")).held.tolist() == [held], kind
    for kind, closed in (("campfire fair", 0), ("fire", 1), ("strike", 1), ("summer closure", 1), ("nonstop sale", 0)):
        rows = pd.DataFrame({"kind": [kind], "start": start, "end": end, "supplier": "ACME", "effect": np.nan})
        assert len(supplier_closures(rows, pd.Timestamp("2024-07-10")).frame) == closed, kind
