"""Read, rename, type and check the input tables: `read_tables` gives `Tables`, or one list of everything that is wrong.

Every row read is used, merged into another, or set aside with its reason; `quality` counts them per table and rule,
and used + merged + set aside = read in each of its rows. Frames have all columns of the schema in order: text as str
(categorical in sales and inventory), numbers as float64, days as datetime64 without time, `location` "" where there is
none. The index of each frame is the row number in the source (1 is the first row below the header).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd

from backorder_forecast.accounting import aside_record, input_notes, join_rows, quality_frame, with_moved, with_record
from backorder_forecast.checks import (
    UNKNOWN_SKU,
    check_duplicates,
    check_keys,
    check_locations,
    check_rows,
    check_skus,
)
from backorder_forecast.coerce import Draft, aside_rows, date_formats_of, read_draft, row_examples
from backorder_forecast.csv_files import UnreadableFile
from backorder_forecast.dates import parse_dates
from backorder_forecast.errors import InvalidSettings, InvalidTables, unknown_option
from backorder_forecast.formats import Failure, Found, find_tables
from backorder_forecast.known import known_at
from backorder_forecast.mapping import MAPPING_COLUMNS, Renames, check_renames, mapping_rows, match_columns
from backorder_forecast.names import by_table, plain_name
from backorder_forecast.schema import PRODUCTS, TABLES, Column
from backorder_forecast.spellings import note_names

OTHERS = "*"
"""Stands for all tables that `date_format` does not name."""
ORDER_DATES = ("orderdate", "ordereddate", "bestelldatum", "auftragsdatum")
"""Columns whose name says that sales are dated by order, not by shipment."""
STRAY = "one of a row or two dated long after all others: a slip; give as_of if it is none"
LONG_GAP_DAYS, FEWEST_ROWS = 90, 50
"""Days without any row before a row or two that are taken for slips (and three times any other gap), and rows of sales
and stock from which that can be told. Judgement."""
Day = str | dt.date | pd.Timestamp


@dataclass(frozen=True, eq=False)
class Tables:
    """The input as it was understood, known up to the end of `as_of`.

    Attributes
    ----------
    sales, purchase_orders, inventory, backorders, products, supplier_items, events
        Frames with every column of the schema; empty where not given.
    as_of
        Last known day.
    quality
        One row per table and rule: `QUALITY_COLUMNS`; the row "all rows" carries the totals of its table. What netting
        of returns and backorders merges stands in `plan.data_quality`.
    mapping
        One row per source column: table, column, field, how, unit, understood.
    set_aside
        One row per row set aside: table, row, column, reason, found.
    sources
        Table -> where it came from, in words; only the tables that were given.
    given_columns
        Table -> fields that the user really gave.
    notes
        Sentences about the input as a whole.
    """

    sales: pd.DataFrame
    purchase_orders: pd.DataFrame
    inventory: pd.DataFrame
    backorders: pd.DataFrame
    products: pd.DataFrame
    supplier_items: pd.DataFrame
    events: pd.DataFrame
    as_of: pd.Timestamp
    quality: pd.DataFrame
    mapping: pd.DataFrame
    set_aside: pd.DataFrame
    sources: Mapping[str, str] = field(default_factory=dict)
    given_columns: Mapping[str, frozenset[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        parts = [f"{name} {len(self.frame(name)):,}" for name in TABLES if self.has(name)]
        return f"Tables(as_of={self.as_of:%Y-%m-%d}, rows: {', '.join(parts)})"

    def frame(self, name: str) -> pd.DataFrame:
        """The frame of one table by name."""
        if name not in TABLES:
            raise unknown_option("table", name, TABLES)
        frame: pd.DataFrame = getattr(self, name)
        return frame

    def has(self, name: str) -> bool:
        """Whether a table has rows."""
        return not self.frame(name).empty

    def given(self, name: str) -> frozenset[str]:
        """Fields of a table that the user really gave."""
        self.frame(name)
        return self.given_columns.get(name, frozenset())

    def items(self) -> pd.DataFrame:
        """Every item of products, sales, inventory, backorders and purchase orders, with its product columns.

        Returns columns sku, location and the other columns of products, sorted by sku and location. A product row
        without location applies to the item at every location that has no row of its own.
        """
        parts = [_pairs(self.frame(name)) for name in ("sales", "inventory", "backorders", "purchase_orders")]
        seen = pd.concat(parts).drop_duplicates(ignore_index=True)
        listed = _pairs(self.products)
        # A product that is nowhere else is an item without location.
        listed = listed[(listed["location"] != "") | ~listed["sku"].isin(seen["sku"])]
        items = pd.concat([seen, listed]).drop_duplicates()
        items = items.sort_values(["sku", "location"], kind="stable", ignore_index=True)
        own = items.merge(self.products, on=["sku", "location"], how="left", indicator=True)
        everywhere = self.products[self.products["location"] == ""].drop(columns="location")
        shared = items.merge(everywhere, on="sku", how="left")
        alone = (own.pop("_merge") == "both").to_numpy()
        columns = [c for c in PRODUCTS.names if c not in ("sku", "location")]
        for column in columns:
            items[column] = own[column].where(alone, shared[column])
        return items[["sku", "location", *columns]]

    def as_known(self, as_of: Day) -> Tables:
        """The same tables as known at the end of an earlier day.

        Later rows are set aside, later receipts leave their orders open, later fills and cancellations leave their
        lines waiting. Facts without a day (a confirmed date, a fill without a date, the end of a product) are taken
        as unknown.

        Raises
        ------
        InvalidSettings
            `as_of` lies after the last known day.
        """
        day = pd.Timestamp(as_of).tz_localize(None).normalize()
        if day > self.as_of:
            raise InvalidSettings(
                f"as_of {day:%Y-%m-%d} lies after the last known day {self.as_of:%Y-%m-%d}; read the tables with it"
            )
        return self if day == self.as_of else _at(self, day, undated=False)


def read_tables(
    source: str | PathLike[str] | Mapping[str, Any],
    *,
    as_of: Day | None = None,
    columns: Renames | None = None,
    date_format: str | Mapping[str, str | Mapping[str, str]] | None = None,
    decimal: str | None = None,
    drop_duplicates: bool = False,
    unknown_sku: str = "set_aside",
    sheets: Mapping[str, str] | None = None,
) -> Tables:
    """Read all input tables, or raise one error that lists everything that is wrong.

    Parameters
    ----------
    source
        A folder with one file per table (sales.csv, inventory.parquet, ...), an .xlsx workbook with a sheet per table,
        or a mapping of table name to path or frame (pandas, polars, pyarrow).
    as_of
        Last known day; by default the latest inventory date, else the latest sales date. A row or two that lie alone,
        months after all others, are slips: they do not move it.
    columns
        Per table: source column -> field, or None to ignore it, such as {"sales": {"StockCode": "sku"}}.
    date_format
        How dates are written where the day/month order cannot be seen: "%d/%m/%Y", one per table ("*" for all others),
        or one per column.
    decimal
        Decimal mark of numbers in text where it cannot be seen: "." or ",".
    drop_duplicates
        Count rows that repeat another in every mapped column once; by default they are only reported.
    unknown_sku
        What happens to rows whose SKU is not in products: "set_aside", or "keep". SKUs that differ from those of sales
        or products only in leading zeros, case, spaces or a ".0" are refused; with "keep" they are different items,
        unless no SKU of their table is in products.
    sheets
        Table -> sheet name, where the sheets of a workbook have other names.

    Returns
    -------
    Tables

    Raises
    ------
    InvalidTables
        Anything that makes the input unusable; `failures` is a frame of all problems.
    InvalidSettings
        An option with a value that does not exist.

    Examples
    --------
    >>> sales = pd.DataFrame({"StockCode": ["007", "A"], "ds": ["2024-01-05", "2024-01-06"], "y": [2, -1]})
    >>> tables = read_tables({"sales": sales})
    >>> tables
    Tables(as_of=2024-01-06, rows: sales 2)
    >>> tables.sales[["sku", "quantity"]].to_dict("list")
    {'sku': ['007', 'A'], 'quantity': [2.0, -1.0]}
    """
    if unknown_sku not in UNKNOWN_SKU:
        raise unknown_option("unknown_sku", unknown_sku, UNKNOWN_SKU)
    if decimal not in (None, ".", ","):
        raise unknown_option("decimal", str(decimal), (".", ","))
    if sheets is not None and not isinstance(sheets, Mapping):
        raise InvalidTables(
            [{"table": "", "column": "sheets", "problem": "sheets is no mapping of tables to sheets",
              "found": repr(sheets), "what_to_do": "write it like sheets={'sales': 'Sheet1'}"}]
        )  # fmt: skip
    sheet_of, failures = by_table("sheets=", sheets)
    found = find_tables(source, sheets=sheet_of, decimal=decimal or "")
    failures += found.failures
    failures += _not_given("sheets=", sheet_of, found)
    drafts, mapping = _read_drafts(found, columns, date_format, decimal or "", failures)
    today = pd.Timestamp.today().normalize()
    day = _asked_day(as_of, today, failures)
    if "sales" not in found.tables and not any(f["table"] in ("sales", "") for f in found.failures):
        failures.append(_no_sales(found))
    if failures:
        raise InvalidTables(failures)
    check_rows(drafts)
    check_duplicates(drafts, drop=drop_duplicates)
    check_locations(drafts, as_of=day)
    check_keys(drafts)
    failures += check_skus(drafts, unknown_sku=unknown_sku)
    note_names(drafts)
    if day is None:
        day = _default_day(drafts, today, failures)
    failures += _emptied(drafts, day)
    if failures or day is None:
        raise InvalidTables(failures)
    tables = _assembled(drafts, mapping, found, day)
    return _at(tables, day, undated=True)


def empty_frame(name: str) -> pd.DataFrame:
    """A table with all its columns and no rows."""
    kinds = {"number": "float64", "date": "datetime64[s]", "flag": "bool", "text": "str"}
    columns: list[Column] = list(TABLES[name].columns)
    return pd.DataFrame({c.name: pd.Series(dtype=kinds[c.kind]) for c in columns})


def _read_drafts(
    found: Found, columns: Renames | None, date_format: Any, decimal: str, failures: list[Failure]
) -> tuple[dict[str, Draft], list[dict[str, str]]]:
    renames, problems = check_renames(columns)
    failures += problems + _not_given("columns=", renames, found)
    named = dict(date_format) if isinstance(date_format, Mapping) else {}
    others = named.pop(OTHERS, None) if isinstance(date_format, Mapping) else date_format
    patterns, problems = by_table("date_format=", named)
    failures += problems + _not_given("date_format=", patterns, found)
    drafts: dict[str, Draft] = {}
    mapping: list[dict[str, str]] = []
    for name in (n for n in TABLES if n in found.tables):
        source = found.tables[name]
        matches, problems = match_columns(source, renames.get(name, {}))
        formats, more = date_formats_of(patterns.get(name, others), source, matches)
        problems += more
        failures += problems
        if problems and not matches.field_of:
            continue
        try:
            draft, understood, unreadable = read_draft(source, matches, formats, decimal)
        except UnreadableFile as error:
            failures.append(
                {"table": name, "problem": error.problem, "found": error.found, "what_to_do": error.what_to_do}
            )
            continue
        failures += unreadable
        mapping += mapping_rows(source, matches, understood)
        if draft is not None:
            drafts[name] = draft
    return drafts, mapping


def _not_given(option: str, names: Iterable[str], found: Found) -> list[Failure]:
    """Tables that an option speaks of and that are not there, for whatever reason not told already."""
    there = {*found.tables, *(f["table"] for f in found.failures)}
    problem = f"{option} names a table that is not given"
    return [{"table": n, "problem": problem, "what_to_do": "remove it"} for n in names if n not in there]


def _asked_day(as_of: Day | None, today: pd.Timestamp, failures: list[Failure]) -> pd.Timestamp | None:
    if as_of is None:
        return None
    parsed = parse_dates(pd.Series([as_of], dtype=object))
    problem = {"table": "", "column": "as_of", "found": str(as_of), "what_to_do": "write it like as_of='2024-01-31'"}
    if parsed.values.isna().any():
        failures.append({**problem, "problem": "this is not a date" if not parsed.question else parsed.question[0]})
        return None
    day = pd.Timestamp(parsed.values.iloc[0])
    if day > today:
        what = "nothing can be known of a day to come: choose today or earlier"
        failures.append({**problem, "problem": "the day lies after today", "what_to_do": what})
        return None
    return day


def _default_day(drafts: Mapping[str, Draft], today: pd.Timestamp, failures: list[Failure]) -> pd.Timestamp | None:
    """Latest inventory date, else latest sales date; rows dated after today or alone long after all are slips."""
    day = None
    columns = [drafts[name].frame["date"] for name in ("sales", "inventory") if name in drafts]
    last = _before_strays(columns, today)
    if last is not None and any((dates > last).all() for dates in columns):
        # The only stock there is may well be counted late.
        last = None
    for name in ("sales", "inventory"):
        if name in drafts:
            draft = drafts[name]
            draft.set_aside((draft.frame["date"] > today).to_numpy(), "date", "the date lies after today")
            if last is not None:
                draft.set_aside((draft.frame["date"] > last).to_numpy(), "date", STRAY)
            day = day if draft.frame.empty else pd.Timestamp(draft.frame["date"].max())
    if day is None:
        found = f"today is {today:%Y-%m-%d}"
        what = "check how dates are written, then the date of this computer"
        failures.append(
            {
                "table": "sales",
                "column": "date",
                "problem": "all dates lie after today",
                "found": found,
                "what_to_do": what,
            }
        )
    return day


def _before_strays(columns: list[pd.Series], today: pd.Timestamp) -> pd.Timestamp | None:
    """Last day before a row or two that lie alone, long after all others; None where there are none.

    They would move `as_of` to a day on which nothing else is known, and with it everything that a plan says.
    """
    dates = np.sort(np.concatenate([c[c <= today].to_numpy().astype("datetime64[D]") for c in columns]))
    if len(dates) < FEWEST_ROWS:
        return None
    gaps = np.diff(dates).astype(np.int64)
    for alone in (1, 2):
        if gaps[-alone] > max(LONG_GAP_DAYS, 3 * int(gaps[:-alone].max(initial=0))):
            return pd.Timestamp(dates[-alone - 1])
    return None


def _emptied(drafts: Mapping[str, Draft], day: pd.Timestamp | None) -> list[Failure]:
    """Tables of which the checks between tables left nothing."""
    failures: list[Failure] = []
    for name, draft in drafts.items():
        if draft.frame.empty and draft.asides:
            reasons = join_rows(draft.asides)["reason"].value_counts()
            found = "; ".join(f"{n:,} rows: {reason}" for reason, n in reasons.head(3).items() if n)
            failures.append(
                {"table": name, "problem": "no row can be used", "found": found, "what_to_do": "correct the export"}
            )
    sales = drafts["sales"].frame
    if day is not None and len(sales) and not bool((sales["date"] <= day).any()):
        found = f"sales run from {sales['date'].min():%Y-%m-%d} to {sales['date'].max():%Y-%m-%d}"
        what = "choose a later as_of, or check the inventory dates if you gave none"
        problem = f"no sale lies at or before as_of {day:%Y-%m-%d}"
        failures.append({"table": "sales", "column": "date", "problem": problem, "found": found, "what_to_do": what})
    return failures


def _assembled(drafts: Mapping[str, Draft], mapping: list[dict[str, str]], found: Found, day: pd.Timestamp) -> Tables:
    frames = {name: drafts[name].frame if name in drafts else empty_frame(name) for name in TABLES}
    origins = {name: found.tables[name].origin for name in drafts}
    date_column = next(r["column"] for r in mapping if r["table"] == "sales" and r["field"] == "date")
    return Tables(
        **frames,
        as_of=day,
        quality=quality_frame(drafts, found.unused),
        mapping=pd.DataFrame(mapping, columns=list(MAPPING_COLUMNS)),
        set_aside=join_rows([a for d in drafts.values() for a in d.asides]),
        sources={n: d.about if origins[n] == "frame" else f"{origins[n]} ({d.about})" for n, d in drafts.items()},
        given_columns={n: d.given for n, d in drafts.items()},
        notes=input_notes(frames, day, found.unused, dated_by_order=plain_name(date_column) in ORDER_DATES),
    )


def _no_sales(found: Found) -> Failure:
    others = ", ".join([*found.tables, *found.unused]) or "nothing"
    what = "name the file sales.csv, or read_tables({'sales': path}); other tables are " + ", ".join(list(TABLES)[1:])
    return {"table": "sales", "problem": "there is no sales table", "found": others, "what_to_do": what}


def _at(tables: Tables, day: pd.Timestamp, *, undated: bool) -> Tables:
    """The tables as known at the end of a day, with the account carried on."""
    frames: dict[str, Any] = {}
    asides = [tables.set_aside]
    quality = tables.quality
    for name in TABLES:
        before = tables.frame(name)
        known = known_at(name, before, day, undated=undated)
        frames[name] = known.frame
        for column, rows in known.asides:
            reason = "recorded after as_of" if undated else f"recorded after {day:%Y-%m-%d}"
            asides.append(aside_rows(name, before.index[rows], column, reason, before[column][rows]))
            quality = with_moved(quality, name, set_aside=len(asides[-1]))
            quality = with_record(quality, aside_record(name, asides[-1]))
        for words, rows in known.opened:
            n = int(rows.sum())
            record = (name, words, n, n, 0, 0, row_examples(known.frame[rows]), "the later fact is not used")
            quality = with_record(quality, record)
    return dataclasses.replace(tables, **frames, as_of=day, quality=quality, set_aside=join_rows(asides))


def _pairs(frame: pd.DataFrame) -> pd.DataFrame:
    """Distinct (sku, location) of a table as text."""
    sku, skus = pd.factorize(frame["sku"])
    place, places = pd.factorize(frame["location"])
    n_places = max(len(places), 1)
    pair = pd.unique((sku.astype(np.int64) * n_places + place)[sku >= 0])
    names, spots = pd.Index(skus).astype("str"), pd.Index(places).astype("str")
    return pd.DataFrame({"sku": names[pair // n_places], "location": spots[pair % n_places]})
