"""Seasonal indices pooled over groups of items: week of the year or month, and day of the week on a daily clock.

One item sells too little to show its own season; a group does. An index is observed over expected demand, where the
expectation is each item's centred one-year mean, so that a changing assortment, stockouts and trends do not pass for
season. A group's index is shrunk to the index of all items, and that one to 1, by a number of pseudo-units. Indices
average 1 over a year (a week).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.clock import SEASON_PERIODS
from backorder_forecast.panel import DemandPanel

_WEEKS = 53
_MIN_FACTOR = 0.02
_GROWTH_UNITS = 200.0


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


def fit_seasonality(
    panel: DemandPanel, groups: pd.Series | None = None, *, shrink_units: float = 200.0
) -> SeasonalIndex:
    """Pooled seasonal indices of a panel.

    Parameters
    ----------
    panel
        Demand and exposure per item and period.
    groups
        Group of each item in item order (a category); one group for all without it.
    shrink_units
        Pseudo-units by which a group's index is drawn to that of all items.

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
    [[1.3, 1.3, 1.3, 1.3, 1.3, 0.2, 0.2]]
    """
    names, codes = _group_codes(groups, panel.n_items)
    n_groups = len(names)
    usable = np.where(panel.exposure > 0, panel.exposure, 0.0)
    usable *= np.maximum.accumulate(panel.demand > 0, axis=1)
    sold = np.where(usable > 0, panel.demand, 0.0)
    observed = _by_group(sold, codes, n_groups)
    n_positions = 12 if panel.freq == "MS" else _WEEKS
    yearly = np.ones((n_groups, n_positions))
    weekly = np.ones((n_groups, 7))
    cycle = SEASON_PERIODS[panel.freq]
    if panel.n_periods >= int(2 * cycle) - (2 if panel.freq == "D" else 0):
        mean, beyond = _centred_mean(sold, usable, round(cycle))
        expected = _by_group(mean * usable, codes, n_groups) * np.exp(_growth(sold, usable, codes, n_groups) * beyond)
        position = year_position(panel.periods, panel.freq)
        yearly = _index(observed, expected, position, n_positions, shrink_units)
        if panel.freq != "MS":
            yearly = _smooth_circular(yearly, 5)
        yearly /= yearly.mean(axis=1, keepdims=True)
    if panel.freq == "D" and panel.n_periods >= 56:
        expected = _by_group(_centred_mean(sold, usable, 7)[0] * usable, codes, n_groups)
        weekly = _index(observed, expected, np.asarray(panel.periods.day_of_week), 7, shrink_units)
        weekly /= weekly.mean(axis=1, keepdims=True)
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


def _by_group(values: NDArray[np.float64], codes: NDArray[np.int64], n_groups: int) -> NDArray[np.float64]:
    out = np.zeros((n_groups, values.shape[1]))
    for g in range(n_groups):
        out[g] = values[codes == g].sum(axis=0)
    return out


def _growth(
    sold: NDArray[np.float64], usable: NDArray[np.float64], codes: NDArray[np.int64], n_groups: int
) -> NDArray[np.float64]:
    """Log growth per period of each group, (n_groups, 1): last half over first half of the items seen in both."""
    half = sold.shape[1] // 2

    def rates(part: slice) -> NDArray[np.float64]:
        exposure = usable[:, part].sum(axis=1)
        return np.where(exposure > 0.2 * half, sold[:, part].sum(axis=1) / np.maximum(exposure, 1e-9), np.nan)

    early, late = rates(slice(0, half)), rates(slice(sold.shape[1] - half, None))
    both = ~np.isnan(early + late)
    weight = _GROWTH_UNITS / max(half, 1)
    totals = [np.bincount(codes[both], rate[both], n_groups) + weight for rate in (early, late)]
    return np.asarray(np.log(totals[1] / totals[0]) / max(sold.shape[1] - half, 1))[:, None]


def _centred_mean(
    sold: NDArray[np.float64], usable: NDArray[np.float64], window: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean per unit of exposure over a centred window, and how far each period lies beyond the nearest full window.

    The first and last full windows stand for the edges; the distance (n_periods,) is what a trend has to bridge.
    """
    n_periods = sold.shape[1]
    window = min(window, n_periods)
    wanted = np.arange(n_periods) - window // 2
    start = np.clip(wanted, 0, n_periods - window)

    def windowed(values: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
        return np.asarray(total[:, start + window] - total[:, start])

    exposure = windowed(usable)
    mean = windowed(sold) / np.maximum(exposure, 1e-9) * (exposure > 1e-9)
    return np.asarray(mean), (wanted - start).astype(np.float64)


def _index(
    observed: NDArray[np.float64],
    expected: NDArray[np.float64],
    position: NDArray[np.int64],
    n_positions: int,
    shrink_units: float,
) -> NDArray[np.float64]:
    n_groups = len(observed)
    seen = np.zeros((n_groups, n_positions))
    due = np.zeros((n_groups, n_positions))
    for g in range(n_groups):
        seen[g] = np.bincount(position, observed[g], n_positions)
        due[g] = np.bincount(position, expected[g], n_positions)
    everyone = (seen.sum(axis=0) + shrink_units) / (due.sum(axis=0) + shrink_units)
    # A gamma-Poisson posterior mean with `shrink_units` pseudo-units at the index of all items.
    return np.asarray((seen + shrink_units * everyone) / (due + shrink_units))


def _smooth_circular(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    half = window // 2
    padded = np.concatenate([values[:, -half:], values, values[:, :half]], axis=1)
    return np.asarray(np.mean([padded[:, k : k + values.shape[1]] for k in range(window)], axis=0))
