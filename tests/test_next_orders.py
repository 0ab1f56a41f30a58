"""When the next order goes out: read from a supplier's order days, at most one review away."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

import backorder_forecast as bf
from backorder_forecast.next_orders import FEWEST_GAPS, next_orders

AS_OF = pd.Timestamp("2024-06-30")


def orders(days: list[int], supplier: str = "ACME") -> pd.DataFrame:
    dates = AS_OF - pd.to_timedelta(np.array(days, dtype=np.int64), unit="D")
    return pd.DataFrame({"supplier": supplier, "order_date": dates}, index=range(len(days)))


def items(*suppliers: str, review: int = 7) -> pd.DataFrame:
    return pd.DataFrame({"supplier": list(suppliers), "review_days": review})


def test_weekly_orders_go_out_on_their_weekday() -> None:
    weekly = orders([4 + 7 * k for k in range(20)])
    assert (next_orders(weekly, items("ACME"), as_of=AS_OF, seed=0).draw(0, 1, 50) == 3).all()


def test_two_rhythms_are_both_possible_and_items_of_a_supplier_share_the_day() -> None:
    days = np.cumsum([2, *[3, 9] * 12]).tolist()
    drawn = next_orders(orders(days), items("ACME", "ACME", review=14), as_of=AS_OF, seed=3).draw(0, 2, 400)
    assert set(np.unique(drawn)) == {1, 7}
    assert abs((drawn[0] == 1).mean() - 0.5) < 0.1
    np.testing.assert_array_equal(drawn[0], drawn[1])


def test_a_rare_supplier_is_ordered_from_at_the_next_review() -> None:
    rare = orders([5 + 60 * k for k in range(6)])
    assert (next_orders(rare, items("ACME", review=14), as_of=AS_OF, seed=0).draw(0, 1, 20) == 14).all()


def test_without_a_rhythm_the_order_is_the_one_recommended_now() -> None:
    few, long_ago = orders([7 * k + 1 for k in range(FEWEST_GAPS)]), orders([200 + 7 * k for k in range(10)])
    for rows in (few, long_ago, few.iloc[:0]):
        assert (next_orders(rows, items("ACME", "other"), as_of=AS_OF, seed=0).draw(0, 2, 10) == 0).all()


@given(st.lists(st.integers(-40, 300), max_size=40), st.integers(1, 30))
def test_a_wait_is_whole_days_within_a_review_whatever_the_rows(days: list[int], review: int) -> None:
    rows = orders(days)
    known = rows[rows["order_date"] <= AS_OF].sample(frac=1, random_state=1)
    drawn = next_orders(rows, items("ACME", review=review), as_of=AS_OF, seed=1).draw(0, 1, 30)
    assert ((drawn >= 0) & (drawn <= review)).all()
    # Later orders are not known, and the order of rows is nothing.
    again = next_orders(known, items("ACME", review=review), as_of=AS_OF, seed=1).draw(0, 1, 30)
    np.testing.assert_array_equal(drawn, again)


def test_a_line_that_waits_for_the_next_order_waits_for_its_day_too() -> None:
    placed = pd.date_range(AS_OF - pd.Timedelta(days=4 + 7 * 30), AS_OF, freq="7D")
    frames = {
        "sales": pd.DataFrame({"sku": "A", "date": pd.date_range("2023-01-01", AS_OF), "quantity": 2.0}),
        "inventory": pd.DataFrame({"sku": ["A"], "date": [AS_OF], "on_hand": [0.0]}),
        "purchase_orders": pd.DataFrame(
            {"po_id": [f"P{k}" for k in range(len(placed))], "supplier": "S", "sku": "A", "order_date": placed,
             "received_date": placed + pd.Timedelta(days=2), "quantity_ordered": 14, "quantity_received": 14}
        ),
        "products": pd.DataFrame({"sku": ["A"], "supplier": ["S"]}),
        "backorders": pd.DataFrame({"order_id": ["1"], "sku": "A", "order_date": [AS_OF], "quantity": [5.0]}),
    }  # fmt: skip
    plan = bf.make_plan(bf.read_tables(frames, as_of=AS_OF), bf.Settings(n_paths=100))
    # Ordered on day 3, two days under way.
    assert plan.fill_dates["fill_date_0.5"].iloc[0] == AS_OF + pd.Timedelta(days=5)
    assert plan.reorders["arrival_0.5"].iloc[0] == AS_OF + pd.Timedelta(days=2)
