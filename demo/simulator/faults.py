"""The faults in force, and what they do to a request.

They concern POSTs to ``/event`` that carry the token. The rules are tried in their order: delays add up,
``close_after_answer`` joins any other fault, and the first other rule that hits decides the answer and ends the search.
A body that is no event meets only rules that name no event; it is never stored, and is answered 400 where the fault's
answer would be an echo.
"""

import random
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from demo.simulator.event import Event
from demo.simulator.rule import (
    CloseAfterAnswer,
    Delay,
    DropAfter,
    DropBefore,
    DropInBody,
    Ending,
    Fault,
    Redirect,
    Rule,
    Stall,
    StallInBody,
    Status,
)


class Configuration(BaseModel):
    """The rules, and the seed of their random numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    rules: list[Fault] = []
    seed: int = 0


class FaultyConfiguration(Exception):
    """The configuration of faults is invalid; the message names the field, the rule and the reason."""


class Verdict(NamedTuple):
    """What the faults do to a request. ``store`` applies to well-formed events only; ``name`` is for people."""

    delay_seconds: float = 0.0
    ending: Ending | None = None
    close: bool = False
    store: bool = True
    name: str | None = None

    @property
    def answer_status(self) -> int | None:
        """The status of the answer to a well-formed event; None for no complete answer."""
        match self.ending:
            case Status(status=status) | Redirect(status=status):
                return status
            case DropBefore() | DropAfter() | DropInBody() | Stall() | StallInBody():
                return None
            case _:
                return 200


UNTOUCHED = Verdict()


class Faults:
    """The faults in force. Each rule has its own random numbers: equal rules, seed and requests give equal verdicts."""

    def __init__(self, configuration: bytes = b"[]") -> None:
        """:raises FaultyConfiguration: the text is not the JSON of a :class:`Configuration` or of a list of rules."""
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
        """The verdict on the next request; None stands for a body that is no event."""
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
        """The seed, and the rules as they were given, each with its number of hits."""
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
