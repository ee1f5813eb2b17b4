"""The hook for Webflow's off-site conversions API, and the form of its connection."""

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

from airflow.sdk import BaseHook

from webflow_conversions.delivery.answers import Answer, Trouble, who_answered
from webflow_conversions.delivery.outcomes import Outcome, classify, token_refused, why_stopped
from webflow_conversions.errors import ConversionsError, InDoubt, Stopped, Unavailable, Unusable
from webflow_conversions.hooks.connections import connection_named, of_this_connection
from webflow_conversions.rules.event import Event, is_event_name
from webflow_conversions.rules.personal_data import has_email, looks_like_personal_data
from webflow_conversions.rules.window import sendable, to_milliseconds
from webflow_conversions.transport.api import Api
from webflow_conversions.transport.caller import Caller

_MOST_CLOCK_OFFSET = timedelta(days=1)
"""Greatest believed difference between the clocks; larger than the error of a time zone taken for UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The API's answer to an empty request; ``clock_offset`` is its clock minus ours, as far as it is certain."""

    status: int
    clock_offset: timedelta | None


class WebflowHook(BaseHook):
    """Sends off-site conversions to Webflow, and says whether a connection could.

    For bulk, use :class:`~webflow_conversions.operators.push.WebflowPushConversionsOperator`.

    :param webflow_conn_id: a connection of type ``webflow``.
    """

    conn_name_attr = "webflow_conn_id"
    default_conn_name = "webflow_default"
    conn_type = "webflow"
    hook_name = "Webflow off-site conversions"

    def __init__(self, webflow_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.webflow_conn_id = webflow_conn_id

    def get_conn(self) -> Api:
        """The destination.

        :raises Unusable: if there is no such connection, or something in it is missing or wrong.
        """
        connection = connection_named(self.webflow_conn_id)
        return Api.parse(
            self.webflow_conn_id,
            host=connection.host,
            port=connection.port,
            schema=connection.schema,
            login=connection.login,
            password=connection.password,
            extra=connection.extra_dejson,
        )

    def send_event(
        self,
        *,
        event_name: str,
        user_domain: str,
        user_id: str,
        action_id: str,
        action_timestamp: datetime,
        value: Decimal | float | str | None = None,
    ) -> None:
        """Send one conversion, once: for Dags of one's own.

        :param action_timestamp: when it happened; aware, not in the future, at most 48 hours ago.
        :raises Unusable: if Webflow would not count it, or refused it.
        :raises Stopped: if the token is refused.
        :raises Unavailable: if it was not received; it may be sent again.
        :raises InDoubt: if it may have been received.
        """
        api = self.get_conn()
        event = _checked_event(event_name, user_domain, user_id, action_id, action_timestamp, value)
        body = event.body(api.customer_id)
        answer = _call(api, "POST", body)
        trouble = answer.detail or f"HTTP {answer.status}"
        who = who_answered(answer, (api.token, user_id))
        match classify(body, answer):
            case Outcome.ACCEPTED:
                self.log.info("event %s was received", action_id)
            case Outcome.REFUSED:
                raise Unusable(f"Webflow refuses event {action_id} ({trouble}): compare it with the API's contract.")
            case Outcome.MISROUTED:
                raise Unusable(
                    f"{api.url} answers event {action_id} as no API would ({who}): correct the host of connection "
                    f"{self.webflow_conn_id}, or the proxy on the way."
                )
            case Outcome.STOP if answer.is_foreign:
                raise why_stopped(answer, self.webflow_conn_id, api.token)
            case Outcome.STOP if answer.trouble is Trouble.UNTRUSTED:
                raise _untrusted(api, answer)
            case Outcome.STOP:
                raise Stopped(token_refused(answer.status, self.webflow_conn_id, api.token))
            case Outcome.UNSENT | Outcome.WITHHELD:
                raise Unavailable(f"Webflow did not take event {action_id} now ({trouble}): send it again later.")
            case Outcome.MISMATCHED | Outcome.UNPROVEN:
                raise InDoubt(
                    f"Event {action_id} may have been received, but the answer is not Webflow's ({who}). Sending it again may "
                    f"count it twice; check the host of connection {self.webflow_conn_id}, and the proxy on the way."
                )
            case Outcome.LATER | Outcome.IN_DOUBT:
                raise InDoubt(f"Event {action_id} may have been received ({trouble}): sending it again may count it twice.")

    def probe(self) -> Probe:
        """Ask the API for nothing (HEAD): its status, and how its clock stands.

        :raises Unusable: if the connection cannot work.
        :raises Stopped: if the host cannot prove who it is.
        :raises Unavailable: if nobody answers.
        """
        api = self.get_conn()
        sent_at = datetime.now(UTC)
        answer = _call(api, "HEAD")
        if answer.trouble is Trouble.UNTRUSTED:
            raise _untrusted(api, answer)
        if answer.status is None or answer.trouble is Trouble.LOST:
            raise Unavailable(f"The API of connection {self.webflow_conn_id} does not answer: {answer.detail}.")
        return Probe(
            status=answer.status,
            clock_offset=_clock_offset(answer.header(b"date"), sent_at, datetime.now(UTC)),
        )

    def check_token(self) -> None:
        """Send an event that lacks all but the customer ID, and so can count for nobody.

        :raises Stopped: if the API refuses the token, or another server answers in its place that nothing may pass.
        """
        api = self.get_conn()
        answer = _call(api, "POST", Event.incomplete(api.customer_id))
        if answer.status in (401, 403):
            if answer.is_foreign:
                raise why_stopped(answer, self.webflow_conn_id, api.token)
            raise Stopped(token_refused(answer.status, self.webflow_conn_id, api.token))

    def test_connection(self) -> tuple[bool, str]:
        """Whether conversions could be sent, in words, without sending one.

        There is no documented ping. An event that lacks all but the customer ID cannot be attributed to anybody, and
        an API that looks at the token first tells whether it knows it.
        """
        try:
            api = self.get_conn()
        except ConversionsError as error:
            return False, of_this_connection(str(error), self.webflow_conn_id)
        answer = _call(api, "POST", Event.incomplete(api.customer_id))
        if answer.trouble is Trouble.UNTRUSTED:
            return False, f"{api.url} cannot prove who it is: {answer.detail}."
        if answer.status is None:
            return False, f"{api.url} does not answer: {answer.detail}."
        is_well, words = _verdict(api, answer.status, answer, self.webflow_conn_id)
        return is_well, of_this_connection(words, self.webflow_conn_id)


def _untrusted(api: Api, answer: Answer) -> Stopped:
    return Stopped(f"{api.url} cannot prove who it is ({answer.detail}): nothing is sent to it.")


def _verdict(api: Api, status: int, answer: Answer, connection: str) -> tuple[bool, str]:
    """In words whose beginning says it: the browser shows those of a success for two seconds."""
    is_success = 200 <= status < 300 and answer.json_object() is None
    if is_success or (answer.is_foreign and status in (400, 401, 403, 422)):
        return False, (
            f"{api.url} is not answered by Webflow's API: {who_answered(answer, (api.token,))}. Check the API host, and the "
            "proxy on the way."
        )
    match status:
        case 401 | 403:
            return False, token_refused(status, connection, api.token)
        case 400 | 422:
            return True, (
                f"The token is not refused. {api.url} refused an incomplete event (HTTP {status}), as it should; no conversion "
                "was sent. Not proved: that the customer ID is yours, and that goals and users exist."
            )
        case _ if 200 <= status < 300:
            return True, (
                f"The token is not refused. {api.url} took an incomplete event, which can count for nobody. "
                "Not proved: that it looks at the token, that the customer ID is yours, and that goals and users exist."
            )
        case 429:
            return True, f"The token was not tried. {api.url} asks for fewer requests at this moment (HTTP 429)."
        case _ if status >= 500:
            return False, f"{api.url} answers with a failure of its own (HTTP {status}): try again later."
        case _:
            return False, f"{api.url} answers with HTTP {status}, which the conversions API does not: check the API host."


def _checked_event(
    event_name: str,
    user_domain: str,
    user_id: str,
    action_id: str,
    action_timestamp: datetime,
    value: Decimal | float | str | None,
) -> Event:
    from webflow_conversions.rules.money import parse_value  # which needs pandas, and a push does not

    now = datetime.now(UTC)
    if action_timestamp.tzinfo is None:
        raise Unusable("action_timestamp has no time zone: give an aware datetime.")
    milliseconds = to_milliseconds(action_timestamp)
    if milliseconds not in sendable(now):
        raise Unusable(
            f"action_timestamp {action_timestamp} is older than 2 days or in the future: Webflow ignores such conversions."
        )
    if not is_event_name(event_name):
        raise Unusable(f"event_name {event_name!r} is not 1 to 40 printable ASCII characters without a space.")
    if not (user_domain and user_id and action_id):
        raise Unusable("user_domain, user_id and action_id must not be empty.")
    if has_email(user_domain) or has_email(action_id):
        raise Unusable("user_domain or action_id holds an e-mail address, which Webflow forbids.")
    if looks_like_personal_data(user_id):
        raise Unusable("user_id looks like an e-mail address or a phone number, which Webflow forbids: hash it on both sides.")
    amount, reason = parse_value(value)
    if reason is not None:
        raise Unusable(f"value {value!r} is no number from 0 on ({reason}).")
    return Event(
        event_name=event_name,
        user_domain=user_domain,
        user_id=user_id,
        action_id=action_id,
        action_timestamp_ms=milliseconds,
        value=amount,
    )


def _call(api: Api, method: str, body: bytes = b"") -> Answer:
    with closing(Caller(timeout_seconds=api.timeout_seconds)) as caller:
        return caller.call(method, api.url, api.headers, body)


def _clock_offset(date: str | None, sent_at: datetime, received_at: datetime) -> timedelta | None:
    """The API's clock minus ours, as far as a header of whole seconds can prove one; zero if both may be right.

    None for a header that is absurd: that is no date, or more than a day away.
    """
    try:
        theirs = parsedate_to_datetime(date or "")
    except (ValueError, TypeError, OverflowError):
        return None
    if theirs.tzinfo is None:
        return None
    least, most = theirs - received_at, theirs - sent_at + timedelta(seconds=1)
    offset = least if least > timedelta() else min(most, timedelta())
    return offset if abs(offset) <= _MOST_CLOCK_OFFSET else None
