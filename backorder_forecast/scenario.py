"""What-if changes, applied on the same random numbers so that only the change shows.

A scenario says what is different from what is known: demand by a factor, suppliers later by some days, or other stock
on hand. Factors multiply where several apply to one item.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.errors import InvalidSettings, unknown_option

BY = ("all", "sku", "category", "supplier", "product_type", "location")


_EXAMPLES = {
    "demand_factor": '{"category": {"toys": 1.3}} or {"all": 1.1}',
    "supplier_delay_days": '{"ACME": 14}',
    "on_hand": '{"A-1": 0}',
}


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Changes to try.

    Attributes
    ----------
    demand_factor
        {"category": {"toys": 1.3}, "sku": {"A-1": 0.5}, "all": 1.1}: demand times the factor.
    supplier_delay_days
        {"ACME": 14}: open and new orders of a supplier arrive that many days later; negative is earlier.
    on_hand
        {"A-1": 0}: units on hand instead of the recorded ones (over all locations of a sku, the same number each).

    Examples
    --------
    >>> Scenario(demand_factor={"category": {"toys": 1.3}}, supplier_delay_days={"ACME": 14}).describe()
    'demand of category toys x 1.3; supplier ACME 14 days later'
    """

    demand_factor: Mapping[str, Mapping[str, float] | float] = field(default_factory=dict)
    supplier_delay_days: Mapping[str, int] = field(default_factory=dict)
    on_hand: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("demand_factor", "supplier_delay_days", "on_hand"):
            given = getattr(self, name)
            if not isinstance(given, Mapping):
                raise InvalidSettings(f"{name} must name what it changes, as in {_EXAMPLES[name]}; got {given!r}")
            object.__setattr__(self, name, MappingProxyType(dict(given)))
        for by, factors in self.factors().items():
            if by not in BY:
                raise unknown_option("demand_factor key", by, BY)
            bad = {k: f for k, f in factors.items() if not (_is_number(f) and f >= 0)}
            if bad:
                raise InvalidSettings(f"demand factors are 0 or more, got {bad}")
        if any(not (_is_number(v) and v >= 0) for v in self.on_hand.values()):
            raise InvalidSettings(f"on_hand is 0 or more, got {dict(self.on_hand)}")
        if any(not (_is_number(d) and d == int(d)) for d in self.supplier_delay_days.values()):
            raise InvalidSettings(f"supplier_delay_days are whole days, got {dict(self.supplier_delay_days)}")

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
        parts += [f"{q:g} of {s} on hand" for s, q in self.on_hand.items()]
        return "; ".join(parts) or "no change"

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
        for supplier in self.supplier_delay_days:
            if supplier not in names:
                raise unknown_option("supplier", supplier, names[:20])

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
            raise unknown_option(by, name, sorted(facts[by].astype("str").unique())[:20])


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and bool(np.isfinite(float(value)))
