"""The ledger as extraction sees it."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

import pandas as pd
from psycopg2.errors import UniqueViolation
from psycopg2.extensions import cursor as Cursor

from webflow_conversions.errors import Unavailable
from webflow_conversions.ledger.copy import copy_in
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.pipeline.extraction import Met
from webflow_conversions.pipeline.run import Run
from webflow_conversions.rules.amounts import Amount, Tally
from webflow_conversions.rules.source import SourceRules
from webflow_conversions.rules.window import sendable

T = TypeVar("T")

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
_RACES = 3
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
        return self.recording(conversions, now, lambda _, met: met)

    def recording(self, conversions: pd.DataFrame, now: datetime, look: Callable[[Cursor, Met], T], *, is_kept: bool = True) -> T:
        """Bring judged conversions into the ledger, and look at it in the same transaction; what ``look`` gives.

        :param is_kept: False to roll it back.
        :raises Unavailable: if other runs keep adding the same conversions at this moment.
        """
        for _ in range(_RACES):
            with suppress(UniqueViolation), self._session.transaction(is_kept=is_kept) as cursor:
                cursor.execute("SET LOCAL synchronous_commit = off")
                cursor.execute(statement("extraction/create_staging"))
                copy_in(cursor, "extraction/copy_staged", conversions, _STAGED)
                return look(cursor, self._merge(cursor, now))
        raise Unavailable(f"Another run records the conversions of {self._rules.source} at the same time: let one of them end.")

    def _merge(self, cursor: Cursor, now: datetime) -> Met:
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
