"""Past origins replayed: what the library would have said then, held against what happened.

Every origin sees only what was recorded up to it (`Tables.as_known`), and everything is fitted anew. Origins lie one
step apart and end early enough that the scored window is complete. Scores stand beside simple rivals on the same rows,
because a score alone proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.answers import assemble
from backorder_forecast.clock import DAYS_PER_PERIOD
from backorder_forecast.distributions import nb_quantile
from backorder_forecast.engine import bucket_bounds, map_buckets
from backorder_forecast.errors import NotEnoughHistory
from backorder_forecast.fitting import Fitted, fit_world, read_history
from backorder_forecast.forecasters import model_name
from backorder_forecast.frames import empty_frame
from backorder_forecast.given_demand import fit_given
from backorder_forecast.lines import open_lines
from backorder_forecast.panel import DemandPanel
from backorder_forecast.paths import SamplePaths, path_quantiles
from backorder_forecast.pipeline import check_inputs
from backorder_forecast.promises import promise_moves
from backorder_forecast.scores import average_precision, brier, pinball
from backorder_forecast.settings import Settings
from backorder_forecast.simulation import World, simulate

if TYPE_CHECKING:
    from backorder_forecast.baselines import Forecaster
    from backorder_forecast.tables import Tables

LEVELS = (0.1, 0.5, 0.75, 0.9, 0.95)
RIVAL_DAYS = 91
"""Days averaged by the rival forecast: a quarter."""


@dataclass(frozen=True, eq=False)
class Backtest:
    """Scores of replayed origins.

    Attributes
    ----------
    scores
        origin, stage (forecast, flag, promise), score, value, rival, rival_value, n. The event of the flag scores is
        zero stock at some time in the window, held against `p_zero`: stock records show zero stock, whereas unmet
        demand (`p_stockout`) leaves no trace where an unserved customer goes away.
    forecasts
        origin, sku, location, actual (units over the window), in_stock, mean, average (of the last quarter), one column
        per quantile level.
    flags
        origin, sku, location, p_zero, p_stockout, days_of_cover, ran_out (stock was zero in the window); items in
        stock at the origin.
    promises
        origin, order_id, sku, location, promise_date, p_at_promise, filled_date, kept (empty where not yet known),
        slack_days (from the fill to the promise; negative where it was late), moved (against the promise of the
        origin before, as a customer would be told: 1 later, -1 earlier, 0 not worth a message; empty at the first).
    rivals
        What the rival demand models said: origin, rival, sku, location, mean, one column per quantile level.
    """

    scores: pd.DataFrame
    forecasts: pd.DataFrame
    flags: pd.DataFrame
    promises: pd.DataFrame
    rivals: pd.DataFrame

    def summary(self) -> pd.DataFrame:
        """Mean over the origins, weighted by the rows scored: stage, score, value, rival, rival_value, n."""
        weighted = self.scores.assign(
            v=self.scores["value"] * self.scores["n"], r=self.scores["rival_value"] * self.scores["n"]
        )
        total = weighted.groupby(["stage", "score", "rival"], sort=False)[["v", "r", "n"]].sum().reset_index()
        n = np.maximum(total["n"], 1)
        return pd.DataFrame(
            {
                "stage": total["stage"], "score": total["score"], "value": total["v"] / n,
                "rival": total["rival"], "rival_value": total["r"] / n, "n": total["n"].astype(int),
            }
        )  # fmt: skip


def backtest(
    tables: Tables,
    *,
    origins: int | Sequence[str | pd.Timestamp] = 4,
    settings: Settings | None = None,
    window_days: int = 28,
    demand_model: Forecaster | str | None = None,
    rivals: Sequence[Forecaster | str] = (),
    progress: Callable[[str, float], None] | None = None,
) -> Backtest:
    """Replay past origins of the user's own tables.

    Parameters
    ----------
    tables
        From `read_tables`.
    origins
        Dates, or how many to replay, one window apart and the last one window before `as_of`.
    settings
        As in `make_plan`.
    window_days
        Days after each origin on which forecasts, flags and promises are scored.
    demand_model
        As in `make_plan`.
    rivals
        Further demand models, named or given, whose forecasts stand beside that of the plan and the moving average.
    progress
        Called with the origin and the share done.

    Returns
    -------
    Backtest

    Raises
    ------
    NotEnoughHistory
        If no origin leaves at least twice the window of history before it.
    """
    check_inputs(tables, settings, models=[demand_model, *rivals])
    settings = (settings or Settings()).replace(horizon_days=window_days)
    days = _origins(tables, origins, window_days)
    parts: list[tuple[pd.DataFrame, ...]] = []
    for number, day in enumerate(days):
        parts.append(_replay(tables, day, settings, window_days, demand_model, rivals))
        if progress is not None:
            progress(f"{day:%Y-%m-%d}", (number + 1) / len(days))
    frames = [pd.concat([part[k] for part in parts], ignore_index=True) for k in range(4)]
    frames[2]["moved"] = _moved(frames[2], settings)
    return Backtest(_scores(*frames, level=settings.promise_level), *frames)


def _origins(tables: Tables, origins: int | Sequence[str | pd.Timestamp], window_days: int) -> list[pd.Timestamp]:
    first = tables.sales["date"].min()
    step = pd.Timedelta(days=window_days)
    if isinstance(origins, int):
        wanted = [tables.as_of - step * (k + 1) for k in reversed(range(origins))]
    else:
        wanted = sorted(pd.Timestamp(day).normalize() for day in origins)
    usable = [day for day in wanted if day - 2 * step >= first and day + step <= tables.as_of]
    if not usable:
        raise NotEnoughHistory(
            f"no origin has {2 * window_days} days of sales before it and {window_days} days after it; sales run from "
            f"{first:%Y-%m-%d} to {tables.as_of:%Y-%m-%d}: give earlier origins or a shorter window_days"
        )
    return usable


def _replay(
    tables: Tables, origin: pd.Timestamp, settings: Settings, window_days: int,
    demand_model: Forecaster | str | None, rivals: Sequence[Forecaster | str],
) -> tuple[pd.DataFrame, ...]:  # fmt: skip
    known = tables.as_known(origin)
    fitted = fit_world(known, settings, demand_model=demand_model, lap=_nobody)
    bounds = bucket_bounds(len(fitted.world.facts), fitted.world.bucket_items)
    run = partial(simulate, fitted.world, stock_known=bool(fitted.world.facts["stock_known"].any()))
    frames = assemble(fitted, map_buckets(run, bounds, workers=settings.workers))
    happened = read_history(tables, settings, freq=fitted.history.panel.freq).panel
    ahead = (happened.periods > origin) & (happened.periods <= origin + pd.Timedelta(days=window_days))
    forecasts = _forecasts(fitted.world, happened, ahead, origin)
    flags = _flags(frames.get("stockouts", empty_frame("stockouts")), happened, ahead, origin)
    lines = frames.get("fill_dates", empty_frame("fill_dates"))
    promises = _promises(lines, fitted.world.facts, tables, origin)
    return forecasts, flags, promises, _rivals(fitted, rivals, happened, ahead, origin)


def _nobody(stage: str) -> None:
    """Nobody watches the stages of one origin."""


def _forecasts(world: World, happened: DemandPanel, ahead: NDArray[np.bool_], origin: pd.Timestamp) -> pd.DataFrame:
    """Forecast and actual units over the window."""
    length = int(ahead.sum())
    frame = _sums(world.demand, happened.periods[ahead])
    past = np.asarray(happened.periods <= origin)
    recent = happened.demand[:, past][:, -max(round(RIVAL_DAYS / DAYS_PER_PERIOD[happened.freq]), 1) :]
    actual = happened.items[["sku", "location"]].astype("str").assign(
        actual=happened.demand[:, ahead].sum(axis=1),
        in_stock=np.asarray((happened.exposure[:, ahead] >= 0.999).all(axis=1)),
        average=recent.mean(axis=1) * length,
    )  # fmt: skip
    frame = frame.merge(actual, on=["sku", "location"])
    frame.insert(0, "origin", origin)
    return frame


def _rivals(
    fitted: Fitted, rivals: Sequence[Forecaster | str], happened: DemandPanel, ahead: NDArray[np.bool_],
    origin: pd.Timestamp,
) -> pd.DataFrame:  # fmt: skip
    """What each rival would have said of the same window, as a plan would take it."""
    clock, settings = fitted.world.clock, fitted.world.settings
    names = [model_name(rival) for rival in rivals]
    parts = []
    for k, rival in enumerate(rivals):
        demand = fit_given(fitted.history.panel, rival, clock, settings)
        frame = _sums(demand.paths(clock, n_paths=settings.n_paths, seed=settings.seed), happened.periods[ahead])
        frame.insert(0, "origin", origin)
        before = names[:k].count(names[k])
        frame.insert(1, "rival", f"{names[k]} {before + 1}" if before else names[k])
        parts.append(frame)
    return pd.concat(parts) if parts else pd.DataFrame(columns=["origin", "rival", "sku", "location", *LEVELS, "mean"])


def _sums(paths: SamplePaths, window: pd.DatetimeIndex) -> pd.DataFrame:
    """Quantiles and mean of units over the window; periods that were cut at the origin are not in it."""
    skip = int(paths.dates.searchsorted(window[0])) if len(window) else 0
    parts = []
    for start, stop in paths.buckets():
        total = paths.draw(start, stop)[:, :, skip : skip + len(window)].sum(axis=2, keepdims=True)
        parts.append(np.concatenate([path_quantiles(total, LEVELS)[:, 0], total.mean(axis=1)], axis=1))
    return pd.concat([paths.items, pd.DataFrame(np.concatenate(parts), columns=[*LEVELS, "mean"])], axis=1)


def _flags(
    stockouts: pd.DataFrame, happened: DemandPanel, ahead: NDArray[np.bool_], origin: pd.Timestamp
) -> pd.DataFrame:
    """Probability of zero stock in the window and whether it came to that, for items in stock at the origin."""
    ran_out = np.asarray((happened.exposure[:, ahead] < 0.999).any(axis=1))
    truth = happened.items[["sku", "location"]].astype("str").assign(ran_out=ran_out)
    cover = stockouts["days_of_cover"].fillna(np.inf)
    frame = stockouts.assign(days_of_cover=cover).astype({"sku": "str", "location": "str"})
    frame = frame.loc[~frame["already_out"], ["sku", "location", "p_zero", "p_stockout", "days_of_cover"]]
    frame = frame.merge(truth, on=["sku", "location"])
    frame.insert(0, "origin", origin)
    return frame


def _promises(fill_dates: pd.DataFrame, items: pd.DataFrame, tables: Tables, origin: pd.Timestamp) -> pd.DataFrame:
    """Promises made at the origin and what became of them; empty where not yet known, or the line was cancelled."""
    keys = ["order_id", "sku", "location"]
    frame = fill_dates[[*keys, "promise_date", "p_at_promise"]].astype(dict.fromkeys(keys, "str"))
    closed = open_lines(tables.backorders, items, as_of=tables.as_of).closed
    closed = closed[[*keys, "closed_date", "outcome"]].astype(dict.fromkeys(keys, "str"))
    frame = frame.merge(closed, on=keys, how="left")
    filled = frame["outcome"] == "filled"
    broken = ~filled & frame["outcome"].isna() & (frame["promise_date"] <= tables.as_of)
    frame["filled_date"] = frame.pop("closed_date").where(filled)
    kept = (frame["filled_date"] <= frame["promise_date"]).astype(float)
    # A promise not yet due counts for nothing: only those already kept are known of them.
    frame["kept"] = kept.where((filled | broken) & (frame["promise_date"] <= tables.as_of))
    frame["slack_days"] = (frame["promise_date"] - frame["filled_date"]).dt.days.astype(np.float64)
    frame.insert(0, "origin", origin)
    return frame.drop(columns="outcome")


def _moved(promises: pd.DataFrame, settings: Settings) -> pd.Series:
    """Whether each promise moved against the one before of the same line; NaN for the first."""
    before = promises.groupby(["order_id", "sku", "location"])[["origin", "promise_date"]].shift(1)
    known = before["origin"].notna()
    moved = pd.Series(np.nan, index=promises.index)
    for _, part in promises[known].groupby("origin"):
        old, new = before.loc[part.index, "promise_date"], part["promise_date"]
        moved[part.index] = promise_moves(old, new, as_of=part["origin"].iloc[0], settings=settings)
    return moved


def _losses(actual: NDArray[np.float64], told: pd.DataFrame) -> tuple[float, float]:
    """Mean pinball loss over the levels, and the summed absolute error of the mean as a share of demand."""
    loss = np.mean([pinball(actual, told[q].to_numpy(), q).mean() for q in LEVELS])
    error = np.abs(told["mean"].to_numpy() - actual).sum() / max(float(actual.sum()), 1e-9)
    return float(loss), float(error)


def _scores(
    forecasts: pd.DataFrame, flags: pd.DataFrame, promises: pd.DataFrame, rivals: pd.DataFrame, *, level: float
) -> pd.DataFrame:
    columns = ["origin", "stage", "score", "value", "rival", "rival_value", "n"]
    rows: list[tuple[object, ...]] = []

    def add(origin: object, stage: str, score: str, value: float, rival: str, other: float, n: int) -> None:
        rows.append((origin, stage, score, value, rival, other, n))

    for origin, part in forecasts[forecasts["in_stock"]].groupby("origin"):
        actual, average = part["actual"].to_numpy(), part["average"].to_numpy()
        loss, error = _losses(actual, part)
        # The moving average with a Poisson spread is what a spreadsheet with safety stock amounts to.
        poisson = pd.DataFrame({q: nb_quantile(q, average, average) for q in LEVELS} | {"mean": average})
        others = {"moving average, Poisson": poisson} | {
            str(name): part[["sku", "location"]].merge(told, on=["sku", "location"], how="left")
            for name, told in rivals[rivals["origin"] == origin].groupby("rival", sort=False)
        }
        for name, told in others.items():
            rival_loss, rival_error = _losses(actual, told)
            add(origin, "forecast", "pinball", loss, name, rival_loss, len(part))
            add(origin, "forecast", "wape", error, name.removesuffix(", Poisson"), rival_error, len(part))
        inside = (part[0.1] <= actual) & (actual <= part[0.9])
        add(origin, "forecast", "share_in_80_interval", float(inside.mean()), "nominal", 0.8, len(part))
    for origin, part in flags.groupby("origin"):
        outcome = part["ran_out"].to_numpy(dtype=np.float64)
        rate = np.full(len(part), outcome.mean())
        p = part["p_zero"].to_numpy()
        ours, rival = float(brier(p, outcome)), float(brier(rate, outcome))
        add(origin, "flag", "zero_stock_brier", ours, "base rate", rival, len(part))
        if 0 < outcome.sum() < len(outcome):
            cover = -part["days_of_cover"].clip(upper=1e6).to_numpy()
            ours, rival = average_precision(p, outcome), average_precision(cover, outcome)
            add(origin, "flag", "zero_stock_average_precision", float(ours), "days of cover", float(rival), len(part))
    for origin, part in promises[promises["kept"].notna()].groupby("origin"):
        stated = float(part["p_at_promise"].mean())
        kept = float(part["kept"].mean())
        add(origin, "promise", "kept_share", kept, "stated", stated, len(part))
        add(origin, "promise", "kept_share", kept, "nominal", level, len(part))
        slack = part["slack_days"].dropna()
        if len(slack):
            add(origin, "promise", "slack_days", float(slack.mean()), "none", 0.0, len(slack))
    for origin, part in promises[promises["moved"].notna()].groupby("origin"):
        moves = float((part["moved"] != 0).mean())
        add(origin, "promise", "re_promises_per_line", moves, "none", 0.0, len(part))
    return pd.DataFrame(rows, columns=columns)
