"""Other clients, for comparison: aiohttp, and drt (drt-core), a tool that sends a warehouse's rows to a REST API.

They are no packages of the product. ``peers.txt`` pins them, and the first measurement installs them into ``.bench/peers``.
Each runs there in a process of its own, by ``peer.py``.
"""

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.pieces import HEADERS
from demo.postgres import USER
from tests.night import CUSTOMER_ID

PIECES = ("aiohttp", "drt")
FOLDER = Path(__file__).parents[1] / ".bench" / "peers"
PACKAGES = Path(__file__).with_name("peers.txt")
DRT_BATCH_ROWS = 10_000
"""Rows that drt hands to its destination together; it opens new connections for each batch."""

_PEER = Path(__file__).with_name("peer.py")
_INSTALL_SECONDS = 600


class Missing(Exception):
    """The peers' environment cannot be made; the text says why."""


def python() -> Path:
    """The Python of the peers' environment, which is made first if it does not hold what ``peers.txt`` says.

    :raises Missing: it cannot be made.
    """
    stamp, program = FOLDER / ".packages", FOLDER / "bin" / "python"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == PACKAGES.read_text(encoding="utf-8"):
        return program
    print(f"Making {FOLDER} with the clients to compare with.", file=sys.stderr, flush=True)
    venv.create(FOLDER, clear=True, with_pip=True)
    pip = [str(program), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]
    try:
        subprocess.run(
            [*pip, "--only-binary", ":all:", "-r", str(PACKAGES)],
            check=True,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        raise Missing((error.stderr.strip().splitlines() or [f"pip ended with {error.returncode}"])[-1]) from error
    except subprocess.TimeoutExpired as error:
        raise Missing(f"pip took more than {_INSTALL_SECONDS} seconds") from error
    shutil.copyfile(PACKAGES, stamp)
    return program


@cache
def available() -> Path | None:
    """The same Python; None, and one line that says why, if there is none."""
    try:
        return python()
    except Missing as reason:
        print(f"SKIPPED: aiohttp and drt are not measured, since {FOLDER} cannot be made: {reason}", file=sys.stderr, flush=True)
        return None


def posting_with_aiohttp(program: Path, folder: Path, url: str, bodies: Iterable[bytes], at_once: int) -> dict[str, Any]:
    """POST the bodies over one session, so many at once."""
    listed = folder / "bodies"
    with listed.open("wb") as file:
        file.writelines(body + b"\n" for body in bodies)
    return _measured(program, "aiohttp", folder, url=url, bodies=str(listed), at_once=at_once, headers=HEADERS)


def syncing_with_drt(program: Path, folder: Path, url: str, place: tuple[int, str], syncs: int) -> dict[str, Any]:
    """POST each row of the table ``peer_rows`` by ``drt run``: its syncs take a share each, and run in threads beside each other.

    The rate limit of 10 a second is switched off. Without a template of the body, drt sends the row itself as JSON: its
    fastest way.
    """
    port, database = place
    home, project = folder / "home", folder / "drt"
    for path in (home, project):
        shutil.rmtree(path, ignore_errors=True)
    _write(project / "drt_project.yml", {"name": "benchmark", "version": "0.1", "profile": "warehouse"})
    server = {"type": "postgres", "host": "127.0.0.1", "port": port, "dbname": database, "user": USER, "password": "none"}
    _write(home / ".drt" / "profiles.yml", {"warehouse": server})
    for sync in range(syncs):
        _write(
            project / "syncs" / f"share_{sync}.yml",
            {
                "name": f"share_{sync}",
                "model": f"SELECT {COLUMNS} FROM peer_rows WHERE number % {syncs} = {sync}",  # noqa: S608 - numbers of ours
                "destination": {"type": "rest_api", "url": url, "method": "POST", "headers": HEADERS},
                "sync": {"batch_size": DRT_BATCH_ROWS, "rate_limit": {"requests_per_second": 0}, "on_error": "fail"},
            },
        )
    return _measured(program, "drt", project, home=home, threads=syncs)


COLUMNS = (
    f"'{CUSTOMER_ID}' AS \"customerId\", 'offline-purchase' AS \"eventName\", 'crm' AS \"userDomain\","
    ' user_id AS "userId", action_id AS "actionId", action_timestamp_ms AS "actionTimestamp", 149.99::float8 AS value'
)
ROWS = (
    "DROP TABLE IF EXISTS peer_rows;"
    "CREATE TABLE peer_rows AS SELECT g AS number, 'user-' || g AS user_id,"
    " 'sales/offline-purchase/' || %s || '-' || g AS action_id,"
    " %s + g %% 3600000 AS action_timestamp_ms FROM generate_series(0, %s - 1) g; ANALYZE peer_rows"
)
"""Makes the table of drt's rows: takes a salt, the first moment, and how many. The events are those of ``pieces.bodies``."""


def _write(path: Path, document: Any) -> None:
    """Write a document as YAML: JSON is YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")


def _measured(program: Path, piece: str, folder: Path, *, home: Path | None = None, **given: Any) -> dict[str, Any]:
    """What the peer printed last; its own words go to standard error if it fails."""
    environment = os.environ | {"DO_NOT_TRACK": "1"} | ({"HOME": str(home)} if home else {})
    command = [str(program), str(_PEER), piece, json.dumps(given)]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{piece} ended with {done.returncode}: {done.stdout[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))
