"""From the outcome of a request to what the ledger records."""

import json
import re
from collections.abc import Callable, Iterable
from html import unescape
from urllib.parse import unquote, unquote_plus

from webflow_conversions.delivery.concurrency import backoff_seconds
from webflow_conversions.delivery.outcomes import Answer, Outcome
from webflow_conversions.delivery.protocols import Claimed, Settlement
from webflow_conversions.rules.states import Reason, State, refused

_JSON_ESCAPES = re.compile(r'(?:\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt]))+')


def settlement(
    conversion: Claimed,
    outcome: Outcome,
    answer: Answer,
    *,
    sent_at: float,
    resend: bool,
    token: str,
    chance: Callable[[], float],
) -> Settlement:
    """What to record of an attempt.

    :param resend: whether a conversion in doubt is sent again, or waits for a person.
    :param token: what must not be recorded, should the other side repeat it.
    """
    if outcome is Outcome.ACCEPTED:
        return Settlement(id=conversion.id, state=State.ACCEPTED, http_status=answer.status, attempts=1, sent_at=sent_at)
    status, left = answer.status, answer.trouble is None or not answer.trouble.is_before_the_request
    state, reason, trouble = State.READY, None, answer.detail or (f"HTTP {status}" if status else None)
    doubts = failures = 0
    retry_seconds = None
    match outcome:
        case Outcome.REFUSED if status is not None:
            said = _excerpt(answer.body, (token, conversion.event.user_id))
            state, reason, trouble = State.REJECTED, refused(status), said or trouble
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
        case Outcome.REFUSED | Outcome.STOP | Outcome.UNSENT | Outcome.WITHHELD:
            pass  # It stays ready.
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


def _excerpt(body: bytes, secrets: Iterable[str]) -> str | None:
    """The beginning of what the API said, for people; None if it is unreadable, or repeats a secret in any writing of the web."""
    text = body.decode("utf-8", "replace").replace("\x00", "\ufffd")
    try:
        read = [one.casefold() for one in (text, unquote_plus(text), unquote(text), unescape(text), _from_json(text))]
    except ValueError:  # a number of thousands of digits
        return None
    told = ("userId", "Authorization", "ApiKey", *filter(None, secrets))
    if any(one.casefold() in each for one in told for each in read):
        return None
    return text[:200].strip() or None


def _from_json(text: str) -> str:
    """The text with JSON's escapes taken for what they mean."""
    return _JSON_ESCAPES.sub(lambda found: str(json.loads(f'"{found[0]}"')), text)
