"""Two plans held against each other: new risks, moved fill dates, kept and broken promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from backorder_forecast.result import Plan

FLAG_RANK = {"ok": 0, "watch": 1, "warning": 2, "critical": 3}
COLUMNS = ("kind", "sku", "location", "order_id", "before", "after", "text")


def compare_plans(previous: Plan, plan: Plan) -> pd.DataFrame:
    """What changed from one plan to the next.

    Parameters
    ----------
    previous, plan
        Two plans of the same shop, the earlier first; saved ones are read with `Plan.from_folder`.

    Returns
    -------
    DataFrame
        kind (new_risk, worse_risk, better_risk, promise_moved, promise_due_kept, promise_due_broken, closed), sku,
        location, order_id, before, after, text; risks first, then lines.
    """
    frames = [_risks(previous.stockouts, plan.stockouts), _lines(previous, plan)]
    changes = pd.concat(frames, ignore_index=True)
    return changes[list(COLUMNS)]


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


def _lines(previous: Plan, plan: Plan) -> pd.DataFrame:
    keys = ["order_id", "sku", "location"]
    before = previous.fill_dates[[*keys, "promise_date"]]
    after = plan.fill_dates[[*keys, "promise_date"]]
    both = before.merge(after, on=keys, how="left", suffixes=("_before", "_after"), indicator=True)
    old, new = both["promise_date_before"], both["promise_date_after"]
    still_open = both["_merge"] == "both"
    due = old <= plan.as_of
    moved = still_open & ~due & ((old != new) & ~(old.isna() & new.isna()))
    # A line that has left the list was filled or cancelled; a due line still on it has waited beyond its promise.
    kind = np.select(
        [due & still_open, due & ~still_open, ~still_open, moved],
        ["promise_due_broken", "promise_due_kept", "closed", "promise_moved"],
        "",
    )
    rows = both[keys].assign(kind=kind, before=_day(old), after=np.where(still_open, _day(new), "closed"))
    rows["text"] = "promise " + rows["before"] + " -> " + rows["after"].astype("str")
    return _ordered(rows[rows["kind"] != ""])


def _day(dates: pd.Series) -> pd.Series:
    text: pd.Series = dates.dt.strftime("%Y-%m-%d").fillna("none").astype("str")
    return text


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values(["kind", "sku", "location", "order_id"], kind="stable").reset_index(drop=True)
