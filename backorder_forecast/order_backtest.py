"""What other orders would have cost: ways of ordering replayed on a shop's own tables, review by review.

At each review every way sees what was recorded by then (`Tables.as_known`) and its own stock. Demand models are
refitted at every review, the choices behind them and the lead-time laws every quarter. What then happens is the demand
that was recorded: what a stockout hid in those days nobody knows, and all ways are held against the same. Deliveries
take lead times drawn from the laws of the whole history, which no way knows beforehand (`order_replay.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.clock import DAYS_PER_PERIOD, period_end
from backorder_forecast.demand import Recipe, refit_demand
from backorder_forecast.errors import InvalidSettings, NotEnoughHistory
from backorder_forecast.facts import item_facts
from backorder_forecast.fitting import (
    History,
    choice_window,
    middle_days,
    read_history,
    stated_lead_times,
    with_category,
)
from backorder_forecast.leadtimes import LeadTimes, fit_lead_times
from backorder_forecast.lines import open_lines
from backorder_forecast.order_lines import known_day
from backorder_forecast.order_replay import Shelves, Tallies, lead_days_of_all, place_open_lines
from backorder_forecast.order_scores import OrderBacktest
from backorder_forecast.order_ways import OrderWay, PlanOrders, Review, SeasonalAverage, ZSigma
from backorder_forecast.panel import DemandPanel, item_codes
from backorder_forecast.pipeline import check_inputs
from backorder_forecast.projection import join_share
from backorder_forecast.receipts import open_order_lines
from backorder_forecast.reorders import capped_orders
from backorder_forecast.schema import TABLES
from backorder_forecast.settings import Settings
from backorder_forecast.simulation import protected_days

if TYPE_CHECKING:
    from backorder_forecast.tables import Tables

Floats = NDArray[np.float64]

N_FOLDS = 4
RENEW_DAYS = 91
"""Days after which the choices of demand models and the lead-time laws are renewed."""


def backtest_orders(
    tables: Tables,
    *,
    n_reviews: int = 26,
    settings: Settings | None = None,
    ways: Sequence[OrderWay] | None = None,
    start: str = "recorded",
    folder: str | Path | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> OrderBacktest:
    """Replay ways of ordering over the last reviews of the tables.

    Parameters
    ----------
    tables
        From `read_tables`. Items are those known at the first review; costs, minimum and packs are the present ones.
    n_reviews
        Reviews, `Settings.review_days` apart, the last one a review before `as_of`. Items with a longer review of their
        own are ordered at every second, third ... one.
    settings
        As in `make_plan`: `unmet`, `n_paths`, `holding_cost_rate` and all that concerns demand and lead times.
    ways
        Ways of ordering, the first one is ours; by default `PlanOrders`, `SeasonalAverage` and `ZSigma`.
    start
        Stock at the first review: "recorded", or "rule" (demand of a lead time and a review, nothing on order), which
        also stands in where no stock is recorded.
    folder
        Where the state after each review is kept; a run that was broken off goes on from there.
    progress
        Called with the day and the share done.

    Returns
    -------
    OrderBacktest

    Raises
    ------
    NotEnoughHistory
        If less than a quarter of history lies before the first review.
    """
    settings = settings or Settings()
    check_inputs(tables, settings, models=[])
    if start not in ("recorded", "rule"):
        raise InvalidSettings(f"start is recorded or rule, got {start!r}")
    if isinstance(n_reviews, bool) or not isinstance(n_reviews, Integral):
        raise InvalidSettings(f"n_reviews is a whole number of reviews, such as 26; got {n_reviews!r}")
    n_reviews = int(n_reviews)
    chosen = _usual(tables) if ways is None else list(ways)
    if not chosen:
        raise InvalidSettings("there is no way of ordering to replay; leave ways out for the usual ones")
    replay = _Replay(tables, settings, n_reviews, chosen, start)
    about = ([described(way) for way in chosen], n_reviews, start)
    saved = None if folder is None else Path(folder) / f"{state_name('orders', tables, settings, *about)}.npz"
    done = replay.resume(saved)
    for number in range(done, n_reviews):
        replay.review(number)
        if saved is not None:
            replay.save(saved, number + 1)
        if progress is not None:
            progress(f"{replay.days[number]:%Y-%m-%d}", (number + 1) / n_reviews)
    return replay.result()


def described(thing: object) -> str:
    """What an object given by the user is, so that what was kept for one is not taken for another.

    Raises
    ------
    InvalidSettings
        If its attributes cannot be told from those of another, such as functions and models.
    """
    if isinstance(thing, str) or thing is None:
        return repr(thing)
    words = f"{type(thing).__module__}.{type(thing).__qualname__} {sorted(getattr(thing, '__dict__', {}).items())!r}"
    words = repr(thing) if not getattr(thing, "__dict__", None) else words
    # An address, or an array too long to be printed, tells nothing.
    if " at 0x" in words or "..." in words:
        raise InvalidSettings(
            f"with folder= what is kept has to be told from that of another {type(thing).__name__}, and this one has no"
            " plain attributes to tell it by; leave folder out, or give the class a __repr__ that names its parameters"
        )
    return words


def state_name(kind: str, tables: Tables, settings: Settings, *about: object) -> str:
    """File name that belongs to these tables, settings and whatever else decides the state."""
    digest = hashlib.sha256(repr((version("backorder_forecast"), settings, *about, tables.as_of)).encode())
    for name in TABLES:
        frame = getattr(tables, name)
        digest.update(repr((name, list(frame.columns), len(frame))).encode())
        digest.update(pd.util.hash_pandas_object(frame.astype("str"), index=False).to_numpy().tobytes())
    return f"{kind}_{digest.hexdigest()[:16]}"


def _usual(tables: Tables) -> list[OrderWay]:
    known = any("unit_cost" in f and f["unit_cost"].notna().any() for f in (tables.products, tables.supplier_items))
    ours = PlanOrders() if known else PlanOrders(cost_factors=())
    return [ours, SeasonalAverage(), ZSigma()]


class _Replay:
    """The state of a replay between reviews."""

    def __init__(
        self, tables: Tables, settings: Settings, n_reviews: int, ways: Sequence[OrderWay], start: str
    ) -> None:
        self.tables, self.settings, self.ways, self.n_reviews, self.start = tables, settings, ways, n_reviews, start
        self.truth = read_history(tables, settings).panel
        period = DAYS_PER_PERIOD[self.truth.freq]
        self.step = max(round(settings.review_days / period), 1)
        self.first = self.truth.n_periods - n_reviews * self.step
        quarter = round(RENEW_DAYS / period)
        if n_reviews < N_FOLDS or self.first < quarter:
            raise NotEnoughHistory(
                f"{n_reviews} reviews of {self.step} periods leave {max(self.first, 0)} of {self.truth.n_periods}"
                f" periods before them; a replay takes {N_FOLDS} reviews or more, and {quarter} periods before the"
                " first: ask for fewer reviews"
            )
        ends = period_end(self.truth.periods, self.truth.freq)
        self.days = [ends[self.first + k * self.step - 1] for k in range(n_reviews)]
        self.renew = max(round(RENEW_DAYS / (self.step * period)), 1)
        self.rows = [row for way in ways for row in way.rows]
        self.recipe: Recipe | None = None
        self._begin()

    def _begin(self) -> None:
        """Items, costs and stock at the first review."""
        day, settings = self.days[0], self.settings
        known = self.tables.as_known(day)
        history = read_history(known, settings, freq=self.truth.freq)
        self.keys = history.panel.items[["sku", "location"]].astype("str").reset_index(drop=True)
        self.at = item_codes(self.keys, self.truth.items)
        self.demand = self.truth.demand[self.at][:, self.first :]
        self.reality = self._laws(self.tables)
        self.facts = self._facts(known, history)
        lead = self._laws(known)
        self.lead = lead
        rows = lead.law_rows(self.facts[["sku", "location", "supplier", "category"]])
        usual = (middle_days(lead, rows) + self.facts["review_days"].to_numpy()) / DAYS_PER_PERIOD[self.truth.freq]
        recent = history.panel.demand[:, -max(round(RENEW_DAYS / DAYS_PER_PERIOD[self.truth.freq]), 1) :].mean(axis=1)
        recorded = self.facts["stock_known"].to_numpy(dtype=bool) & (self.start == "recorded")
        stock = np.where(
            recorded, np.nan_to_num(self.facts["usable"].to_numpy(dtype=np.float64)), np.ceil(recent * usual)
        )
        waiting = np.where(recorded, self.facts["backordered"].to_numpy(dtype=np.float64), 0.0)
        self.ruled = int((~recorded).sum())
        whole = self.truth.periods[self.first :]
        end = period_end(whole[-1:], self.truth.freq)[0] + pd.Timedelta(days=1)
        starts = np.array([known_day(day) for day in [*whole, end]], dtype=np.int64)
        about = self.facts[["sku", "location", "supplier", "category"]].astype("str")
        self.shelves = Shelves.begin(about, starts, stock, waiting, len(self.rows))
        if self.start == "recorded":
            orders = open_order_lines(with_category(known.purchase_orders, known.products), self.keys, as_of=day)
            place_open_lines(self.shelves, orders, self.reality, day, settings.seed)
        review_days = np.array([known_day(day) for day in self.days], dtype=np.int64)
        self.lead_days = lead_days_of_all(self.reality, about, review_days, seed=settings.seed)
        self.joins = join_share(settings, self.facts["product_type"])
        # Stock of the beginning serves until the first orders arrive.
        run_in = min(int(np.ceil(np.median(usual))), self.demand.shape[1] // 3)
        scored = np.arange(self.demand.shape[1] - run_in) * N_FOLDS // (self.demand.shape[1] - run_in)
        self.fold = np.concatenate([np.full(run_in, -1), scored])
        shape = (len(self.rows), len(self.keys), N_FOLDS)
        self.tallies = Tallies(np.zeros(shape[1:]), *(np.zeros(shape) for _ in range(4)))
        self.log: list[tuple[object, ...]] = []

    def review(self, number: int) -> None:
        """Decide at one review, then walk to the next."""
        day, review = self.days[number], self._known(number)
        every = np.maximum(np.rint(review.facts["review_days"].to_numpy(np.float64) / self._review_length()), 1)
        due = number % every.astype(np.int64) == 0
        at, today = 0, known_day(day)
        arrival = today + self.lead_days[:, number]
        ordered = np.zeros((len(self.rows), len(self.keys)))
        for way in self.ways:
            rows = list(range(at, at + len(way.rows)))
            quantity = np.asarray(way.orders(review, self.shelves.positions(today, rows)), dtype=np.float64)
            if quantity.shape != (len(rows), len(self.keys)) or not (np.isfinite(quantity) & (quantity >= 0)).all():
                raise InvalidSettings(
                    f"{type(way).__name__} ordered an array of shape {quantity.shape}; it is units of 0 or more, one"
                    f" row per target and one column per item: ({len(rows)}, {len(self.keys)})"
                )
            quantity = np.stack([capped_orders(units, review.facts) for units in quantity])
            ordered[rows] = np.where(due, quantity, 0.0)
            for k, row in enumerate(rows):
                some = np.flatnonzero(due & (quantity[k] > 0))
                self.shelves.place(row, some, today, quantity[k, some], arrival[some])
            at += len(rows)
        short = np.zeros(len(self.rows))
        for t in range(number * self.step, min((number + 1) * self.step, self.demand.shape[1])):
            wanted = self.demand[:, t]
            filled, held = self.shelves.step(t, wanted, self.joins)
            short += (wanted - filled).sum(axis=1)
            fold = self.fold[t]
            if fold >= 0:
                days = self.shelves.starts[t + 1] - self.shelves.starts[t]
                self.tallies.demand[:, fold] += wanted
                self.tallies.filled[:, :, fold] += filled
                self.tallies.waited[:, :, fold] += self.shelves.waiting * days
                self.tallies.stock[:, :, fold] += held * days
        fold = self.fold[min(number * self.step, len(self.fold) - 1)]
        if fold >= 0:
            self.tallies.ordered[:, :, fold] += ordered > 0
        unit = np.nan_to_num(self._unit_cost())
        worth = ordered @ unit, self.shelves.on_hand @ unit
        for row, (way_name, target) in enumerate(self.rows):
            told = (float(ordered[row].sum()), float(worth[0][row]), float(worth[1][row]), float(short[row]))
            self.log.append((day, way_name, target, *told))

    def _known(self, number: int) -> Review:
        day, settings = self.days[number], self.settings
        known = self.tables.as_known(day)
        history = read_history(known, settings, freq=self.truth.freq)
        codes = item_codes(self.keys, history.panel.items)
        whole = history.panel
        panel = DemandPanel(
            whole.items.iloc[codes].reset_index(drop=True), whole.periods, whole.freq, whole.as_of,
            whole.demand[codes], whole.exposure[codes],
        )  # fmt: skip
        self.facts = self._facts(known, history).iloc[codes].reset_index(drop=True)
        if number % self.renew == 0 or self.recipe is None:
            self.recipe = None
            self.lead = self._laws(known)
        rows = self.lead.law_rows(self.facts[["sku", "location", "supplier", "category"]])
        protected = protected_days(self.lead, rows, self.facts)
        if self.recipe is None:
            self.window = choice_window(panel, protected)
        model, self.recipe = refit_demand(panel, settings, window=self.window, events=known.events, recipe=self.recipe)
        lead = replace(self.lead, as_of=day)
        return Review(day, self.facts, panel, model, lead, rows, middle_days(lead, rows), protected, settings)

    def _laws(self, tables: Tables) -> LeadTimes:
        placed = with_category(tables.purchase_orders, tables.products)
        return fit_lead_times(placed, as_of=tables.as_of, settings=self.settings, stated=stated_lead_times(tables))

    def _facts(self, known: Tables, history: History) -> pd.DataFrame:
        items, stock = history.items, history.stock
        orders = open_order_lines(known.purchase_orders, items, as_of=known.as_of)
        lines = open_lines(known.backorders, items, as_of=known.as_of)
        return item_facts(known, items, stock, orders, lines, self.settings)

    def _review_length(self) -> float:
        return float(self.step * DAYS_PER_PERIOD[self.truth.freq])

    def _unit_cost(self) -> Floats:
        cost = self.facts["unit_cost"].to_numpy(dtype=np.float64)
        return cost if np.isfinite(cost).any() else np.ones(len(cost))

    def save(self, path: Path, done: int) -> None:
        """Write the state after `done` reviews; the file is whole or not there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        sums = {name: getattr(self.tallies, name) for name in ("demand", "filled", "waited", "stock", "ordered")}
        told = np.array([row[3:] for row in self.log], dtype=np.float64)
        temporary = path.with_suffix(".part.npz")
        arrays = {"done": np.array(done), "log": told} | {f"sum_{k}": v for k, v in sums.items()} | self.shelves.state()
        np.savez(temporary, allow_pickle=False, **arrays)
        temporary.replace(path)

    def resume(self, path: Path | None) -> int:
        """Put back what was saved; how many reviews that were."""
        if path is None or not path.exists():
            return 0
        with np.load(path) as saved:
            arrays = {name: saved[name] for name in saved.files}
        done = int(arrays["done"])
        self.shelves.restore(arrays)
        for name in ("demand", "filled", "waited", "stock", "ordered"):
            getattr(self.tallies, name)[...] = arrays[f"sum_{name}"]
        keys = [(day, *row) for day in self.days[:done] for row in self.rows]
        self.log = [(*key, *map(float, told)) for key, told in zip(keys, arrays["log"], strict=True)]
        if done and done < self.n_reviews and done % self.renew:
            # Choices and laws of the quarter that was broken off.
            self._known(done - done % self.renew)
        elif done:
            # Costs are those of the last review.
            self._known(done - 1)
        return done

    def result(self) -> OrderBacktest:
        """What the walk came to."""
        facts, notes = self.facts, []
        cost = facts["unit_cost"].to_numpy(dtype=np.float64)
        margin = facts["price"].to_numpy(dtype=np.float64) - cost
        rate = facts["holding_cost_rate"].fillna(self.settings.holding_cost_rate).to_numpy(dtype=np.float64)
        known = np.isfinite(cost) & (margin > 0)
        scored = known if known.any() else np.ones(len(facts), dtype=bool)
        if not known.any():
            notes.append("no item has a unit_cost below its price: stock counts units, and targets go by fill rate")
        elif not known.all():
            notes.append(
                f"{int((~known).sum())} items without a unit_cost below their price are left out of all figures"
            )
        if self.ruled:
            notes.append(f"{self.ruled} items begin with the demand of a lead time and a review, and nothing on order")
        items = self.keys.assign(
            unit_cost=np.where(known, cost, np.nan) if known.any() else 1.0,
            shortage_cost=np.where(known, margin, np.nan), holding_cost=np.where(known, cost * rate / 365.0, np.nan),
            scored=scored,
        )  # fmt: skip
        whole, folds = self.truth.periods[self.first :], self.fold
        periods = pd.DataFrame({"start": whole, "fold": folds, "days": np.diff(self.shelves.starts)})
        columns = ["day", "way", "target", "order_units", "order_value", "stock_value", "units_short"]
        rows = pd.DataFrame(self.rows, columns=["way", "target"])
        rows["ours"] = np.arange(len(rows)) < len(self.ways[0].rows)
        return OrderBacktest(
            items, rows, pd.DataFrame(self.log, columns=columns),
            self.tallies, periods[folds >= 0].reset_index(drop=True), self.settings, tuple(notes),
        )  # fmt: skip
