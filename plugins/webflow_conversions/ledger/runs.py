"""The ledger's record of runs: opened by plan, approved by the guards, closed by reconcile."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg2.extras import Json

from webflow_conversions.ledger.push import as_event
from webflow_conversions.ledger.session import Session
from webflow_conversions.pipeline.causes import Cause
from webflow_conversions.pipeline.failures import Failure, failures_of
from webflow_conversions.pipeline.guards import EARLIER_RUNS, Earlier
from webflow_conversions.pipeline.identified import SourceIdentified
from webflow_conversions.pipeline.judgement import Ended, Evidence
from webflow_conversions.pipeline.reconciliation import MISSING, Altered, PushAccount, SourceAccount
from webflow_conversions.pipeline.run import Run
from webflow_conversions.pipeline.verdict import Verdict
from webflow_conversions.rules.amounts import Amount, Tally
from webflow_conversions.rules.credit import ACTIVITY_MINUTES
from webflow_conversions.rules.event import Event
from webflow_conversions.rules.readings import Reading
from webflow_conversions.rules.states import State
from webflow_conversions.rules.window import MAX_AGE, Window

USUAL_WEEKS = 6
"""Weeks that the usual volume of a weekday is taken from."""
JUDGED_DAYS = 4
"""UTC days, today included, whose verdicts may still change."""


class Runs:
    """The runs of one Dag."""

    def __init__(self, session: Session, dag_id: str) -> None:
        self._session = session
        self._dag_id = dag_id

    def begin(
        self,
        *,
        run_id: str,
        run_type: str,
        window: Window,
        sources: Sequence[str],
        destinations: Sequence[str],
        dry_run: bool,
        is_whole: bool,
        force: bool,
        clock_offset: timedelta | None,
        now: datetime,
        currency: str | None = None,
        is_rehearsal: bool = False,
        addresses: Mapping[str, Mapping[str, str]] = {},
        config_path: str | None = None,
        config_digest: str | None = None,
    ) -> Run:
        """Open the record of a run; a second try of it begins anew.

        :param addresses: ``url`` and ``customer_id`` by destination, for people.
        :param is_whole: whether it is to send all that is due, and may stand for its night.
        :param config_path: the configuration file that it was planned with, on the machine that did.
        """
        self._session.execute("runs/add_destinations", {"destinations": list(destinations)})
        (row,) = self._session.fetch(
            "runs/begin",
            {
                "dag_id": self._dag_id,
                "run_id": run_id,
                "run_type": run_type,
                "window_start": window.start,
                "window_end": window.end,
                "sources": list(sources),
                "dry_run": dry_run,
                "is_whole": is_whole,
                "forced": force,
                "clock_offset_ms": None if clock_offset is None else clock_offset // timedelta(milliseconds=1),
                "now": now,
                "currency": currency,
                "is_rehearsal": is_rehearsal,
                "addresses": Json({name: dict(address) for name, address in addresses.items()}),
                "config_path": config_path,
                "config_digest": config_digest,
            },
        )
        return Run(
            id=row.id,
            run_id=run_id,
            window=window,
            sources=sources,
            dry_run=dry_run,
            force=force,
            clock_offset=clock_offset,
            config_digest=config_digest,
        )

    def rehearses(self, run: Run, *, asked: bool) -> bool:
        """Whether the run sends nothing: it was planned so, or a task of it found the configuration so, now or before.

        :param asked: whether the configuration asks for a rehearsal now; the run's record keeps that it did.
        """
        (row,) = self._session.fetch("runs/rehearse", {"run": run.id, "asked": asked})
        return bool(row.is_rehearsal)

    def first_ready(
        self, run: Run, destinations: Mapping[str, Sequence[str]], now: datetime, rows: int
    ) -> dict[str, list[tuple[int, Event]]]:
        """The first conversions of each source that a push would send at ``now``, with their numbers in the ledger."""
        found: dict[str, list[tuple[int, Event]]] = {}
        for destination, sources in destinations.items():
            parameters = run.sendable(destination, sources, now).parameters() | {"rows": rows}
            for row in self._session.fetch("runs/first_ready", parameters):
                found.setdefault(row.source, []).append((row.id, as_event(row)))
        return found

    def would_send(self, run: Run, destination: str, sources: Sequence[str], now: datetime) -> Amount:
        """What a push to the destination would send at ``now``."""
        rows = self._session.fetch("runs/ready_in_scope", run.sendable(destination, sources, now).parameters())
        return sum((Amount.of_row(row) for row in rows), Amount())

    def approve(self, run: Run) -> None:
        """Approve the run for sending."""
        self._session.execute("runs/approve", {"run": run.id})

    def record_reading(self, run: Run, reading: Reading | None) -> None:
        """Keep the reading of Webflow's rule that the page's headline follows; None where nothing is judged."""
        self._session.execute("runs/record_reading", {"run": run.id, "reading": reading})

    def note(self, run: Run, problem: str) -> None:
        """Note a problem that did not stop the run; reconcile reports it."""
        self._session.execute("runs/add_note", {"run": run.id, "note": problem})

    def notes(self, run: Run) -> list[str]:
        """The problems noted so far."""
        (row,) = self._session.fetch("runs/notes", {"run": run.id})
        return list(row.notes)

    def record_hint(self, run: Run, cause: Cause, task: str, sentence: str) -> None:
        """Keep what a task found that stops nothing, in place of what an earlier try of it found; the verdict tells it."""
        self._session.execute("runs/record_hint", {"run": run.id, "cause": str(cause), "task": task, "sentence": sentence})

    def hints(self, run: Run) -> list[tuple[Cause, str]]:
        """What tasks found that stops nothing, each sentence once."""
        (row,) = self._session.fetch("runs/hints", {"run": run.id})
        return sorted({(Cause(key.split(" ")[0]), sentence) for key, sentence in row.hints.items()})

    def record_failure(self, run_id: str, run_type: str, failure: Failure) -> None:
        """Keep why a task failed, also of a run that plan has not opened, in place of what an earlier try of it said."""
        parameters = {"dag_id": self._dag_id, "run_id": run_id, "run_type": run_type, "now": failure.at}
        self._session.execute("runs/record_failure", parameters | {"key": failure.key, "failure": Json(failure.to_json())})

    def remove_failure(self, run_id: str, key: str) -> None:
        """The task succeeded after all."""
        self._session.execute("runs/remove_failure", {"dag_id": self._dag_id, "run_id": run_id, "key": key})

    def failures(self, run: Run) -> list[Failure]:
        """Why tasks of the run failed, in the order in which they did."""
        (row,) = self._session.fetch("runs/failures", {"run": run.id})
        return failures_of(row.failures)

    def earlier(self, run: Run) -> dict[str, list[Earlier]]:
        """Rows read and sent by each source in the last runs, the latest first."""
        found: dict[str, list[Earlier]] = {}
        for row in self._session.fetch("runs/earlier", {"dag_id": self._dag_id, "run": run.id, "runs": EARLIER_RUNS}):
            is_usual = Window(start=row.window_start, end=row.window_end).spans_two_days
            earlier = Earlier(read_rows=row.read_rows if is_usual else None, sent=Amount.of_row(row, "sent_"))
            found.setdefault(row.source, []).append(earlier)
        return found

    def accounts(
        self, run: Run, destinations: Mapping[str, Sequence[str]], now: datetime, *, is_rehearsal: bool = False
    ) -> dict[str, SourceAccount]:
        """The account of the run at ``now``, by source. Rows that are too old to be sent are to be expired before.

        :param destinations: the run's sources by their destination.
        :param is_rehearsal: whether what is ready was to stay so.
        """
        extractions = {row.source: row for row in self._session.fetch("runs/extractions", {"run": run.id})}
        sent = {row.source: row for row in self._session.fetch("runs/sent", {"run": run.id})}
        ready: dict[str, dict[str | None, Amount]] = {}
        in_doubt: dict[str, Amount] = {}
        for destination, sources in destinations.items():
            due = run.due(destination, sources, now).parameters()
            for row in self._session.fetch("runs/ready_in_scope", due):
                ready.setdefault(row.source, {})[row.trouble] = Amount.of_row(row)
            for row in self._session.fetch("runs/in_doubt", due):
                in_doubt[row.source] = Amount.of_row(row)
        (record,) = self._session.fetch("identification/identified", {"run": run.id})
        found = identified_of(record.identified)
        stands = {source: self._fetch_states(run, row.id) for source, row in extractions.items()}
        return {
            source: SourceAccount(
                tally=_tally(extractions[source]) if source in extractions else None,
                changed_after_sent=extractions[source].changed_after_sent_rows if source in extractions else 0,
                states=_by_state(stands.get(source, ()), ""),
                in_window=_by_state(stands.get(source, ()), "window_"),
                new=_by_state(stands.get(source, ()), "new_"),
                altered=sum((_altered(row) for row in stands.get(source, ())), Altered()),
                sent=Amount.of_row(sent[source]) if source in sent else Amount(),
                sent_again=sent[source].sent_again if source in sent else 0,
                ready={} if is_rehearsal else ready.get(source, {}),
                would_send=sum(ready.get(source, {}).values(), Amount()) if is_rehearsal else Amount(),
                in_doubt=in_doubt.get(source, Amount()),
                identified=identified_in(found, source, extractions.get(source)),
                returned=extractions[source].returned_rows if source in extractions else 0,
                attribution=amounts_by(
                    (row for row in stands.get(source, ()) if row.state == State.ACCEPTED), "attribution", "attribution_reason"
                ),
                credited=credited_by(stands.get(source, ())),
            )
            for source in run.sources
        }

    def evidence(
        self, run: Run, destinations: Mapping[str, Sequence[str]], now: datetime, *, is_rehearsal: bool = False
    ) -> Evidence:
        """What the verdict on the run is based on. Rows that are too old to be sent are to be expired before.

        :param destinations: the run's sources by their destination.
        """
        return Evidence(
            accounts=self.accounts(run, destinations, now, is_rehearsal=is_rehearsal),
            pushes=self.pushes(run),
            ended=self.ended(run),
            notes=self.notes(run),
            hints=self.hints(run),
            failures=self.failures(run),
            usual=self.usual(run),
            whole_window=run.window.spans_two_days,
            is_rehearsal=is_rehearsal,
            is_forced=run.force,
        )

    def ended(self, run: Run) -> list[Ended]:
        """What this run brought to an end other than acceptance, whatever its window."""
        parameters = {"run": run.id, "run_id": run.run_id, "max_age_seconds": MAX_AGE.total_seconds()}
        return [
            Ended(
                source=row.source,
                state=row.state,
                reason=row.reason,
                words=row.words,
                had_time=bool(row.had_time),
                amount=Amount.of_row(row),
            )
            for row in self._session.fetch("runs/ended", parameters)
        ]

    def usual(self, run: Run) -> dict[str, list[Amount]]:
        """What each source gave in the earlier nights of the run's weekday, the latest first."""
        return usual_of(self._session.fetch("runs/usual", {"run": run.id, "weeks": USUAL_WEEKS}))

    def activity(self, now: datetime) -> dict[str, dict[str, list[int]]]:
        """How long after the last activity the conversions of the last ``JUDGED_DAYS`` came, by event name and UTC day.

        The counts of a day are in the order of ``ACTIVITY_MINUTES``; the last one is of those that came later, and of those
        without activity.
        """
        since = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=JUDGED_DAYS - 1)
        found: dict[str, dict[str, list[int]]] = {}
        for row in self._session.fetch("runs/activity", {"since": since, "bounds": list(ACTIVITY_MINUTES)}):
            days = found.setdefault(row.event_name, {})
            days.setdefault(row.day.isoformat(), [0] * (len(ACTIVITY_MINUTES) + 1))[row.place] += row.rows
        return found

    def end_pushes(self, run: Run) -> None:
        """Declare the pushes of a run dead: Airflow has ended them all when it starts reconcile."""
        self._session.execute("runs/end_pushes", {"run": run.id})

    def pushes(self, run: Run) -> list[PushAccount]:
        """The pushes of the run."""
        return [
            PushAccount(is_complete=bool(row.is_complete), accepted=int(row.counts.get("accepted", 0)))
            for row in self._session.fetch("runs/pushes", {"run": run.id})
        ]

    def end(self, run: Run, verdict: Verdict, counts: Mapping[str, Any]) -> None:
        """Close the record of a run."""
        self._session.execute(
            "runs/end",
            {
                "run": run.id,
                "outcome": "succeeded" if verdict.level.is_green else "failed",
                "problems": verdict.problems,
                "verdict": Json(verdict.to_json()),
                "counts": Json(counts),
            },
        )

    def _fetch_states(self, run: Run, extraction: int) -> list[Any]:
        parameters = {"extraction": extraction, "run_id": run.run_id}
        window = {"start_ms": run.window.interval.start_ms, "end_ms": run.window.interval.end_ms}
        return self._session.fetch("runs/states_of_extraction", parameters | window)


def usual_of(rows: Sequence[Any]) -> dict[str, list[Amount]]:
    """The rows and money of earlier nights by source, out of ``runs/usual``."""
    found: dict[str, list[Amount]] = {}
    for row in rows:
        found.setdefault(row.source, []).append(Amount.of_row(row))
    return found


def amounts_by(rows: Iterable[Any], first: str, second: str, part: str = "") -> dict[tuple[Any, Any], Amount]:
    """The amounts of one part of the rows (all, of the window, new) by two of their columns."""
    found: dict[tuple[Any, Any], Amount] = {}
    for row in rows:
        amount = Amount.of_row(row, part)
        if amount.rows:
            key = (getattr(row, first), getattr(row, second))
            found[key] = found.get(key, Amount()) + amount
    return found


def credited_by(rows: Iterable[Any]) -> dict[Reading, Amount]:
    """The accepted conversions that each reading credits; a wider one also credits what a narrower one does."""
    narrowest = [(Reading(row.reading), Amount.of_row(row)) for row in rows if row.reading]
    return {wide: sum((amount for reading, amount in narrowest if reading.is_within(wide)), Amount()) for wide in Reading}


def _by_state(rows: Iterable[Any], part: str) -> dict[tuple[str, str | None], Amount]:
    """The amounts by state and reason."""
    return {(state or MISSING, reason): amount for (state, reason), amount in amounts_by(rows, "state", "reason", part).items()}


def _altered(row: Any) -> Altered:
    return Altered(rows=row.altered_rows, read_value=row.altered_read_value, value=row.altered_value)


def identified_of(document: Mapping[str, Any]) -> dict[str, SourceIdentified]:
    """What identification found, by source, out of ``webflow.runs.identified``."""
    return {source: SourceIdentified.from_json(of_source) for source, of_source in document.items()}


def identified_in(found: Mapping[str, SourceIdentified], source: str, extraction: Any) -> SourceIdentified:
    """What was found of a source, by identification and by its extraction, if there is one."""
    of_source = found.get(source, SourceIdentified())
    return of_source if extraction is None else of_source.with_looked_up(extraction.had_user_rows, extraction.lost_user_rows)


def _tally(row: Any) -> Tally:
    return Tally(
        read=Amount.of_row(row, "read_"),
        recorded=Amount.of_row(row, "recorded_"),
        duplicates=Amount.of_row(row, "duplicate_"),
        conflicting=Amount.of_row(row, "conflicting_"),
        outside=Amount.of_row(row, "outside_"),
        too_old=Amount.of_row(row, "too_old_"),
    )
