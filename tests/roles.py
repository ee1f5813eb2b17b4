"""The roles of ``deploy/`` on a server of their own, and a night that runs with them alone."""

import os
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
import sqlalchemy as sa

from demo.postgres import PostgresServer
from tests.night import Night
from webflow_conversions.warehouse.reader import Warehouse

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
PASSWORDS = {
    name: f"secret-of-{name.lower()}"
    for name in (
        "AIRFLOW_DB_PASSWORD",
        "WEBFLOW_OWNER_PASSWORD",
        "WEBFLOW_WORKER_PASSWORD",
        "WEBFLOW_PAGE_PASSWORD",
        "WAREHOUSE_READER_PASSWORD",
        "WEBFLOW_BI_PASSWORD",
    )
}


class Roles:
    """A server whose roles and databases the files of ``deploy/`` made."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.psql("postgres", "databases.sql")
        self.psql("webflow", "roles.sql")
        self.psql("webflow", "bi-reader.sql")
        server.create_database("warehouse")

    def psql(self, database: str, file: str, **settings: str) -> None:
        options = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        command = [str(self.server.program("psql")), "--no-psqlrc", "--quiet", *options, "--file", str(DEPLOY / file)]
        where = {"PGHOST": "127.0.0.1", "PGPORT": str(self.server.port), "PGUSER": "postgres", "PGDATABASE": database}
        subprocess.run(command, env={**os.environ, **PASSWORDS, **where}, check=True)

    def run(self, program: str, *arguments: str) -> None:
        """One of PostgreSQL's programs, as the superuser."""
        where = {"PGHOST": "127.0.0.1", "PGPORT": str(self.server.port), "PGUSER": "postgres"}
        subprocess.run([str(self.server.program(program)), *arguments], env={**os.environ, **where}, check=True)

    def connect(self, role: str, database: str) -> Any:
        return psycopg2.connect(host="127.0.0.1", port=self.server.port, user=role, dbname=database)

    def do(self, role: str, statement: str, database: str = "webflow") -> list[Any]:
        with closing(self.connect(role, database)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def migrate(self, role: str, database: str) -> str:
        """What the command that airflow-init runs says."""
        where = {"PGHOST": "127.0.0.1", "PGPORT": str(self.server.port), "PGUSER": role, "PGDATABASE": database}
        command = [sys.executable, "-m", "webflow_conversions.ledger"]
        return subprocess.run(command, env={**os.environ, **where}, capture_output=True, text=True, check=True).stderr


class NightWithRoles(Night):
    """Its ledger is the worker's, its warehouse the reader's; only the tables' owner fills them."""

    def __init__(self, roles: Roles) -> None:
        self.roles = roles
        super().__init__(partial(roles.connect, "webflow_worker", "webflow"))
        roles.psql("warehouse", "warehouse-reader.sql", tables="sales, people")

    def sql(self, statement: str, *parameters: Any) -> list[Any]:
        with closing(self.roles.connect("postgres", "warehouse")) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    @property
    def warehouse(self) -> Warehouse:
        creator = partial(self.roles.connect, "webflow_reader", "warehouse")
        return Warehouse(sa.create_engine("postgresql+psycopg2://", creator=creator, poolclass=sa.NullPool), "warehouse")
