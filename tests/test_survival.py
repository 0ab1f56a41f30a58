"""Survival primitives against textbook answers and their own invariants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from backorder_forecast.errors import InvalidSettings, NotEnoughHistory
from backorder_forecast.survival import (
    exponential_censored_rate,
    kaplan_meier,
    loglogistic_censored_fit,
    residual_cdf,
    shrink_cdf,
    weibull_censored_fit,
)

KNOWN = {r["id"]: r for r in json.loads((Path(__file__).parent / "known_answers" / "survival.json").read_text())}

cases = st.lists(
    st.tuples(st.integers(0, 40), st.booleans(), st.floats(0.1, 5.0)), min_size=1, max_size=30
)  # fmt: skip


def near(record: dict[str, Any], value: Any = None) -> Any:
    return pytest.approx(record["expected"] if value is None else value, abs=record["abs_tolerance"])


def test_kaplan_meier_on_the_leukaemia_trial() -> None:
    record = KNOWN["km_freireich_6mp"]
    found = kaplan_meier(record["inputs"]["time"], record["inputs"]["event"])
    expected = {float(t): s for t, s in record["expected"].items()}
    assert dict(zip(found["time"], found["survival"], strict=True)) == near(record, expected)


def test_exponential_rate() -> None:
    record = KNOWN["exp_censored_mle"]
    assert exponential_censored_rate(**record["inputs"]) == near(record)


def test_weibull_fit() -> None:
    record = KNOWN["weibull_censored_mle"]
    shape, scale = weibull_censored_fit(**record["inputs"])
    assert {"shape": shape, "scale": scale} == near(record)


def test_pooled_distribution() -> None:
    record = KNOWN["dp_shrunk_cdf"]
    given_ = record["inputs"]
    assert float(shrink_cdf(given_["n"], given_["F_i"], given_["F_pool"], given_["k"])) == near(record)


def test_late_order_from_history() -> None:
    record = KNOWN["overdue_po_empirical"]
    history, age = np.array(record["inputs"]["history"]), record["inputs"]["age"]
    law = (history[:, None] <= np.arange(41)).mean(axis=0)
    left = residual_cdf(law, age)
    found = {
        "p_within5": left[5],
        "mean_remaining": (1.0 - left).sum(),
        "median_total": age + int(np.argmax(left >= 0.5)),
    }
    assert found == near(record)


def test_late_order_under_a_lognormal_law() -> None:
    record = KNOWN["overdue_po_lognormal"]
    median, sd, age = (record["inputs"][k] for k in ("median", "sdlog", "age"))
    steps_per_day = 100
    days = np.arange(300 * steps_per_day) / steps_per_day
    with np.errstate(divide="ignore"):
        law = ndtr(np.log(days / median) / sd)
    left = residual_cdf(law, age * steps_per_day)
    middle = (1.0 - left).sum() / steps_per_day - 0.5 / steps_per_day
    assert {"p": left[5 * steps_per_day], "mrl": middle} == near(record)


@given(cases)
def test_kaplan_meier_falls_and_ignores_the_order_of_cases(rows: list[tuple[int, bool, float]]) -> None:
    time, event, weight = (list(column) for column in zip(*rows, strict=True))
    found = kaplan_meier(time, event, weight)
    survival = found["survival"].to_numpy()
    assert ((survival >= -1e-12) & (survival <= 1)).all()
    assert (np.diff(survival) <= 0).all()
    again = kaplan_meier(time[::-1], event[::-1], weight[::-1])
    assert again["survival"].to_numpy() == pytest.approx(survival)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30))
def test_without_censoring_kaplan_meier_is_the_share_still_running(time: list[int]) -> None:
    found = kaplan_meier(time, [True] * len(time))
    share = [(np.array(time) > t).mean() for t in found["time"]]
    assert found["survival"].to_numpy() == pytest.approx(np.array(share), abs=1e-12)


def test_weights_count_as_repeated_cases() -> None:
    heavy = kaplan_meier([3, 5, 8], [True, False, True], [2, 1, 3])
    copies = kaplan_meier([3, 3, 5, 8, 8, 8], [True, True, False, True, True, True])
    assert heavy["survival"].tolist() == pytest.approx(copies["survival"].tolist())


def test_loglogistic_fit_is_that_of_scipy() -> None:
    from scipy.stats import CensoredData, fisk

    rng = np.random.default_rng(9)
    u = rng.random(3000)
    life, until = 20.0 * (u / (1 - u)) ** (1 / 2.5), rng.uniform(5, 90, 3000)
    time, over = np.maximum(np.minimum(life, until), 0.5), life <= until
    shape, _, median = fisk.fit(CensoredData.right_censored(time, ~over), floc=0)
    found = loglogistic_censored_fit(time, over, prior_median=20, prior_shape=2.5, prior_n=1e-3)
    assert found == pytest.approx((median, shape), rel=1e-3)


@pytest.mark.parametrize("shape", [0.7, 1.0, 2.5])
def test_weibull_fit_finds_the_law_of_many_cases(shape: float) -> None:
    rng = np.random.default_rng(3)
    life, until = 30.0 * rng.weibull(shape, 4000), rng.uniform(5, 80, 4000)
    found = weibull_censored_fit(np.minimum(life, until), life <= until)
    assert found == pytest.approx((shape, 30.0), rel=0.06)


def test_loglogistic_fit_finds_the_law_of_many_cases() -> None:
    rng = np.random.default_rng(4)
    u = rng.random(4000)
    life, until = 20.0 * (u / (1 - u)) ** (1 / 3.5), rng.uniform(5, 60, 4000)
    prior: dict[str, float] = {"prior_median": 14.0, "prior_shape": 5.0}
    found = loglogistic_censored_fit(np.minimum(life, until), life <= until, **prior)
    assert found == pytest.approx((20.0, 3.5), rel=0.05)
    finished_only = loglogistic_censored_fit(life[life <= until], [True] * int((life <= until).sum()), **prior)
    assert finished_only[0] < 0.95 * found[0]


@given(cases)
def test_loglogistic_fit_is_a_maximum(rows: list[tuple[int, bool, float]]) -> None:
    time, event, weight = (np.array(column) for column in zip(*rows, strict=True))
    median, shape = loglogistic_censored_fit(time, event, weight, prior_median=14, prior_shape=5)
    share = (np.arange(10) + 0.5) / 10
    logs = np.log(np.r_[np.maximum(time, 0.5), 14 * (share / (1 - share)) ** (1 / 5)])
    seen, mass = np.r_[event, np.ones(10, dtype=bool)], np.r_[weight, np.full(10, 0.1)]

    def likelihood(median: float, shape: float) -> float:
        z = shape * (logs - np.log(median))
        return float((mass * np.where(seen, np.log(shape) + z, 0) - mass * (1 + seen) * np.logaddexp(0, z)).sum())

    best = likelihood(median, shape)
    for a, b in ((1.01, 1), (0.99, 1), (1, 1.01), (1, 0.99), (1.3, 1), (0.7, 1), (1, 1.5), (1, 0.6)):
        assert likelihood(median * a, shape * b) <= best + 1e-9


def test_loglogistic_fit_survives_a_first_step_out_of_range() -> None:
    median, shape = loglogistic_censored_fit(
        [0, 0, 96, 157, 334], [True, True, False, False, False], prior_median=14, prior_shape=5
    )
    assert 1 < median < 300
    assert 0.1 < shape < 2


def test_loglogistic_fit_exists_without_cases_and_keeps_its_bound() -> None:
    median, shape = loglogistic_censored_fit([], [], prior_median=14, prior_shape=5)
    assert (median, shape) == pytest.approx((14, 5), rel=0.25)
    assert loglogistic_censored_fit([7] * 50, [True] * 50, prior_median=7, prior_shape=5, max_shape=6)[1] == 6
    waiting = loglogistic_censored_fit([90] * 20, [False] * 20, prior_median=14, prior_shape=5)
    assert waiting[0] > 30


def test_residual_law_of_several_rows_and_ages() -> None:
    law = np.array([[0.0, 0.25, 0.5, 1.0], [0.0, 0.0, 0.0, 1.0]])
    assert residual_cdf(law, [1, 0]).tolist() == [[0, 1 / 3, 1, 1], [0, 0, 0, 1]]
    assert residual_cdf(law[0], [0, 2]).tolist() == [[0, 0.25, 0.5, 1], [0, 1, 1, 1]]
    assert np.isnan(residual_cdf(law[0], 3)).all()


def test_refusals() -> None:
    with pytest.raises(NotEnoughHistory):
        exponential_censored_rate([0, 0], [True, False])
    with pytest.raises(NotEnoughHistory):
        weibull_censored_fit([5, 9], [True, False])
    with pytest.raises(InvalidSettings, match="one entry per case"):
        kaplan_meier([1, 2], [True])
    with pytest.raises(InvalidSettings, match="at least 0"):
        kaplan_meier([1, -2], [True, True])
    with pytest.raises(InvalidSettings, match="weights"):
        kaplan_meier([1, 2], [True, True], [1, np.nan])
    with pytest.raises(InvalidSettings, match="at least 0"):
        residual_cdf([0.0, 1.0], -1)
    with pytest.raises(InvalidSettings):
        shrink_cdf(0, 0.5, 0.5, k=0)
