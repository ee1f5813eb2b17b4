"""Whatever rows a PostgreSQL table can hold, every one of them ends in exactly one state, and no run crashes on it.

The whole road: a table of any types, the source's query, the ledger, the users, the push to a simulator, the account.
2,000 rows by default; ``ROAD_ROWS=100000`` (``make test-nightly``) takes more.
"""

import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2.extras import execute_values

from demo.simulator import SimulatorProcess
from tests.night import NOW, PEOPLE, Night
from webflow_conversions.rules.event import is_event_name
from webflow_conversions.rules.personal_data import looks_like_personal_data
from webflow_conversions.rules.source import Ambiguous, Goal, Nonexistent, TimestampKind
from webflow_conversions.rules.states import State, explain
from webflow_conversions.rules.window import MAX_AGE, Window, to_milliseconds

ROWS = int(os.environ.get("ROAD_ROWS", "2000"))
ROWS_AT_ONCE = 200 if ROWS <= 2_000 else 1_000

MICROSECOND, HOUR = timedelta(microseconds=1), timedelta(hours=1)

# Moments, most of them near an edge: now, 48 hours ago, 30 days ago, a clock change, the ends of the calendar.

ages = st.sampled_from(
    [age + nudge for age in (0 * HOUR, 48 * HOUR, timedelta(days=30)) for nudge in (-1000 * MICROSECOND, -MICROSECOND, 0 * HOUR, MICROSECOND)]
) | st.integers(-2 * 3_600_000_000, 60 * 3_600_000_000).map(lambda microseconds: microseconds * MICROSECOND)  # fmt: skip
recent = ages.map(lambda age: NOW - age)
far = st.sampled_from(
    ["infinity", "-infinity", "4713-01-01 00:00 BC", "0001-01-01 00:00", "1969-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999",
     "10000-01-01 00:00", "294276-12-31 23:59:59.999999", "2026-10-25 02:30", "2026-03-29 02:30", "2026-04-05 01:45", "2026-10-04 02:15"]
)  # fmt: skip
epochs = recent.map(to_milliseconds) | recent.map(lambda moment: to_milliseconds(moment) // 1000)
exact_epochs = recent.map(lambda moment: Decimal((moment - datetime(1970, 1, 1, tzinfo=UTC)) // MICROSECOND) / 10**6)

# Text: any character that PostgreSQL holds, and what has a meaning to somebody on the way.

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20) | st.sampled_from(
    ["", " ", "\t", "NULL", r"\N", r"\.", "\\", "'", '"', '","', "a\tb", "a\nb", "a\r\nb", "\x01\x7f", "\u2028", "\ufeff", "%s", "%(x)s",
     ":identity_keys", "{}", "{{ x }}", "$1", "x" * 500, "x" * 501, "💥" * 5_000, "é", "e\u0301", "NaN", "null", "None", "1.0", "007", "1e5",
     "72349876", "72349876.0", "jane@example.com", "+49 151 23456789", "-1", "ß", "İ", "a/b", "?row=", "a" * 41]
)  # fmt: skip
numbers = st.decimals(-(10**6), 10**6, places=4).map(str) | st.sampled_from(
    ["NaN", "Infinity", "-Infinity", "1e100", "-1e100", "1e-100", "0", "-0.0", "0.004", "0.005", "149.995", "9999999999999.99",
     "9999999999999.995", "1e13", "-0.001", "1" * 400]
)  # fmt: skip
floats = st.floats().map(repr) | st.floats(0, 10**6).map(repr)

anything = {
    "text": texts,
    "varchar": texts,
    "char(50)": texts.map(lambda text: text[:50]),
    "bigint": (st.integers(-(2**63), 2**63 - 1) | epochs | st.integers(-3, 3)).map(str),
    "integer": st.integers(-(2**31), 2**31 - 1).map(str),
    "numeric": numbers | exact_epochs.map(str) | epochs.map(str),
    "numeric(20, 2)": st.decimals(-(10**6), 10**6, places=2).map(str),
    "double precision": floats | exact_epochs.map(lambda number: repr(float(number))),
    "real": st.floats(width=32).map(repr),
    "timestamptz": recent.map(str) | far,
    "timestamp": recent.map(lambda moment: str(moment.replace(tzinfo=None))) | far,
    "date": st.sampled_from(["infinity", "2026-11-23", "0044-03-15 BC", "5874897-12-31"]),
    "time": st.times().map(str),
    "interval": st.sampled_from(["0", "1 day", "-178000000 years"]),
    "boolean": st.sampled_from(["t", "f"]),
    "bytea": st.binary(max_size=9).map(lambda value: f"\\x{value.hex()}"),
    "uuid": st.uuids().map(str),
    "jsonb": st.sampled_from(["null", "1", "true", '"x"', "[]", '{"a": [1, {"b": "c\\td"}]}']),
    "text[]": st.sampled_from(["{}", "{a}", '{NULL,"a,b","\\"",""}', "{{1,2},{3,4}}"]),
    "money": st.sampled_from(["0", "1234.5", "-2"]),
    "inet": st.just("10.0.0.1/8"),
    "bit(3)": st.just("101"),
    "tsvector": st.just("a:1 b"),
    "int4range": st.sampled_from(["empty", "[1,5)", "(,)"]),
}
no_ids = {"timestamptz", "timestamp", "time", "interval", "text[]", "money"}
no_times = {"time", "interval", "boolean", "bytea", "uuid", "text[]", "money"}
"""Types that plan refuses, see test_warehouse_types.py."""
ids = [type_ for type_ in anything if type_ not in no_ids]
keys = [type_ for type_ in ids if type_ != "bytea"]
whens = [
    "timestamptz",
    "timestamp",
    "text",
    "numeric",
    "double precision",
    "bigint",
    *(type_ for type_ in anything if type_ not in no_times),
]
NO_MOMENT = {
    "text": "junk",
    "varchar": "junk",
    "timestamptz": "infinity",
    "timestamp": "infinity",
    "numeric": "NaN",
    "double precision": "NaN",
}
amounts = ["numeric", "text", "double precision", "bigint", *anything]
sayable = {
    "conversion_id": (texts | st.integers(1, 99).map(lambda number: f"S-{number}"), ids),
    "occurred_at": (
        recent.map(str) | recent.map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%S.%f")) | epochs.map(str) | exact_epochs.map(str) | far | texts,
        whens,
    ),
    "identity_key": (texts | st.sampled_from(["k1", "k2", "k3"]), keys),
    "event_name": (st.sampled_from(["sale", "lead", "no goal", ""]) | texts, ["text", "text", "varchar", "char(50)", "integer"]),
    "value": (numbers | texts | st.sampled_from(["10", "149.99", " 7 ", "€5", "1,000.00"]), amounts),
    "timezone": (
        st.sampled_from(["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Kiritimati", "UTC", "utc", "EST5EDT",
                         "localtime", "", " ", "Mars/Olympus", "+02:00", "GMT+5"]) | texts,
        ["text", "text", "varchar"],
    ),
}  # fmt: skip


fitting = {
    TimestampKind.LOCAL: ["timestamp", "text"],
    TimestampKind.AWARE: ["timestamptz", "text"],
    TimestampKind.EPOCH_SECONDS: ["numeric", "double precision", "bigint", "text"],
    TimestampKind.EPOCH_MILLISECONDS: ["bigint", "numeric", "text"],
}


@dataclass(frozen=True)
class Table:
    """Columns with their types, and for each some values; its rows are mixed of these and of ordinary ones."""

    types: dict[str, str]
    pools: dict[str, list[str | None]]
    users: Sequence[tuple[str, str, str, str]]
    kind: TimestampKind
    chance: int

    def rows(self) -> list[tuple[str | None, ...]]:
        chance = random.Random(self.chance)
        return [
            tuple(
                (self._ordinary(name, number, chance) if chance.random() < 0.7 else None) or chance.choice(self.pools[name])
                for name in self.types
            )
            for number in range(ROWS_AT_ONCE)
        ]

    def _ordinary(self, name: str, number: int, chance: random.Random) -> str | None:
        type_ = self.types[name]
        is_text, is_number = type_ in ("text", "varchar", "char(50)"), type_ in ("bigint", "integer", "numeric", "numeric(20, 2)")
        match name:
            case "conversion_id" if is_text or is_number:
                return str(number)
            case "identity_key" if is_text or is_number:
                return chance.choice("1234")
            case "event_name" if is_text:
                return chance.choice(["sale", "lead"])
            case "value" if is_text or is_number:
                return chance.choice(["10", "150" if type_ in ("bigint", "integer") else "149.99", "0"])
            case "timezone":
                return chance.choice(["UTC", "America/New_York"])
            case "occurred_at" if type_ in fitting[self.kind]:
                return self._moment(NOW - 60 * HOUR * chance.random() + 2 * HOUR)
        return None

    def _moment(self, moment: datetime) -> str:
        match self.kind:
            case TimestampKind.LOCAL:
                return str(moment.replace(tzinfo=None))
            case TimestampKind.AWARE:
                return str(moment)
            case TimestampKind.EPOCH_SECONDS:
                return str(to_milliseconds(moment) // 1000)
            case TimestampKind.EPOCH_MILLISECONDS:
                return str(to_milliseconds(moment))


@st.composite
def tables(draw: Any) -> Table:
    kind = draw(st.sampled_from(TimestampKind))
    absent = draw(st.sets(st.sampled_from(["event_name", "value", "timezone"]), max_size=2))
    types, pools = {}, {}
    for name, (text, of_types) in sayable.items():
        if name in absent:
            continue
        likely = {"occurred_at": fitting[kind], "conversion_id": ["text", "bigint"], "identity_key": ["text", "bigint"]}.get(
            name, ["text"]
        )
        types[name] = draw(st.sampled_from(likely) | st.sampled_from(of_types))
        of_type = text if types[name] in ("text", "varchar") else anything[types[name]]
        pools[name] = draw(st.lists(of_type | st.none(), min_size=4, max_size=14))
    pools["occurred_at"].append(NO_MOMENT.get(types["occurred_at"]))
    numbered = types["identity_key"] in ("text", "varchar", "char(50)", "bigint", "integer", "numeric", "numeric(20, 2)")
    users = [(key, "crm", f"u{key}", "2026-01-01") for key in "12"] if numbered else []
    keys = ["1", "3"] * numbered + [key for key in pools["identity_key"] if key is not None]
    if keys:
        user = st.tuples(st.sampled_from(keys), st.just("crm") | texts, st.just("u3") | texts, recent.map(str) | far)
        users += draw(st.lists(user, max_size=12))
    return Table(types=types, pools=pools, users=users, kind=kind, chance=draw(st.integers(0, 2**32)))


rules = st.fixed_dictionaries(
    {
        "event_name": st.sampled_from(["sale", None]),
        "timezone": st.sampled_from(["America/New_York", "Australia/Lord_Howe", None]),
        "ambiguous": st.sampled_from(Ambiguous),
        "nonexistent": st.sampled_from(Nonexistent),
        "goals": st.none() | st.just([Goal(event_name="sale", valid_from=NOW - 24 * HOUR, valid_to=None)]),
    }
)
windows = st.sampled_from([Window.up_to(NOW), Window.of_date(NOW.date()), Window.of_date((NOW - 24 * HOUR).date())])

fresh = count()


def fill(night: Night, table: Table) -> None:
    columns = ", ".join(f"{name} {type_}" for name, type_ in table.types.items())
    key_type = table.types["identity_key"]
    with night.session.transaction() as cursor:
        cursor.execute("DROP TABLE sales; DROP TABLE people")
        cursor.execute(f"CREATE TABLE sales ({columns})")
        cursor.execute(
            f"CREATE TABLE people (identity_key {key_type}, user_domain text, user_id text, identified_at timestamptz)"
        )
        casts = ", ".join(f"%s::text::{type_}" for type_ in table.types.values())
        execute_values(cursor, "INSERT INTO sales VALUES %s", table.rows(), f"({casts})", page_size=500)
        if table.users:
            execute_values(
                cursor, "INSERT INTO people VALUES %s", table.users, f"(%s::text::{key_type}, %s, %s, %s::timestamptz)"
            )


def comparable(key_type: str) -> str:
    """The query for known users: types that cannot be compared with text are cast, as their users would have to."""
    as_is = {"text", "varchar", "char(50)", "bigint", "integer", "numeric", "numeric(20, 2)", "double precision", "real", "uuid"}
    return PEOPLE if key_type in as_is else PEOPLE.replace("WHERE identity_key", "WHERE identity_key::text")


def test_any_row_ends_in_exactly_one_state_with_its_reason(night: Night, simulator: SimulatorProcess) -> None:
    seen: Counter[str] = Counter()

    @settings(
        deadline=None,
        max_examples=ROWS // ROWS_AT_ONCE,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(table=tables(), given_rules=rules, window=windows)
    def go(table: Table, given_rules: dict[str, Any], window: Window) -> None:
        for row in go_the_road(night, simulator, table, given_rules, window):
            check(row)
            seen[row.reason or row.state] += 1
        seen["rows"] += ROWS_AT_ONCE

    go()
    print(dict(seen))
    assert seen["rows"] >= ROWS
    assert {"accepted", "future", "unknown_user", "expired_before_seen", "invalid_timestamp", "missing_conversion_id"} <= set(
        seen
    )


def go_the_road(
    night: Night, simulator: SimulatorProcess, table: Table, given_rules: dict[str, Any], window: Window
) -> list[Any]:
    """The ledger's rows after a run; a second extraction changes nothing, the account adds up, and what is accepted is out once."""
    source = f"road{next(fresh)}"
    simulator.clear()
    fill(night, table)
    night.rules = replace(night.rules, source=source, kind=table.kind, **given_rules)
    night.people_sql = comparable(table.types["identity_key"])
    run = night.begin(source, window=window)
    tally = night.extract(run)
    night.identify(run)
    before = stand(night, source)
    assert night.extract(run) == tally
    assert stand(night, source) == before
    counts = night.push(run, simulator.url)

    rows = stand(night, source)
    assert tally.read.rows == ROWS_AT_ONCE
    assert tally.adds_up
    assert len(rows) == tally.recorded.rows
    assert sum((row.value or 0 for row in rows), Decimal(0)) == tally.recorded.value
    assert counts.accepted == sum(row.state == State.ACCEPTED for row in rows) == len(simulator.events())
    assert set(simulator.action_ids().values()) <= {1}
    assert night.problems(run) == []
    return rows


def stand(night: Night, source: str) -> list[Any]:
    with night.session.transaction() as cursor:
        cursor.execute("SELECT * FROM webflow.conversions WHERE source = %s ORDER BY id", (source,))
        return cursor.fetchall()


def check(row: Any) -> None:
    """A state that fits the reason, and an event that Webflow takes if it went out."""
    if row.state in (State.ACCEPTED, State.FUTURE):
        assert row.reason is None
    else:
        assert explain(row.reason).state == row.state
    match State(row.state):
        case State.ACCEPTED:
            assert to_milliseconds(NOW - MAX_AGE) <= row.action_timestamp_ms <= to_milliseconds(NOW)
            assert is_event_name(row.event_name)
            assert row.conversion_id
            assert row.user_domain.strip()
            assert row.user_id.strip()
            assert not looks_like_personal_data(row.user_id)
            assert row.value is None or 0 <= row.value < 10**13
        case State.HELD:
            assert row.identity_key
        case State.FUTURE:
            assert row.action_timestamp_ms > to_milliseconds(NOW)
        case State.EXPIRED:
            assert row.action_timestamp_ms < to_milliseconds(NOW - MAX_AGE)
        case state:
            assert state is State.REJECTED
