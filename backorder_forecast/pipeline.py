"""The main job: tables in, a plan out. One line per stage; each stage is the module of its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from time import perf_counter
from typing import TYPE_CHECKING

from backorder_forecast.answers import assemble, has_substitute, item_picture, limit_notes, with_answers
from backorder_forecast.engine import bucket_bounds, map_buckets
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.fitting import Fitted, fit_world
from backorder_forecast.forecasters import as_forecaster
from backorder_forecast.mapping import mapping_text
from backorder_forecast.result import Plan
from backorder_forecast.rule_dates import dates_by_rule
from backorder_forecast.scenario import Scenario
from backorder_forecast.settings import Settings
from backorder_forecast.simulation import BucketResult, simulate
from backorder_forecast.tables import Tables
from backorder_forecast.what_if import changed

if TYPE_CHECKING:
    import pandas as pd

    from backorder_forecast.baselines import Forecaster
    from backorder_forecast.plots import ItemPicture

Progress = Callable[[str, float], None]


def make_plan(
    tables: Tables,
    settings: Settings | None = None,
    *,
    demand_model: Forecaster | str | None = None,
    scenario: Scenario | None = None,
    progress: Progress | None = None,
) -> Plan:
    """What runs out, when backorders fill, what wait to accept, what to order.

    Parameters
    ----------
    tables
        From `read_tables`.
    settings
        Choices and assumptions; the defaults of `Settings` where not given.
    demand_model
        What forecasts demand instead of the library's own model: the name of a baseline ("croston", "sba", ...), or an
        object with `forecast(panel, horizon, seed) -> SamplePaths`, such as `adapt` makes. Its paths are cut to the
        days on which an item sells; see `given_demand.py`.
    scenario
        Changes to try on the same random numbers.
    progress
        Called with a stage and the share of it that is done.

    Returns
    -------
    Plan
        Frames, `summary()`, `plot(sku)`, `to_html`, `to_excel`, `to_folder`.

    Raises
    ------
    NotEnoughHistory
        If no complete period of sales lies at or before `as_of`.
    InvalidSettings
        If tables, settings, demand model or scenario are of another kind, such as a path where `read_tables` comes
        first, or if a demand model gives paths that are not of the items and periods asked for, or below 0.
    """
    check_inputs(tables, settings, scenario, [demand_model])
    settings = settings or Settings()
    timings = _Timings(progress or _silent)
    fitted = fit_world(tables, settings, demand_model=demand_model, what_if=scenario is not None, lap=timings.lap)
    return _plan(fitted, scenario, timings)


def _plan(learned: Fitted, scenario: Scenario | None, timings: _Timings) -> Plan:
    """The plan of a fitted world, changed as a scenario says."""
    tables, settings = learned.known.tables, learned.world.settings
    fitted = learned if scenario is None else changed(learned, scenario)
    bounds = bucket_bounds(len(fitted.world.facts), fitted.world.bucket_items)
    run = partial(simulate, fitted.world, stock_known=bool(fitted.world.facts["stock_known"].any()))
    results = map_buckets(run, bounds, workers=settings.workers, progress=partial(timings.report, "simulation"))
    timings.lap("simulation")
    frames = assemble(fitted, results)
    timings.lap("frames")

    def picture(sku: str, location: str) -> ItemPicture:
        offered = has_substitute(frames, sku, location)
        drawn = item_picture(fitted, sku, location, substitute=offered)
        return with_answers(drawn, frames, horizon_days=settings.horizon_days)

    def what_if(later: Scenario) -> Plan:
        check_inputs(tables, settings, later)
        return _plan(learned, later if scenario is None else scenario.then(later), _Timings(_silent))

    def by_rule(sku: str | None, location: str | None, rules: Sequence[str]) -> pd.DataFrame:
        return dates_by_rule(fitted, sku, location, rules=rules)

    counted = replace(tables, quality=fitted.history.records.quality)
    return Plan(
        frames=frames, settings=settings, as_of=tables.as_of, freq=fitted.history.panel.freq,
        mapping_text=mapping_text(counted), notes=(*fitted.notes, *limit_notes(frames, settings)), pictures=picture,
        timings=timings.seconds | _summed(results), what_ifs=what_if, by_rule=by_rule,
    )  # fmt: skip


def check_inputs(
    tables: object, settings: object, scenario: object = None, models: Sequence[Forecaster | str | None] = ()
) -> None:
    """Refuse what is not `Tables`, `Settings`, `Scenario` or a demand model, and say what to do about it."""
    if not isinstance(tables, Tables):
        raise InvalidSettings(
            f"tables come from read_tables, got {_kind(tables)}: read files or frames first, as in"
            " make_plan(read_tables(...))"
        )
    if not isinstance(settings, Settings | None):
        raise InvalidSettings(f"settings must be Settings(name=value, ...), got {_kind(settings)}")
    if not isinstance(scenario, Scenario | None):
        raise InvalidSettings(f"scenario must be Scenario(name=value, ...), got {_kind(scenario)}")
    for model in models:
        if model is not None:
            as_forecaster(model, settings or Settings())


def _kind(value: object) -> str:
    return f"a {type(value).__name__}" + (f" ({value})" if isinstance(value, str | PathLike) else "")


def _summed(results: list[BucketResult]) -> dict[str, float]:
    """Seconds inside the buckets by stage, over all workers."""
    stages = dict.fromkeys(stage for result in results for stage in result.seconds)
    return {f"bucket_{stage}": sum(r.seconds.get(stage, 0.0) for r in results) for stage in stages}


def _silent(stage: str, share: float) -> None:
    """Progress that nobody watches."""


class _Timings:
    """Seconds by stage."""

    def __init__(self, report: Progress) -> None:
        self.seconds: dict[str, float] = {}
        self.report = report
        self._last = perf_counter()

    def lap(self, stage: str) -> None:
        now = perf_counter()
        self.seconds[stage] = now - self._last
        self._last = now
        self.report(stage, 1.0)
