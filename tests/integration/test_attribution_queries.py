"""The ready-made queries find the visits of a site, on tables of the standard shape of each source.

PostgreSQL runs all but those for BigQuery, which is not to be had here; DuckDB runs those on Webflow's exports.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
import sqlalchemy as sa

from demo.simulator.exports import create_tables, export
from demo.simulator.site import Kind, Report, Site
from demo.simulator.site_generator import generate
from tests.night import CUSTOMER_ID, Night
from tests.visit_sources import FILL, is_never_idle
from webflow_conversions.rules.attribution import OPTIONAL_COLUMNS, REQUIRED_COLUMNS, visits_frame
from webflow_conversions.rules.window import from_milliseconds, to_milliseconds
from webflow_conversions.warehouse.reader import Warehouse

SQL = Path(__file__).resolve().parents[2] / "include" / "sql" / "attribution"
RUN = ("webflow_exports", "segment", "rudderstack", "snowplow")
NOT_RUN = ("ga4_bigquery",)
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
FROM = to_milliseconds(datetime(2026, 11, 2, tzinfo=UTC))
NOW = FROM + 12 * DAY


def read(warehouse: Warehouse, name: str, **binds: Any) -> dict[str, pd.Series]:
    """The rows of a ready-made query, column by column."""
    sql = (SQL / f"{name}.sql").read_text(encoding="utf-8")
    columns = warehouse.columns(sql, binds)
    chunks: list[dict[str, pd.Series]] = []
    warehouse.read(sql, binds, columns, chunks.append)
    assert len(chunks) <= 1
    return chunks[0] if chunks else {column: pd.Series([], dtype=object) for column in columns}


def visits(warehouse: Warehouse, name: str, user_ids: Sequence[str], since: int = FROM, until: int = NOW) -> set[tuple[Any, ...]]:
    """User, start, last activity, first view, and moment of identification if there is one, of each visit, relative to FROM."""
    rows = read(warehouse, name, user_ids=list(user_ids), since=from_milliseconds(since), until=from_milliseconds(until))
    assert set(REQUIRED_COLUMNS) <= set(rows) <= {*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS}
    frame = visits_frame([rows])
    assert len(frame) == len(frame.drop_duplicates(["user_id", "session_id"]))
    names = [column for column in ("started_at", "last_active_at", "first_viewed_at", "identified_at") if column in frame]
    return {
        (user, *(None if pd.isna(at) else at - FROM for at in moments))
        for user, *moments in frame[["user_id", *names]].itertuples(index=False, name=None)
    }


def expected(site: Site, user_ids: Sequence[str]) -> set[tuple[Any, ...]]:
    """The visits of the simulator's own sessions that its users have within a session."""
    found = set()
    for sessions in site.sessions.values():
        for session in sessions:
            views = [report.at_ms - FROM for report in session.activities if report.kind is Kind.VARIATION]
            for user in {user.id for _, user in session.users} & set(user_ids):
                found.add((user, session.first_ms - FROM, session.last_ms - FROM, min(views, default=None)))
    return found


@pytest.fixture(params=["postgres", "duckdb"])
def exports(request: pytest.FixtureRequest, night: Night, tmp_path: Path) -> Iterator[Any]:
    """Fills Webflow's exports in a warehouse, and gives the warehouse."""
    if request.param == "postgres":

        def fill(reports: Sequence[Report]) -> Warehouse:
            with closing(night.connect()) as connection, connection, connection.cursor() as cursor:
                FILL["webflow_exports"](cursor, reports)
            return night.warehouse

        yield fill
        return

    def fill_file(reports: Sequence[Report]) -> Warehouse:
        with duckdb.connect(tmp_path / "exports.db") as connection:
            create_tables(connection)
            export(connection, Site(reports), CUSTOMER_ID, 0, NOW, placeholder="?")
        return Warehouse(sa.create_engine(f"duckdb:///{tmp_path / 'exports.db'}", poolclass=sa.NullPool), "warehouse")

    yield fill_file


def page(at: int, visitor: str = "b1") -> Report:
    return Report(visitor, FROM + at, Kind.PAGE, "/")


def view(at: int, visitor: str = "b1") -> Report:
    return Report(visitor, FROM + at, Kind.VARIATION, "B", "headline")


def identify(at: int, user: str = "ada", visitor: str = "b1") -> Report:
    return Report(visitor, FROM + at, Kind.IDENTIFY, "salesforce", user)


def test_every_ready_made_query_is_run_or_named_as_not_run() -> None:
    names = {path.stem for path in SQL.glob("*.sql")}
    assert names == {name + end for name in (*RUN, *NOT_RUN) for end in ("", "_until")}
    for name in NOT_RUN:
        for end in ("", "_until"):
            assert "not run in this project's tests" in " ".join(
                (SQL / f"{name}{end}.sql").read_text(encoding="utf-8").replace("--", " ").split()
            )


def test_the_visits_of_the_exports_are_webflows_sessions(exports: Any) -> None:
    people = list(generate(11, 60, FROM, NOW))
    reports = [report for person in people for report in person.reports]
    user_ids = sorted({user.id for person in people for user in person.users})
    found = visits(exports(reports), "webflow_exports", user_ids)
    assert found == expected(Site(reports), user_ids)
    assert len(found) > 60


def test_the_times_of_a_visit_in_the_exports_are_those_of_the_whole_session(exports: Any) -> None:
    warehouse = exports(
        [page(0), view(1), page(MINUTE), identify(MINUTE), page(2 * MINUTE), identify(2 * MINUTE, "bob"), page(3 * MINUTE)]
    )
    assert visits(warehouse, "webflow_exports", ["ada"]) == {("ada", 0, 3 * MINUTE, 1)}
    assert visits(warehouse, "webflow_exports", ["ada", "bob", "eve"]) == {("ada", 0, 3 * MINUTE, 1), ("bob", 0, 3 * MINUTE, 1)}
    assert visits(warehouse, "webflow_exports", ["eve"]) == set()
    assert visits(warehouse, "webflow_exports", ["ada"], until=FROM + 2 * MINUTE) == {("ada", 0, MINUTE, 1)}
    assert visits(warehouse, "webflow_exports", ["ada"], since=FROM + 1) == {("ada", 1, 3 * MINUTE, 1)}


def test_the_exports_are_loaded_up_to_the_table_that_is_behind(exports: Any) -> None:
    warehouse = exports([page(0), view(MINUTE), page(HOUR), view(2 * HOUR), page(3 * HOUR), page(4 * DAY)])

    def until(moment: int) -> tuple[Any, Any]:
        row = read(warehouse, "webflow_exports_until", until=from_milliseconds(FROM + moment))
        return tuple(str(row[name][0]) if row[name][0] is not None else None for name in ("complete_until", "complete_from"))

    assert until(DAY) == ("2026-11-02 02:00:00", "2026-11-02 00:01:00")
    assert until(2 * HOUR) == ("2026-11-02 00:01:00", "2026-11-02 00:01:00")
    assert until(MINUTE) == (None, None)


@pytest.mark.parametrize("name", ["segment", "rudderstack", "snowplow"])
def test_visits_without_sessions_in_the_source_are_cut_as_webflow_cuts_them(night: Night, name: str) -> None:
    people = list(generate(12, 60, FROM, NOW))
    reports = [report for person in people for report in person.reports]
    user_ids = sorted({user.id for person in people for user in person.users})
    with closing(night.connect()) as connection, connection, connection.cursor() as cursor:
        FILL[name](cursor, reports)
    site = Site(reports)
    # A browser is the user's in each of its visits, and after 48 hours without a pause the cuts may differ.
    of_browser = {
        visitor: {
            report.detail: report.at_ms - FROM
            for report in sorted(reports, reverse=True)
            if report.visitor == visitor and report.kind is Kind.IDENTIFY
        }
        for visitor in site.visitors
    }
    wanted = set()
    for visitor, sessions in site.sessions.items():
        if is_never_idle(sessions):
            of_browser[visitor] = {}
        for session in sessions:
            views = [report.at_ms - FROM for report in session.activities if report.kind is Kind.VARIATION]
            for user, at in of_browser[visitor].items():
                wanted.add((user, session.first_ms - FROM, session.last_ms - FROM, min(views, default=None), at))
    kept = {user for users in of_browser.values() for user in users}
    assert len(wanted) > 60
    assert {visit for visit in visits(night.warehouse, name, user_ids) if visit[0] in kept} == wanted


@pytest.mark.parametrize("name", ["segment", "rudderstack", "snowplow"])
def test_a_source_is_loaded_up_to_five_minutes_before_its_latest_event(night: Night, name: str) -> None:
    with closing(night.connect()) as connection, connection, connection.cursor() as cursor:
        FILL[name](cursor, [page(0), view(MINUTE), page(HOUR), view(2 * HOUR)])
        cursor.execute("DELETE FROM atomic.events WHERE event_name = 'page_ping'" if name == "snowplow" else "SELECT")
    row = read(night.warehouse, f"{name}_until", until=from_milliseconds(FROM + DAY))
    assert row["complete_until"][0].startswith("2026-11-02 01:55:02" if name == "snowplow" else "2026-11-02 00:55:02")
    assert row["complete_from"][0].startswith("2026-11-02 00:00:02" if name == "snowplow" else "2026-11-02 00:01:02")
    row = read(night.warehouse, f"{name}_until", until=from_milliseconds(FROM))
    assert row["complete_until"][0] is None


@pytest.mark.parametrize("name", RUN)
def test_a_session_of_the_database_in_another_zone_changes_nothing(night: Night, name: str) -> None:
    """The reader asks for UTC itself; the comparison with the binds must not depend on the server's setting."""
    with closing(night.connect()) as connection, connection, connection.cursor() as cursor:
        FILL[name](cursor, [page(0), identify(0), page(MINUTE)])
        cursor.execute("SELECT current_database()")
        database = cursor.fetchone()[0]
        cursor.execute(f"ALTER DATABASE \"{database}\" SET timezone = 'America/New_York'")
    try:
        found = visits(night.warehouse, name, ["ada"], since=FROM, until=FROM + MINUTE)
        assert {visit[:3] for visit in found} == {("ada", 0, 0)}
    finally:
        night.sql(f'ALTER DATABASE "{database}" RESET timezone')
