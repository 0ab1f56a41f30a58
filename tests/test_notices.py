from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from backorder_forecast.errors import InvalidSettings
from backorder_forecast.notices import COLUMNS, DELIVERY_RULES, FIELDS, notices_frame
from backorder_forecast.settings import Settings

AS_OF = pd.Timestamp("2024-05-05")
NO_RULE = Settings(jurisdiction="none")


def day(offset: float | None) -> Any:
    return pd.NaT if offset is None else AS_OF + pd.Timedelta(days=offset)


def lines(*rows: dict[str, Any]) -> pd.DataFrame:
    """Fill dates of lines ordered two days ago that are expected in ten days; dates in days from `AS_OF`."""
    base = {"order_date": -2, "promised_date": None, "fill_date_0.5": 10, "promise_date": 12}
    frame = pd.DataFrame([{**base, **row} for row in rows])
    dates = {c: pd.Series([day(x) for x in frame[c].astype(object).where(frame[c].notna(), None)]) for c in base}
    frame = frame.assign(**{c: x.astype("datetime64[s]") for c, x in dates.items()})
    fixed: dict[str, Any] = {
        "order_id": [f"o{k}" for k in range(len(rows))],
        "sku": "A",
        "location": "",
        "customer_id": "c",
    }
    fixed |= {"source": "next order", "quantity": 2.0}
    frame = frame.assign(**{k: v for k, v in fixed.items() if k not in frame}, p_at_promise=0.93)
    unfilled = frame["fill_date_0.5"].isna().astype(float)
    frame["p_unfilled"] = frame["p_unfilled"].fillna(unfilled) if "p_unfilled" in frame else unfilled
    return frame.assign(waited_days=(AS_OF - frame["order_date"]).dt.days)


def cutoffs(days: float = 60.0, substitute: str = "") -> pd.DataFrame:
    return pd.DataFrame({"sku": ["A"], "location": [""], "wait_cutoff_days": [days], "substitute_sku": [substitute]})


def kinds(frame: pd.DataFrame) -> list[list[str]]:
    return [frame.loc[frame["order_id"] == o, "kind"].tolist() for o in sorted(frame["order_id"].unique())]


def test_what_is_in_stock_is_available_and_nothing_else() -> None:
    table = lines({"fill_date_0.5": 1, "promise_date": 1, "promised_date": -9, "source": "stock now"})
    frame = notices_frame(table, cutoffs(1.0, "B"), as_of=AS_OF, settings=Settings())
    assert kinds(frame) == [["availability"]]
    assert frame["new_date"].iloc[0] == day(1)
    assert frame["text"].iloc[0] == "Order o0: 2 x A can ship now."


def test_an_order_that_comes_tomorrow_is_not_in_stock() -> None:
    table = lines({"fill_date_0.5": 1, "promise_date": 1, "source": "PO 4711 (ACME)"})
    assert kinds(notices_frame(table, cutoffs(), as_of=AS_OF, settings=Settings())) == [["new_estimate"]]


def test_estimates_and_delays_follow_the_tolerance() -> None:
    table = lines(
        {},  # no date promised so far
        {"promised_date": 10},  # two days later: not worth a message
        {"promised_date": 8},  # four days later
        {"promised_date": 18},  # six days earlier: within twice the tolerance
        {"promised_date": 30},  # clearly earlier
        {"promised_date": 8, "promise_date": None},  # no date can be named any more
    )
    frame = notices_frame(table, cutoffs(), as_of=AS_OF, settings=NO_RULE)
    by_line = {o: frame.loc[frame["order_id"] == o, "kind"].tolist() for o in [f"o{k}" for k in range(6)]}
    assert by_line == {
        "o0": ["new_estimate"],
        "o1": [],
        "o2": ["delay"],
        "o3": [],
        "o4": ["new_estimate"],
        "o5": ["delay"],
    }
    assert frame["reason"].tolist()[0] == "no date promised so far, probability 93%"
    assert frame["reason"].tolist()[2] == "earlier than promised, probability 93%"
    assert "a date not yet known" in frame["reason"].iloc[3]
    assert frame["new_date"].isna().tolist() == [False, False, False, True]


def test_consent_or_refund_by_the_rule_table() -> None:
    table = lines(
        {"promised_date": 5},  # the middle of the fill date is later than stated
        {"promised_date": 11},  # more likely kept than not
        {"order_date": -25},  # nothing stated: 30 days end in five
        {"order_date": -5},
        {"fill_date_0.5": None, "promise_date": None, "p_unfilled": 0.9},  # late, but not given up
        {"promised_date": -3},
    )
    frame = notices_frame(table, cutoffs(400.0), as_of=AS_OF, settings=Settings())
    consent = frame[frame["kind"] == "consent_or_refund"].set_index("order_id")
    assert consent.index.tolist() == ["o0", "o2", "o4", "o5"]
    assert consent["deadline"].tolist() == [day(5), day(5), day(28), day(1)]
    assert not frame["kind"].eq("delay").any()
    assert consent["legal_note"].str.contains("not legal advice").all()
    assert (frame.loc[frame["kind"] != "consent_or_refund", "legal_note"] == "").all()
    assert (
        notices_frame(table, cutoffs(400.0), as_of=AS_OF, settings=NO_RULE)["kind"].tolist().count("consent_or_refund")
        == 0
    )
    assert all(rule is None or rule.unstated_days == 30 for rule in DELIVERY_RULES.values())
    with pytest.raises(InvalidSettings, match="did you mean 'EU'"):
        notices_frame(table, cutoffs(), as_of=AS_OF, settings=Settings(jurisdiction="EUR"))


def test_alternative_or_discount_when_the_wait_is_long() -> None:
    table = lines({"promised_date": 12})  # waits 2 + 10 days
    options = Settings(policy_text="Cancel any time.")
    assert kinds(notices_frame(table, cutoffs(16.0), as_of=AS_OF, settings=options)) == []
    near = notices_frame(table, cutoffs(14.0), as_of=AS_OF, settings=options)
    assert near["kind"].tolist() == ["discount"]
    assert near["reason"].iloc[0] == "expected wait 12 days of 14 acceptable ones"
    assert near["deadline"].iloc[0] == day(12)
    assert near["policy_text"].iloc[0] == "Cancel any time."
    assert kinds(notices_frame(table, cutoffs(14.0, "B"), as_of=AS_OF, settings=options)) == []
    beyond = notices_frame(table, cutoffs(11.0, "B"), as_of=AS_OF, settings=options)
    assert beyond["kind"].tolist() == ["alternative"]
    assert beyond["text"].iloc[0] == (
        "Order o0: 2 x A is a long wait. Expected by 2024-05-17. You may take B instead; it is in stock."
    )


def test_an_offer_comes_with_the_broken_promise_and_never_instead_of_it() -> None:
    table = lines({"promised_date": 6})  # waits 2 + 10 days, now promised for day 12
    frame = notices_frame(table, cutoffs(10.6, "B"), as_of=AS_OF, settings=Settings())
    assert kinds(frame) == [["consent_or_refund"]]
    row = frame.iloc[0]
    assert (row["old_date"], row["new_date"], row["deadline"]) == (day(6), day(12), day(6))
    assert row["text"] == (
        "Order o0: 2 x A will probably not arrive by 2024-05-11. New date: 2024-05-17. Please agree to the new date, or"
        " cancel with a full refund. You may take B instead; it is in stock."
    )
    assert row["reason"] == "more likely than not later than 2024-05-11; expected wait 12 days of 10 acceptable ones"
    plain = notices_frame(table, cutoffs(10.6), as_of=AS_OF, settings=Settings()).iloc[0]
    assert row["legal_note"] == plain["legal_note"] != ""
    # Where no law asks for consent, the delay carries the offer, in the shop's own words too.
    own = NO_RULE.replace(notice_templates={"delay": "{{ old_date }} -> {{ new_date }}: {{ offer }}"})
    delay = notices_frame(table, cutoffs(10.6, "B"), as_of=AS_OF, settings=own).iloc[0]
    assert (delay["kind"], delay["legal_note"], delay["deadline"]) == ("delay", "", day(6))
    assert delay["text"] == "2024-05-11 -> 2024-05-17: You may take B instead; it is in stock."
    assert notices_frame(table, cutoffs(50.0), as_of=AS_OF, settings=own)["text"].tolist() == [
        "2024-05-11 -> 2024-05-17: "
    ]


def test_no_more_of_a_substitute_is_offered_than_is_set_aside() -> None:
    never = {"fill_date_0.5": None, "promise_date": None}
    table = lines({"promised_date": 6}, {}, {"promised_date": 12}, {"promised_date": 5, **never})
    shelf = cutoffs(7.0, "B")
    for units, offered in ((1.0, 0), (2.0, 1), (5.0, 2), (8.0, 4)):
        frame = notices_frame(table, shelf.assign(substitute_units=units), as_of=AS_OF, settings=Settings())
        told = frame[frame["text"].str.contains("B instead")]
        assert told["order_id"].tolist() == ["o0", "o1", "o2", "o3"][:offered]
        assert told["quantity"].sum() <= units


def test_a_line_too_large_for_what_is_set_aside_leaves_it_to_a_smaller_one() -> None:
    table = lines({"promised_date": 6, "quantity": 10.0}, {"promised_date": 6, "quantity": 2.0})
    frame = notices_frame(table, cutoffs(7.0, "B").assign(substitute_units=9.0), as_of=AS_OF, settings=Settings())
    assert frame.loc[frame["text"].str.contains("B instead"), "order_id"].tolist() == ["o1"]


def test_an_offer_is_made_before_patience_ends_even_where_the_date_is_later() -> None:
    table = lines({"promised_date": 8}, {"order_date": -9})
    frame = notices_frame(table, cutoffs(7.0, "B"), as_of=AS_OF, settings=Settings()).set_index("order_id")
    assert frame["kind"].to_dict() == {"o0": "consent_or_refund", "o1": "new_estimate"}
    assert frame["deadline"].to_dict() == {"o0": day(5), "o1": day(1)}
    assert frame.loc["o1", "text"] == (
        "Order o1: 2 x A is expected by 2024-05-17. You may take B instead; it is in stock."
    )


def test_one_row_per_line_and_kind_in_line_order() -> None:
    table = lines(*[{"promised_date": 2 + k % 3, "order_id": f"x{k}"} for k in range(9)])
    frame = notices_frame(table, cutoffs(5.0), as_of=AS_OF, settings=Settings())
    assert tuple(frame.columns) == COLUMNS
    assert not frame.duplicated(["order_id", "kind"]).any()
    assert frame["order_id"].drop_duplicates().tolist() == [f"x{k}" for k in range(9)]
    mixed = notices_frame(table.iloc[::-1], cutoffs(5.0), as_of=AS_OF, settings=Settings())
    pd.testing.assert_frame_equal(
        frame.sort_values(["order_id", "kind"], ignore_index=True),
        mixed.sort_values(["order_id", "kind"], ignore_index=True),
    )


def test_no_lines_and_unknown_items() -> None:
    empty = notices_frame(lines({}).iloc[:0], cutoffs(), as_of=AS_OF, settings=Settings())
    assert empty.empty
    assert tuple(empty.columns) == COLUMNS
    unknown = notices_frame(lines({"sku": "Z"}), cutoffs(1.0), as_of=AS_OF, settings=Settings())
    assert unknown["kind"].tolist() == ["new_estimate"]
    assert np.all(unknown["offer"] == "")


def test_late_is_said_of_what_is_late_and_ahead_of_what_is_not() -> None:
    table = lines({"promised_date": 5}, {"promised_date": -3}, {"promised_date": 0}, {"order_date": -29})
    frame = notices_frame(table, cutoffs(400.0), as_of=AS_OF, settings=Settings())
    consent = frame[frame["kind"] == "consent_or_refund"].set_index("order_id")["text"]
    assert consent["o0"].startswith("Order o0: 2 x A will probably not arrive by 2024-05-10. New date: 2024-05-17.")
    assert consent["o1"].startswith("Order o1: 2 x A was due by 2024-05-02 and is late.")
    assert consent["o2"].startswith("Order o2: 2 x A was due by 2024-05-05 and is late.")
    assert consent["o3"].startswith("Order o3: 2 x A will probably not arrive by 2024-05-06.")


def test_a_deadline_that_is_over_is_the_next_business_day() -> None:
    table = lines({"promised_date": -3}, {"promised_date": 0}, {"promised_date": 1})
    for as_of, weekday in ((AS_OF, True), (AS_OF - pd.Timedelta(days=2), True), (AS_OF - pd.Timedelta(days=2), False)):
        moved = table.assign(promised_date=table["promised_date"] + (as_of - AS_OF))
        settings = Settings(business_days=weekday)
        frame = notices_frame(moved, cutoffs(11.0), as_of=as_of, settings=settings)
        assert (frame["deadline"].dropna() > as_of).all()
        first = as_of + pd.Timedelta(days=1)
        soonest = pd.Timestamp("2024-05-06") if weekday else first
        consent = frame.loc[frame["kind"] == "consent_or_refund", "deadline"].tolist()
        assert consent == [soonest, soonest, first]


def test_a_line_without_an_end_gets_one_message_that_says_so() -> None:
    never = {"fill_date_0.5": None, "promise_date": None}
    table = lines({**never, "promised_date": -3}, {**never, "order_date": -90}, {**never, "promised_date": 5})
    for settings in (Settings(), NO_RULE):
        frame = notices_frame(table, cutoffs(14.0), as_of=AS_OF, settings=settings)
        assert kinds(frame) == [["cannot_fill"]] * 3
        assert (frame["deadline"] > AS_OF).all()
        assert frame["new_date"].isna().all()
        assert frame["text"].iloc[0] == (
            "Order o0: we cannot name a date for 2 x A. Please choose a refund or an alternative."
        )
        assert frame["reason"].iloc[0] == "not filled within 90 days with probability 100%"
        assert (frame["legal_note"] != "").all() == (settings is not NO_RULE)
    with_substitute = notices_frame(table, cutoffs(14.0, "B"), as_of=AS_OF, settings=Settings())
    assert kinds(with_substitute) == [["cannot_fill"]] * 3
    assert "B instead, which is in stock" in with_substitute["offer"].iloc[0]


def test_no_discount_for_a_wait_without_an_end_and_no_unknown_days() -> None:
    table = lines({"fill_date_0.5": None, "promise_date": None, "p_unfilled": 0.9, "promised_date": 5})
    plain = notices_frame(table, cutoffs(14.0), as_of=AS_OF, settings=Settings())
    assert kinds(plain) == [["consent_or_refund"]]
    assert (
        plain["text"]
        .iloc[0]
        .endswith("We cannot name a new date yet. Please agree to wait, or cancel with a full refund.")
    )
    assert kinds(notices_frame(table, cutoffs(14.0), as_of=AS_OF, settings=NO_RULE)) == [["delay"]]
    other = notices_frame(table, cutoffs(14.0, "B"), as_of=AS_OF, settings=NO_RULE)
    assert kinds(other) == [["delay"]]
    assert other["reason"].iloc[0].endswith("; no fill date in sight, 14 days are acceptable")


def test_the_shops_own_wording_replaces_ours_kind_by_kind() -> None:
    own = "Dear {{ customer_id }}, {{ '%.0f' % quantity }} {{ sku }} by {{ new_date }}. {{ policy_text }}"
    options = NO_RULE.replace(notice_templates={"new_estimate": own}, policy_text="Cancel any time.")
    table = lines({}, {"promised_date": 2})
    texts = notices_frame(table, cutoffs(), as_of=AS_OF, settings=options).set_index("kind")["text"]
    assert texts["new_estimate"] == "Dear c, 2 A by 2024-05-17. Cancel any time."
    # A delay keeps our words, and quotes the shop's policy.
    assert texts["delay"].startswith("Order o1: 2 x A comes later than 2024-05-07. New date: 2024-05-17.")
    assert texts["delay"].endswith("Cancel any time.")


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_can_be_named(field: str) -> None:
    options = Settings(notice_templates={"new_estimate": "{{ " + field + " }}"}, policy_text="p")
    frame = notices_frame(lines({}), cutoffs(), as_of=AS_OF, settings=options)
    assert frame["text"].str.len().gt(0).all() or field in ("location", "offer", "legal_note")


@pytest.mark.parametrize(
    ("templates", "words"),
    [
        ({"delya": "x"}, "unknown kind of notice in notice_templates 'delya' .did you mean 'delay'"),
        ({"delay": "{{ order_id"}, "the notice template 'delay' cannot be read"),
        ({"delay": "{{ customer }}"}, "unknown field in the notice template 'delay' 'customer' .did you mean"),
    ],
)
def test_a_template_that_cannot_work_is_refused_before_anything_is_written(
    templates: dict[str, str], words: str
) -> None:
    with pytest.raises(InvalidSettings, match=words):
        notices_frame(lines({}), cutoffs(), as_of=AS_OF, settings=Settings(notice_templates=templates))


def test_the_share_from_which_a_discount_is_offered_is_a_setting() -> None:
    table, limit = lines({"fill_date_0.5": 10, "promised_date": 12}), cutoffs(20.0)
    for share, kind in ((0.5, ["discount"]), (0.8, [])):
        options = NO_RULE.replace(discount_at_share=share)
        assert notices_frame(table, limit, as_of=AS_OF, settings=options)["kind"].tolist() == kind


@pytest.mark.parametrize("place", ["US", "EU", "UK"])
def test_the_rule_table_names_its_source_and_that_it_is_no_advice(place: str) -> None:
    options = Settings(jurisdiction=place)
    frame = notices_frame(lines({"promised_date": 2}), cutoffs(), as_of=AS_OF, settings=options)
    rule = DELIVERY_RULES[place]
    assert rule is not None
    assert frame["legal_note"].iloc[0] == f"{rule.source}: {rule.text}; not legal advice"
    assert rule.unstated_days == 30
