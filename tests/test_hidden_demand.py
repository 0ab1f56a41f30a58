"""Demand hidden by stockouts: a fifth of the periods censored, in each of three ways, and what becomes of levels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hand_made import panel_of
from numpy.typing import NDArray

from backorder_forecast import Settings, demand_panel, make_plan, read_tables
from backorder_forecast.demand import fit_demand
from backorder_forecast.panel import RAN_OUT

Floats = NDArray[np.float64]
SIMPLE = Settings(global_model=False, theta=False)
N_ITEMS, N_PERIODS = 400, 150


def censored(kind: str, freq: str) -> tuple[Floats, Floats, Floats]:
    """Recorded sales, exposure and true level per item; a fifth of the periods is touched by a stockout."""
    rng = np.random.default_rng([3, len(kind), len(freq)])
    level = rng.uniform(2.0, 12.0, N_ITEMS)
    # Demand comes in two halves, so that stock gone at half time hides exactly the second.
    half = rng.negative_binomial(2.0, 2.0 / (2.0 + level[:, None, None] / 2), (N_ITEMS, N_PERIODS, 2)).astype(float)
    wanted = half.sum(axis=2)
    touched = rng.random(wanted.shape) < 0.2
    exposure = np.ones_like(wanted)
    sold = wanted.copy()
    if kind == "half the period":
        sold = np.where(touched, half[:, :, 0], wanted)
        exposure[touched] = 0.5
    elif kind == "whole periods":
        sold = np.where(touched, 0.0, wanted)
        exposure[touched] = 0.0
    else:
        stock = np.ceil(level * 0.9)[:, None]
        ran_out = touched & (wanted >= stock)
        sold = np.where(touched, np.minimum(wanted, stock), wanted)
        exposure[ran_out] = RAN_OUT
    return sold, exposure, level


@pytest.mark.parametrize("freq", ["D", "W-MON", "MS"])
@pytest.mark.parametrize("kind", ["half the period", "whole periods", "ran out at an unknown moment"])
def test_a_fifth_of_the_periods_hidden_moves_the_level_by_less_than_three_percent(kind: str, freq: str) -> None:
    sold, exposure, level = censored(kind, freq)
    aware = fit_demand(panel_of(sold, exposure, freq=freq), SIMPLE).about["mean_per_period"].to_numpy(dtype=float)
    error = float(np.mean(aware / level) - 1.0)
    naive = float(np.mean(sold.mean(axis=1) / level) - 1.0)
    assert abs(error) < 0.03
    # The average of what was sold is far off.
    assert naive < (-0.08 if kind != "ran out at an unknown moment" else -0.04)


def test_with_the_global_model_hidden_demand_stays_found() -> None:
    sold, exposure, level = censored("half the period", "W-MON")
    about = fit_demand(panel_of(sold, exposure, freq="W-MON"), Settings(smooth_items=0)).about
    assert about["global_weight"].max() > 0
    assert abs(float(np.mean(about["mean_per_period"].to_numpy(dtype=float) / level)) - 1.0) < 0.03


def test_half_hidden_is_said() -> None:
    sold, exposure, _ = censored("whole periods", "W-MON")
    exposure[0, -20:] = 0.0
    about = fit_demand(panel_of(sold, exposure, freq="W-MON"), SIMPLE).about
    assert about["confidence"][0] == "low"
    assert "out of stock" in about["confidence_reason"][0]


def shop(n_items: int = 80, n_days: int = 420) -> tuple[dict[str, pd.DataFrame], Floats, float]:
    """Tables of a shop that loses what it cannot serve, true daily demand, and the share of days without stock.

    Every two weeks as much arrives as sells in about eleven and a half days, so that a fifth of the days has no stock.
    """
    rng = np.random.default_rng(11)
    level = rng.uniform(3.0, 9.0, n_items)
    wanted = rng.negative_binomial(4.0, 4.0 / (4.0 + level[:, None]), (n_items, n_days)).astype(float)
    days = pd.date_range("2023-01-02", periods=n_days)
    sold, stock, arrived = (np.zeros((n_items, n_days)) for _ in range(3))
    left = np.zeros(n_items)
    for t in range(n_days):
        if t % 14 == 0:
            arrived[:, t] = np.round(level * 11.5)
        left = left + arrived[:, t]
        sold[:, t] = np.minimum(wanted[:, t], left)
        left = left - sold[:, t]
        stock[:, t] = left
    sku = np.array([f"S{k:03d}" for k in range(n_items)])

    def rows(values: Floats, name: str, kept: NDArray[np.bool_]) -> pd.DataFrame:
        item, day = np.nonzero(kept)
        return pd.DataFrame({"sku": sku[item], "date": days[day], name: values[item, day]})

    receipts = rows(arrived, "quantity_ordered", arrived > 0)
    receipts["quantity_received"] = receipts["quantity_ordered"]
    receipts["received_date"] = receipts.pop("date")
    receipts["order_date"] = receipts["received_date"] - pd.Timedelta(days=10)
    receipts["supplier"] = "ACME"
    receipts["po_id"] = [f"P{k}" for k in range(len(receipts))]
    tables = {
        "sales": rows(sold, "quantity", sold > 0),
        "purchase_orders": receipts,
        "inventory": rows(stock, "on_hand", np.ones_like(stock, dtype=bool)),
    }
    return tables, level, float((stock <= 0).mean())


@pytest.mark.parametrize("source", ["in_stock given", "inventory history", "walked back from one snapshot"])
def test_hidden_demand_is_found_from_whatever_says_when_stock_was_out(source: str) -> None:
    tables, level, share_out = shop()
    assert 0.15 < share_out < 0.3
    history = tables["inventory"]
    if source == "in_stock given":
        # Half of the day on which stock ran out was in stock, as far as anyone knows.
        before = history.groupby("sku")["on_hand"].shift(fill_value=1.0)
        arrives = history["date"].isin(tables["purchase_orders"]["received_date"])
        shown = np.where(history["on_hand"] > 0, 1.0, np.where((before > 0) | arrives, 0.5, 0.0))
        panel = demand_panel(tables["sales"], freq="D", in_stock=history[["sku", "date"]].assign(in_stock=shown))
        found = fit_demand(panel, SIMPLE).about.set_index("sku")["mean_per_period"]
    else:
        if source == "walked back from one snapshot":
            tables["inventory"] = history[history["date"] == history["date"].max()]
        plan = make_plan(read_tables(tables), SIMPLE.replace(unmet="lost", n_paths=50, horizon_days=30))
        found = plan.items.set_index("sku")["mean_per_period"]
        per = 7.0 if plan.forecasts["date"].diff().dt.days.max() >= 7 else 1.0
        found = found / per
    error = float((found.sort_index().to_numpy(dtype=float) / level).mean() - 1.0)
    naive = float((tables["sales"].groupby("sku")["quantity"].sum() / 420 / level).mean() - 1.0)
    assert abs(error) < 0.03
    assert naive < -0.12


def test_levels_of_half_hidden_items_are_drawn_to_their_group() -> None:
    rng = np.random.default_rng(2)
    demand = rng.poisson(6.0, (40, 104)).astype(float)
    exposure = np.ones_like(demand)
    demand[0] = rng.poisson(30.0, 104)
    seen = fit_demand(panel_of(demand, exposure, freq="W-MON"), SIMPLE).about["mean_per_period"]
    exposure[0, -25:] = 0.0
    hidden = fit_demand(panel_of(np.where(exposure > 0, demand, 0.0), exposure, freq="W-MON"), SIMPLE).about
    assert hidden["mean_per_period"][0] < 0.9 * seen[0]
    assert hidden["mean_per_period"][0] > seen[1:].max()
    np.testing.assert_allclose(hidden["mean_per_period"][1:], seen[1:], rtol=0.05)
