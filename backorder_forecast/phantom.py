"""Phantom stock: units that the record shows and the shelf lacks.

Two signs are read from the records. A run of days without a sale while stock is shown: if n days are expected to
bring sales at a rate that k sales in T earlier days tell, P(no sale) = (T / (T + n))^(k + 1/2), the predictive law of
a Poisson process under Jeffreys' prior; both spans are weighted by the season. Below `UNLIKELY` a count is suggested.
The run has three explanations: chance, an empty shelf (`PRIOR`), and demand that has ended (`ENDED`); by Bayes' rule
the shelf is empty with probability `PRIOR` / (`PRIOR` + `ENDED` + (1 - `PRIOR` - `ENDED`) P(no sale)). `PRIOR` is moved
by the shop's own counts: of n counts of stock that was shown, k that found none make it
(k + `PRIOR` `PRIOR_COUNTS`) / (n + `PRIOR_COUNTS`), the posterior mean of a Beta law. And units that went missing
without a sale between the last snapshots: what the snapshot before, plus receipts, less sales, shows beyond the latest
one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

UNLIKELY = 0.01
"""Probability of a run without a sale below which a count is suggested."""
PRIOR, ENDED = 0.002, 0.004
"""Share of items in stock whose shelf is empty although the record shows stock, and of those whose demand has ended
though nobody said so. Judgement."""
PRIOR_COUNTS = 500.0
"""Counts that the prior share of empty shelves is worth. Judgement: 1 empty shelf in 500."""
HISTORY_DAYS = 365
"""Days that are looked back on."""
RATE_DAYS = 182
"""Days before a run from which the rate of sales is read."""
WRITE_OFF_DAYS = 28
"""Days within which units found missing explain a risk of today."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class QuietRuns(NamedTuple):
    """Columns (days, or periods of the records) without a sale up to now, and their probability, each (n_items,)."""

    length: NDArray[np.int64]
    chance: Floats


def quiet_runs(sold: Bools, shown: Bools, weight: Floats) -> QuietRuns:
    """Runs without a sale while stock was shown.

    Parameters
    ----------
    sold, shown
        Whether something was sold, and whether stock was shown, by item and day up to now, shape (n_items, n_days).
    weight
        Season of each day, same shape.

    Returns
    -------
    QuietRuns
        Chance 1 where there is no run, or nothing was sold before.

    Examples
    --------
    >>> days = np.ones((1, 40), dtype=bool)
    >>> sold = days.copy()
    >>> sold[:, 30:] = False
    >>> run = quiet_runs(sold, days, days * 1.0)
    >>> int(run.length[0]), float(run.chance[0].round(5))
    (10, 0.00015)
    """
    n_days = sold.shape[1]
    counts = shown & ~sold
    # The last column that ends the run, seen from now.
    broken = ~counts[:, ::-1]
    length = np.where(broken.any(axis=1), broken.argmax(axis=1), n_days)
    begin = n_days - length
    day = np.arange(n_days)
    run = day >= begin[:, None]
    before = ~run & (day >= begin[:, None] - RATE_DAYS) & (shown | sold)
    exposure, ahead = (before * weight).sum(axis=1), (run * weight).sum(axis=1)
    sales = (before & sold).sum(axis=1)
    known = (sales > 0) & (length > 0) & (exposure > 0)
    share = np.where(known, exposure, 1.0) / np.where(known, exposure + ahead, 1.0)
    return QuietRuns(length.astype(np.int64), np.where(known, share ** (sales + 0.5), 1.0))


class EmptyShelves(NamedTuple):
    """Share of items in stock whose shelf is empty, and the counts it was learned from: all, and those of none."""

    share: float
    n_counts: int
    n_empty: int

    @property
    def note(self) -> str:
        """The share in a sentence; empty where no count tells."""
        if not self.n_counts:
            return ""
        return (
            f"of {self.n_counts:,} counts of stock that was shown {self.n_empty:,} found none: before the run of its"
            f" sales is looked at, a shelf is empty with probability {self.share:.2%} ({PRIOR:.2%} before any count)"
        )


def empty_share(snapshots: pd.DataFrame) -> EmptyShelves:
    """Share of items in stock whose shelf is empty, by what counts found.

    Parameters
    ----------
    snapshots
        on_hand (the record) and counted (what a count found, NaN where none was made), one row per item and place.

    Examples
    --------
    >>> rows = pd.DataFrame({"on_hand": [5.0, 3.0, 0.0, 8.0], "counted": [0.0, 3.0, 0.0, np.nan]})
    >>> empty_share(rows)
    EmptyShelves(share=0.00398406374501992, n_counts=2, n_empty=1)
    """
    made = (snapshots["on_hand"] > 0) & snapshots["counted"].notna()
    n, k = int(made.sum()), int((made & (snapshots["counted"] <= 0)).sum())
    return EmptyShelves((k + PRIOR * PRIOR_COUNTS) / (n + PRIOR_COUNTS), n, k)


def empty_chance(chance: Floats, prior: float = PRIOR) -> Floats:
    """P(the shelf is empty), given the probability of the run without a sale; 0 where that is no surprise.

    `prior` is the share of items in stock whose shelf is empty (`empty_share`).

    Examples
    --------
    >>> empty_chance(np.array([0.5, 0.01, 0.001])).round(3).tolist()
    [0.0, 0.125, 0.286]
    """
    other = ENDED + (1.0 - prior - ENDED) * chance
    return np.where(chance <= UNLIKELY, prior / (prior + other), 0.0)


def written_off(
    snapshots: pd.DataFrame, item: NDArray[np.int64], column: NDArray[np.int64], shipped: Floats, received: Floats
) -> Floats:
    """Units that went missing without a sale between the latest snapshot and the one about a month before it.

    Parameters
    ----------
    snapshots
        Column on_hand, one row per item and snapshot.
    item, column
        Item of each snapshot, and the day in whose evening it was taken: the column of the matrices.
    shipped, received
        Units by item and day, shape (n_items, n_days).

    Returns
    -------
    Array (n_items,), 0 where nothing is missing, no second snapshot is known, or the difference could be a snapshot
    taken at another hour (less than three days of shipments).

    Examples
    --------
    >>> shipped, received = np.ones((1, 40)), np.zeros((1, 40))
    >>> two = pd.DataFrame({"on_hand": [100.0, 50.0]})
    >>> written_off(two, np.array([0, 0]), np.array([4, 39]), shipped, received).tolist()
    [15.0]
    """
    n_items, n_days = shipped.shape
    rows = pd.DataFrame({"item": item, "day": column, "on_hand": snapshots["on_hand"].to_numpy(dtype=np.float64)})
    rows = rows[(item >= 0) & (column >= 0) & (column < n_days)].sort_values(["item", "day"], kind="stable")
    last = rows.drop_duplicates("item", keep="last").set_index("item")
    rows = rows[rows["day"].to_numpy() <= last["day"].reindex(rows["item"]).to_numpy() - WRITE_OFF_DAYS]
    before = rows.drop_duplicates("item", keep="last").set_index("item")
    # A snapshot from long ago says little about what is wrong today.
    both = last.join(before.add_suffix("_before"), how="inner")
    both = both[both["day"] - both["day_before"] <= 2 * WRITE_OFF_DAYS]
    out = np.zeros(n_items)
    i, first, end = (both.index.to_numpy(), both["day_before"].to_numpy(), both["day"].to_numpy())
    sums = [np.concatenate([np.zeros((len(i), 1)), values[i].cumsum(axis=1)], axis=1) for values in (shipped, received)]
    place = np.arange(len(i))
    left, came = (total[place, end + 1] - total[place, first + 1] for total in sums)
    missing = both["on_hand_before"].to_numpy() + came - left - both["on_hand"].to_numpy()
    out[i] = np.where(missing > 3.0 * np.maximum(left, 1.0) / np.maximum(end - first, 1), missing, 0.0)
    return out
