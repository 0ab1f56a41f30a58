"""The shop of a synthetic world, played day by day: order lines, stock, the waiting queue, purchase orders, the record.

Each day: unrecorded losses and finds; receipts and returns reach the shelf; waiting customers who have had enough
leave; the queue is filled first come, first served (a complete-only line at its head keeps the shelf until it is
whole); then new order lines are served, and what is short either balks or joins the queue; the count, and on its
weekday the review, end the day. `on_hand` is what is usable on the shelf; `held` is blocked by a recall or quality
hold; the record shows on_hand + held + error. The loop only moves goods: every chance it needs is drawn beforehand
by `world_chances.py`, so that one change in a world leaves all other chances as they were.

Arrays are (n_days, n_items) or one entry per order line; days are absolute day numbers (day 0 is the first exported).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
NONE = -(10**8)
"""Day number of what does not happen; days of the burn-in are negative too."""


class Lines(NamedTuple):
    """Order lines by day; lines still waiting from before come first, in queue order."""

    item: Ints
    size: Ints
    placed: Ints
    patience: Floats
    """Days until the customer leaves the queue; negative: does not join it."""
    complete: NDArray[np.bool_]
    """Ships only whole."""
    return_lag: Ints
    """Days until the goods come back, 0 if they are kept."""
    customer: Ints


class Slots(NamedTuple):
    """Review days of each item and what becomes of an order placed then, each (n_items, n_slots)."""

    day: Ints
    effort: Floats
    """Share of the needed quantity that the buyer orders: 1, 0.5 or 0."""
    first: Ints
    """Day of the (first) receipt."""
    second: Ints
    """Day of the second receipt, `NONE` without one."""
    share: Floats
    """Share of the quantity in the first receipt."""
    cancelled: Ints
    """Day on which the supplier cancels, `NONE` if never; then nothing arrives."""


class Policy(NamedTuple):
    """How the shop orders, each (n_items,): reorder point and batch from a smoothed demand rate."""

    cover: Floats
    """Stated lead time + review interval, days."""
    safety: Floats
    spread: Floats
    batch_days: Floats
    moq: Floats
    pack: Floats
    live_from: Ints
    """First and last day on which the item is sold."""
    live_to: Ints
    order_from: Ints
    order_to: Ints


class Events(NamedTuple):
    """What happens to the stock unseen, by day, and holds and counts."""

    day: Ints
    item: Ints
    share: Floats
    """Share of the stock that is lost (negative: found)."""
    alert: NDArray[np.bool_]
    """(n_items,): an empty shelf that the record denies is noticed by the first customer."""
    hold_from: Ints
    hold_to: Ints
    hold_share: Floats
    counted: NDArray[np.bool_]
    """(n_days, n_items): the stock is counted at the end of the day."""


class Stock(NamedTuple):
    """State of the shelf at the end of a day, each (n_items,)."""

    on_hand: Ints
    held: Ints
    error: Ints
    on_order: Ints
    rate: Floats
    """The shop's own estimate of demand, units per day."""


class Played(NamedTuple):
    """What happened. Matrices are (n_days, n_items), the rest one entry per order line, slot, event or fill."""

    on_hand: Ints
    held: Ints
    book: Ints
    """What the record shows: on hand + held + error, before the count of the day."""
    unmet: Ints
    """Units wanted and not shipped at once."""
    lost: Ints
    """Units of those who did not join the queue."""
    shipped_now: Ints
    remaining: Ints
    """Units of the line not shipped in the end: waiting, or given up."""
    left: Ints
    """Day on which the customer gave up, `NONE` if not."""
    fill_line: Ints
    fill_day: Ints
    fill_quantity: Ints
    ordered: Ints
    """Units ordered, (n_items, n_slots)."""
    event_change: Ints
    """Units found (positive) or lost in each unseen event."""
    stock: Stock


@nb.njit(cache=True, nogil=True)
def first_part(quantity: int, share: float) -> int:
    """Units in the first of two receipts: at least one, and one is left for the second."""
    return min(max(int(quantity * share + 0.5), 1), quantity - 1)


@nb.njit(cache=True, nogil=True)
def play(
    first_day: int,
    n_open: int,
    open_remaining: Ints,
    lines: Lines,
    starts: Ints,
    begin: Stock,
    due: Ints,
    gone: Ints,
    returned: Ints,
    slots: Slots,
    policy: Policy,
    events: Events,
) -> Played:
    """Play the days of `due` and record what happened.

    Parameters
    ----------
    first_day
        Day number of the first row of the matrices.
    n_open, open_remaining
        The first n_open lines wait already, with these units open.
    lines, starts
        Order lines; those of day d are starts[d] to starts[d + 1].
    begin
        State at the end of the day before.
    due, gone, returned
        Units of earlier orders that arrive, that are cancelled, and of customers' returns, (n_days, n_items); filled
        up in place while playing.
    slots, policy, events
        Reviews, the shop's rules, and what happens unseen.
    """
    n_days, n_items = due.shape
    n_lines = len(lines.item)
    on_hand, held, error = begin.on_hand.copy(), begin.held.copy(), begin.error.copy()
    on_order, rate = begin.on_order.copy(), begin.rate.copy()
    shelf, blocked, book = np.zeros_like(due), np.zeros_like(due), np.zeros_like(due)
    unmet, lost = np.zeros_like(due), np.zeros_like(due)
    shipped_now, left = np.zeros(n_lines, np.int64), np.full(n_lines, NONE, np.int64)
    remaining = np.zeros(n_lines, np.int64)
    remaining[:n_open] = open_remaining
    ordered = np.zeros(slots.day.shape, np.int64)
    changed = np.zeros(len(events.day), np.int64)
    # Each line is completed once, and each item has at most one partial fill a day.
    capacity = n_lines + n_days * n_items
    fill_line, fill_day = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    fill_quantity = np.empty(capacity, np.int64)
    n_fills = 0
    head, tail = np.full(n_items, -1, np.int64), np.full(n_items, -1, np.int64)
    behind = np.full(n_lines, -1, np.int64)
    for line in range(n_open):
        _join(line, lines.item[line], head, tail, behind)
    waiting, wanted, slot = np.zeros(n_items, np.int64), np.zeros(n_items, np.int64), np.zeros(n_items, np.int64)
    for line in range(n_open):
        waiting[lines.item[line]] += remaining[line]
    event = 0
    for d in range(n_days):
        day = first_day + d
        while event < len(events.day) and events.day[event] <= day:
            i = events.item[event]
            change = int(on_hand[i] * abs(events.share[event]) + 0.5)
            changed[event] = -change if events.share[event] > 0 else change
            on_hand[i] += changed[event]
            error[i] -= changed[event]
            event += 1
        for i in range(n_items):
            if events.hold_from[i] == day:
                held[i] = int(on_hand[i] * events.hold_share[i] + 0.5)
                on_hand[i] -= held[i]
            if events.hold_to[i] == day:
                on_hand[i] += held[i]
                held[i] = 0
            on_hand[i] += due[d, i] + returned[d, i]
            on_order[i] -= due[d, i] + gone[d, i]
            wanted[i] = 0
            if head[i] >= 0:
                # Orders, fills and departures happen at noon of their day or between: leaving by today's noon
                # precedes the fill, leaving after it follows.
                waiting[i] -= _leave(i, day, 0.0, lines, remaining, left, head, tail, behind)
                while head[i] >= 0 and on_hand[i] > 0:
                    line = head[i]
                    units = min(on_hand[i], remaining[line])
                    if lines.complete[line] and units < remaining[line]:
                        break
                    fill_line[n_fills], fill_day[n_fills], fill_quantity[n_fills] = line, day, units
                    n_fills += 1
                    on_hand[i] -= units
                    waiting[i] -= units
                    remaining[line] -= units
                    if remaining[line] == 0:
                        head[i] = behind[line]
                        if head[i] < 0:
                            tail[i] = -1
        for line in range(starts[d], starts[d + 1]):
            i, size = lines.item[line], lines.size[line]
            units = 0
            if head[i] < 0 and (on_hand[i] >= size or not lines.complete[line]):
                units = min(on_hand[i], size)
            shipped_now[line] = units
            on_hand[i] -= units
            wanted[i] += units
            short = size - units
            if short == 0:
                back = d + lines.return_lag[line]
                if back > d and back < n_days:
                    returned[back, i] += size
                continue
            unmet[d, i] += short
            denied = error[i] > 0 and on_hand[i] == 0 and head[i] < 0
            if denied and events.alert[i]:
                error[i] = 0
                denied = False
            if denied or lines.patience[line] < 0.0:
                lost[d, i] += short
            else:
                remaining[line] = short
                waiting[i] += short
                wanted[i] += short
                _join(line, i, head, tail, behind)
        for i in range(n_items):
            if head[i] >= 0:
                waiting[i] -= _leave(i, day, 0.5, lines, remaining, left, head, tail, behind)
            error[i] = max(error[i], -(on_hand[i] + held[i]))
            shelf[d, i], blocked[d, i], book[d, i] = on_hand[i], held[i], on_hand[i] + held[i] + error[i]
            if events.counted[d, i]:
                error[i] = 0
            if policy.live_from[i] <= day <= policy.live_to[i]:
                rate[i] += 0.02 * (wanted[i] - rate[i])
            if slot[i] < slots.day.shape[1] and slots.day[i, slot[i]] == day:
                s = slot[i]
                slot[i] += 1
                quantity = 0
                if policy.order_from[i] <= day <= policy.order_to[i]:
                    position = on_hand[i] + error[i] + on_order[i] - waiting[i]
                    quantity = _order(position, rate[i], i, policy, slots.effort[i, s])
                ordered[i, s] = quantity
                on_order[i] += quantity
                part = quantity
                if slots.second[i, s] != NONE and quantity > 1:
                    part = first_part(quantity, slots.share[i, s])
                    _put(due, slots.second[i, s] - first_day, i, quantity - part)
                if slots.cancelled[i, s] != NONE:
                    _put(gone, slots.cancelled[i, s] - first_day, i, quantity)
                else:
                    _put(due, slots.first[i, s] - first_day, i, part)
    return Played(
        shelf, blocked, book, unmet, lost, shipped_now, remaining, left,
        fill_line[:n_fills].copy(), fill_day[:n_fills].copy(), fill_quantity[:n_fills].copy(), ordered, changed,
        Stock(on_hand, held, error, on_order, rate),
    )  # fmt: skip


@nb.njit(cache=True, nogil=True)
def queue_days(
    first_day: int, n_open: int, open_remaining: Ints, lines: Lines, played: Played, on_hand: Ints, n_items: int
) -> tuple[Ints, Ints, Ints, Ints]:
    """When each waiting line would be served had its customer stayed, and how long a new line would wait.

    The cumulative supply of an item must reach the line's place: units shipped to those ahead of it (who may have
    left) plus its own, and all ahead must be served or gone. Day numbers count from the day before `first_day`;
    -1 means not within the days played.

    Returns
    -------
    first unit and complete, each (n_open,); wait of a new unit at the end of the queue (n_items,), 0 = at once; and
    the supply (n_days, n_items) that reached the shelf.
    """
    n_days = played.on_hand.shape[0]
    shipped = np.zeros((n_days, n_items), np.int64)
    for f in range(len(played.fill_line)):
        shipped[played.fill_day[f] - first_day, lines.item[played.fill_line[f]]] += played.fill_quantity[f]
    for line in range(n_open, len(lines.item)):
        shipped[lines.placed[line] - first_day, lines.item[line]] += played.shipped_now[line]
    supply = np.zeros((n_days + 1, n_items), np.int64)
    for i in range(n_items):
        supply[0, i] = on_hand[i]
        for d in range(n_days):
            before = played.on_hand[d - 1, i] if d > 0 else on_hand[i]
            supply[d + 1, i] = supply[d, i] + played.on_hand[d, i] - before + shipped[d, i]
    done = np.full(n_open, -1, np.int64)
    for f in range(len(played.fill_line)):
        line = played.fill_line[f]
        if line < n_open and played.remaining[line] == 0 and played.left[line] == NONE:
            done[line] = played.fill_day[f] - first_day + 1
    ahead, clear = np.zeros(n_items, np.int64), np.zeros(n_items, np.int64)
    first, complete = np.full(n_open, -1, np.int64), np.full(n_open, -1, np.int64)
    for line in range(n_open):
        i = lines.item[line]
        if clear[i] >= 0:
            complete[line] = _reached(supply, i, ahead[i] + open_remaining[line], clear[i])
            own = open_remaining[line] if lines.complete[line] else 1
            first[line] = _reached(supply, i, ahead[i] + own, clear[i])
            if played.left[line] != NONE:
                # Leaving after noon frees the place for the next day.
                late = lines.patience[line] > played.left[line] - lines.placed[line]
                clear[i] = max(clear[i], played.left[line] - first_day + 1 + int(late))
            elif done[line] >= 0:
                clear[i] = max(clear[i], done[line])
            else:
                clear[i] = -1
            ahead[i] += open_remaining[line] - played.remaining[line]
    fresh = np.full(n_items, -1, np.int64)
    for i in range(n_items):
        if clear[i] >= 0:
            fresh[i] = _reached(supply, i, ahead[i] + 1, clear[i])
    return first, complete, fresh, supply


@nb.njit(cache=True, nogil=True)
def _reached(supply: Ints, item: int, units: int, earliest: int) -> int:
    for d in range(earliest, supply.shape[0]):
        if supply[d, item] >= units:
            return d
    return -1


@nb.njit(cache=True, nogil=True)
def _join(line: int, item: int, head: Ints, tail: Ints, behind: Ints) -> None:
    if head[item] < 0:
        head[item] = line
    else:
        behind[tail[item]] = line
    tail[item] = line


@nb.njit(cache=True, nogil=True)
def _leave(
    item: int, day: int, after_noon: float, lines: Lines, remaining: Ints, left: Ints, head: Ints, tail: Ints,
    behind: Ints,
) -> int:  # fmt: skip
    """Take those out of the queue whose patience ended; returns the units that no longer wait."""
    units = 0
    before, line = -1, head[item]
    while line >= 0:
        after = behind[line]
        if lines.patience[line] <= day - lines.placed[line] + after_noon:
            left[line] = day
            units += remaining[line]
            if before < 0:
                head[item] = after
            else:
                behind[before] = after
            if after < 0:
                tail[item] = before
        else:
            before = line
        line = after
    return units


@nb.njit(cache=True, nogil=True)
def _order(position: float, rate: float, i: int, policy: Policy, effort: float) -> int:
    """Units to order: nothing above the reorder point, else up to one batch above it, in whole packs."""
    cover = policy.cover[i]
    point = rate * cover + policy.safety[i] * math.sqrt(max(rate, 0.0) * policy.spread[i] * cover)
    if position > point or effort <= 0.0:
        return 0
    needed = (point + max(rate * policy.batch_days[i], 1.0) - position) * effort
    return int(math.ceil(max(needed, policy.moq[i]) / policy.pack[i]) * policy.pack[i])


@nb.njit(cache=True, nogil=True)
def _put(matrix: Ints, d: int, item: int, units: int) -> None:
    if 0 <= d < matrix.shape[0]:
        matrix[d, item] += units
