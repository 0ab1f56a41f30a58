"""Any forecaster in place of the own demand model: what it says is what the plan rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hand_made import constant_sales, panel_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import ndtri
from shop_fixture import SETTINGS, assert_same_plan, plan_of, read, shop, shop_plan, shop_read

from backorder_forecast.adapters import adapt
from backorder_forecast.baselines import BASELINES, baseline
from backorder_forecast.clock import Clock
from backorder_forecast.demand_law import DemandModel
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.fitting import fit_world
from backorder_forecast.forecasters import forecast_demand, model_name
from backorder_forecast.given_demand import fit_given
from backorder_forecast.panel import DemandPanel
from backorder_forecast.paths import SamplePaths
from backorder_forecast.pipeline import make_plan
from backorder_forecast.point_laws import horizon_clock
from backorder_forecast.scenario import Scenario
from backorder_forecast.settings import Settings
from backorder_forecast.simulation import World
from backorder_forecast.tables import read_tables

Floats = NDArray[np.float64]
QUICK = Settings(n_paths=40, horizon_days=20, workers=1)


class Told:
    """A forecaster that says the same of every item and period: the given paths."""

    def __init__(self, *paths: float) -> None:
        self.paths = np.asarray(paths, dtype=np.float64)
        self.asked: list[tuple[DemandPanel, int, int]] = []

    def forecast(self, panel: DemandPanel, horizon: int, seed: int) -> SamplePaths:
        self.asked.append((panel, horizon, seed))
        values = np.broadcast_to(self.paths[None, :, None], (panel.n_items, len(self.paths), horizon))
        return SamplePaths.from_array(values, panel.items, horizon_clock(panel, horizon).starts)


@dataclass
class Drawn:
    """A forecaster that draws Poisson counts with numpy, all at once, so that every number depends on the horizon."""

    rate: float = 3.0
    n_paths: int = 500

    def forecast(self, panel: DemandPanel, horizon: int, seed: int) -> SamplePaths:
        shape = (panel.n_items, self.n_paths, horizon)
        values = np.random.default_rng(seed).poisson(self.rate, shape).astype(np.float64)
        return SamplePaths.from_array(values, panel.items, horizon_clock(panel, horizon).starts)


class Interval:
    """A statsforecast model with normal intervals; refuses series that hold a value above 50."""

    def forecast(
        self, y: Floats, h: int, X: Any = None, X_future: Any = None, level: Any = None, fitted: bool = False
    ) -> dict[str, Floats]:
        if y.max() > 50:
            raise NotImplementedError("too much")
        told = {"mean": np.full(h, y.mean())}
        for coverage in level or ():
            width = (1.0 + y.std()) * ndtri(0.5 + coverage / 200)
            told |= {f"lo-{coverage}": told["mean"] - width, f"hi-{coverage}": told["mean"] + width}
        return told


def world_of(tables: Any, chosen: Settings, model: Any, scenario: Scenario | None = None) -> World:
    return fit_world(tables, chosen, demand_model=model, scenario=scenario, lap=lambda stage: None).world


def drawn(model: DemandModel, clock: Clock, n_paths: int, seed: int = 1) -> Floats:
    return model.drawer(clock, n_paths=n_paths, seed=seed)(0, len(model.items), clock.n_periods)


def small(**tables: Any) -> Any:
    return read_tables({"sales": constant_sales("AB", "2024-01-01", "2024-03-31"), **tables})


def stock(**on_hand: float) -> pd.DataFrame:
    return pd.DataFrame({"sku": list(on_hand), "date": "2024-03-31", "on_hand": list(on_hand.values())})


# --- forecasts


@pytest.mark.parametrize("name", BASELINES)
def test_a_name_stands_for_its_baseline(name: str) -> None:
    panel = panel_of([[0, 2, 0, 1] * 10, [5, 6, 4, 5] * 10], freq="W-MON")
    named = forecast_demand(panel, 3, 7, model=name, settings=Settings(n_paths=30, min_in_stock=0.5))
    ours = baseline(name, n_paths=30, min_in_stock=0.5).forecast(panel, 3, 7)
    np.testing.assert_array_equal(named.draw(), ours.draw())
    assert named.dates.equals(ours.dates)
    pd.testing.assert_frame_equal(named.items, ours.items)


def test_an_object_is_asked_for_panel_horizon_and_seed_and_taken_at_its_word() -> None:
    panel, told = panel_of(np.ones((2, 30))), Told(1.5, 4.0, 0.0)
    paths = forecast_demand(panel, 3, 9, model=told)
    assert told.asked == [(panel, 3, 9)]
    assert paths.draw().tolist() == [[[1.5] * 3, [4.0] * 3, [0.0] * 3]] * 2


def test_paths_of_items_in_another_order_are_put_in_that_of_the_panel() -> None:
    class Backwards(Told):
        def forecast(self, panel: DemandPanel, horizon: int, seed: int) -> SamplePaths:
            items = panel.items.iloc[::-1].reset_index(drop=True)
            values = np.arange(panel.n_items, dtype=np.float64)[:, None, None] * np.ones((1, 2, horizon))
            return SamplePaths.from_array(values, items, horizon_clock(panel, horizon).starts)

    paths = forecast_demand(panel_of(np.ones((3, 30))), 2, model=Backwards())
    assert paths.draw()[:, 0, 0].tolist() == [2, 1, 0]
    assert paths.items["sku"].tolist() == ["S000", "S001", "S002"]


def test_without_a_model_the_own_one_speaks() -> None:
    panel = panel_of(np.full((2, 40), 3.0))
    np.testing.assert_array_equal(forecast_demand(panel, 3).draw(), forecast_demand(panel, 3, model=None).draw())
    assert (forecast_demand(panel, 3).draw() != forecast_demand(panel, 3, model="ses").draw()).any()


# --- a plan


def test_a_plan_by_hand() -> None:
    told = Told(3.0)
    plan = make_plan(small(inventory=stock(A=10, B=1000)), QUICK, demand_model=told)
    risk = plan.stockouts.set_index("sku")
    assert risk["p_stockout"].to_dict() == {"A": 1.0, "B": 0.0}
    # Ten units at three a day: the fourth day is short.
    for level in (0.1, 0.5, 0.9):
        assert risk.loc["A", f"stockout_date_{level}"] == pd.Timestamp("2024-04-04")
    assert (plan.forecasts[["mean", 0.1, 0.5, 0.9]] == 3.0).all().all()
    assert plan.forecasts["date"].min() == pd.Timestamp("2024-04-01")
    assert plan.items["mean_daily"].tolist() == [3.0, 3.0]
    # Two weeks of lead time and one of review, in which 63 units are wanted from the day after.
    assert plan.reorders.set_index("sku")["order_quantity"].tolist()[0] >= 3 * 21 - 10
    excess = plan.excess.set_index("sku")
    assert excess.index.tolist() == ["B"]
    assert excess["p_unsold"].tolist() == [1.0]
    assert plan.items["method"].tolist() == ["Told", "Told"]
    assert plan.items["method_reason"].tolist() == ["demand model given; paths per item: 1 given, 40 used"] * 2
    assert plan.notes[0] == "demand is forecast by Told instead of the library's own model"
    assert {seed for _, _, seed in told.asked} == {QUICK.seed}


def test_a_named_plan_has_the_frames_of_any_plan_and_the_forecasts_of_the_method() -> None:
    plan = plan_of(None, SETTINGS.replace(n_paths=400), demand_model="croston")
    for name, frame in shop_plan().frames.items():
        assert plan.frames[name].columns.tolist() == frame.columns.tolist(), name
    assert set(plan.items["method"]) <= {"croston", "none"}
    assert (plan.forecasts[[0.1, 0.5, 0.9]] % 1 == 0).all().all(), "whole units have whole quantiles"
    panel = fit_world(shop_read(), SETTINGS, demand_model="croston", lap=lambda stage: None).history.panel
    expected = pd.Series(baseline("croston").means(panel, 1)[:, 0], panel.items["sku"].astype("str"))
    expected[panel.items["discontinued"].notna().to_numpy()] = 0.0
    found = plan.forecasts.groupby("sku")["mean"].mean()[expected.index]
    assert (found[expected == 0] == 0).all()
    assert found.sum() == pytest.approx(expected.sum(), rel=0.1)
    assert "it does not know the table events" in plan.notes[0]


def test_confidence_rests_on_the_history_whatever_the_model() -> None:
    columns = ["sku", "demand_class", "n_periods", "n_nonzero", "censored_share", "confidence"]
    own, given_model = shop_plan().items[columns], plan_of(None, demand_model="ses").items[columns]
    pd.testing.assert_frame_equal(own, given_model)
    assert own["confidence"].nunique() > 1


def test_an_adapted_model_plans_and_what_it_could_not_do_is_said() -> None:
    sales = constant_sales("AB", "2024-01-01", "2024-03-31")
    sales.loc[sales["sku"] == "B", "quantity"] = 60.0
    tables = read_tables({"sales": sales, "inventory": stock(A=20, B=20)})
    model = adapt(Interval(), n_paths=7)
    plan = make_plan(tables, QUICK, demand_model=model)
    items = plan.items.set_index("sku")
    assert items["method"].to_dict() == {"A": "Interval", "B": "moving_average"}
    assert items.loc["B", "method_reason"] == "Interval could not: NotImplementedError: too much"
    # Asked for as many paths as the plan has, by way of a copy.
    assert items.loc["A", "method_reason"] == "demand model given"
    assert model.n_paths == 7
    mean = plan.forecasts.groupby("sku")["mean"].mean()
    assert mean["B"] == pytest.approx(60.0, rel=0.1)
    assert mean["A"] == pytest.approx(2.0, abs=0.2)
    assert (plan.forecasts[0.5] % 1 == 0).all()


def test_cores_buckets_and_row_order_change_nothing() -> None:
    plan = plan_of(None, demand_model="croston")
    shuffled = {name: frame.sample(frac=1, random_state=3) for name, frame in shop().items()}
    again = make_plan(read(shuffled), SETTINGS.replace(workers=2, bucket_size=7), demand_model="croston")
    assert_same_plan(plan, again)
    other = plan_of(None, SETTINGS.replace(seed=1), demand_model="croston")
    assert (other.forecasts[0.9] != plan.forecasts[0.9]).any()


class AnyPastPeriod:
    """The example of the README."""

    def forecast(self, panel: DemandPanel, horizon: int, seed: int) -> SamplePaths:
        some = np.random.default_rng(seed).integers(panel.n_periods, size=(500, horizon))
        dates = pd.date_range(panel.periods[-1], periods=horizon + 1, freq=panel.freq)[1:]
        return SamplePaths.from_array(panel.demand[:, some], panel.items, dates)


@pytest.mark.parametrize("freq", ["D", "W-WED", "MS"])
def test_a_forecaster_of_four_lines_plans_on_any_clock(freq: str) -> None:
    tables = small(inventory=stock(A=30, B=300))
    plan = make_plan(tables, QUICK.replace(freq=freq, horizon_days=60), demand_model=AnyPastPeriod())
    days = {"D": 1, "W-WED": 7, "MS": 30}[freq]
    assert plan.forecasts["mean"].iloc[1] == pytest.approx(2.0 * days, rel=0.1)
    assert plan.items["mean_daily"].to_numpy() == pytest.approx(2.0, rel=0.1)
    assert plan.stockouts.set_index("sku")["p_stockout"].to_dict() == {"A": 1.0, "B": 0.0}


def test_a_picture_shows_the_given_demand() -> None:
    plan = make_plan(small(inventory=stock(A=10, B=1000)), QUICK, demand_model=Told(3.0))
    assert plan.pictures is not None
    assert (plan.pictures("A", "").forecast[[0.1, "mean", 0.9]] == 3.0).all().all()


# --- cut to the days ahead and on sale


@pytest.mark.parametrize(("as_of", "share"), [("2024-06-26", 4 / 7), ("2024-06-29", 1 / 7), ("2024-06-24", 6 / 7)])
@pytest.mark.parametrize("rate", [4.0, 3000.0])
def test_of_a_week_that_has_begun_each_unit_stays_with_the_share_ahead(as_of: str, share: float, rate: float) -> None:
    panel = replace(panel_of(np.ones((3, 60)), freq="W-MON", start="2023-05-01"), as_of=pd.Timestamp(as_of))
    clock = Clock.ahead(panel.as_of, "W-MON", 28)
    assert clock.fraction[0] == pytest.approx(share)
    model = fit_given(panel, Drawn(rate, 8000), clock, Settings(n_paths=8000))
    values = drawn(model, clock, 8000)
    assert (values == np.floor(values)).all()
    # Poisson counts of which each unit stays with a probability are Poisson counts again.
    expected = rate * np.array([share, 1, 1, 1, 1])[: clock.n_periods]
    np.testing.assert_allclose(values.mean(axis=1), expected + np.zeros((3, 1)), rtol=0.04)
    np.testing.assert_allclose(values.var(axis=1), expected + np.zeros((3, 1)), rtol=0.08)
    np.testing.assert_allclose(model.mean(clock), expected + np.zeros((3, 1)), rtol=0.04)


def test_nothing_is_sold_outside_the_dates_and_nothing_is_cut_twice() -> None:
    panel = panel_of(
        np.full((4, 36), 6.0), freq="MS", start="2021-01-01", launched=[None, "2024-02-16", "2021-01-01", None],
        discontinued=["2023-11-30", None, "2024-01-31", "2024-02-10"],
    )  # fmt: skip
    clock = horizon_clock(panel, 3)
    shares = np.array([[0, 0, 0], [0, 14 / 29, 1], [1, 0, 0], [1, 10 / 29, 0]])
    for name in ("ses", "bootstrap"):
        model = fit_given(panel, name, clock, Settings(n_paths=4000))
        values = drawn(model, clock, 4000)
        np.testing.assert_allclose(values.mean(axis=1), 6.0 * shares, rtol=0.05)
        np.testing.assert_allclose(model.mean(clock), 6.0 * shares, rtol=0.05, err_msg=name)
    told = Told(6.0)
    fit_given(panel, told, clock, Settings())
    seen = told.asked[0][0].items
    assert "discontinued" not in seen
    assert seen["launched"].notna().tolist() == [False, False, True, False], "a launch in the past begins the history"


def test_a_discontinued_item_is_not_ordered_and_confidently_so() -> None:
    products = pd.DataFrame({"sku": list("AB"), "discontinued": ["2024-03-31", None]})
    plan = make_plan(small(inventory=stock(A=0, B=0), products=products), QUICK, demand_model=Told(3.0, 4.0))
    orders = plan.reorders.set_index("sku").sort_index()
    assert (orders["order_quantity"] > 0).tolist() == [False, True]
    assert plan.forecasts.groupby("sku")["mean"].max().to_dict() == {"A": 0.0, "B": 3.5}
    assert plan.items.set_index("sku").loc["A", "confidence_reason"] == "discontinued: no demand expected"


# --- whole units


def test_values_between_whole_units_go_up_or_down_with_the_same_mean() -> None:
    panel = panel_of(np.ones((2, 40)))
    clock = horizon_clock(panel, 50)
    values = drawn(fit_given(panel, Told(*[2.3] * 200), clock, Settings(n_paths=200)), clock, 200)
    assert set(np.unique(values)) == {2.0, 3.0}
    assert values.mean() == pytest.approx(2.3, abs=0.02)
    # Neighbours go up and down independently of one another.
    assert np.corrcoef(values[0].T)[np.triu_indices(50, 1)].mean() == pytest.approx(0.0, abs=0.01)


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
