"""FreshRetail: what is known of each store-product at the end of a day, to tell whether it runs out tomorrow.

A day has 24 hours, each with or without stock: 16 opening hours from 6 to 22, whose hours short are `hours`, and 8
night hours, whose hours short are `night`. The file gives only these two counts a day. Still they tell whether the
shelf was empty in the evening: deliveries come in the small hours, so whatever is empty at 22 stays so for some hours,
and three night hours short or more are, but for two of the evening, hours of the next morning. For past days
this is read off the night that followed; for today it is a chance, from what followed days with the same counts.
Deliveries that usually come just before opening come too late at times, and then the empty evening is a stockout of
tomorrow.

Sales on days with hours short are scaled by the hours in stock. Of tomorrow only weekday and public holiday are known.
Quantities are the file's own (normalised), shares and chances 0 to 1. Arrays are items x days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

PEERS = {
    "store_id": 1.0, "product_id": 2.0, "third_category_id": 2.0, "city_id": 3.0, "management_group_id": 3.0,
    "first_category_id": 3.0,
}  # fmt: skip
"""Pseudo-items by which the mean of an item's group is drawn to that of all."""
EVENING_PEERS = {
    "store_id": 1.0, "product_id": 2.0, "city_and_category": 3.0, "city_id": 3.0, "third_category_id": 3.0
}  # fmt: skip
_OPEN_HOURS, _LEAST_OPEN = 16.0, 0.25
_EVENING, _MORNING = 2, 6
"""Night hours before midnight and after it."""
_BY_NIGHT = 3
"""Night hours short from which on the evening before was empty."""
_CLASSES = 9 * 16


@dataclass(frozen=True, eq=False)
class FreshDays:
    """The file as arrays of items x days; `groups` numbers the groups of each item, `weekday` counts from Monday."""

    hours: Floats
    night: Floats
    recorded: Floats
    sold_at_night: Floats
    discount: Floats
    promotion: Floats
    holiday: Floats
    weekday: Ints
    groups: dict[str, Ints]


def read_days(rows: pd.DataFrame) -> FreshDays:
    """The rows of the file, one per item and day, as arrays."""
    rows = rows.sort_values(["unique_id", "ds"])
    n_items = rows["unique_id"].nunique()

    def days(column: str) -> Floats:
        return rows[column].to_numpy(np.float64).reshape(n_items, -1)

    hours = days("stockout_hours_6_22")
    dates = pd.DatetimeIndex(rows["ds"].to_numpy().reshape(n_items, -1)[0])
    groups = {kind: pd.factorize(days(kind)[:, 0])[0].astype(np.int64) for kind in PEERS}
    both = groups["city_id"] * (groups["first_category_id"].max() + 1) + groups["first_category_id"]
    groups["city_and_category"] = pd.factorize(both)[0].astype(np.int64)
    return FreshDays(
        hours, days("stockout_hours") - hours, days("y"), days("y") - days("y_6_22"), days("discount"),
        days("activity_flag"), days("holiday_flag"), dates.day_of_week.to_numpy(np.int64), groups,
    )  # fmt: skip


def fresh_features(days: FreshDays, day: int) -> pd.DataFrame:
    """Features of every item at the end of a day (its number, from 7 on), from that day and those before."""
    own = _own(days, day)
    evening = _evenings(days, day)
    return pd.DataFrame(own | _nights(days, day, own["new_rate"]) | _supply(days, day) | evening)


def _own(days: FreshDays, day: int) -> dict[str, Floats]:
    """Sales and stockouts of the item, prices, the day, and how its groups fare."""
    known = slice(0, day + 1)
    hours, night, recorded, sold_at_night = (
        a[:, known] for a in (days.hours, days.night, days.recorded, days.sold_at_night)
    )
    discount, promotion, holiday, weekday = days.discount, days.promotion, days.holiday, days.weekday
    n_items, out, sold = len(hours), (hours > 0).astype(np.float64), _sold(recorded, hours)
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
    same = _same_weekday(days, day)
    month_sold, month_hours = columns["sold_28"], columns["out_hours_28"]
    columns["out_share_weekday"] = _drawn(out[:, same], 2.0, columns["out_share"])
    columns["out_hours_weekday"] = _drawn(hours[:, same], 2.0, month_hours)
    columns["sold_weekday"] = _log_ratio(_drawn(sold[:, same], 2.0, month_sold), month_sold)
    last = np.where(out.any(axis=1), np.argmax(out[:, ::-1] > 0, axis=1), 99)
    columns["since_out"] = last.astype(np.float64)
    columns["today_to_week"] = _log_ratio(sold[:, -1], columns["sold_7"])
    columns["trend"] = _log_ratio(columns["sold_7"], month_sold)
    columns["variation"] = sold[:, -28:].std(axis=1) / np.maximum(month_sold, 0.05)
    full = hours == 0
    mean_full = _drawn(np.where(full, recorded, np.nan), 1.0, recorded.mean(axis=1))
    mean_short = _drawn(np.where(full, np.nan, recorded), 1.0, recorded.mean(axis=1))
    columns["today_to_most"] = _log_ratio(recorded[:, -1], np.where(full, recorded, 0.0).max(axis=1))
    columns["today_to_full_days"] = _log_ratio(recorded[:, -1], mean_full)
    columns["short_to_full_days"] = _log_ratio(mean_short, mean_full)
    columns["discount"], columns["promotion"] = discount[:, day], promotion[:, day]
    columns["discount_change"] = discount[:, day] - discount[:, max(day - 13, 0) : day + 1].mean(axis=1)
    columns["holiday"], columns["holiday_tomorrow"] = holiday[:, day], holiday[:, day + 1]
    columns["weekday"] = np.full(n_items, float((weekday[day] + 1) % 7))
    columns["out_share_all"] = np.full(n_items, out[:, -1].mean())
    columns["out_share_all_7"] = np.full(n_items, out[:, -7:].mean())
    columns["new_rate_all"] = np.full(n_items, np.nanmean(new[:, -1]))
    today = {"out": out[:, -1], "out_7": columns["out_share_7"], "new": columns["new_rate"],
             "weekday": columns["out_share_weekday"]}  # fmt: skip
    for kind, weight in PEERS.items():
        for name, values in today.items():
            columns[f"{kind}_{name}"] = _others(values, days.groups[kind], weight)
    return columns


def _nights(days: FreshDays, day: int, new_rate: Floats) -> dict[str, Floats]:
    """Hours short at night, as they stand."""
    hours, night = days.hours[:, : day + 1], days.night[:, : day + 1]
    # One hour or two are mostly of the evening; with seven or eight at least one is.
    evening = np.isin(night, (1, _EVENING, _MORNING + 1, _MORNING + 2)).astype(np.float64)
    morning = (night >= _BY_NIGHT).astype(np.float64)
    columns = {
        "evening_hours": evening[:, -1], "evening_hours_28": evening[:, -28:].mean(axis=1),
        "morning_hours": morning[:, -1], "morning_hours_28": morning[:, -28:].mean(axis=1),
        "morning_hours_share": morning.mean(axis=1), "night_hours_1_ago": night[:, -2],
        "night_hours_2_ago": night[:, -3], "night_hours_weekday": night[:, day - 6],
        "full_days_28": (hours + night == 0)[:, -28:].mean(axis=1),
        "any_hour_7": (hours + night > 0)[:, -7:].mean(axis=1),
        "all_hours_28": (hours + night)[:, -28:].mean(axis=1),
    }  # fmt: skip
    columns["evening_hours_weekday"] = _drawn(evening[:, _same_weekday(days, day)], 2.0, columns["evening_hours_28"])
    in_stock, next_out = hours[:, :-1] == 0, (hours[:, 1:] > 0).astype(np.float64)
    for name, values in (("evening", evening), ("night", night)):
        alike = in_stock & (values[:, :-1] == values[:, -1:])
        columns[f"new_rate_same_{name}"] = _drawn(np.where(alike, next_out, np.nan), 4.0, new_rate)
    return columns


def _supply(days: FreshDays, day: int) -> dict[str, Floats]:
    """Expected sales of tomorrow's weekday over what was there on days that sold out, a measure of the usual supply."""
    hours, recorded = days.hours[:, : day + 1], days.recorded[:, : day + 1]
    sold, same, full = _sold(recorded, hours), _same_weekday(days, day), hours == 0
    age = day - np.arange(day + 1)
    month = sold[:, -28:].mean(axis=1)
    expected = _drawn(sold[:, same], 2.0, month)
    fading = 0.85**age
    level = (sold * fading).sum(axis=1) / fading.sum()
    supply = _drawn(np.where(full, np.nan, recorded), 2.0, month, 0.95**age)
    logs = np.log1p(sold)
    of_weekday = logs[:, same].mean(axis=1) - logs.mean(axis=1)
    by_category, by_city = (_drawn_mean(of_weekday, days.groups[k], 5.0) for k in ("third_category_id", "city_id"))
    lately = np.where(full, recorded, 0.0)[:, -28:]
    count = full[:, -28:].sum(axis=1)
    mean = lately.sum(axis=1) / np.maximum(count, 1)
    squares = np.where(full[:, -28:], (recorded[:, -28:] - mean[:, None]) ** 2, 0.0).sum(axis=1)
    spread = np.where(count > 0, np.sqrt(squares / np.maximum(count, 1)), np.nan)
    return {
        "weekday_category": by_category, "weekday_city": by_city,
        "expected_to_supply": _log_ratio(expected, supply),
        "month_to_supply": _log_ratio(month, supply) + by_category,
        "expected_to_high": _log_ratio(expected, np.sort(lately, axis=1)[:, -3]),
        "above_supply_28": (sold[:, -28:] > supply[:, None]).mean(axis=1),
        "level_to_month": _log_ratio(level, month), "expected_to_level": _log_ratio(expected, level),
        "today_to_supply": _log_ratio(recorded[:, -1], supply),
        "two_days_to_supply": _log_ratio(recorded[:, -2:].sum(axis=1), 2.0 * supply),
        "variation_full_days": spread / np.maximum(month, 0.05),
        "no_sale_28": (recorded[:, -28:] == 0).mean(axis=1),
    }  # fmt: skip


def _evenings(days: FreshDays, day: int) -> dict[str, Floats]:
    """Whether the shelf was empty in the evening, when deliveries come after that, and what it does to the next day."""
    hours, night = days.hours[:, : day + 1], days.night[:, : day + 1]
    out, groups = hours > 0, days.groups
    was_empty = night[:, 1:] >= _BY_NIGHT
    alike = _alike(out, night)
    before, now = alike[:, 1:-1].ravel(), alike[:, -1]
    chance = _rate_of_class(before, was_empty[:, 1:].ravel(), 5.0, 0.3, 1.0)[now]
    empty = np.column_stack([was_empty, chance])
    sure = empty > 0.5
    # Morning hours short after an empty evening; those of today are not yet told from its own evening.
    after = np.zeros(out.shape, dtype=np.bool_)
    after[:, 1:-1] = was_empty[:, :-1]
    morning = np.clip(night - _EVENING * sure, 0, _MORNING)
    finely = [(groups["city_id"], 10.0), (groups["city_and_category"], 8.0), (groups["store_id"], 5.0), (None, 4.0)]
    n_after = after.sum(axis=1).astype(np.float64)
    usual_morning = _nested((morning * after).sum(axis=1), n_after, finely)
    at_opening = after & (morning >= _MORNING)
    late_share = _nested(at_opening.sum(axis=1), n_after, finely)
    columns = {
        "evening_empty": chance, "evening_empty_28": empty[:, -28:].mean(axis=1),
        "evening_empty_7": empty[:, -7:].mean(axis=1), "evening_empty_1_ago": empty[:, -2],
        "evening_empty_share": empty.mean(axis=1), "usual_morning": usual_morning, "late_share": late_share,
        "late_share_28": _drawn(np.where(after, at_opening, np.nan)[:, -28:], 3.0, late_share),
        "late_and_out": _nested((at_opening & out).sum(axis=1), n_after, finely),
        "night_to_morning": night[:, -1] - usual_morning,
        "night_after_empty": np.where(empty[:, -2] > 0, night[:, -1], np.nan),
    }  # fmt: skip
    same, age = _same_weekday(days, day), day - np.arange(day + 1)
    columns["evening_empty_weekday"] = _drawn(empty[:, same], 2.0, columns["evening_empty_28"])
    columns["evening_empty_fading"] = _drawn(empty, 3.0, float(empty.mean()), 0.9**age)
    in_stock, next_out = hours[:, :-1] == 0, out[:, 1:]
    coarsely = [(groups["city_id"], 20.0), (groups["store_id"], 8.0), (groups["product_id"], 8.0), (None, 8.0)]
    rates = []
    for given, levels in ((in_stock & was_empty, finely), (in_stock & ~was_empty, coarsely)):
        rates.append(_nested((given & next_out).sum(axis=1), given.sum(axis=1), levels))
    columns["new_rate_after_empty"], columns["new_rate_after_full"] = rates
    columns["new_rate_mixed"] = chance * rates[0] + (1.0 - chance) * rates[1]
    counted = in_stock[:, 1:].ravel()
    columns["new_rate_alike"] = _rate_of_class(before[counted], next_out[:, 1:].ravel()[counted], 10.0, 0.28, 3.0)[now]
    columns["sold_out_28"] = (sure & ~(at_opening & out))[:, -28:].mean(axis=1)
    refilled = out & (empty < 0.5)
    columns["refilled_28"], columns["refilled_share"] = refilled[:, -28:].mean(axis=1), refilled.mean(axis=1)
    for kind, weight in EVENING_PEERS.items():
        columns[f"{kind}_evening"] = _others(chance, groups[kind], weight)
    columns["evening_empty_all"] = np.full(len(out), chance.mean())
    return columns


def _alike(out: Flags, night: Floats) -> Ints:
    """A number for the counts of a day and the day before: night hours, out or not, the same of yesterday coarsely."""
    coarse = np.select([night == 0, night <= _EVENING, night <= _MORNING], [0, 1, 2], 3)
    number = (night * 16 + out * 8).astype(np.int64)
    number[:, 1:] += coarse[:, :-1] * 2 + out[:, :-1]
    return number


def _rate_of_class(number: Ints, happened: Flags, weight: float, usual: float, usual_weight: float) -> Floats:
    """Share of each class in which it happened, drawn to that of the day's own counts, this to the usual."""
    broad = number // 8
    n_broad = np.bincount(broad, minlength=_CLASSES // 8)
    rate = (np.bincount(broad, happened, _CLASSES // 8) + usual_weight * usual) / (n_broad + usual_weight)
    n, total = np.bincount(number, minlength=_CLASSES), np.bincount(number, happened, _CLASSES)
    return np.asarray((total + weight * rate[np.arange(_CLASSES) // 8]) / (n + weight))


def _nested(
    total: NDArray[np.number], count: NDArray[np.number], levels: Sequence[tuple[Ints | None, float]]
) -> Floats:
    """Mean per item, drawn to that of each coarser group in turn; levels from coarse to fine, None is the item."""
    mean = np.full(len(total), total.sum() / max(count.sum(), 1.0))
    for code, weight in levels:
        group = np.arange(len(total)) if code is None else code
        mean = (np.bincount(group, total)[group] + weight * mean) / (np.bincount(group, count)[group] + weight)
    return mean


def _sold(recorded: Floats, hours: Floats) -> Floats:
    return np.asarray(recorded / np.maximum(1.0 - hours / _OPEN_HOURS, _LEAST_OPEN))


def _same_weekday(days: FreshDays, day: int) -> Flags:
    """The known days with the weekday of tomorrow."""
    return np.asarray(days.weekday[: day + 1] == (days.weekday[day] + 1) % 7)


def _log_ratio(top: Floats, bottom: Floats) -> Floats:
    return np.asarray(np.log1p(top) - np.log1p(bottom))


def _drawn(
    values: Floats, weight: float, prior: float | Floats, importance: NDArray[np.floating] | None = None
) -> Floats:
    """Mean of the known values of each row, drawn to a prior that counts as `weight` values."""
    known = ~np.isnan(values) * (np.ones(values.shape[1]) if importance is None else importance)
    return np.asarray(
        (np.nansum(np.nan_to_num(values) * known, axis=1) + weight * prior) / (known.sum(axis=1) + weight)
    )


def _others(values: Floats, code: Ints, weight: float) -> Floats:
    """Mean of the other items of each item's group, drawn to the mean of all."""
    total, count = np.bincount(code, values)[code] - values, np.bincount(code)[code] - 1
    return np.asarray((total + weight * values.mean()) / (count + weight))


def _drawn_mean(values: Floats, code: Ints, weight: float) -> Floats:
    """Mean of each item's group, drawn to the mean of all."""
    return np.asarray(((np.bincount(code, values) + weight * values.mean()) / (np.bincount(code) + weight))[code])
