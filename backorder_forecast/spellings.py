"""One product code spelled two ways: 1207 in one table is usually 001207 of another whose zeros were lost.

Such a code looks like an item of its own: what is on order for it never arrives at the real one, which is ordered
again. So a code that no sale and no product has is held against those that have it, without what exports lose (spaces,
case, dots and a trailing ".0", leading zeros). Two codes that sales or products both have are two items.

Names of suppliers and locations are written by hand: "ACME Ltd" is also "Acme Ltd." and "ACME  LTD", in one table or
in several, and its orders, lead times and closures are then those of two suppliers. Names that are one but for case,
spaces and signs are listed in `data_quality` with what to write instead; they are never taken for one, for two shops
may be called "North 1" and "north-1".
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from backorder_forecast.coerce import Draft, Note
from backorder_forecast.formats import Failure

_FORMS = {
    "spaces": (r"\s+", "spaces stand in one of the files: take them out"),
    "upper and lower case": ("", "they differ in upper and lower case: write them one way"),
    "dots": (
        r"^\.+|(?<=\d)(?:\.0*)+$|\.+$",
        "a number was written where a code belongs (1207.0): export the codes as text",
    ),
    "leading zeros": (r"^0+(?=\w)", "leading zeros were lost in one of the files: write and read the codes as text"),
}
"""What exports change in a code: the pattern that is taken out (upper case where empty), and what to do about it.
In this order, for zeros may stand behind a space."""
_SHOWN = 3
NAMES = {
    "supplier": "so their orders and lead times are told apart",
    "location": "so their sales and stock are told apart",
}
"""Columns of names that are written by hand, and what follows where one has two spellings."""


def check_spellings(drafts: Mapping[str, Draft], *, keep: bool) -> list[Failure]:
    """Tables with SKUs that are those of sales or products but for their spelling.

    Sales are held against products, every other table against both. With `keep` they are noted as different items.
    """
    failures: list[Failure] = []
    sales = _names(drafts["sales"])
    products = _names(drafts["products"]) if "products" in drafts else sales[:0]
    both = products.union(sales, sort=False)
    for name, draft in drafts.items():
        known = both if name != "sales" else products
        if name == "products" or "sku" not in draft.given or known.empty:
            continue
        own = _names(draft)
        pairs = spelled_otherwise(own.difference(known, sort=False), known)
        if name == "sales":
            # Sales that use both spellings tell two items apart.
            pairs = pairs[~pairs["known"].isin(own)]
        if pairs.empty:
            continue
        rows = draft.frame["sku"].isin(pairs["given"]).to_numpy()
        some = ", ".join(f"{given} against {known}" for given, known in pairs.head(_SHOWN).itertuples(index=False))
        some += ", ..." if len(pairs) > _SHOWN else ""
        # A table of which no SKU is in products is refused in any case: here the reason is known.
        if keep and not (len(products) and len(pairs) == len(own)):
            draft.note("SKUs spelled otherwise elsewhere", rows, f"kept as different items, as asked for: {some}")
        else:
            where = "products" if name == "sales" else "sales or products" if len(products) else "sales"
            failures.append(
                _failure(name, pairs, where, f"{some} ({len(pairs):,} of {len(own):,}, {rows.sum():,} rows)", keep=keep)
            )
    return failures


def spelled_otherwise(names: pd.Index, known: pd.Index) -> pd.DataFrame:
    """The names that are a known one but for what exports lose: columns given and known, sorted, one row per name.

    Examples
    --------
    >>> pairs = spelled_otherwise(pd.Index(["1207", "a7.0", "B"]), pd.Index(["001207", "A7.0", "C"]))
    >>> pairs.to_dict("list"), forms_of(pairs)
    ({'given': ['1207', 'a7.0'], 'known': ['001207', 'A7.0']}, ['upper and lower case', 'leading zeros'])
    """
    pairs = pd.DataFrame({"given": [], "known": []}, dtype="str")
    if not len(names):
        return pairs
    given, there = (pd.DataFrame({n: pd.Series(i, dtype="str")}) for n, i in (("given", names), ("known", known)))
    given["bare"], there["bare"] = bare_code(given["given"]), bare_code(there["known"])
    found = given.merge(there, on="bare")[["given", "known"]]
    return found.sort_values(["given", "known"]).drop_duplicates("given", ignore_index=True)


def note_names(drafts: Mapping[str, Draft]) -> None:
    """Note the rows whose supplier or location is, but for its spelling, one that more rows of all tables have."""
    for column, consequence in NAMES.items():
        counts = {
            name: draft.frame[column].astype("str").replace("", None).dropna().value_counts()
            for name, draft in drafts.items()
            if column in draft.given and column in draft.frame
        }
        if not counts:
            continue
        total = pd.concat(list(counts.values())).groupby(level=0).sum()
        for name, own in counts.items():
            pairs = rarer_spellings(total)
            pairs = pairs[pairs["given"].isin(own.index)]
            if pairs.empty:
                continue
            here, everywhere = own.to_dict(), total.to_dict()
            some = "; ".join(
                f"{given} ({here[given]:,} row{'s' if here[given] > 1 else ''} here) against {known}"
                f" ({everywhere[known]:,} in all tables)"
                for given, known in pairs.head(_SHOWN).itertuples(index=False)
            )
            some += "; ..." if len(pairs) > _SHOWN else ""
            rows = int(own[pairs["given"]].sum())
            effect = f"taken as different {column}s, {consequence}: if they are one, write one name in all tables"
            drafts[name].notes.append(Note(f"{column}s spelled in two ways", rows, 0, some, effect))


def rarer_spellings(counts: pd.Series) -> pd.DataFrame:
    """Names that are another one but for case, spaces and signs: columns given, known (the one of most rows), sorted.

    `counts` has the rows of each name. Signs between digits tell names apart, as in "1-1" and "11".

    Examples
    --------
    >>> rarer_spellings(pd.Series({"ACME Ltd": 90, "Acme Ltd.": 5, "Acme": 7, "Shop 1-1": 3, "Shop 11": 2}))
           given     known
    0  Acme Ltd.  ACME Ltd
    """
    names = pd.DataFrame({"name": pd.Series(counts.index, dtype="str"), "rows": counts.to_numpy()})
    plain = names["name"].str.normalize("NFKC").str.casefold()
    names["plain"] = plain.str.replace(r"(?<=\d)[\W_]+(?=\d)", "\t", regex=True).str.replace(
        r"[^\w\t]|_", "", regex=True
    )
    # A name of signs alone is its own.
    names["plain"] = names["plain"].where(names["plain"] != "", names["name"])
    names = names.sort_values(["plain", "rows", "name"], ascending=[True, False, True])
    names["known"] = names.groupby("plain")["name"].transform("first")
    other = names[names["name"] != names["known"]].rename(columns={"name": "given"})
    return other[["given", "known"]].sort_values(["given"], ignore_index=True)


def forms_of(pairs: pd.DataFrame) -> list[str]:
    """What pairs of names differ in: the forms without which some pair would not be one."""
    return [
        form for form in _FORMS
        if (bare_code(pairs["given"], but=form) != bare_code(pairs["known"], but=form)).any()
    ]  # fmt: skip


def bare_code(codes: pd.Series, *, but: str = "") -> pd.Series:
    """Codes without what exports change in them, all of it but the form named.

    Examples
    --------
    >>> bare_code(pd.Series(["001207", "1207.0", " a-07", "000"])).tolist()
    ['1207', '1207', 'A-07', '0']
    """
    for form, (pattern, _) in _FORMS.items():
        if form != but:
            codes = codes.str.replace(pattern, "", regex=True) if pattern else codes.str.upper()
    return codes


def _failure(table: str, pairs: pd.DataFrame, where: str, found: str, *, keep: bool) -> Failure:
    forms = forms_of(pairs)
    different = "list them in products too" if keep else "unknown_sku='keep'"
    what = (
        f"{'; '.join(_FORMS[form][1] for form in forms)}. Where another column holds the full code, name it:"
        f" columns={{{table!r}: {{'that column': 'sku'}}}}; if they are different items, {different}"
    )
    problem = f"SKUs that are those of {where} but for {' and '.join(forms)}, and would count as items of their own"
    return {"table": table, "column": "sku", "problem": problem, "found": found, "what_to_do": what}


def _names(draft: Draft) -> pd.Index:
    names: pd.Index = pd.Index(draft.frame["sku"].dropna().unique()).astype("str")
    return names
