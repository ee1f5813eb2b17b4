"""What is foreseen is what the import credits, under each reading, for every conversion of random sites.

The whole way: a site's reports, the nightly Data Exports in PostgreSQL, the ready-made queries, the verdict; beside it the
simulator's own import, which shares no code with the package. 2,000 conversions by default; ``ATTRIBUTION_ROWS=100000`` (``make test-nightly``) takes more.
"""

import os
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from demo.simulator.exports import TABLES, create_tables, export
from demo.simulator.goals import GoalName, Goals
from demo.simulator.nightly_import import Reading, Received, import_events, next_midnight_ms
from demo.simulator.site import Kind, Report, Site, User
from demo.simulator.site_generator import Person, generate
from tests.night import CUSTOMER_ID, Night
from tests.visit_sources import fill_segment, is_never_idle
from webflow_conversions.rules.attribution import Coverage, judge, visits_frame
from webflow_conversions.rules.credit import Attribution
from webflow_conversions.rules.goals import check_goals
from webflow_conversions.rules.source import Goal
from webflow_conversions.rules.window import from_milliseconds, to_milliseconds
from webflow_conversions.warehouse.reader import Warehouse

ROWS = int(os.environ.get("ATTRIBUTION_ROWS", "2000"))
ROWS_AT_ONCE = ROWS // 8
DAY = 86_400_000
FROM = to_milliseconds(datetime(2026, 11, 2, tzinfo=UTC))
TO = to_milliseconds(datetime(2026, 11, 16, tzinfo=UTC))
RENAMED = to_milliseconds(datetime(2026, 11, 9, 12, tzinfo=UTC))
HISTORY_DAYS = 20
FIRST = FROM - 21 * DAY
"""The moment of the first visit ever: the exports reach back far enough for everybody, unless it is left out."""
SQL = Path(__file__).resolve().parents[2] / "include" / "sql" / "attribution"

NAMES = [
    GoalName("1", "offline-purchase"),
    GoalName("2", "lead", FROM, RENAMED),
    GoalName("2", "qualified-lead", RENAMED),
    GoalName("3", "lead", TO - 2 * DAY),
]


CONNECTED = FROM + 5 * DAY
"""The moment from which on there are exports where they do not hold everything."""
FIRST_VISIT = [Report("first", FIRST, Kind.PAGE, "/"), Report("first", FIRST, Kind.VARIATION, "base", "homepage headline")]


def sales(people: Sequence[Person], seed: int) -> pd.DataFrame:
    """Conversions of random people, most of them at a moment that is an edge of one of their visits."""
    dice = random.Random(seed)
    moments = [(person.key, at) for person in people for at in person.moments if FROM <= at < TO]
    names = dice.choices(["offline-purchase", "lead", "qualified-lead", "nothing"], [7, 1, 1, 1], k=ROWS_AT_ONCE)
    chosen = dice.choices(moments, k=ROWS_AT_ONCE)
    rows = [(number, key, at, name) for number, ((key, at), name) in enumerate(zip(chosen, names, strict=True))]
    return pd.DataFrame(rows, columns=["id", "identity_key", "action_timestamp_ms", "event_name"])


def known_users(people: Sequence[Person]) -> pd.DataFrame:
    """All users of all people."""
    rows = [(person.key, user.domain, user.id) for person in people for user in person.users]
    return pd.DataFrame(rows, columns=["identity_key", "user_domain", "user_id"])


def is_on_the_site(site: Site, person: Person, at: int) -> bool:
    """Whether a person is in the middle of a session: if the exports begin then, its start is not to be known."""
    visitors = {report.visitor for report in person.reports}
    return any(session.first_ms < at <= session.last_ms for visitor in visitors for session in site.sessions[visitor])


def load(cursor: Any, site: Site, loaded: int, variant: int) -> None:
    """Export night after night: all; from the connection on; the last night twice; the views three days behind the rest."""
    create_tables(cursor)
    if variant != 1:
        export(cursor, site, CUSTOMER_ID, FIRST, FIRST + DAY)
    for start in range(CONNECTED if variant == 1 else FROM, loaded, DAY):
        end = min(start + DAY, loaded)
        is_behind = variant == 3 and end > loaded - 3 * DAY
        for _ in range(2 if variant == 2 and end == loaded else 1):
            export(cursor, site, CUSTOMER_ID, start, end, into=[table for table in TABLES if not (is_behind and table == "optimize_variation_viewed")])  # fmt: skip


def coverage(warehouse: Warehouse, now: int) -> Coverage:
    """The coverage that the ready-made query reports."""
    [row] = read(warehouse, "webflow_exports_until.sql", {"until": from_milliseconds(now)}).to_dict("records")
    ends = visits_frame([{**{name: pd.Series([None], dtype=object) for name in ("user_domain", "user_id", "first_viewed_at")}, "started_at": pd.Series([row["complete_from"]], dtype=object), "last_active_at": pd.Series([row["complete_until"]], dtype=object)}])  # fmt: skip
    since, until = (None if pd.isna(ends[name][0]) else int(ends[name][0]) for name in ("started_at", "last_active_at"))
    return Coverage.at(now, complete_until_ms=until, complete_from_ms=since, history_days=HISTORY_DAYS)


def read(warehouse: Warehouse, file: str, binds: dict[str, Any]) -> pd.DataFrame:
    sql = (SQL / file).read_text(encoding="utf-8")
    chunks: list[Any] = []
    warehouse.read(sql, binds, warehouse.columns(sql, binds), chunks.append)
    return pd.concat([pd.DataFrame(chunk) for chunk in chunks], ignore_index=True) if chunks else pd.DataFrame()


def visits(warehouse: Warehouse, users: pd.DataFrame, now: int, query: str = "webflow_exports.sql") -> pd.DataFrame:
    """The visits that a ready-made query returns for the users, in pages of 5,000."""
    ids = sorted(set(users["user_id"]))
    binds = {"since": from_milliseconds(FIRST), "until": from_milliseconds(now)}
    pages = [read(warehouse, query, {"user_ids": ids[start : start + 5_000], **binds}) for start in range(0, len(ids), 5_000)]
    return visits_frame([{name: page[name] for name in page} for page in pages if len(page)])


def credited(sold: pd.DataFrame, verdicts: pd.DataFrame, users: pd.DataFrame, site: Site, reading: Reading) -> set[int]:
    """The conversions that the import credits, each sent for the user of the verdict, or for the person's first one."""
    first = users.drop_duplicates("identity_key").set_index("identity_key")["user_id"]
    events = [
        Received(str(sale.id), sale.event_name, User("salesforce", verdict.user_id or first.get(sale.identity_key, "nobody")), sale.action_timestamp_ms)
        for sale, verdict in zip(sold.itertuples(), verdicts.itertuples(), strict=True)
    ]  # fmt: skip
    imported = import_events(events, site, Goals(NAMES), reading, next_midnight_ms(TO))
    return {int(credit.action_id) for credit in imported}


def goal_reasons(sold: pd.DataFrame) -> Any:
    """The reason for which no goal had the conversion's event name at its moment, or None."""
    goals = [
        Goal(
            event_name=name.event_name,
            valid_from=None if name.from_ms < 0 else from_milliseconds(name.from_ms),
            valid_to=None if name.to_ms > TO else from_milliseconds(name.to_ms),
        )
        for name in NAMES
    ]
    return check_goals(sold["event_name"], sold["action_timestamp_ms"].to_numpy(), goals, from_milliseconds(FROM))


@pytest.mark.parametrize("ids_persist", [False, True])
def test_the_verdicts_agree_with_the_import(night: Night, ids_persist: bool) -> None:
    """Under each reading, and whatever part of the exports is loaded."""
    seen: Counter[str] = Counter()
    for number in count(int(ids_persist), 2):
        if seen["rows"] >= ROWS / 2:
            break
        people = list(generate(number, ROWS_AT_ONCE // 4, FROM, TO))
        site = Site([*FIRST_VISIT, *(report for person in people for report in person.reports)], ids_persist=ids_persist)
        if number // 2 % 4 == 1:
            people = [person for person in people if not is_on_the_site(site, person, CONNECTED)]
        users = known_users(people)
        sold = sales(people, number)
        sold["goal_reason"] = goal_reasons(sold)
        loaded = [TO, TO, TO - DAY, TO - random.Random(number).randrange(DAY)][number // 2 % 4]
        with closing(night.connect()) as connection, connection, connection.cursor() as cursor:
            load(cursor, site, loaded, number // 2 % 4)
        covered = coverage(night.warehouse, TO)
        verdicts = judge(sold, users, visits(night.warehouse, users, TO), covered)
        seen.update(str(verdict) for verdict in verdicts["attribution"])
        seen.update(str(reason) for reason in verdicts["attribution_reason"].dropna())
        seen["rows"] += len(sold)
        by_reading = {reading: credited(sold, verdicts, users, site, reading) for reading in Reading}
        for reading, imported in by_reading.items():
            is_credited = sold["id"].isin(imported)
            foreseen = verdicts[reading.value]
            known = foreseen.notna() & (foreseen.fillna(value=False) | verdicts["is_final"])
            differing = known & (foreseen.astype(object) != is_credited)
            assert not differing.any(), (reading, loaded, sold[differing], verdicts[differing].to_dict("records"))
            will = verdicts["attribution"] == Attribution.WILL_COUNT
            wont = (verdicts["attribution"] == Attribution.WILL_NOT_COUNT) & verdicts["is_final"]
            assert is_credited[will].all()
            assert not is_credited[wont].any()
            seen[f"credited {reading}"] += len(imported)
    print(dict(seen))
    assert {
        *Attribution,
        "session_idle",
        "session_over_24h",
        "other_session",
        "edge",
        "no_view",
        "viewed_later",
        "not_loaded_yet",
    } <= set(seen)
    assert seen["credited strict"] < seen["credited wide"] < seen["credited lenient"]


def test_the_verdicts_agree_with_the_import_where_visits_come_from_segment(night: Night) -> None:
    """A customer's own tracking joins a browser's visits to users who were identified later: such a visit may count."""
    seen: Counter[str] = Counter()
    for number in range(100, 104):
        people = list(generate(number, ROWS_AT_ONCE // 4, FROM, TO))
        site = Site((report for person in people for report in person.reports), ids_persist=True)
        restless = {visitor.partition("-browser-")[0] for visitor, of_it in site.sessions.items() if is_never_idle(of_it)}
        people = [person for person in people if person.key not in restless]
        users, sold = known_users(people), sales(people, number).assign(event_name="offline-purchase")
        with closing(night.connect()) as connection, connection, connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS pages, tracks, identifies")
            fill_segment(cursor, [report for person in people for report in person.reports])
        complete = Coverage(complete_until_ms=TO)
        verdicts = judge(sold, users, visits(night.warehouse, users, TO, "segment.sql"), complete)
        for reading in Reading:
            is_credited = sold["id"].isin(credited(sold, verdicts, users, site, reading))
            assert is_credited[verdicts["attribution"] == Attribution.WILL_COUNT].all()
            assert verdicts[reading.value][is_credited].all()
        seen.update(str(reason) for reason in verdicts["attribution_reason"].dropna())
        seen.update(str(verdict) for verdict in verdicts["attribution"])
    print(dict(seen))
    assert {"identified_later", "edge", "will_count", "will_not_count"} <= set(seen)
