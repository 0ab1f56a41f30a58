"""The figure of one item: what is in it, that it is the same every time, and that it bears missing parts."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from plan_fixture import AS_OF, made_up_plan

from backorder_forecast.plots import (
    ItemPicture,
    draw_fan,
    draw_losses,
    draw_pit,
    picture_png,
    picture_svg,
    plot_item,
    style,
)


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


@pytest.mark.parametrize("width", [5.0, 7.6, 10.0])
@pytest.mark.parametrize("sku", ["FX-001023", "WARM-MM-004358-MAGENTA", "i" * 120])
def test_a_long_title_is_wrapped_and_stands_clear_of_the_panels(width: float, sku: str) -> None:
    words = f"{sku}: 99% chance to run out within 90 days, nothing more ordered (critical)"
    figure = plot_item(dataclasses.replace(_picture(), title=words), width=width)
    figure.canvas.draw()
    heading = next(t for t in figure.texts if t.get_text().startswith(sku[:9]))
    box, page = heading.get_window_extent(), figure.bbox
    assert page.x0 <= box.x0 <= box.x1 <= page.x1
    assert box.y1 <= page.y1
    panel = figure.axes[0].get_tightbbox()
    assert panel is not None
    assert box.y0 > panel.y1
    assert " ".join(heading.get_text().split()).replace(" ", "") == words.replace(" ", "")


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
    mine = Figure(figsize=(5, 5))
    assert plot_item(_picture(), figure=mine) is mine
    assert len(mine.axes) == 4


def _fan(n: int = 4) -> pd.DataFrame:
    dates = pd.date_range("2024-05-06", periods=n, freq="W-MON")
    return pd.DataFrame({"date": dates, 0.1: 1.0, 0.25: 2.0, 0.5: 3.0, 0.75: 4.0, 0.9: 6.0})


def test_a_fan_shows_what_happened_in_the_middle_of_each_period() -> None:
    axes = Figure().add_subplot()
    draw_fan(axes, _fan(), title="A", after=pd.DataFrame({"date": _fan()["date"], "demand": [3.0, 0.0, 9.0, 2.0]}))
    dots = next(line for line in axes.lines if line.get_label() == "what happened")
    assert np.asarray(dots.get_ydata()).tolist() == [3.0, 0.0, 9.0, 2.0]
    starts = (_fan()["date"] - pd.Timestamp("1970-01-01")).dt.days
    assert np.asarray(dots.get_xdata()).tolist() == (starts + 3.5).tolist()
    assert axes.get_ylim()[1] > 9.0
    labels = axes.get_legend_handles_labels()[1]
    assert "mean" not in labels, "no mean was given"
    assert {"8 times in 10", "median"} <= set(labels)


def test_bands_of_a_fan_reach_from_quantile_to_quantile_to_the_end_of_the_last_period() -> None:
    axes = Figure().add_subplot()
    draw_fan(axes, _fan(), title="A")
    wide, narrow = (np.asarray(band.get_paths()[0].vertices) for band in axes.collections)
    assert (wide[:, 1].min(), wide[:, 1].max()) == (1.0, 6.0)
    assert (narrow[:, 1].min(), narrow[:, 1].max()) == (2.0, 4.0)
    assert np.ptp(wide[:, 0]) == 28


def test_weeks_out_of_stock_are_shaded_over_the_whole_height() -> None:
    before = pd.DataFrame({"date": pd.date_range("2024-04-15", periods=3, freq="W-MON"), "demand": [5.0, 0.0, 2.0]})
    axes = Figure().add_subplot()
    draw_fan(axes, _fan(), title="A", before=before.assign(in_stock=[1.0, 0.2, np.nan]))
    bars, shade = axes.containers
    assert [bar.get_height() for bar in bars] == [5.0, 0.0, 2.0]
    (box,) = (axes.transAxes.inverted().transform_bbox(patch.get_window_extent()) for patch in shade)
    assert (box.y0, box.y1) == pytest.approx((0.0, 1.0))
    assert shade[0].get_x() == bars[1].get_x()


def test_a_pit_histogram_shows_the_shares_and_how_far_chance_goes() -> None:
    shares = pd.DataFrame({"decile": range(1, 11), "share": [0.19, *[0.09] * 9]})
    tops = []
    for n in (100, 400):
        axes = Figure().add_subplot()
        draw_pit(axes, shares, title="PIT", n_observations=n)
        assert [bar.get_height() for bar in axes.containers[0]] == shares["share"].tolist()
        band = next(p for p in axes.patches if p.get_label() == "by chance alone")
        tops.append(band.get_window_extent().transformed(axes.transData.inverted()).y1)
    # Binomial: the standard error of a tenth is .03 of a hundred cases, half of that of four hundred.
    assert tops == pytest.approx([0.1 + 1.96 * 0.03, 0.1 + 1.96 * 0.015])


def test_losses_have_one_line_per_method_and_the_first_stands_out() -> None:
    losses = pd.DataFrame({"own": [1.0, 2.0], "ses": [1.5, 2.5], "naive": [3.0, 4.0]}, index=[1, 2])
    axes = Figure().add_subplot()
    draw_losses(axes, losses, title="loss")
    drawn = {line.get_label(): np.asarray(line.get_ydata()).tolist() for line in axes.lines}
    assert drawn == losses.to_dict("list")
    assert axes.lines[0].get_linewidth() > max(line.get_linewidth() for line in axes.lines[1:])
    assert len({line.get_color() for line in axes.lines}) == 3


def test_the_style_is_known_to_matplotlib() -> None:
    import matplotlib as mpl

    with mpl.rc_context(style()):
        assert mpl.rcParams["axes.spines.top"] is False


@pytest.mark.parametrize("sku", ["日本 語", "A$_{$1", r"$\frac$"])
@pytest.mark.parametrize("redraw", [picture_png, picture_svg])
def test_signs_without_a_glyph_and_dollars_are_drawn_without_a_warning(redraw: Any, sku: str) -> None:
    assert len(redraw(plot_item(dataclasses.replace(_picture(), sku=sku, title=f"{sku} (critical)")))) > 1000
