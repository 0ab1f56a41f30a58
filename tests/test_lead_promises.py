"""Dates that suppliers name: when they count, what is read from them, and what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backorder_forecast.leadtimes import LeadTimes, fit_lead_times
from backorder_forecast.order_lines import order_lines
from backorder_forecast.order_remarks import far_remark
from backorder_forecast.receipts import draw_arrival_days, open_order_lines
from backorder_forecast.settings import Settings
from backorder_forecast.streams import RECEIPTS, item_keys

AS_OF = pd.Timestamp("2024-12-31")
LEVELS = [0.1, 0.5, 0.9]


def history(lead: list[int], late: list[int], *, promised: bool = True, n: int = 300) -> pd.DataFrame:
    """Orders promised after a day of `lead`, that come by a day of `late` after their promise."""
    rng = np.random.default_rng(1)
    ordered = pd.date_range("2023-06-01", periods=n)
    wanted = ordered + pd.to_timedelta(rng.choice(lead, n), "D")
    received = pd.Series(wanted + pd.to_timedelta(rng.choice(late, n), "D"))
    table = pd.DataFrame({"supplier": "ACME", "sku": "A", "order_date": ordered})
    table["received_date"] = received.where(received <= AS_OF)
    table["promised_date"] = wanted if promised else pd.NaT
    return table


def open_line(age: int, **more: Any) -> pd.DataFrame:
    return pd.DataFrame({"supplier": ["ACME"], "sku": ["A"], "order_date": [AS_OF - pd.Timedelta(days=age)], **more})


def left(lead: LeadTimes, line: pd.DataFrame) -> list[float]:
    return [float(v) for v in lead.remaining(line, LEVELS).iloc[0]]


def test_promises_that_are_kept_are_believed_and_noise_is_not() -> None:
    kept = fit_lead_times(history([20, 40, 90], [-1, 0, 0, 2]), as_of=AS_OF)
    assert kept.check.choice.from_promise
    assert set(kept.table()["days_from"]) == {"promised date"}
    new = open_line(0, promised_date=[AS_OF + pd.Timedelta(days=60)])
    assert kept.quantiles(new, LEVELS).iloc[0].tolist() == [59, 60, 62]
    unsaid = kept.quantiles(new.drop(columns="promised_date"), LEVELS).iloc[0]
    assert unsaid[0.1] < 25
    assert unsaid[0.9] > 80
    rng = np.random.default_rng(2)
    table = history([20], [0])
    table["promised_date"] = table["order_date"] + pd.to_timedelta(rng.integers(1, 120, len(table)), "D")
    noise = fit_lead_times(table, as_of=AS_OF)
    assert not noise.check.choice.from_promise
    assert noise.quantiles(new, LEVELS).iloc[0].tolist() == [20, 20, 20]


def test_a_promise_made_with_a_later_order_counts_for_it() -> None:
    lead = fit_lead_times(history([20, 40, 90], [0]), as_of=AS_OF)
    day = AS_OF + pd.Timedelta(days=3)
    new = pd.DataFrame({"supplier": ["ACME"], "order_date": [day], "promised_date": [day + pd.Timedelta(days=33)]})
    assert lead.quantiles(new.assign(promise_recorded_date=day), [0.5])[0.5].tolist() == [33]
    later = new.assign(promise_recorded_date=day + pd.Timedelta(days=1))
    assert lead.quantiles(later, [0.5])[0.5].tolist() == lead.quantiles(new[["supplier"]], [0.5])[0.5].tolist()


def test_row_order_changes_neither_promises_nor_categories() -> None:
    rng = np.random.default_rng(9)
    table = pd.concat(
        [history([20, 40], [0, 3]).assign(category="a"), history([9], [1, 5]).assign(supplier="other", category="b")]
    )
    table["po_id"] = [f"{i % 150}" for i in range(len(table))]
    a = fit_lead_times(table, as_of=AS_OF)
    b = fit_lead_times(table.iloc[rng.permutation(len(table))], as_of=AS_OF)
    pd.testing.assert_frame_equal(a.table(), b.table())
    assert a.promises is not None
    assert b.promises is not None
    assert (a.promises.cdf == b.promises.cdf).all()
    assert a.table()["level"].value_counts()["category"] == 2


def test_few_promises_leave_the_durations() -> None:
    table = history([20, 40, 90], [-1, 0, 0, 2])
    table.loc[table.index % 2 == 0, "promised_date"] = pd.NaT
    assert not fit_lead_times(table, as_of=AS_OF).check.choice.from_promise


def test_lateness_counts_from_the_promise_and_open_orders_wait_beyond_it() -> None:
    lead = fit_lead_times(history([20, 40, 90], [0, 5, 10]), as_of=AS_OF)
    due = [AS_OF + pd.Timedelta(days=7)]
    assert left(lead, open_line(30, promised_date=due)) == [7, 12, 17]
    # Six days beyond its promise it can only be the third kind.
    assert left(lead, open_line(30, promised_date=[AS_OF - pd.Timedelta(days=6)])) == [4, 4, 4]


def test_a_date_that_the_supplier_confirms_moves_an_open_order() -> None:
    lead = fit_lead_times(history([20], [0, 1], promised=False), as_of=AS_OF)
    assert left(lead, open_line(5)) == [15, 16, 16]
    table = pd.concat([history([20], [0, 1]), open_line(5)])
    lead = fit_lead_times(table, as_of=AS_OF)
    later = [AS_OF + pd.Timedelta(days=50)]
    assert left(lead, open_line(5, supplier_confirmed_date=later)) == [50, 51, 51]
    sooner = [AS_OF + pd.Timedelta(days=2)]
    assert left(lead, open_line(5, supplier_confirmed_date=sooner)) == [2, 3, 3]


def test_what_is_recorded_after_as_of_is_not_known() -> None:
    lead = fit_lead_times(history([20], [0, 1]), as_of=AS_OF)
    later = {"supplier_confirmed_date": [AS_OF + pd.Timedelta(days=50)]}
    told = open_line(5, **later, promise_recorded_date=[AS_OF + pd.Timedelta(days=1)])
    assert left(lead, told) == left(lead, open_line(5))
    told = open_line(5, **later, promise_recorded_date=[AS_OF])
    assert left(lead, told)[1] >= 50


def test_a_date_far_beyond_the_usual_is_believed_even_where_durations_guide_better() -> None:
    """An order put off for months must not look as if it came in time."""
    rng = np.random.default_rng(3)
    table = history([20], [0])
    table["promised_date"] = table["order_date"] + pd.to_timedelta(rng.integers(10, 31, len(table)), "D")
    lead = fit_lead_times(table, as_of=AS_OF)
    assert not lead.check.choice.from_promise
    assert left(lead, open_line(5, promised_date=[AS_OF + pd.Timedelta(days=12)]))[1] == 15
    assert left(lead, open_line(5, promised_date=[AS_OF + pd.Timedelta(days=200)]))[0] > 180


@pytest.mark.parametrize("arrived", [True, False])
def test_a_filler_date_is_a_denial_unless_such_orders_have_arrived(arrived: bool) -> None:
    table = history([20], [0])
    table["promised_date"] = pd.Timestamp("2099-12-31") if arrived else pd.NaT
    line = open_line(5, po_id="X", promised_date=[pd.Timestamp("2099-12-31")], received_date=pd.NaT)
    table = pd.concat([table, line], ignore_index=True)
    lead = fit_lead_times(table, as_of=AS_OF)
    waits = left(lead, line)
    assert waits[1] == 15 if arrived else waits[0] > 5000
    rows = lead.quality[lead.quality["rule"] == "promised date beyond every lead time"]
    assert rows["rows_read"].sum() >= 1
    assert ("no date" if arrived else "believed") in rows["effect"].iloc[0]


def test_far_dates_are_counted_on_open_lines_only() -> None:
    table = history([20], [0], n=3).assign(promised_date=pd.Timestamp("2099-12-31"))
    assert far_remark(order_lines(table, as_of=AS_OF), longest=730, fillers=True).empty


def test_paths_follow_the_named_dates() -> None:
    lines = pd.concat([open_line(30, promised_date=[AS_OF + pd.Timedelta(days=d)]) for d in (7, 60)])
    lines = lines.assign(po_id=["1", "2"], quantity_ordered=5.0, received_date=None)
    table = pd.concat([history([20, 40, 90], [0, 5, 10]), lines], ignore_index=True)
    lead = fit_lead_times(table, as_of=AS_OF)
    items = pd.DataFrame({"sku": ["A"], "location": [""]})
    found = open_order_lines(table, items, as_of=AS_OF)
    keys = item_keys(["A"], [""], 0, RECEIPTS)
    named = found.frame["po_id"] != ""
    days = draw_arrival_days(found, lead, keys, 0, 1, 3000)[named.to_numpy()]
    for row, line in zip(days, range(int(named.sum())), strict=True):
        law = lead.remaining(found.frame[named].iloc[[line]], LEVELS).iloc[0]
        for level in LEVELS:
            assert (row < law[level]).mean() - 0.03 < level < (row <= law[level]).mean() + 0.03


@given(st.integers(0, 900), st.integers(-200, 2000))
@settings(max_examples=60, deadline=None)
def test_waits_are_ordered_and_never_over(age: int, ahead: int) -> None:
    lead = LEAD
    line = open_line(age, supplier_confirmed_date=[AS_OF + pd.Timedelta(days=ahead)])
    waits = left(lead, line)
    assert 1 <= waits[0] <= waits[1] <= waits[2]
    if ahead > 30:
        assert waits[2] >= ahead - 30


LEAD = fit_lead_times(history([20, 40, 90], [0, 5, 10]), as_of=AS_OF, settings=Settings(lead_time_pool_k=10))
