"""The main job end to end: fitting, simulation, answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hand_made import constant_sales
from shop_fixture import AS_OF, N_ITEMS, SETTINGS, Frames, plan_of, read, shop, shop_plan, shop_read

from backorder_forecast.answers import item_picture
from backorder_forecast.errors import InvalidSettings, NotEnoughHistory
from backorder_forecast.fitting import Fitted, fit_world
from backorder_forecast.frames import FRAMES
from backorder_forecast.paths import SamplePaths
from backorder_forecast.pipeline import make_plan
from backorder_forecast.reorders import recommend_orders
from backorder_forecast.result import Plan
from backorder_forecast.scenario import Scenario
from backorder_forecast.settings import Settings
from backorder_forecast.simulation import draw_bucket, simulate
from backorder_forecast.tables import read_tables

QUICK = Settings(n_paths=80, horizon_days=20, workers=1)
COUNTS = ["rows_read", "rows_used", "rows_merged", "rows_set_aside"]


def fitted(tables: Frames | None = None, settings: Settings = SETTINGS) -> Fitted:
    return fit_world(read(tables) if tables else shop_read(), settings, lap=lambda stage: None)


def small(sales: pd.DataFrame, settings: Settings = QUICK, **tables: Any) -> Plan:
    return make_plan(read_tables({"sales": sales, **tables}), settings)


def stock(on_hand: dict[str, float], date: str) -> pd.DataFrame:
    return pd.DataFrame({"sku": list(on_hand), "date": date, "on_hand": list(on_hand.values())})


def by_sku(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_index("sku").sort_index()


# --- one set of paths behind all answers


def test_every_frame_has_its_columns_and_every_item_its_rows() -> None:
    plan = shop_plan()
    skus = set(plan.items["sku"])
    assert len(skus) == N_ITEMS
    for name, columns in FRAMES.items():
        assert list(columns) == plan.frames[name].columns[: len(columns)].tolist(), name
    for name in ("stockouts", "reorders", "wait_cutoffs"):
        assert set(plan.frames[name]["sku"]) == skus, name
    assert len(plan.forecasts) == N_ITEMS * SETTINGS.horizon_days
    assert len(plan.fill_dates) >= 6
    assert plan.forecasts["date"].min() == AS_OF + pd.Timedelta(days=1)


def test_shares_are_shares_and_levels_are_ordered() -> None:
    plan = shop_plan()
    for name, column in (("stockouts", "p_stockout"), ("stockouts", "p_zero"), ("stockouts", "p_unmet_before_arrival"),
                         ("fill_dates", "p_unfilled"), ("fill_dates", "p_at_promise"), ("excess", "p_unsold"),
                         ("wait_cutoffs", "p_wait_within_cutoff")):  # fmt: skip
        values = plan.frames[name][column].dropna()
        assert values.between(0, 1).all(), (name, column)
    forecasts = plan.forecasts
    assert (forecasts[0.1] <= forecasts[0.5]).all()
    assert (forecasts[0.5] <= forecasts[0.9]).all()
    assert (forecasts[[0.1, 0.5, 0.9]] % 1 == 0).all().all(), "whole units have whole quantiles"
    lines = plan.fill_dates
    for early, late in (("fill_date_0.1", "fill_date_0.5"), ("fill_date_0.5", "fill_date_0.9")):
        both = lines[early].notna() & lines[late].notna()
        assert (lines.loc[both, early] <= lines.loc[both, late]).all()
    reorders = plan.reorders
    assert (reorders["order_quantity"] >= reorders["need_units"] - 1e-9).all()
    assert (reorders["order_up_to_level"] >= reorders["reorder_point"]).all()


def test_most_urgent_first() -> None:
    flags = shop_plan().stockouts["flag"].map({"critical": 0, "warning": 1, "watch": 2, "ok": 3})
    assert flags.is_monotonic_increasing
    assert flags.nunique() > 1
    for _, group in shop_plan().stockouts.groupby("flag"):
        assert group["expected_miss_cost"].is_monotonic_decreasing
    urgency = shop_plan().reorders["urgency"].map({"overdue": 0, "today": 1, "this review": 2, "none": 3})
    assert urgency.is_monotonic_increasing
    needless = shop_plan().reorders["order_quantity"] == 0
    assert (needless == (shop_plan().reorders["urgency"] == "none")).all()


def test_frames_are_what_their_own_paths_say() -> None:
    world = fitted().world
    draws = draw_bucket(world, 0, N_ITEMS)
    plan = shop_plan()
    horizon = SETTINGS.horizon_days
    start = world.facts["start"].to_numpy()[:, None, None]
    level = start + np.cumsum(draws.receipts - draws.demand, axis=2)[:, :, :horizon]
    short = (level < 0).any(axis=2).mean(axis=1)
    found = by_sku(plan.stockouts)
    out = found["already_out"].to_numpy()
    waited = world.facts["start"].to_numpy() < 0
    assert out[waited].all()
    np.testing.assert_allclose(found["p_stockout"], np.where(waited, 1.0, short))
    whole = draws.demand[:, :, :horizon].sum(axis=(0, 2))
    assert abs(whole.mean() - plan.forecasts["mean"].sum()) < 4 * whole.std() / np.sqrt(SETTINGS.n_paths)


def test_the_order_is_that_of_recommend_orders_on_the_same_paths() -> None:
    world = fitted().world
    facts = world.facts
    forecast = world.model.paths(world.clock, n_paths=SETTINGS.n_paths, seed=SETTINGS.seed)
    draws = draw_bucket(world, 0, N_ITEMS)
    receipts = np.zeros((N_ITEMS, SETTINGS.n_paths, world.clock.n_periods))
    receipts[:, :, : draws.receipts.shape[2]] = draws.receipts
    coming = SamplePaths.from_array(receipts, facts[["sku", "location"]], forecast.dates)
    weekly = facts["review_days"] == 7
    orders = recommend_orders(
        forecast, on_hand=facts.set_index("sku")["start"], receipts=coming, lead_time=world.lead, review_periods=7,
        items=facts, settings=SETTINGS,
    )  # fmt: skip
    ours = by_sku(shop_plan().reorders)
    # The plan looks at an item as far as nearly all of its orders arrive, and goes on at the expected rate.
    beyond = (np.maximum(draws.next_days, draws.lead_days) > draws.n_periods[:, None]).mean(axis=1)
    assert beyond.max() < 0.15
    # A supplier that may stand still and a hold delay new orders of the plan; the lead times alone know nothing of it.
    held = (facts["receipts_held"] | facts["next_receipts_held"]).to_numpy()
    rows = (weekly & facts["active"]).to_numpy() & (world.shocks.item_weight == 0) & ~held
    checked = orders.loc[rows].set_index("sku")
    mine, theirs = ours.loc[checked.index, "need_units"], checked["need_units"]
    assert len(checked) > 5
    assert theirs.gt(0).any()
    gap = (mine - theirs).abs()
    assert (gap <= 1 + 0.1 * theirs).mean() > 0.85
    # Where more arrive later than the target leaves aside, those decide.
    near = beyond[rows] < 1 - SETTINGS.service_level
    assert near.sum() > 3
    assert (gap <= 1 + 0.2 * theirs)[near].all()
    assert (mine == theirs).mean() > 0.5


def test_a_bucket_is_simulated_the_same_alone() -> None:
    world = fitted().world
    whole, part = simulate(world, 0, N_ITEMS, stock_known=True), simulate(world, 5, 9, stock_known=True)
    for name, frame in part.frames.items():
        skus = world.facts["sku"].iloc[5:9]
        among = whole.frames[name]
        among = among[among["sku"].isin(skus)] if len(among) else among
        pd.testing.assert_frame_equal(among.reset_index(drop=True), frame.reset_index(drop=True), obj=name)


@pytest.mark.parametrize("row", [0, 3, -1])
def test_the_picture_of_an_item_agrees_with_the_frames(row: int) -> None:
    plan = shop_plan()
    risk = plan.stockouts.iloc[row]
    assert plan.pictures is not None
    picture = plan.pictures(risk["sku"], risk["location"])
    assert picture.stock["p_stockout"].iloc[-1] == pytest.approx(risk["p_stockout"])
    assert picture.stock["p_stockout"].is_monotonic_increasing
    of_item = plan.forecasts[plan.forecasts["sku"] == risk["sku"]].reset_index(drop=True)
    for level in (0.1, 0.5, 0.9):
        assert picture.forecast[level].tolist() == of_item[level].tolist()
    assert pd.isna(risk["stockout_date_0.5"]) or picture.stockout_date == risk["stockout_date_0.5"]
    assert len(picture.backorders) == (plan.fill_dates["sku"] == risk["sku"]).sum()
    assert picture.on_hand == risk["on_hand"]
    assert risk["sku"] in picture.title


def test_a_picture_without_stock_shows_the_forecast_alone() -> None:
    world = fit_world(
        read_tables({"sales": constant_sales("A", "2024-01-01", "2024-03-31")}), QUICK, lap=lambda s: None
    )
    picture = item_picture(world, "A", "")
    assert len(picture.stock) == 0
    assert len(picture.forecast) == 20


# --- what is missing is said


WITHOUT = {
    "inventory": (
        ["stockouts", "causes", "reorders", "fill_dates", "notices", "wait_cutoffs", "cash_flow", "excess"],
        "no stock: ",
    ),
    "purchase_orders": (["suppliers"], "no purchase orders: "),
    "backorders": (["fill_dates", "notices", "cash_flow", "backlog"], "no backorders: "),
    "products": ([], "no product master: "),
    "supplier_items": ([], ""),
    "events": ([], ""),
}  # fmt: skip


@pytest.mark.parametrize("table", WITHOUT)
def test_a_missing_table_switches_off_what_it_feeds_and_nothing_else(table: str) -> None:
    emptied, note = WITHOUT[table]
    tables = shop()
    del tables[table]
    plan = plan_of(tables)
    for name in FRAMES:
        expected = name not in emptied and len(shop_plan().frames[name]) > 0
        assert (len(plan.frames[name]) > 0) == expected, name
    heads = [head for _, head in WITHOUT.values() if head]
    assert [head for head in heads if any(n.startswith(head) for n in plan.notes)] == ([note] if note else [])
    in_frame = plan.data_quality.loc[plan.data_quality["table"] == "plan", "effect"].tolist()
    assert set(plan.notes) <= set(in_frame)
    total = plan.data_quality[(plan.data_quality["table"] == table) & (plan.data_quality["rule"] == "all rows")]
    assert total["effect"].str.contains("not given").all()
    assert total[COUNTS].to_numpy().tolist() == [[0, 0, 0, 0]]


def test_sales_alone_give_forecasts_and_say_what_else_is_needed() -> None:
    plan = plan_of({"sales": shop()["sales"]})
    assert {name for name, frame in plan.frames.items() if len(frame)} == {
        "forecasts", "items", "lead_times", "data_quality"
    }  # fmt: skip
    text = " ".join(plan.notes)
    for table in ("inventory", "purchase_orders", "backorders", "products"):
        assert table in text
    for name in FRAMES:
        assert list(FRAMES[name]) == plan.frames[name].columns[: len(FRAMES[name])].tolist()


def test_every_row_read_is_accounted_for() -> None:
    for plan in (shop_plan(), plan_of({k: v for k, v in shop().items() if k in ("sales", "inventory")})):
        quality = plan.data_quality
        assert (quality["rows_used"] + quality["rows_merged"] + quality["rows_set_aside"] == quality["rows_read"]).all()
        totals = quality[quality["rule"] == "all rows"]
        assert totals["table"].is_unique
        assert set(totals["table"]) == set(shop())
    for table, rows in shop().items():
        assert totals_of(shop_plan(), table)["rows_read"] == len(rows)


def totals_of(plan: Plan, table: str) -> pd.Series:
    quality = plan.data_quality
    return quality[(quality["table"] == table) & (quality["rule"] == "all rows")].iloc[0]


def test_items_without_a_stock_record_are_named_and_left_out() -> None:
    plan = small(constant_sales("AB", "2024-01-01", "2024-03-31"), inventory=stock({"A": 9}, "2024-03-31"))
    assert plan.stockouts["sku"].tolist() == ["A"]
    assert plan.reorders["sku"].tolist() == ["A"]
    assert set(plan.forecasts["sku"]) == {"A", "B"}
    assert any("no stock record" in note and note.endswith("B") for note in plan.notes)


# --- settings and scenarios


def test_progress_reports_every_stage_and_timings_keep_it() -> None:
    seen: list[tuple[str, float]] = []
    plan = plan_of(None, progress=lambda stage, share: seen.append((stage, share)))
    stages = [stage for stage, share in seen if share == 1.0]
    assert stages[0] == "panel"
    assert stages[-1] == "frames"
    assert all(0 < share <= 1 for _, share in seen)
    shares = [share for stage, share in seen if stage == "simulation"]
    assert shares == sorted(shares)
    assert {"panel", "simulation", "bucket_demand_paths"} <= set(plan.timings)
    assert all(seconds >= 0 for seconds in plan.timings.values())


@pytest.mark.parametrize(("freq", "periods"), [("D", 30), ("W-MON", 5), ("W-WED", 5), ("MS", 1)])
def test_the_clock_may_be_chosen(freq: str, periods: int) -> None:
    plan = plan_of(None, SETTINGS.replace(freq=freq))
    assert plan.freq == freq
    assert plan.forecasts.groupby("sku").size().unique().tolist() == [periods]
    assert plan.forecasts["date"].min() <= AS_OF + pd.Timedelta(days=1)
    assert plan.stockouts["p_stockout_7"].notna().all() == (freq == "D")


@pytest.mark.parametrize("as_of", ["2024-06-26", "2024-06-30"])
@pytest.mark.parametrize("freq", ["D", "W-MON", "W-SAT", "MS"])
def test_every_clock_tells_of_the_same_demand(freq: str, as_of: str) -> None:
    sales = constant_sales("A", "2023-01-01", as_of, 4.0)
    plan = small(sales, QUICK.replace(freq=freq, horizon_days=60), inventory=stock({"A": 400}, as_of))
    assert by_sku(plan.items)["mean_daily"]["A"] == pytest.approx(4.0, rel=0.03)
    last = plan.forecasts["date"].max() + pd.tseries.frequencies.to_offset(freq)
    days = (last - plan.as_of).days - 1
    assert plan.forecasts["mean"].sum() == pytest.approx(4.0 * days, rel=0.03), "a period begun counts for what is left"
    assert by_sku(plan.stockouts)["days_of_cover"]["A"] == pytest.approx(100, rel=0.03)


def test_a_higher_service_level_orders_more_and_earlier() -> None:
    low, high = (plan_of(None, SETTINGS.replace(service_level=s)) for s in (0.6, 0.98))
    little, much = by_sku(low.reorders), by_sku(high.reorders)
    assert (much["order_quantity"] >= little["order_quantity"]).all()
    assert much["order_quantity"].sum() > little["order_quantity"].sum()
    dated = little["order_by_date"].notna() & much["order_by_date"].notna()
    assert (much["order_by_date"] <= little["order_by_date"])[dated].all()
    assert (by_sku(low.stockouts)["avoidable"] | ~by_sku(high.stockouts)["avoidable"]).all()


def test_a_scenario_that_changes_nothing_changes_nothing_but_the_notes() -> None:
    plan = plan_of(None, scenario=Scenario(demand_factor={"all": {"": 1.0}}, supplier_delay_days={}))
    for name, frame in shop_plan().frames.items():
        if name != "data_quality":
            pd.testing.assert_frame_equal(plan.frames[name], frame, obj=name)
    assert plan.notes[0] == "what-if: all demand x 1"


def test_more_demand_and_later_suppliers_raise_the_risk_and_stock_ends_it() -> None:
    base = by_sku(shop_plan().stockouts)
    more = by_sku(plan_of(None, scenario=Scenario(demand_factor={"all": {"": 1.5}})).stockouts)
    assert more["p_stockout"].sum() > base["p_stockout"].sum()
    assert (more["p_stockout"] >= base["p_stockout"] - 0.15).all()
    supplier = shop_plan().items.loc[shop_plan().items["on_order"] > 0, "supplier"].iloc[0]
    delayed = Scenario(supplier_delay_days={supplier: 60})
    later = by_sku(plan_of(None, scenario=delayed).stockouts)
    assert (later["p_stockout"] >= base["p_stockout"]).all()
    others = shop_plan().items.set_index("sku")["supplier"].sort_index() != supplier
    pd.testing.assert_series_equal(later["p_stockout"][others], base["p_stockout"][others])
    sku = base.index[base["p_stockout"].between(0.2, 0.9)][0]
    full = by_sku(plan_of(None, scenario=Scenario(on_hand={sku: 1e6})).stockouts)
    assert full.loc[sku, "p_stockout"] == 0
    empty = by_sku(plan_of(None, scenario=Scenario(on_hand={sku: 0})).stockouts)
    assert empty.loc[sku, "already_out"]
    pd.testing.assert_frame_equal(full.drop(index=sku), base.drop(index=sku))


def test_a_scenario_that_names_nobody_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="unknown supplier 'Nobody'"):
        plan_of(None, scenario=Scenario(supplier_delay_days={"Nobody": 5}))
    with pytest.raises(InvalidSettings, match="unknown category 'Nothing'"):
        plan_of(None, scenario=Scenario(demand_factor={"category": {"Nothing": 2.0}}))


# --- odd shops


def test_steady_demand_against_steady_stock() -> None:
    products = pd.DataFrame(
        {"sku": list("AB"), "supplier": "ACME", "lead_time_days": 7, "price": 10.0, "unit_cost": 6.0, "moq": [0, 50]}
    )
    plan = small(
        constant_sales("AB", "2024-01-01", "2024-06-30", 4.0), QUICK.replace(horizon_days=30),
        inventory=stock({"A": 10, "B": 1000}, "2024-06-30"), products=products,
    )  # fmt: skip
    risk = by_sku(plan.stockouts)
    assert risk["p_stockout"].tolist() == [1, 0]
    assert risk["flag"].tolist() == ["critical", "ok"]
    assert risk["days_of_cover"].tolist() == pytest.approx([2.5, 250], rel=0.05)
    assert risk["expected_short_units"]["A"] == pytest.approx(110, rel=0.1)
    assert risk["revenue_at_risk"]["A"] == pytest.approx(10 * risk["expected_short_units"]["A"])
    assert (risk["stockout_date_0.5"]["A"] - plan.as_of).days in (2, 3)
    orders = by_sku(plan.reorders)
    assert orders["order_quantity"]["B"] == 0
    # Seven days of lead time and seven of review, forty units beyond the ten on hand, and a safety margin.
    assert 40 < orders["order_quantity"]["A"] < 120
    assert orders["urgency"].tolist() == ["overdue", "none"]
    assert plan.excess["sku"].tolist() == ["B"]
    assert plan.excess["excess_units"].iloc[0] == pytest.approx(1000 - 44 * 4, rel=0.1)


HARD = {
    "all zero": constant_sales("A", "2024-01-01", "2024-03-31", 0.0),
    "one sale": pd.DataFrame({"sku": ["A"], "date": ["2024-03-31"], "quantity": [1.0]}),
    "one day": pd.DataFrame({"sku": ["A"] * 3, "date": ["2024-03-31"] * 3, "quantity": [1.0, 2.0, 3.0]}),
    "huge": constant_sales("A", "2024-01-01", "2024-03-31", 1e8),
    "fractions": constant_sales("A", "2024-01-01", "2024-03-31", 0.125),
    "returns only after a sale": pd.DataFrame(
        {"sku": "A", "date": ["2024-03-29", "2024-03-30", "2024-03-31"], "quantity": [5.0, -5.0, -1.0]}
    ),
    "one weekday": constant_sales("A", "2024-01-01", "2024-03-31", 3.0, freq="W-TUE"),
    "first of months": constant_sales("A", "2023-01-01", "2024-03-31", 3.0, freq="MS"),
}  # fmt: skip


@pytest.mark.parametrize("sales", HARD.values(), ids=HARD.keys())
def test_hard_histories_give_a_whole_plan(sales: pd.DataFrame) -> None:
    backorders = pd.DataFrame(
        {"order_id": ["1"], "sku": ["A"], "order_date": ["2024-03-30"], "quantity": [2], "unit_price": [5.0]}
    )
    plan = small(sales, inventory=stock({"A": 1}, "2024-03-31"), backorders=backorders)
    assert plan.as_of == pd.Timestamp("2024-03-31")
    assert len(plan.stockouts) == len(plan.reorders) == len(plan.fill_dates) == 1
    numbers = plan.forecasts[["mean", 0.1, 0.5, 0.9]].to_numpy()
    assert np.isfinite(numbers).all()
    assert (numbers >= 0).all()
    assert plan.stockouts["already_out"].iloc[0], "one unit on hand, two wait"
    assert plan.reorders["order_quantity"].iloc[0] >= 1
    assert isinstance(plan.summary_text(), str)


def test_an_item_that_never_sold_is_no_risk_and_needs_no_order() -> None:
    products = pd.DataFrame({"sku": list("AZ"), "unit_cost": 5.0})
    plan = small(
        constant_sales("A", "2024-01-01", "2024-03-31"), inventory=stock({"A": 5, "Z": 8}, "2024-03-31"),
        products=products,
    )  # fmt: skip
    row = by_sku(plan.stockouts).loc["Z"]
    assert (row["p_stockout"], row["flag"]) == (0, "ok")
    assert by_sku(plan.reorders).loc["Z", "order_quantity"] == 0
    assert plan.excess.loc[plan.excess["sku"] == "Z", "excess_units"].tolist() == [8]
    assert by_sku(plan.items).loc["Z", "method"] == "none"


def test_a_gap_that_no_order_can_close_is_not_called_covered() -> None:
    ordered = pd.date_range("2024-01-01", "2024-03-04", freq="7D")
    orders = pd.DataFrame({"supplier": "ACME", "sku": "A", "order_date": ordered, "quantity_ordered": 14.0})
    orders["received_date"] = orders["order_date"] + pd.Timedelta(days=7)
    coming = pd.DataFrame({"supplier": "ACME", "sku": "A", "order_date": ["2024-03-29"], "quantity_ordered": [900.0]})
    coming["order_date"] = pd.to_datetime(coming["order_date"])
    plan = small(
        constant_sales("AB", "2024-01-01", "2024-03-31"), inventory=stock({"A": 0, "B": 900}, "2024-03-31"),
        settings=QUICK.replace(service_level=0.8), purchase_orders=pd.concat([orders, coming], ignore_index=True),
    )  # fmt: skip
    risk, order = by_sku(plan.stockouts), by_sku(plan.reorders)
    assert risk["flag"].tolist() == ["critical", "ok"]
    assert order["order_quantity"].tolist() == [0, 0]
    assert order["reason"].tolist() == [
        "an order placed now comes too late for the gap; what is on order covers afterwards",
        "stock and open orders last until the next order arrives",
    ]


def test_a_discontinued_item_is_not_ordered() -> None:
    products = pd.DataFrame({"sku": list("AB"), "discontinued": ["2024-03-31", None]})
    plan = small(
        constant_sales("AB", "2024-01-01", "2024-03-31"), inventory=stock({"A": 0, "B": 0}, "2024-03-31"),
        products=products,
        backorders=pd.DataFrame({"order_id": ["1"], "sku": "A", "order_date": "2024-03-30", "quantity": 3}),
    )  # fmt: skip
    orders = by_sku(plan.reorders)
    assert orders["order_quantity"]["A"] == 0
    assert orders["reason"]["A"] == "no longer sold: nothing more is ordered"
    assert orders["order_quantity"]["B"] > 0
    assert plan.fill_dates["p_unfilled"].tolist() == [1.0], "nothing more will come"


def test_locations_are_items_of_their_own() -> None:
    sales = constant_sales("A", "2024-01-01", "2024-03-31")
    both = pd.concat([sales.assign(location="Oslo"), sales.assign(location="Bergen", quantity=8.0)])
    inventory = pd.DataFrame({"sku": "A", "location": ["Oslo", "Bergen"], "date": "2024-03-31", "on_hand": [100, 5]})
    plan = small(both, inventory=inventory)
    risk = plan.stockouts.set_index("location")
    assert risk.loc["Bergen", "p_stockout"] == 1
    assert risk.loc["Oslo", "p_stockout"] == 0
    assert plan.forecasts.groupby("location")["mean"].mean().round().to_dict() == {"Bergen": 8, "Oslo": 2}


def test_no_complete_period_is_said_with_a_way_out() -> None:
    sales = constant_sales("A", "2024-03-26", "2024-03-28")
    with pytest.raises(NotEnoughHistory, match=r"no complete period \(MS\).*2024-03-28; choose a finer freq"):
        small(sales, QUICK.replace(freq="MS"))
    with pytest.raises(InvalidSettings, match="unknown freq 'M'"):
        small(sales, QUICK.replace(freq="M"))
