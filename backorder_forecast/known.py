"""What was known at the end of a day: rows recorded later do not exist yet, later receipts leave their orders open.

Every recorded fact has a day: a sale its date, a receipt its received_date, a promise its promise_recorded_date. A fact
without one belongs to the export. It is taken as known when the export is read (`undated=True`) and as unknown when a
past day is replayed (`undated=False`): the supplier's confirmed date, fills without a date, the end of a product. A
confirmed date of an order that was touched later is never known, and a plan of the future (a promotion, a launch) is.
A recall is known before it starts only where its kind says that it was announced; on a past day no later hold is.

A backorder line has one row per shipment or revision. A row that was written later than `as_of` goes as a whole where
another row tells what was known of the line; where it is the only one, what it says of later days is emptied. A row
whose promise was recorded in time and stands on no other row stays for that promise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.schema import ANNOUNCED_EVENTS, HOLD_EVENTS, UNPLANNED_EVENTS, event_words

ROW_DATES = {"sales": "date", "purchase_orders": "order_date", "inventory": "date", "backorders": "order_date"}
"""The day on which a row of each table came into being."""
LINE = ("order_id", "sku", "location")
ORDER = ("po_id", "supplier", "sku", "location", "order_date")
RECORDED = ("promise_recorded_date", "filled_date", "cancelled_date")
"""The dates on which a row of a backorder line may have been written."""


@dataclass(frozen=True, eq=False)
class Known:
    """A table as known at a day.

    Attributes
    ----------
    frame
        The rows that existed, with later facts removed.
    later
        Which rows of the input did not exist yet.
    asides
        The same rows by the date that says so: (column, which rows of the input).
    opened
        (what was undone, which rows of `frame`) for later facts on rows that stay.
    """

    frame: pd.DataFrame
    later: NDArray[np.bool_]
    asides: list[tuple[str, NDArray[np.bool_]]]
    opened: list[tuple[str, NDArray[np.bool_]]]


def known_at(name: str, frame: pd.DataFrame, as_of: pd.Timestamp, *, undated: bool = True) -> Known:
    """One table as known at the end of `as_of`.

    Examples
    --------
    >>> day = pd.to_datetime(["2024-01-05", "2024-01-09"])
    >>> sales = pd.DataFrame({"sku": "A", "date": day, "quantity": [1.0, 2.0]})
    >>> known_at("sales", sales, pd.Timestamp("2024-01-08")).frame["quantity"].tolist()
    [1.0]
    """
    column = ROW_DATES.get(name, "")
    if name == "events":
        column = "start"
        kinds = event_words(frame["kind"])
        unplanned = kinds.str.contains("|".join(UNPLANNED_EVENTS))
        # On which day a hold or a recall was announced is not recorded.
        unknown = unplanned & ~kinds.str.contains(ANNOUNCED_EVENTS) if undated else unplanned
        unknown |= kinds.str.contains(HOLD_EVENTS) & (not undated)
        later = ((frame["start"] > as_of) & unknown).to_numpy()
    else:
        later = (frame[column] > as_of).to_numpy() if column else np.zeros(len(frame), dtype=bool)
    if name == "purchase_orders":
        later = later | (frame["order_date"].isna() & (frame["received_date"] > as_of)).to_numpy()
    asides = [(column, later)] if later.any() else []
    if name == "purchase_orders" and "recorded_date" in frame:
        unrecorded = (frame["recorded_date"] > as_of).to_numpy() & ~later
        if unrecorded.any():
            asides.append(("recorded_date", unrecorded))
            later = later | unrecorded
    if name == "backorders":
        for written, rows in _written_later(frame, later, as_of):
            asides.append((written, rows))
            later = later | rows
    if name == "purchase_orders":
        received = frame["received_date"]
        came = ((received <= as_of) | (received.isna() & (frame["quantity_received"] > 0))).to_numpy()
        told = frame["promise_recorded_date"]
        lines = frame.assign(told=told.mask(told > as_of))
        rows = further_receipts(lines, ~later, came, (received > as_of).to_numpy())
        if rows.any():
            asides.append(("received_date", rows))
            later = later | rows
    kept = frame[~later] if later.any() else frame
    steps = {"purchase_orders": _orders, "backorders": _backorders, "products": _products, "events": _events}
    if name not in steps or kept.empty:
        return Known(kept, later, asides, [])
    opened: list[tuple[str, NDArray[np.bool_]]] = []
    return Known(steps[name](kept.copy(), as_of, undated, opened), later, asides, opened)


def further_receipts(
    orders: pd.DataFrame, usable: NDArray[np.bool_], came: NDArray[np.bool_], later: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Rows of purchase orders that tell a later receipt of a line which another row stands for already.

    Parameters
    ----------
    orders
        Columns po_id, supplier, sku, location, order_date, quantity_ordered, quantity_received, received_date, told
        (day of a promise recorded in time: a row with one of its own is needed).
    usable, came, later
        Rows that count, rows received by then, and rows received later.

    Examples
    --------
    >>> rows = pd.DataFrame({"po_id": "7", "supplier": "X", "sku": "A", "location": "", "order_date": 1,
    ...     "quantity_ordered": 10.0, "quantity_received": [4.0, 6.0], "received_date": [5, 9], "told": 1})
    >>> further_receipts(rows, np.array([True, True]), np.array([True, False]), np.array([False, True])).tolist()
    [False, True]
    """
    gone = np.zeros(len(orders), dtype=bool)
    named = (orders["po_id"].fillna("") != "") & (orders["sku"].astype("str").fillna("") != "")
    here = usable & named.to_numpy()
    if not (later & here).any():
        return gone
    rows = orders.reset_index(drop=True).assign(later=later, known=~later, row=np.arange(len(orders)))[here]
    rows["order"] = rows.groupby(list(ORDER), dropna=False, sort=False, observed=True).ngroup()
    rows["ordered"] = rows["quantity_ordered"].fillna(-1.0)
    rows["sum"] = rows["quantity_received"].fillna(0.0).where((came | later)[here], 0.0)
    sums = rows.groupby(["order", "ordered"])["sum"].transform("sum")
    unknown = rows["quantity_received"].isna() & (came | later)[here]
    unknown = unknown.groupby([rows["order"], rows["ordered"]]).transform("any")
    # A quantity that arrives in full is a line of its own; the others are revisions of one.
    full = ((sums >= rows["ordered"] * (1 - 1e-9)) | unknown) & (rows["ordered"] > 0)
    rows["line"] = rows["ordered"].where(full, -2.0)
    rows = rows.sort_values(["later", "received_date", "ordered", "quantity_received"], kind="stable")
    again = rows["later"] & rows.duplicated(["order", "line", "told"])
    gone[rows.loc[again, "row"].to_numpy()] = True
    return gone


def _written_later(
    frame: pd.DataFrame, unborn: NDArray[np.bool_], day: pd.Timestamp
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Rows of backorder lines that were written after `day` and are not needed, by the date that says so."""
    after = frame[list(RECORDED)] > day
    late = after.any(axis=1).to_numpy() & ~unborn
    if not late.any():
        return []
    rows = frame[[*RECORDED, "quantity", "promised_date", "quantity_filled"]].reset_index(drop=True)
    rows["line"] = frame.groupby(list(LINE), dropna=False, sort=False).ngroup().to_numpy()
    rows["first"] = frame[list(RECORDED)].where(after).min(axis=1).to_numpy()
    rows["late"], rows["in_time"] = late, rows["promise_recorded_date"] <= day
    # What was known comes first; of later rows the earliest speaks for the line, whatever the order of rows.
    keys = ["late", "first", "quantity", "promised_date", "quantity_filled"]
    rows = rows[~unborn].sort_values(keys, kind="stable")
    repeated = rows.duplicated(["line", "promise_recorded_date"])
    told = rows["line"].isin(rows.loc[~rows["late"] | rows["in_time"], "line"])
    other = np.where(rows["in_time"], repeated, told | rows.duplicated("line"))
    gone = np.zeros(len(frame), dtype=bool)
    gone[rows.index[rows["late"] & other]] = True
    found = []
    for column in RECORDED:
        here = gone & after[column].to_numpy()
        if here.any():
            found.append((column, here))
            gone &= ~here
    return found


def _orders(
    frame: pd.DataFrame, day: pd.Timestamp, undated: bool, opened: list[tuple[str, NDArray[np.bool_]]]
) -> pd.DataFrame:
    received, cancelled = frame["received_date"] > day, frame["cancelled_date"] > day
    promised = frame["promise_recorded_date"] > day
    _undo(frame, received, ["received_date", "quantity_received"], "received after as_of: the order is open", opened)
    _undo(frame, cancelled, ["cancelled_date"], "cancelled after as_of: the order is open", opened)
    if not undated:
        nameless = frame["received_date"].isna() & (frame["quantity_received"] > 0)
        _undo(frame, nameless, ["quantity_received"], "received without a date: unknown at this day", opened)
    touched = received | cancelled | promised
    stale = touched if undated else touched | ~(frame["promise_recorded_date"] <= day)
    stale &= frame["supplier_confirmed_date"].notna()
    _undo(frame, stale, ["supplier_confirmed_date"], "confirmed date of an unknown or later day: not used", opened)
    columns = ["promised_date", "promise_recorded_date"]
    _undo(frame, promised, columns, "promise recorded after as_of: not used", opened)
    return frame


def _backorders(
    frame: pd.DataFrame, day: pd.Timestamp, undated: bool, opened: list[tuple[str, NDArray[np.bool_]]]
) -> pd.DataFrame:
    filled, cancelled = frame["filled_date"] > day, frame["cancelled_date"] > day
    promised = frame["promise_recorded_date"] > day
    later = filled | cancelled | promised
    _undo(frame, later, ["refunded_amount", "substituted_by"], "", opened)
    # Money stands on the row that was written last; a promise in time says that this one stood there already.
    unpaid = later & ~(frame["promise_recorded_date"] <= day)
    _undo(frame, unpaid, ["prepaid_amount"], "", opened)
    frame.loc[filled, "quantity_filled"] = 0.0
    _undo(frame, filled, ["filled_date"], "filled after as_of: the quantity is still waiting", opened)
    _undo(frame, cancelled, ["cancelled_date"], "cancelled after as_of: the line is still open", opened)
    if not undated:
        nameless = frame["filled_date"].isna() & (frame["quantity_filled"] > 0)
        frame.loc[nameless, "quantity_filled"] = 0.0
        _undo(frame, nameless, [], "filled without a date: unknown at this day", opened)
        given_back = (frame["refunded_amount"] > 0) & frame["cancelled_date"].isna() & frame["filled_date"].isna()
        _undo(frame, given_back, ["refunded_amount"], "refunded without a date: unknown at this day", opened)
    columns = ["promised_date", "promise_recorded_date"]
    _undo(frame, promised, columns, "promise recorded after as_of: not used", opened)
    return frame


def _products(
    frame: pd.DataFrame, day: pd.Timestamp, undated: bool, opened: list[tuple[str, NDArray[np.bool_]]]
) -> pd.DataFrame:
    recalled = frame["recalled_from"] > day
    _undo(frame, recalled, ["recalled_from", "recalled_to"], "recalled after as_of: not known yet", opened)
    if not undated:
        ends = frame["recalled_to"] > day
        _undo(frame, ends, ["recalled_to"], "end of the recall: not known yet", opened)
        _undo(frame, frame["discontinued"] > day, ["discontinued"], "discontinued later: not known yet", opened)
    return frame


def _events(
    frame: pd.DataFrame, day: pd.Timestamp, undated: bool, opened: list[tuple[str, NDArray[np.bool_]]]
) -> pd.DataFrame:
    if not undated:
        kinds = event_words(frame["kind"]).str.contains("|".join(UNPLANNED_EVENTS))
        _undo(frame, (frame["end"] > day) & kinds, ["end"], "end of an unplanned event: not known yet", opened)
    return frame


def _undo(
    frame: pd.DataFrame, rows: pd.Series, columns: list[str], words: str, opened: list[tuple[str, NDArray[np.bool_]]]
) -> None:
    """Empty `columns` of some rows and remember it."""
    if not rows.any():
        return
    for column in columns:
        frame[column] = frame[column].mask(rows)
    if words:
        opened.append((words, rows.to_numpy()))
