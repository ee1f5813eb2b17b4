"""What browsers reported, as tables of the standard shape of each source of visits."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from demo.simulator.exports import create_tables, export
from demo.simulator.site import IDLE_MS, LONGEST_MS, Kind, Report, Session, Site
from tests.night import CUSTOMER_ID
from webflow_conversions.rules.window import from_milliseconds

_FOREVER = 2**45

SEGMENT = """
CREATE TABLE pages (id text, anonymous_id text, user_id text, path text, "timestamp" timestamptz, received_at timestamptz);
CREATE TABLE tracks (id text, anonymous_id text, user_id text, event text, event_text text, "timestamp" timestamptz, received_at timestamptz);
CREATE TABLE identifies (id text, anonymous_id text, user_id text, "timestamp" timestamptz, received_at timestamptz)
"""
SNOWPLOW = """
DROP SCHEMA IF EXISTS atomic CASCADE; CREATE SCHEMA atomic;
CREATE TABLE atomic.events (event_id text, event_name text, domain_userid text, domain_sessionid text, user_id text,
    derived_tstamp timestamp, collector_tstamp timestamp)
"""


def fill_exports(cursor: Any, reports: Sequence[Report]) -> None:
    create_tables(cursor)
    export(cursor, Site(reports), CUSTOMER_ID, 0, _FOREVER)


def fill_segment(cursor: Any, reports: Sequence[Report]) -> None:
    cursor.execute(SEGMENT)
    events = {Kind.CLICK: "button_clicked", Kind.VARIATION: "experiment_viewed"}
    for report in reports:
        at, late = from_milliseconds(report.at_ms), from_milliseconds(report.at_ms + 2_000)
        match report.kind:
            case Kind.IDENTIFY:
                cursor.execute("INSERT INTO identifies VALUES ('i', %s, %s, %s, %s)", (report.visitor, report.detail, at, late))
            case Kind.PAGE:
                cursor.execute("INSERT INTO pages VALUES ('p', %s, NULL, %s, %s, %s)", (report.visitor, report.subject, at, late))
            case kind:
                cursor.execute(
                    "INSERT INTO tracks VALUES ('t', %s, NULL, %s, '', %s, %s)", (report.visitor, events[kind], at, late)
                )


def fill_snowplow(cursor: Any, reports: Sequence[Report]) -> None:
    cursor.execute(SNOWPLOW)
    names = {Kind.PAGE: "page_view", Kind.CLICK: "link_click", Kind.VARIATION: "experiment_viewed"}
    for visitor in {report.visitor for report in reports}:
        known = None
        for report in sorted(
            (one for one in reports if one.visitor == visitor), key=lambda one: (one.at_ms, one.kind is not Kind.IDENTIFY)
        ):
            if report.kind is Kind.IDENTIFY:
                known = report.detail
                continue
            at = from_milliseconds(report.at_ms).replace(tzinfo=None)
            cursor.execute(
                "INSERT INTO atomic.events VALUES ('e', %s, %s, 's', %s, %s, %s)",
                (names[report.kind], visitor, known, at, at + timedelta(seconds=2)),
            )
            ping = at + timedelta(minutes=29)
            cursor.execute(
                "INSERT INTO atomic.events VALUES ('e', 'page_ping', %s, 's', %s, %s, %s)", (visitor, known, ping, ping)
            )


def is_never_idle(sessions: Sequence[Session]) -> bool:
    """Whether a browser was active for 48 hours or more without a pause: then cuts in SQL may differ from Webflow's."""
    active_since = 0
    for before, session in zip([None, *sessions], sessions, strict=False):
        if before is None or session.first_ms - before.last_ms >= IDLE_MS:
            active_since = session.first_ms
        if session.last_ms - active_since >= 2 * LONGEST_MS:
            return True
    return False


FILL: dict[str, Callable[[Any, Sequence[Report]], None]] = {
    "webflow_exports": fill_exports, "segment": fill_segment, "rudderstack": fill_segment, "snowplow": fill_snowplow,
}  # fmt: skip
