"""A simulator in a process of its own, as tests, benchmarks and the demo use it."""

import http.client
import json
import os
import re
import selectors
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Any, Self, cast
from urllib.parse import quote

from demo.simulator.pages import MOST_EVENTS_READ
from demo.simulator.site import Kind, Report
from demo.simulator.site_pages import MOST_CREDITS_READ

LISTENING = "listening on "
"""Start of the line that a listening simulator prints; its address follows."""

_START_SECONDS = 30.0
"""Time limit of a start, and of an end."""

_PAGE_SECONDS = 600.0
"""Time limit of a page: the summary of 10,000,000 events takes a minute."""

_REPORTS_AT_ONCE = 2_000
"""Reports of one request: their JSON stays below the largest body."""

_ROOT = Path(__file__).resolve().parents[2]
_UNESCAPES = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}


def url(host: str, port: int, secure: bool) -> str:
    """Address of a server, without a path."""
    return f"{'https' if secure else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


class SimulatorProcess:
    """A simulator in a process of its own; a context manager. It ends with the process that started it.

    Port 0 stands for a free port; a restart uses the same port and the same database. ``faults`` are in force after
    each start.
    """

    def __init__(
        self,
        database: Path,
        token: str,
        customer_id: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        certificate: Path | None = None,
        key: Path | None = None,
        faults: Sequence[Mapping[str, Any]] = (),
        seed: int = 0,
        clock_offset_seconds: float = 0.0,
        data_token: str = "",
    ) -> None:
        self.port = port
        self._host = host
        self._certificate = certificate
        self._options = {
            "--host": host,
            "--database": str(database.resolve()),
            "--customer-id": customer_id,
            "--faults": json.dumps({"seed": seed, "rules": list(faults)}),
            "--clock-offset-seconds": str(clock_offset_seconds),
            **({"--certificate": str(certificate.resolve())} if certificate else {}),
            **({"--key": str(key.resolve())} if key else {}),
        }
        self._tokens = {"SIMULATOR_TOKEN": token, "SIMULATOR_DATA_TOKEN": data_token}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address of the simulator, without a path."""
        return url(self._host, self.port, self._certificate is not None)

    def start(self) -> Self:
        """Start the simulator, and wait until it listens.

        :raises RuntimeError: it runs already, or it ended before listening; the reason is on standard error.
        """
        if self._process is not None:
            raise RuntimeError("the simulator runs already")
        options = [f"{name}={value}" for name, value in {**self._options, "--port": str(self.port)}.items()]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "demo.simulator", *options, "--end-with-input"],
            cwd=_ROOT,
            env=os.environ | self._tokens,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        line = _first_line(self._process.stdout)
        if not line.startswith(LISTENING):
            self.kill()
            raise RuntimeError("the simulator does not listen")
        self.port = int(line.rpartition(":")[2])
        return self

    def stop(self) -> None:
        """End the simulator with SIGTERM; no effect if it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the simulator with SIGKILL, like a crash; no effect if it does not run."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def faults(self, rules: Sequence[Mapping[str, Any]], seed: int = 0) -> None:
        """Replace the faults in force; an empty list removes them all.

        :raises ValueError: the rules are invalid.
        """
        self._call("PUT", "/simulator/faults", {"seed": seed, "rules": list(rules)})

    def clock(self, offset_seconds: float) -> None:
        """Set the simulator's clock ahead of the machine's, or behind."""
        self._call("PUT", "/simulator/clock", {"offset_seconds": offset_seconds})

    def summary(self) -> dict[str, Any]:
        """The summary."""
        return cast(dict[str, Any], json.loads(self._call("GET", "/simulator/summary")))

    def events(self, action_id: str | None = None) -> list[dict[str, Any]]:
        """All rows, or all rows of one action ID, in the order of arrival."""
        only = f"&action_id={quote(action_id, safe='')}" if action_id is not None else ""
        rows: list[dict[str, Any]] = []
        while True:
            page = f"/simulator/events?limit={MOST_EVENTS_READ}&offset={len(rows)}{only}"
            read = json.loads(self._call("GET", page))
            rows += read
            if len(read) < MOST_EVENTS_READ:
                return rows

    def action_ids(self) -> dict[str, int]:
        """Each action ID, and the number of times it was stored."""
        lines = self._call("GET", "/simulator/action_ids").decode().split("\n")[:-1]
        return {_unescaped(action_id): int(count) for action_id, _, count in (line.rpartition("\t") for line in lines)}

    def clear(self) -> None:
        """Delete the events and reset the counts."""
        self._call("DELETE", "/simulator/events")

    def account(self, **settings: Any) -> dict[str, Any]:
        """Change settings of the account; returns all of them, see :class:`demo.simulator.account.Settings`.

        :raises ValueError: they are invalid.
        """
        return cast(dict[str, Any], json.loads(self._call("PUT", "/simulator/site", settings)))

    def goals(self, goals: Sequence[Mapping[str, Any]]) -> None:
        """Replace the goals: each with ``goal_id``, ``event_name``, ``from_ms``, ``to_ms``.

        :raises ValueError: they are invalid.
        """
        self._call("PUT", "/simulator/site/goals", list(goals))

    def report(self, reports: Iterable[Report]) -> None:
        """Report what browsers did.

        :raises ValueError: a report is invalid.
        """
        listed = list(reports)
        for start in range(0, len(listed), _REPORTS_AT_ONCE):
            part = [report._asdict() for report in listed[start : start + _REPORTS_AT_ONCE]]
            self._call("POST", "/simulator/site/reports", part)

    def reports(self) -> list[Report]:
        """All that browsers did."""
        lines = self._call("GET", "/simulator/site/reports").splitlines()
        return [Report(visitor, at_ms, Kind(kind), *rest) for visitor, at_ms, kind, *rest in map(json.loads, lines)]

    def people(self, seed: int, people: int, from_ms: int, to_ms: int) -> list[dict[str, Any]]:
        """Let random people visit the site; returns each with ``key``, ``users`` and ``moments``.

        :raises ValueError: a number is invalid.
        """
        asked = {"seed": seed, "people": people, "from_ms": from_ms, "to_ms": to_ms}
        return cast(list[dict[str, Any]], json.loads(self._call("POST", "/simulator/site/people", asked)))

    def run_import(self, **asked: Any) -> dict[str, Any]:
        """Import what was received before ``at_ms`` (default: now) under a ``reading`` (default: the account's)."""
        return cast(dict[str, Any], json.loads(self._call("POST", "/simulator/site/import", asked)))

    def credits(self) -> list[dict[str, Any]]:
        """All that the imports credited."""
        rows: list[dict[str, Any]] = []
        while True:
            page = f"/simulator/site/credits?limit={MOST_CREDITS_READ}&offset={len(rows)}"
            read = json.loads(self._call("GET", page))
            rows += read
            if len(read) < MOST_CREDITS_READ:
                return rows

    def clear_credits(self) -> None:
        """Undo the imports: the received events wait for the next one."""
        self._call("DELETE", "/simulator/site/credits")

    def clear_site(self) -> None:
        """Delete the site, its goals and settings, and the results of the imports."""
        self._call("DELETE", "/simulator/site")

    def _call(self, method: str, page: str, body: object = None) -> bytes:
        with closing(self._connection()) as connection:
            connection.request(method, page, body=None if body is None else json.dumps(body))
            answer = connection.getresponse()
            content = answer.read()
        if answer.status == 400:
            raise ValueError(json.loads(content)["error"])
        if answer.status != 200:
            raise RuntimeError(f"{method} {page} was answered {answer.status}: {content[:500]!r}")
        return content

    def _connection(self) -> http.client.HTTPConnection:
        if self._certificate is None:
            return http.client.HTTPConnection(self._host, self.port, timeout=_PAGE_SECONDS)
        # Its pages must be readable with any certificate that a test gives it, also a wrong one.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(self._host, self.port, timeout=_PAGE_SECONDS, context=context)

    def _end(self, with_signal: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(with_signal)
        try:
            process.communicate(timeout=_START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _first_line(output: IO[bytes] | None) -> str:
    """The first line of the output; empty if none comes in time."""
    if output is None:
        return ""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        return output.readline().decode() if selector.select(_START_SECONDS) else ""


def _unescaped(text: str) -> str:
    return re.sub(r"\\.", lambda escape: _UNESCAPES[escape[0]], text)
