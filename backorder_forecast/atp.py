"""Available to promise: what of the dated supply is still free, and a plain dated shipping schedule.

Periods are numbered from 0, quantities are units. A period's shortage first eats what earlier periods had left
(backward consumption), because that supply is already spoken for; what is then left may be added up over time.
The schedule serves lines in the order given and never lets a later one overtake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backorder_forecast.queues import TOLERANCE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def atp_backward(supply: ArrayLike, demand: ArrayLike) -> NDArray[np.float64]:
    """Units of each period's supply that are still free after backward consumption.

    Parameters
    ----------
    supply, demand
        Units per period, shape (..., n_periods); stock on hand belongs to period 0.

    Returns
    -------
    Shape (..., n_periods); negative where a shortage cannot be met by earlier periods.

    Source: Oracle Inventory User's Guide, discrete available to promise with backward consumption.

    Examples
    --------
    >>> atp_backward([6, 4, 2, 4], [6, 2, 3, 6]).tolist()
    [0.0, 0.0, 0.0, -1.0]
    """
    free = np.array(np.asarray(supply, dtype=np.float64) - np.asarray(demand, dtype=np.float64))
    for t in range(1, free.shape[-1]):
        for earlier in range(t - 1, -1, -1):
            taken = np.minimum(np.maximum(free[..., earlier], 0.0), np.maximum(-free[..., t], 0.0))
            free[..., earlier] -= taken
            free[..., t] += taken
    return free


def atp_accumulated(free: ArrayLike) -> NDArray[np.float64]:
    """Units free by the end of each period: free units added up, an unmet shortage shown but not carried on.

    Examples
    --------
    >>> atp_accumulated([0, 0, -1, 2, 3]).tolist()
    [0.0, 0.0, -1.0, 2.0, 5.0]
    """
    units = np.asarray(free, dtype=np.float64)
    running = np.cumsum(np.maximum(units, 0.0), axis=-1)
    return np.where(units < 0, units, running)


def earliest_period(accumulated: ArrayLike, quantity: float) -> NDArray[np.int64]:
    """First period by which `quantity` units are free, -1 where none is, shape (...).

    Examples
    --------
    >>> int(earliest_period([0, 0, -1, 2, 5], 3))
    4
    """
    enough = np.asarray(accumulated, dtype=np.float64) >= quantity * (1 - TOLERANCE)
    return np.where(enough.any(axis=-1), enough.argmax(axis=-1), -1).astype(np.int64)


def ship_schedule(
    quantity: ArrayLike,
    receipt_day: ArrayLike,
    receipt_quantity: ArrayLike,
    *,
    latest_day: ArrayLike | None = None,
    minimum_shipment: ArrayLike | None = None,
) -> pd.DataFrame:
    """What ships to which line on which day when dated receipts serve lines first come, first served.

    Parameters
    ----------
    quantity
        Units of each line in the order of service, shape (n,).
    receipt_day, receipt_quantity
        Days and units of the receipts, shape (m,); stock on hand is a receipt on day 0.
    latest_day
        Last day on which a line still takes a shipment; then it leaves the queue. Never where missing.
    minimum_shipment
        Least units of one shipment; no shipment leaves less than that still to ship.

    Returns
    -------
    One row per shipment: line, day, quantity.

    Examples
    --------
    >>> ship_schedule([4, 3], [3, 8], [5, 4]).to_dict("list")
    {'line': [0, 1, 1], 'day': [3, 3, 8], 'quantity': [4.0, 1.0, 2.0]}
    """
    left = np.array(quantity, dtype=np.float64)
    days, units = np.asarray(receipt_day), np.asarray(receipt_quantity, dtype=np.float64)
    last = np.full(len(left), np.inf) if latest_day is None else np.asarray(latest_day, dtype=np.float64)
    least = np.zeros(len(left)) if minimum_shipment is None else np.asarray(minimum_shipment, dtype=np.float64)
    shipments: list[tuple[int, int, float]] = []
    stock = 0.0
    for day in np.unique(days):
        stock += float(units[days == day].sum())
        for line in np.flatnonzero((left > TOLERANCE) & (last >= day)):
            take = left[line] if stock >= left[line] - TOLERANCE else min(stock, left[line] - least[line])
            if take <= TOLERANCE or take < least[line] - TOLERANCE:
                break
            shipments.append((int(line), int(day), float(take)))
            left[line] -= take
            stock -= take
            if left[line] > TOLERANCE:
                break
    return pd.DataFrame(shipments, columns=["line", "day", "quantity"])
