"""Errors a planner can act on: what is wrong, where, what was found, what to do.

Every error of this package derives from `BackorderForecastError`. Problems of input files are collected and
raised once, as one `InvalidTables` whose `failures` frame has one row per problem.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

FAILURE_COLUMNS = ("table", "row", "column", "problem", "found", "what_to_do")


class BackorderForecastError(Exception):
    """Base of all errors raised on purpose by this package."""


class InvalidTables(BackorderForecastError, ValueError):
    """The input cannot be used; `failures` lists every problem found.

    Parameters
    ----------
    failures
        One mapping per problem with the keys table, row, column, problem, found, what_to_do. `row` counts data rows
        from 1 (the first row below the header), empty where the problem concerns a whole table or column.

    Examples
    --------
    >>> problem = {"table": "sales", "column": "quantity", "problem": "needed column is missing",
    ...            "found": "sku, date, amount", "what_to_do": "rename it with columns={'sales': {'amount': 'quantity'}}"}
    >>> print(InvalidTables([problem]))
    1 problem in the input:
    1. sales, column quantity: needed column is missing; found sku, date, amount. What to do: rename it with columns={'sales': {'amount': 'quantity'}}
    """

    def __init__(self, failures: Sequence[dict[str, Any]]) -> None:
        self._records = [dict(f) for f in failures]
        super().__init__(_message(self._records))

    @property
    def failures(self) -> pd.DataFrame:
        """All problems: columns table, row, column, problem, found, what_to_do."""
        import pandas as pd

        rows = [{c: r.get(c, "") for c in FAILURE_COLUMNS} for r in self._records]
        return pd.DataFrame(rows, columns=list(FAILURE_COLUMNS))

    def __reduce__(self) -> tuple[type[InvalidTables], tuple[list[dict[str, Any]]]]:
        return type(self), (self._records,)


class NotEnoughHistory(BackorderForecastError, ValueError):
    """A model was asked to learn from fewer observations than it needs."""


class InvalidSettings(BackorderForecastError, ValueError):
    """A setting is unknown or outside its range."""


def unknown_option(kind: str, given: str, valid: Iterable[str]) -> InvalidSettings:
    """Error for an option outside its list, naming the nearest valid one.

    Examples
    --------
    >>> print(unknown_option("allocation", "fiffo", ["fifo", "priority"]))
    unknown allocation 'fiffo' (did you mean 'fifo'?); valid are: fifo, priority
    """
    options = list(valid)
    near = difflib.get_close_matches(given, options, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return InvalidSettings(f"unknown {kind} {given!r}{hint}; valid are: {', '.join(options)}")


def _message(records: list[dict[str, Any]]) -> str:
    count = f"{len(records)} problem{'s' if len(records) != 1 else ''} in the input:"
    return "\n".join([count, *(f"{i}. {_sentence(r)}" for i, r in enumerate(records, 1))])


def _sentence(record: dict[str, Any]) -> str:
    where = str(record.get("table", "")) or "input"
    if record.get("row") not in (None, ""):
        where += f", row {record['row']}"
    if record.get("column"):
        where += f", column {record['column']}"
    text = f"{where}: {record.get('problem', 'unusable')}"
    if record.get("found") not in (None, ""):
        text += f"; found {record['found']}"
    if record.get("what_to_do"):
        text += f". What to do: {record['what_to_do']}"
    return text
