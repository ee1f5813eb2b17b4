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
import contextlib, json, pathlib, sys

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
    case ["connections", "import", file]:
        path = pathlib.Path(file)
        (name, given), = json.loads(path.read_text()).items()
        (folder / "imported").open("a").write(json.dumps([name, given, oct(path.parent.stat().st_mode)]) + "\\n")
        for one in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                (folder / "seen").open("ab").write(one.read_bytes().replace(bytes(1), b" ") + b"\\n")
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
        shutil.copy(REPOSITORY / "deploy" / "add_connection.py", folder)
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
        imported = [f"connections import {name}" for name, *_ in self.imported()]
        return imported + [" ".join(line.split()[:3]) for line in asked if " unpause " in line]

    def imported(self) -> list[list[Any]]:
        """The connections that it added, with what may read their file."""
        file = self.folder / "imported"
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []

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
        ({}, ["connections import warehouse", "connections import webflow_default", SWITCHED_ON]),
        ({"webflow_default": WEBFLOW}, ["connections import warehouse", SWITCHED_ON]),
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


def test_its_secrets_are_in_a_private_file_and_in_no_process_list(demo: Demo) -> None:
    assert demo.run({"unlike": WEBFLOW}).returncode == 0

    assert demo.imported() == [
        ["warehouse", "postgres://demo_reader:password-of-the-demo@postgres:5432/warehouse", "0o40700"],
        [
            "webflow_default",
            {
                "conn_type": "webflow",
                "host": "http://simulator:8090",
                "login": "123456789",
                "password": "token-of-the-demo",
                "extra": {"allow_http": True},
            },
            "0o40700",
        ],
    ]
    assert b"add_connection.py webflow_default" in (demo.folder / "seen").read_bytes()
    assert b"-of-the-demo" not in (demo.folder / "seen").read_bytes()


def test_it_reads_the_connections_that_are_there_by_no_command_line(demo: Demo) -> None:
    """A program before the real one writes down each command line."""
    python = demo.folder / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >>{demo.folder}/asked\nexec {sys.executable} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    assert demo.run({"warehouse": WAREHOUSE, "webflow_default": WEBFLOW}).returncode == 0
    assert "json.load" in (demo.folder / "asked").read_text(encoding="utf-8")
    assert "-of-the-demo" not in (demo.folder / "asked").read_text(encoding="utf-8")


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
