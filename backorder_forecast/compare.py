"""Two plans held against each other: new risks, moved fill dates, kept and broken promises.

Two plans of the same day differ by a what-if, or by their settings: then the risks and orders that move are told too. A
what-if has no learned chances, so its flags are held against those that the other plan has by its paths alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.lines import open_lines

if TYPE_CHECKING:
    from backorder_forecast.result import Plan

FLAG_RANK = {"ok": 0, "watch": 1, "warning": 2, "critical": 3}
KEYS = ["order_id", "sku", "location"]
COLUMNS = ("kind", "sku", "location", "order_id", "before", "after", "text")
MOVED = 0.1
"""Least change of a probability that a what-if is told of. Judgement."""


def compare_plans(previous: Plan, plan: Plan, *, closed: pd.DataFrame | None = None) -> pd.DataFrame:
    """What changed from one plan to the next.

    Parameters
    ----------
    previous, plan
        Two plans of the same shop, the earlier first; saved ones are read with `Plan.from_folder`.
    closed
        The backorders table from which `plan` was made (`tables.backorders`): it tells what became of the lines that
        have left the list. Needs order_id, sku, order_date, quantity and filled_date or cancelled_date; location and
        quantity_filled where the shop has them.

    Returns
    -------
    DataFrame
        kind, sku, location, order_id, before, after, text; risks first, then lines. Kinds: new_risk, worse_risk,
        better_risk; promise_moved; promise_kept (filled by the promise), promise_broken (filled later, or due and still
        open), cancelled, and closed where a line is no longer open and nothing tells whether its promise was kept. Of
        two plans of the same day also risk_moved (the flag is the same, the chance to run out differs by .1 or more)
        and order_changed (another quantity to order).

    Raises
    ------
    InvalidSettings
        If `closed` lacks a needed column.
    """
    frames = [_risks(*_like_for_like(previous.stockouts, plan.stockouts)), _lines(previous, plan, closed)]
    if previous.as_of == plan.as_of:
        frames[1:1] = [
            _chances(*_like_for_like(previous.stockouts, plan.stockouts)),
            _orders(previous.reorders, plan.reorders),
        ]
    changes = pd.concat(frames, ignore_index=True)
    return changes[list(COLUMNS)]


def _like_for_like(before: pd.DataFrame, after: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Flags of the same kind: where one plan has learned chances and the other (a what-if) none, those by the paths."""
    sides = (before, after)
    learned = [s["p_stockout_learned"].notna().any() if "p_stockout_learned" in s else False for s in sides]
    if learned[0] == learned[1] or not all("flag_projected" in s for s in sides):
        return sides
    return before.assign(flag=before["flag_projected"]), after.assign(flag=after["flag_projected"])


def _risks(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    both = after[["sku", "location", "flag"]].merge(
        before[["sku", "location", "flag"]], on=["sku", "location"], how="left", suffixes=("_after", "_before")
    )
    known = both["flag_before"].notna()
    old = both["flag_before"].fillna("ok").astype("str")
    new = both["flag_after"].astype("str")
    step = new.map(FLAG_RANK).astype(int) - old.map(FLAG_RANK).astype(int)
    kind = np.select([(step > 0) & (old == "ok"), step > 0, step < 0], ["new_risk", "worse_risk", "better_risk"], "")
    rows = both[["sku", "location"]].assign(kind=kind, order_id="", before=old.where(known, "new item"), after=new)
    rows["text"] = "flag " + rows["before"] + " -> " + rows["after"]
    return _ordered(rows[rows["kind"] != ""])


def _chances(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Items of the same flag whose chance to run out moved."""
    keys = ["sku", "location"]
    both = after[[*keys, "flag", "p_stockout"]].merge(
        before[[*keys, "flag", "p_stockout"]], on=keys, suffixes=("_after", "_before")
    )
    old, new = both["p_stockout_before"].astype(float), both["p_stockout_after"].astype(float)
    moved = (both["flag_before"].astype("str") == both["flag_after"].astype("str")) & ((new - old).abs() >= MOVED)
    rows = both[keys].assign(kind="risk_moved", order_id="", before=_percent(old), after=_percent(new))
    rows["text"] = "chance to run out " + rows["before"] + " -> " + rows["after"]
    return _ordered(rows[moved])


def _orders(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Items of which another quantity is to be ordered."""
    keys = ["sku", "location"]
    if before.empty and after.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    wanted = [f[[*keys, "order_quantity"]].groupby(keys, as_index=False, observed=True).sum() for f in (before, after)]
    both = wanted[0].merge(wanted[1], on=keys, how="outer", suffixes=("_before", "_after"))
    old, new = (both[f"order_quantity_{side}"].fillna(0.0).astype(float) for side in ("before", "after"))
    rows = both[keys].assign(kind="order_changed", order_id="", before=_units(old), after=_units(new))
    rows["text"] = "order " + rows["before"] + " -> " + rows["after"]
    return _ordered(rows[(old != new).to_numpy()])


def _percent(values: pd.Series) -> pd.Series:
    return pd.Series([f"{v:.0%}" for v in values], index=values.index, dtype="str")


def _units(values: pd.Series) -> pd.Series:
    return pd.Series([f"{v:,.10g}" for v in values], index=values.index, dtype="str")


def _lines(previous: Plan, plan: Plan, closed: pd.DataFrame | None) -> pd.DataFrame:
    text = dict.fromkeys(KEYS, "str")
    before = previous.fill_dates[[*KEYS, "promise_date"]].astype(text)
    after = plan.fill_dates[[*KEYS, "promise_date"]].astype(text)
    both = before.merge(after, on=KEYS, how="left", suffixes=("_before", "_after"), indicator=True)
    both = both.merge(_outcomes(before, closed, plan.as_of), on=KEYS, how="left")
    old, new = both["promise_date_before"], both["promise_date_after"]
    still_open = both["_merge"] == "both"
    due = old <= plan.as_of
    moved = still_open & ~due & ((old != new) & ~(old.isna() & new.isna()))
    outcome = both["outcome"].where(~still_open).astype("str").fillna("")
    filled = (outcome == "filled") & both["closed_date"].notna() & old.notna()
    # A due line still on the list has waited beyond its promise; of one that has left it only its outcome tells.
    kind = np.select(
        [
            (due & still_open) | (filled & (both["closed_date"] > old)),
            filled,
            outcome.isin(["cancelled", "refunded"]),
            ~still_open,
            moved,
        ],
        ["promise_broken", "promise_kept", "cancelled", "closed", "promise_moved"],
        "",
    )
    what = outcome.where(outcome != "", "no longer open, outcome not known")
    ended = what.where(both["closed_date"].isna(), what + " " + _day(both["closed_date"]))
    rows = both[KEYS].assign(kind=kind, before=_day(old), after=_day(new).where(still_open, ended))
    rows["text"] = "promise " + rows["before"] + " -> " + rows["after"].astype("str")
    return _ordered(rows[rows["kind"] != ""])


def _outcomes(lines: pd.DataFrame, closed: pd.DataFrame | None, as_of: pd.Timestamp) -> pd.DataFrame:
    """What became of the lines: order_id, sku, location, closed_date, outcome; as known at `as_of`."""
    columns = [*KEYS, "closed_date", "outcome"]
    if closed is None:
        empty = {c: pd.Series(dtype="datetime64[s]" if c == "closed_date" else "str") for c in columns}
        return pd.DataFrame(empty)
    lacking = [c for c in ("order_id", "sku", "order_date", "quantity") if c not in closed]
    if lacking:
        raise InvalidSettings(f"closed is a backorders table and lacks {', '.join(lacking)}; give tables.backorders")
    items = lines[["sku", "location"]].drop_duplicates(ignore_index=True)
    found = open_lines(closed, items, as_of=as_of).closed
    return found[columns].astype(dict.fromkeys([*KEYS, "outcome"], "str"))


def _day(dates: pd.Series) -> pd.Series:
    text: pd.Series = dates.dt.strftime("%Y-%m-%d").fillna("none").astype("str")
    return text


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values(["kind", "sku", "location", "order_id"], kind="stable").reset_index(drop=True)
