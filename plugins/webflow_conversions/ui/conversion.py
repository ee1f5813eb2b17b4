"""A conversion as people see it: its state in words, its way with times, its payload."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from webflow_conversions.ledger.push import as_event
from webflow_conversions.ledger.search import Conversion, Happening
from webflow_conversions.rules.event import shortened
from webflow_conversions.rules.states import WAITING, State
from webflow_conversions.rules.window import MAX_AGE, from_milliseconds, next_import
from webflow_conversions.ui.funnel import explained


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A conversion for people. ``user_id`` is shortened for those who may not act.

    ``happened_at`` is its moment, ``counts_until`` the last one at which it may go out; both are None without a timestamp.
    ``meaning`` and ``remedy`` explain its state and reason.
    """

    id: int
    destination: str
    source: str
    event_name: str | None
    conversion_id: str | None
    action_id: str
    happened_at: datetime | None
    counts_until: datetime | None
    value: Decimal | None
    user_domain: str | None
    user_id: str | None
    state: State
    is_in_doubt: bool
    reason: str | None
    meaning: str
    remedy: str
    detail: str | None
    attempts: int
    attempts_in_doubt: int
    http_status: int | None
    trouble: str | None
    first_seen_at: datetime
    sent_at: datetime | None
    settled_at: datetime | None
    changed_after_sent_at: datetime | None
    run_id: str

    @property
    def still_waits(self) -> bool:
        """Whether it may still go out."""
        return self.state in WAITING or self.state == State.SENDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something on the way of a conversion; ``is_ahead`` if it is still to come."""

    at: datetime
    what: str
    detail: str = ""
    run_id: str | None = None
    is_ahead: bool = False


def shown(conversion: Conversion, *, in_clear: bool) -> Shown:
    """A conversion for somebody; its user ID in clear for those who may act."""
    meaning, remedy = _explained(conversion)
    return Shown(
        id=conversion.id,
        destination=conversion.destination,
        source=conversion.source,
        event_name=conversion.event_name,
        conversion_id=conversion.conversion_id,
        action_id=conversion.action_id,
        happened_at=_moment(conversion.action_timestamp_ms),
        counts_until=_moment(conversion.action_timestamp_ms, later_by=MAX_AGE),
        value=conversion.value,
        user_domain=conversion.user_domain,
        user_id=conversion.user_id if in_clear or conversion.user_id is None else shortened(conversion.user_id),
        state=conversion.state,
        is_in_doubt=conversion.is_in_doubt,
        reason=conversion.reason,
        meaning=meaning,
        remedy=remedy,
        detail=conversion.detail,
        attempts=conversion.attempts,
        attempts_in_doubt=conversion.attempts_in_doubt,
        http_status=conversion.http_status,
        trouble=conversion.trouble,
        first_seen_at=conversion.first_seen_at,
        sent_at=conversion.sent_at,
        settled_at=conversion.settled_at,
        changed_after_sent_at=conversion.changed_after_sent_at,
        run_id=conversion.run_id,
    )


def payload(conversion: Conversion, customer_id: str, *, in_clear: bool) -> dict[str, Any] | None:
    """The event as it went out, or would: from the row, by the same rules; None if the row cannot be one."""
    if not (conversion.event_name and conversion.user_domain and conversion.user_id and conversion.conversion_id):
        return None
    if conversion.action_timestamp_ms is None:
        return None
    event = as_event(conversion)
    if not in_clear:
        event = event._replace(user_id=shortened(event.user_id))
    document: dict[str, Any] = json.loads(event.body(customer_id))
    return document


def way(conversion: Shown, history: Sequence[Happening], now: datetime) -> list[Step]:
    """What happened to a conversion, in the order of time, and what is ahead of it."""
    steps = [Step(at=conversion.first_seen_at, what=f"First read from {conversion.source}.")]
    if conversion.happened_at:
        steps.append(Step(at=conversion.happened_at, what="It happened."))
    steps += [_step(one) for one in history if one.what != "read" or one.at > conversion.first_seen_at]
    if conversion.sent_at:
        what = f"Request {conversion.attempts} left." if conversion.attempts > 1 else "The request left."
        steps.append(Step(at=conversion.sent_at, what=what))
    if conversion.settled_at:
        steps.append(Step(at=conversion.settled_at, what=_end(conversion), detail=conversion.meaning, run_id=conversion.run_id))
    if conversion.state == State.ACCEPTED and conversion.settled_at:
        import_at = next_import(conversion.settled_at)
        steps.append(Step(at=import_at, what="Webflow imports it.", is_ahead=import_at > now))
    if conversion.still_waits and conversion.counts_until and conversion.counts_until > now:
        steps.append(Step(at=conversion.counts_until, what="It is 2 days old, and counts no longer.", is_ahead=True))
    return sorted(steps, key=lambda step: step.at)


def _moment(milliseconds: int | None, *, later_by: timedelta = timedelta()) -> datetime | None:
    """A moment of the ledger; None for none, and for one that no calendar holds."""
    if milliseconds is None:
        return None
    try:
        return from_milliseconds(milliseconds) + later_by
    except OverflowError:
        return None


def _explained(conversion: Conversion) -> tuple[str, str]:
    if conversion.state == State.ACCEPTED:
        return "Webflow received it. Whether it is attributed shows in Webflow after the next import.", ""
    if conversion.state == State.READY and conversion.is_in_doubt:
        return (
            "A request for it left, and its answer was lost; it is to be sent again.",
            "Nothing; or write it off, if it must not be received twice.",
        )
    if conversion.state == State.SENDING and conversion.is_in_doubt:
        return "A request for it left, and its answer was lost.", "Send it again, or write it off."
    return explained(conversion.state, conversion.reason or "")


def _step(happening: Happening) -> Step:
    detail = happening.detail or ""
    match happening.what:
        case "read":
            what, detail = "Read again.", ""
        case "in_doubt":
            what = "A request left, and its answer was lost."
        case "attempt_failed":
            what = f"An attempt failed with HTTP {happening.http_status}." if happening.http_status else "An attempt failed."
        case "changed_after_sent":
            what = "The source changed it after it was sent; Webflow keeps what it got."
        case "send_again":
            what, detail = f"{happening.person} asked for it to be sent again.", f"It was {detail}." if detail else ""
        case "write_off":
            what, detail = f"{happening.person} wrote it off.", f"It was {detail}." if detail else ""
        case other:
            what = other
    return Step(at=happening.at, what=what, detail=detail, run_id=happening.run_id)


def _end(conversion: Shown) -> str:
    answer = f" (HTTP {conversion.http_status})" if conversion.http_status else ""
    match conversion.state:
        case State.ACCEPTED:
            return f"Accepted{answer}."
        case State.REJECTED:
            return f"Rejected: {conversion.reason}."
        case _:
            return f"Expired: {conversion.reason}."
