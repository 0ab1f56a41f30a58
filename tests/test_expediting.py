"""Express deliveries: the best quantity by hand, and never worse than none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop_fixture import SETTINGS, read, shop

from backorder_forecast import make_plan
from backorder_forecast.clock import Clock
from backorder_forecast.expediting import COLUMNS, express_frame

CLOCK = Clock.ahead(pd.Timestamp("2024-01-07"), "D", 20)


def item(**terms: object) -> pd.DataFrame:
    usual = {
        "start": 5.0, "price": 10.0, "unit_cost": 6.0, "pack_size": 1.0, "active": True, "express_lead_time_days": 3.0,
        "express_cost": 7.0,
    }  # fmt: skip
    return pd.DataFrame({name: [value] for name, value in (usual | terms).items()})


def told(items: pd.DataFrame, demand: np.ndarray, arrival: int = 10, joins: float = 1.0) -> pd.Series:
    n_paths = demand.shape[1]
    return express_frame(
        items, demand, np.zeros_like(demand), np.full((1, n_paths), arrival), joins=np.full(1, joins), clock=CLOCK,
        highest_level=0.95,
    ).iloc[0]  # fmt: skip


def test_the_best_quantity_is_the_newsvendor_of_the_units_short() -> None:
    # One a day from a stock of k = 0 ... 9: empty on day k + 1; express serves days 3 to 10, the normal order day 11.
    demand = np.ones((1, 10, 20))
    demand[0, :, 0] += np.arange(10)
    row = told(item(start=10.0), demand, joins=0.0)
    # Units short between: demand to day 10 less stock and less what was short before day 3.
    total = demand[0, :, :10].sum(axis=1)
    before = np.maximum(demand[0, :, :2].sum(axis=1) - 10.0, 0.0)
    short = np.sort(np.maximum(total - 10.0, 0.0) - before)
    # 1 a unit more against a margin of 4: the .75 quantile.
    quantity = short[int(np.ceil(0.75 * 10)) - 1]
    assert row["express_quantity"] == quantity
    served = np.minimum(short, quantity).mean()
    assert row["express_units"] == pytest.approx(served)
    assert row["express_saving"] == pytest.approx(4.0 * served - 1.0 * quantity)
    assert row["express_date"] == pd.Timestamp("2024-01-10")
    # No other quantity saves more.
    for other in range(12):
        assert 4.0 * np.minimum(short, other).mean() - other <= row["express_saving"] + 1e-9


def test_who_waits_already_comes_first() -> None:
    demand = np.ones((1, 4, 20))
    # Five wait now and two more by day 3; one a day comes until the normal order on day 11.
    row = told(item(start=-5.0, express_cost=6.5), demand)
    assert row["express_quantity"] == 7 + 8
    assert row["express_units"] == 8
    assert row["express_saving"] == pytest.approx(4.0 * 8 - 0.5 * 15)
    # At 3 more a unit the eight sales do not pay for fifteen units.
    assert told(item(start=-5.0, express_cost=9.0), demand)["express_quantity"] == 0


@pytest.mark.parametrize(
    "terms", [{"express_cost": 10.0}, {"express_cost": 40.0}, {"start": 90.0}, {"express_lead_time_days": 15.0}]
)
def test_where_it_does_not_pay_nothing_is_sent_by_express(terms: dict[str, float]) -> None:
    row = told(item(**terms), np.ones((1, 4, 20)))
    assert row["express_quantity"] == row["express_saving"] == 0
    assert pd.isna(row["express_date"])


@pytest.mark.parametrize("terms", [{"express_lead_time_days": np.nan}, {"active": False}, {"price": np.nan}])
def test_without_an_express_service_nothing_is_said(terms: dict[str, object]) -> None:
    assert told(item(**terms), np.ones((1, 4, 20)))[list(COLUMNS)].isna().all()


@given(seed=st.integers(0, 9999), extra=st.floats(0, 5), pack=st.sampled_from([1.0, 6.0]))
def test_it_never_costs_more_than_it_saves(seed: int, extra: float, pack: float) -> None:
    demand = np.random.default_rng(seed).poisson(1.5, (1, 30, 20)).astype(float)
    row = told(item(express_cost=6.0 + extra, pack_size=pack), demand)
    assert row["express_saving"] >= 0
    assert row["express_quantity"] % pack == 0
    assert row["express_units"] <= row["express_quantity"]
    cheaper = told(item(express_cost=6.0, pack_size=pack), demand)
    assert cheaper["express_saving"] >= row["express_saving"] - 1e-9


def test_a_plan_says_what_express_would_save() -> None:
    tables = shop()
    terms = tables["supplier_items"]
    tables["supplier_items"] = terms.assign(express_lead_time_days=2.0, express_cost=terms["unit_cost"] * 1.05)
    orders = make_plan(read(tables), SETTINGS).reorders
    worth = orders["express_saving"] > 0
    assert worth.any()
    assert orders.loc[worth, "remark"].str.contains("by express").all()
    assert (orders.loc[worth, "express_date"] < orders.loc[worth, "arrival_0.9"]).all()
    assert not orders.loc[~worth, "remark"].str.contains("by express").any()


def test_who_has_left_by_then_needs_no_unit_by_express() -> None:
    demand = np.full((1, 4, 20), 2.0)
    arrival, receipts = np.full((1, 4), 10), np.zeros((1, 4, 20))

    def quantity(joins: float, stay: np.ndarray | None) -> pd.Series:
        return express_frame(
            item(start=0.0), demand, receipts, arrival, joins=np.full(1, joins), clock=CLOCK, highest_level=0.95,
            stay=stay,
        ).iloc[0]  # fmt: skip

    patient, none = np.ones((1, 20)), np.append(1.0, np.zeros(19))[None, :]
    pd.testing.assert_series_equal(quantity(1.0, patient), quantity(1.0, None))
    pd.testing.assert_series_equal(quantity(1.0, none), quantity(0.0, None))
    # Two days of two units wait on day 3; half of those of the day before, a quarter of the others have stayed.
    half = quantity(1.0, 0.5 ** np.arange(20)[None, :])
    assert quantity(0.0, None)["express_quantity"] < half["express_quantity"] < quantity(1.0, None)["express_quantity"]
