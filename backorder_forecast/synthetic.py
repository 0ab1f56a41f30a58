"""Small worlds with known truth: the tables a shop exports, and everything that the tables do not show.

`make_world` plays a shop day by day and returns its export as of the last day together with `Truth`: the demand that
was lost or hidden, the laws of lead times and patience, what is really on the shelf, the planted causes, and the
future. A future is one more draw of what happens after `as_of` under the true laws; it takes a few milliseconds, so
that calibration can be scored over many. The kinds of worlds are described in `world_laws.py`.

Matrices of `Truth` and `Future` are (n_items, n_days); items are the rows of `truth.items`, sorted by sku. Day numbers
count from `as_of` (day 1 is the day after it); `NEVER` stands for not within the days played.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from backorder_forecast.errors import InvalidSettings, unknown_option
from backorder_forecast.world_catalogue import KINDS
from backorder_forecast.world_export import (
    backorder_lines,
    export_tables,
    inventory_snapshots,
    order_numbers,
    product_master,
    purchase_order_lines,
    shipments,
    unit_prices,
)
from backorder_forecast.world_laws import Laws, draw_laws, lead_time_cdf, patience_survival
from backorder_forecast.world_shop import NONE, queue_days
from backorder_forecast.world_timeline import (
    Segment,
    State,
    play_future,
    play_history,
    state_after,
    what_happened,
)

AS_OF = "2024-06-30"
"""Last day of every world unless another is asked for, a Sunday."""
NEVER = 2**31 - 1

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Future:
    """What happens after `as_of` in one draw.

    Attributes
    ----------
    demand, unmet, on_hand
        Units wanted, units wanted and not shipped at once, usable stock in the evening, each (n_items, horizon).
    stockout_day, zero_day
        First day with unmet demand, first evening with an empty shelf, each (n_items,).
    order_first_day, order_last_day
        Days of the next and of the last receipt of each row of `truth.open_orders`.
    line_first_day, line_fill_day
        Days on which each row of `truth.open_lines` gets its first unit and is complete, had its customer stayed;
        those ahead may have left.
    line_left_day
        Day on which its customer gives up, `NEVER` if not.
    new_line_wait
        Days that one more unit, ordered at the end of `as_of`, waits, (n_items,); 0 if it is on the shelf.
    """

    demand: Ints
    unmet: Ints
    on_hand: Ints
    stockout_day: Ints
    zero_day: Ints
    order_first_day: Ints
    order_last_day: Ints
    line_first_day: Ints
    line_fill_day: Ints
    line_left_day: Ints
    new_line_wait: Ints


@dataclass(frozen=True, eq=False)
class Truth:
    """What the tables do not show.

    Attributes
    ----------
    items, suppliers
        True parameters, as described in `world_laws.Laws`; items gain `on_hand` (usable), `held`, `record_error`
        (record - truth) at the end of `as_of`.
    dates
        Days of the matrices: the exported days and the realised horizon after `as_of`.
    demand, mean_demand, lost, unmet, on_hand
        Units wanted, its expectation, units of those who balked, units not shipped at once, usable stock in the
        evening, each (n_items, n_days + horizon).
    open_orders
        Open order lines: po_id, supplier, sku, order_date, quantity (open), first_date and last_date of the receipts
        to come (NaT: cancelled).
    open_lines
        Open backorder lines: order_id, sku, order_date, quantity (open), first_date, fill_date (had the customer
        stayed), left_date (NaT: stays); NaT also for what lies beyond the horizon.
    causes
        What was planted or happened: kind (promotion, level_shift, stop, loss, find, or one of `world_laws.CAUSES`),
        sku, supplier, start, end, size, planted.
    """

    items: pd.DataFrame
    suppliers: pd.DataFrame
    dates: pd.DatetimeIndex
    demand: Ints
    mean_demand: Floats
    lost: Ints
    unmet: Ints
    on_hand: Ints
    open_orders: pd.DataFrame
    open_lines: pd.DataFrame
    causes: pd.DataFrame
    laws: Laws
    state: State
    horizon_days: int

    def survival(self, sku: str | Sequence[str], days: ArrayLike) -> Floats:
        """P(a customer who waits for `sku` still waits after `days`), elementwise; balking is in `items.balk_share`."""
        wanted = [sku] if isinstance(sku, str) else list(sku)
        code = pd.Index(self.items["sku"]).get_indexer(wanted)
        if (code < 0).any():
            raise InvalidSettings(f"no such sku in this world: {wanted[int(np.argmax(code < 0))]}")
        wait = np.asarray(days, dtype=np.float64)
        codes = np.full(wait.shape, code[0]) if isinstance(sku, str) else code
        return patience_survival(self.items, codes.astype(np.int64), wait)

    def lead_time_cdf(self, supplier: str, n_days: int) -> Floats:
        """P(a unit ordered from `supplier` has come t days later), t = 0..n_days, given that it ever comes."""
        names = self.suppliers["supplier"].tolist()
        if supplier not in names:
            raise unknown_option("supplier", supplier, names)
        return lead_time_cdf(self.laws, names.index(supplier), n_days)

    def future(self, seed: int, *, horizon_days: int | None = None, orders: bool = True) -> Future:
        """One more draw of the days after `as_of`; `orders=False`: the shop places no new orders."""
        return _future(self.laws, self.state, horizon_days or self.horizon_days, seed, orders)[1]

    def stockout_probability(
        self, days: Sequence[int] = (7, 14, 30), *, n_futures: int = 200, seed: int = 0, orders: bool = False
    ) -> pd.DataFrame:
        """P(unmet demand by day) under the true laws: sku and one column per day count."""
        hits = np.zeros((len(self.items), len(days)))
        for k in range(n_futures):
            future = self.future(seed + k, horizon_days=max(days), orders=orders)
            hits += future.stockout_day[:, None] <= np.asarray(days)
        frame = pd.DataFrame(hits / n_futures, columns=list(days))
        frame.insert(0, "sku", self.items["sku"])
        return frame

    def without(self, cause: str) -> Truth:
        """The truth of the same world had a cause never happened; all other chances are the same."""
        laws = self.laws.without(cause)
        return _truth(laws, play_history(laws), self.horizon_days)


@dataclass(frozen=True, eq=False)
class World:
    """An export and the truth behind it.

    Attributes
    ----------
    tables
        sales, purchase_orders, inventory, backorders, products, supplier_items, events: as known at the end of `as_of`.
    as_of
        Last exported day.
    truth
        What the tables do not show.
    """

    kind: str
    seed: int
    tables: Mapping[str, pd.DataFrame]
    as_of: pd.Timestamp
    truth: Truth


def make_world(
    kind: str,
    *,
    n_skus: int = 200,
    days: int = 730,
    seed: int = 0,
    as_of: str | pd.Timestamp = AS_OF,
    causes: int = 0,
    horizon_days: int = 120,
) -> World:
    """A shop with known truth.

    Parameters
    ----------
    kind
        matched, misspecified, thin or sample (see `world_laws.py`).
    n_skus, days
        Items; exported days, the last one is `as_of`.
    seed
        The same seed gives the same bytes.
    causes
        Items per kind of planted cause (`world_laws.CAUSES`), planted in the weeks before `as_of`; a disruption hits
        all items of one supplier. 0 leaves only what happens by itself.
    horizon_days
        Days after `as_of` in the truth.

    Examples
    --------
    >>> world = make_world("matched", n_skus=20, days=120, seed=3)
    >>> sorted(world.tables)
    ['backorders', 'events', 'inventory', 'products', 'purchase_orders', 'sales', 'supplier_items']
    >>> world.truth.demand.shape, str(world.as_of.date())
    ((20, 240), '2024-06-30')
    """
    if kind not in KINDS:
        raise unknown_option("kind of world", kind, KINDS)
    laws = draw_laws(kind, n_skus=n_skus, n_days=days, seed=seed, as_of=as_of, causes=causes)
    past = play_history(laws)
    return World(kind, seed, export_tables(laws, past), laws.as_of, _truth(laws, past, horizon_days))


def warehouse(n_skus: int = 10_000, days: int = 730, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Tables of a large shop, for measuring speed: sales, inventory, purchase_orders, backorders, products.

    Sales are sorted by date and have sku (categorical), date, quantity and price, about 0.9 rows per item and day.

    Examples
    --------
    >>> tables = warehouse(50, 60)
    >>> tables["sales"].columns.tolist(), len(tables["products"])
    (['sku', 'date', 'quantity', 'price'], 50)
    """
    laws = draw_laws("warehouse", n_skus=n_skus, n_days=days, seed=seed, as_of=AS_OF, causes=0)
    columns: dict[str, list[NDArray[Any]]] = {c: [] for c in ("item", "day", "quantity", "price")}
    frames: dict[str, list[pd.DataFrame]] = {"inventory": [], "purchase_orders": [], "backorders": []}
    for part, start in enumerate(range(0, n_skus, 1000)):
        some = laws.items_between(start, start + 1000, part)
        past = play_history(some)
        prices = unit_prices(some, past)
        line, day, units = shipments(some, past)
        for column, values in zip(columns, (start + past.lines.item[line], day, units, prices[line]), strict=True):
            columns[column].append(values)
        frames["inventory"].append(inventory_snapshots(some, past))
        frames["purchase_orders"].append(purchase_order_lines(some, past))
        frames["backorders"].append(backorder_lines(some, past, order_numbers(some, past), prices))
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    order = np.argsort(whole["day"], kind="stable")
    skus = pd.Index(laws.items["sku"])
    sales = pd.DataFrame(
        {
            "sku": pd.Categorical.from_codes(whole["item"][order].astype(np.int32), categories=skus),
            "date": laws.date(whole["day"][order]),
            "quantity": whole["quantity"][order],
            "price": whole["price"][order],
        }
    )
    merged = {name: pd.concat(parts, ignore_index=True) for name, parts in frames.items()}
    return {"sales": sales, **merged, "products": product_master(laws)}


def write_samples(path: str | Path, *, seed: int = 0) -> Path:
    """Write the sample export: one CSV per table and a README; returns the folder.

    The world is `sample` with planted causes; a few blemishes of real exports are added to the sales: exact duplicates,
    missing values, one row dated in the future.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    world = make_world("sample", seed=seed, causes=2)
    tables = {**world.tables, "sales": _blemished(world.tables["sales"], world.truth.laws)}
    # Two of the names that other programs use, to show that they are understood.
    tables["sales"] = tables["sales"].rename(columns={"quantity": "qty"})
    tables["purchase_orders"] = tables["purchase_orders"].rename(columns={"order_date": "order date"})
    whole = dict.fromkeys(("quantity_received", "counted", "express_lead_time_days"), "Int64")
    for name, table in tables.items():
        export = table.astype({c: kind for c, kind in whole.items() if c in table})
        export.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    (folder / "README.md").write_text(
        _SAMPLE_README.format(as_of=world.as_of.date(), seed=seed), encoding="utf-8", newline="\n"
    )
    return folder


_SAMPLE_README = """# Sample export (synthetic)

These tables are made up: a hardware wholesaler with 200 items and ten suppliers, two years up to {as_of}, written by
`backorder_forecast.synthetic.write_samples(path, seed={seed})`. No row describes a real company, product or person.

They look like what an ERP exports. `sales.csv` are shipments and returns (negative `qty`), `purchase_orders.csv` has
one row per line and receipt (no `received_date`: still open), `inventory.csv` weekly snapshots of the record,
`backorders.csv` one row per line and shipment or cancellation, `products.csv` the product master,
`supplier_items.csv` agreed terms and `events.csv` promotions and recalls.

On purpose, as in real exports: SKUs with leading zeros, two column names of other programs (`qty`, `order date`), a few
exact duplicates, two rows with missing values and one dated in the future in `sales.csv`, records that differ from the
shelf, late, partial and cancelled deliveries.
"""


def _blemished(sales: pd.DataFrame, laws: Laws) -> pd.DataFrame:
    rng = laws.rng("blemishes")
    rows = np.sort(rng.choice(len(sales), 9, replace=False))
    again, gap, ahead = rows[[0, 1, 3, 4, 6, 8]], rows[[2, 5]], rows[[7]]
    frame = sales.astype({"quantity": "Int64"})
    frame.loc[gap[0], "quantity"] = pd.NA
    frame.loc[gap[1], "sku"] = None
    typo = frame.loc[ahead].assign(date=laws.as_of.as_unit("s") + pd.Timedelta(days=92))
    frame = pd.concat([frame, frame.loc[again], typo])
    return frame.sort_index(kind="stable").reset_index(drop=True)


def _future(laws: Laws, state: State, n_days: int, key: str | int, orders: bool) -> tuple[Segment, Future]:
    segment, order_first, order_last = play_future(laws, state, n_days, key, orders=orders)
    played, first_day, n_items = segment.played, segment.first_day, len(laws.items)
    line_first, line_fill, wait, _ = queue_days(
        first_day, segment.n_open, state.queue_units, segment.lines, played, state.stock.on_hand, n_items
    )
    left = played.left[: segment.n_open]
    return segment, Future(
        demand=segment.units_wanted().T,
        unmet=played.unmet.T,
        on_hand=played.on_hand.T,
        stockout_day=_first_day(played.unmet.T > 0),
        zero_day=_first_day(played.on_hand.T == 0),
        order_first_day=np.where(order_first > state.day + n_days, NEVER, order_first - state.day),
        order_last_day=np.where(order_last > state.day + n_days, NEVER, order_last - state.day),
        line_first_day=np.where(line_first < 0, NEVER, line_first),
        line_fill_day=np.where(line_fill < 0, NEVER, line_fill),
        line_left_day=np.where(left == NONE, NEVER, left - state.day),
        new_line_wait=np.where(wait < 0, NEVER, wait),
    )


def _first_day(happens: NDArray[np.bool_]) -> Ints:
    return np.where(happens.any(axis=1), happens.argmax(axis=1) + 1, NEVER)


def _truth(laws: Laws, past: Segment, horizon_days: int) -> Truth:
    state = state_after(laws, past)
    ahead, realised = _future(laws, state, horizon_days, "realised", True)
    shown = slice(-past.first_day, None)
    both = ((past.units_wanted(), ahead.units_wanted()), (past.demand.mean, ahead.demand.mean),
            (past.played.lost, ahead.played.lost), (past.played.unmet, ahead.played.unmet),
            (past.played.on_hand, ahead.played.on_hand))  # fmt: skip
    demand, mean, lost, unmet, on_hand = (np.concatenate([a[shown], b]).T for a, b in both)
    stock = state.stock
    return Truth(
        items=laws.items.assign(on_hand=stock.on_hand, held=stock.held, record_error=stock.error),
        suppliers=laws.suppliers,
        dates=laws.date(np.arange(laws.n_days + horizon_days)),
        demand=demand,
        mean_demand=mean,
        lost=lost,
        unmet=unmet,
        on_hand=on_hand,
        open_orders=_open_orders(laws, past, state, realised),
        open_lines=_open_lines(laws, past, state, realised),
        causes=what_happened(laws, past, ahead),
        laws=laws,
        state=state,
        horizon_days=horizon_days,
    )


def _open_orders(laws: Laws, past: Segment, state: State, realised: Future) -> pd.DataFrame:
    frame = state.orders[["item", "order_day", "quantity"]]
    frame = frame.assign(sku=laws.items["sku"].to_numpy()[frame["item"]], order_date=laws.date(frame["order_day"]))
    names = purchase_order_lines(laws, past)[["po_id", "supplier", "sku", "order_date"]].drop_duplicates()
    frame = frame.merge(names, on=["sku", "order_date"], how="left", validate="one_to_one")
    frame["first_date"] = _date_of(laws, realised.order_first_day)
    frame["last_date"] = _date_of(laws, realised.order_last_day)
    return frame[["po_id", "supplier", "sku", "order_date", "quantity", "first_date", "last_date"]]


def _open_lines(laws: Laws, past: Segment, state: State, realised: Future) -> pd.DataFrame:
    numbers = order_numbers(laws, past)[state.queue_lines]
    return pd.DataFrame(
        {
            "order_id": [f"SO-{n}" for n in numbers.tolist()],
            "sku": laws.items["sku"].to_numpy()[state.queue.item],
            "order_date": laws.date(state.queue.placed),
            "quantity": state.queue_units,
            "first_date": _date_of(laws, realised.line_first_day),
            "fill_date": _date_of(laws, realised.line_fill_day),
            "left_date": _date_of(laws, realised.line_left_day),
        }
    )


def _date_of(laws: Laws, day: Ints) -> pd.DatetimeIndex:
    dates = laws.date(laws.n_days - 1 + np.where(day == NEVER, 0, day)).to_numpy().copy()
    dates[day == NEVER] = np.datetime64("NaT")
    return pd.DatetimeIndex(dates)
