"""Forecasters: the library's own model, a named baseline, or an object that a user gives, asked in one way.

Whatever has `forecast(panel, horizon, seed) -> SamplePaths` is a forecaster. What it says is taken at its word, but not
unseen: it must be of the items and periods asked for, finite, 0 or more, and the same when it is drawn again.
Quantities are units per period.
"""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.adapters import needs_adapting
from backorder_forecast.baselines import BASELINES, Forecaster, baseline
from backorder_forecast.demand import fit_demand
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.panel import DemandPanel, item_codes
from backorder_forecast.paths import SamplePaths
from backorder_forecast.point_laws import horizon_clock
from backorder_forecast.settings import Settings
from backorder_forecast.trials import default_window

Floats = NDArray[np.float64]


def forecast_demand(
    panel: DemandPanel,
    horizon: int = 8,
    seed: int = 0,
    *,
    settings: Settings | None = None,
    events: pd.DataFrame | None = None,
    model: Forecaster | str | None = None,
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
        Defaults of `Settings` where not given; an object given as `model` has its own.
    events
        Promotions and other dated events, past and planned: columns kind, start, end, optionally sku, category,
        supplier and effect. An object given as `model` does not see them.
    model
        The name of a baseline ("croston", "sba", ...; see `baseline`), or an object with
        `forecast(panel, horizon, seed) -> SamplePaths`, such as `adapt` makes; the library's own model where not given.

    Returns
    -------
    SamplePaths
        Demand (n_items, n_paths, horizon); `.quantiles([...])` and `.cumulative().quantiles([...])` give frames.

    Raises
    ------
    InvalidSettings
        For an unknown name, an object of another kind, or one whose paths are not those of the items and periods asked
        for; if it gives values below 0 or none, as soon as these are drawn.

    Examples
    --------
    >>> import pandas as pd
    >>> from backorder_forecast.panel import demand_panel
    >>> weeks = pd.date_range("2023-01-02", periods=60, freq="W-MON")
    >>> panel = demand_panel(pd.DataFrame({"sku": "A", "date": weeks, "quantity": [3, 5, 4, 4] * 15}), freq="W-MON")
    >>> forecast_demand(panel, horizon=2).mean()["mean"].round(0).tolist()
    [4.0, 4.0]
    >>> forecast_demand(panel, horizon=2, model="sba").mean()["mean"].round(0).tolist()
    [4.0, 4.0]
    """
    clock = horizon_clock(panel, horizon)
    settings = settings or Settings(seed=seed)
    if model is not None:
        return asked_paths(as_forecaster(model, settings), panel, clock.n_periods, seed)
    fitted = fit_demand(panel, settings, window=default_window(panel.freq, clock.n_periods), events=events)
    return fitted.paths(clock, n_paths=settings.n_paths, seed=seed, bucket_size=settings.bucket_size)


def as_forecaster(model: Forecaster | str, settings: Settings) -> Forecaster:
    """The forecaster that a name or an object stands for; what is neither is refused.

    Examples
    --------
    >>> as_forecaster("croston", Settings(n_paths=100)).n_paths
    100
    """
    if isinstance(model, str):
        return baseline(model, n_paths=settings.n_paths, min_in_stock=settings.min_in_stock)
    if isinstance(model, type):
        raise InvalidSettings(
            f"a demand model is an object, got the class {model.__name__} itself; make one: {model.__name__}(...)"
        )
    if needs_adapting(model):
        raise InvalidSettings(
            f"{model_name(model)} is a model of statsforecast or sktime; give it as adapt({model_name(model)}(...)),"
            " which makes its forecasts sample paths"
        )
    if not callable(getattr(model, "forecast", None)):
        raise InvalidSettings(
            f"a demand model is the name of a baseline ({', '.join(BASELINES)}), or an object with forecast(panel,"
            f" horizon, seed) -> SamplePaths; got a {type(model).__name__}"
        )
    return model


def model_name(model: Forecaster | str) -> str:
    """What a plan calls a demand model: its `name` where it has one, else its class.

    Examples
    --------
    >>> model_name("sba"), model_name(baseline("sba"))
    ('sba', 'sba')
    """
    name = model if isinstance(model, str) else getattr(model, "name", None)
    return name if isinstance(name, str) and name else type(model).__name__


def with_paths(forecaster: Forecaster, n_paths: int) -> Forecaster:
    """The forecaster, or a copy of it, that draws `n_paths` paths, where it lets itself be asked."""
    if getattr(forecaster, "n_paths", n_paths) == n_paths:
        return forecaster
    other = copy.copy(forecaster)
    with suppress(AttributeError):  # a number that cannot be set is as good as none
        object.__setattr__(other, "n_paths", n_paths)  # the copy of a frozen one is still ours
    return other


def asked_paths(forecaster: Forecaster, panel: DemandPanel, horizon: int, seed: int) -> SamplePaths:
    """What a forecaster says, in the order of the panel; refused where it is not what it was asked for."""
    name = model_name(forecaster)
    paths = forecaster.forecast(panel, horizon, seed)
    if not isinstance(paths, SamplePaths):
        raise InvalidSettings(
            f"the demand model {name} gave a {type(paths).__name__}; its forecast returns SamplePaths, as from"
            " SamplePaths.from_array(values, panel.items, dates)"
        )
    dates = horizon_clock(panel, horizon).starts
    if not np.array_equal(_days(paths.dates), _days(dates)):
        raise InvalidSettings(
            f"the demand model {name} forecasts {_span(paths.dates)}; it was asked for {_span(dates)}, the periods"
            " after the last one of the panel, each by its first day"
        )
    if paths.n_paths < 1:
        raise InvalidSettings(f"the demand model {name} gave no paths; one path per item is the least")
    items = panel.items[["sku", "location"]].astype("str").reset_index(drop=True)
    rows = item_codes(items, paths.items if "location" in paths.items else paths.items.assign(location=""))
    if (rows < 0).any() or len(paths.items) != len(items):
        lacking = items.loc[rows < 0, "sku"].head(3).tolist()
        raise InvalidSettings(
            f"the demand model {name} gave paths of {len(paths.items)} items; it was asked for the {len(items)} of the"
            " panel, by sku and location" + (f"; it lacks {', '.join(lacking)}" if lacking else "")
        )
    if (rows != np.arange(len(rows))).any():
        paths = paths.select(rows)
    checked = _checked(replace(paths, items=items, dates=dates), name)
    _check_redraw(checked, name)
    return checked


def _checked(paths: SamplePaths, name: str) -> SamplePaths:
    """The same paths; values that are no demand are refused when they are drawn."""

    def sampler(start: int, stop: int) -> Floats:
        values = np.asarray(paths.sampler(start, stop), dtype=np.float64)
        shape = (stop - start, paths.n_paths, len(paths.dates))
        if values.shape != shape:
            raise InvalidSettings(
                f"the demand model {name} draws an array of the shape {values.shape} for {stop - start} items; it is"
                f" (n_items, n_paths, n_periods) = {shape}"
            )
        # NaN is neither.
        if not (values.min() >= 0.0 and values.max() < np.inf):
            i, _, t = (int(at[0]) for at in np.nonzero(~((values >= 0.0) & (values < np.inf))))
            wrong = values[i, :, t][~((values[i, :, t] >= 0.0) & (values[i, :, t] < np.inf))][0]
            raise InvalidSettings(
                f"the demand model {name} gives {wrong:g} for {paths.items['sku'].iloc[start + i]} in the period from"
                f" {paths.dates[t]:%Y-%m-%d}; demand is a finite number, 0 or more: cut its paths at 0 and leave none"
                " empty"
            )
        return values

    return replace(paths, sampler=sampler)


def _check_redraw(paths: SamplePaths, name: str) -> None:
    last = min(paths.n_items, 2)
    if not np.array_equal(paths.draw(0, last)[-1:], paths.draw(last - 1, last)):
        raise InvalidSettings(
            f"the demand model {name} gives {paths.items['sku'].iloc[last - 1]} other values when they are drawn again;"
            " paths are drawn more than once, some items at a time: let them depend on item and seed alone, or draw"
            " them once and return SamplePaths.from_array(values, panel.items, dates)"
        )


def _days(dates: pd.DatetimeIndex) -> NDArray[np.datetime64]:
    return dates.to_numpy().astype("datetime64[D]")


def _span(dates: pd.DatetimeIndex) -> str:
    ends = f" from {dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}" if len(dates) else ""
    return f"{len(dates)} periods{ends}"
