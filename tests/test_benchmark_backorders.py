"""The backorder benchmark can be stopped, taken up again and shared: the figures are those of one long run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import backorders
from benchmarks._parts import missing, read_parts, write_part


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Worlds that are scored at once with made-up numbers; the list names those asked for."""
    asked: list[str] = []

    def world(kind: str, seed: int, *, n_items: int, n_futures: int) -> pd.DataFrame:
        asked.append(f"fill {kind} {seed}")
        rng = np.random.default_rng(seed + len(kind))
        n = 5
        shares = {c: rng.random(n) for c in ("inside", "kept", "even", "slack")}
        stated = np.where(np.arange(n) == 0, np.nan, rng.random(n))
        return pd.DataFrame({"kind": kind, "seed": seed, "sku": "A", "law": "short", "stated": stated} | shares)

    def patience(kind: str, seed: int) -> list[dict[str, float]]:
        asked.append(f"patience {kind} {seed}")
        return [{"n": n, "error": seed / 1e4, "inside": float(seed % 2)} for n in (5, 20, 200)]

    def money(kind: str, seed: int) -> dict[str, float]:
        asked.append(f"cutoffs {kind} {seed}")
        return {"best": 100.0, "own": 98.0, "always": 90.0, "never": float(seed % 7)}

    for name, stub in (("score_world", world), ("score_patience", patience), ("score_cutoffs", money)):
        monkeypatch.setattr(backorders, name, stub)
    monkeypatch.setattr(backorders, "fill_seconds", lambda: 1.0)
    return asked


def run(seeds: range, path: Path | None = None) -> dict[str, float]:
    figures = backorders.measure(seeds, items=10, futures=2, workers=1, parts=path)
    return {name: value for name, value in figures.items() if not name.endswith("seconds")}


def test_a_run_in_pieces_gives_the_figures_of_one_run(calls: list[str], tmp_path: Path) -> None:
    whole = run(range(12))
    assert whole["worlds"] == 24
    assert whole["promise_gap"] >= 0
    pieces = tmp_path / "parts.jsonl"
    run(range(8, 12), pieces)
    before = len(calls)
    # Some of it is done already, and is not done again.
    assert run(range(12), pieces) == pytest.approx(whole, nan_ok=True)
    assert len(calls) - before == 2 * 8 + 3 + 2
    assert len(set(calls[-21:])) == 21


def test_worlds_of_another_size_are_not_mixed_in(calls: list[str], tmp_path: Path) -> None:
    path = tmp_path / "parts.jsonl"
    one = run(range(2), path)
    backorders.measure(range(3), items=20, futures=2, workers=1, parts=path)
    assert run(range(2), path) == pytest.approx(one, nan_ok=True)


def test_a_line_cut_off_by_a_crash_is_done_again(tmp_path: Path) -> None:
    path = tmp_path / "parts.jsonl"
    write_part(path, "a", 1)
    write_part(path, "b", 2)
    text = path.read_text()
    path.write_text(text[:-9])
    assert missing(path, ["a", "b", "c"]) == ["b", "c"]
    write_part(path, "b", 3)
    assert read_parts(path)["b"]["values"] == 3
    assert missing(path, ["b"]) == []


@pytest.mark.parametrize(("text", "seeds"), [("5", range(5)), ("3:7", range(3, 7))])
def test_seeds_are_counts_or_ranges(text: str, seeds: range) -> None:
    assert backorders._seeds(text) == seeds
