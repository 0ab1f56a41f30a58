"""What an error or a note advises, in the words of the command line: `--decimal ","` where Python says `decimal=","`.

Messages are written once, for Python. Here the options of `read_tables` and `Settings` in them become those of the
command; what has no counterpart there (tables given by path) is only ever offered second, behind ", or", and goes.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

_DICT = r"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}"
_TEXT = r"\"[^\"]*\"|'[^']*'"


def in_shell_words(text: str) -> str:
    """A message with the options of Python replaced by those of the command.

    Examples
    --------
    >>> print(in_shell_words("rename it: columns={'sales': {'Stock Code': 'sku', 'Note': None}}"))
    rename it: --columns FILE, a TOML file with: sales = {"Stock Code" = "sku", Note = ""}
    >>> print(in_shell_words('say decimal="," or decimal="."; drop_duplicates=True counts each once'))
    say --decimal "," or --decimal "."; --drop-duplicates counts each once
    >>> print(in_shell_words("name the file sales.csv, or read_tables({'sales': path}); found nothing"))
    name the file sales.csv; found nothing
    """
    for pattern, words in _RULES:
        text = re.sub(pattern, words, text)
    return text


def all_in_shell_words(value: Any) -> Any:
    """`in_shell_words` for every text inside lists and mappings."""
    if isinstance(value, str):
        return in_shell_words(value)
    if isinstance(value, Mapping):
        return {key: all_in_shell_words(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [all_in_shell_words(part) for part in value]
    return value


def _columns(found: re.Match[str]) -> str:
    """TOML inline tables, which fit on one line; an empty name stands for None."""
    try:
        tables = ast.literal_eval(found[1])
        parts = []
        for table, names in tables.items():
            pairs = ", ".join(f"{_key(given)} = {json.dumps(name or '')}" for given, name in names.items())
            parts.append(f"{table} = {{{pairs}}}")
    except (ValueError, SyntaxError, AttributeError):
        return "--columns FILE"
    return f"--columns FILE, a TOML file with: {', '.join(parts)}"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _sheets(found: re.Match[str]) -> str:
    try:
        named = ast.literal_eval(found[1])
    except (ValueError, SyntaxError):
        return "--sheet TABLE=NAME"
    return " ".join(f"--sheet {shlex.quote(f'{table}={sheet}')}" for table, sheet in named.items())


_RULES: tuple[tuple[str, Any], ...] = (
    (rf",? or read_tables\({_DICT}\)", ""),
    (rf"\bcolumns=({_DICT})", _columns),
    (rf"\bsheets=({_DICT})", _sheets),
    (r"\bcolumns=(?=\s|$)", "--columns"),
    (r"\bsheets=(?=\s|$)", "--sheet"),
    (rf"\b(date_format|decimal|unknown_sku)=({_TEXT})", lambda m: f"{_option(m[1])} {_shell_value(m[2])}"),
    (r"\bdate_format=?(?=\s|$)", "--date-format"),
    (r"\bdrop_duplicates=True", "--drop-duplicates"),
    (r"\bread_tables\(as_of=\.\.\.\)", "--as-of"),
    (rf"\bas_of=({_TEXT})", lambda m: f"--as-of {_shell_value(m[1])}"),
    (rf"\bSettings\((\w+)=({_TEXT}|[^()]*)\)", lambda m: f"--settings FILE, a TOML file with: {m[1]} = {m[2]}"),
)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _shell_value(quoted: str) -> str:
    """A quoted value as a shell takes it: words bare, all else in double quotes."""
    bare = quoted[1:-1]
    return bare if re.fullmatch(r"[\w-]+", bare) else f'"{bare}"'
