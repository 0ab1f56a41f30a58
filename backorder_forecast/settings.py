"""Every default in one place, each with its unit and where it comes from.

`Settings` is frozen: a plan, its report and its backtest state the one object they rest on. Judgements (such as the
patience priors) are labelled so, because an analyst must be able to defend or replace them.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, wraps
from itertools import pairwise
from numbers import Real
from pathlib import Path
from textwrap import fill, indent
from types import MappingProxyType
from typing import Any, TypeVar

from backorder_forecast.errors import InvalidSettings, unknown_option

PRODUCT_TYPES = ("commodity", "standard", "specialty", "custom")
FREQS = (
    "auto", "D", "W-MON", "W-TUE", "W-WED", "W-THU", "W-FRI", "W-SAT", "W-SUN", "MS",
)  # fmt: skip
UNMET = ("backorder", "lost", "partial")
ALLOCATIONS = ("fifo", "priority", "fair_share")

# (share of customers who never wait, mean waiting time in days as 1 / mean hazard): judgement, replace by your own data.
PATIENCE_PRIORS = {"commodity": (0.85, 7.0), "standard": (0.5, 20.0), "specialty": (0.2, 65.0), "custom": (0.05, 130.0)}
# Acceptable waits in days per product type: judgement, see README "How long a wait to accept".
CUTOFF_BANDS = {"commodity": (0.0, 7.0), "standard": (7.0, 30.0), "specialty": (30.0, 60.0), "custom": (60.0, 180.0)}
# Multipliers of the cancellation hazard by payment terms: assumptions until the shop's own data replace them.
PAYMENT_HAZARD = {"none": 1.0, "deposit": 0.7, "instalments": 0.6, "full": 0.5}

_CHOICES: dict[str, tuple[str, ...]] = {
    "freq": FREQS,
    "unmet": UNMET,
    "allocation": ALLOCATIONS,
    "sales_are": ("shipments", "orders"),
    "order_target": ("service_level", "fill_rate", "cost"),
    "daily_cost_basis": ("while_held", "quoted_wait"),
    "jurisdiction": ("US", "EU", "UK", "none"),
}
_SHARES = (
    "service_level", "promise_level", "watch_probability", "warning_probability", "critical_probability",
    "default_margin_share", "substitute_acceptance", "deposit_share", "holding_cost_rate", "excess_level",
    "surplus_share", "discount_at_share",
)  # fmt: skip
_WHOLE = (
    "horizon_days", "n_paths", "bucket_size", "review_days", "max_lead_time_days", "default_lead_time_days",
    "init_periods", "max_path_days", "max_cutoff_days", "global_rows", "global_origins", "smooth_items",
    "learned_flag_rows", "promise_origins", "seed", "workers",
)  # fmt: skip
_POSITIVE = (
    "horizon_days", "n_paths", "bucket_size", "review_days", "max_lead_time_days", "default_lead_time_days",
    "variance_shrink_n", "init_periods", "max_path_days",
    "global_rows", "global_origins", "event_shrink_units", "learned_flag_rows",
)  # fmt: skip


_OF_TEXT = ("supplier_calendars", "notice_templates")
"""Tables whose values are text; those of the others are numbers, alone or in pairs."""


def kind_problem(name: str, wanted: Any, value: Any) -> str:
    """What is wrong with the kind of a value for a setting whose default is `wanted`; empty if nothing is.

    Examples
    --------
    >>> kind_problem("horizon_days", 90, "30")
    "horizon_days is a number, got '30'"
    >>> kind_problem("supplier_calendars", {}, {"ACME": 5})
    "supplier_calendars is a table of text, got {'ACME': 5}"
    """
    if isinstance(wanted, bool):
        kind, fits = "choice of true and false", _is_flag(value)
    elif isinstance(wanted, str):
        kind, fits = "text", isinstance(value, str)
    elif isinstance(wanted, Mapping):
        sample = "" if name in _OF_TEXT else next(iter(wanted.values()), 0.0)
        words = "text" if isinstance(sample, str) else "pairs of numbers" if isinstance(sample, tuple) else "numbers"
        kind, fits = (
            f"table of {words}",
            isinstance(value, Mapping) and all(_is_like(sample, v) for v in value.values()),
        )
    elif isinstance(wanted, tuple):
        kind, fits = "list of numbers", _is_list(value) and all(_is_number(v) for v in value)
    else:
        kind, fits = "number", _is_number(value)
    return "" if fits else f"{name} is a {kind}, got {dict(value) if isinstance(value, Mapping) else value!r}"


def _is_like(sample: Any, value: Any) -> bool:
    if isinstance(sample, str):
        return isinstance(value, str)
    if isinstance(sample, tuple):
        return _is_list(value) and len(value) == len(sample) and all(_is_number(v) for v in value)
    return _is_number(value)


def _is_flag(value: Any) -> bool:
    # numpy has a class of this name of its own.
    return isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not _is_flag(value)


def _frozen(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(value))


_T = TypeVar("_T")


def named(options: type[_T], kind: str) -> type[_T]:
    """A dataclass that tells an unknown name with the valid ones, in place of a TypeError."""
    given = options.__init__
    names = [f.name for f in dataclasses.fields(options)]  # type: ignore[arg-type]

    @wraps(given)
    def init(self: _T, **values: Any) -> None:
        for name in values:
            if name not in names:
                raise unknown_option(kind, name, sorted(names))
        given(self, **values)

    options.__init__ = init  # type: ignore[method-assign,assignment]
    return options


def _explained(settings: type[_T]) -> type[_T]:
    """The class with every field in its docstring, where help() shows it, and with words for an unknown name."""
    settings = named(settings, "setting")
    if settings.__doc__:
        head, examples = settings.__doc__.split("    Examples\n", 1)
        entries = "".join(f"    {name}\n{indent(fill(words, 104), ' ' * 8)}\n" for name, words in meanings().items())
        settings.__doc__ = f"{head}    Parameters\n    ----------\n{entries}\n    Examples\n{examples}"
    return settings


@cache
def meanings() -> dict[str, str]:
    """What each setting means: the sentence below its field, the one place that explains it."""
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings").body
    found = {}
    for before, node in pairwise(body):
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name) and isinstance(node, ast.Expr):
            found[before.target.id] = " ".join(str(ast.literal_eval(node.value)).replace("`", "").split())
    return found


@_explained
@dataclass(frozen=True, kw_only=True)
class Settings:
    """Choices and assumptions of a plan; unknown names and values out of range raise `InvalidSettings`.

    Examples
    --------
    >>> Settings(service_level=0.9).service_level
    0.9
    >>> Settings(allocation="fiffo")
    Traceback (most recent call last):
    ...
    backorder_forecast.errors.InvalidSettings: unknown allocation 'fiffo' (did you mean 'fifo'?); valid are: fifo, priority, fair_share
    """

    # --- clock and simulation
    horizon_days: int = 90
    """Days ahead that stockouts, forecasts and fill dates look."""
    freq: str = "auto"
    """Period of the demand clock: auto (read from the sales dates), D, W-MON ... W-SUN (the first day), MS."""
    seed: int = 0
    """Seed of all sample paths; same input and seed, same bytes."""
    n_paths: int = 500
    """Sample paths per item; the simulation error of a probability is at most 0.5 over the square root of that number."""
    bucket_size: int = 128
    """Items simulated at once; bounds the memory, never changes a result."""
    workers: int = 0
    """Cores to use; 0 means all. Never changes a result."""
    max_path_days: int = 760
    """Paths reach beyond `horizon_days` where lead time + review need it, up to this; what lies beyond counts as safe,
    so that it holds the longest lead time and a month. A longer `horizon_days` is simulated in full."""

    # --- demand (NB-SES; see demand.py)
    alphas: tuple[float, ...] = (0.01, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5)
    """Candidate smoothing constants, one chosen per demand class by pooled rolling pinball loss; daily data takes the
    small ones."""
    init_periods: int = 12
    """In-stock periods from the first sale that initialise the level."""
    variance_shrink_n: float = 15.0
    """Pseudo-observations of the cross-section variance line log v = c + d log m."""
    global_model: bool = True
    """Whether gradient-boosted trees over all items may join the forecast, where trials on the past favour them."""
    global_rows: int = 120_000
    """Most rows (items at past origins) that the global model learns from; a third of them in trials."""
    global_origins: int = 104
    """Most past origins that the global model learns from."""
    theta: bool = True
    """Whether each item's own theta method joins the average where trials favour it."""
    smooth_items: int = 50
    """Long steady items of most value whose theta is fitted by likelihood (statsmodels); each costs about 7 ms per
    fit, four fits; 0 without `theta`. A count and no time limit, so that results do not depend on the machine."""
    holidays_country: str = ""
    """Country code of public holidays that move demand, such as GB or DE-BY; needs the `holidays` extra."""
    event_shrink_units: float = 40.0
    """Pseudo-units by which the learned lift of an event is drawn to the stated one, or to none."""
    sales_are: str = "shipments"
    """What a sales row is dated by: shipments, or orders (then backorder lines add nothing to demand)."""
    min_in_stock: float = 0.25
    """In-stock share of a period below which it says nothing about demand."""

    # --- supply
    default_lead_time_days: int = 14
    """Lead time assumed where neither purchase orders nor products state one; reported where used. Judgement."""
    stated_lead_time_sd_log: float = 0.35
    """Log standard deviation around a stated lead time without history. Judgement."""
    lead_time_pool_k: float = 0.0
    """Pseudo-observations of the parent law (Ferguson 1973); 0 chooses 5, 10 or 20 by how well past orders are
    foretold, and takes 10 where there are too few."""
    lead_time_half_life_days: float = 0.0
    """Age at which a past order counts half; 0 chooses one, two or four years by how well past orders are foretold, and
    takes two where there are too few."""
    supplier_calendars: Mapping[str, str] = field(default_factory=lambda: _frozen({}))
    """Per supplier the days on which it works: a week such as 1111110 (Monday first), or a country code such as CN or
    DE-BY, Monday to Friday without its public holidays (needs the `holidays` extra). Its lead times count these days."""
    no_crossover: bool = False
    """Whether a supplier's orders of one item arrive in the order in which they were placed."""
    max_lead_time_days: int = 730
    """Longest lead time of the grid; what lies beyond counts as not arriving within it."""
    business_days: bool = True
    """Promise dates fall on Monday to Friday."""

    # --- stock and flags
    unmet: str = "backorder"
    """What unmet demand does: backorder (waits), lost, or partial: the share that waits, learned by product type from
    days out of stock, leaves by and by as the item's patience curve says (both from `patience_priors` at first)."""
    service_level: float = 0.95
    """Probability of no unmet demand per order cycle, for orders, order-by dates and avoidability."""
    critical_probability: float = 0.5
    """Chance of unmet demand before a normal order arrives from which an item of the usual margin is critical; see
    action_cost."""
    warning_probability: float = 0.2
    """The same for warning."""
    watch_probability: float = 0.05
    """The same for watch; an item whose order is due before the next review is watched too."""
    action_cost: float = 0.0
    """Fixed cost of acting on one flag (time, a visit), money. Flags weigh the expected cost of a miss (its chance times the
    margin of the units short until an order placed now arrives) against the cost of acting: this, and a share of what these
    units cost to buy. The share is such that items of the usual margin (`default_margin_share`), and those without a price,
    are watched from `watch_probability` on, others from a third to one and a half times of it. Warning and critical stand
    for acts dearer by the ratio of their chances. Judgement."""
    learned_flag: bool = True
    """Whether flags average the projected chance with one learned from past snapshots, where there are enough of them
    (12 dates, 200 new stockouts)."""
    learned_flag_rows: int = 8_000
    """Most rows (items at past snapshots) that the learned flag is fitted on, a few seconds; reading the past takes up
    to one more per thousand items."""

    # --- backorders and promises
    allocation: str = "fifo"
    """Who is served first: fifo, priority, fair_share."""
    promise_level: float = 0.9
    """Probability with which a promise date is to be kept."""
    promise_origins: int = 6
    """Past days, four weeks apart, on which promises are replayed to correct today's (fewer where lines are many); 0
    takes the simulated probabilities as they are."""
    new_demand_overtakes: bool = False
    """Whether demand after `as_of` is served before waiting lines; moves their fill dates, stockouts still count them."""
    customers_leave: bool = True
    """Whether those ahead in the queue may cancel before they are served, by their patience; else all stay. With fair
    shares, and where new demand overtakes, all stay."""
    renotify_days: float = 3.0
    """Smallest move of a promise that is worth a message, days."""
    renotify_share: float = 0.1
    """The same as a share of the remaining wait; the larger of both counts."""
    reserved_includes_backorders: bool = False
    """Whether `inventory.reserved` already holds stock for lines in `backorders`."""

    # --- acceptable wait, payment, cash
    patience_priors: Mapping[str, tuple[float, float]] = field(default_factory=lambda: _frozen(PATIENCE_PRIORS))
    """Per product type: share that never waits, and 1 / mean cancellation hazard in days. Judgement."""
    cutoff_bands: Mapping[str, tuple[float, float]] = field(default_factory=lambda: _frozen(CUTOFF_BANDS))
    """Per product type: usual acceptable wait, days from-to. Judgement."""
    band_weight_n: float = 30.0
    """The band weighs as much as this many observed cancellations."""
    payment_hazard: Mapping[str, float] = field(default_factory=lambda: _frozen(PAYMENT_HAZARD))
    """Multiplier of the cancellation hazard by payment terms. Assumption, until 20 cancellations each way tell it."""
    deposit_share: float = 0.3
    """Share of the price taken as a deposit. Assumption."""
    refund_cost_share: float = 0.06
    """Cost of handling a cancelled line as a share of the price. Assumption."""
    daily_wait_cost_share: float = 0.001
    """Cost of holding a waiting line open, share of the price per day. Assumption."""
    daily_cost_basis: str = "while_held"
    """Daily cost accrues while_held (until a cancellation) or for the whole quoted_wait."""
    goodwill_share: float = 0.021
    """Loss of a customer's yearly contribution per backorder (Bhan & Anderson 2023, average)."""
    goodwill_share_late: float = 0.061
    """The same for waits beyond `goodwill_late_days` (Bhan & Anderson 2023)."""
    goodwill_late_days: float = 10.0
    """Wait from which the larger goodwill loss applies, days."""
    customer_contribution: float = 0.0
    """Yearly contribution of a customer in money; 0 leaves goodwill out."""
    substitute_acceptance: float = 0.5
    """Share of refused customers who take a substitute in stock. Assumption."""
    default_margin_share: float = 0.3
    """Margin as a share of the price where unit cost is missing. Assumption."""
    max_cutoff_days: int = 365
    """End of the grid on which the cutoff is searched."""
    jurisdiction: str = "US"
    """Rule table for notices: US, EU, UK or none. Not legal advice."""
    policy_text: str = ""
    """The shop's own cancellation and refund policy, quoted in notices."""
    notice_templates: Mapping[str, str] = field(default_factory=lambda: _frozen({}))
    """The shop's own wording by kind of notice, as jinja2 text such as "Dear {{ customer_id }}, ..."; kinds left out
    keep theirs (`notices.TEMPLATES`, fields in `notices.FIELDS`)."""
    discount_at_share: float = 0.8
    """Share of the acceptable wait from which a waiting customer is offered a discount. Judgement."""

    # --- orders
    order_target: str = "service_level"
    """Orders reach the service_level per order cycle, or as fill_rate that share of demand filled at once, or have the
    least expected holding and shortage cost (items of unknown cost then go by the service_level)."""
    surplus_share: float = 0.25
    """Share of the holding after the next review that is charged to a unit still left over then, in orders by cost.
    `calibrate_orders` chooses it on the past. In 18 simulated cases (Poisson demand of .02 to 3 a week, level known or
    uncertain, lost sales, lead time of three weeks) this value cost at most 5 % more than the best, but for one."""
    order_budget: float = 0.0
    """Money that all orders of a plan together may cost, never exceeded; every item to be ordered then needs a cost.
    Express deliveries, which are only suggested, come on top. 0 for no limit."""
    order_capacity: float = 0.0
    """Units that all orders of a plan together may have, such as what can be taken in; never exceeded. 0 for none."""
    review_days: int = 7
    """Days between order decisions where products state none."""
    holding_cost_rate: float = 0.25
    """Yearly holding cost per unit of stock value where products state none. Textbook value."""
    excess_level: float = 0.95
    """Stock above this quantile of demand over lead time + review + horizon is excess."""

    def __post_init__(self) -> None:
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        problems = [p for p in (kind_problem(n, wanted, values[n]) for n, wanted in _defaults().items()) if p]
        problems = problems or list(self._problems())
        if problems:
            raise InvalidSettings("; ".join(problems))
        for name in ("patience_priors", "cutoff_bands"):
            object.__setattr__(self, name, _frozen(getattr(self, name)))
        for name in ("payment_hazard", "supplier_calendars", "notice_templates"):
            object.__setattr__(self, name, _frozen(getattr(self, name)))

    def _problems(self) -> Iterator[str]:
        """What is wrong with the values, all of it."""
        for name, valid in _CHOICES.items():
            if getattr(self, name) not in valid:
                yield str(unknown_option(name, str(getattr(self, name)), valid))
        strict = ("service_level", "promise_level", "excess_level")
        for name in _SHARES:
            value = getattr(self, name)
            if name not in strict and not 0.0 <= value <= 1.0:
                yield f"{name} is a share between 0 and 1, got {value!r}"
        for name in strict:
            if not 0.0 < getattr(self, name) < 1.0:
                yield f"{name} lies strictly between 0 and 1, got {getattr(self, name)!r}"
        if not self.watch_probability <= self.warning_probability <= self.critical_probability:
            yield (
                "watch_probability, warning_probability and critical_probability do not fall in this order, got"
                f" {self.watch_probability!r}, {self.warning_probability!r}, {self.critical_probability!r}"
            )
        for name, what in (("action_cost", "a cost in money"), ("order_budget", "money"), ("order_capacity", "units")):
            if not 0.0 <= getattr(self, name) < float("inf"):
                yield f"{name} is 0 or {what}, got {getattr(self, name)!r}"
        if self.action_cost > 0 and self.watch_probability == 0:
            yield "with an action_cost the watch_probability is above 0, got 0"
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                yield f"{name} is positive, got {getattr(self, name)!r}"
        for name in ("lead_time_pool_k", "lead_time_half_life_days"):
            if not getattr(self, name) >= 0:
                yield f"{name} is 0 (chosen on the past) or positive, got {getattr(self, name)!r}"
        for name in _WHOLE:
            if not float(getattr(self, name)).is_integer():
                yield f"{name} is a whole number, got {getattr(self, name)!r}"
        if not self.alphas or not all(0.0 < alpha <= 1.0 for alpha in self.alphas):
            yield f"alphas are one or more numbers above 0 and up to 1, got {self.alphas!r}"
        for name in ("patience_priors", "cutoff_bands"):
            missing = [t for t in PRODUCT_TYPES if t not in getattr(self, name)]
            if missing:
                yield f"{name} lacks the product type(s) {', '.join(missing)}"

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled; rebuild from plain values.
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        plain = {k: dict(v) if isinstance(v, Mapping) else v for k, v in values.items()}
        return _rebuild, (plain,)

    def replace(self, **changes: Any) -> Settings:
        """A copy with some settings changed.

        Examples
        --------
        >>> Settings().replace(seed=7).seed
        7
        """
        names = {f.name for f in dataclasses.fields(self)}
        for name in changes:
            if name not in names:
                raise unknown_option("setting", name, sorted(names))
        return dataclasses.replace(self, **changes)


@cache
def _defaults() -> dict[str, Any]:
    fields = dataclasses.fields(Settings)
    return {f.name: f.default_factory() if callable(f.default_factory) else f.default for f in fields}


def _rebuild(values: dict[str, Any]) -> Settings:
    return Settings(**values)
