"""Small hand-made panels, demand laws and shops that the tests of several stages share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from backorder_forecast.clock import period_end
from backorder_forecast.demand_law import DemandModel
from backorder_forecast.panel import DemandPanel
from backorder_forecast.seasonality import SeasonalIndex

Floats = NDArray[np.float64]

AS_OF = pd.Timestamp("2024-06-30")  # a Sunday


def known(name: str) -> dict[str, Any]:
    """Known answers of one area."""
    text = (Path(__file__).parent / "known_answers" / f"{name}.json").read_text(encoding="utf-8")
    answers: dict[str, Any] = json.loads(text)
    return answers


def skus(n: int) -> list[str]:
    return [f"S{k:03d}" for k in range(n)]


def items_of(n: int) -> pd.DataFrame:
    return pd.DataFrame({"sku": skus(n), "location": ""})


def panel_of(
    demand: ArrayLike,
    exposure: ArrayLike | None = None,
    *,
    freq: str = "D",
    start: str = "2023-01-02",
    **columns: Any,
) -> DemandPanel:
    """A panel with the given matrices; further columns describe the items."""
    values = np.atleast_2d(np.asarray(demand, dtype=np.float64))
    periods = pd.date_range(start, periods=values.shape[1], freq=freq)
    shares = np.ones_like(values) if exposure is None else np.atleast_2d(np.asarray(exposure, dtype=np.float64))
    items = items_of(len(values)).assign(**columns)
    return DemandPanel(items, periods, freq, period_end(periods[-1:], freq)[0], values, shares)


def sleepers(n: int, n_periods: int, *, asleep: int = 10, seed: int = 0) -> Floats:
    """Poisson items that stop for `asleep` periods now and then (of four items two), a rule that no level shows."""
    rng = np.random.default_rng(seed)
    demand, level = np.zeros((n, n_periods)), rng.uniform(4, 9, n)
    for i in range(n):
        start = -int(rng.integers(0, 25))
        while start < n_periods:
            awake = int(rng.integers(8, 26))
            first, last = max(start, 0), min(max(start + awake, 0), n_periods)
            demand[i, first:last] = rng.poisson(level[i], last - first)
            start += awake + (asleep if i % 4 < 2 else 0)
    return demand


def flat_season(n_items: int, freq: str = "D") -> SeasonalIndex:
    codes = np.zeros(n_items, dtype=np.int64)
    return SeasonalIndex(["all"], codes, np.ones((1, 12 if freq == "MS" else 53)), np.ones((1, 7)), freq)


def model_of(
    level: ArrayLike, variance: ArrayLike, *, alpha: float = 0.1, zero_share: float = np.nan, freq: str = "D"
) -> DemandModel:
    """A demand law by hand: mean and one-period variance per item, level uncertainty as `alpha` gives it."""
    mean, spread = np.broadcast_arrays(np.atleast_1d(level).astype(np.float64), np.asarray(variance, dtype=np.float64))
    n = len(mean)
    never = pd.DatetimeIndex([pd.NaT] * n)
    return DemandModel(
        items_of(n), mean.copy(), spread * alpha / 2, spread * (1 - alpha / 2), np.full(n, zero_share),
        flat_season(n, freq), never, never, pd.DataFrame(),
    )  # fmt: skip


def stock_items(n: int, start: ArrayLike, **columns: Any) -> pd.DataFrame:
    """Facts of items as the projection and the order stages read them; `columns` replace the defaults."""
    level = np.broadcast_to(np.asarray(start, dtype=np.float64), (n,))
    frame = items_of(n).assign(
        supplier="ACME", product_type="standard", on_hand=np.maximum(level, 0.0), on_order=0.0,
        backordered=np.maximum(-level, 0.0), start=level, mean_daily=1.0, price=10.0, unit_cost=6.0, moq=np.nan,
        pack_size=np.nan, review_days=7.0, holding_cost_rate=np.nan, active=True,
    )  # fmt: skip
    return frame.assign(**columns)


def constant_sales(skus: str, start: str, end: str, quantity: float = 2.0, freq: str = "D") -> pd.DataFrame:
    """The same quantity of each one-letter sku in every period."""
    dates = pd.date_range(start, end, freq=freq)
    return pd.concat([pd.DataFrame({"sku": s, "date": dates, "quantity": quantity}) for s in skus], ignore_index=True)
