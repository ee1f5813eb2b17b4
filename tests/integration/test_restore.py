"""A ledger that comes back from a backup: what it knew does not go out again, and what it did not is at risk."""

import os
import subprocess
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from demo.postgres import PostgresServer
from demo.simulator import SimulatorProcess
from tests.night import Night
from tests.roles import NightWithRoles, Roles


def dump(server: PostgresServer, database: str, *options: str) -> str:
    """What ``pg_dump`` writes."""
    command = [str(server.program("pg_dump")), "--no-owner", "--no-privileges", *options, server.url(database)]
    return subprocess.run(command, env={**os.environ, "LC_ALL": "C"}, capture_output=True, check=True, text=True).stdout


def restore(server: PostgresServer, database: str, text: str) -> None:
    """Bring a dump into an empty database."""
    command = [str(server.program("psql")), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", server.url(database)]
    subprocess.run(command, input=text, check=True, text=True, stdout=subprocess.DEVNULL)


def received(simulator: SimulatorProcess) -> dict[str, int]:
    return {action_id.rsplit("/", 1)[1]: times for action_id, times in simulator.action_ids().items()}


class Restored(Night):
    """A night over a ledger and a warehouse that are there already."""

    def sql(self, statement: str, *parameters: Any) -> list[Any]:
        return [] if statement.lstrip().startswith("CREATE TABLE sales") else super().sql(statement, *parameters)


def test_after_a_restore_nothing_goes_out_twice_that_the_ledger_knew(
    postgres: PostgresServer, database: Callable[[], Any], simulator: SimulatorProcess
) -> None:
    night = Night(database)
    run = night.ready(30)
    night.push(run, simulator.url)
    backup = dump(postgres, database.args[0])
    night.sale("after-the-backup")
    night.push(night.read("after-the-backup"), simulator.url)
    night.session.close()

    postgres.create_database("restored")
    restore(postgres, "restored", backup)
    again = Restored(partial(postgres.connect, "restored"))
    again.sale("after-the-backup")
    again.sale("new")
    run = again.read("after the restore")
    again.push(run, simulator.url)
    again.session.close()

    times = received(simulator)
    assert {name: times[name] for name in times if times[name] > 1} == {"after-the-backup": 2}
    assert times["new"] == 1
    assert len(times) == 32
    assert again.problems(run) == []


def test_what_was_being_sent_when_the_backup_was_made_is_in_doubt_after_it(
    postgres: PostgresServer, database: Callable[[], Any], simulator: SimulatorProcess
) -> None:
    night = Night(database)
    run = night.ready(10)
    queue = night.queue(run)
    queue.begin(2)
    queue.claim(10, night.clock.at)
    backup = dump(postgres, database.args[0])
    night.session.close()

    postgres.create_database("restored_in_flight")
    restore(postgres, "restored_in_flight", backup)
    again = Restored(partial(postgres.connect, "restored_in_flight"))
    again.push(run, simulator.url, try_number=2)
    assert {(row.state, row.attempts_in_doubt) for row in again.rows().values()} == {("accepted", 1)}
    again.session.close()


def test_a_lost_ledger_sends_the_last_two_days_again_and_nothing_older(
    postgres: PostgresServer, database: Callable[[], Any], simulator: SimulatorProcess
) -> None:
    night = Night(database)
    night.push(night.ready(10), simulator.url)
    night.sql("DROP SCHEMA webflow CASCADE")
    night.session.close()
    lost = Restored(database)
    lost.clock.at += timedelta(hours=8, milliseconds=5)  # the sales are 40 hours old; five of them are too old by now
    run = lost.read("without memory")
    lost.push(run, simulator.url)
    lost.session.close()
    assert sorted(received(simulator).values()) == [1] * 4 + [2] * 6


def test_a_lost_ledger_sends_nothing_twice_if_the_query_leaves_out_what_is_older_than_the_last_run(
    database: Callable[[], Any], simulator: SimulatorProcess
) -> None:
    """``docs/operations.md``, The ledger is lost."""
    night = Night(database)
    night.push(night.ready(10), simulator.url)
    last_run = night.clock.at
    night.sql("DROP SCHEMA webflow CASCADE")
    night.session.close()

    lost = Restored(database)
    lost.clock.at += timedelta(hours=1)
    lost.sale("new", ago=timedelta(minutes=30))
    lost.sales_sql += f" WHERE occurred_at >= TIMESTAMPTZ '{last_run}'"
    lost.push(lost.read("without memory"), simulator.url)
    lost.session.close()
    assert received(simulator) == {**{f"c{number}": 1 for number in range(1, 11)}, "new": 1}


@pytest.mark.parametrize("lost", ["renamed", "gone"])
def test_the_steps_of_the_document_bring_a_ledger_and_its_roles_back(
    tmp_path_factory: pytest.TempPathFactory, simulator: SimulatorProcess, lost: str
) -> None:
    """``docs/operations.md``, Restore: what each command of it runs, one after the other."""
    with PostgresServer(tmp_path_factory.mktemp("restore")) as server:
        roles = Roles(server)
        roles.migrate("webflow_owner", "webflow")
        night = NightWithRoles(roles)
        night.push(night.ready(10), simulator.url)
        night.session.close()
        backup = tmp_path_factory.mktemp("backup") / "webflow.dump"
        roles.run("pg_dump", "--format", "custom", "--file", str(backup), "webflow")
        night.sale("later")
        night.read("later")
        night.session.close()

        roles.do("postgres", "ALTER DATABASE webflow RENAME TO webflow_lost", "postgres")
        if lost == "gone":
            roles.run("dropdb", "webflow_lost")
            for role in ("webflow_worker", "webflow_page", "webflow_owner"):
                roles.do("postgres", f"DROP ROLE {role}", "postgres")
        roles.psql("postgres", "databases.sql")
        roles.psql("webflow", "roles.sql")
        roles.run("pg_restore", "--dbname", "webflow", "--clean", "--if-exists", str(backup))
        roles.migrate("webflow_owner", "webflow")

        run = night.read("after the restore")
        night.push(run, simulator.url)
        assert received(simulator) == {**{f"c{number}": 1 for number in range(1, 11)}, "later": 1}
        assert night.problems(run) == []
        night.session.close()
