"""A command on a real terminal, with somebody at the keys."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

CTRL_C, CTRL_D = "\x03", "\x04"


class Terminal:
    """A command on a pseudo-terminal that it controls; a context manager."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], patience_seconds: float = 60
    ) -> None:
        self._keys, screen = pty.openpty()
        self._patience_seconds = patience_seconds
        self._read = ""
        self._process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdin=screen, stdout=screen, stderr=screen, start_new_session=True,
            preexec_fn=_before_keys,  # noqa: PLW1509 - two system calls, and no thread runs yet
        )  # fmt: skip
        os.close(screen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._keys)

    def answer(self, question: str, keys: str) -> None:
        """Wait until a question is on the screen, and type what follows it."""
        self._until(question)
        os.write(self._keys, keys.encode())

    def ends(self) -> tuple[int, str]:
        """Wait for the command's end; its status, and what came on the screen since the last question."""
        self._until(None)
        return self._process.wait(self._patience_seconds), self._read.replace("\r\n", "\n")

    def _until(self, text: str | None) -> None:
        """Read up to a text and forget what was before it, or up to the end."""
        deadline = time.monotonic() + self._patience_seconds
        while text is None or text not in self._read:
            if not select.select([self._keys], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"{text!r} did not come, but {self._read!r}")
            try:
                more = os.read(self._keys, 65_536)
            except OSError:  # what Linux says of a terminal whose command has ended
                more = b""
            if not more:
                if text is None:
                    return
                raise EOFError(f"{text!r} did not come, but {self._read!r}")
            self._read += more.decode()
        self._read = self._read.partition(text)[2]


def _before_keys() -> None:
    """Give the process its terminal, and Ctrl-C its meaning: whoever is started in the background inherits that it is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
