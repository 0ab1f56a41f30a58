"""The account of all rows: used + merged + set aside = read, per table and per rule.

The row "all rows" of a table carries its totals; every other row describes some of them: those set aside for one
reason, those merged, those used although something about them was odd. Tables that were not given have a row too, which
says what is off without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from backorder_forecast.coerce import SET_ASIDE_COLUMNS, Draft
from backorder_forecast.schema import TABLES

QUALITY_COLUMNS = (
    "table", "rule", "rows_read", "rows_used", "rows_merged", "rows_set_aside", "examples", "effect",
)  # fmt: skip
ALL_ROWS = "all rows"


def quality_frame(drafts: Mapping[str, Draft], unused: list[str]) -> pd.DataFrame:
    """The account of the tables as read: `QUALITY_COLUMNS`.

    `unused` names files or sheets that belong to no table.
    """
    records: list[tuple[Any, ...]] = []
    for name, table in TABLES.items():
        if name not in drafts:
            records.append((name, ALL_ROWS, 0, 0, 0, 0, "", f"not given: {table.absent}"))
            continue
        draft = drafts[name]
        used = len(draft.frame)
        gone = sum(len(a) for a in draft.asides)
        effect = f"feeds {table.feeds}" if used else f"no rows: {table.absent}"
        records.append((name, ALL_ROWS, draft.n_read, used, draft.n_merged, gone, "", effect))
        records += [aside_record(name, aside) for aside in draft.asides]
        for note in draft.notes:
            stayed = note.rows - note.merged
            records.append((name, note.rule, note.rows, stayed, note.merged, 0, note.examples, note.effect))
    what = f"not read: the name is not that of a table ({', '.join(TABLES)})"
    records += [(name, "file not recognised", 0, 0, 0, 0, "", what) for name in unused]
    return pd.DataFrame(records, columns=list(QUALITY_COLUMNS))


def aside_record(name: str, aside: pd.DataFrame) -> tuple[Any, ...]:
    """Quality row of rows set aside for one reason."""
    column, reason = str(aside["column"].iloc[0]), str(aside["reason"].iloc[0])
    some = "; ".join(f"row {r.row} ({r.found})" for r in aside.head(3).itertuples())
    rule = f"{column}: {reason}" if column else reason
    return (name, rule, len(aside), 0, 0, len(aside), some, "not used, listed in set_aside")


def with_record(quality: pd.DataFrame, record: tuple[Any, ...]) -> pd.DataFrame:
    """The account with one more row behind the others of its table."""
    rows = quality.to_dict("split")["data"]
    last = max(i for i, row in enumerate(rows) if row[0] == record[0])
    rows.insert(last + 1, list(record))
    return pd.DataFrame(rows, columns=list(QUALITY_COLUMNS))


def with_moved(quality: pd.DataFrame, table: str, *, set_aside: int = 0, merged: int = 0) -> pd.DataFrame:
    """The account with some used rows of a table now set aside or merged."""
    quality = quality.copy()
    total = (quality["table"] == table) & (quality["rule"] == ALL_ROWS)
    quality.loc[total, "rows_used"] -= set_aside + merged
    quality.loc[total, "rows_merged"] += merged
    quality.loc[total, "rows_set_aside"] += set_aside
    return quality


def join_rows(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Lists of set-aside rows as one, text still encoded."""
    parts = [p for p in parts if len(p)]
    if not parts:
        return pd.DataFrame({c: pd.Series(dtype="int64" if c == "row" else "str") for c in SET_ASIDE_COLUMNS})
    joined: dict[str, Any] = {"row": np.concatenate([p["row"].to_numpy() for p in parts])}
    for column in ("table", "column", "reason", "found"):
        joined[column] = pd.api.types.union_categoricals([p[column].astype("category") for p in parts])
    return pd.DataFrame(joined)[list(SET_ASIDE_COLUMNS)]


def input_notes(
    frames: Mapping[str, pd.DataFrame], day: pd.Timestamp, unused: list[str], *, dated_by_order: bool
) -> tuple[str, ...]:
    """Sentences about the input as a whole: what sales are dated by, old stock, product codes that do not match."""
    notes = []
    if dated_by_order:
        notes.append(
            "Sales are dated by the order date: plan with Settings(sales_are='orders'), or map the day of shipment."
        )
    sales = frames["sales"]
    last_sale = sales["date"].max()
    if last_sale > day:
        n_later = int((sales["date"] > day).sum())
        notes.append(
            f"Sales after {day:%Y-%m-%d} are set aside ({n_later:,} row{'s' if n_later > 1 else ''}, up to "
            f"{last_sale:%Y-%m-%d}); read_tables(as_of=...) moves the last known day and rolls older stock forward."
        )
    stock = frames["inventory"]["date"]
    if len(stock) and (latest := stock[stock <= day].max()) < day:
        days = (day - latest).days
        age = f"{days} day{'s' if days > 1 else ''} before as_of"
        notes.append(f"The latest stock is of {latest:%Y-%m-%d}, {age}: it is rolled forward.")
    sold = _names(sales["sku"])
    for name in ("inventory", "purchase_orders", "backorders"):
        own = _names(frames[name]["sku"])
        if len(own) and not own.isin(sold).any():
            notes.append(
                f"No SKU of {name} occurs in sales ({own[0]} against {sold[0]}): do both use the same product code?"
            )
    if unused:
        notes.append(f"Not read, because the name is not that of a table: {', '.join(unused)}.")
    return tuple(notes)


def _names(sku: pd.Series) -> pd.Index:
    names: pd.Index = pd.Index(sku.dropna().unique()).astype("str")
    return names
