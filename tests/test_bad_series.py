"""Series that crash other programs: each gives a finite forecast, low confidence and a reason, or words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from backorder_forecast import Settings, baseline, demand_panel, forecast_demand, make_plan, read_tables
from backorder_forecast.baselines import BASELINES
from backorder_forecast.demand import fit_demand
from backorder_forecast.errors import InvalidTables

Floats = NDArray[np.float64]
N = {"D": 120, "W-MON": 60, "MS": 30}
END = {"D": "2024-06-30", "W-MON": "2024-06-24", "MS": "2024-06-01"}


def once(n: int, at: int, units: float) -> Floats:
    return np.where(np.arange(n) == at, units, 0.0)


def bad_series(freq: str) -> dict[str, Floats]:
    n = N[freq]
    rng = np.random.default_rng(0)
    return {
        "all zero": np.zeros(n),
        "single sale last": once(n, n - 1, 3.0),
        "single sale first": once(n, 0, 3.0),
        "single sale in the middle": once(n, n // 2, 5.0),
        "constant": np.full(n, 4.0),
        "one period": np.array([3.0]),
        "one period without demand": np.array([0.0]),
        "two periods": np.array([3.0, 5.0]),
        "huge": rng.poisson(3, n) * 1e12,
        "huge once": once(n, n // 2, 1e12),
        "tiny fractions": rng.random(n) * 1e-9,
        "only returns": np.full(n, -2.0),
        "tiny and huge": np.where(np.arange(n) % 2 == 1, 1e-9, 1e12),
        "gaps": np.where(rng.random(n) < 0.5, np.nan, rng.poisson(3, n)),
    }


def rows(name: str, values: Floats, freq: str) -> pd.DataFrame:
    dates = pd.date_range(end=END[freq], periods=len(values), freq=freq)
    return pd.DataFrame({"sku": name, "date": dates, "quantity": values}).dropna()


def normal(freq: str, n: int) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    return pd.concat([rows(f"N{i}", rng.poisson(2 + i % 9, N[freq]).astype(float), freq) for i in range(n)])


NAMES = sorted(bad_series("MS"))
QUIET = Settings(n_paths=60, global_model=False)


@pytest.mark.parametrize("freq", sorted(N))
@pytest.mark.parametrize("name", NAMES)
def test_a_bad_series_alone(name: str, freq: str) -> None:
    values = bad_series(freq)[name]
    panel = demand_panel(rows(name, values, freq), freq=freq)
    draws = forecast_demand(panel, 6, settings=QUIET).draw()
    assert np.isfinite(draws).all()
    assert (draws >= 0).all()
    known = values[~np.isnan(values)]
    if (known % 1 == 0).all():
        assert (draws % 1 == 0).all()
    if known.max() <= 0:
        assert not draws.any()
    about = fit_demand(panel, QUIET).about.iloc[0]
    if (known > 0).sum() < 4:
        assert about["confidence"] == "low"
        assert about["confidence_reason"]


@pytest.mark.parametrize("freq", sorted(N))
def test_bad_series_among_good_ones_and_with_the_global_model(freq: str) -> None:
    parts = [rows(name, values, freq) for name, values in bad_series(freq).items()]
    panel = demand_panel(pd.concat([*parts, normal(freq, 60)]), freq=freq)
    settings = Settings(n_paths=60)
    draws = forecast_demand(panel, 6, settings=settings).draw()
    assert np.isfinite(draws).all()
    assert (draws >= 0).all()
    about = fit_demand(panel, settings).about.set_index("sku")
    assert about.loc["all zero", "method"] == "none"
    for name in ("all zero", "single sale first", "single sale last", "one period", "only returns", "huge once"):
        assert about.loc[name, "confidence"] == "low", name
    good = about.index.str.startswith("N")
    level = about.loc[good, "mean_per_period"].to_numpy(dtype=float)
    truth = np.array([2.0 + int(name[1:]) % 9 for name in about.index[good]])
    # Neighbours of 1e12 units pull what is pooled; they must not run away with it.
    assert abs(np.mean(level / truth) - 1) < 0.3


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("series", ["all zero", "single sale first", "single sale last", "one period"])
def test_series_that_crash_croston_elsewhere(name: str, series: str) -> None:
    # R's forecast package, issue 26: croston() failed on series of zeros and of a single sale.
    panel = demand_panel(rows(series, bad_series("W-MON")[series], "W-MON"), freq="W-MON")
    draws = baseline(name, n_paths=50).forecast(panel, 5, 0).draw()
    assert np.isfinite(draws).all()
    assert (draws >= 0).all()
    if series == "all zero":
        assert not draws.any()


def test_all_hidden_periods_are_no_information() -> None:
    sales = rows("hidden", np.full(60, 3.0), "W-MON")
    shown = sales[["sku", "date"]].assign(in_stock=0.0)
    panel = demand_panel(sales, freq="W-MON", in_stock=shown)
    about = fit_demand(panel, QUIET).about.iloc[0]
    assert about["confidence"] == "low"
    assert np.isfinite(forecast_demand(panel, 4, settings=QUIET).draw()).all()


def test_missing_and_infinite_quantities_are_refused_in_words() -> None:
    sales = rows("A", np.full(30, 3.0), "MS")
    sales.loc[sales.index[[2, 5]], "quantity"] = [np.nan, np.inf]
    with pytest.raises(InvalidTables, match="2 values are missing or infinite"):
        demand_panel(sales, freq="MS")


def test_duplicated_rows_add_up() -> None:
    sales = rows("A", np.full(30, 3.0), "MS")
    assert demand_panel(pd.concat([sales, sales]), freq="MS").demand.tolist() == [[6.0] * 30]


def test_bad_series_in_a_plan() -> None:
    """Every item of a shop full of them is in the plan, with finite numbers and its reason."""
    names = [name for name in bad_series("D") if name != "only returns"]
    parts = [rows(name, bad_series("D")[name], "D") for name in names]
    sales = pd.concat([*parts, normal("D", 30)])
    skus = sales["sku"].unique()
    tables = {
        "sales": pd.concat([sales, sales.tail(40)]),
        "inventory": pd.DataFrame({"sku": skus, "date": END["D"], "on_hand": 20.0}),
        "products": pd.DataFrame({"sku": skus, "price": 9.0, "unit_cost": 4.0, "lead_time_days": 12}),
    }
    plan = make_plan(read_tables(tables), Settings(n_paths=60, horizon_days=30))
    items = plan.items.set_index("sku")
    assert set(items.index) == set(skus)
    for name in ("all zero", "single sale first", "single sale last", "one period", "huge once"):
        assert items.loc[name, "confidence"] == "low", name
        assert items.loc[name, "confidence_reason"], name
    forecasts = plan.forecasts[["mean", 0.1, 0.5, 0.9]].to_numpy(dtype=float)
    assert np.isfinite(forecasts).all()
    assert (forecasts >= 0).all()
    assert not plan.forecasts.loc[plan.forecasts["sku"] == "all zero", "mean"].any()
    assert plan.stockouts["p_stockout"].between(0, 1).all()
    assert np.isfinite(plan.reorders["order_quantity"].to_numpy(dtype=float)).all()
    # The forty repeated rows are used, merged or set aside: none is lost.
    account = plan.data_quality[plan.data_quality["table"] == "sales"].iloc[0]
    assert account["rows_read"] == len(sales) + 40
    assert account[["rows_used", "rows_merged", "rows_set_aside"]].sum() == account["rows_read"]
