"""Rows of purchase orders become lines; what cannot be used is set aside and what is not yet known is unknown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backorder_forecast.errors import InvalidSettings, InvalidTables
from backorder_forecast.known import known_at
from backorder_forecast.order_lines import order_lines
from backorder_forecast.schema import TABLES

AS_OF = "2024-03-31"


def one_line(received: list[str | None], quantity: list[float | None], **more: object) -> pd.DataFrame:
    base = {"po_id": "7", "supplier": "ACME", "sku": "A", "location": "", "order_date": "2024-01-01"}
    return pd.DataFrame(
        {**base, "quantity_ordered": 10.0, "quantity_received": quantity, "received_date": received, **more}
    )


def test_receipts_of_one_line_add_up_and_the_rest_is_open() -> None:
    found = order_lines(one_line(["2024-01-09", "2024-01-21"], [4, 3]), as_of=AS_OF)
    assert len(found.lines) == 1
    assert found.receipts["share"].tolist() == pytest.approx([0.4, 0.3])
    assert found.receipts["days"].tolist() == [8, 20]
    assert found.lines["open_share"][0] == pytest.approx(0.3)


@pytest.mark.parametrize("quantity", [[10.0, 10.0], [8.0, 8.0], [25.0, 1.0]])
def test_more_than_was_ordered_or_a_receipt_booked_twice_counts_once(quantity: list[float | None]) -> None:
    found = order_lines(one_line(["2024-01-09", "2024-01-21"], quantity), as_of=AS_OF)
    assert found.receipts["share"].sum() == pytest.approx(1.0)
    assert found.lines["open_share"][0] == 0.0


def test_a_receipt_without_a_quantity_brings_what_is_left() -> None:
    found = order_lines(one_line(["2024-01-09", "2024-01-21"], [4, None]), as_of=AS_OF)
    assert found.receipts["share"].tolist() == pytest.approx([0.4, 0.6])
    assert found.lines["quantity_received"][0] == pytest.approx(10.0)


def test_without_quantities_each_row_is_an_equal_part() -> None:
    rows = one_line(["2024-01-09", None], [None, None]).drop(columns=["quantity_ordered", "quantity_received"])
    found = order_lines(rows, as_of=AS_OF)
    assert found.receipts["share"].tolist() == [0.5]
    assert found.lines["open_share"].tolist() == [0.5]


def test_without_an_order_number_every_row_is_a_line() -> None:
    rows = one_line(["2024-01-09", "2024-01-09"], [10, 10]).drop(columns="po_id")
    assert len(order_lines(rows, as_of=AS_OF).lines) == 2


def test_a_cancelled_rest_is_not_open() -> None:
    found = order_lines(one_line(["2024-01-09", None], [4, None], cancelled_date=[None, "2024-02-01"]), as_of=AS_OF)
    assert found.lines["open_share"][0] == 0.0
    assert found.lines["cancelled_share"][0] == pytest.approx(0.6)


def test_what_is_dated_later_has_not_happened() -> None:
    later = one_line(
        ["2024-01-09", "2024-04-05"], [4, 6], cancelled_date=[None, "2024-04-02"],
        promised_date=["2024-01-10", "2024-04-06"], promise_recorded_date=["2024-01-02", "2024-04-01"],
    )  # fmt: skip
    found = order_lines(later, as_of=AS_OF)
    assert found.receipts["days"].tolist() == [8]
    assert found.lines["open_share"][0] == pytest.approx(0.6)
    assert found.lines["promised_date"].tolist() == [pd.Timestamp("2024-01-10")]


def test_the_date_the_supplier_names_now_counts_and_the_first_promise_is_kept() -> None:
    rows = one_line(
        ["2024-01-09", None], [4, None], promised_date=["2024-01-10", "2024-02-10"],
        supplier_confirmed_date=[None, "2024-04-20"],
    )  # fmt: skip
    line = order_lines(rows, as_of=AS_OF).lines.iloc[0]
    assert (line["first_promised_date"], line["promised_date"]) == (
        pd.Timestamp("2024-01-10"),
        pd.Timestamp("2024-04-20"),
    )


def test_rows_that_cannot_be_used_are_set_aside_with_the_reason() -> None:
    rows = pd.DataFrame(
        {
            "supplier": "ACME",
            "order_date": ["2024-01-01", None, "2024-05-01", "soon", *["2024-01-01"] * 4],
            "received_date": ["2024-01-05", "2024-01-05", None, None, "2023-12-30", "later", None, None],
            "quantity_ordered": [1, 1, 1, 1, 1, 1, 0, 1],
            "cancelled_date": [None, None, None, None, None, None, None, "2023-12-01"],
        }
    )  # fmt: skip
    found = order_lines(rows, as_of=AS_OF)
    assert found.set_aside["row"].tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert found.set_aside["reason"].tolist() == [
        "order date is missing or not a date",
        "ordered after as_of",
        "order date is missing or not a date",
        "received before it was ordered",
        "received date is not a date",
        "ordered quantity is not positive",
        "cancelled before it was ordered",
    ]
    assert found.receipts["days"].tolist() == [4]


def test_goods_with_an_impossible_receipt_date_are_not_open() -> None:
    found = order_lines(one_line(["2023-12-30", None], [6, None]), as_of=AS_OF)
    assert found.lines["open_share"][0] == pytest.approx(0.4)
    assert found.receipts.empty


def test_a_quantity_received_without_a_date_has_arrived_and_tells_no_duration() -> None:
    found = order_lines(one_line([None], [10]), as_of=AS_OF)
    assert found.lines["open_share"].tolist() == [0.0]
    assert found.receipts.empty
    part = order_lines(one_line([None, "2024-01-21"], [4, 3]), as_of=AS_OF)
    assert part.lines["open_share"][0] == pytest.approx(0.3)
    assert part.receipts["days"].tolist() == [20]
    later = order_lines(one_line(["2024-04-21"], [10]), as_of=AS_OF)
    assert later.lines["open_share"].tolist() == [1.0]


def test_a_revised_quantity_is_one_line_of_the_latest() -> None:
    rows = one_line(["2024-01-20", None], [60, None]).assign(quantity_ordered=[100.0, 120.0])
    for given in (rows, rows[::-1]):
        found = order_lines(given, as_of=AS_OF)
        assert found.lines["quantity_ordered"].tolist() == [120.0]
        assert found.lines["open_share"].tolist() == [0.5]
        assert found.remarks["rule"].tolist() == ["ordered quantity was revised"]
        assert "100 became 120" in found.remarks["examples"][0]
    told = one_line([None, None], [None, None], promise_recorded_date=["2024-01-01", "2024-02-01"])
    found = order_lines(told.assign(quantity_ordered=[100.0, 80.0]), as_of=AS_OF)
    assert found.lines["quantity_ordered"].tolist() == [80.0]


def test_what_arrived_in_full_and_what_cannot_be_a_revision_stay_lines_of_their_own() -> None:
    whole = one_line(["2024-01-20", None], [100, None]).assign(quantity_ordered=[100.0, 50.0])
    found = order_lines(whole, as_of=AS_OF).lines
    assert (found["quantity_ordered"] * found["open_share"]).tolist() == [50.0, 0.0]
    less = one_line(["2024-01-20", None], [60, None]).assign(quantity_ordered=[100.0, 50.0])
    found = order_lines(less, as_of=AS_OF).lines
    assert (found["quantity_ordered"] * found["open_share"]).tolist() == pytest.approx([50.0, 40.0])


def test_open_rows_of_one_order_without_receipts_are_schedule_lines_and_that_is_said() -> None:
    for more in ({}, {"promised_date": ["2024-05-01", "2024-06-01"]}):
        found = order_lines(one_line([None, None], [None, None], **more), as_of=AS_OF)
        assert found.lines["open_share"].tolist() == [1.0, 1.0]
        assert found.remarks["rule"].tolist() == ["several open rows of one order"]
        assert found.remarks["rows_used"].tolist() == [2]
    one = order_lines(one_line(["2024-01-09", None], [4, None]), as_of=AS_OF)
    assert one.remarks.empty


def test_receipts_to_come_are_one_open_line_whatever_they_say() -> None:
    later = one_line(["2024-05-05", "2024-06-20"], [40, 60]).assign(quantity_ordered=100.0)
    known = one_line([None], [None]).assign(quantity_ordered=100.0)
    for rows in (later, later[::-1], pd.concat([known, later]), later.assign(quantity_ordered=[100.0, 120.0])):
        for given in (rows, known_at("purchase_orders", filled_out(rows), pd.Timestamp(AS_OF)).frame):
            found = order_lines(given, as_of=AS_OF).lines
            assert (found["quantity_ordered"] * found["open_share"]).tolist() == [100.0]
    several = one_line(["2024-05-05", "2024-06-20"], [100, 50]).assign(quantity_ordered=[100.0, 50.0])
    found = order_lines(several, as_of=AS_OF).lines
    assert (found["quantity_ordered"] * found["open_share"]).tolist() == [50.0, 100.0]


def filled_out(rows: pd.DataFrame) -> pd.DataFrame:
    """With all columns of the table, dates as dates."""
    frame = rows.reindex(columns=TABLES["purchase_orders"].names).reset_index(drop=True)
    dates = {c: pd.to_datetime(frame[c]) for c in frame.columns[frame.columns.str.endswith("_date")]}
    return frame.assign(**dates, quantity_received=frame["quantity_received"].astype(float))


def test_quantities_of_receipts_share_what_was_ordered() -> None:
    found = order_lines(one_line(["2024-01-09", "2024-01-21"], [None, None]), as_of=AS_OF)
    assert found.receipts["quantity"].tolist() == [5.0, 5.0]
    twice = order_lines(one_line(["2024-01-09", "2024-01-09"], [10, 10]), as_of=AS_OF)
    assert twice.receipts["quantity"].tolist() == [10.0]


@pytest.mark.parametrize("flip", [False, True])
def test_the_promise_told_first_is_the_first_and_the_one_told_last_holds_now(flip: bool) -> None:
    """The supplier put the date off in February and pulled it in again in March."""
    rows = one_line([None] * 3, [None] * 3).assign(
        promised_date=["2024-02-20", "2024-05-30", "2024-04-15"],
        promise_recorded_date=["2024-01-02", "2024-02-10", "2024-03-10"],
    )
    found = order_lines(rows.iloc[::-1] if flip else rows, as_of=AS_OF).lines
    assert len(found) == 1
    assert found["first_promised_date"].tolist() == [pd.Timestamp("2024-02-20")]
    assert found["promised_date"].tolist() == [pd.Timestamp("2024-04-15")]
    earlier = order_lines(rows, as_of="2024-02-29").lines
    assert earlier["promised_date"].tolist() == [pd.Timestamp("2024-05-30")]


def test_dates_of_any_make_and_keys_that_are_not_text() -> None:
    rows = pd.DataFrame(
        {
            "supplier": pd.Categorical(["A", "A"]),
            "sku": [17, 17],
            "order_date": [pd.Timestamp("2024-01-01").date()] * 2,
            "received_date": pd.DatetimeIndex(["2024-01-05 17:30", "NaT"]).tz_localize("Europe/Berlin"),
        }
    )
    found = order_lines(rows, as_of=pd.Timestamp("2024-03-31 12:00"))
    assert found.receipts["days"].tolist() == [4]
    assert set(found.lines["sku"]) == {"17"}
    assert found.as_of == pd.Timestamp(AS_OF)


def test_lines_do_not_depend_on_the_order_of_rows() -> None:
    rng = np.random.default_rng(1)
    rows = pd.concat([one_line(["2024-01-09", None], [q, None]).assign(po_id=str(q)) for q in range(1, 9)])
    shuffled = rows.iloc[rng.permutation(len(rows))]
    a, b = order_lines(rows, as_of=AS_OF), order_lines(shuffled, as_of=AS_OF)
    pd.testing.assert_frame_equal(a.lines, b.lines)
    pd.testing.assert_frame_equal(a.receipts, b.receipts)


def test_refusals() -> None:
    with pytest.raises(InvalidTables, match="received_date: needed column is missing"):
        order_lines(pd.DataFrame({"supplier": ["A"], "order_date": ["2024-01-01"]}), as_of=AS_OF)
    for as_of in ("yesterday?", "NaT"):
        with pytest.raises(InvalidSettings, match="as_of is a date"):
            order_lines(one_line([None], [None]), as_of=as_of)


def test_an_empty_table_has_its_columns() -> None:
    found = order_lines(one_line([], []), as_of=AS_OF)
    assert found.lines.empty
    assert "open_share" in found.lines
    assert list(found.set_aside) == ["table", "row", "column", "reason", "found"]
