"""One bucket of items simulated once, and every question asked of the same paths.

Demand, receipts and lead times of new orders are drawn for a bucket, all stages read them, and only their frames and
per-day sums are kept. A stockout probability, a fill date and an order quantity can therefore never contradict one
another, and no more than one bucket of paths per worker is ever in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast import streams
from backorder_forecast.backorders import fill_date_frame, fill_days, fill_days_behind_demand, new_line_days
from backorder_forecast.bucket_orders import bucket_orders
from backorder_forecast.cash import CashFlow, line_cash_flow, line_money
from backorder_forecast.cutoffs import judge_waits
from backorder_forecast.drawing import Draws, Stopwatch, World, draw_bucket, new_order_days, protected_days
from backorder_forecast.explaining import explain
from backorder_forecast.paths import path_quantiles
from backorder_forecast.phantom import UNLIKELY
from backorder_forecast.production import later_behind_demand, later_when_made
from backorder_forecast.projection import NEVER, StockPaths, project_stock, stockout_frame
from backorder_forecast.substitutes import spare_units
from backorder_forecast.waits import draw_leave_days

__all__ = ["BucketResult", "Draws", "World", "draw_bucket", "fill_paths", "protected_days", "simulate"]

FORECAST_LEVELS = (0.1, 0.5, 0.9)


@dataclass(frozen=True, eq=False)
class BucketResult:
    """Frames of one bucket, its cash flow, seconds per stage, and order quantities to choose from under a limit."""

    frames: Mapping[str, pd.DataFrame]
    cash: CashFlow | None
    seconds: Mapping[str, float]
    order_curves: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None


def simulate(world: World, start: int, stop: int, *, stock_known: bool) -> BucketResult:
    """All path-based frames of the items start to stop.

    Without a stock table only forecasts and wait cutoffs can be told.
    """
    watch = Stopwatch()
    facts = world.facts.iloc[start:stop].reset_index(drop=True)
    draws = draw_bucket(world, start, stop, watch)
    frames = {"forecasts": _forecast_frame(world, facts, draws, start, stop)}
    watch.lap("forecasts")
    cash = curves = None
    if stock_known:
        stock = project_stock(
            facts["start"].to_numpy(), draws.demand, draws.receipts, unmet="partial",
            wait_share=world.joins[start:stop], stay=world.stay(start, stop), n_periods=draws.n_periods,
            horizon_periods=world.horizon_periods,
        )  # fmt: skip
        frames["stockouts"] = stockout_frame(facts, stock, world.clock, draws.lead_days, world.settings).assign(
            p_no_sale=facts["quiet_chance"], count_suggested=(facts["quiet_chance"] <= UNLIKELY) & (facts["usable"] > 0)
        )
        watch.lap("projection")
        frames["reorders"], curves = bucket_orders(world, facts, draws, start, stop)
        watch.lap("reorders")
        frames["main_causes"], frames["causes"] = explain(world, facts, draws, frames["stockouts"], start)
        watch.lap("causes")
        frames["fill_dates"], cash = fill_dates(world, facts, draws, start, stop)
        watch.lap("fill_dates")
        frames |= _wait_cutoffs(world, facts, draws, stock, start, stop)
        watch.lap("wait_cutoffs")
    return BucketResult(frames, cash, watch.seconds, curves)


def _forecast_frame(world: World, facts: pd.DataFrame, draws: Draws, start: int, stop: int) -> pd.DataFrame:
    horizon = world.horizon_periods
    values = path_quantiles(draws.demand[:, :, :horizon], FORECAST_LEVELS)
    rows = np.repeat(np.arange(stop - start), horizon)
    frame = facts[["sku", "location"]].iloc[rows].reset_index(drop=True)
    frame["date"] = np.tile(world.clock.starts[:horizon].to_numpy(), stop - start)
    factors = world.model.factors(world.clock, slice(start, stop))[:, :horizon]
    frame["mean"] = (world.model.level[start:stop, None] * factors).ravel()
    quantiles = pd.DataFrame(values.reshape(-1, len(FORECAST_LEVELS)), columns=list(FORECAST_LEVELS))
    return pd.concat([frame, quantiles], axis=1)


def fill_dates(
    world: World, facts: pd.DataFrame, draws: Draws, start: int, stop: int
) -> tuple[pd.DataFrame, CashFlow | None]:
    """Frame `fill_dates` of the items start to stop, and their cash flow; empty and None where nobody waits."""
    lines, line_start = world.lines.bucket(start, stop)
    if not len(lines):
        return pd.DataFrame(), None
    first, complete, next_order = fill_paths(world, facts, draws, start, stop)
    orders = world.orders.frame.iloc[int(world.orders.item_start[start]) : int(world.orders.item_start[stop])]
    frame = fill_date_frame(
        lines, first, complete, line_start=line_start, orders=orders, arrival_days=draws.arrival_days,
        order_start=draws.order_start, next_order_days=next_order, as_of=world.clock.as_of, settings=world.settings,
        calibration=None if world.calibration.record.empty else world.calibration,
    )  # fmt: skip
    fitted, price = world.patience.frame, world.facts["price"].to_numpy()
    money = line_money(lines, price)
    frame["held_amount"], frame["balance_amount"] = money["held"].to_numpy(), money["balance"].to_numpy()
    cash = line_cash_flow(
        lines, complete, price=price, shape=fitted["shape"].to_numpy(),
        rate=fitted["rate"].to_numpy(), settings=world.settings, payments=world.cutoffs.payments,
    )  # fmt: skip
    return frame, cash


def fill_paths(
    world: World, facts: pd.DataFrame, draws: Draws, start: int, stop: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Days on which each open line gets its first and its last unit (n_lines, n_paths), and the next order arrives."""
    lines, line_start = world.lines.bucket(start, stop)
    base = int(world.lines.item_start[start])
    first_need, complete_need = (need[base : base + len(lines)] for need in world.needs)
    supply = (draws.arrival_days, draws.order_quantity, draws.order_start)
    next_order = next_order_days(world, draws, start, stop)
    # Of unknown stock nothing can be promised; what is on order can.
    usable = np.nan_to_num(facts["usable"].to_numpy())
    begin, capacity = _next_production(world, draws, start, stop)
    if world.settings.new_demand_overtakes:
        # Beyond an item's own periods nothing comes and nothing goes, however long others of its bucket are drawn.
        own = (np.arange(draws.demand.shape[2]) < draws.n_periods[:, None])[:, None, :]
        ahead = (draws.demand * own, draws.receipts * own, world.clock.end_days[: draws.demand.shape[2]])
        first, complete = fill_days_behind_demand(first_need, complete_need, line_start, usable, *ahead, next_order)
        made = (line_start, usable, *ahead, next_order, begin, capacity, draws.n_periods)
        first = later_behind_demand(first, first_need, *made)
        complete = later_behind_demand(complete, complete_need, *made)
    else:
        leave = _leave_days(world, lines)
        first, complete = fill_days(
            first_need, complete_need, line_start, usable, *supply, next_order, leave_days=leave
        )
        rest = (line_start, usable, *supply, next_order, begin, capacity)
        first, complete = later_when_made(first, first_need, *rest), later_when_made(complete, complete_need, *rest)
    return first, complete, next_order


def _next_production(
    world: World, draws: Draws, start: int, stop: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Day from which the next order is made, shape (n_items, n_paths), and units a day, shape (n_items,)."""
    capacity = world.facts["daily_capacity"].to_numpy(dtype=np.float64)[start:stop]
    if np.isnan(capacity).all():
        return np.zeros(draws.lead_days.shape), capacity
    placed = world.next_orders.draw(start, stop, draws.lead_days.shape[1])
    return np.maximum(placed, world.made[1][start:stop, None]).astype(np.float64), capacity


def _leave_days(world: World, lines: pd.DataFrame) -> NDArray[np.int32] | None:
    """Day on which each waiting customer leaves; None where all stay."""
    if not world.settings.customers_leave or world.settings.allocation == "fair_share":
        return None
    item = lines["item"].to_numpy(np.int64)
    paid = line_money(lines, world.facts["price"].to_numpy())["paid_share"].to_numpy(np.float64)
    law = world.cutoffs.law.of_items(item).times(world.cutoffs.payments.factor(item, paid))
    waited = lines["waited_days"].to_numpy(np.float64)
    return draw_leave_days(law, item, waited, world.keys[streams.PATIENCE], n_paths=world.settings.n_paths)


def next_order_days(world: World, draws: Draws, start: int, stop: int) -> NDArray[np.int32]:
    """Day by which supply not yet ordered arrives; NEVER for items that are no longer ordered.

    The next order is the one of `reorders`, on the same paths, placed on the supplier's next order day.
    """
    placed = world.next_orders.draw(start, stop, draws.lead_days.shape[1])
    active = world.facts["active"].to_numpy(dtype=bool)[start:stop, None]
    days = new_order_days(world, draws.own_days, placed, start, stop)
    return np.where(active, days, NEVER).astype(np.int32)


def _wait_cutoffs(
    world: World, facts: pd.DataFrame, draws: Draws, stock: StockPaths, start: int, stop: int
) -> dict[str, pd.DataFrame]:
    """Judgements on waits with substitutes and without; put into words when all buckets have told what they spare."""
    queue = facts["backordered"].to_numpy()
    # A customer asks for a wait when the shelf is empty: stock that is there now is gone by then.
    usable = np.nan_to_num(facts["usable"].to_numpy())
    line_units = world.cutoffs.frame["line_units"].to_numpy()[start:stop]
    supply = (draws.arrival_days, draws.order_quantity, draws.order_start)
    following, shelf = next_order_days(world, draws, start, stop), np.minimum(usable, queue)
    waits = new_line_days(queue, line_units, shelf, *supply, following)
    made = (np.arange(len(queue) + 1), shelf, *supply, following, *_next_production(world, draws, start, stop))
    waits = later_when_made(waits, queue + line_units, *made)
    short = np.where(facts["stock_known"].to_numpy(dtype=bool), stock.short_units.mean(axis=1), np.nan)
    asked = judge_waits(
        world.cutoffs, start, stop, waits, usable=usable, queue_quantity=queue,
        arrival_days=draws.arrival_days, order_quantity=draws.order_quantity, order_start=draws.order_start,
        expected_units=short, settings=world.settings,
    )  # fmt: skip
    without, other = asked, world.cutoffs.without
    own = np.flatnonzero((asked["substitute_sku"] != "").to_numpy())
    if other is not None and len(own):
        # Only an item that has a substitute would be judged otherwise without it.
        lines, pointers = _lines_of(draws.order_start, own)
        alone = judge_waits(
            other.of_items(start + own), 0, len(own), waits[own], usable=usable[own], queue_quantity=queue[own],
            arrival_days=draws.arrival_days[lines], order_quantity=draws.order_quantity[lines], order_start=pointers,
            expected_units=short[own], settings=world.settings,
        )  # fmt: skip
        without = pd.concat([asked.drop(index=own.tolist()), alone.set_axis(own)]).sort_index()
    return {
        "wait_cutoffs": asked.assign(free_units=_free_units(world, facts, draws, start, stop)),
        "no_substitute": without,
    }


def _lines_of(order_start: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Open order lines of some items, one item behind the other, and pointers to those of each."""
    count = np.diff(order_start)[rows]
    ends = count.cumsum()
    return np.repeat(order_start[rows] - ends + count, count) + np.arange(count.sum()), np.append(0, ends)


def _free_units(world: World, facts: pd.DataFrame, draws: Draws, start: int, stop: int) -> NDArray[np.float64]:
    """What those items can spare that are the substitute of another, NaN for the rest, shape (n_items,)."""
    sources = world.cutoffs.frame["substitute_row"].to_numpy()
    own = np.unique(sources[(sources >= start) & (sources < stop)]) - start
    free = np.full(stop - start, np.nan)
    if len(own):
        free[own] = spare_units(
            facts["start"].to_numpy()[own], draws.demand[own], draws.receipts[own], draws.lead_days[own],
            n_periods=draws.n_periods[own], mean_daily=facts["mean_daily"].to_numpy(dtype=np.float64)[own],
            clock=world.clock, service_level=world.settings.service_level,
        )  # fmt: skip
    return free
