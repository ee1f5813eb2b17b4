"""What tests share: a real PostgreSQL, a database of its own for each test, and a home for Airflow that is nobody's."""

import atexit
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from demo.airflow_stack import REPOSITORY
from demo.postgres import PostgresServer

# Airflow reads these when it is first imported, whichever test does that.
_AIRFLOW_HOME = tempfile.mkdtemp(prefix="webflow-tests-airflow-")
atexit.register(shutil.rmtree, _AIRFLOW_HOME, ignore_errors=True)
for _name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[_name]
os.environ |= {
    "AIRFLOW_HOME": _AIRFLOW_HOME,
    "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
}


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL server for the whole session."""
    with PostgresServer(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def database(postgres: PostgresServer) -> Callable[[], Any]:
    """Opens psycopg2 connections to a new, empty database."""
    name = f"test_{uuid.uuid4().hex}"
    postgres.create_database(name)
    return partial(postgres.connect, name)
