"""Takes pictures of the command on a terminal, on the sample warehouse: ``make screenshots``, or
``python -m demo.screenshots_terminal``."""

import fcntl
import json
import os
import pty
import secrets
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

from demo import warehouse
from demo.airflow_stack import REPOSITORY
from demo.postgres import USER, PostgresServer
from demo.screenshots import FOLDER
from demo.simulator import SimulatorProcess
from demo.stage import CUSTOMER_ID, LEDGER

COLUMNS = 118
"""Characters of a line: as many as can be read where the picture is as wide as a page of GitHub's."""

PICTURES = {"check": ("check",), "preview": ("preview", "--source", "offline_sales")}
SOURCE = "offline_sales"


def main() -> None:
    """Fill the sample warehouse, and take a picture of each subcommand."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(TemporaryDirectory(prefix="webflow-screenshots-")))
        postgres = opened.enter_context(PostgresServer(folder / "postgres"))
        for name in (LEDGER, warehouse.DATABASE):
            postgres.create_database(name)
        token = secrets.token_urlsafe(24)
        simulator = opened.enter_context(SimulatorProcess(folder / "events.db", token, CUSTOMER_ID))
        warehouse.load(postgres, datetime.now(UTC))
        server = {"conn_type": "postgres", "host": "127.0.0.1", "port": postgres.port, "login": USER}
        connections = {
            "WAREHOUSE": {**server, "schema": warehouse.DATABASE},
            "WEBFLOW_LEDGER": {**server, "schema": LEDGER},
            "WEBFLOW_DEFAULT": {"conn_type": "webflow", "host": simulator.url, "login": CUSTOMER_ID, "password": token},
        }
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
            **{f"AIRFLOW_CONN_{name}": json.dumps(fields) for name, fields in connections.items()},
            "AIRFLOW_HOME": str(folder / "airflow"),
            "TERM": "xterm-256color",
            "COLUMNS": str(COLUMNS),
        }
        for name, arguments in {**PICTURES, "trace": ("trace", _a_sale(postgres), "--source", SOURCE)}.items():
            _take(name, arguments, environment)


def _a_sale(postgres: PostgresServer) -> str:
    """The number of a sale whose customer the site knows."""
    with closing(postgres.connect(warehouse.DATABASE)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT sale_number FROM shop_sales JOIN site_users ON identity_key = loyalty_card"
            " WHERE shop_id = 'NYC' AND sold_at > now() - interval '1 day' AND amount > 0 ORDER BY sale_number LIMIT 1"
        )
        return str(cursor.fetchone()[0])


def _take(name: str, arguments: tuple[str, ...], environment: Mapping[str, str]) -> None:
    """Run the command on a terminal, and draw its screen."""
    screen = _screen([sys.executable, "-m", "webflow_conversions", *arguments], environment)
    console = Console(record=True, width=COLUMNS, file=StringIO())
    console.print(Text(f"$ webflow-conversions {' '.join(arguments)}", style="bold"))
    console.print(Text.from_ansi(screen.rstrip("\n")))
    path = FOLDER / f"{name}.svg"
    console.save_svg(str(path), title="webflow-conversions", unique_id=name)
    print(path.relative_to(REPOSITORY))


def _screen(command: list[str], environment: Mapping[str, str]) -> str:
    """What a command writes to a terminal; its progress goes elsewhere."""
    keys, screen = pty.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 200, COLUMNS, 0, 0))
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=dict(environment), stdin=subprocess.DEVNULL, stdout=screen, stderr=subprocess.DEVNULL
    )
    os.close(screen)
    written = b""
    while True:
        try:
            more = os.read(keys, 65_536)
        except OSError:  # what Linux says of a terminal whose command has ended
            break
        if not more:
            break
        written += more
    os.close(keys)
    if process.wait() != 0:
        raise RuntimeError(f"{command} failed: {written.decode()[-2000:]}")
    return written.decode().replace("\r\n", "\n")


if __name__ == "__main__":
    main()
