"""From tables to a fitted world: panel, demand model, lead times, open orders and lines, facts, patience, cutoffs.

What a missing table would have fed is switched off and said in a sentence; nothing is guessed in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.clock import DAYS_PER_PERIOD, Clock, check_freq, infer_freq, period_start
from backorder_forecast.cutoffs import fit_cutoffs
from backorder_forecast.demand import DemandModel, earlier_level, fit_demand
from backorder_forecast.disruptions import fit_shocks
from backorder_forecast.facts import StockHistory, item_facts, stock_history
from backorder_forecast.given_demand import GivenDemand, fit_given, given_earlier_level
from backorder_forecast.hidden import visible_exposure, waiting_shares
from backorder_forecast.leadtimes import LeadTimes, fit_lead_times
from backorder_forecast.learned_flags import learn_flags
from backorder_forecast.level_laws import LevelLaw, sum_moments
from backorder_forecast.lines import BackorderLines, open_lines
from backorder_forecast.netting import DemandRecords, net_demand
from backorder_forecast.next_orders import next_orders
from backorder_forecast.panel import DemandPanel, build_panel, daily_matrix, exposure_periods, item_codes
from backorder_forecast.patience import fit_patience
from backorder_forecast.phantom import empty_chance, empty_share, quiet_runs
from backorder_forecast.plan_notes import plan_notes
from backorder_forecast.projection import join_share
from backorder_forecast.promise_record import no_record, replay_promises
from backorder_forecast.queues import purchase_weights, queue_needs
from backorder_forecast.receipts import OPEN_LINE, OpenLines, open_order_lines
from backorder_forecast.settings import Settings
from backorder_forecast.simulation import World, protected_days
from backorder_forecast.supply_events import Closures, days_to_last, supplier_closures

if TYPE_CHECKING:
    from backorder_forecast.baselines import Forecaster
    from backorder_forecast.tables import Tables


@dataclass(frozen=True, eq=False)
class History:
    """What the tables say of the past: items, demand records, stock, panel.

    The exposure of `panel` counts demand that backorders record while out of stock; `in_stock` has the same codes, but
    does not. `wait_share` is the share of unmet demand that waits, as far as the records of such days tell, (n_items,).
    """

    items: pd.DataFrame
    records: DemandRecords
    stock: StockHistory
    panel: DemandPanel
    in_stock: NDArray[np.float64]
    wait_share: NDArray[np.float64]


def read_history(tables: Tables, settings: Settings, *, freq: str | None = None) -> History:
    """Demand corrected for returns and backorders, with the days on which items were out of stock."""
    items = tables.items()
    records = net_demand(tables, settings)
    demand = records.frame
    recorded = infer_freq(tables.sales["date"])
    if freq is None:
        freq = settings.freq if settings.freq != "auto" else recorded
    check_freq(freq)
    first = demand["date"].min() if len(demand) else tables.as_of
    # Sales dated by period say nothing of the days inside it, so stock is walked by period too.
    step = freq if freq == recorded else "D"
    first_day = period_start(pd.DatetimeIndex([first]), freq)[0]
    stock = stock_history(tables, items, first_day, freq=step, sales_are=settings.sales_are)
    panel = build_panel(
        demand, _with_first_sale(items, demand, tables.as_of, freq), freq=freq, as_of=tables.as_of,
        exposure_days=stock.exposure, first_day=stock.first_day, exposure_freq=stock.freq,
    )  # fmt: skip
    in_stock = panel.exposure
    wait_share = join_share(settings, items["product_type"].astype("str").fillna(""))
    if stock.exposure is not None:
        visible, wait_share = _visible(tables, items, demand, stock, settings, wait_share)
        exposure = exposure_periods(visible, stock.first_day, panel.periods, freq, stock.freq)
        panel = replace(panel, exposure=exposure)
    return History(items, records, stock, panel, in_stock, wait_share)


def _visible(
    tables: Tables, items: pd.DataFrame, demand: pd.DataFrame, stock: StockHistory, settings: Settings,
    prior: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Daily exposure of recorded demand (stock-outs hide only what backorders do not show), and who waits."""
    exposure = stock.exposure
    if exposure is None or settings.sales_are == "orders":
        # Orders are recorded whether they can be shipped or not.
        return np.ones((len(items), 1 if exposure is None else exposure.shape[1])), prior
    days = pd.date_range(stock.first_day, periods=exposure.shape[1], freq=stock.freq)
    recorded = daily_matrix(demand, items, days, freq=stock.freq).astype(np.float64)
    # Nobody waits where the record shows stock: what was not there hid all demand.
    there = stock.past_runs.shares(recorded)
    if not tables.has("backorders"):
        return np.where(exposure > 0, exposure * there, exposure), prior
    share = waiting_shares(exposure, recorded, items["product_type"].astype("str").fillna(""), prior)
    visible = visible_exposure(exposure, share)
    return np.where(visible > 0, visible * there, visible), share


def _with_first_sale(items: pd.DataFrame, demand: pd.DataFrame, as_of: pd.Timestamp, freq: str) -> pd.DataFrame:
    """Items with the launch filled in where the first sale lies in the running period, which is not complete yet."""
    running = period_start(pd.DatetimeIndex([as_of + pd.Timedelta(days=1)]), freq)[0]
    code = item_codes(demand, items)
    known = demand[code >= 0].assign(code=code[code >= 0])
    first = known.groupby("code")["date"].min().reindex(range(len(items)))
    begins = first.where(first >= running)
    return items.assign(launched=pd.to_datetime(items["launched"]).fillna(begins.set_axis(items.index)))


@dataclass(frozen=True, eq=False)
class Known:
    """What a world was fitted from, for what-ifs: the tables, purchase orders with categories, closures in `events`,
    days that an order of each item lasts without closures, the forecaster given, and the note on learned flags."""

    tables: Tables
    orders: pd.DataFrame
    closures: Closures
    usual_days: NDArray[np.float64]
    demand_model: Forecaster | str | None
    flag_note: str


@dataclass(frozen=True, eq=False)
class Fitted:
    """A world ready to be simulated, the history it was learned from, and what is to be said of both."""

    world: World
    history: History
    known: Known
    notes: tuple[str, ...]
    quality: pd.DataFrame


def fit_world(
    tables: Tables, settings: Settings, *, demand_model: Forecaster | str | None = None, what_if: bool = False,
    lap: Callable[[str], None],
) -> Fitted:  # fmt: skip
    """Fit every stage; `lap` is called with the name of each as it ends.

    A `demand_model` (see `forecast_demand`) stands in for the library's own. For a `what_if` flags are not learned.
    """
    history = read_history(tables, settings)
    lap("panel")
    placed = with_category(tables.purchase_orders, tables.products)
    stated = stated_lead_times(tables)
    lead = fit_lead_times(placed, as_of=tables.as_of, settings=settings, stated=stated)
    lap("lead_times")
    closures = supplier_closures(tables.events, tables.as_of)
    orders = open_order_lines(placed, history.items, as_of=tables.as_of)
    lines = open_lines(tables.backorders, history.items, as_of=tables.as_of)
    facts = item_facts(tables, history.items, history.stock, orders, lines, settings)
    facts["wait_share"] = history.wait_share
    shocks = fit_shocks(placed, orders, lead, facts, closures, settings.seed)
    lap("facts")
    rows = lead.law_rows(facts[["sku", "location", "supplier", "category"]])
    usual = protected_days(lead, rows, facts)
    protected = days_to_last(usual, closures, facts)
    clock = plan_clock(tables.as_of, history.panel.freq, protected, settings)
    model: DemandModel
    if demand_model is None:
        window = choice_window(history.panel, usual)
        model = fit_demand(history.panel, settings, window=window, events=tables.events)
    else:
        model = fit_given(history.panel, demand_model, clock, settings)
    lap("demand_fit")
    add_means(facts, model, clock, settings)
    patience = fit_patience(lines.closed, lines.frame, facts, settings=settings)
    cutoffs = fit_cutoffs(facts, lines, patience, settings=settings)
    weights = purchase_weights(lines.frame, tables.sales) if settings.allocation == "fair_share" else None
    needs = queue_needs(lines.frame, rule=settings.allocation, weights=weights)
    ratio = _earlier_ratio(history.panel, model, usual, settings)
    _add_surge(facts, history.panel, model, ratio, usual)
    _add_quiet_runs(facts, history.stock, model, empty_share(tables.inventory).share)
    lap("patience")
    learned = learn_flags(tables, middle_days(lead, rows), settings, what_if=what_if, lines=lines)
    facts["p_stockout_learned"] = learned.probability
    lap("learned_flags")
    # Without lines that wait there is nothing to promise.
    calibration = no_record(len(facts))
    if len(lines.frame) and bool(facts["stock_known"].any()):
        calibration = replay_promises(tables, placed, stated, lines, facts, lead, settings)
    lap("promise_record")
    delays = np.zeros(len(orders.frame), dtype=np.int64), np.zeros(len(facts), dtype=np.int64)
    fixed = np.zeros(len(orders.frame), dtype=np.int64)
    rhythm = next_orders(tables.purchase_orders, facts, as_of=tables.as_of, seed=settings.seed)
    world = World(
        facts, model, lead, orders, lines, patience, cutoffs, needs, ratio, delays, fixed, shocks, rhythm, calibration,
        clock, settings,
    )  # fmt: skip
    known = Known(tables, placed, closures, usual, demand_model, learned.note)
    notes = plan_notes(world, history, known)
    return Fitted(world, history, known, notes, data_quality(history, orders, lines, lead))


def data_quality(history: History, orders: OpenLines, lines: BackorderLines, lead: LeadTimes) -> pd.DataFrame:
    """Account of every row read; rows that a stage set aside leave the rows used of their table."""
    # The account of netting continues the one of reading.
    parts = [history.records.quality, history.stock.quality, orders.quality, lead.quality, lines.quality]
    frame = pd.concat([p for p in parts if len(p)], ignore_index=True)
    set_aside = {"backorders": int(lines.quality["rows_set_aside"].sum()) if len(lines.quality) else 0}
    for table, count in set_aside.items():
        total = (frame["table"] == table) & (frame["rule"] == "all rows")
        frame.loc[total, "rows_used"] -= count
        frame.loc[total, "rows_set_aside"] += count
    extra = [
        _aside_rows(stage, reasons)
        for stage, reasons in (("lead times and open orders", orders.set_aside),)
        if len(reasons)
    ]
    complete: pd.DataFrame = pd.concat([frame, *extra], ignore_index=True)
    return complete


def _aside_rows(stage: str, reasons: pd.DataFrame) -> pd.DataFrame:
    """Purchase order rows that one stage could not use; they are used elsewhere, so the table's total stays."""
    counts = (
        reasons.groupby("reason", sort=True).agg(rows=("reason", "size"), examples=("found", "first")).reset_index()
    )
    return pd.DataFrame(
        {
            "table": "purchase_orders",
            "rule": counts["reason"],
            "rows_read": counts["rows"],
            "rows_used": counts["rows"],
            "rows_merged": 0,
            "rows_set_aside": 0,
            "examples": counts["examples"].astype("str"),
            # Such a line has waited, and that much is known of its lead time.
            "effect": np.where(
                counts["reason"].str.startswith(OPEN_LINE),
                "not on order; its age counts for lead times",
                f"not used for {stage}",
            ),
        }
    )


def stated_lead_times(tables: Tables) -> pd.DataFrame:
    """Lead times as stated by products and supplier_items."""
    frames = []
    for frame in (tables.products, tables.supplier_items):
        known = frame[frame["lead_time_days"].notna()]
        columns = [c for c in ("sku", "location", "supplier", "lead_time_days") if c in known]
        frames.append(known[columns])
    return pd.concat(frames, ignore_index=True)


def with_category(orders: pd.DataFrame, products: pd.DataFrame) -> pd.DataFrame:
    """Purchase orders with the category of their product where they name none."""
    if not len(orders) or "category" not in products or products["category"].isna().all():
        return orders
    of_sku = products.assign(sku=products["sku"].astype("str")).groupby("sku")["category"].first()
    found = orders["sku"].astype("str").map(of_sku).astype("str")
    return orders.assign(category=orders["category"].astype("str").fillna(found) if "category" in orders else found)


def plan_clock(as_of: pd.Timestamp, freq: str, protected: NDArray[np.float64], settings: Settings) -> Clock:
    """The periods ahead: the horizon, or what an order of any item must last where that is longer."""
    longest = float(protected.max()) if len(protected) else 0.0
    days = int(max(min(longest, settings.max_path_days), settings.horizon_days))
    # One more period than needed, so that a horizon never ends inside the last one.
    return Clock.ahead(as_of, freq, days + int(DAYS_PER_PERIOD[freq]))


def middle_days(lead: LeadTimes, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Median lead time of each item, days; the end of the grid where half of the orders never arrive."""
    reached = lead.cdf[rows] >= 0.5
    days = np.where(reached.any(axis=1), reached.argmax(axis=1), reached.shape[1])
    return np.asarray(days, dtype=np.float64)


def choice_window(panel: DemandPanel, protected: NDArray[np.float64]) -> int:
    """Periods that forecasts are chosen for: the middle lead time plus review, at most a fifth of history."""
    days = DAYS_PER_PERIOD[panel.freq]
    middle = float(np.median(protected)) if len(protected) else 28.0
    return int(np.clip(round(middle / days), 1, max(panel.n_periods // 5, 1)))


def add_means(facts: pd.DataFrame, model: DemandModel, clock: Clock, settings: Settings) -> None:
    """mean_daily and mean_weekly: demand in the horizon, added to the facts."""
    mean = model.mean(clock)
    inside = clock.end_days <= settings.horizon_days
    inside[0] = True
    days = float(clock.end_days[inside][-1])
    facts["mean_daily"] = mean[:, inside].sum(axis=1) / days
    facts["mean_weekly"] = facts["mean_daily"] * 7.0


def _earlier_ratio(
    panel: DemandPanel, model: DemandModel, protected: NDArray[np.float64], settings: Settings
) -> NDArray[np.float64]:
    """Level forecast one typical protection interval ago over the level now; 1 where either is unknown."""
    back = _periods_back(panel, protected)
    if back < 1 or panel.n_periods - back < settings.init_periods:
        return np.ones(panel.n_items)
    if isinstance(model, GivenDemand):
        earlier = given_earlier_level(panel, model, settings, periods_ago=back)
    else:
        earlier = earlier_level(panel, model, settings, periods_ago=back)
    known = (earlier > 0) & (model.level > 0)
    return np.where(known, earlier / np.where(known, model.level, 1.0), 1.0)


def _periods_back(panel: DemandPanel, protected: NDArray[np.float64]) -> int:
    """One typical protection interval in periods."""
    return round(float(np.median(protected)) / DAYS_PER_PERIOD[panel.freq]) if len(protected) else 0


def _add_surge(
    facts: pd.DataFrame,
    panel: DemandPanel,
    model: DemandModel,
    ratio: NDArray[np.float64],
    protected: NDArray[np.float64],
) -> None:
    """excess_units: what was wanted of late beyond the forecast made one protection interval ago.

    Of all stretches up to now within that interval the one with the largest excess, where it is more than two standard
    deviations of the forecast; less one of them, which is what safety stock is for. excess_days is its length.
    """
    back = min(_periods_back(panel, protected), panel.n_periods)
    facts["excess_units"], facts["excess_days"] = 0.0, 0
    if back < 1 or bool((ratio == 1.0).all()):
        return
    seen = slice(panel.n_periods - back, panel.n_periods)
    # Demand that nobody saw (out of stock, not yet launched) is no less than what was forecast.
    factors = model.past_factors(panel.periods[seen]) * np.clip(panel.exposure[:, seen], 0.0, 1.0)
    factors, wanted = factors[:, ::-1], panel.demand[:, seen][:, ::-1].cumsum(axis=1)
    counted = np.isnan(model.zero_share)
    law = LevelLaw(model.level, model.level_variance, model.within_variance)
    law = law.scaled(ratio, np.ones(len(ratio)), counted)
    law = LevelLaw(law.level[:, None], law.level_variance[:, None], law.within[:, None])
    sums = factors.cumsum(axis=1), (factors**2).cumsum(axis=1)
    expected, variance = sum_moments(law, counted[:, None], *sums)
    spread = np.sqrt(variance)
    excess = np.where(wanted - expected > 2.0 * spread, wanted - expected - spread, 0.0)
    best = excess.argmax(axis=1)
    facts["excess_units"] = excess[np.arange(len(excess)), best]
    facts["excess_days"] = np.rint((best + 1) * DAYS_PER_PERIOD[panel.freq]).astype(np.int64)


def _add_quiet_runs(facts: pd.DataFrame, stock: StockHistory, model: DemandModel, prior: float) -> None:
    """quiet_length, quiet_chance and empty_chance: how long nothing sold, how odd that is, and what it suggests."""
    n_steps = stock.sold.shape[1]
    steps = pd.date_range(stock.first_day, periods=n_steps if stock.exposure is None else stock.exposure.shape[1],
                          freq=stock.freq)[-n_steps:] if n_steps else pd.DatetimeIndex([])  # fmt: skip
    runs = quiet_runs(stock.sold, stock.shown, model.past_factors(steps)) if n_steps else None
    known = facts["active"].to_numpy(dtype=bool) & (facts["usable"] > 0).to_numpy()
    facts["quiet_length"] = runs.length if runs is not None else 0
    facts["quiet_chance"] = np.where(known, runs.chance, 1.0) if runs is not None else 1.0
    facts["empty_chance"] = empty_chance(facts["quiet_chance"].to_numpy(dtype=np.float64), prior)
