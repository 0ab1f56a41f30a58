"""A made-up plan with every frame filled, as the pipeline would fill it; small, seeded, and the same at every call."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backorder_forecast.frames import FRAMES
from backorder_forecast.plots import ItemPicture
from backorder_forecast.result import Plan
from backorder_forecast.settings import Settings

AS_OF = pd.Timestamp("2024-05-06")
HORIZON, PATHS, PAST = 90, 300, 400
SUPPLIERS = ("ACME", "Borealis & Sons", "Cormorant", "Dnipro Trade")
NOTES = (
    "Cash flow leaves goodwill out: no customer contribution is set.",
    "Stock on hold could not be seen: inventory has no column on_hold; an inventory export with it would give recalls.",
)
MAPPING = (
    "What was read, as of 2024-05-06\n"
    "  sales      12 408 rows   sku <- Article, date <- Posting date (day first), quantity <- Qty\n"
    "  inventory      40 rows   sku <- Article, on_hand <- Stock\n"
    "  left out   sales: Colour <b>name</b>\n"
)


@cache
def made_up_plan(n_items: int = 40, location: str = "") -> Plan:
    world = _World(n_items, location)
    return Plan(
        frames=world.frames(),
        settings=Settings(horizon_days=HORIZON),
        as_of=AS_OF,
        freq="D",
        mapping_text=MAPPING,
        notes=NOTES,
        pictures=world.picture,
        timings={"panel": 0.5, "demand": 1.25},
    )


class _World:
    def __init__(self, n_items: int, location: str) -> None:
        rng = np.random.default_rng(7)
        self.sku = np.array([f"{k:03d}-SKU" for k in range(1, n_items + 1)])
        self.location = location
        self.rate = rng.gamma(0.8, 3.0, n_items) + 0.05
        season = 1 + 0.3 * np.sin(2 * np.pi * np.arange(PAST) / 365)
        self.past = rng.poisson(self.rate[:, None] * season * rng.gamma(3, 1 / 3, (n_items, 1))).astype(float)
        self.in_stock = np.ones((n_items, PAST))
        for k in range(0, n_items, 3):
            start = int(rng.integers(PAST - 150, PAST - 20))
            self.in_stock[k, start : start + int(rng.integers(5, 25))] = 0.0
        self.past *= self.in_stock
        self.demand = rng.poisson(
            self.rate[:, None, None] * rng.gamma(6, 1 / 6, (n_items, PATHS, 1)), (n_items, PATHS, HORIZON)
        )
        self.on_hand = np.floor(self.rate * rng.gamma(1.5, 75, n_items))
        self.on_hand[:6] = 0
        self.owed = np.where(np.arange(n_items) < 6, np.ceil(self.rate * 5), 0.0)
        self.order = np.where(np.arange(n_items) % 2 == 0, np.ceil(self.rate * 40), 0.0)
        lead = np.ceil(rng.lognormal(3.0, 0.5, (n_items, PATHS)))
        self.arrival = np.where(np.arange(n_items)[:, None] % 8 == 4, 400, lead)
        days = np.arange(1, HORIZON + 1)
        received = np.where(days >= self.arrival[:, :, None], self.order[:, None, None], 0.0)
        self.level = (self.on_hand - self.owed)[:, None, None] + received - np.cumsum(self.demand, axis=2)
        self.out = np.maximum.accumulate(self.level < 0, axis=2)
        self.p_by_day = self.out.mean(axis=1)
        self.price = np.round(rng.gamma(2, 20, n_items) + 3, 2)
        self.supplier = np.array([SUPPLIERS[k % len(SUPPLIERS)] for k in range(n_items)])

    def frames(self) -> dict[str, pd.DataFrame]:
        stockouts = self._stockouts()
        by_urgency = stockouts.index.to_numpy()
        frames = {
            "stockouts": stockouts.reset_index(drop=True),
            "causes": self._causes(stockouts),
            "fill_dates": self._fill_dates(),
            "wait_cutoffs": self._wait_cutoffs(by_urgency),
            "reorders": self._reorders(by_urgency),
            "forecasts": self._forecasts(),
            "lead_times": self._lead_times(),
            "suppliers": self._suppliers(),
            "notices": self._notices(),
            "cash_flow": self._cash_flow(),
            "excess": self._excess(),
            "backlog": self._backlog(),
            "items": pd.DataFrame(
                {
                    "sku": self.sku,
                    "location": self.location,
                    "method": "NB-SES, alpha 0.1",
                    "demand_class": np.where(self.rate > 1, "smooth", "intermittent"),
                    "confidence": np.where(self.rate > 0.3, "high", "low"),
                    "supplier": self.supplier,
                    "price": self.price,
                }
            ),
            "data_quality": _data_quality(),
        }
        return {name: frames[name] for name in FRAMES}

    def picture(self, sku: str, location: str) -> ItemPicture:
        k = int(np.flatnonzero(self.sku == sku)[0])
        ahead = pd.date_range(AS_OF + pd.Timedelta(days=1), periods=HORIZON)
        levels = (0.1, 0.25, 0.5, 0.75, 0.9)
        forecast = pd.DataFrame({"date": ahead, "mean": self.demand[k].mean(axis=0)})
        forecast = forecast.join(pd.DataFrame({q: _quantile(self.demand[k], q) for q in levels}))
        stock = pd.DataFrame({"date": ahead}).join(
            pd.DataFrame({q: _quantile(self.level[k], q) for q in (0.1, 0.5, 0.9)})
        )
        stock["p_stockout"] = self.p_by_day[k]
        history = pd.DataFrame(
            {
                "date": pd.date_range(end=AS_OF, periods=PAST),
                "demand": self.past[k],
                "in_stock": self.in_stock[k],
            }
        )
        orders = pd.DataFrame(
            {
                "po_id": ["4711"],
                "supplier": [self.supplier[k]],
                "quantity": [self.order[k]],
                "promised_date": [AS_OF + pd.Timedelta(days=9)],
                "arrival_0.1": _dates([np.quantile(self.arrival[k], 0.1)]),
                "arrival_0.5": _dates([np.quantile(self.arrival[k], 0.5)]),
                "arrival_0.9": _dates([np.quantile(self.arrival[k], 0.9)]),
            }
        )
        lines = self._fill_dates().query("sku == @sku")
        row: dict[Any, Any] = self._stockouts().loc[k].to_dict()
        return ItemPicture(
            sku=sku, location=location, title=f"{sku}  ·  {row['flag']}  ·  {row['cause']}", as_of=AS_OF,
            history=history, forecast=forecast, stock=stock, open_orders=orders[orders["quantity"] > 0],
            backorders=lines[["order_id", "quantity", "order_date", "promise_date", "fill_date_0.5"]],
            order_by_date=row["order_by_date"], stockout_date=row["stockout_date_0.5"],
            on_hand=float(self.on_hand[k]), backordered=float(self.owed[k]),
        )  # fmt: skip

    def _causes(self, stockouts: pd.DataFrame) -> pd.DataFrame:
        """Two players that explain all of the risk of each item at risk."""
        risky = stockouts.loc[stockouts["flag"] != "ok", ["sku", "location", "p_stockout"]]
        both = risky.loc[risky.index.repeat(2)].reset_index(drop=True)
        share = np.tile([0.7, 0.3], len(risky))
        return both[["sku", "location"]].assign(
            player=np.tile(["late order", "demand surge"], len(risky)), contribution=both["p_stockout"] * share,
            standard_error=0.01, reference="as usual", order=np.tile(["4711", ""], len(risky)),
            risk=both["p_stockout"], baseline=0.0, cause_text="PO 4711 is 3 days late",
        )  # fmt: skip

    @cache  # noqa: B019
    def _stockouts(self) -> pd.DataFrame:
        p = self.p_by_day
        first = np.where(self.out.any(axis=2), self.out.argmax(axis=2) + 1.0, np.inf)
        p_end = p[:, -1]
        flag = np.select([p[:, 29] >= 0.5, p[:, 29] >= 0.2, p_end >= 0.05], ["critical", "warning", "watch"], "ok")
        short = np.maximum(-self.level[:, :, -1], 0).mean(axis=1)
        calm = flag == "ok"
        order_by = np.quantile(first, 0.05, axis=1, method="inverted_cdf") - 14
        frame = pd.DataFrame(
            {
                "sku": self.sku,
                "location": self.location,
                "on_hand": self.on_hand,
                "on_order": self.order,
                "backordered": self.owed,
                "days_of_cover": self.on_hand / self.rate,
                "p_stockout": p_end,
                "p_stockout_7": p[:, 6],
                "p_stockout_14": p[:, 13],
                "p_stockout_30": p[:, 29],
                **{
                    f"stockout_date_{q}": _dates(np.quantile(first, q, axis=1, method="inverted_cdf"))
                    for q in (0.1, 0.5, 0.9)
                },
                "expected_short_units": short,
                "revenue_at_risk": short * self.price,
                "order_by_date": _dates(np.where(order_by >= 0, order_by, np.inf)),
                "p_zero": np.minimum(p_end * 1.03, 1.0),
                "already_out": self.owed > 0,
                "avoidable": order_by >= 0,
                "flag": flag,
                "cause": np.where(calm, "", np.where(self.order > 0, "late order", "demand surge")),
                "cause_share": np.where(calm, np.nan, 0.62),
                "confidence": np.where(self.rate > 0.3, "high", "low"),
                "confidence_reason": np.where(self.rate > 0.3, "400 days of sales", "fewer than 4 sales"),
            }
        )
        rank = pd.Series(flag).map({"critical": 0, "warning": 1, "watch": 2, "ok": 3})
        return (
            frame.assign(rank=rank)
            .sort_values(["rank", "revenue_at_risk"], ascending=[True, False])
            .drop(columns="rank")
        )

    @cache  # noqa: B019
    def _fill_dates(self) -> pd.DataFrame:
        rows = []
        for k in np.flatnonzero(self.owed > 0):
            for j in range(2):
                wait = float(np.median(self.arrival[k])) + 3 * j
                seen = wait < HORIZON
                quantiles = {f"fill_date_{q}": _dates([wait * f if seen else np.inf])[0] for q, f in
                             ((0.1, 0.5), (0.5, 1.0), (0.8, 1.3), (0.9, 1.5), (0.95, 1.8))}  # fmt: skip
                rows.append(
                    {
                        "order_id": f"SO-{1000 + 2 * k + j}", "sku": self.sku[k], "location": self.location,
                        "customer_id": f"C{(7 * k + j) % 23:03d}", "quantity": max(1.0, np.ceil(self.owed[k] / 2)),
                        "order_date": AS_OF - pd.Timedelta(days=int(6 + 4 * k)),
                        "status": "promised" if j else "created",
                        "first_date_0.5": _dates([wait - 1 if seen else np.inf])[0], **quantiles,
                        "promise_date": _dates([np.ceil(wait * 1.5) if seen else np.inf])[0],
                        "p_by_promised": 0.35 if j else np.nan, "p_unfilled": 0.04 if seen else 0.97,
                        "waited_days": 6.0 + 4 * k, "p_at_promise": 0.92 if seen else np.nan,
                        "source": f"PO 4711 ({self.supplier[k]})" if self.order[k] else "next order",
                    }
                )  # fmt: skip
        return pd.DataFrame(rows)

    def _wait_cutoffs(self, order: NDArray[np.int64]) -> pd.DataFrame:
        cutoff = 10 + 40 * (np.arange(len(self.sku)) % 5) / 4
        wait = np.where(self.order > 0, 18.0, 34.0)
        decision = np.where(
            wait < cutoff, "accept", np.where(self.order > 0, "accept against a confirmed order", "do not backorder")
        )
        frame = pd.DataFrame(
            {
                "sku": self.sku,
                "location": self.location,
                "wait_cutoff_days": cutoff,
                "wait_cutoff_days_low": 0.7 * cutoff,
                "wait_cutoff_days_high": 1.4 * cutoff,
                "expected_wait_days": wait,
                "basis": np.where(np.arange(len(self.sku)) % 3 == 0, "category", "prior"),
                "max_open_quantity": np.floor(self.order * 0.6),
                "p_wait_within_cutoff": np.clip(cutoff / wait / 2, 0, 1),
                "value_accept": self.price * 0.2,
                "value_refuse": self.price * 0.1 - 3,
                "revenue_kept": self.price * 3,
                "decision": decision,
                "reason": np.where(
                    wait < cutoff, "the wait is shorter than customers accept", "customers leave before stock arrives"
                ),
                "payment_terms": "deposit",
                "substitute_sku": "",
            }
        )
        return frame.iloc[order].reset_index(drop=True)

    def _reorders(self, order: NDArray[np.int64]) -> pd.DataFrame:
        quantity = np.ceil(np.maximum(self.rate * 45 - self.on_hand - self.order, 0) / 6) * 6
        frame = pd.DataFrame(
            {
                "sku": self.sku,
                "location": self.location,
                "supplier": self.supplier,
                "order_quantity": quantity,
                "order_by_date": AS_OF,
                "reorder_point": np.ceil(self.rate * 30),
                "order_up_to_level": np.ceil(self.rate * 45),
                "safety_stock": np.ceil(self.rate * 9),
                "arrival_0.5": AS_OF + pd.Timedelta(days=20),
                "arrival_0.9": AS_OF + pd.Timedelta(days=38),
                "cost": quantity * self.price * 0.6,
                "reason": "95 % of the time no customer waits until the next order arrives (pack of 6)",
                "urgency": np.where(self.on_hand == 0, "today", "this week"),
            }
        )
        return frame.iloc[order].query("order_quantity > 0").reset_index(drop=True)

    def _forecasts(self) -> pd.DataFrame:
        n, days = len(self.sku), pd.date_range(AS_OF + pd.Timedelta(days=1), periods=HORIZON)
        frame = pd.DataFrame(
            {
                "sku": np.repeat(self.sku, HORIZON),
                "location": self.location,
                "date": np.tile(days.to_numpy(), n),
                "mean": self.demand.mean(axis=1).ravel(),
            }
        )
        values = {q: np.quantile(self.demand, q, axis=1, method="inverted_cdf").ravel() for q in (0.1, 0.5, 0.9)}
        return frame.join(pd.DataFrame(values))

    def _suppliers(self) -> pd.DataFrame:
        n = np.array([120, 64, 31, 5])
        return pd.DataFrame(
            {
                "supplier": SUPPLIERS, "n_lines": n + 6, "n_received": n, "n_open": [6, 5, 4, 6],
                "n_late": [12, 30, 2, 3],
                "on_time_share": [0.9, 0.53, 0.94, 0.4], "lead_time_days_0.1": [8.0, 14.0, 5.0, 20.0],
                "lead_time_days_0.5": [14.0, 25.0, 8.0, 44.0], "lead_time_days_0.9": [22.0, 61.0, 12.0, 120.0],
                "mean_late_days": [2.1, 11.4, 0.5, 19.0], "fill_share": [0.99, 0.93, 1.0, 0.8],
                "trend": ["steady", "slower", "steady", "unknown"], "disruption_probability": np.nan,
                "n_cancelled": [0, 1, 0, 2], "p_never_arrives": [0.0, 0.015, 0.0, 0.2],
                "slower": [False, True, False, False], "n_judged": n + 2, "n_late_now": [1, 3, 0, 2],
                "quantity_received": n * 25.0,
            }
        )  # fmt: skip

    def _lead_times(self) -> pd.DataFrame:
        per = self._suppliers().assign(sku="", location="", level="supplier", basis="own history").assign(
            category="", check_n=[60, 30, 12, 0], check_coverage_80=[0.82, 0.78, 0.83, np.nan],
            check_pinball=[1.9, 6.2, 1.1, np.nan], days_from="order", pool_k=10.0, half_life_days=730.0,
        )  # fmt: skip
        item = per.iloc[[0, 1]].assign(sku=self.sku[:2], level="item", basis="own history and the supplier's")
        return pd.concat([per, item], ignore_index=True)[list(FRAMES["lead_times"])]

    def _notices(self) -> pd.DataFrame:
        lines = self._fill_dates()
        late = lines["p_by_promised"].notna()
        return pd.DataFrame(
            {
                "order_id": lines["order_id"],
                "sku": lines["sku"],
                "location": self.location,
                "customer_id": lines["customer_id"],
                "kind": np.where(late, "delay", "new_estimate"),
                "reason": np.where(late, "the date named before will probably not be kept", "no date was named so far"),
                "old_date": np.where(late, np.datetime64(AS_OF + pd.Timedelta(days=5), "s"), np.datetime64("NaT", "s")),
                "new_date": lines["promise_date"],
                "offer": "",
                "deadline": AS_OF + pd.Timedelta(days=7),
                "policy_text": "",
                "jurisdiction": "US",
                "text": "Dear customer, your order is delayed.",
            }
        )

    def _cash_flow(self) -> pd.DataFrame:
        days = pd.date_range(AS_OF, periods=30)
        deposits = np.linspace(0, 30, 30).round(2)
        return pd.DataFrame(
            {
                "date": days, "deposits": deposits, "balances": 3 * deposits, "refunds": 0.1 * deposits,
                "expected_cash": 3.9 * deposits, "refundable_liability": 900 - 20 * deposits,
            }
        )  # fmt: skip

    def _excess(self) -> pd.DataFrame:
        units = np.floor(np.maximum(self.on_hand - 120 * self.rate, 0))
        frame = pd.DataFrame(
            {
                "sku": self.sku, "location": self.location, "excess_units": units,
                "excess_value": units * self.price * 0.6,
                "p_unsold": 0.97, "weeks_of_cover": self.on_hand / self.rate / 7,
            }
        )  # fmt: skip
        return frame.query("excess_units > 0").reset_index(drop=True)

    def _backlog(self) -> pd.DataFrame:
        weeks = pd.date_range(end=AS_OF, periods=26, freq="W-MON")
        lines = np.round(12 + 5 * np.sin(np.arange(26) / 4)).astype(int)
        return pd.DataFrame(
            {
                "date": weeks, "sku": "", "location": "", "open_lines": lines, "open_units": lines * 3.0,
                "median_age_days": 9.0 + np.arange(26) / 5, "backorder_rate": 0.04, "growth_vs_forecast": 0.1,
            }
        )  # fmt: skip


def _quantile(values: NDArray[Any], level: float) -> NDArray[np.float64]:
    return np.asarray(np.quantile(values, level, axis=0, method="inverted_cdf"), dtype=np.float64)


def _dates(days: Any) -> pd.DatetimeIndex:
    numbers = np.asarray(days, dtype=np.float64)
    known = numbers <= HORIZON
    dates = np.datetime64(AS_OF, "s") + np.where(known, numbers, 0).astype("timedelta64[D]").astype("timedelta64[s]")
    return pd.DatetimeIndex(np.where(known, dates, np.datetime64("NaT", "s")))


def _data_quality() -> pd.DataFrame:
    rows = [
        ("sales", "all rows", 12408, 12380, 20, 8, "", ""),
        (
            "sales",
            "returns netted",
            20,
            0,
            20,
            0,
            "row 17, row 450",
            "20 returned units are taken off the sales they undo",
        ),
        ("sales", "date after as_of", 8, 0, 0, 8, "row 12401", "not known at that time"),
        ("inventory", "all rows", 40, 40, 0, 0, "", ""),
        ("events", "all rows", 0, 0, 0, 0, "", "no table: promotions cannot be told from demand; give events.csv"),
    ]
    return pd.DataFrame(rows, columns=list(FRAMES["data_quality"]))
