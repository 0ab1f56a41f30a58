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

_SHOWN, _NEAR = 20, 5
"""Names up to which all are listed; how many are named of more."""
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


def unknown_name(kind: str, given: str, known: Sequence[str]) -> InvalidSettings:
    """Error for a name that the data do not have: all names where they are few, else those that come near.

    Examples
    --------
    >>> print(unknown_name("sku", "A-7x", [f"A-{n}" for n in range(1000)]))
    unknown sku 'A-7x' among 1,000; near it: A-7, A-97, A-87, A-79, A-78
    """
    if len(known) <= _SHOWN:
        return unknown_option(kind, given, known)
    near = difflib.get_close_matches(given, known, n=_NEAR, cutoff=0.5)
    folded = [k for k in known if given.casefold() in k.casefold()][:_NEAR]
    near = list(dict.fromkeys([*near, *folded])) or list(known[:_NEAR])
    return InvalidSettings(f"unknown {kind} {given!r} among {len(known):,}; near it: {', '.join(near)}")


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
