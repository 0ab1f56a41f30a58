from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_fixture import made_up_plan

import backorder_forecast as bf
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.plots import picture_png
from backorder_forecast.synthetic import make_world
from backorder_forecast.wait_curves import ASSUMPTIONS, cutoff_shifts, sensitivity_frame, value_curve, wait_figure
from backorder_forecast.waits import StayLaw, WaitTerms, wait_cutoff

LAW = StayLaw.exponential(1 / 30)


def terms(*amounts: float) -> WaitTerms:
    margin, refund, daily, goodwill, late, refuse = (np.array([x]) for x in amounts)
    return WaitTerms(margin, refund, daily, goodwill, late, refuse)


def test_shifts_are_cutoffs_of_changed_assumptions() -> None:
    less, more = cutoff_shifts(terms(20, 6, 0.05, 1, 2, 3), LAW, max_days=365)
    for k, (low, high) in enumerate(
        [((16, 6, 0.05, 1, 2, 3), (24, 6, 0.05, 1, 2, 3)), ((20, 4.8, 0.05, 1, 2, 3), (20, 7.2, 0.05, 1, 2, 3)),
         ((20, 6, 0.04, 1, 2, 3), (20, 6, 0.06, 1, 2, 3)), ((20, 6, 0.05, 0.8, 1.6, 3), (20, 6, 0.05, 1.2, 2.4, 3)),
         ((20, 6, 0.05, 1, 2, 2.4), (20, 6, 0.05, 1, 2, 3.6))]
    ):  # fmt: skip
        assert less[0, k] == pytest.approx(wait_cutoff(terms(*low), LAW)[0])
        assert more[0, k] == pytest.approx(wait_cutoff(terms(*high), LAW)[0])
    patient = StayLaw.exponential(1 / 36)
    assert more[0, -1] == pytest.approx(wait_cutoff(terms(20, 6, 0.05, 1, 2, 3), patient)[0])


amount = st.floats(0.1, 20)


@given(amount, amount, st.floats(0, 0.5), st.floats(0, 3), st.floats(-2, 5))
def test_more_to_earn_or_more_patience_never_shortens_and_more_cost_never_lengthens(
    margin: float, refund: float, daily: float, goodwill: float, refuse: float
) -> None:
    base = terms(margin, refund, daily, goodwill, goodwill, refuse)
    less, more = cutoff_shifts(base, LAW, max_days=365)
    usual = wait_cutoff(base, LAW)[0]
    sign = {"margin": 1, "refund cost": -1, "daily cost": -1, "goodwill": -1, "patience": 1}
    for name, way in sign.items():
        k = ASSUMPTIONS.index(name)
        assert way * (more[0, k] - usual) >= -1e-6, name
        assert way * (usual - less[0, k]) >= -1e-6, name


def test_the_assumption_that_moves_most_is_named() -> None:
    none = np.zeros(2)
    many = WaitTerms(np.array([20.0, 0.0]), np.full(2, 6.0), np.full(2, 0.05), none, none, np.array([0.0, 1.0]))
    law = StayLaw.exponential([1 / 30, 1 / 30])
    frame = sensitivity_frame(many, law, wait_cutoff(many, law), max_days=365)
    assert frame["sensitive_to"].tolist() == ["patience", ""]  # a line without a margin has no cutoff to move
    assert frame["cutoff_if_less"].iloc[0] == pytest.approx(31.9, abs=0.1)
    assert len(sensitivity_frame(many.rows(0, 0), law.rows(0, 0), np.zeros(0), max_days=365)) == 0


def test_the_curve_crosses_the_worth_of_refusing_at_the_cutoff() -> None:
    base = terms(20, 6, 0.05, 0, 0, 1)
    curve = value_curve(base, LAW, days=80, low=LAW.at_quantile(0.9), high=LAW.at_quantile(0.1))
    pays = curve["value_accept"] >= curve["value_refuse"]
    assert curve.loc[pays, "days"].max() == np.floor(wait_cutoff(base, LAW)[0])
    assert curve["stays"].iloc[30] == pytest.approx(np.exp(-1))
    assert (curve["value_accept_low"] <= curve["value_accept_high"]).all()


@pytest.fixture(scope="module")
def plan() -> bf.Plan:
    world = make_world("matched", n_skus=30, seed=3)
    options = bf.Settings(n_paths=60, workers=1, global_model=False, learned_flag=False, theta=False, smooth_items=0,
                          promise_origins=0)  # fmt: skip
    return bf.make_plan(bf.read_tables(dict(world.tables), as_of=world.as_of), options)


def test_a_plan_names_and_draws_what_the_cutoff_rests_on(plan: bf.Plan) -> None:
    frame = plan.wait_cutoffs
    assert set(frame["sensitive_to"]) <= {*ASSUMPTIONS, ""}
    moved = frame["sensitive_to"] != ""
    assert moved.any()
    apart = np.maximum(
        (frame["cutoff_if_less"] - frame["own_cutoff_days"]).abs(),
        (frame["cutoff_if_more"] - frame["own_cutoff_days"]).abs(),
    )
    assert (apart[moved] >= 0.5).all()
    assert (apart[~moved] < 0.5).all()
    row = frame[moved].iloc[0]
    figure = plan.plot_wait(row["sku"])
    axes = figure.axes[0]
    assert row["decision"] in figure.get_suptitle()
    assert row["sensitive_to"] in axes.get_title(loc="left")
    assert picture_png(figure) == picture_png(plan.plot_wait(row["sku"]))
    curve = plan.pictures(row["sku"], "").waits if plan.pictures else pd.DataFrame()
    assert len(wait_figure(curve, row.to_dict()).axes) == 1
    pulled = wait_figure(curve, row.to_dict() | {"own_cutoff_days": 139.0, "wait_cutoff_days": 118.0}).axes[0]
    assert "own value 139 days, drawn to 118 by the usual band" in pulled.get_title(loc="left")
    as_is = wait_figure(curve, row.to_dict() | {"own_cutoff_days": 118.0, "wait_cutoff_days": 118.0}).axes[0]
    assert "usual band" not in as_is.get_title(loc="left")


def test_a_plan_without_paths_says_why_there_is_no_curve() -> None:
    plan = made_up_plan()
    with pytest.raises(InvalidSettings, match=r"no curve of waits for .*: it takes a plan made now"):
        plan.plot_wait(str(plan.stockouts["sku"].iloc[0]))
