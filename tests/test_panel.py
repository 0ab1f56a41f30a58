from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hand_made import constant_sales, items_of, skus
from hypothesis import given, settings
from hypothesis import strategies as st

from backorder_forecast.clock import FREQS, period_end
from backorder_forecast.errors import InvalidSettings, InvalidTables, NotEnoughHistory
from backorder_forecast.panel import (
    RAN_OUT,
    build_panel,
    daily_matrix,
    demand_panel,
    item_codes,
    stock_exposure,
    stock_levels,
)

ROWS = st.lists(
    st.tuples(st.sampled_from(["A", "B", "07", "7"]), st.integers(0, 120), st.integers(-3, 9)), min_size=1, max_size=40
)


def sales_of(rows: list[tuple[str, int, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["sku", "day", "quantity"])
    return frame.assign(date=pd.Timestamp("2024-01-03") + pd.to_timedelta(frame.pop("day"), unit="D"))


def movements(*rows: tuple[str, str, float], value: str = "quantity") -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["sku", "date", value]).assign(location="")
    return frame.astype({"sku": "str", "date": "datetime64[s]", value: float})


@settings(max_examples=30)
@given(rows=ROWS, freq=st.sampled_from(FREQS), order=st.randoms(use_true_random=False))
def test_every_unit_sold_lies_in_the_cell_of_its_item_and_period(
    rows: list[tuple[str, int, float]], freq: str, order: Any
) -> None:
    rows = [(sku, day, abs(q)) for sku, day, q in rows]
    sales = sales_of(rows)
    panel = demand_panel(sales, freq=freq)
    assert panel.items["sku"].tolist() == sorted(set(sales["sku"]))
    assert panel.demand.sum() == sales["quantity"].sum()
    ends = period_end(panel.periods, freq).to_numpy()[None, :]
    dates = sales["date"].to_numpy()[:, None]
    inside = (dates >= panel.periods.to_numpy()[None, :]) & (dates <= ends)
    assert (inside.sum(axis=1) == 1).all()
    of_item = sales["sku"].to_numpy()[:, None] == panel.items["sku"].to_numpy()[None, :]
    np.testing.assert_array_equal(panel.demand, (of_item * sales["quantity"].to_numpy()[:, None]).T @ inside)
    shuffled = list(rows)
    order.shuffle(shuffled)
    again = demand_panel(sales_of(shuffled), freq=freq)
    np.testing.assert_array_equal(again.demand, panel.demand)
    pd.testing.assert_frame_equal(again.to_frame(), panel.to_frame())


@settings(max_examples=40)
@given(rows=ROWS, cut=st.integers(0, 120), freq=st.sampled_from(["D", "W-MON", "MS"]))
def test_nothing_after_as_of_is_seen_and_open_periods_are_left_out(
    rows: list[tuple[str, int, float]], cut: int, freq: str
) -> None:
    sales = sales_of([("A", 0, 1), *rows])
    as_of = pd.Timestamp("2024-01-03") + pd.Timedelta(days=cut)
    try:
        panel = demand_panel(sales, freq=freq, as_of=as_of)
    except NotEnoughHistory:
        assert freq != "D"
        return
    assert period_end(panel.periods, freq)[-1] <= as_of
    known = sales[sales["date"] <= as_of]
    before = demand_panel(known, freq=freq, as_of=as_of)
    codes = item_codes(before.items, panel.items)
    np.testing.assert_array_equal(panel.demand[codes], before.demand)
    others = np.setdiff1d(np.arange(panel.n_items), codes)
    assert panel.demand[others].sum() == 0


def test_a_week_is_named_by_its_monday_and_used_only_when_it_is_over() -> None:
    sales = constant_sales("A", "2024-04-29", "2024-05-12", 1.0)
    panel = demand_panel(sales, freq="W-MON", as_of="2024-05-11")
    assert panel.periods.strftime("%Y-%m-%d").tolist() == ["2024-04-29"]
    assert panel.demand.tolist() == [[7.0]]
    assert len(demand_panel(sales, freq="W-MON", as_of="2024-05-12").periods) == 2


def test_returns_reduce_their_period_and_never_make_it_negative() -> None:
    panel = demand_panel(sales_of([("A", 0, 5), ("A", 0, -2), ("A", 1, -9), ("A", 2, 4)]), freq="D")
    assert panel.demand.tolist() == [[3, 0, 4]]


def test_skus_stay_text() -> None:
    frame = sales_of([("007", 0, 1), ("7", 1, 1)])
    assert demand_panel(frame, freq="D").items["sku"].tolist() == ["007", "7"]
    numbered = frame.assign(sku=[7, 8])
    assert demand_panel(numbered, freq="D").items["sku"].tolist() == ["7", "8"]


def test_an_item_is_a_sku_at_a_location() -> None:
    frame = sales_of([("A", 0, 1), ("A", 0, 2), ("A", 0, 4)]).assign(location=pd.Series(["x", "y", None]))
    panel = demand_panel(frame, freq="D")
    assert panel.items["location"].tolist() == ["", "x", "y"]
    assert panel.demand.ravel().tolist() == [4, 1, 2]


def test_in_stock_shares_are_averaged_within_a_period_whatever_their_order() -> None:
    sales = constant_sales("AB", "2024-01-01", "2024-01-14")
    shares = pd.DataFrame(
        {"sku": "A", "date": pd.date_range("2024-01-01", periods=4), "in_stock": [True, False, True, True]}
    )
    for rows in (shares, shares[::-1]):
        assert demand_panel(sales, freq="W-MON", in_stock=rows).exposure.tolist() == [[0.75, 1], [1, 1]]
    beyond = shares.assign(in_stock=[1.5, 1.0, -1.0, 0.5])
    assert demand_panel(sales, freq="D", in_stock=beyond).exposure[0, :5].tolist() == [1, 1, 0, 0.5, 1]
    stranger = shares.assign(sku="Z")
    assert (demand_panel(sales, freq="D", in_stock=stranger).exposure == 1).all()


def test_the_in_stock_record_may_reach_further_than_the_sales() -> None:
    sales = sales_of([("A", 0, 3)])
    shares = pd.DataFrame({"sku": "A", "date": pd.date_range("2024-01-03", periods=5), "in_stock": 1.0})
    assert demand_panel(sales, freq="D", in_stock=shares).demand.tolist() == [[3, 0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quantity": np.nan}, r"column quantity: 1 values are missing or infinite; found first in row 2"),
        ({"quantity": np.inf}, r"column quantity: 1 values are missing or infinite"),
        ({"date": pd.NaT}, r"column date: 1 values are missing"),
        ({"sku": None}, r"column sku: 1 values are missing"),
    ],
)
def test_unusable_values_are_named(change: dict[str, Any], message: str) -> None:
    sales = sales_of([("A", 0, 1.0), ("B", 1, 2.0)]).astype({"quantity": float})
    for column, value in change.items():
        sales.loc[1, column] = value
    with pytest.raises(InvalidTables, match=message):
        demand_panel(sales, freq="D")


def test_missing_columns_are_all_named_at_once() -> None:
    with pytest.raises(InvalidTables) as caught:
        demand_panel(pd.DataFrame({"article": ["A"], "qty": [1]}), freq="D")
    assert caught.value.failures["column"].tolist() == ["sku", "date", "quantity"]
    assert (caught.value.failures["found"] == "article, qty").all()
    with pytest.raises(InvalidTables, match="in_stock, column in_stock"):
        demand_panel(sales_of([("A", 0, 1)]), freq="D", in_stock=pd.DataFrame({"sku": ["A"], "date": ["2024-01-03"]}))


def test_no_rows_no_complete_period_and_unknown_freq_are_refused() -> None:
    sales = sales_of([("A", 0, 1)])
    with pytest.raises(NotEnoughHistory, match="no rows"):
        demand_panel(sales.iloc[:0])
    with pytest.raises(NotEnoughHistory, match=r"no complete period \(MS\) .* before 2024-01-20.*finer freq"):
        demand_panel(sales, freq="MS", as_of="2024-01-20")
    with pytest.raises(InvalidSettings, match="unknown freq 'weekly'"):
        demand_panel(sales, freq="weekly")


def test_until_is_the_panel_as_it_was() -> None:
    sales = constant_sales("A", "2024-01-01", "2024-02-11", 1.0)
    panel = demand_panel(sales, freq="W-MON").until(2)
    assert str(panel.as_of.date()) == "2024-01-14"
    assert panel.demand.tolist() == [[7, 7]]
    assert panel.exposure.shape == (1, 2)


def test_the_long_frame_leaves_the_share_empty_where_it_is_not_known() -> None:
    panel = demand_panel(sales_of([("A", 0, 1), ("A", 1, 2)]), freq="D")
    panel.exposure[0, 1] = RAN_OUT
    frame = panel.to_frame()
    assert frame.columns.tolist() == ["sku", "location", "date", "demand", "in_stock"]
    assert frame["in_stock"].isna().tolist() == [False, True]


# --- stock walked from snapshots


DAYS = pd.date_range("2024-01-01", "2024-01-10")
NOTHING = movements()


@settings(max_examples=40)
@given(
    shipped=st.lists(st.integers(0, 4), min_size=10, max_size=10),
    received=st.lists(st.integers(0, 9), min_size=10, max_size=10),
    opening=st.integers(0, 60),
    counted=st.sets(st.integers(0, 9), min_size=1, max_size=4),
)
def test_a_consistent_book_is_walked_back_and_forth_exactly(
    shipped: list[int], received: list[int], opening: int, counted: set[int]
) -> None:
    truth = opening + np.cumsum(received) - np.cumsum(shipped)
    out = movements(*(("S000", str(d.date()), q) for d, q in zip(DAYS, shipped, strict=True)))
    into = movements(*(("S000", str(d.date()), q) for d, q in zip(DAYS, received, strict=True)))
    snapshots = movements(*(("S000", str(DAYS[k].date()), float(truth[k])) for k in counted), value="on_hand")
    levels = stock_levels(out, into, snapshots, items_of(2), DAYS)
    np.testing.assert_array_equal(levels[0], truth)
    assert np.isnan(levels[1]).all()


def test_each_day_trusts_the_latest_snapshot_before_it() -> None:
    snapshots = movements(("S000", "2024-01-03", 10), ("S000", "2024-01-06", 50), value="on_hand")
    shipped = movements(("S000", "2024-01-02", 2), ("S000", "2024-01-05", 3), ("S000", "2024-01-09", 4))
    levels = stock_levels(shipped, NOTHING, snapshots, items_of(1), DAYS)[0]
    assert levels.tolist() == [12, 10, 10, 10, 7, 50, 50, 50, 46, 46]


def test_movements_of_strangers_and_other_days_are_left_out() -> None:
    rows = movements(("S000", "2024-01-02", 2), ("S009", "2024-01-02", 5), ("S000", "2023-12-31", 7))
    assert daily_matrix(rows, items_of(1), DAYS[:3]).tolist() == [[0, 2, 0]]


def test_exposure_by_hand() -> None:
    levels = np.array([[5, 2, 0, 0, 0, 3, 3, 0]], dtype=np.float64)
    shipped = np.array([[1, 3, 2, 0, 1, 0, 0, 3]], dtype=np.float64)
    received = np.array([[0, 0, 0, 0, 1, 3, 0, 0]], dtype=np.float64)
    # Sold out on day 3, empty on day 4, received and sold on day 5, received on day 6, sold out on day 8.
    expected = [1, 1, RAN_OUT, 0, RAN_OUT, 1, 1, RAN_OUT]
    assert stock_exposure(levels, received, shipped).tolist() == [expected]
    unknown = np.full((1, 8), np.nan, dtype=np.float64)
    assert stock_exposure(unknown, received, shipped).tolist() == [[1] * 8]


def test_daily_exposure_becomes_the_share_of_a_coarser_period() -> None:
    days = np.ones((1, 14))
    days[0, 2:4], days[0, 4], days[0, 13] = 0.0, RAN_OUT, RAN_OUT
    records = movements(("S000", "2024-01-01", 1.0))
    panel = build_panel(
        records, items_of(1), freq="W-MON", as_of=pd.Timestamp("2024-01-21"), exposure_days=days,
        first_day=pd.Timestamp("2024-01-01"),
    )  # fmt: skip
    # The third week has no record and counts as in stock; a day that ran out counts half.
    np.testing.assert_allclose(panel.exposure, [[1 - 2.5 / 7, 1 - 0.5 / 7, 1.0]])
    daily = build_panel(
        records, items_of(1), freq="D", as_of=pd.Timestamp("2024-01-16"), exposure_days=days,
        first_day=pd.Timestamp("2024-01-01"),
    )  # fmt: skip
    assert daily.exposure[0].tolist() == [*days[0], 1.0, 1.0]


def test_item_codes_find_categories_and_say_who_is_not_there() -> None:
    frame = pd.DataFrame({"sku": pd.Categorical(["B", "A", "Z", None]), "location": ["x", None, "", "x"]})
    items = pd.DataFrame({"sku": ["A", "B"], "location": ["", "x"]})
    assert item_codes(frame, items).tolist() == [1, 0, -1, -1]
    assert item_codes(frame.iloc[:0], items).tolist() == []


def test_levels_are_exact_over_many_items() -> None:
    n = 2050
    snapshots = pd.DataFrame({"sku": skus(n), "location": "", "date": DAYS[3], "on_hand": np.arange(n) + 0.3})
    out = pd.DataFrame({"sku": skus(n), "location": "", "date": DAYS[4], "quantity": 0.1})
    levels = stock_levels(pd.concat([out, out]), NOTHING, snapshots[::-1], items_of(n), DAYS)
    assert levels.dtype == np.float64
    assert levels[:, 3].tolist() == (np.arange(n) + 0.3).round(9).tolist()
    assert levels[:, -1].tolist() == (np.arange(n) + 0.1).round(9).tolist()
