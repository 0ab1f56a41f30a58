"""How much to order, by when, and what is overstocked.

An order placed now arrives after its lead time and must last until the order placed at the next review arrives. Both
are simulated on the same paths as the stock: per path, the need is the largest shortfall between the two arrivals. The
smallest quantity that covers the need with the service level (or at the critical ratio of shortage and holding cost)
is ordered, raised to the minimum and rounded up to packs. Reorder point and order-up-to level are the same quantiles
of demand over the lead time and over lead time plus review.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast import streams
from backorder_forecast.clock import DAYS_PER_PERIOD, Clock
from backorder_forecast.distributions import nb_cdf, nb_quantile
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.leadtimes import LeadTimes
from backorder_forecast.paths import SamplePaths, dated_paths, in_item_order
from backorder_forecast.policies import round_to_pack
from backorder_forecast.projection import join_share
from backorder_forecast.receipts import draw_lead_days
from backorder_forecast.settings import Settings


@dataclass(frozen=True, eq=False)
class OrderNeed:
    """What an order placed now must cover, arrays (n_items, n_paths).

    `need` is the largest shortfall between its arrival and the next order's, in which units that wait at `as_of` count
    only if they still wait at the end; `lead_demand` and `protected_demand` are the demand until the first and until
    the second arrival.
    """

    need: NDArray[np.float64]
    lead_demand: NDArray[np.float64]
    protected_demand: NDArray[np.float64]


def order_need(
    start: NDArray[np.float64],
    demand: NDArray[np.float64],
    receipts: NDArray[np.float64],
    arrival: NDArray[np.int64],
    next_arrival: NDArray[np.int64],
    *,
    joins: NDArray[np.float64],
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
    return OrderNeed(*_need(start, demand, receipts, arrival, next_arrival, joins, walk, later_demand))


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
        arrival_0.5, arrival_0.9, cost.
    """
    target = order_targets(items, settings)
    quantity = np.where(items["active"].to_numpy(dtype=bool), row_quantiles(need.need, target), 0.0)
    point = row_quantiles(need.lead_demand, target)
    frame = items[["sku", "location", "supplier"]].copy()
    moq = items["moq"].to_numpy(dtype=np.float64)
    pack = items["pack_size"].to_numpy(dtype=np.float64)
    frame["order_quantity"] = round_to_pack(
        np.ceil(quantity - 1e-9), moq=np.nan_to_num(moq), pack=np.where(pack > 0, pack, 1.0)
    )
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
    return frame


def order_targets(items: pd.DataFrame, settings: Settings) -> NDArray[np.float64]:
    """Probability of no unmet demand to order for: the service level, or the critical ratio of the item's own costs.

    With `order_target="cost"` the ratio is margin / (margin + holding cost over one review), where both are known.
    """
    target = np.full(len(items), settings.service_level)
    if settings.order_target == "cost":
        cost = items["unit_cost"].to_numpy(dtype=np.float64)
        margin = items["price"].to_numpy(dtype=np.float64) - cost
        rate = np.nan_to_num(items["holding_cost_rate"].to_numpy(dtype=np.float64), nan=settings.holding_cost_rate)
        holding = cost * rate * items["review_days"].to_numpy(dtype=np.float64) / 365.0
        known = (margin > 0) & (holding > 0)
        target = np.where(known, np.clip(margin / (margin + holding), 0.01, 0.999), target)
    return target


def row_quantiles(values: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Order-statistic quantile of each row at its own level: (n_items, n_paths), (n_items,) -> (n_items,)."""
    n_paths = values.shape[1]
    rank = np.clip(np.ceil(levels * n_paths - 1e-9).astype(np.int64), 1, n_paths) - 1
    return np.asarray(np.take_along_axis(np.sort(values, axis=1), rank[:, None], axis=1)[:, 0])


def excess_frame(
    items: pd.DataFrame,
    level: NDArray[np.float64],
    level_variance: NDArray[np.float64],
    within_variance: NDArray[np.float64],
    weight: NDArray[np.float64],
    settings: Settings,
) -> pd.DataFrame:
    """Stock beyond what demand over lead time, review and horizon will use.

    Parameters
    ----------
    items
        Columns sku, location, position (usable + on order - waiting), unit_cost, mean_weekly.
    level, level_variance, within_variance
        Demand law per period at seasonal index 1, shape (n_items,).
    weight
        Summed seasonal index of the periods over lead time + review + horizon, shape (n_items,).
    settings
        `excess_level`.

    Returns
    -------
    DataFrame
        sku, location, excess_units, excess_value, p_unsold, weeks_of_cover; only items with excess, dearest first.
        `p_unsold` is the probability that not all of the present position is sold over that time.
    """
    mean = level * weight
    variance = np.maximum(within_variance, level) * weight + level_variance * weight**2
    position = items["position"].to_numpy(dtype=np.float64)
    sells = mean > 0
    upper = np.zeros(len(items))
    unsold = np.ones(len(items))
    if sells.any():
        upper[sells] = nb_quantile(settings.excess_level, mean[sells], variance[sells])
        unsold[sells] = nb_cdf(np.ceil(np.maximum(position[sells], 0.0)) - 1.0, mean[sells], variance[sells])
    units = np.maximum(position - upper, 0.0)
    frame = items[["sku", "location"]].copy()
    frame["excess_units"] = units
    frame["excess_value"] = units * items["unit_cost"].to_numpy(dtype=np.float64)
    frame["p_unsold"] = unsold
    weekly = items["mean_weekly"].to_numpy(dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        frame["weeks_of_cover"] = np.where(weekly > 0, np.maximum(position, 0.0) / weekly, np.inf)
    frame = frame[units > 0]
    by = ["excess_value", "excess_units", "sku", "location"]
    return frame.sort_values(by, ascending=[False, False, True, True], kind="stable").reset_index(drop=True)


def recommend_orders(
    forecast: SamplePaths,
    *,
    on_hand: pd.Series | Mapping[Any, float],
    receipts: SamplePaths | pd.DataFrame | None = None,
    lead_time: LeadTimes | int = 1,
    review_periods: int = 1,
    items: pd.DataFrame | None = None,
    settings: Settings | None = None,
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
        period of the forecast, 3 in the third.
    review_periods
        Periods until the next decision.
    items
        Optional sku, location, supplier, moq, pack_size, unit_cost, price, holding_cost_rate per item.
    settings
        `service_level`, `unmet`, `order_target`, `seed`.

    Returns
    -------
    DataFrame
        Columns of `reorder_frame`, one row per item.

    Raises
    ------
    InvalidSettings
        If stock or receipts name other items than the forecast, receipts are not dated after the decision, or the
        forecast ends before the next order arrives.

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
    review_periods = _whole(review_periods, "review_periods")
    if not isinstance(lead_time, LeadTimes):
        lead_time = _whole(lead_time, "lead_time")
    if isinstance(on_hand, Mapping):
        on_hand = pd.Series(dict(on_hand), dtype=np.float64)
    clock = _forecast_clock(forecast)
    known = _known_items(forecast.items, items, settings)
    coming = _receipt_paths(receipts, forecast, clock)
    start = in_item_order(on_hand, forecast.items, "on_hand")
    joins = join_share(settings, known["product_type"])
    frames = []
    for begin, stop in forecast.buckets():
        rows = slice(begin, stop)
        demand = forecast.draw(begin, stop)
        supply = coming.draw(begin, stop)
        arrival, following, lead_days = _arrivals(
            lead_time, known.iloc[rows], clock, forecast.n_paths, review_periods, settings
        )
        need = order_need(start[rows], demand, supply, arrival, following, joins=joins[rows])
        bucket = known.iloc[rows].reset_index(drop=True)
        frames.append(reorder_frame(bucket, need, clock, lead_days, settings))
    return pd.concat(frames, ignore_index=True)


def _forecast_clock(forecast: SamplePaths) -> Clock:
    starts = forecast.dates
    if len(starts) < 2:
        raise InvalidSettings("the forecast must have at least two periods to place an order on")
    gap = (starts[1] - starts[0]).days
    freq = "D" if gap == 1 else f"W-{starts[0].day_name()[:3].upper()}" if gap == 7 else "MS"
    if not starts.equals(pd.date_range(starts[0], periods=len(starts), freq=freq, unit=starts.unit)):
        raise InvalidSettings("the forecast must run over consecutive days, weeks or calendar months")
    ahead = Clock.ahead(starts[0] - pd.Timedelta(days=1), freq, int(DAYS_PER_PERIOD[freq] * len(starts)) + 31)
    keep = slice(0, len(starts))
    return replace(ahead, starts=ahead.starts[keep], ends=ahead.ends[keep], fraction=ahead.fraction[keep])


def _whole(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InvalidSettings(f"{name} is a whole number of periods, got {value!r}")
    return int(value)


def _known_items(keys: pd.DataFrame, items: pd.DataFrame | None, settings: Settings) -> pd.DataFrame:
    known = keys.copy()
    if items is not None:
        extra = items if "location" in items else items.assign(location="")
        known = known.merge(extra.drop_duplicates(["sku", "location"]), on=["sku", "location"], how="left")
    for column in ("supplier", "product_type"):
        known[column] = known[column].astype("str").fillna("") if column in known else ""
    for column in ("unit_cost", "price", "moq", "pack_size", "holding_cost_rate"):
        known[column] = known[column].astype(float) if column in known else np.nan
    review = known["review_days"].astype(float) if "review_days" in known else pd.Series(np.nan, known.index)
    known["review_days"] = review.fillna(settings.review_days)
    known["active"] = True
    return known


def _receipt_paths(receipts: SamplePaths | pd.DataFrame | None, forecast: SamplePaths, clock: Clock) -> SamplePaths:
    """What is on order as paths over the periods of the forecast."""
    if not isinstance(receipts, SamplePaths):
        nothing = pd.DataFrame({"sku": [], "date": [], "quantity": []})
        return dated_paths(nothing if receipts is None else receipts, forecast, clock, "receipts")
    shape, given = ((p.n_items, p.n_paths, len(p.dates)) for p in (forecast, receipts))
    if given != shape:
        raise InvalidSettings(f"receipts must have the forecast's shape {shape}, got {given}")
    return receipts


def _arrivals(
    lead_time: LeadTimes | int, items: pd.DataFrame, clock: Clock, n_paths: int, review_periods: int, settings: Settings
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    n = len(items)
    if not isinstance(lead_time, LeadTimes):
        last = lead_time + review_periods - 1
        if lead_time < 1 or review_periods < 1 or last > clock.n_periods:
            raise InvalidSettings(
                f"lead_time and review_periods are at least 1 and the forecast must reach the next arrival: it has"
                f" {clock.n_periods} periods, lead_time + review_periods - 1 = {last}"
            )
        arrival = np.full((n, n_paths), lead_time - 1, dtype=np.int64)
        day = int(max((clock.starts[lead_time - 1] - clock.as_of).days, 1))
        return arrival, arrival + review_periods, np.full((n, n_paths), day, dtype=np.int32)
    orders = items[["sku", "location", "supplier"]].assign(order_date=clock.as_of)
    rows = lead_time.law_rows(orders)
    drawn = []
    for purpose in (streams.NEW_ORDER, streams.NEXT_ORDER):
        keys = streams.item_keys(items["sku"], items["location"], settings.seed, purpose)
        drawn.append(draw_lead_days(lead_time.cdf, rows, keys, n_paths))
    review_days = round(review_periods * DAYS_PER_PERIOD[clock.freq])
    # A lead time beyond the grid is taken as its end; what is needed until then has to be finite.
    longest = lead_time.cdf.shape[1]
    following = np.minimum(drawn[1], longest).astype(np.int64) + review_days
    unseen = (following > clock.n_days + 1).mean(axis=1) > 0.5
    if unseen.any():
        raise InvalidSettings(
            f"the forecast ends {clock.n_days} days ahead, before the next order of {int(unseen.sum())} items arrives"
            f" (such as {items['sku'].iloc[int(unseen.argmax())]}): forecast further"
        )
    return arrival_periods(np.minimum(drawn[0], longest), clock), arrival_periods(following, clock), drawn[0]


def arrival_periods(days: NDArray[np.int32] | NDArray[np.int64], clock: Clock) -> NDArray[np.int64]:
    """First usable period of arrival day numbers; beyond the clock periods are counted on by their mean length."""
    usable = clock.usable_periods()
    known = usable[np.minimum(days.astype(np.int64), clock.n_days)]
    # Only the first day of a period is in time for it, as inside the clock.
    late = days.astype(np.float64) - clock.n_days - 1
    beyond = clock.n_periods + np.ceil(late / DAYS_PER_PERIOD[clock.freq]).astype(np.int64)
    return np.where(late >= 0, beyond, known)


@nb.njit(cache=True, nogil=True)
def _need(start, demand, receipts, arrival, next_arrival, joins, n_periods, later):  # type: ignore[no-untyped-def]
    n_items, n_paths, _ = demand.shape
    need = np.zeros((n_items, n_paths))
    lead_demand = np.zeros((n_items, n_paths))
    protected = np.zeros((n_items, n_paths))
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
                    level -= wanted - (1.0 - joins[i]) * missed
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
                level -= wanted - (1.0 - joins[i]) * missed
                total += wanted
                lead_demand[i, p] = total
            if after > 0:
                level -= after * later[i]
                total += after * later[i]
                largest = max(largest, -level)
            need[i, p] = largest
            protected[i, p] = total
    return need, lead_demand, protected
