"""What the measurements share: a PostgreSQL that keeps its promises, a simulator with and without TLS, processes of their own."""

import os
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import certifi
import trustme

from demo.postgres import PostgresServer
from demo.simulator import SimulatorProcess
from tests.night import CUSTOMER_ID, DESTINATION, TOKEN, FixedClock, Night
from webflow_conversions.pipeline.run import Run

if TYPE_CHECKING:
    from demo.stage import Stage as AirflowStage

POSTGRES = {"fsync": "on", "shared_buffers": "1GB", "max_wal_size": "4GB", "checkpoint_timeout": "15min"}
_EMPTY = "benchmark"


_STATEMENT = re.compile(r"duration: ([\d.]+) ms +(?:statement|execute \S+): (.*?)(?=@@|\Z)", re.DOTALL)
_STATEMENTS_LOGGED = {"log_min_duration_statement": "0", "log_line_prefix": "@@"}


class Stage:
    """A context manager.

    :param logs_statements: whether :meth:`server_costs` tells how long each statement took; this costs time itself.
    """

    def __init__(self, *, logs_statements: bool = False) -> None:
        self._logs_statements = logs_statements
        self._stack = ExitStack()
        self._names = 0
        self._database = _EMPTY

    def __enter__(self) -> Self:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="webflow-benchmark-")))
        authority = trustme.CA()
        self._authority = authority.cert_pem.bytes()
        self.trust(everybody=False)
        certificate = self._folder / "simulator.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        settings = POSTGRES | (_STATEMENTS_LOGGED if self._logs_statements else {})
        self.postgres = self._stack.enter_context(PostgresServer(self._folder / "postgres", settings=settings))
        self.postgres.create_database(_EMPTY)
        self.simulators = {
            tls: self._stack.enter_context(
                SimulatorProcess(self._folder / f"events-{tls}.db", TOKEN, CUSTOMER_ID, certificate=certificate if tls else None)
            )
            for tls in (False, True)
        }
        self._nights = {_EMPTY: night_in(self.postgres.port, _EMPTY)}
        self._stack.callback(self._close_sessions)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def trust(self, *, everybody: bool) -> None:
        """Let clients trust the simulator's authority alone, or all that certifi has besides, as in production."""
        trusted = self._folder / f"trusted-{everybody}.pem"
        trusted.write_bytes((Path(certifi.where()).read_bytes() if everybody else b"") + self._authority)
        for variable in ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            os.environ[variable] = str(trusted)

    @property
    def night(self) -> Night:
        """The warehouse and the ledger that :meth:`history` chose last."""
        return self._nights[self._database]

    @property
    def place(self) -> tuple[int, str]:
        """Where another process finds them: the port of PostgreSQL, and the database."""
        return self.postgres.port, self._database

    @property
    def folder(self) -> Path:
        """A folder for files of the measurements."""
        return self._folder

    @cached_property
    def idle(self) -> "AirflowStage":
        """A real Airflow that has sent all; it starts when it is first asked for, and ends with this stage."""
        from benchmarks import idle  # not in the processes whose memory is measured

        return self._stack.enter_context(idle.all_is_sent(self._folder / "idle"))

    @contextmanager
    def server_costs(self) -> Iterator[dict[str, Any]]:
        """Fills in what PostgreSQL used meanwhile: ``server_core_seconds``, where the system has /proc, and ``wal_bytes``.

        With ``logs_statements`` also ``statements``: the seconds of all statements with the same beginning, the longest first.
        """
        found: dict[str, Any] = {}
        log = self.postgres.folder / "log"
        logged = log.stat().st_size
        ((before, postmaster),) = self.night.sql("SELECT pg_current_wal_lsn()::text, pg_read_file('postmaster.pid')")
        process = int(postmaster.splitlines()[0])
        core_seconds = core_seconds_of(process)
        yield found
        if core_seconds is not None:
            found["server_core_seconds"] = (core_seconds_of(process) or 0.0) - core_seconds
        found["wal_bytes"] = float(self.night.sql("SELECT pg_current_wal_lsn() - %s::pg_lsn", before)[0][0])
        if self._logs_statements:
            found["statements"] = _by_statement(log.read_bytes()[logged:].decode(errors="replace"))

    def simulator(self, *, tls: bool, server_ms: float) -> SimulatorProcess:
        """The simulator, empty, taking so long for each answer."""
        simulator = self.simulators[tls]
        simulator.clear()
        simulator.faults([{"action": "delay", "milliseconds": server_ms}] if server_ms else [])
        return simulator

    def name(self) -> str:
        """A name that no run had yet."""
        self._names += 1
        return f"run-{time.time_ns()}-{self._names}"

    def run(self) -> Run:
        """A run that may send."""
        run = self.night.begin(self.name())
        self.night.runs.approve(run)
        return run

    def fill(self, rows: int, state: str = "ready") -> None:
        """Put conversions into the ledger, past extraction, and let PostgreSQL know of them."""
        name, attempts = self.name(), int(state == "accepted")
        self.night.sql(
            "INSERT INTO webflow.conversions (destination, source, event_name, conversion_id, action_id, action_timestamp_ms,"
            " value, identity_key, user_domain, user_id, state, attempts, http_status, push_id, first_seen_at, settled_at,"
            " run_id)"
            " SELECT %s, 'sales', 'offline-purchase', g, 'sales/offline-purchase/' || %s || g, %s + g %% 86400000, 149.99,"
            " 'k' || g, 'crm', 'user-' || g, %s, %s, %s, %s, now(), %s, 'x' FROM generate_series(1, %s) g",
            DESTINATION,
            name,
            int((self.night.clock.at - timedelta(hours=40)).timestamp() * 1000),
            state,
            attempts,
            200 if attempts else None,
            0 if attempts else None,
            self.night.clock.at if attempts else None,
            rows,
        )
        self.vacuum()

    def vacuum(self) -> None:
        connection = self.night.connect()
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE webflow.conversions")
        connection.close()

    def history(self, rows: int) -> None:
        """Choose the ledger with so many finished conversions, a database of its own; the one without any begins anew."""
        if rows == 0:
            self._database = _EMPTY
            self._empty()
            return
        self._database = f"{_EMPTY}_{rows}"
        if self._database not in self._nights:
            self.postgres.create_database(self._database)
            self._nights[self._database] = night_in(*self.place)
            self.fill(rows, "accepted")

    def _empty(self) -> None:
        self.night.session.close()
        self.night.sql(
            "TRUNCATE webflow.conversions, webflow.extracted, webflow.history, webflow.runs, webflow.destinations CASCADE"
        )

    def _close_sessions(self) -> None:
        for night in self._nights.values():
            night.session.close()


def _by_statement(log: str) -> dict[str, float]:
    """The seconds of statements by their beginning, from PostgreSQL's log."""
    seconds: Counter[str] = Counter()
    for milliseconds, statement in _STATEMENT.findall(log):
        seconds[" ".join(statement.split())[:70]] += float(milliseconds) / 1000
    return {statement: round(taken, 3) for statement, taken in seconds.most_common(8)}


def night_in(port: int, database: str) -> Night:
    """The warehouse and the ledger, with a clock that stands."""
    server = PostgresServer.__new__(PostgresServer)
    server.port = port
    night = Night(partial(server.connect, database))
    night.clock = FixedClock(datetime.now(UTC))
    return night


def core_seconds_of(process: int, proc: Path = Path("/proc")) -> float | None:
    """Seconds of a core that a process, its children and its ended children used; None where there is no /proc (see proc(5))."""
    if not (proc / str(process)).exists():
        return None
    ticks = 0
    for stat in proc.glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended: its parent's ended children include it
            continue
        user_system, parent = fields[11:13], int(fields[1])
        if int(stat.parent.name) == process:
            ticks += sum(map(int, fields[11:15]))
        elif parent == process:
            ticks += sum(map(int, user_system))
    return ticks / os.sysconf("SC_CLK_TCK")


def measured(function: Callable[..., Mapping[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What a function gives in a process of its own, with its seconds, its core's seconds, and its peak memory in MB."""
    return together((function, *arguments))[0]


def together(*calls: tuple[Any, ...]) -> list[dict[str, Any]]:
    """The same for several at once."""
    context = get_context("spawn")
    started = []
    for function, *arguments in calls:
        ours, theirs = context.Pipe()
        process = context.Process(target=_measure, args=(theirs, function, arguments))
        process.start()
        theirs.close()
        started.append((process, ours))
    for _, ours in started:
        ours.recv()
    for _, ours in started:
        ours.send("go")
    results = []
    for process, ours in started:
        results.append(ours.recv())
        process.join()
    return results


def _measure(pipe: Connection, function: Callable[..., Mapping[str, Any]], arguments: list[Any]) -> None:
    pipe.send("ready")
    pipe.recv()
    before_mb, wall, cpu = _peak_mb(), time.perf_counter(), time.process_time()
    found = function(*arguments)
    pipe.send(
        {
            "seconds": time.perf_counter() - wall,
            "core_seconds": time.process_time() - cpu,
            "peak_mb": _peak_mb() - before_mb,
            **found,
        }
    )


def _peak_mb() -> float:
    """The most memory that this process has had. getrusage(2) counts that of the program before exec, too: our parent's."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024
