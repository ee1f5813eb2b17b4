"""Runs in the peers' environment, in a process of its own: imports a client, then measures it as ``stage.py`` measures ours.

``python peer.py aiohttp|drt JSON`` prints seconds, its core's seconds, and its peak memory over the imports in MB.
It may import neither this project nor anything that ``peers.txt`` does not name.
"""

import importlib
import json
import os
import resource
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path


def posting_with_aiohttp(url: str, bodies: str, at_once: int, headers: Mapping[str, str]) -> Callable[[], None]:
    """One session, as many connections as requests at once, uvloop, the simulator's authority alone."""
    import asyncio

    import aiohttp
    import uvloop

    async def post() -> None:
        context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
        connector = aiohttp.TCPConnector(limit=at_once, ssl=context)
        with Path(bodies).open("rb") as waiting:  # noqa: ASYNC230 - a line that is in the buffer is there at once
            async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

                async def work() -> None:
                    for body in waiting:
                        async with session.post(url, data=body[:-1], timeout=aiohttp.ClientTimeout(total=30)) as answer:
                            await answer.read()
                            answer.raise_for_status()

                await asyncio.gather(*(work() for _ in range(at_once)))

    return lambda: uvloop.run(post())


def syncing_with_drt(threads: int) -> Callable[[], None]:
    """Its own command, ``drt run``, in the project of the current folder."""
    for what_drt_imports_late in ("drt.destinations.rest_api", "drt.sources.postgres", "psycopg2"):
        importlib.import_module(what_drt_imports_late)
    from drt.cli.main import app

    def run() -> None:
        app(["run", "--quiet", "--threads", str(threads)], standalone_mode=False)

    return run


def peak_mb() -> float:
    """The most memory that this process has had. getrusage(2) counts that of the program before exec, too: our parent's."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


def main(piece: str, given: str) -> None:
    work = {"aiohttp": posting_with_aiohttp, "drt": syncing_with_drt}[piece](**json.loads(given))
    before_mb, wall, cpu = peak_mb(), time.perf_counter(), time.process_time()
    work()
    found = {
        "seconds": time.perf_counter() - wall,
        "core_seconds": time.process_time() - cpu,
        "peak_mb": peak_mb() - before_mb,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
