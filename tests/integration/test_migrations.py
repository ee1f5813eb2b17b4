"""The ledger's schema comes up to date once, whoever tries, and never under a release that does not know it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg2
import pytest

from demo.postgres import PostgresServer
from webflow_conversions.errors import Unusable
from webflow_conversions.ledger import migrations as module
from webflow_conversions.ledger.migrations import migrate, migrations
from webflow_conversions.ledger.session import Session

Connect = Callable[[], Any]


def fetch(connect: Connect, sql: str) -> list[Any]:
    with closing(connect()) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def session(database: Connect) -> Session:
    return Session(database)


def test_every_migration_is_applied_in_order_and_recorded_once(database: Connect, session: Session) -> None:
    assert migrate(session) == [migration.name for migration in migrations()]
    assert migrate(session) == []
    recorded = fetch(database, "SELECT version, name, checksum FROM webflow.schema_migrations ORDER BY version")
    assert recorded == [(migration.version, migration.name, migration.checksum) for migration in migrations()]
    assert [migration.version for migration in migrations()] == list(range(1, len(migrations()) + 1))


def test_a_ledger_of_every_earlier_version_comes_up_to_date(database: Connect, session: Session) -> None:
    for migration in migrations():
        assert migrate(session, up_to=migration.version) == [migration.name]
    assert migrate(session) == []


def test_many_may_try_at_once_and_each_file_is_applied_once(database: Connect) -> None:
    with ThreadPoolExecutor(6) as pool:
        applied = list(pool.map(lambda _: migrate(Session(database)), range(6)))
    assert sorted(applied, key=len) == [[]] * 5 + [[migration.name for migration in migrations()]]


def test_who_comes_second_waits_for_the_first(database: Connect) -> None:
    with closing(database()) as first, ThreadPoolExecutor(1) as pool:
        with first.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (module._LOCK,))
            second = pool.submit(migrate, Session(database))
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            while fetch(database, waiting) == [(0,)]:
                assert not second.done()
        first.commit()
        assert second.result() != []


def test_a_ledger_newer_than_the_release_is_refused_and_left_alone(database: Connect, session: Session) -> None:
    migrate(session)
    newest = migrations()[-1].version
    fetch(database, "INSERT INTO webflow.schema_migrations (version, name, checksum) VALUES (9999, '9999_later.sql', '')")
    with pytest.raises(Unusable, match=rf"has version 9999, and this release .* knows {newest}: install the newer release"):
        migrate(session)


def test_a_migration_that_was_changed_after_it_was_applied_is_refused(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(session)
    known = migrations()
    more = replace(known[-1], version=len(known) + 1, name="0009_more.sql", sql="CREATE TABLE webflow.more ()")
    monkeypatch.setattr(module, "migrations", lambda: [*known, more])
    migrate(session)
    monkeypatch.setattr(module, "migrations", lambda: [*known, replace(more, sql=f"{more.sql};\n")])
    with pytest.raises(Unusable, match=r"was made with another 0009_more.sql than this release has"):
        migrate(session)


def test_a_ledger_of_the_schema_before_the_first_release_is_refused_and_left_alone(database: Connect, session: Session) -> None:
    migrate(session)
    fetch(database, "UPDATE webflow.schema_migrations SET checksum = 'another'")
    fetch(database, "INSERT INTO webflow.schema_migrations VALUES (5, '0005_whole_runs.sql', 'of then', now())")
    with pytest.raises(Unusable, match=r"older than the first one.* cannot be brought up to date: let connection .* or drop"):
        migrate(session)
    assert len(fetch(database, "SELECT version FROM webflow.schema_migrations")) == len(migrations()) + 1


def test_a_migration_that_fails_leaves_nothing_of_it_nor_of_those_before(
    database: Connect, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations()
    broken = replace(known[-1], version=len(known) + 1, name="9_broken.sql", sql="CREATE TABLE webflow.half (); SELECT 1 / 0")
    monkeypatch.setattr(module, "migrations", lambda: [*known, broken])
    with pytest.raises(psycopg2.errors.DivisionByZero):
        migrate(session)
    assert fetch(database, "SELECT count(*) FROM pg_namespace WHERE nspname = 'webflow'") == [(0,)]


def test_a_role_that_may_not_create_anything_is_told_so(database: Connect, session: Session) -> None:
    fetch(database, "DROP ROLE IF EXISTS sender")
    fetch(database, "CREATE ROLE sender LOGIN")

    def as_sender() -> Any:
        connection = database()
        with connection, connection.cursor() as cursor:
            cursor.execute("SET SESSION AUTHORIZATION sender")
        return connection

    with pytest.raises(Unusable, match=r"has to be brought to version \d+, and the role of its connection may not do it"):
        migrate(Session(as_sender))


def test_a_database_that_cannot_hold_every_text_is_refused(postgres: PostgresServer) -> None:
    with closing(postgres.connect("postgres")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("DROP DATABASE IF EXISTS latin")
            cursor.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(Unusable, match=r"has the encoding LATIN1, which cannot hold every text: create it with ENCODING 'UTF8'"):
        migrate(Session(lambda: postgres.connect("latin")))


def test_a_server_that_is_too_old_is_refused(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OLDEST_SERVER", 99_00_00)
    with pytest.raises(Unusable, match=r"The ledger's PostgreSQL is version \d\d, and it needs 99 or newer: upgrade it"):
        migrate(session)
    assert not module.is_there(session)
