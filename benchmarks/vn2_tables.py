"""VN2 inventory challenge: 599 products in stores, weeks from Monday to Sunday, from its initial state to a plan.

What had to be decided beside names:

- `ds` is the Monday of a week and labels it. Only weeks up to the one of 2024-04-08 (week 0) are read; its end, and
  with it the last known day, is Sunday 2024-04-14, the day of the initial state;
- out-of-stock weeks are flags, not levels: a flagged week ends with 0 units, any other with 1, which stands for "some".
  Only the last snapshot, the initial state, counts units;
- an order placed at the end of week X can be sold from the Monday of week X + 3, 15 days later. What is in transit for
  weeks 1 and 2 was therefore ordered at the ends of weeks -2 and -1. The rules of the game fix these days: the stated
  lead time is taken as nearly certain.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from backorder_forecast import Settings, Tables, read_tables
from benchmarks._real_input import plan_and_show

LAST_DAY = "2024-04-14"
LEAD_TIME_DAYS = 15
SETTINGS = Settings(review_days=7, stated_lead_time_sd_log=0.01, unmet="lost")


def tables(data: Path, as_of: str = LAST_DAY) -> Tables:
    """Sales, stock and orders in transit at the end of week 0, which is the only day with an initial state."""
    weeks = pd.read_parquet(data / "weekly_sales.parquet")
    weeks = weeks[weeks["ds"] + pd.Timedelta(days=6) <= pd.Timestamp(as_of)]
    state = pd.read_parquet(data / "initial_state.parquet")
    products = weeks.drop_duplicates("unique_id", ignore_index=True)
    flagged = _items(weeks).assign(date=weeks["ds"] + pd.Timedelta(days=6), on_hand=weeks["in_stock"].astype(int))
    counted = _items(state).assign(date=LAST_DAY, on_hand=state["End Inventory"])
    frames = {
        "sales": _items(weeks).assign(date=weeks["ds"], quantity=weeks["y"]),
        "inventory": pd.concat([flagged[flagged["date"] < LAST_DAY], counted], ignore_index=True),
        "purchase_orders": pd.concat([_in_transit(state, week) for week in (1, 2)], ignore_index=True),
        "products": _items(products).assign(
            supplier="supply", category=products["Department"].astype(str), lead_time_days=LEAD_TIME_DAYS
        ),
    }
    return read_tables(frames, as_of=as_of)


def _in_transit(state: pd.DataFrame, week: int) -> pd.DataFrame:
    units = state[f"In Transit W+{week}"]
    usable = pd.Timestamp(LAST_DAY) + pd.Timedelta(days=7 * week - 6)
    lines = _items(state).assign(
        supplier="supply",
        order_date=usable - pd.Timedelta(days=LEAD_TIME_DAYS),
        received_date=None,
        quantity_ordered=units,
        promised_date=usable,
        po_id=f"W+{week}",
    )
    return lines[units > 0]


def _items(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"sku": rows["Product"].astype(str), "location": rows["Store"].astype(str)})


def main() -> None:
    plan_and_show("vn2", __doc__ or "", tables, (LAST_DAY,), SETTINGS)


if __name__ == "__main__":
    main()
