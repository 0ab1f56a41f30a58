"""Demand that backorders record while out of stock is used once: neither thrown away nor corrected again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import backorder_forecast as bf
from backorder_forecast.fitting import read_history
from backorder_forecast.hidden import visible_exposure, waiting_shares
from backorder_forecast.panel import RAN_OUT


def shop(share: float, *, freq_days: int = 7, weeks: int = 60, rate: float = 4.0) -> bf.Tables:
    """In stock three days a week; of the demand of the other days a share waits and is recorded as backorders."""
    rng = np.random.default_rng(7)
    days = pd.date_range("2023-01-02", periods=weeks * 7)
    wanted = rng.poisson(rate, len(days)).astype(float)
    in_stock = days.day_of_week < 3
    waits = np.where(in_stock, 0, rng.binomial(wanted.astype(int), share)).astype(float)
    sales = pd.DataFrame({"sku": "A", "date": days, "quantity": np.where(in_stock, wanted, 0.0)})
    lines = pd.DataFrame({"sku": "A", "order_date": days, "quantity": waits})
    lines = lines[lines["quantity"] > 0].reset_index(drop=True)
    lines["order_id"] = [f"B{k}" for k in range(len(lines))]
    lines["cancelled_date"] = lines["order_date"] + pd.Timedelta(days=1)
    lines.loc[lines["cancelled_date"] > days[-1], "cancelled_date"] = days[-1]
    stock = pd.DataFrame({"sku": "A", "date": days, "on_hand": np.where(in_stock, 50.0, 0.0)})
    tables = {"sales": sales[sales["quantity"] > 0], "backorders": lines, "inventory": stock}
    return bf.read_tables(tables, as_of=days[-1])


@pytest.mark.parametrize(("share", "freq"), [(1.0, "D"), (1.0, "W-MON"), (0.5, "D"), (0.5, "W-MON")])
def test_the_level_is_that_of_all_demand(share: float, freq: str) -> None:
    plan = bf.make_plan(shop(share), bf.Settings(freq=freq, n_paths=50))
    assert plan.items["mean_daily"].iloc[0] == pytest.approx(4.0, rel=0.08)


def test_orders_are_demand_whether_shipped_or_not() -> None:
    tables = shop(1.0)
    history = read_history(tables, bf.Settings(sales_are="orders"))
    assert (history.panel.exposure == 1.0).all()
    assert (history.in_stock != 1.0).any(), "what was in stock is still known"


def test_without_evidence_the_prior_holds() -> None:
    never_out = np.ones((2, 30))
    share = waiting_shares(never_out, np.ones((2, 30)), pd.Series(["a", "b"]), np.array([0.2, 0.7]))
    assert share.tolist() == [0.2, 0.7]


@given(st.floats(0, 1), st.lists(st.sampled_from([0.0, 0.4, 1.0, RAN_OUT]), min_size=1, max_size=9))
def test_exposure_never_shrinks_and_is_a_share(share: float, codes: list[float]) -> None:
    before = np.array([codes])
    after = visible_exposure(before, np.array([share]))
    assert ((after == RAN_OUT) | ((after >= 0) & (after <= 1 + 1e-12))).all()
    assert (after[before >= 0] >= before[before >= 0] - 1e-12).all()
