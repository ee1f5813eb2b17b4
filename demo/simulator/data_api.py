"""Webflow's Data API, as far as it shows conversions (docs/webflow-api.md, Analyze and Optimize APIs).

Where the pages give no names of fields, those of the other Analyze reports are used. Decisions that the pages leave open: a
token without the scope, or a site without the add-on, is 403; another site or optimization is 404. Imports that are due run
before an answer.
"""

import asyncio
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import parse_qs, unquote
from zoneinfo import ZoneInfo, available_timezones

from demo.simulator.account import OPTIMIZE_ID, SITE_ID, Account
from demo.simulator.clock import Clock
from demo.simulator.connection import Connection
from demo.simulator.nightly_import import Credit
from demo.simulator.reply import Reply, json_reply
from demo.simulator.request import Request
from demo.simulator.site import Kind

LONGEST_WINDOW = timedelta(days=100)
"""Longest reporting window."""
RETRY_AFTER_SECONDS = 1
"""Value of ``Retry-After`` of a second request at once."""
MOST_OPTIMIZATIONS = 100
"""Optimizations of one page, at most."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?Z", re.ASCII)

Parameters = Mapping[str, str]


class Refusal(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.reply = error_reply(status, code, message)


def error_reply(status: int, code: str, message: str, headers: bytes = b"") -> Reply:
    """An error in the form of the Data API."""
    body: dict[str, Any] = {"message": message, "code": code, "externalReference": None, "details": []}
    return Reply(status, json.dumps(body).encode(), headers=headers)


def is_data_api(path: bytes) -> bool:
    """Whether a path belongs to the Data API, existing or not."""
    return path == b"/v2" or path.startswith(b"/v2/")


class DataApi:
    """The Data API for one token. ``thread`` has one worker, in which all work on the account is done."""

    def __init__(
        self, account: Account, token: str, clock: Clock, thread: ThreadPoolExecutor, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._account = account
        self._authorization = f"Bearer {token}".encode() if token else None
        self._clock = clock
        self._thread = thread
        self._loop = loop
        self._in_flight: Counter[str] = Counter()
        self._routes: list[tuple[re.Pattern[str], str, Callable[..., Any]]] = [
            (re.compile(r"/v2/sites/([^/]+)/analyze/goals"), "analyze", self._goals),
            (re.compile(r"/v2/sites/([^/]+)/analyze/goals/([^/]+)/performance"), "analyze", self._goal_performance),
            (re.compile(r"/v2/optimize"), "optimize", self._optimize_ids),
            (re.compile(r"/v2/optimize/([^/]+)/optimizations"), "optimize", self._optimizations),
            (re.compile(r"/v2/optimize/([^/]+)/optimizations/([^/]+)/summary"), "optimize", self._summary),
            (re.compile(r"/v2/optimize/([^/]+)/optimizations/([^/]+)/trend"), "optimize", self._trend),
        ]

    def receive(self, connection: Connection, request: Request, path: bytes) -> None:
        """Handle a request for a path of :func:`is_data_api`."""
        if self._authorization is None or request.authorization != self._authorization:
            connection.conclude(error_reply(401, "not_authorized", "Request not authorized"))
            return
        if request.method != b"GET":
            connection.conclude(error_reply(405, "method_not_allowed", "Only GET is understood here.", b"Allow: GET\r\n"))
            return
        for pattern, add_on, answer in self._routes:
            if found := pattern.fullmatch(path.decode("ascii", "replace")):
                work = partial(answer, *map(unquote, found.groups()))
                connection.conclude_later(partial(self._answer, add_on, work, request))
                return
        connection.conclude(error_reply(404, "route_not_found", "Route not found"))

    async def _answer(self, add_on: str, work: Callable[..., Any], request: Request) -> Reply:
        settings = self._account.settings
        if settings.answer_status is not None:
            return error_reply(settings.answer_status, "told", f"The simulator was told to answer {settings.answer_status}.")
        if "sites:read" not in settings.scopes:
            return error_reply(403, "missing_scopes", "OAuthForbidden: You are missing the following scopes - sites:read")
        if add_on not in settings.add_ons:
            return error_reply(403, "forbidden", f"This endpoint requires the {add_on.capitalize()} add-on")
        if self._in_flight[add_on]:
            header = b"Retry-After: %d\r\n" % RETRY_AFTER_SECONDS
            return error_reply(429, "too_many_requests", "Too Many Requests", header)
        with self._flying(add_on):
            await asyncio.sleep(settings.answer_milliseconds / 1000)
            try:
                return json_reply(await self._loop.run_in_executor(self._thread, self._work, work, request))
            except Refusal as refusal:
                return refusal.reply

    @contextmanager
    def _flying(self, add_on: str) -> Iterator[None]:
        self._in_flight[add_on] += 1
        try:
            yield
        finally:
            self._in_flight[add_on] -= 1

    def _work(self, work: Callable[..., Any], request: Request) -> Any:
        self._account.catch_up(self._clock.now_ms())
        query = parse_qs(request.target.partition(b"?")[2].decode("utf-8", "replace"), keep_blank_values=True)
        return work({name: values[-1] for name, values in query.items()})

    # Analyze

    def _goals(self, site_id: str, asked: Parameters) -> Any:
        _check_site(site_id)
        _check_names(asked, "analyze", [])
        return {"goals": [self._goal(goal_id) for goal_id in self._account.goals.ids]}

    def _goal(self, goal_id: str) -> dict[str, Any]:
        goal: dict[str, Any] = {"goalId": goal_id, "goalType": "custom", "isSiteGoal": True}
        if self._account.settings.goals_have_names:
            goal["eventName"] = [name.event_name for name in self._account.goals.names if name.goal_id == goal_id][-1]
        return goal

    def _goal_performance(self, site_id: str, goal_id: str, asked: Parameters) -> Any:
        _check_site(site_id)
        _check_names(asked, "analyze", ["startTime", "endTime", "bucketTimeZone"])
        start, end = _window(asked, "analyze", "startTime", "endTime")
        zone = _zone(asked.get("bucketTimeZone", "UTC"))
        if goal_id not in self._account.goals.ids:
            raise Refusal(404, "resource_not_found", "Requested resource not found: The goal cannot be found")
        days = Counter(day for day, _ in _unique(self._credits(start, end, goal_id), zone))
        return {
            "report": "goal_performance",
            "goal": self._goal(goal_id),
            "window": {"startTime": _written(start), "endTime": _written(end)},
            "bucketing": {"granularityPeriod": "day", "bucketTimeZone": zone.key},
            "data": [{"timestamp": _written(day), "count": count} for day, count in sorted(days.items())],
        }

    # Optimize

    def _optimize_ids(self, asked: Parameters) -> Any:
        _check_names(asked, "optimize", [])
        site = {"type": "webflow-site", "siteId": SITE_ID, "displayName": "Example"}
        return {"optimizeIds": [{"optimizeId": OPTIMIZE_ID, "resource": site}]}

    def _optimizations(self, optimize_id: str, asked: Parameters) -> Any:
        _check_optimize(optimize_id)
        _check_names(asked, "optimize", ["limit", "cursor", "status"])
        limit = asked.get("limit", str(MOST_OPTIMIZATIONS))
        if not limit.isdecimal() or not 1 <= int(limit) <= MOST_OPTIMIZATIONS:
            raise Refusal(400, "optimize_input_validation", f"limit must be from 1 to {MOST_OPTIMIZATIONS}")
        known = sorted(self._views())
        left = [name for name in known if name > asked.get("cursor", "")]
        page = left[: int(limit)]
        goals = [{"goalId": goal_id, "source": "site"} for goal_id in self._account.goals.ids]
        return {
            "optimizations": [
                {
                    "optimizationId": name,
                    "type": "test",
                    "status": "live",
                    "intervals": [{"start": _written(self._start(name)), "end": None, "goals": goals}],
                    "currentGoals": goals,
                }
                for name in page
            ],
            "nextCursor": page[-1] if len(left) > len(page) else None,
        }

    def _summary(self, optimize_id: str, optimization_id: str, asked: Parameters) -> Any:
        start, end, goal_id = self._report(optimize_id, optimization_id, asked, [])
        return {
            "optimizationId": optimization_id,
            "goalId": goal_id,
            "timeZone": self._account.settings.time_zone,
            "variations": self._variations(optimization_id, start, end, goal_id),
        }

    def _trend(self, optimize_id: str, optimization_id: str, asked: Parameters) -> Any:
        start, end, goal_id = self._report(optimize_id, optimization_id, asked, ["granularityPeriod"])
        zone, buckets, day = ZoneInfo(self._account.settings.time_zone), [], start
        while day < end:
            following = min(_midnight(day, zone) + timedelta(days=1), end.astimezone(zone))
            variations = self._variations(optimization_id, day, following, goal_id)
            buckets.append({"timestamp": _written(_midnight(day, zone)), "variations": variations})
            day = following
        return {"optimizationId": optimization_id, "goalId": goal_id, "timeZone": zone.key, "data": buckets}

    def _report(
        self, optimize_id: str, optimization_id: str, asked: Parameters, more: list[str]
    ) -> tuple[datetime, datetime, str]:
        _check_optimize(optimize_id)
        _check_names(asked, "optimize", ["intervalStart", "intervalEnd", "goalId", *more])
        start, end = _window(asked, "optimize", "intervalStart", "intervalEnd")
        if optimization_id not in self._views():
            raise Refusal(404, "resource_not_found", "Requested resource not found: The optimization cannot be found")
        goal_id = asked.get("goalId", "")
        if goal_id not in self._account.goals.ids:
            raise Refusal(400, "optimize_input_validation", "goalId must be a goal of the optimization")
        return start, end, goal_id

    def _variations(self, optimization_id: str, start: datetime, end: datetime, goal_id: str) -> list[dict[str, Any]]:
        """The figures of each variation, conversions unique by user and day."""
        sessions, users = Counter[str](), defaultdict[str, set[str]](set)
        for visitor, variation, at_ms in self._views()[optimization_id]:
            if _milliseconds(start) <= at_ms < _milliseconds(end):
                sessions[variation] += 1
                users[variation].add(visitor)
        zone = ZoneInfo(self._account.settings.time_zone)
        found = []
        for variation in sorted(users):
            of_it = [
                credit
                for credit in self._credits(start, end, goal_id)
                if (credit.optimization, credit.variation) == (optimization_id, variation)
            ]
            conversions = len(_unique(of_it, zone))
            value = sum((Decimal(credit.value) for credit in of_it if credit.value is not None), Decimal(0))
            found.append(
                {
                    "variationId": variation,
                    "sessions": sessions[variation],
                    "users": len(users[variation]),
                    "conversions": conversions,
                    "conversionRate": conversions / len(users[variation]),
                    "totalValue": float(value),
                    "averageValue": float(value / conversions) if conversions else 0.0,
                }
            )
        return found

    def _views(self) -> dict[str, list[tuple[str, str, int]]]:
        """Of each optimization the views: visitor, variation and moment; the first one of each session and variation."""
        views: dict[str, dict[tuple[str, str], tuple[str, str, int]]] = defaultdict(dict)
        for visitor, sessions in self._account.site.sessions.items():
            for session in sessions:
                for report in session.activities:
                    if report.kind is Kind.VARIATION:
                        view = (visitor, report.subject, report.at_ms)
                        views[report.detail].setdefault((session.id, report.subject), view)
        return {name: list(of_it.values()) for name, of_it in views.items()}

    def _start(self, optimization_id: str) -> datetime:
        return _EPOCH + timedelta(milliseconds=min(at_ms for *_, at_ms in self._views()[optimization_id]))

    def _credits(self, start: datetime, end: datetime, goal_id: str) -> list[Credit]:
        return [
            credit
            for credit in self._account.credits()
            if credit.goal_id == goal_id and _milliseconds(start) <= credit.at_ms < _milliseconds(end)
        ]


def _unique(found: Iterable[Credit], zone: ZoneInfo) -> set[tuple[datetime, str]]:
    """The days and visitors of conversions: a visitor counts once a day."""
    return {(_midnight(_EPOCH + timedelta(milliseconds=credit.at_ms), zone), credit.visitor) for credit in found}


def _midnight(moment: datetime, zone: ZoneInfo) -> datetime:
    """The local midnight before a moment."""
    return moment.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)


def _written(moment: datetime) -> str:
    """A moment as the Data API writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _check_site(site_id: str) -> None:
    if site_id != SITE_ID:
        raise Refusal(404, "resource_not_found", "Requested resource not found: The site cannot be found")


def _check_optimize(optimize_id: str) -> None:
    if optimize_id != OPTIMIZE_ID:
        raise Refusal(404, "resource_not_found", "Requested resource not found: The optimizeId cannot be found")


def _check_names(asked: Parameters, api: str, known: Iterable[str]) -> None:
    if unknown := sorted(set(asked) - set(known)):
        raise Refusal(400, f"{api}_input_validation", f"Unknown query parameter: {unknown[0]}")


def _window(asked: Parameters, api: str, first: str, last: str) -> tuple[datetime, datetime]:
    moments = []
    for name in (first, last):
        text = asked.get(name, "")
        try:
            moments.append(datetime.fromisoformat(text) if _MOMENT.fullmatch(text) else None)
        except ValueError:
            moments.append(None)
    start, end = moments
    if start is None or end is None:
        raise Refusal(400, f"{api}_input_validation", f"{first} and {last} must be UTC timestamps ending in Z")
    if not timedelta(0) < end - start <= LONGEST_WINDOW:
        raise Refusal(400, f"{api}_input_validation", f"{last} must be later than {first}, by at most 100 days")
    return start, end


def _zone(name: str) -> ZoneInfo:
    if name not in available_timezones():
        raise Refusal(400, "analyze_input_validation", "bucketTimeZone must be an IANA time zone")
    return ZoneInfo(name)
