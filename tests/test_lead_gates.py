"""What `fit_lead_times` and its laws take, and how they refuse the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import backorder_forecast as bf
from backorder_forecast.errors import InvalidSettings, InvalidTables

PLACED = pd.date_range("2024-01-01", periods=40)
ORDERS = pd.DataFrame({"supplier": "ACME", "order_date": PLACED, "received_date": PLACED + pd.Timedelta(days=10)})
NEW = pd.DataFrame({"supplier": ["ACME"], "order_date": ["2024-06-25"]})
LEVELS = [0.1, 0.5, 0.9]


def fit(orders: Any) -> bf.LeadTimes:
    return bf.fit_lead_times(orders, as_of="2024-06-30")


def polars_frame(frame: pd.DataFrame) -> Any:
    return pytest.importorskip("polars").from_pandas(frame)


@pytest.mark.parametrize("other", [pa.Table.from_pandas, polars_frame])
def test_frames_of_other_libraries_are_taken(other: Callable[[pd.DataFrame], Any]) -> None:
    lead = fit(other(ORDERS))
    assert (lead.cdf == fit(ORDERS).cdf).all()
    for method in (lead.quantiles, lead.remaining):
        assert method(other(NEW), LEVELS).to_numpy().tolist() == method(NEW, LEVELS).to_numpy().tolist()


@pytest.mark.parametrize("what", [None, [1, 2], "orders.csv"])
def test_what_is_no_frame_is_refused_in_words(what: Any) -> None:
    with pytest.raises(InvalidTables, match=r"purchase_orders: this is no frame; found .* give a pandas, polars or"):
        fit(what)
    with pytest.raises(InvalidTables, match=r"open_orders: this is no frame"):
        fit(ORDERS).remaining(what, LEVELS)


@pytest.mark.parametrize("column", ["order_date", "received_date"])
def test_dates_none_of_which_can_be_read_are_refused(column: str) -> None:
    with pytest.raises(InvalidTables, match=rf"column {column}: no value is a date; found \d\d/\d\d/2024"):
        fit(ORDERS.assign(**{column: ORDERS[column].dt.strftime("%d/%m/%Y")}))


@pytest.mark.parametrize("zone", ["", "Z", "+14:00", "-1000", " -10"])
def test_a_day_is_that_of_the_clock_on_the_wall(zone: str) -> None:
    text = ORDERS.assign(
        order_date=ORDERS["order_date"].dt.strftime("%Y-%m-%dT23:30:00") + zone,
        received_date=ORDERS["received_date"].dt.strftime("%Y-%m-%dT00:15:00") + zone,
    )
    assert (fit(text).cdf == fit(ORDERS).cdf).all()


def test_levels_that_are_no_list_are_refused() -> None:
    given: Any = 0.5
    with pytest.raises(InvalidSettings, match=r"levels lists probabilities, as in \[0.1, 0.5, 0.9\]; got 0.5"):
        fit(ORDERS).quantiles(NEW, given)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("XX", "unknown supplier_calendars of ACME 'XX'"),
        ("DE-ZZ", "unknown part of DE in supplier_calendars of ACME 'ZZ'"),
        ("0000000", r"1 for a working day \(at least one\), .* got '0000000' for ACME"),
    ],
)
def test_a_calendar_that_is_none_names_its_supplier(code: str, words: str) -> None:
    pytest.importorskip("holidays")
    with pytest.raises(InvalidSettings, match=words):
        bf.fit_lead_times(ORDERS, as_of="2024-06-30", settings=bf.Settings(supplier_calendars={"ACME": code}))
