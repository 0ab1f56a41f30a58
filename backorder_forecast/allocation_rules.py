"""One quantity given out among lines that want more: first come, priority, fair share, as plain functions.

The three rules share one signature. First come (`allocate_fifo`) and `allocate_priority` (1 before 2, then first come)
serve in a queue that is never overtaken: what is set aside for a line that takes only its complete quantity is held for
it. Fair share is weighted max-min: a level rises, line i receives weight_i * level until its demand is met (water
filling). A reserve is given to key lines alone before the rest is given to all. Quantities are units of one item.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from backorder_forecast.queues import TOLERANCE, positive_weights

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def allocate_fifo(
    supply: float,
    demand: ArrayLike,
    *,
    order_date: ArrayLike | None = None,
    priority: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    complete_only: ArrayLike | None = None,
    cap: ArrayLike | None = None,
    key: ArrayLike | None = None,
    reserve: float = 0.0,
    whole_units: bool = False,
) -> NDArray[np.float64]:
    """First come, first served.

    Parameters
    ----------
    supply
        Units to give out.
    demand
        Units wanted, shape (n,).
    order_date
        Earlier is served first, ties in the order given; the order given where missing.
    priority
        Not used by this rule (the three rules share one signature).
    weights
        Not used by this rule.
    complete_only
        True where a line takes its complete quantity or nothing; what cannot complete it is held for it.
    cap
        Most units a line may receive.
    key, reserve
        True where the line is of a key customer, and units that only those may have: they are served from them first,
        by the rule, then with all others; what they do not want of it is kept.
    whole_units
        Give whole units only.

    Returns
    -------
    Units per line, shape (n,), never above demand, together never above supply.

    Examples
    --------
    >>> allocate_fifo(6, [4, 3, 5]).tolist()
    [4.0, 2.0, 0.0]
    """
    wants = _Wants(supply, demand, order_date, priority, weights, complete_only, cap, key, reserve, whole_units)
    return _reserved(wants, lambda own: _serve_queue(own, np.argsort(own.order_date, kind="stable")))


def allocate_priority(
    supply: float,
    demand: ArrayLike,
    *,
    order_date: ArrayLike | None = None,
    priority: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    complete_only: ArrayLike | None = None,
    cap: ArrayLike | None = None,
    key: ArrayLike | None = None,
    reserve: float = 0.0,
    whole_units: bool = False,
) -> NDArray[np.float64]:
    """Smallest priority number first, then first come; lines without a priority come last.

    Parameters and returns as `allocate_fifo`.

    Examples
    --------
    >>> allocate_priority(6, [4, 3, 5], priority=[2, 1, float("nan")]).tolist()
    [3.0, 3.0, 0.0]
    """
    wants = _Wants(supply, demand, order_date, priority, weights, complete_only, cap, key, reserve, whole_units)
    return _reserved(wants, lambda own: _serve_queue(own, np.lexsort((own.order_date, own.priority))))


def allocate_fair_share(
    supply: float,
    demand: ArrayLike,
    *,
    order_date: ArrayLike | None = None,
    priority: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    complete_only: ArrayLike | None = None,
    cap: ArrayLike | None = None,
    key: ArrayLike | None = None,
    reserve: float = 0.0,
    whole_units: bool = False,
) -> NDArray[np.float64]:
    """Weighted max-min fair share: min(demand_i, weight_i * level), the level used up exactly.

    A complete-only line whose share stays below its demand gets nothing and its share is poured again over the
    others, the line farthest from complete first. Whole units by largest remainder, never above demand. Parameters
    and returns as `allocate_fifo`; `weights` are positive, for instance past purchases (`purchase_weights`).

    Source: Keshav (1997), An Engineering Approach to Computer Networking, ch. 9; Cachon & Lariviere (1999) for
    weights from past purchases; Hamilton's method for whole units.

    Examples
    --------
    >>> allocate_fair_share(10, [2, 2.6, 4, 5]).round(6).tolist()
    [2.0, 2.6, 2.7, 2.7]
    >>> allocate_fair_share(10, [6, 5, 4, 3], weights=[50, 30, 20, 1], whole_units=True).tolist()
    [5.0, 3.0, 2.0, 0.0]
    """
    wants = _Wants(supply, demand, order_date, priority, weights, complete_only, cap, key, reserve, whole_units)
    return _reserved(wants, _share_fairly)


class _Wants:
    """Checked arguments of the three rules."""

    def __init__(
        self,
        supply: float,
        demand: ArrayLike,
        order_date: ArrayLike | None,
        priority: ArrayLike | None,
        weights: ArrayLike | None,
        complete_only: ArrayLike | None,
        cap: ArrayLike | None,
        key: ArrayLike | None,
        reserve: float,
        whole_units: bool,
    ) -> None:
        self.asked = np.asarray(demand, dtype=np.float64)
        n = len(self.asked)
        if not np.isfinite(self.asked).all() or (self.asked < 0).any():
            raise ValueError("demand must be finite and not negative; set such lines aside first")
        limit = np.full(n, np.inf) if cap is None else np.asarray(cap, dtype=np.float64)
        self.demand = np.minimum(self.asked, limit)
        self.supply = max(float(supply), 0.0)
        if whole_units:
            self.demand, self.supply = np.floor(self.demand + TOLERANCE), float(np.floor(self.supply + TOLERANCE))
        self.whole_units = whole_units
        self.key = np.zeros(n, bool) if key is None else np.asarray(key, dtype=bool)
        if not 0.0 <= reserve < np.inf:
            raise ValueError(f"reserve is a number of units, not negative, got {reserve!r}")
        self.reserve = min(float(np.floor(reserve + TOLERANCE)) if whole_units else float(reserve), self.supply)
        self.order_date: NDArray[Any] = np.zeros(n) if order_date is None else np.asarray(order_date)
        rank = np.full(n, np.inf) if priority is None else np.asarray(priority, dtype=np.float64)
        self.priority = np.where(np.isnan(rank), np.inf, rank)
        self.weights = positive_weights(weights, n)
        self.complete_only = np.zeros(n, bool) if complete_only is None else np.asarray(complete_only, dtype=bool)
        for name in ("demand", "order_date", "priority", "weights", "complete_only", "key"):
            if len(getattr(self, name)) != n:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries, demand has {n}")


def _reserved(wants: _Wants, rule: Callable[[_Wants], NDArray[np.float64]]) -> NDArray[np.float64]:
    """Key lines from the reserve, then all from the rest; a complete-only line gets what both give it, or nothing."""
    if wants.reserve <= 0:
        return rule(wants)
    asked, everyone = wants.asked, wants.complete_only
    wants.complete_only = np.zeros(len(asked), bool)
    total, wanted = wants.supply, wants.demand
    wants.supply, wants.demand = wants.reserve, np.where(wants.key, wanted, 0.0)
    first = rule(wants)
    wants.supply, wants.demand = total - wants.reserve, wanted - first
    # A line that takes all or nothing needs only what the reserve left open.
    wants.complete_only, wants.asked = everyone, asked - first
    share = first + rule(wants)
    return np.where(everyone & (share < asked * (1 - TOLERANCE)), 0.0, share)


def _share_fairly(wants: _Wants) -> NDArray[np.float64]:
    wanted = wants.demand.copy()
    while True:
        share = _water_fill(wants.supply, wanted, wants.weights)
        if wants.whole_units:
            share = _largest_remainder(share, wanted, wants.supply)
        short = wants.complete_only & (wanted > 0) & (share < wants.asked * (1 - TOLERANCE))
        if not short.any():
            return share
        # Rounded, so that lines equally far are told apart by their place and not by the last bits.
        reached = np.where(short, np.round(share / np.where(wants.asked > 0, wants.asked, 1.0), 7), np.inf)
        wanted[len(wanted) - 1 - int(np.argmin(reached[::-1]))] = 0.0


def _serve_queue(wants: _Wants, order: NDArray[np.int64]) -> NDArray[np.float64]:
    """Serve in order; nobody overtakes, so the supply is cut where the queue reaches it."""
    demand = wants.demand[order]
    before = np.cumsum(demand) - demand
    share = np.clip(wants.supply - before, 0.0, demand)
    short = wants.complete_only[order] & (share < wants.asked[order] * (1 - TOLERANCE))
    out = np.zeros(len(share))
    out[order] = np.where(short, 0.0, share)
    return out


def _water_fill(supply: float, demand: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """min(demand, weight * level) with the level at which the supply is used up."""
    order = np.argsort(demand / weight, kind="stable")
    met = np.append(0.0, np.cumsum(demand[order])[:-1])
    rest = np.cumsum(weight[order][::-1])[::-1]
    level = (supply - met) / rest
    # The first line in the order that the level does not satisfy fixes the level.
    open_at = np.flatnonzero(level < (demand / weight)[order])
    if not len(open_at):
        return demand.copy()
    share: NDArray[np.float64] = np.minimum(demand, weight * max(float(level[open_at[0]]), 0.0))
    return share


def _largest_remainder(share: NDArray[np.float64], demand: NDArray[np.float64], supply: float) -> NDArray[np.float64]:
    whole = np.floor(share + TOLERANCE)
    left = int(np.floor(min(supply, demand.sum()) - whole.sum() + TOLERANCE))
    while left > 0:
        room = np.flatnonzero(whole < demand)
        take = room[np.argsort(-(share - whole)[room], kind="stable")][:left]
        whole[take] += 1.0
        left -= len(take)
    return whole
