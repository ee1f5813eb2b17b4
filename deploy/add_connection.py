"""Adds a connection to Airflow by a file that nobody else can read: what is on a command line stands in the process list.

    python deploy/add_connection.py NAME FIELDS

FIELDS is JSON, an object of fields or an address, in which $NAME stands for the environment variable of that name.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory


def main(name: str, fields: str) -> None:
    """Add the connection; ends with the status of ``airflow connections import``."""
    template = json.loads(fields)
    if isinstance(template, str):
        connection = os.path.expandvars(template)
    else:
        connection = {key: os.path.expandvars(given) if isinstance(given, str) else given for key, given in template.items()}
    with TemporaryDirectory() as folder:
        file = Path(folder, "connections.json")
        file.write_text(json.dumps({name: connection}), encoding="utf-8")
        done = subprocess.run(["airflow", "connections", "import", str(file)], check=False)  # noqa: S603, S607 - the image's own
        sys.exit(done.returncode)


if __name__ == "__main__":
    main(*sys.argv[1:])
