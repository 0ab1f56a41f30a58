"""What-if changes, applied on the same random numbers so that only the change shows.

A scenario says what is different from what is known: demand by a factor, suppliers later by some days or closed for a
while, items recalled, orders placed beside the known ones, or other stock on hand. Factors multiply where several
apply to one item.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from numbers import Real
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.errors import InvalidSettings, unknown_name, unknown_option
from backorder_forecast.settings import named
from backorder_forecast.supply_events import Closures, merged_closures

BY = ("all", "sku", "category", "supplier", "product_type", "location")


_EXAMPLES = {
    "demand_factor": '{"category": {"toys": 1.3}} or {"all": 1.1}',
    "supplier_delay_days": '{"ACME": 14}',
    "supplier_closed": '{"ACME": ("2024-08-01", "2024-08-20")}',
    "extra_order": '{"A-1": 50}, or {"A-1": (50, 7)} where it arrives in 7 days',
    "on_hand": '{"A-1": 0}',
    "order_arrives": '{"PO 4711": 3}, or {"PO 4711": "2024-07-05"}',
}
_NAMED_BY = {
    "supplier": "products, supplier_items or purchase_orders (column supplier) would name them",
    "category": "products (column category) would name them",
    "product_type": "products (column product_type) would name them",
    "location": "sales or inventory (column location) would name them",
    "open order": "purchase_orders without a received_date, with po_id, sku and quantity_ordered, would name them",
}
EXTRA_ORDER = "what-if order"
"""po_id of the orders that a scenario adds."""


@partial(named, kind="change of a scenario")
@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Changes to try.

    Attributes
    ----------
    demand_factor
        {"category": {"toys": 1.3}, "sku": {"A-1": 0.5}, "all": 1.1}: demand times the factor.
    supplier_delay_days
        {"ACME": 14}: open and new orders of a supplier arrive that many days later; negative is earlier.
    supplier_closed
        {"ACME": ("2024-08-01", "2024-08-20")}: first and last day on which a supplier stands still; its open and new
        orders that would arrive from then on come later by those days.
    recall
        ("A-1",): all stock of these items is on hold, for as long as the plan looks.
    extra_order
        {"A-1": 50}: so many units more are ordered now from the item's supplier and arrive by its lead-time law;
        {"A-1": (50, 7)}: they arrive in 7 days. At each location of the sku.
    on_hand
        {"A-1": 0}: units on hand instead of the recorded ones (over all locations of a sku, the same number each).
    order_arrives
        {"PO 4711": 3} or {"PO 4711": "2024-07-05"}: all open lines of a purchase order arrive in so many days, or on
        that day. Written as po_id is, or as sentences name it ("PO 4711" for 4711).

    Names are text, as tables are read; a whole number is taken as its text, so {1047: 3} means {"1047": 3}.

    Examples
    --------
    >>> Scenario(demand_factor={"category": {"toys": 1.3}}, supplier_delay_days={"ACME": 14}).describe()
    'demand of category toys x 1.3; supplier ACME 14 days later'
    """

    demand_factor: Mapping[str, Mapping[str, float] | float] = field(default_factory=dict)
    supplier_delay_days: Mapping[str, int] = field(default_factory=dict)
    supplier_closed: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    recall: Sequence[str] = ()
    extra_order: Mapping[str, float | tuple[float, int]] = field(default_factory=dict)
    on_hand: Mapping[str, float] = field(default_factory=dict)
    order_arrives: Mapping[str, int | str | pd.Timestamp] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _EXAMPLES:
            given = getattr(self, name)
            if not isinstance(given, Mapping):
                raise InvalidSettings(f"{name} must name what it changes, as in {_EXAMPLES[name]}; got {given!r}")
            if name == "demand_factor":
                given = {by: _by_text(by, f) if isinstance(f, Mapping) else f for by, f in given.items()}
            object.__setattr__(self, name, MappingProxyType(_by_text(name, given)))
        for by, factors in self.factors().items():
            if by not in BY:
                raise unknown_option("demand_factor key", by, BY)
            bad = {k: f for k, f in factors.items() if not (_is_number(f) and f >= 0)}
            if bad:
                given = next(iter(bad.values())) if by == "all" else bad
                raise InvalidSettings(f"demand factors are 0 or more, got {given!r} for {by}")
        if any(not (_is_number(v) and v >= 0) for v in self.on_hand.values()):
            raise InvalidSettings(f"on_hand is 0 or more, got {dict(self.on_hand)}")
        if any(not (_is_number(d) and d == int(d)) for d in self.supplier_delay_days.values()):
            raise InvalidSettings(f"supplier_delay_days are whole days, got {dict(self.supplier_delay_days)}")
        listed = not isinstance(self.recall, str) and isinstance(self.recall, Iterable)
        recall = tuple(_text(sku) for sku in self.recall) if listed else ()
        if not listed or None in recall:
            raise InvalidSettings(f'recall lists skus, as in ("A-1",); got {self.recall!r}')
        object.__setattr__(self, "recall", recall)
        for supplier, days in self.supplier_closed.items():
            if not _is_window(days):
                raise InvalidSettings(
                    "supplier_closed has a first and a last day, as in "
                    f"{_EXAMPLES['supplier_closed']}; got {supplier!r}: {days!r}"
                )
        for name, when in self.order_arrives.items():
            if not (_is_number(when) and int(when) == when >= 1 if isinstance(when, Real) else _is_day(when)):
                raise InvalidSettings(
                    "order_arrives is a number of whole days from now, 1 or more, or a date, as in "
                    f"{_EXAMPLES['order_arrives']}; got {name!r}: {when!r}"
                )
        for sku, order in self.extra_order.items():
            units, *day = order if isinstance(order, tuple) else (order,)
            timed = len(day) == 0 or (len(day) == 1 and _is_number(day[0]) and day[0] == int(day[0]) >= 1)
            if not (_is_number(units) and units > 0 and timed):
                raise InvalidSettings(
                    "extra_order is a number of units above 0, or units and whole days from now, as in "
                    f"{_EXAMPLES['extra_order']}; got {sku!r}: {order!r}"
                )

    def factors(self) -> dict[str, Mapping[str, float]]:
        """Demand factors by what they name; the factor of all demand stands under the empty name."""
        named: dict[str, Mapping[str, float]] = {}
        for by, given in self.demand_factor.items():
            if isinstance(given, Mapping):
                named[by] = given
            elif by == "all":
                named[by] = {"": given}
            else:
                raise InvalidSettings(
                    f"demand_factor {by!r} must name what it changes, as in {_EXAMPLES['demand_factor']}"
                )
        return named

    def then(self, later: Scenario) -> Scenario:
        """The changes of both; of what both name the later one counts.

        Examples
        --------
        >>> Scenario(on_hand={"A": 5, "B": 1}).then(Scenario(on_hand={"A": 0}, recall=("C",))).describe()
        'C recalled; 0 of A on hand; 1 of B on hand'
        """
        mine, theirs = self.factors(), later.factors()
        factors = {by: {**mine.get(by, {}), **theirs.get(by, {})} for by in (*mine, *theirs)}
        rest = {name: {**getattr(self, name), **getattr(later, name)} for name in _EXAMPLES if name != "demand_factor"}
        recall = tuple(dict.fromkeys([*self.recall, *later.recall]))
        return Scenario(demand_factor=factors, recall=recall, **rest)

    def describe(self) -> str:
        """The changes in words."""
        parts = [
            f"demand of {by} {name} x {factor:g}" if by != "all" else f"all demand x {factor:g}"
            for by, factors in self.factors().items()
            for name, factor in factors.items()
        ]
        parts += [
            f"supplier {s} {abs(d)} days {'later' if d >= 0 else 'earlier'}"
            for s, d in self.supplier_delay_days.items()
        ]
        parts += [f"supplier {s} closed from {a} to {b}" for s, (a, b) in self.supplier_closed.items()]
        parts += [f"{sku} recalled" for sku in self.recall]
        for sku, order in self.extra_order.items():
            units, *day = order if isinstance(order, tuple) else (order,)
            parts.append(f"{units:g} more of {sku} ordered" + (f", arriving in {day[0]} days" if day else ""))
        parts += [f"{q:g} of {s} on hand" for s, q in self.on_hand.items()]
        for name, when in self.order_arrives.items():
            on = f"in {when:g} days" if isinstance(when, Real) else f"on {pd.Timestamp(when):%Y-%m-%d}"
            parts.append(f"order {name} arrives {on}")
        return "; ".join(parts) or "no change"

    def notes(self) -> tuple[str, ...]:
        """What the plan of the scenario says of it: the changes, and which frames stay those of the past.

        Examples
        --------
        >>> Scenario(supplier_delay_days={"ACME": 14, "Bolt": -3}).notes()[1].split("; ")[1]
        'the scenario adds 14 days to ACME and takes 3 days off Bolt'
        """
        told = (f"what-if: {self.describe()}",)
        moved = {s: d for s, d in self.supplier_delay_days.items() if d != 0}
        changes = [f"adds {_days(d)} to {s}" if d > 0 else f"takes {_days(-d)} off {s}" for s, d in moved.items()]
        changes += [f"closes {s} from {a} to {b}" for s, (a, b) in self.supplier_closed.items()]
        if not changes:
            return told
        *first, last = changes
        words = f"{', '.join(first)} and {last}" if first else last
        return (*told, f"lead_times and suppliers show what was learned from the records; the scenario {words}")

    def demand_factors(self, facts: pd.DataFrame) -> NDArray[np.float64]:
        """Factor of each item, shape (n_items,); names that match no item raise."""
        factor = np.ones(len(facts))
        for by, factors in self.factors().items():
            for name, value in factors.items():
                hit = np.ones(len(facts), dtype=bool) if by == "all" else (facts[by].astype("str") == name).to_numpy()
                self._must_hit(hit, by, name, facts)
                factor[hit] *= value
        return factor

    def delays(self, suppliers: pd.Series) -> NDArray[np.int64]:
        """Days of delay for each supplier named in a column."""
        days = suppliers.astype("str").map(dict(self.supplier_delay_days)).fillna(0)
        return np.asarray(days.to_numpy(), dtype=np.int64)

    def check_suppliers(self, known: Iterable[str]) -> None:
        """Raise where a delay names a supplier that nobody orders from."""
        names = sorted({str(name) for name in known} - {""})
        for supplier in (*self.supplier_delay_days, *self.supplier_closed):
            if supplier not in names:
                raise _unknown("supplier", supplier, names)

    def closures(self, known: Closures, as_of: pd.Timestamp) -> Closures:
        """The known closures and those of the scenario."""
        if not self.supplier_closed:
            return known
        days = [[(pd.Timestamp(day) - as_of).days for day in window] for window in self.supplier_closed.values()]
        first, last = zip(*days, strict=True)
        # What is tried from today on cannot have kept back what was due before.
        more = pd.DataFrame({"supplier": list(self.supplier_closed), "first": np.maximum(first, 1), "last": last})
        return merged_closures(pd.concat([known.frame, more.assign(known_end=True)], ignore_index=True))

    def with_orders(self, orders: pd.DataFrame, items: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
        """Purchase orders with the ones that the scenario adds; `items` has sku, location, supplier."""
        rows = []
        for sku, order in self.extra_order.items():
            hit = (items["sku"].astype("str") == sku).to_numpy()
            self._must_hit(hit, "sku", sku, items)
            units = order[0] if isinstance(order, tuple) else order
            rows.append(items.loc[hit, ["sku", "location", "supplier"]].assign(quantity_ordered=float(units)))
        if not rows:
            return orders
        more = pd.concat(rows, ignore_index=True).assign(po_id=EXTRA_ORDER, order_date=as_of)
        more = more.reindex(columns=orders.columns)
        text = [c for c in ("po_id", "sku", "location", "supplier") if c in orders]
        both = pd.concat([orders.astype(dict.fromkeys(text, "str")), more.astype(dict.fromkeys(text, "str"))])
        dates = {c: orders[c].dtype for c in orders if orders[c].dtype.kind == "M"}
        return both.astype(dates).reset_index(drop=True)

    def fixed_days(
        self, lines: pd.DataFrame, as_of: pd.Timestamp, placed: pd.DataFrame | None = None
    ) -> NDArray[np.int64]:
        """Day on which each open line arrives because the scenario says so, 0 for the others, shape (n_lines,).

        `placed` are all purchase orders, po_id and received_date: one that came already is said to have.
        """
        days = {sku: int(order[1]) for sku, order in self.extra_order.items() if isinstance(order, tuple)}
        added = (lines["po_id"] == EXTRA_ORDER).to_numpy()
        found = lines["sku"].astype("str").map(days).fillna(0).to_numpy(dtype=np.int64)
        fixed = np.where(added, found, 0)
        for name, when in self.order_arrives.items():
            fixed[self._lines_of(name, lines, placed)] = self._day(name, when, as_of)
        return fixed

    @staticmethod
    def _lines_of(name: str, lines: pd.DataFrame, placed: pd.DataFrame | None) -> NDArray[np.bool_]:
        known = lines["po_id"].astype("str")
        hit = _is_order(known, name)
        if hit.any():
            return hit
        if placed is not None and {"po_id", "received_date"} <= set(placed):
            came = placed.loc[_is_order(placed["po_id"].astype("str"), name), "received_date"].dropna()
            if len(came):
                raise InvalidSettings(f"order {name!r} is already received, on {came.max():%Y-%m-%d}: name an open one")
        raise _unknown("open order", name, sorted(set(known) - {"", EXTRA_ORDER}))

    @staticmethod
    def _day(name: str, when: float | str | pd.Timestamp, as_of: pd.Timestamp) -> int:
        if isinstance(when, Real):
            return int(when)
        days = (pd.Timestamp(when) - as_of).days
        if days < 1:
            raise InvalidSettings(
                f"order_arrives is a day after the last known one, {as_of:%Y-%m-%d}; got {name!r}: {when!r}"
            )
        return days

    def held(self, facts: pd.DataFrame) -> NDArray[np.bool_]:
        """Items that the scenario recalls, shape (n_items,)."""
        hit = facts["sku"].astype("str").isin(self.recall).to_numpy(dtype=bool)
        for sku in self.recall:
            self._must_hit((facts["sku"].astype("str") == sku).to_numpy(), "sku", sku, facts)
        return hit

    def stock(self, facts: pd.DataFrame) -> NDArray[np.float64]:
        """On hand of each item, changed where the scenario says so."""
        on_hand = facts["on_hand"].to_numpy(dtype=np.float64).copy()
        for sku, units in self.on_hand.items():
            hit = (facts["sku"].astype("str") == sku).to_numpy()
            self._must_hit(hit, "sku", sku, facts)
            on_hand[hit] = units
        return on_hand

    @staticmethod
    def _must_hit(hit: NDArray[np.bool_], by: str, name: str, facts: pd.DataFrame) -> None:
        if not hit.any():
            raise _unknown(by, name, sorted(set(facts[by].astype("str").fillna("")) - {""}))


def _by_text(field_name: str, given: Mapping[Any, Any]) -> dict[str, Any]:
    """The mapping with names as the tables have them, which are text: the sku 1047 is "1047"."""
    named = {}
    for key, value in given.items():
        name = _text(key)
        if name is None:
            raise InvalidSettings(f"names in {field_name} are text or whole numbers, got {key!r}")
        if name in named:
            raise InvalidSettings(f"{field_name} names {name!r} twice, as text and as a number: leave one out")
        named[name] = value
    return named


def _text(name: object) -> str | None:
    """A name as tables are read: whole numbers without decimals; None where it is no name."""
    if isinstance(name, str):
        return name
    whole = isinstance(name, Real) and _is_number(name) and float(name).is_integer()
    return f"{float(name):.0f}" if isinstance(name, Real) and whole else None


def _is_order(po_id: pd.Series, name: str) -> NDArray[np.bool_]:
    """Lines of the order of that name, as po_id is written or else as sentences name it, shape (n_lines,)."""
    hit = (po_id == name).to_numpy(dtype=bool)
    if not hit.any():
        bare = re.sub(r"^PO[ -]?", "", name, flags=re.IGNORECASE).strip()
        hit = (po_id == bare).to_numpy(dtype=bool) & (bare != "")
    return hit


def _days(days: float) -> str:
    return f"{days:g} day" + ("" if days == 1 else "s")


def _unknown(kind: str, name: str, known: list[str]) -> InvalidSettings:
    """Error for a name that nothing has: those that come near, or that none is known at all."""
    if not known:
        table = _NAMED_BY.get(kind, "")
        return InvalidSettings(f"unknown {kind} {name!r}: the tables name no {kind}" + (f"; {table}" if table else ""))
    return unknown_name(kind, name, known)


def _is_day(when: object) -> bool:
    try:
        return isinstance(when, str | date) and not pd.isna(pd.Timestamp(when))
    except (TypeError, ValueError):
        return False


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and bool(np.isfinite(float(value)))


def _is_window(days: object) -> bool:
    if not isinstance(days, tuple | list) or len(days) != 2:
        return False
    try:
        first, last = (pd.Timestamp(day) for day in days)
    except (TypeError, ValueError):
        return False
    return bool(first <= last)
