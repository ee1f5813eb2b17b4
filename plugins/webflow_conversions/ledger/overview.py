"""The ledger as the conversions page reads it: the result of a night, waiting rows, rows in doubt; all of one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from psycopg2.extensions import cursor as Cursor

from webflow_conversions.delivery.forecast import Forecast, forecasts_of
from webflow_conversions.ledger.retention import EXTRACTED_KEPT
from webflow_conversions.ledger.runs import USUAL_WEEKS, amounts_by, credited_by, identified_in, identified_of, usual_of
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.pipeline.failures import failures_of
from webflow_conversions.pipeline.identified import SourceIdentified
from webflow_conversions.pipeline.judgement import Usual
from webflow_conversions.pipeline.reconciliation import amount_in
from webflow_conversions.pipeline.verdict import Finding, Verdict, causes
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.readings import Reading
from webflow_conversions.rules.states import State
from webflow_conversions.rules.window import from_milliseconds, sendable

RUNS = 20
"""Number of runs that are known however long ago they were; dry runs are not among them."""
DAYS = 14
LARGEST_LIVE_RUN = 100_000
"""Rows up to which something is counted anew each time. A larger run is shown as it stood at its end; while it goes on, by
what its extractions and pushes have counted themselves."""

States = Mapping[tuple[str, str | None], Amount]
Attributions = Mapping[tuple[str | None, str | None], Amount]
"""Accepted conversions by verdict and its reason; no verdict where nothing was judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the conversions of a destination go."""

    url: str
    customer_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LastMode:
    """Whether the last run was a rehearsal, and the configuration file that it was planned with."""

    was_rehearsal: bool
    config_path: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRun:
    """A run as the ledger knows it; ``sent`` are rows and money that it got accepted, by source.

    ``is_whole`` if it was to send all that was due, and may stand for its night. One that plan refused to open has no window.
    ``problems`` are sentences, with why tasks failed before all else; ``causes`` the same with what to do, where it is known.
    ``is_rehearsal``: it sent nothing; ``addresses`` are where its conversions go, by destination.
    ``config_path`` and ``config_digest`` are of the configuration that plan read; None if it did not open the run.
    ``sent_so_far`` is in place of ``sent`` where too many rows are on their way: a number, as the pushes count it.
    ``identified`` is what identification found, by source; ``SourceExtraction`` has it with what its extraction found.
    ``reading`` is the one that the headline of credited conversions follows; None where nothing was judged.
    """

    id: int
    run_id: str
    run_type: str
    window_start: datetime | None
    window_end: datetime | None
    sources: Sequence[str]
    dry_run: bool
    is_whole: bool
    started_at: datetime
    approved_at: datetime | None
    ended_at: datetime | None
    outcome: str | None
    problems: Sequence[str]
    verdict: Verdict | None
    counts: Mapping[str, Any]
    forecasts: Mapping[str, Forecast]
    sent: Mapping[str, Amount]
    sent_so_far: int | None = None
    causes: Sequence[Finding] = ()
    identified: Mapping[str, SourceIdentified] = field(default_factory=dict)
    is_rehearsal: bool = False
    addresses: Mapping[str, Address] = field(default_factory=dict)
    config_path: str | None = None
    config_digest: str | None = None
    reading: Reading | None = None

    @property
    def is_opened(self) -> bool:
        """Whether plan opened it."""
        return self.window_end is not None

    def states(self, source: str) -> States | None:
        """Where the conversions of a source stood at the end of the run; None if it has not ended, or did not read the source."""
        record = self.counts.get("sources", {}).get(source, {}).get("states") if self.ended_at else None
        if not record:
            return None
        return {
            (state, reason or None): _amount(amount) for state, reasons in record.items() for reason, amount in reasons.items()
        }

    def would_send(self, source: str) -> Amount | None:
        """What a rehearsal would have sent of a source at its end; None for another run, and before its end."""
        counts = self.counts.get("sources", {}).get(source, {}) if self.is_rehearsal and self.ended_at else {}
        return _amount(counts["would_send"]) if "would_send" in counts else None

    def first_to_send(self, source: str) -> Sequence[int]:
        """The numbers of the conversions of a source that a rehearsal would have sent first."""
        return list(self.counts.get("sources", {}).get(source, {}).get("first_to_send", []))

    @property
    def to_send(self) -> Amount | None:
        """What a dry run would send; None of any other run, and until it has ended."""
        if not (self.dry_run and self.ended_at):
            return None
        counts = self.counts.get("sources", {}).values()
        return sum((amount_in(of_source.get("states", {}), State.READY) for of_source in counts), Amount())

    def attribution(self, source: str) -> Attributions:
        """The verdicts on the accepted conversions of a source at the end of the run."""
        record = self.counts.get("sources", {}).get(source, {}).get("attribution", {})
        return {
            (verdict or None, reason or None): _amount(amount)
            for verdict, reasons in record.items()
            for reason, amount in reasons.items()
        }

    def credited(self, source: str) -> Mapping[Reading, Amount]:
        """The accepted conversions of a source that each reading credited at the end of the run."""
        record = self.counts.get("sources", {}).get(source, {}).get("credited", {})
        return {Reading(reading): _amount(amount) for reading, amount in record.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceExtraction:
    """A source in a run: the rows read, and where their conversions stand at ``at``; None where these are too many to count.

    ``duplicates``, ``conflicting``, ``outside`` (the window) and ``too_old`` (for the ledger) are rows that got no conversion
    of this run. ``newest_at`` is the moment of the newest conversion of the run that is not in the future; None where there is
    none, or where there are too many to look through. ``identified`` is what the last look before the sending found.
    ``attribution`` is of the accepted ones; None where ``states`` is. ``credited`` are those that each reading credits.
    """

    source: str
    at: datetime
    read: Amount
    duplicates: Amount
    conflicting: Amount
    outside: Amount
    too_old: Amount
    states: States | None
    newest_at: datetime | None = None
    identified: SourceIdentified = field(default_factory=SourceIdentified)
    attribution: Attributions | None = None
    credited: Mapping[Reading, Amount] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Conversions that wait for their user and have ``hours_left`` full hours; below zero they are too old already."""

    source: str
    hours_left: int
    amount: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedByDay:
    """Conversions that were rejected or withdrawn, or expired while they waited, on a UTC day."""

    day: date
    source: str
    state: str
    reason: str
    amount: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """The delays of a source's accepted conversions: from the conversion to its first sight, and from there to acceptance.

    ``median`` and ``p95`` (the 95th percentile) of each.
    """

    rows: int
    to_first_seen_median: timedelta
    to_first_seen_p95: timedelta
    to_accepted_median: timedelta
    to_accepted_p95: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadbackDay:
    """What Webflow showed of a goal on a UTC day, as of ``read_at``, beside what it had accepted by then.

    ``conversions`` are unique, so ``accepted_users`` is the most that they can be. ``expected`` are accepted users by verdict
    (``will_count``, …) and by the reading that credits them (``strict``, ``wide``, ``lenient``).
    """

    event_name: str
    day: date
    goal_id: str
    conversions: int
    accepted: int
    accepted_users: int
    expected: Mapping[str, int]
    read_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewData:
    """The data of the overview, at one moment.

    ``shown`` is the run whose ``extractions`` these are; None if there is none. ``ready`` could go out now, by source, or by
    destination as pushes counted it at ``ready_at``, which is None for what is counted now; ``doubted`` of it has a request
    without an answer behind it, ``expiring`` is too old by the next run. ``awaited`` is out; ``in_doubt`` has nobody who
    waits for its answer; ``paused_until`` is by destination. ``troubles`` are the ready ones by source and by the last trouble
    that they met, empty where a push counted them. ``usual`` is what each source gave in earlier nights of the same weekday,
    ``delays`` those of the last night, empty if it accepted more than can be counted live. ``currency`` is the configuration's.
    ``readback`` is in the order of event name and day. ``first_to_send`` are the conversions, by their numbers, that the run that
    is shown would have sent first, if it was a rehearsal; each has what an event is made of.
    """

    at: datetime
    runs: Sequence[LedgerRun] = ()
    shown: LedgerRun | None = None
    extractions: Sequence[SourceExtraction] = ()
    held: Sequence[Held] = ()
    ready: Mapping[str, Amount] = field(default_factory=dict)
    ready_at: datetime | None = None
    doubted: Mapping[str, Amount] = field(default_factory=dict)
    expiring: Mapping[str, Amount] = field(default_factory=dict)
    awaited: Mapping[str, Amount] = field(default_factory=dict)
    in_doubt: Mapping[str, Amount] = field(default_factory=dict)
    sent_again: Mapping[str, Amount] = field(default_factory=dict)
    changed: Mapping[str, Amount] = field(default_factory=dict)
    ended: Sequence[EndedByDay] = ()
    paused_until: Mapping[str, datetime] = field(default_factory=dict)
    troubles: Mapping[str, Mapping[str | None, Amount]] = field(default_factory=dict)
    usual: Usual = field(default_factory=dict)
    delays: Mapping[str, Delays] = field(default_factory=dict)
    currency: str | None = None
    readback: Sequence[ReadbackDay] = ()
    first_to_send: Mapping[int, Any] = field(default_factory=dict)

    @property
    def last_run(self) -> LedgerRun | None:
        """The last run that plan opened, dry runs aside."""
        return next((run for run in self.runs if run.is_opened and not run.dry_run), None)


def last_mode(session: Session, dag_id: str) -> LastMode | None:
    """How the last run that plan opened was to send, dry runs aside; None if there is none.

    :raises Unavailable: if the ledger is away.
    """
    found = session.fetch("overview/last_run", {"dag_id": dag_id})
    return LastMode(was_rehearsal=bool(found[0].is_rehearsal), config_path=found[0].config_path) if found else None


def read_overview(
    session: Session, dag_id: str, now: datetime, run: int | None = None, *, next_run_at: datetime | None = None
) -> OverviewData:
    """Read the data of the overview from one snapshot of the ledger.

    :param session: one whose transactions see a single snapshot.
    :param run: the number of the run to look at; default the last whole one.
    :param next_run_at: when the next run is due; None if none is.
    :raises Unavailable: if it is away.
    """
    with session.transaction() as cursor:
        return _read(cursor, dag_id, now, run, next_run_at)


def _read(cursor: Cursor, dag_id: str, now: datetime, run: int | None, next_run_at: datetime | None) -> OverviewData:
    since = now - timedelta(days=DAYS)
    parameters = {
        "now": now,
        "since": since,
        "oldest_ms": sendable(now).start_ms,
        "oldest_then_ms": sendable(next_run_at).start_ms if next_run_at else None,
    }

    def fetch(name: str, **more: Any) -> list[Any]:
        cursor.execute(statement(name), parameters | more)
        return list(cursor.fetchall())

    def by_source(rows: Sequence[Any], prefix: str = "") -> dict[str, Amount]:
        found: dict[str, Amount] = {}
        for row in rows:
            amount = Amount.of_row(row, prefix)
            if amount.rows:
                found[row.source] = found.get(row.source, Amount()) + amount
        return found

    runs = []
    rows = fetch("overview/runs", dag_id=dag_id, run=run, runs=RUNS)
    for row in rows:
        counted = row.counts.get("sources") if row.ended_at else None
        sent: dict[str, Amount] = {}
        sent_so_far = None
        if counted is not None:
            sent = {source: _amount(counts.get("sent")) for source, counts in counted.items()}
        elif row.accepted_so_far is not None and row.accepted_so_far > LARGEST_LIVE_RUN:
            sent_so_far = row.accepted_so_far
        elif row.started_at >= since:
            sent = by_source(fetch("runs/sent", run=row.id))
        runs.append(_run(row, sent, sent_so_far))
    shown = _shown(runs, run)
    extractions = _extractions(shown, now, fetch) if shown else []
    if run is None and shown and not shown.ended_at and not extractions:
        # It has only begun: until it has read something, the one before says more.
        before = _shown(runs[runs.index(shown) + 1 :], None)
        if before:
            shown, extractions = before, _extractions(before, now, fetch)
    first = [number for source in shown.sources for number in shown.first_to_send(source)] if shown else []
    ready_at, waiting = _waiting(runs, now)
    ready, troubled = (fetch("overview/ready"), fetch("overview/troubled")) if ready_at is None else ([], [])
    sending = fetch("overview/sending")
    return OverviewData(
        at=now,
        runs=runs,
        shown=shown,
        extractions=extractions,
        held=[Held(source=row.source, hours_left=row.hours_left, amount=Amount.of_row(row)) for row in fetch("overview/held")],
        ready=by_source(ready) if ready_at is None else waiting,
        ready_at=ready_at,
        doubted=by_source(fetch("overview/doubted")),
        expiring=by_source(ready, "expiring_"),
        awaited=by_source([row for row in sending if row.is_awaited]),
        in_doubt=by_source([row for row in sending if not row.is_awaited]),
        sent_again=by_source(fetch("overview/sent_again")),
        changed=by_source(fetch("overview/changed")),
        ended=[
            EndedByDay(
                day=row.day,
                source=row.source,
                state=row.state,
                reason=row.reason or "",
                amount=Amount.of_row(row),
            )
            for row in fetch("overview/ended")
        ],
        troubles=_troubles(by_source(ready), troubled),
        usual=usual_of(fetch("runs/usual", run=shown.id, weeks=USUAL_WEEKS)) if shown and shown.is_whole else {},
        delays=_delays(runs, fetch),
        currency=next((row.currency for row in rows if row.window_end), None),
        paused_until={row.destination: row.paused_until for row in fetch("overview/destinations")},
        readback=[ReadbackDay(**row._asdict()) for row in fetch("overview/readback")],
        first_to_send={row.id: row for row in fetch("overview/first_to_send", numbers=first)} if first else {},
    )


def _shown(runs: Sequence[LedgerRun], run: int | None) -> LedgerRun | None:
    if run is not None:
        return next((one for one in runs if one.id == run and one.is_opened), None)
    real = [one for one in runs if not one.dry_run and one.is_opened]
    return next((one for one in real if one.is_whole), real[0] if real else None)


def _waiting(runs: Sequence[LedgerRun], now: datetime) -> tuple[datetime | None, dict[str, Amount]]:
    """The conversions that wait for an open run, by destination, and the time of the count; None if they can be counted live."""
    for run in runs:
        standing = {} if run.ended_at else {name: forecast for name, forecast in run.forecasts.items() if forecast.stands(now)}
        waiting = {name: forecast.waiting.total for name, forecast in standing.items()}
        if sum(amount.rows for amount in waiting.values()) > LARGEST_LIVE_RUN:
            return min(forecast.at for forecast in standing.values()), waiting
    return None, {}


def _extractions(run: LedgerRun, now: datetime, fetch: Any) -> list[SourceExtraction]:
    """The sources of a run that were read to their end, in the order of the configuration."""
    rows = {row.source: row for row in fetch("runs/extractions", run=run.id)}
    extractions = []
    for source in run.sources:
        row = rows.get(source)
        if row is None:
            continue
        record = run.states(source)
        at, states, newest_at, attribution = now, None, None, None
        credited: Mapping[Reading, Amount] = {}
        if run.ended_at and record is not None and (row.recorded_rows > LARGEST_LIVE_RUN or _is_past(run, now)):
            at, states, attribution, credited = run.ended_at, record, run.attribution(source), run.credited(source)
        elif row.recorded_rows <= LARGEST_LIVE_RUN:
            counted = fetch("overview/states", extraction=row.id)
            states = amounts_by(counted, "state", "reason")
            attribution = amounts_by((one for one in counted if one.state == State.ACCEPTED), "attribution", "attribution_reason")
            credited = credited_by(counted)
            newest_at = max((from_milliseconds(one.newest_ms) for one in counted if one.newest_ms is not None), default=None)
        extractions.append(
            SourceExtraction(
                source=source,
                at=at,
                read=Amount.of_row(row, "read_"),
                duplicates=Amount.of_row(row, "duplicate_"),
                conflicting=Amount.of_row(row, "conflicting_"),
                outside=Amount.of_row(row, "outside_"),
                too_old=Amount.of_row(row, "too_old_"),
                states=states,
                newest_at=newest_at,
                identified=identified_in(run.identified, source, row),
                attribution=attribution,
                credited=credited,
            )
        )
    return extractions


def _troubles(ready: Mapping[str, Amount], troubled: Sequence[Any]) -> dict[str, dict[str | None, Amount]]:
    """What is ready by source and last trouble; None for what met none."""
    found: dict[str, dict[str | None, Amount]] = {}
    for row in troubled:
        found.setdefault(row.source, {})[row.trouble] = Amount.of_row(row)
    for source, amount in ready.items():
        untroubled = amount - sum(found.get(source, {}).values(), Amount())
        if untroubled.rows:
            found.setdefault(source, {})[None] = untroubled
    return found


def _delays(runs: Sequence[LedgerRun], fetch: Any) -> dict[str, Delays]:
    """The delays by source in the last night: of all whole runs that began on the day of the last one that has ended."""
    whole = [run for run in runs if run.is_whole and run.ended_at]
    night = [run for run in whole if run.started_at.date() == whole[0].started_at.date()]
    if not 0 < sum(amount.rows for run in night for amount in run.sent.values()) <= LARGEST_LIVE_RUN:
        return {}
    return {
        row.source: Delays(
            rows=row.rows,
            to_first_seen_median=row.to_first_seen[0],
            to_first_seen_p95=row.to_first_seen[1],
            to_accepted_median=row.to_accepted[0],
            to_accepted_p95=row.to_accepted[1],
        )
        for row in fetch("overview/delays", night=[run.id for run in night])
    }


def _is_past(run: LedgerRun, now: datetime) -> bool:
    """Whether the ledger may have forgotten by now which conversions the run read."""
    return run.started_at < now - EXTRACTED_KEPT + timedelta(hours=12)


def _amount(document: Mapping[str, Any] | None) -> Amount:
    return Amount.from_json(document) if document else Amount()


def _run(row: Any, sent: Mapping[str, Amount], sent_so_far: int | None) -> LedgerRun:
    verdict = Verdict.from_json(row.verdict) if row.verdict else None
    found = causes(verdict, failures_of(row.failures))
    return LedgerRun(
        id=row.id,
        run_id=row.run_id,
        run_type=row.run_type,
        window_start=row.window_start,
        window_end=row.window_end,
        sources=row.sources,
        dry_run=row.dry_run,
        is_whole=row.is_whole,
        started_at=row.started_at,
        approved_at=row.approved_at,
        ended_at=row.ended_at,
        outcome=row.outcome,
        problems=list(dict.fromkeys([*(finding.sentence for finding in found), *row.notes, *row.problems])),
        verdict=verdict,
        causes=found,
        counts=row.counts,
        forecasts=forecasts_of(row.forecast),
        sent=sent,
        sent_so_far=sent_so_far,
        identified=identified_of(row.identified),
        is_rehearsal=row.is_rehearsal,
        addresses={name: Address(**address) for name, address in row.addresses.items()},
        config_path=row.config_path,
        config_digest=row.config_digest,
        reading=Reading(row.reading) if row.reading else None,
    )
