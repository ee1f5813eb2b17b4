"""Runs docker-compose.yaml where there is no Docker: its services' own commands with their own environment, natively.

What an engine does, this does: variables, the order of the start, health checks, volumes, a host name and a process tree
for each container, which ``kill`` ends as a whole. What only an engine can do is put in the place of what stands in the
file: ``postgres:5432`` and the like become ports of loopback, ``/opt/airflow`` a folder, and the images the programs that
they would bring: PostgreSQL's wheel, Debian's Redis, this virtual environment. Memory limits are not enforced.

Needs Linux, for a host name for each container, and ``redis-server``.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import psutil
import yaml

from demo.guard import Guard
from demo.postgres import PostgresServer, free_port

REPOSITORY = Path(__file__).resolve().parents[2]
FILE = REPOSITORY / "docker-compose.yaml"

_VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?:(?P<operator>:-|:\?)(?P<text>[^}]*))?\})")
_LAST_CHARACTERS = 3_000


class MissingVariable(Exception):
    """What ``${NAME:?sentence}`` says."""


def read(variables: Mapping[str, str], file: Path = FILE) -> dict[str, Any]:
    """The compose file with its variables in it."""
    return dict(_interpolate(yaml.safe_load(file.read_text(encoding="utf-8")), variables))


def _interpolate(node: Any, variables: Mapping[str, str]) -> Any:
    """The subset of Compose's interpolation that the file uses: ``$$``, ``${A}``, ``${A:-b}``, ``${A:?b}``."""
    match node:
        case dict():
            return {key: _interpolate(value, variables) for key, value in node.items()}
        case list():
            return [_interpolate(item, variables) for item in node]
        case str():
            return _VARIABLE.sub(lambda found: _value(found, variables), node)
        case _:
            return node


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    if found["escaped"]:
        return "$"
    value = variables.get(found["name"], "")
    if value or found["operator"] is None:
        return value
    if found["operator"] == ":-":
        return found["text"]
    raise MissingVariable(found["text"])


def new_env() -> dict[str, str]:
    """The variables of a new ``.env``, by the script that people use."""
    text = subprocess.run(["bash", str(REPOSITORY / "deploy" / "new-env.sh")], capture_output=True, check=True, text=True).stdout
    return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))


def replicas(service: Mapping[str, Any]) -> int:
    """How many containers a service has."""
    return int(service.get("deploy", {}).get("replicas", 1))


@dataclass
class Container:
    """One container of a service."""

    name: str
    service: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    comes_back: bool
    watch: Callable[[int], None]
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0
    is_wanted: bool = False
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start its first process, in a session and under a host name of its own."""
        self.is_wanted = True
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.in_it(self.command),
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.watch(self.process.pid)

    def in_it(self, command: Sequence[str]) -> list[str]:
        """A command as it runs in the container."""
        rootless = [] if os.geteuid() == 0 else ["--map-root-user"]
        return ["unshare", *rootless, "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.name, *command]

    def kill(self) -> None:
        """``docker kill``: every process at once, with SIGKILL."""
        self.is_wanted = False
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._reap()

    def stop(self) -> None:
        """``docker stop``: the stop signal, and SIGKILL for what is left when the first process has ended, or the grace period.

        Airflow's image begins with dumb-init, which hands a signal on to the first process's group, or with
        ``DUMB_INIT_SETSID=0`` to the first process alone.
        """
        self.is_wanted = False
        if self.process is not None:
            hand_on = os.kill if self.environment.get("DUMB_INIT_SETSID", "0") == "0" else os.killpg
            hand_on(self.process.pid, self.stop_signal)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=self.grace_seconds)
        self.kill()

    def end_of_log(self) -> str:
        """For a complaint."""
        return f"{self.name} ends with\n{self.log.read_text(encoding='utf-8', errors='replace')[-_LAST_CHARACTERS:].strip()}"

    def _processes(self) -> list[int]:
        found = []
        for pid in psutil.pids() if self.process else ():
            with suppress(OSError):
                if os.getsid(pid) == self.process.pid:
                    found.append(pid)
        return found

    def _reap(self) -> None:
        if self.process is not None:
            self.process.wait(timeout=30)
            self.process = None


@dataclass
class Compose:
    """The services of the file, running in ``folder``; a context manager that leaves nothing behind.

    :param profiles: as ``docker compose --profile``.
    """

    folder: Path
    variables: Mapping[str, str] = field(default_factory=new_env)
    profiles: Sequence[str] = ()
    containers: dict[str, Container] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.postgres = PostgresServer(self.folder / "postgres")
        self.postgres.port = free_port()
        self._done: set[str] = set()
        self._guard: Guard | None = None
        self._closing = threading.Event()
        self._restarter = threading.Thread(target=self._restart_what_ended, name="restart policies", daemon=True)

    @cached_property
    def services(self) -> dict[str, Any]:
        """The services of the profiles."""
        every = read(self.variables)["services"]
        return {name: spec for name, spec in every.items() if set(spec.get("profiles", self.profiles)) <= set(self.profiles)}

    @cached_property
    def ports(self) -> dict[str, int]:
        """Where the services listen: the native port by ``host:port``."""
        listening = {"redis:6379", "airflow-apiserver:8080", "simulator:8090"}
        return {"postgres:5432": self.postgres.port} | {name: free_port() for name in sorted(listening)}

    @property
    def url(self) -> str:
        """Airflow's UI and API."""
        return f"http://127.0.0.1:{self.ports['airflow-apiserver:8080']}"

    @property
    def simulator_url(self) -> str:
        """The simulated Webflow."""
        return f"http://127.0.0.1:{self.ports['simulator:8090']}"

    def __enter__(self) -> Self:
        self._guard = Guard()
        self._restarter.start()
        try:
            for service in self._in_order():
                self._up(service)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._restarter.join()
        for container in reversed(self.containers.values()):
            container.kill()
        with suppress(RuntimeError):
            self.postgres.stop()
        self.postgres.remove()
        if self._guard is not None:
            self._guard.dismiss()

    def wait_until_healthy(self, service: str, timeout_seconds: float = 600) -> None:
        """Wait until the health check of each of the service's containers succeeds."""
        deadline = time.monotonic() + timeout_seconds
        for container in self.of(service):
            while (said := self._check_health(container)) is not None:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{container.name} is not healthy: {said[-500:]}\n{container.end_of_log()}")
                time.sleep(1)

    def of(self, service: str) -> list[Container]:
        """The containers of a service."""
        return [container for container in self.containers.values() if container.service == service]

    def _restart_what_ended(self) -> None:
        """``restart: unless-stopped``."""
        while not self._closing.wait(1.0):
            for container in list(self.containers.values()):
                ended = container.process is not None and container.process.poll() is not None
                if ended and container.comes_back and container.is_wanted:
                    container.start()

    def _in_order(self) -> Iterator[str]:
        """The services, each after those that it depends on."""
        placed: set[str] = set()

        def place(service: str) -> Iterator[str]:
            if service not in placed:
                placed.add(service)
                for other in self.services[service].get("depends_on", {}):
                    yield from place(other)
                yield service

        for service in self.services:
            yield from place(service)

    def _up(self, service: str) -> None:
        spec = self.services[service]
        for other, wanted in spec.get("depends_on", {}).items():
            match wanted["condition"]:
                case "service_healthy":
                    self.wait_until_healthy(other)
                case "service_completed_successfully":
                    self.wait_until_done(other)
        if service == "postgres":
            self._start_postgres(spec["environment"]["POSTGRES_PASSWORD"])
            return
        for number in range(1, replicas(spec) + 1):
            container = self._container(service, spec, number)
            self.containers[container.name] = container
            container.start()

    def _start_postgres(self, password: str) -> None:
        """The image's own start: a superuser with this password, and nobody gets in without one."""
        self.postgres.start()
        with self.postgres.connect("postgres") as connection, connection.cursor() as cursor:
            cursor.execute("ALTER ROLE postgres PASSWORD %s", (password,))
            cursor.execute("SHOW hba_file")
            access = Path(cursor.fetchone()[0])
        connection.close()
        # The superuser is how the tests themselves look.
        access.write_text("host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n", encoding="utf-8")
        with self.postgres.connect("postgres") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_reload_conf()")
        connection.close()

    def _container(self, service: str, spec: Mapping[str, Any], number: int) -> Container:
        name = f"{service}-{number}"
        root = self.folder / name
        image = str(spec["image"]).split(":")[0]
        self._furnish(root, spec, is_airflow=image.startswith("webflow"))
        environment = {
            **self._image_environment(root, image),
            **{key: self._native(str(value), root) for key, value in spec.get("environment", {}).items()},
        }
        if "PGHOST" in environment:
            environment |= {"PGHOST": "127.0.0.1", "PGPORT": str(self.ports["postgres:5432"])}
        return Container(
            name=name,
            service=service,
            command=self._command([self._native(word, root) for word in spec["command"]], image),
            environment=environment,
            folder=root / "data" if image == "redis" else root / "opt" / "airflow",
            log=self.folder / f"{name}.log",
            comes_back=spec["restart"] != "no",
            watch=self._watch,
            stop_signal=signal.Signals[spec.get("stop_signal", "SIGTERM")],
            grace_seconds=float(str(spec.get("stop_grace_period", "10s")).removesuffix("s")),
        )

    def _furnish(self, root: Path, spec: Mapping[str, Any], *, is_airflow: bool) -> None:
        """The image's files and the volumes."""
        for folder in ("data", "opt/airflow/plugins", "opt/airflow/simulator"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        if is_airflow:
            for source, target in re.findall(r"^COPY --chown=\S+ (\S+) (/opt/airflow/\S+)$", _dockerfile(), re.MULTILINE):
                place = root / target.lstrip("/")
                _link(REPOSITORY / source, place / Path(source).name if target.endswith("/") else place)
        for volume in spec.get("volumes", ()):
            source, target = str(volume).split(":")[:2]
            place = root / target.lstrip("/")
            if source.startswith("."):
                _link(REPOSITORY / source, place)
            elif source == "airflow-logs":
                (self.folder / source).mkdir(exist_ok=True)
                _link(self.folder / source, place)

    def _image_environment(self, root: Path, image: str) -> dict[str, str]:
        """What the image sets, and what stands for a container's own network."""
        path = [str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]
        if image == "postgres":
            path.insert(0, str(self.postgres.programs()))
        environment = {"PATH": ":".join(path), "HOME": str(root), "LANG": "C.UTF-8", "NO_PROXY": "*", "no_proxy": "*"}
        if not image.startswith("webflow"):
            return environment
        return environment | {
            "AIRFLOW_HOME": str(root / "opt/airflow"),
            "PYTHONPATH": str(REPOSITORY) if image.endswith("demo") else "",
            "PYTHONUNBUFFERED": "1",
            "DUMB_INIT_SETSID": "1",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.ports["airflow-apiserver:8080"]),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self._scheduler_port),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        }

    @cached_property
    def _scheduler_port(self) -> int:
        return free_port()

    def _watch(self, pid: int) -> None:
        if self._guard is not None:
            self._guard.watch(pid)

    def _command(self, command: Sequence[str], image: str) -> list[str]:
        """The image's entry point: ``airflow`` before anything that is no program of its own."""
        if image.startswith("webflow") and command[0] not in ("bash", "python"):
            return ["airflow", *command]
        if image == "redis":
            return [*command, "--bind", "127.0.0.1", "--port", str(self.ports["redis:6379"])]
        return list(command)

    def _native(self, text: str, root: Path) -> str:
        for address, port in self.ports.items():
            text = text.replace(address, f"127.0.0.1:{port}")
        text = text.replace("localhost:8080", f"127.0.0.1:{self.ports['airflow-apiserver:8080']}")
        text = text.replace("localhost:8090", f"127.0.0.1:{self.ports['simulator:8090']}")
        text = text.replace("localhost:8974", f"127.0.0.1:{self._scheduler_port}")
        text = text.replace("--host 0.0.0.0 --port 8090", f"--host 127.0.0.1 --port {self.ports['simulator:8090']}")
        return re.sub(r"(?<![\w.])/(?=opt/airflow|deploy/)", f"{root}/", text)

    def _check_health(self, container: Container) -> str | None:
        """What the health check printed if it failed."""
        kind, *words = self.services[container.service]["healthcheck"]["test"]
        words = [self._native(word, container.folder.parents[1]) for word in words]
        if container.service == "redis":
            words = [word.replace("redis-cli", f"redis-cli -p {self.ports['redis:6379']}") for word in words]
        done = subprocess.run(
            container.in_it(words if kind == "CMD" else ["sh", "-c", *words]), cwd=container.folder, env=dict(container.environment),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=120,
        )  # fmt: skip
        return None if done.returncode == 0 else done.stdout

    def wait_until_done(self, service: str, timeout_seconds: float = 900) -> None:
        """Wait until a one-off service has ended well."""
        if service in self._done:
            return
        for container in self.of(service):
            if container.process is not None and container.process.wait(timeout_seconds):
                raise RuntimeError(container.end_of_log())
        self._done.add(service)


def _dockerfile() -> str:
    return (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")


def _link(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        place.symlink_to(source)


def missing() -> str | None:
    """What this machine lacks for it, in a sentence."""
    for program, package in (
        ("redis-server", "redis-server"),
        ("redis-cli", "redis-tools"),
        ("unshare", "util-linux"),
        ("curl", "curl"),
    ):
        if shutil.which(program) is None:
            return f"{program} is not installed: apt install {package}"
    return None
