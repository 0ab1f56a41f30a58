"""Point forecasts made distributions: every period has its own mean, and the spread that the law states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hand_made import panel_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.panel import RAN_OUT, DemandPanel
from backorder_forecast.point_laws import (
    PointLaw,
    error_dispersion,
    horizon_clock,
    law_model,
    on_sale_share,
    usable_history,
)

Floats = NDArray[np.float64]
N_PATHS = 30_000
MEANS = np.array([[2.0, 40.0, 0.0, 6.0], [0.5, 0.5, 0.1, 3.0], [0.0, 0.0, 0.0, 0.0]])


def law(dispersion: float = 0.3, share: float = 0.1) -> PointLaw:
    return PointLaw(MEANS, np.full(3, dispersion), np.full(3, share))


def history(fractional: bool = False) -> DemandPanel:
    demand = np.tile([0.0, 2.5 if fractional else 3.0, 4.0, 1.0], (3, 10))
    return panel_of(demand, freq="W-MON")


def drawn(panel: DemandPanel, given_law: PointLaw, horizon: int = 4) -> Floats:
    return law_model(panel, given_law).paths(horizon_clock(panel, horizon), n_paths=N_PATHS, seed=1).draw()


@pytest.mark.parametrize("fractional", [False, True])
def test_every_period_has_its_own_mean_in_model_and_paths(fractional: bool) -> None:
    panel = history(fractional)
    model, values = law_model(panel, law()), drawn(panel, law())
    np.testing.assert_allclose(model.mean(horizon_clock(panel, 4)), MEANS)
    error = values.std(axis=1) / np.sqrt(N_PATHS)
    assert (np.abs(values.mean(axis=1) - MEANS) <= 4 * error).all()
    assert (values[:2].max(axis=1) > 0).tolist() == (MEANS[:2] > 0).tolist()
    assert (values[2] == 0).all(), "a mean of 0 leaves no room for spread"


@pytest.mark.parametrize("dispersion", [0.0, 0.3, 1.5])
def test_counts_have_the_stated_dispersion(dispersion: float) -> None:
    values = drawn(history(), law(dispersion, 0.0))
    assert (values == np.floor(values)).all()
    variance = values.var(axis=1)
    np.testing.assert_allclose(variance[:2], (MEANS + dispersion * MEANS**2)[:2], rtol=0.1)
    sums = values.sum(axis=2).var(axis=1)
    np.testing.assert_allclose(sums[:2], variance[:2].sum(axis=1), rtol=0.05)


def test_other_units_have_it_with_the_zeros_of_the_past() -> None:
    panel = history(fractional=True)
    values = drawn(panel, law(1.0, 0.0))
    assert (values % 1 != 0).any()
    np.testing.assert_allclose(values.var(axis=1)[:2], (MEANS**2)[:2], rtol=0.1)
    # History begins at the first sale: of 39 weeks nine had none.
    assert (values[0][:, 0] == 0).mean() == pytest.approx(1 - 30.5 / 40, abs=0.01)


def test_what_periods_have_in_common_widens_their_sum() -> None:
    flat = PointLaw(np.full((3, 4), 5.0), np.full(3, 0.4), np.array([0.0, 0.2, 1.0]))
    sums = drawn(history(), flat).sum(axis=2).var(axis=1)
    one = 5.0 + 0.4 * 25
    # A count is no narrower than Poisson within its level: of the variance 15, 10 can be common.
    np.testing.assert_allclose(sums, [4 * one, 4 * one + 12 * 0.2 * one, 4 * one + 12 * 10.0], rtol=0.05)


def test_a_shorter_clock_is_the_beginning_of_a_longer_one() -> None:
    panel = history()
    model, clock = law_model(panel, law()), horizon_clock(panel, 4)
    whole = model.paths(clock, n_paths=50, seed=2).draw()
    np.testing.assert_array_equal(model.drawer(clock, n_paths=50, seed=2)(1, 3, 2), whole[1:, :, :2])


def test_nothing_is_forecast_before_the_launch_or_after_the_end() -> None:
    panel = history()
    assert panel.as_of == pd.Timestamp("2023-10-08")
    panel.items["launched"] = pd.to_datetime(pd.Series([None, "2023-10-20", None]))
    panel.items["discontinued"] = pd.to_datetime(pd.Series(["2023-10-18", None, None]))
    clock = horizon_clock(panel, 4)
    share = on_sale_share(panel, clock)
    np.testing.assert_allclose(share, [[1.0, 3 / 7, 0.0, 0.0], [0.0, 3 / 7, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    np.testing.assert_allclose(law_model(panel, law()).mean(clock), MEANS * share)
    values = law_model(panel, law()).paths(clock, n_paths=200, seed=0).draw()
    assert (values.sum(axis=1)[:2] > 0).tolist() == [[True, True, False, False], [False, True, True, True]]


@pytest.mark.parametrize("freq", ["D", "W-SUN", "MS"])
def test_the_clock_holds_the_periods_after_the_panel(freq: str) -> None:
    panel = panel_of(np.ones((1, 5)), freq=freq, start="2024-09-01")
    clock = horizon_clock(panel, 14)
    assert clock.starts.equals(pd.date_range(panel.periods[-1], periods=15, freq=freq)[1:])
    assert (clock.fraction == 1).all()


@pytest.mark.parametrize("horizon", [0, -1, 2.5, "8", True])
def test_a_horizon_is_a_whole_number_of_periods(horizon: Any) -> None:
    with pytest.raises(InvalidSettings, match="whole number of periods, at least one; got"):
        horizon_clock(history(), horizon)


@given(data=st.data(), n=st.integers(1, 20), least=st.sampled_from([0.0, 0.25, 0.6]))
def test_history_is_what_was_seen_since_the_first_sale(data: st.DataObject, n: int, least: float) -> None:
    demand = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), dtype=float)
    shares = st.sampled_from([1.0, 1.0, 0.5, 0.25, 0.1, 0.0, RAN_OUT])
    exposure = np.array(data.draw(st.lists(shares, min_size=n, max_size=n)))
    y, worth = usable_history(panel_of(demand, exposure), min_in_stock=least)
    usable = (exposure >= least) & (exposure > 0)
    sold = np.flatnonzero(usable & (demand > 0))
    known = usable & (np.arange(n) >= (sold[0] if len(sold) else n))
    np.testing.assert_array_equal(~np.isnan(y[0]), known)
    np.testing.assert_array_equal(y[0][known], demand[known])
    np.testing.assert_array_equal(worth[0], np.where(known, exposure, 1.0))


def test_the_dispersion_of_a_known_law_is_found() -> None:
    rng = np.random.default_rng(0)
    y = rng.negative_binomial(2.0, 2 / (2 + 6.0), (1, 20_000)).astype(np.float64)
    ones, f = np.ones_like(y), np.full_like(y, 6.0)
    counted = np.array([True])
    assert error_dispersion(y, ones, f, np.array([6.0]), counted=counted)[0] == pytest.approx(0.5, rel=0.1)
    poisson = rng.poisson(6.0, y.shape).astype(np.float64)
    assert error_dispersion(poisson, ones, f, np.array([6.0]), counted=counted)[0] < 0.01
    gamma = rng.gamma(4.0, 1.5, y.shape)
    assert error_dispersion(gamma, ones, f, np.array([6.0]), counted=~counted)[0] == pytest.approx(0.25, rel=0.1)
    nothing = np.full((1, 5), np.nan)
    assert error_dispersion(nothing, np.ones((1, 5)), nothing, np.zeros(1), counted=counted).tolist() == [0.0]
