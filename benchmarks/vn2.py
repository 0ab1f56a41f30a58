"""The VN2 inventory challenge replayed: what our orders would have cost, beside the organiser's rule and the classics.

    python -m benchmarks.vn2 [--data FOLDER] [--cache FOLDER] [--json PATH]

The official window (six orders after 2024-04-08; 0.2 per unit left at a week's end, 1.0 per unit lost, weeks 3 to 8
count) and five windows before it, 8 to 40 weeks earlier, which start with twice the 13-week mean in stock and the mean
in transit for each of the next two weeks. Forecasts are `forecast_demand` with its defaults on what was known, orders
`recommend_orders` by cost; the share of later holding that a surplus is charged is chosen by `calibrate_orders`' rule
on the three windows before the one scored. Replayed afterwards on open data; entrants decided blind.

Every run scores the official window and says so in `vn2_official_runs.csv`, with the commit. With `--cache` the
forecasts are kept for a second run; they belong to one state of the code.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from backorder_forecast import SamplePaths, Settings, forecast_demand
from backorder_forecast.order_trials import SHARES, cheapest_of, order_policy, replay_orders
from backorder_forecast.panel import DemandPanel
from benchmarks._vn2_rules import RULES, classic, load_game, order_up_to, organiser

EARLIER = (40, 32, 24, 16, 8)
"""Weeks by which the earlier windows start before the official one."""
CALIBRATED_ON = 3
"""Windows of eight weeks before each, on which its orders are calibrated."""
LOG = Path(__file__).with_name("vn2_official_runs.csv")
OURS, UNCALIBRATED = "ours", "ours, share of the settings"


class Forecasts:
    """`forecast_demand` at each number of weeks known, remembered in memory for the last, on disk where wanted."""

    def __init__(self, panel: DemandPanel, cache: Path | None) -> None:
        self.panel, self.cache = panel, cache
        self.seconds = 0.0
        self._last: tuple[int, SamplePaths] | None = None

    def __call__(self, known: int) -> SamplePaths:
        """Demand paths of the eight weeks after the known ones."""
        if self._last is None or self._last[0] != known:
            self._last = (known, self._made(known))
        return self._last[1]

    def _made(self, known: int) -> SamplePaths:
        begun = time.process_time()
        file = self.cache / f"f{known}.npy" if self.cache else None
        items = self.panel.items[["sku", "location"]]
        dates = pd.date_range(self.panel.periods[known - 1], periods=RULES.n_periods + 1, freq="W-MON")[1:]
        if file is not None and file.exists():
            return SamplePaths.from_array(np.load(file).astype(np.float64), items, dates)
        values = forecast_demand(self.panel.until(known), horizon=RULES.n_periods, seed=0).draw()
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, values.astype(np.int16))
        self.seconds += time.process_time() - begun
        return SamplePaths.from_array(values, items, dates)


def main() -> None:
    """Print the table, write the figures where asked, and log the look at the official window."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("BACKORDER_DATA"))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--no-official", action="store_true", help="leave the official window unseen")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.data is None:
        parser.error("the folder of the real data is not known: give --data or set BACKORDER_DATA")
    begun = time.perf_counter()
    costs, shares = replay_all(options.data, options.cache, official=not options.no_official)
    figures = figures_of(costs)
    figures["policy_minutes"] = (time.perf_counter() - begun) / 60.0
    console = Console(width=120)
    console.print(cost_table(costs, shares))
    for name, value in figures.items():
        console.print(f"{name:32s} {value:10.4f}")
    console.print("Replayed afterwards on open data; entrants decided blind.")
    if not options.no_official:
        log_official(figures["cost_official"], shares[0])
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def replay_all(data: Path, cache: Path | None, *, official: bool = True) -> tuple[pd.DataFrame, dict[int, float]]:
    """Cost of each way of ordering in each scored window (by weeks before the official one), and our shares."""
    panel, start, on_hand, transit = load_game(data)
    forecast = Forecasts(panel, cache)
    policies = {str(share): order_policy(panel, RULES, Settings(surplus_share=share), forecast) for share in SHARES}
    policies |= {"organiser": organiser(panel), "z sigma sqrt(L)": classic(panel), "order-up-to": order_up_to(forecast)}
    tried: list[pd.DataFrame] = []
    scored: dict[int, dict[str, float]] = {}
    shares: dict[int, float] = {}
    first = EARLIER[0] + RULES.n_periods * CALIBRATED_ON
    for back in range(first, -1 if official else 0, -RULES.n_periods):
        stock, coming = (on_hand, transit) if back == 0 else (None, None)
        known = start - back
        # At its decision a window sees nothing of itself: the last weeks are those before its start.
        seen = pd.concat(tried[-CALIBRATED_ON:]) if len(tried) >= CALIBRATED_ON else None
        frame = replay_orders(panel, known, policies, rules=RULES, on_hand=stock, in_transit=coming)
        cost = dict(zip(frame["policy"], frame["cost"].astype(float), strict=True))
        tried.append(
            pd.DataFrame({"window": known, "surplus_share": SHARES, "cost": [cost[str(share)] for share in SHARES]})
        )
        if seen is None:
            continue
        shares[back] = cheapest_of(seen).surplus_share
        scored[back] = {OURS: cost[str(shares[back])], UNCALIBRATED: cost[str(Settings().surplus_share)]} | {
            name: cost[name] for name in ("organiser", "z sigma sqrt(L)", "order-up-to")
        }
    return pd.DataFrame(scored).T, shares


def figures_of(costs: pd.DataFrame) -> dict[str, float]:
    """Figures by name; savings are shares of the organiser's cost, averaged over the earlier windows."""
    earlier = costs.loc[[back for back in EARLIER if back in costs.index]]
    saving = 1.0 - earlier.div(earlier["organiser"], axis=0)
    figures = {
        "earlier_windows_saving": float(saving[OURS].mean()),
        "earlier_windows_saving_pooled": float(1.0 - earlier[OURS].sum() / earlier["organiser"].sum()),
        "earlier_windows_saving_uncalibrated": float(saving[UNCALIBRATED].mean()),
        "earlier_windows_saving_order_up_to": float(saving["order-up-to"].mean()),
        "earlier_windows_saving_z_sigma": float(saving["z sigma sqrt(L)"].mean()),
        "earlier_windows_cost": float(earlier[OURS].mean()),
        "earlier_windows_benchmark": float(earlier["organiser"].mean()),
    }
    if 0 in costs.index:
        last = costs.loc[0].to_dict()
        figures |= {
            "cost_official": float(last[OURS]),
            "cost_official_uncalibrated": float(last[UNCALIBRATED]),
            "benchmark_official": float(last["organiser"]),
            "order_up_to_official": float(last["order-up-to"]),
            "z_sigma_official": float(last["z sigma sqrt(L)"]),
        }
    return figures


def cost_table(costs: pd.DataFrame, shares: dict[int, float]) -> Table:
    """Cost by window and way of ordering, with the share that calibration chose."""
    table = Table("weeks before", *costs.columns, "share chosen", title="Cost of weeks 3 to 8")
    for back, row in costs.iterrows():
        cells = [f"{value:,.1f}" for value in row]
        table.add_row("official" if back == 0 else str(back), *cells, f"{shares[int(str(back))]:g}")
    return table


def log_official(cost: float, share: float) -> None:
    """Every look at the official window is written down, with the state of the code."""
    root = LOG.parents[1]

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--", "backorder_forecast", "benchmarks/vn2.py", "benchmarks/_vn2_rules.py")
    if not LOG.exists():
        LOG.write_text("when,commit,uncommitted_files,surplus_share,cost_official\n", encoding="utf-8")
    row = (f"{pd.Timestamp.now('UTC'):%Y-%m-%d %H:%M}", git("rev-parse", "--short", "HEAD"), len(changed.splitlines()))
    with LOG.open("a", encoding="utf-8") as file:
        file.write(",".join(map(str, (*row, share, f"{cost:.1f}"))) + "\n")


if __name__ == "__main__":
    main()
