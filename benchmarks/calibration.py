"""Do the probabilities mean what they say? Plans on worlds with known truth, held against many futures of each world.

    python -m benchmarks.calibration [--kinds matched misspecified thin] [--seeds 4] [--json PATH]

Per world and seed a plan is made from the export alone; the truth then plays the days after `as_of` many times under
its own laws (no new orders for stockouts, the shop's own orders for fill dates). Worlds are made up and fixed in
`synthetic.py`; no parameter of the library was chosen on them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import backorder_forecast as bf
from backorder_forecast.synthetic import World, make_world
from benchmarks._compare import print_table

DAYS = (7, 14, 30)


def main() -> None:
    """Print the table, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=["matched", "misspecified", "thin"])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--items", type=int, default=150)
    parser.add_argument("--futures", type=int, default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, float] = {}
    for kind in options.kinds:
        worlds = [make_world(kind, n_skus=options.items, seed=seed) for seed in range(options.seeds)]
        parts = [_score(world, options.futures) for world in worlds]
        figures |= {f"{kind}_{name}": value for name, value in _pooled(parts).items()}
    print_table(f"{options.seeds} seeds, {options.items} items, {options.futures} futures each", figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _score(world: World, n_futures: int) -> dict[str, NDArray[np.float64]]:
    """Stated and true probabilities of one world, and its fill dates and promises against each future."""
    plan = bf.make_plan(bf.read_tables(dict(world.tables), as_of=world.as_of))
    true = world.truth.stockout_probability(DAYS, n_futures=n_futures, orders=False).set_index("sku")
    said = plan.stockouts[~plan.stockouts["already_out"]].set_index("sku")
    out: dict[str, NDArray[np.float64]] = {}
    for day in DAYS:
        out[f"said_{day}"] = said[f"p_stockout_{day}"].to_numpy()
        out[f"true_{day}"] = true.loc[said.index, day].to_numpy()
    known = world.truth.open_lines.reset_index(names="row")[["order_id", "sku", "row"]]
    known = known.astype({"order_id": "str", "sku": "str"})
    lines = plan.fill_dates.merge(known, on=["order_id", "sku"])
    low, high, promised = (_day(lines[c], plan.as_of) for c in ("fill_date_0.1", "fill_date_0.9", "promise_date"))
    rows = lines["row"].to_numpy()
    futures = [world.truth.future(seed, horizon_days=200) for seed in range(n_futures)]
    filled = np.stack([future.line_fill_day[rows.astype(np.int64)] for future in futures], axis=1).astype(np.float64)
    demand = np.mean([future.demand[:, :90].sum() for future in futures[:20]])
    dated = ~np.isnan(promised)
    out["inside"] = ((filled >= low[:, None]) & (filled <= high[:, None])).mean(axis=1)
    out["kept"] = (filled <= promised[:, None]).mean(axis=1)[dated]
    out["stated"] = lines["p_at_promise"].to_numpy()[dated]
    out["demand_ratio"] = np.array([plan.forecasts["mean"].sum() / demand])
    return out


def _pooled(parts: list[dict[str, NDArray[np.float64]]]) -> dict[str, float]:
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    figures = {}
    for day in DAYS:
        said, true = joined[f"said_{day}"], joined[f"true_{day}"]
        figures[f"p_stockout_{day}_said"] = float(said.mean())
        figures[f"p_stockout_{day}_true"] = float(true.mean())
        figures[f"p_stockout_{day}_ece"] = _calibration_error(said, true)
    figures["fill_coverage_80"] = float(joined["inside"].mean())
    figures["promise_kept"] = float(joined["kept"].mean())
    figures["promise_stated"] = float(joined["stated"].mean())
    figures["open_lines"] = float(len(joined["inside"]))
    figures["demand_forecast_over_true"] = float(joined["demand_ratio"].mean())
    return figures


def _calibration_error(said: NDArray[np.float64], true: NDArray[np.float64]) -> float:
    """Mean gap between stated and true probability over ten bins of the stated one, weighted by size."""
    bins = np.minimum((said * 10).astype(int), 9)
    gaps = [abs(said[bins == b].mean() - true[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return float(np.sum(gaps))


def _day(dates: pd.Series, as_of: pd.Timestamp) -> NDArray[np.float64]:
    return np.asarray((dates - as_of).dt.days.to_numpy(), dtype=np.float64)


if __name__ == "__main__":
    main()
