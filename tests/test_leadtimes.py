"""Lead times: known answers, what pooling and open orders do, and that late orders stay late."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backorder_forecast.errors import InvalidSettings, InvalidTables
from backorder_forecast.lead_laws import pooled_laws
from backorder_forecast.leadtimes import LeadTimes, add_business_days, business_days_between, fit_lead_times
from backorder_forecast.settings import Settings
from backorder_forecast.survival import residual_cdf, shrink_cdf

KNOWN = {r["id"]: r for r in json.loads((Path(__file__).parent / "known_answers" / "lead_times.json").read_text())}
AS_OF = pd.Timestamp("2024-12-31")
LEVELS = [0.1, 0.5, 0.9]
UNPOOLED = Settings(lead_time_pool_k=1e-9, lead_time_half_life_days=1e9)


def orders(days: list[int], supplier: str = "ACME", *, waiting: list[int] | None = None, **more: Any) -> pd.DataFrame:
    """Orders that took `days`, all received by the end, and orders open for `waiting` days."""
    ended = pd.date_range("2024-06-01", periods=len(days))
    still = list(waiting or [])
    placed = (ended - pd.to_timedelta(days, "D")).append(AS_OF - pd.to_timedelta(still, "D"))
    received = ended.append(pd.DatetimeIndex([pd.NaT] * len(still)))
    return pd.DataFrame({"supplier": supplier, "order_date": placed, "received_date": received, **more})


def middle(lead: LeadTimes, supplier: str = "ACME", **key: str) -> list[float]:
    row = lead.quantiles(pd.DataFrame({"supplier": [supplier], **{k: [v] for k, v in key.items()}}), LEVELS).iloc[0]
    return [float(v) for v in row]


def left(lead: LeadTimes, age: int, supplier: str = "ACME") -> list[float]:
    frame = pd.DataFrame({"supplier": [supplier], "order_date": [AS_OF - pd.Timedelta(days=age)]})
    return [float(v) for v in lead.remaining(frame, LEVELS).iloc[0]]


def test_open_orders_are_counted_by_kaplan_meier() -> None:
    record = KNOWN["km_freireich_6mp"]
    time, event = np.array(record["inputs"]["time"]), np.array(record["inputs"]["event"], dtype=bool)
    table = orders(time[event].tolist(), waiting=time[~event].tolist())
    cdf = fit_lead_times(table, as_of=AS_OF, settings=UNPOOLED).cdf[0]
    found = {t: 1.0 - cdf[int(t)] for t in record["expected"]}
    assert found == pytest.approx(record["expected"], abs=record["abs_tolerance"])


def test_late_order_from_history() -> None:
    record = KNOWN["overdue_po_empirical"]
    age = record["inputs"]["age"]
    lead = fit_lead_times(orders(record["inputs"]["history"]), as_of=AS_OF, settings=UNPOOLED)
    assert residual_cdf(lead.cdf[0], age)[5] == pytest.approx(record["expected"]["p_within5"], abs=1e-6)
    assert age + left(lead, age)[1] == record["expected"]["median_total"]


def test_pooling_without_open_orders_is_the_known_average() -> None:
    record = KNOWN["dp_shrunk_cdf"]["inputs"]
    parent = np.concatenate([np.linspace(0, 0.5, 11), np.linspace(0.55, 1, 10)])
    days = np.array([4, 7, 9, 15])
    found = pooled_laws(
        np.zeros(4, dtype=np.int64), days, np.ones(4, dtype=bool), np.ones(4), parent[None], record["k"]
    )
    own = (days[:, None] <= np.arange(21)).mean(axis=0)
    assert (own[10], parent[10]) == (record["F_i"], record["F_pool"])
    assert found[0, 10] == pytest.approx(KNOWN["dp_shrunk_cdf"]["expected"], abs=1e-6)
    assert found[0] == pytest.approx(shrink_cdf(4, own, parent, record["k"]))


def test_business_days() -> None:
    record = KNOWN["business_days"]
    start, n, free = (record["inputs"][k] for k in ("start", "n", "holidays"))
    expected = record["expected"]
    assert add_business_days(start, n, holidays=free)[0] == pd.Timestamp(expected["date"])
    assert business_days_between(start, expected["date"], holidays=free)[0] == expected["between"]


def test_business_days_from_a_weekend_and_back() -> None:
    days = ["2024-06-07", "2024-06-08", "2024-06-09", "NaT"]
    assert add_business_days(days, 1)[:3].strftime("%a").tolist() == ["Mon"] * 3
    assert add_business_days(days, 0)[:3].strftime("%a").tolist() == ["Fri", "Mon", "Mon"]
    assert add_business_days(days, -1)[:3].strftime("%a").tolist() == ["Thu", "Fri", "Fri"]
    assert add_business_days(days, 1).isna().tolist() == [False, False, False, True]
    assert np.isnan(business_days_between("2024-06-07", days)).tolist() == [False, False, False, True]


@given(st.integers(0, 3000), st.integers(1, 60))
def test_business_days_add_up(offset: int, n: int) -> None:
    start = np.datetime64("2020-01-01") + np.timedelta64(offset, "D")
    end = add_business_days(start, n)
    assert end.day_of_week[0] < 5
    assert business_days_between(start + np.timedelta64(1, "D"), end + pd.Timedelta(days=1))[0] == n


def test_a_frame_with_three_columns_is_enough() -> None:
    lead = fit_lead_times(orders([7, 8, 9] * 20), as_of="2024-12-31")
    assert middle(lead) == [7, 8, 9]
    assert middle(lead, "never seen") == [7, 8, 9]
    assert "60 order lines" in repr(lead)


def test_open_orders_make_the_law_longer() -> None:
    quick = fit_lead_times(orders([10] * 10), as_of=AS_OF)
    slow = fit_lead_times(orders([10] * 10, waiting=[40] * 10), as_of=AS_OF)
    young = fit_lead_times(orders([10] * 10, waiting=[2] * 10), as_of=AS_OF)
    assert middle(slow)[2] > 40 > middle(quick)[2]
    assert middle(young) == middle(quick)


def test_recent_orders_count_more() -> None:
    old = orders([30] * 40).assign(
        order_date=lambda f: f["order_date"] - pd.Timedelta(days=2000),
        received_date=lambda f: f["received_date"] - pd.Timedelta(days=2000),
    )
    lead = fit_lead_times(pd.concat([old, orders([10] * 40)]), as_of=AS_OF)
    assert lead.cdf[0, 15] > 0.75


def test_small_groups_lean_on_their_parent_and_large_ones_do_not() -> None:
    table = pd.concat([orders([20] * 200, "big"), orders([20] * 60, "other"), orders([5] * 2, "small"),
                       orders([5] * 60, "known")])  # fmt: skip
    lead = fit_lead_times(table, as_of=AS_OF, settings=Settings(lead_time_pool_k=10))
    assert middle(lead, "known")[1] == 5
    assert middle(lead, "small")[1] == 20
    assert lead.cdf[lead.law_rows(pd.DataFrame({"supplier": ["small"]}))[0], 5] > lead.cdf[0, 5]
    assert middle(lead, "unseen") == middle(lead, "nobody")
    assert middle(lead, "unseen")[0] == 5


def test_items_of_a_supplier_have_their_own_law_where_they_have_lines() -> None:
    table = pd.concat([orders([5] * 60, sku="A", location=""), orders([25] * 60, sku="B", location="north")])
    lead = fit_lead_times(table, as_of=AS_OF)
    assert middle(lead, sku="A")[1] == 5
    assert middle(lead, sku="B", location="north")[1] == 25
    # An item known without a location speaks for every location; one known elsewhere does not.
    assert middle(lead, sku="A", location="south")[1] == 5
    assert middle(lead, sku="B", location="south") == middle(lead)
    assert middle(lead, "other", sku="A") == middle(lead, "other")


def test_the_only_item_of_the_only_supplier_counts_its_lines_once() -> None:
    lead = fit_lead_times(orders([5] * 3, sku="A"), as_of=AS_OF)
    assert (lead.cdf == lead.cdf[0]).all()


def test_partial_receipts_count_by_their_share() -> None:
    table = pd.DataFrame(
        {
            "po_id": "1", "supplier": "ACME", "sku": "A", "order_date": "2024-05-01", "quantity_ordered": 10.0,
            "quantity_received": [2.0, 8.0], "received_date": ["2024-05-06", "2024-05-21"],
        }
    )  # fmt: skip
    lead = fit_lead_times(table, as_of=AS_OF, settings=UNPOOLED)
    assert lead.cdf[0, [4, 5, 19, 20]].tolist() == pytest.approx([0, 0.2, 0.2, 1], abs=1e-6)


def test_cancelled_lines_count_until_they_were_cancelled() -> None:
    table = orders([10, 20, 30, 30])
    second = table.index == 1
    table["cancelled_date"] = table["received_date"].where(second)
    table["received_date"] = table["received_date"].mask(second)
    lead = fit_lead_times(table, as_of=AS_OF, settings=UNPOOLED)
    assert lead.cdf[0, [9, 10, 29, 30]].tolist() == pytest.approx([0, 0.25, 0.25, 1], abs=1e-6)
    card = lead.suppliers().iloc[0]
    assert (card["n_cancelled"], card["p_never_arrives"]) == (1, pytest.approx(0.25))


@given(
    st.lists(st.integers(0, 90), max_size=12),
    st.lists(st.integers(0, 400), max_size=6),
    st.integers(0, 4000),
)
@settings(max_examples=40, deadline=None)
def test_laws_are_laws_and_nothing_arrives_in_the_past(days: list[int], waiting: list[int], age: int) -> None:
    lead = fit_lead_times(orders(days, waiting=waiting, sku="A"), as_of=AS_OF)
    assert ((lead.cdf >= 0) & (lead.cdf <= 1)).all()
    assert (np.diff(lead.cdf, axis=1) >= 0).all()
    assert lead.cdf[:, -1].min() > 0
    now = left(lead, age)
    assert 1 <= now[0] <= now[1] <= now[2]


def test_remaining_agrees_with_the_conditional_law() -> None:
    lead = fit_lead_times(orders([5, 9, 9, 14, 30] * 8, waiting=[12, 45]), as_of=AS_OF)
    for age in (0, 5, 13, 30, 60):
        law = residual_cdf(lead.cdf[0], age)
        assert left(lead, age) == [max(1, int(np.argmax(law >= q))) for q in LEVELS]


def test_the_later_an_order_the_longer_it_may_still_take() -> None:
    lead = fit_lead_times(orders([7, 8, 9] * 40), as_of=AS_OF)
    waits = [left(lead, age)[1] for age in (20, 50, 100, 300, 700, 1000, 2000)]
    assert waits == sorted(waits)
    assert waits[0] >= 2
    assert waits[-1] > 100


def test_a_law_that_leaves_nobody_waiting_hands_over_to_the_tail() -> None:
    narrow = Settings(stated_lead_time_sd_log=0.01)
    stated = pd.DataFrame({"sku": ["A"], "lead_time_days": [30]})
    lead = fit_lead_times(orders([]), as_of=AS_OF, settings=narrow, stated=stated)
    frame = pd.DataFrame({"supplier": ["x"], "sku": ["A"], "order_date": [AS_OF - pd.Timedelta(days=300)]})
    assert lead.remaining(frame, [0.5])[0.5].min() > 10


def test_remaining_at_another_day_and_with_odd_dates() -> None:
    lead = fit_lead_times(orders([10] * 50), as_of=AS_OF)
    frame = pd.DataFrame({"supplier": "ACME", "order_date": ["2024-12-31", "2025-01-04", None]}, index=[7, 3, 9])
    now = lead.remaining(frame, [0.5])
    assert now.index.tolist() == [7, 3, 9]
    assert now[0.5].tolist()[:2] == [10, 14]
    assert np.isnan(now[0.5][9])
    assert lead.remaining(frame, [0.5], as_of="2025-01-05").loc[[7, 3], 0.5].tolist() == [5, 9]


def test_nothing_after_as_of_changes_anything() -> None:
    table = orders([7, 20, 33] * 10, waiting=[5, 50], sku="A", po_id=[str(i) for i in range(32)])
    told = table.assign(
        cancelled_date=pd.Series(pd.NaT, index=table.index), promised_date=AS_OF, promise_recorded_date=AS_OF
    )
    told.loc[30, "received_date"] = AS_OF + pd.Timedelta(days=1)
    told.loc[31, "cancelled_date"] = AS_OF + pd.Timedelta(days=1)
    future = told.iloc[:5].assign(
        order_date=AS_OF + pd.Timedelta(days=1), received_date=AS_OF + pd.Timedelta(days=2), supplier="new"
    )
    plain = table.assign(promised_date=AS_OF, promise_recorded_date=AS_OF)
    a = fit_lead_times(plain, as_of=AS_OF)
    b = fit_lead_times(pd.concat([told, future]), as_of=AS_OF)
    assert (a.cdf == b.cdf).all()
    pd.testing.assert_frame_equal(a.table(), b.table())
    assert len(b.set_aside) == 5


def test_row_order_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    table = pd.concat(
        [orders(rng.integers(1, 60, 40).tolist(), s, sku=[f"K{i % 4}" for i in range(40)]) for s in ("x", "y")]
    )
    a = fit_lead_times(table, as_of=AS_OF)
    b = fit_lead_times(table.iloc[rng.permutation(len(table))], as_of=AS_OF)
    assert (a.cdf == b.cdf).all()
    pd.testing.assert_frame_equal(a.table(), b.table())
    pd.testing.assert_frame_equal(a.suppliers(), b.suppliers())


def test_without_any_history_the_default_or_the_stated_time_holds() -> None:
    nothing = orders([])
    lead = fit_lead_times(nothing, as_of=AS_OF)
    assert middle(lead)[1] == Settings().default_lead_time_days
    assert lead.table()["basis"].tolist() == ["default lead time"]
    stated = pd.DataFrame({"sku": ["A", "A", "B", "C"], "lead_time_days": [30, 60, np.nan, -1]})
    lead = fit_lead_times(nothing, as_of=AS_OF, stated=stated)
    assert middle(lead, sku="A")[1] == 60
    assert middle(lead, sku="A", location="south")[1] == 60
    assert lead.table()["basis"].tolist() == ["stated lead time"] * 2


def test_history_outweighs_a_stated_time_and_corrects_the_others() -> None:
    table = orders([7, 8, 9] * 20, sku="A")
    stated = pd.DataFrame({"supplier": "ACME", "sku": ["A", "new"], "lead_time_days": [30, 30]})
    lead = fit_lead_times(table, as_of=AS_OF, stated=stated)
    assert middle(lead, sku="A")[1] == 8
    # The supplier's other item takes a quarter of what is stated, so the new one is expected well below 30.
    assert middle(lead, sku="new")[1] < 15
    assert set(lead.table()["basis"]) == {"history", "history and stated lead time", "stated lead time"}


def test_a_stated_time_differing_from_the_suppliers_habit_keeps_both_in_view() -> None:
    table = orders([7, 8, 9] * 20, sku="A")
    stated = pd.DataFrame({"supplier": "ACME", "sku": ["A", "new"], "lead_time_days": [8, 60]})
    low, centre, high = middle(fit_lead_times(table, as_of=AS_OF, stated=stated), sku="new")
    assert low < 10 < 40 < centre < high


def test_tables_have_a_row_per_supplier_and_item() -> None:
    table = pd.concat([orders([5, 9] * 5, "x", sku="A"), orders([6] * 4, "y", sku=["A", "A", "B", "B"])])
    lead = fit_lead_times(table, as_of=AS_OF)
    frame = lead.table()
    assert frame["level"].tolist() == ["all", "supplier", "supplier", "item", "item", "item"]
    assert frame[["supplier", "sku"]].agg("-".join, axis=1).tolist() == ["-", "x-", "y-", "x-A", "y-A", "y-B"]
    assert frame["n_received"].tolist() == [14, 10, 4, 10, 2, 2]
    cards = lead.suppliers()
    assert cards["supplier"].tolist() == ["x", "y"]
    assert cards["n_lines"].tolist() == [10, 4]
    assert (cards["lead_time_days_0.1"] <= cards["lead_time_days_0.9"]).all()


def test_orders_without_a_supplier_teach_only_the_law_of_all() -> None:
    lead = fit_lead_times(orders([12] * 20).assign(supplier=None), as_of=AS_OF)
    assert middle(lead, "ACME")[1] == 12
    assert lead.suppliers().empty


def test_durations_beyond_the_grid_are_known_to_be_longer() -> None:
    lead = fit_lead_times(orders([10] * 6 + [200] * 6), as_of=AS_OF, settings=Settings(max_lead_time_days=60))
    assert lead.cdf.shape[1] == 61
    assert 0.4 < lead.cdf[0, -1] < 0.65
    assert middle(lead)[2] > 60


def test_refusals_and_pickling() -> None:
    lead = fit_lead_times(orders([5, 9] * 5), as_of=AS_OF)
    with pytest.raises(InvalidSettings, match="levels"):
        lead.quantiles(pd.DataFrame({"supplier": ["x"]}), [0.5, 1.0])
    with pytest.raises(InvalidTables, match="order_date"):
        lead.remaining(pd.DataFrame({"supplier": ["x"]}), [0.5])
    with pytest.raises(InvalidSettings, match="stated has the columns"):
        fit_lead_times(orders([5]), as_of=AS_OF, stated=pd.DataFrame({"sku": ["A"]}))
    assert middle(pickle.loads(pickle.dumps(lead))) == middle(lead)


@pytest.mark.slow
def test_public_deliveries_walk_forward() -> None:
    if "BACKORDER_DATA" not in os.environ:
        pytest.skip("BACKORDER_DATA is not set: public deliveries not checked")
    raw = pd.read_parquet(Path(os.environ["BACKORDER_DATA"]) / "scms" / "deliveries_to_2011.parquet")
    columns = {"Vendor": "supplier", "Country": "location", "po_date": "order_date", "delivered": "received_date"}
    table = raw.loc[raw["po_date"].notna(), list(columns)].rename(columns=columns)
    table["days"] = (table["received_date"] - table["order_date"]).dt.days
    rows = []
    for month in pd.date_range("2010-01-01", "2011-12-01", freq="MS"):
        lead = fit_lead_times(table, as_of=month - pd.Timedelta(days=1))
        placed = (table["order_date"] >= month) & (table["order_date"] < month + pd.offsets.MonthBegin(1))
        new = table[placed & (table["days"] >= 0)]
        rows.append(np.column_stack([new["days"], lead.quantiles(new, LEVELS)]))
    actual, *found = np.concatenate(rows).T
    pinball = np.mean(
        [np.maximum(q * (actual - f), (q - 1) * (actual - f)).mean() for q, f in zip(LEVELS, found, strict=True)]
    )
    assert 0.77 < ((actual >= found[0]) & (actual <= found[2])).mean() < 0.84
    assert pinball < 18.3
