"""The allocation rules side by side on the same lines and dated supply: who gets what when.

Rules as in `allocation_rules.py`; here supply comes on dates, and a line is filled when the cumulative supply of its
item reaches its need (`queues.py`). Under fair share a line that takes all or nothing saves up its share until the last
supply of its item; what cannot complete it then is poured again over the others. Whole quantities are shared unit by
unit. Quantities are units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numba as nb
import numpy as np
import pandas as pd

from backorder_forecast.errors import InvalidSettings, InvalidTables
from backorder_forecast.queues import TOLERANCE, cumulative_by_item, fair_filled, positive_weights, queue_needs
from backorder_forecast.settings import ALLOCATIONS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def compare_allocations(
    lines: pd.DataFrame,
    supply: pd.DataFrame,
    *,
    rules: Sequence[str] = ALLOCATIONS,
    weights: ArrayLike | None = None,
    key_customers: Sequence[str] = (),
    reserve: float = 0.0,
    customer_cap: float | None = None,
) -> pd.DataFrame:
    """The same lines and dated supply under each rule, side by side.

    Parameters
    ----------
    lines
        sku, order_id, order_date, quantity; optionally location, customer_id, priority, complete_only. Text that is
        missing is blank; a blank customer is unknown, and each of its lines counts as a customer of its own.
    supply
        sku, date, quantity (not negative); optionally location. Stock on hand is supply dated today.
    weights
        Weights of fair share, shape (n_lines,).
    key_customers, reserve
        Customers for whom the first `reserve` units of each item are kept, whether they want them or not; they get
        them by the rule.
    customer_cap
        Most units of an item that one customer gets, oldest lines first.

    Returns
    -------
    One row per rule and line: rule, order_id, sku, location, customer_id, quantity, filled_quantity (by the end of
    the supply), first_date, fill_date (NaT where the supply does not reach the line), wait_days, note (what the rule
    would need and was not given: priority without priorities is first come, fair_share without weights has equal ones).

    Raises
    ------
    InvalidTables
        Where columns are missing, or rows lack an sku, a date or a quantity; all problems at once.
    InvalidSettings
        For an unknown rule, or a reserve or cap that is no number of units.

    Examples
    --------
    >>> lines = pd.DataFrame({"sku": "A", "order_id": ["a", "b"], "quantity": [4.0, 3.0], "priority": [2, 1],
    ...                       "order_date": pd.to_datetime(["2024-01-01", "2024-01-02"])})
    >>> supply = pd.DataFrame({"sku": "A", "date": pd.to_datetime(["2024-01-05", "2024-01-09"]), "quantity": [4, 2]})
    >>> table = compare_allocations(lines, supply, rules=["fifo", "priority"])
    >>> table[["rule", "order_id", "filled_quantity", "wait_days"]].to_dict("split")["data"]
    [['fifo', 'a', 4.0, 4.0], ['fifo', 'b', 2.0, nan], ['priority', 'a', 3.0, nan], ['priority', 'b', 3.0, 3.0]]
    """
    queue = _Queue(lines, supply, weights, key_customers, reserve, customer_cap)
    given = queue.lines
    parts = []
    for rule in rules:
        first, complete = queue.needs(rule)
        first_row, last_row = (
            _first_reaching(need, queue.item, queue.pointers, queue.running) for need in (first, complete)
        )
        filled = queue.filled(rule, queue.total)
        part = given[["order_id", "sku", "location", "customer_id", "quantity"]].assign(filled_quantity=filled)
        part.insert(0, "rule", rule)
        part["first_date"], part["fill_date"] = queue.dates[first_row], queue.dates[last_row]
        part["wait_days"] = (part["fill_date"] - given["order_date"]).dt.days.clip(lower=0)
        part["note"] = _not_given(rule, lines, weights)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def allocation_by_date(
    lines: pd.DataFrame,
    supply: pd.DataFrame,
    *,
    rules: Sequence[str] = ALLOCATIONS,
    weights: ArrayLike | None = None,
    key_customers: Sequence[str] = (),
    reserve: float = 0.0,
    customer_cap: float | None = None,
) -> pd.DataFrame:
    """What each rule has given out by each date of the supply; parameters as `compare_allocations`.

    Returns
    -------
    rule, date, units_supplied, units_filled, lines_filled, customers_served (with a unit at least), each up to and
    including the date.

    Examples
    --------
    >>> lines = pd.DataFrame({"sku": "A", "order_id": ["a", "b"], "quantity": [4.0, 3.0], "customer_id": ["x", "y"],
    ...                       "order_date": pd.to_datetime(["2024-01-01", "2024-01-02"])})
    >>> supply = pd.DataFrame({"sku": "A", "date": pd.to_datetime(["2024-01-05", "2024-01-09"]), "quantity": [4, 2]})
    >>> table = allocation_by_date(lines, supply, rules=["fifo", "fair_share"])
    >>> table.drop(columns="date").to_dict("split")["data"]  # doctest: +NORMALIZE_WHITESPACE
    [['fifo', 4.0, 4.0, 1, 1], ['fifo', 6.0, 6.0, 1, 2], ['fair_share', 4.0, 4.0, 0, 2], ['fair_share', 6.0, 6.0, 1, 2]]
    """
    queue = _Queue(lines, supply, weights, key_customers, reserve, customer_cap)
    quantity, records = queue.lines["quantity"].to_numpy(np.float64), []
    for rule in rules:
        for date in np.unique(queue.dates[:-1]):
            total = queue.total_by(date)
            filled = queue.filled(rule, total)
            done = int((filled >= quantity * (1 - TOLERANCE)).sum())
            served = _customers(queue.lines.loc[filled > TOLERANCE, "customer_id"]).nunique()
            records.append((rule, pd.Timestamp(date), queue.supplied(date), float(filled.sum()), done, served))
    names = ["rule", "date", "units_supplied", "units_filled", "lines_filled", "customers_served"]
    return pd.DataFrame(records, columns=names).astype({"date": "datetime64[s]"})


def allocation_summary(comparison: pd.DataFrame) -> pd.DataFrame:
    """One row per rule of `compare_allocations`: what it does to the shop and to the customers.

    Returns
    -------
    rule, units_filled, lines_filled, lines_unfilled, mean_wait_days, worst_wait_days, concentration (sum of squared
    shares of the filled units by customer: 1 is one customer, 1/n is n equal ones; a line without a customer is one of
    its own), note.
    """
    records = []
    for rule, part in comparison.groupby("rule", sort=False):
        done = part["fill_date"].notna()
        customer = _customers(part["customer_id"]).to_numpy()
        by_customer = part.groupby(customer)["filled_quantity"].sum().to_numpy()
        units = float(by_customer.sum())
        share = by_customer / units if units > 0 else by_customer
        waits = part.loc[done, "wait_days"]
        records.append(
            (
                rule,
                units,
                int(done.sum()),
                int((~done).sum()),
                waits.mean(),
                waits.max(),
                (share**2).sum(),
                part["note"].iloc[0],
            )
        )
    columns = ["rule", "units_filled", "lines_filled", "lines_unfilled", "mean_wait_days", "worst_wait_days"]
    return pd.DataFrame(records, columns=[*columns, "concentration", "note"])


def _not_given(rule: str, lines: pd.DataFrame, weights: ArrayLike | None) -> str:
    """What a rule was not given and what is done instead."""
    if rule == "priority" and ("priority" not in lines or lines["priority"].isna().all()):
        return "lines have no priority: served as first come; give a column priority (1 before 2)"
    if rule == "fair_share" and weights is None:
        return "no weights: every line weighs the same; give weights=, such as queues.purchase_weights(lines, sales)"
    return ""


class _Queue:
    """Lines in queue order and the dated supply of their items, of `compare_allocations`."""

    def __init__(
        self,
        lines: pd.DataFrame,
        supply: pd.DataFrame,
        weights: ArrayLike | None,
        key_customers: Sequence[str],
        reserve: float,
        customer_cap: float | None,
    ) -> None:
        given, supply = _checked(lines, supply)
        given["weight"] = positive_weights(weights, len(given))
        given["complete_only"] = given["complete_only"].eq(True) if "complete_only" in given else False
        given["item"] = given.groupby(["sku", "location"], sort=True).ngroup()
        self.lines = given.sort_values(["item", "order_date", "order_id"], kind="stable", ignore_index=True)
        self.item = self.lines["item"].to_numpy(np.int64)
        self.key = self.lines["customer_id"].isin([str(c) for c in key_customers]).to_numpy(bool)
        if not 0.0 <= reserve < np.inf:
            raise InvalidSettings(f"reserve is a number of units, not negative, got {reserve!r}")
        self.reserve = float(reserve)
        self.allowed = _capped(self.lines, customer_cap)
        codes = self.lines[["sku", "location", "item"]].drop_duplicates()
        place = supply.merge(codes, on=["sku", "location"]).sort_values(["item", "date", "quantity"], kind="stable")
        counts = np.bincount(place["item"], minlength=len(codes))
        self.pointers = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self.running = cumulative_by_item(self.pointers, place["quantity"].to_numpy(np.float64))
        self.dates = np.append(place["date"].to_numpy("datetime64[s]"), np.datetime64("NaT", "s"))
        self._place = place
        # Needs by rule and part, asked for on every date.
        self._known: dict[tuple[str, str], tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    @property
    def total(self) -> NDArray[np.float64]:
        """All supply of each line's item."""
        return self.total_by(np.datetime64("9999-01-01"))

    def total_by(self, date: np.datetime64) -> NDArray[np.float64]:
        """Supply of each line's item up to and including a date."""
        came = self._place[(self._place["date"] <= date).to_numpy()]
        per_item = np.bincount(came["item"], came["quantity"], minlength=len(self.pointers) - 1)
        return np.asarray(per_item[self.item], dtype=np.float64)

    def supplied(self, date: np.datetime64) -> float:
        """Supply of all items up to and including a date."""
        return float(self._place.loc[(self._place["date"] <= date).to_numpy(), "quantity"].sum())

    def needs(self, rule: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Cumulative supply at which each line's first and last unit are served; infinite where it never is."""
        first, complete = self._saving_needs(rule)
        if rule != "fair_share":
            return first, complete
        # What is poured again at the end comes with the last supply.
        end = self.total
        filled = self.filled(rule, end)
        first = np.where(
            (filled > 0) & (filled >= np.minimum(self.allowed, 1.0) - TOLERANCE), np.minimum(first, end), first
        )
        done = filled >= self.lines["quantity"].to_numpy(np.float64) * (1 - TOLERANCE)
        return first, np.where(done, np.minimum(complete, end), complete)

    def filled(self, rule: str, total: NDArray[np.float64]) -> NDArray[np.float64]:
        """Units of each line once its item's supply (one entry per line) is given out."""
        _, key_complete = self._key_needs(rule)
        held = self._given(rule, self._key_wants, key_complete, np.minimum(total, self.reserve))
        rest, left = self.allowed - self.reserve_part(rule), np.maximum(total - self.reserve, 0.0)
        _, complete = self._rest(rule)
        share = self._given(rule, rest, complete - self.reserve, left)
        _, need = self._saving_needs(rule)
        whole = self.lines["complete_only"].to_numpy(bool)
        short = whole & (total + TOLERANCE * np.maximum(1.0, total) < need)
        last = total >= self.total * (1 - TOLERANCE)
        if rule == "fair_share" and (short & last).any():
            share = self._poured_again(rest, left, share, last)
            short = np.where(last, whole & (held + share < self.allowed * (1 - TOLERANCE)), short)
        return np.where(short, 0.0, held + np.where(rest > 0, share, 0.0))

    def reserve_part(self, rule: str) -> NDArray[np.float64]:
        """Units of each line that come from the reserve, given to key lines by the rule."""
        _, complete = self._key_needs(rule)
        return self._given(rule, self._key_wants, complete, np.full(len(self.item), self.reserve))

    @property
    def _key_wants(self) -> NDArray[np.float64]:
        return np.where(self.key, self.allowed, 0.0)

    def _key_needs(self, rule: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Needs of the key lines if there were no others."""
        if (rule, "key") not in self._known:
            wants = self.lines.assign(quantity=self._key_wants)
            self._known[rule, "key"] = queue_needs(wants, rule=rule, weights=wants["weight"])
        return self._known[rule, "key"]

    def _rest(self, rule: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Needs of what the reserve leaves open: all of the reserve comes before."""
        if (rule, "rest") not in self._known:
            rest = self.lines.assign(quantity=self.allowed - self.reserve_part(rule))
            first, complete = queue_needs(rest, rule=rule, weights=rest["weight"])
            self._known[rule, "rest"] = first + self.reserve, complete + self.reserve
        return self._known[rule, "rest"]

    def _saving_needs(self, rule: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Needs while every line that takes all or nothing still saves up its share."""
        (key_first, key_complete), (first, complete) = self._key_needs(rule), self._rest(rule)
        own = self.reserve_part(rule)
        first = np.where((own > 0) & (own >= np.minimum(self.allowed, 1.0) - TOLERANCE), key_first, first)
        complete = np.where((own > 0) & (self.allowed - own <= TOLERANCE), key_complete, complete)
        first = np.where(self.lines["complete_only"].to_numpy(bool), complete, first)
        short = self.allowed < self.lines["quantity"].to_numpy(np.float64) * (1 - TOLERANCE)
        return np.where(self.allowed > 0, first, np.inf), np.where(short, np.inf, complete)

    def _given(
        self, rule: str, wants: NDArray[np.float64], complete: NDArray[np.float64], supply: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Units of each line of a supply (one entry per line), given the supply that completes it."""
        if rule == "fair_share":
            return np.asarray(fair_filled(_starts(self.item), wants, self.lines["weight"].to_numpy(np.float64), supply))
        return np.asarray(np.clip(supply - (complete - wants), 0.0, wants))

    def _poured_again(
        self,
        wants: NDArray[np.float64],
        supply: NDArray[np.float64],
        share: NDArray[np.float64],
        last: NDArray[np.bool_],
    ) -> NDArray[np.float64]:
        """Fair shares without the lines that take all or nothing and stay short, farthest from complete first."""
        wanted, whole = wants.copy(), self.lines["complete_only"].to_numpy(bool) & last
        share, weight = share.copy(), self.lines["weight"].to_numpy(np.float64)
        while (short := whole & (wanted > 0) & (share < wanted * (1 - TOLERANCE))).any():
            reached = np.round(share / np.where(wanted > 0, wanted, 1.0), 7)
            out = pd.DataFrame({"item": self.item, "reached": reached, "row": -np.arange(len(share))})[short]
            first = out.sort_values(["item", "reached", "row"]).drop_duplicates("item")
            wanted[-first["row"].to_numpy()] = 0.0
            rows = np.isin(self.item, first["item"])
            share[rows] = fair_filled(_starts(self.item[rows]), wanted[rows], weight[rows], supply[rows])
        return share


def _checked(lines: pd.DataFrame, supply: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lines and supply with text keys, dates and numbers; all that cannot be used is raised at once."""
    tables, failures = [], []
    for name, frame, date in (("lines", lines, "order_date"), ("supply", supply, "date")):
        needed = ["sku", "order_id", date, "quantity"] if name == "lines" else ["sku", date, "quantity"]
        found = ", ".join(map(str, frame.columns))
        missing = [c for c in needed if c not in frame]
        failures += [_failure(name, "", c, "needed column is missing", found, "add it") for c in missing]
        table = frame.reset_index(drop=True)
        for column in ("sku", "location", "customer_id"):
            text = table[column] if column in table else pd.Series("", index=table.index)
            table[column] = text.astype("str").fillna("").str.strip()
        days = pd.to_datetime(table.get(date, pd.Series(pd.NaT, index=table.index)), errors="coerce")
        quantity = pd.to_numeric(table.get("quantity", pd.Series(np.nan, index=table.index)), errors="coerce")
        least = quantity > 0 if name == "lines" else quantity >= 0
        sign = "above 0" if name == "lines" else "of 0 or more"
        wrong = {
            "sku": (table["sku"] == "", "no item named", "name the item, or leave the row out"),
            date: (days.isna(), "not a date", "write the day as YYYY-MM-DD, or leave the row out"),
            "quantity": (
                ~(least & np.isfinite(quantity)),
                f"not a number of units {sign}",
                "correct it, or leave the row out",
            ),
        }
        for column, (bad, problem, what) in wrong.items():
            if column not in missing:
                given = frame[column].to_numpy()
                at = np.flatnonzero(bad).tolist()
                failures += [_failure(name, k + 1, column, problem, given[k], what) for k in at]
        table[date], table["quantity"] = days, quantity.astype(np.float64)
        tables.append(table)
    if failures:
        raise InvalidTables(failures)
    return tables[0], tables[1].drop(columns="customer_id")


def _failure(table: str, row: int | str, column: str, problem: str, found: object, what: str) -> dict[str, object]:
    return {"table": table, "row": row, "column": column, "problem": problem, "found": str(found), "what_to_do": what}


def _customers(names: pd.Series) -> pd.Series:
    """Customer of each line; a line without one is a customer of its own."""
    known = names.astype("str").fillna("").reset_index(drop=True)
    return ("=" + known).where(known != "", known.index.astype("str"))


def _starts(item: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.append(np.flatnonzero(np.append(True, item[1:] != item[:-1])), len(item))[: None if len(item) else 1]


def _capped(lines: pd.DataFrame, cap: float | None) -> NDArray[np.float64]:
    """Units of each line that its customer may have; a line that takes all or nothing is not cut."""
    quantity = lines["quantity"].to_numpy(np.float64)
    if cap is None:
        return quantity
    if not 0.0 <= cap < np.inf:
        raise InvalidSettings(f"customer_cap is a number of units, not negative, got {cap!r}")
    allowed = np.zeros(len(lines))
    left: dict[tuple[int, str], float] = {}
    customers = zip(lines["item"], lines["customer_id"], lines["complete_only"], strict=True)
    for k, (item, customer, whole) in enumerate(customers):
        # Unknown customers are no one customer.
        have = left.get((item, customer), cap) if customer else cap
        take = min(quantity[k], have)
        allowed[k] = 0.0 if whole and take < quantity[k] else take
        left[item, customer] = have - allowed[k]
    return allowed


@nb.njit(cache=True, nogil=True)
def _first_reaching(
    need: NDArray[np.float64], item: NDArray[np.int64], start: NDArray[np.int64], running: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Row of the first supply whose running total reaches the need; -1 where none does."""
    out = np.full(len(need), -1, np.int64)
    for k in range(len(need)):
        for row in range(start[item[k]], start[item[k] + 1]):
            if running[row] >= need[k] - TOLERANCE * max(1.0, need[k]):
                out[k] = row
                break
    return out
