from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hand_made import AS_OF, items_of, known, model_of, skus, stock_items
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from backorder_forecast.clock import Clock
from backorder_forecast.distributions import nb_cdf, nb_quantile
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.leadtimes import LeadTimes, fit_lead_times
from backorder_forecast.paths import SamplePaths
from backorder_forecast.projection import project_stock, stock_quantiles
from backorder_forecast.reorders import (
    arrival_periods,
    excess_frame,
    order_need,
    order_targets,
    recommend_orders,
    row_quantiles,
)
from backorder_forecast.settings import Settings

Floats = NDArray[np.float64]
MONDAY = "2024-07-01"


def weekly(values: ArrayLike, start: str = MONDAY) -> SamplePaths:
    array = np.asarray(values, dtype=np.float64)
    return SamplePaths.from_array(array, skus(len(array)), pd.date_range(start, periods=array.shape[2], freq="W-MON"))


def daily(values: ArrayLike) -> SamplePaths:
    array = np.asarray(values, dtype=np.float64)
    return SamplePaths.from_array(array, skus(len(array)), pd.date_range(MONDAY, periods=array.shape[2]))


def on_hand(*units: float) -> pd.Series:
    return pd.Series(dict(zip(skus(len(units)), units, strict=True)))


def quantity(forecast: SamplePaths, stock: pd.Series, **options: Any) -> Floats:
    orders = recommend_orders(forecast, on_hand=stock, **options)
    return orders["order_quantity"].to_numpy(dtype=np.float64)


# --- known answers


def test_base_stock_with_normal_demand_known_answer() -> None:
    case = known("policies")["base_stock_4_4"]
    inputs, expected = case["inputs"], case["expected"]
    h, p, periods = inputs["h"], inputs["p"], inputs["L"] + 1
    n_paths = 40_000
    # Every path has the same share of a quantile of the five-period sum: the law without Monte-Carlo error.
    z = ndtri((np.arange(n_paths) + 0.5) / n_paths)
    total = periods * inputs["mean"] + np.sqrt(periods) * inputs["sd"] * z
    forecast = weekly(np.repeat(total[None, :, None] / periods, periods, axis=2))
    orders = recommend_orders(
        forecast, on_hand=on_hand(0.0), lead_time=periods, settings=Settings(service_level=p / (p + h))
    )
    assert orders["need_units"][0] == pytest.approx(expected["S"], abs=case["abs_tolerance"])
    assert orders["order_up_to_level"][0] == pytest.approx(expected["S"], abs=case["abs_tolerance"])
    assert orders["order_quantity"][0] == np.ceil(expected["S"])
    # The same ratio from a margin of p and a holding cost of h per unit and review.
    costs = pd.DataFrame({"sku": skus(1), "unit_cost": 1.0, "price": 1.0 + p, "holding_cost_rate": h * 365 / 7})
    by_cost = recommend_orders(
        forecast, on_hand=on_hand(0.0), lead_time=periods, items=costs,
        settings=Settings(order_target="cost", surplus_share=0.0),
    )  # fmt: skip
    assert by_cost["need_units"][0] == np.ceil(expected["S"]), "in whole units"
    assert by_cost["order_up_to_level"][0] == pytest.approx(expected["S"], abs=case["abs_tolerance"])


def test_minimum_and_packs_known_answer() -> None:
    case = known("policies")["moq_pack"]
    need = case["inputs"]["need"]
    items = pd.DataFrame({"sku": skus(len(need)), "moq": case["inputs"]["moq"], "pack_size": case["inputs"]["pack"]})
    forecast = weekly(np.repeat(np.reshape(need, (-1, 1, 1)), 2, axis=2) * [[[1.0, 0.0]]])
    orders = recommend_orders(forecast, on_hand=on_hand(*([0.0] * len(need))), items=items)
    assert orders["need_units"].tolist() == need
    assert orders["order_quantity"].tolist() == case["expected"]


def test_an_order_of_week_x_is_usable_from_week_x_plus_3_known_answer() -> None:
    case = known("orders")["vn2_ledger"]
    inputs = case["inputs"]
    demand = np.array(inputs["demand"], dtype=np.float64)
    lost = Settings(unmet="lost")
    weeks = pd.date_range(MONDAY, periods=4, freq="W-MON")
    # Decided at the end of week 0: the order serves week 3, where one unit is lacking. (Four were ordered.)
    first = recommend_orders(
        weekly(demand[None, None, :3]), on_hand=on_hand(inputs["on_hand"]), lead_time=3, settings=lost,
        receipts=pd.DataFrame({"sku": skus(1), "date": weeks[1], "quantity": inputs["in_transit"][1]}),
    )  # fmt: skip
    assert first["order_quantity"].tolist() == [1]
    # Decided at the end of week 1 with one unit left, three coming in week 2 and four in week 3: three for week 4.
    second = recommend_orders(
        weekly(demand[None, None, 1:], start="2024-07-08"), on_hand=on_hand(1), lead_time=3, settings=lost,
        receipts=pd.DataFrame({"sku": skus(2)[:1] * 2, "date": weeks[1:3], "quantity": [3, inputs["orders"][0]]}),
    )  # fmt: skip
    assert second["order_quantity"].tolist() == [inputs["orders"][1] + case["expected"]["end_inv_and_missed"][3][1]]
    # The ledger itself, walked by the library's clock.
    receipts = np.array([[*inputs["in_transit"], *inputs["orders"]]], dtype=np.float64)
    start = float(inputs["on_hand"])
    left = stock_quantiles(start, demand[None], receipts, 0.0, [0.5])[:, 0]
    assert left.tolist() == [row[0] for row in case["expected"]["end_inv_and_missed"]]
    assert 0.2 * left.sum() == pytest.approx(case["expected"]["holding"])
    short = project_stock(np.array([start]), demand[None, None], receipts[None], unmet="lost").short_units
    assert short[0, 0] == case["expected"]["shortage"]


# --- the need


@settings(max_examples=50)
@given(
    demand=arrays(np.float64, 9, elements=st.integers(0, 6).map(float)),
    receipts=arrays(np.float64, 9, elements=st.integers(0, 4).map(float)),
    start=st.integers(0, 20), arrival=st.integers(0, 7), after=st.integers(-3, 9), joins=st.sampled_from([0, 0.4, 1]),
)  # fmt: skip
def test_the_need_is_the_smallest_order_that_leaves_nothing_unmet_until_the_next_arrives(
    demand: Floats, receipts: Floats, start: int, arrival: int, after: int, joins: float
) -> None:
    at = np.full((1, 1), arrival)
    one = (np.array([float(start)]), demand[None, None], receipts[None, None])
    until = min(max(arrival + after, arrival + 1), 9)
    need = order_need(*one, at, np.minimum(at + after, 9), joins=np.array([joins]))
    assert need.protected_demand[0, 0] == demand[:until].sum()
    assert need.lead_demand[0, 0] == demand[:arrival].sum()
    level, lowest = float(start), np.inf
    for t in range(until):
        level += receipts[t]
        missed = max(demand[t] - max(level, 0.0), 0.0)
        # Before the arrival unmet demand waits or is lost; what is unmet after it the order should have covered.
        level -= demand[t] - ((1 - joins) * missed if t < arrival else 0.0)
        lowest = min(lowest, level) if t >= arrival else lowest
    assert need.need[0, 0] == pytest.approx(max(-lowest, 0.0))


@pytest.mark.parametrize(("joins", "wanted"), [(1.0, 15.0), (0.0, 4.0), (0.5, 9.5)])
def test_arrivals_beyond_the_paths_are_waited_for_at_the_expected_rate(joins: float, wanted: float) -> None:
    demand = np.full((1, 1, 6), 2.0)
    at = np.full((1, 1), 8)
    need = order_need(np.array([5.0]), demand, 0 * demand, at, at + 2, joins=np.array([joins]))
    assert need.lead_demand.tolist() == [[16]]
    assert need.protected_demand.tolist() == [[20]]
    # Sixteen are wanted before it comes: eleven too many, of which some wait; four more until the next.
    assert need.need.tolist() == [[wanted]]
    stated = order_need(np.array([5.0]), demand, 0 * demand, at, at + 2, joins=np.ones(1), later_demand=np.array([0.0]))
    assert stated.need.tolist() == [[7]]


def test_units_that_wait_are_ordered_unless_what_is_on_order_serves_them_in_time() -> None:
    quiet = np.zeros((1, 1, 6))
    for when, wanted in ((None, 4.0), (1, 0.0), (4, 0.0), (5, 4.0)):
        coming = quiet.copy()
        if when is not None:
            coming[0, 0, when] = 4.0
        at = np.full((1, 1), 2)
        need = order_need(np.array([-4.0]), quiet, coming, at, at + 3, joins=np.ones(1))
        assert need.need.tolist() == [[wanted]], when


@settings(max_examples=25)
@given(
    demand=arrays(np.float64, (2, 6, 5), elements=st.integers(0, 9).map(float)), more=st.integers(0, 12),
    unmet=st.sampled_from(["backorder", "lost", "partial"]), level=st.sampled_from([0.3, 0.9]),
)  # fmt: skip
def test_more_stock_or_supply_never_makes_a_larger_order(demand: Floats, more: int, unmet: str, level: float) -> None:
    options = {"lead_time": 3, "review_periods": 2, "settings": Settings(unmet=unmet, service_level=level)}
    forecast = weekly(demand)
    base = quantity(forecast, on_hand(2, 9), **options)
    assert (quantity(forecast, on_hand(2 + more, 9 + more), **options) <= base).all()
    coming = pd.DataFrame({"sku": skus(2), "date": MONDAY, "quantity": more})
    assert (quantity(forecast, on_hand(2, 9), receipts=coming, **options) <= base).all()
    assert (quantity(weekly(demand + 1), on_hand(2, 9), **options) >= base).all()
    stricter = {**options, "settings": Settings(unmet=unmet, service_level=0.99)}
    assert (quantity(forecast, on_hand(2, 9), **stricter) >= base).all()


@settings(max_examples=40)
@given(
    demand=arrays(np.float64, (2, 6, 4), elements=st.integers(0, 9).map(float)), moq=st.integers(0, 30),
    pack=st.sampled_from([0, 1, 4, 6, 0.5]),
)  # fmt: skip
def test_orders_respect_minimum_and_packs_and_zero_stays_zero(demand: Floats, moq: int, pack: float) -> None:
    items = items_of(2).assign(moq=float(moq), pack_size=float(pack))
    orders = recommend_orders(weekly(demand), on_hand=on_hand(3, 8), lead_time=2, items=items)
    need, ordered = orders["need_units"], orders["order_quantity"]
    assert (ordered[need == 0] == 0).all()
    assert (ordered >= need).all()
    assert (ordered[need > 0] >= moq).all()
    np.testing.assert_allclose(ordered % (pack or 1), 0.0)
    assert (ordered <= np.maximum(np.ceil(need), moq) + (pack or 1)).all()


def test_no_demand_no_order() -> None:
    forecast = weekly(np.zeros((1, 50, 6)))
    items = pd.DataFrame({"sku": skus(1), "moq": 100.0, "pack_size": 12.0})
    orders = recommend_orders(forecast, on_hand=on_hand(0), lead_time=4, items=items).iloc[0]
    assert orders[["order_quantity", "reorder_point", "order_up_to_level", "safety_stock"]].tolist() == [0] * 4
    owed = recommend_orders(forecast, on_hand=on_hand(-5), lead_time=4)
    assert owed["order_quantity"].tolist() == [5], "units that customers wait for are needed"


def test_levels_are_quantiles_of_demand_until_the_two_arrivals() -> None:
    forecast = model_of([3.0, 0.4], [9.0, 1.0]).paths(Clock.ahead(AS_OF, "D", 30), n_paths=500, seed=2)
    frame = recommend_orders(
        forecast, on_hand=on_hand(0, 0), lead_time=11, review_periods=7, settings=Settings(service_level=0.9)
    )
    total = np.cumsum(forecast.draw(), axis=2)
    np.testing.assert_array_equal(frame["reorder_point"], np.sort(total[:, :, 9], axis=1)[:, 449])
    np.testing.assert_array_equal(frame["order_up_to_level"], np.sort(total[:, :, 16], axis=1)[:, 449])
    np.testing.assert_allclose(frame["safety_stock"], frame["reorder_point"] - total[:, :, 9].mean(axis=1))
    assert (frame["arrival_0.5"] == AS_OF + pd.Timedelta(days=11)).all()


# --- one decision on any clock


def test_receipts_may_be_paths_or_dated_and_a_date_inside_a_period_waits_for_the_next() -> None:
    forecast = weekly(np.full((2, 3, 4), 5.0))
    dated = pd.DataFrame(
        {"sku": ["S000", "S000", "S001", "S001"], "date": ["2024-07-08", "2024-07-01", "2024-07-09", "2024-12-01"],
         "quantity": [4.0, 1.0, 6.0, 99.0]}
    )  # fmt: skip
    array = np.zeros((2, 3, 4))
    array[0, :, 0], array[0, :, 1], array[1, :, 2] = 1.0, 4.0, 6.0
    as_paths = SamplePaths.from_array(array, skus(2), forecast.dates)
    for lead in (1, 2, 3):
        a, b = (quantity(forecast, on_hand(2, 2), receipts=r, lead_time=lead) for r in (dated, as_paths))
        np.testing.assert_array_equal(a, b)
    assert quantity(forecast, on_hand(2, 2), receipts=dated, lead_time=2).tolist() == [3, 8]
    assert quantity(forecast, on_hand(2, 2), receipts=dated, lead_time=3).tolist() == [8, 7]
    shuffled = dated.sample(frac=1, random_state=0)
    assert quantity(forecast, on_hand(2, 2), receipts=shuffled, lead_time=3).tolist() == [8, 7]
    empty = dated.iloc[:0]
    assert quantity(forecast, on_hand(2, 2), receipts=empty, lead_time=2).tolist() == [8, 8]


def delivered_after(days: int, supplier: str = "ACME") -> LeadTimes:
    ordered = pd.date_range("2023-01-02", periods=60, freq="7D")
    orders = pd.DataFrame(
        {"supplier": supplier, "order_date": ordered, "received_date": ordered + pd.Timedelta(days=days)}
    )
    return fit_lead_times(orders, as_of="2024-06-30", settings=Settings(lead_time_pool_k=1e-6))


def test_learned_lead_times_give_the_orders_of_the_same_fixed_ones() -> None:
    forecast = daily(np.full((1, 200, 40), 2.0))
    items = pd.DataFrame({"sku": skus(1), "supplier": "ACME"})
    learned = recommend_orders(
        forecast, on_hand=on_hand(5), lead_time=delivered_after(9), review_periods=7, items=items,
        settings=Settings(service_level=0.8),
    )  # fmt: skip
    fixed = recommend_orders(forecast, on_hand=on_hand(5), lead_time=9, review_periods=7)
    assert learned["order_quantity"].tolist() == fixed["order_quantity"].tolist() == [15 * 2 - 5]
    assert learned["arrival_0.5"][0] == AS_OF + pd.Timedelta(days=9)


def test_an_order_that_may_never_come_is_large_but_finite() -> None:
    lead = delivered_after(9)
    doubtful = replace(lead, cdf=0.8 * lead.cdf)
    forecast = daily(np.full((1, 500, 40), 2.0))
    options: dict[str, Any] = {"on_hand": on_hand(5), "review_periods": 7, "settings": Settings(service_level=0.95)}
    sure, unsure = (recommend_orders(forecast, lead_time=law, **options) for law in (lead, doubtful))
    grid = lead.cdf.shape[1]
    assert sure["order_quantity"][0] < unsure["order_quantity"][0] <= 2 * (grid + 7)
    assert unsure["arrival_0.5"][0] == AS_OF + pd.Timedelta(days=9)
    assert pd.isna(unsure["arrival_0.9"][0])


def test_a_forecast_that_ends_before_the_next_order_arrives_is_refused() -> None:
    short = daily(np.ones((1, 10, 8)))
    with pytest.raises(InvalidSettings, match=r"ends 8 days ahead, before the next order of 1 items arrives .*S000"):
        recommend_orders(short, on_hand=on_hand(5), lead_time=delivered_after(9))
    with pytest.raises(InvalidSettings, match=r"it has 8 periods, lead_time .* - 1 = 9"):
        recommend_orders(short, on_hand=on_hand(5), lead_time=3, review_periods=7)
    assert quantity(short, on_hand(5), lead_time=2, review_periods=7).tolist() == [3]
    for wrong in ({"lead_time": 0}, {"lead_time": 2, "review_periods": 0}):
        with pytest.raises(InvalidSettings, match="at least 1"):
            quantity(short, on_hand(5), **wrong)


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        (["2024-07-01", "2024-07-15", "2024-07-29"], "consecutive days, weeks or calendar months"),
        (["2024-07-01", "2024-07-02", "2024-07-04"], "consecutive"),
        (["2024-07-15", "2024-08-15", "2024-09-15"], "consecutive"),
        (["2024-07-01"], "at least two periods"),
    ],
)
def test_odd_clocks_are_refused(dates: list[str], message: str) -> None:
    forecast = SamplePaths.from_array(np.ones((1, 4, len(dates))), ["A"], pd.DatetimeIndex(dates))
    with pytest.raises(InvalidSettings, match=message):
        recommend_orders(forecast, on_hand=pd.Series({"A": 1.0}))


def test_a_monthly_decision() -> None:
    months = pd.date_range("2024-07-01", periods=5, freq="MS")
    forecast = SamplePaths.from_array(np.full((1, 4, 5), 30.0), ["A"], months)
    orders = recommend_orders(forecast, on_hand=pd.Series({"A": 20.0}), lead_time=2, review_periods=2)
    assert orders["order_quantity"].tolist() == [70]
    assert orders["arrival_0.5"][0] == pd.Timestamp("2024-08-01")


def test_input_that_names_nobody_or_no_day_is_refused() -> None:
    forecast = weekly(np.ones((2, 5, 3)))
    with pytest.raises(InvalidSettings, match="on_hand needs one value per item; 1 of 2 lack one: S001"):
        recommend_orders(forecast, on_hand=pd.Series({"S000": 1.0, "S002": 1.0}))
    undated = pd.DataFrame({"sku": "S000", "date": [pd.NaT], "quantity": 5.0})
    with pytest.raises(InvalidSettings, match="1 of 1 rows of receipts need a date"):
        recommend_orders(forecast, on_hand=on_hand(1, 1), receipts=undated)
    other = SamplePaths.from_array(np.ones((2, 4, 3)), skus(2), forecast.dates)
    with pytest.raises(InvalidSettings, match=r"forecast's shape \(2, 5, 3\), got \(2, 4, 3\)"):
        recommend_orders(forecast, on_hand=on_hand(1, 1), receipts=other)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"sku": "s000"}, "1 of 1 rows of receipts name an item .* such as s000 2024-07-08"),
        ({"location": "x"}, "name an item .* such as S000 x 2024-07-08"),
        ({"date": "2024-06-30"}, "on or before the decision at the end of 2024-06-30: that is on hand already"),
        ({"date": "2020-01-01"}, "such as S000 2020-01-01"),
        ({"date": "soon"}, "need a date"),
        ({"quantity": np.nan}, "need a quantity of 0 or more"),
        ({"quantity": -4.0}, "need a quantity of 0 or more"),
    ],
)
def test_a_receipt_that_would_vanish_or_count_twice_is_refused(columns: dict[str, Any], message: str) -> None:
    receipt = pd.DataFrame({"sku": ["S000"], "date": ["2024-07-08"], "quantity": [9.0]})
    assert quantity(weekly(np.ones((2, 5, 3))), on_hand(0, 0), receipts=receipt, lead_time=3).tolist() == [0, 3]
    with pytest.raises(InvalidSettings, match=message):
        quantity(weekly(np.ones((2, 5, 3))), on_hand(0, 0), receipts=receipt.assign(**columns), lead_time=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lead_time": 2.5}, r"lead_time is a whole number of periods, got 2\.5"),
        ({"lead_time": "3"}, "lead_time is a whole number of periods, got '3'"),
        ({"review_periods": 1.5}, r"review_periods is a whole number of periods, got 1\.5"),
        (
            {"receipts": pd.DataFrame({"sku": ["S000"], "quantity": [1.0]})},
            "receipts are paths, or a frame .* lacks date",
        ),
        ({"receipts": {"S000": 4}}, "receipts are paths, or a frame"),
    ],
)
def test_what_is_of_the_wrong_kind_is_said_in_words(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        quantity(weekly(np.ones((2, 5, 3))), on_hand(1, 1), **options)


def test_stock_may_be_a_mapping_and_numeric_skus_are_not_taken_for_positions() -> None:
    forecast = SamplePaths.from_array(np.full((2, 10, 4), 2.0), ["1000", "1001"], weekly(np.ones((1, 1, 4))).dates)
    for stock in (
        pd.Series([100.0, 0.0], index=[1001, 1000]),
        {"1001": 100, "1000": 0},
        {("1001", ""): 100, (1000, ""): 0},
    ):
        orders = recommend_orders(forecast, on_hand=stock, lead_time=3)
        assert orders["order_quantity"].tolist() == [6, 0]


def test_buckets_locations_and_the_order_of_item_rows_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    keys = pd.DataFrame({"sku": ["A", "A", "B"], "location": ["x", "y", "x"]})
    dates = pd.date_range(MONDAY, periods=4, freq="W-MON")
    values = rng.poisson(5.0, (3, 50, 4)).astype(float)
    whole = SamplePaths.from_array(values, keys, dates)
    split = SamplePaths(whole.items, dates, 50, whole.sampler, bucket_size=2)
    stock = pd.Series([7.0, 1.0, 3.0], index=pd.MultiIndex.from_frame(keys))[::-1]
    items = keys.assign(supplier=["s", "t", "u"], pack_size=[1, 5, 1])
    coming = pd.DataFrame({"sku": "A", "location": "y", "date": [MONDAY], "quantity": [4]})
    frames = [
        recommend_orders(f, on_hand=stock, receipts=coming, items=rows, lead_time=2)
        for f, rows in ((whole, items), (split, items), (whole, items[::-1]))
    ]
    for other in frames[1:]:
        pd.testing.assert_frame_equal(frames[0], other)
    assert frames[0]["supplier"].tolist() == ["s", "t", "u"]
    partial = recommend_orders(whole, on_hand=stock, items=items.iloc[:1], lead_time=2)
    assert partial["supplier"].tolist() == ["s", "", ""]


# --- pieces


def test_row_quantiles_take_a_level_per_row() -> None:
    values = np.array([[4.0, 1.0, 3.0, 2.0], [4.0, 1.0, 3.0, 2.0], [4.0, 1.0, 3.0, 2.0]])
    assert row_quantiles(values, np.array([0.5, 0.75, 0.999])).tolist() == [2, 3, 4]
    ten = np.arange(10.0)[None, :]
    assert row_quantiles(ten, np.array([0.7])).tolist() == [6]


@pytest.mark.parametrize(("freq", "days"), [("D", 5), ("W-MON", 14), ("MS", 60)])
def test_periods_are_counted_on_beyond_the_clock(freq: str, days: int) -> None:
    near, far = Clock.ahead(AS_OF, freq, days), Clock.ahead(AS_OF, freq, 700)
    arrivals = np.arange(1, 600)[None, :]
    counted, known = arrival_periods(arrivals, near), arrival_periods(arrivals, far)
    inside = known < near.n_periods
    assert inside.any()
    np.testing.assert_array_equal(counted[inside], known[inside])
    assert np.abs(counted - known).max() <= (freq == "MS"), "months have a mean length there"


def test_targets_are_the_critical_ratio_only_where_costs_are_known() -> None:
    items = stock_items(4, 0.0, unit_cost=[6.0, np.nan, 12.0, 6.0], price=[10.0, 10.0, 10.0, np.nan])
    targets = order_targets(items, Settings(order_target="cost", service_level=0.9))
    holding = 6 * 0.25 * 7 / 365
    assert targets.tolist() == pytest.approx([4 / (4 + holding), 0.9, 0.9, 0.9])
    assert order_targets(items, Settings(service_level=0.8)).tolist() == [0.8] * 4


def test_excess_is_what_exceeds_the_demand_that_may_come() -> None:
    position = np.array([100.0, 5.0, 40.0, -3.0, 7.0])
    items = items_of(5).assign(
        position=position, unit_cost=[2.0, 1.0, 10.0, 1.0, np.nan], mean_weekly=[7, 7, 7, 7, 0.0],
        on_order=[3.0, 0.0, 90.0, 0.0, 0.0],
    )  # fmt: skip
    level, spread = np.array([1.0, 1.0, 1.0, 1.0, 0.0]), np.zeros(5)
    frame = excess_frame(items, level, spread, level, np.full(5, 20.0), Settings())
    upper = float(nb_quantile(0.95, 20.0, 20.0))
    assert frame["sku"].tolist() == ["S000", "S002", "S004"], "dearest first, unknown value last"
    assert frame["excess_units"].tolist() == [100 - upper, 40 - upper, 7]
    assert frame["excess_value"].tolist()[:2] == [2 * (100 - upper), 10 * (40 - upper)]
    assert frame["p_unsold"].tolist() == pytest.approx([1.0, float(nb_cdf(39, 20.0, 20.0)), 1.0])
    assert frame["weeks_of_cover"].tolist() == [100 / 7, 40 / 7, np.inf]
    assert frame["cancellable_units"].tolist() == [3, 40 - upper, 0], "what has come cannot be cancelled"
    assert frame["cancellable_value"].tolist()[:2] == [6, 10 * (40 - upper)]
