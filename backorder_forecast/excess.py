"""What is overstocked: units beyond what demand over lead time, review and horizon will use, and their worth."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.distributions import nb_cdf, nb_quantile
from backorder_forecast.settings import Settings


def excess_frame(
    items: pd.DataFrame,
    level: NDArray[np.float64],
    level_variance: NDArray[np.float64],
    within_variance: NDArray[np.float64],
    weight: NDArray[np.float64],
    settings: Settings,
) -> pd.DataFrame:
    """Stock beyond what demand over lead time, review and horizon will use.

    Parameters
    ----------
    items
        Columns sku, location, position (usable + on order - waiting), on_order, unit_cost, mean_weekly.
    level, level_variance, within_variance
        Demand law per period at seasonal index 1, shape (n_items,).
    weight
        Summed seasonal index of the periods over lead time + review + horizon, shape (n_items,).
    settings
        `excess_level`.

    Returns
    -------
    DataFrame
        sku, location, excess_units, excess_value, p_unsold, weeks_of_cover, cancellable_units and cancellable_value
        (the part of the excess that has not come yet: cancel it, or ask to return the rest); only items with excess,
        dearest first. `p_unsold` is the probability that not all of the present position is sold over that time.
    """
    mean = level * weight
    variance = np.maximum(within_variance, level) * weight + level_variance * weight**2
    position = items["position"].to_numpy(dtype=np.float64)
    sells = mean > 0
    upper = np.zeros(len(items))
    unsold = np.ones(len(items))
    if sells.any():
        upper[sells] = nb_quantile(settings.excess_level, mean[sells], variance[sells])
        unsold[sells] = nb_cdf(np.ceil(np.maximum(position[sells], 0.0)) - 1.0, mean[sells], variance[sells])
    units = np.maximum(position - upper, 0.0)
    frame = items[["sku", "location"]].copy()
    frame["excess_units"] = units
    frame["excess_value"] = units * items["unit_cost"].to_numpy(dtype=np.float64)
    frame["p_unsold"] = unsold
    weekly = items["mean_weekly"].to_numpy(dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        frame["weeks_of_cover"] = np.where(weekly > 0, np.maximum(position, 0.0) / weekly, np.inf)
    frame["cancellable_units"] = np.minimum(units, items["on_order"].to_numpy(dtype=np.float64))
    frame["cancellable_value"] = frame["cancellable_units"] * items["unit_cost"].to_numpy(dtype=np.float64)
    frame = frame[units > 0]
    by = ["excess_value", "excess_units", "sku", "location"]
    return frame.sort_values(by, ascending=[False, False, True, True], kind="stable").reset_index(drop=True)
