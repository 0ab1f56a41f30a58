"""Ways of ordering that a replay holds against each other: the library's own, and the two that shops use.

At a review a way sees the moment (`Review`: what was known at the end of that day) and its own position (`Positions`:
stock, waiting units and orders on the way, which differ between ways), and says how many units to order of each item.
Each way is asked for several targets at once, so that cost can be drawn against fill rate.

- "plan": the order of `plan.reorders` for a service level per order cycle;
- "plan, by cost": the same with the least expected cost, the target multiplies the cost of a unit short;
- "seasonal moving average": up to the demand of lead time and review by the mean of the last quarter times the week of
  the year, raised by the target as a share;
- "z sigma sqrt(L)": up to mean L + z sigma sqrt(L), L being lead time and review, for a service level.

All are raised to the minimum and rounded to packs. Quantities are units, days count from the review.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from backorder_forecast import streams
from backorder_forecast.clock import DAYS_PER_PERIOD, Clock
from backorder_forecast.demand import DemandModel
from backorder_forecast.engine import bucket_bounds, map_buckets
from backorder_forecast.leadtimes import LeadTimes
from backorder_forecast.panel import DemandPanel
from backorder_forecast.policies import round_to_pack
from backorder_forecast.projection import join_share
from backorder_forecast.receipts import OpenLines, draw_arrival_days, draw_new_orders, receipt_paths
from backorder_forecast.reorders import arrival_periods, order_need, order_quantities
from backorder_forecast.settings import Settings

Floats = NDArray[np.float64]

SERVICE_LEVELS = (0.5, 0.75, 0.9, 0.95, 0.98, 0.995)
"""Targets of ways that aim at a service level."""
Z_LEVELS = (0.25, 0.5, 0.75, 0.9, 0.98, 0.995, 0.9995, 0.99999)
"""The same for z sigma sqrt(L), which falls short of the level it names."""
COST_FACTORS = (0.1, 0.25, 0.5, 1.0, 2.0)
"""Factors on the cost of a unit short."""
RAISES = (-0.4, -0.2, 0.0, 0.25, 0.5, 1.0, 1.5, 2.5)
"""Shares by which a moving average is raised."""
PLAN, BY_COST = "plan", "plan, by cost"
AVERAGE_DAYS, SPREAD_DAYS = 91, 364
"""Days of the past that the two plain ways average, and that tell the spread."""
SMALLEST_FACTOR = 0.05
"""Least seasonal factor of the moving average."""


@dataclass(frozen=True, eq=False)
class Review:
    """What is known at the end of a review day.

    Attributes
    ----------
    day
        The last known day.
    facts
        One row per item, as from `item_facts`: supplier, moq, pack_size, unit_cost, price, review_days, active, ...
    panel
        Demand up to `day`.
    model
        Demand fitted on `panel`.
    lead, law_rows
        Lead-time laws, and the law of a new order of each item.
    lead_days, protected
        Median lead time of each item, and days that an order must last (the .95 lead time and a review).
    settings
        The choices.
    """

    day: pd.Timestamp
    facts: pd.DataFrame
    panel: DemandPanel
    model: DemandModel
    lead: LeadTimes
    law_rows: NDArray[np.int64]
    lead_days: Floats
    protected: Floats
    settings: Settings


@dataclass(frozen=True, eq=False)
class Positions:
    """Stock of each target of a way: arrays (n_targets, n_items), and the orders on the way of each target.

    `on_hand` is usable stock, `waiting` the units that customers wait for, `on_order` what has been ordered and has not
    come, `lines` the same by order.
    """

    on_hand: Floats
    waiting: Floats
    on_order: Floats
    lines: Sequence[OpenLines]


class OrderWay(Protocol):
    """A way of ordering, asked for all its targets at once.

    `rows` names each target (way, target); `orders` returns units, shape (n_targets, n_items).
    """

    @property
    def rows(self) -> Sequence[tuple[str, float]]:
        """Name of the way and target, for each row of its orders."""
        ...

    def orders(self, review: Review, positions: Positions) -> Floats:
        """Units to order of each item, shape (n_targets, n_items)."""
        ...


@dataclass(frozen=True)
class PlanOrders:
    """What each item of `plan.reorders` needs, for several service levels and, where costs are known, by cost.

    A plan goes further in what items or customers share: limits that orders share (budget, capacity, the minimum of a
    supplier) are not applied here, and all who wait are taken to stay until they are served, where a plan lets them
    leave by their patience and therefore orders a little less.
    """

    service_levels: tuple[float, ...] = SERVICE_LEVELS
    cost_factors: tuple[float, ...] = COST_FACTORS

    @property
    def rows(self) -> Sequence[tuple[str, float]]:
        """One for each target."""
        return [(PLAN, level) for level in self.service_levels] + [(BY_COST, f) for f in self.cost_factors]

    def orders(self, review: Review, positions: Positions) -> Floats:
        """Bucket by bucket: all targets decide on the same paths."""
        clock = _clock(review)
        settings = review.settings
        draw = review.model.drawer(clock, n_paths=settings.n_paths, seed=settings.seed)
        purposes = (streams.RECEIPTS, streams.NEW_ORDER, streams.NEXT_ORDER)
        sku, location = review.facts["sku"], review.facts["location"]
        keys = {purpose: streams.item_keys(sku, location, settings.seed, purpose) for purpose in purposes}
        joins = join_share(settings, review.facts["product_type"])
        # What is wanted after the simulated periods; nothing once an item has ended.
        later = review.model.level * (review.model.factors(clock, slice(None))[:, -1] > 0)
        n_periods = np.minimum(np.searchsorted(clock.end_days, review.protected, side="left") + 1, clock.n_periods)
        choices = [settings.replace(order_target="service_level", service_level=level) for level in self.service_levels]
        choices += [settings.replace(order_target="cost")] * len(self.cost_factors)
        factors = [1.0] * len(self.service_levels) + list(self.cost_factors)
        margin = (review.facts["price"] - review.facts["unit_cost"]).to_numpy(dtype=np.float64)
        usable, longest = clock.usable_periods(), review.lead.cdf.shape[1]

        def bucket(start: int, stop: int) -> Floats:
            items = slice(start, stop)
            facts = review.facts.iloc[items].reset_index(drop=True)
            periods = n_periods[items]
            last = int(periods.max())
            demand = draw(start, stop, last)
            cycle = facts["review_days"].to_numpy(np.int64)
            days, following = (
                draw_new_orders(
                    review.lead, review.law_rows[items], facts["supplier"], keys[purpose][items], settings.n_paths,
                    after=after,
                )
                for purpose, after in ((streams.NEW_ORDER, 0), (streams.NEXT_ORDER, cycle))
            )  # fmt: skip
            # A lead time beyond the grid is taken as its end; what is needed until then has to be finite.
            after = np.minimum(following, longest).astype(np.int64) + cycle[:, None]
            arrival = arrival_periods(np.minimum(days, longest), clock)
            next_arrival = arrival_periods(after, clock)
            out = np.zeros((len(choices), stop - start))
            for k, (chosen, factor) in enumerate(zip(choices, factors, strict=True)):
                lines = positions.lines[k]
                first, end = int(lines.item_start[start]), int(lines.item_start[stop])
                open_days = draw_arrival_days(lines, review.lead, keys[streams.RECEIPTS], start, stop, settings.n_paths)
                quantity = lines.frame["quantity"].to_numpy(dtype=np.float64)[first:end]
                item = lines.frame["item"].to_numpy(dtype=np.int64)[first:end] - start
                receipts = receipt_paths(open_days, quantity, item, stop - start, usable, last)
                level = positions.on_hand[k, items] - positions.waiting[k, items]
                need = order_need(
                    level, demand, receipts, arrival, next_arrival, joins=joins[items], n_periods=periods,
                    later_demand=later[items],
                )  # fmt: skip
                about = facts if chosen.order_target != "cost" else facts.assign(shortage_cost=factor * margin[items])
                out[k] = order_quantities(about, need, chosen)[0]
            return out

        bounds = bucket_bounds(len(review.facts), settings.bucket_size)
        return np.concatenate(map_buckets(bucket, bounds, workers=settings.workers), axis=1)


@dataclass(frozen=True)
class SeasonalAverage:
    """Order up to the moving average of a quarter times the season, raised by a share."""

    raises: tuple[float, ...] = RAISES

    @property
    def rows(self) -> Sequence[tuple[str, float]]:
        """One for each target."""
        return [("seasonal moving average", share) for share in self.raises]

    def orders(self, review: Review, positions: Positions) -> Floats:
        """Units that raise the position to each level."""
        days = DAYS_PER_PERIOD[review.panel.freq]
        sold, cover = _sold(review.panel), _cover_periods(review)
        factors, ahead = _yearly(review, sold, round(float(cover.max(initial=1.0))) + 1)
        recent = (sold / factors)[:, -max(round(AVERAGE_DAYS / days), 1) :]
        base = _mean(recent)
        total = np.concatenate([[0.0], np.cumsum(ahead)])
        wanted = base * np.interp(cover, np.arange(len(total)), total)
        levels = wanted[None, :] * (1.0 + np.asarray(self.raises)[:, None])
        return _up_to(levels, review, positions)


@dataclass(frozen=True)
class ZSigma:
    """Order up to mean x L + z sigma sqrt(L), L being lead time and review."""

    service_levels: tuple[float, ...] = Z_LEVELS

    @property
    def rows(self) -> Sequence[tuple[str, float]]:
        """One for each target."""
        return [("z sigma sqrt(L)", level) for level in self.service_levels]

    def orders(self, review: Review, positions: Positions) -> Floats:
        """Units that raise the position to each level."""
        days = DAYS_PER_PERIOD[review.panel.freq]
        sold, cover = _sold(review.panel), _cover_periods(review)
        mean = _mean(sold[:, -max(round(AVERAGE_DAYS / days), 1) :])
        year = sold[:, -max(round(SPREAD_DAYS / days), 2) :]
        known = ~np.isnan(year)
        n, middle = known.sum(axis=1), _mean(year)
        squares = np.where(known, (year - middle[:, None]) ** 2, 0.0).sum(axis=1)
        sigma = np.sqrt(squares / np.maximum(n - 1, 1))
        z = ndtri(np.asarray(self.service_levels))[:, None]
        return _up_to(mean * cover + z * sigma * np.sqrt(cover), review, positions)


def _clock(review: Review) -> Clock:
    longest = float(min(review.protected.max(initial=1.0), review.settings.max_path_days))
    # One more period than needed, so that no item's interval ends inside the last one.
    days = int(longest) + int(DAYS_PER_PERIOD[review.panel.freq])
    return Clock.ahead(review.day, review.panel.freq, days)


def _cover_periods(review: Review) -> Floats:
    """Lead time and review in periods of the panel, shape (n_items,)."""
    days = review.lead_days + review.facts["review_days"].to_numpy(dtype=np.float64)
    return np.asarray(np.maximum(days / DAYS_PER_PERIOD[review.panel.freq], 1.0))


def _sold(panel: DemandPanel) -> Floats:
    """Recorded demand, NaN in periods without stock."""
    return np.where(panel.exposure > 0, panel.demand, np.nan)


def _mean(values: Floats) -> Floats:
    """Mean of each row over what is known; 0 where nothing is."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.asarray(total / np.maximum(known.sum(axis=1), 1))


def _yearly(review: Review, sold: Floats, n_ahead: int) -> tuple[Floats, Floats]:
    """Factor of each past period and of the next `n_ahead`: mean sales per week of the year over all items, mean 1.

    Without two years of history there is no season.
    """
    periods, freq = review.panel.periods, review.panel.freq
    dates = pd.date_range(periods[-1], periods=n_ahead + 1, freq=freq)[1:]
    if len(periods) * DAYS_PER_PERIOD[freq] < 2 * SPREAD_DAYS:
        return np.ones(len(periods)), np.ones(n_ahead)
    week, coming = (_week(d, monthly=freq == "MS") for d in (periods, dates))
    sums, counts = np.zeros(54), np.zeros(54)
    np.add.at(sums, week, _mean(sold.T))
    np.add.at(counts, week, 1.0)
    factor = sums / np.maximum(counts, 1.0)
    usual = float(factor[counts > 0].mean())
    factor = np.where(counts > 0, np.maximum(factor / max(usual, 1e-12), SMALLEST_FACTOR), 1.0)
    return np.asarray(factor[week]), np.asarray(factor[coming])


def _week(dates: pd.DatetimeIndex, *, monthly: bool) -> NDArray[np.int64]:
    """Week of the year, or month."""
    return np.asarray(dates.month if monthly else dates.isocalendar().week, dtype=np.int64)


def _up_to(levels: Floats, review: Review, positions: Positions) -> Floats:
    """Orders that raise the position to a level, with minimum and packs."""
    position = positions.on_hand + positions.on_order - positions.waiting
    moq, pack = (review.facts[c].to_numpy(dtype=np.float64) for c in ("moq", "pack_size"))
    need = np.ceil(np.maximum(levels - position, 0.0) - 1e-9)
    active = review.facts["active"].to_numpy(dtype=bool)
    return np.where(active, round_to_pack(need, moq=np.nan_to_num(moq), pack=np.where(pack > 0, pack, 1.0)), 0.0)
