"""Raw cells to text, numbers and flags, with a word on how they were understood.

Every parser works on the distinct values of a column. What cannot be read is marked, never guessed: a decimal mark
that the values leave open becomes a question (`Parsed.question`), answered by the person who made the export.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

NO_VALUE = ("", "null", "nan", "none", "nat", "<na>", "#n/a", "#ref!", "#value!", "#div/0!")
_MARKED = re.compile(r"[+-]?\d*(?:[.,]\d+)+")
_YES = ("true", "yes", "y", "1", "x", "t", "ja", "wahr", "1.0")
_NO = ("false", "no", "n", "0", "f", "nein", "falsch", "0.0")


@dataclass(frozen=True, eq=False)
class Parsed:
    """A column after parsing.

    Attributes
    ----------
    values
        Categorical of str, float64, datetime64[s] or bool; missing where empty or bad.
    bad
        Cells that hold something that could not be read.
    understood
        How the cells were understood, in words, for the mapping.
    question
        (problem, found, what_to_do) where the whole column leaves a question open, else None.
    order
        Proven day/month order of dates: "day first", "month first" or "".
    decimal
        Decimal mark of numbers in text: "." or "," where proven or given, "?" where a mark occurs only as in 1,234,
        else "".
    """

    values: pd.Series
    bad: NDArray[np.bool_]
    understood: str
    question: tuple[str, str, str] | None = None
    order: str = ""
    decimal: str = ""


def parse_text(raw: pd.Series, *, ordered: bool = True) -> Parsed:
    """Identifiers as text: stripped, whole numbers without a decimal part, missing where nothing is there.

    `ordered` sorts the categories, which costs time where every row has its own.

    Examples
    --------
    >>> parse_text(pd.Series(["007", " A1 ", ""])).values.tolist()
    ['007', 'A1', nan]
    >>> parse_text(pd.Series([17850.0, None])).values.tolist()
    ['17850', nan]
    """
    codes, uniques = factorized(raw)
    names, note = _as_names(uniques)
    missing = names.str.lower().isin(NO_VALUE).to_numpy()
    kept, position = pd.factorize(names.where(~missing), sort=False, use_na_sentinel=True)
    categories = pd.Index(position, dtype="str")
    if ordered and len(categories):
        rank = categories.argsort()
        where = np.empty(len(rank), dtype=np.int64)
        where[rank] = np.arange(len(rank))
        categories = categories[rank]
        kept = np.where(kept >= 0, where[kept], -1)
    lookup = np.append(kept, -1).astype(np.int32)
    values = pd.Series(pd.Categorical.from_codes(lookup[codes], categories=categories), index=raw.index)
    bad = np.zeros(len(raw), dtype=bool)
    return Parsed(values, bad, f"text, {len(categories):,} different{note}")


def parse_numbers(raw: pd.Series, *, decimal: str = "", dot_is_decimal: bool = True) -> Parsed:
    """Numbers from numbers or text: decimal point or comma, thousands marks, currency signs, trailing minus.

    Parameters
    ----------
    raw
        Raw column.
    decimal
        "." or "," where known, "" to find it in the values.
    dot_is_decimal
        Whether "1.234" without further proof is one and a bit (a comma-separated file), not a thousand.

    Examples
    --------
    >>> parse_numbers(pd.Series(["1.234,50", "7", "5-"])).values.tolist()
    [1234.5, 7.0, -5.0]
    >>> parse_numbers(pd.Series(["1,234"])).question[0]
    'the values leave open whether the comma is a decimal mark'
    """
    if pd.api.types.is_any_real_numeric_dtype(raw.dtype) or pd.api.types.is_bool_dtype(raw.dtype):
        values = raw.astype("float64").astype(np.float64)
        return Parsed(values, np.isinf(values.to_numpy()), _range(values))
    counted = _already_numbers(raw)
    codes, uniques = factorized(raw.mask(counted) if counted.any() else raw)
    texts = [str(value) for value in uniques]
    # The NULL of a database would lose three letters as a currency.
    texts = ["" if text.strip().lower() in NO_VALUE else _bare_number(text) for text in texts]
    empty = np.array([text.lower() in NO_VALUE for text in texts], dtype=bool)
    evidence = decimal or decimal_evidence(texts)
    question = None
    if evidence == "mixed":
        question = (
            "some numbers use a decimal comma, others a decimal point",
            _examples(t for t in texts if "," in t or "." in t),
            'write all numbers one way, or say decimal="," or decimal="."',
        )
    elif evidence in ("?,", "?.") and not (evidence == "?." and dot_is_decimal):
        mark, word = evidence[1], {",": "comma", ".": "point"}[evidence[1]]
        example = next(t for t in texts if mark in t)
        question = (
            f"the values leave open whether the {word} is a decimal mark",
            f"{example}: is it {example.replace(mark, '')} or {example.replace(mark, '.')}?",
            'say decimal="," or decimal="."',
        )
    numbers = np.array([_number(text, "," if evidence == "," else ".") for text in texts], dtype=np.float64)
    lookup = np.append(numbers, np.nan)
    unread = np.append(np.isnan(numbers) & ~empty, False)
    parsed = pd.Series(lookup[codes], index=raw.index)
    bad = unread[codes]
    if counted.any():
        parsed[counted] = raw[counted].astype("float64")
        bad |= np.isinf(parsed.to_numpy())
    note = ", decimal comma" if evidence == "," else ""
    mark = evidence if evidence in (".", ",") else "?" if evidence.startswith("?") else ""
    return Parsed(parsed, bad, _range(parsed) + note, question, decimal=mark)


def parse_flags(raw: pd.Series) -> Parsed:
    """Yes/no from booleans, 1/0 or words; missing is no.

    Examples
    --------
    >>> parse_flags(pd.Series(["yes", "0", None])).values.tolist()
    [True, False, False]
    """
    codes, uniques = factorized(raw)
    words = [str(value).strip().lower() for value in uniques]
    truth = np.append(np.array([w in _YES for w in words], dtype=bool), False)
    unread = np.append(np.array([w not in (*_YES, *_NO, *NO_VALUE) for w in words], dtype=bool), False)
    values = pd.Series(truth[codes], index=raw.index)
    return Parsed(values, unread[codes], f"yes/no, {int(values.sum()):,} yes")


def decimal_evidence(values: Iterable[str]) -> str:
    """What numbers in text prove about the decimal mark.

    Returns "." or "," where proven, "mixed" where both are, "?," or "?." where a mark occurs only as in 1,234, and ""
    where none occurs.

    Examples
    --------
    >>> [decimal_evidence(v) for v in (["1,5"], ["1.234,5"], ["1,234"], ["0.250"], ["12"])]
    [',', ',', '?,', '.', '']
    """
    proven, open_marks = set(), set()
    for text in values:
        match = _MARKED.fullmatch(_bare_number(text))
        if match is None:
            continue
        marks = [c for c in match.group() if c in ",."]
        if len(set(marks)) == 2:
            proven.add(marks[-1])
        elif len(marks) > 1:
            # 1.234.567 has thousands marks; 05.01.2024 is no number.
            if re.fullmatch(r"[+-]?\d{1,3}(?:[.,]\d{3})+", match.group()):
                proven.add("." if marks[0] == "," else ",")
        else:
            whole, part = match.group().lstrip("+-").split(marks[0])
            if len(part) == 3 and 0 < len(whole) <= 3 and not whole.startswith("0"):
                open_marks.add(marks[0])
            else:
                proven.add(marks[0])
    if len(proven) == 1:
        return proven.pop()
    if proven:
        return "mixed"
    return f"?{sorted(open_marks)[0]}" if open_marks else ""


def factorized(raw: pd.Series) -> tuple[NDArray[np.integer[Any]], pd.Index]:
    """Codes (-1 for missing) and distinct values; a dictionary-encoded column keeps its codes."""
    if isinstance(raw.dtype, pd.CategoricalDtype):
        return raw.cat.codes.to_numpy(), raw.cat.categories
    if raw.dtype == object:
        # 1, True and "1" are different cells; lists and other objects cannot be compared, their text can.
        raw = raw.map(cell_text, na_action="ignore")
    codes, uniques = pd.factorize(raw)
    return np.asarray(codes), pd.Index(uniques)


def cell_text(value: object) -> str:
    """Text of one cell: datetimes as ISO, whole floats as integers."""
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def _already_numbers(raw: pd.Series) -> NDArray[np.bool_]:
    """Cells of a mixed column that are numbers, not text about numbers: their decimal mark is no question."""
    if raw.dtype != object:
        return np.zeros(len(raw), dtype=bool)
    kinds = raw.map(lambda v: isinstance(v, Real | Decimal) and not isinstance(v, bool | np.bool_))
    return np.asarray(kinds.to_numpy(dtype=bool) & raw.notna().to_numpy())


def _as_names(uniques: pd.Index) -> tuple[pd.Series, str]:
    names: pd.Series
    if pd.api.types.is_float_dtype(uniques.dtype):
        numbers = uniques.to_numpy(dtype=np.float64)
        whole = np.mod(numbers, 1) == 0
        texts = [f"{n:.0f}" if w else repr(float(n)) for n, w in zip(numbers, whole, strict=True)]
        return pd.Series(texts, dtype="str"), ", read from numbers" if texts else ""
    if isinstance(uniques, pd.DatetimeIndex):
        return pd.Series(uniques.strftime("%Y-%m-%d"), dtype="str"), ""
    names = pd.Series(uniques.astype("str"), dtype="str").str.replace("\u00a0", " ", regex=False).str.strip()
    filled = names[~names.str.lower().isin(NO_VALUE).to_numpy()]
    # A program that stored 17850 as a number wrote 17850.0; a code such as 1.0 among others is left alone.
    if len(filled) and bool(filled.str.endswith(".0").all()) and bool(filled.str.fullmatch(r"\d+\.0").all()):
        return names.str.removesuffix(".0"), ", written as 17850.0 and read as 17850"
    return names, ""


def _bare_number(text: str) -> str:
    text = re.sub(r"^(?:[A-Z]{3}\s)|(?:\s?[A-Z]{3})$|[\s\u00a0\u202f'’$€£¥]", "", text.strip())
    if text.endswith("-") and text[:-1].replace(",", "").replace(".", "").isdigit():
        return "-" + text[:-1]
    return "-" + text[1:-1] if text.startswith("(") and text.endswith(")") else text


def _number(text: str, decimal: str) -> float:
    thousands = "." if decimal == "," else ","
    plain = text
    if thousands in text:
        # A thousands mark stands between groups of three digits, before the decimal mark.
        if not re.fullmatch(rf"[+-]?\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+(?:{re.escape(decimal)}\d*)?", text):
            return np.nan
        plain = text.replace(thousands, "")
    try:
        number = float(plain.replace(decimal, "."))
    except ValueError:
        return np.nan
    return number if np.isfinite(number) and "_" not in plain else np.nan


def _range(values: pd.Series) -> str:
    numbers = values.to_numpy(dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)] if np.isinf(numbers).any() else numbers
    low, high = np.fmin.reduce(numbers, initial=np.nan), np.fmax.reduce(numbers, initial=np.nan)
    return "numbers, all empty" if np.isnan(low) else f"numbers, {low:,.10g} to {high:,.10g}"


def _examples(texts: Iterable[str], limit: int = 3) -> str:
    seen: list[str] = []
    for text in texts:
        if text not in seen:
            seen.append(text)
        if len(seen) == limit:
            break
    return ", ".join(seen)
