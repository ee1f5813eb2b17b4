"""extract: from one source's query to the ledger."""

from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context

from webflow_conversions.operators.base import ConversionsOperator, now


class ExtractConversionsOperator(ConversionsOperator):
    """Reads a source and accounts for each of its rows; returns the tally. A dry run only shows its results.

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
        from webflow_conversions.hooks.webflow import WebflowHook
        from webflow_conversions.ledger.dry_run import DryRunExtraction
        from webflow_conversions.ledger.extraction import Extraction
        from webflow_conversions.pipeline.causes import Cause
        from webflow_conversions.pipeline.dry_run import dry_run, preview
        from webflow_conversions.pipeline.extraction import extract
        from webflow_conversions.pipeline.guards import Limits
        from webflow_conversions.pipeline.reconciliation import state_counts, tally_counts
        from webflow_conversions.pipeline.run import Run

        run = Run.from_json(self.plan)
        source = self.config.source(self.source)
        rules, query, users = self.config.rules(source), self.project.source_query(source, run.window), self.project.known_users
        config_digest = self.project.config_digest(source.webflow_conn_id)
        session = self.ledger()
        if not run.dry_run:
            tally = extract(run, rules, query, users, Extraction(session, run, rules, config_digest), now)
            self.log.info("%s: %s", source.name, tally_counts(tally))
            self._hint(context, run, Cause.UNREADABLE_TIMES, users.unreadable.sentence)
            self._summarize(context, f"{tally.read.rows:,} read, {tally.recorded.rows:,} recorded")
            return {"source": source.name, **tally_counts(tally)}
        limits = None if run.force else Limits(**self.config.guards.model_dump())
        showing = DryRunExtraction(session, run, rules, config_digest)
        shown = dry_run(run, rules, query, users, showing, now, returns_all=source.returns_all, limits=limits)
        customer_id = WebflowHook(source.webflow_conn_id).get_conn().customer_id
        previews = [preview(event, customer_id) for event in shown.first_ready]
        self._summarize(context, f"{shown.tally.read.rows:,} read, {shown.to_send.rows:,} would be sent")
        self._hint(context, run, Cause.UNREADABLE_TIMES, users.unreadable.sentence)
        self.log.info("dry run of %s: %s would be sent; by state: %s", source.name, shown.to_send, state_counts(shown.states))
        for payload in previews:
            self.log.info("would send %s", payload)
        if shown.unseen.rows:
            self.log.warning("%s of them wait from earlier runs, and %s did not return them this time", shown.unseen, source.name)
        return {
            "source": source.name,
            **tally_counts(shown.tally),
            "states": state_counts(shown.states),
            "unseen": shown.unseen.to_json(),
            "previews": previews,
        }

    def _summarize(self, context: Context, summary: str) -> None:
        """Set the text that Airflow shows in place of the number of the mapped task."""
        context["summary"] = f"{self.source}: {summary}"  # type: ignore[typeddict-unknown-key]
