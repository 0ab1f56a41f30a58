"""Purchase order lines: what was ordered, what of it has arrived, what is still open at the end of `as_of`.

The table has one row per line and receipt; rows with the same po_id, supplier, sku, location and order date are one
line, and rows without a po_id or sku are lines of their own. Where the ordered quantity differs between them it was
revised and the latest counts, except that a quantity which arrived in full is a line of its own, and so is each of
several rows without any receipt and without promises recorded on different days (schedule lines). Each receipt is a
share of its line, together at most 1 (a receipt of a line that is complete counts no further); the rest is open or was
cancelled. A quantity received without a date has arrived, but tells no duration. A receipt, cancellation or promise
dated after `as_of` is not known yet, nor is a row that was recorded after it. Rows that cannot be used are set aside
with the reason. Days are whole calendar days, quantities are units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.errors import InvalidSettings, InvalidTables
from backorder_forecast.known import further_receipts

TABLE = "purchase_orders"
TEXT = ("supplier", "sku", "location", "po_id")
NUMBERS = ("quantity_ordered", "quantity_received")
DATES = (
    "order_date", "received_date", "cancelled_date", "promised_date", "supplier_confirmed_date",
    "promise_recorded_date", "recorded_date",
)  # fmt: skip
NEEDED = ("supplier", "order_date", "received_date")
SET_ASIDE_COLUMNS = ("table", "row", "column", "reason", "found")
REMARK_COLUMNS = (
    "table", "rule", "rows_read", "rows_used", "rows_merged", "rows_set_aside", "examples", "effect",
)  # fmt: skip

NO_DAY = np.iinfo(np.int64).min
_DONE = 1e-9
_ZONE = r"([T ]\d\d:?\d\d.*?)\s*(?:Z|[+-]\d\d(?::?\d\d)?)$"


@dataclass(frozen=True, eq=False)
class OrderLines:
    """Lines and their receipts as known at the end of `as_of`, in an order that does not depend on the rows' order.

    Attributes
    ----------
    as_of
        Last known day.
    lines
        One row per line: supplier, sku, location, po_id, order_date, quantity_ordered, quantity_received (NaN where
        unknown), open_share (share of the line not yet arrived nor cancelled), cancelled_share, cancelled_date,
        first_promised_date (the promise recorded first), promised_date (the one recorded last: what the supplier names
        now), confirmed_date (the same where the supplier confirmed it), received_date (of the last receipt with a
        possible date), n_receipts, category,
        recorded_date (from which day the records hold it: the earliest of its rows, an empty one that of its order).
    receipts
        One row per receipt with a usable duration: line (row of `lines`), received_date, days (from the order), share,
        quantity (units; NaN where neither the line nor the receipt tells it).
    set_aside
        Rows not used: table, row (counted from 1), column, reason, found.
    remarks
        How rows that are used were understood, as rows of `data_quality`: `REMARK_COLUMNS`.
    """

    as_of: pd.Timestamp
    lines: pd.DataFrame
    receipts: pd.DataFrame
    set_aside: pd.DataFrame
    remarks: pd.DataFrame


UNREAD_RECORD = "recorded_date: not a date"


def order_lines(purchase_orders: pd.DataFrame, *, as_of: str | pd.Timestamp) -> OrderLines:
    """Gather rows of purchase orders into lines.

    Parameters
    ----------
    purchase_orders
        Frame with supplier, order_date, received_date (empty = open) and any of po_id, sku, location,
        quantity_ordered, quantity_received, promised_date, supplier_confirmed_date, promise_recorded_date,
        cancelled_date, recorded_date. Dates are datetimes or ISO text.
    as_of
        Last known day.

    Raises
    ------
    InvalidTables
        If a needed column is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"po_id": "7", "supplier": "ACME", "sku": "A", "quantity_ordered": 10,
    ...     "order_date": pd.Timestamp("2024-01-01"), "quantity_received": [4, 3],
    ...     "received_date": pd.to_datetime(["2024-01-08", "2024-01-11"])})
    >>> found = order_lines(rows, as_of="2024-01-31")
    >>> float(found.lines["open_share"].round(3)[0]), found.receipts["days"].tolist()
    (0.3, [7, 10])
    """
    day = known_day(as_of)
    need_columns(purchase_orders, NEEDED)
    rows, set_aside = _known_rows(purchase_orders, day)
    unread = rows["po_id"][rows.pop("recorded_wrong").to_numpy(dtype=bool)]
    effect = "the line counts from its order date, as with none"
    odd = remark(UNREAD_RECORD, effect, len(unread), unread.tolist())
    rows, remarks = _in_line_order(rows)
    remarks = pd.concat([remarks, odd], ignore_index=True) if len(odd) else remarks
    rows["share"], quantity = _shares(rows)
    lines = _lines(rows, quantity)
    timed = (rows["received"] != NO_DAY) & rows["timed"] & (rows["share"] > 0)
    seen = rows[timed]
    receipts = pd.DataFrame(
        {
            "line": seen["line"].to_numpy(),
            "received_date": dates_of(seen["received"].to_numpy()),
            "days": (seen["received"] - seen["ordered"]).to_numpy(),
            "share": seen["share"].to_numpy(),
            "quantity": quantity[timed.to_numpy()],
        }
    )
    return OrderLines(pd.Timestamp(dates_of(np.array([day]))[0]), lines, receipts, set_aside, remarks)


def remark(rule: str, effect: str, rows: int, found: Sequence[str]) -> pd.DataFrame:
    """One row of `data_quality` about purchase orders that are used; no row where there are none."""
    values = (TABLE, rule, rows, rows, 0, 0, "; ".join(found[:3]), effect)
    return pd.DataFrame([values] if rows else [], columns=list(REMARK_COLUMNS))


def order_names(lines: pd.DataFrame) -> list[str]:
    """What to call orders, by whatever is known of po_id, supplier and sku.

    Examples
    --------
    >>> import pandas as pd
    >>> order_names(pd.DataFrame({"po_id": ["7", ""], "supplier": ["", "ACME"], "sku": ["A", ""]}))
    ['order 7, sku A', 'order of ACME']
    """
    rows = zip(lines["po_id"], lines["supplier"], lines["sku"], strict=True)
    return [
        "order" + (f" {po}" if po else "") + (f" of {supplier}" if supplier else "") + (f", sku {sku}" if sku else "")
        for po, supplier, sku in rows
    ]


def need_columns(frame: pd.DataFrame, needed: Sequence[str]) -> None:
    """Raise `InvalidTables` if purchase orders lack a column."""
    missing = [c for c in needed if c not in frame]
    if missing:
        problem = {
            "table": TABLE,
            "problem": "needed column is missing",
            "found": ", ".join(str(c) for c in frame.columns),
            "what_to_do": "give it, or rename the column that holds it",
        }
        raise InvalidTables([{**problem, "column": c} for c in missing])


def known_day(as_of: str | pd.Timestamp) -> int:
    """Day number (days since 1970) of a date given as text or timestamp."""
    try:
        stamp = pd.Timestamp(as_of)
    except (TypeError, ValueError) as error:
        raise InvalidSettings(f"as_of is a date, got {as_of!r}") from error
    if pd.isna(stamp):
        raise InvalidSettings(f"as_of is a date, got {as_of!r}")
    return int(np.datetime64(stamp.tz_localize(None), "D").astype(np.int64))


def day_numbers(values: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Days since 1970 (`NO_DAY` where missing), and where something stands that is not a date.

    Examples
    --------
    >>> import pandas as pd
    >>> days, wrong = day_numbers(pd.Series(["1970-01-03", "soon", None]))
    >>> int(days[0]), wrong.tolist()
    (2, [False, True, False])
    """
    given = values.notna().to_numpy()
    if not pd.api.types.is_datetime64_any_dtype(values.dtype):
        if pd.api.types.is_numeric_dtype(values.dtype):
            return np.full(len(values), NO_DAY), given
        given = given & (values.astype("str").str.strip() != "").to_numpy()
        # The day is the one that the clock on the wall showed, wherever that was.
        text = values.where(given, None).astype("str").str.replace(_ZONE, r"\1", regex=True)
        values = pd.to_datetime(text, errors="coerce", format="ISO8601")
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_localize(None)
    days = values.to_numpy().astype("datetime64[D]").astype(np.int64)
    return days, given & (days == NO_DAY)


def dates_of(days: NDArray[np.int64]) -> pd.DatetimeIndex:
    """Dates of day numbers; `NO_DAY` gives NaT."""
    return pd.DatetimeIndex(days.astype("datetime64[D]").astype("datetime64[s]"))


def text_of(frame: pd.DataFrame, column: str) -> pd.Series:
    """A text column, empty where it is missing, with a fresh index."""
    if column not in frame:
        return pd.Series("", index=range(len(frame)), dtype="str")
    values = frame[column].reset_index(drop=True)
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    return values.where(values.notna(), None).astype("str").fillna("")


def _known_rows(frame: pd.DataFrame, as_of: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    n = len(frame)
    rows = pd.DataFrame({c: text_of(frame, c) for c in (*TEXT, "category")})
    for column in NUMBERS:
        values = frame[column] if column in frame else pd.Series(np.nan, index=range(n))
        rows[column] = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64)
    days = {c: day_numbers(frame[c]) for c in DATES if c in frame}
    nothing = np.full(n, NO_DAY), np.zeros(n, dtype=bool)
    ordered, order_wrong = days["order_date"]
    received, receipt_wrong = days["received_date"]
    cancelled, cancel_wrong = days.get("cancelled_date", nothing)
    recorded, recorded_wrong = days.get("recorded_date", nothing)
    too_early = (received != NO_DAY) & (received < ordered)
    problems = [
        ("order_date", "order date is missing or not a date", (ordered == NO_DAY) | order_wrong),
        ("order_date", "ordered after as_of", ordered > as_of),
        ("recorded_date", "recorded after as_of", recorded > as_of),
        ("received_date", "received date is not a date", receipt_wrong),
        ("cancelled_date", "cancelled date is not a date", cancel_wrong),
        ("cancelled_date", "cancelled before it was ordered", (cancelled != NO_DAY) & (cancelled < ordered)),
        ("quantity_ordered", "ordered quantity is not positive", (rows["quantity_ordered"] <= 0).to_numpy()),
        ("quantity_received", "received quantity is negative", (rows["quantity_received"] < 0).to_numpy()),
    ]
    usable = np.ones(n, dtype=bool)
    parts = []
    for column, reason, wrong in problems:
        parts.append((column, reason, np.flatnonzero(wrong & usable)))
        usable &= ~wrong
    came = ((received != NO_DAY) & (received <= as_of)) | (
        (received == NO_DAY) & (rows["quantity_received"] > 0).to_numpy()
    )
    told, _ = days.get("promise_recorded_date", nothing)
    rows["told"] = np.where(told > as_of, NO_DAY, told)
    told_before = further_receipts(
        rows.assign(order_date=ordered, received_date=received), usable, came, received > as_of
    )
    parts.append(("received_date", "received after as_of: another row tells the line", np.flatnonzero(told_before)))
    usable &= ~told_before
    # Goods with an impossible receipt date have arrived all the same: they tell no duration, but nothing is open.
    parts.append(("received_date", "received before it was ordered", np.flatnonzero(too_early & usable)))
    rows["ordered"], rows["received"] = ordered, np.where(received > as_of, NO_DAY, received)
    rows["cancelled"] = np.where(cancelled > as_of, NO_DAY, cancelled)
    promised, _ = days.get("promised_date", nothing)
    confirmed, _ = days.get("supplier_confirmed_date", nothing)
    rows["promised"] = np.where(told > as_of, NO_DAY, promised)
    rows["confirmed"] = np.where(told > as_of, NO_DAY, confirmed)
    # Empty: the row was there when the order was placed, and with it the line.
    rows["recorded"] = np.where(recorded == NO_DAY, ordered, recorded)
    rows["recorded_wrong"] = recorded_wrong
    rows["timed"] = ~too_early
    rows["arrived"] = came
    return rows[usable].reset_index(drop=True), _set_aside(frame, parts)


def _set_aside(frame: pd.DataFrame, parts: list[tuple[str, str, NDArray[np.int64]]]) -> pd.DataFrame:
    frames = [
        pd.DataFrame(
            {
                "table": TABLE, "row": at + 1, "column": column, "reason": reason,
                "found": frame[column].iloc[at].astype("str").fillna("").to_numpy(),
            }
        )
        for column, reason, at in parts
        if len(at)
    ]  # fmt: skip
    if not frames:
        empty = {"table": "str", "row": "int64", "column": "str", "reason": "str", "found": "str"}
        return pd.DataFrame({c: pd.Series(dtype=empty[c]) for c in SET_ASIDE_COLUMNS})
    return pd.concat(frames, ignore_index=True).sort_values("row", kind="stable", ignore_index=True)


def _in_line_order(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows sorted by line, with `line` and one ordered quantity per line, and remarks on how they were read."""
    codes = {c: pd.factorize(rows[c], sort=True)[0] for c in TEXT}
    received = rows["received"].to_numpy()
    # The last row of an order is the one that tells its quantity now: what is open stands behind what has arrived.
    key = [codes["supplier"], codes["sku"], codes["location"], rows["ordered"].to_numpy(), codes["po_id"]]
    within = [
        np.where(received == NO_DAY, np.iinfo(np.int64).max, received), rows["told"].to_numpy(),
        rows["quantity_ordered"].fillna(-1.0).to_numpy(), rows["quantity_received"].fillna(-1.0).to_numpy(),
        rows["cancelled"].to_numpy(), rows["promised"].to_numpy(), rows["confirmed"].to_numpy(),
        pd.factorize(rows["category"], sort=True)[0],
    ]  # fmt: skip
    order = np.lexsort([*reversed(within), *reversed(key)])
    rows = rows.iloc[order].reset_index(drop=True)
    base = _group([values[order] for values in key])
    alone = ((rows["po_id"] == "") | (rows["sku"] == "")).to_numpy()
    base = np.cumsum(np.concatenate([base[:1] * 0, (np.diff(base) > 0) | alone[1:] | alone[:-1]]).astype(np.int64))
    own = rows["quantity_ordered"].to_numpy()
    whole = _arrived_in_full(rows, base)
    n = int(base[-1]) + 1 if len(base) else 0
    rest = np.flatnonzero(~whole)
    latest = np.full(n, np.nan)
    known = rest[~np.isnan(own[rest])]
    latest[base[known]] = own[known]
    came = np.bincount(base[rest], np.where(rows["arrived"], rows["quantity_received"].fillna(0.0), 0.0)[rest], n)
    # Less than has come already was never the quantity of the whole order: its rows are lines of their own.
    revised = ~whole & ~(latest[base] < came[base] * (1 - _DONE))
    quantity = np.where(revised, latest[base], own)
    n_rest, n_came = np.bincount(base[rest], minlength=n), np.bincount(base[rest], rows["arrived"].to_numpy()[rest], n)
    several = ~whole & ((n_rest > 1) & (n_came == 0))[base] & ~_told_again(rows["told"].to_numpy(), base, rest, n)[base]
    quantity = np.where(several, own, quantity)
    changed = revised & ~several & ~np.isnan(own) & (own != quantity)
    order = np.lexsort([whole, np.nan_to_num(quantity, nan=-1.0), base])
    sub = _group([base[order], np.nan_to_num(quantity, nan=-1.0)[order], whole[order]])
    part = several[order]
    new = np.concatenate([np.ones(min(len(sub), 1), dtype=bool), (np.diff(sub) > 0) | part[1:]])
    remarks = pd.concat([_revisions(rows[changed], quantity[changed]), _schedules(rows[several])], ignore_index=True)
    rows = rows.assign(quantity_ordered=quantity).iloc[order].reset_index(drop=True)
    rows["line"] = np.cumsum(new) - 1
    return rows, remarks


def _group(keys: list[NDArray[np.generic]]) -> NDArray[np.int64]:
    """Number of the run of equal keys that each row belongs to, from 0."""
    if not len(keys[0]):
        return np.zeros(0, dtype=np.int64)
    new = np.any([values[1:] != values[:-1] for values in keys], axis=0)
    return np.concatenate([[0], np.cumsum(new)]).astype(np.int64)


def _arrived_in_full(rows: pd.DataFrame, base: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Rows of an ordered quantity that has arrived in full."""
    ordered, arrived = rows["quantity_ordered"].fillna(-1.0), rows["arrived"]
    frame = pd.DataFrame({"base": base, "ordered": ordered, "unknown": arrived & rows["quantity_received"].isna()})
    frame["came"] = rows["quantity_received"].where(arrived).fillna(0.0)
    if frame.empty:
        return np.zeros(0, dtype=bool)
    sums = frame.groupby(["base", "ordered"], sort=False)[["came", "unknown"]].transform("sum")
    full = (sums["came"] >= ordered * (1 - _DONE)) | (sums["unknown"] > 0)
    return np.asarray(full & (ordered > 0), dtype=bool)


def _told_again(told: NDArray[np.int64], base: NDArray[np.int64], rest: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    """Orders whose promise was recorded on several days."""
    first, last = np.full(n, np.iinfo(np.int64).max), np.full(n, NO_DAY)
    np.minimum.at(first, base[rest], told[rest])
    np.maximum.at(last, base[rest], told[rest])
    return last > first


def _revisions(rows: pd.DataFrame, quantity: NDArray[np.float64]) -> pd.DataFrame:
    pairs = zip(order_names(rows.head(3)), rows["quantity_ordered"].head(3), quantity[:3], strict=True)
    found = [f"{name}: {before:,.10g} became {now:,.10g}" for name, before, now in pairs]
    return remark("ordered quantity was revised", "the latest quantity of the order line counts", len(rows), found)


def _schedules(rows: pd.DataFrame) -> pd.DataFrame:
    words = "each row is a schedule line of its own; drop_duplicates=True counts rows that are alike once"
    return remark(
        "several open rows of one order",
        words,
        len(rows),
        order_names(rows.drop_duplicates(["po_id", "supplier", "sku"]).head(3)),
    )


def _shares(rows: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of its line that each row brought, and the received quantity per row (NaN where unknown)."""
    line = rows["line"].to_numpy()
    n = int(line[-1]) + 1 if len(line) else 0
    arrived = rows["arrived"].to_numpy()
    quantity = rows["quantity_received"].to_numpy()
    ordered = rows["quantity_ordered"].to_numpy()
    known = arrived & ~np.isnan(quantity)
    n_rows = np.bincount(line, minlength=n)
    n_open = np.bincount(line, ~arrived, n)
    n_unknown = np.bincount(line, arrived & ~known, n)
    known_sum = np.bincount(line, np.where(known, quantity, 0.0), n)
    with np.errstate(divide="ignore", invalid="ignore"):
        # A receipt without a quantity brought an equal part of what the others left.
        rest = np.maximum(ordered - known_sum[line], 0.0) / n_unknown[line]
        brought = np.where(known, quantity, np.where(arrived, rest, 0.0))
        complete = (n_open == 0) & (n_unknown == 0) & (known_sum > 0)
        parts = np.where(complete[line], quantity / known_sum[line], 1.0 / n_rows[line])
        share = np.where(arrived, np.where(np.isnan(ordered), parts, brought / ordered), 0.0)
    total = np.cumsum(share)
    before = total - share
    first = np.searchsorted(line, np.arange(n))
    offset = before[first][line] if n else before
    return np.minimum(total - offset, 1.0) - np.minimum(before - offset, 1.0), np.where(arrived, brought, 0.0)


def _lines(rows: pd.DataFrame, quantity: NDArray[np.float64]) -> pd.DataFrame:
    line = rows["line"].to_numpy()
    n = int(line[-1]) + 1 if len(line) else 0
    first = np.searchsorted(line, np.arange(n))
    lines = rows.loc[first, [*TEXT, "quantity_ordered", "category"]].reset_index(drop=True)
    lines.insert(4, "order_date", dates_of(rows["ordered"].to_numpy()[first]))
    lines["quantity_received"] = np.bincount(line, quantity, n).astype(np.float64)
    arrived = rows["arrived"].to_numpy()
    left = 1.0 - np.bincount(line, rows["share"].to_numpy(), n)
    left[left < _DONE] = 0.0
    cancelled = _per_line(rows["cancelled"].to_numpy(), first, line, latest=False)
    ended = cancelled != NO_DAY
    lines["open_share"] = np.where(ended, 0.0, left)
    lines["cancelled_share"] = np.where(ended, left, 0.0)
    lines["cancelled_date"] = dates_of(cancelled)
    promised, told = rows["promised"].to_numpy(), rows["told"].to_numpy()
    lines["first_promised_date"] = dates_of(_as_told(promised, told, line, n, last=False))
    latest = _as_told(promised, told, line, n, last=True)
    confirmed = _as_told(rows["confirmed"].to_numpy(), told, line, n, last=True)
    lines["promised_date"] = dates_of(np.where(confirmed != NO_DAY, confirmed, latest))
    lines["confirmed_date"] = dates_of(confirmed)
    received = np.where(rows["timed"], rows["received"], NO_DAY)
    lines["received_date"] = dates_of(_per_line(received, first, line, latest=True))
    lines["n_receipts"] = np.bincount(line, arrived, n).astype(np.int64)
    recorded = _per_line(rows["recorded"].to_numpy(), first, line, latest=False)
    lines["recorded_date"] = dates_of(np.maximum(recorded, rows["ordered"].to_numpy()[first]))
    return lines


def _as_told(
    days: NDArray[np.int64], told: NDArray[np.int64], line: NDArray[np.int64], n: int, *, last: bool
) -> NDArray[np.int64]:
    """The date that was told first or last of each line; of those told on one day the earliest, or the latest."""
    known = np.flatnonzero(days != NO_DAY)
    found = np.full(n, NO_DAY)
    order = known[np.lexsort((days[known], told[known], line[known]))]
    starts = np.diff(line[order], prepend=-1) != 0
    chosen = order[np.roll(starts, -1) if last else starts]
    found[line[chosen]] = days[chosen]
    return found


def _per_line(
    days: NDArray[np.int64], first: NDArray[np.int64], line: NDArray[np.int64], *, latest: bool
) -> NDArray[np.int64]:
    if not len(line):
        return np.zeros(0, dtype=np.int64)
    if latest:
        return np.maximum.reduceat(days, first)
    far = np.iinfo(np.int64).max
    found = np.minimum.reduceat(np.where(days == NO_DAY, far, days), first)
    return np.where(found == far, NO_DAY, found)
