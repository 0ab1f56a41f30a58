"""The VN2 game: its weeks as a panel, its initial state, and the ways of ordering that ours is held against."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from backorder_forecast import demand_panel
from backorder_forecast.order_trials import OrderRules, Policy
from backorder_forecast.panel import DemandPanel
from backorder_forecast.paths import SamplePaths
from backorder_forecast.reorders import row_quantiles
from benchmarks._demand_sets import VN2_LAST_WEEK, _long, _with_columns

Floats = NDArray[np.float64]

RULES = OrderRules(lead_time=3, shortage_cost=1.0, holding_cost=0.2, n_periods=8)
RATIO = RULES.shortage_cost / (RULES.shortage_cost + RULES.holding_cost)
_MEAN_WEEKS, _COVER_WEEKS, _SPREAD_WEEKS = 13, 4, 52
_COLUMNS = {
    "ProductGroup": "product_group", "Department": "category", "Division": "division", "Store": "store",
    "StoreFormat": "store_format", "Product": "product",
}  # fmt: skip


def load_game(data: Path) -> tuple[DemandPanel, int, Floats, Floats]:
    """All weeks, the number of those known at the official start, and stock and in-transit at it."""
    weeks = pd.read_parquet(data / "vn2" / "weekly_sales.parquet")
    panel = demand_panel(_long(weeks), freq="W-MON", in_stock=_long(weeks, "in_stock"))
    panel = _with_columns(panel, weeks, _COLUMNS)
    state = pd.read_parquet(data / "vn2" / "initial_state.parquet").set_index("unique_id").loc[panel.items["sku"]]
    start = int((panel.periods <= pd.Timestamp(VN2_LAST_WEEK)).sum())
    transit = state[["In Transit W+1", "In Transit W+2"]].to_numpy(dtype=np.float64)
    return panel, start, state["End Inventory"].to_numpy(dtype=np.float64), transit


def organiser(panel: DemandPanel) -> Policy:
    """The organiser's benchmark: 13 weeks' mean without the season, order up to 4 weeks of it with the season.

    One seasonal factor per calendar week over all items (mean sales in stock, relative to the mean of the factors);
    weeks out of stock or before launch are left out of all means.
    """
    sold = np.where(panel.exposure > 0, panel.demand, np.nan)
    week = panel.periods.isocalendar().week.to_numpy(dtype=np.int64)

    def policy(known: int, on_hand: Floats, coming: Floats) -> Floats:
        y, w = sold[:, :known], week[:known]
        by_week = pd.DataFrame({"mean": np.nanmean(y, axis=0)}).groupby(w)["mean"].mean()
        factor = by_week / by_week.mean()
        recent = (y / factor.loc[w].to_numpy())[:, -_MEAN_WEEKS:]
        count = (~np.isnan(recent)).sum(axis=1)
        base = np.nansum(recent, axis=1) / np.maximum(count, 1)
        ahead = panel.periods[known - 1] + pd.to_timedelta(7 * np.arange(1, _COVER_WEEKS + 1), unit="D")
        level = base * factor.loc[ahead.isocalendar().week.to_numpy(dtype=np.int64)].sum()
        return np.asarray(np.round(np.maximum(level - on_hand - coming.sum(axis=1), 0.0)))

    return policy


def classic(panel: DemandPanel) -> Policy:
    """Order up to mean x L + z sigma sqrt(L), L = 3 weeks, z at the critical ratio; mean of 13 weeks, sigma of 52."""
    sold = np.where(panel.exposure > 0, panel.demand, np.nan)

    def policy(known: int, on_hand: Floats, coming: Floats) -> Floats:
        frame = pd.DataFrame(sold[:, :known].T)
        mean = frame.tail(_MEAN_WEEKS).mean().fillna(0.0).to_numpy()
        sigma = frame.tail(_SPREAD_WEEKS).std().fillna(0.0).to_numpy()
        lead = RULES.lead_time
        level = lead * mean + ndtri(RATIO) * sigma * np.sqrt(lead)
        return np.asarray(np.round(np.maximum(level - on_hand - coming.sum(axis=1), 0.0)))

    return policy


def order_up_to(forecast: Callable[[int], SamplePaths]) -> Policy:
    """Order up to the critical quantile of the demand of L = 3 weeks, on the inventory position, same forecasts."""

    def policy(known: int, on_hand: Floats, coming: Floats) -> Floats:
        total = forecast(known).draw()[:, :, : RULES.lead_time].sum(axis=2)
        level = row_quantiles(total, np.full(len(total), RATIO))
        return np.asarray(np.maximum(level - on_hand - coming.sum(axis=1), 0.0))

    return policy
