"""Which input makes the risk: Shapley shares over the inputs that differ from their reference.

The risk explained is P(unmet demand before an order placed now arrives), `p_unmet_before_arrival` of the frame
`stockouts`, on all of its paths. Each player is moved from its reference to
what is known now, on the same draws, in every order; its share is the average change it makes (Shapley 1953). Players
and references:

- late order: every open order follows its supplier's law from its order date, unconditioned on its lateness (but for
  what the other orders of its supplier lay at the supplier's door, `disruptions.blamed`, which is the disruption's);
- demand surge: demand goes on, and has been since, as forecast one protection interval earlier (a change of the level
  within two standard errors is none);
- ordered too little: the order that would have lifted the position to its order-up-to level of that time, placed one
  usual lead time before `as_of`, is on its way (kept back by a disruption like every other order);
- supplier disruption: the state that a supplier's orders share has its prior weight, and nobody is closed;
- record error: the recorded stock is true, and nothing went missing since the last snapshots;
- recall or hold: stock and deliveries on hold are usable.

A player that is at its reference anyway is left out for that item. Shares add up to risk now less risk with all
references (`baseline`); the Monte-Carlo error of each is that of the mean over paths of each path's own share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

MIN_SHARE = 0.05
"""Least change of the risk that is named a cause: below it there is nothing a buyer could act on."""
PLAYERS = (
    "late order", "demand surge", "ordered too little", "supplier disruption", "record error", "recall or hold",
)  # fmt: skip
LATE, SURGE, TOO_LITTLE, DISRUPTION, RECORD, HOLD = range(len(PLAYERS))
VERSIONS = 8
"""Arrivals of open orders: bit 0 late order, bit 1 supplier disruption, bit 2 recall or hold is as it is now."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Situation:
    """What is known now and the references, for a bucket of items.

    Attributes
    ----------
    start
        Recorded usable stock less units waiting, shape (n_items,).
    demand
        Units, shape (n_items, n_paths, n_periods); `demand_ratio` (reference level / level now) and `excess` (units
        wanted beyond the forecast since) have shape (n_items,).
    quantity, line_start
        Units of each open order line; item i has the lines line_start[i] to line_start[i + 1].
    arrivals, version
        Periods of their arrival (-1: by now), one array (n_lines, n_paths) per version that differs, and which of them
        each of the `VERSIONS` is.
    ends
        Period of the arrival of an order placed now, and the same without disruption, shape (2, n_items, n_paths).
    beyond
        Units that must be left after the simulated periods where that order arrives later still; -1 where it does not.
        Shape (2, n_items, n_paths).
    missing_order, missing_arrival
        Units, shape (n_items,), and period (-1: by now) of the order that would have been placed, as it is now and
        without disruption, shape (2, n_items, n_paths).
    lost, written_off
        Units that the record shows and the shelf lacks, (n_items, n_paths), and units found missing since, (n_items,).
    held, release
        Units on hold, and the period in which they are usable again, shape (n_items,).
    applies
        Which players differ from their reference, shape (n_items, n_players).
    block, unblock
        Periods in which a hold that is known to come takes what is on the shelf, and gives it back, shape (n_items,);
        none by default.
    """

    start: Floats
    demand: Floats
    demand_ratio: Floats
    excess: Floats
    quantity: Floats
    line_start: Ints
    arrivals: Ints
    version: Ints
    ends: Ints
    beyond: Floats
    missing_order: Floats
    missing_arrival: Ints
    lost: Floats
    written_off: Floats
    held: Floats
    release: Ints
    applies: NDArray[np.bool_]
    block: Ints | None = None
    unblock: Ints | None = None

    def planned(self) -> tuple[Ints, Ints]:
        """`block` and `unblock`; beyond the simulated periods where none is known."""
        never = np.full(len(self.start), self.demand.shape[2], dtype=np.int64)
        return never if self.block is None else self.block, never if self.unblock is None else self.unblock


@dataclass(frozen=True, eq=False)
class Shares:
    """Risk now and with all references (n_items,), shares and their errors (n_items, n_players), and the risk with
    one player alone at its reference, `without` (n_items, n_players)."""

    risk: Floats
    baseline: Floats
    share: Floats
    error: Floats
    without: Floats


def shapley(players: Sequence[str], value: Callable[[frozenset[str]], Floats]) -> dict[str, Floats]:
    """Shapley shares of a game given by the value of every coalition.

    Examples
    --------
    >>> import numpy as np
    >>> risk = {frozenset(): 0.1, frozenset("A"): 0.3, frozenset("B"): 0.2, frozenset("AB"): 0.6}
    >>> {k: round(float(v), 3) for k, v in shapley("AB", lambda s: np.asarray(risk[s])).items()}
    {'A': 0.3, 'B': 0.2}
    """
    n = len(players)
    values = {
        frozenset(group): value(frozenset(group)) for size in range(n + 1) for group in combinations(players, size)
    }
    shares: dict[str, Floats] = {}
    for player in players:
        share = np.zeros_like(values[frozenset()])
        for group, worth in values.items():
            if player not in group:
                weight = factorial(len(group)) * factorial(n - len(group) - 1) / factorial(n)
                share = share + weight * (values[group | {player}] - worth)
        shares[player] = share
    return shares


def cause_shares(situation: Situation) -> Shares:
    """Shapley shares of every item's risk."""
    s = situation
    return Shares(
        *_shares(
            s.start, s.demand, s.demand_ratio, s.excess, s.quantity, s.line_start, s.arrivals, s.version, s.ends,
            s.beyond, s.missing_order, s.missing_arrival, s.lost, s.written_off, s.held, s.release, *s.planned(),
            s.applies, _weights(),
        )
    )  # fmt: skip


def risks_if(situation: Situation, arrivals: Ints) -> Floats:
    """Risk of its item had one open line arrived in another period, all else as it is now; shape (n_lines,).

    `arrivals` (n_lines,) are those periods.
    """
    s = situation
    return np.asarray(
        _risks_if(
            s.start, s.demand, s.quantity, s.line_start, s.arrivals[s.version[VERSIONS - 1]], s.ends[0], s.beyond[0],
            s.lost, s.held, s.release, *s.planned(), arrivals,
        )
    )  # fmt: skip


def cause_frame(
    items: pd.DataFrame,
    shares: Shares,
    empty: NDArray[np.bool_],
    short: NDArray[np.bool_],
    risk: Floats | None = None,
) -> pd.DataFrame:
    """Cause of each item's risk, one row per item in item order.

    `empty` items have nothing on the shelf, `short` ones owe more than there is. `risk` is what the plan states where
    that is not the mean over these paths; the difference is part of the baseline.

    Returns
    -------
    DataFrame
        sku, location, risk, baseline, one column per player, monte_carlo_error (of the largest share), cause,
        cause_share, without (the risk if that cause alone were at its reference), empty, short. The cause is the player
        with the largest share; below two standard errors, or `MIN_SHARE`, it is "not distinguishable", or "already
        short" where customers wait for more than there is.
    """
    stated = shares.risk if risk is None else risk
    best = shares.share.argmax(axis=1)
    rows = np.arange(len(best))
    top, error = shares.share[rows, best], shares.error[rows, best]
    clear = (top > 0) & distinguishable(top, error)
    frame = items[["sku", "location"]].reset_index(drop=True).copy()
    frame["risk"], frame["baseline"] = stated, shares.baseline + (stated - shares.risk)
    for k, player in enumerate(PLAYERS):
        frame[player.replace(" ", "_")] = shares.share[:, k]
    frame["monte_carlo_error"] = error
    names = np.asarray(PLAYERS, dtype=object)[best]
    frame["cause"] = np.select([clear, short], [names, "already short"], "not distinguishable").astype(str)
    frame["cause_share"] = np.where(clear, top, np.nan)
    frame["without"] = np.where(clear, stated_risk(shares.without[rows, best], shares, stated), np.nan)
    frame["empty"], frame["short"] = empty, short
    return frame


def distinguishable(share: Floats, error: Floats) -> NDArray[np.bool_]:
    """Whether shares are changes of the risk to speak of: beyond two standard errors and `MIN_SHARE`, up or down."""
    return np.asarray(np.abs(share) > np.maximum(2 * error, MIN_SHARE))


def stated_risk(value: Floats, shares: Shares, stated: Floats) -> Floats:
    """A risk on these paths (n_items,) as it stands beside the one stated: the same difference, within 0 and 1."""
    return np.clip(stated - (shares.risk - value), 0.0, 1.0)


def _weights() -> Floats:
    """Weight of a coalition of size s among k players, [k, s] = s! (k - s - 1)! / k!."""
    n = len(PLAYERS)
    table = np.zeros((n + 1, n + 1))
    for k in range(1, n + 1):
        for size in range(k):
            table[k, size] = factorial(size) * factorial(k - size - 1) / factorial(k)
    return table


@nb.njit(cache=True, nogil=True)
def _is_short(level, lost, demand, factor, receipts, until, beyond, block, unblock):  # type: ignore[no-untyped-def]
    # Who waits already is short at once, whatever the path does next.
    level += receipts[0]
    if level < -1e-9:
        return 1.0
    level -= lost
    kept = 0.0
    for t in range(until):
        level += receipts[t + 1]
        if t == block:
            kept = max(level, 0.0)
            level -= kept
        if t == unblock:
            level += kept
        level -= demand[t] * factor
        if level < -1e-9:
            return 1.0
    return 1.0 if beyond >= 0.0 and level <= beyond * factor else 0.0


@nb.njit(cache=True, nogil=True)
def _shares(  # type: ignore[no-untyped-def]
    start, demand, ratio, excess, quantity, line_start, arrivals, version, ends, beyond, missing, missing_arrival,
    lost, written_off, held, release, block, unblock, applies, weights,
):  # fmt: skip
    n_items, n_paths, n_periods = demand.shape
    n_players = applies.shape[1]
    everyone = (1 << n_players) - 1
    risk, base = np.zeros(n_items), np.zeros(n_items)
    share, square = np.zeros((n_items, n_players)), np.zeros((n_items, n_players))
    without = np.zeros((n_items, n_players))
    # Column 0 holds what is there by now.
    receipts = np.zeros((8, n_periods + 1))
    for i in range(n_items):
        player = np.flatnonzero(applies[i])
        k = len(player)
        out = np.zeros(1 << k)
        known = np.zeros(8, dtype=np.bool_)
        for p in range(n_paths):
            known[:] = False
            for group in range(1 << k):
                # Bits of the players at what they are now; those that do not apply are at both.
                now = everyone
                for j in range(k):
                    if not group >> j & 1:
                        now &= ~(1 << player[j])
                v = version[(now & 1) | (now >> 3 & 1) << 1 | (now >> 5 & 1) << 2]
                if not known[v]:
                    receipts[v] = 0.0
                    for line in range(line_start[i], line_start[i + 1]):
                        if arrivals[v, line, p] < n_periods:
                            receipts[v, arrivals[v, line, p] + 1] += quantity[line]
                    known[v] = True
                level = start[i]
                factor = 1.0
                if not now >> 1 & 1:
                    factor = ratio[i]
                    level += excess[i]
                gone = lost[i, p]
                if not now >> 4 & 1:
                    level += written_off[i]
                    gone = 0.0
                state = 0 if now >> 3 & 1 else 1
                extra, at = 0.0, n_periods
                if not now >> 2 & 1:
                    extra, at = missing[i], missing_arrival[state, i, p]
                back = shut = n_periods
                if now >> 5 & 1:
                    back, shut = release[i], block[i]
                else:
                    level += held[i]
                if at < n_periods:
                    receipts[v, at + 1] += extra
                if back < n_periods:
                    receipts[v, back + 1] += held[i]
                until = min(ends[state, i, p], n_periods)
                out[group] = _is_short(
                    level,
                    gone,
                    demand[i, p],
                    factor,
                    receipts[v],
                    until,
                    beyond[state, i, p],
                    shut,
                    unblock[i],
                )
                if at < n_periods:
                    receipts[v, at + 1] -= extra
                if back < n_periods:
                    receipts[v, back + 1] -= held[i]
            risk[i] += out[-1]
            base[i] += out[0]
            for j in range(k):
                mine = 0.0
                for group in range(1 << k):
                    if not group >> j & 1:
                        size = 0
                        for other in range(k):
                            size += group >> other & 1
                        mine += weights[k, size] * (out[group | 1 << j] - out[group])
                share[i, player[j]] += mine
                square[i, player[j]] += mine * mine
                without[i, player[j]] += out[((1 << k) - 1) & ~(1 << j)]
    share, square = share / n_paths, square / n_paths
    # A share that is the same on all paths seen is not known without error either.
    error = np.sqrt(np.maximum(square - share * share, 0.25 / n_paths) / n_paths)
    return risk / n_paths, base / n_paths, share, error, without / n_paths


@nb.njit(cache=True, nogil=True)
def sums_until(demand, end):  # type: ignore[no-untyped-def]
    """Demand of the first `end` periods of each path: (n_items, n_paths, n_periods), (n_items, n_paths)."""
    n_items, n_paths, _ = demand.shape
    out = np.zeros((n_items, n_paths))
    for i in range(n_items):
        for p in range(n_paths):
            total = 0.0
            for t in range(end[i, p]):
                total += demand[i, p, t]
            out[i, p] = total
    return out


@nb.njit(cache=True, nogil=True)
def _risks_if(  # type: ignore[no-untyped-def]
    start, demand, quantity, line_start, arrivals, ends, beyond, lost, held, release, block, unblock, other
):
    n_items, n_paths, n_periods = demand.shape
    out = np.zeros(len(quantity))
    receipts = np.zeros(n_periods + 1)
    for i in range(n_items):
        for moved in range(line_start[i], line_start[i + 1]):
            for p in range(n_paths):
                receipts[:] = 0.0
                for line in range(line_start[i], line_start[i + 1]):
                    at = other[line] if line == moved else arrivals[line, p]
                    if at < n_periods:
                        receipts[at + 1] += quantity[line]
                if release[i] < n_periods:
                    receipts[release[i] + 1] += held[i]
                until = min(ends[i, p], n_periods)
                out[moved] += _is_short(
                    start[i],
                    lost[i, p],
                    demand[i, p],
                    1.0,
                    receipts,
                    until,
                    beyond[i, p],
                    block[i],
                    unblock[i],
                )
    return out / n_paths
