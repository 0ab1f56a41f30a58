"""How good and how fast are the forecasts of demand? Eight public sets, with the peers beside them in the same run.

    python -m benchmarks.demand [--data FOLDER] [--sets vn2 raf ...] [--sample 600] [--no-peers] [--no-speed]
                                [--json PATH]

Each set is forecast with `forecast_demand` and its defaults at rolling origins (`_demand_sets.py`); nothing is chosen
per set. Scored is the demand summed over `WINDOW` periods that were in stock throughout: mean pinball loss over the
levels .5 to .99, added up over items and origins, relative to a reference that never changes (`_reference_ses.py`).
Below 1 is better. RMSSE, WAPE and bias are of the mean of single periods; the PIT is that of the sums.

Peers (`_demand_peers.py`) forecast a sample of the items, the same for all, AutoETS in some sets a part of it; ours
stands beside them on the same rows. Each peer is shown with the law of errors, and with or without the zeros before
the first sale, that suit it best on the very rows scored: an advantage that nobody has beforehand.

The data are in the folder of `--data`, else of BACKORDER_DATA. The interpreter that has statsforecast is named in
BACKORDER_PEERS_PYTHON where it is not this one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from backorder_forecast import forecast_demand
from backorder_forecast.outcomes import IN_STOCK, outcomes
from backorder_forecast.scores import bias, known_mean, pinball, pit_histogram, rmsse, wape
from benchmarks._compare import peers_python
from benchmarks._demand_peers import LAWS, PEERS, Answer, Question, ask_peers, peer_quantiles
from benchmarks._demand_sets import SETS, WINDOW, DemandSet, load
from benchmarks._demand_speed import measure_speed
from benchmarks._demand_tables import bar_table, law_table, peer_table, set_table, speed_table
from benchmarks._reference_ses import LEVELS, reference_quantiles

Floats = NDArray[np.float64]

AUTO_ETS_ITEMS = {"vn2": 60, "carparts": 100, "raf": 100, "stallion": 60, "freshretail": 60}
"""Items for AutoETS in the sets in which it takes a hundred times as long as the others; elsewhere the whole sample."""
N_WINDOWS, AUTO_ETS_WINDOWS = 20, 8
"""Windows before the first origin from which a peer may learn its errors; more made none of them better."""
LAST_DAYS = 7


@dataclass(frozen=True, eq=False)
class SetScores:
    """Loss per item and origin, units (n_items, n_origins), NaN where not in stock throughout, and the figures."""

    demand: DemandSet
    loss: Floats
    reference: Floats
    figures: dict[str, float]

    def relative(self, rows: NDArray[np.int64] | slice = slice(None), loss: Floats | None = None) -> float:
        """Loss of some items (ours, or a peer's of just these) over that of the reference."""
        ours = self.loss[rows] if loss is None else loss
        return float(np.nansum(ours) / np.nansum(self.reference[rows]))


def main() -> None:
    """Print the tables, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("BACKORDER_DATA"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--sample", type=int, default=600, help="items per set that the peers forecast")
    parser.add_argument("--items", type=int, default=10_000, help="items of the panel on which speed is measured")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--no-speed", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.data is None:
        parser.error("the folder of the real data is not known: give --data or set BACKORDER_DATA")
    start = time.perf_counter()
    console = Console(width=130)
    peer = None if options.no_peers else peers_python()
    scores = [score_set(load(name, options.data)) for name in options.sets]
    figures = {f"{s.demand.name}_{name}": value for s in scores for name, value in s.figures.items()}
    console.print(set_table(options.sets, figures))
    if peer:
        against, chosen = score_peers(scores, peer, options.sample)
        figures |= against
        console.print(peer_table(options.sets, against), law_table(options.sets, chosen))
    elif not options.no_peers:
        console.print("the peers were not run: no environment for them (see the head of this file)")
    if not options.no_speed:
        speed = measure_speed(peer, n_items=options.items)
        figures |= speed
        console.print(speed_table(options.items, speed))
    console.print(bar_table(options.sets, figures))
    console.print(f"{time.perf_counter() - start:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def score_set(demand: DemandSet) -> SetScores:
    """Our forecasts at each origin of a set, with default settings, and those of the reference."""
    panel = demand.panel
    loss, reference, seen, mean, scaled, below, at, cpu = ([] for _ in range(8))
    for origin in demand.origins:
        known, ahead = panel.until(origin), slice(origin, origin + WINDOW)
        begun = time.process_time()
        forecast = forecast_demand(known, horizon=WINDOW, seed=0)
        quantiles = forecast.cumulative().quantiles(LEVELS)
        cpu.append(time.process_time() - begun)
        of_sum = quantiles[list(LEVELS)].to_numpy().reshape(panel.n_items, WINDOW, len(LEVELS))[:, -1]
        in_stock = panel.exposure[:, ahead] >= IN_STOCK
        total = np.where(in_stock.all(axis=1), panel.demand[:, ahead].sum(axis=1), np.nan)
        loss.append(_loss(total, of_sum))
        reference.append(_loss(total, reference_quantiles(known.demand, known.exposure, window=WINDOW)))
        seen.append(np.where(in_stock, panel.demand[:, ahead], np.nan))
        mean.append(forecast.mean()["mean"].to_numpy().reshape(-1, WINDOW))
        scaled.append(rmsse(seen[-1], mean[-1], np.where(known.exposure >= IN_STOCK, known.demand, np.nan)))
        told = outcomes(forecast, panel, periods=WINDOW, levels=())
        scored = ~np.isnan(told.observed)
        below.append(told.below[scored])
        at.append(told.at[scored])
    shares = pit_histogram(np.concatenate(below), np.concatenate(at))
    figures = {
        "relative_pinball": float("nan"),
        "rmsse": float(known_mean(np.concatenate(scaled))),
        "wape": wape(np.concatenate(seen), np.concatenate(mean)),
        "bias": bias(np.concatenate(seen), np.concatenate(mean)),
        "pit_min": float(shares.min()),
        "pit_max": float(shares.max()),
        # The median leaves out the origin at which the first set compiles.
        "cpu_ms_per_item": 1000.0 * statistics.median(cpu) / panel.n_items,
    }
    scores = SetScores(demand, np.stack(loss, axis=1), np.stack(reference, axis=1), figures)
    figures["relative_pinball"] = scores.relative()
    if demand.name == "freshretail":
        # The names without more belong to the last week, on which others have published.
        figures |= {f"{name}_rolling": figures[name] for name in ("wape", "bias")} | _last_days(demand)
    return scores


def score_peers(
    scores: Sequence[SetScores], python: str, sample: int
) -> tuple[dict[str, float], dict[tuple[str, str], str]]:
    """Figures of the peers and of ours on the same rows, and in words what suited each peer best in each set."""
    asked = [(s, question) for s in scores for question in peer_questions(s.demand, sample)]
    answers = ask_peers(python, [question for _, question in asked])
    figures: dict[str, float] = {}
    chosen: dict[tuple[str, str], str] = {}
    for (own, question), answer in zip(asked, answers, strict=True):
        name, peer = own.demand.name, question.peer
        rows = sample_rows(own.demand, len(question.demand))
        side = "auto_ets_sample" if peer == "auto_ets" else "sample"
        figures[f"{name}_relative_pinball_ours_on_{side}"] = own.relative(rows)
        best, words = _best_law(own, question, answer)
        key = f"{name}_relative_pinball_{peer}"
        if best < figures.get(key, np.inf):
            at_origins = np.isin(question.cuts, own.demand.origins)
            figures[key] = best
            figures[f"{name}_failed_share_{peer}"] = float(answer.failed[:, at_origins].mean())
            chosen[name, peer] = words
    return figures, chosen


def peer_questions(demand: DemandSet, sample: int) -> list[Question]:
    """What each peer is asked: the sampled items at every origin and at the ends of the windows before the first."""
    asked = []
    for peer in PEERS:
        slow = peer == "auto_ets"
        size = min(sample, AUTO_ETS_ITEMS.get(demand.name, sample)) if slow else sample
        units = demand.panel.demand[sample_rows(demand, size)]
        earliest = demand.origins[0] - WINDOW * (AUTO_ETS_WINDOWS if slow else N_WINDOWS)
        cuts = np.arange(max(earliest, earliest % WINDOW), demand.origins[-1] + 1, WINDOW)
        # Leading zeros make little difference to AutoETS, and asking twice would take minutes.
        choices = (False,) if slow else (False, True)
        asked += [Question(peer, units, cuts, demand.season_length, WINDOW, trimmed) for trimmed in choices]
    return asked


def sample_rows(demand: DemandSet, size: int) -> NDArray[np.int64]:
    """Items that stand for all: the first of one fixed random order, so that a smaller sample is part of a larger."""
    return np.random.default_rng(0).permutation(demand.panel.n_items)[:size]


def _best_law(own: SetScores, question: Question, answer: Answer) -> tuple[float, str]:
    """Relative loss of a peer under the law of errors with which it is least, and that law in words."""
    rows = sample_rows(own.demand, len(question.demand))
    scored = ~np.isnan(own.loss[rows])
    found = {}
    for law in LAWS:
        loss = np.full(scored.shape, np.nan)
        for k, origin in enumerate(own.demand.origins):
            total = question.demand[:, origin : origin + WINDOW].sum(axis=1)
            quantiles = peer_quantiles(question, answer, origin, law, LEVELS)
            loss[:, k] = np.where(scored[:, k], _loss(total, quantiles), np.nan)
        found[law] = own.relative(rows, loss)
    best = min(found, key=lambda law: found[law])
    return found[best], f"{best}, {'from the first sale' if question.trimmed else 'leading zeros kept'}"


def _loss(total: Floats, quantiles: Floats) -> Floats:
    """Mean pinball loss over `LEVELS`, units (n_items,)."""
    return np.asarray(pinball(total[:, None], quantiles, np.array(LEVELS)).mean(axis=1))


def _last_days(demand: DemandSet) -> dict[str, float]:
    """WAPE and bias of the last week, forecast once: on days in stock; on all, sales at stockouts as lower bounds."""
    panel = demand.panel
    known = panel.until(panel.n_periods - LAST_DAYS)
    mean = forecast_demand(known, horizon=LAST_DAYS, seed=0).mean()["mean"].to_numpy().reshape(-1, LAST_DAYS)
    sold, in_stock = panel.demand[:, -LAST_DAYS:], panel.exposure[:, -LAST_DAYS:] >= IN_STOCK
    seen = np.where(in_stock, sold, np.nan)
    at_least = np.where(in_stock, sold, np.maximum(sold, mean))
    return {
        "wape": wape(seen, mean),
        "bias": bias(seen, mean),
        "bias_all_days": bias(at_least, mean),
    }


if __name__ == "__main__":
    main()
