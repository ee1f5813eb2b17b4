"""A private MariaDB server, for the tests of a warehouse whose server's zone is not UTC."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import pymysql

from demo.guard import Guard
from demo.postgres import free_port

ZONE = "-05:00"
"""The zone of the server, which is not that of a session."""


class MariaDBServer:
    """A server on a free port of loopback; a context manager. It ends with the process that started it.

    MariaDB refuses to run as root: for root it runs as ``nobody``, with its data where that may read.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="webflow-mariadb-"))
        self._guard = Guard()
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def is_installed() -> bool:
        return shutil.which("mariadbd") is not None and shutil.which("mariadb-install-db") is not None

    def __enter__(self) -> Self:
        user = []
        if os.geteuid() == 0:
            shutil.chown(self._folder, "nobody")
            user = ["--user=nobody"]
        data = f"--datadir={self._folder / 'data'}"
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", *user, data, "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True,
            capture_output=True,
        )
        options = [
            f"--port={self.port}", f"--socket={self._folder / 'socket'}", "--bind-address=127.0.0.1",
            f"--default-time-zone={ZONE}", "--innodb-flush-log-at-trx-commit=0", f"--log-error={self._folder / 'log'}",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            ["mariadbd", "--no-defaults", *user, data, *options], stderr=subprocess.DEVNULL, start_new_session=True
        )
        self._guard.watch(self._process.pid)
        self._await()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
        self._guard.dismiss()
        shutil.rmtree(self._folder, ignore_errors=True)

    def connect(self, database: str | None = None) -> "pymysql.connections.Connection[pymysql.cursors.Cursor]":
        return pymysql.connect(host="127.0.0.1", port=self.port, user="root", database=database, autocommit=True)

    def _await(self) -> None:
        for _ in range(300):
            try:
                self.connect().close()
            except pymysql.OperationalError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError((self._folder / "log").read_text(encoding="utf-8")[-2000:])
