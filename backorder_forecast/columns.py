"""Columns of the output frames as data: of what kind each is, and what to call it in front of people.

A column name means the same thing in every frame. Kinds: text, category (a few known words), date, flag (true or
false), count (whole numbers), units (of the item), days, money (the currency of the input), share (0 to 1), number.
A suffix such as `_0.9` is the quantile of the column before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

DTYPES = MappingProxyType(
    {
        "text": "str", "category": "str", "date": "datetime64[s]", "flag": "bool", "count": "int64", "units": "float64",
        "days": "float64", "money": "float64", "share": "float64", "number": "float64",
    }
)  # fmt: skip
"""Dtype of an empty column, by kind."""

FLAGS = ("critical", "warning", "watch", "ok")
"""Risk flags, most urgent first."""


@dataclass(frozen=True)
class Column:
    """How to show a column: kind, heading, and a sentence where the heading does not explain itself."""

    kind: str
    heading: str
    note: str = ""


COLUMNS: Mapping[str, Column] = MappingProxyType(
    {
        # --- keys
        "sku": Column("text", "Item"),
        "location": Column("text", "Location"),
        "supplier": Column("text", "Supplier"),
        "customer_id": Column("text", "Customer"),
        "order_id": Column("text", "Order"),
        "date": Column("date", "Date"),
        # --- stockouts
        "on_hand": Column("units", "On hand"),
        "on_order": Column("units", "On order"),
        "backordered": Column("units", "Backordered"),
        "days_of_cover": Column("days", "Days of cover", "Days until expected demand has used up what is on hand."),
        "p_stockout": Column("share", "Chance to run out", "Probability of unmet demand at some time in the horizon."),
        "p_stockout_7": Column("share", "Out in 7 days", "Probability of unmet demand within 7 days."),
        "p_stockout_14": Column("share", "Out in 14 days", "Probability of unmet demand within 14 days."),
        "p_stockout_30": Column("share", "Out in 30 days", "Probability of unmet demand within 30 days."),
        "stockout_date": Column("date", "Out by", "Day by which the item has run out with the probability named."),
        "expected_short_units": Column("units", "Units short", "Expected unmet demand within the horizon."),
        "revenue_at_risk": Column("money", "Revenue at risk", "Expected units short times the price."),
        "order_by_date": Column(
            "date",
            "Order by",
            "Last review at which an order still keeps the service level; now (too late): even an order placed now is"
            " not in time; empty: no need in these days.",
        ),
        "p_zero": Column("share", "Chance of zero stock", "Probability that stock reaches zero, demand met or not."),
        "already_out": Column("flag", "Out now"),
        "avoidable": Column("flag", "Avoidable", "An order placed now keeps the service level."),
        "flag": Column("category", "Risk"),
        "cause": Column("text", "Main cause"),
        "cause_share": Column("share", "Cause's share", "What the main cause adds to the risk."),
        "p_unmet_before_arrival": Column("share", "Out before an order", "Unmet demand before an order now arrives."),
        "p_stockout_projected": Column("share", "… projected", "Out before an order now arrives, by the sample paths."),
        "p_stockout_learned": Column(
            "share", "… learned", "The same, learned from past snapshots; empty where too little is known."
        ),
        "p_stockout_blend": Column("share", "… that decides the flag", "Mean of the projected and the learned chance."),
        "flag_projected": Column("category", "Risk by projection", "The flag by the sample paths alone."),
        "expected_miss_cost": Column(
            "money", "Cost of a miss", "Chance to be out before an order arrives times the margin of the units short."
        ),
        "baseline": Column("share", "Risk without causes", "Chance to run out with every cause at its usual state."),
        "late_order": Column("share", "… by late order", "What late orders add to the risk."),
        "demand_surge": Column("share", "… by demand surge", "What the rise of demand adds to the risk."),
        "ordered_too_little": Column("share", "… by ordering too little", "What a missing order adds to the risk."),
        "supplier_disruption": Column("share", "… by disruption", "What a supplier standing still adds to the risk."),
        "record_error": Column("share", "… by record error", "What a wrong stock record adds to the risk."),
        "recall_or_hold": Column("share", "… by recall or hold", "What stock on hold adds to the risk."),
        "count_suggested": Column("flag", "Count it", "Stock is shown, but nothing sold for improbably long."),
        "p_no_sale": Column("share", "Chance of no sale", "Probability of so long without a sale, were stock there."),
        "monte_carlo_error": Column("share", "Simulation error"),
        "cause_text": Column("text", "Cause in words"),
        # --- causes
        "player": Column("text", "Cause"),
        "contribution": Column(
            "share", "Adds to the risk", "Shapley share: its mean effect over all orders of causes."
        ),
        "standard_error": Column(
            "share", "Simulation error", "Standard error of the contribution, from the simulation."
        ),
        "reference": Column("text", "Compared with", "State of the input beside which its contribution is measured."),
        "order": Column("text", "Order named"),
        "risk": Column("share", "Risk", "Chance of unmet demand before an order placed now arrives."),
        "confidence": Column("category", "Confidence"),
        "confidence_reason": Column("text", "Why this confidence"),
        # --- fill_dates
        "quantity": Column("units", "Quantity"),
        "order_date": Column("date", "Ordered on"),
        "status": Column("category", "Status"),
        "first_date": Column("date", "First unit"),
        "fill_date": Column("date", "Filled by", "Day by which the line is complete with the probability named."),
        "promise_date": Column("date", "Promise", "Earliest (business) day that can be promised at the promise level."),
        "promised_date": Column("date", "Promised before"),
        "priority": Column("number", "Priority", "Rank of the line in your own table, 1 first; empty without one."),
        "p_by_promised": Column("share", "Kept by old date", "Probability of filling by the date promised before."),
        "p_unfilled": Column("share", "Not in horizon", "Probability that the line is not filled within the horizon."),
        "waited_days": Column("days", "Waited, days"),
        "p_at_promise": Column("share", "Kept by promise", "Probability of filling by the promise date."),
        "source": Column("text", "Filled from"),
        "held_amount": Column("money", "Held", "Paid in advance for what is still open, less what was refunded."),
        "balance_amount": Column("money", "Balance", "To be paid when the line ships; 0 where no price is known."),
        # --- wait_cutoffs
        "wait_cutoff_days": Column("days", "Longest wait, days", "Longest wait for which a backorder still pays."),
        "wait_cutoff_days_low": Column("days", "… from", "Lower end of the 80 % interval."),
        "wait_cutoff_days_high": Column("days", "… to", "Upper end of the 80 % interval."),
        "own_cutoff_days": Column("days", "Own value, days", "The cutoff before the usual band of the product type."),
        "band_share": Column("share", "Band's share", "How much the usual band of the product type decided."),
        "sensitive_to": Column("category", "Most sensitive to", "The assumption that moves the own value most."),
        "cutoff_if_less": Column("days", "… if 20 % less", "The own value with that assumption a fifth smaller."),
        "cutoff_if_more": Column("days", "… if 20 % more", "The own value with that assumption a fifth larger."),
        "p_never": Column("share", "Never filled"),
        "expected_wait_days": Column(
            "days", "Wait now, days", "Expected (mean) wait of a line taken today; reasons name its median."
        ),
        "basis": Column("category", "Rests on"),
        "max_open_quantity": Column(
            "units",
            "Surely covered",
            "Further units that stock and open orders cover within the longest wait (9 times in 10); more rests on the "
            "next order.",
        ),
        "p_wait_within_cutoff": Column("share", "Wait within it", "Probability that the wait stays within the cutoff."),
        "value_accept": Column("money", "Worth if taken"),
        "value_refuse": Column("money", "Worth if refused"),
        "revenue_kept": Column("money", "Revenue kept"),
        "decision": Column("category", "Decision"),
        "reason": Column("text", "Reason"),
        "payment_terms": Column("category", "Payment"),
        "substitute_sku": Column("text", "Substitute"),
        "substitute_units": Column("units", "Of it, for this item", "Free units of the substitute set aside for it."),
        # --- reorders
        "order_quantity": Column("units", "Order"),
        "reorder_point": Column("units", "Reorder point"),
        "order_up_to_level": Column("units", "Order up to"),
        "safety_stock": Column("units", "Safety stock"),
        "need_units": Column("units", "Needed"),
        "target": Column("share", "Target"),
        "arrival": Column("date", "Arrives by"),
        "cost": Column("money", "Cost"),
        "urgency": Column("category", "Urgency"),
        "remark": Column("text", "Remark"),
        "express_quantity": Column("units", "By express", "Units that are worth an express delivery."),
        "express_date": Column("date", "Express arrives"),
        "express_units": Column("units", "Served by it", "Units that express serves in time, on average."),
        "express_saving": Column("money", "Express saves", "Margin of these units less the extra cost of express."),
        # --- forecasts
        "mean": Column("units", "Mean"),
        # --- suppliers
        "level": Column("category", "Level"),
        "n_lines": Column("count", "Lines"),
        "n_received": Column("count", "Received"),
        "n_open": Column("count", "Open"),
        "n_late": Column("count", "Late"),
        "n_cancelled": Column("count", "Cancelled"),
        "p_never_arrives": Column("share", "Never arrives", "Probability that an order is cancelled, not delivered."),
        "on_time_share": Column("share", "On time"),
        "lead_time_days": Column("days", "Lead time, days"),
        "mean_late_days": Column("days", "Mean days late"),
        "fill_share": Column("share", "Delivered share", "Share of the ordered quantity that was delivered."),
        "trend": Column("number", "Trend", "Days by which receipts became slower within a year and a half."),
        "disruption_probability": Column(
            "share", "Disrupted", "Probability that the supplier is late with everything just now."
        ),
        "n_recent": Column("count", "Receipts of the half-year", "Receipts of the last half-year."),
        "mean_days_recent": Column("days", "They took, days", "Mean lead time of the receipts of the last half-year."),
        "n_before": Column("count", "Receipts before", "Receipts of the year before the last half-year."),
        "mean_days_before": Column("days", "Those took, days", "Mean lead time of the receipts of the year before."),
        "disruption_days": Column("days", "Stopped for, days", "Days for which it would have stood still by now."),
        "receipts_due": Column("number", "Receipts due", "Receipts expected in those days."),
        "receipts_come": Column("number", "Receipts that came", "Receipts seen in those days."),
        "slower": Column("flag", "Slower", "Whether receipts became slower by more than chance."),
        "n_judged": Column("count", "Lines judged", "Lines with a promise that are complete or overdue."),
        "n_late_now": Column("count", "Late now", "Open lines beyond their promised date."),
        "quantity_received": Column("units", "Units received"),
        "check_n": Column("count", "Lines checked", "Past receipts that were foretold from what was known before."),
        "check_coverage_80": Column("share", "In the 80 % interval", "Share of them inside the 80 % interval."),
        "check_pinball": Column("number", "Check loss, days", "Mean pinball loss of the quantiles .1, .5, .9."),
        "days_from": Column("category", "Days from", "What lead times are read from: order or promised date."),
        "pool_k": Column("number", "Pooling", "Observations that a parent law counts for."),
        "half_life_days": Column("number", "Half-life, days", "Age at which a past order counts half."),
        # --- notices
        "kind": Column("category", "Notice"),
        "old_date": Column("date", "Old date"),
        "new_date": Column("date", "New date"),
        "offer": Column("text", "Offer"),
        "deadline": Column("date", "Tell by", "Day by which the customer should be told."),
        "policy_text": Column("text", "Policy"),
        "jurisdiction": Column("category", "Rules of"),
        "legal_note": Column("text", "Legal note"),
        # --- cash_flow
        "deposits": Column("money", "Deposits", "Money held for open lines; all of it on the first day."),
        "balances": Column("money", "Balances"),
        "refunds": Column("money", "Refunds"),
        "expected_cash": Column("money", "Expected cash", "Balances less refunds: money still to come or go."),
        "refundable_liability": Column("money", "Refundable", "Money held that customers may still ask back."),
        "goods_shipped": Column("money", "Goods shipped"),
        "text": Column("text", "Message"),
        # --- excess
        "excess_units": Column("units", "Excess units"),
        "excess_value": Column("money", "Excess value"),
        "p_unsold": Column("share", "Chance unsold", "Probability that the excess is not sold in the time looked at."),
        "weeks_of_cover": Column("number", "Weeks of cover"),
        "cancellable_units": Column("units", "Still on order", "The part of the excess that has not come yet."),
        "cancellable_value": Column("money", "Its value"),
        # --- backlog
        "open_lines": Column("count", "Open lines"),
        "open_units": Column("units", "Open units"),
        "median_age_days": Column("days", "Median age, days"),
        "backorder_rate": Column("share", "Backorder rate", "Backordered units as a share of demand."),
        "growth_vs_forecast": Column("share", "Growth vs forecast"),
        "new_vs_forecast": Column("share", "New vs forecast", "Units backordered in 28 days over the forecast demand."),
        "faster_than_forecast": Column("flag", "Above forecast", "New backorders alone clearly exceed the forecast."),
        # --- items
        "method": Column("category", "Method"),
        "demand_class": Column("category", "Demand class"),
        "mean_per_period": Column("units", "Mean per period"),
        "mean_daily": Column("units", "Mean per day"),
        "alpha": Column("number", "Smoothing alpha"),
        "n_periods": Column("count", "Periods seen"),
        "n_nonzero": Column("count", "With demand"),
        "censored_share": Column("share", "Out of stock", "Share of the periods in which demand was hidden."),
        "category": Column("category", "Category"),
        "product_type": Column("category", "Product type"),
        "moq": Column("units", "Minimum order"),
        "pack_size": Column("units", "Pack"),
        "reserved": Column("units", "Reserved"),
        "on_hold": Column("units", "On hold"),
        "usable": Column("units", "Usable"),
        # --- data_quality
        "table": Column("text", "Table"),
        "rule": Column("text", "Rule"),
        "rows_read": Column("count", "Read"),
        "rows_used": Column("count", "Used"),
        "rows_merged": Column("count", "Merged"),
        "rows_set_aside": Column("count", "Set aside"),
        "examples": Column("text", "Examples"),
        "effect": Column("text", "Effect"),
    }
)
"""Kind, heading and note of every known column; quantile suffixes are left off."""
