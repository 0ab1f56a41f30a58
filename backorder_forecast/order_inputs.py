"""What an order decision rests on, in one shape: the periods ahead, the items' terms, what is on order, arrivals.

Terms that make no sense are not guessed at in silence: a remark per item says what was missing or odd and what was done
about it (`terms_remarks`). Periods are counted from the decision, the first one is 0.
"""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast import streams
from backorder_forecast.clock import DAYS_PER_PERIOD, Clock
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.leadtimes import LeadTimes
from backorder_forecast.paths import SamplePaths, dated_paths, in_item_order
from backorder_forecast.receipts import draw_new_orders
from backorder_forecast.settings import Settings

TERMS = (
    "unit_cost", "price", "moq", "pack_size", "holding_cost_rate", "daily_capacity", "shortage_cost", "holding_cost",
    "supplier_minimum",
)  # fmt: skip
"""Numbers that may be stated per item."""


def forecast_clock(forecast: SamplePaths) -> Clock:
    """The periods of a forecast: consecutive days, weeks or calendar months after the decision."""
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


def whole_periods(value: object, name: str) -> int:
    """A whole number of periods, or an error."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InvalidSettings(f"{name} is a whole number of periods, got {value!r}")
    return int(value)


def item_periods(lead_time: pd.Series | int, items: pd.DataFrame) -> NDArray[np.int64]:
    """Whole periods per item, in item order, from one number or one per item."""
    if not isinstance(lead_time, pd.Series):
        return np.full(len(items), whole_periods(lead_time, "lead_time"), dtype=np.int64)
    periods = in_item_order(lead_time, items, "lead_time")
    odd = periods != np.floor(periods)
    if odd.any():
        raise InvalidSettings(
            f"lead_time is a whole number of periods, got {periods[odd][0]:g} for {items['sku'][odd].iloc[0]}"
        )
    return periods.astype(np.int64)


def known_items(keys: pd.DataFrame, items: pd.DataFrame | None, clock: Clock, review_periods: int) -> pd.DataFrame:
    """Terms of the items of a forecast; what is not stated is empty, the review is that of the decision."""
    known = keys.copy()
    if items is not None:
        extra = items if "location" in items else items.assign(location="")
        known = known.merge(extra.drop_duplicates(["sku", "location"]), on=["sku", "location"], how="left")
    for column in ("supplier", "product_type"):
        known[column] = known[column].astype("str").fillna("") if column in known else ""
    for column in TERMS:
        known[column] = known[column].astype(float) if column in known else np.nan
    review = known["review_days"].astype(float) if "review_days" in known else pd.Series(np.nan, known.index)
    known["review_days"] = review.fillna(round(review_periods * DAYS_PER_PERIOD[clock.freq]))
    known["active"] = True
    return known


def terms_remarks(
    items: pd.DataFrame, yearly: NDArray[np.float64], orders: pd.DataFrame, settings: Settings
) -> list[str]:
    """What is missing or odd about each item's terms, in words; empty where nothing is.

    Parameters
    ----------
    items
        From `known_items`.
    yearly
        Expected demand of a year, units (n_items,).
    orders
        The orders: order_quantity and arrival_0.5.
    settings
        `order_target`: costs are only missed where orders go by cost.
    """
    cost, price, moq, pack = (items[c].to_numpy(dtype=np.float64) for c in ("unit_cost", "price", "moq", "pack_size"))
    stated = ~np.isnan(items["shortage_cost"]) & ~np.isnan(items["holding_cost"])
    by_cost = settings.order_target == "cost"
    ordered = orders["order_quantity"].to_numpy(dtype=np.float64) > 0
    longest = settings.max_lead_time_days
    found = (
        (by_cost & ~stated & (np.isnan(cost) | np.isnan(price)), "no unit_cost or price: service level instead"),
        (by_cost & ~stated & (price <= cost), "price does not exceed unit_cost: service level instead"),
        (pack <= 0, "pack_size of 0 or less taken as 1"),
        (moq < 0, "negative moq taken as none"),
        ((moq > yearly) & ordered, "moq above a year's demand"),
        (ordered & orders["arrival_0.5"].isna(), f"may take over {longest} days: raise max_lead_time_days"),
        (bool((items["supplier"] != "").any()) & (items["supplier"] == ""), "no supplier"),
    )
    remarks = [""] * len(items)
    for odd, words in found:
        for i in np.flatnonzero(odd):
            remarks[i] += f"; {words}" if remarks[i] else words
    return remarks


def paths_on_order(receipts: SamplePaths | pd.DataFrame | None, forecast: SamplePaths, clock: Clock) -> SamplePaths:
    """What is on order as paths over the periods of the forecast."""
    if not isinstance(receipts, SamplePaths):
        nothing = pd.DataFrame({"sku": [], "date": [], "quantity": []})
        return dated_paths(nothing if receipts is None else receipts, forecast, clock, "receipts")
    shape, given = ((p.n_items, p.n_paths, len(p.dates)) for p in (forecast, receipts))
    if given != shape:
        raise InvalidSettings(f"receipts must have the forecast's shape {shape}, got {given}")
    return receipts


def order_arrivals(
    lead_time: LeadTimes | NDArray[np.int64],
    items: pd.DataFrame,
    clock: Clock,
    n_paths: int,
    review_periods: int,
    settings: Settings,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """First usable periods of an order placed now and of the next one, and days to the former, (n_items, n_paths)."""
    if not isinstance(lead_time, LeadTimes):
        periods = lead_time
        last = int(periods.max(initial=1)) + review_periods - 1
        if periods.min(initial=1) < 1 or review_periods < 1 or last > clock.n_periods:
            raise InvalidSettings(
                f"lead_time and review_periods are at least 1 and the forecast must reach the next arrival: it has"
                f" {clock.n_periods} periods, lead_time + review_periods - 1 = {last}"
            )
        arrival = np.repeat(periods[:, None] - 1, n_paths, axis=1)
        days = np.maximum((clock.starts[periods - 1] - clock.as_of).days.to_numpy(), 1)
        return arrival, arrival + review_periods, np.repeat(days[:, None], n_paths, axis=1).astype(np.int32)
    orders = items[["sku", "location", "supplier"]].assign(order_date=clock.as_of)
    rows = lead_time.law_rows(orders)
    review_days = round(review_periods * DAYS_PER_PERIOD[clock.freq])
    drawn = []
    for purpose in (streams.NEW_ORDER, streams.NEXT_ORDER):
        keys = streams.item_keys(items["sku"], items["location"], settings.seed, purpose)
        after = review_days if purpose == streams.NEXT_ORDER else 0
        drawn.append(draw_new_orders(lead_time, rows, orders["supplier"], keys, n_paths, after=after))
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


def day_periods(days: NDArray[np.int64], clock: Clock) -> NDArray[np.int64]:
    """First period in which something that comes on a day is usable; beyond the clock its number of periods."""
    table = clock.usable_periods()
    inside = (days >= 0) & (days < len(table))
    return np.where(inside, table[np.where(inside, days, 0)], clock.n_periods).astype(np.int64)
