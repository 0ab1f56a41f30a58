"""From point forecasts to distributions: the usable past of a panel, the spread of errors in it, and sample paths.

A point forecast of mean m units per period becomes a count with variance m + d m^2 (negative binomial), where d comes
from the errors of the same method on the item's own past; demand in non-integer units becomes zeros mixed with gamma
sizes, with variance d m^2. Part of the variance is drawn once per path, as the errors of one forecast go the same way.
A mean of 0 leaves no room for spread: such paths are 0. Quantities are units per period.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from numbers import Integral

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.clock import Clock
from backorder_forecast.demand import DemandModel, sale_dates
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.level_laws import fractional
from backorder_forecast.panel import DemandPanel
from backorder_forecast.seasonality import SeasonalIndex
from backorder_forecast.smoothing import MIN_EXPOSURE

Floats = NDArray[np.float64]

_WARM_UP = 8


@dataclass(frozen=True, eq=False)
class PointLaw:
    """Point forecasts and what turns them into distributions.

    Attributes
    ----------
    means
        Units per period ahead, shape (n_items, horizon).
    dispersion
        d of the module: variance m + d m^2 for counts, d m^2 for non-integer units, shape (n_items,).
    level_share
        Share of the variance that the periods ahead have in common, shape (n_items,).
    """

    means: Floats
    dispersion: Floats
    level_share: Floats


def horizon_clock(panel: DemandPanel, horizon: int) -> Clock:
    """The `horizon` periods after the last one of a panel, as `forecast_demand` dates them.

    Examples
    --------
    >>> import pandas as pd
    >>> from backorder_forecast.panel import demand_panel
    >>> sales = pd.DataFrame({"sku": "A", "date": pd.date_range("2024-01-01", periods=3, freq="MS"), "quantity": 1})
    >>> horizon_clock(demand_panel(sales, freq="MS"), 2).starts.strftime("%Y-%m-%d").tolist()
    ['2024-04-01', '2024-05-01']
    """
    if isinstance(horizon, bool) or not isinstance(horizon, Integral) or horizon < 1:
        raise InvalidSettings(f"horizon is a whole number of periods, at least one; got {horizon!r}")
    horizon = int(horizon)
    last = panel.until(panel.n_periods).as_of
    clock = Clock.ahead(last, panel.freq, 32 * horizon if panel.freq == "MS" else 7 * horizon)
    keep = slice(0, horizon)
    return replace(clock, starts=clock.starts[keep], ends=clock.ends[keep], fraction=clock.fraction[keep])


def usable_history(
    panel: DemandPanel, *, min_in_stock: float = MIN_EXPOSURE, from_first_sale: bool = True
) -> tuple[Floats, Floats]:
    """Demand, NaN where it says nothing, and the in-stock shares to divide it by, both (n_items, n_periods).

    History begins at the stated launch (column `launched` of the items), else at the first usable sale, or at the
    panel's first period if not `from_first_sale`; an item never sold begins nowhere.

    Examples
    --------
    >>> import pandas as pd
    >>> from backorder_forecast.panel import demand_panel
    >>> weeks = pd.date_range("2024-01-01", periods=4, freq="W-MON")
    >>> sales = pd.DataFrame({"sku": "A", "date": weeks, "quantity": [0, 2, 0, 3]})
    >>> stock = pd.DataFrame({"sku": "A", "date": weeks, "in_stock": [1.0, 1.0, 0.0, 0.5]})
    >>> y, shares = usable_history(demand_panel(sales, freq="W-MON", in_stock=stock))
    >>> y.tolist(), shares.tolist()
    ([[nan, 2.0, nan, 3.0]], [[1.0, 1.0, 1.0, 0.5]])
    """
    usable = (panel.exposure >= min_in_stock) & (panel.exposure > 0.0)
    sold = usable & (panel.demand > 0)
    never = ~sold.any(axis=1)
    first = np.where(never, panel.n_periods, sold.argmax(axis=1))
    begin = first if from_first_sale else np.where(never, panel.n_periods, 0)
    if "launched" in panel.items:
        launched = pd.DatetimeIndex(pd.to_datetime(panel.items["launched"]))
        at = panel.periods.searchsorted(launched.fillna(pd.Timestamp.max.normalize()), side="left")
        begin = np.where(np.asarray(launched.isna()), begin, np.minimum(first, at))
    usable &= np.arange(panel.n_periods) >= begin[:, None]
    return np.where(usable, panel.demand, np.nan), np.where(usable, panel.exposure, 1.0)


def error_dispersion(
    y: Floats, shares: Floats, forecast: Floats, mean: Floats, *, counted: NDArray[np.bool_]
) -> Floats:
    """Dispersion d of one-period demand about its forecast, by moments over an item's past, shape (n_items,).

    Counts: sum (e^2 - f) / sum f^2 with e the error and f the forecast, never below 0 (Poisson); other units
    sum e^2 / sum f^2. Relative to the forecast, so that the spread follows a level that has changed.

    Parameters
    ----------
    y, shares
        From `usable_history`.
    forecast
        What was forecast for each of these periods, NaN where nothing was, same shape.
    mean
        Mean forecast now, shape (n_items,). One period of this mean is added, as spread as a Poisson count (a standard
        deviation as large as the mean for other units), so that a short history is not taken for certainty.
    counted
        Whether the item is counted in whole units, shape (n_items,).

    Examples
    --------
    >>> y = np.array([[0.0, 4.0] * 20])
    >>> error_dispersion(y, np.ones((1, 40)), np.full((1, 40), 2.0), np.array([2.0]), counted=np.array([True])).round(2)
    array([0.48])
    """
    seen = np.cumsum(~np.isnan(y), axis=1)
    learnt = seen > np.minimum(seen[:, -1:] // 2, _WARM_UP)
    known = learnt & ~np.isnan(y) & ~np.isnan(forecast)
    f = np.where(known, forecast, 0.0)
    error = np.where(known, y / shares - f, 0.0)
    weight = np.where(known, shares, 0.0)
    squares, size = (weight * error**2).sum(axis=1), (weight * f**2).sum(axis=1) + mean**2
    excess = np.where(counted, squares - (weight * f).sum(axis=1), squares + mean**2)
    return np.where(size > 0.0, np.maximum(excess, 0.0) / np.where(size > 0.0, size, 1.0), 0.0)


def law_model(panel: DemandPanel, law: PointLaw) -> DemandModel:
    """Demand model of the distributions that a `PointLaw` describes; `paths` draws from it.

    Good for clocks of as many periods as the law has. Outside the dates between which an item sells (columns
    `launched` and `discontinued` of the items) nothing is drawn.

    Examples
    --------
    >>> import pandas as pd
    >>> from backorder_forecast.panel import demand_panel
    >>> sales = pd.DataFrame({"sku": "A", "date": pd.date_range("2024-01-01", periods=3, freq="MS"), "quantity": 1})
    >>> panel = demand_panel(sales, freq="MS")
    >>> law = PointLaw(np.array([[2.0, 40.0]]), np.array([0.1]), np.array([0.2]))
    >>> law_model(panel, law).paths(horizon_clock(panel, 2), n_paths=2000, seed=1).mean()["mean"].round(0).tolist()
    [2.0, 40.0]
    """
    level = law.means.mean(axis=1)
    counted = ~fractional(panel)
    excess = law.dispersion * level**2
    variance = np.where(counted, level, 0.0) + excess
    # What is common to all periods comes out of the excess: a count is no narrower than Poisson within its level.
    common = np.where(counted, np.minimum(law.level_share * variance, excess), law.level_share * variance)
    y, _ = usable_history(panel)
    used, sold = (~np.isnan(y)).sum(axis=1), (y > 0).sum(axis=1)
    zero = np.where(counted, np.nan, np.clip(1.0 - (sold + 0.5) / (used + 1.0), 0.0, 0.999))
    profile = law.means / np.where(level > 0.0, level, 1.0)[:, None]
    return _period_model(panel, level, common, variance - common, zero, profile)


def on_sale_share(panel: DemandPanel, clock: Clock) -> Floats:
    """Share of each period ahead between an item's first and last day on sale, shape (n_items, n_periods)."""
    ones = np.ones(panel.n_items)
    model = _period_model(panel, ones, ones, ones, ones, np.ones((panel.n_items, clock.n_periods)))
    return model.on_sale(clock, slice(None))


@dataclass(frozen=True, eq=False)
class PeriodModel(DemandModel):
    """A demand model whose mean has its own profile over the periods ahead, shape (n_items, n_periods)."""

    profile: Floats = field(kw_only=True)

    def on_sale(self, clock: Clock, rows: slice) -> Floats:
        """Share of each period ahead and on sale, shape (n_rows, n_periods)."""
        return super()._factors(self._calendar(clock), clock, rows)

    def _factors(self, calendar: tuple[Floats, Floats | None], clock: Clock, rows: slice) -> Floats:
        return super()._factors(calendar, clock, rows) * self.profile[rows]


def flat_season(panel: DemandPanel) -> SeasonalIndex:
    """Seasonal indices of 1 for every item of a panel."""
    positions = 12 if panel.freq == "MS" else 53
    every = np.zeros(panel.n_items, dtype=np.int64)
    return SeasonalIndex(["all"], every, np.ones((1, positions)), np.ones((1, 7)), panel.freq)


def _period_model(
    panel: DemandPanel, level: Floats, level_variance: Floats, within: Floats, zero: Floats, profile: Floats
) -> PeriodModel:
    items = panel.items
    starts, ends = sale_dates(items)
    return PeriodModel(
        items=items,
        level=level,
        level_variance=level_variance,
        within_variance=within,
        zero_share=zero,
        season=flat_season(panel),
        starts=starts,
        ends=ends,
        about=items[["sku", "location"]],
        profile=profile,
    )
