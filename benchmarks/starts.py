"""How long people and Airflow wait for a start: the command's help, its check of the sample configuration, the Dag file."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

from benchmarks.stage import Stage
from demo import sample_configuration, warehouse
from demo.airflow_stack import REPOSITORY
from demo.postgres import USER
from tests.night import CUSTOMER_ID, TOKEN

DAG_FILE = REPOSITORY / "dags" / "webflow_offsite_conversions.py"

_PARSE = """
import json, runpy, sys, time
for line in open(sys.argv[1], encoding="utf-8"):
    if line.startswith("from airflow"):
        exec(line)
start = time.perf_counter()
runpy.run_path(sys.argv[1])
print(json.dumps(time.perf_counter() - start))
"""
"""Imports what the Dag file imports of Airflow, then measures the file."""


def help_of_command(stage: Stage) -> dict[str, Any]:
    """``webflow-conversions --help``, a process from its start to its end."""
    seconds, _ = _run(stage, sys.executable, "-m", "webflow_conversions", "--help")
    return {"events": 1, "seconds": seconds}


def check(stage: Stage) -> dict[str, Any]:
    """``webflow-conversions check`` on the sample configuration; it must find nothing wrong."""
    if not (stage.folder / "include").exists():
        warehouse.load(stage.postgres, datetime.now(UTC))
        sample_configuration.write(stage.folder / "include", sample_configuration.SAMPLE)
    seconds, _ = _run(stage, sys.executable, "-m", "webflow_conversions", "check")
    return {"events": 1, "seconds": seconds}


def dag_file(stage: Stage) -> dict[str, Any]:
    """The Dag file, in a process that has imported Airflow."""
    _, said = _run(stage, sys.executable, "-c", _PARSE, str(DAG_FILE))
    return {"events": 1, "seconds": float(said.splitlines()[-1])}


def _run(stage: Stage, *command: str) -> tuple[float, str]:
    """Seconds of a command, and what it wrote.

    :raises RuntimeError: it failed; the reason is in the text.
    """
    server = {"conn_type": "postgres", "host": "127.0.0.1", "port": stage.postgres.port, "login": USER}
    simulator = stage.simulators[False]
    connections = {
        "WAREHOUSE": {**server, "schema": warehouse.DATABASE},
        "WEBFLOW_LEDGER": {**server, "schema": stage.place[1]},
        "WEBFLOW_DEFAULT": {"conn_type": "webflow", "host": simulator.url, "login": CUSTOMER_ID, "password": TOKEN},
    }
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        **{f"AIRFLOW_CONN_{name}": json.dumps(fields) for name, fields in connections.items()},
        "AIRFLOW_HOME": str(stage.folder / "airflow"),
        "WEBFLOW_CONVERSIONS_CONFIG": str(stage.folder / "include" / "conversions.yaml"),
    }
    start = time.perf_counter()
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")
    return seconds, done.stdout
