"""Whether it is the rows that are wrong, or the address that they were sent to."""

from collections import Counter
from collections.abc import Iterable
from enum import Enum, auto

from webflow_conversions.delivery.outcomes import Answer
from webflow_conversions.delivery.protocols import Settlement
from webflow_conversions.errors import Stopped
from webflow_conversions.rules.states import State

TRIP_AFTER = 20
"""Refusals in a row after which the breaker opens: the address may be wrong, not the rows."""
REFUSALS_OF_THE_ADDRESS = frozenset({404, 410})
"""They concern the event only where the same address accepts others."""


class Stage(Enum):
    """How far a suspicion has come. While there is one, nothing is sent but others."""

    NONE = auto()
    SEEKING = auto()
    """Others are to be claimed, as soon as nothing is out."""
    TRYING = auto()
    """Others are out."""
    JUDGING = auto()
    """Others were refused, or there are none: unless another push knows better, it is the address."""


class CircuitBreaker:
    """Keeps refusals back that may be meant for all, until an event is accepted.

    Before anything was accepted every refusal is suspicious; afterwards only those of the address. An answer that is
    not the API's is suspicious at any time.

    What expires first goes out first, and rows that expire together may well be wrong together. So after many refusals
    in a row others are tried, as unlike them as can be had: only if these are refused, too, it is the address.

    :param destination: the connection, for the sentence.
    """

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self._is_proven = False
        self._kept: list[Settlement] = []
        self._in_a_row: Counter[str] = Counter()
        self._probes: set[int] = set()
        self.stage = Stage.NONE
        self.verdict: Stopped | None = None
        """Set once it is clear that the address is wrong."""

    @property
    def kept(self) -> list[int]:
        """The conversions whose refusals are kept back."""
        return [refusal.id for refusal in self._kept]

    def seek(self) -> None:
        """Others are wanted, once more if they were before."""
        self.stage = Stage.SEEKING

    def probe(self, conversions: Iterable[int]) -> None:
        """These are the others, about to be sent; nothing else is out."""
        self._probes = set(conversions)
        self.stage = Stage.TRYING if self._probes else Stage.JUDGING

    def call_off(self) -> None:
        """The others were given back before they were answered."""
        if self.stage is Stage.TRYING:
            self.seek()

    def accepted(self) -> list[Settlement]:
        """The API is there and takes our events: what it refused before is refused."""
        self._is_proven = True
        self._in_a_row.clear()
        self.stage = Stage.NONE
        kept, self._kept = self._kept, []
        return kept

    def accepted_elsewhere(self) -> list[Settlement]:
        """Another push of the run had events accepted, at whatever time; what is to be recorded for it.

        What says that there is nothing at this address is still suspicious: there may have been before.
        """
        self._is_proven = True
        own = [refusal for refusal in self._kept if not _is_of_the_address(refusal)]
        self._kept = [refusal for refusal in self._kept if _is_of_the_address(refusal)]
        if not self._kept:
            self._in_a_row.clear()
            self.stage = Stage.NONE
        return own

    def refused(self, refusal: Settlement) -> list[Settlement]:
        """What is to be recorded now that this event was refused."""
        if self._is_proven and not _is_of_the_address(refusal):
            self.put_off(refusal.id)
            return [refusal]
        self._kept.append(refusal)
        self._in_a_row[f"HTTP {refusal.http_status}"] += 1
        if self.stage is Stage.TRYING:
            self._probes.discard(refusal.id)
            if not self._probes:
                self.stage = Stage.JUDGING
        elif self.stage is Stage.NONE and self._in_a_row.total() >= TRIP_AFTER:
            self.seek()
        return []

    def strange(self, answer: Answer) -> None:
        """Something answered that is not the API, or not in its words."""
        self._in_a_row[f"HTTP {answer.status}{' without our event' if answer.status and answer.status < 300 else ''}"] += 1
        if self._in_a_row.total() >= TRIP_AFTER:
            self.decide()

    def put_off(self, conversion: int) -> None:
        """This one got no answer that says anything about the address; if it was the last of the others, more are needed."""
        if self.stage is Stage.TRYING:
            self._probes.discard(conversion)
            if not self._probes:
                self.seek()

    def end(self, *, is_empty: bool) -> list[Settlement]:
        """What becomes of the refusals that are kept back.

        :param is_empty: whether all that was due was tried: then a few refusals are the rows' own.
        """
        few = is_empty and self.verdict is None
        kept, self._kept = self._kept, []
        return [
            refusal
            if few and (self._is_proven or not _is_of_the_address(refusal))
            else refusal._replace(state=State.READY, reason=None)
            for refusal in kept
        ]

    def decide(self) -> None:
        """It is the address: neither were others accepted, nor are there any."""
        if self.verdict is None:
            answers = ", ".join(f"{answer} ({times})" for answer, times in self._in_a_row.most_common())
            self.verdict = Stopped(
                f"None of the last {self._in_a_row.total()} events was accepted: {answers}. Check host and customer ID of "
                f"connection {self._destination}, the goals, and the proxy if there is one; what was refused stays ready."
            )


def _is_of_the_address(refusal: Settlement) -> bool:
    return refusal.http_status in REFUSALS_OF_THE_ADDRESS
