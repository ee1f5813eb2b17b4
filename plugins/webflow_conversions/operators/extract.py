"""extract: from one source's query to the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from webflow_conversions.operators.base import ConversionsOperator, now

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from webflow_conversions.pipeline.run import Run


class ExtractConversionsOperator(ConversionsOperator):
    """Reads a source and accounts for each of its rows; returns the tally. A dry run keeps its result for the page instead,
    and returns its counts.

    :param source: the name of the source.
    :param plan: the run, as the plan task pushed it.
    """

    template_fields: Sequence[str] = (*ConversionsOperator.template_fields, "source", "plan")

    def __init__(self, *, source: str, plan: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.plan = plan

    @property
    def about(self) -> dict[str, str]:
        return {"source": self.source}

    def perform(self, context: Context) -> dict[str, Any]:
        from webflow_conversions.ledger.extraction import Extraction
        from webflow_conversions.pipeline.causes import Cause
        from webflow_conversions.pipeline.extraction import extract
        from webflow_conversions.pipeline.reconciliation import tally_counts

        run = self._planned(context, self.plan)
        if run.dry_run:
            return self._show(context, run)
        source = self.config.source(self.source)
        rules, query, users = self.config.rules(source), self.project.source_query(source, run.window), self.project.known_users
        ledger = Extraction(self.ledger(), run, rules, self.project.fingerprint(source.webflow_conn_id))
        tally = extract(run, rules, query, users, ledger, now)
        self.log.info("%s: %s", source.name, tally_counts(tally))
        self._hint(context, run, Cause.UNREADABLE_TIMES, users.unreadable.sentence)
        self._summarize(context, f"{tally.read.rows:,} read, {tally.recorded.rows:,} recorded")
        return {"source": source.name, **tally_counts(tally)}

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """What the task read and wrote; Airflow's OpenLineage provider asks for it."""
        from webflow_conversions.operators.lineage import Query, of_queries
        from webflow_conversions.pipeline.run import Run

        source, known = self.config.source(self.source), self.config.known_users
        queries = [Query(source.sql, source.warehouse_conn_id), Query(known.sql, known.warehouse_conn_id)]
        is_kept = not Run.from_json(self.plan).dry_run
        return of_queries(self.project, queries, self.ledger_conn_id, reads_ledger=False, writes_ledger=is_kept)

    def _show(self, context: Context, run: Run) -> dict[str, Any]:
        """Look at the source, and keep the result in the ledger for the page."""
        from webflow_conversions.ledger.dry_run import DryRuns
        from webflow_conversions.ledger.foreseeing import DryRunExtraction

        source, session = self.config.source(self.source), self.ledger()
        rules, api = self.config.rules(source), self.project.destination(source.webflow_conn_id)
        results = DryRuns(session)
        results.forget(run, source.name)
        preview = self.project.preview(
            source,
            run,
            DryRunExtraction(session, run, rules, self.project.fingerprint(source.webflow_conn_id)),
            now,
            customer_id=api.customer_id,
        )
        results.record(run, preview, now())
        self.log.info("%s", preview)
        self._summarize(context, f"{preview.tally.read.rows:,} read, {preview.to_send.rows:,} would be sent")
        return {"source": source.name, **preview.counts()}

    def _summarize(self, context: Context, summary: str) -> None:
        """Set the text that Airflow shows in place of the number of the mapped task."""
        context["summary"] = f"{self.source}: {summary}"  # type: ignore[typeddict-unknown-key]
