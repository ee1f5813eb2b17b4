"""The way of the README from a clone to a rehearsed night on one's own tables, with the README's own commands."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from demo.airflow_stack import REPOSITORY
from demo.postgres import PostgresServer, free_port
from demo.simulator import SimulatorProcess
from tests.terminal import Terminal
from tests.unit.test_documents import README, blocks

TOKEN, CUSTOMER_ID = "a-token-of-the-simulator", "123456789"
TABLES = """
CREATE SCHEMA shopify;
CREATE TABLE shopify."order" (
    id bigint PRIMARY KEY, name text, processed_at timestamptz, customer_id bigint, source_name text, cancelled_at timestamptz,
    test boolean, _fivetran_deleted boolean, display_financial_status text, total_price_set_shop_amount float8,
    total_tax_set_shop_amount float8
);
CREATE TABLE shopify.customer (id bigint PRIMARY KEY, email text);
INSERT INTO shopify.customer SELECT 7000 + n, 'customer' || n || '@example.com' FROM generate_series(1, 20) n;
INSERT INTO shopify."order"
SELECT n, '#' || 1000 + n, now() - interval '1 day' - n * interval '1 minute', 7000 + n, 'pos', NULL, false, false, 'PAID', 119, 19
FROM generate_series(1, 25) n
"""
"""Shopify's tables as Fivetran lands them: 25 sales of yesterday, before any run that can be due, 5 of them to customers whom nobody made known."""
READY, HELD = 20, 5


class Newcomer:
    """Somebody in a folder like a clone, who types the README's commands."""

    def __init__(self, folder: Path, postgres: PostgresServer, simulator: SimulatorProcess, port: int) -> None:
        self.folder, self.port = folder, port
        for name in ("dags", "plugins", "demo", "include"):
            (folder / name).symlink_to(REPOSITORY / name)
        (folder / ".venv").symlink_to(Path(sys.prefix))
        (folder / "home").mkdir()
        of_the_readme = [block for block in blocks(README, "bash") if "make demo" not in block]
        self.install, self.connections, self.look, self.airflow, self.switch_on, *_ = of_the_readme
        server = f"postgres://postgres@127.0.0.1:{postgres.port}"
        self._values = {
            "WAREHOUSE": f"{server}/shop",
            "WEBFLOW_LEDGER": f"{server}/first_night",
            "WEBFLOW_DEFAULT": json.dumps(
                {"conn_type": "webflow", "host": simulator.url, "login": CUSTOMER_ID, "password": TOKEN}
            ),
        }
        self.environment = {
            "HOME": str(folder / "home"),
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "PYTHONPATH": f"{REPOSITORY / 'plugins'}:{REPOSITORY}",
            # Ports of this test alone.
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        }

    def setting(self) -> str:
        """What the README sets, with the connections of this place: ``make install`` has made the .venv of these tests."""
        connections = re.sub(
            r"(AIRFLOW_CONN_(\w+))='.*'", lambda found: f"{found[1]}='{self._values[found[2]]}'", self.connections
        )
        lines = [line for line in self.install.splitlines() if not line.startswith(("make install", "webflow-conversions init"))]
        exports = [line for line in self.airflow.splitlines() if line.startswith("export ")]
        return "\n".join([*lines, *connections.splitlines(), *exports])

    def types(self, commands: str) -> str:
        """Run commands, each of which has to succeed."""
        done = subprocess.run(
            ["bash", "-ec", f"{self.setting()}\n{commands}"],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def answers_the_questions_of_init(self) -> None:
        """Take every default."""
        (line,) = (line for line in self.install.splitlines() if line.startswith("webflow-conversions init"))
        with Terminal(["bash", "-ec", f"source .venv/bin/activate\n{line}"], self.folder, self.environment) as terminal:
            for question in (
                "Which system do", "What lands", "Which database", "Which schema", "Which domain", "Which event name", "Which currency",
            ):  # fmt: skip
                terminal.answer(question, "\n")
            status, said = terminal.ends()
        assert status == 0, said

    @contextmanager
    def standalone(self) -> Iterator[None]:
        """``airflow standalone``, until the end of the context."""
        with (self.folder / "standalone.log").open("w") as log:
            process = subprocess.Popen(
                ["bash", "-ec", f"{self.setting()}\nexec {self.airflow.splitlines()[-1]}"],
                cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            self._wait(process)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _wait(self, process: subprocess.Popen[bytes], patience_seconds: float = 300) -> None:
        deadline = time.monotonic() + patience_seconds
        while time.monotonic() < deadline:
            assert process.poll() is None, (self.folder / "standalone.log").read_text()[-3000:]
            if "Airflow is ready" in (self.folder / "standalone.log").read_text():
                return
            time.sleep(0.5)
        raise TimeoutError((self.folder / "standalone.log").read_text()[-3000:])

    def log_in(self) -> requests.Response:
        """Log in as the README says, at the address that it says."""
        text = README.read_text(encoding="utf-8")
        (user, file) = re.findall(r"\*\*Login\*\*: `(\w+)`; the password is in `([^`]+)`", text)[0]
        password = json.loads((self.folder / file).read_text())[user]
        return requests.post(
            f"http://127.0.0.1:{self.port}/auth/token", json={"username": user, "password": password}, timeout=60
        )


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[SimulatorProcess]:
    with SimulatorProcess(tmp_path / "events.db", TOKEN, CUSTOMER_ID) as simulator:
        yield simulator


def rows(postgres: PostgresServer, database: str, sql: str) -> list[Any]:
    with closing(postgres.connect(database)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def test_the_commands_of_the_readme_lead_to_a_rehearsed_night(
    tmp_path: Path, postgres: PostgresServer, simulator: SimulatorProcess
) -> None:
    for database in ("shop", "first_night"):
        postgres.create_database(database)
    rows(postgres, "shop", TABLES)
    (tmp_path / "clone").mkdir()
    newcomer = Newcomer(tmp_path / "clone", postgres, simulator, free_port())

    newcomer.answers_the_questions_of_init()
    looked = newcomer.types(newcomer.look)

    assert "A run could succeed." in looked
    assert f"25 rows read, {READY} conversions (2,000.00) would be sent to {simulator.url}" in looked
    assert "#1007 of source shopify_sales" in looked
    with newcomer.standalone():
        newcomer.types(newcomer.switch_on)
        deadline = time.monotonic() + 300
        while not (runs := _ended(postgres)) and time.monotonic() < deadline:
            time.sleep(1)
        response = newcomer.log_in()

    assert response.status_code == 201
    assert runs == [(True, "note")]
    states = dict(rows(postgres, "first_night", "SELECT state, count(*) FROM webflow.conversions GROUP BY state"))
    assert states == {"ready": READY, "held": HELD}
    assert simulator.events() == []


def _ended(postgres: PostgresServer) -> list[Any]:
    """Mode and level of the runs that have ended."""
    if rows(postgres, "first_night", "SELECT to_regclass('webflow.runs')") == [(None,)]:
        return []
    return rows(postgres, "first_night", "SELECT is_rehearsal, verdict ->> 'level' FROM webflow.runs WHERE ended_at IS NOT NULL")
