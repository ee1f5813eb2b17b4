"""What Airflow costs a run besides its work: seconds of a core of imports, of each task, of the Dag's file and of the command.

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
given = json.loads(sys.argv[1])
before = time.process_time()
for name in given["modules"]:
    import_module(name)
if given["file"]:
    exec(compile(open(given["file"]).read(), given["file"], "exec"), {"__name__": "dag_file", "__file__": given["file"]})
seconds = time.process_time() - before
print(json.dumps({"seconds": seconds, "imported": sorted(sys.modules)}))
"""
_DAG = REPOSITORY / "dags" / "webflow_offsite_conversions.py"


def of_modules(*modules: str, file: str = "") -> tuple[float, set[str]]:
    """Seconds of a core to import modules, or to run a Dag's file, and all that is imported then."""
    paths = os.pathsep.join((str(REPOSITORY / "plugins"), str(REPOSITORY)))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _PROCESS, json.dumps({"modules": modules, "file": file})],
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


def _of_command(*arguments: str) -> tuple[float, set[str]]:
    """Seconds of a core of the whole command, Python's own included."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "plugins")}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "webflow_conversions", *arguments], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the command ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, set()


def lines(repeat: int) -> Iterator[str]:
    """The table of ``docs/performance.md``: the median of each, all measured in turn."""
    measures = {
        **{f"task {task}": (lambda task=task: of_task(task)) for task in TASKS},
        "the Dag's file": lambda: of_modules(file=str(_DAG)),
        "`webflow-conversions --help`, the whole process": lambda: _of_command("--help"),
        "pandas, for comparison": lambda: of_modules("pandas"),
    }
    found = [{name: measure() for name, measure in measures.items()} for _ in range(repeat)]
    yield "| What | s of a core | with pandas |"
    yield "| --- | --- | --- |"
    for name in measures:
        seconds = statistics.median(turn[name][0] for turn in found)
        yield f"| {name} | {seconds:.2f} | {'yes' if 'pandas' in found[0][name][1] else 'no'} |"
