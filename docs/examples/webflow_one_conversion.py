"""
### One conversion by hand

Sends the conversion that the form, or whoever triggers the Dag through the API, describes.
"""

from datetime import datetime
from typing import Any

from airflow.sdk import DAG, ExceptionRetryPolicy, Param, RetryAction, RetryRule, task

from webflow_conversions.hooks.webflow import WebflowHook

# Only Unavailable is tried again: then nothing was received.
for_a_person = [f"webflow_conversions.errors.{error}" for error in ("Unusable", "Stopped", "InDoubt")]

with DAG(
    dag_id="webflow_one_conversion",
    doc_md=__doc__,
    schedule=None,
    params={
        "contract": Param("contract-7", type="string", title="Contract", description="The same contract is the same conversion."),
        "signed_at": Param(None, type=["null", "string"], format="date-time", title="Signed at"),
        "user_id": Param("72349876", type="string", title="Salesforce ID", description="As wf.setUserId() was given it."),
        "value": Param(None, type=["null", "number"], title="Value"),
    },
    default_args={
        "retries": 3,
        "retry_policy": ExceptionRetryPolicy(
            rules=[RetryRule(exception=for_a_person, action=RetryAction.FAIL, reason="Somebody has to decide first.")]
        ),
    },
) as dag:

    @task
    def send(params: dict[str, Any] | None = None) -> None:
        """Send the conversion."""
        asked = params or {}
        WebflowHook("webflow_default").send_event(
            event_name="contract-signed",
            user_domain="salesforce",
            user_id=asked["user_id"],
            action_id=asked["contract"],
            action_timestamp=datetime.fromisoformat(asked["signed_at"]),
            value=asked["value"],
        )

    send()
