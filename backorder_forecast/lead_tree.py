"""The tree of lead-time laws: all orders -> category -> supplier -> supplier and location -> item of a supplier.

A supplier belongs to a category that holds nearly all of its lines. A group that has all the lines of its parent is its
parent: the same lines do not count twice. Laws above the supplier speak for suppliers not seen yet, so there each
supplier counts for at most `SUPPLIER_LINES` lines: a large one does not drown how much suppliers differ. Stated lead
times come in at the items.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.lead_cases import ARRIVED, Cases
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
LEVELS = ("all", "category", "supplier", "location", "item")
OPTIONAL_LEVELS = ("category", "location", "item")
"""Levels of which a law is kept only where it foretells past orders better than its parent."""
SUPPLIER_LINES = 10.0
"""Lines for which a supplier counts at most where all suppliers are pooled. Judgement."""
OF_CATEGORY = 0.9
"""Share of a supplier's lines from which it belongs to a category. Judgement."""
ENTERED_EARLY = 0.5
"""Share of the stated lead time up to which an order that was recorded late counts for the ratio of real to stated
times: by then hardly any has arrived. Judgement."""

_GAP = "\x1f"


@dataclass(frozen=True, eq=False)
class Tree:
    """Which laws there are.

    `laws` has one row per law: level, supplier, sku, location, category, n_lines, basis, in the order of `LEVELS`;
    `parents` is the row of each law's parent (-1 for the root), `supplier_row` that of its supplier (0 for none),
    `groups` gives each line its law per level (-1 for none), `stated` the stated days of each law (NaN for none),
    `supplier` the supplier code of each line.
    """

    laws: pd.DataFrame
    parents: IntArray
    supplier_row: IntArray
    groups: tuple[IntArray, ...]
    stated: FloatArray
    supplier: IntArray


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


def law_tree(orders: OrderLines, used: NDArray[np.bool_], stated: pd.DataFrame) -> Tree:
    """The laws that the lines and the stated lead times call for; `used` says which lines tell a duration."""
    lines = orders.lines
    named = used & (lines["supplier"] != "").to_numpy()
    category, categories = _grouped(lines["category"], used & (lines["category"] != "").to_numpy())
    supplier, suppliers = _grouped(lines["supplier"], named)
    placed = lines.assign(sku="")
    place, places = _grouped(_joined(placed), named & (lines["location"] != "").to_numpy())
    item, items = _grouped(_joined(lines), used & (lines["sku"] != "").to_numpy())
    keys = pd.Index(items).union(pd.Index(_joined(stated))).unique().sort_values()
    laws = pd.concat(
        [
            _law_rows("all", [("", "", "", "")]),
            _law_rows("category", [("", "", "", c) for c in categories]),
            _law_rows("supplier", [(s, "", "", "") for s in suppliers]),
            _law_rows("location", [(*key.split(_GAP), "") for key in places]),
            _law_rows("item", [(*key.split(_GAP), "") for key in keys]),
        ],
        ignore_index=True,
    )
    sizes = [1, len(categories), len(suppliers), len(places), len(keys)]
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    at = keys.get_indexer(pd.Index(items))
    item = np.where(item >= 0, at[item] if len(at) else -1, -1)
    codes = (np.where(used, 0, -1), category, supplier, place, item)
    groups = tuple(np.where(code >= 0, code + start, -1) for code, start in zip(codes, first, strict=False))
    counts = sum(np.bincount(g[g >= 0], minlength=len(laws)) for g in groups)
    laws["n_lines"] = np.asarray(counts, dtype=np.int64)
    parents = np.zeros(len(laws), dtype=np.int64)
    parents[0] = -1
    own = _own_category(supplier, category, len(suppliers), len(categories))
    parents[first[2] : first[3]] = np.where(own >= 0, own + first[1], 0)
    below = slice(int(first[3]), None)
    supplier_row = np.zeros(len(laws), dtype=np.int64)
    supplier_row[first[2] : first[3]] = np.arange(first[2], first[3])
    supplier_row[below] = _found(pd.Index(suppliers), laws["supplier"].iloc[below], first[2], 0)
    parents[below] = supplier_row[below]
    of_item = laws.iloc[first[4] :]
    site = _found(pd.Index(places), _joined(of_item.assign(sku="")), first[3], -1)
    parents[first[4] :] = np.where(site >= 0, site, parents[first[4] :])
    days = np.full(len(laws), np.nan)
    if len(stated):
        row = match_keys(key_index(stated), of_item)
        days[first[4] :] = np.where(row >= 0, stated["days"].to_numpy()[row], np.nan)
    laws["basis"] = _basis(laws["n_lines"].to_numpy(), days, any_stated=bool(len(stated)))
    return Tree(laws, parents, supplier_row, groups, days, supplier)


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


def tail_survival(cases: Cases, settings: Settings, *, median: float, shift: int = 0) -> FloatArray:
    """Survival of the tail law on days 0 ... 8 T: log-logistic, fitted to all cases.

    Parameters
    ----------
    cases, settings
        Durations; T is `max_lead_time_days`, the shape of the prior that of stated lead times.
    median
        Median of the prior, which is worth one arrival; days.
    shift
        Days of the cases before the log-logistic law begins (lateness is counted from before the promise).
    """
    grid = settings.max_lead_time_days
    shape = min(shape_of_sd_log(settings.stated_lead_time_sd_log), MAX_TAIL_SHAPE)
    days = np.maximum(cases.days - shift, 0)
    arrived = (cases.cause == ARRIVED) & (days <= grid)
    # What was entered beyond the grid is entered and left at its end, and so tells nothing.
    entry = np.clip(cases.entry - shift, 0, grid)
    code = 2 * ((grid + 1) * entry + np.minimum(days, grid)) + arrived
    found, place = np.unique(code, return_inverse=True)
    mass = np.bincount(place, cases.weight, len(found))
    since, at = np.divmod(found // 2, grid + 1)
    median, shape = loglogistic_censored_fit(
        at, found % 2 == 1, mass, prior_median=max(median, 0.5), prior_shape=shape, max_shape=MAX_TAIL_SHAPE,
        entry=since,
    )  # fmt: skip
    survival: FloatArray = loglogistic_survival(median, shape, TAIL_GRIDS * grid)[0]
    if shift >= 0:
        return np.concatenate([np.ones(shift), survival[: len(survival) - shift]])
    return np.concatenate([survival[-shift:], np.full(-shift, survival[-1])])


def fit_tree(
    tree: Tree, cases: Cases, tail: FloatArray, settings: Settings, *, k: float, kept: Collection[str], width: int
) -> tuple[FloatArray, FloatArray]:
    """All laws, shape (n_laws, width), and the effective number of lines behind each, shape (n_laws,).

    Parameters
    ----------
    tree, cases, tail
        Which laws, what the lines tell, and the prior of the root (its survival).
    settings
        Spread of stated lead times.
    k
        How many observations a parent counts for.
    kept
        Optional levels with laws of their own; laws of the others are those of their parents, unless a lead time is
        stated for them.
    width
        Days of the grid, from 0.

    Notes
    -----
    A law with a stated lead time is pooled with a blend of both: the stated law counts for k observations, the parent
    for its own number up to k / 2.
    """
    n = len(tree.laws)
    cdf, effective = np.empty((n, width)), np.zeros(n)
    days = _corrected(tree, cases, k)
    level = tree.laws["level"].to_numpy()
    count = _counts(tree, cases)
    share = _supplier_shares(tree, cases)
    for name, group in zip(LEVELS, tree.groups, strict=True):
        rows = np.flatnonzero(level == name)
        if not len(rows):
            continue
        first, size = int(rows[0]), len(rows)
        parent, is_parent = _parents(tree, rows, count)
        if name in OPTIONAL_LEVELS and name not in kept:
            is_parent |= np.isnan(tree.stated[rows])
        prior = 1.0 - np.tile(tail[:width], (size, 1)) if name == "all" else cdf[parent]
        _blend_stated(prior, days[rows], np.minimum(effective[parent], k) / 2.0, settings, k)
        law = group[cases.line] - first
        use = law >= 0
        above = name in ("all", "category")
        law, weight = law[use], cases.weight[use] * (share[cases.line[use]] if above else 1.0)
        per_line = np.bincount(cases.line[use], weight, len(group)).astype(np.float64)
        member = (group >= 0) & (per_line > 0)
        effective[rows], factor = effective_weights(group[member] - first, per_line[member], size)
        arrived = cases.cause[use] == ARRIVED
        fitted = pooled_laws(law, cases.days[use], arrived, weight * factor[law], prior, k, entry=cases.entry[use])
        fitted[is_parent] = prior[is_parent]
        cdf[rows] = fitted
    return cdf, effective


def never_share(tree: Tree, cases: Cases, k: float) -> FloatArray:
    """P(a line is cancelled before it arrives) per law of a supplier, pooled with all lines; NaN for items."""
    n = len(tree.laws)
    result = np.full(n, np.nan)
    for name, group in zip(LEVELS, tree.groups, strict=True):
        if name not in ("all", "supplier"):
            continue
        law = group[cases.line]
        use = law >= 0
        seen = law[use], cases.days[use], cases.cause[use], cases.weight[use]
        own = never_arrives(*seen, n, entry=cases.entry[use])
        result = np.where(np.isnan(own), result, own)
    lines = tree.laws["n_lines"].to_numpy()
    pooled = shrink_cdf(lines, result, result[0], k)
    pooled[0] = result[0]
    return pooled


def _counts(tree: Tree, cases: Cases) -> IntArray:
    """Lines of each law that tell a duration."""
    known = np.bincount(cases.line, minlength=len(tree.supplier)) > 0
    n = len(tree.laws)
    return np.asarray(sum(np.bincount(g[known & (g >= 0)], minlength=n) for g in tree.groups), dtype=np.int64)


def _supplier_shares(tree: Tree, cases: Cases) -> FloatArray:
    """Factor on each line where all suppliers are pooled: n lines of one count as n K / (n + K)."""
    weight = np.bincount(cases.line, cases.weight, len(tree.supplier)).astype(np.float64)
    code = tree.supplier + 1
    total = np.bincount(code, weight, int(code.max(initial=0)) + 1)
    return np.asarray(SUPPLIER_LINES / (total[code] + SUPPLIER_LINES))


def _parents(tree: Tree, rows: IntArray, count: IntArray) -> tuple[IntArray, NDArray[np.bool_]]:
    """The parent each law learns from, and which laws are no more than their parent."""
    parent = np.maximum(tree.parents[rows], 0)
    same = (rows > 0) & (count[rows] > 0) & (count[rows] == count[parent])
    stated = ~np.isnan(tree.stated[rows])
    # With a stated lead time the law is more than its parent, but must not count the parent's lines once more.
    for _ in LEVELS:
        again = stated & (parent > 0) & (count[rows] > 0) & (count[rows] == count[parent])
        parent = np.where(again, np.maximum(tree.parents[parent], 0), parent)
    return parent, same & ~stated


def _blend_stated(prior: FloatArray, days: FloatArray, parent_n: FloatArray, settings: Settings, k: float) -> None:
    at = np.flatnonzero(~np.isnan(days))
    if not len(at):
        return
    shape = shape_of_sd_log(settings.stated_lead_time_sd_log)
    # Few lead times are stated, of many items.
    known, row = np.unique(np.maximum(days[at], 0.5), return_inverse=True)
    _blend(prior, at, 1.0 - loglogistic_survival(known, shape, prior.shape[1] - 1), row, parent_n[at], float(k))


@nb.njit(cache=True, nogil=True)
def _blend(prior, at, laws, row, weight, k):  # type: ignore[no-untyped-def]
    """`survival.shrink_cdf` of the rows `at` of `prior` towards their laws, in place."""
    for j in range(len(at)):
        for t in range(prior.shape[1]):
            prior[at[j], t] = (weight[j] * prior[at[j], t] + k * laws[row[j], t]) / (weight[j] + k)


def _corrected(tree: Tree, cases: Cases, k: float) -> FloatArray:
    """Stated days times the ratio by which the supplier's real times differ from stated ones (shrunk to 1)."""
    law = tree.groups[-1][cases.line]
    use = (law >= 0) & (cases.cause == ARRIVED)
    use[use] = ~np.isnan(tree.stated[law[use]])
    # Of orders that had waited for long when they were recorded only the slow are known.
    use[use] = cases.entry[use] <= ENTERED_EARLY * tree.stated[law[use]]
    if not use.any():
        return tree.stated
    law, weight = law[use], cases.weight[use]
    ratio = weight * (np.log(cases.days[use] + 0.5) - np.log(tree.stated[law] + 0.5))
    overall = ratio.sum() / (weight.sum() + k)
    n = len(tree.laws)
    parent = tree.supplier_row[law]
    log_ratio = (np.bincount(parent, ratio, n) + k * overall) / (np.bincount(parent, weight, n) + k)
    return np.asarray(tree.stated * np.exp(log_ratio[tree.supplier_row]))


def _own_category(supplier: IntArray, category: IntArray, n_suppliers: int, n_categories: int) -> IntArray:
    """Category that holds nearly all lines of each supplier, -1 for none."""
    own = np.full(n_suppliers, -1, dtype=np.int64)
    if not n_categories:
        return own
    known = supplier >= 0
    total = np.bincount(supplier[known], minlength=n_suppliers)
    both = known & (category >= 0)
    pair, count = np.unique(supplier[both] * n_categories + category[both], return_counts=True)
    main = count >= OF_CATEGORY * total[pair // n_categories]
    own[pair[main] // n_categories] = pair[main] % n_categories
    return own


def _found(known: pd.Index, wanted: pd.Series, first: np.int64, missing: int) -> IntArray:
    at = known.get_indexer(pd.Index(wanted))
    return np.where(at >= 0, at + first, missing).astype(np.int64)


def _law_rows(level: str, keys: list[tuple[str, ...]]) -> pd.DataFrame:
    columns = list(zip(*keys, strict=True)) or [()] * 4
    names = (*KEYS, "category")
    frame = pd.DataFrame({name: list(values) for name, values in zip(names, columns, strict=True)}, dtype="str")
    frame.insert(0, "level", pd.Series([level] * len(frame), dtype="str"))
    return frame


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
