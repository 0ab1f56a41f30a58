"""Adapted models: what a model says comes back in the paths, what it cannot do is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import ndtri

from backorder_forecast.adapters import CORRELATION, LEVELS, adapt
from backorder_forecast.baselines import Forecaster, baseline
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.panel import RAN_OUT, DemandPanel

Floats = NDArray[np.float64]


class Normal:
    """A statsforecast model with normal intervals of known mean and spread; refuses short series."""

    def __init__(self, mean: float = 40.0, sd: float = 6.0, shortest: int = 1) -> None:
        self.mean, self.sd, self.shortest = mean, sd, shortest
        self.seen: list[Floats] = []

    def forecast(
        self, y: Floats, h: int, X: Any = None, X_future: Any = None, level: Any = None, fitted: bool = False
    ) -> dict[str, Floats]:
        if len(y) < self.shortest:
            raise NotImplementedError("tiny datasets")
        self.seen.append(y)
        told = {"mean": np.full(h, self.mean)}
        for coverage in level or ():
            width = self.sd * ndtri(0.5 + coverage / 200)
            told |= {f"lo-{coverage}": told["mean"] - width, f"hi-{coverage}": told["mean"] + width}
        return told


class PointOnly:
    """A statsforecast model without intervals: the mean of all periods."""

    def forecast(
        self, y: Floats, h: int, X: Any = None, X_future: Any = None, level: Any = None, fitted: bool = False
    ) -> dict[str, Floats]:
        if level is not None:
            raise Exception("You have to instantiate the class with `prediction_intervals` to calculate them")
        return {"mean": np.full(h, y.mean())}


class Certain(PointOnly):
    """The same with intervals of no width, as for a series too short to tell."""

    def forecast(
        self, y: Floats, h: int, X: Any = None, X_future: Any = None, level: Any = None, fitted: bool = False
    ) -> dict[str, Floats]:
        ends = {f"{side}-{coverage}" for side in ("lo", "hi") for coverage in level or ()}
        return dict.fromkeys(["mean", *ends], np.full(h, y.mean()))


class Sktime:
    """An sktime forecaster of the mean without quantiles: predict_quantiles is there and raises."""

    def fit(self, y: pd.Series[float], X: Any = None, fh: Any = None) -> Sktime:
        self.y, self.fh = y, fh
        return self

    def predict(self, fh: Any = None, X: Any = None) -> pd.Series[float]:
        assert list(fh) == self.fh
        return pd.Series(self.y.mean(), index=self.y.index[-1] + np.asarray(fh))

    def predict_quantiles(self, fh: Any = None, X: Any = None, alpha: Any = None) -> pd.DataFrame:
        raise NotImplementedError("does not have the capability to return quantile predictions")


class SktimeQuantiles(Sktime):
    """One with the quantiles of the past, crossed on purpose."""

    def predict_quantiles(self, fh: Any = None, X: Any = None, alpha: Any = None) -> pd.DataFrame:
        columns = pd.MultiIndex.from_product([[0], alpha])
        values = np.tile(np.quantile(self.y, alpha)[::-1], (len(fh), 1))
        return pd.DataFrame(values, index=self.y.index[-1] + np.asarray(fh), columns=columns)


def make_panel(demand: object, exposure: object = None, *, freq: str = "W-MON", **columns: list[str]) -> DemandPanel:
    values = np.atleast_2d(np.asarray(demand, dtype=np.float64))
    shares = np.ones_like(values) if exposure is None else np.atleast_2d(np.asarray(exposure, dtype=np.float64))
    periods = pd.date_range("2022-01-03" if freq == "W-MON" else "2022-01-01", periods=values.shape[1] + 1, freq=freq)
    items = pd.DataFrame({"sku": [chr(65 + i) for i in range(len(values))], "location": "", **columns})
    return DemandPanel(items, periods[:-1], freq, periods[-1] - pd.Timedelta(days=1), values, shares)


def counts(*means: float, n: int = 60, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).poisson(np.array(means)[:, None], (len(means), n)).astype(np.float64) + 0.0


def test_normal_intervals_come_back_as_they_are_beyond_the_levels_too() -> None:
    weights = make_panel(counts(40.0) + 0.5)
    values = adapt(Normal(), n_paths=40_000).forecast(weights, 2, seed=1).draw()[0]
    assert values.mean(axis=0) == pytest.approx(40.0, abs=4 * 6.0 / 200)
    assert values.std(axis=0) == pytest.approx(6.0, rel=0.02)
    for level in (0.001, 0.03, 0.5, 0.8, 0.999):
        assert np.quantile(values, level) == pytest.approx(40.0 + 6.0 * ndtri(level), abs=0.6)


def test_neighbouring_periods_are_correlated_as_stated() -> None:
    weights = make_panel(counts(40.0) + 0.5)

    def paths(correlation: float) -> Floats:
        return np.asarray(adapt(Normal(), n_paths=40_000, correlation=correlation).forecast(weights, 5, 1).draw()[0])

    values = paths(0.7)
    assert np.asarray(np.corrcoef(values.T))[0] == pytest.approx(0.7 ** np.arange(5), abs=0.02)
    apart = paths(0.0)
    assert apart.sum(axis=1).var() == pytest.approx(5 * 36.0, rel=0.04)
    together = paths(1.0)
    assert together.sum(axis=1).std() == pytest.approx(5 * 6.0, rel=0.02)
    default = adapt(Normal(), n_paths=40_000).forecast(weights, 2, seed=1).draw()[0]
    assert np.corrcoef(default.T)[0, 1] == pytest.approx(CORRELATION, abs=0.02)


def test_counts_are_whole_and_never_negative() -> None:
    values = adapt(Normal(1.0, 2.0), n_paths=4000).forecast(make_panel(counts(1.0)), 3).draw()
    assert (values == np.floor(values)).all()
    # Below one half of a unit nothing is sold: P(N(1, 2) < 0.5).
    assert (values == 0).mean() == pytest.approx(0.401, abs=0.03)
    assert values.min() == 0
    assert (values == 3).mean() == pytest.approx(0.121, abs=0.02)


def test_paths_have_the_quantiles_that_a_forecaster_of_sktime_gives() -> None:
    demand = counts(3.0, 12.0, n=200, seed=2)
    values = adapt(SktimeQuantiles(), n_paths=20_000).forecast(make_panel(demand), 2).draw()
    for level in LEVELS[1:-1]:
        told = np.quantile(demand, level, axis=1)
        assert np.abs(np.quantile(values, level, axis=1) - told[:, None]).max() <= 1.0
    assert values.mean(axis=1) == pytest.approx(np.repeat(demand.mean(axis=1)[:, None], 2, axis=1), rel=0.05)


@pytest.mark.parametrize("model", [PointOnly(), Certain(), Sktime()])
def test_a_model_without_intervals_is_as_uncertain_as_it_was(model: Any) -> None:
    rng = np.random.default_rng(3)
    demand = rng.negative_binomial(2.0, 2.0 / 8.0, size=(30, 120)).astype(np.float64)
    items = pd.DataFrame({"sku": [f"S{i}" for i in range(30)], "location": ""})
    panel = replace(make_panel(demand[0]), items=items, demand=demand, exposure=np.ones_like(demand))
    forecaster = adapt(model, n_paths=4000)
    values = forecaster.forecast(panel, 4).draw()
    assert forecaster.fallbacks.empty
    error = values.std(axis=1) / np.sqrt(4000)
    assert (np.abs(values.mean(axis=1) - demand.mean(axis=1)[:, None]) <= 4 * error).all()
    # Mean 6, size 2: variance 24.
    assert values.var(axis=1).mean() == pytest.approx(24.0, rel=0.15)
    # Four periods of an autoregression of .5 have a mean correlation of .3542.
    ratio = values.sum(axis=2).var(axis=1) / values.var(axis=1).sum(axis=1)
    assert ratio.mean() == pytest.approx(1 + 3 * 0.3542, rel=0.05)
    alone = adapt(model, correlation=0.0).forecast(panel, 4).draw()
    assert (alone.sum(axis=2).var(axis=1) / alone.var(axis=1).sum(axis=1)).mean() == pytest.approx(1.0, abs=0.05)


def test_a_model_sees_the_item_from_its_first_sale_with_hidden_periods_filled() -> None:
    demand = [0.0, 5.0, 4.0, 0.0, 9.0, 3.0]
    exposure = [1.0, 0.0, 1.0, RAN_OUT, 0.1, 0.5]
    panel = make_panel([demand, demand], [exposure, exposure], launched=["2022-01-03", "2030-01-01"])
    assert _seen(panel) == [[0.0, 2.8, 4.0, 2.8, 2.8, 6.0], pytest.approx([4.0, 14 / 3, 14 / 3, 6.0])]
    assert _seen(make_panel(demand, exposure)) == [pytest.approx([4.0, 14 / 3, 14 / 3, 6.0])]
    assert _seen(make_panel(demand, exposure), from_first_sale=False) == [[0.0, 2.8, 4.0, 2.8, 2.8, 6.0]]
    assert _seen(make_panel(demand, exposure), min_in_stock=0.1)[0][2] == pytest.approx(90.0)


def _seen(panel: DemandPanel, **options: Any) -> list[Any]:
    """The series that a model is given, one per item."""
    lists: list[Any] = []

    class Listening(Normal):
        def forecast(self, y: Floats, h: int, *args: Any, level: Any = None, **more: Any) -> dict[str, Floats]:
            lists.append(y.tolist())
            return super().forecast(y, h, level=level)

    adapt(Listening(), **options).forecast(panel, 2)
    return lists


@pytest.mark.parametrize(("freq", "code"), [("D", "D"), ("W-MON", "W-SUN"), ("MS", "M")])
def test_sktime_is_given_calendar_periods(freq: str, code: str) -> None:
    class Dated(Sktime):
        def predict(self, fh: Any = None, X: Any = None) -> pd.Series[float]:
            index = self.y.index
            assert isinstance(index, pd.PeriodIndex)
            assert index.freqstr == code
            assert index[0].start_time == panel.periods[1]
            return super().predict(fh)

    panel = make_panel([[0, 2, 3, 4, 5, 6]], freq=freq)
    forecaster = adapt(Dated())
    assert forecaster.forecast(panel, 3).draw().mean() == pytest.approx(4.0, rel=0.1)
    assert forecaster.fallbacks.empty


def test_items_on_which_a_model_fails_take_the_moving_average_and_are_listed() -> None:
    demand = counts(5.0, 5.0, 5.0, 5.0)
    demand[1, :50] = 0.0
    demand[3] = 0.0
    panel = make_panel(demand, location=["x", "y", "x", "y"])
    forecaster = adapt(Normal(40.0, 6.0, shortest=20), n_paths=60)
    assert forecaster.fallbacks.empty
    values = forecaster.forecast(panel, 3, seed=4).draw()
    assert forecaster.fallbacks.to_dict("list") == {
        "sku": ["B", "D"],
        "location": ["y", "y"],
        "reason": ["NotImplementedError: tiny datasets", "no demand while in stock: forecast 0"],
    }
    average = baseline("moving_average", n_paths=60).forecast(panel, 3, seed=4).draw()
    np.testing.assert_array_equal(values[[1, 3]], average[[1, 3]])
    assert values[[0, 2]].mean() == pytest.approx(40.0, rel=0.05)
    assert "2 fallbacks" in repr(forecaster)
    forecaster.forecast(panel.until(60), 1)
    assert len(forecaster.fallbacks) == 2


@pytest.mark.parametrize("told", [np.array([1.0, np.nan]), np.array([1.0, np.inf]), np.array([1.0]), None, "none"])
def test_what_is_no_forecast_is_a_failure(told: Any) -> None:
    class Wrong(PointOnly):
        def forecast(self, y: Floats, h: int, *args: Any, **more: Any) -> Any:
            return {"mean": told} if told is not None else {}

    forecaster = adapt(Wrong())
    assert np.isfinite(forecaster.forecast(make_panel(counts(3.0)), 2).draw()).all()
    assert forecaster.fallbacks["sku"].tolist() == ["A"]


def test_a_negative_point_forecast_is_none() -> None:
    class Falling(PointOnly):
        def forecast(self, y: Floats, h: int, *args: Any, level: Any = None, **more: Any) -> dict[str, Floats]:
            if level:
                raise Exception("no intervals")
            return {"mean": np.array([4.0, -4.0])[:h]}

    values = adapt(Falling(), n_paths=4000).forecast(make_panel(counts(4.0)), 2).draw()
    assert values[:, :, 0].mean() == pytest.approx(4.0, rel=0.1)
    assert (values[:, :, 1] == 0).all()


@pytest.mark.parametrize("model", [Normal(6.0, 3.0), PointOnly(), SktimeQuantiles(), Sktime()])
def test_same_bytes_for_any_bucket_size_row_order_and_company(model: Any) -> None:
    panel = make_panel(counts(5.0, 0.3, 1.0, 0.0, 8.0))
    forecaster: Forecaster = adapt(model, n_paths=40)
    paths = forecaster.forecast(panel, 3, 5)
    values = paths.draw()
    in_twos = replace(paths, bucket_size=2)
    np.testing.assert_array_equal(np.concatenate([in_twos.draw(a, b) for a, b in in_twos.buckets()]), values)
    order = np.array([4, 3, 1])
    items = panel.items.iloc[order].reset_index(drop=True)
    some = replace(panel, items=items, demand=panel.demand[order], exposure=panel.exposure[order])
    np.testing.assert_array_equal(forecaster.forecast(some, 3, 5).draw(), values[order])
    assert (forecaster.forecast(panel, 3, 6).draw() != values).any()


def test_the_model_given_stays_as_it_was() -> None:
    model = Normal()
    adapt(model).forecast(make_panel(counts(5.0)), 2)
    assert model.seen == []


@pytest.mark.parametrize("model", [Normal(6.0, 1.0), PointOnly()])
def test_nothing_is_sold_after_the_stated_end(model: Any) -> None:
    panel = make_panel(np.full((2, 36), 6.0), freq="MS", discontinued=["2024-12-31", "2025-01-15"])
    values = adapt(model, n_paths=4000).forecast(panel, 2).draw()
    assert (values[0] == 0).all()
    assert values[1, :, 0].mean() == pytest.approx(6.0 * 15 / 31, rel=0.1)
    assert (values[1, :, 1] == 0).all()


class _FitsX:
    def fit(self, X: Any, y: Any) -> None: ...
    def predict(self, X: Any) -> None: ...


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: adapt(3), r"forecast\(y, h\), as statsforecast's .* got a int; give a model object"),
        (lambda: adapt(_FitsX()), r"fit\(y, fh\) and predict\(fh\), as sktime's forecasters; got a _FitsX"),
        (lambda: adapt(Normal), "got the class Normal itself; give a model object"),
        (lambda: adapt(baseline("ses")), "a Baseline has .* it is a forecaster already, to be used as it is"),
        (lambda: adapt(Normal(), levels=[0.5]), r"at least two different quantile levels; got \[0.5\]"),
        (lambda: adapt(Normal(), levels=[0.5, 1.5]), "strictly between 0 and 1"),
        (lambda: adapt(Normal(), correlation=-0.1), "correlation is a number from 0 to 1; got -0.1"),
        (lambda: adapt(Normal(), n_paths=0), "n_paths is a whole number, at least 1; got 0"),
        (lambda: adapt(Normal(), min_in_stock=7), "min_in_stock is a share from 0 to 1; got 7"),
        (lambda: adapt(Normal()).forecast(make_panel([1.0]), 0), "horizon is a whole number of periods"),
    ],
)
def test_errors_say_what_is_wrong(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        make()


def test_conformal_intervals_must_be_for_the_horizon() -> None:
    class Conformal(Normal):
        class prediction_intervals:
            h = 4

    panel = make_panel(counts(40.0))
    assert adapt(Conformal()).forecast(panel, 4).draw().mean() == pytest.approx(40.0, rel=0.02)
    with pytest.raises(
        InvalidSettings, match=r"for 4 periods and 3 are forecast; .* ConformalIntervals\(h=3, \.\.\.\)"
    ):
        adapt(Conformal()).forecast(panel, 3)


def test_models_of_statsforecast() -> None:
    models = pytest.importorskip("statsforecast.models")
    utils = pytest.importorskip("statsforecast.utils")
    demand = counts(30.0, 8.0, 0.4)
    panel = make_panel(demand, freq="MS")
    for model in (models.AutoETS(season_length=12), models.AutoARIMA(season_length=1), models.HistoricAverage()):
        forecaster = adapt(model, n_paths=4000)
        values = forecaster.forecast(panel, 4).draw()
        assert forecaster.fallbacks.empty
        told = [model.forecast(y=y[(y > 0).argmax() :], h=4, level=[90]) for y in demand]
        for i in range(2):
            np.testing.assert_allclose(values[i].mean(axis=0), told[i]["mean"], rtol=0.03)
            np.testing.assert_allclose(np.quantile(values[i], 0.95, axis=0), told[i]["hi-90"], atol=1.0)
    conformal = models.CrostonSBA(prediction_intervals=utils.ConformalIntervals(n_windows=5, h=4))
    for model in (models.CrostonClassic(), models.WindowAverage(12), conformal):
        forecaster = adapt(model, n_paths=4000)
        values = forecaster.forecast(panel, 4).draw()
        assert forecaster.fallbacks.empty
        assert values[0].mean() == pytest.approx(30.0, rel=0.15)
        assert values[0].std() == pytest.approx(np.sqrt(30.0), rel=0.4)
    alike = adapt(models.CrostonClassic(), from_first_sale=False, n_paths=4000).forecast(panel, 4).draw()
    assert alike.mean(axis=(1, 2)) == pytest.approx(baseline("croston").means(panel, 1)[:, 0], rel=0.05)
    tiny = adapt(models.AutoETS(season_length=1))
    tiny.forecast(panel.until(3), 2)
    assert "tiny datasets" in tiny.fallbacks["reason"].iloc[0]


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_forecasters_of_sktime() -> None:
    naive = pytest.importorskip("sktime.forecasting.naive")
    croston = pytest.importorskip("sktime.forecasting.croston")
    panel = make_panel(counts(30.0, 8.0))
    for model in (naive.NaiveForecaster(strategy="mean", window_length=20), croston.Croston()):
        forecaster = adapt(model)
        values = forecaster.forecast(panel, 4).draw()
        assert forecaster.fallbacks.empty
        assert values.mean(axis=(1, 2)) == pytest.approx([30.0, 8.0], rel=0.2)
        assert values[0].std() == pytest.approx(np.sqrt(30.0), rel=0.4)
