from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import ndtri

from backorder_forecast.patience import (
    FORM_ERROR,
    UNKNOWN_FORM,
    Patience,
    fit_patience,
    gamma_posterior,
    held_days,
    stay_share,
    stay_share_random_wait,
)
from backorder_forecast.patience_forms import form_average
from backorder_forecast.settings import Settings
from backorder_forecast.waits import StayLaw

KNOWN: dict[str, Any] = json.loads((Path(__file__).parent / "known_answers" / "acceptable_wait.json").read_text())


def test_gamma_prior_known_answer() -> None:
    case = KNOWN["patience_gamma_prior"]
    i = case["inputs"]
    shape, rate = gamma_posterior(i["events"], i["exposure"], shape=i["a0"], rate=i["b0"])
    assert float(shape / rate) == pytest.approx(case["expected"]["hazard"], abs=case["abs_tolerance"])
    assert float(stay_share(i["t"], shape, rate)) == pytest.approx(
        case["expected"]["surv45"], abs=case["abs_tolerance"]
    )


def test_random_and_known_waits_known_answer() -> None:
    case = KNOWN["laplace_patience"]
    i = case["inputs"]
    got = stay_share_random_wait(i["mean_patience"], i["mean_wait"])
    assert got == pytest.approx(case["expected"]["exp_wait"], abs=case["abs_tolerance"])
    known = stay_share(i["mean_wait"], 1e9, 1e9 * i["mean_patience"])
    assert float(known) == pytest.approx(case["expected"]["det_wait"], abs=case["abs_tolerance"])
    # The Laplace transform is the mean of the known-wait share over the wait's law.
    mean = quad(lambda w: np.exp(-w / 40) * np.exp(-w / 10) / 10, 0, np.inf)[0]
    assert got == pytest.approx(mean, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.floats(0.2, 50), st.floats(1, 500), st.floats(0, 400))
def test_held_days_is_the_integral_of_the_share(shape: float, rate: float, wait: float) -> None:
    area = quad(lambda w: float(stay_share(w, shape, rate)), 0, wait)[0]
    assert float(held_days(wait, shape, rate)) == pytest.approx(area, rel=1e-6, abs=1e-9)
    assert float(held_days(wait, 1.0, rate)) == pytest.approx(rate * np.log1p(wait / rate))


def items(n: int, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"sku": [f"S{k}" for k in range(n)], "location": "", **columns})


def closed(*rows: tuple[int, float, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["item", "days", "outcome"])


def opened(*rows: tuple[int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["item", "waited_days"])


def test_without_evidence_the_prior_of_the_type_stands() -> None:
    fit = fit_patience(closed(), opened(), items(3, product_type=["custom", "", "odd"], category=["x", "x", ""]))
    frame = fit.frame
    assert frame["product_type"].tolist() == ["custom", "standard", "standard"]
    assert frame["type_assumed"].tolist() == [False, True, True]
    assert frame["balk"].tolist() == [0.05, 0.5, 0.5]
    assert (frame["rate"] / frame["shape"]).tolist() == [130.0, 20.0, 20.0]
    assert (frame["basis"] == "prior").all()
    assert (fit.curve == -1).all()


def test_only_dated_cancellations_are_events() -> None:
    lines = closed(
        (0, 10.0, "cancelled"),
        (0, 20.0, "refunded"),
        (0, 30.0, "filled"),
        (0, 5.0, "substituted"),
        (0, np.nan, "cancelled"),
    )
    frame = fit_patience(lines, opened((0, 40.0)), items(1, product_type=["standard"])).frame
    assert frame["n_cancelled"].tolist() == [2]
    assert frame["exposure_days"].tolist() == [105.0]
    assert frame[["shape", "rate"]].to_numpy().tolist() == [[4.0, 145.0]]


def test_evidence_flows_from_item_to_category_to_type() -> None:
    shop = items(
        5,
        product_type=["standard"] * 4 + ["custom"],
        category=["a", "a", "b", "", "a"],
    )
    frame = fit_patience(closed((0, 4.0, "cancelled"), (0, 4.0, "cancelled")), opened(), shop).frame
    hazard = frame["shape"] / frame["rate"]
    assert frame["basis"].tolist() == ["item", "category", "product type", "product type", "prior"]
    assert frame["n_pooled"].tolist() == [2, 2, 2, 2, 0]
    # The same two cancellations, seen by everybody of the type, once each; nothing is counted twice.
    assert hazard.tolist() == pytest.approx([4 / 48] * 4 + [1 / 130])


def test_a_rich_parent_is_worth_at_most_pool_n() -> None:
    lines = closed(*[(0, 10.0, "cancelled")] * 500)
    frame = fit_patience(lines, opened(), items(2, category=["a", "a"])).frame
    assert frame["shape"].tolist() == pytest.approx([502.0, 10.0])
    assert (frame["rate"] / frame["shape"]).iloc[1] == pytest.approx((5000 + 40) / 502)
    looser = fit_patience(lines, opened(), items(2, category=["a", "a"]), pool_n=100.0).frame
    assert looser["shape"].iloc[1] == pytest.approx(100.0)


def test_own_curve_from_thirty_cancellations_on() -> None:
    rng = np.random.default_rng(5)
    patience = rng.weibull(2.0, 400) * 30
    due = rng.exponential(40, 400)
    # Orders come at any hour: what lasts p days is p or p + 1 days by the calendar.
    hour = rng.random(400)
    rows = [
        (0, float(np.floor(min(p, d) + u)), "cancelled" if p <= d else "filled")
        for p, d, u in zip(patience, due, hour, strict=True)
    ]
    fit = fit_patience(closed(*rows), opened(), items(2, category=["a", "b"]))
    assert sorted(fit.curve.tolist()) == [0, 1]  # its own curve, and that of the product type
    curve = fit.curves[fit.curve[0]] ** fit.power[0]
    grid = np.arange(len(curve))
    truth = np.exp(-((grid / 30) ** 2))
    assert np.abs(curve - truth)[:50].max() < 0.06
    assert (np.diff(fit.curves, axis=1) <= 0).all()
    assert (fit.curves > 0).all()
    assert (fit.form_error == FORM_ERROR).all()
    # Where no pool has enough for a curve of its own, an average over laws leans to what the lines look like.
    few = fit_patience(closed(*rows), opened(), items(2), curve_n=1000)
    assert few.curves.shape[1] == Settings().max_cutoff_days + 1
    assert np.abs(few.curves[few.curve[0]] ** few.power[0] - truth)[:50].max() < 0.06
    none = fit_patience(closed(*[r for r in rows if r[2] == "filled"]), opened(), items(2))
    assert (none.curve == -1).all()
    assert (none.form_error == UNKNOWN_FORM).all()


LAWS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "weibull": lambda u: 30 * (-np.log(u)) ** (1 / 1.4),
    "exponential": lambda u: -30 * np.log(u),
    "log-logistic": lambda u: 30 * ((1 - u) / u) ** (1 / 2.2),
    "lognormal": lambda u: 30 * np.exp(0.9 * ndtri(u)),
}


@pytest.mark.parametrize("law", LAWS)
def test_intervals_from_few_cancellations_hold_whatever_the_form_of_the_law(law: str) -> None:
    # Ten cancellations of an item of its own; lines are filled long before half would have left.
    rng, inside, width = np.random.default_rng(8), [], []
    draw = LAWS[law]
    true = float(np.median(draw(rng.random(200_000))))
    for _ in range(150):
        patience, due = draw(rng.random(2000)), rng.exponential(0.7 * true, 2000)
        last = int(np.flatnonzero(np.cumsum(patience < due) == 10)[0]) + 1
        rows = [(0, float(np.floor(min(p, d) + 0.5)), "cancelled" if p < d else "filled")
                for p, d in zip(patience[:last], due[:last], strict=True)]  # fmt: skip
        stays = StayLaw.of(fit_patience(closed(*rows), opened(), items(1)))
        low, high = (float(np.interp(np.log(2), x.hazards[x.curve[0]] * x.power[0], np.arange(x.hazards.shape[1])))
                     for x in (stays.at_quantile(0.9), stays.at_quantile(0.1)))  # fmt: skip
        inside.append(low <= true <= high)
        width.append(high / low)
    assert 0.7 <= np.mean(inside) <= 0.97
    assert 1.5 < np.median(width) < 6


def test_the_form_is_the_surer_the_more_of_the_law_was_seen() -> None:
    rng = np.random.default_rng(2)
    patience = rng.exponential(30, 200)
    errors = [form_average(np.minimum(patience, end), patience <= end, [0])[1] for end in (3, 10, 30, 90)]
    assert errors == sorted(errors, reverse=True)
    few, many = (form_average(np.minimum(patience[:n], 20), patience[:n] <= 20, [0])[1] for n in (10, 200))
    assert many < few


@given(st.lists(st.tuples(st.integers(0, 200), st.booleans()), min_size=1, max_size=40))
def test_an_average_over_laws_is_a_law(rows: list[tuple[int, bool]]) -> None:
    days, gone = [d for d, _ in rows], [g for _, g in rows]
    gone[0] = True
    share, error = form_average(days, gone, np.arange(400))
    assert share[0] == pytest.approx(1.0, abs=1e-3)
    assert (np.diff(share) <= 1e-12).all()
    assert (share >= 0).all()
    assert np.isfinite(error)
    assert error >= 0
    back, same = form_average(days[::-1], gone[::-1], np.arange(400))
    np.testing.assert_array_equal(share, back)
    assert error == same


@pytest.mark.parametrize("law", ["exponential", "log-logistic"])
def test_the_median_is_found_though_most_lines_are_filled_before_it(law: str) -> None:
    rng = np.random.default_rng(11)
    share, due = rng.random(3000), rng.exponential(15, 3000)
    patience = -40 * np.log(share) / np.log(2) if law == "exponential" else 40 * ((1 - share) / share) ** 0.5
    days = np.floor(np.minimum(patience, due) + rng.random(3000))
    rows = [(0, d, "cancelled" if p <= q else "filled") for d, p, q in zip(days, patience, due, strict=True)]
    fit = fit_patience(closed(*rows), opened(), items(1))
    median = int(np.argmax(fit.curves[fit.curve[0]] ** fit.power[0] <= 0.5))
    assert median == pytest.approx(40, rel=0.2)


def test_short_waits_are_not_shortened_by_whole_days() -> None:
    rng = np.random.default_rng(3)
    days = np.floor(rng.exponential(4 / np.log(2), 4000) + rng.random(4000))
    fit = fit_patience(closed(*[(0, d, "cancelled") for d in days]), opened(), items(1))
    curve = fit.curves[fit.curve[0]] ** fit.power[0]
    assert curve[[0, 2, 4, 8]] == pytest.approx([1.0, 0.5**0.5, 0.5, 0.25], abs=0.03)


def test_known_hazard_is_recovered() -> None:
    rng = np.random.default_rng(2)
    patience, due = rng.exponential(25, 3000), rng.exponential(15, 3000)
    days = np.minimum(patience, due)
    rows = closed(*[(0, d, "cancelled" if p <= q else "filled") for d, p, q in zip(days, patience, due, strict=True)])
    frame = fit_patience(rows, opened(), items(1)).frame
    assert (frame["rate"] / frame["shape"]).iloc[0] == pytest.approx(25, rel=0.06)


def same(a: Patience, b: Patience) -> None:
    pd.testing.assert_frame_equal(a.frame, b.frame)
    np.testing.assert_array_equal(a.curves, b.curves)
    np.testing.assert_array_equal(a.curve, b.curve)


def test_shuffled_lines_change_nothing() -> None:
    rng = np.random.default_rng(0)
    lines = pd.DataFrame(
        {
            "item": rng.integers(0, 6, 300),
            "days": rng.integers(0, 60, 300).astype(float),
            "outcome": rng.choice(["filled", "cancelled"], 300),
        }
    )
    shop = items(6, category=list("aabbcc"))
    now = opened((0, 3.0), (4, 8.0))
    same(fit_patience(lines, now, shop), fit_patience(lines.sample(frac=1, random_state=1), now.iloc[::-1], shop))


def test_asking_for_some_items_gives_them_the_laws_they_have_among_all() -> None:
    rng = np.random.default_rng(7)
    rows = [
        (int(k), float(d), "cancelled") for k, d in zip(rng.integers(0, 4, 400), rng.geometric(0.05, 400), strict=True)
    ]
    lines, now, shop = closed(*rows), opened((1, 3.0)), items(6, category=list("aabbcc"))
    whole, some = (fit_patience(lines, now, shop, asked=asked) for asked in (None, np.array([3, 0, 3])))
    pd.testing.assert_frame_equal(whole.frame, some.frame)
    assert len(some.curves) == 2 < len(whole.curves)
    for item in (0, 3):
        np.testing.assert_array_equal(some.curves[some.curve[item]], whole.curves[whole.curve[item]])
        assert some.power[item] == whole.power[item]
        assert some.form_error[item] == whole.form_error[item]
    assert some.curve[1] == -1
