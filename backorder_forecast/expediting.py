"""What an express delivery would save where the normal order comes too late.

Between the day on which an express delivery could be usable and the arrival of a normal order placed now, some units go
short on some paths. Q units by express go to those first who wait on that day, and the rest serves new demand at once:
min(short, Q - waiting) units, each worth its margin, and each of the Q costs what express costs more than the usual
unit cost. Where nobody waits the best Q is the newsvendor's: the quantile of the units short at 1 - extra / margin.
Orders on the way, stock and demand are those of the plan; units are per item.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.clock import Clock
from backorder_forecast.policies import round_to_pack
from backorder_forecast.projection import level_path
from backorder_forecast.reorders import arrival_periods

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GRID = 20
"""Quantiles of the units short among which the express quantity is chosen."""
LEAST_SAVING = 0.005
"""Money below which an express order saves nothing: it would be written as 0.00."""
COLUMNS = ("express_quantity", "express_date", "express_units", "express_saving")


def express_frame(
    items: pd.DataFrame, demand: Floats, receipts: Floats, arrival: Ints, *, joins: Floats, clock: Clock,
    highest_level: float, stay: Floats | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Express quantity of each item and what it would save against waiting for the normal order.

    Parameters
    ----------
    items
        Columns start (units less those waiting), price, unit_cost, pack_size, active, express_lead_time_days,
        express_cost (money per unit; as usual where not stated).
    demand, receipts
        Units, shape (n_items, n_paths, n_periods).
    arrival
        First period in which a normal order placed now is usable, shape (n_items, n_paths).
    joins
        Share of unmet demand that waits, shape (n_items,).
    clock
        Periods ahead.
    highest_level
        Quantile of the units short that is never exceeded.
    stay
        Share of those who wait that still does 0, 1, ... periods later, shape (n_items, n_lags), as in
        `project_stock`; everybody by default. Who has left needs no unit by express.

    Returns
    -------
    DataFrame
        express_quantity (units, 0 where it does not pay), express_date (usable), express_units (mean units that it
        serves in time), express_saving (money after its extra cost); empty where no express delivery, price or cost is
        known.

    Examples
    --------
    >>> items = pd.DataFrame({"start": [2.0], "price": 9.0, "unit_cost": 5.0, "pack_size": 1.0, "active": True,
    ...                       "express_lead_time_days": 2.0, "express_cost": 6.0})
    >>> clock = Clock.ahead(pd.Timestamp("2024-01-07"), "D", 10)
    >>> told = express_frame(items, np.ones((1, 1, 10)), np.zeros((1, 1, 10)), np.array([[6]]), joins=np.zeros(1),
    ...                      clock=clock, highest_level=0.95)
    >>> told[["express_quantity", "express_units", "express_saving"]].values.tolist()
    [[4.0, 4.0, 12.0]]
    """
    days = items["express_lead_time_days"].to_numpy(dtype=np.float64)
    priced = np.isfinite((items["price"] - items["unit_cost"]).to_numpy(dtype=np.float64))
    known = np.isfinite(days) & items["active"].to_numpy(dtype=bool) & priced
    frame = pd.DataFrame(
        {"express_quantity": np.nan, "express_date": pd.NaT, "express_units": np.nan, "express_saving": np.nan},
        index=items.index,
    ).astype({"express_date": "datetime64[s]"})
    if not known.any():
        return frame
    rows = np.flatnonzero(known)
    wait = np.maximum(np.ceil(days[rows]), 1.0).astype(np.int64)
    first = arrival_periods(wait, clock)
    start = items["start"].to_numpy(dtype=np.float64)
    lasting = np.zeros((0, 1)) if stay is None else stay
    short, waiting = _short_between(start, demand, receipts, rows, first, arrival, joins, lasting)
    cost, price = (items[c].to_numpy(dtype=np.float64)[rows] for c in ("unit_cost", "price"))
    extra = np.maximum(np.nan_to_num(items["express_cost"].to_numpy(dtype=np.float64)[rows] - cost), 0.0)
    margin = price - cost
    pays = margin > extra
    level = np.where(pays, 1.0 - extra / np.where(pays, margin, 1.0), 0.0)
    wanted = np.sort(short + waiting, axis=1)
    # The newsvendor's quantile, and others for paths on which some wait already.
    levels = np.append(np.arange(1, GRID) / GRID * np.ones((len(rows), 1)), level[:, None], axis=1)
    place = np.ceil(np.minimum(levels, highest_level) * short.shape[1] - 1e-9).astype(np.int64) - 1
    units = np.where(place >= 0, np.take_along_axis(wanted, np.maximum(place, 0), axis=1), 0.0)
    pack = items["pack_size"].to_numpy(dtype=np.float64)[rows]
    pack = np.where(pack > 0, pack, 1.0)[:, None]
    units = round_to_pack(np.ceil(units - 1e-9), moq=0.0, pack=pack)
    left = np.maximum(units[:, :, None] - waiting[:, None, :], 0.0)
    serves = np.minimum(short[:, None, :], left).mean(axis=2)
    savings = np.where(pays[:, None], serves * margin[:, None] - units * extra[:, None], 0.0)
    # Of equals the smaller quantity.
    order = np.argsort(units, axis=1, kind="stable")
    best = np.take_along_axis(order, np.take_along_axis(savings, order, axis=1).argmax(axis=1)[:, None], axis=1)
    quantity, served, saving = (np.take_along_axis(v, best, axis=1)[:, 0] for v in (units, serves, savings))
    worth = (quantity > 0) & (saving >= LEAST_SAVING)
    frame.loc[items.index[rows], "express_quantity"] = np.where(worth, quantity, 0.0)
    frame.loc[items.index[rows], "express_date"] = clock.dates(np.where(worth, wait, np.nan)).to_numpy()
    frame.loc[items.index[rows], "express_units"] = np.where(worth, served, 0.0)
    frame.loc[items.index[rows], "express_saving"] = np.where(worth, saving, 0.0)
    return frame


@nb.njit(cache=True, nogil=True)
def _short_between(start, demand, receipts, rows, first, arrival, joins, stay):  # type: ignore[no-untyped-def]
    """Units short per path between two periods, and those that wait at the first, shape (n_rows, n_paths)."""
    n_paths, n_periods = demand.shape[1:]
    out = np.zeros((rows.size, n_paths))
    waiting = np.zeros((rows.size, n_paths))
    levels, missing, queue = np.empty(n_periods), np.empty(n_periods), np.empty(n_periods)
    for k in range(rows.size):
        i = rows[k]
        for p in range(n_paths):
            last = min(arrival[i, p], n_periods)
            if len(stay):
                if first[k] < last:
                    # Those who still wait on that day, before anybody wants more.
                    wanted_by = demand[i, p, : first[k] + 1].copy()
                    wanted_by[first[k]] = 0.0
                    level_path(start[i], wanted_by, receipts[i, p], joins[i], stay[i], False, levels, missing, queue)
                    waiting[k, p] = max(-levels[first[k]], 0.0)
                wanted_by = demand[i, p, :last]
                level_path(start[i], wanted_by, receipts[i, p], joins[i], stay[i], False, levels, missing, queue)
                for t in range(first[k], last):
                    out[k, p] += missing[t]
                continue
            level = start[i]
            for t in range(last):
                level += receipts[i, p, t]
                if t == first[k]:
                    waiting[k, p] = max(-level, 0.0)
                wanted = demand[i, p, t]
                missed = max(wanted - max(level, 0.0), 0.0)
                level -= wanted - (1.0 - joins[i]) * missed
                if t >= first[k]:
                    out[k, p] += missed
    return out, waiting
