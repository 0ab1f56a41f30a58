"""Stock at past snapshot dates, and what moved it: the matrices that stockout features are computed from.

Everything is arranged as items x snapshot dates. A column holds what was recorded up to the end of its date and nothing
later; the step of time is the step between snapshots, and use and receipts count in the step that ends at the snapshot.

An item at a snapshot is *exposed* if it has usable stock and some use in the year before: only then can it newly run
out. It *ran out* if a snapshot within its next `lead_steps` steps shows no usable stock. The window is the lead time
because an order placed today cannot help before; so the event is the one that a projection without further orders asks
for, as far as snapshots can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.errors import NotEnoughHistory
from backorder_forecast.lines import BackorderLines, open_lines
from backorder_forecast.order_lines import order_lines
from backorder_forecast.panel import DECIMALS, item_codes
from backorder_forecast.tables import Tables

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PEERS = ("sku", "location", "supplier", "category")
"""Columns whose equal values make items peers."""
LEAST_COUNTED = 0.5
"""Share of the usual number of items that a date must count to be a snapshot of the shop. Judgement."""
_WINDOWS = {"D": (1, 3, 7, 14, 28), "W": (1, 2, 4, 8, 26), "M": (1, 2, 3, 6, 12)}


@dataclass(frozen=True, eq=False)
class Snapshots:
    """Stock and what moves it at the snapshot dates, arrays (n_items, n_dates), units; NaN where not counted.

    Attributes
    ----------
    items
        Columns sku, location and those of products, as `Tables.items`.
    dates
        Snapshot dates, oldest first; `step_days` is their usual distance.
    stock
        Usable at the end of the day: on hand less reserved and held.
    use, received
        Shipped, and received, after the snapshot before.
    on_order, late, waiting
        Ordered and not yet arrived; what of it is out longer than the usual lead time; backordered by customers.
    lead_steps
        Usual lead time in steps, at least 1, shape (n_items,).
    groups
        Codes (n_items,) of each kind of peers that has groups of several items.
    """

    items: pd.DataFrame
    dates: pd.DatetimeIndex
    step_days: float
    stock: Floats
    use: Floats
    received: Floats
    on_order: Floats
    late: Floats
    waiting: Floats
    lead_steps: Ints
    groups: dict[str, Ints]

    @property
    def windows(self) -> tuple[int, ...]:
        """Steps over which rates are averaged, the longest last."""
        return _WINDOWS["D" if self.step_days <= 3 else "W" if self.step_days <= 14 else "M"]

    @property
    def year(self) -> int:
        """Steps of a year."""
        return max(round(365.25 / self.step_days), 1)

    @cached_property
    def exposed(self) -> NDArray[np.bool_]:
        """Whether an item has usable stock and some use in the year before, shape (n_items, n_dates)."""
        return (self.stock > 0) & (_window_sum(self.use, self.year) > 0)

    @cached_property
    def new_stockouts(self) -> Floats:
        """1 where an item exposed at the snapshot before is out, 0 where it is not, NaN where it was not exposed."""
        out = np.full(self.stock.shape, np.nan)
        counted = ~np.isnan(self.stock[:, 1:]) & self.exposed[:, :-1]
        out[:, 1:][counted] = (self.stock[:, 1:] <= 0)[counted]
        return out

    @cached_property
    def ran_out(self) -> Floats:
        """1 where an exposed item is out within `lead_steps`, 0 where it is not, NaN where that is not known."""
        n_dates = len(self.dates)
        out = np.full(self.stock.shape, np.nan)
        empty, counted = self.stock <= 0, ~np.isnan(self.stock)
        for steps in np.unique(self.lead_steps):
            rows = np.flatnonzero(self.lead_steps == steps)
            if steps >= n_dates:
                continue
            happened = np.zeros((len(rows), n_dates - steps), dtype=bool)
            known = np.ones_like(happened)
            for j in range(1, steps + 1):
                ahead = slice(j, n_dates - steps + j)
                happened |= empty[rows, ahead]
                known &= counted[rows, ahead]
            known |= happened
            out[rows, : n_dates - steps] = np.where(known, happened.astype(np.float64), np.nan)
        out[~self.exposed] = np.nan
        return out


def read_snapshots(
    tables: Tables, *, lead_days: float | Floats | None = None, lines: BackorderLines | None = None
) -> Snapshots:
    """Stock, use, receipts, orders and waiting customers at every snapshot date.

    Parameters
    ----------
    tables
        From `read_tables`; needs inventory of at least two dates.
    lead_days
        Usual lead time in days, one number or one per item of `tables.items()`; one step where not given.
    lines
        From `open_lines` of these tables, where known already.

    Raises
    ------
    NotEnoughHistory
        Fewer than two snapshot dates.
    """
    items = tables.items()
    dates = _snapshot_dates(tables.inventory)
    if len(dates) < 2:
        raise NotEnoughHistory(
            f"past stock is needed at two dates or more, the table inventory has {len(dates)}: add earlier snapshots"
        )
    step = float(np.median(np.diff(dates.to_numpy()) / np.timedelta64(1, "D")))
    days = np.broadcast_to(np.asarray(step if lead_days is None else lead_days, dtype=np.float64), (len(items),))
    lead_steps = np.maximum(np.ceil(np.round(days / step, 6)), 1).astype(np.int64)
    sales = tables.sales
    bought = tables.purchase_orders
    bought = bought[(bought["sku"].notna() & bought["received_date"].notna()).to_numpy()]
    units = bought["quantity_received"].fillna(bought["quantity_ordered"])
    orders, late = _orders(tables, items, dates, np.maximum(days, step))
    return Snapshots(
        items=items,
        dates=dates,
        step_days=step,
        stock=_stock(tables.inventory, items, dates),
        use=_steps(item_codes(sales, items), sales["date"], sales["quantity"].clip(lower=0.0), len(items), dates),
        received=_steps(item_codes(bought, items), bought["received_date"], units, len(items), dates),
        on_order=orders,
        late=late,
        waiting=_waiting(tables, items, dates, lines),
        lead_steps=lead_steps,
        groups=_groups(items),
    )


def _snapshot_dates(inventory: pd.DataFrame) -> pd.DatetimeIndex:
    """Dates on which most of the items were counted that usually are."""
    counts = inventory.groupby("date")["sku"].size().sort_index()
    if not len(counts):
        return pd.DatetimeIndex([])
    usual = counts.rolling(25, center=True, min_periods=1).median()
    return pd.DatetimeIndex(counts.index[(counts >= LEAST_COUNTED * usual).to_numpy()])


def _stock(inventory: pd.DataFrame, items: pd.DataFrame, dates: pd.DatetimeIndex) -> Floats:
    code, column = item_codes(inventory, items), dates.get_indexer(pd.DatetimeIndex(inventory["date"]))
    usable = inventory["on_hand"].fillna(0.0) - inventory["reserved"].fillna(0.0) - inventory["on_hold"].fillna(0.0)
    keep = (code >= 0) & (column >= 0)
    stock, seen = np.zeros((len(items), len(dates))), np.zeros((len(items), len(dates)), dtype=bool)
    np.add.at(stock, (code[keep], column[keep]), usable.to_numpy(np.float64)[keep])
    seen[code[keep], column[keep]] = True
    return np.where(seen, stock.round(DECIMALS), np.nan)


def _steps(code: Ints, day: pd.Series, quantity: pd.Series, n_items: int, dates: pd.DatetimeIndex) -> Floats:
    """Quantities summed by the first snapshot at or after their day, (n_items, n_dates); later ones are left out."""
    # What lies before the step that ends at the first snapshot belongs to no step.
    begin = dates[0] - np.diff(dates)[:12].max()
    days = day.to_numpy().astype("datetime64[D]")
    size = quantity.to_numpy(np.float64)
    # All days up to the last snapshot once, instead of a search for each row.
    first = begin.to_datetime64().astype("datetime64[D]")
    every = np.arange(first, dates[-1].to_datetime64().astype("datetime64[D]") + 1)
    column = dates.to_numpy().astype("datetime64[D]").searchsorted(every)
    at = np.clip((days - first).astype(np.int64), 0, len(every))
    keep = (code >= 0) & (at > 0) & (at < len(every)) & ~np.isnan(size)
    cell = code[keep] * len(dates) + column[at[keep]]
    total = np.bincount(cell, size[keep], minlength=n_items * len(dates))
    return np.asarray(total.reshape(n_items, len(dates)).round(DECIMALS))


def _levels(code: Ints, day: pd.Series, quantity: Floats, n_items: int, dates: pd.DatetimeIndex) -> Floats:
    """Running sums of changes at the snapshots, those before the first one included."""
    days = pd.DatetimeIndex(day)
    column = dates.searchsorted(days)
    keep = (code >= 0) & days.notna() & (column < len(dates)) & ~np.isnan(quantity)
    cell = code[keep] * len(dates) + column[keep]
    change = np.bincount(cell, quantity[keep], minlength=n_items * len(dates)).reshape(n_items, len(dates))
    return np.asarray(np.maximum(change.cumsum(axis=1).round(6), 0.0))


def _orders(tables: Tables, items: pd.DataFrame, dates: pd.DatetimeIndex, days: Floats) -> tuple[Floats, Floats]:
    """Units on order, and units out longer than the usual lead time, at each snapshot."""
    rows = tables.purchase_orders
    rows = rows[(rows["sku"].notna() & rows["order_date"].notna()).to_numpy()]
    if not len(rows):
        nothing = np.zeros((len(items), len(dates)))
        return nothing, nothing
    found = order_lines(rows, as_of=tables.as_of)
    lines, receipts = found.lines, found.receipts
    code = item_codes(lines, items)
    quantity = lines["quantity_ordered"].to_numpy(np.float64)
    line = receipts["line"].to_numpy(np.int64)
    came = np.bincount(line, receipts["share"], minlength=len(lines))
    # What arrived on an unknown day was never seen on order.
    ordered = quantity * np.clip(came + lines["open_share"] + lines["cancelled_share"], 0.0, 1.0).to_numpy()
    due = lines["order_date"] + pd.to_timedelta(np.ceil(days[np.maximum(code, 0)]), unit="D")
    received = pd.Series(receipts["received_date"].to_numpy())
    cancelled = lines["cancelled_date"].where(lines["cancelled_share"] > 0)
    levels = []
    for begin in (lines["order_date"], due):
        ends = received.where(received > begin.iloc[line].to_numpy(), begin.iloc[line].to_numpy())
        stops = cancelled.where((cancelled > begin) | cancelled.isna(), begin)
        day = pd.concat([begin, ends, stops], ignore_index=True)
        change = np.concatenate(
            [ordered, -quantity[line] * receipts["share"].to_numpy(), -quantity * lines["cancelled_share"].to_numpy()]
        )
        levels.append(_levels(np.concatenate([code, code[line], code]), day, change, len(items), dates))
    return levels[0], levels[1]


def _waiting(tables: Tables, items: pd.DataFrame, dates: pd.DatetimeIndex, lines: BackorderLines | None) -> Floats:
    """Backordered units at each snapshot."""
    if not tables.has("backorders"):
        return np.zeros((len(items), len(dates)))
    lines = lines or open_lines(tables.backorders, items, as_of=tables.as_of)
    opened, closed, shipped = lines.frame, lines.closed, lines.shipments
    shipped = shipped[shipped["date"].notna().to_numpy()]
    parts = [
        (opened["item"], opened["order_date"], opened["ordered_quantity"]),
        (closed["item"], closed["order_date"], closed["ordered_quantity"].where(closed["closed_date"].notna(), 0.0)),
        (shipped["item"], shipped["date"], -shipped["quantity"]),
        (closed["item"], closed["closed_date"], closed["filled_quantity"] - closed["ordered_quantity"]),
    ]
    code, day, quantity = (pd.concat([p[i] for p in parts], ignore_index=True) for i in range(3))
    return _levels(code.to_numpy(np.int64), day, quantity.to_numpy(np.float64), len(items), dates)


def _groups(items: pd.DataFrame) -> dict[str, Ints]:
    groups = {}
    for kind in PEERS:
        names = items[kind].astype("str").fillna("") if kind in items else pd.Series("", index=items.index)
        code = pd.factorize(names, sort=True)[0].astype(np.int64)
        if code.max(initial=0) > 0 and np.bincount(code).max() > 1:
            groups[kind] = code
    return groups


def _window_sum(values: Floats, window: int) -> Floats:
    total = values.cumsum(axis=1)
    total[:, window:] = total[:, window:] - total[:, :-window].copy()
    return np.asarray(total.round(6))
