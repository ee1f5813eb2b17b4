"""Nights on the services of docker-compose.yaml: Celery workers, Redis and PostgreSQL, one of which goes away in mid-push.

Every test puts new sales into the sample warehouse, slows the simulated Webflow down, and does its harm once both pushes
are at work.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import requests

from demo.airflow_api import AirflowApi
from tests.production.compose import Compose, missing, new_env

DAG = "webflow_offsite_conversions"

pytestmark = [
    pytest.mark.production,
    pytest.mark.skipif(missing() is not None and os.environ.get("CI") != "true", reason=missing() or ""),
]


class Deployment:
    """The running services, and what a person sees of them."""

    def __init__(self, compose: Compose) -> None:
        self.compose = compose
        self.airflow = AirflowApi()
        self.airflow.port = compose.ports["airflow-apiserver:8080"]
        self.airflow.log_in(compose.variables["AIRFLOW_ADMIN_USERNAME"], compose.variables["AIRFLOW_ADMIN_PASSWORD"])

    def query(self, database: str, statement: str, *parameters: Any) -> list[Any]:
        with closing(self.compose.postgres.connect(database)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def sell(self, name: str, rows: int) -> None:
        """So many sales of an hour ago, by a customer whom the site knows."""
        self.query(
            "warehouse",
            """
            INSERT INTO shop_sales (sale_number, shop_id, sold_at, loyalty_card, amount)
            SELECT %s || '-' || g, 'NYC', now() AT TIME ZONE 'America/New_York' - interval '1 hour' + g * interval '1 millisecond',
                (SELECT min(identity_key) FROM site_users WHERE user_domain = 'shop'), 10
            FROM generate_series(1, %s) g
            """,
            name,
            rows,
        )

    def slow_down(self, milliseconds: int) -> None:
        """Let the simulated Webflow take so long for an answer."""
        rules = [{"action": "delay", "milliseconds": milliseconds}] if milliseconds else []
        requests.put(f"{self.compose.simulator_url}/simulator/faults", json={"rules": rules}, timeout=30).raise_for_status()

    def received(self, name: str) -> Counter[str]:
        """How many times Webflow received each of these sales."""
        text = requests.get(f"{self.compose.simulator_url}/simulator/action_ids", timeout=30).text
        pairs = (line.rsplit("\t", 1) for line in text.splitlines())
        return Counter({action_id: int(times) for action_id, times in pairs if f"/{name}-" in action_id})

    def states(self, name: str) -> dict[str, int]:
        """How many of these sales are in each state."""
        found = self.query(
            "webflow", "SELECT state, count(*) FROM webflow.conversions WHERE conversion_id LIKE %s GROUP BY state", f"{name}-%"
        )
        return dict(found)

    def in_doubt(self, name: str) -> set[str]:
        """Which of these sales are marked as maybe sent more than once."""
        statement = "SELECT action_id FROM webflow.conversions WHERE attempts_in_doubt > 0 AND conversion_id LIKE %s"
        return {action_id for (action_id,) in self.query("webflow", statement, f"{name}-%")}

    def pushing(self) -> list[str]:
        """The containers in which a push of the latest run is at work."""
        statement = """
            SELECT host FROM webflow.pushes
            WHERE run = (SELECT max(id) FROM webflow.runs) AND ended_at IS NULL AND (counts ->> 'accepted')::integer > 0
            ORDER BY id
        """
        return [host for (host,) in self.query("webflow", statement)]

    def wait_for(self, happens: Callable[[], Any], what: str, timeout_seconds: float = 600) -> Any:
        deadline = time.monotonic() + timeout_seconds
        while not (found := happens()):
            assert time.monotonic() < deadline, f"not in {timeout_seconds:g} s: {what}"
            time.sleep(0.3)
        return found

    def push_in_two(self, name: str, rows: int) -> str:
        """Start a run with so many sales to send, and wait until two workers push them; the run's ID."""
        self.sell(name, rows)
        self.slow_down(1_000)
        run = self.airflow.trigger(DAG)
        self.wait_for(lambda: self._is_over(run) or len(set(self.pushing())) == 2, "two workers push")
        assert not self._is_over(run), self._failures(run)
        return run

    def _is_over(self, run: str) -> bool:
        return self.airflow.get(f"/dags/{DAG}/dagRuns/{run}")["state"] in ("success", "failed")

    def end(self, run: str, name: str, rows: int) -> None:
        """Let the run end, and hold it to what every run has to keep."""
        assert self.airflow.wait_for_run(DAG, run, 1_200) == "success", self._failures(run)
        assert self.states(name) == {"accepted": rows}
        received = self.received(name)
        assert len(received) == rows
        assert {action_id for action_id, times in received.items() if times > 1} <= self.in_doubt(name)

    def _failures(self, run: str) -> str:
        tasks = self.airflow.task_instances(DAG, run)
        return json.dumps(
            [(task["task_id"], task["map_index"], task["state"], task["try_number"], task["hostname"]) for task in tasks]
        )


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    # One task at a time in each worker, so that two pushes need two workers.
    variables = new_env() | {"AIRFLOW_WORKERS": "2", "AIRFLOW_WORKER_CONCURRENCY": "1"}
    with Compose(tmp_path_factory.mktemp("compose"), variables, profiles=["demo"]) as compose:
        compose.wait_until_done("demo-init")
        for service in ("airflow-scheduler", "airflow-dag-processor", "airflow-triggerer", "airflow-worker"):
            compose.wait_until_healthy(service)
        yield Deployment(compose)


@pytest.fixture(autouse=True)
def full_speed(deployment: Deployment) -> Iterator[None]:
    yield
    deployment.slow_down(0)


def test_the_first_start_with_the_demo_profile_sends_a_night(deployment: Deployment) -> None:
    (run,) = deployment.wait_for(lambda: deployment.airflow.runs(DAG), "the first run")
    assert deployment.airflow.wait_for_run(DAG, run["dag_run_id"], 600) == "success"
    ((accepted,),) = deployment.query("webflow", "SELECT count(*) FROM webflow.conversions WHERE state = 'accepted'")
    summary = requests.get(f"{deployment.compose.simulator_url}/simulator/action_ids", timeout=30).text
    assert accepted > 1_000
    assert len(summary.splitlines()) == accepted
    pushes = [task for task in deployment.airflow.task_instances(DAG, run["dag_run_id"]) if task["task_id"] == "push"]
    assert {task["pool"] for task in pushes} == {"webflow"}
    # Its window ended last night; this one takes what was sold since, so that the nights to come have their own sales alone.
    assert deployment.airflow.wait_for_run(DAG, deployment.airflow.trigger(DAG), 600) == "success"


def test_the_roles_of_the_services_are_the_ones_that_the_ledger_sees(deployment: Deployment) -> None:
    owners = deployment.query("webflow", "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'webflow'")
    assert owners == [("webflow_owner",)]
    ((may_drop,),) = deployment.query(
        "webflow",
        "SELECT pg_has_role('webflow_worker', 'webflow_owner', 'member') OR (SELECT rolsuper FROM pg_roles WHERE rolname = 'webflow_worker')",
    )
    assert not may_drop


def test_the_page_reads_the_ledger_with_its_own_role(deployment: Deployment) -> None:
    """The API server has no other password of the ledger than the page's."""
    page = f"{deployment.compose.url}/webflow/"
    assert requests.get(page, timeout=30).status_code == 401
    token = deployment.airflow.token(
        *(deployment.compose.variables[f"AIRFLOW_ADMIN_{part}"] for part in ("USERNAME", "PASSWORD"))
    )
    answer = requests.get(page, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert answer.status_code == 200, answer.text[:500]


def test_a_worker_that_is_killed_in_mid_push_loses_nothing(deployment: Deployment) -> None:
    run = deployment.push_in_two("killed", 1_500)
    victim = deployment.compose.containers[deployment.pushing()[0]]
    victim.kill()
    try:
        deployment.end(run, "killed", 1_500)
        tries = deployment.query(
            "webflow", "SELECT try_number FROM webflow.pushes WHERE run = (SELECT max(id) FROM webflow.runs)"
        )
        assert sorted(tries) == [(1,), (1,), (2,)]
        assert deployment.in_doubt("killed")
    finally:
        victim.start()
        deployment.compose.wait_until_healthy("airflow-worker")


def test_a_worker_that_is_stopped_in_mid_push_leaves_nothing_in_doubt(deployment: Deployment) -> None:
    run = deployment.push_in_two("stopped", 1_500)
    victim = deployment.compose.containers[deployment.pushing()[0]]
    victim.stop()
    try:
        deployment.end(run, "stopped", 1_500)
        assert set(deployment.received("stopped").values()) == {1}
        assert deployment.in_doubt("stopped") == set()
        tries = deployment.query(
            "webflow", "SELECT try_number FROM webflow.pushes WHERE run = (SELECT max(id) FROM webflow.runs)"
        )
        assert sorted(tries) == [(1,), (1,), (2,)]
    finally:
        victim.start()
        deployment.compose.wait_until_healthy("airflow-worker")


def test_a_broker_that_restarts_in_mid_push_loses_nothing(deployment: Deployment) -> None:
    run = deployment.push_in_two("broker", 1_000)
    (broker,) = deployment.compose.of("redis")
    broker.kill()
    time.sleep(5)
    broker.start()
    deployment.end(run, "broker", 1_000)


def test_a_database_that_restarts_in_mid_push_loses_nothing(deployment: Deployment) -> None:
    """It holds Airflow's metadata, the ledger and the sample warehouse."""
    run = deployment.push_in_two("database", 1_000)
    deployment.compose.postgres.stop("immediate")
    time.sleep(5)
    deployment.compose.postgres.start()
    deployment.end(run, "database", 1_000)


def test_a_scheduler_that_is_away_for_a_while_loses_nothing(deployment: Deployment) -> None:
    run = deployment.push_in_two("scheduler", 1_000)
    (scheduler,) = deployment.compose.of("airflow-scheduler")
    scheduler.stop()
    try:
        deployment.wait_for(lambda: deployment.states("scheduler") == {"accepted": 1_000}, "the pushes go on without a scheduler")
    finally:
        scheduler.start()
    deployment.end(run, "scheduler", 1_000)


def test_a_pool_that_is_missing_is_one_sentence_of_plan(deployment: Deployment) -> None:
    deployment.airflow.call("DELETE", "/pools/webflow")
    try:
        run = deployment.airflow.trigger(DAG)
        assert deployment.airflow.wait_for_run(DAG, run, 600) == "failed"
        assert "There is no pool webflow, and a task in it would wait for ever: create it" in deployment.airflow.log(
            DAG, run, "plan"
        )
    finally:
        deployment.airflow.post("/pools", {"name": "webflow", "slots": 4})


def test_a_ledger_of_another_airflow_is_one_sentence_of_plan(deployment: Deployment) -> None:
    mine = deployment.airflow.get("/variables/webflow_deployment")["value"]
    deployment.airflow.call("PATCH", "/variables/webflow_deployment", json={"key": "webflow_deployment", "value": "another"})
    try:
        run = deployment.airflow.trigger(DAG)
        assert deployment.airflow.wait_for_run(DAG, run, 600) == "failed"
        log = deployment.airflow.log(DAG, run, "plan")
        assert "The ledger belongs to another Airflow deployment" in log
        assert f"set its Airflow Variable webflow_deployment to {mine}." in log
    finally:
        deployment.airflow.call("PATCH", "/variables/webflow_deployment", json={"key": "webflow_deployment", "value": mine})
