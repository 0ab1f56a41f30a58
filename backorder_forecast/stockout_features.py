"""What was known of each item at past stock snapshots, and whether it then ran out: rows to learn a stockout flag from.

A row is an item at a snapshot date: how long its stock lasts at the rates of several windows, its history of use,
receipts and stockouts, what is on order and what of it is late, who waits, the season, and how its peers (the same sku
elsewhere, the same location, supplier, category) fare. All of it was known at the end of that day.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.snapshots import Snapshots, read_snapshots
from backorder_forecast.tables import Tables

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PEER_WEIGHT = {"sku": 10.0, "location": 3.0, "supplier": 10.0, "category": 10.0}
"""Pseudo-items by which the shares of a group of peers are drawn to those of all items. Judgement."""
LONG_AGO = 99.0
"""Steps since something that has not happened."""
_OWN_PRIOR = 6.0
_MOST_COVER = 60.0


def features_at(snapshots: Snapshots, date: int) -> pd.DataFrame:
    """Features of every item at the end of one snapshot date (its number), one row per item.

    Names say what they are: `cover_3` is the log of stock over the use per step of the last 3 steps, `_rate` and
    `_share` are shares, `since_` counts steps, the rest is in units or logs of ratios.
    """
    t = date
    stock, use, received = snapshots.stock[:, : t + 1], snapshots.use[:, : t + 1], snapshots.received[:, : t + 1]
    now = np.nan_to_num(stock[:, t])
    windows, year = snapshots.windows, min(snapshots.year, t + 1)
    columns: dict[str, Floats] = {}
    rate = {w: use[:, -w:].sum(axis=1) / min(w, t + 1) for w in windows}
    low, mid, long = (rate[windows[i]] for i in (0, 2, -1))
    for w in windows:
        columns[f"use_{w}"] = rate[w]
        columns[f"cover_{w}"] = _log_ratio(now, rate[w])
    columns["cover_steps"] = np.minimum(now / np.maximum(mid, 1e-9), _MOST_COVER)
    past_year = use[:, -year:]
    spread = past_year.std(axis=1)
    columns["stock"] = now
    columns["cover_highest_use"] = _log_ratio(now, past_year.max(axis=1))
    columns["cover_with_spread"] = _log_ratio(now, rate[windows[3]] + 1.3 * spread)
    columns["lead_steps"] = snapshots.lead_steps.astype(np.float64)
    columns["cover_lead_time"] = _log_ratio(now, long * snapshots.lead_steps)
    columns["trend"] = _log_ratio(mid, long)
    columns["last_step"] = _log_ratio(low, long)
    columns["variation"] = spread / np.maximum(past_year.mean(axis=1), 1e-9)
    for w in windows[2:]:
        columns[f"no_use_share_{w}"] = (use[:, -w:] == 0).mean(axis=1)
    ago = t + 1 - snapshots.year
    if ago >= 0:
        # The next step a year ago has index t + 1 - year.
        columns["season"] = _log_ratio(use[:, ago], past_year.mean(axis=1))
    else:
        columns["season"] = np.full(len(now), np.nan)
    next_day = snapshots.dates[t] + pd.Timedelta(days=snapshots.step_days)
    part = next_day.day_of_week if snapshots.step_days <= 3 else next_day.month
    columns["part_of_season"] = np.full(len(now), float(part))
    columns |= _supply(snapshots, t, now, received, rate)
    columns |= _stockout_history(snapshots, t)
    columns["stock_change"] = _log_ratio(now, np.nan_to_num(stock[:, max(t - 1, 0)]))
    seen = np.where(np.isnan(stock[:, -year:]), 0.0, stock[:, -year:])
    columns["stock_to_highest"] = _log_ratio(now, seen.max(axis=1))
    lowest = np.where(seen > 0, seen, np.inf).min(axis=1)
    columns["stock_to_lowest"] = _log_ratio(now, np.where(np.isfinite(lowest), lowest, 0.0))
    columns |= _peers(snapshots, t, columns)
    return pd.DataFrame(columns)


def stockout_features(
    tables: Tables, *, dates: Sequence[str | pd.Timestamp] | None = None, lead_days: float | Floats | None = None
) -> pd.DataFrame:
    """The feature table: one row per exposed item and snapshot date, and whether it ran out then.

    Parameters
    ----------
    tables
        From `read_tables`.
    dates
        Snapshot dates to give; all by default.
    lead_days
        Usual lead time in days, the window of `ran_out`; one number, or one per item of `tables.items()`; the step
        between snapshots where not given.

    Returns
    -------
    DataFrame
        sku, location, date, ran_out (1, 0; empty where the window is not over), then the features (`features_at`).

    Raises
    ------
    NotEnoughHistory
        Fewer than two snapshot dates.
    InvalidSettings
        A date that is no snapshot date.

    Examples
    --------
    >>> from backorder_forecast.tables import read_tables
    >>> days = pd.date_range("2024-01-07", periods=3, freq="7D")
    >>> stock = pd.DataFrame({"sku": "A", "date": days, "on_hand": [9, 4, 0]})
    >>> sales = pd.DataFrame({"sku": "A", "date": days, "quantity": [5, 5, 4]})
    >>> table = stockout_features(read_tables({"sales": sales, "inventory": stock}))
    >>> table[["ran_out", "stock", "use_2"]].to_dict("list")
    {'ran_out': [0.0, 1.0], 'stock': [9.0, 4.0], 'use_2': [5.0, 5.0]}
    """
    snapshots = read_snapshots(tables, lead_days=lead_days)
    wanted = np.arange(len(snapshots.dates))
    if dates is not None:
        asked = pd.DatetimeIndex([pd.Timestamp(day).normalize() for day in dates])
        wanted = snapshots.dates.get_indexer(asked)
        if (wanted < 0).any():
            missing = asked[int(np.argmax(wanted < 0))]
            near = snapshots.dates[int(np.argmin(np.abs(snapshots.dates - missing)))]
            raise InvalidSettings(f"{missing:%Y-%m-%d} is no snapshot date; the nearest one is {near:%Y-%m-%d}")
    exposed, ran_out = snapshots.exposed, snapshots.ran_out
    parts = []
    for t in wanted.tolist():
        rows = np.flatnonzero(exposed[:, t])
        head = snapshots.items[["sku", "location"]].iloc[rows].reset_index(drop=True)
        head = head.assign(date=snapshots.dates[t], ran_out=ran_out[rows, t])
        parts.append(pd.concat([head, features_at(snapshots, t).iloc[rows].reset_index(drop=True)], axis=1))
    return pd.concat(parts, ignore_index=True)


def _supply(snapshots: Snapshots, t: int, now: Floats, received: Floats, rate: dict[int, Floats]) -> dict[str, Floats]:
    """Receipts so far, open orders and waiting customers."""
    windows = snapshots.windows
    mid, long = rate[windows[2]], rate[windows[-1]]
    out = {f"receipt_share_{w}": (received[:, -w:] > 0).mean(axis=1) for w in (windows[0], windows[2], windows[3])}
    out["since_receipt"] = _since(received > 0)
    out["received_to_use"] = _log_ratio(received[:, -windows[2] :].sum(axis=1), mid * windows[2])
    on_order, late, waiting = snapshots.on_order[:, t], snapshots.late[:, t], snapshots.waiting[:, t]
    out["on_order"] = on_order
    out["cover_with_orders"] = _log_ratio(now + on_order, long * snapshots.lead_steps)
    out["late_share"] = np.where(on_order > 0, late / np.maximum(on_order, 1e-9), 0.0)
    out["waiting"] = waiting
    out["cover_less_waiting"] = _log_ratio(np.maximum(now - waiting, 0.0), mid)
    return out


def _stockout_history(snapshots: Snapshots, t: int) -> dict[str, Floats]:
    """How often and when the item itself was out."""
    counted = ~np.isnan(snapshots.stock[:, : t + 1])
    empty = (snapshots.stock[:, : t + 1] <= 0) & counted
    new = snapshots.new_stockouts[:, max(t + 1 - snapshots.year, 0) : t + 1]
    known = ~np.isnan(new)
    usual = float(new[known].mean()) if known.any() else 0.0
    year, half = snapshots.year, max(snapshots.year // 2, 1)
    return {
        "out_share_half_year": empty[:, -half:].sum(axis=1) / np.maximum(counted[:, -half:].sum(axis=1), 1),
        "out_share_year": empty[:, -year:].sum(axis=1) / np.maximum(counted[:, -year:].sum(axis=1), 1),
        "since_out": _since(empty),
        "own_new_rate": (np.nansum(new, axis=1) + _OWN_PRIOR * usual) / (known.sum(axis=1) + _OWN_PRIOR),
        "snapshots_counted": counted.sum(axis=1).astype(np.float64),
    }


def _peers(snapshots: Snapshots, t: int, own: dict[str, Floats]) -> dict[str, Floats]:
    """Shares of the item's groups that are out, newly out and newly supplied, and how long their stock lasts."""
    counted = ~np.isnan(snapshots.stock[:, t])
    empty = np.where(counted, snapshots.stock[:, t] <= 0, np.nan)
    supplied = np.where(counted, snapshots.received[:, t] > 0, np.nan)
    new = snapshots.new_stockouts
    spans = {"": 1, "_lately": snapshots.windows[2], "_year": snapshots.year}
    recent = {name: _mean_of_known(new[:, max(t + 1 - span, 0) : t + 1]) for name, span in spans.items()}
    use = own[f"use_{snapshots.windows[2]}"]
    out: dict[str, Floats] = {}
    for kind, code in snapshots.groups.items():
        weight = PEER_WEIGHT[kind]
        out[f"{kind}_out_rate"] = _group_mean(empty, code, weight)
        out[f"{kind}_supplied_rate"] = _group_mean(supplied, code, weight)
        for name, values in recent.items():
            out[f"{kind}_new_rate{name}"] = _group_mean(values, code, weight)
        total, used = (np.bincount(code, v).astype(np.float64) for v in (np.nan_to_num(snapshots.stock[:, t]), use))
        out[f"{kind}_cover"] = _log_ratio(total, used)[code]
        # When anything last came for the group: deliveries to a place, or of a supplier, have a rhythm.
        came = np.stack([np.bincount(code, r) > 0 for r in (snapshots.received[:, : t + 1] > 0).T], axis=1)
        out[f"{kind}_since_receipt"] = _since(came)[code]
        out[f"{kind}_receipt_rate"] = came[:, -snapshots.year :].mean(axis=1)[code]
    return out


def _log_ratio(top: Floats, bottom: Floats) -> Floats:
    """Less than nothing, as records sometimes show, counts as nothing."""
    return np.asarray(np.log1p(np.maximum(top, 0.0)) - np.log1p(np.maximum(bottom, 0.0)))


def _since(happens: NDArray[np.bool_]) -> Floats:
    """Steps since the last True of each row."""
    last = happens.shape[1] - 1 - np.argmax(happens[:, ::-1], axis=1)
    return np.where(happens.any(axis=1), happens.shape[1] - 1.0 - last, LONG_AGO)


def _mean_of_known(values: Floats) -> Floats:
    known = ~np.isnan(values)
    n = known.sum(axis=1)
    return np.where(n > 0, np.nansum(values, axis=1) / np.maximum(n, 1), np.nan)


def _group_mean(values: Floats, code: Ints, weight: float) -> Floats:
    """Mean of the known values of each item's group, drawn to the mean of all."""
    known = ~np.isnan(values)
    overall = float(values[known].mean()) if known.any() else 0.0
    size = int(code.max()) + 1
    total = np.bincount(code[known], values[known], minlength=size)
    return np.asarray(((total + weight * overall) / (np.bincount(code[known], minlength=size) + weight))[code])
