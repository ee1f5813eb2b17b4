"""The ledger's schema, brought up to date by numbered SQL files: each once, each with its record in one transaction."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from psycopg2.errors import DuplicateFunction, DuplicateObject, DuplicateTable, InsufficientPrivilege
from psycopg2.extensions import cursor as Cursor

from webflow_conversions.errors import Unusable, first_line
from webflow_conversions.ledger.session import Session

OLDEST_SERVER = 14_00_00
"""The first version with an infinite ``numeric``, as ``PQserverVersion()`` numbers it."""
_LOCK = 0x776566666C6F77
_NAME = re.compile(r"(\d{4})_\w+\.sql")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Migration:
    """One file of ``ledger/sql/migrations``."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """The fingerprint of its text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """The migrations of this release, in order."""
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
    :raises Unusable: if the ledger was made by a newer release or by other files, if its role may not change it, if its
        server is too old, or if its database cannot hold every text.
    """
    known = [migration for migration in migrations() if up_to is None or migration.version <= up_to]
    try:
        with session.transaction() as cursor:
            return _apply(cursor, known)
    except InsufficientPrivilege as error:
        raise Unusable(
            f"The ledger has to be brought to version {known[-1].version}, and the role of its connection may not do it "
            f"({first_line(error)}): run python -m webflow_conversions.ledger as the ledger's owner."
        ) from error


def is_there(session: Session) -> bool:
    """Whether the ledger was ever set up."""
    with session.transaction() as cursor:
        cursor.execute("SELECT to_regclass('webflow.runs') IS NOT NULL")
        return bool(cursor.fetchone()[0])


def _apply(cursor: Cursor, known: Sequence[Migration]) -> list[str]:
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    version = cursor.connection.server_version
    if version < OLDEST_SERVER:
        raise Unusable(
            f"The ledger's PostgreSQL is version {version // 10_000}, and it needs {OLDEST_SERVER // 10_000} or newer: "
            "upgrade it, or let connection webflow_ledger lead to another."
        )
    cursor.execute("SHOW server_encoding")
    encoding = cursor.fetchone()[0]
    if encoding != "UTF8":
        raise Unusable(
            f"The ledger's database has the encoding {encoding}, which cannot hold every text: create it with ENCODING 'UTF8'."
        )
    cursor.execute("SELECT to_regclass('webflow.schema_migrations') IS NOT NULL")
    if not cursor.fetchone()[0]:
        cursor.execute("SELECT to_regnamespace('webflow') IS NOT NULL")
        if not cursor.fetchone()[0]:  # IF NOT EXISTS asks for rights on the database even where the schema is there
            cursor.execute("CREATE SCHEMA webflow")
        cursor.execute(
            "CREATE TABLE webflow.schema_migrations (version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
    cursor.execute("SELECT version, checksum FROM webflow.schema_migrations")
    applied = dict(cursor.fetchall())
    first, current, newest = migrations()[0], max(applied, default=0), migrations()[-1].version
    if applied.get(first.version, first.checksum) != first.checksum:
        raise Unusable(
            f"The ledger's schema webflow is not that of {first.name} of this release (it is older than the first one, say) and "
            "cannot be brought up to date: let connection webflow_ledger lead to an empty database, or drop the schema. A new "
            "ledger does not know what was sent: let 2 days pass without a run before, or some conversions go out twice."
        )
    if current > newest:
        raise Unusable(
            f"The ledger's schema has version {current}, and this release of webflow_conversions knows {newest}: "
            "install the newer release on every machine of this Airflow."
        )
    for migration in migrations():
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise Unusable(
                f"The ledger was made with another {migration.name} than this release has: install the release that made it, "
                "and never change a migration that was applied."
            )
    due = [migration for migration in known if migration.version not in applied]
    for migration in due:
        try:
            cursor.execute(migration.sql)
        except (DuplicateTable, DuplicateObject, DuplicateFunction) as error:
            raise Unusable(
                f"The ledger cannot be brought to {migration.name}, since something else is in the schema webflow "
                f"({first_line(error)}): let connection webflow_ledger lead to a database of its own."
            ) from error
        cursor.execute(
            "INSERT INTO webflow.schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
            (migration.version, migration.name, migration.checksum),
        )
    return [migration.name for migration in due]
