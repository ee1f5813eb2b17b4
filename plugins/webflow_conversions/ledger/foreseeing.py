"""The ledger as a dry run sees it: every chunk is recorded in a transaction that is rolled back."""

from collections.abc import Iterator
from datetime import datetime

import pandas as pd
from psycopg2.extensions import cursor as Cursor

from webflow_conversions.ledger.extraction import Extraction
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.pipeline.extraction import Met
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
        return self._recording.recording(conversions, now, _foreseen, is_kept=False)

    def waiting(self, now: datetime, page_rows: int) -> Iterator[pd.DataFrame]:
        """What waits in the window and is due, in pages."""
        scope = self._run.sendable(self._rules.destination, [self._rules.source], now)
        parameters = scope.parameters() | {"rows": page_rows}
        after = {"after_ms": -(2**62), "after_id": 0}
        while rows := self._session.fetch("foreseeing/page_of_waiting", parameters | after):
            after = {"after_ms": rows[-1].action_timestamp_ms, "after_id": rows[-1].id}
            yield pd.DataFrame(rows, dtype=object).astype({"id": "int64", "action_timestamp_ms": "int64"})


def _foreseen(cursor: Cursor, _: Met) -> pd.DataFrame:
    """What the staged conversions are now."""
    cursor.execute(statement("foreseeing/foreseen"))
    names = [column.name for column in cursor.description or ()]
    return pd.DataFrame(cursor.fetchall(), columns=names, dtype=object)
