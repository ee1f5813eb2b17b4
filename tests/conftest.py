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
from xdist.scheduler import LoadScopeScheduling

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


WORKERS = 4
"""Processes of ``-n auto``: twice as many as a small machine has cores, since the longest tests wait most of the time."""


TOGETHER = {
    "tests/e2e/test_attribution.py": "nights",
    "tests/e2e/test_bad_input.py": "nights",
    "tests/e2e/test_nights.py": "nights",
    "tests/e2e/test_connections.py": "page in a browser",
    "tests/e2e/test_erasure.py": "nights",
    "tests/e2e/test_rehearsal.py": "nights",
    "tests/e2e/test_notices.py": "notices",
    "tests/e2e/test_observability.py": "observability",
    "tests/e2e/test_own_dag.py": "nights",
    "tests/e2e/test_page.py": "page in a browser",
    "tests/integration/test_mistakes.py": "MariaDB",
    "tests/integration/test_package.py": "package",
    "tests/integration/test_page.py": "page",
    "tests/integration/test_page_fab.py": "page with FAB",
    "tests/integration/test_page_security.py": "page",
    "tests/integration/test_page_server.py": "page",
    "tests/integration/test_roles.py": "roles",
    "tests/integration/test_tls.py": "TLS",
    "tests/integration/test_warehouse_types.py": "MariaDB",
    "tests/dags/test_dag.py": "Dag",
}
"""Modules of which each group runs in one process, since its tests share what is slow to start, an Airflow above all."""


class Groups(LoadScopeScheduling):
    """Gives the groups to processes as a whole, and all other tests one by one."""

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER.get(nodeid.partition("::")[0], nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    return Groups(config, log)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """None but this process where tests are picked by name: starting more would take longer than the tests."""
    is_picked = config.option.keyword or any("::" in argument for argument in config.args)
    return 0 if is_picked else WORKERS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that nobody waits for it at the end."""
    items.sort(key=lambda item: "e2e" not in item.path.parts)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL server for the whole session of a process."""
    with PostgresServer(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def new_database(postgres: PostgresServer) -> Callable[[], Callable[[], Any]]:
    """Makes an empty database, and gives what opens psycopg2 connections to it."""

    def made() -> Callable[[], Any]:
        name = f"test_{uuid.uuid4().hex}"
        postgres.create_database(name)
        return partial(postgres.connect, name)

    return made


@pytest.fixture
def database(new_database: Callable[[], Callable[[], Any]]) -> Callable[[], Any]:
    """Opens psycopg2 connections to a new, empty database."""
    return new_database()
