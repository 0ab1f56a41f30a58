"""Fill dates, promises, patience and cutoffs on worlds with known truth, and how long fill dates take.

    python -m benchmarks.backorders [--seeds 32] [--items 300] [--futures 40] [--workers 2] [--json PATH]

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
- `fill_seconds`: fill dates of 100 000 open lines of 10 000 items, 500 paths, 2 threads; arrivals are given.

Worlds are made up and fixed in `synthetic.py`; the seeds scored here were not looked at while the methods were written.
The default takes five to six minutes on 2 free cores; the bar of a law takes about 32 seeds.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd

from backorder_forecast import Settings
from backorder_forecast.backorders import fill_date_frame, fill_days
from backorder_forecast.engine import bucket_bounds, map_buckets
from backorder_forecast.queues import queue_needs
from benchmarks._backorder_worlds import figures_of, score_worlds
from benchmarks._compare import print_table
from benchmarks._patience_worlds import cutoffs, patience

KINDS = ("matched", "misspecified")


def main() -> None:
    """Print the table, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=32)
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--futures", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = measure(options.seeds, items=options.items, futures=options.futures, workers=options.workers)
    print_table(f"{options.seeds} seeds, {options.items} items, {options.futures} futures each", figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(seeds: int, *, items: int, futures: int, workers: int) -> dict[str, float]:
    """All figures, by flat names."""
    figures: dict[str, float] = {}
    start = time.perf_counter()
    figures |= figures_of(score_worlds(KINDS, seeds, n_items=items, n_futures=futures, workers=workers))
    figures["fill_part_seconds"] = time.perf_counter() - start
    figures |= patience((*KINDS, "thin"), max(seeds // 8, 1))
    figures |= cutoffs(KINDS, max(seeds // 8, 1))
    figures["patience_part_seconds"] = time.perf_counter() - start - figures["fill_part_seconds"]
    return figures | {"fill_seconds": fill_seconds()}


def fill_seconds(n_items: int = 10_000, lines_per_item: int = 10, n_paths: int = 500, bucket: int = 128) -> float:
    """Seconds for the fill dates of all lines, second of two runs (the first compiles)."""
    rng = np.random.default_rng(0)
    n = n_items * lines_per_item
    as_of, settings = pd.Timestamp("2024-06-30"), Settings()
    lines = pd.DataFrame(
        {
            "item": np.repeat(np.arange(n_items), lines_per_item), "order_id": np.arange(n).astype(str),
            "sku": np.repeat(np.arange(n_items), lines_per_item).astype(str), "location": "", "customer_id": "",
            "quantity": rng.integers(1, 6, n).astype(float), "status": "promised",
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

    def fill(start: int, stop: int) -> pd.DataFrame:
        rows, own = slice(start * lines_per_item, stop * lines_per_item), slice(3 * start, 3 * stop)
        part = lines.iloc[rows]
        line_start, order_start = np.arange(stop - start + 1) * lines_per_item, np.arange(stop - start + 1) * 3
        first, complete = fill_days(
            needs[0][rows], needs[1][rows], line_start, np.zeros(stop - start), arrivals[own], quantity[own],
            order_start, following[start:stop],
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
