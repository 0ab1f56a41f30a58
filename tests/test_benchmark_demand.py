"""The benchmark of forecasts: its frozen reference, the laws given to the peers, what counts as scored."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from backorder_forecast.panel import DemandPanel
from benchmarks import demand as benchmark
from benchmarks._demand_peers import LAWS, PEERS, Answer, PeerLaw, Question, peer_quantiles
from benchmarks._demand_sets import DemandSet
from benchmarks._demand_tables import bar_table
from benchmarks._reference_ses import LEVELS, reference_quantiles, smooth

Floats = NDArray[np.float64]


def small_set(n_items: int = 12) -> DemandSet:
    """Steady sellers over 30 weeks with one week out of stock in the last window of the first item."""
    demand = np.random.default_rng(5).poisson(6.0, (n_items, 30)).astype(np.float64)
    exposure = np.ones_like(demand)
    exposure[0, 28] = 0.0
    weeks = pd.date_range("2023-01-02", periods=31, freq="W-MON")
    items = pd.DataFrame({"sku": [f"S{k:02d}" for k in range(n_items)], "location": ""})
    panel = DemandPanel(items, weeks[:-1], "W-MON", weeks[-1] - pd.Timedelta(days=1), demand, exposure)
    return DemandSet("small", panel, (24, 27), 52)


def test_reference_is_the_recursion_of_its_head() -> None:
    # By hand: 12 periods of mean 2 and variance 12/11, then y = 7: error 5, level 2 + .1 * 5, variance v + .1 (25 - v).
    history = np.array([[0.0, 0.0] + [1.0, 3.0] * 6 + [7.0]])
    state = smooth(history, np.ones_like(history))
    assert state.level[0] == pytest.approx(2.5)
    assert state.variance[0] == pytest.approx(0.9 * 12 / 11 + 2.5)
    assert state.n_used[0] == 13


def test_reference_takes_partly_stocked_periods_at_their_rate() -> None:
    # Half in stock and half sold is the same rate; a period hardly in stock, or of unknown exposure, says nothing.
    history = np.array([[4.0] * 12 + [2.0, 0.0, 9.0], [4.0] * 12 + [3.0, 0.0, 9.0]])
    exposure = np.ones_like(history)
    exposure[:, 12:] = [0.5, 0.2, -1.0]
    state = smooth(history, exposure)
    # Second item: error 3 - .5 * 4 = 1, gain .1 * .5 on the rate error 2.
    assert state.level.tolist() == pytest.approx([4.0, 4.1])
    assert state.n_used.tolist() == [13, 13]


def test_reference_never_moves() -> None:
    demand = np.random.default_rng(11).negative_binomial(1.2, 0.3, (40, 36)).astype(np.float64)
    demand[0] = 0.0
    quantiles = reference_quantiles(demand, np.ones_like(demand), window=3)
    assert quantiles.shape == (40, len(LEVELS))
    assert not quantiles[0].any()
    assert quantiles[1].tolist() == [7.0, 9.0, 10.0, 11.0, 12.0, 12.0, 14.0, 16.0, 19.0, 21.0]
    assert quantiles.sum(axis=0).tolist() == [
        297.0, 347.0, 411.0, 444.0, 484.0, 518.0, 611.0, 723.0, 835.0, 973.0,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        # Errors of the sums -3, +6, 0 around 9; the median and the largest.
        (PeerLaw(signed=True, n_windows=4, per_step=False), [9.0, 15.0]),
        # Their sizes added and taken off: 3, 6, 9, 9, 12, 15.
        (PeerLaw(signed=False, n_windows=4, per_step=False), [9.0, 15.0]),
        # Periods one by one: errors -1, 2, 0 in each, so the same sums here.
        (PeerLaw(signed=True, n_windows=4, per_step=True), [9.0, 15.0]),
        # The last error alone, 0.
        (PeerLaw(signed=True, n_windows=1, per_step=False), [9.0, 9.0]),
        # The last two: 0 and 6.
        (PeerLaw(signed=True, n_windows=2, per_step=False), [12.0, 15.0]),
    ],
)
def test_laws_of_the_peers_by_hand(law: PeerLaw, expected: list[float]) -> None:
    demand = np.array([[1.0] * 3 + [2.0] * 3 + [5.0] * 3 + [3.0] * 3 + [4.0] * 3])
    question = Question("tsb", demand, np.array([3, 6, 9, 12]), 52, 3, trimmed=True)
    answer = Answer(np.full((1, 4, 3), 3.0), np.zeros((1, 4), dtype=np.bool_))
    assert peer_quantiles(question, answer, 12, law, [0.5, 1.0])[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_a_peer_without_past_errors_says_its_mean(law: PeerLaw) -> None:
    demand = np.array([[0.0] * 6 + [2.0] * 6, [0.0] * 12])
    question = Question("tsb", demand, np.array([3, 6, 9]), 52, 3, trimmed=True)
    answer = Answer(np.zeros((2, 3, 3)), np.zeros((2, 3), dtype=np.bool_))
    answer.mean[0, 2] = 2.0
    assert peer_quantiles(question, answer, 9, law, [0.5, 0.99]).tolist() == [[6.0, 6.0], [0.0, 0.0]]


def test_peers_are_asked_for_the_same_items_and_never_beyond_the_last_origin() -> None:
    demand = small_set()
    questions = benchmark.peer_questions(demand, sample=5)
    assert {q.peer for q in questions} == set(PEERS)
    for question in questions:
        assert set(demand.origins) <= set(question.cuts.tolist())
        assert question.cuts.max() == demand.origins[-1]
        assert question.cuts.min() >= 0
        assert np.array_equal(question.demand, questions[0].demand[: len(question.demand)])


def test_windows_with_a_stockout_are_not_scored() -> None:
    demand = small_set()
    scores = benchmark.score_set(demand)
    unscored = np.isnan(scores.loss)
    assert np.argwhere(unscored).tolist() == [[0, 1]]
    assert np.array_equal(unscored, np.isnan(scores.reference))
    # Demand is Poisson around a constant: nothing beats knowing that by much, and the reference nearly does.
    assert 0.8 < scores.figures["relative_pinball"] < 1.2
    assert abs(scores.figures["bias"]) < 0.15
    assert scores.relative(loss=scores.reference) == 1.0
    half = scores.relative(np.arange(6))
    rest = scores.relative(np.arange(6, 12))
    assert min(half, rest) <= scores.figures["relative_pinball"] <= max(half, rest)


def test_the_best_law_of_a_peer_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    demand = small_set()
    scores = benchmark.score_set(demand)

    def clairvoyant(_: str, questions: list[Question]) -> list[Answer]:
        """Knows every sum when the zeros are trimmed, nothing otherwise."""
        answers = []
        for q in questions:
            ahead = q.demand[:, q.cuts[:, None] + np.arange(q.window)]
            mean = ahead if q.trimmed or q.peer == "auto_ets" else np.zeros_like(ahead)
            answers.append(Answer(mean, np.zeros(mean.shape[:2], dtype=np.bool_)))
        return answers

    monkeypatch.setattr(benchmark, "ask_peers", clairvoyant)
    figures, chosen = benchmark.score_peers([scores], "python", sample=6)
    for peer in PEERS:
        assert figures[f"small_relative_pinball_{peer}"] == 0.0
        assert ("first sale" in chosen["small", peer]) == (peer != "auto_ets")
    rows = benchmark.sample_rows(demand, 6)
    assert figures["small_relative_pinball_ours_on_sample"] == scores.relative(rows)


@pytest.mark.parametrize(("pinball", "deciles", "words"), [(0.77, 0.11, ["met"] * 2), (0.79, 0.13, ["MISSED"] * 2)])
def test_bars_say_whether_they_were_met(pinball: float, deciles: float, words: list[str]) -> None:
    figures = {"vn2_relative_pinball": pinball, "vn2_pit_min": 0.09, "vn2_pit_max": deciles}
    assert list(bar_table(["vn2"], figures).columns[-1].cells) == words
