"""The hook for Webflow's Data API: what Webflow shows of a site's goals."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from time import monotonic, sleep
from typing import Any, Self
from urllib.parse import quote, urlencode

from airflow.sdk import BaseHook

from webflow_conversions.delivery.answers import Answer, Trouble, excerpt, retry_after_seconds, who_answered
from webflow_conversions.errors import ConversionsError, Unavailable, Unusable
from webflow_conversions.hooks.connections import connection_named, of_this_connection
from webflow_conversions.pipeline.readback import WebflowGoal
from webflow_conversions.rules.text import is_storable
from webflow_conversions.transport.caller import Caller
from webflow_conversions.transport.data_api import DataApi

LARGEST_ANSWER = 4 * 1024 * 1024
"""Greatest size of an answer, in bytes; a goal takes some 100, a day 60."""
PATIENCE_SECONDS = 120.0
"""Time that a list may take, the waiting until another request with the token has ended included."""
PATIENCE_OF_TEST_SECONDS = 10.0
"""The same where a person waits for the answer in a browser."""
MOST_PAGES = 100
"""Pages of one list, at most."""

_COUNTS = ("count", "conversions", "uniqueConversions")
"""Names that the count of a day may have; no page of Webflow's gives it (docs/webflow-api.md, What no page says)."""
_LONGEST_NAME, _LONGEST_CURSOR = 200, 2_000
"""Characters of IDs and names, and of the mark of a next page."""
_MOST_CONVERSIONS = 10**12
_UTC = frozenset({"UTC", "Etc/UTC", "GMT", "Etc/GMT", "Z"})


class WebflowDataHook(BaseHook):
    """Reads a site's goals and their conversions from Webflow's Analyze API.

    :param webflow_data_conn_id: a connection of type ``webflow_data``.
    """

    conn_name_attr = "webflow_data_conn_id"
    default_conn_name = "webflow_data"
    conn_type = "webflow_data"
    hook_name = "Webflow Data API"

    def __init__(self, webflow_data_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.webflow_data_conn_id = webflow_data_conn_id

    def get_conn(self, *, patience_seconds: float = PATIENCE_SECONDS) -> "Analyze":
        """The site's reports.

        :param patience_seconds: for each of their lists; a request that is out by then still has its time-out.
        :raises Unusable: if there is no such connection, or something in it is missing or wrong.
        """
        connection = connection_named(self.webflow_data_conn_id)
        return Analyze(
            DataApi.parse(
                self.webflow_data_conn_id,
                host=connection.host,
                port=connection.port,
                schema=connection.schema,
                password=connection.password,
                extra=connection.extra_dejson,
            ),
            patience_seconds=patience_seconds,
        )

    def test_connection(self) -> tuple[bool, str]:
        """Whether the site's goals can be read, in words."""
        try:
            with self.get_conn(patience_seconds=PATIENCE_OF_TEST_SECONDS) as analyze:
                goals = analyze.goals()
        except ConversionsError as error:
            return False, of_this_connection(str(error), self.webflow_data_conn_id)
        named = sum(goal.event_name is not None for goal in goals)
        names = f"Webflow names the events of {named:,}." if named else "Webflow does not name their events: set readback.goals."
        return True, f"The site's goals can be read: {len(goals):,}. {names}"


class Analyze:
    """The Analyze reports of one site: one request after the other, on one connection. A context manager."""

    def __init__(self, api: DataApi, *, patience_seconds: float) -> None:
        self._api = api
        self._patience_seconds = patience_seconds
        self._caller = Caller(timeout_seconds=api.timeout_seconds, largest=LARGEST_ANSWER)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._caller.close()

    def goals(self) -> list[WebflowGoal]:
        """All goals of the site.

        :raises Unavailable: if the API does not answer; Unusable, if it refuses.
        """
        return [_goal(goal) for page in self._pages("goals", "goals") for goal in page]

    def conversions(self, goal_id: str, since: date, until: date) -> dict[date, int] | None:
        """The unique conversions of the UTC days from ``since`` to before ``until``, 100 at most; None if there is no such goal.

        :raises Unavailable: if the API does not answer; Unusable, if it refuses, or answers for other days.
        """
        path = f"goals/{quote(goal_id, safe='')}/performance"
        window = {"startTime": f"{since}T00:00:00Z", "endTime": f"{until}T00:00:00Z"}
        found: dict[date, int] = {}
        try:
            for page in self._pages(path, "data", window):
                found |= dict(map(_count, page))
        except _NotFoundError:
            return None
        return found

    def _pages(self, path: str, name: str, parameters: Mapping[str, str] | None = None) -> Iterator[list[Any]]:
        """The lists of this name, page by page; the reports of today come as one."""
        asked = dict(parameters or {})
        ends_at = monotonic() + self._patience_seconds
        for _ in range(MOST_PAGES):
            if monotonic() > ends_at:
                raise Unavailable(f"{self._api.url} takes more than {self._patience_seconds:g} s for a list: try again later.")
            document = self._get(path, asked)
            _check_days(document)
            if not isinstance(document.get(name), list):
                raise _unreadable(f"has no list {name!r}")
            yield document[name]
            cursor = document.get("nextCursor")
            if not cursor:
                return
            if not isinstance(cursor, str | int) or not _is_short(str(cursor), _LONGEST_CURSOR):
                raise _unreadable("has a 'nextCursor' that is none")
            asked["cursor"] = str(cursor)
        raise _unreadable(f"has more than {MOST_PAGES} pages of {name!r}")

    def _get(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        waited, delay = 0.0, 1.0
        while True:
            answer = self._ask(path, parameters)
            if answer.status != 429:
                return self._content(answer, path)
            wait = retry_after_seconds(answer.header(b"retry-after"), datetime.now(UTC)) or delay
            if waited + wait > self._patience_seconds:
                raise Unavailable(
                    f"Webflow answers one request of a token at a time, and asks connection {self._api.connection} to wait "
                    f"{wait:,.0f} s more (HTTP 429): it is tried again later."
                )
            sleep(wait)
            waited, delay = waited + wait, 2 * delay

    def _ask(self, path: str, parameters: Mapping[str, str]) -> Answer:
        query = f"?{urlencode(parameters)}" if parameters else ""
        answer = self._caller.call("GET", f"{self._api.url}/{path}{query}", self._api.headers)
        if answer.trouble is Trouble.UNTRUSTED:
            raise Unusable(f"{self._api.url} cannot prove who it is ({answer.detail}): nothing is read from it.")
        if answer.trouble is Trouble.TOO_LARGE:
            raise _unreadable(f"has more than {LARGEST_ANSWER:,} bytes")
        if answer.trouble is not None:
            raise Unavailable(f"{self._api.url} does not answer: {answer.detail}.")
        return answer

    def _content(self, answer: Answer, path: str) -> dict[str, Any]:
        """The document of an answer.

        :raises Unavailable: for a failure of the API, or somebody else's answer; Unusable, for a refusal.
        """
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            document = None
        status, name = answer.status or 0, self._api.connection
        if status >= 500:
            raise Unavailable(f"{self._api.url} answers with a failure of its own (HTTP {status}): try again later.")
        if not isinstance(document, dict):
            raise Unavailable(
                f"{self._api.url} is not answered by Webflow's Data API: {who_answered(answer, (self._api.token,))}. "
                f"Check the host of connection {name}, and the proxy on the way."
            )
        if status == 200:
            return document
        said = excerpt(str(document.get("message", "")).encode("utf-8", "replace"), (self._api.token,)) or f"HTTP {status}"
        if status == 401:
            raise Unusable(
                f"Webflow does not know the API token of connection {name} (HTTP 401): put one from Site settings > Apps & "
                "integrations > API access there, not the off-site conversion token."
            )
        if status == 403 and "scope" in f"{document.get('code')} {said}".lower():
            raise Unusable(f"The API token of connection {name} lacks the scope sites:read ({said}): make one that has it.")
        if status == 403:
            raise Unusable(f"The site of connection {name} has no Analyze add-on, or its token may not read the site ({said}).")
        if status == 404 and path != "goals":
            raise _NotFoundError(said)
        if status == 404:
            raise Unusable(f"Webflow knows no site with the site_id of connection {name} ({said}): correct it.")
        raise Unusable(f"Webflow's Data API refuses to be read (HTTP {status}: {said}): compare it with docs/webflow-api.md.")


class _NotFoundError(Unusable):
    """There is no such goal."""


def _goal(document: Any) -> WebflowGoal:
    goal_id = document.get("goalId") if isinstance(document, dict) else None
    if not isinstance(goal_id, (str, int)) or not _is_short(str(goal_id), _LONGEST_NAME):
        raise _unreadable("has a goal without 'goalId'")
    name = document.get("eventName")
    return WebflowGoal(str(goal_id), name if isinstance(name, str) and _is_short(name, _LONGEST_NAME) else None)


def _is_short(text: str, most: int) -> bool:
    """Whether a text can be stored and sent, and is no longer than any that is meant."""
    return 0 < len(text) <= most and is_storable(text)


def _check_days(document: Mapping[str, Any]) -> None:
    """Refuse days of another time zone, and weeks."""
    bucketing = document.get("bucketing")
    if not isinstance(bucketing, dict):
        return
    zone, period = bucketing.get("bucketTimeZone", "UTC"), bucketing.get("granularityPeriod", "day")
    if not isinstance(zone, str) or zone not in _UTC or period != "day":
        raise Unusable(
            f"Webflow counts by {str(period)[:50]} in the time zone {str(zone)[:50]}, and days of UTC were asked for: "
            "they cannot be compared."
        )


def _count(document: Any) -> tuple[date, int]:
    """The UTC day and the count of a bucket."""
    fields = document if isinstance(document, dict) else {}
    try:
        moment = datetime.fromisoformat(fields["timestamp"])
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise _unreadable("has a day without a moment 'timestamp'") from None
    if moment.time() != datetime.min.time():
        raise Unusable(f"Webflow gives a day that begins at {moment:%H:%M} UTC: it cannot be compared with days of UTC.")
    count = next((fields[name] for name in _COUNTS if name in fields), None)
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count < _MOST_CONVERSIONS:
        raise _unreadable(f"has a day without a count: its fields are {', '.join(sorted(map(str, fields)))[:_LONGEST_NAME]}")
    return moment.date(), count


def _unreadable(what: str) -> Unusable:
    return Unusable(f"Webflow's answer {what}: the Data API has changed, and this release cannot read it.")
