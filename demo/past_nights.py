"""Writes two weeks of past nights into a ledger's tables, for pictures and trials of the page. Nothing is sent.

The tests use the records of real runs instead.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

from psycopg2.extras import Json, execute_values

from webflow_conversions.rules.event import action_id

DESTINATION = "webflow_default"
DAG_ID = "webflow_offsite_conversions"
SOURCES = {"offline_sales": ("offline-purchase", 0.84, 430), "crm_conversions": ("deal-won", 0.71, 120)}
"""Event name, match rate, and conversions a day of each source."""

_VALUES = {"offline_sales": 3.8, "crm_conversions": 6.4}
"""Logarithm of the median value. It matches the sample warehouse's: another one would make the volume guards stop the next
night."""

_REJECTED = ("missing_timestamp", "missing_identity", "negative_value", "refused_422", "personal_data_in_user_id")


@dataclass(slots=True)
class _Counts:
    """Counts of a source in a run, as reconcile records them."""

    states: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    read: int = 0
    value: Decimal = Decimal(0)
    sent: int = 0
    sent_value: Decimal = Decimal(0)

    def add(self, state: str, reason: str | None, value: Decimal) -> None:
        amount = self.states.setdefault(state, {}).setdefault(reason or "", {"rows": 0, "value": "0"})
        amount["rows"] += 1
        amount["value"] = str(Decimal(amount["value"]) + value)
        self.read += 1
        self.value += value
        if state == "accepted":
            self.sent += 1
            self.sent_value += value


def write_nights(connection: Any, today: datetime, nights: int = 14, *, broken_source: str | None = None) -> None:
    """Write the nights before ``today`` into a migrated ledger.

    :param today: an aware moment; the last written night is the day before.
    :param broken_source: source whose match rate falls in the last two nights.
    """
    chance = random.Random(2026)
    with connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO webflow.destinations (destination) VALUES (%s) ON CONFLICT DO NOTHING", (DESTINATION,))
        for back in range(nights, 0, -1):
            night = datetime.combine((today - timedelta(days=back)).date(), time(22), today.tzinfo)
            broken = broken_source if back <= 2 else None
            _write_night(cursor, night, chance, failed=back == 6, broken=broken)


def _write_night(cursor: Any, night: datetime, chance: random.Random, *, failed: bool, broken: str | None) -> None:
    weekday = 0.55 if night.weekday() >= 5 else 1.0
    run_id = f"scheduled__{night:%Y-%m-%dT%H:%M:%S+00:00}"
    counts: dict[str, dict[str, Any]] = {}
    cursor.execute(
        "INSERT INTO webflow.runs (dag_id, run_id, run_type, window_start, window_end, sources, is_whole, started_at,"
        " approved_at)"
        " VALUES (%s, %s, 'scheduled', %s, %s, %s, true, %s, %s) RETURNING id",
        (DAG_ID, run_id, night - timedelta(days=2), night, list(SOURCES), night, night + timedelta(seconds=40)),
    )
    run = cursor.fetchone()[0]
    cursor.execute(
        "INSERT INTO webflow.pushes (run, destination, worker, try_number, host, pid, started_at, expires_at, ended_at)"
        " VALUES (%s, %s, 0, 1, 'worker-1', 1, %s, %s, %s) RETURNING id",
        (run, DESTINATION, night, night + timedelta(minutes=2), night + timedelta(minutes=2)),
    )
    push = cursor.fetchone()[0]
    for source, (event_name, match_rate, a_day) in SOURCES.items():
        rate = match_rate * (0.45 if source == broken else 1) + chance.uniform(-0.03, 0.03)
        rows, of_source = [], _Counts()
        for number in range(int(a_day * weekday * chance.uniform(0.85, 1.15))):
            row = _conversion(source, event_name, night, number, rate, chance, push, run_id, failed=failed)
            of_source.add(row["state"], row["reason"], row["value"] or Decimal(0))
            rows.append(row)
        _insert(cursor, rows)
        counts[source] = _as_record(of_source)
    problems = ["offline_sales: 37 conversions (4,120.50) ready, not sent (last trouble: HTTP 503)"] if failed else []
    cursor.execute(
        "UPDATE webflow.runs SET ended_at = %s, outcome = %s, problems = %s, counts = %s WHERE id = %s",
        (night + timedelta(minutes=3), "failed" if failed else "succeeded", problems, Json({"sources": counts}), run),
    )


def _conversion(
    source: str,
    event_name: str,
    night: datetime,
    number: int,
    rate: float,
    chance: random.Random,
    push: int,
    run_id: str,
    *,
    failed: bool,
) -> dict[str, Any]:
    conversion_id = f"{'S' if source == 'offline_sales' else 'D'}-{night:%m%d}{number:04}"
    happened = night - timedelta(seconds=chance.uniform(600, 86_000))
    row: dict[str, Any] = {
        "destination": DESTINATION,
        "source": source,
        "event_name": event_name,
        "conversion_id": conversion_id,
        "action_id": action_id(DESTINATION, source, event_name, conversion_id),
        "action_timestamp_ms": int(happened.timestamp() * 1000),
        "value": Decimal(f"{chance.lognormvariate(_VALUES[source], 0.8):.2f}"),
        "identity_key": f"LC-{chance.randrange(90_000):05}",
        "user_domain": "shop",
        "user_id": f"c{chance.randrange(1_000_000):06}",
        "reason": None,
        "attempts": 1,
        "attempts_in_doubt": 0,
        "http_status": 200,
        "push_id": push,
        "first_seen_at": night,
        "sent_at": night + timedelta(seconds=45),
        "settled_at": night + timedelta(seconds=46),
        "run_id": run_id,
    }
    unsent = {"attempts": 0, "http_status": None, "push_id": None, "sent_at": None}
    if chance.random() < 0.025:
        reason = chance.choice(_REJECTED)
        answer = {"http_status": 422} if reason == "refused_422" else unsent
        return row | answer | {"state": "rejected", "reason": reason}
    if chance.random() > rate:
        expired = {"state": "expired", "reason": "expired_unidentified", "user_domain": None, "user_id": None}
        return row | unsent | expired | {"settled_at": night + timedelta(days=1)}
    if failed and chance.random() < 0.1:
        return row | unsent | {"state": "expired", "reason": "expired_unsent", "settled_at": night + timedelta(days=1, hours=20)}
    if chance.random() < 0.004:
        row |= {"attempts": 2, "attempts_in_doubt": 1}
    return row | {"state": "accepted"}


def _insert(cursor: Any, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        columns = list(rows[0])
        sql = f"INSERT INTO webflow.conversions ({', '.join(columns)}) VALUES %s"  # noqa: S608 - our own column names
        execute_values(cursor, sql, [tuple(row[column] for column in columns) for row in rows])


def _as_record(counts: _Counts) -> dict[str, Any]:
    read = {"rows": counts.read, "value": str(counts.value)}
    return {
        "read": read,
        "recorded": read,
        "states": counts.states,
        "sent": {"rows": counts.sent, "value": str(counts.sent_value)},
    }
