"""How often a supplier is called slower: without a change (5 % is meant), and when orders take longer.

    python -m benchmarks.supplier_trend [--seed 730] [--suppliers 400] [--json PATH]

Made-up suppliers with log-normal lead times (log standard deviation .35) and three years of orders; those of the last
half-year take longer by a factor. "Records" begin so many days ago: of older orders only those that were open then are
known, entered on that day. `_trend` is the mean of the days by which receipts are said to have become slower.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from backorder_forecast.lead_trend import RECENT_DAYS, lead_trends
from backorder_forecast.order_lines import order_lines
from benchmarks._compare import print_table

AS_OF = pd.Timestamp("2024-12-31")
CASES: dict[str, dict[str, float]] = {
    "same_weekly": {"every": 7}, "same_fortnightly": {}, "same_monthly": {"every": 30},
    "same_60_days_monthly": {"every": 30, "median": 60}, "same_5_lines_a_truck": {"lines": 5},
    "same_records_of_400_days": {"every": 7, "median": 60, "records": 400},
    "same_records_of_250_days": {"every": 7, "median": 60, "records": 250},
    "slower_30_weekly": {"every": 7, "factor": 1.3}, "slower_30_fortnightly": {"factor": 1.3},
    "slower_30_monthly": {"every": 30, "factor": 1.3}, "slower_50_fortnightly": {"factor": 1.5},
    "slower_50_60_days": {"median": 60, "factor": 1.5},
    "slower_50_records_of_400_days": {"every": 7, "median": 60, "records": 400, "factor": 1.5},
    "quicker_30_fortnightly": {"factor": 0.7},
}  # fmt: skip


def main() -> None:
    """Print the table, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=730)
    parser.add_argument("--suppliers", type=int, default=400)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, float] = {}
    for name, case in CASES.items():
        rows = _orders(options.seed, options.suppliers, **case)
        lines = order_lines(rows, as_of=AS_OF)
        group = np.asarray(lines.lines["supplier"].astype(int), dtype=np.int64)
        found = lead_trends(lines, [group], options.suppliers)
        figures[f"{name}_slower"] = float(found["slower"].mean())
        figures[f"{name}_trend"] = float(found["trend"].mean())
    print_table(f"{options.suppliers} suppliers each, seed {options.seed}", figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _orders(
    seed: int, n: int, *, every: float = 14, median: float = 20, factor: float = 1, lines: float = 1,
    records: float = 0,
) -> pd.DataFrame:  # fmt: skip
    rng = np.random.default_rng(seed)
    of_one = np.arange(0, 3 * 365, int(every))
    supplier = np.repeat(np.arange(n), len(of_one))
    age = np.tile(of_one, n) + np.repeat(rng.integers(0, int(every), n), len(of_one))
    longer = np.where(age < RECENT_DAYS, factor, 1.0)
    days = np.maximum(np.round(median * np.exp(rng.normal(0, 0.35, len(age))) * longer), 1)
    placed = AS_OF - pd.to_timedelta(age, "D")
    rows = pd.DataFrame({"supplier": supplier.astype(str), "order_date": placed})
    rows["received_date"] = rows["order_date"] + pd.to_timedelta(days, "D")
    if records:
        begin = AS_OF - pd.Timedelta(days=int(records))
        rows = rows[rows["received_date"] > begin]
        rows["recorded_date"] = rows["order_date"].where(rows["order_date"] > begin, begin)
    rows["received_date"] = rows["received_date"].where(rows["received_date"] <= AS_OF)
    return pd.concat([rows.assign(sku=f"K{k}") for k in range(int(lines))], ignore_index=True)


if __name__ == "__main__":
    main()
