"""The plan on one screen: figures that follow from the frames, and the same figures as text."""

from __future__ import annotations

import pandas as pd
from plan_fixture import AS_OF, made_up_plan

from backorder_forecast.frames import FRAMES, empty_frame
from backorder_forecast.summary import figures, summarise, summary_text


def _figure(topic: str) -> float:
    summary = made_up_plan().summary().set_index("topic")
    return float(summary.loc[topic, "figure"])  # type: ignore[arg-type]


def test_figures_follow_from_the_frames() -> None:
    plan = made_up_plan()
    assert _figure("critical") == (plan.stockouts["flag"] == "critical").sum()
    assert _figure("warning") == (plan.stockouts["flag"] == "warning").sum()
    assert _figure("out now") == plan.stockouts["already_out"].sum()
    assert _figure("revenue at risk") == plan.stockouts["revenue_at_risk"].sum()
    assert _figure("orders to place") == len(plan.reorders)
    assert _figure("order value") == plan.reorders["cost"].sum()
    assert _figure("lines waiting") == len(plan.fill_dates)
    assert _figure("messages to send") == len(plan.notices)
    assert _figure("excess stock") == plan.excess["excess_value"].sum()
    assert _figure("rows set aside") == 8
    on_time = plan.suppliers["on_time_share"] * plan.suppliers["n_received"]
    assert _figure("delivered on time") == on_time.sum() / plan.suppliers["n_received"].sum()


def test_sums_in_money_say_what_they_leave_out() -> None:
    orders = made_up_plan().reorders.assign(supplier="")
    priced = orders["cost"].where(orders.index != orders.index[0])
    partly = summarise({"reorders": orders.assign(cost=priced)}, as_of=AS_OF).set_index("topic").loc["order value"]
    assert (partly["figure"], partly["kind"]) == (priced.sum(), "money")
    assert partly["text"] == "no supplier is known; 1 item without a unit cost not counted"
    none = summarise({"reorders": orders.assign(cost=float("nan"))}, as_of=AS_OF).set_index("topic")
    assert "order value" not in none.index
    assert none.loc["units to order", "figure"] == orders["order_quantity"].sum()
    assert none.loc["units to order", "text"] == "no supplier is known; no unit cost is known, so units are counted"


def test_it_fits_a_screen() -> None:
    lines = made_up_plan().summary_text().splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 140


def test_text_shows_every_topic_its_figure_and_the_notes() -> None:
    plan = made_up_plan()
    text = plan.summary_text()
    for topic, figure in zip(plan.summary()["topic"], figures(plan.summary()), strict=True):
        assert f"{figure:>12}  {topic}" in text
    assert all(note in text for note in plan.notes)


def test_empty_frames_leave_their_rows_out() -> None:
    nothing = summarise({name: empty_frame(name) for name in FRAMES}, as_of=AS_OF)
    assert nothing.empty
    assert list(nothing.columns) == ["question", "topic", "figure", "kind", "text", "tone"]
    assert summary_text(nothing, headline="Plan", notes=["no tables"]) == "Plan\n\nGood to know\n  - no tables"


def test_each_frame_may_stand_alone_or_have_missing_values() -> None:
    plan = made_up_plan()
    for name in FRAMES:
        frame = plan.frames[name]
        assert set(summarise({name: frame}, as_of=AS_OF)["topic"]) <= set(plan.summary()["topic"])
        holes = frame.copy()
        for column in frame.columns:
            if frame[column].dtype.kind in "fM" or isinstance(frame[column].dtype, pd.StringDtype):
                holes[column] = pd.Series(dtype=frame[column].dtype).reindex(frame.index)
        summarise({name: holes}, as_of=AS_OF)


def test_a_calm_plan_is_green() -> None:
    calm = made_up_plan().stockouts.assign(flag="ok", already_out=False)
    tones = summarise({"stockouts": calm}, as_of=AS_OF).set_index("topic")["tone"]
    assert tones[["critical", "warning", "out now"]].tolist() == ["ok", "ok", "ok"]


def test_tallies_add_up_to_their_figures_and_leave_out_what_has_no_stock_record() -> None:
    items = [f"i{k}" for k in range(9)]
    decisions = ["accept"] * 3 + ["accept only against a confirmed order"] * 2 + ["do not backorder"] * 4
    cutoffs = pd.DataFrame({"sku": items, "location": "", "decision": decisions, "wait_cutoff_days": 9.0})
    kinds = ["a"] * 5 + ["b"] * 4 + ["c"] * 3 + ["d"] * 2 + ["e", "f"]
    stockouts = made_up_plan().stockouts.iloc[:7].assign(sku=[*items[:2], *items[3:8]], location="")
    frames = {"wait_cutoffs": cutoffs, "notices": pd.DataFrame({"kind": kinds})}
    alone = summarise(frames, as_of=AS_OF).set_index("topic")
    assert alone.loc["items to go on taking", "text"] == (
        "of 9: 3 accept, 2 accept only against a confirmed order, 4 do not backorder"
    )
    assert alone.loc["items to go on taking", "figure"] == 5
    assert alone.loc["messages to send", "text"] == "5 a, 4 b, 3 c, 2 d, 2 other"
    known = summarise({**frames, "stockouts": stockouts}, as_of=AS_OF).set_index("topic")
    assert known.loc["items to go on taking", "figure"] == 4
    assert str(known.loc["items to go on taking", "text"]).startswith("of 7: 2 accept, 2 accept only")
