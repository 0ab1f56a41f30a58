"""Ways of ordering replayed: known walks, nothing of the future, the same for any cores, resumable, money by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from shop_fixture import SETTINGS, read, shop, shop_read

import backorder_forecast.order_backtest as module
from backorder_forecast import Settings, Tables, read_tables
from backorder_forecast.errors import InvalidSettings, NotEnoughHistory
from backorder_forecast.order_backtest import backtest_orders
from backorder_forecast.order_scores import OrderBacktest
from backorder_forecast.order_ways import OrderWay, PlanOrders, Positions, Review, SeasonalAverage, ZSigma

FAST = SETTINGS.replace(n_paths=30)
N = 8
WAYS: list[OrderWay] = [PlanOrders((0.8, 0.98), (1.0,)), SeasonalAverage((0.25, 1.0)), ZSigma((0.8, 0.98))]


@cache
def replayed() -> OrderBacktest:
    return backtest_orders(shop_read(), n_reviews=N, settings=FAST, ways=WAYS)


class Always:
    """Orders the same number of units of everything at every review."""

    def __init__(self, *units: float) -> None:
        self.units = units

    @property
    def rows(self) -> Sequence[tuple[str, float]]:
        return [("always", units) for units in self.units]

    def orders(self, review: Review, positions: Positions) -> NDArray[np.float64]:
        return np.repeat(np.array(self.units)[:, None], len(review.facts), axis=1)


@cache
def steady() -> Tables:
    """A day sells 4 of A; 10 on hand at every month's end; lead time of 7 days, nearly certain."""
    days = pd.date_range("2023-01-02", "2024-06-30")
    months = pd.date_range("2023-01-31", "2024-06-30", freq="ME")
    frames = {
        "sales": pd.DataFrame({"sku": "A", "date": days, "quantity": 4}),
        "inventory": pd.DataFrame({"sku": "A", "date": months, "on_hand": 40}),
        "products": pd.DataFrame({"sku": ["A"], "lead_time_days": 7, "unit_cost": 5.0, "price": 8.0, "supplier": "S"}),
    }
    return read_tables(frames, as_of="2024-06-30")


STEADY = Settings(n_paths=40, stated_lead_time_sd_log=0.001, unmet="lost", workers=1, holding_cost_rate=0.365)


def test_a_walk_by_hand() -> None:
    # Reviews at the ends of weeks, orders usable a week later: week 1 lives on the stock of the start.
    done = backtest_orders(steady(), n_reviews=8, settings=STEADY, ways=[Always(28.0, 20.0, 0.0)])
    curve: Any = done.curve().set_index("target")
    stock: Any = done.reviews.set_index(["target", "day"])["stock_value"]
    # 28 a week is what is sold: stock at the end of each week stays what it was.
    assert stock[28.0].nunique() == 1
    assert curve.loc[28.0, "fill_rate"] == 1.0
    assert curve.loc[28.0, "units_short"] == 0
    # Without orders the shelf is empty after the first days, and everything is lost.
    assert curve.loc[0.0, "fill_rate"] < 0.05
    assert stock[0.0].iloc[-1] == 0
    # 20 of 28 a week.
    assert curve.loc[20.0, "fill_rate"] == pytest.approx(20 / 28, abs=0.08)
    days = done.periods["days"].sum()
    wanted = 4.0 * days
    np.testing.assert_allclose(curve["shortage"], 3.0 * (1.0 - curve["fill_rate"]) * wanted)
    # A unit held for a day costs 5 x .365 / 365.
    np.testing.assert_allclose(curve["holding"], curve["stock_value"] / 5.0 * days * 0.005)
    np.testing.assert_allclose(curve["cost"], curve["holding"] + curve["shortage"])
    assert curve["n_orders"].tolist() == [curve["n_orders"].iloc[0]] * 2 + [0]


def test_what_is_not_served_waits_where_customers_wait() -> None:
    way: list[OrderWay] = [Always(20.0)]
    lost = backtest_orders(steady(), n_reviews=8, settings=STEADY, ways=way)
    wait = backtest_orders(steady(), n_reviews=8, settings=STEADY.replace(unmet="backorder"), ways=way)
    assert lost.curve()["waiting_unit_days"].iloc[0] == 0
    assert wait.curve()["waiting_unit_days"].iloc[0] > 0
    # Who waits takes what comes next from those who come later.
    assert wait.curve()["fill_rate"].iloc[0] < lost.curve()["fill_rate"].iloc[0]


def test_of_a_steady_demand_the_plan_keeps_what_a_review_needs() -> None:
    done = backtest_orders(steady(), n_reviews=12, settings=STEADY)
    curve = done.curve()
    assert curve["way"].unique().tolist() == ["plan", "plan, by cost", "seasonal moving average", "z sigma sqrt(L)"]
    ours: Any = curve[curve["way"] == "plan"].set_index("target")
    assert ours.loc[0.95, "fill_rate"] > 0.97
    assert ours.loc[0.95, "stock_value"] < 5.0 * 4.0 * 14
    assert ours["fill_rate"].is_monotonic_increasing
    assert ours["stock_value"].is_monotonic_increasing


def test_more_of_a_target_never_serves_less() -> None:
    curve = replayed().curve()
    for _, part in curve.groupby("way"):
        assert part["fill_rate"].is_monotonic_increasing
        assert part["stock_value"].is_monotonic_increasing


def test_every_way_meets_the_same_demand_and_the_sums_add_up() -> None:
    done = replayed()
    tallies = done.tallies
    assert tallies.filled.shape == (len(done.rows), len(done.items), 4)
    assert (tallies.filled <= tallies.demand + 1e-9).all()
    assert (tallies.filled >= 0).all()
    assert (tallies.stock >= 0).all()
    assert set(done.periods["fold"]) == {0, 1, 2, 3}
    assert len(done.reviews) == N * len(done.rows)
    folds: Any = done.periods.groupby("fold")["days"].sum()
    assert folds.max() - folds.min() <= 1


def test_nothing_recorded_later_moves_an_order() -> None:
    tables = shop()
    day = sorted(replayed().reviews["day"].unique())[3]
    after = pd.Timestamp(day) + pd.Timedelta(days=1)
    skus = tables["products"]["sku"]
    sales = pd.DataFrame({"order_id": "X" + skus, "date": after, "sku": skus, "quantity": 50, "price": 1.0})
    stock = pd.DataFrame({"sku": skus, "date": after, "on_hand": 999.0})
    lines = pd.DataFrame({"order_id": "Y" + skus, "sku": skus, "order_date": after, "quantity": 5.0})
    events = pd.DataFrame({"kind": "recall", "start": after, "end": after, "sku": skus})
    for name, rows in (("sales", sales), ("inventory", stock), ("backorders", lines), ("events", events)):
        tables[name] = pd.concat([tables[name], rows], ignore_index=True)
    told = backtest_orders(read(tables), n_reviews=N, settings=FAST, ways=WAYS).reviews
    ours = replayed().reviews
    until = ours["day"] <= day
    columns = ["day", "way", "target", "order_units", "order_value"]
    pd.testing.assert_frame_equal(told.loc[until, columns], ours.loc[until, columns])
    assert told["order_units"].sum() > 1.5 * ours["order_units"].sum()


def test_later_receipts_move_no_order_of_the_first_review() -> None:
    tables, day = shop(), replayed().reviews["day"].min()
    orders = tables["purchase_orders"]
    orders.loc[orders["received_date"] > day, "received_date"] += pd.Timedelta(days=9)
    tables["purchase_orders"] = orders[~(orders["received_date"] > tables["sales"]["date"].max())]
    told = backtest_orders(read(tables), n_reviews=N, settings=FAST, ways=WAYS).reviews
    first = told["day"] == day
    pd.testing.assert_series_equal(told.loc[first, "order_units"], replayed().reviews.loc[first, "order_units"])


def test_cores_buckets_and_row_order_change_nothing() -> None:
    tables = {name: frame.sample(frac=1, random_state=2) for name, frame in shop().items()}
    other = backtest_orders(read(tables), n_reviews=N, settings=FAST.replace(workers=2, bucket_size=5), ways=WAYS)
    pd.testing.assert_frame_equal(other.curve(), replayed().curve())
    pd.testing.assert_frame_equal(other.reviews, replayed().reviews)


@pytest.mark.slow
def test_a_run_that_was_broken_off_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(day: str, share: float) -> None:
        if share >= 0.5:
            raise KeyboardInterrupt

    # Choices are renewed in the middle, so that those of the quarter have to be found again.
    monkeypatch.setattr(module, "RENEW_DAYS", 21)
    whole = backtest_orders(shop_read(), n_reviews=N, settings=FAST, ways=WAYS)
    with pytest.raises(KeyboardInterrupt):
        backtest_orders(shop_read(), n_reviews=N, settings=FAST, ways=WAYS, folder=tmp_path, progress=stop)
    seen: list[float] = []
    done = backtest_orders(
        shop_read(),
        n_reviews=N,
        settings=FAST,
        ways=WAYS,
        folder=tmp_path,
        progress=lambda day, share: seen.append(share),
    )
    assert seen == [0.625, 0.75, 0.875, 1.0]
    pd.testing.assert_frame_equal(done.curve(), whole.curve())
    pd.testing.assert_frame_equal(done.reviews, whole.reviews)
    # What is finished is read with the same result, costs of the last review included.
    again = backtest_orders(shop_read(), n_reviews=N, settings=FAST, ways=WAYS, folder=tmp_path)
    pd.testing.assert_frame_equal(again.items, whole.items)
    pd.testing.assert_frame_equal(again.costs(), whole.costs())
    # Other settings are another run.
    other = backtest_orders(shop_read(), n_reviews=N, settings=FAST.replace(seed=1), ways=WAYS, folder=tmp_path)
    assert not other.curve().equals(done.curve())


def test_targets_are_those_that_were_cheapest_on_the_folds_before() -> None:
    done = replayed()
    told: Any = done.costs().set_index("way")
    scored = done.items["scored"].to_numpy(dtype=bool)
    holding = done.items["holding_cost"].to_numpy()[scored, None]
    shortage = done.items["shortage_cost"].to_numpy()[scored, None]
    short = done.tallies.demand[scored] - done.tallies.filled[:, scored]
    cost = done.tallies.stock[:, scored] * holding + short * shortage
    rows = done.rows.index[done.rows["way"] == "plan"]
    chosen = [rows[cost[rows, :, :fold].sum(axis=(1, 2)).argmin()] for fold in (1, 2, 3)]
    spent = sum(cost[row, :, fold].sum() for fold, row in zip((1, 2, 3), chosen, strict=True))
    assert told.loc["plan", "cost"] == pytest.approx(spent)
    assert told.loc["plan", "targets"] == ", ".join(f"{done.rows['target'][row]:g}" for row in chosen)
    best = told.loc[["seasonal moving average", "z sigma sqrt(L)"], "cost"].idxmin()
    assert told.loc["plan", "rival"] == best
    assert told.loc["plan", "saving"] == pytest.approx(1 - spent / told.loc[best, "cost"])
    assert told.loc["plan", "saving_0.025"] <= told.loc["plan", "saving"] <= told.loc["plan", "saving_0.975"]
    assert told.loc[best, "rival"] == ""


def test_stock_at_equal_fill_rate_lies_on_the_curve() -> None:
    done = replayed()
    curve = done.curve()
    part: Any = curve[curve["way"] == "plan"].sort_values("fill_rate")
    rate = float(part["fill_rate"].mean())
    told: Any = done.at_equal_fill([rate, 2.0]).set_index(["fill_rate", "way"])
    stock = told.loc[(rate, "plan"), "stock_value"]
    assert stock == pytest.approx(np.interp(rate, part["fill_rate"], part["stock_value"]))
    assert told.loc[2.0]["stock_value"].isna().all()
    assert told.loc[2.0]["saving"].isna().all()


def test_the_summary_holds_the_way_of_the_settings_against_its_rival() -> None:
    done = replayed()
    summary = done.summary()
    assert list(summary.columns) == ["stage", "score", "better", "value", "rival", "rival_value", "n"]
    told = summary.set_index("score")
    costs = done.costs().set_index("way")
    ours = costs[costs["rival"] != ""].index
    assert told.loc["cost", "value"] in costs.loc[ours, "cost"].tolist()
    rivals = told["rival"].astype("str")
    assert told["rival_value"].loc["cost"] == costs["cost"].loc[rivals.loc["cost"]]
    assert told.loc[["cost", "fill_rate"], "better"].tolist() == ["lower", "higher"]
    equal = done.at_equal_fill().set_index(["fill_rate", "way"])["stock_value"]
    for score in told.index.drop(["cost", "fill_rate"]):
        rate = float(score.removeprefix("stock_at_fill_"))
        assert told.loc[score, "value"] in equal[rate].tolist()
    assert (summary["n"] == done.items["scored"].sum()).all()
    alone = dataclasses.replace(done, rows=done.rows.assign(ours=True)).summary().set_index("score")
    assert (alone["rival"] == "").all()
    assert alone["rival_value"].isna().all()
    assert {"cost", "fill_rate"} <= set(alone.index)


def test_without_costs_stock_counts_units_and_targets_go_by_fill_rate() -> None:
    tables = shop()
    for name in ("products", "supplier_items"):
        tables[name] = tables[name].drop(columns=["unit_cost"])
    done = backtest_orders(read(tables), n_reviews=4, settings=FAST)
    assert not done.money_known
    assert done.curve()["cost"].isna().all()
    assert "plan, by cost" not in set(done.rows["way"])
    assert (done.items["unit_cost"] == 1.0).all()
    assert any("stock counts units" in note for note in done.notes)
    assert done.costs()["targets"].str.count(",").eq(2).all()


def test_items_of_unknown_cost_are_left_out_and_said() -> None:
    tables = shop()
    some = tables["products"]["sku"].iloc[:3]
    for name in ("products", "supplier_items"):
        tables[name].loc[tables[name]["sku"].isin(some), "unit_cost"] = np.nan
    done = backtest_orders(read(tables), n_reviews=N, settings=FAST, ways=WAYS)
    assert int((~done.items["scored"]).sum()) == 3
    assert any(note.startswith("3 items without a unit_cost") for note in done.notes)
    left = done.items["scored"].to_numpy(dtype=bool)
    wanted = done.tallies.demand[left].sum()
    assert done.curve()["units_short"].max() <= wanted


def test_an_item_that_ends_is_ordered_no_more() -> None:
    tables = shop()
    days = sorted(replayed().reviews["day"].unique())
    tables["products"]["discontinued"] = days[3] + pd.Timedelta(days=3)
    done = backtest_orders(read(tables), n_reviews=N, settings=FAST, ways=WAYS)
    after = done.reviews[done.reviews["day"] > days[3]]
    assert len(after)
    assert (after["order_units"] == 0).all()


def test_a_start_by_rule_says_so() -> None:
    done = backtest_orders(shop_read(), n_reviews=4, settings=FAST, start="rule", ways=[ZSigma((0.9,))])
    assert any("begin with the demand of a lead time and a review" in note for note in done.notes)


@pytest.mark.parametrize("freq", ["W-MON", "MS"])
def test_coarser_clocks_walk_whole_periods(freq: str) -> None:
    settings = FAST.replace(freq=freq, review_days=7 if freq == "W-MON" else 30)
    ways: list[OrderWay] = [PlanOrders((0.9,), ()), SeasonalAverage((0.5,)), ZSigma((0.9,))]
    done = backtest_orders(shop_read(), n_reviews=6 if freq == "W-MON" else 4, settings=settings, ways=ways)
    assert done.curve()["fill_rate"].between(0, 1).all()
    assert (done.periods["start"].diff().dropna() >= pd.Timedelta(days=7)).all()


@pytest.mark.parametrize("n_reviews", [3, 39])
def test_too_little_history_is_refused_with_the_numbers(n_reviews: int) -> None:
    with pytest.raises(NotEnoughHistory, match=r"reviews of 7 periods leave \d+ of 304"):
        backtest_orders(shop_read(), n_reviews=n_reviews, settings=FAST)


@pytest.mark.parametrize("n_reviews", [4.0, "8", None, True])
def test_a_number_of_reviews_that_is_none_is_refused(n_reviews: Any) -> None:
    with pytest.raises(InvalidSettings, match=f"n_reviews is a whole number of reviews, such as 26; got {n_reviews!r}"):
        backtest_orders(shop_read(), n_reviews=n_reviews, settings=FAST)


def test_wrong_ways_and_starts_are_refused() -> None:
    with pytest.raises(InvalidSettings, match="start is recorded or rule, got 'empty'"):
        backtest_orders(shop_read(), settings=FAST, start="empty")
    with pytest.raises(InvalidSettings, match="there is no way of ordering to replay"):
        backtest_orders(shop_read(), settings=FAST, ways=[])
    with pytest.raises(InvalidSettings, match="Always ordered an array"):
        backtest_orders(shop_read(), n_reviews=4, settings=FAST, ways=[Always(-1.0)])
