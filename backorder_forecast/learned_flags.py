"""The learned stockout flag inside a plan: when it is switched on, what it says of each item, how flags use it.

Projection and classifier answer the same question in two ways: will the item be without usable stock before an order
placed now would arrive? The projection plays the item's own demand and open orders forward; the classifier looks at
what became of items in a like position at past snapshots, with late deliveries, bookings and habits of the shop. They
err in different ways, so flags go by their mean.

Only the probability that decides the flag is averaged: `p_stockout_projected` (the column `p_unmet_before_arrival`),
`p_stockout_learned` and their mean `p_stockout_blend` all look at the days until a normal order arrives. The
probabilities by horizon (`p_stockout`, `p_stockout_7`, ...), the dates, fill dates and orders stay those of the paths,
so that they go on agreeing with each other. Where the classifier says nothing the blend is the projection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.lines import BackorderLines
from backorder_forecast.settings import Settings
from backorder_forecast.snapshots import Snapshots, read_snapshots
from backorder_forecast.stockout_features import features_at
from backorder_forecast.tables import Tables

Floats = NDArray[np.float64]

LEAST_DATES = 12
"""Snapshot dates from which past stock is a history to learn from. Judgement."""
LEAST_EVENTS = 200
"""New stockouts among them from which a classifier is fitted. Judgement."""
ACTING_RANGE = (1 / 3, 1.5)
"""Bounds of the probability from which acting pays over that of an item of the usual margin: what is all but certain to
run out is not left unsaid because little is earned with it. Judgement."""
_LEAST_WINDOWS = 50
_SPREAD = 26
_SMALL: dict[str, Any] = {"ratios": 0, "n_rounds": 80, "n_boosted": 1, "n_trees": 60, "min_leaf": 5}
_FLAGS = ("critical", "warning", "watch")
_ASSUMED = (
    "the past says nothing of an assumed change; compare the flags with plan.what_if(Scenario()), or use compare_plans"
)
_LEARNED_ONLY = "not by its own projection: items in a like position ran out in the past"


@dataclass(frozen=True, eq=False)
class LearnedFlags:
    """Learned probability of each item, shape (n_items,), NaN where nothing is said, and a sentence why (not)."""

    probability: Floats
    note: str


def learn_flags(
    tables: Tables, lead_days: Floats, settings: Settings, *, what_if: bool = False, lines: BackorderLines | None = None
) -> LearnedFlags:
    """Learn from the past snapshots of these tables and judge the latest one.

    Parameters
    ----------
    tables
        As known at the end of `as_of`.
    lead_days
        Usual lead time of each item of `tables.items()`, days.
    settings
        `learned_flag`, `learned_flag_rows`, `seed`.
    what_if
        Whether the plan assumes changes; the past says nothing of them, so the flag is off.
    lines
        From `open_lines` of these tables, where known already.
    """
    off = _reason_off(tables, settings, what_if)
    if off:
        return _off(len(lead_days), off)
    snapshots = read_snapshots(tables, lead_days=lead_days, lines=lines)
    events = int(np.nansum(snapshots.new_stockouts))
    if len(snapshots.dates) < LEAST_DATES:
        return _off(len(lead_days), f"it needs {LEAST_DATES} dates of full stock, there are {len(snapshots.dates)}")
    if events < LEAST_EVENTS:
        return _off(len(lead_days), f"it needs {LEAST_EVENTS} new stockouts at past snapshots, there are {events}")
    age = (tables.as_of - snapshots.dates[-1]).days
    if age > snapshots.step_days:
        return _off(len(lead_days), f"the latest full stock is {age} days old, more than one step between snapshots")
    ran_out = snapshots.ran_out
    if not (~np.isnan(ran_out)).any():
        return _off(len(lead_days), "no past lead time is over")
    picked = _rows_to_learn(ran_out, settings.learned_flag_rows)
    label = np.concatenate([ran_out[rows, t] for t, rows in picked]).astype(np.int64)
    if min(label.sum(), len(label) - label.sum()) < _LEAST_WINDOWS:
        return _off(len(lead_days), f"fewer than {_LEAST_WINDOWS} past lead times ended with, or without, a stockout")
    probability, words = _fitted(snapshots, picked, label, settings)
    # What has come in since the snapshot is not in it.
    arrived = tables.purchase_orders[tables.purchase_orders["received_date"] > snapshots.dates[-1]]
    probability[np.isin(snapshots.items["sku"].astype("str"), arrived["sku"].astype("str").unique())] = np.nan
    share = label.mean()
    note = (
        f"flags average the projected and a learned chance of a stockout before an order arrives: learned from"
        f" {len(label):,} positions of items at {len(picked)} past snapshots, {share:.0%} of which ran out ({words})"
    )
    return LearnedFlags(probability, note)


class UnitMoney(NamedTuple):
    """Money per unit, (n_items,): the margin that a unit short loses and what a unit costs; NaN without a price."""

    margin: Floats
    cost: Floats


def blend_flags(stockouts: pd.DataFrame, learned: Floats, money: UnitMoney, settings: Settings) -> pd.DataFrame:
    """The frame with the three probabilities beside each other, and the flags of their mean.

    A flag is a decision: acting pays where probability x cost of a miss is at least the cost of acting. The cost of a
    miss is the margin of the units short until an order placed now arrives, given that the item runs out before: what
    comes later can still be ordered, and is the cost of no miss. The cost of acting is `Settings.action_cost` and a
    share of what these units cost to buy, see there.

    Parameters
    ----------
    stockouts
        From `projection.stockout_frame`.
    learned
        Learned probabilities of the same rows, NaN where none.
    money
        Margin and cost of a unit, of the same rows.
    settings
        Flag thresholds, `action_cost`, `default_margin_share`.

    Returns
    -------
    DataFrame
        The same rows with p_stockout_projected, p_stockout_learned, p_stockout_blend, watch_from (the probability from
        which acting pays; empty where none does), flag_projected (the flag by the projected chance alone),
        expected_miss_cost, flag.
    """
    projected = stockouts["p_unmet_before_arrival"].to_numpy(np.float64)
    known = ~np.isnan(learned) & ~stockouts["already_out"].to_numpy(dtype=bool)
    learned = np.where(known, learned, np.nan)
    blend = np.where(known, (projected + np.where(known, learned, 0.0)) / 2.0, projected)
    due = stockouts["order_due"].to_numpy(dtype=bool)
    lost = stockouts["short_if_out"].to_numpy(np.float64) * money.margin
    factor = _acting_pays(lost, money, settings)
    watch_from = settings.watch_probability * factor
    return stockouts.assign(
        p_stockout_projected=projected, p_stockout_learned=learned, p_stockout_blend=blend,
        watch_from=np.where(watch_from <= 1.0, watch_from, np.nan), expected_miss_cost=blend * lost,
        flag_projected=_flags(projected, factor, due, settings), flag=_flags(blend, factor, due, settings),
    )  # fmt: skip


def _acting_pays(lost: Floats, money: UnitMoney, settings: Settings) -> Floats:
    """Probability from which acting pays over that of an item of the usual margin; 1 without a price."""
    share = min(settings.default_margin_share, 0.999)
    with np.errstate(divide="ignore", invalid="ignore"):
        usual = share / (1.0 - share) * money.cost / money.margin
        fixed = settings.action_cost / (settings.watch_probability * lost) if settings.action_cost > 0 else 0.0
    # Nothing is lost with a unit sold at cost, whatever it costs.
    own = np.clip(np.where(money.margin > 0, usual, np.inf), *ACTING_RANGE)
    return np.where(np.isnan(money.margin), 1.0, own + fixed)


def _flags(chance: Floats, factor: Floats, due: NDArray[np.bool_], settings: Settings) -> NDArray[np.str_]:
    levels = (settings.critical_probability, settings.warning_probability, settings.watch_probability)
    raised = [chance >= level * factor for level in levels]
    # An item is watched too where its order falls due before the next review, whatever the chance.
    raised[2] = raised[2] | due
    return np.select(raised, _FLAGS, "ok")


def unit_money(facts: pd.DataFrame, settings: Settings) -> UnitMoney:
    """Margin (price less cost, at least 0) and cost of a unit; without a cost `default_margin_share` of the price.

    Examples
    --------
    >>> facts = pd.DataFrame({"price": [10.0, 10.0], "unit_cost": [6.0, np.nan]})
    >>> money = unit_money(facts, Settings())
    >>> money.margin.tolist(), money.cost.tolist()
    ([4.0, 3.0], [6.0, 7.0])
    """
    price, cost = (facts[c].to_numpy(np.float64) for c in ("price", "unit_cost"))
    known = np.where(np.isnan(cost), (1.0 - settings.default_margin_share) * price, cost)
    return UnitMoney(np.maximum(price - known, 0.0), np.where(np.isnan(price), np.nan, known))


def explain_learned(stockouts: pd.DataFrame) -> pd.DataFrame:
    """The frame with a sentence where only the classifier raises an item, which no cause of the projection explains."""
    alone = (stockouts["flag"] != "ok") & stockouts["p_stockout_learned"].notna() & (stockouts["cause_text"] == "")
    return stockouts.assign(cause_text=stockouts["cause_text"].mask(alone, _LEARNED_ONLY))


def _fitted(
    snapshots: Snapshots, picked: list[tuple[int, NDArray[np.intp]]], label: NDArray[np.int64], settings: Settings
) -> tuple[Floats, str]:
    # Loads scikit-learn, which a plan without the flag does without.
    from backorder_forecast.classifier import StockoutClassifier

    features = pd.concat([features_at(snapshots, t).iloc[rows] for t, rows in picked], ignore_index=True)
    times = np.concatenate([np.full(len(rows), t) for t, rows in picked])
    model = StockoutClassifier(**_SMALL, random_state=settings.seed)
    model.fit(features, label, times=times)
    last = len(snapshots.dates) - 1
    rows = np.flatnonzero(snapshots.exposed[:, last])
    probability = np.full(len(snapshots.items), np.nan)
    if len(rows):
        probability[rows] = model.predict_proba(features_at(snapshots, last).iloc[rows])[:, 1]
    return probability, f"calibration: {model.calibration_}, {model.calibration_reason_}"


def _rows_to_learn(ran_out: Floats, most: int) -> list[tuple[int, NDArray[np.intp]]]:
    """Snapshots with known outcomes, evenly spread back from the latest, and of each so many items that all fit."""
    known = ~np.isnan(ran_out)
    dates = np.flatnonzero(known.any(axis=0))[::-1]
    fitting = max(int(most * len(dates) / known.sum()), min(_SPREAD, len(dates)))
    dates = np.sort(dates[:: int(np.ceil(len(dates) / fitting))])
    every = int(np.ceil(known[:, dates].sum() / most))
    # Other items at each date, so that all take part.
    return [(int(t), np.flatnonzero(known[:, t])[k % every :: every]) for k, t in enumerate(dates)]


def _reason_off(tables: Tables, settings: Settings, what_if: bool) -> str:
    if not settings.learned_flag:
        return "Settings.learned_flag is False"
    if what_if:
        return _ASSUMED
    dates = int(tables.inventory["date"].nunique())
    if dates < LEAST_DATES:
        return f"it needs {LEAST_DATES} dates in the table inventory, there are {dates}"
    return ""


def no_learned_flags(n_items: int) -> LearnedFlags:
    """Nothing learned, as for a what-if: the past says nothing of an assumed change."""
    return _off(n_items, _ASSUMED)


def _off(n_items: int, reason: str) -> LearnedFlags:
    return LearnedFlags(
        np.full(n_items, np.nan), f"flags rest on the projection alone, without a learned one: {reason}"
    )
