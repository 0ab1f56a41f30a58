"""The exact chance of running out agrees with sums over all outcomes and with the paths of the same model."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backorder_forecast.clock import Clock
from backorder_forecast.demand import fit_demand
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.first_passage import MOST_UNITS, demand_probabilities, first_passage, stockout_chances
from backorder_forecast.panel import demand_panel
from backorder_forecast.projection import project_stock
from backorder_forecast.settings import UNMET, Settings


@given(
    start=st.integers(0, 6), receipts=st.lists(st.integers(0, 3), min_size=4, max_size=4), seed=st.integers(0, 1000),
    event=st.sampled_from(["unmet", "zero"]),
)  # fmt: skip
def test_it_is_the_sum_over_all_outcomes(start: int, receipts: list[int], seed: int, event: str) -> None:
    law = np.random.default_rng(seed).dirichlet(np.ones(4), 4)
    expected = np.zeros(4)
    for outcome in product(range(4), repeat=4):
        level, happened = start, event == "zero" and start == 0
        p = np.prod([law[t, k] for t, k in enumerate(outcome)])
        for t, k in enumerate(outcome):
            level += receipts[t]
            happened = happened or (k > level if event == "unmet" else k >= level)
            level -= k
            expected[t] += p * happened
    found = first_passage(start, law, np.array(receipts, dtype=float), event=event)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@given(mean=st.floats(0.01, 20), shape=st.floats(0.05, 50), quiet=st.floats(0, 0.9))
def test_the_law_of_a_period_is_the_negative_binomial_with_quiet_periods(
    mean: float, shape: float, quiet: float
) -> None:
    from scipy.stats import nbinom

    found = demand_probabilities(np.array([mean]), shape, quiet, 30)[0]
    expected = (1 - quiet) * nbinom.pmf(np.arange(30), shape, shape / (shape + mean))
    expected[0] += quiet
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-300)


def test_without_receipts_it_is_the_tail_of_the_sum_of_demand() -> None:
    from scipy.stats import poisson

    law = demand_probabilities(np.full(20, 0.7), np.inf, 0.0, 11)
    expected = [poisson.sf(10, 0.7 * (t + 1)) for t in range(20)]
    np.testing.assert_allclose(first_passage(10, law), expected, atol=1e-12)


MODES: dict[str, dict[str, Any]] = {
    "backorder": {},
    "lost": {},
    "partial": {"wait_share": np.array([0.4, 0.9]), "stay": np.tile([1.0, 0.6, 0.3, 0.1], (2, 1))},
}


@pytest.mark.parametrize("unmet", UNMET)
@pytest.mark.parametrize("start", [0, 3, 17, 60, MOST_UNITS])
def test_paths_of_the_same_model_say_the_same_whatever_unmet_demand_does(start: int, unmet: str) -> None:
    rng = np.random.default_rng(3)
    days = pd.date_range("2023-01-01", periods=500)
    rows = [pd.DataFrame({"sku": s, "date": days, "quantity": rng.negative_binomial(0.6, p, 500)})
            for s, p in (("A", 0.3), ("B", 0.6))]  # fmt: skip
    sales = pd.concat(rows, ignore_index=True)
    model = fit_demand(demand_panel(sales[sales["quantity"] > 0], freq="D"), Settings(global_model=False))
    clock = Clock.ahead(model_day := days[-1], "D", 60)
    receipts = np.zeros(clock.n_periods)
    receipts[20] = 15.0
    n_paths = 20_000
    for quiet in (0.0, 0.3):
        assumed = replace(model, quiet_share=np.full(2, quiet))
        demand = assumed.drawer(clock, n_paths=n_paths, seed=1)(0, 2, clock.n_periods)
        arrivals = np.broadcast_to(receipts, demand.shape)
        stock = project_stock(np.full(2, float(start)), demand, arrivals, unmet=unmet, **MODES[unmet])
        for item in range(2):
            for event, first in (("unmet", stock.first_unmet), ("zero", stock.first_zero)):
                exact = stockout_chances(assumed, clock, item, start, receipts, event=event)
                simulated = (first[item][:, None] <= np.arange(clock.n_periods)).mean(axis=0)
                if event == "zero" and start == 0:
                    continue
                error = np.sqrt(np.maximum(exact * (1 - exact), 1e-4) / n_paths)
                assert np.abs(exact - simulated).max() < 4.5 * error.max() + 1e-3
    assert model_day == clock.as_of


def test_what_it_cannot_do_is_said() -> None:
    law = np.array([[0.5, 0.5]])
    with pytest.raises(InvalidSettings, match="unmet or zero"):
        first_passage(1, law, event="short")
    with pytest.raises(InvalidSettings, match="whole number"):
        first_passage(-1, law)
    with pytest.raises(InvalidSettings, match="whole numbers"):
        first_passage(1, law, np.array([0.5]))
