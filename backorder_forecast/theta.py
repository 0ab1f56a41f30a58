"""The theta method for every item: a level smoothed with the item's own constant, plus half the slope of its history.

One constant for a class of items lags behind the few that move and follows the noise of the rest. The theta method
(Assimakopoulos & Nikolopoulos 2000) gives each item the constant of least squared error of its past one-step forecasts
and, with b the slope of the least squares line, n the steps used, a the constant and l the level, forecasts h steps
ahead l + b/2 (h - 1 + (1 - (1 - a)^n) / a) (Hyndman & Billah 2003). Alone it loses to the pooled models; as a quarter
of an average it gains on most data, and how much it counts is left to the trials (`choices.py`).

Demand is taken over the season and the share in stock. A step is a period, on a daily clock seven days that end at the
origin: a day is too fine for a slope. Units are those of demand.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba as nb
import numpy as np
from numpy.typing import NDArray

from backorder_forecast.panel import RAN_OUT, RAN_OUT_SHARE, DemandPanel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CONSTANTS = np.array([0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8])
MIN_STEPS = 6
"""Steps that show something below which nothing is forecast."""
_MIN_SHOWN = 0.02


def theta_sums(
    panel: DemandPanel, factors: Floats, row_of_item: Ints, first: Ints, origins: Sequence[int], window: int
) -> Floats:
    """Expected demand of the `window` periods after each origin by the theta method, never below 0.

    Parameters
    ----------
    panel
        Demand and exposure.
    factors
        Seasonal index per group and period, shape (n_groups, at least the last origin + window).
    row_of_item
        Row of `factors` per item, shape (n_items,).
    first
        First period that counts per item, shape (n_items,).
    origins
        Numbers of periods known.
    window
        Periods to sum.

    Returns
    -------
    ndarray
        Units, shape (n_items, n_origins); NaN where fewer than `MIN_STEPS` steps since the first show demand.

    Examples
    --------
    >>> import pandas as pd
    >>> from backorder_forecast.panel import demand_panel
    >>> weeks = pd.date_range("2023-01-02", periods=60, freq="W-MON")
    >>> panel = demand_panel(pd.DataFrame({"sku": "A", "date": weeks, "quantity": np.arange(60) + 10}), freq="W-MON")
    >>> zero = np.array([0])
    >>> theta_sums(panel, np.ones((1, 62)), zero, zero, [3, 60], 2).round(1).tolist()
    [[nan, 139.2]]
    """
    return np.asarray(
        _theta_sums(
            panel.demand, panel.exposure, factors, row_of_item, first, np.asarray(origins, dtype=np.int64),
            7 if panel.freq == "D" else 1, window, CONSTANTS,
        )
    )  # fmt: skip


@nb.njit(cache=True, nogil=True)
def _theta_sums(demand, exposure, factors, row, first, origins, size, window, constants):  # type: ignore[no-untyped-def]
    n_items, n_constants = demand.shape[0], constants.size
    out = np.full((n_items, origins.size), np.nan)
    level, error = np.empty(n_constants), np.empty(n_constants)
    for i in range(n_items):
        f = factors[row[i]]
        for k in range(origins.size):
            origin = origins[k]
            level[:] = 0.0
            error[:] = 0.0
            used, place = 0, 0
            sum_x, sum_y, sum_xx, sum_xy = 0.0, 0.0, 0.0, 0.0
            # The first step may begin before the item does; what lies before it is left out.
            for start in range(origin - (origin - first[i] + size - 1) // size * size, origin, size):
                units, shown = 0.0, 0.0
                for t in range(max(start, first[i]), start + size):
                    share = RAN_OUT_SHARE if exposure[i, t] == RAN_OUT else exposure[i, t]
                    if share > 0.0:
                        units += demand[i, t]
                        shown += share * f[t]
                place += 1
                if shown <= _MIN_SHOWN * size:
                    continue
                used += 1
                rate, weight = units / shown, min(shown / size, 1.0)
                for c in range(n_constants):
                    miss = rate - level[c]
                    if used > 1:
                        error[c] += miss * miss * weight
                    level[c] += max(constants[c], 1.0 / used) * weight * miss if used > 1 else miss
                sum_x += place
                sum_y += rate
                sum_xx += place * place
                sum_xy += place * rate
            if used < MIN_STEPS:
                continue
            best = np.argmin(error)
            a = constants[best]
            spread = used * sum_xx - sum_x * sum_x
            slope = (used * sum_xy - sum_x * sum_y) / spread if spread > 0.0 else 0.0
            lag = (1.0 - (1.0 - a) ** used) / a
            total = 0.0
            for h in range(window):
                total += f[origin + h] * max(level[best] + 0.5 * slope * (h // size + lag), 0.0)
            out[i, k] = total
    return out
