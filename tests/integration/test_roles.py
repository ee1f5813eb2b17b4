"""Each role has what it needs and no more: a night runs with them alone, and what they must not do is refused."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege, ReadOnlySqlTransaction

from demo.postgres import PostgresServer
from demo.simulator import SimulatorProcess
from tests.roles import NightWithRoles, Roles
from webflow_conversions.errors import Unusable
from webflow_conversions.ledger.actions import Action, Actions
from webflow_conversions.ledger.dry_run import DryRuns
from webflow_conversions.ledger.erasure import Erasure, People
from webflow_conversions.ledger.migrations import migrate, migrations
from webflow_conversions.ledger.overview import read_overview
from webflow_conversions.ledger.readback import ReadbackRecord
from webflow_conversions.ledger.retention import hash_people, remove_old
from webflow_conversions.ledger.search import Conversions
from webflow_conversions.ledger.selection import Filter, Only
from webflow_conversions.ledger.session import Session
from webflow_conversions.pipeline.readback import ReadDay, SentDay
from webflow_conversions.rules.states import Reason, State


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    with PostgresServer(tmp_path_factory.mktemp("roles")) as server:
        made = Roles(server)
        made.migrate("webflow_owner", "webflow")
        made.do("postgres", "REVOKE CREATE ON SCHEMA public FROM PUBLIC", "warehouse")  # until 14: deploy/warehouse-reader.sql
        yield made


@pytest.fixture(scope="module")
def night(roles: Roles) -> Iterator[NightWithRoles]:
    made = NightWithRoles(roles)
    yield made
    made.session.close()


def test_a_night_runs_with_these_roles_alone(night: NightWithRoles, simulator: SimulatorProcess) -> None:
    night.person()
    night.sale("a")
    night.sale("b", key="later")
    night.sale("c", key=None)
    run = night.read("first")
    assert night.push(run, simulator.url).accepted == 1
    night.person("later", "u2")
    run = night.read("second")
    assert night.push(run, simulator.url).accepted == 1
    assert night.problems(run) == []
    assert night.states() == {"a": ("accepted", None), "b": ("accepted", None), "c": ("rejected", "missing_identity")}
    dry = night.begin("dry", dry_run=True)
    results = DryRuns(night.session)
    results.record(dry, night.dry_run(dry), night.clock.at)
    results.forget(dry, "sales")
    day = SentDay(destination="webflow_default", event_name="offline-purchase", day=night.clock.at.date())
    for _ in range(2):
        ReadbackRecord(night.session).record([ReadDay(sent=day, goal_id="1", shown=0)], night.clock.at)
    assert remove_old(night.session, night.clock.at - night.clock.at, night.clock.at) >= 0
    assert hash_people(night.session, timedelta(), night.clock.at + timedelta(days=3650)) == 2


def test_the_files_may_be_run_again(roles: Roles) -> None:
    roles.psql("postgres", "databases.sql")
    roles.psql("webflow", "roles.sql")
    roles.psql("webflow", "bi-reader.sql")


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE webflow.conversions",
        "DROP SCHEMA webflow CASCADE",
        "TRUNCATE webflow.conversions",
        "ALTER TABLE webflow.conversions DROP COLUMN reason",
        "CREATE TABLE webflow.mine (id integer)",
        "CREATE TABLE public.mine (id integer)",
        "ALTER TABLE webflow.conversions OWNER TO webflow_worker",
        "CREATE ROLE mine",
    ],
)
@pytest.mark.parametrize("role", ["webflow_worker", "webflow_page"])
def test_nobody_but_the_owner_changes_the_ledger_s_tables(roles: Roles, role: str, statement: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        roles.do(role, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM webflow.conversions",
        "DELETE FROM webflow.actions",
        "UPDATE webflow.runs SET outcome = 'succeeded'",
        "UPDATE webflow.conversions SET user_id = 'another'",
        "INSERT INTO webflow.destinations (destination) VALUES ('mine')",
        "UPDATE webflow.history SET person = 'another'",
    ],
)
def test_the_page_changes_nothing_that_it_has_no_button_for(roles: Roles, statement: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        roles.do("webflow_page", statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE webflow.schema_migrations SET version = 0",
        "DELETE FROM webflow.deployment",
        "UPDATE webflow.actions SET person = 'another'",
        "INSERT INTO webflow.actions (person, action, filter) VALUES ('another', 'download', '{}')",
    ],
)
def test_the_worker_changes_neither_whose_ledger_it_is_nor_who_did_what(roles: Roles, statement: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        roles.do("webflow_worker", statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM webflow.extracted",
        "SELECT identity_key FROM webflow.extracted",
        "SELECT was FROM webflow.extracted",
    ],
)
def test_the_page_reads_nothing_of_what_the_sources_said_of_single_rows(roles: Roles, statement: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        roles.do("webflow_page", statement)


def test_the_page_reads_every_other_column(roles: Roles) -> None:
    columns = roles.do(
        "postgres",
        "SELECT format('%I.%I', table_schema, table_name), string_agg(quote_ident(column_name), ', ')"
        " FROM information_schema.columns WHERE table_schema = 'webflow'"
        " AND NOT (table_name = 'extracted' AND column_name IN ('identity_key', 'was')) GROUP BY 1",
    )
    assert len(columns) >= 8
    for table, names in columns:
        roles.do("webflow_page", f"SELECT {names} FROM {table}")


def test_the_page_reads_all_tables(roles: Roles) -> None:
    tables = roles.do("postgres", "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'webflow'")
    assert len(tables) >= 8
    for (table,) in tables:
        roles.do("webflow_page", f"SELECT count(*) FROM {table}")


def test_bi_tools_read_the_reports_and_nothing_else(roles: Roles) -> None:
    relations = roles.do(
        "postgres",
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'webflow' AND c.relkind IN ('r', 'v', 'm', 'p', 'f')",
    )
    may_read = set()
    for (relation,) in relations:
        with suppress(InsufficientPrivilege):
            roles.do("webflow_bi", f"SELECT count(*) FROM webflow.{relation}")
            may_read.add(relation)
    assert may_read == {"report_conversions", "report_runs", "report_run_sources", "report_readback", "daily_summary"}
    assert roles.do("webflow_bi", "SELECT webflow.milliseconds('1970-01-02 00:00+00')") == [(86_400_000,)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE webflow.report_conversions SET state = 'ready'",
        "CREATE TABLE webflow.mine (id integer)",
        "CREATE TABLE mine (id integer)",
    ],
)
@pytest.mark.parametrize("first", ["", "SET default_transaction_read_only = off; COMMIT; "])
def test_bi_tools_cannot_write(roles: Roles, first: str, statement: str) -> None:
    with pytest.raises((InsufficientPrivilege, ReadOnlySqlTransaction)):
        roles.do("webflow_bi", first + statement)


def test_a_report_that_was_left_open_ends_by_itself(roles: Roles) -> None:
    names = ("statement_timeout", "idle_in_transaction_session_timeout", "max_parallel_workers_per_gather")
    assert [roles.do("webflow_bi", f"SHOW {name}") for name in names] == [[("5min",)], [("1min",)], [("0",)]]


def test_a_ledger_that_lacks_a_migration_is_one_sentence_for_a_role_that_may_not_make_it(
    roles: Roles, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = migrations()[-1].version
    more = [*migrations(), type(migrations()[-1])(version=newest + 1, name="9999_more.sql", sql="CREATE TABLE webflow.more ()")]
    monkeypatch.setattr("webflow_conversions.ledger.migrations.migrations", lambda: more)
    with pytest.raises(
        Unusable,
        match=rf"to version {newest + 1}, and the role .* may not do it .*: run python -m webflow_conversions\.ledger as",
    ):
        migrate(Session(partial(roles.connect, "webflow_worker", "webflow")))


def test_the_reader_sees_the_named_tables_and_no_others(roles: Roles, night: NightWithRoles) -> None:
    night.sql("CREATE TABLE salaries (amount numeric)")
    assert roles.do("webflow_reader", "SELECT count(*) FROM sales", "warehouse")
    with pytest.raises(InsufficientPrivilege):
        roles.do("webflow_reader", "SELECT * FROM salaries", "warehouse")


def test_the_reader_sees_a_named_table_in_whatever_schema(roles: Roles, night: NightWithRoles) -> None:
    night.sql("CREATE SCHEMA crm; CREATE TABLE crm.deals (id integer); CREATE TABLE crm.salaries (amount numeric)")
    night.sql('CREATE SCHEMA "Über uns"; CREATE TABLE "Über uns"."Table 1" (id integer)')
    roles.psql("warehouse", "warehouse-reader.sql", tables='sales, people,crm.deals , "Über uns"."Table 1"')
    assert roles.do("webflow_reader", 'SELECT count(*) FROM crm.deals, "Über uns"."Table 1"', "warehouse") == [(0,)]
    with pytest.raises(InsufficientPrivilege):
        roles.do("webflow_reader", "SELECT * FROM crm.salaries", "warehouse")


@pytest.mark.parametrize("statement", ["DELETE FROM sales", "CREATE TABLE mine (id integer)", "DROP TABLE sales"])
@pytest.mark.parametrize("first", ["", "SET default_transaction_read_only = off; COMMIT; "])
def test_the_reader_cannot_write(roles: Roles, night: NightWithRoles, statement: str, first: str) -> None:
    with pytest.raises((InsufficientPrivilege, ReadOnlySqlTransaction)):
        roles.do("webflow_reader", first + statement, "warehouse")


@pytest.mark.parametrize(
    ("role", "database"),
    [
        ("webflow_worker", "airflow"),
        ("webflow_page", "airflow"),
        ("webflow_bi", "airflow"),
        ("airflow", "webflow"),
        ("webflow_owner", "airflow"),
    ],
)
def test_nobody_sees_another_s_database(roles: Roles, role: str, database: str) -> None:
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        roles.connect(role, database)


def test_the_command_migrates_once_with_roles_or_without(roles: Roles) -> None:
    roles.server.create_database("fresh")
    assert "brought the ledger to 0001_ledger.sql" in roles.migrate("postgres", "fresh")
    assert roles.migrate("postgres", "fresh") == f"the ledger is at version {migrations()[-1].version}\n"


def test_the_worker_removes_a_person_and_the_page_does_not(
    roles: Roles, night: NightWithRoles, simulator: SimulatorProcess
) -> None:
    night.person("key of ann", "user of ann")
    night.sale("of ann", key="key of ann")
    night.push(night.read("with ann"), simulator.url)
    roles.do(
        "postgres",
        """INSERT INTO webflow.actions (person, action, filter) VALUES ('ada', 'download', '{"conversion": "of ann"}')""",
    )
    people = People(users=[("crm", "user of ann")])
    page = Session(partial(roles.connect, "webflow_page", "webflow"))
    with pytest.raises(InsufficientPrivilege):
        Erasure(page, people).remove(night.clock.at)
    page.close()
    assert Erasure(night.session, people).remove(night.clock.at).conversions == 1
    assert roles.do("postgres", "SELECT filter FROM webflow.actions ORDER BY id DESC LIMIT 1") == [({"conversion": "forgotten"},)]


def test_the_page_s_buttons_work_with_its_role(roles: Roles, night: NightWithRoles, simulator: SimulatorProcess) -> None:
    for name in ("refused", "doubtful", "taken", "returned"):
        night.sale(name)
    night.person()
    simulator.faults([{"action": "status", "status": 422}])
    night.push(night.read("to be refused"), simulator.url)
    roles.do("postgres", "UPDATE webflow.conversions SET state = 'sending', reason = 'in_doubt' WHERE conversion_id = 'doubtful'")
    roles.do(
        "postgres", "UPDATE webflow.conversions SET state = 'ready', reason = NULL WHERE conversion_id IN ('taken', 'returned')"
    )
    ids = {name: row.id for name, row in night.rows().items()}
    session = Session(partial(roles.connect, "webflow_page", "webflow"))
    actions = Actions(session)
    for kind, name in (
        ("send_again", "refused"),
        ("write_off", "doubtful"),
        ("take_back", "taken"),
        ("take_back", "returned"),
        ("send_again", "returned"),
    ):
        number = actions.do(kind, Filter(), [ids[name]], "ada", night.clock.at)
        actions.started(number, "manual__1")
    session.close()
    states = night.states()
    assert {name: states[name] for name in ids if name in ("refused", "doubtful", "taken", "returned")} == {
        "refused": ("ready", None),
        "doubtful": ("rejected", "written_off"),
        "taken": ("withdrawn", "taken_back"),
        "returned": ("ready", None),
    }


def test_the_page_reads_all_that_it_shows_with_its_role(roles: Roles, night: NightWithRoles) -> None:
    night.person()
    night.sale("shown")
    night.read("to be shown")
    session = Session(partial(roles.connect, "webflow_page", "webflow"))
    conversions = Conversions(session)
    shown = night.row("shown")

    assert read_overview(session, "nightly", night.clock.at).extractions
    for selection in (
        Filter(),
        *(Filter(state=state) for state in State),
        *(Filter(only=only) for only in Only),
        Filter(attribution_reason="edge"),
        *(Filter(source="sales", state=state) for state in (None, State.WITHDRAWN)),
        *(Filter(reason=reason) for reason in Reason),
        Filter(id=shown.id),
        Filter(conversion="shown"),
        Filter(begins="sho"),
        Filter(user_of=shown.id),
        Filter(key_of=shown.id),
        Filter(written="shown"),
        Filter(run=1),
    ):
        conversions.page(selection, 10)
        conversions.summary(selection)
    found = conversions.one(shown.id)
    assert found is not None
    assert [one.what for one in conversions.history(found)] == ["read"]
    assert conversions.sources() == ["sales"]
    assert conversions.of_user(["u1"]) is not None
    assert conversions.of_key(["k1"]) is not None
    assert conversions.currency() is None
    for action in Action:
        Actions(session).preview(action, [shown.id], night.clock.at)
    assert Actions(session).last(10)
    session.close()
