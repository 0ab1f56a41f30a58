"""What dated events do to supply: days on which a supplier is closed, and recalls and quality holds.

While a supplier is closed its goods stand still: what would arrive on or after the first closed day comes later by the
closed days, and an open order has been under way only on the days on which its supplier worked. A recall or hold takes
all stock of its items out of use until the day after its end (for ever where no end is known); in a recall, and where
its kind speaks of receipts ("hold of receipts"), what comes in that time waits as well: what is on order, and what is
ordered now where the end is known. Without a known end what is ordered now is taken to be made after the recall, since
otherwise no order could ever help. One that is known to begin later (a hold with a future start, an "announced
recall") takes what is on the shelf that day. Day numbers count from `as_of`, day 1 is the day after it. Kinds are read
by their words; an event that states an effect on demand is left to `events.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.clock import NEVER
from backorder_forecast.events import STOPS
from backorder_forecast.schema import HOLD_EVENTS, event_words

SUDDEN = r"disruption|\bstrikes?\b|\bfire\b|\bfloods?\b|outage|accident"
"""Words in a kind that say that a supplier stands still and nobody knew before."""
CLOSED = "|".join((*(rf"\b{word}" for word in STOPS), SUDDEN))
"""Words in a kind that say that a supplier stands still."""
RECEIPTS = ("receipt", "incoming", "deliver", "inbound")
"""Words in the kind of a hold that concern what still comes in."""
HOLD_COLUMNS = ("receipts_held", "release_day", "next_hold_day", "next_receipts_held", "next_release_day")
"""What the facts of an item say of its deliveries on hold, now and next, as in `Holds`."""
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

    def later(
        self, days: NDArray[np.int32], suppliers: pd.Series, *, placed: Ints | int = 0
    ) -> NDArray[np.int32]:  # fmt: skip
        """Arrival days (n, n_paths) put off by the closed days still ahead of each row's supplier.

        Of what is ordered on a later day (`placed`, day numbers that fit `days`) only the closed days after that count.

        Examples
        --------
        >>> shut = Closures(pd.DataFrame({"supplier": ["ACME"], "first": [3], "last": [7], "known_end": [True]}))
        >>> shut.later(np.array([[2, 3, 9]], dtype=np.int32), pd.Series(["ACME"])).tolist()
        [[2, 8, 14]]
        >>> shut.later(np.array([[9, 9]], dtype=np.int32), pd.Series(["ACME"]), placed=np.array([[4, 6]])).tolist()
        [[12, 10]]
        """
        if self.frame.empty or not len(days):
            return days
        pointer, first, last = self.windows(suppliers)
        since = np.broadcast_to(np.asarray(placed, dtype=np.int64), days.shape)
        return np.asarray(_put_off(days, pointer, first, last, since))

    def lengthened(self, days: NDArray[np.float64], suppliers: pd.Series) -> NDArray[np.float64]:
        """Days ahead that an order of each row's supplier must last, longer by the closed days within, shape (n,).

        Examples
        --------
        >>> shut = Closures(pd.DataFrame({"supplier": ["ACME"], "first": [3], "last": [7], "known_end": [True]}))
        >>> shut.lengthened(np.array([2.0, 9.0, 9.0]), pd.Series(["ACME", "ACME", "other"])).tolist()
        [2.0, 14.0, 9.0]
        """
        whole = np.minimum(np.ceil(days), NEVER).astype(np.int32)[:, None]
        return np.asarray(days + (self.later(whole, suppliers) - whole)[:, 0])


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
    kind = event_words(_text(events, "kind"))
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
    """Recalls and holds by item: those in force at `as_of`, and the next that is known to begin later.

    Attributes
    ----------
    held
        Whether all stock of the item is out of use, shape (n_items,).
    receipts
        Whether its deliveries are too, shape (n_items,).
    release
        Day number on which both are usable again, `NEVER` where no end is known, shape (n_items,).
    next_day, next_receipts, next_release
        The same of the next hold: day on which it begins (`NEVER` without one), whether it concerns deliveries, and its
        release. Holds that overlap or touch are one.
    n_later
        Holds after that one, which are not looked at.
    """

    held: NDArray[np.bool_]
    receipts: NDArray[np.bool_]
    release: Ints
    next_day: Ints
    next_receipts: NDArray[np.bool_]
    next_release: Ints
    n_later: int

    def later(self, days: NDArray[np.int32], item: Ints, *, new: bool = False) -> NDArray[np.int32]:
        """Arrival days (n, n_paths) of order lines of these items, not before held receipts are released.

        Of orders that are `new` only holds whose end is known keep the goods back.
        """
        return held_back(
            days, self.receipts[item], self.release[item], self.next_day[item], self.next_receipts[item],
            self.next_release[item], new=new,
        )  # fmt: skip


def held_back(
    days: NDArray[np.int32], held: NDArray[np.bool_], release: Ints, next_day: Ints, next_held: NDArray[np.bool_],
    next_release: Ints, *, new: bool = False,
) -> NDArray[np.int32]:  # fmt: skip
    """Arrival days (n, n_paths) put off to the release of what is held now, and then, rows as in `Holds`.

    Of orders that are `new` only holds whose end is known keep the goods back.

    Examples
    --------
    >>> row = np.array([True]), np.array([4]), np.array([8]), np.array([True]), np.array([12])
    >>> held_back(np.array([[2, 5, 9, 12]], dtype=np.int32), *row).tolist()
    [[4, 5, 12, 12]]
    """
    if new:
        held, next_held = held & (release < NEVER), next_held & (next_release < NEVER)
    if not (held.any() or next_held.any()) or not len(days):
        return days
    moved = np.maximum(days, np.where(held, release, 0)[:, None])
    inside = next_held[:, None] & (moved >= next_day[:, None]) & (moved < next_release[:, None])
    return np.where(inside, next_release[:, None], moved).astype(np.int32)


def held_orders(days: NDArray[np.int32], items: pd.DataFrame, *, new: bool = False) -> NDArray[np.int32]:
    """`held_back` for rows of `items`, which have `HOLD_COLUMNS`.

    Examples
    --------
    >>> items = pd.DataFrame({"receipts_held": [True], "release_day": 9, "next_hold_day": int(NEVER),
    ...     "next_receipts_held": False, "next_release_day": 0})
    >>> held_orders(np.array([[4, 12]], dtype=np.int32), items, new=True).tolist()
    [[9, 12]]
    """
    return held_back(days, *(items[c].to_numpy() for c in HOLD_COLUMNS), new=new)


def days_to_last(days: NDArray[np.float64], closures: Closures, items: pd.DataFrame) -> NDArray[np.float64]:
    """Days ahead that an order of each item must last, with the closures and holds of deliveries within, shape (n,).

    `items` has `HOLD_COLUMNS` and supplier.

    Examples
    --------
    >>> items = pd.DataFrame({"receipts_held": [True], "release_day": 9, "next_hold_day": int(NEVER),
    ...     "next_receipts_held": False, "next_release_day": 0, "supplier": "ACME"})
    >>> shut = Closures(pd.DataFrame({"supplier": ["ACME"], "first": [3], "last": [4], "known_end": [True]}))
    >>> days_to_last(np.array([5.0]), shut, items).tolist()
    [9.0]
    """
    lengthened = closures.lengthened(days, items["supplier"])
    whole = np.minimum(np.ceil(lengthened), NEVER).astype(np.int32)[:, None]
    return np.asarray(lengthened + (held_orders(whole, items, new=True) - whole)[:, 0], dtype=np.float64)


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
    kind, supplier = event_words(_text(events, "kind")), _text(events, "supplier")
    plain = _no_effect(events)
    closed = kind.str.contains(CLOSED) & (supplier != "") & plain & ~supplier.isin(suppliers)
    notes = []
    if closed.any():
        names = ", ".join(sorted(set(supplier[closed])))
        notes.append(f"closures of suppliers that no table names change nothing: {names}")
    held = kind.str.contains(HOLD_EVENTS) & plain
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
    """Recalls and quality holds that run at `as_of`, and the next ones.

    Parameters
    ----------
    events
        Columns kind, start, end, sku, category, effect. An event that names neither sku nor category holds nothing:
        nobody blocks a whole shop.
    items
        Columns sku and, where known, category, recalled_from and recalled_to.

    Examples
    --------
    >>> rows = pd.DataFrame({"kind": ["quality hold"], "start": [pd.Timestamp("2024-07-01")], "sku": ["A"],
    ...     "end": [pd.Timestamp("2024-07-20")], "category": [None], "effect": [np.nan]})
    >>> holds = item_holds(rows, pd.DataFrame({"sku": ["A", "B"]}), pd.Timestamp("2024-07-10"))
    >>> holds.held.tolist(), holds.release.tolist()
    ([True, False], [11, 0])
    >>> early = item_holds(rows, pd.DataFrame({"sku": ["A"]}), pd.Timestamp("2024-06-30"))
    >>> early.held.tolist(), early.next_day.tolist(), early.next_release.tolist()
    ([False], [1], [21])
    """
    n, parts = len(items), []
    if "recalled_from" in items:
        first, end = (_days(pd.to_datetime(items[c]), as_of) for c in ("recalled_from", "recalled_to"))
        at = np.flatnonzero((first != _NO_END) & (end >= 0))
        parts.append(np.column_stack([at, first[at], end[at], np.ones(len(at), dtype=np.int64)]))
    if not events.empty:
        kind = event_words(_text(events, "kind"))
        first, end = _days(events["start"], as_of), _days(events["end"], as_of)
        mine = (
            kind.str.contains(HOLD_EVENTS).to_numpy() & (end >= 0) & (first != _NO_END) & _no_effect(events).to_numpy()
        )
        about = {c: _text(items, c).to_numpy() for c in ("sku", "category")}
        for row in np.flatnonzero(mine):
            named = {c: str(_text(events, c).iloc[row]) for c in ("sku", "category")}
            if not any(named.values()):
                continue
            hit = np.ones(n, dtype=bool)
            for column, name in named.items():
                hit &= (about[column] == name) if name else True
            incoming = "recall" in kind.iloc[row] or any(word in kind.iloc[row] for word in RECEIPTS)
            at = np.flatnonzero(hit)
            parts.append(np.column_stack([at, *(np.full(len(at), int(v)) for v in (first[row], end[row], incoming))]))
    windows = np.concatenate([np.zeros((0, 4), dtype=np.int64), *parts])
    return _merged_holds(windows[np.lexsort(windows.T[::-1])], n)


def _merged_holds(windows: Ints, n: int) -> Holds:
    """Windows (item, first, last, receipts too), sorted, as the one in force and the next."""
    held, receipts, then = (np.zeros(n, dtype=bool) for _ in range(3))
    release, begin, until = np.zeros(n, dtype=np.int64), np.full(n, int(NEVER)), np.zeros(n, dtype=np.int64)
    later = 0
    for item, first, last, incoming in windows.tolist():
        over = int(NEVER) if last == _NO_END else last + 1
        if first <= 0 or (held[item] and first <= release[item]):
            held[item], release[item] = True, max(release[item], over)
            receipts[item] |= bool(incoming)
        elif begin[item] == NEVER or first <= until[item]:
            begin[item], until[item] = min(begin[item], first), max(until[item], over)
            then[item] |= bool(incoming)
        else:
            later += 1
    return Holds(held, receipts, release, begin, then, until, later)


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
def _put_off(days, pointer, first, last, placed):  # type: ignore[no-untyped-def]
    out = days.copy()
    for i in range(len(pointer) - 1):
        for k in range(pointer[i], pointer[i + 1]):
            for p in range(days.shape[1]):
                begins = max(first[k], placed[i, p] + 1)
                length = last[k] - begins + 1
                # In order of their beginning: what one closure puts off may meet the next.
                if length > 0 and out[i, p] != NEVER and out[i, p] >= begins:
                    out[i, p] = min(np.int64(out[i, p]) + length, np.int64(NEVER))
    return out
