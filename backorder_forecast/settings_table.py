"""Settings as plain values that files hold, and as a table with their meaning."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd

from backorder_forecast.errors import InvalidSettings, unknown_option
from backorder_forecast.settings import Settings, kind_problem, meanings


def settings_to_dict(settings: Settings) -> dict[str, Any]:
    """Settings as plain values that JSON and TOML can write.

    Examples
    --------
    >>> settings_from_dict(settings_to_dict(Settings(seed=7))) == Settings(seed=7)
    True
    """
    return {f.name: _plain(getattr(settings, f.name)) for f in dataclasses.fields(settings)}


def settings_from_dict(values: Mapping[str, Any]) -> Settings:
    """Settings from plain values; unknown names and wrong types raise `InvalidSettings`, all of them at once.

    Examples
    --------
    >>> settings_from_dict({"horizon_days": 30}).horizon_days
    30
    >>> settings_from_dict({"horizon": 30})
    Traceback (most recent call last):
    ...
    backorder_forecast.errors.InvalidSettings: unknown setting 'horizon' (did you mean 'horizon_days'?)
    """
    defaults = {f.name: getattr(Settings(), f.name) for f in dataclasses.fields(Settings)}
    problems, given = [], {}
    for name, value in values.items():
        if name not in defaults:
            problems.append(str(unknown_option("setting", name, sorted(defaults))).split("; valid are")[0])
            continue
        given[name] = _tuples(value)
        if problem := kind_problem(name, defaults[name], given[name]):
            problems.append(problem)
    if problems:
        raise InvalidSettings("; ".join(problems))
    return Settings(**given)


def settings_frame(settings: Settings) -> pd.DataFrame:
    """Settings with their meaning: setting, value (text), default (bool), meaning.

    Examples
    --------
    >>> settings_frame(Settings(seed=3)).query("not default")[["setting", "value"]].to_dict("list")
    {'setting': ['seed'], 'value': ['3']}
    """
    defaults, explained = Settings(), meanings()
    rows = []
    for f in dataclasses.fields(settings):
        value = getattr(settings, f.name)
        rows.append((f.name, _value_words(value), value == getattr(defaults, f.name), explained.get(f.name, "")))
    return pd.DataFrame(rows, columns=["setting", "value", "default", "meaning"])


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _tuples(v) for k, v in value.items()}
    return tuple(_tuples(v) for v in value) if isinstance(value, (list, tuple)) else value


def _value_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{k} {_value_words(v)}" for k, v in value.items())
    if isinstance(value, tuple):
        return ", ".join(_value_words(v) for v in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
