"""Substitutes: an item spares only what its own demand does not need, and spares it once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hand_made import constant_sales
from hypothesis import given
from hypothesis import strategies as st
from shop_fixture import shop_plan

from backorder_forecast.clock import Clock
from backorder_forecast.cutoffs import ALTERNATIVE, CONFIRMED
from backorder_forecast.pipeline import make_plan
from backorder_forecast.projection import project_stock, stockout_frame
from backorder_forecast.result import Plan
from backorder_forecast.scenario import Scenario
from backorder_forecast.settings import Settings
from backorder_forecast.substitutes import spare_units
from backorder_forecast.tables import read_tables

AS_OF = pd.Timestamp("2024-06-30")
SETTINGS = Settings(
    n_paths=200, horizon_days=30, workers=1, alphas=(0.05,), lead_time_pool_k=0.001, global_model=False,
    learned_flag=False,
)  # fmt: skip


@given(st.integers(0, 2**32 - 1), st.integers(0, 30), st.sampled_from([0.8, 0.95]), st.integers(1, 14))
def test_what_is_spared_leaves_the_service_level_and_not_one_unit_more(
    seed: int, start: int, service_level: float, longest: int
) -> None:
    rng = np.random.default_rng(seed)
    clock = Clock.ahead(AS_OF, "D", 10)
    demand = rng.poisson(1.5, (1, 60, 10)).astype(np.float64)
    receipts = (2 * rng.poisson(0.5, (1, 60, 10))).astype(np.float64)
    lead = rng.integers(1, longest + 1, (1, 60)).astype(np.int32)
    mean, walked = np.array([1.5]), np.array([10])

    def missed(units: float) -> float:
        item = pd.DataFrame(
            {"sku": ["B"], "location": "", "on_hand": units, "on_order": 0.0, "backordered": 0.0, "start": units,
             "mean_daily": mean, "price": 1.0, "review_days": 7}
        )  # fmt: skip
        stock = project_stock(np.array([units]), demand, receipts, n_periods=walked)
        frame = stockout_frame(item, stock, clock, lead, Settings(horizon_days=10))
        return float(frame["p_unmet_before_arrival"].iloc[0])

    spared = float(
        spare_units(
            np.array([float(start)]), demand, receipts, lead, n_periods=walked, mean_daily=mean, clock=clock,
            service_level=service_level,
        )[0]
    )  # fmt: skip
    assert 0 <= spared <= start
    if spared > 0:
        assert missed(start - spared) <= 1 - service_level + 1e-9
    # Beyond the drawn periods the projection counts whole days.
    if spared < start - 1 and longest <= 10:
        assert missed(start - spared - 1) > 1 - service_level or missed(start) > 1 - service_level


def ago(days: int) -> pd.Timestamp:
    return AS_OF - pd.Timedelta(days=days)


def past_orders(skus: str, lead: int = 10) -> pd.DataFrame:
    ordered = pd.date_range(end=ago(lead + 60), periods=12, freq="7D")
    rows = [pd.DataFrame({"supplier": "ACME", "sku": s, "order_date": ordered, "quantity_ordered": 14.0}) for s in skus]
    orders = pd.concat(rows, ignore_index=True)
    orders["po_id"] = [f"P{k}" for k in range(len(orders))]
    orders["received_date"] = orders["order_date"] + pd.Timedelta(days=lead)
    return orders


def plan_of(stock: dict[str, float], *, waiting: dict[str, float] | None = None, **options: Any) -> Plan:
    """Items that have hardly a margin of their own and the dear B as substitute, all selling alike."""
    skus = "".join(stock)
    sales = [constant_sales(s, "2024-01-01", "2024-06-30") for s in skus]
    products = pd.DataFrame({"sku": list(skus), "price": 10.0, "unit_cost": [2.0 if s == "B" else 9.9 for s in skus]})
    products["substitute_sku"] = ["" if s == "B" else "B" for s in skus]
    tables: dict[str, Any] = {
        "sales": pd.concat(sales), "products": products, "purchase_orders": past_orders(skus),
        "inventory": pd.DataFrame({"sku": list(skus), "date": AS_OF, "on_hand": list(stock.values())}),
    }  # fmt: skip
    if waiting:
        lines = pd.DataFrame({"sku": list(waiting), "quantity": list(waiting.values()), "order_date": ago(2)})
        tables["backorders"] = lines.assign(order_id=[f"o{k}" for k in range(len(lines))])
    return make_plan(read_tables(tables, as_of=AS_OF), SETTINGS.replace(**options))


def row(plan: Plan, sku: str, frame: str = "wait_cutoffs") -> pd.Series:
    found = plan.frames[frame]
    return found[found["sku"] == sku].iloc[0]


def test_a_substitute_that_runs_out_itself_is_not_offered() -> None:
    daily = float(row(plan_of({"A": 0, "B": 0}), "B", "items")["mean_daily"])
    rich, poor = plan_of({"A": 0, "B": 500}), plan_of({"A": 0, "B": round(15 * daily)})
    offered = row(rich, "A")
    assert (offered["decision"], offered["substitute_sku"]) == (ALTERNATIVE, "B")
    assert "B is in stock" in offered["reason"]
    assert f"{offered['substitute_units']:.0f} of them for this item" in offered["reason"]
    # Enough for 15 days and an order in 10: what is left over is the substitute's own.
    scarce = row(plan_of({"A": 0, "B": round(15 * daily), "C": 9}), "A")
    assert scarce["substitute_units"] <= 6 * daily
    short = plan_of({"A": 0, "B": round(15 * daily)}).what_if(Scenario(supplier_delay_days={"ACME": 14}))
    lost = row(short, "A")
    assert (lost["substitute_sku"], lost["substitute_units"]) == ("", 0.0)
    assert lost["decision"] != ALTERNATIVE
    assert poor.settings == short.settings
    # It is then judged as if it had none.
    alone = plan_of({"A": 0, "B": 0}).what_if(Scenario(supplier_delay_days={"ACME": 14}))
    same = ["wait_cutoff_days", "value_accept", "value_refuse", "decision", "own_cutoff_days", "payment_terms"]
    pd.testing.assert_series_equal(lost[same], row(alone, "A")[same])


def test_items_that_share_a_substitute_share_its_units() -> None:
    plan = plan_of({"A": 0, "B": 60, "C": 0, "D": 0}, waiting={"A": 5.0, "C": 9.0})
    cutoffs = plan.wait_cutoffs
    asking = cutoffs[cutoffs["substitute_sku"] == "B"]
    assert 1 <= len(asking) <= 3
    b = row(plan, "B")
    assert asking["substitute_units"].sum() + b["max_open_quantity"] <= 60 + 1e-9
    assert asking["substitute_units"].sum() > 0
    assert "free units are offered in place of" in b["reason"]
    for sku in sorted({"A", "C", "D"} - set(asking["sku"])):
        said = row(plan, sku)
        assert said["decision"] != ALTERNATIVE
    told = plan.notices[plan.notices["text"].str.contains("B instead")]
    for name, lines in told.groupby("sku"):
        assert lines["quantity"].sum() <= row(plan, str(name))["substitute_units"]


def test_no_plan_offers_what_it_expects_to_run_out() -> None:
    plan = shop_plan()
    offers = plan.wait_cutoffs[plan.wait_cutoffs["decision"] == ALTERNATIVE]
    risk = plan.stockouts.set_index("sku").loc[offers["substitute_sku"]]
    assert not risk["flag"].isin(["critical", "warning"]).any()
    assert (risk["p_unmet_before_arrival"] <= 1 - plan.settings.service_level + 1e-9).all()
    own = plan.wait_cutoffs.set_index("sku")
    assert (own.loc[offers["substitute_sku"], "decision"] != CONFIRMED).all() or (
        own.loc[offers["substitute_sku"], "max_open_quantity"] >= 1
    ).all()


def test_the_sharing_depends_neither_on_buckets_nor_on_the_order_of_items() -> None:
    whole = plan_of({"A": 0, "B": 40, "C": 0})
    cases: list[tuple[dict[str, Any], str]] = [({"bucket_size": 1}, "ABC"), ({}, "CBA")]
    for options, stock in cases:
        other = plan_of({s: 40 if s == "B" else 0 for s in stock}, **options)
        pd.testing.assert_frame_equal(whole.wait_cutoffs, other.wait_cutoffs)
