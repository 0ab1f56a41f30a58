"""Text files: how the columns are separated, which letters and decimal mark are used, and their raw columns.

The first part of a file is looked at before anything is parsed (`sniff_csv`); then pyarrow reads the wanted columns
only. Text columns come dictionary-encoded and untouched, so leading zeros survive. A row with more or fewer values
than the header is never guessed at: it is handed back as broken, with its number (the first data row is 1).
"""

from __future__ import annotations

import codecs
import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from backorder_forecast.values import decimal_evidence

SAMPLE_BYTES = 1 << 18
BLOCK_BYTES = 8 << 20
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_BINARY = {
    b"PK\x03\x04": "an Excel or zip file",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF file",
    b"\xd0\xcf\x11\xe0": "an old Excel file (.xls)",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
}


class UnreadableFile(ValueError):
    """A file that cannot be read; carries problem, found and what_to_do for the list of failures."""

    def __init__(self, problem: str, found: str = "", what_to_do: str = "") -> None:
        self.problem, self.found, self.what_to_do = problem, found, what_to_do
        super().__init__(problem)


@dataclass(frozen=True)
class CsvLayout:
    """What the beginning of a text file shows.

    Attributes
    ----------
    header
        Column names in order.
    skip_lines
        Lines up to and including the header.
    delimiter, encoding, gzipped
        How to read it.
    decimals
        What the values of each column prove about the decimal mark, see `decimal_evidence`.
    """

    header: tuple[str, ...]
    skip_lines: int
    delimiter: str
    encoding: str
    gzipped: bool
    decimals: tuple[str, ...]

    @property
    def about(self) -> str:
        """The layout in words."""
        letters = {"utf-8": "UTF-8", "cp1252": "Latin-1 letters", "latin-1": "Latin-1 letters"}.get(
            self.encoding, self.encoding.upper()
        )
        words = [f"{DELIMITERS[self.delimiter]} separated", letters]
        return ", ".join([*words, "gzip"] if self.gzipped else words)


@dataclass(frozen=True)
class RawColumns:
    """Columns as they stand in the source.

    `columns` by source name; `row` numbers the rows (None: 1, 2, 3 ...); `broken` lists rows that could not be split
    (columns row, found); `decimal` is what the file as a whole proves; `dot_is_decimal` says that a lone point cannot
    be a thousands separator here; `about` is the format where it turned out to be another than sniffed.
    """

    columns: dict[str, pd.Series]
    n_rows: int
    row: pd.Series | None
    broken: pd.DataFrame
    decimal: str
    dot_is_decimal: bool
    about: str = ""


def no_broken_rows() -> pd.DataFrame:
    """Empty frame of broken rows."""
    return pd.DataFrame({"row": pd.Series(dtype="int64"), "found": pd.Series(dtype="str")})


def sniff_csv(path: Path) -> CsvLayout:
    """Layout of a text file, from its first part.

    Raises
    ------
    UnreadableFile
        Empty file, not a text file, damaged gzip, or no separator found.
    """
    start, gzipped = _start(path)
    if not start.strip(b"\x00 \r\n\t\xef\xbb\xbf"):
        raise UnreadableFile(
            "the file is empty", f"{path.stat().st_size} bytes", "export it again, or remove it from the folder"
        )
    for magic, what in _BINARY.items():
        if start.startswith(magic):
            raise UnreadableFile("the file is not text", what, "save it as CSV, or give it the ending of its format")
    encoding = _encoding(start, complete=len(start) < SAMPLE_BYTES)
    text = start.decode(encoding, errors="replace").lstrip("\ufeff")
    lines = text.splitlines() if len(start) < SAMPLE_BYTES else text.splitlines()[:-1]
    first = next(i for i, line in enumerate(lines) if line.strip())
    declared = re.fullmatch(r'"?sep=(.)"?', lines[first].strip(" \r\n"))
    if declared and len(lines) > first + 1:
        first += 1
    delimiter = declared.group(1) if declared else _delimiter(lines[first : first + 50])
    if not delimiter and (below := _delimiter(lines[first + 1 : first + 50])):
        found = f"first line {lines[first][:60]!r}, then columns separated by {DELIMITERS[below]}"
        what = "remove what stands above the column names"
        raise UnreadableFile("the first line does not hold the column names", found, what)
    if delimiter not in DELIMITERS:
        raise UnreadableFile(
            "the columns cannot be told apart",
            f"first line {lines[first][:80]!r}",
            "separate the columns by comma, semicolon or tab, with the column names in the first line",
        )
    rows = list(csv.reader(lines[first : first + 2000], delimiter=delimiter))
    names = [name.strip() for name in rows[0]]
    lengths = Counter(len(row) for row in rows[1:] if row)
    usual = lengths.most_common(1)[0][0] if lengths else len(names)
    while len(names) > usual and not names[-1]:
        names.pop()
    header = tuple(name or f"(column {i} without a name)" for i, name in enumerate(names, 1))
    body = [row for row in rows[1:] if len(row) == len(header)]
    decimals = tuple(decimal_evidence(row[i] for row in body) for i in range(len(header)))
    return CsvLayout(header, first + 1, delimiter, encoding, gzipped, decimals)


def read_csv(path: Path, layout: CsvLayout, kinds: Mapping[str, str], *, decimal: str = "") -> RawColumns:
    """The wanted columns of a text file.

    Parameters
    ----------
    path, layout
        The file and what `sniff_csv` saw.
    kinds
        Source column -> text, date, number or flag.
    decimal
        Decimal mark said by the user; "" means what the file proves.

    Raises
    ------
    UnreadableFile
        The rows do not fit the header, or the file breaks off.
    """
    mark = decimal or _decimal_mark(layout, kinds)
    as_text = {name for name, kind in kinds.items() if kind in ("text", "flag")}
    try:
        table, broken = _parse(path, layout, kinds, as_text, mark)
    except UnicodeError:
        # The start of the file was plain ASCII, a later row was not.
        layout = _latin(path, layout)
        table, broken = _parse(path, layout, kinds, as_text, mark)
    again = {name for name in kinds if name not in as_text and _needs_text(table.schema.field(name).type, mark, layout)}
    if again:
        table, broken = _parse(path, layout, kinds, as_text | again, mark)
    n_rows = table.num_rows + len(broken)
    if len(broken) > max(0.5 * n_rows, 1):
        raise UnreadableFile(
            f"{len(broken)} of {n_rows} rows do not have the {len(layout.header)} values that the header names",
            f"row {broken['row'].iloc[0]}: {broken['found'].iloc[0]}",
            "check the separator, and put values that contain it in double quotes",
        )
    table = table.unify_dictionaries()
    columns = {name: table.column(name).to_pandas(date_as_object=False) for name in kinds}
    dot_is_decimal = layout.delimiter == "," or mark == "."
    about = layout.about + (", decimal comma" if mark == "," else "")
    return RawColumns(columns, n_rows, _row_numbers(n_rows, broken), broken, mark, dot_is_decimal, about)


def _decimal_mark(layout: CsvLayout, kinds: Mapping[str, str]) -> str:
    """The decimal mark that the number columns prove between them; codes and dates prove nothing."""
    numbers = {d for name, d in zip(layout.header, layout.decimals, strict=True) if kinds.get(name) == "number"}
    proven = numbers & {".", ","}
    return proven.pop() if len(proven) == 1 and "mixed" not in numbers else ""


def _start(path: Path) -> tuple[bytes, bool]:
    with path.open("rb") as file:
        start = file.read(SAMPLE_BYTES)
    if not start.startswith(b"\x1f\x8b"):
        return start, False
    try:
        with gzip.open(path, "rb") as unpacked:
            return unpacked.read(SAMPLE_BYTES), True
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFile("the gzip file is damaged", str(error), "compress or export it again") from error


def _encoding(start: bytes, *, complete: bool) -> str:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\x00" in start:
        raise UnreadableFile("the file is not text", f"begins with {start[:12]!r}", "save it as CSV, Parquet or .xlsx")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start, complete)
    except UnicodeDecodeError:
        pass
    else:
        return "utf-8"
    controls = sum(byte < 32 and byte not in (9, 10, 12, 13, 26) for byte in start)
    if controls > 0.02 * len(start):
        raise UnreadableFile("the file is not text", f"begins with {start[:12]!r}", "save it as CSV, Parquet or .xlsx")
    return _latin_codec(start)


def _latin_codec(data: bytes) -> str:
    """Windows-1252 where its few undefined bytes do not occur, else strict Latin-1."""
    return "latin-1" if any(byte in data for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)) else "cp1252"


def _latin(path: Path, layout: CsvLayout) -> CsvLayout:
    import pyarrow as pa

    codec = "cp1252"
    with pa.input_stream(str(path), compression="gzip" if layout.gzipped else None) as file:
        while block := file.read(BLOCK_BYTES):
            codec = "latin-1" if _latin_codec(block) == "latin-1" else codec
    return CsvLayout(layout.header, layout.skip_lines, layout.delimiter, codec, layout.gzipped, layout.decimals)


def _delimiter(lines: list[str]) -> str:
    """The separator that splits the header and most lines into the same, largest number of values; "" if none."""
    best, best_score = "", 0.0
    for delimiter in DELIMITERS:
        lengths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        if lengths and lengths[0] > 1:
            same = sum(length == lengths[0] for length in lengths) / len(lengths)
            score = same * 1000 + lengths[0]
            if score > best_score:
                best, best_score = delimiter, score
    return best


def _parse(
    path: Path, layout: CsvLayout, kinds: Mapping[str, str], as_text: set[str], mark: str
) -> tuple[Any, pd.DataFrame]:
    """Arrow table of the wanted columns and the broken rows; UnicodeError where the letters do not fit."""
    table, broken = _attempt(path, layout, kinds, as_text, mark, numbered=False, long_values=False)
    if broken:
        # Line breaks inside quotes look like broken rows to the fast parser; numbers come from the serial one only.
        table, broken = _attempt(path, layout, kinds, as_text, mark, numbered=True, long_values=True)
    frame = pd.DataFrame(broken, columns=["row", "found"]) if broken else no_broken_rows()
    return table, frame


def _attempt(
    path: Path,
    layout: CsvLayout,
    kinds: Mapping[str, str],
    as_text: set[str],
    mark: str,
    *,
    numbered: bool,
    long_values: bool,
) -> tuple[Any, list[tuple[int, str]]]:
    import pyarrow as pa
    import pyarrow.csv as pc

    broken: list[tuple[int, str]] = []

    def note(row: Any) -> str:
        number = row.number - layout.skip_lines if row.number is not None else 0
        values = f"{row.actual_columns} values where the header has {row.expected_columns}"
        broken.append((number, f"{values}: {row.text[:80]}"))
        return "skip"

    text_type = pa.dictionary(pa.int32(), pa.string())
    try:
        with pa.input_stream(str(path), compression="gzip" if layout.gzipped else None) as stream:
            table = pc.read_csv(
                stream,
                read_options=pc.ReadOptions(
                    use_threads=not numbered,
                    block_size=BLOCK_BYTES,
                    column_names=list(layout.header),
                    skip_rows=layout.skip_lines,
                    encoding="utf8" if layout.encoding == "utf-8" else layout.encoding,
                ),
                parse_options=pc.ParseOptions(
                    delimiter=layout.delimiter, newlines_in_values=long_values, invalid_row_handler=note
                ),
                convert_options=pc.ConvertOptions(
                    include_columns=list(kinds),
                    column_types=dict.fromkeys(as_text, text_type),
                    decimal_point=mark or ".",
                ),
            )
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error) or "UTF-8" in str(error):
            raise UnicodeError(str(error)) from error
        if "Empty CSV" in str(error):
            empty = pa.table(dict.fromkeys(kinds, pa.array([], pa.null())))
            return empty, broken
        raise UnreadableFile("the file cannot be read as a table", str(error), "export it again") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFile("the file breaks off or is damaged", str(error), "export it again") from error
    if any(pa.types.is_binary(field.type) for field in table.schema):
        raise UnicodeError("letters outside UTF-8")
    return table, broken


def _needs_text(kind: Any, mark: str, layout: CsvLayout) -> bool:
    """Whether a column must be read again as text: times with a zone, or points whose meaning is not proven."""
    import pyarrow as pa

    zoned = pa.types.is_timestamp(kind) and kind.tz is not None
    unproven = pa.types.is_floating(kind) and not mark and layout.delimiter != ","
    return zoned or unproven or pa.types.is_string(kind) or pa.types.is_time(kind)


def _row_numbers(n_rows: int, broken: pd.DataFrame) -> pd.Series | None:
    if broken.empty:
        return None
    numbers = pd.RangeIndex(1, n_rows + 1)
    return pd.Series(numbers[~numbers.isin(broken["row"])])
