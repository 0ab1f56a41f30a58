"""Files of every kind, whole and damaged: what is read, what is refused, and in which words."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import backorder_forecast as bf
from backorder_forecast.csv_files import UnreadableFile, sniff_csv
from backorder_forecast.dates import check_date_format, parse_dates
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.values import decimal_evidence, parse_flags, parse_numbers, parse_text

PLAIN = "sku,date,quantity\n007,2024-01-05,2\nA-1,2024-01-06,3.5\n"


def write(folder: Path, data: str | bytes, name: str = "sales.csv") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def sales_of(folder: Path, data: str | bytes, name: str = "sales.csv", **options: Any) -> pd.DataFrame:
    path = write(folder, data, name)
    return bf.read_tables({"sales": path}, **options).sales


def problem_of(folder: Path, data: str | bytes, name: str = "sales.csv", **options: Any) -> pd.Series:
    path = write(folder, data, name)
    with pytest.raises(bf.InvalidTables) as caught:
        bf.read_tables({"sales": path}, **options)
    return caught.value.failures.iloc[0]


def rows_of(frame: pd.DataFrame) -> list[tuple[str, str, float]]:
    days = frame["date"].dt.strftime("%Y-%m-%d")
    return list(zip(frame["sku"].astype("str"), days, frame["quantity"], strict=True))


EXPECTED = [("007", "2024-01-05", 2.0), ("A-1", "2024-01-06", 3.5)]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (PLAIN, "sales.csv"),
        (PLAIN.replace("\n", "\r\n"), "sales.csv"),
        (PLAIN.replace(",", ";").replace("3.5", "3,5"), "sales.csv"),
        (PLAIN.replace(",", "\t"), "sales.tsv"),
        (PLAIN.replace(",", "|"), "sales.txt"),
        (b"\xef\xbb\xbf" + PLAIN.encode(), "sales.csv"),
        (PLAIN.encode("utf-16"), "sales.csv"),
        (gzip.compress(PLAIN.encode()), "sales.csv.gz"),
        (gzip.compress(PLAIN.encode()), "sales.csv"),
        ("sep=;\n" + PLAIN.replace(",", ";"), "sales.csv"),
        ("\n\n" + PLAIN, "sales.csv"),
        (PLAIN.replace("quantity\n", "quantity,\n").replace("2\n", "2,\n").replace("3.5\n", "3.5,\n"), "sales.csv"),
        ('"sku","date","quantity"\n"007","2024-01-05","2"\n"A-1","2024-01-06","3.5"\n', "sales.csv"),
        (PLAIN.replace("-01-0", "/1/"), "sales.csv"),
        (PLAIN.replace("2024-01-05", "2024-01-05T23:59:59-05:00"), "sales.csv"),
        (PLAIN.replace("2024-01-05", "2024-01-05 00:30:00+02:00"), "sales.csv"),
        (PLAIN.replace("2024-01-05", "20240105").replace("2024-01-06", "20240106"), "sales.csv"),
        (PLAIN.replace("2024-01-05", "5 Jan 2024").replace("2024-01-06", "Jan 6 2024"), "sales.csv"),
        (PLAIN.replace("007", " 007 "), "sales.csv"),
    ],
    ids=["plain", "crlf", "semicolon-comma", "tab", "bar", "bom", "utf16", "gz", "gz-unnamed", "sep-line", "blank",
         "trailing-comma", "quoted", "slashes", "zone-west", "zone-east", "compact", "month-names", "blanks"],
)  # fmt: skip
def test_text_files_of_every_shape(tmp_path: Path, data: str | bytes, name: str) -> None:
    assert rows_of(sales_of(tmp_path, data, name)) == EXPECTED


def test_latin_letters(tmp_path: Path) -> None:
    data = "sku,date,quantity\nMüsli,2024-01-05,2\n".encode("latin-1")
    assert sales_of(tmp_path, data)["sku"].tolist() == ["Müsli"]
    undefined = "sku,date,quantity\nM\x81,2024-01-05,2\n".encode("latin-1")
    assert sales_of(tmp_path, undefined)["sku"].tolist() == ["M\x81"]


def test_latin_letters_far_below_a_plain_beginning(tmp_path: Path) -> None:
    data = PLAIN + "A-1,2024-01-06,1\n" * 30_000 + "Käse,2024-01-07,9\n"
    path = write(tmp_path, data.encode("latin-1"))
    tables = bf.read_tables({"sales": path})
    assert len(tables.sales) == 30_003
    assert tables.sales["sku"].iloc[-1] == "Käse"
    assert "Latin-1" in tables.sources["sales"]


@pytest.mark.parametrize(
    ("data", "name", "problem"),
    [
        (b"", "sales.csv", "the file is empty"),
        (b"\n \n", "sales.csv", "the file is empty"),
        ("sku,date,quantity\n", "sales.csv", "header but no rows"),
        (bytes(range(256)) * 40, "sales.csv", "not text"),
        (b"PK\x03\x04" + b"x" * 50, "sales.csv", "not text"),
        (b"PAR1" + b"x" * 50, "sales.csv", "not text"),
        (b"not parquet at all", "sales.parquet", "not a readable Parquet"),
        (b"not a workbook", "sales.xlsx", "not a readable Excel"),
        (b"\xd0\xcf\x11\xe0 old", "sales.xls", "old Excel"),
        (gzip.compress(PLAIN.encode())[:30], "sales.csv.gz", "damaged"),
        ("sku^date^quantity\nA^2024-01-05^1\n", "sales.csv", "cannot be told apart"),
        ("sku,date,quantity\nA;2024-01-05;1\nB;2024-01-05;1\nC;2024-01-06;1\n", "sales.csv", "the 3 values"),
        ("Report of March\n" + PLAIN, "sales.csv", "does not hold the column names"),
        ("sku,sku,date,quantity\nA,B,2024-01-05,1\n", "sales.csv", "two columns have the same name"),
    ],
    ids=["nothing", "blank", "header-only", "junk", "zip", "parquet-as-csv", "no-parquet", "no-xlsx", "xls",
         "half-gzip", "caret", "wrong-separator", "title-line", "twice"],
)  # fmt: skip
def test_damaged_files_are_named(tmp_path: Path, data: str | bytes, name: str, problem: str) -> None:
    failure = problem_of(tmp_path, data, name)
    assert problem in failure["problem"]
    assert failure["table"] == "sales"
    assert failure["what_to_do"]


def test_ragged_rows_are_set_aside_with_their_number(tmp_path: Path) -> None:
    path = write(tmp_path, 'sku,date,quantity\nA,2024-01-05,1\nB,2024-01-05\n\nC,2024-01-05,1,9\n"D\nd",2024-01-06,4\n')
    tables = bf.read_tables({"sales": path})
    assert tables.set_aside["row"].tolist() == [2, 3]
    assert tables.sales.index.tolist() == [1, 4]
    assert tables.sales["sku"].tolist() == ["A", "D\nd"]
    total = tables.quality.iloc[0]
    assert (total["rows_read"], total["rows_used"], total["rows_set_aside"]) == (4, 2, 2)


def test_line_breaks_in_quotes_are_no_broken_rows(tmp_path: Path) -> None:
    data = "sku,note,date,quantity\n" + 'A,"two\nlines, and a comma",2024-01-05,1\n' * 5
    assert len(sales_of(tmp_path, data)) == 5


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.234,50", 1234.5), ("1,234.50", 1234.5), ("€ 12,50", 12.5), ("12.50 EUR", 12.5), ("(7)", -7.0), ("5-", -5.0),
     ("1'234.5", 1234.5), ("1 234,5", 1234.5), ("0,250", 0.25), ("1e3", 1000.0), ("-3", -3.0), ("1.234.567", 1234567)],
)  # fmt: skip
def test_numbers_as_people_write_them(text: str, value: float) -> None:
    parsed = parse_numbers(pd.Series([text]))
    assert parsed.values.tolist() == [value]
    assert not parsed.bad.any()


@pytest.mark.parametrize("text", ["abc", "1,2,3", "12.34.5", "1_000", "--5", "inf", "12,34,567", "2024-01-05"])
def test_no_numbers(text: str) -> None:
    assert parse_numbers(pd.Series([text]), decimal=".").bad.all()


def test_decimal_mark_is_asked_for_where_it_is_open(tmp_path: Path) -> None:
    failure = problem_of(tmp_path, 'sku,date,quantity\nA,2024-01-05,"1,234"\n')
    assert failure["found"] == "1,234: is it 1234 or 1.234?"
    failure = problem_of(tmp_path, "sku;date;quantity\nA;2024-01-05;1.234\n")
    assert "decimal" in failure["what_to_do"]
    assert sales_of(tmp_path, "sku;date;quantity\nA;2024-01-05;1.234\n", decimal=",")["quantity"].tolist() == [1234.0]
    assert sales_of(tmp_path, "sku;date;quantity\nA;2024-01-05;1.234\n", decimal=".")["quantity"].tolist() == [1.234]
    # Another column proves the decimal comma.
    proven = "sku;date;quantity;price\nA;2024-01-05;1.234;9,99\n"
    assert sales_of(tmp_path, proven)["quantity"].tolist() == [1234.0]
    # The proof may stand far below.
    late = "sku;date;quantity\n" + "A;2024-01-05;1.234\n" * 20_000 + "A;2024-01-05;1.234,5\n"
    assert sales_of(tmp_path, late)["quantity"].iloc[0] == 1234.0
    # Codes and dates with points prove nothing about the numbers.
    codes = "sku;date;quantity\n4711.10;05.01.2024;1.234\n4711.20;25.01.2024;1.234\n"
    assert "decimal" in problem_of(tmp_path, codes)["what_to_do"]
    told = bf.read_tables({"sales": write(tmp_path, codes)}, decimal=",")
    assert told.sales["quantity"].tolist() == [1234.0, 1234.0]
    assert "decimal comma" in told.sources["sales"]
    mixed = problem_of(tmp_path, "sku;date;quantity\nA;2024-01-05;1,5\nA;2024-01-05;1.75\n")
    assert "decimal" in mixed["problem"]


def test_one_column_of_a_frame_proves_the_decimal_mark_for_all() -> None:
    days = ["2024-01-05", "2024-01-06"]
    frame = pd.DataFrame({"sku": "A", "date": days, "quantity": ["1.200", "3"], "price": ["9,50", "10"]})
    read = bf.read_tables({"sales": frame}).sales
    assert read["quantity"].tolist() == [1200.0, 3.0]
    assert read["price"].tolist() == [9.5, 10.0]
    point = bf.read_tables({"sales": frame.assign(price=["9.50", "10"])}).sales
    assert point["quantity"].tolist() == [1.2, 3.0]
    # Alone, the text is the same question as in a file; a number is none, nor is what a price of numbers would prove.
    for open_text in (frame.drop(columns="price"), frame.assign(price=[9.5, 10.0])):
        with pytest.raises(bf.InvalidTables, match=r"1\.200: is it 1200 or 1\.200\?"):
            bf.read_tables({"sales": open_text})
        assert bf.read_tables({"sales": open_text}, decimal=",").sales["quantity"].tolist() == [1200.0, 3.0]
    numbers = frame.assign(quantity=pd.Series([1.2, 3], dtype=object))
    assert bf.read_tables({"sales": numbers}).sales["quantity"].tolist() == [1.2, 3.0]


@pytest.mark.parametrize("text", ["NULL", "null", "None", "NaN", "#N/A", " "])
def test_words_for_no_number_are_no_number(text: str) -> None:
    parsed = parse_numbers(pd.Series([text, "EUR 5"]))
    assert parsed.bad.tolist() == [False, False]
    assert parsed.values.isna().tolist() == [True, False]


def test_numbers_among_text_keep_their_value() -> None:
    mixed = parse_numbers(pd.Series([1.234, "9,5", None, float("inf"), "x", 7], dtype=object))
    assert mixed.values.tolist()[:2] == [1.234, 9.5]
    assert mixed.bad.tolist() == [False, False, False, True, True, False]
    assert mixed.question is None


def test_decimal_evidence() -> None:
    assert decimal_evidence(["1.234", "1,234"]) in ("?,", "?.")
    assert decimal_evidence(["1234.567"]) == "."
    assert decimal_evidence(["1,5", "2.5"]) == "mixed"
    assert decimal_evidence(["A1,5", "x"]) == ""
    assert decimal_evidence(["05.01.2024", "1.2.3"]) == ""
    assert decimal_evidence(["1.234.567"]) == ","


@pytest.mark.parametrize(
    ("dates", "days", "words"),
    [
        (["05/01/2024", "25/01/2024"], ["2024-01-05", "2024-01-25"], "day first as 25/01/2024 proves"),
        (["01/05/2024", "01/25/2024"], ["2024-01-05", "2024-01-25"], "month first as 01/25/2024 proves"),
        (["05.01.2024 10:30", "25.01.2024 11:00"], ["2024-01-05", "2024-01-25"], "time of day dropped"),
        (["05/05/2024", ""], ["2024-05-05", None], "dates"),
        (["2024-01", "2024-02"], ["2024-01-01", "2024-02-01"], "months read as their first day"),
        (["2024-01-05", "9999-12-31"], ["2024-01-05", None], "placeholders read as empty"),
        (["2024-01-05", "00000000"], ["2024-01-05", None], "placeholders read as empty"),
        (["05-MAR-2024", "6 March 2024"], ["2024-03-05", "2024-03-06"], "dates"),
    ],
)
def test_dates_that_prove_their_order(dates: list[str], days: list[str | None], words: str) -> None:
    parsed = parse_dates(pd.Series(dates))
    assert parsed.question is None
    assert not parsed.bad.any()
    assert parsed.values.dt.strftime("%Y-%m-%d").replace({np.nan: None}).tolist() == days
    assert words in parsed.understood


@pytest.mark.parametrize(
    ("dates", "found"),
    [
        (["05/01/2024", "06/01/2024"], "05/01/2024: is it 5 January or 1 May 2024?"),
        (["05.01.2024"], "05.01.2024: is it 5 January or 1 May 2024?"),
        (["25/01/2024", "01/25/2024"], "25/01/2024 has the day first, 01/25/2024 the month first"),
        (["05/01/24"], "which part is the year"),
    ],
)
def test_dates_that_leave_a_question(dates: list[str], found: str) -> None:
    parsed = parse_dates(pd.Series(dates))
    assert parsed.question is not None
    assert found in parsed.question[1]


@pytest.mark.parametrize("text", ["0201-03-04", "2024-13-01", "2024-02-30", "31/02/2024", "soon", "45000", "12:30"])
def test_impossible_dates(text: str) -> None:
    assert parse_dates(pd.Series([text, "25/01/2024"])).bad.tolist() == [True, False]


def test_date_formats() -> None:
    assert parse_dates(pd.Series(["05/01/24"]), date_format="%d/%m/%y").values.dt.month.tolist() == [1]
    assert parse_dates(pd.Series(["45296"]), date_format="excel").values.dt.strftime("%Y-%m-%d").tolist() == [
        "2024-01-05"
    ]
    parsed = parse_dates(pd.Series(["01/05/2024 08:00", "2024-01-06", "13/05/2024"]), date_format="%m/%d/%Y %H:%M")
    assert parsed.values.dt.day.tolist()[:2] == [5, 6]
    assert parsed.bad.tolist() == [False, False, True]
    with pytest.raises(InvalidSettings, match="not understood"):
        check_date_format("day first")


def test_datetimes_of_frames() -> None:
    zoned = pd.Series(pd.to_datetime(["2024-01-05 23:30", ""])).dt.tz_localize("America/New_York")
    parsed = parse_dates(zoned)
    assert parsed.values.dt.day.tolist()[0] == 5
    assert "time zone" in parsed.understood
    odd = pd.Series(np.array(["0201-01-01", "9999-12-31", "2024-01-05"], dtype="datetime64[s]"))
    parsed = parse_dates(odd)
    assert parsed.bad.tolist() == [True, False, False]
    assert parsed.values.notna().tolist() == [False, False, True]
    assert parse_dates(pd.Series(pd.period_range("2024-01", periods=2, freq="M"))).values.dt.month.tolist() == [1, 2]


def test_identifiers_stay_text() -> None:
    assert parse_text(pd.Series(["007", "7", " 7"])).values.tolist() == ["007", "7", "7"]
    assert parse_text(pd.Series([17850.0, None, 3.0])).values.tolist()[0] == "17850"
    assert parse_text(pd.Series(["17850.0", "12346.0"])).values.tolist() == ["17850", "12346"]
    assert parse_text(pd.Series(["1.0", "A"])).values.tolist() == ["1.0", "A"]
    assert parse_text(pd.Series(["NULL", "nan", "NA"])).values.isna().tolist() == [True, True, False]
    assert list(parse_text(pd.Series(["b", "a", "c"])).values.cat.categories) == ["a", "b", "c"]
    assert parse_text(pd.Series([1, "1", True], dtype=object)).values.tolist() == ["1", "1", "True"]


def test_flags() -> None:
    parsed = parse_flags(pd.Series(["yes", "No", "maybe", None, "X"]))
    assert parsed.values.tolist() == [True, False, False, False, True]
    assert parsed.bad.tolist() == [False, False, True, False, False]
    assert parse_flags(pd.Series([True, False])).values.tolist() == [True, False]
    assert parse_flags(pd.Series([1.0, 0.0])).values.tolist() == [True, False]


def _frame() -> pd.DataFrame:
    return pd.DataFrame(
        {"sku": ["007", "A-1"], "date": pd.to_datetime(["2024-01-05", "2024-01-06"]), "quantity": [2, 3.5]}
    )


def test_frames_of_other_libraries() -> None:
    pl = pytest.importorskip("polars")
    import pyarrow as pa

    frame = _frame()
    arrow = pa.Table.from_pandas(frame)
    polars = pl.from_pandas(frame)
    categorical = polars.with_columns(pl.col("sku").cast(pl.Categorical), pl.col("date").cast(pl.Date))
    for given in (frame, arrow, arrow.to_batches()[0], polars, categorical):
        assert rows_of(bf.read_tables({"sales": given}).sales) == EXPECTED
    with pytest.raises(bf.InvalidTables, match="collect"):
        bf.read_tables({"sales": polars.lazy()})
    with pytest.raises(bf.InvalidTables, match="neither a frame nor a path"):
        bf.read_tables({"sales": [1, 2]})


def test_frames_with_the_old_interchange_only() -> None:
    class Old:
        def __init__(self, frame: pd.DataFrame) -> None:
            import pyarrow as pa

            self._table = pa.Table.from_pandas(frame)

        def __dataframe__(self, *args: Any, **kwargs: Any) -> Any:
            return self._table.__dataframe__(*args, **kwargs)

    assert rows_of(bf.read_tables({"sales": Old(_frame())}).sales) == EXPECTED


def test_parquet_types(tmp_path: Path) -> None:
    from decimal import Decimal

    frame = _frame()
    frame["customer_id"] = [17850.0, np.nan]
    frame["order_id"] = [536365, 536366]
    frame["price"] = pd.Series([Decimal("2.50"), Decimal("3.00")], dtype=object)
    frame["date"] = frame["date"].dt.date
    frame.to_parquet(tmp_path / "sales.parquet")
    sales = bf.read_tables(tmp_path).sales
    assert rows_of(sales) == EXPECTED
    assert sales["customer_id"].tolist()[0] == "17850"
    assert sales["order_id"].tolist() == ["536365", "536366"]
    assert sales["price"].tolist() == [2.5, 3.0]


def test_workbook(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Sales"
    sheet.append([])
    sheet.append(["Item", "Date", "Qty", None])
    sheet.append([42, pd.Timestamp("2024-01-05").to_pydatetime(), 2])
    sheet.append(["007", "2024-01-06", "3,5"])
    sheet["A3"].number_format = "00000"
    book.create_sheet("Notes").append(["anything"])
    book.create_sheet("Stock").append(["sku", "date", "on_hand"])
    book["Stock"].append(["007", "2024-01-06", 5])
    book.save(tmp_path / "book.xlsx")
    tables = bf.read_tables(tmp_path / "book.xlsx")
    assert rows_of(tables.sales) == [("00042", "2024-01-05", 2.0), ("007", "2024-01-06", 3.5)]
    assert tables.inventory["on_hand"].tolist() == [5.0]
    assert "sheet Notes" in tables.quality["table"].tolist()
    named = bf.read_tables({"sales": tmp_path / "book.xlsx"})
    assert len(named.sales) == 2
    with pytest.raises(bf.InvalidTables, match="sheets="):
        bf.read_tables({"sales": tmp_path / "book.xlsx", "products": tmp_path / "book.xlsx"})
    with pytest.raises(
        bf.InvalidTables, match=r"inventory: the workbook has no sheet 'Stok'; found Sales, Notes, Stock"
    ):
        bf.read_tables(tmp_path / "book.xlsx", sheets={"stock": "Stok"})


def test_folder_with_strangers_and_doubles(tmp_path: Path) -> None:
    write(tmp_path, PLAIN)
    write(tmp_path, "a,b\n1,2\n", "whatever.csv")
    write(tmp_path, "hello", "README.md")
    tables = bf.read_tables(tmp_path)
    assert "whatever.csv" in tables.quality["table"].tolist()
    assert any("whatever.csv" in note for note in tables.notes)
    write(tmp_path, PLAIN, "sales.tsv")
    with pytest.raises(bf.InvalidTables, match="several files could be this table"):
        bf.read_tables(tmp_path)


def test_sources_that_are_none(tmp_path: Path) -> None:
    for source, words in (
        (tmp_path / "nowhere", "no such file or folder"),
        (tmp_path, "there is no sales table"),
        ({"sales": tmp_path / "nowhere.csv"}, "no such file"),
        ({"sails": _frame()}, "no table has this name"),
        ({}, "there is no sales table"),
        (_frame(), "the source is not understood"),
        ({"sales": _frame(), "Sale": _frame()}, "given twice"),
    ):
        with pytest.raises(bf.InvalidTables, match=words):
            bf.read_tables(source)  # type: ignore[arg-type]
    assert len(bf.read_tables({"sales": _frame(), "inventory": None}).inventory) == 0


def test_a_file_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, PLAIN)

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(bf.InvalidTables, match=r"the file cannot be opened; found .*Permission denied"):
        bf.read_tables({"sales": path})


def test_layout_in_words(tmp_path: Path) -> None:
    layout = sniff_csv(write(tmp_path, gzip.compress("a;b\n1,5;x\n".encode("latin-1")), "x.csv.gz"))
    assert layout.about == "semicolon separated, UTF-8, gzip"
    assert layout.decimals == (",", "")
    with pytest.raises(UnreadableFile):
        sniff_csv(write(tmp_path, "one column only\n1\n", "y.csv"))
