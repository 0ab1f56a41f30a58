"""Processor time of forecasts for a large shop, beside that of one peer: 10 000 items x 730 days, made-up demand.

The demand is that of `synthetic.warehouse`, slow and fast items together. Ours are three figures: the fit without the
global model and models of single items, with quantiles of the summed demand of `HORIZON` days; the drawing of 500 paths
of `PATH_DAYS` days; and the fit with everything. The peer is statsforecast's SES optimised with conformal intervals of
two windows for each of the same `HORIZON` days, all items, one process. Everyone runs in a process of its own, in turn,
on as many threads as it takes by default; time is that of all threads and children, without imports and compiling.
Ratios are those of medians.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from backorder_forecast import Settings
from backorder_forecast.clock import Clock
from backorder_forecast.demand import fit_demand
from backorder_forecast.panel import DemandPanel
from benchmarks import _demand_peers
from benchmarks._compare import peak_mb
from benchmarks.plan_speed import make_input

HORIZON = 28
PATH_DAYS = 90
LEVELS = (0.1, 0.5, 0.9)
_RUN_OURS = "import sys; from benchmarks._demand_speed import print_seconds; print_seconds(sys.argv[1], sys.argv[2])"


def measure_speed(peer: str | None, *, n_items: int, n_days: int = 730, rounds: int = 3) -> dict[str, float]:
    """Medians of CPU seconds, peak memory in MB of the fit with the global model, and ratios ours / peer."""
    runs: dict[str, list[dict[str, float]]] = {"local": [], "global": [], "peer": []}
    with tempfile.TemporaryDirectory() as folder:
        make_input(Path(folder), n_items, n_days)
        panel = str(Path(folder) / "panel.npy")
        for _ in range(rounds):
            if peer:
                runs["peer"].append(_run([peer, _demand_peers.__file__, "seconds", panel]))
            for which in ("local", "global"):
                runs[which].append(_run([sys.executable, "-c", _RUN_OURS, panel, which]))

    def median(which: str, *names: str) -> float:
        return statistics.median(sum(run[name] for name in names) for run in runs[which])

    figures = {
        "cpu_seconds_fit": median("local", "fit", "quantiles"),
        "cpu_seconds_paths": median("local", "paths"),
        "cpu_seconds_global": median("global", "fit"),
        "cpu_seconds_global_quantiles": median("global", "quantiles"),
        "peak_mb_global": median("global", "peak_mb"),
    }
    if peer:
        figures["cpu_seconds_ses"] = median("peer", "forecast")
        for name in ("fit", "paths", "global"):
            figures[f"cpu_ratio_ses_{name}"] = figures[f"cpu_seconds_{name}"] / figures["cpu_seconds_ses"]
    return figures


def print_seconds(source: str, which: str) -> None:
    """CPU seconds of our steps on a panel (n_items, n_days), with or without the global model, as one line of JSON."""
    settings = Settings() if which == "global" else Settings(global_model=False, smooth_items=0)
    panel = _daily_panel(Path(source))
    # Compiling is not counted; the global model needs 500 items and 36 periods to run at all.
    few = replace(panel, items=panel.items[:600], demand=panel.demand[:600], exposure=panel.exposure[:600])
    _steps(few.until(min(100, panel.n_periods)), settings)
    seconds = _steps(panel, settings)
    print(json.dumps(seconds | {"peak_mb": peak_mb()}))


def _steps(panel: DemandPanel, settings: Settings) -> dict[str, float]:
    ahead = Clock.ahead(panel.as_of, panel.freq, HORIZON)
    start = _cpu()
    model = fit_demand(panel, settings, window=HORIZON)
    fitted = _cpu()
    model.sum_quantiles(ahead, LEVELS)
    seconds = {"fit": fitted - start, "quantiles": _cpu() - fitted}
    if not settings.global_model:
        clock = Clock.ahead(panel.as_of, panel.freq, PATH_DAYS)
        paths = model.paths(clock, n_paths=settings.n_paths, seed=0)
        start = _cpu()
        for first, last in paths.buckets():
            paths.draw(first, last)
        seconds["paths"] = _cpu() - start
    return seconds


def _daily_panel(source: Path) -> DemandPanel:
    demand = np.load(source)
    days = pd.date_range("2022-07-01", periods=demand.shape[1])
    items = pd.DataFrame({"sku": [f"S{k:05d}" for k in range(len(demand))], "location": ""})
    return DemandPanel(items, days, "D", days[-1], demand, np.ones_like(demand))


def _cpu() -> float:
    """User and system seconds of this process, its threads and its finished children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _run(command: list[str]) -> dict[str, float]:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return seconds
