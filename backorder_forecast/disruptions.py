"""Supplier disruptions: one latent state per path and supplier that all of its open orders share.

Beforehand a supplier is disrupted with probability `PRIOR`. In that state its orders lie in the slow tail of their law
(like the slowest of 1 / PRIOR deliveries), otherwise in the rest, so that each order keeps exactly the law that was
estimated and only the dependence between orders is new. Evidence moves the state: receipts of *other* orders that were
due in the last weeks and did not come, and closures named in `events`; never the order's own age, which its residual
law holds already. With L(s) receipts of other orders expected in the last s days and n(s) seen, the likelihood ratio of
deliveries slowed to a share r for s days is exp((1 - r) L(s)) r^n(s) (a Poisson process). A stop is r = `TRICKLE`; a
slow spell, r = `SLOW`, is held against it, so that a supplier of which less comes than was due is not taken to have
stopped. The lines of one purchase order count as one where they use to come together.

On paths that are disrupted beyond the prior the supplier stands still. How long is told by how long it has stood:
P(R > r | e days so far) = e / (e + r) (Gott 1993, Nature 363:315-319), at least `SHORTEST` days so far. Its orders have
been under way for their age less those days, and continue after the stop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast import streams
from backorder_forecast.clock import NEVER
from backorder_forecast.leadtimes import LeadTimes
from backorder_forecast.order_lines import OrderLines, order_lines
from backorder_forecast.receipts import OpenLines, draw_arrival_days
from backorder_forecast.supply_events import Closures

PRIOR = 0.05
"""Share of time in which a supplier is disrupted, 1 in 20. Judgement."""
TRICKLE = 0.02
"""Share of the usual receipts that a stopped supplier still delivers, 1 in 50. Judgement."""
SLOW, SLOW_PRIOR = 0.3, 0.05
"""Share of the usual receipts that come in a slow spell, and the share of time of these. Of .3 and .5, and of .05 and
.1, measured best with `TRICKLE` on made-up suppliers (log loss of the state .057, without slow spells .109)."""
LOOK_BACK = 28
"""Days in which a stop that goes on may have begun."""
SHORTEST = 7
"""Days that a stop counts as having lasted at least."""
LONGEST = 180
"""Days after which a stop is over on every path."""
_LEAST = 0.02

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the deliveries of the last `LOOK_BACK` days say of each supplier.

    Attributes
    ----------
    suppliers
        One row per supplier: supplier, probability (that it stands still), stopped_days (so far), expected, received
        (receipts of that time), sorted by supplier.
    lines
        The same for each open line, from the other lines: supplier, po_id, order_date, sku, location, probability,
        stopped_days.
    """

    suppliers: pd.DataFrame
    lines: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Shocks:
    """How disruptions and closures change open orders and new ones.

    Attributes
    ----------
    line_weight, line_days
        Probability beyond the prior that the supplier of each open line stands still, and days so far, (n_lines,).
    line_shut, line_still
        Days of each line's age on which its supplier was closed, as `events` tell, and on which it stood still besides,
        if it does, (n_lines,).
    item_weight, item_days
        The same for an order placed now for each item, (n_items,).
    line_keys, item_keys
        Stream key of the supplier's state.
    closures
        Known closures; `worked` and `stalled` are the open lines with the age in days on which the supplier worked, if
        it does not stand still and if it does.
    evidence
        What the weights rest on.
    """

    line_weight: Floats
    line_days: Floats
    line_shut: Ints
    line_still: Ints
    item_weight: Floats
    item_days: Floats
    line_keys: NDArray[np.uint64]
    item_keys: NDArray[np.uint64]
    closures: Closures
    worked: OpenLines
    stalled: OpenLines
    evidence: Evidence


def stop_evidence(purchase_orders: pd.DataFrame | OrderLines, lead: LeadTimes, closures: Closures) -> Evidence:
    """Whether suppliers stand still, from the receipts that were due and those that came.

    Parameters
    ----------
    purchase_orders
        As for `fit_lead_times`, or their `order_lines` at the last day of `lead`.
    lead
        The laws; receipts are expected by their hazards.
    closures
        Days on which nothing was to be expected.

    Examples
    --------
    >>> from backorder_forecast.leadtimes import fit_lead_times
    >>> days = pd.date_range("2024-01-01", periods=120)
    >>> rows = pd.DataFrame({"supplier": "ACME", "po_id": [str(k) for k in range(120)], "order_date": days,
    ...     "received_date": days + pd.Timedelta(days=10)})
    >>> rows.loc[100:, "received_date"] = pd.NaT
    >>> lead, none = fit_lead_times(rows, as_of="2024-05-01"), pd.DataFrame({"supplier": [], "first": [], "last": []})
    >>> found = stop_evidence(rows, lead, Closures(none)).suppliers
    >>> bool(found["probability"].iloc[0] > 0.9), int(found["stopped_days"].iloc[0])
    (True, 12)
    """
    orders = purchase_orders
    found = orders if isinstance(orders, OrderLines) else order_lines(orders, as_of=lead.as_of)
    lines = found.lines.reset_index(drop=True)
    age = (found.as_of - lines["order_date"]).dt.days.to_numpy(dtype=np.int64)
    came = np.full(len(lines), -1, dtype=np.int64)
    last_receipt = found.receipts.groupby("line")["days"].max()
    came[last_receipt.index.to_numpy()] = last_receipt.to_numpy(dtype=np.int64)
    is_open = (lines["open_share"] > 0).to_numpy()
    # A line that was closed before the days looked at says nothing of them; neither does what was cancelled.
    recent = (is_open | ((came >= 0) & (age - came < LOOK_BACK))).nonzero()[0]
    lines, age, came, is_open = lines.iloc[recent].reset_index(drop=True), age[recent], came[recent], is_open[recent]
    supplier, names = pd.factorize(lines["supplier"].astype("str"), sort=True)
    # Before it was recorded nobody could have seen it come.
    entry = (lines["recorded_date"] - lines["order_date"]).dt.days.to_numpy(dtype=np.int64)
    order = lines.groupby(["supplier", "po_id", "order_date"], sort=True).ngroup().to_numpy(dtype=np.int64)
    n_orders = int(order.max()) + 1 if len(order) else 0
    open_days = np.ones((len(names), LOOK_BACK), dtype=bool)
    pointer, first, last = closures.windows(pd.Series(names, dtype="str"))
    for i in range(len(names)):
        for k in range(pointer[i], pointer[i + 1]):
            # Column s is the day s days before `as_of`.
            open_days[i, max(-last[k], 0) : max(1 - first[k], 0)] = False
    together = _come_together(found.lines, found.receipts, names)[supplier]
    weight = np.bincount(order, minlength=1)[order] ** -together if len(order) else np.zeros(0)
    own = _counts(
        lead.cdf, lead.law_rows(lines), age, entry, np.where(is_open, -1, came), weight, supplier.astype(np.int64),
        open_days,
    )  # fmt: skip
    expected, received = (_summed(values, supplier, len(names)) for values in own)
    p, days, seen = _posterior(expected, received)
    rows = np.arange(len(names))
    suppliers = pd.DataFrame({"supplier": pd.Series(names, dtype="str"), "probability": p, "stopped_days": days,
                              "expected": expected[rows, seen], "received": received[rows, seen]})  # fmt: skip
    # The lines that come along with this one are no evidence on it, as far as a supplier's lines come together.
    others = []
    for values, total in zip(own, (expected, received), strict=True):
        mine, mates = values[is_open], _summed(values, order, n_orders)[order[is_open]]
        others.append(total[supplier[is_open]] - mine - together[is_open, None] * (mates - mine))
    p, days, _ = _posterior(others[0], others[1])
    about = lines.loc[is_open, ["supplier", "po_id", "order_date", "sku", "location"]].reset_index(drop=True)
    return Evidence(suppliers, about.assign(probability=p, stopped_days=days))


def fit_shocks(
    purchase_orders: pd.DataFrame | OrderLines,
    orders: OpenLines,
    lead: LeadTimes,
    facts: pd.DataFrame,
    closures: Closures,
    seed: int,
    *,
    evidence: Evidence | None = None,
) -> Shocks:
    """Weights of a stop for every open line and item, and the lines with the ages that count.

    `facts` has the columns supplier, sku, location; `seed` keys the states. `evidence` is that of the same purchase
    orders and past closures where it is known already.
    """
    evidence = stop_evidence(purchase_orders, lead, closures) if evidence is None else evidence
    frame = orders.frame
    keys = ["supplier", "po_id", "order_date", "sku", "location"]
    lines = evidence.lines.sort_values("probability", kind="stable").drop_duplicates(keys)
    of_line = frame[keys].merge(lines, on=keys, how="left")
    of_item = facts[["supplier"]].astype("str").merge(evidence.suppliers, on="supplier", how="left")
    ongoing = closures.frame[(closures.frame["first"] <= 0) & (closures.frame["last"] >= 0)]
    sudden = ongoing[~ongoing["known_end"].astype(bool)].set_index("supplier")["first"]
    known = set(ongoing["supplier"]) - set(sudden.index)
    parts = []
    for table in (of_line, of_item):
        p = table["probability"].fillna(0.0).to_numpy(dtype=np.float64)
        weight = np.maximum(p - PRIOR, 0.0) / (1.0 - PRIOR)
        days = table["stopped_days"].fillna(0.0).to_numpy(dtype=np.float64)
        # What `events` says of today needs no guess: closed until a known day, or stopped for sure.
        said = table["supplier"].map(sudden.to_dict()).astype("float64")
        # Orders that name no supplier have none in common.
        weight = np.where(table["supplier"].isin([*known, ""]), 0.0, np.where(said.notna(), 1.0, weight))
        parts.append((np.where(weight < _LEAST, 0.0, weight), np.where(said.notna(), 1.0 - said.fillna(0.0), days)))
    age = frame["age_days"].to_numpy(dtype=np.int64)
    shut = np.minimum(closures.closed_days(frame["supplier"], age), age)
    # A stop that `events` names is in the closed days already.
    still = np.where(of_line["supplier"].isin(sudden.index), 0.0, parts[0][1]).astype(np.int64)
    still = np.minimum(still, age - shut)
    # Looked up once for all, since every bucket asks for its own.
    told = replace(orders, frame=frame.assign(law=lead.law_rows(frame)))
    return Shocks(
        parts[0][0], parts[0][1], shut, still, parts[1][0], parts[1][1], _supplier_keys(frame["supplier"], seed),
        _supplier_keys(facts["supplier"], seed), closures, _aged(told, age - shut), _aged(told, age - shut - still),
        evidence,
    )  # fmt: skip


def draw_shocked_days(
    shocks: Shocks, lead: LeadTimes, keys: NDArray[np.uint64], start: int, stop: int, n_paths: int,
    *, disrupted: bool = True,
) -> NDArray[np.int32]:  # fmt: skip
    """Arrival days of the open lines of items start to stop, `draw_arrival_days` with what suppliers share.

    `disrupted=False` undoes stops and closures: on the paths on which a supplier stands still its orders had gone on
    meanwhile, and may have come by now.

    Returns
    -------
    int32 array (n_lines of the bucket, n_paths): day numbers, or NEVER; 0 or less means by now.
    """
    first, last = int(shocks.worked.item_start[start]), int(shocks.worked.item_start[stop])
    lines = slice(first, last)
    days = draw_arrival_days(shocks.worked, lead, keys, start, stop, n_paths)
    pointer = shocks.worked.item_start[start : stop + 1] - first
    days = _together(days, pointer, shocks.line_keys[lines], PRIOR)
    weight, so_far = shocks.line_weight[lines], shocks.line_days[lines]
    if weight.any():
        after = draw_arrival_days(shocks.stalled, lead, keys, start, stop, n_paths)
        back = np.zeros(len(days), dtype=np.int64) if disrupted else shocks.line_still[lines]
        days = _stopped(days, after, weight, so_far, back, disrupted, shocks.line_keys[lines])
    if disrupted:
        return shocks.closures.later(np.asarray(days, dtype=np.int32), shocks.worked.frame["supplier"].iloc[lines])
    went_on = np.where(days < NEVER, days - shocks.line_shut[lines, None], days)
    return np.asarray(went_on, dtype=np.int32)


def stopped_paths(shocks: Shocks, rows: Ints, n_paths: int) -> NDArray[np.bool_]:
    """Paths on which the supplier of some open lines stands still or is closed already, shape (n_lines, n_paths)."""
    if not shocks.line_weight[rows].any() and not shocks.line_shut[rows].any():
        return np.zeros((len(rows), n_paths), dtype=bool)
    states = np.asarray(_states(shocks.line_keys[rows], n_paths))
    return (states < shocks.line_weight[rows, None]) | (shocks.line_shut[rows, None] > 0)


def blamed(shocks: Shocks) -> Shocks:
    """The shocks with the weight by which the lateness of each line is laid at its supplier's door.

    An order that is late has either one of two causes: it went astray alone, or its supplier stands still. Taken as
    equally likely beforehand, the receipts of the *other* orders decide: with B, the ratio by which they speak for a
    stop, the weight is P(stop) - P(astray) = (B - 1) / (B + 1), 0 where they do not.
    """
    p = PRIOR + (1.0 - PRIOR) * np.minimum(shocks.line_weight, 1.0 - 1e-9)
    ratio = p / (1.0 - p) * (1.0 - PRIOR) / PRIOR
    return replace(shocks, line_weight=(ratio - 1.0) / (ratio + 1.0))


def shocked_lead_days(
    shocks: Shocks, lead_days: NDArray[np.int32], suppliers: pd.Series, start: int, stop: int,
    *, placed: Ints | int = 0,
) -> NDArray[np.int32]:  # fmt: skip
    """Arrival days of new orders of items start to stop, put off by stops and closures of their suppliers.

    `lead_days` (n_items, n_paths) count from the day on which each is `placed`, the days returned from `as_of`.
    """
    weight, ready = shocks.item_weight[start:stop], np.broadcast_to(np.asarray(placed, dtype=np.int64), lead_days.shape)
    if weight.any():
        at = slice(start, stop)
        none = np.zeros(stop - start, dtype=np.int64)
        now = _stopped(lead_days, lead_days, weight, shocks.item_days[at], none, True, shocks.item_keys[at])
        # What is left of a stop when the order is placed.
        ready = np.maximum(ready, np.asarray(now, dtype=np.int64) - lead_days)
    days = np.where(lead_days < NEVER, np.minimum(ready + lead_days, NEVER), NEVER).astype(np.int32)
    return shocks.closures.later(days, suppliers, placed=placed)


def shocked_arrival_days(
    shocks: Shocks, due: NDArray[np.int32], suppliers: pd.Series, items: Ints
) -> NDArray[np.int32]:
    """Arrival of orders of some items placed in the past, put off by stops and closures that began meanwhile.

    `due` (n_items, n_paths) are the days on which they would have come otherwise, 0 or less: by now.
    """
    weight, so_far = shocks.item_weight[items], shocks.item_days[items].astype(np.int64)
    out = due
    if weight.any():
        went_on = np.maximum(due.astype(np.int64) + so_far[:, None], 0).astype(np.int32)
        none = np.zeros(len(items), dtype=np.int64)
        after = _stopped(due, went_on, weight, shocks.item_days[items], none, True, shocks.item_keys[items])
        # What came before the stop began has come.
        out = np.where(due > -so_far[:, None], after, due).astype(np.int32)
    shut = shocks.closures.frame
    since = shut[(shut["first"] <= 0) & (shut["last"] >= 0)].groupby("supplier")["first"].min()
    first = suppliers.astype("str").map(since.to_dict()).fillna(1).to_numpy(dtype=np.int64)[:, None]
    # The days of a closure that are over by now; those ahead follow.
    out = np.where((first <= 0) & (out >= first), out + (1 - first), out).astype(np.int32)
    return shocks.closures.later(out, suppliers)


def _aged(orders: OpenLines, ages: Ints) -> OpenLines:
    return replace(orders, frame=orders.frame.assign(age_days=ages))


def _supplier_keys(suppliers: pd.Series, seed: int) -> NDArray[np.uint64]:
    codes, names = pd.factorize(suppliers.astype("str"))
    keys = streams.item_keys(names, np.full(len(names), "supplier"), seed, streams.DISRUPTION)
    return keys[codes] if len(names) else np.zeros(len(suppliers), dtype=np.uint64)


def _come_together(lines: pd.DataFrame, receipts: pd.DataFrame, names: pd.Index) -> Floats:
    """Share of each supplier's purchase orders of several lines that came in one go, t, shape (n_suppliers,).

    m lines of an order then count as m^(1 - t) events. Where nothing is known an order is one event.
    """
    keys = lines[["supplier", "po_id", "order_date"]].iloc[receipts["line"].to_numpy()].reset_index(drop=True)
    rows = keys.assign(day=receipts["received_date"].to_numpy(), line=receipts["line"].to_numpy())
    by_order = rows.groupby(["supplier", "po_id", "order_date"]).agg(days=("day", "nunique"), lines=("line", "nunique"))
    at_once = by_order.loc[by_order["lines"] > 1, "days"].eq(1).groupby("supplier")
    share = (at_once.sum() + 1.0) / (at_once.size() + 1.0)
    return np.asarray(share.reindex(names).fillna(1.0).to_numpy(dtype=np.float64))


def _summed(values: Floats, group: Ints, n_groups: int) -> Floats:
    """Rows added up by group, shape (n_groups, LOOK_BACK)."""
    out = np.zeros((n_groups, LOOK_BACK))
    np.add.at(out, group, values)
    return out


def _posterior(expected: Floats, received: Floats) -> tuple[Floats, Floats, Ints]:
    """Probability of a stop, days since it most likely began, and the column of that; arrays (n, LOOK_BACK)."""
    if not len(expected):
        return np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64)
    slowed = [np.minimum((1.0 - r) * expected + np.log(r) * received, 500.0) for r in (TRICKLE, SLOW)]
    stop, slow = (np.exp(log_ratio).mean(axis=1) for log_ratio in slowed)
    stop, rest = PRIOR * stop, SLOW_PRIOR * slow + 1.0 - PRIOR - SLOW_PRIOR
    best = slowed[0].argmax(axis=1)
    return stop / (stop + rest), best + 1.0, best.astype(np.int64)


@nb.njit(cache=True, nogil=True)
def _counts(cdf, rows, age, entry, came, weight, supplier, open_days):  # type: ignore[no-untyped-def]
    """Receipts expected and seen in the last 1 ... LOOK_BACK days, per line."""
    back = open_days.shape[1]
    expected, received = np.zeros((len(rows), back)), np.zeros((len(rows), back))
    last = cdf.shape[1] - 1
    for i in range(len(rows)):
        for s in range(back):
            # The s-th day before `as_of` was day t of this order.
            t = age[i] - s
            if t <= entry[i]:
                break
            if came[i] >= 0 and t > came[i]:
                continue
            if came[i] == t:
                received[i, s] = weight[i]
            if t <= last and open_days[supplier[i], s]:
                waits = 1.0 - cdf[rows[i], t - 1]
                if waits > 1e-6:
                    expected[i, s] = weight[i] * (cdf[rows[i], t] - cdf[rows[i], t - 1]) / waits
        for s in range(1, back):
            expected[i, s] += expected[i, s - 1]
            received[i, s] += received[i, s - 1]
    return expected, received


@nb.njit(cache=True, nogil=True)
def _together(days, pointer, keys, prior):  # type: ignore[no-untyped-def]
    """The draws of each line dealt to the paths anew: the slow ones to the disrupted paths of its supplier."""
    out = days.copy()
    n_paths = days.shape[1]
    score = np.empty(n_paths)
    for i in range(len(pointer) - 1):
        if pointer[i + 1] - pointer[i] < 2:
            continue
        for j in range(pointer[i], pointer[i + 1]):
            by_day = np.argsort(days[j], kind="mergesort")
            for r in range(n_paths):
                share = (r + 0.5) / n_paths
                hit = _state(keys[j], by_day[r]) < prior
                score[by_day[r]] = share**prior if hit else share
            by_score = np.argsort(score, kind="mergesort")
            for r in range(n_paths):
                out[j, by_score[r]] = days[j, by_day[r]]
    return out


@nb.njit(cache=True, nogil=True)
def _stopped(days, after, weight, so_far, back, goes_on, keys):  # type: ignore[no-untyped-def]
    """On the paths on which a supplier stands still: what is left of the lead time, `after` the rest of the stop.

    Where it does not go on, it never was: the lead time ended `back` days earlier.
    """
    out = days.copy()
    for i in range(days.shape[0]):
        if weight[i] <= 0.0:
            continue
        for p in range(days.shape[1]):
            if _state(keys[i], p) >= weight[i] or after[i, p] == NEVER:
                continue
            s0, s1 = streams.start(keys[i], p)
            bits, s0, s1 = streams.step(s0, s1)
            bits, s0, s1 = streams.step(s0, s1)
            u = 1.0 - streams.unit(bits)
            rest = min(np.ceil(max(so_far[i], SHORTEST) * (1.0 - u) / u), LONGEST) if goes_on else -back[i]
            out[i, p] = min(np.int64(after[i, p]) + np.int64(rest), np.int64(NEVER))
    return out


@nb.njit(cache=True, nogil=True)
def _states(keys, n_paths):  # type: ignore[no-untyped-def]
    out = np.empty((len(keys), n_paths))
    for i in range(len(keys)):
        for p in range(n_paths):
            out[i, p] = _state(keys[i], p)
    return out


@nb.njit(cache=True, nogil=True, inline="always")
def _state(key, path):  # type: ignore[no-untyped-def]
    """Uniform that is the supplier's state on a path: below a probability means disrupted."""
    s0, s1 = streams.start(key, path)
    bits, s0, s1 = streams.step(s0, s1)
    return streams.unit(bits)
