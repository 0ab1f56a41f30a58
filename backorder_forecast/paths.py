"""Sample paths: the brick that demand, receipts and stock share.

Logically an array (n_items, n_paths, n_periods); held as item keys and a sampler that draws the values of a bucket of
items on request and drops them after use. Streams are keyed by item, so a redraw is identical and buckets do not
matter. Quantiles are order statistics (the smallest value reached by at least that share of the paths), so that
integer demand has integer quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numba as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.clock import Clock
from backorder_forecast.errors import InvalidSettings

Sampler = Callable[[int, int], NDArray[np.float64]]
_COUNTED = 512


@dataclass(frozen=True, eq=False)
class SamplePaths:
    """Paths of one quantity for many items, drawn bucket by bucket.

    Attributes
    ----------
    items
        Frame with columns sku, location; one row per item.
    dates
        First day of each period, length n_periods.
    n_paths
        Paths per item.
    sampler
        Function (start, stop) -> float array (stop - start, n_paths, n_periods), identical at every call.
    bucket_size
        Items drawn at once.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> values = np.arange(10.0).reshape(1, 5, 2)
    >>> paths = SamplePaths.from_array(values, ["A"], pd.date_range("2024-01-01", periods=2))
    >>> paths.quantiles([0.5]).to_dict("list")[0.5]
    [4.0, 5.0]
    >>> paths.cumulative().mean().to_dict("list")["mean"]
    [4.0, 9.0]
    """

    items: pd.DataFrame
    dates: pd.DatetimeIndex
    n_paths: int
    sampler: Sampler
    bucket_size: int = 128

    @classmethod
    def from_array(
        cls, values: NDArray[np.float64], items: pd.DataFrame | Sequence[str], dates: pd.DatetimeIndex
    ) -> SamplePaths:
        """Wrap an array (n_items, n_paths, n_periods) as it is."""
        array = np.asarray(values, dtype=np.float64)
        frame = _item_frame(items)
        index = pd.DatetimeIndex(dates)
        if array.ndim != 3 or array.shape[0] != len(frame) or array.shape[2] != len(index):
            raise InvalidSettings(
                f"paths have the shape (n_items, n_paths, n_periods) = ({len(frame)}, any, {len(index)}), got"
                f" {array.shape}"
            )
        return cls(frame, index, array.shape[1], lambda start, stop: array[start:stop])

    @property
    def n_items(self) -> int:
        """Items that have paths."""
        return len(self.items)

    def draw(self, start: int = 0, stop: int | None = None) -> NDArray[np.float64]:
        """Values of the items start..stop, shape (stop - start, n_paths, n_periods)."""
        return self.sampler(start, self.n_items if stop is None else min(stop, self.n_items))

    def buckets(self) -> Iterator[tuple[int, int]]:
        """Bounds of the item buckets, in order."""
        for start in range(0, self.n_items, self.bucket_size):
            yield start, min(start + self.bucket_size, self.n_items)

    def cumulative(self) -> SamplePaths:
        """Paths of the running sum over the periods."""
        return SamplePaths(
            self.items,
            self.dates,
            self.n_paths,
            lambda start, stop: np.cumsum(self.sampler(start, stop), axis=2),
            self.bucket_size,
        )

    def select(self, rows: Sequence[int] | NDArray[np.int64]) -> SamplePaths:
        """The same paths of some items only, in the given order."""
        codes = np.asarray(rows, dtype=np.int64)

        def sampler(start: int, stop: int) -> NDArray[np.float64]:
            return np.concatenate([self.sampler(int(i), int(i) + 1) for i in codes[start:stop]])

        frame = self.items.iloc[codes].reset_index(drop=True)
        return SamplePaths(frame, self.dates, self.n_paths, sampler, self.bucket_size)

    def quantiles(self, levels: Sequence[float]) -> pd.DataFrame:
        """Quantiles per item and period: columns sku, location, date and one float column per level."""
        checked = check_levels(levels)
        blocks = [path_quantiles(self.draw(a, b), checked) for a, b in self.buckets()]
        values = np.concatenate(blocks).reshape(-1, len(checked)) if blocks else np.empty((0, len(checked)))
        return self._frame({level: values[:, k] for k, level in enumerate(checked)})

    def mean(self) -> pd.DataFrame:
        """Mean over the paths per item and period: columns sku, location, date, mean."""
        blocks = [self.draw(a, b).mean(axis=1) for a, b in self.buckets()]
        return self._frame({"mean": np.concatenate(blocks).ravel() if blocks else np.empty(0)})

    def probability(self, threshold: float | pd.Series) -> pd.DataFrame:
        """P(value > threshold) per item and period: columns sku, location, date, probability.

        `threshold` is one number, or a Series with one number per item, as for `in_item_order`.
        """
        if isinstance(threshold, pd.Series):
            limits = in_item_order(threshold, self.items, "threshold")
        else:
            limits = np.full(self.n_items, float(threshold))
        blocks = [(self.draw(a, b) > limits[a:b, None, None]).mean(axis=1) for a, b in self.buckets()]
        return self._frame({"probability": np.concatenate(blocks).ravel() if blocks else np.empty(0)})

    def _frame(self, columns: dict[float, NDArray[np.float64]] | dict[str, NDArray[np.float64]]) -> pd.DataFrame:
        n_periods = len(self.dates)
        rows = np.repeat(np.arange(self.n_items), n_periods)
        frame = self.items.iloc[rows].reset_index(drop=True)
        frame["date"] = np.tile(self.dates.to_numpy(), self.n_items)
        return pd.concat([frame, pd.DataFrame(columns, index=frame.index)], axis=1)


def in_item_order(values: pd.Series, items: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """One number per item, from a Series indexed by sku, by (sku, location), or numbered 0, 1, ... in item order.

    Index values are compared as text, so that numeric SKUs are found; only an index that is 0, 1, ... and does not hold
    every sku counts as item order.

    Examples
    --------
    >>> items = pd.DataFrame({"sku": ["A", "B"], "location": ""})
    >>> in_item_order(pd.Series({"B": 2, "A": 1}), items, "on_hand").tolist()
    [1.0, 2.0]
    """
    sku = items["sku"].astype("str")
    numbered = values.index.equals(pd.RangeIndex(len(items)))
    by_location = isinstance(values.index, pd.MultiIndex)
    if by_location:
        given = values.set_axis(pd.MultiIndex.from_frame(values.index.to_frame().astype("str")))
    else:
        given = values.set_axis(values.index.astype("str"))
    if given.index.has_duplicates:
        doubles = given.index[given.index.duplicated()].unique().tolist()[:3]
        raise InvalidSettings(f"{name} has several values for {', '.join(map(str, doubles))}")
    if by_location:
        found = given.reindex(pd.MultiIndex.from_frame(items[["sku", "location"]].astype("str")))
    elif numbered and (sku.duplicated().any() or not sku.isin(given.index).all()):
        found = values
    elif sku.duplicated().any():
        raise InvalidSettings(f"{name} must be indexed by (sku, location): some skus are at several locations")
    else:
        found = given.reindex(sku)
    lacking = found.isna().to_numpy()
    if lacking.any():
        some = ", ".join(items["sku"][lacking].head(3))
        raise InvalidSettings(f"{name} needs one value per item; {int(lacking.sum())} of {len(items)} lack one: {some}")
    return found.to_numpy(dtype=np.float64)


def dated_paths(rows: pd.DataFrame, like: SamplePaths, clock: Clock, name: str) -> SamplePaths:
    """Known quantities as paths, the same on every path, over the items and periods of other paths.

    Parameters
    ----------
    rows
        Columns sku, date, quantity (optionally location). A quantity is usable in the period that holds its date if
        that is the period's first day, else in the next; one beyond the last period is in none.
    like, clock
        The other paths and their periods.
    name
        What to call the rows in an error: rows without date or quantity, dated up to `clock.as_of`, or of items that
        `like` does not have, are refused.
    """
    lacking = [c for c in ("sku", "date", "quantity") if not isinstance(rows, pd.DataFrame) or c not in rows]
    if lacking:
        raise InvalidSettings(f"{name} are paths, or a frame sku, date, quantity; lacks {', '.join(lacking)}")
    sku = rows["sku"].astype("str")
    location = rows["location"].astype("str").fillna("") if "location" in rows else pd.Series("", rows.index)
    code = pd.MultiIndex.from_frame(like.items).get_indexer(pd.MultiIndex.from_arrays([sku, location]))
    quantity = pd.to_numeric(rows["quantity"], errors="coerce").to_numpy(dtype=np.float64)
    day = (pd.to_datetime(rows["date"], errors="coerce").dt.normalize() - clock.as_of).dt.days.to_numpy(np.float64)
    problems = (
        (np.isnan(day), "need a date: leave out what has none"),
        (~(quantity >= 0), "need a quantity of 0 or more"),
        (
            day <= 0,
            f"are dated on or before the decision at the end of {clock.as_of:%Y-%m-%d}: that is on hand already",
        ),
        (code < 0, "name an item (sku, location) that the forecast does not have"),
    )
    for wrong, what in problems:
        if wrong.any():
            bad = rows.loc[wrong, [c for c in ("sku", "location", "date") if c in rows]].head(3).astype("str")
            some = "; ".join(" ".join(map(str, row)) for row in bad.to_numpy())
            raise InvalidSettings(f"{int(wrong.sum())} of {len(rows)} rows of {name} {what}; such as {some}")
    n_periods = len(like.dates)
    usable = np.append(clock.usable_periods(), n_periods)
    period = usable[np.minimum(day.astype(np.int64), len(usable) - 1)]
    within = period < n_periods
    fixed = np.zeros((like.n_items, n_periods))
    np.add.at(fixed, (code[within], period[within]), quantity[within])

    def sampler(start: int, stop: int) -> NDArray[np.float64]:
        return np.repeat(fixed[start:stop, None, :], like.n_paths, axis=1)

    return SamplePaths(like.items, like.dates, like.n_paths, sampler, like.bucket_size)


def check_levels(levels: Sequence[float]) -> list[float]:
    """Quantile levels as floats strictly between 0 and 1, or an error."""
    checked = [float(level) for level in levels]
    bad = [level for level in checked if not 0.0 < level < 1.0]
    if bad or not checked:
        raise InvalidSettings(f"quantile levels lie strictly between 0 and 1, got {bad or list(levels)}")
    return checked


def path_quantiles(values: NDArray[np.float64], levels: Sequence[float]) -> NDArray[np.float64]:
    """Order-statistic quantiles over the path axis: (n_items, n_paths, n_periods) -> (n_items, n_periods, n_levels).

    Examples
    --------
    >>> import numpy as np
    >>> path_quantiles(np.array([[[3.0], [1.0], [2.0], [4.0]]]), [0.5, 0.9]).tolist()
    [[[2.0, 4.0]]]
    """
    n_paths = values.shape[1]
    # The small slack keeps 0.9 * 10 from becoming rank 10 through rounding.
    ranks = np.array([min(max(math.ceil(q * n_paths - 1e-9), 1), n_paths) - 1 for q in levels], dtype=np.int64)
    return np.asarray(_path_quantiles(np.ascontiguousarray(values), ranks))


@nb.njit(cache=True, nogil=True)
def _path_quantiles(values: NDArray[np.float64], ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    n_items, n_paths, n_periods = values.shape
    out = np.empty((n_items, n_periods, ranks.size))
    column = np.empty(n_paths)
    for i in range(n_items):
        top = _largest_count(values[i])
        if top >= 0:
            # Counting in memory order beats sorting columns for the small integers that most demand is.
            counts = np.zeros((n_periods, top + 1), dtype=np.int32)
            for p in range(n_paths):
                for t in range(n_periods):
                    counts[t, int(values[i, p, t])] += 1
            for t in range(n_periods):
                for k in range(ranks.size):
                    seen = 0
                    x = 0
                    while x < top:
                        seen += counts[t, x]
                        if seen > ranks[k]:
                            break
                        x += 1
                    out[i, t, k] = float(x)
            continue
        for t in range(n_periods):
            for p in range(n_paths):
                column[p] = values[i, p, t]
            column.sort()
            for k in range(ranks.size):
                out[i, t, k] = column[ranks[k]]
    return out


@nb.njit(cache=True, nogil=True)
def _largest_count(values: NDArray[np.float64]) -> int:
    """Largest value if all are small whole numbers, else -1."""
    top = 0.0
    for p in range(values.shape[0]):
        for t in range(values.shape[1]):
            x = values[p, t]
            if not 0.0 <= x < _COUNTED or x != math.floor(x):
                return -1
            top = max(top, x)
    return int(top)


def _item_frame(items: pd.DataFrame | Sequence[str]) -> pd.DataFrame:
    if isinstance(items, pd.DataFrame):
        frame = items.reset_index(drop=True)
        if "location" not in frame:
            frame = frame.assign(location="")
        return frame[["sku", "location"]].astype(str)
    return pd.DataFrame({"sku": list(items), "location": ""}).astype(str)
