"""What Airflow gets of the package beside its operators. The one file of this folder that Airflow's plugin scan reads."""

from airflow.plugins_manager import AirflowPlugin

from webflow_conversions.hooks import scheduler


class WebflowPlugin(AirflowPlugin):
    """The listener that tells plan what only the scheduler knows."""

    name = "webflow"
    listeners = [scheduler]  # noqa: RUF012 - Airflow's own kind of attribute
