"""Economic order quantities under steady demand: how much per order, when ordering, holding and waiting cost money.

Demand in units per time, `order_cost` in money per order, `holding_cost` and `backorder_cost` in money per unit and
time, costs returned in money per time. Any time unit serves if it is the same throughout (usually a year). Functions
with one closed form work elementwise on arrays; those that search take one item.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backorder_forecast.errors import InvalidSettings

Floats = NDArray[np.float64]


def eoq(
    demand_rate: ArrayLike, order_cost: ArrayLike, holding_cost: ArrayLike, *, quantity: ArrayLike | None = None
) -> tuple[Floats, Floats]:
    """Order quantity of least ordering and holding cost, Q = sqrt(2 K D / h) (Harris 1913; Snyder & Shen 2019, 3.4).

    Parameters
    ----------
    demand_rate, order_cost, holding_cost
        D, K, h; see the module for units.
    quantity
        Cost this quantity instead of the best one.

    Returns
    -------
    quantity, cost
        Units and money per time, without the purchase cost.

    Examples
    --------
    >>> quantity, cost = eoq(1300, 8, 0.225)
    >>> float(quantity.round(2)), float(cost.round(2))
    (304.05, 68.41)
    """
    d, k, h = (np.asarray(v, dtype=np.float64) for v in (demand_rate, order_cost, holding_cost))
    q = np.sqrt(2.0 * k * d / h) if quantity is None else np.asarray(quantity, dtype=np.float64)
    return np.asarray(q), np.asarray(k * d / q + h * q / 2.0)


def eoq_backorders(
    demand_rate: ArrayLike,
    order_cost: ArrayLike,
    holding_cost: ArrayLike,
    backorder_cost: ArrayLike,
    *,
    quantity: ArrayLike | None = None,
    backordered_share: ArrayLike | None = None,
) -> tuple[Floats, Floats, Floats]:
    """Order quantity and share of demand to backorder when all customers wait (Snyder & Shen 2019, 3.26-3.28).

    Q = sqrt(2 K D (h + p) / (h p)), x = h / (h + p).

    Parameters
    ----------
    demand_rate, order_cost, holding_cost, backorder_cost
        D, K, h, p.
    quantity, backordered_share
        Cost these instead of the best ones.

    Returns
    -------
    quantity, backordered_share, cost

    Examples
    --------
    >>> quantity, share, cost = eoq_backorders(1300, 8, 0.225, 5)
    >>> float(quantity.round(2)), float(share.round(4)), float(cost.round(2))
    (310.81, 0.0431, 66.92)
    """
    d, k, h, p = (np.asarray(v, dtype=np.float64) for v in (demand_rate, order_cost, holding_cost, backorder_cost))
    best = np.sqrt(2.0 * k * d * (h + p) / (h * p))
    q = np.asarray(best if quantity is None else quantity, dtype=np.float64)
    x = np.asarray(h / (h + p) if backordered_share is None else backordered_share, dtype=np.float64)
    cost = k * d / q + h * q * (1.0 - x) ** 2 / 2.0 + p * q * x * x / 2.0
    return q, x, np.asarray(cost)


def eoq_partial_backorders(
    demand_rate: float,
    order_cost: float,
    holding_cost: float,
    backorder_cost: float,
    lost_sale_cost: float,
    waiting_share: float,
) -> tuple[float, float, float]:
    """Time between orders and share filled from stock when a share of the customers waits and the rest is lost.

    T^2 = 2K/(Dh) (h + wb)/(wb) - ((1 - w) l)^2 / (w h b), F = ((1 - w) l + w b T) / (T (h + w b)), with w waiting, b
    the backorder cost and l the cost of a lost unit (Pentico & Drake 2009, EJOR 194). Below
    w = 1 - sqrt(2 K h D) / (D l) running out on purpose does not pay: the EOQ, or where even that costs more than
    losing all demand, no orders.

    Returns
    -------
    cycle_time, filled_share, cost
        Time, share and money per time; without orders inf, 0 and lost_sale_cost * demand_rate.

    Examples
    --------
    >>> [round(v, 3) for v in eoq_partial_backorders(200, 50, 3, 2, 5, 0.8)]
    [0.52, 0.766, 239.043]
    """
    if not 0.0 <= waiting_share <= 1.0:
        raise InvalidSettings(f"waiting_share is a share between 0 and 1, got {waiting_share!r}")
    d, k, h, b, loss, w = demand_rate, order_cost, holding_cost, backorder_cost, lost_sale_cost, waiting_share
    without = math.sqrt(2.0 * k * h * d)
    lost = (1.0 - w) * loss
    candidates = [(math.inf, 0.0, d * loss), (math.sqrt(2.0 * k / (h * d)), 1.0, without)]
    if w > 0.0 and d * lost <= without:
        time = math.sqrt(2.0 * k / (d * h) * (h + w * b) / (w * b) - lost * lost / (w * h * b))
        share = (lost + w * b * time) / (time * (h + w * b))
        short = 1.0 - share
        cost = k / time + d * time * (h * share * share + w * b * short * short) / 2.0 + lost * d * short
        candidates.append((time, share, cost))
    return min(candidates, key=lambda candidate: candidate[2])


def eoq_all_units_discount(
    demand_rate: float,
    order_cost: float,
    holding_cost_rate: float,
    price_breaks: Sequence[float],
    unit_costs: Sequence[float],
) -> tuple[float, float]:
    """Order quantity when the price of every unit falls at larger orders (Snyder & Shen 2019, section 3.4.1).

    Each price's EOQ is raised to the quantity from which the price holds; the cheapest of these is optimal.

    Parameters
    ----------
    holding_cost_rate
        Cost of holding a unit of value, share per time.
    price_breaks, unit_costs
        Quantity from which each price holds (the first 0), increasing, and the price.

    Returns
    -------
    quantity, cost
        Units, and money per time including purchases.

    Examples
    --------
    >>> quantity, cost = eoq_all_units_discount(1300, 8, 0.3, [0, 400, 800], [0.75, 0.72, 0.68])
    >>> quantity, round(cost, 2)
    (800.0, 978.6)
    """
    starts, costs = _price_list(price_breaks, unit_costs)
    ends = np.append(starts[1:], np.inf)
    quantity = np.maximum(np.sqrt(2.0 * order_cost * demand_rate / (holding_cost_rate * costs)), starts)
    total = costs * demand_rate + order_cost * demand_rate / quantity + holding_cost_rate * costs * quantity / 2.0
    # an EOQ beyond the next break is cheaper at that price, which is a candidate of its own
    best = int(np.argmin(np.where(quantity < ends, total, np.inf)))
    return float(quantity[best]), float(total[best])


def eoq_incremental_discount(
    demand_rate: float,
    order_cost: float,
    holding_cost_rate: float,
    price_breaks: Sequence[float],
    unit_costs: Sequence[float],
) -> tuple[float, float]:
    """Order quantity when only the units beyond a break cost less (Snyder & Shen 2019, section 3.4.2).

    Parameters and returns as `eoq_all_units_discount`.

    Examples
    --------
    >>> quantity, cost = eoq_incremental_discount(2400, 150, 0.25, [0, 300, 600], [100, 90, 80])
    >>> round(quantity, 2), round(cost, 2)
    (1481.89, 222762.81)
    """
    starts, costs = _price_list(price_breaks, unit_costs)
    # what the units below a break cost above the price beyond it acts as an addition to the order cost
    extra = np.concatenate([[0.0], np.cumsum(starts[1:] * -np.diff(costs))])
    quantity = np.sqrt(2.0 * (order_cost + extra) * demand_rate / (holding_cost_rate * costs))
    cost = (
        costs * demand_rate
        + holding_cost_rate * extra / 2.0
        + (order_cost + extra) * demand_rate / quantity
        + holding_cost_rate * costs * quantity / 2.0
    )
    inside = (quantity >= starts) & (quantity < np.append(starts[1:], np.inf))
    best = int(np.argmin(np.where(inside, cost, np.inf)))
    return float(quantity[best]), float(cost[best])


def _price_list(price_breaks: Sequence[float], unit_costs: Sequence[float]) -> tuple[Floats, Floats]:
    starts, costs = np.asarray(price_breaks, dtype=np.float64), np.asarray(unit_costs, dtype=np.float64)
    rising = starts.size > 0 and starts[0] == 0.0 and bool((np.diff(starts) > 0).all())
    if starts.shape != costs.shape or not rising or bool((np.diff(costs) > 0).any()) or bool((costs <= 0).any()):
        raise InvalidSettings(
            "price_breaks start at 0 and rise, unit_costs are positive, one per break, and never rise; "
            f"got {starts.tolist()} and {costs.tolist()}"
        )
    return starts, costs
