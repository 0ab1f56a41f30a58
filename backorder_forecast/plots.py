"""One item as one picture: what was sold, what is expected, when stock runs out, what is on the way, who waits.

Data in, figure out: everything drawn is in an `ItemPicture`, which holds frames and dates and knows no plan. The panels
share the time axis; the upright line is the end of `as_of`, the past is left of it. Bands are quantile bands of the
sample paths, quantities are units of the item. Figures are built without pyplot, so that nothing global is touched.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from textwrap import fill
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

INK, MUTED, GRID = "#1f2933", "#6b7785", "#e4e8ec"
PAST, AHEAD, STOCK, ALARM, ORDER = "#8a97a6", "#2f6db5", "#1d7a6b", "#c0392b", "#b7791f"
_MOST_ROWS = 8
_TITLE_LETTER = 0.115  # inches of a wide letter of the title
_PAST_LABELS = ("wanted", "out of stock")


def _empty(*columns: str | float) -> pd.DataFrame:
    return pd.DataFrame({c: pd.Series(dtype="datetime64[s]" if c == "date" else "float64") for c in columns})


_HISTORY = ("date", "demand", "in_stock")
_STOCK = ("date", 0.1, 0.5, 0.9, "p_stockout")
_ORDERS = ("po_id", "supplier", "quantity", "promised_date", "arrival_0.1", "arrival_0.5", "arrival_0.9")
_LINES = ("order_id", "quantity", "order_date", "promise_date", "fill_date_0.5")


@dataclass(frozen=True, eq=False)
class ItemPicture:
    """What the figure of one item shows; every frame may be empty.

    Attributes
    ----------
    sku, location, title, as_of
        The item, a headline (empty: the sku), and the last known day.
    forecast
        Demand ahead per period: date (first day), mean, 0.1, 0.25, 0.5, 0.75, 0.9 in units.
    history
        Demand per past period: date (first day), demand in units, in_stock as a share of the period (0-1).
    stock
        Inventory level ahead (on hand - backordered) at the end of each period: date (first day of the period), 0.1,
        0.5, 0.9 in units, and p_stockout, the probability of unmet demand by the end of that period.
    open_orders
        po_id, supplier, quantity, promised_date, arrival_0.1, arrival_0.5, arrival_0.9 (dates; NaT: not in sight).
    backorders
        order_id, quantity, order_date, promise_date, fill_date_0.5 of the lines that wait.
    waits
        What a new line is worth by its wait (`wait_curves.value_curve`).
    order_by_date, stockout_date
        Last day to order, and the median stockout date; None or NaT where there is none.
    on_hand, backordered, unit
        Units at `as_of`, NaN where unknown, and what they are called.
    """

    sku: str
    location: str
    title: str
    as_of: pd.Timestamp
    forecast: pd.DataFrame
    history: pd.DataFrame = field(default_factory=partial(_empty, *_HISTORY))
    stock: pd.DataFrame = field(default_factory=partial(_empty, *_STOCK))
    open_orders: pd.DataFrame = field(default_factory=partial(_empty, *_ORDERS))
    backorders: pd.DataFrame = field(default_factory=partial(_empty, *_LINES))
    waits: pd.DataFrame = field(default_factory=_empty)
    order_by_date: pd.Timestamp | None = None
    stockout_date: pd.Timestamp | None = None
    on_hand: float = float("nan")
    backordered: float = float("nan")
    unit: str = "units"


def plot_item(picture: ItemPicture, *, figure: Figure | None = None, width: float = 10.0) -> Figure:
    """Figure of one item: demand, projected stock, chance of having run out, orders and waiting lines.

    Parameters
    ----------
    picture
        The data to draw.
    figure
        An empty figure to draw into; otherwise a new one, its height by the number of panels.
    width
        Width of a new figure in inches; letters keep their size.

    Returns
    -------
    Figure
        Panels that have no data are left out; the demand panel is always there.

    Examples
    --------
    >>> ahead = pd.DataFrame({"date": pd.date_range("2024-05-06", periods=2, freq="W-MON"), "mean": [2.0, 2.0],
    ...                       0.1: [0.0, 0.0], 0.5: [2.0, 2.0], 0.9: [4.0, 5.0]})
    >>> figure = plot_item(ItemPicture("A", "", "", pd.Timestamp("2024-05-05"), ahead))
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['Demand per week']
    """
    import matplotlib as mpl

    rows = _timeline_rows(picture)
    has_stock = len(picture.stock) > 0
    heights = [3.0, *([3.0, 1.3] if has_stock else []), *([0.55 + 0.26 * len(rows)] if rows else [])]
    with mpl.rc_context(style()):
        if figure is None:
            figure = figure_class()(figsize=(width, width * (0.1 + 0.095 * sum(heights))))
        labels = max((len(row.label) for row in rows), default=0)
        title = fill(picture.title or picture.sku, int(figure.get_figwidth() / _TITLE_LETTER))
        room = _margins(figure, len(heights), labels, title.count("\n"))
        grid = figure.add_gridspec(len(heights), 1, height_ratios=heights, **room)
        first = figure.add_subplot(grid[0])
        panels = [first, *(figure.add_subplot(grid[k], sharex=first) for k in range(1, len(heights)))]
        top = 1 - 0.1 / figure.get_figheight()
        figure.suptitle(title, x=0.012, y=top, ha="left", va="top", fontsize=12.5, weight="bold")
        draw_demand(panels[0], picture)
        if has_stock:
            draw_stock(panels[1], picture)
            draw_chance(panels[2], picture)
        if rows:
            _draw_timeline(panels[-1], rows, _end_of(picture.as_of))
        _share_time_axis(panels, picture)
    return figure


def draw_demand(axes: Axes, picture: ItemPicture) -> None:
    """Past demand as bars (shaded where the item was out of stock) and the fan of the forecast."""
    history, ahead = _shown_history(picture), picture.forecast
    title = f"Demand per {_period_word(_period_days(history, ahead))}"
    draw_fan(axes, ahead, title=title, before=history, unit=picture.unit)


def draw_fan(
    axes: Axes, ahead: pd.DataFrame, *, title: str, before: pd.DataFrame | None = None,
    after: pd.DataFrame | None = None, unit: str = "units",
) -> None:  # fmt: skip
    """Fan of a forecast, with the past as bars (shaded where out of stock) and what happened afterwards as dots.

    `ahead` and `before` have the columns of `ItemPicture.forecast` (mean may be missing) and `.history`; `after` has
    date and demand.
    """
    history, happened = (_empty(*_HISTORY) if frame is None else frame for frame in (before, after))
    step = _period_days(history, ahead)
    width = step * (0.86 if step > 1 else 1.0)
    if len(history):
        out = history["in_stock"].fillna(1.0).to_numpy(dtype=np.float64) < 0.5
        demand = history["demand"].to_numpy(dtype=np.float64)
        starts = _days(history["date"])
        axes.bar(starts, demand, width, align="edge", color=PAST, label=_PAST_LABELS[0])
        if out.any():
            tall = axes.get_xaxis_transform()
            shade = axes.bar(starts[out], 1.0, step, align="edge", color=ALARM, linewidth=0, transform=tall)
            shade.set_label(_PAST_LABELS[1])
            for patch in shade.patches:
                patch.set_alpha(0.13)
    if len(ahead):
        edges = np.append(_days(ahead["date"]), _days(ahead["date"])[-1] + step)
        for low, high, label in ((0.1, 0.9, "8 times in 10"), (0.25, 0.75, "_half of the time")):
            if low in ahead.columns and high in ahead.columns:
                band = (_held(ahead[low]), _held(ahead[high]))
                axes.fill_between(edges, *band, step="post", color=AHEAD, alpha=0.2, linewidth=0, label=label)
        lines = ((0.5, "median", AHEAD, "-", 1.3), ("mean", "mean", INK, (0, (4, 2)), 1.1))
        for column, label, colour, dashes, weight in lines:
            if column in ahead.columns:
                height = _held(ahead[column])
                axes.step(edges, height, where="post", color=colour, linewidth=weight, linestyle=dashes, label=label)
    if len(happened):
        days, units = _days(happened["date"]) + step / 2, happened["demand"]
        axes.plot(days, units, "o", color=INK, markersize=3.5, zorder=5, clip_on=False, label="what happened")
    axes.set_ylim(bottom=0)
    axes.margins(x=0)
    axes.set_ylabel(unit)
    _date_axis(axes, 3, 8)
    _finish(axes, title)


def draw_pit(axes: Axes, shares: pd.DataFrame, *, title: str, n_observations: int) -> None:
    """Histogram of the PIT (columns decile, share of `scoring.pit_frame`), and where chance alone leaves most bars."""
    axes.bar(shares["decile"], shares["share"], 0.9, color=AHEAD, alpha=0.55)
    chance = 1.96 * float(np.sqrt(0.09 / n_observations))
    axes.axhspan(0.1 - chance, 0.1 + chance, color=MUTED, alpha=0.25, linewidth=0, label="by chance alone")
    axes.axhline(0.1, color=INK, linewidth=1.0, label="calibrated")
    axes.set_xticks(range(1, 11))
    axes.set_xlabel("tenth of the forecast distribution")
    axes.set_ylabel("share of cases")
    _finish(axes, title)


def draw_losses(axes: Axes, losses: pd.DataFrame, *, title: str) -> None:
    """One line per column over the index: the loss of each method by step ahead. The first column stands out."""
    for k, name in enumerate(losses.columns):
        look = ("o-", AHEAD, 2.2) if k == 0 else (".-", (MUTED, STOCK, ORDER, ALARM)[(k - 1) % 4], 1.1)
        axes.plot(losses.index, losses[name], look[0], color=look[1], linewidth=look[2], markersize=4, label=str(name))
    _finish(axes, title)


def draw_stock(axes: Axes, picture: ItemPicture) -> None:
    """Projected inventory level with its band; what lies below zero is owed to customers."""
    stock = picture.stock
    start = _end_of(picture.as_of)
    level = picture.on_hand - (0.0 if np.isnan(picture.backordered) else picture.backordered)
    led = [] if np.isnan(level) else [level]
    days = np.append(
        np.full(len(led), start), (_days(picture.stock["date"]) + _period_days(picture.stock, picture.forecast))
    )
    low, mid, high = (np.append(led, stock[q].to_numpy(dtype=np.float64)) for q in (0.1, 0.5, 0.9))
    stocked, owed = ((bound(low, 0.0), bound(high, 0.0)) for bound in (np.maximum, np.minimum))
    axes.fill_between(days, *stocked, color=STOCK, alpha=0.2, linewidth=0)
    axes.fill_between(days, *owed, color=ALARM, alpha=0.2, linewidth=0, label="owed to customers")
    axes.plot(days, mid, color=STOCK, linewidth=1.6, label="median")
    axes.axhline(0, color=INK, linewidth=0.9)
    if led:
        axes.plot([start], led, "o", color=STOCK, markersize=5, zorder=5, clip_on=False)
        words = f"{_units(picture.on_hand)} on hand"
        if picture.backordered > 0:
            words += f", {_units(picture.backordered)} backordered"
        _note(axes, words, (start, level), (-8, 0), right=True)
    axes.margins(y=0.14)
    axes.set_ylabel(picture.unit)
    _finish(axes, "Stock ahead if nothing more is ordered")


def draw_chance(axes: Axes, picture: ItemPicture) -> None:
    """Probability of having run out by each date, with the order-by date and the median stockout date."""
    start = _end_of(picture.as_of)
    days = np.append(start, _days(picture.stock["date"]) + _period_days(picture.stock, picture.forecast))
    chance = picture.stock["p_stockout"].to_numpy(dtype=np.float64)
    chance = np.append(1.0 if picture.backordered > 0 and chance[0] == 1.0 else 0.0, chance)
    axes.fill_between(days, 0, chance, color=ALARM, alpha=0.22, linewidth=0)
    axes.plot(days, chance, color=ALARM, linewidth=1.4)
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.5, 1.0], ["0 %", "50 %", "100 %"])
    out = "out since or before" if _is_past(picture.stockout_date, picture.as_of) else "likely out"
    marks = ((picture.stockout_date, out, ALARM, 0.82), (picture.order_by_date, "order by", ORDER, 0.45))
    for date, words, colour, height in marks:
        if date is None or pd.isna(date):
            continue
        day = _day_number(date)
        axes.axvline(day, color=colour, linewidth=1.2, linestyle=(0, (3, 2)))
        late = day > start + 0.7 * (days[-1] - start)
        _note(axes, f"{words} {_date_words(date)}", (day, height), (-4 if late else 4, 0), right=late, colour=colour)
    _finish(axes, "Chance of having run out by this date", legend=False)


def picture_png(figure: Figure, *, dpi: int = 110) -> bytes:
    """The figure as PNG bytes, the same bytes for the same figure; a sign that no font has is a box."""
    return _rendered(figure, "png", {"Software": None}, dpi)


def picture_svg(figure: Figure) -> bytes:
    """The figure as SVG bytes, the same bytes for the same figure; a sign that no font has is a box."""
    return _rendered(figure, "svg", {"Date": None, "Creator": None}, 72)


def style() -> dict[Any, Any]:
    """Letters, colours and lines of these pictures, for `matplotlib.rc_context` or `rcParams.update`."""
    return {
        "font.family": "DejaVu Sans", "font.size": 9, "axes.edgecolor": GRID, "axes.labelcolor": MUTED,
        "text.color": INK, "xtick.color": MUTED, "ytick.color": MUTED, "axes.spines.top": False,
        "axes.spines.right": False, "axes.spines.left": False, "axes.axisbelow": True, "text.parse_math": False,
        "svg.hashsalt": "backorder_forecast", "svg.fonttype": "path",
    }  # fmt: skip


@dataclass(frozen=True)
class _Row:
    # One line of the timeline in day numbers (NaN: none): the range, the likely day, and the day promised.
    label: str
    colour: str
    start: float
    likely: float
    end: float
    promised: float
    note: str


def _margins(figure: Figure, panels: int, label_letters: int, more_lines: int) -> dict[str, float]:
    # Room for words in inches, the rest for the panels; fixed, so that pictures stand in line and draw in one pass.
    width, height = figure.get_figwidth(), figure.get_figheight()
    left, right, top, bottom, gap = max(0.62, 0.15 + 0.073 * label_letters), 0.12, 0.64 + 0.21 * more_lines, 0.42, 0.42
    panel = max((height - top - bottom - gap * (panels - 1)) / panels, 0.1)
    return {
        "left": min(left / width, 0.4), "right": 1 - right / width, "top": 1 - top / height, "bottom": bottom / height,
        "hspace": gap / panel,
    }  # fmt: skip


def _timeline_rows(picture: ItemPicture) -> list[_Row]:
    rows = []
    orders = picture.open_orders.sort_values("arrival_0.5", kind="stable")
    for o in orders.head(_MOST_ROWS).to_dict("records"):
        name = " ".join(str(o[c]) for c in ("po_id", "supplier") if pd.notna(o[c]) and o[c] != "") or "open order"
        start, likely, end = (_day_number(o[f"arrival_{q}"]) for q in (0.1, 0.5, 0.9))
        note = f"+{_units(o['quantity'])}" + (", not in sight" if np.isnan(likely) else "")
        rows.append(_Row(_short(name), ORDER, start, likely, end, _day_number(o["promised_date"]), note))
    lines = picture.backorders.sort_values("order_date", kind="stable")
    for b in lines.head(_MOST_ROWS).to_dict("records"):
        start, likely = _day_number(b["order_date"]), _day_number(b["fill_date_0.5"])
        note = f"{_units(b['quantity'])} owed" + (", not in sight" if np.isnan(likely) else "")
        name = _short(f"waits: {b['order_id']}")
        rows.append(_Row(name, ALARM, start, likely, likely, _day_number(b["promise_date"]), note))
    return rows


def _draw_timeline(axes: Axes, rows: Sequence[_Row], as_of: float) -> None:
    for k, row in enumerate(rows):
        # A line whose end is not in sight is drawn up to now.
        end = as_of if np.isnan(row.end) else row.end
        axes.plot([row.start, end], [k, k], color=row.colour, linewidth=5, alpha=0.3, solid_capstyle="butt")
        axes.plot([row.likely], [k], "o", color=row.colour, markersize=5.5)
        axes.plot([row.promised], [k], "|", color=INK, markersize=9, markeredgewidth=1.6)
        right = np.nanmax([as_of, row.likely, row.end, row.promised])
        _note(axes, row.note, (right, k), (7, 0), colour=MUTED)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    _finish(axes, "On the way, and who waits (dot: likely day; bar: range or wait; | promised)", legend=False)
    axes.grid(visible=False, axis="y")


def _share_time_axis(panels: Sequence[Axes], picture: ItemPicture) -> None:
    history, ahead = _shown_history(picture), picture.forecast
    start = _end_of(picture.as_of)
    step = _period_days(history, ahead)
    end = max([start + 14.0, *(_days(frame["date"])[-1] + step for frame in (ahead, picture.stock) if len(frame))])
    begin = _days(history["date"])[0] if len(history) else start - 0.25 * (end - start)
    panels[0].set_xlim(begin, end)
    for axes in panels:
        axes.axvline(start, color=INK, linewidth=1.0, zorder=4)
        axes.tick_params(length=0)
        axes.label_outer()
    panels[-1].tick_params(axis="x", pad=6)
    _date_axis(panels[-1], 5, 10)
    _note(panels[0], f"as of {_date_words(picture.as_of)}", (start, panels[0].get_ylim()[1]), (4, -8))


def _date_axis(axes: Axes, fewest: int, most: int) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=fewest, maxticks=most)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _is_past(date: pd.Timestamp | None, as_of: pd.Timestamp) -> bool:
    return date is not None and not pd.isna(date) and date <= as_of


def _shown_history(picture: ItemPicture) -> pd.DataFrame:
    # As much past as there is future, at least a quarter: older bars would squeeze the part that matters.
    ahead = (picture.forecast["date"].max() - picture.as_of) if len(picture.forecast) else pd.Timedelta(0)
    since = picture.as_of - max(ahead, pd.Timedelta(days=91))
    return picture.history[picture.history["date"] > since]


def _period_days(past: pd.DataFrame, ahead: pd.DataFrame) -> float:
    for frame in (ahead, past):
        if len(frame) > 1:
            return float(np.median(np.diff(_days(frame["date"]))))
    return 1.0


def _period_word(step: float) -> str:
    return "day" if step <= 1 else "week" if step <= 7 else "month"


def _days(dates: pd.Series) -> NDArray[np.float64]:
    # Day numbers since 1970, which is what matplotlib counts in.
    values = dates.to_numpy(dtype="datetime64[D]")
    return np.where(np.isnat(values), np.nan, values.astype(np.int64).astype(np.float64))


def _day_number(date: Any) -> float:
    # An event is drawn at noon of its day.
    return float(_days(pd.Series([date], dtype="datetime64[s]"))[0]) + 0.5


def _end_of(day: pd.Timestamp) -> float:
    return _day_number(day) + 0.5


def _held(values: pd.Series) -> NDArray[np.float64]:
    # A step drawn "post" needs its last value once more at the right edge.
    return np.append(values.to_numpy(dtype=np.float64), float(values.iloc[-1]))


def _finish(axes: Axes, title: str, *, legend: bool = True) -> None:
    axes.set_title(title, loc="left", fontsize=9.5, color=INK, pad=6)
    axes.grid(visible=True, axis="y", color=GRID, linewidth=0.8)
    if legend:
        shown = zip(*axes.get_legend_handles_labels(), strict=True)
        past_first = sorted(shown, key=lambda entry: entry[1] not in _PAST_LABELS)
        axes.legend(
            [handle for handle, _ in past_first], [label for _, label in past_first],
            loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.1, ncols=5, frameon=False, fontsize=8,
            handlelength=1.4, columnspacing=1.2, labelcolor=MUTED,
        )  # fmt: skip


def _note(
    axes: Axes, words: str, point: tuple[float, float], offset: tuple[float, float], *, right: bool = False,
    colour: str = INK,
) -> None:  # fmt: skip
    axes.annotate(
        words, point, xytext=offset, textcoords="offset points", ha="right" if right else "left", va="center",
        color=colour, fontsize=8.5, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.0},
    )  # fmt: skip


def _rendered(figure: Figure, kind: str, metadata: dict[str, Any], dpi: int) -> bytes:
    import matplotlib as mpl

    with mpl.rc_context(style()), io.BytesIO() as buffer, catch_warnings(action="ignore", category=UserWarning):
        figure.savefig(buffer, format=kind, metadata=metadata, dpi=dpi)
        return buffer.getvalue()


def _date_words(day: pd.Timestamp) -> str:
    return f"{day.day} {day:%b %Y}"


def _units(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:,.1f}"


def _short(text: str) -> str:
    return text if len(text) <= 22 else f"{text[:21]}…"


@cache
def figure_class() -> type[Figure]:
    """A figure that shows itself in a notebook though it is made without pyplot."""
    from matplotlib.figure import Figure

    class ItemFigure(Figure):
        def _repr_png_(self) -> bytes:
            return picture_png(self)

    return ItemFigure
