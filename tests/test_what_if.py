"""Closures, recalls, doubtful stock and what-if changes, seen in the plan of a small shop that can be worked out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hand_made import constant_sales

from backorder_forecast import explaining
from backorder_forecast.causes import cause_frame
from backorder_forecast.compare import compare_plans
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.pipeline import make_plan
from backorder_forecast.result import Plan
from backorder_forecast.scenario import EXTRA_ORDER, Scenario
from backorder_forecast.settings import Settings
from backorder_forecast.tables import read_tables

AS_OF = pd.Timestamp("2024-06-30")
SETTINGS = Settings(
    n_paths=200, horizon_days=30, workers=1, alphas=(0.05,), lead_time_pool_k=0.001, global_model=False,
    learned_flag=False,
)  # fmt: skip


def ago(days: int) -> pd.Timestamp:
    return AS_OF - pd.Timedelta(days=days)


def delivered(skus: str = "A", lead: int = 10, n: int = 12) -> pd.DataFrame:
    """A past of weekly orders, each delivered after the same number of days."""
    ordered = pd.date_range(end=ago(lead + 60), periods=n, freq="7D")
    rows = [pd.DataFrame({"supplier": "ACME", "sku": s, "order_date": ordered, "quantity_ordered": 14.0}) for s in skus]
    orders = pd.concat(rows, ignore_index=True)
    orders["po_id"] = [f"P{k}" for k in range(len(orders))]
    orders["received_date"] = orders["order_date"] + pd.Timedelta(days=lead)
    return orders


def on_order(quantity: float, placed: int, **more: Any) -> pd.DataFrame:
    line = {"supplier": "ACME", "sku": "A", "order_date": ago(placed), "quantity_ordered": quantity, "po_id": "4711"}
    return pd.concat([delivered(), pd.DataFrame([{**line, **more}])], ignore_index=True)


def plan_of(
    on_hand: float, orders: pd.DataFrame, *, sales: pd.DataFrame | None = None, scenario: Scenario | None = None,
    **more: Any,
) -> Plan:  # fmt: skip
    stock = pd.DataFrame({"sku": ["A"], "date": AS_OF, "on_hand": [on_hand], **more.pop("stock", {})})
    sold = constant_sales("A", "2024-01-01", "2024-06-30") if sales is None else sales
    tables = {"sales": sold, "inventory": stock, "purchase_orders": orders, **more}
    return make_plan(read_tables(tables, as_of=AS_OF), SETTINGS, scenario=scenario)


def risk(plan: Plan) -> pd.Series:
    return plan.stockouts.iloc[0]


def event(kind: str, start: int, end: int, **more: Any) -> pd.DataFrame:
    return pd.DataFrame([{"kind": kind, "start": ago(-start), "end": ago(-end), **more}])


def daily(plan: Plan) -> float:
    """Units a day that the shop sells."""
    return float(plan.items["mean_daily"].iloc[0])


def test_the_order_that_is_late_is_named_with_what_it_would_change() -> None:
    row = risk(plan_of(3, on_order(60, 20, promised_date=ago(8), promise_recorded_date=ago(20))))
    assert row["cause"] == "late order"
    assert "PO 4711 from ACME (60 units) is 8 days late; if it arrived on its promised day" in row["cause_text"]
    risk_now, risk_then = (int(part.split("%")[0]) for part in row["cause_text"].split()[-3::2])
    assert risk_now > 40
    assert risk_then < 5


def test_a_promise_that_is_not_the_usual_lead_time_is_said_to_differ_from_it() -> None:
    usual = plan_of(3, on_order(60, 20)).stockouts["cause_text"].iloc[0]
    days_over = int(usual.split(" is ")[1].split()[0])
    for placed, promised in ((20, 20 - 12), (20, 20 - 3)):
        text = risk(plan_of(3, on_order(60, placed, promised_date=ago(promised))))["cause_text"]
        sooner = promised - days_over
        beside = f"{abs(sooner)} days {'earlier' if sooner > 0 else 'later'} than its usual lead time"
        assert (beside if abs(sooner) > 1 else "usual lead time") in text


def test_sentences_say_a_change_only_where_the_contribution_is_one() -> None:
    found = set()
    sold = constant_sales("A", "2024-01-01", "2024-06-30")
    sold.loc[sold.index[-14:], "quantity"] *= 3
    for on_hand in (0, 3, 9, 25):
        for placed, due in ((20, 8), (2, -8), (2, -40)):
            plan = plan_of(on_hand, on_order(60, placed, promised_date=ago(due)), sales=sold)
            for row in plan.causes().to_dict("records"):
                clear = abs(row["contribution"]) > max(2 * row["standard_error"], 0.05)
                change = re.search(r"would (fall|rise) from (\S+) to (\S+)$", row["cause_text"])
                found.add((clear, change is not None))
                if change:
                    assert clear
                    assert change[2] != change[3]
                    assert change[1] == ("fall" if row["contribution"] > 0 else "rise")
                else:
                    assert ("no visible difference" if clear else "no distinguishable difference") in row["cause_text"]
    assert {(True, True), (False, False)} <= found


def test_the_sentence_states_the_chance_of_the_frame_and_the_contributions_add_up_to_it() -> None:
    orders = on_order(60, 20, promised_date=ago(8), promise_recorded_date=ago(20))
    sold = constant_sales("A", "2024-01-01", "2024-06-30")
    sold.loc[sold.index[-14:], "quantity"] *= 3
    for on_hand in (0, 3, 9, 25):
        plan = plan_of(on_hand, orders, sales=sold)
        row, why = risk(plan), plan.causes("A")
        chance = row["p_unmet_before_arrival"]
        assert f"from {chance:.0%} to" in row["cause_text"]
        assert (why["risk"] == chance).all()
        assert why["contribution"].sum() + why["baseline"].iloc[0] == pytest.approx(chance, abs=1e-12)
        assert why["contribution"].is_monotonic_decreasing
        assert why["standard_error"].between(0.5 / 200 - 1e-12, 1).all()
        named = why.set_index("player")
        for player in named.index:
            assert named.loc[player, "contribution"] == row[player.replace(" ", "_")]
        assert named.loc[row["cause"], "cause_text"] == row["cause_text"]
        assert named.loc["late order", "order"] == "4711"
        assert str(named.loc["late order", "reference"]).startswith("open orders take the usual lead time")


@pytest.mark.parametrize("freq", ["D", "W-MON"])
def test_the_paths_of_the_causes_have_the_risk_of_the_projection(monkeypatch: pytest.MonkeyPatch, freq: str) -> None:
    told: list[tuple[Any, Any]] = []

    def listening(items: Any, shares: Any, empty: Any, short: Any, stated: Any) -> Any:
        told.append((shares.risk, stated))
        return cause_frame(items, shares, empty, short, stated)

    monkeypatch.setattr(explaining, "cause_frame", listening)
    products = pd.DataFrame({"sku": ["A"], "supplier": ["ACME"], "lead_time_days": [30]})
    for on_hand in (0, 20, 50, 80):
        # The simulated days end before the slower of these orders come.
        for most in (20, 40, 400):
            tables = {
                "sales": constant_sales("A", "2024-01-01", "2024-06-30"), "products": products,
                "inventory": pd.DataFrame({"sku": ["A"], "date": AS_OF, "on_hand": [float(on_hand)]}),
                "purchase_orders": on_order(30, 8).tail(1).assign(received_date=None),
            }  # fmt: skip
            make_plan(
                read_tables(tables, as_of=AS_OF), SETTINGS.replace(horizon_days=20, max_path_days=most, freq=freq)
            )
    assert sum(bool(0 < found[0] < 1) for found, _ in told) > 4
    for found, stated in told:
        np.testing.assert_allclose(found, stated, atol=1e-12)


def test_an_order_that_came_already_is_said_to_have() -> None:
    orders = on_order(60, 20)
    orders.loc[orders.index[0], "po_id"] = "4700"
    day = orders["received_date"].iloc[0]
    with pytest.raises(InvalidSettings, match=f"'PO 4700' is already received, on {day:%Y-%m-%d}"):
        plan_of(3, orders, scenario=Scenario(order_arrives={"PO 4700": 3}))


def test_causes_are_those_of_the_item_or_place_asked_for() -> None:
    plan = plan_of(3, on_order(60, 20))
    assert len(plan.causes()) == len(plan.causes("A")) == len(plan.causes(location="")) > 0
    assert plan_of(400, delivered()).causes("A").empty
    with pytest.raises(InvalidSettings, match="unknown sku 'B'"):
        plan.causes("B")
    with pytest.raises(InvalidSettings, match="unknown location 'north'"):
        plan.causes("A", "north")


def test_a_closure_in_events_delays_orders_and_is_named() -> None:
    orders = on_order(60, 8)
    calm = risk(plan_of(10, orders))
    closed = risk(plan_of(10, orders, events=event("summer closure", 1, 14, supplier="ACME")))
    assert calm["p_stockout"] < 0.5
    assert closed["p_stockout"] > 0.9
    assert closed["cause"] == "supplier disruption"
    assert "ACME is closed from 2024-07-01 to 2024-07-14" in closed["cause_text"]
    same = risk(plan_of(10, orders, scenario=Scenario(supplier_closed={"ACME": ("2024-07-01", "2024-07-14")})))
    assert same["p_stockout"] == closed["p_stockout"]
    assert same["stockout_date_0.5"] == closed["stockout_date_0.5"]


def test_a_recall_in_events_holds_stock_until_it_ends() -> None:
    free = risk(plan_of(150, delivered()))
    held = risk(plan_of(150, delivered(), events=event("recall", -3, 5, sku="A")))
    assert (free["p_stockout"], held["p_stockout"]) == (0.0, 1.0)
    assert held["already_out"]
    assert held["cause"] == "recall or hold"
    # What is held comes back: only the days until then are short.
    short = held["expected_short_units"]
    assert 0 < short < 8 * daily(plan_of(150, delivered()))
    for_ever = risk(plan_of(150, delivered(), scenario=Scenario(recall=("A",))))
    assert for_ever["expected_short_units"] > 3 * short


def test_a_hold_of_incoming_goods_keeps_deliveries_back() -> None:
    orders = on_order(60, 8)
    kept = risk(plan_of(10, orders, events=event("hold of incoming goods", -1, 20, sku="A"), stock={"on_hold": [0.1]}))
    assert kept["p_stockout"] > 0.9
    assert risk(plan_of(10, orders))["p_stockout"] < 0.5


def test_a_recall_to_come_takes_the_shelf_on_its_day_and_gives_it_back() -> None:
    free = plan_of(150, delivered())
    coming = plan_of(150, delivered(), events=event("announced recall", 8, 15, sku="A"))
    assert risk(free)["p_stockout"] == 0
    row = risk(coming)
    assert not row["already_out"]
    assert (row["p_stockout_7"], row["p_stockout"]) == (0.0, 1.0)
    assert row["stockout_date_0.5"] == AS_OF + pd.Timedelta(days=8)
    # Eight days of demand are short; afterwards the stock of before serves.
    assert row["expected_short_units"] == pytest.approx(8 * daily(free), rel=0.35)
    assert row["cause"] == "recall or hold"
    for_ever = risk(plan_of(150, delivered(), events=event("hold", 11, 900, sku="A")))
    assert for_ever["expected_short_units"] == pytest.approx(20 * daily(free), rel=0.35)
    # Nobody knows of a recall before it starts, unless it was announced.
    unknown = plan_of(150, delivered(), events=event("recall", 8, 15, sku="A"))
    pd.testing.assert_frame_equal(unknown.stockouts, free.stockouts)


def test_deliveries_wait_while_a_recall_runs_and_pass_a_hold_of_what_is_there() -> None:
    orders = on_order(60, 8)
    waits = risk(plan_of(10, orders, events=event("announced recall", 1, 20, sku="A")))
    passes = risk(plan_of(10, orders, events=event("quality hold", 1, 20, sku="A")))
    assert waits["expected_short_units"] > passes["expected_short_units"] + 10
    # Without a known end what is on order never comes; what is ordered now is made after the recall.
    lines = pd.DataFrame({"order_id": ["b"], "sku": "A", "order_date": AS_OF, "quantity": [20.0]})
    plan = plan_of(10, orders, products=recalled(None), backorders=lines)
    assert plan.fill_dates["source"].tolist() == ["next order"]
    assert plan.reorders["order_quantity"].iloc[0] > 60
    ended = plan_of(10, orders, products=recalled(6), backorders=lines)
    assert (ended.fill_dates["fill_date_0.1"] - AS_OF).dt.days.tolist() == [7]


def recalled(last: int | None) -> pd.DataFrame:
    """A product recalled two days ago, until so many days from now or without a known end."""
    return pd.DataFrame({"sku": ["A"], "recalled_from": ago(2), "recalled_to": pd.NaT if last is None else ago(-last)})


def test_stock_that_nobody_buys_any_more_is_doubted() -> None:
    sales = constant_sales("A", "2024-01-01", "2024-06-18")
    row = risk(plan_of(60, delivered(), sales=sales))
    assert row["count_suggested"]
    assert row["p_no_sale"] < 0.01
    assert row["p_stockout"] > 0.2
    assert row["record_error"] > 0.2
    assert row["cause"] == "record error"
    assert "nothing sold in 12 days: count it" in row["cause_text"]
    known = risk(plan_of(60, delivered()))
    assert not known["count_suggested"]
    assert known["p_no_sale"] == 1.0


def test_counts_that_found_nothing_raise_the_doubt_and_are_told() -> None:
    sales = constant_sales("A", "2024-01-01", "2024-06-18")
    day = pd.Timestamp("2024-06-01")
    seen = pd.DataFrame({"sku": [f"C{k}" for k in range(60)], "date": day, "on_hand": 9.0, "counted": 0.0})
    seen.loc[30:, "counted"] = 9.0
    one = pd.DataFrame({"sku": ["A"], "date": AS_OF, "on_hand": [60.0], "counted": [np.nan]})
    tables = {"sales": sales, "purchase_orders": delivered()}
    plans = [
        make_plan(read_tables(tables | {"inventory": stock}, as_of=AS_OF), SETTINGS)
        for stock in (one, pd.concat([one, seen], ignore_index=True))
    ]
    usual, counted = (float(plan.stockouts.set_index("sku")["p_stockout"]["A"]) for plan in plans)
    assert counted > usual + 0.1
    assert any("60 counts of stock that was shown 30 found none" in note for note in plans[1].notes)
    assert not any("counts of stock" in note for note in plans[0].notes)


def test_what_a_count_found_is_what_is_there() -> None:
    row = risk(plan_of(60, delivered(), stock={"counted": [5.0]}))
    assert row["on_hand"] == 5
    assert risk(plan_of(60, delivered(), stock={"counted": [np.nan]}))["on_hand"] == 60


def test_an_extra_order_helps_as_soon_as_it_comes() -> None:
    none = risk(plan_of(15, delivered()))
    more = plan_of(15, delivered(), scenario=Scenario(extra_order={"A": 80}))
    soon = plan_of(15, delivered(), scenario=Scenario(extra_order={"A": (80, 2)}))
    late = plan_of(15, delivered(), scenario=Scenario(extra_order={"A": (80, 25)}))
    assert none["p_stockout"] == 1.0
    assert risk(more)["on_order"] == 80
    assert risk(soon)["p_stockout"] < 0.2
    assert risk(more)["expected_short_units"] < none["expected_short_units"]
    assert risk(late)["expected_short_units"] > risk(more)["expected_short_units"]
    assert "80 more of A ordered, arriving in 2 days" in soon.notes[0]


def test_a_what_if_changes_only_what_it_names() -> None:
    orders = on_order(60, 8)
    plain = plan_of(10, orders)
    for scenario in (Scenario(), Scenario(supplier_closed={"ACME": ("2030-01-01", "2030-01-02")})):
        pd.testing.assert_frame_equal(plain.stockouts, plan_of(10, orders, scenario=scenario).stockouts)


def test_one_order_that_is_expedited_or_put_off_moves_its_item_alone() -> None:
    plan = plan_of(2, on_order(60, 8))
    soon, late = (plan.what_if(Scenario(order_arrives={"PO 4711": day})) for day in (1, "2024-07-28"))
    assert risk(soon)["p_stockout"] < risk(plan)["p_stockout"] <= risk(late)["p_stockout"]
    assert risk(soon)["p_unmet_before_arrival"] < 0.05
    assert risk(late)["p_unmet_before_arrival"] > 0.5
    assert "order PO 4711 arrives on 2024-07-28" in late.notes[0]
    moved = compare_plans(plan, soon)
    assert moved["kind"].isin(["better_risk", "risk_moved"]).any()
    with pytest.raises(InvalidSettings, match=r"unknown open order '4712' \(did you mean '4711'"):
        plan.what_if(Scenario(order_arrives={"4712": 1}))


def test_a_closure_makes_orders_last_as_long_as_a_delay_of_the_same_days() -> None:
    sold = constant_sales("A", "2024-01-01", "2024-06-30")
    sold["quantity"] = np.random.default_rng(3).poisson(6, len(sold)).astype(np.float64)
    plan, days = plan_of(60, delivered(), sales=sold), 60
    late = plan.what_if(Scenario(supplier_delay_days={"ACME": days}))
    shut = plan.what_if(Scenario(supplier_closed={"ACME": (f"{ago(-1):%Y-%m-%d}", f"{ago(-days):%Y-%m-%d}")}))
    known = plan_of(60, delivered(), sales=sold, events=event("closure", 1, days, supplier="ACME"))
    columns = ["safety_stock", "order_up_to_level"]
    usual, *longer = (p.reorders[columns].iloc[0].to_numpy(np.float64) for p in (plan, late, shut, known))
    assert longer[0][0] > 1.5 * usual[0]
    # What is ordered at the next review comes when the closure ends as well, and not a review later.
    review = plan.items["mean_daily"].iloc[0] * SETTINGS.review_days
    for other in longer[1:]:
        np.testing.assert_allclose(other, longer[0] - [0.0, review], rtol=0.02)


SCENARIOS = {
    "demand": Scenario(demand_factor={"all": 1.4}),
    "delay": Scenario(supplier_delay_days={"ACME": 12}),
    "closed": Scenario(supplier_closed={"ACME": ("2024-07-02", "2024-07-12")}),
    "recall": Scenario(recall=("A",)),
    "order": Scenario(extra_order={"A": (30, 4)}),
    "stock": Scenario(on_hand={"A": 55}),
    "arrives": Scenario(order_arrives={"4711": 2}),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_what_if_of_a_plan_is_the_plan_made_with_the_scenario(name: str) -> None:
    orders = on_order(60, 8)
    quick = plan_of(10, orders).what_if(SCENARIOS[name])
    slow = plan_of(10, orders, scenario=SCENARIOS[name])
    for frame in slow.frames:
        pd.testing.assert_frame_equal(quick.frames[frame], slow.frames[frame], check_exact=True)
    assert quick.notes == slow.notes


def test_a_what_if_is_the_plan_of_tables_in_which_it_is_so() -> None:
    # An order of today tells nothing of lead times yet, so nothing else is learned from these tables.
    orders = on_order(60, 8)
    today = {"supplier": "ACME", "sku": "A", "order_date": AS_OF, "quantity_ordered": 40.0, "po_id": EXTRA_ORDER}
    asked = plan_of(10, orders).what_if(Scenario(extra_order={"A": 40}))
    there = plan_of(10, pd.concat([orders, pd.DataFrame([today])], ignore_index=True))
    for frame in ("stockouts", "causes", "reorders", "forecasts", "wait_cutoffs", "excess"):
        pd.testing.assert_frame_equal(asked.frames[frame], there.frames[frame], check_exact=True)


def test_what_ifs_of_a_what_if_hold_both_changes() -> None:
    plan = plan_of(10, on_order(60, 8))
    one, two = Scenario(on_hand={"A": 30}), Scenario(demand_factor={"all": 2.0})
    stepwise = plan.what_if(one).what_if(two)
    pd.testing.assert_frame_equal(stepwise.stockouts, plan.what_if(one.then(two)).stockouts)
    assert stepwise.stockouts["on_hand"].iloc[0] == 30
    # The plan itself stays as it was.
    pd.testing.assert_frame_equal(plan.stockouts, plan_of(10, on_order(60, 8)).stockouts)


def test_a_saved_plan_knows_no_what_ifs(tmp_path: Path) -> None:
    plan_of(10, on_order(60, 8)).to_folder(tmp_path)
    with pytest.raises(InvalidSettings, match="holds frames alone, no fitted models; make it with make_plan"):
        Plan.from_folder(tmp_path).what_if(Scenario())
    with pytest.raises(InvalidSettings, match="scenario must be Scenario"):
        plan_of(10, on_order(60, 8)).what_if({"on_hand": 3})  # type: ignore[arg-type]


def test_lead_times_longer_than_the_simulated_days_are_not_safe() -> None:
    slow = Settings(n_paths=100, horizon_days=20, max_path_days=30, workers=1, alphas=(0.05,), global_model=False,
                    learned_flag=False)  # fmt: skip
    tables = {
        "sales": constant_sales("A", "2024-01-01", "2024-06-30"),
        "inventory": pd.DataFrame({"sku": ["A"], "date": AS_OF, "on_hand": [120.0]}),
        "products": pd.DataFrame({"sku": ["A"], "supplier": ["ACME"], "lead_time_days": [200]}),
    }
    row = make_plan(read_tables(tables, as_of=AS_OF), slow).stockouts.iloc[0]
    assert row["p_stockout"] < 0.01
    assert row["p_unmet_before_arrival"] > 0.9
    assert (row["flag"], row["avoidable"]) == ("critical", False)


def test_a_supplier_that_has_become_slower_is_told_with_its_counts() -> None:
    past = pd.DataFrame({"supplier": "ACME", "sku": "A", "order_date": [ago(d) for d in range(40, 400, 20)],
                         "quantity_ordered": 14.0, "po_id": [f"P{k}" for k in range(18)]})  # fmt: skip
    took = [20 if d <= 200 else 12 for d in range(40, 400, 20)]
    past["received_date"] = past["order_date"] + pd.to_timedelta(took, unit="D")
    notes = [note for note in plan_of(10, past).notes if "slower" in note]
    # The first of the slow orders was still open, for 18 days, when the half-year began.
    assert notes == ["ACME is slower: 13 -> 20 days in the last half-year, 9 receipts (9 in the year before)"]
    assert not [note for note in plan_of(10, delivered()).notes if "slower" in note]


@pytest.mark.parametrize(
    "column", ["late_order", "demand_surge", "ordered_too_little", "supplier_disruption", "record_error"]
)
def test_every_player_has_a_column(column: str) -> None:
    row = risk(plan_of(10, on_order(60, 20)))
    assert np.isfinite(row[column])


def test_what_a_closure_ahead_makes_needed_is_no_excess() -> None:
    plan = plan_of(400.0, delivered())
    shut = plan.what_if(Scenario(supplier_closed={"ACME": ("2024-07-05", "2024-08-03")}))
    # Two a day on thirty closed days.
    saved = float(plan.excess["excess_units"].iloc[0] - shut.excess["excess_units"].iloc[0])
    sold = float(plan.items["mean_daily"].iloc[0]) if "mean_daily" in plan.items else 2.0
    assert saved == pytest.approx(30 * sold, rel=0.2)


def test_a_delay_says_that_the_frames_of_the_past_stay_as_they_are() -> None:
    plan = plan_of(10, delivered())
    later = plan.what_if(Scenario(supplier_delay_days={"ACME": 14}))
    assert later.reorders["arrival_0.5"].iloc[0] == plan.reorders["arrival_0.5"].iloc[0] + pd.Timedelta(days=14)
    for name in ("lead_times", "suppliers"):
        pd.testing.assert_frame_equal(later.frames[name], plan.frames[name])
    said = "lead_times and suppliers show what was learned from the records; the scenario adds 14 days to ACME"
    assert later.notes[1] == said
    assert said in later.data_quality["effect"].tolist()
    assert not any("learned from the records" in note for note in plan.notes)
    assert not any("learned from the records" in n for n in plan.what_if(Scenario(on_hand={"A": 0})).notes)
    closed = plan.what_if(Scenario(supplier_closed={"ACME": ("2024-07-05", "2024-07-20")}))
    assert closed.notes[1].endswith("the scenario closes ACME from 2024-07-05 to 2024-07-20")
