"""Working days of suppliers: lead times counted in them, and dates that fall on them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.lead_days import WorkCalendars, add_business_days, work_calendars
from backorder_forecast.leadtimes import LeadTimes, fit_lead_times
from backorder_forecast.pipeline import make_plan
from backorder_forecast.receipts import NEVER, draw_arrival_days, draw_lead_days, draw_new_orders, open_order_lines
from backorder_forecast.settings import Settings
from backorder_forecast.streams import RECEIPTS, item_keys
from backorder_forecast.tables import read_tables

AS_OF = pd.Timestamp("2024-06-27")  # a Thursday
WEEK = {"ACME": "1111100"}


def day(text: str) -> int:
    return int(np.datetime64(text).astype(np.int64))


def calendars(codes: Mapping[str, str] = WEEK) -> WorkCalendars:
    return work_calendars(codes, day("2023-01-01"), day("2026-12-31"))


def history(work_days: int = 3) -> pd.DataFrame:
    """Orders of every weekday that take `work_days` days of Monday to Friday."""
    placed = pd.bdate_range("2023-06-01", periods=250)
    received = add_business_days(placed, work_days)
    return pd.DataFrame({"supplier": "ACME", "sku": "A", "order_date": placed, "received_date": received})


def fitted(codes: Mapping[str, str] = WEEK, **more: str) -> LeadTimes:
    return fit_lead_times(history().assign(**more), as_of=AS_OF, settings=Settings(supplier_calendars=codes))


def test_a_week_counts_as_seven_days_and_a_weekend_as_none() -> None:
    acme = pd.Series(["ACME"] * 4 + ["other"])
    start = np.array([day("2024-06-03"), day("2024-06-07"), day("2024-06-07"), day("2024-06-08"), day("2024-06-07")])
    end = np.array([day("2024-06-10"), day("2024-06-09"), day("2024-06-10"), day("2024-06-09"), day("2024-06-10")])
    assert calendars().elapsed(acme, start, end).tolist() == [7, 0, 1, 0, 3]


@given(st.integers(0, 700), st.integers(0, 120))
@settings(max_examples=80, deadline=None)
def test_days_there_and_back(offset: int, days: int) -> None:
    known = calendars({"ACME": "1111100", "six": "1111110"})
    for name in ("ACME", "six", "none"):
        supplier, start = pd.Series([name]), np.array([day("2023-01-02") + offset])
        back = known.calendar_days(supplier, start, np.array([[float(days)]]))[0, 0]
        again = int(known.elapsed(supplier, start, start + int(back))[0])
        # Counting back reaches the lead time, and a day earlier does not.
        assert again >= days
        if back >= 1:
            assert int(known.elapsed(supplier, start, start + int(back) - 1)[0]) < days


def test_orders_of_a_friday_come_after_the_weekend() -> None:
    new = pd.DataFrame({"supplier": "ACME", "sku": "A", "order_date": pd.to_datetime(["2024-06-24", "2024-06-28"])})
    assert fitted().quantiles(new, [0.1, 0.5, 0.9]).to_numpy().tolist() == [[3, 3, 3], [5, 5, 5]]
    # Without the calendar both are the same mixture of three and five days.
    plain = fitted({}).quantiles(new, [0.1, 0.9]).to_numpy()
    assert plain.tolist() == [[3, 5], [3, 5]]


def test_remaining_days_and_paths_fall_on_working_days() -> None:
    line = pd.DataFrame(
        {"supplier": ["ACME"], "sku": "A", "order_date": [AS_OF], "quantity_ordered": 5.0, "po_id": "X"}
    )
    lead = fitted()
    # Ordered on Thursday: Friday, Monday, Tuesday.
    assert lead.remaining(line, [0.5])[0.5].tolist() == [5]
    assert lead.remaining(line, [0.5], as_of=AS_OF + pd.Timedelta(days=4))[0.5].tolist() == [1]
    table = pd.concat([history(), line], ignore_index=True)
    found = open_order_lines(table, pd.DataFrame({"sku": ["A"], "location": [""]}), as_of=AS_OF)
    days = draw_arrival_days(found, lead, item_keys(["A"], [""], 0, RECEIPTS), 0, 1, 500)
    arrives = AS_OF + pd.to_timedelta(days[found.frame["po_id"].to_numpy() == "X"][0], "D")
    assert (arrives.day_of_week < 5).all()
    assert np.median(days[-1]) == 5


def test_a_calendar_leaves_other_suppliers_alone() -> None:
    table = pd.concat([history(), history(8).assign(supplier="other")])
    given_ = fit_lead_times(table, as_of=AS_OF, settings=Settings(supplier_calendars=WEEK))
    new = pd.DataFrame({"supplier": "other", "order_date": pd.to_datetime(["2024-06-24", "2024-06-28"])})
    plain = fit_lead_times(table, as_of=AS_OF).quantiles(new, [0.5])
    assert (given_.quantiles(new, [0.5]) - plain).abs().to_numpy().max() <= 1


def test_public_holidays_are_free() -> None:
    pytest.importorskip("holidays")
    found = calendars({"ACME": "DE"})
    start = np.array([day("2024-12-23")])
    assert found.calendar_days(pd.Series(["ACME"]), start, np.array([[1.4]])).tolist() == [[1]]
    # The 24th is a working day, the 25th and 26th are not.
    assert found.calendar_days(pd.Series(["ACME"]), start, np.array([[2.8]])).tolist() == [[4]]


def test_refusals_and_what_is_not_used() -> None:
    with pytest.raises(InvalidSettings, match="seven signs"):
        calendars({"ACME": "11111"})
    with pytest.raises(InvalidSettings, match="seven signs"):
        calendars({"ACME": "0000000"})
    pytest.importorskip("holidays")
    with pytest.raises(InvalidSettings, match="unknown"):
        calendars({"ACME": "Atlantis"})
    row = fitted({"ACM": "1111100"}).quality
    assert row["rule"].tolist() == ["calendar of an unknown supplier"]
    assert row["examples"].tolist() == ["ACM"]


@pytest.mark.parametrize(("placed", "arrives"), [(0, "2024-07-02"), (1, "2024-07-03"), (2, "2024-07-03")])
def test_orders_not_placed_yet_come_on_working_days(placed: int, arrives: str) -> None:
    # Three working days after Thursday, Friday and Saturday.
    lead = fitted()
    acme = pd.DataFrame({"supplier": ["ACME"], "sku": ["A"]})
    key = np.array([3], dtype=np.uint64)
    days = draw_new_orders(lead, lead.law_rows(acme), acme["supplier"], key, 200, after=placed)
    assert AS_OF + pd.Timedelta(days=placed + int(np.median(days))) == pd.Timestamp(arrives)
    dates = AS_OF + pd.to_timedelta(placed + days[0][days[0] < NEVER], unit="D")
    assert (dates.day_of_week < 5).all()
    plain = draw_lead_days(lead.cdf, lead.law_rows(acme), key, 200)
    assert ((plain == NEVER) == (days == NEVER)).all()


def test_a_plan_orders_by_the_calendar_of_the_supplier() -> None:
    tables = {
        "sales": pd.DataFrame({"sku": "A", "date": pd.date_range("2024-01-01", AS_OF), "quantity": 2.0}),
        "inventory": pd.DataFrame({"sku": ["A"], "date": [AS_OF], "on_hand": [3.0]}),
        "purchase_orders": history().assign(quantity_ordered=1.0, po_id=[str(k) for k in range(250)]),
        "products": pd.DataFrame({"sku": ["A"], "supplier": ["ACME"]}),
    }
    quick = Settings(n_paths=100, horizon_days=14, workers=1, global_model=False, learned_flag=False)
    read = read_tables(tables, as_of=AS_OF)
    arrival = [
        make_plan(read, quick.replace(supplier_calendars=codes)).reorders["arrival_0.9"].iloc[0]
        for codes in (WEEK, {"ACME": "1111100"}, {})
    ]
    assert arrival[0] == arrival[1] == pd.Timestamp("2024-07-02")
    assert arrival[2] >= arrival[0]
