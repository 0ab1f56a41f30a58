"""A year of weekly orders replayed on public data: cost and stock of ours beside the two ways that shops use.

    python -m benchmarks.order_backtest [--data FOLDER] [--reviews 52] [--json PATH]

599 items of the VN2 inventory challenge, 52 weekly reviews, with its costs: 1 per unit lost, .2 per unit left at a
week's end; stock at the first review by rule. Nothing after the week of 2024-04-08 is read, so the weeks that the
challenge scored stay unseen. Targets of every way are chosen on the folds before the scored one (`backtest_orders`).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import pandas as pd
from rich.console import Console

from backorder_forecast import Settings, Tables, backtest_orders, read_tables
from benchmarks.vn2_tables import SETTINGS
from benchmarks.vn2_tables import tables as vn2_tables

SHORTAGE, HOLDING, RATE = 1.0, 0.2, 0.5


def with_costs(tables: Tables) -> Tables:
    """The tables with costs of the challenge: a margin of 1, a unit cost whose holding is .2 a week."""
    frames = {name: getattr(tables, name) for name in ("sales", "inventory", "purchase_orders", "products")}
    cost = HOLDING * 365.0 / 7.0 / RATE
    frames["products"] = frames["products"].assign(unit_cost=cost, price=cost + SHORTAGE, holding_cost_rate=RATE)
    return read_tables(frames, as_of=tables.as_of)


def main() -> None:
    """Print what each way would have cost, and how long the replay took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("BACKORDER_DATA"))
    parser.add_argument("--reviews", type=int, default=52)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.data is None:
        parser.error("the folder of the real data is not known: give --data or set BACKORDER_DATA")
    tables = with_costs(vn2_tables(Path(options.data) / "vn2"))
    settings: Settings = SETTINGS.replace(order_target="cost")
    begun, cpu = time.perf_counter(), time.process_time()
    done = backtest_orders(tables, n_reviews=options.reviews, settings=settings, start="rule")
    figures = {
        "policy_backtest_seconds": time.perf_counter() - begun,
        "policy_backtest_cpu_seconds": time.process_time() - cpu,
    }
    costs, equal = done.costs(), done.at_equal_fill()
    for _, row in costs[costs["rival"] != ""].iterrows():
        figures[f"saving_{row['way']}"] = float(row["saving"])
    console = Console(width=200)
    with pd.option_context("display.width", 200, "display.max_columns", 20):
        for frame in (done.curve(), equal, costs):
            console.print(frame.round(3).to_string())
    for note in done.notes:
        console.print(f"note: {note}")
    for name, value in figures.items():
        console.print(f"{name:40s} {value:10.4f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
