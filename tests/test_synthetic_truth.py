"""The truth of the synthetic worlds: goods balance, all demand is accounted for, tables and futures follow the laws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from world_fixture import daily, lines_of, world

from backorder_forecast.synthetic import NEVER, make_world
from backorder_forecast.world_catalogue import KINDS
from backorder_forecast.world_laws import CAUSES, draw_laws, draw_patience, patience_survival
from backorder_forecast.world_shop import NONE, queue_days
from backorder_forecast.world_timeline import play_future, play_history, state_after

# --- goods balance


@pytest.mark.parametrize("kind", KINDS)
def test_stock_balances_day_by_day(kind: str) -> None:
    """Start + receipts - shipments + returns + finds - losses = end, on each day of each item."""
    made = world(kind, causes=2)
    truth, tables, n_days = made.truth, made.tables, made.truth.laws.n_days
    shipped = daily(truth, tables["sales"], "quantity", "date")
    came = tables["purchase_orders"].dropna(subset="received_date")
    received = daily(truth, came, "quantity_received", "received_date")
    unseen = truth.causes[truth.causes["kind"].isin(["loss", "find"])]
    unseen = unseen.assign(units=unseen["size"].where(unseen["kind"] == "find", -unseen["size"]))
    change = daily(truth, unseen, "units", "start")
    held = np.zeros_like(shipped)
    for hold in truth.laws.planted("recall_or_hold"):
        held[hold.item, hold.start :] = truth.items["held"][hold.item]
    total = truth.on_hand[:, :n_days] + held
    assert (truth.on_hand >= 0).all()
    np.testing.assert_array_equal(np.diff(total, axis=1), (received - shipped + change)[:, 1:])


def test_the_record_differs_from_the_shelf_by_the_record_error() -> None:
    made = world("sample", causes=2)
    truth, items = made.truth, made.truth.items
    last = made.tables["inventory"]
    last = last[last["date"] == made.as_of].set_index("sku").reindex(items["sku"]).fillna({"on_hand": 0, "on_hold": 0})
    expected = items["on_hand"] + items["held"] + items["record_error"]
    counted = last["counted"].notna().to_numpy()
    np.testing.assert_array_equal(last["on_hand"].to_numpy()[~counted], expected.to_numpy()[~counted])
    np.testing.assert_array_equal(last["on_hold"].to_numpy(), items["held"])
    assert (items["record_error"] != 0).sum() >= 2
    counts = made.tables["inventory"].dropna(subset="counted")
    assert 0 < (counts["counted"] != counts["on_hand"]).mean() < 0.5, "counts find some errors"
    np.testing.assert_array_equal(truth.on_hand[:, truth.laws.n_days - 1], items["on_hand"])


def test_nothing_is_sold_from_an_empty_shelf() -> None:
    made = world("matched")
    truth, n_days = made.truth, made.truth.laws.n_days
    sales = made.tables["sales"]
    shipped = daily(truth, sales[sales["quantity"] > 0], "quantity", "date")
    back = daily(truth, sales[sales["quantity"] < 0], "quantity", "date")
    came = made.tables["purchase_orders"].dropna(subset="received_date")
    received = daily(truth, came, "quantity_received", "received_date")
    found = daily(truth, truth.causes[truth.causes["kind"] == "find"], "size", "start")
    supply = received - back + found
    empty = (truth.on_hand[:, : n_days - 1] == 0) & (supply[:, 1:] == 0)
    assert empty.sum() > 1000
    assert (shipped[:, 1:][empty] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_all_demand_is_sold_backordered_or_lost(kind: str) -> None:
    made = world(kind)
    truth, n_days = made.truth, made.truth.laws.n_days
    sales, lines = made.tables["sales"], lines_of(made.tables["backorders"])
    key = pd.MultiIndex.from_frame(lines[["order_id", "sku"]])
    direct = sales[~pd.MultiIndex.from_frame(sales[["order_id", "sku"]]).isin(key) & (sales["quantity"] > 0)]
    demand = daily(truth, direct, "quantity", "date") + daily(truth, lines, "quantity", "order_date")
    np.testing.assert_array_equal(demand + truth.lost[:, :n_days], truth.demand[:, :n_days])
    assert 0.01 < truth.lost[:, :n_days].sum() / truth.demand[:, :n_days].sum() < 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_every_backorder_line_is_accounted_for(kind: str) -> None:
    made = world(kind)
    rows, truth = made.tables["backorders"], made.truth
    lines = lines_of(rows)
    assert (lines["versions"] == 1).all()
    assert (lines["filled"] <= lines["quantity"]).all()
    assert ((lines["filled"] < lines["quantity"]) | lines["cancelled"].isna()).all(), "filled lines are not cancelled"
    assert (rows["filled_date"].dropna() >= rows.loc[rows["filled_date"].notna(), "order_date"]).all()
    # Open lines of the table and of the truth are the same.
    waits = lines[(lines["filled"] < lines["quantity"]) & lines["cancelled"].isna()]
    left = (waits["quantity"] - waits["filled"]).to_numpy()
    shown = waits.assign(quantity=left)[["order_id", "sku", "order_date", "quantity"]]
    true = truth.open_lines[["order_id", "sku", "order_date", "quantity"]]
    keys = ["order_id", "sku"]
    pd.testing.assert_frame_equal(
        shown.sort_values(keys, ignore_index=True), true.sort_values(keys, ignore_index=True), check_dtype=False
    )
    # Each shipment of a line is a sales row with its order id on its date.
    shipped = rows[(rows["quantity_filled"] > 0) & (rows["filled_date"] >= truth.dates[0])]
    shipped = shipped.rename(columns={"filled_date": "date", "quantity_filled": "units"})
    sold = made.tables["sales"].merge(shipped, on=["order_id", "sku", "date"], how="right", suffixes=("", "_line"))
    np.testing.assert_array_equal(sold["quantity"], sold["units"])
    # Money: a refund only where something was prepaid and cancelled.
    assert (lines["refunded"] <= lines["prepaid"] + 0.005).all()
    assert (lines.loc[lines["cancelled"].isna(), "refunded"] == 0).all()
    assert (lines["prepaid"] <= lines["price"] * lines["quantity"] + 0.005).all()


def test_fills_are_first_come_first_served() -> None:
    lines = lines_of(world("matched").tables["backorders"])
    done = lines[lines["filled"] == lines["quantity"]]
    for _, queue in done.groupby("sku"):
        last = queue.groupby("order_date")["last_fill"].agg(["min", "max"])
        assert (last["min"].iloc[1:].to_numpy() >= last["max"].iloc[:-1].to_numpy()).all()


# --- the truth is the law the tables follow


@pytest.mark.parametrize("kind", ["matched", "misspecified"])
def test_mean_demand_is_the_mean(kind: str) -> None:
    truth = world(kind).truth
    assert abs(truth.demand.sum() / truth.mean_demand.sum() - 1) < 0.02
    new = truth.items["first_day"].to_numpy() > 0
    before = np.arange(truth.demand.shape[1]) < truth.items["first_day"].to_numpy()[:, None]
    assert new.any()
    assert truth.demand[before].sum() == 0


@pytest.mark.parametrize("kind", ["matched", "misspecified"])
def test_receipts_follow_the_lead_time_law(kind: str) -> None:
    """Share of units that came within the law's quartiles, orders of all seeds together, stops left out."""
    shares: list[tuple[float, float, float]] = []
    for seed in range(3):
        made = world(kind, seed)
        truth, orders = made.truth, made.tables["purchase_orders"]
        orders = orders[orders["received_date"].notna() & (orders["order_date"] >= truth.dates[0])]
        orders = orders[orders["order_date"] < made.as_of - pd.Timedelta(days=200)]
        day = (orders["order_date"] - truth.dates[0]).dt.days
        lead = (orders["received_date"] - orders["order_date"]).dt.days.to_numpy()
        share = (orders["quantity_received"] / orders["quantity_ordered"]).to_numpy()
        for code, name in enumerate(truth.suppliers["supplier"]):
            mine = (orders["supplier"] == name).to_numpy()
            for stop in (s for s in truth.laws.all_stops() if s.supplier_code == code):
                mine = mine & ((day > stop.end) | (day < stop.start - 150)).to_numpy()
            cdf = truth.lead_time_cdf(name, 400)
            for q in (0.25, 0.5, 0.75):
                at = int(np.searchsorted(cdf, q))
                shares += [(q, s * (t <= at), s * cdf[at]) for t, s in zip(lead[mine], share[mine], strict=True)]
    frame = pd.DataFrame(shares, columns=["q", "came", "expected"])
    total = frame.groupby("q").sum()
    size = frame.groupby("q").size()
    assert size.min() > 800
    # Spells and shocks of a supplier are shared by its orders: the bound is wider there.
    bound = 0.03 if kind == "matched" else 0.08
    gap = (total["came"] - total["expected"]) / size
    assert (gap.abs() < bound).all(), gap


def test_cancellations_follow_the_patience_law() -> None:
    """Matched patience is exponential: cancellations = hazard x days waited, summed over items."""
    expected, seen = 0.0, 0
    for seed in range(3):
        made = world("matched", seed)
        lines, items = lines_of(made.tables["backorders"]), made.truth.items.set_index("sku")
        closed = lines["cancelled"].fillna(lines["last_fill"].where(lines["filled"] == lines["quantity"]))
        waited = (closed.fillna(made.as_of + pd.Timedelta(hours=12)) - lines["order_date"]).dt.days
        expected += float((waited / items.loc[lines["sku"], "patience_scale"].to_numpy()).sum())
        seen += int(lines["cancelled"].notna().sum())
    assert seen > 600
    assert abs(seen - expected) < 4 * np.sqrt(expected)


@pytest.mark.parametrize("kind", ["matched", "misspecified"])
def test_patience_draws_invert_the_survival_function(kind: str) -> None:
    items = world(kind).truth.items
    code = np.arange(len(items))
    u, waited = np.linspace(0.01, 1.0, len(items)), np.linspace(0.0, 40.0, len(items))
    days = draw_patience(items, code, u, waited)
    assert (days >= waited - 1e-9).all()
    left = patience_survival(items, code, days) / patience_survival(items, code, waited)
    np.testing.assert_allclose(left, u, rtol=1e-9)
    heavy = (items["patience"] == "log_logistic").mean()
    assert heavy == (1.0 if kind == "misspecified" else 0.0)


def test_survival_is_the_median_at_the_scale_of_a_log_logistic_law() -> None:
    truth = world("misspecified").truth
    row = truth.items.iloc[5]
    assert truth.survival(row["sku"], row["patience_scale"]) == pytest.approx(0.5)
    both = truth.survival([row["sku"], row["sku"]], [0.0, row["patience_scale"]])
    np.testing.assert_allclose(both, [1.0, 0.5])


# --- futures


def test_futures_differ_by_seed_and_orders_only_help() -> None:
    truth = world("matched").truth
    one, two = truth.future(1), truth.future(2)
    assert one.demand.shape == (200, truth.horizon_days)
    assert one.demand.tobytes() != two.demand.tobytes()
    short = truth.future(1, horizon_days=30)
    assert short.on_hand.shape == (200, 30)
    bare = truth.future(1, orders=False)
    np.testing.assert_array_equal(bare.demand, one.demand)
    assert (bare.stockout_day <= one.stockout_day).mean() > 0.99
    assert one.order_first_day.shape == (len(truth.open_orders),)
    assert one.line_fill_day.shape == (len(truth.open_lines),)
    assert (one.line_first_day <= one.line_fill_day).all()
    assert (one.stockout_day[one.stockout_day < NEVER] >= 1).all()


@pytest.mark.parametrize("kind", ["matched", "misspecified"])
def test_open_orders_are_redrawn_by_their_residual_law(kind: str) -> None:
    """What the played world would have received next and what futures draw have the same mean and spread."""
    played: list[NDArray[np.int64]] = []
    drawn: list[NDArray[np.int64]] = []
    for seed in range(40):
        laws = draw_laws(kind, n_skus=100, n_days=200, seed=seed, as_of="2024-06-30", causes=0)
        past = play_history(laws)
        state = state_after(laws, past)
        orders = state.orders
        item, slot = orders["item"].to_numpy(), orders["slot"].to_numpy()
        _, first, _ = play_future(laws, state, 30, "again", orders=True)
        kept = ~orders["received"].to_numpy() & (past.slots.cancelled[item, slot] == NONE) & (first < 10**7)
        played.append((past.slots.first[item, slot] - state.day)[kept])
        drawn.append((first - state.day)[kept])
    a, b = np.concatenate(played), np.concatenate(drawn)
    assert min(a.min(), b.min()) >= 1
    error = np.sqrt(a.var() / len(a) + b.var() / len(b))
    assert abs(a.mean() - b.mean()) < 4 * error
    for q in (0.1, 0.5, 0.9):
        assert abs((a <= np.quantile(b, q)).mean() - (b <= np.quantile(b, q)).mean()) < 0.05


def test_line_fill_days_are_the_days_the_line_is_filled() -> None:
    """For those who stay, the day that a line could be filled is the day it was filled in the played days."""
    checked = 0
    for seed in range(4):
        laws = draw_laws("misspecified", n_skus=200, n_days=400, seed=seed, as_of="2024-06-30", causes=0)
        state = state_after(laws, play_history(laws))
        for key in range(5):
            segment, _, _ = play_future(laws, state, 60, key, orders=True)
            played, n_open = segment.played, segment.n_open
            _, fill, wait, _ = queue_days(
                segment.first_day, n_open, state.queue_units, segment.lines, played, state.stock.on_hand, 200
            )
            last = np.full(len(segment.lines.item), -1)
            np.maximum.at(last, played.fill_line, played.fill_day - state.day)
            stays = (played.left[:n_open] == NONE) & (played.remaining[:n_open] == 0)
            np.testing.assert_array_equal(fill[stays], last[:n_open][stays])
            never = (played.left[:n_open] == NONE) & (played.remaining[:n_open] > 0)
            assert (fill[never] == -1).all()
            free = (state.stock.on_hand > 0) & (np.bincount(state.queue.item, minlength=200) == 0)
            assert (wait[free] == 0).all()
            checked += int(stays.sum())
    assert checked > 200


def test_truth_of_open_orders_matches_the_table() -> None:
    made = world("sample", causes=2)
    orders = made.tables["purchase_orders"]
    lines = orders.groupby(["po_id", "sku"]).agg(
        ordered=("quantity_ordered", "first"), came=("quantity_received", "sum"), gone=("cancelled_date", "max")
    )
    is_open = lines[(lines["came"] < lines["ordered"]) & lines["gone"].isna()]
    left = (is_open["ordered"] - is_open["came"]).rename("quantity").sort_index()
    true = made.truth.open_orders.set_index(["po_id", "sku"])["quantity"].sort_index()
    pd.testing.assert_series_equal(left, true, check_dtype=False)
    ahead = made.truth.open_orders["first_date"].dropna()
    assert (ahead > made.as_of).all()


# --- planted causes


def test_planted_causes_raise_the_risk_and_leave_the_rest_alone() -> None:
    truth = make_world("matched", seed=1, causes=4).truth
    with_cause = truth.stockout_probability((7, 14, 30), n_futures=60).set_index("sku")
    assert set(truth.causes.loc[truth.causes["planted"], "kind"]) == set(CAUSES)
    for cause in CAUSES:
        without = truth.without(cause)
        effect = with_cause - without.stockout_probability((7, 14, 30), n_futures=60).set_index("sku")
        planted = truth.causes.loc[truth.causes["planted"] & (truth.causes["kind"] == cause), "sku"]
        assert effect.loc[planted].max().max() > 0.3, cause
        if cause != "record_error":  # leaving it out also takes away the errors that happen by themselves
            assert effect[~effect.index.isin(planted)].abs().max().max() < 0.1, cause
        assert cause not in set(without.causes.loc[without.causes["planted"], "kind"])


def test_without_planted_causes_nothing_is_marked_planted() -> None:
    assert not world("matched").truth.causes["planted"].any()
