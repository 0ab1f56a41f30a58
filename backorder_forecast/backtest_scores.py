"""Scores of replayed origins, each beside a simple rival on the same rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.distributions import nb_quantile
from backorder_forecast.order_scores import OrderBacktest
from backorder_forecast.scores import average_precision, brier, pinball

LEVELS = (0.1, 0.5, 0.75, 0.9, 0.95)
"""Quantile levels at which forecasts are scored."""
BETTER = {
    "pinball": "lower", "wape": "lower", "share_in_80_interval": "near the nominal", "zero_stock_brier": "lower",
    "zero_stock_average_precision": "higher", "kept_share": "near the stated", "slack_days": "lower, if kept",
    "re_promises_per_line": "lower", "profit_per_line": "higher", "cost": "lower", "fill_rate": "higher",
    "stock_at_fill_0.9": "lower", "stock_at_fill_0.95": "lower", "stock_at_fill_0.98": "lower",
}  # fmt: skip
"""Which way each score is better."""


def origin_scores(
    forecasts: pd.DataFrame, flags: pd.DataFrame, promises: pd.DataFrame, rivals: pd.DataFrame, cutoffs: pd.DataFrame,
    *, level: float,
) -> pd.DataFrame:  # fmt: skip
    """Scores per origin of what `backtest` keeps: origin, stage, score, value, rival, rival_value, n.

    `level` is the nominal probability of promises. Where no rule stands beside a score, rival is empty and rival_value
    NaN.
    """
    columns = ["origin", "stage", "score", "value", "rival", "rival_value", "n"]
    rows: list[tuple[object, ...]] = []

    def add(origin: object, stage: str, score: str, value: float, rival: str, other: float, n: int) -> None:
        rows.append((origin, stage, score, value, rival, other, n))

    for origin, part in forecasts[forecasts["in_stock"]].groupby("origin"):
        actual, average = part["actual"].to_numpy(), part["average"].to_numpy()
        loss, error = _losses(actual, part)
        # The moving average with a Poisson spread is what a spreadsheet with safety stock amounts to.
        poisson = pd.DataFrame({q: nb_quantile(q, average, average) for q in LEVELS} | {"mean": average})
        others = {"moving average, Poisson": poisson} | {
            str(name): part[["sku", "location"]].merge(told, on=["sku", "location"], how="left")
            for name, told in rivals[rivals["origin"] == origin].groupby("rival", sort=False)
        }
        for name, told in others.items():
            rival_loss, rival_error = _losses(actual, told)
            add(origin, "forecast", "pinball", loss, name, rival_loss, len(part))
            add(origin, "forecast", "wape", error, name.removesuffix(", Poisson"), rival_error, len(part))
        inside = (part[0.1] <= actual) & (actual <= part[0.9])
        add(origin, "forecast", "share_in_80_interval", float(inside.mean()), "nominal", 0.8, len(part))
    for origin, part in flags.groupby("origin"):
        outcome = part["ran_out"].to_numpy(dtype=np.float64)
        rate = np.full(len(part), outcome.mean())
        p = part["p_zero"].to_numpy()
        ours, rival = float(brier(p, outcome)), float(brier(rate, outcome))
        add(origin, "flag", "zero_stock_brier", ours, "base rate", rival, len(part))
        if 0 < outcome.sum() < len(outcome):
            cover = -part["days_of_cover"].clip(upper=1e6).to_numpy()
            ours, rival = average_precision(p, outcome), average_precision(cover, outcome)
            add(origin, "flag", "zero_stock_average_precision", float(ours), "days of cover", float(rival), len(part))
    for origin, part in promises[promises["kept"].notna()].groupby("origin"):
        stated = float(part["p_at_promise"].mean())
        kept = float(part["kept"].mean())
        add(origin, "promise", "kept_share", kept, "stated", stated, len(part))
        add(origin, "promise", "kept_share", kept, "nominal", level, len(part))
        slack = part["slack_days"].dropna()
        if len(slack):
            add(origin, "promise", "slack_days", float(slack.mean()), "", np.nan, len(slack))
    for origin, part in promises[promises["moved"].notna()].groupby("origin"):
        moves = float((part["moved"] != 0).mean())
        add(origin, "promise", "re_promises_per_line", moves, "", np.nan, len(part))
    for origin, part in cutoffs.groupby("origin"):
        ours = float(part["money"].where(part["accepted"], 0.0).mean())
        every = float(part["money"].mean())
        add(origin, "cutoff", "profit_per_line", ours, "accept every wait", every, len(part))
        add(origin, "cutoff", "profit_per_line", ours, "accept none", 0.0, len(part))
    return pd.DataFrame(rows, columns=columns)


def replayed_order_scores(orders: OrderBacktest) -> pd.DataFrame:
    """Cost and fill rate at calibrated targets, and stock at equal fill rate, of the way that the settings ask for."""
    frame = orders.summary().drop(columns="better")
    # One row per question: a score that no rival stands beside answers none.
    frame = frame[frame["rival"] != ""].reset_index(drop=True)
    frame.insert(0, "origin", pd.Series(pd.NaT, index=frame.index, dtype="datetime64[s]"))
    return frame


def _losses(actual: NDArray[np.float64], told: pd.DataFrame) -> tuple[float, float]:
    """Mean pinball loss over the levels, and the summed absolute error of the mean as a share of demand."""
    loss = np.mean([pinball(actual, told[q].to_numpy(), q).mean() for q in LEVELS])
    error = np.abs(told["mean"].to_numpy() - actual).sum() / max(float(actual.sum()), 1e-9)
    return float(loss), float(error)
