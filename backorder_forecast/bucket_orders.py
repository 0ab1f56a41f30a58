"""Orders of one bucket of items, on the paths on which its stock was projected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.expediting import express_frame
from backorder_forecast.reorders import arrival_periods, capped_orders, limit_curves, order_need, reorder_frame

if TYPE_CHECKING:
    from backorder_forecast.simulation import Draws, World


def bucket_orders(
    world: World, facts: pd.DataFrame, draws: Draws, start: int, stop: int
) -> tuple[pd.DataFrame, tuple[NDArray[np.float64], NDArray[np.float64]] | None]:
    """Order quantities and express deliveries, and quantities to choose from where orders share a limit."""
    # A lead time beyond the grid is taken as its end; what is needed until then has to be finite.
    longest, review = world.lead.cdf.shape[1], facts["review_days"].to_numpy(dtype=np.int64)
    settings, joins = world.settings, world.joins[start:stop]
    arrival = arrival_periods(np.minimum(draws.lead_days, longest), world.clock)
    need = order_need(
        facts["start"].to_numpy(), draws.demand, draws.receipts, arrival,
        arrival_periods(np.minimum(draws.next_days, longest + review[:, None]), world.clock),
        joins=joins, stay=world.stay(start, stop), n_periods=draws.n_periods,
        later_demand=_later_demand(world, start, stop),
    )  # fmt: skip
    frame = reorder_frame(facts, need, world.clock, draws.lead_days, settings)
    limited = settings.order_budget > 0 or settings.order_capacity > 0 or bool((facts["supplier_minimum"] > 0).any())
    curves = limit_curves(frame, facts, need, settings) if limited else None
    frame["order_quantity"] = capped_orders(frame["order_quantity"].to_numpy(dtype=np.float64), facts)
    express = express_frame(
        facts, draws.demand, draws.receipts, arrival, joins=joins, clock=world.clock,
        highest_level=settings.service_level, stay=world.stay(start, stop),
    )  # fmt: skip
    return pd.concat([frame, express], axis=1), curves


def _later_demand(world: World, start: int, stop: int) -> NDArray[np.float64]:
    """Expected demand per period after the simulated ones; nothing once an item has ended."""
    factors = world.model.factors(world.clock, slice(start, stop))
    season = np.where(factors[:, -1] > 0, 1.0, 0.0)
    return np.asarray(world.model.level[start:stop] * season)
