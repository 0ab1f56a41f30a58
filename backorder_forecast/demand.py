"""Demand as a distribution: a panel goes in, sample paths come out.

Level and one-step variance come from NB-SES (`nbses.py`), the season from pooled indices (`seasonality.py`). The
variance is drawn to the line that all items share, log v = c + d log m. A path draws its level once (gamma with mean m
and variance v a / 2), then a count per period (negative binomial) with the remaining variance v (1 - a / 2): one
period has variance v, a sum of h periods h v (1 - a / 2) + h^2 v a / 2. Items with little history take a gamma-Poisson
posterior from their group. Non-integer units are drawn as zeros mixed with gamma sizes of the same moments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from numbers import Integral

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast import streams
from backorder_forecast.clock import Clock
from backorder_forecast.distributions import gamma_table
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.nbses import LevelStates, choose_alpha, scan_levels
from backorder_forecast.panel import RAN_OUT, DemandPanel
from backorder_forecast.paths import SamplePaths
from backorder_forecast.seasonality import SeasonalIndex, fit_seasonality
from backorder_forecast.settings import Settings
from backorder_forecast.smoothing import demand_classes

_SHAPES = np.exp(np.linspace(np.log(0.01), np.log(1e4), 180))
_BINS = 512
_SELECTION_ITEMS = 1500


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

    def mean(self, clock: Clock) -> NDArray[np.float64]:
        """Expected demand per item and period ahead, shape (n_items, n_periods)."""
        return np.asarray(self.level[:, None] * self.factors(clock, slice(None)))

    def factors(self, clock: Clock, rows: slice) -> NDArray[np.float64]:
        """Seasonal index times the share of each period on sale, shape (n_rows, n_periods)."""
        group = self.season.item_group[rows]
        season = self.season.factors(clock.starts)[group]
        factors = season * clock.fraction
        starts, ends = self.starts[rows], self.ends[rows]
        bounded = np.asarray(starts.notna()) | np.asarray(ends.notna())
        if bounded.any():
            factors[bounded] = season[bounded] * _share_on_sale(starts[bounded], ends[bounded], clock)
        return factors

    def paths(self, clock: Clock, *, n_paths: int, seed: int, bucket_size: int = 128) -> SamplePaths:
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

        def draw(start: int, stop: int, n_periods: int) -> NDArray[np.float64]:
            rows = slice(start, stop)
            factors = np.ascontiguousarray(self.factors(clock, rows)[:, :n_periods])
            laws = (self.level[rows], level_shape[rows], shape[rows], scale[rows], zero[rows])
            return np.asarray(_draw(keys[rows], *laws, factors, table, n_paths))

        return draw

    def scaled(self, factor: NDArray[np.float64]) -> DemandModel:
        """The same model with each item's demand multiplied by a factor, shape (n_items,)."""
        return replace(
            self,
            level=self.level * factor,
            level_variance=self.level_variance * factor**2,
            within_variance=self.within_variance * factor**2,
        )

    def _laws(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Shape of the mixing gamma, scale of the non-zero mean and zero share, per item."""
        m, w = self.level, self.within_variance
        counted = np.isnan(self.zero_share)
        # E[level^2] = m^2 + level variance enters the dispersion, so that one period has exactly the variance v.
        square = m**2 + self.level_variance
        with np.errstate(divide="ignore", invalid="ignore"):
            shape = np.where(w > 1.02 * m, square / (w - m), np.inf)
            busy = 1.0 - np.nan_to_num(self.zero_share)
            scale = np.where(counted, 1.0, 1.0 / np.maximum(busy, 1e-9))
            dispersion = (w + square) / (square * scale) - 1.0
            size_shape = np.where(dispersion > 1e-9, 1.0 / dispersion, np.inf)
        zero = np.where(counted, -1.0, 1.0 - busy)
        return np.where(counted, shape, size_shape), scale, zero


def forecast_demand(
    panel: DemandPanel, horizon: int = 8, seed: int = 0, *, settings: Settings | None = None
) -> SamplePaths:
    """Sample paths of demand over the `horizon` periods after a panel.

    Parameters
    ----------
    panel
        From `demand_panel`.
    horizon
        Periods ahead.
    seed
        Seed of the paths.
    settings
        Defaults of `Settings` where not given.

    Returns
    -------
    SamplePaths
        Demand (n_items, n_paths, horizon); `.quantiles([...])` and `.cumulative().quantiles([...])` give frames.

    Examples
    --------
    >>> import pandas as pd
    >>> from backorder_forecast.panel import demand_panel
    >>> weeks = pd.date_range("2023-01-02", periods=60, freq="W-MON")
    >>> panel = demand_panel(pd.DataFrame({"sku": "A", "date": weeks, "quantity": [3, 5, 4, 4] * 15}), freq="W-MON")
    >>> forecast_demand(panel, horizon=2).mean()["mean"].round(0).tolist()
    [4.0, 4.0]
    """
    if isinstance(horizon, bool) or not isinstance(horizon, Integral) or horizon < 1:
        raise InvalidSettings(f"horizon is a whole number of periods, at least one; got {horizon!r}")
    horizon = int(horizon)
    settings = settings or Settings(seed=seed)
    last = panel.until(panel.n_periods).as_of
    clock = Clock.ahead(last, panel.freq, 32 * horizon if panel.freq == "MS" else 7 * horizon)
    keep = slice(0, horizon)
    clock = replace(clock, starts=clock.starts[keep], ends=clock.ends[keep], fraction=clock.fraction[keep])
    model = fit_demand(panel, settings)
    return model.paths(clock, n_paths=settings.n_paths, seed=seed, bucket_size=settings.bucket_size)


def fit_demand(panel: DemandPanel, settings: Settings) -> DemandModel:
    """Fit NB-SES with pooled seasonality to a panel; product columns in `panel.items` are used where present."""
    items = panel.items
    category = items.get("category")
    season = fit_seasonality(panel, category, shrink_units=settings.season_shrink_units)
    factors = season.factors(panel.periods)
    first = _first_period(panel)
    init = _init_periods(panel, settings)
    sample = _selection_rows(panel, _SELECTION_ITEMS)
    alpha, _ = choose_alpha(
        _rows(panel, sample), factors, season.item_group[sample], first[sample],
        alphas=settings.alphas, min_in_stock=settings.min_in_stock, init_periods=init,
        default=0.03 if panel.freq == "D" else 0.1,
    )  # fmt: skip
    states = scan_levels(
        panel, factors, season.item_group, first, alpha=alpha, min_in_stock=settings.min_in_stock, init_periods=init,
        origins=[panel.n_periods],
    )  # fmt: skip
    zero = _zero_share(panel, states)
    level = states.level[:, 0]
    variance = _shrunk_variance(states, alpha, settings.variance_shrink_n, counted=np.isnan(zero))
    level_variance = variance * alpha / 2
    within = variance - level_variance
    thin = (states.n_used[:, 0] < settings.init_periods) | (states.n_nonzero[:, 0] < 1)
    starts, ends = _on_sale(items)
    # Never sold and no launch stated: nothing says that it ever will be.
    dead = (first >= panel.n_periods) & np.asarray(starts.isna())
    level, level_variance, within = _from_group(states, season, thin & ~dead, level, level_variance, within)
    for values in (level, level_variance, within):
        values[dead] = 0.0
    about = _about(panel, states, level, alpha, thin, dead, ends)
    return DemandModel(items, level, level_variance, within, zero, season, starts, ends, about)


def earlier_level(
    panel: DemandPanel, model: DemandModel, settings: Settings, *, periods_ago: int
) -> NDArray[np.float64]:
    """Level that the same model held some periods ago, shape (n_items,); 0 where it held none."""
    alpha = float(model.about["alpha"].dropna().iloc[0]) if model.about["alpha"].notna().any() else 0.1
    states = scan_levels(
        panel, model.season.factors(panel.periods), model.season.item_group, _first_period(panel), alpha=alpha,
        min_in_stock=settings.min_in_stock, init_periods=_init_periods(panel, settings),
        origins=[panel.n_periods - periods_ago],
    )  # fmt: skip
    return states.level[:, 0]


def _init_periods(panel: DemandPanel, settings: Settings) -> int:
    # Twelve days say little of a slow item: on a daily clock weeks are counted.
    return settings.init_periods * (7 if panel.freq == "D" else 1)


def _first_period(panel: DemandPanel) -> NDArray[np.int64]:
    """First period that counts: the stated launch, else the first sale; n_periods for neither."""
    sold = panel.demand > 0
    first = np.where(sold.any(axis=1), sold.argmax(axis=1), panel.n_periods)
    if "launched" in panel.items:
        launched = pd.DatetimeIndex(pd.to_datetime(panel.items["launched"]))
        at = panel.periods.searchsorted(launched.fillna(pd.Timestamp.max.normalize()), side="left")
        first = np.where(np.asarray(launched.isna()), first, np.minimum(first, at))
    return first.astype(np.int64)


def _on_sale(items: pd.DataFrame) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
    none = pd.Series(pd.NaT, index=items.index, dtype="datetime64[us]")
    launched = pd.to_datetime(items["launched"]) if "launched" in items else none
    ended = pd.to_datetime(items["discontinued"]) if "discontinued" in items else none
    return pd.DatetimeIndex(launched), pd.DatetimeIndex(ended)


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


def _selection_rows(panel: DemandPanel, n: int) -> NDArray[np.int64]:
    """Items that stand for all in choosing the smoothing constant: those with the smallest stable hash."""
    if panel.n_items <= n:
        return np.arange(panel.n_items)
    keys = streams.item_keys(panel.items["sku"], panel.items["location"], 0, 0)
    return np.sort(np.argsort(keys, kind="stable")[:n])


def _rows(panel: DemandPanel, rows: NDArray[np.int64]) -> DemandPanel:
    if len(rows) == panel.n_items:
        return panel
    items = panel.items.iloc[rows].reset_index(drop=True)
    return DemandPanel(items, panel.periods, panel.freq, panel.as_of, panel.demand[rows], panel.exposure[rows])


def _shrunk_variance(
    states: LevelStates, alpha: float, pseudo: float, *, counted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    m, v = states.level[:, 0], states.variance[:, 0]
    known = (m > 0) & (v > 0) & (states.n_nonzero[:, 0] >= 4)
    # Counts of independent customers are never less spread than Poisson; smaller is chance. Kilograms may be.
    floor = np.where(counted, m, 0.0)
    if int(known.sum()) < 10:
        return np.maximum(v, floor)
    slope, intercept = np.polyfit(np.log(m[known]), np.log(v[known]), 1)
    effective = np.minimum(states.n_used[:, 0], (2 - max(alpha, 0.1)) / max(alpha, 0.1))
    with np.errstate(divide="ignore"):
        line = intercept + slope * np.log(np.maximum(m, 1e-12))
        own = np.where(v > 0, np.log(np.maximum(v, 1e-300)), line)
    shrunk = np.exp((effective * own + pseudo * line) / (effective + pseudo))
    return np.where(m > 0, np.maximum(shrunk, floor), 0.0)


def _from_group(
    states: LevelStates, season: SeasonalIndex, thin: NDArray[np.bool_],
    level: NDArray[np.float64], level_variance: NDArray[np.float64], within: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Gamma-Poisson posterior for items with little history, its prior the levels of established items of the group."""
    level, level_variance, within = level.copy(), level_variance.copy(), within.copy()
    established = ~thin & (level > 0)
    for group in np.unique(season.item_group[thin]):
        peers = established & (season.item_group == group)
        if int(peers.sum()) < 5:
            peers = established
        rows = thin & (season.item_group == group)
        mean = float(level[peers].mean()) if peers.any() else float(np.maximum(states.units[rows, 0], 0.5).mean())
        spread = float(level[peers].var()) if int(peers.sum()) > 1 else mean**2
        shape = float(np.clip(mean**2 / max(spread, 1e-12), 0.2, 5.0))
        rate = shape / max(mean, 1e-9)
        ratio = max(float(np.median(within[peers] / level[peers])) if peers.any() else 1.0, 1.0)
        # Lumpy counts say as much as that many fewer single ones.
        a = shape + states.units[rows, 0] / ratio
        b = rate + states.exposure[rows, 0] / ratio
        level[rows] = a / b
        level_variance[rows] = a / b**2
        within[rows] = level[rows] * ratio
    return level, level_variance, within


def _zero_share(panel: DemandPanel, states: LevelStates) -> NDArray[np.float64]:
    fractional = (panel.demand != np.floor(panel.demand)).any(axis=1)
    share = 1.0 - (states.n_nonzero[:, 0] + 0.5) / (states.n_used[:, 0] + 1.0)
    return np.where(fractional, np.clip(share, 0.0, 0.999), np.nan)


def _about(
    panel: DemandPanel, states: LevelStates, level: NDArray[np.float64], alpha: float, thin: NDArray[np.bool_],
    dead: NDArray[np.bool_], ends: pd.DatetimeIndex,
) -> pd.DataFrame:  # fmt: skip
    recent = panel.exposure[:, -26:]
    hidden = ((recent < 0.25) | (recent == RAN_OUT)).mean(axis=1)
    nonzero, used = states.n_nonzero[:, 0], states.n_used[:, 0]
    ended = np.asarray(ends <= panel.as_of)
    reasons = np.select(
        [ended, dead, thin, nonzero < 4, hidden >= 0.5, (nonzero < 12) | (used < 26)],
        [
            "discontinued: no demand expected",
            "no demand in the history",
            "short history: level borrowed from its group",
            "fewer than 4 periods with demand",
            "out of stock in half of the last 26 periods or more",
            "fewer than 12 periods with demand or 26 periods of history",
        ],
        "enough history",
    )
    confidence = np.select(
        [ended, dead | thin | (nonzero < 4) | (hidden >= 0.5), (nonzero < 12) | (used < 26)],
        ["high", "low", "medium"],
        "high",
    )
    frame = panel.items[["sku", "location"]].copy()
    frame["method"] = np.select([dead, thin], ["none", "group prior"], "NB-SES")
    frame["demand_class"] = demand_classes(np.where(panel.exposure > 0, panel.demand, np.nan))
    frame["mean_per_period"] = level
    frame["alpha"] = np.where(thin | dead, np.nan, alpha)
    frame["n_periods"] = used.astype(np.int64)
    frame["n_nonzero"] = nonzero.astype(np.int64)
    frame["censored_share"] = hidden
    frame["confidence"] = confidence
    frame["confidence_reason"] = reasons
    return frame


@lru_cache(maxsize=1)
def _mixing_table() -> NDArray[np.float64]:
    """Conditional means of unit-mean gammas over equiprobable bins, one row per shape."""
    return gamma_table(_SHAPES, _BINS)


@nb.njit(cache=True, nogil=True)
def _draw(keys, level, level_shape, shape, scale, zero, factors, table, n_paths):  # type: ignore[no-untyped-def]
    n_items = level.size
    n_periods = factors.shape[1]
    out = np.zeros((n_items, n_paths, n_periods))
    for i in range(n_items):
        m = level[i]
        if m <= 0.0:
            continue
        row, weight, spread = _table_row(shape[i], table.shape[0])
        level_row, level_weight, level_spread = _table_row(level_shape[i], table.shape[0])
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
                if zero[i] >= 0.0:
                    bits, s0, s1 = streams.step(s0, s1)
                    if streams.unit(bits) < zero[i]:
                        continue
                    mean *= scale[i]
                if spread:
                    bits, s0, s1 = streams.step(s0, s1)
                    mean *= _mixed(table, row, weight, bits)
                if zero[i] >= 0.0:
                    out[i, p, t] = mean
                else:
                    out[i, p, t], s0, s1 = streams.poisson(mean, s0, s1)
    return out


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
