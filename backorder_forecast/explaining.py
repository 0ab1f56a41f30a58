"""What is known of items at risk put beside its references, for `causes.py`.

Only items at watch or above are looked at, on all paths of the plan, so that their risk is the one that the frame
`stockouts` states. `cause_words.py` says the result in words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast import streams
from backorder_forecast.cause_words import cause_texts, player_frame
from backorder_forecast.causes import (
    DISRUPTION,
    HOLD,
    LATE,
    PLAYERS,
    RECORD,
    SURGE,
    TOO_LITTLE,
    VERSIONS,
    Situation,
    cause_frame,
    cause_shares,
    sums_until,
)
from backorder_forecast.clock import NEVER, Clock
from backorder_forecast.disruptions import blamed, draw_shocked_days, shocked_arrival_days, stopped_paths
from backorder_forecast.learned_flags import blend_flags, unit_money
from backorder_forecast.order_inputs import day_periods
from backorder_forecast.production import not_before
from backorder_forecast.receipts import draw_new_orders
from backorder_forecast.reorders import arrival_periods, order_targets, row_quantiles

if TYPE_CHECKING:
    from backorder_forecast.simulation import Draws, World

CLEAR = 2.0
"""Standard errors from which a change of the level of demand is one."""

Ints = NDArray[np.int64]


def explain(
    world: World, facts: pd.DataFrame, draws: Draws, stockouts: pd.DataFrame, start: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Causes of the items at watch or above of a bucket that begins with item `start`; empty where there are none.

    At watch or above is the flag of the projection, by the expected cost of a miss against that of acting.

    Returns
    -------
    DataFrame, DataFrame
        One row per item, columns of `cause_frame` and cause_text; one row per item and player, see `player_frame`.
    """
    unknown = np.full(len(facts), np.nan)
    flag = blend_flags(stockouts, unknown, unit_money(facts, world.settings), world.settings)["flag_projected"]
    rows = np.flatnonzero((flag != "ok").to_numpy())
    if not len(rows):
        return pd.DataFrame(), pd.DataFrame()
    bucket = facts.iloc[rows].reset_index(drop=True)
    situation, lines = _situation(world, bucket, draws, rows, start)
    shares = cause_shares(situation)
    level = situation.start
    stated = stockouts["p_unmet_before_arrival"].to_numpy(dtype=np.float64)[rows]
    frame = cause_frame(bucket, shares, np.isclose(level, 0.0, atol=1e-9), level < 0, stated)
    order_by = stockouts["order_by_date"].where(stockouts["order_due"])
    frame["order_by"] = order_by.iloc[rows].reset_index(drop=True)
    frame["limited"] = np.bincount(lines["row"], lines["made"] > 0, len(rows)) > 0
    texts = cause_texts(world, bucket, situation, lines, shares, frame)
    players = player_frame(bucket, situation, shares, frame, texts)
    frame["cause_text"] = texts.main
    return frame.drop(columns=["empty", "short", "order_by", "limited", "without"]), players


def _situation(
    world: World, bucket: pd.DataFrame, draws: Draws, rows: Ints, start: int
) -> tuple[Situation, pd.DataFrame]:
    """The situation of the items start + rows, and their open lines."""
    clock = world.clock
    items = rows + start
    demand = draws.demand[rows]
    n = len(demand)
    count = np.diff(draws.order_start)[rows]
    take = np.repeat(draws.order_start[rows], count) + np.arange(count.sum()) - np.repeat(count.cumsum() - count, count)
    first = int(world.orders.item_start[start])
    lines = world.orders.frame.iloc[first + take].reset_index(drop=True)
    lines["row"] = np.repeat(np.arange(n), count)
    lines["made"] = world.made[0][first + take]
    lines["law"] = world.shocks.worked.frame["law"].to_numpy(dtype=np.int64)[first + take]
    # Each item is looked at over its own periods, however long others of its bucket are drawn.
    last = draws.n_periods[rows, None]
    calm = world.held_back(draws.calm_days[rows], items, new=True)
    both = [days.astype(np.int64) for days in (draws.lead_days[rows], calm)]
    ends = np.stack([np.minimum(arrival_periods(d, clock), last) for d in both])
    # An order that comes later than the simulated days finds what is left then, less demand at its mean.
    later = np.stack(both) - 1 - clock.end_days[draws.n_periods[rows] - 1][:, None]
    mean = bucket["mean_daily"].to_numpy(dtype=np.float64)[:, None]
    beyond = np.where((later >= 0) & (mean > 0), later * mean, -1.0)
    shocks = world.shocks
    moved = (calm != draws.lead_days[rows]).any(axis=1)
    shocked = (shocks.line_weight[first + take] > 0) | shocks.closures.concerns(lines["supplier"])
    disrupted = moved | (np.bincount(lines["row"], shocked, n) > 0)
    held = bucket["releasable"].to_numpy(dtype=np.float64)
    block, unblock = (periods[rows] for periods in world.next_hold(start, start + len(draws.n_periods)))
    coming = bucket["receipts_held"].to_numpy(dtype=bool) | bucket["next_receipts_held"].to_numpy(dtype=bool)
    waits = coming & (count > 0)
    arrivals, version = _arrivals(world, draws, lines, take, start, len(draws.order_start) - 1, disrupted.any())
    typical = np.median(draws.calm_days[rows], axis=1).astype(np.int64)
    # Placed one usual lead time before as_of: what is left of its wait is the deviation from the usual lead time.
    due = (np.minimum(draws.calm_days[rows].astype(np.int64), NEVER // 2) - typical[:, None]).astype(np.int32)
    stopped = shocked_arrival_days(shocks, due, bucket["supplier"], items)
    missing_arrival = np.stack([_periods(days, clock) for days in (stopped, due)])
    ratio, excess = _clear_change(world, items), bucket["excess_units"].to_numpy(dtype=np.float64)
    written_off = bucket["written_off"].to_numpy(dtype=np.float64)
    position = (bucket["start"] + bucket["on_order"]).to_numpy(dtype=np.float64) + held + excess + written_off
    # At the end of a review cycle the position has fallen by what was wanted in it.
    wanted = (bucket["mean_daily"] * bucket["review_days"]).to_numpy(dtype=np.float64)
    order_up_to = _order_up_to(world, bucket, demand, draws.calm_days[rows], items, last)
    missing = np.maximum((order_up_to - wanted) * ratio - position, 0.0)
    lost = draws.lost[rows]
    applies = np.zeros((n, len(PLAYERS)), dtype=bool)
    applies[:, LATE] = count > 0
    applies[:, SURGE] = (np.abs(ratio - 1.0) > 1e-6) | (excess != 0)
    applies[:, TOO_LITTLE] = missing > 0
    applies[:, DISRUPTION] = disrupted
    applies[:, RECORD] = lost.any(axis=1) | (written_off > 0)
    applies[:, HOLD] = (held > 0) | waits | (block < clock.n_periods)
    situation = Situation(
        start=bucket["start"].to_numpy(dtype=np.float64), demand=demand, demand_ratio=ratio, excess=excess,
        quantity=lines["quantity"].to_numpy(dtype=np.float64), line_start=np.append(0, count.cumsum()).astype(np.int64),
        arrivals=arrivals, version=version, ends=ends.astype(np.int64), beyond=beyond, missing_order=missing,
        missing_arrival=missing_arrival, lost=lost, written_off=written_off, held=held,
        release=day_periods(bucket["release_day"].to_numpy(dtype=np.int64), clock),
        applies=applies, block=block, unblock=unblock,
    )  # fmt: skip
    return situation, lines


def _clear_change(world: World, items: Ints) -> NDArray[np.float64]:
    """`earlier_ratio` less what its error explains, shape (n_items,): 1 below two standard errors of the change.

    With z the change in its standard errors 1 - 4 / z^2 of it is kept, as in the positive-part estimator of James &
    Stein (1961): slow items would otherwise have a surge whenever their noisy level moves.
    """
    ratio, level = world.earlier_ratio[items], world.model.level[items]
    # The variance of a level goes with the level.
    variance = world.model.level_variance[items] * (1.0 + ratio)
    change = (1.0 - ratio) * level
    clear = change**2 > CLEAR**2 * variance
    kept = np.where(clear, 1.0 - CLEAR**2 * variance / np.where(clear, change**2, 1.0), 0.0)
    return np.asarray(1.0 - kept * (1.0 - ratio))


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
    sums = sums_until(demand, np.clip(end, 1, last))
    later = np.maximum(end - last, 0) * world.model.level[items, None]
    return row_quantiles(sums + later, order_targets(bucket, world.settings))


def _arrivals(
    world: World, draws: Draws, lines: pd.DataFrame, take: Ints, start: int, n_items: int, disrupted: bool
) -> tuple[Ints, Ints]:
    """Periods of arrival of the lines by version, and which of them each version is (see `causes.VERSIONS`)."""
    n_paths, keys = world.settings.n_paths, world.keys[streams.RECEIPTS]
    code = lines["item"].to_numpy(dtype=np.int64)
    waits = world.facts[["receipts_held", "next_receipts_held"]].to_numpy(dtype=bool)[code].any()
    now = draws.free_days[take]
    line_first = int(world.orders.item_start[start])
    calm = now
    if disrupted:
        blame = blamed(world.shocks)
        calm = draw_shocked_days(blame, world.lead, keys, start, start + n_items, n_paths, disrupted=False)
        calm = world.delayed(calm, line_first, earliest=-NEVER)[take]
    fresh = _fresh_days(world, lines, take + line_first, n_paths)
    shifted = fresh
    if disrupted:
        # An order of a supplier that stands still is late because of that, and not of its own.
        still = stopped_paths(blame, take + line_first, n_paths)
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
        key = (id(base), bool(hold and waits))
        if key not in known:
            known[key] = len(days)
            days.append(world.held_back(base, code) if key[1] else base)
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
    age = lines["age_days"].to_numpy(dtype=np.int64)
    laws = lines["law"].to_numpy(dtype=np.int64)
    days = draw_new_orders(world.lead, laws, lines["supplier"], keys, n_paths, after=-age).astype(np.int64)
    days = np.where(days >= NEVER, NEVER, days - age[:, None])
    return days.astype(np.int32)
