"""Suppliers that stand still: seen in what did not come, shared by their orders, and undone for comparison."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from backorder_forecast import streams
from backorder_forecast.clock import NEVER
from backorder_forecast.disruptions import (
    LONGEST,
    PRIOR,
    SHORTEST,
    Evidence,
    Shocks,
    blamed,
    draw_shocked_days,
    fit_shocks,
    shocked_arrival_days,
    shocked_lead_days,
    stop_evidence,
    stopped_paths,
)
from backorder_forecast.leadtimes import LeadTimes, fit_lead_times
from backorder_forecast.receipts import OpenLines, draw_arrival_days, open_order_lines
from backorder_forecast.settings import Settings
from backorder_forecast.supply_events import Closures, supplier_closures

AS_OF = pd.Timestamp("2024-06-30")
N_PATHS = 4000
SKUS = [f"S{k}" for k in range(30)]


def orders(*, stopped_days: int = 0, supplier: str = "ACME", seed: int = 1, lines: int = 3) -> pd.DataFrame:
    """Orders every second day, of `lines` items each that come apart, ten days or so under way; then nothing comes."""
    rng = np.random.default_rng(seed)
    days = pd.date_range(end=AS_OF, periods=200, freq="2D")
    rows = pd.DataFrame({"po_id": np.repeat([f"{supplier}-{k}" for k in range(200)], lines), "supplier": supplier,
                         "order_date": np.repeat(days, lines), "quantity_ordered": 10.0})  # fmt: skip
    rows["sku"] = [SKUS[(k + j) % 30] for k in range(200) for j in range(lines)]
    rows["received_date"] = rows["order_date"] + pd.to_timedelta(rng.integers(6, 15, len(rows)), unit="D")
    rows.loc[rows["received_date"] > AS_OF - pd.Timedelta(days=stopped_days), "received_date"] = pd.NaT
    return rows


def no_closures() -> Closures:
    return supplier_closures(pd.DataFrame(), AS_OF)


def world(rows: pd.DataFrame, closures: Closures | None = None) -> tuple[OpenLines, LeadTimes, Shocks]:
    items = pd.DataFrame({"sku": SKUS, "location": ""})
    lead = fit_lead_times(rows, as_of=AS_OF, settings=Settings(lead_time_pool_k=10, lead_time_half_life_days=730))
    lines = open_order_lines(rows, items, as_of=AS_OF)
    facts = items.assign(supplier=rows["supplier"].iloc[0])
    return lines, lead, fit_shocks(rows, lines, lead, facts, closures or no_closures(), 0)


def keys() -> np.ndarray:
    return streams.item_keys(SKUS, [""] * len(SKUS), 0, streams.RECEIPTS)


def evidence(rows: pd.DataFrame, closures: Closures | None = None) -> Evidence:
    return stop_evidence(rows, fit_lead_times(rows, as_of=AS_OF), closures or no_closures())


def test_a_supplier_that_delivers_is_not_suspected_and_one_that_stopped_is() -> None:
    calm = evidence(orders()).suppliers.iloc[0]
    assert calm["probability"] < PRIOR
    stopped = evidence(orders(stopped_days=9)).suppliers.iloc[0]
    assert stopped["probability"] > 0.95
    assert 8 <= stopped["stopped_days"] <= 11
    assert stopped["received"] == 0
    assert stopped["expected"] > 3
    # Two days without a delivery are no news.
    assert evidence(orders(stopped_days=2)).suppliers["probability"].iloc[0] < 0.3


def test_each_supplier_is_judged_by_its_own_deliveries() -> None:
    both = pd.concat([orders(stopped_days=9), orders(supplier="Borealis", seed=2)], ignore_index=True)
    p = evidence(both).suppliers.set_index("supplier")["probability"]
    assert p["ACME"] > 0.9
    assert p["Borealis"] < PRIOR


def test_an_order_is_no_evidence_on_itself() -> None:
    rows = orders()
    # One order out of all is lost for fifty days: its supplier goes on delivering.
    lost = rows["po_id"] == rows["po_id"].iloc[-80]
    rows.loc[lost, "received_date"] = pd.NaT
    late = evidence(rows).lines
    assert late.loc[late["po_id"] == rows["po_id"].iloc[-80], "probability"].max() < PRIOR
    # The only order that is open says nothing, however late.
    alone = orders(lines=1).dropna(subset=["received_date"]).iloc[:100]
    open_one = alone.iloc[[-1]].assign(po_id="late", received_date=pd.to_datetime([""]))
    found = evidence(pd.concat([alone, open_one], ignore_index=True)).lines
    assert found["po_id"].tolist() == ["late"]
    assert found["probability"].iloc[0] == pytest.approx(PRIOR)


def test_lines_that_come_in_one_go_are_one_event() -> None:
    apart = orders(stopped_days=6, lines=10)
    at_once = apart.copy()
    first = apart.groupby("po_id")["received_date"].transform("min")
    at_once["received_date"] = first.where(first <= AS_OF - pd.Timedelta(days=6))
    expected = [evidence(rows).suppliers["expected"].iloc[0] for rows in (apart, at_once)]
    assert expected[0] > 3 * expected[1]


def test_days_on_which_the_supplier_is_known_to_be_closed_are_no_evidence() -> None:
    shut = pd.DataFrame({"supplier": ["ACME"], "first": [-8], "last": [0], "known_end": [True]})
    assert evidence(orders(stopped_days=9), Closures(shut)).suppliers["probability"].iloc[0] < 0.3


def test_without_evidence_every_order_keeps_its_law_and_only_the_dependence_is_new() -> None:
    lines, lead, shocks = world(orders())
    assert not shocks.line_weight.any()
    alone = draw_arrival_days(lines, lead, keys(), 0, 30, N_PATHS)
    shared = draw_shocked_days(shocks, lead, keys(), 0, 30, N_PATHS)
    np.testing.assert_array_equal(np.sort(alone, axis=1), np.sort(shared, axis=1))
    item = lines.frame["item"].to_numpy()
    pair = np.flatnonzero(np.bincount(item, minlength=30) >= 2)
    assert len(pair)
    worst = []
    for days in (alone, shared):
        late = days > np.quantile(days, 0.97, axis=1, keepdims=True)
        worst.append(np.mean([late[item == i][0] @ late[item == i][1] / N_PATHS for i in pair]))
    assert worst[1] > 3 * worst[0], "both orders of an item are late together more often than by chance"


def test_orders_of_a_stopped_supplier_wait_for_the_end_of_the_stop_together() -> None:
    lines, lead, shocks = world(orders(stopped_days=9))
    assert (shocks.line_weight > 0.8).all()
    base = draw_arrival_days(lines, lead, keys(), 0, 30, N_PATHS)
    days = draw_shocked_days(shocks, lead, keys(), 0, 30, N_PATHS)
    assert (np.median(days, axis=1) > np.median(base, axis=1)).all()
    still = stopped_paths(shocks, np.arange(len(days)), N_PATHS)
    assert abs(still.mean() - shocks.line_weight.mean()) < 0.03
    # Half of the stops end within as long again as they have lasted so far (Gott).
    rest = days[still].min()
    assert rest >= 1
    first = np.where(still[0])[0]
    lag = days[0, first]
    median = max(shocks.line_days[0], SHORTEST)
    assert median * 0.8 <= np.median(lag) <= median * 1.2 + 6
    assert days[still].max() <= LONGEST + base.max() + 30
    # The rest of the stop is the same for all lines on a path.
    assert np.corrcoef(np.log(days[0, first]), np.log(days[-1, first]))[0, 1] > 0.7


def test_lateness_is_laid_at_the_door_of_a_supplier_as_far_as_its_other_orders_say() -> None:
    weight = np.array([0.0, (0.15 - PRIOR) / (1 - PRIOR), (0.5 - PRIOR) / (1 - PRIOR), 1.0])
    _, _, shocks = world(orders())
    found = blamed(replace(shocks, line_weight=weight)).line_weight
    # Odds of .15 / .85 against .05 / .95 are 3.35 to 1: taken as equally likely, 77 % against 23 %.
    np.testing.assert_allclose(found, [0.0, 0.5405, 0.9, 1.0], atol=1e-4)
    assert (np.diff(found) > 0).all()
    assert (found >= weight - 1e-9).all()


def test_an_order_due_before_a_stop_has_come_and_one_due_in_it_waits_for_its_end() -> None:
    _, _, shocks = world(orders(stopped_days=9))
    items, stopped = np.array([0, 1]), int(shocks.item_days[0])
    due = np.full((2, N_PATHS), -stopped, dtype=np.int32)
    due[1] = -2
    found = shocked_arrival_days(shocks, due, pd.Series(["ACME", "ACME"]), items)
    assert (found[0] == due[0]).all()
    waits = found[1] > 0
    assert abs(waits.mean() - shocks.item_weight[1]) < 0.03
    assert (found[1][~waits] == -2).all()
    # What was left of its way when the stop began is left when it ends.
    assert found[1][waits].min() > stopped - 2


def test_an_order_due_while_the_supplier_is_closed_comes_after_the_closure() -> None:
    shut = Closures(pd.DataFrame({"supplier": ["ACME"], "first": [-4], "last": [3], "known_end": [True]}))
    _, _, shocks = world(orders(), shut)
    due = np.array([[-5, -4, 0, 2]], dtype=np.int32)
    found = shocked_arrival_days(shocks, due, pd.Series(["ACME"]), np.array([0]))
    assert found.tolist() == [[-5, 4, 8, 10]]


def test_undone_a_stop_leaves_orders_where_they_would_have_been() -> None:
    _, lead, shocks = world(orders(stopped_days=9))
    calm = draw_shocked_days(shocks, lead, keys(), 0, 30, N_PATHS, disrupted=False)
    due = shocks.stalled.frame["age_days"].to_numpy() >= 6
    assert (calm[due] <= 0).mean() > 0.5, "most of what was due has come by now"
    assert np.median(calm[~due]) < np.median(draw_shocked_days(shocks, lead, keys(), 0, 30, N_PATHS)[~due])


def test_a_new_order_waits_as_well() -> None:
    _, _, shocks = world(orders(stopped_days=9))
    lead_days = np.full((30, N_PATHS), 10, dtype=np.int32)
    lead_days[:, 0] = NEVER
    later = shocked_lead_days(shocks, lead_days, pd.Series(["ACME"] * 30), 0, 30)
    assert (later >= lead_days).all()
    assert abs((later[:, 1:] > 10).mean() - shocks.item_weight.mean()) < 0.03
    assert (later[:, 0] == NEVER).all()


def test_a_known_closure_moves_orders_by_its_days() -> None:
    shut = supplier_closures(
        pd.DataFrame({"kind": ["summer closure"], "start": [AS_OF + pd.Timedelta(days=4)], "supplier": ["ACME"],
                      "end": [AS_OF + pd.Timedelta(days=13)], "effect": [np.nan]}),
        AS_OF,
    )  # fmt: skip
    rows = orders()
    _, lead, free = world(rows)
    _, _, closed = world(rows, shut)
    before = draw_shocked_days(free, lead, keys(), 0, 30, 200)
    after = draw_shocked_days(closed, lead, keys(), 0, 30, 200)
    np.testing.assert_array_equal(after, np.where(before < 4, before, before + 10))
    np.testing.assert_array_equal(draw_shocked_days(closed, lead, keys(), 0, 30, 200, disrupted=False), before)


def test_a_stop_that_events_name_is_certain_and_one_with_a_known_end_is_no_guess() -> None:
    stop = pd.DataFrame({"kind": ["strike"], "start": [AS_OF - pd.Timedelta(days=4)], "end": [pd.NaT],
                         "supplier": ["ACME"], "effect": [np.nan]})  # fmt: skip
    _, _, sure = world(orders(), supplier_closures(stop, AS_OF))
    assert (sure.line_weight == 1).all()
    assert (sure.item_weight == 1).all()
    assert (sure.line_days == 5).all()
    ends = stop.assign(end=AS_OF + pd.Timedelta(days=3))
    _, _, known = world(orders(stopped_days=5), supplier_closures(ends, AS_OF))
    assert not known.line_weight.any()
    # Orders were under way only on the days on which the supplier worked.
    age = known.worked.frame["age_days"] + known.line_shut
    assert (known.line_shut == np.minimum(age, 5)).all()


def test_draws_do_not_depend_on_the_bucket() -> None:
    for stopped in (0, 9):
        _, lead, shocks = world(orders(stopped_days=stopped))
        whole = draw_shocked_days(shocks, lead, keys(), 0, 30, 100)
        parts = [draw_shocked_days(shocks, lead, keys(), i, i + 10, 100) for i in (0, 10, 20)]
        np.testing.assert_array_equal(whole, np.concatenate(parts))
