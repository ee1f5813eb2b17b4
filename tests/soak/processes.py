"""Processes that live as long as the month does: the tasks of every night, and an API server with the page."""

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta, tzinfo
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any, Self

CLOCKS = ("delivery.protocols", "operators.base", "hooks.webflow", "hooks.webflow_data", "cli.forget")
"""Modules of the package in which a long-lived process asks what time it is."""

MADE_UP = """
ALTER TABLE webflow.conversions ADD COLUMN made_up text NOT NULL DEFAULT 'none';
CREATE INDEX conversions_made_up ON webflow.conversions (id) WHERE made_up <> 'none'
"""


class LongLived:
    """An object in a process of its own, from the beginning of the ``with`` block to its end.

    :param make: makes the object there, of ``arguments``; a class or function of a module.
    """

    def __init__(self, make: Callable[..., Any], *arguments: Any) -> None:
        context = get_context("spawn")
        self._pipe, self._theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._theirs, make, arguments), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._theirs.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join(30)
        self._process.kill()

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process.pid is not None
        return self._process.pid

    def call(self, method: str, *arguments: Any, **named: Any) -> Any:
        """What the method returns.

        :raises RuntimeError: with the traceback of what it raised.
        """
        self._pipe.send((method, arguments, named))
        error, result = self._pipe.recv()
        if error is not None:
            raise RuntimeError(error)
        return result


def _serve(pipe: Connection, make: Callable[..., Any], arguments: Sequence[Any]) -> None:
    made = make(*arguments)
    with closing(pipe):
        while True:
            try:
                method, given, named = pipe.recv()
            except EOFError:
                os._exit(0)  # Threads of a server that has lost its reader would keep the process.
            try:
                answer = (None, getattr(made, method)(*given, **named))
            except Exception:  # noqa: BLE001 - it is raised again by the caller
                answer = (traceback.format_exc(), None)
            pipe.send(answer)


class Member:
    """What every long-lived process can do: be elsewhere in time, and say how many objects it keeps."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        os.environ.update(environment)
        self._shift = timedelta()
        shifted = _shifted(lambda: self._shift)
        for name in CLOCKS:
            vars(import_module(f"webflow_conversions.{name}"))["datetime"] = shifted

    def shift(self, seconds: float) -> None:
        """Set the clock of the package ahead of the machine's, or behind."""
        self._shift = timedelta(seconds=seconds)

    def set(self, name: str, value: str) -> None:
        """Set a variable of the environment."""
        os.environ[name] = value

    def blocks(self) -> int:
        """Blocks of memory that Python's objects have, without garbage."""
        gc.collect()
        return sys.getallocatedblocks()


def _shifted(shift: Callable[[], timedelta]) -> type[datetime]:
    """``datetime``, by a clock that is shifted."""

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + shift()

    return Shifted


class Tasks(Member):
    """The tasks of the Dag, one run after the other; what fails is returned, not raised."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(environment)
        self._all: list[Any] = []
        self._xcoms: dict[str, Any] = {}
        self._run_id = ""

    def know(self, *, is_newer: bool) -> list[str]:
        """Be the newest release, or the one before its last migration; the migrations that it knows.

        As long as the package has a single migration, the newer release is one with another that is made up here.
        """
        from webflow_conversions.ledger import migrations as module

        self._all = self._all or module.migrations()
        older = self._all[:-1] or self._all
        made_up = module.Migration(version=2, name="0002_made_up.sql", sql=MADE_UP)
        newer = self._all if len(self._all) > 1 else [*self._all, made_up]
        known = newer if is_newer else older
        module.migrations = lambda: known
        return [migration.name for migration in known]

    def migrate(self) -> list[str]:
        """Bring the ledger to what the release knows."""
        from webflow_conversions.hooks.connections import ledger_session
        from webflow_conversions.ledger.migrations import migrate

        session = ledger_session()
        try:
            return migrate(session)
        finally:
            session.close()

    def plan(self, run_id: str, at: datetime, *, is_dry_run: bool = False) -> tuple[str | None, Any]:
        """Open a run over the 2 days up to ``at``."""
        from webflow_conversions.operators.plan import PlanConversionsOperator

        self._run_id = run_id
        task = PlanConversionsOperator(task_id="plan", is_dry_run=is_dry_run)
        return self._execute(task, data_interval_start=at - timedelta(days=2), data_interval_end=at)

    def extract(self, source: str) -> tuple[str | None, Any]:
        """Read a source."""
        from webflow_conversions.operators.extract import ExtractConversionsOperator

        return self._execute(ExtractConversionsOperator(task_id="extract", source=source, plan=self._xcoms["run"]))

    def identify(self) -> tuple[str | None, Any]:
        """Look up users, and let the guards look; the work of the pushes."""
        from webflow_conversions.operators.identify import IdentifyConversionsOperator

        return self._execute(IdentifyConversionsOperator(task_id="identify", plan=self._xcoms["run"]))

    def push(self, work: Iterable[Mapping[str, Any]]) -> list[tuple[str | None, Any]]:
        """All pushes at once, each in a thread."""
        from webflow_conversions.operators.push import WebflowPushConversionsOperator

        tasks = [WebflowPushConversionsOperator(task_id="push", plan=self._xcoms["run"], work=dict(share)) for share in work]
        if not tasks:
            return []
        with ThreadPoolExecutor(len(tasks)) as pool:
            return list(pool.map(self._execute, tasks))

    def reconcile(self) -> tuple[str | None, Any]:
        """Close the run."""
        from webflow_conversions.operators.reconcile import ReconcileConversionsOperator

        return self._execute(ReconcileConversionsOperator(task_id="reconcile", plan=self._xcoms["run"]))

    def forget(self, options: Sequence[str]) -> tuple[int, str]:
        """The command ``webflow-conversions forget``: its exit code and output."""
        from click.testing import CliRunner

        from webflow_conversions.cli.forget import forget

        done = CliRunner().invoke(forget, [*options, "--yes"])
        return done.exit_code, done.output

    def _execute(self, task: Any, **more: Any) -> tuple[str | None, Any]:
        """The sentence that a task failed with, or None, and its result."""
        from webflow_conversions.errors import ConversionsError

        dag_run = SimpleNamespace(dag_id="webflow_offsite_conversions", run_id=self._run_id, run_type="scheduled")
        ti = SimpleNamespace(
            try_number=1, max_tries=0, map_index=-1, xcom_push=lambda *, key, value: self._xcoms.update({key: value})
        )
        context = {"dag_run": dag_run, "ti": ti, "dag": SimpleNamespace(tasks=[]), "outlet_events": {}, **more}
        try:
            return None, task.execute(context)
        except ConversionsError as error:
            return f"{type(error).__name__}: {error}", None


class Page(Member):
    """Airflow's API server with the page, on a port of loopback, over an empty database of its own."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(environment)
        import pytest

        from tests.integration.test_page_server import Server
        from tests.page import USERS, airflow_with_the_page

        patch = pytest.MonkeyPatch()
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", ",".join(f"{name}:{role}" for name, role in USERS.items()))
        self._server = Server(airflow_with_the_page(patch)).__enter__()

    def login(self) -> tuple[str, int, str]:
        """The server's address, its port, and the token of a user who may do everything."""
        from tests.page import login

        return self._server.url, self._server.port, login("ada")


def connection(**fields: Any) -> str:
    """A connection as Airflow reads it from the environment."""
    return json.dumps(fields)
