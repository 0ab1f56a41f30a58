"""The FreshRetail features of the stockout benchmark: nothing of tomorrow, and what the nights tell."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks._fresh_features import fresh_features, read_days

_N_ITEMS, _N_DAYS, _DAY = 12, 40, 30
_KINDS = ("city_id", "store_id", "management_group_id", "first_category_id", "third_category_id", "product_id")


def _rows(seed: int = 0) -> pd.DataFrame:
    """Items over days with random sales and hours short."""
    rng = np.random.default_rng(seed)
    size = _N_ITEMS * _N_DAYS
    item = np.repeat(np.arange(_N_ITEMS), _N_DAYS)
    opening = rng.integers(0, 5, size) * (rng.random(size) < 0.4)
    recorded = rng.gamma(2.0, 0.5, size)
    facts = {kind: item // (k + 1) for k, kind in enumerate(_KINDS)}
    return pd.DataFrame({
        "unique_id": [f"item {i:02d}" for i in item],
        "ds": np.tile(pd.date_range("2024-03-28", periods=_N_DAYS).to_numpy(), _N_ITEMS),
        "stockout_hours_6_22": opening, "stockout_hours": opening + rng.integers(0, 9, size),
        "y": recorded, "y_6_22": recorded * 0.9, "discount": rng.uniform(0.5, 1.0, size),
        "activity_flag": rng.integers(0, 2, size), "holiday_flag": rng.integers(0, 2, size), **facts,
    })  # fmt: skip


def test_nothing_after_the_day_changes_its_features_but_the_holiday_of_tomorrow() -> None:
    rows, other = _rows(), _rows(seed=1)
    number = np.tile(np.arange(_N_DAYS), _N_ITEMS)
    records = ["stockout_hours_6_22", "stockout_hours", "y", "y_6_22", "discount", "activity_flag"]
    changed = rows.copy()
    changed.loc[number > _DAY, records] = other.loc[number > _DAY, records]
    changed.loc[number > _DAY + 1, "holiday_flag"] = 1 - rows.loc[number > _DAY + 1, "holiday_flag"]
    as_known = fresh_features(read_days(rows), _DAY)
    pd.testing.assert_frame_equal(as_known, fresh_features(read_days(changed), _DAY))
    changed.loc[number == _DAY, records] = other.loc[number == _DAY, records]
    assert not as_known.equals(fresh_features(read_days(changed), _DAY))


def test_the_order_of_rows_does_not_matter() -> None:
    rows = _rows()
    shuffled = rows.sample(frac=1.0, random_state=0)
    pd.testing.assert_frame_equal(fresh_features(read_days(rows), _DAY), fresh_features(read_days(shuffled), _DAY))


def test_an_empty_evening_is_read_off_the_night_after_and_expected_after_like_days() -> None:
    # Every third day two night hours are short, and five on the morning that follows: the evening was empty.
    rows = _rows().assign(stockout_hours_6_22=0)
    number = np.tile(np.arange(_N_DAYS), _N_ITEMS)
    rows["stockout_hours"] = np.select([number % 3 == 0, number % 3 == 1], [2, 5], 0)
    days = read_days(rows)
    evening, morning = fresh_features(days, 30), fresh_features(days, 31)
    assert (evening["evening_empty"] > 0.8).all()
    assert (morning["evening_empty"] < 0.2).all()
    assert (morning["evening_empty_1_ago"] == 1.0).all()
    np.testing.assert_allclose(morning["usual_morning"], 5.0)
    np.testing.assert_allclose(morning["night_to_morning"], 0.0, atol=1e-9)
    assert (morning["late_share"] == 0.0).all()


def test_every_feature_is_finite_or_missing_in_every_item() -> None:
    features = fresh_features(read_days(_rows()), 7)
    assert len(features) == _N_ITEMS
    assert not np.isinf(features.to_numpy(np.float64)).any()
