"""What dated events do to supply: days on which a supplier is closed, and recalls and quality holds.

While a supplier is closed its goods stand still: what would arrive on or after the first closed day comes later by the
closed days, and an open order has been under way only on the days on which its supplier worked. A recall or hold takes
all stock of its items out of use until the day after its end (for ever where no end is known); where its kind speaks of
receipts ("hold of receipts"), deliveries in that time wait as well. Day numbers count from `as_of`, day 1 is the day
after it. Kinds are read by their words; an event that states an effect on demand is left to `events.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.clock import NEVER
from backorder_forecast.events import STOPS

SUDDEN = r"disruption|\bstrikes?\b|\bfire\b|\bfloods?\b|outage|accident"
"""Words in a kind that say that a supplier stands still and nobody knew before."""
CLOSED = "|".join((*(rf"\b{word}" for word in STOPS), SUDDEN))
"""Words in a kind that say that a supplier stands still."""
HELD = r"recall|\b(?:on[- ]?)?holds?\b|quarantine|\bblocked\b"
"""Words in a kind that say that stock must not be used."""
RECEIPTS = ("receipt", "incoming", "deliver", "inbound")
"""Words in the kind of a hold that concern what still comes in."""
_DAY = np.timedelta64(1, "D")
_NO_END = 10**6

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Closures:
    """Days on which suppliers are closed: supplier, first and last day number (inclusive), known_end; sorted."""

    frame: pd.DataFrame

    def windows(self, suppliers: pd.Series) -> tuple[Ints, Ints, Ints]:
        """First and last days of the closures of each row's supplier: row i has those from pointer[i] to pointer[i+1].

        Returns (pointer (n + 1,), first, last).
        """
        own = pd.DataFrame({"supplier": suppliers.astype("str").to_numpy(), "row": np.arange(len(suppliers))})
        pairs = own.merge(self.frame, on="supplier").sort_values(["row", "first"], kind="stable")
        pointer = np.searchsorted(pairs["row"].to_numpy(), np.arange(len(suppliers) + 1)).astype(np.int64)
        return pointer, pairs["first"].to_numpy(np.int64), pairs["last"].to_numpy(np.int64)

    def concerns(self, suppliers: pd.Series) -> NDArray[np.bool_]:
        """Whether each row's supplier is closed on some day, shape (n,)."""
        return np.asarray(suppliers.astype("str").isin(self.frame["supplier"]), dtype=bool)

    def closed_days(self, suppliers: pd.Series, ages: Ints) -> Ints:
        """Days up to `as_of` on which the supplier of an order of that age was closed, shape (n,)."""
        if self.frame.empty:
            return np.zeros(len(ages), dtype=np.int64)
        pointer, first, last = self.windows(suppliers)
        row = np.repeat(np.arange(len(ages)), np.diff(pointer))
        days = np.minimum(last, 0) - np.maximum(first, 1 - ages[row]) + 1
        return np.bincount(row, np.maximum(days, 0), len(ages)).astype(np.int64)

    def later(self, days: NDArray[np.int32], suppliers: pd.Series) -> NDArray[np.int32]:
        """Arrival days (n, n_paths) put off by the closed days still ahead of each row's supplier.

        Examples
        --------
        >>> shut = Closures(pd.DataFrame({"supplier": ["ACME"], "first": [3], "last": [7], "known_end": [True]}))
        >>> shut.later(np.array([[2, 3, 9]], dtype=np.int32), pd.Series(["ACME"])).tolist()
        [[2, 8, 14]]
        """
        if self.frame.empty or not len(days):
            return days
        pointer, first, last = self.windows(suppliers)
        return np.asarray(_put_off(days, pointer, first, last))


def supplier_closures(events: pd.DataFrame, as_of: pd.Timestamp) -> Closures:
    """Closures named in `events`; days that overlap count once.

    Parameters
    ----------
    events
        Columns kind, start, end, supplier, effect. A closure without an end lasts one day, or, if it is one that
        nobody foresees (a strike, a fire), has no known end.
    as_of
        Day 0.

    Examples
    --------
    >>> rows = pd.DataFrame({"kind": "closure", "start": [pd.Timestamp("2024-08-01")], "supplier": "ACME",
    ...     "end": [pd.Timestamp("2024-08-20")], "effect": np.nan})
    >>> supplier_closures(rows, pd.Timestamp("2024-07-31")).frame[["first", "last"]].values.tolist()
    [[1, 20]]
    """
    columns = ["supplier", "first", "last", "known_end"]
    if events.empty:
        return Closures(pd.DataFrame({c: pd.Series(dtype="str" if c == "supplier" else "int64") for c in columns}))
    kind = _text(events, "kind").str.casefold()
    supplier = _text(events, "supplier")
    mine = kind.str.contains(CLOSED) & (supplier != "") & _no_effect(events)
    rows = pd.DataFrame({"supplier": supplier, "first": _days(events["start"], as_of)})
    end = _days(events["end"], as_of)
    sudden = kind.str.contains(SUDDEN).to_numpy()
    rows["known_end"] = (end != _NO_END) | ~sudden
    # How long what nobody foresaw will last is left to `disruptions.py`; so far it has lasted to `as_of`.
    rows["last"] = np.where(end != _NO_END, end, np.where(sudden, np.maximum(rows["first"], 0), rows["first"]))
    rows = rows[mine.to_numpy() & (rows["last"] >= rows["first"])]
    return merged_closures(rows[columns])


def merged_closures(rows: pd.DataFrame) -> Closures:
    """Closures in which windows of one supplier that overlap or touch are one."""
    rows = rows.astype({"supplier": "str"}).sort_values(["supplier", "first", "last"], kind="stable")
    before = rows.groupby("supplier")["last"].cummax().groupby(rows["supplier"]).shift(1)
    apart = before.isna() | (rows["first"] > before + 1)
    joined = rows.assign(window=apart.cumsum()).groupby("window", sort=True)
    frame = joined.agg(supplier=("supplier", "first"), first=("first", "min"), last=("last", "max"),
                       known_end=("known_end", "all")).reset_index(drop=True)  # fmt: skip
    return Closures(frame.astype({"first": "int64", "last": "int64"}))


@dataclass(frozen=True, eq=False)
class Holds:
    """Recalls and holds in force at `as_of`, by item.

    Attributes
    ----------
    held
        Whether all stock of the item is out of use, shape (n_items,).
    receipts
        Whether its deliveries are too, shape (n_items,).
    release
        Day number on which both are usable again, `NEVER` where no end is known, shape (n_items,).
    """

    held: NDArray[np.bool_]
    receipts: NDArray[np.bool_]
    release: Ints

    def later(self, days: NDArray[np.int32], item: Ints) -> NDArray[np.int32]:
        """Arrival days (n, n_paths) of order lines of these items, not before held receipts are released."""
        wait = np.where(self.receipts[item], self.release[item], 0)
        return np.maximum(days, wait[:, None]).astype(np.int32) if wait.any() else days


def unmatched_notes(events: pd.DataFrame, items: pd.DataFrame, suppliers: set[str]) -> tuple[str, ...]:
    """A sentence where a closure names a supplier, or a hold an item or category, that no table knows.

    Examples
    --------
    >>> rows = pd.DataFrame({"kind": ["recall", "closure"], "start": pd.Timestamp("2024-07-01"), "sku": ["ZZ", None],
    ...     "end": pd.NaT, "category": None, "supplier": [None, "Nobody"], "effect": np.nan})
    >>> for note in unmatched_notes(rows, pd.DataFrame({"sku": ["A"]}), {"ACME"}):
    ...     print(note)
    closures of suppliers that no table names change nothing: Nobody
    recalls and holds of items that no table names change nothing: ZZ
    """
    if events.empty:
        return ()
    kind, supplier = _text(events, "kind").str.casefold(), _text(events, "supplier")
    plain = _no_effect(events)
    closed = kind.str.contains(CLOSED) & (supplier != "") & plain & ~supplier.isin(suppliers)
    notes = []
    if closed.any():
        names = ", ".join(sorted(set(supplier[closed])))
        notes.append(f"closures of suppliers that no table names change nothing: {names}")
    held = kind.str.contains(HELD) & plain
    lost = np.zeros(len(events), dtype=bool)
    for column in ("sku", "category"):
        named = _text(events, column)
        lost |= (held & (named != "") & ~named.isin(set(_text(items, column)))).to_numpy()
    if lost.any():
        what = _text(events, "sku").where(_text(events, "sku") != "", _text(events, "category"))
        notes.append(
            f"recalls and holds of items that no table names change nothing: {', '.join(sorted(set(what[lost])))}"
        )
    return tuple(notes)


def item_holds(events: pd.DataFrame, items: pd.DataFrame, as_of: pd.Timestamp) -> Holds:
    """Recalls and quality holds that run at `as_of`; one that begins later is not foreseen.

    Parameters
    ----------
    events
        Columns kind, start, end, sku, category, effect. An event that names neither sku nor category holds nothing:
        nobody blocks a whole shop.
    items
        Columns sku and, where known, category.

    Examples
    --------
    >>> rows = pd.DataFrame({"kind": ["quality hold"], "start": [pd.Timestamp("2024-07-01")], "sku": ["A"],
    ...     "end": [pd.Timestamp("2024-07-20")], "category": [None], "effect": [np.nan]})
    >>> holds = item_holds(rows, pd.DataFrame({"sku": ["A", "B"]}), pd.Timestamp("2024-07-10"))
    >>> holds.held.tolist(), holds.release.tolist()
    ([True, False], [11, 0])
    """
    n = len(items)
    held, receipts, release = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool), np.zeros(n, dtype=np.int64)
    if not events.empty:
        kind = _text(events, "kind").str.casefold()
        first, end = _days(events["start"], as_of), _days(events["end"], as_of)
        runs = (first <= 0) & (end >= 0)
        mine = kind.str.contains(HELD).to_numpy() & runs & _no_effect(events).to_numpy()
        about = {c: _text(items, c).to_numpy() for c in ("sku", "category")}
        for row in np.flatnonzero(mine):
            named = {c: str(_text(events, c).iloc[row]) for c in ("sku", "category")}
            if not any(named.values()):
                continue
            hit = np.ones(n, dtype=bool)
            for column, name in named.items():
                hit &= (about[column] == name) if name else True
            held |= hit
            receipts |= hit & any(word in kind.iloc[row] for word in RECEIPTS)
            until = NEVER if end[row] == _NO_END else int(end[row]) + 1
            release[hit] = np.maximum(release[hit], until)
    return Holds(held, receipts, release)


def _text(frame: pd.DataFrame, column: str) -> pd.Series:
    if column not in frame:
        return pd.Series("", index=range(len(frame)), dtype="str")
    return frame[column].reset_index(drop=True).astype("str").fillna("").str.strip()


def _no_effect(events: pd.DataFrame) -> pd.Series:
    stated = pd.to_numeric(events["effect"], errors="coerce") if "effect" in events else pd.Series(np.nan, events.index)
    return stated.isna().reset_index(drop=True)


def _days(dates: pd.Series, as_of: pd.Timestamp) -> Ints:
    """Day numbers from `as_of`; far ahead where missing."""
    days = (dates.to_numpy().astype("datetime64[D]") - as_of.to_datetime64().astype("datetime64[D]")) / _DAY
    return np.asarray(np.where(np.isnan(days), _NO_END, days), dtype=np.int64)


@nb.njit(cache=True, nogil=True)
def _put_off(days, pointer, first, last):  # type: ignore[no-untyped-def]
    out = days.copy()
    for i in range(len(pointer) - 1):
        for k in range(pointer[i], pointer[i + 1]):
            begins, length = max(first[k], 1), last[k] - max(first[k], 1) + 1
            if length <= 0:
                continue
            for p in range(days.shape[1]):
                # In order of their beginning: what one closure puts off may meet the next.
                if out[i, p] != NEVER and out[i, p] >= begins:
                    out[i, p] = min(np.int64(out[i, p]) + length, np.int64(NEVER))
    return out
