"""The plan as an object: complete, protected, and the same after a round through a folder."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from plan_fixture import AS_OF, made_up_plan
from shop_fixture import shop_plan

from backorder_forecast.errors import BackorderForecastError, InvalidSettings
from backorder_forecast.frames import FRAMES, empty_frame
from backorder_forecast.result import Plan
from backorder_forecast.settings import Settings
from backorder_forecast.settings_table import settings_frame, settings_from_dict, settings_to_dict


def _plan(**frames: pd.DataFrame) -> Plan:
    return Plan(frames=frames, settings=Settings(), as_of=AS_OF, freq="D")


@pytest.mark.parametrize("name", FRAMES)
def test_every_frame_is_a_documented_property(name: str) -> None:
    plan = made_up_plan()
    found = getattr(plan, name)
    pd.testing.assert_frame_equal(found() if callable(found) else found, plan.frames[name])
    assert (getattr(Plan, name).__doc__ or "").startswith("One row per")


def test_frames_that_are_not_given_are_empty_but_have_their_columns() -> None:
    plan = _plan(excess=made_up_plan().excess)
    for name in FRAMES:
        if name != "excess":
            found = getattr(plan, name)
            pd.testing.assert_frame_equal(found() if callable(found) else found, empty_frame(name))


def test_unknown_frames_and_missing_columns_are_refused() -> None:
    with pytest.raises(InvalidSettings, match="did you mean 'excess'"):
        _plan(exces=empty_frame("excess"))
    with pytest.raises(BackorderForecastError, match=r"frame excess lacks the column\(s\) p_unsold"):
        _plan(excess=empty_frame("excess").drop(columns="p_unsold"))


def test_what_is_done_to_a_frame_does_not_reach_the_plan() -> None:
    plan = made_up_plan()
    before = plan.stockouts["on_hand"].tolist()
    mine = plan.stockouts
    mine["on_hand"] = -1.0
    mine.loc[0, "sku"] = "changed"
    assert plan.stockouts["on_hand"].tolist() == before
    assert "changed" not in plan.stockouts["sku"].tolist()
    with pytest.raises(TypeError):
        plan.frames["stockouts"] = mine  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.as_of = AS_OF  # type: ignore[misc]


def test_alerts_are_the_flagged_items_that_would_cost_most() -> None:
    stockouts = made_up_plan().stockouts
    flagged = stockouts[stockouts["flag"] != "ok"]
    assert 3 <= len(flagged) < len(stockouts)
    cost = pd.Series(range(len(stockouts)), index=stockouts.index, dtype=float)
    plan = _plan(stockouts=stockouts.assign(expected_miss_cost=cost))
    assert plan.alerts()["sku"].tolist() == flagged["sku"].tolist()[::-1]
    assert plan.alerts(top=2)["sku"].tolist() == flagged["sku"].tolist()[::-1][:2]
    assert len(plan.alerts(top=np.int64(2))) == 2  # type: ignore[arg-type]
    assert plan.alerts(top=0).columns.tolist() == plan.stockouts.columns.tolist()
    # Without any price the order of urgency stays.
    bare = _plan(stockouts=stockouts.assign(expected_miss_cost=float("nan")))
    assert bare.alerts()["sku"].tolist() == flagged["sku"].tolist()
    for wrong in (-1, 2.5, True):
        with pytest.raises(InvalidSettings, match="number of items to show, 0 or more"):
            plan.alerts(top=wrong)  # type: ignore[arg-type]


def test_a_plan_comes_back_from_its_folder(tmp_path: Path) -> None:
    plan = dataclasses.replace(made_up_plan(), settings=Settings(seed=5, alphas=(0.1, 0.2), policy_text="“ja”"))
    again = Plan.from_folder(plan.to_folder(tmp_path / "plan"))
    for name in FRAMES:
        pd.testing.assert_frame_equal(again.frames[name], plan.frames[name])
    assert again.settings == plan.settings
    assert (again.as_of, again.freq, again.notes) == (plan.as_of, plan.freq, plan.notes)
    assert again.mapping_text == plan.mapping_text
    assert again.summary_text() == plan.summary_text()
    # A plan that was read writes the same page, but for the pictures.
    pages = [p.to_html(tmp_path / f"{k}.html", pictures=0).read_text("utf-8") for k, p in enumerate((plan, again))]
    assert pages[0] == pages[1]


def test_plots_of_a_plan_and_of_a_saved_plan(tmp_path: Path) -> None:
    plan = made_up_plan()
    assert len(plan.plot("001-SKU").axes) == 4
    saved = Plan.from_folder(plan.to_folder(tmp_path))
    titles = [axes.get_title(loc="left") for axes in saved.plot("001-SKU").axes]
    assert titles[0] == "Demand per day"
    assert titles[1].startswith("On the way, and who waits")


def test_plot_names_the_nearest_item_and_asks_for_the_location() -> None:
    plan = made_up_plan()
    with pytest.raises(InvalidSettings, match="near it: 001-SKU"):
        plan.plot("001-SKV")
    with pytest.raises(InvalidSettings, match="location of 001-SKU"):
        plan.plot("001-SKU", location="Oslo")
    both = pd.concat([plan.items, plan.items.assign(location="Oslo")], ignore_index=True)
    two = Plan(frames={"items": both}, settings=Settings(), as_of=AS_OF, freq="D", pictures=plan.pictures)
    with pytest.raises(InvalidSettings, match="several locations; name one of: , Oslo"):
        two.plot("001-SKU")
    assert len(two.plot("001-SKU", location="").axes) == 4


def test_it_shows_itself_in_a_notebook_and_in_a_prompt() -> None:
    plan = made_up_plan()
    html = plan._repr_html_()
    assert "What runs out?" in html
    assert "<script" not in html
    assert repr(plan).startswith("<Plan as of 2024-05-06, rows: stockouts 40, ")
    assert repr(_plan()) == "<Plan as of 2024-05-06, rows: none>"


def test_an_empty_plan_can_be_written_everywhere(tmp_path: Path) -> None:
    plan = _plan()
    assert plan.summary().empty
    for path in (plan.to_html(tmp_path / "a.html"), plan.to_excel(tmp_path / "a.xlsx"), plan.to_folder(tmp_path / "a")):
        assert path.exists()
    assert Plan.from_folder(tmp_path / "a").stockouts.empty


def test_settings_survive_a_round_and_name_what_changed() -> None:
    settings = Settings(seed=3, alphas=(0.2,), unmet="lost", business_days=False)
    assert settings_from_dict(settings_to_dict(settings)) == settings
    assert pickle.loads(pickle.dumps(settings)) == settings
    table = settings_frame(settings).set_index("setting")
    assert sorted(table.index[~table["default"]]) == ["alphas", "business_days", "seed", "unmet"]
    assert (table["meaning"] != "").all()
    assert table.loc["business_days", "value"] == "no"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"horizon_days": "30"}, "horizon_days is a number"),
        ({"horizon_days": 30.5}, "horizon_days is a whole number"),
        ({"business_days": 1}, "business_days is a choice of true and false"),
        ({"seed": True}, "seed is a number"),
        ({"alphas": 0.1}, "alphas is a list"),
        ({"seeed": 1, "freq": 7}, "unknown setting 'seeed' .*; freq is a text"),
        ({"service_level": 1.5}, "service_level lies strictly between 0 and 1"),
    ],
)
def test_settings_of_the_wrong_kind_are_refused_all_at_once(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidSettings, match=words):
        settings_from_dict(values)


def test_lines_are_compared_under_each_rule_on_the_paths_of_the_plan() -> None:
    plan = shop_plan()
    table = plan.compare_allocations()
    own = table[table["rule"] == plan.settings.allocation].drop(columns="rule")
    keys = ["sku", "location", "order_id"]
    said = plan.fill_dates[list(own.columns)]
    pd.testing.assert_frame_equal(
        own.sort_values(keys, ignore_index=True), said.sort_values(keys, ignore_index=True), check_dtype=False
    )
    assert list(table["rule"][:3]) == ["fifo", "priority", "fair_share"]
    assert len(table) == 3 * len(plan.fill_dates)
    sku = str(plan.fill_dates["sku"].iloc[0])
    one = plan.compare_allocations(sku, rules=["priority"])
    whole = table[(table["sku"] == sku) & (table["rule"] == "priority")]
    pd.testing.assert_frame_equal(one, whole.reset_index(drop=True))


def test_lines_cannot_be_compared_by_unknown_names_or_without_paths() -> None:
    plan = shop_plan()
    with pytest.raises(InvalidSettings, match="rule 'lifo'"):
        plan.compare_allocations(rules=["lifo"])
    with pytest.raises(InvalidSettings, match="sku 'nobody'"):
        plan.compare_allocations("nobody")
    with pytest.raises(
        InvalidSettings, match=r"rules is a list of fifo, priority, fair_share, each once; got \['fifo'"
    ):
        plan.compare_allocations(rules=["fifo", "fifo"])
    with pytest.raises(InvalidSettings, match="holds frames alone, no sample paths"):
        made_up_plan().compare_allocations()
