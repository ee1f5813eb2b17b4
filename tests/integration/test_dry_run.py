"""A dry run shows what a run would do, and leaves everything as it was."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from demo.simulator import SimulatorProcess
from tests.night import NOW, Night
from webflow_conversions.errors import Unavailable
from webflow_conversions.ledger.dry_run import DryRuns
from webflow_conversions.ledger.erasure import Erasure, People
from webflow_conversions.ledger.preview import TemporaryTable
from webflow_conversions.ledger.session import Session
from webflow_conversions.pipeline.attribution import Policy
from webflow_conversions.pipeline.preview import Example, Preview
from webflow_conversions.pipeline.run import Run
from webflow_conversions.pipeline.visits import Visits
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.event import shortened
from webflow_conversions.rules.states import EXPLANATIONS, Reason
from webflow_conversions.rules.window import Window

HOUR = timedelta(hours=1)


def dump(night: Night) -> dict[str, list[Any]]:
    """Every row of every table of the ledger but the record of runs, which a dry run may be in."""
    tables = night.sql(
        "SELECT c.relname FROM pg_class c WHERE relnamespace = 'webflow'::regnamespace AND relkind = 'r' AND relname <> 'runs'"
    )
    return {name: sorted(night.sql(f"SELECT t::text FROM webflow.{name} t")) for (name,) in tables}


def amount(rows: int, value: str) -> Amount:
    return Amount(rows=rows, value=Decimal(value))


@pytest.fixture
def mixed(night: Night, simulator: SimulatorProcess) -> Night:
    """A night after which one conversion is out, one waits for its user, one for its time, one was refused, one is left over."""
    night.person()
    night.sale("out", value=1)
    run = night.read("first")
    night.push(run, simulator.url)
    night.sale("held", key="k2", value=2)
    night.sale("future", ago=-HOUR, value=4)
    night.sale("refused", value=8)
    night.sale("left over", value=16)
    night.read("second")
    night.sql("UPDATE webflow.conversions SET state = 'rejected', reason = 'refused_422' WHERE conversion_id = 'refused'")
    return night


def test_a_dry_run_tells_what_would_be_sent_held_and_rejected_with_its_money(mixed: Night) -> None:
    mixed.sale("new", value=32)
    mixed.sale("bad", value=-1)
    mixed.sale("strange", key="stranger", value=64)
    mixed.sale("late", ago=49 * HOUR, value=128)
    mixed.sale("old", ago=timedelta(days=40), value=256)
    shown = mixed.dry_run(mixed.begin("dry", dry_run=True))
    assert shown.states == {
        ("accepted", None): amount(1, "1"),
        ("held", "unknown_user"): amount(2, "66"),
        ("future", None): amount(1, "4"),
        ("rejected", "refused_422"): amount(1, "8"),
        ("ready", None): amount(2, "48"),
        ("rejected", "negative_value"): amount(1, "0"),
        ("expired", "expired_before_seen"): amount(1, "128"),
    }
    assert shown.to_send == amount(2, "48")
    assert shown.tally.read == amount(10, "511")
    assert shown.tally.too_old == amount(1, "256")
    assert shown.tally.adds_up


def test_a_dry_run_changes_no_row_of_any_table(mixed: Night) -> None:
    mixed.sale("new")
    mixed.sql("UPDATE sales SET value = value + 1")
    mixed.person("k2", "u2")
    mixed.clock.at = NOW + timedelta(hours=2)
    run = mixed.begin("dry", dry_run=True)
    before = dump(mixed)
    shown = mixed.dry_run(run)
    assert shown.to_send.rows == 5
    assert dump(mixed) == before
    assert len(before["conversions"]) == 5


def test_what_a_dry_run_shows_is_what_the_run_then_does(mixed: Night, simulator: SimulatorProcess) -> None:
    mixed.sale("new", value=32)
    mixed.sql("DELETE FROM sales WHERE conversion_id IN ('held', 'future', 'left over')")
    mixed.person("k2", "u2")
    mixed.clock.at = NOW + timedelta(hours=2)
    shown = mixed.dry_run(mixed.begin("dry", dry_run=True))
    counts = mixed.push(mixed.read("real"), simulator.url)
    assert counts.accepted == shown.to_send.rows == 4
    assert mixed.sql("SELECT sum(value) FROM webflow.conversions WHERE state = 'accepted' AND run_id = 'real'") == [
        (shown.to_send.value,)
    ]


def test_a_personal_user_id_is_shown_as_rejected_even_for_what_waits(mixed: Night) -> None:
    mixed.sql("DELETE FROM sales")
    mixed.person("k2", "jane@example.com")
    shown = mixed.dry_run(mixed.begin("dry", dry_run=True))
    assert shown.states == {("ready", None): amount(1, "16"), ("rejected", "personal_data_in_user_id"): amount(1, "2")}


def test_a_conversion_in_several_chunks_is_shown_once(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    from webflow_conversions.warehouse.reader import Warehouse

    original = Warehouse.read
    monkeypatch.setattr(
        Warehouse, "read", lambda self, sql, binds, columns, handle: original(self, sql, binds, columns, handle, 1)
    )
    night.person()
    night.sale("a", value=3)
    night.sale("a", value=3)
    night.sale("b", value=5)
    shown = night.dry_run(night.begin(dry_run=True))
    assert shown.states == {("ready", None): amount(2, "8")}
    assert shown.tally.duplicates == amount(1, "3")
    assert [payload["actionId"].rsplit("/")[-1] for payload in shown.payloads] == ["a", "b"]


def test_the_first_payloads_are_what_would_go_out_but_for_the_user_s_id(mixed: Night, simulator: SimulatorProcess) -> None:
    mixed.sql("DELETE FROM sales")
    mixed.sale("new", value="149.99")
    mixed.sql("UPDATE people SET user_id = '72349876'")
    shown = mixed.dry_run(mixed.begin("dry", dry_run=True))
    new, waiting = shown.payloads
    assert new == {
        "customerId": "123456789",
        "eventName": "offline-purchase",
        "userDomain": "crm",
        "userId": "7234…",
        "actionId": "webflow_default/sales/offline-purchase/new",
        "actionTimestamp": int((NOW - HOUR).timestamp() * 1000),
        "value": 149.99,
    }
    assert (waiting["actionId"], waiting["value"], waiting["userId"]) == (
        "webflow_default/sales/offline-purchase/left over".replace(" ", "%20"),
        16,
        "7234…",
    )


def test_five_payloads_are_enough(night: Night) -> None:
    night.ready(9)
    night.sql("UPDATE sales SET conversion_id = 'd' || conversion_id WHERE conversion_id < 'c4'")
    shown = night.dry_run(night.begin("dry", dry_run=True))
    assert len(shown.payloads) == 5
    assert shown.to_send.rows == 12


# Examples


def test_each_reason_has_examples_and_those_with_other_details_come_first(night: Night) -> None:
    for number in range(9):
        night.sale(f"same {number}", value=-1)
    night.sale("other", value="-2.5")
    night.sale(None, value=7, ago=2 * HOUR)
    shown = night.dry_run(night.begin(dry_run=True))
    negative, nameless = shown.outcomes
    assert (negative.reason, negative.amount.rows) == ("negative_value", 10)
    assert [example.conversion_id for example in negative.examples] == ["same 0", "other", "same 1", "same 2", "same 3"]
    assert [example.detail for example in negative.examples[:2]] == ["value = -1", "value = -2.5"]
    assert (negative.meaning, negative.remedy) == (
        EXPLANATIONS[Reason.NEGATIVE_VALUE].meaning,
        EXPLANATIONS[Reason.NEGATIVE_VALUE].remedy,
    )
    assert nameless.examples == [
        Example(
            conversion_id=None,
            event_name="offline-purchase",
            action_timestamp_ms=int((NOW - 2 * HOUR).timestamp() * 1000),
            value=Decimal(7),
        )
    ]


def test_what_webflow_refused_is_shown_in_its_words(mixed: Night) -> None:
    mixed.sql("UPDATE webflow.conversions SET trouble = 'HTTP 422: no such goal' WHERE reason = 'refused_422'")
    shown = mixed.dry_run(mixed.begin("dry", dry_run=True))
    (refused,) = [outcome for outcome in shown.outcomes if outcome.state == "rejected"]
    assert [(example.conversion_id, example.detail) for example in refused.examples] == [("refused", "HTTP 422: no such goal")]


def test_no_identity_key_and_no_user_id_is_in_the_result_and_nobody_who_was_forgotten(mixed: Night) -> None:
    mixed.sql("UPDATE sales SET identity_key = 'key-of-ann' WHERE identity_key = 'k1'")
    mixed.person("key-of-ann", "user-of-ann")
    mixed.sale("stranger", key="key-of-bob")
    mixed.sale("bad", key="key-of-ann", value=-1)
    mixed.sale("hers", key="key-of-eve")
    mixed.person("key-of-eve", "user-of-eve")
    mixed.read("before she was forgotten")
    Erasure(mixed.session, People(identity_keys=["key-of-eve"])).remove(NOW)
    shown = mixed.dry_run(mixed.begin("dry", dry_run=True))
    document = json.dumps(shown.to_json()) + str(shown)
    assert ("withdrawn", "forgotten") in shown.states
    for name in ("key-of", "-of-ann", "hers"):
        assert name not in document
    assert "stranger" in document


def test_the_result_is_the_same_after_it_was_kept(mixed: Night) -> None:
    mixed.sale("new", value="149.99")
    mixed.sale("a", value=-1)
    run = mixed.begin("dry", dry_run=True)
    shown = mixed.dry_run(run)
    DryRuns(mixed.session).record(run, shown, NOW)
    kept = DryRuns(mixed.session).find("nightly", run.id, NOW)
    assert kept is not None
    assert kept.previews == {"sales": shown}
    assert list(kept.previews["sales"].payloads[0]) == [
        *("customerId", "eventName", "userDomain", "userId", "actionId", "actionTimestamp", "value")
    ]


def test_much_money_is_added_up_exactly(night: Night) -> None:
    night.sql("INSERT INTO sales SELECT 'c' || g, %s, 'nobody', 9999999999999.99 FROM generate_series(1, 9300) g", NOW - HOUR)
    shown = night.preview()
    assert shown.states == {("held", "unknown_user"): amount(9300, str(9300 * Decimal("9999999999999.99")))}


# What will count


@pytest.fixture
def site(night: Night) -> Night:
    """A warehouse with visits, loaded up to half an hour ago, and a conversion of each verdict."""
    night.sql(
        "CREATE TABLE visits (user_domain text, user_id text, session_id text, started_at timestamptz, last_active_at timestamptz,"
        " first_viewed_at timestamptz);"
        "CREATE TABLE loaded (moment timestamptz)"
    )
    night.sql("INSERT INTO loaded VALUES (%s)", NOW - HOUR / 2)
    start = NOW - 3 * HOUR
    night.sql("INSERT INTO visits VALUES ('crm', 'seen', 's', %s, %s, %s)", start, start + HOUR, start + HOUR / 60)
    night.person("k1", "seen")
    night.person("k1", "another", ago=timedelta(days=1))
    night.person("k2", "blind")
    night.sale("counts", ago=2.5 * HOUR, value=1)
    night.sale("may", ago=HOUR, value=2)
    night.sale("never", key="k2", ago=HOUR, value=4)
    night.sale("later", key="k2", ago=HOUR / 4, value=8)
    night.sale("held", key="k3", value=16)
    return night


@pytest.mark.parametrize(
    ("policy", "states"),
    [
        (Policy(), {("ready", None): amount(4, "15"), ("held", "unknown_user"): amount(1, "16")}),
        (
            Policy(holds_unknown=True, skips_useless=True),
            {
                ("ready", None): amount(2, "3"),
                ("held", "unknown_user"): amount(1, "16"),
                ("held", "not_loaded_yet"): amount(1, "8"),
                ("rejected", "no_view"): amount(1, "4"),
            },
        ),
    ],
)
@pytest.mark.parametrize("with_ledger", [True, False])
def test_a_dry_run_judges_as_the_run_does(
    site: Night, policy: Policy, states: dict[tuple[str, str | None], Amount], with_ledger: bool
) -> None:
    shown = site.dry_run(site.begin("dry", dry_run=True), policy=policy) if with_ledger else site.preview(policy=policy)
    site.attribute(site.read("real"), policy)
    assert shown.states == states
    verdicts = {(one.attribution, one.reason): one.amount for one in shown.credited}
    judged = site.sql(
        "SELECT attribution, attribution_reason, count(*), sum(value) FROM webflow.conversions WHERE state = 'ready' GROUP BY 1, 2"
    )
    assert verdicts == {(verdict, reason): amount(rows, value) for verdict, reason, rows, value in judged}
    ((user_id,),) = site.sql("SELECT user_id FROM webflow.conversions WHERE conversion_id = 'counts'")
    assert (user_id, shown.payloads[0]["userId"]) == ("seen", "se…")


def test_without_visits_nothing_is_judged(site: Night) -> None:
    assert site.preview().credited == []


def test_visits_that_cannot_be_read_are_said_and_hinder_nothing(site: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise Unavailable("The warehouse (connection exports) does not answer.")

    monkeypatch.setattr(Visits, "of", away)
    shown = site.dry_run(site.begin("dry", dry_run=True), policy=Policy(skips_useless=True))
    assert shown.hints == [
        "The visits could not be read, so not all is judged: The warehouse (connection exports) does not answer"
    ]
    assert [(one.attribution, one.amount.rows) for one in shown.credited] == [(None, 4)]
    assert shown.to_send.rows == 4


# Several at once


def test_two_dry_runs_and_a_real_one_at_once_do_not_mix(mixed: Night) -> None:
    mixed.ready(300, name="earlier")
    day = Window(start=NOW - 24 * HOUR, end=NOW)
    runs = [mixed.begin("two days", dry_run=True), mixed.begin("one day", dry_run=True, window=day)]
    alone = [mixed.dry_run(run) for run in runs]
    mixed.sale("new")
    real = mixed.begin("real")

    def record(run: Run, preview: Preview) -> None:
        DryRuns(Session(mixed.connect)).record(run, preview, NOW)

    with ThreadPoolExecutor() as threads:
        shown = [threads.submit(mixed.dry_run, run) for run in runs]
        read = threads.submit(mixed.extract, real)
        for run, preview in zip(runs, shown, strict=True):
            record(run, preview.result())
        assert read.result().read.rows == 306

    for run, before in zip(runs, alone, strict=True):
        kept = DryRuns(mixed.session).find("nightly", run.id, NOW)
        assert kept is not None
        preview = kept.previews["sales"]
        assert (preview.to_send.rows, preview.to_send.value) == (before.to_send.rows + 1, before.to_send.value + 10)
        assert preview.tally.adds_up
    assert mixed.states()["new"] == ("ready", None)


def test_a_dry_run_waits_for_a_run_that_adds_the_same_conversion_and_then_sees_it(night: Night) -> None:
    night.person()
    night.sale("a", value=5)
    run = night.begin("dry", dry_run=True)
    with ThreadPoolExecutor() as threads, Session(night.connect).transaction() as other:
        other.execute(
            "INSERT INTO webflow.conversions (destination, source, event_name, conversion_id, action_id, state, first_seen_at, run_id)"
            " VALUES ('webflow_default', 'sales', 'offline-purchase', 'a', 'webflow_default/sales/offline-purchase/a', 'withdrawn',"
            " now(), 'other')"
        )
        shown = threads.submit(night.dry_run, run)
        while not night.sql("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"):
            assert not shown.done()
        other.execute("COMMIT")
        assert shown.result().to_send == amount(1, "5")


def test_a_dry_run_that_is_planned_or_tried_anew_has_no_result_of_before(night: Night) -> None:
    run, other = night.begin("dry", dry_run=True), night.begin("other", dry_run=True)
    results = DryRuns(night.session)
    for each in (run, other):
        results.record(each, night.dry_run(each), NOW)
    assert night.begin("dry", dry_run=True).id == run.id
    assert [results.find("nightly", each.id, NOW).previews.keys() for each in (run, other)] == [set(), {"sales"}]  # type: ignore[union-attr]
    results.forget(other, "sales")
    assert night.sql("SELECT count(*) FROM webflow.dry_runs") == [(0,)]


# The table of a preview


def test_a_temporary_file_without_room_is_one_sentence(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    night.ready(500)
    original = TemporaryTable.__init__

    def small(self: TemporaryTable) -> None:
        original(self)
        self._database.execute("PRAGMA max_page_count = 12")

    monkeypatch.setattr(TemporaryTable, "__init__", small)
    with pytest.raises(Unavailable, match=r"The temporary file of the preview cannot be written .*full"):
        night.preview()


@pytest.mark.parametrize(
    ("user_id", "short"), [("72349876", "7234…"), ("abcdefgh-ijkl", "abcd…"), ("abc", "a…"), ("a", "…"), ("漢字漢字", "漢字…")]
)
def test_of_a_user_id_at_most_half_is_shown_and_never_more_than_four_characters(user_id: str, short: str) -> None:
    assert shortened(user_id) == short
