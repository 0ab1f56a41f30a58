"""The learned stockout flag as an estimator: scikit-learn's rules, the prior, calibration, gaps, determinism."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import check_estimator

import backorder_forecast as bf
from backorder_forecast.classifier import WORST_ECE
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.probabilities import corrected_prior, log_odds
from backorder_forecast.scores import auc

SMALL: dict[str, Any] = {"n_rounds": 30, "n_boosted": 1, "n_trees": 20}


def shop(n: int = 1500, seed: int = 0) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Stock and forecast, of which only the ratio tells whether the item runs out."""
    rng = np.random.default_rng(seed)
    forecast = np.exp(rng.normal(3.0, 1.5, n))
    stock = forecast * np.exp(rng.normal(0.7, 1.0, n))
    chance = 1.0 / (1.0 + np.exp(2.5 * np.log(stock / forecast)))
    frame = pd.DataFrame({"stock": stock.round(), "forecast": forecast.round(), "noise": rng.normal(size=n)})
    return frame, (rng.random(n) < chance).astype(np.int64)


@pytest.mark.parametrize("n_rounds", [10, pytest.param(180, marks=pytest.mark.slow)])
def test_it_passes_scikit_learns_estimator_checks(n_rounds: int) -> None:
    trees: dict[str, Any] = {"n_trees": 10, "n_boosted": 1} if n_rounds == 10 else {}
    results = check_estimator(bf.StockoutClassifier(n_rounds=n_rounds, **trees), on_skip=None)
    assert len(results) > 40
    assert not [r["check_name"] for r in results if r["status"] == "failed"]


def test_ratios_find_what_single_amounts_hide() -> None:
    features, event = shop(4000)
    learn, ahead = slice(0, 500), slice(500, None)
    found = {}
    for ratios in (0, 12):
        model = bf.StockoutClassifier(ratios=ratios, **SMALL).fit(features[learn], event[learn])
        found[ratios] = auc(model.predict_proba(features[ahead])[:, 1], event[ahead])
    assert found[12] > found[0] + 0.01
    assert found[12] > 0.85


def test_the_prior_is_corrected_by_odds() -> None:
    # Half of the sample are events, 1 in 100 of the population: odds of 1 become 1/99, odds of 9 become 1/11.
    assert corrected_prior([0.5, 0.9, 0.0, 1.0], 0.5, 0.01) == pytest.approx([0.01, 1 / 12, 0.0, 1.0])
    features, event = shop()
    plain = bf.StockoutClassifier(**SMALL).fit(features, event)
    rare = bf.StockoutClassifier(prevalence=0.01, **SMALL).fit(features, event)
    p, q = plain.predict_proba(features)[:, 1], rare.predict_proba(features)[:, 1]
    odds = (0.01 / 0.99) / (event.mean() / (1 - event.mean()))
    assert q / (1 - q) == pytest.approx(odds * p / (1 - p))


@given(
    p=st.lists(st.floats(0.001, 0.999), min_size=2, max_size=20),
    sample=st.floats(0.05, 0.95),
    true=st.floats(0.001, 0.95),
)
@settings(max_examples=60, deadline=None)
def test_a_correction_keeps_the_order_and_is_undone_by_its_inverse(p: list[float], sample: float, true: float) -> None:
    moved = corrected_prior(p, sample, true)
    assert corrected_prior(moved, true, sample) == pytest.approx(p)
    order = np.argsort(p, kind="stable")
    assert (np.diff(moved[order]) >= -1e-12).all()


def test_case_control_rows_give_the_shares_of_the_population() -> None:
    features, event = shop(8000, seed=3)
    true = float(event.mean())
    rng = np.random.default_rng(1)
    keep = (event == 1) | (rng.random(len(event)) < 0.25)
    ahead, outcome = shop(8000, seed=4)
    model = bf.StockoutClassifier(prevalence=true, **SMALL).fit(features[keep], event[keep])
    biased = bf.StockoutClassifier(**SMALL).fit(features[keep], event[keep])
    assert model.predict_proba(ahead)[:, 1].mean() == pytest.approx(outcome.mean(), abs=0.02)
    assert biased.predict_proba(ahead)[:, 1].mean() > outcome.mean() + 0.1


def test_calibration_is_left_alone_where_validation_is_content() -> None:
    features, event = shop(3000)
    model = bf.StockoutClassifier(**SMALL).fit(features, event)
    assert model.calibration_ == "none"
    assert model.validation_["rows"] == len(event)
    assert model.validation_["ece"] <= WORST_ECE
    assert "not above 0.04" in model.calibration_reason_


def test_calibration_is_applied_where_held_out_rows_say_so() -> None:
    # Six rows of each item share a label that nothing tells: the trees learn the items by heart.
    rng = np.random.default_rng(5)
    n = 1200
    features = np.repeat(rng.normal(size=(n // 6, 4)), 6, axis=0) + rng.normal(0, 1e-6, (n, 4))
    event = np.repeat(rng.random(n // 6) < 0.5, 6)
    items = np.repeat(np.arange(n // 6), 6)
    model = bf.StockoutClassifier(min_leaf=2, **SMALL).fit(features, event, groups=items)
    assert model.validation_["ece"] > WORST_ECE
    assert model.calibration_ in ("sigmoid", "isotonic")
    fresh = rng.normal(size=(500, 4))
    raw = bf.StockoutClassifier(calibration="none", min_leaf=2, **SMALL).fit(features, event)
    # Nothing tells the two labels apart, so one half is the truth.
    distance = [np.abs(m.predict_proba(fresh)[:, 1] - 0.5).mean() for m in (model, raw)]
    assert distance[0] < 0.5 * distance[1]


@pytest.mark.parametrize("kind", ["sigmoid", "isotonic"])
def test_a_calibration_can_be_asked_for(kind: str) -> None:
    features, event = shop(600)
    model = bf.StockoutClassifier(calibration=kind, **SMALL).fit(features, event)
    p = model.predict_proba(features)[:, 1]
    assert model.calibration_ == kind
    assert ((p >= 0) & (p <= 1)).all()


def test_rows_known_later_are_held_out_when_times_are_given() -> None:
    features, event = shop(1000)
    months = np.arange(1000) // 100
    model = bf.StockoutClassifier(**SMALL).fit(features, event, times=months)
    # The first four tenths are never held out, everything after them once.
    assert model.validation_["rows"] == 600


def test_leaves_grow_with_the_noise() -> None:
    clear, rng = np.arange(1200) % 60, np.random.default_rng(6)
    steps = pd.DataFrame({"code": clear, "other": rng.normal(size=1200)})
    chosen = {}
    for name, chance in (("clear", (clear * 7 % 60 < 30).astype(float)), ("noise", np.full(1200, 0.5))):
        event = rng.random(1200) < chance
        chosen[name] = bf.StockoutClassifier(**SMALL).fit(steps, event, groups=np.arange(1200)).min_leaf_
    assert chosen["clear"] < chosen["noise"]
    assert bf.StockoutClassifier(min_leaf=5, **SMALL).fit(steps, event).min_leaf_ == 5


def test_few_events_are_said_not_validated() -> None:
    features, event = shop(80)
    model = bf.StockoutClassifier(**SMALL).fit(features, event)
    assert model.validation_ == {}
    assert "fewer than 50 events" in model.calibration_reason_


def test_gaps_text_and_flags_are_features() -> None:
    features, event = shop()
    rng = np.random.default_rng(2)
    frame = features.assign(
        supplier=np.where(event == 1, "late Ltd", "prompt & co"),
        stop=pd.array(rng.random(len(event)) < 0.5, dtype="boolean"),
        empty=np.nan,
    )
    frame.loc[::3, "stock"] = np.nan
    frame.loc[::5, "supplier"] = None
    frame.loc[::7, "stop"] = pd.NA
    model = bf.StockoutClassifier(**SMALL).fit(frame, event)
    assert auc(model.predict_proba(frame)[:, 1], event) > 0.9
    assert list(model.feature_names_in_) == list(frame.columns)
    # A supplier never seen is a gap, no error.
    assert model.predict_proba(frame.head(1).assign(supplier="new one")).shape == (1, 2)


@pytest.mark.parametrize("times", [False, True])
def test_the_order_of_rows_changes_no_byte(times: bool) -> None:
    features, event = shop(700)
    when = np.arange(700) // 50 if times else None
    shuffled = np.random.default_rng(9).permutation(700)
    one = bf.StockoutClassifier(**SMALL).fit(features, event, times=when)
    other = bf.StockoutClassifier(**SMALL).fit(
        features.iloc[shuffled], event[shuffled], times=None if when is None else when[shuffled]
    )
    assert one.predict_proba(features).tobytes() == other.predict_proba(features).tobytes()


def test_labels_may_be_words_and_the_larger_is_the_event() -> None:
    features, event = shop(400)
    words = np.where(event == 1, "Yes", "No")
    model = bf.StockoutClassifier(**SMALL).fit(features, words)
    assert model.classes_.tolist() == ["No", "Yes"]
    assert set(model.predict(features)) == {"No", "Yes"}
    assert model.score(features, words) > 0.8
    numbers = bf.StockoutClassifier(**SMALL).fit(features, event)
    assert (numbers.predict_proba(features) == model.predict_proba(features)).all()


def test_it_is_cloned_pickled_and_cross_validated() -> None:
    features, event = shop(400)
    model = bf.StockoutClassifier(prevalence=0.1, **SMALL).fit(features, event)
    assert clone(model).get_params() == model.get_params()
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict_proba(features) == model.predict_proba(features)).all()
    assert cross_val_score(bf.StockoutClassifier(**SMALL), features, event, cv=2, scoring="roc_auc").min() > 0.7


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"calibration": "isotonc"}, "unknown calibration 'isotonc' .did you mean 'isotonic'"),
        ({"prevalence": 1.0}, "prevalence is a share strictly between 0 and 1, got 1.0"),
        ({"n_trees": 0}, "n_trees is at least 1, got 0"),
        ({"min_leaf": 0}, "min_leaf is None or at least 1, got 0"),
        ({"ratios": -1}, "ratios is 0 or more, got -1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidSettings, match=words):
        bf.StockoutClassifier(**options).fit(*shop(60))


def test_what_cannot_be_learned_from_is_refused_in_words() -> None:
    features, event = shop(60)
    with pytest.raises(ValueError, match="one class only"):
        bf.StockoutClassifier().fit(features, np.zeros(60))
    with pytest.raises(ValueError, match="Only binary classification"):
        bf.StockoutClassifier().fit(features, np.arange(60) % 3)
    with pytest.raises(ValueError, match="infinity"):
        bf.StockoutClassifier().fit(features.assign(noise=np.inf), event)
    with pytest.raises(InvalidSettings, match="column 'due' holds dates: turn them into days"):
        bf.StockoutClassifier().fit(features.assign(due=pd.Timestamp("2024-01-01")), event)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        bf.StockoutClassifier().fit(features, event, times=np.arange(5))
    with pytest.raises(NotFittedError):
        bf.StockoutClassifier().predict_proba(features)


def test_log_odds_stay_finite() -> None:
    assert np.isfinite(log_odds([0.0, 1.0])).all()
    assert log_odds([0.25])[0] == pytest.approx(-np.log(3))
