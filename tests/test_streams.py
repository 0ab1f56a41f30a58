from __future__ import annotations

import subprocess
import sys
from itertools import product

import numba as nb
import numpy as np
import pytest
from hand_made import known
from numpy.typing import NDArray
from scipy import stats

from backorder_forecast import streams

KNOWN = known("random")


@nb.njit(cache=False)
def _outputs(s0, s1, n):  # type: ignore[no-untyped-def]
    out = np.empty(n, dtype=np.uint64)
    for i in range(n):
        out[i], s0, s1 = streams.step(s0, s1)
    return out


@nb.njit(cache=False)
def _uniforms(key, n_paths, n):  # type: ignore[no-untyped-def]
    out = np.empty((n_paths, n))
    for p in range(n_paths):
        s0, s1 = streams.start(key, p)
        for i in range(n):
            bits, s0, s1 = streams.step(s0, s1)
            out[p, i] = streams.unit(bits)
    return out


@nb.njit(cache=False)
def _counts(mean, key, n):  # type: ignore[no-untyped-def]
    out = np.empty(n)
    for p in range(n):
        s0, s1 = streams.start(key, p)
        out[p], s0, s1 = streams.poisson(mean, s0, s1)
    return out


def counts(mean: float, n: int, key: int = 99) -> NDArray[np.float64]:
    return np.asarray(_counts(mean, np.uint64(key), n))


def test_splitmix_known_answer() -> None:
    state, mask = KNOWN["splitmix64"]["seed"], (1 << 64) - 1
    for value in KNOWN["splitmix64"]["expected"]:
        state = (state + 0x9E3779B97F4A7C15) & mask
        assert int(streams.splitmix(np.uint64(state))) == int(value)


def test_xoroshiro_known_answer() -> None:
    case = KNOWN["xoroshiro128plus"]
    s0, s1 = (np.uint64(s) for s in case["state"])
    assert [int(v) for v in _outputs(s0, s1, 10)] == [int(v) for v in case["expected"]]


def test_the_hash_is_the_same_in_every_process() -> None:
    code = "from backorder_forecast.streams import stable_hash; print(stable_hash('SKU-1'), stable_hash('été'))"
    there = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert [int(v) for v in there] == [streams.stable_hash("SKU-1"), streams.stable_hash("été")]
    # blake2b with a digest of eight bytes, little endian, as `b2sum -l 64` prints it.
    assert streams.stable_hash("abc").to_bytes(8, "little").hex() == "d8bb14d833d59559"


def test_keys_differ_by_item_location_seed_and_purpose() -> None:
    asked = product(("A", "B", "1"), ("", "A", "1"), (0, 1, 11), (streams.DEMAND, streams.RECEIPTS))
    keys = {int(streams.item_keys([sku], [place], seed, purpose)[0]) for sku, place, seed, purpose in asked}
    assert len(keys) == 3 * 3 * 3 * 2
    whole = streams.item_keys(["A", "B", "C"], ["x", "y", "z"], 5, streams.DEMAND)
    assert whole.dtype == np.uint64
    assert streams.item_keys(["B"], ["y"], 5, streams.DEMAND)[0] == whole[1]
    with pytest.raises(ValueError, match="zip"):
        streams.item_keys(["A", "B"], ["x"], 0, streams.DEMAND)


def test_uniforms_are_uniform_and_paths_are_independent() -> None:
    draws = _uniforms(np.uint64(streams.stable_hash("some item")), 20_000, 4)
    assert draws.min() >= 0
    assert draws.max() < 1
    for k in range(4):
        assert stats.kstest(draws[:, k], "uniform").pvalue > 1e-4
    correlation = np.corrcoef(draws.T)[np.triu_indices(4, 1)]
    assert np.abs(correlation).max() < 4 / np.sqrt(len(draws))
    neighbours = np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]
    assert abs(neighbours) < 4 / np.sqrt(len(draws))


@pytest.mark.parametrize("mean", [1e-3, 0.3, 4.0, 11.99, 12.01, 40.0, 900.0])
def test_poisson_counts_have_the_poisson_law(mean: float) -> None:
    n = 40_000
    drawn = counts(mean, n)
    assert (drawn == np.floor(drawn)).all()
    assert drawn.min() >= 0
    assert abs(drawn.mean() - mean) < 4 * np.sqrt(mean / n)
    fourth = mean * (1 + 3 * mean) - mean**2
    assert abs(drawn.var() - mean) < 4.5 * np.sqrt(fourth / n)
    edges = np.unique(stats.poisson.ppf(np.linspace(0.02, 0.98, 25), mean))
    expected = np.diff(np.concatenate([[0.0], stats.poisson.cdf(edges, mean), [1.0]])) * n
    observed = np.bincount(np.searchsorted(edges, drawn), minlength=len(edges) + 1)
    some = expected > 5
    statistic = ((observed - expected)[some] ** 2 / expected[some]).sum()
    assert stats.chi2.sf(statistic, max(int(some.sum()) - 1, 1)) > 1e-4


def test_poisson_edges() -> None:
    assert counts(0.0, 10).tolist() == [0.0] * 10
    assert counts(-1.0, 10).tolist() == [0.0] * 10
    huge = counts(1e9, 2000)
    assert abs(huge.mean() - 1e9) < 4 * np.sqrt(1e9 / 2000)
    assert np.array_equal(counts(5.0, 100), counts(5.0, 200)[:100])
