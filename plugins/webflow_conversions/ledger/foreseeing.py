"""The ledger as a dry run sees it: every chunk is recorded in a transaction that is rolled back."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

import pandas as pd
from psycopg2.errors import UniqueViolation

from webflow_conversions.errors import Unavailable
from webflow_conversions.ledger.extraction import RACES, Extraction
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.pipeline.run import Run
from webflow_conversions.rules.source import SourceRules


class DryRunExtraction:
    """A :class:`~webflow_conversions.pipeline.dry_run.DryRunLedger`: foresees what recording a chunk makes of its conversions."""

    def __init__(self, session: Session, run: Run, rules: SourceRules, fingerprint: str) -> None:
        self._session = session
        self._run = run
        self._rules = rules
        self._recording = Extraction(session, run, rules, fingerprint)

    def foresee(self, conversions: pd.DataFrame, now: datetime) -> pd.DataFrame:
        """Record the chunk, look, and take it back.

        :raises Unavailable: if other runs keep adding the same conversions at this moment.
        """
        for _ in range(RACES):
            with suppress(UniqueViolation), self._session.transaction(is_kept=False) as cursor:
                self._recording.stage(cursor, conversions)
                self._recording.merge(cursor, now)
                cursor.execute(statement("foreseeing/foreseen"))
                names = [column.name for column in cursor.description or ()]
                return pd.DataFrame(cursor.fetchall(), columns=names, dtype=object)
        raise Unavailable(f"Another run records the conversions of {self._rules.source} at the same time: let one of them end.")

    def waiting(self, now: datetime, page_rows: int) -> Iterator[pd.DataFrame]:
        """What waits in the window and is due, in pages."""
        scope = self._run.sendable(self._rules.destination, [self._rules.source], now)
        parameters = scope.parameters() | {"rows": page_rows}
        after = {"after_ms": -(2**62), "after_id": 0}
        while rows := self._session.fetch("foreseeing/page_of_waiting", parameters | after):
            after = {"after_ms": rows[-1].action_timestamp_ms, "after_id": rows[-1].id}
            yield pd.DataFrame(rows, dtype=object).astype({"id": "int64", "action_timestamp_ms": "int64"})
