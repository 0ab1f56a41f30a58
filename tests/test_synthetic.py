"""The synthetic worlds: same bytes for one seed, a valid export of the last day, everything that is hard in it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_fixture import world

from backorder_forecast import schema
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.synthetic import make_world, warehouse, write_samples
from backorder_forecast.world_catalogue import CLASSES, KINDS

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
NEEDED_TABLES = ("sales", "purchase_orders", "inventory", "backorders", "products", "supplier_items", "events")


def text(tables: dict[str, pd.DataFrame]) -> str:
    return "".join(tables[name].to_csv() for name in sorted(tables))


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
