"""Keyed random streams: every item and every path has its own, so that no result depends on row order or chunking.

A stream is keyed by (seed, stable hash of the item, purpose, path). The generator is xoroshiro128+ (Blackman & Vigna
2018), seeded through splitmix64; it is small enough to live in registers inside a compiled loop.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

DEMAND, RECEIPTS, NEW_ORDER, NEXT_ORDER, CAUSES, PATIENCE, GIVEN, DISRUPTION, RECORD, REPLAY = range(1, 11)
"""Purposes: streams of different purpose never share numbers."""


def stable_hash(text: str) -> int:
    """64-bit hash that is the same on every machine and in every process.

    Examples
    --------
    >>> stable_hash("SKU-1") == stable_hash("SKU-1") != stable_hash("SKU-2")
    True
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def item_keys(sku: Iterable[Any], location: Iterable[Any], seed: int, purpose: int) -> NDArray[np.uint64]:
    """One 64-bit stream key per item for a purpose, shape (n_items,)."""
    head = f"{seed}\x1f{purpose}\x1f"
    keys = [stable_hash(f"{head}{s}\x1f{loc}") for s, loc in zip(sku, location, strict=True)]
    return np.array(keys, dtype=np.uint64)


@nb.njit(cache=True, inline="always")
def splitmix(x: np.uint64) -> np.uint64:
    """Finaliser of splitmix64: a well mixed 64-bit value from any other."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@nb.njit(cache=True, inline="always")
def start(key: np.uint64, path: int) -> tuple[np.uint64, np.uint64]:
    """State of the stream of one path."""
    base = key + np.uint64(path + 1) * np.uint64(0x9E3779B97F4A7C15)
    s0 = splitmix(base)
    s1 = splitmix(base + np.uint64(0xD1B54A32D192ED03)) | np.uint64(1)
    return s0, s1


@nb.njit(cache=True, inline="always")
def step(s0: np.uint64, s1: np.uint64) -> tuple[np.uint64, np.uint64, np.uint64]:
    """Next 64 random bits and the new state (xoroshiro128+)."""
    bits = s0 + s1
    s1 ^= s0
    s0 = ((s0 << np.uint64(24)) | (s0 >> np.uint64(40))) ^ s1 ^ (s1 << np.uint64(16))
    s1 = (s1 << np.uint64(37)) | (s1 >> np.uint64(27))
    return bits, s0, s1


@nb.njit(cache=True, inline="always")
def unit(bits: np.uint64) -> float:
    """Uniform in [0, 1) from 64 bits (the upper 53)."""
    return float(bits >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@nb.njit(cache=True)
def uniforms(key: np.uint64, n_paths: int) -> NDArray[np.float64]:
    """First uniform of each path, shape (n_paths,)."""
    out = np.empty(n_paths)
    for path in range(n_paths):
        s0, s1 = start(key, path)
        bits, s0, s1 = step(s0, s1)
        out[path] = unit(bits)
    return out


LARGE_MEAN = 12.0
"""Mean from which Poisson counts are drawn by transformed rejection, below by inversion."""
_TERMS = np.array([1.0 / np.cumprod(np.arange(4.0 * j + 1.0, 4.0 * j + 5.0)) for j in range(50)])
"""1 / (k + 1), 1 / ((k + 1) (k + 2)), ... for k = 0, 4, 8, ...: four terms of the Poisson series from the k-th."""


@nb.njit(cache=True, inline="always")
def poisson(mean: float, s0: np.uint64, s1: np.uint64) -> tuple[float, np.uint64, np.uint64]:
    """One Poisson count: inversion below mean 12, transformed rejection above (Hormann 1993, PTRS)."""
    if mean >= LARGE_MEAN:
        return large_poisson(mean, s0, s1)
    if mean <= 0.0:
        return 0.0, s0, s1
    bits, s0, s1 = step(s0, s1)
    u = unit(bits)
    return 0.0 if u <= surely_none(mean) else inverse_poisson(u, mean), s0, s1


@nb.njit(cache=True, inline="always")
def surely_none(mean: float) -> float:
    """Uniform up to which there is no event for sure, without an exponential; beyond it there may be none either.

    The series of exp(-mean) cut after an odd power lies below it, and most draws of slow items are zero.
    """
    return 1.0 - mean * (1.0 - mean * (0.5 - mean / 6.0))


@nb.njit(cache=True, inline="always")
def inverse_poisson(u: float, mean: float) -> float:
    """Poisson count with this uniform, by inversion; `mean` below `LARGE_MEAN`."""
    p = math.exp(-mean)
    total = p
    square = mean * mean
    count = int(u > total)
    block = 0
    # Four terms at a time: a processor guesses the end of one long step more often than that of four short ones.
    while u > total and block < len(_TERMS):
        one = p * mean * _TERMS[block, 0]
        two = p * square * _TERMS[block, 1]
        three = p * square * mean * _TERMS[block, 2]
        p = p * (square * square) * _TERMS[block, 3]
        first = total + one
        second = total + (one + two)
        third = first + (two + three)
        total = second + (three + p)
        count += int(u > first) + int(u > second) + int(u > third) + int(u > total)
        block += 1
    return float(count)


@nb.njit(cache=True)
def large_poisson(mean: float, s0: np.uint64, s1: np.uint64) -> tuple[float, np.uint64, np.uint64]:
    """One Poisson count by transformed rejection."""
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inv_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_r = 0.9277 - 3.6224 / (b - 2.0)
    log_mean = math.log(mean)
    while True:
        bits, s0, s1 = step(s0, s1)
        u = unit(bits) - 0.5
        bits, s0, s1 = step(s0, s1)
        v = 1.0 - unit(bits)
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= v_r:
            return k, s0, s1
        if k < 0.0 or (us < 0.013 and v > us):
            continue
        if math.log(v) + math.log(inv_alpha) - math.log(a / (us * us) + b) <= k * log_mean - mean - math.lgamma(
            k + 1.0
        ):
            return k, s0, s1
