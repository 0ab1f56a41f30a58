"""The check of lead times on their own past: what would have been said of past orders, held against what came.

At up to `ORIGINS` past days the laws are fitted to what was known then, open orders as open, and asked about the orders
placed until the next of these days. An order counts by 1 / (share of the orders of its window that are old enough to
show a lead time as long as its own): orders that are still open would otherwise make everything look quicker (Robins &
Rotnitzky 1992; weights beyond `MOST_WEIGHT` are cut off). An order that was recorded after it was placed was not known
before: it belongs to the window of the day on which it was recorded, and is foretold given that it had not arrived by
then. The same scores choose the half-life, how strongly small
groups lean on their parents, which levels of the tree earn their keep, and whether days are counted from the order or
from the promised date. Nothing is corrected here: the interval shown is the one that was scored.

Large histories are checked on a sample of whole items, the same for any row order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.lead_cases import LineTimes, cases_of, most_early
from backorder_forecast.lead_laws import FloatArray, IntArray, residual_quantiles
from backorder_forecast.lead_tree import OPTIONAL_LEVELS, Tree, fit_tree, tail_survival
from backorder_forecast.settings import Settings
from backorder_forecast.streams import stable_hash

LEVELS = (0.1, 0.5, 0.9)
ORIGINS = 5
FIRST_SHARE = 0.4
"""Share of the lines that only teach: the first origin lies behind them."""
MOST_LINES = 3000
"""Lines of the check; items are left out by their hash beyond it."""
FEWEST_LINES = 40
"""Scored lines below which nothing is chosen: the defaults hold."""
POOL_K = (5.0, 10.0, 20.0)
HALF_LIVES = (365.0, 730.0, 1460.0)
DEFAULT_POOL_K, DEFAULT_HALF_LIFE = 10.0, 730.0
"""Measured best on public deliveries (medicine orders to 2011); used where there is too little to choose by."""
NEARLY = 1.01
"""Losses up to this many times the least count as equal; of these the interval decides. Judgement."""
MOST_WEIGHT = 5.0
LATENESS_SHARE = 0.7
"""Share of lines with a promised date from which lateness is tried."""
LATENESS_GAIN = 0.98
"""Lateness is taken where its loss is at most this share of that of the durations. Judgement."""


@dataclass(frozen=True)
class Choice:
    """How laws are fitted: observations a parent counts for, half-life in days, optional levels, from the promise."""

    k: float
    half_life_days: float
    kept: tuple[str, ...] = OPTIONAL_LEVELS
    from_promise: bool = False


@dataclass(frozen=True, eq=False)
class LeadCheck:
    """What was chosen, and how well it did.

    Attributes
    ----------
    choice
        The fit to use.
    chosen
        Whether it was chosen by the check; else there was too little to choose by, or the settings name it.
    scores
        One row per candidate: k, half_life_days, kept, from_promise, n_lines, coverage_80, pinball (days).
    by_law
        Per law of the tree: check_n (scored lines), check_coverage_80, check_pinball (days); empty without lines.
    """

    choice: Choice
    chosen: bool
    scores: pd.DataFrame
    by_law: pd.DataFrame


@dataclass(frozen=True, eq=False)
class _Window:
    """Receipts to be foretold from an origin: their lines, days, weights, and the age (-1: none) that was known."""

    origin: int
    line: IntArray
    days: IntArray
    weight: FloatArray
    age: IntArray


def check_lead_times(tree: Tree, times: LineTimes, settings: Settings, *, median: float) -> LeadCheck:
    """Foretell past orders with several fits, choose the best, and say how it did.

    Parameters
    ----------
    tree, times
        Laws and lines.
    settings
        `lead_time_pool_k` and `lead_time_half_life_days` fix what they name; 0 lets the check choose.
    median
        Typical stated or default lead time, the centre of the prior; days.
    """
    fixed_k, fixed_half = settings.lead_time_pool_k, settings.lead_time_half_life_days
    choice = Choice(fixed_k or DEFAULT_POOL_K, fixed_half or DEFAULT_HALF_LIFE)
    tree, times = _sample(tree, times)
    windows = _windows(times)
    runs: dict[Choice, tuple[FloatArray, FloatArray]] = {}

    def loss(candidate: Choice) -> tuple[float, float]:
        if candidate not in runs:
            runs[candidate] = _foretold(tree, times, windows, candidate, settings, median)
        covered, lost = runs[candidate]
        weight = np.concatenate([w.weight for w in windows])
        return float(np.average(lost, weights=weight)), float(np.average(covered, weights=weight))

    scored = sum(len(np.unique(w.line)) for w in windows)
    chosen = scored >= FEWEST_LINES
    if chosen:
        for level in OPTIONAL_LEVELS:
            without = replace(choice, kept=tuple(x for x in choice.kept if x != level))
            if _has(tree, level) and loss(without)[0] < loss(choice)[0]:
                choice = without
        halves = (fixed_half,) if fixed_half else HALF_LIVES
        candidates = [
            replace(choice, k=k, half_life_days=h) for k, h in product((fixed_k,) if fixed_k else POOL_K, halves)
        ]
        least = min(loss(c)[0] for c in candidates)
        near = [c for c in candidates if loss(c)[0] <= NEARLY * least]
        choice = min(near, key=lambda c: (abs(loss(c)[1] - 0.8), loss(c)[0]))
        told = float(np.mean(times.promised_days >= 0)) if times.n_lines else 0.0
        late = replace(choice, from_promise=True)
        if told >= LATENESS_SHARE and loss(late)[0] <= LATENESS_GAIN * loss(choice)[0]:
            choice = late
    elif scored:
        loss(choice)
    rows = [(c.k, c.half_life_days, ", ".join(c.kept), c.from_promise, scored, loss(c)[1], loss(c)[0]) for c in runs]
    names = ["k", "half_life_days", "kept", "from_promise", "n_lines", "coverage_80", "pinball"]
    by_law = _by_law(tree, windows, *runs[choice]) if scored else _by_law(tree, [], np.zeros(0), np.zeros(0))
    return LeadCheck(choice, chosen, pd.DataFrame(rows, columns=names), by_law)


def _windows(times: LineTimes) -> list[_Window]:
    """Origins at equal numbers of orders, and the receipts of the orders that entered the records between them."""
    if not len(times.received):
        return []
    entered = np.sort(times.entered)
    places = (len(entered) * np.linspace(FIRST_SHARE, 1.0, ORIGINS + 1)).astype(np.int64)
    # The end of the day before a quantile, so that no window knows orders of its own first day.
    origins = np.unique(entered[places[:-1].clip(max=len(entered) - 1)] - 1)
    ends = np.append(origins[1:], times.as_of)
    age = times.entry_ages(times.receipt_line)
    seen = times.elapsed(times.receipt_line, times.received) > age
    found = []
    for origin, end in zip(origins, ends, strict=True):
        inside = (times.entered > origin) & (times.entered <= end)
        rows = np.flatnonzero(inside[times.receipt_line] & seen)
        if not len(rows) or not (times.entered <= origin).any():
            continue
        line = times.receipt_line[rows]
        days = times.received[rows] - times.ordered[line]
        watched = np.sort(times.as_of - times.entered[inside])
        long_enough = len(watched) - np.searchsorted(watched, times.received[rows] - times.entered[line], side="left")
        weight = times.receipt_share[rows] * np.minimum(len(watched) / np.maximum(long_enough, 1), MOST_WEIGHT)
        found.append(_Window(int(origin), line, days, weight, age[rows]))
    return found


def _foretold(
    tree: Tree, times: LineTimes, windows: list[_Window], choice: Choice, settings: Settings, median: float
) -> tuple[FloatArray, FloatArray]:
    """Whether each receipt lay in the 80 % interval, and the mean pinball loss of the three quantiles, days."""
    covered, lost = [], []
    for window in windows:
        rows = most_specific(tree, window.line)
        found = fit_choice(tree, times, choice, settings, median=median, origin=window.origin)
        if choice.from_promise:
            cdf, tail, early = found
            promised = times.promised_days[window.line]
            since = times.entered[window.line] - times.ordered[window.line]
            wait = np.maximum(early - promised + np.where(since > 0, since, -1), -1)
            late = residual_quantiles(cdf, tail, rows, wait, np.array(LEVELS)) + wait[:, None]
            values = np.maximum(late - early + promised[:, None], 0.0)
            plain = promised < 0
            if plain.any():
                durations = fit_choice(
                    tree, times, replace(choice, from_promise=False), settings, median=median, origin=window.origin
                )
                said = _foretold_days(durations[0], durations[1], rows[plain], window.age[plain])
                values[plain] = times.calendar_days(window.line[plain], said)
        else:
            said = _foretold_days(found[0], found[1], rows, window.age)
            values = times.calendar_days(window.line, said)
        values = np.minimum(values, float(len(found[1])))
        days = window.days[:, None].astype(np.float64)
        covered.append((days[:, 0] >= values[:, 0]) & (days[:, 0] <= values[:, -1]))
        level = np.array(LEVELS)
        lost.append(np.maximum(level * (days - values), (level - 1.0) * (days - values)).mean(axis=1))
    return np.concatenate(covered).astype(np.float64), np.concatenate(lost)


def fit_choice(
    tree: Tree, times: LineTimes, choice: Choice, settings: Settings, *, median: float, origin: int | None = None
) -> tuple[FloatArray, FloatArray, int]:
    """Laws, their tail, and the days before the promise from which they count (0: from the order).

    Parameters
    ----------
    tree, times, choice, settings
        Laws, lines, how to fit them.
    median
        Centre of the prior of the root; days.
    origin
        Day at the end of which the lines are looked at; default the last known day.
    """
    if not choice.from_promise:
        cases = cases_of(times, choice.half_life_days, origin=origin)
        tail = tail_survival(cases, settings, median=median)
        width = settings.max_lead_time_days + 1
        return *fit_tree(tree, cases, tail, settings, k=choice.k, kept=choice.kept, width=width)[:1], tail, 0
    early = most_early(times, settings.max_lead_time_days)
    cases = cases_of(times, choice.half_life_days, origin=origin, early=early)
    known = times.promised_days[times.promised_days >= 0]
    usual = float(np.median(known)) if len(known) else median
    # What is late by as much as it was to take is as rare as a stated lead time that doubles.
    tail = tail_survival(cases, settings, median=usual, shift=early - round(usual))
    plain = replace(tree, stated=np.full(len(tree.laws), np.nan))
    width = settings.max_lead_time_days + 1
    return *fit_tree(plain, cases, tail, settings, k=choice.k, kept=choice.kept, width=width)[:1], tail, early


def _foretold_days(cdf: FloatArray, tail: FloatArray, rows: IntArray, age: IntArray) -> FloatArray:
    """Days from the order, given that nothing had come up to an age (-1: nothing is known)."""
    return np.asarray(residual_quantiles(cdf, tail, rows, age, np.array(LEVELS)) + age[:, None])


def most_specific(tree: Tree, lines: IntArray) -> IntArray:
    """Row of the most specific law of each line."""
    rows = np.zeros(len(lines), dtype=np.int64)
    for group in tree.groups[1:]:
        rows = np.where(group[lines] >= 0, group[lines], rows)
    return rows


def _has(tree: Tree, level: str) -> bool:
    return bool((tree.laws["level"] == level).any())


def _sample(tree: Tree, times: LineTimes) -> tuple[Tree, LineTimes]:
    """At most about `MOST_LINES` lines: all of some items, picked by the hash of their keys."""
    every = -(-times.n_lines // MOST_LINES)
    if every <= 1:
        return tree, times
    rows = most_specific(tree, np.arange(times.n_lines))
    keys = zip(*(tree.laws[c] for c in ("supplier", "sku", "location", "category")), strict=True)
    picked = np.array([stable_hash("\x1f".join(key)) % every == 0 for key in keys])
    keep = picked[rows]
    if keep.mean() > 2.0 / every or keep.mean() < 0.5 / every:
        # A few groups hold most lines: take days of order instead, spread over the whole history.
        keep = np.unique(times.ordered, return_inverse=True)[1] % every == 0
    place = np.cumsum(keep) - 1
    mine = keep[times.receipt_line]
    few = replace(
        times, ordered=times.ordered[keep], promised_days=times.promised_days[keep], entered=times.entered[keep],
        open_share=times.open_share[keep], cancelled_share=times.cancelled_share[keep], cancelled=times.cancelled[keep],
        receipt_line=place[times.receipt_line[mine]], received=times.received[mine],
        receipt_share=times.receipt_share[mine], supplier=times.supplier[keep].reset_index(drop=True),
    )  # fmt: skip
    return _part(tree, keep), few


def _part(tree: Tree, keep: NDArray[np.bool_]) -> Tree:
    """The tree of some lines, with only the laws that they, or those above them, belong to; rows keep their names."""
    groups = [group[keep] for group in tree.groups]
    wanted = np.zeros(len(tree.laws), dtype=bool)
    wanted[0] = True
    for group in groups:
        wanted[group[group >= 0]] = True
    for row in np.flatnonzero(wanted)[::-1]:
        wanted[max(tree.parents[row], 0)] = wanted[tree.supplier_row[row]] = True
    place = np.cumsum(wanted) - 1
    parents = tree.parents[wanted]
    return Tree(
        tree.laws[wanted], np.where(parents >= 0, place[parents], -1), place[tree.supplier_row[wanted]],
        tuple(np.where(group >= 0, place[group], -1) for group in groups), tree.stated[wanted], tree.supplier[keep],
    )  # fmt: skip


def _by_law(tree: Tree, windows: list[_Window], covered: FloatArray, lost: FloatArray) -> pd.DataFrame:
    """Scores per law, by the row of the whole tree."""
    n = len(tree.laws)
    line = np.concatenate([w.line for w in windows]) if windows else np.zeros(0, dtype=np.int64)
    weight = np.concatenate([w.weight for w in windows]) if windows else np.zeros(0)
    sums = np.zeros((4, n))
    for group in tree.groups:
        law = group[line]
        use = law >= 0
        for i, values in enumerate((np.ones(len(line)), weight, weight * covered, weight * lost)):
            sums[i] += np.bincount(law[use], values[use], n)
    with np.errstate(invalid="ignore"):
        frame = pd.DataFrame(
            {
                "check_n": sums[0].astype(np.int64),
                "check_coverage_80": sums[2] / sums[1],
                "check_pinball": sums[3] / sums[1],
            },
            index=tree.laws.index,
        )
    return frame
