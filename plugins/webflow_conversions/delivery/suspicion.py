"""Whether it is the rows that are wrong, or the address that they were sent to."""

from collections import Counter

from webflow_conversions.delivery.outcomes import Answer
from webflow_conversions.delivery.protocols import Settlement
from webflow_conversions.errors import Stopped
from webflow_conversions.rules.states import State

IN_A_ROW = 20
"""So many suspicious answers with nothing accepted in between, and it is not the rows that are wrong."""
REFUSALS_OF_THE_ADDRESS = frozenset({404, 410})
"""They concern the event only where the same address accepts others."""


class Suspicion:
    """Keeps refusals back that may be meant for all, until an event is accepted.

    Before anything was accepted every refusal is suspicious; afterwards only those of the address. An answer that is
    not the API's is suspicious at any time.

    :param destination: the connection, for the sentence.
    """

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self._is_proven = False
        self._kept: list[Settlement] = []
        self._in_a_row: Counter[str] = Counter()
        self.verdict: Stopped | None = None
        """Set once it is clear that the address is wrong."""

    @property
    def kept(self) -> list[int]:
        """The conversions whose refusals are kept back."""
        return [refusal.id for refusal in self._kept]

    def accepted(self) -> list[Settlement]:
        """The API is there and takes our events: what it refused before is refused."""
        self._is_proven = True
        self._in_a_row.clear()
        return self._take_kept()

    def refused(self, refusal: Settlement) -> list[Settlement]:
        """What is to be recorded now that this event was refused."""
        if self._is_proven and refusal.http_status not in REFUSALS_OF_THE_ADDRESS:
            return [refusal]
        self._kept.append(refusal)
        self._suspect(f"HTTP {refusal.http_status}")
        return []

    def strange(self, answer: Answer) -> None:
        """Something answered that is not the API, or not in its words."""
        self._suspect(f"HTTP {answer.status}{' without our event' if answer.status and answer.status < 300 else ''}")

    def end(self, *, is_empty: bool) -> list[Settlement]:
        """What becomes of the refusals that are kept back.

        :param is_empty: whether all that was due was tried: then a few refusals are the rows' own.
        """
        few = is_empty and self.verdict is None
        return [
            refusal
            if few and (self._is_proven or refusal.http_status not in REFUSALS_OF_THE_ADDRESS)
            else refusal._replace(state=State.READY, reason=None)
            for refusal in self._take_kept()
        ]

    def _suspect(self, what: str) -> None:
        self._in_a_row[what] += 1
        if self.verdict is None and self._in_a_row.total() >= IN_A_ROW:
            answers = ", ".join(f"{answer} ({times})" for answer, times in self._in_a_row.most_common())
            self.verdict = Stopped(
                f"None of the last {IN_A_ROW} events was accepted: {answers}. Check host and customer ID of connection "
                f"{self._destination}, the goals, and the proxy if there is one; what was refused stays ready."
            )

    def _take_kept(self) -> list[Settlement]:
        kept, self._kept = self._kept, []
        return kept
