"""Sales and backorders to demand: what was wanted, on the day it was wanted, each unit counted once.

Returns first. A return that reverses a sale exactly (same item, customer if known, same quantity) cancels its latest
earlier or same-day sale, both rows vanish; other returns are taken off earlier sales of the item, latest first; what no
earlier sale can absorb is set aside. Then backorders, where sales are dated by shipment: a shipment that carries the
order number of a backorder line moves to that line's order date; without order numbers the filled quantity is taken off
the item's sales of the fill date, never below zero, and counts at the order date; what is open or was cancelled counts
at the order date too. Quantities are added as whole multiples of a fixed unit, so row order never changes a result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backorder_forecast.accounting import aside_record, join_rows, with_moved, with_record
from backorder_forecast.coerce import aside_rows, column_codes, row_examples
from backorder_forecast.returns import exact_reversals, sums_by_day, take_back, take_fills
from backorder_forecast.settings import Settings
from backorder_forecast.tables import Tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Codes = NDArray[np.int32]

LINE = ["order_id", "sku", "location"]


@dataclass(frozen=True, eq=False)
class DemandRecords:
    """Demand per item and day.

    Attributes
    ----------
    frame
        Columns sku, location (categorical), date, quantity (above 0); one row per item and day, sorted.
    quality
        The account of the tables with the rows of netting added; used + merged + set aside = read in each row.
    set_aside
        Rows set aside here: returns without an earlier sale (table, row, column, reason, found).
    """

    frame: pd.DataFrame
    quality: pd.DataFrame
    set_aside: pd.DataFrame


def net_demand(tables: Tables, settings: Settings | None = None) -> DemandRecords:
    """Demand records of the sales, returns and backorders of `tables`.

    Parameters
    ----------
    tables
        Input as `read_tables` gives it.
    settings
        Uses `sales_are`: with "orders" the sales are demand already and backorders add nothing.

    Examples
    --------
    >>> from backorder_forecast.tables import read_tables
    >>> sales = pd.DataFrame({"sku": "A", "date": ["2024-01-05", "2024-01-08", "2024-01-09"], "quantity": [5, 4, -4]})
    >>> backorders = pd.DataFrame({"order_id": ["1"], "sku": ["A"], "order_date": ["2024-01-07"], "quantity": [3]})
    >>> demand = net_demand(read_tables({"sales": sales, "backorders": backorders})).frame
    >>> demand["date"].dt.day.tolist(), demand["quantity"].tolist()
    ([5, 7], [5.0, 3.0])
    """
    settings = Settings() if settings is None else settings
    sales = tables.sales
    account = _Account(tables.quality)
    lines = _lines(tables.backorders if settings.sales_are == "shipments" else tables.backorders.iloc[:0])
    items, code, line_item = _items(sales, lines)
    quantity, scale = _whole(sales["quantity"].to_numpy(np.float64), lines)
    day = _days(sales["date"])

    cancelled = _reversed(sales, code, day, quantity)
    account.merged("returns that reverse a sale exactly", sales, cancelled, "the return and its sale cancel out")
    sold = (quantity > 0) & ~cancelled
    rows, line = _moved_rows(sales, sold, lines)
    moved = np.zeros(len(lines.frame), dtype=np.int64)
    np.add.at(moved, line, quantity[rows])
    day[rows] = lines.order_day[line]
    account.used("sales", "shipments of backorder lines", sales, rows, "count at the order date of their line")

    kept = (code, day, quantity) if sold.all() else (code[sold], day[sold], quantity[sold])
    start, days, units = sums_by_day(*kept, len(items))
    del kept
    added = _backorder_demand(lines, line_item, moved, scale, (start, days, units), account)
    lost = _carry_back(sales, (code, day, quantity), cancelled, (start, days, units), scale, account)
    if len(added):
        item = np.repeat(np.arange(len(items), dtype=np.int32), np.diff(start))
        codes = np.concatenate([item, line_item])
        moments, sizes = np.concatenate([days, lines.order_day]), np.concatenate([units, added])
        start, days, units = sums_by_day(codes, moments, sizes, len(items))
    return DemandRecords(_frame(items, start, days, units, scale), account.quality, join_rows([lost]))


@dataclass
class _Account:
    quality: pd.DataFrame

    def used(self, table: str, rule: str, frame: pd.DataFrame, rows: Ints, effect: str) -> None:
        if len(rows):
            some = row_examples(frame.iloc[rows[:3]])
            self.quality = with_record(self.quality, (table, rule, len(rows), len(rows), 0, 0, some, effect))

    def merged(self, rule: str, frame: pd.DataFrame, mask: NDArray[np.bool_], effect: str) -> None:
        rows = np.flatnonzero(mask)
        if len(rows):
            self.quality = with_moved(self.quality, "sales", merged=len(rows))
            some = row_examples(frame.iloc[rows[:3]])
            self.quality = with_record(self.quality, ("sales", rule, len(rows), 0, len(rows), 0, some, effect))


@dataclass(frozen=True, eq=False)
class _Lines:
    """Backorder lines: one entry per (order_id, sku, location), and their dated shipments."""

    frame: pd.DataFrame
    order_day: Codes
    wanted: NDArray[np.float64]
    filled: NDArray[np.float64]
    undated: NDArray[np.float64]
    shipments: pd.DataFrame


def _lines(backorders: pd.DataFrame) -> _Lines:
    rows = backorders.reset_index()
    rows["location"] = rows["location"].fillna("")
    recorded = rows["promise_recorded_date"].fillna(rows["filled_date"]).fillna(rows["cancelled_date"])
    rows["recorded"] = recorded.fillna(rows["order_date"])
    rows = rows.sort_values([*LINE, "recorded", "quantity", "filled_date"], kind="stable", ignore_index=True)
    rows["line"] = rows.groupby(LINE, sort=True).ngroup()
    groups = rows.groupby("line", sort=True)
    lines = groups[LINE].first().set_index(groups["index"].min().to_numpy())
    wanted = groups["quantity"].last().to_numpy(np.float64)
    order_day = _days(groups["order_date"].min())
    sent = rows[(rows["quantity_filled"] > 0) | (rows["filled_date"].notna() & rows["quantity_filled"].isna())]
    # A revision repeats the shipment it revises; two shipments of one size and day are one.
    sent = sent.drop_duplicates(["line", "filled_date", "quantity_filled"])
    line = sent["line"].to_numpy(np.int64)
    known = np.bincount(line, weights=sent["quantity_filled"].fillna(0.0), minlength=len(lines))
    rest = np.maximum(wanted - known, 0.0)[line]
    size = np.where(sent["quantity_filled"].isna(), rest, sent["quantity_filled"].fillna(0.0))
    # More shipped than wanted counts as wanted, in the order of shipping.
    before = pd.Series(size).groupby(line).cumsum().to_numpy() - size if len(size) else size
    size = np.clip(wanted[line] - before, 0.0, size)
    sent = sent.assign(line=line, size=size)[size > 0]
    ordered = pd.Series(order_day).take(sent["line"]).to_numpy()
    dated = sent["filled_date"].notna().to_numpy() & (_days(sent["filled_date"]) >= ordered)
    by_line, sizes = sent["line"].to_numpy(np.int64), sent["size"].to_numpy(np.float64)
    filled = np.bincount(by_line, weights=sizes, minlength=len(lines)).astype(np.float64)
    undated = np.bincount(by_line[~dated], weights=sizes[~dated], minlength=len(lines)).astype(np.float64)
    return _Lines(lines, order_day, wanted, filled, undated, sent[dated])


def _items(sales: pd.DataFrame, lines: _Lines) -> tuple[pd.DataFrame, Codes, Codes]:
    """Items of sales and lines, sorted by sku and location, and the item of each sales row and line."""
    sku, sku_names = _coded(sales["sku"], lines.frame["sku"])
    place, place_names = _coded(sales["location"], lines.frame["location"])
    pair = sku.astype(np.int64) * len(place_names) + place if len(place_names) > 1 else sku
    n_pairs = len(sku_names) * len(place_names)
    if n_pairs <= 50_000_000:
        present = np.zeros(n_pairs, dtype=bool)
        present[pair] = True
        pairs = np.flatnonzero(present)
        code = (np.cumsum(present, dtype=np.int32) - np.int32(1))[pair]
    else:
        pairs, inverse = np.unique(pair, return_inverse=True)
        code = inverse.astype(np.int32)
    items = pd.DataFrame(
        {
            "sku": pd.Categorical.from_codes(pairs // len(place_names), categories=sku_names),
            "location": pd.Categorical.from_codes(pairs % len(place_names), categories=place_names),
        }
    )
    return items, code[: len(sales)], code[len(sales) :]


def _coded(first: pd.Series, second: pd.Series) -> tuple[Codes, pd.Index]:
    """Codes of both series, one behind the other, in one sorted list of names that begins with the empty one."""
    parts = [column_codes(series) for series in (first, second)]
    # A category that no row has is no name.
    own = [distinct.astype("str") for _, distinct in parts]
    used = [np.zeros(len(distinct) + 1, dtype=bool) for distinct in own]
    for seen, (codes, _) in zip(used, parts, strict=True):
        seen[codes] = True
    names = pd.Index(sorted({"", *own[0][used[0][:-1]], *own[1][used[1][:-1]]}), dtype="str")
    lookups = [np.append(names.get_indexer(u), 0).astype(np.int32) for u in own]
    return np.concatenate([lookup[codes] for lookup, (codes, _) in zip(lookups, parts, strict=True)]), names


def _whole(values: NDArray[np.float64], lines: _Lines) -> tuple[Ints, float]:
    """Quantities as whole multiples of 1 / scale: 1 where all are whole, else the finest that cannot overflow."""
    sizes = np.concatenate([lines.wanted, lines.filled, lines.shipments["size"].to_numpy(np.float64)])
    whole = values.astype(np.int64)
    if bool((whole == values).all()) and bool((np.mod(sizes, 1) == 0).all()):
        return whole, 1.0
    total = np.abs(values).sum() + sizes.sum()
    scale = next((s for s in (1e9, 1e6, 1e3) if total * s < 4e18), 1.0)
    return np.rint(values * scale).astype(np.int64), scale


def _days(dates: pd.Series) -> Codes:
    return dates.to_numpy().astype("datetime64[D]").view(np.int64).astype(np.int32)


def _reversed(sales: pd.DataFrame, code: Codes, day: Codes, quantity: Ints) -> NDArray[np.bool_]:
    """Sales rows that a return cancels exactly, and these returns.

    A return of a known customer cancels a sale to that customer, a return of an unknown one any sale left.
    """
    cancelled = np.zeros(len(sales), dtype=bool)
    returned = quantity < 0
    if not returned.any():
        return cancelled
    customer = column_codes(sales["customer_id"])[0].astype(np.int32)
    order = _ranks(sales["order_id"])
    for known in (True, False):
        returns = returned & ((customer >= 0) == known)
        if returns.any():
            part = np.where(returns | ((quantity > 0) & ~cancelled), quantity, 0)
            who = customer if known else np.zeros_like(customer)
            cancelled |= exact_reversals(code, day, part, who, order)
    return cancelled


def _ranks(names: pd.Series) -> Codes:
    """Place of each name in alphabetical order, -1 where it is missing."""
    codes, distinct = column_codes(names)
    ranks = pd.factorize(distinct.astype("str"), sort=True)[0]
    return np.asarray(np.append(ranks, -1).astype(np.int32)[codes])


def _moved_rows(sales: pd.DataFrame, sold: NDArray[np.bool_], lines: _Lines) -> tuple[Ints, Ints]:
    """Sales rows that ship a backorder line, and the line of each."""
    none = np.empty(0, dtype=np.int64)
    if lines.frame.empty:
        return none, none
    rows = np.flatnonzero(sales["order_id"].isin(pd.Index(lines.frame["order_id"].unique())).to_numpy() & sold)
    if not len(rows):
        return none, none
    known = pd.MultiIndex.from_frame(lines.frame[LINE].astype("str"))
    line = known.get_indexer(pd.MultiIndex.from_frame(sales[LINE].iloc[rows].astype("str")))
    return rows[line >= 0], line[line >= 0].astype(np.int64)


def _backorder_demand(
    lines: _Lines, line_item: Codes, moved: Ints, scale: float, sold: tuple[Ints, Codes, Ints], account: _Account
) -> Ints:
    """Units that each line adds at its order date; fills without an order number in sales leave `sold`."""
    wanted, filled, undated = (np.rint(v * scale).astype(np.int64) for v in (lines.wanted, lines.filled, lines.undated))
    by_order = moved > 0
    # What is in sales already is not added: shipments moved above, and fills whose day is unknown.
    inside = np.where(by_order, np.minimum(moved, filled), undated)
    sent = lines.shipments[~by_order[lines.shipments["line"]]]
    line = sent["line"].to_numpy(np.int64)
    size = np.rint(sent["size"].to_numpy(np.float64) * scale).astype(np.int64)
    missing = take_fills(line_item[line], _days(sent["filled_date"]), size, *sold)
    words = _fill_words(int(size.sum()), missing, scale)
    open_rows = np.flatnonzero(wanted > filled)
    short = np.flatnonzero(by_order & (moved < filled))
    frame = lines.frame
    account.used("backorders", "open or cancelled quantities", frame, open_rows, "count as demand at the order date")
    account.used("backorders", "fills without a sale of that order", frame, np.unique(line), words)
    account.used("backorders", "fills larger than their sales", frame, short, "the rest counts at the order date too")
    return np.maximum(wanted - inside, 0)


def _fill_words(total: int, missing: int, scale: float) -> str:
    units = f"{total / scale:,.10g} unit{'' if total == scale else 's'}"
    words = f"{units}: counted at the order date and taken off the sales of the fill date"
    if missing:
        return (
            f"{words}; {missing / scale:,.10g} of them are not in the sales of that day: are sales dated by shipment?"
        )
    return words


def _carry_back(
    sales: pd.DataFrame,
    rows_of: tuple[Codes, Codes, Ints],
    cancelled: NDArray[np.bool_],
    sold: tuple[Ints, Codes, Ints],
    scale: float,
    account: _Account,
) -> pd.DataFrame:
    """Take the other returns off earlier sales, latest first; returns the rows that found none."""
    code, day, quantity = rows_of
    rows = np.flatnonzero((quantity < 0) & ~cancelled)
    rows = rows[np.lexsort((quantity[rows], day[rows], code[rows]))]
    left = take_back(code[rows], day[rows], -quantity[rows], *sold)
    size = -quantity[rows]
    netted = np.zeros(len(sales), dtype=bool)
    netted[rows[left < size]] = True
    partly = left[(left > 0) & (left < size)].sum() / scale
    words = "taken off earlier sales of the item, latest first"
    if partly:
        words += f"; {partly:,.10g} units of them exceed all earlier sales and are not used"
    account.merged("other returns", sales, netted, words)
    lost = np.zeros(len(sales), dtype=bool)
    lost[rows[left == size]] = True
    reason = "a return without an earlier sale"
    aside = aside_rows("sales", sales.index[lost], "quantity", reason, sales["quantity"][lost])
    if len(aside):
        account.quality = with_moved(account.quality, "sales", set_aside=len(aside))
        account.quality = with_record(account.quality, aside_record("sales", aside))
    return aside


def _frame(items: pd.DataFrame, start: Ints, days: Codes, units: Ints, scale: float) -> pd.DataFrame:
    row = np.repeat(np.arange(len(items)), np.diff(start))
    keep = units > 0
    frame = items.iloc[row[keep]].reset_index(drop=True)
    frame["date"] = days[keep].astype("datetime64[D]").astype("datetime64[s]")
    frame["quantity"] = units[keep] / scale
    return frame
