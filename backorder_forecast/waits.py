"""What a wait is worth: the value of taking a backorder line that will wait w days.

V(w) = S0(w) margin - (1 - S0(w)) refund_cost - daily_cost H(w) - goodwill(w), where S0(w) is the share of customers
still waiting after w days (`patience.py`) and H(w) the days the line is held, the integral of S0 from 0 to w. Refusing
the line is worth R. The cutoff is the largest w with V(w) >= R. Money is per line, days count from the order.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numba as nb
import numpy as np
from scipy.special import gammaincinv

from backorder_forecast import streams
from backorder_forecast.clock import NEVER
from backorder_forecast.errors import unknown_option
from backorder_forecast.patience import FORM_ERROR, Patience, held_days, stay_share

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from backorder_forecast.settings import Settings

DAILY_COST_BASES = ("while_held", "quoted_wait")
KNOWN = 1e9
"""Gamma shape at which a hazard counts as known."""


@dataclass(frozen=True, eq=False)
class WaitTerms:
    """What a backorder line of each item is worth; money per line, arrays of shape (n_items,).

    Attributes
    ----------
    margin
        Earned when the line is filled.
    refund_cost
        Lost when it is cancelled.
    daily_cost
        Cost per day, while the line is held or for the whole quoted wait (`daily_cost_basis`).
    goodwill, goodwill_late
        Lost with a wait above 0 and above `late_days` days.
    refuse_value
        Worth of not taking the line.
    """

    margin: NDArray[np.float64]
    refund_cost: NDArray[np.float64]
    daily_cost: NDArray[np.float64]
    goodwill: NDArray[np.float64]
    goodwill_late: NDArray[np.float64]
    refuse_value: NDArray[np.float64]
    late_days: float = 10.0
    daily_cost_basis: str = "while_held"

    def __post_init__(self) -> None:
        if self.daily_cost_basis not in DAILY_COST_BASES:
            raise unknown_option("daily_cost_basis", self.daily_cost_basis, DAILY_COST_BASES)

    def rows(self, start: int, stop: int) -> WaitTerms:
        """The terms of items start to stop."""
        return self.of_items(np.arange(start, stop))

    def of_items(self, rows: NDArray[np.int64]) -> WaitTerms:
        """The terms of the items with these row numbers, in their order."""
        own = {f.name: getattr(self, f.name)[rows] for f in fields(self)[:6]}
        return replace(self, **own)

    def table(self) -> NDArray[np.float64]:
        """The six amounts side by side, shape (n_items, 6)."""
        parts = (self.margin, self.refund_cost, self.daily_cost, self.goodwill, self.goodwill_late, self.refuse_value)
        return np.stack(parts, axis=1)


@dataclass(frozen=True, eq=False)
class StayLaw:
    """S0 of each item: Lomax (shape, rate), or a curve of cumulative hazards times `power`; arrays (n_items,).

    `curve` is the row of `hazards` (n_curves, n_days + 1) that holds, -1 for Lomax; `form_error` the relative error of
    the hazard that the form of the law leaves.
    """

    shape: NDArray[np.float64]
    rate: NDArray[np.float64]
    curve: NDArray[np.int64]
    power: NDArray[np.float64]
    hazards: NDArray[np.float64]
    form_error: NDArray[np.float64]

    @classmethod
    def lomax(cls, shape: ArrayLike, rate: ArrayLike) -> StayLaw:
        """The posterior-predictive law of a hazard Gamma(shape, rate)."""
        a, b = np.broadcast_arrays(np.atleast_1d(np.asarray(shape, float)), np.atleast_1d(np.asarray(rate, float)))
        n = len(a)
        return cls(a, b, np.full(n, -1, dtype=np.int64), np.ones(n), np.zeros((0, 2)), np.full(n, FORM_ERROR))

    @classmethod
    def exponential(cls, hazard: ArrayLike) -> StayLaw:
        """The law of a known hazard per day.

        Examples
        --------
        >>> law = StayLaw.exponential(1 / 30)
        >>> round(float(stay_share(15, law.shape, law.rate)[0]), 6)
        0.606531
        """
        rate = KNOWN / np.atleast_1d(np.asarray(hazard, dtype=np.float64))
        return cls.lomax(np.full(len(rate), KNOWN), rate)

    @classmethod
    def of(cls, patience: Patience) -> StayLaw:
        """The fitted law of every item."""
        hazards = -np.log(np.maximum(patience.curves, 1e-300))
        shape, rate = (patience.frame[c].to_numpy(np.float64) for c in ("shape", "rate"))
        return cls(shape, rate, patience.curve, patience.power, hazards, patience.form_error)

    def at_quantile(self, level: float) -> StayLaw:
        """The law if the hazard were known and at this quantile of its posterior.

        The form of the law is a guess too: `form_error` adds to the error of the pace.
        """
        shape = np.where(self.shape < KNOWN, 1.0 / (1.0 / self.shape + self.form_error**2), self.shape)
        hazard = gammaincinv(shape, level) * self.shape / (shape * self.rate)
        power = self.power * hazard * self.rate / self.shape
        return replace(self, shape=np.full(len(hazard), KNOWN), rate=KNOWN / hazard, power=power)

    def times(self, factor: ArrayLike) -> StayLaw:
        """The law with the hazard multiplied, scalar or shape (n_items,)."""
        by = np.asarray(factor, dtype=np.float64)
        return replace(self, rate=self.rate / by, power=self.power * by)

    def rows(self, start: int, stop: int) -> StayLaw:
        """The law of items start to stop."""
        return self.of_items(np.arange(start, stop))

    def of_items(self, rows: NDArray[np.int64]) -> StayLaw:
        """The law of the items with these row numbers, in their order."""
        own = {n: getattr(self, n)[rows] for n in ("shape", "rate", "curve", "power", "form_error")}
        return replace(self, **own)


def goodwill_cost(wait_days: ArrayLike, settings: Settings) -> NDArray[np.float64]:
    """Expected loss of a customer's yearly contribution by a backorder with this wait, money.

    Source: Bhan & Anderson (2023), Marketing Science 42:314-335: next year's orders fall by 2.1 % on average, by
    6.1 % where the wait exceeds 10 days.

    Examples
    --------
    >>> from backorder_forecast.settings import Settings
    >>> goodwill_cost([5, 20], Settings(customer_contribution=120)).round(2).tolist()
    [2.52, 7.32]
    """
    wait = np.asarray(wait_days, dtype=np.float64)
    share = np.where(wait > settings.goodwill_late_days, settings.goodwill_share_late, settings.goodwill_share)
    return np.where(wait > 0, share, 0.0) * settings.customer_contribution


def value_of_wait(wait_days: ArrayLike, terms: WaitTerms, *, shape: ArrayLike, rate: ArrayLike) -> NDArray[np.float64]:
    """Expected value V(w) of taking a line that will wait `wait_days`, money per line; broadcasts over (n_items,).

    `shape`, `rate` are the posterior of the hazard (`fit_patience`).

    Examples
    --------
    >>> terms = WaitTerms(*(np.array([x]) for x in (20.0, 6.0, 0.05, 0.0, 0.0, 0.0)))
    >>> value_of_wait(10.0, terms, shape=2.0, rate=60.0).round(3).tolist()
    [12.673]
    """
    wait = np.asarray(wait_days, dtype=np.float64)
    stays = stay_share(wait, shape, rate)
    days = held_days(wait, shape, rate) if terms.daily_cost_basis == "while_held" else wait
    goodwill = np.where(wait > terms.late_days, terms.goodwill_late, terms.goodwill) * (wait > 0)
    earned = stays * terms.margin - (1 - stays) * terms.refund_cost
    return np.asarray(earned - terms.daily_cost * days - goodwill, dtype=np.float64)


def wait_cutoff(terms: WaitTerms, law: StayLaw, *, max_days: int = 365) -> NDArray[np.float64]:
    """Largest wait in days with V(w) >= R, shape (n_items,); `max_days` where it pays at any wait up to there.

    0 means that no wait pays. Searched for the last whole day, then bisected.

    Source: the threshold form of admission in Benjaafar, Gayon & Tepe (2010).

    Examples
    --------
    >>> terms = WaitTerms(*(np.array([x]) for x in (20.0, 6.0, 0.05, 0.0, 0.0, 0.0)))
    >>> wait_cutoff(terms, StayLaw.exponential(1 / 30)).round(1).tolist()
    [39.0]
    """
    quoted = terms.daily_cost_basis == "quoted_wait"
    days: NDArray[np.float64] = _cutoffs(
        terms.table(), law.shape, law.rate, law.curve, law.power, law.hazards, terms.late_days, quoted, max_days
    )
    return days


def expected_value(
    wait_days: NDArray[np.int32], terms: WaitTerms, law: StayLaw, *, cap_days: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean over simulated waits of V(W), money per line, and of S0(W), each of shape (n_items,).

    `wait_days` has shape (n_items, n_paths). A wait beyond `cap_days`, also one that never ends, counts as that long.

    Examples
    --------
    >>> terms = WaitTerms(*(np.array([x]) for x in (20.0, 6.0, 0.05, 0.0, 0.0, 0.0)))
    >>> waits = np.array([[0, 30]], dtype=np.int32)
    >>> [x.round(4).tolist() for x in expected_value(waits, terms, StayLaw.exponential(1 / 30), cap_days=730)]
    [[11.3083], [0.6839]]
    """
    quoted = terms.daily_cost_basis == "quoted_wait"
    values: tuple[NDArray[np.float64], NDArray[np.float64]] = _expected(
        wait_days,
        terms.table(),
        law.shape,
        law.rate,
        law.curve,
        law.power,
        law.hazards,
        terms.late_days,
        quoted,
        cap_days,
    )
    return values


def draw_leave_days(
    law: StayLaw, item: NDArray[np.int64], waited_days: NDArray[np.float64], keys: NDArray[np.uint64], *, n_paths: int
) -> NDArray[np.int32]:
    """Day on which each waiting customer leaves, drawn given that they waited so long already, (n_lines, n_paths).

    Parameters
    ----------
    law
        Of each line, shape (n_lines,).
    item, keys
        Item of each line, in rising order, and the stream key of each item; lines of an item are told apart by their
        place in the queue.

    Returns
    -------
    Day numbers from 1 (the day after `as_of`), `NEVER` beyond any count of days.

    Examples
    --------
    >>> law = StayLaw.exponential(np.full(2, 1 / 30))
    >>> days = draw_leave_days(law, np.array([0, 0]), np.zeros(2), np.array([7], dtype=np.uint64), n_paths=4000)
    >>> (days > 30).mean(axis=1).round(1).tolist()
    [0.4, 0.4]
    """
    if not len(item):
        return np.zeros((0, n_paths), dtype=np.int32)
    starts = np.flatnonzero(np.append(True, item[1:] != item[:-1]))
    place = np.arange(len(item)) - np.repeat(starts, np.diff(np.append(starts, len(item))))
    days: NDArray[np.int32] = _leave_days(
        law.shape, law.rate, law.curve, law.power, law.hazards, waited_days, keys[item], place, n_paths
    )
    return days


@nb.njit(cache=True, nogil=True)
def _leave_days(
    shape: NDArray[np.float64],
    rate: NDArray[np.float64],
    curve: NDArray[np.int64],
    power: NDArray[np.float64],
    hazards: NDArray[np.float64],
    waited: NDArray[np.float64],
    key: NDArray[np.uint64],
    place: NDArray[np.int64],
    n_paths: int,
) -> NDArray[np.int32]:
    out = np.empty((len(waited), n_paths), np.int32)
    last = hazards.shape[1] - 1
    for k in range(len(waited)):
        own = streams.splitmix(key[k] + np.uint64(place[k] + 1) * np.uint64(0x9E3779B97F4A7C15))
        draws = streams.uniforms(own, n_paths)
        age = waited[k]
        passed, slope, row = 0.0, 0.0, curve[k]
        if row >= 0:
            day = min(int(age), last - 1)
            slope = hazards[row, last] - hazards[row, last - 1]
            passed = hazards[row, day] + (hazards[row, day + 1] - hazards[row, day]) * (age - day)
        for path in range(n_paths):
            spent = -np.log1p(-draws[path])
            if row < 0:
                left = (rate[k] + age) * np.expm1(spent / shape[k])
            else:
                goal = passed + spent / power[k]
                if goal >= hazards[row, last]:
                    left = last + (goal - hazards[row, last]) / max(slope, 1e-12) - age
                else:
                    day = np.searchsorted(hazards[row], goal, side="right") - 1
                    step = hazards[row, day + 1] - hazards[row, day]
                    left = day + (goal - hazards[row, day]) / max(step, 1e-300) - age
            out[k, path] = int(min(max(np.floor(left) + 1.0, 1.0), float(NEVER)))
    return out


@nb.njit(cache=True, nogil=True)
def _stays_held(
    wait: float, shape: float, rate: float, hazard: NDArray[np.float64], held: NDArray[np.float64]
) -> tuple[float, float]:
    """S0(w) and its integral; on a curve the hazard is constant within a day and beyond the last one."""
    if len(hazard) == 0:
        growth = np.log1p(wait / rate)
        power = (1.0 - shape) * growth
        ratio = np.expm1(power) / power if abs(power) > 1e-12 else 1.0
        return np.exp(-shape * growth), rate * growth * ratio
    day = min(int(wait), len(hazard) - 2)
    slope = hazard[day + 1] - hazard[day]
    into, begin = wait - day, np.exp(-hazard[day])
    end = np.exp(-hazard[day] - slope * into)
    return end, held[day] + ((begin - end) / slope if slope > 1e-12 else begin * into)


@nb.njit(cache=True, nogil=True)
def _value(wait: float, stays: float, held: float, term: NDArray[np.float64], late_days: float, quoted: bool) -> float:
    goodwill = 0.0
    if wait > 0:
        goodwill = term[4] if wait > late_days else term[3]
    days = wait if quoted else held
    return float(stays * term[0] - (1.0 - stays) * term[1] - term[2] * days - goodwill)


@nb.njit(cache=True, nogil=True)
def _own_curve(row: int, power: float, hazards: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cumulative hazard of the item and the integral of its S0 at each day; empty without a curve."""
    if row < 0:
        return np.empty(0), np.empty(0)
    hazard = hazards[row] * power
    held = np.zeros(len(hazard))
    for day in range(1, len(hazard)):
        begin, end, slope = np.exp(-hazard[day - 1]), np.exp(-hazard[day]), hazard[day] - hazard[day - 1]
        held[day] = held[day - 1] + ((begin - end) / slope if slope > 1e-12 else begin)
    return hazard, held


@nb.njit(cache=True, nogil=True)
def _pays(
    day: int,
    shape: float,
    rate: float,
    hazard: NDArray[np.float64],
    held_at: NDArray[np.float64],
    term: NDArray[np.float64],
    late_days: float,
    quoted: bool,
) -> bool:
    stays, held = _stays_held(float(day), shape, rate, hazard, held_at)
    return bool(_value(float(day), stays, held, term, late_days, quoted) >= term[5])


@nb.njit(cache=True, nogil=True)
def _last_day(
    max_days: int,
    shape: float,
    rate: float,
    hazard: NDArray[np.float64],
    held_at: NDArray[np.float64],
    term: NDArray[np.float64],
    late_days: float,
    quoted: bool,
) -> int:
    """Last whole day up to `max_days` with V >= R, -1 if none.

    V falls on each side of the goodwill step, so that halving finds it; where a cancellation earns more than a sale it
    may rise, and every day is looked at.
    """
    if term[0] + term[1] < 0.0 or term[2] < 0.0:
        for day in range(max_days, -1, -1):
            if _pays(day, shape, rate, hazard, held_at, term, late_days, quoted):
                return day
        return -1
    step = min(int(np.floor(late_days)), max_days)
    for first, last in ((step + 1, max_days), (1, step), (0, 0)):
        if first > last or not _pays(first, shape, rate, hazard, held_at, term, late_days, quoted):
            continue
        if _pays(last, shape, rate, hazard, held_at, term, late_days, quoted):
            return last
        low, high = first, last
        while high - low > 1:
            middle = (low + high) // 2
            if _pays(middle, shape, rate, hazard, held_at, term, late_days, quoted):
                low = middle
            else:
                high = middle
        return low
    return -1


@nb.njit(cache=True, nogil=True)
def _cutoffs(
    terms: NDArray[np.float64],
    shape: NDArray[np.float64],
    rate: NDArray[np.float64],
    curve: NDArray[np.int64],
    power: NDArray[np.float64],
    hazards: NDArray[np.float64],
    late_days: float,
    quoted: bool,
    max_days: int,
) -> NDArray[np.float64]:
    out = np.zeros(len(terms))
    for i in range(len(terms)):
        hazard, held_at = _own_curve(curve[i], power[i], hazards)
        low = float(_last_day(max_days, shape[i], rate[i], hazard, held_at, terms[i], late_days, quoted))
        high = low + 1.0
        if low >= 0.0 and low < max_days:
            for _ in range(40):
                middle = 0.5 * (low + high)
                stays, held = _stays_held(middle, shape[i], rate[i], hazard, held_at)
                if _value(middle, stays, held, terms[i], late_days, quoted) >= terms[i, 5]:
                    low = middle
                else:
                    high = middle
        out[i] = max(low, 0.0)
    return out


@nb.njit(cache=True, nogil=True)
def _expected(
    wait_days: NDArray[np.int32],
    terms: NDArray[np.float64],
    shape: NDArray[np.float64],
    rate: NDArray[np.float64],
    curve: NDArray[np.int64],
    power: NDArray[np.float64],
    hazards: NDArray[np.float64],
    late_days: float,
    quoted: bool,
    cap_days: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    value, kept = np.zeros(len(terms)), np.zeros(len(terms))
    for i in range(len(terms)):
        hazard, held_at = _own_curve(curve[i], power[i], hazards)
        for path in range(wait_days.shape[1]):
            wait = min(float(wait_days[i, path]), cap_days)
            stays, held = _stays_held(wait, shape[i], rate[i], hazard, held_at)
            value[i] += _value(wait, stays, held, terms[i], late_days, quoted)
            kept[i] += stays
    return value / wait_days.shape[1], kept / wait_days.shape[1]
