"""Starts and stops a real Airflow: API server, scheduler, Dag processor and triggerer.

Logins are those of the ``SimpleAuthManager`` and the home is a local folder: for demonstrations and tests only.
"""

import json
import os
import secrets
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Self

import requests
import sqlalchemy as sa

from demo.airflow_api import LAST_CHARACTERS, AirflowApi
from demo.guard import Guard, end_sessions
from demo.postgres import free_port

REPOSITORY = Path(__file__).resolve().parent.parent

COMPONENTS: Mapping[str, Sequence[str]] = {
    "api-server": ("api-server", "--host", "127.0.0.1"),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
"""Arguments of each process, by the name of its log file, in the order of the start. Log servers would need fixed ports."""

SETTINGS: Mapping[str, str] = {
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__PARALLELISM": "4",
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__TEST_CONNECTION": "Enabled",
    "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "1",
    # The default looks the name up in the DNS.
    "CORE__HOSTNAME_CALLABLE": "socket.gethostname",
    "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
    # The stack has migrated the database; the check would take seconds in each component.
    "DATABASE__CHECK_MIGRATIONS": "False",
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    # A run that a crash interrupted continues half a minute after the next start; by default, five minutes.
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    "API__WORKERS": "1",
    "LOGGING__LOGGING_LEVEL": "INFO",
    "LOGGING__COLORED_CONSOLE_LOG": "False",
}
"""Settings of a small, fast Airflow: names of environment variables without ``AIRFLOW__``, and values."""

POOLS: Mapping[str, int] = {"webflow": 4}
"""Slots of the pool of the push tasks."""


class AirflowStack(AirflowApi):
    """A running Airflow with its state in ``home`` and in the database; a context manager.

    A second start on the same home and database is faster and keeps the logins.

    :param home: Airflow's home; created if it is missing. Each component writes its output to ``<component>.log``.
    :param database_url: SQLAlchemy URL of an existing PostgreSQL database for the metadata.
    :param environment: additional environment variables of every process, like ``AIRFLOW_CONN_…`` and ``AIRFLOW__…``;
        they override those of the stack. Variables of the caller that begin with ``AIRFLOW`` are not passed on.
    :param pools: Airflow pools to create: name to number of slots.
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
        """Start all components and wait until each is healthy. A failed start stops them all.

        :raises RuntimeError: a component ended; the message quotes the end of its output.
        :raises TimeoutError: a component sent no heartbeat in time; the message quotes the end of its output.
        """
        try:
            self._prepare()
            self._migrate()
            self._started_at = datetime.now(UTC)
            self._guard = Guard()
            for name, arguments in COMPONENTS.items():
                self._components[name] = self._launch(name, arguments)
                self._guard.watch(self._components[name].pid)
            self._wait(self._healthy, self._start_timeout_seconds, self._diagnosis)
            self.log_in(self.username, self.password)
            for pool, slots in self._pools.items():
                self.create_pool(pool, slots)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End all processes of the stack within seconds, running tasks included."""
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

        :returns: the command's output.
        :raises RuntimeError: the command failed; the message quotes the end of its output.
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
            raise RuntimeError(f"airflow {' '.join(arguments)} failed:\n{done.stdout[-LAST_CHARACTERS:].strip()}")
        return done.stdout

    def backfill(self, dag_id: str, from_date: datetime, to_date: datetime, *options: str) -> list[str]:
        """Create a backfill with ``airflow backfill create``.

        :param options: additional options, like ``--max-active-runs 1`` (the Dag's own limit does not apply).
        :returns: the IDs of the backfill's runs.
        """
        before = {run["dag_run_id"] for run in self.runs(dag_id)}
        dates = ("--from-date", from_date.isoformat(), "--to-date", to_date.isoformat())
        self.cli("backfill", "create", "--dag-id", dag_id, *dates, *options)
        return [run["dag_run_id"] for run in self.runs(dag_id) if run["dag_run_id"] not in before]

    def _prepare(self) -> None:
        """Choose the port, and create the secrets and the environment."""
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
            # All addresses are on this machine; and on macOS, looking up a proxy after a fork crashes.
            "NO_PROXY": "*",
            "no_proxy": "*",
            "PYTHONUNBUFFERED": "1",
            "WEBFLOW_CONVERSIONS_POOL": next(iter(self._pools)),
            **self._more_environment,
        }

    def _secrets(self) -> dict[str, str]:
        """Keys and passwords of this home, generated at the first start."""
        file = self.home / "secrets.json"
        if not file.exists():
            made = {user: secrets.token_urlsafe(12) for user in (self.username, self.viewer_username)}
            made |= {key: secrets.token_hex(32) for key in ("secret_key", "jwt_secret")}
            made["fernet_key"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
            _write_private(file, json.dumps(made))
        return dict(json.loads(file.read_text(encoding="utf-8")))

    def _migrate(self) -> None:
        """Migrate the metadata database, unless this home has recorded its present revision as migrated."""
        seen = self.home / "migrated"
        revision = self._revision()
        if revision is None or not seen.exists() or seen.read_text(encoding="utf-8") != revision:
            self.cli("db", "migrate", timeout_seconds=self._start_timeout_seconds)
            seen.write_text(self._revision() or "", encoding="utf-8")

    def _revision(self) -> str | None:
        """Airflow's version and the revision of the metadata database; None for an empty database."""
        with sa.create_engine(self._database_url, poolclass=sa.NullPool).connect() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            revision = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
            return f"{version('apache-airflow-core')} {revision}"

    def _launch(self, name: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a component as a session leader: its tasks leave the process group, but not the session."""
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

    def _healthy(self) -> bool | None:
        """True if every component has sent a heartbeat since the start, None if not yet."""
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

    def _check_alive(self) -> None:
        """Raise if a component has ended."""
        for name, process in self._components.items():
            if process.poll() is not None:
                raise RuntimeError(f"airflow {name} ended with status {process.returncode}. {self._end_of_output(name)}")

    def _output(self, name: str) -> Path:
        return self.home / f"{name}.log"

    def _end_of_output(self, name: str) -> str:
        output = self._output(name).read_text(encoding="utf-8", errors="replace")
        return f"{self._output(name)} ends with\n{output[-LAST_CHARACTERS:].strip()}"


def _airflow(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "airflow", *arguments]


def _write_private(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
