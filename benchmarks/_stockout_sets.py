"""Three public sets for learned stockout flags, each as rounds of rows to learn from and rows to score.

- `usaid`: medicines at clinics by the month. Features by the library from the tables (`stockout_features`), origins
  2018-07 to 2018-11, learned from origins whose month had ended by then. Scored are *new* stockouts: stock now,
  some use in the last year, none at the end of the next month.
- `freshretail`: fresh food in shops by the day. Features given (`_fresh_features`), made of what was known in the
  evening; learned once, from the days before the last 14. Scored are new stockouts: no stockout hour today, at least
  one tomorrow. Sales on days with stockout hours are scaled by the hours in stock. Of tomorrow only weekday and
  public holiday are known; weather, discounts and promotions of tomorrow are not used.
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

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

USAID_ORIGINS = pd.date_range("2018-07-31", periods=5, freq="ME")
FRESH_DAYS, FRESH_SCORED, FRESH_FIRST = 90, 14, 10
N_FOLDS = 5
_HOURS = 16.0


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
    rows = pd.read_parquet(data / "freshretail" / "daily_500.parquet").sort_values(["unique_id", "ds"])
    short = rows["stockout_hours_6_22"].to_numpy(np.float64).reshape(-1, FRESH_DAYS)
    first = end - 1 - FRESH_SCORED
    features, label, times, _ = _fresh_rows(rows, short, range(FRESH_FIRST, first))
    ahead, outcome, _, item = _fresh_rows(rows, short, range(first, end - 1))
    one = Round(features, label, times, ahead, outcome, ahead["out_share_28"].to_numpy(), item)
    plain = ["sold_1", "sold_7", "sold_28", "out_share_7", "out_share_28", "since_out", "out_hours_7", "weekday",
             "discount", "promotion", "holiday"]  # fmt: skip
    return StockoutSet("freshretail", [one], plain, "share of days with a stockout in the last 28")


def _fresh_rows(rows: pd.DataFrame, short: Floats, days: range) -> tuple[pd.DataFrame, Ints, Ints, Ints]:
    """Features, label, day and item of the rows without a stockout hour on these days."""
    frames, labels, times, items = [], [], [], []
    for day in days:
        here = np.flatnonzero(short[:, day] == 0)
        frames.append(_fresh_features(rows, short, day).iloc[here])
        labels.append((short[here, day + 1] > 0).astype(np.int64))
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


def _fresh_features(rows: pd.DataFrame, short: Floats, day: int) -> pd.DataFrame:
    """Features of every item in the evening of a day (its number), from that day and those before."""
    shape, known = (-1, FRESH_DAYS), slice(0, day + 1)
    n_items = len(short)
    hours = short[:, known]
    out = (hours > 0).astype(np.float64)
    recorded = rows["y"].to_numpy(np.float64).reshape(shape)[:, known]
    sold = recorded / np.maximum(1.0 - hours / _HOURS, 0.25)
    # Hours short outside the opening hours 6 to 22: before the morning delivery, or late in the evening.
    night = rows["stockout_hours"].to_numpy(np.float64).reshape(shape)[:, known] - hours
    sold_at_night = recorded - rows["y_6_22"].to_numpy(np.float64).reshape(shape)[:, known]
    weekday = pd.DatetimeIndex(rows["ds"].to_numpy().reshape(shape)[0]).dayofweek.to_numpy()
    discount, promotion, holiday = (
        rows[c].to_numpy(np.float64).reshape(shape) for c in ("discount", "activity_flag", "holiday_flag")
    )
    new = np.full_like(out, np.nan)
    new[:, 1:] = np.where(hours[:, :-1] == 0, out[:, 1:], np.nan)
    usual_new = float(np.nanmean(new))
    age = day - np.arange(day + 1)
    columns: dict[str, Floats] = {}
    for span in (1, 3, 7, 14, 28):
        columns[f"sold_{span}"] = sold[:, -span:].mean(axis=1)
        columns[f"out_share_{span}"] = out[:, -span:].mean(axis=1)
        columns[f"out_hours_{span}"] = hours[:, -span:].mean(axis=1)
    columns["night_hours"], columns["night_hours_7"] = night[:, -1], night[:, -7:].mean(axis=1)
    columns["night_hours_28"] = night[:, -28:].mean(axis=1)
    columns["night_share_28"] = (night[:, -28:] > 0).mean(axis=1)
    columns["night_to_usual"] = night[:, -1] - columns["night_hours_28"]
    columns["sold_at_night"] = sold_at_night[:, -1]
    columns["sold_at_night_28"] = sold_at_night[:, -28:].mean(axis=1)
    columns["out_share"] = _drawn(out, 5.0, float(out.mean()))
    columns["new_rate"] = _drawn(new, 8.0, usual_new)
    columns["new_rate_28"] = _drawn(new[:, -28:], 8.0, usual_new)
    columns["new_rate_fading"] = _drawn(new, 3.0, usual_new, 0.9**age)
    columns["out_share_fading"] = _drawn(out, 3.0, float(out.mean()), 0.9**age)
    same = weekday[known] == (weekday[day] + 1) % 7
    month_sold, month_hours = columns["sold_28"], columns["out_hours_28"]
    columns["out_share_weekday"] = _drawn(out[:, same], 2.0, columns["out_share"])
    columns["out_hours_weekday"] = _drawn(hours[:, same], 2.0, month_hours)
    columns["sold_weekday"] = np.log1p(_drawn(sold[:, same], 2.0, month_sold)) - np.log1p(month_sold)
    last = np.where(out.any(axis=1), np.argmax(out[:, ::-1] > 0, axis=1), 99)
    columns["since_out"] = last.astype(np.float64)
    columns["today_to_week"] = np.log1p(sold[:, -1]) - np.log1p(columns["sold_7"])
    columns["trend"] = np.log1p(columns["sold_7"]) - np.log1p(month_sold)
    columns["variation"] = sold[:, -28:].std(axis=1) / np.maximum(month_sold, 0.05)
    full = hours == 0
    most = np.where(full, recorded, 0.0).max(axis=1)
    mean_full = _drawn(np.where(full, recorded, np.nan), 1.0, recorded.mean(axis=1))
    mean_short = _drawn(np.where(full, np.nan, recorded), 1.0, recorded.mean(axis=1))
    columns["today_to_most"] = np.log1p(recorded[:, -1]) - np.log1p(most)
    columns["today_to_full_days"] = np.log1p(recorded[:, -1]) - np.log1p(mean_full)
    columns["short_to_full_days"] = np.log1p(mean_short) - np.log1p(mean_full)
    columns["discount"], columns["promotion"] = discount[:, day], promotion[:, day]
    columns["discount_change"] = discount[:, day] - discount[:, max(day - 13, 0) : day + 1].mean(axis=1)
    columns["holiday"], columns["holiday_tomorrow"] = holiday[:, day], holiday[:, day + 1]
    columns["weekday"] = np.full(n_items, float((weekday[day] + 1) % 7))
    columns["out_share_all"] = np.full(n_items, out[:, -1].mean())
    columns["out_share_all_7"] = np.full(n_items, out[:, -7:].mean())
    columns["new_rate_all"] = np.full(n_items, np.nanmean(new[:, -1]))
    today = {"out": out[:, -1], "out_7": columns["out_share_7"], "new": columns["new_rate"],
             "weekday": columns["out_share_weekday"]}  # fmt: skip
    for kind, weight in (("store_id", 1.0), ("product_id", 2.0), ("third_category_id", 2.0), ("city_id", 3.0),
                         ("management_group_id", 3.0), ("first_category_id", 3.0)):  # fmt: skip
        code = pd.factorize(rows[kind].to_numpy().reshape(shape)[:, 0])[0]
        for name, values in today.items():
            columns[f"{kind}_{name}"] = _others(values, code, weight)
    return pd.DataFrame(columns)


def _drawn(
    values: Floats, weight: float, prior: float | Floats, importance: NDArray[np.floating] | None = None
) -> Floats:
    """Mean of the known values of each row, drawn to a prior that counts as `weight` values."""
    known = ~np.isnan(values) * (np.ones(values.shape[1]) if importance is None else importance)
    return np.asarray(
        (np.nansum(np.nan_to_num(values) * known, axis=1) + weight * prior) / (known.sum(axis=1) + weight)
    )


def _others(values: Floats, code: NDArray[np.intp], weight: float) -> Floats:
    """Mean of the other items of each item's group, drawn to the mean of all."""
    total, count = np.bincount(code, values)[code] - values, np.bincount(code)[code] - 1
    return np.asarray((total + weight * values.mean()) / (count + weight))


SETS: dict[str, Callable[[Path], StockoutSet]] = {"usaid": _usaid, "freshretail": _freshretail, "kaggle": _kaggle}
