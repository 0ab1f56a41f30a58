"""Simple methods under one interface: a panel goes in, sample paths come out, so that they can be held against others.

Whatever has `forecast(panel, horizon, seed) -> SamplePaths` is a `Forecaster`. The named baselines are the point
forecasts of `smoothing` and `intermittent`, made distributions by `point_laws` with the errors that the same method
made on the item's own past; the bootstrap resamples past periods instead.

History starts at the stated launch, else at the first sale; methods that smooth intervals (Croston, SBA, TSB, ADIDA,
iMAPA) count the wait for the first demand from the launch or the first period, as their authors do. Periods out of
stock or of unknown exposure are left out; a period of in-stock share f counts as the rate y / f. Items without usable
history forecast 0. Quantities are units per period.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Protocol

import numba as nb
import numpy as np
from numpy.typing import NDArray

from backorder_forecast import streams
from backorder_forecast.clock import Clock
from backorder_forecast.errors import InvalidSettings, unknown_option
from backorder_forecast.intermittent import adida, croston, imapa, tsb
from backorder_forecast.level_laws import fractional
from backorder_forecast.panel import DemandPanel
from backorder_forecast.paths import SamplePaths
from backorder_forecast.point_laws import (
    PointLaw,
    error_dispersion,
    horizon_clock,
    law_model,
    on_sale_share,
    usable_history,
)
from backorder_forecast.smoothing import MIN_EXPOSURE, moving_average, naive, seasonal_naive, ses

Floats = NDArray[np.float64]

BASELINES = (
    "naive", "seasonal_naive", "moving_average", "ses", "croston", "sba", "tsb", "adida", "imapa", "bootstrap",
)  # fmt: skip
"""Names that `baseline` knows."""
ALPHA = 0.1
"""Smoothing constant of ses, croston, sba and tsb where none is given."""
WINDOWS = {"D": 28, "W": 13, "M": 12}
"""Periods in the moving average by clock. Judgement."""
SEASONS = {"D": 7, "W": 52, "M": 12}
"""Periods in a season by clock."""
LEVEL_SHARES = {"naive": 0.4, "seasonal_naive": 0.06}
"""Share of the error variance that all periods ahead have in common: the mean correlation of a method's errors over
eight periods, median of eight public sets of real demand."""
LEVEL_SHARE = 0.16
"""The same for the other methods (.14 to .19)."""
_OPTIONS = {
    "seasonal_naive": ("season",), "moving_average": ("window",), "bootstrap": ("half_life",),
    **dict.fromkeys(("ses", "croston", "sba", "tsb", "adida", "imapa"), ("alpha",)),
}  # fmt: skip
_INTERVALS = ("croston", "sba", "tsb", "adida", "imapa")
_ORIGINS = 24


class Forecaster(Protocol):
    """Whatever turns a panel into sample paths of the demand after it."""

    def forecast(self, panel: DemandPanel, horizon: int, seed: int) -> SamplePaths:
        """Demand of every item over the `horizon` periods after the panel."""
        ...


@dataclass(frozen=True)
class Baseline:
    """A named method with its options, as `baseline` makes it; `forecast` draws paths."""

    name: str
    n_paths: int = 500
    min_in_stock: float = MIN_EXPOSURE
    alpha: float | None = None
    window: int | None = None
    season: int | None = None
    half_life: float | None = None

    def forecast(self, panel: DemandPanel, horizon: int = 8, seed: int = 0) -> SamplePaths:
        """Sample paths of demand over the `horizon` periods after a panel."""
        clock = horizon_clock(panel, horizon)
        if self.name == "bootstrap":
            return self._resampled(panel, clock, seed)
        return law_model(panel, self.law(panel, clock.n_periods)).paths(clock, n_paths=self.n_paths, seed=seed)

    def means(self, panel: DemandPanel, horizon: int = 8) -> Floats:
        """Point forecasts before any draw, units, shape (n_items, horizon)."""
        y, shares = self._history(panel)
        return self._means(y, shares, panel.freq, horizon)

    def law(self, panel: DemandPanel, horizon: int = 8) -> PointLaw:
        """Point forecasts with their spread, from the method's errors at up to 24 earlier origins.

        Each earlier forecast is held against the periods up to the next origin (`error_dispersion`).
        """
        y, shares = self._history(panel)
        means = self._means(y, shares, panel.freq, horizon)
        gap = max(-(-(panel.n_periods - 1) // _ORIGINS), 1)
        past = np.full(y.shape, np.nan)
        for origin in range(panel.n_periods - gap, 0, -gap):
            ahead = slice(origin, origin + gap)
            past[:, ahead] = self._means(y[:, :origin], shares[:, :origin], panel.freq, gap)
        dispersion = error_dispersion(y, shares, past, means.mean(axis=1), counted=~fractional(panel))
        share = LEVEL_SHARES.get(self.name, LEVEL_SHARE)
        return PointLaw(means, dispersion, np.full(panel.n_items, share))

    def _history(self, panel: DemandPanel) -> tuple[Floats, Floats]:
        from_first_sale = self.name not in _INTERVALS
        return usable_history(panel, min_in_stock=self.min_in_stock, from_first_sale=from_first_sale)

    def _means(self, y: Floats, shares: Floats, freq: str, horizon: int) -> Floats:
        rates = y / shares
        alpha = ALPHA if self.alpha is None else self.alpha
        if self.name == "seasonal_naive":
            season = self.season or SEASONS[freq[0]]
            # A place of the season never seen in stock takes the item's mean.
            ahead = seasonal_naive(rates, season, horizon)
            return np.nan_to_num(np.where(np.isnan(ahead), _mean(rates, shares)[:, None], ahead))
        flat: dict[str, Callable[[], Floats]] = {
            "naive": lambda: naive(rates),
            "moving_average": lambda: moving_average(rates, self.window or WINDOWS[freq[0]]),
            # The mean as the start: a history that begins with a sale would begin too high.
            "ses": lambda: ses(y, alpha, initial="mean", exposure=shares, min_exposure=0.0),
            "croston": lambda: croston(y, alpha, exposure=shares, min_exposure=0.0),
            "sba": lambda: croston(y, alpha, correction="sba", exposure=shares, min_exposure=0.0),
            "tsb": lambda: tsb(y, alpha, alpha, exposure=shares, min_exposure=0.0),
            "adida": lambda: adida(rates, self.alpha),
            "imapa": lambda: imapa(rates, self.alpha),
            "bootstrap": lambda: _mean(rates, _recency(shares, self.half_life)),
        }
        return np.repeat(np.nan_to_num(flat[self.name]())[:, None], horizon, axis=1)

    def _resampled(self, panel: DemandPanel, clock: Clock, seed: int) -> SamplePaths:
        y, shares = self._history(panel)
        seen = ~np.isnan(y)
        order = np.argsort(~seen, axis=1, kind="stable")
        rates = np.take_along_axis(y / shares, order, axis=1)
        weight = np.where(seen, _recency(shares, self.half_life), 0.0)
        cumulative = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
        counts, counted = seen.sum(axis=1), ~fractional(panel)
        on_sale = on_sale_share(panel, clock)
        keys = streams.item_keys(panel.items["sku"], panel.items["location"], seed, streams.DEMAND)

        def sampler(start: int, stop: int) -> Floats:
            rows = slice(start, stop)
            past = (rates[rows], cumulative[rows], counts[rows], counted[rows])
            return np.asarray(_resample(keys[rows], *past, on_sale[rows], self.n_paths))

        return SamplePaths(panel.items[["sku", "location"]].astype("str"), clock.starts, self.n_paths, sampler)


def baseline(
    name: str,
    *,
    n_paths: int = 500,
    min_in_stock: float = MIN_EXPOSURE,
    alpha: float | None = None,
    window: int | None = None,
    season: int | None = None,
    half_life: float | None = None,
) -> Baseline:
    """A simple method by name, ready to forecast.

    Parameters
    ----------
    name
        One of `BASELINES`.
    n_paths
        Sample paths per item.
    min_in_stock
        In-stock share below which a period is left out.
    alpha
        Smoothing constant of ses, croston, sba, tsb (both constants); 0.1 where not given. Of adida and imapa; the one
        of least squared error in [0.1, 0.3] per item where not given.
    window
        Periods of the moving average; 28 days, 13 weeks or 12 months where not given.
    season
        Periods of a season; 7 days, 52 weeks or 12 months where not given. A place of the season that was never seen
        in stock takes the item's mean.
    half_life
        Age in periods at which a past period is half as likely to be resampled; without it all are alike.

    Returns
    -------
    Baseline
        A `Forecaster`.

    Raises
    ------
    InvalidSettings
        For an unknown name, an option that the method does not have, or one out of its range.

    Examples
    --------
    >>> import pandas as pd
    >>> from backorder_forecast.panel import demand_panel
    >>> months = pd.date_range("2023-01-01", periods=24, freq="MS")
    >>> panel = demand_panel(pd.DataFrame({"sku": "A", "date": months, "quantity": [0, 0, 6] * 8}), freq="MS")
    >>> baseline("sba").means(panel, 2).round(3).tolist()
    [[1.9, 1.9]]
    >>> baseline("bootstrap").forecast(panel, 2).quantiles([0.5, 0.9])[[0.5, 0.9]].to_numpy().tolist()
    [[0.0, 6.0], [0.0, 6.0]]
    """
    if name not in BASELINES:
        raise unknown_option("baseline", str(name), BASELINES)
    options = {"alpha": alpha, "window": window, "season": season, "half_life": half_life}
    for option, value in options.items():
        if value is not None and option not in _OPTIONS.get(name, ()):
            having = ", ".join(n for n in BASELINES if option in _OPTIONS.get(n, ()))
            raise InvalidSettings(f"{name} has no option {option}; leave it out, or take one that has it: {having}")
    whole = {"n_paths": n_paths, "window": window, "season": season}
    for option, value in whole.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, Integral) or value < 1):
            raise InvalidSettings(f"{option} is a whole number, at least 1; got {value!r}")
    if alpha is not None and not 0.0 < alpha <= 1.0:
        raise InvalidSettings(f"alpha is a share above 0 and at most 1; got {alpha!r}")
    if half_life is not None and not half_life > 0.0:
        raise InvalidSettings(f"half_life is a number of periods above 0; got {half_life!r}")
    if not 0.0 <= min_in_stock <= 1.0:
        raise InvalidSettings(f"min_in_stock is a share from 0 to 1; got {min_in_stock!r}")
    return Baseline(name, n_paths, min_in_stock, alpha, window, season, half_life)


def _mean(rates: Floats, weight: Floats) -> Floats:
    """Weighted mean of the usable periods, NaN without any, shape (n_items,)."""
    seen = ~np.isnan(rates)
    total = np.where(seen, weight, 0.0).sum(axis=1)
    return np.where(total > 0.0, np.where(seen, weight * rates, 0.0).sum(axis=1) / np.maximum(total, 1e-300), np.nan)


def _recency(shares: Floats, half_life: float | None) -> Floats:
    """Weight of each past period in resampling: its in-stock share, halved per half-life of age."""
    if half_life is None:
        return shares
    age = np.arange(shares.shape[1])[::-1]
    # Never 0: an item out of stock for very long keeps its history.
    return shares * np.maximum(0.5 ** (age / half_life), 1e-200)


@nb.njit(cache=True, nogil=True)
def _resample(keys, rates, cumulative, counts, counted, on_sale, n_paths):  # type: ignore[no-untyped-def]
    n_items, n_periods = on_sale.shape
    out = np.zeros((n_items, n_paths, n_periods))
    for i in range(n_items):
        n = counts[i]
        if n == 0:
            continue
        weights = cumulative[i, :n]
        for p in range(n_paths):
            s0, s1 = streams.start(keys[i], p)
            for t in range(n_periods):
                bits, s0, s1 = streams.step(s0, s1)
                at = np.searchsorted(weights, streams.unit(bits) * weights[n - 1], side="right")
                value = rates[i, min(at, n - 1)]
                if counted[i] and value != np.floor(value):
                    # A rate of a partly stocked period is rounded at random, so that the mean stays.
                    bits, s0, s1 = streams.step(s0, s1)
                    value = np.floor(value + streams.unit(bits))
                if on_sale[i, t] < 1.0:
                    bits, s0, s1 = streams.step(s0, s1)
                    if streams.unit(bits) >= on_sale[i, t]:
                        value = 0.0
                out[i, p, t] = value
    return out
