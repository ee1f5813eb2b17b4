"""OverviewData in words, and cells that no spreadsheet runs."""

import csv
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest

from webflow_conversions.ledger.search import Conversion, HistoryEntry
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.states import State
from webflow_conversions.rules.window import to_milliseconds
from webflow_conversions.ui.conversion import conversion_view, payload
from webflow_conversions.ui.download import COLUMNS, csv_head, csv_lines
from webflow_conversions.ui.formatting import conversions, duration, percent
from webflow_conversions.ui.timeline import timeline

NOW = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
CONVERSION = Conversion(
    id=7,
    destination="webflow_default",
    source="shop",
    event_name="offline-purchase",
    conversion_id="S-1",
    action_id="webflow_default/shop/offline-purchase/S-1",
    action_timestamp_ms=to_milliseconds(NOW - timedelta(hours=5)),
    value=Decimal("149.90"),
    user_domain="crm",
    user_id="72349876",
    state=State.ACCEPTED,
    reason=None,
    detail=None,
    attempts=1,
    attempts_in_doubt=0,
    http_status=200,
    trouble=None,
    retry_at=None,
    first_seen_at=NOW - timedelta(hours=2),
    sent_at=NOW - timedelta(hours=1),
    settled_at=NOW - timedelta(hours=1) + timedelta(seconds=1),
    changed_after_sent_at=None,
    run_id="run",
    is_in_doubt=False,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (40, "40 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (11_520, "3 h 12 min"),
        (172_800, "2 d"),
        (183_600, "2 d 3 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: int, text: str):
    assert duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("share", "text"), [(None, "–"), (0, "0 %"), (0.0001, "0.1 %"), (0.8237, "82.4 %"), (0.9999, "99.9 %"), (1, "100 %")]
)
def test_only_all_is_a_hundred_percent_and_only_nothing_is_none(share: float | None, text: str):
    assert percent(share) == text


def test_one_conversion_is_no_conversions():
    assert conversions(Amount(rows=1, value=Decimal("2.5"))) == "1 conversion (worth 2.50)"
    assert conversions(Amount(rows=1200)) == "1,200 conversions"


def test_the_payload_is_the_event_as_it_goes_out():
    assert payload(CONVERSION, "123456789", with_user_ids=True) == {
        "customerId": "123456789",
        "eventName": "offline-purchase",
        "userDomain": "crm",
        "userId": "72349876",
        "actionId": "webflow_default/shop/offline-purchase/S-1",
        "actionTimestamp": CONVERSION.action_timestamp_ms,
        "value": 149.9,
    }


def test_a_user_id_is_shortened_for_those_who_may_not_act():
    document = payload(CONVERSION, "123456789", with_user_ids=False)

    assert document is not None
    assert document["userId"] == conversion_view(CONVERSION, NOW, with_user_ids=False).user_id == "7234…"
    assert conversion_view(CONVERSION, NOW, with_user_ids=True).user_id == "72349876"


@pytest.mark.parametrize("missing", ["event_name", "conversion_id", "action_timestamp_ms", "user_domain", "user_id"])
def test_what_lacks_a_part_has_no_payload(missing: str):
    assert payload(replace(CONVERSION, **{missing: None}), "123456789", with_user_ids=True) is None


def test_the_timeline_is_in_the_order_of_time_and_ends_with_the_import():
    history = [
        HistoryEntry(at=NOW - timedelta(hours=2), what="read", run_id="run"),
        HistoryEntry(at=NOW - timedelta(minutes=90), what="in_doubt", detail="timed out"),
        HistoryEntry(at=NOW - timedelta(minutes=80), what="send_again", detail="sending", person="ada"),
    ]

    entries = timeline(replace(CONVERSION, attempts=2), history, NOW)

    assert [entry.text for entry in entries] == [
        "It happened.",
        "First read from shop.",
        "A request left, and its answer was lost or leaves it open.",
        "ada asked for it to be sent again.",
        "Request 2 left.",
        "Accepted (HTTP 200).",
        "Webflow imports it.",
    ]
    assert [entry.is_ahead for entry in entries] == [False] * 6 + [True]


def test_the_timeline_tells_what_the_source_said_and_who_decided():
    said = [
        ("corrected", "value 20.00; time 1795458600000, was 1795455000000; another key", None),
        ("corrected", "time none, was 1795455000000", None),
        ("user_changed", "u-2…, was u-1…", None),
        ("user_changed", None, None),
        ("user_gone", None, None),
        ("withdrawn", None, None),
        ("returned", None, None),
        ("take_back", "ready", "ada"),
        ("changed_after_sent", "time 1795458600000, was 1795455000000", None),
    ]
    history = [
        HistoryEntry(at=NOW + timedelta(minutes=number), what=what, detail=detail, run_id="run", person=person)
        for number, (what, detail, person) in enumerate(said)
    ]
    waiting = replace(CONVERSION, state=State.WITHDRAWN, reason="taken_back", attempts=0, sent_at=None, settled_at=None)

    entries = timeline(waiting, history, NOW)[2:]

    assert [(entry.text, entry.detail) for entry in entries] == [
        (
            "The source corrected it: value 20.00; time 2026-11-23 18:30:00 UTC, was 2026-11-23 17:30:00 UTC; another key.",
            "",
        ),
        ("The source corrected it: time none, was 2026-11-23 17:30:00 UTC.", ""),
        ("Its known user changed: u-2…, was u-1…", ""),
        ("Its known user changed.", ""),
        ("Its user is no longer known.", ""),
        ("The source no longer returned it.", ""),
        ("The source returned it again.", ""),
        ("ada took it back.", "It was ready."),
        (
            "The source changed it after it was sent; Webflow keeps what it got.",
            "time 2026-11-23 18:30:00 UTC, was 2026-11-23 17:30:00 UTC",
        ),
    ]


def test_what_a_person_decided_is_not_said_to_be_a_run_s_doing():
    by_hand = {"written_off": State.REJECTED, "taken_back": State.WITHDRAWN, "forgotten": State.WITHDRAWN}
    by_a_run = {"refused_422": State.REJECTED, "no_longer_in_source": State.WITHDRAWN, "expired_unsent": State.EXPIRED}
    found = {}
    for reason, state in (by_hand | by_a_run).items():
        ended = replace(CONVERSION, state=state, reason=reason, http_status=None)
        found[reason] = timeline(ended, [], NOW)[-1]

    assert {reason for reason, entry in found.items() if entry.run_id is None} == set(by_hand)
    assert found["taken_back"].text == "Withdrawn. Somebody took it back."


def test_a_moment_that_no_calendar_holds_is_shown_as_none():
    far = conversion_view(replace(CONVERSION, action_timestamp_ms=10**17), NOW, with_user_ids=True)
    last_ms = to_milliseconds(datetime(9999, 12, 31, tzinfo=UTC))
    last = conversion_view(replace(CONVERSION, action_timestamp_ms=last_ms), NOW, with_user_ids=True)

    assert (far.occurred_at, far.expires_at, last.expires_at) == (None, None, None)
    assert last.occurred_at is not None


OLD = to_milliseconds(NOW - timedelta(hours=49))


@pytest.mark.parametrize(
    ("state", "reason", "is_in_doubt"),
    [
        (State.HELD, "unknown_user", False),
        (State.READY, None, False),
        (State.READY, None, True),
        (State.SENDING, "in_doubt", True),
        (State.REJECTED, "invalid_value", False),
        (State.REJECTED, "refused_422", False),
        (State.REJECTED, "written_off", False),
        (State.WITHDRAWN, "taken_back", False),
        (State.WITHDRAWN, "no_longer_in_source", False),
        (State.WITHDRAWN, "forgotten", False),
    ],
)
def test_nothing_promises_that_a_row_past_its_2_days_goes_out(state: State, reason: str | None, is_in_doubt: bool):
    old = replace(CONVERSION, state=state, reason=reason, is_in_doubt=is_in_doubt, action_timestamp_ms=OLD, settled_at=None)

    view = conversion_view(old, NOW, with_user_ids=True)

    said = f"{view.sentence} {view.meaning} {view.remedy}"
    assert view.is_expired
    assert not view.is_pending
    assert not any(
        words in said
        for words in (
            "goes out as soon",
            "Send it again",
            "is to be sent again",
            "while it is younger",
            "and it goes out",
            "start a run",
        )
    )
    assert any(words in said for words in ("never goes out", "too old to be sent"))


EVIL = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    '=HYPERLINK("http://x")',
    "  =1",
    "\u00a0=1",
    '"=1"',
    "'=1",
    "＝1+1",
    "＋1",
    "－1",
    "＠SUM(A1)",
    "a;=1",
    "a;;=1",
    'a;"=1"',
    "a; -1",
    "a\t=1",
    "a\t\t\uff1d1",
    "a|@x",
    "a\n=1",
    "a\r\n+1",
]


@pytest.mark.parametrize("evil", EVIL)
def test_no_cell_becomes_a_formula_whatever_parts_the_cells(evil: str):
    hostile = replace(
        CONVERSION, conversion_id=evil, identity_key=evil, detail=evil, source=evil, event_name=evil, user_id=evil, trouble=evil
    )
    text = csv_lines([conversion_view(hostile, NOW, with_user_ids=True)])

    (row,) = csv.reader(StringIO(text, newline=""))
    as_others_see_it = [cell for parting in ";\t|" for line in text.splitlines() for cell in line.split(parting)]

    formulas = [cell for cell in (*row, *as_others_see_it) if cell.lstrip('"\t\r\n \u00a0').startswith(FORMULA)]
    assert formulas == []
    assert row[COLUMNS.index("conversion_id")].replace("'", "") == evil.replace("'", "")


FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def test_a_number_below_zero_stays_one():
    row = csv_lines([conversion_view(replace(CONVERSION, minutes_from_activity=-5), NOW, with_user_ids=True)])

    assert next(csv.reader(StringIO(row, newline="")))[COLUMNS.index("minutes_from_activity")] == "-5"


def test_numbers_and_times_stay_what_they_are():
    text = csv_head() + csv_lines([conversion_view(CONVERSION, NOW, with_user_ids=True)])

    (row,) = list(csv.DictReader(StringIO(text.removeprefix("\ufeff"))))

    assert (row["value"], row["occurred_at"], row["conversion_id"], row["reason"]) == (
        "149.90",
        "2026-11-23 18:30:00.000",
        "S-1",
        "",
    )
