"""Sentences of a plan in the words of someone who reads the page or the workbook, and has never seen Python.

Sentences are written once, for all who plan. Options of the library lose their Python form, days are written as the
rest of the page writes them (6 May 2024), and a number and its % stand apart. Names of items, orders and columns of the
input stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

SENTENCES = (
    "cause_text",
    "confidence_reason",
    "effect",
    "method_reason",
    "reason",
    "reference",
    "remark",
    "rule",
    "source",
)
"""Columns of the output frames that hold sentences of our own."""
_RULES = (
    (r"\bread_tables\(as_of=\.\.\.\) moves", "naming another last known day (as_of) moves"),
    (r"\bplan with Settings\((\w+)='(\w+)'\)", r"plan with the setting \1 as \2"),
    (r"\bplan\.what_if\(Scenario\(\)\), or use compare_plans", "those of the same plan without changes"),
    (r", listed in set_aside\b", ""),
    (r"\bgive as_of if\b", "name the last known day (as_of) if"),
    (r"\b(\w+)=True\b", r"the option \1"),
    (r"\b(\w+)='([^']*)'", r"the option \1 as \2"),
    (r"`([^`]*)`", r"\1"),
    (r"\bPO (?=PO\W?\d)", ""),
    (r"(\d)%", r"\1 %"),
)
_ISO_DAY = re.compile(r"(?<![\w-])(\d{4}-[01]\d-[0-3]\d)(?![\w-])")


def in_reader_words(text: str) -> str:
    """A sentence without Python and with days in words.

    Examples
    --------
    >>> in_reader_words("kept (perhaps a double export); drop_duplicates=True counts each once")
    'kept (perhaps a double export); the option drop_duplicates counts each once'
    >>> in_reader_words("PO 4711 is promised for 2024-05-06; the chance would fall from 96% to 7%")
    'PO 4711 is promised for 6 May 2024; the chance would fall from 96 % to 7 %'
    >>> in_reader_words("PO PO-4711 (Acme) 68%, next order 32%")
    'PO-4711 (Acme) 68 %, next order 32 %'
    """
    for pattern, words in _RULES:
        text = re.sub(pattern, words, text)
    return _ISO_DAY.sub(_day_words, text)


def sentences(column: object, texts: Sequence[str]) -> list[str]:
    """The texts of a column: those of `SENTENCES` in reader's words, others as they are.

    Examples
    --------
    >>> sentences("reason", ["due by 2024-05-06"]), sentences("order_id", ["2024-05-06"])
    (['due by 6 May 2024'], ['2024-05-06'])
    """
    return [in_reader_words(text) for text in texts] if column in SENTENCES else list(texts)


def category_words(text: str) -> str:
    """A word of a category as people write it.

    Examples
    --------
    >>> category_words("service_level")
    'service level'
    """
    return text.replace("_", " ")


def _day_words(found: re.Match[str]) -> str:
    day = pd.to_datetime(found[1], format="%Y-%m-%d", errors="coerce")
    return found[1] if pd.isna(day) else f"{day.day} {day:%b %Y}"
