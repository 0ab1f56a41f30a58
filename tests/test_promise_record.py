"""The record of our own promises: censored lines kept, one weight per delivery, dates and chances that agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import backorder_forecast as bf
from backorder_forecast.backorders import fill_date_frame
from backorder_forecast.fitting import Fitted, fit_world
from backorder_forecast.promise_record import PRIOR_EVENTS, Calibration, calibrate, no_record
from backorder_forecast.synthetic import make_world

OPTIONS = bf.Settings(n_paths=100, workers=1, global_model=False, learned_flag=False, theta=False, smooth_items=0)
AS_OF = pd.Timestamp("2024-06-30")


def scores(u: np.ndarray, *, filled: bool | np.ndarray = True, weight: float = 1.0) -> pd.DataFrame:
    u = np.asarray(u, float)
    return pd.DataFrame({"supplier": "A", "below": u, "reached": u, "filled": filled, "weight": weight})


def told(found: Calibration, p: float) -> float:
    return float(found.kept(np.array([0]), np.array([p]))[0])


def test_right_laws_are_left_alone() -> None:
    found = calibrate(scores((np.arange(2000) + 0.5) / 2000), pd.Series(["A"]))
    assert [told(found, p) for p in (0.1, 0.5, 0.9)] == pytest.approx([0.1, 0.5, 0.9], abs=0.01)
    assert found.level(np.array([0]), 0.9) == pytest.approx([0.9], abs=0.01)


def test_without_a_record_all_is_as_stated() -> None:
    found = no_record(1)
    assert found.level(np.array([0, 0]), 0.9).tolist() == pytest.approx([0.9, 0.9])
    assert told(found, 0.37) == pytest.approx(0.37)
    assert np.isnan(told(found, np.nan))
    assert found.note(0.9) == ""


def test_promises_too_early_are_moved_to_the_level_that_keeps_them() -> None:
    # Fill days come where the law says u^2: a stated 90 % is kept in 81 %.
    u = np.sqrt((np.arange(20_000) + 0.5) / 20_000)
    found = calibrate(scores(u), pd.Series(["A"]))
    assert told(found, 0.9) == pytest.approx(0.81, abs=0.01)
    assert found.level(np.array([0]), 0.9) == pytest.approx([np.sqrt(0.9)], abs=0.01)


def test_lines_not_filled_yet_count_as_later_than_they_waited() -> None:
    rng = np.random.default_rng(1)
    u, bound = np.sqrt(rng.random(20_000)), rng.random(20_000) * 1.5
    seen = u <= bound
    censored = calibrate(scores(np.minimum(u, bound), filled=seen), pd.Series(["A"]))
    dropped = calibrate(scores(u[seen]), pd.Series(["A"]))
    assert told(censored, 0.5) == pytest.approx(0.25, abs=0.02)
    assert told(dropped, 0.5) > 0.3  # early lines alone would flatter


def test_a_delivery_counts_once_however_many_lines_it_fills() -> None:
    late, fair = scores(np.full(1000, 0.99), weight=1 / 1000), scores((np.arange(500) + 0.5) / 500)
    assert told(calibrate(pd.concat([late, fair]), pd.Series(["A"])), 0.9) == pytest.approx(0.9, abs=0.01)


def test_few_deliveries_move_little() -> None:
    found = calibrate(scores(np.full(5, 0.99)), pd.Series(["A", "B"]))
    whole = 0.9 * PRIOR_EVENTS / (PRIOR_EVENTS + 5)
    assert told(found, 0.9) == pytest.approx(whole * PRIOR_EVENTS / (PRIOR_EVENTS + 5), abs=1e-6)
    assert found.kept(np.array([1]), np.array([0.9])) == pytest.approx([whole], abs=1e-6)


def test_categories_of_a_supplier_are_told_apart_where_there_are_enough_receipts() -> None:
    fair = scores((np.arange(400) + 0.5) / 400).assign(category="x")
    late, few = scores(np.full(200, 0.97)).assign(category="y"), scores(np.full(5, 0.97)).assign(category="z")
    suppliers, categories = pd.Series(["A"] * 4 + ["B"]), pd.Series(["x", "y", "z", "", "y"])
    found = calibrate(pd.concat([fair, late, few]), suppliers, categories)
    kept = found.kept(np.arange(5), np.full(5, 0.9))
    assert kept[1] < kept[3] - 0.1  # a category that comes late
    assert kept[0] > kept[3]
    assert kept[2] == kept[3]  # too few receipts: as the supplier's others
    assert kept[4] > kept[1]  # another supplier's items of the same category know nothing of it


SCORE = st.tuples(st.floats(0, 1), st.floats(0, 1), st.booleans())


@given(st.lists(SCORE, min_size=1, max_size=30), st.floats(0.01, 0.99))
def test_corrections_are_monotone_and_chances_agree(rows: list[tuple[float, float, bool]], p: float) -> None:
    frame = pd.DataFrame(
        {"supplier": "A", "below": [min(a, b) for a, b, _ in rows], "reached": [max(a, b) for a, b, _ in rows],
         "filled": [f for *_, f in rows], "weight": 1.0}
    )  # fmt: skip
    found = calibrate(frame, pd.Series(["A"]))
    assert (np.diff(found.curves, axis=1) >= 0).all()
    assert found.curves[:, [0, -1]] == pytest.approx(np.tile([0.0, 1.0], (2, 1)))
    level = found.level(np.array([0]), p)
    assert found.kept(np.array([0]), level) == pytest.approx([p], abs=1e-6)
    backwards = calibrate(frame.iloc[::-1], pd.Series(["A"]))
    assert backwards.curves == pytest.approx(found.curves, abs=1e-12)


def test_the_dates_of_a_frame_are_those_of_the_kept_levels() -> None:
    late = calibrate(scores(np.sqrt((np.arange(20_000) + 0.5) / 20_000)), pd.Series(["A"]))
    days = np.arange(1, 101, dtype=np.int32)[None, :]
    line = {"order_id": "1", "sku": "S", "location": "", "customer_id": "", "quantity": 1.0, "status": "created",
            "order_date": AS_OF, "promised_date": AS_OF + pd.Timedelta(days=50), "waited_days": 0,
            "item": 0, "priority": np.nan}  # fmt: skip
    orders = pd.DataFrame({"po_id": [], "supplier": [], "order_date": []})
    frame = fill_date_frame(
        pd.DataFrame([line]), days, days, line_start=np.array([0, 1]), orders=orders,
        arrival_days=np.zeros((0, 100), np.int32), order_start=np.array([0, 0]), next_order_days=days, as_of=AS_OF,
        settings=bf.Settings(business_days=False), calibration=late,
    ).iloc[0]  # fmt: skip
    assert (frame["promise_date"] - AS_OF).days in (95, 96)
    assert frame["promise_date"] == frame["fill_date_0.9"]
    assert frame["p_at_promise"] == pytest.approx(0.9, abs=0.015)
    assert frame["p_by_promised"] == pytest.approx(0.25, abs=0.01)
    assert frame["p_unfilled"] == pytest.approx(1 - 0.81, abs=0.015)


def fitted(tables: dict[str, pd.DataFrame], as_of: pd.Timestamp, **settings: Any) -> Fitted:
    laps: list[str] = []
    return fit_world(bf.read_tables(tables, as_of=as_of), OPTIONS.replace(**settings), lap=laps.append)


def test_a_replay_knows_nothing_of_later_days_and_scores_what_happened() -> None:
    world = make_world("matched", n_skus=60, seed=7)
    tables = dict(world.tables)
    whole = fitted(tables, world.as_of).world.calibration.record
    assert set(whole["origin"]) <= {world.as_of - pd.Timedelta(days=28 * (k + 1)) for k in range(6)}
    assert (whole["days"] >= 1).all()
    assert (whole["below"] <= whole["reached"]).all()
    assert whole.groupby("event")["weight"].sum().to_numpy() == pytest.approx(1.0)
    # Receipts after an origin move what happened, never what was said: the same line at the same origin.
    last = whole["origin"].max()
    orders = tables["purchase_orders"]
    later = orders["received_date"] > last
    moved = orders.assign(received_date=orders["received_date"].mask(later, world.as_of))
    again = fitted({**tables, "purchase_orders": moved}, world.as_of).world.calibration.record
    keys = ["origin", "order_id", "sku"]
    both = whole[whole["origin"] == last].merge(again, on=keys, suffixes=("", "_again"))
    assert len(both)
    assert both["reached"].to_numpy() == pytest.approx(both["reached_again"].to_numpy(), abs=0.05)


def test_replays_can_be_left_out_and_are_told_in_a_note() -> None:
    world = make_world("matched", n_skus=60, seed=7)
    off = fitted(dict(world.tables), world.as_of, promise_origins=0)
    assert off.world.calibration.record.empty
    assert not any("own record" in note for note in off.notes)
    shuffled = {name: table.sample(frac=1, random_state=3) for name, table in world.tables.items()}
    one, two = fitted(dict(world.tables), world.as_of), fitted(shuffled, world.as_of)
    assert any("own record" in note for note in one.notes)
    np.testing.assert_allclose(one.world.calibration.curves, two.world.calibration.curves, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("stock", "options", "event", "could_ship"),
    [
        ({}, {}, False, True),
        ({"reserved": 15.0}, {}, False, False),
        ({"reserved": 15.0}, {"reserved_includes_backorders": True}, False, True),
        ({"reserved": 30.0}, {"reserved_includes_backorders": True}, False, False),
        ({"on_hold": 15.0}, {}, False, False),
        ({}, {}, True, False),
    ],
)
def test_the_shelf_of_a_past_day_is_read_as_that_of_today(
    stock: dict[str, float], options: dict[str, Any], event: bool, could_ship: bool
) -> None:
    # Five lines of 3 units wait on every day; 15 units on the shelf would have served them the next day.
    days, placed = pd.date_range("2024-01-15", "2024-06-29"), pd.date_range("2023-07-03", AS_OF, freq="7D")
    arrived = (placed + pd.Timedelta(days=30)).where(placed <= AS_OF - pd.Timedelta(days=30))
    frames = {
        "sales": pd.DataFrame({"sku": "A", "date": pd.date_range("2023-07-01", AS_OF), "quantity": 2.0}),
        "inventory": pd.DataFrame({"sku": "A", "date": pd.date_range("2024-01-01", AS_OF), "on_hand": 15.0, **stock}),
        "purchase_orders": pd.DataFrame({"supplier": "S", "sku": "A", "order_date": placed, "received_date": arrived,
                                         "quantity_ordered": 21.0}),
        "products": pd.DataFrame({"sku": ["A"], "supplier": "S"}),
        "backorders": pd.DataFrame({"order_id": [f"o{k}" for k in range(len(days))], "sku": "A", "order_date": days,
                                    "quantity": 3.0, "filled_date": days + pd.Timedelta(days=5)}),
    }  # fmt: skip
    if event:
        hold = {"kind": "quality hold", "start": pd.Timestamp("2024-01-01"), "end": pd.NaT, "sku": "A"}
        frames["events"] = pd.DataFrame([hold])
    record = fitted(frames, AS_OF, **options).world.calibration.record
    assert len(record)
    assert (record.loc[record["days"] > 1, "below"] == 1.0).all() == could_ship


@pytest.mark.parametrize(("capacity", "in_time"), [(None, True), (1000.0, True), (0.01, False)])
def test_what_a_day_can_make_slowed_past_promises_too(capacity: float | None, in_time: bool) -> None:
    # Lines of a unit a day wait for the order of their week, which is ten days on its way.
    days, placed = pd.date_range("2024-01-15", "2024-06-29"), pd.date_range("2023-07-03", AS_OF, freq="7D")
    arrived = (placed + pd.Timedelta(days=10)).where(placed <= AS_OF - pd.Timedelta(days=10))
    frames = {
        "sales": pd.DataFrame({"sku": "A", "date": pd.date_range("2023-07-01", AS_OF), "quantity": 2.0}),
        "inventory": pd.DataFrame({"sku": "A", "date": pd.date_range("2024-01-01", AS_OF), "on_hand": 0.0}),
        "purchase_orders": pd.DataFrame({"supplier": "S", "sku": "A", "order_date": placed, "received_date": arrived,
                                         "quantity_ordered": 21.0}),
        "products": pd.DataFrame({"sku": ["A"], "supplier": "S", "daily_capacity": capacity}),
        "backorders": pd.DataFrame({"order_id": [f"o{k}" for k in range(len(days))], "sku": "A", "order_date": days,
                                    "quantity": 1.0, "filled_date": days + pd.Timedelta(days=9)}),
    }  # fmt: skip
    record = fitted(frames, AS_OF).world.calibration.record
    assert len(record)
    # Unlimited, the orders on their way serve all; at a hundredth of a unit a day nothing was to be expected.
    assert bool(record["reached"].max() > 0.5) == in_time
