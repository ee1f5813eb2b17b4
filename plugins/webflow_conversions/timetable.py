"""When the Dag runs: Airflow's own timetable of several crons, made to work with the data interval that the Dag needs."""

from datetime import UTC, datetime
from operator import attrgetter

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.trigger import MultipleCronTriggerTimetable


class NightTimetable(MultipleCronTriggerTimetable):
    """Several crons; the data interval of a run is the time of length ``interval`` before it.

    Without catch-up, Airflow 3.3.2 chooses among the crons by the next *logical date* of each, the start of its data
    interval: the later one where several are past. With an interval of 2 days the next ones always are, so that of
    22:00 and 23:15 only 23:15 would ever run. Here it is when a run is due that counts.
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
