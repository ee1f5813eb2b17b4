"""reconcile: proves that nothing is missing, writes the run's record, and fails the run where something is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from webflow_conversions.errors import Unfinished
from webflow_conversions.operators.base import ConversionsOperator, now, tell

if TYPE_CHECKING:
    from webflow_conversions.pipeline.run import Run


class ReconcileConversionsOperator(ConversionsOperator):
    """Counts, proves, records, cleans up; returns the run's counts.

    :param plan: the run, as the plan task pushed it.
    :param extracted: what the extract tasks returned, for the record of a dry run.
    """

    template_fields: Sequence[str] = (*ConversionsOperator.template_fields, "plan", "extracted")

    def __init__(self, *, plan: Any, extracted: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan
        self.extracted = extracted

    def execute(self, context: Context) -> dict[str, Any]:
        from webflow_conversions.ledger.identification import Identification
        from webflow_conversions.ledger.retention import remove_old
        from webflow_conversions.ledger.runs import Runs
        from webflow_conversions.pipeline.metrics import run_metrics
        from webflow_conversions.pipeline.reconciliation import as_table, counts, problems
        from webflow_conversions.pipeline.run import Run

        run = Run.from_json(self.plan)
        session = self.ledger()
        runs = Runs(session, context["dag_run"].dag_id)
        if run.dry_run:
            shown = {document["source"]: document for document in self.extracted or ()}
            missing = [f"{source}: was not read to its end" for source in run.sources if source not in shown]
            runs.end(run, missing, {"sources": shown})
            self._tell(context, run, {"sources": shown}, missing)
            return {"sources": shown}
        destinations = self.config.destinations(run.sources)
        Identification(session, session, run, destinations).expire(now())
        accounts = runs.accounts(run, destinations, now())
        pushes, lost = runs.pushes(run), runs.lost(run)
        found = [*runs.notes(run), *problems(accounts, pushes, lost)]
        document = counts(accounts, pushes, lost)
        runs.end(run, found, document)
        tell(run_metrics(accounts, now()))
        self.log.info("where the conversions of this run stand:\n%s", as_table(accounts))
        removed = remove_old(session, timedelta(days=self.config.retention_days), now())
        if removed:
            self.log.info("removed %s conversions that finished over %s days ago", removed, self.config.retention_days)
        self._tell(context, run, document, found)
        return document

    def _tell(self, context: Context, run: Run, document: dict[str, Any], problems_found: list[str]) -> None:
        """Fail the run where something is open, else give the counts to those who wait for the asset."""
        if problems_found:
            raise Unfinished(f"The run is not complete: {'; '.join(problems_found)}.")
        for asset in self.outlets:
            context["outlet_events"][asset].extra = {"run_id": run.run_id, "dry_run": run.dry_run, **document}
