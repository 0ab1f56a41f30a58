"""What is known of each item at the end of `as_of`: its master data, its supplier, its stock.

Stock is the latest snapshot, rolled forward by recorded receipts and shipments. The start level of every projection
is on hand, less reserved, less on hold, less units that customers wait for. The same walk says on which past days the
item was out of stock, which is what demand is corrected by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.clock import NEVER, period_end, period_start
from backorder_forecast.lines import open_lines
from backorder_forecast.order_lines import order_lines
from backorder_forecast.panel import DECIMALS, daily_matrix, item_codes, stock_exposure, stock_levels, walk_stock
from backorder_forecast.phantom import HISTORY_DAYS, PastRuns, empty_share, no_runs, past_runs, written_off
from backorder_forecast.settings import PRODUCT_TYPES, Settings
from backorder_forecast.supply_events import item_holds

if TYPE_CHECKING:
    from backorder_forecast.lines import BackorderLines
    from backorder_forecast.receipts import OpenLines
    from backorder_forecast.tables import Tables

MOST_BELOW_ZERO = 0.05
"""Share of days below zero from which a walk of stock is taken as contradicted by the records. Judgement."""
_NUMBERS = (
    "unit_cost", "price", "lead_time_days", "moq", "pack_size", "review_days", "daily_capacity", "holding_cost_rate",
    "order_cost",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class StockHistory:
    """On hand now and in-stock days before.

    Attributes
    ----------
    on_hand
        At the end of `as_of`, shape (n_items,); NaN where no snapshot is known.
    shipped_since
        Units shipped after the item's latest snapshot, shape (n_items,), at least 0.
    exposure
        Daily in-stock share from `first_day` on, shape (n_items, n_days), or None where the history cannot tell.
    first_day, freq
        Date of the first column of `exposure`, and the step from one to the next: days, or the periods of the records.
    notes
        Sentences on how stock was rolled forward and what the exposure rests on.
    quality
        Rows for `data_quality`.
    sold, shown
        Whether something left the shelf, and whether the record showed stock, in the last steps of up to a year, shape
        (n_items, n_steps).
    written_off
        Units that went missing without a sale since a snapshot about a month ago, shape (n_items,).
    past_runs
        Columns of `exposure` in which nothing sold because the stock shown was probably not there.
    """

    on_hand: NDArray[np.float64]
    shipped_since: NDArray[np.float64]
    exposure: NDArray[np.float64] | None
    first_day: pd.Timestamp
    freq: str
    notes: tuple[str, ...]
    quality: pd.DataFrame
    sold: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    written_off: NDArray[np.float64]
    past_runs: PastRuns


def stock_history(
    tables: Tables, items: pd.DataFrame, first_day: pd.Timestamp, *, freq: str = "D", sales_are: str = "shipments"
) -> StockHistory:
    """Walk stock through the days from `first_day` to `as_of`, for all items at once.

    Where sales are orders (`sales_are="orders"`), what belongs to a backorder line left the shelf when it was filled.

    Where sales are recorded by period and dated by its first day, `freq` names that period: days inside it mean nothing
    then, and a snapshot counts as the level at its end.
    """
    first_day = min(first_day, tables.as_of)
    if not tables.has("inventory"):
        none, nothing = np.zeros(len(items)), np.zeros((len(items), 0), dtype=bool)
        unknown = np.full(len(items), np.nan)
        return StockHistory(
            unknown, none, None, first_day, freq, (), pd.DataFrame(), nothing, nothing, none, no_runs()
        )  # fmt: skip
    # What a count found is there; the record follows it.
    found = tables.inventory["counted"].fillna(tables.inventory["on_hand"])
    inventory = _summed(tables.inventory.assign(on_hand=found), "on_hand")
    earliest = pd.DatetimeIndex([min(first_day, inventory["date"].min())])
    days = pd.date_range(period_start(earliest, freq)[0], tables.as_of, freq=freq)
    received = _receipt_rows(tables)
    shipped = tables.sales[["sku", "location", "date", "quantity"]]
    if sales_are == "orders" and tables.has("backorders"):
        shipped = _shipped_of_orders(tables, items)
    notes: list[str] = []
    rows: list[pd.DataFrame] = []
    doubted = no_runs()
    latest = inventory["date"].max()
    snapshots = inventory["date"].nunique()
    if latest < tables.as_of:
        gap = (tables.as_of - latest).days
        notes.append(f"stock of {latest:%Y-%m-%d} was rolled forward {gap} days by recorded receipts and sales")
        stale = int((inventory["date"] == latest).sum())
        rows.append(_quality("inventory", "snapshot older than as_of", stale, notes[-1]))
    own_latest = inventory.groupby(["sku", "location"], observed=True)["date"].max()
    older = int((own_latest < latest).sum())
    if older:
        notes.append(
            f"{older} items are not in the stock of {latest:%Y-%m-%d}: their own latest one was rolled forward"
        )
        rows.append(_quality("inventory", "item missing in the latest snapshot", older, notes[-1]))
    since = _shipped_since(shipped, inventory, items, freq)
    held = np.minimum(_latest(tables, items, "reserved"), since)
    if (held > 0).any():
        n_held = int((held > 0).sum())
        notes.append(
            f"{held.sum():,.10g} reserved units of {n_held:,} item{'s' if n_held > 1 else ''} count as shipped: sales"
            " recorded since the snapshot are taken off what was reserved in it"
        )
        rows.append(_quality("inventory", "reserved before later shipments", n_held, notes[-1]))
    can_walk = len(received) > 0
    if not can_walk and snapshots > 1:
        # Without receipts a walk between snapshots would only ever fall; the snapshots speak for themselves.
        empty = shipped.iloc[:0]
        levels = stock_levels(empty, received, inventory, items, days, freq=freq)
        on_hand = stock_levels(shipped, received, inventory, items, days, freq=freq)[:, -1]
        # What is there at the end of a day was there in it; a level carried on from before says nothing of a sale.
        received_days = (levels > 0).astype(np.float64)
        shipped_days = daily_matrix(empty if freq == "D" else shipped, items, days, freq=freq)
        sold = daily_matrix(shipped, items, days[-HISTORY_DAYS:], freq=freq) > 0
        missing = np.zeros(len(items))
        notes.append("no receipts with quantities are known: past stock-outs are read from the snapshots alone")
    else:
        shipped_days, received_days = (daily_matrix(rows, items, days, freq=freq) for rows in (shipped, received))
        levels = walk_stock(received_days, shipped_days, inventory, items, days, freq=freq)
        on_hand = levels[:, -1]
        sold = shipped_days[:, -HISTORY_DAYS:] > 0
        day = np.searchsorted(days, inventory["date"].to_numpy(), side="right") - 1
        missing = written_off(inventory, item_codes(inventory, items), day, shipped_days, received_days)
        doubted = past_runs(levels, received_days, shipped_days, prior=empty_share(tables.inventory).share)
    exposure = None
    if can_walk or snapshots > 1:
        exposure = stock_exposure(levels, received_days, shipped_days)
        wrong = (levels < 0).mean(axis=1) > MOST_BELOW_ZERO
        if wrong.any():
            # A walk below zero proves an error in the records, not that the shelf was empty.
            exposure[wrong] = 1.0
            missing[wrong] = 0.0
            doubted = doubted.of_items(~wrong)
            n_wrong = int(wrong.sum())
            notes.append(
                f"the stock of {n_wrong:,} item{'s' if n_wrong > 1 else ''} does not fit the receipts and sales (walked"
                " back it falls below zero): past stock-outs are unknown there, sales are taken as demand"
            )
            concerned = int(wrong[item_codes(inventory, items)].sum())
            examples = "sku " + ", ".join(items["sku"][wrong].head(3))
            rows.append(_quality("inventory", "stock does not reconcile", concerned, notes[-1], examples))
    else:
        notes.append("one stock snapshot and no receipts: past stock-outs are unknown, sales are taken as demand")
    notes += [note for note in (doubted.note,) if note]
    if freq != "D" or not can_walk:
        missing = np.zeros(len(items))
    shown = levels[:, -HISTORY_DAYS:] > 0
    return StockHistory(
        on_hand, since, exposure, days[0], freq, tuple(notes), _concat(rows), sold, shown, missing, doubted
    )  # fmt: skip


def item_facts(
    tables: Tables,
    items: pd.DataFrame,
    stock: StockHistory,
    orders: OpenLines,
    lines: BackorderLines,
    settings: Settings,
) -> pd.DataFrame:
    """One row per item, in item order.

    Returns
    -------
    DataFrame
        sku, location, supplier, category, product_type, unit_cost, price, lead_time_days, moq, pack_size, review_days,
        daily_capacity, holding_cost_rate, order_cost, supplier_minimum, express_lead_time_days, express_cost,
        substitute_sku, active (still sold after `as_of`), on_hand,
        reserved, on_hold, backordered, on_order, usable, start (usable less waiting), stock_known, release_day (day
        number from which stock on hold is usable), receipts_held (deliveries wait until then too), next_hold_day,
        next_receipts_held, next_release_day (the next hold that is known to come), written_off.
    """
    facts = items[["sku", "location"]].reset_index(drop=True).copy()
    facts["supplier"] = item_suppliers(tables, items)
    for column in ("category", "product_type", "substitute_sku"):
        facts[column] = items[column].astype("str").fillna("") if column in items else ""
    facts.loc[~facts["product_type"].isin(PRODUCT_TYPES), "product_type"] = ""
    for column in _NUMBERS:
        facts[column] = items[column].astype(float).to_numpy() if column in items else np.nan
    facts[["supplier_minimum", "express_lead_time_days", "express_cost"]] = np.nan
    _fill_from_supplier_items(facts, tables)
    if facts["price"].isna().any() and tables.has("sales"):
        facts["price"] = facts["price"].fillna(_last_price(tables, items))
    facts["review_days"] = facts["review_days"].where(facts["review_days"] >= 1).fillna(settings.review_days)
    ended = pd.to_datetime(items["discontinued"]) if "discontinued" in items else pd.Series(pd.NaT, index=items.index)
    facts["active"] = ~(ended <= tables.as_of).to_numpy()
    facts["stock_known"] = ~np.isnan(stock.on_hand)
    # Fewer than nothing on the shelf is a booking error: nothing can be promised from it.
    facts["on_hand"] = np.maximum(stock.on_hand, 0.0)
    for column in ("reserved", "on_hold"):
        facts[column] = _latest(tables, items, column)
    # What was reserved at the snapshot and has left since is no longer on the shelf.
    facts["reserved"] = np.maximum(facts["reserved"] - stock.shipped_since, 0.0)
    if "recalled_from" in items:
        begun = pd.to_datetime(items["recalled_from"]) <= tables.as_of
        over = pd.to_datetime(items["recalled_to"]) < tables.as_of
        recalled = (begun & ~over).to_numpy()
        facts["on_hold"] = np.where(recalled, facts["on_hand"], facts["on_hold"])
    holds = item_holds(tables.events, items, tables.as_of)
    # Where the snapshot says how much is held, that much is; a recall without it holds everything.
    facts["on_hold"] = np.where(holds.held & (facts["on_hold"] <= 0), facts["on_hand"], facts["on_hold"])
    facts["release_day"], facts["receipts_held"] = np.where(holds.held, holds.release, NEVER), holds.receipts
    facts["next_hold_day"], facts["next_receipts_held"] = holds.next_day, holds.next_receipts
    facts["next_release_day"] = holds.next_release
    facts["written_off"] = stock.written_off
    facts["backordered"] = lines.queue_quantity
    code = orders.frame["item"].to_numpy(dtype=np.int64)
    facts["on_order"] = np.bincount(code, weights=orders.frame["quantity"], minlength=len(facts)).astype(np.float64)
    return with_start_level(facts, settings)


def with_start_level(facts: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """The facts with `usable` (on hand less reserved and held), `start` (usable less what customers wait for) and
    `releasable` (what is usable once the hold is over: no more than is there and not reserved)."""
    reserved = facts["reserved"].to_numpy()
    if settings.reserved_includes_backorders:
        reserved = np.maximum(reserved - facts["backordered"].to_numpy(), 0.0)
    usable = np.maximum(facts["on_hand"] - reserved - facts["on_hold"], 0.0).round(DECIMALS)
    free = np.maximum(facts["on_hand"] - reserved, 0.0)
    return facts.assign(
        usable=usable, start=(usable - facts["backordered"]).round(DECIMALS),
        releasable=np.minimum(facts["on_hold"], free).round(DECIMALS),
    )  # fmt: skip


def _receipt_rows(tables: Tables) -> pd.DataFrame:
    """What came in on which day: the receipts that close purchase orders, each with its share of the line."""
    orders = tables.purchase_orders
    orders = orders[orders["sku"].notna().to_numpy()]
    # A receipt without an order date is stock all the same; one date for all keeps its line together.
    placed = orders["order_date"].fillna(orders["received_date"].min())
    found = order_lines(orders.assign(order_date=placed), as_of=tables.as_of)
    receipts = found.receipts
    rows = found.lines[["sku", "location"]].iloc[receipts["line"].to_numpy()].reset_index(drop=True)
    rows["date"], rows["quantity"] = receipts["received_date"], receipts["quantity"]
    return rows[((rows["sku"] != "") & rows["quantity"].notna()).to_numpy()]


def _shipped_of_orders(tables: Tables, items: pd.DataFrame) -> pd.DataFrame:
    """Shipments where sales are orders: sku, location, date, quantity.

    An order that is a backorder line leaves the shelf by the fills of the line; without order numbers the line's
    quantity is taken off the item's orders of that day, as far as they go. The rest was shipped when it was ordered.
    """
    lines = open_lines(tables.backorders, items, as_of=tables.as_of)
    columns = ["item", "order_id", "order_date", "ordered_quantity"]
    wanted = pd.concat([lines.frame[columns], lines.closed[columns]], ignore_index=True)
    sales = tables.sales[["order_id", "date", "quantity"]].assign(item=item_codes(tables.sales, items))
    sold = sales[(sales["quantity"] > 0) & sales["item"].isin(wanted["item"])].assign(row=lambda s: s.index)
    sold["order_id"] = sold["order_id"].astype("str").fillna("")
    by_order = sold.merge(wanted[["item", "order_id", "ordered_quantity"]], on=["item", "order_id"])
    named = wanted.set_index(["item", "order_id"]).index.isin(by_order.set_index(["item", "order_id"]).index)
    nameless = wanted[~named].groupby(["item", "order_date"])["ordered_quantity"].sum().reset_index()
    others = sold[~sold["row"].isin(by_order["row"])].assign(order_date=lambda s: s["date"].astype("datetime64[s]"))
    by_day = others.merge(nameless, on=["item", "order_date"])
    taken = pd.concat([_taken(by_order, ["item", "order_id"]), _taken(by_day, ["item", "order_date"])])
    left = tables.sales[["sku", "location", "date", "quantity"]].copy()
    left["quantity"] = left["quantity"].sub(taken.reindex(left.index, fill_value=0.0))
    # A fill without a date counts at the order date, like the orders that no line speaks of.
    filled = lines.shipments.merge(wanted[["item", "order_id", "order_date"]], on=["item", "order_id"])
    came = items[["sku", "location"]].astype("str").iloc[filled["item"].to_numpy()].reset_index(drop=True)
    came["date"], came["quantity"] = filled["date"].fillna(filled["order_date"]), filled["quantity"]
    left = left.astype({"sku": "str", "location": "str"})
    return pd.concat([left[left["quantity"] != 0], came], ignore_index=True)


def _taken(rows: pd.DataFrame, keys: list[str]) -> pd.Series:
    """Units of each row that belong to a line of `ordered_quantity`, row by row until it is used up."""
    rows = rows.sort_values([*keys, "date", "quantity"], kind="stable")
    before = rows.groupby(keys)["quantity"].cumsum() - rows["quantity"]
    units = np.clip(rows["ordered_quantity"] - before, 0.0, rows["quantity"])
    return pd.Series(units.to_numpy(dtype=np.float64), index=rows["row"].to_numpy())


def _shipped_since(
    shipped: pd.DataFrame, inventory: pd.DataFrame, items: pd.DataFrame, freq: str
) -> NDArray[np.float64]:
    """Units shipped in the days (or periods) after each item's latest snapshot; returns count against them."""
    latest = inventory.groupby(["sku", "location"], observed=True)["date"].max().reset_index()
    ends = period_end(period_start(pd.DatetimeIndex(latest["date"]), freq), freq)
    last = np.full(len(items), np.datetime64("NaT", "s"))
    code = item_codes(latest, items)
    last[code[code >= 0]] = ends.to_numpy().astype("datetime64[s]")[code >= 0]
    recent = shipped[(shipped["date"] > ends.min()).to_numpy()]
    code = item_codes(recent, items)
    after = (code >= 0) & (recent["date"].to_numpy().astype("datetime64[s]") > last[code])
    units = np.bincount(code[after], recent["quantity"].to_numpy(np.float64)[after], len(items))
    return np.maximum(units, 0.0).round(DECIMALS)


def item_suppliers(tables: Tables, items: pd.DataFrame) -> pd.Series:
    """Stated supplier, else the one of the item's latest purchase order, else of `supplier_items`."""
    blank = pd.Series("", index=range(len(items)), dtype="str")
    supplier = items["supplier"].astype("str").fillna("").reset_index(drop=True) if "supplier" in items else blank
    for frame, by in ((tables.purchase_orders, "order_date"), (tables.supplier_items, None)):
        if not len(frame) or not (supplier == "").any():
            continue
        known = frame[frame["sku"].notna() & frame["supplier"].notna()]
        # Of several offers the cheapest, of several orders the latest; names break ties.
        known = known.sort_values(["unit_cost", "supplier"] if by is None else [by, "supplier"], kind="stable")
        rows = (
            known[["sku", "location", "supplier"]]
            if "location" in known
            else known[["sku", "supplier"]].assign(location="")
        )
        # supplier_items has no location: it speaks for every location of the sku.
        match = items[["sku"]].astype("str") if by is None else items[["sku", "location"]].astype("str")
        keys = list(match.columns)
        last = rows.astype("str").drop_duplicates(keys, keep="last" if by else "first")
        found = match.merge(last[[*keys, "supplier"]], on=keys, how="left")["supplier"].fillna("")
        supplier = supplier.where(supplier != "", found.reset_index(drop=True))
    return supplier


def _fill_from_supplier_items(facts: pd.DataFrame, tables: Tables) -> None:
    if not tables.has("supplier_items"):
        return
    offer = tables.supplier_items
    terms = offer.assign(sku=offer["sku"].astype("str"), supplier=offer["supplier"].astype("str"))
    columns = ["unit_cost", "lead_time_days", "moq", "pack_size"]
    terms = terms.sort_values(columns, kind="stable").drop_duplicates(["sku", "supplier"])
    found = facts[["sku", "supplier"]].astype("str").merge(terms, on=["sku", "supplier"], how="left")
    for column in (*columns, "express_lead_time_days", "express_cost"):
        facts[column] = facts[column].fillna(found[column].astype(float))
    # What the order to a supplier is worth at least, whichever row states it.
    least = terms.groupby("supplier")["supplier_minimum"].max().astype(float)
    facts["supplier_minimum"] = facts["supplier"].astype("str").map(least)


def _last_price(tables: Tables, items: pd.DataFrame) -> pd.Series:
    sales = tables.sales
    known = sales[(sales["price"] > 0) & (sales["quantity"] > 0)]
    code = item_codes(known, items)
    price = pd.Series(np.nan, index=range(len(items)))
    rows = pd.DataFrame({"code": code, "date": known["date"].to_numpy(), "price": known["price"].to_numpy()})
    rows = (
        rows[rows["code"] >= 0]
        .sort_values(["code", "date", "price"], kind="stable")
        .drop_duplicates("code", keep="last")
    )
    price.loc[rows["code"].to_numpy()] = rows["price"].to_numpy()
    return price


def _latest(tables: Tables, items: pd.DataFrame, column: str) -> NDArray[np.float64]:
    values = np.zeros(len(items))
    if tables.has("inventory"):
        summed = (
            _summed(tables.inventory, column)
            .sort_values("date", kind="stable")
            .drop_duplicates(["sku", "location"], keep="last")
        )
        code = item_codes(summed, items)
        values[code[code >= 0]] = np.nan_to_num(summed[column].to_numpy(dtype=np.float64))[code >= 0]
    return np.maximum(values, 0.0)


def _summed(inventory: pd.DataFrame, column: str) -> pd.DataFrame:
    """One row per item and snapshot date, storage places added up."""
    keys = ["sku", "location", "date"]
    summed: pd.DataFrame = inventory.groupby(keys, observed=True, sort=True)[[column]].sum().reset_index()
    return summed


def _quality(table: str, rule: str, used: int, effect: str, examples: str = "") -> pd.DataFrame:
    record = {"table": table, "rule": rule, "rows_read": used, "rows_used": used, "rows_merged": 0, "rows_set_aside": 0}
    return pd.DataFrame([{**record, "examples": examples, "effect": effect}])


def _concat(rows: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()
