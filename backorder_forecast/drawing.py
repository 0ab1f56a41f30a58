"""The fitted world, and the paths that are drawn of a bucket of its items.

Everything that is fitted stands in one `World`; `draw_bucket` draws demand, receipts and lead times of some items from
it. Stock that is on hold comes back with the receipts of the day of its release; a hold that begins later takes from
each path what is on the shelf that day, and gives it back. Day numbers count from `as_of`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from time import perf_counter

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast import streams
from backorder_forecast.clock import DAYS_PER_PERIOD, Clock
from backorder_forecast.cutoffs import Cutoffs
from backorder_forecast.demand import DemandDraw, DemandModel
from backorder_forecast.disruptions import Shocks, draw_shocked_days, shocked_lead_days
from backorder_forecast.leadtimes import LeadTimes
from backorder_forecast.lines import BackorderLines
from backorder_forecast.next_orders import NextOrders
from backorder_forecast.order_inputs import day_periods
from backorder_forecast.paths import SamplePaths
from backorder_forecast.patience import Patience
from backorder_forecast.production import first_made_day, made_days, not_before
from backorder_forecast.projection import NEVER, join_share, level_path
from backorder_forecast.promise_record import Calibration
from backorder_forecast.receipts import OpenLines, draw_new_orders, receipt_paths
from backorder_forecast.settings import Settings
from backorder_forecast.supply_events import HOLD_COLUMNS, days_to_last, held_orders

_BUCKET_BYTES = 64 * 2**20
"""Most bytes of one array of paths."""
_REUSED_BYTES = 31 * 2**20
"""Up to this size the C library hands out the same memory again; larger arrays are fresh pages each time."""
_SEVERAL = 64
"""Items from which what each bucket costs beside its paths is small."""


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
    def protected(self) -> NDArray[np.float64]:
        """Days that an order of each item must last: the .95 lead time and review, with closures, holds and delays."""
        usual = protected_days(self.lead, self.law_rows, self.facts)
        lengthened = days_to_last(usual, self.shocks.closures, self.facts)
        return np.asarray(lengthened + np.maximum(self.delays[1], 0), dtype=np.float64)

    @cached_property
    def n_periods(self) -> NDArray[np.int64]:
        """Periods simulated per item: the horizon, or the days that an order must last where that is longer."""
        days = np.maximum(np.minimum(self.protected, self.settings.max_path_days), self.settings.horizon_days)
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
        item_bytes = 8 * self.settings.n_paths * longest
        affordable = max(_REUSED_BYTES // item_bytes, min(_BUCKET_BYTES // item_bytes, _SEVERAL))
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

    def held_back(self, days: NDArray[np.int32], item: NDArray[np.int64], *, new: bool = False) -> NDArray[np.int32]:
        """Arrival days of orders of these items (n, n_paths), not while their deliveries are on hold.

        Of orders that are `new` only a hold whose end is known keeps the goods back.
        """
        return held_orders(days, self.facts[list(HOLD_COLUMNS)].iloc[item], new=new)

    def next_hold(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Periods in which the next hold of items start to stop begins and ends; the clock's number without one."""
        first, over = (self.facts[c].to_numpy(np.int64)[start:stop] for c in ("next_hold_day", "next_release_day"))
        begin = np.searchsorted(self.clock.end_days, first, side="left")
        end = np.where(over < NEVER, day_periods(over, self.clock), self.clock.n_periods)
        # On a clock too coarse to show it, nothing happens.
        return np.where(begin < end, begin, self.clock.n_periods), end

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
    `free_days` the same if no delivery were on hold, `order_quantity` and `order_start` of them, `lead_days` and
    `next_days` (n_items, n_paths) of an order placed now and of one placed at the next review, `calm_days` the former
    without disruption or hold, `own_days` by the law alone, `lost` (n_items, n_paths) the units that the record shows
    and the shelf lacks (taken off the receipts of the first period), `n_periods` (n_items,) to look at.
    """

    demand: NDArray[np.float64]
    receipts: NDArray[np.float64]
    arrival_days: NDArray[np.int32]
    free_days: NDArray[np.int32]
    order_quantity: NDArray[np.float64]
    order_start: NDArray[np.int64]
    lead_days: NDArray[np.int32]
    next_days: NDArray[np.int32]
    calm_days: NDArray[np.int32]
    own_days: NDArray[np.int32]
    lost: NDArray[np.float64]
    n_periods: NDArray[np.int64]


def draw_bucket(world: World, start: int, stop: int, watch: Stopwatch | None = None) -> Draws:
    """Demand, receipts and lead times of the items start to stop."""
    watch = watch or Stopwatch()
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
    free = not_before(arrivals, world.made[0][lines])
    arrivals = world.held_back(free, item + start)
    receipts = receipt_paths(arrivals, quantity, item, stop - start, world.clock.usable_periods(), longest)
    lost = _lost_units(world, start, stop)
    # What is on hold comes back when it is released; what is not there is missed from the first period on.
    facts = world.facts.iloc[start:stop]
    release = day_periods(facts["release_day"].to_numpy(dtype=np.int64), world.clock)
    _add_release(receipts, facts["releasable"].to_numpy(dtype=np.float64), release)
    receipts[:, :, 0] -= lost
    _hold_later(world, start, stop, demand, receipts)
    suppliers = world.facts["supplier"].iloc[rows]
    review = world.facts["review_days"].to_numpy(dtype=np.int64)[rows]
    calm, following = (
        draw_new_orders(world.lead, world.law_rows[rows], suppliers, world.keys[purpose][rows], n_paths, after=after)
        for purpose, after in ((streams.NEW_ORDER, 0), (streams.NEXT_ORDER, review))
    )
    lead_days = new_order_days(world, calm, 0, start, stop)
    later = new_order_days(world, following, review[:, None], start, stop)
    usual = not_before(_later(calm, world.delays[1][rows]), _first_made(world, start, stop))
    watch.lap("receipt_paths")
    return Draws(
        demand, receipts, arrivals, free, quantity, pointers - pointers[0], lead_days, later, usual, calm, lost,
        n_periods,
    )  # fmt: skip


def new_order_days(
    world: World, days: NDArray[np.int32], placed: NDArray[np.int64] | int, start: int, stop: int
) -> NDArray[np.int32]:
    """Days on which new orders of items start to stop can be used, shape (n_items, n_paths).

    Parameters
    ----------
    days
        Lead times by the law, `Draws.own_days`, shape (n_items, n_paths).
    placed
        Day on which each is placed, 0 for now, shape (n_items, n_paths) or (n_items, 1).

    Returns
    -------
    Put off while the supplier stands still or is closed, by a what-if, until the plant is free, and while deliveries
    are on hold.
    """
    suppliers = world.facts["supplier"].iloc[start:stop]
    arrival = shocked_lead_days(world.shocks, days, suppliers, start, stop, placed=placed)
    arrival = not_before(_later(arrival, world.delays[1][start:stop]), _first_made(world, start, stop))
    return world.held_back(arrival, np.arange(start, stop), new=True)


def _first_made(world: World, start: int, stop: int) -> NDArray[np.int64]:
    """Day on which what is ordered now can be made, shape (n_items,)."""
    capacity = world.facts["daily_capacity"].to_numpy(dtype=np.float64)[start:stop]
    return first_made_day(capacity, world.made[1][start:stop])


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


def _hold_later(
    world: World, start: int, stop: int, demand: NDArray[np.float64], receipts: NDArray[np.float64]
) -> None:
    """Take from the shelf of each path what a hold to come finds there, and give it back at its end."""
    begin, end = world.next_hold(start, stop)
    at = np.flatnonzero(begin < demand.shape[2])
    if not len(at):
        return
    stay = world.stay(start, stop)
    law = np.ones((stop - start, 1)) if stay is None else stay
    level = world.facts["start"].to_numpy(dtype=np.float64)[start:stop]
    _hold(at, level, demand, receipts, world.joins[start:stop], law, begin, end)


@nb.njit(cache=True, nogil=True)
def _hold(at, start, demand, receipts, joins, stay, begin, end):  # type: ignore[no-untyped-def]
    n_periods = demand.shape[2]
    level, missed, queue = np.empty(n_periods), np.empty(n_periods), np.empty(n_periods)
    for i in at:
        t = begin[i]
        for p in range(demand.shape[1]):
            before = start[i]
            if t > 0:
                level_path(start[i], demand[i, p, :t], receipts[i, p], joins[i], stay[i], False, level, missed, queue)
                before = level[t - 1]
            there = before + receipts[i, p, t]
            if there > 0.0:
                receipts[i, p, t] -= there
                if end[i] < n_periods:
                    receipts[i, p, end[i]] += there


def _later(days: NDArray[np.int32], delay: NDArray[np.int64], earliest: int = 1) -> NDArray[np.int32]:
    """Day numbers moved by a delay per row; what never comes stays so."""
    moved = np.maximum(days.astype(np.int64) + delay[:, None], earliest)
    return np.where(days >= NEVER, NEVER, moved).astype(np.int32)


class Stopwatch:
    """Seconds since the last lap, by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, stage: str) -> None:
        """Count the seconds since the last lap to a stage."""
        now = perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now
