"""The record of our own promises: what would have been said on past days, and what became of it.

On each past origin the fill dates of the lines that waited then are drawn from what was known then: lead-time laws
fitted up to that day, open orders, stops of suppliers, stock, the queue. The conformity score of a line is the place
of its actual fill day in its own law, its probability integral transform (Rosenblatt 1952), spread over the
probability of that day because days are whole. A line not filled so far, or cancelled, is known only to lie beyond
the days it waited: it is censored, never dropped. Lines that one delivery fills share one weight, because they say the
same thing once.

If the laws were right the scores would be uniform. Their distribution G, of all lines, per supplier and, from
`FEWEST_EVENTS` receipts on, per category of a supplier, each drawn towards its parent by `PRIOR_EVENTS` and that of all
towards the uniform, says how often a stated probability was kept; dates are then read at the level that keeps what is
stated (distributional conformal prediction: Chernozhukov, Wuthrich & Zhu 2021), and every stated probability p becomes
G(p). Days count from the origin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast import streams
from backorder_forecast.backorders import fill_days
from backorder_forecast.disruptions import draw_shocked_days, fit_shocks, shocked_lead_days
from backorder_forecast.known import known_at
from backorder_forecast.lead_cases import line_times, lines_of_laws
from backorder_forecast.lead_check import check_lead_times, fit_choice
from backorder_forecast.lead_tree import law_tree, stated_days
from backorder_forecast.next_orders import next_orders
from backorder_forecast.order_lines import known_day, order_lines
from backorder_forecast.patience import fit_patience
from backorder_forecast.production import first_made_day, later_when_made, made_days, not_before
from backorder_forecast.queues import queue_needs
from backorder_forecast.receipts import draw_new_orders, open_order_lines
from backorder_forecast.supply_events import item_holds, supplier_closures
from backorder_forecast.waits import StayLaw, draw_leave_days

if TYPE_CHECKING:
    from backorder_forecast.leadtimes import LeadTimes
    from backorder_forecast.lines import BackorderLines
    from backorder_forecast.receipts import OpenLines
    from backorder_forecast.settings import Settings
    from backorder_forecast.tables import Tables

ORIGIN_STEP = 28
"""Days between replayed origins."""
FEWEST_CLOSED = 40
"""Closed lines from which promises are replayed."""
FIRST_DAYS = 90
"""Days of order history before the first origin."""
MOST_LINES = 12_000
"""Most lines replayed, over all origins."""
REPLAY_PATHS = 200
PRIOR_EVENTS = 100.0
"""Receipt events that a parent is worth to its child, and the stated law to the law of all: a year of promises is few
receipts, and the laws are right on average (chosen on made-up worlds other than the scored ones)."""
FEWEST_EVENTS = 30
"""Receipt events from which the categories of one supplier are told apart. Judgement."""
SNAPSHOT_DAYS = 7
"""Days that an origin is moved back to lie on a day of a stock snapshot; stock of an earlier day has been sold since,
so without a snapshot of its own day a waiting line finds an empty shelf."""
BINS = 100
_ROUNDS = 30
COLUMNS = (
    "origin", "order_id", "sku", "location", "supplier", "category", "item", "days", "filled", "below", "reached",
    "event", "weight",
)  # fmt: skip

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calibration:
    """How often stated probabilities were kept.

    Attributes
    ----------
    curves
        G at 0, 1 / BINS, ..., 1: rising from 0 to 1, shape (n_groups, BINS + 1); row 0 is of all lines.
    row
        Row of `curves` for each item, shape (n_items,).
    record
        Replayed lines, `COLUMNS`: `days` waited from the origin, `filled` then or still waiting, P(fill before) and
        P(fill by) that day, the receipt `event` and the weight in it.
    """

    curves: Floats
    row: NDArray[np.int64]
    record: pd.DataFrame

    def kept(self, item: NDArray[np.int64], stated: Floats) -> Floats:
        """Probability with which a date of stated probability is kept, elementwise; NaN stays."""
        rows, place = self.row[item], np.nan_to_num(stated) * BINS
        low = np.minimum(place.astype(np.int64), BINS - 1)
        begin, end = self.curves[rows, low], self.curves[rows, low + 1]
        return np.where(np.isnan(stated), np.nan, begin + (end - begin) * (place - low))

    def level(self, item: NDArray[np.int64], wanted: float) -> Floats:
        """Smallest stated probability that is kept with the wanted one, shape (n,)."""
        above = np.maximum((self.curves < wanted - 1e-12).sum(axis=1), 1)
        n = np.arange(len(self.curves))
        begin, end = self.curves[n, above - 1], self.curves[n, above]
        into = np.where(end > begin, (wanted - begin) / np.where(end > begin, end - begin, 1.0), 1.0)
        return np.asarray(((above - 1 + np.clip(into, 0.0, 1.0)) / BINS)[self.row[item]])

    def note(self, level: float) -> str:
        """What the replay found, in a sentence; empty without one."""
        if self.record.empty:
            return ""
        events = self.record["event"].nunique()
        everyone = Calibration(self.curves, np.zeros(1, dtype=np.int64), self.record)
        kept = everyone.kept(np.zeros(1, dtype=np.int64), np.array([level]))[0]
        days = self.record["origin"].nunique()
        return (
            f"fill dates are corrected by our own record: {len(self.record):,} waiting lines on {days} past days, "
            f"{events:,} receipts; what would have been promised with {level:.0%} was kept in {kept:.0%}"
        )


def no_record(n_items: int) -> Calibration:
    """Stated probabilities as they are."""
    record = pd.DataFrame(columns=list(COLUMNS))
    return Calibration(np.linspace(0.0, 1.0, BINS + 1)[None, :], np.zeros(n_items, dtype=np.int64), record)


def replay_promises(
    tables: Tables, orders: pd.DataFrame, stated: pd.DataFrame, lines: BackorderLines, facts: pd.DataFrame,
    lead: LeadTimes, settings: Settings,
) -> Calibration:  # fmt: skip
    """Draw the fill dates of past days again, and hold them against what happened.

    Parameters
    ----------
    tables
        Of which stock snapshots and events are used.
    orders, stated
        Purchase orders and stated lead times, as `lead` was fitted on them.
    lines
        Open and closed backorder lines.
    facts
        One row per item: sku, location, supplier, category, review_days; daily_capacity where it is stated, which
        slows what was to be made then as it does now.
    lead
        The laws of today. Those of a past origin are fitted to what was known then, and how they are fitted is chosen
        by what was known at the first of the origins.
    settings
        `promise_origins` past days; 0 replays nothing. Fewer where lines are many.
    """
    cases = _cases(lines)
    days = _on_snapshot_days(_origins(cases, orders, lead.as_of, settings), tables.inventory)
    # Behind new demand lines have another law than the one drawn here.
    if not days or settings.new_demand_overtakes:
        return no_record(len(facts))
    laws_at = _laws(orders, stated, lead, days[0], settings)
    shipped = lines.shipments.dropna(subset="date")
    parts = []
    for origin in days:
        waiting = _waiting(cases, shipped, origin)
        if len(waiting):
            stays = _patience_at(cases, waiting, facts, origin, settings)
            parts.append(_replayed(tables, orders, waiting, facts, laws_at(origin), stays, origin, settings))
    record = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if len(record):
        record["weight"] = 1.0 / record.groupby("event")["event"].transform("size")
    return calibrate(record, facts["supplier"], facts["category"]) if len(record) else no_record(len(facts))


def calibrate(record: pd.DataFrame, suppliers: pd.Series, categories: pd.Series | None = None) -> Calibration:
    """Distribution of the scores, of all lines, per supplier, and per category of a supplier with enough receipts.

    Parameters
    ----------
    record
        supplier, below, reached, filled, weight; category where `categories` are given.
    suppliers, categories
        Supplier and category of each item. An empty category is none.

    Examples
    --------
    >>> seen = pd.DataFrame({"supplier": "A", "below": 0.98, "reached": 1.0, "filled": True, "weight": [1.0] * 100})
    >>> found = calibrate(seen, pd.Series(["A", "B"]))
    >>> found.kept(np.array([0, 1]), np.array([0.9, 0.9])).round(2).tolist()   # most came later than ever stated
    [0.23, 0.45]
    >>> found.level(np.array([0]), 0.9).round(2).tolist()
    [1.0]
    """
    uniform = np.full(BINS, 1.0 / BINS)
    rows = [_density(record, uniform)]
    of_supplier = suppliers.astype("str").to_numpy(object)
    of_category = np.full(len(suppliers), "", dtype=object)
    if categories is not None:
        of_category = categories.astype("str").fillna("").to_numpy(object)
    row = np.zeros(len(suppliers), dtype=np.int64)
    for supplier, own in record.groupby("supplier", sort=True):
        mine = of_supplier == str(supplier)
        row[mine], parent = len(rows), _density(own, rows[0])
        rows.append(parent)
        for category, part in own.groupby("category", sort=True) if categories is not None else ():
            if str(category) and part["weight"].sum() >= FEWEST_EVENTS:
                row[mine & (of_category == str(category))] = len(rows)
                rows.append(_density(part, parent))
    curves = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows, axis=1)], axis=1)
    curves /= curves[:, -1:]
    return Calibration(curves, row, record)


def _density(record: pd.DataFrame, prior: Floats) -> Floats:
    """Share of the scores in each bin, with the prior counted as `PRIOR_EVENTS`; censored ones as what lies beyond."""
    below, reached, weight = (record[c].to_numpy(np.float64) for c in ("below", "reached", "weight"))
    filled = record["filled"].to_numpy(dtype=bool)
    edges = np.arange(BINS + 1) / BINS
    low, high = below[filled, None], np.maximum(reached, below + 1e-9)[filled, None]
    high = np.where(low >= 1.0 - 1e-9, 1.0, high)
    low = np.minimum(low, high - 1e-9)
    inside = np.maximum(np.minimum(high, edges[None, 1:]) - np.maximum(low, edges[None, :-1]), 0.0)
    seen = weight[filled] @ (inside / inside.sum(axis=1, keepdims=True))
    later = np.clip(edges[None, 1:] - reached[~filled, None], 0.0, 1.0 / BINS) * BINS
    share = prior
    # Expectation maximisation (Turnbull 1976): a censored score lies beyond its bound like the others do.
    for _ in range(_ROUNDS):
        beyond = later * share
        total = beyond.sum(axis=1, keepdims=True)
        beyond = np.divide(beyond, total, out=np.zeros_like(beyond), where=total > 0)
        beyond[total[:, 0] <= 0, -1] = 1.0
        share = PRIOR_EVENTS * prior + seen + weight[~filled] @ beyond
        share = share / share.sum()
    return np.asarray(share, dtype=np.float64)


def _cases(lines: BackorderLines) -> pd.DataFrame:
    """All lines with the day on which they were closed; those closed at an unknown day are in no queue we know."""
    columns = ["item", "order_id", "sku", "location", "order_date", "ordered_quantity"]
    opened = lines.frame[columns].assign(closed_date=pd.Series(pd.NaT, index=lines.frame.index), outcome="")
    closed = lines.closed[lines.closed["closed_date"].notna()][[*columns, "closed_date", "outcome"]]
    parts = [part.astype({"closed_date": "datetime64[s]"}) for part in (opened, closed) if len(part)]
    if not parts:
        return opened
    cases = pd.concat(parts, ignore_index=True)
    cases["last"] = cases["closed_date"].fillna(lines.as_of)
    cases = cases.sort_values(["item", "order_date", "order_id"], kind="stable", ignore_index=True)
    # The delivery that filled a line, or the next one after it was given up, where there has been one.
    by_day = cases.sort_values(["last", "item"], kind="stable")
    receipt = by_day["last"].where(by_day["outcome"] == "filled").groupby(by_day["item"]).bfill()
    cases["event"] = cases["item"].astype("str") + " " + receipt.astype("str").fillna("to come").sort_index()
    return cases


def _origins(cases: pd.DataFrame, orders: pd.DataFrame, as_of: pd.Timestamp, settings: Settings) -> list[pd.Timestamp]:
    if (cases["outcome"] == "filled").sum() < FEWEST_CLOSED or orders["received_date"].notna().sum() == 0:
        return []
    first = max(orders["order_date"].min() + pd.Timedelta(days=FIRST_DAYS), cases["order_date"].min())
    days = [as_of - pd.Timedelta(days=ORIGIN_STEP * (k + 1)) for k in range(settings.promise_origins)]
    days = [day for day in days if day > first]
    born, last = cases["order_date"].to_numpy(), cases["last"].to_numpy()
    counts = np.array([((born <= day.to_datetime64()) & (last > day.to_datetime64())).sum() for day in days])
    # Of many lines the origins are fewer, and spread over the same time.
    fewer = int(min(len(days), max(MOST_LINES // max(counts.mean(), 1.0), 2))) if len(days) else 0
    return [days[int(k)] for k in np.linspace(0, len(days) - 1, fewer)] if fewer else []


def _laws(  # type: ignore[no-untyped-def]
    orders: pd.DataFrame, stated: pd.DataFrame, lead: LeadTimes, first: pd.Timestamp, settings: Settings
):
    """Function origin -> the laws as they were fitted then, in the way that was best by the first of the origins."""
    found = order_lines(orders, as_of=lead.as_of)
    times = line_times(found, longest=settings.max_lead_time_days, calendars=lead.calendars)
    prior = stated_days(stated)
    median = float(prior["days"].median()) if len(prior) else float(settings.default_lead_time_days)
    tree = law_tree(found, lines_of_laws(times), prior)
    early = order_lines(known_at("purchase_orders", orders, first, undated=False).frame, as_of=first)
    by_then = line_times(early, longest=settings.max_lead_time_days, calendars=lead.calendars)
    then = law_tree(early, lines_of_laws(by_then), prior)
    found_early = check_lead_times(then, by_then, settings, median=median)
    choice = replace(found_early.choice, from_promise=False)

    def at(origin: pd.Timestamp) -> LeadTimes:
        cdf, tail, _ = fit_choice(tree, times, choice, settings, median=median, origin=known_day(origin))
        return replace(lead, as_of=origin, cdf=cdf, tail=tail)

    return at


def _waiting(cases: pd.DataFrame, shipped: pd.DataFrame, origin: pd.Timestamp) -> pd.DataFrame:
    """Lines that waited at the end of a day, with the units still open then."""
    rows = cases[((cases["order_date"] <= origin) & (cases["last"] > origin)).to_numpy()]
    sent = shipped[(shipped["date"] <= origin).to_numpy()].groupby(["item", "order_id"])["quantity"].sum()
    keys = pd.MultiIndex.from_frame(rows[["item", "order_id"]])
    before = sent.reindex(keys).fillna(0.0).to_numpy() if len(sent) else np.zeros(len(rows))
    rows = rows.assign(quantity=rows["ordered_quantity"] - before)
    return rows[rows["quantity"] > 0].reset_index(drop=True)


def _patience_at(
    cases: pd.DataFrame, waiting: pd.DataFrame, facts: pd.DataFrame, origin: pd.Timestamp, settings: Settings
) -> StayLaw | None:
    """Patience of those who wait, as the lines closed by then tell it; None where all are taken to stay."""
    if not settings.customers_leave or settings.allocation == "fair_share":
        return None
    closed = cases[((cases["outcome"] != "") & (cases["last"] <= origin)).to_numpy()]
    closed = closed.assign(days=(closed["last"] - closed["order_date"]).dt.days)[["item", "days", "outcome"]]
    opened = waiting[["item"]].assign(waited_days=(origin - waiting["order_date"]).dt.days)
    item = waiting["item"].to_numpy(np.int64)
    return StayLaw.of(fit_patience(closed, opened, facts, settings=settings, asked=item)).of_items(item)


def _on_snapshot_days(days: list[pd.Timestamp], inventory: pd.DataFrame) -> list[pd.Timestamp]:
    """The days moved back to the snapshot before them, where there is one not long before; in order, each once."""
    counted = np.sort(inventory["date"].dt.normalize().unique()) if len(inventory) else np.array([], dtype="M8[ns]")
    moved = set()
    for day in days:
        at = int(np.searchsorted(counted, day.to_datetime64(), side="right")) - 1
        before = pd.Timestamp(counted[at]) if at >= 0 else day
        moved.add(before if (day - before).days < SNAPSHOT_DAYS else day)
    return sorted(moved)


def _replayed(
    tables: Tables, orders: pd.DataFrame, waiting: pd.DataFrame, facts: pd.DataFrame, lead: LeadTimes,
    stays: StayLaw | None, origin: pd.Timestamp, settings: Settings,
) -> pd.DataFrame:  # fmt: skip
    """Score of each line that waited at `origin`."""
    codes, item = np.unique(waiting["item"].to_numpy(np.int64), return_inverse=True)
    some, n = facts.iloc[codes].reset_index(drop=True), len(codes)
    # What was ordered long before says nothing of that day; what was ordered later was not known.
    near = (orders["order_date"] <= origin) & (orders["order_date"] > origin - pd.Timedelta(days=2 * 365))
    still = orders["received_date"].isna() | (orders["received_date"] > origin - pd.Timedelta(days=100))
    # All receipts of a line or none: those left out would be open again.
    line = orders.groupby(["po_id", "sku", "location", "order_date"], dropna=False, observed=True).ngroup()
    still = still.groupby(line).transform("any")
    known = order_lines(
        known_at("purchase_orders", orders[(near & still).to_numpy()], origin, undated=False).frame, as_of=origin
    )
    coming = open_order_lines(known, some, as_of=origin)
    events = known_at("events", tables.events, origin, undated=False).frame
    shocks = fit_shocks(known, coming, lead, some, supplier_closures(events, origin), settings.seed)
    receipts, new, patience = (
        streams.item_keys(some["sku"], some["location"], settings.seed, purpose)
        for purpose in (streams.RECEIPTS, streams.NEW_ORDER, streams.PATIENCE)
    )
    capacity, (made, free) = _production(some, coming)
    holds = item_holds(events, some, origin)
    arrivals = not_before(draw_shocked_days(shocks, lead, receipts, 0, n, REPLAY_PATHS), made)
    arrivals = holds.later(arrivals, coming.frame["item"].to_numpy(np.int64))
    placed = next_orders(orders, some, as_of=origin, seed=settings.seed).draw(0, n, REPLAY_PATHS)
    rows = lead.law_rows(some[["sku", "location", "supplier", "category"]])
    following = draw_new_orders(lead, rows, some["supplier"], new, REPLAY_PATHS)
    following = shocked_lead_days(shocks, following, some["supplier"], 0, n, placed=placed)
    following = holds.later(not_before(following, first_made_day(capacity, free)), np.arange(n), new=True)
    # Unknown priorities are those of closed lines: they queue by date.
    queue = waiting[["quantity", "order_date", "order_id"]].assign(item=item)
    first, complete = queue_needs(queue, rule="fair_share" if settings.allocation == "fair_share" else "fifo")
    start = np.searchsorted(item, np.arange(n + 1)).astype(np.int64)
    supply = (arrivals, coming.frame["quantity"].to_numpy(np.float64), coming.item_start)
    queued = np.bincount(item, waiting["quantity"].to_numpy(np.float64), n).astype(np.float64)
    own = queued * float(settings.reserved_includes_backorders)
    usable = _stock(tables.inventory, some, origin, own, holds.held)
    leave = None
    if stays is not None:
        so_far = (origin - waiting["order_date"]).dt.days.to_numpy(np.float64)
        leave = draw_leave_days(stays, item, so_far, patience, n_paths=REPLAY_PATHS)
    filled_on = fill_days(first, complete, start, usable, *supply, following, leave_days=leave)[1]
    begin = np.maximum(placed, free[:, None]).astype(np.float64)
    filled_on = later_when_made(filled_on, complete, start, usable, *supply, following, begin, capacity)
    days = np.maximum(filled_on, 1)
    waited = (waiting["last"] - origin).dt.days.to_numpy(np.int64)
    filled = (waiting["outcome"] == "filled").to_numpy()
    return waiting[["order_id", "sku", "location", "item", "event"]].assign(
        origin=origin, days=waited, filled=filled,
        **{c: some[c].astype("str").fillna("").to_numpy()[item] for c in ("supplier", "category")},
        below=(days < waited[:, None]).mean(axis=1), reached=(days <= waited[:, None]).mean(axis=1),
    )[[c for c in COLUMNS if c != "weight"]]  # fmt: skip


def _production(items: pd.DataFrame, coming: OpenLines) -> tuple[Floats, tuple[Floats, Floats]]:
    """Units a day of each item, and when its open lines are made and its plant is free, as in the plan."""
    capacity = np.full(len(items), np.nan)
    if "daily_capacity" in items:
        capacity = items["daily_capacity"].to_numpy(dtype=np.float64)
    columns = (coming.frame[c].to_numpy() for c in ("item", "age_days", "quantity"))
    return capacity, made_days(capacity, *columns)


def _stock(
    inventory: pd.DataFrame, items: pd.DataFrame, origin: pd.Timestamp, queued: Floats, held: NDArray[np.bool_]
) -> Floats:
    """Units that could ship at the end of a day, by the snapshot of that day.

    `queued` units of what is reserved are for waiting lines; where a hold ran (`held`) nothing could ship, unless the
    snapshot says how much was on hold.
    """
    rows = inventory[(inventory["date"].dt.normalize() == origin).to_numpy()].sort_values("date", kind="stable")
    if not len(rows):
        return np.zeros(len(items))
    table = pd.DataFrame({c: rows[c].astype("str") for c in ("sku", "location")})
    table["on_hand"] = rows["counted"].fillna(rows["on_hand"])
    for column in ("reserved", "on_hold"):
        table[column] = rows[column].fillna(0.0)
    keys = pd.MultiIndex.from_arrays([items["sku"].astype("str"), items["location"].astype("str")])
    last = table.groupby(["sku", "location"]).last().reindex(keys).astype(np.float64).fillna(0.0)
    on_hand, reserved, on_hold = (last[c].to_numpy(np.float64) for c in ("on_hand", "reserved", "on_hold"))
    on_hold = np.where(held & (on_hold <= 0), on_hand, on_hold)
    return np.asarray(np.maximum(on_hand - np.maximum(reserved - queued, 0.0) - on_hold, 0.0))
