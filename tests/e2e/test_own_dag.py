"""The examples of ``docs/own-dag.md`` in a real Airflow: started by an asset, and by the command that the page gives."""

import json
import re
import shlex
from datetime import UTC, datetime, timedelta

import pytest

from demo.airflow_stack import REPOSITORY
from demo.stage import CUSTOMER_ID, Stage
from tests.e2e.conftest import EXAMPLES, night
from tests.e2e.test_nights import assert_sent_what_was_due

pytestmark = pytest.mark.airflow

PAGE = (REPOSITORY / "docs" / "own-dag.md").read_text(encoding="utf-8")


def test_the_whole_chain_runs_after_an_asset_and_sends_what_is_due(anew: Stage) -> None:
    dag_id = "webflow_after_orders"
    anew.airflow.wait_until_parsed(dag_id)
    anew.airflow.unpause(dag_id)
    (asset,) = anew.airflow.get("/assets", name_pattern="orders")["assets"]
    anew.airflow.post("/assets/events", {"asset_id": asset["id"], "extra": {}})
    run_id = anew.airflow.wait_for_first_run(dag_id)
    anew.airflow.wait_for_run(dag_id, run_id)
    done = night(anew, run_id, dag_id=dag_id)
    assert (done.run["run_type"], done.run["state"], done.failures) == ("asset_triggered", "success", {})
    assert done.record.dag_id == dag_id
    assert_sent_what_was_due(done)


def test_one_conversion_is_sent_by_the_page_s_command(anew: Stage) -> None:
    dag_id = "webflow_one_conversion"
    anew.airflow.wait_until_parsed(dag_id)
    anew.airflow.unpause(dag_id)
    (command,) = re.findall(rf"^airflow (dags trigger {dag_id} --conf .*)$", PAGE, re.MULTILINE)
    *words, conf = shlex.split(command)
    signed_at = datetime.now(UTC) - timedelta(hours=1)
    anew.airflow.cli(*words, json.dumps({**json.loads(conf), "signed_at": signed_at.isoformat()}))
    run_id = anew.airflow.wait_for_first_run(dag_id)
    assert anew.airflow.wait_for_run(dag_id, run_id) == "success", anew.airflow.failures(dag_id, run_id)
    (event,) = anew.simulator.events()
    assert json.loads(event["body"]) == {
        "customerId": CUSTOMER_ID,
        "eventName": "contract-signed",
        "userDomain": "salesforce",
        "userId": "72349876",
        "actionId": "contract-7",
        "actionTimestamp": int(signed_at.timestamp() * 1000),
        "value": 149.99,
    }


def test_the_page_names_every_example() -> None:
    assert set(re.findall(r"\(examples/(\w+\.py)\)", PAGE)) == {example.name for example in EXAMPLES.glob("*.py")}
