"""The ledger as one push sees it."""

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2.errors import LockNotAvailable
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from webflow_conversions.delivery.forecast import Forecast, Waiting
from webflow_conversions.delivery.protocols import Claimed, Elsewhere, Settled, Settlement
from webflow_conversions.errors import Stopped, Unavailable
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.pipeline.run import Run, Scope
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.event import Event
from webflow_conversions.rules.window import sendable

LOCK_SECONDS = 1.0
"""A row that another session has locked must not hold up the push: it has a lease to keep, and to end in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A push task of the run: one of several for a destination, and its try number."""

    destination: str
    sources: Sequence[str]
    number: int
    try_number: int


class PushQueue:
    """Claims and outcomes of one push. For one thread at a time.

    :param fingerprint: of the configuration and the address; while it stays the same, a refused row stays refused.
    """

    def __init__(
        self,
        session: Session,
        run: Run,
        worker: Worker,
        *,
        resend: bool,
        attempts_per_run: int,
        fingerprint: str,
    ) -> None:
        self._session = session.waiting(LOCK_SECONDS)
        self._run = run
        self._worker = worker
        self._resend = resend
        self._attempts_per_run = attempts_per_run
        self._fingerprint = fingerprint
        self._push: int | None = None

    def begin(self, lease_seconds: float) -> bool:
        """Register this push, and declare earlier tries of it dead; whether the push before it to the destination was misled.

        :raises Stopped: if the guards have not approved the run, it is a rehearsal, or a later try of the task is at it.
        """
        place = {"run": self._run.id, "destination": self._worker.destination, "worker": self._worker.number}
        host = socket.gethostname()
        tries = self._session.fetch("push/earlier_tries", place)
        if any(row.try_number > self._worker.try_number and row.is_alive for row in tries):
            raise Stopped("A later try of this task has taken over; this one sends nothing.")
        gone = [row.id for row in tries if row.host == host and not _is_running(row.pid)]
        found = self._session.fetch(
            "push/begin",
            place
            | self._run.planned(self._worker.destination, self._worker.sources).parameters()
            | {
                "try_number": self._worker.try_number,
                "host": host,
                "pid": os.getpid(),
                "lease_seconds": lease_seconds,
                "gone": gone,
            },
        )
        if not found:
            raise Stopped("This run is a rehearsal, or it is not approved for sending: see why its identify task failed.")
        self._push = found[0].id
        return bool(found[0].was_misled)

    def recover(self, now: datetime) -> int:
        """Decide about rows that dead pushes left in doubt; returns their number. They go out when the lease is over."""
        with self._session.transaction() as cursor:
            cursor.execute(statement("push/reap"), {"destination": self._worker.destination})
            cursor.execute(
                statement("push/recover"),
                {
                    "destination": self._worker.destination,
                    "oldest_ms": sendable(now).start_ms,
                    "resend": self._resend,
                    "run_id": self._run.run_id,
                },
            )
            ((recovered,),) = cursor.fetchall()
        return int(recovered)

    def claim(self, rows: int, now: datetime) -> list[Claimed]:
        """Claim the rows that expire first, and commit the claim; in the order of expiry."""
        return self._claim("due_first", rows, now)

    def claim_probes(self, rows: int, now: datetime) -> list[Claimed]:
        """Claim at most ``rows`` rows of each source, those that expire last, and commit the claim."""
        return self._claim("due_probes", rows, now)

    def reserve(self, permits: int, seconds_apart: float) -> float:
        """Reserve the next permits of the destination, for this push alone; the seconds until the first."""
        ((seconds,),) = self._session.fetch(
            "push/reserve_permits", {"destination": self._worker.destination, "permits": permits, "seconds_apart": seconds_apart}
        )
        return float(seconds)

    def settle(self, settlements: Sequence[Settlement]) -> Settled:
        """Record outcomes of the rows that this push still owns."""
        if not settlements:
            return Settled(0)
        try:
            with self._session.transaction() as cursor:
                return Settled(self._settle(cursor, settlements))
        except Unavailable as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
        with self._session.transaction() as cursor:
            cursor.execute(statement("push/lock_free"), {"ids": _array(s.id for s in settlements), "push": self._push})
            free = {row.id for row in cursor.fetchall()}
            rows = self._settle(cursor, [s for s in settlements if s.id in free])
        return Settled(rows, [s for s in settlements if s.id not in free])

    def _settle(self, cursor: Cursor, settlements: Sequence[Settlement]) -> int:
        cursor.execute(
            statement("push/settle"),
            {
                "ids": _array(s.id for s in settlements),
                "states": _array(s.state for s in settlements),
                "reasons": _array(_quoted(s.reason) for s in settlements),
                "troubles": _array(_quoted(s.trouble) for s in settlements),
                "statuses": _array(s.http_status for s in settlements),
                "attempts": _array(s.attempts for s in settlements),
                "doubts": _array(s.doubts for s in settlements),
                "failures": _array(s.failures for s in settlements),
                "retry_seconds": _array(s.retry_seconds for s in settlements),
                "sent_at": _array(s.sent_at for s in settlements),
                "fingerprint": self._fingerprint,
                "push": self._push,
                "run_id": self._run.run_id,
            },
        )
        ((settled,),) = cursor.fetchall()
        return int(settled)

    def release(self, known: Sequence[int]) -> int:
        """Release rows that are recorded as claimed by this push, except ``known``; returns their number."""
        return self._session.execute("push/release_unknown", {"push": self._push, "known": list(known)})

    def renew(self, lease_seconds: float, counts: Mapping[str, Any]) -> float | None:
        """Renew the lease; returns the seconds for which the destination rests, or None if this push is not alive."""
        found = self._session.fetch("push/renew", {"push": self._push, "lease_seconds": lease_seconds, "counts": Json(counts)})
        return float(found[0].pause_seconds) if found else None

    def rest(self, seconds: float) -> None:
        """Pause all pushes to the destination."""
        self._session.execute("push/pause_destination", {"destination": self._worker.destination, "seconds": seconds})

    def seconds_to_retry(self, now: datetime) -> float | None:
        """Seconds until the next row of this run may be claimed; None if there is none."""
        ((seconds,),) = self._session.fetch(
            "push/seconds_to_retry",
            _sendable(self._run, self._worker, now).parameters() | {"max_failures": self._attempts_per_run},
        )
        return None if seconds is None else float(seconds)

    def elsewhere(self, now: datetime) -> Elsewhere:
        """Look at the other pushes to the destination."""
        parameters = _sendable(self._run, self._worker, now).parameters() | {"run": self._run.id, "push": self._push}
        (found,) = self._session.fetch("push/elsewhere", parameters)
        return Elsewhere(accepted=int(found.accepted), has_earlier=found.has_earlier, has_later=found.has_later)

    def end(self, counts: Mapping[str, Any]) -> None:
        """End the push and its lease: no request of it is out."""
        self._session.execute("push/end", {"push": self._push, "counts": Json(counts)})

    def close(self) -> None:
        """Give the connection back."""
        self._session.close()

    def _claim(self, due: str, rows: int, now: datetime) -> list[Claimed]:
        parameters = {"rows": rows, "push": self._push, "run_id": self._run.run_id, "max_failures": self._attempts_per_run}
        found = self._session.fetch("push/claim", _sendable(self._run, self._worker, now).parameters() | parameters, due=due)
        return sorted(map(_claimed, found), key=_by_expiry)


class RunForecasts:
    """The conversions of a run that wait for a destination, and the forecast for them."""

    def __init__(self, session: Session, run: Run, worker: Worker) -> None:
        self._session = session
        self._run = run
        self._worker = worker

    def waiting(self, now: datetime, rows_per_second: float, seconds_to_import: float) -> Waiting:
        """Count the waiting conversions, and those that miss the import or expire at this rate."""
        parameters = _sendable(self._run, self._worker, now).parameters() | {
            "oldest_ms": sendable(now).start_ms,
            "rows_per_second": rows_per_second,
            "seconds_to_import": seconds_to_import,
        }
        (found,) = self._session.fetch("push/count_waiting", parameters)
        return Waiting(
            total=Amount.of_row(found),
            late=Amount.of_row(found, "late_"),
            expiring=Amount.of_row(found, "expiring_"),
        )

    def record(self, forecast: Forecast) -> None:
        """Write the forecast into the run's record, in place of the one before."""
        document = Json(forecast.to_json())
        self._session.execute(
            "push/record_forecast", {"run": self._run.id, "destination": self._worker.destination, "forecast": document}
        )

    def close(self) -> None:
        """Give the connection back."""
        self._session.close()


def _sendable(run: Run, worker: Worker, now: datetime) -> Scope:
    return run.sendable(worker.destination, worker.sources, now)


def _is_running(pid: int) -> bool:
    """Whether a process of this machine runs; one that only has the same number by now counts, too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def as_event(row: Any) -> Event:
    """The event of a row of ``webflow.conversions``."""
    return Event(
        event_name=row.event_name,
        user_domain=row.user_domain,
        user_id=row.user_id,
        action_id=row.action_id,
        action_timestamp_ms=row.action_timestamp_ms,
        value=row.value,
    )


def _array(values: Iterable[object]) -> str:
    """An array as PostgreSQL writes it: psycopg2's own ``ARRAY[…]`` costs it and the server's parser six times as much."""
    return f"{{{','.join(['NULL' if value is None else str(value) for value in values])}}}"


def _quoted(text: str | None) -> str | None:
    """Text as an element of an array, whatever is in it (PostgreSQL manual, Array Input and Output Syntax)."""
    if text is None:
        return None
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _claimed(row: Any) -> Claimed:
    return Claimed(id=row.id, attempts=row.attempts, failures=row.failures, event=as_event(row))


def _by_expiry(claimed: Claimed) -> tuple[int, int]:
    return claimed.event.action_timestamp_ms, claimed.id
