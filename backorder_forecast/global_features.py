"""What the global model learns from: features of an item's past at an origin, all relative to its own level.

The anchor of a row is the item's smoothed level times the calendar of the window ahead; features are levels, rates over
several look-backs, spread, sizes and gaps of demand, the same window a year ago, and how all items and the group move
now. Nothing after the origin enters. Demand is taken over season and share in stock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.nbses import scan_levels
from backorder_forecast.panel import RAN_OUT, RAN_OUT_SHARE, DemandPanel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ALPHAS = (0.03, 0.1, 0.3)
"""Smoothing constants of the levels that are features; the anchor is their mean, the middle one counting double."""
LOOK_BACK = {"D": (1, 3, 7, 14, 28, 91, 364), "W": (1, 2, 3, 6, 13, 26, 52), "M": (1, 2, 3, 6, 12, 24, 60)}
"""Periods over which past rates are averaged, by the first letter of the clock."""
YEAR = {"D": 364, "W": 52, "M": 12}
MOMENTUM = {"D": (7, 28), "W": (1, 4), "M": (1, 4)}
"""Periods over which the demand of all items is held against their slow levels."""
_LIMIT = 50.0


@dataclass(frozen=True, eq=False)
class PastFeatures:
    """What features are computed from: a panel, its calendar, and the levels held after each origin.

    `origins` are increasing numbers of periods; `levels` (3, n_items, n_origins) at the constants `ALPHAS`,
    `variance` and `n_used` (n_items, n_origins); `factors` (n_rows, at least last origin + window) with `row` of each
    item; `first` the first period that counts; `momentum` (n_groups, n_origins, 3) demand of all items and of the
    group over their slow levels.
    """

    panel: DemandPanel
    factors: Floats
    row: Ints
    first: Ints
    group: Ints
    origins: Ints
    levels: Floats
    variance: Floats
    n_used: Floats
    floor: float
    columns: Floats
    momentum: Floats


def past_features(
    panel: DemandPanel,
    factors: Floats,
    row: Ints,
    first: Ints,
    group: Ints,
    origins: Sequence[int],
    *,
    min_in_stock: float,
    init_periods: int,
    floor: float | None = None,
) -> PastFeatures:
    """Levels at the origins, once for all features; `group` is the seasonal group of each item.

    `floor` is the smallest level, of which features are told, read from the demand before the first origin; trees that
    were fitted earlier need the one of then.
    """
    scans = [
        scan_levels(panel, factors, row, first, alpha=alpha, min_in_stock=min_in_stock, init_periods=init_periods,
                    origins=origins)
        for alpha in ALPHAS
    ]  # fmt: skip
    if floor is None:
        # What is sold later must not move the scale of earlier features.
        known = panel.demand[:, : min(origins)]
        positive = known[known > 0]
        floor = 0.05 * float(np.median(positive)) if positive.size else 0.05
    places = np.asarray(origins, dtype=np.int64)
    levels = np.stack([s.level for s in scans])
    momentum = _momentum(panel, factors, row, first, group, places, levels[0])
    return PastFeatures(
        panel, factors, row, first, group, places, levels, scans[1].variance, scans[1].n_used, floor,
        _item_columns(panel, group), momentum,
    )  # fmt: skip


def feature_names(panel: DemandPanel) -> list[str]:
    """Name of each feature column, in order."""
    back = LOOK_BACK[panel.freq[0]]
    short, middle, long = back[3], back[4], back[6]
    return [
        "log_level", "calendar_ahead", *(f"level_{a}" for a in ALPHAS), "standard_deviation", "periods_used",
        "periods_since_demand", "last_demand_faded", *(f"rate_{k}" for k in back), "rate_ever",
        *(f"share_with_demand_{k}" for k in (short, middle, long)), "share_with_demand_ever",
        *(f"deviation_{k}" for k in (middle, long)), "deviation_ever", "mean_size", "variation_of_size",
        f"in_stock_{short}", "rate_year_ago", "all_items_now", "all_items_lately", "group_lately",
        *_column_names(panel),
    ]  # fmt: skip


def features_at(past: PastFeatures, item: Ints, column: Ints, window: int) -> tuple[Floats, Floats]:
    """Feature rows (n, n_features) and anchors (n,) of items at origins (columns of `past.origins`)."""
    freq = past.panel.freq[0]
    back = np.asarray(LOOK_BACK[freq], dtype=np.int64)
    own, anchor = _own_features(
        past.panel.demand, past.panel.exposure, past.factors, past.row, past.first, past.origins, past.levels,
        past.variance, past.n_used, item, column, back, window, YEAR[freq], past.floor,
    )  # fmt: skip
    shared = past.momentum[past.group[item], column]
    features = np.column_stack([own, shared, past.columns[item]])
    return np.clip(features, -_LIMIT, _LIMIT), anchor


def shown_part(past: PastFeatures, item: Ints, column: Ints, window: int) -> tuple[Floats, Floats]:
    """Demand of the part of each window that was in stock, and that part as a share of the window's factors."""
    demand, part = _shown_sums(
        past.panel.demand, past.panel.exposure, past.factors, past.row, past.origins, item, column, window
    )
    return demand, part


@nb.njit(cache=True, nogil=True)
def _shown_sums(demand, exposure, factors, row, origins, item, column, window):  # type: ignore[no-untyped-def]
    units, part = np.zeros(item.size), np.zeros(item.size)
    for j in range(item.size):
        i, t = item[j], origins[column[j]]
        shown, whole = 0.0, 0.0
        for s in range(t, t + window):
            whole += factors[row[i], s]
            share = _share(exposure[i, s])
            if share > 0.0:
                units[j] += demand[i, s]
                shown += share * factors[row[i], s]
        part[j] = max(shown / max(whole, 1e-12), 1e-6)
    return units, part


def _momentum(
    panel: DemandPanel, factors: Floats, row: Ints, first: Ints, group: Ints, origins: Ints, slow: Floats
) -> Floats:
    """Demand of all items, now and lately, and of the group lately, over its slow level; (n_groups, n_origins, 3)."""
    n_groups = int(group.max()) + 1 if len(group) else 1
    now, lately = MOMENTUM[panel.freq[0]]
    out = np.ones((n_groups, len(origins), 3))
    for place, periods in ((0, now), (1, lately)):
        sold, due = _recent_sums(
            panel.demand, panel.exposure, factors, row, first, group, origins, slow, periods, n_groups
        )
        total = due.sum(axis=0)
        everyone = np.where(total > 0, sold.sum(axis=0) / np.where(total > 0, total, 1.0), 1.0)
        out[:, :, place] = everyone
        if place == 1:
            out[:, :, 2] = np.where(due > 0, sold / np.where(due > 0, due, 1.0), everyone)
    return out


@nb.njit(cache=True, nogil=True)
def _recent_sums(  # type: ignore[no-untyped-def]
    demand, exposure, factors, row, first, group, origins, slow, periods, n_groups
):
    """Units sold and units due at the slow level in the periods before each origin, by group; (n_groups, n_origins)."""
    sold, due = np.zeros((n_groups, origins.size)), np.zeros((n_groups, origins.size))
    for i in range(demand.shape[0]):
        f = factors[row[i]]
        for k in range(origins.size):
            t = origins[k]
            if first[i] >= t:
                continue
            units, exposed = 0.0, 0.0
            for s in range(max(t - periods, 0), t):
                share = _share(exposure[i, s])
                if share > 0.0:
                    units += demand[i, s]
                    exposed += share * f[s]
            sold[group[i], k] += units
            due[group[i], k] += exposed * slow[i, k]
    return sold, due


def _column_names(panel: DemandPanel) -> list[str]:
    return ["group", *(["log_price"] if "price" in panel.items else [])]


def _item_columns(panel: DemandPanel, group: Ints) -> Floats:
    columns = [group.astype(np.float64)]
    if "price" in panel.items:
        price = pd.to_numeric(panel.items["price"], errors="coerce").to_numpy(dtype=np.float64)
        columns.append(np.log(np.maximum(np.nan_to_num(price, nan=1.0), 0.01)))
    return np.stack(columns, axis=1)


@nb.njit(cache=True, nogil=True)
def _own_features(  # type: ignore[no-untyped-def]
    demand, exposure, factors, row, first, origins, levels, variance, n_used, item, column, back, window, year, floor
):
    n = item.size
    n_back = back.size
    out = np.empty((n, 21 + n_back))
    anchors = np.empty(n)
    rates, nonzero, deviation = np.empty(n_back), np.empty(n_back), np.empty(n_back)
    for j in range(n):
        i, k = item[j], column[j]
        t = origins[k]
        f = factors[row[i]]
        ahead = 0.0
        for s in range(t, t + window):
            ahead += f[s]
        slow, middle, fast = levels[0, i, k], levels[1, i, k], levels[2, i, k]
        level = 0.25 * slow + 0.5 * middle + 0.25 * fast + floor
        anchors[j] = level * ahead
        units, squares, exposed, shown, with_demand = 0.0, 0.0, 0.0, 0.0, 0.0
        last, last_units, in_stock = -1, 0.0, 0.0
        place = 0
        # Backwards from the origin: each look-back window closes where it ends.
        for s in range(t - 1, first[i] - 1, -1):
            age = t - s
            while place < n_back and back[place] < age:
                rates[place], nonzero[place], deviation[place] = _window_state(
                    units, squares, exposed, shown, with_demand
                )
                if place == 3:
                    in_stock = shown / back[3]
                place += 1
            share = _share(exposure[i, s])
            if share > 0.0:
                y = demand[i, s]
                units += y
                squares += y * y
                exposed += share * f[s]
                shown += share
                if y > 0.0:
                    with_demand += 1.0
                    if last < 0:
                        last, last_units = age, y
        ever = _window_state(units, squares, exposed, shown, with_demand)
        if place <= 3:
            in_stock = min(shown / max(min(back[3], t), 1), 1.0)
        while place < n_back:
            rates[place], nonzero[place], deviation[place] = ever
            place += 1
        ago_units, ago_exposed = 0.0, 0.0
        if t >= year:
            for s in range(max(t - year, first[i]), min(t - year + window, t)):
                share = _share(exposure[i, s])
                if share > 0.0:
                    ago_units += demand[i, s]
                    ago_exposed += share * f[s]
        size = units / with_demand if with_demand > 0 else 0.0
        spread = max(squares / with_demand - size * size, 0.0) if with_demand > 0 else 0.0
        row_out = out[j]
        row_out[0] = np.log(level / floor)
        row_out[1] = np.log(max(ahead, 1e-9) / window)
        row_out[2], row_out[3], row_out[4] = slow / level, middle / level, fast / level
        row_out[5] = np.sqrt(max(variance[i, k], 0.0)) / level
        row_out[6] = min(n_used[i, k], 2.0 * year)
        row_out[7] = min(last if last > 0 else t, year * 2)
        row_out[8] = last_units / level * np.exp(-(last if last > 0 else 0) / 12.0)
        c = 9
        for b in range(n_back):
            row_out[c] = rates[b] / level
            c += 1
        row_out[c] = ever[0] / level
        row_out[c + 1], row_out[c + 2], row_out[c + 3] = nonzero[3], nonzero[4], nonzero[6]
        row_out[c + 4] = ever[1]
        row_out[c + 5], row_out[c + 6] = deviation[4] / level, deviation[6] / level
        row_out[c + 7] = ever[2] / level
        row_out[c + 8] = size / (20.0 * floor)
        row_out[c + 9] = np.sqrt(spread) / size if size > 0 else 0.0
        row_out[c + 10] = in_stock
        row_out[c + 11] = ago_units / ago_exposed / level if ago_exposed > 0.02 else 1.0
    return out, anchors


@nb.njit(cache=True, inline="always")
def _share(exposure):  # type: ignore[no-untyped-def]
    return RAN_OUT_SHARE if exposure == RAN_OUT else exposure


@nb.njit(cache=True, inline="always")
def _window_state(units, squares, exposed, shown, with_demand):  # type: ignore[no-untyped-def]
    """Rate per unit of exposure, share of shown periods with demand, standard deviation of a period."""
    if shown <= 1e-9:
        return 0.0, 0.0, 0.0
    mean = units / shown
    rate = units / exposed if exposed > 1e-9 else 0.0
    return rate, min(with_demand / shown, 1.0), np.sqrt(max(squares / shown - mean * mean, 0.0))
