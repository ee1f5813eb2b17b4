"""The ledger as the read-back reads it, and its record of what Webflow showed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time

from psycopg2.extras import Json

from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.pipeline.readback import ReadDay, SentDay
from webflow_conversions.rules.credit import Attribution
from webflow_conversions.rules.readings import Reading
from webflow_conversions.rules.window import to_milliseconds


class ReadbackRecord:
    """What was sent, and what was read back of it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def sent(self, since: date, until: date) -> list[SentDay]:
        """Conversions of ``[since, until)`` that were accepted before ``until``, by event name and day."""
        start, end = (datetime.combine(day, time(), UTC) for day in (since, until))
        milliseconds = {"since_ms": to_milliseconds(start), "until_ms": to_milliseconds(end)}
        return [
            SentDay(
                destination=row.destination,
                event_name=row.event_name,
                day=row.day,
                accepted=row.accepted,
                users=row.users,
                verdicts={str(verdict): getattr(row, verdict) for verdict in Attribution},
                readings={reading: getattr(row, reading) for reading in Reading},
            )
            for row in self._session.fetch("readback/sent", {"since": start, "until": end, **milliseconds})
        ]

    def recorded(self, since: date) -> list[ReadDay]:
        """What was read back of the days from ``since`` on."""
        return [
            ReadDay(
                sent=SentDay(
                    destination=row.destination,
                    event_name=row.event_name,
                    day=row.day,
                    accepted=row.accepted,
                    users=row.accepted_users,
                    verdicts=_numbers(row.expected, [str(verdict) for verdict in Attribution]),
                    readings={Reading(name): users for name, users in _numbers(row.expected, list(Reading)).items()},
                ),
                goal_id=row.goal_id,
                shown=row.conversions,
            )
            for row in self._session.fetch("readback/recorded", {"since": since})
        ]

    def record(self, days: Sequence[ReadDay], now: datetime) -> None:
        """Record what was read, in place of what was recorded of these days."""
        with self._session.transaction() as cursor:
            for day in days:
                document = day.to_json()
                cursor.execute(statement("readback/record"), document | {"expected": Json(document["expected"]), "now": now})


def _numbers(document: Mapping[str, int], names: Sequence[str]) -> dict[str, int]:
    return {name: document[name] for name in names if name in document}
