"""A world as a scenario has it: what was learned stays, and what stands differently is worked out anew.

A what-if changes stock, orders, closures, delays and the level of demand; it says nothing about the past. So laws of
demand and lead times, patience, the record of promises, and what is held against the past (surges, quiet runs, stops
of suppliers) are those of the fitted world, and all draws are keyed alike: only the change shows. A forecaster given
by the user is asked again only where delays make the plan look further ahead.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from backorder_forecast.clock import NEVER
from backorder_forecast.cutoffs import fit_cutoffs
from backorder_forecast.demand import DemandModel
from backorder_forecast.disruptions import fit_shocks
from backorder_forecast.facts import with_start_level
from backorder_forecast.fitting import Fitted, add_means, data_quality, plan_clock
from backorder_forecast.given_demand import GivenDemand, fit_given
from backorder_forecast.learned_flags import no_learned_flags
from backorder_forecast.plan_notes import plan_notes
from backorder_forecast.receipts import open_order_lines
from backorder_forecast.scenario import Scenario
from backorder_forecast.supply_events import days_to_last


def changed(fitted: Fitted, scenario: Scenario) -> Fitted:
    """The fitted world with the changes of a scenario.

    Raises
    ------
    InvalidSettings
        Where the scenario names what the tables do not know, with the names that come near.
    """
    world, known = fitted.world, fitted.known
    settings, as_of, items = world.settings, world.clock.as_of, fitted.history.items
    scenario.check_suppliers([*world.facts["supplier"], *known.tables.purchase_orders["supplier"].dropna().unique()])
    placed, orders = known.orders, world.orders
    if scenario.extra_order:
        placed = scenario.with_orders(placed, world.facts[["sku", "location", "supplier"]], as_of)
        orders = open_order_lines(placed, items, as_of=as_of)
    facts = _facts(fitted, scenario)
    code = orders.frame["item"].to_numpy(dtype=np.int64)
    facts["on_order"] = np.bincount(code, weights=orders.frame["quantity"], minlength=len(facts)).astype(np.float64)
    closures = scenario.closures(known.closures, as_of)
    shocks = fit_shocks(
        known.orders, orders, world.lead, facts, closures, settings.seed, evidence=world.shocks.evidence
    )
    delays = scenario.delays(orders.frame["supplier"]), scenario.delays(facts["supplier"])
    protected = days_to_last(known.usual_days, closures, facts) + np.maximum(delays[1], 0)
    clock = plan_clock(as_of, fitted.history.panel.freq, protected, settings)
    model: DemandModel = world.model
    if isinstance(model, GivenDemand) and known.demand_model is not None and clock.n_periods > world.clock.n_periods:
        model = fit_given(fitted.history.panel, known.demand_model, clock, settings, usual=world.clock.n_periods)
    model = model.scaled(scenario.demand_factors(facts))
    add_means(facts, model, clock, settings)
    flags = no_learned_flags(len(facts))
    facts["p_stockout_learned"] = flags.probability
    changed_world = replace(
        world, facts=facts, model=model, orders=orders, delays=delays, shocks=shocks, clock=clock,
        cutoffs=fit_cutoffs(facts, world.lines, world.patience, settings=settings),
        fixed_days=scenario.fixed_days(orders.frame, as_of, known.orders),
    )  # fmt: skip
    known = replace(known, flag_note=flags.note)
    notes = (*scenario.notes(), *plan_notes(changed_world, fitted.history, known))
    quality = data_quality(fitted.history, orders, world.lines, world.lead)
    return Fitted(changed_world, fitted.history, known, notes, quality)


def _facts(fitted: Fitted, scenario: Scenario) -> pd.DataFrame:
    """The facts with the stock that the scenario assumes."""
    facts = fitted.world.facts
    on_hand, held = scenario.stock(facts), scenario.held(facts)
    on_hold = np.where(held, np.nan_to_num(on_hand), facts["on_hold"])
    stock = {"on_hand": on_hand, "stock_known": ~np.isnan(on_hand), "on_hold": on_hold}
    facts = with_start_level(facts.assign(**stock), fitted.world.settings)
    facts["release_day"] = facts["release_day"].mask(held, NEVER)
    # Stock that is assumed is there, however long nothing sold.
    assumed = facts["sku"].astype("str").isin(list(scenario.on_hand)).to_numpy()
    facts["quiet_chance"] = facts["quiet_chance"].mask(assumed, 1.0)
    facts["empty_chance"] = facts["empty_chance"].mask(assumed, 0.0)
    return facts
