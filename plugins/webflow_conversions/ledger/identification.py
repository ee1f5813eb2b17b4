"""The ledger as identification sees it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import pandas as pd

from webflow_conversions.ledger.extraction import as_copy_text
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.pipeline.run import Run
from webflow_conversions.rules.window import sendable

_BATCH_ROWS = 10_000


class Identification:
    """The conversions of a run that wait for their user.

    :param reader: a session of its own for the pages, since they are read while users are recorded.
    :param destinations: the run's sources by their destination.
    :param just_asked: whether the run's extraction has just looked for the users of what it recorded as held.
    """

    def __init__(
        self,
        reader: Session,
        writer: Session,
        run: Run,
        destinations: Mapping[str, Sequence[str]],
        *,
        just_asked: bool = True,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._run = run
        self._destinations = destinations
        self._just_asked = just_asked
        self._arrived: list[int] = []

    def expire(self, now: datetime) -> int:
        """Expire waiting conversions of every window that are older than 2 days; returns their number."""
        parameters = {"oldest_ms": sendable(now).start_ms, "now": now, "run_id": self._run.run_id, "rows": _BATCH_ROWS}
        expired = 0
        while batch := self._writer.execute("identification/expire_waiting", parameters):
            expired += batch
        return expired

    def arrive(self, now: datetime) -> int:
        """Move future conversions whose time has come to ``held``; returns their number."""
        due = [self._run.due(destination, sources, now) for destination, sources in self._destinations.items()]
        self._arrived = [
            row.id for scope in due for row in self._writer.fetch("identification/arrive_future", scope.parameters())
        ]
        return len(self._arrived)

    def held(self, page_rows: int) -> Iterator[pd.DataFrame]:
        """The held conversions of the window in pages: ``id``, ``action_timestamp_ms``, ``identity_key``."""
        asked_by = self._run.run_id if self._just_asked else ""
        asked = {"asked_by": asked_by, "arrived": self._arrived, "rows": page_rows}
        for destination, sources in self._destinations.items():
            scope = self._run.planned(destination, sources).parameters()
            after = {"after_ms": -(2**62), "after_id": 0}
            while rows := self._reader.fetch("identification/page_of_held", scope | asked | after):
                after = {"after_ms": rows[-1].action_timestamp_ms, "after_id": rows[-1].id}
                ids, moments, keys = zip(*rows, strict=True)
                yield pd.DataFrame({"id": ids, "action_timestamp_ms": moments, "identity_key": pd.Series(keys, dtype=object)})

    def assign(self, users: pd.DataFrame, now: datetime) -> None:
        """Give conversions their users: those become ready, or rejected where there is a reason."""
        if users.empty:
            return
        with self._writer.transaction() as cursor:
            cursor.execute(statement("identification/create_identified"))
            cursor.copy_expert(
                statement("identification/copy_identified"), as_copy_text(users, ("id", "user_domain", "user_id", "reason"))
            )
            cursor.execute(statement("identification/assign_users"), {"now": now, "run_id": self._run.run_id})
