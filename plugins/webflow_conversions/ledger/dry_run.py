"""The ledger as a dry run sees it: every chunk is recorded in a transaction that is rolled back."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

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
            met = self._recording.merge(cursor, now)
            recorded = {"extraction": self._recording.id}
            cursor.execute(statement("dry_run/states_of_staged"), recorded)
            for row in cursor.fetchall():
                key = (row.state, row.reason)
                self.states[key] = self.states.get(key, Amount()) + Amount.of_row(row)
            if len(self.first_ready) < PREVIEWS:
                cursor.execute(statement("dry_run/first_ready_of_staged"), recorded | {"rows": PREVIEWS - len(self.first_ready)})
                self.first_ready += [as_event(row) for row in cursor.fetchall()]
            cursor.connection.rollback()
        seen = conversions["action_id"][conversions["beside"].isna()]
        self._session.execute("dry_run/add_seen", {"action_ids": seen.tolist()})
        return replace(met, again=Amount.of_row(shown))

    def end(self, tally: Tally, met: Met, now: datetime) -> None:
        """Do nothing: a dry run keeps no record."""

    def unseen(self, now: datetime) -> Amount:
        """The waiting conversions of the window that are due and that the dry run did not read again."""
        (row,) = self._session.fetch("dry_run/count_unseen", self._due(now))
        return Amount.of_row(row)

    def waiting(self, now: datetime, page_rows: int) -> Iterator[pd.DataFrame]:
        """Those conversions in pages: what an event has, with the user that each has now, ``id`` and ``identity_key``."""
        parameters = self._due(now) | {"rows": page_rows}
        after = {"after_ms": -(2**62), "after_id": 0}
        while rows := self._session.fetch("dry_run/page_of_unseen", parameters | after):
            after = {"after_ms": rows[-1].action_timestamp_ms, "after_id": rows[-1].id}
            yield pd.DataFrame(rows, dtype=object).astype({"id": "int64", "action_timestamp_ms": "int64"})

    def _due(self, now: datetime) -> dict[str, Any]:
        return self._run.sendable(self._rules.destination, [self._rules.source], now).parameters()
