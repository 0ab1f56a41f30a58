"""Public deliveries as purchase orders: medicine orders (SCMS) and drug shortages, each with an end per line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

REGISTER_START = pd.Timestamp("2017-03-10")
OLDEST = pd.Timestamp("1990-01-01")
REGISTER_END = pd.Timestamp("2017-12-31")


def scms_orders(folder: Path) -> pd.DataFrame:
    """Medicine orders to 2011 with an order date: supplier, location (country), order_date, received_date, days.

    The schedule on these lines was written after the fact, so that it is left out.
    """
    raw = pd.read_parquet(folder / "scms" / "deliveries_to_2011.parquet")
    names = {"Vendor": "supplier", "Country": "location", "po_date": "order_date", "delivered": "received_date"}
    orders = raw.loc[raw["po_date"].notna(), list(names)].rename(columns=names).reset_index(drop=True)
    return orders.assign(days=(orders["received_date"] - orders["order_date"]).dt.days)


def drug_shortages(folder: Path, *, since: pd.Timestamp = REGISTER_START) -> pd.DataFrame:
    """Drug shortages of 2017 as orders: supplier (company), order_date (begin), received_date (end), reported.

    By default those that began while the register existed. Most that began before it (`since` OLDEST) were reported in
    its first days, if they had not ended by then: such delayed entries tell of later ages. A begin of another century
    or an end before the begin is a typo and leaves the row out.
    """
    raw = pd.read_parquet(folder / "drug_shortages" / "shortages_2017.parquet")
    names = {"company": "supplier", "begin": "order_date", "actual_end": "received_date", "created": "reported"}
    rows = raw[list(names)].rename(columns=names)
    began = (rows["order_date"] >= since) & (rows["order_date"] <= REGISTER_END)
    rows = rows[began & ~(rows["received_date"] < rows["order_date"])].reset_index(drop=True)
    return rows.assign(received_date=rows["received_date"].where(rows["received_date"] <= REGISTER_END))


def share_followed(follow_up: NDArray[np.float64], days: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of rows that were followed for at least so many days: the chance that a duration could be seen."""
    ordered = np.sort(follow_up)
    return np.asarray(1.0 - np.searchsorted(ordered, days, side="left") / len(ordered))
