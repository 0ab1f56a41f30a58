"""The theta method of every item: known values, what is hidden, the weekly steps of a daily clock."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hand_made import panel_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backorder_forecast.panel import RAN_OUT
from backorder_forecast.theta import CONSTANTS, MIN_STEPS, theta_sums

Floats = NDArray[np.float64]
NILE = np.array([
    1120, 1160, 963, 1210, 1160, 1160, 813, 1230, 1370, 1140, 995, 935, 1110, 994, 1020, 960, 1180, 799, 958, 1140,
    1100, 1210, 1150, 1250, 1260, 1220, 1030, 1100, 774, 840, 874, 694, 940, 833, 701, 916, 692, 1020, 1050, 969,
], dtype=float)  # fmt: skip
"""Annual flow of the Nile at Aswan from 1871 on, 10^8 m^3 (Durbin & Koopman 2001)."""


def sums(demand: Floats, window: int = 3, *, freq: str = "W-MON", exposure: Floats | None = None) -> Floats:
    """Of one item with an even calendar, shape ()."""
    panel = panel_of(demand[None, :], None if exposure is None else exposure[None, :], freq=freq)
    first = np.array([int(np.argmax(demand > 0))])
    n = panel.n_periods
    return np.asarray(theta_sums(panel, np.ones((1, n + window)), np.array([0]), first, [n], window)[0, 0])


def by_formula(rates: Floats, window: int) -> float:
    """Hyndman & Billah (2003), the constant of least squared error of the one-step forecasts."""
    best, level = np.inf, 0.0
    constant = 0.0
    for a in CONSTANTS:
        held, error = rates[0], 0.0
        for k, rate in enumerate(rates[1:], start=2):
            error += (rate - held) ** 2
            held += max(a, 1.0 / k) * (rate - held)
        if error < best:
            best, level, constant = error, held, a
    slope = np.polyfit(np.arange(len(rates)), rates, 1)[0]
    lag = (1.0 - (1.0 - constant) ** len(rates)) / constant
    return float(sum(level + slope / 2 * (h + lag) for h in range(window)))


def test_the_formula() -> None:
    assert sums(NILE) == pytest.approx(by_formula(NILE, 3), rel=1e-12)
    assert sums(NILE, 1, freq="MS") == pytest.approx(by_formula(NILE, 1), rel=1e-12)


def test_next_to_the_fit_by_likelihood() -> None:
    from statsmodels.tsa.forecasting.theta import ThetaModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = ThetaModel(NILE, period=1, deseasonalize=False).fit().forecast(3).sum()
    assert sums(NILE) == pytest.approx(theirs, rel=0.02)


def test_a_constant_goes_on() -> None:
    assert sums(np.full(30, 4.0)) == pytest.approx(12.0, rel=1e-9)
    assert sums(np.full(70, 4.0), 14, freq="D") == pytest.approx(56.0, rel=1e-9)


def test_days_are_taken_by_the_week() -> None:
    weeks = np.repeat(NILE, 7) / 7
    # The first step may be a part of a week; from the origin backwards the steps are whole ones.
    assert sums(weeks, 7, freq="D") == pytest.approx(by_formula(NILE / 7, 1) * 7, rel=1e-9)


def test_hidden_periods_are_left_out_and_parts_count_in_part() -> None:
    exposure = np.ones(40)
    exposure[[10, 25]] = 0.0
    shown = np.where(exposure > 0, NILE, 0.0)
    # The line is drawn through the places of the shown periods, so only nearly equal to those alone.
    assert sums(shown, exposure=exposure) == pytest.approx(by_formula(np.delete(NILE, [10, 25]), 3), rel=0.01)
    half = np.full(40, 0.5)
    assert sums(np.full(40, 3.0), exposure=half) == pytest.approx(18.0, rel=1e-6)


def test_too_little_is_no_forecast() -> None:
    assert np.isnan(sums(np.full(MIN_STEPS - 1, 3.0)))
    assert np.isnan(sums(np.full(40, 3.0), exposure=np.zeros(40)))
    assert not np.isnan(sums(np.full(MIN_STEPS, 3.0)))


def test_an_origin_sees_nothing_after_it() -> None:
    panel = panel_of(np.stack([NILE, np.where(np.arange(40) < 30, NILE, 1e6)]), freq="W-MON")
    zero = np.zeros(2, dtype=np.int64)
    both = theta_sums(panel, np.ones((1, 43)), zero, zero, [20, 30], 3)
    assert both[0].tolist() == both[1].tolist()


@given(
    st.lists(st.integers(0, 50), min_size=8, max_size=40),
    st.lists(st.sampled_from([1.0, 0.4, 0.0, RAN_OUT]), min_size=8, max_size=40),
)
@settings(max_examples=60, deadline=None)
def test_never_negative_and_always_finite(units: list[int], shown: list[float]) -> None:
    n = min(len(units), len(shown))
    demand, exposure = np.array(units[:n], dtype=float), np.array(shown[:n])
    result = float(sums(np.where(exposure == 0, 0.0, demand), exposure=exposure))
    assert np.isnan(result) or (np.isfinite(result) and result >= 0.0)


@given(st.floats(0.01, 1e6))
@settings(max_examples=30, deadline=None)
def test_units_do_not_matter(unit: float) -> None:
    assert sums(NILE * unit) == pytest.approx(float(sums(NILE)) * unit, rel=1e-9)
