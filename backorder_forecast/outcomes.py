"""Outcomes: a forecast held against what happened, one value per item and period, or per item and sum of periods.

Items are matched by (sku, location), periods by their first day. Where an item was not in stock throughout, the record
is no demand: such an observation is NaN and nothing is scored. That leaves out more high demand than low: of items that
run out often, what remains makes a true forecast look too high. Units are those of demand. Paths are drawn bucket by
bucket; outcomes stand in the order of (sku, location), so that later sums are the same for any row order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.crps import crps_quantiles, crps_samples
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.panel import DemandPanel, item_codes
from backorder_forecast.paths import SamplePaths, check_levels, path_quantiles
from backorder_forecast.scores import pinball

Floats = NDArray[np.float64]

LEVELS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.833, 0.9, 0.95, 0.975, 0.99)
"""Levels at which stock is decided: the median and what lies above it."""
INTERVAL = (0.1, 0.9)
"""Bounds of the central 80 % interval."""
IN_STOCK = 0.999
"""In-stock share from which the demand of a period counts as seen."""


@dataclass(frozen=True, eq=False)
class QuantileForecast:
    """Quantiles from any source, to be scored beside sample paths.

    Attributes
    ----------
    items
        Columns sku, location; one row per item.
    dates
        First day of each period, length n_periods.
    levels
        Increasing shares, (n_levels,).
    values
        Units, shape (n_items, n_periods, n_levels), rising with the level.
    mean
        Expected demand, (n_items, n_periods); None leaves RMSSE, MASE, WAPE and bias empty.
    span
        Periods that each value sums, from its date on: quantiles of sums cannot be had from those of periods.

    Raises
    ------
    InvalidSettings
        For shapes that do not fit, missing values or quantiles that cross.
    """

    items: pd.DataFrame
    dates: pd.DatetimeIndex
    levels: Sequence[float]
    values: Floats
    mean: Floats | None = None
    span: int = 1

    def __post_init__(self) -> None:
        if not {"sku", "location"} <= set(self.items.columns):
            raise InvalidSettings(f"items have the columns sku and location, got {', '.join(map(str, self.items))}")
        levels = check_levels(self.levels)
        shape = (len(self.items), len(self.dates), len(levels))
        if self.values.shape != shape:
            raise InvalidSettings(
                f"quantiles have the shape (n_items, n_periods, n_levels) = {shape}, got {self.values.shape}"
            )
        if self.mean is not None and self.mean.shape != shape[:2]:
            raise InvalidSettings(f"the mean has the shape (n_items, n_periods) = {shape[:2]}, got {self.mean.shape}")
        if not (np.diff(levels) > 0).all() or self.span < 1:
            raise InvalidSettings(f"levels increase and span is 1 or more, got {levels} and {self.span!r}")
        if np.isnan(self.values).any() or (np.diff(self.values, axis=2) < 0).any():
            raise InvalidSettings("quantiles are missing or cross; fill them, and sort them along the last axis")


Forecast = SamplePaths | QuantileForecast


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What a forecast said of each observation.

    Attributes
    ----------
    items
        Columns sku, location, sorted; one row per item.
    dates
        First day of each period or sum, length n_dates.
    observed
        Units, shape (n_items, n_dates) as all that follow; NaN where nothing may be scored.
    mean
        Expected units.
    lower, upper, stated
        Quantiles .1 and .9, and the probability that the forecast gives to this interval, bounds included.
    loss
        Mean pinball loss over the levels, units.
    crps
        Continuous ranked probability score, units.
    below, at
        P(D < observed) and P(D <= observed).
    """

    items: pd.DataFrame
    dates: pd.DatetimeIndex
    observed: Floats
    mean: Floats
    lower: Floats
    upper: Floats
    stated: Floats
    loss: Floats
    crps: Floats
    below: Floats
    at: Floats


def outcomes(
    forecast: Forecast, actual: DemandPanel, *, periods: int | None = None, levels: Sequence[float] = LEVELS
) -> Outcomes:
    """Forecast and observation of each item and period.

    Parameters
    ----------
    forecast
        Sample paths or quantiles; periods after the last of `actual` are left out.
    actual
        What happened, with the same items as the forecast, in any order.
    periods
        None for single periods, else the sum of the first `periods` periods; a `QuantileForecast` of sums has its own
        `span`, which must be the same.
    levels
        Quantile levels of the pinball loss; a `QuantileForecast` must have them. None at all leaves the loss empty.

    Returns
    -------
    Outcomes
        Of a `QuantileForecast`, CRPS and probabilities are approximate, and empty where its levels do not reach from
        .1 to .9; the interval is empty where it lacks one of the two, its stated probability always.

    Raises
    ------
    InvalidSettings
        If items, periods or levels do not match, or nothing has happened yet.

    Examples
    --------
    >>> from backorder_forecast.panel import demand_panel
    >>> weeks = pd.date_range("2024-01-01", periods=3, freq="W-MON")
    >>> panel = demand_panel(pd.DataFrame({"sku": "A", "date": weeks, "quantity": [3, 1, 2]}), freq="W-MON")
    >>> forecast = SamplePaths.from_array(np.full((1, 5, 2), 2.0), ["A"], weeks[1:])
    >>> outcomes(forecast, panel).crps.tolist(), outcomes(forecast, panel, periods=2).crps.tolist()
    ([[1.0, 0.0]], [[1.0]])
    """
    checked = check_levels(levels) if len(levels) else []
    rows = _matched(forecast.items, actual.items)
    seen = np.where(actual.exposure >= IN_STOCK, actual.demand, np.nan)[rows]
    if isinstance(forecast, QuantileForecast):
        columns = _quantile_columns(forecast, actual, periods)
        observed = _observed(seen, columns)
        values: Sequence[Floats] = _of_quantiles(forecast, observed, checked)
    else:
        paths = forecast if periods is None else _summed(forecast, periods)
        columns = _path_columns(forecast, actual, periods)
        observed, n = _observed(seen, columns), len(columns)
        parts = [_of_paths(paths.draw(a, b)[:, :, :n], observed[a:b], checked) for a, b in paths.buckets()]
        values = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    keys = forecast.items[["sku", "location"]].astype("str").reset_index(drop=True).sort_values(["sku", "location"])
    order = keys.index.to_numpy()
    return Outcomes(keys.reset_index(drop=True), forecast.dates[: len(columns)], *(array[order] for array in values))


def longest_sum(forecast: Forecast) -> int:
    """Periods of the longest sum that the forecast knows: all of its periods, or the span of its quantiles."""
    return forecast.span if isinstance(forecast, QuantileForecast) else len(forecast.dates)


def _matched(items: pd.DataFrame, known: pd.DataFrame) -> NDArray[np.int64]:
    """Row of each item of the forecast among what happened."""
    if not len(items):
        raise InvalidSettings("the forecast has no items, so there is nothing to score")
    for frame, name in ((items, "the forecast"), (known, "the actual demand")):
        double = frame.duplicated(["sku", "location"]).to_numpy()
        if double.any():
            raise InvalidSettings(f"{name} has several rows for {_named(frame, double)}; an item has one")
    rows = item_codes(items, known)
    for frame, lacking, who, other in (
        (items, rows < 0, "the forecast", "the actual demand"),
        (known, item_codes(known, items) < 0, "the actual demand", "the forecast"),
    ):
        if lacking.any():
            raise InvalidSettings(
                f"{who} has {int(lacking.sum())} of {len(frame)} items that {other} lacks: {_named(frame, lacking)};"
                " score the items that both have (sku and location are compared as text)"
            )
    return rows


def _named(items: pd.DataFrame, which: NDArray[np.bool_]) -> str:
    some = items.loc[which, ["sku", "location"]].astype("str").head(3)
    return ", ".join(f"{sku} at {place}" if place else sku for sku, place in some.itertuples(index=False))


def _columns(dates: pd.DatetimeIndex, actual: DemandPanel) -> NDArray[np.int64]:
    """Period of each date as column of what happened, of the dates up to its end."""
    at = np.asarray(actual.periods.get_indexer(dates), dtype=np.int64)
    ahead = np.asarray(dates > actual.periods[-1])
    if not dates.is_monotonic_increasing:
        raise InvalidSettings("the dates of the forecast are out of order; put its periods in order of time")
    if ahead.all():
        raise InvalidSettings(
            f"nothing of the forecast has happened yet: it begins {dates[0]:%Y-%m-%d}, the last period of the actual"
            f" demand {actual.periods[-1]:%Y-%m-%d}"
        )
    wrong = (at < 0) & ~ahead
    if wrong.any():
        odd = ", ".join(f"{day:%Y-%m-%d}" for day in dates[wrong][:3])
        raise InvalidSettings(
            f"{int(wrong.sum())} of {len(dates)} periods of the forecast do not begin like those of the actual demand"
            f" ({actual.freq}, from {actual.periods[0]:%Y-%m-%d}): {odd}; use the same clock for both"
        )
    return at[~ahead]


def _path_columns(paths: SamplePaths, actual: DemandPanel, periods: int | None) -> NDArray[np.int64]:
    """The periods one by one, (n_dates, 1), or those of the one sum, (1, periods)."""
    columns = _columns(paths.dates[:periods], actual)
    if periods is None:
        return columns[:, None]
    if len(columns) < periods:
        raise InvalidSettings(
            f"only {len(columns)} of the {periods} periods to be summed have happened; give periods={len(columns)}"
        )
    return columns[None, :]


def _quantile_columns(forecast: QuantileForecast, actual: DemandPanel, periods: int | None) -> NDArray[np.int64]:
    """The periods of each value, (n_dates, span), of the values whose periods have all happened."""
    wanted = 1 if periods is None else periods
    if forecast.span != wanted:
        raise InvalidSettings(
            f"the values of the quantile forecast have span {forecast.span}, but sums of {wanted} are to be scored;"
            " quantiles of sums cannot be had from those of periods: make a forecast of the sums"
        )
    columns = _columns(forecast.dates, actual)[:, None] + np.arange(forecast.span)
    happened = columns[:, -1] < actual.n_periods
    if not happened.any():
        raise InvalidSettings(
            f"only {actual.n_periods - columns[0, 0]} of the {forecast.span} periods of the first sum have happened"
        )
    return np.asarray(columns[happened])


def _observed(seen: Floats, columns: NDArray[np.int64]) -> Floats:
    """Sums of what was seen, (n_items, n_dates); NaN where a period was not."""
    return np.asarray(np.ascontiguousarray(seen[:, columns]).sum(axis=2))


def _summed(paths: SamplePaths, periods: int) -> SamplePaths:
    """Paths of the sum of the first periods."""
    whole = isinstance(periods, Integral) and not isinstance(periods, bool)
    if not whole or not 1 <= periods <= len(paths.dates):
        raise InvalidSettings(
            f"periods is a whole number from 1 to the {len(paths.dates)} of the forecast, got {periods!r}"
        )

    def sampler(start: int, stop: int) -> Floats:
        return np.asarray(paths.draw(start, stop)[:, :, :periods].sum(axis=2, keepdims=True))

    return SamplePaths(paths.items, paths.dates[:1], paths.n_paths, sampler, paths.bucket_size)


def _of_paths(values: Floats, observed: Floats, levels: Sequence[float]) -> tuple[Floats, ...]:
    """Arrays of `Outcomes` for one bucket of paths (n, n_paths, n_dates)."""
    if np.isnan(values).any():
        raise InvalidSettings("the forecast has paths without a value (NaN); fill them or leave these items out")
    quantiles = path_quantiles(values, [*levels, *INTERVAL])
    # Paths last and contiguous: each sum is then over the same numbers in the same order, whatever the bucket.
    draws = np.ascontiguousarray(values.transpose(0, 2, 1))
    y, lower, upper = observed[..., None], quantiles[..., -2], quantiles[..., -1]
    within = (draws >= lower[..., None]) & (draws <= upper[..., None])
    return (
        observed, draws.mean(axis=2), lower, upper, within.mean(axis=2), _loss(y, quantiles[..., :-2], levels),
        crps_samples(observed, draws), (draws < y).mean(axis=2), (draws <= y).mean(axis=2),
    )  # fmt: skip


def _of_quantiles(forecast: QuantileForecast, observed: Floats, levels: Sequence[float]) -> tuple[Floats, ...]:
    """Arrays of `Outcomes` for given quantiles."""
    given = np.asarray(forecast.levels, dtype=np.float64)
    values = np.ascontiguousarray(forecast.values[:, : observed.shape[1]])
    at = _places(given, levels)
    if (at < 0).any():
        lacking = ", ".join(str(level) for level, place in zip(levels, at, strict=True) if place < 0)
        raise InvalidSettings(
            f"the quantiles lack the levels {lacking}; they have {', '.join(map(str, forecast.levels))}:"
            " score at these with levels=..."
        )
    nothing = np.full(observed.shape, np.nan)
    mean = nothing if forecast.mean is None else forecast.mean[:, : observed.shape[1]]
    low, high = _places(given, INTERVAL)
    lower, upper = nothing, nothing
    if min(low, high) >= 0:
        lower, upper = values[..., low], values[..., high]
    y = observed[..., None]
    score, below, reached = nothing, nothing, nothing
    if given[0] <= INTERVAL[0] and given[-1] >= INTERVAL[1]:
        score = crps_quantiles(observed, values, given)
        # Between two quantiles nothing is known but their levels.
        below = np.where(values < y, given, 0.0).max(axis=2)
        reached = np.where(values > y, given, 1.0).min(axis=2)
    loss = _loss(y, np.ascontiguousarray(values[..., at]), levels)
    return observed, mean, lower, upper, nothing, loss, score, below, reached


def _places(given: Floats, levels: Sequence[float]) -> NDArray[np.int64]:
    """Where each level stands among the given ones, -1 for nowhere."""
    wanted = np.asarray(levels, dtype=np.float64)
    same = np.abs(given[None, :] - wanted[:, None]) < 1e-9
    return np.where(same.any(axis=1), same.argmax(axis=1), -1)


def _loss(y: Floats, quantiles: Floats, levels: Sequence[float]) -> Floats:
    if not len(levels):
        return np.full(quantiles.shape[:2], np.nan)
    return np.asarray(pinball(y, quantiles, np.asarray(levels)).mean(axis=2))
