"""What stock that is shown and not there does to forecasts and chances: items with it and all others, on known truth.

    python -m benchmarks.phantom_stock [--seeds 504 505 506 507] [--errors 0.25 3] [--json PATH]

Worlds of `synthetic.make_world` with the number of unrecorded losses and finds per item and year named (.25 is usual).
An item is phantom where more than 5 % (`_20` 20 %) of the demand of the last half-year met an empty shelf that the
record denied. `_bias` is the forecast of 90 days over the true mean demand; `_ece_30` the calibration error of
P(stockout within 30 days), ten bins, truth from 100 futures without new orders, items that are out already left out.
`_before` are the same with past runs without a sale taken for days without demand.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import backorder_forecast as bf
from backorder_forecast import facts
from backorder_forecast.phantom import no_runs, past_runs
from backorder_forecast.synthetic import World, make_world
from backorder_forecast.world_catalogue import RECIPES
from backorder_forecast.world_timeline import play_history
from benchmarks._compare import print_table
from benchmarks.calibration import _calibration_error

DAYS = (7, 14, 30)
RECENT, AHEAD = 180, 90
SETTINGS = bf.Settings(learned_flag=False, promise_origins=0)


def main() -> None:
    """Print the table, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[504, 505, 506, 507])
    parser.add_argument("--errors", type=float, nargs="+", default=[0.25, 3.0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, float] = {}
    for errors in options.errors:
        worlds = [_world(kind, seed, errors) for kind in ("matched", "misspecified") for seed in options.seeds]
        for suffix in ("_before", ""):
            with _runs(kept=not suffix):
                rows = pd.concat([_judged(world) for world in worlds])
            figures |= {f"errors_{errors:g}_{name}{suffix}": value for name, value in _figures(rows).items()}
    print_table(f"seeds {options.seeds}", figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _world(kind: str, seed: int, errors: float) -> World:
    usual = RECIPES[kind]
    RECIPES[kind] = replace(usual, errors_per_year=errors)
    try:
        return make_world(kind, n_skus=150, seed=seed)
    finally:
        RECIPES[kind] = usual


@contextmanager
def _runs(*, kept: bool) -> Iterator[None]:
    """The library as it is, or with no past run doubted."""
    facts.past_runs = past_runs if kept else (lambda *_, **__: no_runs())  # type: ignore[attr-defined]
    try:
        yield
    finally:
        facts.past_runs = past_runs  # type: ignore[attr-defined]


def _judged(world: World) -> pd.DataFrame:
    """One row per item: hidden (share of recent demand that met phantom stock), forecast, wanted, said and true."""
    truth = world.truth
    played = play_history(truth.laws)
    past = played.played
    empty = ((past.on_hand == 0) & (past.held == 0) & (past.book > 0)).T[:, -played.first_day :]
    n = empty.shape[1]
    recent = truth.mean_demand[:, n - RECENT : n]
    plan = bf.make_plan(bf.read_tables(dict(world.tables), as_of=world.as_of), SETTINGS)
    sku = truth.items["sku"]
    stated = plan.stockouts.set_index("sku").reindex(sku)
    chance = truth.stockout_probability(DAYS, n_futures=100, orders=False).set_index("sku").reindex(sku)
    rows = pd.DataFrame(
        {
            "hidden": (empty[:, -RECENT:] * recent).sum(axis=1) / np.maximum(recent.sum(axis=1), 1e-9),
            "forecast": plan.forecasts.groupby("sku")["mean"].sum().reindex(sku).to_numpy(),
            "wanted": truth.mean_demand[:, n : n + AHEAD].sum(axis=1), "out": stated["already_out"].to_numpy(bool),
            "said": stated["p_stockout_30"].to_numpy(), "true": chance[30].to_numpy(),
        }
    )  # fmt: skip
    return rows[rows["wanted"] > 0]


def _figures(rows: pd.DataFrame) -> dict[str, float]:
    groups = {"phantom": rows["hidden"] > 0.05, "phantom_20": rows["hidden"] > 0.2, "others": rows["hidden"] <= 0.05}
    figures: dict[str, float] = {}
    for name, mine in groups.items():
        part = rows[mine]
        seen = part[~part["out"]]
        figures[f"{name}_items"] = float(len(part))
        figures[f"{name}_bias"] = float(part["forecast"].sum() / part["wanted"].sum())
        figures[f"{name}_ece_30"] = _calibration_error(seen["said"].to_numpy(), seen["true"].to_numpy())
    return figures


if __name__ == "__main__":
    main()
