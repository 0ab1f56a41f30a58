"""Models of statsforecast and sktime as forecasters: one series after the other, quantiles made into sample paths.

A model sees the history of one item from its stated launch, else its first usable sale on; a period out of stock is
replaced by the item's mean in stock, as most models cannot do without a value, and a period of in-stock share f by
the rate y / f. What it says comes back in one of two ways:

- *Quantiles.* A path draws a standard normal per period, correlated from one period to the next (Gaussian copula,
  autoregressive of order 1), and reads the quantile at that probability: linear between the levels in normal scores,
  and beyond them, so that normal intervals are met exactly. Values are cut at 0, which raises the mean of models whose
  intervals reach below it, and rounded to the nearest whole number for items counted in whole units.
- *A point forecast only* (or intervals without width, as some models give for short series). It is made a
  distribution by `point_laws`, with the errors of the same model refitted at up to eight earlier origins.

Items on which a model fails take the moving average and are listed in `AdaptedModel.fallbacks`; warnings of the models
are not shown. Neither library is needed to import this module. Time per item is the model's own.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from numbers import Integral
from typing import Any, NoReturn

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from backorder_forecast import streams
from backorder_forecast.baselines import baseline
from backorder_forecast.clock import WEEKDAYS
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.level_laws import fractional
from backorder_forecast.panel import DemandPanel
from backorder_forecast.paths import SamplePaths, check_levels
from backorder_forecast.point_laws import (
    PointLaw,
    error_dispersion,
    horizon_clock,
    law_model,
    on_sale_share,
    usable_history,
)
from backorder_forecast.smoothing import MIN_EXPOSURE

Floats = NDArray[np.float64]

LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
"""Quantile levels asked of a model. Levels but .5 are bounds of statsforecast's central intervals, .5 its mean."""
CORRELATION = 0.5
"""Correlation of the normal scores of neighbouring periods. Errors of AutoETS over eight periods in seven public sets
of real demand are as correlated as .37 to .72 implies; 0 would make sums too narrow."""
_ORIGINS = 8

Ask = Callable[[Any, "pd.Series[float]", int, Sequence[float]], tuple[Floats, Floats | None]]


class AdaptedModel:
    """A model of another library as a `Forecaster`; made by `adapt`.

    Attributes
    ----------
    fallbacks
        Items for which the last `forecast` took the moving average instead: sku, location, reason.
    """

    def __init__(
        self,
        model: Any,
        ask: Ask,
        *,
        n_paths: int,
        levels: Sequence[float],
        correlation: float,
        min_in_stock: float,
        from_first_sale: bool,
    ) -> None:
        self.model = model
        self.n_paths = n_paths
        self.levels = tuple(levels)
        self.correlation = correlation
        self.min_in_stock = min_in_stock
        self.from_first_sale = from_first_sale
        self.fallbacks = pd.DataFrame({"sku": [], "location": [], "reason": []}, dtype="str")
        self._ask = ask

    @property
    def name(self) -> str:
        """What a plan calls the model: its class."""
        return type(self.model).__name__

    def __repr__(self) -> str:
        return f"AdaptedModel({self.model!r}, {len(self.fallbacks)} fallbacks)"

    def forecast(self, panel: DemandPanel, horizon: int = 8, seed: int = 0) -> SamplePaths:
        """Sample paths of demand over the `horizon` periods after a panel; the model runs now, paths are drawn later.

        Raises
        ------
        InvalidSettings
            For a horizon below one period, or conformal intervals made for another one.
        """
        clock = horizon_clock(panel, horizon)
        _check_conformal(self.model, clock.n_periods)
        law, quantiles = self._fitted(panel, clock.n_periods)
        counts = law_model(panel, law).drawer(clock, n_paths=self.n_paths, seed=seed)
        known = ~np.isnan(quantiles[:, 0, 0])
        on_sale, counted = on_sale_share(panel, clock), ~fractional(panel)
        keys = streams.item_keys(panel.items["sku"], panel.items["location"], seed, streams.DEMAND)
        scores = ndtri(np.asarray(self.levels))

        def sampler(start: int, stop: int) -> Floats:
            values = counts(start, stop, clock.n_periods)
            rows = start + np.flatnonzero(known[start:stop])
            if len(rows):
                laws = (quantiles[rows], on_sale[rows], counted[rows])
                values[rows - start] = _draw(keys[rows], scores, *laws, self.correlation, self.n_paths)
            return values

        return SamplePaths(panel.items[["sku", "location"]].astype("str"), clock.starts, self.n_paths, sampler)

    def _fitted(self, panel: DemandPanel, horizon: int) -> tuple[PointLaw, Floats]:
        """Point laws of all items, and quantiles (n_items, horizon, n_levels), NaN for items that have none."""
        law = baseline("moving_average", min_in_stock=self.min_in_stock).law(panel, horizon)
        y, shares = usable_history(panel, min_in_stock=self.min_in_stock, from_first_sale=self.from_first_sale)
        means, level_share = law.means.copy(), law.level_share.copy()
        quantiles = np.full((panel.n_items, horizon, len(self.levels)), np.nan)
        past, own, failed = np.full(y.shape, np.nan), np.zeros(panel.n_items, dtype=np.bool_), {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a thousand items would say the same a thousand times
            for i in range(panel.n_items):
                seen = ~np.isnan(y[i])
                if not seen.any():
                    failed[i] = "no demand while in stock: forecast 0"
                    continue
                first = int(seen.argmax())
                mean = np.average(y[i, seen] / shares[i, seen], weights=shares[i, seen])
                values = np.where(seen, y[i] / shares[i], mean)[first:]
                series = pd.Series(values, _period_index(panel.periods[first:], panel.freq))
                try:
                    point, asked = self._ask(copy.deepcopy(self.model), series, horizon, self.levels)
                except Exception as error:  # noqa: BLE001 - another library may raise anything
                    failed[i] = f"{type(error).__name__}: {error}"[:200]
                    continue
                if asked is not None:
                    quantiles[i], means[i] = np.sort(asked, axis=1), 0.0  # a mean of 0 costs no draws
                    continue
                own[i], means[i] = True, np.maximum(point, 0.0)
                past[i, first:] = self._earlier(series)
        counted = ~fractional(panel)
        dispersion = error_dispersion(y, shares, past, means.mean(axis=1), counted=counted)
        level_share[own] = _mean_correlation(self.correlation, horizon)
        items = panel.items[["sku", "location"]].astype("str")
        self.fallbacks = items.iloc[list(failed)].reset_index(drop=True)
        self.fallbacks["reason"] = pd.Series(list(failed.values()), dtype="str")
        return PointLaw(means, np.where(own, dispersion, law.dispersion), level_share), quantiles

    def _earlier(self, series: pd.Series[float]) -> Floats:
        """What the model would have said of past periods at earlier origins, NaN where it could not, (n_periods,)."""
        n = len(series)
        gap = max(-(-(n - 1) // _ORIGINS), 1)
        past = np.full(n, np.nan)
        for origin in range(n - gap, 0, -gap):
            with suppress(Exception):  # a history too short for the model says nothing
                point, _ = self._ask(copy.deepcopy(self.model), series.iloc[:origin], gap, ())
                past[origin : origin + gap] = np.maximum(point, 0.0)
        return past


def adapt(
    model: Any,
    *,
    n_paths: int = 500,
    levels: Sequence[float] = LEVELS,
    correlation: float = CORRELATION,
    min_in_stock: float = MIN_EXPOSURE,
    from_first_sale: bool = True,
) -> AdaptedModel:
    """Make a model of statsforecast or sktime a `Forecaster`.

    Parameters
    ----------
    model
        A statsforecast model, such as `statsforecast.models.AutoETS(season_length=12)`: its `forecast(y, h, level)`
        returns a dict with mean, lo-90, hi-90 and so on. Or an sktime forecaster: `fit(y, fh=...)`, then
        `predict_quantiles(fh, alpha=...)` or only `predict(fh)`. It is copied for every item and stays as it is.
    n_paths
        Sample paths per item.
    levels
        Quantile levels asked of the model, at least two.
    correlation
        Correlation of neighbouring periods within a path, 0 to 1.
    min_in_stock
        In-stock share below which a period is replaced.
    from_first_sale
        Whether history begins at the first sale where no launch is stated. False lets it begin with the panel: for
        models of intermittent demand that count the wait for the first demand, such as Croston's.

    Returns
    -------
    AdaptedModel
        Its `fallbacks` frame (sku, location, reason) tells after each `forecast` which items the model could not do.

    Raises
    ------
    InvalidSettings
        If the object has neither interface, or an option is out of its range.

    Examples
    --------
    >>> import pandas as pd
    >>> from backorder_forecast.panel import demand_panel
    >>> class Mean:
    ...     def forecast(self, y, h, level=None):
    ...         ends = {"mean": 0.0, "lo-80": -1.28, "hi-80": 1.28}
    ...         return {key: np.full(h, y.mean() + end * y.std()) for key, end in ends.items()}
    >>> months = pd.date_range("2023-01-01", periods=24, freq="MS")
    >>> panel = demand_panel(pd.DataFrame({"sku": "A", "date": months, "quantity": [8, 10, 12] * 8}), freq="MS")
    >>> forecaster = adapt(Mean(), levels=[0.1, 0.5, 0.9])
    >>> forecaster.forecast(panel, 2).mean()["mean"].round(0).tolist(), len(forecaster.fallbacks)
    ([10.0, 10.0], 0)
    """
    ask = _interface(model) or _refuse(model)
    checked = sorted(set(check_levels(levels)))
    if len(checked) < 2:
        raise InvalidSettings(f"levels are at least two different quantile levels; got {list(levels)}")
    if isinstance(n_paths, bool) or not isinstance(n_paths, Integral) or n_paths < 1:
        raise InvalidSettings(f"n_paths is a whole number, at least 1; got {n_paths!r}")
    if not 0.0 <= correlation <= 1.0:
        raise InvalidSettings(f"correlation is a number from 0 to 1; got {correlation!r}")
    if not 0.0 <= min_in_stock <= 1.0:
        raise InvalidSettings(f"min_in_stock is a share from 0 to 1; got {min_in_stock!r}")
    return AdaptedModel(
        model,
        ask,
        n_paths=int(n_paths),
        levels=checked,
        correlation=float(correlation),
        min_in_stock=min_in_stock,
        from_first_sale=from_first_sale,
    )


def needs_adapting(model: Any) -> bool:
    """Whether an object is a model that `adapt` makes a forecaster."""
    return _interface(model) is not None


def _interface(model: Any) -> Ask | None:
    """How to ask a model, from what it can do."""
    if not isinstance(model, type):
        if {"y", "h"} <= _arguments(model, "forecast"):
            return _ask_statsforecast
        if {"y", "fh"} <= _arguments(model, "fit") and "fh" in _arguments(model, "predict"):
            return _ask_sktime
    return None


def _refuse(model: Any) -> NoReturn:
    found = f"the class {model.__name__} itself" if isinstance(model, type) else f"a {type(model).__name__}"
    if {"panel", "horizon"} <= _arguments(model, "forecast"):
        raise InvalidSettings(
            f"{found} has forecast(panel, horizon, seed): it is a forecaster already, to be used as it is"
        )
    raise InvalidSettings(
        "a model to adapt has forecast(y, h), as statsforecast's AutoETS(season_length=12), or fit(y, fh) and"
        f" predict(fh), as sktime's forecasters; got {found}; give a model object of one of these libraries"
    )


def _arguments(model: Any, method: str) -> set[str]:
    found = getattr(model, method, None)
    if not callable(found):
        return set()
    with suppress(ValueError, TypeError):
        return set(inspect.signature(found).parameters)
    return set()


def _check_conformal(model: Any, horizon: int) -> None:
    """Conformal intervals of statsforecast are made for one number of periods (or one for all)."""
    made_for = getattr(getattr(model, "prediction_intervals", None), "h", None)
    if made_for is not None and made_for not in (1, horizon):
        raise InvalidSettings(
            f"the model's prediction_intervals are for {made_for} periods and {horizon} are forecast; make the model"
            f" with ConformalIntervals(h={horizon}, ...)"
        )


def _ask_statsforecast(
    model: Any, series: pd.Series[float], horizon: int, levels: Sequence[float]
) -> tuple[Floats, Floats | None]:
    """Point forecast (horizon,), and quantiles (horizon, n_levels) where the model has them."""
    y = series.to_numpy()
    # Whether a model has intervals shows only in trying: those without raise, each in its own way.
    with suppress(Exception):
        if levels:
            percents = {level: _percent(level) for level in levels if level != 0.5}
            told = model.forecast(y=y, h=horizon, level=sorted(set(percents.values())))
            sides = [f"{'hi' if q > 0.5 else 'lo'}-{percents[q]}" if q in percents else "mean" for q in levels]
            quantiles = np.column_stack([np.asarray(told[side], dtype=np.float64) for side in sides])
            if _has_spread(quantiles, (horizon, len(levels))):
                return quantiles.mean(axis=1), quantiles
    return _points(model.forecast(y=y, h=horizon)["mean"], horizon), None


def _ask_sktime(
    model: Any, series: pd.Series[float], horizon: int, levels: Sequence[float]
) -> tuple[Floats, Floats | None]:
    """Point forecast (horizon,), and quantiles (horizon, n_levels) where the model has them."""
    ahead = list(range(1, horizon + 1))
    model.fit(y=series, fh=ahead)
    with suppress(Exception):  # predict_quantiles exists on all, and raises for models without
        if levels:
            quantiles = np.asarray(model.predict_quantiles(fh=ahead, alpha=list(levels)), dtype=np.float64)
            if _has_spread(quantiles, (horizon, len(levels))):
                return quantiles.mean(axis=1), quantiles
    return _points(model.predict(fh=ahead), horizon), None


def _percent(level: float) -> float:
    """Coverage in per cent of the central interval that ends at a quantile level; a whole number where it is one."""
    percent = round(abs(2.0 * level - 1.0) * 100.0, 6)
    return int(percent) if percent == int(percent) else percent


def _has_spread(quantiles: Floats, shape: tuple[int, int]) -> bool:
    return quantiles.shape == shape and bool(np.isfinite(quantiles).all() and (np.ptp(quantiles, axis=1) > 0).any())


def _points(told: Any, horizon: int) -> Floats:
    values = np.asarray(told, dtype=np.float64).ravel()
    if values.shape != (horizon,) or not np.isfinite(values).all():
        raise ValueError(f"the model gave no finite forecast for each of {horizon} periods: {values.tolist()[:3]}")
    return values


def _period_index(starts: pd.DatetimeIndex, freq: str) -> pd.PeriodIndex:
    """Calendar periods, as sktime's models know them best."""
    week_end = WEEKDAYS[WEEKDAYS.index(freq[2:]) - 1] if freq.startswith("W") else ""
    code = {"D": "D", "MS": "M"}.get(freq, f"W-{week_end}")
    return pd.period_range(starts[0], periods=len(starts), freq=code)


def _mean_correlation(correlation: float, horizon: int) -> float:
    """Mean correlation of two periods of the horizon: what they have in common if all pairs are to be alike."""
    if horizon == 1:
        return 0.0
    gaps = np.arange(1, horizon)
    return float(2.0 * ((horizon - gaps) * correlation**gaps).sum() / (horizon * (horizon - 1)))


@nb.njit(cache=True, nogil=True)
def _draw(keys, scores, quantiles, on_sale, counted, correlation, n_paths):  # type: ignore[no-untyped-def]
    n_items, n_periods, n_levels = quantiles.shape
    fresh = np.sqrt(1.0 - correlation * correlation)
    out = np.zeros((n_items, n_paths, n_periods))
    for i in range(n_items):
        for p in range(n_paths):
            s0, s1 = streams.start(keys[i], p)
            score = 0.0
            for t in range(n_periods):
                bits, s0, s1 = streams.step(s0, s1)
                radius = np.sqrt(-2.0 * np.log(1.0 - streams.unit(bits)))
                bits, s0, s1 = streams.step(s0, s1)
                normal = radius * np.cos(2.0 * np.pi * streams.unit(bits))
                score = normal if t == 0 else correlation * score + fresh * normal
                k = 0
                while k < n_levels - 2 and score > scores[k + 1]:
                    k += 1
                slope = (quantiles[i, t, k + 1] - quantiles[i, t, k]) / (scores[k + 1] - scores[k])
                value = max((quantiles[i, t, k] + slope * (score - scores[k])) * on_sale[i, t], 0.0)
                out[i, p, t] = np.floor(value + 0.5) if counted[i] else value
    return out
