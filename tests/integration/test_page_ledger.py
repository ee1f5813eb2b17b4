"""What the page reads of the ledger, what it finds there, and what people may do to it."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg2
import pytest

from demo.simulator import SimulatorProcess
from tests.night import DESTINATION, NOW, Night
from tests.rows import put
from webflow_conversions.delivery.forecast import Forecast, Waiting
from webflow_conversions.delivery.protocols import Settlement
from webflow_conversions.errors import Unusable
from webflow_conversions.ledger import overview as overview_module
from webflow_conversions.ledger import search as search_module
from webflow_conversions.ledger.actions import Action, Actions, Effect
from webflow_conversions.ledger.overview import OverviewData, read_overview
from webflow_conversions.ledger.push import PushQueue
from webflow_conversions.ledger.search import Conversions, Summary
from webflow_conversions.ledger.selection import Filter, Only, Order, Place
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.pipeline.identified import SourceIdentified
from webflow_conversions.pipeline.reconciliation import counts
from webflow_conversions.pipeline.verdict import Verdict
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.credit import Attribution
from webflow_conversions.rules.event import action_id
from webflow_conversions.rules.states import Reason, State, explain
from webflow_conversions.ui.funnel import funnel, reasons

HOUR = timedelta(hours=1)


@pytest.fixture
def conversions(night: Night) -> Conversions:
    return Conversions(night.session)


@pytest.fixture
def actions(night: Night) -> Actions:
    return Actions(night.session)


def overview_data(night: Night, run: int | None = None) -> OverviewData:
    return read_overview(night.session, "nightly", night.clock.at, run)


def a_night(night: Night, simulator: SimulatorProcess) -> Any:
    """Of everything something: accepted, held, rejected, a duplicate, too old, future."""
    night.person()
    for number in range(5):
        night.sale(f"good-{number}", value=Decimal("10.00"))
    night.sale("good-0")
    night.sale("stranger", key="nobody", value=Decimal("7.50"), ago=46 * HOUR)
    night.sale("refund", value=Decimal("-3.00"))
    night.sale("old", ago=49 * HOUR)
    night.sale("ancient", ago=timedelta(days=31))
    night.sale("tomorrow", ago=-10 * HOUR)
    run = night.read()
    night.push(run, simulator.url)
    return run


def push_of(night: Night, *, lease: str, ended: bool = False) -> int:
    """A push whose lease ends so far from now."""
    run = night.begin()
    ((push,),) = night.sql(
        "INSERT INTO webflow.pushes (run, destination, worker, try_number, host, pid, expires_at, ended_at)"
        " VALUES (%s, %s, 0, 1, 'host', 1, clock_timestamp() + %s::interval, CASE WHEN %s THEN clock_timestamp() END) RETURNING id",
        run.id,
        DESTINATION,
        lease,
        ended,
    )
    return int(push)


# OverviewData


def test_the_funnel_is_the_account_of_the_run(night: Night, simulator: SimulatorProcess):
    a_night(night, simulator)

    (extraction,) = overview_data(night).extractions
    steps = funnel(extraction)

    assert (steps.read.rows, steps.in_window.rows, steps.known.rows, steps.sent.rows, steps.accepted.rows) == (11, 6, 5, 5, 5)
    assert steps.accepted.value == Decimal("50.00")
    assert sum((one.amount.rows for one in reasons([extraction])), steps.accepted.rows) == 11


def test_counts_are_of_now_not_of_the_end_of_the_run(night: Night, simulator: SimulatorProcess, actions: Actions):
    run = a_night(night, simulator)
    night.runs.end(run, Verdict(), counts(night.runs.accounts(run, {DESTINATION: run.sources}, NOW), night.runs.pushes(run)))
    night.sql("UPDATE webflow.conversions SET state = 'ready' WHERE conversion_id = 'good-1'")

    assert funnel(overview_data(night).extractions[0]).accepted.rows == 4


def test_a_run_that_is_long_over_is_shown_as_it_ended(night: Night, simulator: SimulatorProcess):
    run = a_night(night, simulator)
    night.runs.end(run, Verdict(), counts(night.runs.accounts(run, {DESTINATION: run.sources}, NOW), night.runs.pushes(run)))
    live = funnel(overview_data(night).extractions[0])
    night.sql("DELETE FROM webflow.extracted")
    night.clock.at = NOW + timedelta(days=4)

    data = overview_data(night)
    (extraction,) = data.extractions

    assert funnel(extraction).accepted == live.accepted
    assert extraction.at == data.shown.ended_at


def test_what_a_run_sent_is_known_while_it_goes_on_and_after(night: Night, simulator: SimulatorProcess):
    run = a_night(night, simulator)
    during = overview_data(night).runs[0].sent
    night.runs.end(run, Verdict(), counts(night.runs.accounts(run, {DESTINATION: run.sources}, NOW), night.runs.pushes(run)))

    assert during == overview_data(night).runs[0].sent == {"sales": Amount(rows=5, value=Decimal("50.00"))}


def test_a_night_of_two_weeks_ago_is_known_however_many_runs_came_after(night: Night):
    def ended(name: str, days: float, rows: int) -> int:
        night.clock.at = NOW - timedelta(days=days)
        run = night.begin(name)
        sent = {"sources": {"sales": {"sent": {"rows": rows, "value": "1"}}}}
        night.runs.end(run, Verdict(), sent)
        return run.id

    ancient, old = ended("ancient", 20, 7), ended("old", 13.9, 5)
    for number in range(130):
        ended(f"hourly {number}", 13 - number / 24, 1)
    night.clock.at = NOW

    found = overview_data(night)

    assert len(found.runs) == 131
    assert next(run for run in found.runs if run.id == old).sent["sales"].rows == 5
    asked_for = overview_data(night, ancient).shown
    assert asked_for is not None
    assert asked_for.run_id == "ancient"


def test_the_last_runs_are_known_however_long_ago_they_were(night: Night):
    night.begin("last")
    night.clock.at = NOW + timedelta(days=40)

    shown = overview_data(night).shown

    assert shown is not None
    assert shown.run_id == "last"


def test_a_large_run_is_not_counted_on_its_way(night: Night, simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch):
    run = a_night(night, simulator)
    monkeypatch.setattr(overview_module, "LARGEST_LIVE_RUN", 4)
    during = overview_data(night)
    night.runs.end(run, Verdict(), counts(night.runs.accounts(run, {DESTINATION: run.sources}, NOW), night.runs.pushes(run)))
    after = overview_data(night)

    (extraction,) = during.extractions
    assert (extraction.read.rows, extraction.duplicates.rows, extraction.states) == (11, 1, None)
    assert funnel(extraction).read.rows == 11
    assert not funnel(extraction).is_counted
    assert [one.reason for one in reasons([extraction])] == ["duplicates", "too_old"]
    assert (during.runs[0].sent, during.runs[0].sent_so_far) == ({}, 5)
    assert funnel(after.extractions[0]).accepted == Amount(rows=5, value=Decimal("50.00"))
    assert (after.runs[0].sent["sales"].rows, after.runs[0].sent_so_far) == (5, None)


@pytest.mark.parametrize(
    ("waiting", "minutes", "is_open", "expected"),
    [(5, 4, True, 5), (4, 4, True, 2), (5, 6, True, 2), (5, 4, False, 2)],
)
def test_what_waits_is_what_the_push_counted_where_that_is_much(
    night: Night, monkeypatch: pytest.MonkeyPatch, waiting: int, minutes: int, is_open: bool, expected: int
):
    monkeypatch.setattr(overview_module, "LARGEST_LIVE_RUN", 4)
    run = night.begin()
    put(night, "ready", "c1")
    put(night, "ready", "c2", attempts=1, attempts_in_doubt=1)
    at = NOW - timedelta(minutes=minutes)
    counted = Waiting(total=Amount(rows=waiting, value=Decimal("7.50")), late=Amount(), expiring=Amount())
    forecast = Forecast(at=at, stands_until=at + timedelta(minutes=5), rows_per_second=1.0, waiting=counted)
    night.sql("UPDATE webflow.runs SET forecast = %s", json.dumps({DESTINATION: forecast.to_json()}))
    if not is_open:
        night.runs.end(run, Verdict(), {})

    found = overview_data(night)

    assert sum(amount.rows for amount in found.ready.values()) == expected
    assert found.ready_at == (at if expected == 5 else None)
    assert found.doubted["sales"].rows == 1


def test_only_a_whole_run_stands_for_the_night(night: Night):
    night.begin("whole")
    night.begin("partial", is_whole=False)

    shown = overview_data(night).shown

    assert shown is not None
    assert shown.run_id == "whole"


def test_a_run_that_has_read_nothing_yet_does_not_hide_the_one_before(night: Night, simulator: SimulatorProcess):
    first = a_night(night, simulator)
    night.runs.end(
        first, Verdict(), counts(night.runs.accounts(first, {DESTINATION: first.sources}, NOW), night.runs.pushes(first))
    )
    second = night.begin("sweep")
    before = overview_data(night).shown
    night.extract(second)
    after = overview_data(night).shown

    assert before is not None
    assert after is not None
    assert (before.run_id, after.run_id) == ("run", "sweep")


def test_of_a_run_cleared_from_plan_on_only_what_was_read_since_then_is_shown_and_found(night: Night, conversions: Conversions):
    night.sale("before")
    run = night.read()
    night.sql("DELETE FROM sales")
    night.begin()
    assert overview_data(night, run.id).extractions == []
    assert names(conversions, run=run.id) == []

    night.sale("after")
    night.extract(run)

    (extraction,) = overview_data(night, run.id).extractions
    assert extraction.read.rows == 1
    assert names(conversions, run=run.id) == ["after"]


def test_held_conversions_know_their_hours(night: Night):
    put(night, "held", "h1", reason="unknown_user", user_id=None, action_timestamp_ms=int((NOW - 46 * HOUR).timestamp() * 1000))
    put(night, "held", "h2", reason="unknown_user", user_id=None, action_timestamp_ms=int((NOW - 49 * HOUR).timestamp() * 1000))

    assert sorted((one.hours_left, one.amount.rows) for one in overview_data(night).held) == [(-1, 1), (2, 1)]


def test_what_will_be_too_old_at_the_next_run_is_known(night: Night):
    for name, hours in (("soon", 47), ("just in time", 45), ("later", 1)):
        put(night, "ready", name, action_timestamp_ms=int((NOW - hours * HOUR).timestamp() * 1000))

    assert overview_data(night).expiring == {}
    assert read_overview(night.session, "nightly", NOW, next_run_at=NOW + 3 * HOUR).expiring == {
        "sales": Amount(rows=1, value=Decimal("149.99"))
    }


def test_what_was_too_old_when_it_was_first_read_ended_on_no_day(night: Night):
    put(night, "rejected", "refused", reason="refused_422", settled_at=NOW - HOUR)
    put(night, "expired", "waited", reason="expired_unsent", settled_at=NOW - HOUR)
    put(night, "withdrawn", "refund", reason="no_longer_in_source", settled_at=NOW - HOUR)
    put(night, "expired", "old", reason="expired_before_seen", settled_at=NOW - HOUR)
    put(night, "expired", "long ago", reason="expired_unsent", settled_at=NOW - timedelta(days=15))

    assert sorted((one.reason, one.amount.rows) for one in overview_data(night).ended) == [
        ("expired_unsent", 1),
        ("no_longer_in_source", 1),
        ("refused_422", 1),
    ]


def test_what_is_out_and_what_is_in_doubt_are_told_apart(night: Night):
    put(night, "sending", "out", push_id=push_of(night, lease="1 minute"))
    put(night, "sending", "lost", push_id=push_of(night, lease="-1 second"))
    put(night, "sending", "asked", reason="in_doubt")
    put(night, "ready", "again", attempts=1, attempts_in_doubt=1)
    put(night, "accepted", "twice", attempts=2, attempts_in_doubt=1, sent_at=NOW - HOUR)
    put(night, "accepted", "changed", changed_after_sent_at=NOW - HOUR)

    found = overview_data(night)

    assert {
        name: getattr(found, name).get("sales", Amount()).rows
        for name in ("awaited", "in_doubt", "doubted", "sent_again", "changed")
    } == {
        "awaited": 1,
        "in_doubt": 2,
        "doubted": 1,
        "sent_again": 1,
        "changed": 1,
    }


def test_the_delays_of_the_last_night_are_those_of_all_its_runs(night: Night, simulator: SimulatorProcess):
    run = a_night(night, simulator)
    night.runs.end(run, Verdict(), counts(night.runs.accounts(run, {DESTINATION: run.sources}, NOW), night.runs.pushes(run)))
    sweep = night.begin("sweep")
    night.runs.end(sweep, Verdict(), {"sources": {}})
    night.sql(
        "UPDATE webflow.conversions SET settled_at = first_seen_at + CASE conversion_id WHEN 'good-1' THEN interval '1 hour'"
        " ELSE interval '10 minutes' END WHERE state = 'accepted'"
    )

    found = overview_data(night).delays["sales"]

    assert (found.rows, found.to_first_seen_median, found.to_accepted_median) == (5, HOUR, timedelta(minutes=10))
    assert timedelta(minutes=10) < found.to_accepted_p95 < HOUR


def test_the_newest_conversion_of_a_source_is_not_one_of_the_future(night: Night, simulator: SimulatorProcess):
    a_night(night, simulator)

    (extraction,) = overview_data(night).extractions

    assert extraction.newest_at == NOW - HOUR


def test_what_is_ready_is_known_by_its_last_trouble(night: Night):
    put(night, "ready", "c1", trouble="HTTP 503")
    put(night, "ready", "c2", trouble="HTTP 503")
    put(night, "ready", "c3")
    put(night, "ready", "c4", source="kiosk", trouble="HTTP 500")
    put(night, "ready", "c5", source="crm")
    put(night, "held", "c6", source="crm", trouble="HTTP 500")

    found = overview_data(night)

    assert {
        source: {trouble: amount.rows for trouble, amount in troubles.items()} for source, troubles in found.troubles.items()
    } == {"sales": {"HTTP 503": 2, None: 1}, "kiosk": {"HTTP 500": 1}, "crm": {None: 1}}
    assert sum((amount for troubles in found.troubles.values() for amount in troubles.values()), Amount()) == sum(
        found.ready.values(), Amount()
    )


def test_the_currency_is_that_of_the_last_run(night: Night, conversions: Conversions):
    night.begin("first", currency="USD")
    assert overview_data(night).currency == conversions.currency() == "USD"
    night.begin("second", currency="EUR")
    assert overview_data(night).currency == conversions.currency() == "EUR"


def test_what_identify_found_is_known_by_source(night: Night):
    night.person()
    night.sale("good")
    night.read()
    assert overview_data(night).extractions[0].identified == SourceIdentified()
    found = {"unseen": {"rows": 12, "value": "340.00"}, "had_user": 3, "lost_user": 0}
    night.sql("UPDATE webflow.runs SET identified = %s", json.dumps({"sales": found, "other": found}))
    night.sql("UPDATE webflow.extractions SET had_user_rows = 40, lost_user_rows = 2")

    assert overview_data(night).extractions[0].identified == SourceIdentified(
        unseen=Amount(rows=12, value=Decimal("340.00")), had_user=43, lost_user=2
    )


def judge(night: Night, conversion_id: str, attribution: str, reason: str | None = None, minutes: int | None = None, readings: list[str] | None = None,
) -> None:  # fmt: skip
    night.sql(
        "UPDATE webflow.conversions SET attribution = %s, attribution_reason = %s, minutes_from_activity = %s, visit = %s"
        " WHERE conversion_id = %s",
        attribution,
        reason,
        minutes,
        json.dumps({"readings": readings}) if readings else None,
        conversion_id,
    )


def test_the_accepted_ones_are_known_by_verdict_now_and_as_the_run_ended(
    night: Night, simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch
):
    run = a_night(night, simulator)
    judge(night, "good-0", "will_count")
    judge(night, "good-1", "will_count")
    judge(night, "good-2", "will_not_count", "no_view")
    judge(night, "stranger", "unknown", "not_loaded_yet")
    expected = {
        ("will_count", None): Amount(rows=2, value=Decimal("20.00")),
        ("will_not_count", "no_view"): Amount(rows=1, value=Decimal("10.00")),
        (None, None): Amount(rows=2, value=Decimal("20.00")),
    }

    (live,) = overview_data(night).extractions
    night.runs.end(run, Verdict(), counts(night.runs.accounts(run, {DESTINATION: run.sources}, NOW), night.runs.pushes(run)))
    judge(night, "good-3", "will_count")
    monkeypatch.setattr(overview_module, "LARGEST_LIVE_RUN", 3)
    (recorded,) = overview_data(night).extractions

    assert live.attribution == recorded.attribution == expected
    assert funnel(live).accepted == funnel(recorded).accepted == Amount(rows=5, value=Decimal("50.00"))


def test_the_accepted_ones_are_known_by_the_readings_that_credit_them(
    night: Night, simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch
):
    run = a_night(night, simulator)
    judge(night, "good-0", "will_count", readings=["strict", "wide", "lenient"])
    judge(night, "good-1", "may_count", "other_session", readings=["lenient"])
    judge(night, "good-2", "may_count", "session_idle", readings=["wide", "lenient"])
    judge(night, "good-3", "will_not_count", "no_view")
    judge(night, "stranger", "may_count", "edge", readings=["strict", "wide", "lenient"])
    expected = {"strict": (1, Decimal("10.00")), "wide": (2, Decimal("20.00")), "lenient": (3, Decimal("30.00"))}

    (live,) = overview_data(night).extractions
    night.runs.end(run, Verdict(), counts(night.runs.accounts(run, {DESTINATION: run.sources}, NOW), night.runs.pushes(run)))
    judge(night, "good-3", "will_count", readings=["strict", "wide", "lenient"])
    monkeypatch.setattr(overview_module, "LARGEST_LIVE_RUN", 3)
    (recorded,) = overview_data(night).extractions

    assert {reading: (one.rows, one.value) for reading, one in live.credited.items()} == expected
    assert recorded.credited == live.credited
    assert live.attribution is not None
    assert sum(amount.rows for amount in live.attribution.values()) == 5


def test_a_run_of_an_earlier_release_has_no_verdicts(night: Night, simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch):
    run = a_night(night, simulator)
    record = counts(night.runs.accounts(run, {DESTINATION: run.sources}, NOW), night.runs.pushes(run))
    del record["sources"]["sales"]["attribution"], record["sources"]["sales"]["credited"]
    night.runs.end(run, Verdict(), record)
    monkeypatch.setattr(overview_module, "LARGEST_LIVE_RUN", 3)

    (found,) = overview_data(night).extractions
    assert found.attribution == found.credited == {}


def test_the_time_since_the_last_activity_is_counted_by_event_and_day(night: Night, simulator: SimulatorProcess):
    a_night(night, simulator)
    for number, minutes in enumerate((0, 29, 30, 1_440)):
        judge(night, f"good-{number}", "will_count", None, minutes)
    judge(night, "good-4", "unknown", "not_loaded_yet", 3)
    put(night, "rejected", "skipped", reason="no_view", settled_at=NOW, attribution="will_not_count")
    put(night, "ready", "not yet", attribution="will_count", minutes_from_activity=1)
    long_ago = int((NOW - timedelta(days=4)).timestamp() * 1000)
    put(night, "rejected", "over", reason="no_view", settled_at=NOW, attribution="will_not_count", action_timestamp_ms=long_ago)

    found = night.runs.activity(NOW)

    (days,) = found.values()
    assert list(found) == ["offline-purchase"]
    assert {day: {place: rows for place, rows in enumerate(of_day) if rows} for day, of_day in days.items()} == {
        "2026-11-23": {0: 1, 2: 1, 3: 1, 9: 1, 14: 1}
    }


def test_what_webflow_showed_is_known_for_14_days(night: Night):
    for days in (1, 13, 15):
        night.sql(
            "INSERT INTO webflow.readback VALUES ('webflow_default', 'offline-purchase', %s, '7', 3, 6, 5, %s, %s)",
            (NOW - timedelta(days=days)).date(),
            json.dumps({"will_count": 4, "strict": 3}),
            NOW,
        )

    found = overview_data(night).readback

    assert [(one.day.day, one.conversions, one.accepted, one.accepted_users) for one in found] == [(10, 3, 6, 5), (22, 3, 6, 5)]
    assert found[0].expected == {"will_count": 4, "strict": 3}


# Finding


def names(conversions: Conversions, **selection: Any) -> list[str | None]:
    return [one.conversion_id for one in conversions.page(Filter(**selection), 100).conversions]


def test_each_filter_shows_what_it_says(night: Night, simulator: SimulatorProcess, conversions: Conversions):
    run = a_night(night, simulator)
    put(night, "sending", "lost", reason="in_doubt")
    put(
        night,
        "accepted",
        "twice",
        attempts=2,
        attempts_in_doubt=1,
        source="other",
        action_id=f"{DESTINATION}/other/offline-purchase/twice",
    )
    put(night, "accepted", "changed", changed_after_sent_at=NOW)

    assert sorted(names(conversions, state=State.ACCEPTED, run=run.id)) == [f"good-{number}" for number in range(5)]
    assert names(conversions, state=State.HELD) == ["stranger"]
    assert names(conversions, state=State.FUTURE) == ["tomorrow"]
    assert names(conversions, state=State.REJECTED) == ["refund"]
    assert names(conversions, state=State.REJECTED, reason="missing_timestamp") == []
    assert names(conversions, state=State.EXPIRED) == ["old"]
    assert names(conversions, source="other") == ["twice"]
    assert names(conversions, only=Only.IN_DOUBT) == ["lost"]
    assert names(conversions, only=Only.SENT_AGAIN) == ["twice"]
    assert names(conversions, only=Only.CHANGED) == ["changed"]
    assert len(names(conversions)) == 12


def test_a_verdict_and_its_reason_are_filters(night: Night, conversions: Conversions):
    put(night, "accepted", "sure", attribution="will_count")
    put(night, "accepted", "idle", attribution="may_count", attribution_reason="session_idle")
    put(night, "accepted", "close", attribution="may_count", attribution_reason="edge")
    put(
        night, "rejected", "skipped", reason="no_view", attribution="will_not_count", attribution_reason="no_view", settled_at=NOW
    )
    put(night, "accepted", "unjudged")

    assert names(conversions, attribution=Attribution.WILL_COUNT) == ["sure"]
    assert names(conversions, attribution=Attribution.MAY_COUNT) == ["close", "idle"]
    assert names(conversions, attribution=Attribution.MAY_COUNT, attribution_reason="edge") == ["close"]
    assert names(conversions, attribution_reason="session_idle") == ["idle"]
    assert names(conversions, attribution_reason="no_view", state=State.REJECTED) == ["skipped"]
    assert names(conversions, attribution=Attribution.WILL_NOT_COUNT, state=State.ACCEPTED) == []
    assert names(conversions, attribution=Attribution.WILL_COUNT, attribution_reason="edge") == []
    assert names(conversions, attribution_reason="no_such_reason") == []


@pytest.mark.parametrize("state", ["ready", "held", "rejected", "accepted", "sending", "withdrawn"])
def test_pages_go_on_where_the_last_one_ended(night: Night, conversions: Conversions, state: str):
    for number in range(7):
        moment = int((NOW - timedelta(hours=number % 3 + 1)).timestamp() * 1000)
        put(night, state, f"c{number}", action_timestamp_ms=moment, settled_at=NOW - timedelta(minutes=number % 2))
    selection = Filter(state=State(state))

    seen, after = [], None
    while True:
        page = conversions.page(selection, 2, after)
        seen += [one.conversion_id for one in page.conversions]
        after = page.next
        if after is None:
            break

    assert len(seen) == 7
    assert sorted(seen) == [f"c{number}" for number in range(7)]
    assert [one.conversion_id for batch in conversions.pages(selection) for one in batch] == seen


def test_what_expires_first_is_shown_first(night: Night, conversions: Conversions):
    for name, hours in (("late", 1), ("soon", 47), ("middle", 20)):
        put(night, "held", name, user_id=None, action_timestamp_ms=int((NOW - hours * HOUR).timestamp() * 1000))

    assert names(conversions, state=State.HELD) == ["soon", "middle", "late"]


def test_a_conversion_is_found_by_its_id_its_action_id_and_the_beginning(night: Night, conversions: Conversions):
    put(night, "accepted", "S-100/ä", action_id=f"{DESTINATION}/sales/offline-purchase/S-100%2F%C3%A4")
    put(night, "held", "S-1001", user_id=None)
    put(
        night,
        "accepted",
        "S-100/ä",
        source="other",
        action_id=f"{DESTINATION}/other/deal-won/S-100%2F%C3%A4",
        event_name="deal-won",
    )

    assert names(conversions, conversion="S-100/ä") == ["S-100/ä", "S-100/ä"]
    assert names(conversions, conversion=f"{DESTINATION}/sales/offline-purchase/S-1001") == ["S-1001"]
    assert sorted(map(str, names(conversions, begins="S-100"))) == ["S-100/ä", "S-100/ä", "S-1001"]
    assert names(conversions, conversion="S-10") == []


def test_the_pages_of_a_source_are_of_all_its_destinations(night: Night, conversions: Conversions):
    night.sql("INSERT INTO webflow.destinations (destination) VALUES ('webflow_new')")
    for number in range(6):
        destination = (DESTINATION, "webflow_new")[number % 2]
        put(night, "accepted", f"c{number}", destination=destination, source="a b", action_id=f"{destination}/a%20b/x/c{number}")
    put(night, "accepted", "later", source="a b c", action_id=f"{DESTINATION}/a%20b%20c/x/later")

    first = conversions.page(Filter(source="a b"), 4)
    second = conversions.page(Filter(source="a b"), 4, first.next)

    assert [[one.conversion_id for one in page.conversions] for page in (first, second)] == [
        ["c5", "c4", "c3", "c2"],
        ["c1", "c0"],
    ]
    assert second.next is None


def test_a_source_whose_action_ids_are_cut_is_found_too(night: Night, conversions: Conversions):
    long = "d" * 190
    night.sql("INSERT INTO webflow.destinations (destination) VALUES (%s)", long)
    for source in ("long-enough-1", "long-enough-2"):
        put(night, "accepted", "c1", destination=long, source=source, action_id=action_id(long, source, "x", "c1"))

    assert len(names(conversions, source="long-enough-2")) == 1


@pytest.mark.parametrize("reason", [*map(str, Reason), "refused_422"])
def test_a_reason_is_looked_for_among_the_state_that_it_explains(night: Night, conversions: Conversions, reason: str):
    state = explain(reason).state
    put(night, state, "c1", reason=reason, settled_at=NOW)
    put(night, "accepted", "c2")

    assert names(conversions, reason=reason) == names(conversions, reason=reason, state=state) == ["c1"]
    assert names(conversions, reason=reason, state=State.ACCEPTED) == names(conversions, reason="no_such_reason") == []


NARROWER = [
    ("state", State.REJECTED),
    ("reason", "refused_422"),
    ("source", "other"),
    ("run", 1),
    ("only", Only.CHANGED),
    ("only", Only.SENT_AGAIN),
    ("only", Only.IN_DOUBT),
    ("attribution", Attribution.MAY_COUNT),
    ("attribution_reason", "edge"),
    ("happened_to", date(2026, 11, 20)),
    ("value_from", Decimal(200)),
    ("value_to", Decimal(100)),
]


@pytest.mark.parametrize("lookup", ["id", "conversion", "written", "begins", "user_of", "key_of"])
@pytest.mark.parametrize(("narrower", "value"), NARROWER)
def test_what_is_looked_for_is_narrowed_by_every_filter(
    night: Night, conversions: Conversions, lookup: str, narrower: str, value: Any
):
    wide = put(night, "sending", "S-1", push_id=push_of(night, lease="1 minute"), identity_key="k1")
    of_another = f"{DESTINATION}/other/offline-purchase/S-1"
    narrow = {
        "state": {"state": "rejected"},
        "reason": {"state": "rejected", "reason": "refused_422"},
        "source": {"state": "accepted", "source": "other"},
        "run": {"state": "accepted"},
        "attribution": {"state": "accepted", "attribution": "may_count"},
        "attribution_reason": {"state": "accepted", "attribution": "may_count", "attribution_reason": "edge"},
        "happened_to": {"state": "accepted", "action_timestamp_ms": int((NOW - timedelta(days=3)).timestamp() * 1000)},
        "value_from": {"state": "accepted", "value": 200},
        "value_to": {"state": "accepted", "value": 100},
        "only": {
            Only.CHANGED: {"state": "accepted", "changed_after_sent_at": NOW},
            Only.SENT_AGAIN: {"state": "accepted", "attempts": 2, "attempts_in_doubt": 1},
            Only.IN_DOUBT: {"state": "sending"},
        }.get(value, {}),
    }[narrower]
    found = put(night, conversion_id="S-1", action_id=of_another, identity_key="k1", **narrow)
    night.sql(
        "INSERT INTO webflow.extractions (run, source, started_at, ended_at) VALUES (1, 'sales', now(), now());"
        "INSERT INTO webflow.extracted (extraction, conversion, alike) SELECT id, %s, 1 FROM webflow.extractions",
        found,
    )
    looked_for: dict[str, Any] = {
        lookup: {"id": wide, "conversion": "S-1", "written": "s 1", "begins": "S-", "user_of": wide, "key_of": wide}[lookup]
    }

    both = [] if lookup == "id" else [found]
    assert sorted(conversions.ids(Filter(**looked_for), 10)) == sorted([wide, *both])
    assert conversions.ids(Filter(**looked_for, **{narrower: value}), 10) == both


def test_all_that_begins_so_is_found_page_by_page(night: Night, conversions: Conversions):
    for source in ("a", "b"):
        for number in range(60):
            put(night, "rejected", f"S-{number}", source=source, action_id=f"{DESTINATION}/{source}/offline-purchase/S-{number}")
    put(night, "rejected", "T-1")
    selection = Filter(begins="S-")

    seen, page = [], conversions.page(selection, 50)
    while page.next is not None:
        seen += page.conversions
        page = conversions.page(selection, 50, page.next)
    seen += page.conversions

    assert [one.action_id for one in seen] == sorted(one.action_id for one in seen)
    assert len({one.id for one in seen}) == len(seen) == len(conversions.ids(selection, 1_000)) == 120


def test_a_place_that_is_gone_is_no_end_of_the_list(night: Night, conversions: Conversions):
    for number in range(3):
        put(night, "rejected", f"S-{number}")
    after = conversions.page(Filter(begins="S-"), 2).next
    night.sql("DELETE FROM webflow.conversions WHERE conversion_id = 'S-1'")

    with pytest.raises(Unusable, match=r"begin from the top"):
        conversions.page(Filter(begins="S-"), 2, after)


@pytest.mark.parametrize("state", ["accepted", "rejected", "expired", "withdrawn", "ready", "sending"])
def test_a_user_finds_all_conversions_whatever_became_of_them(night: Night, conversions: Conversions, state: str):
    identifier = put(night, state, "mine", user_id="72349876", settled_at=NOW)
    put(night, state, "theirs", user_id="72349877", settled_at=NOW)

    assert conversions.of_user(["72349876"]) == identifier
    assert names(conversions, user_of=identifier) == ["mine"]


@pytest.mark.parametrize("state", ["accepted", "rejected", "expired", "withdrawn", "ready", "sending", "held", "future"])
def test_an_identity_key_finds_all_conversions_whatever_became_of_them(night: Night, conversions: Conversions, state: str):
    identifier = put(night, state, "mine", identity_key="contact-1", settled_at=NOW)
    put(night, state, "theirs", identity_key="contact-10", settled_at=NOW)
    put(night, state, "nobody's", settled_at=NOW)

    assert conversions.of_key(["contact-1"]) == identifier
    assert conversions.of_key(["contact-"]) is None
    assert names(conversions, key_of=identifier) == ["mine"]
    assert conversions.summary(Filter(key_of=identifier)) == Summary(
        conversions=1,
        value=Decimal("149.99"),
        first_ms=int((NOW - HOUR).timestamp() * 1000),
        last_ms=int((NOW - HOUR).timestamp() * 1000),
    )


def test_a_user_of_a_conversion_that_waits_for_its_visits_or_its_time_is_found(night: Night, conversions: Conversions):
    put(night, "held", "visits", reason="not_loaded_yet")
    put(night, "future", "later")

    assert sorted(map(str, names(conversions, user_of=conversions.of_user(["72349876"])))) == ["later", "visits"]


def test_an_id_is_found_as_people_type_it_in_every_source_that_has_it(night: Night, conversions: Conversions):
    put(night, "accepted", "#1001", action_id=action_id(DESTINATION, "sales", "offline-purchase", "#1001"))
    put(night, "held", "0001001", user_id=None, source="crm", action_id=action_id(DESTINATION, "crm", "deal won", "0001001"))
    put(night, "accepted", "#10010", action_id=action_id(DESTINATION, "sales", "offline-purchase", "#10010"))

    assert sorted(map(str, names(conversions, written="No. 1001"))) == ["#1001", "0001001"]
    assert names(conversions, written="No. 1001", state=State.HELD) == ["0001001"]
    assert names(conversions, written=f'"{action_id(DESTINATION, "crm", "deal won", "0001001")}"') == ["0001001"]
    assert names(conversions, written="1002") == []


def test_of_many_kinds_a_search_looks_up_a_bounded_number(
    night: Night, conversions: Conversions, monkeypatch: pytest.MonkeyPatch
):
    for number in range(4):
        put(night, "accepted", "#1001", source=f"s{number}", action_id=action_id(DESTINATION, f"s{number}", "x", "#1001"))
    monkeypatch.setattr(search_module, "MOST_LOOKUPS", 8)

    with night.session.transaction() as cursor:
        assert len(search_module._action_ids(cursor, ["a", "b", "c"])) == 8
    assert len(names(conversions, written="1001")) == 4


def a_list(night: Night) -> None:
    """Five conversions, each of its own value, day, state and moment of settlement."""
    rows: list[tuple[str, str, str | None, int | None, int | None]] = [
        ("rejected", "a", "refused_422", 10, 3),
        ("accepted", "b", None, None, 1),
        ("rejected", "c", "refused_400", 30, 2),
        ("expired", "d", "expired_unsent", 5, 5),
        ("held", "e", "unknown_user", 20, None),
    ]
    for days, (state, name, reason, value, settled) in enumerate(rows):
        put(
            night,
            state,
            name,
            reason=reason,
            value=value,
            action_timestamp_ms=int((NOW - timedelta(days=days)).timestamp() * 1000),
            settled_at=None if settled is None else NOW - settled * HOUR,
        )


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("happened", "edcba"),
        ("-happened", "abcde"),
        ("value", "daecb"),
        ("-value", "ceadb"),
        ("state", "ebcad"),
        ("-state", "dcabe"),
        ("settled", "dacbe"),
        ("-settled", "bcade"),
    ],
)
@pytest.mark.parametrize("destinations", [1, 2])
def test_a_list_is_put_into_any_order_page_by_page(
    night: Night, conversions: Conversions, order: str, expected: str, destinations: int
):
    a_list(night)
    if destinations == 2:
        night.sql("INSERT INTO webflow.destinations (destination) VALUES ('webflow_new')")
        night.sql(
            "UPDATE webflow.conversions SET destination = 'webflow_new', action_id = 'webflow_new/sales/x/' || conversion_id WHERE value > 15"
        )
    seen, after = "", None
    while True:
        page = conversions.page(Filter(source="sales"), 2, after, Order.parse(order))
        seen += "".join(str(one.conversion_id) for one in page.conversions)
        assert page.is_ordered
        if page.next is None:
            break
        after = Place.parse(str(page.next))

    assert seen == expected


@pytest.mark.parametrize("order", ["happened", "-value", "state", "-settled"])
def test_a_page_far_behind_in_an_order_costs_this_process_no_more_than_the_first(
    night: Night, conversions: Conversions, monkeypatch: pytest.MonkeyPatch, order: str
):
    for number in range(40):
        put(night, "rejected", f"c{number}", reason="refused_422", value=number % 7, settled_at=NOW - number * HOUR)
    came, run = list[int](), search_module._run

    def counting(*arguments: Any) -> Any:
        came.append(len(found := run(*arguments)))
        return found

    monkeypatch.setattr(search_module, "_run", counting)
    place = Place(place=34, id=1)

    page = conversions.page(Filter(state=State.REJECTED), 3, place, Order.parse(order))

    assert came == [4]
    assert (len(page.conversions), page.next) == (3, Place(place=37, id=page.conversions[-1].id))


def test_a_list_of_several_destinations_ends_where_it_would_cost_too_much_to_merge(
    night: Night, conversions: Conversions, monkeypatch: pytest.MonkeyPatch
):
    a_list(night)
    night.sql("INSERT INTO webflow.destinations (destination) VALUES ('webflow_new')")
    monkeypatch.setattr(search_module, "MOST_MERGED", 2)

    first = conversions.page(Filter(source="sales"), 2, None, Order.parse("value"))
    second = conversions.page(Filter(source="sales"), 2, first.next, Order.parse("value"))

    assert [one.conversion_id for one in (*first.conversions, *second.conversions)] == ["d", "a", "e", "c"]
    assert second.next is None


def test_a_list_that_is_too_long_stays_in_its_own_order_and_is_not_counted(
    night: Night, conversions: Conversions, monkeypatch: pytest.MonkeyPatch
):
    a_list(night)
    monkeypatch.setattr(search_module, "MOST_COUNTED", 4)

    page = conversions.page(Filter(), 2, None, Order.parse("value"))
    assert ([one.conversion_id for one in page.conversions], page.is_ordered) == (["e", "d"], False)
    assert [one.conversion_id for one in conversions.page(Filter(), 9, page.next, Order.parse("value")).conversions] == [
        "c",
        "b",
        "a",
    ]
    assert conversions.summary(Filter()) == Summary(conversions=4, is_cut=True)
    assert conversions.summary(Filter(value_from=Decimal(1))) == Summary(
        conversions=4,
        value=Decimal("65.00"),
        first_ms=int((NOW - timedelta(days=4)).timestamp() * 1000),
        last_ms=int(NOW.timestamp() * 1000),
    )


def test_a_list_that_takes_too_long_to_count_is_not_counted_and_shown_all_the_same(
    night: Night, conversions: Conversions, monkeypatch: pytest.MonkeyPatch
):
    a_list(night)
    monkeypatch.setattr(search_module, "COUNT_SECONDS", 0.001)
    night.sql(
        "INSERT INTO webflow.conversions (destination, source, action_id, state, first_seen_at, run_id)"
        " SELECT 'x', 'sales', g, 'rejected', now(), 'x' FROM generate_series(1, 50000) g"
    )

    assert conversions.summary(Filter()) is None
    assert len(names(conversions)) == 100


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"happened_from": "2026-11-21"}, "abc"),
        ({"happened_to": "2026-11-21"}, "cde"),
        ({"happened_from": "2026-11-21", "happened_to": "2026-11-22"}, "bc"),
        ({"happened_from": "2026-11-22", "happened_to": "2026-11-21"}, ""),
        ({"happened_from": "0001-01-01", "happened_to": "9999-12-31"}, "abcde"),
        ({"happened_from": "2026-11-19", "happened_to": "2026-11-23", "state": "rejected"}, "ac"),
        ({"happened_from": "2026-11-23", "happened_to": "2026-11-23", "source": "nowhere"}, ""),
        ({"value_from": "20"}, "ce"),
        ({"value_to": "10.00"}, "ad"),
        ({"value_from": "5.01", "value_to": "20", "state": "rejected"}, "a"),
        ({"reason": "refused"}, "ac"),
        ({"reason": "refused_422"}, "a"),
        ({"reason": "refused", "state": "expired"}, ""),
        ({"reason": "refused_"}, ""),
    ],
)
def test_days_values_and_all_refusals_are_filters(
    night: Night, conversions: Conversions, selection: dict[str, str], expected: str
):
    a_list(night)

    wanted = asked(selection)
    assert sorted(map(str, names(conversions, **wanted))) == sorted(expected)
    summary = conversions.summary(Filter(**wanted))
    assert summary is not None
    assert summary.conversions == len(expected)


def asked(selection: dict[str, str]) -> dict[str, Any]:
    kinds: dict[str, Any] = {"happened_from": date.fromisoformat, "happened_to": date.fromisoformat, "state": State}
    return {name: kinds.get(name, Decimal if name.startswith("value") else str)(value) for name, value in selection.items()}


def test_a_day_is_one_of_utc_from_its_first_millisecond_to_its_last(night: Night, conversions: Conversions):
    midnight = datetime(2026, 11, 22, tzinfo=UTC)
    for name, moment in (
        ("before", midnight - timedelta(milliseconds=1)),
        ("first", midnight),
        ("last", midnight + timedelta(days=1, milliseconds=-1)),
        ("after", midnight + timedelta(days=1)),
    ):
        put(night, "accepted", name, action_timestamp_ms=round(moment.timestamp() * 1000))
    put(night, "rejected", "never", action_timestamp_ms=None)

    assert names(conversions, happened_from=date(2026, 11, 22), happened_to=date(2026, 11, 22)) == ["last", "first"]


def test_the_sources_and_kinds_are_found_by_stepping_through_the_index(night: Night, conversions: Conversions):
    for source, event in (("a b", "x"), ("a b", "y"), ("z", "x")):
        for number in range(3):
            put(night, "held", f"{number}", source=source, event_name=event, user_id=None,
                action_id=f"{DESTINATION}/{source.replace(' ', '%20')}/{event}/{number}")  # fmt: skip

    assert conversions.sources() == ["a b", "z"]
    assert len(names(conversions, conversion="1")) == 3


def test_the_history_says_who_read_it_and_what_went_wrong(night: Night, simulator: SimulatorProcess, conversions: Conversions):
    a_night(night, simulator)
    ((identifier,),) = night.sql("SELECT id FROM webflow.conversions WHERE conversion_id = 'good-1'")
    found = conversions.one(identifier)
    assert found is not None

    assert [(one.what, one.run_id) for one in conversions.history(found)] == [("read", "run")]


def test_hostile_text_is_only_looked_for(night: Night, conversions: Conversions):
    put(night, "accepted", "good")

    for text in ("'; DROP TABLE webflow.conversions; --", "%", "%s", "%(id)s", "_", "\\", "💥" * 150, "' OR 1=1 --"):
        assert names(conversions, conversion=text) == []
        assert names(conversions, source=text, reason=text) == []
        assert conversions.of_user([text]) is None
    assert names(conversions) == ["good"]


# Acting


def do(night: Night, actions: Actions, action: Action, *ids: int) -> dict[Effect, int]:
    number = actions.do(action, Filter(), ids, "ada", NOW)
    done = actions.one(number)
    assert done is not None
    return dict(done.outcome)


SENDABLE = [
    ("rejected", {"reason": "refused_422", "refused_with": "x", "settled_at": NOW}, (0, 0)),
    ("rejected", {"reason": "written_off", "attempts": 1, "attempts_in_doubt": 1}, (1, 1)),
    ("rejected", {"reason": "echo_mismatch", "attempts": 1, "attempts_in_doubt": 1}, (1, 1)),
    ("sending", {"reason": "in_doubt", "attempts": 1, "attempts_in_doubt": 1}, (1, 1)),
    ("withdrawn", {"reason": "taken_back", "settled_at": NOW}, (0, 0)),
    ("withdrawn", {"reason": "no_longer_in_source", "settled_at": NOW, "attempts": 1}, (1, 0)),
]


@pytest.mark.parametrize(("state", "columns", "attempts"), SENDABLE)
def test_what_was_refused_doubted_or_withdrawn_can_be_sent_again(
    night: Night, actions: Actions, state: str, columns: dict[str, Any], attempts: tuple[int, int]
):
    identifier = put(night, state, **columns)

    assert actions.preview(Action.SEND_AGAIN, [identifier], NOW) == {Effect.CHANGED: 1}
    assert do(night, actions, Action.SEND_AGAIN, identifier) == {Effect.CHANGED: 1}

    row = night.row("c1")
    assert (row.state, row.reason, row.settled_at, row.refused_with, row.push_id) == ("ready", None, None, None, None)
    assert (row.attempts, row.attempts_in_doubt) == attempts


def test_a_dead_push_leaves_an_attempt_in_doubt_that_counts(night: Night, actions: Actions):
    identifier = put(night, "sending", push_id=push_of(night, lease="-1 second"))

    do(night, actions, Action.SEND_AGAIN, identifier)

    row = night.row("c1")
    assert (row.state, row.attempts, row.attempts_in_doubt) == ("ready", 1, 1)


UNTOUCHED = [
    ("accepted", {}, Effect.ACCEPTED),
    ("ready", {}, Effect.WAITS),
    ("ready", {"action_timestamp_ms": int((NOW - 49 * HOUR).timestamp() * 1000)}, Effect.TOO_OLD),
    ("held", {"user_id": None, "action_timestamp_ms": int((NOW - 49 * HOUR).timestamp() * 1000)}, Effect.TOO_OLD),
    ("expired", {"reason": "expired_unsent"}, Effect.TOO_OLD),
    ("rejected", {"reason": "refused_422", "action_timestamp_ms": int((NOW - 49 * HOUR).timestamp() * 1000)}, Effect.TOO_OLD),
    ("rejected", {"reason": "missing_timestamp", "action_timestamp_ms": None}, Effect.UNFIT),
    ("rejected", {"reason": "unknown_goal"}, Effect.UNFIT),
    ("rejected", {"reason": "refused_422", "user_id": None}, Effect.UNFIT),
    ("held", {"reason": "unknown_user", "user_id": None}, Effect.HELD),
    ("withdrawn", {"reason": "forgotten"}, Effect.FORGOTTEN),
    ("withdrawn", {"reason": "taken_back", "event_name": None}, Effect.UNFIT),
    ("withdrawn", {"reason": "taken_back", "action_timestamp_ms": int((NOW - 49 * HOUR).timestamp() * 1000)}, Effect.TOO_OLD),
    ("rejected", {"reason": "written_off", "user_id": None, "forgotten_at": NOW}, Effect.FORGOTTEN),
]


@pytest.mark.parametrize(("state", "columns", "effect"), UNTOUCHED)
def test_what_the_ledger_forbids_stays_as_it_is(
    night: Night, actions: Actions, state: str, columns: dict[str, Any], effect: Effect
):
    identifier = put(night, state, **columns)
    before = night.row("c1")

    assert actions.preview(Action.SEND_AGAIN, [identifier], NOW) == {effect: 1}
    assert do(night, actions, Action.SEND_AGAIN, identifier) == {effect: 1}
    assert night.row("c1") == before


@pytest.mark.parametrize("action", Action)
def test_what_a_push_may_still_hear_of_is_left_to_it(night: Night, actions: Actions, action: Action):
    identifier = put(night, "sending", push_id=push_of(night, lease="1 minute"))

    assert do(night, actions, action, identifier) == {Effect.AWAITED: 1}
    assert night.row("c1").state == "sending"


@pytest.mark.parametrize("action", [Action.SEND_AGAIN, Action.WRITE_OFF])
def test_what_was_claimed_by_a_push_that_is_declared_dead_is_in_doubt_and_does_not_go_out_before_its_lease_is_over(
    night: Night, actions: Actions, action: Action
):
    identifier = put(night, "sending", push_id=push_of(night, lease="1 minute", ended=True))

    assert do(night, actions, action, identifier) == {Effect.CHANGED: 1}
    assert night.sql("SELECT retry_at > clock_timestamp() + interval '50 s' FROM webflow.conversions") == [(True,)]


def test_what_a_push_that_is_not_in_the_ledger_claimed_is_in_doubt(night: Night, actions: Actions):
    identifier = put(night, "sending", push_id=12345)

    assert do(night, actions, Action.SEND_AGAIN, identifier) == {Effect.CHANGED: 1}


@pytest.mark.parametrize(
    ("state", "columns"),
    [
        ("sending", {"reason": "in_doubt"}),
        ("ready", {"attempts": 1, "attempts_in_doubt": 1}),
        ("held", {"user_id": None, "attempts": 1, "attempts_in_doubt": 1}),
    ],
)
def test_what_is_in_doubt_can_be_written_off(night: Night, actions: Actions, state: str, columns: dict[str, Any]):
    identifier = put(night, state, **columns)

    assert do(night, actions, Action.WRITE_OFF, identifier) == {Effect.CHANGED: 1}

    row = night.row("c1")
    assert (row.state, row.reason, row.settled_at is not None) == ("rejected", "written_off", True)


@pytest.mark.parametrize("state", ["accepted", "ready", "held", "rejected", "expired", "withdrawn"])
def test_only_what_is_in_doubt_can_be_written_off(night: Night, actions: Actions, state: str):
    identifier = put(night, state, reason="x" if state in ("rejected", "expired", "withdrawn") else None)

    assert do(night, actions, Action.WRITE_OFF, identifier) == {Effect.NOT_IN_DOUBT: 1}
    assert night.row("c1").state == state


@pytest.mark.parametrize(
    ("columns", "effect", "state"),
    [
        ({"reason": "taken_back", "user_id": None}, Effect.HELD, ("held", "unknown_user")),
        ({"reason": "no_longer_in_source", "user_id": None, "user_domain": None}, Effect.HELD, ("held", "unknown_user")),
        (
            {"reason": "taken_back", "user_id": None, "action_timestamp_ms": int((NOW + HOUR).timestamp() * 1000)},
            Effect.LATER,
            ("future", None),
        ),
        ({"reason": "taken_back", "action_timestamp_ms": int((NOW + HOUR).timestamp() * 1000)}, Effect.LATER, ("future", None)),
    ],
)
def test_what_was_withdrawn_goes_back_to_where_it_can_wait(
    night: Night, actions: Actions, columns: dict[str, Any], effect: Effect, state: tuple[str, str | None]
):
    identifier = put(night, "withdrawn", settled_at=NOW, **columns)

    assert actions.preview(Action.SEND_AGAIN, [identifier], NOW) == {effect: 1}
    assert do(night, actions, Action.SEND_AGAIN, identifier) == {effect: 1}

    assert night.states() == {"c1": state}
    assert night.row("c1").settled_at is None
    assert night.sql("SELECT what, detail, person FROM webflow.history") == [
        ("send_again", f"withdrawn {columns['reason']}", "ada")
    ]


@pytest.mark.parametrize(
    ("state", "columns"),
    [
        ("ready", {}),
        ("ready", {"attempts": 1, "trouble": "HTTP 429", "retry_at": NOW}),
        ("held", {"reason": "unknown_user", "user_id": None}),
        ("future", {"user_id": None, "action_timestamp_ms": int((NOW + HOUR).timestamp() * 1000)}),
    ],
)
def test_what_waits_can_be_taken_back(night: Night, actions: Actions, state: str, columns: dict[str, Any]):
    identifier = put(night, state, **columns)

    assert actions.preview(Action.TAKE_BACK, [identifier], NOW) == {Effect.CHANGED: 1}
    assert night.row("c1").state == state
    assert do(night, actions, Action.TAKE_BACK, identifier) == {Effect.CHANGED: 1}

    row = night.row("c1")
    assert (row.state, row.reason, row.settled_at is not None) == ("withdrawn", "taken_back", True)
    assert (row.user_id, row.attempts, row.attempts_in_doubt) == (columns.get("user_id", "72349876"), row.attempts, 0)
    was = f"{state} {columns['reason']}" if "reason" in columns else state
    assert night.sql("SELECT conversion, what, detail, person FROM webflow.history") == [(identifier, "take_back", was, "ada")]


@pytest.mark.parametrize(
    ("state", "columns", "effect"),
    [
        ("accepted", {}, Effect.ACCEPTED),
        ("sending", {"reason": "in_doubt", "attempts": 1, "attempts_in_doubt": 1}, Effect.IN_DOUBT),
        ("ready", {"attempts": 1, "attempts_in_doubt": 1}, Effect.IN_DOUBT),
        ("held", {"user_id": None, "attempts": 1, "attempts_in_doubt": 1}, Effect.IN_DOUBT),
        ("ready", {"action_timestamp_ms": int((NOW - 49 * HOUR).timestamp() * 1000)}, Effect.TOO_OLD),
        ("expired", {"reason": "expired_unsent"}, Effect.NOT_WAITING),
        ("rejected", {"reason": "refused_422"}, Effect.NOT_WAITING),
        ("withdrawn", {"reason": "taken_back"}, Effect.NOT_WAITING),
        ("withdrawn", {"reason": "no_longer_in_source"}, Effect.NOT_WAITING),
    ],
)
def test_only_what_waits_can_be_taken_back(night: Night, actions: Actions, state: str, columns: dict[str, Any], effect: Effect):
    identifier = put(night, state, **columns)
    before = night.row("c1")

    assert actions.preview(Action.TAKE_BACK, [identifier], NOW) == {effect: 1}
    assert do(night, actions, Action.TAKE_BACK, identifier) == {effect: 1}
    assert night.row("c1") == before
    assert night.sql("SELECT count(*) FROM webflow.history") == [(0,)]


def test_what_was_taken_back_does_not_go_out_until_somebody_sends_it_again(
    night: Night, simulator: SimulatorProcess, actions: Actions
):
    run = night.ready(3)
    taken = night.row("c2").id

    assert do(night, actions, Action.TAKE_BACK, taken) == {Effect.CHANGED: 1}
    assert night.push(run, simulator.url).accepted == 2
    assert night.states()["c2"] == ("withdrawn", "taken_back")

    do(night, actions, Action.SEND_AGAIN, taken)
    night.push(night.read("later"), simulator.url)
    assert night.states()["c2"] == ("accepted", None)
    assert len(simulator.events()) == 3


def test_a_push_that_has_claimed_a_row_keeps_it(night: Night, actions: Actions):
    run = night.ready(1)
    taken = night.row("c1").id
    queue = night.queue(run)
    queue.begin(60)
    with night.connect() as other, other.cursor() as cursor:  # a claim that is not committed yet
        cursor.execute("UPDATE webflow.conversions SET state = 'sending', push_id = 1 WHERE id = %s", (taken,))
        assert do(night, actions, Action.TAKE_BACK, taken) == {Effect.BUSY: 1}
    assert do(night, actions, Action.TAKE_BACK, taken) == {Effect.AWAITED: 1}
    assert night.states() == {"c1": ("sending", None)}


def test_a_push_does_not_claim_what_somebody_takes_back_at_that_moment(night: Night):
    run = night.ready(2)
    taken, other_id = night.row("c1").id, night.row("c2").id
    queue = night.queue(run)
    queue.begin(60)
    with night.connect() as other, other.cursor() as cursor:
        cursor.execute(statement("actions/lock"), {"ids": [taken]})
        cursor.execute(statement("actions/take_back"), {"ids": [taken], "oldest_ms": 0, "person": "ada"})
        assert [one.id for one in queue.claim(10, night.clock.at)] == [other_id]
    assert queue.claim(10, night.clock.at) == []
    assert night.states() == {"c1": ("withdrawn", "taken_back"), "c2": ("sending", None)}


def test_of_a_push_and_a_person_who_come_at_once_each_row_has_one(night: Night):
    run = night.ready(400)
    ids = [row.id for row in night.rows().values()]
    queue = night.queue(run)
    queue.begin(60)
    with ThreadPoolExecutor(max_workers=1) as person:
        number = person.submit(Actions(Session(night.connect)).do, Action.TAKE_BACK, Filter(), ids, "ada", NOW)
        claimed = {row.id for _ in range(40) for row in queue.claim(10, night.clock.at)}
        record = Actions(night.session).one(number.result())
    claimed |= {row.id for row in queue.claim(400, night.clock.at)}

    states = {row.id: row.state for row in night.rows().values()}
    assert record is not None
    assert sum(record.outcome.values()) == 400
    assert {number for number, state in states.items() if state == "sending"} == claimed
    assert {number for number, state in states.items() if state == "withdrawn"} == set(ids) - claimed
    assert record.outcome.get(Effect.CHANGED, 0) == 400 - len(claimed) == record.conversions


def test_what_a_push_is_claiming_at_this_moment_is_left_to_it(night: Night, actions: Actions):
    identifier = put(night, "rejected", reason="refused_422")
    with night.connect() as other, other.cursor() as cursor:
        cursor.execute("SELECT FROM webflow.conversions WHERE id = %s FOR UPDATE", (identifier,))

        assert do(night, actions, Action.SEND_AGAIN, identifier) == {Effect.BUSY: 1}


def test_every_action_is_recorded_with_who_did_it(night: Night, actions: Actions):
    refused, held = put(night, "rejected", "c1", reason="refused_422"), put(night, "held", "c2", user_id=None)

    actions.do(Action.SEND_AGAIN, Filter(state=State.REJECTED, reason="refused_422"), [refused, held], "ada", NOW)
    actions.do(Action.WRITE_OFF, Filter(id=refused), [refused], "bob", NOW)

    assert [(record.person, record.action, record.conversions, record.filter, record.outcome) for record in actions.last(10)] == [
        ("bob", "write_off", 0, {"id": str(refused)}, {"not_in_doubt": 1}),
        ("ada", "send_again", 2, {"state": "rejected", "reason": "refused_422"}, {"changed": 1, "held": 1}),
    ]
    assert night.sql("SELECT conversion, what, detail, person FROM webflow.history ORDER BY conversion") == [
        (refused, "send_again", "rejected refused_422", "ada"),
        (held, "send_again", "held", "ada"),
    ]


def test_what_was_sent_again_by_hand_goes_out(night: Night, simulator: SimulatorProcess, actions: Actions):
    run = night.ready(30)
    simulator.faults([{"action": "status", "status": 422, "times": 1, "action_id": f"{DESTINATION}/sales/offline-purchase/c25"}])
    night.push(run, simulator.url)
    ((identifier,),) = night.sql("SELECT id FROM webflow.conversions WHERE state = 'rejected'")

    do(night, actions, Action.SEND_AGAIN, identifier)
    night.push(night.read("later"), simulator.url)

    assert {state for state, _ in night.states().values()} == {"accepted"}
    assert len(simulator.events()) == 30


def seconds_until_claimable(night: Night, queue: PushQueue) -> float:
    """When the only conversion may be claimed; it cannot be now."""
    assert queue.claim(10, night.clock.at) == []
    seconds = queue.seconds_to_retry(night.clock.at)
    assert seconds is not None
    return seconds


@pytest.fixture
def recovered(night: Night) -> PushQueue:
    """The second try of a push, with ``hold``, which has recovered what the first, on another host, may have out for 1,000 seconds."""
    run = night.ready(1)
    first = night.queue(run, resend=False)
    first.begin(1_000)
    first.claim(10, night.clock.at)
    night.sql("UPDATE webflow.pushes SET host = 'elsewhere'")
    second = night.queue(run, try_number=2, resend=False)
    second.begin(60)
    assert second.recover(night.clock.at) == 1
    assert night.states() == {"c1": ("sending", "in_doubt")}
    return second


@pytest.mark.parametrize("taken", [[Action.SEND_AGAIN], [Action.WRITE_OFF, Action.SEND_AGAIN]])
def test_what_is_sent_again_by_hand_waits_until_no_request_of_a_dead_push_can_be_out(
    night: Night, actions: Actions, recovered: PushQueue, taken: list[Action]
):
    for action in taken:
        assert do(night, actions, action, night.row("c1").id) == {Effect.CHANGED: 1}
    assert night.states() == {"c1": ("ready", None)}

    assert 900 < seconds_until_claimable(night, recovered) <= 1_000
    night.sql("UPDATE webflow.conversions SET retry_at = clock_timestamp()")
    assert len(recovered.claim(10, night.clock.at)) == 1


def test_what_hold_kept_waits_so_long_under_resend_too(night: Night, recovered: PushQueue):
    later = night.queue(night.read("later"))
    later.begin(60)
    later.recover(night.clock.at)
    assert night.states() == {"c1": ("ready", None)}

    assert 900 < seconds_until_claimable(night, later) <= 1_000


def test_a_written_off_conversion_stays_written_off(night: Night, simulator: SimulatorProcess, actions: Actions):
    run = night.ready(1)
    queue = night.queue(run, resend=False)
    queue.begin(60)
    (claimed,) = queue.claim(10, night.clock.at)
    queue.settle([Settlement(id=claimed.id, state=State.SENDING, reason="in_doubt", attempts=1, doubts=1, failures=1)])

    do(night, actions, Action.WRITE_OFF, claimed.id)
    night.push(night.read("later"), simulator.url)

    assert night.states() == {"c1": ("rejected", "written_off")}
    assert simulator.events() == []


def test_a_reading_session_cannot_change_anything(night: Night):
    connection = night.connect()
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction), connection, connection.cursor() as cursor:
        cursor.execute("UPDATE webflow.conversions SET state = 'ready'")
    connection.close()
