"""Synthetic worlds made once per test run, and their tables summed by day and by line."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.synthetic import Truth, World, make_world


@cache
def world(kind: str, seed: int = 0, causes: int = 0) -> World:
    return make_world(kind, seed=seed, causes=causes)


def daily(truth: Truth, frame: pd.DataFrame, value: str, date: str) -> NDArray[np.float64]:
    """Sum of a column per item and exported day."""
    n_days = truth.laws.n_days
    day = (frame[date] - truth.dates[0]).dt.days.to_numpy()
    item = pd.Index(truth.items["sku"]).get_indexer(frame["sku"])
    inside = (day >= 0) & (day < n_days)
    cell = item[inside] * n_days + day[inside]
    total = np.bincount(cell, weights=frame[value].to_numpy(np.float64)[inside], minlength=len(truth.items) * n_days)
    return total.astype(np.float64).reshape(len(truth.items), n_days)


def lines_of(backorders: pd.DataFrame) -> pd.DataFrame:
    """One row per backorder line."""
    groups = backorders.groupby(["order_id", "sku"], sort=False)
    lines = groups.agg(
        order_date=("order_date", "first"), quantity=("quantity", "first"), filled=("quantity_filled", "sum"),
        last_fill=("filled_date", "max"), cancelled=("cancelled_date", "max"), whole=("complete_only", "first"),
        versions=("quantity", "nunique"), prepaid=("prepaid_amount", "max"), refunded=("refunded_amount", "max"),
        price=("unit_price", "first"),
    )  # fmt: skip
    return lines.reset_index()
