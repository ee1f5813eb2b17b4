"""What Airflow costs a run besides its work: seconds of a core of each task's imports. What people wait for is in ``starts``.

Each is measured in a process of its own. What every task of any Dag has imported before it begins is imported first, and not
counted; pandas alone is measured beside it.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

from demo.airflow_stack import REPOSITORY

TASKS: Mapping[str, Sequence[str]] = {
    "plan": (
        "operators.plan", "project", "ledger.migrations", "ledger.runs", "ledger.deployment", "pipeline.warehouse",
        "warehouse.reader",
    ),
    "extract": (
        "operators.extract", "project", "ledger.extraction", "pipeline.extraction", "pipeline.reconciliation", "warehouse.reader",
    ),
    "identify": (
        "operators.identify", "project", "ledger.identification", "ledger.runs", "pipeline.identification",
        "pipeline.reconciliation", "warehouse.reader",
    ),
    "push": ("operators.push", "project", "ledger.push", "ledger.runs", "pipeline.metrics"),
    "reconcile": (
        "operators.reconcile", "project", "ledger.expiry", "ledger.retention", "ledger.runs", "pipeline.judgement",
        "pipeline.metrics", "pipeline.preview",
    ),
    "notice": ("operators.notices", "hooks.connections", "configuration", "ledger.notices", "pipeline.notices"),
}  # fmt: skip
"""The modules of the package through which each task imports the rest, see ``tests/integration/test_imports_of_tasks.py``."""

_PROCESS = """
import json, sys, time
import airflow.sdk.execution_time.task_runner, airflow.sdk.definitions.deadline, airflow.timetables.trigger
from importlib import import_module
before = time.process_time()
for name in sys.argv[1:]:
    import_module(name)
seconds = time.process_time() - before
print(json.dumps({"seconds": seconds, "imported": sorted(sys.modules)}))
"""


def of_modules(*modules: str) -> tuple[float, set[str]]:
    """Seconds of a core to import modules, and all that is imported then."""
    paths = os.pathsep.join((str(REPOSITORY / "plugins"), str(REPOSITORY)))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _PROCESS, *modules],
        env={**os.environ, "PYTHONPATH": paths},
        check=True,
        capture_output=True,
        text=True,
    )
    document = json.loads(done.stdout.splitlines()[-1])
    return document["seconds"], set(document["imported"])


def of_task(task: str) -> tuple[float, set[str]]:
    """:func:`of_modules` of a task."""
    return of_modules(*(f"webflow_conversions.{module}" for module in TASKS[task]))


def lines(repeat: int) -> Iterator[str]:
    """The table of ``docs/performance.md``: the median of each, all measured in turn."""
    measures = {
        **{f"task {task}": (lambda task=task: of_task(task)) for task in TASKS},
        "pandas, for comparison": lambda: of_modules("pandas"),
    }
    found = [{name: measure() for name, measure in measures.items()} for _ in range(repeat)]
    yield "| What | s of a core | with pandas |"
    yield "| --- | --- | --- |"
    for name in measures:
        seconds = statistics.median(turn[name][0] for turn in found)
        yield f"| {name} | {seconds:.2f} | {'yes' if 'pandas' in found[0][name][1] else 'no'} |"
