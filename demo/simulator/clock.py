"""The simulator's clock: the machine's, ahead or behind by an offset."""

import time
from email.utils import formatdate

LARGEST_OFFSET_SECONDS = 1_000_000_000


class Clock:
    """The time that the simulator judges events by and dates its answers with.

    :param offset_seconds: seconds ahead of the machine's clock; negative if behind.
    """

    def __init__(self, offset_seconds: float) -> None:
        self.offset_seconds = offset_seconds
        self._date = b""
        self._date_second = 0

    def milliseconds(self, machine_seconds: float) -> int:
        """UNIX time in milliseconds, for a time of the machine's clock in seconds."""
        return int((machine_seconds + self.offset_seconds) * 1000)

    def now_ms(self) -> int:
        """UNIX time in milliseconds, now."""
        return self.milliseconds(time.time())

    def date(self) -> bytes:
        """Value of the ``Date`` header of an answer that is sent now (RFC 9110, 6.6.1)."""
        second = int(time.time() + self.offset_seconds)
        if second != self._date_second:
            self._date_second = second
            self._date = formatdate(second, usegmt=True).encode()
        return self._date
