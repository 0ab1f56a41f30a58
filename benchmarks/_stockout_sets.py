"""Three public sets for learned stockout flags, each as rounds of rows to learn from and rows to score.

- `usaid`: medicines at clinics by the month. Features by the library from the tables (`stockout_features`), origins
  2018-07 to 2018-11, learned from origins whose month had ended by then. Scored are *new* stockouts: stock now,
  some use in the last year, none at the end of the next month.
- `freshretail`: fresh food in shops by the day. Features given (`_fresh_features.py`), made of what was known at the
  end of the day; learned once, from the days before the last 14, rows with a stockout today among them. Scored are
  new stockouts: no stockout hour today, at least one tomorrow. Of tomorrow only weekday and public holiday are known;
  weather, discounts and promotions of tomorrow are not used.
- `kaggle`: product snapshots, the 21 features of the file as they are (-99 means missing). Five folds, in which rows
  with the same features stay together. The rows are case-control; everything is scored on the file's own mix.

`plain` names the obvious features that the plain boosting gets where features are ours; on kaggle all get all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.stockout_features import stockout_features
from benchmarks import usaid
from benchmarks._fresh_features import FreshDays, fresh_features, read_days

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

USAID_ORIGINS = pd.date_range("2018-07-31", periods=5, freq="ME")
FRESH_DAYS, FRESH_SCORED, FRESH_FIRST = 90, 14, 10
N_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Round:
    """Rows to learn from and rows to score, with the labels of both; `times` of the former where they have any.

    `rule` is a score of the rows scored that needs no learning; `groups` tells which of them belong together.
    """

    features: pd.DataFrame
    labels: Ints
    times: Ints | None
    scored: pd.DataFrame
    outcome: Ints
    rule: Floats
    groups: Ints


@dataclass(frozen=True, eq=False)
class StockoutSet:
    """Rounds of one set, the columns of the plain boosting, and what the rule is in words."""

    name: str
    rounds: list[Round]
    plain: list[str]
    rule: str


def load(name: str, data: Path) -> StockoutSet:
    """One set by its name."""
    return SETS[name](data)


def _usaid(data: Path) -> StockoutSet:
    table = stockout_features(usaid.tables(data / "usaid_contraceptive"))
    table = table[table["ran_out"].notna()].reset_index(drop=True)
    names = list(table.columns[4:])
    item = pd.factorize(table["sku"].astype("str") + " " + table["location"].astype("str"))[0].astype(np.int64)
    month = (table["date"].dt.year * 12 + table["date"].dt.month).to_numpy(np.int64)
    label = table["ran_out"].to_numpy(np.int64)
    rounds = []
    for origin in USAID_ORIGINS:
        # The month that starts at an earlier origin has ended by this one.
        before, now = (table["date"] < origin).to_numpy(), (table["date"] == origin).to_numpy()
        rounds.append(
            Round(table.loc[before, names], label[before], month[before], table.loc[now, names], label[now],
                  -table.loc[now, "cover_3"].to_numpy(), item[now])
        )  # fmt: skip
    plain = ["stock", "use_1", "use_2", "use_3", "use_6", "use_12", "cover_3", "cover_12", "trend", "no_use_share_12",
             "since_receipt", "part_of_season"]  # fmt: skip
    return StockoutSet("usaid", rounds, plain, "stock over the use of three months")


def _freshretail(data: Path, end: int = FRESH_DAYS) -> StockoutSet:
    """The last 14 days before the day number `end` are scored, those before learned from."""
    days = read_days(pd.read_parquet(data / "freshretail" / "daily_500.parquet"))
    first = end - 1 - FRESH_SCORED
    features, label, times, _ = _fresh_rows(days, range(FRESH_FIRST, first), also_out=True)
    ahead, outcome, _, item = _fresh_rows(days, range(first, end - 1), also_out=False)
    one = Round(features, label, times, ahead, outcome, ahead["out_share_28"].to_numpy(), item)
    plain = ["sold_1", "sold_7", "sold_28", "out_share_7", "out_share_28", "since_out", "out_hours_7", "weekday",
             "discount", "promotion", "holiday"]  # fmt: skip
    return StockoutSet("freshretail", [one], plain, "share of days with a stockout in the last 28")


def _fresh_rows(days: FreshDays, which: range, *, also_out: bool) -> tuple[pd.DataFrame, Ints, Ints, Ints]:
    """Features, label, day and item of the rows of these days, with or without those that have a stockout hour."""
    frames, labels, times, items = [], [], [], []
    for day in which:
        here = np.flatnonzero((days.hours[:, day] == 0) | also_out)
        frames.append(fresh_features(days, day).iloc[here])
        labels.append((days.hours[here, day + 1] > 0).astype(np.int64))
        times.append(np.full(len(here), day))
        items.append(here)
    return pd.concat(frames, ignore_index=True), np.concatenate(labels), np.concatenate(times), np.concatenate(items)


def _kaggle(data: Path) -> StockoutSet:
    from sklearn.model_selection import StratifiedGroupKFold

    rows = pd.read_parquet(data / "kaggle_backorder" / "train_casecontrol.parquet").drop(columns="sku")
    label = (rows.pop("went_on_backorder") == "Yes").to_numpy(np.int64)
    words = [c for c in rows if not pd.api.types.is_numeric_dtype(rows[c])]
    features = rows.assign(**{str(c): rows[c] == "Yes" for c in words}).astype(np.float64)
    for name in ("perf_6_month_avg", "perf_12_month_avg"):
        features[name] = features[name].where(features[name] > -99)
    groups = pd.factorize(pd.util.hash_pandas_object(features, index=False))[0].astype(np.int64)
    folds = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=0).split(features, label, groups)
    # What is left of stock after the forecast of three months, per unit forecast.
    need = features["forecast_3_month"] + features["min_bank"]
    supply = features["national_inv"] + features["in_transit_qty"] - features["pieces_past_due"]
    rule = (np.log1p(need) - np.sign(supply) * np.log1p(supply.abs())).to_numpy()
    rounds = [Round(features.iloc[a], label[a], None, features.iloc[b], label[b], rule[b], groups[b]) for a, b in folds]
    return StockoutSet("kaggle", rounds, list(features.columns), "forecast of three months over stock and transit")


SETS: dict[str, Callable[[Path], StockoutSet]] = {"usaid": _usaid, "freshretail": _freshretail, "kaggle": _kaggle}
