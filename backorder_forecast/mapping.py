"""Which column became which field: the commonest silent error, so it is matched by rule and shown before any result.

A column is matched by `columns=` first, then by its own name, then by the names other tools give it. Where two columns
could be one field nothing is chosen: the user is asked. `columns={"sales": {"StockCode": "sku", "Note": None}}` reads
"StockCode is our sku, ignore Note".
"""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backorder_forecast.formats import Failure, SourceTable
from backorder_forecast.names import by_table, find_column, plain_name
from backorder_forecast.schema import TABLES

if TYPE_CHECKING:
    from backorder_forecast.tables import Tables

Renames = Mapping[str, Mapping[str, str | None]]
MAPPING_COLUMNS = ("table", "column", "field", "how", "unit", "understood")
MOST_UNUSED = 15
"""Unused columns named on the screen; the frame `Tables.mapping` lists all."""
SAME, SYNONYM, TOLD, UNUSED = "same name", "known synonym", "columns=", "not used"


@dataclass(frozen=True)
class Matches:
    """Fields of one table and the source columns they come from.

    `field_of` maps canonical field to source column, `how` says why, `notes` explains columns that were left out.
    """

    field_of: dict[str, str]
    how: dict[str, str]
    notes: dict[str, str]


def match_columns(source: SourceTable, renames: Mapping[str, str | None]) -> tuple[Matches, list[Failure]]:
    """Match the columns of a source table to the fields of its schema.

    Returns the matches and every problem: missing needed columns, conflicts, renames that fit nothing.
    """
    failures = _bad_renames(source, renames)
    matches = Matches({}, {}, {})
    for column, field in renames.items():
        if column in source.header and field in TABLES[source.name].names:
            if field in matches.field_of:
                both = f"{matches.field_of[field]}, {column}"
                what = f"rename only one column to {field}"
                failures.append(_problem(source, field, "columns= names two columns for this field", both, what))
            matches.field_of[field] = column
            matches.how[field] = TOLD
    doubled = {c for c in source.header if source.header.count(c) > 1}
    for column in sorted(doubled):
        failures.append(_problem(source, column, "two columns have the same name", column, "give each its own name"))
    candidates: dict[str, list[str]] = {}
    for column in dict.fromkeys(source.header):
        match = None if column in renames else find_column(source.name, column)
        if match:
            candidates.setdefault(match, []).append(column)
    for field, columns in candidates.items():
        _choose(source, matches, field, columns, failures)
    _missing(source, matches, failures)
    return matches, failures


def check_renames(columns: Any) -> tuple[dict[str, Mapping[str, str | None]], list[Failure]]:
    """The `columns=` option by canonical table, and what is wrong with it."""
    what = 'write it like columns={"sales": {"StockCode": "sku"}}'
    if not isinstance(columns, Mapping | None):
        problem = {"table": "", "problem": "columns= is not understood", "found": str(columns), "what_to_do": what}
        return {}, [problem]
    renames, failures = by_table("columns=", columns)
    for name, names in list(renames.items()):
        if not isinstance(names, Mapping):
            del renames[name]
            failures.append(
                {"table": name, "problem": "columns= is not understood", "found": str(names), "what_to_do": what}
            )
    return renames, failures


def mapping_rows(source: SourceTable, matches: Matches, understood: Mapping[str, str]) -> list[dict[str, str]]:
    """Rows of the mapping frame for one table, in the order of its columns."""
    rows = []
    field_by_column = {column: field for field, column in matches.field_of.items()}
    for column in source.header:
        field = field_by_column.get(column, "")
        unit = TABLES[source.name].column(field).unit if field else ""
        words = understood.get(field, "") if field else matches.notes.get(column, "")
        how = matches.how[field] if field else UNUSED
        rows.append(dict(zip(MAPPING_COLUMNS, (source.name, column, field, how, unit, words), strict=True)))
    return rows


def mapping_text(tables: Tables, *, width: int = 100) -> str:
    """The mapping on one screen: fields, unused columns, units and dates, row counts, the last known day.

    Examples
    --------
    >>> import pandas as pd
    >>> from backorder_forecast.tables import read_tables
    >>> sales = pd.DataFrame({"item": ["A"], "ds": ["2024-01-05"], "qty": [2], "note": ["x"]})
    >>> print(mapping_text(read_tables({"sales": sales})))
    How the input was understood (known up to the end of 2024-01-05)
    <BLANKLINE>
    sales - pandas frame, 1 rows read, 1 used
      item -> sku      text, 1 different
      ds -> date       dates, 2024-01-05 to 2024-01-05
      qty -> quantity  numbers in units, 2 to 2
      not used: note
    <BLANKLINE>
    not given: purchase_orders, inventory, backorders, products, supplier_items, events
    """
    lines = [f"How the input was understood (known up to the end of {tables.as_of:%Y-%m-%d})"]
    totals = tables.quality[tables.quality["rule"] == "all rows"].set_index("table")
    for name, heading in tables.sources.items():
        read, used = (f"{totals[c].loc[name]:,}" for c in ("rows_read", "rows_used"))
        lines += ["", f"{name} - {heading}, {read} rows read, {used} used"]
        lines += _table_lines(name, tables.mapping[tables.mapping["table"] == name].to_dict("records"), width)
    absent = [t for t in TABLES if t not in tables.sources]
    if absent:
        lines += ["", *textwrap.wrap(f"not given: {', '.join(absent)}", width, subsequent_indent="  ")]
    for note in tables.notes:
        lines += ["", *textwrap.wrap(f"Note: {note}", width, subsequent_indent="  ")]
    return "\n".join(lines)


def _table_lines(name: str, rows: list[dict[Any, Any]], width: int) -> list[str]:
    """A line for each needed or renamed field, one for all others under their own name, one for what is not used."""
    detailed = [r for r in rows if r["field"] and (r["how"] != SAME or r["field"] in TABLES[name].needed)]
    others = [r for r in rows if r["field"] and r not in detailed]
    unused = [
        f"{r['column']} ({r['understood']})" if r["understood"] else str(r["column"]) for r in rows if not r["field"]
    ]
    wide = min(max((len(_arrow(r)) for r in detailed), default=0), 40) + 2
    lines = []
    for row in detailed:
        text = f"  {_arrow(row):<{wide}}{_with_unit(row)}"
        lines += textwrap.wrap(text, width, subsequent_indent=" " * (wide + 3), replace_whitespace=False)
    if others:
        # Of text there is nothing to understand.
        words = [r["field"] if r["understood"].startswith("text") else f"{r['field']} ({_brief(r)})" for r in others]
        lines += textwrap.wrap(f"  also: {', '.join(words)}", width, subsequent_indent="    ")
    if unused:
        more = f" and {len(unused) - MOST_UNUSED} more" if len(unused) > MOST_UNUSED else ""
        lines += textwrap.wrap(f"  not used: {', '.join(unused[:MOST_UNUSED])}{more}", width, subsequent_indent="    ")
    return lines


def _with_unit(row: Mapping[Any, Any]) -> str:
    """How a field was understood; text and days name their unit themselves."""
    return str(row["understood"]).replace("numbers", f"numbers in {row['unit']}", 1)


def _brief(row: Mapping[Any, Any]) -> str:
    return str(row["understood"]).removeprefix("dates, ").replace("numbers", str(row["unit"]), 1)


def _arrow(row: Mapping[Any, Any]) -> str:
    if not row["field"] or row["column"] == row["field"]:
        return str(row["field"])
    return f"{row['column']} -> {row['field']}"


def _choose(source: SourceTable, matches: Matches, field: str, columns: list[str], failures: list[Failure]) -> None:
    """One of the columns that could be a field: none if told otherwise, the one of that very name, the only one."""
    exact = [c for c in columns if plain_name(c) == plain_name(field)]
    if field in matches.field_of:
        used = matches.field_of[field]
        matches.notes.update(dict.fromkeys(columns, f"could be {field}, which is {used}"))
    elif len(exact) == 1 or len(columns) == 1:
        column = exact[0] if exact else columns[0]
        matches.field_of[field] = column
        matches.how[field] = SAME if exact else SYNONYM
        matches.notes.update({c: f"could be {field}, which is {column}" for c in columns if c != column})
    else:
        ignore = ", ".join(f"{c!r}: None" for c in columns[1:])
        what = f"say which: columns={{{source.name!r}: {{{columns[0]!r}: {field!r}, {ignore}}}}}"
        failures.append(_problem(source, field, "several columns could be this field", ", ".join(columns), what))


def _bad_renames(source: SourceTable, renames: Mapping[str, str | None]) -> list[Failure]:
    failures = []
    for column, field in renames.items():
        if column not in source.header:
            if field in source.header and column in TABLES[source.name].names:
                what = f"write it the other way round: columns={{{source.name!r}: {{{field!r}: {column!r}}}}}"
            else:
                near = difflib.get_close_matches(str(column), source.header, n=1, cutoff=0.6)
                what = f"did you mean {near[0]!r}?" if near else "use the names as they stand in the file"
            columns = ", ".join(source.header[:20]) + (" ..." if len(source.header) > 20 else "")
            failures.append(_problem(source, str(column), "columns= names a column that is not there", columns, what))
        elif field is not None and field not in TABLES[source.name].names:
            near = difflib.get_close_matches(str(field), TABLES[source.name].names, n=1)
            what = (
                f"did you mean {near[0]!r}? " if near else ""
            ) + f"fields are {', '.join(TABLES[source.name].names)}"
            failures.append(_problem(source, column, f"columns= names an unknown field {field!r}", "", what))
    return failures


def _missing(source: SourceTable, matches: Matches, failures: list[Failure]) -> None:
    table = TABLES[source.name]
    free = [c for c in source.header if c not in matches.field_of.values()]
    in_conflict = {f["column"] for f in failures}
    for field in table.needed:
        if field in matches.field_of or field in in_conflict:
            continue
        near = difflib.get_close_matches(plain_name(field), [plain_name(c) for c in free], n=1, cutoff=0.6)
        guess = next((c for c in free if near and plain_name(c) == near[0]), "the name in your file")
        what = f"rename the column that holds it: columns={{{table.name!r}: {{{guess!r}: {field!r}}}}}"
        found = "columns " + ", ".join(free[:12]) + (f" and {len(free) - 12} more" if len(free) > 12 else "")
        found = found if free else "no other column"
        failures.append(_problem(source, field, "needed column is missing", found, what))


def _problem(source: SourceTable, column: str, problem: str, found: str, what_to_do: str) -> Failure:
    where = "" if source.origin == "frame" else f" (in {source.origin})"
    return {
        "table": source.name,
        "column": column,
        "problem": problem + where,
        "found": found,
        "what_to_do": what_to_do,
    }
