"""The peers of the benchmark of forecasts: models of statsforecast, one item after the other, in their interpreter.

A model knows sales only, no periods out of stock. It forecasts the `window` periods after each cut; cuts are the
origins and, `window` periods apart, the ends of earlier histories, so that each origin has the errors of the same model
on the item's own past, one forecast per window that does not overlap the next. This is how statsforecast's
`ConformalIntervals(h=window)` makes errors, and `PeerLaw` turns them into quantiles as it does, or in a way that may
suit the peer better. Where a model fails, the mean of the item's history stands for it.

Run as a script by the interpreter of the peers, this file needs numpy, pandas and statsforecast only:

    python _demand_peers.py forecasts QUESTIONS.npz ANSWERS.npz
    python _demand_peers.py seconds PANEL.npy
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PEERS = ("ses_optimized", "croston_optimized", "croston_sba", "tsb", "imapa", "auto_ets")
_ROWS_AT_ONCE = 25
"""Items that a process takes at a time."""


@dataclass(frozen=True, eq=False)
class Question:
    """What a peer is asked: the `window` periods after each cut, for some items.

    Attributes
    ----------
    peer
        One of `PEERS`.
    demand
        Units, (n_items, n_periods).
    cuts
        Numbers of periods known, (n_cuts,).
    season_length, window
        Periods.
    trimmed
        Whether the history begins with the first sale, or with the first period.
    """

    peer: str
    demand: Floats
    cuts: Ints
    season_length: int
    window: int
    trimmed: bool


@dataclass(frozen=True, eq=False)
class Answer:
    """Mean of each period after each cut, units (n_items, n_cuts, window), and where the model failed."""

    mean: Floats
    failed: NDArray[np.bool_]


@dataclass(frozen=True)
class PeerLaw:
    """How errors become quantiles of the sum.

    Attributes
    ----------
    signed
        The quantile is the forecast plus that of its errors; False adds and subtracts their size, as statsforecast's
        conformal intervals do.
    n_windows
        The latest errors at most; as many as the history has.
    per_step
        Quantiles of each period are summed; False takes the errors of the sum itself.
    """

    signed: bool
    n_windows: int
    per_step: bool

    def __str__(self) -> str:
        errors = "signed" if self.signed else "absolute"
        return f"{errors} errors of {self.n_windows} windows, {'per step' if self.per_step else 'of the sum'}"


LAWS = tuple(PeerLaw(*choice) for choice in product((False, True), (4, 8, 12, 20), (False, True)))


def ask_peers(python: str, questions: Sequence[Question]) -> list[Answer]:
    """Answers of the peers, in the order of the questions, from the interpreter that has them."""
    asked = [{"peer": q.peer, "season_length": q.season_length, "window": q.window, "trimmed": q.trimmed}
             for q in questions]  # fmt: skip
    arrays: dict[str, NDArray[Any]] = {f"demand_{k}": q.demand for k, q in enumerate(questions)}
    arrays |= {f"cuts_{k}": q.cuts for k, q in enumerate(questions)}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "questions.npz", Path(folder) / "answers.npz"
        np.savez(source, allow_pickle=False, asked=np.array(json.dumps(asked)), **arrays)
        # One thread per process: there are as many processes as processors.
        threads = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        command = [python, __file__, "forecasts", str(source), str(target)]
        subprocess.run(command, check=True, env=os.environ | threads)
        with np.load(target) as told:
            return [Answer(told[f"mean_{k}"], told[f"failed_{k}"]) for k in range(len(questions))]


def peer_quantiles(question: Question, answer: Answer, origin: int, law: PeerLaw, levels: Sequence[float]) -> Floats:
    """Quantiles of the summed demand after one of the cuts, never below 0, shape (n_items, n_levels)."""
    here = int(np.flatnonzero(question.cuts == origin)[0])
    before = slice(max(here - law.n_windows, 0), here)
    cuts = question.cuts[before]
    ahead = np.arange(question.window)
    error = question.demand[:, cuts[:, None] + ahead] - answer.mean[:, before]
    # Before the first sale nothing was forecast, so there is no error either.
    sold = question.demand > 0
    first = np.where(sold.any(axis=1), sold.argmax(axis=1), sold.shape[1])
    error[cuts <= first[:, None]] = np.nan
    mean = answer.mean[:, here]
    if law.per_step:
        steps = [_quantiles(mean[:, k], error[:, :, k], law.signed, levels) for k in range(question.window)]
        total = np.sum(np.stack(steps), axis=0)
    else:
        total = _quantiles(mean.sum(axis=1), error.sum(axis=2), law.signed, levels)
    return np.asarray(np.maximum(total, 0.0))


def _quantiles(mean: Floats, error: Floats, signed: bool, levels: Sequence[float]) -> Floats:
    """Quantiles of mean plus errors (n_items, n_windows), NaN left out; the mean itself where no error is known."""
    scores = np.sort(error if signed else np.concatenate([np.abs(error), -np.abs(error)], axis=1), axis=1)
    n = (~np.isnan(scores)).sum(axis=1)[:, None]
    if not scores.shape[1]:
        return np.repeat(mean[:, None], len(levels), axis=1)
    place = np.maximum(n - 1, 0) * np.asarray(levels)
    low = np.floor(place).astype(np.int64)
    lower = np.take_along_axis(scores, low, axis=1)
    upper = np.take_along_axis(scores, np.minimum(low + 1, np.maximum(n - 1, 0)), axis=1)
    return mean[:, None] + np.where(n > 0, lower + (upper - lower) * (place - low), 0.0)


def _answer_all(source: Path, target: Path) -> None:
    from concurrent.futures import ProcessPoolExecutor

    with np.load(source) as told:
        asked = json.loads(str(told["asked"]))
        questions = [Question(demand=told[f"demand_{k}"], cuts=told[f"cuts_{k}"], **q) for k, q in enumerate(asked)]
    parts = [(k, q, slice(a, a + _ROWS_AT_ONCE)) for k, q in enumerate(questions)
             for a in range(0, len(q.demand), _ROWS_AT_ONCE)]  # fmt: skip
    # The slow ones first, so that no process is left with one of them in the end.
    parts.sort(key=lambda part: -PEERS.index(part[1].peer))
    _model("tsb", 1)
    arrays: dict[str, NDArray[Any]] = {}
    for k, q in enumerate(questions):
        arrays[f"mean_{k}"] = np.zeros((len(q.demand), len(q.cuts), q.window))
        arrays[f"failed_{k}"] = np.zeros((len(q.demand), len(q.cuts)), dtype=np.bool_)
    with ProcessPoolExecutor() as pool:
        answers = pool.map(_answer, (q for _, q, _ in parts), (rows for _, _, rows in parts))
        for (k, _, rows), answer in zip(parts, answers, strict=True):
            arrays[f"mean_{k}"][rows] = answer.mean
            arrays[f"failed_{k}"][rows] = answer.failed
    np.savez(target, allow_pickle=False, **arrays)


def _answer(question: Question, rows: slice) -> Answer:
    warnings.simplefilter("ignore")
    model = _model(question.peer, question.season_length)
    demand = question.demand[rows]
    mean = np.zeros((len(demand), len(question.cuts), question.window))
    failed = np.zeros(mean.shape[:2], dtype=np.bool_)
    for i, units in enumerate(demand):
        sold = np.flatnonzero(units > 0)
        first = int(sold[0]) if len(sold) else len(units)
        begin = first if question.trimmed else 0
        for k, cut in enumerate(question.cuts):
            if cut <= first:
                continue
            past = np.ascontiguousarray(units[begin:cut])
            said = np.full(question.window, np.nan)
            with suppress(Exception):
                said = np.asarray(model.forecast(y=past, h=question.window)["mean"], dtype=np.float64)
            failed[i, k] = not np.isfinite(said).all()
            mean[i, k] = past.mean() if failed[i, k] else said
    return Answer(mean, failed)


def _model(peer: str, season_length: int) -> Any:
    from statsforecast import models

    every = {
        "ses_optimized": models.SimpleExponentialSmoothingOptimized(),
        "croston_optimized": models.CrostonOptimized(),
        "croston_sba": models.CrostonSBA(),
        "tsb": models.TSB(alpha_d=0.1, alpha_p=0.1),
        "imapa": models.IMAPA(),
        "auto_ets": models.AutoETS(season_length=season_length),
    }
    return every[peer]


def _print_seconds(source: Path) -> None:
    """CPU seconds of SES optimised with conformal intervals, 28 days ahead, on a daily panel."""
    import resource

    os.environ["NIXTLA_ID_AS_COL"] = "1"
    import pandas as pd
    from statsforecast import StatsForecast
    from statsforecast.models import SimpleExponentialSmoothingOptimized
    from statsforecast.utils import ConformalIntervals

    demand = np.load(source)
    n_items, n_days = demand.shape
    days = pd.date_range("2022-07-01", periods=n_days)
    columns = {"unique_id": np.repeat(np.arange(n_items), n_days), "ds": np.tile(days, n_items), "y": demand.ravel()}
    frame = pd.DataFrame(columns)

    def cpu() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in used)

    def forecast(rows: pd.DataFrame) -> None:
        model = SimpleExponentialSmoothingOptimized(prediction_intervals=ConformalIntervals(h=28, n_windows=2))
        StatsForecast(models=[model], freq="D", n_jobs=1).forecast(df=rows, h=28, level=[80])

    # Compiling is not counted.
    forecast(frame[frame["unique_id"] < 5])
    start = cpu()
    forecast(frame)
    print(json.dumps({"forecast": cpu() - start}))


if __name__ == "__main__":
    if sys.argv[1] == "forecasts":
        _answer_all(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        _print_seconds(Path(sys.argv[2]))
