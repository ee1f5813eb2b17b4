"""read_back: what Webflow shows of each goal and day, beside what was sent."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from webflow_conversions.errors import Unfinished
from webflow_conversions.operators.base import ConversionsOperator, now


class ReadBackOperator(ConversionsOperator):
    """Reads, records and compares; fails where Webflow shows far less than it had to.

    Skipped where the configuration has no ``readback``.
    """

    def perform(self, context: Context) -> dict[str, Any]:
        from webflow_conversions.hooks.webflow_data import WebflowDataHook
        from webflow_conversions.ledger.migrations import migrate
        from webflow_conversions.ledger.readback import ReadbackRecord
        from webflow_conversions.ledger.runs import Runs
        from webflow_conversions.pipeline.readback import read_back
        from webflow_conversions.rules.window import Window

        settings = self.config.readback
        if settings is None:
            raise AirflowSkipException("The configuration has no readback: nothing is read from Webflow.")
        session, started, dag_run = self.ledger(), now(), context["dag_run"]
        migrate(session)
        runs = Runs(session, dag_run.dag_id)
        run = runs.begin(
            run_id=dag_run.run_id,
            run_type=str(dag_run.run_type),
            window=Window(start=started - timedelta(days=settings.days), end=started),
            sources=[],
            destinations=[],
            dry_run=False,
            is_whole=False,
            force=False,
            clock_offset=None,
            now=started,
            currency=self.config.currency,
            config_path=str(self.project.file.path),
            config_digest=self.project.file.digest,
        )
        with WebflowDataHook(settings.webflow_data_conn_id).get_conn() as reports:
            done = read_back(reports, ReadbackRecord(session), settings.goals, settings.days, started)
        runs.end(run, done.verdict, done.to_json())
        for day in done.days:
            self.log.info("%s", day)
        self.log.info("%s", done.estimate.sentence)
        for finding in done.verdict.findings:
            self.log.log(logging.INFO if finding.level.is_green else logging.ERROR, "%s: %s", finding.level, finding.sentence)
        if not done.verdict.level.is_green:
            raise Unfinished(f"{done.verdict.level.headline}: {'; '.join(done.verdict.problems)}.")
        return done.to_json()
