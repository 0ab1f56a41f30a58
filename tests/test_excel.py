"""The workbook, opened again with another program: sheets, frozen headings, filters, formats, colours, honest cuts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from plan_fixture import AS_OF, made_up_plan

from backorder_forecast.errors import BackorderForecastError
from backorder_forecast.excel import RISK_COLOURS, SHEET_ROWS, write_excel
from backorder_forecast.frames import FRAMES, heading


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = made_up_plan().to_excel(tmp_path_factory.mktemp("excel") / "plan.xlsx")
    return openpyxl.load_workbook(path)


def _column(sheet: Any, head: str) -> list[Any]:
    heads = [cell.value for cell in sheet[1]]
    return [row[heads.index(head)] for row in sheet.iter_rows(min_row=2)]


def test_one_sheet_per_frame_after_the_first(book: Any) -> None:
    assert book.sheetnames == ["plan", *FRAMES]
    for name in FRAMES:
        frame, sheet = made_up_plan().frames[name], book[name]
        assert sheet.max_row == len(frame) + 1
        assert [cell.value for cell in sheet[1]] == [heading(c) for c in frame.columns]


def test_headings_are_frozen_and_filters_are_on(book: Any) -> None:
    for name in FRAMES:
        sheet = book[name]
        assert sheet.freeze_panes in ("B2", "C2")
        assert sheet.auto_filter.ref == f"A1:{sheet.cell(sheet.max_row, sheet.max_column).coordinate}"


def test_text_numbers_dates_and_shares_are_what_they_are(book: Any) -> None:
    sheet, frame = book["stockouts"], made_up_plan().stockouts
    assert [c.value for c in _column(sheet, "Item")] == frame["sku"].tolist()
    assert all(c.data_type == "s" for c in _column(sheet, "Item"))
    chances = _column(sheet, "Chance to run out")
    assert [c.value for c in chances] == pytest.approx(frame["p_stockout"].tolist())
    assert {c.number_format for c in chances} == {"0 %"}
    dates = _column(sheet, "Out by (likely)")
    assert [pd.NaT if c.value is None else pd.Timestamp(c.value) for c in dates] == frame["stockout_date_0.5"].tolist()
    assert {c.number_format for c in dates if c.value is not None} == {"d mmm yyyy"}
    assert {c.number_format for c in _column(sheet, "Revenue at risk")} == {"#,##0.00"}
    assert [c.value for c in _column(sheet, "Out now")] == frame["already_out"].tolist()


def test_risks_are_coloured(book: Any) -> None:
    rules = book["stockouts"].conditional_formatting
    found = {
        rule.formula[0]: rule.dxf.fill.bgColor.rgb for area in rules for rule in area.rules if rule.type == "cellIs"
    }
    assert found == {f'"{flag}"': f"FF{colour[1:].upper()}" for flag, colour in RISK_COLOURS.items()}
    assert any(rule.type == "dataBar" for area in rules for rule in area.rules)


def test_first_sheet_says_what_the_plan_says(book: Any) -> None:
    summary = made_up_plan().summary()
    figures = [row[1].value for row in book["plan"].iter_rows() if row[0].value in set(summary["topic"])]
    assert figures == pytest.approx(summary["figure"].tolist())
    words = [str(cell.value) for row in book["plan"].iter_rows() for cell in row if cell.value is not None]
    plan = made_up_plan()
    assert words[0] == "Backorder plan, 6 May 2024"
    assert set(plan.summary()["topic"]) <= set(words)
    assert set(plan.notes) <= set(words)
    assert "'stockouts'!A1" in {link.location for row in book["plan"].iter_rows() for c in row if (link := c.hyperlink)}


def test_a_sheet_ends_and_says_so(tmp_path: Path) -> None:
    path = made_up_plan().to_excel(tmp_path / "cut.xlsx", max_rows=10)
    book = openpyxl.load_workbook(path, read_only=True)
    assert book["forecasts"].max_row == 11
    words = [str(v) for row in book["plan"].iter_rows(values_only=True) for v in row if v is not None]
    told = "Demand forecasts: only the first 10 rows are here; forecasts.csv and forecasts.parquet, where written, have"
    assert any(w.startswith(told) for w in words)
    assert "Cash by date" in {w.split(":")[0] for w in words}, "each sheet is named in words"
    assert "3600" in words
    assert SHEET_ROWS + 1 == 2**20
    book.close()


def test_notes_of_columns_and_cells_are_plain_words(tmp_path: Path) -> None:
    days = pd.DataFrame(
        {"sku": ["A"], "basis": ["service_level"], "already_out": [True], "reason": ["`x` is due 2024-05-06, 5% late"]}
    )
    frames = {"reorders": days}
    path = write_excel(frames, tmp_path / "w.xlsx", title="t", as_of=pd.Timestamp("2024-05-06"), notes=["a=True on 5%"])
    sheet = openpyxl.load_workbook(path)
    assert [c.value for c in sheet["reorders"][2]] == ["A", "service level", True, "x is due 6 May 2024, 5 % late"]
    assert sheet["reorders"]["C1"].comment.text.endswith("Yes or no.")
    assert "the option a on 5 %" in {c.value for row in sheet["plan"].iter_rows() for c in row}


def test_the_same_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = (made_up_plan().to_excel(tmp_path / f"{k}.xlsx", max_rows=50).read_bytes() for k in (1, 2))
    assert one == two


def test_formulas_and_strange_values_are_text_or_empty(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "sku": ["=1+1", "007", ""],
            "units": [float("inf"), float("nan"), 2.0],
            "seen": pd.array([True, None, False], dtype="boolean"),
            "group": pd.Categorical(["a", None, "b"]),
        }
    )
    frames = {"excess": frame, "backlog": frame.iloc[:0]}
    path = write_excel(frames, tmp_path / "odd.xlsx", title="Odd", as_of=AS_OF)
    sheet = openpyxl.load_workbook(path)["excess"]
    assert [tuple(c.value for c in row) for row in sheet.iter_rows(min_row=2)] == [
        ("=1+1", None, True, "a"),
        ("007", None, None, None),
        (None, 2, False, "b"),
    ]
    assert sheet["A2"].data_type == "s"


def test_without_the_package_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(BackorderForecastError, match=r"pip install 'backorder_forecast\[excel\]'"):
        made_up_plan().to_excel(tmp_path / "plan.xlsx")


def test_an_order_that_comes_too_late_says_now_and_keeps_real_dates(tmp_path: Path) -> None:
    orders = made_up_plan().frames["reorders"].iloc[:3].copy()
    orders["urgency"] = ["overdue", "today", "none"]
    orders["order_by_date"] = pd.DatetimeIndex([pd.NaT, pd.Timestamp("2024-05-06"), pd.NaT]).astype("datetime64[s]")
    write_excel({"reorders": orders}, tmp_path / "late.xlsx", title="Late", as_of=pd.Timestamp("2024-05-06"))
    sheet = openpyxl.load_workbook(tmp_path / "late.xlsx")["reorders"]
    at = list(orders.columns).index("order_by_date") + 1
    shown = [sheet.cell(row, at).value for row in (2, 3, 4)]
    assert shown == ["now (too late)", pd.Timestamp("2024-05-06").to_pydatetime(), None]
