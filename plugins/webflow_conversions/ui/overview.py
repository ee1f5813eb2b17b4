"""The overview: the ledger's counts and Airflow's runs in one value, which the page and the JSON API show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from statistics import median

from webflow_conversions.ledger.overview import DAYS, Address, Delays, LedgerRun, OverviewData
from webflow_conversions.pipeline.causes import Level as VerdictLevel
from webflow_conversions.pipeline.identified import SourceIdentified
from webflow_conversions.pipeline.judgement import volume_in_words
from webflow_conversions.pipeline.verdict import of_waiting
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.states import State
from webflow_conversions.rules.window import next_import
from webflow_conversions.ui.credit import Credit, credit
from webflow_conversions.ui.formatting import conversions, percent
from webflow_conversions.ui.funnel import Funnel, ReasonCount, funnel, match_rate, reasons, total
from webflow_conversions.ui.headline import Level
from webflow_conversions.ui.night import AirflowRun, DagNow
from webflow_conversions.ui.rehearsal import RehearsedSource, rehearsed
from webflow_conversions.ui.status import FindingView, Status, finding_view, silent, status

LAST_RUNS = 10
"""Runs in the list of the last runs, and in that of the dry runs."""
HOURS_LEFT = ((0, 3), (3, 6), (6, 12), (12, 24), (24, 49))
"""Bounds in full hours left, half open, by which held conversions are counted."""
ENOUGH_NIGHTS = 3
"""Earlier nights that are needed before a match rate is called usual."""
FALLEN = 0.2
"""Fall of a match rate from the usual one that is noted, as a share of the valid conversions (0.2: from 80 % to 60 %)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A warning about what no run has found yet; ``query`` selects the conversions that it is about."""

    level: Level
    sentence: str
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """A source of the run that is shown: its level, its volume beside the usual one, and how fresh its conversions are.

    ``level`` is that of its worst finding; ``working`` until it was read. ``ready`` is what could go out and has not.
    ``read``, ``ready``, ``accepted`` and ``newest_at`` are None as long as they are not known, ``delays`` where nothing of the
    last night was accepted. ``identified`` is what the last look before the sending found, and ``notes`` say it in words until
    the verdict on the run does.
    """

    source: str
    level: Level
    read: Amount | None
    usual: str
    ready: Amount | None
    accepted: Amount | None
    newest_at: datetime | None
    delays: Delays | None
    identified: SourceIdentified
    notes: Sequence[FindingView]


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A UTC day: conversions accepted by its runs; rejected, withdrawn, or expired while they waited; by source."""

    day: date
    accepted: Mapping[str, Amount]
    rejected: Mapping[str, Amount]
    expired: Mapping[str, Amount]
    withdrawn: Mapping[str, Amount]
    match_rate: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoursLeft:
    """Held conversions with at least ``from_hours`` and less than ``to_hours`` left."""

    from_hours: int
    to_hours: int
    amount: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCause:
    """Why a run is not green: a finding of its verdict, or the sentence of a task that failed; and what to do."""

    cause: str
    level: str
    source: str
    sentence: str
    remedy: str
    amount: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """A run as Airflow and the ledger know it.

    ``number`` is the ledger's, None for one that never came that far; Airflow forgets runs that the ledger still knows.
    ``accepted_so_far`` is in place of ``accepted`` while it is too large to be counted, as its pushes count it. ``to_send`` is
    what a dry run would send, and ``would_send`` what a rehearsal would have sent, once it has ended.
    """

    run_id: str
    run_type: str
    state: str
    run_after: datetime
    started_at: datetime | None
    ended_at: datetime | None
    failed_tasks: Sequence[str]
    is_in_airflow: bool
    number: int | None = None
    window_start: datetime | None = None
    window_end: datetime | None = None
    sources: Sequence[str] = ()
    dry_run: bool = False
    to_send: Amount | None = None
    is_rehearsal: bool = False
    would_send: Amount | None = None
    accepted: Amount | None = None
    accepted_so_far: int | None = None
    problems: Sequence[str] = ()
    causes: Sequence[RunCause] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The overview as of ``at``. ``run`` is the run whose ``sources``, ``funnels`` and ``reasons`` these are.

    ``dry_runs`` are not among the ``runs``.
    ``is_rehearsal``: the next run sends nothing. ``addresses`` are where conversions go, by destination, as the last run
    found it; ``config_path`` and ``config_digest`` are the configuration that it was planned with. ``rehearsed`` is what
    ``run`` would have sent, if it was a rehearsal.
    What is not live while a large run goes on: ``uncounted_sources`` have no funnel but for what was read, ``ready`` is of
    ``ready_at`` (else None), and the ``days`` are without the ``accepted_so_far`` (else 0) of runs that have not ended.
    """

    at: datetime
    import_at: datetime
    status: Status
    is_rehearsal: bool
    addresses: Mapping[str, Address]
    config_path: str | None
    config_digest: str | None
    rehearsed: Sequence[RehearsedSource]
    sources: Sequence[SourceLine]
    notes: Sequence[Note]
    run: RunLine | None
    funnels: Sequence[Funnel]
    total: Funnel | None
    unread_sources: Sequence[str]
    uncounted_sources: Sequence[str]
    reasons: Sequence[ReasonCount]
    credit: Credit
    ready: Amount
    ready_at: datetime | None
    accepted_so_far: int
    currency: str | None
    held: Amount
    held_hours: Sequence[HoursLeft]
    in_flight: Amount
    in_doubt: Amount
    sent_again: Amount
    changed: Amount
    days: Sequence[Day]
    runs: Sequence[RunLine]
    dry_runs: Sequence[RunLine]

    @property
    def matched_sources(self) -> list[str]:
        """The names of the sources that have a match rate on some day."""
        return sorted({source for day in self.days for source in day.match_rate})


def overview(data: OverviewData, dag: DagNow, now: datetime, *, asked_to_rehearse: bool | None = None) -> Overview:
    """The overview at ``now``.

    :param asked_to_rehearse: whether the configuration asks for a rehearsal; None where it is not known: as the last run did.
    """
    last = data.last_run
    was_rehearsal = last is not None and last.is_rehearsal
    is_rehearsal = was_rehearsal if asked_to_rehearse is None else asked_to_rehearse
    night = status(data, dag, now, is_rehearsal=is_rehearsal)
    funnels = [funnel(extraction) for extraction in data.extractions]
    days = _days(data, now)
    shown = data.shown
    lines = _lines(dag, data)
    return Overview(
        at=data.at,
        import_at=next_import(now),
        status=night,
        is_rehearsal=is_rehearsal,
        addresses=last.addresses if last else {},
        config_path=last.config_path if last else None,
        config_digest=last.config_digest if last else None,
        rehearsed=rehearsed(data),
        sources=_sources(data, night),
        notes=_notes(data, days),
        run=next((line for line in lines if shown is not None and line.number == shown.id), None),
        funnels=funnels,
        total=total(funnels),
        unread_sources=[source for source in shown.sources if source not in {one.source for one in funnels}] if shown else [],
        uncounted_sources=[one.source for one in funnels if not one.is_counted],
        reasons=reasons(data.extractions),
        credit=credit(data, now.astimezone(UTC).date()),
        ready=_sum(data.ready),
        ready_at=data.ready_at,
        accepted_so_far=sum(run.sent_so_far or 0 for run in data.runs),
        currency=data.currency,
        held=sum((one.amount for one in data.held if one.hours_left >= 0), Amount()),
        held_hours=[
            HoursLeft(
                from_hours=start,
                to_hours=end,
                amount=sum((one.amount for one in data.held if start <= one.hours_left < end), Amount()),
            )
            for start, end in HOURS_LEFT
        ],
        in_flight=_sum(data.awaited),
        in_doubt=_sum(data.in_doubt) + _sum(data.doubted),
        sent_again=_sum(data.sent_again),
        changed=_sum(data.changed),
        days=days,
        runs=[line for line in lines if not line.dry_run][:LAST_RUNS],
        dry_runs=[line for line in lines if line.dry_run][:LAST_RUNS],
    )


def _sources(data: OverviewData, night: Status) -> list[SourceLine]:
    extractions = {extraction.source: extraction for extraction in data.extractions}
    lines = []
    for source in data.shown.sources if data.shown else ():
        extraction = extractions.get(source)
        identified = extraction.identified if extraction else SourceIdentified()
        worst = VerdictLevel.worst(finding.level for finding in night.findings if finding.source == source)
        is_open = extraction is None and data.shown is not None and data.shown.ended_at is None
        lines.append(
            SourceLine(
                source=source,
                level=Level.WORKING if is_open else Level(worst),
                read=extraction.read if extraction else None,
                usual=volume_in_words(data.usual.get(source, ())),
                ready=funnel(extraction).ready if extraction else None,
                accepted=funnel(extraction).accepted if extraction else None,
                newest_at=extraction.newest_at if extraction else None,
                delays=data.delays.get(source),
                identified=identified,
                notes=[
                    finding_view(finding, data)
                    for finding in (() if data.shown and data.shown.verdict else of_waiting(source, identified))
                ],
            )
        )
    return lines


def _notes(data: OverviewData, days: Sequence[Day]) -> list[Note]:
    found = []
    for source in sorted({source for day in days for source in day.match_rate}):
        rates = [day.match_rate[source] for day in days if source in day.match_rate]
        usual = median(rates[:-1]) if len(rates) > ENOUGH_NIGHTS else None
        if usual is not None and rates[-1] <= usual - FALLEN:
            found.append(
                Note(
                    level=Level.ATTENTION,
                    sentence=f"The match rate of {source} fell to {percent(rates[-1])} of its valid conversions, and "
                    f"{percent(usual)} is usual: check that the site still calls wf.setUserId().",
                    query={"state": State.HELD, "source": source},
                )
            )
    soon = sum((one.amount for one in data.held if 0 <= one.hours_left < HOURS_LEFT[0][1]), Amount())
    if soon.rows:
        found.append(
            Note(
                level=Level.WAITING,
                sentence=f"{conversions(soon, data.currency)} held for a known user expire within {HOURS_LEFT[0][1]} hours.",
                query={"state": State.HELD},
            )
        )
    return found


def _days(data: OverviewData, now: datetime) -> list[Day]:
    today = now.astimezone(UTC).date()
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    return [
        Day(
            day=day,
            accepted=_accepted_on(day, data),
            rejected=_ended_on(day, State.REJECTED, data),
            expired=_ended_on(day, State.EXPIRED, data),
            withdrawn=_ended_on(day, State.WITHDRAWN, data),
            match_rate=_match_rates_on(day, data),
        )
        for day in days
    ]


def _accepted_on(day: date, data: OverviewData) -> dict[str, Amount]:
    found: dict[str, Amount] = {}
    for run in data.runs:
        if _day_of(run) == day:
            for source, amount in run.sent.items():
                found[source] = found.get(source, Amount()) + amount
    return found


def _ended_on(day: date, state: State, data: OverviewData) -> dict[str, Amount]:
    found: dict[str, Amount] = {}
    for one in data.ended:
        if one.day == day and one.state == state:
            found[one.source] = found.get(one.source, Amount()) + one.amount
    return found


def _match_rates_on(day: date, data: OverviewData) -> dict[str, float]:
    """The match rates of the last whole run of the day: as of now for the run that is shown, else as of its end."""
    found: dict[str, float] = {}
    for run in data.runs:
        if _day_of(run) != day or not run.is_whole:
            continue
        for source in run.sources:
            rate = match_rate(_states_in(run, source, data))
            if rate is not None:
                found.setdefault(source, rate)
    return found


def _states_in(run: LedgerRun, source: str, data: OverviewData) -> Mapping[tuple[str, str | None], Amount]:
    if run is data.shown:
        return next((extraction.states for extraction in data.extractions if extraction.source == source), None) or {}
    return run.states(source) or {}


def _lines(dag: DagNow, data: OverviewData) -> list[RunLine]:
    """The runs of Airflow and of the ledger, in the order of their due time, the newest first."""
    records = {run.run_id: run for run in data.runs}
    known = {run.run_id for run in dag.runs}
    lines = [_line(run, records.get(run.run_id), is_in_airflow=True) for run in dag.runs]
    lines += [_line(_as_airflow_run(run), run, is_in_airflow=False) for run in data.runs if run.run_id not in known]
    return sorted(lines, key=lambda line: line.run_after, reverse=True)


def _line(run: AirflowRun, record: LedgerRun | None, *, is_in_airflow: bool) -> RunLine:
    line = RunLine(
        run_id=run.run_id,
        run_type=run.run_type,
        state=run.state,
        run_after=run.run_after,
        started_at=run.started_at,
        ended_at=run.ended_at,
        failed_tasks=run.failed_tasks,
        is_in_airflow=is_in_airflow,
        dry_run=run.dry_run,
    )
    if run.failed_tasks:
        line = replace(line, problems=[silent(run.failed_tasks)])
    if record is None:
        return line
    return replace(
        line,
        number=record.id,
        window_start=record.window_start,
        window_end=record.window_end,
        sources=record.sources,
        dry_run=record.dry_run if record.is_opened else run.dry_run,
        to_send=record.to_send,
        is_rehearsal=record.is_rehearsal,
        would_send=sum(filter(None, map(record.would_send, record.sources)), Amount()) if record.is_rehearsal else None,
        accepted=_sum(record.sent) if record.sent_so_far is None and record.is_opened else None,
        accepted_so_far=record.sent_so_far,
        problems=record.problems or line.problems,
        causes=[
            RunCause(
                cause=finding.cause,
                level=finding.level,
                source=finding.source,
                sentence=finding.sentence,
                remedy=finding.remedy,
                amount=finding.amount,
            )
            for finding in record.causes
        ],
    )


def _as_airflow_run(record: LedgerRun) -> AirflowRun:
    """What Airflow would know of it."""
    return AirflowRun(
        run_id=record.run_id,
        run_type=record.run_type,
        state={"succeeded": "success", "failed": "failed"}.get(record.outcome or "", "unknown"),
        run_after=record.started_at,
        started_at=record.started_at,
        ended_at=record.ended_at,
    )


def _day_of(run: LedgerRun) -> date:
    return run.started_at.astimezone(UTC).date()


def _sum(amounts: Mapping[str, Amount]) -> Amount:
    return sum(amounts.values(), Amount())
