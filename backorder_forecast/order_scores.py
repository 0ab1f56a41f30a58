"""Ways of ordering held against each other after a replay: money, fill rates, and stock at equal fill rate.

Money: holding is paid for stock at the end of each period, a shortage once for each unit that is not served at once, by
the costs that `recommend_orders` uses. Items of unknown cost are left out of all figures where others have one. The
scored time is cut into folds, and the target of each way is the one that was cheapest on the folds before, so that a
rival is not beaten by a poor setting; the first fold only serves to choose. Intervals are a bootstrap over items, the
same draws for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.order_replay import Tallies
from backorder_forecast.order_ways import BY_COST
from backorder_forecast.plots import AHEAD, ORDER, PAST, STOCK
from backorder_forecast.settings import Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

FILL_RATES = (0.9, 0.95, 0.98)
_N_DRAWS = 400


@dataclass(frozen=True, eq=False)
class OrderBacktest:
    """Ways of ordering held against each other.

    Attributes
    ----------
    items
        sku, location, unit_cost (1 where no item has one), shortage_cost, holding_cost (per unit and day), scored.
    rows
        way, target, ours: the first axis of `tallies`.
    reviews
        day, way, target, order_units, order_value, stock_value, units_short (of the periods up to the next review).
    tallies
        Sums per row, item and fold.
    periods
        First days of the scored periods, and `fold` of each.
    settings
        The choices; without costs the targets are chosen for their service level.
    notes
        What was left out or assumed.
    """

    items: pd.DataFrame
    rows: pd.DataFrame
    reviews: pd.DataFrame
    tallies: Tallies = field(repr=False)
    periods: pd.DataFrame = field(repr=False)
    settings: Settings
    notes: tuple[str, ...]

    @property
    def money_known(self) -> bool:
        """Whether shortages and holding have a cost."""
        return bool(self.items["shortage_cost"].notna().any())

    def curve(self) -> pd.DataFrame:
        """Every target of every way over all folds.

        Returns
        -------
        DataFrame
            way, target, fill_rate (units served at once over units wanted), stock_value (mean at period ends; units
            where no cost is known), cost, holding, shortage (money, empty where no cost is known), units_short,
            waiting_unit_days, n_orders.
        """
        scored = self.items["scored"].to_numpy(dtype=bool)
        holding, shortage = (part[:, scored].sum(axis=(1, 2)) for part in self._money())
        demand = float(self.tallies.demand[scored].sum())
        filled = self.tallies.filled[:, scored].sum(axis=(1, 2))
        frame = self.rows.copy()
        frame["fill_rate"] = filled / demand if demand > 0 else np.nan
        frame["stock_value"] = self._stock_value()[:, scored].sum(axis=1)
        frame["cost"], frame["holding"], frame["shortage"] = holding + shortage, holding, shortage
        if not self.money_known:
            frame[["cost", "holding", "shortage"]] = np.nan
        frame["units_short"] = demand - filled
        frame["waiting_unit_days"] = self.tallies.waited[:, scored].sum(axis=(1, 2))
        frame["n_orders"] = self.tallies.ordered[:, scored].sum(axis=(1, 2)).astype(np.int64)
        return frame

    def at_equal_fill(self, rates: Sequence[float] = FILL_RATES, *, seed: int = 0) -> pd.DataFrame:
        """Stock that each way needs for the same fill rate, from straight lines between its targets.

        Parameters
        ----------
        rates
            Fill rates.
        seed
            Of the bootstrap over items.

        Returns
        -------
        DataFrame
            fill_rate, way, stock_value (empty where the way's targets do not reach the rate); for ours also rival (the
            best of the others there), saving (share of its stock), saving_0.025 and saving_0.975 (bootstrap over items,
            same rival; empty where one of the two seldom reaches the rate).
        """
        weights = self._weights(seed)
        value, filled = self._stock_value() @ weights.T, self.tallies.filled.sum(axis=2) @ weights.T
        wanted = self.tallies.demand.sum(axis=1) @ weights.T
        share = filled / np.maximum(wanted, 1e-12)
        out = []
        for rate in rates:
            stock = {way: _stock_at(rate, share[rows], value[rows]) for way, rows in self._ways().items()}
            for way, needed in stock.items():
                out.append((rate, way, needed[0], *self._against(way, stock)))
        columns = ["fill_rate", "way", "stock_value", "rival", "saving", "saving_0.025", "saving_0.975"]
        return pd.DataFrame(out, columns=columns)

    def costs(self, *, seed: int = 0) -> pd.DataFrame:
        """Each way at the target that was best on the folds before, over the folds after the first.

        Returns
        -------
        DataFrame
            way, targets (chosen per fold), fill_rate, stock_value, cost; for ours also rival (the cheapest of the
            others), saving (share of its cost), saving_0.025, saving_0.975 (bootstrap over items). Without costs the
            target is the first whose fill rate on the folds before reaches the service level; cost and savings are
            empty.
        """
        holding, shortage = self._money()
        cost = holding + shortage
        weights, unit = self._weights(seed), self.items["unit_cost"].to_numpy(dtype=np.float64)
        wanted = self.tallies.demand[:, 1:].sum(axis=1) @ weights.T
        out: list[tuple[object, ...]] = []
        spent: dict[str, Floats] = {}
        for way, rows in self._ways().items():
            at = np.flatnonzero(rows)
            chosen = [at[self._best(cost[at], self.tallies.filled[at], fold)] for fold in range(1, cost.shape[2])]
            money, filled, stock = (
                np.sum([sums[row, :, fold] for fold, row in enumerate(chosen, start=1)], axis=0)
                for sums in (cost, self.tallies.filled, self.tallies.stock)
            )
            spent[way] = money @ weights.T
            targets = ", ".join(f"{self.rows['target'].iloc[row]:g}" for row in chosen)
            value = float(np.nansum(stock * unit * weights[0]) / self._days()[1:].sum())
            out.append((way, targets, float((filled @ weights[0]) / max(wanted[0], 1e-12)), value))
        frame = pd.DataFrame(out, columns=["way", "targets", "fill_rate", "stock_value"])
        frame["cost"] = [money[0] if self.money_known else np.nan for money in spent.values()]
        told = [self._against(way, spent) if self.money_known else ("", *[np.nan] * 3) for way in spent]
        columns = ["rival", "saving", "saving_0.025", "saving_0.975"]
        return pd.concat([frame, pd.DataFrame(told, columns=columns)], axis=1)

    def summary(self) -> pd.DataFrame:
        """The way that the settings ask for, beside its best rival.

        Returns
        -------
        DataFrame
            stage ("orders"), score (cost and fill_rate at calibrated targets, stock_at_fill_0.9 and the like), better,
            value, rival, rival_value (empty where there is none), n (items scored). Cost is left out where none is
            known, stock where the way's targets do not reach the rate.
        """
        costs, equal = self.costs().set_index("way"), self.at_equal_fill().set_index(["fill_rate", "way"])
        ours = self.rows.loc[self.rows["ours"], "way"]
        wanted = BY_COST if self.settings.order_target == "cost" and (ours == BY_COST).any() else ours.iloc[0]
        rival = str(costs.loc[wanted, "rival"])
        rows: list[tuple[object, ...]] = []
        for score, better in (("cost", "lower"), ("fill_rate", "higher")):
            if score == "fill_rate" or self.money_known:
                theirs = costs.loc[rival, score] if rival else np.nan
                rows.append((score, better, costs.loc[wanted, score], rival, theirs))
        for rate in FILL_RATES:
            stock, best = equal.loc[(rate, wanted), "stock_value"], str(equal.loc[(rate, wanted), "rival"])
            if np.isfinite(stock):
                theirs = equal.loc[(rate, best), "stock_value"] if best else np.nan
                rows.append((f"stock_at_fill_{rate:g}", "lower", stock, best, theirs))
        frame = pd.DataFrame(rows, columns=["score", "better", "value", "rival", "rival_value"])
        frame.insert(0, "stage", "orders")
        return frame.assign(n=int(self.items["scored"].sum()))

    def _ways(self) -> dict[str, NDArray[np.bool_]]:
        """Rows of each way."""
        return {way: (self.rows["way"] == way).to_numpy() for way in dict.fromkeys(self.rows["way"])}

    def _against(self, way: str, paid: dict[str, Floats]) -> tuple[str, float, float, float]:
        """The best rival of one of our ways, the share of what it pays that ours saves, and the interval of that."""
        theirs = set(self.rows.loc[~self.rows["ours"], "way"])
        rivals = {name: values for name, values in paid.items() if name in theirs and np.isfinite(values[0])}
        if way in theirs or not rivals:
            return "", np.nan, np.nan, np.nan
        best = min(rivals, key=lambda name: float(rivals[name][0]))
        saving = 1.0 - paid[way] / np.where(rivals[best] > 0, rivals[best], np.nan)
        return best, float(saving[0]), *_interval(saving[1:])

    def plot(self, axes: Axes | None = None) -> Axes:
        """Stock against fill rate, a line per way with a point per target: lower and further right is better.

        Draws into `axes`, a new figure if none are given, and returns them.
        """
        if axes is None:
            import matplotlib.pyplot as plt

            _, axes = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
        curve = self.curve()
        ours, theirs = iter((AHEAD, STOCK)), iter((ORDER, PAST))
        for way, part in curve.groupby("way", sort=False):
            points = part.sort_values("fill_rate")
            mine = bool(points["ours"].iloc[0])
            colour = next(ours, AHEAD) if mine else next(theirs, PAST)
            width = 2.0 if mine else 1.2
            axes.plot(points["fill_rate"], points["stock_value"], "o-", markersize=4, linewidth=width, color=colour,
                      label=str(way))  # fmt: skip
        axes.set_xlabel("share of demand served at once")
        axes.set_ylabel("mean stock, value" if self.money_known else "mean stock, units")
        axes.xaxis.set_major_formatter("{x:.0%}")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        return axes

    def _best(self, cost: Floats, filled: Floats, fold: int) -> int:
        """Place of the target to take in a fold, from the folds before it."""
        scored = self.items["scored"].to_numpy(dtype=bool)
        if self.money_known:
            return int(cost[:, scored, :fold].sum(axis=(1, 2)).argmin())
        rate = filled[:, scored, :fold].sum(axis=(1, 2)) / max(float(self.tallies.demand[scored, :fold].sum()), 1e-12)
        reached = np.flatnonzero(rate >= self.settings.service_level)
        return int(reached[0]) if len(reached) else int(rate.argmax())

    def _money(self) -> tuple[Floats, Floats]:
        """Holding and shortage per row, item and fold."""
        items, scored = self.items, self.items["scored"].to_numpy(dtype=bool)[:, None]
        short = self.tallies.demand - self.tallies.filled
        holding = self.tallies.stock * np.where(scored, items["holding_cost"].to_numpy()[:, None], 0.0)
        shortage = short * np.where(scored, items["shortage_cost"].to_numpy()[:, None], 0.0)
        return np.nan_to_num(holding), np.nan_to_num(shortage)

    def _stock_value(self) -> Floats:
        unit = self.items["unit_cost"].to_numpy(dtype=np.float64)
        return np.asarray(np.nan_to_num(self.tallies.stock.sum(axis=2) * unit) / self._days().sum())

    def _days(self) -> Floats:
        """Days of each fold."""
        return np.bincount(self.periods["fold"], weights=self.periods["days"]).astype(np.float64)

    def _weights(self, seed: int) -> Floats:
        """How often each item counts: once, then as drawn with replacement; (1 + n_draws, n_items)."""
        scored = self.items["scored"].to_numpy(dtype=bool)
        n = int(scored.sum())
        drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=_N_DRAWS)
        weights = np.zeros((1 + _N_DRAWS, len(scored)))
        weights[:, scored] = np.concatenate([np.ones((1, n)), drawn])
        return weights


def _stock_at(rate: float, share: Floats, value: Floats) -> Floats:
    """Stock value at a fill rate, by draw (n_draws,); NaN where the targets end before it."""
    out = np.full(share.shape[1], np.nan)
    for d in range(share.shape[1]):
        order = np.argsort(share[:, d], kind="stable")
        fill, stock = share[order, d], value[order, d]
        if fill[0] <= rate <= fill[-1]:
            out[d] = np.interp(rate, fill, stock)
    return out


def _interval(draws: Floats) -> tuple[float, float]:
    known = draws[np.isfinite(draws)]
    if len(known) < 0.9 * len(draws):
        return np.nan, np.nan
    return float(np.quantile(known, 0.025)), float(np.quantile(known, 0.975))
