"""
### Off-site conversions to Webflow

Takes offline sales and CRM conversions from the warehouse, and sends each one that counts to Webflow's conversion API,
once, before Webflow imports at midnight UTC.

`plan → extract (one a source) → identify → push (one a worker) → reconcile`

**On schedule** at 22:00 UTC, with a sweep at 23:15 UTC for what came late; each run's window is the 2 days up to its start.
**Backfill** recent runs under *Trigger > Backfill*. **By hand for a date** with the form below: that UTC day's conversions.
Running twice sends nothing twice.
**Rehearsal**: with `delivery.mode: rehearse` in the configuration all of it runs, and nothing is sent.

#### Triage
The failed task's own sentence is the run's note, and on the conversions page.
- **plan failed**: nothing was read or sent. The sentence says what to change: the date, the configuration, a connection.
- **extract failed**: that source could not be read; the others go on. Clear the task once its database is back.
- **identify failed**: a guard found that the run looks wrong; the message has the figures. If it is right, trigger with `force`.
- **push failed**: a refused token stops at once, and consumes nothing: correct the connection, clear the task.
- **reconcile failed**: the run is not complete or needs somebody; the sentence says how many conversions, what money, and why.
  What is `ready` goes out by any run that starts before it is 2 days old, or by clearing `push` and `reconcile`.
"""

import os
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from airflow.sdk import DAG, Asset, ExceptionRetryPolicy, Param, RetryAction, RetryRule, TriggerRule, XComArg
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert

from webflow_conversions.operators import notices
from webflow_conversions.operators.extract import ExtractConversionsOperator
from webflow_conversions.operators.identify import IdentifyConversionsOperator
from webflow_conversions.operators.plan import PlanConversionsOperator
from webflow_conversions.operators.push import WebflowPushConversionsOperator
from webflow_conversions.operators.reconcile import ReconcileConversionsOperator
from webflow_conversions.rules.window import MAX_AGE
from webflow_conversions.timetable import NightOfRun, NightTimetable

RUNS_AT = (time(22, 0), time(23, 15))
DEADLINE = time(23, 40)
"""Time of day, in UTC like ``RUNS_AT``, at which conversions not yet sent are reported; Webflow imports at midnight UTC."""

PUSH_POOL = os.environ.get("WEBFLOW_CONVERSIONS_POOL", "default_pool")
"""The Airflow pool of all pushes: its slots are how many there are at once, over all Dags and machines."""


def since_midnight(moment: time) -> timedelta:
    """The moment as time since midnight."""
    return timedelta(hours=moment.hour, minutes=moment.minute)


# The callback goes by the clock, and looks at all runs since the first was due.
deadline = DeadlineAlert(
    reference=NightOfRun(),
    interval=since_midnight(DEADLINE),
    callback=AsyncCallback(notices.warn_at_deadline, kwargs={"since": f"{min(RUNS_AT):%H:%M}", "dag_file": Path(__file__).name}),
    name="before the import",
)

retry_policy = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=[f"webflow_conversions.errors.{error}" for error in ("Unusable", "Stopped", "Unfinished", "InDoubt")],
            action=RetryAction.FAIL,
            reason="Somebody has to change something first.",
        )
    ]
)

with DAG(
    dag_id="webflow_offsite_conversions",
    description="Offline sales and CRM conversions, every night before Webflow's import at midnight UTC.",
    doc_md=__doc__,
    schedule=NightTimetable(*(f"{at.minute} {at.hour} * * *" for at in RUNS_AT), timezone="UTC", interval=MAX_AGE),
    # Without one, unpausing would wait for the next night instead of making up for the last.
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    deadline=deadline,
    on_failure_callback=notices.notify_of_failure,
    on_success_callback=notices.notify_of_recovery,
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "marketing-data",
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=5),
        "retry_policy": retry_policy,
    },
    params={
        "date": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Date (UTC)",
            description="Send the conversions of this UTC day only: today or one of the two days before. Empty: the last 2 days.",
        ),
        "sources": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            title="Sources",
            description="Names from include/conversions.yaml, one a line. Empty: all.",
        ),
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run",
            description="Show what would be sent, held and rejected, with the first payloads; send nothing and change nothing.",
        ),
        "force": Param(
            False,
            type="boolean",
            title="Force",
            description="Go past the guards (many times the usual volume, say) this once. What is sent cannot be taken back.",
        ),
    },
    render_template_as_native_obj=True,
    tags=["webflow", "marketing"],
) as dag:
    plan = PlanConversionsOperator(
        task_id="plan",
        date="{{ params.date }}",
        sources="{{ params.sources }}",
        is_dry_run="{{ params.dry_run }}",
        force="{{ params.force }}",
    )
    run = XComArg(plan, key="run")
    extract = ExtractConversionsOperator.partial(
        task_id="extract", plan=run, map_index_template="{{ summary | default(task.source) }}"
    ).expand(source=plan.output)
    identify = IdentifyConversionsOperator(task_id="identify", plan=run, trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
    push = WebflowPushConversionsOperator.partial(
        task_id="push", plan=run, pool=PUSH_POOL, map_index_template="{{ task.work.destination }} {{ task.work.worker }}"
    ).expand(work=identify.output)
    reconcile = ReconcileConversionsOperator(
        task_id="reconcile",
        plan=run,
        trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
        outlets=[Asset("webflow_offsite_conversions")],
    )
    extract >> identify
    push >> reconcile
