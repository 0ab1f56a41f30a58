"""The rooms of the house: a module imports only from modules above it, and the README lists the same order."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import backorder_forecast

ROOT = Path(backorder_forecast.__file__).parent
README = ROOT.parent / "README.md"

# Modules in the order in which they may import each other: each only from those before it.
ORDER = (
    # ground
    "errors", "settings", "clock", "streams", "schema", "columns", "frames",
    # bricks
    "distributions", "survival", "paths", "smoothing", "intermittent", "scores", "crps", "plots",
    # reading
    "names", "values", "csv_files", "formats", "dates", "mapping", "coerce", "spellings", "checks", "accounting",
    "known", "tables", "returns", "netting", "panel",
    # worlds with known truth
    "world_catalogue", "world_laws", "world_shop", "world_chances", "world_timeline", "world_export", "synthetic",
    # demand
    "seasonality", "lifts", "events", "calendars", "nbses", "level_laws", "global_features", "global_model",
    "theta", "smooth_items", "trials", "choices", "demand_law", "demand", "point_laws", "baselines", "adapters",
    "forecasters", "given_demand", "outcomes", "scoring",
    # supply
    "order_lines", "order_remarks", "lead_laws", "lead_days", "lead_cases", "lead_tree", "lead_check", "lead_promises",
    "lead_trend", "scorecards", "leadtimes", "receipts", "supply_events", "disruptions", "next_orders", "production",
    # stock and orders
    "projection", "first_passage", "lot_sizes", "newsvendor", "policies", "order_costs", "budgets", "order_limits",
    "order_inputs", "excess", "reorders", "expediting", "order_trials",
    # those who wait
    "queues", "queue_walk", "allocation_rules", "allocation", "atp", "lines", "promises", "patience_forms", "patience",
    "waits", "wait_curves", "payments", "backorders", "promise_record", "backlog", "cutoffs", "substitutes", "cash",
    "notices", "causes",
    # results
    "summary", "folder", "reader_words", "report", "excel", "settings_table", "result",
    # all stages together
    "scenario", "engine", "phantom", "facts", "hidden", "snapshots", "stockout_features",
    "probabilities", "classifier", "learned_flags", "cause_words", "explaining", "drawing", "bucket_orders",
    "simulation", "plan_notes", "fitting", "what_if", "answers", "rule_dates", "pipeline", "compare", "order_ways",
    "order_replay", "order_scores", "order_backtest", "backtest_scores", "backtest",
    "shell_words", "cli_input", "cli",
)  # fmt: skip


def test_every_module_is_in_the_order_and_the_order_names_no_other() -> None:
    modules = {path.stem for path in ROOT.glob("*.py")} - {"__init__", "__main__"}
    assert sorted(modules - set(ORDER)) == [], "modules without a place in ORDER (and in the README's table)"
    assert sorted(set(ORDER) - modules) == [], "ORDER names modules that do not exist"
    assert len(set(ORDER)) == len(ORDER)


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_from_above(module: str) -> None:
    path = ROOT / f"{module}.py"
    if not path.exists():
        pytest.fail(f"{path.name} does not exist")
    place = ORDER.index(module)
    below = {name for name in _imported(ast.parse(path.read_text())) if name not in ORDER[:place]}
    assert not below, f"{module} imports {', '.join(sorted(below))}, which do not stand above it"


def test_the_readme_lists_the_modules_in_the_same_order() -> None:
    table = README.read_text(encoding="utf-8").split("## Where each stage lives")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`(\w+)\.py`", row)]
    assert listed == list(ORDER)


def test_lazy_imports_count_and_type_checking_imports_do_not() -> None:
    code = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from backorder_forecast.cli import app
else:
    import backorder_forecast.paths
def f():
    from backorder_forecast import report
    from backorder_forecast.tables import read_tables
"""
    assert set(_imported(ast.parse(code))) == {"paths", "report", "tables"}


def test_every_public_name_has_a_home_and_is_documented() -> None:
    for name in backorder_forecast.__all__:
        assert getattr(backorder_forecast, name).__doc__, name
    assert set(backorder_forecast.__all__) == set(backorder_forecast._HOME)
    assert set(backorder_forecast.__all__) <= set(dir(backorder_forecast))
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(backorder_forecast, "no_such_name")  # noqa: B009


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, backorder_forecast; print(*sorted(m.split('.')[0] for m in sys.modules))"
    loaded = set(_run(code).split())
    assert not loaded & {"numpy", "pandas", "numba", "scipy", "sklearn", "matplotlib", "pyarrow", "rich", "typer"}


def test_importing_every_module_leaves_the_slow_libraries_alone() -> None:
    # A scikit-learn estimator needs its base class: the classifier is imported where one is fitted.
    modules = [m for m in ORDER if m not in ("cli_input", "cli", "classifier")]
    code = f"import sys\nfor m in {modules}: __import__('backorder_forecast.' + m)\nprint(*sys.modules)"
    loaded = {name.split(".")[0] for name in _run(code).split()}
    assert not loaded & {"sklearn", "statsmodels", "matplotlib", "jinja2", "xlsxwriter", "openpyxl", "rich", "typer"}
    assert "scipy.stats" not in _run(code).split()


def test_the_function_backtest_is_not_hidden_by_its_module() -> None:
    code = "import backorder_forecast.backtest, backorder_forecast as bf; print(callable(bf.backtest))"
    assert _run(code).strip() == "True"


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def _imported(node: ast.AST) -> Iterator[str]:
    """Modules of the package that a tree imports when it runs."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _imported(ast.Module([other], []))
            continue
        if isinstance(child, ast.ImportFrom):
            parts = (child.module or "").split(".")
            if parts[0] == "backorder_forecast":
                yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in child.names]
        elif isinstance(child, ast.Import):
            for alias in child.names:
                parts = alias.name.split(".")
                if parts[0] == "backorder_forecast":
                    yield parts[1] if len(parts) > 1 else "__init__"
        yield from _imported(child)
