"""Past origins replayed: each stage is scored against the event it speaks of."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from shop_fixture import SETTINGS, read, shop

from backorder_forecast.backtest import Backtest, backtest
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.scores import average_precision, brier


@cache
def replayed() -> Backtest:
    return backtest(read(shop()), origins=2, settings=SETTINGS)


def test_flags_are_scored_with_the_chance_of_zero_stock_that_stock_records_show() -> None:
    done = replayed()
    flags, scores = done.flags, done.scores[done.scores["stage"] == "flag"]
    assert set(scores["score"]) == {"zero_stock_brier", "zero_stock_average_precision"}
    assert (flags["p_zero"] >= flags["p_stockout"]).all()
    assert (flags["p_zero"] > flags["p_stockout"]).any()
    for origin, part in flags.groupby("origin"):
        outcome, p = part["ran_out"].to_numpy(dtype=np.float64), part["p_zero"].to_numpy()
        assert 0 < outcome.sum() < len(outcome)
        value = scores[scores["origin"] == origin].set_index("score")["value"]
        assert value["zero_stock_brier"] == pytest.approx(float(brier(p, outcome)))
        assert value["zero_stock_average_precision"] == pytest.approx(float(average_precision(p, outcome)))


def test_the_summary_weighs_the_origins_by_their_rows() -> None:
    done = replayed()
    rows = done.scores[done.scores["score"] == "zero_stock_brier"]
    row = done.summary().set_index("score").loc["zero_stock_brier"]
    assert row["n"] == len(done.flags)
    assert row["value"] == pytest.approx(np.average(rows["value"], weights=rows["n"]))


def test_what_is_not_tables_is_refused() -> None:
    with pytest.raises(InvalidSettings, match=r"read_tables"):
        backtest("data/samples")  # type: ignore[arg-type]
