"""What the plans on real input share: where the data lies, how a plan is made, timed and shown.

The data is no part of the project. Its folder comes from `--data` or the environment variable BACKORDER_DATA; without
it a benchmark says so and does nothing.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from backorder_forecast import Plan, Settings, Tables, make_plan
from benchmarks._compare import peak_mb

VARIABLE = "BACKORDER_DATA"
Figures = dict[str, float]


def data_folder(name: str, given: str | None = None) -> Path | None:
    """The folder of one data set, or None where it is not there."""
    root = given or os.environ.get(VARIABLE, "")
    folder = Path(root) / name
    return folder if root and folder.is_dir() else None


def plan_and_show(
    name: str,
    doc: str,
    tables: Callable[[Path, str], Tables],
    days: tuple[str, ...],
    settings: Settings,
    held_against: Callable[[Path, str | None], Figures] | None = None,
) -> None:
    """Command line of one real input: the plan of each day, its mapping, summary and frames.

    `held_against` prints what became of past plans; it is given the folder and the day asked for, if one was.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--data", help=f"folder that holds {name}/; default ${VARIABLE}")
    parser.add_argument("--as-of", help=f"last known day; default {' and '.join(days)}")
    parser.add_argument("--out", help="folder to write every frame and the report to")
    parser.add_argument("--json", help="file to write the figures to")
    options = parser.parse_args()
    folder = data_folder(name, options.data)
    if folder is None:
        print(f"skipped: no folder {name} under {options.data or '$' + VARIABLE}; name its place with --data")
        return
    figures: Figures = {}
    for day in (options.as_of,) if options.as_of else days:
        begin = perf_counter()
        given = tables(folder, day)
        read = perf_counter()
        plan = make_plan(given, settings=settings)
        planned = perf_counter()
        print(plan.mapping_text, plan.summary_text(), _frame_table(plan), sep="\n\n", end="\n\n")
        prefix = "" if len(days) == 1 else f"d{day.replace('-', '')}_"
        seconds = {"read_seconds": read - begin, "plan_seconds": planned - read}
        figures |= {f"{prefix}{k}": v for k, v in {**seconds, **_counts(plan)}.items()}
        if options.out:
            plan.to_folder(Path(options.out) / day)
            plan.to_html(Path(options.out) / day / "report.html")
    if held_against is not None:
        figures |= held_against(folder, options.as_of)
    figures["peak_mb"] = peak_mb()
    print("\n".join(f"{key:<32} {value:14,.3f}" for key, value in figures.items()))
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1))


def _frame_table(plan: Plan) -> str:
    return "\n".join(f"  {name:<14} {len(frame):>9,} rows" for name, frame in plan.frames.items())


def _counts(plan: Plan) -> Figures:
    flags = plan.stockouts["flag"].value_counts()
    counts = {f"{flag}_items": float(n) for flag, n in flags.items()}
    return {f"{name}_rows": float(len(frame)) for name, frame in plan.frames.items()} | counts
