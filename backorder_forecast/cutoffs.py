"""The longest wait to accept per item, and whether to take a backorder today.

The cutoff of `waits.py` is pulled to the usual band of the product type as much as `band_weight_n` observed
cancellations would: n cancellations of that type give the shop's own cutoff the weight n / (n + band_weight_n), its
clip to the band the rest. Counting the type, not the item, lets the weight rise with every cancellation seen. Today's
decision compares the worth of refusing with the expected worth of accepting over the item's present wait distribution.
Money is per line, days count from the order, quantities are units.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backorder_forecast.backorders import supply_by_day
from backorder_forecast.clock import NEVER
from backorder_forecast.payments import Payments, payment_effect
from backorder_forecast.promises import quantile_days
from backorder_forecast.wait_curves import sensitivity_frame
from backorder_forecast.waits import StayLaw, WaitTerms, expected_value, wait_cutoff

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backorder_forecast.lines import BackorderLines
    from backorder_forecast.patience import Patience
    from backorder_forecast.settings import Settings

INTERVAL = (0.1, 0.9)
"""Quantiles of the hazard behind the 80 % interval of a cutoff."""
ACCEPT, CONFIRMED = "accept", "accept only against a confirmed order"
ALTERNATIVE, REFUSE = "offer alternative", "do not backorder"
LONG_WAIT_DAYS = 60.0
"""Expected wait from which a dear line is paid in instalments rather than by a deposit. Judgement."""
WORTHWHILE = 0.01
"""Least gain by asking for money in advance, as a share of the line's price. Judgement."""
SUBSTITUTE_DAYS = 14.0
"""Days that the free stock of a substitute lasts at least for it to be offered. Judgement."""


@dataclass(frozen=True, eq=False)
class Cutoffs:
    """Cutoff of every item before today's wait is looked at.

    Attributes
    ----------
    frame
        One row per item: sku, location, wait_cutoff_days, wait_cutoff_days_low, wait_cutoff_days_high, own_cutoff_days
        (before the band), sensitive_to, cutoff_if_less, cutoff_if_more (`sensitivity_frame`, before the band too),
        band_low, band_high, band_share (weight of the band where it moves the cutoff, else 0),
        basis, price, line_units, daily_capacity, substitute_sku (in stock and lasting, else empty), substitute_short
        (the substitute where its stock does not last, else empty), substitute_left (its free units, NaN without a
        substitute), substitute_row (its item where it is offered, else -1), balk, product_type, type_assumed.
    terms, law
        What a line is worth and how long its customers wait, in item order.
    cheap_line
        Median value of a line over the items, money: below it full prepayment is recommended.
    payments
        What payment in advance does to cancellations.
    without
        The same if no item had a substitute; None where none has.
    """

    frame: pd.DataFrame
    terms: WaitTerms
    law: StayLaw
    cheap_line: float
    payments: Payments
    without: Cutoffs | None = None

    def of_items(self, rows: NDArray[np.int64]) -> Cutoffs:
        """The cutoffs of the items with these row numbers, in their order."""
        frame = self.frame.iloc[rows].reset_index(drop=True)
        return Cutoffs(frame, self.terms.of_items(rows), self.law.of_items(rows), self.cheap_line, self.payments)


def fit_cutoffs(facts: pd.DataFrame, lines: BackorderLines, patience: Patience, *, settings: Settings) -> Cutoffs:
    """Cutoff of each item with its 80 % interval.

    Parameters
    ----------
    facts
        One row per item: sku, location, price, unit_cost, usable (units that can ship now), backordered; optionally
        daily_capacity, substitute_sku, mean_daily (demand). A substitute must have stock beyond its own queue that
        lasts `SUBSTITUTE_DAYS`. A missing price falls back on the lines' unit prices; without any price the
        cutoff rests on the shares of `settings` alone and money columns stay empty.
    """
    n = len(facts)
    price, units = _price(facts, lines), _line_units(lines, n)
    margin = _margin(price, facts["unit_cost"].to_numpy(np.float64), settings)
    offered, left, lasts = _substitute(facts, units)
    substitute = np.where(lasts, facts["sku"].astype("str").to_numpy(str)[offered], "")
    substitute_margin = np.where(lasts, margin[offered], 0.0)
    known = np.isfinite(price)
    scale = np.where(known, price, 1.0) * units
    share_taken = np.where(substitute != "", settings.substitute_acceptance, 0.0)
    contribution = np.where(known, settings.customer_contribution, 0.0)
    terms = WaitTerms(
        margin=margin * units,
        refund_cost=settings.refund_cost_share * scale,
        daily_cost=settings.daily_wait_cost_share * scale,
        goodwill=contribution * settings.goodwill_share,
        goodwill_late=contribution * settings.goodwill_share_late,
        # A customer who is refused and takes no substitute is taken to be as disappointed as one who waits a little.
        refuse_value=-contribution * settings.goodwill_share,
        late_days=settings.goodwill_late_days,
        daily_cost_basis=settings.daily_cost_basis,
    )
    gained = share_taken * (substitute_margin * units + contribution * settings.goodwill_share)
    law, fitted = StayLaw.of(patience), patience.frame
    frame = pd.DataFrame(
        {
            "sku": facts["sku"].to_numpy(),
            "location": facts["location"].to_numpy(),
            "price": price,
            "line_units": units,
            "daily_capacity": _column(facts, "daily_capacity"),
            "substitute_sku": substitute,
            "substitute_short": np.where(
                (offered >= 0) & ~lasts, facts["sku"].astype("str").to_numpy(str)[offered], ""
            ),
            "substitute_left": left,
            "substitute_row": np.where(lasts, offered, -1),
            "balk": fitted["balk"].to_numpy(),
            "product_type": fitted["product_type"].to_numpy(),
            "type_assumed": fitted["type_assumed"].to_numpy(),
        }
    )
    cheap = float(np.median((price * units)[known])) if known.any() else 0.0
    group = pd.Series(fitted["product_type"].to_numpy(str), index=facts.index) + " " + _text(facts, "category")
    payments = payment_effect(lines, n, settings, group=pd.factorize(group)[0].astype(np.int64))
    frame["usual_factor"] = payments.usual
    plain = frame.assign(substitute_sku="", substitute_row=-1)
    without = Cutoffs(_solved(plain, terms, law, fitted, settings), terms, law, cheap, payments)
    if not lasts.any():
        return without
    terms, own = replace(terms, refuse_value=terms.refuse_value + gained), np.flatnonzero(lasts)
    offering = _solved(frame[lasts], terms.of_items(own), law.of_items(own), fitted.iloc[own], settings)
    both = pd.concat([without.frame[~lasts], offering]).sort_index()
    return Cutoffs(both, terms, law, cheap, payments, without)


def _solved(
    frame: pd.DataFrame, terms: WaitTerms, law: StayLaw, fitted: pd.DataFrame, settings: Settings
) -> pd.DataFrame:
    """The frame with the cutoff that these terms give, before and after the band."""
    laws = (law, law.at_quantile(INTERVAL[1]), law.at_quantile(INTERVAL[0]))
    own, low, high = (wait_cutoff(terms, x, max_days=settings.max_cutoff_days) for x in laws)
    low, high = np.minimum(low, own), np.maximum(high, own)
    band = np.array([settings.cutoff_bands[t] for t in fitted["product_type"]], dtype=np.float64).reshape(-1, 2)
    weight = fitted["n_type"].to_numpy(np.float64)
    weight = weight / (weight + settings.band_weight_n)
    clipped = [np.clip(x, band[:, 0], band[:, 1]) for x in (own, low, high)]
    # Where the band overrules the own value, all of the band is possible: one end of it is no certainty.
    outside = clipped[0] != own
    clipped[1:] = (np.where(outside, band[:, k], x) for k, x in enumerate(clipped[1:]))
    blended = [weight * x + (1 - weight) * y for x, y in zip((own, low, high), clipped, strict=True)]
    # An item that earns nothing at any wait stays at 0 whatever its band.
    blended = [np.where(own > 0, x, 0.0) for x in blended]
    moved = np.abs(blended[0] - own) >= 0.5
    solved = frame.assign(
        wait_cutoff_days=blended[0], wait_cutoff_days_low=blended[1], wait_cutoff_days_high=blended[2],
        own_cutoff_days=own, band_low=band[:, 0], band_high=band[:, 1], band_share=np.where(moved, 1 - weight, 0.0),
        basis=np.where(moved & (weight < 0.5), "band", fitted["basis"].to_numpy(str)),
    )  # fmt: skip
    moves = sensitivity_frame(terms, law, own, max_days=settings.max_cutoff_days)
    return pd.concat([solved, moves.set_axis(frame.index)], axis=1)


def judge_waits(
    cutoffs: Cutoffs,
    start: int,
    stop: int,
    wait_days: NDArray[np.int32],
    *,
    usable: NDArray[np.float64],
    queue_quantity: NDArray[np.float64],
    arrival_days: NDArray[np.int32],
    order_quantity: NDArray[np.float64],
    order_start: NDArray[np.int64],
    expected_units: NDArray[np.float64],
    settings: Settings,
) -> pd.DataFrame:
    """The recommendation for items start to stop, one row each, before it is put into words (`worded`).

    Parameters
    ----------
    wait_days
        Simulated wait of a new line behind the queue (`new_line_days`), shape (stop - start, n_paths).
    usable, queue_quantity
        Units that can ship now and units waiting, shape (stop - start,).
    arrival_days, order_quantity, order_start
        Open purchase orders of these items, as given to `fill_days`.
    expected_units
        Units expected to be wanted while the item is out, within the horizon, shape (stop - start,).

    Returns
    -------
    The columns of `worded` but revenue_kept and reason, and those that these rest on.
    """
    frame = cutoffs.frame.iloc[start:stop].reset_index(drop=True)
    terms, law = cutoffs.terms.rows(start, stop), cutoffs.law.rows(start, stop)
    cutoff, price = frame["wait_cutoff_days"].to_numpy(), frame["price"].to_numpy()
    cap = float(settings.max_lead_time_days)
    value, kept = expected_value(wait_days, terms, law, cap_days=cap)
    confirmed = supply_by_day(arrival_days, order_quantity, order_start, cutoff)
    within = np.quantile(confirmed, INTERVAL[0], axis=1, method="inverted_cdf")
    produced = frame["daily_capacity"].to_numpy() * cutoff
    room = np.floor(np.maximum(usable + within + produced - queue_quantity, 0.0) + 1e-9)
    median = quantile_days(np.sort(wait_days, axis=1), 0.5).astype(np.float64)
    pays = value >= terms.refuse_value
    decision = np.select(
        [pays & (median <= cutoff), (room >= 1.0) & (cutoff > 0), frame["substitute_sku"].to_numpy(str) != ""],
        [ACCEPT, CONFIRMED, ALTERNATIVE],
        default=REFUSE,
    )
    frame["expected_wait_days"] = np.minimum(wait_days, cap).mean(axis=1)
    frame["median_wait"], frame["pays"], frame["in_stock"] = median, pays, usable > queue_quantity
    frame["queue"], frame["expected_units"], frame["kept"] = queue_quantity, expected_units, kept
    frame["substitute_units"] = frame["substitute_left"].where(frame["substitute_sku"] != "", 0.0).fillna(0.0)
    frame["lent_units"], frame["lent_to"], frame["substitute_why"] = 0.0, "", ""
    frame["p_never"] = (wait_days == NEVER).mean(axis=1)
    frame["max_open_quantity"] = room
    frame["p_wait_within_cutoff"] = (wait_days <= cutoff[:, None]).mean(axis=1)
    money = np.where(np.isfinite(price), 1.0, np.nan)
    frame["value_accept"], frame["value_refuse"] = value * money, terms.refuse_value * money
    frame["decision"] = pd.Series(decision, dtype="str")
    frame["payment_terms"] = pd.Series(_payment_terms(frame, wait_days, terms, law, cutoffs, settings), dtype="str")
    return frame


def worded(judged: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """The frame `wait_cutoffs` of what `judge_waits` found.

    Returns
    -------
    sku, location, wait_cutoff_days, wait_cutoff_days_low, wait_cutoff_days_high, expected_wait_days (a wait that never
    ends counts as the longest lead time), p_never, basis, max_open_quantity (units of new lines that stock and open
    orders surely cover within the cutoff; 0 does not forbid a line that a later order fills), p_wait_within_cutoff,
    value_accept, value_refuse (money per line), revenue_kept (over the horizon, against refusing all), decision,
    reason, payment_terms, substitute_sku, substitute_units (what may be offered of it), own_cutoff_days, band_share,
    sensitive_to, cutoff_if_less, cutoff_if_more.
    """
    expected, room = judged["expected_units"], judged["max_open_quantity"]
    accepted, confirmed = (judged["decision"] == d for d in (ACCEPT, CONFIRMED))
    taken = np.select([accepted, confirmed], [expected, np.minimum(expected, room)], 0.0)
    frame = judged.assign(
        revenue_kept=judged["price"] * taken * (1 - judged["balk"]) * judged["kept"],
        reason=pd.Series(_reasons(judged, settings), dtype="str", index=judged.index),
    )
    columns = [
        "sku", "location", "wait_cutoff_days", "wait_cutoff_days_low", "wait_cutoff_days_high", "expected_wait_days",
        "basis", "max_open_quantity", "p_wait_within_cutoff", "value_accept", "value_refuse", "revenue_kept",
        "decision", "reason", "payment_terms", "substitute_sku", "substitute_units", "p_never", "own_cutoff_days",
        "band_share", "sensitive_to", "cutoff_if_less", "cutoff_if_more",
    ]  # fmt: skip
    return frame[columns]


def _payment_terms(
    frame: pd.DataFrame,
    wait_days: NDArray[np.int32],
    terms: WaitTerms,
    law: StayLaw,
    cutoffs: Cutoffs,
    settings: Settings,
) -> NDArray[np.str_]:
    """Full prepayment for cheap lines, a deposit for dear ones, instalments for dear ones with a long wait.

    None where the money in advance does not gain at least `WORTHWHILE` of the price by keeping customers; empty where
    no backorder is taken or the price is unknown.
    """
    line = frame["price"].to_numpy() * frame["line_units"].to_numpy()
    long_wait = frame["expected_wait_days"].to_numpy() > LONG_WAIT_DAYS
    name = np.where(line <= cutoffs.cheap_line, "full", np.where(long_wait, "instalments", "deposit"))
    hazard, usual = cutoffs.payments.hazard, frame["usual_factor"].to_numpy()
    factor = np.select([name == t for t in hazard], list(hazard.values()), 1.0)
    # The law is that of lines as they are paid now.
    (better, _), (without, _) = (
        expected_value(wait_days, terms, law.times(by / usual), cap_days=float(settings.max_lead_time_days))
        for by in (factor, hazard["none"])
    )
    name = np.where(better - without >= WORTHWHILE * line, name, "none")
    taken = frame["decision"].isin([ACCEPT, CONFIRMED]).to_numpy(bool) & np.isfinite(line)
    return np.where(taken, name, "")


def _reasons(frame: pd.DataFrame, settings: Settings) -> list[str]:
    sentences = []
    columns = ["own_cutoff_days", "decision", "substitute_sku", "max_open_quantity", "type_assumed", "wait_cutoff_days"]
    columns += ["band_share", "band_low", "band_high", "product_type", "substitute_short", "substitute_left"]
    columns += ["substitute_why"]
    columns += ["substitute_units", "lent_units", "lent_to", "median_wait", "pays", "in_stock"]
    for row in frame[columns].to_dict("records"):
        wait, worth, stocked = row["median_wait"], row["pays"], row["in_stock"]
        line = "once the shelf is empty a new line" if stocked else "a new line"
        if wait == 0:
            text = "can ship from stock now"
        elif wait >= NEVER:
            text = "in stock, but no further supply in sight" if stocked else "no supply in sight"
        else:
            text = f"{line} waits {wait:.0f} days (median), acceptable are {row['wait_cutoff_days']:.0f}"
        if row["own_cutoff_days"] <= 0:
            text += "; the substitute earns more" if row["substitute_sku"] else "; no wait pays at this margin"
        elif row["own_cutoff_days"] >= settings.max_cutoff_days:
            text += f"; it would pay at any wait up to {settings.max_cutoff_days} days"
        elif not worth and row["decision"] != CONFIRMED:
            text += "; taking it is worth less than refusing"
        if row["decision"] == CONFIRMED:
            text += f"; accept up to {row['max_open_quantity']:.0f} units that stock and open orders cover in that time"
            text += "" if worth else ", more is worth less than refusing"
        elif row["decision"] == ACCEPT and row["max_open_quantity"] == 0 and wait > 0:
            text += "; accept, but nothing on order covers it for sure yet: the quantity surely covered is 0"
        elif row["decision"] == ALTERNATIVE:
            text += f"; {row['substitute_sku']} is in stock, {row['substitute_left']:.0f} free units"
            some = row["substitute_units"] < row["substitute_left"]
            text += f", {row['substitute_units']:.0f} of them for this item" if some else ""
        elif row["decision"] == REFUSE and row["substitute_short"]:
            left, why = row["substitute_left"], row["substitute_why"] or "is out too"
            text += f"; {row['substitute_short']} " + (f"has only {left:.0f} free units" if left > 0 else why)
        if row["lent_units"] > 0:
            text += f"; {row['lent_units']:.0f} free units are offered in place of {row['lent_to']}"
        if row["band_share"] > 0:
            band = f"{row['product_type']} {row['band_low']:.0f}-{row['band_high']:.0f} days"
            text += f"; the band {band} weighs {row['band_share']:.0%} (own value {row['own_cutoff_days']:.0f})"
        if row["type_assumed"]:
            text += "; product type unknown, standard assumed"
        sentences.append(text)
    return sentences


def _price(facts: pd.DataFrame, lines: BackorderLines) -> NDArray[np.float64]:
    """Price per unit, else the mean unit price of the item's lines, else NaN."""
    price = facts["price"].to_numpy(np.float64)
    paid = pd.concat([x[["item", "unit_price"]].astype(np.float64) for x in (lines.frame, lines.closed)])
    mean = paid[paid["unit_price"] > 0].groupby("item")["unit_price"].mean().reindex(range(len(facts)))
    return np.where(price > 0, price, mean.to_numpy(np.float64))


def _line_units(lines: BackorderLines, n: int) -> NDArray[np.float64]:
    """Mean ordered quantity of the item's backorder lines, 1 without any."""
    item = np.concatenate([x["item"].to_numpy(np.int64) for x in (lines.frame, lines.closed)])
    units = np.concatenate([x["ordered_quantity"].to_numpy(np.float64) for x in (lines.frame, lines.closed)])
    count = np.bincount(item, minlength=n)
    return np.where(count > 0, np.bincount(item, units, n) / np.maximum(count, 1), 1.0)


def _margin(price: NDArray[np.float64], cost: NDArray[np.float64], settings: Settings) -> NDArray[np.float64]:
    base = np.where(np.isfinite(price), price, 1.0)
    known = np.isfinite(price) & np.isfinite(cost)
    return np.where(known, base - np.where(known, cost, 0.0), settings.default_margin_share * base)


def _substitute(
    facts: pd.DataFrame, units: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """Row of the substitute at the same location (-1 without one), its free units, and whether they last."""
    wanted = facts.get("substitute_sku", pd.Series("", index=facts.index)).astype("str").fillna("").to_numpy(str)
    location = facts["location"].astype("str").to_numpy(str)
    known = pd.MultiIndex.from_arrays([facts["sku"].astype("str").to_numpy(str), location])
    row = np.asarray(known.get_indexer(pd.MultiIndex.from_arrays([wanted, location])), dtype=np.int64)
    row = np.where((wanted != "") & (row != np.arange(len(facts))), row, -1)
    free = np.nan_to_num(facts["usable"].to_numpy(np.float64) - facts["backordered"].to_numpy(np.float64))
    days = free / np.maximum(_column(facts, "mean_daily"), 1e-12)
    left = np.where(row >= 0, np.maximum(free[row], 0.0), np.nan)
    lasts = (row >= 0) & (left > 0) & (left >= units) & (days[row] >= SUBSTITUTE_DAYS)
    return row, left, lasts


def _text(facts: pd.DataFrame, name: str) -> pd.Series:
    return facts[name].astype("str").fillna("") if name in facts else pd.Series("", index=facts.index)


def _column(facts: pd.DataFrame, name: str) -> NDArray[np.float64]:
    return np.nan_to_num(facts[name].to_numpy(np.float64)) if name in facts else np.zeros(len(facts))
