"""One life of a push task: the real operator, in a process that anybody may kill at any moment.

A server process imports all of this once and is forked for each life, so that a life begins within milliseconds.
"""

import os
import signal
import socket
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from webflow_conversions.delivery import settings
from webflow_conversions.errors import ConversionsError
from webflow_conversions.operators.push import WebflowPushConversionsOperator

GAVE_UP = 3
"""The exit code of a life that ended with one of the product's own errors."""


def live(
    environment: Mapping[str, str], arguments: Mapping[str, Any], try_number: int, host: str | None, lease_margin: float
) -> None:
    """Run the push task as Airflow's task runner does: its operator's ``execute``, and ``on_kill`` at SIGTERM."""
    os.environ.update(environment)
    if host is not None:
        socket.gethostname = lambda: host
    settings.LEASE_MARGIN_SECONDS = lease_margin
    operator = WebflowPushConversionsOperator(task_id="push", **arguments)
    signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
    try:
        ti = SimpleNamespace(try_number=try_number, max_tries=1_000, map_index=-1, xcom_push=lambda **_: None)
        dag_run = SimpleNamespace(dag_id="nightly", run_id=arguments["plan"]["run_id"], run_type="manual")
        operator.execute({"ti": ti, "dag_run": dag_run})
    except ConversionsError as error:
        print(f"pid {os.getpid()}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        sys.exit(GAVE_UP)
