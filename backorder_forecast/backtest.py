"""Past origins replayed: what the library would have said then, held against what happened.

Every origin sees only what was recorded up to it (`Tables.as_known`), and everything is fitted anew. Origins lie one
step apart and end early enough that the scored window is complete. Scores stand beside simple rivals on the same rows,
because a score alone proves nothing. Orders are replayed over the same time, review by review (`order_backtest.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.answers import assemble
from backorder_forecast.backtest_scores import BETTER, LEVELS, origin_scores, replayed_order_scores
from backorder_forecast.clock import DAYS_PER_PERIOD, infer_freq
from backorder_forecast.cutoffs import ACCEPT, CONFIRMED
from backorder_forecast.engine import bucket_bounds, map_buckets
from backorder_forecast.errors import InvalidSettings, NotEnoughHistory
from backorder_forecast.fitting import Fitted, fit_world, read_history
from backorder_forecast.forecasters import model_name
from backorder_forecast.frames import empty_frame
from backorder_forecast.given_demand import fit_given
from backorder_forecast.lines import open_lines
from backorder_forecast.order_backtest import N_FOLDS, backtest_orders, described, state_name
from backorder_forecast.order_scores import OrderBacktest
from backorder_forecast.panel import DemandPanel
from backorder_forecast.paths import SamplePaths, path_quantiles
from backorder_forecast.pipeline import check_inputs
from backorder_forecast.promises import promise_moves
from backorder_forecast.settings import Settings
from backorder_forecast.simulation import World, simulate

if TYPE_CHECKING:
    from backorder_forecast.baselines import Forecaster
    from backorder_forecast.tables import Tables

RIVAL_DAYS = 91
"""Days averaged by the rival forecast: a quarter."""
MOST_ITEMS = 500
"""Items up to which orders are replayed without being asked for."""
WINDOW_DAYS = (28, 62)
"""Days that are scored after an origin; the second by months."""
_PARTS = ("forecasts", "flags", "promises", "rivals", "cutoffs")


@dataclass(frozen=True, eq=False)
class Backtest:
    """Scores of replayed origins.

    Attributes
    ----------
    scores
        origin, stage (forecast, flag, promise, cutoff, orders), score, value, rival, rival_value, n. The event of the
        flag scores is zero stock at some time in the window, held against `p_zero`: stock records show zero stock,
        whereas unmet demand (`p_stockout`) leaves no trace where an unserved customer goes away. Cutoffs are scored by
        what the lines of the window earned if only those were accepted that the plan would accept. Orders are scored
        once, over all origins (origin is empty), each way at the target that was best on the folds before.
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
    cutoffs
        origin, order_id, sku, location, accepted (what the plan would have said), outcome (filled, cancelled,
        refunded), money (what the line earned); lines ordered in the window whose end is known.
    orders
        Ways of ordering held against each other; None where they were not replayed.
    notes
        What was left out, and why.
    """

    scores: pd.DataFrame
    forecasts: pd.DataFrame
    flags: pd.DataFrame
    promises: pd.DataFrame
    rivals: pd.DataFrame
    cutoffs: pd.DataFrame
    orders: OrderBacktest | None = None
    notes: tuple[str, ...] = ()

    def summary(self) -> pd.DataFrame:
        """Mean over the origins, weighted by rows scored: stage, score, better, value, rival, rival_value, n."""
        weighted = self.scores.assign(
            v=self.scores["value"] * self.scores["n"], r=self.scores["rival_value"] * self.scores["n"]
        )
        total = (
            weighted.groupby(["stage", "score", "rival"], sort=False)[["v", "r", "n"]].sum(min_count=1).reset_index()
        )
        n = np.maximum(total["n"], 1)
        return pd.DataFrame(
            {
                "stage": total["stage"], "score": total["score"], "better": [BETTER[s] for s in total["score"]],
                "value": total["v"] / n,
                "rival": total["rival"], "rival_value": total["r"] / n, "n": total["n"].astype(int),
            }
        )  # fmt: skip


def backtest(
    tables: Tables,
    *,
    origins: int | Sequence[str | pd.Timestamp] = 4,
    settings: Settings | None = None,
    window_days: int | None = None,
    demand_model: Forecaster | str | None = None,
    rivals: Sequence[Forecaster | str] = (),
    order_reviews: int | None = None,
    folder: str | Path | None = None,
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
        Days after each origin on which forecasts, flags and promises are scored; by default 28, or 62 where demand is
        by months, of which a window must hold one.
    demand_model
        As in `make_plan`.
    rivals
        Further demand models, named or given, whose forecasts stand beside that of the plan and the moving average.
    order_reviews
        Reviews over which ways of ordering are replayed (see `backtest_orders`), 0 for none; by default those of the
        time from the first origin on, for shops with stock records and up to 500 items.
    folder
        Where each finished part is kept; a run that was broken off goes on from there.
    progress
        Called with the origin, or the day of a review, and the share done.

    Returns
    -------
    Backtest

    Raises
    ------
    NotEnoughHistory
        If no origin leaves at least twice the window of history before it.
    """
    check_inputs(tables, settings, models=[demand_model, *rivals])
    given = settings or Settings()
    if window_days is None:
        freq = given.freq if given.freq != "auto" else infer_freq(tables.sales["date"])
        window_days = WINDOW_DAYS[freq == "MS"]
    settings = given.replace(horizon_days=window_days)
    days = _origins(tables, origins, window_days)
    n_reviews, notes = _reviews(tables, given, days, order_reviews)
    total = len(days) + n_reviews
    kept = None
    if folder is not None:
        models = [described(model) for model in (demand_model, *rivals)]
        kept = Path(folder) / state_name("origin", tables, settings, window_days, models)
    parts: list[list[pd.DataFrame]] = []
    for number, day in enumerate(days):
        file = None if kept is None else kept.with_name(f"{kept.name}_{day:%Y%m%d}")
        part = None if file is None else _saved(file)
        if part is None:
            part = [*_replay(tables, day, settings, window_days, demand_model, rivals)]
            _save(file, part)
        # Parquet keeps dates finer than they came.
        parts.append([frame.astype(dict.fromkeys(frame.select_dtypes("datetime"), "datetime64[s]")) for frame in part])
        if progress is not None:
            progress(f"{day:%Y-%m-%d}", (number + 1) / total)
    frames = [pd.concat([part[k] for part in parts], ignore_index=True) for k in range(len(_PARTS))]
    frames[2]["moved"] = _moved(frames[2], settings)
    orders = None
    if n_reviews:

        def told(day: str, share: float) -> None:
            if progress is not None:
                progress(day, (len(days) + share * n_reviews) / total)

        orders = backtest_orders(tables, n_reviews=n_reviews, settings=given, folder=folder, progress=told)
        notes = (*notes, *orders.notes)
    scores = origin_scores(*frames, level=settings.promise_level)
    if orders is not None:
        scores = pd.concat([scores, replayed_order_scores(orders)], ignore_index=True)
    return Backtest(scores, frames[0], frames[1], frames[2], frames[3], frames[4], orders, notes)


def _reviews(
    tables: Tables, settings: Settings, days: Sequence[pd.Timestamp], asked: int | None
) -> tuple[int, tuple[str, ...]]:
    """How many reviews to replay orders over, and why none where none was asked for."""
    if asked is not None:
        return asked, ()
    if not tables.has("inventory"):
        return 0, ("orders are not replayed: there are no stock records",)
    n_items = len(tables.items())
    if n_items > MOST_ITEMS:
        return 0, (f"orders are not replayed for {n_items} items, which takes long: give order_reviews",)
    n_reviews = int((tables.as_of - days[0]).days) // settings.review_days
    if n_reviews < N_FOLDS:
        return 0, (f"orders are not replayed: {n_reviews} reviews since the first origin are fewer than {N_FOLDS}",)
    return n_reviews, ()


def _save(file: Path | None, part: Sequence[pd.DataFrame]) -> None:
    """Keep the frames of one origin; the last file to be written says that they are complete."""
    if file is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    for name, frame in zip(_PARTS, part, strict=True):
        plain = frame.rename(columns=str)
        plain.to_parquet(f"{file}_{name}.parquet")
    file.with_suffix(".done").touch()


def _saved(file: Path) -> list[pd.DataFrame] | None:
    if not file.with_suffix(".done").exists():
        return None
    levels = {str(level): level for level in LEVELS}
    return [pd.read_parquet(f"{file}_{name}.parquet").rename(columns=levels) for name in _PARTS]


def _origins(tables: Tables, origins: int | Sequence[str | pd.Timestamp], window_days: int) -> list[pd.Timestamp]:
    first = tables.sales["date"].min()
    step = pd.Timedelta(days=window_days)
    if isinstance(origins, int):
        wanted = [tables.as_of - step * (k + 1) for k in reversed(range(origins))]
    else:
        wanted = sorted(pd.Timestamp(day).normalize() for day in origins)
        twice = sorted({f"{day:%Y-%m-%d}" for day, after in pairwise(wanted) if day == after})
        if twice:
            raise InvalidSettings(
                f"origins are days, each once; named more than once: {', '.join(twice)}. It would count double"
                " in the scores"
            )
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
    happened = read_history(tables, settings).panel
    ahead = (happened.periods > origin) & (happened.periods <= origin + pd.Timedelta(days=window_days))
    if not ahead.any():
        raise InvalidSettings(
            f"no whole period of the clock {happened.freq} lies in the {window_days} days after {origin:%Y-%m-%d}: give"
            f" window_days of {round(2 * DAYS_PER_PERIOD[happened.freq])} or more"
        )
    known = tables.as_known(origin)
    fitted = fit_world(known, settings, demand_model=demand_model, lap=_nobody)
    bounds = bucket_bounds(len(fitted.world.facts), fitted.world.bucket_items)
    run = partial(simulate, fitted.world, stock_known=bool(fitted.world.facts["stock_known"].any()))
    frames = assemble(fitted, map_buckets(run, bounds, workers=settings.workers))
    forecasts = _forecasts(fitted.world, happened, ahead, origin)
    flags = _flags(frames.get("stockouts", empty_frame("stockouts")), happened, ahead, origin)
    lines = frames.get("fill_dates", empty_frame("fill_dates"))
    promises = _promises(lines, fitted.world.facts, tables, origin)
    cutoffs = _cutoffs(frames.get("wait_cutoffs", empty_frame("wait_cutoffs")), fitted, tables, origin, window_days)
    return forecasts, flags, promises, _rivals(fitted, rivals, happened, ahead, origin), cutoffs


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


def _cutoffs(
    cutoffs: pd.DataFrame, fitted: Fitted, tables: Tables, origin: pd.Timestamp, window_days: int
) -> pd.DataFrame:
    """Lines ordered in the window, what the plan of the origin would have said to them, and what they earned.

    A filled line earns its margin less the daily cost of the wait, a cancelled one costs that and its refund. A line
    that was refused earns nothing here: whether the customer took something else is not recorded.
    """
    settings, facts = fitted.world.settings, fitted.world.facts
    keys = ["order_id", "sku", "location"]
    closed = open_lines(tables.backorders, facts, as_of=tables.as_of).closed
    ordered = closed["order_date"]
    lines = closed[(ordered > origin) & (ordered <= origin + pd.Timedelta(days=window_days))].reset_index(drop=True)
    item = lines["item"].to_numpy(dtype=np.int64)
    price, cost = (facts[c].to_numpy(dtype=np.float64)[item] for c in ("price", "unit_cost"))
    margin = np.where(np.isnan(cost), settings.default_margin_share * price, price - cost)
    units = lines["ordered_quantity"].to_numpy(dtype=np.float64)
    waited = (lines["closed_date"] - lines["order_date"]).dt.days.to_numpy(dtype=np.float64)
    spent = settings.daily_wait_cost_share * price * waited
    filled = (lines["outcome"] == "filled").to_numpy()
    frame = lines[keys].astype("str")
    frame["outcome"] = lines["outcome"].astype("str")
    frame["money"] = units * (np.where(filled, margin, -settings.refund_cost_share * price) - spent)
    said = cutoffs[["sku", "location", "decision"]].astype("str")
    frame = frame.merge(said, on=["sku", "location"], how="left")
    frame["accepted"] = frame.pop("decision").isin([ACCEPT, CONFIRMED])
    frame.insert(0, "origin", origin)
    return frame[frame["money"].notna()].reset_index(drop=True)


def _moved(promises: pd.DataFrame, settings: Settings) -> pd.Series:
    """Whether each promise moved against the one before of the same line; NaN for the first."""
    before = promises.groupby(["order_id", "sku", "location"])[["origin", "promise_date"]].shift(1)
    known = before["origin"].notna()
    moved = pd.Series(np.nan, index=promises.index)
    for _, part in promises[known].groupby("origin"):
        old, new = before.loc[part.index, "promise_date"], part["promise_date"]
        moved[part.index] = promise_moves(old, new, as_of=part["origin"].iloc[0], settings=settings)
    return moved
