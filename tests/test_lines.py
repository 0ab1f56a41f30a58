from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from backorder_forecast.lines import RULES, BackorderLines, open_lines

ITEMS = pd.DataFrame({"sku": ["A", "B", "C"], "location": ""})
AS_OF = "2024-03-01"


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    base = {"order_id": "1", "sku": "A", "order_date": "2024-02-01", "quantity": 10.0}
    frame = pd.DataFrame([{**base, **row} for row in rows])
    for column in frame.columns[frame.columns.str.endswith("_date")]:
        frame[column] = pd.to_datetime(frame[column])
    return frame


def reasons(lines: BackorderLines) -> dict[str, int]:
    return dict(zip(lines.quality["rule"], lines.quality["rows_read"], strict=True))


def test_rows_of_a_line_are_merged() -> None:
    rows = table(
        {"promised_date": "2024-02-20", "promise_recorded_date": "2024-02-02"},
        {"promised_date": "2024-03-20", "promise_recorded_date": "2024-02-18"},
        {"quantity_filled": 4.0, "filled_date": "2024-02-10"},
        {"quantity_filled": 3.0, "filled_date": "2024-02-25", "unit_price": 5.0, "prepaid_amount": 12.0},
    )
    line = open_lines(rows, ITEMS, as_of=AS_OF).frame.iloc[0]
    assert (line["quantity"], line["ordered_quantity"], line["n_promises"]) == (3.0, 10.0, 2)
    assert line["promised_date"] == pd.Timestamp("2024-03-20")
    assert line["first_promised_date"] == pd.Timestamp("2024-02-20")
    assert line["status"] == "partially filled"
    assert line["waited_days"] == 29
    assert (line["unit_price"], line["prepaid_amount"]) == (5.0, 12.0)


def test_what_happens_later_is_not_known() -> None:
    rows = table(
        {"promised_date": "2024-02-20", "promise_recorded_date": "2024-02-02"},
        {"promised_date": "2024-04-20", "promise_recorded_date": "2024-03-02"},
        {"quantity_filled": 10.0, "filled_date": "2024-03-02"},
        {"order_id": "2", "cancelled_date": "2024-03-05"},
        {"order_id": "3", "order_date": "2024-03-02"},
        {"order_id": "4", "filled_date": "2024-03-09", "substituted_by": "B"},
    )
    lines = open_lines(rows, ITEMS, as_of=AS_OF)
    assert lines.frame["order_id"].tolist() == ["1", "2", "4"]
    assert lines.frame["promised_date"].iloc[0] == pd.Timestamp("2024-02-20")
    assert lines.closed.empty
    assert reasons(lines)["ordered after as_of"] == 1


def test_outcomes() -> None:
    rows = table(
        {"order_id": "full", "filled_date": "2024-02-11"},
        {"order_id": "gone", "cancelled_date": "2024-02-16"},
        {"order_id": "back", "cancelled_date": "2024-02-16", "prepaid_amount": 5.0, "refunded_amount": 5.0},
        {"order_id": "other", "filled_date": "2024-02-21", "substituted_by": "B"},
        {"order_id": "half", "quantity_filled": 4.0, "filled_date": "2024-02-05"},
        {"order_id": "half", "cancelled_date": "2024-02-26"},
    )
    closed = open_lines(rows, ITEMS, as_of=AS_OF).closed.set_index("order_id")
    assert closed["outcome"].to_dict() == {
        "full": "filled",
        "gone": "cancelled",
        "back": "refunded",
        "other": "substituted",
        "half": "cancelled",
    }
    assert closed["days"].to_dict() == {"full": 10, "gone": 15, "back": 15, "other": 20, "half": 25}
    assert closed["filled_quantity"].to_dict()["half"] == 4.0


def test_open_statuses() -> None:
    rows = table(
        {"order_id": "1"},
        {"order_id": "2", "prepaid_amount": 3.0},
        {"order_id": "3", "promised_date": "2024-03-09"},
        {"order_id": "4", "promised_date": "2024-03-09", "promise_recorded_date": "2024-02-02"},
        {"order_id": "4", "promised_date": "2024-03-19", "promise_recorded_date": "2024-02-12"},
    )
    lines = open_lines(rows, ITEMS, as_of=AS_OF)
    assert lines.frame["status"].tolist() == ["created", "confirmed", "promised", "re-promised"]


BAD = [
    ("unknown item", {"sku": "X"}, None),
    ("no order id", {"order_id": None}, None),
    ("no order date", {"order_date": None}, None),
    ("quantity is not positive", {"quantity": 0.0}, None),
    ("quantity is not positive", {"quantity": -3.0}, None),
    ("quantity is not positive", {"quantity": np.nan}, None),
    ("filled before ordered", {"filled_date": "2024-01-05"}, "filled"),
    ("cancelled before ordered", {"cancelled_date": "2024-01-05"}, "cancelled"),
    ("filled and cancelled", {"filled_date": "2024-02-05", "cancelled_date": "2024-02-09"}, "filled"),
    ("filled more than ordered", {"quantity_filled": 11.0, "filled_date": "2024-02-05"}, "filled"),
    ("closed without a date", {"quantity_filled": 10.0}, "filled"),
    ("promised before ordered", {"promised_date": "2024-01-05"}, "open"),
    ("promised date already passed", {"promised_date": "2024-02-20"}, "open"),
    ("negative filled quantity", {"quantity_filled": -1.0}, "open"),
    ("negative amount", {"prepaid_amount": -1.0}, "open"),
    ("prepaid above the price", {"unit_price": 1.0, "prepaid_amount": 11.0}, "open"),
]


@pytest.mark.parametrize(("reason", "row", "fate"), BAD, ids=lambda x: x if isinstance(x, str) else "")
def test_bad_input_is_handled_by_rule_and_counted(reason: str, row: dict[str, Any], fate: str | None) -> None:
    good = {"order_id": "good", "sku": "B"}
    lines = open_lines(table(good, row), ITEMS, as_of=AS_OF)
    assert reasons(lines)[reason] == 1
    assert lines.set_aside["reason"].tolist().count(reason) == 1
    own = lines.set_aside[lines.set_aside["reason"] == reason].iloc[0]
    assert (own["row"], own["effect"]) == (1, RULES[reason][1])
    assert (lines.frame["order_id"] == "good").sum() == 1
    others = lines.frame[lines.frame["order_id"] != "good"]
    outcomes = [*["open"] * len(others), *lines.closed["outcome"]]
    assert outcomes == ([] if fate is None else [fate])
    q = lines.quality
    assert (q["rows_used"] + q["rows_merged"] + q["rows_set_aside"] == q["rows_read"]).all()


def test_values_behind_the_rules() -> None:
    lines = open_lines(
        table({"quantity_filled": 4.0, "filled_date": "2024-01-05"}, {"order_id": "2", "cancelled_date": "2024-01-05"}),
        ITEMS,
        as_of=AS_OF,
    )
    assert lines.frame["quantity"].tolist() == [6.0]
    assert lines.closed["days"].isna().all()
    assert lines.shipments["date"].isna().all()
    early = open_lines(table({"promised_date": "2024-01-05"}), ITEMS, as_of=AS_OF).frame
    assert early["promised_date"].isna().all()
    assert early["status"].tolist() == ["created"]


def test_duplicates_count_once() -> None:
    row = {"quantity_filled": 4.0, "filled_date": "2024-02-05"}
    lines = open_lines(table(row, row, {**row, "promised_date": "2024-03-05"}), ITEMS, as_of=AS_OF)
    assert lines.frame["quantity"].tolist() == [6.0]
    assert reasons(lines) == {"the same row twice": 1, "the same shipment on two rows": 1}
    differ = open_lines(table({}, {"quantity": 12.0, "promise_recorded_date": "2024-02-09"}), ITEMS, as_of=AS_OF)
    assert differ.frame["quantity"].tolist() == [12.0]
    assert reasons(differ) == {"quantities differ within the line": 1}


def test_a_fill_without_quantity_ships_the_rest() -> None:
    rows = table({"quantity_filled": 4.0, "filled_date": "2024-02-05"}, {"filled_date": "2024-02-15"})
    lines = open_lines(rows, ITEMS, as_of=AS_OF)
    assert lines.closed["outcome"].tolist() == ["filled"]
    assert lines.closed["days"].tolist() == [14.0]
    assert lines.shipments["quantity"].tolist() == [4.0, 6.0]


def random_table(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2024-01-01")

    def dates(share: float) -> pd.Series:
        days = pd.Series(start + pd.to_timedelta(rng.integers(0, 90, n), unit="D"))
        return days.where(rng.random(n) < share)

    return pd.DataFrame(
        {
            "order_id": rng.integers(0, n // 2, n).astype(str),
            "sku": rng.choice(["A", "B", "C", "X"], n, p=[0.4, 0.3, 0.2, 0.1]),
            "order_date": dates(0.97),
            "quantity": rng.integers(-1, 9, n).astype(float),
            "quantity_filled": np.where(rng.random(n) < 0.5, np.nan, rng.integers(0, 5, n)),
            "filled_date": dates(0.4),
            "cancelled_date": dates(0.2),
            "promised_date": dates(0.4),
            "promise_recorded_date": dates(0.2),
            "unit_price": rng.integers(1, 5, n).astype(float),
            "customer_id": rng.choice(["", "c1", "c2"], n),
            "complete_only": rng.random(n) < 0.2,
        }
    )


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_rows_change_nothing_and_no_line_is_lost(seed: int) -> None:
    frame = random_table(200, seed)
    mixed = frame.sample(frac=1, random_state=seed)
    lines, again = (open_lines(x, ITEMS, as_of=AS_OF) for x in (frame, mixed))
    pd.testing.assert_frame_equal(lines.frame, again.frame)
    pd.testing.assert_frame_equal(lines.closed, again.closed)
    pd.testing.assert_frame_equal(lines.shipments, again.shipments)
    columns = ["rule", "rows_read", "rows_used", "rows_set_aside"]
    pd.testing.assert_frame_equal(lines.quality[columns], again.quality[columns])
    assert (lines.frame["quantity"] > 0).all()
    usable = frame[(frame["sku"] != "X") & (frame["quantity"] > 0) & (frame["order_date"] <= AS_OF)]
    expected = len(usable[["order_id", "sku"]].drop_duplicates())
    assert len(lines.frame) + len(lines.closed) == expected
    np.testing.assert_array_equal(np.diff(lines.item_start), np.bincount(lines.frame["item"], minlength=3))
    assert not lines.frame.duplicated(["item", "order_id"]).any()


@pytest.mark.parametrize("seed", range(5))
def test_rows_after_as_of_change_nothing(seed: int) -> None:
    frame = random_table(150, seed)
    known = frame.copy()
    later = pd.Timestamp(AS_OF)
    known.loc[known["filled_date"] > later, "quantity_filled"] = 0.0
    for column in ("filled_date", "cancelled_date"):
        known.loc[known[column] > later, column] = pd.NaT
    known.loc[known["promise_recorded_date"] > later, ["promised_date", "promise_recorded_date"]] = pd.NaT
    known = known[~(known["order_date"] > later)]
    revised = (
        known[known["quantity"] > 0]
        .sample(60, random_state=seed)
        .assign(quantity=777.0, quantity_filled=5.0, prepaid_amount=1e6)
    )
    for column in ("filled_date", "cancelled_date", "promise_recorded_date"):
        planted = pd.concat(
            [known, revised.assign(**{column: later + pd.Timedelta(days=9)}), frame[frame["order_date"] > later]]
        )
        lines, past = (open_lines(x.reset_index(drop=True), ITEMS, as_of=AS_OF) for x in (planted, known))
        pd.testing.assert_frame_equal(lines.frame, past.frame)
        pd.testing.assert_frame_equal(lines.closed, past.closed)


def test_empty_table_and_bucket() -> None:
    empty = open_lines(table({}).iloc[:0], ITEMS, as_of=AS_OF)
    assert empty.frame.empty
    assert empty.item_start.tolist() == [0, 0, 0, 0]
    assert empty.queue_quantity.tolist() == [0.0, 0.0, 0.0]
    rows = table({"order_id": "2", "sku": "C"}, {"order_id": "1", "sku": "B"}, {"order_id": "3", "sku": "C"})
    lines = open_lines(rows, ITEMS, as_of=AS_OF)
    part, pointers = lines.bucket(1, 3)
    assert part["order_id"].tolist() == ["1", "2", "3"]
    assert pointers.tolist() == [0, 1, 3]
    assert lines.queue_quantity.tolist() == [0.0, 10.0, 20.0]


def test_a_row_recorded_later_is_set_aside_and_counted() -> None:
    known = {"promised_date": "2024-02-20", "promise_recorded_date": "2024-02-02"}
    later = {
        "quantity": 50.0,
        "promised_date": "2024-05-01",
        "promise_recorded_date": "2024-03-02",
        "prepaid_amount": 9,
    }
    found = open_lines(table(known, later), ITEMS, as_of=AS_OF)
    alone = open_lines(table(known), ITEMS, as_of=AS_OF)
    columns = ["quantity", "promised_date", "n_promises", "prepaid_amount", "status"]
    pd.testing.assert_frame_equal(found.frame[columns], alone.frame[columns], check_dtype=False)
    assert reasons(found)["recorded after as_of"] == 1
    assert found.quality.set_index("rule").loc["recorded after as_of", "rows_set_aside"] == 1
