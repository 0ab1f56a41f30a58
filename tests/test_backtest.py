"""Past origins replayed: each stage is scored against the event it speaks of."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from shop_fixture import AS_OF, N_ITEMS, SETTINGS, read, shop, shop_read

from backorder_forecast.backtest import Backtest, backtest
from backorder_forecast.baselines import baseline
from backorder_forecast.errors import InvalidSettings, NotEnoughHistory
from backorder_forecast.netting import net_demand
from backorder_forecast.pipeline import make_plan
from backorder_forecast.scores import average_precision, brier


@cache
def replayed() -> Backtest:
    return backtest(shop_read(), origins=2, settings=SETTINGS, order_reviews=0)


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


ORIGINS = [AS_OF - pd.Timedelta(days=28 * k) for k in (2, 1)]
RIVALS = ["croston", "ses", "ses 2"]


def test_origins_lie_one_window_apart_and_end_one_window_before_the_last_day() -> None:
    seen: list[tuple[str, float]] = []
    assert sorted(replayed().forecasts["origin"].unique()) == ORIGINS
    named = backtest(
        shop_read(), origins=[str(day.date()) for day in ORIGINS[::-1]], settings=SETTINGS, order_reviews=0,
        progress=lambda day, share: seen.append((day, share)),
    )  # fmt: skip
    assert seen == [(str(ORIGINS[0].date()), 0.5), (str(ORIGINS[1].date()), 1.0)]
    for name in ("scores", "forecasts", "flags", "promises"):
        pd.testing.assert_frame_equal(getattr(named, name), getattr(replayed(), name))


def test_rivals_stand_beside_with_what_a_plan_of_theirs_would_say() -> None:
    rivals: list[Any] = ["croston", baseline("ses", alpha=0.05), baseline("ses", alpha=0.3)]
    done = backtest(shop_read(), origins=ORIGINS[1:], settings=SETTINGS, rivals=rivals, order_reviews=0)
    ours = replayed().scores
    ours = ours[ours["origin"] == ORIGINS[1]].reset_index(drop=True)
    pd.testing.assert_frame_equal(done.scores[~done.scores["rival"].isin(RIVALS)].reset_index(drop=True), ours)
    assert done.rivals["rival"].unique().tolist() == RIVALS
    scores = done.summary().set_index(["score", "rival"])
    assert scores.loc["pinball"].index.tolist() == ["moving average, Poisson", *RIVALS]
    assert scores.loc["wape"].index.tolist() == ["moving average", *RIVALS]
    assert len(set(scores.loc["pinball"]["rival_value"])) == 4
    alone = backtest(shop_read(), origins=ORIGINS[1:], settings=SETTINGS, demand_model="croston", order_reviews=0)
    told = alone.summary().set_index("score").loc[["pinball", "wape"]]
    for score in ("pinball", "wape"):
        assert scores.loc[(score, "croston"), "rival_value"] == pytest.approx(told["value"][score])
        assert scores.loc[(score, "croston"), "value"] == pytest.approx(
            ours.loc[ours["score"] == score, "value"].iloc[0]
        )
    assert len(alone.rivals) == 0
    with pytest.raises(InvalidSettings, match="unknown baseline 'crosston'"):
        backtest(shop_read(), origins=1, settings=SETTINGS, rivals=["crosston"])


def test_each_origin_sees_only_what_was_known_then() -> None:
    tables, day = shop(), ORIGINS[1]
    sales, orders, stock = tables["sales"], tables["purchase_orders"], tables["inventory"]
    later = sales["date"] > day
    sales.loc[later, "quantity"] = sales.loc[later, "quantity"] * 3
    orders.loc[orders["received_date"] > day, "received_date"] += pd.Timedelta(days=3)
    tables["inventory"] = stock[stock["date"] <= day]
    told = backtest(read(tables), origins=[day], settings=SETTINGS, order_reviews=0)
    before = replayed()
    asked = ["sku", "mean", 0.1, 0.5, 0.75, 0.9, 0.95]
    ours = before.forecasts[before.forecasts["origin"] == day].reset_index(drop=True)
    pd.testing.assert_frame_equal(told.forecasts[asked], ours[asked])
    assert (told.forecasts["actual"] >= ours["actual"]).all()
    assert told.forecasts["actual"].sum() > 2 * ours["actual"].sum()
    flags = before.flags[before.flags["origin"] == day].reset_index(drop=True)
    columns = ["sku", "p_zero", "p_stockout", "days_of_cover"]
    pd.testing.assert_frame_equal(told.flags[columns], flags[columns])


def test_forecasts_are_those_of_a_plan_made_then_and_actuals_what_was_sold() -> None:
    day = ORIGINS[1]
    plan = make_plan(shop_read().as_known(day), SETTINGS.replace(horizon_days=28))
    ours = replayed().forecasts
    ours = ours[ours["origin"] == day].set_index("sku").sort_index()
    mean = plan.forecasts.groupby("sku")["mean"].sum()
    assert ours["mean"].sum() == pytest.approx(mean.sum(), rel=0.1)
    risk = plan.stockouts.set_index("sku")
    flags = replayed().flags
    flags = flags[flags["origin"] == day].set_index("sku")
    pd.testing.assert_series_equal(flags["p_stockout"], risk["p_stockout"].loc[flags.index])
    assert set(flags.index) == set(risk.index[~risk["already_out"]])
    sold = net_demand(shop_read()).frame
    window = sold[(sold["date"] > day) & (sold["date"] <= day + pd.Timedelta(days=28))]
    wanted = window.groupby(window["sku"].astype("str"))["quantity"].sum().reindex(ours.index).fillna(0.0)
    np.testing.assert_allclose(ours["actual"], wanted)


def test_forecast_scores_by_hand() -> None:
    done = replayed()
    levels = [0.1, 0.5, 0.75, 0.9, 0.95]
    for origin, part in done.forecasts[done.forecasts["in_stock"]].groupby("origin"):
        actual = part["actual"].to_numpy()
        loss = [np.where(actual >= part[q], q * (actual - part[q]), (1 - q) * (part[q] - actual)) for q in levels]
        scores = done.scores[(done.scores["origin"] == origin) & (done.scores["stage"] == "forecast")]
        value = scores.set_index("score")["value"]
        assert value["pinball"] == pytest.approx(np.mean(loss))
        assert value["wape"] == pytest.approx(np.abs(part["mean"] - actual).sum() / actual.sum())
        inside = ((part[0.1] <= actual) & (actual <= part[0.9])).mean()
        assert value["share_in_80_interval"] == pytest.approx(inside)
        assert (scores["n"] == len(part)).all()


def test_a_promise_counts_once_it_is_due_and_a_cancelled_line_never() -> None:
    promises = replayed().promises
    assert len(promises)
    lines = shop()["backorders"].groupby(["order_id", "sku"])
    last, gone = lines["filled_date"].max().to_dict(), lines["cancelled_date"].max().to_dict()
    for row in promises.to_dict("records"):
        key, kept, promise, filled = (row["order_id"], row["sku"]), row["kept"], row["promise_date"], row["filled_date"]
        if pd.isna(promise) or promise > AS_OF:
            assert np.isnan(kept)
        elif pd.notna(filled):
            assert filled == last[key]
            assert kept == float(filled <= promise)
        else:
            assert np.isnan(kept) if pd.notna(gone[key]) else kept == 0


def test_promises_are_scored_by_share_kept_slack_and_how_often_they_moved() -> None:
    promises, scores = replayed().promises, replayed().scores
    told = scores[scores["stage"] == "promise"].set_index(["score", "rival"]).sort_index()
    again = promises.duplicated(["order_id", "sku", "location"])
    wanted = {("kept_share", "stated"), ("kept_share", "nominal"), ("slack_days", "")}
    assert set(told.index) == wanted | ({("re_promises_per_line", "")} if again.any() else set())
    nominal = scores[(scores["score"] == "kept_share") & (scores["rival"] == "nominal")]
    assert len(nominal) > 0
    assert (nominal["rival_value"] == SETTINGS.promise_level).all()
    alone = replayed().summary().query("rival == ''")
    assert scores.loc[scores["rival"] == "", "rival_value"].isna().all()
    assert len(alone) > 0
    assert alone["rival_value"].isna().all()
    slack = scores[scores["score"] == "slack_days"].set_index("origin")["value"]
    due = promises[promises["kept"].notna() & promises["filled_date"].notna()]
    days = (due["promise_date"] - due["filled_date"]).dt.days.groupby(due["origin"]).mean()
    assert slack.to_dict() == pytest.approx(days.to_dict())
    assert (promises["moved"].isna() == ~again).all()
    assert promises["moved"].dropna().isin([-1, 0, 1]).all()


def test_a_promise_that_is_not_due_yet_counts_neither_way() -> None:
    days = pd.date_range("2024-01-01", "2024-06-30")
    ordered = pd.DataFrame({"order_id": ["1", "2"], "sku": ["A", "B"], "order_date": "2024-05-30", "quantity": 2})
    ordered["filled_date"], ordered["quantity_filled"] = pd.to_datetime(pd.Series(["2024-06-10", None])), [2, 0]
    products = pd.DataFrame({"sku": list("AB"), "lead_time_days": 60})
    empty = pd.DataFrame({"sku": list("AB"), "date": "2024-06-02", "on_hand": 0})
    sales = pd.concat([pd.DataFrame({"sku": sku, "date": days, "quantity": 1}) for sku in "AB"])
    tables = {"sales": sales, "backorders": ordered, "products": products, "inventory": empty}
    promises = backtest(read(tables), origins=1, settings=SETTINGS, order_reviews=0).promises
    assert (promises["promise_date"] > AS_OF).all()
    assert promises["filled_date"].notna().tolist() == [True, False]
    # Counting the one that came early and not the one that may come late would flatter.
    assert promises["kept"].isna().all()


def test_cores_and_row_order_change_no_score() -> None:
    tables = {name: frame.sample(frac=1, random_state=1) for name, frame in shop().items()}
    other = backtest(read(tables), origins=2, settings=SETTINGS.replace(workers=2, bucket_size=7), order_reviews=0)
    for name in ("scores", "forecasts", "flags", "promises"):
        pd.testing.assert_frame_equal(getattr(other, name), getattr(replayed(), name), obj=name)


@pytest.mark.parametrize("freq", ["W-MON", "MS"])
def test_a_coarser_clock_is_scored_on_whole_periods(freq: str) -> None:
    done = backtest(shop_read(), origins=1, settings=SETTINGS.replace(freq=freq), window_days=31, order_reviews=0)
    assert len(done.forecasts) == N_ITEMS
    assert done.scores["value"].notna().all()
    if freq == "MS":
        # The window from 30 May holds June, and nothing else that is whole.
        sold = net_demand(shop_read()).frame
        june = sold.loc[sold["date"] > "2024-05-31", "quantity"].sum()
        assert done.forecasts["actual"].sum() == pytest.approx(june)


def test_sales_alone_are_scored_on_their_forecasts() -> None:
    done = backtest(read({"sales": shop()["sales"]}), origins=1, settings=SETTINGS)
    assert set(done.scores["stage"]) == {"forecast"}
    assert len(done.flags) == len(done.promises) == len(done.cutoffs) == 0
    assert done.orders is None
    assert done.notes == ("orders are not replayed: there are no stock records",)


def test_cutoffs_are_scored_by_what_the_lines_of_the_window_earned() -> None:
    done = replayed()
    assert {"filled", "cancelled", "refunded"} >= set(done.cutoffs["outcome"])
    assert (done.cutoffs.loc[done.cutoffs["outcome"] != "filled", "money"] < 0).all()
    assert (done.cutoffs.loc[done.cutoffs["outcome"] == "filled", "money"] > 0).any()
    rows = done.scores[done.scores["stage"] == "cutoff"].set_index(["origin", "rival"])
    for origin, part in done.cutoffs.groupby("origin"):
        ours = part.loc[part["accepted"], "money"].sum() / len(part)
        assert rows.loc[(origin, "accept none"), "value"] == pytest.approx(ours)
        assert rows.loc[(origin, "accept none"), "rival_value"] == 0
        assert rows.loc[(origin, "accept every wait"), "rival_value"] == pytest.approx(part["money"].mean())


def test_orders_are_replayed_over_the_same_time_and_scored_beside_the_best_rival(tmp_path: Path) -> None:
    seen: list[float] = []
    settings = SETTINGS.replace(n_paths=30, order_target="cost")
    done = backtest(
        shop_read(), origins=2, settings=settings, folder=tmp_path, progress=lambda day, share: seen.append(share)
    )
    assert done.orders is not None
    assert len(done.orders.reviews["day"].unique()) == 56 // settings.review_days
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    rows: Any = done.scores[done.scores["stage"] == "orders"].set_index("score")
    costs: Any = done.orders.costs().set_index("way")
    assert rows.loc["cost", "value"] == costs.loc["plan, by cost", "cost"]
    assert rows.loc["cost", "rival_value"] == costs.loc[rows.loc["cost", "rival"], "cost"]
    # A second run finds everything done, and says the same.
    again = backtest(shop_read(), origins=2, settings=settings, folder=tmp_path)
    for name in ("scores", "forecasts", "flags", "promises", "rivals", "cutoffs"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(done, name), obj=name)
    assert {path.suffix for path in tmp_path.iterdir()} == {".parquet", ".done", ".npz"}


@pytest.mark.parametrize("origins", [0, ["2024-06-20"], ["2023-09-01"]])
def test_origins_without_a_window_before_and_after_are_refused_with_the_dates(origins: Any) -> None:
    with pytest.raises(NotEnoughHistory, match=r"56 days of sales before it .* sales run from 2023-0.* to 2024-06-30"):
        backtest(shop_read(), origins=origins, settings=SETTINGS)


def test_a_window_without_a_whole_period_is_refused_and_months_have_a_longer_one() -> None:
    tables = shop()
    monthly = tables["sales"].assign(date=tables["sales"]["date"].dt.to_period("M").dt.start_time)
    read_once = read({"sales": monthly})
    with pytest.raises(InvalidSettings, match=r"no whole period of the clock MS lies in the 28 days .* window_days of"):
        backtest(read_once, origins=["2024-05-02"], settings=SETTINGS, window_days=28)
    done = backtest(read_once, origins=1, settings=SETTINGS)
    assert done.forecasts["actual"].sum() > 0


def test_what_was_kept_for_one_model_is_not_taken_for_another(tmp_path: Path) -> None:
    means = []
    for alpha in (0.01, 0.9):
        model = baseline("ses", alpha=alpha)
        done = backtest(shop_read(), origins=1, settings=SETTINGS, demand_model=model, folder=tmp_path, order_reviews=0)
        means.append(done.forecasts["mean"].sum())
    assert means[0] != means[1]

    class Unknown:
        model = object()

        def __init__(self) -> None:
            self.inner = object()

        def forecast(self, panel: Any, horizon: int, seed: int) -> Any:
            raise NotImplementedError

    with pytest.raises(InvalidSettings, match="no plain attributes to tell it by; leave folder out"):
        backtest(shop_read(), origins=1, settings=SETTINGS, demand_model=Unknown(), folder=tmp_path)


def test_an_origin_named_twice_is_refused() -> None:
    day = ORIGINS[0]
    with pytest.raises(InvalidSettings, match=f"named more than once: {day:%Y-%m-%d}. It would count double"):
        backtest(shop_read(), origins=[day, ORIGINS[1], f"{day:%Y-%m-%d} 12:00"], settings=SETTINGS)
