"""Runs a night's conversions on this machine: from a sample warehouse, through a real Airflow, to a simulated Webflow.

    python -m demo

It prints the state of every conversion, and what was foreseen of it beside what the simulator's import of the night credits. The
exit status is 1 if a run failed, or if the ledger and the simulator disagree.
On a terminal, Airflow runs until Ctrl-C.
"""

import fcntl
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import NoReturn

from demo import account, credit, sample_configuration
from demo.airflow_stack import REPOSITORY
from demo.stage import DAG_ID, Stage

_FOLDERS = REPOSITORY / ".demo"
_KEPT = "kept"
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run the night.

    :returns: the exit status.
    """
    for number in _ENDING:
        signal.signal(number, _end)
    say = Narrator()
    with ExitStack() as opened:
        folder = opened.enter_context(_temporary_folder())
        environment = {"WEBFLOW_CONVERSIONS_CONFIG": str(sample_configuration.write(folder / "include"))}
        stage = opened.enter_context(Stage(folder, environment=environment, say=say))
        opened.callback(_ignore_signals)
        status = conclude(stage, _run(stage, say))
        if sys.stdout.isatty() and os.environ.get("CI", "").lower() != "true":
            _leave_up(stage)
        if status:
            _keep(folder)
        say("closing down")
    return status


def conclude(stage: Stage, failed: Sequence[str] = ()) -> int:
    """Print what became of every conversion, what the import credits, and a sentence for each problem.

    :param failed: sentences on failed runs.
    :returns: the exit status.
    """
    wrong = [*failed, *account.tell(stage)]
    wrong = wrong or credit.tell(stage)
    print()
    for sentence in wrong:
        print(f"NOT AS IT SHOULD BE: {sentence}", flush=True)
    return 1 if wrong else 0


class Narrator:
    """Prints lines with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"{time.monotonic() - self._start:6.1f} s  {text}", flush=True)


def _run(stage: Stage, say: Narrator) -> list[str]:
    """Run the Dag on schedule and by hand.

    :returns: a sentence for each failed run.
    """
    airflow = stage.airflow
    say("filling the warehouse with sales and deals of the last days up to now, and the site with the visits of their customers")
    now = datetime.now(UTC)
    stage.load_warehouse(now)
    visits = stage.visit_site(now)
    exported_until = midnight_before_the_run(now)
    stage.land_exports(visits, until=exported_until)
    say("unpausing the Dag: the scheduler starts the run that was due last")
    airflow.unpause(DAG_ID)
    scheduled = airflow.wait_for_first_run(DAG_ID)
    states = {scheduled: airflow.wait_for_run(DAG_ID, scheduled, say=say)}
    say("loading the visits since then, and triggering the Dag by hand, for what came since")
    stage.land_exports(visits, since=exported_until)
    by_hand = airflow.trigger(DAG_ID)
    states[by_hand] = airflow.wait_for_run(DAG_ID, by_hand, say=say)
    return [f"run {run_id} {state}: {_failure(stage, run_id)}" for run_id, state in states.items() if state != "success"]


def midnight_before_the_run(now: datetime) -> datetime:
    """The midnight UTC before the run that was due last, up to which the Data Exports were loaded at that run."""
    return (now - timedelta(hours=22)).replace(hour=0, minute=0, second=0, microsecond=0)


def _failure(stage: Stage, run_id: str) -> str:
    return "; ".join(stage.airflow.failures(DAG_ID, run_id).values()) or "no task says why"


def _leave_up(stage: Stage) -> None:
    airflow = stage.airflow
    print(f"Airflow stays up at {airflow.url}/dags/{DAG_ID}")
    print(f"  user      {airflow.username}\n  password  {airflow.password}")
    print(f"The simulator shows what it received at {stage.simulator.url}")
    print("Ctrl-C ends them all.", flush=True)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Create a folder for this demo, and remove it at the end, except after an error. Folders of killed demos are removed too."""
    _FOLDERS.mkdir(exist_ok=True)
    for left in _FOLDERS.glob("run-*"):
        with suppress(OSError), (left / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=_FOLDERS))
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        except Exception:
            _keep(folder)
            raise
        finally:
            if not (folder / _KEPT).exists():
                shutil.rmtree(folder)


def _keep(folder: Path) -> None:
    (folder / _KEPT).touch()
    print(f"The logs are kept in {folder / 'airflow'} until the next demo.", file=sys.stderr)


def _end(number: int, _: FrameType | None) -> NoReturn:
    """End in good order; further signals are ignored."""
    _ignore_signals()
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def _ignore_signals() -> None:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
