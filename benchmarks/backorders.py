"""Fill dates, promises, patience and cutoffs on worlds with known truth, and how long fill dates take.

    python -m benchmarks.backorders [--seeds 0:32] [--items 300] [--futures 40] [--workers 2] [--parts FILE]
        [--json PATH]

`--seeds a:b` scores the worlds of the seeds a to b - 1. With `--parts` each world's result is appended to that file as
it is done, worlds already in it are not made again, and the figures are of everything in it: runs can be stopped, taken
up again, and shared by several processes. `code_versions` counts the states of the library they were made with.

- `fill_coverage_80`: share of fill days inside the 10-90 % interval, open lines of matched and misspecified worlds in
  40 futures each (`_backorder_worlds.py`); also by kind of world.
- `promise_kept_90`, `promise_gap`: share of promises kept, and its distance from the mean `p_at_promise`. Promises fall
  on business days and days are whole, so that they are stated, and kept, above 90 %; `promise_kept_even` is without
  both: no business days, ties drawn by lot. `promise_slack_days`: days from fill to promise, mean.
- `promise_gap_worst_law`: the largest such gap among the suppliers' laws (lognormal or with slow spells, median lead
  time under 14 days or not) with at least 2 000 lines of 300 items.
- `patience_median_error`: mean relative error of the median patience of an item from 200 cancellations of its own;
  `_patience_coverage_80_from_5`: how often the 80 % interval holds the true median.
- `cutoff_profit_share`: expected profit of the plan's wait cutoffs over that of the best cutoffs under the true laws,
  10 000 simulated lines per item; `_best_fixed` is the best of always, never, 30, 45 and 60 days.
- `fill_seconds`: fill dates of 100 000 open lines of 10 000 items, 500 paths, 2 threads, customers leaving; arrivals
  are given.

Worlds are made up and fixed in `synthetic.py`; the seeds scored here were not looked at while the methods were written.
Patience and cutoffs take the seeds that 8 divides. A world takes about 5 seconds of one core.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from backorder_forecast import Settings
from backorder_forecast.backorders import fill_date_frame, fill_days
from backorder_forecast.engine import bucket_bounds, map_buckets
from backorder_forecast.queues import queue_needs
from backorder_forecast.waits import StayLaw, draw_leave_days
from benchmarks._backorder_worlds import FIRST_SEED, figures_of, score_world
from benchmarks._compare import print_table
from benchmarks._parts import missing, read_parts, write_part
from benchmarks._patience_worlds import cutoff_figures, patience_figures, score_cutoffs, score_patience

KINDS = ("matched", "misspecified")
PATIENCE_KINDS = (*KINDS, "thin")
EVERY = 8
"""Of so many seeds one is scored for patience and cutoffs."""


def main() -> None:
    """Print the table, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=_seeds, default=range(32), help="a:b, or b for 0:b")
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--futures", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--parts", type=Path, help="file that keeps the result of each world")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = measure(
        options.seeds, items=options.items, futures=options.futures, workers=options.workers, parts=options.parts
    )
    print_table(f"{options.items} items, {options.futures} futures each", figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(seeds: range, *, items: int, futures: int, workers: int, parts: Path | None = None) -> dict[str, float]:
    """All figures, by flat names, of the worlds of `seeds` and of those that the file `parts` holds already."""
    with tempfile.TemporaryDirectory() as folder:
        path = parts or Path(folder) / "parts.jsonl"
        start = time.perf_counter()
        todo = missing(path, _wanted(seeds, items, futures))
        if workers == 1:
            for part in todo:
                _work(part, path)
        else:
            with ProcessPoolExecutor(max_workers=workers) as pool:
                list(pool.map(_work, todo, [path] * len(todo)))
        took = time.perf_counter() - start
        records = read_parts(path)
    return merged(records, items=items, futures=futures) | {"worlds_seconds": took, "fill_seconds": fill_seconds()}


def merged(records: dict[str, dict[str, Any]], *, items: int, futures: int) -> dict[str, float]:
    """Figures of all results of worlds of that many items and futures, in the order of the seeds."""

    def of(stage: str) -> list[tuple[str, Any]]:
        keys = {part: part.split() for part in records}
        mine = [part for part, key in keys.items() if key[0] == stage and key[3:] == _size(stage, items, futures)]
        return [(keys[part][1], records[part]["values"]) for part in sorted(mine, key=lambda p: (int(keys[p][2]), p))]

    figures: dict[str, float] = {"code_versions": float(len({record["code"] for record in records.values()}))}
    if worlds := of("fill"):
        figures["worlds"] = float(len(worlds))
        figures |= figures_of(pd.concat([pd.DataFrame(values) for _, values in worlds], ignore_index=True))
    if patience := of("patience"):
        figures |= patience_figures(pd.concat([pd.DataFrame(rows).assign(kind=kind) for kind, rows in patience]))
    if cutoffs := of("cutoffs"):
        figures |= cutoff_figures(pd.DataFrame([{"kind": kind, **money} for kind, money in cutoffs]))
    return figures


def _seeds(text: str) -> range:
    first, _, last = text.rpartition(":")
    return range(int(first or 0), int(last))


def _size(stage: str, items: int, futures: int) -> list[str]:
    return [str(items), str(futures)] if stage == "fill" else []


def _wanted(seeds: range, items: int, futures: int) -> Iterator[str]:
    """Names of the results: stage, kind, seed, and of fill dates items and futures."""
    for seed in seeds:
        for stage, kinds in (("fill", KINDS), ("patience", PATIENCE_KINDS), ("cutoffs", KINDS)):
            if stage == "fill" or seed % EVERY == 0:
                yield from (" ".join([stage, kind, str(seed), *_size(stage, items, futures)]) for kind in kinds)


def _work(part: str, path: Path) -> None:
    stage, kind, number, *size = part.split()
    seed = FIRST_SEED + int(number)
    # Another process may have done it since.
    if not missing(path, [part]):
        return
    values: Any
    if stage == "fill":
        rows = score_world(kind, seed, n_items=int(size[0]), n_futures=int(size[1]))
        values = {column: rows[column].astype(object).where(rows[column].notna(), None).to_list() for column in rows}
    else:
        values = score_patience(kind, seed) if stage == "patience" else score_cutoffs(kind, seed)
    write_part(path, part, values)


def fill_seconds(n_items: int = 10_000, lines_per_item: int = 10, n_paths: int = 500, bucket: int = 128) -> float:
    """Seconds for the fill dates of all lines, second of two runs (the first compiles)."""
    rng = np.random.default_rng(0)
    n = n_items * lines_per_item
    as_of, settings = pd.Timestamp("2024-06-30"), Settings()
    lines = pd.DataFrame(
        {
            "item": np.repeat(np.arange(n_items), lines_per_item), "order_id": np.arange(n).astype(str),
            "sku": np.repeat(np.arange(n_items), lines_per_item).astype(str), "location": "", "customer_id": "",
            "quantity": rng.integers(1, 6, n).astype(float), "status": "promised", "priority": np.nan,
            "waited_days": rng.integers(0, 60, n),
        }
    )  # fmt: skip
    lines["order_date"] = as_of - pd.to_timedelta(lines["waited_days"], unit="D")
    lines["promised_date"] = as_of + pd.to_timedelta(rng.integers(0, 40, n), unit="D")
    lines = lines.sort_values(["item", "order_date", "order_id"], ignore_index=True)
    quantity = rng.integers(5, 20, 3 * n_items).astype(float)
    orders = pd.DataFrame({"po_id": [f"PO-{k}" for k in range(3 * n_items)], "supplier": "ACME", "order_date": as_of})
    arrivals = rng.integers(1, 80, (3 * n_items, n_paths), dtype=np.int32)
    following = rng.integers(20, 90, (n_items, n_paths), dtype=np.int32)

    law, keys = StayLaw.lomax(np.full(n_items, 3.0), 60.0), rng.integers(0, 2**63, n_items).astype(np.uint64)

    def fill(start: int, stop: int) -> pd.DataFrame:
        rows, own = slice(start * lines_per_item, stop * lines_per_item), slice(3 * start, 3 * stop)
        part = lines.iloc[rows]
        line_start, order_start = np.arange(stop - start + 1) * lines_per_item, np.arange(stop - start + 1) * 3
        item = part["item"].to_numpy(np.int64)
        leave = draw_leave_days(law.of_items(item), item, part["waited_days"].to_numpy(float), keys, n_paths=n_paths)
        first, complete = fill_days(
            needs[0][rows], needs[1][rows], line_start, np.zeros(stop - start), arrivals[own], quantity[own],
            order_start, following[start:stop], leave_days=leave,
        )  # fmt: skip
        return fill_date_frame(
            part, first, complete, line_start=line_start, orders=orders.iloc[own], arrival_days=arrivals[own],
            order_start=order_start, next_order_days=following[start:stop], as_of=as_of, settings=settings,
        )  # fmt: skip

    took = 0.0
    for size in (2 * bucket, n_items):
        begin = time.perf_counter()
        needs = queue_needs(lines)
        map_buckets(fill, bucket_bounds(size, bucket), workers=2)
        took = time.perf_counter() - begin
    return took


if __name__ == "__main__":
    main()
