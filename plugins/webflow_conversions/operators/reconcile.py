"""reconcile: proves that nothing is missing, writes the run's record, and fails the run where something is."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from webflow_conversions.errors import Unfinished
from webflow_conversions.operators.base import ConversionsOperator, now, tell
from webflow_conversions.operators.dry_run import end_dry_run

if TYPE_CHECKING:
    from webflow_conversions.pipeline.run import Run
    from webflow_conversions.pipeline.verdict import Verdict


class ReconcileConversionsOperator(ConversionsOperator):
    """Counts, proves, records, cleans up; returns the run's counts.

    :param plan: the run, as the plan task pushed it.
    """

    template_fields: Sequence[str] = (*ConversionsOperator.template_fields, "plan")

    def __init__(self, *, plan: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan

    def perform(self, context: Context) -> dict[str, Any]:
        from webflow_conversions.ledger.expiry import expire_waiting
        from webflow_conversions.ledger.retention import hash_people, remove_old
        from webflow_conversions.ledger.runs import Runs
        from webflow_conversions.pipeline.guards import Limits
        from webflow_conversions.pipeline.judgement import judge
        from webflow_conversions.pipeline.metrics import run_metrics
        from webflow_conversions.pipeline.preview import PAYLOADS
        from webflow_conversions.pipeline.reconciliation import as_table, counts

        run = self._planned(context, self.plan)
        session = self.ledger()
        if run.dry_run:
            return end_dry_run(context, run, session)
        runs = Runs(session, context["dag_run"].dag_id)
        destinations = self.config.destinations(run.sources)
        is_rehearsal = runs.rehearses(run, asked=self.config.delivery.is_rehearsal)
        expire_waiting(session, run.run_id, now())
        runs.end_pushes(run)
        moment = now()
        evidence = runs.evidence(run, destinations, moment, is_rehearsal=is_rehearsal)
        verdict = judge(evidence, Limits(**self.config.guards.model_dump()))
        activity = runs.activity(now()) if self.config.attribution else {}
        document = counts(evidence.accounts, evidence.pushes, activity)
        if is_rehearsal:
            first = runs.first_ready(run, destinations, moment, PAYLOADS)
            for source, events in first.items():
                document["sources"][source]["first_to_send"] = [number for number, _ in events]
        runs.end(run, verdict, document)
        tell(run_metrics(evidence.accounts, verdict, now()))
        self.log.info("where the conversions of this run stand:\n%s", as_table(evidence.accounts))
        for finding in verdict.findings:
            self.log.log(logging.INFO if finding.level.is_green else logging.ERROR, "%s: %s", finding.level, finding.sentence)
        removed = remove_old(session, timedelta(days=self.config.retention_days), now())
        if removed:
            self.log.info("removed %s conversions that finished over %s days ago", removed, self.config.retention_days)
        hashed = hash_people(session, timedelta(days=self.config.people_retention_days), now())
        if hashed:
            self.log.info(
                "hashed the people of %s conversions that finished over %s days ago", hashed, self.config.people_retention_days
            )
        self._tell(context, run, document, verdict, is_rehearsal=is_rehearsal)
        return document

    def _tell(
        self, context: Context, run: Run, document: dict[str, Any], verdict: Verdict, *, is_rehearsal: bool = False
    ) -> None:
        """Fail the run unless its verdict is green, else give the counts to those who wait for the asset."""
        if not verdict.level.is_green:
            raise Unfinished(f"{verdict.level.headline}: {'; '.join(verdict.problems)}.")
        for asset in self.outlets:
            flags = {"dry_run": run.dry_run, "is_rehearsal": is_rehearsal}
            context["outlet_events"][asset].extra = {"run_id": run.run_id, **flags, **document}
