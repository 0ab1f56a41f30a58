"""Maps buckets of items over local cores.

The compiled loops release the interpreter lock, so threads suffice and nothing is copied between processes. Results
come back in bucket order and every item's streams are keyed, so the number of workers never changes a result.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def bucket_bounds(n_items: int, bucket_size: int) -> list[tuple[int, int]]:
    """Bounds (start, stop) of consecutive buckets.

    Examples
    --------
    >>> bucket_bounds(5, 2)
    [(0, 2), (2, 4), (4, 5)]
    """
    return [(start, min(start + bucket_size, n_items)) for start in range(0, n_items, bucket_size)]


def map_buckets(
    function: Callable[[int, int], Result],
    bounds: list[tuple[int, int]],
    *,
    workers: int = 0,
    progress: Callable[[float], None] | None = None,
) -> list[Result]:
    """Results of `function(start, stop)` for every bucket, in order.

    Parameters
    ----------
    function
        Work on the items start..stop.
    bounds
        From `bucket_bounds`.
    workers
        Threads; 0 means one per core.
    progress
        Called with the share done after each bucket.
    """
    results: list[Result] = []
    for result in _run(function, bounds, workers or os.cpu_count() or 1):
        results.append(result)
        if progress is not None:
            progress(len(results) / len(bounds))
    return results


def _run(function: Callable[[int, int], Result], bounds: list[tuple[int, int]], workers: int) -> Iterator[Result]:
    if workers <= 1 or len(bounds) <= 1:
        yield from (function(start, stop) for start, stop in bounds)
        return
    with ThreadPoolExecutor(max_workers=workers) as pool:
        # A bounded window of pending buckets keeps at most `workers` buckets of paths in memory.
        yield from pool.map(lambda bound: function(*bound), bounds)
