"""How much to order, by when.

An order placed now arrives after its lead time and must last until the order placed at the next review arrives. Both
are simulated on the same paths as the stock: per path, the need is the largest shortfall between the two arrivals.
Three targets (`Settings.order_target`): the smallest quantity that covers the need with the service level; the smallest
whose expected shortfall keeps the fill rate; or, for items whose costs are known, the quantity of least expected cost
(`order_costs.py`). The quantity is raised to the minimum and rounded to packs. Reorder point and order-up-to level are
quantiles of demand over the lead time and over lead time plus review.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.clock import Clock
from backorder_forecast.excess import excess_frame
from backorder_forecast.leadtimes import LeadTimes
from backorder_forecast.order_costs import fill_rate_orders, least_cost_orders
from backorder_forecast.order_inputs import (
    arrival_periods,
    forecast_clock,
    item_periods,
    known_items,
    order_arrivals,
    paths_on_order,
    terms_remarks,
    whole_periods,
)
from backorder_forecast.order_limits import CUT, order_curves, within_limits
from backorder_forecast.paths import SamplePaths, in_item_order
from backorder_forecast.policies import round_to_pack
from backorder_forecast.projection import join_share
from backorder_forecast.settings import Settings

__all__ = [
    "OrderNeed",
    "arrival_periods",
    "capped_orders",
    "excess_frame",
    "limit_curves",
    "order_need",
    "order_quantities",
    "order_targets",
    "recommend_orders",
    "reorder_frame",
    "row_quantiles",
]  # fmt: skip

Floats = NDArray[np.float64]

SURPLUS_REVIEWS = 5
"""Reviews after the next arrival over which a surplus is looked at."""
FURTHER_NEED = 0.9
"""Quantile of the need of those reviews up to which an order may be raised to a supplier's minimum."""


@dataclass(frozen=True, eq=False)
class OrderNeed:
    """What an order placed now must cover, arrays (n_items, n_paths).

    `need` is the largest shortfall between its arrival and the next order's, in which units that wait at `as_of` count
    only if they still wait at the end; `lead_demand` and `protected_demand` are the demand until the first and until
    the second arrival. `later_needs` (n_items, n_paths, `SURPLUS_REVIEWS`) is what the need grows to by the ends of the
    reviews after that: how long a surplus lasts.
    """

    need: NDArray[np.float64]
    lead_demand: NDArray[np.float64]
    protected_demand: NDArray[np.float64]
    later_needs: NDArray[np.float64]


def order_need(
    start: NDArray[np.float64],
    demand: NDArray[np.float64],
    receipts: NDArray[np.float64],
    arrival: NDArray[np.int64],
    next_arrival: NDArray[np.int64],
    *,
    joins: NDArray[np.float64],
    stay: NDArray[np.float64] | None = None,
    n_periods: NDArray[np.int64] | None = None,
    later_demand: NDArray[np.float64] | None = None,
) -> OrderNeed:
    """Shortfall between two arrivals on every path.

    Parameters
    ----------
    start
        Usable stock less units waiting, shape (n_items,).
    demand, receipts
        Shape (n_items, n_paths, n_periods).
    arrival, next_arrival
        First period in which the order placed now, and the next one, is usable, shape (n_items, n_paths).
    joins
        Share of unmet demand before the arrival that waits for it, shape (n_items,).
    stay
        Share of those that still waits 0, 1, ... periods later, shape (n_items, n_lags); everybody by default.
    n_periods
        Periods to look at per item; all by default.
    later_demand
        Expected demand per period after those, shape (n_items,), for arrivals beyond them; by default the mean over
        the periods looked at.

    Examples
    --------
    >>> import numpy as np
    >>> demand = np.full((1, 1, 6), 2.0)
    >>> at = lambda t: np.array([[t]])
    >>> order_need(np.array([5.0]), demand, 0 * demand, at(2), at(4), joins=np.ones(1)).need.tolist()
    [[3.0]]
    """
    n_items, _, total = demand.shape
    walk = np.full(n_items, total) if n_periods is None else np.minimum(n_periods, total)
    walk = walk.astype(np.int64)
    if later_demand is None:
        later_demand = np.array([demand[i, :, : walk[i]].mean() for i in range(n_items)])
    review = np.maximum(np.rint(np.maximum(next_arrival - arrival, 1).mean(axis=1)), 1).astype(np.int64)
    left = np.ones((n_items, 1)) if stay is None else np.ascontiguousarray(stay, dtype=np.float64)
    return OrderNeed(*_need(start, demand, receipts, arrival, next_arrival, joins, left, walk, later_demand, review))


def reorder_frame(
    items: pd.DataFrame,
    need: OrderNeed,
    clock: Clock,
    lead_days: NDArray[np.int32],
    settings: Settings,
) -> pd.DataFrame:
    """Order quantities of one bucket of items, in item order, also for items that need none.

    Parameters
    ----------
    items
        Columns sku, location, supplier, unit_cost, price, moq, pack_size, review_days, holding_cost_rate, active.
    need
        From `order_need` on the same items.
    clock, lead_days
        Periods ahead, and days until the order placed now arrives, shape (n_items, n_paths).
    settings
        `order_target`, `service_level`, `holding_cost_rate`.

    Returns
    -------
    DataFrame
        sku, location, supplier, order_quantity, need_units, target, reorder_point, order_up_to_level, safety_stock,
        arrival_0.5, arrival_0.9, cost, and the `basis` of the quantity: cost, fill_rate or service_level. `need_units`
        is the quantity before minimum and packs.
    """
    target = order_targets(items, settings)
    ordered, quantity = order_quantities(items, need, settings)
    known = _costs(items, settings)[2]
    point = row_quantiles(need.lead_demand, target)
    frame = items[["sku", "location", "supplier"]].copy()
    frame["order_quantity"] = ordered
    frame["need_units"] = quantity
    frame["target"] = target
    frame["reorder_point"] = point
    frame["order_up_to_level"] = row_quantiles(need.protected_demand, target)
    frame["safety_stock"] = point - need.lead_demand.mean(axis=1)
    for level in (0.5, 0.9):
        day = row_quantiles(lead_days.astype(np.float64), np.full(len(items), level))
        # Beyond the grid a lead time has no date.
        frame[f"arrival_{level}"] = clock.dates(np.where(day < settings.max_lead_time_days, day, np.nan))
    frame["cost"] = frame["order_quantity"] * items["unit_cost"].to_numpy(dtype=np.float64)
    service = "fill_rate" if settings.order_target == "fill_rate" else "service_level"
    frame["basis"] = np.where(known, "cost", service)
    return frame


def order_quantities(items: pd.DataFrame, need: OrderNeed, settings: Settings) -> tuple[Floats, Floats]:
    """Order quantities, and what is needed before minimum and packs, units (n_items,); see `reorder_frame`."""
    target = order_targets(items, settings)
    active = items["active"].to_numpy(dtype=bool)
    shortage, holding, known = _costs(items, settings)
    quantity = row_quantiles(need.need, target)
    if settings.order_target == "fill_rate":
        wanted = (need.protected_demand - need.lead_demand).mean(axis=1)
        quantity = fill_rate_orders(need.need, wanted, settings.service_level)
    moq, pack = _moq_and_pack(items)
    ordered = round_to_pack(np.ceil(quantity - 1e-9), moq=moq, pack=pack)
    if known.any():
        costs = {"shortage_cost": shortage[known], "holding_cost": holding[known]}
        rows = (need.need[known], need.later_needs[known])
        share = settings.surplus_share
        quantity[known], _ = least_cost_orders(*rows, **costs, surplus_share=share)
        ordered[known], _ = least_cost_orders(*rows, **costs, surplus_share=share, moq=moq[known], pack=pack[known])
    return np.where(active, ordered, 0.0), np.where(active, quantity, 0.0)


def order_targets(items: pd.DataFrame, settings: Settings) -> NDArray[np.float64]:
    """Probability of no unmet demand to order for: the service level, or the critical ratio of the item's own costs.

    With `order_target="cost"` the ratio is shortage / (shortage + holding cost over one review), where both are known:
    `shortage_cost` and `holding_cost` where stated, else price - unit_cost, and unit_cost at the holding rate.
    """
    shortage, holding, known = _costs(items, settings)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.clip(shortage / (shortage + holding), 0.01, 0.999)
    return np.where(known, ratio, settings.service_level)


def _costs(items: pd.DataFrame, settings: Settings) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Money per unit short and per unit left over at the end of a review, and for which items these decide."""
    cost = items["unit_cost"].to_numpy(dtype=np.float64)
    shortage = items["price"].to_numpy(dtype=np.float64) - cost
    rate = np.nan_to_num(items["holding_cost_rate"].to_numpy(dtype=np.float64), nan=settings.holding_cost_rate)
    holding = cost * rate * items["review_days"].to_numpy(dtype=np.float64) / 365.0
    for name, values in (("shortage_cost", shortage), ("holding_cost", holding)):
        if name in items:
            stated = items[name].to_numpy(dtype=np.float64)
            values[:] = np.where(np.isnan(stated), values, stated)
    known = (shortage > 0) & (holding > 0) & (settings.order_target == "cost")
    return shortage, holding, known


def _moq_and_pack(items: pd.DataFrame) -> tuple[Floats, Floats]:
    moq, pack = (items[c].to_numpy(dtype=np.float64) for c in ("moq", "pack_size"))
    return np.nan_to_num(moq), np.where(pack > 0, pack, 1.0)


def row_quantiles(values: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Order-statistic quantile of each row at its own level: (n_items, n_paths), (n_items,) -> (n_items,)."""
    n_paths = values.shape[1]
    rank = np.clip(np.ceil(levels * n_paths - 1e-9).astype(np.int64), 1, n_paths) - 1
    return np.asarray(np.take_along_axis(np.sort(values, axis=1), rank[:, None], axis=1)[:, 0])


def recommend_orders(
    forecast: SamplePaths,
    *,
    on_hand: pd.Series | Mapping[Any, float],
    receipts: SamplePaths | pd.DataFrame | None = None,
    lead_time: LeadTimes | pd.Series | int = 1,
    review_periods: int = 1,
    items: pd.DataFrame | None = None,
    settings: Settings | None = None,
    budget: float | None = None,
    capacity: float | None = None,
) -> pd.DataFrame:
    """One order decision on any clock.

    Parameters
    ----------
    forecast
        Demand paths whose first period follows the decision; they must reach the arrival of the next order.
    on_hand
        Units per item at the decision, less units waiting; a Series or mapping by sku or by (sku, location), or a
        Series numbered 0, 1, ... in item order.
    receipts
        What is on order: paths over the same periods, or a frame sku, date, quantity (optionally location) whose
        quantities are usable in the period that holds the date if it is its first day, else in the next. Dates lie
        after the decision: what came on or before it is on hand.
    lead_time
        Learned `LeadTimes`, or whole periods from the decision to the first usable period: 1 means usable in the first
        period of the forecast, 3 in the third; a Series by item where they differ.
    review_periods
        Periods until the next decision.
    items
        Optional sku, location, supplier, moq, pack_size, unit_cost, price, holding_cost_rate, daily_capacity (units),
        supplier_minimum (money that the order to the supplier is worth at least: it is raised, or waits),
        shortage_cost (money per unit short) and holding_cost (money per unit left over at the end of a review).
    settings
        `order_target`, `service_level`, `surplus_share`, `holding_cost_rate`, `unmet`, `seed`.
    budget
        Money that all orders together may cost; never exceeded. Every item to be ordered needs a unit_cost.
    capacity
        Units that all orders together may have, such as what can be received in a day; never exceeded.

    Returns
    -------
    DataFrame
        Columns of `reorder_frame`, one row per item, and `remark`: what was odd about its terms or limited its order
        (counted by `orders["remark"].value_counts()`).

    Raises
    ------
    InvalidSettings
        If stock or receipts name other items than the forecast, receipts are not dated after the decision, the
        forecast ends before the next order arrives, or a budget is to be shared among goods of unknown cost.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> dates = pd.date_range("2024-01-01", periods=4, freq="W-MON")
    >>> forecast = SamplePaths.from_array(np.full((1, 10, 4), 2.0), ["A"], dates)
    >>> orders = recommend_orders(forecast, on_hand=pd.Series({"A": 4.0}), lead_time=3)
    >>> float(orders["order_quantity"].iloc[0])
    2.0
    """
    settings = settings or Settings()
    review_periods = whole_periods(review_periods, "review_periods")
    periods = np.zeros(0, dtype=np.int64)
    if not isinstance(lead_time, LeadTimes):
        periods = item_periods(lead_time, forecast.items)
    if isinstance(on_hand, Mapping):
        on_hand = pd.Series(dict(on_hand), dtype=np.float64)
    clock = forecast_clock(forecast)
    known = known_items(forecast.items, items, clock, review_periods)
    coming = paths_on_order(receipts, forecast, clock)
    start = in_item_order(on_hand, forecast.items, "on_hand")
    joins = join_share(settings, known["product_type"])
    limited = budget is not None or capacity is not None or bool((known["supplier_minimum"] > 0).any())
    frames, curves, yearly = [], [], []
    for begin, stop in forecast.buckets():
        rows = slice(begin, stop)
        demand = forecast.draw(begin, stop)
        supply = coming.draw(begin, stop)
        bucket = known.iloc[rows].reset_index(drop=True)
        lead = lead_time if isinstance(lead_time, LeadTimes) else periods[rows]
        arrival, following, lead_days = order_arrivals(lead, bucket, clock, forecast.n_paths, review_periods, settings)
        need = order_need(start[rows], demand, supply, arrival, following, joins=joins[rows])
        frame = reorder_frame(bucket, need, clock, lead_days, settings)
        yearly.append(demand.mean(axis=(1, 2)) * 365.0 * demand.shape[2] / clock.n_days)
        frames.append(frame)
        if limited:
            curves.append(limit_curves(frame, bucket, need, settings))
    orders = pd.concat(frames, ignore_index=True)
    remarks = terms_remarks(known, np.concatenate(yearly), orders, settings)
    wanted = orders["order_quantity"].to_numpy(dtype=np.float64, copy=True)
    quantity = capped_orders(wanted, known)
    told = np.where(quantity < wanted, f"{CUT}: its capacity until the next review", "")
    if limited:
        candidates, saving = (np.concatenate(part) for part in zip(*curves, strict=True))
        quantity, limits = within_limits(
            quantity, candidates, saving, unit_cost=known["unit_cost"].to_numpy(dtype=np.float64),
            supplier=known["supplier"].tolist(), supplier_minimum=known["supplier_minimum"].to_numpy(dtype=np.float64),
            budget=budget, capacity=capacity,
        )  # fmt: skip
        told = np.where(limits != "", limits, told)
    orders["order_quantity"] = quantity
    orders["cost"] = quantity * known["unit_cost"].to_numpy(dtype=np.float64)
    orders["remark"] = ["; ".join(filter(None, said)) for said in zip(remarks, told, strict=True)]
    return orders


def capped_orders(quantity: Floats, items: pd.DataFrame) -> Floats:
    """Orders no larger than what is made or taken in until the next review; full packs, not below the minimum.

    `items` has the columns daily_capacity (NaN: no limit), review_days, moq, pack_size.
    """
    daily = items["daily_capacity"].to_numpy(dtype=np.float64)
    moq, pack = _moq_and_pack(items)
    most = np.floor(daily * items["review_days"].to_numpy(dtype=np.float64) / pack + 1e-9) * pack
    capped = np.where(most < moq, 0.0, np.fmin(quantity, most))
    return np.where(np.isnan(daily), quantity, capped)


def limit_curves(
    frame: pd.DataFrame, items: pd.DataFrame, need: OrderNeed, settings: Settings
) -> tuple[Floats, Floats]:
    """Quantities to choose from under a limit, and what each saves (`order_curves`); a margin is assumed without costs.

    `frame` is that of `reorder_frame`; of `items` supplier_minimum and daily_capacity count too.
    """
    wanted = frame["order_quantity"].to_numpy(dtype=np.float64)
    quantity = capped_orders(wanted, items)
    shortage, holding, _ = _costs(items, settings)
    cost = items["unit_cost"].to_numpy(dtype=np.float64)
    usual = settings.default_margin_share / (1.0 - min(settings.default_margin_share, 0.99))
    shortage = np.where(shortage > 0, shortage, np.where(cost > 0, cost * usual, 1.0))
    minimum = items["supplier_minimum"].to_numpy(dtype=np.float64) > 0
    # A service target is a wish beyond costs: what an order saves is then counted without its holding, unless more than
    # is needed may be ordered.
    holding = np.where(minimum | (frame["basis"] == "cost"), np.nan_to_num(holding), 0.0)
    moq, pack = _moq_and_pack(items)
    later = row_quantiles(need.later_needs[:, :, -1], np.full(len(items), FURTHER_NEED))
    active = items["active"].to_numpy(dtype=bool)
    most = np.where(minimum & active, np.maximum(quantity, round_to_pack(later, moq=moq, pack=pack)), quantity)
    return order_curves(
        need.need, need.later_needs, quantity, capped_orders(most, items), shortage=shortage, holding=holding,
        surplus_share=settings.surplus_share, moq=moq, pack=pack,
    )  # fmt: skip


@nb.njit(cache=True, nogil=True)
def _need(start, demand, receipts, arrival, next_arrival, joins, stay, n_periods, later, review):  # type: ignore[no-untyped-def]
    n_items, n_paths, _ = demand.shape
    need = np.zeros((n_items, n_paths))
    lead_demand = np.zeros((n_items, n_paths))
    protected = np.zeros((n_items, n_paths))
    growing = np.zeros((n_items, n_paths, SURPLUS_REVIEWS))
    for i in range(n_items):
        for p in range(n_paths):
            level = start[i]
            largest = 0.0
            total = 0.0
            known = n_periods[i]
            first = arrival[i, p]
            # Orders that cross do not shorten the time this one must cover to less than a period.
            last = max(next_arrival[i, p], first + 1)
            for t in range(min(last, known)):
                level += receipts[i, p, t]
                wanted = demand[i, p, t]
                total += wanted
                if t < first:
                    missed = max(wanted - max(level, 0.0), 0.0)
                    # Who has left before the order comes does not need it.
                    level -= wanted - (1.0 - joins[i] * stay[i, min(first - t, stay.shape[1] - 1)]) * missed
                    lead_demand[i, p] = total
                else:
                    # From here on the level may fall below zero: that shortfall is what the order is for.
                    level -= wanted
                    # Who waits already is served by what is on order, unless that comes after the next order.
                    short = -level if t == last - 1 else min(-level, total)
                    largest = max(largest, short)
            # Arrivals beyond the walk are waited for at the expected rate: the longest lead times need the most.
            before = max(first - known, 0)
            after = max(last - max(first, known), 0)
            if before > 0:
                wanted = before * later[i]
                missed = max(wanted - max(level, 0.0), 0.0)
                level -= wanted - (1.0 - joins[i] * stay[i, min(before // 2, stay.shape[1] - 1)]) * missed
                total += wanted
                lead_demand[i, p] = total
            if after > 0:
                level -= after * later[i]
                total += after * later[i]
                largest = max(largest, -level)
            need[i, p] = largest
            protected[i, p] = total
            t = last
            for k in range(SURPLUS_REVIEWS):
                stop = last + (k + 1) * review[i]
                while t < min(stop, known):
                    level += receipts[i, p, t] - demand[i, p, t]
                    largest = max(largest, -level)
                    t += 1
                if stop > max(t, known):
                    level -= (stop - max(t, known)) * later[i]
                    largest = max(largest, -level)
                t = max(t, stop)
                growing[i, p, k] = largest
    return need, lead_demand, protected, growing
