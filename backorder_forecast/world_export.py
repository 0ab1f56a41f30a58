"""What the shop of a synthetic world exports at the end of `as_of`: the input tables, with their canonical columns.

Only what is known then is in them: a receipt, fill or cancellation still to come is absent and its line open. Sales
are shipments: the fill of a backorder line appears as a sales row on its shipment date, with the line's order_id.
Quantities are units, prices money per unit. `on_hand` is the record, held stock included; `counted` is what a count
found that evening, the record is put right the day after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backorder_forecast.world_catalogue import CATEGORIES
from backorder_forecast.world_chances import N_CUSTOMERS, shop_policy
from backorder_forecast.world_shop import NONE
from backorder_forecast.world_timeline import first_receipt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backorder_forecast.world_laws import Laws
    from backorder_forecast.world_shop import Floats, Ints
    from backorder_forecast.world_timeline import Segment

DEPOSIT = {"none": 0.0, "deposit": 0.3, "full": 1.0}
"""Share of the price paid with the order, by payment terms."""
REFUND_DAYS = 4
"""Days after a cancellation on which its refund is paid."""


def export_tables(laws: Laws, past: Segment) -> dict[str, pd.DataFrame]:
    """All tables of a world as known at the end of `as_of`; columns as in the input tables of the library."""
    numbers, prices = order_numbers(laws, past), unit_prices(laws, past)
    return {
        "sales": _sales(laws, past, numbers, prices),
        "purchase_orders": purchase_order_lines(laws, past),
        "inventory": inventory_snapshots(laws, past),
        "backorders": backorder_lines(laws, past, numbers, prices),
        "products": product_master(laws),
        "supplier_items": _supplier_items(laws),
        "events": _events(laws),
    }


def order_numbers(laws: Laws, past: Segment) -> Ints:
    """Number of the order of each order line: one per customer and day, another for a second line of the same item."""
    lines = past.lines
    visit = (lines.placed - past.first_day) * N_CUSTOMERS + lines.customer
    again = pd.DataFrame({"visit": visit, "item": lines.item}).groupby(["visit", "item"]).cumcount().to_numpy()
    rank = np.unique(visit * 1000 + again, return_inverse=True)[1]
    return np.asarray(100_000 + 10_000_000 * laws.part + rank, dtype=np.int64)


def unit_prices(laws: Laws, past: Segment) -> Floats:
    """Price of each order line: the list price less a rebate of large customers and of promotions."""
    lines = past.lines
    factor = np.where(_tier(lines.customer) == 1, 0.95, 1.0)
    for p in laws.promotions:
        factor[(lines.item == p.item) & (lines.placed >= p.start) & (lines.placed <= p.end)] *= 0.85
    return np.asarray(np.round(laws.items["price"].to_numpy(np.float64)[lines.item] * factor, 2))


def shipments(laws: Laws, past: Segment) -> tuple[Ints, Ints, Ints]:
    """All movements over the counter in the exported days: order line, day and units; returns are negative."""
    lines, played = past.lines, past.played
    now = np.flatnonzero(played.shipped_now)
    back = np.flatnonzero((lines.return_lag > 0) & (played.shipped_now == lines.size))
    line = np.concatenate([now, played.fill_line, back])
    day = np.concatenate([lines.placed[now], played.fill_day, lines.placed[back] + lines.return_lag[back]])
    units = np.concatenate([played.shipped_now[now], played.fill_quantity, -lines.size[back]])
    kept = np.flatnonzero((day >= 0) & (day < laws.n_days))
    kept = kept[np.lexsort((units[kept], line[kept], day[kept]))]
    return line[kept], day[kept], units[kept]


def purchase_order_lines(laws: Laws, past: Segment) -> pd.DataFrame:
    """Purchase orders: one row per line and receipt; a line without a receipt has one row, open or cancelled."""
    slots, last, items = past.slots, laws.n_days - 1, laws.items
    item, slot = np.nonzero(past.played.ordered)
    ordered, day = past.played.ordered[item, slot], slots.day[item, slot]
    first, second, cancelled = slots.first[item, slot], slots.second[item, slot], slots.cancelled[item, slot]
    part = first_receipt(ordered, slots, item, slot)
    came = np.flatnonzero((cancelled == NONE) & (first <= last))
    rest = np.flatnonzero((cancelled == NONE) & (part < ordered) & (second <= last))
    nothing = np.setdiff1d(np.arange(len(item)), np.concatenate([came, rest]))
    row = np.concatenate([came, rest, nothing])
    received = np.concatenate([first[came], second[rest], np.full(len(nothing), NONE)])
    units = np.concatenate([part[came], (ordered - part)[rest], np.full(len(nothing), 0)])
    gone = np.where(cancelled[row] <= last, cancelled[row], NONE)
    # A line that was closed before the export begins is not in it.
    open_units = ordered - np.bincount(row, weights=units, minlength=len(item))
    live = ((gone == NONE) & (open_units[row] > 0)) | (np.maximum(received, gone) >= 0)
    kept = np.flatnonzero((np.bincount(row, weights=live, minlength=len(item)) > 0)[row])
    kept = kept[np.lexsort((received[kept], item[row[kept]], day[row[kept]]))]
    row, received, units, gone = row[kept], received[kept], units[kept], gone[kept]
    code = items["supplier_code"].to_numpy(np.int64)[item[row]]
    number = np.unique(day[row] * len(laws.suppliers) + code, return_inverse=True)[1]
    promised = laws.suppliers["stated_days"].to_numpy(np.int64)[code] + day[row]
    return pd.DataFrame(
        {
            "po_id": _text("PO-", 4_500_100 + 100_000 * laws.part + number),
            "supplier": items["supplier"].to_numpy()[item[row]],
            "sku": items["sku"].to_numpy()[item[row]],
            "category": items["category"].to_numpy()[item[row]],
            "order_date": laws.date(day[row]),
            "promised_date": _business_day(laws.date(promised)),
            "promise_recorded_date": laws.date(day[row]),
            "quantity_ordered": ordered[row],
            "received_date": _dates(laws, received),
            "quantity_received": np.where(received == NONE, np.nan, units),
            "cancelled_date": _dates(laws, gone),
        }
    )


def inventory_snapshots(laws: Laws, past: Segment) -> pd.DataFrame:
    """The record in the evening of Sundays, of the first and of the last day."""
    played, day = past.played, np.arange(laws.n_days)
    day = np.unique([0, *day[laws.date(day).day_of_week == 6], laws.n_days - 1])
    row = day - past.first_day
    book, held = played.book[row].T, played.held[row].T
    first, last = laws.items["first_day"].to_numpy()[:, None], laws.items["last_day"].to_numpy()[:, None]
    item, place = np.nonzero(((day >= first) & (day <= last + 30)) | (book > 0))
    found = np.where(past.events.counted[row].T, played.on_hand[row].T + held, np.nan)
    return pd.DataFrame(
        {
            "sku": laws.items["sku"].to_numpy()[item],
            "date": laws.date(day[place]),
            "on_hand": book[item, place],
            "reserved": 0,
            "on_hold": held[item, place],
            "counted": found[item, place],
        }
    )


def backorder_lines(laws: Laws, past: Segment, numbers: Ints, prices: Floats) -> pd.DataFrame:
    """Backorder lines: one row per shipment and one for a cancellation; a line that only waits has one row."""
    lines, played, items = past.lines, past.played, laws.items
    line, day, units, cancels = _line_rows(past)
    # A line is exported if anything happened to it in the exported days, or it still waits.
    waits = (played.remaining > 0) & (played.left == NONE)
    kept = waits | (np.bincount(line, weights=day >= 0, minlength=len(lines.item)) > 0)
    line, day, units, cancels = (column[kept[line]] for column in (line, day, units, cancels))
    item, size = lines.item[line], lines.size[line]
    amount = np.array([DEPOSIT[t] for t in items["terms"]])[item] * prices[line]
    paid = cancels & (day <= laws.n_days - 1 - REFUND_DAYS)
    quote = laws.suppliers["stated_days"].to_numpy(np.int64)[items["supplier_code"].to_numpy(np.int64)[item]] + 2
    return pd.DataFrame(
        {
            "order_id": _text("SO-", numbers[line]),
            "sku": items["sku"].to_numpy()[item],
            "customer_id": customer_ids(lines.customer[line]),
            "priority": _tier(lines.customer[line]),
            "order_date": laws.date(lines.placed[line]),
            "quantity": size,
            "promised_date": _business_day(laws.date(lines.placed[line] + quote)),
            "promise_recorded_date": laws.date(lines.placed[line]),
            "quantity_filled": units,
            "filled_date": _dates(laws, np.where(units > 0, day, NONE)),
            "cancelled_date": _dates(laws, np.where(cancels, day, NONE)),
            "unit_price": prices[line],
            "prepaid_amount": np.round(amount * size, 2),
            "refunded_amount": np.where(paid, np.round(amount * played.remaining[line], 2), 0.0),
            "complete_only": lines.complete[line],
        }
    )


def product_master(laws: Laws) -> pd.DataFrame:
    """The product master: what the shop believes and has agreed."""
    items, n_days, policy = laws.items, laws.n_days, shop_policy(laws)
    rng = laws.rng("master")
    first, last = items["first_day"].to_numpy(np.int64), items["last_day"].to_numpy(np.int64)
    recall = np.full((len(items), 2), NONE)
    for cause in laws.planted("recall_or_hold"):
        recall[cause.item] = cause.start, cause.end
    frame = items[["sku", "supplier", "category", "product_type", "unit_cost", "price"]].copy()
    frame["lead_time_days"] = (policy.cover - items["review_days"]).astype(np.int64)
    frame[["moq", "pack_size", "review_days"]] = items[["moq", "pack_size", "review_days"]]
    frame["substitute_sku"] = _substitutes(items, rng)
    frame["launched"] = _dates(laws, np.where(first >= 0, first, NONE))
    frame["discontinued"] = _dates(laws, np.where(last < n_days, last, NONE))
    frame["recalled_from"], frame["recalled_to"] = _dates(laws, recall[:, 0]), _dates(laws, recall[:, 1])
    return frame


def customer_ids(customer: Ints) -> NDArray[np.str_]:
    """Customer numbers that do not tell how large a customer is."""
    return np.array([f"C{10007 + (c * 7919) % 89989}" for c in range(N_CUSTOMERS)])[customer]


def _sales(laws: Laws, past: Segment, numbers: Ints, prices: Floats) -> pd.DataFrame:
    line, day, units = shipments(laws, past)
    return pd.DataFrame(
        {
            "order_id": _text(np.where(units > 0, "SO-", "CR-"), numbers[line]),
            "date": laws.date(day),
            "sku": laws.items["sku"].to_numpy()[past.lines.item[line]],
            "customer_id": customer_ids(past.lines.customer[line]),
            "quantity": units,
            "price": prices[line],
        }
    )


def _line_rows(past: Segment) -> tuple[Ints, Ints, Ints, NDArray[np.bool_]]:
    """Order line, day, units shipped and whether it is a cancellation, of each row of the backorders table."""
    lines, played = past.lines, past.played
    joined = played.remaining > 0
    joined[played.fill_line] = True
    # Those who balked have nothing remaining: what they did not take was lost, not waiting.
    at_once = np.flatnonzero(joined & (played.shipped_now > 0))
    left = np.flatnonzero(played.left != NONE)
    line = np.concatenate([at_once, played.fill_line, left])
    only = np.setdiff1d(np.flatnonzero(joined), line)
    day = np.concatenate([lines.placed[at_once], played.fill_day, played.left[left], lines.placed[only]])
    units = np.concatenate([played.shipped_now[at_once], played.fill_quantity, np.zeros(len(left) + len(only), int)])
    cancels = np.repeat([False, True, False], [len(line) - len(left), len(left), len(only)])
    line = np.concatenate([line, only])
    order = np.lexsort((cancels, day, lines.item[line], line))
    return line[order], day[order], units[order], cancels[order]


def _supplier_items(laws: Laws) -> pd.DataFrame:
    """Agreed terms per supplier and item; some items have an express service."""
    items, rng = laws.items, laws.rng("terms")
    stated = laws.suppliers["stated_days"].to_numpy(np.int64)[items["supplier_code"].to_numpy(np.int64)]
    frame = items[["supplier", "sku", "unit_cost"]].copy()
    frame["lead_time_days"] = stated
    express = rng.random(len(items)) < 0.25
    frame["express_lead_time_days"] = np.where(express, np.ceil(stated * 0.4), np.nan)
    cost = (items["unit_cost"] * rng.uniform(1.08, 1.2, len(items))).round(2)
    frame["express_cost"] = cost.where(express)
    frame[["moq", "pack_size"]] = items[["moq", "pack_size"]]
    return frame.sort_values(["supplier", "sku"], kind="stable", ignore_index=True)


def _events(laws: Laws) -> pd.DataFrame:
    """Promotions, planned ones too, and recalls; a supplier's stop is known in advance to no one."""
    sku = laws.items["sku"].to_numpy()
    rows = [("promotion", p.start, p.end, sku[p.item], p.factor) for p in laws.promotions]
    rows += [("recall", c.start, c.end, sku[c.item], np.nan) for c in laws.planted("recall_or_hold")]
    frame = pd.DataFrame(rows, columns=["kind", "start", "end", "sku", "effect"])
    frame = frame.sort_values(["start", "sku", "kind"], kind="stable", ignore_index=True)
    return frame.assign(start=laws.date(frame["start"]), end=laws.date(frame["end"]))


def _substitutes(items: pd.DataFrame, rng: np.random.Generator) -> list[str | None]:
    chosen: list[str | None] = [None] * len(items)
    category = items["category_code"].to_numpy()
    for code in range(len(CATEGORIES)):
        rows = np.flatnonzero(category == code)
        for i, j in zip(rows.tolist(), np.roll(rows, -1).tolist(), strict=True):
            if rng.random() < 0.2 and i != j:
                chosen[i] = str(items["sku"].iloc[j])
    return chosen


def _tier(customer: Ints) -> Ints:
    """1 for the largest customers, then 2, then 3."""
    return np.asarray(np.searchsorted([20, 100], customer, side="right") + 1, dtype=np.int64)


def _text(prefix: str | NDArray[np.str_], number: Ints) -> pd.Series[str]:
    return pd.Series(prefix, index=range(len(number)), dtype="str") + pd.Series(number).astype("str")


def _dates(laws: Laws, day: Ints) -> pd.DatetimeIndex:
    dates = laws.date(np.where(day == NONE, 0, day)).to_numpy().copy()
    dates[day == NONE] = np.datetime64("NaT")
    return pd.DatetimeIndex(dates)


def _business_day(dates: pd.DatetimeIndex) -> pd.DatetimeIndex:
    late = dates.day_of_week.to_numpy()
    moved = dates + pd.to_timedelta(np.where(late >= 5, 7 - late, 0), unit="D")
    return moved.as_unit("s")
