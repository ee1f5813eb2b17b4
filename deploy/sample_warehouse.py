"""The sample warehouse of docker compose --profile demo, in the server that libpq's variables name."""

import os
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psycopg2
from psycopg2.sql import SQL, Literal

from demo import warehouse
from demo.postgres import PostgresServer


class GivenServer(PostgresServer):
    """A server that runs already."""

    def __init__(self) -> None:
        """It has no folder and no port of its own."""

    def connect(self, database: str) -> Any:
        return psycopg2.connect(dbname=database)


def main() -> None:
    """Make the tables anew, up to this moment, and let a role of its own read them."""
    server = GivenServer()
    warehouse.load(server, datetime.now(UTC))
    with closing(server.connect(warehouse.DATABASE)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = 'demo_reader'")
        if cursor.fetchone() is None:
            cursor.execute("CREATE ROLE demo_reader LOGIN")
        cursor.execute(SQL("ALTER ROLE demo_reader PASSWORD {}").format(Literal(os.environ["DEMO_READER_PASSWORD"])))
        cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO demo_reader")


if __name__ == "__main__":
    main()
