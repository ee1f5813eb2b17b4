"""push: the custom Webflow operator."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from webflow_conversions.operators.base import ConversionsOperator, now, tell

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from webflow_conversions.delivery.push import Push
    from webflow_conversions.ledger.runs import Runs
    from webflow_conversions.pipeline.run import Run
    from webflow_conversions.transport.api import Api


class WebflowPushConversionsOperator(ConversionsOperator):
    """Sends due conversions to a destination, as one of several workers on one queue; returns counts of conversions.

    In a rehearsal it sends nothing, and says what it would send.

    :param work: the share of this worker: ``destination`` (the connection), ``sources``, ``worker`` (its number).
    :param plan: the run, as the plan task pushed it.
    """

    template_fields: Sequence[str] = (*ConversionsOperator.template_fields, "work", "plan")

    def __init__(self, *, work: dict[str, Any], plan: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.work = work
        self.plan = plan
        self._push: Push | None = None
        self._is_killed = False

    @property
    def about(self) -> dict[str, str]:
        return {"destination": self.work["destination"]}

    def perform(self, context: Context) -> dict[str, Any]:
        from webflow_conversions.ledger.push import Worker
        from webflow_conversions.pipeline.metrics import push_metrics

        run = self._planned(context, self.plan)
        destination = self.work["destination"]
        api = self.project.destination(destination)
        # The file is read anew: a run that was planned as live sends nothing more once it says rehearse.
        if self._runs(context).rehearses(run, asked=self.config.delivery.is_rehearsal):
            return self._rehearse(self._runs(context), run, api)
        self.log.info("sends to %s for customer ID %s (connection %s)", api.url, api.customer_id, destination)
        worker = Worker(
            destination=destination,
            sources=self.work["sources"],
            number=self.work["worker"],
            try_number=context["ti"].try_number,
        )
        self._push = self.project.push(run, worker, self.ledger)
        if self._is_killed:
            self._push.stop()
        started = monotonic()
        try:
            self._push.run()
        finally:
            counts = self._push.counts
            tell(push_metrics(destination, worker.number, counts.accepted, monotonic() - started))
        return counts.to_json()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """What the task read and wrote, nothing if it was to send nothing; Airflow's OpenLineage provider asks for it."""
        from airflow.providers.openlineage.extractors import OperatorLineage

        from webflow_conversions.operators.lineage import of_push

        if self._push is None:
            return OperatorLineage()
        return of_push(self.ledger_conn_id, self.project.destination(self.work["destination"]), self._push.counts.accepted)

    def on_kill(self) -> None:
        """Stop in good order: Airflow sends SIGTERM, and kills five seconds later."""
        self._is_killed = True
        if self._push is not None:
            self._push.stop()

    def _rehearse(self, runs: Runs, run: Run, api: Api) -> dict[str, Any]:
        """Tell what all workers of the destination together would send; nothing is claimed, and nothing leaves."""
        from webflow_conversions.pipeline.preview import PAYLOADS, payload

        destination, sources, moment = self.work["destination"], self.work["sources"], now()
        amount = runs.would_send(run, destination, sources, moment)
        self.log.warning(
            "Rehearsal: nothing is sent. %s would go to %s for customer ID %s (connection %s).",
            amount, api.url, api.customer_id, destination,
        )  # fmt: skip
        for first in runs.first_ready(run, {destination: sources}, moment, PAYLOADS).values():
            for _, event in first:
                self.log.info("would send %s", payload(event, api.customer_id))
        return {"would_send": amount.to_json()}
