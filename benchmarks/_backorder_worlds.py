"""Fill dates and promises of open lines on worlds with known truth, world by world.

A plan's fill dates are made from the export alone; the truth then plays the days after `as_of` many times under its
own laws. A line is filled on the day on which it would be complete had its customer stayed.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import backorder_forecast as bf
from backorder_forecast.backorders import fill_date_frame
from backorder_forecast.fitting import fit_world
from backorder_forecast.promise_record import Calibration
from backorder_forecast.simulation import draw_bucket, fill_paths
from backorder_forecast.synthetic import make_world

Floats = NDArray[np.float64]
FIRST_SEED = 1000
"""Seeds scored begin here; smaller ones were looked at while the methods were written."""
SETTINGS = bf.Settings(n_paths=300, workers=1, global_model=False, theta=False, smooth_items=0, learned_flag=False)
"""Fewer paths, and of the demand models the cheap one: demand does not enter fill dates."""
HORIZON = 250
LONG_LEAD = 14.0
MIN_LINES, MIN_RECEIPTS = 2000, 300
"""Lines and receipts (items of a world) from which a supplier law is scored on its own."""


def figures_of(rows: pd.DataFrame) -> dict[str, float]:
    """Coverage, promises and slack by kind, and over all kinds."""
    figures: dict[str, float] = {}
    for kind, part in [("", rows), *((f"{kind}_", part) for kind, part in rows.groupby("kind"))]:
        dated = part[part["stated"].notna()]
        figures |= {
            f"{kind}fill_coverage_80": float(part["inside"].mean()),
            f"{kind}promise_kept_90": float(dated["kept"].mean()),
            f"{kind}promise_stated": float(dated["stated"].mean()),
            f"{kind}promise_gap": float(abs(dated["kept"].mean() - dated["stated"].mean())),
            f"{kind}promise_kept_even": float(dated["even"].mean()),
            f"{kind}promise_slack_days": float(dated["slack"].mean()),
            f"{kind}promise_slack_days_median": float(dated["slack"].median()),
            f"{kind}lines": float(len(part)),
            f"{kind}receipts": float(part.groupby(["kind", "seed", "sku"]).ngroups),
            f"{kind}without_promise": float(part["stated"].isna().mean()),
        }
    gaps = []
    for law, part in rows[rows["stated"].notna()].groupby("law"):
        receipts = part.groupby(["kind", "seed", "sku"]).ngroups
        gap = float(part["kept"].mean() - part["stated"].mean())
        figures |= {f"law_{law}_gap": gap, f"law_{law}_lines": float(len(part)), f"law_{law}_receipts": float(receipts)}
        if len(part) >= MIN_LINES and receipts >= MIN_RECEIPTS:
            gaps.append(abs(gap))
    # Without a law that has enough lines there is no figure.
    return figures | ({"promise_gap_worst_law": max(gaps)} if gaps else {})


def nobody(stage: str) -> None:
    """Nobody watches the stages of one fit."""


def score_world(kind: str, seed: int, *, n_items: int, n_futures: int) -> pd.DataFrame:
    """One row per open line: kind, seed, sku, law, inside, kept, stated, even, slack.

    `even` is the share kept without business days and with ties drawn by lot.
    """
    world = make_world(kind, n_skus=n_items, seed=seed)
    lines, even = _said(bf.read_tables(dict(world.tables), as_of=world.as_of))
    known = world.truth.open_lines.reset_index(names="row")[["order_id", "sku", "row"]]
    known = known.astype({"order_id": "str", "sku": "str"})
    lines = lines.assign(order_id=lines["order_id"].astype("str"), sku=lines["sku"].astype("str"))
    lines = lines.merge(known, on=["order_id", "sku"], how="left", validate="one_to_one")
    futures = [world.truth.future(k, horizon_days=HORIZON).line_fill_day for k in range(n_futures)]
    filled = np.stack(futures, axis=1)[lines["row"].to_numpy(dtype=np.int64)].astype(np.float64)
    low, high, promised = (_day(lines[c], world.as_of) for c in ("fill_date_0.1", "fill_date_0.9", "promise_date"))
    # A quantile that is not reached is never.
    low, high = np.nan_to_num(low, nan=np.inf), np.nan_to_num(high, nan=np.inf)
    # A line not filled in the days played has no slack that we know.
    settled = (filled < HORIZON) & ~np.isnan(promised)[:, None]
    early = np.where(settled, promised[:, None] - filled, 0.0).sum(axis=1)
    slack = np.divide(early, settled.sum(axis=1), out=np.full(len(early), np.nan), where=settled.any(axis=1))
    owner = world.truth.items.set_index("sku").loc[lines["sku"], "supplier"]
    supplier = world.truth.suppliers.set_index("supplier").loc[owner]
    length = np.where(supplier["lead_median"] >= LONG_LEAD, "long", "short")
    law = np.where(supplier["bimodal"], "slow_spells_", "lognormal_")
    day, share = even
    before = np.where(filled <= day[:, None], 1.0, np.where(filled == day[:, None] + 1, share[:, None], 0.0))
    return pd.DataFrame(
        {
            "kind": kind, "seed": seed, "sku": lines["sku"], "law": law.astype(object) + length,
            "inside": ((filled >= low[:, None]) & (filled <= high[:, None])).mean(axis=1),
            "kept": (filled <= promised[:, None]).mean(axis=1),
            "stated": lines["p_at_promise"], "even": before.mean(axis=1), "slack": slack,
        }
    )  # fmt: skip


def _said(tables: bf.Tables) -> tuple[pd.DataFrame, tuple[Floats, Floats]]:
    """Fill dates of a plan, and the unrounded promise: its last sure day, and the share promised a day later."""
    fitted = fit_world(tables, SETTINGS, lap=nobody).world
    frames, days, shares = [], [], []
    n = len(fitted.facts)
    for start in range(0, n, fitted.bucket_items):
        stop = min(start + fitted.bucket_items, n)
        lines, line_start = fitted.lines.bucket(start, stop)
        if not len(lines):
            continue
        facts, draws = fitted.facts.iloc[start:stop].reset_index(drop=True), draw_bucket(fitted, start, stop)
        first, complete, following = fill_paths(fitted, facts, draws, start, stop)
        orders = fitted.orders.frame.iloc[int(fitted.orders.item_start[start]) : int(fitted.orders.item_start[stop])]
        record = None if fitted.calibration.record.empty else fitted.calibration
        frame = fill_date_frame(
            lines, first, complete, line_start=line_start, orders=orders, arrival_days=draws.arrival_days,
            order_start=draws.order_start, next_order_days=following, as_of=tables.as_of, settings=SETTINGS,
            calibration=record,
        )  # fmt: skip
        frames.append(frame)
        days_of, share_of = _even(np.maximum(complete, 1), fitted.calibration, lines["item"].to_numpy(np.int64))
        days.append(days_of)
        shares.append(share_of)
    return pd.concat(frames, ignore_index=True), (np.concatenate(days), np.concatenate(shares))


def _even(complete: NDArray[np.int32], calibration: Calibration, item: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Day d and share s: promising d + 1 in a share s of cases and d else is kept with exactly the promise level."""
    ranked = np.sort(complete, axis=1).astype(np.float64)
    n = ranked.shape[1]
    place = np.ceil(calibration.level(item, SETTINGS.promise_level) * n - 1e-9).astype(np.int64) - 1
    day = ranked[np.arange(len(ranked)), np.maximum(place, 0)]
    upto = calibration.kept(item, (ranked <= day[:, None]).mean(axis=1))
    before = calibration.kept(item, (ranked < day[:, None]).mean(axis=1))
    share = (SETTINGS.promise_level - before) / np.maximum(upto - before, 1e-12)
    return day - 1.0, np.clip(share, 0.0, 1.0)


def _day(dates: pd.Series, as_of: pd.Timestamp) -> Floats:
    return np.asarray((dates - as_of).dt.days.to_numpy(), dtype=np.float64)
