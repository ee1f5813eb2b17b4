"""No statement of a run reads the whole ledger: with a long history behind it, each reaches its rows by an index."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import psycopg2
import pytest
from psycopg2.extras import NamedTupleCursor

from demo.airflow_stack import REPOSITORY
from tests.night import DESTINATION, NOW, Night
from tests.rows import put
from tests.unit.test_documents import blocks
from webflow_conversions.delivery.protocols import Settlement
from webflow_conversions.ledger.overview import read_overview
from webflow_conversions.ledger.readback import ReadbackRecord
from webflow_conversions.ledger.retention import hash_people
from webflow_conversions.ledger.search import Conversions
from webflow_conversions.ledger.selection import Filter, Only, Order, Sort
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.pipeline.verdict import Verdict
from webflow_conversions.rules.credit import Attribution
from webflow_conversions.rules.states import State

REPORTS = REPOSITORY / "docs" / "reports.md"
HISTORY = 60_000
LARGE = {"conversions", "extracted", "history"}
SMALL_INDEXES = {"conversions_ready", "conversions_troubled", "conversions_waiting", "conversions_sending"}
"""Partial ones, which hold only what is not finished."""


class Planned(NamedTupleCursor):
    """Keeps the plan of each statement, as the session's own settings make it."""

    plans: ClassVar[list[tuple[str, dict[str, Any]]]] = []

    def execute(self, query: Any, parameters: Any = None) -> None:
        words = [line for line in str(query).split("\n") if line.strip() and not line.startswith("--")]
        if words and words[0].split()[0] in ("WITH", "SELECT", "UPDATE", "INSERT", "DELETE") and "webflow." in str(query):
            super().execute(f"EXPLAIN (FORMAT JSON) {query}", parameters)
            (plan,) = self.fetchone()
            self.plans.append((str(query), plan[0]["Plan"]))
        super().execute(query, parameters)


class PlannedConnection(psycopg2.extensions.connection):
    def cursor(self, *_: Any, **__: Any) -> Any:
        return super().cursor(cursor_factory=Planned)


@pytest.fixture(scope="module")
def night_database(new_database: Callable[[], Callable[[], Any]]) -> Callable[[], Any]:
    """A database of this module alone: a plan goes by statistics, and no other test has left any."""
    return new_database()


@pytest.fixture
def plans(night: Night, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """A ledger with a history, and the plans of what a night does from here on."""
    run = night.ready(1_500)
    night.sql(
        "INSERT INTO webflow.conversions (destination, source, event_name, conversion_id, action_id, action_timestamp_ms, value,"
        " identity_key, user_domain, user_id, state, attempts, push_id, first_seen_at, settled_at, run_id, attribution)"
        " SELECT %s, 'sales', 'offline-purchase', g, 'old/' || g, %s + g, 1, 'k1', 'crm', 'u1', 'accepted', 1, -g %% 100, now(), now(), 'x',"
        " (ARRAY['will_count', 'may_count', 'unknown'])[g %% 4]"
        " FROM generate_series(1, %s) g",
        DESTINATION,
        int((NOW - timedelta(hours=47)).timestamp() * 1000),
        HISTORY,
    )
    night.sql("INSERT INTO webflow.extracted (extraction, conversion, alike) SELECT -1, id, 1 FROM webflow.conversions")
    night.sql("ANALYZE webflow.conversions, webflow.extracted")
    night.session.close()
    connect = night.connect

    def planned() -> Any:
        with connect() as plain:
            dsn = plain.dsn
        return psycopg2.connect(dsn, connection_factory=PlannedConnection)

    night.connect = planned
    night.session = Session(planned)
    night.runs._session = night.session
    monkeypatch.setattr(Planned, "plans", [])
    night.opened = run
    yield Planned.plans
    night.connect = connect


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def whole_reads(plan: dict[str, Any]) -> list[str]:
    """The nodes that read all of a large table, be it by way of an index."""
    return [
        f"{node['Node Type']} on {node['Relation Name']} by {node.get('Index Name')}"
        for node in nodes(plan)
        if node.get("Relation Name") in LARGE
        and "Scan" in node["Node Type"]
        and node["Node Type"] != "Bitmap Heap Scan"
        and "Index Cond" not in node
        and node.get("Index Name") not in SMALL_INDEXES
    ]


def test_claim_settle_recover_and_the_forecast_read_by_an_index(night: Night, plans: list[Any]) -> None:
    run = night.opened
    dead = night.queue(run, worker=1)
    dead.begin(lease_seconds=60)
    dead.claim(100, NOW)
    night.sql("UPDATE webflow.pushes SET expires_at = clock_timestamp()")
    queue = night.queue(run)
    queue.begin(lease_seconds=60)
    assert queue.recover(NOW) == 100
    claimed = queue.claim(1_200, NOW)
    done = [Settlement(id=row.id, state=State.ACCEPTED, http_status=200, attempts=1, sent_at=1.0) for row in claimed[:1_000]]
    assert queue.settle(done).rows == 1_000
    (other,) = queue.claim_probes(1, NOW)
    with closing(night.connect()) as somebody, somebody.cursor() as cursor:
        cursor.execute("SELECT FROM webflow.conversions WHERE id = %s FOR UPDATE", (other.id,))
        assert len(queue.settle([Settlement(id=other.id, state=State.READY)]).locked) == 1
    queue.elsewhere(NOW)
    assert queue.release([claimed[1_000].id]) == len(claimed) - 1_000
    queue.renew(60, {})
    queue.reserve(10, 0.1)
    queue.rest(0)
    queue.seconds_to_retry(NOW)
    night.forecasts(run).waiting(NOW, 100.0, 7_200.0)
    queue.end({})
    found = {statement: reads for statement, plan in plans if (reads := whole_reads(plan))}
    assert found == {}
    assert len(plans) >= 18


def test_extraction_identification_and_the_account_read_by_an_index(night: Night, plans: list[Any]) -> None:
    night.sale("late", key="stranger")
    night.sale("new")
    run = night.read("second")
    night.person("stranger", "u2")
    third = night.read("third")
    night.runs.accounts(run, {DESTINATION: run.sources}, NOW)
    night.runs.activity(NOW)
    night.problems(third)
    found = {statement: reads for statement, plan in plans if (reads := whole_reads(plan))}
    assert found == {}
    assert len(plans) >= 15
    assert night.row("late").state == "ready"


def test_the_read_back_reaches_what_was_accepted_by_the_pushes(night: Night, plans: list[Any]) -> None:
    record = ReadbackRecord(night.session)
    assert record.sent(NOW.date() - timedelta(days=7), NOW.date()) == []
    record.recorded(NOW.date())
    found = {statement: reads for statement, plan in plans if (reads := whole_reads(plan))}
    assert found == {}
    assert {"conversions_accepted", "conversions_happened"} & {
        node.get("Index Name") for _, plan in plans for node in nodes(plan)
    }


@pytest.mark.parametrize(
    "selection",
    [
        Filter(reason="unknown_goal"),
        Filter(reason="refused_422"),
        Filter(reason="unknown_user"),
        Filter(reason="taken_back"),
        Filter(state=State.WITHDRAWN, source="kiosk"),
        Filter(source="kiosk"),
        Filter(source="kiosk", state=State.ACCEPTED),
        Filter(source="nowhere"),
        Filter(state=State.HELD, source="kiosk"),
        Filter(state=State.REJECTED, source="kiosk"),
        Filter(state=State.READY, source="kiosk"),
        Filter(state=State.SENDING, source="kiosk"),
        Filter(attribution=Attribution.WILL_NOT_COUNT),
        Filter(attribution=Attribution.UNKNOWN, state=State.ACCEPTED, source="kiosk"),
        Filter(attribution_reason="edge"),
        Filter(attribution=Attribution.MAY_COUNT, state=State.HELD),
        Filter(id=1, state=State.HELD),
        Filter(conversion="c1", state=State.HELD),
        Filter(begins="c1", state=State.HELD, source="kiosk"),
        Filter(user_of=1, state=State.HELD, only=Only.IN_DOUBT),
        Filter(key_of=1, state=State.HELD, only=Only.IN_DOUBT),
        Filter(written="No. 1", state=State.HELD),
        Filter(happened_from=NOW.date(), happened_to=NOW.date(), source="kiosk"),
        Filter(reason="refused", happened_from=NOW.date()),
    ],
    ids=lambda selection: " ".join(f"{name}={value}" for name, value in selection.query().items()),
)
def test_a_list_of_the_page_reads_by_an_index(night: Night, plans: list[Any], selection: Filter) -> None:
    for number in range(3):
        put(night, "accepted", f"k{number}", source="kiosk", action_id=f"{DESTINATION}/kiosk/offline-purchase/k{number}")
    plans.clear()
    conversions = Conversions(night.session)
    page = conversions.page(selection, 2)
    if page.next:
        conversions.page(selection, 2, page.next)
    conversions.page(selection, 2, None, Order(sort=Sort.VALUE))
    # The first of all kinds is the first of all action IDs.
    kinds = statement("search/kinds_of_conversions")
    found = {sql: reads for sql, plan in plans if sql != kinds and (reads := whole_reads(plan))}
    assert found == {}
    assert plans


def test_people_are_hashed_by_an_index_and_what_was_hashed_is_not_read_again(night: Night, plans: list[Any]) -> None:
    night.sql("UPDATE webflow.conversions SET push_id = 1 - push_id WHERE state = 'accepted'")
    night.sql("ANALYZE webflow.conversions")
    year, later = timedelta(days=365), datetime.now(UTC) + timedelta(days=366)
    plans.clear()
    assert hash_people(night.session, year, later) == HISTORY
    assert {statement: reads for statement, plan in plans if (reads := whole_reads(plan))} == {}
    indexes = {node["Index Name"] for _, plan in plans for node in nodes(plan) if "Index Name" in node}
    assert {"conversions_accepted", "conversions_turned_away"} <= indexes
    plans.clear()
    assert hash_people(night.session, year, later) == 0
    assert not [sql for sql, _ in plans if sql == statement("retention/hash_people")]


def test_a_month_that_was_too_old_is_not_read_for_the_chart(night: Night, plans: list[Any]) -> None:
    night.sql(
        "UPDATE webflow.conversions SET state = 'expired', reason = 'expired_before_seen', settled_at = %s"
        " WHERE id IN (SELECT id FROM webflow.conversions WHERE state = 'accepted' LIMIT 20000)",
        NOW,
    )
    night.sql("ANALYZE webflow.conversions")
    plans.clear()
    read_overview(night.session, "nightly", NOW)
    (plan,) = [plan for sql, plan in plans if sql == statement("overview/ended")]
    assert {node["Index Name"] for node in nodes(plan) if "Index Name" in node} == {"conversions_decided"}


def test_what_waits_and_what_was_decided_is_added_up_from_an_index_alone(night: Night, plans: list[Any]) -> None:
    night.sql(
        "UPDATE webflow.conversions SET state = CASE WHEN id %% 2 = 0 THEN 'held' ELSE 'rejected' END, reason = 'unknown_user',"
        " settled_at = %s WHERE id IN (SELECT id FROM webflow.conversions WHERE state = 'accepted' LIMIT 20000)",
        NOW,
    )
    with closing(night.connect()) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE webflow.conversions")
    plans.clear()
    found = read_overview(night.session, "nightly", NOW)
    assert sum(held.amount.rows for held in found.held) == sum(ended.amount.rows for ended in found.ended) == 10_000
    assert found.ready["sales"].rows == 1_500
    of_page = {statement(f"overview/{name}"): name for name in ("held", "ready", "ended")}
    read = {
        of_page[sql]: {
            (node["Node Type"], node.get("Index Name")) for node in nodes(plan) if node.get("Relation Name") == "conversions"
        }
        for sql, plan in plans
        if sql in of_page
    }
    assert read == {
        "held": {("Index Only Scan", "conversions_waiting")},
        "ready": {("Index Only Scan", "conversions_ready")},
        "ended": {("Index Only Scan", "conversions_decided")},
    }


def test_the_delays_of_a_night_are_read_by_the_pushes_that_it_had(night: Night, plans: list[Any]) -> None:
    queue = night.queue(night.opened)
    queue.begin(lease_seconds=60)
    rows = queue.claim(1_000, NOW)
    queue.settle([Settlement(id=row.id, state=State.ACCEPTED, http_status=200, attempts=1, sent_at=1.0) for row in rows])
    night.runs.end(night.opened, Verdict(), {"sources": {"sales": {"sent": {"rows": 1_000, "value": "1"}}}})
    night.sql("ANALYZE webflow.conversions")
    plans.clear()
    assert read_overview(night.session, "nightly", NOW).delays["sales"].rows == 1_000
    (plan,) = [plan for sql, plan in plans if sql == statement("overview/delays")]
    assert whole_reads(plan) == []
    assert "conversions_accepted" in {node.get("Index Name") for node in nodes(plan)}


@pytest.mark.parametrize("query", blocks(REPORTS, "sql"), ids=lambda query: str(re.findall(r"webflow\.(report_\w+)", query)[0]))
def test_a_query_of_the_page_on_reports_reads_by_an_index(night: Night, plans: list[Any], query: str) -> None:
    # The history lies before the days that are asked for, as months of conversions do.
    moment = NOW - timedelta(hours=41) + timedelta(days=7)
    with night.session.transaction() as cursor:
        cursor.execute(query.replace("now()", f"timestamptz '{moment.isoformat()}'"))
    ((_, plan),) = plans
    assert whole_reads(plan) == []


def test_a_report_that_asks_by_another_column_reads_the_whole_ledger(night: Night, plans: list[Any]) -> None:
    """As the page says, so that nobody takes the one column for the other."""
    with night.session.transaction() as cursor:
        cursor.execute("SELECT count(*) FROM webflow.report_conversions WHERE happened_at >= %s", (NOW,))
    assert whole_reads(plans[0][1])


def test_a_read_of_the_whole_ledger_is_seen(night: Night, plans: list[Any]) -> None:
    with night.session.transaction() as cursor:
        cursor.execute("SELECT count(*) FROM webflow.conversions WHERE value > 5")
    assert len(plans) == 1
    assert whole_reads(plans[0][1])
