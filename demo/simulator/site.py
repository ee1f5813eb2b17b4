"""The customer's site as Webflow sees it: browsers that are active, see variations, and are given user IDs.

A browser is a visitor to Webflow. Its activities make sessions: a session ends after 30 minutes without activity, and after
24 hours at the latest (docs/webflow-api.md, When a received conversion is attributed, 4). All moments are UTC milliseconds.
"""

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

IDLE_MS = 1_800_000
"""Milliseconds without activity after which a session has ended."""
LONGEST_MS = 86_400_000
"""Milliseconds after which a session has ended, whatever happens in it."""


class Kind(StrEnum):
    """What a browser reports."""

    PAGE = "page"
    CLICK = "click"
    VARIATION = "variation"
    """A variation of an optimization was shown; an activity like the others."""
    IDENTIFY = "identify"
    """The site called ``wf.setUserId()``; no activity, and without effect outside a session, unless IDs persist."""


class Report(NamedTuple):
    """One report of a browser: what happened, when, and what it concerns.

    ``subject`` is the page's path, the element's name, the variation's name, or the user domain; ``detail`` the user ID of
    ``identify``, the optimization's name of ``variation``, else the page's path.
    """

    visitor: str
    at_ms: int
    kind: Kind
    subject: str
    detail: str = ""


class User(NamedTuple):
    """The two arguments of ``wf.setUserId()``."""

    domain: str
    id: str


class Session:
    """A session of one visitor: its activities in order, and the users that it belonged to, with the moment from which on."""

    def __init__(self, visitor: str, number: int, users: dict[str, User]) -> None:
        self.visitor = visitor
        self.id = f"{visitor}-{number}"
        self.activities: list[Report] = []
        self.users: list[tuple[int, User]] = [(-1, user) for user in users.values()]

    @property
    def first_ms(self) -> int:
        return self.activities[0].at_ms

    @property
    def last_ms(self) -> int:
        return self.activities[-1].at_ms

    @property
    def ends_ms(self) -> int:
        """The first millisecond that is no longer in the session."""
        return min(self.last_ms + IDLE_MS, self.first_ms + LONGEST_MS)

    def viewed_before(self, moment_ms: int) -> Report | None:
        """The latest view of a variation before a moment."""
        views = [report for report in self.activities if report.kind is Kind.VARIATION and report.at_ms < moment_ms]
        return views[-1] if views else None

    def user_at(self, moment_ms: int) -> User | None:
        """The user whom the visitor was known as last, at a moment; None for an unknown visitor."""
        known = [user for since, user in self.users if since <= moment_ms]
        return known[-1] if known else None


class Site:
    """The reports of all browsers.

    :param ids_persist: whether a user ID that was set in one session holds in the visitor's next ones, which no page says.
    """

    def __init__(self, reports: Iterable[Report] = (), *, ids_persist: bool = False) -> None:
        self.ids_persist = ids_persist
        self._reports: dict[str, list[Report]] = defaultdict(list)
        self._sessions: dict[str, list[Session]] | None = None
        self._of_user: dict[User, list[Session]] = {}
        self.add(reports)

    def add(self, reports: Iterable[Report]) -> int:
        """Take further reports, in any order; returns their number."""
        count = 0
        for report in reports:
            count += 1
            insort(self._reports[report.visitor], report, key=lambda known: (known.at_ms, known.kind is Kind.IDENTIFY))
        self._sessions = None
        return count

    @property
    def visitors(self) -> Sequence[str]:
        """The visitors, sorted."""
        return sorted(self._reports)

    @property
    def sessions(self) -> dict[str, list[Session]]:
        """The sessions of each visitor, in order."""
        if self._sessions is None:
            self._sessions = {visitor: self._cut(visitor) for visitor in self.visitors}
            self._of_user = defaultdict(list)
            for sessions in self._sessions.values():
                for session in sessions:
                    for user in dict.fromkeys(user for _, user in session.users):
                        self._of_user[user].append(session)
            for sessions in self._of_user.values():
                sessions.sort(key=lambda session: session.first_ms)
        return self._sessions

    def sessions_of(self, user: User) -> Sequence[Session]:
        """The sessions, of any visitor, in which a user ID was set or held; in the order of their starts."""
        return self._of_user.get(user, []) if self.sessions else []

    def _cut(self, visitor: str) -> list[Session]:
        sessions: list[Session] = []
        held: dict[str, User] = {}
        for report in self._reports[visitor]:
            current = sessions[-1] if sessions and report.at_ms < sessions[-1].ends_ms else None
            if report.kind is Kind.IDENTIFY:
                user = User(report.subject, report.detail)
                if self.ids_persist:
                    held[user.domain] = user
                if current is not None:
                    current.users.append((report.at_ms, user))
                continue
            if current is None:
                current = Session(visitor, len(sessions) + 1, held)
                sessions.append(current)
            current.activities.append(report)
        return sessions


def parse_reports(told: Any) -> list[Report]:
    """Reports from JSON: a list of objects with the fields of :class:`Report`.

    :raises ValueError: it is anything else.
    """
    if not isinstance(told, list):
        raise ValueError("Send a list of reports.")
    reports = []
    for one in told:
        try:
            report = Report(**{**one, "kind": Kind(one["kind"])})
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"No report: {error}.") from None
        if type(report.at_ms) is not int or not all(
            type(text) is str for text in (report.visitor, report.subject, report.detail)
        ):
            raise ValueError("at_ms must be a whole number, visitor, subject and detail text.")
        reports.append(report)
    return reports


def latest_before(sessions: Sequence[Session], moment_ms: int) -> int:
    """The number of sessions that started at or before a moment, of sessions in the order of their starts."""
    return bisect_right(sessions, moment_ms, key=lambda session: session.first_ms)
