"""Classic inventory policies: packs, safety stock, base stock, (r, Q), fill rates and waits under them.

Plain formulas for checks, baselines and single questions; `reorders` simulates instead. Levels and reorder points are
inventory positions in units. `holding_cost` and `backorder_cost` are money per unit and period, unmet demand waits.
Normal demand may go below zero; with a low mean prefer the Poisson forms. Functions with one closed form work
elementwise on arrays; those that search take one item and return plain numbers.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from backorder_forecast.distributions import nb_cdf, nb_quantile
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.newsvendor import crossing, newsvendor_normal, newsvendor_poisson, normal_shortage

Floats = NDArray[np.float64]


def round_to_pack(need: ArrayLike, *, moq: ArrayLike, pack: ArrayLike) -> Floats:
    """Order quantity for a need: nothing stays nothing, else ceil(max(need, moq) / pack) packs.

    Parameters
    ----------
    need
        Units wanted; 0 or less orders nothing.
    moq
        Minimum order quantity, units; NaN means none.
    pack
        Units per pack; NaN or 0 leaves the quantity as it is (goods sold by weight or length).

    Examples
    --------
    >>> round_to_pack([0, 3, 13, 25], moq=10, pack=6).tolist()
    [0.0, 12.0, 18.0, 30.0]
    """
    wanted, least, size = (np.asarray(v, dtype=np.float64) for v in (need, moq, pack))
    quantity = np.fmax(wanted, least)
    step = np.where(size > 0, size, 1.0)
    # a need of 3.0000000001 packs is float noise, not a fourth pack
    packed = np.where(size > 0, np.ceil(quantity / step - 1e-9) * step, quantity)
    return np.where(wanted > 0, packed, 0.0)


def safety_stock(
    demand_mean: ArrayLike,
    demand_sd: ArrayLike,
    lead_time_mean: ArrayLike,
    lead_time_sd: ArrayLike,
    service_level: ArrayLike,
) -> tuple[Floats, Floats]:
    """Safety stock z sigma for normal demand over a random lead time, sigma^2 = L s_D^2 + D^2 s_L^2.

    Parameters
    ----------
    demand_mean, demand_sd
        Units per period.
    lead_time_mean, lead_time_sd
        Periods.
    service_level
        Probability of no shortage per order cycle.

    Returns
    -------
    lead_time_demand_sd, safety_stock
        Units (Chopra & Meindl, Supply Chain Management, chapter 12).

    Examples
    --------
    >>> sd, stock = safety_stock(2500, 500, 7, 7, 0.9)
    >>> float(sd.round(2)), float(stock.round(2))
    (17549.93, 22491.14)
    """
    d, s, lead, lead_sd = (
        np.asarray(v, dtype=np.float64) for v in (demand_mean, demand_sd, lead_time_mean, lead_time_sd)
    )
    sd = np.sqrt(lead * s * s + d * d * lead_sd * lead_sd)
    return np.asarray(sd), np.asarray(sd * special.ndtri(np.asarray(service_level, dtype=np.float64)))


def base_stock_normal(
    demand_mean: ArrayLike,
    demand_sd: ArrayLike,
    lead_time: ArrayLike,
    review: ArrayLike,
    holding_cost: ArrayLike,
    backorder_cost: ArrayLike,
    *,
    level: ArrayLike | None = None,
) -> tuple[Floats, Floats]:
    """Order-up-to level when stock is reviewed every `review` periods: newsvendor over lead time + review.

    Snyder & Shen 2019, section 4.3.4.1, with review = 1.

    Parameters
    ----------
    demand_mean, demand_sd
        Units per period, independent between periods.
    lead_time, review
        Periods.
    level
        Cost this level instead of the best one.

    Returns
    -------
    level, cost
        Units, and expected money per period.

    Examples
    --------
    >>> level, cost = base_stock_normal(50, 8, 4, 1, 0.18, 0.7)
    >>> float(level.round(3)), float(cost.round(3))
    (264.767, 4.467)
    """
    m, s, lead, gap = (np.asarray(v, dtype=np.float64) for v in (demand_mean, demand_sd, lead_time, review))
    periods = lead + gap
    return newsvendor_normal(m * periods, s * np.sqrt(periods), holding_cost, backorder_cost, level=level)


def rq_normal_cost(
    reorder_point: float,
    order_quantity: float,
    demand_mean: float,
    demand_sd: float,
    lead_time: float,
    order_cost: float,
    holding_cost: float,
    backorder_cost: float,
) -> float:
    """Expected cost per period of ordering Q whenever the position falls to r; exact for normal demand.

    (K D + integral of g from r to r + Q) / Q, with g the newsvendor cost of lead-time demand (Snyder & Shen 2019, 5.7).

    Examples
    --------
    >>> round(rq_normal_cost(126.8, 328.5, 1300, 150, 1 / 12, 8, 0.225, 7.5), 4)
    78.0712
    """
    m, s = demand_mean * lead_time, demand_sd * math.sqrt(lead_time)
    low, high = reorder_point, reorder_point + order_quantity
    holding = holding_cost * ((high - m) ** 2 - (low - m) ** 2) / 2.0
    short = _second_shortage(low, m, s) - _second_shortage(high, m, s)
    return (order_cost * demand_mean + holding + (holding_cost + backorder_cost) * short) / order_quantity


def rq_normal_reorder_point(
    order_quantity: float,
    demand_mean: float,
    demand_sd: float,
    lead_time: float,
    holding_cost: float,
    backorder_cost: float,
) -> float:
    """Reorder point of least cost for a given order quantity, g(r) = g(r + Q) (Snyder & Shen 2019, 5.8).

    Examples
    --------
    >>> round(rq_normal_reorder_point(318, 1300, 150, 1 / 12, 0.225, 7.5), 3)
    127.788
    """
    m, s = demand_mean * lead_time, demand_sd * math.sqrt(lead_time)

    def slope(r: float) -> float:
        costs = newsvendor_normal(m, s, holding_cost, backorder_cost, level=np.array([r, r + order_quantity]))[1]
        return float(costs[1] - costs[0])

    high = float(newsvendor_normal(m, s, holding_cost, backorder_cost)[0])
    return crossing(slope, high - order_quantity, high)


def rq_eil_approximation(
    demand_mean: float,
    demand_sd: float,
    lead_time: float,
    order_cost: float,
    holding_cost: float,
    backorder_cost: float,
) -> tuple[float, float, float]:
    """Reorder point and order quantity by the expected-inventory-level approximation (Snyder & Shen 2019, 5.2.1).

    Iterates 1 - F(r) = Q h / (p D) and Q = sqrt(2 D (K + p n(r)) / h) to a fixed point; `backorder_cost` p is money per
    unit short, however long.

    Returns
    -------
    reorder_point, order_quantity, cost
        Units, units, money per period.

    Raises
    ------
    InvalidSettings
        Where the costs admit no finite solution: Q h / (p D) reaches 1.

    Examples
    --------
    >>> [round(v, 3) for v in rq_eil_approximation(1300, 150, 1 / 12, 8, 0.225, 7.5)]
    [213.97, 318.59, 95.451]
    """
    m, s = demand_mean * lead_time, demand_sd * math.sqrt(lead_time)
    quantity = math.sqrt(2.0 * order_cost * demand_mean / holding_cost)
    while True:
        tail = quantity * holding_cost / (backorder_cost * demand_mean)
        if tail >= 1.0:
            raise InvalidSettings(
                f"running out is so cheap (backorder_cost {backorder_cost!r}) that no reorder point is optimal"
            )
        point = m - s * float(special.ndtri(tail))
        short = float(normal_shortage(point, m, s))
        update = math.sqrt(2.0 * demand_mean * (order_cost + backorder_cost * short) / holding_cost)
        if abs(update - quantity) <= 1e-10 * quantity:
            break
        quantity = update
    held = holding_cost * (point - m + quantity / 2.0)
    cost = held + (order_cost + backorder_cost * short) * demand_mean / quantity
    return point, quantity, cost


def rq_poisson_cost(
    reorder_point: int,
    order_quantity: int,
    demand_mean: float,
    lead_time: float,
    order_cost: float,
    holding_cost: float,
    backorder_cost: float,
) -> float:
    """Expected cost per period of ordering Q units whenever the position falls to r; exact for Poisson demand.

    (K D + sum of g(y) for y = r + 1 ... r + Q) / Q, with g the newsvendor cost of lead-time demand (Snyder & Shen 2019,
    5.31).

    Examples
    --------
    >>> round(rq_poisson_cost(3, 5, 1.5, 2, 100, 20, 150), 4)
    107.9236
    """
    m = demand_mean * lead_time
    positions = np.arange(reorder_point + 1, reorder_point + order_quantity + 1)
    costs = newsvendor_poisson(m, holding_cost, backorder_cost, level=positions)[1]
    return float((order_cost * demand_mean + costs.sum()) / order_quantity)


def rq_poisson_exact(
    demand_mean: float, lead_time: float, order_cost: float, holding_cost: float, backorder_cost: float
) -> tuple[int, int, float]:
    """Optimal reorder point and order quantity for Poisson demand (Federgruen & Zheng 1992).

    Positions r + 1 to r + Q are equally likely, so Q grows by the cheaper neighbour while that is below the mean cost.

    Returns
    -------
    reorder_point, order_quantity, cost
        Units, units, money per period.

    Examples
    --------
    >>> point, quantity, cost = rq_poisson_exact(1.5, 2, 100, 20, 150)
    >>> point, quantity, round(cost, 4)
    (3, 5, 107.9236)
    """
    m = demand_mean * lead_time

    def at(position: int) -> float:
        return float(newsvendor_poisson(m, holding_cost, backorder_cost, level=position)[1])

    best = int(newsvendor_poisson(m, holding_cost, backorder_cost)[0])
    point, quantity = best - 1, 1
    total = order_cost * demand_mean + at(best)
    below, above = at(point), at(point + 2)
    while min(below, above) < total / quantity:
        total += min(below, above)
        quantity += 1
        if below <= above:
            point -= 1
            below = at(point)
        else:
            above = at(point + quantity + 1)
    return point, quantity, total / quantity


def fill_rate_from_lot(
    order_quantity: ArrayLike, reorder_point: ArrayLike, lead_demand_mean: ArrayLike, lead_demand_sd: ArrayLike
) -> tuple[Floats, Floats]:
    """Units short per order cycle and share of demand filled from stock, 1 - short / Q (Chopra & Meindl, chapter 12).

    Examples
    --------
    >>> short, filled = fill_rate_from_lot(10000, 6000, 5000, 500 * 2**0.5)
    >>> float(short.round(3)), float(filled.round(6))
    (25.127, 0.997487)
    """
    short = normal_shortage(reorder_point, lead_demand_mean, lead_demand_sd)
    return short, np.asarray(1.0 - short / np.asarray(order_quantity, dtype=np.float64))


def safety_stock_for_fill_rate(order_quantity: float, lead_demand_sd: float, fill_rate: float) -> float:
    """Safety stock at which the units short per order cycle are (1 - fill_rate) Q; negative where lots are large.

    Examples
    --------
    >>> round(safety_stock_for_fill_rate(10000, 500 * 2**0.5, 0.975), 3)
    66.698
    """
    if not 0.0 < fill_rate < 1.0:
        raise InvalidSettings(f"fill_rate lies strictly between 0 and 1, got {fill_rate!r}")
    allowed = (1.0 - fill_rate) * order_quantity
    reach = allowed + 40.0 * lead_demand_sd
    return crossing(lambda stock: allowed - float(normal_shortage(stock, 0.0, lead_demand_sd)), -reach, reach)


def base_stock_fill_rate(base_stock: ArrayLike, lead_demand_mean: ArrayLike) -> Floats:
    """Share of Poisson demand filled at once when every sale is reordered at once, P(lead-time demand <= S - 1).

    The (S - 1, S) policy of Sherbrooke (1968).

    Examples
    --------
    >>> base_stock_fill_rate([6, 7], 3.0).round(6).tolist()
    [0.916082, 0.966491]
    """
    return nb_cdf(np.asarray(base_stock, dtype=np.float64) - 1.0, lead_demand_mean, lead_demand_mean)


def base_stock_for_fill_rate(lead_demand_mean: ArrayLike, fill_rate: ArrayLike) -> Floats:
    """Smallest base stock S whose `base_stock_fill_rate` reaches the target.

    Examples
    --------
    >>> float(base_stock_for_fill_rate(3.0, 0.95))
    7.0
    """
    return nb_quantile(fill_rate, lead_demand_mean, lead_demand_mean) + 1.0


def base_stock_wait_probability(
    wait: ArrayLike, base_stock: ArrayLike, demand_rate: ArrayLike, lead_time: ArrayLike
) -> Floats:
    """P(a customer waits at most `wait`) under the (S - 1, S) policy with Poisson demand, first come first served.

    The unit ordered S sales ago has arrived by then: P(Poisson(rate (lead_time - wait)) <= S - 1) (Axsater, Inventory
    Control); 1 from the lead time on.

    Examples
    --------
    >>> base_stock_wait_probability([0, 2, 3], 3, 1.0, 4.0).round(6).tolist()
    [0.238103, 0.676676, 0.919699]
    """
    w, s, rate, lead = (np.asarray(v, dtype=np.float64) for v in (wait, base_stock, demand_rate, lead_time))
    mean = rate * np.maximum(lead - w, 0.0)
    return np.where(w >= lead, 1.0, nb_cdf(s - 1.0, mean, mean))


def _second_shortage(level: float, mean: float, sd: float) -> float:
    """Half of E[((D - level)+)^2] for normal demand: the integral of `normal_shortage` beyond the level."""
    z = (level - mean) / sd
    return (
        0.5 * sd * sd * float((z * z + 1.0) * special.ndtr(-z) - z * math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi))
    )
