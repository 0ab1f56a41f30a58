"""The law of demand: one level per path, then a count per period; `DemandModel` holds it, `paths` draws from it.

A path draws its level once (gamma with mean m and variance l), then a count per period (negative binomial) with the
remaining variance w: one period has variance w + l, a sum of h periods h w + h^2 l. Seasonal, event and near-term
factors multiply the level. A share of periods without any demand may be set apart from the rest (zero inflation) at
the same mean and variance. Non-integer units are drawn as zeros mixed with gamma sizes of the same moments.
Quantiles, paths and sums all come from this one law.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast import streams
from backorder_forecast.clock import Clock
from backorder_forecast.distributions import gamma_table
from backorder_forecast.events import CalendarEffects
from backorder_forecast.level_laws import LevelLaw, sum_moments, sum_quantiles
from backorder_forecast.paths import SamplePaths
from backorder_forecast.seasonality import SeasonalIndex

_SHAPES = np.exp(np.linspace(np.log(0.01), np.log(1e4), 180))
_BINS = 512
_SIDE_BY_SIDE = 16
"""Paths of one item whose streams move on together."""
_TINY = 1e-100

DemandDraw = Callable[[int, int, int], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class DemandModel:
    """What is known of each item's demand; `paths` draws from it.

    Attributes
    ----------
    items
        Columns sku, location (and product columns).
    level, level_variance
        Mean units per period at seasonal index 1 and the variance of that mean, shape (n_items,).
    within_variance
        Variance of one period given the level, shape (n_items,).
    zero_share
        Share of periods without demand, for items in non-integer units; NaN for counted items.
    season
        Pooled seasonal indices.
    starts, ends
        First and last day on which each item sells; NaT where open.
    effects
        Lifts of events and holidays; None for none.
    near, near_periods
        Factor on the level in the first periods ahead, shape (n_items,), and how many they are; None for 1.
    quiet_share
        Share of periods set apart as without demand, counted items only, shape (n_items,); None for 0.
    losses
        What the trials compared, see `choices.Choice`; None where there were none.
    about
        One row per item: sku, location, method, demand_class, mean_per_period, alpha, n_periods, n_nonzero,
        censored_share, confidence, confidence_reason.
    """

    items: pd.DataFrame
    level: NDArray[np.float64]
    level_variance: NDArray[np.float64]
    within_variance: NDArray[np.float64]
    zero_share: NDArray[np.float64]
    season: SeasonalIndex
    starts: pd.DatetimeIndex
    ends: pd.DatetimeIndex
    about: pd.DataFrame
    effects: CalendarEffects | None = None
    near: NDArray[np.float64] | None = None
    near_periods: int = 0
    quiet_share: NDArray[np.float64] | None = None
    losses: pd.DataFrame | None = None

    def mean(self, clock: Clock) -> NDArray[np.float64]:
        """Expected demand per item and period ahead, shape (n_items, n_periods)."""
        return np.asarray(self.level[:, None] * self.factors(clock, slice(None)))

    def factors(self, clock: Clock, rows: slice) -> NDArray[np.float64]:
        """Seasonal index, event lift, near factor and share of each period on sale, shape (n_rows, n_periods)."""
        return self._factors(self._calendar(clock), clock, rows)

    def past_factors(self, periods: pd.DatetimeIndex) -> NDArray[np.float64]:
        """Seasonal index times event lift of each item in past periods, shape (n_items, n_periods)."""
        season = self.season.factors(periods)[self.season.item_group]
        return season if self.effects is None else season * self.effects.factors(periods)[self.effects.row_of_item]

    def _calendar(self, clock: Clock) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        lifts = None if self.effects is None else self.effects.factors(clock.starts, after=clock.as_of)
        return self.season.factors(clock.starts), lifts

    def _factors(
        self, calendar: tuple[NDArray[np.float64], NDArray[np.float64] | None], clock: Clock, rows: slice
    ) -> NDArray[np.float64]:
        season, lifts = calendar
        factors = season[self.season.item_group[rows]]
        if lifts is not None and self.effects is not None:
            factors = factors * lifts[self.effects.row_of_item[rows]]
        if self.near is not None:
            factors = factors.copy()
            factors[:, : self.near_periods] *= self.near[rows, None]
        starts, ends = self.starts[rows], self.ends[rows]
        bounded = np.asarray(starts.notna()) | np.asarray(ends.notna())
        if not bounded.any():
            return np.asarray(factors * clock.fraction)
        on_sale = np.broadcast_to(clock.fraction, factors.shape).copy()
        on_sale[bounded] = _share_on_sale(starts[bounded], ends[bounded], clock)
        return np.asarray(factors * on_sale)

    def sum_quantiles(self, clock: Clock, levels: Sequence[float]) -> NDArray[np.float64]:
        """Quantiles of the demand summed over all periods of a clock, without paths; shape (n_items, n_levels).

        Negative binomial (gamma with zeros for other units) of exactly the mean and variance that paths have; where
        quiet periods are set apart, the share of sums without demand is that of the law without them.
        """
        factors = self.factors(clock, slice(None))
        counted = np.isnan(self.zero_share)
        law = LevelLaw(self.level, self.level_variance, self.within_variance)
        mean, variance = sum_moments(law, counted, factors.sum(axis=1), (factors**2).sum(axis=1))
        none = np.nan_to_num(self.zero_share) ** np.maximum((factors > 0).sum(axis=1), 1)
        return sum_quantiles(mean, variance, counted, none, np.asarray(levels, dtype=np.float64))

    def paths(self, clock: Clock, *, n_paths: int, seed: int, bucket_size: int = 64) -> SamplePaths:
        """Sample paths of demand over the periods of a clock."""
        draw = self.drawer(clock, n_paths=n_paths, seed=seed)
        items = self.items[["sku", "location"]].astype("str")
        return SamplePaths(
            items, clock.starts, n_paths, lambda start, stop: draw(start, stop, clock.n_periods), bucket_size
        )

    def drawer(self, clock: Clock, *, n_paths: int, seed: int) -> DemandDraw:
        """Function (start, stop, n_periods) -> demand of the items start to stop over the first periods of a clock.

        Values are (stop - start, n_paths, n_periods); fewer periods give the beginning of the same paths.
        """
        keys = streams.item_keys(self.items["sku"], self.items["location"], seed, streams.DEMAND)
        table = _mixing_table()
        shape, scale, zero = self._laws()
        level_shape = self.level**2 / np.maximum(self.level_variance, 1e-300)
        calendar = self._calendar(clock)
        counted = np.isnan(self.zero_share)

        def draw(start: int, stop: int, n_periods: int) -> NDArray[np.float64]:
            rows = slice(start, stop)
            factors = np.ascontiguousarray(self._factors(calendar, clock, rows)[:, :n_periods])
            laws = (self.level[rows], level_shape[rows], shape[rows], scale[rows], zero[rows], counted[rows])
            return np.asarray(_draw(keys[rows], *laws, factors, table, n_paths))

        return draw

    def scaled(self, factor: NDArray[np.float64]) -> DemandModel:
        """The same model with each item's demand multiplied by a factor, shape (n_items,)."""
        law = LevelLaw(self.level, self.level_variance, self.within_variance)
        law = law.scaled(factor, np.ones(len(factor)), np.isnan(self.zero_share))
        return replace(self, level=law.level, level_variance=law.level_variance, within_variance=law.within)

    def _laws(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Shape of the mixing gamma, scale of the mean of periods with demand and share of those without, per item."""
        m, w = self.level, self.within_variance
        counted = np.isnan(self.zero_share)
        # E[level^2] = m^2 + level variance enters the dispersion, so that one period has exactly the variance v.
        square = m**2 + self.level_variance
        with np.errstate(divide="ignore", invalid="ignore"):
            excess = np.where(counted, w - m, w)
            quiet = np.zeros_like(m) if self.quiet_share is None else self.quiet_share
            # More quiet periods than this would leave the others less spread than Poisson.
            quiet = np.minimum(quiet, np.where(excess > 0, excess / (excess + square), 0.0))
            busy = 1.0 - np.where(counted, quiet, np.nan_to_num(self.zero_share))
            scale = 1.0 / np.maximum(busy, 1e-9)
            dispersion = (excess + square) / (square * scale) - 1.0
            # Counts next to Poisson are drawn as Poisson.
            flat = np.where(counted & (busy == 1.0), w <= 1.02 * m, dispersion <= 1e-9)
            shape = np.where(flat, np.inf, 1.0 / np.maximum(dispersion, 1e-12))
        return shape, scale, 1.0 - busy


def _share_on_sale(first: pd.DatetimeIndex, last: pd.DatetimeIndex, clock: Clock) -> NDArray[np.float64]:
    """Share of each period's days that lie ahead and between an item's first and last day on sale (NaT: open)."""
    far_back, far_ahead = np.datetime64("1900-01-01"), np.datetime64("2200-01-01")
    begins = first.to_numpy().astype("datetime64[D]")[:, None]
    closes = last.to_numpy().astype("datetime64[D]")[:, None]
    begins, closes = np.where(np.isnat(begins), far_back, begins), np.where(np.isnat(closes), far_ahead, closes)
    opens = clock.starts.to_numpy().astype("datetime64[D]")
    ends = clock.ends.to_numpy().astype("datetime64[D]")
    tomorrow = clock.as_of.to_datetime64().astype("datetime64[D]") + np.timedelta64(1, "D")
    days = (np.minimum(ends, closes) - np.maximum(np.maximum(opens, tomorrow), begins)).astype(np.float64) + 1.0
    return np.asarray(np.clip(days, 0.0, None) / ((ends - opens).astype(np.float64) + 1.0))


@lru_cache(maxsize=1)
def _mixing_table() -> NDArray[np.float64]:
    """Conditional means of unit-mean gammas over equiprobable bins, one row per shape."""
    return gamma_table(_SHAPES, _BINS)


@nb.njit(cache=True, nogil=True)
def _draw(keys, level, level_shape, shape, scale, zero, counted, factors, table, n_paths):  # type: ignore[no-untyped-def]
    n_items = level.size
    n_periods = factors.shape[1]
    out = np.zeros((n_items, n_paths, n_periods))
    for i in range(n_items):
        m = level[i]
        if m <= 0.0:
            continue
        row, weight, spread = _table_row(shape[i], table.shape[0])
        level_row, level_weight, level_spread = _table_row(level_shape[i], table.shape[0])
        mixing = table[row] * (1.0 - weight) + table[row + 1] * weight
        levels = np.ones(table.shape[1])
        if level_spread:
            levels = table[level_row] * (1.0 - level_weight) + table[level_row + 1] * level_weight
        if counted[i] and spread and zero[i] <= 0.0 and m * levels.min() * mixing.min() > _TINY:
            _draw_mixed(keys[i], m, levels, mixing, factors[i], out[i])
            continue
        for p in range(n_paths):
            s0, s1 = streams.start(keys[i], p)
            path_level = m
            bits, s0, s1 = streams.step(s0, s1)
            if level_spread:
                path_level *= _mixed(table, level_row, level_weight, bits)
            for t in range(n_periods):
                mean = path_level * factors[i, t]
                if mean <= 0.0:
                    continue
                if zero[i] > 0.0:
                    bits, s0, s1 = streams.step(s0, s1)
                    if streams.unit(bits) < zero[i]:
                        continue
                    mean *= scale[i]
                if spread:
                    bits, s0, s1 = streams.step(s0, s1)
                    mean *= mixing[np.int64(bits >> np.uint64(55))]
                if counted[i]:
                    out[i, p, t], s0, s1 = streams.poisson(mean, s0, s1)
                else:
                    out[i, p, t] = mean
    return out


@nb.njit(cache=True, nogil=True)
def _draw_mixed(key, level, levels, mixing, factors, out):  # type: ignore[no-untyped-def]
    """Mixed Poisson counts of one item, (n_paths, n_periods): the streams of a few paths move on side by side.

    A processor works on several paths at once where it would wait for each step of a single one.
    """
    n_paths = len(out)
    first, second = np.zeros(_SIDE_BY_SIDE, dtype=np.uint64), np.zeros(_SIDE_BY_SIDE, dtype=np.uint64)
    path_level, mean = np.zeros(_SIDE_BY_SIDE), np.zeros(_SIDE_BY_SIDE)
    u, none = np.zeros(_SIDE_BY_SIDE), np.zeros(_SIDE_BY_SIDE)
    busiest = mixing.max()
    for begin in range(0, n_paths, _SIDE_BY_SIDE):
        n = min(_SIDE_BY_SIDE, n_paths - begin)
        for k in range(n):
            s0, s1 = streams.start(key, begin + k)
            bits, first[k], second[k] = streams.step(s0, s1)
            path_level[k] = level * levels[bits >> np.uint64(55)]
        most = path_level.max() * busiest * (1.0 + 1e-9)
        for t in range(len(factors)):
            if factors[t] <= 0.0:
                continue
            if most * factors[t] >= streams.LARGE_MEAN:
                for k in range(n):
                    bits, s0, s1 = streams.step(first[k], second[k])
                    expected = path_level[k] * factors[t] * mixing[bits >> np.uint64(55)]
                    out[begin + k, t], first[k], second[k] = streams.poisson(expected, s0, s1)
                continue
            # The same without a branch, over a fixed number of paths.
            for k in range(_SIDE_BY_SIDE):
                bits, s0, s1 = streams.step(first[k], second[k])
                expected = path_level[k] * factors[t] * mixing[bits >> np.uint64(55)]
                bits, first[k], second[k] = streams.step(s0, s1)
                mean[k], u[k], none[k] = expected, streams.unit(bits), streams.surely_none(expected)
            for k in range(n):
                if u[k] > none[k]:
                    out[begin + k, t] = streams.inverse_poisson(u[k], mean[k])


@nb.njit(cache=True, inline="always")
def _table_row(shape, n_rows):  # type: ignore[no-untyped-def]
    """Row and weight of a gamma shape in the table; False where the gamma is as good as its mean."""
    if not shape < 1e4:
        return 0, 0.0, False
    place = (np.log(max(shape, 0.01)) - np.log(0.01)) / (np.log(1e4) - np.log(0.01)) * (n_rows - 1)
    row = min(int(place), n_rows - 2)
    return row, place - row, True


@nb.njit(cache=True, inline="always")
def _mixed(table, row, weight, bits):  # type: ignore[no-untyped-def]
    # The upper bits are the good ones of xoroshiro128+.
    b = np.int64(bits >> np.uint64(55))
    return table[row, b] * (1.0 - weight) + table[row + 1, b] * weight
