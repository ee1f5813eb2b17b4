"""What Airflow gets of the package beside its operators. The one file of this folder that Airflow's plugin scan reads."""

from airflow.plugins_manager import AirflowPlugin

from webflow_conversions.hooks import scheduler
from webflow_conversions.timetable import NightTimetable


class WebflowPlugin(AirflowPlugin):
    """The listener that tells plan what only the scheduler knows, and the timetable of the Dag."""

    name = "webflow"
    listeners = [scheduler]  # noqa: RUF012 - Airflow's own kind of attribute
    timetables = [NightTimetable]  # noqa: RUF012
