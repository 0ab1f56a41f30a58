"""The tree of lead-time laws: all orders -> supplier -> item of a supplier, and where stated lead times come in.

A line's receipts, its open rest and its cancelled rest are cases: whole days, what happened, and a weight (share of
the line x recency). A group that has all the lines of its parent is its parent: the same lines do not count twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.lead_laws import (
    MAX_TAIL_SHAPE,
    TAIL_GRIDS,
    FloatArray,
    IntArray,
    effective_weights,
    loglogistic_survival,
    never_arrives,
    pooled_laws,
    shape_of_sd_log,
)
from backorder_forecast.order_lines import OrderLines, text_of
from backorder_forecast.settings import Settings
from backorder_forecast.survival import loglogistic_censored_fit, shrink_cdf

KEYS = ("supplier", "sku", "location")
OPEN, ARRIVED, CANCELLED = 0, 1, 2

_GAP = "\x1f"


@dataclass(frozen=True, eq=False)
class Cases:
    """What the lines tell about durations; entries are aligned, `line` is a row of the lines."""

    line: IntArray
    days: IntArray
    cause: IntArray
    weight: FloatArray


@dataclass(frozen=True, eq=False)
class Tree:
    """Which laws there are.

    `laws` has one row per law: level, supplier, sku, location, n_lines, basis; `parents` is the row of each law's
    parent (-1 for the root), `groups` gives each line its law per level (-1 for none), `stated` the stated days of
    each law (NaN for none).
    """

    laws: pd.DataFrame
    parents: IntArray
    groups: tuple[IntArray, IntArray, IntArray]
    stated: FloatArray


def cases_of(orders: OrderLines, half_life_days: float) -> Cases:
    """Arrivals, open rests and cancelled rests of all lines as weighted durations."""
    lines, receipts = orders.lines, orders.receipts
    age = (orders.as_of - lines["order_date"]).dt.days.to_numpy(dtype=np.int64)
    is_open = np.flatnonzero(lines["open_share"] > 0)
    ended = np.flatnonzero(lines["cancelled_share"] > 0)
    until = (lines["cancelled_date"] - lines["order_date"]).dt.days.to_numpy(dtype=np.float64, na_value=np.nan)
    line = np.concatenate([receipts["line"].to_numpy(dtype=np.int64), is_open, ended])
    days = np.concatenate([receipts["days"].to_numpy(dtype=np.int64), age[is_open], until[ended].astype(np.int64)])
    parts = ((ARRIVED, len(receipts)), (OPEN, len(is_open)), (CANCELLED, len(ended)))
    cause = np.concatenate([np.full(n, code, dtype=np.int64) for code, n in parts])
    shares = [receipts["share"], lines["open_share"].iloc[is_open], lines["cancelled_share"].iloc[ended]]
    share = np.concatenate([s.to_numpy(dtype=np.float64) for s in shares])
    return Cases(line, days, cause, share * 0.5 ** (age[line] / half_life_days))


def stated_days(stated: pd.DataFrame | None) -> pd.DataFrame:
    """Stated lead times, one row per key (the longest counts): supplier, sku, location, days."""
    if stated is None:
        return pd.DataFrame({**{c: pd.Series(dtype="str") for c in KEYS}, "days": pd.Series(dtype=np.float64)})
    if "sku" not in stated or "lead_time_days" not in stated:
        raise InvalidSettings(
            f"stated has the columns sku and lead_time_days, got {', '.join(map(str, stated.columns))}"
        )
    frame = pd.DataFrame({c: text_of(stated, c) for c in KEYS})
    frame["days"] = pd.to_numeric(stated["lead_time_days"], errors="coerce").to_numpy(dtype=np.float64)
    frame = frame[np.isfinite(frame["days"]) & (frame["days"] >= 0) & (frame["sku"] != "")]
    longest: pd.DataFrame = frame.groupby(list(KEYS), sort=True, as_index=False)["days"].max()
    return longest


def law_tree(orders: OrderLines, cases: Cases, stated: pd.DataFrame) -> Tree:
    """The laws that the lines and the stated lead times call for."""
    lines = orders.lines
    used = np.bincount(cases.line, minlength=len(lines)) > 0
    supplier, named = _grouped(lines["supplier"], used & (lines["supplier"] != "").to_numpy())
    item, items = _grouped(_joined(lines), used & (lines["sku"] != "").to_numpy())
    keys = pd.Index(items).union(pd.Index(_joined(stated))).unique().sort_values()
    parts = [key.split(_GAP) for key in keys]
    blank = [""] * (1 + len(named))
    laws = pd.DataFrame(
        {
            "level": ["all"] + ["supplier"] * len(named) + ["item"] * len(keys),
            "supplier": ["", *named, *(p[0] for p in parts)],
            "sku": blank + [p[1] for p in parts],
            "location": blank + [p[2] for p in parts],
        },
        dtype="str",
    )
    first = 1 + len(named)
    at = keys.get_indexer(pd.Index(items))
    groups = (
        np.where(used, 0, -1),
        np.where(supplier >= 0, supplier + 1, -1),
        np.where(item >= 0, at[item] + first if len(at) else -1, -1),
    )
    counts = sum(np.bincount(g[g >= 0], minlength=len(laws)) for g in groups)
    laws["n_lines"] = np.asarray(counts, dtype=np.int64)
    parents = np.zeros(len(laws), dtype=np.int64)
    parents[0] = -1
    found = pd.Index(named).get_indexer(pd.Index(laws["supplier"].iloc[first:]))
    parents[first:] = np.where(found >= 0, found + 1, 0)
    days = np.full(len(laws), np.nan)
    if len(stated):
        row = match_keys(key_index(stated), laws.iloc[first:])
        days[first:] = np.where(row >= 0, stated["days"].to_numpy()[row], np.nan)
    laws["basis"] = _basis(laws["n_lines"].to_numpy(), days, any_stated=bool(len(stated)))
    return Tree(laws, parents, groups, days)


def key_index(known: pd.DataFrame) -> pd.Index:
    """Index over the keys of a frame with supplier, sku, location, for `match_keys`."""
    index: pd.Index = pd.Index(_joined(known))
    return index


def match_keys(known: pd.Index, wanted: pd.DataFrame) -> IntArray:
    """Position in `known` of each row of `wanted` (supplier, sku, location), -1 for none.

    What is known without a location speaks for every location, without a supplier for every supplier; the supplier
    counts more than the location.

    Examples
    --------
    >>> known = key_index(pd.DataFrame({"supplier": ["", "ACME"], "sku": ["A", "A"], "location": ["", ""]}))
    >>> wanted = pd.DataFrame({"supplier": ["ACME", "new", "ACME"], "sku": ["A", "A", "B"], "location": ["north"] * 3})
    >>> match_keys(known, wanted).tolist()
    [1, 0, -1]
    """
    rows = np.full(len(wanted), -1, dtype=np.int64)
    blanks: tuple[dict[str, str], ...] = ({}, {"location": ""}, {"supplier": ""}, {"supplier": "", "location": ""})
    for blank in blanks:
        missing = np.flatnonzero(rows < 0)
        if len(missing):
            rows[missing] = known.get_indexer(key_index(wanted.iloc[missing].assign(**blank)))
    return rows


def tail_survival(cases: Cases, stated: pd.DataFrame, settings: Settings) -> FloatArray:
    """Survival of the tail law on days 0 ... 8 T: log-logistic, fitted to all cases.

    The prior, worth one arrival, is centred at the typical stated lead time, else at the default one.
    """
    grid = settings.max_lead_time_days
    median = max(float(stated["days"].median()) if len(stated) else float(settings.default_lead_time_days), 0.5)
    shape = min(shape_of_sd_log(settings.stated_lead_time_sd_log), MAX_TAIL_SHAPE)
    arrived = (cases.cause == ARRIVED) & (cases.days <= grid)
    code = 2 * np.minimum(cases.days, grid) + arrived
    mass = np.bincount(code, cases.weight)
    at = np.flatnonzero(mass > 0)
    median, shape = loglogistic_censored_fit(
        at // 2, at % 2 == 1, mass[at], prior_median=median, prior_shape=shape, max_shape=MAX_TAIL_SHAPE
    )
    survival: FloatArray = loglogistic_survival(median, shape, TAIL_GRIDS * grid)[0]
    return survival


def fit_tree(tree: Tree, cases: Cases, tail: FloatArray, settings: Settings) -> tuple[FloatArray, FloatArray]:
    """All laws, shape (n_laws, T + 1), and the effective number of lines behind each, shape (n_laws,).

    A law with a stated lead time is pooled with a blend of both: the stated law counts for k observations, the parent
    for its own number up to k / 2.
    """
    k, width, n = settings.lead_time_pool_k, settings.max_lead_time_days + 1, len(tree.laws)
    n, width = len(tree.laws), settings.max_lead_time_days + 1
    cdf, effective = np.empty((n, width)), np.zeros(n)
    days = _corrected(tree, cases, k)
    first = 0
    for group, size in zip(tree.groups, _sizes(tree), strict=True):
        rows = np.arange(first, first + size)
        parent, is_parent = _parents(tree, rows)
        prior = 1.0 - np.tile(tail[:width], (size, 1)) if first == 0 else cdf[parent]
        _blend_stated(prior, days[rows], np.minimum(effective[parent], k) / 2.0, settings)
        law = group[cases.line] - first
        use = law >= 0
        law, weight = law[use], cases.weight[use]
        per_line = np.bincount(cases.line, cases.weight, len(group)).astype(np.float64)
        member = group >= 0
        effective[rows], factor = effective_weights(group[member] - first, per_line[member], size)
        arrived = cases.cause[use] == ARRIVED
        fitted = pooled_laws(law, cases.days[use], arrived, weight * factor[law], prior, k)
        fitted[is_parent] = prior[is_parent]
        cdf[rows] = fitted
        first += size
    return cdf, effective


def never_share(tree: Tree, cases: Cases, k: float) -> FloatArray:
    """P(a line is cancelled before it arrives) per law of a supplier, pooled with all lines; NaN for items."""
    n = len(tree.laws)
    result = np.full(n, np.nan)
    for group in tree.groups[:2]:
        law = group[cases.line]
        use = law >= 0
        own = never_arrives(law[use], cases.days[use], cases.cause[use], cases.weight[use], n)
        result = np.where(np.isnan(own), result, own)
    lines = tree.laws["n_lines"].to_numpy()
    pooled = shrink_cdf(lines, result, result[0], k)
    pooled[0] = result[0]
    return pooled


def _parents(tree: Tree, rows: IntArray) -> tuple[IntArray, NDArray[np.bool_]]:
    """The parent each law learns from, and which laws are no more than their parent."""
    parent = np.maximum(tree.parents[rows], 0)
    count = tree.laws["n_lines"].to_numpy()
    same = (rows > 0) & (count[rows] > 0) & (count[rows] == count[parent])
    stated = ~np.isnan(tree.stated[rows])
    # With a stated lead time the law is more than its parent, but must not count the parent's lines once more.
    return np.where(same & stated, 0, parent), same & ~stated


def _blend_stated(prior: FloatArray, days: FloatArray, parent_n: FloatArray, settings: Settings) -> None:
    at = np.flatnonzero(~np.isnan(days))
    if not len(at):
        return
    shape = shape_of_sd_log(settings.stated_lead_time_sd_log)
    law = 1.0 - loglogistic_survival(np.maximum(days[at], 0.5), shape, prior.shape[1] - 1)
    weight = parent_n[at, None]
    prior[at] = shrink_cdf(weight, prior[at], law, settings.lead_time_pool_k)


def _corrected(tree: Tree, cases: Cases, k: float) -> FloatArray:
    """Stated days times the ratio by which the supplier's real times differ from stated ones (shrunk to 1)."""
    law = tree.groups[2][cases.line]
    use = (law >= 0) & (cases.cause == ARRIVED)
    use[use] = ~np.isnan(tree.stated[law[use]])
    if not use.any():
        return tree.stated
    law, weight = law[use], cases.weight[use]
    ratio = weight * (np.log(cases.days[use] + 0.5) - np.log(tree.stated[law] + 0.5))
    overall = ratio.sum() / (weight.sum() + k)
    n = len(tree.laws)
    parent = tree.parents[law]
    log_ratio = (np.bincount(parent, ratio, n) + k * overall) / (np.bincount(parent, weight, n) + k)
    return np.asarray(tree.stated * np.exp(log_ratio[np.maximum(tree.parents, 0)]))


def _sizes(tree: Tree) -> tuple[int, int, int]:
    level = tree.laws["level"]
    return 1, int((level == "supplier").sum()), int((level == "item").sum())


def _grouped(values: pd.Series, use: NDArray[np.bool_]) -> tuple[IntArray, NDArray[np.object_]]:
    codes = np.full(len(values), -1, dtype=np.int64)
    codes[use], names = pd.factorize(values[use], sort=True)
    return codes, np.asarray(names, dtype=object)


def _joined(frame: pd.DataFrame) -> pd.Series:
    return frame["supplier"] + _GAP + frame["sku"] + _GAP + frame["location"]


def _basis(n_lines: IntArray, stated: FloatArray, *, any_stated: bool) -> NDArray[np.object_]:
    basis = np.where(np.isnan(stated), "history", "history and stated lead time").astype(object)
    basis[n_lines == 0] = "stated lead time"
    if n_lines[0] == 0 and not any_stated:
        basis[0] = "default lead time"
    return basis
