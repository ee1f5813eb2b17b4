"""identify: joins waiting conversions to the known users, and runs the guards before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from webflow_conversions.errors import Stopped, Unavailable
from webflow_conversions.operators.base import ConversionsOperator, now
from webflow_conversions.operators.dry_run import end_dry_run

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from webflow_conversions.ledger.runs import Runs
    from webflow_conversions.pipeline.guards import Limits
    from webflow_conversions.pipeline.run import Run


class IdentifyConversionsOperator(ConversionsOperator):
    """Returns the work of the pushes, one dict for each worker: its destination, its sources, its number.

    Conversions that are ready are sent even if the warehouse is away; reconcile reports the warehouse.

    :param plan: the run, as the plan task pushed it.
    """

    template_fields: Sequence[str] = (*ConversionsOperator.template_fields, "plan")

    def __init__(self, *, plan: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan

    def perform(self, context: Context) -> list[dict[str, Any]]:
        from webflow_conversions.ledger.identification import Identification
        from webflow_conversions.ledger.runs import Runs
        from webflow_conversions.pipeline.causes import Cause
        from webflow_conversions.pipeline.guards import Limits
        from webflow_conversions.pipeline.identification import identify

        run = self._planned(context, self.plan)
        if run.dry_run:
            end_dry_run(context, run, self.ledger())
            return []
        session = self.ledger()
        runs = Runs(session, context["dag_run"].dag_id)
        destinations = self.config.destinations(run.sources)
        waiting = Identification(self.ledger(), session, run, destinations, just_asked=context["ti"].try_number == 1)
        limits = Limits(**self.config.guards.model_dump())
        try:
            users = self.project.known_users
            done = identify(
                users,
                waiting,
                now,
                returns_all={source.name for source in self.config.sources if source.returns_all},
                limits=limits,
                force=run.force,
            )
            self.log.info("identified: %s", done)
            self._hint(context, run, Cause.UNREADABLE_TIMES, users.unreadable.sentence)
        except Unavailable as error:
            if context["ti"].try_number <= context["ti"].max_tries:
                raise
            self.log.error("%s What is ready goes out all the same.", error)
            runs.note(run, f"identify: {error}")
        runs.record_reading(run, self.config.attribution.reading if self.config.attribution else None)
        self._attribute(context, run, destinations)
        self._guard(run, runs, destinations, limits)
        runs.approve(run)
        return [
            {"destination": destination, "sources": sources, "worker": worker}
            for destination, sources in destinations.items()
            for worker in range(self.config.delivery.workers)
        ]

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """What the task read and wrote, nothing for a dry run; Airflow's OpenLineage provider asks for it."""
        from airflow.providers.openlineage.extractors import OperatorLineage

        from webflow_conversions.operators.lineage import Query, of_queries
        from webflow_conversions.pipeline.run import Run

        if Run.from_json(self.plan).dry_run:
            return OperatorLineage()
        known, visits = self.config.known_users, self.config.attribution
        queries = [Query(known.sql, known.warehouse_conn_id)]
        if visits is not None:
            queries += [Query(file, visits.warehouse_conn_id) for file in (visits.visits, visits.complete_until)]
        return of_queries(self.project, queries, self.ledger_conn_id, reads_ledger=True, writes_ledger=True)

    def _attribute(self, context: Context, run: Run, destinations: Mapping[str, Sequence[str]]) -> None:
        """Judge what will count, where the configuration has visits. Nothing waits for visits that cannot be read."""
        from webflow_conversions.ledger.attribution import AttributionOfRun
        from webflow_conversions.pipeline.attribution import attribute
        from webflow_conversions.pipeline.causes import Cause

        credit = self.project.credit
        if credit is None:
            return
        ledger = AttributionOfRun(self.ledger(), self.ledger(), run, destinations)
        try:
            judged = attribute(self.project.known_users, credit, ledger, now)
            self.log.info("judged: %s", judged)
            self._hint(context, run, Cause.NO_VISITS, judged.hint)
        except Unavailable as error:
            if context["ti"].try_number <= context["ti"].max_tries:
                raise
            self._hint(context, run, Cause.VISITS_UNREAD, f"the visits could not be read, so nothing was judged: {error}")
            ledger.give_up(now())

    def _guard(self, run: Run, runs: Runs, destinations: Mapping[str, Sequence[str]], limits: Limits) -> None:
        from webflow_conversions.pipeline.guards import objections
        from webflow_conversions.pipeline.reconciliation import source_counts

        now_counts = source_counts(runs.accounts(run, destinations, now()))
        found = objections(now_counts, runs.earlier(run), limits, whole_window=run.window.spans_two_days)
        if not found:
            return
        if run.force:
            self.log.warning("forced past the guards: %s", "; ".join(found))
            return
        raise Stopped(
            f"Nothing is sent, since this run looks wrong: {'; '.join(found)}. If it is right, trigger it once more with force."
        )
