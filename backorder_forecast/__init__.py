"""What runs out, when backorders fill, how long a wait to accept, what to order: from a shop's own tables.

The names below are the public face; each lives in the module of its stage and is imported on first use, so that
`import backorder_forecast` costs next to nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backorder_forecast.adapters import adapt
    from backorder_forecast.allocation import compare_allocations
    from backorder_forecast.backtest import backtest
    from backorder_forecast.baselines import baseline
    from backorder_forecast.classifier import StockoutClassifier
    from backorder_forecast.compare import compare_plans
    from backorder_forecast.errors import BackorderForecastError, InvalidSettings, InvalidTables, NotEnoughHistory
    from backorder_forecast.forecasters import forecast_demand
    from backorder_forecast.leadtimes import LeadTimes, fit_lead_times
    from backorder_forecast.order_backtest import backtest_orders
    from backorder_forecast.panel import demand_panel
    from backorder_forecast.paths import SamplePaths
    from backorder_forecast.pipeline import make_plan
    from backorder_forecast.reorders import recommend_orders
    from backorder_forecast.result import Plan
    from backorder_forecast.scenario import Scenario
    from backorder_forecast.scoring import score_forecast, score_sums
    from backorder_forecast.settings import Settings
    from backorder_forecast.stockout_features import stockout_features
    from backorder_forecast.tables import Tables, read_tables

__version__ = "0.1.0"

__all__ = [
    "BackorderForecastError",
    "InvalidSettings",
    "InvalidTables",
    "LeadTimes",
    "NotEnoughHistory",
    "Plan",
    "SamplePaths",
    "Scenario",
    "Settings",
    "StockoutClassifier",
    "Tables",
    "adapt",
    "backtest",
    "backtest_orders",
    "baseline",
    "compare_allocations",
    "compare_plans",
    "demand_panel",
    "fit_lead_times",
    "forecast_demand",
    "make_plan",
    "read_tables",
    "recommend_orders",
    "score_forecast",
    "score_sums",
    "stockout_features",
]

_HOME = {
    "BackorderForecastError": "errors",
    "InvalidSettings": "errors",
    "InvalidTables": "errors",
    "LeadTimes": "leadtimes",
    "NotEnoughHistory": "errors",
    "Plan": "result",
    "SamplePaths": "paths",
    "Scenario": "scenario",
    "Settings": "settings",
    "StockoutClassifier": "classifier",
    "Tables": "tables",
    "adapt": "adapters",
    "backtest": "backtest",
    "backtest_orders": "order_backtest",
    "baseline": "baselines",
    "compare_allocations": "allocation",
    "compare_plans": "compare",
    "demand_panel": "panel",
    "fit_lead_times": "leadtimes",
    "forecast_demand": "forecasters",
    "make_plan": "pipeline",
    "read_tables": "tables",
    "recommend_orders": "reorders",
    "score_forecast": "scoring",
    "score_sums": "scoring",
    "stockout_features": "stockout_features",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


class _Package(ModuleType):
    # The function `backtest` lives in the module of the same name; importing that module must not hide the function.
    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _HOME.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
