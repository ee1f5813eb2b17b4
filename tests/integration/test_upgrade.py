"""A ledger of every released version is brought up to date with its data in it, and the next night goes on from there."""

import uuid
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from demo.postgres import PostgresServer
from demo.simulator import SimulatorProcess
from tests.ledgers import make
from tests.night import Night
from webflow_conversions.ledger.migrations import migrations

DUMPS = sorted(make.FOLDER.glob("*.sql"))


def rows(night: Night) -> dict[str, dict[str, Any]]:
    return {name: row._asdict() for name, row in night.rows().items()}


@pytest.fixture(params=DUMPS, ids=lambda path: path.stem)
def dump(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def database(postgres: PostgresServer, dump: Path) -> str:
    name = f"upgrade_{uuid.uuid4().hex}"
    postgres.create_database(name)
    make.restore(postgres, name, dump.read_text(encoding="utf-8"))
    return name


class Upgraded(Night):
    """A night over a ledger and a warehouse that are there already."""

    def sql(self, statement: str, *parameters: Any) -> list[Any]:
        return [] if statement.lstrip().startswith("CREATE TABLE sales") else super().sql(statement, *parameters)


def test_there_is_a_dump_of_every_version_but_the_newest() -> None:
    assert [int(path.stem) for path in DUMPS] == [migration.version for migration in migrations()[: len(DUMPS)]]
    assert len(DUMPS) >= len(migrations()) - 1


def test_an_upgrade_keeps_every_conversion_as_it_was(postgres: PostgresServer, database: str) -> None:
    connect = partial(postgres.connect, database)
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT conversion_id, to_jsonb(c) FROM webflow.conversions c")
        before = dict(cursor.fetchall())
    connection.close()
    night = Upgraded(connect)
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT conversion_id, to_jsonb(c) FROM webflow.conversions c")
        after = {name: {key: value for key, value in row.items() if key in before[name]} for name, row in cursor.fetchall()}
        cursor.execute("SELECT max(version) FROM webflow.schema_migrations")
        assert cursor.fetchone() == (migrations()[-1].version,)
    connection.close()
    night.session.close()
    assert len(before) == 29
    assert after == before


def test_the_night_after_an_upgrade_sends_what_was_left_and_nothing_that_was_sent(
    postgres: PostgresServer, database: str, simulator: SimulatorProcess
) -> None:
    night = Upgraded(partial(postgres.connect, database))
    states = {name: row.state for name, row in night.rows().items()}
    assert {"accepted", "rejected", "sending", "ready", "held", "future", "expired"} == set(states.values())
    run = night.read("after the upgrade")
    night.push(run, simulator.url)
    received = {action_id.rsplit("/", 1)[1]: times for action_id, times in simulator.action_ids().items()}
    assert received == {"ready": 1, "in-flight-0": 1, "in-flight-1": 1, "in-flight-2": 1}
    assert {night.row(f"in-flight-{number}").attempts_in_doubt for number in range(3)} == {1}
    assert night.row("accepted-0").state == "accepted"
    assert night.problems(run) == []
    night.session.close()
