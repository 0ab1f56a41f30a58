"""The real demand of the benchmark of forecasts: eight sets as panels, each with its rolling origins.

Origins are counted back from the last period, `SPACING` periods apart, so that the scored windows of `WINDOW` periods
do not overlap. Periods out of stock are known to the models as exposure and are not scored. Nothing here looks at a
result: which codes of the shop are products and which weeks are complete follows from the raw rows alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from backorder_forecast import demand_panel
from backorder_forecast.panel import DemandPanel

WINDOW = 3
"""Periods whose summed demand is scored: an order's protection interval."""
SPACING = 3
VN2_LAST_WEEK = "2024-04-08"
"""The weeks after it decide the public competition and stay unseen."""
RETAIL_FIRST_WEEK, RETAIL_LAST_DAY = "2010-12-06", "2011-12-04"
"""The record begins on a Wednesday and ends on a Friday: both weeks are cut off."""


@dataclass(frozen=True, eq=False)
class DemandSet:
    """A panel of real demand, the numbers of periods after which it is forecast, and the length of its season."""

    name: str
    panel: DemandPanel
    origins: tuple[int, ...]
    season_length: int


def load(name: str, data: Path) -> DemandSet:
    """One of `SETS` from the folder of real data."""
    panel, n_origins = _LOADERS[name](data)
    last = panel.n_periods - WINDOW
    origins = tuple(last - SPACING * k for k in reversed(range(n_origins)))
    season = {"D": 7, "MS": 12}.get(panel.freq, 52)
    return DemandSet(name, panel, origins, season)


def _vn2(data: Path) -> tuple[DemandPanel, int]:
    weeks = pd.read_parquet(data / "vn2" / "weekly_sales.parquet")
    weeks = weeks[weeks["ds"] <= pd.Timestamp(VN2_LAST_WEEK)]
    panel = demand_panel(_long(weeks), freq="W-MON", in_stock=_long(weeks, "in_stock"))
    columns = {
        "ProductGroup": "product_group", "Department": "category", "Division": "division", "Store": "store",
        "StoreFormat": "store_format", "Product": "product",
    }  # fmt: skip
    return _with_columns(panel, weeks, columns), 8


def _carparts(data: Path) -> tuple[DemandPanel, int]:
    months = pd.read_parquet(data / "carparts" / "carparts.parquet")
    # Months are missing after a part's last record only: that is not zero demand.
    known = months.assign(in_stock=months["y"].notna())
    return demand_panel(_long(months.fillna({"y": 0.0})), freq="MS", in_stock=_long(known, "in_stock")), 6


def _raf(data: Path) -> tuple[DemandPanel, int]:
    months = pd.read_parquet(data / "spareparts" / "raf.parquet")
    return _with_columns(demand_panel(_long(months), freq="MS"), months, {"price_gbp": "price"}), 6


def _auto(data: Path) -> tuple[DemandPanel, int]:
    months = pd.read_parquet(data / "spareparts" / "auto.parquet")
    # The stated price is 83 148 over the part's demand of all 24 months: it would tell the future.
    return demand_panel(_long(months), freq="MS"), 4


def _online_retail(data: Path) -> tuple[DemandPanel, int]:
    columns = ["StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"]
    lines = pd.read_parquet(data / "online_retail" / "transactions.parquet", columns=columns)
    # Products have five digits; the rest is postage, fees, samples and corrections. Without a price: stock corrections.
    lines = lines[lines["StockCode"].str.match(r"^\d{5}") & (lines["UnitPrice"] > 0)]
    lines = lines[lines["InvoiceDate"] >= RETAIL_FIRST_WEEK].sort_values("InvoiceDate", kind="stable")
    lines = lines.assign(StockCode=lines["StockCode"].str.upper(), size=lines["Quantity"].abs())
    sold = lines[lines["Quantity"] > 0].reset_index(drop=True)
    # A cancelled invoice undoes the customer's last such purchase: the two largest orders were reversed within minutes.
    named = lines[lines["CustomerID"].notna()]
    undone = pd.merge_asof(
        named[named["Quantity"] < 0],
        sold[sold["CustomerID"].notna()].reset_index(names="line"),
        on="InvoiceDate",
        by=["StockCode", "CustomerID", "size"],
    )["line"]
    sold = sold[~sold.index.isin(undone)]
    sales = pd.DataFrame(
        {"sku": sold["StockCode"], "date": sold["InvoiceDate"].dt.normalize(), "quantity": sold["Quantity"]}
    )
    return demand_panel(sales, freq="W-MON", as_of=RETAIL_LAST_DAY), 6


def _uci_weekly(data: Path) -> tuple[DemandPanel, int]:
    return demand_panel(_long(pd.read_parquet(data / "uci_weekly" / "weekly_sales.parquet")), freq="W-MON"), 6


def _stallion(data: Path) -> tuple[DemandPanel, int]:
    months = pd.read_parquet(data / "stallion" / "monthly_sales.parquet")
    panel = demand_panel(_long(months), freq="MS")
    sku = panel.items["sku"].str.extract(r"^(Agency_\d+)_(SKU_\d+)$")
    return replace(panel, items=panel.items.assign(agency=sku[0], category=sku[1])), 6


def _freshretail(data: Path) -> tuple[DemandPanel, int]:
    days = pd.read_parquet(data / "freshretail" / "daily_500.parquet")
    open_share = 1.0 - days["stockout_hours_6_22"] / 16.0
    panel = demand_panel(_long(days), freq="D", in_stock=_long(days.assign(in_stock=open_share), "in_stock"))
    columns = {"first_category_id": "category", "third_category_id": "product_group", "store_id": "store"}
    return _with_columns(panel, days, columns), 6


_LOADERS: dict[str, Callable[[Path], tuple[DemandPanel, int]]] = {
    "vn2": _vn2,
    "carparts": _carparts,
    "raf": _raf,
    "auto": _auto,
    "online_retail": _online_retail,
    "uci_weekly": _uci_weekly,
    "stallion": _stallion,
    "freshretail": _freshretail,
}
SETS = tuple(_LOADERS)


def _long(frame: pd.DataFrame, column: str = "y") -> pd.DataFrame:
    value = "quantity" if column == "y" else column
    return pd.DataFrame({"sku": frame["unique_id"], "date": frame["ds"], value: frame[column].astype(np.float64)})


def _with_columns(panel: DemandPanel, rows: pd.DataFrame, columns: dict[str, str]) -> DemandPanel:
    known = rows.drop_duplicates("unique_id").set_index("unique_id").reindex(panel.items["sku"])
    given = {new: known[old].to_numpy() for old, new in columns.items()}
    text = {name: values if name == "price" else pd.Series(values).astype(str) for name, values in given.items()}
    return replace(panel, items=panel.items.assign(**text))
