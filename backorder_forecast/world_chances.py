"""The chances of a synthetic world: everything random that its days need, drawn before they are played.

Demand is a weekly drifting level (with sudden shifts in some worlds) times season, weekday, trend, promotions and a
planted surge; order lines come from it as a compound Poisson. Suppliers have a weather of slow spells and shocks, and
stops during which nothing moves. Each review day has its outcome drawn whether or not an order is placed, so that
leaving a cause out of a world changes nothing else. Days are absolute day numbers; matrices (n_days, n_items).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backorder_forecast.world_catalogue import BURN_IN_DAYS, SLOW_FACTOR, SLOW_LEAVE, SLOW_SHARE, YEAR, mean_order_size
from backorder_forecast.world_laws import PART_RANGE, Laws, Stop, draw_patience
from backorder_forecast.world_shop import NONE, Events, Floats, Ints, Lines, Policy, Slots

N_CUSTOMERS = 400
DRIFT_SD = 0.015
"""Log standard deviation of the weekly change of an item's level."""
SHOCK_CORRELATION = 0.8
CANCEL_RANGE = (0.5, 1.8)
"""A supplier cancels after this many median lead times, from-to (uniform)."""
Key = tuple[str | int, ...]
"""Names the generators of a stretch of days, such as ("history",)."""


class Shift(NamedTuple):
    """A sudden level shift: demand of an item times `factor` from day `start` on."""

    item: int
    start: int
    factor: float


class Demand(NamedTuple):
    """Demand of some days."""

    lines: Lines
    mean: Floats
    """Expected units, (n_days, n_items)."""
    level: Floats
    """Level after the last day, (n_items,)."""
    shifts: tuple[Shift, ...]


class Weather(NamedTuple):
    """State of the suppliers, each (n_days, n_suppliers): slow spells and log shocks on lead times."""

    slow: NDArray[np.bool_]
    shock: Floats


def shop_policy(laws: Laws) -> Policy:
    """The rules by which the shop orders."""
    items = laws.items
    stated = laws.suppliers["stated_days"].to_numpy(np.float64)[items["supplier_code"]]
    first, last = items["first_day"].to_numpy(np.int64), items["last_day"].to_numpy(np.int64)
    early = np.where(first > -BURN_IN_DAYS, first - (1.3 * stated).astype(np.int64) - 14, NONE)
    return Policy(
        cover=stated + items["review_days"].to_numpy(np.float64),
        safety=items["safety"].to_numpy(np.float64),
        spread=items["spread"].to_numpy(np.float64),
        batch_days=items["batch_days"].to_numpy(np.float64),
        moq=items["moq"].to_numpy(np.float64),
        pack=items["pack_size"].to_numpy(np.float64),
        live_from=first,
        live_to=last,
        order_from=early,
        order_to=last - stated.astype(np.int64) - 7,
    )


def draw_demand(laws: Laws, first_day: int, n_days: int, level: Floats, key: Key) -> Demand:
    """Order lines of some days from the levels at their beginning; a planted surge adds lines of its own."""
    mean, level, shifts = _expected(laws, first_day, n_days, level, laws.rng(*key, "level"), laws.rng(*key, "shifts"))
    lines = _lines(laws, mean, first_day, laws.rng(*key, "lines"))
    surge = laws.planted("demand_surge")
    if surge:
        extra = np.zeros_like(mean)
        for cause in surge:
            rows = slice(max(cause.start - first_day, 0), None)
            extra[rows, cause.item] = mean[rows, cause.item] * (cause.size - 1.0)
        mean = mean + extra
        more = _lines(laws, extra, first_day, laws.rng(*key, "surge"))
        lines = join_lines(lines, more)
        lines = take_lines(lines, np.argsort(lines.placed, kind="stable"))
    return Demand(lines, mean, level, shifts)


def join_lines(one: Lines, two: Lines) -> Lines:
    """The lines of one followed by those of two."""
    return Lines._make(np.concatenate([a, b]) for a, b in zip(one, two, strict=True))


def take_lines(lines: Lines, index: Ints) -> Lines:
    """Some lines in the order of the index."""
    return Lines._make(column[index] for column in lines)


def draw_weather(
    laws: Laws, n_days: int, key: Key, *, slow: NDArray[np.bool_] | None = None, shock: Floats | None = None
) -> Weather:
    """Weekly chain of slow spells and autocorrelated shocks, from the state given or else the stationary law."""
    bimodal = laws.suppliers["bimodal"].to_numpy(bool)
    n_weeks, sd, rng = -(-n_days // 7), laws.recipe.shock_sd, laws.rng(*key, "weather")
    u, z = rng.random((n_weeks + 1, len(bimodal))), rng.normal(size=(n_weeks + 1, len(bimodal)))
    slow = bimodal & (u[0] < SLOW_SHARE) if slow is None else slow
    shock = sd * z[0] if shock is None else shock
    enter = SLOW_LEAVE * SLOW_SHARE / (1 - SLOW_SHARE)
    slows, shocks = [], []
    for week in range(1, n_weeks + 1):
        slow = bimodal & np.where(slow, u[week] >= SLOW_LEAVE, u[week] < enter)
        shock = SHOCK_CORRELATION * shock + np.sqrt(1 - SHOCK_CORRELATION**2) * sd * z[week]
        slows.append(slow)
        shocks.append(shock)
    return Weather(np.repeat(slows, 7, axis=0)[:n_days], np.repeat(shocks, 7, axis=0)[:n_days])


def draw_slots(laws: Laws, first_day: int, n_days: int, weather: Weather, stops: list[Stop], key: Key) -> Slots:
    """Outcome of an order on each review day; the same numbers whether or not it is placed."""
    rng = laws.rng(*key, "orders")
    items, sup = laws.items, laws.suppliers
    code = items["supplier_code"].to_numpy()[:, None]
    every = items["review_days"].to_numpy(np.int64)[:, None]
    phase = (items["review_phase"].to_numpy(np.int64)[:, None] - first_day - _anchor(laws)) % every
    n_slots = int(-(-n_days // every.min()))
    day = first_day + phase + every * np.arange(n_slots)
    shape = day.shape
    d = np.minimum(day - first_day, n_days - 1)
    log_mean = log_mean_lead(laws, code, weather.slow[d, code], weather.shock[d, code])
    lead = whole_days(log_mean + sup["lead_sd_log"].to_numpy()[code] * rng.normal(size=shape))
    first = arrival_days(laws, code + np.zeros(shape, np.int64), day, day + lead, stops)
    rest = np.ceil(sup["extra_days"].to_numpy()[code] * rng.exponential(size=shape)).astype(np.int64)
    parts = rng.random(shape) < sup["partial_share"].to_numpy()[code]
    gone = rng.random(shape) < sup["cancel_share"].to_numpy()[code]
    after = np.ceil(sup["lead_median"].to_numpy()[code] * rng.uniform(*CANCEL_RANGE, shape)).astype(np.int64)
    mood, share = rng.random(shape), rng.uniform(*PART_RANGE, shape)
    slots = Slots(
        day=day,
        effort=np.where(mood < 0.1, 0.0, np.where(mood < 0.2, 0.5, 1.0)),
        first=first,
        second=np.where(parts & ~gone, open_day(laws, code, first + rest), NONE),
        share=share,
        cancelled=np.where(gone, day + after, NONE),
    )
    return _with_causes(laws, slots)


def log_mean_lead(laws: Laws, code: Ints, slow: NDArray[np.bool_], shock: Floats) -> Floats:
    """Mean log lead time of orders placed in the given weather, elementwise."""
    return np.asarray(
        np.log(laws.suppliers["lead_median"].to_numpy(np.float64))[code] + np.log(SLOW_FACTOR) * slow + shock
    )


def whole_days(log_days: Floats) -> Ints:
    """Lead times in whole days from their logarithms, at least one."""
    return np.ceil(np.exp(np.minimum(log_days, 9.0))).astype(np.int64)


def arrival_days(laws: Laws, supplier: Ints, ordered: Ints, due: Ints, stops: list[Stop]) -> Ints:
    """Day of arrival of goods due on `due`: while a supplier stands still, its open orders do too."""
    day = due.copy()
    for code, start, end in stops:
        hit = (supplier == code) & (ordered < end) & (day >= start)
        day[hit] += end - np.maximum(start, ordered[hit])
    return open_day(laws, supplier, day)


def open_day(laws: Laws, supplier: Ints, day: Ints) -> Ints:
    """The day itself, or the Monday after it where the supplier does not deliver at weekends."""
    closed = laws.suppliers["closed_weekends"].to_numpy(bool)[supplier]
    late = (day + _anchor(laws)) % 7
    return day + np.where(closed & (late >= 5), 7 - late, 0)


def new_stops(laws: Laws, first_day: int, n_days: int, key: Key) -> list[Stop]:
    """Supplier stops that begin within some days ahead."""
    rng = laws.rng(*key, "stops")
    count = rng.poisson(laws.recipe.disruptions_per_year * n_days / YEAR, len(laws.suppliers))
    code = np.repeat(np.arange(len(count)), count)
    start = first_day + rng.integers(0, n_days, len(code))
    rows = zip(code.tolist(), start.tolist(), (start + rng.integers(6, 16, len(code))).tolist(), strict=True)
    return sorted((Stop(*row) for row in rows), key=lambda s: (s.start, s.supplier_code))


def draw_events(laws: Laws, first_day: int, n_days: int, key: Key) -> Events:
    """Losses and finds that nobody records, holds and counts."""
    n_items, rng = len(laws.items), laws.rng(*key, "record")
    count = rng.poisson(laws.recipe.errors_per_year * n_items * n_days / YEAR)
    day, item = first_day + rng.integers(0, n_days, count), rng.integers(0, n_items, count)
    share = np.where(rng.random(count) < 0.75, rng.uniform(0.05, 0.4, count), -rng.uniform(0.05, 0.2, count))
    planted = [c for c in laws.planted("record_error") if first_day <= c.start < first_day + n_days]
    day = np.append(day, np.array([c.start for c in planted], np.int64))
    item = np.append(item, np.array([c.item for c in planted], np.int64))
    share = np.append(share, [c.size for c in planted])
    order = np.lexsort((item, day)) if "record_error" not in laws.left_out else np.zeros(0, np.int64)
    hold_from, hold_to, hold_share = np.full(n_items, NONE), np.full(n_items, NONE), np.zeros(n_items)
    for cause in laws.planted("recall_or_hold"):
        hold_from[cause.item], hold_to[cause.item], hold_share[cause.item] = cause.start, cause.end, cause.size
    today = np.arange(first_day, first_day + n_days) + _anchor(laws)
    turn = (today[:, None] // 7 + laws.items["count_phase"].to_numpy()) % 26 == 0
    return Events(
        day=day[order],
        item=item[order],
        share=share[order],
        alert=laws.rng("alert").random(n_items) < 0.85,
        hold_from=hold_from,
        hold_to=hold_to,
        hold_share=hold_share,
        counted=turn & (today % 7 == 6)[:, None],
    )


def _expected(
    laws: Laws, first_day: int, n_days: int, level: Floats, drift: np.random.Generator, shift: np.random.Generator
) -> tuple[Floats, Floats, tuple[Shift, ...]]:
    """Expected demand, the level after the last day, and the level shifts."""
    n_items, n_weeks = len(level), -(-n_days // 7)
    steps = drift.normal(0, DRIFT_SD, (n_weeks, n_items)).cumsum(axis=0)
    path = level * np.exp(np.repeat(steps, 7, axis=0)[:n_days])
    count = shift.poisson(laws.recipe.shifts_per_year * n_items * n_days / YEAR)
    item, start = shift.integers(0, n_items, count), first_day + shift.integers(0, n_days, count)
    size = shift.uniform(0.45, 0.75, count)
    factor = np.round(np.where(shift.random(count) < 0.5, size, 1 / size), 3)
    shifts = [Shift(*row) for row in zip(item.tolist(), start.tolist(), factor.tolist(), strict=True)]
    for s in shifts:
        path[s.start - first_day :, s.item] *= s.factor
    items, day = laws.items, np.arange(first_day, first_day + n_days)
    dates = laws.date(day)
    season = laws.season[:, dates.day_of_year.to_numpy() - 1].T[:, items["category_code"].to_numpy()]
    mean = path * season * laws.weekday[dates.day_of_week.to_numpy()][:, None]
    mean *= np.exp(items["trend"].to_numpy() * np.maximum(day, 0)[:, None] / YEAR)
    live = (day[:, None] >= items["first_day"].to_numpy()) & (day[:, None] <= items["last_day"].to_numpy())
    mean *= live
    for p in laws.promotions:
        mean[max(p.start - first_day, 0) : max(p.end + 1 - first_day, 0), p.item] *= p.factor
    return mean, path[-1], tuple(sorted(shifts, key=lambda s: (s.start, s.item)))


def _lines(laws: Laws, mean: Floats, first_day: int, rng: np.random.Generator) -> Lines:
    spread = laws.items["spread"].to_numpy(np.float64)
    count = rng.poisson(mean / mean_order_size(spread))
    cell = np.repeat(np.arange(count.size), count.ravel())
    day, item = np.divmod(cell, mean.shape[1])
    n = len(cell)
    size = rng.logseries(1.0 - 1.0 / spread[item]).astype(np.int64)
    patience = draw_patience(laws.items, item, 1.0 - rng.random(n), np.zeros(n))
    balks = rng.random(n) < laws.items["balk_share"].to_numpy(np.float64)[item]
    popular = 1.0 / (np.arange(N_CUSTOMERS) + 6.0) ** 0.9
    return Lines(
        item=item,
        size=size,
        placed=first_day + day,
        patience=np.where(balks, -1.0, patience),
        complete=rng.random(n) < np.where(size > 1, 0.02, 0.0),
        return_lag=np.where(rng.random(n) < 0.012, rng.integers(2, 21, n), 0),
        customer=np.searchsorted(popular.cumsum() / popular.sum(), rng.random(n)),
    )


def _with_causes(laws: Laws, slots: Slots) -> Slots:
    effort, first, second = slots.effort.copy(), slots.first.copy(), slots.second.copy()
    last = laws.n_days - 1
    stated = laws.suppliers["stated_days"].to_numpy()[laws.items["supplier_code"]]
    for cause in laws.planted("ordered_too_little"):
        i = cause.item
        effort[i, (slots.day[i] >= cause.start - stated[i]) & (slots.day[i] <= last)] = 0.0
    for cause in laws.planted("late_order"):
        i = cause.item
        pushed = (first[i] >= cause.start) & (first[i] <= last + 3) & (slots.day[i] <= last)
        second[i, pushed & (second[i] != NONE)] = cause.end + 5
        first[i, pushed] = cause.end
    return slots._replace(effort=effort, first=first, second=second)


def _anchor(laws: Laws) -> int:
    """Offset that makes day numbers count from a Monday before the burn-in."""
    return int(laws.date([0]).day_of_week[0]) + 7 * 1040
