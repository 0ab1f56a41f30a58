"""Scorecards counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backorder_forecast.order_lines import order_lines
from backorder_forecast.scorecards import scorecard


def test_counts_by_hand() -> None:
    rows = pd.DataFrame(
        {
            "po_id": ["1", "2", "3", "3", "4", "5", "6"],
            "supplier": "ACME",
            "sku": "A",
            "order_date": "2024-01-01",
            "quantity_ordered": 10.0,
            "quantity_received": [10, 10, 4, 6, None, 5, None],
            # 1 on time, 2 late by 4, 3 whole late by 10, 4 overdue by 21, 5 cancelled after half, 6 may come today
            "received_date": ["2024-01-10", "2024-01-14", "2024-01-08", "2024-01-20", None, "2024-01-15", None],
            "promised_date": ["2024-01-10"] * 6 + ["2024-01-31"],
            "cancelled_date": [None, None, None, None, None, "2024-01-25", None],
        }
    )
    orders = order_lines(rows, as_of="2024-01-31")
    everything = np.zeros(len(orders.lines), dtype=np.int64)
    found = scorecard(orders, [everything], 2)
    first = found.iloc[0]
    assert first[["n_lines", "n_received", "n_open", "n_cancelled", "n_late"]].tolist() == [6, 4, 2, 1, 3]
    assert first["on_time_share"] == pytest.approx(1 / 4)
    assert first["mean_late_days"] == pytest.approx((4 + 10 + 21) / 3)
    assert first["fill_share"] == pytest.approx(35 / 40)
    assert first[["n_judged", "n_late_now", "quantity_received"]].tolist() == [4, 1, 35]
    assert found.iloc[1]["n_lines"] == 0
    assert np.isnan(found.iloc[1]["on_time_share"])


def test_trend_compares_receipts_of_the_last_half_year_with_the_year_before() -> None:
    as_of = pd.Timestamp("2024-12-31")
    ages = np.array([10, 60, 120, 200, 300, 400, 900])
    days = np.array([20, 20, 20, 12, 12, 12, 500])
    received = as_of - pd.to_timedelta(ages, "D")
    rows = pd.DataFrame(
        {"supplier": "A", "order_date": received - pd.to_timedelta(days, "D"), "received_date": received}
    )
    orders = order_lines(rows, as_of=as_of)
    one = np.zeros(len(orders.lines), dtype=np.int64)
    found = scorecard(orders, [one], 1).iloc[0]
    assert found[["trend", "n_recent", "mean_days_recent", "n_before", "mean_days_before"]].tolist() == [
        8,
        3,
        20,
        3,
        12,
    ]
    thin = order_lines(rows.iloc[1:], as_of=as_of)
    assert np.isnan(scorecard(thin, [one[1:]], 1)["trend"][0])


@pytest.mark.parametrize(
    ("now", "slower"), [([19, 20, 21, 22], True), ([12, 12, 28, 13], False), ([12, 12, 12, 12], False)]
)
def test_a_supplier_is_slower_only_beyond_chance(now: list[int], slower: bool) -> None:
    as_of = pd.Timestamp("2024-12-31")
    days = np.array([*now, 10, 12, 14, 12])
    received = as_of - pd.to_timedelta([10, 40, 70, 90, 250, 300, 350, 400], "D")
    rows = pd.DataFrame(
        {"supplier": "A", "order_date": received - pd.to_timedelta(days, "D"), "received_date": received}
    )
    orders = order_lines(rows, as_of=as_of)
    found = scorecard(orders, [np.zeros(len(orders.lines), dtype=np.int64)], 1)
    assert found["trend"].iloc[0] == pytest.approx(np.mean(now) - 12)
    assert bool(found["slower"].iloc[0]) is slower


def test_a_row_of_nothing_received_is_no_receipt() -> None:
    rows = pd.DataFrame(
        {"po_id": ["1"], "supplier": "A", "sku": "K", "order_date": "2024-01-01", "received_date": "2024-01-09",
         "quantity_ordered": 5.0, "quantity_received": 0.0}
    )  # fmt: skip
    found = scorecard(order_lines(rows, as_of="2024-01-31"), [np.zeros(1, dtype=np.int64)], 1).iloc[0]
    assert (found["n_received"], found["n_open"]) == (0, 1)
