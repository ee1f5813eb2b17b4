"""A real Airflow of one's own: API server, scheduler, Dag processor and triggerer, with a client for its API.

It has the ``SimpleAuthManager`` and its home in a folder, so it is for demonstrations and tests only.
"""

import json
import os
import secrets
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self, TypeVar

import requests
import sqlalchemy as sa

from demo.guard import Guard, end_sessions
from demo.postgres import free_port

REPOSITORY = Path(__file__).resolve().parent.parent

COMPONENTS: Mapping[str, Sequence[str]] = {
    "api-server": ("api-server", "--host", "127.0.0.1"),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
"""What runs, by the name of its log file, in the order of the start. Without log servers, stacks do not fight for ports."""

SETTINGS: Mapping[str, str] = {
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__PARALLELISM": "4",
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__TEST_CONNECTION": "Enabled",
    "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "1",
    # The default asks the DNS.
    "CORE__HOSTNAME_CALLABLE": "socket.gethostname",
    "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
    # The stack has seen to it, and each component would take seconds over it.
    "DATABASE__CHECK_MIGRATIONS": "False",
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    # So that a run that a crash interrupted goes on half a minute after the next start, not five.
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    "API__WORKERS": "1",
    "LOGGING__LOGGING_LEVEL": "INFO",
    "LOGGING__COLORED_CONSOLE_LOG": "False",
}
"""A small, quick Airflow, by the names of its environment variables after ``AIRFLOW__``."""

POOLS: Mapping[str, int] = {"webflow": 4}
"""The pool that pushes are in."""

FINAL_STATES = frozenset({"success", "failed"})

_STATES_TOLD = FINAL_STATES | {"running", "up_for_retry", "upstream_failed", "skipped"}
_LAST_CHARACTERS = 4000
_API_SECONDS = 120

T = TypeVar("T")


class AirflowApi:
    """Airflow's public API at a port of this machine, as the user that :meth:`log_in` named last."""

    def __init__(self) -> None:
        self.port = 0
        self._http = requests.Session()
        self._http.trust_env = False
        self._started_at = datetime.now(UTC)

    @property
    def url(self) -> str:
        """Where the UI and the API are."""
        return f"http://127.0.0.1:{self.port}"

    def token(self, username: str, password: str) -> str:
        """A bearer token of a user."""
        answer = self._http.post(
            f"{self.url}/auth/token", json={"username": username, "password": password}, timeout=_API_SECONDS
        )
        return str(_body(answer)["access_token"])

    def log_in(self, username: str, password: str) -> None:
        """Make every further call as this user."""
        self._http.headers["Authorization"] = f"Bearer {self.token(username, password)}"

    def get(self, path: str, **query: Any) -> Any:
        """GET a path of the API v2."""
        return self.call("GET", path, params=query)

    def post(self, path: str, body: Any) -> Any:
        """POST JSON to a path of the API v2."""
        return self.call("POST", path, json=body)

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """Call a path of the API v2; the arguments are those of ``requests``.

        :returns: what the JSON of the answer says.
        :raises RuntimeError: the status is 400 or more.
        """
        return _body(self._http.request(method, f"{self.url}/api/v2{path}", **{"timeout": _API_SECONDS, **arguments}))

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run the Dag. Without catch-up, the latest run that was due starts at once."""
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def pause(self, dag_id: str) -> None:
        """Keep the scheduler from starting runs of the Dag."""
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": True})

    def trigger(
        self,
        dag_id: str,
        *,
        conf: Mapping[str, Any] | None = None,
        logical_date: datetime | None = None,
        run_after: datetime | None = None,
    ) -> str:
        """Trigger a run by hand.

        :returns: its ID.
        """
        body: dict[str, Any] = {"conf": dict(conf or {}), "logical_date": logical_date and logical_date.isoformat()}
        if run_after:
            body["run_after"] = run_after.isoformat()
        return str(self.post(f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def create_pool(self, name: str, slots: int) -> None:
        """Create a pool, unless it is there."""
        if all(pool["name"] != name for pool in self._all("/pools", "pools")):
            self.post("/pools", {"name": name, "slots": slots})

    def wait_until_parsed(self, dag_id: str, *, timeout_seconds: float = 180) -> dict[str, Any]:
        """Wait until the Dag was parsed since this Airflow started.

        :returns: the Dag, as the API tells it.
        :raises RuntimeError: it is not there, and a file cannot be imported.
        """

        def parsed() -> dict[str, Any] | None:
            for dag in self._all("/dags", "dags", dag_id_pattern=dag_id, exclude_stale=False):
                if dag["dag_id"] == dag_id and self._is_new(dag["last_parsed_time"]):
                    return dag
            for error in self.import_errors():
                if self._is_new(error["timestamp"]):
                    raise RuntimeError(f"There is no Dag {dag_id}: {error['filename']}: {error['stack_trace']}")
            return None

        return self._wait(parsed, timeout_seconds, lambda: f"There is no Dag {dag_id}.")

    def wait_for_first_run(self, dag_id: str, *, timeout_seconds: float = 180) -> str:
        """Wait until the Dag has a run.

        :returns: the ID of the one that was due first.
        :raises TimeoutError: it has none.
        """

        def first() -> str | None:
            runs = self.runs(dag_id)
            return str(runs[0]["dag_run_id"]) if runs else None

        return self._wait(first, timeout_seconds, lambda: f"{dag_id} has no run after {timeout_seconds:g} s.")

    def wait_for_run(
        self, dag_id: str, run_id: str, timeout_seconds: float = 900, *, say: Callable[[str], None] | None = None
    ) -> str:
        """Wait until a run has ended.

        :param say: is told of every change of a task.
        :returns: ``success`` or ``failed``.
        :raises TimeoutError: it has not, with the states of its tasks.
        """
        told: set[tuple[str, int, int, str]] = set()

        def tell(tasks: Iterable[Mapping[str, Any]], say: Callable[[str], None]) -> None:
            for task in tasks:
                state = task["state"]
                news = (task["task_id"], task["map_index"], task["try_number"], state)
                if state in _STATES_TOLD and news not in told:
                    told.add(news)
                    why = f": {self._last_error(dag_id, run_id, task)}" if state in {"failed", "up_for_retry"} else ""
                    say(f"{task_name(task)}: {state.replace('_', ' ')}{why}")

        def final_state() -> str | None:
            if say:
                tell(self.task_instances(dag_id, run_id), say)
            state = str(self.get(f"/dags/{dag_id}/dagRuns/{run_id}")["state"])
            return state if state in FINAL_STATES else None

        def complaint() -> str:
            states = ", ".join(f"{task_name(task)} {task['state']}" for task in self.task_instances(dag_id, run_id))
            return f"{dag_id} {run_id} has not ended after {timeout_seconds:g} s: {states}"

        return self._wait(final_state, timeout_seconds, complaint)

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The runs of a Dag, in the order in which they were due."""
        return self._all(f"/dags/{dag_id}/dagRuns", "dag_runs", order_by="run_after")

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run, each one of a mapped task."""
        return self._all(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances")

    def log(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1, try_number: int = 1) -> str:
        """The log of one try of a task: a line for each message, and what goes with it as JSON."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        return "\n".join(map(_log_line, self.get(path, map_index=map_index, full_content=True)["content"]))

    def failures(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Why tasks of a run failed: by the task's name, the last error in the log of its last try."""
        return {
            task_name(task): self._last_error(dag_id, run_id, task)
            for task in self.task_instances(dag_id, run_id)
            if task["state"] == "failed"
        }

    def _last_error(self, dag_id: str, run_id: str, task: Mapping[str, Any]) -> str:
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
        lines = self.get(path, map_index=task["map_index"], full_content=True)["content"]
        # What was raised comes first, then what caused it.
        raised = [line["error_detail"][0] for line in lines if isinstance(line, dict) and line.get("error_detail")]
        return str(raised[-1]["exc_value"]) if raised else "its log has no error"

    def xcom(self, dag_id: str, run_id: str, task_id: str, *, key: str = "return_value", map_index: int = -1) -> Any:
        """What a task pushed."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.get(path, map_index=map_index, deserialize=True)["value"]

    def import_errors(self) -> list[dict[str, Any]]:
        """The Dag files that cannot be imported: ``filename``, ``stack_trace`` and more of each."""
        return self._all("/importErrors", "import_errors")

    def _all(self, path: str, key: str, **query: Any) -> list[dict[str, Any]]:
        """Every item of a list that the API gives in pages."""
        items: list[dict[str, Any]] = []
        while True:
            page = self.get(path, limit=100, offset=len(items), **query)
            items += page[key]
            if not page[key] or len(items) >= page["total_entries"]:
                return items

    def _wait(self, probe: Callable[[], T | None], timeout_seconds: float, complaint: Callable[[], str]) -> T:
        """What the probe finds, looking again and again.

        :raises TimeoutError: it finds nothing for so long, with the complaint.
        """
        deadline = time.monotonic() + timeout_seconds
        while (found := probe()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(complaint())
            self._check()
            time.sleep(0.2)
        return found

    def _is_new(self, moment: str | None) -> bool:
        """Whether a moment, as the API tells it, is of this Airflow and not of an earlier one on the same database."""
        return moment is not None and datetime.fromisoformat(moment) > self._started_at

    def _check(self) -> None:
        """Raise if there is nothing to wait for any longer."""


class AirflowStack(AirflowApi):
    """A running Airflow, whose state is in ``home`` and in the database; a context manager.

    A second start on the same home and database is quicker, and keeps the logins.

    :param home: Airflow's home; made if it is missing. The output of each component is in ``<component>.log``.
    :param database_url: SQLAlchemy's URL of an existing PostgreSQL database for the metadata.
    :param environment: more for the environment of every process, like ``AIRFLOW_CONN_…`` and ``AIRFLOW__…``; wins
        over what the stack sets. Airflow's variables in the environment of the caller do not count.
    :param pools: the slots of each of Airflow's pools that there are to be.
    """

    username = "admin"
    viewer_username = "viewer"

    def __init__(
        self,
        *,
        home: Path,
        database_url: str,
        dags_folder: Path = REPOSITORY / "dags",
        plugins_folder: Path = REPOSITORY / "plugins",
        environment: Mapping[str, str] | None = None,
        pools: Mapping[str, int] = POOLS,
        start_timeout_seconds: float = 600,
    ) -> None:
        super().__init__()
        self.home = home.resolve()
        self.password = ""
        self.viewer_password = ""
        self._database_url = database_url
        self._dags_folder = dags_folder.resolve()
        self._plugins_folder = plugins_folder.resolve()
        self._more_environment = dict(environment or {})
        self._pools = pools
        self._start_timeout_seconds = start_timeout_seconds
        self._environment: dict[str, str] = {}
        self._components: dict[str, subprocess.Popen[bytes]] = {}
        self._guard: Guard | None = None

    def start(self) -> Self:
        """Start everything; returns once every component is well. Nothing is left running if that fails.

        :raises RuntimeError: a component ended, with the end of its output.
        :raises TimeoutError: a component showed no sign of life in time, with the end of its output.
        """
        try:
            self._furnish()
            self._migrate()
            self._started_at = datetime.now(UTC)
            self._guard = Guard()
            for name, arguments in COMPONENTS.items():
                self._components[name] = self._launch(name, arguments)
                self._guard.watch(self._components[name].pid)
            self._wait(self._well, self._start_timeout_seconds, self._diagnosis)
            self.log_in(self.username, self.password)
            for pool, slots in self._pools.items():
                self.create_pool(pool, slots)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End every process of the stack, running tasks included; takes some seconds at most."""
        end_sessions([process.pid for process in self._components.values()])
        for process in self._components.values():
            process.wait()
        self._components.clear()
        if self._guard is not None:
            self._guard.dismiss()
            self._guard = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def cli(self, *arguments: str, timeout_seconds: float = 120) -> str:
        """Run ``airflow …`` in the stack's environment.

        :returns: what it printed.
        :raises RuntimeError: it failed, with the end of what it printed.
        """
        done = subprocess.run(
            _airflow(*arguments),
            cwd=self.home,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_seconds,
            check=False,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"airflow {' '.join(arguments)} failed:\n{done.stdout[-_LAST_CHARACTERS:].strip()}")
        return done.stdout

    def backfill(self, dag_id: str, from_date: datetime, to_date: datetime, *options: str) -> list[str]:
        """Create a backfill as a person does: ``airflow backfill create``.

        :param options: more of its options, like ``--max-active-runs 1``, which the limit of the Dag does not replace.
        :returns: the IDs of its runs.
        """
        before = {run["dag_run_id"] for run in self.runs(dag_id)}
        dates = ("--from-date", from_date.isoformat(), "--to-date", to_date.isoformat())
        self.cli("backfill", "create", "--dag-id", dag_id, *dates, *options)
        return [run["dag_run_id"] for run in self.runs(dag_id) if run["dag_run_id"] not in before]

    def _furnish(self) -> None:
        """Settle the port, the secrets and the environment."""
        self.home.mkdir(parents=True, exist_ok=True)
        kept = self._secrets()
        self.password, self.viewer_password = kept["admin"], kept["viewer"]
        passwords = self.home / "passwords.json"
        _write_private(passwords, json.dumps({self.username: self.password, self.viewer_username: self.viewer_password}))
        self.port = free_port()
        settings = {
            **SETTINGS,
            "CORE__DAGS_FOLDER": str(self._dags_folder),
            "CORE__PLUGINS_FOLDER": str(self._plugins_folder),
            "CORE__FERNET_KEY": kept["fernet_key"],
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{self.username}:admin,{self.viewer_username}:viewer",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "DATABASE__SQL_ALCHEMY_CONN": self._database_url,
            "API__BASE_URL": self.url,
            "API__PORT": str(self.port),
            "API__SECRET_KEY": kept["secret_key"],
            "API_AUTH__JWT_SECRET": kept["jwt_secret"],
        }
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
            "AIRFLOW_HOME": str(self.home),
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
            # Everything is on this machine; and on macOS, looking up a proxy after a fork crashes.
            "NO_PROXY": "*",
            "no_proxy": "*",
            "PYTHONUNBUFFERED": "1",
            "WEBFLOW_CONVERSIONS_POOL": next(iter(self._pools)),
            **self._more_environment,
        }

    def _secrets(self) -> dict[str, str]:
        """The keys and passwords of this home, made up at its first start."""
        file = self.home / "secrets.json"
        if not file.exists():
            made = {user: secrets.token_urlsafe(12) for user in (self.username, self.viewer_username)}
            made |= {key: secrets.token_hex(32) for key in ("secret_key", "jwt_secret")}
            made["fernet_key"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
            _write_private(file, json.dumps(made))
        return dict(json.loads(file.read_text(encoding="utf-8")))

    def _migrate(self) -> None:
        """Bring the metadata up to date, unless this home has seen this version of Airflow do it."""
        seen = self.home / "migrated"
        revision = self._revision()
        if revision is None or not seen.exists() or seen.read_text(encoding="utf-8") != revision:
            self.cli("db", "migrate", timeout_seconds=self._start_timeout_seconds)
            seen.write_text(self._revision() or "", encoding="utf-8")

    def _revision(self) -> str | None:
        """Airflow's version and the revision of the metadata; None for a database without."""
        with sa.create_engine(self._database_url, poolclass=sa.NullPool).connect() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            revision = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
            return f"{version('apache-airflow-core')} {revision}"

    def _launch(self, name: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a component as the leader of a session: a task leaves the group of its parent, but not the session."""
        with self._output(name).open("wb") as output:
            return subprocess.Popen(
                _airflow(*arguments),
                cwd=self.home,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _well(self) -> bool | None:
        """True once every component has shown a sign of life since the start."""
        return None if self._silent() else True

    def _silent(self) -> list[str]:
        try:
            health = self.get("/monitor/health")
        except requests.RequestException:
            return ["api-server"]
        heartbeats = {name: health[name][f"latest_{name}_heartbeat"] for name in ("scheduler", "dag_processor", "triggerer")}
        return [name.replace("_", "-") for name, heartbeat in heartbeats.items() if not self._is_new(heartbeat)]

    def _diagnosis(self) -> str:
        return "\n".join(f"airflow {name} shows no sign of life. {self._end_of_output(name)}" for name in self._silent())

    def _check(self) -> None:
        """Raise if a component has ended."""
        for name, process in self._components.items():
            if process.poll() is not None:
                raise RuntimeError(f"airflow {name} ended with status {process.returncode}. {self._end_of_output(name)}")

    def _output(self, name: str) -> Path:
        return self.home / f"{name}.log"

    def _end_of_output(self, name: str) -> str:
        output = self._output(name).read_text(encoding="utf-8", errors="replace")
        return f"{self._output(name)} ends with\n{output[-_LAST_CHARACTERS:].strip()}"


def task_name(task: Mapping[str, Any]) -> str:
    """What people call a task instance: its ID, and for one of a mapped task the label or else the number of its place."""
    if task["map_index"] < 0:
        return str(task["task_id"])
    return f"{task['task_id']} [{task['rendered_map_index'] or task['map_index']}]"


def _airflow(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "airflow", *arguments]


def _write_private(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")


def _body(answer: requests.Response) -> Any:
    if not answer.ok:
        raise RuntimeError(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:_LAST_CHARACTERS]}")
    return answer.json() if answer.content else None


def _log_line(message: str | dict[str, Any]) -> str:
    if isinstance(message, str):
        return message
    more = {name: value for name, value in message.items() if name not in {"timestamp", "level", "event", "logger"}}
    words = (message.get("timestamp"), message.get("level"), message["event"], json.dumps(more) if more else None)
    return " ".join(str(word) for word in words if word)
