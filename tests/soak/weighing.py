"""What a night leaves behind: in the processes, on the server, in tables and indexes."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import psutil

from demo.postgres import PostgresServer
from tests.soak.processes import LongLived

SETTLE_SECONDS = 120.0
"""The longest wait for autovacuum."""
CLOSED_SECONDS = 10.0
"""The longest wait for the server to notice that a connection was closed."""
SMALL_BYTES = 1024 * 1024
"""A table or index that is smaller is not looked at: half of it may be one page."""
ALLOWED = 0.05
"""Growth from one quarter of the nights to the next that counts as none."""
ALLOWED_COST = 0.2
"""The same of what a row costs: no two nights are alike, and autovacuum writes WAL, too."""
CATALOG = "pg_catalog"

_CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_TABLES = """
SELECT c.relname, pg_table_size(c.oid), s.n_dead_tup, s.autovacuum_count
FROM pg_class c JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE c.relnamespace = 'webflow'::regnamespace AND c.relkind = 'r'
"""
_INDEXES = """
SELECT i.relname, pg_relation_size(i.oid), t.relname, coalesce(pg_get_expr(x.indpred, x.indrelid), 'true')
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
WHERE t.relnamespace = 'webflow'::regnamespace
"""
_CATALOG = """
SELECT sum(pg_total_relation_size(c.oid)), sum(s.n_dead_tup), sum(s.n_live_tup)
FROM pg_class c JOIN pg_stat_sys_tables s ON s.relid = c.oid
WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' AND NOT c.relisshared
"""
_SPENT = """
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint, (SELECT wal_records FROM pg_stat_wal),
       (SELECT sum(hits + reads) FROM pg_stat_io
        WHERE object = 'relation' AND backend_type IN ('client backend', 'background worker'))::bigint
"""
"""Since the server began; background workers are those of parallel queries."""
_UNSETTLED = """
SELECT c.relname
FROM pg_class c JOIN pg_stat_all_tables s ON s.relid = c.oid LEFT JOIN LATERAL (
    SELECT max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor')::float AS scale,
           max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold')::float AS threshold
    FROM pg_options_to_table(c.reloptions)
) o ON true
WHERE c.relkind = 'r' AND c.relnamespace IN ('webflow'::regnamespace, 'pg_catalog'::regnamespace) AND NOT c.relisshared
  AND s.n_dead_tup > coalesce(o.threshold, current_setting('autovacuum_vacuum_threshold')::float)
      + coalesce(o.scale, current_setting('autovacuum_vacuum_scale_factor')::float) * greatest(c.reltuples, 0)
UNION ALL SELECT 'a vacuum' FROM pg_stat_progress_vacuum
"""
"""Tables of which autovacuum has to remove dead rows by their settings, and whether it does."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A table or an index after a night: its size, its rows (0 for a small index), and for a table dead rows and autovacuums so far."""

    size: int
    rows: int
    dead: int = 0
    vacuums: int = 0
    is_index: bool = False

    @property
    def bytes_a_row(self) -> float:
        return self.size / max(self.rows, 1)


@dataclass(frozen=True, kw_only=True)
class Process:
    """A long-lived process after a night."""

    rss: int
    blocks: int
    files: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class Weight:
    """What was left after a night, and what the night cost the tasks and the server.

    ``wal``: bytes, with the whole pages after a checkpoint, and so more of them if the night takes long; ``wal_records``: without.
    ``pages``: those that sessions of ledger and warehouse looked at, in memory or not.
    """

    night: str
    rows: int
    processes: Mapping[str, Process]
    kept: Mapping[str, Kept]
    wal: int
    wal_records: int
    pages: int
    core_seconds: float
    unsettled: Sequence[str] = field(default=())

    def a_row(self, cost: str) -> float:
        """A cost, for each row that was read from the sources."""
        return float(getattr(self, cost) / self.rows)


class Scales:
    """Weighs a server and long-lived processes after each night."""

    def __init__(self, server: PostgresServer, ledger: str, warehouse: str, processes: Mapping[str, LongLived]) -> None:
        self._server, self._ledger, self._warehouse, self._processes = server, ledger, warehouse, processes
        pid = int((server.folder / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
        self._postmaster = psutil.Process(pid)
        self.begin()

    def begin(self) -> None:
        """From here on it is the night's cost."""
        self._before = self._spent()

    def end(self) -> None:
        """The night is over."""
        self._cost = {name: spent - self._before[name] for name, spent in self._spent().items()}

    def connections(self) -> dict[str, int]:
        """Connections that somebody keeps, by database."""
        return {name: self._connections(name) for name in (self._ledger, self._warehouse)}

    def weigh(self, night: str, rows: int, *, settles: bool) -> Weight:
        """Weigh after a night in which so many rows were read from the sources.

        :param settles: whether to wait for autovacuum.
        """
        unsettled = self._settle() if settles else []
        return Weight(
            night=night,
            rows=rows,
            processes={name: weighed(process) for name, process in self._processes.items()},
            kept=self._kept(),
            **self._cost,
            unsettled=unsettled,
        )

    def _spent(self) -> dict[str, Any]:
        ((wal, records, pages),) = self._ask(_SPENT)
        server = sum(map(_core_seconds, self._postmaster.children())) + sum(self._postmaster.cpu_times()[:4])
        tasks = psutil.Process(self._processes["tasks"].pid).cpu_times()
        core_seconds = server + tasks.user + tasks.system
        return {"wal": int(wal), "wal_records": int(records), "pages": int(pages), "core_seconds": core_seconds}

    def _connections(self, database: str) -> int:
        """Connections to a database that somebody keeps: one that was closed is gone in a moment."""
        give_up_at = time.monotonic() + CLOSED_SECONDS
        while True:
            ((connections,),) = self._ask(_CONNECTIONS, database, database=database)
            if not connections or time.monotonic() > give_up_at:
                return int(connections)
            time.sleep(0.02)

    def _settle(self) -> list[str]:
        """Wait until autovacuum has done what its settings ask for; the tables for which it has not."""
        give_up_at = time.monotonic() + SETTLE_SECONDS
        while True:
            time.sleep(1.5)  # Sessions tell what they did when they end, and autovacuum looks once a second.
            waiting = [name for (name,) in self._ask(_UNSETTLED)]
            if not waiting or time.monotonic() > give_up_at:
                return waiting

    def _kept(self) -> dict[str, Kept]:
        tables: dict[str, Kept] = {}
        for name, size, dead, vacuums in self._ask(_TABLES):
            ((rows,),) = self._ask(f"SELECT count(*) FROM webflow.{name}")
            tables[name] = Kept(size=size, rows=rows, dead=dead, vacuums=vacuums)
        indexes: dict[str, Kept] = {}
        for name, size, table, predicate in self._ask(_INDEXES):
            ((rows,),) = self._ask(f"SELECT count(*) FROM webflow.{table} WHERE {predicate}") if size >= SMALL_BYTES else ((0,),)
            indexes[name] = Kept(size=size, rows=rows, is_index=True)
        ((size, dead, rows),) = self._ask(_CATALOG)
        return {**tables, **indexes, CATALOG: Kept(size=int(size), rows=int(rows), dead=int(dead))}

    def _ask(self, statement: str, *parameters: Any, database: str | None = None) -> list[Any]:
        with closing(self._server.connect(database or self._ledger)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return list(cursor.fetchall())


def _core_seconds(session: psutil.Process) -> float:
    """Of a session or a worker of the server; one that has just ended is among what the postmaster has waited for."""
    with suppress(psutil.NoSuchProcess):
        return float(sum(session.cpu_times()[:2]))
    return 0.0


def weighed(process: LongLived) -> Process:
    blocks = process.call("blocks")
    found = psutil.Process(process.pid)
    with found.oneshot():
        return Process(rss=found.memory_info().rss, blocks=blocks, files=found.num_fds(), threads=found.num_threads())


Measure = Callable[[Weight], float]


def measures(last: Weight, *, costs: bool) -> dict[str, list[Measure]]:
    """What has to be flat, each in one way or another: a table that keeps rows grows, and then a row of it must not.

    The names are those of ``last``, and what is small in it is left out.

    :param costs: with what a row costs, which few nights do not tell, since each is another.
    """

    def of_process(name: str, field_name: str) -> Measure:
        return lambda weight: float(getattr(weight.processes[name], field_name))

    def size(name: str) -> Measure:
        return lambda weight: float(weight.kept[name].size)

    def size_a_row(name: str) -> Measure:
        return lambda weight: weight.kept[name].bytes_a_row

    found: dict[str, list[Measure]] = {
        f"{what} of the {name}": [of_process(name, what)]
        for name in last.processes
        for what in ("rss", "blocks", "files", "threads")
    }
    found |= {f"size of {name}": [size(name), size_a_row(name)] for name, kept in last.kept.items() if kept.size >= SMALL_BYTES}
    if costs:
        found |= {f"{name} a row": [partial(Weight.a_row, cost=name)] for name in ("wal_records", "pages")}
    return found


def growing(weights: Sequence[Weight], *, costs: bool) -> dict[str, tuple[float, float]]:
    """What is not flat over the second half of the nights: the medians of the third and of the last quarter.

    Of what is no cost of a row the highest of the last quarter has to be higher as well: a table from which each night's rows are
    removed has one size or another by where in it they lay.

    :param costs: see :func:`measures`.
    """
    half = weights[len(weights) // 2 :]
    third, fourth = half[: len(half) // 2], half[len(half) // 2 :]
    found = {}
    for name, ways in measures(weights[-1], costs=costs).items():
        is_cost = name.endswith(" a row")
        allowed, looks = (ALLOWED_COST, [median]) if is_cost else (ALLOWED, [median, max])
        pairs = [(look(map(measure, third)), look(map(measure, fourth))) for measure in ways for look in looks]
        if all(after > before * (1 + allowed) for before, after in pairs):
            found[name] = pairs[0]
    return found


def table(weights: Sequence[Weight]) -> str:
    """The first night, the one in the middle and the last one, in Markdown."""
    shown = [weights[0], weights[len(weights) // 2], weights[-1]]

    def megabytes(size: float) -> str:
        return f"{size / 1e6:,.1f} MB"

    def of_table(name: str) -> Callable[[Weight], str]:
        def told(weight: Weight) -> str:
            kept = weight.kept[name]
            return f"{megabytes(kept.size)}, {kept.rows:,} rows, {kept.dead:,} dead"

        return told

    def of_process(name: str) -> Callable[[Weight], str]:
        def told(weight: Weight) -> str:
            one = weight.processes[name]
            return f"{one.rss / 1e6:,.0f} MB, {one.blocks:,}, {one.files}, {one.threads}"

        return told

    def all_indexes(weight: Weight) -> str:
        return megabytes(sum(kept.size for kept in weight.kept.values() if kept.is_index))

    lines: dict[str, Callable[[Weight], str]] = {
        "rows read": lambda weight: f"{weight.rows:,}",
        "the tasks' process: memory, blocks of Python, open files, threads": of_process("tasks"),
        "the page's process: the same": of_process("page"),
        **{f"`{name}`": of_table(name) for name in ("conversions", "extracted", "history", "extractions", "pushes", "runs")},
        "all indexes": all_indexes,
        "the server's catalog": of_table(CATALOG),
        "WAL a row": lambda weight: f"{weight.a_row('wal'):,.0f} bytes in {weight.a_row('wal_records'):.0f} records",
        "pages looked at, a row": lambda weight: f"{weight.a_row('pages'):.0f}",
        "a core's time, tasks and server, a row": lambda weight: f"{weight.a_row('core_seconds') * 1e6:.0f} µs",
    }
    head = ["after night", *(weight.night for weight in shown)]
    rows = [head, ["---"] * len(head), *([name, *(told(weight) for weight in shown)] for name, told in lines.items())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
