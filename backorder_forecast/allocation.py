"""Who is served first when supply is short.

Three rules share one signature. First come (`fifo`) and `priority` (1 before 2, then first come) serve in a queue that
is never overtaken: what is set aside for a line that takes only its complete quantity is held for it. Fair share is
weighted max-min: a level rises, line i receives weight_i * level until its demand is met (water filling).
`compare_allocations` shows the rules side by side on dated supply. Quantities are units of one item.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numba as nb
import numpy as np
import pandas as pd

from backorder_forecast.queues import TOLERANCE, cumulative_by_item, fair_filled, positive_weights, queue_needs
from backorder_forecast.settings import ALLOCATIONS

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
    wants = _Wants(supply, demand, order_date, priority, weights, complete_only, cap, whole_units)
    return _serve_queue(wants, np.argsort(wants.order_date, kind="stable"))


def allocate_priority(
    supply: float,
    demand: ArrayLike,
    *,
    order_date: ArrayLike | None = None,
    priority: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    complete_only: ArrayLike | None = None,
    cap: ArrayLike | None = None,
    whole_units: bool = False,
) -> NDArray[np.float64]:
    """Smallest priority number first, then first come; lines without a priority come last.

    Parameters and returns as `allocate_fifo`.

    Examples
    --------
    >>> allocate_priority(6, [4, 3, 5], priority=[2, 1, float("nan")]).tolist()
    [3.0, 3.0, 0.0]
    """
    wants = _Wants(supply, demand, order_date, priority, weights, complete_only, cap, whole_units)
    return _serve_queue(wants, np.lexsort((wants.order_date, wants.priority)))


def allocate_fair_share(
    supply: float,
    demand: ArrayLike,
    *,
    order_date: ArrayLike | None = None,
    priority: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    complete_only: ArrayLike | None = None,
    cap: ArrayLike | None = None,
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
    wants = _Wants(supply, demand, order_date, priority, weights, complete_only, cap, whole_units)
    wanted = wants.demand.copy()
    while True:
        share = _water_fill(wants.supply, wanted, wants.weights)
        if wants.whole_units:
            share = _largest_remainder(share, wanted, wants.supply)
        short = wants.complete_only & (wanted > 0) & (share < wants.asked * (1 - TOLERANCE))
        if not short.any():
            return share
        reached = np.where(short, share / np.where(wants.asked > 0, wants.asked, 1.0), np.inf)
        wanted[len(wanted) - 1 - int(np.argmin(reached[::-1]))] = 0.0


def compare_allocations(
    lines: pd.DataFrame,
    supply: pd.DataFrame,
    *,
    rules: Sequence[str] = ALLOCATIONS,
    weights: ArrayLike | None = None,
) -> pd.DataFrame:
    """The same lines and dated supply under each rule, side by side.

    Parameters
    ----------
    lines
        sku, order_id, order_date, quantity; optionally location, customer_id, priority, complete_only.
    supply
        sku, date, quantity; optionally location. Stock on hand is supply dated today.
    weights
        Weights of fair share, shape (n_lines,).

    Returns
    -------
    One row per rule and line: rule, order_id, sku, location, customer_id, quantity, filled_quantity (by the end of
    the supply), first_date, fill_date (NaT where the supply does not reach the line), wait_days.

    Examples
    --------
    >>> lines = pd.DataFrame({"sku": "A", "order_id": ["a", "b"], "quantity": [4.0, 3.0], "priority": [2, 1],
    ...                       "order_date": pd.to_datetime(["2024-01-01", "2024-01-02"])})
    >>> supply = pd.DataFrame({"sku": "A", "date": pd.to_datetime(["2024-01-05", "2024-01-09"]), "quantity": [4, 2]})
    >>> table = compare_allocations(lines, supply, rules=["fifo", "priority"])
    >>> table[["rule", "order_id", "filled_quantity", "wait_days"]].to_dict("split")["data"]
    [['fifo', 'a', 4.0, 4.0], ['fifo', 'b', 2.0, nan], ['priority', 'a', 3.0, nan], ['priority', 'b', 3.0, 3.0]]
    """
    given = lines.assign(**{c: lines.get(c, "") for c in ("location", "customer_id")})
    given["order_date"] = pd.to_datetime(given["order_date"])
    given["weight"] = positive_weights(weights, len(given))
    given["complete_only"] = lines["complete_only"].eq(True) if "complete_only" in lines else False
    given["item"] = given.groupby(["sku", "location"], sort=True).ngroup()
    given = given.sort_values(["item", "order_date", "order_id"], kind="stable", ignore_index=True)
    place = supply.assign(location=supply.get("location", ""), date=pd.to_datetime(supply["date"]))
    codes = given[["sku", "location", "item"]].drop_duplicates()
    place = place.merge(codes, on=["sku", "location"]).sort_values(["item", "date", "quantity"], kind="stable")
    n_items = len(codes)
    pointers = np.concatenate([[0], np.cumsum(np.bincount(place["item"], minlength=n_items))]).astype(np.int64)
    running = cumulative_by_item(pointers, place["quantity"].to_numpy(np.float64))
    dates = np.append(place["date"].to_numpy("datetime64[s]"), np.datetime64("NaT", "s"))
    item = given["item"].to_numpy(np.int64)
    quantity = given["quantity"].to_numpy(np.float64)
    ends = np.maximum(pointers[1:] - 1, 0)
    total = np.where(np.diff(pointers) > 0, np.append(running, 0.0)[ends], 0.0)[item]
    starts = np.append(np.flatnonzero(np.append(True, item[1:] != item[:-1])), len(item))
    parts = []
    for rule in rules:
        first, complete = queue_needs(given, rule=rule, weights=given["weight"])
        first_row, last_row = (_first_reaching(need, item, pointers, running) for need in (first, complete))
        if rule == "fair_share":
            filled = fair_filled(starts, quantity, given["weight"].to_numpy(np.float64), total)
        else:
            filled = np.clip(total - (complete - quantity), 0.0, quantity)
        filled = np.where(given["complete_only"].to_numpy(bool) & (last_row < 0), 0.0, filled)
        part = given[["order_id", "sku", "location", "customer_id", "quantity"]].assign(filled_quantity=filled)
        part.insert(0, "rule", rule)
        part["first_date"], part["fill_date"] = dates[first_row], dates[last_row]
        part["wait_days"] = (part["fill_date"] - given["order_date"]).dt.days.clip(lower=0)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def allocation_summary(comparison: pd.DataFrame) -> pd.DataFrame:
    """One row per rule of `compare_allocations`: what it does to the shop and to the customers.

    Returns
    -------
    rule, units_filled, lines_filled, lines_unfilled, mean_wait_days, worst_wait_days, concentration (sum of squared
    shares of the filled units by customer: 1 is one customer, 1/n is n equal ones).
    """
    records = []
    for rule, part in comparison.groupby("rule", sort=False):
        done = part["fill_date"].notna()
        by_customer = part.groupby("customer_id")["filled_quantity"].sum().to_numpy()
        units = float(by_customer.sum())
        share = by_customer / units if units > 0 else by_customer
        waits = part.loc[done, "wait_days"]
        records.append((rule, units, int(done.sum()), int((~done).sum()), waits.mean(), waits.max(), (share**2).sum()))
    columns = ["rule", "units_filled", "lines_filled", "lines_unfilled", "mean_wait_days", "worst_wait_days"]
    return pd.DataFrame(records, columns=[*columns, "concentration"])


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
        self.order_date: NDArray[Any] = np.zeros(n) if order_date is None else np.asarray(order_date)
        rank = np.full(n, np.inf) if priority is None else np.asarray(priority, dtype=np.float64)
        self.priority = np.where(np.isnan(rank), np.inf, rank)
        self.weights = positive_weights(weights, n)
        self.complete_only = np.zeros(n, bool) if complete_only is None else np.asarray(complete_only, dtype=bool)
        for name in ("demand", "order_date", "priority", "weights", "complete_only"):
            if len(getattr(self, name)) != n:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries, demand has {n}")


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


@nb.njit(cache=True, nogil=True)
def _first_reaching(
    need: NDArray[np.float64], item: NDArray[np.int64], start: NDArray[np.int64], running: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Row of the first supply whose running total reaches the need; -1 where none does."""
    out = np.full(len(need), -1, np.int64)
    for k in range(len(need)):
        for row in range(start[item[k]], start[item[k] + 1]):
            if running[row] >= need[k] - TOLERANCE * max(1.0, need[k]):
                out[k] = row
                break
    return out
