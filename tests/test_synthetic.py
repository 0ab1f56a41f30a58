"""The synthetic worlds: same bytes for one seed, goods that balance, tables that tell the truth and no more."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backorder_forecast import schema
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.synthetic import NEVER, Truth, World, make_world, warehouse, write_samples
from backorder_forecast.world_catalogue import CLASSES, KINDS
from backorder_forecast.world_laws import CAUSES, draw_laws, draw_patience, patience_survival

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
NEEDED_TABLES = ("sales", "purchase_orders", "inventory", "backorders", "products", "supplier_items", "events")


@cache
def world(kind: str, seed: int = 0, causes: int = 0) -> World:
    return make_world(kind, seed=seed, causes=causes)


def text(tables: dict[str, pd.DataFrame]) -> str:
    return "".join(tables[name].to_csv() for name in sorted(tables))


def daily(truth: Truth, frame: pd.DataFrame, value: str, date: str) -> NDArray[np.float64]:
    """Sum of a column per item and exported day."""
    n_days = truth.laws.n_days
    day = (frame[date] - truth.dates[0]).dt.days.to_numpy()
    item = pd.Index(truth.items["sku"]).get_indexer(frame["sku"])
    inside = (day >= 0) & (day < n_days)
    cell = item[inside] * n_days + day[inside]
    total = np.bincount(cell, weights=frame[value].to_numpy(np.float64)[inside], minlength=len(truth.items) * n_days)
    return total.astype(np.float64).reshape(len(truth.items), n_days)


def lines_of(backorders: pd.DataFrame) -> pd.DataFrame:
    """One row per backorder line."""
    groups = backorders.groupby(["order_id", "sku"], sort=False)
    lines = groups.agg(
        order_date=("order_date", "first"), quantity=("quantity", "first"), filled=("quantity_filled", "sum"),
        last_fill=("filled_date", "max"), cancelled=("cancelled_date", "max"), whole=("complete_only", "first"),
        versions=("quantity", "nunique"), prepaid=("prepaid_amount", "max"), refunded=("refunded_amount", "max"),
        price=("unit_price", "first"),
    )  # fmt: skip
    return lines.reset_index()


# --- one seed, one world


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_gives_the_same_bytes(kind: str) -> None:
    one, two = (make_world(kind, n_skus=60, days=300, seed=4, causes=1) for _ in range(2))
    assert text(dict(one.tables)) == text(dict(two.tables))
    assert one.truth.demand.tobytes() == two.truth.demand.tobytes()
    assert one.truth.future(7).on_hand.tobytes() == two.truth.future(7).on_hand.tobytes()
    other = make_world(kind, n_skus=60, days=300, seed=5, causes=1)
    assert text(dict(other.tables)) != text(dict(one.tables))


def test_unknown_kinds_and_impossible_sizes_are_refused() -> None:
    with pytest.raises(InvalidSettings, match="did you mean 'matched'"):
        make_world("match")
    with pytest.raises(InvalidSettings, match="n_skus >= 1"):
        make_world("matched", n_skus=0)
    with pytest.raises(InvalidSettings, match="no such sku"):
        world("matched").truth.survival("nothing", 1.0)
    with pytest.raises(InvalidSettings, match="unknown supplier"):
        world("matched").truth.lead_time_cdf("nobody", 10)
    with pytest.raises(InvalidSettings, match="unknown cause"):
        world("matched").truth.without("luck")


# --- the tables are an export of the last day


@pytest.mark.parametrize("kind", KINDS)
def test_tables_are_valid_and_know_nothing_of_the_future(kind: str) -> None:
    made = world(kind, causes=2)
    assert tuple(made.tables) == NEEDED_TABLES
    specs = {t.name: t for t in vars(schema).values() if isinstance(t, schema.Table)}
    for name, table in made.tables.items():
        spec = specs[name]
        assert set(table.columns) <= set(spec.names), name
        assert len(table) > 0, name
        for column in table.columns:
            rule, values = spec.column(column), table[column]
            if rule.needed and not rule.may_be_empty:
                assert values.notna().all(), (name, column)
            if rule.kind == "number":
                known = values.dropna()
                assert ((known >= rule.at_least) & (known > rule.above) & (known <= rule.at_most)).all(), (name, column)
            if rule.kind == "date" and name != "events" and column not in ("promised_date", "recalled_to"):
                assert (values.dropna() <= made.as_of).all(), (name, column)
        if spec.key:
            assert not table.duplicated([c for c in spec.key if c in table]).any()
    assert set(made.tables["sales"]["sku"]) <= set(made.tables["products"]["sku"])
    assert made.tables["inventory"]["date"].max() == made.as_of == made.truth.dates[made.truth.laws.n_days - 1]


@pytest.mark.parametrize("kind", KINDS)
def test_worlds_have_everything_that_is_hard(kind: str) -> None:
    made = world(kind)
    truth, tables = made.truth, made.tables
    assert set(truth.items["demand_class"]) == set(CLASSES)
    assert set(tables["products"]["product_type"]) == {"commodity", "standard", "specialty", "custom"}
    assert 8 <= tables["products"]["supplier"].nunique() <= 12
    assert (truth.suppliers["lead_median"].max() / truth.suppliers["lead_median"].min()) > 3
    orders = tables["purchase_orders"]
    lines = orders.groupby(["po_id", "sku"])
    assert (lines.size() > 1).any(), "partial receipts"
    assert orders["cancelled_date"].notna().any()
    assert (orders["received_date"].isna() & orders["cancelled_date"].isna()).any(), "open orders"
    came = orders.dropna(subset="received_date").sort_values(["sku", "order_date", "received_date"])
    ahead = came.groupby("sku")["received_date"].cummax()
    assert (came["received_date"] < ahead).any(), "crossing orders"
    assert (tables["sales"]["quantity"] < 0).any(), "returns"
    assert tables["products"]["launched"].notna().any()
    assert tables["products"]["discontinued"].notna().any()
    assert tables["products"]["sku"].str.startswith("0").any()
    assert {"promotion", "stop", "loss", "find"} <= set(truth.causes["kind"])
    assert (truth.items["record_error"] != 0).any()
    shifts = (truth.causes["kind"] == "level_shift").any()
    assert shifts == (kind in ("misspecified", "sample"))


@pytest.mark.parametrize("kind", KINDS)
def test_stockouts_and_backlog_are_realistic(kind: str) -> None:
    out, waiting = [], []
    for seed in range(3):
        truth = world(kind, seed).truth
        day = np.arange(truth.laws.n_days)
        first, last = truth.items["first_day"].to_numpy()[:, None], truth.items["last_day"].to_numpy()[:, None]
        live = (day >= first) & (day <= last)
        empty = (truth.on_hand[:, : len(day)] == 0) & live
        ever = empty.any(axis=1)
        out.append(empty[ever].sum() / live[ever].sum())
        waiting.append(truth.open_lines["sku"].nunique())
    assert 0.05 <= np.mean(out) <= 0.20
    assert np.mean(waiting) <= 25
    if kind != "thin":
        assert np.mean(waiting) >= 7


def test_thin_world_is_thin() -> None:
    full, thin = world("matched").tables, world("thin").tables
    assert len(thin["sales"]) < 0.4 * len(full["sales"])
    assert len(thin["purchase_orders"]) < 0.4 * len(full["purchase_orders"])
    assert thin["backorders"]["cancelled_date"].notna().sum() < 0.3 * full["backorders"]["cancelled_date"].notna().sum()


def test_demand_classes_are_what_they_are_called() -> None:
    truth = world("matched").truth
    weeks = truth.demand[:, 2:730].reshape(len(truth.items), 104, 7).sum(axis=2)
    settled = ((truth.items["first_day"] <= 0) & (truth.items["last_day"] >= 730)).to_numpy()
    sold = np.maximum((weeks > 0).sum(axis=1), 1)
    mean = weeks.sum(axis=1) / sold
    spread = np.array([np.var(w[w > 0], ddof=1) for w in weeks]) / mean**2
    often, calm = 104 / sold < 1.32, spread < 0.49
    found = np.where(often, np.where(calm, "smooth", "erratic"), np.where(calm, "intermittent", "lumpy"))
    assert (found == truth.items["demand_class"])[settled].mean() > 0.9
    assert pd.Series(found[settled]).value_counts(normalize=True).min() > 0.08


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
                mine &= ((day > stop.end) | (day < stop.start - 150)).to_numpy()
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
    from backorder_forecast.world_shop import NONE
    from backorder_forecast.world_timeline import play_future, play_history, state_after

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
    from backorder_forecast.world_shop import NONE, queue_days
    from backorder_forecast.world_timeline import play_future, play_history, state_after

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


# --- properties over small worlds


@settings(max_examples=12, deadline=None)
@given(
    kind=st.sampled_from(KINDS), n_skus=st.integers(1, 12), days=st.integers(28, 120), seed=st.integers(0, 10**6),
    causes=st.integers(0, 2),
)  # fmt: skip
def test_small_worlds_hold_together(kind: str, n_skus: int, days: int, seed: int, causes: int) -> None:
    made = make_world(kind, n_skus=n_skus, days=days, seed=seed, causes=causes, horizon_days=20)
    truth = made.truth
    assert truth.demand.shape == truth.on_hand.shape == (n_skus, days + 20)
    assert (truth.on_hand >= 0).all()
    assert (truth.lost <= truth.unmet).all()
    assert (truth.unmet <= truth.demand).all()
    sales = made.tables["sales"]
    assert sales["date"].between(truth.dates[0], made.as_of).all()
    assert (made.tables["inventory"]["on_hand"] >= 0).all()


# --- the warehouse and the samples


def test_warehouse_is_one_shop_in_parts() -> None:
    tables = warehouse(1100, 40, seed=2)
    again = warehouse(1100, 40, seed=2)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, again[name])
    assert tables["products"]["sku"].is_unique
    assert tables["sales"]["date"].is_monotonic_increasing
    assert 0.4 < len(tables["sales"]) / (1100 * 40) < 1.5
    assert set(tables["sales"]["sku"].unique()) <= set(tables["products"]["sku"])
    assert not tables["inventory"].duplicated(["sku", "date"]).any()
    assert not tables["backorders"].duplicated(["order_id", "sku", "filled_date", "cancelled_date"]).any()
    lines = tables["backorders"].groupby("order_id")["customer_id"].nunique()
    assert (lines == 1).all(), "order numbers of the parts do not collide"


def test_samples_are_what_the_code_writes(tmp_path: Path) -> None:
    folder = write_samples(tmp_path / "samples")
    written = sorted(p.name for p in folder.iterdir())
    assert written == sorted([*(f"{name}.csv" for name in NEEDED_TABLES), "README.md"])
    assert sum(p.stat().st_size for p in folder.iterdir()) < 5_000_000
    for name in written:
        assert (folder / name).read_bytes() == (SAMPLES / name).read_bytes(), f"{name} is not up to date"


def test_samples_have_the_blemishes_of_a_real_export() -> None:
    sales = pd.read_csv(SAMPLES / "sales.csv", dtype={"sku": "str", "order_id": "str"}, parse_dates=["date"])
    assert sales.duplicated().sum() == 6
    assert sales["qty"].isna().sum() == sales["sku"].isna().sum() == 1
    assert (sales["date"] > "2024-06-30").sum() == 1
    assert 0.002 < (sales["qty"] < 0).mean() < 0.03
    assert sales["sku"].str.startswith("00").any()
    products = pd.read_csv(SAMPLES / "products.csv", dtype={"sku": "str"})
    assert len(products) == 200
    assert set(sales["sku"].dropna()) <= set(products["sku"])
    assert "synthetic" in (SAMPLES / "README.md").read_text(encoding="utf-8")


def test_sample_lead_times_skip_weekends() -> None:
    orders = world("sample").tables["purchase_orders"]
    assert (orders["received_date"].dropna().dt.day_of_week < 5).all()
    assert (orders["order_date"].dt.day_of_week < 5).all()
    days = sorted(world("matched").tables["purchase_orders"]["received_date"].dropna().dt.day_of_week.unique())
    assert all(b == a + 1 for a, b in pairwise(days))
    assert len(days) == 7
