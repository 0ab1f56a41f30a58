"""Stockout chances, causes and warnings on worlds with known truth, and how long projections take.

    python -m benchmarks._stockout_worlds [--seeds 2] [--json PATH]

- `synthetic_ece`: worst calibration error of P(stockout by 7, 14, 30 days) over matched, misspecified and thin worlds
  (`calibration.py`: ten bins, the seeds of a kind together, truth from 100 futures without new orders); `thin_coverage`
  of the 80 % intervals of fill dates in the thin world.
- `exact_rms_z`: simulated less exact chances to be out by day 30, in standard errors of the simulation, of items with
  up to 128 units and nothing on order; 1 is what chance makes, `exact_within_3` the share within three.
- `cause_first_share`: causes planted shortly before `as_of`, each in items of its own (a disruption in all items of one
  supplier). The effect of a cause is the risk that the plan states less the one of the plan made on the export of the
  same world in which nothing was planted. Of the items in which it is .3 or more: share whose first cause is the
  planted one; `_small` is .1 to .3; `_true` goes by the true chance to be out in 30 days instead, whether or not the
  records show anything.
- `warned_share`, `warned_precision`: a warning is a median stockout date (`stockout_date_0.5`) within lead time + 28
  days. Of the stockouts that happen later than one (median) lead time and within those days in futures without new
  orders, the share that was warned of; and of the warnings, the share in which that happens. Futures in which the item
  runs out within the lead time count in neither: no order could have prevented those.
- `projection_seconds`: 10 000 items, 500 paths, 90 days, on 2 cores: demand, receipts, stock, dates, fill dates of all
  backorder lines; `projection_cpu_seconds` over both cores, `projection_peak_mb` with the fit of the models.

Worlds are made up and fixed in `synthetic.py`; thresholds of the library were not chosen on the seeds scored here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import backorder_forecast as bf
from backorder_forecast.first_passage import MOST_UNITS, stockout_chances
from backorder_forecast.fitting import Fitted, fit_world
from backorder_forecast.synthetic import World, make_world
from backorder_forecast.world_export import export_tables
from backorder_forecast.world_timeline import play_future, play_history, state_after
from benchmarks._compare import peak_mb, print_table
from benchmarks.calibration import DAYS, _calibration_error, _score

KINDS = ("matched", "misspecified", "thin")
FIRST_SEED = 100
"""Seeds of the scored worlds begin here; smaller ones were looked at while the causes were written."""
CAUSES = {
    "record_error": "record error", "late_order": "late order", "disruption": "supplier disruption",
    "demand_surge": "demand surge", "ordered_too_little": "ordered too little", "recall_or_hold": "recall or hold",
}  # fmt: skip
WARN_DAYS = 28
N_FUTURES = 100

Floats = NDArray[np.float64]


def main() -> None:
    """Print the table, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = measure(options.seeds)
    print_table(f"worlds with known truth, {options.seeds} seeds", figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(seeds: int) -> dict[str, float]:
    """All figures, by flat names."""
    figures: dict[str, float] = {}
    for part in (calibration, exactness, causes, projection_time):
        start = time.perf_counter()
        figures |= part(seeds)
        figures[f"{part.__name__}_part_seconds"] = time.perf_counter() - start
    return figures


def calibration(seeds: int) -> dict[str, float]:
    """Calibration of the chances, coverage of the thin world, and warnings."""
    figures: dict[str, float] = {}
    hits = np.zeros(4)
    for kind in KINDS:
        worlds = [make_world(kind, n_skus=150, seed=FIRST_SEED + seed) for seed in range(seeds)]
        parts = [_score(world, N_FUTURES) for world in worlds]
        for day in DAYS:
            said, true = (np.concatenate([part[f"{name}_{day}"] for part in parts]) for name in ("said", "true"))
            figures[f"{kind}_ece_{day}"] = _calibration_error(said, true)
        if kind == "thin":
            inside = np.concatenate([part["inside"] for part in parts])
            figures["thin_coverage"], figures["thin_lines"] = float(inside.mean()), float(len(inside))
        else:
            hits += sum(warnings(world) for world in worlds[:1])
    figures["synthetic_ece"] = max(value for name, value in figures.items() if "_ece_" in name)
    warned, happened, right, alerts = hits
    return figures | {
        "warned_share": warned / happened,
        "warned_precision": right / alerts,
        "warned_stockouts": happened,
    }


def warnings(world: World) -> Floats:
    """Stockouts warned of and all, warnings that came true and all; summed over items and futures."""
    plan = bf.make_plan(bf.read_tables(dict(world.tables), as_of=world.as_of))
    lead = plan.reorders.set_index("sku")["arrival_0.5"].sub(world.as_of).dt.days
    said = plan.stockouts[~plan.stockouts["already_out"]].set_index("sku")
    days = lead.reindex(said.index).to_numpy(dtype=np.float64)
    warned = ((said["stockout_date_0.5"] - world.as_of).dt.days.to_numpy() <= days + WARN_DAYS)[:, None]
    item = pd.Index(world.truth.items["sku"]).get_indexer(said.index)
    futures = [world.truth.future(seed, horizon_days=120, orders=False).stockout_day[item] for seed in range(N_FUTURES)]
    out = np.stack(futures, axis=1).astype(np.float64)
    open_yet = ~(out <= days[:, None])
    happens = open_yet & (out <= days[:, None] + WARN_DAYS)
    return np.array(
        [(warned & happens).sum(), happens.sum(), (warned & happens).sum(), (warned & open_yet).sum()], float
    )


def exactness(seeds: int) -> dict[str, float]:
    """Simulated against exact chances to be out by day 30."""
    z: list[float] = []
    for seed in range(min(seeds, 1)):
        world = make_world("matched", n_skus=300, seed=FIRST_SEED + seed)
        tables = bf.read_tables(dict(world.tables), as_of=world.as_of)
        fitted = _fitted(tables, bf.Settings(global_model=False, learned_flag=False))
        plan = bf.make_plan(tables, bf.Settings(global_model=False, learned_flag=False)).stockouts.set_index("sku")
        facts, model, clock = fitted.world.facts, fitted.world.model, fitted.world.clock
        small = (facts["start"] >= 1) & (facts["start"] <= MOST_UNITS) & (facts["on_order"] == 0)
        plain = (facts["empty_chance"] == 0) & (facts["on_hold"] == 0) & np.isnan(model.zero_share)
        for i in np.flatnonzero((small & plain).to_numpy()):
            exact = float(stockout_chances(model, clock, int(i), int(facts["start"].iloc[i]))[29])
            error = np.sqrt(max(exact * (1 - exact), 1e-3) / fitted.world.settings.n_paths)
            z.append((float(plan.loc[facts["sku"].iloc[i], "p_stockout_30"]) - exact) / error)
    scores = np.array(z)
    return {
        "exact_items": float(len(z)), "exact_rms_z": float(np.sqrt((scores**2).mean())),
        "exact_within_3": float((np.abs(scores) <= 3).mean()),
    }  # fmt: skip


def causes(seeds: int) -> dict[str, float]:
    """How often the planted cause is named first."""
    rows = pd.concat(
        [
            _planted(make_world(kind, n_skus=300, seed=FIRST_SEED + seed, causes=8))
            for kind in ("matched", "misspecified")
            for seed in range(max(seeds // 2, 1))
        ],
        ignore_index=True,
    )
    rows["hit"] = rows["named"] == rows["planted"].map(CAUSES)
    large, small = rows["effect"] >= 0.3, rows["effect"].between(0.1, 0.3, inclusive="left")
    figures = {
        "cause_first_share": float(rows.loc[large, "hit"].mean()), "cause_cases": float(large.sum()),
        "cause_first_share_small": float(rows.loc[small, "hit"].mean()), "cause_cases_small": float(small.sum()),
    }  # fmt: skip
    true = rows["true_effect"] >= 0.3
    figures |= {"cause_first_share_true": float(rows.loc[true, "hit"].mean()), "cause_cases_true": float(true.sum())}
    for kind, name in CAUSES.items():
        mine = large & (rows["planted"] == kind)
        key = name.replace(" ", "_")
        figures[f"cause_cases_{key}"] = float(mine.sum())
        if mine.any():
            figures[f"cause_first_{key}"] = float(rows.loc[mine, "hit"].mean())
    return figures


def _planted(world: World) -> pd.DataFrame:
    """Items with a planted cause: planted, named (first cause), effect on the stated and on the true risk."""
    laws = replace(world.truth.laws, causes=())
    past = play_history(laws)
    plans = [
        bf.make_plan(bf.read_tables(tables, as_of=world.as_of)).stockouts.set_index("sku")
        for tables in (dict(world.tables), export_tables(laws, past))
    ]
    state = state_after(laws, past)
    calm = np.zeros(len(laws.items))
    for k in range(60):
        segment, _, _ = play_future(laws, state, 30, k, orders=False)
        calm += (segment.played.unmet > 0).any(axis=0)
    true = world.truth.stockout_probability((30,), n_futures=60)
    effect = pd.Series(true[30].to_numpy() - calm / 60, index=true["sku"])
    found = world.truth.causes
    found = found[found["planted"] & found["kind"].isin(list(CAUSES)) & found["sku"].isin(plans[0].index)]
    found = found[found["sku"].isin(plans[1].index)]
    sku = found["sku"].to_numpy()
    risk = [plan.loc[sku, "p_unmet_before_arrival"].to_numpy() for plan in plans]
    return pd.DataFrame(
        {
            "planted": found["kind"].to_numpy(), "named": plans[0].loc[sku, "cause"].to_numpy(),
            "effect": risk[0] - risk[1], "true_effect": effect.loc[sku].to_numpy(),
        }
    )  # fmt: skip


def projection_time(_: int = 1) -> dict[str, float]:
    """Seconds of the projection of 10 000 items, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", "from benchmarks._stockout_worlds import _time_projection; _time_projection()"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def _time_projection() -> None:
    from functools import partial

    from backorder_forecast.engine import bucket_bounds, map_buckets
    from backorder_forecast.synthetic import warehouse

    tables = bf.read_tables(warehouse(10_000, 150))
    settings = bf.Settings(global_model=False, learned_flag=False, smooth_items=0, workers=2)
    world = _fitted(tables, settings).world
    bounds = bucket_bounds(len(world.facts), world.bucket_items)
    run = partial(_project, world)
    # The first run compiles; the second is measured.
    map_buckets(run, bounds[:2], workers=2, progress=_silent)
    start, cpu = time.perf_counter(), time.process_time()
    lines = sum(map_buckets(run, bounds, workers=2, progress=_silent))
    print(
        json.dumps(
            {
                "projection_seconds": time.perf_counter() - start,
                "projection_cpu_seconds": time.process_time() - cpu,
                "projection_peak_mb": peak_mb(),
                "projection_items": len(world.facts), "projection_days": int(world.clock.end_days[-1]),
                "projection_open_orders": len(world.orders.frame), "projection_backorder_lines": lines,
            }
        )
    )  # fmt: skip


def _project(world, start: int, stop: int) -> int:  # type: ignore[no-untyped-def]
    """Demand, receipts, stock, dates and fill dates of one bucket; the number of lines dated."""
    from backorder_forecast import simulation
    from backorder_forecast.projection import project_stock, stockout_frame

    facts = world.facts.iloc[start:stop].reset_index(drop=True)
    draws = simulation.draw_bucket(world, start, stop)
    stock = project_stock(
        facts["start"].to_numpy(), draws.demand, draws.receipts, unmet="partial", wait_share=world.joins[start:stop],
        stay=world.stay(start, stop), n_periods=draws.n_periods, horizon_periods=world.horizon_periods,
    )  # fmt: skip
    stockout_frame(facts, stock, world.clock, draws.lead_days, world.settings)
    return len(simulation.fill_dates(world, facts, draws, start, stop)[0])


def _silent(share: float) -> None:
    """Progress that nobody watches."""


def _fitted(tables: bf.Tables, settings: bf.Settings) -> Fitted:
    return fit_world(tables, settings, lap=lambda _: None)


if __name__ == "__main__":
    main()
