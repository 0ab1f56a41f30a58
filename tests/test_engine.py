from __future__ import annotations

import threading
from time import sleep

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backorder_forecast.engine import bucket_bounds, map_buckets


@given(n_items=st.integers(0, 50), size=st.integers(1, 60))
def test_buckets_cover_every_item_once(n_items: int, size: int) -> None:
    bounds = bucket_bounds(n_items, size)
    assert [i for start, stop in bounds for i in range(start, stop)] == list(range(n_items))
    assert all(0 < stop - start <= size for start, stop in bounds)


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
def test_results_come_in_the_order_of_the_buckets_whoever_is_faster(workers: int) -> None:
    def work(start: int, stop: int) -> int:
        sleep(0.002 * (10 - start))
        return start * stop

    shares: list[float] = []
    results = map_buckets(work, bucket_bounds(10, 1), workers=workers, progress=shares.append)
    assert results == [k * (k + 1) for k in range(10)]
    assert shares == [pytest.approx((k + 1) / 10) for k in range(10)]


def test_several_workers_really_work_at_once() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def work(start: int, stop: int) -> bool:
        meeting.wait()
        return True

    assert map_buckets(work, bucket_bounds(2, 1), workers=2) == [True, True]


def test_no_items_no_results() -> None:
    assert map_buckets(lambda a, b: a, [], workers=2) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_bucket_is_not_swallowed(workers: int) -> None:
    def work(start: int, stop: int) -> int:
        if start == 2:
            raise ZeroDivisionError("bucket two")
        return start

    with pytest.raises(ZeroDivisionError, match="bucket two"):
        map_buckets(work, bucket_bounds(4, 1), workers=workers)
