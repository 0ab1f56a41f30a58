from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from backorder_forecast.lines import BackorderLines, open_lines
from backorder_forecast.payments import ASSUMED, BY_CATEGORY, ESTIMATED, Payments, payment_effect
from backorder_forecast.settings import PAYMENT_HAZARD, Settings

AS_OF = pd.Timestamp("2024-05-05")
PRICE = {"none": 0.0, "deposit": 3.0, "full": 10.0}


def lines_of(rows: list[tuple[int, str, int, bool]]) -> BackorderLines:
    """Closed lines from (item, terms, days, cancelled)."""
    items = pd.DataFrame({"sku": [f"S{k}" for k in range(1 + max((r[0] for r in rows), default=0))], "location": ""})
    table = pd.DataFrame(rows, columns=["item", "terms", "days", "gone"])
    start = AS_OF - pd.Timedelta(days=2_000)
    end = start + pd.to_timedelta(table["days"], unit="D")
    frame = pd.DataFrame(
        {"order_id": [f"o{k}" for k in range(len(table))], "sku": items["sku"].to_numpy()[table["item"]],
         "order_date": start, "quantity": 1.0, "unit_price": 10.0, "prepaid_amount": table["terms"].map(PRICE),
         "filled_date": end.where(~table["gone"]), "cancelled_date": end.where(table["gone"])}
    )  # fmt: skip
    return open_lines(frame, items, as_of=AS_OF)


def effect_of(rows: list[tuple[int, str, int, bool]], n_items: int, **options: Any) -> Payments:
    return payment_effect(lines_of(rows), n_items, Settings(**options))


def test_the_ratio_of_rates_of_a_textbook() -> None:
    # Deaths and person-years of users and former users of clozapine in two age groups (Walker et al. 1997); the pooled
    # rate ratio is .47 in Rothman, Epidemiology: An Introduction (2002). Scaled to whole days that fit a table.
    strata = [(0, 196, 62119, 111, 15763), (1, 167, 6085, 157, 2780)]
    rows = []
    for item, gone, time, base, base_time in strata:
        for terms, count, total in (("full", gone, time), ("none", base, base_time)):
            rows += [(item, terms, 0, True)] * count
            rows += [(item, terms, 1000, False)] * (total // 1000) + [(item, terms, total % 1000, False)]
    found = effect_of(rows, 2).table.set_index("terms")
    assert found.loc["full", "hazard"] == pytest.approx(0.47, abs=0.005)
    assert found["basis"].to_dict() == {"none": ASSUMED, "deposit": ASSUMED, "instalments": ASSUMED, "full": ESTIMATED}
    assert found.loc["full", "n_cancelled"] == 363
    assert found.loc["deposit", "hazard"] == PAYMENT_HAZARD["deposit"]


def simulated(seed: int, n: int, effect: float, *, confounded: bool) -> list[tuple[int, str, int, bool]]:
    """Two items, of which the impatient one is rarely paid in advance if that is to mislead."""
    rng = np.random.default_rng(seed)
    rows = []
    for item, hazard, share in ((0, 0.08, 0.2 if confounded else 0.5), (1, 0.02, 0.8 if confounded else 0.5)):
        for _ in range(n):
            paid = rng.random() < share
            left, due = rng.exponential(1 / (hazard * (effect if paid else 1.0))), rng.exponential(25)
            rows.append((item, "deposit" if paid else "none", int(min(left, due)), bool(left < due)))
    return rows


def test_lines_are_compared_within_their_item() -> None:
    found = [effect_of(simulated(s, 400, 0.7, confounded=True), 2).table.set_index("terms") for s in range(12)]
    ratios = np.array([t.loc["deposit", "hazard"] for t in found])
    errors = np.array([t.loc["deposit", "standard_error"] for t in found])
    assert np.exp(np.log(ratios).mean()) == pytest.approx(0.7, rel=0.08)  # all lines together would say .3
    assert (np.abs(np.log(ratios / 0.7)) < 2.5 * errors).all()


def test_too_few_cancellations_leave_the_assumption() -> None:
    rows = simulated(1, 400, 0.7, confounded=False)
    gone = [r for r in rows if r[3] and r[1] == "deposit"]
    few = [r for r in rows if not (r[3] and r[1] == "deposit")] + gone[:19]
    found = effect_of(few, 2)
    assert set(found.table["basis"]) == {ASSUMED}
    assert found.hazard == dict(PAYMENT_HAZARD)
    assert found.note == ""
    enough = effect_of([*few, gone[19]], 2)
    assert enough.table.set_index("terms").loc["deposit", "basis"] == ESTIMATED
    assert "deposit" in enough.note
    assert "20 cancellations" in enough.note
    # Two items without both kinds of lines compare nothing, of a category or not.
    apart = [(0, *r[1:]) if r[1] == "none" else (1, *r[1:]) for r in rows]
    assert set(effect_of(apart, 2).table["basis"]) == {ASSUMED}
    whole = payment_effect(lines_of(apart), 2, Settings(), group=np.zeros(2, np.int64))
    assert set(whole.table["basis"]) == {ASSUMED}


def test_items_with_terms_of_their_own_are_compared_within_their_category() -> None:
    rng, rows = np.random.default_rng(4), []
    for item in range(60):
        # Two categories of which the impatient one is seldom paid in advance.
        slow = 0.02 if item < 30 else 0.08
        terms = "full" if rng.random() < (0.7 if item < 30 else 0.3) else "none"
        for _ in range(60):
            left = rng.exponential(1 / (slow * (0.5 if terms == "full" else 1.0)))
            due = rng.exponential(25)
            rows.append((item, terms, int(min(left, due)), bool(left < due)))
    lines, group = lines_of(rows), (np.arange(60) >= 30).astype(np.int64)
    found = payment_effect(lines, 60, Settings(), group=group).table.set_index("terms").loc["full"]
    assert found["basis"] == BY_CATEGORY
    assert found["hazard"] == pytest.approx(0.5, rel=0.15)
    # What items differ in besides their terms leaves an error, however many lines there are.
    assert found["standard_error"] == pytest.approx(0.15, abs=0.05)
    doubted = payment_effect(lines, 60, Settings(payment_hazard={**PAYMENT_HAZARD, "full": 1.0}), group=group).table
    assert found["hazard"] < doubted["hazard"].iloc[-1] < 0.8
    none = payment_effect(lines, 60, Settings(), group=np.full(60, -1)).table
    assert set(none["basis"]) == {ASSUMED}


def test_a_line_is_measured_against_the_usual_lines_of_its_item() -> None:
    rows = [(0, "full", 400, False)] * 20 + [(1, "none", 400, False)] * 20
    found = effect_of(rows, 3)
    assert found.usual == pytest.approx([0.5, 1.0, 1.0], abs=0.01)
    share = np.array([1.0, 0.0, 1.0])
    assert found.factor(np.array([0, 0, 1]), share) == pytest.approx([1.0, 2.0, 0.5], abs=0.02)


def test_shuffled_lines_change_nothing() -> None:
    rows = simulated(3, 150, 0.6, confounded=True)
    one, two = effect_of(rows, 2), effect_of(rows[::-1], 2)
    pd.testing.assert_frame_equal(one.table, two.table)
    np.testing.assert_allclose(one.usual, two.usual, rtol=0, atol=1e-12)


def test_without_lines_all_is_assumed() -> None:
    empty = lines_of([(0, "none", 1, False)])
    found = payment_effect(BackorderLines(**{**vars(empty), "closed": empty.closed.iloc[:0]}), 1, Settings())
    assert found.hazard == dict(PAYMENT_HAZARD)
    assert found.usual.tolist() == [1.0]
