"""Aircraft spare parts: what stock a fill rate costs with our forecasts, and with the classics of intermittent demand.

    python -m benchmarks.spare_parts [--data FOLDER] [--paths 20000] [--fitted 48] [--every MONTHS] [--law moments]

RAF, parts with a lead time of up to 12 months, each with its own lead time and price. Forecasts are made after month
48, with the defaults of the library; base stocks follow from the law of each forecast, orders are placed each month.
Months 49 to 60 run in, 61 to 84 are scored: fill rate is units filled at once over units demanded, all parts
together; cost the mean value of the stock. Two ways of setting the levels, each the same for all forecasts: an equal
cycle service level for all parts, and the marginal value of a unit per money in stock. Compared at equal fill rates;
95 % intervals from resampled parts, in which the rival that is best in that sample counts.

Variants: `--every 6` makes forecasts and base stocks anew each half-year; `--law moments` puts a negative binomial of
the same mean and variance in the place of each forecast's law; `--fitted 24` plays it two years earlier, before
anything that is scored.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from backorder_forecast import Settings, demand_panel, forecast_demand
from benchmarks._base_stock import Levels, choose_levels, replay, value_at_fill
from benchmarks._demand_sets import _long, _with_columns

Floats = NDArray[np.float64]

RIVALS = ("ses", "sba", "tsb", "bootstrap")
FILL_RATES = (0.90, 0.95, 0.98)
MAX_LEAD = 12
RUN_IN, SCORED = 12, 24
"""Months after the forecast."""
_RESAMPLES = 1000


def main() -> None:
    """Print the tables, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("BACKORDER_DATA"))
    parser.add_argument("--paths", type=int, default=20_000)
    parser.add_argument("--fitted", type=int, default=48, help="months known to the first forecast")
    parser.add_argument("--every", type=int, default=0, help="months after which forecasts and levels are made anew")
    parser.add_argument("--law", choices=("paths", "moments"), default="paths")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.data is None:
        parser.error("the folder of the real data is not known: give --data or set BACKORDER_DATA")
    begun = time.perf_counter()
    figures = score(options.data, options.paths, options.fitted, options.every, options.law)
    console = Console(width=120)
    for way in ("equal", "marginal"):
        console.print(_table(figures, way))
    figures["raf_minutes"] = (time.perf_counter() - begun) / 60.0
    console.print(f"{figures['raf_minutes']:.1f} minutes, {figures['raf_items']:.0f} parts")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def score(data: Path, n_paths: int, fitted: int, every: int, law: str) -> dict[str, float]:
    """All figures by name."""
    scored = slice(fitted + RUN_IN, fitted + RUN_IN + SCORED)
    months = pd.read_parquet(data / "spareparts" / "raf.parquet")
    months = months[months["lead_time_months"] <= MAX_LEAD]
    panel = _with_columns(demand_panel(_long(months), freq="MS"), months, {"price_gbp": "price"})
    terms = months.drop_duplicates("unique_id").set_index("unique_id").loc[panel.items["sku"]]
    lead, price = terms["lead_time_months"].to_numpy(dtype=np.int64), terms["price_gbp"].to_numpy(dtype=np.float64)
    settings = Settings(n_paths=n_paths)
    wanted = panel.demand[:, scored].sum(axis=1)
    every = every or RUN_IN + SCORED
    origins = range(fitted, scored.stop, every)
    curves: dict[str, dict[str, tuple[Floats, Floats]]] = {"equal": {}, "marginal": {}}
    for method in ("ours", *RIVALS):
        model = None if method == "ours" else method
        chosen: list[Levels] = []
        for origin in origins:
            known = panel.until(origin)
            paths = forecast_demand(known, horizon=MAX_LEAD + 1, seed=0, settings=settings, model=model)
            chosen.append(choose_levels(paths, lead, price, law=law))
        for way, levels in (("equal", [c.equal for c in chosen]), ("marginal", [c.marginal for c in chosen])):
            curves[way][method] = replay(
                levels, every, panel.demand, lead, price, first=fitted, scored=scored
            )  # fmt: skip
    figures = {"raf_items": float(panel.n_items), "raf_units": float(wanted.sum())}
    rng = np.random.default_rng(0)
    counts = rng.multinomial(len(wanted), np.full(len(wanted), 1.0 / len(wanted)), size=_RESAMPLES).astype(np.float64)
    for way, by_method in curves.items():
        figures |= _savings(way, by_method, wanted, counts)
    return figures


def _savings(way: str, curves: dict[str, tuple[Floats, Floats]], wanted: Floats, counts: Floats) -> dict[str, float]:
    """Stock value of each method at each fill rate, and what ours saves against the best rival."""
    at = np.array(FILL_RATES)
    weights = np.vstack([np.ones(len(wanted)), counts])
    demanded = weights @ wanted
    values = {}
    for method, (filled, value) in curves.items():
        f, v = weights @ filled, weights @ value
        values[method] = np.array([value_at_fill(f[b], v[b], demanded[b], at) for b in range(len(weights))])
    rivals = np.stack([values[name] for name in RIVALS])
    # A rival that no target brings to a fill rate does not count there; with none left there is no saving to tell.
    best = np.min(np.where(np.isnan(rivals), np.inf, rivals), axis=0)
    saving = 1.0 - values["ours"] / np.where(np.isinf(best), np.nan, best)
    figures = {}
    for k, fill in enumerate(FILL_RATES):
        name = f"raf_saving_{round(100 * fill)}_{way}"
        figures[name] = float(saving[0, k])
        figures[f"{name}_low"], figures[f"{name}_high"] = (float(q) for q in _interval(saving[1:, k]))
        for method, value in values.items():
            figures[f"raf_value_{round(100 * fill)}_{way}_{method}"] = float(value[0, k])
    return figures


def _interval(savings: Floats) -> Floats:
    """95 % interval over the samples in which a fill rate is reached; NaN where it never is."""
    told = savings[~np.isnan(savings)]
    return np.quantile(told, [0.025, 0.975]) if len(told) else np.full(2, np.nan)


def _table(figures: dict[str, float], way: str) -> Table:
    table = Table("fill rate", "ours", *RIVALS, "saving against the best", title=f"Value of the stock, {way} targets")
    for fill in FILL_RATES:
        key = round(100 * fill)
        values = [figures[f"raf_value_{key}_{way}_{method}"] for method in ("ours", *RIVALS)]
        name = f"raf_saving_{key}_{way}"
        saving = f"{figures[name]:+.1%} ({figures[f'{name}_low']:+.1%} to {figures[f'{name}_high']:+.1%})"
        told = ["not reached" if np.isnan(value) else f"{value:,.0f}" for value in values]
        table.add_row(f"{fill:.2f}", *told, "" if np.isnan(figures[name]) else saving)
    return table


if __name__ == "__main__":
    main()
