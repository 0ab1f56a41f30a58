"""The check of lead times on their own past: what it chooses and shows, and that it knows nothing of later days."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backorder_forecast.lead_cases import ARRIVED, cases_of, line_times, most_early
from backorder_forecast.leadtimes import LeadTimes, fit_lead_times
from backorder_forecast.order_lines import order_lines
from backorder_forecast.settings import Settings

AS_OF = pd.Timestamp("2024-12-31")


def placed(days: np.ndarray[Any, Any], first: str = "2023-01-01", **more: Any) -> pd.DataFrame:
    """One order a day that takes `days`; what has not come by `AS_OF` is open."""
    ordered = pd.date_range(first, periods=len(days))
    received = pd.Series(ordered + pd.to_timedelta(days, "D"))
    return pd.DataFrame(
        {"supplier": "ACME", "order_date": ordered, "received_date": received.where(received <= AS_OF), **more}
    )


def fitted(table: pd.DataFrame, **changes: Any) -> LeadTimes:
    return fit_lead_times(table, as_of=AS_OF, settings=Settings(**changes))


def test_lines_are_looked_back_at_as_they_stood() -> None:
    rows = pd.DataFrame(
        {
            "po_id": ["1", "1", "2", "3"], "supplier": "ACME", "sku": "A", "quantity_ordered": 10.0,
            "order_date": ["2024-01-01", "2024-01-01", "2024-01-05", "2024-01-09"],
            "received_date": ["2024-01-04", "2024-01-20", None, None], "quantity_received": [4.0, 6.0, None, None],
            "cancelled_date": [None, None, "2024-01-15", None],
        }
    )  # fmt: skip
    times = line_times(order_lines(rows, as_of="2024-01-31"), longest=730)
    day = int(np.datetime64("2024-01-10").astype(np.int64))
    then = cases_of(times, 1e9, origin=day)
    found = sorted(zip(then.line.tolist(), then.days.tolist(), then.cause.tolist(), then.weight.round(6), strict=True))
    assert found == [(0, 3, 1, 0.4), (0, 9, 0, 0.6), (1, 5, 0, 1.0), (2, 1, 0, 1.0)]
    now = cases_of(times, 1e9)
    found = sorted(zip(now.line.tolist(), now.days.tolist(), now.cause.tolist(), now.weight.round(6), strict=True))
    assert found == [(0, 3, 1, 0.4), (0, 19, 1, 0.6), (1, 10, 2, 1.0), (2, 22, 0, 1.0)]


@given(st.integers(0, 400), st.lists(st.integers(0, 200), min_size=1, max_size=15))
@settings(max_examples=40, deadline=None)
def test_looking_back_is_the_same_as_having_looked_then(back: int, days: list[int]) -> None:
    table = placed(np.array(days), first="2024-01-01")
    day = AS_OF - pd.Timedelta(days=back)
    later = line_times(order_lines(table, as_of=AS_OF), longest=730)
    known = table[table["order_date"] <= day]
    then = line_times(order_lines(known, as_of=day), longest=730)
    a, b = cases_of(later, 365.0, origin=then.as_of), cases_of(then, 365.0)
    for one in (a, b):
        assert (one.weight > 0).all()
    assert sorted(zip(a.days, a.cause, a.weight, strict=True)) == sorted(zip(b.days, b.cause, b.weight, strict=True))


def test_lateness_counts_from_before_the_promise() -> None:
    table = placed(np.array([10, 12, 7]), promised_date=pd.date_range("2023-01-11", periods=3))
    times = line_times(order_lines(table, as_of=AS_OF), longest=730)
    early = most_early(times, 730)
    assert early == 4
    cases = cases_of(times, 1e9, early=early)
    assert sorted(cases.days[cases.cause == ARRIVED] - early) == [-3, 0, 2]


def test_what_was_chosen_and_how_it_did_stands_in_the_table() -> None:
    rng = np.random.default_rng(1)
    lead = fitted(placed(rng.integers(5, 26, 600)))
    table = lead.table()
    assert table["check_n"].tolist()[0] > 200
    assert abs(table["check_coverage_80"][0] - 0.8) < 0.06
    # Uniform over w = 21 days: the loss of the true quantile q is w q (1 - q) / 2, 1.505 days on average.
    assert table["check_pinball"][0] == pytest.approx(1.505, rel=0.12)
    assert table["pool_k"][0] in (5, 10, 20)
    assert table["half_life_days"][0] in (365, 730, 1460)
    assert len(lead.check.scores) >= 9


def test_a_short_history_takes_the_defaults_and_says_so() -> None:
    lead = fitted(placed(np.array([5, 9, 30]), first="2024-06-01"))
    assert not lead.check.chosen
    assert (lead.check.choice.k, lead.check.choice.half_life_days) == (10.0, 730.0)


def test_settings_that_name_a_value_are_followed() -> None:
    rng = np.random.default_rng(2)
    lead = fitted(placed(rng.integers(5, 26, 400)), lead_time_pool_k=3.0, lead_time_half_life_days=100.0)
    assert set(lead.table()["pool_k"]) == {3.0}
    assert set(lead.table()["half_life_days"]) == {100.0}
    assert set(lead.check.scores["k"]) == {3.0}


def test_a_supplier_that_changed_for_good_gets_the_short_memory() -> None:
    rng = np.random.default_rng(3)
    days = np.concatenate([rng.integers(28, 33, 900), rng.integers(8, 13, 600)])
    lead = fitted(placed(days, first="2020-11-01"))
    assert lead.check.choice.half_life_days == 365.0


@pytest.mark.parametrize("level", ["location", "category"])
def test_a_level_that_tells_nothing_is_left_out_and_one_that_does_is_kept(level: str) -> None:
    rng = np.random.default_rng(5)
    place = rng.integers(0, 60, 900)
    noise = fitted(placed(rng.integers(5, 60, 900), location=place.astype(str)))
    assert "location" not in noise.check.choice.kept
    near = rng.integers(0, 2, 900)
    supplier = [f"S{i}" for i in rng.integers(0, 3 if level == "location" else 300, 900)]
    told = placed(np.where(near == 1, 5, 40) + rng.integers(0, 5, 900))
    told[level] = near.astype(str)
    if level == "category":
        supplier = [f"{s}-{n}" for s, n in zip(supplier, near, strict=True)]
    lead = fitted(told.assign(supplier=supplier))
    assert level in lead.check.choice.kept
    new = pd.DataFrame({"supplier": ["S0" if level == "location" else "new"] * 2, level: ["1", "0"]})
    quick, slow = lead.quantiles(new, [0.5])[0.5]
    assert quick < 12 < 38 < slow


def test_the_check_is_the_same_for_any_row_order_and_size() -> None:
    rng = np.random.default_rng(6)
    n = 4000
    table = placed(rng.integers(1, 30, n), first="2014-01-01").assign(sku=rng.integers(0, 50, n).astype(str))
    a = fitted(table)
    b = fitted(table.iloc[rng.permutation(n)])
    pd.testing.assert_frame_equal(a.check.scores, b.check.scores)
    pd.testing.assert_frame_equal(a.table(), b.table())
    assert 0 < a.check.by_law["check_n"].iloc[0] < n / 2


def test_nothing_after_as_of_changes_the_choice() -> None:
    rng = np.random.default_rng(7)
    table = placed(rng.integers(1, 60, 730))
    day = pd.Timestamp("2024-06-30")
    full = fit_lead_times(table, as_of=day)
    cut = table[table["order_date"] <= day]
    cut = cut.assign(received_date=cut["received_date"].where(cut["received_date"] <= day))
    known = fit_lead_times(cut, as_of=day)
    assert full.check.choice == known.check.choice
    pd.testing.assert_frame_equal(full.check.scores, known.check.scores)
