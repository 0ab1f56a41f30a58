"""Any forecaster in place of the own demand model: what it says is what the plan rests on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hand_made import constant_sales, panel_of
from numpy.typing import NDArray
from scipy.special import ndtri
from shop_fixture import SETTINGS, assert_same_plan, plan_of, read, shop, shop_plan, shop_read

from backorder_forecast.adapters import adapt
from backorder_forecast.baselines import BASELINES, baseline
from backorder_forecast.clock import Clock
from backorder_forecast.demand_law import DemandModel
from backorder_forecast.fitting import fit_world
from backorder_forecast.forecasters import forecast_demand
from backorder_forecast.given_demand import fit_given
from backorder_forecast.panel import DemandPanel
from backorder_forecast.paths import SamplePaths
from backorder_forecast.pipeline import make_plan
from backorder_forecast.point_laws import horizon_clock
from backorder_forecast.scenario import Scenario
from backorder_forecast.settings import Settings
from backorder_forecast.simulation import World
from backorder_forecast.tables import read_tables
from backorder_forecast.what_if import changed

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
    fitted = fit_world(tables, chosen, demand_model=model, lap=lambda stage: None)
    return fitted.world if scenario is None else changed(fitted, scenario).world


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
