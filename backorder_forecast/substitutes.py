"""Substitutes: what an item can spare for the customers of another, and who may count on it.

A unit is free if the item's own demand does not need it, at the service level, before an order placed now arrives: the
question to which `p_unmet_before_arrival` is the answer, asked of the same paths with some units less on the shelf.
Free units are shared among the items whose substitute it is, so that none is offered twice: first to those who would
offer it instead of a backorder, the largest need first, then to lines that wait for the others. What is granted leaves
`max_open_quantity` of the substitute. Who gets none is judged as if it had no substitute. Quantities are units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np
import pandas as pd

from backorder_forecast.clock import Clock
from backorder_forecast.cutoffs import ALTERNATIVE, CONFIRMED, worded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backorder_forecast.settings import Settings

NEEDED, TAKEN = "has none to spare", "is offered in place of others already"
"""Why a substitute that is in stock is not offered."""


def spare_units(
    start: NDArray[np.float64],
    demand: NDArray[np.float64],
    receipts: NDArray[np.float64],
    lead_days: NDArray[np.int32],
    *,
    n_periods: NDArray[np.int64],
    mean_daily: NDArray[np.float64],
    clock: Clock,
    service_level: float,
) -> NDArray[np.float64]:
    """Whole units that could leave now with P(no unmet demand before an order placed now arrives) >= service level.

    Parameters
    ----------
    start
        Usable stock less units waiting, shape (n_items,).
    demand, receipts
        Units per item, path and period, shape (n_items, n_paths, n_periods).
    lead_days
        Days until an order placed at the end of `as_of` arrives, shape (n_items, n_paths).
    n_periods
        Periods drawn of each item, shape (n_items,); after them demand goes on at `mean_daily`, units a day.

    Returns
    -------
    Shape (n_items,), at most what is on the shelf; 0 where demand may go unmet as it is.

    Examples
    --------
    >>> clock = Clock.ahead(pd.Timestamp("2024-05-05"), "D", 4)
    >>> demand = np.full((1, 10, 4), 2.0)
    >>> arrives = np.full((1, 10), 3, dtype=np.int32)
    >>> spare_units(np.array([9.0]), demand, np.zeros_like(demand), arrives, n_periods=np.array([4]),
    ...     mean_daily=np.array([2.0]), clock=clock, service_level=0.95).tolist()
    [5.0]
    """
    opens = np.maximum((clock.starts - clock.as_of).days.to_numpy(), 1).astype(np.int64)
    ends = clock.end_days[np.minimum(n_periods, clock.n_periods) - 1].astype(np.int64)
    lowest = _lowest(start, demand, receipts, lead_days, n_periods.astype(np.int64), opens, ends, mean_daily)
    n_paths = lowest.shape[1]
    rank = n_paths - min(max(int(np.ceil(service_level * n_paths - 1e-9)), 1), n_paths)
    spare = np.partition(lowest, rank, axis=1)[:, rank]
    return np.asarray(np.floor(np.maximum(np.nan_to_num(spare), 0.0) + 1e-9))


def share_substitutes(
    asked: pd.DataFrame, without: pd.DataFrame, *, at_risk: NDArray[np.bool_], settings: Settings
) -> pd.DataFrame:
    """The frame `wait_cutoffs` of all items, each substitute unit offered once.

    Parameters
    ----------
    asked, without
        From `judge_waits`, one row per item, with the substitutes and as if there were none; `asked` with free_units,
        what an item can spare (NaN where nobody asks it).
    at_risk
        Items that the plan expects to run out before an order arrives: they spare nothing, shape (n_items,).
    """
    rows = np.flatnonzero(asked["substitute_row"].to_numpy() >= 0)
    if not len(rows):
        return worded(asked, settings)
    pool = np.where(at_risk, 0.0, np.nan_to_num(asked["free_units"].to_numpy(dtype=np.float64)))
    # A decision that rests on units that surely come keeps one of them.
    room = asked["max_open_quantity"].to_numpy()
    pool = np.where(asked["decision"] == CONFIRMED, np.minimum(pool, np.maximum(room - 1.0, 0.0)), pool)
    own = asked.iloc[rows]
    instead = (own["decision"] == ALTERNATIVE).to_numpy()
    least = own["line_units"].to_numpy()
    waits = np.ceil(own["queue"].to_numpy() - 1e-9)
    later = np.ceil(np.maximum(np.nan_to_num(own["expected_units"].to_numpy()), least))
    need = waits + np.where(instead, later, 0.0)
    order = np.lexsort((own["location"].astype("str"), own["sku"].astype("str"), -need, ~instead))
    source = own["substitute_row"].to_numpy()
    granted, rest = np.zeros(len(rows)), pool.copy()
    # Who needs nothing now, but would offer it: named while there is enough for a line.
    named = _grant(source[order], need[order], least[order], rest)
    granted[order] = np.maximum(named, 0.0)
    keeps = np.empty(len(rows), dtype=bool)
    keeps[order] = named >= 0.0
    return worded(_settled(asked, without, rows, keeps, granted, pool), settings)


def _settled(
    asked: pd.DataFrame,
    without: pd.DataFrame,
    rows: NDArray[np.int64],
    keeps: NDArray[np.bool_],
    granted: NDArray[np.float64],
    pool: NDArray[np.float64],
) -> pd.DataFrame:
    """The judgements with what was granted: `keeps`, `granted` per asking item `rows`, `pool` per item."""
    source = asked["substitute_row"].to_numpy()[rows]
    lost = np.zeros(len(asked), dtype=bool)
    lost[rows[~keeps]] = True
    why = np.where(pool[source] > 0, TAKEN, NEEDED)
    frame = pd.concat([asked[~lost], without[lost]]).sort_index()
    short, words, units = (
        frame[c].to_numpy(object) for c in ("substitute_short", "substitute_why", "substitute_units")
    )
    left = frame["substitute_left"].to_numpy(dtype=np.float64).copy()
    short, words, units = short.copy(), words.copy(), units.astype(np.float64)
    gone = rows[~keeps]
    short[gone], words[gone], units[gone] = asked["substitute_sku"].to_numpy(object)[gone], why[~keeps], 0.0
    # Where all of a line cannot be had, how little there is says why.
    left[gone] = np.where(why[~keeps] == TAKEN, 0.0, pool[source[~keeps]])
    left[rows[keeps]], units[rows[keeps]] = pool[source[keeps]], granted[keeps]
    lent = np.bincount(source, granted, len(asked))
    to = pd.Series(asked["sku"].astype("str").to_numpy(object)[rows])[granted > 0]
    names = to.groupby(source[granted > 0]).agg(lambda skus: _listed(sorted(set(skus))))
    frame["lent_units"] = lent
    lent_to = np.full(len(asked), "", dtype=object)
    lent_to[names.index] = names
    frame["lent_to"] = lent_to
    frame["max_open_quantity"] = np.maximum(frame["max_open_quantity"].to_numpy() - lent, 0.0)
    columns = {"substitute_short": short, "substitute_why": words, "substitute_units": units, "substitute_left": left}
    return frame.assign(**columns)


def _listed(skus: list[str]) -> str:
    return skus[0] if len(skus) == 1 else f"{skus[0]} and {len(skus) - 1} more"


@nb.njit(cache=True, nogil=True)
def _grant(source, need, least, pool):  # type: ignore[no-untyped-def]
    """Units granted to each in turn, -1 where less than a line is left; `pool` is used up."""
    granted = np.full(len(source), -1.0)
    for k in range(len(source)):
        units = min(need[k], pool[source[k]])
        if pool[source[k]] > 0.0 and pool[source[k]] >= least[k]:
            granted[k] = units
            pool[source[k]] -= units
    return granted


@nb.njit(cache=True, nogil=True)
def _lowest(start, demand, receipts, lead_days, n_periods, opens, ends, mean_daily):  # type: ignore[no-untyped-def]
    """Lowest level of each path before an order placed now arrives, shape (n_items, n_paths)."""
    n_items, n_paths, total = demand.shape
    lowest = np.empty((n_items, n_paths))
    for i in range(n_items):
        last = min(n_periods[i], total)
        for p in range(n_paths):
            level = start[i]
            low = level
            for t in range(last):
                if opens[t] >= lead_days[i, p]:
                    break
                level += receipts[i, p, t] - demand[i, p, t]
                low = min(low, level)
            beyond = lead_days[i, p] - ends[i]
            if beyond > 0 and mean_daily[i] > 0.0:
                low = min(low, level - mean_daily[i] * beyond)
            lowest[i, p] = low
    return lowest
