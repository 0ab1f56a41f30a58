from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hand_made import items_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.paths import SamplePaths, check_levels, in_item_order, path_quantiles

Floats = NDArray[np.float64]
SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 3))
COUNTS = st.integers(0, 6).map(float) | st.integers(2040, 2060).map(float)
VALUES = {"counts": COUNTS, "reals": st.floats(-1e6, 1e6), "mixed": COUNTS | st.floats(-3, 3)}
LEVELS = st.floats(0.001, 0.999)


def dates(n: int) -> pd.DatetimeIndex:
    return pd.date_range("2024-01-01", periods=n)


def paths_of(values: Floats, bucket_size: int = 128) -> SamplePaths:
    n_items, n_paths, n_periods = values.shape
    return SamplePaths(items_of(n_items), dates(n_periods), n_paths, lambda a, b: values[a:b], bucket_size)


@pytest.mark.parametrize("kind", VALUES)
@given(data=st.data())
def test_quantiles_are_order_statistics(kind: str, data: st.DataObject) -> None:
    values = data.draw(arrays(np.float64, SHAPES, elements=VALUES[kind]))
    levels = data.draw(st.lists(LEVELS, min_size=1, max_size=4))
    found = path_quantiles(values, levels)
    ranked = np.sort(values, axis=1)
    for k, level in enumerate(levels):
        rank = min(max(int(np.ceil(level * values.shape[1] - 1e-9)), 1), values.shape[1])
        np.testing.assert_array_equal(found[:, :, k], ranked[:, rank - 1])
        share = (values <= found[:, None, :, k]).mean(axis=1)
        assert (share >= level - 1e-9).all()


def test_a_level_that_hits_a_rank_exactly_does_not_take_the_next() -> None:
    ten = np.arange(1.0, 11.0).reshape(1, 10, 1)
    assert path_quantiles(ten, [0.1, 0.3, 0.7, 0.9, 0.91]).ravel().tolist() == [1, 3, 7, 9, 10]
    hundred = np.arange(1.0, 101.0).reshape(1, 100, 1)
    assert 0.07 * 100 > 7
    assert path_quantiles(hundred, [0.07, 0.55]).ravel().tolist() == [7, 55]


@given(values=arrays(np.float64, SHAPES, elements=VALUES["reals"]))
def test_quantiles_rise_with_the_level(values: Floats) -> None:
    found = path_quantiles(values, [0.05, 0.3, 0.5, 0.51, 0.99])
    assert (np.diff(found, axis=2) >= 0).all()


@settings(max_examples=25)
@given(
    values=arrays(np.float64, (7, 5, 3), elements=VALUES["mixed"]),
    bucket_size=st.integers(1, 9),
    rows=st.lists(st.integers(0, 6), max_size=6),
)
def test_buckets_change_nothing(values: Floats, bucket_size: int, rows: list[int]) -> None:
    whole, split = paths_of(values), paths_of(values, bucket_size)
    assert [b for bound in split.buckets() for b in range(*bound)] == list(range(7))
    pd.testing.assert_frame_equal(split.quantiles([0.2, 0.9]), whole.quantiles([0.2, 0.9]))
    pd.testing.assert_frame_equal(split.mean(), whole.mean())
    pd.testing.assert_frame_equal(split.probability(1.0), whole.probability(1.0))
    chosen = split.select(rows)
    assert chosen.items["sku"].tolist() == [whole.items["sku"][r] for r in rows]
    if rows:
        np.testing.assert_array_equal(chosen.draw(), values[rows])
        np.testing.assert_array_equal(chosen.cumulative().draw(), np.cumsum(values[rows], axis=2))
    assert len(chosen.quantiles([0.5])) == 3 * len(rows)


def test_frames_name_item_date_and_level() -> None:
    values = np.arange(24.0).reshape(2, 4, 3)
    paths = SamplePaths.from_array(values, ["A", "B"], dates(3))
    frame = paths.quantiles([0.5, 0.9])
    assert frame.columns.tolist() == ["sku", "location", "date", 0.5, 0.9]
    assert frame["sku"].tolist() == ["A"] * 3 + ["B"] * 3
    assert frame["date"].tolist() == list(dates(3)) * 2
    assert frame[0.5].tolist() == [3, 4, 5, 15, 16, 17]
    assert paths.mean()["mean"].tolist() == values.mean(axis=1).ravel().tolist()
    assert paths.draw(1).shape == (1, 4, 3)
    assert paths.draw(0, 99).shape == (2, 4, 3)


def test_cumulative_paths_are_sums_along_one_path() -> None:
    values = np.array([[[1.0, 0.0], [0.0, 1.0]]])
    paths = SamplePaths.from_array(values, ["A"], dates(2))
    # The .9 quantile of the sum is 1, not the sum of the .9 quantiles.
    assert paths.cumulative().quantiles([0.9])[0.9].tolist() == [1, 1]
    assert paths.quantiles([0.9])[0.9].tolist() == [1, 1]


def test_probability_of_exceeding_is_strict_and_takes_one_threshold_per_item() -> None:
    values = np.array([[[1.0], [2.0], [3.0], [4.0]], [[1.0], [1.0], [1.0], [9.0]]])
    paths = SamplePaths.from_array(values, ["A", "B"], dates(1))
    assert paths.probability(2.0)["probability"].tolist() == [0.5, 0.25]
    by_sku = pd.Series({"B": 1.0, "A": 3.0, "other": 0.0})
    assert paths.probability(by_sku)["probability"].tolist() == [0.25, 0.25]
    assert paths.probability(pd.Series([3.0, 0.0]))["probability"].tolist() == [0.25, 1.0]


def test_numbers_per_item_are_never_given_to_the_wrong_item() -> None:
    items = items_of(2)
    assert in_item_order(pd.Series({("S001", ""): 1.0, ("S000", ""): 2.0}), items, "x").tolist() == [2, 1]
    wrong = {
        "lack one: S001": pd.Series({"S000": 1.0, "S009": 2.0}),
        "2 of 2 lack one: S000, S001": pd.Series({"a": 1.0, "b": 2.0}),
        "1 of 2 lack one: S000": pd.Series({"S000": np.nan, "S001": 2.0}),
        "several values for S000": pd.Series([1.0, 2.0], index=["S000", "S000"]),
        "lack one": pd.Series([1.0, 2.0, 3.0]),
        "lack one: S000, S001": pd.Series([1.0, 2.0], index=[1000, 1001]),
        "2 of 2 lack one": pd.Series([1.0, 2.0], index=[1, 0]),
    }
    for message, values in wrong.items():
        with pytest.raises(InvalidSettings, match=f"on_hand .*{message}"):
            in_item_order(values, items, "on_hand")
    with pytest.raises(InvalidSettings, match="several locations"):
        in_item_order(pd.Series({"S000": 1.0}), items.assign(sku="S000", location=["x", "y"]), "on_hand")


def test_numeric_skus_are_found_whatever_the_order_and_type_of_the_index() -> None:
    items = items_of(2).assign(sku=["1000", "1001"])
    for index in ([1001, 1000], ["1001", "1000"], [(1001, ""), (1000, "")]):
        values = pd.Series(
            [5.0, 7.0], index=index if isinstance(index[0], int | str) else pd.MultiIndex.from_tuples(index)
        )
        assert in_item_order(values, items, "on_hand").tolist() == [7.0, 5.0]
    assert in_item_order(pd.Series([5.0, 7.0]), items, "on_hand").tolist() == [5.0, 7.0]
    swapped = items.assign(sku=["1", "0"])
    assert in_item_order(pd.Series([5.0, 7.0]), swapped, "on_hand").tolist() == [7.0, 5.0], "the index names the items"
    assert in_item_order(pd.Series([5.0, 7.0]), items.assign(sku=["1", "2"]), "on_hand").tolist() == [5.0, 7.0]
    with pytest.raises(InvalidSettings, match="several values for 1000"):
        in_item_order(pd.Series([5.0, 7.0, 8.0], index=[1000, "1000", 1001]), items, "on_hand")


@pytest.mark.parametrize("shape", [(2, 3), (1, 3, 4), (2, 3, 5)])
def test_a_shape_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidSettings, match=r"\(n_items, n_paths, n_periods\) = \(2, any, 4\), got"):
        SamplePaths.from_array(np.zeros(shape), ["A", "B"], dates(4))


@pytest.mark.parametrize("levels", [[], [0.0], [0.5, 1.0], [50.0], [float("nan")]])
def test_levels_lie_strictly_between_0_and_1(levels: list[float]) -> None:
    with pytest.raises(InvalidSettings, match="strictly between 0 and 1"):
        check_levels(levels)


def test_items_may_be_a_frame_with_or_without_locations_and_numbers_as_names() -> None:
    frame = pd.DataFrame({"sku": [7, 8], "price": [1.0, 2.0]}, index=[5, 9])
    paths = SamplePaths.from_array(np.zeros((2, 1, 1)), frame, dates(1))
    assert paths.items.to_dict("list") == {"sku": ["7", "8"], "location": ["", ""]}
    placed = SamplePaths.from_array(np.zeros((2, 1, 1)), frame.assign(location="Oslo"), dates(1))
    assert placed.mean()["location"].tolist() == ["Oslo", "Oslo"]


def test_no_items_is_an_empty_answer() -> None:
    paths = SamplePaths.from_array(np.zeros((0, 4, 2)), [], dates(2))
    for frame in (paths.mean(), paths.quantiles([0.5]), paths.probability(0.0)):
        assert len(frame) == 0
        assert "sku" in frame
