"""The walk of a replay: every target of every way has its own stock, and all meet the same demand and deliveries.

A period begins with what was received on its first day or before; then who waits is served, then demand. What cannot be
served waits, or is lost, as `Settings.unmet` says. Deliveries of an order take a lead time drawn once per item and
review from the laws of the whole history (`lead_days_of_all`): every way gets the same, and none knows it beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast import streams
from backorder_forecast.clock import NEVER
from backorder_forecast.lead_laws import IntArray
from backorder_forecast.leadtimes import LeadTimes
from backorder_forecast.order_lines import known_day
from backorder_forecast.order_ways import Positions
from backorder_forecast.receipts import OpenLines, draw_arrival_days

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tallies:
    """Sums over the periods of a fold, arrays (n_rows, n_items, n_folds); `demand` is (n_items, n_folds).

    `filled` units served at once, `waited` unit-periods of waiting at period ends, `stock` unit-days on hand at period
    ends, `ordered` orders placed.
    """

    demand: Floats
    filled: Floats
    waited: Floats
    stock: Floats
    ordered: Floats


@dataclass(eq=False)
class Shelves:
    """Stock, waiting units and orders on the way of every row (a target of a way).

    Attributes
    ----------
    items
        sku, location, supplier, category, one row per item.
    starts
        First day of each period, counted from 1970, and of the one after the last.
    on_hand, waiting
        Units, shape (n_rows, n_items).
    at_start, at_end
        Units that arrive with the first day of a period, or later in it, shape (n_rows, n_items, n_periods).
    placed
        Orders on the way by row: item, day placed, units, day of arrival (`NEVER`), and the initial ones' dates.
    """

    items: pd.DataFrame
    starts: IntArray
    on_hand: Floats
    waiting: Floats
    at_start: Floats
    at_end: Floats
    placed: list[dict[str, NDArray[np.float64]]] = field(default_factory=list)

    @classmethod
    def begin(cls, items: pd.DataFrame, starts: IntArray, on_hand: Floats, waiting: Floats, n_rows: int) -> Shelves:
        """All rows begin with the same stock and nothing on the way."""
        shape = (n_rows, len(items), len(starts) - 1)
        empty = {name: np.zeros(0) for name in ("item", "day", "units", "arrival", "promised", "confirmed")}
        return cls(
            items, starts, np.tile(on_hand, (n_rows, 1)), np.tile(waiting, (n_rows, 1)), np.zeros(shape),
            np.zeros(shape), [dict(empty) for _ in range(n_rows)],
        )  # fmt: skip

    def place(
        self, row: int, item: IntArray, day: NDArray[np.float64] | int, units: Floats, arrival: IntArray,
        promised: Floats | None = None, confirmed: Floats | None = None,
    ) -> None:  # fmt: skip
        """Put orders on the way; days are counted from 1970."""
        none = np.full(len(item), np.nan)
        new = {
            "item": item, "day": np.broadcast_to(day, len(item)), "units": units, "arrival": arrival,
            "promised": none if promised is None else promised, "confirmed": none if confirmed is None else confirmed,
        }  # fmt: skip
        held = self.placed[row]
        self.placed[row] = {name: np.concatenate([held[name], np.asarray(new[name], float)]) for name in held}
        period = np.searchsorted(self.starts, arrival, side="right") - 1
        inside = (arrival < NEVER) & (period < len(self.starts) - 1) & (period >= 0)
        first = inside & (self.starts[np.clip(period, 0, None)] == arrival)
        for into, which in ((self.at_start, first), (self.at_end, inside & ~first)):
            np.add.at(into[row], (item[which], period[which]), units[which])

    def step(self, t: int, demand: Floats, joins: Floats) -> tuple[Floats, Floats]:
        """Walk through period `t`; units filled at once and units on hand at its end, (n_rows, n_items)."""
        self.on_hand += self.at_start[:, :, t]
        served = np.minimum(self.waiting, self.on_hand)
        self.waiting -= served
        self.on_hand -= served
        filled = np.minimum(self.on_hand, demand)
        self.on_hand -= filled
        self.waiting += joins * (demand - filled)
        self.on_hand += self.at_end[:, :, t]
        return filled, self.on_hand

    def positions(self, day: int, rows: list[int]) -> Positions:
        """What the rows have and expect at the end of `day`."""
        lines = []
        on_order = np.zeros((len(rows), len(self.items)))
        for k, row in enumerate(rows):
            held = self.placed[row]
            open_ = held["arrival"] > day
            self.placed[row] = held = {name: values[open_] for name, values in held.items()}
            lines.append(self._lines(held, day))
            np.add.at(on_order[k], held["item"].astype(np.int64), held["units"])
        return Positions(self.on_hand[rows], self.waiting[rows], on_order, lines)

    def _lines(self, held: dict[str, NDArray[np.float64]], day: int) -> OpenLines:
        order = np.lexsort((held["units"], held["day"], held["item"]))
        item = held["item"][order].astype(np.int64)
        frame = self.items.iloc[item].reset_index(drop=True)
        frame.insert(0, "item", item)
        frame["po_id"] = ""
        frame["order_date"] = _dates(held["day"][order])
        for name in ("promised", "confirmed"):
            frame[f"{name}_date"] = _dates(held[name][order])
        frame["quantity"] = held["units"][order]
        frame["age_days"] = day - held["day"][order].astype(np.int64)
        start = np.searchsorted(item, np.arange(len(self.items) + 1)).astype(np.int64)
        return OpenLines(frame, start, pd.DataFrame(), pd.DataFrame())

    def state(self) -> dict[str, NDArray[np.float64]]:
        """Everything that changes, as plain arrays, to be saved."""
        arrays = {name: getattr(self, name) for name in ("on_hand", "waiting", "at_start", "at_end")}
        for row, held in enumerate(self.placed):
            arrays |= {f"{name}_{row}": values for name, values in held.items()}
        return arrays

    def restore(self, arrays: dict[str, NDArray[np.float64]]) -> None:
        """Put a saved state back."""
        for name in ("on_hand", "waiting", "at_start", "at_end"):
            getattr(self, name)[...] = arrays[name]
        self.placed = [{name: arrays[f"{name}_{row}"] for name in held} for row, held in enumerate(self.placed)]


def place_open_lines(shelves: Shelves, lines: OpenLines, reality: LeadTimes, as_of: pd.Timestamp, seed: int) -> None:
    """What was on order at the first review: every row gets it on the same day, drawn once."""
    if not len(lines.frame):
        return
    keys = streams.item_keys(shelves.items["sku"], shelves.items["location"], seed, streams.REPLAY)
    day = known_day(as_of)
    # Drawn from the laws of the whole history, given the age that the line had then.
    days = draw_arrival_days(lines, replace(reality, as_of=as_of), keys, 0, len(shelves.items), 1)[:, 0].astype(
        np.int64
    )
    frame = lines.frame
    arrival = np.where(days < NEVER, days + day, NEVER)
    placed = day - frame["age_days"].to_numpy(dtype=np.float64)
    named = [_days(frame[c]) for c in ("promised_date", "confirmed_date")]
    item, units = frame["item"].to_numpy(dtype=np.int64), frame["quantity"].to_numpy(dtype=np.float64)
    comes = arrival < NEVER
    for row in range(len(shelves.placed)):
        shelves.place(row, item[comes], placed[comes], units[comes], arrival[comes], *(d[comes] for d in named))


def lead_days_of_all(reality: LeadTimes, items: pd.DataFrame, review_days: IntArray, *, seed: int) -> NDArray[np.int64]:
    """Lead time of an order of each item at each review, days, shape (n_items, n_reviews).

    Of laws under which some orders never come only the others are drawn: a shop orders again.
    """
    rows = reality.law_rows(items)
    keys = streams.item_keys(items["sku"], items["location"], seed, streams.REPLAY)
    days = np.empty((len(items), len(review_days)))
    for i, row in enumerate(rows):
        cdf = reality.cdf[row]
        share = streams.uniforms(keys[i], len(review_days))
        days[i] = np.searchsorted(cdf, share * cdf[-1], side="right")
    if reality.calendars.counts:
        for k, day in enumerate(review_days):
            placed = np.full(len(items), day)
            days[:, [k]] = reality.calendars.calendar_days(items["supplier"], placed, days[:, [k]])
    return np.asarray(np.clip(days, 1, reality.cdf.shape[1] - 1), dtype=np.int64)


def _dates(days: NDArray[np.float64]) -> pd.Series:
    known = ~np.isnan(days)
    out = np.where(known, days, 0.0).astype("datetime64[D]").astype("datetime64[s]")
    out[~known] = np.datetime64("NaT")
    return pd.Series(out)


def _days(dates: pd.Series) -> NDArray[np.float64]:
    days = pd.to_datetime(dates).to_numpy().astype("datetime64[D]")
    return np.where(np.isnat(days), np.nan, days.astype(np.float64))
