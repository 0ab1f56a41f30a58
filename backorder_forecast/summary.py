"""A plan on one screen: the few figures behind each of the four questions, as a frame, and the same as text.

Every rendering (notebook, terminal, report) comes from the frame of `summarise`, so that they cannot disagree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from backorder_forecast.frames import format_values

WANTED, RUNS_OUT, ORDER, TELL, TAKE, MONEY, SUPPLY, DATA = (
    "What will be wanted?",
    "What runs out?",
    "What must be ordered?",
    "What to tell those who wait?",
    "Which backorders to take?",
    "What does it do to cash?",
    "How do suppliers deliver?",
    "What does it rest on?",
)
_COLUMNS = ("question", "topic", "figure", "kind", "text", "tone")
_Row = tuple[str, str, float, str, str, str]


def summarise(frames: Mapping[str, pd.DataFrame], *, as_of: pd.Timestamp) -> pd.DataFrame:
    """The figures of a plan that fit one screen.

    Parameters
    ----------
    frames
        Output frames by name; what an empty frame would feed is left out.
    as_of
        Last known day.

    Returns
    -------
    DataFrame
        question, topic, figure (a number), kind (count, money, share, days), text (what stands behind the figure), tone
        (critical, warning, ok, plain).

    Examples
    --------
    >>> excess = pd.DataFrame({"sku": ["A"], "location": [""], "excess_units": [2.0], "excess_value": [50.0]})
    >>> summarise({"excess": excess}, as_of=pd.Timestamp("2024-05-06"))[["topic", "figure", "text"]].to_dict("list")
    {'topic': ['excess stock'], 'figure': [50.0], 'text': ['1 item holds more than it needs']}
    """
    parts: dict[str, Callable[[pd.DataFrame], list[_Row]]] = {
        "forecasts": _forecast_rows,
        "stockouts": _stockout_rows, "reorders": _reorder_rows,
        "fill_dates": _waiting_rows, "notices": _notice_rows,
        "wait_cutoffs": partial(_cutoff_rows, stockouts=frames.get("stockouts")),
        "cash_flow": partial(_cash_rows, as_of=as_of),
        "excess": _excess_rows, "suppliers": _supplier_rows,
        "data_quality": _quality_rows,
    }  # fmt: skip
    rows: list[_Row] = []
    for name, part in parts.items():
        frame = frames.get(name)
        if frame is not None and len(frame):
            rows += part(frame)
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def summary_text(summary: pd.DataFrame, *, headline: str, notes: Sequence[str] = ()) -> str:
    """The summary as plain text, one block per question, the notes last.

    Examples
    --------
    >>> rows = pd.DataFrame([("Which?", "excess stock", 50.0, "money", "1 item", "plain")],
    ...                     columns=["question", "topic", "figure", "kind", "text", "tone"])
    >>> print(summary_text(rows, headline="Plan"))
    Plan
    <BLANKLINE>
    Which?
           50.00  excess stock: 1 item
    """
    lines = [headline]
    for question, part in summary.groupby("question", sort=False):
        lines += ["", str(question)]
        for figure, topic, text in zip(figures(part), part["topic"], part["text"], strict=True):
            lines.append(f"{figure:>12}  {topic}{': ' if text else ''}{text}")
    if notes:
        lines += ["", "Good to know", *(f"  - {note}" for note in notes)]
    return "\n".join(lines)


def figures(summary: pd.DataFrame) -> list[str]:
    """The figures of a summary as people read them, each by its kind."""
    pairs = zip(summary["kind"], summary["figure"], strict=True)
    return [format_values(str(kind), pd.Series([figure], dtype=np.float64))[0] for kind, figure in pairs]


def _forecast_rows(forecasts: pd.DataFrame) -> list[_Row]:
    wanted = forecasts.groupby(["sku", "location"], observed=True)["mean"].sum()
    last = _date(forecasts["date"].max())
    text = f"expected demand of {_count(int((wanted > 0).sum()), 'item')}, periods up to {last}"
    return [(WANTED, "units", float(wanted.sum()), "count", text, "plain")]


def _stockout_rows(stockouts: pd.DataFrame) -> list[_Row]:
    critical, warning = (stockouts[stockouts["flag"] == flag] for flag in ("critical", "warning"))
    out = int(stockouts["already_out"].astype(bool).sum())
    avoidable = int((stockouts["flag"].eq("watch") & stockouts["avoidable"].astype(bool)).sum())
    short = "expected unmet demand in the horizon"
    risk = _worth(("revenue at risk", "units at risk"), stockouts["revenue_at_risk"], stockouts["expected_short_units"])
    share = f"of {_count(len(stockouts), 'item')}"
    return [
        (RUNS_OUT, "critical", len(critical), "count", _names(critical, share), "critical" if len(critical) else "ok"),
        (RUNS_OUT, "warning", len(warning), "count", _names(warning, share), "warning" if len(warning) else "ok"),
        (RUNS_OUT, "out now", out, "count", "nothing to sell: customers wait or leave", "critical" if out else "ok"),
        (
            RUNS_OUT,
            "still avoidable",
            avoidable,
            "count",
            "watched items that an order by its date still saves",
            "plain",
        ),
        (RUNS_OUT, *risk[:3], "; ".join([short, *risk[3]]), "plain"),
    ]


def _reorder_rows(reorders: pd.DataFrame) -> list[_Row]:
    orders = reorders[reorders["order_quantity"] > 0]
    due = int(orders["urgency"].isin(["overdue", "today"]).sum())
    text = f"{due:,} of them due now or late already" if due else "none is due today"
    n_suppliers = int(orders.loc[orders["supplier"].fillna("") != "", "supplier"].nunique())
    named = f"from {_count(n_suppliers, 'supplier')}" if n_suppliers else "no supplier is known"
    value = _worth(("order value", "units to order"), orders["cost"], orders["order_quantity"], of="unit cost")
    return [
        (ORDER, "orders to place", len(orders), "count", text, "warning" if due else "ok"),
        (ORDER, *value[:3], "; ".join([named, *value[3]]), "plain"),
    ]


def _waiting_rows(lines: pd.DataFrame) -> list[_Row]:
    promised = int(lines["promise_date"].notna().sum())
    customers = int(lines.loc[lines["customer_id"].fillna("") != "", "customer_id"].nunique())
    owed = f"{format_values('units', pd.Series([lines['quantity'].sum()]))[0]} units"
    who = f"{owed}, {_count(customers, 'customer')}" if customers else owed
    oldest = float(lines["waited_days"].max())
    unkept = int((lines["p_by_promised"] < 0.5).sum())
    return [
        (TELL, "lines waiting", len(lines), "count", f"{who}; the oldest waits for {oldest:,.0f} days", "plain"),
        (
            TELL,
            "can be promised",
            promised / len(lines),
            "share",
            f"{promised:,} lines have a date to stand by",
            "plain",
        ),
        (TELL, "old promises at risk", unkept, "count", "more likely broken than kept", "warning" if unkept else "ok"),
    ]


def _notice_rows(notices: pd.DataFrame) -> list[_Row]:
    return [(TELL, "messages to send", len(notices), "count", _tally(notices["kind"]), "plain")]


def _cutoff_rows(cutoffs: pd.DataFrame, *, stockouts: pd.DataFrame | None) -> list[_Row]:
    if stockouts is not None and len(stockouts):
        # Nothing is known of the stock of the others, so nothing is decided on them.
        known = pd.MultiIndex.from_frame(stockouts[["sku", "location"]].astype(str))
        cutoffs = cutoffs[pd.MultiIndex.from_frame(cutoffs[["sku", "location"]].astype(str)).isin(known)]
    decisions = cutoffs["decision"].dropna().astype("str")
    taken = decisions.str.startswith("accept").astype(bool)
    text = ", ".join(filter(None, (_tally(decisions[taken]), _tally(decisions[~taken]))))
    median = float(cutoffs["wait_cutoff_days"].median())
    return [
        (TAKE, "items to go on taking", int(taken.sum()), "count", f"of {len(decisions):,}: {text}", "plain"),
        (TAKE, "longest wait to accept", median, "days", "days, median over the items", "plain"),
    ]


def _cash_rows(cash: pd.DataFrame, *, as_of: pd.Timestamp) -> list[_Row]:
    liability = cash["refundable_liability"].fillna(0).to_numpy(dtype=np.float64)
    peak = int(np.argmax(liability))
    ahead = cash.loc[cash["date"] > as_of, "expected_cash"]
    text = f"still to come from open lines until {_date(cash['date'].max())}"
    on = f"on {_date(cash['date'].iloc[peak])}"
    return [
        (MONEY, "expected cash", float(ahead.sum()), "money", text, "plain"),
        (MONEY, "highest refundable", float(liability[peak]), "money", on, "plain"),
    ]


def _excess_rows(excess: pd.DataFrame) -> list[_Row]:
    held = excess[excess["excess_units"] > 0]
    verb = "holds more than it needs" if len(held) == 1 else "hold more than they need"
    text = f"{_count(len(held), 'item')} {verb}"
    worth = _worth(("excess stock", "excess units"), held["excess_value"], held["excess_units"], of="unit cost")
    return [(MONEY, *worth[:3], "; ".join([text, *worth[3]]), "plain")]


def _supplier_rows(suppliers: pd.DataFrame) -> list[_Row]:
    weight = suppliers["n_received"].where(suppliers["on_time_share"].notna(), 0).astype(np.float64)
    if weight.sum() <= 0:
        return []
    share = float((suppliers["on_time_share"].fillna(0) * weight).sum() / weight.sum())
    known = suppliers[weight >= min(10.0, weight.max())]
    worst = known.sort_values("on_time_share", kind="stable").iloc[0]
    text = f"of {weight.sum():,.0f} deliveries; least: {worst['supplier']} with {100 * worst['on_time_share']:.0f} %"
    return [(SUPPLY, "delivered on time", share, "share", text, "plain")]


def _quality_rows(quality: pd.DataFrame) -> list[_Row]:
    totals = quality[quality["rule"] == "all rows"]
    if totals.empty:
        return []
    aside, read = int(totals["rows_set_aside"].sum()), int(totals["rows_read"].sum())
    text = f"of {read:,} read; the reasons are listed under data quality"
    return [(DATA, "rows set aside", aside, "count", text, "warning" if aside > 0.02 * max(read, 1) else "plain")]


def _worth(
    topics: tuple[str, str], money: pd.Series, units: pd.Series, *, of: str = "price"
) -> tuple[str, float, str, list[str]]:
    """Topic, figure, kind and remarks of a sum in money; of units, under their own topic, where nothing has a price."""
    unknown = int((money.isna() & (units > 0)).sum())
    if len(money) and bool(money.isna().all()):
        return topics[1], float(units.sum()), "units", [f"no {of} is known, so units are counted"]
    remarks = [f"{_count(unknown, 'item')} without a {of} not counted"] if unknown else []
    return topics[0], float(money.sum()), "money", remarks


def _names(items: pd.DataFrame, otherwise: str) -> str:
    if items.empty:
        return f"none {otherwise}"
    pairs = items[["sku", "location"]].fillna("").head(3).itertuples(index=False)
    shown = [f"{sku} {location}".strip() for sku, location in pairs]
    return f"{otherwise}; first {', '.join(shown)}{' …' if len(items) > 3 else ''}"


def _tally(values: pd.Series) -> str:
    counts = Counter(values.dropna().astype(str).str.replace("_", " "))
    by_size = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    rest = sum(n for _, n in by_size[4:])
    return ", ".join([*(f"{n:,} {word}" for word, n in by_size[:4]), *([f"{rest:,} other"] if rest else [])])


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _date(day: Any) -> str:
    return f"{day.day} {day:%b %Y}" if pd.notna(day) else "no date"
