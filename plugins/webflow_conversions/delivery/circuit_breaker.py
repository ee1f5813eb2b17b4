"""The circuit breaker: are the rows wrong, or the address that they were sent to?"""

from collections import Counter
from collections.abc import Iterable
from enum import Enum, auto

from webflow_conversions.delivery.answers import Answer, with_status
from webflow_conversions.delivery.outcomes import Evidence
from webflow_conversions.delivery.protocols import Settlement
from webflow_conversions.errors import Stopped
from webflow_conversions.rules.states import State

TRIP_AFTER = 20
"""Refusals in a row that trip the breaker: the address may be wrong, not the rows."""
STOP_AFTER = 3
"""Answers in a row that are not the API's and stop the push, before anything was accepted; at any time, if they speak of the
event: each costs a row."""
REFUSALS_OF_THE_ADDRESS = frozenset({402, 404, 410, 451})
"""Statuses that concern the event only where the same address accepts others: nothing is there, the account has to pay, a law or
a filter is against it."""


class Stage(Enum):
    """The stages of the breaker. Unless it is closed, only probe rows are sent."""

    CLOSED = auto()
    OPEN = auto()
    """It tripped: probe rows are to be claimed, as soon as no request is out."""
    HALF_OPEN = auto()
    """Probe rows are out."""
    UNDECIDED = auto()
    """Probe rows were refused, or there are none: unless another push had events accepted, the address is wrong."""


class CircuitBreaker:
    """Keeps back refusals that may concern every event, until an event is accepted.

    Before an event was accepted every refusal is suspicious; afterwards only those of the address. An answer that is
    not the API's is suspicious at any time.

    Rows that expire first are sent first, and rows that expire together may well be wrong together. So after a streak of
    refusals the breaker trips, and probe rows are sent, as unlike the refused ones as possible: only if they are refused,
    too, the address is wrong.

    :param destination: the connection, for the sentence.
    """

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self._is_proven = False
        self._kept: list[Settlement] = []
        self._in_a_row: Counter[str] = Counter()
        self._probes: set[int] = set()
        self._strange_in_a_row = 0
        self._stop_after = STOP_AFTER
        self._who_answered = ""
        self.stage = Stage.CLOSED
        self.verdict: Stopped | None = None
        """Set once the address is known to be wrong."""

    @property
    def is_misled(self) -> bool:
        """Whether answers that are not the API's ended the push."""
        return self.verdict is not None and self._strange_in_a_row > 0

    def distrust(self) -> None:
        """The last push was ended by answers that were not the API's: stop at the first one."""
        self._stop_after = 1

    @property
    def kept(self) -> list[int]:
        """The conversions whose refusals are kept back."""
        return [refusal.id for refusal in self._kept]

    @property
    def is_open(self) -> bool:
        """Whether nothing may be sent: probe rows are to be found first, or were refused."""
        return self.stage is Stage.OPEN or self.stage is Stage.UNDECIDED

    def trip(self) -> None:
        """Ask for probe rows, or for more of them."""
        self.stage = Stage.OPEN

    def probe(self, conversions: Iterable[int]) -> None:
        """Wait for the answers to these probe rows; no other request is out."""
        self._probes = set(conversions)
        self.stage = Stage.HALF_OPEN if self._probes else Stage.UNDECIDED

    def call_off(self) -> None:
        """The probe rows were given back before they were answered."""
        if self.stage is Stage.HALF_OPEN:
            self.trip()

    def judge(self, evidence: Evidence, answer: Answer, result: Settlement) -> list[Settlement]:
        """Take an answer for evidence; the outcomes to be recorded now."""
        match evidence:
            case Evidence.ACCEPTED:
                return [result, *self._accepted()]
            case Evidence.REFUSED:
                return self._refused(result)
            case Evidence.STRANGE | Evidence.REWRITTEN:
                self._strange(evidence, answer, result.trouble)
            case Evidence.NONE:
                pass
        self.put_off(result.id)
        return [result]

    def _accepted(self) -> list[Settlement]:
        """The API is there and takes our events: what it refused before is refused."""
        self._is_proven = True
        self._in_a_row.clear()
        self._strange_in_a_row = 0
        self.stage = Stage.CLOSED
        kept, self._kept = self._kept, []
        return kept

    def accepted_elsewhere(self) -> list[Settlement]:
        """Another push of the run had events accepted, at whatever time; the outcomes to be recorded.

        Refusals of the address stay suspicious: it may have gone away since.
        """
        self._is_proven = True
        own = [refusal for refusal in self._kept if not _is_of_the_address(refusal)]
        self._kept = [refusal for refusal in self._kept if _is_of_the_address(refusal)]
        if not self._kept:
            self._in_a_row.clear()
            self.stage = Stage.CLOSED
        return own

    def _refused(self, refusal: Settlement) -> list[Settlement]:
        if self._is_proven and not _is_of_the_address(refusal):
            self.put_off(refusal.id)
            return [refusal]
        self._kept.append(refusal)
        self._in_a_row[f"HTTP {refusal.http_status}"] += 1
        if self.stage is Stage.HALF_OPEN:
            self._probes.discard(refusal.id)
            if not self._probes:
                self.stage = Stage.UNDECIDED
        elif self.stage is Stage.CLOSED and self._in_a_row.total() >= TRIP_AFTER:
            self.trip()
        return []

    def _strange(self, evidence: Evidence, answer: Answer, who_answered: str | None) -> None:
        """A server answered that is not the API."""
        self._in_a_row[f"HTTP {answer.status}{' without our event' if answer.status and answer.status < 300 else ''}"] += 1
        self._strange_in_a_row += 1
        self._who_answered = who_answered or ""
        is_lenient = self._is_proven and evidence is Evidence.STRANGE
        if self._strange_in_a_row >= (TRIP_AFTER if is_lenient else self._stop_after) or self._in_a_row.total() >= TRIP_AFTER:
            self.decide()

    def put_off(self, conversion: int) -> None:
        """The answer to this row says nothing about the address; after the last probe row, more are needed."""
        if self.stage is Stage.HALF_OPEN:
            self._probes.discard(conversion)
            if not self._probes:
                self.trip()

    def end(self, *, is_empty: bool) -> list[Settlement]:
        """The outcomes of the refusals that are kept back.

        :param is_empty: whether all due rows were tried: then a few refusals are the rows' own.
        """
        few = is_empty and self.verdict is None
        kept, self._kept = self._kept, []
        return [
            refusal
            if few and (self._is_proven or not _is_of_the_address(refusal))
            else refusal._replace(state=State.READY, reason=None, trouble=with_status(refusal.http_status, refusal.trouble))
            for refusal in kept
        ]

    def decide(self) -> Stopped:
        """The address is wrong: no probe row was accepted, or there is none; the verdict."""
        if self.verdict is None:
            answers = ", ".join(f"{answer} ({times})" for answer, times in self._in_a_row.most_common())
            none = f"None of the last {self._in_a_row.total()} events was accepted: {answers}."
            self.verdict = Stopped(
                f"{none} It was not Webflow's API that answered: {self._who_answered}. Check the host of connection "
                f"{self._destination} and the proxy on the way; what is not marked echo_mismatch stays ready."
                if self._strange_in_a_row
                else f"{none} Check host and customer ID of connection {self._destination}, the goals, and the proxy if there is "
                "one; what was refused stays ready."
            )
        return self.verdict


def _is_of_the_address(refusal: Settlement) -> bool:
    return refusal.http_status in REFUSALS_OF_THE_ADDRESS
