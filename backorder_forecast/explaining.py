"""What is known of items at risk put beside its references, for `causes.py`, and the answer in words.

Only items at watch or above are looked at, on the first `CAUSE_PATHS` of the paths of the plan. Every sentence names
what a buyer can act on: the order, the supplier, the units. "If it arrived as promised" is the risk with that one order
arriving on its promised day (by now where that is over), all else as it is.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast import streams
from backorder_forecast.causes import (
    DISRUPTION,
    HOLD,
    LATE,
    MIN_SHARE,
    PLAYERS,
    RECORD,
    SURGE,
    TOO_LITTLE,
    VERSIONS,
    Situation,
    cause_frame,
    cause_shares,
    risks_if,
)
from backorder_forecast.clock import NEVER, Clock
from backorder_forecast.disruptions import draw_shocked_days, stopped_paths
from backorder_forecast.production import not_before
from backorder_forecast.receipts import draw_lead_days
from backorder_forecast.reorders import arrival_periods, order_targets, row_quantiles

if TYPE_CHECKING:
    from backorder_forecast.simulation import Draws, World

CAUSE_PATHS = 200
"""Paths on which causes are explained; their error is reported beside them."""

MORE_LIKELY = 0.5
"""Weight of a stop from which late orders are laid at the supplier's door."""

Ints = NDArray[np.int64]


def explain(world: World, facts: pd.DataFrame, draws: Draws, stockouts: pd.DataFrame, start: int) -> pd.DataFrame:
    """Causes of the items at watch or above of a bucket that begins with item `start`; empty where there are none.

    Returns
    -------
    DataFrame
        Columns of `cause_frame` and cause_text.
    """
    rows = np.flatnonzero((stockouts["flag"] != "ok").to_numpy())
    if not len(rows):
        return pd.DataFrame()
    bucket = facts.iloc[rows].reset_index(drop=True)
    situation, lines = _situation(world, bucket, draws, rows, start)
    shares = cause_shares(situation)
    level = situation.start
    stopped = world.shocks.item_weight[rows + start] >= MORE_LIKELY
    frame = cause_frame(bucket, shares, np.isclose(level, 0.0, atol=1e-9), level < 0, stopped)
    frame["cause_text"] = _sentences(world, bucket, situation, lines, frame)
    return frame.drop(columns=["empty", "without"])


def _situation(
    world: World, bucket: pd.DataFrame, draws: Draws, rows: Ints, start: int
) -> tuple[Situation, pd.DataFrame]:
    """The situation of the items start + rows, and their open lines."""
    clock, paths = world.clock, slice(0, CAUSE_PATHS)
    items = rows + start
    demand = draws.demand[rows, paths]
    n = len(demand)
    count = np.diff(draws.order_start)[rows]
    take = np.repeat(draws.order_start[rows], count) + np.arange(count.sum()) - np.repeat(count.cumsum() - count, count)
    first = int(world.orders.item_start[start])
    lines = world.orders.frame.iloc[first + take].reset_index(drop=True)
    lines["row"] = np.repeat(np.arange(n), count)
    # Each item is looked at over its own periods, however long others of its bucket are drawn.
    last = draws.n_periods[rows, None]
    ends = np.stack(
        [np.minimum(arrival_periods(d[rows, paths], clock), last) for d in (draws.lead_days, draws.calm_days)]
    )
    shocks = world.shocks
    moved = (draws.calm_days[rows] != draws.lead_days[rows]).any(axis=1)
    shocked = (shocks.line_weight[first + take] > 0) | shocks.closures.concerns(lines["supplier"])
    disrupted = moved | (np.bincount(lines["row"], shocked, n) > 0)
    held = bucket["on_hold"].to_numpy(dtype=np.float64)
    waits = bucket["receipts_held"].to_numpy(dtype=bool) & (count > 0)
    arrivals, version = _arrivals(world, draws, lines, take, start, len(draws.order_start) - 1, disrupted.any())
    typical = np.median(draws.lead_days[rows], axis=1).astype(np.int64)
    # Placed one typical lead time before as_of: what is left of its wait is the deviation from the typical lead time.
    missing_arrival = _periods(draws.calm_days[rows, paths].astype(np.int64) - typical[:, None], clock)
    ratio, excess = world.earlier_ratio[items], bucket["excess_units"].to_numpy(dtype=np.float64)
    written_off = bucket["written_off"].to_numpy(dtype=np.float64)
    position = (bucket["start"] + bucket["on_order"]).to_numpy(dtype=np.float64) + held + excess + written_off
    # At the end of a review cycle the position has fallen by what was wanted in it.
    wanted = (bucket["mean_daily"] * bucket["review_days"]).to_numpy(dtype=np.float64)
    order_up_to = _order_up_to(world, bucket, demand, draws.calm_days[rows, paths], items, last)
    missing = np.maximum((order_up_to - wanted) * ratio - position, 0.0)
    lost = draws.lost[rows, paths]
    applies = np.zeros((n, len(PLAYERS)), dtype=bool)
    applies[:, LATE] = count > 0
    applies[:, SURGE] = (np.abs(ratio - 1.0) > 1e-6) | (excess != 0)
    applies[:, TOO_LITTLE] = missing > 0
    applies[:, DISRUPTION] = disrupted
    applies[:, RECORD] = lost.any(axis=1) | (written_off > 0)
    applies[:, HOLD] = (held > 0) | waits
    situation = Situation(
        start=bucket["start"].to_numpy(dtype=np.float64), demand=demand, demand_ratio=ratio, excess=excess,
        quantity=lines["quantity"].to_numpy(dtype=np.float64), line_start=np.append(0, count.cumsum()).astype(np.int64),
        arrivals=arrivals, version=version, ends=ends.astype(np.int64), missing_order=missing,
        missing_arrival=missing_arrival.astype(np.int64), lost=lost, written_off=written_off, held=held,
        release=day_periods(bucket["release_day"].to_numpy(dtype=np.int64), clock),
        wanted=(bucket["mean_daily"] > 0).to_numpy(dtype=bool), applies=applies,
    )  # fmt: skip
    return situation, lines


def _order_up_to(
    world: World,
    bucket: pd.DataFrame,
    demand: NDArray[np.float64],
    lead_days: NDArray[np.int32],
    items: Ints,
    last: Ints,
) -> NDArray[np.float64]:
    """Order-up-to level with the lead times that the supplier usually has, shape (n_items,)."""
    longest = world.lead.cdf.shape[1]
    days = np.minimum(lead_days, longest) + bucket["review_days"].to_numpy(dtype=np.int64)[:, None]
    end = arrival_periods(days, world.clock)
    total = np.cumsum(demand, axis=2)
    inside = np.clip(end, 1, last)
    sums = np.take_along_axis(total, inside[:, :, None] - 1, axis=2)[:, :, 0]
    later = np.maximum(end - last, 0) * world.model.level[items, None]
    return row_quantiles(sums + later, order_targets(bucket, world.settings))


def day_periods(days: Ints, clock: Clock) -> Ints:
    """First period in which something that comes on a day is usable; beyond the clock its number of periods."""
    table = clock.usable_periods()
    inside = (days >= 0) & (days < len(table))
    return np.where(inside, table[np.where(inside, days, 0)], clock.n_periods).astype(np.int64)


def _arrivals(
    world: World, draws: Draws, lines: pd.DataFrame, take: Ints, start: int, n_items: int, disrupted: bool
) -> tuple[Ints, Ints]:
    """Periods of arrival of the lines by version, and which of them each version is (see `causes.VERSIONS`)."""
    n_paths, keys = min(world.settings.n_paths, CAUSE_PATHS), world.keys[streams.RECEIPTS]
    code = lines["item"].to_numpy(dtype=np.int64)
    waits = world.facts["receipts_held"].to_numpy(dtype=bool)[code]
    release = np.where(waits, world.facts["release_day"].to_numpy(dtype=np.int64)[code], 0)
    now = draws.arrival_days[take, :n_paths]
    line_first = int(world.orders.item_start[start])
    calm = now
    if disrupted:
        calm = draw_shocked_days(world.shocks, world.lead, keys, start, start + n_items, n_paths, disrupted=False)
        calm = world.delayed(calm, line_first, earliest=-NEVER)[take]
    fresh = _fresh_days(world, lines, take + line_first, n_paths)
    shifted = fresh
    if disrupted:
        # An order of a supplier that stands still is late because of that, and not of its own.
        still = stopped_paths(world.shocks, take + line_first, n_paths)
        shifted = np.where(still, now, world.shocks.closures.later(fresh, lines["supplier"])).astype(np.int32)
        fresh = np.where(still, calm, fresh).astype(np.int32)
    # What a day can make is no order's lateness: it holds in every reference.
    made = world.made[0][line_first + take]
    if (made > 0).any():
        now, calm, fresh, shifted = (not_before(base, made) for base in (now, calm, fresh, shifted))
    days: list[NDArray[np.int32]] = []
    version = np.zeros(VERSIONS, dtype=np.int64)
    known: dict[tuple[int, bool], int] = {}
    for v in range(VERSIONS):
        late, shock, hold = v & 1, v >> 1 & 1, v >> 2 & 1
        base = (now if shock else calm) if late else (shifted if shock else fresh)
        key = (id(base), bool(hold and waits.any()))
        if key not in known:
            known[key] = len(days)
            days.append(np.maximum(base, release[:, None]).astype(np.int32) if key[1] else base)
        version[v] = known[key]
    return np.stack([_periods(d, world.clock) for d in days]), version


def _periods(days: NDArray[np.int32] | Ints, clock: Clock) -> Ints:
    """Periods of arrival days; -1 for what came by `as_of`."""
    return np.where(days < 1, -1, arrival_periods(np.maximum(days, 1), clock)).astype(np.int64)


def _fresh_days(world: World, lines: pd.DataFrame, rows: Ints, n_paths: int) -> NDArray[np.int32]:
    """Arrival days if every open order followed its law from its order date, whatever its age; 0 or less: by now."""
    if not len(lines):
        return np.zeros((0, n_paths), dtype=np.int32)
    code = lines["item"].to_numpy(dtype=np.int64)
    ordinal = rows - world.orders.item_start[code]
    keys = world.keys[streams.CAUSES][code] + ordinal.astype(np.uint64)
    days = draw_lead_days(world.lead.cdf, world.lead.law_rows(lines), keys, n_paths).astype(np.int64)
    days = np.where(days >= NEVER, NEVER, days - lines["age_days"].to_numpy(dtype=np.int64)[:, None])
    return days.astype(np.int32)


def _sentences(
    world: World, bucket: pd.DataFrame, situation: Situation, lines: pd.DataFrame, frame: pd.DataFrame
) -> list[str]:
    named = _named_orders(world, situation, lines)
    evidence = world.shocks.evidence.suppliers.set_index("supplier")
    closed = world.shocks.closures.frame
    out = []
    about = bucket.to_dict("records")
    for i, (item, row) in enumerate(zip(about, frame.to_dict("records"), strict=True)):
        risk, cause = row["risk"], row["cause"]
        if cause not in PLAYERS:
            out.append(_unclear(cause, risk, empty=bool(row["empty"])))
            continue
        without = max(row["without"], 0.0)
        # Where one order alone would not help, all late ones together are the cause.
        if cause == PLAYERS[LATE] and i in named and risk - named[i][1] >= MIN_SHARE:
            what, without = named[i]
        elif cause == PLAYERS[DISRUPTION]:
            what = _disruption(str(item["supplier"]), evidence, closed, world.clock.as_of)
        else:
            what = _what(cause, item, situation, i)
        out.append(_risk_words(what, risk, without, empty=bool(row["empty"])))
    return out


def _named_orders(world: World, s: Situation, lines: pd.DataFrame) -> dict[int, tuple[str, float]]:
    """For each item the open order whose punctual arrival lowers the risk most: in words, and the risk then."""
    if not len(lines):
        return {}
    as_of = world.clock.as_of
    usual = np.argmax(world.lead.cdf[world.lead.law_rows(lines)] >= 0.5, axis=1)
    due = lines["promised_date"].fillna(lines["order_date"] + pd.to_timedelta(usual, unit="D"))
    ahead = np.asarray((due - as_of).dt.days, dtype=np.int64)
    risk = risks_if(s, np.where(ahead < 1, -1, day_periods(ahead, world.clock)))
    best = lines.assign(risk=risk, ahead=ahead).sort_values(["row", "risk", "ahead"], kind="stable")
    best = best.drop_duplicates("row")
    words = {}
    for line in best.to_dict("records"):
        promised = pd.notna(line["promised_date"])
        number = str(line["po_id"])
        name = number if number.upper().startswith("PO") else f"PO {number}"
        name = name if number else f"the order of {line['order_date']:%Y-%m-%d}"
        name += f" from {line['supplier']} ({line['quantity']:,.10g} units)"
        days = -line["ahead"]
        if days > 0:
            state = f"is {_days(days)} late" if promised else f"is {_days(days)} over its usual lead time"
        else:
            state = "is likely to come late"
        words[int(line["row"])] = (
            f"{name} {state}; if it arrived {'as promised' if promised else 'now'}",
            line["risk"],
        )
    return words


def _disruption(supplier: str, evidence: pd.DataFrame, closed: pd.DataFrame, as_of: pd.Timestamp) -> str:
    mine = closed[(closed["supplier"] == supplier) & (closed["last"] >= 0)]
    if len(mine):
        day = mine.iloc[0]
        first, last = (f"{as_of + pd.Timedelta(days=int(day[c])):%Y-%m-%d}" for c in ("first", "last"))
        until = f"to {last}" if day["known_end"] else "on, without a known end"
        return f"{supplier} is closed from {first} {until}; if it delivered as usual"
    if supplier in evidence.index:
        told = evidence.loc[supplier]
        return (
            f"{supplier} seems to have stopped: in {told['stopped_days']:.0f} days {told['received']:.3g} deliveries"
            f" came where {told['expected']:.3g} were due; if it delivered as usual"
        )
    return f"{supplier} delivers late everywhere; if it delivered as usual"


def _what(cause: str, item: dict[Hashable, Any], s: Situation, i: int) -> str:
    if cause == PLAYERS[LATE]:
        return "open orders are late; if they were on time"
    if cause == PLAYERS[SURGE]:
        ratio, excess = float(s.demand_ratio[i]), float(s.excess[i])
        days = int(item["excess_days"])
        more = f"in {_days(days)} {excess:,.0f} units more were wanted than forecast" if excess >= 2 else ""
        faster = f"demand is {1 / ratio - 1:.0%} above what was forecast before" if 0 < ratio < 0.995 else ""
        said = " and ".join(w for w in (more, faster) if w) or "demand is above what was forecast"
        return f"{said}; had it gone as forecast"
    if cause == PLAYERS[TOO_LITTLE]:
        on_order = float(item["on_order"])
        there = f"{on_order:,.10g} units are on order" if on_order > 0 else "nothing is on order"
        missing = np.ceil(s.missing_order[i])
        return f"{there}, too little until the next delivery; had {missing:,.0f} more been ordered in time"
    if cause == PLAYERS[RECORD]:
        if item["empty_chance"] > 0:
            shown, days = float(item["on_hand"]), int(item["quiet_length"])
            return f"{shown:,.10g} units are shown, but nothing sold in {_days(days)}: count it; if they are there"
        return f"{s.written_off[i]:,.3g} units went missing since the last counts; had the record been true"
    return f"{s.held[i]:,.10g} units are on hold; if they were released"


def _days(number: int) -> str:
    return f"{number:,} day" if number == 1 else f"{number:,} days"


def _risk_words(what: str, risk: float, without: float, *, empty: bool) -> str:
    if empty:
        return (
            f"nothing is free now; {what}, the risk that demand goes unmet would fall from {risk:.0%} to {without:.0%}"
        )
    return f"{what}, the risk would fall from {risk:.0%} to {without:.0%}"


def _unclear(cause: str, risk: float, *, empty: bool) -> str:
    if cause == "already short":
        return "customers already wait for more than there is; see fill_dates for when they are served"
    if empty:
        return (
            f"nothing is free now; demand before a new order arrives will go unmet with {risk:.0%} probability;"
            " no single input explains it"
        )
    return f"risk {risk:.0%}; no single input explains it"
