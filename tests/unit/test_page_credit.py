"""What the page says of the accepted conversions: the verdicts on them, how soon after a visit they came, what Webflow shows."""

import csv
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest

from tests.unit.test_page_formatting import CONVERSION
from tests.unit.test_page_funnel import amount
from tests.unit.test_page_status import ledger_run
from webflow_conversions.ledger.overview import OverviewData, ReadbackDay, SourceExtraction
from webflow_conversions.ledger.search import HistoryEntry
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.credit import ACTIVITY_MINUTES, HOW_TO_KNOW, Attribution, AttributionReason
from webflow_conversions.rules.readings import Reading
from webflow_conversions.rules.window import to_milliseconds
from webflow_conversions.ui.conversion import conversion_view
from webflow_conversions.ui.credit import LABELS, Credit, activities, credit, selection
from webflow_conversions.ui.download import csv_head, csv_lines
from webflow_conversions.ui.timeline import timeline

NOW = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
TODAY = date(2026, 11, 23)
SHOP = {
    (Attribution.WILL_COUNT, None): amount(50),
    (Attribution.MAY_COUNT, AttributionReason.EDGE): amount(2),
    (Attribution.MAY_COUNT, AttributionReason.SESSION_IDLE): amount(7),
    (Attribution.WILL_NOT_COUNT, AttributionReason.NO_VIEW): amount(3),
    (Attribution.UNKNOWN, AttributionReason.NOT_LOADED_YET): amount(20),
    (None, None): amount(1),
}


def extraction(source: str, attribution: Any, **more: Any) -> SourceExtraction:
    nothing = Amount()
    return SourceExtraction(
        source=source,
        at=NOW,
        read=amount(100),
        duplicates=nothing,
        conflicting=nothing,
        outside=nothing,
        too_old=nothing,
        states={},
        attribution=attribution,
        **more,
    )


def credit_of(*extractions: SourceExtraction, **more: Any) -> Credit:
    return credit(OverviewData(at=NOW, extractions=extractions, **more), TODAY)


# The verdicts


def test_the_verdicts_are_all_that_was_accepted():
    found = credit_of(extraction("shop", SHOP))

    (shop,) = found.sources
    assert {verdict: one.rows for verdict, one in shop.verdicts.items()} == {
        "will_count": 50,
        "may_count": 9,
        "will_not_count": 3,
        "unknown": 20,
        "not_judged": 1,
    }
    assert shop.accepted == sum(shop.verdicts.values(), Amount()) == amount(83)
    assert list(shop.verdicts) == list(LABELS)


def test_why_it_does_not_count_stands_before_why_it_may():
    found = credit_of(extraction("shop", SHOP), extraction("crm", {(Attribution.MAY_COUNT, AttributionReason.EDGE): amount(9)}))

    assert [(one.attribution, one.reason, one.amount.rows) for one in found.reasons] == [
        ("will_not_count", "no_view", 3),
        ("may_count", "edge", 11),
        ("may_count", "session_idle", 7),
        ("unknown", "not_loaded_yet", 20),
    ]
    assert {source: one.rows for source, one in found.reasons[1].by_source.items()} == {"shop": 2, "crm": 9}
    assert all(one.meaning and one.remedy for one in found.reasons)


def test_sources_add_up_and_what_is_not_counted_of_one_is_not_of_all():
    both = credit_of(extraction("shop", SHOP), extraction("crm", SHOP))
    large = credit_of(extraction("shop", SHOP), extraction("crm", None))

    assert both.total is not None
    assert both.total.verdicts["will_count"] == amount(100)
    assert large.total is None
    assert [one.source for one in large.sources] == ["shop"]


CREDITED = {Reading.STRICT: amount(51), Reading.WIDE: amount(58), Reading.LENIENT: amount(59)}


@pytest.mark.parametrize(
    ("reading", "sentence"),
    [
        ("strict", ("Of 84 accepted, Webflow credits 51 conversions (worth EUR 510.00) under the strict reading (60.7 %); "
         "58 under the wide one, 59 under the lenient one. Of 21 it is not known.")),
        ("lenient", ("Of 84 accepted, Webflow credits 59 conversions (worth EUR 590.00) under the lenient reading (70.2 %); "
         "51 under the strict one, 58 under the wide one. Of 21 it is not known.")),
    ],
)  # fmt: skip
def test_the_headline_follows_the_reading_of_the_configuration(reading: str, sentence: str):
    crm = extraction("crm", {(Attribution.WILL_NOT_COUNT, AttributionReason.NO_VIEW): amount(1)})

    found = credit_of(
        extraction("shop", SHOP, credited=CREDITED), crm, shown=ledger_run(reading=Reading(reading)), currency="EUR"
    )

    assert found.headline == sentence
    assert found.credited == CREDITED


@pytest.mark.parametrize(
    ("reading", "attribution"),
    [
        (None, SHOP),
        (Reading.STRICT, None),
        (Reading.STRICT, {(None, None): amount(5)}),
        (Reading.STRICT, {}),
    ],
    ids=["no reading was recorded", "too many to count", "nothing was judged", "nothing was accepted"],
)
def test_there_is_no_headline_where_it_is_not_known(reading: Reading | None, attribution: Any):
    found = credit_of(extraction("shop", attribution), shown=ledger_run(reading=reading))

    assert (found.headline, found.credited) == ("", {})


def test_where_nothing_is_judged_one_sentence_says_what_it_would_take():
    assert credit_of(extraction("shop", {(None, None): amount(5)})).how_to_know == HOW_TO_KNOW
    assert credit_of().how_to_know == HOW_TO_KNOW
    assert credit_of(extraction("shop", SHOP)).how_to_know == ""
    assert credit_of(extraction("shop", None)).how_to_know == ""


def test_what_was_judged_in_earlier_runs_is_judged():
    counts = {"activity": {"offline-purchase": {"2026-11-23": minutes({3: 1})}}}

    found = credit_of(extraction("shop", {}), runs=[ledger_run(counts=counts)])

    assert found.how_to_know == ""
    assert [event.event_name for event in found.activity] == ["offline-purchase"]


def test_a_number_leads_to_the_conversions_that_it_counts():
    assert selection("may_count", "edge", 7) == {
        "state": "accepted",
        "attribution": "may_count",
        "attribution_reason": "edge",
        "run": "7",
    }
    assert selection("will_count") == {"state": "accepted", "attribution": "will_count"}


# How soon after a visit


def minutes(counts: dict[int, int]) -> list[int]:
    """The counts of all buckets, by the place of those that are not 0."""
    return [counts.get(place, 0) for place in range(len(ACTIVITY_MINUTES) + 1)]


def test_of_each_day_the_newest_record_counts():
    newer = {"a": {"2026-11-22": minutes({0: 5, 14: 1}), "2026-11-23": minutes({2: 4})}}
    older = {"a": {"2026-11-21": minutes({3: 1}), "2026-11-22": minutes({0: 2})}, "b": {"2026-11-22": minutes({9: 99})}}

    found = activities([newer, older], TODAY)

    assert [(event.event_name, event.rows) for event in found] == [("b", 99), ("a", 11)]
    assert [bucket.rows for bucket in found[1].buckets if bucket.rows] == [5, 4, 1, 1]


def test_only_14_days_are_shown_and_other_buckets_of_an_earlier_release_are_not():
    found = activities(
        [{"a": {"2026-11-10": minutes({0: 1}), "2026-11-09": minutes({0: 100}), "2026-11-23": [1, 2]}}, {"b": {}}], TODAY
    )

    assert [(event.event_name, event.rows) for event in found] == [("a", 1)]


def test_the_shares_end_at_30_minutes_and_at_24_hours():
    (event,) = activities([{"a": {"2026-11-23": minutes({2: 5, 3: 2, 8: 1, 9: 1, 14: 1})}}], TODAY)

    assert (event.within_30_minutes, event.within_24_hours) == (0.5, 0.8)
    zones = [bucket.zone for bucket in event.buckets]
    assert zones == ["idle"] * 3 + ["day"] * 6 + ["after"] * 6


def test_a_bucket_is_named_by_its_ends():
    (event,) = activities([{"a": {"2026-11-23": minutes({0: 1})}}], TODAY)

    assert [bucket.label for bucket in event.buckets] == [
        "under 5 min",
        "5–15 min",
        "15–30 min",
        "30 min – 1 h",
        "1–2 h",
        "2–4 h",
        "4–8 h",
        "8–12 h",
        "12–24 h",
        "24 h – 2 d",
        "2–4 d",
        "4–7 d",
        "7–14 d",
        "14–30 d",
        "none in 30 d",
    ]
    assert [bucket.tick for bucket in event.buckets][2::6] == ["30m", "24h", "none"]


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({0: 62, 5: 19, 14: 19}, "62 % came within 30 minutes of the visitor's last activity, and 81 % within 24 hours"),
        ({0: 50, 14: 50}, "so Webflow can credit them"),
        ({0: 49, 8: 1, 14: 50}, "it depends on the reading"),
        ({0: 49, 9: 51}, "hardly work for this event"),
    ],
)
def test_the_sentence_says_whether_it_can_work_for_this_event(counts: dict[int, int], said: str):
    (event,) = activities([{"a": {"2026-11-23": minutes(counts)}}], TODAY)

    assert said in event.sentence


# What Webflow shows


def test_the_latest_day_of_a_goal_stands_first():
    def day(name: str, number: int) -> ReadbackDay:
        return ReadbackDay(
            event_name=name,
            day=date(2026, 11, number),
            goal_id="1",
            conversions=3,
            accepted=6,
            accepted_users=5,
            expected={"will_count": 3},
            read_at=NOW - timedelta(days=23 - number),
        )

    found = credit_of(readback=[day("a", 21), day("a", 22), day("b", 22)])

    assert {name: [one.day.day for one in days] for name, days in found.readback.items()} == {"a": [22, 21], "b": [22]}
    assert found.read_at == NOW - timedelta(days=1)
    assert credit_of().read_at is None


# One conversion

VISIT = {
    "started_at": 1_795_458_600_000,
    "last_active_at": None,
    "first_viewed_at": 1_795_458_660_000,
    "readings": ["lenient", "wide"],
}
JUDGED = replace(
    CONVERSION,
    attribution="may_count",
    attribution_reason="session_idle",
    attribution_judged_at=NOW,
    visit_id="s-1",
    visit=VISIT,
    minutes_from_activity=95,
)


def test_a_conversion_has_its_verdict_and_the_visit_that_credits_it():
    view = conversion_view(JUDGED, NOW, with_user_ids=False)

    assert view.sentence == "Webflow received it."
    assert view.attribution_meaning.startswith("It came 30 minutes or more after")
    assert view.credited_under == ["wide", "lenient"]
    assert view.visit_started_at is not None
    assert to_milliseconds(view.visit_started_at) == VISIT["started_at"]
    assert view.visit_last_active_at is None
    assert view.activity_span == timedelta(minutes=95)


def test_a_conversion_without_a_verdict_says_what_it_would_take():
    view = conversion_view(CONVERSION, NOW, with_user_ids=False)

    assert HOW_TO_KNOW in view.remedy
    assert (view.attribution, view.credited_under, view.visit_started_at) == (None, [], None)


@pytest.mark.parametrize(
    ("detail", "text", "before"),
    [
        (
            "will_not_count no_view, was unknown not_loaded_yet",
            "Judged: it will not count. The visitor has seen no variation of any optimization.",
            "Before, it was not known.",
        ),
        (
            "will_count, was may_count edge",
            "Judged: it will count. Webflow credits it under every reading of its rule.",
            "Before, it may count.",
        ),
        ("will_count", "Judged: it will count. Webflow credits it under every reading of its rule.", ""),
        ("of_a_later_release", "Judged: of_a_later_release.", ""),
        (None, "Judged.", ""),
    ],
)
def test_the_timeline_tells_each_verdict(detail: str | None, text: str, before: str):
    entries = timeline(CONVERSION, [HistoryEntry(at=NOW, what="judged", detail=detail, run_id="run")], NOW)

    assert [(entry.text, entry.detail, entry.run_id) for entry in entries if entry.text.startswith("Judged")] == [
        (text, before, "run")
    ]


def test_a_spreadsheet_has_the_verdict_and_the_visit():
    text = csv_head() + csv_lines(conversion_view(one, NOW, with_user_ids=True) for one in (JUDGED, CONVERSION))

    judged, other = list(csv.DictReader(StringIO(text.removeprefix("\ufeff"))))

    assert (judged["attribution"], judged["attribution_reason"], judged["minutes_from_activity"]) == (
        "may_count",
        "session_idle",
        "95",
    )
    assert (judged["credited_under"], judged["visit_id"], judged["visit_last_active_at"]) == ("wide lenient", "s-1", "")
    assert judged["visit_first_viewed_at"] == "2026-11-23 18:31:00.000"
    assert (other["attribution"], other["credited_under"], other["visit_started_at"]) == ("", "", "")
