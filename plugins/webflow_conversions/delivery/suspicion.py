"""Whether it is the rows that are wrong, or the address that they were sent to."""

from collections import Counter
from dataclasses import replace

from webflow_conversions.delivery.outcomes import Answer
from webflow_conversions.delivery.protocols import Settlement
from webflow_conversions.errors import Stopped
from webflow_conversions.rules.states import State

UNPROVEN_REFUSALS = 20
"""So many refusals before anything was accepted, and it is not the rows that are wrong."""
MISROUTED_IN_A_ROW = 20
"""So many answers of something that is not the API, with nothing accepted in between, and the address is wrong."""
REFUSALS_OF_THE_ADDRESS = frozenset({404, 410})
"""They concern the event only where the same address accepts others."""


class Suspicion:
    """Keeps refusals back until an event is accepted: before that, they may be meant for all.

    :param destination: the connection, for the sentences.
    """

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self._is_proven = False
        self._refusals: list[Settlement] = []
        self._misrouted = 0
        self.verdict: Stopped | None = None
        """Set once it is clear that the address is wrong."""

    @property
    def kept(self) -> list[int]:
        """The conversions whose refusals are kept back."""
        return [refusal.id for refusal in self._refusals]

    def accepted(self) -> list[Settlement]:
        """The API is there and takes our events; what it refused before is refused."""
        self._is_proven = True
        self._misrouted = 0
        return self._take_refusals()

    def refused(self, refusal: Settlement) -> list[Settlement]:
        """What is to be recorded now that this event was refused."""
        if self._is_proven:
            return [refusal]
        self._refusals.append(refusal)
        if len(self._refusals) == UNPROVEN_REFUSALS:
            reasons = ", ".join(f"{reason} ({times})" for reason, times in Counter(one.reason for one in self._refusals).items())
            self.verdict = Stopped(
                f"The API refused the first {UNPROVEN_REFUSALS} events and accepted none: {reasons}. Check host and customer ID "
                f"of connection {self._destination}, and the goals; no conversion was rejected for it."
            )
        return []

    def misrouted(self, answer: Answer) -> None:
        """Something that is not the API answered."""
        self._misrouted += 1
        if self._misrouted == MISROUTED_IN_A_ROW:
            self.verdict = Stopped(
                f"The last {MISROUTED_IN_A_ROW} answers were HTTP {answer.status}, and nothing was accepted in between: correct "
                f"the host of connection {self._destination}, or the proxy on the way. No conversion was rejected for it."
            )

    def end(self, *, is_empty: bool) -> list[Settlement]:
        """What becomes of the refusals that were kept back.

        :param is_empty: whether all that was due was tried: then a few refusals are the rows' own.
        """
        own = is_empty and len(self._refusals) < UNPROVEN_REFUSALS
        return [
            refusal
            if own and refusal.http_status not in REFUSALS_OF_THE_ADDRESS
            else replace(refusal, state=State.READY, reason=None)
            for refusal in self._take_refusals()
        ]

    def _take_refusals(self) -> list[Settlement]:
        refusals, self._refusals = self._refusals, []
        return refusals
