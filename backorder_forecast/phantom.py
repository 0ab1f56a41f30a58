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

Past runs taught days without demand if the shelf was empty. A run that ended with a sale and no receipt had its stock;
one that ended when a count found none had none but by chance; one that ended with a receipt, after which sales went on,
is judged by Bayes' rule as above, without the explanation that demand has ended. The run that lasts up to now teaches
its zeros: as long as ended demand is the likelier reason, its level should fall.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
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
PAST_UNLIKELY = 0.001
"""Probability of a past run that a receipt ended, below which the shelf may have been empty. Chosen on made-up worlds:
at .01 half of such runs were those of slow items with stock."""
COUNTED_UNLIKELY = 0.1
"""The same where a count or a snapshot then found none. Chosen on the same worlds."""
_USUAL_STEPS = 2.0
_DUST = 1e-4

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


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


class PastRuns(NamedTuple):
    """Past runs without a sale whose stock was probably not there, one entry each.

    Item, first column and the one after the last, and P(the shelf was empty).
    """

    item: Ints
    begin: Ints
    end: Ints
    empty: Floats

    @property
    def note(self) -> str:
        """What is made of these runs in a sentence; empty where there is none."""
        n, n_items = len(self.item), len(np.unique(self.item))
        if not n:
            return ""
        return (
            f"{n:,} past stretch{'es' if n > 1 else ''} without a sale ({n_items:,} item{'s' if n_items > 1 else ''})"
            " count as mostly out of stock for the forecast: stock was shown, but was probably not there"
        )

    def of_items(self, kept: Bools) -> PastRuns:
        """The runs of the items that are kept, (n_items,)."""
        rows = kept[self.item]
        return PastRuns(self.item[rows], self.begin[rows], self.end[rows], self.empty[rows])

    def shares(self, recorded: Floats) -> Floats:
        """Share of each day on which stock was there, shape (n_items, n_days).

        Runs in which demand was recorded (`recorded`, same shape) count as days with stock.

        Examples
        --------
        >>> runs = PastRuns(np.array([0, 1]), np.array([1, 0]), np.array([3, 2]), np.array([0.75, 0.5]))
        >>> runs.shares(np.array([[1.0, 0.0, 0.0, 1.0], [0.0, 2.0, 0.0, 0.0]])).tolist()
        [[1.0, 0.25, 0.25, 1.0], [1.0, 1.0, 1.0, 1.0]]
        """
        shares = np.ones(recorded.shape)
        for item, begin, end, empty in zip(*self, strict=True):
            if not (recorded[item, begin:end] > 0).any():
                shares[item, begin:end] = 1.0 - empty
        return shares


def no_runs() -> PastRuns:
    """No run at all, as where no history of stock is known."""
    nothing = np.zeros(0, dtype=np.int64)
    return PastRuns(nothing, nothing, nothing, np.zeros(0))


def past_runs(levels: Floats, received: Floats, shipped: Floats, *, prior: float = PRIOR) -> PastRuns:
    """Past runs without a sale in which the shelf was probably empty though the record showed stock.

    Parameters
    ----------
    levels
        On hand by the record at the end of each day, NaN where unknown, shape (n_items, n_days). A step that receipts
        and shipments do not explain is a correction: by a count, or by a snapshot.
    received, shipped
        Units by item and day, same shape.
    prior
        Share of items in stock whose shelf is empty (`empty_share`).

    Returns
    -------
    PastRuns
        One entry per run, by item and day. Days weigh by the share of the items in stock that sold something, so that
        days on which the shop is shut are no run. The rate of sales is read from up to `RATE_DAYS` days before the run
        and after it.

    Examples
    --------
    >>> shipped, received = np.ones((2, 80)), np.zeros((2, 80))
    >>> shipped[0, 40:54], received[0, 54] = 0.0, 60.0
    >>> levels = 99.0 + (received - shipped).cumsum(axis=1)
    >>> found = past_runs(levels, received, shipped)
    >>> found.item.tolist(), found.begin.tolist(), found.end.tolist(), found.empty.round(2).tolist()
    ([0], [40], [54], [0.97])
    """
    sold = shipped > 0
    shown = (levels > 0) | sold
    mean = max(float(sold.sum()), 1.0) / max(float(shown.sum()), 1.0)
    # In a shop of a few items a day without a sale says little: it is drawn to a usual day.
    weight = (sold.sum(axis=0) + _USUAL_STEPS * mean) / (shown.sum(axis=0) + _USUAL_STEPS) / mean
    found = _past_runs(levels, received, shipped, weight, RATE_DAYS, PAST_UNLIKELY, COUNTED_UNLIKELY)
    item, begin, end, counted, chance = (np.array(column) for column in zip(*found, strict=True))
    empty = np.where(counted, 1.0 - chance, prior / (prior + (1.0 - prior) * chance))
    # The first entry only tells the kernel what its list holds.
    return PastRuns(item[1:], begin[1:], end[1:], empty[1:])


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
    left, came = (_between(values, i, first, end) for values in (shipped, received))
    missing = both["on_hand_before"].to_numpy() + came - left - both["on_hand"].to_numpy()
    out[i] = np.where(missing > 3.0 * np.maximum(left, 1.0) / np.maximum(end - first, 1), missing, 0.0)
    return out


@nb.njit(cache=True, nogil=True)
def _past_runs(levels, received, shipped, weight, rate_days, unlikely, counted_unlikely):  # type: ignore[no-untyped-def]
    n_items, n_days = levels.shape
    found = [(0, 0, 0, False, 1.0)]
    seen, sales, due = np.zeros(n_days + 1), np.zeros(n_days + 1), np.zeros(n_days + 1)
    for t in range(n_days):
        due[t + 1] = due[t] + weight[t]
    for i in range(n_items):
        for t in range(n_days):
            sold = shipped[i, t] > 0
            seen[t + 1] = seen[t] + (weight[t] if sold or levels[i, t] > 0 else 0.0)
            sales[t + 1] = sales[t] + (1.0 if sold else 0.0)
        begin = -1
        for t in range(1, n_days):
            sold = shipped[i, t] > 0
            step = levels[i, t] - (levels[i, t - 1] + received[i, t] - shipped[i, t])
            came = received[i, t] > 0 or step > _DUST
            counted = not came and step < -_DUST and levels[i, t] <= 0
            if came or sold or step < -_DUST or levels[i, t] <= 0:
                # Without a receipt or a count that found none, what ended the run was on the shelf all along.
                if begin >= 0 and ((came and sales[n_days] > sales[t]) or counted) and sales[begin] > 0:
                    low, high, ahead = max(begin - rate_days, 0), min(t + rate_days, n_days), due[t] - due[begin]
                    exposure = seen[begin] - seen[low] + seen[high] - seen[t]
                    n_sales = sales[begin] - sales[low] + sales[high] - sales[t]
                    if exposure > 0 and n_sales > 0:
                        chance = (exposure / (exposure + ahead)) ** (n_sales + 0.5)
                        if chance <= (counted_unlikely if counted else unlikely):
                            found.append((i, begin, t, counted, chance))
                begin = -1
            if begin < 0 and levels[i, t] > 0 and not sold:
                begin = t
    return found


@nb.njit(cache=True, nogil=True)
def _between(values, row, first, last):  # type: ignore[no-untyped-def]
    """Units after the day `first` up to the day `last`, as a difference of running sums, shape (n_rows,)."""
    out = np.zeros(len(row))
    for k in range(len(row)):
        total = before = 0.0
        for t in range(last[k] + 1):
            total += values[row[k], t]
            if t == first[k]:
                before = total
        out[k] = total - before
    return out
