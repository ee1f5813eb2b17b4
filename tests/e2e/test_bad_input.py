"""What cannot work, through the real scheduler: one sentence in the failed task's log, nothing sent, nothing lost.

Every case is in ``tests/integration/test_operators_bad_input.py``; these are one of each kind.
"""

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from demo.postgres import free_port
from demo.stage import DAG_ID, Stage
from tests.e2e.conftest import Night, night, run_by_hand
from tests.e2e.test_nights import assert_sent_what_was_due

pytestmark = pytest.mark.airflow


def test_a_wrong_configuration_fails_plan_at_once(anew: Stage, configuration: Path) -> None:
    configuration.write_text(configuration.read_text() + "delievery: {workers: 2}\n")

    assert_plan_refused(
        anew,
        run_by_hand(anew),
        f"The configuration {configuration} is wrong at delievery: this key is not known: write delivery.",
    )


def test_a_date_that_is_too_old_fails_plan_at_once(anew: Stage) -> None:
    date = (datetime.now(UTC) - timedelta(days=4)).date()

    refused = run_by_hand(anew, date=date.isoformat())

    (sentence,) = refused.failures.values()
    assert_plan_refused(anew, refused, sentence)
    assert sentence.startswith(f"The window [{date} 00:00:00 UTC, ")
    assert sentence.endswith("Webflow ignores what is older: choose a later date.")


@pytest.mark.parametrize("date", ["tomorrow", "2026-02-30", 20261123])
def test_a_date_that_is_none_starts_no_run(anew: Stage, date: object) -> None:
    before = len(anew.airflow.runs(DAG_ID))
    with pytest.raises(RuntimeError, match=r"\b400\b.*date"):
        anew.airflow.trigger(DAG_ID, conf={"date": date})
    assert len(anew.airflow.runs(DAG_ID)) == before


def test_a_connection_that_is_missing_fails_plan_at_once(anew: Stage, configuration: Path) -> None:
    configuration.write_text(configuration.read_text().replace("known_users: {", "known_users: {warehouse_conn_id: crm, "))

    assert_plan_refused(
        anew,
        run_by_hand(anew),
        "There is no connection crm: create it under Admin > Connections, or as AIRFLOW_CONN_CRM.",
    )


def test_a_ledger_that_is_down_is_tried_again_and_the_run_goes_on(anew: Stage) -> None:
    anew.set_connection("webflow_ledger", port=free_port())
    run_id = anew.airflow.trigger(DAG_ID)
    wait_for_task(anew, run_id, "plan", "up_for_retry")

    log = anew.airflow.log(DAG_ID, run_id, "plan")
    assert "Unavailable" in log
    assert "The ledger's database does not answer: " in log
    assert anew.simulator.events() == []

    anew.set_connection("webflow_ledger")
    let_the_retry_delay_pass(anew, run_id)
    anew.airflow.wait_for_run(DAG_ID, run_id)
    after = night(anew, run_id)
    assert (after.run["state"], after.failures) == ("success", {})
    assert_sent_what_was_due(after)


def test_a_token_that_is_refused_in_the_middle_stops_the_run_and_consumes_no_row(anew: Stage) -> None:
    anew.simulator.faults([{"action": "status", "status": 401}])

    stopped = run_by_hand(anew)

    assert stopped.run["state"] == "failed"
    assert {name.partition(" ")[0] for name in stopped.failures} == {"push", "reconcile"}
    assert all("401" in why for name, why in stopped.failures.items() if name.startswith("push"))
    assert stopped.failures["reconcile"].startswith("The run is not complete: ")
    assert "ready, not sent" in stopped.failures["reconcile"]
    assert stopped.events == []
    states = {row.state for row in stopped.conversions}
    assert "ready" in states
    assert states & {"sending", "accepted"} == set()
    assert not any(row.state == "rejected" and row.reason.startswith("refused") for row in stopped.conversions)

    # The connection is put right, and the failed tasks are cleared, as the Dag's page says.
    anew.simulator.faults([])
    run_id = stopped.run["dag_run_id"]
    anew.airflow.post(f"/dags/{DAG_ID}/dagRuns/{run_id}/clear", {"dry_run": False, "only_failed": True})
    anew.airflow.wait_for_run(DAG_ID, run_id)
    after = night(anew, run_id)
    assert (after.run["state"], after.failures) == ("success", {})
    assert_sent_what_was_due(after)


def assert_plan_refused(stage: Stage, refused: Night, sentence: str) -> None:
    """Plan failed at its first try with this sentence, nothing else ran, and nothing was written or sent."""
    assert refused.run["state"] == "failed"
    assert refused.failures == {"plan": sentence}
    assert [task["try_number"] for task in refused.tasks if task["task_id"] == "plan"] == [1]
    assert {task["state"] for task in refused.tasks if task["task_id"] != "plan"} == {"upstream_failed"}
    assert sentence in stage.airflow.log(DAG_ID, refused.run["dag_run_id"], "plan")
    assert (refused.conversions, refused.events) == ([], [])


def let_the_retry_delay_pass(stage: Stage, run_id: str) -> None:
    """As if the tries that failed had ended some minutes ago: the scheduler need not wait any longer, and does the rest."""
    with closing(stage.postgres.connect("airflow")) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE task_instance SET end_date = end_date - interval '5 minutes' WHERE run_id = %s AND state = 'up_for_retry'",
            (run_id,),
        )
        assert cursor.rowcount == 1


def wait_for_task(stage: Stage, run_id: str, task_id: str, state: str, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while state not in [task["state"] for task in stage.airflow.task_instances(DAG_ID, run_id) if task["task_id"] == task_id]:
        assert time.monotonic() < deadline, f"{task_id} has not been {state} within {seconds:g} s"
        time.sleep(0.2)
