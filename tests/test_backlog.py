from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from backorder_forecast.backlog import COLUMNS, backlog_frame, growing_note
from backorder_forecast.lines import BackorderLines, open_lines

ITEMS = pd.DataFrame({"sku": ["A", "B"], "location": ["", "x"]})
AS_OF = pd.Timestamp("2024-05-05")


def day(offset: float) -> pd.Timestamp:
    return AS_OF + pd.Timedelta(days=offset)


def make(*rows: dict[str, Any]) -> BackorderLines:
    base = {"order_id": "1", "sku": "A", "location": "", "order_date": day(-20), "quantity": 10.0}
    frame = pd.DataFrame([{**base, **row} for row in rows])
    return open_lines(frame, ITEMS, as_of=AS_OF)


ROWS: list[dict[str, Any]] = [
    {},
    {"order_id": "2", "order_date": day(-40), "filled_date": day(-10)},
    {"order_id": "3", "quantity_filled": 4.0, "filled_date": day(-8)},
    {"order_id": "4", "sku": "B", "location": "x", "order_date": day(-30), "cancelled_date": day(-15)},
    {"order_id": "5", "quantity_filled": 10.0},  # filled, but nobody knows when
]


def test_history_of_lines_units_and_ages() -> None:
    frame = backlog_frame(make(*ROWS), ITEMS, weeks=4)
    assert tuple(frame.columns) == COLUMNS
    total = frame[frame["sku"] == ""].set_index("date")
    assert total.index.tolist() == [day(-28), day(-21), day(-14), day(-7), AS_OF]
    assert total["open_lines"].tolist() == [2, 2, 3, 2, 2]
    assert total["open_units"].tolist() == [20.0, 20.0, 30.0, 16.0, 16.0]
    assert total["median_age_days"].tolist() == [7.0, 14.0, 6.0, 13.0, 20.0]
    b = frame[frame["sku"] == "B"]
    assert b["date"].tolist() == [day(-28), day(-21)]
    assert (b["location"] == "x").all()
    parts = frame[frame["sku"] != ""].groupby("date")["open_units"].sum()
    assert parts.tolist() == total["open_units"].tolist()


def test_a_shipment_without_a_date_counts_from_the_start() -> None:
    frame = backlog_frame(make({"quantity_filled": 3.0}), ITEMS, weeks=1)
    assert frame["open_units"].tolist() == [7.0] * 4


def test_rate_and_growth() -> None:
    demand = pd.DataFrame(
        {
            "sku": ["A", "A", "B"],
            "location": ["", "", "x"],
            "date": [day(-20), day(-5), day(-35)],
            "quantity": [30.0, 20.0, 7.0],
        }
    )
    frame = backlog_frame(make(*ROWS), ITEMS, demand=demand, daily_forecast=np.array([0.5, 0.0]), weeks=4)
    now = frame[frame["date"] == AS_OF].set_index("sku")
    # 20 of the 50 units demanded in the last 28 days became backorders; line 5 is left out.
    assert now.loc["A", "backorder_rate"] == 20 / 50
    assert now.loc["", "backorder_rate"] == 20 / 50
    # 16 open units against 10 four weeks ago (all items: 20), 14 units of demand expected in four weeks.
    assert now.loc["A", "growth_vs_forecast"] == 6 / 14
    assert now.loc["", "growth_vs_forecast"] == -4 / 14
    assert frame.loc[frame["date"] < AS_OF, "growth_vs_forecast"].isna().all()


def test_items_whose_backorders_exceed_their_forecast_are_listed() -> None:
    lines = make({"quantity": 30.0}, {"order_id": "2", "sku": "B", "location": "x", "quantity": 30.0})
    frame = backlog_frame(lines, ITEMS, daily_forecast=np.array([0.5, 1.0]), weeks=4)
    now = frame[frame["date"] == AS_OF].set_index("sku")
    # 14 and 28 units were forecast for the 28 days in which 30 became backorders: more than chance for A only.
    assert now["faster_than_forecast"].to_dict() == {"": True, "A": True, "B": False}
    assert now.loc["A", "new_vs_forecast"] == 30 / 14
    assert not frame.loc[frame["date"] < AS_OF, "faster_than_forecast"].any()
    note = growing_note(frame)
    assert "A (2.1 times)" in note
    assert "B x" not in note
    assert growing_note(backlog_frame(lines, ITEMS, daily_forecast=np.array([5.0, 5.0]))) == ""
    # A shortage of supply alone, with lines as many as are forecast, is none.
    steady = make(*[{"order_id": str(k), "order_date": day(-k), "quantity": 1.0} for k in range(28)])
    assert growing_note(backlog_frame(steady, ITEMS, daily_forecast=np.array([1.0, 0.0]))) == ""
    # Nothing forecast and much wanted is listed as well.
    assert "A (none forecast)" in growing_note(backlog_frame(steady, ITEMS, daily_forecast=np.array([0.0, 0.0])))


def test_without_lines_the_totals_are_zero() -> None:
    frame = backlog_frame(make({"sku": "unknown"}), ITEMS, weeks=2)
    assert frame["open_lines"].tolist() == [0, 0, 0]
    assert frame["open_units"].tolist() == [0.0, 0.0, 0.0]
    assert frame["backorder_rate"].isna().all()


def test_shuffled_rows_change_nothing() -> None:
    rng = np.random.default_rng(3)
    rows = []
    for k in range(60):
        end = int(rng.integers(-60, 1))
        row: dict[str, Any] = {
            "order_id": str(k),
            "order_date": day(-int(rng.integers(1, 120))),
            "quantity": float(rng.integers(1, 9)),
        }
        rows.append({**row, "filled_date": day(end)} if k % 2 else row)
    frames = [backlog_frame(make(*[rows[i] for i in order]), ITEMS) for order in (range(60), rng.permutation(60))]
    pd.testing.assert_frame_equal(frames[0], frames[1])
