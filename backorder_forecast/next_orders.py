"""When the next order goes out: supply that nobody has ordered yet begins with it.

A shop orders from a supplier on its review days. The next one is read from the days on which orders to that supplier
were placed so far: of the gaps between them those longer than the time since the last order are possible, and what is
left of them is the wait. A need that waits is ordered at the next review at the latest, so that the wait is at most the
item's `review_days`. Suppliers with fewer than `FEWEST_GAPS` gaps tell no rhythm: the next order is the one that a plan
recommends now. Days count from `as_of`; 0 is an order placed now.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast import streams

FEWEST_GAPS = 5
"""Gaps between order days from which a supplier has a rhythm. Judgement."""
RECENT_DAYS = 365
"""Days of the past that tell the rhythm."""
_LEVELS = (np.arange(64) + 0.5) / 64


@dataclass(frozen=True, eq=False)
class NextOrders:
    """Days until the next order to each item's supplier.

    Attributes
    ----------
    waits
        Equally likely waits in days, rising, one row per supplier with a rhythm, shape (n_suppliers, n_levels).
    row
        Row of `waits` for each item, -1 without a rhythm, shape (n_items,).
    longest
        Review interval of each item, days, shape (n_items,).
    keys
        Stream key of each item's supplier, shape (n_items,): its items are ordered on the same day.
    """

    waits: NDArray[np.int64]
    row: NDArray[np.int64]
    longest: NDArray[np.int64]
    keys: NDArray[np.uint64]

    def draw(self, start: int, stop: int, n_paths: int) -> NDArray[np.int64]:
        """Days until the next order for items start to stop, shape (stop - start, n_paths)."""
        out = np.zeros((stop - start, n_paths), dtype=np.int64)
        for i in np.flatnonzero(self.row[start:stop] >= 0):
            share = streams.uniforms(self.keys[start + i], n_paths)
            waits = self.waits[self.row[start + i]]
            out[i] = np.minimum(waits[(share * len(waits)).astype(np.int64)], self.longest[start + i])
        return out


def next_orders(purchase_orders: pd.DataFrame, facts: pd.DataFrame, *, as_of: pd.Timestamp, seed: int) -> NextOrders:
    """The rhythm of every item's supplier.

    Parameters
    ----------
    purchase_orders
        supplier, order_date; orders after `as_of` are not known.
    facts
        One row per item: supplier, review_days.
    as_of, seed
        Last known day; key of the draws.

    Examples
    --------
    >>> orders = pd.DataFrame({"supplier": "ACME", "order_date": pd.date_range("2024-01-03", periods=10, freq="7D")})
    >>> items = pd.DataFrame({"supplier": ["ACME", "new"], "review_days": [7, 7]})
    >>> rhythm = next_orders(orders, items, as_of=pd.Timestamp("2024-03-10"), seed=0)
    >>> rhythm.draw(0, 2, 3).tolist()
    [[3, 3, 3], [0, 0, 0]]
    """
    days = purchase_orders[["supplier", "order_date"]].dropna()
    recent = (days["order_date"] <= as_of) & (days["order_date"] > as_of - pd.Timedelta(days=RECENT_DAYS))
    days = days[recent].astype({"supplier": "str"}).drop_duplicates().sort_values(["supplier", "order_date"])
    gaps = days.groupby("supplier")["order_date"].diff().dt.days
    since = (as_of - days.groupby("supplier")["order_date"].max()).dt.days
    rows, names = [], []
    for supplier, own in gaps.dropna().groupby(days["supplier"]):
        left = np.sort(own.to_numpy(dtype=np.int64)) - int(since[supplier])
        left = left[left > 0]
        if len(own) >= FEWEST_GAPS and len(left):
            rows.append(left[(_LEVELS * len(left)).astype(np.int64)])
            names.append(str(supplier))
    known = facts["supplier"].astype("str")
    codes, suppliers = pd.factorize(known)
    keys = streams.item_keys(suppliers, np.full(len(suppliers), "review"), seed, streams.NEXT_ORDER)
    return NextOrders(
        np.array(rows, dtype=np.int64).reshape(len(rows), len(_LEVELS)),
        np.asarray(pd.Index(names).get_indexer(pd.Index(known)), dtype=np.int64) if names else np.full(len(facts), -1),
        facts["review_days"].to_numpy(dtype=np.int64),
        keys[codes] if len(suppliers) else np.zeros(0, dtype=np.uint64),
    )
