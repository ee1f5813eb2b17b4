"""Rules for faults: when a fault hits, and what it does.

A rule that names an event name or an action ID concerns those events alone. ``store`` says whether the event of a
disturbed request is stored.
"""

import random
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from demo.simulator.event import Event


class Rule(BaseModel):
    """Conditions of a fault: its probability, its number of hits at most, and the events that it concerns."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    probability: float = Field(default=1.0, ge=0, le=1)
    times: int | None = Field(default=None, ge=0)
    event_name: str | None = None
    action_id: str | None = None

    def concerns(self, event: Event | None) -> bool:
        """Whether the rule concerns an event; None stands for a body that is no event."""
        if self.event_name is None and self.action_id is None:
            return True
        return event is not None and self.event_name in (None, event.event_name) and self.action_id in (None, event.action_id)


Milliseconds = Annotated[float, Field(ge=0, le=3_600_000)]


class Delay(Rule):
    """The answer is delayed by a fixed time, or by a random one between two; the event is stored at once."""

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
    """An answer with this status; ``retry_after`` is sent as it is given."""

    action: Literal["status"]
    status: int = Field(ge=200, le=999)
    retry_after: str | None = Field(default=None, pattern=r"^[ -~]*$")
    body: str | None = None
    store: bool = False


class DropBefore(Rule):
    """The connection ends without an answer, with ``reset`` by a TCP reset; the event is not stored."""

    action: Literal["drop_before"]
    reset: bool = False
    store: ClassVar[bool] = False


class DropAfter(Rule):
    """The event is stored, then the connection ends without an answer, with ``reset`` by a TCP reset."""

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
    """200 with the event in other JSON, its fields reordered and one added: still an echo."""

    action: Literal["reordered"]
    store: ClassVar[bool] = True


class Huge(Rule):
    """200 with a body of ``bytes`` bytes; with ``chunked`` its length is not announced."""

    action: Literal["huge"]
    size: int = Field(default=1_000_000_000, ge=0, alias="bytes")
    chunked: bool = False
    store: bool = True


class Redirect(Rule):
    """A redirect to ``/elsewhere``, where the simulator counts requests with and without the token."""

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
