"""The results of dry runs, as the ledger keeps them for the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg2.extras import Json

from webflow_conversions.ledger.retention import PREVIEWS_KEPT
from webflow_conversions.ledger.session import Session
from webflow_conversions.pipeline.failures import Failure, failures_of
from webflow_conversions.pipeline.preview import Preview
from webflow_conversions.pipeline.run import Run


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
