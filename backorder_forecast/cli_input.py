"""How the command line reads tables: the options that `report`, `validate` and `backtest` share, files of options."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backorder_forecast.errors import InvalidSettings

if TYPE_CHECKING:
    from backorder_forecast.tables import Tables


class Decimal(StrEnum):
    """Decimal marks that `--decimal` can name."""

    point = "."
    comma = ","


class UnknownSku(StrEnum):
    """What `--unknown-sku` can ask for."""

    set_aside = "set_aside"
    keep = "keep"


Source = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Folder with one file per table, or one Excel workbook.")
]
AsOf = Annotated[str | None, typer.Option(help="Last known day, YYYY-MM-DD; read from the data if left out.")]
SettingsFile = Annotated[Path | None, typer.Option("--settings", metavar="FILE", help="TOML or JSON file of settings.")]
ColumnsFile = Annotated[
    Path | None,
    typer.Option(
        "--columns", metavar="FILE",
        help='TOML or JSON file: table, then given name = our name ("" to ignore the column).',
    ),
]  # fmt: skip
DateFormat = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[TABLE=]PATTERN",
        help="How dates are written, such as %d/%m/%Y, where it is ambiguous; sales=%d.%m.%Y for one table. May be"
        " given again: a pattern without a table is that of all others.",
    ),
]
DecimalMark = Annotated[Decimal | None, typer.Option("--decimal", help="Decimal mark where numbers leave it open.")]
UnknownSkus = Annotated[UnknownSku, typer.Option("--unknown-sku", help="Rows whose SKU is not in products.")]
DropDuplicates = Annotated[bool, typer.Option("--drop-duplicates", help="Count rows that repeat another once.")]
Sheets = Annotated[
    list[str] | None,
    typer.Option("--sheet", metavar="TABLE=NAME", help="Sheet of a table in a workbook; may be given again."),
]


def read_source(
    source: Path, as_of: str | None = None, columns: Path | None = None,
    date_format: Sequence[str] | None = None,
    decimal: str | None = None, unknown_sku: str = UnknownSku.set_aside, drop_duplicates: bool = False,
    sheets: Sequence[str] | None = None,
) -> Tables:  # fmt: skip
    """The tables of a folder or workbook, read as the options say."""
    from backorder_forecast.tables import read_tables

    return read_tables(
        source, as_of=as_of, columns=None if columns is None else _renames(load_file(columns)),
        date_format=_date_formats(date_format or []),
        decimal=None if decimal is None else str(decimal), unknown_sku=str(unknown_sku),
        drop_duplicates=drop_duplicates, sheets=_sheets(sheets or []),
    )  # fmt: skip


def load_file(file: Path) -> dict[str, Any]:
    """Names and values of a TOML or JSON file.

    Raises
    ------
    InvalidSettings
        The file is not there, not readable, or holds something else.
    """
    try:
        text = file.read_text(encoding="utf-8")
        values = json.loads(text) if file.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise InvalidSettings(f"{file} cannot be opened ({error.strerror}): give a TOML or JSON file") from error
    except ValueError as error:
        raise InvalidSettings(f"{file} cannot be read as {file.suffix or 'TOML'}: {error}") from error
    if not isinstance(values, dict):
        raise InvalidSettings(f"{file} holds a {type(values).__name__}; it should hold names and values")
    return values


def _renames(values: dict[str, Any]) -> dict[str, Any]:
    """TOML has no word for nothing: an empty name ignores its column, as null does in JSON."""
    return {
        table: {given: None if name == "" else name for given, name in names.items()}
        if isinstance(names, dict)
        else names
        for table, names in values.items()
    }


def _date_formats(given: Sequence[str]) -> dict[str, str] | None:
    """Patterns by table; `OTHERS` for the one without a table."""
    from backorder_forecast.tables import OTHERS

    patterns: dict[str, str] = {}
    for text in given:
        # A pattern may hold the mark itself, but no table is called %d.
        table, mark, pattern = text.partition("=")
        if not mark or "%" in table:
            table, pattern = OTHERS, text
        if not (table and pattern):
            raise InvalidSettings(f"--date-format takes PATTERN or TABLE=PATTERN, such as sales=%d.%m.%Y; got {text!r}")
        if table in patterns:
            about = "gives two patterns without a table" if table == OTHERS else f"names {table} twice"
            raise InvalidSettings(f"--date-format {about}, {patterns[table]!r} and {pattern!r}; give it once")
        patterns[table] = pattern
    return patterns or None


def _sheets(given: Sequence[str]) -> dict[str, str]:
    sheets: dict[str, str] = {}
    for text in given:
        table, mark, name = text.partition("=")
        if not (table and mark and name):
            raise InvalidSettings(f"--sheet takes TABLE=NAME, such as sales=Sheet1; got {text!r}")
        if table in sheets:
            raise InvalidSettings(f"--sheet names {table} twice, as {sheets[table]!r} and {name!r}; give it once")
        sheets[table] = name
    return sheets
