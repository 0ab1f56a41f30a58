"""Promises: the date a customer is told, how surely it is kept, and when it is worth telling a new one.

A promise is the first business day after `as_of` by which a line is complete with the promised probability. Days
count from `as_of`; `NEVER` means not within the simulated lead times.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backorder_forecast.clock import NEVER
from backorder_forecast.queues import TOLERANCE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from backorder_forecast.settings import Settings


def quantile_days(ranked: NDArray[np.int32], level: float | NDArray[np.float64]) -> NDArray[np.int32]:
    """Smallest day with probability of at least `level`, shape (n_lines,).

    Parameters
    ----------
    ranked
        Days of each line in rising order, shape (n_lines, n_paths).
    level
        One probability, or one per line, shape (n_lines,).

    Examples
    --------
    >>> quantile_days(np.array([[2, 4, 6, 9]], dtype=np.int32), 0.5).tolist()
    [4]
    """
    places = np.ceil(np.broadcast_to(level, len(ranked)) * ranked.shape[1] - TOLERANCE).astype(np.int64) - 1
    return np.asarray(ranked[np.arange(len(ranked)), np.maximum(places, 0)])


def promise_days(
    ranked_days: NDArray[np.int32], *, as_of: pd.Timestamp, level: float | NDArray[np.float64], business_days: bool
) -> NDArray[np.int64]:
    """First (business) day after `as_of` by which the probability reaches `level`, NEVER if none, shape (n_lines,).

    `ranked_days` are the complete days of each line in rising order, shape (n_lines, n_paths); `level` is one
    probability, or one per line.

    Examples
    --------
    >>> days = np.array([[1, 2, 2, 4, 5, 5, 5, 5, 6, 9]], dtype=np.int32)
    >>> sunday = pd.Timestamp("2024-05-05")     # so day 6 is a Saturday
    >>> promise_days(days, as_of=sunday, level=0.9, business_days=True).tolist()
    [8]
    """
    days = quantile_days(ranked_days, level).astype(np.int64)
    reached = days < NEVER
    promise = np.where(reached, np.maximum(days, 1), 0)
    if business_days:
        start = as_of.to_datetime64().astype("datetime64[D]")
        promise = (np.busday_offset(start + promise, 0, roll="forward") - start).astype(np.int64)
    return np.where(reached, promise, NEVER)


def promise_buffer(residuals: ArrayLike, *, coverage: float) -> float:
    """Days to add to a predicted date so that it is kept with probability `coverage` (split conformal, one-sided).

    Parameters
    ----------
    residuals
        Actual less predicted fill day of n past lines.

    Returns
    -------
    The k-th smallest residual, k = ceil((n + 1) coverage); infinite where k > n.

    Source: Vovk, Gammerman & Shafer (2005); Angelopoulos & Bates (2023).

    Examples
    --------
    >>> promise_buffer([0, 1, 1, 2, 3, 3, 4, 6, 9], coverage=0.9)
    9.0
    >>> promise_buffer([0, 1, 2], coverage=0.9)
    inf
    """
    ranked = np.sort(np.asarray(residuals, dtype=np.float64))
    rank = math.ceil((len(ranked) + 1) * coverage - TOLERANCE)
    return float(ranked[rank - 1]) if rank <= len(ranked) else math.inf


def promise_moves(
    old_date: pd.Series, new_date: pd.Series, *, as_of: pd.Timestamp, settings: Settings
) -> NDArray[np.int64]:
    """Whether a promise moved enough to tell the customer: 1 later, -1 earlier, 0 not worth a message.

    Later counts beyond max(`renotify_days`, `renotify_share` of the wait still to come under the new date); earlier
    must be twice that, so that a promise does not swing to and fro. A new date that is missing (none can be named
    any more) is later; without an old date nothing has moved.

    Examples
    --------
    >>> from backorder_forecast.settings import Settings
    >>> old = pd.Series(pd.to_datetime(["2024-05-10"] * 3))
    >>> new = pd.Series(pd.to_datetime(["2024-05-12", "2024-05-20", None]))
    >>> promise_moves(old, new, as_of=pd.Timestamp("2024-05-01"), settings=Settings()).tolist()
    [0, 1, 1]
    """
    moved = (new_date - old_date).dt.days.to_numpy(np.float64)
    ahead = (new_date - as_of).dt.days.to_numpy(np.float64)
    enough = np.fmax(settings.renotify_days, settings.renotify_share * ahead)
    lost = old_date.notna().to_numpy() & new_date.isna().to_numpy()
    later = lost | (moved > enough)
    return np.asarray(later.astype(np.int64) - (moved < -2 * enough), dtype=np.int64)
