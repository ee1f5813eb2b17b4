"""The ledger as a dry run sees it: every chunk is recorded in a transaction that is rolled back. And the results of dry runs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
from psycopg2.errors import UniqueViolation
from psycopg2.extras import Json

from webflow_conversions.errors import Unavailable
from webflow_conversions.ledger.extraction import RACES, Extraction
from webflow_conversions.ledger.retention import PREVIEWS_KEPT
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.pipeline.failures import Failure, failures_of
from webflow_conversions.pipeline.preview import Preview
from webflow_conversions.pipeline.run import Run
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.evaluation import SourceRules


class DryRunExtraction:
    """A :class:`~webflow_conversions.pipeline.dry_run.DryRunLedger`: foresees what recording a chunk makes of its conversions.

    A temporary table with the action IDs of the conversions outlives a chunk.
    """

    def __init__(self, session: Session, run: Run, rules: SourceRules, config_digest: str) -> None:
        self._session = session
        self._run = run
        self._rules = rules
        self._recording = Extraction(session, run, rules, config_digest)

    def begin(self) -> None:
        """Make the temporary table."""
        self._session.execute("dry_run/create_seen", {})

    def foresee(self, conversions: pd.DataFrame, now: datetime) -> pd.DataFrame:
        """Record the chunk, look, and take it back.

        :raises Unavailable: if other runs keep adding the same conversions at this moment.
        """
        foreseen = self._foresee(conversions, now)
        self._session.execute("dry_run/add_seen", {"action_ids": conversions["action_id"].tolist()})
        return foreseen

    def unseen(self, now: datetime) -> Amount:
        """The waiting conversions of the window that are due and that the dry run did not read again."""
        (row,) = self._session.fetch("dry_run/count_unseen", self._due(now))
        return Amount.of_row(row)

    def waiting(self, now: datetime, page_rows: int) -> Iterator[pd.DataFrame]:
        """These conversions in pages."""
        parameters = self._due(now) | {"rows": page_rows}
        after = {"after_ms": -(2**62), "after_id": 0}
        while rows := self._session.fetch("dry_run/page_of_unseen", parameters | after):
            after = {"after_ms": rows[-1].action_timestamp_ms, "after_id": rows[-1].id}
            yield pd.DataFrame(rows, dtype=object).astype({"id": "int64", "action_timestamp_ms": "int64"})

    def _foresee(self, conversions: pd.DataFrame, now: datetime) -> pd.DataFrame:
        for _ in range(RACES):
            with suppress(UniqueViolation), self._session.transaction(is_kept=False) as cursor:
                self._recording.stage(cursor, conversions)
                self._recording.merge(cursor, now)
                cursor.execute(statement("dry_run/foreseen"))
                names = [column.name for column in cursor.description or ()]
                return pd.DataFrame(cursor.fetchall(), columns=names, dtype=object)
        raise Unavailable(f"Another run records the conversions of {self._rules.source} at the same time: let one of them end.")

    def _due(self, now: datetime) -> dict[str, Any]:
        return self._run.sendable(self._rules.destination, [self._rules.source], now).parameters()


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunRecord:
    """A dry run as the ledger keeps it: ``previews`` by source, of those that were read; ``failures`` of its tasks.

    ``number`` is the ledger's, ``run_id`` Airflow's name. ``is_kept``: the results are not older than a day.
    """

    number: int
    run_id: str
    window_start: datetime
    window_end: datetime
    sources: Sequence[str]
    started_at: datetime
    ended_at: datetime | None
    currency: str | None
    previews: Mapping[str, Preview]
    failures: Sequence[Failure]
    is_kept: bool


class DryRuns:
    """The results of dry runs, one a run and source."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def forget(self, run: Run, source: str) -> None:
        """Remove what an earlier try showed."""
        self._session.execute("dry_run/forget", {"run": run.id, "source": source})

    def record(self, run: Run, preview: Preview, now: datetime) -> None:
        """Keep the result of a source."""
        parameters = {"run": run.id, "source": preview.source, "now": now, "preview": Json(preview.to_json())}
        self._session.execute("dry_run/record", parameters)

    def find(self, dag_id: str, number: int, now: datetime) -> DryRunRecord | None:
        """A dry run of a Dag by its number; None if the ledger has none, or if plan did not open it."""
        rows = self._session.fetch("dry_run/find", {"dag_id": dag_id, "number": number, "since": now - PREVIEWS_KEPT})
        if not rows or rows[0].window_end is None:
            return None
        row = rows[0]._asdict()
        previews = {source: Preview.from_json(document) for source, document in row.pop("previews").items()}
        failures = failures_of(row.pop("failures"))
        return DryRunRecord(**row, previews=previews, failures=failures, is_kept=row["started_at"] >= now - PREVIEWS_KEPT)
