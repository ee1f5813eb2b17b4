"""The views for reports: their columns stay, each is explained, they say what the ledger says, and nothing in them leads to a person."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import yaml
from psycopg2.extras import Json

from demo.airflow_stack import REPOSITORY
from demo.simulator import SimulatorProcess
from tests.night import DESTINATION, Night
from tests.rows import put
from tests.unit.test_documents import rows
from webflow_conversions.ledger.readback import ReadbackRecord
from webflow_conversions.pipeline.causes import Level
from webflow_conversions.pipeline.readback import ReadDay, SentDay
from webflow_conversions.pipeline.reconciliation import counts
from webflow_conversions.rules.credit import Attribution
from webflow_conversions.rules.readings import Reading
from webflow_conversions.rules.states import State

REPORTS = REPOSITORY / "docs" / "reports.md"
DBT = REPOSITORY / "deploy" / "dbt"

TEXT, WHOLE, MONEY, MOMENT, DAY, YES_NO = "text", "bigint", "numeric", "timestamp with time zone", "date", "boolean"
RELEASED: Mapping[str, Mapping[str, str]] = {
    "report_conversions": {
        "conversion_number": WHOLE, "destination": TEXT, "source": TEXT, "event_name": TEXT, "conversion_id": TEXT, "action_id": TEXT,
        "action_timestamp_ms": WHOLE, "happened_at": MOMENT, "happened_on": DAY, "value": MONEY, "state": TEXT, "reason": TEXT,
        "attempts": "integer", "http_status": "smallint", "is_sent_again": YES_NO, "is_changed_after_sent": YES_NO, "attribution": TEXT,
        "attribution_reason": TEXT, "minutes_from_activity": "integer", "first_seen_at": MOMENT, "sent_at": MOMENT,
        "settled_at": MOMENT, "forgotten_at": MOMENT, "run_id": TEXT,
    },
    "report_readback": {
        "destination": TEXT, "event_name": TEXT, "day": DAY, "goal_id": TEXT, "shown_conversions": WHOLE, "accepted_conversions": WHOLE,
        "accepted_users": WHOLE, "will_count_users": WHOLE, "may_count_users": WHOLE, "will_not_count_users": WHOLE,
        "unknown_users": WHOLE, "strict_users": WHOLE, "wide_users": WHOLE, "lenient_users": WHOLE, "read_at": MOMENT,
    },
    "report_run_sources": {
        "run_number": WHOLE, "source": TEXT, "level": TEXT, "read_rows": WHOLE, "read_value": MONEY, "duplicate_rows": WHOLE,
        "conflicting_rows": WHOLE, "outside_rows": WHOLE, "too_old_rows": WHOLE, "accepted_rows": WHOLE, "accepted_value": MONEY,
        "ready_rows": WHOLE, "ready_value": MONEY, "would_send_rows": WHOLE, "would_send_value": MONEY, "in_doubt_rows": WHOLE,
        "held_rows": WHOLE, "held_value": MONEY, "rejected_rows": WHOLE, "rejected_value": MONEY, "expired_rows": WHOLE,
        "expired_value": MONEY, "withdrawn_rows": WHOLE, "withdrawn_value": MONEY, "sent_again_rows": WHOLE,
        "changed_after_sent_rows": WHOLE,
    },
    "report_runs": {
        "run_number": WHOLE, "dag_id": TEXT, "run_id": TEXT, "run_type": TEXT, "started_at": MOMENT, "started_on": DAY,
        "approved_at": MOMENT, "ended_at": MOMENT, "outcome": TEXT, "level": TEXT, "problems": TEXT, "window_start": MOMENT,
        "window_end": MOMENT, "is_whole": YES_NO, "is_dry_run": YES_NO, "is_rehearsal": YES_NO, "is_forced": YES_NO, "currency": TEXT,
        "reading": TEXT, "config_digest": TEXT,
    },
}  # fmt: skip
"""The columns that people build on, in their order: add new ones at the end, and change none."""

VALUES = {
    ("report_conversions", "state"): State,
    ("report_conversions", "attribution"): Attribution,
    ("report_runs", "level"): Level,
    ("report_run_sources", "level"): Level,
    ("report_runs", "reading"): Reading,
    ("report_runs", "outcome"): ("succeeded", "failed"),
}

_COLUMNS = """
SELECT c.relname AS view, a.attname AS name, format_type(a.atttypid, NULL) AS type, col_description(c.oid, a.attnum) AS comment
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'webflow'::regnamespace AND c.relkind = 'v' AND c.relname <> 'daily_summary'
ORDER BY c.relname, a.attnum
"""


@pytest.fixture
def columns(night: Night) -> dict[str, list[tuple[str, str, str]]]:
    """Name, type and comment of each column of each view."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for view, *column in night.sql(_COLUMNS):
        found.setdefault(view, []).append(tuple(column))
    return found


def shown(night: Night, view: str) -> list[Any]:
    """The rows of a view, as named tuples."""
    with night.session.transaction() as cursor:
        cursor.execute(f"SELECT * FROM webflow.{view}")
        return list(cursor.fetchall())


@pytest.fixture
def ended(night: Night, simulator: SimulatorProcess) -> Night:
    """A night after a run with an accepted, a held, a rejected, an expired conversion, and a row that is there twice."""
    night.person()
    night.sale("sent", value=Decimal("149.99"))
    night.sale("waits", key="nobody", value=Decimal("20.00"))
    night.sale("without key", key=None, value=Decimal("3.00"))
    night.sale("late", ago=timedelta(days=4), value=Decimal("4.00"))
    night.sale("sent", value=Decimal("149.99"))
    run = night.read("first")
    assert night.push(run, simulator.url).accepted == 1
    verdict = night.verdict(run)
    evidence = night.runs.evidence(run, {DESTINATION: run.sources}, night.clock.at, is_rehearsal=False)
    night.runs.end(run, verdict, counts(evidence.accounts, evidence.pushes))
    return night


def test_no_released_column_goes_away_or_becomes_another(columns: Mapping[str, list[tuple[str, str, str]]]) -> None:
    assert {view: {name: type_ for name, type_, _ in found} for view, found in columns.items()} == RELEASED
    assert {view: [name for name, _, _ in found] for view, found in columns.items()} == {
        view: list(released) for view, released in RELEASED.items()
    }


def test_every_column_is_explained_in_the_database_the_page_and_dbt(columns: Mapping[str, list[tuple[str, str, str]]]) -> None:
    assert all(comment for found in columns.values() for _, _, comment in found)
    documented = {tuple(cell.strip("`") for cell in cells) for cells in rows(REPORTS)}
    assert {column for found in columns.values() for column in found} <= documented
    (source,) = yaml.safe_load((DBT / "models" / "webflow.yml").read_text(encoding="utf-8"))["sources"]
    of_dbt = {
        table["name"]: [(column["name"], column["data_type"], column["description"]) for column in table["columns"]]
        for table in source["tables"]
    }
    assert of_dbt == dict(columns)


def test_the_tests_of_dbt_know_every_value_that_the_code_has(columns: Mapping[str, list[tuple[str, str, str]]]) -> None:
    (source,) = yaml.safe_load((DBT / "models" / "webflow.yml").read_text(encoding="utf-8"))["sources"]
    accepted = {
        (table["name"], column["name"]): test["accepted_values"]["arguments"]["values"]
        for table in source["tables"]
        for column in table["columns"]
        for test in column.get("data_tests", ())
        if "accepted_values" in test
    }
    assert accepted == {place: list(map(str, values)) for place, values in VALUES.items()}


def test_the_freshness_of_dbt_sees_the_end_of_a_whole_night_and_of_no_other(ended: Night) -> None:
    (source,) = yaml.safe_load((DBT / "models" / "webflow.yml").read_text(encoding="utf-8"))["sources"]
    (settings,) = [table["config"] for table in source["tables"] if "freshness" in table.get("config", ())]
    condition, column = settings["freshness"]["filter"], settings["loaded_at_field"]
    last = f"SELECT max({column}) FROM webflow.report_runs WHERE {condition}"
    ((fresh,),) = ended.sql(last)
    assert fresh == shown(ended, "report_runs")[0].ended_at
    for change in ("is_rehearsal = true", "is_whole = false", "outcome = 'failed'"):
        column_of_change = change.split()[0]
        ((before,),) = ended.sql(f"SELECT {column_of_change}::text FROM webflow.runs")
        ended.sql(f"UPDATE webflow.runs SET {change}")
        assert ended.sql(last) == [(None,)], change
        ended.sql(f"UPDATE webflow.runs SET {column_of_change} = %s", before)


def test_the_conversions_are_those_of_the_ledger(ended: Night) -> None:
    of_ledger = ended.rows()
    reported = {row.conversion_id: row for row in shown(ended, "report_conversions")}
    assert {name: (row.state, row.reason) for name, row in reported.items()} == {
        "sent": ("accepted", None),
        "waits": ("held", "unknown_user"),
        "without key": ("rejected", "missing_identity"),
        "late": ("expired", "expired_before_seen"),
    }
    assert {name: (row.value, row.action_id, row.happened_at) for name, row in reported.items()} == {
        name: (
            row.value,
            row.action_id,
            ended.clock.at - timedelta(days=4 if name == "late" else 0, hours=0 if name == "late" else 1),
        )
        for name, row in of_ledger.items()
    }
    assert reported["sent"].happened_on == (ended.clock.at - timedelta(hours=1)).date()
    assert (reported["sent"].attempts, reported["sent"].http_status, reported["sent"].is_sent_again) == (1, 200, False)


@pytest.mark.parametrize(("state", "is_sent_again"), [("accepted", True), ("ready", False)])
def test_sent_again_is_what_was_accepted_after_a_lost_answer(night: Night, state: str, is_sent_again: bool) -> None:
    put(night, state, attempts=2, attempts_in_doubt=1)
    (row,) = shown(night, "report_conversions")
    assert row.is_sent_again is is_sent_again


def test_a_run_and_its_sources_say_what_the_verdict_and_the_account_said(ended: Night) -> None:
    (run,), (source,) = shown(ended, "report_runs"), shown(ended, "report_run_sources")
    assert (run.run_id, run.outcome, run.level, run.problems, run.is_whole) == ("first", "succeeded", "note", None, True)
    assert (run.started_at, run.started_on) == (ended.clock.at, ended.clock.at.date())
    assert (source.run_number, source.source, source.level) == (run.run_number, "sales", "note")
    assert {name: getattr(source, name) for name in source._fields[3:] if getattr(source, name)} == {
        "read_rows": 5,
        "read_value": Decimal("326.98"),
        "duplicate_rows": 1,
        "accepted_rows": 1,
        "accepted_value": Decimal("149.99"),
        "held_rows": 1,
        "held_value": Decimal("20.00"),
        "rejected_rows": 1,
        "rejected_value": Decimal("3.00"),
        "expired_rows": 1,
        "expired_value": Decimal("4.00"),
    }


def test_a_run_that_is_not_green_says_why_and_one_that_has_not_ended_has_no_sources(
    night: Night, simulator: SimulatorProcess
) -> None:
    night.ready(3)
    run = night.read("second")
    night.runs.end(
        run,
        night.verdict(run),
        counts(night.runs.evidence(run, {DESTINATION: run.sources}, night.clock.at, is_rehearsal=False).accounts, []),
    )
    night.begin("third")
    by_id = {row.run_id: row for row in shown(night, "report_runs")}
    assert (by_id["second"].outcome, by_id["second"].level) == ("failed", "failed")
    assert by_id["second"].problems == "sales: 3 conversions (3.00) ready, not sent"
    assert (by_id["third"].outcome, by_id["third"].level, by_id["third"].problems) == (None, None, None)
    assert [(row.run_number, row.level, row.ready_rows) for row in shown(night, "report_run_sources")] == [
        (by_id["second"].run_number, "failed", 3)
    ]


def test_the_level_of_a_source_is_its_worst_finding(ended: Night) -> None:
    for level in Level:
        findings = [
            {"source": "sales", "level": str(Level.GOOD)},
            {"source": "sales", "level": str(level)},
            {"source": "", "level": "failed"},
        ]
        ended.sql("UPDATE webflow.runs SET verdict = %s", Json({"level": str(level), "findings": findings}))
        assert [row.level for row in shown(ended, "report_run_sources")] == [str(level)]


def test_a_dry_run_is_a_run_without_sources(night: Night) -> None:
    run = night.begin("dry", dry_run=True)
    night.runs.end(run, night.verdict(run), {"sources": {"sales": {"anything": 1}}})
    assert [row.is_dry_run for row in shown(night, "report_runs")] == [True]
    assert shown(night, "report_run_sources") == []


def test_the_read_back_is_what_was_recorded(night: Night) -> None:
    day = night.clock.at.date()
    sent = SentDay(
        destination=DESTINATION,
        event_name="offline-purchase",
        day=day,
        accepted=9,
        users=8,
        verdicts={verdict: number for number, verdict in enumerate(Attribution, 1)},
        readings={reading: number for number, reading in enumerate(Reading, 5)},
    )
    ReadbackRecord(night.session).record([ReadDay(sent=sent, goal_id="1234", shown=7)], night.clock.at)
    (row,) = shown(night, "report_readback")
    assert tuple(row) == (DESTINATION, "offline-purchase", day, "1234", 7, 9, 8, 1, 2, 3, 4, 5, 6, 7, night.clock.at)


def test_nothing_in_a_report_leads_to_a_person(ended: Night) -> None:
    personal = {
        "identity_key": "mark-of-key", "user_domain": "mark-of-domain", "user_id": "mark-of-user", "detail": "mark-of-detail",
        "trouble": "mark-of-trouble", "visit_id": "mark-of-visit", "refused_with": "mark-of-digest",
    }  # fmt: skip
    put(ended, "accepted", "c9", visit=Json({"started_at": "mark-of-visit"}), **personal)
    ended.sale("ann@example.com")
    ended.read("later")
    for view in (*RELEASED, "daily_summary"):
        told = " ".join(text for (text,) in ended.sql(f"SELECT v::text FROM webflow.{view} v"))
        assert told or view == "report_readback"
        for mark in ("mark-of", "ann@", "k1"):
            assert mark not in told, view
    ((kept,),) = ended.sql(
        "SELECT count(*) FROM webflow.conversions WHERE user_id = 'mark-of-user' AND identity_key = 'mark-of-key'"
    )
    assert kept == 1
