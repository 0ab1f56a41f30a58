from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hand_made import items_of, known
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from backorder_forecast.causes import (
    DISRUPTION,
    HOLD,
    LATE,
    MIN_SHARE,
    PLAYERS,
    RECORD,
    SURGE,
    TOO_LITTLE,
    VERSIONS,
    Situation,
    cause_frame,
    cause_shares,
    risks_if,
    shapley,
)
from backorder_forecast.projection import project_stock

Floats = NDArray[np.float64]
N_PATHS, PERIODS = 100, 12
COLUMNS = [player.replace(" ", "_") for player in PLAYERS]
GONE = 10**6


def game(values: dict[str, float]) -> Any:
    return lambda group: np.asarray(values["".join(sorted(group))])


def at(period: int, n: int = 1) -> NDArray[np.int64]:
    return np.full((n, N_PATHS), period, dtype=np.int64)


def situation(**changes: Any) -> Situation:
    """Ten units, one wanted a day, an order of ten due on day 5, a new order on day 12: no risk, no cause."""
    calm = Situation(
        start=np.array([10.0]), demand=np.ones((1, N_PATHS, PERIODS)), demand_ratio=np.ones(1), excess=np.zeros(1),
        quantity=np.array([10.0]), line_start=np.array([0, 1]), arrivals=np.stack([at(4)]),
        version=np.zeros(VERSIONS, dtype=np.int64), ends=np.stack([at(11), at(11)]),
        beyond=np.full((2, 1, N_PATHS), -1.0), missing_order=np.zeros(1),
        missing_arrival=np.stack([at(2), at(2)]), lost=np.zeros((1, N_PATHS)),
        written_off=np.zeros(1), held=np.zeros(1), release=np.array([GONE]),
        applies=np.ones((1, len(PLAYERS)), dtype=bool),
    )  # fmt: skip
    return replace(calm, **changes)


def explained(made: Situation, risk: Floats | None = None) -> Any:
    n = len(made.start)
    return cause_frame(items_of(n), cause_shares(made), np.isclose(made.start, 0.0), made.start < 0, risk)


def versions(bit: int) -> NDArray[np.int64]:
    """Version 1 where the player of that bit is as it is now, else version 0."""
    return np.array([v >> bit & 1 for v in range(VERSIONS)], dtype=np.int64)


def test_shapley_known_answer() -> None:
    case = known("causes")["shapley_two_causes"]
    v, expected = case["inputs"], case["expected"]
    shares = shapley("AB", game({"": v["v0"], "A": v["vA"], "B": v["vB"], "AB": v["vAB"]}))
    assert float(shares["A"]) == pytest.approx(expected["A"], abs=case["abs_tolerance"])
    assert float(shares["B"]) == pytest.approx(expected["B"], abs=case["abs_tolerance"])
    assert float(shares["A"] + shares["B"]) == pytest.approx(v["vAB"] - v["v0"])
    # Leaving one out at a time does not add up.
    assert v["vAB"] - v["vB"] == pytest.approx(expected["loo_A"])
    assert expected["loo_A"] + expected["loo_B"] != pytest.approx(v["vAB"] - v["v0"])


@given(worth=st.lists(st.floats(-1, 1), min_size=8, max_size=8))
def test_shares_are_mean_contributions_over_all_orders_and_add_up(worth: list[float]) -> None:
    groups = ["", "A", "B", "C", "AB", "AC", "BC", "ABC"]
    values = dict(zip(groups, worth, strict=True))
    shares = shapley("ABC", game(values))
    for player in "ABC":
        steps = []
        for order in permutations("ABC"):
            before = "".join(sorted(order[: order.index(player)]))
            steps.append(values["".join(sorted(before + player))] - values[before])
        assert float(shares[player]) == pytest.approx(np.mean(steps), abs=1e-12)
    assert sum(float(s) for s in shares.values()) == pytest.approx(values["ABC"] - values[""], abs=1e-12)


def test_a_player_that_changes_nothing_gets_nothing_and_twins_get_the_same() -> None:
    value = {"": 0.0, "A": 0.0, "B": 0.4, "C": 0.4, "AB": 0.4, "AC": 0.4, "BC": 0.9, "ABC": 0.9}
    shares = shapley("ABC", game(value))
    assert float(shares["A"]) == 0
    assert float(shares["B"]) == pytest.approx(float(shares["C"]))


NEVER_COMES = {"arrivals": np.stack([at(4), at(GONE)])}
ALONE: dict[str, dict[str, Any]] = {
    "late order": {**NEVER_COMES, "version": versions(0)},
    "demand surge": {"demand": np.full((1, N_PATHS, PERIODS), 4.0), "demand_ratio": np.array([0.25])},
    "ordered too little": {"arrivals": np.stack([at(GONE)]), "missing_order": np.array([10.0])},
    "supplier disruption": {**NEVER_COMES, "version": versions(1)},
    "record error": {"start": np.array([10.0]), "lost": np.full((1, N_PATHS), 10.0)},
    "recall or hold": {"start": np.array([0.0]), "held": np.array([10.0])},
}


@pytest.mark.parametrize("cause", PLAYERS)
def test_a_risk_with_one_cause_is_laid_at_its_door(cause: str) -> None:
    row = explained(situation(**ALONE[cause])).iloc[0]
    assert (row["risk"], row["baseline"]) == (1.0, 0.0)
    assert row["cause"] == cause
    assert row["cause_share"] == pytest.approx(1.0)
    assert row["without"] == 0
    others = [c for c in COLUMNS if c != cause.replace(" ", "_")]
    assert (row[others] == 0).all()


def test_a_surge_is_also_what_it_has_used_up_and_a_write_off_what_it_has_taken() -> None:
    for made in ({"excess": np.array([8.0])}, {"written_off": np.array([8.0])}):
        low = situation(start=np.array([2.0]), **made)
        row = explained(low).iloc[0]
        assert (row["risk"], row["baseline"]) == (1.0, 0.0)
        assert row["cause"] == ("demand surge" if "excess" in made else "record error")


def test_what_is_released_in_time_is_no_cause() -> None:
    held = {"start": np.array([3.0]), "held": np.array([10.0])}
    assert explained(situation(**held, release=np.array([2])))["risk"].iloc[0] == 0
    assert explained(situation(**held, release=np.array([3])))["risk"].iloc[0] == 0
    assert explained(situation(**held, release=np.array([4]), arrivals=np.stack([at(GONE)])))["risk"].iloc[0] == 1


def test_an_order_that_should_have_come_already_would_have_served_those_who_wait() -> None:
    late = situation(start=np.array([-3.0]), arrivals=np.stack([at(-1), at(6)]), version=versions(0),
                     quantity=np.array([20.0]))  # fmt: skip
    row = explained(late).iloc[0]
    assert (row["risk"], row["baseline"], row["cause"]) == (1.0, 0.0, "late order")
    assert risks_if(late, np.array([-1])).tolist() == [0.0]
    assert risks_if(late, np.array([3])).tolist() == [1.0]


def test_a_disruption_also_keeps_a_new_order_waiting() -> None:
    # Stock lasts for ten days: until a new order arrives usually, not until it arrives now.
    longer = situation(arrivals=np.stack([at(GONE)]), ends=np.stack([at(12), at(9)]))
    row = explained(longer).iloc[0]
    assert (row["risk"], row["baseline"], row["cause"]) == (1.0, 0.0, "supplier disruption")


def test_an_empty_shelf_misses_what_is_asked_for_and_nothing_else() -> None:
    demand = np.zeros((1, N_PATHS, PERIODS))
    empty = situation(start=np.zeros(1), arrivals=np.stack([at(GONE)]), demand=demand)
    assert explained(empty)["risk"].iloc[0] == 0
    demand[0, : N_PATHS // 4, 3] = 1.0
    assert explained(replace(empty, demand=demand))["risk"].iloc[0] == 0.25


def test_two_causes_of_which_either_suffices_share_the_blame() -> None:
    row = explained(situation(**{**ALONE["late order"], **ALONE["recall or hold"]})).iloc[0]
    assert row["risk"] == 1
    assert row["late_order"] == pytest.approx(row["recall_or_hold"]) == pytest.approx(0.5)


def test_a_risk_that_is_stated_elsewhere_moves_the_baseline_and_no_contribution() -> None:
    arrivals = np.stack([at(4), at(4)])
    arrivals[1, :, :40] = GONE
    made = situation(arrivals=arrivals, version=versions(0))
    here, there = explained(made).iloc[0], explained(made, np.array([0.45])).iloc[0]
    assert (here["risk"], here["baseline"], here["without"]) == (pytest.approx(0.4), pytest.approx(0), pytest.approx(0))
    assert (there["risk"], there["late_order"]) == (0.45, here["late_order"])
    assert (there["baseline"], there["without"]) == (pytest.approx(0.05), pytest.approx(0.05))


def test_an_order_that_comes_after_the_simulated_days_finds_what_is_left() -> None:
    longer = situation(start=np.array([13.0]), arrivals=np.stack([at(GONE)]), ends=np.full((2, 1, N_PATHS), PERIODS))
    # One unit is left after twelve days: it lasts for an order that comes on day 13, not for one of day 16.
    for later, risk in ((0.0, 0.0), (3.0, 1.0)):
        made = replace(longer, beyond=np.stack([np.full((1, N_PATHS), later), np.full((1, N_PATHS), -1.0)]))
        assert explained(made)["risk"].iloc[0] == risk
    assert explained(made)["cause"].iloc[0] == "supplier disruption"


def test_calm_water_has_no_cause() -> None:
    row = explained(situation()).iloc[0]
    assert row["risk"] == row["baseline"] == 0
    assert row["cause"] == "not distinguishable"
    assert np.isnan(row["cause_share"])


def test_a_risk_that_no_reference_removes_is_baseline() -> None:
    row = explained(situation(start=np.array([-1.0]))).iloc[0]
    assert (row["risk"], row["baseline"], row["cause"]) == (1.0, 1.0, "already short")


def test_a_difference_that_is_chance_or_small_is_not_named() -> None:
    def failing(now: slice, before: slice) -> Situation:
        arrivals = np.stack([at(4), at(4)])
        arrivals[1, :, now], arrivals[0, :, before] = GONE, GONE
        return situation(arrivals=arrivals, version=versions(0))

    # 4 % of the paths, less than anyone would act on; 68 % against 60 %, mostly on other paths.
    small = explained(failing(slice(4), slice(0))).iloc[0]
    assert small["late_order"] == pytest.approx(0.04)
    assert small["late_order"] < MIN_SHARE
    chance = explained(failing(slice(32, 100), slice(60))).iloc[0]
    assert chance["late_order"] == pytest.approx(0.08)
    assert chance["late_order"] < 2 * chance["monte_carlo_error"]
    assert small["cause"] == chance["cause"] == "not distinguishable"
    assert explained(failing(slice(40), slice(0)))["cause"].iloc[0] == "late order"
    # The same paths fail in both: the difference is as sure as it is small.
    paired = explained(failing(slice(68), slice(60))).iloc[0]
    assert paired["late_order"] == pytest.approx(0.08)
    assert paired["monte_carlo_error"] == pytest.approx(np.sqrt(0.08 * 0.92 / N_PATHS))
    assert paired["cause"] == "late order"


def test_the_error_of_a_share_is_that_of_the_mean_of_its_paths() -> None:
    arrivals = np.stack([at(4), at(4)])
    arrivals[1, :, :40] = GONE
    row = explained(situation(arrivals=arrivals, version=versions(0))).iloc[0]
    assert row["monte_carlo_error"] == pytest.approx(np.sqrt(0.4 * 0.6 / N_PATHS))


def test_players_that_do_not_apply_cost_nothing_and_change_nothing() -> None:
    both = situation(**ALONE["late order"])
    applies = np.zeros((1, len(PLAYERS)), dtype=bool)
    applies[0, LATE] = True
    for column in [*COLUMNS, "risk", "baseline", "monte_carlo_error"]:
        few = explained(replace(both, applies=applies))[column].iloc[0]
        assert explained(both)[column].iloc[0] == pytest.approx(few, abs=1e-12)


def short_before(start: Floats, demand: Floats, receipts: Floats, until: NDArray[np.int64]) -> Floats:
    """Share of the paths with unmet demand before the arrival, as the projection sees it."""
    first = project_stock(start, demand, receipts).first_unmet
    return np.asarray(((start <= 0)[:, None] | (first < np.minimum(until, demand.shape[2]))).mean(axis=1))


@given(
    seed=st.integers(0, 10_000), start=st.integers(1, 15), held=st.integers(0, 6), missing=st.integers(0, 12),
    excess=st.integers(0, 5), ratio=st.sampled_from([0.375, 0.5, 0.75, 1.0, 1.125, 1.5, 2.0]),
)  # fmt: skip
def test_shares_add_up_to_risk_less_baseline_and_both_are_what_the_projection_says(
    seed: int, start: int, held: int, missing: int, excess: int, ratio: float
) -> None:
    rng = np.random.default_rng(seed)
    n, paths, periods = 3, 20, 6
    made = Situation(
        start=np.full(n, float(start)), demand=rng.poisson(2.0, (n, paths, periods)).astype(float),
        demand_ratio=np.full(n, ratio), excess=np.full(n, float(excess)), quantity=np.full(n, 4.0),
        line_start=np.arange(n + 1), arrivals=rng.integers(0, 9, (4, n, paths)),
        version=np.array([0, 1, 2, 3, 0, 1, 2, 3]), ends=rng.integers(0, 8, (2, n, paths)),
        beyond=np.full((2, n, paths), -1.0),
        missing_order=np.full(n, float(missing)), missing_arrival=rng.integers(0, 8, (2, n, paths)),
        lost=np.zeros((n, paths)), written_off=np.full(n, 1.0), held=np.full(n, float(held)),
        release=np.full(n, GONE), applies=np.ones((n, len(PLAYERS)), dtype=bool),
    )  # fmt: skip
    frame = explained(made)

    def receipts(days: NDArray[np.int64], quantity: Floats) -> Floats:
        return np.asarray(quantity[:, None, None] * (np.arange(periods) == days[:, :, None]))

    as_it_is = short_before(made.start, made.demand, receipts(made.arrivals[3], made.quantity), made.ends[0])
    supply = receipts(made.arrivals[0], made.quantity) + receipts(made.missing_arrival[1], made.missing_order)
    reference = short_before(made.start + held + excess + 1.0, made.demand * ratio, supply, made.ends[1])
    np.testing.assert_allclose(frame["risk"], as_it_is)
    np.testing.assert_allclose(frame["baseline"], reference)
    np.testing.assert_allclose(frame[COLUMNS].sum(axis=1), frame["risk"] - frame["baseline"], atol=1e-12)
    named = ~frame["cause"].isin(["not distinguishable", "already short"])
    assert (frame["cause_share"].notna() == named).all()
    assert frame["recall_or_hold"].ge(0).all(), "usable stock can only lower the risk"


def test_the_players_stand_where_the_codes_say() -> None:
    codes = (LATE, SURGE, TOO_LITTLE, DISRUPTION, RECORD, HOLD)
    assert [PLAYERS[c].split()[0] for c in codes] == ["late", "demand", "ordered", "supplier", "record", "recall"]
