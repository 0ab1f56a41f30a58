"""The figure of one item: what is in it, that it is the same every time, and that it bears missing parts."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from plan_fixture import AS_OF, made_up_plan

from backorder_forecast.plots import ItemPicture, picture_png, picture_svg, plot_item

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _picture(sku: str = "001-SKU") -> ItemPicture:
    redraw = made_up_plan().pictures
    assert redraw is not None
    return redraw(sku, "")


def _titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def _words(figure: Figure) -> str:
    import matplotlib.text

    return " | ".join(t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_text())


def test_all_panels_share_one_time_axis_that_spans_past_and_future() -> None:
    figure = plot_item(_picture())
    assert _titles(figure)[:3] == [
        "Demand per day",
        "Stock ahead if nothing more is ordered",
        "Chance of having run out by this date",
    ]
    assert _titles(figure)[3].startswith("On the way, and who waits")
    limits = {axes.get_xlim() for axes in figure.axes}
    assert len(limits) == 1
    first, last = limits.pop()
    as_of = (AS_OF - pd.Timestamp("1970-01-01")).days
    assert first < as_of - 80
    assert last == as_of + 91


def test_words_on_the_figure_name_what_is_known() -> None:
    picture = _picture()
    words = _words(plot_item(picture))
    assert "as of 6 May 2024" in words
    assert "0 on hand, 12 backordered" in words
    assert "4711 ACME" in words
    assert "waits: SO-1000" in words
    assert "likely out 7 May 2024" in words
    assert "+94" in words


def test_chance_of_having_run_out_never_falls_on_the_figure() -> None:
    chance = plot_item(_picture("007-SKU")).axes[2].lines[0].get_ydata()
    values = np.asarray(chance, dtype=float)
    assert values[0] == 0.0
    assert (np.diff(values) >= 0).all()


@pytest.mark.parametrize(("redraw", "magic"), [(picture_png, b"\x89PNG"), (picture_svg, b"<?xml")])
def test_the_same_picture_gives_the_same_bytes(redraw: Any, magic: bytes) -> None:
    first, second = (redraw(plot_item(_picture())) for _ in range(2))
    assert first == second
    assert first.startswith(magic)


def test_a_picture_with_a_forecast_only_has_one_panel() -> None:
    bare = ItemPicture("A", "", "", AS_OF, _picture().forecast)
    assert _titles(plot_item(bare)) == ["Demand per day"]


@pytest.mark.parametrize(
    ("part", "panels"),
    [("history", 4), ("stock", 2), ("open_orders", 4), ("backorders", 4), ("forecast", 4)],
)
def test_each_part_may_be_empty(part: str, panels: int) -> None:
    picture = _picture()
    emptied = dataclasses.replace(picture, **{part: getattr(picture, part).iloc[:0]})
    figure = plot_item(emptied)
    assert len(figure.axes) == panels
    assert len(picture_png(figure, dpi=40)) > 1000


def test_weekly_and_monthly_periods_are_named() -> None:
    for freq, word in (("W-MON", "week"), ("MS", "month")):
        dates = pd.date_range("2024-05-13", periods=6, freq=freq)
        ahead = pd.DataFrame({"date": dates, "mean": 2.0, 0.1: 0.0, 0.5: 2.0, 0.9: 5.0})
        assert _titles(plot_item(ItemPicture("A", "", "", AS_OF, ahead))) == [f"Demand per {word}"]


def test_orders_and_lines_without_a_date_in_sight_are_said_to_be_so() -> None:
    picture = _picture("005-SKU")
    assert picture.open_orders["arrival_0.5"].isna().all()
    assert "not in sight" in _words(plot_item(picture))


def test_an_order_by_date_is_drawn_where_there_is_one() -> None:
    picture = dataclasses.replace(_picture("007-SKU"), order_by_date=AS_OF + pd.Timedelta(days=3))
    assert "order by 9 May 2024" in _words(plot_item(picture))


def test_an_item_that_is_out_already_is_not_predicted_to_run_out() -> None:
    picture = dataclasses.replace(_picture(), stockout_date=AS_OF)
    assert "out since or before" in _words(plot_item(picture))


def test_text_of_the_input_is_never_read_as_mathematics() -> None:
    picture = dataclasses.replace(_picture(), title="$100 $\\frac{ screw")
    assert len(picture_png(plot_item(picture), dpi=40)) > 1000


def test_drawing_touches_no_global_state() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    picture_png(plot_item(_picture()), dpi=40)
    assert dict(mpl.rcParams) == before


def test_a_figure_shows_itself_in_a_notebook() -> None:
    assert plot_item(_picture())._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_a_given_figure_is_drawn_into() -> None:
    from matplotlib.figure import Figure

    mine = Figure(figsize=(5, 5))
    assert plot_item(_picture(), figure=mine) is mine
    assert len(mine.axes) == 4
