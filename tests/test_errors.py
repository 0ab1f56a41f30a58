from __future__ import annotations

import pickle
from typing import Any

import pandas as pd
import pytest
from shop_fixture import SETTINGS, read, shop

from backorder_forecast.errors import (
    FAILURE_COLUMNS,
    BackorderForecastError,
    InvalidSettings,
    InvalidTables,
    NotEnoughHistory,
    unknown_option,
)
from backorder_forecast.pipeline import make_plan

PROBLEMS: list[dict[str, Any]] = [
    {"table": "sales", "row": 7, "column": "date", "problem": "not a date", "found": "soon", "what_to_do": "write it"},
    {"table": "inventory", "problem": "the file is empty"},
    {"row": 0, "column": "sku", "found": 0},
]


def test_every_problem_is_one_numbered_sentence() -> None:
    lines = str(InvalidTables(PROBLEMS)).splitlines()
    assert lines == [
        "3 problems in the input:",
        "1. sales, row 7, column date: not a date; found soon. What to do: write it",
        "2. inventory: the file is empty",
        "3. input, row 0, column sku: unusable; found 0",
    ]
    assert str(InvalidTables(PROBLEMS[:1])).startswith("1 problem in the input:")


def test_failures_is_a_frame_with_all_columns_whatever_was_given() -> None:
    frame = InvalidTables(PROBLEMS).failures
    assert tuple(frame.columns) == FAILURE_COLUMNS
    assert frame["problem"].tolist() == ["not a date", "the file is empty", ""]
    assert frame["found"].tolist() == ["soon", "", 0]
    assert tuple(InvalidTables([]).failures.columns) == FAILURE_COLUMNS


def test_the_error_keeps_its_own_copy_of_the_problems() -> None:
    problems = [dict(PROBLEMS[0])]
    error = InvalidTables(problems)
    problems[0]["table"] = "other"
    frame = error.failures
    frame.loc[0, "table"] = "third"
    assert error.failures["table"].tolist() == ["sales"]


def test_errors_survive_a_process_boundary() -> None:
    error = InvalidTables(PROBLEMS)
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    pd.testing.assert_frame_equal(copy.failures, error.failures)
    assert str(pickle.loads(pickle.dumps(NotEnoughHistory("too short")))) == "too short"


@pytest.mark.parametrize("kind", [InvalidSettings, NotEnoughHistory, InvalidTables])
def test_all_errors_can_be_caught_together_and_as_value_errors(kind: type[Exception]) -> None:
    assert issubclass(kind, BackorderForecastError)
    assert issubclass(kind, ValueError)


def test_an_unknown_option_lists_the_valid_ones_and_guesses_only_what_is_near() -> None:
    near = str(unknown_option("freq", "W-MOM", ["D", "W-MON", "MS"]))
    assert near == "unknown freq 'W-MOM' (did you mean 'W-MON'?); valid are: D, W-MON, MS"
    assert "did you mean" not in str(unknown_option("freq", "yearly", ["D", "MS"]))
    assert str(unknown_option("table", "x", iter(["sales"]))) == "unknown table 'x'; valid are: sales"


def test_tables_settings_and_scenario_of_the_wrong_kind_are_refused_in_words() -> None:
    tables = read(shop())
    wrong: list[tuple[tuple[Any, ...], str]] = [
        (("data/samples",), r"tables come from read_tables, got a str \(data/samples\): read files or frames first"),
        ((shop(),), r"tables come from read_tables, got a dict"),
        ((tables, {"n_paths": 50}), r"settings must be Settings\(name=value, \.\.\.\), got a dict"),
    ]
    for given, message in wrong:
        with pytest.raises(InvalidSettings, match=message):
            make_plan(*given)
    scenario: Any = {"on_hand": {"A": 1}}
    with pytest.raises(InvalidSettings, match="scenario must be Scenario"):
        make_plan(tables, SETTINGS, scenario=scenario)
