"""A month of sales: what the warehouse holds from night to night, and what happens besides, by the dice of one seed.

Rows come late, are corrected and deleted; people become known late, change their user and are erased; two of the sources keep local
times, and the clocks of both zones change in the middle of the month, one forward, one back.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from psycopg2.extensions import connection as Connection
from psycopg2.extras import execute_values

from tests.oracle import HOUR, WAITING, Conversion, Person, Row, moment_of

SHOP, CRM, FEED = "shop", "crm.deals", "feed"
SOURCES = (SHOP, CRM, FEED)
EVENT_NAME = "offline-purchase"
DAY = timedelta(days=1)
MIDDLE = date(2026, 4, 2)
"""Berlin's clocks go forward on 29 March 2026, Sydney's back on 5 April."""
BERLIN, SYDNEY = "Europe/Berlin", "Australia/Sydney"
FORWARD, BACK = date(2026, 3, 29), date(2026, 4, 5)
NIGHT, SWEEP = time(22, 0), time(23, 15)
LAST_MINUTE = 21 * HOUR + 50 * 60_000
"""No sale happens later in a UTC day: near the end of the 48 hours it would depend on the machine whether a night is in time."""
YOUNG_NIGHTS = 6
"""Nights after which a sale and a person change no more, and no query returns them."""

CONFIGURATION = f"""
sources:
  - name: {SHOP}
    sql: shop.sql
    event_name: {EVENT_NAME}
    timestamps: {{kind: local, timezone: {BERLIN}}}
    returns_all: true
  - name: {CRM}
    sql: crm.sql
    event_name: {EVENT_NAME}
    timestamps: {{kind: local, timezone: {SYDNEY}}}
  - name: {FEED}
    sql: feed.sql
    event_name: {EVENT_NAME}
    timestamps: {{kind: aware}}
known_users: {{sql: people.sql}}
attribution: {{visits: visits.sql, complete_until: until.sql}}
retention_days: 31
people_retention_days: 5
"""
REHEARSAL = "delivery: {mode: rehearse}\n"
_ROWS = "SELECT conversion_id, occurred_at, timezone, identity_key, value FROM sales WHERE source = "
QUERIES = {
    # All that happened in the window, and some of what comes after it.
    "shop.sql": f"{_ROWS}'{SHOP}' AND (at >= :window_start AND at < :window_end + interval '12 hours'"
    " OR at IS NULL AND updated_at >= :window_start)",
    # More than the window: a day before it, too.
    "crm.sql": f"{_ROWS}'{CRM}' AND (at >= :window_start - interval '1 day' AND at < :window_end + interval '12 hours'"
    " OR at IS NULL AND updated_at >= :window_start)",
    # What was changed in the window.
    "feed.sql": f"{_ROWS}'{FEED}' AND updated_at >= :window_start",
    "people.sql": "SELECT identity_key, user_domain, user_id, identified_at FROM people WHERE identity_key IN :identity_keys",
    "visits.sql": "SELECT * FROM visits WHERE user_id IN :user_ids AND last_active_at >= :since AND started_at < :until",
    "until.sql": "SELECT max(loaded_until) AS complete_until FROM loads",
}
WAREHOUSE = """
CREATE TABLE sales (
    number bigint PRIMARY KEY, source text, conversion_id text, occurred_at text, timezone text, identity_key text, value text,
    at timestamptz, updated_at timestamptz
);
CREATE INDEX ON sales (source, at);
CREATE INDEX ON sales (source, updated_at);
CREATE TABLE people (identity_key text, user_domain text, user_id text, identified_at timestamptz);
CREATE INDEX ON people (identity_key);
CREATE TABLE visits (user_domain text, user_id text, started_at timestamptz, last_active_at timestamptz, first_viewed_at timestamptz);
CREATE INDEX ON visits (user_id);
CREATE TABLE loads (loaded_until timestamptz)
"""


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """What happens on which nights, counted from 0.

    ``revoked``: the token is revoked while the night is sent, and replaced before the next one. ``upgraded``: from this night on the
    tasks are of the newest release. ``twice``: the sweep at 23:15 runs, too. ``forgetting``: people are erased after it.
    """

    nights: int
    dry_runs: Collection[int]
    rehearsals: Collection[int]
    skipped: Collection[int]
    revoked: Collection[int]
    upgraded: int
    twice: Collection[int]
    forgetting: Collection[int]

    def at(self, night: int, moment: time = NIGHT) -> datetime:
        """When a night runs."""
        return datetime.combine(MIDDLE + (night - self.nights // 2) * DAY, moment, UTC)


MONTH = Calendar(
    nights=30,
    dry_runs={3, 17, 26},
    rehearsals={5},
    skipped={8},
    revoked={20},
    upgraded=14,
    twice={10, 20, 24},
    forgetting={4, 9, 12, 16, 22, 27},
)
DAYS = Calendar(
    nights=8,
    dry_runs={1},
    rehearsals={2},
    skipped={4},
    revoked={6},
    upgraded=3,
    twice={3, 6},
    forgetting={3, 7},
)


@dataclass(slots=True, kw_only=True)
class Sale:
    """A row of the warehouse. ``occurred_at`` and ``zone`` are what its query returns, ``day`` is when it happened."""

    number: int
    source: str
    conversion_id: str | None
    occurred_at: str | None
    zone: str | None
    key: str | None
    value: str | None
    day: int
    updated: int
    moment: int | None = None

    def settle(self) -> None:
        """Work out the moment, UTC milliseconds, by the rules of the design; None where there is none."""
        zone = self.zone or {SHOP: BERLIN, CRM: SYDNEY}.get(self.source)
        self.moment, _ = moment_of(in_utc(self.occurred_at, zone) if zone else self.occurred_at)

    def as_row(self) -> Row:
        """The row as the oracle reads it: with the offset of its zone."""
        text = self.occurred_at if self.moment is None else text_of(self.moment)
        return {"conversion_id": self.conversion_id, "occurred_at": text, "identity_key": self.key, "value": self.value}


def in_utc(text: str | None, zone: str) -> str | None:
    """A local time with its offset: of two such moments the later one, in a gap the offset before it."""
    try:
        wall = datetime.fromisoformat(text or "")
    except ValueError:
        return text
    first, second = (wall.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1))
    is_there = first.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wall
    return (second if is_there else first).isoformat()


def text_of(moment: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)).isoformat()


def milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@dataclass
class Changes:
    """What a night changed in the warehouse."""

    new: list[Sale] = field(default_factory=list)
    changed: list[Sale] = field(default_factory=list)
    deleted: list[Sale] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    replaced: list[Person] = field(default_factory=list)
    erased_keys: list[str] = field(default_factory=list)
    loaded_until: int = 0


class World:
    """The warehouse in memory, as far as it still changes."""

    def __init__(self, calendar: Calendar, rows: int, seed: int) -> None:
        self.calendar = calendar
        self.size = rows
        self.chance = Random(seed)
        self.sales: list[Sale] = []
        self.late: dict[int, list[Sale]] = {}
        self.late_people: dict[int, list[Person]] = {}
        self.people: dict[int, list[Person]] = {}
        self.made = 0
        self.keys: dict[int, list[str]] = {}
        self.everybody: list[Person] = []

    def midnight(self, night: int) -> int:
        """The beginning of the UTC day of a night."""
        return milliseconds(datetime.combine(self.calendar.at(night).date(), time(), UTC))

    # What happens

    def next(self, night: int) -> Changes:
        """Another day."""
        young = night - YOUNG_NIGHTS
        self.sales = [sale for sale in self.sales if sale.day > young]
        for old in [day for day in self.people if day <= young]:
            del self.people[old], self.keys[old]
        is_calm = night + 1 in self.calendar.revoked
        updated = self.midnight(night) + 21 * HOUR
        changes = Changes(loaded_until=updated + 55 * 60_000)
        self._add_people(night, changes, is_calm=is_calm)
        self._change_sales(night, updated, changes)
        for _ in range(self.size):
            for sale in self._sales(night, updated):
                dice = 1.0 if is_calm else self.chance.random()
                if dice < 0.06:
                    nights = 1 if dice < 0.05 else 2
                    arrives = night + nights + (night + nights in self.calendar.revoked)
                    sale.updated = self.midnight(arrives) + 21 * HOUR
                    self.late.setdefault(arrives, []).append(sale)
                else:
                    changes.new.append(sale)
        changes.new += self.late.pop(night, [])
        self.sales += changes.new
        return changes

    def sweep(self, night: int) -> Changes:
        """Between a night and its sweep."""
        changes, updated = Changes(), self.midnight(night) + 22 * HOUR + HOUR // 2
        for _ in range(max(self.size // 100, 3)):
            changes.new += self._sales(night, updated)
        self.sales += changes.new
        self._change_sales(night, updated, changes, share=0.002)
        return changes

    def erase(self, night: int, oldest: Collection[tuple[str, str, str]]) -> tuple[Changes, list[tuple[str, str, str]]]:
        """Erase some people from the warehouse, half of them without their sales; who they are: key, domain and ID of the user.

        :param oldest: others, who are in no table of the warehouse any more.
        """
        changes, erased = Changes(), list(oldest)
        for day in (night - 1, night):
            for person in self.chance.sample(self.people.get(day, []), min(5, len(self.people.get(day, [])))):
                erased.append((person["identity_key"], person["user_domain"], person["user_id"]))
                changes.erased_keys.append(person["identity_key"])
        gone = set(changes.erased_keys)
        for people in (*self.people.values(), *self.late_people.values()):
            people[:] = [person for person in people if person["identity_key"] not in gone]
        with_sales = set(changes.erased_keys[::2])
        changes.deleted = [sale for sale in self.sales if sale.key in with_sales]
        self.sales = [sale for sale in self.sales if sale.key not in with_sales]
        return changes, erased

    # Rows

    def _sales(self, night: int, updated: int) -> Iterator[Sale]:
        self.made += 1
        dice = self.chance.random()
        source = SHOP if dice < 0.5 else CRM if dice < 0.8 else FEED
        conversion_id = (
            None if self.chance.random() < 0.002 else f"S-{self.made}" if self.chance.random() < 0.99 else f"Ö {self.made}/a"
        )
        sale = Sale(
            number=self.made,
            source=source,
            conversion_id=conversion_id,
            occurred_at=None,
            zone="America/New_York" if source == CRM and self.chance.random() < 0.3 else None,
            key=self._key(night),
            value=self._value(),
            day=night,
            updated=updated,
        )
        self._happen(sale)
        yield sale
        if self.chance.random() < 0.01:
            self.made += 1
            yield replace(sale, number=self.made)
        if self.chance.random() < 0.002:
            self.made += 1
            other = replace(sale, number=self.made, value=self._value())
            other.settle()
            yield other

    def _happen(self, sale: Sale) -> None:
        """Let it happen at a moment of its day, at a clock change now and then."""
        today, dice = self.calendar.at(sale.day).date(), self.chance.random()
        zone = sale.zone or {SHOP: BERLIN, CRM: SYDNEY}.get(sale.source)
        moment = self.midnight(sale.day) + self.chance.randrange(LAST_MINUTE)
        if dice < 0.02:
            moment += 24 * HOUR - 11 * HOUR * (moment % (24 * HOUR) > 11 * HOUR)
            sale.occurred_at = self._local(moment, zone)
        elif dice < 0.024:
            sale.occurred_at = self.chance.choice([None, "", "yesterday"])
        elif dice < 0.1 and (zone, today) in ((BERLIN, FORWARD), (SYDNEY, BACK)):
            # From 2 to 3 o'clock: there is no such time in Berlin, and there are two in Sydney.
            sale.occurred_at = (
                f"{today} 02:{self.chance.randrange(60):02}:{self.chance.randrange(60):02}.{self.chance.randrange(1000):03}"
            )
        else:
            sale.occurred_at = self._local(moment, zone)
        sale.settle()

    @staticmethod
    def _local(moment: int, zone: str | None) -> str:
        if zone is None:
            return text_of(moment)
        wall = datetime.fromisoformat(text_of(moment)).astimezone(ZoneInfo(zone))
        return wall.replace(tzinfo=None).isoformat(" ", "milliseconds")

    def _value(self) -> str | None:
        return self.chance.choice(["10.00", "149.99", "20", "7.5", "10.005", None]) if self.chance.random() < 0.985 else "-1"

    def _key(self, night: int) -> str | None:
        if self.chance.random() < 0.01:
            return None
        day = night - 1 if night - 1 in self.keys and self.chance.random() < 0.1 else night
        return self.chance.choice(self.keys[day])

    def _change_sales(self, night: int, updated: int, changes: Changes, share: float = 0.02) -> None:
        """Corrections and deletions of the last days: of what waits, of what was sent, of what was turned away.

        No correction makes a sale ready on the one night on which it could go out and the token is revoked: it would be lost.
        """
        young = [sale for sale in self.sales if sale.day >= night - 2]
        is_calm = night in self.calendar.revoked
        for sale in self.chance.sample(young, 0 if is_calm else int(len(young) * share)):
            match self.chance.randrange(4):
                case 0:
                    self._happen(sale)
                case 1:
                    sale.key = self._key(min(sale.day, night - 1) if sale.day in self.keys else night)
                case _:
                    sale.value = self._value()
            sale.updated = updated
            changes.changed.append(sale)
        gone = {sale.number for sale in self.chance.sample(young, int(len(young) * share / 2))}
        changes.deleted = [sale for sale in young if sale.number in gone]
        changes.changed = [sale for sale in changes.changed if sale.number not in gone]
        self.sales = [sale for sale in self.sales if sale.number not in gone]

    # People

    def _add_people(self, night: int, changes: Changes, *, is_calm: bool) -> None:
        keys = self.keys[night] = [f"k{night}-{number}" for number in range(max(self.size // 3, 10))]
        known = self.people[night] = []
        for number, key in enumerate(keys):
            day = night if number % 2 == 0 else None
            dice = self.chance.random()
            if dice < 0.85 or (is_calm and dice < 0.92):
                known.append(self._person(night, key, day))
            elif dice < 0.92:
                arrives = night + 1 + (night + 1 in self.calendar.revoked)
                self.late_people.setdefault(arrives, []).append(self._person(night, key, day))
        arrived = self.late_people.pop(night, [])
        changes.people += known + arrived
        self.everybody += [dict(person) for person in known + arrived if person["visit"] is not None]
        known += arrived
        for person in self.chance.sample(self.people.get(night - 1, []), len(self.people.get(night - 1, [])) // 200):
            person["user_id"] = f"{person['user_id']}-again"
            changes.replaced.append(person)

    def _person(self, night: int, key: str, day: int | None) -> Person:
        """A person of a key. ``visit``: when a visit of that UTC day began, which lasts for all of it; None for somebody without."""
        identified = self.midnight(night) - self.chance.randrange(1, 240) * HOUR
        return {
            "identity_key": key,
            "user_domain": self.chance.choice(["crm", "web"]),
            "user_id": f"u{self.chance.randrange(10**12)}",
            "identified_at": identified,
            "visit": None if day is None else self.midnight(day) - HOUR,
        }

    # What is returned

    def known(self) -> list[Person]:
        """The people whom the warehouse knows, but for those of old."""
        return [person for people in self.people.values() for person in people]

    def returned(self, source: str, window: tuple[int, int]) -> list[Row]:
        """What the query of a source returns."""
        start, end = window
        before = 24 * HOUR if source == CRM else 0

        def is_there(sale: Sale) -> bool:
            if source == FEED or sale.moment is None:
                return sale.updated >= start
            return start - before <= sale.moment < end + 12 * HOUR

        return [sale.as_row() for sale in self.sales if sale.source == source and is_there(sale)]


def write(connection: Connection, changes: Changes) -> None:
    """Bring what changed into the warehouse."""
    with connection, connection.cursor() as cursor:
        rows = [_columns(sale) for sale in changes.new]
        execute_values(cursor, "INSERT INTO sales VALUES %s", rows, page_size=1_000) if rows else None
        if changed := [_columns(sale) for sale in {sale.number: sale for sale in changes.changed}.values()]:
            execute_values(
                cursor,
                "UPDATE sales s SET occurred_at = n.occurred_at, identity_key = n.key, value = n.value, at = n.at::timestamptz,"
                " updated_at = n.updated::timestamptz FROM (VALUES %s) AS n (number, source, conversion_id, occurred_at, zone, key, value, at, updated)"
                " WHERE s.number = n.number",
                changed,
                "(%s::bigint, %s, %s, %s, %s, %s, %s, %s, %s)",
                page_size=1_000,
            )
        cursor.execute("DELETE FROM sales WHERE number = ANY (%s)", ([sale.number for sale in changes.deleted],))
        cursor.execute("DELETE FROM people WHERE identity_key = ANY (%s)", (changes.erased_keys,))
        for person in changes.replaced:
            cursor.execute("UPDATE people SET user_id = %s WHERE identity_key = %s", (person["user_id"], person["identity_key"]))
        people = [
            (person["identity_key"], person["user_domain"], person["user_id"], text_of(person["identified_at"]))
            for person in changes.people
        ]
        execute_values(cursor, "INSERT INTO people VALUES %s", people, page_size=1_000) if people else None
        visits = [
            (one["user_domain"], one["user_id"], text_of(one["visit"]), text_of(one["visit"] + 23 * HOUR), text_of(one["visit"]))
            for one in changes.people
            if one["visit"] is not None
        ]
        execute_values(cursor, "INSERT INTO visits VALUES %s", visits, page_size=1_000) if visits else None
        if changes.loaded_until:
            cursor.execute("INSERT INTO loads VALUES (%s)", (text_of(changes.loaded_until),))


def _columns(sale: Sale) -> Sequence[object]:
    at = None if sale.moment is None else text_of(sale.moment)
    return (
        sale.number,
        sale.source,
        sale.conversion_id,
        sale.occurred_at,
        sale.zone,
        sale.key,
        sale.value,
        at,
        text_of(sale.updated),
    )


def forget(conversions: Iterable[Conversion], people: Collection[tuple[str, str, str]]) -> None:
    """What ``webflow-conversions forget`` does: a tombstone stays of each conversion, and what waits goes out no more."""
    keys, users = {key for key, _, _ in people}, {(domain, user) for _, domain, user in people}
    for conversion in conversions:
        if conversion["key"] in keys or (conversion["domain"], conversion["user"]) in users:
            conversion["is_forgotten"] = True
            if conversion["state"] in WAITING:
                conversion |= {"state": "withdrawn", "reason": "forgotten"}
