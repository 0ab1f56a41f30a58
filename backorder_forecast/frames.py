"""The output frames as data: which columns each has, of what kind, and what to call them in front of people.

A column name means the same thing in every frame. Kinds: text, category (a few known words), date, flag (true or
false), count (whole numbers), units (of the item), days, money (the currency of the input), share (0 to 1), number.
A suffix such as `_0.9` is the quantile of the column before it. Frames may hold further columns; their kind is read
from their values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from backorder_forecast.errors import unknown_option

DTYPES = MappingProxyType(
    {
        "text": "str", "category": "str", "date": "datetime64[s]", "flag": "bool", "count": "int64", "units": "float64",
        "days": "float64", "money": "float64", "share": "float64", "number": "float64",
    }
)  # fmt: skip
"""Dtype of an empty column, by kind."""

FLAGS = ("critical", "warning", "watch", "ok")
"""Risk flags, most urgent first."""


@dataclass(frozen=True)
class Column:
    """How to show a column: kind, heading, and a sentence where the heading does not explain itself."""

    kind: str
    heading: str
    note: str = ""


COLUMNS: Mapping[str, Column] = MappingProxyType(
    {
        # --- keys
        "sku": Column("text", "Item"),
        "location": Column("text", "Location"),
        "supplier": Column("text", "Supplier"),
        "customer_id": Column("text", "Customer"),
        "order_id": Column("text", "Order"),
        "date": Column("date", "Date"),
        # --- stockouts
        "on_hand": Column("units", "On hand"),
        "on_order": Column("units", "On order"),
        "backordered": Column("units", "Backordered"),
        "days_of_cover": Column("days", "Days of cover", "Days until expected demand has used up what is on hand."),
        "p_stockout": Column("share", "Chance to run out", "Probability of unmet demand at some time in the horizon."),
        "p_stockout_7": Column("share", "Out in 7 days", "Probability of unmet demand within 7 days."),
        "p_stockout_14": Column("share", "Out in 14 days", "Probability of unmet demand within 14 days."),
        "p_stockout_30": Column("share", "Out in 30 days", "Probability of unmet demand within 30 days."),
        "stockout_date": Column("date", "Out by", "Day by which the item has run out with the probability named."),
        "expected_short_units": Column("units", "Units short", "Expected unmet demand within the horizon."),
        "revenue_at_risk": Column("money", "Revenue at risk", "Expected units short times the price."),
        "order_by_date": Column(
            "date",
            "Order by",
            "Last review at which an order still keeps the service level; empty: too late, or no need in these days.",
        ),
        "p_zero": Column("share", "Chance of zero stock", "Probability that stock reaches zero, demand met or not."),
        "already_out": Column("flag", "Out now"),
        "avoidable": Column("flag", "Avoidable", "An order placed now keeps the service level."),
        "flag": Column("category", "Risk"),
        "cause": Column("text", "Main cause"),
        "cause_share": Column("share", "Cause's share", "By how much the risk would fall without the main cause."),
        "p_unmet_before_arrival": Column("share", "Out before an order", "Unmet demand before an order now arrives."),
        "p_stockout_projected": Column("share", "… projected", "Out before an order now arrives, by the sample paths."),
        "p_stockout_learned": Column(
            "share", "… learned", "The same, learned from past snapshots; empty where too little is known."
        ),
        "p_stockout_blend": Column("share", "… that decides the flag", "Mean of the projected and the learned chance."),
        "expected_miss_cost": Column(
            "money", "Cost of a miss", "Chance to be out before an order arrives times the margin of the units short."
        ),
        "baseline": Column("share", "Risk without causes", "Chance to run out with every cause at its usual state."),
        "late_order": Column("share", "… by late order", "What late orders add to the risk."),
        "demand_surge": Column("share", "… by demand surge", "What the rise of demand adds to the risk."),
        "ordered_too_little": Column("share", "… by ordering too little", "What a missing order adds to the risk."),
        "supplier_disruption": Column("share", "… by disruption", "What a supplier standing still adds to the risk."),
        "record_error": Column("share", "… by record error", "What a wrong stock record adds to the risk."),
        "recall_or_hold": Column("share", "… by recall or hold", "What stock on hold adds to the risk."),
        "count_suggested": Column("flag", "Count it", "Stock is shown, but nothing sold for improbably long."),
        "p_no_sale": Column("share", "Chance of no sale", "Probability of so long without a sale, were stock there."),
        "monte_carlo_error": Column("share", "Simulation error"),
        "cause_text": Column("text", "Cause in words"),
        "confidence": Column("category", "Confidence"),
        "confidence_reason": Column("text", "Why this confidence"),
        # --- fill_dates
        "quantity": Column("units", "Quantity"),
        "order_date": Column("date", "Ordered on"),
        "status": Column("category", "Status"),
        "first_date": Column("date", "First unit"),
        "fill_date": Column("date", "Filled by", "Day by which the line is complete with the probability named."),
        "promise_date": Column("date", "Promise", "Earliest (business) day that can be promised at the promise level."),
        "promised_date": Column("date", "Promised before"),
        "p_by_promised": Column("share", "Kept by old date", "Probability of filling by the date promised before."),
        "p_unfilled": Column("share", "Not in horizon", "Probability that the line is not filled within the horizon."),
        "waited_days": Column("days", "Waited, days"),
        "p_at_promise": Column("share", "Kept by promise", "Probability of filling by the promise date."),
        "source": Column("text", "Filled from"),
        # --- wait_cutoffs
        "wait_cutoff_days": Column("days", "Longest wait, days", "Longest wait for which a backorder still pays."),
        "wait_cutoff_days_low": Column("days", "… from", "Lower end of the 80 % interval."),
        "wait_cutoff_days_high": Column("days", "… to", "Upper end of the 80 % interval."),
        "own_cutoff_days": Column("days", "Own value, days", "The cutoff before the usual band of the product type."),
        "band_share": Column("share", "Band's share", "How much the usual band of the product type decided."),
        "p_never": Column("share", "Never filled"),
        "expected_wait_days": Column("days", "Wait now, days", "Expected wait of a line taken today."),
        "basis": Column("category", "Rests on"),
        "max_open_quantity": Column(
            "units",
            "Surely covered",
            "Further units that stock and open orders cover within the longest wait (9 times in 10); more rests on the "
            "next order.",
        ),
        "p_wait_within_cutoff": Column("share", "Wait within it", "Probability that the wait stays within the cutoff."),
        "value_accept": Column("money", "Worth if taken"),
        "value_refuse": Column("money", "Worth if refused"),
        "revenue_kept": Column("money", "Revenue kept"),
        "decision": Column("category", "Decision"),
        "reason": Column("text", "Reason"),
        "payment_terms": Column("category", "Payment"),
        "substitute_sku": Column("text", "Substitute"),
        # --- reorders
        "order_quantity": Column("units", "Order"),
        "reorder_point": Column("units", "Reorder point"),
        "order_up_to_level": Column("units", "Order up to"),
        "safety_stock": Column("units", "Safety stock"),
        "need_units": Column("units", "Needed"),
        "target": Column("share", "Target"),
        "arrival": Column("date", "Arrives by"),
        "cost": Column("money", "Cost"),
        "urgency": Column("category", "Urgency"),
        # --- forecasts
        "mean": Column("units", "Mean"),
        # --- suppliers
        "level": Column("category", "Level"),
        "n_lines": Column("count", "Lines"),
        "n_received": Column("count", "Received"),
        "n_open": Column("count", "Open"),
        "n_late": Column("count", "Late"),
        "n_cancelled": Column("count", "Cancelled"),
        "p_never_arrives": Column("share", "Never arrives", "Probability that an order is cancelled, not delivered."),
        "on_time_share": Column("share", "On time"),
        "lead_time_days": Column("days", "Lead time, days"),
        "mean_late_days": Column("days", "Mean days late"),
        "fill_share": Column("share", "Delivered share", "Share of the ordered quantity that was delivered."),
        "trend": Column("number", "Trend", "Days by which receipts became slower within a year and a half."),
        "disruption_probability": Column(
            "share", "Disrupted", "Probability that the supplier is late with everything just now."
        ),
        "slower": Column("flag", "Slower", "Whether receipts became slower by more than chance."),
        "n_judged": Column("count", "Lines judged", "Lines with a promise that are complete or overdue."),
        "n_late_now": Column("count", "Late now", "Open lines beyond their promised date."),
        "quantity_received": Column("units", "Units received"),
        "check_n": Column("count", "Lines checked", "Past receipts that were foretold from what was known before."),
        "check_coverage_80": Column("share", "In the 80 % interval", "Share of them inside the 80 % interval."),
        "check_pinball": Column("number", "Check loss, days", "Mean pinball loss of the quantiles .1, .5, .9."),
        "days_from": Column("category", "Days from", "What lead times are read from: order or promised date."),
        "pool_k": Column("number", "Pooling", "Observations that a parent law counts for."),
        "half_life_days": Column("number", "Half-life, days", "Age at which a past order counts half."),
        # --- notices
        "kind": Column("category", "Notice"),
        "old_date": Column("date", "Old date"),
        "new_date": Column("date", "New date"),
        "offer": Column("text", "Offer"),
        "deadline": Column("date", "Tell by", "Day by which the customer should be told."),
        "policy_text": Column("text", "Policy"),
        "jurisdiction": Column("category", "Rules of"),
        "legal_note": Column("text", "Legal note"),
        # --- cash_flow
        "deposits": Column("money", "Deposits", "Money held for open lines; all of it on the first day."),
        "balances": Column("money", "Balances"),
        "refunds": Column("money", "Refunds"),
        "expected_cash": Column("money", "Expected cash", "Balances less refunds: money still to come or go."),
        "refundable_liability": Column("money", "Refundable", "Money held that customers may still ask back."),
        "goods_shipped": Column("money", "Goods shipped"),
        "text": Column("text", "Message"),
        # --- excess
        "excess_units": Column("units", "Excess units"),
        "excess_value": Column("money", "Excess value"),
        "p_unsold": Column("share", "Chance unsold", "Probability that the excess is not sold in the time looked at."),
        "weeks_of_cover": Column("number", "Weeks of cover"),
        # --- backlog
        "open_lines": Column("count", "Open lines"),
        "open_units": Column("units", "Open units"),
        "median_age_days": Column("days", "Median age, days"),
        "backorder_rate": Column("share", "Backorder rate", "Backordered units as a share of demand."),
        "growth_vs_forecast": Column("share", "Growth vs forecast"),
        # --- items
        "method": Column("category", "Method"),
        "demand_class": Column("category", "Demand class"),
        "mean_per_period": Column("units", "Mean per period"),
        "mean_daily": Column("units", "Mean per day"),
        "alpha": Column("number", "Smoothing alpha"),
        "n_periods": Column("count", "Periods seen"),
        "n_nonzero": Column("count", "With demand"),
        "censored_share": Column("share", "Out of stock", "Share of the periods in which demand was hidden."),
        "category": Column("category", "Category"),
        "product_type": Column("category", "Product type"),
        "moq": Column("units", "Minimum order"),
        "pack_size": Column("units", "Pack"),
        "reserved": Column("units", "Reserved"),
        "on_hold": Column("units", "On hold"),
        "usable": Column("units", "Usable"),
        # --- data_quality
        "table": Column("text", "Table"),
        "rule": Column("text", "Rule"),
        "rows_read": Column("count", "Read"),
        "rows_used": Column("count", "Used"),
        "rows_merged": Column("count", "Merged"),
        "rows_set_aside": Column("count", "Set aside"),
        "examples": Column("text", "Examples"),
        "effect": Column("text", "Effect"),
    }
)
"""Kind, heading and note of every known column; quantile suffixes are left off."""

_SCORECARD = (
    "n_received", "n_open", "n_late", "on_time_share", "lead_time_days_0.1", "lead_time_days_0.5", "lead_time_days_0.9",
    "mean_late_days", "fill_share", "trend", "disruption_probability",
)  # fmt: skip

_COUNTED = ("slower", "n_judged", "n_late_now", "quantity_received")

FRAMES: Mapping[str, tuple[str | float, ...]] = MappingProxyType(
    {
        "stockouts": (
            "sku", "location", "on_hand", "on_order", "backordered", "days_of_cover", "p_stockout", "p_stockout_7",
            "p_stockout_14", "p_stockout_30", "stockout_date_0.1", "stockout_date_0.5", "stockout_date_0.9",
            "expected_short_units", "revenue_at_risk", "order_by_date", "p_zero", "already_out", "avoidable", "flag",
            "cause", "cause_share", "confidence", "confidence_reason",
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
            "days_of_cover_0.1", "days_of_cover_0.9", "p_unmet_before_arrival",
            "p_no_sale", "count_suggested",
            "p_stockout_projected", "p_stockout_learned", "p_stockout_blend", "expected_miss_cost",
            "baseline", "late_order", "demand_surge",
            "ordered_too_little", "supplier_disruption", "record_error", "recall_or_hold", "monte_carlo_error",
            "cause_text",
        ),
        "fill_dates": ("promised_date",),
        "wait_cutoffs": ("p_never", "own_cutoff_days", "band_share"),
        "reorders": ("need_units", "target", "flag"),
        "notices": ("quantity", "legal_note", "text"),
        "cash_flow": ("goods_shipped",),
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


def column_note(column: str | float) -> str:
    """The sentence that explains a column, or nothing."""
    base, _ = _split(column)
    return COLUMNS[base].note if base in COLUMNS else ""


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
    return f"{100 * value:,.0f} %"


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
