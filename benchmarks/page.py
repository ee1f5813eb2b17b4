"""How long the data of the conversions page takes, and whether any of it walks through a large table.

Three ledgers of so many conversions: one of 90 nights, one of a single night, and one whose run is half way.
"""

import json
import statistics
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from time import perf_counter
from typing import Any

from demo.postgres import PostgresServer
from webflow_conversions.delivery.forecast import Forecast, Waiting
from webflow_conversions.ledger.migrations import migrate
from webflow_conversions.ledger.overview import read_overview
from webflow_conversions.ledger.search import Conversions
from webflow_conversions.ledger.selection import Filter, Only, Order, Sort
from webflow_conversions.ledger.session import Session
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.credit import Attribution
from webflow_conversions.rules.states import State
from webflow_conversions.ui.night import DagNow
from webflow_conversions.ui.overview import overview

REPEATS = 7
DAG_ID, DESTINATION = "webflow_offsite_conversions", "webflow_default"
GROWING = frozenset({"conversions", "extracted", "history"})

FILL = """
INSERT INTO webflow.destinations (destination) VALUES ('{destination}');
INSERT INTO webflow.runs (
    dag_id, run_id, run_type, window_start, window_end, sources, is_whole, started_at, approved_at, ended_at, outcome
)
SELECT '{dag_id}', 'night ' || n, 'scheduled', at - interval '2 days', at, ARRAY['offline_sales', 'crm_conversions'], true, at,
    at, at + interval '5 minutes', 'succeeded'
FROM (SELECT n, %(now)s - make_interval(days => %(nights)s - n) AS at FROM generate_series(1, %(nights)s) n) night;
INSERT INTO webflow.pushes (run, destination, worker, try_number, host, pid, started_at, expires_at, ended_at)
SELECT id, '{destination}', 0, 1, 'host', 1, started_at, started_at, started_at FROM webflow.runs ORDER BY id;
INSERT INTO webflow.conversions (
    destination, source, event_name, conversion_id, action_id, action_timestamp_ms, value, identity_key, user_domain, user_id,
    state, reason, attempts, attempts_in_doubt, http_status, push_id, first_seen_at, sent_at, settled_at, attribution,
    attribution_reason, attribution_judged_at, minutes_from_activity, run_id
)
SELECT
    '{destination}', source, event_name, 'S-' || g, '{destination}/' || source || '/' || event_name || '/S-' || g,
    (extract(epoch FROM at - (g::bigint * 7919 %% 86000) * interval '1 second') * 1000)::bigint,
    (g %% 30000) / 100.0, 'key-' || g, 'crm',
    CASE WHEN state <> 'held' THEN encode(sha256((g / 3)::text::bytea), 'hex') END, state, reason,
    (state = 'accepted')::integer + (g %% 1000 = 0)::integer, (g %% 1000 = 0)::integer, CASE WHEN state = 'accepted' THEN 200 END,
    CASE WHEN state = 'accepted' THEN night END, at, CASE WHEN state = 'accepted' THEN at END,
    CASE WHEN state IN ('accepted', 'rejected', 'expired') THEN at END,
    CASE WHEN state <> 'accepted' THEN NULL WHEN g %% 3 = 0 THEN 'may_count' WHEN g %% 500 = 1 THEN 'will_not_count'
        ELSE 'will_count' END,
    CASE WHEN state <> 'accepted' THEN NULL WHEN g %% 3 = 0 THEN 'session_idle' WHEN g %% 500 = 1 THEN 'no_view' END,
    CASE WHEN state = 'accepted' THEN at END, CASE WHEN state = 'accepted' THEN g %% 3000 END, 'night ' || night
FROM (
    SELECT
        g, night, %(now)s - make_interval(days => %(nights)s - night) AS at,
        CASE WHEN g %% 4 = 0 THEN 'crm_conversions' ELSE 'offline_sales' END AS source,
        CASE WHEN g %% 4 = 0 THEN 'deal-won' ELSE 'offline-purchase' END AS event_name,
        CASE
            WHEN g %% 50 = 1 THEN 'rejected'
            WHEN g %% 5 = 2 AND night = %(nights)s THEN 'held'
            WHEN g %% 5 = 2 THEN 'expired'
            WHEN g %% 20 = 3 AND night = %(nights)s THEN 'ready'
            ELSE 'accepted'
        END AS state,
        CASE WHEN g %% 50 = 1 THEN (ARRAY['refused_422', 'missing_timestamp', 'missing_identity'])[1 + g / 50 %% 3]
             WHEN g %% 5 = 2 AND night = %(nights)s THEN 'unknown_user'
             WHEN g %% 5 = 2 THEN 'expired_unidentified' END AS reason
    FROM (SELECT g, (1 + g::bigint * %(nights)s / (%(rows)s + 1))::integer AS night FROM generate_series(1, %(rows)s) g) numbered
) row;
INSERT INTO webflow.extractions (
    run, source, started_at, ended_at, read_rows, read_value, recorded_rows, recorded_value, duplicate_rows, duplicate_value,
    conflicting_rows, conflicting_value, outside_rows, outside_value, too_old_rows, too_old_value, changed_after_sent_rows,
    had_user_rows, lost_user_rows
)
SELECT r.id, c.source, r.started_at, r.started_at, c.rows, c.value, c.rows, c.value, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
FROM (SELECT run_id, source, count(*) AS rows, sum(value) AS value FROM webflow.conversions GROUP BY run_id, source) c
JOIN webflow.runs r USING (run_id)
WHERE r.started_at > %(now)s - interval '3 days'
ORDER BY r.id, c.source;
INSERT INTO webflow.extracted (extraction, conversion, value, alike)
SELECT x.id, c.id, c.value, 1
FROM webflow.extractions x
JOIN webflow.runs r ON r.id = x.run
JOIN webflow.conversions c ON c.run_id = r.run_id AND c.source = x.source;
UPDATE webflow.runs r SET counts = jsonb_build_object('sources', s.sources) FROM (
    SELECT run_id, jsonb_object_agg(source, jsonb_build_object('states', states, 'sent', sent)) AS sources FROM (
        SELECT run_id, source, jsonb_object_agg(state, reasons) AS states,
            coalesce(max(total::text) FILTER (WHERE state = 'accepted'), '{{"rows": 0, "value": "0"}}')::jsonb AS sent
        FROM (
            SELECT run_id, source, state, jsonb_object_agg(coalesce(reason, ''), amount) AS reasons,
                max(amount::text)::jsonb AS total
            FROM (
                SELECT run_id, source, state, reason, jsonb_build_object('rows', count(*), 'value', sum(value)::text) AS amount
                FROM webflow.conversions GROUP BY run_id, source, state, reason
            ) a GROUP BY run_id, source, state
        ) b GROUP BY run_id, source
    ) c GROUP BY run_id
) s WHERE s.run_id = r.run_id;
UPDATE webflow.runs r
SET counts = counts || jsonb_build_object('activity', jsonb_build_object('offline-purchase', days, 'deal-won', days))
FROM (
    SELECT id, jsonb_object_agg(
        ((started_at AT TIME ZONE 'UTC')::date - back)::text, (SELECT jsonb_agg(n * 1000) FROM generate_series(1, 15) n)
    ) AS days
    FROM webflow.runs CROSS JOIN generate_series(0, 3) back GROUP BY id
) a WHERE a.id = r.id;
INSERT INTO webflow.readback
SELECT '{destination}', event_name, %(now)s::date - back, '7', 300, 1000, 900, '{{"will_count": 280, "may_count": 90}}', %(now)s
FROM unnest(ARRAY['offline-purchase', 'deal-won']) event_name CROSS JOIN generate_series(1, 90) back
"""

HALF_WAY = """
UPDATE webflow.conversions
SET state = 'ready', push_id = NULL, http_status = NULL, sent_at = NULL, settled_at = NULL, attempts = 0
WHERE state = 'accepted' AND id %% 2 = 0;
UPDATE webflow.runs SET ended_at = NULL, outcome = NULL, counts = '{{}}', forecast = (
    SELECT jsonb_build_object('{destination}', %(forecast)s::jsonb || jsonb_build_object(
        'waiting_rows', count(*), 'waiting_value', sum(value)::text
    ))
    FROM webflow.conversions WHERE state = 'ready'
);
UPDATE webflow.pushes SET ended_at = NULL, expires_at = %(now)s + interval '1 hour', counts = (
    SELECT jsonb_build_object('accepted', count(*)) FROM webflow.conversions WHERE state = 'accepted'
)
"""

LEDGERS = {"90 nights": (90, ""), "one night": (1, ""), "half way": (1, HALF_WAY)}
"""Over how many nights the conversions of each are spread, and what is done then."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A request of the page: what its data took, and which growing tables a plan walks through."""

    ledger: str
    what: str
    milliseconds: float
    scanned: list[str]


class Watched(Session):
    """A session that remembers what was asked."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        super().__init__(connect)
        self.asked: list[bytes] = []

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with super().transaction() as cursor:
            yield _Recorder(cursor, self.asked)


class _Recorder:
    def __init__(self, cursor: Any, asked: list[bytes]) -> None:
        self._cursor = cursor
        self._asked = asked

    def execute(self, query: str, parameters: Any = None) -> None:
        self._asked.append(self._cursor.mogrify(query, parameters))
        self._cursor.execute(query, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def measure(server: PostgresServer, rows: int) -> list[Line]:
    """Every request of the page on each ledger; the medians of several tries. The ledgers are gone afterwards."""
    lines: list[Line] = []
    for place, (ledger, (nights, more)) in enumerate(LEDGERS.items()):
        name, now = f"page_{place}", datetime.now(UTC)
        server.create_database(name)
        _fill(server, name, now, rows, nights, more)
        lines += _measure(partial(server.connect, name), ledger, now, rows)
        with closing(server.connect("postgres")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE {name}")
    return lines


def _fill(server: PostgresServer, name: str, now: datetime, rows: int, nights: int, more: str) -> None:
    migrate(Session(partial(server.connect, name)))
    with closing(server.connect(name)) as connection:
        with connection, connection.cursor() as cursor:
            nothing = Waiting(total=Amount(), late=Amount(), expiring=Amount())
            forecast = Forecast(at=now, stands_until=now + timedelta(minutes=2), rows_per_second=2_000.0, waiting=nothing)
            parameters = {"now": now, "rows": rows, "nights": nights, "forecast": json.dumps(forecast.to_json())}
            for sql in filter(None, (FILL, more)):
                cursor.execute(sql.format(destination=DESTINATION, dag_id=DAG_ID), parameters)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def _measure(connect: Callable[[], Any], ledger: str, now: datetime, rows: int) -> list[Line]:
    session = Watched(connect)
    conversions = Conversions(session)
    middle = f"S-{rows // 2 + rows // 2 % 4 + 1}"
    with closing(connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, user_id FROM webflow.conversions WHERE conversion_id = %s", (middle,))
        number, user_id = cursor.fetchone()
        cursor.execute("SELECT max(id) FROM webflow.runs")
        (last_run,) = cursor.fetchone()

    weeks_ago = (now - timedelta(days=40)).date()

    def page(**selection: Any) -> Callable[[], Any]:
        return lambda: conversions.page(Filter(**selection), 50)

    def deep(**selection: Any) -> Callable[[], Any]:
        after = conversions.page(Filter(**selection), 5_000).next
        return lambda: conversions.page(Filter(**selection), 50, after)

    def one() -> None:
        found = conversions.one(number)
        assert found is not None
        conversions.history(found)

    asked: dict[str, Callable[[], Any]] = {
        "overview": lambda: overview(read_overview(session, DAG_ID, now), DagNow(), now),
        "list: all": page(),
        "list: accepted of a source": page(state=State.ACCEPTED, source="crm_conversions"),
        "list: accepted, 5,000 rows on": deep(state=State.ACCEPTED),
        "list: held, what expires first": page(state=State.HELD),
        "list: held, 5,000 rows on": deep(state=State.HELD),
        "list: ready": page(state=State.READY),
        "list: rejected for a reason": page(state=State.REJECTED, reason="refused_422"),
        "list: rejected for a reason, of the last run": page(state=State.REJECTED, reason="refused_422", run=last_run),
        "list: a reason alone": page(reason="refused_422"),
        "list: a source alone": page(source="crm_conversions"),
        "list: will not count": page(attribution=Attribution.WILL_NOT_COUNT),
        "list: may count, for a reason, of a source": page(attribution_reason="session_idle", source="crm_conversions"),
        "list: in doubt": page(only=Only.IN_DOUBT),
        "list: sent more than once": page(only=Only.SENT_AGAIN),
        "list: changed after it was sent": page(only=Only.CHANGED),
        "search: conversion ID": page(conversion=middle),
        "search: beginning of a conversion ID": page(begins=middle[:4]),
        "search: order number as people write it": page(written=f"No. {middle.lower()}"),
        "search: user ID": lambda: conversions.of_user([user_id]),
        "search: all of a user": page(user_of=number),
        "search: identity key": lambda: conversions.of_key([f"key-{middle.removeprefix('S-')}"]),
        "list: a day of weeks ago": page(happened_from=weeks_ago, happened_to=weeks_ago),
        "list: of at least a value": page(value_from=Decimal("299.99")),
        "list: of a value that none has": page(value_from=Decimal(1_000_000)),
        "list: rejected, the highest value first": lambda: conversions.page(
            Filter(state=State.REJECTED), 50, None, Order(sort=Sort.VALUE, descending=True)
        ),
        "count: all": lambda: conversions.summary(Filter()),
        "count: accepted of a source": lambda: conversions.summary(Filter(state=State.ACCEPTED, source="crm_conversions")),
        "count: rejected": lambda: conversions.summary(Filter(state=State.REJECTED)),
        "count: a week of weeks ago": lambda: conversions.summary(
            Filter(happened_from=weeks_ago - timedelta(days=6), happened_to=weeks_ago)
        ),
        "count: of a value that none has": lambda: conversions.summary(Filter(value_from=Decimal(1_000_000))),
        "one conversion and its history": one,
    }
    lines = []
    for what, ask in asked.items():
        ask()
        took = [_milliseconds(ask) for _ in range(REPEATS)]
        session.asked.clear()
        ask()
        scanned = sorted({table for query in session.asked if query[:3] != b"SET" for table in _scanned(connect, query)})
        lines.append(Line(ledger=ledger, what=what, milliseconds=statistics.median(took), scanned=scanned))
    session.close()
    return lines


def _milliseconds(ask: Callable[[], Any]) -> float:
    began = perf_counter()
    ask()
    return (perf_counter() - began) * 1000


def _scanned(connect: Callable[[], Any], query: bytes) -> set[str]:
    """The growing tables that the plan of a query reads from one end to the other."""
    session = Session(connect)
    with session.transaction() as cursor:
        cursor.execute(b"EXPLAIN (FORMAT JSON) " + query)
        plan = cursor.fetchone()[0]
    session.close()
    found: set[str] = set()

    def walk(node: dict[str, Any]) -> None:
        if node["Node Type"] == "Seq Scan" and node.get("Relation Name") in GROWING:
            found.add(node["Relation Name"])
        for child in node.get("Plans", ()):
            walk(child)

    walk((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
    return found
