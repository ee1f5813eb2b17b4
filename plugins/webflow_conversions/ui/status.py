"""The status of the night, the page's first words: will it make it, is it right, and if not, what is wrong and what to do.

Two facts decide everything that is said: the :class:`~webflow_conversions.ui.night.Night`, one value, and the findings of the
runs' recorded verdicts (``pipeline/verdict.py``), corrected by what has changed since.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from webflow_conversions.delivery.forecast import Forecast
from webflow_conversions.ledger.overview import LedgerRun, OverviewData
from webflow_conversions.pipeline.causes import Cause
from webflow_conversions.pipeline.causes import Level as VerdictLevel
from webflow_conversions.pipeline.verdict import Finding, Verdict, in_doubt, not_sent, of_night, worst_first
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.states import REFUSED_PREFIX, Reason, State
from webflow_conversions.rules.window import next_import
from webflow_conversions.ui.headline import Level, in_words
from webflow_conversions.ui.night import AirflowRun, DagNow, Night, Prospects, Stage

LATE_START = timedelta(minutes=5)
"""Delay after which a run that is due and has not started is called overdue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingView:
    """A finding with its remedy; ``query`` selects the conversions concerned, and is None where there is no list of them."""

    cause: Cause
    level: VerdictLevel
    source: str
    sentence: str
    amount: Amount
    remedy: str
    query: Mapping[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The first words of the page.

    ``cause`` stands before the headline: why the night is not good, None for a good one; ``causes`` are all of them.
    ``run_id`` is the run that it speaks of, ``findings_run_id`` the one whose ``findings`` these are. ``can_start``: a run by
    hand would help.
    """

    level: Level
    headline: str
    cause: str | None = None
    causes: Sequence[str] = ()
    details: Sequence[str] = ()
    findings: Sequence[FindingView] = ()
    findings_run_id: str | None = None
    can_start: bool = False
    run_id: str | None = None


def status(data: OverviewData, dag: DagNow, now: datetime, *, is_rehearsal: bool = False) -> Status:
    """The status of the night at ``now``.

    :param is_rehearsal: whether the next run will send nothing.
    """
    nights = [run for run in dag.runs if _stands_for_a_night(run, data)]
    tonight = _ended_tonight(nights, data, now)
    ended = tonight or [run for run in nights if not run.is_active][:1]
    active = _active(dag, data)
    findings = _findings(ended, data, is_active=active is not None)
    level = _level(ended[0], data, findings) if ended else None
    last = next((run for run in nights if not run.is_active), None)
    failed = last if last is not None and last.state == "failed" else None
    if failed in ended and level is not None and level.is_green:
        failed = None
    night = Night(
        stage=_stage(active, dag, data, now),
        prospects=_prospects(active, dag, data, now),
        tonight=level if tonight else None,
        before=None if tonight else level,
        last_failed=failed is not None,
        is_tonights=last is not None and last.run_after >= _midnight_before(now),
        is_rehearsal=_sends_nothing(active, data, is_rehearsal=is_rehearsal),
        was_rehearsed=bool(tonight) and _was_rehearsed(tonight[0], data),
        troubles=_troubles(data),
        accepted=_accepted(data, _midnight_before(now)),
        accepted_before=_accepted(data, _midnight_before(now) - timedelta(days=1)),
        empty_sources=[one.source for one in data.extractions if not one.read.rows],
        pauses={name: until for name, until in data.paused_until.items() if until > now},
        done_at=_done_at(active, data, now),
        rows_per_second=sum(forecast.rows_per_second for forecast in _forecasts(active, data, now)),
        next_run_at=dag.next_run_at,
        has_runs=bool(nights or data.runs),
        now=now,
        import_at=next_import(now),
        currency=data.currency,
    )
    words = in_words(night)
    causes = _causes(failed, ended, data, findings) if words.blames else []
    spoken_of = active or (failed if words.blames else None) or (tonight[0] if tonight else None)
    return Status(
        level=words.level,
        headline=words.headline,
        cause=causes[0] if causes else None,
        causes=causes,
        details=words.details,
        findings=[finding_view(finding, data) for finding in findings],
        findings_run_id=ended[0].run_id if ended else None,
        can_start=words.can_start,
        run_id=spoken_of.run_id if spoken_of else None,
    )


# What the night is


def _active(dag: DagNow, data: OverviewData) -> AirflowRun | None:
    """The run at work, the oldest first; none that waits in a paused Dag."""
    active = next((run for run in reversed(dag.runs) if run.is_active and not _is_dry(run, data)), None)
    return None if active is not None and dag.is_paused and active.state == "queued" else active


def _stage(active: AirflowRun | None, dag: DagNow, data: OverviewData, now: datetime) -> Stage:
    if not dag.is_there:
        return Stage.NO_DAG
    if active is not None:
        record = _record(data, active.run_id)
        if record is None or record.approved_at is None:
            return Stage.STARTING if active.state == "queued" else Stage.READING
        return Stage.SENDING if _ready(data).rows else Stage.CLOSING
    if dag.is_paused:
        return Stage.PAUSED
    if dag.next_run_at is not None and dag.next_run_at < now - LATE_START:
        return Stage.OVERDUE
    return Stage.RUN_COMES if dag.next_run_at is not None and dag.next_run_at < next_import(now) else Stage.NO_RUN_COMES


def _prospects(active: AirflowRun | None, dag: DagNow, data: OverviewData, now: datetime) -> Prospects:
    """What becomes of what is ready: by the forecasts of a run at work, else by the time of the next run."""
    ready = _ready(data)
    if active is not None:
        waiting = [forecast.waiting for forecast in _forecasts(active, data, now)]
        night_after = sum((one.late for one in waiting), Amount())
        lost = sum((one.expiring for one in waiting), Amount())
        return Prospects(in_time=ready - night_after - lost, night_after=night_after, lost=lost)
    lost = _sum(data.expiring)
    comes = dag.next_run_at is not None and not dag.is_paused and dag.next_run_at < next_import(now)
    rest = ready - lost
    return Prospects(in_time=rest if comes else Amount(), night_after=Amount() if comes else rest, lost=lost)


def _done_at(active: AirflowRun | None, data: OverviewData, now: datetime) -> datetime | None:
    """When the queue of the run at work is empty; None where a destination has no forecast or no end."""
    ends = [forecast.done_at for forecast in _forecasts(active, data, now)]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def _forecasts(active: AirflowRun | None, data: OverviewData, now: datetime) -> list[Forecast]:
    record = _record(data, active.run_id) if active else None
    return [forecast for forecast in record.forecasts.values() if forecast.stands(now)] if record else []


def _ended_tonight(nights: Sequence[AirflowRun], data: OverviewData, now: datetime) -> list[AirflowRun]:
    """The whole runs of tonight that have ended, the newest first.

    A run by hand that plan refused changes nothing: it read nothing, and takes nothing back of what the others did.
    """
    return [
        run
        for run in nights
        if not run.is_active
        and run.run_after >= _midnight_before(now)
        and (run.run_type != "manual" or _opened(data, run.run_id))
    ]


def _stands_for_a_night(run: AirflowRun, data: OverviewData) -> bool:
    """Whether it was to send all that was due; of one that plan did not open, by what it was asked for."""
    record = _opened(data, run.run_id)
    return record.is_whole if record else not (run.dry_run or run.is_partial or run.run_type == "backfill")


def _sends_nothing(active: AirflowRun | None, data: OverviewData, *, is_rehearsal: bool) -> bool:
    """Whether the run at work is a rehearsal; without one, or before plan has opened it, whether the next will be."""
    record = _opened(data, active.run_id) if active else None
    return record.is_rehearsal if record else is_rehearsal


def _was_rehearsed(run: AirflowRun, data: OverviewData) -> bool:
    record = _opened(data, run.run_id)
    return record is not None and record.is_rehearsal


def _is_dry(run: AirflowRun, data: OverviewData) -> bool:
    record = _opened(data, run.run_id)
    return record.dry_run if record else run.dry_run


# What was found


def _findings(ended: Sequence[AirflowRun], data: OverviewData, *, is_active: bool) -> list[Finding]:
    """The findings of a night's runs, with what is ready and what is in doubt as it is now."""
    records = [record for run in ended if (record := _record(data, run.run_id))]
    recorded = of_night([_recorded(record) for record in records])
    found = [finding for finding in recorded.findings if finding.cause not in (Cause.NOT_SENT, Cause.IN_DOUBT)]
    if ended and ended[0].state == "failed" and not is_active and not _was_rehearsed(ended[0], data):
        found += [
            not_sent(source, trouble, amount)
            for source, troubles in data.troubles.items()
            for trouble, amount in troubles.items()
        ]
    found += [in_doubt(source, amount) for source, amount in data.in_doubt.items()]
    return worst_first(found)


def _recorded(record: LedgerRun) -> Verdict:
    """What is recorded of a run: the sentences of its failed tasks, then the findings of its verdict, each once."""
    found = [*record.causes, *(record.verdict.findings if record.verdict else ())]
    return Verdict(findings=tuple({finding.sentence: finding for finding in found}.values()))


def _level(run: AirflowRun, data: OverviewData, findings: Sequence[Finding]) -> VerdictLevel:
    """The level of a night: of its findings, and failed where Airflow says so for a reason that nothing recorded tells."""
    record = _record(data, run.run_id)
    if run.state == "failed" and (record is None or _recorded(record).level.is_green):
        return VerdictLevel.FAILED
    return VerdictLevel.worst(finding.level for finding in findings)


_QUERIES: dict[Cause, dict[str, str] | None] = {
    Cause.NOT_READ: None,
    Cause.TASK_FAILED: None,
    Cause.NOT_SENT: {"state": State.READY},
    Cause.IN_DOUBT: {"only": "in_doubt"},
    Cause.POSSIBLY_RECEIVED: {"state": State.REJECTED, "reason": Reason.ECHO_MISMATCH},
    Cause.EXPIRED_UNSENT: {"state": State.EXPIRED, "reason": Reason.EXPIRED_UNSENT},
    Cause.NOT_BALANCED: None,
    Cause.NOTHING_SENDABLE: {},
    Cause.NOTHING_READ: None,
    Cause.NOBODY_KNOWN: {"state": State.HELD},
    Cause.REFUSED: {"state": State.REJECTED},
    Cause.EXPIRED_UNIDENTIFIED: {"state": State.EXPIRED, "reason": Reason.EXPIRED_UNIDENTIFIED},
    Cause.CONFLICTING_IDS: None,
    Cause.VOLUME_FELL: None,
    Cause.REJECTED: {"state": State.REJECTED},
    Cause.DATED_IN_FUTURE: {"state": State.FUTURE},
    Cause.EXPIRED_BEFORE_SEEN: {"state": State.EXPIRED, "reason": Reason.EXPIRED_BEFORE_SEEN},
    Cause.SENT_AGAIN: {"only": "sent_again"},
    Cause.CHANGED_AFTER_SENT: {"only": "changed"},
    Cause.RETURNED: None,
    Cause.LOST_USERS: {"state": State.HELD},
    Cause.UNSEEN: None,
    Cause.SHOWS_NOTHING: None,
    Cause.SHOWS_LITTLE: None,
    Cause.GOALS_DIFFER: None,
    Cause.NO_GOAL: None,
    Cause.VISITS_UNREAD: None,
    Cause.NO_VISITS: None,
    Cause.NEAR_KEYS: {"state": State.HELD},
    Cause.WITHDRAWN: {"state": State.WITHDRAWN, "reason": Reason.NO_LONGER_IN_SOURCE},
    Cause.UNREADABLE_TIMES: None,
    Cause.REHEARSAL: {"state": State.READY},
    Cause.EXPIRED_IN_REHEARSAL: {"state": State.EXPIRED, "reason": Reason.EXPIRED_IN_REHEARSAL},
    Cause.HIDDEN_CONNECTION: None,
    Cause.CONFIGURATION_CHANGED: None,
    Cause.NOT_INSTALLED: None,
}
"""The filter of the conversions that a finding is about, beside its source; None where the ledger has no list of them."""


def finding_view(finding: Finding, data: OverviewData) -> FindingView:
    """A finding with its remedy and the conversions that it is about."""
    query = _QUERIES[finding.cause]
    if query is not None:
        query = {**query, "source": finding.source}
    if query is not None and finding.cause is Cause.REFUSED:
        codes = {one.reason for one in data.ended if one.source == finding.source and one.reason.startswith(REFUSED_PREFIX)}
        query |= {"reason": codes.pop()} if len(codes) == 1 else {}
    return FindingView(
        cause=finding.cause,
        level=finding.level,
        source=finding.source,
        sentence=_sentence(finding),
        amount=finding.amount,
        remedy=finding.remedy,
        query=query,
    )


def _causes(failed: AirflowRun | None, ended: Sequence[AirflowRun], data: OverviewData, findings: Sequence[Finding]) -> list[str]:
    """Why the night is not good, the most important first; where nothing is recorded, which tasks failed."""
    record = _record(data, failed.run_id) if failed is not None and failed not in ended else None
    found = [*(record.causes if record else ()), *findings]
    told = [_sentence(finding) for finding in found if not finding.level.is_green]
    is_silent = failed is not None and (record is None if failed not in ended else not told)
    return [silent(failed.failed_tasks), *told] if failed is not None and is_silent else told


def _troubles(data: OverviewData) -> dict[str, Amount]:
    """What is ready after an attempt that failed, by its trouble."""
    found: dict[str, Amount] = {}
    for troubles in data.troubles.values():
        for trouble, amount in troubles.items():
            if trouble:
                found[trouble] = found.get(trouble, Amount()) + amount
    return found


def silent(failed_tasks: Sequence[str]) -> str:
    """What is said of tasks that failed without a sentence: by the last one that failed before reconcile did."""
    task = next((task for task in failed_tasks if task != "reconcile"), None) or next(iter(failed_tasks), "A task")
    return f"{task[0].upper()}{task[1:]} failed and left no sentence: it was ended from outside, or could not reach the ledger."


def _sentence(finding: Finding) -> str:
    """The sentence of a finding; a source keeps its name to the letter."""
    text = finding.sentence.rstrip(".")
    return f"{text}." if finding.source and text.startswith(finding.source) else f"{text[0].upper()}{text[1:]}."


def _ready(data: OverviewData) -> Amount:
    return _sum(data.ready)


def _sum(amounts: Mapping[str, Amount]) -> Amount:
    return sum(amounts.values(), Amount())


def _accepted(data: OverviewData, since: datetime) -> Amount:
    """What the runs of the day from ``since`` on got accepted."""
    runs = [run for run in data.runs if since <= run.started_at < since + timedelta(days=1)]
    return sum((amount for run in runs for amount in run.sent.values()), Amount())


def _opened(data: OverviewData, run_id: str) -> LedgerRun | None:
    """The record of a run that plan opened."""
    record = _record(data, run_id)
    return record if record and record.is_opened else None


def _record(data: OverviewData, run_id: str) -> LedgerRun | None:
    return next((run for run in data.runs if run.run_id == run_id), None)


def _midnight_before(now: datetime) -> datetime:
    return datetime.combine(now.astimezone(UTC).date(), time(), UTC)
