"""The ledger as extraction sees it."""

import csv
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from io import StringIO
from typing import Any

import pandas as pd
from psycopg2.errors import UniqueViolation
from psycopg2.extensions import cursor as Cursor

from webflow_conversions.errors import Unavailable
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.pipeline.extraction import Met
from webflow_conversions.pipeline.run import Run
from webflow_conversions.rules.amounts import Amount, Tally
from webflow_conversions.rules.source import SourceRules
from webflow_conversions.rules.window import sendable

_STAGED = (
    "action_id",
    "event_name",
    "conversion_id",
    "action_timestamp_ms",
    "value",
    "identity_key",
    "user_domain",
    "user_id",
    "state",
    "reason",
    "detail",
    "alike",
    "rank",
    "beside",
)
COPY_BYTES = 2**20
"""Bytes that psycopg2 reads at a time for COPY. For each reading it waits for Python's lock, which the thread that judges has."""
RACES = 3
"""Tries of a chunk while other runs add the same conversions."""


class Extraction:
    """One extraction of one source: begun, filled chunk by chunk, ended; ``id`` is its number, 0 before it began.

    :param fingerprint: of the configuration and the address; while it stays the same, a refused row stays refused.
    """

    def __init__(self, session: Session, run: Run, rules: SourceRules, fingerprint: str) -> None:
        self._session = session
        self._run = run
        self._rules = rules
        self._fingerprint = fingerprint
        self.id = 0

    def begin(self, now: datetime) -> None:
        """Open the account of this extraction."""
        (row,) = self._session.fetch("extraction/begin", {"run": self._run.id, "source": self._rules.source, "now": now})
        self.id = row.id

    def record(self, conversions: pd.DataFrame, now: datetime) -> Met:
        """Bring judged conversions into the ledger, all of them or none.

        Its commit is not waited for: PostgreSQL writes its log in order, so the commit of :meth:`end`, which is, makes this one
        last, too; and an extraction without an end counts for nothing.

        :raises Unavailable: if other runs keep adding the same conversions at this moment.
        """
        for _ in range(RACES):
            with suppress(UniqueViolation), self._session.transaction() as cursor:
                cursor.execute("SET LOCAL synchronous_commit = off")
                self.stage(cursor, conversions)
                return self.merge(cursor, now)
        raise Unavailable(f"Another run records the conversions of {self._rules.source} at the same time: let one of them end.")

    def stage(self, cursor: Cursor, conversions: pd.DataFrame) -> None:
        """Put judged conversions into the temporary table of this transaction."""
        cursor.execute(statement("extraction/create_staging"))
        cursor.copy_expert(statement("extraction/copy_staged"), as_copy_text(conversions, _STAGED), COPY_BYTES)

    def merge(self, cursor: Cursor, now: datetime) -> Met:
        """Bring what is staged into the ledger, in this transaction."""
        cursor.execute(
            statement("extraction/merge_staged"),
            {
                "extraction": self.id,
                "destination": self._rules.destination,
                "source": self._rules.source,
                "fingerprint": self._fingerprint,
                "run_id": self._run.run_id,
                "now": now,
                "oldest_ms": sendable(now).start_ms,
            },
        )
        met = cursor.fetchone()
        return Met(
            again=Amount.of_row(met, "again_"),
            conflicting=Amount.of_row(met, "conflicting_"),
            returned=met.returned_rows,
            had_user=met.had_user_rows,
            lost_user=met.lost_user_rows,
        )

    def end(self, tally: Tally, met: Met, now: datetime) -> None:
        """Note changes since a conversion was sent, and close the account of this extraction."""
        amounts: dict[str, Any] = {
            f"{name}_{part}": getattr(getattr(tally, field), part)
            for name, field in (
                ("read", "read"),
                ("recorded", "recorded"),
                ("duplicate", "duplicates"),
                ("conflicting", "conflicting"),
                ("outside", "outside"),
                ("too_old", "too_old"),
            )
            for part in ("rows", "value")
        }
        with self._session.transaction() as cursor:
            extraction = {"extraction": self.id, "run_id": self._run.run_id, "now": now}
            cursor.execute(statement("extraction/note_changes"), extraction)
            changed = cursor.fetchone().rows
            cursor.execute(statement("extraction/tell_changes"), extraction)
            cursor.execute(
                statement("extraction/end"),
                {
                    **extraction,
                    **amounts,
                    "changed_after_sent_rows": changed,
                    "returned_rows": met.returned,
                    "had_user_rows": met.had_user,
                    "lost_user_rows": met.lost_user,
                },
            )


def as_copy_text(frame: pd.DataFrame, columns: Sequence[str]) -> StringIO:
    """The frame for ``COPY … WITH (FORMAT csv)``: null is an empty field, so no text in it may be empty."""
    text = StringIO()
    csv.writer(text).writerows(zip(*(listed(frame[name]) for name in columns), strict=True))
    text.seek(0)
    return text


def listed(column: pd.Series) -> list[Any]:
    """The values of a column as Python's own, None for null."""
    values: list[Any] = column.to_numpy(dtype=object, na_value=None).tolist()  # type: ignore[call-overload]
    return values
