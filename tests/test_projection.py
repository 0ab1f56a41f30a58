from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hand_made import AS_OF, known, model_of, stock_items
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import ArrayLike, NDArray

from backorder_forecast.clock import Clock
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.projection import (
    NEVER,
    join_share,
    project_stock,
    stock_quantiles,
    stockout_frame,
)
from backorder_forecast.settings import PATIENCE_PRIORS, UNMET, Settings

Floats = NDArray[np.float64]
KNOWN = known("stock")
MODES = st.sampled_from(UNMET)
UNITS = arrays(np.float64, (2, 5, 8), elements=st.integers(0, 6).map(float))


def floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def frame_of(
    start: ArrayLike,
    demand: Floats,
    receipts: Floats | None = None,
    *,
    lead: ArrayLike = 1,
    freq: str = "D",
    choices: Settings | None = None,
    review: int = 1,
    mean_daily: float = 1.0,
) -> pd.DataFrame:
    n, n_paths, periods = demand.shape
    clock = Clock.ahead(AS_OF, freq, {"D": 1, "W-MON": 7}[freq] * periods)
    items = stock_items(n, start, review_days=review, mean_daily=mean_daily)
    stock = project_stock(floats(items["start"]), demand, np.zeros_like(demand) if receipts is None else receipts)
    lead_days = np.broadcast_to(np.asarray(lead, dtype=np.int32), (n, n_paths))
    return stockout_frame(items, stock, clock, lead_days, choices or Settings(horizon_days=clock.n_days))


# --- known answers


def test_first_passage_with_an_uncertain_receipt_known_answer() -> None:
    case = KNOWN["stockout_first_passage_exact"]["inputs"]
    sizes = range(len(case["demand_pmf"]))
    demand = floats(list(product(sizes, repeat=case["horizon"])))
    weight = np.prod(np.take(case["demand_pmf"], demand.astype(int)), axis=1)
    by_day = np.zeros(case["horizon"])
    for day, chance in case["arrival_pmf"].items():
        receipts = np.zeros_like(demand)
        receipts[:, int(day) - 1 : int(day)] = case["po_qty"]
        stock = project_stock(floats([case["on_hand"]]), demand[None], receipts[None])
        for t in range(case["horizon"]):
            by_day[t] += chance * weight[stock.first_unmet[0] <= t].sum()
    np.testing.assert_allclose(by_day, KNOWN["stockout_first_passage_exact"]["expected"], atol=1e-6)


def test_poisson_demand_against_a_fixed_stock_known_answer() -> None:
    case = KNOWN["poisson_stockout_prob"]
    days, n_paths = case["inputs"]["t"], 20_000
    model = model_of(case["inputs"]["rate"], case["inputs"]["rate"], alpha=0.0)
    demand = model.paths(Clock.ahead(AS_OF, "D", days), n_paths=n_paths, seed=0).draw()
    row = frame_of(case["inputs"]["on_hand"], demand).iloc[0]
    for column, wanted in (("p_stockout_14", "p_short"), ("p_stockout", "p_short"), ("p_zero", "p_zero_or_less")):
        p = case["expected"][wanted]
        assert abs(row[column] - p) < 4 * np.sqrt(p * (1 - p) / n_paths), column


def test_waiting_time_of_a_base_stock_policy_known_answer() -> None:
    case = KNOWN["base_stock_wait_poisson"]
    base, lead, n_paths = case["inputs"]["S"], case["inputs"]["L"], 20_000
    model = model_of(case["inputs"]["lam"], case["inputs"]["lam"], alpha=0.0)
    demand = model.paths(Clock.ahead(AS_OF, "D", lead), n_paths=n_paths, seed=1).draw()
    stock = project_stock(floats([base]), demand, np.zeros_like(demand))
    for name, p in case["expected"].items():
        # All units on order L - w days ago have come by now; a customer waits longer if these are gone by then.
        days = lead - int(name[1:])
        within = (stock.first_zero[0] >= days).mean()
        assert abs(within - p) < 4 * np.sqrt(p * (1 - p) / n_paths), name


# --- the walk


@settings(max_examples=60)
@given(
    demand=UNITS, receipts=UNITS, start=arrays(np.float64, 2, elements=st.integers(-5, 40).map(float)), unmet=MODES,
    nothing_comes=st.booleans(),
)  # fmt: skip
def test_the_compiled_walk_is_the_clock_in_plain_words(
    demand: Floats, receipts: Floats, start: Floats, unmet: str, nothing_comes: bool
) -> None:
    share = floats([0.25, 0.75])
    receipts = receipts * (not nothing_comes)
    horizon, periods = 5, np.array([8, 6])
    stock = project_stock(
        start, demand, receipts, unmet=unmet, wait_share=share, n_periods=periods, horizon_periods=horizon
    )
    for i, p in product(range(2), range(5)):
        level, unmet_at, zero_at, short = start[i], int(NEVER), int(NEVER), 0.0
        left = start[i] - demand[i, p, : periods[i]].cumsum()
        for t in range(periods[i]):
            level += receipts[i, p, t]
            shelf = max(level, 0.0)
            missed = max(demand[i, p, t] - shelf, 0.0)
            lost = missed * {"backorder": 0.0, "lost": 1.0, "partial": 1 - share[i]}[unmet]
            level -= demand[i, p, t] - lost
            if missed > 0:
                unmet_at = min(unmet_at, t)
                short += missed * (t < horizon)
            if level <= 0:
                zero_at = min(zero_at, t)
        assert (stock.first_unmet[i, p], stock.first_zero[i, p]) == (unmet_at, zero_at)
        assert stock.short_units[i, p] == pytest.approx(short)
        assert stock.last_level[i, p] == pytest.approx(level)
        assert stock.start_left[i, p] == max(left[-1], 0.0)
        assert stock.used_up[i, p] == (int((left <= 0).argmax()) if (left <= 0).any() else NEVER)


@given(demand=UNITS, receipts=UNITS, more=st.integers(0, 9), unmet=MODES)
def test_more_stock_never_makes_a_stockout_earlier(demand: Floats, receipts: Floats, more: int, unmet: str) -> None:
    little = project_stock(floats([1, 4]), demand, receipts, unmet=unmet)
    much = project_stock(floats([1, 4]) + more, demand, receipts, unmet=unmet)
    assert (much.first_unmet >= little.first_unmet).all()
    assert (much.first_zero >= little.first_zero).all()
    assert (much.short_units <= little.short_units).all()


@given(demand=UNITS, receipts=UNITS, earlier=st.integers(1, 8), unmet=MODES)
def test_an_earlier_receipt_never_makes_a_stockout_earlier(
    demand: Floats, receipts: Floats, earlier: int, unmet: str
) -> None:
    moved = np.zeros_like(receipts)
    for t in range(receipts.shape[2]):
        moved[:, :, max(t - earlier, 0)] += receipts[:, :, t]
    late, early = (project_stock(floats([2, 5]), demand, r, unmet=unmet) for r in (receipts, moved))
    assert (early.first_unmet >= late.first_unmet).all()
    assert (early.short_units <= late.short_units + 1e-9).all()


@given(demand=UNITS, receipts=UNITS)
def test_what_becomes_of_unmet_demand_does_not_move_the_first_stockout(demand: Floats, receipts: Floats) -> None:
    results = [project_stock(floats([2, 5]), demand, receipts, unmet=unmet) for unmet in UNMET]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].first_unmet, other.first_unmet)
    waiting, lost, part = (r.short_units for r in results)
    assert (lost <= part + 1e-9).all()
    assert (part <= waiting + 1e-9).all()


STAYS = arrays(np.float64, 7, elements=st.floats(0, 1)).map(lambda x: np.append(1.0, np.sort(x)[::-1]))


@settings(max_examples=80, deadline=None)
@given(demand=UNITS, receipts=UNITS, start=st.integers(-5, 15), share=st.floats(0, 1), stay=STAYS)
def test_customers_of_some_patience_lie_between_those_who_leave_and_those_who_stay(
    demand: Floats, receipts: Floats, start: int, share: float, stay: Floats
) -> None:
    begin = np.full(2, float(start))
    lost, waiting = (project_stock(begin, demand, receipts, unmet=mode) for mode in ("lost", "backorder"))
    some = project_stock(
        begin, demand, receipts, unmet="partial", wait_share=np.full(2, share), stay=np.tile(stay, (2, 1))
    )
    for name, below, above in (("short_units", lost, waiting), ("last_level", waiting, lost)):
        values = getattr(some, name)
        assert (values >= getattr(below, name) - 1e-9).all()
        assert (values <= getattr(above, name) + 1e-9).all()
    for name in ("first_unmet", "used_up"):
        np.testing.assert_array_equal(getattr(some, name), getattr(lost, name))
    # The limits: nobody waits, or nobody ever leaves.
    for joins, left, same in ((0.0, stay, lost), (1.0, np.ones(1), waiting)):
        limit = project_stock(
            begin, demand, receipts, unmet="partial", wait_share=np.full(2, joins), stay=np.tile(left, (2, 1))
        )
        for name in ("short_units", "last_level", "first_unmet", "first_zero"):
            np.testing.assert_allclose(getattr(limit, name), getattr(same, name), atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(demand=UNITS, receipts=UNITS, start=st.integers(-5, 15), stay=STAYS)
def test_the_queue_is_that_of_a_list_of_customers(demand: Floats, receipts: Floats, start: int, stay: Floats) -> None:
    found = project_stock(
        np.full(2, float(start)), demand, receipts, unmet="partial", wait_share=np.full(2, 0.5),
        stay=np.tile(stay, (2, 1)),
    )  # fmt: skip
    for i, p in product(range(2), range(5)):
        shelf, old, queue, short = max(start, 0.0), max(-start, 0.0), list[list[float]](), 0.0
        for t in range(8):
            shelf += receipts[i, p, t]
            served = min(shelf, old)
            shelf, old = shelf - served, old - served
            for customer in queue:
                waits = customer[1] * stay[t - int(customer[0])]
                served = min(shelf, waits)
                shelf -= served
                customer[1] *= 1 - served / waits if waits > 0 else 1.0
            missed = max(demand[i, p, t] - shelf, 0.0)
            shelf, short = max(shelf - demand[i, p, t], 0.0), short + missed
            queue.append([t, 0.5 * missed])
        left = sum(units * stay[7 - int(s)] for s, units in queue)
        assert found.short_units[i, p] == pytest.approx(short)
        assert found.last_level[i, p] == pytest.approx(shelf - old - left, abs=1e-9)


def test_demand_that_equals_the_stock_is_met_and_empties_the_shelf() -> None:
    stock = project_stock(floats([4]), floats([[[4, 0, 1]]]), np.zeros((1, 1, 3)))
    assert (stock.first_unmet[0, 0], stock.first_zero[0, 0]) == (2, 0)
    received = project_stock(floats([0]), floats([[[3]]]), floats([[[3]]]))
    assert received.first_unmet[0, 0] == NEVER, "receipts come before demand"
    waiting = project_stock(floats([-3]), floats([[[2]]]), floats([[[4]]]))
    assert waiting.short_units[0, 0] == 1, "those who wait are served before new demand"


def test_an_unknown_way_to_treat_unmet_demand_is_refused() -> None:
    with pytest.raises(InvalidSettings, match=r"unknown unmet 'backordered' .*valid are: backorder, lost, partial"):
        project_stock(floats([1]), np.ones((1, 1, 1)), np.ones((1, 1, 1)), unmet="backordered")


def test_stock_quantiles_follow_the_same_walk() -> None:
    rng = np.random.default_rng(0)
    demand, receipts = rng.poisson(2.0, (99, 6)).astype(float), rng.poisson(1.5, (99, 6)).astype(float)
    kept = stock_quantiles(3.0, demand, receipts, 1.0, [0.1, 0.5])
    levels = 3 + np.cumsum(receipts - demand, axis=1)
    np.testing.assert_allclose(kept, np.sort(levels, axis=0)[[9, 49]].T)
    lost = stock_quantiles(3.0, demand, receipts, 0.0, [0.1, 0.5])
    assert (lost >= 0).all()
    assert (lost >= kept).all()


def test_join_share_is_the_setting() -> None:
    kinds = pd.Series(["commodity", "custom", "", "standard"])
    assert join_share(Settings(unmet="backorder"), kinds).tolist() == [1, 1, 1, 1]
    assert join_share(Settings(unmet="lost"), kinds).tolist() == [0, 0, 0, 0]
    balk = {kind: share for kind, (share, _) in PATIENCE_PRIORS.items()}
    wanted = [1 - balk[k] for k in ("commodity", "custom", "standard", "standard")]
    assert join_share(Settings(unmet="partial"), kinds).tolist() == pytest.approx(wanted)


# --- the frame


def test_probabilities_rise_with_the_horizon_and_dates_with_the_level() -> None:
    demand = model_of([0.3, 1.0, 2.0], [0.5, 2.0, 9.0]).paths(Clock.ahead(AS_OF, "D", 40), n_paths=400, seed=0).draw()
    frame = frame_of([6, 12, 30], demand, choices=Settings(horizon_days=40))
    chances = frame[["p_stockout_7", "p_stockout_14", "p_stockout_30", "p_stockout"]].to_numpy()
    assert (np.diff(chances, axis=1) >= 0).all()
    assert (chances[:, -1] > chances[:, 0]).any()
    assert (frame["p_zero"] >= frame["p_stockout"]).all()
    dates = frame[[f"stockout_date_{q}" for q in (0.1, 0.5, 0.9)]]
    for early, late in (("stockout_date_0.1", "stockout_date_0.5"), ("stockout_date_0.5", "stockout_date_0.9")):
        both = dates[dates[early].notna() & dates[late].notna()]
        assert (both[early] <= both[late]).all()
        assert dates.loc[dates[late].notna(), early].notna().all()
    days = np.sort(np.where(project_stock(floats([6]), demand[:1], 0 * demand[:1]).first_unmet < 40, 1, 0).sum(axis=1))
    assert chances[0, -1] == pytest.approx(days[0] / 400)


def test_dates_flags_and_money_by_hand() -> None:
    # Four paths of one unit a day from 2, 4, 6 and 90 units ahead: short on days 3, 5, 7 and never.
    demand = np.ones((1, 4, 10))
    receipts = np.zeros((1, 4, 10))
    receipts[0, :, 0] = [0, 2, 4, 88]
    row = frame_of(2, demand, receipts, lead=4).iloc[0]
    assert row["p_stockout"] == 0.75
    assert row["p_stockout_7"] == 0.75
    assert np.isnan(row["p_stockout_14"]), "the horizon is ten days"
    assert row["stockout_date_0.1"] == AS_OF + pd.Timedelta(days=3)
    assert row["stockout_date_0.5"] == AS_OF + pd.Timedelta(days=5)
    assert pd.isna(row["stockout_date_0.9"])
    assert row["expected_short_units"] == (8 + 6 + 4) / 4, "each unit is short once"
    assert row["revenue_at_risk"] == row["expected_short_units"] * 10
    assert row["days_of_cover"] == 2
    # An order placed now comes on day 4: too late for the first path only.
    assert row["p_unmet_before_arrival"] == 0.25
    assert (row["flag"], bool(row["avoidable"]), row["already_out"]) == ("warning", False, False)
    lenient = frame_of(2, demand, receipts, lead=4, choices=Settings(horizon_days=10, service_level=0.7)).iloc[0]
    assert lenient["avoidable"]
    assert lenient["order_by_date"] == AS_OF + pd.Timedelta(days=1)


@settings(max_examples=40)
@given(
    demand=arrays(np.float64, (1, 10, 12), elements=st.integers(0, 3).map(float)), start=st.integers(0, 25),
    lead=arrays(np.int32, (1, 10), elements=st.integers(1, 9)), review=st.integers(1, 4),
    level=st.sampled_from([0.1, 0.5, 0.85, 0.9]),
)  # fmt: skip
def test_order_by_is_the_last_review_whose_order_comes_in_time(
    demand: Floats, start: int, lead: NDArray[np.int32], review: int, level: float
) -> None:
    choices = Settings(horizon_days=12, service_level=level)
    row = frame_of(start, demand, lead=lead, review=review, choices=choices).iloc[0]
    short = np.argmax(start - np.cumsum(demand[0], axis=1) < 0, axis=1) + 1
    safe = (start - demand[0].sum(axis=1)) >= 0
    assert row["already_out"] == (start == 0)
    in_time = [d for d in range(0, 13, review) if (safe | (d + lead[0] <= short)).mean() >= level - 1e-9]
    assert row["avoidable"] == bool(in_time)
    # Where enough paths never run short there is no last day for an order on the simulated days.
    wanted = max(in_time) if in_time and safe.mean() < level - 1e-9 else None
    found = None if pd.isna(row["order_by_date"]) else (row["order_by_date"] - AS_OF).days
    assert found == wanted
    assert row["p_unmet_before_arrival"] == pytest.approx((~safe & (short < lead[0])).mean())


@pytest.mark.parametrize(("lasts", "flag"), [(7, "watch"), (10, "ok"), (19, "ok")])
def test_an_item_whose_order_is_due_before_the_next_review_is_watched(lasts: int, flag: str) -> None:
    # Orders take four days, the next review is in seven: stock for seven days needs an order today.
    row = frame_of(lasts, np.ones((1, 5, 30)), lead=4, review=7).iloc[0]
    assert (row["p_stockout"], row["p_unmet_before_arrival"], row["flag"]) == (1, 0, flag)
    assert (row["order_by_date"] - AS_OF).days == {7: 0, 10: 7, 19: 14}[lasts]


def test_a_short_item_is_out_now_whatever_its_paths_do() -> None:
    quiet = np.zeros((3, 5, 4))
    frame = frame_of([-2, 0, 0], quiet, mean_daily=0.0)
    assert frame["already_out"].tolist() == [True, False, False]
    assert frame["p_stockout"].tolist() == [1, 0, 0]
    assert frame["stockout_date_0.5"].tolist()[0] == AS_OF
    assert frame["order_by_date"].isna().all()
    assert frame["avoidable"].tolist() == [False, True, True]
    assert frame["flag"].tolist() == ["critical", "ok", "ok"]


def test_an_empty_shelf_is_out_now_but_misses_only_what_is_asked_for() -> None:
    demand = np.zeros((1, 4, 10))
    demand[0, 0, 2] = demand[0, 1, 8] = 1.0
    row = frame_of([0], demand, mean_daily=0.05, lead=5, choices=Settings(horizon_days=10)).iloc[0]
    assert row["already_out"]
    assert row["p_zero"] == 1
    assert (row["p_stockout"], row["p_unmet_before_arrival"]) == (0.5, 0.25)
    assert row["stockout_date_0.1"] == AS_OF + pd.Timedelta(days=3)


def test_an_item_that_nobody_wants_is_never_at_risk_however_late_orders_come() -> None:
    never = np.full((1, 6), NEVER)
    row = frame_of([0], np.zeros((1, 6, 5)), lead=never, mean_daily=0.0).iloc[0]
    assert row["flag"] == "ok"
    assert row["p_unmet_before_arrival"] == 0
    assert row["avoidable"]
    assert frame_of([1], np.ones((1, 6, 5)), lead=never)["flag"].tolist() == ["critical"]


def test_an_item_is_judged_on_its_own_days_not_on_those_of_slower_ones() -> None:
    demand = np.ones((2, 4, 30))
    stock = project_stock(floats([15, 15]), demand, 0 * demand, n_periods=np.array([10, 30]), horizon_periods=10)
    assert (stock.first_unmet[0] == NEVER).all()
    lead = np.full((2, 4), 2, dtype=np.int32)
    items = stock_items(2, 15.0, review_days=1)
    frame = stockout_frame(items, stock, Clock.ahead(AS_OF, "D", 30), lead, Settings(horizon_days=10))
    assert pd.isna(frame["order_by_date"][0])
    assert (frame["order_by_date"][1] - AS_OF).days == 14
    assert frame["avoidable"].all()


def test_a_weekly_clock_leaves_finer_horizons_empty_and_dates_the_end_of_the_week() -> None:
    demand = np.full((1, 3, 4), 5.0)
    row = frame_of(7, demand, freq="W-MON", lead=8).iloc[0]
    assert row[["p_stockout_7", "p_stockout_14", "p_stockout_30"]].isna().all()
    assert row["stockout_date_0.5"] == pd.Timestamp("2024-07-14")
    # Eight days after Sunday the order comes on the Monday of the second week, which is in time.
    assert row["avoidable"]
    assert row["order_by_date"] == AS_OF
    assert not frame_of(7, demand, freq="W-MON", lead=9)["avoidable"].iloc[0]


def test_days_of_cover_are_unknown_without_demand() -> None:
    frame = frame_of([4], np.zeros((1, 2, 3)), mean_daily=0.0)
    assert frame["days_of_cover"].isna().all()


def test_days_of_cover_have_a_spread_and_go_on_after_the_simulated_days() -> None:
    demand = np.zeros((1, 10, 20))
    # Ten units last 10 days on nine paths, 5 on one; a receipt does not count, the shelf is what is asked about.
    demand[0, :9], demand[0, 9] = 1.0, 2.0
    row = frame_of([10], demand, demand.copy()).iloc[0]
    assert (row["days_of_cover_0.1"], row["days_of_cover_0.9"]) == (5, 10)
    # Thirty units: 20 are used up in the 20 days, the other ten at one a day; on the fast path all in 15.
    row = frame_of([30], demand).iloc[0]
    assert (row["days_of_cover_0.1"], row["days_of_cover_0.9"]) == (15, 30)
    row = frame_of([0], demand).iloc[0]
    assert (row["days_of_cover_0.1"], row["days_of_cover_0.9"]) == (0, 0)
    assert np.isnan(frame_of([5], demand, mean_daily=0.0)["days_of_cover_0.9"].iloc[0])


def test_a_lead_time_beyond_the_simulated_days_is_not_safe_because_they_end() -> None:
    demand = np.full((1, 10, 20), 1.0)
    # 25 units outlast the 20 days, but not the 40 that a new order takes; 45 do.
    assert frame_of([25], demand, lead=40).iloc[0][["flag", "avoidable"]].tolist() == ["critical", False]
    assert frame_of([25], demand, lead=24).iloc[0]["avoidable"]
    safe = frame_of([45], demand, lead=40).iloc[0]
    assert (safe["flag"], safe["avoidable"], safe["p_unmet_before_arrival"]) == ("ok", True, 0.0)
    assert frame_of([45], demand, lead=NEVER).iloc[0]["p_unmet_before_arrival"] == 1.0
