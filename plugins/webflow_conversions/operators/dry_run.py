"""The end of a dry run: its record in the ledger, its note in Airflow, and its failure where a source was not read.

Airflow skips reconcile after a push without work, so identify, which gives a dry run none, ends it. Where a source was not read,
identify fails: then reconcile runs, and the run fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import Context, conf

from webflow_conversions.errors import Unfinished
from webflow_conversions.hooks.scheduler import DRY_RUN
from webflow_conversions.operators.base import now

if TYPE_CHECKING:
    from webflow_conversions.ledger.session import Session
    from webflow_conversions.pipeline.run import Run


def end_dry_run(context: Context, run: Run, session: Session) -> dict[str, Any]:
    """Close the record of a dry run by the results that its extract tasks kept; returns its counts.

    :raises Unfinished: if a source has no result.
    """
    from webflow_conversions.ledger.dry_run import DryRuns
    from webflow_conversions.ledger.retention import remove_previews
    from webflow_conversions.ledger.runs import Runs
    from webflow_conversions.pipeline.verdict import unread
    from webflow_conversions.rules.amounts import Amount

    dag_id = context["dag_run"].dag_id
    found = DryRuns(session).find(dag_id, run.id, now())
    previews = {name: preview for name, preview in (found.previews if found else {}).items() if name in run.sources}
    counts = {"sources": {name: preview.counts() for name, preview in previews.items()}}
    verdict = unread(name for name in run.sources if name not in previews)
    Runs(session, dag_id).end(run, verdict, counts)
    remove_previews(session, now())
    to_send = sum((preview.to_send for preview in previews.values()), Amount())
    page = f"{urlsplit(conf.get('api', 'base_url', fallback='')).path.rstrip('/')}/webflow/dry-runs/{run.id}"
    note = f"{to_send} would be sent, and nothing was. [Tables, examples and payloads]({page})"
    context["ti"].xcom_push(key=DRY_RUN, value=note)
    if not verdict.level.is_green:
        raise Unfinished(f"{verdict.level.headline}: {'; '.join(verdict.problems)}.")
    return counts
