"""Ends what a process has started once that process is gone, however it went; and whole sessions of processes.

Run as a program, this module is the guard itself.
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
    """A process that ends the sessions that it was told of once this one is gone, even if it was killed."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", __name__]
        self._process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, text=True, start_new_session=True)

    def watch(self, pid: int) -> None:
        """Tell it of a session, by its leader."""
        print(pid, file=self._process.stdin, flush=True)

    def dismiss(self) -> None:
        """End it, and nothing else."""
        self._process.kill()
        self._process.communicate()


def end_sessions(sessions: Sequence[int], *, patience_seconds: float = 5.0) -> None:
    """End every process of these sessions: ask, and after ``patience_seconds`` do not ask.

    The first session goes last: it is the API server's, whom the others tell how their tasks ended. It has nothing
    to finish itself, and is not waited for.
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
    """The processes of these sessions that have not ended."""
    members = []
    for pid in psutil.pids() if sessions else ():
        with suppress(OSError, psutil.Error):
            if os.getsid(pid) in sessions and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.append(pid)
    return members


if __name__ == "__main__":
    # The lines end when the process that writes them does.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_sessions([int(line) for line in sys.stdin])
