"""The catalogue of a synthetic world: recipes, suppliers and items with their true parameters.

A recipe says how one kind of world differs from another; `draw_suppliers` and `draw_items` draw the true parameters
from it. Levels are units per day, lead times and waits days, prices money per unit; day 0 is the first exported day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backorder_forecast.settings import PATIENCE_PRIORS, PAYMENT_HAZARD, PRODUCT_TYPES

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = ("smooth", "erratic", "intermittent", "lumpy")
BURN_IN_DAYS = 120
"""Days played before day 0, so that the pipeline is in motion when the export begins."""
YEAR = 365.25
SLOW_SHARE, SLOW_FACTOR, SLOW_LEAVE = 0.3, 1.8, 0.25
"""Slow spells of a bimodal supplier: share of weeks, factor on lead times, chance per week that a spell ends."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What distinguishes one kind of world from another."""

    class_shares: tuple[float, float, float, float] = (0.30, 0.16, 0.34, 0.20)
    """Share of items per demand class, in the order of `CLASSES`."""
    level_scale: float = 1.0
    n_suppliers: int = 10
    review_days: tuple[int, ...] = (7, 7, 14)
    batch_days: tuple[float, float] = (15.0, 45.0)
    """Order batch in days of demand, from-to."""
    safety: tuple[float, float] = (-0.6, 1.2)
    """Safety factor of the shop's order-up-to level, from-to."""
    log_logistic_share: float = 0.0
    """Share of items whose customers have log-logistic patience."""
    bimodal_share: float = 0.0
    """Share of suppliers with slow spells (mean four weeks, three weeks in ten, lead times longer by `SLOW_FACTOR`)."""
    shock_sd: float = 0.0
    """Log standard deviation of a weekly supplier-wide shock, autocorrelation 0.8."""
    disruptions_per_year: float = 0.0
    """Supplier stops per supplier and year, besides the one that every world has."""
    shifts_per_year: float = 0.0
    """Sudden level shifts per item and year."""
    errors_per_year: float = 0.25
    """Unrecorded losses and finds per item and year."""
    balk_noise: float = 0.0
    """Standard deviation of the balking share around its prior, in logits."""
    weekday_receipts: bool = False


RECIPES = {
    "matched": Recipe(),
    "misspecified": Recipe(
        log_logistic_share=1.0, bimodal_share=0.7, shock_sd=0.12, disruptions_per_year=0.3, shifts_per_year=0.35,
        balk_noise=0.3,
    ),
    "thin": Recipe(
        class_shares=(0.10, 0.10, 0.50, 0.30), level_scale=0.3, n_suppliers=12, review_days=(14, 28),
        batch_days=(60.0, 150.0), safety=(-0.3, 1.2),
    ),
    "sample": Recipe(
        log_logistic_share=0.4, bimodal_share=0.3, shock_sd=0.06, disruptions_per_year=0.1, shifts_per_year=0.12,
        balk_noise=0.2, weekday_receipts=True,
    ),
    "warehouse": Recipe(level_scale=2.0),
}  # fmt: skip
KINDS = ("matched", "misspecified", "thin", "sample")

# name, SKU prefix, shares of the product types, median price, seasonal amplitude, day of the peak, December peak
_CATEGORIES: tuple[tuple[str, str, tuple[float, float, float, float], float, float, int, float], ...] = (
    ("Fasteners", "00", (0.65, 0.30, 0.05, 0.0), 4.5, 0.12, 150, 0.0),
    ("Hand tools", "HT-", (0.30, 0.50, 0.20, 0.0), 19.0, 0.10, 120, 0.35),
    ("Power tools", "PT-", (0.05, 0.55, 0.35, 0.05), 129.0, 0.15, 110, 0.45),
    ("Garden", "GA-", (0.20, 0.50, 0.25, 0.05), 34.0, 0.50, 150, 0.0),
    ("Lighting", "LI-", (0.20, 0.50, 0.20, 0.10), 42.0, 0.25, 345, 0.2),
    ("Safety", "07", (0.40, 0.45, 0.15, 0.0), 14.0, 0.08, 60, 0.0),
    ("Heating", "HE-", (0.10, 0.40, 0.35, 0.15), 88.0, 0.40, 330, 0.0),
    ("Fittings to order", "FX-", (0.0, 0.20, 0.40, 0.40), 210.0, 0.10, 250, 0.0),
)
CATEGORIES = tuple(c[0] for c in _CATEGORIES)
_CATEGORY_SHARES = (0.18, 0.17, 0.12, 0.14, 0.13, 0.12, 0.08, 0.06)
_SUPPLIER_NAMES = (
    "Nordwerk GmbH", "Halden Tools AS", "Pacific Fasteners Ltd", "Brightline Electric", "Oakridge Supply Co",
    "Maas & Zoon BV", "Tri-Star Trading", "Solis Iluminacion SL", "Kestrel Safety Ltd", "Yamato Kogyo KK",
    "Ferrum Polska Sp. z o.o.", "Lakeshore Castings Inc",
)  # fmt: skip
WEEKDAY = (1.15, 1.1, 1.1, 1.1, 1.2, 0.9, 0.45)


def season_index() -> NDArray[np.float64]:
    """Seasonal index of each category by day of the year, shape (n_categories, 366), mean 1."""
    day = np.arange(366)
    rows = []
    for _, _, _, _, amplitude, peak, december in _CATEGORIES:
        wave = np.exp(amplitude * np.cos(2 * np.pi * (day - peak) / YEAR))
        gift = 1 + december * np.exp(-0.5 * ((day - 345) / 10.0) ** 2)
        rows.append(wave * gift / np.mean(wave * gift))
    return np.array(rows)


def draw_suppliers(recipe: Recipe, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Suppliers with their lead time laws; columns as in `world_laws.Laws.suppliers`."""
    more = [f"Supplier {i:03d}" for i in range(len(_SUPPLIER_NAMES), n)]
    median = np.exp(rng.permutation(np.linspace(np.log(6.0), np.log(34.0), n)))
    bimodal = rng.permutation(np.arange(n) < round(recipe.bimodal_share * n))
    # Narrow modes make the two of a bimodal law visible.
    sd_log = np.where(bimodal, rng.uniform(0.10, 0.18, n), rng.uniform(0.15, 0.40, n))
    typical = median * (1 + bimodal * SLOW_SHARE * 0.5)
    return pd.DataFrame(
        {
            "supplier": [*_SUPPLIER_NAMES[:n], *more],
            "lead_median": median,
            "lead_sd_log": sd_log,
            "bimodal": bimodal,
            "partial_share": rng.uniform(0.03, 0.18, n),
            "extra_days": rng.uniform(3.0, 9.0, n),
            "cancel_share": rng.uniform(0.0, 0.025, n),
            "stated_days": np.maximum(np.rint(typical * rng.uniform(0.7, 1.0, n)), 2.0),
            "closed_weekends": recipe.weekday_receipts,
        }
    )


def draw_items(recipe: Recipe, suppliers: pd.DataFrame, n: int, n_days: int, rng: np.random.Generator) -> pd.DataFrame:
    """Items with their demand and patience laws and the shop's policy; columns as in `world_laws.Laws.items`."""
    category = rng.choice(len(_CATEGORIES), n, p=_CATEGORY_SHARES)
    type_shares = np.array([c[2] for c in _CATEGORIES]).cumsum(axis=1)
    product_type = (rng.random(n)[:, None] > type_shares[category]).sum(axis=1).clip(max=3)
    shares = np.tile(np.array(recipe.class_shares), (n, 1))
    shares[product_type == 3, :2] *= 0.15  # made to order is rarely a fast mover
    shares = (shares / shares.sum(axis=1, keepdims=True)).cumsum(axis=1)
    klass = (rng.random(n)[:, None] > shares).sum(axis=1).clip(max=3)
    level, spread = _demand_levels(klass, recipe.level_scale, rng)
    new, ended = rng.random(n) < 0.06, rng.random(n) < 0.05
    first_day = np.where(new, rng.integers(n_days // 4, max(n_days - 40, n_days // 4 + 1), n), -BURN_IN_DAYS)
    last_day = np.where(ended & ~new, rng.integers(n_days // 2, max(n_days - 14, n_days // 2 + 1), n), 10**6)
    price = np.array([c[3] for c in _CATEGORIES])[category] * np.exp(rng.normal(0, 0.6, n)) * (1 + 0.3 * product_type)
    price = np.where(price > 10, np.rint(price) - 0.05, np.round(price + 0.05, 1))
    popular = 1.0 / np.arange(1, len(suppliers) + 1) ** 0.6
    supplier = rng.choice(len(suppliers), n, p=popular / popular.sum())
    review = rng.choice(recipe.review_days, len(suppliers))[supplier]
    weekday = rng.integers(0, 5, len(suppliers))[supplier]  # all items of a supplier are reviewed together
    pack = np.where(level < 0.25, 1, rng.choice([1, 5, 10, 12], n, p=[0.4, 0.25, 0.2, 0.15]))
    items = pd.DataFrame(
        {
            "sku": _sku_codes(category, rng),
            "category": np.array(CATEGORIES)[category],
            "category_code": category,
            "supplier": suppliers["supplier"].to_numpy()[supplier],
            "supplier_code": supplier,
            "product_type": np.array(PRODUCT_TYPES)[product_type],
            "demand_class": np.array(CLASSES)[klass],
            "level": level,
            "spread": spread,
            "trend": np.where(rng.random(n) < 0.2, rng.normal(0, 0.25, n), 0.0).clip(-0.6, 0.6),
            "first_day": first_day,
            "last_day": last_day,
            "price": np.round(price, 2),
            "unit_cost": np.round(price * (1 - rng.uniform(0.2, 0.45, n)), 2),
            "terms": _terms(price, product_type, rng),
            "review_days": review,
            "review_phase": weekday,
            "safety": rng.uniform(*recipe.safety, n),
            "batch_days": rng.uniform(*recipe.batch_days, n),
            "moq": pack * rng.choice([1, 2, 4], n, p=[0.6, 0.25, 0.15]),
            "pack_size": pack,
            "count_phase": rng.integers(0, 26, n),
        }
    )
    items = _with_patience(items, recipe, category, product_type, rng)
    return items.sort_values("sku", kind="stable", ignore_index=True)


def mean_order_size(spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the logarithmic order size whose compound Poisson has variance / mean = spread."""
    return np.asarray((spread - 1.0) / np.log(spread))


def _demand_levels(
    klass: NDArray[np.int64], scale: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Units per day and variance-to-mean ratio of daily demand, aimed at the class on weekly data."""
    n = len(klass)
    smooth = np.exp(rng.normal(np.log(1.6), 0.45, n)).clip(0.8, 7.0) * max(scale, 0.6)
    erratic = np.exp(rng.normal(np.log(1.2), 0.45, n)).clip(0.7, 4.0) * max(scale, 0.6)
    spread = np.choose(
        klass, [rng.uniform(1.2, 2.4, n), erratic * 7 * rng.uniform(0.8, 1.5, n), rng.uniform(1.05, 1.5, n),
                rng.uniform(8.0, 22.0, n)],
    )  # fmt: skip
    orders = rng.uniform(0.02, 0.09, n) * scale
    level = np.choose(klass, [smooth, erratic, orders * mean_order_size(spread), orders * mean_order_size(spread)])
    return level, spread


def _terms(price: NDArray[np.float64], product_type: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.str_]:
    u = rng.random(len(price))
    deposit = (price > 150) & (u < 0.6)
    full = (product_type >= 2) & (u > 0.65) | (price < 150) & (u > 0.85)
    return np.where(deposit, "deposit", np.where(full, "full", "none"))


def _with_patience(
    items: pd.DataFrame, recipe: Recipe, category: NDArray[np.int64], product_type: NDArray[np.int64],
    rng: np.random.Generator,
) -> pd.DataFrame:  # fmt: skip
    n = len(items)
    balk, mean_days = np.array([PATIENCE_PRIORS[t] for t in PRODUCT_TYPES]).T
    group = rng.gamma(8.0, 1 / 8.0, (len(PRODUCT_TYPES), len(_CATEGORIES)))[product_type, category]
    hazard = group * rng.gamma(8.0, 1 / 8.0, n) / mean_days[product_type]
    hazard *= items["terms"].map(dict(PAYMENT_HAZARD)).to_numpy(np.float64)
    heavy = rng.random(n) < recipe.log_logistic_share
    logit = np.log(balk / (1 - balk))[product_type] + recipe.balk_noise * rng.normal(size=n)
    return items.assign(
        balk_share=1 / (1 + np.exp(-logit)),
        patience=np.where(heavy, "log_logistic", "exponential"),
        patience_scale=np.where(heavy, np.log(2.0), 1.0) / hazard,  # a log-logistic law keeps the median
        patience_shape=np.where(heavy, rng.uniform(1.6, 2.4, n), 1.0),
    )


def _sku_codes(category: NDArray[np.int64], rng: np.random.Generator) -> list[str]:
    numbers = 1000 + np.cumsum(rng.integers(3, 40, len(category)))
    prefix = [_CATEGORIES[c][1] for c in category]
    return [f"{p}{number:06d}" for p, number in zip(prefix, numbers, strict=True)]
