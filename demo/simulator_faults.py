"""The faults that the simulator can be told to have.

They meet POSTs to ``/event`` that carry the token, and are tried in their order: delays add up,
``close_after_answer`` joins whatever comes, and the first of the others that hits decides the answer and ends the
search. A fault that names events meets those alone; a body that is no event meets only those that name none, is never
stored, and is answered 400 where a fault would have its echo in the answer.
"""

import random
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from demo.simulator_event import Event


class Rule(BaseModel):
    """When a fault hits: with what probability, how many times at most, and which events."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    probability: float = Field(default=1.0, ge=0, le=1)
    times: int | None = Field(default=None, ge=0)
    event_name: str | None = None
    action_id: str | None = None

    def concerns(self, event: Event | None) -> bool:
        """Whether it may meet this event; None stands for a body that is no event."""
        if self.event_name is None and self.action_id is None:
            return True
        return event is not None and self.event_name in (None, event.event_name) and self.action_id in (None, event.action_id)


Milliseconds = Annotated[float, Field(ge=0, le=3_600_000)]


class Delay(Rule):
    """The answer waits, for a fixed time or one between two; the event is stored at once."""

    action: Literal["delay"]
    milliseconds: Milliseconds | tuple[Milliseconds, Milliseconds]

    def seconds(self, dice: random.Random) -> float:
        if isinstance(self.milliseconds, tuple):
            return dice.uniform(*self.milliseconds) / 1000
        return self.milliseconds / 1000


class CloseAfterAnswer(Rule):
    """The answer says ``Connection: close``, and the connection is closed."""

    action: Literal["close_after_answer"]


class Status(Rule):
    """An answer with this status, and ``Retry-After`` as it stands here."""

    action: Literal["status"]
    status: int = Field(ge=200, le=999)
    retry_after: str | None = Field(default=None, pattern=r"^[ -~]*$")
    body: str | None = None
    store: bool = False


class DropBefore(Rule):
    """The connection ends, by a reset if told so; the event is not stored."""

    action: Literal["drop_before"]
    reset: bool = False
    store: ClassVar[bool] = False


class DropAfter(Rule):
    """The event is stored, and then the connection ends without an answer, by a reset if told so."""

    action: Literal["drop_after"]
    reset: bool = False
    store: ClassVar[bool] = True


class DropInBody(Rule):
    """The event is stored; the connection ends after the headers and half of the body."""

    action: Literal["drop_in_body"]
    store: ClassVar[bool] = True


class Stall(Rule):
    """No answer, until the client gives up."""

    action: Literal["stall"]
    store: bool = False


class StallInBody(Rule):
    """The headers and half of the body, then nothing until the client gives up."""

    action: Literal["stall_in_body"]
    store: bool = True


class Garbage(Rule):
    """200 with a body that is no JSON."""

    action: Literal["garbage"]
    store: bool = True


class Mismatch(Rule):
    """200 with the event, one of its fields changed."""

    action: Literal["mismatch"]
    field: Literal["customerId", "eventName", "userDomain", "userId", "actionId", "actionTimestamp"] = "actionId"
    store: bool = True


class Reordered(Rule):
    """200 with the same JSON object, written in another way and with a field more: still an echo."""

    action: Literal["reordered"]
    store: ClassVar[bool] = True


class Huge(Rule):
    """200 with a body of so many bytes, of a length announced or, chunked, not."""

    action: Literal["huge"]
    size: int = Field(default=1_000_000_000, ge=0, alias="bytes")
    chunked: bool = False
    store: bool = True


class Redirect(Rule):
    """A redirect to ``/elsewhere``, where the simulator notes whether the token came along."""

    action: Literal["redirect"]
    status: Literal[301, 302, 303, 307, 308] = 302
    store: bool = False


Ending = (
    Status
    | DropBefore
    | DropAfter
    | DropInBody
    | Stall
    | StallInBody
    | Garbage
    | Mismatch
    | Reordered
    | Huge
    | Redirect
)  # fmt: skip
Fault = Annotated[Delay | CloseAfterAnswer | Ending, Field(discriminator="action")]


class Configuration(BaseModel):
    """What can be told: the rules, and the seed of their dice. A list of rules alone will do."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    rules: list[Fault] = []
    seed: int = 0


class FaultyConfiguration(Exception):
    """The faults cannot be understood; the message says which field of which rule, and why."""


class Verdict(NamedTuple):
    """What befalls a request. ``store`` holds for well-formed events alone; ``name`` is for people."""

    delay_seconds: float = 0.0
    ending: Ending | None = None
    close: bool = False
    store: bool = True
    name: str | None = None

    @property
    def answer_status(self) -> int | None:
        """The status of the answer to a well-formed event; None if no whole answer will come."""
        match self.ending:
            case Status(status=status) | Redirect(status=status):
                return status
            case DropBefore() | DropAfter() | DropInBody() | Stall() | StallInBody():
                return None
            case _:
                return 200


UNTOUCHED = Verdict()


class Faults:
    """The faults in force. The same rules, seed and requests meet the same fate; each rule has its own dice."""

    def __init__(self, configuration: bytes = b"[]") -> None:
        """:raises FaultyConfiguration: it is not the JSON of a :class:`Configuration`, or of a list of rules."""
        if configuration.lstrip().startswith(b"["):
            configuration = b'{"rules":%b}' % configuration
        try:
            parsed = Configuration.model_validate_json(configuration)
        except ValidationError as error:
            raise FaultyConfiguration(_in_words(error)) from None
        self._rules = parsed.rules
        self._seed = parsed.seed
        self._dice = [random.Random(f"{parsed.seed}/{index}") for index in range(len(parsed.rules))]
        self._hits = [0] * len(parsed.rules)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def meet(self, event: Event | None) -> Verdict:
        """The fate of the next request; None stands for a body that is no event."""
        delay_seconds, close, names = 0.0, False, list[str]()
        for index, rule in enumerate(self._rules):
            if not rule.concerns(event) or not self._hit(index, rule):
                continue
            names.append(rule.action)
            if isinstance(rule, Delay):
                delay_seconds += rule.seconds(self._dice[index])
            elif isinstance(rule, CloseAfterAnswer):
                close = True
            else:
                return Verdict(delay_seconds, rule, close, rule.store, "+".join(names))
        return Verdict(delay_seconds, None, close, True, "+".join(names) or None)

    def as_json(self) -> dict[str, Any]:
        """The seed, and the rules as they were given, each with how often it has hit."""
        rules = (rule.model_dump(mode="json", by_alias=True, exclude_unset=True) for rule in self._rules)
        return {"seed": self._seed, "rules": [{**rule, "hits": hits} for rule, hits in zip(rules, self._hits, strict=True)]}

    def _hit(self, index: int, rule: Rule) -> bool:
        if rule.times is not None and self._hits[index] >= rule.times:
            return False
        if rule.probability < 1 and self._dice[index].random() >= rule.probability:
            return False
        self._hits[index] += 1
        return True


def _in_words(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"The faults cannot be understood at {place}: {first['msg']}." if place else f"The faults: {first['msg']}."
