"""Seasonal indices pooled over groups of items: week of the year or month, and day of the week on a daily clock.

One item sells too little to show its own season; a group does. An index is observed over expected demand, where the
expectation is each item's centred one-year mean, so that a changing assortment, stockouts and trends do not pass for
season. How far an index is believed is its credibility (Buehlmann 1967): the variance between positions of the year
over that variance plus the noise, which is what the same position differs by from year to year. The index of all items
is drawn to 1, a group's index to that of all items. Indices average 1 over a year (a week).
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.clock import SEASON_PERIODS
from backorder_forecast.panel import DemandPanel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_WEEKS = 53
_MIN_FACTOR = 0.02
_GROWTH_UNITS = 200.0
_MIN_DAYS = 56


@dataclass(frozen=True, eq=False)
class SeasonalIndex:
    """Multiplicative indices per group of items.

    Attributes
    ----------
    groups
        Name of each group, length n_groups.
    item_group
        Row of `groups` for each item, shape (n_items,).
    yearly
        Index per group and position in the year (53 weeks, or 12 months), shape (n_groups, 53 or 12); all 1 where
        fewer than two years are known.
    weekly
        Index per group and weekday, Monday first, shape (n_groups, 7); all 1 off a daily clock.
    freq
        Period code.
    """

    groups: list[str]
    item_group: NDArray[np.int64]
    yearly: NDArray[np.float64]
    weekly: NDArray[np.float64]
    freq: str

    def factors(self, periods: pd.DatetimeIndex) -> NDArray[np.float64]:
        """Index of each group in each period, shape (n_groups, n_periods)."""
        factors = self.yearly[:, year_position(periods, self.freq)]
        if self.freq == "D":
            factors = factors * self.weekly[:, np.asarray(periods.day_of_week)]
        return np.asarray(np.maximum(factors, _MIN_FACTOR))


def fit_seasonality(panel: DemandPanel, groups: pd.Series | None = None) -> SeasonalIndex:
    """Pooled seasonal indices of a panel.

    Parameters
    ----------
    panel
        Demand and exposure per item and period.
    groups
        Group of each item in item order (a category); one group for all without it.

    Returns
    -------
    SeasonalIndex

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from backorder_forecast.panel import demand_panel
    >>> days = pd.date_range("2024-01-01", periods=140)
    >>> sales = pd.DataFrame({"sku": "A", "date": days, "quantity": np.where(days.day_of_week < 5, 14.0, 0.0)})
    >>> fit_seasonality(demand_panel(sales, freq="D")).weekly.round(1).tolist()
    [[1.4, 1.4, 1.4, 1.4, 1.4, 0.0, 0.0]]
    """
    names, codes = _group_codes(groups, panel.n_items)
    n_groups = len(names)
    n_positions = 12 if panel.freq == "MS" else _WEEKS
    yearly, weekly = np.ones((n_groups, n_positions)), np.ones((n_groups, 7))
    cycle = SEASON_PERIODS[panel.freq]
    if panel.n_periods >= int(2 * cycle) - (2 if panel.freq == "D" else 0):
        observed, expected, early, late = _group_sums(panel.demand, panel.exposure, codes, n_groups, round(cycle))
        expected *= np.exp(_growth(early, late, panel.n_periods) * _beyond(panel.n_periods, round(cycle)))
        position = year_position(panel.periods, panel.freq)
        block = np.cumsum(np.append(0, np.diff(position) != 0))
        observed, expected = _by_block(observed, block), _by_block(expected, block)
        if panel.freq != "MS":
            observed, expected = _smoothed(observed), _smoothed(expected)
        yearly = _credible(observed, expected, position[np.flatnonzero(np.diff(block, prepend=-1))], n_positions)
    if panel.freq == "D" and panel.n_periods >= _MIN_DAYS:
        observed, expected, _, _ = _group_sums(panel.demand, panel.exposure, codes, n_groups, 7)
        weekly = _credible(observed, expected, np.asarray(panel.periods.day_of_week, dtype=np.int64), 7)
    return SeasonalIndex(names, codes, yearly, weekly, panel.freq)


def year_position(periods: pd.DatetimeIndex, freq: str) -> NDArray[np.int64]:
    """Place of each period in the year: month 0-11 on a monthly clock, else seven-day block 0-52."""
    if freq == "MS":
        return np.asarray(periods.month, dtype=np.int64) - 1
    middle = periods if freq == "D" else periods + pd.Timedelta(days=3)
    return (np.asarray(middle.day_of_year, dtype=np.int64) - 1) // 7


def _group_codes(groups: pd.Series | None, n_items: int) -> tuple[list[str], NDArray[np.int64]]:
    if groups is None or bool(groups.isna().all()):
        return ["all"], np.zeros(n_items, dtype=np.int64)
    codes, names = pd.factorize(groups.fillna("").astype(str), sort=True)
    return [str(n) for n in names], codes.astype(np.int64)


def _credible(observed: Floats, expected: Floats, position: Ints, n_positions: int) -> Floats:
    """Index per group and position: groups are drawn to all items, all items to 1, each by its credibility."""
    everyone = np.ones((1, n_positions))
    index, noise = _raw_index(
        observed.sum(axis=0, keepdims=True), expected.sum(axis=0, keepdims=True), position, everyone
    )
    signal = max(float(((index - 1.0) ** 2 - noise).mean()), 0.0)
    everyone = 1.0 + (index - 1.0) * signal / (signal + noise)
    if len(observed) > 1:
        index, noise = _raw_index(observed, expected, position, everyone)
        away = index - everyone
        # The spread between groups is one number for all of them, the better known groups counting more.
        known = expected.sum(axis=1) > 0
        if known.any():
            weight = 1.0 / np.maximum(noise.mean(axis=1), 1e-6)
            signal = max(float(np.average((away**2 - noise).mean(axis=1)[known], weights=weight[known])), 0.0)
            everyone = everyone + away * signal / (signal + noise)
    index = np.maximum(np.broadcast_to(everyone, (len(observed), n_positions)), 0.0)
    return np.asarray(index / index.mean(axis=1, keepdims=True))


def _raw_index(observed: Floats, expected: Floats, position: Ints, drawn_to: Floats) -> tuple[Floats, Floats]:
    """Index per group and position, and the variance of its error as years (weeks) differ from one another."""
    n_positions = drawn_to.shape[1]
    seen = np.stack([np.bincount(position, row, n_positions) for row in observed])
    due = np.stack([np.bincount(position, row, n_positions) for row in expected])
    index = np.where(due > 0, seen / np.maximum(due, 1e-12), drawn_to)
    typical = np.maximum(expected.mean(axis=1, keepdims=True), 1e-12)
    weight = expected / typical
    ratio = np.where(expected > 0, observed / np.maximum(expected, 1e-12), 0.0)
    times = np.bincount(position, minlength=n_positions)
    freedom = max(int(np.maximum(times - 1, 0).sum()), 1)
    residual = (weight * (ratio - index[:, position]) ** 2).sum(axis=1, keepdims=True) / freedom
    return index, np.asarray(np.maximum(residual, 1e-12) / np.maximum(due / typical, 0.3))


def _growth(early: Floats, late: Floats, n_periods: int) -> Floats:
    """Log growth per period of each group, (n_groups, 1): last half over first half of the items seen in both."""
    half = n_periods // 2
    weight = _GROWTH_UNITS / max(half, 1)
    return np.asarray(np.log((late + weight) / (early + weight)) / max(n_periods - half, 1))[:, None]


def _beyond(n_periods: int, window: int) -> Floats:
    """How far each period lies beyond the nearest full centred window, which stands for the edges; (n_periods,)."""
    window = min(window, n_periods)
    wanted = np.arange(n_periods) - window // 2
    return np.asarray(wanted - np.clip(wanted, 0, n_periods - window), dtype=np.float64)


def _by_block(values: Floats, block: Ints) -> Floats:
    return np.stack([np.bincount(block, row) for row in values])


def _smoothed(values: Floats, window: int = 5) -> Floats:
    half = window // 2
    padded = np.concatenate([values[:, :1]] * half + [values] + [values[:, -1:]] * half, axis=1)
    return np.asarray(np.mean([padded[:, k : k + values.shape[1]] for k in range(window)], axis=0))


@nb.njit(cache=True, nogil=True)
def _group_sums(demand, exposure, codes, n_groups, window):  # type: ignore[no-untyped-def]
    """Observed and expected units by group and period, and mean rates of both halves of the items seen in both."""
    n_items, n_periods = demand.shape
    window = min(window, n_periods)
    half = n_periods // 2
    observed, expected = np.zeros((n_groups, n_periods)), np.zeros((n_groups, n_periods))
    early, late = np.zeros(n_groups), np.zeros(n_groups)
    sold, usable = np.zeros(n_periods + 1), np.zeros(n_periods + 1)
    for i in range(n_items):
        g = codes[i]
        begun = False
        for t in range(n_periods):
            begun = begun or demand[i, t] > 0.0
            share = exposure[i, t] if begun and exposure[i, t] > 0.0 else 0.0
            usable[t + 1] = usable[t] + share
            sold[t + 1] = sold[t] + (demand[i, t] if share > 0.0 else 0.0)
        if not begun:
            continue
        for t in range(n_periods):
            start = min(max(t - window // 2, 0), n_periods - window)
            shown = usable[start + window] - usable[start]
            share = usable[t + 1] - usable[t]
            if shown > 1e-9 and share > 0.0:
                observed[g, t] += sold[t + 1] - sold[t]
                expected[g, t] += (sold[start + window] - sold[start]) / shown * share
        first, last = usable[half], usable[n_periods] - usable[n_periods - half]
        if first > 0.2 * half and last > 0.2 * half:
            early[g] += sold[half] / first
            late[g] += (sold[n_periods] - sold[n_periods - half]) / last
    return observed, expected, early, late
