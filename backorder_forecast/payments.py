"""What money paid in advance does to patience: cancellations per waiting day by terms of payment, within the same item.

Lines are told apart by what was paid in advance: nothing, a part (deposit), all (full). The rate ratio against nothing
compares lines of the same item, since dear items have other customers than cheap ones. Where each item has terms of
its own, items of the same category and product type are compared, `FEWEST_ITEMS` or more on both sides; as they differ
in more than their terms, that only moves the assumption as far as its error allows. With fewer than `FEWEST_CANCELLED`
cancellations on either side the assumption of `Settings.payment_hazard` stands. Instalments look like a deposit in a
table of amounts: theirs is always the assumption. An item's patience is learned from its lines as
they are paid, so a line's own hazard is its factor over the item's usual one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backorder_forecast.patience import CANCELLED, PRIOR_SHAPE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backorder_forecast.lines import BackorderLines
    from backorder_forecast.settings import Settings

FEWEST_CANCELLED = 20
"""Cancellations per terms, on both sides of the comparison, from which the effect is estimated."""
FEWEST_ITEMS = 10
"""Items on both sides from which lines of different items are compared. Judgement."""
ITEMS_APART, ASSUMED_WITHIN = 0.5, 0.35
"""Standard deviations of the logarithm: of the hazards of items of one group, and of the assumptions. Judgement."""
STRATA = ("none", "deposit", "full")
ASSUMED, ESTIMATED, BY_CATEGORY = "assumption", "estimated", "estimated within categories"


@dataclass(frozen=True, eq=False)
class Payments:
    """What terms of payment multiply the cancellation hazard by.

    Attributes
    ----------
    table
        One row per terms: terms, hazard (multiplier against none), basis (assumption, estimated, or estimated within
        categories), n_cancelled and waiting_days (of the lines compared), standard_error (of the logarithm; NaN where
        assumed).
    usual
        Mean multiplier of the lines from which each item's patience is learned, shape (n_items,); 1 without any.
    """

    table: pd.DataFrame
    usual: NDArray[np.float64]

    @property
    def hazard(self) -> dict[str, float]:
        """Multiplier by terms."""
        return dict(zip(self.table["terms"], self.table["hazard"].astype(float), strict=True))

    def factor(self, item: NDArray[np.int64], share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Hazard of lines by the share paid in advance, over the usual one of their items, elementwise."""
        return np.asarray(payment_factor(share, self.hazard) / self.usual[item], dtype=np.float64)

    @property
    def note(self) -> str:
        """What was estimated, in a sentence; empty where all is assumed."""
        own = self.table[self.table["basis"] != ASSUMED]
        parts = [f"{r['terms']} {r['hazard']:.2f} ({r['n_cancelled']} cancellations)" for r in own.to_dict("records")]
        if not parts:
            return ""
        return "effect of payment in advance on cancellations, estimated from the shop's own lines: " + ", ".join(parts)


def paid_share(lines: pd.DataFrame) -> NDArray[np.float64]:
    """Share of each line's price that was paid in advance, NaN where no price is known, at most 1.

    Examples
    --------
    >>> lines = pd.DataFrame({"unit_price": [5.0, 5.0, float("nan")], "ordered_quantity": 2.0,
    ...                       "prepaid_amount": [3.0, float("nan"), 3.0]})
    >>> paid_share(lines).tolist()
    [0.3, 0.0, nan]
    """
    value = lines["unit_price"].to_numpy(np.float64) * lines["ordered_quantity"].to_numpy(np.float64)
    paid = np.nan_to_num(lines["prepaid_amount"].to_numpy(np.float64))
    known = value > 0
    share = np.where(known, np.minimum(paid / np.where(known, value, 1.0), 1.0), np.nan)
    # Nothing paid is nothing paid at any price.
    return np.asarray(np.where(paid == 0, 0.0, share), dtype=np.float64)


def payment_factor(share: NDArray[np.float64], hazard: Mapping[str, float]) -> NDArray[np.float64]:
    """Hazard multiplier of lines by the share paid in advance, elementwise.

    Examples
    --------
    >>> payment_factor(np.array([0.0, 0.3, 1.0]), {"none": 1.0, "deposit": 0.7, "full": 0.5}).tolist()
    [1.0, 0.7, 0.5]
    """
    return np.select([share >= 1.0 - 1e-9, share > 0.0], [hazard["full"], hazard["deposit"]], hazard["none"])


def payment_effect(
    lines: BackorderLines, n_items: int, settings: Settings, *, group: NDArray[np.int64] | None = None
) -> Payments:
    """Effect of payment in advance on cancellations, from closed and open lines.

    `group` is the code of each item's category and product type, shape (n_items,); -1 none.

    Source: the Mantel-Haenszel ratio of rates per time (Rothman & Boice 1979), items as strata; its variance by
    Greenland & Robins (1985).
    """
    item, days, gone, share = _cases(lines)
    stratum = np.select([np.isnan(share), share >= 1.0 - 1e-9, share > 0.0], [-1, 2, 1], 0)
    size = (n_items, len(STRATA))
    known = stratum >= 0
    place = item[known] * len(STRATA) + stratum[known]
    events = np.bincount(place, gone[known], n_items * len(STRATA)).astype(np.float64).reshape(size)
    time = np.bincount(place, days[known], n_items * len(STRATA)).astype(np.float64).reshape(size)
    some = (time > 0).astype(np.float64)
    records = []
    for terms, assumed in settings.payment_hazard.items():
        found = (terms, float(assumed), ASSUMED, 0, 0.0, np.nan)
        for basis, codes in ((ESTIMATED, np.arange(n_items)), (BY_CATEGORY, group)):
            if terms not in STRATA[1:] or found[2] != ASSUMED or codes is None:
                continue
            s = STRATA.index(terms)
            e, t, items = (_by_group(codes, x) for x in (events, time, some))
            both = (t[:, s] > 0) & (t[:, 0] > 0)
            counts = e[both][:, [0, s]].sum(axis=0)
            enough = counts.min() >= FEWEST_CANCELLED
            compared = items[both][:, [0, s]].sum(axis=0)
            if enough and (basis == ESTIMATED or compared.min() >= FEWEST_ITEMS):
                ratio, error = _rate_ratio(e[both, s], t[both, s], e[both, 0], t[both, 0])
                if basis == BY_CATEGORY:
                    ratio, error = _drawn(
                        ratio, float(assumed), error**2 + ITEMS_APART**2 * float((1 / compared).sum())
                    )
                found = (terms, ratio, basis, int(counts[1]), float(t[both, s].sum()), error)
        records.append(found)
    names = ["terms", "hazard", "basis", "n_cancelled", "waiting_days", "standard_error"]
    table = pd.DataFrame(records, columns=names)
    hazard = dict(zip(table["terms"], table["hazard"].astype(float), strict=True))
    factor = payment_factor(np.nan_to_num(share), hazard)
    own_days, slowed = np.bincount(item, days, n_items), np.bincount(item, days * factor, n_items)
    # The prior of patience is of lines without payment, and weighs like its own days.
    prior = PRIOR_SHAPE * settings.patience_priors["standard"][1]
    return Payments(table, (slowed + prior) / (own_days + prior))


def _by_group(group: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over the items of each group, shape (n_groups, n_columns); items of group -1 are left out."""
    mine = group >= 0
    out = np.zeros((int(group.max(initial=-1)) + 1, values.shape[1]))
    np.add.at(out, group[mine], values[mine])
    return out


def _rate_ratio(
    events: NDArray[np.float64], time: NDArray[np.float64], base: NDArray[np.float64], base_time: NDArray[np.float64]
) -> tuple[float, float]:
    """Ratio of the rates, and the standard error of its logarithm."""
    total = time + base_time
    top, bottom = float((events * base_time / total).sum()), float((base * time / total).sum())
    if top <= 0.0 or bottom <= 0.0:
        return 1.0, float("inf")
    variance = float(((events + base) * time * base_time / total**2).sum()) / (top * bottom)
    return top / bottom, float(np.sqrt(variance))


def _drawn(ratio: float, assumed: float, variance: float) -> tuple[float, float]:
    """The ratio drawn to the assumption, each weighing by its precision, and the error of the logarithm."""
    weight = ASSUMED_WITHIN**2 / (ASSUMED_WITHIN**2 + variance)
    return float(np.exp(weight * np.log(ratio) + (1 - weight) * np.log(assumed))), float(np.sqrt(weight * variance))


def _cases(
    lines: BackorderLines,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Item, days waited, whether cancelled, and share paid of each line whose wait is known."""
    closed = lines.closed[lines.closed["days"].notna()]
    parts = [(closed, closed["days"], closed["outcome"].isin(CANCELLED))]
    parts.append((lines.frame, lines.frame["waited_days"], pd.Series(False, index=lines.frame.index)))
    item = np.concatenate([part["item"].to_numpy(np.int64) for part, _, _ in parts])
    days = np.concatenate([wait.to_numpy(np.float64) for _, wait, _ in parts])
    gone = np.concatenate([left.to_numpy(np.float64) for _, _, left in parts])
    return item, days, gone, np.concatenate([paid_share(part) for part, _, _ in parts])
