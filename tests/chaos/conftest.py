"""What the chaos has to do with: workers, runs, a simulator, a database, and a seed."""

import json
import multiprocessing
import os
import random
import secrets
import sys
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from demo.postgres import PostgresServer
from demo.simulator import SimulatorProcess
from tests.chaos import life
from tests.night import CUSTOMER_ID, DESTINATION, TOKEN, FixedClock, Night
from webflow_conversions.pipeline.run import Run

TIMEOUT_SECONDS = 0.5
LEASE_MARGIN_SECONDS = 3.0
TRIES = 5

_CONFIGURATION = """
sources:
  - {name: sales, sql: sales.sql, timestamps: {kind: aware}}
known_users: {sql: known_users.sql}
delivery: {attempts_per_run: 100, patience_seconds: 60}
"""


@pytest.fixture(scope="session")
def forks() -> ForkServerContext:
    """Where lives come from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "tests.chaos.warm_up"])
    with pytest.MonkeyPatch.context() as patch:
        # The server looks for what it preloads by the environment alone, and is silent if it does not find it.
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        forkserver.ensure_running()
    return context


@pytest.fixture
def seed() -> int:
    """Of all that is left to chance; ``CHAOS_SEED`` sets it."""
    given = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(1_000_000))
    print(f"CHAOS_SEED={given}")
    return given


class Stage:
    """A ledger with conversions that are due, a simulator, and as many workers and runs as a test wants."""

    def __init__(
        self,
        night: Night,
        ledger_url: str,
        simulator: SimulatorProcess,
        folder: Path,
        forks: ForkServerContext,
        seed: int,
    ) -> None:
        self.night = night
        self.simulator = simulator
        self.dice = random.Random(seed)
        self.seed = seed
        self.webflow_port = simulator.port
        self.ledger = urlsplit(ledger_url)
        self._forks = forks
        self._tries = 0
        self._rows = 0
        self._config_path = folder / "conversions.yaml"
        self._config_path.write_text(_CONFIGURATION)
        night.person()

    def run(self, name: str) -> Run:
        """A run of the Dag that may send."""
        run = self.night.begin(name)
        self.night.runs.approve(run)
        return run

    def feed(self, rows: int) -> None:
        """So many more conversions become due."""
        self.night.sql(
            "INSERT INTO webflow.conversions (destination, source, event_name, conversion_id, action_id, action_timestamp_ms,"
            " value, identity_key, user_domain, user_id, state, first_seen_at, run_id)"
            " SELECT %s, 'sales', 'offline-purchase', 'c' || g, 'sales/c' || g, %s + g, 1, 'k1', 'crm', 'u1', 'ready', now(), 'x'"
            " FROM generate_series(%s, %s) g",
            DESTINATION,
            int((self.night.clock.at - timedelta(hours=40)).timestamp() * 1000),
            self._rows + 1,
            self._rows + rows,
        )
        self._rows += rows

    def start(
        self, run: Run, worker: int, *, host: str | None = None, concurrency: int = 4, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> ForkServerProcess:
        """Another try of a push task."""
        self._tries += 1
        extra = {"concurrency": concurrency, "timeout_seconds": timeout_seconds}
        webflow = {"conn_type": "webflow", "host": f"http://127.0.0.1:{self.webflow_port}", "extra": extra}
        environment = {
            "AIRFLOW_CONN_WEBFLOW_DEFAULT": json.dumps(webflow | {"login": CUSTOMER_ID, "password": TOKEN}),
            "AIRFLOW_CONN_WEBFLOW_LEDGER": self.ledger.geturl(),
        }
        arguments = {
            "config_path": str(self._config_path),
            "work": {"destination": DESTINATION, "sources": list(run.sources), "worker": worker},
            "plan": run.to_json(),
        }
        process = self._forks.Process(
            target=life.live, args=(environment, arguments, self._tries, host, LEASE_MARGIN_SECONDS), daemon=True
        )
        process.start()
        return process

    def finish(self, processes: Sequence[ForkServerProcess]) -> list[int | None]:
        """Wait until these lives have ended; their exit codes."""
        for process in processes:
            process.join(120)
        return [process.exitcode for process in processes]

    def see_through(self, places: Sequence[tuple[Run, int]], lives: Sequence[ForkServerProcess] = ()) -> None:
        """Wait for these lives, and try again what gave up, as Airflow does, until nothing is left to do."""
        codes = self.finish(lives or [self.start(*place) for place in places])
        for _ in range(TRIES):
            assert set(codes) <= {0, life.GAVE_UP}
            places = [place for place, code in zip(places, codes, strict=True) if code == life.GAVE_UP]
            if not places:
                return
            codes = self.finish([self.start(*place) for place in places])
        raise AssertionError("it never came to an end")

    def hurry(self) -> None:
        """No life is left, so nothing is out: what waits for its next attempt need not wait."""
        self.night.sql("UPDATE webflow.conversions SET retry_at = NULL WHERE retry_at IS NOT NULL")

    def has_begun(self, life: ForkServerProcess) -> bool:
        """Whether this life has come to its push, or to its end."""
        return not life.is_alive() or bool(self.night.sql("SELECT id FROM webflow.pushes WHERE pid = %s", life.pid))

    def waiting(self) -> int:
        """How many conversions are not accepted yet."""
        return int(self.night.sql("SELECT count(*) FROM webflow.conversions WHERE state <> 'accepted'")[0][0])

    def accepted(self) -> int:
        """How many conversions are accepted."""
        return int(self.night.sql("SELECT count(*) FROM webflow.conversions WHERE state = 'accepted'")[0][0])

    def check(self) -> dict[str, int]:
        """Ledger and simulator agree, by action ID; how many times each was stored that was stored more than once."""
        stored = self.simulator.action_ids()
        rows = {row.action_id: row for row in self.night.rows().values()}
        assert set(stored) == set(rows), "every due event was stored, and nothing else"
        assert {row.state for row in rows.values()} == {"accepted"}
        again = {action_id: times for action_id, times in stored.items() if times > 1}
        unmarked = {action_id: times for action_id, times in again.items() if rows[action_id].attempts_in_doubt < times - 1}
        assert unmarked == {}, "whatever was stored more than once was in doubt as often"
        missed = {action_id for action_id, times in stored.items() if rows[action_id].attempts < times}
        assert missed == set(), "no attempt is missing"
        return again


@pytest.fixture
def stage(postgres: PostgresServer, tmp_path: Path, forks: ForkServerContext, seed: int) -> Iterator[Stage]:
    """A stage on the tests' PostgreSQL."""
    yield from set_up(postgres, tmp_path, forks, seed)


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    """A server that a test may crash. By its settings it may forget commits then, which the ledger must not accept."""
    settings = {"synchronous_commit": "off", "wal_writer_delay": "10s", "autovacuum": "off"}
    with PostgresServer(tmp_path / "postgres", settings=settings) as server:
        yield server


@pytest.fixture
def own_stage(own_postgres: PostgresServer, tmp_path: Path, forks: ForkServerContext, seed: int) -> Iterator[Stage]:
    """A stage on a PostgreSQL of its own."""
    yield from set_up(own_postgres, tmp_path, forks, seed)


def set_up(server: PostgresServer, folder: Path, forks: ForkServerContext, seed: int) -> Iterator[Stage]:
    """A stage in a database of its own."""
    name = f"chaos_{uuid.uuid4().hex}"
    server.create_database(name)
    night = Night(partial(server.connect, name))
    night.clock = FixedClock(datetime.now(UTC))
    with SimulatorProcess(folder / "events.db", token=TOKEN, customer_id=CUSTOMER_ID) as simulator:
        yield Stage(night, server.url(name), simulator, folder, forks, seed)
    night.session.close()
