"""Timetable and deadline of the Dag: Airflow's own classes, changed to work for several runs in a night."""

from datetime import UTC, datetime, time
from operator import attrgetter
from typing import TYPE_CHECKING

from airflow.sdk.definitions.deadline import BaseDeadlineReference
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.trigger import MultipleCronTriggerTimetable

from webflow_conversions.rules.window import next_import

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class NightTimetable(MultipleCronTriggerTimetable):
    """Several crons; the data interval of a run is the time of length ``interval`` before it.

    Without catch-up, Airflow 3.3.2 chooses among the crons by the next *logical date* of each, the start of its data
    interval: the later one where several are past. With an interval of 2 days the next ones always are, so that of
    22:00 and 23:15 only 23:15 would ever run. This timetable chooses by the moment at which a run is due.
    """

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        found = (
            cron.next_dagrun_info(last_automated_data_interval=last_automated_data_interval, restriction=restriction)
            for cron in self._timetables
        )
        infos = sorted(filter(None, found), key=attrgetter("run_after"))
        due = [] if restriction.catchup else [info for info in infos if info.run_after <= datetime.now(UTC)]
        return due[-1] if due else next(iter(infos), None)


class NightOfRun(BaseDeadlineReference):
    """The start of the UTC day on which a scheduled run is due, for a deadline that is a time of that day.

    Airflow 3.3.2 attaches every deadline of a Dag to every run, and its own references know a run's logical date, which of
    two runs of a night is not the same time before the deadline. Without a
    deadline are runs triggered by hand, backfills, and runs created after the import that they were due for.
    """

    required_kwargs = frozenset({"dag_id", "run_id"})

    def _evaluate_with(self, *, session: "Session", dag_id: str, run_id: str) -> datetime | None:
        """Called by the scheduler when it makes a run."""
        from airflow.models import DagRun
        from sqlalchemy import select

        asked = select(DagRun.run_type, DagRun.run_after).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
        run_type, run_after = session.execute(asked).one()
        if run_type != "scheduled" or next_import(run_after) <= datetime.now(UTC):
            return None
        return datetime.combine(run_after.astimezone(UTC).date(), time(), UTC)
