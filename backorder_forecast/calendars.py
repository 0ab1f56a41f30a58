"""The calendar of demand: seasonal index times the lifts of events, one row of factors per distinct combination.

Season and lifts are fitted in two passes, because a moving holiday would else pass for season: lifts are learned beside
a first season, and the season again from demand without them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.clock import period_end
from backorder_forecast.events import CalendarEffects, fit_effects
from backorder_forecast.panel import DemandPanel
from backorder_forecast.seasonality import SeasonalIndex, fit_seasonality
from backorder_forecast.settings import Settings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DemandCalendar:
    """Season and effects, and the row of their product that each item has.

    `pairs` (2, n_rows) holds the season's group and the effects' row of each combination, `row` (n_items,) the
    combination of each item.
    """

    season: SeasonalIndex
    effects: CalendarEffects
    pairs: Ints
    row: Ints

    def factors(self, periods: pd.DatetimeIndex) -> Floats:
        """Factor on the level per combination and period, shape (n_rows, n_periods)."""
        return np.asarray(self.season.factors(periods)[self.pairs[0]] * self.effects.factors(periods)[self.pairs[1]])


def fit_calendar(
    panel: DemandPanel, groups: pd.Series | None, events: pd.DataFrame | None, settings: Settings
) -> DemandCalendar:
    """Seasonal indices per group and lifts of events and holidays, learned from a panel."""
    season = fit_seasonality(panel, groups)
    effects = _effects(panel, season, events, settings)
    if effects.row_of_item.any() or len(effects.table):
        lifted = effects.factors(panel.periods)[effects.row_of_item]
        season = fit_seasonality(replace(panel, demand=panel.demand / lifted), groups)
        effects = _effects(panel, season, events, settings)
    both = np.stack([season.item_group, effects.row_of_item])
    pairs, row = np.unique(both, axis=1, return_inverse=True)
    return DemandCalendar(season, effects, pairs, row.ravel().astype(np.int64))


def with_periods_ahead(panel: DemandPanel, n: int) -> pd.DatetimeIndex:
    """The periods of a panel and the `n` after them."""
    first = period_end(panel.periods[-1:], panel.freq)[0] + pd.Timedelta(days=1)
    return pd.DatetimeIndex(panel.periods.append(pd.date_range(first, periods=n, freq=panel.freq)))


def _effects(
    panel: DemandPanel, season: SeasonalIndex, events: pd.DataFrame | None, settings: Settings
) -> CalendarEffects:
    return fit_effects(
        panel, season, events, holidays_country=settings.holidays_country, shrink_units=settings.event_shrink_units
    )
