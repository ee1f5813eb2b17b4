"""The ledger as one push sees it."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2.extras import Json

from webflow_conversions.delivery.protocols import Backlog, Claim, Claimed, Settlement
from webflow_conversions.errors import Stopped
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.pipeline.run import Run
from webflow_conversions.rules.event import Event
from webflow_conversions.rules.window import latest_sendable_ms, oldest_sendable_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Which task of the run pushes: one of several for a destination, at its n-th try."""

    destination: str
    sources: Sequence[str]
    number: int
    try_number: int


class PushQueue:
    """Claims and outcomes of one push. For one thread at a time.

    :param configuration: the digest under which a refused row stays refused.
    """

    def __init__(
        self,
        session: Session,
        run: Run,
        worker: Worker,
        *,
        resend: bool,
        attempts_per_run: int,
        requests_per_second: float | None,
        configuration: str,
    ) -> None:
        self._session = session
        self._run = run
        self._worker = worker
        self._resend = resend
        self._attempts_per_run = attempts_per_run
        self._requests_per_second = requests_per_second
        self._configuration = configuration
        self._push: int | None = None

    def begin(self, lease_seconds: float) -> None:
        """Register this push, and declare earlier tries of it dead.

        :raises Stopped: if the guards have not cleared the run.
        """
        found = self._session.fetch(
            "begin_push",
            {
                "run": self._run.id,
                "destination": self._worker.destination,
                "worker": self._worker.number,
                "try_number": self._worker.try_number,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "lease_seconds": lease_seconds,
            },
        )
        if not found:
            raise Stopped("This run is not cleared to send: see why its identify task failed.")
        self._push = found[0].id

    def recover(self, now: datetime) -> int:
        """Take up what dead pushes left in doubt; how many."""
        ((recovered,),) = self._session.fetch(
            "recover",
            {
                "destination": self._worker.destination,
                "oldest_ms": oldest_sendable_ms(now),
                "resend": self._resend,
                "run_id": self._run.run_id,
            },
        )
        return int(recovered)

    def claim(self, rows: int, now: datetime) -> Claim:
        """Claim the rows that expire first, commit the claim, and reserve their slots where there is a limit a second."""
        with self._session.transaction() as cursor:
            cursor.execute(statement("claim"), self._scope(now) | {"rows": rows, "push": self._push})
            conversions = sorted((_claimed(row) for row in cursor.fetchall()), key=_by_expiry)
            first_slot_seconds = None
            if conversions and self._requests_per_second is not None:
                cursor.execute(
                    statement("reserve_slots"),
                    {
                        "destination": self._worker.destination,
                        "slots": len(conversions),
                        "requests_per_second": self._requests_per_second,
                    },
                )
                first_slot_seconds = cursor.fetchone().seconds
        return Claim(conversions=conversions, first_slot_seconds=first_slot_seconds)

    def settle(self, settlements: Sequence[Settlement]) -> int:
        """Record outcomes; how many of the rows were still this push's."""
        if not settlements:
            return 0
        ((settled,),) = self._session.fetch(
            "settle",
            {
                "ids": [s.id for s in settlements],
                "states": [str(s.state) for s in settlements],
                "reasons": [s.reason for s in settlements],
                "troubles": [s.trouble for s in settlements],
                "statuses": [s.http_status for s in settlements],
                "attempts": [s.attempts for s in settlements],
                "doubts": [s.doubts for s in settlements],
                "failures": [s.failures for s in settlements],
                "retry_seconds": [s.retry_seconds for s in settlements],
                "sent_at": [s.sent_at for s in settlements],
                "configuration": self._configuration,
                "push": self._push,
                "run_id": self._run.run_id,
            },
        )
        return int(settled)

    def renew(self, lease_seconds: float, counts: Mapping[str, Any]) -> float | None:
        """Keep the lease; the seconds for which the destination rests, or None if this push was declared dead."""
        found = self._session.fetch("renew_push", {"push": self._push, "lease_seconds": lease_seconds, "counts": Json(counts)})
        return float(found[0].pause_seconds) if found else None

    def rest(self, seconds: float) -> None:
        """Let all pushes to the destination rest."""
        self._session.execute("pause_destination", {"destination": self._worker.destination, "seconds": seconds})

    def seconds_to_retry(self, now: datetime) -> float | None:
        """When the next row of this run may be claimed; None if there is none."""
        ((seconds,),) = self._session.fetch("seconds_to_retry", self._scope(now))
        return None if seconds is None else float(seconds)

    def backlog(self, now: datetime, rows_per_second: float, seconds_to_import: float) -> Backlog:
        """What waits, and how it would fare at this rate."""
        parameters = self._scope(now) | {
            "oldest_ms": oldest_sendable_ms(now),
            "rows_per_second": rows_per_second,
            "seconds_to_import": seconds_to_import,
        }
        (found,) = self._session.fetch("backlog", parameters)
        return Backlog(**found._asdict())

    def forecast(self, document: Mapping[str, Any]) -> None:
        """Write the outlook into the run's record."""
        self._session.execute("forecast", {"run": self._run.id, "forecast": Json(document)})

    def end(self, counts: Mapping[str, Any]) -> None:
        """Give back what was claimed and not sent, and the lease."""
        with self._session.transaction() as cursor:
            cursor.execute(statement("release_claimed"), {"push": self._push})
            cursor.execute(statement("end_push"), {"push": self._push, "counts": Json(counts)})

    def _scope(self, now: datetime) -> dict[str, Any]:
        window = self._run.window
        return {
            "destination": self._worker.destination,
            "sources": list(self._worker.sources),
            "start_ms": max(window.start_ms, oldest_sendable_ms(now)),
            "end_ms": min(window.end_ms, latest_sendable_ms(now) + 1),
            "run_id": self._run.run_id,
            "max_failures": self._attempts_per_run,
        }


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


def _claimed(row: Any) -> Claimed:
    return Claimed(id=row.id, failures=row.failures, event=as_event(row))


def _by_expiry(claimed: Claimed) -> tuple[int, int]:
    return claimed.event.action_timestamp_ms, claimed.id
