"""The answer to the question of 23:30 UTC: will tonight's conversions make it, and if not, why not?"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum

from webflow_conversions.ledger.overview import LedgerRun, OverviewData
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.window import next_import
from webflow_conversions.ui.formatting import clock, conversions, duration, short

LATE_START = timedelta(minutes=5)
"""A run that is due for so long and does not start has a reason."""


class Level(StrEnum):
    """How worried to be; also the colour."""

    GOOD = "good"
    WAITING = "waiting"
    WORKING = "working"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class AirflowRun:
    """A run as Airflow knows it; ``failed_tasks`` by task ID.

    ``dry_run`` and ``is_partial`` (for a date, or for some sources) are what it was asked for.
    """

    run_id: str
    run_type: str
    state: str
    run_after: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    failed_tasks: Sequence[str] = ()
    dry_run: bool = False
    is_partial: bool = False

    @property
    def is_active(self) -> bool:
        """Whether it is still going, or is to."""
        return self.state in ("queued", "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class DagNow:
    """The Dag as Airflow knows it; ``runs`` by the time they were due, the newest first; ``next_run_at``, the next one is."""

    is_there: bool = True
    is_paused: bool = False
    next_run_at: datetime | None = None
    runs: Sequence[AirflowRun] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A sentence, what stands behind it, and whether a run by hand would help. ``run_id`` is the run that it speaks of."""

    level: Level
    headline: str
    details: Sequence[str] = ()
    can_start: bool = False
    run_id: str | None = None


def verdict(data: OverviewData, dag: DagNow, now: datetime) -> Verdict:
    """Where the night stands."""
    ready = sum(data.ready.values(), Amount())
    if not dag.is_there:
        return Verdict(
            level=Level.BAD,
            headline="Airflow does not know the Dag.",
            details=["Its file is missing or cannot be imported: see the import errors on Airflow's home page."],
        )
    active = next((run for run in reversed(dag.runs) if run.is_active and not _is_dry(run, data)), None)
    if active is not None and not (dag.is_paused and active.state == "queued"):
        return _while_it_runs(active, data, ready, now)
    nights = [run for run in dag.runs if _stands_for_a_night(run, data)]
    if ready.rows:
        return _something_waits(nights[0] if nights else None, data, dag, ready, now)
    if dag.is_paused:
        return Verdict(
            level=Level.BAD,
            headline="The Dag is paused: nothing is sent tonight.",
            details=["Unpause it in Airflow; the run that was due last then starts at once."],
        )
    # What somebody started by hand and was refused before it read anything takes nothing back of what the others did.
    tonight = [
        run
        for run in nights
        if run.run_after >= _midnight_before(now) and (run.run_type != "manual" or _opened(data, run.run_id))
    ]
    if tonight and tonight[0].state == "failed":
        return Verdict(
            level=Level.WARNING,
            headline="Tonight's run failed; of what it could read, nothing is left to send.",
            details=_why(tonight[0], data),
            can_start=True,
            run_id=tonight[0].run_id,
        )
    if tonight:
        accepted = _accepted(data, _midnight_before(now))
        headline = (
            f"All that could go out tonight is out: {conversions(accepted)}."
            if accepted.rows
            else "Nothing was due tonight: the run found no conversion to send."
        )
        return Verdict(level=Level.GOOD, headline=headline, details=_next_run(dag, now), run_id=tonight[0].run_id)
    return _before_the_run(nights[0] if nights else None, data, dag, now)


def _while_it_runs(active: AirflowRun, data: OverviewData, ready: Amount, now: datetime) -> Verdict:
    record = _record(data, active.run_id)
    import_at = next_import(now)
    if record is None or record.approved_at is None:
        step = "is about to start" if active.state == "queued" else "reads the sources and looks for known users"
        waiting = [f"{conversions(ready)} wait for it."] if ready.rows else []
        return Verdict(level=Level.WORKING, headline=f"The run {step}.", details=waiting, run_id=active.run_id)
    resting = {name: until for name, until in data.rests_until.items() if until > now}
    rests = [f"Webflow asked {name} to wait until {until.astimezone(UTC):%H:%M:%S} UTC." for name, until in resting.items()]
    forecasts = [forecast for forecast in record.forecasts.values() if forecast.stands(now)]
    late = sum((forecast.waiting.late for forecast in forecasts), Amount())
    expiring = sum((forecast.waiting.expiring for forecast in forecasts), Amount())
    speed = sum(forecast.rows_per_second for forecast in forecasts)
    ends = [forecast.done_at for forecast in forecasts if forecast.done_at]
    if late.rows:
        return Verdict(
            level=Level.BAD,
            headline=f"At this rate {conversions(late)} miss the import at {clock(import_at)}.",
            details=[
                f"{conversions(ready)} wait, and {speed:,.0f} a second go out.",
                *rests,
                *_expiring(expiring),
                "What is late is not lost: it is imported the night after, as long as it goes out before it is 2 days old.",
            ],
            run_id=active.run_id,
        )
    if not ready.rows:
        return Verdict(level=Level.WORKING, headline="The run has sent all it had, and closes its account.", run_id=active.run_id)
    end = max(ends, default=None) if len(ends) == len(forecasts) else None
    in_time = f"done at {clock(end)}, {duration(import_at - end)} before the import" if end else "the rate is not known yet"
    return Verdict(
        level=Level.WARNING if rests else Level.WORKING,
        headline=f"{conversions(ready)} are on their way: {in_time}.",
        details=[*([f"{speed:,.0f} a second go out."] if speed else []), *rests, *_expiring(expiring)],
        run_id=active.run_id,
    )


def _something_waits(last: AirflowRun | None, data: OverviewData, dag: DagNow, ready: Amount, now: datetime) -> Verdict:
    import_at = next_import(now)
    left = duration(import_at - now)
    failed = last if last is not None and last.state == "failed" else None
    before = _failure(failed, data)
    lost = sum(data.expiring.values(), Amount())
    run_id = failed.run_id if failed else None
    if dag.is_paused:
        return Verdict(
            level=Level.BAD,
            headline=f"{conversions(ready)} are ready, and the Dag is paused: they miss the import in {left}.",
            details=["Unpause the Dag in Airflow: the run that was due last then starts at once.", *before],
            run_id=run_id,
        )
    if dag.next_run_at is not None and now - LATE_START <= dag.next_run_at < import_at:
        if lost.rows:
            return Verdict(
                level=Level.BAD,
                headline=f"{conversions(lost)} grow older than 2 days before the run at {clock(dag.next_run_at)}, "
                "and are lost then.",
                details=[f"{conversions(ready)} are ready. Start a run now: it sends them all.", *before],
                can_start=True,
                run_id=run_id,
            )
        return Verdict(
            level=Level.WARNING if failed else Level.WAITING,
            headline=f"{conversions(ready)} wait for the run at {clock(dag.next_run_at)}.",
            details=before,
            can_start=True,
            run_id=run_id,
        )
    if failed and failed.run_after >= _midnight_before(now):
        return Verdict(
            level=Level.BAD,
            headline=f"{conversions(ready)} are ready, and tonight's run failed: they miss the import in {left}.",
            details=[*_why(failed, data), *_lost_before(dag, lost)],
            can_start=True,
            run_id=run_id,
        )
    return Verdict(
        level=Level.BAD,
        headline=f"{conversions(ready)} are ready, and no run comes before the import in {left}.",
        details=["Start one: it sends all that is ready.", *_lost_before(dag, lost), *before],
        can_start=True,
        run_id=run_id,
    )


def _before_the_run(last: AirflowRun | None, data: OverviewData, dag: DagNow, now: datetime) -> Verdict:
    midnight = _midnight_before(now)
    today, last_night = _accepted(data, midnight), _accepted(data, midnight - timedelta(days=1))
    failed = last if last is not None and last.state == "failed" else None
    before = []
    if today.rows:
        before.append(f"{conversions(today)} accepted today are imported at midnight.")
    elif last is not None:
        before.append(f"The night before, {conversions(last_night)} were accepted.")
    elif not data.runs:
        before.append("Nothing has run yet: the first run sets up the ledger, and reads the last 2 days.")
    before += _failure(failed, data)
    if dag.next_run_at is None:
        return Verdict(level=Level.WAITING, headline="No run is due.", details=before, can_start=True)
    if dag.next_run_at < now - LATE_START:
        return Verdict(
            level=Level.BAD,
            headline=f"The run of {clock(dag.next_run_at)} has not started.",
            details=["Is the scheduler running? Airflow's home page shows its health.", *before],
            can_start=True,
        )
    return Verdict(
        level=Level.WARNING if failed else Level.WAITING,
        headline=f"Tonight's run starts at {clock(dag.next_run_at)}, in {duration(dag.next_run_at - now)}."
        if dag.next_run_at < next_import(now)
        else f"The next run starts on {dag.next_run_at.astimezone(UTC):%d %B} at {clock(dag.next_run_at)}.",
        details=before,
        run_id=failed.run_id if failed else None,
    )


def _stands_for_a_night(run: AirflowRun, data: OverviewData) -> bool:
    """Whether it was to send all that was due; of one that plan did not open, by what it was asked for."""
    record = _opened(data, run.run_id)
    return record.is_whole if record else not (run.dry_run or run.is_partial or run.run_type == "backfill")


def _is_dry(run: AirflowRun, data: OverviewData) -> bool:
    record = _opened(data, run.run_id)
    return record.dry_run if record else run.dry_run


def _failure(failed: AirflowRun | None, data: OverviewData) -> list[str]:
    return [f"The last run failed: {' '.join(_why(failed, data))}"] if failed else []


def _why(run: AirflowRun, data: OverviewData) -> list[str]:
    """Why a run failed and what to do: what its tasks said, and what reconcile found."""
    record = _record(data, run.run_id)
    if record is not None and record.problems and (record.causes or record.ended_at):
        remedies = {finding.sentence: finding.remedy for finding in record.causes}
        sentences = [f"{problem[0].upper()}{problem[1:].rstrip('.')}." for problem in record.problems]
        first = remedies.get(record.problems[0])
        return [sentences[0], *([first] if first else []), *sentences[1:]]
    return [silent(run.failed_tasks)]


def silent(failed_tasks: Sequence[str]) -> str:
    """What is said of tasks that failed without a sentence: by the last one that failed before reconcile did."""
    task = next((task for task in failed_tasks if task != "reconcile"), None) or next(iter(failed_tasks), "A task")
    return f"{task[0].upper()}{task[1:]} failed and left no sentence: it was ended from outside, or could not reach the ledger."


def _next_run(dag: DagNow, now: datetime) -> list[str]:
    if dag.next_run_at is None or not now <= dag.next_run_at < next_import(now):
        return []
    return [f"The run at {clock(dag.next_run_at)} takes what comes until then."]


def _lost_before(dag: DagNow, lost: Amount) -> list[str]:
    if dag.next_run_at is None or not lost.rows:
        return []
    return [f"{conversions(lost)} grow older than 2 days before the run on {short(dag.next_run_at)}, and are lost then."]


def _expiring(amount: Amount) -> list[str]:
    return [f"{conversions(amount)} grow older than 2 days before their turn, and are lost then."] if amount.rows else []


def _accepted(data: OverviewData, since: datetime) -> Amount:
    """What the runs of the day from ``since`` on got accepted."""
    runs = [run for run in data.runs if since <= run.started_at < since + timedelta(days=1)]
    return sum((amount for run in runs for amount in run.sent.values()), Amount())


def _opened(data: OverviewData, run_id: str) -> LedgerRun | None:
    record = _record(data, run_id)
    return record if record and record.is_opened else None


def _record(data: OverviewData, run_id: str) -> LedgerRun | None:
    return next((run for run in data.runs if run.run_id == run_id), None)


def _midnight_before(now: datetime) -> datetime:
    return datetime.combine(now.astimezone(UTC).date(), time(), UTC)
