"""Plans on real input, read as an analyst would: what is out, who waits, what is ordered, and what cannot be told.

The data lies outside the repository, under BACKORDER_DATA; without it these tests are skipped and say so.
"""

from __future__ import annotations

import importlib
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backorder_forecast import Plan, Settings, Tables, make_plan
from backorder_forecast.fitting import read_history
from backorder_forecast.frames import FRAMES, missing_columns
from backorder_forecast.netting import net_demand
from backorder_forecast.panel import RAN_OUT
from benchmarks import _real_input, online_retail, usaid, vn2_tables, wideworldimporters

MODULES = {
    "wideworldimporters": wideworldimporters,
    "online_retail": online_retail,
    "usaid_contraceptive": usaid,
    "vn2": vn2_tables,
}
EARLIER = wideworldimporters.EARLIER_DAY
INPUTS = [*((name, module.LAST_DAY) for name, module in MODULES.items()), ("wideworldimporters", EARLIER)]
# A daily clock over 4 070 items is the long one: a short horizon here, the whole plan among the slow tests.
SETTINGS = {
    "wideworldimporters": Settings(),
    "online_retail": Settings(horizon_days=14, n_paths=100),
    "usaid_contraceptive": Settings(),
    "vn2": vn2_tables.SETTINGS,
}
NEEDS = {
    # An empty frame -> what data_quality says is missing; a frame that is empty because nothing is wrong is not here.
    "stockouts": "need the table inventory",
    "reorders": "need the table inventory",
    "wait_cutoffs": "need the table inventory",
    "fill_dates": "need the table backorders",
    "notices": "need the table backorders",
    "backlog": "need the table backorders",
    "cash_flow": "need the table backorders",
    "suppliers": "lead times are the stated ones",
}


def folder(name: str) -> Path:
    found = _real_input.data_folder(name)
    if found is None:
        pytest.skip(f"no folder {name} under ${_real_input.VARIABLE}: plans on real input are not tested")
    return found


@cache
def read(name: str, day: str) -> Tables:
    tables: Tables = MODULES[name].tables(folder(name), day)
    return tables


@cache
def plan_of(name: str, day: str) -> Plan:
    return make_plan(read(name, day), SETTINGS[name])


def totals(plan: Plan) -> pd.DataFrame:
    quality = plan.data_quality
    return quality[quality["rule"] == "all rows"].set_index("table")


def said(plan: Plan, words: str) -> bool:
    return bool(plan.data_quality["effect"].str.contains(words, regex=False).any())


# --- all of them


@pytest.mark.parametrize("name", ["wideworldimporters", "online_retail", "usaid", "vn2_tables"])
def test_without_the_data_the_command_says_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--data", str(tmp_path)])
    importlib.import_module(f"benchmarks.{name}").main()
    assert capsys.readouterr().out.startswith("skipped: no folder ")


@pytest.mark.slow
def test_the_command_shows_mapping_summary_and_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "figures.json"
    monkeypatch.setattr(sys, "argv", ["vn2_tables", "--data", str(folder("vn2").parent), "--json", str(figures)])
    vn2_tables.main()
    text = capsys.readouterr().out
    assert "How the input was understood" in text
    assert "What runs out?" in text
    assert pd.read_json(figures, typ="series")["stockouts_rows"] == 599


@pytest.mark.slow
@pytest.mark.parametrize(("name", "day"), INPUTS)
def test_every_frame_has_its_columns_and_an_empty_one_its_reason(name: str, day: str) -> None:
    plan = plan_of(name, day)
    assert list(plan.frames) == list(FRAMES)
    for frame_name, frame in plan.frames.items():
        assert not missing_columns(frame_name, frame)
        if frame.empty and frame_name in NEEDS:
            assert said(plan, NEEDS[frame_name]), f"{frame_name} is empty without a reason"


@pytest.mark.parametrize(("name", "day"), INPUTS)
def test_every_row_is_accounted_for_once(name: str, day: str) -> None:
    quality = plan_of(name, day).data_quality
    split = quality[["rows_used", "rows_merged", "rows_set_aside"]].sum(axis=1)
    assert (split == quality["rows_read"]).all()
    assert not quality.loc[quality["rule"] == "all rows", "table"].duplicated().any()


@pytest.mark.parametrize(("name", "day"), INPUTS)
def test_probabilities_dates_and_quantities_are_possible(name: str, day: str) -> None:
    plan = plan_of(name, day)
    stockouts, reorders, forecasts = plan.stockouts, plan.reorders, plan.forecasts
    assert stockouts["p_stockout"].between(0, 1).all()
    assert (stockouts.loc[stockouts["already_out"], "p_zero"] == 1).all()
    assert (stockouts.loc[stockouts["backordered"] > stockouts["on_hand"], "p_stockout"] == 1).all()
    dates = [stockouts[f"stockout_date_{q}"].fillna(pd.Timestamp("2200-01-01")) for q in (0.1, 0.5, 0.9)]
    assert (dates[0] <= dates[1]).all()
    assert (dates[1] <= dates[2]).all()
    assert (dates[0] >= plan.as_of).all()
    assert (reorders["order_quantity"] >= 0).all()
    assert (reorders["arrival_0.5"] > plan.as_of).all()
    assert not forecasts[["mean", 0.1, 0.5, 0.9]].isna().any(axis=None)
    assert (forecasts[0.1] <= forecasts[0.9]).all()
    assert (plan.fill_dates["fill_date_0.1"] >= plan.as_of).all()


# --- WideWorldImporters: the joint case


@pytest.mark.parametrize(("day", "waiting"), [("2016-05-31", 3147), (EARLIER, 2133)])
def test_each_unpicked_line_waits_and_is_filled_from_its_open_order(day: str, waiting: int) -> None:
    plan = plan_of("wideworldimporters", day)
    lines = plan.fill_dates
    assert len(lines) == waiting
    assert lines["promise_date"].notna().all()
    assert (lines["p_at_promise"] >= plan.settings.promise_level).all()
    assert lines["source"].str.startswith("PO ").mean() > 0.99
    # Deliveries take 1 to 3 days, and the order of the day before yesterday covers nearly all of the queue.
    assert (lines["promise_date"] <= plan.as_of + pd.Timedelta(days=10)).all()
    assert (plan.notices["kind"] == "consent_or_refund").sum() >= 0.99 * waiting


@pytest.mark.parametrize("day", ["2016-05-31", EARLIER])
def test_items_with_a_queue_are_out_and_their_demand_is_what_was_asked_for(day: str) -> None:
    plan = plan_of("wideworldimporters", day)
    queued = plan.stockouts[plan.stockouts["backordered"] > 0]
    assert len(queued) == 9
    assert (queued["flag"] == "critical").all()
    assert queued["already_out"].all()
    asked = net_demand(read("wideworldimporters", day)).frame
    recent = asked[asked["date"] > plan.as_of - pd.Timedelta(days=90)]
    wanted = recent.groupby(recent["sku"].astype(str))["quantity"].sum() / 90
    daily = plan.items.set_index("sku")["mean_daily"]
    ratio = daily.loc[queued["sku"]] / wanted.loc[queued["sku"]]
    assert ratio.between(0.5, 2).all()
    # What waits is on order already: only the demand to come is ordered anew.
    orders = plan.reorders.set_index("sku").loc[queued["sku"]]
    assert (orders["order_quantity"] < 30 * daily.loc[queued["sku"]]).all()
    assert said(plan, "the stock of 9 items does not fit the receipts and sales")


def test_holdings_and_units_of_the_last_day() -> None:
    data, plan = folder("wideworldimporters"), plan_of("wideworldimporters", "2016-05-31")
    held = pd.read_parquet(data / "Warehouse.StockItemHoldings.parquet").set_index("StockItemID")["QuantityOnHand"]
    on_hand = plan.stockouts.set_index("sku")["on_hand"]
    assert (on_hand == held.rename(index=str).reindex(on_hand.index)).all()
    packs = plan.items.set_index("sku")["pack_size"]
    orders = plan.reorders.set_index("sku")["order_quantity"]
    assert (orders % packs.reindex(orders.index) == 0).all()
    lines = plan.fill_dates.merge(plan.items[["sku", "price"]], on="sku")
    value = read("wideworldimporters", "2016-05-31").backorders
    due = (value["unit_price"] * (value["quantity"] - value["quantity_filled"])).sum()
    assert len(lines) == len(plan.fill_dates)
    assert plan.cash_flow["goods_shipped"].sum() == pytest.approx(due, rel=0.001)
    assert said(plan, "backorders have no prepaid_amount")


def test_an_earlier_day_knows_only_its_own_stock() -> None:
    plan = plan_of("wideworldimporters", EARLIER)
    assert said(plan, "210 items have no stock record")
    assert (plan.stockouts["on_hand"] == 0).all()
    assert len(plan.items) == 219
    known = read("wideworldimporters", EARLIER)
    for table, column in (("sales", "date"), ("purchase_orders", "received_date"), ("backorders", "filled_date")):
        assert known.frame(table)[column].max() <= plan.as_of


@pytest.mark.slow
def test_nothing_after_the_day_changes_the_plan(tmp_path: Path) -> None:
    source, end = folder("wideworldimporters"), pd.Timestamp(EARLIER) + pd.Timedelta(days=1)
    raw = {path.name: pd.read_parquet(path) for path in source.glob("*.parquet")}
    orders, lines = raw["Sales.Orders.parquet"], raw["Sales.OrderLines.parquet"]
    raw["Sales.Orders.parquet"] = orders[orders["OrderDate"] < end]
    lines = lines[lines["OrderID"].isin(raw["Sales.Orders.parquet"]["OrderID"])]
    later = lines["PickingCompletedWhen"] >= end
    raw["Sales.OrderLines.parquet"] = lines.assign(
        PickingCompletedWhen=lines["PickingCompletedWhen"].mask(later),
        PickedQuantity=lines["PickedQuantity"].mask(later, 0),
    )
    bought, parts = raw["Purchasing.PurchaseOrders.parquet"], raw["Purchasing.PurchaseOrderLines.parquet"]
    raw["Purchasing.PurchaseOrders.parquet"] = bought[bought["OrderDate"] < end]
    later = parts["LastReceiptDate"] >= end
    raw["Purchasing.PurchaseOrderLines.parquet"] = parts.assign(
        LastReceiptDate=parts["LastReceiptDate"].mask(later), ReceivedOuters=parts["ReceivedOuters"].mask(later, 0)
    )
    moves = raw["Warehouse.StockItemTransactions.parquet"]
    raw["Warehouse.StockItemTransactions.parquet"] = moves[moves["TransactionOccurredWhen"] < end]
    for name, frame in raw.items():
        frame.to_parquet(tmp_path / name)
    plan = plan_of("wideworldimporters", EARLIER)
    cut = make_plan(wideworldimporters.tables(tmp_path, EARLIER), plan.settings)
    for name in sorted(set(FRAMES) - {"data_quality"}):
        pd.testing.assert_frame_equal(cut.frames[name], plan.frames[name])


@pytest.mark.parametrize("day", ["2016-05-31", EARLIER])
def test_every_line_and_every_link_of_the_week_has_a_date_or_is_told_it_has_none(day: str) -> None:
    data, plan = folder("wideworldimporters"), plan_of("wideworldimporters", day)
    orders = pd.read_parquet(data / "Sales.Orders.parquet")
    lines = pd.read_parquet(data / "Sales.OrderLines.parquet")
    end = plan.as_of + pd.Timedelta(days=1)
    open_then = lines[~(lines["PickingCompletedWhen"] < end)].merge(
        orders[orders["OrderDate"] < end][["OrderID", "OrderDate"]], on="OrderID"
    )
    planned = pd.MultiIndex.from_frame(plan.fill_dates[["order_id", "sku"]].astype(str))
    asked = pd.MultiIndex.from_frame(open_then[["OrderID", "StockItemID"]].astype(str))
    assert planned.is_unique
    assert set(asked) == set(planned)
    week = orders[orders["OrderDate"].between(end - pd.Timedelta(days=7), plan.as_of)]
    linked = open_then[open_then["OrderID"].isin(week["BackorderOrderID"])]
    assert len(linked) > 0
    of_the_week = plan.fill_dates[plan.fill_dates["order_id"].isin(linked["OrderID"].astype(str))]
    assert len(of_the_week) == len(linked)
    assert of_the_week["fill_date_0.5"].notna().all()
    undated = plan.notices[plan.notices["new_date"].isna()]
    told = planned.isin(pd.MultiIndex.from_frame(undated[["order_id", "sku"]].astype(str)))
    assert (plan.fill_dates["promise_date"].notna() | told).all()
    assert not plan.fill_dates["promise_date"].notna()[told].any()


def test_the_comparison_with_later_picks_counts_every_line() -> None:
    data, plan = folder("wideworldimporters"), plan_of("wideworldimporters", EARLIER)
    lines = wideworldimporters.outcomes(data, plan)
    keys = ["order_id", "sku"]
    pd.testing.assert_frame_equal(lines[keys], plan.fill_dates[keys])
    assert (lines["picked"].isna() | (lines["picked"] > plan.as_of)).all()
    assert (lines["goods_in"].isna() | (lines["goods_in"] > plan.as_of)).all()
    figures = wideworldimporters.figures_of(lines, plan.as_of, plan.settings.horizon_days)
    assert figures["wwi_lines"] == 2133
    # Counted in the raw tables alone: 358 of the lines of that day are picked by 2016-05-31.
    assert figures["wwi_never_picked"] == pytest.approx(1775 / 2133)
    # Supply comes as planned; whom the pickers serve has nothing to do with the order of the queue.
    assert figures["wwi_goods_in_by_promise"] > 0.99
    assert figures["wwi_picked_in_horizon"] < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("day", sorted(set(wideworldimporters.PAST_DAYS) - {EARLIER}))
def test_no_line_of_other_past_days_is_lost(day: str) -> None:
    data, plan = folder("wideworldimporters"), plan_of("wideworldimporters", day)
    lines = wideworldimporters.outcomes(data, plan)
    assert len(lines) == len(plan.fill_dates) > 500
    assert (lines["picked"].isna() | (lines["picked"] > plan.as_of)).all()
    assert plan.as_of + pd.Timedelta(days=plan.settings.horizon_days) <= pd.Timestamp(wideworldimporters.LAST_DAY)


def test_a_line_never_picked_is_not_filled_and_one_past_the_horizon_is_later() -> None:
    as_of = pd.Timestamp("2015-01-01")
    day = pd.date_range(as_of, periods=200)
    # In turn: in time; late; never picked, though dated; never picked, without dates; picked after the horizon.
    lines = pd.DataFrame(
        {
            "fill_date_0.1": [day[3], day[3], day[3], pd.NaT, day[31]],
            "fill_date_0.5": [day[5], day[5], day[5], pd.NaT, pd.NaT],
            "fill_date_0.9": [day[9], day[9], day[9], pd.NaT, pd.NaT],
            "promise_date": [day[9], day[9], day[9], pd.NaT, pd.NaT],
            "picked": [day[4], day[20], pd.NaT, pd.NaT, day[150]],
            "goods_in": [day[4], day[4], day[20], pd.NaT, pd.NaT],
        }
    )
    assert wideworldimporters.figures_of(lines, as_of, horizon_days=90) == pytest.approx(
        {
            "wwi_lines": 5,
            "wwi_with_date": 3 / 5,
            "wwi_by_median_date": 1 / 3,
            "wwi_by_nine_tenths_date": 1 / 3,
            "wwi_kept": 1 / 3,
            "wwi_coverage_80": 3 / 5,
            "wwi_goods_in_by_promise": 2 / 3,
            "wwi_picked_in_horizon": 2 / 5,
            "wwi_never_picked": 2 / 5,
            "wwi_median_error_days": (-1 + 15) / 2,
        }
    )


# --- online retail: the test of reading


def test_half_a_million_raw_lines_are_read_with_names_alone() -> None:
    tables = read("online_retail", online_retail.LAST_DAY)
    assert len(tables.sales) + len(tables.set_aside) == 541_909
    assert tables.as_of == pd.Timestamp("2011-12-09")
    demand = net_demand(tables)
    total = demand.quality[demand.quality["rule"] == "all rows"].set_index("table").loc["sales"]
    assert total["rows_read"] == 541_909
    assert total["rows_merged"] > 10_000
    # The order of 80 995 units and its reversal twelve minutes later leave nothing behind.
    assert not (demand.frame["sku"] == "23843").any()
    assert demand.frame["quantity"].max() < 20_000


def test_without_stock_there_are_forecasts_and_a_list_of_what_is_missing() -> None:
    plan = plan_of("online_retail", online_retail.LAST_DAY)
    filled = {name for name, frame in plan.frames.items() if len(frame)}
    assert filled == {"forecasts", "items", "lead_times", "data_quality"}
    assert totals(plan).loc["sales", "rows_read"] == 541_909
    for table in ("inventory", "purchase_orders", "backorders", "products"):
        assert said(plan, table)
    assert (plan.forecasts.loc[plan.forecasts["sku"] == "23843", "mean"] == 0).all()
    days = plan.forecasts.groupby(plan.forecasts["date"].dt.day_of_week)["mean"].sum()
    # The shop never trades on Saturdays.
    assert days[5] < 0.05 * days.drop(5).min()


@pytest.mark.slow
def test_whole_plan_of_the_raw_lines() -> None:
    tables = read("online_retail", online_retail.LAST_DAY)
    plan = make_plan(tables, Settings())
    # 113 of the 4 070 codes have nothing but write-offs: they were never sold.
    assert len(plan.items) == tables.sales["sku"].nunique() == 4070 - 113
    assert len(plan.forecasts) == 90 * len(plan.items)
    assert plan.forecasts["date"].max() - plan.as_of == pd.Timedelta(days=90)


# --- USAID: a monthly ledger


def test_months_are_censored_by_the_stock_at_their_end() -> None:
    tables = read("usaid_contraceptive", usaid.LAST_DAY)
    panel = read_history(tables, Settings()).panel
    assert panel.freq == "MS"
    ledger = pd.read_parquet(folder("usaid_contraceptive") / "stock_ledger.parquet")
    keys = pd.MultiIndex.from_frame(panel.items[["sku", "location"]].astype(str))
    row = keys.get_indexer(pd.MultiIndex.from_frame(ledger[["product_code", "site_code"]]))
    month = panel.periods.get_indexer(pd.DatetimeIndex(ledger["ds"]))
    exposure = panel.exposure[row, month]
    assert (panel.demand[row, month] == ledger["y"]).all()
    sold, empty = ledger["y"] > 0, ledger["stock_end"] == 0
    # An adjustment can bring stock into a month that began empty: that month says nothing.
    assert (exposure[~empty] == 1).mean() > 0.99
    assert (exposure[~empty & sold] == 1).all()
    # What was given out until the shelf was empty is the least that was wanted.
    assert (exposure[empty & sold] == RAN_OUT).mean() > 0.99
    assert (exposure[empty & ~sold & (ledger["stock_initial"] == 0)] <= 0).mean() > 0.99


def test_stock_flags_follow_the_last_month_end_and_nothing_is_on_order() -> None:
    plan = plan_of("usaid_contraceptive", usaid.LAST_DAY)
    ledger = pd.read_parquet(folder("usaid_contraceptive") / "stock_ledger.parquet")
    last = ledger[ledger["ds"] == "2018-12-01"].set_index(["product_code", "site_code"])["stock_end"]
    stock = plan.stockouts.set_index(["sku", "location"])
    assert (stock["on_hand"].reindex(last.index) == last).all()
    daily = plan.items.set_index(["sku", "location"])["mean_daily"]
    assert (stock["already_out"] == ((stock["on_hand"] == 0) & (daily.reindex(stock.index) > 0))).all()
    assert (stock["on_order"] == 0).all()
    assert stock[["p_stockout_7", "p_stockout_14", "p_stockout_30"]].isna().all(axis=None)
    assert said(plan, "nothing is on order")
    assert said(plan, "no purchase order has both an order date and a receipt")
    assert totals(plan).loc["purchase_orders", "rows_used"] == (ledger["stock_received"] > 0).sum()
    assert set(plan.stockouts["flag"]) == {"critical", "warning", "watch", "ok"}


# --- VN2: a weekly game


def test_flagged_weeks_and_no_others_hide_demand() -> None:
    panel = read_history(read("vn2", vn2_tables.LAST_DAY), vn2_tables.SETTINGS).panel
    assert panel.freq == "W-MON"
    assert panel.periods[-1] == pd.Timestamp("2024-04-08")
    weeks = pd.read_parquet(folder("vn2") / "weekly_sales.parquet")
    weeks = weeks[weeks["ds"] <= panel.periods[-1]]
    keys = pd.MultiIndex.from_frame(panel.items[["sku", "location"]].astype(str))
    row = keys.get_indexer(pd.MultiIndex.from_arrays([weeks["Product"].astype(str), weeks["Store"].astype(str)]))
    exposure = panel.exposure[row, panel.periods.get_indexer(pd.DatetimeIndex(weeks["ds"]))]
    assert np.array_equal(exposure == 1, weeks["in_stock"].to_numpy())


def test_initial_state_is_the_start_and_an_order_is_usable_in_week_three() -> None:
    plan = plan_of("vn2", vn2_tables.LAST_DAY)
    state = pd.read_parquet(folder("vn2") / "initial_state.parquet")
    keys = pd.MultiIndex.from_arrays([state["Product"].astype(str), state["Store"].astype(str)])
    stock = plan.stockouts.set_index(["sku", "location"]).loc[keys]
    assert (stock["on_hand"].to_numpy() == state["End Inventory"].to_numpy()).all()
    assert (stock["on_order"].to_numpy() == state[["In Transit W+1", "In Transit W+2"]].sum(axis=1).to_numpy()).all()
    assert (plan.reorders["arrival_0.5"] == pd.Timestamp("2024-04-29")).all()
    assert (plan.forecasts.groupby(["sku", "location"]).size() == 13).all()
    # Most weeks of sales recur: the forecast of a week lies near what a week sold in the last quarter of a year.
    weeks = read("vn2", vn2_tables.LAST_DAY).sales
    recent = weeks[weeks["date"] > plan.as_of - pd.Timedelta(days=91)]["quantity"].sum() / 13
    assert 0.7 < plan.forecasts["mean"].sum() / 13 / recent < 1.4
