"""
### Off-site conversions: read back

Reads from Webflow's Data API what it shows of each goal, after its import at midnight UTC, and compares that with what
`webflow_offsite_conversions` sent. Changes nothing at Webflow.

**On schedule** at 01:30 UTC, and again at 09:00 UTC. The first one alarms nobody: an import can be late, an API can be away.
What is still wrong at 09:00 is told.

**Skipped** without the key `readback` in the configuration.

#### Triage
The failed task's own sentence says which goal, which day, and the figures.
- **read_back failed, Webflow shows nothing, or far less than usual**: check Webflow's import of that night, the event name
  of the goal, the customer ID of the connection, and that the site still calls `wf.setUserId()`.
- **read_back failed, the token or the site**: correct the connection `webflow_data`, use its *Test*, clear the task.
"""

from datetime import UTC, datetime, time, timedelta
from functools import partial

from airflow.sdk import DAG, ExceptionRetryPolicy, MultipleCronTriggerTimetable, RetryAction, RetryRule

from webflow_conversions.operators import notices
from webflow_conversions.operators.read_back import ReadBackOperator

READS_AT = (time(1, 30), time(9, 0))
"""Times of day in UTC; runs before the last one tell nobody."""

retry_policy = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=[f"webflow_conversions.errors.{error}" for error in ("Unusable", "Unfinished")],
            action=RetryAction.FAIL,
            reason="Somebody has to change something first.",
        )
    ]
)

with DAG(
    dag_id="webflow_offsite_conversions_readback",
    description="What Webflow shows of the conversions that were sent, every morning.",
    doc_md=__doc__,
    schedule=MultipleCronTriggerTimetable(*(f"{at.minute} {at.hour} * * *" for at in READS_AT), timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    on_failure_callback=partial(notices.notify_of_failed_readback, tells_from=max(READS_AT)),
    on_success_callback=partial(notices.notify_of_readback, tells_from=max(READS_AT)),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "marketing-data",
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=15),
        "retry_policy": retry_policy,
    },
    tags=["webflow", "marketing"],
) as dag:
    ReadBackOperator(task_id="read_back")
