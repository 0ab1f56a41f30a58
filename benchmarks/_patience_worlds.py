"""Patience and wait cutoffs against the true laws of made-up worlds.

Lines of one item are made by its true law: patience against the wait for a delivery. A wait is the lead time of a new
order, or the rest of one under way, one half each, by the supplier's true law.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq

import backorder_forecast as bf
from backorder_forecast.fitting import fit_world
from backorder_forecast.patience import fit_patience
from backorder_forecast.synthetic import Truth, make_world
from backorder_forecast.waits import StayLaw, WaitTerms
from backorder_forecast.world_laws import draw_patience
from benchmarks._backorder_worlds import SETTINGS, nobody

Floats = NDArray[np.float64]
INTERVAL = (0.1, 0.9)
FIXED_DAYS = (30.0, 45.0, 60.0)
N_LINES = 10_000
CANCELLATIONS = (5, 20, 200)
_LONGEST = 2000


def score_patience(kind: str, seed: int, *, n_items: int = 25) -> list[dict[str, float]]:
    """Per item of a world and number of cancellations: n, relative error of the median, whether its interval held."""
    world = make_world(kind, n_skus=100, days=60, seed=seed)
    rng = np.random.default_rng(seed)
    records = []
    for item in rng.choice(len(world.truth.items), n_items, replace=False):
        true = _true_median(world.truth, int(item))
        waits = _waits(world.truth, int(item), 40_000, rng)
        for n in CANCELLATIONS:
            closed = _cases(world.truth, int(item), waits, n, rng)
            said = _medians(closed, world.truth.items.iloc[[item]])
            inside = float(said[1] <= true <= said[2])
            records.append({"n": n, "error": abs(said[0] / true - 1.0), "inside": inside})
    return records


def patience_figures(rows: pd.DataFrame) -> dict[str, float]:
    """Error of the median from the most cancellations, and coverage by kind and number of them.

    `rows` has kind and the columns of `score_patience`.
    """
    most = rows[rows["n"] == max(CANCELLATIONS)]
    figures = {"patience_median_error": float(most["error"].mean()), "patience_items": float(len(most))}
    figures |= {f"{kind}_patience_median_error": float(part["error"].mean()) for kind, part in most.groupby("kind")}
    for (kind, n), part in rows.groupby(["kind", "n"], sort=False):
        figures[f"{kind}_patience_coverage_80_from_{n:.0f}"] = float(part["inside"].mean())
    return figures


def cutoff_figures(totals: pd.DataFrame) -> dict[str, float]:
    """Profit of the plan's cutoff over that of the best one under the true law, and of fixed rules over the same.

    `totals` has kind and the columns of `score_cutoffs`, one row per world.
    """
    figures: dict[str, float] = {}
    for kind, part in [("", totals), *((f"{kind}_", part) for kind, part in totals.groupby("kind"))]:
        money = part.drop(columns="kind").sum()
        shares = (money / money["best"]).drop("best")
        figures[f"{kind}cutoff_profit_share"] = float(shares["own"])
        figures[f"{kind}cutoff_profit_share_best_fixed"] = float(shares.drop("own").max())
        figures |= {f"{kind}cutoff_share_{name}": float(value) for name, value in shares.drop("own").items()}
    return figures


def score_cutoffs(kind: str, seed: int, *, n_items: int = 200) -> dict[str, float]:
    """Summed over the items of a world: best cutoff, own (the plan's), always, never, fixed ones; money of `N_LINES`
    lines per item."""
    world = make_world(kind, n_skus=n_items, seed=seed)
    fitted = fit_world(bf.read_tables(dict(world.tables), as_of=world.as_of), SETTINGS, lap=nobody).world
    cutoff, terms = fitted.cutoffs.frame["wait_cutoff_days"].to_numpy(), fitted.cutoffs.terms
    place = pd.Index(world.truth.items["sku"]).get_indexer(fitted.facts["sku"].astype("str"))
    grid = np.arange(_LONGEST + 1, dtype=np.float64)
    total = np.zeros(4 + len(FIXED_DAYS))
    rng = np.random.default_rng(seed)
    for i in np.flatnonzero(place >= 0):
        value = _true_value(world.truth, int(place[i]), terms.rows(int(i), int(i) + 1), grid)
        waits = np.minimum(_waits(world.truth, int(place[i]), N_LINES, rng), _LONGEST)
        earned, refused = value[waits.astype(np.int64)], float(terms.refuse_value[i])
        pays = np.flatnonzero(value >= refused)
        best = float(grid[pays[-1]]) if len(pays) else -1.0
        rules = (best, float(cutoff[i]) if cutoff[i] > 0 else -1.0, np.inf, -1.0, *FIXED_DAYS)
        total += [np.where(waits <= rule, earned, refused).sum() for rule in rules]
    names = ("best", "own", "always", "never", *(f"{days:.0f}" for days in FIXED_DAYS))
    return dict(zip(names, total.tolist(), strict=True))


def _true_value(truth: Truth, item: int, terms: WaitTerms, days: Floats) -> Floats:
    """V(w) under the true law; the integral of S0 by the trapezoid rule on single days."""
    stays = truth.survival(str(truth.items["sku"].iloc[item]), days)
    held = np.concatenate([[0.0], np.cumsum((stays[1:] + stays[:-1]) / 2)])
    late = np.where(days > terms.late_days, terms.goodwill_late[0], terms.goodwill[0]) * (days > 0)
    return np.asarray(stays * terms.margin[0] - (1 - stays) * terms.refund_cost[0] - terms.daily_cost[0] * held - late)


def _waits(truth: Truth, item: int, n: int, rng: np.random.Generator) -> Floats:
    """Whole days that n customers would have to wait."""
    cdf = truth.lead_time_cdf(str(truth.items["supplier"].iloc[item]), 400)
    lead = np.searchsorted(cdf, rng.random(n)).astype(np.float64)
    rest = np.where(rng.random(n) < 0.5, rng.random(n), 1.0)
    return np.asarray(np.maximum(np.ceil(lead * rest), 1.0))


def _cases(truth: Truth, item: int, waits: Floats, n_cancelled: int, rng: np.random.Generator) -> pd.DataFrame:
    """Closed lines up to the one that is the n-th cancellation, in whole days."""
    n = len(waits)
    code = np.full(n, item, dtype=np.int64)
    left = draw_patience(truth.items, code, 1.0 - rng.random(n), np.zeros(n))
    gone = left < waits
    stop = np.flatnonzero(np.cumsum(gone) == n_cancelled)
    last = int(stop[0]) + 1 if len(stop) else n
    days = np.where(gone, np.floor(left + rng.random(n)), waits)[:last]
    outcome = np.where(gone, "cancelled", "filled")[:last]
    return pd.DataFrame({"item": 0, "days": days, "outcome": outcome})


def _medians(closed: pd.DataFrame, item: pd.DataFrame) -> tuple[float, float, float]:
    """Median patience by the fit, and its 80 % interval, days."""
    opened = pd.DataFrame({"item": np.zeros(0, dtype=np.int64), "waited_days": np.zeros(0)})
    about = item[["sku", "product_type", "category"]].assign(location="").reset_index(drop=True)
    law = StayLaw.of(fit_patience(closed, opened, about))
    return _median(law), _median(law.at_quantile(INTERVAL[1])), _median(law.at_quantile(INTERVAL[0]))


def _median(law: StayLaw) -> float:
    """Day by which half of the customers have left."""
    shape, rate, row, power = float(law.shape[0]), float(law.rate[0]), int(law.curve[0]), float(law.power[0])
    if row < 0:
        return float(rate * np.expm1(np.log(2.0) / shape))
    hazard = law.hazards[row] * power
    if hazard[-1] < np.log(2.0):
        slope = hazard[-1] - hazard[-2]
        return float(len(hazard) - 1 + (np.log(2.0) - hazard[-1]) / max(slope, 1e-12))
    return float(np.interp(np.log(2.0), hazard, np.arange(len(hazard))))


def _true_median(truth: Truth, item: int) -> float:
    sku = str(truth.items["sku"].iloc[item])
    return float(brentq(lambda day: float(truth.survival(sku, day)) - 0.5, 1e-6, 1e5))
