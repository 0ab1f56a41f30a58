"""Columns of the output frames as data: of what kind each is, what to call it in front of people, and what it says.

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
    """How to show a column: kind, heading, and a sentence that explains it."""

    kind: str
    heading: str
    note: str


COLUMNS: Mapping[str, Column] = MappingProxyType(
    {
        # --- keys
        "sku": Column("text", "Item", "The item, as the tables name it."),
        "location": Column("text", "Location", "Where the item is kept; empty where the tables name none."),
        "supplier": Column("text", "Supplier", "Who delivers, as the tables name it; empty where unknown."),
        "customer_id": Column("text", "Customer", "Who ordered; empty where unknown."),
        "order_id": Column("text", "Order", "The customer's order to which the line belongs."),
        "date": Column("date", "Date", "The day; of a period, its first day."),
        # --- stockouts
        "on_hand": Column(
            "units", "On hand", "Units on the shelf at the end of the last known day, reserved and held ones included."
        ),
        "on_order": Column("units", "On order", "Units of open purchase orders that have not arrived."),
        "backordered": Column("units", "Backordered", "Units that customers wait for."),
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
        "already_out": Column(
            "flag",
            "Out now",
            "Whether the item is out now: more is waited for than is there, or nothing is left of what sells.",
        ),
        "avoidable": Column("flag", "Avoidable", "An order placed now keeps the service level."),
        "flag": Column(
            "category",
            "Risk",
            "By what a stockout before an order placed now arrives costs, times its chance, against the cost of acting:"
            " critical, warning, watch or ok.",
        ),
        "cause": Column(
            "text",
            "Main cause",
            "The input that adds most to the chance to run out before an order placed now arrives.",
        ),
        "cause_share": Column("share", "Cause's share", "What the main cause adds to the risk."),
        "p_unmet_before_arrival": Column("share", "Out before an order", "Unmet demand before an order now arrives."),
        "p_stockout_projected": Column("share", "… projected", "Out before an order now arrives, by the sample paths."),
        "p_stockout_learned": Column(
            "share", "… learned", "The same, learned from past snapshots; empty where too little is known."
        ),
        "p_stockout_blend": Column("share", "… that decides the flag", "Mean of the projected and the learned chance."),
        "watch_from": Column(
            "share",
            "Watched from",
            "Chance from which acting pays: cost of acting over cost of a miss; empty where it never does.",
        ),
        "flag_projected": Column("category", "Risk by projection", "The flag by the sample paths alone."),
        "order_due": Column("flag", "Order due", "An order falls due before the next review."),
        "short_if_out": Column(
            "units",
            "Short if it runs out",
            "Units short until an order placed now arrives, if it runs out before, with those waited for now.",
        ),
        "expected_miss_cost": Column(
            "money",
            "Cost of a miss",
            "Chance to be out before an order placed now arrives times the margin of the units short until then.",
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
        "monte_carlo_error": Column(
            "share", "Simulation error", "Standard error of the largest contribution of a cause, from the simulation."
        ),
        "cause_text": Column("text", "Cause in words", "What the cause is, and what the risk would be without it."),
        # --- causes
        "player": Column("text", "Cause", "The input whose contribution to the risk is told."),
        "contribution": Column(
            "share", "Adds to the risk", "Shapley share: its mean effect over all orders of causes."
        ),
        "standard_error": Column(
            "share", "Simulation error", "Standard error of the contribution, from the simulation."
        ),
        "reference": Column("text", "Compared with", "State of the input beside which its contribution is measured."),
        "order": Column(
            "text", "Order named", "Purchase order of which a late order's contribution comes; empty for other causes."
        ),
        "risk": Column("share", "Risk", "Chance of unmet demand before an order placed now arrives."),
        "confidence": Column("category", "Confidence", "How much the item's history says: high, medium or low."),
        "confidence_reason": Column("text", "Why this confidence", "Why the confidence is what it is."),
        # --- fill_dates
        "quantity": Column("units", "Quantity", "Units of the line that are still open."),
        "order_date": Column("date", "Ordered on", "Day on which the customer ordered."),
        "status": Column(
            "category", "Status", "created, confirmed (paid in advance), promised, re-promised or partially filled."
        ),
        "first_date": Column(
            "date", "First unit", "Day by which something of the line has arrived, with the probability named."
        ),
        "fill_date": Column("date", "Filled by", "Day by which the line is complete with the probability named."),
        "promise_date": Column("date", "Promise", "Earliest (business) day that can be promised at the promise level."),
        "promised_date": Column("date", "Promised before", "The date the customer was last promised; empty if none."),
        "priority": Column("number", "Priority", "Rank of the line in your own table, 1 first; empty without one."),
        "p_by_promised": Column("share", "Kept by old date", "Probability of filling by the date promised before."),
        "p_unfilled": Column("share", "Not in horizon", "Probability that the line is not filled within the horizon."),
        "waited_days": Column("days", "Waited, days", "Days since the order, up to the last known day."),
        "p_at_promise": Column("share", "Kept by promise", "Probability of filling by the promise date."),
        "source": Column(
            "text",
            "Filled from",
            "Supply that completes the line most often, with the share of paths where others do too.",
        ),
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
        "p_never": Column(
            "share",
            "Never filled",
            "Probability that a line taken today is not filled within the lead times that are simulated.",
        ),
        "expected_wait_days": Column(
            "days", "Wait now, days", "Expected (mean) wait of a line taken today; reasons name its median."
        ),
        "basis": Column("category", "Rests on", "What the row rests on."),
        "max_open_quantity": Column(
            "units",
            "Surely covered",
            "Further units that stock and open orders cover within the longest wait (9 times in 10); more rests on the "
            "next order.",
        ),
        "p_wait_within_cutoff": Column("share", "Wait within it", "Probability that the wait stays within the cutoff."),
        "value_accept": Column(
            "money",
            "Worth if taken",
            "Expected worth of taking a line today: margin if the customer stays, less refunds, waiting"
            " costs and goodwill.",
        ),
        "value_refuse": Column(
            "money",
            "Worth if refused",
            "Worth of refusing a line: the substitute's margin times who takes it, less goodwill lost.",
        ),
        "revenue_kept": Column(
            "money", "Revenue kept", "Expected revenue of the backorders taken in the horizon, against refusing all."
        ),
        "decision": Column(
            "category",
            "Decision",
            "accept; accept only against a confirmed order (up to what is surely covered); offer"
            " alternative; do not backorder.",
        ),
        "reason": Column("text", "Reason", "Why, in words."),
        "payment_terms": Column(
            "category",
            "Payment",
            "Payment in advance to ask for: none, full, deposit or instalments; empty where none is taken"
            " or no price is known.",
        ),
        "substitute_sku": Column(
            "text", "Substitute", "Item with free stock that may be offered instead; empty if none."
        ),
        "substitute_units": Column(
            "units",
            "Of it, for this item",
            "Free units of it that may be offered for this item; 0 while there is nobody to offer one.",
        ),
        # --- reorders
        "order_quantity": Column(
            "units", "Order", "What to order now, after minimum quantity, packs, budget and capacity."
        ),
        "reorder_point": Column(
            "units", "Reorder point", "Quantile (see Target) of the demand until an order placed now arrives."
        ),
        "order_up_to_level": Column(
            "units", "Order up to", "Quantile (see Target) of the demand until the order of the next review arrives."
        ),
        "safety_stock": Column(
            "units", "Safety stock", "Reorder point less the mean demand until an order placed now arrives."
        ),
        "need_units": Column("units", "Needed", "What is missing, before minimum quantity and packs."),
        "target": Column(
            "share",
            "Target",
            "Probability of no unmet demand that is ordered for: the service level, or what the item's costs ask.",
        ),
        "arrival": Column(
            "date", "Arrives by", "Day by which an order placed now has arrived, with the probability named."
        ),
        "cost": Column("money", "Cost", "Order quantity times the unit cost; empty where that is unknown."),
        "urgency": Column("category", "Urgency", "overdue (even today is late), today, this review, or none."),
        "remark": Column(
            "text",
            "Remark",
            "Limits that changed the order, odd terms, and what express delivery would save; empty if nothing.",
        ),
        "express_quantity": Column("units", "By express", "Units that are worth an express delivery."),
        "express_date": Column("date", "Express arrives", "First day on which an express delivery would be usable."),
        "express_units": Column("units", "Served by it", "Units that express serves in time, on average."),
        "express_saving": Column("money", "Express saves", "Margin of these units less the extra cost of express."),
        # --- forecasts
        "mean": Column("units", "Mean", "Expected demand of the period."),
        # --- suppliers
        "level": Column(
            "category", "Level", "Which orders the row is of: all, a category, a supplier, a location or an item."
        ),
        "n_lines": Column("count", "Lines", "Purchase order lines that were seen."),
        "n_received": Column("count", "Received", "Lines of which something arrived."),
        "n_open": Column("count", "Open", "Lines not yet complete."),
        "n_late": Column("count", "Late", "Judged lines that came after their first promised date, or are overdue."),
        "n_cancelled": Column("count", "Cancelled", "Lines cancelled in whole or in part."),
        "p_never_arrives": Column("share", "Never arrives", "Probability that an order is cancelled, not delivered."),
        "on_time_share": Column("share", "On time", "Judged lines that came by their first promised date."),
        "lead_time_days": Column(
            "days",
            "Lead time, days",
            "Days from order to receipt that a new order takes at most, with the probability named.",
        ),
        "mean_late_days": Column(
            "days", "Mean days late", "Mean delay of the late lines against the promise; overdue ones count so far."
        ),
        "fill_share": Column("share", "Delivered share", "Share of the ordered quantity that was delivered."),
        "trend": Column(
            "days", "Trend, days", "How much longer orders take in the last half-year than in the year before."
        ),
        "disruption_probability": Column(
            "share", "Disrupted", "Probability that the supplier is late with everything just now."
        ),
        "n_recent": Column("count", "Receipts of the half-year", "Receipts of the last half-year."),
        "mean_days_recent": Column(
            "days",
            "They took, days",
            "Mean lead time in the half-year; open orders count so far.",
        ),
        "n_before": Column("count", "Receipts before", "Receipts of the year before the last half-year."),
        "mean_days_before": Column("days", "Those took, days", "Mean lead time in the year before, counted likewise."),
        "disruption_days": Column("days", "Stopped for, days", "Days for which it would have stood still by now."),
        "receipts_due": Column("number", "Receipts due", "Receipts expected in those days."),
        "receipts_come": Column("number", "Receipts that came", "Receipts seen in those days."),
        "slower": Column(
            "flag",
            "Slower",
            "Whether orders take longer by more than chance.",
        ),
        "n_judged": Column("count", "Lines judged", "Lines with a promise that are complete or overdue."),
        "n_late_now": Column("count", "Late now", "Open lines beyond their promised date."),
        "quantity_received": Column("units", "Units received", "Units that arrived."),
        "check_n": Column("count", "Lines checked", "Past receipts that were foretold from what was known before."),
        "check_coverage_80": Column("share", "In the 80 % interval", "Share of them inside the 80 % interval."),
        "check_pinball": Column("number", "Check loss, days", "Mean pinball loss of the quantiles .1, .5, .9."),
        "days_from": Column("category", "Days from", "What lead times are read from: order or promised date."),
        "pool_k": Column("number", "Pooling", "Observations that a parent law counts for."),
        "half_life_days": Column("number", "Half-life, days", "Age at which a past order counts half."),
        # --- notices
        "kind": Column(
            "category",
            "Notice",
            "What the message is about: a first or earlier date, a delay, consent or refund, an"
            " alternative, a discount, none to be had.",
        ),
        "old_date": Column("date", "Old date", "The date promised before; empty if none."),
        "new_date": Column("date", "New date", "The date to promise now; empty where none can be named."),
        "offer": Column("text", "Offer", "What the customer may choose or is offered; empty if nothing."),
        "deadline": Column("date", "Tell by", "Day by which the customer should be told."),
        "policy_text": Column("text", "Policy", "Your own policy, from the settings."),
        "jurisdiction": Column("category", "Rules of", "Whose rules on late delivery were looked at (settings)."),
        "legal_note": Column(
            "text", "Legal note", "Summary of the rule and its source; not legal advice; empty where none applies."
        ),
        # --- cash_flow
        "deposits": Column("money", "Deposits", "Money held for open lines; all of it on the first day."),
        "balances": Column("money", "Balances", "Expected on the day: what is still to be paid when lines ship."),
        "refunds": Column(
            "money", "Refunds", "Expected on the day: back to customers who cancel, or who paid more than the value."
        ),
        "expected_cash": Column("money", "Expected cash", "Balances less refunds: money still to come or go."),
        "refundable_liability": Column("money", "Refundable", "Money held that customers may still ask back."),
        "goods_shipped": Column("money", "Goods shipped", "Expected value of the lines that ship on the day."),
        "text": Column("text", "Message", "The message, ready to send."),
        # --- excess
        "excess_units": Column(
            "units",
            "Excess units",
            "Stock and open orders beyond a high quantile of the demand until lead time, review and horizon are over.",
        ),
        "excess_value": Column("money", "Excess value", "Excess units times the unit cost."),
        "p_unsold": Column("share", "Chance unsold", "Probability that the excess is not sold in the time looked at."),
        "weeks_of_cover": Column(
            "number", "Weeks of cover", "Weeks for which stock and open orders last at the mean demand."
        ),
        "cancellable_units": Column("units", "Still on order", "The part of the excess that has not come yet."),
        "cancellable_value": Column("money", "Its value", "Cancellable units times the unit cost."),
        # --- backlog
        "open_lines": Column("count", "Open lines", "Lines waiting at the end of the day."),
        "open_units": Column("units", "Open units", "Units waiting at the end of the day."),
        "median_age_days": Column(
            "days", "Median age, days", "Median of the days since the orders of the waiting lines."
        ),
        "backorder_rate": Column("share", "Backorder rate", "Backordered units as a share of demand."),
        "growth_vs_forecast": Column(
            "share",
            "Growth vs forecast",
            "Change of the open units in 28 days over the forecast demand of 28 days; below 0 it shrinks.",
        ),
        "new_vs_forecast": Column("share", "New vs forecast", "Units backordered in 28 days over the forecast demand."),
        "faster_than_forecast": Column("flag", "Above forecast", "New backorders alone clearly exceed the forecast."),
        # --- items
        "method": Column(
            "category",
            "Method",
            "How demand is forecast; NB-SES is exponential smoothing with a negative binomial law.",
        ),
        "demand_class": Column(
            "category", "Demand class", "Pattern of demand: smooth, erratic, intermittent, lumpy, new or no demand."
        ),
        "mean_per_period": Column(
            "units", "Mean per period", "Level of demand per period of the forecast, without season."
        ),
        "mean_daily": Column("units", "Mean per day", "Expected demand a day, mean of the horizon."),
        "alpha": Column(
            "number", "Smoothing alpha", "Smoothing constant of the level, 0 to 1; empty where none was used."
        ),
        "n_periods": Column("count", "Periods seen", "Periods of history that count."),
        "n_nonzero": Column("count", "With demand", "Periods in which something was wanted."),
        "censored_share": Column("share", "Out of stock", "Share of the periods in which demand was hidden."),
        "category": Column("category", "Category", "Category of the item, as the tables name it."),
        "product_type": Column(
            "category", "Product type", "commodity, standard, specialty or custom; empty where not stated."
        ),
        "moq": Column("units", "Minimum order", "Least quantity that can be ordered; empty if none is known."),
        "pack_size": Column("units", "Pack", "Units per pack: orders are whole packs."),
        "reserved": Column("units", "Reserved", "Units on the shelf kept for others."),
        "on_hold": Column("units", "On hold", "Units on the shelf that may not be sold now, as in a recall."),
        "usable": Column("units", "Usable", "Units that can ship now: on hand less reserved and held."),
        "method_reason": Column("text", "Why this method", "What the comparison on past periods said."),
        "global_weight": Column("share", "Weight of trees", "Weight of the model over all items in the forecast."),
        "own_weight": Column("share", "Weight of own model", "Weight of the item's own theta model in the forecast."),
        "unit_cost": Column("money", "Unit cost", "What a unit costs to buy; empty where unknown."),
        "price": Column("money", "Price", "What a unit sells for; empty where unknown."),
        "review_days": Column("days", "Review days", "Time between two looks at what to order."),
        "active": Column("flag", "Active", "Whether the item is still sold after the last known day."),
        "stock_known": Column("flag", "Stock known", "Whether the tables say how much is on hand."),
        # --- data_quality
        "table": Column("text", "Table", "The input table, or plan."),
        "rule": Column("text", "Rule", "What was checked or done."),
        "rows_read": Column("count", "Read", "Rows that the rule looked at."),
        "rows_used": Column("count", "Used", "Rows that were kept."),
        "rows_merged": Column("count", "Merged", "Rows put together with others."),
        "rows_set_aside": Column("count", "Set aside", "Rows that were left out."),
        "examples": Column("text", "Examples", "Some of the rows."),
        "effect": Column("text", "Effect", "What it means for the plan."),
    }
)
"""Kind, heading and note of every known column; quantile suffixes are left off."""

OWN_NOTES: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("wait_cutoffs", "basis"): "Whose cancellations say how long customers wait: of the item, category or product"
        " type; prior if none; band where the type's usual band decided more.",
        ("reorders", "basis"): "What sets the quantity: cost, fill rate or service level.",
        ("lead_times", "basis"): "Where the law comes from: history, open orders (none has come), the stated lead time,"
        " or the default.",
        ("wait_cutoffs", "reason"): "Why this decision: the wait of a new line, the cutoff, and what decided.",
        ("reorders", "reason"): "Why this much, or nothing, is ordered.",
        ("notices", "reason"): "Why the message is due.",
        ("causes", "cause_text"): "What the input is, and what the risk would be with it at its reference.",
        ("causes", "baseline"): "Risk with every input at its reference.",
        ("backlog", "sku"): "The item; empty in the row of all items together.",
        ("lead_times", "sku"): "The item; empty for laws of more than one.",
        ("cash_flow", "date"): "The day of the payments.",
    }
)  # fmt: skip
"""Notes of columns that say something else in one frame than in others."""

UNITS: Mapping[str, str] = MappingProxyType(
    {
        "units": "In units of the item.", "days": "In days.", "money": "In the currency of the input.",
        "share": "A share (0 to 1), shown in percent.", "flag": "Yes or no.",
    }
)  # fmt: skip
"""Unit of the values, by kind, as notes name it."""
