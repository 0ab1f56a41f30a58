"""Backorder lines: what each customer still waits for, and what became of the lines that are closed.

A line is one (order_id, sku, location). The table has one row per line and shipment or revision; its rows are merged
here into one line as known at the end of `as_of`: a shipment, cancellation or promise dated later has not happened.
`quantity` is what was ordered and repeats on each row; `quantity_filled` belongs to one shipment; money columns hold
the total of the line so far, so the largest counts. Quantities are units, money is per unit or per line as named,
ages are days. Impossible values are handled by the rules of `RULES` and every use of a rule is counted, so that no
line waits for ever in silence.

Status of an open line: created, confirmed (something is prepaid), promised, re-promised, partially filled. Outcome of
a closed one: filled, cancelled, refunded, substituted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backorder_forecast.known import known_at
from backorder_forecast.panel import item_codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXT = ("order_id", "sku", "location", "customer_id", "substituted_by")
NUMBERS = ("quantity", "quantity_filled", "priority", "unit_price", "prepaid_amount", "refunded_amount")
DATES = ("order_date", "promised_date", "promise_recorded_date", "filled_date", "cancelled_date")
SET_ASIDE_COLUMNS = ("table", "row", "column", "reason", "found", "effect")
QUALITY_COLUMNS = (
    "table", "rule", "rows_read", "rows_used", "rows_merged", "rows_set_aside", "examples", "effect",
)  # fmt: skip

RULES: dict[str, tuple[str, str, bool]] = {
    # reason: (column, what is done, whether the row is still used)
    "unknown item": ("sku", "row not used", False),
    "no order id": ("order_id", "row not used", False),
    "no order date": ("order_date", "row not used", False),
    "ordered after as_of": ("order_date", "row not used: not known yet", False),
    "recorded after as_of": ("order_date", "row not used: another row tells what was known by then", False),
    "quantity is not positive": ("quantity", "row not used", False),
    "the same row twice": ("order_id", "counted once", False),
    "the same shipment on two rows": ("filled_date", "shipment counted once", True),
    "filled before ordered": ("filled_date", "the quantity counts as filled, its date is ignored", True),
    "cancelled before ordered": ("cancelled_date", "counts as cancelled, its date is ignored", True),
    "promised before ordered": ("promised_date", "promise ignored", True),
    "negative filled quantity": ("quantity_filled", "counts as nothing filled", True),
    "negative amount": ("prepaid_amount", "amount ignored", True),
    "quantities differ within the line": ("quantity", "the latest record counts", True),
    "filled and cancelled": ("cancelled_date", "counts as filled, the cancellation is ignored", True),
    "filled more than ordered": ("quantity_filled", "line is closed, the excess is ignored", True),
    "closed without a date": ("filled_date", "line is closed; not used for patience and history", True),
    "promised date already passed": ("promised_date", "kept: the promise is broken", True),
    "prepaid above the price": ("prepaid_amount", "the excess is refunded at shipment", True),
}
"""What is done about each kind of bad input."""

OPEN_COLUMNS = (
    "item", "order_id", "sku", "location", "customer_id", "quantity", "ordered_quantity", "order_date", "priority",
    "promised_date", "first_promised_date", "n_promises", "unit_price", "prepaid_amount", "refunded_amount",
    "complete_only", "status", "waited_days",
)  # fmt: skip
CLOSED_COLUMNS = (
    "item", "order_id", "sku", "location", "customer_id", "ordered_quantity", "filled_quantity", "order_date",
    "closed_date", "outcome", "days", "promised_date", "first_promised_date", "n_promises", "unit_price",
    "prepaid_amount", "refunded_amount",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class BackorderLines:
    """Open and closed backorder lines as known at the end of `as_of`.

    Attributes
    ----------
    frame
        Open lines, sorted by item, order date, order id (first come, first served): `OPEN_COLUMNS`. `quantity` is
        still open, `ordered_quantity` was ordered, `item` is the row of the items frame.
    item_start
        Pointers, shape (n_items + 1,): the open lines of item i are rows item_start[i] to item_start[i + 1].
    closed
        Closed lines: `CLOSED_COLUMNS`; `days` from order to closing, NaN and NaT where no date is known.
    shipments
        What has been shipped: item, order_id, date (NaT unknown), quantity; open and closed lines.
    set_aside, quality
        Every row and line to which a rule of `RULES` was applied, and the counts per rule.
    """

    frame: pd.DataFrame
    item_start: NDArray[np.int64]
    closed: pd.DataFrame
    shipments: pd.DataFrame
    set_aside: pd.DataFrame
    quality: pd.DataFrame
    as_of: pd.Timestamp

    def bucket(self, start: int, stop: int) -> tuple[pd.DataFrame, NDArray[np.int64]]:
        """Open lines of items start to stop and their pointers, which begin at 0."""
        pointers = self.item_start[start : stop + 1]
        return self.frame.iloc[int(pointers[0]) : int(pointers[-1])], pointers - pointers[0]

    @cached_property
    def queue_quantity(self) -> NDArray[np.float64]:
        """Units waiting per item, shape (n_items,)."""
        item = self.frame["item"].to_numpy(np.int64)
        waiting = np.bincount(item, weights=self.frame["quantity"], minlength=len(self.item_start) - 1)
        return waiting.astype(np.float64)


def open_lines(backorders: pd.DataFrame, items: pd.DataFrame, *, as_of: pd.Timestamp | str) -> BackorderLines:
    """Merge the rows of the backorders table into open and closed lines.

    Parameters
    ----------
    backorders
        Columns order_id, sku, order_date, quantity; optionally location, customer_id, priority (1 before 2),
        promised_date, promise_recorded_date, quantity_filled, filled_date, cancelled_date, unit_price,
        prepaid_amount, refunded_amount, complete_only, substituted_by. A filled_date without a quantity_filled
        ships the rest of the line.
    items
        Columns sku, location; the row number is the item code.
    as_of
        Last known day.

    Examples
    --------
    >>> items = pd.DataFrame({"sku": ["A"], "location": [""]})
    >>> table = pd.DataFrame({"order_id": ["1", "2"], "sku": "A", "quantity": [5.0, 2.0], "quantity_filled": [1, 0]})
    >>> table["order_date"] = pd.to_datetime(["2024-01-03", "2024-01-01"])
    >>> table["filled_date"] = pd.to_datetime(["2024-01-04", None])
    >>> lines = open_lines(table, items, as_of="2024-01-10")
    >>> lines.frame[["order_id", "quantity", "status", "waited_days"]].to_dict("list")
    {'order_id': ['2', '1'], 'quantity': [2.0, 4.0], 'status': ['created', 'partially filled'], 'waited_days': [9, 7]}
    """
    day = pd.Timestamp(as_of).normalize()
    notes = _Notes()
    rows = _corrected(_usable(_typed(backorders, items), day, notes), notes)
    lines, shipments = _merged(rows, notes)
    lines = _with_outcome(lines, notes)
    is_open = lines["outcome"] == ""
    opened = _open_frame(lines[is_open], day, notes)
    closed = lines[~is_open].sort_values(["item", "order_date", "order_id"], kind="stable", ignore_index=True)
    closed["days"] = (closed["closed_date"] - closed["order_date"]).dt.days.astype(np.float64)
    counts = np.bincount(opened["item"].to_numpy(np.int64), minlength=len(items))
    return BackorderLines(
        frame=opened,
        item_start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        closed=closed[list(CLOSED_COLUMNS)],
        shipments=shipments,
        set_aside=notes.set_aside(),
        quality=notes.quality(),
        as_of=day,
    )


@dataclass
class _Notes:
    """Rows to which a rule was applied, in the order the rules run."""

    parts: list[pd.DataFrame] = field(default_factory=list)

    def add(self, reason: str, rows: pd.DataFrame) -> None:
        if len(rows):
            column, effect, _ = RULES[reason]
            found = rows[column].astype("str").fillna("")
            part = {"table": "backorders", "row": rows["row"], "column": column, "reason": reason, "found": found}
            self.parts.append(pd.DataFrame({**part, "effect": effect, "order_id": rows["order_id"]}))

    def set_aside(self) -> pd.DataFrame:
        if not self.parts:
            return pd.DataFrame(columns=list(SET_ASIDE_COLUMNS))
        return pd.concat(self.parts, ignore_index=True)[list(SET_ASIDE_COLUMNS)]

    def quality(self) -> pd.DataFrame:
        records = []
        for part in self.parts:
            reason, count = str(part["reason"].iloc[0]), len(part)
            used = count if RULES[reason][2] else 0
            examples = ", ".join(sorted(part["order_id"].astype("str").unique())[:3])
            records.append(("backorders", reason, count, used, 0, count - used, examples, RULES[reason][1]))
        return pd.DataFrame(records, columns=list(QUALITY_COLUMNS))


def _typed(backorders: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    columns: dict[str, pd.Series] = {}
    given = backorders.reset_index(drop=True)
    missing = pd.Series(np.nan, index=given.index)
    for name in TEXT:
        columns[name] = given.get(name, missing).astype("str").fillna("").str.strip()
    for name in NUMBERS:
        columns[name] = pd.to_numeric(given.get(name, missing)).astype(np.float64)
    for name in DATES:
        columns[name] = pd.to_datetime(given.get(name, missing)).astype("datetime64[s]").dt.normalize()
    flag = given.get("complete_only", missing)
    columns["complete_only"] = flag.where(flag.notna(), False).astype(bool)
    rows = pd.DataFrame(columns)
    rows["row"] = backorders.index.to_numpy()
    rows["item"] = item_codes(rows, items)
    return rows


def _known_at(rows: pd.DataFrame, day: pd.Timestamp, notes: _Notes) -> pd.DataFrame:
    """What lies after `day` has not happened."""
    known = known_at("backorders", rows, day)
    unborn = (rows["order_date"] > day).to_numpy()
    notes.add("ordered after as_of", rows[unborn])
    notes.add("recorded after as_of", rows[known.later & ~unborn])
    frame = known.frame
    return frame.assign(substituted_by=frame["substituted_by"].fillna(""))


def _usable(rows: pd.DataFrame, day: pd.Timestamp, notes: _Notes) -> pd.DataFrame:
    for reason, bad in (
        ("no order id", rows["order_id"] == ""),
        ("unknown item", rows["item"] < 0),
        ("no order date", rows["order_date"].isna()),
        ("quantity is not positive", ~(rows["quantity"] > 0)),
    ):
        hit = bad.loc[rows.index]
        notes.add(reason, rows[hit])
        rows = rows[~hit]
    rows = _known_at(rows, day, notes)
    again = rows.duplicated([*TEXT, *NUMBERS, *DATES, "complete_only"])
    notes.add("the same row twice", rows[again])
    return rows[~again].copy()


def _corrected(rows: pd.DataFrame, notes: _Notes) -> pd.DataFrame:
    ordered = rows["order_date"]
    rows["ships_rest"] = rows["filled_date"].notna() & rows["quantity_filled"].isna()
    rows["is_cancelled"] = rows["cancelled_date"].notna()
    for reason, column in (
        ("filled before ordered", "filled_date"),
        ("cancelled before ordered", "cancelled_date"),
        ("promised before ordered", "promised_date"),
    ):
        bad = rows[column] < ordered
        notes.add(reason, rows[bad])
        rows[column] = rows[column].mask(bad)
    bad = rows["quantity_filled"] < 0
    notes.add("negative filled quantity", rows[bad])
    rows["quantity_filled"] = rows["quantity_filled"].mask(bad).fillna(0.0)
    bad = (rows[["unit_price", "prepaid_amount", "refunded_amount"]] < 0).any(axis=1)
    notes.add("negative amount", rows[bad])
    for column in ("unit_price", "prepaid_amount", "refunded_amount"):
        rows[column] = rows[column].mask(rows[column] < 0)
    recorded = rows["promise_recorded_date"].fillna(rows["filled_date"]).fillna(rows["cancelled_date"])
    rows["recorded"] = recorded.fillna(ordered)
    # The whole row decides the order, so that shuffled input gives the same lines.
    rows = rows.sort_values(["item", "order_id", "recorded", *DATES, *NUMBERS, "customer_id"], kind="stable")
    rows = rows.reset_index(drop=True)
    changed = (rows["item"] != rows["item"].shift()) | (rows["order_id"] != rows["order_id"].shift())
    rows["line"] = np.cumsum(changed.to_numpy()) - 1
    return rows


def _merged(rows: pd.DataFrame, notes: _Notes) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row per line, and the shipments."""
    text = {c: rows[c].mask(rows[c] == "") for c in ("customer_id", "substituted_by")}
    groups = rows.assign(**text).groupby("line", sort=True)
    last = ["item", "order_id", "sku", "location", "customer_id", "quantity", "promised_date", "unit_price"]
    lines = groups[[*last, "substituted_by", "row"]].last()
    for column in ("customer_id", "substituted_by"):
        lines[column] = lines[column].astype("str").fillna("")
    lines["order_date"] = groups["order_date"].min()
    lines["priority"] = groups["priority"].min()
    lines["cancelled_date"] = groups["cancelled_date"].max()
    lines["first_promised_date"] = groups["promised_date"].first()
    lines["n_promises"] = groups["promised_date"].nunique()
    lines["complete_only"] = groups["complete_only"].max()
    lines["is_cancelled"] = groups["is_cancelled"].max()
    for column in ("prepaid_amount", "refunded_amount"):
        lines[column] = groups[column].max()
    lines = lines.rename(columns={"quantity": "ordered_quantity"})
    differ = groups["quantity"].max() != groups["quantity"].min()
    notes.add("quantities differ within the line", lines[differ].rename(columns={"ordered_quantity": "quantity"}))

    sent = rows[(rows["quantity_filled"] > 0) | rows["ships_rest"]]
    again = sent.duplicated(["line", "filled_date", "quantity_filled", "ships_rest"])
    notes.add("the same shipment on two rows", sent[again])
    sent = sent[~again].sort_values(["line", "filled_date"], kind="stable", na_position="first")
    line = sent["line"].to_numpy(np.int64)
    quantity = sent["quantity_filled"].to_numpy(np.float64, copy=True)
    known = np.bincount(line, weights=quantity, minlength=len(lines))
    # A fill without a quantity ships what is left, on the last such date of the line.
    rest = np.flatnonzero(sent["ships_rest"].to_numpy())
    rest = rest[np.append(line[rest][1:] != line[rest][:-1], True)] if len(rest) else rest
    quantity[rest] = np.maximum(lines["ordered_quantity"].to_numpy()[line[rest]] - known[line[rest]], 0.0)
    lines["filled_quantity"] = np.bincount(line, weights=quantity, minlength=len(lines))
    sent = sent.assign(date=sent["filled_date"], quantity=quantity)
    lines["filled_date"] = sent.groupby("line")["date"].max().reindex(lines.index)
    undated = np.bincount(sent["line"].to_numpy(np.int64), weights=sent["date"].isna(), minlength=len(lines))
    lines["undated"] = undated > 0
    return lines, sent.loc[quantity > 0, ["item", "order_id", "date", "quantity"]].reset_index(drop=True)


def _with_outcome(lines: pd.DataFrame, notes: _Notes) -> pd.DataFrame:
    done = lines["filled_quantity"] >= lines["ordered_quantity"] * (1 - 1e-9)
    over = lines["filled_quantity"] > lines["ordered_quantity"] * (1 + 1e-9)
    notes.add("filled more than ordered", lines[over].rename(columns={"filled_quantity": "quantity_filled"}))
    notes.add("filled and cancelled", lines[done & lines["is_cancelled"]])
    refunded = (lines["refunded_amount"] >= lines["prepaid_amount"]) & (lines["prepaid_amount"] > 0)
    substituted = lines["substituted_by"] != ""
    lines["outcome"] = np.select(
        [done & ~substituted, substituted, lines["is_cancelled"] & refunded, lines["is_cancelled"]],
        ["filled", "substituted", "refunded", "cancelled"],
        default="",
    )
    filled_date = lines["filled_date"].mask(lines["undated"])
    other_date = lines["cancelled_date"].fillna(filled_date.where(substituted))
    lines["closed_date"] = filled_date.where(done, other_date).mask(lines["outcome"] == "")
    notes.add("closed without a date", lines[(lines["outcome"] != "") & lines["closed_date"].isna()])
    return lines


def _open_frame(lines: pd.DataFrame, day: pd.Timestamp, notes: _Notes) -> pd.DataFrame:
    lines = lines.sort_values(["item", "order_date", "order_id"], kind="stable", ignore_index=True)
    lines["quantity"] = lines["ordered_quantity"] - lines["filled_quantity"]
    lines["waited_days"] = (day - lines["order_date"]).dt.days.astype(np.int64)
    notes.add("promised date already passed", lines[lines["promised_date"] < day])
    value = lines["unit_price"] * lines["ordered_quantity"]
    notes.add("prepaid above the price", lines[lines["prepaid_amount"] > value + 0.005])
    lines["status"] = np.select(
        [
            lines["filled_quantity"] > 0,
            lines["n_promises"] > 1,
            lines["n_promises"] == 1,
            lines["prepaid_amount"].fillna(0.0) > 0,
        ],
        ["partially filled", "re-promised", "promised", "confirmed"],
        default="created",
    )
    lines["status"] = lines["status"].astype("str")
    return lines[list(OPEN_COLUMNS)]
