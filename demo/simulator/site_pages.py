"""The pages of the site: what its browsers report, its goals and settings, the imports. They need no token."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from demo.simulator.account import Account
from demo.simulator.clock import Clock
from demo.simulator.connection import Connection
from demo.simulator.nightly_import import Reading
from demo.simulator.reply import Reply, json_reply, no_page, refusal
from demo.simulator.request import Request
from demo.simulator.site import parse_reports
from demo.simulator.site_generator import generate

MOST_CREDITS_READ = 10_000
"""Rows of one answer of ``GET /simulator/site/credits``, at most."""
MOST_PEOPLE = 100_000
"""People of one request to ``/simulator/site/people``, at most."""

_REPORTS = b"/simulator/site/reports"
_CHUNK = 5_000
"""Reports that are sent at once."""

Page = Callable[[Request], Any]


def is_site_page(path: bytes) -> bool:
    """Whether a path is one of the site's pages, existing or not."""
    return path == b"/simulator/site" or path.startswith(b"/simulator/site/")


class SitePages:
    """The pages of an account. ``thread`` has one worker, in which all work on the account is done."""

    def __init__(self, account: Account, clock: Clock, thread: ThreadPoolExecutor, loop: asyncio.AbstractEventLoop) -> None:
        self._account = account
        self._clock = clock
        self._thread = thread
        self._loop = loop
        self._pages: dict[tuple[bytes, bytes], Page] = {
            (b"GET", b"/simulator/site"): lambda _: self._settings(),
            (b"PUT", b"/simulator/site"): self._configure,
            (b"DELETE", b"/simulator/site"): self._clear,
            (b"POST", _REPORTS): self._add_reports,
            (b"POST", b"/simulator/site/people"): self._add_people,
            (b"GET", b"/simulator/site/goals"): lambda _: self._account.goals.as_json(),
            (b"PUT", b"/simulator/site/goals"): self._set_goals,
            (b"POST", b"/simulator/site/import"): self._import,
            (b"GET", b"/simulator/site/credits"): self._credits,
            (b"DELETE", b"/simulator/site/credits"): self._forget_credits,
        }

    def receive(self, connection: Connection, request: Request, path: bytes) -> None:
        """Handle a request for a path of :func:`is_site_page`."""
        page = self._pages.get((request.method, path))
        if path == _REPORTS and request.method == b"GET":
            connection.stream(self._reports(), b"application/x-ndjson")
        elif page is not None:
            connection.conclude_later(partial(self._answer, page, request))
        else:
            connection.conclude(no_page(*(method for method, known in self._pages if known == path)))

    async def forget_imports(self) -> None:
        """Delete the results of the imports, since their events are gone."""
        await self._loop.run_in_executor(self._thread, self._account.forget_imports)

    async def _answer(self, page: Page, request: Request) -> Reply:
        if request.body is None:
            return refusal(413, "The body is too large: send parts.")
        try:
            return json_reply(await self._loop.run_in_executor(self._thread, page, request))
        except ValueError as error:
            return refusal(400, str(error))
        except sqlite3.Error as error:
            return refusal(500, f"The simulator could not use its database: {error}.")

    def _settings(self) -> Any:
        return self._account.settings.model_dump(mode="json")

    def _configure(self, request: Request) -> Any:
        self._account.configure({**self._settings(), **_object(request)})
        return self._settings()

    def _clear(self, request: Request) -> Any:
        self._account.clear()
        return self._settings()

    def _add_reports(self, request: Request) -> Any:
        return {"reports": self._account.add_reports(parse_reports(json.loads(request.body or b"")))}

    def _add_people(self, request: Request) -> Any:
        """Random people from a seed; returns each with its users and with moments for sales."""
        told: dict[str, Any] = dict.fromkeys(("seed", "people", "from_ms", "to_ms")) | _object(request)
        seed, people, from_ms, to_ms = (told[name] for name in ("seed", "people", "from_ms", "to_ms"))
        if not all(type(number) is int for number in (seed, people, from_ms, to_ms)) or not 0 <= people <= MOST_PEOPLE:
            raise ValueError(f"seed, people, from_ms and to_ms must be whole numbers, people {MOST_PEOPLE} at most.")
        if from_ms >= to_ms:
            raise ValueError("from_ms must lie before to_ms.")
        made = list(generate(seed, people, from_ms, to_ms))
        self._account.add_reports(report for person in made for report in person.reports)
        return [{"key": person.key, "users": person.users, "moments": person.moments} for person in made]

    async def _reports(self) -> AsyncGenerator[bytes, None]:
        reports = await self._loop.run_in_executor(self._thread, self._account.reports)
        for start in range(0, len(reports), _CHUNK):
            yield b"".join(json.dumps(report).encode() + b"\n" for report in reports[start : start + _CHUNK])

    def _set_goals(self, request: Request) -> Any:
        self._account.set_goals(json.loads(request.body or b""))
        return self._account.goals.as_json()

    def _import(self, request: Request) -> Any:
        told = _object(request)
        at_ms = told.get("at_ms", self._clock.now_ms())
        if type(at_ms) is not int:
            raise ValueError("at_ms must be a whole number.")
        events, credited = self._account.import_until(at_ms, Reading(told["reading"]) if "reading" in told else None)
        return {"at_ms": at_ms, "events": events, "credited": credited}

    def _credits(self, request: Request) -> Any:
        asked = {name: values[-1] for name, values in parse_qs(request.target.partition(b"?")[2].decode()).items()}
        limit, offset = int(asked.get("limit", "100")), int(asked.get("offset", "0"))
        if not 0 <= limit <= MOST_CREDITS_READ or offset < 0:
            raise ValueError(f"limit must be from 0 to {MOST_CREDITS_READ}, offset not negative.")
        self._account.catch_up(self._clock.now_ms())
        return [credit._asdict() for credit in self._account.credits()[offset : offset + limit]]

    def _forget_credits(self, _: Request) -> Any:
        """Undo the imports, so that the events wait for the next one."""
        self._account.forget_imports()
        return []


def _object(request: Request) -> dict[str, Any]:
    told = json.loads(request.body or b"{}")
    if not isinstance(told, dict):
        raise ValueError("Send an object.")
    return told
