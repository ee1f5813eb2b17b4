"""Night after night over one warehouse in which everything changes: what is sent, and where each row stands, is what an oracle says.

Between the nights rows are deleted, corrected, copied and brought back, users are erased, replaced and turn up late; in some
nights the API is away or loses answers, or a table is empty. ``tests/oracle.py`` has the rules once more, apart from the package.
``ROAD_SEED`` repeats a world that failed; ``ROAD_ROWS=100000`` (``make test-nightly``) goes through larger ones, and more.
"""

import json
import os
import secrets
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from psycopg2.extras import execute_values

from tests.night import CUSTOMER_ID, DESTINATION, LIMITS, NOW, Night
from tests.oracle import HOUR, Oracle, Person, Read, Row, moment_of
from webflow_conversions.delivery.answers import Answer, Trouble
from webflow_conversions.delivery.protocols import Transport
from webflow_conversions.errors import Unavailable
from webflow_conversions.pipeline.guards import objections
from webflow_conversions.pipeline.reconciliation import source_counts
from webflow_conversions.pipeline.run import Run
from webflow_conversions.rules.window import Window
from webflow_conversions.warehouse.reader import Warehouse

ROWS = int(os.environ.get("ROAD_ROWS", "2000"))
SEED = os.environ.get("ROAD_SEED")
IS_LARGE = ROWS > 2_000
ROWS_OF_A_WORLD = 2_500 if IS_LARGE else 200
NIGHTS = 8

SHOP, CRM, FEED = "shop", "crm deals", "feed"
SOURCES = (SHOP, CRM, FEED)
QUERIES = {
    # Returns all that happened in the window, and some of what comes after it.
    SHOP: "SELECT * FROM road WHERE source = 'shop' AND {is_there}"
    " AND (at IS NULL OR at >= :window_start AND at < :window_end + interval '6 hours') ORDER BY place",
    # Returns what it has, and does not look at the window.
    CRM: "SELECT * FROM road WHERE source = 'crm deals' AND {is_there} ORDER BY place",
    # Returns what has changed since it was read last.
    FEED: "SELECT * FROM road WHERE source = 'feed' AND {is_there} AND changed > {last_read} ORDER BY place",
}
RETURNS_ALL = frozenset({SHOP})

VALUES = ["10.00", "149.99", "20", "0", "7.5", "10.005", "0.004", None, None]
NO_VALUES = ["-1", "?", "NaN", "-0.001", "1,000.00"]
NO_MOMENTS = [None, "", "infinity", "yesterday", "2026-11-23 10:00:00"]
UNFIT_USERS = ["undefined", "null", "", "jane@example.com"]


def milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def text_of(moment: int, microseconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment, microseconds=microseconds)).isoformat()


class World:
    """A warehouse that changes from night to night, all by the dice of one seed."""

    def __init__(self, chance: Random, rows: int) -> None:
        self.chance = chance
        self.size = rows
        self.clocks = [NOW]
        for _ in range(NIGHTS - 1):
            self.clocks.append(self.clocks[-1] + timedelta(milliseconds=chance.choice([chance.randint(2, 30) * HOUR, 24 * HOUR])))
        self.number = 0
        self.made = 0
        self.rows: list[dict[str, Any]] = []
        self.deleted: list[dict[str, Any]] = []
        self.keys = [f"k{number}" for number in range(max(20, rows // 3))]
        self.people: list[Person] = [self.person(key) for key in self.keys if chance.random() < 0.8]
        self.erased: list[Person] = []
        self.add_rows(rows // 2)

    @property
    def now(self) -> int:
        return milliseconds(self.clocks[self.number])

    def next(self) -> None:
        """Another day: everything changes a little."""
        self.number += 1
        self.add_rows(self.size // (2 * NIGHTS))
        self.delete_rows()
        self.correct_rows()
        self.change_people()

    # Rows

    def add_rows(self, rows: int) -> None:
        for _ in range(rows):
            self.made += 1
            source = self.chance.choice(SOURCES)
            row: dict[str, Any] = {"source": source, "conversion_id": self.an_id(), "changed": self.number}
            row |= {"occurred_at": self.a_moment(), "identity_key": self.a_key(), "value": self.a_value()}
            self.rows.append(row)
            while self.chance.random() < 0.2:  # once more, the same or another version
                other = dict(row)
                for name, say in self.chance.sample(self.says(), self.chance.randint(0, 2)):
                    other[name] = say()
                self.rows.append(other)

    def delete_rows(self) -> None:
        self.chance.shuffle(self.rows)
        back = [self.deleted.pop() for _ in range(len(self.deleted) // 3)]
        gone = [self.rows.pop() for _ in range(len(self.rows) // 15)]
        for row in back:
            self.touch(row)
            if self.chance.random() < 0.3:
                row["value"] = self.a_value()
        self.rows += back
        self.deleted = [*gone, *self.deleted]

    def correct_rows(self) -> None:
        says = [*self.says(), ("conversion_id", self.an_id), ("occurred_at", self.a_moment_far_away)]
        for row in self.chance.sample(self.rows, len(self.rows) // 8):
            for name, say in self.chance.sample(says, self.chance.choice([1, 1, 2])):
                row[name] = say()
            self.touch(row)

    def says(self) -> list[tuple[str, Callable[[], str | None]]]:
        return [("occurred_at", self.a_moment), ("identity_key", self.a_key), ("value", self.a_value)]

    def touch(self, row: dict[str, Any]) -> None:
        row["changed"] = self.number

    def an_id(self) -> str | None:
        self.made += 1
        dice = self.chance.random()
        return None if dice < 0.01 else " " if dice < 0.02 else f"Ö {self.made}/a" if dice < 0.05 else f"S-{self.made}"

    def a_key(self) -> str | None:
        dice = self.chance.random()
        return None if dice < 0.03 else "" if dice < 0.05 else self.chance.choice(self.keys)

    def a_value(self) -> str | None:
        return self.chance.choice(VALUES if self.chance.random() < 0.94 else NO_VALUES)

    def a_moment(self) -> str | None:
        """Mostly of the last 2 days, often at an edge of a night that is to come."""
        dice, now = self.chance.random(), self.now
        if dice < 0.05:
            return self.chance.choice(NO_MOMENTS)
        if dice < 0.65:
            moment = now - self.chance.randint(0, 48 * HOUR)
        elif dice < 0.8:
            moment = now + self.chance.randint(0, 30 * HOUR)
        elif dice < 0.88:
            moment = now - self.chance.randint(48 * HOUR, 90 * HOUR)
        else:
            night = milliseconds(self.chance.choice(self.clocks[self.number :]))
            moment = night - self.chance.choice([0, 48 * HOUR, 30 * 24 * HOUR]) + self.chance.choice([-1, 0, 1])
        return text_of(moment, self.chance.choice([0, 0, 999]))

    def a_moment_far_away(self) -> str:
        return text_of(self.now - self.chance.choice([20, 35, 400]) * 24 * HOUR, 0)

    # People

    def person(self, key: str) -> Person:
        dice = self.chance.random()
        user = self.chance.choice(UNFIT_USERS) if dice < 0.04 else f"u{self.chance.randint(1, 10**9)}"
        identified = self.now - self.chance.choice([self.chance.randint(0, 60 * HOUR), 9 * 24 * HOUR])
        return {
            "identity_key": key,
            "user_domain": self.chance.choice(["crm", "web"]),
            "user_id": user,
            "identified_at": identified,
        }

    def change_people(self) -> None:
        self.chance.shuffle(self.people)
        share = max(1, len(self.people) // 25)
        back = [self.erased.pop() for _ in range(len(self.erased) // 3)]
        self.erased += [self.people.pop() for _ in range(share)]
        self.people += back
        for person in self.chance.sample(self.people, share):
            person |= {"user_id": self.person("")["user_id"]}
        self.people += [self.person(key) for key in self.chance.sample(self.keys, share)]
        self.people += [
            self.person(key)
            for key in self.keys
            if not any(person["identity_key"] == key for person in self.people) and self.chance.random() < 0.1
        ]

    # The database

    def fill(self, night: Night, people: Collection[Person]) -> None:
        """Write the warehouse anew, its rows in any order."""
        self.chance.shuffle(self.rows)
        sales = []
        for place, row in enumerate(self.rows):
            moment, _ = moment_of(row["occurred_at"])
            at = None if moment is None else text_of(moment, 0)
            sales.append((*(row[name] for name in COLUMNS), at, row["changed"], place))
        known = [(*(person[name] for name in USER), text_of(person["identified_at"], 0)) for person in people]
        with night.session.transaction() as cursor:
            cursor.execute("TRUNCATE road, people")
            execute_values(cursor, "INSERT INTO road VALUES %s", sales, page_size=1_000)
            if known:
                execute_values(cursor, "INSERT INTO people VALUES %s", known, page_size=1_000)

    def returned(self, source: str, window: tuple[int, int], last_read: int) -> list[Row]:
        """What the query of a source returns."""
        found = [row for row in self.rows if row["source"] == source]
        if source == FEED:
            return [row for row in found if row["changed"] > last_read]
        if source == SHOP:
            moments = [(row, moment_of(row["occurred_at"])[0]) for row in found]
            return [row for row, at in moments if at is None or window[0] <= at < window[1] + 6 * HOUR]
        return found


COLUMNS = ("source", "conversion_id", "occurred_at", "identity_key", "value")
USER = ("identity_key", "user_domain", "user_id")
TABLE = """
CREATE TABLE road (
    source text, conversion_id text, occurred_at text, identity_key text, value text, at timestamptz, changed int, place int
)
"""


class Wire(Transport):
    """Keeps what is sent, and answers with the echo, not at all, or at the second time, as fate has it."""

    def __init__(self, fate: Callable[[str], str]) -> None:
        self.sent: list[dict[str, str]] = []
        self._fate = fate
        self._put_off: set[str] = set()
        self._answers: list[tuple[int, Answer]] = []

    @property
    def in_flight(self) -> int:
        return len(self._answers)

    def send(self, tag: int, body: bytes, may_leave: Callable[[int], bool]) -> None:
        self._answers.append((tag, self._answer(body) if may_leave(tag) else Answer(trouble=Trouble.WITHHELD)))

    def _answer(self, body: bytes) -> Answer:
        event = json.loads(body, parse_float=str, parse_int=str)
        fate = self._fate(event["actionId"])
        if fate == "away":
            return Answer(trouble=Trouble.UNSENT, detail="refused")
        self.sent.append(event)
        if fate == "lost":
            return Answer(trouble=Trouble.LOST, detail="lost")
        if fate == "later" and event["actionId"] not in self._put_off:
            self._put_off.add(event["actionId"])
            return Answer(status=503)
        return Answer(status=200, body=body)

    def poll(self, wait_seconds: float) -> list[tuple[int, Answer]]:
        ended, self._answers = self._answers, []
        return ended

    def drop(self, tags: Collection[int]) -> None:
        self._answers = [answer for answer in self._answers if answer[0] not in tags]

    def close(self) -> None:
        pass


@pytest.fixture
def chunk_rows(night: Night, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of a chunk, which a test may set."""
    rows = [1_000]
    original = Warehouse.read
    monkeypatch.setattr(
        Warehouse, "read", lambda self, sql, binds, columns, handle: original(self, sql, binds, columns, handle, rows[0])
    )
    night.sql(TABLE)
    return rows


@pytest.fixture
def new_world(night: Night) -> Callable[[], None]:
    """Empties the ledger."""

    def empty() -> None:
        night.sql(
            "TRUNCATE webflow.conversions, webflow.runs, webflow.extractions, webflow.extracted, webflow.history, webflow.pushes,"
            " webflow.dry_runs"
        )

    return empty


class Road:
    """One world and its oracle, from night to night."""

    def __init__(self, night: Night, chunk_rows: list[int], seed: int) -> None:
        self.night = night
        self.chunk_rows = chunk_rows
        self.seed = seed
        self.chance = Random(f"road {seed}")
        self.world = World(Random(seed), ROWS_OF_A_WORLD)
        self.oracle = Oracle(DESTINATION, CUSTOMER_ID, "offline-purchase")
        self.last_read = dict.fromkeys(SOURCES, -1)
        self.runs = 0
        self.seen = Counter[str]()

    def go(self) -> None:
        for number in range(NIGHTS):
            if number:
                self.world.next()
            self.night.clock.at = self.world.clocks[number]
            self.a_night()

    def a_night(self) -> None:
        dice = self.chance.random()
        people = [] if self.world.number and dice < 0.12 else self.world.people
        empty = {self.chance.choice(SOURCES)} if dice > 0.85 else set()
        self.world.fill(self.night, people)
        day = self.world.clocks[self.world.number].date()
        window = self.chance.choice([None, None, None, Window.of_date(day), Window.of_date(day - timedelta(days=1))])
        sources = SOURCES if self.chance.random() < 0.8 else tuple(self.chance.sample(SOURCES, 2))
        if self.a_run(window, sources, people, empty, force=False) and self.chance.random() < 0.5:
            self.a_run(window, sources, people, empty, force=True)

    def a_run(
        self, given: Window | None, sources: Collection[str], people: Collection[Person], empty: Collection[str], *, force: bool
    ) -> bool:
        """Run once, the package and the oracle beside it; whether it was stopped before it sent."""
        self.runs += 1
        night, now = self.night, self.world.now
        run = night.begin(f"{self.seed} {self.runs}", window=given, sources=list(sources), force=force)
        window = (milliseconds(run.window.start), milliseconds(run.window.end))
        is_tried_again = bool(people) and self.chance.random() < 0.25
        reads, extracted = self.extract(run, window, sources, people, empty, tries=1 + is_tried_again)
        looked = self.oracle.identify(reads, people, now, window, RETURNS_ALL, force=force)
        is_stopped = any(one.stops() for one in looked.values())
        for try_number in range(1 if is_stopped else 1 + is_tried_again):
            night.identify(run, just_asked=try_number == 0, returns_all=RETURNS_ALL, limits=LIMITS, force=force)
        self.compare(f"run {self.runs}, before it sends")

        accounts = night.runs.accounts(run, {DESTINATION: run.sources}, night.clock.at)
        for source in sources:
            account, one = accounts[source], looked[source]
            found, where = account.identified, self.told(f"{source} in run {self.runs}: {one}")
            assert (found.withdrawn.rows, found.missing.rows) == (one.withdrawn, one.missing), where
            if not is_tried_again:
                assert (found.unseen.rows, found.had_user, found.lost_user) == (one.unseen, one.had_user, one.lost_user), where
            assert sum(amount.rows for amount in account.states.values()) == extracted[source]
        found_wrong = objections(source_counts(accounts), {}, LIMITS, whole_window=run.window.spans_two_days)
        assert bool(found_wrong) is is_stopped, found_wrong
        self.seen["stopped"] += is_stopped
        if is_stopped and not force:
            return True
        self.push(run, window, people)
        return False

    def extract(
        self,
        run: Run,
        window: tuple[int, int],
        sources: Collection[str],
        people: Collection[Person],
        empty: Collection[str],
        tries: int,
    ) -> tuple[dict[str, Read], dict[str, int]]:
        """Read each source; what the oracle makes of it, and how many conversions the package recorded."""
        night, reads, recorded = self.night, {}, {}
        self.returned: dict[str, list[Row]] = {}
        for source in sources:
            there = [] if source in empty else self.world.returned(source, window, self.last_read[source])
            self.returned[source] = there
            reads[source] = self.oracle.extract(source, there, people, self.world.now, window)
            self.chunk_rows[0] = max(self.chance.choice([7, len(there) // 2, 10 * len(there)]), ROWS_OF_A_WORLD // 30)
            night.rules = replace(night.rules, source=source)
            night.sales_sql = QUERIES[source].format(is_there=source not in empty, last_read=self.last_read[source])
            for _ in range(tries):
                tally = night.extract(run)
                counts = {name: getattr(tally, name).rows for name in COUNTS}
                assert counts == {name: reads[source].counts[name] for name in COUNTS}, self.told(f"{source} in run {self.runs}")
                assert tally.adds_up
            recorded[source] = tally.recorded.rows
            if source not in empty:
                self.last_read[source] = self.world.number
        return reads, recorded

    def push(self, run: Run, window: tuple[int, int], people: Collection[Person]) -> None:
        mood = self.chance.choice(["well", "well", "well", "lost", "later", "away"])
        unlucky = Random(f"{self.seed} {self.runs}").random()

        def fate(action_id: str) -> str:
            if mood == "away":
                return "away"
            is_unlucky = Random(f"{unlucky} {action_id}").random() < 0.2
            return mood if is_unlucky and mood != "well" else "accepted"

        before = {name: dict(conversion) for name, conversion in self.oracle.conversions.items()}
        expected = self.oracle.push(run.sources, self.world.now, window, fate)
        wire = Wire(fate)
        try:
            self.night.push(run, wire, attempts_per_run=1, settings={"patience_seconds": 0.05 if mood == "away" else 30})
        except Unavailable:
            assert mood == "away"
        assert sorted(wire.sent, key=repr) == sorted(expected, key=repr), self.told(f"run {self.runs}")
        self.compare(f"run {self.runs}, after it sent")
        self.check_against_the_warehouse(before, people)
        self.seen.update([mood] * len(wire.sent))

    def check_against_the_warehouse(self, before: dict[Any, dict[str, Any]], people: Collection[Person]) -> None:
        """What has been accepted tonight is in its source at this moment, with these values and this user."""
        users: dict[str, list[Person]] = {}
        for person in people:
            users.setdefault(person["identity_key"], []).append(person)
        rows: dict[tuple[str, str | None], list[Row]] = {}
        for source in (SHOP, CRM):
            for row in self.returned.get(source, ()):
                rows.setdefault((source, row["conversion_id"]), []).append(row)
        for name, conversion in self.oracle.conversions.items():
            was = before[name]
            if conversion["state"] != "accepted" or was["state"] == "accepted" or was["doubts"] or name[0] == FEED:
                continue
            now_said = rows.get(name, [])
            if name[0] == CRM and not now_said:
                continue  # deleted, and its source promises nothing
            assert any(
                moment_of(row["occurred_at"])[0] == conversion["moment"] and row["identity_key"] == conversion["key"]
                for row in now_said
            ), (name, conversion, now_said)
            assert any(
                (user["user_domain"], user["user_id"]) == (conversion["domain"], conversion["user"])
                for user in users.get(conversion["key"], ())
            ), (name, conversion)

    def compare(self, when: str) -> None:
        """The ledger, row by row, with the oracle."""
        found = Counter(
            (row.source, row.conversion_id, row.action_timestamp_ms, row.value, row.identity_key, row.state, row.reason, row.detail,
             row.attempts, row.attempts_in_doubt, row.is_changed, *((row.user_domain, row.user_id) if row.state in WITH_USER else ()), *row.told)
            for row in self.ledger()
        )  # fmt: skip
        expected = Counter(
            (name[0], name[1], one["moment"], one["value"], one["key"], one["state"], one["reason"], one["detail"],
             one["attempts"], one["doubts"], one["is_changed"], *((one["domain"], one["user"]) if one["state"] in WITH_USER else ()), *one["told"])
            for name, one in self.oracle.conversions.items()
        )  # fmt: skip
        assert found == expected, self.told(when, found - expected, expected - found)
        self.seen.update(f"{one['state']} {one['reason']}" for one in self.oracle.conversions.values())

    def ledger(self) -> list[Any]:
        with self.night.session.transaction() as cursor:
            cursor.execute(
                "SELECT c.*, c.changed_after_sent_at IS NOT NULL AS is_changed, ARRAY("
                " SELECT what FROM webflow.history h WHERE h.conversion = c.id AND what = ANY (%s) ORDER BY h.id"
                ") AS told FROM webflow.conversions c",
                (TOLD,),
            )
            return cursor.fetchall()

    def told(self, when: str, *differences: Counter[Any]) -> str:
        """Where it went wrong, with what is needed to go there again."""
        lines = [f"{when}, at {self.night.clock.at}: ROAD_SEED={self.seed} ROAD_ROWS={ROWS}"]
        for what, difference in zip(("only in the ledger", "only said by the oracle"), differences, strict=False):
            lines += [what, *(f"  {one}" for one in sorted(difference, key=repr)[:12])]
        ids = {one[:2] for difference in differences for one in sorted(difference, key=repr)[:12]}
        lines += [
            f"  now in the source: {row}"
            for rows in self.returned.values()
            for row in rows
            if (row["source"], row["conversion_id"]) in ids
        ]
        return "\n".join(lines)


COUNTS = ("read", "recorded", "duplicates", "conflicting", "outside", "too_old")
WITH_USER = ("ready", "accepted", "held")
TOLD = ["withdrawn", "returned", "corrected", "user_gone", "user_changed"]


def go_down_the_road(night: Night, chunk_rows: list[int], seed: int) -> Counter[str]:
    print(f"ROAD_SEED={seed} ROAD_ROWS={ROWS}")
    road = Road(night, chunk_rows, seed)
    road.go()
    return road.seen


@pytest.mark.parametrize("seed", [1, 2])
def test_each_night_sends_and_keeps_what_the_oracle_says(night: Night, chunk_rows: list[int], seed: int) -> None:
    go_down_the_road(night, chunk_rows, seed)


def test_so_it_does_whatever_happens_between_the_nights(
    night: Night, chunk_rows: list[int], new_world: Callable[[], None]
) -> None:
    """One world of fresh dice, or as many as ``ROAD_ROWS`` asks for."""
    seen = Counter[str]()
    for _ in range(1 if SEED else ROWS // ROWS_OF_A_WORLD if IS_LARGE else 1):
        new_world()
        seen += go_down_the_road(night, chunk_rows, int(SEED) if SEED else secrets.randbelow(1_000_000))
    print(dict(seen))
    if IS_LARGE:
        assert set(seen) >= {
            "stopped",
            "withdrawn no_longer_in_source",
            "expired expired_in_doubt",
            "expired expired_unidentified",
        }
