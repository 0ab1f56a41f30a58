"""Which input makes the risk: Shapley shares over the inputs that differ from their reference.

The risk explained is P(unmet demand before an order placed now arrives). Each player is moved from its reference to
what is known now, on the same draws, in every order; its share is the average change it makes (Shapley 1953). Players
and references:

- late order: every open order follows its supplier's law from its order date, unconditioned on its lateness;
- demand surge: the level that was forecast one protection interval earlier;
- ordered too little: the order that would have lifted the position to its order-up-to level at the last review before
  `as_of` less the lead time is on its way;
- held stock: stock on hold is usable.

Shares add up to risk now less risk with all references (`baseline`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

MIN_SHARE = 0.05
"""Least change of the risk that is named a cause: below it there is nothing a buyer could act on."""
PLAYERS = ("late order", "demand surge", "ordered too little", "held stock")


@dataclass(frozen=True, eq=False)
class Situation:
    """What is known now and the references, for a bucket of items.

    `start`, `held`, `missing_order` (units) and `demand_ratio` (reference level / level now) have shape (n_items,);
    `demand`, `receipts`, `reference_receipts` (n_items, n_paths, n_periods); `arrival` (period of an order placed now)
    and `missing_arrival` (of the missing order) (n_items, n_paths).
    """

    start: NDArray[np.float64]
    held: NDArray[np.float64]
    missing_order: NDArray[np.float64]
    demand_ratio: NDArray[np.float64]
    demand: NDArray[np.float64]
    receipts: NDArray[np.float64]
    reference_receipts: NDArray[np.float64]
    arrival: NDArray[np.int64]
    missing_arrival: NDArray[np.int64]


def shapley(
    players: Sequence[str], value: Callable[[frozenset[str]], NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
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
    shares: dict[str, NDArray[np.float64]] = {}
    for player in players:
        share = np.zeros_like(values[frozenset()])
        for group, worth in values.items():
            if player not in group:
                weight = factorial(len(group)) * factorial(n - len(group) - 1) / factorial(n)
                share = share + weight * (values[group | {player}] - worth)
        shares[player] = share
    return shares


def cause_frame(items: pd.DataFrame, situation: Situation) -> pd.DataFrame:
    """Cause of each item's risk, one row per item in item order.

    Returns
    -------
    DataFrame
        sku, location, risk, baseline, one column per player, monte_carlo_error, cause, cause_share, cause_text. The
        cause is the player with the largest share; below two standard errors, or `MIN_SHARE`, it is "not
        distinguishable", or "already short" where customers wait for more than there is.
    """
    risks = _coalition_risks(situation)
    shares = shapley(PLAYERS, lambda group: risks[group])
    now, baseline = risks[frozenset(PLAYERS)], risks[frozenset()]
    n_paths = situation.demand.shape[1]
    error = np.sqrt(np.maximum(now * (1 - now), 0.25 / n_paths) / n_paths)
    table = np.stack([shares[p] for p in PLAYERS], axis=1)
    best = table.argmax(axis=1)
    top = table[np.arange(len(table)), best]
    clear = top > np.maximum(2 * error, MIN_SHARE)
    frame = items[["sku", "location"]].reset_index(drop=True).copy()
    frame["risk"], frame["baseline"] = now, baseline
    for k, player in enumerate(PLAYERS):
        frame[player.replace(" ", "_")] = table[:, k]
    frame["monte_carlo_error"] = error
    names = np.asarray(PLAYERS, dtype=object)[best]
    waiting = ~clear & (situation.start < 0)
    # An empty shelf is called out at once; the risk here is that of the demand still to come.
    empty = np.isclose(situation.start, 0.0, atol=1e-9)
    frame["cause"] = np.select([clear, waiting], [names, "already short"], "not distinguishable").astype(str)
    frame["cause_share"] = np.where(clear, top, np.nan)
    frame["cause_text"] = [
        _sentence(c, r, r - t, empty=e) if ok else _UNCLEAR["waiting" if w else "empty" if e else "risk"].format(risk=r)
        for c, r, t, ok, w, e in zip(names, now, top, clear, waiting.tolist(), empty.tolist(), strict=True)
    ]
    return frame


_UNCLEAR = {
    "waiting": "customers already wait for more than there is; see fill_dates for when they are served",
    "empty": "stock is zero now; demand before a new order arrives will go unmet with {risk:.0%} probability;"
    " no single input explains it",
    "risk": "risk {risk:.0%}; no single input explains it",
}


def _sentence(cause: str, risk: float, without: float, *, empty: bool) -> str:
    texts: Mapping[str, str] = {
        "late order": "open orders are late",
        "demand surge": "demand is above what was forecast when the last order was due",
        "ordered too little": "too little is on order for the demand until the next delivery",
        "held stock": "stock is on hold",
    }
    if empty:
        return (
            f"stock is zero now; {texts[cause]}; demand before a new order arrives will go unmet with {risk:.0%}"
            f" probability, without that with about {max(without, 0.0):.0%}"
        )
    return f"{texts[cause]}; without that the risk would be about {max(without, 0.0):.0%} instead of {risk:.0%}"


def _coalition_risks(s: Situation) -> dict[frozenset[str], NDArray[np.float64]]:
    risks = _risks(
        s.start, s.held, s.missing_order, s.demand_ratio, s.demand, s.receipts, s.reference_receipts, s.arrival,
        s.missing_arrival,
    )  # fmt: skip
    # Bit k of a row of `risks` says whether player k is as it is now.
    return {
        frozenset(p for k, p in enumerate(PLAYERS) if bits >> k & 1): risks[:, bits]
        for bits in range(2 ** len(PLAYERS))
    }


@nb.njit(cache=True, nogil=True)
def _risks(start, held, missing_order, ratio, demand, receipts, reference, arrival, missing_arrival):  # type: ignore[no-untyped-def]
    """Share of paths that are short before the arrival, per item and coalition (bits in the order of `PLAYERS`)."""
    n_items, n_paths, n_periods = demand.shape
    risks = np.zeros((n_items, 16))
    for i in range(n_items):
        for bits in range(16):
            factor = 1.0 if bits & 2 else ratio[i]
            begin = start[i] if bits & 8 else start[i] + held[i]
            ordered = 0.0 if bits & 4 else missing_order[i]
            short = 0
            for p in range(n_paths):
                level = begin
                # Already short is unmet demand at once, whatever the path does next.
                if level < 0.0:
                    short += 1
                    continue
                for t in range(min(arrival[i, p], n_periods)):
                    level += receipts[i, p, t] if bits & 1 else reference[i, p, t]
                    if t == missing_arrival[i, p]:
                        level += ordered
                    level -= demand[i, p, t] * factor
                    if level < 0.0:
                        short += 1
                        break
            risks[i, bits] = short / n_paths
    return risks
