"""What a task imports until its end, in a process of its own: pandas where rows of a source are looked at, and nowhere else."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from benchmarks import imports
from demo.airflow_stack import REPOSITORY
from tests.surroundings import CONFIGURATION, Surroundings

PROCESS = """
import json, sys
from datetime import UTC, datetime
from types import SimpleNamespace

given = json.loads(sys.argv[1])
context = {
    "dag_run": SimpleNamespace(dag_id="nightly", run_id=given["run_id"], run_type="manual", run_after=datetime.now(UTC)),
    "ti": SimpleNamespace(get_task_states=lambda *_, **__: {}, try_number=1, max_tries=3, map_index=-1, xcom_push=lambda **_: None),
    "dag": SimpleNamespace(dag_id="nightly", tasks=[]),
    "run_id": given["run_id"],
    "outlet_events": {},
}


def variables(of):
    told = {"nightly.problems_told": {"since": given["run_id"], "causes": {"not_sent sales": "sales"}}}
    of.Variable = SimpleNamespace(get=lambda name, default=None, **_: told.get(name, default), set=lambda *_, **__: None)


exec(given["work"])
print(json.dumps({"result": result, "imported": sorted(sys.modules)}, default=str))
"""

PUSH = """
from webflow_conversions.operators.push import WebflowPushConversionsOperator
result = WebflowPushConversionsOperator(task_id="push", plan=given["plan"], work=given["work_of_push"]).execute(context)
"""
RECONCILE = """
from webflow_conversions.operators.reconcile import ReconcileConversionsOperator
result = ReconcileConversionsOperator(task_id="reconcile", plan=given["plan"]).execute(context)
"""
FAILURE = """
from webflow_conversions.operators import notices
variables(notices)
logged = []
notices.log = SimpleNamespace(warning=lambda *words: logged.append(words))
notices.notify_of_failure(context)
((words, result),) = logged
"""
RECOVERY = FAILURE.replace("notify_of_failure", "notify_of_recovery")
DEADLINE = """
import asyncio
from webflow_conversions.operators import notices
variables(notices)
moment = datetime.now(UTC).replace(microsecond=0)
notices.now = lambda: datetime.combine(moment.date(), datetime.max.time(), UTC)
run = {"run_type": "scheduled", "dag_id": "nightly", "run_id": given["run_id"]}
deadline = {"deadline_time": datetime.combine(moment.date(), datetime.min.time(), UTC).replace(hour=23, minute=40)}
result = asyncio.run(notices.warn_at_deadline({"dag_run": run, "deadline": deadline}, "00:00"))
"""
EXTRACT = """
from webflow_conversions.operators.extract import ExtractConversionsOperator
result = ExtractConversionsOperator(task_id="extract", source="sales", plan=given["plan"]).execute(context)
"""


def done(around: Surroundings, work: str, **given: Any) -> tuple[Any, set[str]]:
    """The result of some work in a new process, and the modules that it has imported by then."""
    asked = {"work": work, "run_id": around.run_id, "plan": around.xcoms.get("run"), **given}
    paths = os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "plugins")))
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROCESS, json.dumps(asked)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        check=False,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout.splitlines()[-1])
    return document["result"], set(document["imported"])


def is_without_pandas(imported: set[str]) -> bool:
    assert "webflow_conversions" in imported
    return not imported & {"pandas", "numpy"}


def of_the_package(imported: set[str]) -> set[str]:
    return {name for name in imported if name.startswith("webflow_conversions")}


def test_an_extraction_imports_pandas(around: Surroundings) -> None:
    """Else the others would show nothing."""
    around.plan()
    result, imported = done(around, EXTRACT)
    assert result["read"]["rows"] == 1
    assert not is_without_pandas(imported)
    assert of_the_package(imported) == of_the_package(imports.of_task("extract")[1])


def test_a_push_that_sends_and_a_reconcile_that_proves_import_no_pandas(around: Surroundings) -> None:
    around.plan()
    around.extract()
    work, _ = around.identify()
    pushed, imported_by_push = done(around, PUSH, work_of_push=work)
    document, imported_by_reconcile = done(around, RECONCILE)

    assert pushed["accepted"] == 1
    assert is_without_pandas(imported_by_push)
    assert of_the_package(imported_by_push) == of_the_package(imports.of_task("push")[1])
    assert document["sources"]["sales"]["sent"]["rows"] == 1
    assert is_without_pandas(imported_by_reconcile)
    assert of_the_package(imported_by_reconcile) == of_the_package(imports.of_task("reconcile")[1])


def test_the_push_and_the_reconcile_of_a_rehearsal_import_no_pandas(around: Surroundings) -> None:
    around.configure(CONFIGURATION + "delivery: {mode: rehearse}\n")
    around.plan()
    around.extract()
    work, _ = around.identify()
    pushed, imported_by_push = done(around, PUSH, work_of_push=work)
    document, imported_by_reconcile = done(around, RECONCILE)

    assert pushed["would_send"]["rows"] == 1
    assert is_without_pandas(imported_by_push)
    assert len(document["sources"]["sales"]["first_to_send"]) == 1
    assert is_without_pandas(imported_by_reconcile)


def test_the_end_of_a_dry_run_imports_no_pandas(around: Surroundings) -> None:
    around.plan(is_dry_run=True)
    around.extract()
    document, imported = done(around, RECONCILE)
    assert document["sources"]["sales"]
    assert is_without_pandas(imported)


@pytest.mark.parametrize(
    ("work", "told"), [(FAILURE, "left no sentence"), (RECOVERY, "go out again")], ids=["failure", "recovery"]
)
def test_a_notice_imports_no_pandas(around: Surroundings, work: str, told: str) -> None:
    around.run_id = f"scheduled__{datetime.now(UTC).isoformat()}"
    around.plan()
    logged, imported = done(around, work)
    assert told in logged
    assert is_without_pandas(imported)


def test_the_notice_at_the_deadline_imports_no_pandas(around: Surroundings) -> None:
    around.plan()
    around.extract()
    around.identify()
    subject, imported = done(around, DEADLINE)
    assert not subject.startswith("silent")
    assert is_without_pandas(imported)
