"""Imported by the server that lives are forked from: imports and fills whatever a life would, by one that comes as far as
a database that is not there."""

import json
import signal
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from demo.postgres import free_port
from tests.chaos.life import live
from webflow_conversions.pipeline.run import Run
from webflow_conversions.rules.window import Window

with tempfile.TemporaryDirectory() as folder:
    config_path = Path(folder) / "conversions.yaml"
    config_path.write_text(
        "{sources: [{name: s, sql: s.sql, timestamps: {kind: aware}}], known_users: {sql: u.sql}}", encoding="utf-8"
    )
    nowhere = f"127.0.0.1:{free_port()}"
    webflow = {
        "conn_type": "webflow",
        "host": f"http://{nowhere}",
        "login": "nobody",
        "password": "no-such-token",
        "extra": {"timeout_seconds": 0.5},
    }
    environment = {
        "AIRFLOW_CONN_WEBFLOW_DEFAULT": json.dumps(webflow),
        "AIRFLOW_CONN_WEBFLOW_LEDGER": f"postgresql://nobody@{nowhere}/nothing",
    }
    window = Window.up_to(datetime.now(UTC))
    run = Run(id=0, run_id="none", window=window, sources=["s"], dry_run=False, force=False)
    work = {"destination": "webflow_default", "sources": ["s"], "worker": 0}
    with suppress(SystemExit):
        live(environment, {"config_path": str(config_path), "work": work, "plan": run.to_json()}, 1, None, 1.0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
