"""Fill dates of the open lines under each allocation rule, on the paths of one plan.

Only the queue changes from rule to rule: demand, receipts and the patience of those who wait are the draws of the plan,
so dates differ by the rule alone. Days as in `backorders.py`. Promises are read as in the plan, corrected by the record
of past ones where there is one; that record was replayed under the plan's own rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backorder_forecast.errors import InvalidSettings, unknown_name, unknown_option
from backorder_forecast.queues import purchase_weights, queue_needs
from backorder_forecast.settings import ALLOCATIONS
from backorder_forecast.simulation import draw_bucket, fill_dates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backorder_forecast.fitting import Fitted
    from backorder_forecast.simulation import World

COLUMNS = (
    "order_id", "sku", "location", "customer_id", "quantity", "order_date", "rule", "fill_date_0.1", "fill_date_0.5",
    "fill_date_0.8", "fill_date_0.9", "fill_date_0.95", "promise_date", "p_at_promise", "p_by_promised", "p_unfilled",
)  # fmt: skip
_KEYS = ["sku", "location", "order_date", "order_id"]


def dates_by_rule(
    fitted: Fitted, sku: str | None = None, location: str | None = None, *, rules: Sequence[str] = ALLOCATIONS
) -> pd.DataFrame:
    """The open lines of one item, or of all, with their fill dates under each rule; see `Plan.compare_allocations`.

    Raises
    ------
    InvalidSettings
        For a sku, location or rule that is not known.
    """
    if isinstance(rules, str) or not isinstance(rules, Sequence) or len(set(rules)) != len(rules):
        raise InvalidSettings(f"rules is a list of {', '.join(ALLOCATIONS)}, each once; got {rules!r}")
    for rule in rules:
        if rule not in ALLOCATIONS:
            raise unknown_option("rule", rule, ALLOCATIONS)
    items = _items(fitted, sku, location)
    parts = [_under(fitted, rule, items) for rule in rules]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if not len(frame):
        return pd.DataFrame(columns=list(COLUMNS))
    place = {rule: k for k, rule in enumerate(rules)}
    frame = frame.assign(_place=frame["rule"].map(place)).sort_values([*_KEYS, "_place"], kind="stable")
    return frame[list(COLUMNS)].reset_index(drop=True)


def _items(fitted: Fitted, sku: str | None, location: str | None) -> NDArray[np.int64]:
    """Rows of the items asked for that have open lines."""
    facts, lines = fitted.world.facts, fitted.world.lines
    keep = np.diff(lines.item_start) > 0
    for column, wanted in (("sku", sku), ("location", location)):
        if wanted is not None:
            known = facts[column].astype("str")
            if not (known == str(wanted)).any():
                raise unknown_name(column, str(wanted), sorted(set(known)))
            keep &= (known == str(wanted)).to_numpy()
    if sku is not None and location is not None:
        here = facts.loc[facts["sku"].astype("str") == str(sku), "location"].astype("str")
        if str(location) not in set(here):
            raise unknown_name(f"location of {sku}", str(location), sorted(set(here)))
    # As in a plan, without any stock known there is nothing to fill from.
    return np.flatnonzero(keep & bool(facts["stock_known"].any()))


def _under(fitted: Fitted, rule: str, items: NDArray[np.int64]) -> pd.DataFrame:
    world = _world(fitted, rule)
    parts = []
    for i in items.tolist():
        facts = world.facts.iloc[i : i + 1].reset_index(drop=True)
        parts.append(fill_dates(world, facts, draw_bucket(world, i, i + 1), i, i + 1)[0])
    return pd.concat(parts, ignore_index=True).assign(rule=rule) if parts else pd.DataFrame()


def _world(fitted: Fitted, rule: str) -> World:
    """The fitted world with another queue."""
    world = fitted.world
    if rule == world.settings.allocation:
        return world
    fair = rule == "fair_share"
    weights = purchase_weights(world.lines.frame, fitted.known.tables.sales) if fair else None
    needs = queue_needs(world.lines.frame, rule=rule, weights=weights)
    return replace(world, needs=needs, settings=world.settings.replace(allocation=rule))
