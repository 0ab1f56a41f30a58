"""Notices: which customer must be told what, why and by when. Nothing is sent; the frame is ready for a mail merge.

Kinds: `availability` (can ship now), `cannot_fill` (no date can be named and none is near; the only message of its
line), `new_estimate` (a first date, or one clearly earlier), `delay` (clearly later than promised),
`consent_or_refund` (more likely than not late by the rule table; replaces a delay), `alternative` (the wait passes the
cutoff, a substitute is in stock, and no date is to be told), `discount` (the wait nears the cutoff, will end, and there
is no substitute). A line that is told a date is offered the substitute in the same message (`BEARERS`), so that an
offer never stands in for the news that a promise is broken. What is clear is set by `Settings.renotify_days` and
`renotify_share`. A `deadline` is the day by which to tell, the earlier one where a message has two reasons; what
should have been told already is due on the next business day. The rule table is a short summary of consumer law on
late delivery, not legal advice. Wording comes from jinja2 templates, one per kind (`TEMPLATES`), which
`Settings.notice_templates` replaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backorder_forecast.backorders import STOCK_NOW
from backorder_forecast.errors import InvalidSettings, unknown_option
from backorder_forecast.promises import promise_moves

if TYPE_CHECKING:
    import jinja2

    from backorder_forecast.settings import Settings

UNFILLED_AT = 0.99
"""Probability of not being filled in the horizon from which a line without a promise is given up. Judgement."""
KINDS = ("availability", "cannot_fill", "consent_or_refund", "delay", "new_estimate", "alternative", "discount")
BEARERS = ("consent_or_refund", "delay", "new_estimate")
"""Kinds whose message carries the offer of a substitute."""


@dataclass(frozen=True)
class DeliveryRule:
    """What consumer law asks when delivery is late.

    `unstated_days` is the time allowed where no date was stated, `text` the duty, `source` the law.
    """

    unstated_days: int
    text: str
    source: str


_EUROPE = (
    "deliver without undue delay and within 30 days, unless another time was agreed; if that fails the consumer may set"
    " a further fitting period, and after it end the contract and be paid back (at once where the time was essential or"
    " the trader refuses to deliver)"
)

DELIVERY_RULES: dict[str, DeliveryRule | None] = {
    "US": DeliveryRule(
        30,
        "ship within the time stated, 30 days after the complete order where none was; if that cannot be kept, tell the"
        " buyer before it is over, name a new date and ask for consent, or cancel and refund promptly",
        "16 CFR Part 435 (Mail, Internet, or Telephone Order Merchandise Rule)",
    ),
    "EU": DeliveryRule(30, _EUROPE, "Directive 2011/83/EU, Article 18, as enacted in national law"),
    "UK": DeliveryRule(30, _EUROPE, "Consumer Rights Act 2015, section 28"),
    "none": None,
}

COLUMNS = (
    "order_id", "sku", "location", "customer_id", "quantity", "kind", "reason", "old_date", "new_date", "offer",
    "deadline", "policy_text", "jurisdiction", "legal_note", "text",
)  # fmt: skip

_POLICY = "{% if policy_text %} {{ policy_text }}{% endif %}"
_OFFER = "{% if offer %} {{ offer }}{% endif %}"
_WHAT = 'Order {{ order_id }}: {{ "%g" % quantity }} x {{ sku }}'
TEMPLATES = {
    "availability": _WHAT + " can ship now.",
    "cannot_fill": "Order {{ order_id }}: we cannot name a date for {{ '%g' % quantity }} x {{ sku }}. {{ offer }}"
    + _POLICY,
    "consent_or_refund": _WHAT + " {{ lateness }}. {{ news }} {{ offer }}" + _POLICY,
    "delay": _WHAT + " comes later than {{ old_date }}. {{ news }}" + _OFFER + _POLICY,
    "new_estimate": _WHAT + " is expected by {{ new_date }}." + _OFFER,
    "alternative": _WHAT + " is a long wait. {{ news }} {{ offer }}",
    "discount": _WHAT + " is a long wait. {{ offer }}",
}
"""Plain wording per kind, jinja2; the fields are `FIELDS`. Wording without `offer` leaves an offer out."""
FIELDS = (
    "order_id", "sku", "location", "customer_id", "quantity", "kind", "reason", "old_date", "new_date", "due", "offer",
    "deadline", "policy_text", "jurisdiction", "legal_note", "lateness", "news",
)  # fmt: skip
"""What a template may name: columns of the frame, dates in words; `due` is the promised day or that of the rule table,
`lateness` says whether it is over, `news` names the date that is now expected or that there is none."""
LATENESS = ("was due by {due} and is late", "will probably not arrive by {due}")
"""Where the due day is over, and where it is still ahead."""


def notices_frame(
    fill_dates: pd.DataFrame, cutoffs: pd.DataFrame, *, as_of: pd.Timestamp, settings: Settings
) -> pd.DataFrame:
    """What each open line is to be told; one row per line, two where a discount comes with a date.

    Parameters
    ----------
    fill_dates
        From `fill_date_frame`: order_id, sku, location, customer_id, quantity, order_date, promised_date,
        fill_date_0.5, promise_date, p_at_promise, p_unfilled, waited_days, source.
    cutoffs
        The frame `wait_cutoffs`: sku, location, wait_cutoff_days, substitute_sku, and optionally substitute_units: no
        more are offered, to the first lines of the item first.

    Returns
    -------
    order_id, sku, location, customer_id, quantity, kind, reason, old_date, new_date, offer, deadline, policy_text,
    jurisdiction, legal_note, text; in the order of `fill_dates`, then of `KINDS`.

    Raises
    ------
    InvalidSettings
        If a template is of no kind, cannot be read, or names a field that there is not.
    """
    templates = _compiled(settings)
    if settings.jurisdiction not in DELIVERY_RULES:
        raise unknown_option("jurisdiction", settings.jurisdiction, DELIVERY_RULES)
    rule = DELIVERY_RULES[settings.jurisdiction]
    lines = fill_dates.reset_index(drop=True)
    limit = cutoffs.get("substitute_units", pd.Series(np.inf, index=cutoffs.index))
    known = cutoffs[["sku", "location", "wait_cutoff_days", "substitute_sku"]].assign(substitute_units=limit)
    lines = lines.merge(known, on=["sku", "location"], how="left", validate="many_to_one")
    lines["line"] = np.arange(len(lines))
    moved = pd.Series(
        promise_moves(lines["promised_date"], lines["promise_date"], as_of=as_of, settings=settings), index=lines.index
    )
    now = lines["source"] == STOCK_NOW
    late = pd.Series(False, index=lines.index)
    due = lines["promised_date"]
    if rule is not None:
        due = due.fillna(lines["order_date"] + pd.Timedelta(days=rule.unstated_days))
        # No median date at all is later than any due date.
        late = ~(lines["fill_date_0.5"] <= due) & ~now
    to_come = (lines["fill_date_0.5"] - as_of).dt.days.fillna(np.inf)
    wait = lines["waited_days"] + to_come
    too_long = (wait > lines["wait_cutoff_days"]) & ~now
    near = (wait >= settings.discount_at_share * lines["wait_cutoff_days"]) & ~now
    lost = (lines["p_unfilled"] >= UNFILLED_AT) & lines["promise_date"].isna() & ~now
    gone = (too_long | lost) & ~_spared(lines, too_long | lost)
    lines["substitute_sku"] = lines["substitute_sku"].fillna("").mask(gone, "")
    has_substitute = lines["substitute_sku"] != ""
    first = lines["promised_date"].isna() & lines["promise_date"].notna()
    offered = too_long & has_substitute & ~lost
    hits = {
        "availability": now,
        "cannot_fill": lost,
        "consent_or_refund": late & ~lost,
        "delay": (moved == 1) & ~late & ~now & ~lost,
        "new_estimate": (first | (moved == -1)) & ~late & ~now,
        # Who is asked for consent to a delay is not courted in a second message, nor is a wait without an end sold.
        "discount": near & ~has_substitute & ~late & ~lost & np.isfinite(wait),
    }
    hits["alternative"] = offered & ~np.logical_or.reduce([hits[kind] for kind in BEARERS])
    patience_ends = lines["order_date"] + pd.to_timedelta(lines["wait_cutoff_days"].fillna(0).round(), unit="D")
    soonest = _next_day(as_of, business_days=settings.business_days)
    last_days = {
        "cannot_fill": due.fillna(soonest),
        "consent_or_refund": due,
        "delay": lines["promised_date"],
        "alternative": patience_ends,
        "discount": patience_ends,
    }
    # The end of `as_of` has passed: nobody can be told on that day.
    deadlines = {kind: last.mask(last <= as_of, soonest) for kind, last in last_days.items()}
    parts = []
    for kind in KINDS:
        part = lines[hits[kind]].copy()
        part["kind"] = kind
        part["deadline"] = deadlines[kind].loc[part.index] if kind in deadlines else pd.Series(pd.NaT, index=part.index)
        part["due"] = due.loc[part.index]
        part["reason"] = _reason(part, kind, wait, as_of, settings)
        part["offer"] = _offer(part, kind)
        if kind in BEARERS:
            _add_alternative(part, offered.loc[part.index], deadlines["alternative"], wait, as_of, settings)
        parts.append(part)
    frame: pd.DataFrame = pd.concat(parts).sort_values("line", kind="stable", ignore_index=True)
    frame = frame.rename(columns={"promised_date": "old_date", "promise_date": "new_date"})
    for column in ("old_date", "new_date", "deadline"):
        frame[column] = frame[column].astype("datetime64[s]")
    frame["policy_text"] = settings.policy_text
    frame["jurisdiction"] = settings.jurisdiction
    note = "" if rule is None else f"{rule.source}: {rule.text}; not legal advice"
    frame["legal_note"] = np.where(frame["kind"].isin(["consent_or_refund", "cannot_fill"]), note, "")
    frame["text"] = _texts(frame, as_of, templates)
    for column in ("kind", "reason", "offer", "policy_text", "jurisdiction", "legal_note", "text"):
        frame[column] = frame[column].astype("str")
    return frame[list(COLUMNS)]


def _spared(lines: pd.DataFrame, asking: pd.Series) -> pd.Series:
    """Whether the units of the substitute set aside for a line's item are enough for it, in the order of the lines.

    A line too large for what is left is passed over: those after it that are small enough are served.
    """
    spared = pd.Series(False, index=lines.index)
    left: dict[tuple[str, str], float] = {}
    asks = lines.loc[asking & lines["substitute_sku"].notna(), ["sku", "location", "quantity", "substitute_units"]]
    for row, sku, location, quantity, units in asks.itertuples():
        rest = left.get((sku, location), float(units))
        if quantity <= rest + 1e-9:
            spared[row] = True
            left[sku, location] = rest - quantity
    return spared


def _next_day(as_of: pd.Timestamp, *, business_days: bool) -> pd.Timestamp:
    day = (as_of + pd.Timedelta(days=1)).to_datetime64().astype("datetime64[D]")
    return pd.Timestamp(np.busday_offset(day, 0, roll="forward") if business_days else day)


def _reason(part: pd.DataFrame, kind: str, wait: pd.Series, as_of: pd.Timestamp, settings: Settings) -> pd.Series:
    own = wait[part.index]
    ends = np.isfinite(own)
    days = own.where(ends, -1).astype(np.int64).astype("str")
    # A wait is whole days: 11 of 10.6 acceptable ones are one too many.
    cutoff = np.floor(part["wait_cutoff_days"].fillna(0) + 1e-9).astype(np.int64).astype("str")
    if kind == "availability":
        return pd.Series("in stock", index=part.index, dtype="str")
    if kind == "cannot_fill":
        unfilled = (part["p_unfilled"] * 100).round().astype(np.int64).astype("str")
        return "not filled within " + str(settings.horizon_days) + " days with probability " + unfilled + "%"
    if kind == "consent_or_refund":
        ahead = "more likely than not later than " + _day(part["due"])
        return ahead.where(part["due"] > as_of, "due by " + _day(part["due"]) + " and still open")
    if kind == "delay":
        return "promised for " + _day(part["promised_date"]) + ", now " + _day(part["promise_date"])
    if kind == "new_estimate":
        sure = (part["p_at_promise"] * 100).round().fillna(0).astype(np.int64).astype("str")
        earlier = "earlier than promised, probability " + sure + "%"
        return earlier.where(part["promised_date"].notna(), "no date promised so far, probability " + sure + "%")
    expected: pd.Series = "expected wait " + days + " days of " + cutoff + " acceptable ones"
    return expected.where(ends, "no fill date in sight, " + cutoff + " days are acceptable")


def _offer(part: pd.DataFrame, kind: str) -> pd.Series:
    blank = pd.Series("", index=part.index, dtype="str")
    if kind == "cannot_fill":
        other = "a full refund or " + part["substitute_sku"].astype("str").fillna("") + " instead, which is in stock."
        none = part["substitute_sku"].fillna("") == ""
        return "Please choose " + other.mask(none, "a refund or an alternative.")
    if kind == "consent_or_refund":
        agree = blank + "Please agree to the new date, or cancel with a full refund."
        return agree.mask(part["promise_date"].isna(), "Please agree to wait, or cancel with a full refund.")
    if kind == "alternative":
        return "You may take " + part["substitute_sku"].astype("str") + " instead; it is in stock."
    if kind == "discount":
        return blank + "We would like to offer you a discount for waiting."
    return blank


def _add_alternative(
    part: pd.DataFrame, where: pd.Series, tell_by: pd.Series, wait: pd.Series, as_of: pd.Timestamp, settings: Settings
) -> None:
    """Put the substitute into the messages that tell a date."""
    reason, offer = _reason(part, "alternative", wait, as_of, settings), _offer(part, "alternative")
    part["reason"] = part["reason"].mask(where, part["reason"] + "; " + reason)
    both = (part["offer"] + " " + offer).str.strip()
    part["offer"] = part["offer"].mask(where, both)
    earlier = pd.concat([part["deadline"], tell_by.loc[part.index]], axis=1).min(axis=1)
    part["deadline"] = part["deadline"].mask(where, earlier)


def _day(dates: pd.Series) -> pd.Series:
    text: pd.Series = dates.dt.strftime("%Y-%m-%d").astype("str").fillna("a date not yet known")
    return text


def _compiled(settings: Settings) -> dict[str, jinja2.Template]:
    """The template of each kind, checked against the fields there are."""
    import jinja2
    from jinja2 import meta

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    found = {}
    for kind, text in {**TEMPLATES, **settings.notice_templates}.items():
        if kind not in KINDS:
            raise unknown_option("kind of notice in notice_templates", kind, KINDS)
        try:
            named = meta.find_undeclared_variables(environment.parse(text))
            found[kind] = environment.from_string(text)
        except jinja2.TemplateSyntaxError as error:
            raise InvalidSettings(
                f"the notice template {kind!r} cannot be read: {error.message}, got {text!r}"
            ) from error
        for name in sorted(named - set(FIELDS)):
            raise unknown_option(f"field in the notice template {kind!r}", name, FIELDS)
    return found


def _texts(frame: pd.DataFrame, as_of: pd.Timestamp, templates: dict[str, jinja2.Template]) -> list[str]:
    due, new = _day(frame["due"]), frame["new_date"]
    over, ahead = ([words.format(due=day) for day in due] for words in LATENESS)
    fields = {
        **{name: frame[name].to_numpy(object) for name in FIELDS if name in frame},
        "lateness": np.where(frame["due"] <= as_of, over, ahead),
        "news": np.where(frame["kind"] == "alternative", _news(new, "Expected by "), _news(new, "New date: ", "new ")),
        **{name: _day(frame[name]).to_numpy(object) for name in ("old_date", "new_date", "due", "deadline")},
    }
    rows = zip(frame["kind"].to_numpy(object), zip(*fields.values(), strict=True), strict=True)
    return [templates[kind].render(dict(zip(fields, values, strict=True))) for kind, values in rows]


def _news(new: pd.Series, words: str, adjective: str = "") -> pd.Series:
    text: pd.Series = (words + _day(new) + ".").mask(new.isna(), f"We cannot name a {adjective}date yet.")
    return text
