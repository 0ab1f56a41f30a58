"""How long a whole plan takes: 10 000 items x 730 days from Parquet to all frames, beside one peer's forecast alone.

    python -m benchmarks.plan_speed [--items 10000] [--runs 3] [--json PATH]

Ours and the peer (statsforecast CrostonOptimized with conformal intervals, h = 28, on the same daily panel) run in
turn, each in a process of its own; ratios are those of medians. The tables are made by `synthetic.warehouse` (made-up
data). The peer comes with the extra `peers`; its newest version asks for pandas < 3 and therefore needs an environment
of its own, whose interpreter is named in BACKORDER_PEERS_PYTHON. Without a peer our own figures are printed alone.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks._compare import peers_python, print_table

_OURS = """
import json, resource, sys, time
start = time.perf_counter()
import backorder_forecast as bf
from benchmarks._compare import peak_mb
tables = bf.read_tables(sys.argv[1])
read = time.perf_counter() - start
plan = bf.make_plan(tables)
seconds = time.perf_counter() - start
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "seconds": seconds, "cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_mb": peak_mb(),
    "stages": {"read": read, **plan.timings}, "rows": {name: len(frame) for name, frame in plan.frames.items()},
}))
"""
_PEER = """
import json, os, resource, sys, time
os.environ["NIXTLA_ID_AS_COL"] = "1"
import numpy as np, pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import CrostonOptimized
from statsforecast.utils import ConformalIntervals
demand = np.load(sys.argv[1])
n, t = demand.shape
days = pd.date_range("2022-07-01", periods=t)
frame = pd.DataFrame({"unique_id": np.repeat(np.arange(n), t), "ds": np.tile(days, n), "y": demand.ravel()})
def model():
    croston = CrostonOptimized(prediction_intervals=ConformalIntervals(h=28, n_windows=2))
    return StatsForecast(models=[croston], freq="D", n_jobs=1)
model().forecast(df=frame[frame["unique_id"] < 5], h=28, level=[80])
before = resource.getrusage(resource.RUSAGE_SELF)
start = time.perf_counter()
model().forecast(df=frame, h=28, level=[80])
after = resource.getrusage(resource.RUSAGE_SELF)
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
print(json.dumps({"seconds": time.perf_counter() - start, "cpu_seconds": cpu}))
"""


def main() -> None:
    """Print the table, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=730)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    peer = peers_python()
    ours: list[dict[str, object]] = []
    theirs: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        panel = _write_tables(Path(folder), options.items, options.days)
        # The first run compiles; it is not counted.
        for run in range(options.runs + 1):
            result = _run(sys.executable, _OURS, Path(folder) / "tables")
            if run:
                ours.append(result)
            if peer and run:
                theirs.append(_run(peer, _PEER, panel))
    figures = _figures(ours, theirs)
    print_table(f"{options.items} items x {options.days} days, medians of {options.runs} runs", figures)
    print("rows per frame:", ours[-1]["rows"])
    if not peer:
        print("the peer was not run: no environment for it (see the head of this file)")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _write_tables(folder: Path, n_items: int, n_days: int) -> Path:
    """Tables as Parquet, and the same sales as a daily array for the peer; made in a process whose memory goes away."""
    code = (
        "import sys, numpy as np; from pathlib import Path; from benchmarks.plan_speed import make_input;"
        "make_input(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))"
    )
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, str(folder), str(n_items), str(n_days)], check=True)
    print(f"input made in {time.perf_counter() - start:.0f} s")
    return folder / "panel.npy"


def make_input(folder: Path, n_items: int, n_days: int) -> None:
    """Write the tables folder and panel.npy."""
    from backorder_forecast.synthetic import warehouse

    frames = warehouse(n_items, n_days)
    (folder / "tables").mkdir()
    for name, frame in frames.items():
        frame.to_parquet(folder / "tables" / f"{name}.parquet", index=False)
    sales = frames["sales"]
    day = (sales["date"] - sales["date"].min()).dt.days.to_numpy()
    flat = sales["sku"].cat.codes.to_numpy(dtype=np.int64) * n_days + day
    panel = np.bincount(flat, weights=sales["quantity"], minlength=n_items * n_days)
    np.save(folder / "panel.npy", np.maximum(panel, 0.0).reshape(n_items, n_days))


def _run(python: str, code: str, source: Path) -> dict[str, object]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([python, "-c", code, str(source)], check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    result: dict[str, object] = json.loads(done.stdout.strip().splitlines()[-1])
    result["process_cpu_seconds"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return result


def _figures(ours: list[dict[str, object]], theirs: list[dict[str, object]]) -> dict[str, float]:
    def median(runs: list[dict[str, object]], key: str) -> float:
        return statistics.median(float(str(run[key])) for run in runs)

    figures = {key: median(ours, key) for key in ("seconds", "cpu_seconds", "peak_mb")}
    if theirs:
        figures["croston_cpu_seconds"] = median(theirs, "cpu_seconds")
        figures["cpu_ratio_croston"] = figures["cpu_seconds"] / figures["croston_cpu_seconds"]
    stages = [run["stages"] for run in ours]
    for name in stages[0] if isinstance(stages[0], dict) else ():
        values = [float(stage[name]) for stage in stages if isinstance(stage, dict)]
        figures[f"stage_{name}_seconds"] = statistics.median(values)
    return figures


if __name__ == "__main__":
    main()
