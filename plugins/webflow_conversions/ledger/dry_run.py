"""The ledger as a dry run sees it: every chunk is recorded in a transaction that is rolled back."""

from collections.abc import Iterator
from datetime import datetime

import pandas as pd

from webflow_conversions.ledger.extraction import Extraction
from webflow_conversions.ledger.push import as_event
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.pipeline.dry_run import PREVIEWS, States
from webflow_conversions.pipeline.extraction import Met
from webflow_conversions.pipeline.run import Run
from webflow_conversions.rules.amounts import Amount, Tally
from webflow_conversions.rules.evaluation import SourceRules
from webflow_conversions.rules.event import Event
from webflow_conversions.rules.states import State


class DryRunExtraction:
    """Records each chunk and takes it back, to show the states. A temporary table with the conversions shown outlives a chunk."""

    def __init__(self, session: Session, run: Run, rules: SourceRules, config_digest: str) -> None:
        self._session = session
        self._run = run
        self._rules = rules
        self._recording = Extraction(session, run, rules, config_digest)
        self.states: States = {}
        self.first_ready: list[Event] = []

    def begin(self, now: datetime) -> None:
        """Make the temporary table."""
        self._session.execute("dry_run/create_seen", {})

    def record(self, conversions: pd.DataFrame, now: datetime) -> Met:
        """Record, look, and take it back."""
        with self._session.transaction() as cursor:
            self._recording.stage(cursor, conversions)
            cursor.execute(statement("dry_run/drop_seen_from_staged"))
            shown = cursor.fetchone()
            self._recording.merge(cursor, now)
            cursor.execute(statement("dry_run/states_of_staged"))
            for row in cursor.fetchall():
                key = (row.state, row.reason)
                self.states[key] = self.states.get(key, Amount()) + Amount.of_row(row)
            if len(self.first_ready) < PREVIEWS:
                cursor.execute(statement("dry_run/first_ready_of_staged"), {"rows": PREVIEWS - len(self.first_ready)})
                self.first_ready += [as_event(row) for row in cursor.fetchall()]
            cursor.connection.rollback()
        self._session.execute("dry_run/add_seen", {"action_ids": conversions["action_id"].tolist()})
        return Met(again=Amount.of_row(shown))

    def end(self, tally: Tally, now: datetime) -> None:
        """Do nothing: a dry run keeps no record."""

    def waiting(self, state: State, now: datetime, page_rows: int) -> Iterator[pd.DataFrame]:
        """Yield pages of the due conversions of the window in this state that the dry run did not read again."""
        scope = self._run.sendable(self._rules.destination, [self._rules.source], now)
        parameters = scope.parameters() | {"state": str(state), "rows": page_rows}
        after = {"after_ms": -(2**62), "after_id": 0}
        while rows := self._session.fetch("dry_run/page_of_unseen", parameters | after):
            after = {"after_ms": rows[-1].action_timestamp_ms, "after_id": rows[-1].id}
            if state is State.READY:
                self.first_ready += [as_event(row) for row in rows[: max(PREVIEWS - len(self.first_ready), 0)]]
            columns = ("id", "action_timestamp_ms", "identity_key", "value")
            yield pd.DataFrame({name: pd.Series([getattr(row, name) for row in rows], dtype=object) for name in columns}).astype(
                {"action_timestamp_ms": "int64"}
            )
