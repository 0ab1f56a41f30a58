"""Demand per item and period, beside how much of each period the item was in stock.

`demand` is what was recorded; `exposure` says what it is worth: 1 in stock all period, between 0 and 1 in part of it,
0 no information (out of stock all period, or before launch), `RAN_OUT` the item ran out at an unknown moment, so that
the record is a lower bound. A period is used only if its last day is at or before `as_of`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.clock import check_freq, infer_freq, period_end, period_start
from backorder_forecast.coerce import column_codes
from backorder_forecast.errors import InvalidTables, NotEnoughHistory

RAN_OUT = -1.0
"""Exposure code: stock ran out within the period, at an unknown moment."""
RAN_OUT_SHARE = 0.5
"""In-stock share that stands for the unknown one of a period in which stock ran out, where a share is needed."""
DECIMALS = 9
"""Decimals of a stock level; finer differences come from adding fractions."""
_BLOCK = 1024
_MOST_PAIRS = 1_000_000


@dataclass(frozen=True, eq=False)
class DemandPanel:
    """Items x periods of demand.

    Attributes
    ----------
    items
        Columns sku, location and whatever product columns are known; one row per item, sorted.
    periods
        First day of each complete period, oldest first.
    freq
        Period code: D, W-MON ... W-SUN, MS.
    as_of
        Last known day.
    demand
        Units per item and period, shape (n_items, n_periods).
    exposure
        In-stock share, or `RAN_OUT`, same shape.
    """

    items: pd.DataFrame
    periods: pd.DatetimeIndex
    freq: str
    as_of: pd.Timestamp
    demand: NDArray[np.float64]
    exposure: NDArray[np.float64]

    @property
    def n_items(self) -> int:
        """Rows of the panel."""
        return len(self.items)

    @property
    def n_periods(self) -> int:
        """Columns of the panel."""
        return len(self.periods)

    def until(self, n_periods: int) -> DemandPanel:
        """The same panel as it was after its first `n_periods` periods."""
        periods = self.periods[:n_periods]
        as_of = period_end(periods[-1:], self.freq)[0]
        return DemandPanel(
            self.items, periods, self.freq, as_of, self.demand[:, :n_periods], self.exposure[:, :n_periods]
        )

    def to_frame(self) -> pd.DataFrame:
        """Long frame: sku, location, date, demand, in_stock (share; empty where it ran out at an unknown moment)."""
        rows = np.repeat(np.arange(self.n_items), self.n_periods)
        frame = self.items[["sku", "location"]].iloc[rows].reset_index(drop=True)
        frame["date"] = np.tile(self.periods.to_numpy(), self.n_items)
        frame["demand"] = self.demand.ravel()
        exposure = self.exposure.ravel()
        frame["in_stock"] = np.where(exposure == RAN_OUT, np.nan, exposure)
        return frame


def demand_panel(
    sales: pd.DataFrame,
    *,
    freq: str = "auto",
    in_stock: pd.DataFrame | None = None,
    as_of: str | pd.Timestamp | None = None,
) -> DemandPanel:
    """Panel from a long frame of demand.

    Parameters
    ----------
    sales
        Columns sku, date, quantity and optionally location; quantities of one item and period are summed. Returns
        (negative quantities) are taken off the sales of their period, which never falls below 0.
    freq
        D, W-MON ... W-SUN (the first day of the week), MS, or auto.
    in_stock
        Columns sku, date, in_stock (bool, or share of the period 0-1) and optionally location. Several rows of one
        item and period are averaged; periods without a row count as in stock.
    as_of
        Last known day; by default the last day of the period that holds the latest sale.

    Returns
    -------
    DemandPanel

    Examples
    --------
    >>> import pandas as pd
    >>> dates = ["2024-01-01", "2024-01-09", "2024-01-02"]
    >>> sales = pd.DataFrame({"sku": ["A", "A", "B"], "date": dates, "quantity": [2, 3, 1]})
    >>> panel = demand_panel(sales, freq="W-MON")
    >>> panel.demand.tolist()
    [[2.0, 3.0], [1.0, 0.0]]
    """
    records = _long(sales, "sales", "quantity")
    if records.empty:
        raise NotEnoughHistory("the sales frame has no rows, so there is no demand to learn from")
    freq = infer_freq(records["date"]) if freq == "auto" else check_freq(freq)
    if as_of is None:
        latest = records["date"].max()
        if in_stock is not None and len(in_stock):
            latest = max(latest, pd.to_datetime(in_stock["date"]).max())
        day = period_end(period_start(pd.DatetimeIndex([latest]), freq), freq)[0]
    else:
        day = pd.Timestamp(as_of).normalize()
    keys = records[["sku", "location"]]
    items = keys.drop_duplicates().sort_values(["sku", "location"], kind="stable").reset_index(drop=True)
    panel = build_panel(records, items, freq=freq, as_of=day)
    demand = np.maximum(panel.demand, 0.0)
    if in_stock is None:
        return replace(panel, demand=demand)
    shares = _long(in_stock, "in_stock", "in_stock")
    code, column, inside = _cells(shares, panel.items, panel.periods, freq)
    flat = code[inside] * panel.n_periods + column[inside]
    share = np.clip(shares["in_stock"].to_numpy(dtype=np.float64)[inside], 0.0, 1.0)
    rows = np.bincount(flat, minlength=demand.size).reshape(demand.shape)
    total = np.bincount(flat, weights=share, minlength=demand.size).reshape(demand.shape)
    exposure = np.where(rows > 0, total / np.maximum(rows, 1), panel.exposure)
    return replace(panel, demand=demand, exposure=exposure)


LEAST_SHOWN = 0.8
"""In-stock share of a window from which it is scored, and teaches the global model."""
SHOWN_SOME = 0.1
"""In-stock share of a window from which it tells of the level of a whole class: windows mostly in stock are those of
low demand, and a level found on them alone would be too low."""


def shown_share(exposure: NDArray[np.float64]) -> NDArray[np.float64]:
    """In-stock shares as numbers: `RAN_OUT_SHARE` where stock ran out at an unknown moment.

    To leave such periods out would be to leave out high demand.

    Examples
    --------
    >>> shown_share(np.array([1.0, 0.0, RAN_OUT])).tolist()
    [1.0, 0.0, 0.5]
    """
    return np.where(exposure == RAN_OUT, RAN_OUT_SHARE, exposure)


def build_panel(
    records: pd.DataFrame,
    items: pd.DataFrame,
    *,
    freq: str,
    as_of: pd.Timestamp,
    exposure_days: NDArray[np.float64] | None = None,
    first_day: pd.Timestamp | None = None,
    exposure_freq: str = "D",
) -> DemandPanel:
    """Panel of demand records (sku, location, date, quantity) for the given items.

    `exposure_days` is the in-stock share per day (or per period of `exposure_freq`) from `first_day` on, shape
    (n_items, n_days), as `stock_exposure` gives it; without it every period counts as in stock.
    """
    check_freq(freq)
    ends = as_of if records.empty else max(as_of, records["date"].max())
    first = as_of if records.empty else min(records["date"].min(), as_of)
    starts = pd.DatetimeIndex(pd.date_range(period_start(pd.DatetimeIndex([first]), freq)[0], ends, freq=freq))
    periods = starts[period_end(starts, freq) <= as_of]
    if not len(periods):
        raise NotEnoughHistory(
            f"no complete period ({freq}) of sales lies at or before {as_of:%Y-%m-%d}; choose a finer freq or a later"
            " as_of"
        )
    demand = daily_matrix(records, items, periods, freq=freq)
    if exposure_days is not None and first_day is not None:
        exposure = exposure_periods(exposure_days, first_day, periods, freq, exposure_freq)
    else:
        exposure = np.ones_like(demand)
    return DemandPanel(items.reset_index(drop=True), periods, freq, as_of, demand, exposure)


def stock_levels(
    shipments: pd.DataFrame,
    receipts: pd.DataFrame,
    inventory: pd.DataFrame,
    items: pd.DataFrame,
    days: pd.DatetimeIndex,
    *,
    freq: str = "D",
) -> NDArray[np.float64]:
    """On hand at the end of each day (or period of `freq`), walked from the snapshots by shipments and receipts.

    Each day takes the latest snapshot at or before it and walks forward; days before the first snapshot are walked
    back. Frames: shipments and receipts with sku, location, date, quantity; inventory with sku, location, date,
    on_hand. Returns shape (n_items, n_days), without the dust of adding fractions; NaN for items without a snapshot.
    """
    received, shipped = (daily_matrix(rows, items, days, freq=freq) for rows in (receipts, shipments))
    return walk_stock(received, shipped, inventory, items, days, freq=freq)


def walk_stock(
    received: NDArray[np.float64],
    shipped: NDArray[np.float64],
    inventory: pd.DataFrame,
    items: pd.DataFrame,
    days: pd.DatetimeIndex,
    *,
    freq: str = "D",
) -> NDArray[np.float64]:
    """As `stock_levels`, from units received and shipped per item and day, shape (n_items, n_days)."""
    walked = received - shipped
    np.cumsum(walked, axis=1, out=walked)
    code, column, inside = _cells(inventory, items, days, freq)
    counted = inventory["on_hand"].to_numpy(dtype=np.float64)[inside]
    order = np.argsort(code[inside] * len(days) + column[inside], kind="stable")
    code, column, counted = code[inside][order], column[inside][order], counted[order]
    bounds = np.searchsorted(code, np.arange(0, len(items) + _BLOCK, _BLOCK))
    for block, (first, last) in enumerate(pairwise(bounds)):
        part = walked[block * _BLOCK : (block + 1) * _BLOCK]
        cells = (code[first:last] - block * _BLOCK, column[first:last])
        offset = np.full(part.shape, np.nan)
        # Several rows of one item and day (locations already summed upstream) leave the last one standing.
        offset[cells] = counted[first:last] - part[cells]
        part += _fill_both_ways(offset)
        np.round(part, DECIMALS, out=part)
    return walked


def stock_exposure(
    levels: NDArray[np.float64], received: NDArray[np.float64], shipped: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Daily in-stock share from end-of-day levels, receipts and shipments, all (n_items, n_days).

    0 where the day began empty and nothing came in; `RAN_OUT` where the day ended empty after a start with stock; a
    shipment proves that there was stock. Items without a snapshot count as in stock.
    """
    before = np.concatenate([levels[:, :1] - received[:, :1] + shipped[:, :1], levels[:, :-1]], axis=1)
    empty_start = (before <= 0) & (received <= 0) & (shipped <= 0)
    exposure = np.where(empty_start, 0.0, np.where(levels <= 0, RAN_OUT, 1.0))
    exposure[np.isnan(levels)] = 1.0
    return exposure


def daily_matrix(
    frame: pd.DataFrame, items: pd.DataFrame, days: pd.DatetimeIndex, *, freq: str = "D"
) -> NDArray[np.float64]:
    """Quantities per item and day (or period of `freq`), shape (n_items, n_days): sku, location, date, quantity."""
    code, day, inside = _cells(frame, items, days, freq)
    return np.asarray(_sums(code, day, inside, frame["quantity"].to_numpy(np.float64), len(items), len(days)))


def item_codes(frame: pd.DataFrame, items: pd.DataFrame) -> NDArray[np.int64]:
    """Row of each (sku, location) in `items`, -1 where it is not there."""
    if not len(frame):
        return np.empty(0, dtype=np.int64)
    sku, sku_names = column_codes(frame["sku"])
    place, place_names = column_codes(frame["location"])
    # A missing location is the empty one.
    skus, places = sku_names.astype(str).to_numpy(), np.append("", place_names.astype(str).to_numpy())
    pair = sku.astype(np.int64) * len(places)
    pair += place
    pair += 1
    pairs = np.arange(len(skus) * len(places))
    if len(pairs) > _MOST_PAIRS:
        pairs, pair = np.unique(pair, return_inverse=True)
    known = pd.MultiIndex.from_arrays([items["sku"].astype(str), items["location"].astype(str)])
    wanted = pd.MultiIndex.from_arrays([skus[pairs // len(places)], places[pairs % len(places)]])
    codes = np.append(np.asarray(known.get_indexer(wanted), dtype=np.int64), -1)[pair]
    codes[sku < 0] = -1
    return codes


def _cells(
    frame: pd.DataFrame, items: pd.DataFrame, periods: pd.DatetimeIndex, freq: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    code = item_codes(frame, items)
    dates = pd.DatetimeIndex(frame["date"])
    days = dates.to_numpy().astype("datetime64[D]")
    first = periods[0].to_datetime64().astype("datetime64[D]")
    if freq == "MS":
        column = (days.astype("datetime64[M]") - first.astype("datetime64[M]")).astype(np.int64)
    else:
        step = 1 if freq == "D" else 7
        column = (days - first).astype(np.int64) // step
    known = ~np.isnat(days)
    return code, column, known & (code >= 0) & (column >= 0) & (column < len(periods))


def exposure_periods(
    exposure_days: NDArray[np.float64], first_day: pd.Timestamp, periods: pd.DatetimeIndex, freq: str, given_freq: str
) -> NDArray[np.float64]:
    """Exposure (n_items, n_periods) from exposure per day, or per period of `given_freq`, (n_items, n_days)."""
    n_items, n_days = exposure_days.shape
    days = pd.date_range(first_day, periods=n_days, freq=given_freq)
    if freq == given_freq:
        if days.equals(periods):
            return exposure_days
        exposure = np.ones((n_items, len(periods)))
        at = periods.get_indexer(days)
        exposure[:, at[at >= 0]] = exposure_days[:, at >= 0]
        return exposure
    # A day that ran out counts half on a coarser clock; days without a record count as in stock.
    share = np.where(exposure_days == RAN_OUT, 0.5, exposure_days)
    at = periods.get_indexer(period_start(days, freq))
    missing = np.zeros((n_items, len(periods)))
    edges = np.flatnonzero(np.r_[True, np.diff(at) != 0])
    sums = np.add.reduceat(1.0 - share, edges, axis=1)
    inside = at[edges] >= 0
    missing[:, at[edges][inside]] = sums[:, inside]
    length = np.asarray((period_end(periods, freq) - periods).days, dtype=np.float64) + 1.0
    return np.asarray(1.0 - missing / length)


@nb.njit(cache=True, nogil=True)
def _sums(code, column, inside, values, n_rows, n_columns):  # type: ignore[no-untyped-def]
    """Values summed by cell in the order of the rows, shape (n_rows, n_columns)."""
    out = np.zeros((n_rows, n_columns))
    for k in range(len(code)):
        if inside[k]:
            out[code[k], column[k]] += values[k]
    return out


def _fill_both_ways(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Carry known values forward along the days, then the first one back."""
    known = ~np.isnan(values)
    n_days = values.shape[1]
    last = np.maximum.accumulate(np.where(known, np.arange(n_days), -1), axis=1)
    first = np.where(known.any(axis=1), known.argmax(axis=1), 0)
    return np.asarray(np.take_along_axis(values, np.where(last >= 0, last, first[:, None]), axis=1))


def _long(frame: pd.DataFrame, name: str, value: str) -> pd.DataFrame:
    missing = [c for c in ("sku", "date", value) if c not in frame.columns]
    if missing:
        raise InvalidTables(
            [
                {
                    "table": name,
                    "column": c,
                    "problem": "needed column is missing",
                    "found": ", ".join(map(str, frame.columns)),
                    "what_to_do": f"rename the column that holds it to {c!r}",
                }
                for c in missing
            ]
        )
    location = frame["location"].fillna("").astype(str) if "location" in frame else ""
    dates = pd.to_datetime(frame["date"])
    sku = frame["sku"] if isinstance(frame["sku"].dtype, pd.CategoricalDtype) else frame["sku"].astype(str)
    long = pd.DataFrame({"sku": sku, "location": location, "date": dates, value: frame[value].astype(float)})
    unusable = {c: long[c].isna().to_numpy() for c in ("sku", "date", value)}
    unusable[value] = ~np.isfinite(long[value].to_numpy(dtype=np.float64))
    failures = [
        {
            "table": name,
            "column": c,
            "problem": f"{int(rows.sum())} values are missing or infinite",
            "found": f"first in row {int(np.flatnonzero(rows)[0]) + 1}",
            "what_to_do": "drop or complete these rows",
        }
        for c, rows in unusable.items()
        if rows.any()
    ]
    if failures:
        raise InvalidTables(failures)
    if (long[value] % 1 != 0).any():
        # Fractions are added smallest first, so that row order never changes a sum.
        long = long.sort_values(value, kind="stable", ignore_index=True)
    return long
