"""Past snapshots as features: nothing from later, counts by hand, what a plan makes of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import backorder_forecast as bf
from backorder_forecast.errors import InvalidSettings, NotEnoughHistory
from backorder_forecast.learned_flags import UnitMoney, _rows_to_learn, blend_flags, learn_flags, unit_money
from backorder_forecast.snapshots import Snapshots, read_snapshots
from backorder_forecast.stockout_features import features_at
from backorder_forecast.synthetic import make_world

SMALL = bf.Settings(n_paths=20, horizon_days=30, global_model=False, smooth_items=0, learned_flag_rows=1000)
WEEKS = pd.date_range("2024-01-07", periods=8, freq="7D")


def small_tables(**more: Any) -> bf.Tables:
    """Two items at two places over eight Sundays; A at NORTH runs out in the fourth week and again at the end."""
    stock = {("A", "NORTH"): [20, 12, 4, 0, 18, 9, 3, 0], ("A", "SOUTH"): [50, 48, 46, 44, 42, 40, 38, 36],
             ("B", "NORTH"): [5, 5, 5, 5, 5, 5, 5, 5], ("B", "SOUTH"): [9, 7, 5, 3, 11, 9, 7, 5]}  # fmt: skip
    use = {("A", "NORTH"): [8, 8, 8, 4, 9, 9, 6, 3], ("A", "SOUTH"): [2] * 8, ("B", "NORTH"): [0] * 8,
           ("B", "SOUTH"): [2] * 8}  # fmt: skip
    inventory, sales = (
        pd.concat(
            [pd.DataFrame({"sku": s, "location": p, "date": WEEKS, name: v}) for (s, p), v in table.items()],
            ignore_index=True,
        )
        for table, name in ((stock, "on_hand"), (use, "quantity"))
    )
    orders = pd.DataFrame(
        {
            "po_id": ["P1", "P2"], "supplier": "ACME", "sku": "A", "location": "NORTH",
            "quantity_ordered": [27.0, 30.0],
            "order_date": pd.to_datetime(["2024-01-16", "2024-02-13"]), "quantity_received": [27.0, np.nan],
            "received_date": pd.DatetimeIndex(["2024-01-30", pd.NaT]),
        }
    )  # fmt: skip
    frames = {"sales": sales[sales["quantity"] > 0], "inventory": inventory, "purchase_orders": orders, **more}
    return bf.read_tables(frames, as_of=WEEKS[-1])


@cache
def world_tables() -> bf.Tables:
    return bf.read_tables(make_world("matched", n_skus=120, days=540, seed=11).tables)


def row(snapshots: Snapshots, sku: str, location: str) -> int:
    keys = snapshots.items
    return int(np.flatnonzero((keys["sku"] == sku) & (keys["location"] == location))[0])


def test_stock_use_receipts_and_orders_by_hand() -> None:
    snapshots = read_snapshots(small_tables(), lead_days=10)
    a = row(snapshots, "A", "NORTH")
    assert snapshots.step_days == 7.0
    assert snapshots.lead_steps[a] == 2
    assert snapshots.stock[a].tolist() == [20, 12, 4, 0, 18, 9, 3, 0]
    assert snapshots.use[a].tolist() == [8, 8, 8, 4, 9, 9, 6, 3]
    assert snapshots.received[a].tolist() == [0, 0, 0, 0, 27, 0, 0, 0]
    # Ordered on 16 January and on 13 February; the first came on the 30th, ten days are usual.
    assert snapshots.on_order[a].tolist() == [0, 0, 27, 27, 0, 0, 30, 30]
    assert snapshots.late[a].tolist() == [0, 0, 0, 27, 0, 0, 0, 30]


def test_exposed_new_and_ran_out_by_hand() -> None:
    snapshots = read_snapshots(small_tables(), lead_days=10)
    a, b = row(snapshots, "A", "NORTH"), row(snapshots, "B", "NORTH")
    assert snapshots.exposed[a].tolist() == [True, True, True, False, True, True, True, False]
    assert not snapshots.exposed[b].any(), "without any use nothing can newly run out"
    new = snapshots.new_stockouts
    assert new[a].tolist()[1:4] == [0.0, 0.0, 1.0]
    assert np.isnan(new[a, 4]), "an item that was out cannot newly run out"
    assert np.nansum(new) == 2
    # Two steps ahead; the last two snapshots do not know yet, the one before the end does.
    out = snapshots.ran_out[a]
    assert out[:3].tolist() == [0.0, 1.0, 1.0]
    assert out[4:6].tolist() == [0.0, 1.0]
    assert np.isnan(out[[3, 6, 7]]).all()


def test_features_by_hand() -> None:
    table = bf.stockout_features(small_tables(), lead_days=10)
    one = table[(table["sku"] == "A") & (table["location"] == "NORTH") & (table["date"] == WEEKS[4])].iloc[0]
    assert one["stock"] == 18
    assert one["use_2"] == 6.5
    assert one["cover_2"] == pytest.approx(np.log(19 / 7.5))
    assert one["since_out"] == 1
    assert one["since_receipt"] == 0
    assert one["out_share_year"] == pytest.approx(1 / 5)
    assert one["lead_steps"] == 2
    # Of the two items at NORTH none is out; drawn to all four items by three pseudo-items.
    assert one["location_out_rate"] == pytest.approx(0.0)
    before = table[(table["sku"] == "B") & (table["date"] == WEEKS[3])].iloc[0]
    assert before["location"] == "SOUTH"
    assert before["sku_out_rate"] == pytest.approx((0 + 10 * 0.25) / (2 + 10))


def test_waiting_customers_are_counted_at_each_snapshot() -> None:
    lines = pd.DataFrame(
        {
            "order_id": ["1", "2", "3"], "sku": "A", "location": "NORTH", "quantity": [4.0, 2.0, 5.0],
            "order_date": pd.to_datetime(["2024-01-27", "2024-01-27", "2024-02-20"]),
            "quantity_filled": [4.0, 0.0, 0.0],
            "filled_date": pd.DatetimeIndex(["2024-02-01", pd.NaT, pd.NaT]),
            "cancelled_date": pd.DatetimeIndex([pd.NaT, "2024-02-07", pd.NaT]),
        }
    )  # fmt: skip
    snapshots = read_snapshots(small_tables(backorders=lines))
    assert snapshots.waiting[row(snapshots, "A", "NORTH")].tolist() == [0, 0, 0, 6, 2, 0, 0, 5]


@pytest.mark.parametrize("date", [20, 40])
def test_features_are_those_of_the_tables_as_known_on_the_day(date: int) -> None:
    later = read_snapshots(world_tables(), lead_days=14)
    then = read_snapshots(world_tables().as_known(later.dates[date]), lead_days=14)
    assert then.dates[-1] == later.dates[date]
    common = later.items.merge(then.items[["sku", "location"]].assign(there=True), how="left")["there"].notna()
    ours = features_at(later, date)[common.to_numpy()].reset_index(drop=True)
    theirs = features_at(then, date)
    # Peers count the items that are known; all others must agree to the last bit.
    own = [c for c in ours if not str(c).startswith(tuple(later.groups))]
    pd.testing.assert_frame_equal(ours[own], theirs[own])


def test_rows_planted_in_the_future_change_nothing() -> None:
    tables = world_tables()
    day = tables.as_of + pd.Timedelta(days=3)
    frames = {name: tables.frame(name) for name in ("sales", "inventory", "purchase_orders", "products")}
    known = bf.read_tables(frames, as_of=tables.as_of)
    planted = dict(frames)
    planted["sales"] = pd.concat([frames["sales"], frames["sales"].tail(50).assign(date=day, quantity=999.0)])
    planted["inventory"] = pd.concat([frames["inventory"], frames["inventory"].tail(80).assign(date=day, on_hand=0.0)])
    orders = frames["purchase_orders"]
    late = orders[orders["received_date"].isna()].assign(
        received_date=day, quantity_received=orders["quantity_ordered"]
    )
    planted["purchase_orders"] = pd.concat([orders[orders["received_date"].notna()], late])
    with_future = bf.read_tables(planted, as_of=tables.as_of)
    pd.testing.assert_frame_equal(bf.stockout_features(known), bf.stockout_features(with_future))
    days = np.full(len(known.items()), 14.0)
    one, other = (learn_flags(t, days, SMALL) for t in (known, with_future))
    assert one.note == other.note
    np.testing.assert_array_equal(one.probability, other.probability)


def test_the_order_of_rows_changes_nothing() -> None:
    tables = world_tables()
    rng = np.random.default_rng(3)
    shuffled = {
        name: tables.frame(name).iloc[rng.permutation(len(tables.frame(name)))]
        for name in ("sales", "inventory", "purchase_orders", "products", "backorders")
    }
    other = bf.read_tables(shuffled, as_of=tables.as_of)
    pd.testing.assert_frame_equal(bf.stockout_features(tables), bf.stockout_features(other))


def test_dates_and_histories_that_do_not_exist_are_refused() -> None:
    tables = small_tables()
    assert set(bf.stockout_features(tables, dates=["2024-01-14"])["date"]) == {WEEKS[1]}
    with pytest.raises(InvalidSettings, match="2024-01-15 is no snapshot date; the nearest one is 2024-01-14"):
        bf.stockout_features(tables, dates=["2024-01-15"])
    one = bf.read_tables({"sales": tables.sales, "inventory": tables.inventory[tables.inventory["date"] == WEEKS[-1]]})
    with pytest.raises(NotEnoughHistory, match="needed at two dates or more, the table inventory has 1"):
        bf.stockout_features(one)


# --- in a plan


def frame_of_risks() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sku": ["out", "likely", "due", "safe"], "p_unmet_before_arrival": [1.0, 0.4, 0.01, 0.0],
            "p_stockout": [1.0, 0.8, 0.3, 0.1], "short_if_out": [30.0, 10.0, 10 / 3, 2.0],
            "already_out": [True, False, False, False], "order_due": [False, False, True, False],
            "flag": ["critical", "warning", "watch", "ok"],
        }
    )  # fmt: skip


def blended(learned: list[float], margin: float = 10.0, cost: float = 70 / 3, **options: Any) -> pd.DataFrame:
    money = UnitMoney(np.full(4, margin), np.full(4, cost))
    return blend_flags(frame_of_risks(), np.array(learned), money, bf.Settings(**options))


def test_the_blend_is_the_mean_where_something_was_learned() -> None:
    frame = blended([np.nan, 0.7, 0.03, 0.3])
    assert frame["p_stockout_projected"].tolist() == [1.0, 0.4, 0.01, 0.0]
    assert frame["p_stockout_blend"].tolist() == pytest.approx([1.0, 0.55, 0.02, 0.15])
    assert frame["flag"].tolist() == ["critical", "critical", "watch", "watch"]
    untouched = blended([np.nan] * 4)
    assert untouched["flag"].tolist() == frame_of_risks()["flag"].tolist()
    assert untouched["p_stockout_blend"].tolist() == untouched["p_stockout_projected"].tolist()


def test_what_is_out_already_stays_certain() -> None:
    assert blended([0.0, 0.0, 0.0, 0.0])["p_stockout_blend"].iloc[0] == 1.0


def test_flags_weigh_the_cost_of_a_miss_against_that_of_acting() -> None:
    # Units short if it happens: 30, 10, 10/3, 2; times margin 10 and probability: 300, 40, 1/3, 0.
    assert blended([np.nan] * 4)["expected_miss_cost"].tolist() == pytest.approx([300.0, 40.0, 1 / 3, 0.0])
    flags = {cost: blended([np.nan] * 4, cost=0.0, action_cost=cost) for cost in (1.0, 20.0, 60.0)}
    # A third of the usual probabilities where units cost nothing, and the fixed cost over that of a miss.
    pays = [0.05 / 3 + 20 / 300, 0.05 / 3 + 0.2, 0.05 / 3 + 0.6, np.nan]
    assert flags[20.0]["watch_from"].tolist() == pytest.approx(pays, nan_ok=True)
    # Critical and warning are ten and four times the cost of watching, as .5 and .2 are of .05.
    assert flags[1.0]["flag"].tolist() == ["critical", "critical", "watch", "ok"]
    assert flags[20.0]["flag"].tolist() == ["critical", "watch", "watch", "ok"]
    assert flags[60.0]["flag"].tolist() == ["warning", "ok", "watch", "ok"]


def test_the_same_chance_is_worth_acting_on_where_more_is_lost() -> None:
    usual = blended([np.nan] * 4)
    assert usual["watch_from"].tolist() == pytest.approx([0.05] * 4), "a margin of 30 %"
    # Margin 20 on a cost of 20: a miss costs 7/3 as much against what acting costs.
    rich = blended([np.nan] * 4, margin=20.0, cost=20.0)
    assert rich["watch_from"].tolist() == pytest.approx([0.05 * 3 / 7] * 4)
    assert rich["flag"].tolist() == ["critical", "critical", "watch", "ok"]
    poor = blended([np.nan] * 4, margin=1.0, cost=32.0)
    assert poor["watch_from"].tolist() == pytest.approx([0.075] * 4)
    assert poor["flag"].tolist() == ["critical", "warning", "watch", "ok"], "what is certain is said at any margin"
    at_cost = blended([np.nan] * 4, margin=0.0, cost=33.0)
    assert at_cost["watch_from"].tolist() == pytest.approx([0.075] * 4)
    unknown = blended([np.nan] * 4, margin=np.nan, cost=np.nan, action_cost=60.0)
    assert unknown["flag"].tolist() == frame_of_risks()["flag"].tolist(), "without a price flags go by the probability"
    assert unknown["watch_from"].tolist() == [0.05] * 4


def test_margin_is_price_less_cost_or_the_stated_share() -> None:
    facts = pd.DataFrame({"price": [10.0, 10.0, np.nan, 5.0], "unit_cost": [6.0, np.nan, 2.0, 8.0]})
    got = unit_money(facts, bf.Settings(default_margin_share=0.25))
    assert got.margin.tolist() == pytest.approx([4.0, 2.5, np.nan, 0.0], nan_ok=True)
    assert got.cost.tolist() == pytest.approx([6.0, 7.5, np.nan, 8.0], nan_ok=True)


def test_flag_thresholds_fall_in_order() -> None:
    with pytest.raises(InvalidSettings, match=r"do not fall in this order, got 0\.3, 0\.2, 0\.5"):
        bf.Settings(watch_probability=0.3)
    with pytest.raises(InvalidSettings, match="action_cost is 0 or a cost in money, got -1"):
        bf.Settings(action_cost=-1)


def test_a_plan_says_what_was_learned_and_from_what() -> None:
    plan = bf.make_plan(world_tables(), SMALL)
    frame = plan.stockouts
    known = frame["p_stockout_learned"].notna()
    assert known.mean() > 0.4
    half = (frame["p_stockout_projected"] + frame["p_stockout_learned"])[known] / 2
    assert frame.loc[known, "p_stockout_blend"].to_numpy() == pytest.approx(half.to_numpy())
    assert (frame.loc[~known, "p_stockout_blend"] == frame.loc[~known, "p_stockout_projected"]).all()
    assert (frame["p_stockout_projected"] == frame["p_unmet_before_arrival"]).all()
    [note] = [n for n in plan.notes if n.startswith("flags ")]
    assert "average the projected and a learned chance" in note
    assert note in set(plan.data_quality["effect"])
    critical = frame["p_stockout_blend"] >= 10 * frame["watch_from"]
    assert (frame["flag"].eq("critical") == critical).all()
    assert dict(zip(frame["sku"], frame["flag"], strict=True)) == dict(
        zip(plan.reorders["sku"], plan.reorders["flag"], strict=True)
    )
    alone = known & (frame["p_stockout_projected"] < 0.01) & (frame["p_stockout_blend"] >= 0.05)
    assert frame.loc[alone, "cause_text"].str.len().gt(0).all()


@pytest.mark.parametrize(
    ("tables", "options", "words"),
    [
        ("world", {"learned_flag": False}, "Settings.learned_flag is False"),
        ("small", {}, "it needs 12 dates in the table inventory, there are 8"),
    ],
)
def test_a_plan_says_why_nothing_was_learned(tables: str, options: dict[str, Any], words: str) -> None:
    source = world_tables() if tables == "world" else small_tables()
    plan = bf.make_plan(source, SMALL.replace(**options))
    assert any(n.startswith("flags rest on the projection alone") and words in n for n in plan.notes)
    assert plan.stockouts["p_stockout_learned"].isna().all()


def test_too_few_stockouts_and_assumed_changes_switch_it_off() -> None:
    weeks = pd.date_range("2024-01-07", periods=20, freq="7D")
    stock = pd.DataFrame({"sku": "A", "date": weeks, "on_hand": 5.0})
    tables = bf.read_tables({"sales": stock.rename(columns={"on_hand": "quantity"}), "inventory": stock})
    assert "200 new stockouts at past snapshots, there are 0" in learn_flags(tables, np.ones(1), bf.Settings()).note
    changed = learn_flags(tables, np.ones(1), bf.Settings(), what_if=True)
    assert "the past says nothing of an assumed change; compare the flags with plan.what_if(Scenario())" in changed.note


def test_nothing_is_loaded_or_read_when_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("snapshots were read")

    monkeypatch.setattr("backorder_forecast.learned_flags.read_snapshots", never)
    learned = learn_flags(world_tables(), np.ones(120), bf.Settings(learned_flag=False))
    assert np.isnan(learned.probability).all()


def test_learned_from_are_many_dates_however_large_the_shop() -> None:
    known = np.zeros((5000, 52))
    known[:, 50:] = np.nan
    picked = _rows_to_learn(known, 4000)
    dates = [t for t, _ in picked]
    assert len(dates) >= 25
    assert max(dates) == 49
    assert 3000 <= sum(len(rows) for _, rows in picked) <= 4100
    assert len(np.unique(np.concatenate([rows for _, rows in picked]))) > 3000, "other items at each date"
    few = _rows_to_learn(known[:10], 4000)
    assert len(few) == 50
    assert all(len(rows) == 10 for _, rows in few)
