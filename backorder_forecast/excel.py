"""Frames as one Excel workbook: a sheet per frame, headings frozen, filters on, numbers as numbers, risks in colour.

Text is written as text (leading zeros survive, nothing is taken for a formula), dates as dates, shares as percentages.
The first sheet says what the workbook holds, and what was left out because a sheet has an end.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from backorder_forecast.errors import BackorderForecastError
from backorder_forecast.folder import replaced_when_done
from backorder_forecast.frames import TOO_LATE, column_kind, column_note, heading, too_late
from backorder_forecast.reader_words import category_words, in_reader_words, sentences
from backorder_forecast.report import frame_headings

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.workbook import Workbook
    from xlsxwriter.worksheet import Worksheet

SHEET_ROWS = 1_048_575
"""Rows of data that one sheet can hold below its heading."""

RISK_COLOURS = {"critical": "#f7c9c2", "warning": "#fbe3b4", "watch": "#fdf6d0", "ok": "#dcefe1"}
_FORMATS = {
    "date": "d mmm yyyy", "share": "0 %", "money": "#,##0.00", "count": "#,##0", "units": "#,##0.0", "days": "#,##0.0",
    "number": "#,##0.00", "text": "@", "category": "@", "flag": "General",
}  # fmt: skip
_WIDTHS = {"date": 12, "share": 10, "money": 13, "count": 10, "units": 11, "days": 10, "number": 10, "flag": 8}


def write_excel(
    frames: Mapping[str, pd.DataFrame], path: str | os.PathLike[str], *, title: str, as_of: pd.Timestamp,
    summary: pd.DataFrame | None = None, notes: Sequence[str] = (), max_rows: int = SHEET_ROWS,
) -> Path:  # fmt: skip
    """Write frames to a workbook.

    Parameters
    ----------
    frames
        Frames by name; each becomes a sheet of that name.
    path
        File to write; an older one is replaced when the new one is complete.
    title, as_of
        Headline of the first sheet, and the last known day.
    summary
        Frame of `summary.summarise`, shown on the first sheet.
    notes
        Sentences for the first sheet.
    max_rows
        Rows of data per sheet, at most `SHEET_ROWS`; what is left out is counted on the first sheet.

    Returns
    -------
    Path
        The file.
    """
    xlsxwriter = _xlsxwriter()
    limit = min(max_rows, SHEET_ROWS)
    options = {"constant_memory": True}
    with replaced_when_done(path) as staged, xlsxwriter.Workbook(str(staged), options) as workbook:
        # The time of writing would make two equal workbooks differ.
        workbook.set_properties({"title": title, "created": as_of.to_pydatetime()})
        styles = _Styles(workbook)
        _first_sheet(workbook, styles, frames, title, as_of, summary, notes, limit)
        for name, frame in frames.items():
            _frame_sheet(workbook, styles, name, frame.head(limit))
    return Path(path)


class _Styles:
    # Formats of one workbook, made once.
    def __init__(self, workbook: Workbook) -> None:
        self.by_kind: dict[str, Format] = {k: workbook.add_format({"num_format": f}) for k, f in _FORMATS.items()}
        self.head: Format = workbook.add_format(
            {"bold": True, "text_wrap": True, "valign": "vcenter", "bg_color": "#22313f", "font_color": "#ffffff"}
        )
        self.title: Format = workbook.add_format({"bold": True, "font_size": 15})
        self.strong: Format = workbook.add_format({"bold": True})
        self.wrap: Format = workbook.add_format({"text_wrap": True, "valign": "top"})
        self.risk = {flag: workbook.add_format({"bg_color": colour}) for flag, colour in RISK_COLOURS.items()}


def _first_sheet(
    workbook: Workbook, styles: _Styles, frames: Mapping[str, pd.DataFrame], title: str, as_of: pd.Timestamp,
    summary: pd.DataFrame | None, notes: Sequence[str], limit: int,
) -> None:  # fmt: skip
    sheet = workbook.add_worksheet("plan")
    sheet.hide_gridlines(2)
    sheet.set_column(0, 0, 30)
    sheet.set_column(1, 1, 14)
    sheet.set_column(2, 2, 90)
    lines: list[tuple[Any, ...]] = [((title, styles.title),), ((f"as of {as_of.day} {as_of:%B %Y}", None),), ()]
    if summary is not None:
        shown = zip(*(summary[c] for c in ("question", "topic", "figure", "kind", "text")), strict=True)
        last = ""
        for question, topic, figure, kind, text in shown:
            if question != last:
                lines += [(), ((question, styles.strong),)]
            whole = "count" if kind == "units" else str(kind)
            lines.append(((topic, None), (float(figure), styles.by_kind[whole]), (text, None)))
            last = question
        lines.append(())
    if notes:
        lines += [(("Good to know", styles.strong),), *(((in_reader_words(note), None),) for note in notes), ()]
    lines.append((("Sheet", styles.strong), ("Rows", styles.strong), ("", None)))
    for row, cells in enumerate(lines):
        for column, (value, style) in enumerate(cells):
            if not isinstance(value, float):
                sheet.write_string(row, column, str(value), style)
            elif np.isfinite(value):
                sheet.write_number(row, column, value, style)
    named = frame_headings()
    for row, (name, frame) in enumerate(frames.items(), len(lines)):
        sheet.write_url(row, 0, f"internal:'{name}'!A1", string=name)
        sheet.write_number(row, 1, len(frame), styles.by_kind["count"])
        about = named.get(name, "")
        if len(frame) > limit:
            cut = f"only the first {limit:,} rows are here; {name}.csv and {name}.parquet, where written, have all"
            about = f"{about}: {cut}" if about else cut
        sheet.write_string(row, 2, about)
    sheet.activate()


def _frame_sheet(workbook: Workbook, styles: _Styles, name: str, frame: pd.DataFrame) -> None:
    sheet = workbook.add_worksheet(name)
    kinds = [column_kind(c, frame[c]) for c in frame.columns]
    sheet.freeze_panes(1, 2 if frame.columns[:1].isin(["sku", "order_id"]).any() else 1)
    sheet.set_row(0, 32)
    for k, (column, kind) in enumerate(zip(frame.columns, kinds, strict=True)):
        sheet.set_column(k, k, _width(frame[column], kind, heading(column)), styles.by_kind[kind])
        # Notes are kept by the writer until the end; a constant-memory sheet takes them at any time.
        if note := column_note(column, name):
            # A box of 1.6 columns holds about 34 letters a line.
            sheet.write_comment(0, k, note, {"x_scale": 1.6, "y_scale": 0.3 + 0.22 * math.ceil(len(note) / 34)})
        sheet.write_string(0, k, heading(column), styles.head)
    if len(frame):
        sheet.autofilter(0, 0, len(frame), len(frame.columns) - 1)
        _risk_colours(sheet, styles, frame)
    _write_cells(sheet, styles, frame, kinds)


def _write_cells(sheet: Worksheet, styles: _Styles, frame: pd.DataFrame, kinds: Sequence[str]) -> None:
    writers = {"date": sheet.write_datetime, "flag": sheet.write_boolean}
    columns = [_cells(c, frame[c], kind) for c, kind in zip(frame.columns, kinds, strict=True)]
    if "order_by_date" in frame:
        at = list(frame.columns).index("order_by_date")
        pairs = zip(columns[at], too_late(frame), strict=True)
        columns[at] = [TOO_LATE if late and day is None else day for day, late in pairs]
    text = sheet.write_string
    writes = [writers.get(k, text if k in ("text", "category") else sheet.write_number) for k in kinds]
    formats = [styles.by_kind[k] for k in kinds]
    cells = list(enumerate(zip(writes, columns, formats, strict=True)))
    for row in range(len(frame)):
        for k, (write, values, style) in cells:
            value = values[row]
            if value is not None:
                # A day may stand as words.
                (text if isinstance(value, str) else write)(row + 1, k, value, style)


def _cells(column: object, values: pd.Series, kind: str) -> list[Any]:
    missing = values.isna().to_numpy()
    if kind == "date":
        plain: list[Any] = list(values.dt.to_pydatetime())
    elif kind == "flag":
        plain = [bool(v) if v is not pd.NA and v == v else None for v in values]
    elif kind == "category":
        plain = [category_words(text) for text in values.astype(str)]
    elif kind == "text":
        plain = sentences(column, values.astype(str).tolist())
    else:
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        missing = ~np.isfinite(numbers)
        plain = numbers.tolist()
    return [None if gone or v == "" else v for v, gone in zip(plain, missing.tolist(), strict=True)]


def _risk_colours(sheet: Worksheet, styles: _Styles, frame: pd.DataFrame) -> None:
    last = len(frame)
    for k, column in enumerate(frame.columns):
        if column == "flag":
            for flag, style in styles.risk.items():
                rule = {"type": "cell", "criteria": "==", "value": f'"{flag}"', "format": style}
                sheet.conditional_format(1, k, last, k, rule)
        elif str(column).startswith("p_stockout"):
            bar = {"type": "data_bar", "bar_color": "#e39b8f", "min_type": "num", "max_type": "num"}
            sheet.conditional_format(1, k, last, k, {**bar, "min_value": 0, "max_value": 1})


def _width(values: pd.Series, kind: str, head: str) -> float:
    words = max((len(word) for word in head.split()), default=4) + 3
    if kind in _WIDTHS:
        return max(_WIDTHS[kind], words)
    longest = int(values.head(200).astype(str).str.len().max()) if len(values) else 0
    return float(min(max(longest + 2, words, 8), 60))


def _xlsxwriter() -> Any:
    try:
        import xlsxwriter
    except ImportError as error:
        raise BackorderForecastError(
            "an Excel workbook needs the package xlsxwriter; install it with: pip install 'backorder_forecast[excel]'"
        ) from error
    return xlsxwriter
