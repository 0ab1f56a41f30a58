"""Rules between the columns of a row, between rows, and between tables.

Rows are set aside where their parts contradict each other, where their SKU is in no product list, or where their
location cannot be told. Locations follow the sales: without a location there, the shop is one place and stock of
several locations is added up; with it, a row without location belongs to the only location of its SKU.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.coerce import LONG_TABLES, Draft
from backorder_forecast.formats import Failure
from backorder_forecast.schema import TABLES
from backorder_forecast.spellings import check_spellings

UNKNOWN_SKU = ("set_aside", "keep")
_LOCATED = ("sales", "inventory", "purchase_orders", "backorders")
_TOTALS = {
    "total", "totals", "grand total", "subtotal", "sub-total", "sum", "summe", "gesamt", "gesamtsumme", "zwischensumme",
    "somme", "total général", "totale", "totaal", "suma", "summa",
}  # fmt: skip
_CHECKED_SKUS = ("sales", "purchase_orders", "inventory", "backorders", "supplier_items")


def check_rows(drafts: Mapping[str, Draft]) -> None:
    """Contradictions within a row, table by table; rows of totals."""
    _check_totals(drafts)
    if "sales" in drafts:
        _check_sales(drafts["sales"])
    if "purchase_orders" in drafts:
        _check_purchase_orders(drafts["purchase_orders"])
    if "inventory" in drafts:
        _check_inventory(drafts["inventory"])
    if "backorders" in drafts:
        _check_backorders(drafts["backorders"])
    if "products" in drafts:
        _check_products(drafts["products"])
    if "events" in drafts:
        events = drafts["events"]
        wrong = _later(events.frame["start"], events.frame["end"])
        events.set_aside(wrong, "end", "it ends before it starts")


def _check_totals(drafts: Mapping[str, Draft]) -> None:
    """Rows of totals below an export: their "SKU" is a word for the sum, and no product is called so."""
    products = set(drafts["products"].frame["sku"].astype("str")) if "products" in drafts else set()
    for name in _CHECKED_SKUS:
        if name not in drafts:
            continue
        skus = drafts[name].frame["sku"]
        found = [sku for sku in skus.dropna().unique() if str(sku).casefold() in _TOTALS and str(sku) not in products]
        reason = "a row of totals, it seems; if it is an item, list it in products"
        drafts[name].set_aside(skus.isin(found).to_numpy(), "sku", reason)


def check_duplicates(drafts: Mapping[str, Draft], *, drop: bool) -> None:
    """Rows that repeat another in every mapped column: reported, and dropped where asked for.

    A repeated snapshot, product or supplier item is one fact and always counted once.
    """
    for name, draft in drafts.items():
        again = draft.is_twin()
        if TABLES[name].key:
            draft.merge_away(again, "the same row twice", "counted once")
        elif drop:
            draft.merge_away(again, "exact duplicates", "dropped, as asked for: each counts once")
        else:
            identified = {"order_id", "po_id"} & draft.given
            doubt = "perhaps a double export" if identified else "without an order number they may be real"
            if name == "purchase_orders" and identified:
                doubt = "open ones as schedule lines, receipts as far as they fit what was ordered"
            draft.note("exact duplicates", again, f"kept ({doubt}); drop_duplicates=True counts each once")


def check_locations(drafts: Mapping[str, Draft], *, as_of: pd.Timestamp | None) -> None:
    """One meaning of location in all tables: the sales decide whether the shop has several.

    Only rows up to `as_of` decide; without it those up to the latest snapshot, else all.
    """
    if as_of is None and "inventory" in drafts:
        as_of = drafts["inventory"].frame["date"].max()
    day = pd.Timestamp.max if as_of is None or pd.isna(as_of) else as_of
    sales = drafts["sales"].frame
    places = sales["location"][(sales["date"] <= day).to_numpy()].dropna().unique()
    with_places = any(str(p) for p in places)
    homes = _homes(drafts, day) if with_places else pd.DataFrame()
    for draft in drafts.values():
        if "location" not in draft.frame:
            continue
        if not with_places:
            _one_place(draft)
        elif draft.name in _LOCATED:
            _own_place(draft, homes)
        else:
            draft.frame["location"] = _filled(draft.frame["location"])


def check_keys(drafts: Mapping[str, Draft]) -> None:
    """One row per key: stock of one item and day is added up, a second product row is set aside."""
    for name, draft in drafts.items():
        key = list(TABLES[name].key)
        if not key or draft.frame.empty:
            continue
        again = _repeated(draft.frame, key)
        if not again.any():
            continue
        if name == "inventory":
            _add_up(draft, key)
        else:
            reason = (
                f"a second row for the same {' and '.join(k for k in key if draft.frame[k].astype('str').ne('').any())}"
            )
            what = "; list further suppliers in supplier_items" if name == "products" else ""
            # Whatever the order of rows: the one that says most, of equals the one whose values come first.
            fullest = _fullest_first(draft.frame)
            again = np.zeros(len(draft.frame), dtype=bool)
            again[fullest] = _repeated(draft.frame.iloc[fullest], key)
            draft.set_aside(again, "sku", f"{reason} with other values: the row that says most counts{what}")


def check_skus(drafts: Mapping[str, Draft], *, unknown_sku: str) -> list[Failure]:
    """Rows whose SKU is not in `products`; a table without a row left, or of another spelling, is a failure."""
    _case_twins(drafts["sales"])
    failures = check_spellings(drafts, keep=unknown_sku == "keep")
    told = {failure["table"] for failure in failures}
    products = drafts.get("products")
    if products is None or products.frame.empty:
        return failures
    known = pd.Index(products.frame["sku"].unique())
    for name in _CHECKED_SKUS:
        draft = drafts.get(name)
        if draft is None or draft.frame.empty or "sku" not in draft.given or name in told:
            continue
        unknown = _not_in(draft.frame["sku"], known)
        if unknown.all():
            failures.append(_no_match(draft, known))
        elif unknown_sku == "keep":
            draft.note("SKU not in products", unknown, "kept, as asked for; price, cost and pack are unknown")
        else:
            draft.set_aside(unknown, "sku", "the SKU is not in products (unknown_sku='keep' uses the row)")
    return failures


def _later(first: pd.Series, second: pd.Series) -> NDArray[np.bool_]:
    """Where `first` lies after `second`, both known."""
    return (first > second).to_numpy()


def _beside_order(draft: Draft, column: str, rows: NDArray[np.bool_]) -> pd.Series:
    """The date of some rows with the order date beside it, as text."""
    some = draft.frame.loc[rows, [column, "order_date"]]
    words: pd.Series = some[column].dt.strftime("%Y-%m-%d") + ", ordered " + some["order_date"].dt.strftime("%Y-%m-%d")
    return words.reindex(draft.frame.index)


def _ignore(draft: Draft, column: str, bad: NDArray[np.bool_], reason: str) -> None:
    if bad.any():
        draft.note(reason, bad, f"{column} is ignored, the row is used")
        draft.frame[column] = draft.frame[column].mask(bad)


def _check_sales(draft: Draft) -> None:
    if {"price", "customer_id"} <= draft.given:
        frame = draft.frame
        # Goods come back from somebody who paid for them; what leaves the books for nothing was damaged or lost.
        nobody = ((frame["quantity"] < 0) & (frame["price"] == 0) & frame["customer_id"].isna()).to_numpy()
        draft.set_aside(nobody, "quantity", "below zero without price and customer: a write-off, not a return")


def _check_purchase_orders(draft: Draft) -> None:
    dateless = (draft.frame["order_date"].isna() & draft.frame["received_date"].isna()).to_numpy()
    draft.set_aside(dateless, "order_date", "neither ordered nor received on a known date")
    for column, verb in (("received_date", "received"), ("cancelled_date", "cancelled")):
        wrong = _later(draft.frame["order_date"], draft.frame[column])
        sisters = np.zeros_like(wrong)
        if wrong.any() and {"po_id", "sku"} <= draft.given:
            # Without one of its receipts a line would look open for that quantity.
            lines = pd.MultiIndex.from_frame(draft.frame[["po_id", "sku"]])
            sisters = lines.isin(lines[wrong]) & draft.frame["po_id"].notna().to_numpy() & ~wrong
        draft.set_aside(wrong, column, f"{verb} before it was ordered", _beside_order(draft, column, wrong))
        draft.set_aside(sisters[~wrong], column, f"another row of this order line was {verb} before it was ordered")
    frame = draft.frame
    for column in ("promised_date", "supplier_confirmed_date"):
        _ignore(draft, column, _later(frame["order_date"], frame[column]), f"{column} before the order date")
    undated = (frame["quantity_received"] > 0) & frame["received_date"].isna() & frame["cancelled_date"].isna()
    draft.note(
        "received without a date", undated.to_numpy(), "counts as received; tells no lead time and no day of stock"
    )


def _check_inventory(draft: Draft) -> None:
    negative = (draft.frame["on_hand"] < 0).to_numpy()
    if negative.any():
        draft.note("stock on hand below zero", negative, "taken as 0: the record is wrong, count these items")
        draft.frame["on_hand"] = draft.frame["on_hand"].clip(lower=0.0)
    beyond = (draft.frame["on_hold"] > draft.frame["on_hand"]).to_numpy()
    draft.note("more on hold than on hand", beyond, "all that is on hand counts as on hold, the surplus as nothing")


def _check_backorders(draft: Draft) -> None:
    frame = draft.frame
    line = pd.MultiIndex.from_frame(frame[["order_id", "sku", "location"]])
    alone = ~line.duplicated(keep=False)
    filled = frame["filled_date"].notna() & (frame["quantity_filled"].fillna(np.inf) >= frame["quantity"])
    for column, verb, closes in (
        ("filled_date", "filled", filled.to_numpy()),
        ("cancelled_date", "cancelled", frame["cancelled_date"].notna().to_numpy()),
    ):
        at = frame.index.get_indexer(draft.frame.index)
        wrong = _later(draft.frame["order_date"], draft.frame[column])
        # A row that closes its line all alone can go; any other is needed to know what is still open.
        gone = wrong & (alone & closes)[at]
        draft.set_aside(gone, column, f"{verb} before it was ordered", _beside_order(draft, column, gone))
        rest = (wrong & ~gone)[~gone]
        draft.note(f"{verb} before it was ordered", rest, f"the quantity counts as {verb}, the date is not used")
    frame = draft.frame
    _ignore(
        draft, "promised_date", _later(frame["order_date"], frame["promised_date"]), "promised before the order date"
    )
    undated = (frame["quantity_filled"] > 0) & frame["filled_date"].isna()
    draft.note("filled without a date", undated.to_numpy(), "counts as filled today, as waiting at earlier days")
    refunded = (frame["refunded_amount"] > 0) & frame["cancelled_date"].isna() & frame["filled_date"].isna()
    draft.note(
        "refunded without a cancellation date", refunded.to_numpy(), "the line counts as open; give cancelled_date"
    )


def _check_products(draft: Draft) -> None:
    frame = draft.frame
    _ignore(draft, "recalled_to", _later(frame["recalled_from"], frame["recalled_to"]), "recall ends before it starts")
    _ignore(draft, "launched", _later(frame["launched"], frame["discontinued"]), "launched after it was discontinued")
    loss = (frame["price"] > 0) & (frame["unit_cost"] > frame["price"])
    draft.note("unit cost above the price", loss.to_numpy(), "used as given: margins are negative")


def _homes(drafts: Mapping[str, Draft], day: pd.Timestamp) -> pd.DataFrame:
    """(sku, location) pairs of products, and of sales and inventory up to a day."""
    parts = []
    for name in ("sales", "inventory", "products"):
        if name in drafts:
            frame = drafts[name].frame
            if "date" in frame:
                frame = frame[(frame["date"] <= day).to_numpy()]
            codes = _pair_codes(frame["sku"], frame["location"])
            pairs = frame[["sku", "location"]].iloc[np.unique(codes, return_index=True)[1]].astype("str")
            parts.append(pairs[pairs["location"].notna() & (pairs["location"] != "")])
    return pd.concat(parts).drop_duplicates(ignore_index=True)


def _own_place(draft: Draft, homes: pd.DataFrame) -> None:
    """Rows without location get the only one of their SKU, or are set aside."""
    location = draft.frame["location"]
    empty = location.isna().to_numpy() | (location == "").to_numpy()
    if draft.name == "purchase_orders":
        empty &= draft.frame["sku"].notna().to_numpy()
    if empty.any():
        count = homes.groupby("sku")["location"].agg(["size", "first"])
        only = count.loc[count["size"] == 1, "first"]
        places = homes["location"].unique()
        found = draft.frame["sku"].astype("str").map(only).astype("str")
        if len(places) == 1:
            found = found.fillna(str(places[0]))
        text = location.astype("str").mask(empty, found)
        draft.frame["location"] = text.astype("category") if draft.name in LONG_TABLES else text
        draft.note("no location", empty & text.notna().to_numpy(), "belongs to the only location of its SKU")
        lost = empty & text.isna().to_numpy()
        reason = "no location, and the SKU is not at exactly one location of sales, inventory and products"
        draft.set_aside(lost, "location", reason)
    draft.frame["location"] = _filled(draft.frame["location"])


def _one_place(draft: Draft) -> None:
    given = draft.frame["location"]
    places = given.dropna().unique()
    if len(places) > 1:
        words = {
            "inventory": f"sales has no location, so the stock of {len(places)} locations is added up per SKU",
        }.get(draft.name, f"sales has no location, so the {len(places)} locations of this table are not told apart")
        draft.note("locations not used", given.notna().to_numpy(), words)
    nowhere = pd.Series("", index=given.index, dtype="str")
    if isinstance(given.dtype, pd.CategoricalDtype):
        codes = np.zeros(len(given), dtype=np.int8)
        nowhere = pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index([""], dtype="str")), index=given.index)
    draft.frame["location"] = nowhere


def _filled(location: pd.Series) -> pd.Series:
    """ "" for a missing location; categories stay sorted."""
    if not isinstance(location.dtype, pd.CategoricalDtype):
        return location.fillna("")
    location = location.cat.remove_unused_categories()
    if "" not in location.cat.categories:
        names = ["", *location.cat.categories]
        location = location.cat.set_categories(pd.Index(names, dtype="str"))
    return location.fillna("")


def _repeated(frame: pd.DataFrame, key: list[str]) -> NDArray[np.bool_]:
    code = np.zeros(len(frame), dtype=np.int64)
    for column in key:
        codes, uniques = pd.factorize(frame[column])
        code = code * (len(uniques) + 1) + codes + 1
    return pd.Series(code).duplicated().to_numpy()


def _fullest_first(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Positions of the rows: fewest empty values first, then by their values as text."""
    text = frame.astype("str").fillna("")
    empty = frame.isna() | (text == "")
    order: pd.DataFrame = text.assign(_empty=empty.sum(axis=1).to_numpy()).reset_index(drop=True)
    return order.sort_values(["_empty", *frame.columns], kind="stable").index.to_numpy(dtype=np.int64)


def _add_up(draft: Draft, key: list[str]) -> None:
    frame = draft.frame
    again = _repeated(frame, key)
    several = again | _repeated(frame[::-1], key)[::-1]
    numbers = [c.name for c in draft.table.columns if c.kind == "number"]
    part = frame[several]
    sums = part.groupby(key, observed=True)[numbers].transform(lambda s: s.sum(min_count=1))
    added = frame.copy()
    added.loc[several, numbers] = sums
    draft.frame = added
    draft.merge_away(again, "several rows of one item and day", "added up to one stock figure")


def _pair_codes(sku: pd.Series, location: pd.Series) -> NDArray[np.int64]:
    sku_code = pd.factorize(sku)[0]
    place_code, places = pd.factorize(location)
    return np.asarray(sku_code, dtype=np.int64) * (len(places) + 1) + place_code + 1


def _not_in(sku: pd.Series, known: pd.Index) -> NDArray[np.bool_]:
    if isinstance(sku.dtype, pd.CategoricalDtype):
        unknown = np.append(~sku.cat.categories.isin(known), False)
        return unknown[sku.cat.codes.to_numpy()]
    return (sku.notna() & ~sku.isin(known)).to_numpy()


def _no_match(draft: Draft, known: pd.Index) -> Failure:
    """Failure of a table of which no SKU is in products."""
    own = pd.Series(draft.frame["sku"].dropna().unique(), dtype="str")
    theirs = pd.Series(known, dtype="str")
    what = "check that both exports use the same product code, or leave products out"
    found = f"{draft.name} has {', '.join(own.head(3))}; products has {', '.join(theirs.head(3))}"
    problem = "no SKU of this table is in products"
    return {"table": draft.name, "column": "sku", "problem": problem, "found": found, "what_to_do": what}


def _case_twins(draft: Draft) -> None:
    """SKUs that differ only in upper and lower case are usually one product, but that is for the user to say."""
    sku = draft.frame["sku"]
    names = pd.Series(pd.Index(sku.cat.categories), dtype="str")
    twins = names.str.upper().duplicated(keep=False)
    if twins.any():
        rows = sku.isin(names[twins]).to_numpy()
        some = ", ".join(names[twins].sort_values(key=lambda s: s.str.upper()).head(4))
        draft.note("SKUs that differ only in case", rows, f"treated as different items: {some}, ...")
