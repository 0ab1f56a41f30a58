"""The causes of items at risk in words that a buyer can act on: the order, the supplier, the units.

"If it arrived on its promised day" is the risk with that one order arriving then (by now where that is over), all else
as it is. The contribution of late orders compares with their usual lead time instead, so the sentence says by how much
the promise differs from it. Every other sentence has that player alone at its reference. A player whose contribution
is not distinguishable is said to make no difference. Risks are chances of unmet demand before an order placed now
arrives, `p_unmet_before_arrival` of the same item.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from backorder_forecast.causes import (
    DISRUPTION,
    LATE,
    MIN_SHARE,
    PLAYERS,
    RECORD,
    SURGE,
    TOO_LITTLE,
    Shares,
    Situation,
    distinguishable,
    risks_if,
    stated_risk,
)
from backorder_forecast.order_inputs import day_periods

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backorder_forecast.simulation import World

    Floats = NDArray[np.float64]

MORE_LIKELY = 0.5
"""Probability from which a supplier seems to have stopped; below it may have."""
_TOLD = (
    "supplier", "excess_days", "on_order", "empty_chance", "on_hand", "quiet_length", "next_hold_day", "daily_capacity",
)  # fmt: skip
"""Facts of an item that sentences name."""


@dataclass(frozen=True)
class CauseTexts:
    """Sentences of a bucket: of the main cause of each item, and by (item, player); orders named, by item."""

    main: list[str]
    of_player: dict[tuple[int, int], str]
    orders: dict[int, str]


@dataclass(frozen=True)
class _Order:
    """The open order whose punctual arrival helps most: its number, how late it is, the day tried, the risk then."""

    name: str
    state: str
    tried: str
    risk: float


def cause_texts(
    world: World, bucket: pd.DataFrame, situation: Situation, lines: pd.DataFrame, shares: Shares, frame: pd.DataFrame
) -> CauseTexts:
    """Sentences on the items of a bucket; `frame` is their `cause_frame`."""
    orders = _named_orders(world, situation, lines, shares, frame["risk"].to_numpy(dtype=np.float64))
    evidence = world.shocks.evidence.suppliers.set_index("supplier")
    closed = world.shocks.closures.frame
    stated = frame["risk"].to_numpy(dtype=np.float64)
    alone = np.stack([stated_risk(shares.without[:, k], shares, stated) for k in range(len(PLAYERS))], axis=1)
    clear = distinguishable(shares.share, shares.error)
    main, of_player = [], {}
    about = bucket[list(_TOLD)].to_dict("records")
    for i, (item, row) in enumerate(zip(about, frame.to_dict("records"), strict=True)):
        risk, cause = row["risk"], row["cause"]
        state = "nothing is free now" if row["empty"] else "more is waited for than is there" if row["short"] else ""
        for k in np.flatnonzero(situation.applies[i]):
            without = float(alone[i, k])
            if PLAYERS[k] == cause:
                without = row["without"]
            seen = bool(clear[i, k])
            if k == LATE:
                what = f"{orders[i].state}; if open orders took their usual lead time"
                # Where one order alone would not help, all late ones together are the cause.
                if seen and shares.share[i, k] > 0 and risk - orders[i].risk >= MIN_SHARE:
                    what, without = f"{orders[i].state}; {orders[i].tried}", orders[i].risk
            elif k == DISRUPTION:
                what = _disruption(str(item["supplier"]), evidence, closed, world.clock.as_of)
            else:
                what = _what(int(k), item, situation, i, world.clock.as_of)
            # The change with this player alone at its reference may be none, or the other way, beside the others.
            same = seen and (risk - without) * shares.share[i, k] > 0
            of_player[i, int(k)] = _risk_words(what, risk, without if same else risk, state, seen=seen)
        main.append(of_player[i, PLAYERS.index(cause)] if cause in PLAYERS else _unclear(row, item, state))
    return CauseTexts(main, of_player, {i: order.name for i, order in orders.items()})


def player_frame(
    bucket: pd.DataFrame, situation: Situation, shares: Shares, frame: pd.DataFrame, texts: CauseTexts
) -> pd.DataFrame:
    """One row per item and player that differs from its reference, the largest contribution first.

    Returns
    -------
    DataFrame
        sku, location, player, contribution (what the player adds to the risk), standard_error (of the simulation),
        reference (state it is compared with, in words), order (the order named), risk, baseline, cause_text. The
        contributions of an item and its baseline add up to its risk.
    """
    item, player = np.nonzero(situation.applies)
    share = shares.share[item, player]
    order = np.lexsort((player, -share, item))
    item, player, share = item[order], player[order], share[order]
    about = frame.iloc[item].reset_index(drop=True)
    suppliers = bucket["supplier"].astype("str").to_numpy()
    pairs = list(zip(item.tolist(), player.tolist(), strict=True))
    return pd.DataFrame(
        {
            "sku": about["sku"], "location": about["location"],
            "player": pd.Series(np.asarray(PLAYERS, dtype=object)[player], dtype="str"),
            "contribution": share, "standard_error": shares.error[item, player],
            "reference": pd.Series([_reference(k, suppliers[i], situation, i) for i, k in pairs], dtype="str"),
            "order": pd.Series([texts.orders.get(i, "") if k == LATE else "" for i, k in pairs], dtype="str"),
            "risk": about["risk"], "baseline": about["baseline"],
            "cause_text": pd.Series([texts.of_player[pair] for pair in pairs], dtype="str"),
        }
    )  # fmt: skip


def _reference(player: int, supplier: str, s: Situation, i: int) -> str:
    if player == LATE:
        return "open orders take the usual lead time from their order date"
    if player == SURGE:
        return "demand goes on, and has been since, as forecast one protection interval ago"
    if player == TOO_LITTLE:
        return f"{np.ceil(s.missing_order[i]):,.0f} more units were ordered one usual lead time ago"
    if player == DISRUPTION:
        return f"{supplier or 'the supplier'} neither stands still nor is closed"
    return "the stock shown is there" if player == RECORD else "stock and deliveries on hold are usable"


def _named_orders(world: World, s: Situation, lines: pd.DataFrame, shares: Shares, stated: Floats) -> dict[int, _Order]:
    """For each item the open order whose punctual arrival lowers the risk most."""
    if not len(lines):
        return {}
    as_of = world.clock.as_of
    laws, at = np.unique(lines["law"].to_numpy(dtype=np.int64), return_inverse=True)
    usual = np.argmax(world.lead.cdf[laws] >= 0.5, axis=1)[at]
    usually = lines["order_date"] + pd.to_timedelta(usual, unit="D")
    due = lines["promised_date"].fillna(usually)
    ahead = np.asarray((due - as_of).dt.days, dtype=np.int64)
    risk = risks_if(s, np.where(ahead < 1, -1, day_periods(ahead, world.clock)))
    row = lines["row"].to_numpy(dtype=np.int64)
    risk = np.clip(stated[row] - (shares.risk[row] - risk), 0.0, 1.0)
    best = lines.assign(risk=risk, ahead=ahead, sooner=(usually - due).dt.days).sort_values(
        ["row", "risk", "ahead"], kind="stable"
    )
    best = best.drop_duplicates("row")
    found = {}
    for line in best.to_dict("records"):
        promised = pd.notna(line["promised_date"])
        number = str(line["po_id"])
        name = number if number.upper().startswith("PO") else f"PO {number}"
        short = f"the order of {line['order_date']:%Y-%m-%d}"
        name = name if number else short
        name += f" from {line['supplier']} ({line['quantity']:,.10g} units)"
        days, day = -line["ahead"], f"{as_of + pd.Timedelta(days=line['ahead']):%Y-%m-%d}"
        if days > 0:
            state = f"is {_days(days)} late" if promised else f"is {_days(days)} over its usual lead time"
        else:
            state = f"is {'promised for' if promised else 'usually here by'} {day}"
        tried = f"if it arrived on its promised day{_beside_usual(line['sooner'])}"
        if not promised:
            tried = "if it arrived now" if days >= 0 else f"if it arrived on {day}, after its usual lead time"
        found[int(line["row"])] = _Order(number or short, f"{name} {state}", tried, float(line["risk"]))
    return found


def _beside_usual(sooner: int) -> str:
    """How a promise differs from the usual lead time, the reference of the contribution."""
    if not sooner:
        return " (its usual lead time)"
    return f" ({_days(abs(sooner))} {'earlier' if sooner > 0 else 'later'} than its usual lead time)"


def _disruption(supplier: str, evidence: pd.DataFrame, closed: pd.DataFrame, as_of: pd.Timestamp) -> str:
    """What is known of a supplier: closed now, else stopped more likely than not, else closed later on."""
    ahead = closed[(closed["supplier"] == supplier) & (closed["last"] >= 0)].sort_values("first")
    told = evidence.loc[supplier] if supplier in evidence.index else None
    stopped = told is not None and told["probability"] >= MORE_LIKELY
    if len(ahead) and (not stopped or ahead["first"].iloc[0] <= 0):
        day = ahead.iloc[0]
        first, last = (f"{as_of + pd.Timedelta(days=int(day[c])):%Y-%m-%d}" for c in ("first", "last"))
        until = f"to {last}" if day["known_end"] else "on, without a known end"
        return f"{supplier} is closed from {first} {until}; if it delivered as usual"
    if told is not None:
        seems = "seems to have stopped" if stopped else "may have stopped"
        return (
            f"{supplier} {seems}: in {told['stopped_days']:.0f} days {told['received']:.3g} deliveries"
            f" came where {told['expected']:.3g} were due; if it delivered as usual"
        )
    return f"{supplier} delivers late everywhere; if it delivered as usual"


def _what(player: int, item: dict[Hashable, Any], s: Situation, i: int, as_of: pd.Timestamp) -> str:
    if player == SURGE:
        ratio, excess = float(s.demand_ratio[i]), float(s.excess[i])
        days = int(item["excess_days"])
        more = f"in {_days(days)} {excess:,.0f} units more were wanted than forecast" if excess >= 2 else ""
        faster = f"demand is {1 / ratio - 1:.0%} above what was forecast before" if 0 < ratio < 0.995 else ""
        said = " and ".join(w for w in (more, faster) if w) or "demand is above what was forecast"
        return f"{said}; had it gone as forecast"
    if player == TOO_LITTLE:
        on_order = float(item["on_order"])
        missing = f"{np.ceil(s.missing_order[i]):,.0f}"
        if on_order <= 0:
            return f"nothing is on order; had {missing} been ordered in time"
        there = f"{on_order:,.10g} units are on order, too little until the next delivery"
        return f"{there}; had {missing} more been ordered in time"
    if player == RECORD:
        if item["empty_chance"] > 0:
            shown, days = float(item["on_hand"]), int(item["quiet_length"])
            return f"{shown:,.10g} units are shown, but nothing sold in {_days(days)}: count it; if they are there"
        return f"{s.written_off[i]:,.3g} units went missing since the last counts; had the record been true"
    if s.held[i] > 0:
        return f"{s.held[i]:,.10g} units are on hold; if they were released"
    if s.planned()[0][i] < s.demand.shape[2]:
        begin = f"{as_of + pd.Timedelta(days=int(item['next_hold_day'])):%Y-%m-%d}"
        return f"a hold takes its stock out of use from {begin}; without it"
    return "its deliveries are on hold; if they were usable"


def _days(number: int) -> str:
    return f"{number:,} day" if number == 1 else f"{number:,} days"


def _risk_words(what: str, risk: float, without: float, state: str, *, seen: bool) -> str:
    chance = f"the chance that {'demand goes unmet' if state else 'it runs out'} before a new order arrives"
    before, after = f"{risk:.0%}", f"{without:.0%}"
    if before == after:
        visible = "visible" if seen else "distinguishable"
        said = f"that would make no {visible} difference to {chance} ({before})"
    else:
        said = f"{chance} would {'fall' if without <= risk else 'rise'} from {before} to {after}"
    return f"{state}; {what}, {said}" if state else f"{what}, {said}"


def _unclear(row: dict[Hashable, Any], item: dict[Hashable, Any], state: str) -> str:
    """Where no input makes the risk: what is short, what is due, or what can be made."""
    if row["cause"] == "already short":
        return "customers already wait for more than there is; see fill_dates for when they are served"
    risk = "<1%" if 0 < row["risk"] < 0.005 else f"{row['risk']:.0%}"
    if pd.notna(row["order_by"]):
        return (
            f"an order is due by {row['order_by']:%Y-%m-%d}, before the next review; the chance that it runs out before"
            f" one placed now arrives is {risk}"
        )
    why = "no single input explains it"
    if row["limited"]:
        why = f"what is on order waits to be made, {item['daily_capacity']:,.4g} a day; nothing else explains it"
    chance = f"the chance that {'demand goes unmet' if state else 'it runs out'} before a new order arrives is {risk}"
    return f"{state}; {chance}; {why}" if state else f"{chance}; {why}"
