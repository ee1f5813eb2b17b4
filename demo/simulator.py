"""A server that stands for Webflow's ``POST /event``, by the letter of the contract, and that can be told to fail.

    python -m demo.simulator --database FILE --token TOKEN --customer-id ID

It keeps what it received in a SQLite file, and has these pages beside the endpoint, without a token:

====================================  =================================================================================
``GET /``                             the figures, for people
``GET /simulator/summary``            the figures: events by name, repeated action IDs, ignored ones, requests by status
``GET /simulator/events``             rows, by ``limit``, ``offset`` and ``action_id``
``GET /simulator/action_ids``         a line for each action ID: the ID, a tab, how many times it was stored; a
                                      backslash, tab or line end within an ID is escaped as in JSON
``DELETE /simulator/events``          begins anew
``GET|PUT|DELETE /simulator/faults``  the faults: a list of rules, or ``{"seed": 1, "rules": [...]}``
``GET|PUT /simulator/clock``          ``{"offset_seconds": 90}``: how far its clock is ahead
====================================  =================================================================================

Events survive a restart and ``kill -9`` if they were answered; figures of requests, faults and the clock begin anew.
"""

import argparse
import asyncio
import errno
import http.client
import json
import os
import re
import resource
import selectors
import signal
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Any, Self, cast
from urllib.parse import quote

from demo.simulator_faults import Faults, FaultyConfiguration
from demo.simulator_server import MOST_EVENTS_READ, Simulator

START_SECONDS = 30.0
"""How long a simulator may take until it listens, or until it has ended, before that is an error."""

PAGE_SECONDS = 600.0
"""How long a page of it may take until it answers: the figures of 10,000,000 events take a minute."""

_OPEN_FILES = 65_536
_PORT_TRIES = 100
_ROOT = Path(__file__).resolve().parent.parent
_LISTENING = "listening on "
_UNESCAPES = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}


class SimulatorProcess:
    """A simulator in a process of its own; a context manager. It ends with the process that started it.

    Port 0 is a free one; once started, the simulator comes back on the same port. The same database makes it know what
    it knew. ``faults`` are in force from each start on.
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
    ) -> None:
        self.port = port
        self._host = host
        self._certificate = certificate
        self._options = {
            "--host": host,
            "--database": str(database.resolve()),
            "--token": token,
            "--customer-id": customer_id,
            "--faults": json.dumps({"seed": seed, "rules": list(faults)}),
            "--clock-offset-seconds": str(clock_offset_seconds),
            **({"--certificate": str(certificate.resolve())} if certificate else {}),
            **({"--key": str(key.resolve())} if key else {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return _url(self._host, self.port, self._certificate is not None)

    def start(self) -> Self:
        """Start it, and wait until it listens.

        :raises RuntimeError: it runs already, or ended instead of listening; what it said is on standard error.
        """
        if self._process is not None:
            raise RuntimeError("the simulator runs already")
        options = [f"{name}={value}" for name, value in {**self._options, "--port": str(self.port)}.items()]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "demo.simulator", *options, "--end-with-input"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        line = _first_line(self._process.stdout)
        if not line.startswith(_LISTENING):
            self.kill()
            raise RuntimeError("the simulator does not listen")
        self.port = int(line.rpartition(":")[2])
        return self

    def stop(self) -> None:
        """End it in good order; nothing happens if it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash would; nothing happens if it does not run."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def faults(self, rules: Sequence[Mapping[str, Any]], seed: int = 0) -> None:
        """Have these faults, and no others, from now until it ends; an empty list clears them.

        :raises ValueError: it does not understand them.
        """
        self._call("PUT", "/simulator/faults", {"seed": seed, "rules": list(rules)})

    def clock(self, offset_seconds: float) -> None:
        """Set its clock ahead of the machine's, or behind."""
        self._call("PUT", "/simulator/clock", {"offset_seconds": offset_seconds})

    def summary(self) -> dict[str, Any]:
        """The figures."""
        return cast(dict[str, Any], json.loads(self._call("GET", "/simulator/summary")))

    def events(self, action_id: str | None = None) -> list[dict[str, Any]]:
        """Every row, or every row of one action ID, in the order of arrival."""
        only = f"&action_id={quote(action_id, safe='')}" if action_id is not None else ""
        rows: list[dict[str, Any]] = []
        while True:
            page = f"/simulator/events?limit={MOST_EVENTS_READ}&offset={len(rows)}{only}"
            read = json.loads(self._call("GET", page))
            rows += read
            if len(read) < MOST_EVENTS_READ:
                return rows

    def action_ids(self) -> dict[str, int]:
        """How many times each action ID was stored."""
        lines = self._call("GET", "/simulator/action_ids").decode().split("\n")[:-1]
        return {_unescaped(action_id): int(count) for action_id, _, count in (line.rpartition("\t") for line in lines)}

    def begin_anew(self) -> None:
        """Forget the events and the figures."""
        self._call("DELETE", "/simulator/events")

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
            return http.client.HTTPConnection(self._host, self.port, timeout=PAGE_SECONDS)
        # Its own pages are to be read with whatever certificate a test gives it, a wrong one too.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(self._host, self.port, timeout=PAGE_SECONDS, context=context)

    def _end(self, with_signal: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(with_signal)
        try:
            process.communicate(timeout=START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until told to end by a signal, or, if so asked, by the end of standard input."""
    options = _parser().parse_args(arguments)
    _allow_open_files()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(options))
    except (OSError, sqlite3.Error) as error:
        sys.exit(f"The simulator cannot start: {error}.")


async def _serve(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    context = None
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key)
    simulator = Simulator(
        database=options.database,
        token=options.token,
        customer_id=options.customer_id,
        faults=options.faults,
        clock_offset_seconds=options.clock_offset_seconds,
        loop=loop,
    )
    server = await _listen(loop, simulator, options.host, options.port, context)
    end = asyncio.Event()

    def end_with_input() -> None:
        if not os.read(0, 1024):
            end.set()

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, end.set)
    if options.end_with_input:
        loop.add_reader(0, end_with_input)
    print(f"{_LISTENING}{_url(options.host, server.sockets[0].getsockname()[1], context is not None)}", flush=True)
    await end.wait()
    loop.remove_reader(0)
    server.close()
    await simulator.close()


async def _listen(
    loop: asyncio.AbstractEventLoop, simulator: Simulator, host: str, port: int, context: ssl.SSLContext | None
) -> asyncio.Server:
    """Listen; a given port that is taken is tried for some seconds, as a client that looks for a dead simulator can
    happen to hold it."""
    for left in reversed(range(_PORT_TRIES if port else 1)):
        try:
            return await loop.create_server(simulator.connection, host, port, ssl=context, backlog=4096)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not left:
                raise
        await asyncio.sleep(0.1)
    raise AssertionError("unreachable")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo.simulator", description="A simulator of Webflow's conversion API.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0, the default, is a free one")
    parser.add_argument("--database", type=Path, required=True, help="the SQLite file; made if it is not there")
    parser.add_argument("--token", required=True, help="the off-site conversion token to be asked for")
    parser.add_argument("--customer-id", required=True, help="the account that events must be for")
    parser.add_argument("--certificate", type=Path, help="a PEM file, for TLS")
    parser.add_argument("--key", type=Path, help="the certificate's key, if it is in a file of its own")
    parser.add_argument("--faults", type=_faults, default="[]", metavar="JSON", help="the faults to begin with")
    parser.add_argument("--clock-offset-seconds", type=float, default=0.0, help="how far its clock is ahead")
    parser.add_argument("--end-with-input", action="store_true", help="end when standard input ends")
    return parser


def _faults(text: str) -> Faults:
    try:
        return Faults(text.encode())
    except FaultyConfiguration as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _allow_open_files() -> None:
    """Thousands of connections need as many open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _first_line(output: IO[bytes] | None) -> str:
    """The line that says where it listens; empty if none comes."""
    if output is None:
        return ""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        return output.readline().decode() if selector.select(START_SECONDS) else ""


def _url(host: str, port: int, secure: bool) -> str:
    return f"{'https' if secure else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _unescaped(text: str) -> str:
    return re.sub(r"\\.", lambda escape: _UNESCAPES[escape[0]], text)


if __name__ == "__main__":
    main()
