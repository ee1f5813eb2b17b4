"""A preview of one source: how many conversions would end how, examples for each reason, and the first payloads.

A dry run shows it on the page, and the command ``preview`` on a terminal. It names conversions by their ID alone: no identity
key, and of a user ID the first characters.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, Self

from webflow_conversions.pipeline.reconciliation import BESIDE, state_counts, tally_counts
from webflow_conversions.rules.amounts import Amount, Tally
from webflow_conversions.rules.credit import explain_attribution
from webflow_conversions.rules.event import Event, shortened
from webflow_conversions.rules.states import State, explain_standing

EXAMPLES = 5
"""Examples of each reason."""
PAYLOADS = 5
"""Payloads of a source, those that expire first."""

ORDER = (
    State.READY,
    State.HELD,
    State.FUTURE,
    State.REJECTED,
    State.EXPIRED,
    State.WITHDRAWN,
    State.SENDING,
    State.ACCEPTED,
)
"""The order in which people read how conversions would end."""


class Foreseen(NamedTuple):
    """A conversion of a preview: what became of it, and the user and the verdict that it has.

    ``visit`` is the crediting visit with its moments and readings as JSON, see ``pipeline/attribution.py``.
    """

    action_id: str
    conversion_id: str | None
    event_name: str | None
    action_timestamp_ms: int | None
    value: Decimal | None
    identity_key: str | None
    user_domain: str | None
    user_id: str | None
    state: str
    reason: str | None
    detail: str | None
    attribution: str | None
    attribution_reason: str | None
    visit: str | None
    minutes_from_activity: int | None

    @property
    def event(self) -> Event | None:
        """The event that would be sent; None if none would."""
        if self.state != State.READY:
            return None
        if self.event_name is None or self.user_domain is None or self.user_id is None or self.action_timestamp_ms is None:
            return None
        return Event(
            event_name=self.event_name,
            user_domain=self.user_domain,
            user_id=self.user_id,
            action_id=self.action_id,
            action_timestamp_ms=self.action_timestamp_ms,
            value=self.value,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One conversion. ``detail`` says what is wrong with its row, or how Webflow refused it; None if nothing is."""

    conversion_id: str | None
    event_name: str | None = None
    action_timestamp_ms: int | None = None
    value: Decimal | None = None
    detail: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For a record; money as text, exactly."""
        return {
            "conversion_id": self.conversion_id,
            "event_name": self.event_name,
            "action_timestamp_ms": self.action_timestamp_ms,
            "value": None if self.value is None else str(self.value),
            "detail": self.detail,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Out of a record."""
        value = document["value"]
        return cls(**{**document, "value": None if value is None else Decimal(value)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The conversions that would have the same state and reason before the push. ``ready`` is what would be sent.

    ``unseen`` are those of the ``amount`` that wait in the ledger, and that the source did not return.
    """

    state: str
    reason: str | None
    amount: Amount
    unseen: Amount = field(default_factory=Amount)
    examples: Sequence[Example] = ()

    @property
    def meaning(self) -> str:
        """The reason, else the state, in one sentence."""
        return explain_standing(self.state, self.reason)[0]

    @property
    def remedy(self) -> str:
        """What to do about the reason; empty without one."""
        return explain_standing(self.state, self.reason)[1]

    def to_json(self) -> dict[str, Any]:
        """For a record."""
        return {
            "state": self.state,
            "reason": self.reason,
            "amount": self.amount.to_json(),
            "unseen": self.unseen.to_json(),
            "examples": [example.to_json() for example in self.examples],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Out of a record."""
        return cls(
            state=document["state"],
            reason=document["reason"],
            amount=Amount.from_json(document["amount"]),
            unseen=Amount.from_json(document["unseen"]),
            examples=[Example.from_json(example) for example in document["examples"]],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Credited:
    """The conversions to send with the same verdict: will Webflow credit them, and why not. No verdict: not judged."""

    attribution: str | None
    reason: str | None
    amount: Amount
    examples: Sequence[Example] = ()

    @property
    def meaning(self) -> str:
        """The verdict in one sentence."""
        return explain_attribution(self.attribution, self.reason)[0] if self.attribution else "The visits could not be read."

    @property
    def remedy(self) -> str:
        """What to do about it; empty if nothing."""
        return explain_attribution(self.attribution, self.reason)[1] if self.attribution else ""

    def to_json(self) -> dict[str, Any]:
        """For a record."""
        return {
            "attribution": self.attribution,
            "reason": self.reason,
            "amount": self.amount.to_json(),
            "examples": [example.to_json() for example in self.examples],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Out of a record."""
        return cls(
            attribution=document["attribution"],
            reason=document["reason"],
            amount=Amount.from_json(document["amount"]),
            examples=[Example.from_json(example) for example in document["examples"]],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The preview of one source as of ``at``.

    ``outcomes`` without their ``unseen`` part, and the rows of the ``tally`` that are not recorded, add up to the rows read.
    ``credited`` are the verdicts on what would be sent; empty where the configuration has no visits. ``payloads`` are the first
    events to be sent, user IDs shortened. ``hints`` are sentences, without a full stop, about what looks wrong.
    """

    source: str
    at: datetime
    tally: Tally
    outcomes: Sequence[Outcome] = ()
    credited: Sequence[Credited] = ()
    payloads: Sequence[Mapping[str, Any]] = ()
    hints: Sequence[str] = ()

    @property
    def states(self) -> dict[tuple[str, str | None], Amount]:
        """The amounts by state and reason."""
        return {(outcome.state, outcome.reason): outcome.amount for outcome in self.outcomes}

    @property
    def to_send(self) -> Amount:
        """Conversions that would be sent."""
        return self.states.get((State.READY, None), Amount())

    @property
    def unseen(self) -> Amount:
        """Conversions of the outcomes that wait in the ledger, and that the source did not return."""
        return sum((outcome.unseen for outcome in self.outcomes), Amount())

    def counts(self) -> dict[str, Any]:
        """The counts of the rows read and of the outcomes, for the run's record."""
        return {**tally_counts(self.tally), "states": state_counts(self.states), "unseen": self.unseen.to_json()}

    def to_json(self) -> dict[str, Any]:
        """For a record; money as text, exactly."""
        return {
            "source": self.source,
            "at": self.at.isoformat(),
            "tally": tally_counts(self.tally),
            "outcomes": [outcome.to_json() for outcome in self.outcomes],
            "credited": [one.to_json() for one in self.credited],
            "payloads": [dict(payload) for payload in self.payloads],
            "hints": list(self.hints),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Out of a record."""
        return cls(
            source=document["source"],
            at=datetime.fromisoformat(document["at"]),
            tally=Tally(**{name: Amount.from_json(amount) for name, amount in document["tally"].items()}),
            outcomes=[Outcome.from_json(outcome) for outcome in document["outcomes"]],
            credited=[Credited.from_json(one) for one in document["credited"]],
            payloads=document["payloads"],
            hints=document["hints"],
        )

    def __str__(self) -> str:
        """For a log: a line for each outcome, verdict and hint."""
        lines = [f"{self.source}: {self.tally.read.rows:,} rows read, {self.to_send} would be sent"]
        for outcome in self.outcomes:
            lines.append(_line(outcome.state, outcome.reason, outcome.amount, outcome.examples))
        for name in BESIDE:
            amount = getattr(self.tally, name)
            if amount.rows:
                lines.append(_line("no conversion", name, amount))
        lines += [_line(one.attribution or "not judged", one.reason, one.amount, one.examples) for one in self.credited]
        if self.unseen.rows:
            lines.append(f"  {self.unseen} of them wait from earlier runs, and {self.source} did not return them this time.")
        return "\n".join([*lines, *(f"  {hint}." for hint in self.hints)])


def payload(event: Event, customer_id: str) -> dict[str, Any]:
    """The payload of an event for people, its user ID shortened."""
    document: dict[str, Any] = json.loads(event.body(customer_id))
    return document | {"userId": shortened(event.user_id)}


def _line(name: str, reason: str | None, amount: Amount, examples: Sequence[Example] = ()) -> str:
    names = ", ".join(example.conversion_id for example in examples if example.conversion_id is not None)
    line = f"  {name:<15} {reason or '':<30} {amount.rows:>10,} {amount.value:>18,.2f}"
    return f"{line}  such as {names}" if names and reason else line
