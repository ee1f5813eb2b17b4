"""Writes the dump of a ledger of each version, with a night's data in it: ``python -m tests.ledgers.make 1``.

A dump is made once, when its version is released, and kept for good: ``tests/integration/test_upgrade.py`` upgrades each
of them. Until then it is made anew whenever its migration changes.
"""

import os
import subprocess
import sys
import tempfile
from datetime import timedelta
from functools import partial
from pathlib import Path

from demo.postgres import PostgresServer
from demo.simulator import SimulatorProcess
from tests.night import CUSTOMER_ID, TOKEN, Night
from webflow_conversions.ledger import migrations

FOLDER = Path(__file__).resolve().parent


def dump(server: PostgresServer, database: str, *options: str) -> str:
    """What ``pg_dump`` writes."""
    command = [str(server.programs() / "pg_dump"), "--no-owner", "--no-privileges", *options, server.url(database)]
    text = subprocess.run(command, env={**os.environ, "LC_ALL": "C"}, capture_output=True, check=True, text=True).stdout
    # psql's \\restrict came with a minor release, and holds a key that is new each time.
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(("\\restrict", "\\unrestrict")))


def restore(server: PostgresServer, database: str, text: str) -> None:
    """Bring a dump into an empty database."""
    command = [str(server.programs() / "psql"), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", server.url(database)]
    subprocess.run(command, input=text, check=True, text=True, stdout=subprocess.DEVNULL)


def a_night(night: Night, simulator: SimulatorProcess) -> None:
    """Conversions in every state, and one push that died."""
    night.person()
    for number in range(20):
        night.sale(f"accepted-{number}", ago=timedelta(hours=30, minutes=number))
    night.push(night.read("accepted"), simulator.url)
    night.sale("refused", ago=timedelta(hours=3))
    simulator.faults([{"action": "status", "status": 422}])
    night.push(night.read("refused"), simulator.url)
    simulator.faults([])
    for number in range(3):
        night.sale(f"in-flight-{number}", ago=timedelta(hours=20))
    dying = night.read("dying")
    queue = night.queue(dying)
    queue.begin(60)
    queue.claim(3, night.clock.at)
    night.sql("UPDATE webflow.pushes SET expires_at = started_at WHERE ended_at IS NULL")
    night.sql("UPDATE webflow.pushes SET host = 'worker-1', pid = 1")
    night.sale("ready", ago=timedelta(hours=2))
    night.sale("held", key="stranger")
    night.sale("future", ago=timedelta(hours=-2))
    night.sale("rejected", value=-1)
    night.sale("expired", ago=timedelta(hours=50))
    night.read("waiting")


def main(version: int) -> None:
    """Write the dump of one version."""
    every = migrations.migrations()
    migrations.migrations = lambda: every[:version]
    folder = Path(tempfile.mkdtemp())
    with (
        PostgresServer(folder / "postgres") as server,
        SimulatorProcess(folder / "events.db", TOKEN, CUSTOMER_ID) as simulator,
    ):
        server.create_database("ledger")
        night = Night(partial(server.connect, "ledger"))
        a_night(night, simulator)
        night.session.close()
        (FOLDER / f"{version:04}.sql").write_text(dump(server, "ledger"), encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]))
