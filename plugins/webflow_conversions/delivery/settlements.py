"""From the outcome of a request to what the ledger records."""

import json
from collections.abc import Callable

from webflow_conversions.delivery.outcomes import Answer, Outcome
from webflow_conversions.delivery.pacing import backoff_seconds
from webflow_conversions.delivery.protocols import Claimed, Settlement
from webflow_conversions.rules.states import Reason, State, refused


def settlement(
    conversion: Claimed, outcome: Outcome, answer: Answer, *, sent_at: float, resend: bool, chance: Callable[[], float]
) -> Settlement:
    """What to record of an attempt.

    :param resend: whether a conversion in doubt is sent again, or waits for a person.
    """
    if outcome is Outcome.ACCEPTED:
        return Settlement(id=conversion.id, state=State.ACCEPTED, http_status=answer.status, attempts=1, sent_at=sent_at)
    status, left = answer.status, answer.trouble is None or not answer.trouble.is_before_the_request
    state, reason, trouble = State.READY, None, answer.detail or (f"HTTP {status}" if status else None)
    doubts = failures = 0
    retry_seconds = None
    match outcome:
        case Outcome.REFUSED if status is not None:
            state, reason, trouble = State.REJECTED, refused(status), _excerpt(answer.body, conversion.event.user_id) or trouble
        case Outcome.MISMATCHED:
            state, reason = State.REJECTED, Reason.ECHO_MISMATCH.value
        case Outcome.MISROUTED:
            failures, retry_seconds = 1, backoff_seconds(conversion.failures + 1, chance)
        case Outcome.LATER:
            # The others first: it may be this event alone that the API does not take.
            retry_seconds = backoff_seconds(conversion.attempts + 1, chance)
        case Outcome.IN_DOUBT:
            doubts = failures = 1
            if resend:
                retry_seconds = backoff_seconds(conversion.failures + 1, chance)
            else:
                state, reason = State.SENDING, Reason.IN_DOUBT.value
    return Settlement(
        id=conversion.id,
        state=state,
        reason=reason,
        trouble=trouble,
        http_status=status,
        attempts=int(left),
        doubts=doubts,
        failures=failures,
        retry_seconds=retry_seconds,
        sent_at=sent_at if left else None,
    )


def _excerpt(body: bytes, user_id: str) -> str | None:
    """The beginning of what the API said, for people; None if it repeats the user ID."""
    text = body.decode("utf-8", "replace").replace("\x00", "\ufffd")
    as_json = (json.dumps(user_id, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False))
    if any(told in text for told in ("userId", user_id, *as_json)):
        return None
    return text[:200].strip() or None
