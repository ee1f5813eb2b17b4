"""OverviewData in words, and cells that no spreadsheet runs."""

import csv
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest

from webflow_conversions.ledger.search import Conversion, Happening
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.states import State
from webflow_conversions.rules.window import to_milliseconds
from webflow_conversions.ui.conversion import payload, shown, way
from webflow_conversions.ui.download import COLUMNS, as_csv
from webflow_conversions.ui.formatting import conversions, duration, percent

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
    assert payload(CONVERSION, "123456789", in_clear=True) == {
        "customerId": "123456789",
        "eventName": "offline-purchase",
        "userDomain": "crm",
        "userId": "72349876",
        "actionId": "webflow_default/shop/offline-purchase/S-1",
        "actionTimestamp": CONVERSION.action_timestamp_ms,
        "value": 149.9,
    }


def test_a_user_id_is_shortened_for_those_who_may_not_act():
    document = payload(CONVERSION, "123456789", in_clear=False)

    assert document is not None
    assert document["userId"] == shown(CONVERSION, in_clear=False).user_id == "7234…"
    assert shown(CONVERSION, in_clear=True).user_id == "72349876"


@pytest.mark.parametrize("missing", ["event_name", "conversion_id", "action_timestamp_ms", "user_domain", "user_id"])
def test_what_lacks_a_part_has_no_payload(missing: str):
    assert payload(replace(CONVERSION, **{missing: None}), "123456789", in_clear=True) is None


def test_the_way_is_in_the_order_of_time_and_ends_with_the_import():
    history = [
        Happening(at=NOW - timedelta(hours=2), what="read", run_id="run"),
        Happening(at=NOW - timedelta(minutes=90), what="in_doubt", detail="timed out"),
        Happening(at=NOW - timedelta(minutes=80), what="send_again", detail="sending", person="ada"),
    ]

    steps = way(shown(replace(CONVERSION, attempts=2), in_clear=False), history, NOW)

    assert [step.what for step in steps] == [
        "It happened.",
        "First read from shop.",
        "A request left, and its answer was lost.",
        "ada asked for it to be sent again.",
        "Request 2 left.",
        "Accepted (HTTP 200).",
        "Webflow imports it.",
    ]
    assert [step.is_ahead for step in steps] == [False] * 6 + [True]


def test_a_moment_that_no_calendar_holds_is_shown_as_none():
    far = shown(replace(CONVERSION, action_timestamp_ms=10**17), in_clear=True)
    last = shown(replace(CONVERSION, action_timestamp_ms=to_milliseconds(datetime(9999, 12, 31, tzinfo=UTC))), in_clear=True)

    assert (far.happened_at, far.counts_until, last.counts_until) == (None, None, None)
    assert last.happened_at is not None


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("http://x")'])
def test_no_cell_becomes_a_formula(evil: str):
    hostile = replace(CONVERSION, conversion_id=evil, detail=evil, source=evil, event_name=evil, user_id=evil, trouble=evil)

    rows = list(csv.reader(StringIO("".join(as_csv([[shown(hostile, in_clear=True)]])), newline="")))

    assert not [cell for cell in rows[1] if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    assert rows[1][COLUMNS.index("conversion_id")] == f"'{evil}"


def test_numbers_and_times_stay_what_they_are():
    text = "".join(as_csv([[shown(CONVERSION, in_clear=True)]]))

    (row,) = list(csv.DictReader(StringIO(text.removeprefix("\ufeff"))))

    assert (row["value"], row["happened_at"], row["conversion_id"], row["reason"]) == (
        "149.90",
        "2026-11-23 18:30:00.000",
        "S-1",
        "",
    )
