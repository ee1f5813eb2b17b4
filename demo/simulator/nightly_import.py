"""The nightly import: which received events Webflow credits to a variation.

Webflow's pages describe the session of a credited conversion in three ways (docs/webflow-api.md, What no page says), so the
import is told how to read them.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from demo.simulator.goals import Goals
from demo.simulator.site import LONGEST_MS, Session, Site, User, latest_before

DAY_MS = 86_400_000


class Reading(StrEnum):
    """How the import reads the rule of the session."""

    STRICT = "strict"
    """In the session of the view, which ends after 30 minutes without activity or after 24 hours."""
    WIDE = "wide"
    """Within 24 hours of the start of the session of the view."""
    LENIENT = "lenient"
    """After the view."""


class Received(NamedTuple):
    """An event that waits for the import."""

    action_id: str
    event_name: str
    user: User
    at_ms: int
    value: str | None = None


class Credit(NamedTuple):
    """An event that the import credited: to a goal, and to the variation that the visitor had seen last."""

    action_id: str
    goal_id: str
    visitor: str
    session_id: str
    optimization: str
    variation: str
    at_ms: int
    value: str | None


def import_events(events: Iterable[Received], site: Site, goals: Goals, reading: Reading, import_ms: int) -> list[Credit]:
    """Credit each event whose goal existed and whose user had seen a variation in time."""
    imported = []
    for event in events:
        goal_id = goals.of(event.event_name, event.at_ms, import_ms)
        session = crediting_session(site, event.user, event.at_ms, reading)
        view = None if session is None else session.viewed_before(event.at_ms)
        if goal_id is not None and session is not None and view is not None:
            what = (view.detail, view.subject, event.at_ms, event.value)
            imported.append(Credit(event.action_id, goal_id, session.visitor, session.id, *what))
    return imported


def crediting_session(site: Site, user: User, at_ms: int, reading: Reading) -> Session | None:
    """The latest session that credits a conversion at a moment to its view of a variation."""
    sessions = site.sessions_of(user)
    for session in reversed(sessions[: latest_before(sessions, at_ms)]):
        if reading is not Reading.LENIENT and at_ms - session.first_ms >= LONGEST_MS:
            return None
        if reading is Reading.STRICT and at_ms >= session.ends_ms:
            continue
        if session.viewed_before(at_ms) is not None:
            return session
    return None


def next_midnight_ms(moment_ms: int) -> int:
    """The first midnight UTC after a moment (docs/webflow-api.md, When it shows)."""
    return (moment_ms // DAY_MS + 1) * DAY_MS
