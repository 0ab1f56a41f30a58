"""The lead-time benchmark scores what it says: by hand on small worlds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks._drug_ages import Laws, age_figures
from benchmarks._lead_sets import share_followed
from benchmarks.lead_times import drug_coverage, drug_figures, scms_figures


def test_share_followed_counts_those_seen_long_enough() -> None:
    found = share_followed(np.array([10.0, 20.0, 30.0, 40.0]), np.array([5.0, 20.0, 21.0, 41.0]))
    assert found.tolist() == [1.0, 0.75, 0.5, 0.0]


def test_suppliers_that_never_vary_are_foretold_without_loss() -> None:
    placed = pd.date_range("2009-01-01", "2010-02-28", freq="5D")
    parts = [
        pd.DataFrame({"supplier": name, "location": "x", "order_date": placed, "days": days})
        for name, days in (("quick", 5), ("slow", 50))
    ]
    orders = pd.concat(parts, ignore_index=True)
    orders["received_date"] = orders["order_date"] + pd.to_timedelta(orders["days"], "D")
    figures = scms_figures(pd.concat([orders, orders.iloc[:1].assign(supplier="new", order_date=placed[-1], days=90)]))
    # Every line but the one of a vendor never seen, which is taken for one of the others.
    lines = figures["scms_lines"]
    assert figures["scms_coverage_80"] == pytest.approx(1 - 1 / lines)
    assert figures["scms_unseen_lines"] == 1
    assert (figures["scms_unseen_low"], figures["scms_unseen_high"]) == pytest.approx((0.0, 0.975))
    # Left out, a vendor that takes 5 days is taken for one that takes 50.
    assert figures["scms_lovo_coverage_80"] < 0.05
    assert figures["scms_pinball"] < 1.5 < 2 < figures["scms_pinball_global"]
    assert figures["scms_gain_over_global_low"] > 0


def test_ends_beyond_the_register_are_weighted_and_not_left_out() -> None:
    rng = np.random.default_rng(1)
    begin = pd.Series(pd.date_range("2017-03-10", "2017-12-31", freq="7D").repeat(42))
    end = begin + pd.to_timedelta(np.ceil(rng.exponential(60.0, len(begin))), "D")
    reports = pd.DataFrame({"supplier": "x", "order_date": begin, "reported": begin, "received_date": end})
    reports["received_date"] = end.where(end <= pd.Timestamp("2017-12-31"))
    figures = drug_figures(reports)
    assert figures["drug_shortages"] == begin.between(pd.Timestamp("2017-05-01"), pd.Timestamp("2017-09-30")).sum()
    assert figures["drug_coverage_80"] == pytest.approx(0.82, abs=0.05)
    assert figures["drug_below"] == pytest.approx(0.1, abs=0.03)
    # Exponential waits have no memory: what is left is the median of a new one.
    for way in ("own_day", "origin", "month"):
        assert figures[f"drug_{way}_30_conditional"] == pytest.approx(figures[f"drug_{way}_30_today"], rel=0.05)


def test_age_tells_quick_shortages_from_slow_ones() -> None:
    rng = np.random.default_rng(3)
    begin = pd.Series(pd.date_range("2017-03-10", "2017-12-31", freq="7D").repeat(42))
    mean = np.where(rng.random(len(begin)) < 0.7, 5.0, 100.0)
    end = begin + pd.to_timedelta(np.ceil(rng.exponential(mean)), "D")
    reports = pd.DataFrame({"supplier": "x", "order_date": begin, "reported": begin, "received_date": end})
    reports["received_date"] = end.where(end <= pd.Timestamp("2017-12-31"))
    figures = age_figures(Laws(reports))
    # A month old they are slow ones, whose waits have no memory: half are over in 69 days, within the follow-up.
    alive = begin.between(pd.Timestamp("2017-05-01"), pd.Timestamp("2017-09-30")) & ((end - begin).dt.days > 30)
    left = (end - begin).dt.days[alive] - 30
    followed = (pd.Timestamp("2017-12-31") - begin[alive]).dt.days - 30
    best = (left.clip(upper=followed) - np.minimum(69.0, followed)).abs().mean()
    assert figures["drug_own_day_30_rows"] == alive.sum()
    assert best * 0.98 < figures["drug_own_day_30_conditional"] < best * 1.1
    assert figures["drug_own_day_30_conditional"] < 0.9 * figures["drug_own_day_30_day0"]
    assert figures["drug_own_day_30_less_day0_high"] < 0.0


def test_shortages_that_began_before_the_register_tell_of_later_ages_only() -> None:
    rng = np.random.default_rng(2)
    begin = pd.Series(pd.date_range("2016-01-01", "2017-12-31").repeat(3))
    end = begin + pd.to_timedelta(np.ceil(rng.exponential(60.0, len(begin))), "D")
    start = pd.Timestamp("2017-03-10")
    reports = pd.DataFrame({"supplier": "x", "order_date": begin, "reported": begin.where(begin > start, start)})
    reports["received_date"] = end.where(end <= pd.Timestamp("2017-12-31"))
    found = drug_coverage(Laws(reports[(end > start).to_numpy()].reset_index(drop=True)))
    assert found["drug_coverage_80"] == pytest.approx(0.82, abs=0.05)
    assert found["drug_below_median"] == pytest.approx(0.5, abs=0.06)
    # As if all had been reported on the day they began, the waits would look longer than they are.
    naive = reports.assign(reported=begin)[(end > start).to_numpy()].reset_index(drop=True)
    assert drug_coverage(Laws(naive))["drug_below_median"] > found["drug_below_median"] + 0.05
