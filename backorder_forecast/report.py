"""Frames as one HTML file that opens anywhere: no network, no folder beside it, readable without scripts and on paper.

The page follows the questions of a planner, not the frames: what runs out, what to order, what to tell those who wait,
which backorders to take; then money, suppliers and forecasts; last what the figures rest on. Long frames are cut, and
say so. Text from the input is escaped everywhere.
"""

from __future__ import annotations

import base64
import html
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from backorder_forecast.folder import replaced_when_done
from backorder_forecast.frames import FLAGS, column_kind, column_note, column_texts, format_values, heading
from backorder_forecast.reader_words import category_words, in_reader_words, sentences
from backorder_forecast.summary import DATA, MONEY, ORDER, RUNS_OUT, SUPPLY, TAKE, TELL, figures

if TYPE_CHECKING:
    import jinja2

PAGE_ROWS = 25
"""Rows of a table on one page; also what is seen without scripts."""

_ALL_ITEMS = {"backlog": "all items", "lead_times": "all items"}
"""What an empty item stands for in a frame."""
_BY_URGENCY = ("reorders", "wait_cutoffs", "forecasts")
_LONG_WORDS = 20
"""Letters from which the words of a category stand on several lines."""
_LEFT = ("text", "category", "date", "flag")


@dataclass(frozen=True)
class Picture:
    """A picture of one item: its key, a caption, and PNG or SVG bytes."""

    sku: str
    location: str
    caption: str
    image: bytes


@dataclass(frozen=True)
class _Section:
    # One part of the page: anchor, word in the menu, heading, a sentence under it, its frames with headings.
    anchor: str
    menu: str
    heading: str
    lead: str
    frames: tuple[tuple[str, str], ...]


_SECTIONS = (
    _Section(
        "out", "Runs out", RUNS_OUT,
        "Most urgent first. The chance is that of unmet demand; “order by” is the last review day still in time.",
        (("stockouts", "Items at risk"), ("causes", "What each cause adds to the risk")),
    ),
    _Section(
        "order", "Order", ORDER, "Quantities respect minimum orders and packs.",
        (("reorders", "Orders by item and supplier"),),
    ),
    _Section(
        "wait", "Those who wait", TELL,
        "Promise dates hold with the probability named; without a date there is nothing honest to promise yet.",
        (("fill_dates", "Lines waiting"), ("notices", "Messages to send"), ("backlog", "Backlog by week")),
    ),
    _Section(
        "take", "Take or refuse", TAKE,
        "The longest wait for which a backorder is worth more than a refusal, beside the wait a new line has now.",
        (("wait_cutoffs", "Decision per item"),),
    ),
    _Section(
        "cash", "Cash", MONEY, "From the lines that are open now.",
        (("cash_flow", "Cash by date"), ("excess", "Excess stock")),
    ),
    _Section(
        "supply", "Suppliers", SUPPLY,
        "Open orders count as not yet delivered, cancelled ones separately.",
        (("suppliers", "Suppliers"), ("lead_times", "Lead times")),
    ),
    _Section(
        "demand", "Demand", "What will be wanted?", "Quantiles are of one period each; they do not add up.",
        (("items", "Items and methods"), ("forecasts", "Demand forecasts")),
    ),
)  # fmt: skip
_REST = _Section("rests", "Data and settings", DATA, "", (("data_quality", "Rows read, used and set aside"),))

# What a table shows before "all columns" is ticked; frames not named here show everything.
_BRIEF: dict[str, tuple[str | float, ...]] = {
    "stockouts": (
        "sku", "location", "flag", "p_stockout", "p_stockout_14", "p_stockout_30", "stockout_date_0.5", "order_by_date",
        "cause", "on_hand", "on_order", "backordered", "days_of_cover", "expected_short_units", "revenue_at_risk",
    ),
    "causes": ("sku", "location", "risk", "player", "contribution", "standard_error", "order", "cause_text"),
    "fill_dates": (
        "order_id", "sku", "location", "customer_id", "quantity", "order_date", "status", "waited_days", "promise_date",
        "p_at_promise", "fill_date_0.5", "fill_date_0.9", "p_by_promised", "p_unfilled", "source",
    ),
    "wait_cutoffs": (
        "sku", "location", "decision", "wait_cutoff_days", "wait_cutoff_days_low", "wait_cutoff_days_high",
        "expected_wait_days", "p_wait_within_cutoff", "max_open_quantity", "payment_terms", "basis", "reason",
    ),
    "reorders": (
        "sku", "location", "flag", "supplier", "order_quantity", "order_by_date", "arrival_0.5", "arrival_0.9", "cost",
        "reason", "remark",
    ),
    "suppliers": (
        "supplier", "n_received", "n_open", "n_late", "n_late_now", "on_time_share", "mean_late_days", "fill_share",
        "lead_time_days_0.1", "lead_time_days_0.5", "lead_time_days_0.9", "trend", "slower", "disruption_probability",
    ),
    "lead_times": (
        "supplier", "sku", "location", "level", "n_received", "n_open", "on_time_share", "lead_time_days_0.1",
        "lead_time_days_0.5", "lead_time_days_0.9", "mean_late_days", "trend", "slower", "basis",
    ),
    "items": (
        "sku", "location", "supplier", "category", "demand_class", "mean_daily", "confidence", "confidence_reason",
        "on_hand", "backordered", "on_order", "active", "method",
    ),
    "notices": (
        "order_id", "sku", "location", "customer_id", "kind", "old_date", "new_date", "deadline", "offer", "reason",
    ),
}  # fmt: skip


def write_html(
    frames: Mapping[str, pd.DataFrame], path: str | os.PathLike[str], *, title: str, as_of: pd.Timestamp,
    summary: pd.DataFrame, subtitle: str = "", notes: Sequence[str] = (), settings: pd.DataFrame | None = None,
    mapping_text: str = "", pictures: Sequence[Picture] = (), max_rows: int = 2000,
) -> Path:  # fmt: skip
    """Write frames as one self-contained HTML file.

    Parameters
    ----------
    frames
        Output frames by name; unknown ones are shown at the end.
    path
        File to write; an older one is replaced when the new one is complete.
    title, subtitle, as_of
        Headline, the line under it, and the last known day.
    summary
        Frame of `summary.summarise`; becomes the tiles.
    notes
        Sentences about what could not be computed and why.
    settings
        Frame setting, value, default (bool), meaning.
    mapping_text
        How the input was understood, as text.
    pictures
        Pictures of urgent items, shown below the items at risk.
    max_rows
        Rows of each table in the file; the page says where the others are.

    Returns
    -------
    Path
        The file.
    """
    weeks = _weeks(frames.get("stockouts"), as_of)
    page = _environment().get_template("report.html.j2").render(
        title=title, subtitle=subtitle, as_of=_date_words(as_of), notes=[in_reader_words(n) for n in notes],
        mapping_text=mapping_text,
        tiles=_tiles(summary), weeks=weeks, flags=[f for f in FLAGS if any(week[f] for week in weeks)],
        sections=[_filled(s, frames, max_rows, pictures) for s in _sections(frames)],
        settings=[] if settings is None else settings.to_dict("records"),
        page_rows=PAGE_ROWS,
    )  # fmt: skip
    with replaced_when_done(path) as staged:
        staged.write_text(page, encoding="utf-8", newline="\n")
    return Path(path)


def frame_headings() -> dict[str, str]:
    """What the page calls each frame, by name."""
    return {name: words for section in (*_SECTIONS, _REST) for name, words in section.frames}


def picture_caption(risk: Mapping[Any, Any]) -> str:
    """The line under the picture of an item, from its row of `stockouts`."""
    words = [f"{risk['sku']} {risk['location']}".strip() + f": {risk['flag']}"]
    chance = format_values("share", pd.Series([risk["p_stockout"]], dtype=float))[0]
    words.append(f"{chance} chance to run out within the horizon")
    for column, text in (("stockout_date_0.5", "likely out by"), ("order_by_date", "order by")):
        if pd.notna(risk[column]):
            words.append(f"{text} {risk[column].day} {risk[column]:%b %Y}")
    if not risk["avoidable"]:
        words.append("an order now comes too late")
    if isinstance(risk["cause"], str) and risk["cause"]:
        words.append(f"main cause: {risk['cause']}")
    return ", ".join(words) + "."


def _sections(frames: Mapping[str, pd.DataFrame]) -> list[_Section]:
    placed = {name for section in (*_SECTIONS, _REST) for name, _ in section.frames}
    extra = tuple((name, name.replace("_", " ").capitalize()) for name in frames if name not in placed)
    return [*_SECTIONS, *([_Section("more", "More", "Further tables", "", extra)] if extra else []), _REST]


def _filled(
    section: _Section, frames: Mapping[str, pd.DataFrame], max_rows: int, pictures: Sequence[Picture]
) -> dict[str, Any]:
    tables = []
    for name, words in section.frames:
        if name in frames:
            frame = _arranged(name, frames, max_rows)
            tables.append(_table(name, words, frame, max_rows, len(frames[name]), pictures))
    shown = [_figure(k, picture) for k, picture in enumerate(pictures)] if section.anchor == "out" else []
    return {
        "anchor": section.anchor, "menu": section.menu, "heading": section.heading, "lead": section.lead,
        "tables": tables, "pictures": shown,
    }  # fmt: skip


def _table(
    name: str, words: str, frame: pd.DataFrame, max_rows: int, n_rows: int, pictures: Sequence[Picture]
) -> dict[str, Any]:
    shown = frame.head(max_rows)
    brief = _BRIEF.get(name, tuple(frame.columns))
    order = [*(c for c in brief if c in frame.columns), *(c for c in frame.columns if c not in brief)]
    columns, cells = [], []
    for column in order:
        values = shown[column]
        kind = column_kind(column, values)
        texts = sentences(column, column_texts(shown, column))
        if column == "sku" and name in _ALL_ITEMS:
            texts = [text or _ALL_ITEMS[name] for text in texts]
        if kind == "category":
            texts = [category_words(text) for text in texts]
        columns.append(
            {
                "name": str(column), "head": _held(heading(column)), "note": column_note(column, name), "kind": kind,
                "right": kind not in _LEFT, "wide": kind == "text" and max(map(len, texts), default=0) > 40,
                "folds": kind == "category" and max(map(len, texts), default=0) > _LONG_WORDS,
                "brief": column in brief and (any(texts) or not texts), "bar": str(column).startswith("p_stockout"),
                "choices": _choices(column, kind, texts),
            }
        )  # fmt: skip
        cells.append(texts)
    rows = [list(row) for row in zip(*cells, strict=True)]
    links = {f"{p.sku}\x1f{p.location}": f"item-{k}" for k, p in enumerate(pictures)} if name == "stockouts" else {}
    return {
        "name": name, "heading": words, "columns": columns, "rows": rows, "first_rows": rows[:PAGE_ROWS],
        "n_rows": n_rows, "n_shown": len(rows), "links": links,
        "data": _json({"columns": columns, "rows": rows, "links": links, "page": PAGE_ROWS}),
    }  # fmt: skip


def _choices(column: str | float, kind: str, texts: Sequence[str]) -> list[str]:
    found = sorted({t for t in texts if t})
    if kind not in ("category", "flag") or not 2 <= len(found) <= 12:
        return []
    return [f for f in FLAGS if f in found] if column == "flag" else found


def _arranged(name: str, frames: Mapping[str, pd.DataFrame], max_rows: int) -> pd.DataFrame:
    """Rows of a frame, those first that a reader wants first."""
    frame, stockouts = frames[name], frames.get("stockouts")
    if name == "backlog":
        return frame.sort_values("date", ascending=False, kind="stable")
    if name not in _BY_URGENCY or stockouts is None or stockouts.empty:
        return frame
    keys = ["sku", "location"]
    # Of a long frame only the most urgent items have a place.
    ranks = stockouts[keys].reset_index(drop=True).reset_index(names="rank")
    ranked = frame.merge(ranks if len(frame) <= max_rows else ranks.head(max_rows), on=keys, how="left")
    idle = (ranked["order_quantity"] <= 0) if name == "reorders" else 0
    by_urgency = ranked.assign(idle=idle).sort_values(["idle", "rank"], kind="stable", na_position="last")
    return by_urgency.head(max_rows)[list(frame.columns)]


def _tiles(summary: pd.DataFrame) -> list[dict[str, Any]]:
    shown = summary.assign(shown=figures(summary))
    return [
        {"question": question, "tiles": part.to_dict("records")}
        for question, part in shown.groupby("question", sort=False)
    ]


def _weeks(stockouts: pd.DataFrame | None, as_of: pd.Timestamp) -> list[dict[str, Any]]:
    """Items by the week of their median stockout date and flag, for the bars at the top."""
    if stockouts is None or stockouts.empty:
        return []
    days = (stockouts["stockout_date_0.5"] - as_of).dt.days
    week = (-(-days // 7)).clip(0, 13)
    most = int(week.dropna().value_counts().max()) if week.notna().any() else 0
    weeks: list[dict[str, Any]] = []
    for k in range(14 if most else 0):
        here = stockouts[week == k]
        start = as_of + pd.Timedelta(days=7 * (k - 1) + 1)
        label = "short now" if k == 0 else f"{start.day} {start:%b}{' on' if k == 13 else ''}"
        by_flag = {flag: int((here["flag"] == flag).sum()) for flag in FLAGS}
        weeks.append({"label": label, "total": len(here), "height": 100 * len(here) / most, **by_flag})
    return weeks


def _figure(number: int, picture: Picture) -> dict[str, Any]:
    kind = "svg+xml" if picture.image.lstrip()[:1] == b"<" else "png"
    data = base64.b64encode(picture.image).decode("ascii")
    return {"id": f"item-{number}", "caption": picture.caption, "source": f"data:image/{kind};base64,{data}"}


def _json(value: Any) -> str:
    # "</script>" in a cell must not end the block that holds it.
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _date_words(day: pd.Timestamp) -> str:
    return f"{day:%A}, {day.day} {day:%B %Y}"


def _cell(text: str, column: Mapping[str, Any]) -> str:
    """One cell as HTML; `cell` in report.js does the same."""
    shown = html.escape(text)
    # An order that comes too late has words for a date.
    if column["kind"] == "date" and text[:1].isdigit():
        day = pd.Timestamp(text)
        shown = f"{day.day}&nbsp;{day:%b}&nbsp;{day.year}"
    if column["name"] == "flag" and text:
        return f'<span class="badge {html.escape(text)}">{shown}</span>'
    if column["bar"] and text:
        return f'<span class="bar" style="--p:{text.strip("<>").replace(" ", "")}">{shown}</span>'
    return shown


def _held(text: str) -> str:
    # A number and its % stay on one line.
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("backorder_forecast"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters["held"] = _held
    environment.globals["cell"] = lambda text, column: _markup(_cell(text, column))
    return environment


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)
