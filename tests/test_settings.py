from __future__ import annotations

import ast
import copy
import dataclasses
import inspect
import pickle
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from backorder_forecast import clock
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.settings import FREQS, PRODUCT_TYPES, Settings, meanings

SHARES = ("service_level", "promise_level", "excess_level", "watch_probability", "deposit_share", "holding_cost_rate")
POSITIVE = (
    "horizon_days", "n_paths", "bucket_size", "review_days", "max_lead_time_days", "default_lead_time_days",
    "variance_shrink_n", "init_periods", "max_path_days",
)  # fmt: skip


def with_one(name: str, value: Any) -> Settings:
    options: dict[str, Any] = {name: value}
    return Settings(**options)


@pytest.mark.parametrize("name", ["unmet", "allocation", "sales_are", "order_target", "daily_cost_basis"])
def test_a_word_outside_its_list_names_the_list(name: str) -> None:
    valid = getattr(Settings(), name)
    with pytest.raises(InvalidSettings, match=rf"unknown {name} 'nonsense'; valid are: .*{valid}"):
        with_one(name, "nonsense")


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("value", [-0.01, 1.01, 95, float("nan"), float("inf")])
def test_shares_are_shares(name: str, value: float) -> None:
    with pytest.raises(InvalidSettings, match=name):
        with_one(name, value)


@pytest.mark.parametrize("name", ["service_level", "promise_level", "excess_level"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_certainty_cannot_be_asked_for(name: str, value: float) -> None:
    with pytest.raises(InvalidSettings, match=f"{name} lies strictly between 0 and 1"):
        with_one(name, value)


@pytest.mark.parametrize("name", POSITIVE)
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_sizes_are_positive(name: str, value: float) -> None:
    with pytest.raises(InvalidSettings, match=f"{name} is positive, got"):
        with_one(name, value)


@pytest.mark.parametrize("name", ["lead_time_pool_k", "lead_time_half_life_days"])
def test_what_the_past_may_choose_is_zero_or_positive(name: str) -> None:
    assert getattr(with_one(name, 0), name) == 0
    for value in (-1, float("nan")):
        with pytest.raises(InvalidSettings, match=f"{name} is 0 "):
            with_one(name, value)


@pytest.mark.parametrize("value", [7.5, float("inf")])
@pytest.mark.parametrize("name", ["horizon_days", "n_paths", "bucket_size", "review_days", "max_path_days"])
def test_counts_are_whole(name: str, value: float) -> None:
    with pytest.raises(InvalidSettings, match=f"{name} is a whole number, got {value}"):
        with_one(name, value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("horizon_days", "30", "horizon_days is a number, got '30'"),
        ("horizon_days", None, "horizon_days is a number, got None"),
        ("service_level", "95%", "service_level is a number, got '95%'"),
        ("action_cost", "x", "action_cost is a number, got 'x'"),
        ("seed", "a", "seed is a number, got 'a'"),
        ("seed", 1.5, "seed is a whole number, got 1.5"),
        ("alphas", (0.1, "x"), "alphas is a list of numbers, got"),
        ("no_crossover", "yes", "no_crossover is a choice of true and false, got 'yes'"),
        ("supplier_calendars", "DE", "supplier_calendars is a table of text, got 'DE'"),
        ("supplier_calendars", {"ACME": 5}, "supplier_calendars is a table of text, got {'ACME': 5}"),
        ("cutoff_bands", {"custom": 3}, "cutoff_bands is a table of pairs of numbers, got {'custom': 3}"),
        ("payment_hazard", {"none": "1"}, "payment_hazard is a table of numbers, got {'none': '1'}"),
    ],
)
def test_a_value_of_another_kind_is_refused_in_words(name: str, value: Any, words: str) -> None:
    with pytest.raises(InvalidSettings, match=re.escape(words)):
        with_one(name, value)


def test_numbers_of_numpy_are_numbers() -> None:
    values: dict[str, Any] = {"horizon_days": np.int64(30), "service_level": np.float64(0.9), "no_crossover": np.True_}
    settings = Settings(**values)
    assert (settings.horizon_days, settings.service_level, settings.no_crossover) == (30, 0.9, True)


@pytest.mark.parametrize("alphas", [(), (0.0,), (0.1, 1.5), (0.1, float("nan"))])
def test_smoothing_constants_lie_between_0_and_1(alphas: tuple[float, ...]) -> None:
    with pytest.raises(InvalidSettings, match="alphas"):
        Settings(alphas=alphas)


def test_a_table_by_product_type_must_be_complete() -> None:
    with pytest.raises(InvalidSettings, match=r"patience_priors lacks the product type\(s\) commodity"):
        Settings(patience_priors=dict.fromkeys(PRODUCT_TYPES[1:], (0.5, 20.0)))
    with pytest.raises(InvalidSettings, match="cutoff_bands lacks"):
        Settings(cutoff_bands={})


def test_replace_changes_one_thing_and_refuses_unknown_names() -> None:
    before = Settings(seed=3)
    after = before.replace(service_level=0.9)
    changed = {f.name for f in dataclasses.fields(Settings) if getattr(before, f.name) != getattr(after, f.name)}
    assert changed == {"service_level"}
    with pytest.raises(InvalidSettings, match=r"unknown setting 'horizon' .*horizon_days"):
        before.replace(horizon=30)
    with pytest.raises(InvalidSettings, match="service_level"):
        before.replace(service_level=2.0)


def test_settings_cannot_be_changed_in_place() -> None:
    settings = Settings()
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.seed = 1  # type: ignore[misc]
    for name in ("patience_priors", "cutoff_bands", "payment_hazard"):
        table: Any = getattr(settings, name)
        with pytest.raises(TypeError):
            table["commodity"] = 0


def test_settings_travel_and_a_callers_table_is_copied() -> None:
    bands = dict.fromkeys(PRODUCT_TYPES, (0.0, 9.0))
    settings = Settings(cutoff_bands=bands, seed=5)
    bands["custom"] = (1.0, 2.0)
    assert settings.cutoff_bands["custom"] == (0.0, 9.0)
    for twin in (pickle.loads(pickle.dumps(settings)), copy.deepcopy(settings)):
        assert twin == settings
        assert twin.seed == 5


def test_every_setting_says_what_it_is() -> None:
    body = ast.parse(inspect.getsource(Settings)).body[0]
    assert isinstance(body, ast.ClassDef)
    for node, after in pairwise(body.body):
        if isinstance(node, ast.AnnAssign):
            assert isinstance(after, ast.Expr), ast.unparse(node)
            assert isinstance(after.value, ast.Constant), ast.unparse(node)


def test_every_setting_is_explained_where_help_shows_it() -> None:
    explained = meanings()
    assert list(explained) == [f.name for f in dataclasses.fields(Settings)]
    text = inspect.getdoc(Settings) or ""
    words = " ".join(text.split())
    for name, meaning in explained.items():
        assert meaning.endswith(".")
        assert f"\n{name}\n    " in text
        assert meaning in words
    assert "horizon_days: 'int' = 90" in str(inspect.signature(Settings))


def test_an_unknown_setting_names_the_nearest() -> None:
    wrong: dict[str, Any] = {"horizon": 30}
    with pytest.raises(InvalidSettings, match=r"unknown setting 'horizon' \(did you mean 'horizon_days'\?\)"):
        Settings(**wrong)


def test_all_bad_values_are_told_at_once() -> None:
    with pytest.raises(InvalidSettings) as told:
        Settings(service_level=95, n_paths=-3, freq="W")
    for part in (
        "unknown freq 'W'",
        "service_level lies strictly between 0 and 1, got 95",
        "n_paths is positive, got -3",
    ):
        assert str(told.value).count(part) == 1


def test_periods_are_those_of_the_clock() -> None:
    assert ("auto", *clock.FREQS) == FREQS
    for freq in FREQS:
        assert Settings(freq=freq).freq == freq
    with pytest.raises(InvalidSettings, match="unknown freq 'W'; valid are: auto, D, W-MON"):
        Settings(freq="W")
