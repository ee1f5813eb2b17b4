"""
### Off-site conversions as soon as the orders are there

Runs whenever the asset `orders` is updated, by dbt for example, and sends all conversions of the last 2 days that are due.
"""

from datetime import timedelta

from airflow.sdk import DAG, Asset, ExceptionRetryPolicy, RetryAction, RetryRule, TriggerRule, XComArg

from webflow_conversions.operators.extract import ExtractConversionsOperator
from webflow_conversions.operators.identify import IdentifyConversionsOperator
from webflow_conversions.operators.plan import PlanConversionsOperator
from webflow_conversions.operators.push import WebflowPushConversionsOperator
from webflow_conversions.operators.reconcile import ReconcileConversionsOperator

for_a_person = [f"webflow_conversions.errors.{error}" for error in ("Unusable", "Stopped", "Unfinished", "InDoubt")]

with DAG(
    dag_id="webflow_after_orders",
    doc_md=__doc__,
    schedule=[Asset("orders")],
    max_active_runs=1,
    default_args={
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "retry_policy": ExceptionRetryPolicy(
            rules=[RetryRule(exception=for_a_person, action=RetryAction.FAIL, reason="Somebody has to change something first.")]
        ),
    },
    render_template_as_native_obj=True,
) as dag:
    plan = PlanConversionsOperator(task_id="plan")  # sources=["store_orders"] for some of them
    run = XComArg(plan, key="run")
    extract = ExtractConversionsOperator.partial(task_id="extract", plan=run).expand(source=plan.output)
    identify = IdentifyConversionsOperator(task_id="identify", plan=run, trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
    push = WebflowPushConversionsOperator.partial(task_id="push", plan=run).expand(work=identify.output)
    reconcile = ReconcileConversionsOperator(task_id="reconcile", plan=run, trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
    extract >> identify
    push >> reconcile
