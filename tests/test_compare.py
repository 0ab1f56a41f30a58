"""Two plans held against each other: what is said of risks and of promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backorder_forecast.compare import compare_plans
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.frames import FRAMES, empty_frame
from backorder_forecast.result import Plan
from backorder_forecast.settings import Settings

FIRST, SECOND = pd.Timestamp("2024-06-30"), pd.Timestamp("2024-07-31")


def day(offset: int | None) -> Any:
    return pd.NaT if offset is None else FIRST + pd.Timedelta(days=offset)


def frame_of(name: str, **columns: Any) -> pd.DataFrame:
    rows = pd.DataFrame(columns)
    return empty_frame(name).reindex(rows.index)[list(FRAMES[name])].assign(**columns)


def plan(as_of: pd.Timestamp, promises: Mapping[str, int | None], flags: dict[str, str] | None = None) -> Plan:
    """A plan with lines of item A and their promises in days after `FIRST`, and the flags of items."""
    dates = pd.Series([day(d) for d in promises.values()], dtype="datetime64[s]")
    lines = frame_of("fill_dates", order_id=list(promises), sku="A", location="", promise_date=dates)
    risks = frame_of("stockouts", sku=list(flags or {}), location="", flag=list((flags or {}).values()))
    return Plan(frames={"fill_dates": lines, "stockouts": risks}, settings=Settings(), as_of=as_of, freq="D")


def backorders(**outcome: tuple[int | None, int | None]) -> pd.DataFrame:
    """Lines of 2 units of item A with the days on which they were filled and cancelled."""
    filled, cancelled = ([day(o[k]) for o in outcome.values()] for k in range(2))
    return pd.DataFrame(
        {
            "order_id": list(outcome), "sku": "A", "location": "", "order_date": day(-10), "quantity": 2.0,
            "quantity_filled": [np.nan if f is pd.NaT else 2.0 for f in filled],
            "filled_date": pd.Series(filled, dtype="datetime64[s]"),
            "cancelled_date": pd.Series(cancelled, dtype="datetime64[s]"),
        }
    )  # fmt: skip


def kinds(changes: pd.DataFrame) -> dict[str, str]:
    lines = changes[changes["order_id"] != ""]
    return dict(zip(lines["order_id"], lines["kind"], strict=True))


BEFORE = {"early": 10, "late": 10, "dropped": 10, "ahead": 60, "undated": None}


def test_a_line_that_left_the_list_is_closed_where_its_outcome_is_not_known() -> None:
    changes = compare_plans(plan(FIRST, BEFORE), plan(SECOND, {}))
    assert set(changes["kind"]) == {"closed"}
    assert changes["text"].str.endswith("-> no longer open, outcome not known").all()


def test_the_backorders_table_tells_kept_from_broken_and_cancelled() -> None:
    table = backorders(early=(9, None), late=(19, None), dropped=(None, 8), ahead=(31, None), undated=(5, None))
    changes = compare_plans(plan(FIRST, BEFORE), plan(SECOND, {}), closed=table)
    assert kinds(changes) == {
        "early": "promise_kept", "late": "promise_broken", "dropped": "cancelled", "ahead": "promise_kept",
        "undated": "closed",
    }  # fmt: skip
    text = changes.set_index("order_id")["text"]
    assert text["late"] == "promise 2024-07-10 -> filled 2024-07-19"
    assert text["dropped"] == "promise 2024-07-10 -> cancelled 2024-07-08"
    assert text["undated"] == "promise none -> filled 2024-07-05"


def test_what_the_table_records_after_the_plan_is_not_known() -> None:
    changes = compare_plans(plan(FIRST, {"a": 10}), plan(SECOND, {}), closed=backorders(a=(45, None)))
    assert kinds(changes) == {"a": "closed"}


def test_lines_still_open_are_moved_or_broken_whatever_the_table_says() -> None:
    before, after = {"due": 10, "moved": 40, "same": 40, "lost": 40}, {"due": 50, "moved": 45, "same": 40, "lost": None}
    for table in (None, backorders(due=(9, None))):
        changes = compare_plans(plan(FIRST, before), plan(SECOND, after), closed=table)
        assert kinds(changes) == {"due": "promise_broken", "moved": "promise_moved", "lost": "promise_moved"}
    assert changes.set_index("order_id")["text"]["lost"] == "promise 2024-08-09 -> none"


def test_risks_come_first_and_say_their_step() -> None:
    before = plan(FIRST, {"a": 10}, {"A": "ok", "B": "watch", "C": "critical", "D": "ok"})
    after = plan(SECOND, {}, {"A": "watch", "B": "critical", "C": "ok", "D": "ok", "E": "warning"})
    changes = compare_plans(before, after)
    assert changes[["kind", "sku"]].to_numpy().tolist() == [
        ["better_risk", "C"], ["new_risk", "A"], ["new_risk", "E"], ["worse_risk", "B"], ["closed", "A"],
    ]  # fmt: skip
    assert changes["text"].tolist()[2] == "flag new item -> warning"


def test_a_table_that_is_none_of_backorders_is_refused() -> None:
    with pytest.raises(InvalidSettings, match=r"lacks order_date, quantity; give tables\.backorders"):
        compare_plans(plan(FIRST, {"a": 10}), plan(SECOND, {}), closed=pd.DataFrame({"order_id": ["a"], "sku": "A"}))


def test_a_what_if_tells_the_risks_and_orders_that_it_moves() -> None:
    def of_day(as_of: pd.Timestamp, chance: list[float], quantity: list[float]) -> Plan:
        risks = frame_of("stockouts", sku=["A", "B", "C"], location="", flag=["ok", "ok", "watch"], p_stockout=chance)
        orders = frame_of("reorders", sku=["A", "B", "C"], location="", order_quantity=quantity)
        return Plan(frames={"stockouts": risks, "reorders": orders}, settings=Settings(), as_of=as_of, freq="D")

    before = of_day(FIRST, [0.05, 0.10, 0.5], [0.0, 10.0, 20.0])
    after = of_day(FIRST, [0.20, 0.15, 0.5], [0.0, 25.0, 20.0])
    changes = compare_plans(before, after)
    assert changes[["kind", "sku", "before", "after"]].values.tolist() == [
        ["risk_moved", "A", "5%", "20%"],
        ["order_changed", "B", "10", "25"],
    ]
    assert changes["text"].tolist() == ["chance to run out 5% -> 20%", "order 10 -> 25"]
    # From one week to the next every order is new; that is not a change.
    later = of_day(SECOND, [0.20, 0.15, 0.5], [0.0, 25.0, 20.0])
    assert compare_plans(before, later).empty


def test_a_what_if_is_held_against_what_the_paths_say_alone() -> None:
    """It has no learned chances, so flags that those raised would look like changes."""

    def of_flags(flags: list[str], by_paths: list[str], learned: list[float]) -> Plan:
        stockouts = frame_of(
            "stockouts", sku=["A", "B"], location="", flag=flags, flag_projected=by_paths, p_stockout_learned=learned
        )
        return Plan(frames={"stockouts": stockouts}, settings=Settings(), as_of=FIRST, freq="D")

    base = of_flags(["critical", "ok"], ["watch", "ok"], [0.9, 0.0])
    what_if = of_flags(["watch", "warning"], ["watch", "warning"], [np.nan, np.nan])
    changes = compare_plans(base, what_if)
    assert changes[["sku", "kind", "before", "after"]].to_numpy().tolist() == [["B", "new_risk", "ok", "warning"]]
    # Two plans that both have them keep their flags.
    later = of_flags(["warning", "ok"], ["watch", "ok"], [0.7, 0.0])
    assert compare_plans(base, later)["kind"].tolist() == ["better_risk"]
