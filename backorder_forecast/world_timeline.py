"""The timeline of a synthetic world: its past played once, its future as often as wanted.

`play_history` plays the burn-in and the exported days; `State` is what the future depends on at the end of a day;
`play_future` continues from there under the true laws. What is open is redrawn given what has happened to it: a late
order by its residual law, a waiting customer by the rest of their patience; levels, slow spells and stops go on from
where they stand. Days are absolute day numbers, matrices (n_days, n_items).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from backorder_forecast.world_catalogue import BURN_IN_DAYS
from backorder_forecast.world_chances import (
    CANCEL_RANGE,
    Demand,
    Weather,
    arrival_days,
    draw_demand,
    draw_events,
    draw_slots,
    draw_weather,
    join_lines,
    log_mean_lead,
    new_stops,
    open_day,
    shop_policy,
    take_lines,
    whole_days,
)
from backorder_forecast.world_laws import NEVER, PART_RANGE, Laws, Stop, draw_patience
from backorder_forecast.world_shop import NONE, Events, Floats, Ints, Lines, Played, Slots, Stock, first_part, play


@dataclass(frozen=True, eq=False)
class Segment:
    """A stretch of days as they were played; `lines` begins with the n_open lines that waited already."""

    first_day: int
    n_open: int
    lines: Lines
    demand: Demand
    weather: Weather
    slots: Slots
    events: Events
    played: Played

    @property
    def last_day(self) -> int:
        """Day number of the last day played."""
        return self.first_day + len(self.demand.mean) - 1

    def units_wanted(self) -> Ints:
        """Demand in units, whatever became of it, (n_days, n_items)."""
        n_days, n_items = self.demand.mean.shape
        lines = self.demand.lines
        cell = (lines.placed - self.first_day) * n_items + lines.item
        units = np.bincount(cell, weights=lines.size, minlength=n_days * n_items)
        return np.rint(units).astype(np.int64).reshape(n_days, n_items)


@dataclass(frozen=True, eq=False)
class State:
    """The end of a day: what the future depends on.

    `orders` has one row per open order line, sorted by item and order day: item, slot, supplier_code, order_day,
    ordered, quantity (still open), received (something has arrived), late_days (mean of a planted delay, 0 if none),
    min_lead (the shortest lead time still possible), log_mean. `queue` are the waiting lines in queue order, `returns`
    the goods on their way back as day, item, units.
    """

    day: int
    stock: Stock
    level: Floats
    slow: NDArray[np.bool_]
    shock: Floats
    queue: Lines
    queue_units: Ints
    queue_lines: Ints
    orders: pd.DataFrame
    returns: tuple[Ints, Ints, Ints]


def play_history(laws: Laws) -> Segment:
    """Play the burn-in and the exported days."""
    n_items, n_days, first_day = len(laws.items), BURN_IN_DAYS + laws.n_days, -BURN_IN_DAYS
    level, policy, key = laws.items["level"].to_numpy(np.float64), shop_policy(laws), ("history",)
    weather = draw_weather(laws, n_days, key)
    demand = draw_demand(laws, first_day, n_days, level, key)
    slots = draw_slots(laws, first_day, n_days, weather, laws.all_stops(), key)
    events = draw_events(laws, first_day, n_days, key)
    rate = level * np.exp(laws.rng("opinion").normal(0, 0.25, n_items))
    shelf = np.rint(rate * (policy.cover + 0.5 * policy.batch_days)).astype(np.int64)
    none, quiet = np.zeros(n_items, np.int64), np.zeros((n_days, n_items), np.int64)
    stock = Stock(np.where(policy.live_from <= first_day, shelf, 0), none, none, none, rate)
    starts = np.searchsorted(demand.lines.placed, first_day + np.arange(n_days + 1))
    played = play(
        first_day, 0, none[:0], demand.lines, starts, stock, quiet, quiet.copy(), quiet.copy(), slots, policy, events
    )
    return Segment(first_day, 0, demand.lines, demand, weather, slots, events, played)


def state_after(laws: Laws, past: Segment) -> State:
    """What the future depends on at the end of the last day of a history."""
    lines, played, last = past.lines, past.played, past.last_day
    waiting = np.flatnonzero((played.remaining > 0) & (played.left == NONE))
    waiting = waiting[np.argsort(lines.item[waiting], kind="stable")]
    back = lines.placed + lines.return_lag
    coming = np.flatnonzero((lines.return_lag > 0) & (played.shipped_now == lines.size) & (back > last))
    return State(
        day=last,
        stock=played.stock,
        level=past.demand.level,
        slow=past.weather.slow[-1],
        shock=past.weather.shock[-1],
        queue=take_lines(lines, waiting),
        queue_units=played.remaining[waiting],
        queue_lines=waiting,
        orders=_open_orders(laws, past),
        returns=(back[coming], lines.item[coming], lines.size[coming]),
    )


def play_future(laws: Laws, state: State, n_days: int, key: str | int, *, orders: bool) -> tuple[Segment, Ints, Ints]:
    """Continue a world under its true laws.

    Parameters
    ----------
    n_days, key
        Days to play; another key gives another future.
    orders
        Whether the shop goes on ordering.

    Returns
    -------
    The days played, and for each row of `state.orders` the days of its next and of its last receipt (`NEVER` if the
    supplier cancels).
    """
    names, first_day, n_open = ("future", key), state.day + 1, len(state.queue.item)
    weather = draw_weather(laws, n_days, names, slow=state.slow, shock=state.shock)
    demand = draw_demand(laws, first_day, n_days, state.level, names)
    stops = [*laws.all_stops(), *new_stops(laws, first_day, n_days, names)]
    slots = draw_slots(laws, first_day, n_days, weather, stops, names)
    if not orders:
        slots = slots._replace(effort=np.zeros_like(slots.effort))
    events = draw_events(laws, first_day, n_days, names)
    # Keyed by line and by slot: what one line or order draws does not depend on which others are open.
    n_lines = int(state.queue_lines.max()) + 1 if n_open else 0
    uniform = 1.0 - laws.rng(*names, "patience").random(n_lines)[state.queue_lines]
    waited = (state.day - state.queue.placed + 0.5).astype(np.float64)
    queue = state.queue._replace(patience=draw_patience(laws.items, state.queue.item, uniform, waited))
    lines = join_lines(queue, demand.lines)
    starts = n_open + np.searchsorted(demand.lines.placed, first_day + np.arange(n_days + 1))
    due, gone, returned = (np.zeros(demand.mean.shape, np.int64) for _ in range(3))
    _add(returned, state.returns[0] - first_day, state.returns[1], state.returns[2])
    first, last = _receipts(laws, state, stops, laws.rng(*names, "open"), due, gone)
    played = play(
        first_day, n_open, state.queue_units, lines, starts, state.stock, due, gone, returned, slots,
        shop_policy(laws), events,
    )  # fmt: skip
    return Segment(first_day, n_open, lines, demand, weather, slots, events, played), first, last


def what_happened(laws: Laws, past: Segment, ahead: Segment) -> pd.DataFrame:
    """Planted causes and all that happened by itself: kind, sku, supplier, start, end, size, planted."""
    rows: list[tuple[str, int, int, int, int, float, bool]] = []
    rows += [("promotion", p.item, -1, p.start, p.end, p.factor, False) for p in laws.promotions]
    rows += [("stop", -1, s.supplier_code, s.start, s.end - 1, float(s.end - s.start), False) for s in laws.stops]
    for segment in (past, ahead):
        rows += [("level_shift", s.item, -1, s.start, NONE, s.factor, False) for s in segment.demand.shifts]
        events, change = segment.events, segment.played.event_change
        for day, item, units in zip(events.day.tolist(), events.item.tolist(), change.tolist(), strict=True):
            if units:
                rows.append(("loss" if units < 0 else "find", item, -1, day, day, float(abs(units)), False))
    for cause in (c for c in laws.causes if c.kind not in laws.left_out):
        rows.append((cause.kind, cause.item, cause.supplier_code, cause.start, cause.end, cause.size, True))
    frame = pd.DataFrame(rows, columns=["kind", "item", "supplier_code", "start", "end", "size", "planted"])
    frame = frame.sort_values(["start", "kind", "item"], kind="stable", ignore_index=True)
    sku, names = np.append(laws.items["sku"].to_numpy(), ""), np.append(laws.suppliers["supplier"].to_numpy(), "")
    frame.insert(1, "sku", sku[frame["item"].to_numpy()])
    frame.insert(2, "supplier", names[frame["supplier_code"].to_numpy()])
    limit = 10**5  # no end: far beyond any horizon, within what a date can hold
    endless = frame["end"].abs() > limit
    frame["start"] = laws.date(frame["start"])
    frame["end"] = pd.Series(laws.date(frame["end"].mask(endless, 0))).mask(endless)
    return frame.drop(columns=["item", "supplier_code"])


def first_receipt(ordered: Ints, slots: Slots, item: Ints, slot: Ints) -> Ints:
    """Units in the first receipt of order lines, elementwise."""
    split = (slots.second[item, slot] != NONE) & (ordered > 1)
    part = np.minimum(np.maximum((ordered * slots.share[item, slot] + 0.5).astype(np.int64), 1), ordered - 1)
    return np.where(split, part, ordered)


def _open_orders(laws: Laws, past: Segment) -> pd.DataFrame:
    slots, last = past.slots, past.last_day
    item, slot = np.nonzero(past.played.ordered)
    ordered, day = past.played.ordered[item, slot], slots.day[item, slot]
    first, second, cancelled = slots.first[item, slot], slots.second[item, slot], slots.cancelled[item, slot]
    part = first_receipt(ordered, slots, item, slot)
    end = np.where(part < ordered, np.maximum(first, second), first)
    is_open = np.where(cancelled != NONE, cancelled > last, end > last)
    late = {(c.item, c.end): c.size for c in laws.planted("late_order")}
    received = (cancelled == NONE) & (np.minimum(first, np.where(part < ordered, second, first)) <= last)
    code = laws.items["supplier_code"].to_numpy(np.int64)[item]
    week = np.clip(day - past.first_day, 0, None)
    frame = pd.DataFrame(
        {
            "item": item,
            "slot": slot,
            "supplier_code": code,
            "order_day": day,
            "ordered": ordered,
            "quantity": np.where(received, ordered - part, ordered),
            "received": received,
            "late_days": [late.get(pair, 0.0) for pair in zip(item.tolist(), first.tolist(), strict=True)],
            "log_mean": log_mean_lead(laws, code, past.weather.slow[week, code], past.weather.shock[week, code]),
        }
    )[is_open].reset_index(drop=True)
    frame["min_lead"] = _shortest_lead(laws, frame, last)
    return frame


def _shortest_lead(laws: Laws, orders: pd.DataFrame, last: int) -> Ints:
    """Shortest lead time whose goods would still not have come by day `last`, stops included."""
    if not len(orders):
        return np.zeros(0, np.int64)
    day, code = orders["order_day"].to_numpy(np.int64), orders["supplier_code"].to_numpy(np.int64)
    lead = np.arange(1, int(last - day.min()) + 2)
    shape = (len(day), len(lead))
    ordered, supplier = np.broadcast_to(day[:, None], shape), np.broadcast_to(code[:, None], shape)
    late = arrival_days(laws, supplier, ordered, ordered + lead, laws.all_stops()) > last
    return np.asarray(np.argmax(late, axis=1) + 1, dtype=np.int64)


def _receipts(
    laws: Laws, state: State, stops: list[Stop], rng: np.random.Generator, due: Ints, gone: Ints
) -> tuple[Ints, Ints]:  # fmt: skip
    """Redraw what becomes of the open orders; fills `due` and `gone`."""
    orders, sup, first_day = state.orders, laws.suppliers, state.day + 1
    item, slot = orders["item"].to_numpy(np.int64), orders["slot"].to_numpy(np.int64)
    n_slots = int(slot.max()) + 1 if len(slot) else 0
    u = 1.0 - rng.random((n_slots, 7, len(laws.items)))[slot, :, item].T
    code, day = orders["supplier_code"].to_numpy(np.int64), orders["order_day"].to_numpy(np.int64)
    units, received = orders["quantity"].to_numpy(np.int64), orders["received"].to_numpy(bool)
    sd, median = sup["lead_sd_log"].to_numpy(np.float64)[code], sup["lead_median"].to_numpy(np.float64)[code]
    log_mean, late = orders["log_mean"].to_numpy(np.float64), orders["late_days"].to_numpy(np.float64)
    # Lead times above the shortest possible one: invert the survival function, which keeps its digits in the tail.
    with np.errstate(divide="ignore"):
        bound = (np.log(orders["min_lead"].to_numpy(np.float64) - 1.0) - log_mean) / sd
    survival = ndtr(-bound)
    lead = whole_days(log_mean - sd * ndtri(np.maximum(survival * u[0], 1e-300)))
    first = arrival_days(laws, code, day, day + lead, stops)
    first = np.where(late > 0, first_day + np.floor(-late * np.log(u[1])).astype(np.int64), first)
    extra = np.ceil(-sup["extra_days"].to_numpy(np.float64)[code] * np.log(u[2])).astype(np.int64)
    extra = np.maximum(extra, 1)
    first = np.where(received, open_day(laws, code, state.day + extra), first)
    split = (u[3] < sup["partial_share"].to_numpy()[code]) & ~received & (units > 1)
    share = PART_RANGE[0] + (PART_RANGE[1] - PART_RANGE[0]) * u[4]
    part = np.where(split, [first_part(max(int(q), 2), s) for q, s in zip(units, share, strict=True)], units)
    last = np.where(split, open_day(laws, code, first + extra), first)
    # Cancelled or merely late: Bayes on the age so far.
    age = (state.day - day) / median
    low, high = CANCEL_RANGE
    unseen = 1.0 - np.clip((age - low) / (high - low), 0.0, 1.0)
    never = sup["cancel_share"].to_numpy(np.float64)[code] * unseen
    never = never / (never + (1 - sup["cancel_share"].to_numpy(np.float64)[code]) * np.maximum(survival, 1e-12))
    cancelled = (u[5] < never) & ~received & (late == 0)
    after = np.maximum(age, low) + (high - np.maximum(age, low)) * u[6]
    leaves = np.maximum(day + np.ceil(median * after).astype(np.int64), first_day)
    _add(gone, leaves[cancelled] - first_day, item[cancelled], units[cancelled])
    kept = ~cancelled
    _add(due, first[kept] - first_day, item[kept], part[kept])
    _add(due, last[kept & split] - first_day, item[kept & split], (units - part)[kept & split])
    return np.where(cancelled, NEVER, first), np.where(cancelled, NEVER, last)


def _add(matrix: Ints, d: Ints, item: Ints, units: Ints) -> None:
    inside = (d >= 0) & (d < len(matrix))
    np.add.at(matrix, (d[inside], item[inside]), units[inside])
