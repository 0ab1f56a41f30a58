"""What is to be said of a plan in sentences: what could not be computed and why, what was assumed, what has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from backorder_forecast.clock import DAYS_PER_PERIOD
from backorder_forecast.forecasters import model_name
from backorder_forecast.leadtimes import LeadTimes
from backorder_forecast.panel import DemandPanel
from backorder_forecast.phantom import empty_share
from backorder_forecast.receipts import OpenLines
from backorder_forecast.settings import Settings
from backorder_forecast.supply_events import item_holds, unmatched_notes

if TYPE_CHECKING:
    from backorder_forecast.baselines import Forecaster
    from backorder_forecast.fitting import History, Known
    from backorder_forecast.simulation import World
    from backorder_forecast.tables import Tables

_MOST_SLOWER = 5
"""Suppliers that a note names."""


def plan_notes(world: World, history: History, known: Known) -> tuple[str, ...]:
    """All sentences, those on the data first."""
    tables, facts, model = known.tables, world.facts, world.model
    missing = _missing_notes(tables, facts, world.orders, world.lead, world.settings)
    effects = model.effects.notes if model.effects is not None else ()
    demand = _season_note(history.panel) if known.demand_model is None else _given_note(tables, known.demand_model)
    suppliers = {*known.orders["supplier"].astype("str"), *facts["supplier"].astype("str")}
    astray = unmatched_notes(tables.events, facts, suppliers)
    slower = slower_notes(world.lead.suppliers())
    notes = [*tables.notes, *demand, *missing, *history.stock.notes, *effects, *astray, *slower]
    if bool(facts["stock_known"].any()):
        notes.append(known.flag_note)
    notes += [note for note in (empty_share(tables.inventory).note,) if note]
    unseen = item_holds(tables.events, history.items, tables.as_of).n_later
    if unseen:
        notes.append(
            f"of several holds of an item that are to come the first is looked at; {unseen} later ones are not"
        )
    notes += [note for note in (world.calibration.note(world.settings.promise_level),) if note]
    return tuple(notes)


def slower_notes(suppliers: pd.DataFrame) -> tuple[str, ...]:
    """A sentence on each supplier that has become slower by more than chance, the largest change first.

    Examples
    --------
    >>> slow = pd.DataFrame({"supplier": ["ACME"], "slower": [True], "trend": [7.0], "mean_days_before": [12.0],
    ...     "mean_days_recent": [19.0], "n_recent": [9], "n_before": [14]})
    >>> slower_notes(slow)
    ('ACME is slower: 12 -> 19 days in the last half-year, 9 receipts (14 in the year before)',)
    """
    worst = suppliers[suppliers["slower"]].sort_values(["trend", "supplier"], ascending=[False, True])
    rows = worst.to_dict("records")
    said = [
        f"{row['supplier']} is slower: {row['mean_days_before']:.0f} -> {row['mean_days_recent']:.0f} days in the last"
        f" half-year, {row['n_recent']} receipts ({row['n_before']} in the year before)"
        for row in rows[:_MOST_SLOWER]
    ]
    if len(rows) > _MOST_SLOWER:
        said.append(f"{len(rows) - _MOST_SLOWER} more suppliers are slower; see suppliers, column slower")
    return tuple(said)


def money_words(facts: pd.DataFrame, *, margin_share: float, listed: bool) -> str:
    """Which prices and costs are known, and which figures are empty for want of them; `listed`: products are given.

    Examples
    --------
    >>> facts = pd.DataFrame({"price": [2.0, None], "unit_cost": [None, None]})
    >>> words = money_words(facts, margin_share=0.3, listed=False)
    >>> words.split("; ")[0]
    'prices are the latest of sales (1 of 2 items)'
    """
    n, priced, costed = len(facts), int(facts["price"].notna().sum()), int(facts["unit_cost"].notna().sum())
    prices = f"prices are {'those of products, else ' if listed else ''}the latest of sales ({priced} of {n} items)"
    if not priced:
        prices = (
            "prices are unknown, so revenue at risk and the cost of a miss are empty, and what a backorder earns is"
            " known only where backorders have a unit_price"
        )
    costs = f"costs are known for {costed} of {n} items"
    if not costed:
        margin = f"margins are taken as {margin_share:.0%} of the price, and " if priced else ""
        costs = f"costs are unknown, so {margin}the cost of orders and the value of excess are empty"
    return f"{prices}; {costs}"


def named_items(items: pd.DataFrame, limit: int = 3) -> str:
    """The first items in words, each by its sku and, where it has one, its location.

    Examples
    --------
    >>> named_items(pd.DataFrame({"sku": ["1207", "1207", "1208"], "location": ["North", "South", ""]}))
    '1207 at North, 1207 at South, 1208'
    """
    pairs = items[["sku", "location"]].astype("str").head(limit).itertuples(index=False)
    return ", ".join(f"{sku} at {location}" if location else str(sku) for sku, location in pairs)


def _season_note(panel: DemandPanel) -> tuple[str, ...]:
    years = panel.n_periods * DAYS_PER_PERIOD[panel.freq] / 365.25
    if years >= 1.98:
        return ()
    return (f"{years:.1f} years of sales: a yearly season needs two, none is assumed",)


def _given_note(tables: Tables, model: Forecaster | str) -> tuple[str, ...]:
    events = "; it does not know the table events" if tables.has("events") else ""
    return (f"demand is forecast by {model_name(model)} instead of the library's own model{events}",)


def _missing_notes(
    tables: Tables, facts: pd.DataFrame, orders: OpenLines, lead: LeadTimes, settings: Settings
) -> tuple[str, ...]:
    notes = []
    if not tables.has("inventory"):
        notes.append(
            "no stock: stockouts, order quantities, fill dates, wait cutoffs, cash and excess need the table inventory"
            " (sku, date, on_hand)"
        )
    elif not bool(facts["stock_known"].all()):
        unknown = facts[~facts["stock_known"]]
        notes.append(
            f"{len(unknown)} items have no stock record and are left out of stockouts and orders, such as "
            + named_items(unknown)
        )
    if not tables.has("purchase_orders"):
        notes.append(
            "no purchase orders: lead times are the stated ones or the default, nothing is on order; the table"
            " purchase_orders (supplier, order_date, received_date) would give both"
        )
    elif not len(orders.frame):
        notes.append("no open purchase orders with item and quantity are known: nothing is on order")
    if tables.has("purchase_orders") and not lead.laws["n_received"].iloc[0]:
        notes.append(
            "no purchase order has both an order date and a receipt: lead times are the stated ones, else"
            f" {settings.default_lead_time_days} days"
        )
    if not tables.has("backorders"):
        notes.append(
            "no backorders: fill dates, promises, notices, backlog and cash need the table backorders (order_id, sku,"
            " order_date, quantity)"
        )
    elif "prepaid_amount" not in tables.given("backorders"):
        notes.append("backorders have no prepaid_amount: nothing counts as paid in advance, deposits and refunds are 0")
    idle = facts[(facts["daily_capacity"] == 0).to_numpy()]
    if len(idle):
        notes.append(
            f"{len(idle)} items have a daily_capacity of 0, so nothing of them is made and no order arrives (leave it"
            f" empty where there is no limit), such as {named_items(idle)}"
        )
    words = money_words(facts, margin_share=settings.default_margin_share, listed=tables.has("products"))
    if not tables.has("products"):
        terms = "product types, minimum quantities and packs are unknown"
        if tables.has("supplier_items"):
            terms = "product types are unknown, minimum quantities and packs what supplier_items says"
        notes.append(f"no product master: {terms}; {words}; the table products (sku, ...) would give them")
    elif not bool(facts["price"].notna().any() and facts["unit_cost"].notna().any()):
        notes.append(f"{words}; the columns price and unit_cost of products would give them")
    return tuple(notes)
