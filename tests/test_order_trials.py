from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hand_made import panel_of

from backorder_forecast.errors import InvalidSettings, NotEnoughHistory
from backorder_forecast.order_trials import OrderRules, calibrate_orders, cheapest_of, order_policy, replay_orders
from backorder_forecast.paths import SamplePaths
from backorder_forecast.settings import Settings

RULES = OrderRules()
DATA = os.environ.get("BACKORDER_DATA")


def weeks_of(mean: float, n: int = 20, n_weeks: int = 60, seed: int = 0):  # type: ignore[no-untyped-def]
    demand = np.random.default_rng(seed).poisson(mean, (n, n_weeks)).astype(float)
    return panel_of(demand, freq="W-MON")


def true_paths(panel, mean: float):  # type: ignore[no-untyped-def]
    def forecast(known: int) -> SamplePaths:
        draws = np.random.default_rng(known).poisson(mean, (panel.n_items, 200, 8)).astype(float)
        dates = pd.date_range(panel.periods[known - 1], periods=9, freq="W-MON")[1:]
        return SamplePaths.from_array(draws, panel.items, dates)

    return forecast


def test_the_ledger_by_hand() -> None:
    panel = panel_of([[0] * 20 + [3, 1, 5, 2, 4, 0, 2, 2]], freq="W-MON")
    seen = []

    def policy(known, on_hand, coming):  # type: ignore[no-untyped-def]
        seen.append((known, float(on_hand[0]), coming[0].tolist()))
        return np.array([2.0])

    frame = replay_orders(
        panel, 20, {"two": policy}, rules=RULES, on_hand=np.array([4.0]), in_transit=np.array([[1.0, 0.0]])
    )
    # Week 1: 4 + 1 - 3 = 2; 2: 1 left; 3: 3 of 5; 4: 2 of 2; 5: 2 of 4; 6: 2 left; 7: 2 left; 8: 2 left.
    assert seen[:4] == [(20, 4, [1, 0]), (21, 2, [0, 2]), (22, 1, [2, 2]), (23, 0, [2, 2])]
    assert len(seen) == 6
    row = frame.iloc[0]
    assert (row["units_lost"], row["holding"], row["cost"]) == (4, pytest.approx(0.2 * 6), pytest.approx(5.2))
    assert row["fill_rate"] == pytest.approx(1 - 4 / 15)


def test_nothing_after_the_decision_moves_an_order() -> None:
    panel = weeks_of(3.0)
    changed = panel_of(np.where(np.arange(60) >= 50, 99.0, panel.demand), freq="W-MON")
    first = [
        calibrate_orders(p.until(50), rules=RULES, n_windows=1, forecast=true_paths(p, 3.0)).costs
        for p in (panel, changed)
    ]
    pd.testing.assert_frame_equal(first[0], first[1])


def test_calibration_takes_the_cheapest_and_keeps_what_is_as_good() -> None:
    panel = weeks_of(3.0, n=60)
    # Forecasts far too high: a surplus is never sold as told, and cautious orders cost least.
    high = calibrate_orders(panel, rules=RULES, n_windows=2, forecast=true_paths(panel, 4.5))
    assert high.settings.surplus_share == 1.0
    assert high.costs["window"].unique().tolist() == [44, 52]
    table = high.costs.groupby("surplus_share")["cost"].sum()
    assert table.idxmin() == 1.0
    flat = pd.DataFrame({"window": 1, "surplus_share": [0.0, 0.25, 1.0], "cost": [9.96, 10.0, 11.0]})
    assert cheapest_of(flat).surplus_share == 0.25, "half a percent is noise"
    assert cheapest_of(flat.assign(cost=[9.0, 10.0, 11.0])).surplus_share == 0.0


def test_orders_by_cost_beat_every_fixed_order_up_to_level_on_known_demand() -> None:
    panel = weeks_of(2.0, n=150)
    forecast = true_paths(panel, 2.0)

    def up_to(level: float):  # type: ignore[no-untyped-def]
        return lambda known, on_hand, coming: np.maximum(level - on_hand - coming.sum(axis=1), 0.0)

    policies = {str(level): up_to(level) for level in (6.0, 7.0, 8.0, 9.0, 10.0, 12.0)}
    policies["ours"] = order_policy(panel, RULES, Settings(), forecast)
    cost = replay_orders(panel, 40, policies, rules=RULES).set_index("policy")["cost"]
    assert cost.idxmin() == "ours"


def test_windows_that_do_not_fit_and_senseless_rules_are_refused() -> None:
    panel = weeks_of(2.0, n_weeks=20)
    with pytest.raises(NotEnoughHistory, match="needs 13 periods before it and ends at 20; the panel has 20"):
        replay_orders(panel, 12, {}, rules=RULES)
    with pytest.raises(NotEnoughHistory, match="the panel has 15"):
        calibrate_orders(panel.until(15), rules=RULES)
    with pytest.raises(InvalidSettings, match="a window holds the lead time"):
        OrderRules(lead_time=9)
    with pytest.raises(InvalidSettings, match="are positive"):
        OrderRules(holding_cost=0.0)


@pytest.mark.skipif(not DATA, reason="BACKORDER_DATA is not set: no real data")
def test_the_organisers_benchmark_is_reproduced_to_the_cent() -> None:
    from benchmarks._vn2_rules import RULES as OFFICIAL
    from benchmarks._vn2_rules import load_game, organiser

    panel, start, on_hand, transit = load_game(Path(str(DATA)))
    frame = replay_orders(
        panel, start, {"organiser": organiser(panel)}, rules=OFFICIAL, on_hand=on_hand, in_transit=transit
    )
    assert frame["cost"][0] == pytest.approx(4334.0)
