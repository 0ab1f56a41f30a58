"""Where tables come from: a folder, a workbook, a mapping of paths or of frames; CSV, Parquet, Excel, dataframes.

Finding a table and reading it are two steps, because only the mapped columns are read: `find_tables` opens headers,
`SourceTable.load` reads the wanted columns as they stand. pandas, polars, pyarrow and every other frame with the
Arrow or the dataframe interchange protocol are taken. Excel cells whose number format pads zeros keep the zeros.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from backorder_forecast.csv_files import RawColumns, UnreadableFile, no_broken_rows, read_csv, sniff_csv
from backorder_forecast.errors import InvalidTables
from backorder_forecast.names import find_table
from backorder_forecast.schema import TABLES

ENDINGS = (".csv", ".txt", ".tsv", ".csv.gz", ".txt.gz", ".tsv.gz", ".parquet", ".pq", ".xlsx", ".xlsm", ".xls")
Failure = dict[str, Any]


@dataclass(frozen=True, eq=False)
class SourceTable:
    """A table that was found but not yet read.

    Attributes
    ----------
    name
        Canonical table name.
    origin, about
        What messages call it (file, sheet), and its format in words.
    header
        Column names as they stand in the source.
    load
        Function: source column -> kind, to the raw columns.
    """

    name: str
    origin: str
    about: str
    header: tuple[str, ...]
    load: Callable[[Mapping[str, str]], RawColumns]


@dataclass(frozen=True, eq=False)
class Found:
    """What a source holds: tables by canonical name, problems, and files or sheets that belong to no table."""

    tables: dict[str, SourceTable]
    failures: list[Failure]
    unused: list[str]


def find_tables(source: Any, *, sheets: Mapping[str, str] | None = None, decimal: str = "") -> Found:
    """Tables of a folder, a workbook, a file, or a mapping of table name to path or frame.

    Parameters
    ----------
    source
        Folder or file path, or mapping of table name to path or dataframe.
    sheets
        Canonical table name -> sheet name, for workbooks whose sheets have other names.
    decimal
        Decimal mark of text files where their values leave it open.
    """
    found = Found({}, [], [])
    if isinstance(source, Mapping):
        _from_mapping(source, found, sheets or {}, decimal)
    elif isinstance(source, str | Path):
        path = Path(source).expanduser()
        if path.is_dir():
            _from_folder(path, found, sheets or {}, decimal)
        elif path.is_file():
            _from_file(path, found, sheets or {}, decimal)
        else:
            what = (
                "give the folder that holds the tables or a workbook, or read_tables({'sales': 'path/sales.csv', ...})"
            )
            found.failures.append(_failure("", "there is no such file or folder", str(source), what))
    else:
        what = "give a folder, a workbook, or a mapping such as {'sales': frame}"
        found.failures.append(_failure("", "the source is not understood", type(source).__name__, what))
    return found


def _from_mapping(source: Mapping[Any, Any], found: Found, sheets: Mapping[str, str], decimal: str) -> None:
    for key, value in source.items():
        name = find_table(str(key))
        if name is None:
            found.failures.append(_failure(str(key), "no table has this name", "", _list_tables()))
        elif name in found.tables:
            found.failures.append(_failure(name, "the table is given twice", str(key), "give it once"))
        elif value is not None:
            with_path = isinstance(value, str | Path)
            path = Path(value).expanduser() if with_path else Path()
            if with_path and not path.exists():
                found.failures.append(_failure(name, "there is no such file", str(value), "check the path"))
            else:
                _add(
                    name,
                    found,
                    partial(_open_path, path, name, sheets, decimal)
                    if with_path
                    else partial(_open_frame, value, name),
                )


def _from_folder(folder: Path, found: Found, sheets: Mapping[str, str], decimal: str) -> None:
    by_table: dict[str, list[Path]] = {}
    for path in sorted(p for p in folder.iterdir() if not p.name.startswith((".", "~"))):
        if not path.name.lower().endswith(ENDINGS):
            continue
        name = find_table(path.name.split(".")[0])
        if name is None:
            found.unused.append(path.name)
        else:
            by_table.setdefault(name, []).append(path)
    for name, paths in by_table.items():
        if len(paths) > 1:
            names = ", ".join(p.name for p in paths)
            what = "leave one of them in the folder, or read_tables({'" + name + "': path, ...})"
            found.failures.append(_failure(name, "several files could be this table", names, what))
        else:
            _add(name, found, partial(_open_path, paths[0], name, sheets, decimal))


def _from_file(path: Path, found: Found, sheets: Mapping[str, str], decimal: str) -> None:
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        try:
            names = _sheet_names(path)
        except UnreadableFile as error:
            found.failures.append(_failure("", error.problem, f"{path.name}: {error.found}", error.what_to_do))
            return
        wanted = {sheet: table for table, sheet in sheets.items()}
        for sheet in wanted:
            if sheet not in names:
                near = ", ".join(names)
                what = "name one of its sheets"
                found.failures.append(_failure(wanted[sheet], f"the workbook has no sheet {sheet!r}", near, what))
        for sheet in names:
            name = wanted.get(sheet) or find_table(sheet)
            if name is None:
                found.unused.append(f"sheet {sheet}")
            elif name in found.tables:
                other = found.tables[name].origin
                what = f"say which: sheets={{{name!r}: {sheet!r}}}, and rename the other"
                found.failures.append(_failure(name, "several sheets could be this table", f"{other}, {sheet}", what))
            else:
                _add(name, found, partial(_open_excel, path, name, sheet))
        return
    name = find_table(path.name.split(".")[0])
    if name is None:
        what = f"name it after its table, such as sales.csv, or read_tables({{'sales': {path.name!r}}})"
        found.failures.append(_failure("", "the file name is not that of a table", path.name, what))
    else:
        _add(name, found, partial(_open_path, path, name, sheets, decimal))


def _add(name: str, found: Found, opener: Callable[[], SourceTable]) -> None:
    try:
        found.tables[name] = opener()
    except UnreadableFile as error:
        found.failures.append(_failure(name, error.problem, error.found, error.what_to_do))
    except OSError as error:
        what = "close it in other programs and check that you may read it"
        found.failures.append(_failure(name, "the file cannot be opened", str(error), what))


def _open_path(path: Path, name: str, sheets: Mapping[str, str], decimal: str) -> SourceTable:
    ending = path.suffix.lower()
    if ending in (".parquet", ".pq") or path.is_dir():
        return _open_parquet(path, name)
    if ending in (".xlsx", ".xlsm"):
        available = _sheet_names(path)
        fitting = [s for s in available if s == sheets.get(name) or find_table(s) == name]
        sheet = sheets.get(name) or (fitting or available)[0]
        if sheet not in available:
            raise UnreadableFile(f"the workbook has no sheet {sheet!r}", ", ".join(available), "name one of its sheets")
        if not fitting and len(available) > 1:
            what = f"say which: sheets={{{name!r}: {available[0]!r}}}"
            raise UnreadableFile("no sheet of the workbook has the name of the table", ", ".join(available), what)
        return _open_excel(path, name, sheet)
    if ending == ".xls":
        raise UnreadableFile("old Excel files (.xls) are not read", path.name, "save it as .xlsx or CSV")
    layout = sniff_csv(path)
    return SourceTable(
        name, path.name, layout.about, layout.header, lambda kinds: read_csv(path, layout, kinds, decimal=decimal)
    )


def _open_parquet(path: Path, name: str) -> SourceTable:
    import pyarrow as pa
    import pyarrow.dataset as ds

    try:
        schema = ds.dataset(str(path), format="parquet").schema
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFile("this is not a readable Parquet file", str(error)[:120], "export it again") from error

    def load(kinds: Mapping[str, str]) -> RawColumns:
        import pyarrow.parquet as pq

        columns, n_rows = {}, 0
        try:
            # One column at a time: the file may be larger than what its columns need at once.
            for column, kind in kinds.items():
                texts = [column] if kind == "text" and _is_text(schema.field(column).type) else []
                part = pq.read_table(str(path), columns=[column], read_dictionary=texts)
                columns[column], n_rows = _to_series(part.column(0), kind), part.num_rows
        except (pa.ArrowException, OSError) as error:
            raise UnreadableFile("the Parquet file is damaged", str(error)[:120], "export it again") from error
        return RawColumns(columns, n_rows, None, no_broken_rows(), "", False)

    return SourceTable(name, path.name, "Parquet", tuple(schema.names), load)


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _open_frame(frame: Any, name: str) -> SourceTable:
    if isinstance(frame, pd.DataFrame):
        if isinstance(frame.columns, pd.MultiIndex):
            raise UnreadableFile(
                "the columns have several levels", str(list(frame.columns[:3])), "give them one name each"
            )
        header = tuple(str(c) for c in frame.columns)

        def load(kinds: Mapping[str, str]) -> RawColumns:
            columns = {c: frame.iloc[:, header.index(c)].reset_index(drop=True) for c in kinds}
            return RawColumns(columns, len(frame), None, no_broken_rows(), "", False)

        return SourceTable(name, "frame", "pandas frame", header, load)
    table = _arrow_of(frame)
    about = f"{type(frame).__module__.split('.')[0]} frame"
    return SourceTable(name, "frame", about, tuple(table.column_names), lambda kinds: _from_arrow(table, kinds))


def pandas_frame(frame: Any, name: str) -> pd.DataFrame:
    """The pandas frame of a pandas, polars or pyarrow one; anything else raises `InvalidTables` about table `name`.

    Examples
    --------
    >>> import pyarrow as pa
    >>> pandas_frame(pa.table({"sku": ["A"]}), "sales")["sku"].tolist()
    ['A']
    """
    if isinstance(frame, pd.DataFrame):
        return frame
    try:
        table: pd.DataFrame = _arrow_of(frame).to_pandas(date_as_object=False)
    except UnreadableFile as error:
        what = error.what_to_do.removesuffix(", or a path")
        problem = error.problem.replace("neither a frame nor a path", "no frame")
        raise InvalidTables([{"table": name, "problem": problem, "found": error.found, "what_to_do": what}]) from error
    return table


def _arrow_of(frame: Any) -> Any:
    import pyarrow as pa

    if callable(getattr(frame, "collect", None)) and not hasattr(frame, "__arrow_c_stream__"):
        raise UnreadableFile("the frame is lazy", type(frame).__name__, "call .collect() on it first")
    try:
        if hasattr(frame, "__arrow_c_stream__"):
            return pa.table(frame)
        if hasattr(frame, "__dataframe__"):
            from pyarrow.interchange import from_dataframe

            return from_dataframe(frame)
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError) as error:
        raise UnreadableFile(
            "the frame cannot be converted", str(error)[:120], "convert it with .to_pandas()"
        ) from error
    what = "give a pandas, polars or pyarrow frame, or a path"
    raise UnreadableFile("this is neither a frame nor a path", type(frame).__name__, what)


def _from_arrow(table: Any, kinds: Mapping[str, str]) -> RawColumns:
    columns = {name: _to_series(table.column(name), kind) for name, kind in kinds.items()}
    return RawColumns(columns, table.num_rows, None, no_broken_rows(), "", False)


def _to_series(column: Any, kind: str) -> pd.Series:
    """Column of an Arrow table; text stays dictionary-encoded."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string_view(column.type) or pa.types.is_binary_view(column.type):
        column = column.cast(pa.large_string())
    if pa.types.is_decimal(column.type):
        column = pc.cast(column, pa.float64())
    if pa.types.is_nested(column.type):
        column = pa.chunked_array([[str(v) for v in column.to_pylist()]], pa.string())
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    elif kind == "text" or pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.dictionary_encode().unify_dictionaries()
    series: pd.Series = column.to_pandas(date_as_object=False)
    return series


def _workbook(path: Path) -> Any:
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError as error:
        what = "install it with: pip install backorder_forecast[excel], or save the sheets as CSV"
        raise UnreadableFile("reading Excel needs the package openpyxl", path.name, what) from error
    try:
        return load_workbook(path, read_only=True, data_only=True)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, OSError, ValueError) as error:
        raise UnreadableFile(
            "this is not a readable Excel workbook", str(error)[:120], "save it as .xlsx again"
        ) from error


def _sheet_names(path: Path) -> list[str]:
    book = _workbook(path)
    names = [str(n) for n in book.sheetnames]
    book.close()
    return names


def _open_excel(path: Path, name: str, sheet: str) -> SourceTable:
    book = _workbook(path)
    rows = [(i, row) for i, row in enumerate(book[sheet].iter_rows(), 1) if any(c.value is not None for c in row)]
    if not rows:
        book.close()
        raise UnreadableFile("the sheet is empty", sheet, "fill it or remove it")
    first, top = rows[0]
    width = max(i for i, cell in enumerate(top, 1) if cell.value is not None)
    header = tuple(
        str(cell.value).strip() if cell.value is not None else f"(column {i} without a name)"
        for i, cell in enumerate(top[:width], 1)
    )
    cells = {n: [_cell(row[j]) if j < len(row) else None for _, row in rows[1:]] for j, n in enumerate(header)}
    numbers = pd.Series([i - first for i, _ in rows[1:]], dtype="int64")
    book.close()

    def load(kinds: Mapping[str, str]) -> RawColumns:
        columns = {c: _cell_column(cells[c], kind) for c, kind in kinds.items()}
        return RawColumns(columns, len(numbers), numbers, no_broken_rows(), "", False)

    return SourceTable(name, f"{path.name}, sheet {sheet}", "Excel", header, load)


def _cell(cell: Any) -> Any:
    value = cell.value
    style = getattr(cell, "number_format", "") or ""
    if isinstance(value, int | float) and not isinstance(value, bool) and len(style) > 1 and set(style) == {"0"}:
        # The sheet shows 00042: that is the identifier people see.
        return f"{int(value):0{len(style)}d}"
    return value


def _cell_column(values: Iterable[Any], kind: str) -> pd.Series:
    column = pd.Series(list(values), dtype=object)
    if kind == "number" and column.map(lambda v: v is None or isinstance(v, int | float)).all():
        return column.astype("float64")
    return column


def _list_tables() -> str:
    return f"the tables are {', '.join(TABLES)}"


def _failure(table: str, problem: str, found: str, what_to_do: str, column: str = "") -> Failure:
    return {"table": table, "column": column, "problem": problem, "found": found, "what_to_do": what_to_do}
