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

import numpy as np
import pandas as pd
from rich.console import Console

from backorder_forecast import Settings, Tables, backtest_orders, forecast_demand, read_tables, recommend_orders
from backorder_forecast.fitting import read_history
from backorder_forecast.panel import DemandPanel
from benchmarks.vn2_tables import SETTINGS
from benchmarks.vn2_tables import tables as vn2_tables

SHORTAGE, HOLDING, RATE = 1.0, 0.2, 0.5


def with_costs(tables: Tables) -> Tables:
    """The tables with costs of the challenge: a margin of 1, a unit cost whose holding is .2 a week."""
    frames = {name: getattr(tables, name) for name in ("sales", "inventory", "purchase_orders", "products")}
    cost = HOLDING * 365.0 / 7.0 / RATE
    frames["products"] = frames["products"].assign(unit_cost=cost, price=cost + SHORTAGE, holding_cost_rate=RATE)
    return read_tables(frames, as_of=tables.as_of)


def decision_seconds(tables: Tables, *, n_items: int = 10_000, lead_periods: int = 3) -> tuple[float, float]:
    """Seconds and CPU seconds of one decision for many items, 500 paths, demand drawn anew; no global model."""
    panel = read_history(tables, SETTINGS).panel
    copies = -(-n_items // panel.n_items)
    items = pd.concat([panel.items.assign(sku=panel.items["sku"].astype(str) + f"-{k}") for k in range(copies)])
    many = DemandPanel(
        items.head(n_items).reset_index(drop=True), panel.periods, panel.freq, panel.as_of,
        np.tile(panel.demand, (copies, 1))[:n_items], np.tile(panel.exposure, (copies, 1))[:n_items],
    )  # fmt: skip
    settings = Settings(global_model=False, theta=False, order_target="cost", unmet="lost")
    paths = forecast_demand(many, horizon=10, settings=settings)
    terms = many.items[["sku", "location"]].astype(str).assign(unit_cost=4.0, price=5.0)
    stock = pd.Series(np.round(2 * many.demand[:, -13:].mean(axis=1)))
    recommend_orders(paths.select(range(64)), on_hand=stock.head(64), lead_time=lead_periods, items=terms.head(64),
                     settings=settings)  # fmt: skip
    begun, cpu = time.perf_counter(), time.process_time()
    recommend_orders(paths, on_hand=stock, lead_time=lead_periods, items=terms, settings=settings)
    return time.perf_counter() - begun, time.process_time() - cpu


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
    figures["decision_seconds"], figures["decision_cpu_seconds"] = decision_seconds(tables)
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
