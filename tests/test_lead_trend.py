"""Whether a supplier became slower: open orders, late records and lines of one truck do not decide it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from backorder_forecast.lead_trend import RECENT_DAYS, SLOWER_Z, lead_trends
from backorder_forecast.order_lines import order_lines

AS_OF = pd.Timestamp("2024-12-31")


def orders_of(seed: int, *, factor: float = 1.0, every: int = 7, median: float = 60.0, n: int = 1) -> pd.DataFrame:
    """Three years of orders to n suppliers; those of the last half-year take `factor` times as long."""
    rng = np.random.default_rng(seed)
    age = np.tile(np.arange(0, 3 * 365, every), n)
    supplier = np.repeat(np.arange(n), len(age) // n)
    days = np.round(median * np.exp(rng.normal(0, 0.35, len(age))) * np.where(age < RECENT_DAYS, factor, 1.0)) + 1
    placed = AS_OF - pd.to_timedelta(age, "D")
    return pd.DataFrame(
        {"supplier": supplier.astype(str), "order_date": placed, "received_date": placed + pd.to_timedelta(days, "D")}
    )


def trends(rows: pd.DataFrame, n: int = 1) -> pd.DataFrame:
    known = rows.assign(received_date=rows["received_date"].where(rows["received_date"] <= AS_OF))
    lines = order_lines(known, as_of=AS_OF)
    return lead_trends(lines, [np.asarray(lines.lines["supplier"].astype(int), dtype=np.int64)], n)


def test_orders_still_open_tell_that_a_supplier_became_slower() -> None:
    # With twice the lead time of 60 days most of the last half-year's slow orders are not there yet.
    rows = orders_of(0, factor=2.0, n=40)
    found = trends(rows, 40)
    assert found["slower"].mean() > 0.95
    came = rows[rows["received_date"] <= AS_OF]
    recent = came["received_date"] > AS_OF - pd.Timedelta(days=RECENT_DAYS)
    days = (came["received_date"] - came["order_date"]).dt.days
    assert found["trend"].mean() > days[recent].mean() - days[~recent].mean() + 5, "receipts alone look quicker"


def test_a_supplier_that_did_not_change_is_seldom_called_slower() -> None:
    found = trends(orders_of(1, n=400), 400)
    assert found["slower"].mean() == pytest.approx(0.05, abs=0.03)
    assert abs(found["trend"].mean()) < 1.0


def test_records_that_began_with_open_orders_make_nobody_slower_or_quicker() -> None:
    rows = orders_of(2, n=400)
    start = AS_OF - pd.Timedelta(days=250)
    # What had come before was never entered: of old orders only slow ones are known.
    rows = rows[rows["received_date"] > start]
    rows["recorded_date"] = rows["order_date"].where(rows["order_date"] > start, start)
    found = trends(rows, 400)
    assert found["slower"].mean() < 0.09
    assert abs(found["trend"].mean()) < 1.0
    unaware = trends(rows.drop(columns="recorded_date"), 400)
    assert unaware["trend"].mean() < -3.0, "taken as seen from the start, they would make the year before slow"


def test_the_lines_of_one_truck_are_one_delivery() -> None:
    rows = orders_of(3, every=14, median=20, n=200)
    trucks = pd.concat([rows.assign(sku=f"K{k}") for k in range(5)], ignore_index=True)
    one, five = trends(rows, 200), trends(trucks, 200)
    assert five["slower"].tolist() == one["slower"].tolist()
    assert (five["n_recent"] == 5 * one["n_recent"]).all(), "receipts are counted one by one"


def test_the_test_is_the_log_rank_test_where_nothing_is_censored_or_late() -> None:
    from scipy.stats import logrank

    rng = np.random.default_rng(4)
    agreed = []
    for _ in range(40):
        spans: dict[str, Any] = {"recent": (20, rng.integers(8, 40, 9)), "before": (220, rng.integers(5, 32, 14))}
        rows = [
            pd.DataFrame({"received_date": AS_OF - pd.to_timedelta(age + np.arange(len(days)), "D"), "days": days})
            for age, days in spans.values()
        ]
        table = pd.concat(rows, ignore_index=True)
        table["order_date"] = table["received_date"] - pd.to_timedelta(table.pop("days"), "D")
        found = trends(table.assign(supplier="0")).iloc[0]
        recent, before = (days.astype(float) for _, days in spans.values())
        # scipy counts the arrivals of the first sample beyond those expected.
        z = -float(logrank(recent, before).statistic)
        assert found["trend"] == pytest.approx(recent.mean() - before.mean())
        assert bool(found["slower"]) == (z >= SLOWER_Z and found["trend"] >= 1)
        agreed.append(bool(found["slower"]))
    assert 5 < sum(agreed) < 35


def test_below_three_deliveries_nothing_is_said() -> None:
    rows = orders_of(5, every=45, median=10)
    assert trends(rows)["trend"].notna().tolist() == [True]
    few = trends(rows[rows["order_date"] < AS_OF - pd.Timedelta(days=100)]).iloc[0]
    assert np.isnan(few["trend"])
    assert not few["slower"]


def test_what_enters_at_a_later_age_keeps_the_law_open() -> None:
    # One order of the half-year came at once; the others are older and still came slowly.
    placed = AS_OF - pd.to_timedelta([150, 200, 210, 220, 500, 510, 520, 530], "D")
    received = placed + pd.to_timedelta([2, 190, 195, 199, 100, 100, 100, 100], "D")
    found = trends(pd.DataFrame({"supplier": "0", "order_date": placed, "received_date": received})).iloc[0]
    assert found["mean_days_recent"] > 50
