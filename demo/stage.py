"""The stage for the demo and the end-to-end tests: PostgreSQL with a warehouse and a ledger, a simulated Webflow, and a
real Airflow with connections to them."""

import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from psycopg2.extras import NamedTupleCursor

from demo import visits, warehouse
from demo.airflow_stack import AirflowStack
from demo.postgres import USER, PostgresServer
from demo.simulator import SimulatorProcess
from demo.simulator.site import Report

DAG_ID = "webflow_offsite_conversions"
CUSTOMER_ID = "123456789"

_AIRFLOW, LEDGER = "airflow", "ledger"


class Stage:
    """The processes of a night, on free ports of this machine, with their data in ``folder``; a context manager.

    :param environment: additional environment variables of Airflow.
    :param say: receives a line before each step of the start.
    """

    def __init__(
        self, folder: Path, *, environment: Mapping[str, str] | None = None, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.postgres = PostgresServer(folder / "postgres")
        self.simulator_token = secrets.token_urlsafe(24)
        self.data_token = secrets.token_urlsafe(24)
        self.simulator = SimulatorProcess(folder / "simulator.db", self.simulator_token, CUSTOMER_ID, data_token=self.data_token)
        self._folder = folder
        self._environment = dict(environment or {})
        self._say = say
        self._airflow: AirflowStack | None = None
        self._open = ExitStack()

    @property
    def airflow(self) -> AirflowStack:
        """Airflow.

        :raises RuntimeError: the stage has not been entered.
        """
        if self._airflow is None:
            raise RuntimeError("the stage has not been entered")
        return self._airflow

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            self._say("starting PostgreSQL")
            entered.enter_context(self.postgres)
            for name in (_AIRFLOW, LEDGER, warehouse.DATABASE):
                self.postgres.create_database(name)
            self._say("starting the Webflow simulator")
            entered.enter_context(self.simulator)
            self._say("starting Airflow: API server, scheduler, Dag processor, triggerer")
            self._airflow = AirflowStack(
                home=self._folder / "airflow",
                database_url=self.postgres.url(_AIRFLOW, "postgresql+psycopg2"),
                environment=self._environment,
            )
            entered.enter_context(self._airflow)
            for name, connection in self.connections().items():
                self.airflow.post("/connections", {"connection_id": name, **connection})
            self._say("waiting for Airflow to read the Dag")
            self.airflow.wait_until_parsed(DAG_ID)
            self._open = entered.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def connections(self) -> dict[str, dict[str, Any]]:
        """The product's connections in the form of Airflow's API, by name."""
        server = {"conn_type": "postgres", "host": "127.0.0.1", "port": self.postgres.port, "login": USER}
        return {
            "warehouse": {**server, "schema": warehouse.DATABASE, "description": "The shops and the CRM"},
            "webflow_ledger": {**server, "schema": LEDGER, "description": "Where every conversion stands"},
            "webflow_default": {
                "conn_type": "webflow",
                "host": self.simulator.url,
                "login": CUSTOMER_ID,
                "password": self.simulator_token,
                "description": "The Webflow simulator",
            },
        }

    def set_connection(self, name: str, **changes: Any) -> None:
        """Reset a connection to its value in :meth:`connections`, with changes."""
        self.airflow.call("PATCH", f"/connections/{name}", json={"connection_id": name, **self.connections()[name], **changes})

    def load_warehouse(self, now: datetime, **amounts: int) -> None:
        """Refill the warehouse, see :func:`demo.warehouse.load`."""
        warehouse.load(self.postgres, now, **amounts)

    def visit_site(self, now: datetime) -> list[Report]:
        """Let the warehouse's users visit the simulated site up to ``now``, which gets its goals; returns what they did."""
        reports = visits.make(self.postgres, now)
        self.simulator.clear_site()
        self.simulator.goals(visits.GOALS)
        self.simulator.report(reports)
        return reports

    def land_exports(self, reports: list[Report], *, since: datetime | None = None, until: datetime | None = None) -> None:
        """Load the site's Data Exports into the warehouse, see :func:`demo.visits.land`."""
        visits.land(self.postgres, reports, CUSTOMER_ID, since=since, until=until)

    def ledger(self, sql: str, *parameters: Any) -> list[Any]:
        """Execute a statement on the ledger.

        :returns: the rows of a query as named tuples; no rows for other statements.
        """
        return self._query(LEDGER, sql, parameters)

    def warehouse(self, sql: str, *parameters: Any) -> list[Any]:
        """Execute a statement on the warehouse, see :meth:`ledger`."""
        return self._query(warehouse.DATABASE, sql, parameters)

    def _query(self, database: str, sql: str, parameters: tuple[Any, ...]) -> list[Any]:
        with (
            closing(self.postgres.connect(database)) as connection,
            connection,
            connection.cursor(cursor_factory=NamedTupleCursor) as cursor,
        ):
            cursor.execute(sql, parameters or None)
            return cursor.fetchall() if cursor.description else []
