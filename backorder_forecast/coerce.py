"""A source table to typed columns, with every row either kept or set aside with its reason.

A `Draft` is one table on its way through the checks: its typed rows, numbered as in the source (1 is the first row
below the header), and the ledger of what happened to the others. A row is listed once, with the first thing wrong with
it. Where nearly all values of a column cannot be read, the column is not what it was taken for: that is a failure of
the table, not of its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.csv_files import RawColumns
from backorder_forecast.dates import check_date_format, parse_dates
from backorder_forecast.formats import Failure, SourceTable
from backorder_forecast.mapping import Matches
from backorder_forecast.schema import TABLES, Column, Table
from backorder_forecast.values import NO_VALUE, Parsed, parse_flags, parse_numbers, parse_text

NEARLY_ALL = 0.9
MANY_UNREAD = 0.05
"""Share of dates that a stated pattern may leave unread."""
SET_ASIDE_COLUMNS = ("table", "row", "column", "reason", "found")
LONG_TABLES = ("sales", "inventory")
"""Tables that may have millions of rows: their text stays categorical."""


@dataclass
class Note:
    """A detail row of the quality frame: what happened to some rows that were used or merged."""

    rule: str
    rows: int
    merged: int
    examples: str
    effect: str


@dataclass
class Draft:
    """A table being checked.

    The index of `frame` is the row number in the source; `twins` are the numbers of rows that repeat an earlier row in
    every mapped column, time of day included; `about` is the format in words.
    """

    table: Table
    frame: pd.DataFrame
    n_read: int
    given: frozenset[str]
    asides: list[pd.DataFrame] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    twins: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    about: str = ""

    @property
    def name(self) -> str:
        """Canonical name of the table."""
        return self.table.name

    @property
    def n_merged(self) -> int:
        """Rows merged into others so far."""
        return sum(note.merged for note in self.notes)

    def is_twin(self) -> NDArray[np.bool_]:
        """Which rows of the frame are `twins`."""
        flags = (
            np.zeros(int(max(self.frame.index.max(), self.twins.max())) + 1, dtype=bool) if len(self.twins) else None
        )
        if flags is None or self.frame.empty:
            return np.zeros(len(self.frame), dtype=bool)
        flags[self.twins] = True
        return np.asarray(flags[self.frame.index.to_numpy()])

    def set_aside(self, bad: NDArray[np.bool_], column: str, reason: str, found: pd.Series | None = None) -> int:
        """Move the rows where `bad` is true out of the frame; `found` shows their values (default: the column's)."""
        count = int(bad.sum())
        if count:
            shown = (self.frame[column] if found is None else found)[bad]
            self.asides.append(aside_rows(self.name, self.frame.index[bad], column, reason, shown))
            self.frame = self.frame[~bad]
        return count

    def merge_away(self, bad: NDArray[np.bool_], rule: str, effect: str) -> None:
        """Drop rows that another row stands for."""
        if bad.any():
            self.note(rule, bad, effect, merged=True)
            self.frame = self.frame[~bad]

    def note(self, rule: str, rows: NDArray[np.bool_], effect: str, *, merged: bool = False) -> None:
        """Record something about rows that stay (or are merged)."""
        count = int(rows.sum())
        if count:
            some = self.frame[rows].head(3)
            self.notes.append(Note(rule, count, count if merged else 0, row_examples(some), effect))


def read_draft(
    source: SourceTable, matches: Matches, date_formats: Mapping[str, str], decimal: str
) -> tuple[Draft | None, dict[str, str], list[Failure]]:
    """Read and type one table.

    Returns the draft (None where nothing can be used), how each field was understood, and the failures.
    """
    table = TABLES[source.name]
    kinds = {column: table.column(name).kind for name, column in matches.field_of.items()}
    raw = source.load({c: "text" if k == "text" else k for c, k in kinds.items()})
    if raw.n_rows == 0 and table.name == "sales":
        return None, {}, [_failure(table, "", "the table has a header but no rows", source.origin, "export it again")]
    parsed = _parsed(table, raw, matches, date_formats, decimal)
    failures: list[Failure] = []
    for name, p in parsed.items():
        origin = matches.field_of[name]
        said = date_formats.get(name, "")
        failures += _column_failures(table.column(name), table, p, origin, raw.columns[origin], said)
    draft = _draft(table, raw, parsed)
    draft.about = raw.about or source.about
    understood = {name: p.understood for name, p in parsed.items()}
    if failures:
        return None, understood, failures
    rows = draft.frame.index
    draft.twins = rows[same_rows(list(raw.columns.values()))].to_numpy()
    for name, p in parsed.items():
        _apply_rules(draft, table.column(name), p, raw.columns[matches.field_of[name]].set_axis(rows))
    if draft.n_read and draft.frame.empty:
        first = draft.asides[0].iloc[0]
        found = f"row {first['row']}, {first['column']}: {first['reason']} ({first['found']})"
        failures.append(_failure(table, "", "no row can be used", found, "correct the file and try again"))
    return draft, understood, failures


def date_formats_of(option: Any, source: SourceTable, matches: Matches) -> tuple[dict[str, str], list[Failure]]:
    """The `date_format` option for the date fields of one table, and what is wrong with it.

    The option is one pattern for all columns, or a mapping of column to pattern.
    """
    table = TABLES[source.name]
    dates = [c.name for c in table.columns if c.kind == "date"]
    if isinstance(option, str) or option is None:
        return dict.fromkeys(dates, check_date_format(option) if option else ""), []
    if not isinstance(option, Mapping):
        what = "write it like '%d/%m/%Y', or {'sales': '%d/%m/%Y'}, or {'sales': {'date': '%d/%m/%Y'}}"
        return {}, [_failure(table, "", "date_format= is not understood", repr(option), what)]
    formats, failures = {}, []
    for name, pattern in option.items():
        field_name = next((f for f, column in matches.field_of.items() if column == name), name)
        if field_name in dates and not isinstance(pattern, str):
            what = "a pattern is text such as '%d/%m/%Y'"
            failures.append(_failure(table, str(name), "date_format= is not understood", repr(pattern), what))
        elif field_name in dates:
            formats[field_name] = check_date_format(pattern)
        else:
            what = f"the date columns are {', '.join(dates)}"
            failures.append(_failure(table, str(name), "date_format names a column that is no date", "", what))
    return formats, failures


def same_rows(columns: list[pd.Series]) -> NDArray[np.bool_]:
    """Rows that repeat an earlier one in every column.

    Examples
    --------
    >>> same_rows([pd.Series(["A", "B", "A"]), pd.Series([1, 2, 1])]).tolist()
    [False, False, True]
    """
    n = len(columns[0]) if columns else 0
    mixed = np.zeros(n, dtype=np.uint64)
    for column in columns:
        _mix(mixed, _codes(column))
    ordered = np.sort(mixed)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    del ordered
    same = np.zeros(n, dtype=bool)
    if len(repeated):
        # Equal hashes are only suspects; the cells decide. Most rows are seen to be none by the first bits of theirs.
        suspects = _like(mixed, repeated)
        suspects = suspects[pd.Series(mixed[suspects]).isin(repeated).to_numpy()]
        cells = pd.DataFrame({i: _codes(column)[suspects] for i, column in enumerate(columns)})
        same[suspects[cells.duplicated().to_numpy()]] = True
    return same


def column_codes(column: pd.Series) -> tuple[NDArray[np.integer[Any]], pd.Index]:
    """Code of the value of each row, -1 where it is missing, and the distinct values; some may stand in no row.

    Examples
    --------
    >>> codes, names = column_codes(pd.Series(["B", None, "B"], dtype="category"))
    >>> codes.tolist(), names.tolist()
    ([0, -1, 0], ['B'])
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        # Millions of rows are coded already: to code them again would only number the names anew.
        return column.cat.codes.to_numpy(), column.cat.categories
    codes, distinct = pd.factorize(column)
    return codes, pd.Index(distinct)


def aside_rows(table: str, rows: pd.Index, column: str, reason: str, found: pd.Series) -> pd.DataFrame:
    """Rows of the set-aside list: table, row, column, reason, found; text is categorical, there may be millions."""
    n = len(rows)
    return pd.DataFrame(
        {
            "table": pd.Categorical.from_codes(np.zeros(n, dtype=np.int8), categories=pd.Index([table], dtype="str")),
            "row": np.asarray(rows, dtype=np.int64),
            "column": pd.Categorical.from_codes(np.zeros(n, dtype=np.int8), categories=pd.Index([column], dtype="str")),
            "reason": pd.Categorical.from_codes(np.zeros(n, dtype=np.int8), categories=pd.Index([reason], dtype="str")),
            "found": _shown(found),
        }
    )


def row_examples(rows: pd.DataFrame, limit: int = 3) -> str:
    """The first rows in words, such as "row 7 (sku A, 2024-01-05)"."""
    texts = []
    for number, row in rows.head(limit).iterrows():
        parts = [f"{c} {row[c]}" for c in ("sku", "po_id", "order_id") if c in row.index and not _blank(row[c])][:2]
        days = [f"{row[c]:%Y-%m-%d}" for c in ("date", "order_date", "start") if c in row.index and not pd.isna(row[c])]
        texts.append(f"row {number} ({', '.join(parts + days[:1])})" if parts or days else f"row {number}")
    return "; ".join(texts)


def _blank(value: object) -> bool:
    return value == "" or bool(pd.isna(value))  # type: ignore[call-overload]


def _shown(found: pd.Series) -> pd.Categorical:
    """Values as text, (empty) where missing; encoded by distinct value."""
    codes, uniques = pd.factorize(found.astype("str") if found.dtype == object else found)
    days = isinstance(uniques, pd.DatetimeIndex)
    texts = [
        f"{u:%Y-%m-%d}" if days else f"{u:.10g}" if isinstance(u, float | np.floating) else str(u) for u in uniques
    ]
    names = pd.Series(["(empty)" if t in ("", "nan", "NaT") else t for t in texts] + ["(empty)"], dtype="str")
    final, categories = pd.factorize(names)
    return pd.Categorical.from_codes(final[codes], categories=pd.Index(categories, dtype="str"))


@nb.njit(cache=True, nogil=True)
def _mix(mixed, codes):  # type: ignore[no-untyped-def]
    """Mix one more column into the hash of each row, in place."""
    for i in range(len(mixed)):
        x = (mixed[i] ^ np.uint64(np.int64(codes[i]))) * np.uint64(0x9E3779B97F4A7C15)
        mixed[i] = x ^ (x >> np.uint64(29))


@nb.njit(cache=True, nogil=True)
def _like(mixed, wanted):  # type: ignore[no-untyped-def]
    """Rows whose hash begins like a wanted one."""
    begins = np.zeros(1 << 22, dtype=np.bool_)
    for x in wanted:
        begins[x >> np.uint64(42)] = True
    n = 0
    for x in mixed:
        n += begins[x >> np.uint64(42)]
    rows = np.empty(n, dtype=np.int64)
    n = 0
    for i in range(len(mixed)):
        if begins[mixed[i] >> np.uint64(42)]:
            rows[n] = i
            n += 1
    return rows


def _codes(column: pd.Series) -> NDArray[np.integer[Any]]:
    """Whole numbers that are equal where the cells are."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy()
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "M":
        return np.ascontiguousarray(column.to_numpy()).view(np.int64)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return np.asarray(column.astype("int64"), dtype=np.int64)
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_extension_array_dtype(column.dtype):
        return np.ascontiguousarray(column.to_numpy(dtype=np.float64) + 0.0).view(np.int64)
    return np.asarray(pd.factorize(column.astype("str") if column.dtype == object else column)[0], dtype=np.int64)


def _parsed(
    table: Table, raw: RawColumns, matches: Matches, date_formats: Mapping[str, str], decimal: str
) -> dict[str, Parsed]:
    parsed: dict[str, Parsed] = {}
    for name, column in matches.field_of.items():
        cells = raw.columns[column]
        kind = table.column(name).kind
        if kind == "text":
            parsed[name] = parse_text(cells, ordered=name not in ("order_id", "po_id"))
        elif kind == "number":
            mark = decimal or raw.decimal
            parsed[name] = parse_numbers(cells, decimal=mark, dot_is_decimal=raw.dot_is_decimal)
        elif kind == "flag":
            parsed[name] = parse_flags(cells)
        else:
            parsed[name] = parse_dates(cells, date_format=date_formats.get(name, ""))
    marks = {p.decimal for p in parsed.values()} & {".", ","}
    if len(marks) == 1:
        # One export writes all its numbers one way.
        mark = marks.pop()
        for name, p in parsed.items():
            if p.decimal == "?":
                parsed[name] = parse_numbers(raw.columns[matches.field_of[name]], decimal=mark)
    orders = {p.order for p in parsed.values() if p.order}
    if len(orders) == 1:
        # One export writes all its dates one way.
        order = orders.pop()
        for name, p in parsed.items():
            if p.question and table.column(name).kind == "date":
                parsed[name] = parse_dates(raw.columns[matches.field_of[name]], order=order)
    return parsed


def _column_failures(
    column: Column, table: Table, parsed: Parsed, origin: str, cells: pd.Series, date_format: str
) -> list[Failure]:
    named = column.name if origin == column.name else f"{column.name} ({origin})"
    if parsed.question:
        problem, found, what = parsed.question
        return [_failure(table, named, problem, found, what)]
    filled = parsed.values.notna().to_numpy() | parsed.bad
    n_filled, n_bad = int(filled.sum()), int(parsed.bad.sum())
    if n_bad >= NEARLY_ALL * max(n_filled, 1) and n_bad:
        kind = {"number": "a number", "date": "a date", "flag": "yes or no"}[column.kind]
        problem = f"{n_bad:,} of {n_filled:,} values are not {kind}"
        found = ", ".join(dict.fromkeys(str(v) for v in cells[parsed.bad].head(3)))
        return [_failure(table, named, problem, found, _advice(column, table, origin))]
    if column.kind == "date" and date_format and n_bad and n_bad >= MANY_UNREAD * n_filled:
        # Of a wrong pattern the rest is read wrongly without a word.
        found = ", ".join(dict.fromkeys(str(v) for v in cells[parsed.bad].head(3)))
        problem = f"{n_bad:,} of {n_filled:,} dates do not fit date_format={date_format!r}"
        what = "give the pattern that fits all of them, such as '%d/%m/%Y', or leave it out"
        return [_failure(table, named, problem, found, what)]
    if n_filled == 0 and len(filled) and column.needed and not column.may_be_empty:
        return [_failure(table, named, "the needed column is empty", f"{len(filled):,} rows", "fill it in the export")]
    return []


def _advice(column: Column, table: Table, origin: str) -> str:
    if column.kind == "date":
        return 'write dates as 2024-01-31, or say how they are written: date_format="%d.%m.%Y", "excel" for day numbers'
    names = f"{{{origin!r}: None, 'the other': {column.name!r}}}"
    return f"check the column; if another one holds it: columns={{{table.name!r}: {names}}}"


def _draft(table: Table, raw: RawColumns, parsed: Mapping[str, Parsed]) -> Draft:
    n = raw.n_rows - len(raw.broken)
    index = pd.RangeIndex(1, n + 1) if raw.row is None else pd.Index(raw.row.to_numpy(np.int64))
    columns = {}
    for column in table.columns:
        if column.name in parsed:
            values = parsed[column.name].values
            if column.kind == "text" and table.name not in LONG_TABLES:
                values = values.astype("str")
            values = values.set_axis(index)
        else:
            values = _absent(column, index, table.name in LONG_TABLES)
        columns[column.name] = values
    draft = Draft(table, pd.DataFrame(columns, index=index, copy=False), raw.n_rows, frozenset(parsed))
    if len(raw.broken):
        reason = "the row does not have as many values as the header"
        draft.asides.append(aside_rows(table.name, pd.Index(raw.broken["row"]), "", reason, raw.broken["found"]))
    return draft


def _absent(column: Column, index: pd.Index, long: bool) -> pd.Series:
    if column.kind == "number":
        return pd.Series(np.nan, index=index, dtype="float64")
    if column.kind == "date":
        return pd.Series(np.datetime64("NaT", "s"), index=index, dtype="datetime64[s]")
    if column.kind == "flag":
        return pd.Series(False, index=index)
    if long:
        codes = np.full(len(index), -1, dtype=np.int8)
        return pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index([], dtype="str")), index=index)
    return pd.Series(np.nan, index=index, dtype="str")


def _apply_rules(draft: Draft, column: Column, parsed: Parsed, cells: pd.Series) -> None:
    """Unreadable, missing and impossible values of one column; `cells` are its raw values by row number."""
    bad = parsed.bad
    if len(cells) != len(draft.frame):
        alive = cells.index.get_indexer(draft.frame.index)
        bad, cells = bad[alive], cells.iloc[alive]
    if column.kind == "date" and "placeholders" in parsed.understood:
        written = ~cells.astype("str").fillna("").str.strip().str.lower().isin(NO_VALUE).to_numpy()
        none = draft.frame[column.name].isna().to_numpy() & written & ~bad
        shown = ", ".join(dict.fromkeys(str(v) for v in cells[none].head(3)))
        draft.note(f"{column.name}: stands for no date", none, f"found {shown}; read as empty")
    kind = {"number": "not a number", "date": "not a date", "flag": "neither yes nor no", "text": ""}[column.kind]
    _handle(draft, column, bad, kind, cells)
    if column.needed and not column.may_be_empty:
        draft.set_aside(draft.frame[column.name].isna().to_numpy(), column.name, "the value is missing")
    if column.kind == "number":
        values = draft.frame[column.name].to_numpy()
        outside = (values < column.at_least) | (values <= column.above) | (values > column.at_most)
        _handle(draft, column, outside, f"impossible, must be {column.rule}", draft.frame[column.name])
    if column.choices:
        words = draft.frame[column.name].str.lower()
        draft.frame[column.name] = words
        other = (words.notna() & ~words.isin(column.choices)).to_numpy()
        _handle(draft, column, other, f"must be one of {', '.join(column.choices)}", draft.frame[column.name])


def _handle(draft: Draft, column: Column, bad: NDArray[np.bool_], reason: str, found: pd.Series) -> None:
    if not bad.any():
        return
    if column.on_bad == "row":
        draft.set_aside(bad, column.name, reason, found)
        return
    shown = ", ".join(dict.fromkeys(str(v) for v in found[bad].head(3)))
    draft.note(f"{column.name}: {reason}", bad, f"found {shown}; the value is ignored, the row is used")
    draft.frame[column.name] = draft.frame[column.name].mask(bad)


def _failure(table: Table, column: str, problem: str, found: str, what_to_do: str) -> Failure:
    return {"table": table.name, "column": column, "problem": problem, "found": found, "what_to_do": what_to_do}
