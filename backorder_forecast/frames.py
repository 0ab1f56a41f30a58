"""The output frames as data: which columns each has, and how their values read.

Kinds and headings are those of `columns.py`. Frames may hold further columns; their kind is read from their values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd

from backorder_forecast.columns import COLUMNS, DTYPES, FLAGS, OWN_NOTES, UNITS, Column
from backorder_forecast.errors import unknown_option

__all__ = [
    "COLUMNS", "DTYPES", "FLAGS", "FRAMES", "FURTHER", "OWN_NOTES", "TOO_LATE", "UNITS", "Column", "column_kind",
    "column_note", "column_texts", "empty_frame", "format_values", "frame_columns", "heading", "missing_columns",
    "quantile_columns", "too_late",
]  # fmt: skip

TOO_LATE = "now (too late)"
"""Stands for an empty `order_by_date` where even an order placed now comes too late."""
_SCORECARD = (
    "n_received", "n_open", "n_late", "on_time_share", "lead_time_days_0.1", "lead_time_days_0.5", "lead_time_days_0.9",
    "mean_late_days", "fill_share", "trend", "disruption_probability",
)  # fmt: skip

_COUNTED = ("slower", "n_judged", "n_late_now", "quantity_received")
_BEHIND_TREND = ("n_recent", "mean_days_recent", "n_before", "mean_days_before")

FRAMES: Mapping[str, tuple[str | float, ...]] = MappingProxyType(
    {
        "stockouts": (
            "sku", "location", "on_hand", "on_order", "backordered", "days_of_cover", "p_stockout", "p_stockout_7",
            "p_stockout_14", "p_stockout_30", "stockout_date_0.1", "stockout_date_0.5", "stockout_date_0.9",
            "expected_short_units", "revenue_at_risk", "order_by_date", "p_zero", "already_out", "avoidable", "flag",
            "cause", "cause_share", "confidence", "confidence_reason",
        ),
        "causes": (
            "sku", "location", "player", "contribution", "standard_error", "reference", "order", "risk", "baseline",
            "cause_text",
        ),
        "fill_dates": (
            "order_id", "sku", "location", "customer_id", "quantity", "order_date", "status", "first_date_0.5",
            "fill_date_0.1", "fill_date_0.5", "fill_date_0.8", "fill_date_0.9", "fill_date_0.95", "promise_date",
            "p_by_promised", "p_unfilled", "waited_days", "p_at_promise", "source",
        ),
        "wait_cutoffs": (
            "sku", "location", "wait_cutoff_days", "wait_cutoff_days_low", "wait_cutoff_days_high",
            "expected_wait_days", "basis", "max_open_quantity", "p_wait_within_cutoff", "value_accept", "value_refuse",
            "revenue_kept", "decision", "reason", "payment_terms", "substitute_sku",
        ),
        "reorders": (
            "sku", "location", "supplier", "order_quantity", "order_by_date", "reorder_point", "order_up_to_level",
            "safety_stock", "arrival_0.5", "arrival_0.9", "cost", "reason", "urgency",
        ),
        "forecasts": ("sku", "location", "date", "mean", 0.1, 0.5, 0.9),
        "lead_times": (
            "supplier", "sku", "location", "level", *_SCORECARD, "basis", *_COUNTED, "category", "check_n",
            "check_coverage_80", "check_pinball", "days_from", "pool_k", "half_life_days",
        ),
        "suppliers": ("supplier", "n_lines", *_SCORECARD, "n_cancelled", "p_never_arrives", *_COUNTED),
        "notices": (
            "order_id", "sku", "location", "customer_id", "kind", "reason", "old_date", "new_date", "offer",
            "deadline", "policy_text", "jurisdiction",
        ),
        "cash_flow": ("date", "deposits", "balances", "refunds", "expected_cash", "refundable_liability"),
        "excess": ("sku", "location", "excess_units", "excess_value", "p_unsold", "weeks_of_cover"),
        "backlog": (
            "date", "sku", "location", "open_lines", "open_units", "median_age_days", "backorder_rate",
            "growth_vs_forecast",
        ),
        "items": ("sku", "location", "method", "demand_class", "confidence"),
        "data_quality": (
            "table", "rule", "rows_read", "rows_used", "rows_merged", "rows_set_aside", "examples", "effect",
        ),
    }
)  # fmt: skip
"""Core columns of every output frame, in order; forecasts have their quantile levels as numbers."""

FURTHER: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "stockouts": (
            "days_of_cover_0.1", "days_of_cover_0.9", "p_unmet_before_arrival", "order_due", "short_if_out",
            "p_no_sale", "count_suggested",
            "p_stockout_projected", "p_stockout_learned", "p_stockout_blend", "watch_from",
            "expected_miss_cost", "flag_projected",
            "baseline", "late_order", "demand_surge",
            "ordered_too_little", "supplier_disruption", "record_error", "recall_or_hold", "monte_carlo_error",
            "cause_text",
        ),
        "lead_times": _BEHIND_TREND,
        "suppliers": (*_BEHIND_TREND, "disruption_days", "receipts_due", "receipts_come"),
        "fill_dates": ("promised_date", "priority", "held_amount", "balance_amount"),
        "wait_cutoffs": (
            "substitute_units", "p_never", "own_cutoff_days", "band_share", "sensitive_to", "cutoff_if_less",
            "cutoff_if_more",
        ),
        "reorders": (
            "need_units", "target", "basis", "express_quantity", "express_date", "express_units", "express_saving",
            "remark", "flag",
        ),
        "excess": ("cancellable_units", "cancellable_value"),
        "notices": ("quantity", "legal_note", "text"),
        "cash_flow": ("goods_shipped",),
        "backlog": ("new_vs_forecast", "faster_than_forecast"),
    }
)  # fmt: skip
"""Columns that a plan adds to the core of a frame; an empty frame has them too."""

_QUANTILE = re.compile(r"^(?:(?P<base>.+)_)?(?P<level>0\.\d+)$")


def empty_frame(name: str) -> pd.DataFrame:
    """An output frame without rows that has its columns and dtypes all the same.

    Examples
    --------
    >>> empty_frame("cash_flow").dtypes.astype(str).to_dict()["date"]
    'datetime64[s]'
    >>> empty_frame("forecasts").columns.tolist()
    ['sku', 'location', 'date', 'mean', 0.1, 0.5, 0.9]
    """
    columns = (*frame_columns(name), *FURTHER.get(name, ()))
    return pd.DataFrame({c: pd.Series(dtype=DTYPES[column_kind(c)]) for c in columns}, index=pd.RangeIndex(0))


def frame_columns(name: str) -> tuple[str | float, ...]:
    """Core columns of an output frame; an unknown name raises and lists the valid ones."""
    if name not in FRAMES:
        raise unknown_option("frame", name, FRAMES)
    return FRAMES[name]


def missing_columns(name: str, frame: pd.DataFrame) -> list[str | float]:
    """Core columns that a frame lacks."""
    return [c for c in frame_columns(name) if c not in frame.columns]


def column_kind(column: str | float, values: pd.Series | None = None) -> str:
    """Kind of a column: as listed in `COLUMNS`, corrected by its values where these are given and say otherwise.

    Examples
    --------
    >>> column_kind("fill_date_0.9"), column_kind(0.9), column_kind("p_any")
    ('date', 'units', 'share')
    >>> column_kind("trend", pd.Series(["slower"]))
    'text'
    """
    kind = _named_kind(column)
    if values is None:
        return kind
    if isinstance(values.dtype, np.dtype) and values.dtype.kind == "M":
        return "date"
    if pd.api.types.is_bool_dtype(values.dtype):
        return "flag"
    if pd.api.types.is_numeric_dtype(values.dtype):
        return kind if kind in ("count", "units", "days", "money", "share") else "number"
    return kind if kind == "category" else "text"


def heading(column: str | float) -> str:
    """What to call a column in front of people.

    Examples
    --------
    >>> heading("order_by_date"), heading("fill_date_0.9"), heading(0.5), heading("shelf_life_days")
    ('Order by', 'Filled by (90 %)', 'Median', 'Shelf life days')
    """
    base, level = _split(column)
    if base in COLUMNS:
        words = COLUMNS[base].heading
    else:
        words = base.replace("_", " ").strip().capitalize()
    if level is None:
        return words
    percent = f"{100 * level:g} %"
    if not base:
        return "Median" if level == 0.5 else f"{percent} quantile"
    return f"{words} ({'likely' if level == 0.5 else percent})"


def column_note(column: str | float, frame: str = "") -> str:
    """What a column says and its unit, in words; nothing of a column that is not known.

    `frame` is the output frame that it stands in: `reason` and `basis` say something else in each.

    Examples
    --------
    >>> column_note("reorder_point")
    'Quantile (see Target) of the demand until an order placed now arrives. In units of the item.'
    >>> column_note("basis", "reorders")
    'What sets the quantity: cost, fill rate or service level.'
    >>> column_note(0.9)
    'Demand of the period that is not exceeded with this probability. In units of the item.'
    """
    base, level = _split(column)
    if not base and level is not None:
        return f"Demand of the period that is not exceeded with this probability. {UNITS['units']}"
    if base not in COLUMNS:
        return ""
    note = OWN_NOTES.get((frame, base), COLUMNS[base].note)
    return f"{note} {UNITS.get(COLUMNS[base].kind, '')}".rstrip()


def format_values(kind: str, values: pd.Series) -> list[str]:
    """Values of a column as people read them; missing values are empty. Dates stay ISO, so that they sort.

    Examples
    --------
    >>> format_values("share", pd.Series([0.002, 0.345, 1.0, np.nan]))
    ['<1 %', '34 %', '100 %', '']
    >>> format_values("money", pd.Series([12345.6, 9.5])), format_values("units", pd.Series([3.0, 0.25]))
    (['12,346', '10'], ['3', '0.25'])
    >>> format_values("date", pd.Series(pd.to_datetime(["2024-05-06", None])))
    ['2024-05-06', '']
    """
    if kind == "date":
        return [str(v) for v in values.dt.strftime("%Y-%m-%d").fillna("")]
    if kind == "flag":
        return ["" if v is None or v is pd.NA or v != v else "yes" if v else "no" for v in values]
    if kind in ("text", "category"):
        return ["" if pd.isna(v) else str(v) for v in values]
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    # Money and days have the same decimals all the way down a column.
    largest = float(np.nanmax(np.abs(numbers[np.isfinite(numbers)]), initial=0.0))
    if kind == "money":
        decimals = 0 if largest >= 1000 else 2
    elif kind in ("days", "count"):
        decimals = 0 if largest >= 10 or kind == "count" else 1
    else:
        decimals = -1
    show = _share_words if kind == "share" else _number_words
    return ["" if math.isnan(v) else show(v, decimals) for v in numbers.tolist()]


def column_texts(frame: pd.DataFrame, column: str | float) -> list[str]:
    """Values of one column of a frame as people read them, by `format_values`.

    An `order_by_date` is empty where no order is needed, and where even one placed now comes too late; `TOO_LATE` is
    written for the latter.

    Examples
    --------
    >>> orders = pd.DataFrame({"order_by_date": pd.to_datetime(["2024-05-06", None, None]),
    ...                        "urgency": ["this review", "overdue", "none"]})
    >>> column_texts(orders, "order_by_date")
    ['2024-05-06', 'now (too late)', '']
    """
    texts = format_values(column_kind(column, frame[column]), frame[column])
    if column != "order_by_date":
        return texts
    return [TOO_LATE if late and not text else text for text, late in zip(texts, too_late(frame), strict=True)]


def too_late(frame: pd.DataFrame) -> list[bool]:
    """Rows of `reorders` or `stockouts` that need an order for which today is too late."""
    if "urgency" in frame:
        return [bool(late) for late in frame["urgency"] == "overdue"]
    if not {"avoidable", "flag"} <= set(frame.columns):
        return [False] * len(frame)
    return [bool(late) for late in ~frame["avoidable"].astype(bool) & (frame["flag"] != "ok")]


def quantile_columns(columns: Sequence[str | float]) -> list[str | float]:
    """Column names with bare quantile levels as numbers again, as after reading a file.

    Examples
    --------
    >>> quantile_columns(["mean", "0.9", "fill_date_0.9"])
    ['mean', 0.9, 'fill_date_0.9']
    """
    return [float(c) if isinstance(c, str) and re.fullmatch(r"0\.\d+", c) else c for c in columns]


def _share_words(value: float, _: int) -> str:
    if 0 < value < 0.005:
        return "<1 %"
    if 0.995 < value < 1:
        return ">99 %"
    # Adding 0 takes the sign off a rounded -0.
    return f"{round(100 * value) + 0:,.0f} %"


def _number_words(value: float, decimals: int) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if decimals >= 0:
        return f"{value + 0.0:,.{decimals}f}"
    if value == round(value) or abs(value) >= 100:
        return f"{value + 0.0:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.2g}"


def _split(column: str | float) -> tuple[str, float | None]:
    name = str(column)
    if name in COLUMNS:
        return name, None
    found = _QUANTILE.match(name)
    return (found["base"] or "", float(found["level"])) if found else (name, None)


def _named_kind(column: str | float) -> str:
    base, level = _split(column)
    if base in COLUMNS:
        return COLUMNS[base].kind
    if not base and level is not None:
        return "units"
    if base.startswith("p_") or base.endswith(("_share", "_rate", "_probability")):
        return "share"
    for suffix, kind in (
        ("_days", "days"),
        ("date", "date"),
        ("_units", "units"),
        ("cost", "money"),
        ("price", "money"),
    ):
        if base.endswith(suffix):
            return kind
    return "text"
