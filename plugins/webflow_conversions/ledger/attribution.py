"""The ledger as attribution sees it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import pandas as pd

from webflow_conversions.ledger.copy import copy_in
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.pipeline.attribution import JUDGED_FOR
from webflow_conversions.pipeline.run import Run
from webflow_conversions.rules.window import to_milliseconds

_VERDICT = (
    "id", "was", "attribution", "attribution_reason", "visit_id", "visit", "minutes_from_activity", "state", "reason",
    "user_domain", "user_id",
)  # fmt: skip


class AttributionOfRun:
    """The conversions of a run's sources that are to be judged.

    :param reader: a session of its own for the pages.
    :param destinations: the run's sources by their destination.
    """

    def __init__(self, reader: Session, writer: Session, run: Run, destinations: Mapping[str, Sequence[str]]) -> None:
        self._reader = reader
        self._writer = writer
        self._run = run
        self._destinations = destinations

    def unsettled(self, now: datetime, page_rows: int) -> Iterator[pd.DataFrame]:
        """What is ready in the window, and what is held or was sent and may be judged otherwise since, in pages.

        Columns: ``id``, ``state``, ``event_name``, ``action_timestamp_ms``, ``identity_key``, ``user_domain``, ``user_id``,
        ``attempts_in_doubt``, ``attribution``.
        """
        since = {"since_ms": to_milliseconds(now - JUDGED_FOR), "judged_before": now, "rows": page_rows}
        for destination, sources in self._destinations.items():
            scope = self._run.planned(destination, sources).parameters() | since
            for name in ("attribution/page_of_ready", "attribution/page_of_unsettled"):
                after = {"after_ms": -(2**62), "after_id": 0}
                while rows := self._reader.fetch(name, scope | after):
                    after = {"after_ms": rows[-1].action_timestamp_ms, "after_id": rows[-1].id}
                    yield pd.DataFrame(rows, dtype=object).astype(
                        {"id": "int64", "action_timestamp_ms": "int64", "attempts_in_doubt": "int64"}
                    )

    def record(self, verdicts: pd.DataFrame, now: datetime) -> None:
        """Record verdicts, and what they change of a conversion that is still ready."""
        with self._writer.transaction() as cursor:
            cursor.execute(statement("attribution/create_judged"))
            copy_in(cursor, "attribution/copy_judged", verdicts, _VERDICT)
            cursor.execute(statement("attribution/record"), {"now": now, "run_id": self._run.run_id})

    def give_up(self, now: datetime) -> None:
        """The visits cannot be read now: what is ready and was not judged is unknown, and is judged in a later run."""
        for destination, sources in self._destinations.items():
            scope = self._run.planned(destination, sources).parameters()
            self._writer.execute("attribution/give_up", scope | {"now": now})
