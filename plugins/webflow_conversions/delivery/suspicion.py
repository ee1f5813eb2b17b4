"""Whether it is the rows that are wrong, or the address that they were sent to."""

from collections import Counter
from collections.abc import Iterable

from webflow_conversions.delivery.outcomes import Answer
from webflow_conversions.delivery.protocols import Settlement
from webflow_conversions.errors import Stopped
from webflow_conversions.rules.states import State

IN_A_ROW = 20
"""So many suspicious answers with nothing accepted in between, and it may not be the rows that are wrong."""
REFUSALS_OF_THE_ADDRESS = frozenset({404, 410})
"""They concern the event only where the same address accepts others."""


class Suspicion:
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
        self._others: set[int] | None = None
        self.wants_others = False
        """Set while others are to be tried before anything else: see :meth:`try_others`."""
        self.verdict: Stopped | None = None
        """Set once it is clear that the address is wrong."""

    @property
    def kept(self) -> list[int]:
        """The conversions whose refusals are kept back."""
        return [refusal.id for refusal in self._kept]

    @property
    def is_trying_others(self) -> bool:
        """Whether others are out, and nothing else is to be sent until they are answered."""
        return self._others is not None

    def try_others(self, conversions: Iterable[int]) -> None:
        """These are the others, about to be sent."""
        self.wants_others, self._others = False, set(conversions)
        if not self._others:
            self._decide()

    def call_off(self) -> None:
        """The others were given back before they were answered."""
        if self._others is not None:
            self.wants_others, self._others = True, None

    def accepted(self) -> list[Settlement]:
        """The API is there and takes our events: what it refused before is refused."""
        self._is_proven = True
        self._in_a_row.clear()
        self.wants_others, self._others = False, None
        return self._take_kept()

    def refused(self, refusal: Settlement) -> list[Settlement]:
        """What is to be recorded now that this event was refused."""
        if self._is_proven and refusal.http_status not in REFUSALS_OF_THE_ADDRESS:
            return [refusal]
        self._kept.append(refusal)
        self._in_a_row[f"HTTP {refusal.http_status}"] += 1
        if self._others is None:
            self.wants_others = self._in_a_row.total() >= IN_A_ROW
        elif refusal.id in self._others:
            self._others.discard(refusal.id)
            if not self._others:
                self._decide()
        return []

    def strange(self, answer: Answer) -> None:
        """Something answered that is not the API, or not in its words."""
        self._in_a_row[f"HTTP {answer.status}{' without our event' if answer.status and answer.status < 300 else ''}"] += 1
        if self._in_a_row.total() >= IN_A_ROW:
            self._decide()

    def put_off(self, conversion: int) -> None:
        """This one got no answer that says anything about the address; if it was the last of the others, more are needed."""
        if self._others is not None:
            self._others.discard(conversion)
            if not self._others:
                self.call_off()

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

    def _decide(self) -> None:
        if self.verdict is None:
            answers = ", ".join(f"{answer} ({times})" for answer, times in self._in_a_row.most_common())
            self.verdict = Stopped(
                f"None of the last {self._in_a_row.total()} events was accepted: {answers}. Check host and customer ID of "
                f"connection {self._destination}, the goals, and the proxy if there is one; what was refused stays ready."
            )

    def _take_kept(self) -> list[Settlement]:
        kept, self._kept = self._kept, []
        return kept
