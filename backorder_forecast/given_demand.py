"""The demand model of a plan that rests on the paths of a forecaster, in place of the own model (`demand.py`).

A forecaster (`forecasters.py`) speaks of whole periods; a plan needs demand from the day after `as_of`, for items that
come and go, and changed by a what-if. The paths are therefore multiplied by the factor of a scenario and cut to the
days that lie ahead and on which the item sells (columns `launched` and `discontinued`, which the forecaster does not
see where they lie ahead, so that nothing is cut twice). Of a period cut to the share f each unit stays with probability
f: a count of mean m becomes one of mean f m and the same dispersion. Items recorded in whole units keep whole units:
other values go up or down at random, so that the mean stays. The random numbers are keyed by item, path and period, so
that plans of one seed share them. Quantities are units per period.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast import streams
from backorder_forecast.baselines import Forecaster
from backorder_forecast.clock import Clock
from backorder_forecast.demand import history_confidence, sale_dates, while_on_sale
from backorder_forecast.demand_law import DemandDraw
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.forecasters import as_forecaster, asked_paths, model_name, with_paths
from backorder_forecast.level_laws import first_period, fractional
from backorder_forecast.nbses import scan_levels
from backorder_forecast.panel import DemandPanel, item_codes
from backorder_forecast.paths import SamplePaths
from backorder_forecast.point_laws import PeriodModel, flat_season
from backorder_forecast.settings import Settings
from backorder_forecast.trials import item_classes

Floats = NDArray[np.float64]

_BUCKET_BYTES = 64 * 2**20
_NORMAL_FROM = 100.0


@dataclass(frozen=True, eq=False)
class GivenDemand(PeriodModel):
    """A demand model that draws from paths it was given, over the periods of the clock it was fitted for.

    Its level, variances and profile are the moments of these paths before they are cut to the dates on sale.

    Attributes
    ----------
    given
        Paths of whole periods, of any number per item.
    given_level
        Level that these paths have, shape (n_items,); `level` is another one after `scaled`.
    forecaster, usual
        Who gave them, and how many periods it was asked for at once.
    """

    given: SamplePaths = field(kw_only=True)
    given_level: Floats = field(kw_only=True)
    forecaster: Forecaster = field(kw_only=True)
    usual: int = field(kw_only=True)

    def drawer(self, clock: Clock, *, n_paths: int, seed: int) -> DemandDraw:
        """Function (start, stop, n_periods) -> demand of the items start to stop over the first periods of a clock."""
        if clock.n_periods > len(self.given.dates):
            raise InvalidSettings(f"demand was given for {len(self.given.dates)} periods, not for {clock.n_periods}")
        keys = streams.item_keys(self.items["sku"], self.items["location"], seed, streams.GIVEN)
        factor = np.where(self.given_level > 0, self.level / np.where(self.given_level > 0, self.given_level, 1.0), 1.0)
        counted = np.isnan(self.zero_share)
        # Other numbers of paths: as evenly chosen as can be, or each used about as often as the others.
        take = (2 * np.arange(n_paths) + 1) * self.given.n_paths // (2 * n_paths)

        def draw(start: int, stop: int, n_periods: int) -> Floats:
            rows = slice(start, stop)
            share = np.ascontiguousarray(self.on_sale(clock, rows)[:, :n_periods])
            values = self.given.draw(start, stop)
            return np.asarray(_cut(values, take, keys[rows], factor[rows], counted[rows], share))

        return draw


def fit_given(
    panel: DemandPanel, model: Forecaster | str, clock: Clock, settings: Settings, *, usual: int | None = None
) -> GivenDemand:
    """Demand model of a plan that draws from the paths of a forecaster.

    Parameters
    ----------
    panel
        Demand and exposure per item and period; launches and ends ahead of it are kept from the forecaster.
    model
        As for `forecast_demand`. An object with a number `n_paths` is asked for `settings.n_paths` instead, by way of
        a copy; of others the paths are chosen or repeated evenly.
    clock
        Periods ahead; the first may have begun.
    settings
        `seed`, `n_paths`, `min_in_stock`.
    usual
        Periods that a plan without a scenario looks at. They are asked for apart, so that a scenario that needs more
        has the same demand in them; all periods of the clock where not given.

    Raises
    ------
    InvalidSettings
        As `forecast_demand`, and at once for values below 0 or none, as all paths are drawn to take their moments.
    """
    forecaster = with_paths(as_forecaster(model, settings), settings.n_paths)
    past, usual = _past_only(panel), min(usual or clock.n_periods, clock.n_periods)
    given = asked_paths(forecaster, past, usual, settings.seed)
    if usual < clock.n_periods:
        given = _continued(given, asked_paths(forecaster, past, clock.n_periods, settings.seed))
    means, apart, together = _moments(given)
    level = means.mean(axis=1)
    profile = np.where(level[:, None] > 0, means / np.where(level > 0, level, 1.0)[:, None], 1.0)
    # A last period in which no path happens to sell is still one on sale, and what comes after it too.
    profile[:, -1] = np.maximum(profile[:, -1], 1e-9)
    total, squares = profile.sum(axis=1), (profile**2).sum(axis=1)
    # Periods of one path that go the same way make sums wider than periods apart would: that is the level's variance.
    common = np.where(total**2 > squares * (1 + 1e-9), (together - apart) / np.maximum(total**2 - squares, 1e-9), 0.0)
    common = np.clip(common, 0.0, together / total**2)
    within = (together - common * total**2) / total
    starts, ends = sale_dates(panel.items)
    zero = np.where(fractional(panel), 0.0, np.nan)
    return GivenDemand(
        panel.items, level, common, within, zero, flat_season(panel), starts, ends,
        _about(panel, forecaster, given, level, settings), profile=profile, given=given, given_level=level,
        forecaster=forecaster, usual=usual,
    )  # fmt: skip


def given_earlier_level(panel: DemandPanel, model: GivenDemand, settings: Settings, *, periods_ago: int) -> Floats:
    """Level that the forecaster would have given some periods ago over the one it gives now, times that of `model`.

    What it said then is held against what it says now of the same periods, as many as have passed, so that a season is
    not taken for a change. Shape (n_items,); 0 where it said nothing.
    """
    ahead = min(periods_ago, model.usual - periods_ago)
    if ahead < 1:
        return np.zeros(panel.n_items)
    then = _past_only(panel.until(panel.n_periods - periods_ago))
    # As many periods as for the plan: some models are made for one number of them.
    means, _, _ = _moments(asked_paths(model.forecaster, then, model.usual, settings.seed))
    before = means[:, periods_ago : periods_ago + ahead].mean(axis=1)
    now = model.given_level * model.profile[:, :ahead].mean(axis=1)
    return np.asarray(np.where(now > 0, before / np.where(now > 0, now, 1.0) * model.level, before))


def _continued(paths: SamplePaths, longer: SamplePaths) -> SamplePaths:
    """Paths that go on as longer ones of as many per item do."""
    known = len(paths.dates)
    take = np.arange(paths.n_paths) % longer.n_paths

    def sampler(start: int, stop: int) -> Floats:
        return np.concatenate([paths.draw(start, stop), longer.draw(start, stop)[:, take, known:]], axis=2)

    return replace(paths, dates=longer.dates, sampler=sampler)


def _past_only(panel: DemandPanel) -> DemandPanel:
    """The panel without the dates that end or begin sales after it: the plan cuts the paths to them."""
    launched, _ = sale_dates(panel.items)
    items = panel.items.drop(columns="discontinued", errors="ignore")
    if "launched" in items:
        items = items.assign(launched=launched.where(launched <= panel.until(panel.n_periods).as_of))
    return replace(panel, items=items)


def _moments(paths: SamplePaths) -> tuple[Floats, Floats, Floats]:
    """Means (n_items, n_periods), and per item the variances of the periods summed and the variance of their sum."""
    n_periods = len(paths.dates)
    size = int(np.clip(_BUCKET_BYTES // (8 * paths.n_paths * n_periods), 1, paths.bucket_size))
    means, apart, together = np.empty((paths.n_items, n_periods)), np.empty(paths.n_items), np.empty(paths.n_items)
    for start, stop in replace(paths, bucket_size=size).buckets():
        values = paths.draw(start, stop)
        means[start:stop] = values.mean(axis=1)
        apart[start:stop] = values.var(axis=1).sum(axis=1)
        together[start:stop] = values.sum(axis=2).var(axis=1)
    return means, apart, together


def _about(
    panel: DemandPanel, forecaster: Forecaster, given: SamplePaths, level: Floats, settings: Settings
) -> pd.DataFrame:
    """The same columns as the own model has; how much the history says does not depend on the model."""
    panel = while_on_sale(panel)
    first, rows = first_period(panel), np.zeros(panel.n_items, dtype=np.int64)
    states = scan_levels(
        panel, np.ones((1, panel.n_periods)), rows, first, alpha=np.full(panel.n_items, 0.1),
        min_in_stock=settings.min_in_stock, init_periods=settings.init_periods, origins=[panel.n_periods],
    )  # fmt: skip
    launched, ends = sale_dates(panel.items)
    dead = (first >= panel.n_periods) & np.asarray(launched.isna()) & (level <= 0)
    thin = (states.n_used[:, 0] < settings.init_periods) | (states.n_nonzero[:, 0] < 1)
    frame = panel.items[["sku", "location"]].copy()
    name, n_paths = model_name(forecaster), given.n_paths
    own = "" if n_paths == settings.n_paths else f"; paths per item: {n_paths:,} given, {settings.n_paths:,} used"
    frame["method"] = np.where(dead, "none", name)
    frame["method_reason"] = np.where(dead, "no demand in the history", f"demand model given{own}")
    failed = _fallbacks(forecaster)
    failed = failed.set_axis(frame.index[item_codes(failed, frame)])
    failed = failed[~dead[failed.index]]
    frame.loc[failed.index, "method"] = "moving_average"
    frame.loc[failed.index, "method_reason"] = f"{name} could not: " + failed["reason"]
    frame["global_weight"] = frame["own_weight"] = 0.0
    frame["demand_class"] = item_classes(panel)
    frame["mean_per_period"] = level
    frame["alpha"] = np.nan
    ended = np.asarray(ends <= panel.as_of)
    history = history_confidence(panel, states, ended=ended, dead=dead, thin=thin, short="short history")
    return pd.concat([frame, history], axis=1)


def _fallbacks(forecaster: Forecaster) -> pd.DataFrame:
    """Items that an adapted model could not do: sku, location, reason."""
    empty = pd.DataFrame({"sku": [], "location": [], "reason": []}, dtype="str")
    frame: pd.DataFrame = getattr(forecaster, "fallbacks", empty)[list(empty)]
    return frame


@nb.njit(cache=True, nogil=True)
def _cut(values, take, keys, factor, counted, share):  # type: ignore[no-untyped-def]
    """Paths times a factor per item, of each period the share that is ahead and on sale."""
    n_items, n_periods = share.shape
    out = np.empty((n_items, take.size, n_periods))
    for i in range(n_items):
        for p in range(take.size):
            for t in range(n_periods):
                x = values[i, take[p], t] * factor[i]
                whole = np.floor(x)
                if not counted[i]:
                    out[i, p, t] = x * share[i, t]
                    continue
                if x != whole or share[i, t] < 1.0:
                    s0, s1 = streams.start(keys[i], (t << 32) | p)
                    # Drawn even if not needed, so that what follows does not depend on the factor.
                    bits, s0, s1 = streams.step(s0, s1)
                    whole = np.floor(x + streams.unit(bits))
                    whole = _thinned(whole, share[i, t], s0, s1)
                out[i, p, t] = whole
    return out


@nb.njit(cache=True)
def _thinned(n, share, s0, s1):  # type: ignore[no-untyped-def]
    """How many of n units stay if each does with probability `share`; never fewer of more units."""
    rare = min(share, 1.0 - share)
    if n <= 0.0 or rare <= 0.0:
        return n if share >= 1.0 else 0.0
    if n * rare * (1.0 - rare) > _NORMAL_FROM:
        bits, s0, s1 = streams.step(s0, s1)
        radius = np.sqrt(-2.0 * np.log(1.0 - streams.unit(bits)))
        bits, s0, s1 = streams.step(s0, s1)
        normal = radius * np.cos(2.0 * np.pi * streams.unit(bits))
        return min(max(np.floor(n * share + np.sqrt(n * rare * (1.0 - rare)) * normal + 0.5), 0.0), n)
    # Gaps between the rare units are geometric, so that large numbers cost no more than what is rare of them.
    count, place = 0.0, 0.0
    while True:
        bits, s0, s1 = streams.step(s0, s1)
        place += np.floor(np.log(1.0 - streams.unit(bits)) / np.log(1.0 - rare)) + 1.0
        if place > n:
            break
        count += 1.0
    return count if share <= 0.5 else n - count
