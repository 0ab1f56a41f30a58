from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import gammaincinv

from backorder_forecast.clock import NEVER
from backorder_forecast.cutoffs import ACCEPT, ALTERNATIVE, CONFIRMED, REFUSE, Cutoffs, fit_cutoffs, judge_waits, worded
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.lines import BackorderLines, open_lines
from backorder_forecast.patience import UNKNOWN_FORM, fit_patience
from backorder_forecast.settings import Settings
from backorder_forecast.waits import (
    StayLaw,
    WaitTerms,
    expected_value,
    goodwill_cost,
    value_of_wait,
    wait_cutoff,
)

KNOWN: dict[str, Any] = json.loads((Path(__file__).parent / "known_answers" / "acceptable_wait.json").read_text())
AS_OF = pd.Timestamp("2024-05-05")


def terms(
    margin: float = 20.0,
    refund: float = 6.0,
    daily: float = 0.05,
    goodwill: float = 0.0,
    late: float = 0.0,
    refuse: float = 0.0,
    basis: str = "while_held",
) -> WaitTerms:
    one = [np.array([x], dtype=np.float64) for x in (margin, refund, daily, goodwill, late, refuse)]
    return WaitTerms(one[0], one[1], one[2], one[3], one[4], one[5], daily_cost_basis=basis)


def test_cutoff_known_answer() -> None:
    case = KNOWN["cutoff_deterministic"]
    i, expected, tolerance = case["inputs"], case["expected"], case["abs_tolerance"]
    law = StayLaw.exponential(i["theta"])
    quoted = terms(i["margin"], i["cancel_cost"], i["per_day"], basis="quoted_wait")
    assert wait_cutoff(quoted, law)[0] == pytest.approx(expected["w_star"], abs=tolerance)
    free = terms(i["margin"], i["cancel_cost"], 0.0)
    assert wait_cutoff(free, law)[0] == pytest.approx(expected["closed_no_day"], abs=tolerance)
    # The default charges the daily cost only while the line is held (METHODS: 39.0).
    assert wait_cutoff(terms(), law)[0] == pytest.approx(39.0, abs=0.05)


def test_goodwill_known_answer() -> None:
    case = KNOWN["goodwill_bhan_anderson"]
    options = Settings(customer_contribution=case["inputs"]["contribution"])
    got = goodwill_cost([0, 9, 10, 10.5, 60], options)
    avg, late = case["expected"]["avg"], case["expected"]["over10d"]
    np.testing.assert_allclose(got, [0, avg, avg, late, late], atol=case["abs_tolerance"])


money = st.floats(0, 50)


@settings(max_examples=150, deadline=None)
@given(
    st.floats(-5, 50), money, st.floats(0, 2), money, money, st.floats(-10, 30), st.floats(0.5, 30), st.floats(5, 400)
)
def test_the_cutoff_separates_waits_that_pay(
    margin: float, refund: float, daily: float, goodwill: float, more: float, refuse: float, shape: float, rate: float
) -> None:
    case = terms(margin, refund, daily, goodwill, goodwill + more, refuse)
    cutoff = float(wait_cutoff(case, StayLaw.lomax(shape, rate), max_days=200)[0])
    days = np.arange(201.0)
    value = value_of_wait(days, case, shape=shape, rate=rate)
    assert (value[days > cutoff + 1e-6] < refuse + 1e-9).all()
    if margin + refund >= 0 and cutoff > 0:
        assert (value[days <= cutoff] >= refuse - 1e-9).all()
    better = terms(margin + 1, refund, daily, goodwill, goodwill + more, refuse)
    assert float(wait_cutoff(better, StayLaw.lomax(shape, rate), max_days=200)[0]) >= cutoff - 1e-9
    slower = StayLaw.lomax(shape, rate).times(0.5)
    if margin + refund >= 0 and daily == 0:
        assert float(wait_cutoff(case, slower, max_days=200)[0]) >= cutoff - 1e-9


def test_goodwill_cliff_is_found_and_unbounded_value_ends_at_the_grid() -> None:
    cliff = terms(goodwill=0.0, late=50.0)
    assert wait_cutoff(cliff, StayLaw.exponential(1 / 30))[0] == pytest.approx(10.0, abs=1e-6)
    assert wait_cutoff(terms(refuse=-100.0), StayLaw.exponential(1 / 30), max_days=90).tolist() == [90.0]
    assert wait_cutoff(terms(margin=-1.0), StayLaw.exponential(1 / 30)).tolist() == [0.0]
    with pytest.raises(InvalidSettings, match="while_held"):
        terms(basis="while_hold")


def test_expected_value_is_the_mean_of_the_value() -> None:
    rng = np.random.default_rng(4)
    waits = rng.integers(0, 120, (1, 300)).astype(np.int32)
    law = StayLaw.lomax(3.0, 80.0)
    for basis in ("while_held", "quoted_wait"):
        case = terms(goodwill=1.0, late=2.0, basis=basis)
        value, kept = expected_value(waits, case, law, cap_days=1000)
        assert value[0] == pytest.approx(value_of_wait(waits[0], case, shape=3.0, rate=80.0).mean())
        assert kept[0] == pytest.approx(((80 / (80 + waits[0])) ** 3).mean())
    never = np.full((1, 5), NEVER, dtype=np.int32)
    capped, _ = expected_value(never, terms(), law, cap_days=730)
    assert capped[0] == pytest.approx(float(value_of_wait(730, terms(), shape=3.0, rate=80.0)[0]))


def test_a_curve_of_an_exponential_is_the_exponential() -> None:
    days = np.arange(366)
    curve = StayLaw(np.ones(1), np.full(1, 30.0), np.zeros(1, np.int64), np.ones(1), days[None, :] / 30.0, np.zeros(1))
    exact = StayLaw.exponential(1 / 30)
    assert wait_cutoff(terms(), curve)[0] == pytest.approx(wait_cutoff(terms(), exact)[0], abs=1e-6)
    waits = np.array([[3, 500, 40]], dtype=np.int32)
    for a, b in zip(
        expected_value(waits, terms(), curve, cap_days=730),
        expected_value(waits, terms(), exact, cap_days=730),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    faster = expected_value(waits, terms(), curve.times(2.0), cap_days=730)[1]
    np.testing.assert_allclose(faster, expected_value(waits, terms(), exact.times(2.0), cap_days=730)[1], rtol=1e-6)


FACTS: dict[str, Any] = {
    "sku": ["A", "B", "C", "D", "E"],
    "location": "",
    "price": [100.0, 100.0, 10.0, 50.0, np.nan],
    "unit_cost": [60.0, 60.0, 12.0, 20.0, np.nan],
    "usable": [0.0, 5.0, 0.0, 0.0, 0.0],
    "backordered": 0.0,
    "daily_capacity": np.nan,
    "substitute_sku": ["", "", "", "B", ""],
    "product_type": ["specialty", "standard", "standard", "custom", ""],
    "category": "",
}


def shop(
    lines: list[dict[str, Any]] | None = None, options: Settings | None = None, **facts: Any
) -> tuple[Cutoffs, BackorderLines]:
    frame = pd.DataFrame({**FACTS, **facts})
    base = {"order_id": "1", "sku": "A", "order_date": pd.Timestamp("2024-03-01"), "quantity": 1.0}
    table = pd.DataFrame([{**base, **row} for row in lines or []], columns=None if lines else list(base))
    opened = open_lines(table, frame, as_of=AS_OF)
    patience = fit_patience(opened.closed, opened.frame, frame)
    return fit_cutoffs(frame, opened, patience, settings=options or Settings()), opened


def decide(cutoffs: Cutoffs, wait: Any, options: Settings | None = None, **changes: Any) -> pd.DataFrame:
    n = len(cutoffs.frame)
    waits = np.broadcast_to(np.asarray(wait, dtype=np.int32).reshape(-1, 1), (n, 20)).copy()
    given_: dict[str, Any] = {
        "usable": np.zeros(n),
        "queue_quantity": np.zeros(n),
        "arrival_days": np.zeros((0, 20), dtype=np.int32),
        "order_quantity": np.zeros(0),
        "order_start": np.zeros(n + 1, dtype=np.int64),
        "expected_units": np.full(n, 10.0),
    }
    chosen = options or Settings()
    return worded(judge_waits(cutoffs, 0, n, waits, settings=chosen, **{**given_, **changes}), chosen)


def test_cutoffs_of_a_shop() -> None:
    cutoffs, _ = shop()
    frame = cutoffs.frame
    assert (frame["wait_cutoff_days_low"] <= frame["wait_cutoff_days"]).all()
    assert (frame["wait_cutoff_days"] <= frame["wait_cutoff_days_high"]).all()
    # Without cancellations the band decides wherever the shop's own value lies outside it.
    inside = frame["own_cutoff_days"].clip(frame["band_low"], frame["band_high"])
    earns = frame["own_cutoff_days"] > 0
    np.testing.assert_allclose(frame["wait_cutoff_days"][earns], inside[earns])
    assert (frame["basis"] == np.where(frame["band_share"] > 0, "band", "prior")).all()
    assert frame["wait_cutoff_days"].iloc[2] == 0.0  # sold below cost
    assert frame["substitute_sku"].tolist() == ["", "", "", "B", ""]
    # The substitute earns more than the item could: only a short wait is worth more.
    plain, _ = shop(substitute_sku="")
    assert frame["own_cutoff_days"].iloc[3] < plain.frame["own_cutoff_days"].iloc[3]


def test_the_band_loses_weight_with_cancellations() -> None:
    cancelled = {"sku": "B", "cancelled_date": pd.Timestamp("2024-03-02")}
    rows = [{**cancelled, "order_id": str(k)} for k in range(25)]
    cutoffs, _ = shop(rows)
    b = cutoffs.frame.iloc[1]
    assert b["own_cutoff_days"] < b["band_low"]
    assert b["band_share"] == pytest.approx(30 / 55)
    expected = (25 * b["own_cutoff_days"] + 30 * b["band_low"]) / 55
    assert b["wait_cutoff_days"] == pytest.approx(expected)
    assert b["basis"] == "band"
    more, _ = shop([{**cancelled, "order_id": str(k)} for k in range(40)])
    assert more.frame["basis"].iloc[1] == "item"
    assert more.frame["wait_cutoff_days"].iloc[1] < b["wait_cutoff_days"]
    text = decide(cutoffs, 3)["reason"].iloc[1]
    assert "the band standard 7-30 days weighs 55%" in text


def test_decisions_and_reasons() -> None:
    cutoffs, _ = shop()
    cutoff = cutoffs.frame["wait_cutoff_days"].to_numpy()
    now = decide(cutoffs, 0)
    assert now["decision"].tolist() == [ACCEPT, ACCEPT, REFUSE, ACCEPT, ACCEPT]
    assert now["reason"].iloc[0].startswith("can ship from stock now")
    assert now["payment_terms"].tolist() == ["none", "none", "", "none", ""]
    far = decide(cutoffs, cutoff.astype(int) + 40)
    assert far["decision"].tolist() == [REFUSE, REFUSE, REFUSE, ALTERNATIVE, REFUSE]
    assert "B is in stock" in far["reason"].iloc[3]
    assert "no wait pays at this margin" in far["reason"].iloc[2]
    assert "standard assumed" in far["reason"].iloc[4]
    assert (far["revenue_kept"].dropna() == 0).all()
    covered = decide(
        cutoffs,
        cutoff.astype(int) + 40,
        arrival_days=np.full((1, 20), 5, dtype=np.int32),
        order_quantity=np.array([7.0]),
        order_start=np.array([0, 1, 1, 1, 1, 1]),
        queue_quantity=np.array([2.0, 0, 0, 0, 0]),
    )
    assert covered["decision"].iloc[0] == CONFIRMED
    assert covered["max_open_quantity"].tolist() == [5.0, 0.0, 0.0, 0.0, 0.0]
    assert "accept up to 5 units that stock and open orders cover" in covered["reason"].iloc[0]


def test_an_accepted_line_without_sure_cover_says_so() -> None:
    cutoffs, _ = shop()
    frame = decide(cutoffs, 3)
    assert (frame["decision"].iloc[0], frame["max_open_quantity"].iloc[0]) == (ACCEPT, 0.0)
    assert (
        "; accept, but nothing on order covers it for sure yet: the quantity surely covered is 0"
        in (frame["reason"].iloc[0])
    )
    stocked = decide(cutoffs, 3, usable=np.full(5, 2.0))
    assert not stocked["reason"].str.contains("surely covered").any()


@pytest.mark.parametrize(
    ("usable", "backordered", "mean_daily", "substitute", "words"),
    [
        (20.0, 5.0, 1.0, "B", "B is in stock, 15 free units"),
        (20.0, 5.0, 2.0, "", "B has only 15 free units"),  # gone in a week
        (20.0, 20.0, 0.0, "", "B is out too"),  # its own queue takes it all
        (20.0, 5.0, np.nan, "B", "B is in stock"),
    ],
)
def test_a_substitute_has_stock_that_lasts(
    usable: float, backordered: float, mean_daily: float, substitute: str, words: str
) -> None:
    cutoffs, _ = shop(
        usable=[0.0, usable, 0, 0, 0], backordered=[0.0, backordered, 0, 0, 0], mean_daily=[1.0, mean_daily, 1, 1, 1]
    )
    row = decide(cutoffs, 300).iloc[3]
    assert row["substitute_sku"] == substitute
    assert row["decision"] == (ALTERNATIVE if substitute else REFUSE)
    assert words in row["reason"]


def test_stock_does_not_make_a_loss_worth_taking() -> None:
    cutoffs, _ = shop()
    frame = decide(cutoffs, 0, usable=np.full(5, 9.0))
    assert frame["max_open_quantity"].iloc[2] == 9.0
    assert frame["decision"].iloc[2] == REFUSE


def test_the_interval_rests_on_the_quantiles_of_the_hazard() -> None:
    wide = Settings(cutoff_bands=dict.fromkeys(("commodity", "standard", "specialty", "custom"), (0.0, 365.0)))
    cutoffs, _ = shop(options=wide)
    b, own = cutoffs.frame.iloc[1], cutoffs.terms.rows(1, 2)
    for column, level in (("wait_cutoff_days_low", 0.9), ("wait_cutoff_days_high", 0.1)):
        # The cancellations seen, and the form of the law, of which too few say nothing.
        shape = 1 / (1 / cutoffs.law.shape[1] + UNKNOWN_FORM**2)
        hazard = gammaincinv(shape, level) * cutoffs.law.shape[1] / (shape * cutoffs.law.rate[1])
        assert b[column] == pytest.approx(wait_cutoff(own, StayLaw.exponential(hazard))[0])
    assert b["wait_cutoff_days_low"] < b["wait_cutoff_days"] < b["wait_cutoff_days_high"]


def test_a_better_substitute_is_named_as_the_reason() -> None:
    cutoffs, _ = shop(unit_cost=[60.0, 0.0, 12.0, 45.0, np.nan])
    row = decide(cutoffs, 3).iloc[3]
    assert (row["wait_cutoff_days"], row["decision"]) == (0.0, ALTERNATIVE)
    assert "; the substitute earns more; B is in stock" in row["reason"]


def test_no_supply_is_never_a_silent_infinite_wait() -> None:
    cutoffs, _ = shop()
    frame = decide(cutoffs, NEVER)
    assert (frame["p_never"] == 1.0).all()
    assert (frame["expected_wait_days"] == Settings().max_lead_time_days).all()
    assert (frame["p_wait_within_cutoff"] == 0.0).all()
    assert frame["reason"].str.contains("no supply in sight").all()
    assert not frame["decision"].isin([ACCEPT, CONFIRMED]).any()
    assert np.isfinite(frame["value_accept"].iloc[:4]).all()


def test_money_is_empty_without_a_price_but_the_cutoff_stands() -> None:
    cutoffs, _ = shop()
    frame = decide(cutoffs, 3)
    assert frame[["value_accept", "value_refuse", "revenue_kept"]].iloc[4].isna().all()
    assert frame["wait_cutoff_days"].iloc[4] > 0
    paid, _ = shop([{"sku": "E", "unit_price": 8.0}])
    assert paid.frame["price"].iloc[4] == 8.0


def test_payment_terms() -> None:
    cutoffs, _ = shop(
        price=[1000.0, 10.0, 10.0, 900.0, 20.0], unit_cost=[600.0, 6.0, 6.0, 300.0, 10.0], substitute_sku=""
    )
    long = cutoffs.frame.copy()
    long["wait_cutoff_days"] = 200.0
    patient = Cutoffs(long, cutoffs.terms, cutoffs.law, cutoffs.cheap_line, cutoffs.payments)
    frame = decide(patient, [20, 10, 10, 90, 10])
    assert frame["payment_terms"].tolist() == ["deposit", "full", "full", "instalments", "full"]
    eager = Settings(payment_hazard={"none": 1.0, "deposit": 1.0, "instalments": 1.0, "full": 1.0})
    same = Cutoffs(long, cutoffs.terms, cutoffs.law, cutoffs.cheap_line, shop(options=eager)[0].payments)
    assert (decide(same, [20, 10, 10, 90, 10], options=eager)["payment_terms"] == "none").all()


def test_revenue_kept() -> None:
    cutoffs, _ = shop()
    frame = decide(cutoffs, 10)
    law = cutoffs.law
    kept = (law.rate[1] / (law.rate[1] + 10)) ** law.shape[1]
    assert frame["revenue_kept"].iloc[1] == pytest.approx(100 * 10 * 0.5 * kept)


def test_items_do_not_depend_on_their_bucket() -> None:
    cutoffs, _ = shop([{"sku": "A", "order_id": str(k)} for k in range(3)])
    rng = np.random.default_rng(1)
    waits: NDArray[np.int32] = rng.integers(0, 90, (5, 30)).astype(np.int32)

    def part(start: int, stop: int) -> pd.DataFrame:
        n = stop - start
        judged = judge_waits(
            cutoffs, start, stop, waits[start:stop], usable=np.zeros(n), queue_quantity=np.zeros(n),
            arrival_days=np.zeros((0, 30), dtype=np.int32), order_quantity=np.zeros(0),
            order_start=np.zeros(n + 1, dtype=np.int64), expected_units=np.ones(n), settings=Settings(),
        )  # fmt: skip
        return worded(judged, Settings())

    parts = pd.concat([part(0, 2), part(2, 5)], ignore_index=True)
    pd.testing.assert_frame_equal(part(0, 5), parts)
