"""Demand hidden by stockouts: a fifth of the periods censored, in each of three ways, and what becomes of levels."""

from __future__ import annotations

import numpy as np
import pytest
from hand_made import panel_of
from numpy.typing import NDArray

from backorder_forecast import Settings
from backorder_forecast.demand import fit_demand
from backorder_forecast.panel import RAN_OUT

Floats = NDArray[np.float64]
SIMPLE = Settings(global_model=False, smooth_items=0)
N_ITEMS, N_PERIODS = 400, 150


def censored(kind: str, freq: str) -> tuple[Floats, Floats, Floats]:
    """Recorded sales, exposure and true level per item; a fifth of the periods is touched by a stockout."""
    rng = np.random.default_rng([3, len(kind), len(freq)])
    level = rng.uniform(2.0, 12.0, N_ITEMS)
    # Demand comes in two halves, so that stock gone at half time hides exactly the second.
    half = rng.negative_binomial(2.0, 2.0 / (2.0 + level[:, None, None] / 2), (N_ITEMS, N_PERIODS, 2)).astype(float)
    wanted = half.sum(axis=2)
    touched = rng.random(wanted.shape) < 0.2
    exposure = np.ones_like(wanted)
    sold = wanted.copy()
    if kind == "half the period":
        sold = np.where(touched, half[:, :, 0], wanted)
        exposure[touched] = 0.5
    elif kind == "whole periods":
        sold = np.where(touched, 0.0, wanted)
        exposure[touched] = 0.0
    else:
        stock = np.ceil(level * 0.9)[:, None]
        ran_out = touched & (wanted >= stock)
        sold = np.where(touched, np.minimum(wanted, stock), wanted)
        exposure[ran_out] = RAN_OUT
    return sold, exposure, level


@pytest.mark.parametrize("freq", ["D", "W-MON", "MS"])
@pytest.mark.parametrize("kind", ["half the period", "whole periods", "ran out at an unknown moment"])
def test_a_fifth_of_the_periods_hidden_moves_the_level_by_less_than_three_percent(kind: str, freq: str) -> None:
    sold, exposure, level = censored(kind, freq)
    aware = fit_demand(panel_of(sold, exposure, freq=freq), SIMPLE).about["mean_per_period"].to_numpy(dtype=float)
    error = float(np.mean(aware / level) - 1.0)
    naive = float(np.mean(sold.mean(axis=1) / level) - 1.0)
    assert abs(error) < 0.03
    # The average of what was sold is far off.
    assert naive < (-0.08 if kind != "ran out at an unknown moment" else -0.04)


def test_with_the_global_model_hidden_demand_stays_found() -> None:
    sold, exposure, level = censored("half the period", "W-MON")
    about = fit_demand(panel_of(sold, exposure, freq="W-MON"), Settings(smooth_items=0)).about
    assert about["global_weight"].max() > 0
    assert abs(float(np.mean(about["mean_per_period"].to_numpy(dtype=float) / level)) - 1.0) < 0.03


def test_half_hidden_is_said() -> None:
    sold, exposure, _ = censored("whole periods", "W-MON")
    exposure[0, -20:] = 0.0
    about = fit_demand(panel_of(sold, exposure, freq="W-MON"), SIMPLE).about
    assert about["confidence"][0] == "low"
    assert "out of stock" in about["confidence_reason"][0]
