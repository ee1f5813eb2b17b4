"""The ledger as a dry run sees it: every chunk is recorded in a transaction that is rolled back. And the results of dry runs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

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
from webflow_conversions.rules.evaluation import SourceRules


class DryRunExtraction:
    """A :class:`~webflow_conversions.pipeline.dry_run.DryRunLedger`: foresees what recording a chunk makes of its conversions."""

    def __init__(self, session: Session, run: Run, rules: SourceRules, config_digest: str) -> None:
        self._session = session
        self._run = run
        self._rules = rules
        self._recording = Extraction(session, run, rules, config_digest)

    def foresee(self, conversions: pd.DataFrame, now: datetime) -> pd.DataFrame:
        """Record the chunk, look, and take it back.

        :raises Unavailable: if other runs keep adding the same conversions at this moment.
        """
        for _ in range(RACES):
            with suppress(UniqueViolation), self._session.transaction(is_kept=False) as cursor:
                self._recording.stage(cursor, conversions)
                self._recording.merge(cursor, now)
                cursor.execute(statement("dry_run/foreseen"))
                names = [column.name for column in cursor.description or ()]
                return pd.DataFrame(cursor.fetchall(), columns=names, dtype=object)
        raise Unavailable(f"Another run records the conversions of {self._rules.source} at the same time: let one of them end.")

    def waiting(self, now: datetime, page_rows: int) -> Iterator[pd.DataFrame]:
        """What waits in the window and is due, in pages."""
        scope = self._run.sendable(self._rules.destination, [self._rules.source], now)
        parameters = scope.parameters() | {"rows": page_rows}
        after = {"after_ms": -(2**62), "after_id": 0}
        while rows := self._session.fetch("dry_run/page_of_waiting", parameters | after):
            after = {"after_ms": rows[-1].action_timestamp_ms, "after_id": rows[-1].id}
            yield pd.DataFrame(rows, dtype=object).astype({"id": "int64", "action_timestamp_ms": "int64"})


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
