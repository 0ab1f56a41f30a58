"""How much demand rises while an event runs: observed over expected units, pooled, drawn to 1 where little is known.

The expectation b of an item in a period is its level in the quarter of a year before and after, without what the events
cover, times season and in-stock share. Periods in stock for less than a quarter, or that ran out, teach nothing. The
lift is o + g v: without a stated effect o = 0, g = 1 and v is the lift itself; with a stated effect e, o = 1, g = e - 1
and v is the part of the stated uplift that comes true. With s the share of the period that the event moves and q the
factor of other events, the period has the mean b q (1 - s + s o + x v), x = s g. The Poisson score at v = 1 gives

    observed = sum of x / c (y - b q (1 - s + s o)),   expected = sum of x^2 / c b q,   c = 1 - s + s o + x,
    v = (w observed + k) / (w expected + k),           w = expected / variance of observed,

the mean of a gamma-Poisson posterior with k pseudo-units at v = 1. Of events over whole periods without a stated
effect these are the units sold and the units expected. w turns units into units of independent customers: the variance
adds how each item strays from its level and how the whole shop strays from it in an ordinary period, so that a holiday
seen once stays near 1 however much was sold on it. A category is drawn in the same way to the other categories. Kinds
that overlap are learned in turn until they agree.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from backorder_forecast.clock import DAYS_PER_PERIOD
from backorder_forecast.panel import DemandPanel
from backorder_forecast.seasonality import SeasonalIndex

LIFT_RANGE = (0.02, 20.0)
"""Lifts outside are slips of the data."""
_HISTORY = ("n_item_periods", "n_periods", "units_observed", "units_expected")
_HALF_WINDOW_DAYS = 91.0
_MIN_EXPOSURE = 0.25
_MIN_CLEAR = 0.25
_LITTLE, _HARDLY = 0.25, 0.75
_MIN_SPREAD = 0.01
_ROUNDS, _SWEEPS, _PRECISE = 4, 40, 1e-5

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Cells(NamedTuple):
    """Events on rows and periods, one entry each, sorted by row and period.

    `row`, `period`, `category`, `unit` (kind) are codes; `cover` is the part of the period that the event covers,
    `share` the part that it moves (a holiday moves the week around it). The lift is `offset + gain * value`.
    """

    row: Ints
    period: Ints
    category: Ints
    unit: Ints
    cover: Floats
    share: Floats
    offset: Floats
    gain: Floats

    def take(self, at: Ints) -> Cells:
        """Some of the entries."""
        row, period, category, unit, cover, share, offset, gain = self
        return Cells(row[at], period[at], category[at], unit[at], cover[at], share[at], offset[at], gain[at])

    def factors(self, values: Floats) -> Floats:
        """Factor of each entry, 1 + share (lift - 1), for learned values (n_categories, n_units)."""
        lift = np.clip(self.offset + self.gain * values[self.category, self.unit], *LIFT_RANGE)
        return np.asarray(1.0 + self.share * (lift - 1.0))


class Lifts(NamedTuple):
    """What was learned: `values` per category and kind (n_categories, n_units), `overall` per kind (n_units,).

    `history` has columns per kind, `category_history` the same per category and kind: n_item_periods and n_periods
    seen, units_observed, units_expected, history_share (weight of the past in the value).
    """

    values: Floats
    overall: Floats
    history: dict[str, NDArray[Any]]
    category_history: dict[str, NDArray[Any]]


class _Spots(NamedTuple):
    """Rows and periods that events touch: where those of each row begin (n_rows + 1,), period, share covered, and
    whether the period is as good as an ordinary one."""

    start: Ints
    period: Ints
    cover: Floats
    ordinary: NDArray[np.bool_]


class _Noise(NamedTuple):
    """How demand strays from what is expected of ordinary periods.

    `item` is variance over mean of each item (n_items,), `shop` the squared share by which all items stray together.
    """

    item: Floats
    shop: float


class _Units(NamedTuple):
    """Per spot: units observed and expected, variance of the observed ones by item, item-periods seen."""

    observed: Floats
    expected: Floats
    variance: Floats
    seen: Floats


class _Evidence(NamedTuple):
    """Of one kind, per category (n_categories,): observed and expected units and the variance of the observed.

    `variance_of_all` is that of their sum, `gain` what one pseudo-unit weighs.
    """

    observed: Floats
    expected: Floats
    variance: Floats
    variance_of_all: float
    gain: float


def learn_lifts(
    panel: DemandPanel,
    season: SeasonalIndex,
    row_of_item: Ints,
    cells: Cells,
    *,
    shape: tuple[int, int],
    shrink_units: Floats,
) -> Lifts:
    """Lifts per category and kind from a panel.

    Parameters
    ----------
    panel, season
        Demand, exposure and their seasonal indices.
    row_of_item
        Row of each item, shape (n_items,).
    cells
        Events on rows and periods of the panel.
    shape
        Numbers of categories and kinds.
    shrink_units
        Pseudo-units k of each kind at a lift of 1, or at its stated effect, shape (n_kinds,).
    """
    values, overall = np.ones(shape), np.ones(shape[1])
    share, overall_share = np.zeros(shape), np.zeros(shape[1])
    key = cells.row * panel.n_periods + cells.period
    first = np.flatnonzero(np.diff(key, prepend=-1))
    spot = np.cumsum(np.diff(key, prepend=-1) > 0) - 1
    parts = [(int(cells.unit[at[0]]), cells.take(at), spot[at]) for at in _by_unit(cells.unit)]
    if not parts:
        return Lifts(values, overall, *_history([], shape, share, overall_share))
    row = cells.row[first]
    begins = np.searchsorted(row, np.arange(int(row_of_item.max()) + 2))
    cover = np.maximum.reduceat(cells.cover, first)
    # Months hold a holiday nearly always: where hardly a period is free, those of which a day is gone are ordinary.
    ordinary = (cover < _LITTLE) & (np.diff(begins)[row] > _HARDLY * panel.n_periods)
    spots = _Spots(begins, cells.period[first], cover, ordinary)
    effect = np.multiply.reduceat(cells.factors(values), first)
    noise, units = _expect(panel, season, row_of_item, spots, effect, None)
    for number in range(_ROUNDS):
        if number:
            # A partly covered period tells of the level too, once the lift is known.
            noise, units = _expect(panel, season, row_of_item, spots, effect, noise)
        start = values.copy()
        for _ in range(_SWEEPS):
            before = values.copy()
            for unit, part, at in parts:
                factor = part.factors(values)
                evidence = _evidence(part, units, at, effect[at] / factor, noise.shop, shape[0])
                overall[unit], values[:, unit], overall_share[unit], share[:, unit] = _posterior(
                    evidence, float(shrink_units[unit])
                )
                np.multiply.at(effect, at, part.factors(values) / factor)
            if np.abs(values - before).max() < _PRECISE:
                break
        if np.abs(values - start).max() < _PRECISE:
            break
    counts = [
        (unit, _counted(part, units, at, effect[at] / part.factors(values), shape[0])) for unit, part, at in parts
    ]
    return Lifts(values, overall, *_history(counts, shape, share, overall_share))


def _expect(
    panel: DemandPanel, season: SeasonalIndex, row_of_item: Ints, spots: _Spots, effect: Floats, noise: _Noise | None
) -> tuple[_Noise, _Units]:
    """Units of each spot, and the noise of ordinary periods where it is not yet known."""
    half = round(_HALF_WINDOW_DAYS / DAYS_PER_PERIOD[panel.freq])
    spread = np.ones(panel.n_items) if noise is None else noise.item
    units, about_items, about_periods = _scan(
        panel.demand, panel.exposure, season.factors(panel.periods), season.item_group, row_of_item, *spots, effect,
        spread, half,
    )  # fmt: skip
    if noise is not None:
        return noise, _Units(*units)
    squares, expected, n = about_items
    # Counts of independent customers are never less spread than Poisson; kilograms may be.
    whole = (panel.demand == np.floor(panel.demand)).all(axis=1)
    least = np.where(whole, 1.0, _MIN_SPREAD * expected / np.maximum(n, 1.0))
    item = np.maximum(squares / np.maximum(expected, 1e-300), least)
    stray, stray_squares, total, total_squares = about_periods
    # Only products of different items tell what they have in common.
    together, possible = float((stray**2 - stray_squares).sum()), float((total**2 - total_squares).sum())
    noise = _Noise(item, max(together / possible, 0.0) if possible > 0 else 0.0)
    return _expect(panel, season, row_of_item, spots, effect, noise)


def _evidence(part: Cells, units: _Units, at: Ints, others: Floats, shop: float, n_categories: int) -> _Evidence:
    """What the past says of one kind; `others` is the factor of the other events at each spot."""
    x = part.share * part.gain
    known = 1.0 - part.share + part.share * part.offset
    base = units.expected[at] * others
    observed = x / (known + x) * (units.observed[at] - base * known)
    expected = x**2 / (known + x) * base
    strays = x**2 / (known + x) * units.variance[at] * others
    sums = [_sums(part.category, values, n_categories) for values in (observed, expected, strays)]
    # What strays together in one period does not average out over its items.
    periods, period = np.unique(part.period, return_inverse=True)
    together = _sums(part.category * len(periods) + period, np.abs(x) * base, n_categories * len(periods))
    together = together.reshape(n_categories, len(periods))
    variance = sums[2] + shop * (together**2).sum(axis=1)
    of_all = float(sums[2].sum() + shop * (together.sum(axis=0) ** 2).sum())
    return _Evidence(sums[0], sums[1], variance, of_all, float(np.mean(part.gain**2 / (part.offset + part.gain))))


def _posterior(found: _Evidence, shrink_units: float) -> tuple[float, Floats, float, Floats]:
    """Value over all categories, value per category, and the weight of the past in each."""
    # A pseudo-unit at a stated effect says as much of its value as a unit sold at that effect.
    k = max(shrink_units * found.gain, 1e-9)
    total, due = float(found.observed.sum()), float(found.expected.sum())
    weight = due / found.variance_of_all if found.variance_of_all > 0 else 0.0
    variance = np.maximum(found.variance, 1e-300)
    weights = np.where(found.variance > 0, found.expected / variance, 0.0)
    overall = (weight * total + k) / (weight * due + k)
    others = (weight * (total - found.observed) + k) / (weight * (due - found.expected) + k)
    own = (weights * found.observed + k * np.clip(others, *LIFT_RANGE)) / (weights * found.expected + k)
    share = weights * found.expected / (weights * found.expected + k)
    value = float(np.clip(overall, *LIFT_RANGE))
    return value, np.clip(own, *LIFT_RANGE), weight * due / (weight * due + k), share


def _counted(
    part: Cells, units: _Units, at: Ints, others: Floats, n_categories: int
) -> dict[str, tuple[float, Floats]]:
    """What was seen of one kind: over all, and per category."""
    # Two events of one kind may meet on the same spot, which is seen once.
    _, once = np.unique(at, return_index=True)
    spots, category, period = at[once], part.category[once], part.period[once]
    seen = units.seen[spots] > 0
    pairs = np.unique(np.stack([category[seen], period[seen]]), axis=1)
    counts = {
        "n_item_periods": units.seen[spots],
        "units_observed": units.observed[spots],
        "units_expected": units.expected[spots] * others[once],
    }
    found = {name: (float(v.sum()), _sums(category, v, n_categories)) for name, v in counts.items()}
    per_category = np.bincount(pairs[0], minlength=n_categories).astype(np.float64)
    return found | {"n_periods": (float(len(np.unique(period[seen]))), per_category)}


def _history(
    counts: list[tuple[int, dict[str, tuple[float, Floats]]]],
    shape: tuple[int, int],
    share: Floats,
    overall_share: Floats,
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Columns of the table per kind, and per category and kind."""
    own = {name: np.zeros(shape, dtype=np.int64 if name[0] == "n" else np.float64) for name in _HISTORY}
    overall = {name: np.zeros(shape[1], dtype=values.dtype) for name, values in own.items()}
    for unit, found in counts:
        for name, (total, by_category) in found.items():
            overall[name][unit], own[name][:, unit] = total, by_category
    return overall | {"history_share": overall_share}, own | {"history_share": share}


def _sums(code: Ints, values: Floats, n: int) -> Floats:
    return np.bincount(code, values, n).astype(np.float64, copy=False)


def _by_unit(unit: Ints) -> list[Ints]:
    """Places of each code that occurs, in the order of the codes."""
    order = np.argsort(unit, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(unit[order])) + 1) if len(unit) else []


@nb.njit(cache=True, nogil=True)
def _scan(demand, exposure, factors, group, row_of_item, start, spot_period, cover, ordinary, effect, spread, half):  # type: ignore[no-untyped-def]
    """Sums per spot (observed, expected, variance, seen), per item and per period of ordinary periods.

    Per item: squared residuals, expected units, periods. Per period: residuals, their squares, expected units, their
    squares.
    """
    n_items, n = demand.shape
    width = min(2 * half + 1, n)
    spots = np.zeros((4, spot_period.size))
    items = np.zeros((3, n_items))
    periods = np.zeros((4, n))
    sold = np.zeros(n + 1)
    due = np.zeros(n + 1)
    clear = np.zeros(n + 1)
    usable = np.zeros(n)
    for i in range(n_items):
        first, last = start[row_of_item[i]], start[row_of_item[i] + 1]
        p = first
        begun = False
        for t in range(n):
            weight = 1.0
            boost = 1.0
            if p < last and spot_period[p] == t:
                weight = 1.0 - cover[p]
                boost = effect[p]
                p += 1
            # Before the first sale nothing says that the item was for sale.
            begun = begun or demand[i, t] > 0.0
            usable[t] = 0.0
            if begun and exposure[i, t] >= _MIN_EXPOSURE:
                usable[t] = exposure[i, t] * factors[group[i], t]
            else:
                weight = 0.0
            sold[t + 1] = sold[t] + weight * demand[i, t]
            due[t + 1] = due[t] + weight * usable[t] * boost
            clear[t + 1] = clear[t] + weight
        p = first
        for t in range(n):
            touched = p < last and spot_period[p] == t
            p += touched
            begins = min(max(t - half, 0), n - width)
            ends = begins + width
            window = due[ends] - due[begins]
            if usable[t] <= 0.0 or window <= 0.0 or clear[ends] - clear[begins] < _MIN_CLEAR * width:
                continue
            mean = (sold[ends] - sold[begins]) / window * usable[t]
            if touched:
                spots[0, p - 1] += demand[i, t]
                spots[1, p - 1] += mean
                spots[2, p - 1] += spread[i] * mean
                spots[3, p - 1] += 1.0
            if not touched or ordinary[p - 1]:
                stray = demand[i, t] - mean
                items[0, i] += stray * stray
                items[1, i] += mean
                items[2, i] += 1.0
                periods[0, t] += stray
                periods[1, t] += stray * stray
                periods[2, t] += mean
                periods[3, t] += mean * mean
    return spots, items, periods
