"""The input tables as data: column, type, unit and rule.

A column holds text (identifiers stay text, leading zeros survive), a date (a day, no time of day), a number, or a flag.
A value that breaks the rule of its column sets its row aside where the row would mean something else without it
(`on_bad="row"`), and is emptied where the row stands without it (`on_bad="value"`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["text", "date", "number", "flag"]
ROW: Literal["row"] = "row"
MOST = 1e11
"""No quantity or amount is larger; what is larger is a slip of the keyboard."""


@dataclass(frozen=True)
class Column:
    """One column of an input table.

    Attributes
    ----------
    name, kind, unit
        The canonical name, what it holds, and the unit shown in the mapping.
    needed, may_be_empty
        Whether the table is useless without the column, and whether single values of a needed column may be missing.
    at_least, above, at_most
        Bounds of a number (above is strict); a value outside is impossible.
    on_bad
        What an unreadable or impossible value does: sets aside its `row`, or is only emptied (`value`).
    choices
        The words a text column may hold, lower case; empty means any.
    """

    name: str
    kind: Kind = "text"
    unit: str = ""
    needed: bool = False
    may_be_empty: bool = False
    at_least: float = -MOST
    above: float = -2 * MOST
    at_most: float = MOST
    on_bad: Literal["row", "value"] = "value"
    choices: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """The bounds in words.

        Examples
        --------
        >>> PRODUCTS.column("pack_size").rule, SALES.column("price").rule
        ('above 0', '0 or more')
        """
        words = []
        if self.above > -MOST:
            words.append(f"above {self.above:g}")
        elif self.at_least > -MOST:
            words.append(f"{self.at_least:g} or more")
        if self.at_most < MOST or not words:
            words.append(f"at most {self.at_most:,.12g}")
        return ", ".join(words)


@dataclass(frozen=True)
class Table:
    """One input table: its columns in order (needed ones first) and what it feeds.

    `absent` says what is off without the table; `key` names the columns of which one combination may occur once.
    """

    name: str
    columns: tuple[Column, ...]
    feeds: str
    absent: str
    key: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical column names in order."""
        return tuple(c.name for c in self.columns)

    @property
    def needed(self) -> tuple[str, ...]:
        """Names of the columns that must be there."""
        return tuple(c.name for c in self.columns if c.needed)

    def column(self, name: str) -> Column:
        """The column of that canonical name."""
        return next(c for c in self.columns if c.name == name)


def _text(name: str, *, needed: bool = False, choices: tuple[str, ...] = ()) -> Column:
    return Column(name, "text", "", needed, on_bad="row" if needed or name == "sku" else "value", choices=choices)


def _day(
    name: str, *, needed: bool = False, may_be_empty: bool = False, on_bad: Literal["row", "value"] = ROW
) -> Column:
    return Column(name, "date", "day", needed, may_be_empty, on_bad=on_bad)


def _units(
    name: str, unit: str = "units", *, at_least: float = 0.0, above: float = -2 * MOST, at_most: float = MOST
) -> Column:
    """An optional number whose bad values are emptied; at least 0 unless told otherwise."""
    return Column(name, "number", unit, at_least=at_least, above=above, at_most=at_most)


def _money(name: str, unit: str = "money per unit") -> Column:
    return _units(name, unit)


def _days(name: str) -> Column:
    return _units(name, "days", at_most=3650.0)


SALES = Table(
    "sales",
    (
        _text("sku", needed=True),
        _day("date", needed=True),
        Column("quantity", "number", "units", needed=True, on_bad="row"),
        _text("location"),
        _text("customer_id"),
        _text("order_id"),
        # A negative price is a booking of money (a bad debt, a discount), not goods that left the shop.
        Column("price", "number", "money per unit", at_least=0.0, on_bad="row"),
    ),
    "demand",
    "no forecast is possible",
)

PURCHASE_ORDERS = Table(
    "purchase_orders",
    (
        # An order without a supplier is on order all the same.
        Column("supplier", "text", needed=True, may_be_empty=True),
        # A receipt without an order date moves stock, though it says nothing of lead times.
        _day("order_date", needed=True, may_be_empty=True),
        _day("received_date", needed=True, may_be_empty=True),
        _text("po_id"),
        _text("sku"),
        _text("location"),
        _text("category"),
        Column("quantity_ordered", "number", "units", above=0.0, on_bad="row"),
        Column("quantity_received", "number", "units", at_least=0.0, on_bad="row"),
        _day("promised_date", on_bad="value"),
        _day("supplier_confirmed_date", on_bad="value"),
        _day("promise_recorded_date", on_bad="value"),
        _day("cancelled_date"),
        _day("recorded_date", on_bad="value"),
    ),
    "lead times and receipts still to come (arrivals follow the lead times and the dates that suppliers name); a line"
    " counts from its recorded_date on (empty: its order date), so that orders which were open when the records began"
    " make nothing look slower",
    "lead times rest on stated or assumed days, and nothing counts as on order",
)

INVENTORY = Table(
    "inventory",
    (
        _text("sku", needed=True),
        _day("date", needed=True),
        Column("on_hand", "number", "units", needed=True, on_bad="row"),
        _text("location"),
        _units("reserved"),
        _units("on_hold"),
        _units("counted"),
    ),
    "stock on hand",
    "stock on hand is unknown: no stockout flags, no fill dates from stock, no order quantities",
    key=("sku", "location", "date"),
)

BACKORDERS = Table(
    "backorders",
    (
        _text("order_id", needed=True),
        _text("sku", needed=True),
        _day("order_date", needed=True),
        Column("quantity", "number", "units", needed=True, above=0.0, on_bad="row"),
        _text("location"),
        _text("customer_id"),
        _units("priority", "rank, 1 first", at_least=-MOST),
        _day("promised_date", on_bad="value"),
        _day("promise_recorded_date", on_bad="value"),
        Column("quantity_filled", "number", "units", at_least=0.0, on_bad="row"),
        _day("filled_date"),
        _day("cancelled_date"),
        _money("unit_price"),
        _money("prepaid_amount", "money"),
        _money("refunded_amount", "money"),
        Column("complete_only", "flag", "yes or no"),
        _text("substituted_by"),
    ),
    "who waits, and how long customers wait",
    "open backorders are unknown: no fill dates, notices, backlog or cash flow; patience rests on its priors",
)

PRODUCTS = Table(
    "products",
    (
        _text("sku", needed=True),
        _text("location"),
        _text("supplier"),
        _text("category"),
        _text("product_type", choices=("commodity", "standard", "specialty", "custom")),
        _money("unit_cost"),
        _money("price"),
        _days("lead_time_days"),
        _units("moq"),
        _units("pack_size", above=0.0),
        _units("review_days", "days", above=0.0, at_most=3650.0),
        _units("daily_capacity", "units per day"),
        _units("holding_cost_rate", "share of unit cost per year", at_most=10.0),
        _money("order_cost", "money per order"),
        _units("shelf_life_days", "days", above=0.0),
        _text("substitute_sku"),
        _day("launched", on_bad="value"),
        _day("discontinued", on_bad="value"),
        _day("recalled_from", on_bad="value"),
        _day("recalled_to", on_bad="value"),
    ),
    "prices, costs, packs, product types, what a day can make (daily_capacity), recalls",
    "prices are the latest of sales, costs and packs those of supplier_items; where these have none, what needs them is"
    " empty; every item counts as standard",
    key=("sku", "location"),
)

SUPPLIER_ITEMS = Table(
    "supplier_items",
    (
        _text("supplier", needed=True),
        _text("sku", needed=True),
        _money("unit_cost"),
        _days("lead_time_days"),
        _days("express_lead_time_days"),
        _money("express_cost"),
        _units("moq"),
        _units("pack_size", above=0.0),
        _money("supplier_minimum", "money per order"),
        _units("price_break_quantity", above=0.0),
        _money("price_break_cost"),
    ),
    "supplier, unit_cost, lead_time_days, moq and pack_size where products states none; what the order to a supplier"
    " is worth at least, what express delivery would save (price breaks are read, not yet used)",
    "supplier, cost, lead time, minimum and pack of an item are those of its product row or of its orders",
    key=("supplier", "sku", "price_break_quantity"),
)

EVENTS = Table(
    "events",
    (
        _text("kind", needed=True),
        _day("start", needed=True),
        _day("end", needed=True, may_be_empty=True),
        Column("sku"),
        _text("category"),
        _text("supplier"),
        _units("effect", "factor on demand, 1 means none"),
    ),
    "the lift of promotions and other dated events in past and future demand; closures of suppliers delay their orders,"
    " recalls and holds of a sku or category take stock out of use and keep deliveries back (of several that an item"
    " has ahead the first counts, later ones are not used yet)",
    "promotions count as ordinary demand, and planned ones are not foreseen (a recall in products holds stock)",
)

TABLES: dict[str, Table] = {
    t.name: t for t in (SALES, PURCHASE_ORDERS, INVENTORY, BACKORDERS, PRODUCTS, SUPPLIER_ITEMS, EVENTS)
}
"""All input tables by name, in the order in which they are read and reported."""

UNPLANNED_EVENTS = ("recall", "disruption", "strike", "fire", "flood", "outage", "accident", "shortage")
"""Kinds of events that nobody knows before they start; promotions, closures and holds are planned."""
ANNOUNCED_EVENTS = r"\b(?:announced|planned|scheduled)\b"
"""Words in a kind that say that even such an event was known before: an announced recall."""
HOLD_EVENTS = r"recall|\b(?:on[- ]?)?holds?\b|quarantine|\bblocked\b"
"""Words in a kind that say that stock must not be used."""


def event_words(kinds: pd.Series) -> pd.Series:
    """Kinds of events as words in lower case, however they are joined; empty where missing.

    Examples
    --------
    >>> import pandas as pd
    >>> event_words(pd.Series(["quality_hold", "SupplierClosure", "On-Hold", None])).tolist()
    ['quality hold', 'supplier closure', 'on hold', '']
    """
    plain = kinds.astype("str").fillna("").str.replace(r"(?<=[a-z])(?=[A-Z])", " ", regex=True)
    words: pd.Series = plain.str.replace(r"[\s_-]+", " ", regex=True).str.strip().str.casefold()
    return words
