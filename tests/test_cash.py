from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backorder_forecast.cash import CENT, COLUMNS, MICRO, CashFlow, cash_flow_frame, line_cash_flow, line_money
from backorder_forecast.clock import NEVER
from backorder_forecast.settings import Settings

AS_OF = pd.Timestamp("2024-05-05")
OPTIONS = Settings(horizon_days=30)
PATIENT = (np.array([1e-9]), np.array([1.0]))
"""Nobody cancels."""


def make_lines(*rows: dict[str, Any]) -> pd.DataFrame:
    base = {
        "item": 0, "quantity": 2.0, "ordered_quantity": 2.0, "unit_price": 10.0, "prepaid_amount": 0.0,
        "refunded_amount": np.nan, "waited_days": 5,
    }  # fmt: skip
    return pd.DataFrame([{**base, **row} for row in rows], columns=list(base))


def flow_of(lines: pd.DataFrame, days: Any, law: Any = PATIENT, price: float = np.nan) -> CashFlow:
    complete: NDArray[np.int32] = np.asarray(days, dtype=np.int32)
    n = int(lines["item"].max()) + 1 if len(lines) else 1
    shape, rate = (np.broadcast_to(x, n) for x in law)
    return line_cash_flow(lines, complete, price=np.full(n, price), shape=shape, rate=rate, settings=OPTIONS)


def identity_gap(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Cents by which money in and its uses differ on each day."""
    cents = (frame[list(COLUMNS[1:])] * 100).round().astype(np.int64).cumsum()
    liability = (frame["refundable_liability"] * 100).round().astype(np.int64)
    gap = cents["deposits"] + cents["balances"] - cents["goods_shipped"] - cents["refunds"] - liability
    return gap.to_numpy(np.float64)


def test_a_certain_shipment() -> None:
    flow = flow_of(make_lines({"prepaid_amount": 6.0}), [[7]])
    frame = cash_flow_frame(flow, as_of=AS_OF).set_index("date")
    assert frame["deposits"].iloc[0] == 6.0
    assert frame.loc[AS_OF + pd.Timedelta(days=7), "balances"] == 14.0
    assert frame["goods_shipped"].sum() == 20.0
    # What is held was paid before: only the balance is still to come.
    assert frame["expected_cash"].iloc[0] == 0.0
    assert frame["expected_cash"].sum() == 14.0
    assert frame["refundable_liability"].tolist() == [6.0] * 7 + [0.0] * 24
    assert len(frame) == 31


def test_a_cancellation_gives_the_deposit_back() -> None:
    lines = make_lines({"prepaid_amount": 6.0, "waited_days": 0})
    # Half the customers are gone after 30 days: (rate / (rate + 30)) ^ 1 with rate 30, slowed to 0.7 by the deposit.
    frame = cash_flow_frame(flow_of(lines, [[NEVER]], (np.array([1.0]), np.array([30.0]))), as_of=AS_OF)
    stays = (30 / 0.7) / (30 / 0.7 + 30)
    assert frame["refundable_liability"].iloc[-1] == pytest.approx(6 * stays, abs=0.005)
    assert frame["refunds"].sum() == pytest.approx(6 * (1 - stays), abs=0.005)
    assert frame["balances"].sum() == 0.0
    waited = cash_flow_frame(
        flow_of(lines.assign(waited_days=300), [[NEVER]], (np.array([1.0]), np.array([30.0]))), as_of=AS_OF
    )
    assert waited["refunds"].sum() < frame["refunds"].sum()


def test_money_of_a_line() -> None:
    lines = make_lines(
        {"prepaid_amount": 8.0, "quantity": 1.0},  # half is shipped: half of the deposit belongs to what is open
        {"prepaid_amount": 25.0},  # above the price
        {"prepaid_amount": 8.0, "refunded_amount": 3.0},
        {"unit_price": np.nan, "prepaid_amount": 4.0},
    )
    money = line_money(lines, np.array([np.nan]))
    assert money["held"].tolist() == [4.0, 25.0, 5.0, 4.0]
    assert money["value"].tolist() == [10.0, 20.0, 20.0, 4.0]
    assert money["balance"].tolist() == [6.0, 0.0, 15.0, 0.0]
    assert money["excess"].tolist() == [0.0, 5.0, 0.0, 0.0]
    assert line_money(lines, np.array([7.0]))["value"].tolist()[3] == 14.0


def test_overpayment_is_refunded_at_shipment() -> None:
    frame = cash_flow_frame(flow_of(make_lines({"prepaid_amount": 25.0}), [[3]]), as_of=AS_OF)
    assert frame["refunds"].iloc[3] == 5.0
    assert frame["expected_cash"].sum() == -5.0


def test_nothing_moves_on_the_day_that_is_over() -> None:
    frame = cash_flow_frame(flow_of(make_lines({"prepaid_amount": 6.0}), [[0]]), as_of=AS_OF)
    first = frame.iloc[0]
    assert (first["deposits"], first["expected_cash"], first["goods_shipped"]) == (6.0, 0.0, 0.0)
    assert first["refundable_liability"] == 6.0
    assert frame["expected_cash"].iloc[1] == 14.0


def test_without_prices_and_prepayments_the_frame_is_empty() -> None:
    lines = make_lines({"unit_price": np.nan, "prepaid_amount": np.nan})
    for flow in (flow_of(lines, [[3]]), flow_of(lines.iloc[:0], np.zeros((0, 1)))):
        frame = cash_flow_frame(flow, as_of=AS_OF)
        assert frame.empty
        assert tuple(frame.columns) == COLUMNS


rows = st.lists(
    st.fixed_dictionaries(
        {
            "item": st.integers(0, 2),
            "quantity": st.integers(1, 5).map(float),
            "unit_price": st.one_of(st.just(np.nan), st.floats(0.01, 99)),
            "prepaid_amount": st.one_of(st.just(np.nan), st.floats(0, 200)),
            "refunded_amount": st.floats(0, 20),
            "waited_days": st.integers(0, 50),
        }
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=120, deadline=None)
@given(rows, st.integers(0, 10_000))
def test_cash_identity_holds_to_the_cent_every_day(given_rows: list[dict[str, Any]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    lines = make_lines(*[{**r, "ordered_quantity": r["quantity"] + 1.0} for r in given_rows])
    days = rng.integers(0, 45, (len(lines), 20)).astype(np.int32)
    days[rng.random(days.shape) < 0.1] = NEVER
    law = (np.array([2.0, 3.0, 0.5]), np.array([40.0, 90.0, 5.0]))
    n_items = int(lines["item"].max()) + 1
    shape, rate = law[0][:n_items], law[1][:n_items]
    flow = line_cash_flow(lines, days, price=np.full(n_items, 3.0), shape=shape, rate=rate, settings=OPTIONS)
    frame = cash_flow_frame(flow, as_of=AS_OF)
    assert (identity_gap(frame) == 0).all()
    assert frame["expected_cash"].iloc[0] == 0.0
    days = np.maximum(days, 1)
    money = line_money(lines, np.full(n_items, 3.0))
    assert round(frame["deposits"].sum() * 100) == round(money["held"].sum() * 100)
    assert (frame[["balances", "refunds", "goods_shipped"]] >= 0).all(axis=None)
    # The liability is what is held on lines neither shipped nor cancelled, computed the other way round.
    held, share = money["held"].to_numpy(), money["paid_share"].to_numpy()
    factor = np.select([share >= 1, share > 0], [0.5, 0.7], 1.0)
    item = lines["item"].to_numpy()
    slow, age = rate[item] / factor, lines["waited_days"].to_numpy()
    for day in (0, 7, 30):
        still = (days > day).mean(axis=1) * ((slow + age) / (slow + age + day)) ** shape[item]
        assert frame["refundable_liability"].iloc[day] == pytest.approx(
            (held * still).sum(), abs=0.02 + 1e-5 * len(lines)
        )


@settings(max_examples=40, deadline=None)
@given(rows, st.randoms())
def test_order_and_buckets_of_lines_change_nothing(given_rows: list[dict[str, Any]], random: Any) -> None:
    lines = make_lines(*[{**r, "ordered_quantity": r["quantity"]} for r in given_rows]).assign(item=0)
    days = np.array([[random.randint(0, 40) for _ in range(7)] for _ in range(len(lines))], dtype=np.int32)
    law = (np.array([2.0]), np.array([40.0]))
    whole = flow_of(lines, days, law)
    order = list(range(len(lines)))
    random.shuffle(order)
    cut = len(order) // 2
    parts = flow_of(lines.iloc[order[:cut]], days[order[:cut]], law) if cut else flow_of(lines.iloc[:0], days[:0], law)
    total = parts + flow_of(lines.iloc[order[cut:]], days[order[cut:]], law)
    pd.testing.assert_frame_equal(cash_flow_frame(whole, as_of=AS_OF), cash_flow_frame(total, as_of=AS_OF))
    assert (total.deposits, total.known_lines) == (whole.deposits, whole.known_lines)
    assert MICRO == 100 * CENT
