"""A small synthetic shop with every table filled, some customers waiting, and its plan; made once per test run."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from backorder_forecast.pipeline import make_plan
from backorder_forecast.result import Plan
from backorder_forecast.settings import Settings
from backorder_forecast.synthetic import make_world
from backorder_forecast.tables import Tables, read_tables

Frames = dict[str, pd.DataFrame]

SETTINGS = Settings(n_paths=60, horizon_days=30, bucket_size=10, workers=1)
AS_OF = pd.Timestamp("2024-06-30")
N_ITEMS = 24


@cache
def _shop() -> Frames:
    world = make_world("sample", n_skus=N_ITEMS, days=300, seed=5, causes=1, as_of=AS_OF)
    tables = {name: frame.copy() for name, frame in world.tables.items()}
    waiting = _waiting_lines(tables["products"]["sku"].head(6).tolist())
    tables["backorders"] = pd.concat([tables["backorders"], waiting], ignore_index=True)
    return tables


def shop() -> Frames:
    """The tables of the shop, to be changed at will."""
    return {name: frame.copy() for name, frame in _shop().items()}


def read(tables: Frames, as_of: pd.Timestamp = AS_OF) -> Tables:
    return read_tables(tables, as_of=as_of)


@cache
def shop_read() -> Tables:
    """The tables of the shop as read, to be left alone."""
    return read(_shop())


def plan_of(tables: Frames | None, settings: Settings = SETTINGS, **options: Any) -> Plan:
    """The plan of some tables, or of the shop as it is."""
    return make_plan(shop_read() if tables is None else read(tables), settings, **options)


@cache
def shop_plan() -> Plan:
    return plan_of(None)


def assert_same_plan(first: Plan, second: Plan, *, but: Iterable[str] = ()) -> None:
    """Frames equal to the last bit; examples in `data_quality` name rows, which may stand elsewhere."""
    for name, frame in first.frames.items():
        if name in but:
            continue
        drop = ["examples"] if name == "data_quality" else []
        ours, theirs = frame.drop(columns=drop), second.frames[name].drop(columns=drop)
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True, obj=name)


def _waiting_lines(skus: list[str]) -> pd.DataFrame:
    n = len(skus)
    ago = np.array([3, 40, 12, 1, 25, 8])[:n]
    return pd.DataFrame(
        {
            "order_id": [f"W{k}" for k in range(n)], "sku": skus, "customer_id": [f"C{k % 4}" for k in range(n)],
            "priority": np.arange(n) % 3 + 1, "order_date": AS_OF - pd.to_timedelta(ago, unit="D"),
            "quantity": [3.0, 1.0, 40.0, 2.0, 7.0, 1.0][:n],
            "promised_date": AS_OF + pd.to_timedelta([10, -5, 20, 3, 6, 1][:n], unit="D"),
            "unit_price": 20.0, "prepaid_amount": [np.nan, 20.0, 100.0, np.nan, 140.0, np.nan][:n],
            "complete_only": [False, False, True, False, False, True][:n],
        }
    )  # fmt: skip
