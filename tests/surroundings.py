"""The operators in this process, one after the other, each with what a task finds around it."""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.sdk import Asset

from demo.postgres import USER
from demo.simulator import SimulatorProcess
from tests.night import CUSTOMER_ID, TOKEN
from webflow_conversions import __version__
from webflow_conversions.operators.extract import ExtractConversionsOperator
from webflow_conversions.operators.identify import IdentifyConversionsOperator
from webflow_conversions.operators.plan import PlanConversionsOperator
from webflow_conversions.operators.push import WebflowPushConversionsOperator
from webflow_conversions.operators.reconcile import ReconcileConversionsOperator

CONFIGURATION = """
sources:
  - name: sales
    sql: sales.sql
    event_name: offline-purchase
    timestamps: {kind: aware}
known_users: {sql: people.sql}
"""
TWO_SOURCES = CONFIGURATION.replace(
    "known_users:",
    """  - name: deals
    sql: sales.sql
    event_name: deal-won
    timestamps: {kind: aware}
known_users:""",
)
SALES = (
    "SELECT conversion_id, occurred_at, identity_key FROM sales WHERE occurred_at >= :window_start AND occurred_at < :window_end"
)
PEOPLE = "SELECT identity_key, user_domain, user_id, identified_at FROM people WHERE identity_key IN :identity_keys"
TABLES = """
CREATE TABLE sales (conversion_id text, occurred_at timestamptz, identity_key text);
CREATE TABLE people (identity_key text, user_domain text, user_id text, identified_at timestamptz);
INSERT INTO sales VALUES ('c1', now() - interval '1 hour', 'k1');
INSERT INTO people VALUES ('k1', 'crm', 'u1', now() - interval '1 day')
"""
ASSET = Asset("webflow_offsite_conversions")


class Surroundings:
    """What a task finds around it: connections, a configuration, a run."""

    def __init__(
        self, folder: Path, port: int, database: Callable[[], Any], simulator: SimulatorProcess, environment: Any
    ) -> None:
        self.folder, self.simulator, self._database, self._environment = folder, simulator, database, environment
        self.port, self.database = port, database.args[0]  # type: ignore[attr-defined]
        self._server = server = {
            "conn_type": "postgres",
            "host": "127.0.0.1",
            "port": port,
            "login": USER,
            "schema": self.database,
        }
        self.connect("warehouse", **server)
        self.restore_ledger()
        self.restore_destination()
        environment.setenv("AIRFLOW_VAR_WEBFLOW_DEPLOYMENT", "0b5e3f9e-6b57-4f6e-9d1c-8f0c6ce9a001")
        told = {"package": __version__, "pools": ["default_pool"], "connections": {}}
        environment.setenv("AIRFLOW_VAR_WEBFLOW_SCHEDULER", json.dumps(told))
        environment.setenv("WEBFLOW_CONVERSIONS_CONFIG", str(folder / "conversions.yaml"))
        (folder / "sql").mkdir()
        (folder / "sql" / "sales.sql").write_text(SALES)
        (folder / "sql" / "people.sql").write_text(PEOPLE)
        self.configure(CONFIGURATION)
        self.sql(TABLES)
        self.xcoms: dict[str, Any] = {}
        self.run_id, self.run_type = "manual__1", "manual"
        self.map_index = -1
        self.asset_event = SimpleNamespace(extra=None)

    def restore_ledger(self) -> None:
        """The connection of the ledger as it should be."""
        self.connect("webflow_ledger", **self._server)

    def restore_destination(self) -> None:
        """The connection of the destination as it should be."""
        self.connect("webflow_default", conn_type="webflow", host=self.simulator.url, login=CUSTOMER_ID, password=TOKEN)

    def connection(self) -> Any:
        """A connection to the database of warehouse and ledger."""
        return self._database()

    def connect(self, name: str, **fields: Any) -> None:
        self._environment.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields))

    def disconnect(self, name: str) -> None:
        self._environment.delenv(f"AIRFLOW_CONN_{name.upper()}")

    def configure(self, text: str) -> None:
        (self.folder / "conversions.yaml").write_text(text)

    def configure_visits(self) -> None:
        """A visit of the user, five minutes before the sale, and the configuration that judges by it."""
        self.sql(
            "CREATE TABLE visits AS SELECT 'crm' AS user_domain, 'u1' AS user_id, at AS started_at, at AS last_active_at,"
            " at AS first_viewed_at FROM (SELECT now() - interval '65 minutes' AS at) visit"
        )
        (self.folder / "sql" / "visits.sql").write_text("SELECT * FROM visits WHERE user_id IN :user_ids")
        (self.folder / "sql" / "until.sql").write_text("SELECT now() - interval '1 minute' AS complete_until")
        self.configure(CONFIGURATION + "attribution: {visits: visits.sql, complete_until: until.sql}\n")

    def sql(self, statement: str) -> list[Any]:
        with closing(self._database()) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def plan(self, **parameters: Any) -> Any:
        return PlanConversionsOperator(task_id="plan", **parameters).execute(self.context())

    def extract(self) -> Any:
        return ExtractConversionsOperator(task_id="extract", source="sales", plan=self.xcoms["run"]).execute(self.context())

    def identify(self, *, try_number: int = 1) -> Any:
        return IdentifyConversionsOperator(task_id="identify", plan=self.xcoms["run"]).execute(
            self.context(try_number=try_number)
        )

    def push(self, work: Any) -> WebflowPushConversionsOperator:
        return WebflowPushConversionsOperator(task_id="push", plan=self.xcoms["run"], work=work)

    def reconcile(self) -> Any:
        task = ReconcileConversionsOperator(task_id="reconcile", plan=self.xcoms["run"], outlets=[ASSET])
        return task.execute(self.context())

    def written(self) -> int:
        """How many rows the ledger has of extractions and conversions."""
        ((is_there,),) = self.sql("SELECT to_regclass('webflow.runs') IS NOT NULL")
        tables = ("extractions", "extracted", "conversions") if is_there else ()
        return sum(self.sql(f"SELECT count(*) FROM webflow.{table}")[0][0] for table in tables)

    def context(self, *, try_number: int = 1) -> Any:
        """What Airflow hands to a task, of that which the tasks look at."""
        dag_run = SimpleNamespace(dag_id="nightly", run_id=self.run_id, run_type=self.run_type, run_after=datetime.now(UTC))
        ti = SimpleNamespace(
            try_number=try_number,
            max_tries=3,
            map_index=self.map_index,
            xcom_push=lambda *, key, value: self.xcoms.update({key: value}),
        )
        return {"dag_run": dag_run, "ti": ti, "dag": SimpleNamespace(tasks=[]), "outlet_events": {ASSET: self.asset_event}}
