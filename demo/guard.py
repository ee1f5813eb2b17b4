"""Ends sessions of processes, and guards against leftovers: a guard ends the sessions of a process that has died.

Run as a program, this module is the guard.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

_ROOT = Path(__file__).resolve().parent.parent


class Guard:
    """A process that ends the watched sessions after the end of this process, even after ``kill -9``."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", __name__]
        self._process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, text=True, start_new_session=True)

    def watch(self, pid: int) -> None:
        """Watch the session of this leader."""
        print(pid, file=self._process.stdin, flush=True)

    def dismiss(self) -> None:
        """End the guard; the watched sessions continue."""
        self._process.kill()
        self._process.communicate()


def end_sessions(sessions: Sequence[int], *, patience_seconds: float = 5.0) -> None:
    """End every process of these sessions: SIGTERM first, SIGKILL after ``patience_seconds``.

    The first session ends last: it is the API server's, to which the others report the ends of their tasks. It has no
    work of its own to finish, so it gets half a second.
    """
    for some, patience in ((sessions[1:], patience_seconds), (sessions[:1], 0.5)):
        for signal_number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
            deadline = time.monotonic() + seconds
            members = _members(some)
            for pid in members:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal_number)
            while members and time.monotonic() < deadline:
                time.sleep(0.05)
                members = _members(some)


def _members(sessions: Sequence[int]) -> list[int]:
    """IDs of the processes of these sessions that have not ended."""
    members = []
    for pid in psutil.pids() if sessions else ():
        with suppress(OSError, psutil.Error):
            if os.getsid(pid) in sessions and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.append(pid)
    return members


if __name__ == "__main__":
    # Standard input ends with the process that writes to it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_sessions([int(line) for line in sys.stdin])
