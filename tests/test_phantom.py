from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import backorder_forecast as bf
from backorder_forecast.phantom import (
    ENDED,
    PRIOR,
    RATE_DAYS,
    UNLIKELY,
    empty_chance,
    empty_share,
    past_runs,
    quiet_runs,
    written_off,
)


def test_a_run_is_as_unlikely_as_simulation_says() -> None:
    rng = np.random.default_rng(0)
    # Rates drawn from the posterior of 20 sale days in 100: Gamma(20.5, 100); days with a sale at that rate.
    rate = rng.gamma(20.5, 1 / 100, 200_000)
    expected = np.exp(-rate * 15).mean()
    sold = np.zeros((1, 115), dtype=bool)
    sold[0, 4:100:5] = True
    sold[0, 99] = True
    run = quiet_runs(sold, np.ones_like(sold), np.ones(sold.shape))
    assert run.length[0] == 15
    np.testing.assert_allclose(run.chance[0], expected, rtol=0.02)


@given(length=st.integers(1, 40), more=st.integers(1, 20))
def test_a_longer_run_is_less_likely(length: int, more: int) -> None:
    chances = []
    for n in (length, length + more):
        sold = np.ones((1, 100 + n), dtype=bool)
        sold[0, 100:] = False
        chances.append(quiet_runs(sold, np.ones_like(sold), np.ones(sold.shape)).chance[0])
    assert chances[1] < chances[0] <= 1


def test_days_without_stock_and_days_out_of_season_are_no_run() -> None:
    sold = np.ones((3, 60), dtype=bool)
    sold[:, 40:] = False
    shown = np.ones_like(sold)
    shown[1, 50] = False
    season = np.ones(sold.shape)
    season[2, 40:] = 0.05
    run = quiet_runs(sold, shown, season)
    assert run.length.tolist() == [20, 9, 20]
    assert run.chance[0] < UNLIKELY
    assert run.chance[2] > 0.3


def test_nothing_is_odd_about_an_item_that_never_sold_or_sold_today() -> None:
    never, today = np.zeros((1, 50), dtype=bool), np.ones((1, 50), dtype=bool)
    for sold in (never, today):
        assert quiet_runs(sold, np.ones_like(sold), np.ones(sold.shape)).chance.tolist() == [1.0]


def test_sales_of_long_ago_do_not_set_the_rate() -> None:
    sold = np.zeros((1, 360), dtype=bool)
    sold[0, :100] = True
    sold[0, 340] = True
    run = quiet_runs(sold, np.ones_like(sold), np.ones(sold.shape))
    assert run.length[0] == 19
    np.testing.assert_allclose(run.chance[0], (RATE_DAYS / (RATE_DAYS + 19)) ** 1.5)


def test_what_is_no_surprise_is_not_doubted() -> None:
    assert empty_chance(np.array([1.0, UNLIKELY * 1.01])).tolist() == [0, 0]
    found = empty_chance(np.array([UNLIKELY, 1e-9]))
    assert found[0] == pytest.approx(PRIOR / (PRIOR + ENDED + (1 - PRIOR - ENDED) * UNLIKELY))
    # However long the run, demand may have ended instead.
    assert found[1] == pytest.approx(PRIOR / (PRIOR + ENDED))


def snapshots(*rows: tuple[int, int, float]) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    item, day, units = (np.array(column) for column in zip(*rows, strict=True))
    return pd.DataFrame({"on_hand": units.astype(float)}), item, day


def test_missing_units_are_what_sales_and_receipts_do_not_explain() -> None:
    shipped, received = np.full((4, 60), 1.0), np.zeros((4, 60))
    received[0, 30] = 20.0
    table = snapshots(
        (0, 10, 100.0), (0, 59, 31.0),  # 100 + 20 - 49 = 71 expected: 40 missing
        (1, 10, 100.0), (1, 59, 50.0),  # one unit off: the hour of the snapshot
        (2, 55, 100.0), (2, 59, 10.0),  # too close together to say when
        (3, 10, 10.0), (3, 59, 100.0),  # found units are no loss
    )  # fmt: skip
    assert written_off(*table, shipped, received).tolist() == [40.0, 0.0, 0.0, 0.0]


def test_items_and_days_that_are_not_known_are_left_out() -> None:
    table = snapshots((-1, 10, 100.0), (-1, 59, 1.0), (0, -5, 100.0), (0, 59, 1.0))
    assert written_off(*table, np.zeros((1, 60)), np.zeros((1, 60))).tolist() == [0.0]


def counts(n: int, empty: int, shown: float = 5.0) -> pd.DataFrame:
    return pd.DataFrame({"on_hand": shown, "counted": np.where(np.arange(n) < empty, 0.0, shown)})


def test_counts_move_the_share_of_empty_shelves_as_far_as_they_are_many() -> None:
    assert empty_share(counts(0, 0)) == (PRIOR, 0, 0)
    assert empty_share(counts(0, 0)).note == ""
    shares = [empty_share(counts(2000, k)).share for k in (0, 4, 40, 400)]
    assert shares == sorted(shares)
    assert shares[1] == pytest.approx(PRIOR)
    assert shares[3] == pytest.approx(0.2, abs=0.05)
    few, many = (abs(empty_share(counts(n, n // 10)).share - 0.1) for n in (10, 5000))
    assert many < 0.01 < 0.09 < few
    # An empty shelf that the record shows as empty is no error.
    assert empty_share(counts(50, 50, shown=0.0)).n_counts == 0
    assert "of 2,000 counts of stock that was shown 40 found none" in empty_share(counts(2000, 40)).note


def test_a_run_without_a_sale_weighs_more_where_counts_found_empty_shelves() -> None:
    chance = np.array([0.5, 0.005, 1e-6])
    usual, known = empty_chance(chance), empty_chance(chance, empty_share(counts(2000, 100)).share)
    assert (usual[0], known[0]) == (0.0, 0.0)
    assert (known[1:] > usual[1:]).all()


N_DAYS, FIRST, LAST = 120, 60, 80


def shelf(*, end: str, rate: float = 1.0, sells_after: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An item and nine that sell daily; it sells nothing from day FIRST to LAST: levels, received, shipped."""
    shipped, received = np.ones((10, N_DAYS)), np.zeros((10, N_DAYS))
    shipped[0] = np.arange(N_DAYS) % round(1 / rate) == 0
    shipped[0, FIRST:LAST] = 0.0
    if not sells_after:
        shipped[0, LAST:] = 0.0
    if end == "receipt":
        received[0, LAST] = 200.0
    levels = 500.0 + (received - shipped).cumsum(axis=1)
    if end in ("counted none", "counted some"):
        levels[0, LAST:] -= levels[0, LAST] - (0.0 if end == "counted none" else 7.0)
        shipped[0, LAST:] = 0.0
        received[0, LAST + 2] = 200.0
        levels[0, LAST + 1 :] = levels[0, LAST]
        levels[0, LAST + 2 :] += 200.0
    return levels, received, shipped


def test_a_past_run_is_doubted_if_a_receipt_or_a_count_that_found_none_ended_it() -> None:
    for end in ("receipt", "counted none"):
        found = past_runs(*shelf(end=end))
        assert (found.item.tolist(), found.begin.tolist(), found.end.tolist()) == ([0], [FIRST], [LAST])
        assert 0.99 < found.empty[0] < 1.0
    assert past_runs(*shelf(end="receipt"), prior=0.2).empty[0] > past_runs(*shelf(end="receipt")).empty[0]


@pytest.mark.parametrize(
    "stock",
    [
        shelf(end="none"),  # it sold on without a receipt: the stock was there
        shelf(end="counted some"),
        shelf(end="receipt", sells_after=False),  # demand may have ended
        shelf(end="receipt", rate=0.1),  # slow: two sales were due
    ],
    ids=["sold on", "counted some", "ended", "slow"],
)
def test_a_run_that_has_another_explanation_is_not_doubted(stock: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    assert past_runs(*stock).item.tolist() == []


def test_the_run_up_to_now_is_not_doubted_for_the_forecast() -> None:
    levels, received, shipped = shelf(end="receipt")
    assert past_runs(levels[:, :LAST], received[:, :LAST], shipped[:, :LAST]).item.tolist() == []


def test_days_on_which_the_shop_is_shut_are_no_run() -> None:
    levels, received, shipped = shelf(end="receipt")
    shipped[:, FIRST:LAST] = 0.0
    assert past_runs(levels, received, shipped).item.tolist() == []


def test_stock_that_a_count_did_not_find_teaches_no_zeros() -> None:
    days = pd.date_range("2023-01-02", periods=420)
    rng = np.random.default_rng(3)
    sold = rng.poisson(3.0, len(days)).astype(float)
    gone = slice(330, 372)
    sold[gone] = 0.0
    sales = pd.concat([
        pd.DataFrame({"sku": "A", "date": days, "quantity": sold}),
        pd.DataFrame({"sku": "B", "date": days, "quantity": rng.poisson(3.0, len(days)) + 1.0}),
    ])  # fmt: skip
    orders = pd.DataFrame({
        "supplier": "ACME", "sku": "A", "order_date": [days[0], days[360]], "received_date": [days[1], days[374]],
        "quantity_ordered": 1200.0, "quantity_received": 1200.0,
    })  # fmt: skip
    level = 1200.0 - sold[2:330].sum()
    stock = pd.DataFrame({
        "sku": ["A", "A", "A", "B"], "date": days[[329, 365, 372, 419]], "on_hand": [level, level, 0.0, 900.0],
    })  # fmt: skip
    tables = {"sales": sales[sales["quantity"] > 0], "inventory": stock, "purchase_orders": orders}
    plan = bf.make_plan(bf.read_tables(tables, as_of=days[-1]), bf.Settings(n_paths=50))
    assert plan.items.set_index("sku").loc["A", "mean_daily"] == pytest.approx(3.0, rel=0.08)
    assert any("1 past stretch without a sale (1 item)" in note for note in plan.notes)
