"""deploy/init.sh: what it asks Airflow for, and that no secret stands in a process list meanwhile."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from demo.airflow_stack import REPOSITORY

AIRFLOW = """\
#!{python}
import contextlib, json, pathlib, sys

folder = pathlib.Path(__file__).parent
for one in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    with contextlib.suppress(OSError):
        (folder / "seen").open("ab").write(one.read_bytes().replace(bytes(1), b" ") + b"\\n")
match sys.argv[1:]:
    case ["users", "create", *_]:
        import getpass
        asked = getpass.getpass("Password:"), getpass.getpass("Repeat for confirmation:")
        (folder / "password").write_text(json.dumps(asked))
    case ["connections", "get", _]:
        sys.exit("Connection not found.")
    case ["connections", "import", file]:
        (folder / "imported").open("a").write(pathlib.Path(file).read_text() + "\\n")
"""
KEY = "-----BEGIN ENCRYPTED PRIVATE KEY-----\ncanary $HOME ${WEBFLOW_TOKEN} \"'\\"
ENVIRONMENT = {
    "AIRFLOW_ADMIN_USERNAME": "admin",
    "AIRFLOW_ADMIN_PASSWORD": "canary password",
    "AIRFLOW_ADMIN_EMAIL": "admin@example.com",
    "WEBFLOW_POOL_SLOTS": "4",
    "WEBFLOW_CUSTOMER_ID": "123456789",
    "WEBFLOW_TOKEN": KEY,
    "WAREHOUSE_URI": "snowflake://reader:canary@example/db?private_key_content=canary%20%24HOME",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("init.sh", "add_connection.py"):
        shutil.copy(REPOSITORY / "deploy" / name, tmp_path)
    for name, text in {"airflow": AIRFLOW.format(python=sys.executable), "python": PYTHON.format(python=sys.executable)}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    return tmp_path


PYTHON = """\
#!/bin/sh
[ "$1" = -m ] || exec {python} "$@"
"""


def start(folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    path = f"{folder}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(folder / "init.sh")],
        env={"PATH": path, **ENVIRONMENT, **changes},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_first_start_hands_secrets_over_by_file_and_pipe(folder: Path) -> None:
    done = start(folder)

    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "password").read_text()) == ["canary password"] * 2
    imported = [json.loads(line) for line in (folder / "imported").read_text().splitlines()]
    assert imported == [
        {"webflow_default": {"conn_type": "webflow", "login": "123456789", "password": KEY}},
        {"warehouse": ENVIRONMENT["WAREHOUSE_URI"]},
    ]
    seen = (folder / "seen").read_bytes()
    assert b"users create --role Admin --username admin" in seen
    assert b"add_connection.py warehouse" in seen
    assert b"canary" not in seen
    assert "canary" not in done.stdout + done.stderr


def test_a_token_without_its_customer_id_ends_the_start_with_a_sentence(folder: Path) -> None:
    done = start(folder, WEBFLOW_CUSTOMER_ID="")
    assert done.returncode != 0
    assert "WEBFLOW_TOKEN is set and WEBFLOW_CUSTOMER_ID is not: set both in .env" in done.stderr
    assert not (folder / "imported").exists()


def test_without_a_token_or_a_warehouse_no_connection_is_added(folder: Path) -> None:
    assert start(folder, WEBFLOW_TOKEN="", WAREHOUSE_URI="").returncode == 0
    assert not (folder / "imported").exists()
