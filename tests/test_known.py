"""What was known at the end of a day: nothing recorded later may show."""

from __future__ import annotations

import pickle

import pandas as pd
import pytest

import backorder_forecast as bf
from backorder_forecast.known import known_at
from backorder_forecast.schema import TABLES


def check_account(tables: bf.Tables) -> None:
    q = tables.quality
    assert (q["rows_used"] + q["rows_merged"] + q["rows_set_aside"] == q["rows_read"]).all()
    assert q.loc[q["rule"] == "all rows", "rows_set_aside"].sum() == len(tables.set_aside)
    assert q.loc[q["rule"] == "all rows", "rows_used"].tolist() == [len(tables.frame(name)) for name in TABLES]


def rules(tables: bf.Tables, table: str) -> set[str]:
    return set(tables.quality.loc[tables.quality["table"] == table, "rule"])


def world() -> dict[str, pd.DataFrame]:
    return {
        "sales": pd.DataFrame({"sku": "A", "date": ["2024-01-05", "2024-01-08"], "quantity": 1}),
        "inventory": pd.DataFrame({"sku": "A", "date": ["2024-01-05", "2024-01-09"], "on_hand": [4, 3]}),
        "purchase_orders": pd.DataFrame(
            {
                "po_id": ["1", "1", "2", "3"],
                "supplier": "S",
                "sku": "A",
                "order_date": ["2024-01-02", "2024-01-02", "2024-01-03", "2024-01-09"],
                "received_date": ["2024-01-05", "2024-01-08", None, None],
                "quantity_ordered": [10, 10, 5, 5],
                "quantity_received": [4, 6, None, None],
                "promised_date": ["2024-01-06", "2024-01-06", "2024-01-20", None],
                "promise_recorded_date": ["2024-01-02", "2024-01-02", "2024-01-08", None],
                "supplier_confirmed_date": [None, "2024-01-08", "2024-01-22", None],
                "cancelled_date": [None, None, "2024-01-09", None],
            }
        ),
        "backorders": pd.DataFrame(
            {
                "order_id": ["1", "2", "3"],
                "sku": "A",
                "order_date": ["2024-01-04", "2024-01-04", "2024-01-08"],
                "quantity": [3, 2, 1],
                "quantity_filled": [3, None, 0],
                "filled_date": ["2024-01-08", None, None],
                "cancelled_date": [None, "2024-01-09", None],
                "refunded_amount": [None, 7, None],
            }
        ),
        "products": pd.DataFrame({"sku": ["A"], "recalled_from": ["2024-01-09"], "discontinued": ["2024-02-01"]}),
        "events": pd.DataFrame(
            {"kind": ["promotion", "Recall of A"], "start": ["2024-01-20", "2024-01-09"], "end": ["2024-01-25", None]}
        ),
    }


def test_nothing_is_known_before_its_day() -> None:
    tables = bf.read_tables(world(), as_of="2024-01-06")
    assert len(tables.sales) == 1
    assert len(tables.inventory) == 1
    orders = tables.purchase_orders
    assert orders["po_id"].tolist() == ["1", "2"]
    assert orders["received_date"].isna().tolist() == [False, True]
    assert orders["quantity_received"].isna().tolist() == [False, True]
    assert orders["promised_date"].isna().tolist() == [False, True]
    assert orders["supplier_confirmed_date"].isna().all()
    assert orders["cancelled_date"].isna().all()
    lines = tables.backorders
    assert lines["order_id"].tolist() == ["1", "2"]
    assert lines["quantity_filled"].tolist()[0] == 0.0
    assert lines[["filled_date", "cancelled_date", "refunded_amount"]].isna().all(axis=None)
    assert tables.products["recalled_from"].isna().all()
    assert tables.products["discontinued"].notna().all()
    assert tables.events["kind"].tolist() == ["promotion"]
    check_account(tables)


def test_an_earlier_day_replayed() -> None:
    full = bf.read_tables(world(), as_of="2024-01-10")
    assert full.purchase_orders["supplier_confirmed_date"].notna().tolist() == [False, True, True, False]
    past, read = full.as_known("2024-01-06"), bf.read_tables(world(), as_of="2024-01-06")
    for name in set(TABLES) - {"products"}:
        pd.testing.assert_frame_equal(past.frame(name), read.frame(name))
    # The end of a product has no day on which it was decided: unknown when the past is replayed.
    assert past.products["discontinued"].isna().all()
    check_account(past)
    check_account(past.as_known("2024-01-05"))
    assert full.as_known("2024-01-10") is full
    with pytest.raises(bf.InvalidSettings, match="after the last known day"):
        full.as_known("2024-01-11")


LINE = {"order_id": "1", "sku": "A", "location": "", "order_date": "2024-06-01", "quantity": 5.0}
SENT = {"quantity": 9.0, "quantity_filled": 4.0, "filled_date": "2024-08-01", "prepaid_amount": 90.0}
REVISED = {"quantity": 50.0, "promise_recorded_date": "2024-08-01", "prepaid_amount": 400.0, "refunded_amount": 1.0}


def backorder_rows(*rows: dict[str, object]) -> pd.DataFrame:
    empty = dict.fromkeys(TABLES["backorders"].names)
    frame = pd.DataFrame([{**empty, **LINE, **row} for row in rows])
    for column in frame.columns[frame.columns.str.endswith("_date")]:
        frame[column] = pd.to_datetime(frame[column])
    numbers = ["quantity", "quantity_filled", "prepaid_amount", "refunded_amount"]
    return frame.assign(**{c: frame[c].astype(float) for c in numbers})


@pytest.mark.parametrize("later", [SENT, REVISED, {"quantity": 7.0, "cancelled_date": "2024-08-01"}])
def test_a_row_written_later_changes_nothing_of_its_line(later: dict[str, object]) -> None:
    day = pd.Timestamp("2024-06-30")
    rows = backorder_rows({}, later)
    for given in (rows, rows[::-1]):
        known = known_at("backorders", given, day)
        pd.testing.assert_frame_equal(known.frame, rows.iloc[:1])
        assert [column for column, _ in known.asides] == [c for c in later if c.endswith("_date")]
        assert int(known.later.sum()) == 1
    sales = pd.DataFrame({"sku": "A", "date": ["2024-05-01", "2024-09-01"], "quantity": 1})
    past = bf.read_tables({"sales": sales, "backorders": rows}).as_known(day)
    assert past.backorders["quantity"].tolist() == [5.0]
    assert any(rule.endswith("recorded after 2024-06-30") for rule in rules(past, "backorders"))
    check_account(past)


def test_the_only_row_of_a_line_says_nothing_of_later_days() -> None:
    day = pd.Timestamp("2024-06-30")
    for later in (SENT, REVISED):
        known = known_at("backorders", backorder_rows(later), day)
        assert len(known.frame) == 1
        assert (
            known.frame[["filled_date", "promise_recorded_date", "prepaid_amount", "refunded_amount"]]
            .isna()
            .all(axis=None)
        )
    # Of several later rows the earliest speaks for the line.
    both = backorder_rows({**SENT, "quantity": 6.0, "filled_date": "2024-07-02"}, SENT)
    assert known_at("backorders", both[::-1], day).frame["quantity"].tolist() == [6.0]


def test_a_promise_told_in_time_stays_known_when_its_row_is_filled_later() -> None:
    first = {"promised_date": "2024-06-20", "promise_recorded_date": "2024-06-01", "prepaid_amount": 5.0}
    second = {**first, "promised_date": "2024-07-20", "promise_recorded_date": "2024-06-15"}
    rows = backorder_rows(first, {**second, "quantity_filled": 5.0, "filled_date": "2024-07-19"})
    known = known_at("backorders", rows, pd.Timestamp("2024-06-30"))
    assert known.frame["promised_date"].dt.day.tolist() == [20, 20]
    assert known.frame["quantity_filled"].fillna(0).tolist() == [0, 0]
    assert known.frame["prepaid_amount"].tolist() == [5, 5]
    # A later shipment that only repeats a promise brings nothing.
    again = backorder_rows(first, {**first, "quantity": 9.0, "quantity_filled": 4.0, "filled_date": "2024-07-19"})
    assert known_at("backorders", again, pd.Timestamp("2024-06-30")).frame["quantity"].tolist() == [5.0]


@pytest.mark.parametrize("as_of", [None, "2024-06-30"])
def test_a_later_sale_elsewhere_moves_no_order_to_another_location(as_of: str | None) -> None:
    sales = pd.DataFrame({"sku": ["A", "B"], "date": "2024-06-01", "quantity": 1, "location": ["N", "S"]})
    later = pd.DataFrame({"sku": ["A"], "date": ["2024-07-20"], "quantity": [1], "location": ["S"]})
    given = {
        "inventory": pd.DataFrame({"sku": ["A"], "date": ["2024-06-30"], "on_hand": [1], "location": ["N"]}),
        "purchase_orders": pd.DataFrame(
            {"supplier": ["X"], "sku": ["A"], "order_date": ["2024-06-20"], "received_date": [None]}
        ),
    }
    for frame in (sales, pd.concat([sales, later])):
        assert bf.read_tables({"sales": frame, **given}, as_of=as_of).purchase_orders["location"].tolist() == ["N"]


def test_undated_facts_are_unknown_in_the_past() -> None:
    given = world()
    given["backorders"] = given["backorders"].assign(filled_date=None, quantity_filled=[3, 1, 0], cancelled_date=None)
    full = bf.read_tables(given, as_of="2024-01-10")
    assert full.backorders["quantity_filled"].tolist() == [3.0, 1.0, 0.0]
    past = full.as_known("2024-01-06").backorders
    assert past["quantity_filled"].tolist() == [0.0, 0.0]
    assert past["refunded_amount"].isna().all()
    assert "refunded without a cancellation date" in rules(full, "backorders")


def test_planted_future_rows_change_nothing() -> None:
    given = world()
    before = bf.read_tables(given, as_of="2024-01-09")
    day = "2024-02-02"
    planted = {
        "sales": pd.DataFrame({"sku": ["A"], "date": [day], "quantity": [999]}),
        "inventory": pd.DataFrame({"sku": ["A"], "date": [day], "on_hand": [999]}),
        "purchase_orders": given["purchase_orders"].iloc[:1].assign(order_date=day, received_date=day),
        "backorders": given["backorders"].iloc[:1].assign(order_date=day, filled_date=day),
        "events": pd.DataFrame({"kind": ["recall"], "start": [day], "end": [day]}),
    }
    later = {n: pd.concat([f, planted[n]], ignore_index=True) if n in planted else f for n, f in given.items()}
    after = bf.read_tables(later, as_of="2024-01-09")
    for name in TABLES:
        pd.testing.assert_frame_equal(before.frame(name), after.frame(name), check_categorical=False)
    assert len(after.set_aside) == len(before.set_aside) + 5
    check_account(after)


def test_items_of_all_tables() -> None:
    given = world()
    given["products"] = pd.DataFrame({"sku": ["Z", "A"], "price": [1, 2]})
    given["inventory"] = pd.concat(
        [given["inventory"], pd.DataFrame({"sku": ["M"], "date": ["2024-01-05"], "on_hand": [1]})]
    )
    items = bf.read_tables(given, unknown_sku="keep").items()
    assert items["sku"].tolist() == ["A", "M", "Z"]
    assert items["price"].fillna(-1).tolist() == [2.0, -1.0, 1.0]
    assert isinstance(items.index, pd.RangeIndex)
    assert list(items.columns[:3]) == ["sku", "location", "supplier"]


def test_tables_travel() -> None:
    tables = bf.read_tables(world())
    again = pickle.loads(pickle.dumps(tables))
    pd.testing.assert_frame_equal(again.quality, tables.quality)
    assert repr(tables) == repr(again)
    assert "2024-01-09" in repr(tables)


def test_user_frames_are_left_alone() -> None:
    given = world()
    copies = {n: f.copy() for n, f in given.items()}
    bf.read_tables(given, as_of="2024-01-06")
    for name, frame in given.items():
        pd.testing.assert_frame_equal(frame, copies[name])


@pytest.mark.parametrize(
    ("kind", "live", "replayed"),
    [("recall", 0, 0), ("announced recall", 1, 0), ("unplanned recall", 0, 0), ("quality hold", 1, 0), ("sale", 1, 1)],
)
def test_an_event_to_come_is_known_if_it_is_a_plan(kind: str, live: int, replayed: int) -> None:
    rows = pd.DataFrame({"kind": [kind], "start": pd.Timestamp("2024-02-01"), "end": pd.Timestamp("2024-02-09")})
    day = pd.Timestamp("2024-01-09")
    assert [len(known_at("events", rows, day, undated=u).frame) for u in (True, False)] == [live, replayed]
