"""Cash tied to open backorder lines: what is held, what will be paid at shipment, what may have to go back.

Per line: `held` is what was prepaid less refunded, for the share of the line that is still open; `value` is unit price
times open quantity. The balance (value - held) is paid when the line ships complete, what is held above the value goes
back then, and a customer who cancels first gets back what is held. Shipment days come from the simulated fill dates,
cancellations from the item's patience given the days already waited; payment in advance slows them (`payments.py`).
Expectations, in one currency. New orders are not part of it.

On every day, exactly: deposits + balances = goods shipped + refunds + refundable liability, each summed up to it.
Amounts are summed as whole millionths, so that no result depends on the order of the lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba as nb
import numpy as np
import pandas as pd

from backorder_forecast.payments import payment_factor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backorder_forecast.payments import Payments
    from backorder_forecast.settings import Settings

MICRO = 1_000_000
"""Parts of a money unit in which amounts are summed."""
CENT = 10_000
"""Parts in a cent."""
COLUMNS = ("date", "deposits", "balances", "refunds", "goods_shipped", "expected_cash", "refundable_liability")


@dataclass(frozen=True, eq=False)
class CashFlow:
    """Expected money of a set of lines, in millionths; buckets are added with `+`.

    Attributes
    ----------
    deposits
        Held at the end of `as_of`.
    goods, balances, refunds
        Per day 0 (`as_of`) to the horizon, shape (horizon_days + 1,).
    known_lines
        Lines with a price or a prepayment.
    """

    deposits: int
    goods: NDArray[np.int64]
    balances: NDArray[np.int64]
    refunds: NDArray[np.int64]
    known_lines: int

    def __add__(self, other: CashFlow) -> CashFlow:
        return CashFlow(
            self.deposits + other.deposits,
            self.goods + other.goods,
            self.balances + other.balances,
            self.refunds + other.refunds,
            self.known_lines + other.known_lines,
        )


def line_money(lines: pd.DataFrame, price: NDArray[np.float64]) -> pd.DataFrame:
    """What is held and owed on each open line, rounded to the cent.

    Parameters
    ----------
    lines
        Open lines (`BackorderLines.frame` or a bucket of it).
    price
        Price per unit of each item, shape (n_items,), where a line states none; NaN if unknown.

    Returns
    -------
    held, value (equal to held where no price is known), balance, excess (held above value), paid_share.
    """
    item = lines["item"].to_numpy(np.int64)
    unit = lines["unit_price"].to_numpy(np.float64)
    unit = np.where(unit > 0, unit, price[item])
    quantity, ordered = lines["quantity"].to_numpy(np.float64), lines["ordered_quantity"].to_numpy(np.float64)
    paid = np.nan_to_num(lines["prepaid_amount"].to_numpy(np.float64))
    back = np.nan_to_num(lines["refunded_amount"].to_numpy(np.float64))
    held = np.round(np.maximum(paid - back, 0.0) * quantity / ordered, 2)
    value = np.where(np.isfinite(unit), np.round(np.nan_to_num(unit) * quantity, 2), held)
    share = np.where(value > 0, np.minimum(held / np.where(value > 0, value, 1.0), 1.0), 0.0)
    balance, excess = np.maximum(value - held, 0.0), np.maximum(held - value, 0.0)
    return pd.DataFrame({"held": held, "value": value, "balance": balance, "excess": excess, "paid_share": share})


def line_cash_flow(
    lines: pd.DataFrame,
    complete_day: NDArray[np.int32],
    *,
    price: NDArray[np.float64],
    shape: NDArray[np.float64],
    rate: NDArray[np.float64],
    settings: Settings,
    payments: Payments | None = None,
) -> CashFlow:
    """Expected cash of the open lines of a bucket.

    Parameters
    ----------
    lines
        Open lines of the bucket, in the order of `complete_day`.
    complete_day
        Day each line ships complete (`fill_days`), shape (n_lines, n_paths).
    price, shape, rate
        Of all items, shape (n_items,): price per unit, and the posterior of the cancellation hazard (`fit_patience`).
    payments
        Effect of payment in advance (`payment_effect`); None: as assumed, against patience without any.
    """
    # The end of `as_of` has passed: what could ship on that day ships on the next.
    complete_day = np.maximum(complete_day, 1)
    money = line_money(lines, price)
    item = lines["item"].to_numpy(np.int64)
    paid = money["paid_share"].to_numpy(np.float64)
    slower = payment_factor(paid, settings.payment_hazard) if payments is None else payments.factor(item, paid)
    age = lines["waited_days"].to_numpy(np.float64)
    amounts = np.rint(money[["value", "balance", "excess", "held"]].to_numpy() * MICRO)
    flows = _flows(complete_day, amounts, shape[item], rate[item] / slower, age, settings.horizon_days)
    known = int(((money["value"] > 0) | (money["held"] > 0)).sum())
    return CashFlow(int(amounts[:, 3].sum()), *flows, known)


def cash_flow_frame(flow: CashFlow, *, as_of: pd.Timestamp) -> pd.DataFrame:
    """Expected cash by date, in money units rounded to the cent; empty where no line has a price or a prepayment.

    Returns
    -------
    One row per day from `as_of` to the horizon: date, deposits (all on `as_of`: what is held then), balances, refunds,
    goods_shipped (their value), expected_cash (balances - refunds of the day: money still to move, so 0 on `as_of`;
    deposits were paid before), refundable_liability (held at the end of the day against goods not yet shipped).

    Examples
    --------
    >>> zero = np.zeros(2, dtype=np.int64)
    >>> flow = CashFlow(3 * MICRO, np.array([0, 10 * MICRO]), np.array([0, 7 * MICRO]), zero, 1)
    >>> table = cash_flow_frame(flow, as_of=pd.Timestamp("2024-05-06"))
    >>> table[["deposits", "balances", "expected_cash", "refundable_liability"]].to_numpy().tolist()
    [[3.0, 0.0, 0.0, 3.0], [0.0, 7.0, 7.0, 0.0]]
    """
    days = len(flow.goods) if flow.known_lines else 0
    dates = pd.date_range(as_of, periods=days, freq="D", unit="s")
    # Cents are rounded on the running totals, so that the parts of the identity keep adding up.
    totals = [np.rint(np.cumsum(x) / CENT).astype(np.int64)[:days] for x in (flow.balances, flow.refunds, flow.goods)]
    held = np.full(days, round(flow.deposits / CENT), dtype=np.int64)
    liability = held + totals[0] - totals[1] - totals[2]
    balances, refunds, goods = (np.diff(x, prepend=0) for x in totals)
    deposits = np.diff(held, prepend=0)
    parts = (deposits, balances, refunds, goods, balances - refunds, liability)
    return pd.DataFrame({"date": dates, **{c: p / 100.0 for c, p in zip(COLUMNS[1:], parts, strict=True)}})


@nb.njit(cache=True, nogil=True)
def _flows(
    complete_day: NDArray[np.int32],
    amounts: NDArray[np.float64],
    shape: NDArray[np.float64],
    rate: NDArray[np.float64],
    age: NDArray[np.float64],
    horizon: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Goods, balances and refunds per day; a line still waiting at the start of its fill day ships."""
    goods = np.zeros(horizon + 1, np.int64)
    balances = np.zeros(horizon + 1, np.int64)
    refunds = np.zeros(horizon + 1, np.int64)
    share = np.empty(horizon + 1, np.float64)
    n_paths = complete_day.shape[1]
    for k in range(complete_day.shape[0]):
        share[:] = 0.0
        for path in range(n_paths):
            if complete_day[k, path] <= horizon:
                share[complete_day[k, path]] += 1.0
        share /= n_paths
        filled, cancelled, later, stays = 0.0, 0.0, 1.0, 1.0
        sent, paid, returned = 0, 0, 0
        for day in range(horizon + 1):
            now = np.exp(-shape[k] * np.log1p(day / (rate[k] + age[k])))
            filled += share[day] * stays
            later = max(later - share[day], 0.0)
            cancelled += later * (stays - now)
            stays = now
            total = int(np.rint(amounts[k, 0] * filled))
            goods[day] += total - sent
            sent = total
            total = int(np.rint(amounts[k, 1] * filled))
            balances[day] += total - paid
            paid = total
            total = int(np.rint(amounts[k, 2] * filled + amounts[k, 3] * cancelled))
            refunds[day] += total - returned
            returned = total
    return goods, balances, refunds
