"""Serves the simulator: ``python -m demo.simulator``."""

import argparse
import asyncio
import errno
import os
import resource
import signal
import sqlite3
import ssl
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from demo.simulator.faults import Faults, FaultyConfiguration
from demo.simulator.process import LISTENING, url
from demo.simulator.server import Simulator

_OPEN_FILES = 65_536
"""Open files to ask the system for: one for each connection."""

_PORT_TRIES = 100
"""Attempts to listen on a port that is taken, 0.1 seconds apart."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; with ``--end-with-input`` also until standard input ends."""
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
        data_token=options.data_token,
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
    print(f"{LISTENING}{url(options.host, server.sockets[0].getsockname()[1], context is not None)}", flush=True)
    await end.wait()
    loop.remove_reader(0)
    server.close()
    await simulator.close()


async def _listen(
    loop: asyncio.AbstractEventLoop, simulator: Simulator, host: str, port: int, context: ssl.SSLContext | None
) -> asyncio.Server:
    """Listen. A given port that is taken is tried for 10 seconds: a client that connects to a dead simulator can hold it."""
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
    token = os.environ.get("SIMULATOR_TOKEN")
    parser.add_argument(
        "--token",
        default=token,
        required=token is None,
        help="the off-site conversion token to be asked for; default $SIMULATOR_TOKEN, which stands in no process list",
    )
    parser.add_argument("--customer-id", required=True, help="the account that events must be for")
    parser.add_argument(
        "--data-token",
        default=os.environ.get("SIMULATOR_DATA_TOKEN", ""),
        help="the API token of the Data API, default $SIMULATOR_DATA_TOKEN; without it nothing there can be read",
    )
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
    """Raise the limit of open files: each connection needs one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    main()
