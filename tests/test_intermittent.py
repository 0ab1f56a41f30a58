from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.intermittent import adida, croston, croston_states, demand_events, imapa, tsb, tsb_states

KNOWN: dict[str, Any] = json.loads((Path(__file__).parent / "known_answers" / "demand.json").read_text())
STATSFORECAST = KNOWN["statsforecast"]
panels = st.lists(
    st.lists(st.one_of(st.just(0.0), st.floats(0.5, 100)), min_size=8, max_size=8), min_size=1, max_size=5
).map(np.array)
alphas = st.floats(0.01, 0.99)


def test_croston_known_answer() -> None:
    case = KNOWN["croston_fpp2_productC"]
    y, alpha, expected = case["inputs"]["y"], case["inputs"]["alpha"], case["expected"]
    sizes, intervals = demand_events(y)
    assert sizes[0].tolist() == expected["sizes"]
    assert intervals[0].tolist() == expected["intervals"]
    size, interval = croston_states(y, alpha)
    assert size[0] == pytest.approx(expected["size_level"], abs=case["abs_tolerance"])
    assert interval[0] == pytest.approx(expected["interval_level"], abs=case["abs_tolerance"])
    assert croston(y, alpha)[0] == pytest.approx(expected["forecast_per_period"], abs=case["abs_tolerance"])


def test_sba_known_answer() -> None:
    case = KNOWN["sba_fpp2_productC"]
    forecast = croston(case["inputs"]["y"], case["inputs"]["alpha"], correction="sba")
    assert forecast[0] == pytest.approx(case["expected"], abs=case["abs_tolerance"])


def test_tsb_known_answer() -> None:
    case = KNOWN["tsb_fpp2_productC"]
    y, alpha, beta = (case["inputs"][k] for k in ("y", "alpha", "beta"))
    size, probability = tsb_states(y, alpha, beta)
    assert probability[0] == pytest.approx(case["expected"]["p"], abs=case["abs_tolerance"])
    assert size[0] == pytest.approx(case["expected"]["z"], abs=case["abs_tolerance"])
    assert tsb(y, alpha, beta)[0] == pytest.approx(case["expected"]["forecast"], abs=case["abs_tolerance"])


def test_adida_known_answer() -> None:
    case = KNOWN["adida_small"]
    forecast = adida(case["inputs"]["y"], case["inputs"]["alpha"], bucket=case["inputs"]["bucket"])
    assert forecast[0] == pytest.approx(case["expected"], abs=case["abs_tolerance"])


def test_croston_matches_r_forecast() -> None:
    case = KNOWN["sktime"]
    forecasts = [croston(case["y"], alpha)[0] for alpha in case["alpha"]]
    assert forecasts == pytest.approx(case["R_croston"], abs=1e-6)


@pytest.mark.parametrize("name", ["ts_data1", "ts_data2"])
def test_all_variants_match_tsintermittent(name: str) -> None:
    case = KNOWN["tsintermittent"][name]
    y, checked = case["y"], 0
    for key, value in case["expected"].items():
        parts = key.split("|")
        if parts[0] == "crost":
            kind, weight, initial = (part.split("=")[1] for part in parts[1:4])
            forecast = croston(
                y,
                float(weight),
                initial="mean" if initial == "mean" else "first",
                correction="none" if kind == "croston" else kind,
            )
        elif parts[0] == "tsb":
            alpha, beta = (float(w) for w in parts[1][2:].split(","))
            forecast = tsb(y, alpha, beta, initial="mean" if parts[2] == "init=mean" else "first")
        else:
            continue
        assert forecast[0] == pytest.approx(value, rel=1e-10), key
        checked += 1
    assert checked == 30
    sizes, intervals = demand_events(y)
    assert sizes[0].tolist() == case["expected"]["crost.decomp.demand"]
    assert intervals[0].tolist() == case["expected"]["crost.decomp.interval"]


@pytest.mark.parametrize(
    "case",
    [c for c in STATSFORECAST["cases"] if c["model"] != "SES"],
    ids=lambda c: f"{c['series'][:12]}-{c['model']}-{c['params'].get('alpha_d', '')}",
)
def test_statsforecast(case: dict[str, Any]) -> None:
    y = STATSFORECAST["series"][case["series"]]
    params = case["params"]
    # its optimiser stops early, so that optimised constants agree to a few digits only
    forecast, tolerance = {
        "CrostonClassic": lambda: (croston(y, 0.1), 1e-12),
        "CrostonSBA": lambda: (croston(y, 0.1, correction="sba"), 1e-12),
        "CrostonOptimized": lambda: (croston(y, None), 1e-4),
        "ADIDA": lambda: (adida(y), 1e-4),
        "IMAPA": lambda: (imapa(y), 1e-4),
        "TSB": lambda: (tsb(y, params["alpha_d"], params["alpha_p"], initial="first"), 1e-12),
    }[case["model"]]()
    assert forecast[0] == pytest.approx(case["forecast"], rel=tolerance, abs=tolerance)


@settings(max_examples=60, deadline=None)
@given(panel=panels, alpha=alphas, beta=alphas, factor=st.floats(0.1, 10))
def test_forecasts_scale_with_demand_and_ignore_row_order(
    panel: np.ndarray, alpha: float, beta: float, factor: float
) -> None:
    methods: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda y: croston(y, alpha),
        lambda y: tsb(y, alpha, beta),
        lambda y: adida(y, alpha),
    ]
    for method in methods:
        forecast = method(panel)
        assert method(panel * factor) == pytest.approx(forecast * factor, rel=1e-9)
        assert method(panel[::-1]).tolist() == forecast[::-1].tolist()
        assert (forecast <= panel.max(axis=1) + 1e-9).all()
        assert ((forecast == 0) == (panel.max(axis=1) == 0)).all()


@settings(max_examples=60, deadline=None)
@given(panel=panels, alpha=alphas, data=st.data())
def test_missing_periods_are_as_if_they_had_not_been(panel: np.ndarray, alpha: float, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, panel.shape[1]))
    gap = np.insert(panel, position, np.nan, axis=1)
    sold_out = np.insert(panel, position, 0.0, axis=1)
    exposure = np.insert(np.ones_like(panel), position, 0.1, axis=1)
    assert croston(gap, alpha).tolist() == croston(panel, alpha).tolist()
    assert croston(sold_out, alpha, exposure=exposure).tolist() == croston(panel, alpha).tolist()
    for initial in ("first_interval", "first", "mean"):
        expected = tsb(panel, alpha, alpha, initial=initial)
        assert tsb(gap, alpha, alpha, initial=initial).tolist() == expected.tolist()
        assert tsb(sold_out, alpha, alpha, exposure=exposure, initial=initial).tolist() == expected.tolist()
    assert adida(gap, alpha).tolist() == adida(panel, alpha).tolist()
    assert imapa(gap, alpha).tolist() == imapa(panel, alpha).tolist()


def test_steady_demand_is_forecast_as_it_is_and_interval_one_croston_is_ses() -> None:
    steady = np.full((1, 20), 7.0)
    for forecast in (croston(steady, 0.2), tsb(steady, 0.2, 0.2), adida(steady), imapa(steady)):
        assert forecast.tolist() == pytest.approx([7.0])


def test_half_stocked_periods_wait_half_as_long() -> None:
    # a demand every second full period, or every fourth half-stocked one, is the same rate
    full = np.tile([0.0, 6.0], 30)[None, :]
    half = np.tile([0.0, 0.0, 0.0, 6.0], 30)[None, :]
    exposure = np.full_like(half, 0.5)
    assert croston(half, 0.1, exposure=exposure) == pytest.approx(croston(full, 0.1))
    rng = np.random.default_rng(1)
    thinned = np.where(rng.random((400, 600)) < 0.1, 6.0, 0.0)
    rates = tsb(thinned, 0.05, 0.02, exposure=np.full_like(thinned, 0.5))
    assert rates.mean() == pytest.approx(0.1 / 0.5 * 6.0, rel=0.03)


def test_tsb_fades_and_croston_does_not_after_the_last_demand() -> None:
    selling = np.tile([0.0, 4.0], 10)[None, :]
    stopped = np.concatenate([selling, np.zeros((1, 20))], axis=1)
    assert croston(stopped, 0.1).tolist() == croston(selling, 0.1).tolist()
    assert tsb(stopped, 0.1, 0.1)[0] == pytest.approx(tsb(selling, 0.1, 0.1)[0] * 0.9**20)


def test_corrections_use_the_constant_of_the_intervals() -> None:
    y = KNOWN["croston_fpp2_productC"]["inputs"]["y"]
    plain = croston(y, 0.1, interval_alpha=0.3)
    assert croston(y, 0.1, interval_alpha=0.3, correction="sba") == pytest.approx(plain * 0.85)
    assert croston(y, 0.1, interval_alpha=0.3, correction="sbj") == pytest.approx(plain * (1 - 0.3 / 1.7))
    optimised = croston(y, None, correction="sba") / croston(y, None)
    assert 0.85 <= optimised[0] <= 0.95


def test_no_demand_is_zero_and_no_period_is_unknown() -> None:
    panel = [[0.0, 0.0, 0.0], [np.nan, np.nan, np.nan]]
    for forecast in (croston(panel, 0.1), tsb(panel, 0.1, 0.1), adida(panel), imapa(panel), croston(panel, None)):
        assert forecast[0] == 0.0
        assert np.isnan(forecast[1])


def test_unknown_options_name_the_valid_ones() -> None:
    with pytest.raises(InvalidSettings, match="none, sba, sbj"):
        croston([[1.0]], 0.1, correction="sbb")
    with pytest.raises(InvalidSettings, match="first, mean"):
        croston([[1.0]], 0.1, initial="naive")
    with pytest.raises(InvalidSettings, match="first_interval, first, mean"):
        tsb([[1.0]], 0.1, 0.1, initial="naive")
    with pytest.raises(InvalidSettings, match="at least one period"):
        adida([[1.0]], 0.1, bucket=0)
