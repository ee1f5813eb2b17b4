"""deploy/demo.sh, with a stand-in for Airflow's command and for what fills the sample warehouse."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.production.compose import REPOSITORY

ENVIRONMENT = {
    "PGHOST": "postgres",
    "PGPORT": "5432",
    "DEMO_TOKEN": "token-of-the-demo",
    "DEMO_READER_PASSWORD": "password-of-the-demo",
    "DEMO_WEBFLOW_URL": "http://simulator:8090",
}

WAREHOUSE = {
    "host": "postgres",
    "port": "5432",
    "schema": "warehouse",
    "login": "demo_reader",
    "password": "password-of-the-demo",
}
WEBFLOW = {
    "host": "http://simulator:8090",
    "port": None,
    "schema": None,
    "login": "123456789",
    "password": "token-of-the-demo",
}

AIRFLOW = """\
#!{python}
import json, pathlib, sys

folder = pathlib.Path(__file__).parent
words = sys.argv[1:]
with (folder / "asked").open("a") as asked:
    print(*words, file=asked)
match words:
    case ["connections", "get", name, "--output", "json"]:
        there = json.loads((folder / "connections").read_text())
        if name not in there:
            sys.exit("Connection not found.")
        print(json.dumps([there[name]]))
    case ["connections", "add", *_]:
        pass
    case ["dags", "details", _]:
        if (folder / "asked").read_text().count("dags details") <= int((folder / "looks_in_vain").read_text()):
            sys.exit("DAG: webflow_offsite_conversions does not exist in 'dag' table")
    case ["dags", "unpause", "--yes", _]:
        print("No paused DAGs were found")
    case _:
        sys.exit(f"not a command of the stand-in: {{words}}")
"""


class Demo:
    """The script in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(REPOSITORY / "deploy" / "demo.sh", folder)
        (folder / "sample_warehouse.py").write_text("import pathlib; pathlib.Path(__file__).with_name('filled').touch()")
        self._program("airflow", AIRFLOW.format(python=sys.executable))
        self._program("sleep", "#!/bin/sh\n")

    def _program(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def run(self, connections: dict[str, Any], looks_in_vain: int = 0) -> subprocess.CompletedProcess[str]:
        """Run it with these connections there, and a Dag that is there after so many looks."""
        (self.folder / "looks_in_vain").write_text(str(looks_in_vain), encoding="utf-8")
        (self.folder / "connections").write_text(json.dumps(connections), encoding="utf-8")
        path = f"{self.folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        command = ["bash", str(self.folder / "demo.sh")]
        return subprocess.run(command, env={"PATH": path, **ENVIRONMENT}, capture_output=True, text=True, check=False)

    def changes(self) -> list[str]:
        """What it asked Airflow to change."""
        asked = (self.folder / "asked").read_text(encoding="utf-8").splitlines()
        return [" ".join(line.split()[:3]) for line in asked if " add " in line or " unpause " in line]

    @property
    def has_filled_the_warehouse(self) -> bool:
        return (self.folder / "filled").exists()


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    return Demo(tmp_path)


SWITCHED_ON = "dags unpause --yes"


@pytest.mark.parametrize(
    ("connections", "changes"),
    [
        ({}, ["connections add warehouse", "connections add webflow_default", SWITCHED_ON]),
        ({"webflow_default": WEBFLOW}, ["connections add warehouse", SWITCHED_ON]),
        ({"warehouse": WAREHOUSE, "webflow_default": WEBFLOW}, [SWITCHED_ON]),
    ],
    ids=["none", "one", "both"],
)
def test_it_adds_the_connections_that_are_missing_and_switches_the_dag_on(
    demo: Demo, connections: dict[str, Any], changes: list[str]
) -> None:
    done = demo.run(connections)

    assert done.returncode == 0, done.stderr
    assert demo.changes() == changes
    assert demo.has_filled_the_warehouse


@pytest.mark.parametrize(
    ("name", "connections"),
    [
        ("webflow_default", {"webflow_default": {**WEBFLOW, "host": None, "login": "1", "password": "real"}}),
        ("webflow_default", {"warehouse": WAREHOUSE, "webflow_default": {**WEBFLOW, "host": "https://log.intellimize.co"}}),
        ("webflow_default", {"webflow_default": {**WEBFLOW, "password": "of-another-env"}}),
        ("warehouse", {"warehouse": {**WAREHOUSE, "host": "warehouse.example.com"}}),
        ("warehouse", {"warehouse": {**WAREHOUSE, "schema": "shop"}, "webflow_default": WEBFLOW}),
    ],
)
def test_it_refuses_connections_that_are_not_its_own_before_it_changes_anything(
    demo: Demo, name: str, connections: dict[str, Any]
) -> None:
    done = demo.run(connections)

    assert done.returncode == 1
    assert done.stderr.startswith(f"The connection {name} is not the demo's own: ")
    assert done.stderr.count("\n") == 1
    assert demo.changes() == []
    assert not demo.has_filled_the_warehouse


def test_it_waits_for_the_dag_before_it_switches_it_on(demo: Demo) -> None:
    done = demo.run({}, looks_in_vain=3)

    assert done.returncode == 0, done.stderr
    asked = (demo.folder / "asked").read_text(encoding="utf-8")
    assert asked.count("dags details") == 4
    assert asked.splitlines()[-1] == "dags unpause --yes webflow_offsite_conversions"


def test_a_dag_that_does_not_appear_is_one_sentence(demo: Demo) -> None:
    done = demo.run({}, looks_in_vain=1_000)

    assert done.returncode == 1
    assert done.stderr == ("The Dag webflow_offsite_conversions did not appear: see docker compose logs airflow-dag-processor.\n")
    assert SWITCHED_ON not in demo.changes()
