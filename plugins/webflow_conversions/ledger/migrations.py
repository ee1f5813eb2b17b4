"""The ledger's schema, brought up to date by numbered SQL files: each once, each with its record in one transaction."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from psycopg2.errors import InsufficientPrivilege
from psycopg2.extensions import cursor as Cursor

from webflow_conversions.errors import Unusable
from webflow_conversions.ledger.session import Session

_LOCK = 0x776566666C6F77
_NAME = re.compile(r"(\d{4})_\w+\.sql")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Migration:
    """One file of ``ledger/sql/migrations``."""

    version: int
    name: str
    sql: str


def migrations() -> list[Migration]:
    """All that this release knows, in order."""
    folder = files("webflow_conversions.ledger").joinpath("sql", "migrations")
    found = [(entry, _NAME.fullmatch(entry.name)) for entry in folder.iterdir()]
    return sorted(
        Migration(version=int(match[1]), name=entry.name, sql=entry.read_text(encoding="utf-8"))
        for entry, match in found
        if match
    )


def migrate(session: Session, *, up_to: int | None = None) -> list[str]:
    """Bring the schema up to date under an advisory lock, so that any number of callers may try at once.

    :param up_to: the version to stop at; default the newest.
    :return: the names of the files that were applied.
    :raises Unusable: if the ledger was made by a newer release, or its role may not change it.
    """
    known = [migration for migration in migrations() if up_to is None or migration.version <= up_to]
    try:
        with session.transaction() as cursor:
            return _apply(cursor, known)
    except InsufficientPrivilege as error:
        raise Unusable(
            f"The ledger has to be brought to version {known[-1].version}, and the role of its connection may not do it "
            f"({str(error).splitlines()[0]}): run python -m webflow_conversions.ledger as the ledger's owner."
        ) from error


def is_there(session: Session) -> bool:
    """Whether the ledger was ever set up."""
    with session.transaction() as cursor:
        cursor.execute("SELECT to_regclass('webflow.runs') IS NOT NULL")
        return bool(cursor.fetchone()[0])


def _apply(cursor: Cursor, known: Sequence[Migration]) -> list[str]:
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    cursor.execute("SELECT to_regclass('webflow.schema_migrations') IS NOT NULL")
    if not cursor.fetchone()[0]:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS webflow")
        cursor.execute(
            "CREATE TABLE webflow.schema_migrations"
            " (version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
    cursor.execute("SELECT coalesce(max(version), 0) FROM webflow.schema_migrations")
    current = cursor.fetchone()[0]
    newest = migrations()[-1].version
    if current > newest:
        raise Unusable(
            f"The ledger's schema has version {current}, and this release of webflow_conversions knows {newest}: "
            "install the newer release on every machine of this Airflow."
        )
    due = [migration for migration in known if migration.version > current]
    for migration in due:
        cursor.execute(migration.sql)
        cursor.execute(
            "INSERT INTO webflow.schema_migrations (version, name) VALUES (%s, %s)", (migration.version, migration.name)
        )
    return [migration.name for migration in due]
