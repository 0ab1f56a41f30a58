from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hand_made import constant_sales, panel_of
from hypothesis import given, settings
from hypothesis import strategies as st
from shop_fixture import SETTINGS, assert_same_plan, plan_of, shop_plan, shop_read
from test_given_demand import QUICK, Drawn, Floats, Interval, Told, drawn, small, stock, world_of

from backorder_forecast.adapters import adapt
from backorder_forecast.baselines import baseline
from backorder_forecast.clock import Clock
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.forecasters import forecast_demand, model_name
from backorder_forecast.given_demand import fit_given
from backorder_forecast.panel import DemandPanel
from backorder_forecast.paths import SamplePaths
from backorder_forecast.pipeline import make_plan
from backorder_forecast.point_laws import horizon_clock
from backorder_forecast.scenario import Scenario
from backorder_forecast.settings import Settings
from backorder_forecast.tables import read_tables


def test_kilograms_stay_kilograms() -> None:
    panel = panel_of([[0.25, 1.5] * 20, [1.0, 2.0] * 20], freq="W-MON", start="2023-05-01")
    panel = replace(panel, as_of=panel.as_of + pd.Timedelta(days=3))
    clock = Clock.ahead(panel.as_of, "W-MON", 14)
    model = fit_given(panel, Told(2.1), clock, Settings(n_paths=50)).scaled(np.array([1.5, 1.5]))
    values = drawn(model, clock, 50)
    np.testing.assert_allclose(values[0], np.tile([2.1 * 1.5 * 4 / 7, 2.1 * 1.5, 2.1 * 1.5], (50, 1)))
    assert (values[1] == np.floor(values[1])).all()


@settings(max_examples=15)
@given(
    units=st.lists(st.integers(0, 2000), min_size=2, max_size=6, unique=True),
    day=st.integers(1, 6),
    factor=st.sampled_from([1.0, 0.5, 1.3]),
)
def test_more_units_or_a_larger_factor_never_leave_fewer(units: list[int], day: int, factor: float) -> None:
    panel = panel_of(np.ones((2, 20)), freq="W-MON", start="2023-05-01")
    panel = replace(panel, as_of=panel.as_of + pd.Timedelta(days=day))
    clock = Clock.ahead(panel.as_of, "W-MON", 7)

    def cut(value: float, times: float) -> Floats:
        model = fit_given(panel, Told(value), clock, Settings(n_paths=20)).scaled(np.full(2, times))
        return drawn(model, clock, 20)

    values = [cut(x, factor) for x in sorted(units)]
    for x, some in zip(sorted(units), values, strict=True):
        assert (some >= 0).all()
        assert (some[:, :, 0] <= np.ceil(x * factor)).all()
        assert (some == np.floor(some)).all()
        assert (cut(x, factor * 1.2)[:, :, 1:] >= some[:, :, 1:]).all()
    small_enough = [v for x, v in zip(sorted(units), values, strict=True) if x * factor < 400]
    for less, more in pairwise(small_enough):
        assert (more >= less).all()


# --- how many paths


def test_other_numbers_of_paths_are_used_alike() -> None:
    panel = panel_of(np.ones((1, 30)))
    clock = horizon_clock(panel, 2)
    few = drawn(fit_given(panel, Told(0, 1, 2), clock, Settings(n_paths=60)), clock, 60)
    assert np.bincount(few[0, :, 0].astype(int)).tolist() == [20, 20, 20]
    many = drawn(fit_given(panel, Told(*range(1000)), clock, Settings(n_paths=10)), clock, 10)
    assert many[0, :, 0].tolist() == [50, 150, 250, 350, 450, 550, 650, 750, 850, 950]
    same = drawn(fit_given(panel, Told(5, 3, 9), clock, Settings(n_paths=3)), clock, 3)
    assert same[0, :, 1].tolist() == [5, 3, 9]


def test_an_object_with_a_number_of_paths_is_asked_for_that_of_the_plan() -> None:
    class Fixed(Told):
        n_paths = property(lambda self: 3)

    panel, chosen = panel_of(np.ones((1, 30))), Settings(n_paths=40)
    clock = horizon_clock(panel, 2)
    for model in (Drawn(), baseline("ses"), adapt(Interval())):
        before = model.n_paths
        assert fit_given(panel, model, clock, chosen).given.n_paths == 40
        assert model.n_paths == before
    assert fit_given(panel, Fixed(1, 2, 3), clock, chosen).given.n_paths == 3


# --- the law that the paths have


@settings(max_examples=25)
@given(rate=st.floats(0.05, 40), common=st.floats(0, 2), horizon=st.integers(1, 9), seed=st.integers(0, 99))
def test_level_and_variances_are_the_moments_of_the_paths(rate: float, common: float, horizon: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = rate * rng.gamma(1 / (common + 0.01), common + 0.01, (4, 300, 1))
    values = rng.poisson(levels * rng.uniform(0.5, 1.5, horizon)).astype(np.float64)

    class Array:
        def forecast(self, panel: DemandPanel, horizon: int, seed: int) -> SamplePaths:
            return SamplePaths.from_array(values, panel.items, horizon_clock(panel, horizon).starts)

    panel = panel_of(np.ones((4, 30)))
    clock = horizon_clock(panel, horizon)
    model = fit_given(panel, Array(), clock, Settings(n_paths=300))
    np.testing.assert_array_equal(drawn(model, clock, 300), values)
    np.testing.assert_allclose(model.mean(clock), values.mean(axis=1), atol=1e-6)
    factors = model.factors(clock, slice(None)).sum(axis=1)
    total = values.sum(axis=2)
    np.testing.assert_allclose(model.level * factors, total.mean(axis=1), atol=1e-6)
    variance = model.within_variance * factors + model.level_variance * factors**2
    np.testing.assert_allclose(variance, total.var(axis=1), atol=1e-6)
    assert (model.within_variance >= 0).all()
    assert (model.level_variance >= 0).all()
    twice = model.scaled(np.full(4, 2.0))
    np.testing.assert_array_equal(drawn(twice, clock, 300), 2 * values)
    np.testing.assert_allclose(twice.mean(clock), 2 * model.mean(clock))


def test_the_level_of_some_time_ago_is_what_was_said_then_of_now() -> None:
    class LastWeek(Told):
        def forecast(self, panel: DemandPanel, horizon: int, seed: int) -> SamplePaths:
            self.asked.append((panel, horizon, seed))
            mean = panel.demand[:, -7:].mean(axis=1)[:, None, None] * np.ones((1, 4, horizon))
            return SamplePaths.from_array(mean, panel.items, horizon_clock(panel, horizon).starts)

    sales = constant_sales("AB", "2024-01-01", "2024-03-31")
    rises = (sales["sku"] == "A") & (sales["date"] > pd.Timestamp("2024-03-20"))
    sales.loc[rises, "quantity"] = 10.0
    products = pd.DataFrame({"sku": list("AB"), "lead_time_days": 10, "review_days": 4})
    tables = read_tables({"sales": sales, "inventory": stock(A=60, B=60), "products": products})
    model = LastWeek()
    world = world_of(tables, QUICK, model)
    np.testing.assert_allclose(world.earlier_ratio, [0.2, 1.0])
    back = model.asked[0][0].n_periods - model.asked[1][0].n_periods
    assert 14 <= back <= 30, "one lead time and review"
    assert model.asked[0][1] == model.asked[1][1]
    plan = make_plan(tables, QUICK, demand_model=model)
    assert plan.stockouts.set_index("sku").loc["A", "cause"] == "demand surge"


# --- what-if


def test_a_scenario_changes_the_same_paths() -> None:
    base = world_of(shop_read(), SETTINGS, "croston")
    sku = str(base.facts["sku"].iloc[3])
    more = world_of(shop_read(), SETTINGS, "croston", Scenario(demand_factor={"sku": {sku: 1.5}}))
    n = len(base.facts)
    horizon = base.clock.n_periods
    before, after = base.demand_draw(0, n, horizon), more.demand_draw(0, n, horizon)
    others = np.arange(n) != 3
    np.testing.assert_array_equal(before[others], after[others])
    assert (after[3] >= before[3]).all()
    assert (after[3] == np.floor(after[3])).all()
    assert after[3].sum() == pytest.approx(1.5 * before[3].sum(), rel=0.1)
    plan = plan_of(None, demand_model="croston")
    unchanged = plan_of(None, demand_model="croston", scenario=Scenario(demand_factor={"all": 1.0}))
    assert_same_plan(plan, unchanged, but=["data_quality"])


def test_later_suppliers_leave_the_demand_as_it_is() -> None:
    supplier = shop_plan().items.loc[shop_plan().items["on_order"] > 0, "supplier"].iloc[0]
    later = Scenario(supplier_delay_days={supplier: 200})
    for model in (Drawn(0.4), "seasonal_naive"):
        base, delayed = world_of(shop_read(), SETTINGS, model), world_of(shop_read(), SETTINGS, model, later)
        assert delayed.clock.n_periods > base.clock.n_periods
        n, horizon = len(base.facts), base.clock.n_periods
        np.testing.assert_array_equal(base.demand_draw(0, n, horizon), delayed.demand_draw(0, n, horizon))
        beyond = delayed.demand_draw(0, n, delayed.clock.n_periods)[:, :, horizon:]
        within = base.demand_draw(0, n, horizon)
        assert beyond.mean() == pytest.approx(within.mean(), rel=0.1)


# --- what cannot be used


class Wrong(Told):
    """Says what a function makes of the right answer."""

    def __init__(self, change: Callable[[SamplePaths], Any]) -> None:
        super().__init__(1.0, 2.0)
        self.change = change

    def forecast(self, panel: DemandPanel, horizon: int, seed: int) -> Any:
        return self.change(super().forecast(panel, horizon, seed))


def spoilt(value: float) -> Wrong:
    def change(paths: SamplePaths) -> SamplePaths:
        values = paths.draw().copy()
        values[1, 1, 2] = value
        return SamplePaths.from_array(values, paths.items, paths.dates)

    return Wrong(change)


def moody() -> Wrong:
    rng = np.random.default_rng(0)
    return Wrong(lambda p: replace(p, sampler=lambda a, b: rng.random((b - a, p.n_paths, len(p.dates)))))


REFUSED = [
    ("crosston", r"unknown baseline 'crosston' \(did you mean 'croston'\?\); valid are: naive"),
    (3, r"name of a baseline \(naive, .*\), or an object with forecast\(panel, horizon, seed\) .* got a int"),
    (Told, r"an object, got the class Told itself; make one: Told\(\.\.\.\)"),
    (Interval(), r"Interval is a model of statsforecast or sktime; give it as adapt\(Interval\(\.\.\.\)\)"),
    (Wrong(lambda p: p.draw()), r"Wrong gave a ndarray; its forecast returns SamplePaths, as from SamplePaths"),
    (
        Wrong(lambda p: replace(p, dates=p.dates + pd.Timedelta(days=1))),
        r"forecasts \d+ periods from 2024-04-02 to .* asked for \d+ periods from 2024-04-01 .* by its first day",
    ),
    (Wrong(lambda p: p.select([0])), "gave paths of 1 items; it was asked for the 2 of the panel, .*; it lacks B"),
    (
        Wrong(lambda p: replace(p, items=p.items.assign(sku=["A", "C"]))),
        "gave paths of 2 items; it was asked for the 2 of the panel, by sku and location; it lacks B",
    ),
    (Wrong(lambda p: replace(p, n_paths=5)), r"shape \(2, 2, \d+\) for 2 items; it is .* = \(2, 5, \d+\)"),
    (Wrong(lambda p: SamplePaths.from_array(p.draw()[:, :0], p.items, p.dates)), "gave no paths; one path per item"),
    (spoilt(-1.5), "gives -1.5 for B in the period from 2024-04-03; demand is a finite number, 0 or more: cut its"),
    (spoilt(np.nan), "gives nan for B in the period from 2024-04-03"),
    (spoilt(np.inf), "gives inf for B in the period from 2024-04-03"),
    (moody(), "gives B other values when they are drawn again; .* SamplePaths.from_array"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "message"), REFUSED)
def test_what_is_no_demand_model_is_refused_in_words(model: Any, message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        make_plan(small(), QUICK, demand_model=model)
    panel = panel_of(np.ones((2, 30)), start="2024-03-02").items.assign(sku=["A", "B"])
    known = replace(panel_of(np.ones((2, 30)), start="2024-03-02"), items=panel)
    with pytest.raises(InvalidSettings, match=message):
        forecast_demand(known, 4, model=model).draw()


def test_a_demand_model_is_checked_before_anything_is_fitted() -> None:
    seen: list[str] = []
    with pytest.raises(InvalidSettings, match="unknown baseline 'arima'"):
        make_plan(small(), QUICK, demand_model="arima", progress=lambda stage, share: seen.append(stage))
    assert seen == []


def test_names() -> None:
    class Named(Told):
        name = "mine"

    assert [model_name(m) for m in ("sba", baseline("tsb"), adapt(Interval()), Told(1), Named(1))] == [
        "sba", "tsb", "Interval", "Told", "mine"
    ]  # fmt: skip
