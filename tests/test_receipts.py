"""Receipts: what is on order, and arrivals that follow the laws whatever the bucket."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from backorder_forecast.clock import Clock
from backorder_forecast.leadtimes import LeadTimes, fit_lead_times
from backorder_forecast.order_lines import order_lines
from backorder_forecast.receipts import (
    NEVER,
    OpenLines,
    draw_arrival_days,
    draw_lead_days,
    open_order_lines,
    receipt_paths,
)
from backorder_forecast.settings import Settings
from backorder_forecast.streams import NEW_ORDER, RECEIPTS, item_keys

AS_OF = pd.Timestamp("2024-12-31")
ITEMS = pd.DataFrame({"sku": ["A", "B", "C"], "location": ""})


def keys(purpose: int = RECEIPTS) -> NDArray[np.uint64]:
    return item_keys(ITEMS["sku"].tolist(), ITEMS["location"].tolist(), 0, purpose)


def history() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    placed = pd.date_range("2023-01-01", periods=300)
    days = rng.gamma(9, 2, 300).astype(int) + 1
    return pd.DataFrame(
        {
            "po_id": [f"H{i}" for i in range(300)], "supplier": "ACME", "sku": "A", "order_date": placed,
            "received_date": placed + pd.to_timedelta(days, "D"), "quantity_ordered": 5.0, "quantity_received": 5.0,
        }
    )  # fmt: skip


def on_order() -> pd.DataFrame:
    ages = [3, 10, 25, 60, 2000]
    return pd.DataFrame(
        {
            "po_id": ["5", "4", "3", "2", "1"], "supplier": ["ACME", "ACME", "new", "ACME", "ACME"],
            "sku": ["A", "A", "C", "C", "C"], "order_date": AS_OF - pd.to_timedelta(ages, "D"),
            "received_date": pd.NaT, "quantity_ordered": [5.0, 6.0, 7.0, 8.0, 9.0], "quantity_received": np.nan,
        }
    )  # fmt: skip


def fitted() -> tuple[LeadTimes, OpenLines]:
    table = pd.concat([history(), on_order()])
    return fit_lead_times(table, as_of=AS_OF), open_order_lines(table, ITEMS, as_of=AS_OF)


def test_open_lines_are_sorted_by_item_and_age_with_pointers() -> None:
    _, lines = fitted()
    assert lines.frame["po_id"].tolist() == ["4", "5", "1", "2", "3"]
    assert lines.frame["item"].tolist() == [0, 0, 2, 2, 2]
    assert lines.item_start.tolist() == [0, 2, 2, 5]
    assert lines.frame["age_days"].tolist() == [10, 3, 2000, 60, 25]
    assert lines.frame["quantity"].tolist() == [6, 5, 9, 8, 7]
    assert "5 lines of 3 items" in repr(lines)


def test_only_what_is_ordered_not_received_and_not_cancelled_is_open() -> None:
    table = pd.DataFrame(
        {
            "po_id": ["1", "1", "2", "3", "4", "4", "5"],
            "supplier": "ACME",
            "sku": "A",
            "order_date": "2024-12-01",
            "quantity_ordered": [10.0, 10.0, 4.0, 6.0, 5.0, 5.0, 8.0],
            "quantity_received": [4.0, 3.0, 4.0, None, 9.0, None, 2.0],
            "received_date": ["2024-12-10", "2024-12-20", "2024-12-20", None, "2024-12-20", None, "2025-01-02"],
            "cancelled_date": [None, None, None, "2024-12-30", None, None, "2025-01-05"],
        }
    )
    lines = open_order_lines(table, ITEMS, as_of=AS_OF)
    assert dict(zip(lines.frame["po_id"], lines.frame["quantity"], strict=True)) == {"1": 3.0, "5": 8.0}


def test_lines_that_cannot_be_on_order_are_set_aside_with_the_reason() -> None:
    table = on_order()
    table.loc[0, "sku"] = "unknown"
    table.loc[1, "sku"] = None
    table.loc[2, "quantity_ordered"] = np.nan
    table.loc[3, "order_date"] = AS_OF + pd.Timedelta(days=1)
    lines = open_order_lines(table, ITEMS, as_of=AS_OF)
    assert lines.frame["po_id"].tolist() == ["1"]
    assert set(lines.set_aside["reason"]) == {
        "open line of an unknown item",
        "open line without a sku",
        "open line without an ordered quantity",
        "ordered after as_of",
    }
    assert len(lines.set_aside) == 4


def test_nothing_on_order() -> None:
    lines = open_order_lines(history(), ITEMS, as_of=AS_OF)
    assert lines.frame.empty
    assert lines.item_start.tolist() == [0, 0, 0, 0]
    lead = fit_lead_times(history(), as_of=AS_OF)
    days = draw_arrival_days(lines, lead, keys(), 0, 3, 50)
    assert days.shape == (0, 50)
    clock = Clock.ahead(AS_OF, "D", 10)
    empty = np.zeros(0)
    paths = receipt_paths(days, empty, empty.astype(np.int64), 3, clock.usable_periods(), clock.n_periods)
    assert paths.shape == (3, 50, 10)
    assert not paths.any()


def test_draws_follow_the_remaining_law_of_each_line() -> None:
    lead, lines = fitted()
    days = draw_arrival_days(lines, lead, keys(), 0, 3, 4000)
    assert days.dtype == np.int32
    assert days.min() >= 1
    levels = [0.1, 0.25, 0.5, 0.75, 0.9]
    law = lead.remaining(lines.frame, levels).to_numpy()
    for row, expected in zip(days, law, strict=True):
        for level, day in zip(levels, expected, strict=True):
            # The law's quantile is the first day with F >= level: F(day - 1) < level <= F(day).
            assert (row < day).mean() - 0.03 < level < (row <= day).mean() + 0.03


def test_draws_depend_neither_on_the_bucket_nor_on_the_number_of_paths() -> None:
    lead, lines = fitted()
    whole = draw_arrival_days(lines, lead, keys(), 0, 3, 300)
    parts = [draw_arrival_days(lines, lead, keys(), i, i + 1, 300) for i in range(3)]
    assert (np.concatenate(parts) == whole).all()
    assert (draw_arrival_days(lines, lead, keys(), 0, 3, 40) == whole[:, :40]).all()


def test_lines_of_one_item_are_drawn_independently() -> None:
    twins = on_order().iloc[[1, 1]].assign(po_id=["a", "b"])
    table = pd.concat([history(), twins])
    lead, lines = fit_lead_times(table, as_of=AS_OF), open_order_lines(table, ITEMS, as_of=AS_OF)
    first, second = draw_arrival_days(lines, lead, keys(), 0, 3, 2000).astype(float)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.08


def test_rows_already_gathered_into_lines_give_the_same_open_lines() -> None:
    table = pd.concat([history(), on_order()])
    lines, again = (open_order_lines(t, ITEMS, as_of=AS_OF) for t in (table, order_lines(table, as_of=AS_OF)))
    assert len(lines.frame)
    pd.testing.assert_frame_equal(lines.frame, again.frame)
    pd.testing.assert_frame_equal(lines.quality, again.quality)


def test_a_later_order_leaves_the_draws_of_earlier_lines_alone() -> None:
    table = pd.concat([history(), on_order()])
    lead = fit_lead_times(table, as_of=AS_OF)
    more = on_order().iloc[:1].assign(po_id="9", order_date=AS_OF)
    before = open_order_lines(table, ITEMS, as_of=AS_OF)
    after = open_order_lines(pd.concat([table, more]), ITEMS, as_of=AS_OF)
    a = draw_arrival_days(before, lead, keys(), 0, 1, 100)
    b = draw_arrival_days(after, lead, keys(), 0, 1, 100)
    assert (a == b[:2]).all()


def test_lead_days_of_new_orders_follow_the_law() -> None:
    lead, _ = fitted()
    rows = lead.law_rows(pd.DataFrame({"supplier": ["ACME", "new", "ACME"], "sku": ITEMS["sku"]}))
    days = draw_lead_days(lead.cdf, rows, keys(NEW_ORDER), 20000)
    for row, law in zip(days, lead.cdf[rows], strict=True):
        share = (row[:, None] <= np.arange(1, 80)).mean(axis=0)
        assert np.abs(share - law[1:80]).max() < 0.015
    assert (draw_lead_days(lead.cdf, rows[1:], keys(NEW_ORDER)[1:], 100) == days[1:, :100]).all()


def test_a_same_day_delivery_is_usable_the_next_day_and_the_mass_beyond_the_grid_never_comes() -> None:
    days = draw_lead_days(np.array([[0.4, 0.6, 0.6]]), np.array([0]), keys()[:1], 5000)[0]
    assert set(days.tolist()) == {1, NEVER}
    assert (days == NEVER).mean() == pytest.approx(0.4, abs=0.03)


def test_receipts_reach_the_first_period_in_which_they_are_usable() -> None:
    clock = Clock.ahead(pd.Timestamp("2024-05-05"), "W-MON", 14)  # a Sunday: weeks start on days 1, 8
    days = np.array([[1, 2, 8, 9, NEVER], [1, 2, 8, 9, 14]], dtype=np.int32)
    paths = receipt_paths(days, np.array([5.0, 2.0]), np.array([0, 0]), 2, clock.usable_periods(), clock.n_periods)
    assert paths[0].tolist() == [[7, 0], [0, 7], [0, 7], [0, 0], [0, 0]]
    assert not paths[1].any()


def test_receipts_add_up_to_what_arrives_within_the_clock() -> None:
    lead, lines = fitted()
    days = draw_arrival_days(lines, lead, keys(), 0, 3, 200)
    clock = Clock.ahead(AS_OF, "D", 60)
    quantity = lines.frame["quantity"].to_numpy()
    paths = receipt_paths(days, quantity, lines.frame["item"].to_numpy(), 3, clock.usable_periods(), clock.n_periods)
    assert paths.sum(axis=(0, 2)) == pytest.approx((quantity[:, None] * (days <= 60)).sum(axis=0))


def test_the_order_of_rows_changes_nothing() -> None:
    table = pd.concat([history(), on_order()])
    shuffled = table.iloc[np.random.default_rng(8).permutation(len(table))]
    a, b = open_order_lines(table, ITEMS, as_of=AS_OF), open_order_lines(shuffled, ITEMS, as_of=AS_OF)
    pd.testing.assert_frame_equal(a.frame, b.frame)


def test_a_rest_that_nobody_delivered_for_long_counts_and_is_named() -> None:
    old = pd.DataFrame(
        {
            "po_id": ["old", "new"], "supplier": "ACME", "sku": "A", "order_date": ["2023-01-01", "2024-12-01"],
            "received_date": ["2023-01-15", "2024-12-20"], "quantity_ordered": 100.0, "quantity_received": 60.0,
        }
    )  # fmt: skip
    found = open_order_lines(pd.concat([history(), old]), ITEMS, as_of=AS_OF)
    assert found.frame["quantity"].tolist() == [40, 40]
    assert found.quality["rule"].tolist() == ["rest of an order line is long overdue"]
    assert found.quality["examples"].tolist() == ["order old of ACME, sku A: nothing came since 2023-01-15"]


def test_orders_that_do_not_cross_arrive_in_the_order_of_their_dates() -> None:
    lines = on_order().iloc[:3].assign(
        po_id=["late", "early", "other"], supplier=["ACME", "ACME", "new"], sku="A",
        order_date=AS_OF - pd.to_timedelta([3, 10, 6], "D"),
    )  # fmt: skip
    table = pd.concat([history(), lines])
    found = open_order_lines(table, ITEMS, as_of=AS_OF)
    assert found.frame["po_id"].tolist() == ["early", "other", "late"]
    free, sorted_ = (
        draw_arrival_days(
            found, fit_lead_times(table, as_of=AS_OF, settings=Settings(no_crossover=stays)), keys(), 0, 3, 2000
        )
        for stays in (False, True)
    )
    assert (free[0] > free[2]).any()
    assert (sorted_[0] <= sorted_[2]).all()
    # The same arrivals in another order; those of the other supplier stay where they are.
    assert (np.sort(free[[0, 2]], axis=0) == sorted_[[0, 2]]).all()
    assert (free[1] == sorted_[1]).all()
