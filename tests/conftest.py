"""What tests share: a real PostgreSQL, and a database of its own for each test."""

import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from demo.postgres import PostgresServer


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
