"""One bucket of items simulated once, and every question asked of the same paths.

Demand, receipts and lead times of new orders are drawn for a bucket, all stages read them, and only their frames and
per-day sums are kept. A stockout probability, a fill date and an order quantity can therefore never contradict one
another, and no more than one bucket of paths per worker is ever in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast import streams
from backorder_forecast.backorders import fill_date_frame, fill_days, fill_days_behind_demand, new_line_days
from backorder_forecast.bucket_orders import bucket_orders
from backorder_forecast.cash import CashFlow, line_cash_flow, line_money
from backorder_forecast.clock import DAYS_PER_PERIOD, Clock
from backorder_forecast.cutoffs import Cutoffs, wait_cutoff_frame
from backorder_forecast.demand import DemandDraw, DemandModel
from backorder_forecast.disruptions import Shocks, draw_shocked_days, shocked_lead_days
from backorder_forecast.explaining import explain
from backorder_forecast.leadtimes import LeadTimes
from backorder_forecast.lines import BackorderLines
from backorder_forecast.next_orders import NextOrders
from backorder_forecast.order_inputs import day_periods
from backorder_forecast.paths import SamplePaths, path_quantiles
from backorder_forecast.patience import Patience
from backorder_forecast.phantom import UNLIKELY
from backorder_forecast.production import first_made_day, later_behind_demand, later_when_made, made_days, not_before
from backorder_forecast.projection import NEVER, StockPaths, join_share, project_stock, stockout_frame
from backorder_forecast.promise_record import Calibration
from backorder_forecast.receipts import OpenLines, draw_new_orders, receipt_paths
from backorder_forecast.settings import Settings
from backorder_forecast.waits import draw_leave_days

FORECAST_LEVELS = (0.1, 0.5, 0.9)
_BUCKET_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class World:
    """Everything fitted, ready to be simulated.

    Attributes
    ----------
    facts
        From `item_facts`, with the columns mean_daily and mean_weekly; row i is item i everywhere.
    model, lead, orders, lines, patience, cutoffs
        The fitted stages.
    needs
        First and last need of each open backorder line (`queue_needs`).
    earlier_ratio
        Demand level forecast one protection interval ago over the level now, shape (n_items,).
    delays
        Days by which open order lines and new orders of each item come later than learned (a what-if; else 0).
    fixed_days
        Day on which an open line arrives because a what-if says so, 0 for the others, shape (n_lines,).
    shocks
        Disruptions and closures that a supplier's orders share.
    next_orders, calibration
        When the next order of each item goes out, and how often past promises were kept.
    clock, settings
        Periods ahead, and the choices.
    """

    facts: pd.DataFrame
    model: DemandModel
    lead: LeadTimes
    orders: OpenLines
    lines: BackorderLines
    patience: Patience
    cutoffs: Cutoffs
    needs: tuple[NDArray[np.float64], NDArray[np.float64]]
    earlier_ratio: NDArray[np.float64]
    delays: tuple[NDArray[np.int64], NDArray[np.int64]]
    fixed_days: NDArray[np.int64]
    shocks: Shocks
    next_orders: NextOrders
    calibration: Calibration
    clock: Clock
    settings: Settings

    @cached_property
    def law_rows(self) -> NDArray[np.int64]:
        """Lead-time law of a new order of each item."""
        return self.lead.law_rows(self.facts[["sku", "location", "supplier", "category"]])

    @cached_property
    def n_periods(self) -> NDArray[np.int64]:
        """Periods simulated per item: the horizon, or the .95 lead time and review where that is longer."""
        later = np.maximum(self.delays[1], 0)
        protected = protected_days(self.lead, self.law_rows, self.facts) + later
        days = np.maximum(np.minimum(protected, self.settings.max_path_days), self.settings.horizon_days)
        return np.asarray(np.minimum(np.searchsorted(self.clock.end_days, days, side="left") + 1, self.clock.n_periods))

    @cached_property
    def horizon_periods(self) -> int:
        """Periods that cover the horizon."""
        days = self.clock.end_days
        return min(int(np.searchsorted(days, self.settings.horizon_days, side="left")) + 1, len(days))

    @property
    def bucket_items(self) -> int:
        """Items per bucket: `Settings.bucket_size`, fewer where long paths would take too much memory."""
        longest = int(self.n_periods.max()) if len(self.n_periods) else 1
        affordable = _BUCKET_BYTES // (8 * self.settings.n_paths * longest)
        return max(min(self.settings.bucket_size, affordable), 1)

    @cached_property
    def keys(self) -> dict[int, NDArray[np.uint64]]:
        """Stream keys of the items by purpose."""
        sku, location = self.facts["sku"], self.facts["location"]
        purposes = (
            streams.RECEIPTS, streams.NEW_ORDER, streams.NEXT_ORDER, streams.CAUSES, streams.RECORD, streams.PATIENCE,
        )  # fmt: skip
        return {p: streams.item_keys(sku, location, self.settings.seed, p) for p in purposes}

    def delayed(self, arrivals: NDArray[np.int32], first: int, *, earliest: int = 1) -> NDArray[np.int32]:
        """Arrivals of the open lines from line `first` on as a what-if has them, shape (n_lines, n_paths)."""
        lines = slice(first, first + len(arrivals))
        fixed = self.fixed_days[lines, None]
        return np.where(fixed > 0, fixed, _later(arrivals, self.delays[0][lines], earliest)).astype(np.int32)

    @cached_property
    def made(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Day on which each open line is made, and on which the item's plant is free (`production.py`)."""
        frame = self.orders.frame
        columns = (frame[c].to_numpy() for c in ("item", "age_days", "quantity"))
        return made_days(self.facts["daily_capacity"].to_numpy(dtype=np.float64), *columns)

    @cached_property
    def joins(self) -> NDArray[np.float64]:
        """Share of unmet demand that waits, per item: 1, 0, or what was learned (`wait_share` of the facts)."""
        if self.settings.unmet == "partial" and "wait_share" in self.facts:
            return self.facts["wait_share"].to_numpy(dtype=np.float64)
        return join_share(self.settings, self.facts["product_type"])

    def stay(self, start: int, stop: int) -> NDArray[np.float64] | None:
        """Share of those who wait that still does after 0, 1, ... periods, shape (n_items, n_periods); None: all."""
        if self.settings.unmet != "partial":
            return None
        return self.patience.stay(start, stop, np.arange(self.clock.n_periods) * DAYS_PER_PERIOD[self.clock.freq])

    @cached_property
    def demand(self) -> SamplePaths:
        """Demand paths over the horizon."""
        horizon, draw = self.horizon_periods, self.demand_draw
        items = self.facts[["sku", "location"]].astype("str")
        return SamplePaths(
            items, self.clock.starts[:horizon], self.settings.n_paths,
            lambda start, stop: draw(start, stop, horizon), self.settings.bucket_size,
        )  # fmt: skip

    @cached_property
    def demand_draw(self) -> DemandDraw:
        """Function (start, stop, n_periods) -> demand paths over the first periods of the clock."""
        return self.model.drawer(self.clock, n_paths=self.settings.n_paths, seed=self.settings.seed)


def protected_days(lead: LeadTimes, rows: NDArray[np.int64], facts: pd.DataFrame) -> NDArray[np.float64]:
    """Days an order must last: the .95 lead time and one review, shape (n_items,)."""
    reached = lead.cdf[rows] >= 0.95
    lead_days = np.where(reached.any(axis=1), reached.argmax(axis=1), reached.shape[1])
    return np.asarray(lead_days + facts["review_days"].to_numpy() + 1.0)


@dataclass(frozen=True, eq=False)
class Draws:
    """The paths of one bucket; day numbers count from `as_of`.

    `demand` and `receipts` (n_items, n_paths, n_periods), `arrival_days` (n_orders, n_paths) of the open order lines,
    `order_quantity` and `order_start` of them, `lead_days` and `next_days` (n_items, n_paths) of an order placed now
    and of one placed at the next review, `calm_days` the former without disruption, `lost` (n_items, n_paths) the units
    that the record shows and the shelf lacks (taken off the receipts of the first period), `n_periods` (n_items,) to
    look at.
    """

    demand: NDArray[np.float64]
    receipts: NDArray[np.float64]
    arrival_days: NDArray[np.int32]
    order_quantity: NDArray[np.float64]
    order_start: NDArray[np.int64]
    lead_days: NDArray[np.int32]
    next_days: NDArray[np.int32]
    calm_days: NDArray[np.int32]
    lost: NDArray[np.float64]
    n_periods: NDArray[np.int64]


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
    watch = _Stopwatch()
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
        frames["fill_dates"], cash = _fill_dates(world, facts, draws, start, stop)
        watch.lap("fill_dates")
        frames["wait_cutoffs"] = _wait_cutoffs(world, facts, draws, stock, start, stop)
        watch.lap("wait_cutoffs")
    return BucketResult(frames, cash, watch.seconds, curves)


def draw_bucket(world: World, start: int, stop: int, watch: _Stopwatch | None = None) -> Draws:
    """Demand, receipts and lead times of the items start to stop."""
    watch = watch or _Stopwatch()
    n_paths, rows = world.settings.n_paths, slice(start, stop)
    n_periods = world.n_periods[rows]
    longest = int(n_periods.max())
    demand = world.demand_draw(start, stop, longest)
    watch.lap("demand_paths")
    arrivals = draw_shocked_days(world.shocks, world.lead, world.keys[streams.RECEIPTS], start, stop, n_paths)
    pointers = world.orders.item_start[start : stop + 1]
    lines = slice(int(pointers[0]), int(pointers[-1]))
    arrivals = world.delayed(arrivals, lines.start)
    quantity = world.orders.frame["quantity"].to_numpy(dtype=np.float64)[lines]
    item = world.orders.frame["item"].to_numpy(dtype=np.int64)[lines] - start
    release = world.facts["release_day"].to_numpy(dtype=np.int64)[rows]
    waits = np.where(world.facts["receipts_held"].to_numpy(dtype=bool)[rows], release, 0)[item]
    arrivals = not_before(np.maximum(arrivals, waits[:, None]), world.made[0][lines])
    receipts = receipt_paths(arrivals, quantity, item, stop - start, world.clock.usable_periods(), longest)
    lost = _lost_units(world, start, stop)
    # What is on hold comes back when it is released; what is not there is missed from the first period on.
    _add_release(receipts, world.facts["on_hold"].to_numpy(dtype=np.float64)[rows], day_periods(release, world.clock))
    receipts[:, :, 0] -= lost
    suppliers = world.facts["supplier"].iloc[rows]
    review = world.facts["review_days"].to_numpy(dtype=np.int64)[rows]
    calm, following = (
        draw_new_orders(world.lead, world.law_rows[rows], suppliers, world.keys[purpose][rows], n_paths, after=after)
        for purpose, after in ((streams.NEW_ORDER, 0), (streams.NEXT_ORDER, review))
    )
    delay = world.delays[1][rows]
    lead_days, following = (
        _later(shocked_lead_days(world.shocks, days, suppliers, start, stop), delay) for days in (calm, following)
    )
    first = first_made_day(world.facts["daily_capacity"].to_numpy(dtype=np.float64)[rows], world.made[1][rows])
    lead_days, later, calm = (not_before(d, first) for d in (lead_days, _later(following, review), _later(calm, delay)))
    watch.lap("receipt_paths")
    return Draws(demand, receipts, arrivals, quantity, pointers - pointers[0], lead_days, later, calm, lost, n_periods)


def _lost_units(world: World, start: int, stop: int) -> NDArray[np.float64]:
    """Units that the shelf lacks on each path: all that is shown, where nothing sold for improbably long."""
    rows, n_paths = slice(start, stop), world.settings.n_paths
    chance = world.facts["empty_chance"].to_numpy(dtype=np.float64)[rows]
    lost = np.zeros((stop - start, n_paths))
    for i in np.flatnonzero(chance > 0):
        draw = streams.uniforms(world.keys[streams.RECORD][start + i], n_paths)
        lost[i] = np.where(draw < chance[i], float(world.facts["usable"].iloc[start + i]), 0.0)
    return lost


def _add_release(receipts: NDArray[np.float64], held: NDArray[np.float64], period: NDArray[np.int64]) -> None:
    for i in np.flatnonzero((held > 0) & (period < receipts.shape[2])):
        receipts[i, :, period[i]] += held[i]


def _later(days: NDArray[np.int32], delay: NDArray[np.int64], earliest: int = 1) -> NDArray[np.int32]:
    """Day numbers moved by a delay per row; what never comes stays so."""
    moved = np.maximum(days.astype(np.int64) + delay[:, None], earliest)
    return np.where(days >= NEVER, NEVER, moved).astype(np.int32)


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


def _fill_dates(
    world: World, facts: pd.DataFrame, draws: Draws, start: int, stop: int
) -> tuple[pd.DataFrame, CashFlow | None]:
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
    fitted = world.patience.frame
    cash = line_cash_flow(
        lines, complete, price=world.facts["price"].to_numpy(), shape=fitted["shape"].to_numpy(),
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
    days = np.where(draws.lead_days < NEVER, draws.lead_days + placed, NEVER)
    return np.where(active, days, NEVER).astype(np.int32)


def _wait_cutoffs(
    world: World, facts: pd.DataFrame, draws: Draws, stock: StockPaths, start: int, stop: int
) -> pd.DataFrame:
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
    return wait_cutoff_frame(
        world.cutoffs, start, stop, waits, usable=usable, queue_quantity=queue,
        arrival_days=draws.arrival_days, order_quantity=draws.order_quantity, order_start=draws.order_start,
        expected_units=short, settings=world.settings,
    )  # fmt: skip


class _Stopwatch:
    """Seconds since the last lap, by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, stage: str) -> None:
        now = perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now
