"""Orders replayed on the past: what a way of ordering would have cost, and the setting that would have cost least.

A window of periods is walked with the library's clock: what arrives comes first, then demand is served from stock, the
rest is lost; at the end of a period an order is placed that knows nothing later. Holding is paid per unit left at the
end of a period, a shortage per unit lost. Recorded demand counts as it is: demand that a stockout hid then is not
known, and all ways of ordering are held against the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.errors import InvalidSettings, NotEnoughHistory
from backorder_forecast.forecasters import forecast_demand
from backorder_forecast.panel import DemandPanel
from backorder_forecast.paths import SamplePaths
from backorder_forecast.reorders import recommend_orders
from backorder_forecast.settings import Settings

Floats = NDArray[np.float64]
Policy = Callable[[int, Floats, Floats], Floats]
"""Periods known, units on hand (n_items,) and coming in the next periods (n_items, lead_time - 1) -> units to order."""

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Candidates of `Settings.surplus_share`."""
START_PERIODS = 13
"""Periods whose mean demand makes the stock at the start of a window."""
LEAST_GAIN = 0.005
"""Share of the cost that another value must save on the past to replace the one that is set."""


@dataclass(frozen=True)
class OrderRules:
    """Lead time and costs of a replay.

    Attributes
    ----------
    lead_time
        Periods from the decision to the first usable period, as in `recommend_orders`.
    shortage_cost, holding_cost
        Money per unit lost, and per unit left at the end of a period.
    n_periods
        Periods of a window.
    """

    lead_time: int = 3
    shortage_cost: float = 1.0
    holding_cost: float = 0.2
    n_periods: int = 8

    def __post_init__(self) -> None:
        if self.lead_time < 1 or self.n_periods < self.lead_time:
            raise InvalidSettings(
                f"a window holds the lead time, which is 1 or more: got {self.lead_time} of {self.n_periods} periods"
            )
        if not (self.shortage_cost > 0 and self.holding_cost > 0):
            raise InvalidSettings(
                f"shortage_cost and holding_cost are positive, got {self.shortage_cost!r} and {self.holding_cost!r}"
            )


@dataclass(frozen=True, eq=False)
class Calibration:
    """The settings that would have cost least, and the cost of each candidate in each window."""

    settings: Settings
    costs: pd.DataFrame = field(repr=False)


def replay_orders(
    panel: DemandPanel,
    first: int,
    policies: Mapping[str, Policy],
    *,
    rules: OrderRules,
    on_hand: Floats | None = None,
    in_transit: Floats | None = None,
) -> pd.DataFrame:
    """Cost of several ways of ordering over one window, each with its own stock.

    The periods before the first order arrives are the same for all and are not counted; orders are placed as long as
    they arrive within the window.

    Parameters
    ----------
    panel
        Demand, at least `first` + `n_periods` periods.
    first
        Periods known at the first decision.
    policies
        By name; see `Policy`.
    rules
        Lead time and costs.
    on_hand, in_transit
        Units at the first decision (n_items,), and arriving in the periods after it (n_items, lead_time - 1); by
        default twice the mean of the last 13 periods, and once that mean in each.

    Returns
    -------
    DataFrame
        policy, cost, holding, shortage, units_lost, fill_rate; one row per policy.

    Examples
    --------
    >>> from backorder_forecast.panel import demand_panel
    >>> weeks = pd.date_range("2024-01-01", periods=30, freq="W-MON")
    >>> panel = demand_panel(pd.DataFrame({"sku": "A", "date": weeks, "quantity": 4.0}), freq="W-MON")
    >>> always = {"four": lambda *state: np.full(1, 4.0), "none": lambda *state: np.zeros(1)}
    >>> replay_orders(panel, 20, always, rules=OrderRules())[["policy", "cost"]].values.tolist()
    [['four', 9.6], ['none', 16.8]]
    """
    last = first + rules.n_periods
    if first < START_PERIODS or last > panel.n_periods:
        raise NotEnoughHistory(
            f"a window of {rules.n_periods} periods after {first} needs {START_PERIODS} periods before it and ends at"
            f" {last}; the panel has {panel.n_periods}"
        )
    waiting = rules.lead_time - 1
    mean = np.round(panel.demand[:, first - START_PERIODS : first].mean(axis=1))
    twice = np.round(2.0 * panel.demand[:, first - START_PERIODS : first].mean(axis=1))
    start = twice if on_hand is None else np.asarray(on_hand, dtype=np.float64)
    coming = np.repeat(mean[:, None], waiting, axis=1) if in_transit is None else np.asarray(in_transit, np.float64)
    stock = {name: start.copy() for name in policies}
    transit = {name: [coming[:, k] for k in range(waiting)] for name in policies}
    held, lost = dict.fromkeys(policies, 0.0), dict.fromkeys(policies, 0.0)
    for t in range(rules.n_periods):
        demand = panel.demand[:, first + t]
        for name, policy in policies.items():
            known = np.stack(transit[name], axis=1) if waiting else np.zeros((panel.n_items, 0))
            orders = t + waiting < rules.n_periods
            transit[name].append(policy(first + t, stock[name], known) if orders else np.zeros(panel.n_items))
            usable = stock[name] + transit[name].pop(0)
            stock[name] = np.maximum(usable - demand, 0.0)
            if t >= waiting:
                held[name] += float(stock[name].sum())
                lost[name] += float(np.maximum(demand - usable, 0.0).sum())
    wanted = float(panel.demand[:, first + waiting : last].sum())
    frame = pd.DataFrame({"policy": list(policies)})
    frame["holding"] = [rules.holding_cost * held[name] for name in policies]
    frame["shortage"] = [rules.shortage_cost * lost[name] for name in policies]
    frame.insert(1, "cost", (frame["holding"] + frame["shortage"]).round(9))
    frame["units_lost"] = [lost[name] for name in policies]
    frame["fill_rate"] = 1.0 - frame["units_lost"] / wanted if wanted > 0 else np.nan
    return frame


def order_policy(
    panel: DemandPanel, rules: OrderRules, settings: Settings, forecast: Callable[[int], SamplePaths]
) -> Policy:
    """`recommend_orders` as a `Policy`: by cost, on the forecast that `forecast` gives for the periods known."""
    items = panel.items[["sku", "location"]].astype("str").reset_index(drop=True)
    terms = items.assign(shortage_cost=rules.shortage_cost, holding_cost=rules.holding_cost)
    chosen = settings.replace(order_target="cost", unmet="lost")
    index = pd.MultiIndex.from_frame(items)

    def policy(known: int, on_hand: Floats, coming: Floats) -> Floats:
        paths = forecast(known)
        on_order = items.loc[np.tile(np.arange(len(items)), coming.shape[1])].reset_index(drop=True)
        on_order["date"] = np.repeat(paths.dates[: coming.shape[1]].to_numpy(), len(items))
        on_order["quantity"] = coming.T.ravel()
        orders = recommend_orders(
            paths, on_hand=pd.Series(on_hand, index=index), receipts=on_order, lead_time=rules.lead_time, items=terms,
            settings=chosen,
        )  # fmt: skip
        return orders["order_quantity"].to_numpy(dtype=np.float64)

    return policy


def calibrate_orders(
    panel: DemandPanel,
    *,
    rules: OrderRules,
    settings: Settings | None = None,
    n_windows: int = 3,
    shares: Sequence[float] = SHARES,
    forecast: Callable[[int], SamplePaths] | None = None,
) -> Calibration:
    """Choose `Settings.surplus_share` by replaying orders over the last windows of a panel.

    Parameters
    ----------
    panel
        The past only: nothing outside it is looked at.
    rules
        Lead time, costs and length of a window.
    settings
        Where the search starts; its own share stays unless another saves at least `LEAST_GAIN`.
    n_windows
        Windows, one after another, the last one ending with the panel; fewer where the history is short.
    shares
        Candidates.
    forecast
        Periods known -> demand paths of at least the lead time; `forecast_demand` on the panel until then by default.
        Give one that remembers its answers to save time.

    Returns
    -------
    Calibration
        `settings` to order with, and `costs`: window (periods known at its start), surplus_share, cost.

    Raises
    ------
    NotEnoughHistory
        If not even one window fits after a year of history or as many periods as it takes to start.
    """
    settings = settings or Settings()

    def fresh(known: int) -> SamplePaths:
        paths = forecast_demand(panel.until(known), horizon=rules.n_periods, seed=settings.seed, settings=settings)
        return SamplePaths.from_array(paths.draw(), paths.items, paths.dates)

    given = forecast or fresh
    latest: dict[int, SamplePaths] = {}

    def once(known: int) -> SamplePaths:
        # All candidates decide on the same period one after the other.
        if known not in latest:
            latest.clear()
            latest[known] = given(known)
        return latest[known]

    candidates = sorted({*shares, settings.surplus_share})
    policies = {
        str(share): order_policy(panel, rules, settings.replace(surplus_share=share), once) for share in candidates
    }
    starts = [panel.n_periods - rules.n_periods * k for k in range(n_windows, 0, -1)]
    starts = [start for start in starts if start >= START_PERIODS]
    if not starts:
        raise NotEnoughHistory(
            f"a window of {rules.n_periods} periods after {START_PERIODS} is needed to choose on the past; the panel"
            f" has {panel.n_periods}"
        )
    frames = []
    for start in starts:
        frame = replay_orders(panel, start, policies, rules=rules)
        frames.append(pd.DataFrame({"window": start, "surplus_share": candidates, "cost": frame["cost"].to_numpy()}))
    costs = pd.concat(frames, ignore_index=True)
    return Calibration(settings.replace(surplus_share=_cheapest(costs, settings.surplus_share)), costs)


def _cheapest(costs: pd.DataFrame, present: float) -> float:
    """The share of least cost relative to that of the present one, windows counting alike."""
    table = costs.pivot(index="window", columns="surplus_share", values="cost")
    base = table[present].where(table[present] > 0, 1.0)
    relative = table.div(base, axis=0).mean()
    best = int(relative.to_numpy().argmin())
    return float(relative.index[best]) if relative.iloc[best] <= relative[present] - LEAST_GAIN else present


def cheapest_of(costs: pd.DataFrame, settings: Settings | None = None) -> Settings:
    """The settings that `calibrate_orders` would choose from costs of windows already replayed.

    Examples
    --------
    >>> costs = pd.DataFrame({"window": 20, "surplus_share": [0.25, 1.0], "cost": [10.0, 9.0]})
    >>> cheapest_of(costs).surplus_share
    1.0
    """
    settings = settings or Settings()
    return settings.replace(surplus_share=_cheapest(costs, settings.surplus_share))
