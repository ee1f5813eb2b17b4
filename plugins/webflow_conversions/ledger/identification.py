"""The ledger as identification sees it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import pandas as pd
from psycopg2.extras import Json

from webflow_conversions.ledger.copy import copy_in
from webflow_conversions.ledger.expiry import expire_waiting
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.pipeline.identification import Returned
from webflow_conversions.pipeline.identified import SourceIdentified
from webflow_conversions.pipeline.run import Run
from webflow_conversions.rules.amounts import Amount

_IDENTIFIED = ("id", "user_domain", "user_id", "reason", "user_before")


class Identification:
    """The conversions of a run that wait.

    :param reader: a session of its own for the pages, since they are read while users are recorded.
    :param destinations: the run's sources by their destination.
    :param just_asked: whether the run's extractions have just looked up the users of what they returned.
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
        return expire_waiting(self._writer, self._run.run_id, now)

    def arrive(self, now: datetime) -> int:
        """Move future conversions whose time has come to ``held``; returns their number."""
        due = [self._run.due(destination, sources, now) for destination, sources in self._destinations.items()]
        self._arrived = [
            row.id for scope in due for row in self._writer.fetch("identification/arrive_future", scope.parameters())
        ]
        return len(self._arrived)

    def returned(self) -> dict[str, Returned]:
        """What the run's last complete extraction of each source returned."""
        return {
            source: Returned(read_rows=row.read_rows, recorded_rows=row.recorded_rows)
            for source, row in self._extractions.items()
        }

    def unseen(self, source: str) -> Amount:
        """The waiting conversions of the window that the run's extraction of this source did not return."""
        (row,) = self._writer.fetch("identification/count_unseen", self._of_source(source))
        return Amount.of_row(row)

    def withdraw(self, source: str, now: datetime) -> Amount:
        """Withdraw them."""
        read = {"read_at": self._extractions[source].started_at, "now": now, "run_id": self._run.run_id}
        (row,) = self._writer.fetch("identification/withdraw", self._of_source(source) | read)
        return Amount.of_row(row)

    def waiting(self, page_rows: int) -> Iterator[pd.DataFrame]:
        """Conversions of the window whose user is to be looked up, in pages.

        Columns: ``id``, ``source``, ``state``, ``action_timestamp_ms``, ``value``, ``identity_key``, ``user_domain``,
        ``user_id``; ``is_unseen``, whether the run's extraction did not return it.
        """
        asked = self._seen_by() | {"again": not self._just_asked, "arrived": self._arrived, "rows": page_rows}
        for destination, sources in self._destinations.items():
            after = {"after_ms": -(2**62), "after_id": 0}
            while rows := self._reader.fetch(
                "identification/page_of_waiting", self._window(destination, sources) | asked | after
            ):
                after = {"after_ms": rows[-1].action_timestamp_ms, "after_id": rows[-1].id}
                yield pd.DataFrame(rows, dtype=object).astype({"id": "int64", "action_timestamp_ms": "int64"})

    def assign(self, users: pd.DataFrame, now: datetime) -> None:
        """Give waiting conversions the users that were found, or take them, see :func:`pipeline.identification.user_changes`."""
        if users.empty:
            return
        with self._writer.transaction() as cursor:
            cursor.execute(statement("identification/create_identified"))
            copy_in(cursor, "identification/copy_identified", users, _IDENTIFIED)
            cursor.execute(statement("identification/assign_users"), {"now": now, "run_id": self._run.run_id})

    def held_keys(self, rows: int) -> pd.DataFrame:
        """The ``source`` and ``identity_key`` of the newest held conversions of the window, so many of each destination."""
        held = [
            row
            for destination, sources in self._destinations.items()
            for row in self._reader.fetch("identification/held_keys", self._window(destination, sources) | {"rows": rows})
        ]
        return pd.DataFrame(held, columns=["source", "identity_key"], dtype=object)

    def identified(self) -> dict[str, SourceIdentified]:
        """What earlier tries found."""
        (row,) = self._writer.fetch("identification/identified", {"run": self._run.id})
        return {source: SourceIdentified.from_json(document) for source, document in row.identified.items()}

    def record(self, identified: Mapping[str, SourceIdentified]) -> None:
        """Record what was found."""
        document = Json({source: found.to_json() for source, found in identified.items()})
        self._writer.execute("identification/record_identified", {"run": self._run.id, "identified": document})

    @cached_property
    def _extractions(self) -> dict[str, Any]:
        return {row.source: row for row in self._writer.fetch("identification/extractions", {"run": self._run.id})}

    def _seen_by(self) -> dict[str, Any]:
        """What a statement with ``is_unseen`` binds."""
        asked_by = self._run.run_id if self._just_asked else ""
        return {"asked_by": asked_by, "extractions": [each for row in self._extractions.values() for each in row.ids]}

    def _of_source(self, source: str) -> dict[str, Any]:
        (destination,) = (name for name, sources in self._destinations.items() if source in sources)
        return self._window(destination, [source]) | self._seen_by()

    def _window(self, destination: str, sources: Sequence[str]) -> dict[str, Any]:
        return self._run.planned(destination, sources).parameters()
