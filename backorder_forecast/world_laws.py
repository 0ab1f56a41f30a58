"""Laws of the synthetic worlds: what is true about items, suppliers and customers before any day is played.

`draw_laws` draws a catalogue (items, suppliers) from the recipe of a kind of world:

- `matched`: what the library assumes. Orders per day are Poisson and order sizes logarithmic, so that daily demand is
  negative binomial (Quenouille 1949); seasonality is common to a category; lead times are lognormal and independent;
  waiting customers leave at a constant hazard per item, gamma-mixed over items.
- `misspecified`: log-logistic patience; bimodal, autocorrelated lead times; level shifts in demand;
  supplier-wide shocks.
- `thin`: the laws of `matched` with few orders, few receipts and few cancellations.
- `sample`: between matched and misspecified; the world of `data/samples`.

Days are integers: day 0 is the first exported day, `n_days - 1` is `as_of`. Levels are units per day, lead times and
waits days, money is per unit. All numbers come from generators keyed by (kind, seed, purpose).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr

from backorder_forecast.errors import InvalidSettings, unknown_option
from backorder_forecast.streams import stable_hash
from backorder_forecast.world_catalogue import (
    BURN_IN_DAYS,
    RECIPES,
    SLOW_FACTOR,
    SLOW_SHARE,
    WEEKDAY,
    YEAR,
    Recipe,
    draw_items,
    draw_suppliers,
    season_index,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

CAUSES = ("record_error", "late_order", "disruption", "demand_surge", "ordered_too_little", "recall_or_hold")
"""Causes of stockouts that can be planted just before `as_of`, and left out again."""
NEVER = 10**8
"""Day number of what never happens."""
PART_RANGE = (0.4, 0.8)
"""Share of the quantity in the first of two receipts, from-to (uniform)."""


class Stop(NamedTuple):
    """A supplier stands still from day `start` to `end` - 1, and its open orders with it."""

    supplier_code: int
    start: int
    end: int


class Promotion(NamedTuple):
    """Demand of an item times `factor`, from `start` to `end` inclusive."""

    item: int
    start: int
    end: int
    factor: float


class Cause(NamedTuple):
    """A planted cause of stockouts, from `start` to `end`; `size` in the unit of its kind."""

    kind: str
    item: int
    supplier_code: int
    start: int
    end: int
    size: float


@dataclass(frozen=True, eq=False)
class Laws:
    """The true parameters of a world.

    Attributes
    ----------
    items
        One row per item, sorted by sku: sku, category, category_code, supplier, supplier_code, product_type,
        demand_class, level (units per day at the start), spread (variance / mean of daily demand), trend (log growth
        per year), first_day, last_day (of demand), price, unit_cost, terms, balk_share, patience (law), patience_scale,
        patience_shape, and the shop's policy: review_days, review_phase, safety, batch_days, moq, pack_size,
        count_phase.
    suppliers
        One row per supplier: supplier, lead_median, lead_sd_log, bimodal, partial_share, extra_days, cancel_share,
        stated_days, closed_weekends.
    season, weekday
        Multiplicative indices, shapes (n_categories, 366) by day of the year and (7,) from Monday; both mean 1.
    stops, promotions, causes
        Supplier stops without the planted one, promotions, planted causes.
    left_out
        Kinds of causes that did not happen in this version of the world.
    part
        Number of the part, where a large world is played in parts.
    """

    kind: str
    recipe: Recipe
    seed: int
    as_of: pd.Timestamp
    n_days: int
    items: pd.DataFrame
    suppliers: pd.DataFrame
    season: NDArray[np.float64]
    weekday: NDArray[np.float64]
    stops: tuple[Stop, ...]
    promotions: tuple[Promotion, ...]
    causes: tuple[Cause, ...]
    left_out: frozenset[str] = frozenset()
    part: int = 0

    def rng(self, *purpose: str | int) -> np.random.Generator:
        """Generator keyed by kind, seed and purpose: the same numbers whatever else is drawn."""
        return _generator(self.kind, self.seed, self.part, *purpose)

    def date(self, day: ArrayLike) -> pd.DatetimeIndex:
        """Calendar dates of day numbers."""
        first = (self.as_of - pd.Timedelta(days=self.n_days - 1)).to_datetime64().astype("datetime64[D]")
        return pd.DatetimeIndex((first + np.asarray(day, dtype=np.int64)).astype("datetime64[s]"))

    def planted(self, kind: str) -> list[Cause]:
        """Planted causes of one kind that are not left out."""
        return [c for c in self.causes if c.kind == kind and kind not in self.left_out]

    def all_stops(self) -> list[Stop]:
        """Supplier stops, planted disruption included, by start."""
        planted = {Stop(c.supplier_code, c.start, c.end) for c in self.planted("disruption")}
        return sorted([*self.stops, *planted], key=lambda s: (s.start, s.supplier_code))

    def without(self, cause: str) -> Laws:
        """The same world had the cause not been planted (for record_error: had no record ever been wrong)."""
        if cause not in CAUSES:
            raise unknown_option("cause", cause, CAUSES)
        return replace(self, left_out=self.left_out | {cause})

    def items_between(self, start: int, stop: int, part: int) -> Laws:
        """The world of items start to stop alone; parts have generators of their own."""
        promotions = tuple(p._replace(item=p.item - start) for p in self.promotions if start <= p.item < stop)
        causes = tuple(c._replace(item=c.item - start) for c in self.causes if start <= c.item < stop)
        items = self.items.iloc[start:stop].reset_index(drop=True)
        return replace(self, items=items, promotions=promotions, causes=causes, part=part)


def draw_laws(kind: str, *, n_skus: int, n_days: int, seed: int, as_of: str | pd.Timestamp, causes: int) -> Laws:
    """Draw the laws of a world.

    Parameters
    ----------
    kind
        One of `world_catalogue.RECIPES`.
    n_skus, n_days
        Items of the catalogue; days of the export.
    seed, as_of
        Key of all numbers; last exported day.
    causes
        Items per kind of planted cause (a disruption plants one supplier).

    Examples
    --------
    >>> laws = draw_laws("matched", n_skus=40, n_days=400, seed=1, as_of="2024-06-30", causes=0)
    >>> laws.items.shape[0], laws.suppliers.shape[0], float(laws.season.mean().round(6))
    (40, 10, 1.0)
    """
    if kind not in RECIPES:
        raise unknown_option("kind of world", kind, RECIPES)
    if n_skus < 1 or n_days < 28 or seed < 0 or causes < 0:
        raise InvalidSettings(
            "a world needs n_skus >= 1, n_days >= 28, seed >= 0 and causes >= 0; "
            f"got {n_skus}, {n_days}, {seed}, {causes}"
        )
    recipe = RECIPES[kind]
    # A large catalogue has more suppliers, not larger ones.
    n_suppliers = max(recipe.n_suppliers, n_skus // 150)
    suppliers = draw_suppliers(recipe, n_suppliers, _generator(kind, seed, "suppliers"))
    items = draw_items(recipe, suppliers, n_skus, n_days, _generator(kind, seed, "items"))
    return Laws(
        kind=kind,
        recipe=recipe,
        seed=seed,
        as_of=pd.Timestamp(as_of).normalize(),
        n_days=n_days,
        items=items,
        suppliers=suppliers,
        season=season_index(),
        weekday=np.array(WEEKDAY) / np.mean(WEEKDAY),
        stops=_stops(recipe, n_suppliers, n_days, _generator(kind, seed, "stops")),
        promotions=_promotions(items, n_days, _generator(kind, seed, "promotions")),
        causes=_causes(items, n_days, causes, _generator(kind, seed, "causes")),
    )


def patience_survival(items: pd.DataFrame, code: NDArray[np.int64], days: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(a waiting customer of item `code` still waits after `days`), elementwise; balking is not in it."""
    scale, shape, heavy = _patience(items, code)
    with np.errstate(over="ignore"):
        return np.where(heavy, 1.0 / (1.0 + (days / scale) ** shape), np.exp(-days / scale))


def draw_patience(
    items: pd.DataFrame, code: NDArray[np.int64], uniform: NDArray[np.float64], waited: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Days after which a customer leaves, given that they waited `waited` days already; uniforms in (0, 1]."""
    scale, shape, heavy = _patience(items, code)
    left = np.maximum(uniform * patience_survival(items, code, waited), 1e-300)
    return np.where(heavy, scale * ((1.0 - left) / left) ** (1.0 / shape), -scale * np.log(left))


def lead_time_cdf(laws: Laws, supplier_code: int, n_days: int) -> NDArray[np.float64]:
    """P(a unit on order has arrived t days after the order), t = 0..n_days, given that it ever comes.

    Weighted by quantity: the rest of a partial receipt counts on its own day. Spells and shocks of the supplier are
    averaged; stops (`Laws.stops`) are not in it.
    """
    row = laws.suppliers.iloc[supplier_code]
    grid = np.arange(1, n_days + 1)
    sd = float(np.hypot(row["lead_sd_log"], laws.recipe.shock_sd))
    mean = np.log(float(row["lead_median"]))
    slow = SLOW_SHARE if row["bimodal"] else 0.0
    first = (1 - slow) * ndtr((np.log(grid) - mean) / sd) + slow * ndtr(
        (np.log(grid) - mean - np.log(SLOW_FACTOR)) / sd
    )
    first = np.concatenate([[0.0], first])
    wait = -np.diff(np.exp(-np.arange(n_days + 1) / float(row["extra_days"])))  # days 1.. until the rest arrives
    rest = np.concatenate([[0.0], np.convolve(np.diff(first, prepend=0.0), wait)[:n_days]]).cumsum()
    late = float(row["partial_share"]) * (1 - np.mean(PART_RANGE))
    return np.asarray((1 - late) * first + late * rest)


def _generator(*key: str | int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(stable_hash("\x1f".join(map(str, key))))))


def _patience(
    items: pd.DataFrame, code: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    scale = items["patience_scale"].to_numpy(np.float64)[code]
    shape = items["patience_shape"].to_numpy(np.float64)[code]
    return scale, shape, (items["patience"] == "log_logistic").to_numpy()[code]


def _stops(recipe: Recipe, n_suppliers: int, n_days: int, rng: np.random.Generator) -> tuple[Stop, ...]:
    start = int(n_days * rng.uniform(0.45, 0.7))
    stops = [Stop(int(rng.integers(0, min(n_suppliers, 5))), start, start + int(rng.integers(18, 30)))]
    extra = rng.poisson(recipe.disruptions_per_year * (n_days + BURN_IN_DAYS) / YEAR, n_suppliers)
    for supplier, count in enumerate(extra):
        first = rng.integers(-BURN_IN_DAYS, n_days, count)
        stops += [Stop(supplier, int(a), int(a + d)) for a, d in zip(first, rng.integers(6, 16, count), strict=True)]
    return tuple(stops)


def _promotions(items: pd.DataFrame, n_days: int, rng: np.random.Generator) -> tuple[Promotion, ...]:
    """Dated price promotions, mostly of fast items; one in twelve is still ahead of `as_of`."""
    n = len(items)
    count = max(round(0.16 * n * n_days / 730), 1)
    fast = np.flatnonzero(items["demand_class"].isin(["smooth", "erratic"]))
    item = rng.choice(fast if len(fast) else np.arange(n), count)
    start = rng.integers(20, max(n_days - 20, 21), count)
    start[: count // 12] = n_days + rng.integers(10, 60, count // 12)
    end, factor = start + rng.integers(4, 12, count), np.round(rng.uniform(1.3, 2.2, count), 2)
    rows = zip(item.tolist(), start.tolist(), end.tolist(), factor.tolist(), strict=True)
    return tuple(sorted((Promotion(*row) for row in rows), key=lambda p: (p.start, p.item)))


def _causes(items: pd.DataFrame, n_days: int, per_kind: int, rng: np.random.Generator) -> tuple[Cause, ...]:
    live = (items["first_day"] <= n_days - 200) & (items["last_day"] > n_days + 10**5)
    fast = live & items["demand_class"].isin(["smooth", "erratic"])
    pool, supplier = rng.permutation(np.flatnonzero(fast)), items["supplier_code"].to_numpy(np.int64)
    if per_kind == 0 or len(pool) == 0:
        return ()
    last, stopped = n_days - 1, int(supplier[pool[0]])
    start, end = last - int(rng.integers(4, 14)), last + int(rng.integers(12, 30))
    hit = np.flatnonzero(live & (supplier == stopped)).tolist()
    causes = [Cause("disruption", i, stopped, start, end, float(end - start)) for i in hit]
    pool = pool[supplier[pool] != stopped]
    plants = (  # first and last offset of the start, first and last offset of the end, size from-to
        ("record_error", 2, 12, 1, 1, 0.5, 0.9),  # share of the stock that is lost
        ("late_order", 3, 25, 10, 35, 8.0, 20.0),  # mean of the further delay, days
        ("demand_surge", 7, 14, NEVER, NEVER, 1.8, 3.0),  # factor on demand
        ("ordered_too_little", 7, 21, 1, 1, 0.0, 0.0),  # share ordered since one stated lead time before
        ("recall_or_hold", 2, 12, 30, 60, 0.7, 1.0),  # share of the stock that is blocked
    )
    for place, (kind, near, far, soon, late, low, high) in enumerate(plants):
        for i in pool[place * per_kind : (place + 1) * per_kind].tolist():
            start, end = last - int(rng.integers(near, far + 1)), last + int(rng.integers(soon, late + 1))
            causes.append(Cause(kind, i, -1, start, end, float(rng.uniform(low, high))))
    return tuple(causes)
