"""The worth of a wait as a curve, and which assumption moves the acceptable wait most.

Each assumption of V(w) (see `waits.py`) is made smaller and larger by the same share, all else as it is; the cutoff is
searched again. What moves it most is what is worth knowing better. Money is per line, days count from the order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from backorder_forecast.plots import AHEAD, ALARM, GRID, INK, MUTED, figure_class, style
from backorder_forecast.waits import StayLaw, WaitTerms, expected_value, wait_cutoff

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

ASSUMPTIONS = ("margin", "refund cost", "daily cost", "goodwill", "worth of refusing", "patience")
CHANGE = 0.2
"""Share by which each assumption is moved."""


def cutoff_shifts(
    terms: WaitTerms, law: StayLaw, *, max_days: int, change: float = CHANGE
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cutoffs with each of `ASSUMPTIONS` smaller and larger by the share `change`, each (n_items, n_assumptions), days.

    More patience is a smaller hazard of cancelling. An assumption that is 0 stays so and moves nothing.

    Examples
    --------
    >>> terms = WaitTerms(*(np.array([x]) for x in (20.0, 6.0, 0.05, 0.0, 0.0, 0.0)))
    >>> less, more = cutoff_shifts(terms, StayLaw.exponential(1 / 30), max_days=365)
    >>> dict(zip(ASSUMPTIONS, zip(less.round(1)[0].tolist(), more.round(1)[0].tolist())))["patience"]
    (31.9, 45.8)
    """
    less, more = (np.empty((len(law.shape), len(ASSUMPTIONS))) for _ in range(2))
    usual = wait_cutoff(terms, law, max_days=max_days)
    for k, name in enumerate(ASSUMPTIONS):
        for out, factor in ((less, 1.0 - change), (more, 1.0 + change)):
            out[:, k] = usual
            changed, stays = _changed(terms, law, name, factor)
            if changed is not terms or stays is not law:
                out[:, k] = wait_cutoff(changed, stays, max_days=max_days)
    return less, more


def sensitivity_frame(
    terms: WaitTerms, law: StayLaw, usual: NDArray[np.float64], *, max_days: int, change: float = CHANGE
) -> pd.DataFrame:
    """The assumption that moves each item's own cutoff most: sensitive_to (empty: none does), cutoff_if_less and
    cutoff_if_more (days, with that assumption smaller and larger by the share `change`).

    `usual` is the cutoff as it is, shape (n_items,).
    """
    less, more = cutoff_shifts(terms, law, max_days=max_days, change=change)
    moved = np.maximum(np.abs(less - usual[:, None]), np.abs(more - usual[:, None]))
    best = moved.argmax(axis=1) if len(usual) else np.zeros(0, dtype=np.int64)
    rows = np.arange(len(usual))
    named = np.where(moved[rows, best] >= 0.5, np.array(ASSUMPTIONS)[best], "")
    return pd.DataFrame(
        {"sensitive_to": named, "cutoff_if_less": less[rows, best], "cutoff_if_more": more[rows, best]}
    ).astype({"sensitive_to": "str"})


def value_curve(terms: WaitTerms, law: StayLaw, *, days: int, low: StayLaw, high: StayLaw) -> pd.DataFrame:
    """What a line of one item is worth by its wait.

    Parameters
    ----------
    terms, law
        Of one item.
    days
        Longest wait shown.
    low, high
        The law at the ends of the interval of its hazard.

    Returns
    -------
    One row per day from 0: days, stays (share of customers still waiting), value_accept (money per line),
    value_accept_low, value_accept_high, value_refuse.

    Examples
    --------
    >>> terms = WaitTerms(*(np.array([x]) for x in (20.0, 6.0, 0.05, 0.0, 0.0, 0.0)))
    >>> law = StayLaw.exponential(1 / 30)
    >>> curve = value_curve(terms, law, days=60, low=law.times(1.3), high=law.times(0.8))
    >>> curve.loc[curve["value_accept"] >= curve["value_refuse"], "days"].max()
    np.int64(38)
    """
    grid = np.arange(days + 1)
    waits = grid.astype(np.int32)[:, None]

    def at_each(one: StayLaw) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        zero = np.zeros(len(grid), dtype=np.int64)
        return expected_value(waits, terms.of_items(zero), one.of_items(zero), cap_days=float(days))

    (value, stays), ends = at_each(law), [at_each(one)[0] for one in (low, high)]
    return pd.DataFrame(
        {"days": grid, "stays": stays, "value_accept": value, "value_accept_low": np.minimum(*ends),
         "value_accept_high": np.maximum(*ends), "value_refuse": float(terms.refuse_value[0])}
    )  # fmt: skip


def draw_wait_value(
    axes: Axes, curve: pd.DataFrame, *, cutoff_days: float, low_days: float, high_days: float, wait_days: float
) -> None:
    """The curve of `value_curve` with the cutoff, its 80 % interval, and the wait of a line taken today."""
    axes.fill_between(
        curve["days"], curve["value_accept_low"], curve["value_accept_high"], color=AHEAD, alpha=0.18, linewidth=0
    )
    axes.plot(curve["days"], curve["value_accept"], color=AHEAD, linewidth=1.8, label="taken")
    axes.plot(curve["days"], curve["value_refuse"], color=MUTED, linewidth=1.2, label="refused")
    axes.axvspan(low_days, high_days, color=GRID, alpha=0.6, linewidth=0)
    axes.axvline(cutoff_days, color=INK, linewidth=1.2, label=f"longest wait {cutoff_days:.0f} days")
    if np.isfinite(wait_days) and wait_days <= curve["days"].iloc[-1]:
        axes.axvline(
            wait_days, color=ALARM, linewidth=1.2, linestyle=(0, (3, 2)), label=f"wait now {wait_days:.0f} days (mean)"
        )
    axes.margins(x=0)
    axes.set_xlabel("days a new line waits")
    axes.set_ylabel("worth of a line")
    axes.legend(frameon=False, fontsize=8, labelcolor=MUTED)


def wait_figure(curve: pd.DataFrame, cutoff: Mapping[Any, Any], *, width: float = 8.0) -> Figure:
    """Figure of one item: the worth of a line by its wait, and its row of `wait_cutoffs` in words."""
    import matplotlib as mpl

    with mpl.rc_context(style()):
        figure = figure_class()(figsize=(width, 0.42 * width), layout="constrained")
        axes = figure.add_subplot()
        draw_wait_value(
            axes, curve, cutoff_days=cutoff["wait_cutoff_days"], low_days=cutoff["wait_cutoff_days_low"],
            high_days=cutoff["wait_cutoff_days_high"], wait_days=cutoff["expected_wait_days"],
        )  # fmt: skip
        figure.suptitle(f"{cutoff['sku']}: {cutoff['decision']}", x=0.012, ha="left", fontsize=11, weight="bold")
        own, drawn = f"{cutoff['own_cutoff_days']:.0f}", f"{cutoff['wait_cutoff_days']:.0f}"
        words = [] if own == drawn else [f"own value {own} days, drawn to {drawn} by the usual band"]
        if cutoff["sensitive_to"]:
            less, more = cutoff["cutoff_if_less"], cutoff["cutoff_if_more"]
            words.append(f"with 20 % less or more {cutoff['sensitive_to']} {less:.0f} or {more:.0f}")
        axes.set_title("; ".join(words), loc="left", fontsize=8.5, color=MUTED)
    return figure


def _changed(terms: WaitTerms, law: StayLaw, name: str, factor: float) -> tuple[WaitTerms, StayLaw]:
    """Terms and law with one assumption multiplied; the same objects where that changes nothing."""
    if name == "patience":
        return terms, law.times(1.0 / factor)
    fields = {
        "margin": ("margin",), "refund cost": ("refund_cost",), "daily cost": ("daily_cost",),
        "goodwill": ("goodwill", "goodwill_late"), "worth of refusing": ("refuse_value",),
    }[name]  # fmt: skip
    if not any(getattr(terms, field).any() for field in fields):
        return terms, law
    return replace(terms, **{field: getattr(terms, field) * factor for field in fields}), law
