"""One real Airflow for the end-to-end tests of a process, on a stage of its own, which ends with the last of them.

A test asks for ``anew`` and finds the Dag unpaused and idle, the warehouse filled up to now, and an empty ledger, a
simulator without events, the sample configuration and working connections, whatever the test before has done to them.
"""

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demo import sample_configuration
from demo.airflow_api import FINAL_STATES
from demo.airflow_stack import REPOSITORY
from demo.sample_configuration import SAMPLE
from demo.stage import DAG_ID, Stage

LONGEST_TEST = timedelta(minutes=1)
EXAMPLES = REPOSITORY / "docs" / "examples"
LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"
BUNDLES = [
    {"name": "dags-folder", "classpath": LOCAL, "kwargs": {}},
    {"name": "examples", "classpath": LOCAL, "kwargs": {"path": str(EXAMPLES)}},
]
"""Where Airflow finds Dags: the project's, and the examples of ``docs/own-dag.md``."""


@pytest.fixture(scope="package")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration that the stage's Airflow reads, the sample's SQL beside it; a test may change it."""
    return sample_configuration.write(tmp_path_factory.mktemp("include"), SAMPLE)


class StatsdHandler(socketserver.BaseRequestHandler):
    """Enough of StatsD to keep the first value of each gauge."""

    def handle(self) -> None:
        for line in self.request[0].decode().splitlines():
            name, _, value = line.partition(":")
            if value.endswith("|g"):
                self.server.gauges.setdefault(name, float(value.removesuffix("|g")))  # type: ignore[attr-defined]


class StatsdServer(socketserver.ThreadingUDPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), StatsdHandler)
        self.gauges: dict[str, float] = {}


@pytest.fixture(scope="package")
def statsd() -> Iterator[StatsdServer]:
    """Where Airflow's metrics go."""
    with StatsdServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory, configuration: Path, statsd: StatsdServer) -> Iterator[Stage]:
    """The stage, its Dag still paused."""
    environment = {
        "WEBFLOW_CONVERSIONS_CONFIG": str(configuration),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(BUNDLES),
        "AIRFLOW__API__EXPOSE_CONFIG": "True",
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
        "AIRFLOW__METRICS__STATSD_PORT": str(statsd.server_address[1]),
    }
    with Stage(tmp_path_factory.mktemp("stage"), environment=environment) as stage:
        yield stage


@dataclass(frozen=True, kw_only=True)
class Night:
    """A run and what it left behind: why tasks failed, the record of the run, the rows of the ledger, the simulator's events.

    ``warehouse`` is what should go out of the warehouse as it was then, whatever the window: see :func:`due`.
    """

    run: dict[str, Any]
    tasks: list[dict[str, Any]]
    failures: dict[str, str]
    record: Any
    conversions: list[Any]
    events: list[dict[str, Any]]
    warehouse: set[tuple[Any, ...]]

    def due(self, start: datetime, end: datetime) -> set[tuple[Any, ...]]:
        """What of the warehouse should go out for ``[start, end)``."""
        return {row for row in self.warehouse if start.timestamp() * 1000 <= row[5] < end.timestamp() * 1000}


@pytest.fixture(scope="package")
def first_night(stage: Stage) -> Night:
    """The run that the scheduler starts by itself when the Dag is unpaused for the first time."""
    stage.load_warehouse(datetime.now(UTC))
    stage.airflow.unpause(DAG_ID)
    run_id = stage.airflow.wait_for_first_run(DAG_ID)
    stage.airflow.wait_for_run(DAG_ID, run_id)
    return night(stage, run_id)


@pytest.fixture
def anew(stage: Stage, configuration: Path, first_night: Night) -> Stage:
    """The stage as if nothing had happened, but for the runs that Airflow remembers."""
    begin_anew(stage, configuration)
    return stage


def begin_anew(stage: Stage, configuration: Path) -> None:
    """See :func:`anew`."""
    while moment(stage.airflow.get(f"/dags/{DAG_ID}")["next_dagrun_run_after"]) < datetime.now(UTC) + LONGEST_TEST:
        time.sleep(1)  # the scheduler's run would come into the midst of the test; once it is there it is ended below
    for run in stage.airflow.runs(DAG_ID):
        if run["state"] not in FINAL_STATES:
            stage.airflow.call("PATCH", f"/dags/{DAG_ID}/dagRuns/{run['dag_run_id']}", json={"state": "failed"})
    configuration.write_text(SAMPLE)
    for name in stage.connections():
        stage.set_connection(name)
    stage.ledger("DROP SCHEMA IF EXISTS webflow CASCADE")
    stage.simulator.clear()
    stage.simulator.faults([])
    stage.load_warehouse(datetime.now(UTC))


def night(stage: Stage, run_id: str, *, dag_id: str = DAG_ID) -> Night:
    """What there is to know of a run that has ended."""
    (ledger,) = stage.ledger("SELECT to_regclass('webflow.conversions') IS NOT NULL AS is_there")
    records = stage.ledger("SELECT * FROM webflow.runs WHERE run_id = %s", run_id) if ledger.is_there else []
    return Night(
        run=stage.airflow.get(f"/dags/{dag_id}/dagRuns/{run_id}"),
        tasks=stage.airflow.task_instances(dag_id, run_id),
        failures=stage.airflow.failures(dag_id, run_id),
        record=records[0] if records else None,
        conversions=stage.ledger("SELECT * FROM webflow.conversions ORDER BY id") if ledger.is_there else [],
        events=stage.simulator.events(),
        warehouse=due(stage, ALWAYS, NEVER),
    )


def run_by_hand(stage: Stage, *, logical_date: datetime | None = None, **conf: Any) -> Night:
    """Trigger the Dag as a person does in the form, and wait for the end."""
    run_id = stage.airflow.trigger(DAG_ID, conf=conf, logical_date=logical_date)
    stage.airflow.wait_for_run(DAG_ID, run_id)
    return night(stage, run_id)


_DUE = """
WITH source_rows AS (
    SELECT DISTINCT 'offline_sales' AS source, 'offline-purchase' AS event_name, sale_number AS conversion_id,
        sold_at AT TIME ZONE timezone AS at, loyalty_card AS identity_key, round(amount, 2) AS value
    FROM shop_sales JOIN (SELECT * FROM shops WHERE timezone IN (SELECT name FROM pg_timezone_names) OFFSET 0) shop USING (shop_id)
    WHERE sale_number IS NOT NULL AND coalesce(amount, 0) >= 0
    UNION ALL
    SELECT 'crm_conversions', CASE stage WHEN 'won' THEN 'deal-won' ELSE 'lead-qualified' END, deal_id::text,
        closed_at, contact_id, amount::numeric(15, 2)
    FROM (SELECT * FROM crm_deals WHERE stage IN ('won', 'qualified') AND amount IS DISTINCT FROM 'n/a' OFFSET 0) deal
)
SELECT source, event_name, conversion_id, user_domain, user_id, floor(extract(epoch FROM at) * 1000)::bigint AS action_timestamp_ms, value
FROM source_rows
CROSS JOIN LATERAL (
    SELECT user_domain, user_id FROM site_users person
    WHERE person.identity_key = source_rows.identity_key
    ORDER BY identified_at <= at DESC, identified_at DESC, user_id LIMIT 1
) chosen
WHERE at >= %s AND at < %s AND user_id NOT LIKE '%%@%%'
"""


def due(stage: Stage, start: datetime, end: datetime) -> set[tuple[Any, ...]]:
    """What of the warehouse should go out for ``[start, end)``: in PostgreSQL's words, which share nothing with the product's."""
    return {tuple(row) for row in stage.warehouse(_DUE, start, end)}


def accepted(of: Night) -> set[tuple[Any, ...]]:
    """The same of the conversions that the ledger has as accepted."""
    names = ("source", "event_name", "conversion_id", "user_domain", "user_id", "action_timestamp_ms", "value")
    return {tuple(getattr(row, name) for name in names) for row in of.conversions if row.state == "accepted"}


def moment(text: str) -> datetime:
    """A moment as Airflow's API tells it."""
    return datetime.fromisoformat(text)


TWO_DAYS = timedelta(days=2)
ALWAYS, NEVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
