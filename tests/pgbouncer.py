"""A private pgbouncer in transaction mode before a PostgreSQL server: after each transaction the server's session goes to another."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import psycopg2

from demo.guard import Guard
from demo.postgres import USER, PostgresServer, free_port

SESSIONS = 4
"""Sessions on the server, which all connections to the pooler share."""


class Pooler:
    """A pgbouncer on a free port of loopback; a context manager. It ends with the process that started it."""

    def __init__(self, postgres: PostgresServer) -> None:
        self.port = free_port()
        self._postgres = postgres
        self._folder = Path(tempfile.mkdtemp(prefix="webflow-pgbouncer-"))
        self._guard = Guard()
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def is_installed() -> bool:
        return shutil.which("pgbouncer") is not None

    def __enter__(self) -> Self:
        settings = self._folder / "pgbouncer.ini"
        settings.write_text(f"""
[databases]
* = host=127.0.0.1 port={self._postgres.port} user={USER}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {SESSIONS}
max_client_conn = 100
logfile = {self._folder / "log"}
""")
        as_root = os.geteuid() == 0
        if as_root:
            shutil.chown(self._folder, "nobody")
        user = ["--user=nobody"] if as_root else []
        self._process = subprocess.Popen(
            ["pgbouncer", "--quiet", *user, str(settings)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._guard.watch(self._process.pid)
        self._await()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
        self._guard.dismiss()
        shutil.rmtree(self._folder, ignore_errors=True)

    def connect(self, database: str) -> Any:
        """A psycopg2 connection through the pooler."""
        return psycopg2.connect(host="127.0.0.1", port=self.port, user=USER, dbname=database, client_encoding="UTF8")

    def _await(self) -> None:
        for _ in range(100):
            try:
                self.connect("postgres").close()
            except psycopg2.OperationalError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"pgbouncer does not start: {(self._folder / 'log').read_text()[-2000:]}")
