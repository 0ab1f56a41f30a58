"""Bucket results put together into the frames of a plan, in the order a reader wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backorder_forecast.backlog import backlog_frame, growing_note
from backorder_forecast.backorders import fill_quality
from backorder_forecast.cash import cash_flow_frame
from backorder_forecast.clock import DAYS_PER_PERIOD
from backorder_forecast.cutoffs import INTERVAL
from backorder_forecast.disruptions import PRIOR as DISRUPTION_PRIOR
from backorder_forecast.frames import FRAMES, empty_frame
from backorder_forecast.learned_flags import blend_flags, explain_learned, unit_money
from backorder_forecast.notices import notices_frame
from backorder_forecast.order_inputs import terms_remarks
from backorder_forecast.order_limits import BELOW, CUT, within_limits
from backorder_forecast.paths import path_quantiles
from backorder_forecast.plots import ItemPicture
from backorder_forecast.projection import NEVER, project_stock, stock_quantiles
from backorder_forecast.reorders import excess_frame
from backorder_forecast.settings import Settings
from backorder_forecast.simulation import BucketResult, draw_bucket
from backorder_forecast.substitutes import share_substitutes
from backorder_forecast.wait_curves import value_curve

if TYPE_CHECKING:
    from backorder_forecast.fitting import Fitted

FLAG_ORDER = {"critical": 0, "warning": 1, "watch": 2, "ok": 3}
PICTURE_LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)


def assemble(fitted: Fitted, results: Sequence[BucketResult]) -> dict[str, pd.DataFrame]:
    """All frames of a plan."""
    world = fitted.world
    raw = {
        name: _joined(results, name)
        for name in (
            "forecasts",
            "stockouts",
            "reorders",
            "main_causes",
            "causes",
            "fill_dates",
            "wait_cutoffs",
            "no_substitute",
        )
    }
    frames: dict[str, pd.DataFrame] = {"forecasts": raw["forecasts"]}
    about = world.model.about
    frames["items"] = pd.concat([about, _item_columns(fitted)], axis=1)
    stops = world.shocks.evidence.suppliers
    frames["lead_times"], frames["suppliers"] = (
        _with_disruption(frame, stops) for frame in (world.lead.table(), world.lead.suppliers())
    )
    behind = {"stopped_days": "disruption_days", "expected": "receipts_due", "received": "receipts_come"}
    counts = stops[["supplier", *behind]].rename(columns=behind)
    frames["suppliers"] = frames["suppliers"].merge(counts, on="supplier", how="left")
    known = world.facts["stock_known"].to_numpy(dtype=bool)
    if known.any():
        facts = world.facts[known]
        # Nothing runs out that nobody wants any more, however such items fared before.
        learned = facts["p_stockout_learned"].where(facts["mean_daily"] > 0).to_numpy(np.float64)
        money = unit_money(facts, world.settings)
        risk = blend_flags(raw["stockouts"][known], learned, money, world.settings)
        frames["stockouts"] = explain_learned(_stockouts(risk, raw["main_causes"], about))
        if len(raw["causes"]):
            frames["causes"] = _by_urgency(raw["causes"], frames["stockouts"])
        orders = _limited(raw["reorders"], results, fitted)
        frames["reorders"] = _reorders(orders[known], risk, fitted)
        frames["excess"] = _excess(fitted)
        at_risk = np.zeros(len(known), dtype=bool)
        at_risk[known] = risk["flag"].isin(["critical", "warning"])
        frames["wait_cutoffs"] = share_substitutes(
            raw["wait_cutoffs"], raw["no_substitute"], at_risk=at_risk, settings=world.settings
        )
    if len(raw["fill_dates"]):
        frames["fill_dates"] = raw["fill_dates"]
        cutoffs = frames.get("wait_cutoffs", empty_frame("wait_cutoffs"))
        frames["notices"] = notices_frame(raw["fill_dates"], cutoffs, as_of=world.clock.as_of, settings=world.settings)
        flows = [result.cash for result in results if result.cash is not None]
        frames["cash_flow"] = cash_flow_frame(reduce(add, flows), as_of=world.clock.as_of)
    if len(world.lines.frame) or len(world.lines.closed):
        daily = world.facts["mean_daily"].to_numpy(dtype=np.float64)
        frames["backlog"] = backlog_frame(
            world.lines, world.facts, demand=fitted.history.records.frame, daily_forecast=daily
        )
    frames["data_quality"] = _quality(fitted, frames)
    return {name: _core_first(name, frame) for name, frame in frames.items()}


def _with_disruption(frame: pd.DataFrame, suppliers: pd.DataFrame) -> pd.DataFrame:
    """The frame with the probability that each supplier stands still; the prior without evidence."""
    known = suppliers.set_index("supplier")["probability"].to_dict()
    chance = frame["supplier"].map(known).astype("float64").fillna(DISRUPTION_PRIOR)
    return frame.assign(disruption_probability=chance.where(frame["supplier"] != ""))


def item_picture(fitted: Fitted, sku: str, location: str, *, substitute: bool = True) -> ItemPicture:
    """What the figure of one item shows; its paths are drawn again, identically.

    `substitute` says whether one is offered instead of a wait, where the item has one in stock.
    """
    world = fitted.world
    match = (world.facts["sku"].astype("str") == sku) & (world.facts["location"].astype("str") == location)
    i = int(np.flatnonzero(match.to_numpy())[0])
    facts, clock, horizon = world.facts.iloc[i], world.clock, world.horizon_periods
    draws = draw_bucket(world, i, i + 1)
    demand, receipts = draws.demand[:, :, :horizon], draws.receipts[:, :, :horizon]
    forecast = pd.DataFrame(path_quantiles(demand, PICTURE_LEVELS)[0], columns=list(PICTURE_LEVELS))
    forecast.insert(0, "date", clock.starts[:horizon])
    forecast.insert(1, "mean", demand[0].mean(axis=0))
    panel = fitted.history.panel
    in_stock = fitted.history.in_stock[i]
    shares = np.where(in_stock >= 0, in_stock, 0.5)
    history = pd.DataFrame({"date": panel.periods, "demand": panel.demand[i], "in_stock": shares})
    orders = world.orders.frame.iloc[int(world.orders.item_start[i]) : int(world.orders.item_start[i + 1])]
    arrival = np.sort(draws.arrival_days.astype(np.float64), axis=1)
    arrival[arrival >= NEVER] = np.nan
    ranks = {q: int(np.ceil(q * arrival.shape[1])) - 1 for q in (0.1, 0.5, 0.9)}
    open_orders = orders[["po_id", "supplier", "quantity", "promised_date"]].reset_index(drop=True)
    for level, rank in ranks.items():
        open_orders[f"arrival_{level}"] = clock.dates(arrival[:, rank])
    stock = pd.DataFrame({"date": pd.DatetimeIndex([]), 0.1: [], 0.5: [], 0.9: [], "p_stockout": []})
    if bool(facts["stock_known"]):
        joins = world.joins[i : i + 1]
        start = np.array([float(facts["start"])])
        stay = world.stay(i, i + 1)
        law = None if stay is None else stay[0]
        levels = stock_quantiles(start[0], demand[0], receipts[0], float(joins[0]), [0.1, 0.5, 0.9], stay=law)
        passage = project_stock(start, demand, receipts, unmet="partial", wait_share=joins, stay=stay)
        stock = pd.DataFrame(levels, columns=[0.1, 0.5, 0.9])
        stock.insert(0, "date", clock.starts[:horizon])
        reached = (passage.first_unmet[0][:, None] <= np.arange(horizon)).mean(axis=0)
        stock["p_stockout"] = np.where(start[0] < 0, 1.0, reached)
    cutoffs = world.cutoffs if substitute or world.cutoffs.without is None else world.cutoffs.without
    terms, law = cutoffs.terms.rows(i, i + 1), cutoffs.law.rows(i, i + 1)
    low, high = (law.at_quantile(q) for q in reversed(INTERVAL))
    days = int(min(2 * cutoffs.frame["wait_cutoff_days"].iloc[i] + 30, world.settings.max_cutoff_days))
    waits = value_curve(terms, law, days=days, low=low, high=high)
    return ItemPicture(
        sku=sku, location=location, title="", as_of=clock.as_of, forecast=forecast, history=history, stock=stock,
        waits=waits, open_orders=open_orders, on_hand=float(facts["on_hand"]), backordered=float(facts["backordered"]),
    )  # fmt: skip


def has_substitute(frames: Mapping[str, pd.DataFrame], sku: str, location: str) -> bool:
    """Whether the plan offers a substitute of the item."""
    said = frames.get("wait_cutoffs", empty_frame("wait_cutoffs"))
    own = said[(said["sku"].astype("str") == sku) & (said["location"].astype("str") == location)]
    return bool((own["substitute_sku"] != "").any())


def with_answers(picture: ItemPicture, frames: dict[str, pd.DataFrame], *, horizon_days: int) -> ItemPicture:
    """The picture with the dates that the frames of the plan name, over their horizon."""
    from dataclasses import replace

    def of_item(name: str) -> pd.DataFrame:
        frame = frames.get(name, empty_frame(name))
        return frame[
            (frame["sku"].astype("str") == picture.sku) & (frame["location"].astype("str") == picture.location)
        ]

    lines = of_item("fill_dates")[["order_id", "quantity", "order_date", "promise_date", "fill_date_0.5"]]
    risk = of_item("stockouts")
    if not len(risk):
        return replace(picture, backorders=lines.reset_index(drop=True))
    row = risk.iloc[0]
    share = f"{row['p_stockout']:.0%} chance to run out within {horizon_days} days, nothing more ordered"
    title = f"{picture.sku}: already out of stock" if row["already_out"] else f"{picture.sku}: {share}"
    return replace(
        picture, title=f"{title} ({row['flag']})", backorders=lines.reset_index(drop=True),
        order_by_date=row["order_by_date"], stockout_date=row["stockout_date_0.5"],
    )  # fmt: skip


def _joined(results: Sequence[BucketResult], name: str) -> pd.DataFrame:
    parts = [r.frames[name] for r in results if name in r.frames and len(r.frames[name])]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _core_first(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    core = [c for c in FRAMES[name] if c in frame.columns]
    return frame[[*core, *(c for c in frame.columns if c not in core)]].reset_index(drop=True)


def _item_columns(fitted: Fitted) -> pd.DataFrame:
    columns = [
        "supplier", "category", "product_type", "unit_cost", "price", "moq", "pack_size", "review_days", "on_hand",
        "reserved", "on_hold", "usable", "backordered", "on_order", "mean_daily", "active", "stock_known",
    ]  # fmt: skip
    return fitted.world.facts[columns].reset_index(drop=True)


def _stockouts(stockouts: pd.DataFrame, causes: pd.DataFrame, about: pd.DataFrame) -> pd.DataFrame:
    keys = ["sku", "location"]
    frame = stockouts.merge(about[[*keys, "confidence", "confidence_reason"]], on=keys, how="left")
    if len(causes):
        frame = frame.merge(causes.drop(columns=["risk"]), on=keys, how="left")
    else:
        frame = frame.assign(cause="", cause_share=np.nan, cause_text="")
    for column in ("cause", "cause_text"):
        frame[column] = frame[column].astype("str").fillna("")
    rank = frame["flag"].map(FLAG_ORDER)
    chance = frame["p_stockout_blend"]
    # Items without a price come after those with one, by units.
    by = frame.assign(
        _rank=rank, _money=-frame["expected_miss_cost"], _units=-frame["short_if_out"] * chance, _p=-chance
    )
    order = by.sort_values(["_rank", "_money", "_units", "_p", *keys], kind="stable").index
    return frame.loc[order].reset_index(drop=True)


def _by_urgency(frame: pd.DataFrame, stockouts: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order in which their items stand in `stockouts`."""
    keys = ["sku", "location"]
    place = stockouts[keys].assign(_place=np.arange(len(stockouts)))
    found = frame[keys].merge(place, on=keys, how="left")["_place"].to_numpy()
    return frame.iloc[np.argsort(found, kind="stable")].reset_index(drop=True)


def _limited(reorders: pd.DataFrame, results: Sequence[BucketResult], fitted: Fitted) -> pd.DataFrame:
    """Orders under the limits that they share, with a remark on each that they moved and on odd terms."""
    facts, settings = fitted.world.facts, fitted.world.settings
    quantity, told = reorders["order_quantity"].to_numpy(dtype=np.float64), np.full(len(reorders), "")
    unit_cost = facts["unit_cost"].to_numpy(dtype=np.float64)
    curves = [result.order_curves for result in results if result.order_curves is not None]
    if curves:
        # A bucket without a supplier's minimum has none where nothing else limits the orders.
        budget, capacity = settings.order_budget or None, settings.order_capacity or None
        rows = [np.full(len(r.frames["reorders"]), r.order_curves is not None) for r in results]
        some = np.concatenate(rows)
        candidates, saving = (np.concatenate(part) for part in zip(*curves, strict=True))
        stocked = facts["stock_known"].to_numpy(dtype=bool)[some]
        found, words = within_limits(
            np.where(stocked, quantity[some], 0.0), candidates, np.where(stocked[:, None], saving, -candidates),
            unit_cost=unit_cost[some], supplier=facts.loc[some, "supplier"].astype("str").tolist(),
            supplier_minimum=facts["supplier_minimum"].to_numpy(dtype=np.float64)[some],
            budget=budget, capacity=capacity,
        )  # fmt: skip
        quantity, told = quantity.copy(), told.astype(words.dtype)
        quantity[some], told[some] = found, words
    yearly = facts["mean_daily"].to_numpy(dtype=np.float64) * 365.0
    stated = facts.assign(shortage_cost=np.nan, holding_cost=np.nan)
    odd = terms_remarks(stated, yearly, reorders.assign(order_quantity=quantity), settings)
    fast = np.where(
        reorders["express_saving"] > 0,
        "by express " + reorders["express_quantity"].map("{:g}".format) + " units, usable from "
        + reorders["express_date"].dt.strftime("%Y-%m-%d") + ", would save "
        + reorders["express_saving"].map("{:,.2f}".format),
        "",
    )  # fmt: skip
    remark = ["; ".join(filter(None, words)) for words in zip(told, odd, fast, strict=True)]
    return reorders.assign(order_quantity=quantity, cost=quantity * unit_cost, remark=remark)


def limit_notes(frames: Mapping[str, pd.DataFrame], settings: Settings) -> tuple[str, ...]:
    """What a budget or a capacity over all orders left out, in a sentence."""
    orders = frames.get("reorders")
    if orders is None or not (settings.order_budget > 0 or settings.order_capacity > 0):
        return ()
    limits = []
    if settings.order_budget > 0:
        limits.append(f"{orders['cost'].sum():,.0f} of a budget of {settings.order_budget:,.0f}")
    if settings.order_capacity > 0:
        limits.append(f"{orders['order_quantity'].sum():,.0f} of {settings.order_capacity:,.0f} units")
    cut = orders["remark"].str.startswith(CUT)
    left = orders.loc[cut & (orders["order_quantity"] <= 0), ["sku", "location"]]
    if not cut.any():
        return (f"orders take {' and '.join(limits)}: nothing had to be cut",)
    keys = ["sku", "location"]
    dearest = frames["stockouts"].merge(left, on=keys).sort_values("expected_miss_cost", ascending=False)["sku"]
    named = f"; left out are {', '.join(dearest.astype('str').head(3))} and others" if len(dearest) > 3 else ""
    if 0 < len(dearest) <= 3:
        named = f"; left out: {', '.join(dearest.astype('str'))}"
    return (f"orders take {' and '.join(limits)}: {len(left)} items get nothing, {int(cut.sum()) - len(left)} less"
            f" than they need{named}",)  # fmt: skip


def _reorders(reorders: pd.DataFrame, stockouts: pd.DataFrame, fitted: Fitted) -> pd.DataFrame:
    keys, settings = ["sku", "location"], fitted.world.settings
    risk = stockouts[[*keys, "order_by_date", "flag", "avoidable", "p_unmet_before_arrival", "on_order"]]
    about = fitted.world.facts[[*keys, "active", "daily_capacity", "start"]]
    frame = reorders.merge(risk, on=keys).merge(about, on=keys)
    as_of, level = fitted.world.clock.as_of, settings.service_level
    cut = frame["remark"].str.startswith(CUT) | frame["remark"].str.startswith(BELOW)
    nothing = frame["order_quantity"] <= 0
    # What is needed and not bought stays as urgent as it was.
    none = nothing & ~cut
    capped = frame["daily_capacity"].notna() & (frame["order_quantity"] < np.floor(frame["need_units"]))
    gap = none & (frame["flag"] != "ok") & (frame["p_unmet_before_arrival"] >= settings.watch_probability)
    late = ~frame["avoidable"]
    enough_in_time = frame["start"] + frame["on_order"] >= frame["order_up_to_level"]
    today = frame["order_by_date"] == as_of
    frame["urgency"] = np.select([none, late, today], ["none", "overdue", "today"], "this review")
    frame["reason"] = np.select(
        [
            none & ~frame["active"].astype(bool),
            frame["remark"].str.startswith(BELOW),
            cut & nothing,
            cut,
            capped,
            gap & (frame["on_order"] > 0),
            gap,
            none,
            late & enough_in_time,
            late,
            enough_in_time,
            frame["order_quantity"] > np.ceil(frame["need_units"]),
        ],
        [
            "no longer sold: nothing more is ordered",
            BELOW,
            "needed, but not bought: the shared limit went to orders that save more",
            "less than is needed: the shared limit went to orders that save more",
            "all that its capacity makes until the next review (in full packs, from the minimum quantity on): less than"
            " is needed",
            "an order placed now comes too late for the gap; what is on order covers afterwards",
            "an order placed now comes too late for the gap; nothing more is needed afterwards",
            "stock and open orders last until the next order arrives",
            f"what is on order may come too late, or not at all, for {level:.0%} service, and so may an order placed"
            " now; it limits the gap",
            f"an order placed now may come too late to keep {level:.0%} service; it limits the gap",
            f"what is on order would be enough, but may come too late, or not at all, for {level:.0%} service",
            "need raised to the minimum quantity or full packs",
        ],
        "need until the order of the next review arrives",
    )
    frame["_order"] = frame["urgency"].map({"overdue": 0, "today": 1, "this review": 2, "none": 3})
    frame = frame.sort_values(["_order", "order_by_date", "sku", "location"], kind="stable", na_position="first")
    return frame.drop(columns=["_order", "avoidable", "p_unmet_before_arrival", "on_order", *about.columns[2:]])


def _excess(fitted: Fitted) -> pd.DataFrame:
    world = fitted.world
    facts, model, clock = world.facts, world.model, world.clock
    days = world.protected + world.settings.horizon_days
    factors = model.factors(clock, slice(None))
    inside = np.cumsum(factors, axis=1)
    last = np.minimum(np.searchsorted(clock.end_days, days, side="left"), clock.n_periods - 1)
    weight = inside[np.arange(len(facts)), last]
    # Beyond the simulated periods the season is taken as average, while the item is still on sale.
    beyond = np.maximum(days - clock.end_days[-1], 0) / DAYS_PER_PERIOD[clock.freq]
    weight = weight + np.where(factors[:, -1] > 0, beyond, 0.0)
    position = (facts["usable"] + facts["on_order"] - facts["backordered"]).where(facts["stock_known"], 0.0)
    return excess_frame(
        facts.assign(position=position),
        model.level,
        model.level_variance,
        model.within_variance,
        weight,
        world.settings,
    )


def _quality(fitted: Fitted, frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    quality = [fitted.quality]
    if "fill_dates" in frames:
        lines = fill_quality(frames["fill_dates"], fitted.world.settings)
        if len(lines):
            quality.append(lines)
    notes = list(fitted.notes)
    notes += [note for note in (growing_note(frames["backlog"]),) if note] if "backlog" in frames else []
    if "cash_flow" in frames and not len(frames["cash_flow"]):
        notes.append("cash_flow is empty: no open backorder line has a price or a prepayment")
    said = pd.DataFrame({"table": "plan", "rule": "not computed or assumed", "effect": notes})
    for column in ("rows_read", "rows_used", "rows_merged", "rows_set_aside"):
        said[column] = 0
    said["examples"] = ""
    quality.append(said[list(FRAMES["data_quality"])])
    return pd.concat(quality, ignore_index=True)
