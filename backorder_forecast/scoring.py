"""Scoring: a whole forecast held against what happened, as frames with one row per group of items.

An observation is one item in one period, or in one sum of periods. Observations of periods not in stock throughout are
left out and counted: their record is no demand. Pinball loss and CRPS (units) are means over observations; the scaled
scores divide by the mean change from period to period before the forecast (`scores.naive_scale`), so that items weigh
alike: first per item over its observations, then the mean over items. An item whose demand never changed has no scale;
it is left out of the scaled scores and counted. A forecast begins with a whole period, as `forecast_demand` makes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.errors import InvalidSettings, unknown_option
from backorder_forecast.outcomes import IN_STOCK, LEVELS, Forecast, Outcomes, longest_sum, outcomes
from backorder_forecast.panel import DemandPanel, item_codes
from backorder_forecast.scores import bias, coverage, known_mean, naive_scale, pit_histogram, ratio, wape
from backorder_forecast.smoothing import demand_classes

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def score_forecast(
    forecast: Forecast,
    actual: DemandPanel,
    history: DemandPanel,
    *,
    levels: Sequence[float] = LEVELS,
    by: str | None = None,
) -> pd.DataFrame:
    """Scores of a forecast per period.

    Parameters
    ----------
    forecast
        Sample paths or quantiles; periods that have not happened yet are not scored.
    actual
        What happened, with the same items (sku, location) as the forecast, in any order.
    history
        What was known before; only its periods before the first of the forecast are used, so that `actual` may be
        given twice.
    levels
        Quantile levels over which the pinball loss is averaged; a `QuantileForecast` must have them.
    by
        One row per value of this column of `history.items`; `demand_class` for the classes of Syntetos, Boylan &
        Croston (2005), computed from the history in stock.

    Returns
    -------
    DataFrame
        One row per group, in order, then the row "all". Columns: group, n_items, n_observations, n_left_out
        (observations not in stock), n_unscaled (items with observations and without a scale), pinball, scaled_pinball
        (M5), crps, coverage_0.8 (share within the quantiles .1 and .9), coverage_0.8_stated (what the forecast says of
        the same interval: more than .8 for counts), rmsse, mase, wape, bias, pit_min, pit_max (least and greatest share
        of the deciles of the PIT: .1 is calibrated). Empty where there is nothing to score, or where a
        `QuantileForecast` does not tell (see `outcomes`).

    Raises
    ------
    InvalidSettings
        If items or periods do not match, or nothing has happened yet.

    Examples
    --------
    >>> from backorder_forecast.panel import demand_panel
    >>> from backorder_forecast.paths import SamplePaths
    >>> weeks = pd.date_range("2024-01-01", periods=6, freq="W-MON")
    >>> panel = demand_panel(pd.DataFrame({"sku": "A", "date": weeks, "quantity": [3, 1, 2, 4, 2, 3]}), freq="W-MON")
    >>> forecast = SamplePaths.from_array(np.full((1, 5, 2), 2.0), ["A"], weeks[4:])
    >>> score_forecast(forecast, panel, panel)[["group", "n_observations", "pinball", "crps", "mase"]].round(4)
      group  n_observations  pinball  crps  mase
    0   all               2   0.3999   0.5   0.3
    """
    return _group_rows(outcomes(forecast, actual, levels=levels), history, by)


def score_sums(
    forecast: Forecast,
    actual: DemandPanel,
    history: DemandPanel,
    *,
    periods: int | None = None,
    levels: Sequence[float] = LEVELS,
    by: str | None = None,
) -> pd.DataFrame:
    """Scores of the summed demand of the first `periods` periods: what an order placed now has to cover.

    Parameters
    ----------
    forecast, actual, history, levels, by
        As for `score_forecast`. A `QuantileForecast` is one of sums, with `span` set.
    periods
        Length of the protection interval; by default all periods of the forecast.

    Returns
    -------
    DataFrame
        As from `score_forecast`, with one observation per item, left out if one of its periods is. The scale is that of
        one period, so that scaled scores grow with the window.

    Raises
    ------
    InvalidSettings
        As `score_forecast`; also if the window is longer than the forecast or has not happened yet.

    Examples
    --------
    >>> from backorder_forecast.panel import demand_panel
    >>> from backorder_forecast.paths import SamplePaths
    >>> weeks = pd.date_range("2024-01-01", periods=6, freq="W-MON")
    >>> panel = demand_panel(pd.DataFrame({"sku": "A", "date": weeks, "quantity": [3, 1, 2, 4, 2, 3]}), freq="W-MON")
    >>> forecast = SamplePaths.from_array(np.full((1, 5, 2), 2.0), ["A"], weeks[4:])
    >>> score_sums(forecast, panel, panel, periods=2)[["n_observations", "crps", "mase"]].round(4)
       n_observations  crps  mase
    0               1   1.0   0.6
    """
    length = longest_sum(forecast) if periods is None else periods
    return _group_rows(outcomes(forecast, actual, periods=length, levels=levels), history, by)


def score_by_step(
    forecast: Forecast, actual: DemandPanel, history: DemandPanel, *, levels: Sequence[float] = LEVELS
) -> pd.DataFrame:
    """Scores by how far ahead: one row per period of the forecast.

    Returns
    -------
    DataFrame
        step (1 is the first period), date, then the columns of `score_forecast` without group.

    Examples
    --------
    >>> from backorder_forecast.panel import demand_panel
    >>> from backorder_forecast.paths import SamplePaths
    >>> weeks = pd.date_range("2024-01-01", periods=6, freq="W-MON")
    >>> panel = demand_panel(pd.DataFrame({"sku": "A", "date": weeks, "quantity": [3, 1, 2, 4, 2, 3]}), freq="W-MON")
    >>> forecast = SamplePaths.from_array(np.full((1, 5, 2), 2.0), ["A"], weeks[4:])
    >>> score_by_step(forecast, panel, panel)[["step", "crps"]].to_dict("list")
    {'step': [1, 2], 'crps': [0.0, 1.0]}
    """
    told = outcomes(forecast, actual, levels=levels)
    past, _ = _past(told, history)
    scales = (naive_scale(past), naive_scale(past, squared=True))
    every = np.arange(len(told.items))
    rows = [
        {"step": k + 1, "date": date, **_summary(told, *scales, every, slice(k, k + 1))}
        for k, date in enumerate(told.dates)
    ]
    return pd.DataFrame(rows)


def pit_frame(forecast: Forecast, actual: DemandPanel, *, periods: int | None = None) -> pd.DataFrame:
    """Histogram of the non-randomised PIT (Czado, Gneiting & Held 2009), for pictures.

    Parameters
    ----------
    forecast, actual
        As for `score_forecast`.
    periods
        None for single periods, else the sum of the first `periods` periods, as for `score_sums`.

    Returns
    -------
    DataFrame
        decile (1 to 10), share (adds up to 1). Flat: calibrated; a bowl: too narrow; a hill: too wide; falling: too
        high; rising: too low.

    Examples
    --------
    >>> from backorder_forecast.panel import demand_panel
    >>> from backorder_forecast.paths import SamplePaths
    >>> weeks = pd.date_range("2024-01-01", periods=6, freq="W-MON")
    >>> panel = demand_panel(pd.DataFrame({"sku": "A", "date": weeks, "quantity": [3, 1, 2, 4, 2, 3]}), freq="W-MON")
    >>> forecast = SamplePaths.from_array(np.full((1, 5, 2), 2.0), ["A"], weeks[4:])
    >>> pit_frame(forecast, panel)["share"].round(2).tolist()
    [0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.55]
    """
    told = outcomes(forecast, actual, periods=periods, levels=())
    known = ~np.isnan(told.observed)
    return pd.DataFrame({"decile": np.arange(1, 11), "share": pit_histogram(told.below[known], told.at[known])})


def compare_scores(
    forecasts: Mapping[str, Forecast],
    actual: DemandPanel,
    history: DemandPanel,
    *,
    periods: int | None = None,
    levels: Sequence[float] = LEVELS,
    by: str | None = None,
) -> pd.DataFrame:
    """Scores of several forecasts of the same items and periods beside each other.

    Parameters
    ----------
    forecasts
        Name -> forecast; the first is the one to compare with.
    actual, history, levels, by
        As for `score_forecast`.
    periods
        None for single periods, else the sum of the first `periods` periods, as for `score_sums`.

    Returns
    -------
    DataFrame
        name, group, relative_pinball (pinball loss over that of the first forecast in the same group; below 1 is
        better), then the columns of `score_forecast`.

    Raises
    ------
    InvalidSettings
        As `score_forecast`; also for no forecast, or forecasts of different periods.

    Examples
    --------
    >>> from backorder_forecast.panel import demand_panel
    >>> from backorder_forecast.paths import SamplePaths
    >>> weeks = pd.date_range("2024-01-01", periods=6, freq="W-MON")
    >>> panel = demand_panel(pd.DataFrame({"sku": "A", "date": weeks, "quantity": [3, 1, 2, 4, 2, 3]}), freq="W-MON")
    >>> level = {k: SamplePaths.from_array(np.full((1, 5, 2), float(k)), ["A"], weeks[4:]) for k in (0, 2)}
    >>> compare_scores({"zero": level[0], "two": level[2]}, panel, panel)[["name", "relative_pinball"]].round(2)
       name  relative_pinball
    0  zero               1.0
    1   two               0.2
    """
    if not forecasts:
        raise InvalidSettings("there is no forecast to compare; give at least one, {name: forecast}")
    frames: list[pd.DataFrame] = []
    scored: dict[str, pd.DatetimeIndex] = {}
    for name, forecast in forecasts.items():
        told = outcomes(forecast, actual, periods=periods, levels=levels)
        scored[name] = told.dates
        first = next(iter(scored))
        if not told.dates.equals(scored[first]):
            raise InvalidSettings(
                f"forecasts are compared over the same periods: of {first!r} {len(scored[first])} from"
                f" {scored[first][0]:%Y-%m-%d} on can be scored, of {name!r} {len(told.dates)} from"
                f" {told.dates[0]:%Y-%m-%d} on"
            )
        rows = _group_rows(told, history, by)
        base = frames[0]["pinball"] if frames else rows["pinball"]
        rows.insert(1, "relative_pinball", ratio(rows["pinball"], base))
        rows.insert(0, "name", name)
        frames.append(rows)
    return pd.concat(frames, ignore_index=True)


def _group_rows(told: Outcomes, history: DemandPanel, by: str | None) -> pd.DataFrame:
    """One row of scores per group, then that of all items."""
    past, rows = _past(told, history)
    scales = (naive_scale(past), naive_scale(past, squared=True))
    groups: list[tuple[str, Rows]] = []
    if by is not None:
        labels = demand_classes(past) if by == "demand_class" else _labels(history.items, rows, by)
        groups = [(name, np.flatnonzero(labels == name)) for name in sorted(set(labels.tolist()))]
    groups.append(("all", np.arange(len(rows))))
    return pd.DataFrame([{"group": name, **_summary(told, *scales, at)} for name, at in groups])


def _past(told: Outcomes, history: DemandPanel) -> tuple[Floats, Rows]:
    """In-stock demand before the forecast, NaN elsewhere, (n_items, n_periods), and the rows of the history."""
    rows = item_codes(told.items, history.items)
    if (rows < 0).any():
        some = ", ".join(told.items["sku"].astype("str")[rows < 0].head(3))
        raise InvalidSettings(
            f"the history lacks {int((rows < 0).sum())} of {len(rows)} items of the forecast: {some}; an item without"
            " a past has a row of zeros with exposure 0"
        )
    before = int(history.periods.searchsorted(told.dates[0]))
    if not before:
        raise InvalidSettings(
            f"the history begins {history.periods[0]:%Y-%m-%d}, the forecast {told.dates[0]:%Y-%m-%d}: there is no"
            " period before it to learn a scale from"
        )
    seen = np.where(history.exposure >= IN_STOCK, history.demand, np.nan)[:, :before]
    return np.ascontiguousarray(seen[rows]), rows


def _labels(items: pd.DataFrame, rows: Rows, by: str) -> NDArray[np.object_]:
    if by not in items:
        raise unknown_option("by", by, ["demand_class", *map(str, items.columns)])
    column = items[by].iloc[rows]
    return column.astype("str").where(column.notna(), "(none)").to_numpy(dtype=object)


def _summary(
    told: Outcomes, scale: Floats, squared_scale: Floats, rows: Rows, dates: slice = slice(None)
) -> dict[str, float]:
    """Scores of some items and dates."""

    def part(values: Floats) -> Floats:
        return np.ascontiguousarray(values[rows, dates])

    y, forecast, loss = part(told.observed), part(told.mean), part(told.loss)
    known = ~np.isnan(y)
    error = y - forecast
    unscaled = known.any(axis=1) & ~(scale[rows] > 0)
    shares = pit_histogram(part(told.below)[known], part(told.at)[known])
    return {
        "n_items": len(rows),
        "n_observations": int(known.sum()),
        "n_left_out": int((~known).sum()),
        "n_unscaled": int(unscaled.sum()),
        "pinball": float(known_mean(loss[known])),
        "scaled_pinball": float(known_mean(ratio(known_mean(loss), scale[rows]))),
        "crps": float(known_mean(part(told.crps)[known])),
        "coverage_0.8": coverage(y, part(told.lower), part(told.upper)),
        "coverage_0.8_stated": float(known_mean(part(told.stated)[known])),
        "rmsse": float(known_mean(np.sqrt(ratio(known_mean(error * error), squared_scale[rows])))),
        "mase": float(known_mean(ratio(known_mean(np.abs(error)), scale[rows]))),
        "wape": wape(y, forecast),
        "bias": bias(y, forecast),
        "pit_min": float(shares.min()),
        "pit_max": float(shares.max()),
    }
