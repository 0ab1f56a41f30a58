"""What is ordered now or at a later review waits for holds and closures as what is on order does."""

from __future__ import annotations

from typing import Any

import pandas as pd
from test_what_if import AS_OF, delivered, event, plan_of


def test_what_is_ordered_now_waits_for_the_end_of_a_recall_as_what_is_on_order_does() -> None:
    free = plan_of(10, delivered()).reorders.iloc[0]
    held = plan_of(10, delivered(), events=event("announced recall", 4, 40, sku="A"))
    assert (held.reorders.iloc[0]["arrival_0.5"] - AS_OF).days == 41
    assert (free["arrival_0.5"] - AS_OF).days == 10
    # A hold of what is there passes deliveries; a recall that is over by then changes nothing.
    for kind, first, last in (("quality hold", 4, 40), ("announced recall", 2, 8)):
        row = plan_of(10, delivered(), events=event(kind, first, last, sku="A")).reorders.iloc[0]
        assert row["arrival_0.5"] == free["arrival_0.5"], kind
    lines = pd.DataFrame({"order_id": ["b"], "sku": "A", "order_date": AS_OF, "quantity": [20.0]})
    waits = plan_of(0, delivered(), backorders=lines, events=event("hold of incoming goods", -1, 25, sku="A"))
    assert waits.fill_dates["source"].tolist() == ["next order"]
    assert (waits.fill_dates["fill_date_0.1"] - AS_OF).dt.days.tolist() == [26]


def test_a_closure_puts_off_what_is_ordered_later_by_the_days_that_are_left_of_it() -> None:
    # Orders on the last day of every week, the next one in a week; ten days under way, so due on day 17.
    ordered = pd.date_range(end=AS_OF, periods=30, freq="7D")
    orders = delivered().iloc[:0].reindex(range(30)).assign(
        supplier="ACME", sku="A", order_date=ordered, quantity_ordered=14.0, po_id=[f"P{k}" for k in range(30)],
        received_date=ordered + pd.Timedelta(days=10),
    )  # fmt: skip
    orders.loc[orders["received_date"] > AS_OF, "received_date"] = pd.NaT
    lines = pd.DataFrame({"order_id": ["b"], "sku": "A", "order_date": AS_OF, "quantity": [500.0]})

    def days(*rows: pd.DataFrame) -> int:
        more: dict[str, Any] = {"events": pd.concat(rows, ignore_index=True)} if rows else {}
        plan = plan_of(0, orders, backorders=lines, **more)
        return int((plan.fill_dates["fill_date_0.5"].iloc[0] - AS_OF).days)

    assert days() == 17
    for first, last, later in ((1, 7, 0), (3, 9, 2), (12, 15, 4), (20, 25, 0)):
        assert days(event("closure", first, last, supplier="ACME")) == 17 + later, (first, last)


def test_the_plan_looks_as_far_ahead_as_a_hold_of_deliveries_lasts() -> None:
    held = plan_of(10, delivered(), events=event("announced recall", 4, 70, sku="A"))
    row, daily = held.reorders.iloc[0], held.items["mean_daily"].iloc[0]
    # What comes on day 71 has to last from then on; what is wanted until then waits or is lost.
    assert row["order_up_to_level"] > 70 * daily
    assert (row["arrival_0.9"] - AS_OF).days == 71
