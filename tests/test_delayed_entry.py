"""Orders that entered the records late: known answers, what they tell and what not, and no bias towards long waits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backorder_forecast.disruptions import stop_evidence
from backorder_forecast.errors import InvalidSettings
from backorder_forecast.known import known_at
from backorder_forecast.lead_cases import ARRIVED, OPEN, cases_of, line_times
from backorder_forecast.lead_check import check_lead_times
from backorder_forecast.lead_laws import never_arrives, pooled_laws
from backorder_forecast.lead_tree import law_tree, stated_days
from backorder_forecast.leadtimes import LeadTimes, fit_lead_times
from backorder_forecast.order_lines import order_lines
from backorder_forecast.settings import Settings
from backorder_forecast.supply_events import Closures
from backorder_forecast.survival import loglogistic_censored_fit
from backorder_forecast.tables import read_tables

RECORDS = json.loads((Path(__file__).parent / "known_answers" / "survival.json").read_text())
KNOWN = next(r for r in RECORDS if r["id"] == "km_delayed_entry")
AS_OF = pd.Timestamp("2024-12-31")
START = pd.Timestamp("2024-08-01")
UNPOOLED = Settings(lead_time_pool_k=1e-9, lead_time_half_life_days=1e9)

cases = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 25), st.integers(0, 12), st.booleans()), min_size=1)


def register(seed: int, n: int = 3000, **more: Any) -> pd.DataFrame:
    """Orders of five years in records that began on `START`: what had arrived by then was never entered."""
    rng = np.random.default_rng(seed)
    u = rng.random(n)
    placed = START + pd.to_timedelta(rng.integers(-1500, 150, n), "D")
    days = np.round(40 * (u / (1 - u)) ** (1 / 1.5)) + 1
    rows = pd.DataFrame({"supplier": rng.integers(0, 5, n).astype(str), "order_date": placed, "days": days, **more})
    rows["received_date"] = rows["order_date"] + pd.to_timedelta(days, "D")
    rows["recorded_date"] = rows["order_date"].where(rows["order_date"] > START, START)
    return rows


def in_records(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["received_date"] > START) & (rows["recorded_date"] <= AS_OF)].drop(columns="days")


def median(lead: LeadTimes, supplier: str = "ACME") -> float:
    return float(lead.quantiles(pd.DataFrame({"supplier": [supplier]}), [0.5])[0.5].to_numpy()[0])


def still(lead: LeadTimes, age: int) -> float:
    rows = pd.DataFrame({"supplier": ["unknown"], "order_date": [AS_OF - pd.Timedelta(days=age)]})
    return float(lead.remaining(rows, [0.5])[0.5].to_numpy()[0])


def test_delayed_entries_are_counted_as_at_risk_from_their_entry() -> None:
    entry, time, event = (np.array(KNOWN["inputs"][k]) for k in ("entry", "time", "event"))
    entered = AS_OF - pd.Timedelta(days=100)
    placed = entered - pd.to_timedelta(entry, "D")
    received = pd.Series(placed + pd.to_timedelta(time, "D")).where(event == 1)
    # What has not come was cancelled at that age: the weight of a closed line ends there.
    gone = pd.Series(placed + pd.to_timedelta(time, "D")).where(event == 0)
    table = pd.DataFrame(
        {"supplier": "ACME", "order_date": placed, "received_date": received, "cancelled_date": gone,
         "recorded_date": entered}
    )  # fmt: skip
    cdf = fit_lead_times(table, as_of=AS_OF, settings=UNPOOLED).cdf[0]
    found = {t: 1.0 - cdf[int(t)] for t in KNOWN["expected"]}
    assert found == pytest.approx(KNOWN["expected"], abs=1e-6)


def test_without_the_column_nothing_changes() -> None:
    rng = np.random.default_rng(5)
    placed = pd.Series(pd.date_range("2024-01-01", periods=300))
    table = pd.DataFrame({"supplier": rng.choice(["A", "B"], 300), "order_date": placed})
    received = placed + pd.to_timedelta(rng.integers(3, 60, 300), "D")
    table["received_date"] = received.where(received <= AS_OF)
    table["promised_date"] = placed + pd.Timedelta(days=20)
    plain = fit_lead_times(table, as_of=AS_OF)
    same = (placed, placed - pd.Timedelta(days=9), pd.Series([None] * 300), pd.Series(["soon"] * 300))
    for recorded in same:
        lead = fit_lead_times(table.assign(recorded_date=recorded), as_of=AS_OF)
        assert np.array_equal(lead.cdf, plain.cdf)
        assert np.array_equal(lead.tail, plain.tail)
        assert lead.promises is not None
        assert plain.promises is not None
        assert np.array_equal(lead.promises.cdf, plain.promises.cdf)
        pd.testing.assert_frame_equal(lead.laws, plain.laws)
        pd.testing.assert_frame_equal(lead.check.scores, plain.check.scores)
        odd = lead.quality["rule"] == "recorded_date: not a date"
        assert odd.sum() == (recorded.iloc[0] == "soon")
        assert lead.quality[~odd].reset_index(drop=True).equals(plain.quality)


@given(cases)
def test_entry_at_the_beginning_is_no_delay(rows: list[tuple[int, int, int, bool]]) -> None:
    law, days, _, event = (np.array(column) for column in zip(*rows, strict=True))
    parents, weight = np.tile(np.linspace(0.0, 0.9, 21), (3, 1)), np.ones(len(law))
    none = np.full(len(law), -1)
    found = pooled_laws(law, days, event, weight, parents, 5.0, entry=none)
    assert np.array_equal(found, pooled_laws(law, days, event, weight, parents, 5.0))
    cause = np.where(event, 1, 2)
    ended = never_arrives(law, days, cause, weight, 3, entry=none)
    assert np.array_equal(ended, never_arrives(law, days, cause, weight, 3), equal_nan=True)
    prior: dict[str, float] = {"prior_median": 14.0, "prior_shape": 5.0}
    assert loglogistic_censored_fit(days, event, entry=0 * days, **prior) == loglogistic_censored_fit(
        days, event, **prior
    )


@given(cases)
def test_laws_of_delayed_entries_rise_from_0_to_at_most_1(rows: list[tuple[int, int, int, bool]]) -> None:
    law, entry, wait, event = (np.array(column) for column in zip(*rows, strict=True))
    parents, weight = np.tile(np.linspace(0.0, 0.9, 21), (3, 1)), np.linspace(0.1, 1.0, len(law))
    order = np.random.default_rng(0).permutation(len(law))
    found = pooled_laws(law, entry + wait + 1, event, weight, parents, 5.0, entry=entry)
    assert ((np.diff(found, axis=1) >= 0) & (found[:, 1:] <= 1)).all()
    days = entry + wait + 1
    again = pooled_laws(law[order], days[order], event[order], weight[order], parents, 5.0, entry=entry[order])
    assert again == pytest.approx(found, abs=1e-12)
    # An order that entered at an age tells nothing of earlier ages.
    first = np.array([entry[law == i].min(initial=20) for i in range(3)])
    for i in range(3):
        assert found[i, : first[i] + 1] == pytest.approx(parents[i, : first[i] + 1])
    never = never_arrives(law, entry + wait + 1, np.where(event, 1, 2), weight, 3, entry=entry)
    assert ((never[np.unique(law)] >= 0) & (never[np.unique(law)] <= 1 + 1e-9)).all()


def test_a_single_early_arrival_does_not_decide_where_few_have_entered() -> None:
    parent = np.linspace(0.0, 0.8, 81)[None]
    days, entry = np.array([3, *[60] * 50]), np.array([1, *[30] * 50])
    law, event = np.zeros(51, dtype=np.int64), np.arange(51) == 0
    found = pooled_laws(law, days, event, np.ones(51), parent, 10.0, entry=entry)[0]
    # Alone at risk: the product-limit estimate would be 1 from day 3 on.
    assert found[3] < 0.15
    assert found[60] < 0.5 * parent[0, 60] + 0.15
    cause = np.where(event, 2, 1)
    assert never_arrives(law, days, cause, np.ones(51), 1, entry=entry)[0] == pytest.approx(0.5)


def test_what_was_open_when_the_records_began_makes_nothing_look_slower() -> None:
    naive, delayed, late = [], [], []
    for seed in range(6):
        rows = register(seed)
        known = in_records(rows)
        lead = fit_lead_times(known, as_of=AS_OF)
        # Recorded from the order on, as if the quick orders of those years had never been placed.
        biased = fit_lead_times(known.drop(columns="recorded_date"), as_of=AS_OF)
        delayed.append(median(lead, "unknown") / rows["days"].median())
        naive.append(median(biased, "unknown") / rows["days"].median())
        truth = (rows["days"][rows["days"] > 90] - 90).median()
        late.append((still(lead, 90) / truth, still(biased, 90) / truth))
    assert np.mean(delayed) == pytest.approx(1.0, abs=0.1)
    assert np.mean(naive) > 1.25
    right, wrong = np.mean(late, axis=0)
    assert right == pytest.approx(1.0, abs=0.25)
    assert wrong > 1.5


def test_truncated_fit_finds_the_law_of_all() -> None:
    rng = np.random.default_rng(4)
    u, entry = rng.random(8000), rng.uniform(0, 60, 8000)
    life, until = 20.0 * (u / (1 - u)) ** (1 / 2.5), entry + rng.uniform(5, 60, 8000)
    kept = life > entry
    time, event, since = np.minimum(life, until)[kept], (life <= until)[kept], entry[kept]
    prior: dict[str, float] = {"prior_median": 14.0, "prior_shape": 5.0}
    assert loglogistic_censored_fit(time, event, entry=since, **prior) == pytest.approx((20.0, 2.5), rel=0.06)
    assert loglogistic_censored_fit(time, event, **prior)[0] > 30
    for wrong in (since[:5], time + 1.0, since - 100.0):
        with pytest.raises(InvalidSettings, match="from 0 to the time of the case"):
            loglogistic_censored_fit(time, event, entry=wrong, **prior)


def test_what_came_before_the_entry_tells_no_duration() -> None:
    rows = pd.DataFrame(
        {
            "po_id": ["1", "1", "1", "2", "3", "4"], "supplier": "ACME", "sku": "A", "quantity_ordered": 10.0,
            "order_date": "2024-01-01", "quantity_received": [2.0, 3.0, 5.0, 10.0, None, None],
            "received_date": ["2024-01-04", "2024-01-11", "2024-01-20", "2024-01-10", None, None],
            "recorded_date": ["2024-01-11", "2024-01-11", "2024-01-11", "2024-01-15", "2024-01-21", "2024-01-31"],
        }
    )  # fmt: skip
    orders = order_lines(rows, as_of="2024-01-31")
    times = line_times(orders, longest=730)
    found = cases_of(times, 1e9)
    assert sorted(zip(found.line, found.days, found.cause, found.entry, found.weight.round(6), strict=True)) == [
        (0, 19, ARRIVED, 10, 0.5), (2, 30, OPEN, 20, 1.0),
    ]  # fmt: skip
    # Looked at from the 20th, the third is not in the records, and what comes later of the first is open.
    day = int(np.datetime64("2024-01-19").astype(np.int64))
    then = cases_of(times, 1e9, origin=day)
    assert sorted(zip(then.line, then.days, then.cause, then.entry, strict=True)) == [(0, 18, OPEN, 10)]
    lead = fit_lead_times(rows, as_of="2024-01-31")
    notes = lead.quality.loc[lead.quality["rule"].str.startswith("recorded after"), ["rule", "rows_read", "examples"]]
    lines = [f"order {po} of ACME, sku A: {days} days later" for po, days in ((1, 10), (3, 20), (4, 30), (2, 14))]
    assert notes.to_numpy().tolist() == [
        ["recorded after it was ordered", 3, "; ".join(lines[:3])],
        ["recorded after it had arrived or ended", 1, lines[3]],
    ]
    # The scorecard holds them all.
    assert lead.table()["n_received"].iloc[0] == 2


def test_lateness_too_is_watched_from_the_entry_on() -> None:
    rows = pd.DataFrame(
        {
            "supplier": "ACME", "order_date": "2024-01-01", "promised_date": ["2024-01-11", "2024-01-11", "2024-01-31"],
            "received_date": ["2024-01-16", "2024-01-16", "2024-01-31"],
            "recorded_date": ["2024-01-13", "2024-01-01", "2024-01-05"],
        }
    )  # fmt: skip
    times = line_times(order_lines(rows, as_of="2024-02-29"), longest=730)
    found = cases_of(times, 1e9, early=6)
    # Days 6 of the grid are on time; the third entered before the grid begins.
    assert sorted(zip(found.days, found.entry, strict=True)) == [(6, -1), (11, -1), (11, 8)]


def test_ages_at_entry_are_counted_in_the_days_of_the_supplier() -> None:
    rows = pd.DataFrame(
        {"supplier": "ACME", "order_date": pd.Timestamp("2024-01-05"), "recorded_date": ["2024-01-07", "2024-01-10"],
         "received_date": pd.Timestamp("2024-01-12")}
    )  # fmt: skip
    lead = fit_lead_times(rows, as_of="2024-01-31", settings=Settings(supplier_calendars={"ACME": "1111100"}))
    times = line_times(order_lines(rows, as_of="2024-01-31"), longest=730, calendars=lead.calendars)
    found = cases_of(times, 1e9)
    # Ordered on a Friday, recorded on Sunday and Wednesday, received on Friday; five working days are a week.
    assert (found.days.tolist(), found.entry.tolist()) == ([7, 7], [0, 4])


def test_the_check_knows_a_line_from_its_entry_on_and_foretells_it_from_there() -> None:
    rows = in_records(register(7))
    orders = order_lines(rows, as_of=AS_OF)
    times = line_times(orders, longest=730)
    tree = law_tree(orders, np.ones(times.n_lines, dtype=bool), stated_days(None))
    fixed = Settings(lead_time_pool_k=10.0, lead_time_half_life_days=730.0)
    found = check_lead_times(tree, times, fixed, median=14.0)
    # All lines that were open when the records began enter together: none of them is known before another.
    assert found.chosen
    assert found.scores["coverage_80"].iloc[0] == pytest.approx(0.8, abs=0.1)
    blind = check_lead_times(tree, replace(times, entered=times.ordered), fixed, median=14.0)
    assert blind.scores["pinball"].iloc[0] > 1.5 * found.scores["pinball"].iloc[0]


def test_a_row_recorded_after_the_day_is_not_known() -> None:
    rows = pd.DataFrame(
        {"supplier": "ACME", "order_date": "2024-01-01", "received_date": [None, None],
         "recorded_date": ["2024-01-20", "2024-01-21"]}
    )  # fmt: skip
    found = order_lines(rows, as_of="2024-01-20")
    assert len(found.lines) == 1
    assert found.set_aside[["row", "column", "reason", "found"]].values.tolist() == [
        [2, "recorded_date", "recorded after as_of", "2024-01-21"]
    ]
    sales = pd.DataFrame({"sku": "A", "date": pd.date_range("2024-01-01", "2024-01-20"), "quantity": 1})
    given = rows.assign(sku="A", quantity_ordered=5).rename(columns={"recorded_date": "in_records_since"})
    tables = read_tables({"sales": sales, "purchase_orders": given}, as_of="2024-01-20")
    assert tables.purchase_orders["recorded_date"].dt.strftime("%Y-%m-%d").tolist() == ["2024-01-20"]
    earlier = known_at("purchase_orders", tables.purchase_orders, pd.Timestamp("2024-01-19"))
    assert (len(earlier.frame), [column for column, _ in earlier.asides]) == (0, ["recorded_date"])


def test_stated_times_are_not_corrected_by_the_slow_alone() -> None:
    rows = in_records(register(3, sku="A")).assign(supplier="ACME")
    stated = pd.DataFrame({"sku": ["A", "B"], "lead_time_days": [40.0, 40.0]})
    new = pd.DataFrame({"supplier": "ACME", "sku": ["B"]})
    pooled = Settings(lead_time_pool_k=10.0)
    # By this day nearly all have arrived.
    day = AS_OF + pd.Timedelta(days=365)
    lead = fit_lead_times(rows, as_of=day, stated=stated, settings=pooled)
    biased = fit_lead_times(rows.drop(columns="recorded_date"), as_of=day, stated=stated, settings=pooled)
    said, wrong = (x.quantiles(new, [0.5])[0.5].to_numpy()[0] for x in (lead, biased))
    assert said == pytest.approx(40, rel=0.1)
    assert wrong > 1.2 * said


def test_orders_that_were_just_recorded_are_no_sign_of_a_stop() -> None:
    placed = pd.date_range("2024-06-01", periods=200)
    rows = pd.DataFrame({"supplier": "ACME", "po_id": np.arange(200).astype(str), "order_date": placed})
    rows["received_date"] = (placed + pd.Timedelta(days=10)).where(placed < placed[170])
    lead = fit_lead_times(rows, as_of=placed[199])
    none = Closures(pd.DataFrame({"supplier": [], "first": [], "last": []}))
    late = np.arange(200) >= 170
    recorded = pd.Series(placed).where(~late, placed[199])
    found = [
        stop_evidence(table, lead, none).suppliers["probability"].iloc[0]
        for table in (rows, rows.assign(recorded_date=recorded))
    ]
    assert found[0] > 0.9
    assert found[1] < 0.1


def test_a_row_without_a_record_date_was_there_from_the_order_on() -> None:
    rows = pd.DataFrame(
        {
            "supplier": "S", "sku": "A", "po_id": "1", "order_date": "2024-01-01", "quantity_ordered": 10.0,
            "received_date": ["2024-01-11", "2024-01-21"], "quantity_received": 5.0,
            "recorded_date": [None, "2024-01-21"],
        }
    )  # fmt: skip
    assert order_lines(rows, as_of="2024-02-01").lines["recorded_date"].tolist() == [pd.Timestamp("2024-01-01")]


def test_the_day_on_which_a_receipt_was_posted_is_no_record_date() -> None:
    orders = pd.DataFrame(
        {
            "sku": ["A"],
            "supplier": ["S"],
            "order_date": ["2024-01-01"],
            "received_date": ["2024-01-11"],
            "entry_date": ["2024-01-11"],
        }
    )
    sales = pd.DataFrame({"sku": ["A"], "date": ["2024-01-20"], "quantity": [1]})
    tables = read_tables({"sales": sales, "purchase_orders": orders})
    assert tables.purchase_orders["recorded_date"].isna().all()
