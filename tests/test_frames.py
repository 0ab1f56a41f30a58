"""Output frames as data: complete columns, kinds and headings, and how values read."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_fixture import made_up_plan
from shop_fixture import shop_plan

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.frames import (
    COLUMNS,
    DTYPES,
    FRAMES,
    FURTHER,
    OWN_NOTES,
    column_kind,
    column_note,
    empty_frame,
    format_values,
    frame_columns,
    heading,
    missing_columns,
    quantile_columns,
)


@pytest.mark.parametrize("name", [n for n in FRAMES if n != "items"])
def test_an_empty_frame_has_every_column_of_a_real_plan(name: str) -> None:
    full = shop_plan().frames[name]
    assert len(full)
    assert list(empty_frame(name).columns) == list(full.columns)
    for column in full.columns:
        assert column_kind(column) == column_kind(column, full[column]) or column == "trend"


def test_waiting_lines_keep_the_priority_that_the_shop_gave_them() -> None:
    assert set(shop_plan().fill_dates["priority"]) == {1.0, 2.0, 3.0}


@pytest.mark.parametrize("name", FRAMES)
def test_an_empty_frame_has_the_columns_and_dtypes_of_a_full_one(name: str) -> None:
    empty, full = empty_frame(name), made_up_plan().frames[name]
    assert list(empty.columns) == [*frame_columns(name), *FURTHER.get(name, ())]
    assert missing_columns(name, full) == []
    for column in empty.columns:
        if column not in full.columns:
            assert column in FURTHER[name]
            continue
        assert column_kind(column, empty[column]) == column_kind(column)
        # An empty frame and a full one join without changing what the columns are.
        joined = pd.concat([empty, full], ignore_index=True)[column]
        assert column_kind(column, joined) == column_kind(column, full[column])


@pytest.mark.parametrize("name", FRAMES)
def test_every_core_column_is_described(name: str) -> None:
    for column in FRAMES[name]:
        base = str(column).rsplit("_0.", 1)[0]
        assert isinstance(column, float) or base in COLUMNS, column
        assert heading(column)
        assert heading(column)[0].isupper() or heading(column)[0] in "…19"
        assert "_" not in heading(column)


def test_kinds_have_dtypes_and_notes_are_sentences() -> None:
    for name, column in COLUMNS.items():
        assert column.kind in DTYPES, name
        assert column.note.endswith("."), name
    assert column_note("p_stockout").startswith("Probability")
    assert column_note("no_such_column") == ""


@pytest.mark.parametrize("name", FRAMES)
def test_every_column_of_a_plan_is_explained_in_a_sentence_that_fits_a_cell_comment(name: str) -> None:
    for column in {*shop_plan().frames[name].columns, *empty_frame(name).columns}:
        note = column_note(column, name)
        assert note.endswith("."), (name, column)
        assert 12 <= len(note) <= 200, (name, column)
        unit = {"units": "units", "days": "days", "money": "currency", "share": "0 to 1"}.get(column_kind(column), "")
        assert unit in note, (name, column)
        # A frame that was read again from a file is explained alike.
        assert column_note(str(column), name) == note


def test_a_column_that_says_something_else_in_each_frame_is_explained_for_each() -> None:
    assert len({column_note("basis", name) for name in ("reorders", "wait_cutoffs", "lead_times")}) == 3
    assert len({column_note("reason", name) for name in ("reorders", "wait_cutoffs", "notices")}) == 3
    for frame, column in OWN_NOTES:
        assert column in empty_frame(frame).columns, (frame, column)


def test_unknown_frame_names_the_nearest() -> None:
    with pytest.raises(InvalidSettings, match=r"did you mean 'stockouts'"):
        empty_frame("stockout")


@pytest.mark.parametrize(
    ("column", "values", "kind"),
    [
        ("anything", pd.Series(["a"]), "text"),
        ("anything", pd.Series([1.5]), "number"),
        ("anything", pd.Series([True]), "flag"),
        ("anything", pd.Series(pd.to_datetime(["2024-01-01"])), "date"),
        ("p_any", pd.Series([0.5]), "share"),
        ("flag", pd.Series(["ok"]), "category"),
        ("order_by_date", pd.Series(["soon"]), "text"),
        ("cause_share", pd.Series([0.5]), "share"),
    ],
)
def test_kind_is_read_from_the_values_where_the_name_does_not_tell(column: str, values: pd.Series, kind: str) -> None:
    assert column_kind(column, values) == kind


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        ("share", [0.0, 0.001, 0.994, 0.9999, 1.0], ["0 %", "<1 %", "99 %", ">99 %", "100 %"]),
        ("count", [12345, 0], ["12,345", "0"]),
        ("units", [0.033, 3.0, 12.25, 1234.5], ["0.033", "3", "12.2", "1,234"]),
        ("money", [1234.5, 0.4], ["1,234", "0"]),
        ("money", [12.5, 0.4], ["12.50", "0.40"]),
        ("days", [9.25, 3.0], ["9.2", "3.0"]),
        ("days", [14.6, 3.2, np.inf], ["15", "3", "∞"]),
        ("units", [-0.0, -3.0], ["0", "-3"]),
    ],
)
def test_numbers_read_well(kind: str, values: list[float], words: list[str]) -> None:
    assert format_values(kind, pd.Series(values)) == words


@pytest.mark.parametrize("kind", ["share", "count", "units", "money", "days", "number"])
@given(st.lists(st.floats(allow_nan=True, allow_infinity=False, width=32), max_size=8))
def test_any_number_has_words_and_only_missing_ones_are_empty(kind: str, values: list[float]) -> None:
    words = format_values(kind, pd.Series(values, dtype=float))
    assert [w == "" for w in words] == [math.isnan(v) for v in values]


def test_missing_text_flags_and_dates_are_empty() -> None:
    assert format_values("text", pd.Series(["a", None])) == ["a", ""]
    assert format_values("flag", pd.Series([True, None, False], dtype=object)) == ["yes", "", "no"]
    assert format_values("flag", pd.Series([True, pd.NA], dtype="boolean")) == ["yes", ""]
    assert format_values("date", pd.Series([pd.Timestamp("2024-02-29"), pd.NaT])) == ["2024-02-29", ""]


def test_quantile_columns_become_numbers_again_and_others_stay() -> None:
    assert quantile_columns(["sku", "0.1", "0.95", "fill_date_0.9", 0.5]) == ["sku", 0.1, 0.95, "fill_date_0.9", 0.5]
