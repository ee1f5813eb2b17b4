"""A month of nights in one process, the page beside it in another: each row becomes what an oracle says, and nothing grows.

Three sources, of which two keep local times over a clock change; rows that come late, are corrected, deleted, of people who are erased;
a token that is revoked, a ledger that is upgraded, a night that is left out, nights that run twice, dry runs and a rehearsal. The ledger
has a month behind it when it begins, so retention passes night by night. ``make soak`` goes through 30 nights of 20,000 rows.
"""

import json
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from demo.postgres import USER, PostgresServer
from demo.simulator import SimulatorProcess
from tests.night import CUSTOMER_ID, DESTINATION
from tests.oracle import HOUR, Conversion, Oracle
from tests.page import HTML, post
from tests.soak.month import (
    CONFIGURATION,
    DAY,
    DAYS,
    EVENT_NAME,
    MONTH,
    QUERIES,
    REHEARSAL,
    SHOP,
    SOURCES,
    SWEEP,
    WAREHOUSE,
    Calendar,
    Changes,
    World,
    forget,
    milliseconds,
    write,
)
from tests.soak.processes import LongLived, Page, Tasks, connection
from tests.soak.weighing import CATALOG, Scales, Weight, growing, table

ROWS = int(os.environ.get("SOAK_ROWS", "200"))
"""Sales of each day; ``SOAK_ROWS=20000`` (``make soak``) goes through the whole month."""
SEED = int(os.environ.get("SOAK_SEED", "1"))
RESULTS = os.environ.get("SOAK_RESULTS")
"""A file to write what each night left behind to, as JSON."""
IS_MONTH = ROWS > 1_000
CALENDAR = MONTH if IS_MONTH else DAYS
PATIENCE_SECONDS = 60
LEDGER, WAREHOUSE_NAME = "ledger", "warehouse"
HISTORY_DAYS, RETENTION, PEOPLE_KEPT = 33, timedelta(days=31), timedelta(days=5)
FINAL = ("accepted", "rejected", "expired", "withdrawn")
SERVER = {"autovacuum_naptime": "1s", "fsync": "on", "shared_buffers": "256MB", "max_wal_size": "4GB"}
"""As a server has it from the beginning, but for its sizes, and for autovacuum that looks once a second: a night is over in seconds."""
SHIFTED = """
CREATE SCHEMA shifted;
CREATE FUNCTION shifted.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
AS $$ SELECT pg_catalog.clock_timestamp() + current_setting('soak.shift')::interval $$;
ALTER DATABASE ledger SET search_path = shifted, pg_catalog, public;
ALTER DATABASE ledger SET soak.shift = '0 s'
"""
"""The server's clock as the ledger's statements ask for it."""
HISTORY = [
    """
    WITH run AS (
        INSERT INTO webflow.runs (dag_id, run_id, run_type, window_start, window_end, sources, is_whole, started_at, approved_at,
            ended_at, outcome)
        VALUES ('webflow_offsite_conversions', %(run_id)s, 'scheduled', %(at)s - interval '2 days', %(at)s, ARRAY['shop'], true,
                %(at)s, %(at)s, %(at)s, 'succeeded')
        RETURNING id
    )
    INSERT INTO webflow.pushes (run, destination, worker, try_number, host, pid, started_at, expires_at, ended_at)
    SELECT id, 'webflow_default', 0, 1, 'earlier', 1, %(at)s, %(at)s, %(at)s FROM run
    """,
    """
    INSERT INTO webflow.conversions (destination, source, event_name, conversion_id, action_id, action_timestamp_ms, value,
        identity_key, user_domain, user_id, state, reason, first_seen_at, settled_at, run_id)
    SELECT 'webflow_default', 'shop', 'offline-purchase', name, 'webflow_default/shop/offline-purchase/' || name,
           %(end_ms)s - g * 1000, 149.99, 'k' || name, CASE WHEN kind < 88 THEN 'crm' END, CASE WHEN kind < 88 THEN 'u' || name END,
           CASE WHEN kind < 88 THEN 'ready' WHEN kind < 96 THEN 'held' ELSE 'rejected' END,
           CASE WHEN kind < 88 THEN NULL WHEN kind < 96 THEN 'unknown_user' ELSE 'negative_value' END,
           %(at)s, CASE WHEN kind >= 96 THEN %(at)s::timestamptz END, %(run_id)s
    FROM generate_series(1, %(rows)s) g, LATERAL (SELECT %(run_id)s || '-' || g AS name, g %% 100 AS kind) named
    """,
    """
    UPDATE webflow.conversions SET attribution = CASE WHEN id %% 2 = 0 THEN 'will_count' ELSE 'will_not_count' END
    WHERE run_id = %(run_id)s AND state = 'ready'
    """,
    """
    UPDATE webflow.conversions SET state = 'sending', push_id = (SELECT max(id) FROM webflow.pushes)
    WHERE run_id = %(run_id)s AND state = 'ready'
    """,
    """
    UPDATE webflow.conversions SET state = 'accepted', attempts = 1, http_status = 200, sent_at = %(at)s, settled_at = %(at)s
    WHERE run_id = %(run_id)s AND state = 'sending'
    """,
    """
    UPDATE webflow.conversions SET state = 'expired', reason = 'expired_unidentified', settled_at = %(at)s
    WHERE run_id = %(run_id)s AND state = 'held'
    """,
    """
    UPDATE webflow.conversions
    SET identity_key = webflow.hashed_key(action_id, identity_key),
        user_id = 'sha256:' || encode(sha256(convert_to(user_id, 'UTF8')), 'hex')
    WHERE run_id = %(run_id)s AND %(is_hashed)s
    """,
]
"""A night of the month before, in as many steps as a conversion has, since each leaves its trace in tables and indexes."""
_HASHED_UP_TO = """
INSERT INTO webflow.hashed_people (state, place, id)
SELECT DISTINCT ON (state) state, place, id
FROM webflow.conversions, LATERAL (
    SELECT CASE WHEN state = 'accepted' THEN push_id ELSE (extract(epoch FROM settled_at) * 1000000)::bigint END AS place
) places
WHERE identity_key LIKE 'sha256:%'
ORDER BY state, place DESC, id DESC
"""
_CONVERSIONS = """
SELECT source, CASE WHEN action_id NOT LIKE '%%?row=%%' THEN action_id END, action_timestamp_ms, value, state, reason,
       attempts_in_doubt, forgotten_at IS NOT NULL
FROM webflow.conversions
WHERE first_seen_at >= %(begun)s AND (%(since_ms)s IS NULL OR action_timestamp_ms >= %(since_ms)s)
"""


class Browser(requests.Session):
    """A browser in which somebody has logged in."""

    def __init__(self, page: LongLived) -> None:
        super().__init__()
        self._url, _, token = page.call("login")
        self.cookies.set("_token", token)
        self._bearer = {"Authorization": f"Bearer {token}"}

    def request(self, method: Any, url: Any, *arguments: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        options.setdefault("timeout", PATIENCE_SECONDS)
        answer = super().request(method, f"{self._url}{url}", *arguments, **options)
        answer.raise_for_status()
        return answer

    def look(self, conversion_id: str) -> None:
        """What a person asks of the page in the morning."""
        overview = self.get("/webflow/api/overview").json()
        assert overview["run"] is not None
        self.get("/webflow/", headers=HTML)
        assert self.get("/webflow/api/conversions?rows=500").json()["conversions"]
        self.get("/webflow/conversions?state=held", headers=HTML)
        assert conversion_id in post(self, "/webflow/search", text=conversion_id).text
        lines = post(self, "/webflow/download?state=rejected").text.splitlines()
        assert lines[0].lstrip("\ufeff").startswith("source,conversion_id")
        with self._abandoned():
            pass

    def _abandoned(self) -> requests.Response:
        """A download that nobody reads on."""
        token = self.get("/webflow/", headers=HTML).text.partition('name="csrf_token" value="')[2].partition('"')[0]
        headers = {"Sec-Fetch-Site": "same-origin", **HTML}
        answer = self.post("/webflow/download", data={"csrf_token": token}, headers=headers, stream=True)
        answer.raw.read(1_000)
        return answer


class Month:
    """The nights, the oracle beside them, and what each of them left behind."""

    def __init__(
        self,
        folder: Path,
        server: PostgresServer,
        tasks: LongLived,
        page: LongLived,
        calendar: Calendar,
        new_simulator: Callable[[str], SimulatorProcess],
    ) -> None:
        self.folder, self.server, self.tasks, self.page = folder, server, tasks, page
        self.calendar = calendar
        self.new_simulator = new_simulator
        self.world = World(calendar, ROWS, SEED)
        self.oracle = Oracle(DESTINATION, CUSTOMER_ID, EVENT_NAME)
        self.archive: dict[Any, Conversion] = {}
        self.token = 0
        self.simulator: SimulatorProcess | None = None
        self.last_event = 0
        self.expected: list[dict[str, str]] = []
        self.weights: list[Weight] = []
        self.told = Counter[str]()
        self.rows = 0
        self.waiting_for_token: set[Any] = set()
        self.rehearsed: list[Any] = []
        self.seconds = 0.0

    # The stage

    def begin(self) -> None:
        """A warehouse, and a ledger of the release before this one, with a month behind it."""
        self.sql(WAREHOUSE, database=WAREHOUSE_NAME)
        self.sql(SHIFTED)
        assert self.tasks.call("know", is_newer=False) == self.tasks.call("migrate")
        for night in range(-HISTORY_DAYS, 0):
            at = self.calendar.at(night)
            is_hashed = at < self.calendar.at(0) - PEOPLE_KEPT - DAY
            facts = {
                "run_id": f"earlier{night}",
                "at": at,
                "end_ms": milliseconds(at) - 13 * HOUR,
                "rows": ROWS,
                "is_hashed": is_hashed,
            }
            for statement in HISTORY:
                self.sql(statement, facts)
        self.sql(_HASHED_UP_TO)
        self.replace_token()

    def replace_token(self) -> None:
        """Let the API know another token alone; nobody tells the tasks."""
        if self.simulator is not None:
            self.simulator.stop()
        self.token += 1
        self.simulator = self.new_simulator(f"token-{self.token}").start()

    def enter_token(self) -> None:
        """Enter the API's token in Airflow's connection."""
        assert self.simulator is not None
        given = connection(conn_type="webflow", host=self.simulator.url, login=CUSTOMER_ID, password=f"token-{self.token}",
                           extra={"requests_per_second": 5_000})  # fmt: skip
        self.tasks.call("set", "AIRFLOW_CONN_WEBFLOW_DEFAULT", given)

    def set_clock(self, at: datetime) -> None:
        """Let it be this moment, for the tasks, the page, the ledger's server and the API."""
        assert self.simulator is not None
        seconds = (at - datetime.now(UTC)).total_seconds()
        self.sql(f"ALTER DATABASE ledger SET soak.shift = '{seconds} s'")
        self.simulator.clock(seconds)
        self.tasks.call("shift", seconds)
        self.seconds = seconds

    def sql(self, statement: str, parameters: Mapping[str, Any] | None = None, database: str = LEDGER) -> list[Any]:
        with closing(self.server.connect(database)) as one, one, one.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def migrations(self) -> list[str]:
        """Those that the ledger has."""
        return [name for (name,) in self.sql("SELECT name FROM webflow.schema_migrations ORDER BY version")]

    def configure(self, text: str) -> None:
        (self.folder / "conversions.yaml").write_text(text, encoding="utf-8")

    def change(self, changes: Changes) -> None:
        with closing(self.server.connect(WAREHOUSE_NAME)) as one:
            write(one, changes)

    # The nights

    def go(self) -> None:
        scales, browser = Scales(self.server, LEDGER, WAREHOUSE_NAME, {"tasks": self.tasks, "page": self.page}), None
        for night in range(self.calendar.nights):
            self.change(self.world.next(night))
            self.set_clock(self.calendar.at(night))
            self.enter_token()
            if night == self.calendar.upgraded:
                self.newer = self.tasks.call("know", is_newer=True)
                assert len(self.migrations()) == len(self.newer) - 1
            self.rows = 0
            scales.begin()
            if night not in self.calendar.skipped:
                self.a_night(night)
            scales.end()
            self.check_arrived(night)
            self.compare(since=milliseconds(self.calendar.at(night)) - 4 * 24 * HOUR, when=f"night {night}")
            assert scales.connections() == {LEDGER: 0, WAREHOUSE_NAME: 0}, f"after the tasks of night {night}"
            if IS_MONTH or night >= self.calendar.nights // 2:  # by then a page has started
                browser = browser or self.open_page()
                self.page.call("shift", self.seconds)
                browser.look(next(name[1] for name in reversed(self.oracle.conversions) if name[1]))
                assert scales.connections() == {LEDGER: 0, WAREHOUSE_NAME: 0}, (
                    f"after the page on the morning after night {night}"
                )
                if night not in self.calendar.skipped:
                    is_last = night == self.calendar.nights - 1
                    self.weights.append(scales.weigh(str(night + 1), self.rows, settles=IS_MONTH or is_last))
                    print(summary(self.weights[-1]), flush=True)
            self.put_away(night)

    def open_page(self) -> Browser:
        """A browser in front of the page, which takes longer to start than the first night."""
        ledger = connection(conn_type="postgres", host="127.0.0.1", port=self.server.port, login=USER, schema=LEDGER)
        self.page.call("set", "AIRFLOW_CONN_WEBFLOW_LEDGER", ledger)
        return Browser(self.page)

    def a_night(self, night: int) -> None:
        if night in self.calendar.dry_runs:
            self.a_dry_run(night)
        self.configure(CONFIGURATION + (REHEARSAL if night in self.calendar.rehearsals else ""))
        self.a_run(night, self.calendar.at(night), f"night {night}", is_revoked=night in self.calendar.revoked)
        if night in self.calendar.twice:
            self.set_clock(self.calendar.at(night, SWEEP))
            if night in self.calendar.revoked:
                error, _ = self.tasks.call("plan", f"night {night} again", self.calendar.at(night, SWEEP))
                assert "refuses the token" in error
                self.told["refused before anything was read"] += 1
            else:
                self.change(self.world.sweep(night))
                self.a_run(night, self.calendar.at(night, SWEEP), f"night {night} again")
        if night in self.calendar.forgetting:
            self.forget(night)

    def a_dry_run(self, night: int) -> None:
        """It changes nothing: the oracle is not even told."""
        self.configure(CONFIGURATION)
        before = self.sql("SELECT count(*), max(id) FROM webflow.conversions")
        self.done(self.tasks.call("plan", f"dry {night}", self.calendar.at(night), is_dry_run=True))
        for source in SOURCES:
            self.done(self.tasks.call("extract", source))
        assert self.done(self.tasks.call("identify")) == []
        self.done(self.tasks.call("reconcile"))
        assert self.sql("SELECT count(*), max(id) FROM webflow.conversions") == before

    def a_run(self, night: int, at: datetime, name: str, *, is_revoked: bool = False) -> None:
        """Run once, the product and the oracle beside it."""
        now = milliseconds(at)
        window = (now - 48 * HOUR, now)
        self.done(self.tasks.call("plan", name, at))
        people, reads = self.world.known(), {}
        for source in SOURCES:
            rows = self.world.returned(source, window)
            tally = self.done(self.tasks.call("extract", source))
            reads[source] = self.oracle.extract(source, rows, people, now, window)
            assert tally["read"]["rows"] == len(rows), f"{source} in {name}"
            self.rows += len(rows)
        looked = self.oracle.identify(reads, people, now, window, {SHOP}, force=False)
        assert not any(one.stops() for one in looked.values())
        self.tell_rehearsed(night)
        work = self.done(self.tasks.call("identify"))
        is_rehearsal = night in self.calendar.rehearsals
        if is_revoked:
            self.replace_token()
            self.set_clock(at)
        if not is_rehearsal:
            self.expected += self.oracle.push(SOURCES, now, window, lambda _: "away" if is_revoked else "accepted")
        pushed = self.tasks.call("push", work)
        error, _ = self.tasks.call("reconcile")
        if is_revoked:
            assert all("refuses the token" in sentence for sentence, _ in pushed), pushed
            assert error is not None
            self.waiting_for_token = {name for name, one in self.oracle.conversions.items() if one["state"] == "ready"}
            self.told["red for the token"] += 1
        else:
            assert [sentence for sentence, _ in pushed] == [None] * len(work), pushed
            assert error is None, f"{name}: {error}"
            self.told["rehearsed" if is_rehearsal else "green"] += 1

    def tell_rehearsed(self, night: int) -> None:
        """What only a rehearsal could have sent expires for that reason; what is ready in a rehearsal is remembered."""
        for name in self.rehearsed:
            if (one := self.oracle.conversions[name])["reason"] == "expired_unsent":
                one["reason"] = "expired_in_rehearsal"
        ready = [name for name, one in self.oracle.conversions.items() if one["state"] == "ready"]
        self.rehearsed = ready if night in self.calendar.rehearsals else []

    @staticmethod
    def done(ended: tuple[str | None, Any]) -> Any:
        error, result = ended
        assert error is None, error
        return result

    def forget(self, night: int) -> None:
        """Erase some people from the warehouse and the ledger, among them some of long ago."""
        sent = [one for one in self.archive.values() if one["user"] and not one.get("is_forgotten")]
        oldest = [(one["key"], one["domain"], one["user"]) for one in self.world.chance.sample(sent, min(3, len(sent)))]
        changes, people = self.world.erase(night, oldest)
        self.change(changes)
        options = [part for key, domain, user in people for part in ("--user", domain, user, "--identity-key", key)]
        exit_code, output = self.tasks.call("forget", options)
        assert exit_code == 0, output
        forget((*self.oracle.conversions.values(), *self.archive.values()), people)
        self.told["people erased"] += len(people)

    def put_away(self, night: int) -> None:
        """What is finished and old changes no more: the oracle need not go through it each night."""
        before = milliseconds(self.calendar.at(night)) - 5 * 24 * HOUR
        conversions = self.oracle.conversions
        old = [name for name, one in conversions.items() if one["state"] in FINAL and one["moment"] and one["moment"] < before]
        self.archive |= {name: conversions.pop(name) for name in old}

    # What became of it

    def check_arrived(self, night: int) -> None:
        """What the site received since the night before is what the oracle sent, in the hours of this night, and all of it counts."""
        expected, self.expected = self.expected, []
        first = milliseconds(self.calendar.at(night))
        found = list(self.events(self.last_event))
        for number, received_at_ms, _, ignored in found:
            assert ignored is None
            assert first <= received_at_ms < first + 2 * HOUR
            self.last_event = number
        bodies = [json.loads(body, parse_float=str, parse_int=str) for _, _, body, _ in found]
        assert Counter(map(as_text, bodies)) == Counter(map(as_text, expected)), f"night {night}"

    def events(self, after: int) -> Iterator[Any]:
        with closing(sqlite3.connect(self.folder / "events.db")) as site:
            yield from site.execute(
                "SELECT id, received_at_ms, body, ignored_because FROM events WHERE id > ? ORDER BY id", [after]
            )

    def compare(self, since: int | None, when: str) -> None:
        """The ledger, row by row, with the oracle.

        :param since: only conversions that happened since then, in UTC milliseconds; None for all.
        """
        parameters = {"begun": self.calendar.at(0) - timedelta(hours=1), "since_ms": since}
        found = Counter(self.sql(_CONVERSIONS, parameters))
        expected = Counter(
            (name[0], self.oracle.action_id(name) if name[1] else None, one["moment"], one["value"], one["state"], one["reason"],
             one["doubts"], one.get("is_forgotten", False))
            for conversions in ([self.oracle.conversions] if since else [self.oracle.conversions, self.archive])
            for name, one in conversions.items()
            if since is None or (one["moment"] is not None and one["moment"] >= since)
        )  # fmt: skip
        only_there, only_said = found - expected, expected - found
        some = [sorted(one, key=repr)[:8] for one in (only_there, only_said)]
        assert (only_there, only_said) == (Counter(), Counter()), (
            f"{when}: SOAK_SEED={SEED}; in the ledger {some[0]}; said {some[1]}"
        )

    def check_the_end(self) -> None:
        """Each row of the month became what it had to, and each event is at the site once."""
        self.compare(since=None, when="at the end")
        every = {**self.oracle.conversions, **self.archive}
        sent = Counter(action_id for _, _, action_id in self.arrived())
        assert set(sent.values()) == {1}
        assert set(sent) == {self.oracle.action_id(name) for name, one in every.items() if one["state"] == "accepted"}
        lost = [name for name in self.waiting_for_token if every[name]["reason"] == "expired_unsent"]
        assert self.waiting_for_token
        assert lost == []
        fates = Counter(f"{one['state']} {one['reason'] or ''}".strip() for one in every.values())
        fates["corrected while it waited"] = sum("corrected" in one["told"] for one in every.values())
        fates["corrected after it was sent"] = sum(one["is_changed"] for one in every.values())
        fates["erased"] = sum(one.get("is_forgotten", False) for one in every.values())
        self.told += fates
        print(dict(self.told))
        assert set(self.told) >= {
            "accepted", "held unknown_user", "future", "expired expired_before_seen", "expired expired_unidentified",
            "withdrawn no_longer_in_source", "withdrawn forgotten", "rejected invalid_timestamp", "rejected negative_value",
            "corrected while it waited", "corrected after it was sent", "erased", "red for the token", "rehearsed",
            "refused before anything was read", "people erased",
        }  # fmt: skip

    def check_verdicts(self) -> None:
        """What was sent of people who were on the site all day will count if it happened on that day; of others it will not."""
        visits = {(one["user_domain"], one["user_id"]): one for one in self.world.everybody if one["visit"] is not None}
        verdicts = dict(
            self.sql("SELECT action_id, attribution FROM webflow.conversions WHERE state = 'accepted' AND forgotten_at IS NULL")
        )
        found = Counter[str]()
        for name, one in {**self.oracle.conversions, **self.archive}.items():
            if one["state"] != "accepted" or one.get("is_forgotten"):
                continue
            verdict, visitor = verdicts[self.oracle.action_id(name)], visits.get((one["domain"], one["user"]))
            found[verdict] += 1
            if visitor is None:
                assert verdict in ("will_not_count", "unknown"), (name, one)
            elif visitor["identified_at"] <= visitor["visit"] and 0 < one["moment"] - visitor["visit"] < 23 * HOUR:
                assert verdict == "will_count", (name, one)
        assert set(found) >= {"will_count", "may_count", "will_not_count"}
        print(dict(found))

    def arrived(self) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "events.db")) as site:
            return site.execute("SELECT id, received_at_ms, action_id FROM events").fetchall()

    def check_what_had_to_go(self) -> None:
        """Retention passed: old conversions are removed, people of finished ones are hashed, what was read is forgotten."""
        last = self.calendar.at(self.calendar.nights - 1)
        kept = dict(self.sql("SELECT run_id, count(*) FROM webflow.conversions WHERE run_id LIKE 'earlier%%' GROUP BY 1", {}))
        nights = {f"earlier{night}": self.calendar.at(night) for night in range(-HISTORY_DAYS, 0)}
        assert kept == {name: ROWS for name, at in nights.items() if at > last - RETENTION}
        in_clear = (
            "SELECT count(*) FROM webflow.conversions c JOIN webflow.pushes p ON p.id = c.push_id WHERE c.state = 'accepted'"
        )
        in_clear += " AND c.forgotten_at IS NULL AND c.user_id NOT LIKE 'sha256:%%' AND (p.ended_at < %(before)s) = %(is_old)s"
        before = last - PEOPLE_KEPT
        assert self.sql(in_clear, {"before": before, "is_old": True}) == [(0,)]
        assert self.sql(in_clear, {"before": before, "is_old": False}) > [(0,)]
        oldest = self.sql(
            "SELECT min(started_at) FROM webflow.extractions WHERE id IN (SELECT extraction FROM webflow.extracted)"
        )
        assert last - 3 * DAY <= oldest[0][0]
        assert self.migrations() == self.newer


def as_text(event: dict[str, Any]) -> str:
    return json.dumps(event, sort_keys=True)


def summary(weight: Weight) -> str:
    """A night in a line."""
    processes = "; ".join(
        f"{name} {one.rss / 1e6:.0f} MB, {one.blocks:,} blocks, {one.files} files, {one.threads} threads"
        for name, one in weight.processes.items()
    )
    tables = ", ".join(
        f"{name} {weight.kept[name].size / 1e6:.1f} MB {weight.kept[name].rows:,} rows {weight.kept[name].dead:,} dead"
        for name in ("conversions", "extracted", "history", CATALOG)
    )
    costs = ", ".join(f"{weight.a_row(name):.1f} {name}" for name in ("wal", "wal_records", "pages"))
    costs += f", {weight.a_row('core_seconds') * 1e6:.0f} µs a row"
    return f"night {weight.night}: {weight.rows:,} rows; {processes}; {tables}; {costs}; {weight.unsettled}"


@pytest.fixture
def month(tmp_path: Path) -> Iterator[Month]:
    """The stage: a server of its own, the processes, and an API that begins with nothing."""
    (tmp_path / "sql").mkdir()
    for name, text in QUERIES.items():
        (tmp_path / "sql" / name).write_text(text, encoding="utf-8")
    home = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "WEBFLOW_CONVERSIONS_CONFIG": str(tmp_path / "conversions.yaml"),
    }
    home |= {"AIRFLOW_VAR_WEBFLOW_DEPLOYMENT": "0b5e3f9e-6b57-4f6e-9d1c-8f0c6ce9a001"}
    port = 0

    def new_simulator(token: str) -> SimulatorProcess:
        nonlocal port
        made = SimulatorProcess(tmp_path / "events.db", token, CUSTOMER_ID, port=port)
        stack.callback(made.stop)
        return made

    with ExitStack() as stack:
        page, tasks = (stack.enter_context(LongLived(kind, home)) for kind in (Page, Tasks))
        server = stack.enter_context(PostgresServer(tmp_path / "postgres", settings=SERVER))
        for name in (LEDGER, WAREHOUSE_NAME):
            server.create_database(name)
        facts = {"conn_type": "postgres", "host": "127.0.0.1", "port": server.port, "login": USER}
        for name, database in (("WAREHOUSE", WAREHOUSE_NAME), ("WEBFLOW_LEDGER", LEDGER)):
            tasks.call("set", f"AIRFLOW_CONN_{name}", connection(**facts, schema=database))
        made = Month(tmp_path, server, tasks, page, CALENDAR, new_simulator)
        made.configure(CONFIGURATION)
        made.begin()
        assert made.simulator is not None
        port = made.simulator.port
        yield made
    shutil.rmtree(tmp_path / "airflow", ignore_errors=True)


def test_each_row_of_the_month_becomes_what_the_oracle_says_and_nothing_grows(month: Month) -> None:
    month.go()
    if RESULTS:
        Path(RESULTS).write_text(json.dumps([asdict(weight) for weight in month.weights]), encoding="utf-8")
    print(table(month.weights))
    month.check_the_end()
    month.check_verdicts()
    month.check_what_had_to_go()
    assert [weight.unsettled for weight in month.weights if weight.unsettled] == []
    assert growing(month.weights, costs=IS_MONTH) == {}
