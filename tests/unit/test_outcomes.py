"""What an answer means is decided for every answer there is, and doubt is one of the decisions."""

import gzip
import json
from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webflow_conversions.delivery.answers import LONGEST_RETRY_AFTER, Answer, Trouble, retry_after_seconds, who_answered
from webflow_conversions.delivery.outcomes import TREATMENTS, Outcome, classify, settlement
from webflow_conversions.delivery.protocols import Claimed
from webflow_conversions.rules.event import Event
from webflow_conversions.rules.states import Reason, State, explain

EVENT = Event(
    event_name="sale",
    user_domain="shop",
    user_id="72349876",
    action_id="w/s/e/1",
    action_timestamp_ms=1_773_525_600_000,
    value=Decimal("149.99"),
)
SENT = EVENT.body("123456789")
NOW = datetime(2026, 3, 14, 22, tzinfo=UTC)


# Classification


def test_every_answer_has_an_outcome_and_only_a_success_with_the_echo_is_accepted():
    for status, body, trouble in product((None, *range(100, 600)), (SENT, b"", b"\xff"), (None, *Trouble)):
        outcome = classify(SENT, Answer(status=status, body=body, trouble=trouble))

        assert isinstance(outcome, Outcome), (status, body, trouble)
        is_echo = status is not None and 200 <= status < 300 and body == SENT and trouble is None
        assert (outcome is Outcome.ACCEPTED) == is_echo, (status, body, trouble)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 299])
def test_a_success_without_our_event_proves_nothing(status):
    for body in (b"", b"{}", b"OK", b"<html>", SENT[:-1]):
        assert classify(SENT, Answer(status=status, body=body)) is Outcome.UNPROVEN
    assert classify(SENT, Answer(status=status, trouble=Trouble.TOO_LARGE)) is Outcome.UNPROVEN


def test_a_success_with_our_event_under_another_action_id_is_a_mismatch():
    other = json.dumps({**json.loads(SENT), "actionId": "another"}).encode()
    assert classify(SENT, Answer(status=200, body=other)) is Outcome.MISMATCHED


@pytest.mark.parametrize("headers", [[b"HTTP/1.1 103 X\r\n", b"Server: a\r\n", b"HTTP/1.1 200 X\r\n"], [], [b"server : b"]])
def test_a_header_is_that_of_the_last_answer(headers):
    assert Answer(headers=headers).header(b"server") == ("b" if headers[-1:] == [b"server : b"] else None)


@pytest.mark.parametrize(
    "body", [b"<" * 60_000, b"<script>" * 8_000, b"<!--" * 15_000, b"&#" + b"9" * 50_000 + b";", b"\\ud800" * 9_000]
)
def test_who_answered_is_told_fast_whatever_was_said(body):
    began = perf_counter()
    assert who_answered(Answer(status=200, body=body), ("secret",)).startswith("HTTP 200")
    assert perf_counter() - began < 1.0


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refusal_of_the_event_is_for_good(status):
    assert classify(SENT, Answer(status=status)) is Outcome.REFUSED


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"<html>", []),
        (b"\xef\xbb\xbf \r\n<!DOCTYPE html><title>Blocked</title>", []),
        (b"<?xml version='1.0'?><Error/>", []),
        ("<html>".encode("utf-16"), []),
        (gzip.compress(b"<h1>Blocked</h1>"), [b"Content-Encoding: gzip\r\n"]),
        (b"Blocked", [b"content-type: Text/HTML; charset=utf-8\r\n"]),
        (b"\x0b\x02\x80", [b"Content-Type: text/html\r\n", b"Content-Encoding: br\r\n"]),
    ],
    ids=["HTML", "mark and blanks", "XML", "UTF-16", "gzip", "by its type", "unreadable"],
)
@pytest.mark.parametrize("status", [400, 404, 410, 413, 415, 418, 422, 451])
def test_a_page_for_a_browser_is_no_refusal_by_the_api(status, body, headers):
    assert classify(SENT, Answer(status=status, body=body, headers=headers)) is Outcome.MISROUTED


@pytest.mark.parametrize("body", [b"", b"Bad Request", b'{"error": "<b>"}', b"[]", b"\xff", gzip.compress(b"no", mtime=0), SENT])
@pytest.mark.parametrize("status", [400, 404, 422])
def test_any_other_refusal_is_the_apis(status, body):
    assert classify(SENT, Answer(status=status, body=body)) is Outcome.REFUSED


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_stops(status):
    assert classify(SENT, Answer(status=status, body=SENT)) is Outcome.STOP


@pytest.mark.parametrize("status", [408, 429, 503])
def test_an_api_that_does_not_take_it_now_gets_it_later(status):
    assert classify(SENT, Answer(status=status)) is Outcome.LATER


@pytest.mark.parametrize("status", [500, 501, 502, 504, 507, 520, 599])
def test_a_failure_of_the_server_leaves_a_doubt(status):
    assert classify(SENT, Answer(status=status)) is Outcome.IN_DOUBT


def test_a_lost_answer_leaves_a_doubt_and_a_request_that_never_left_does_not():
    assert classify(SENT, Answer(trouble=Trouble.LOST)) is Outcome.IN_DOUBT
    assert classify(SENT, Answer(status=200, body=SENT, trouble=Trouble.LOST)) is Outcome.IN_DOUBT
    assert classify(SENT, Answer(status=200, body=SENT[:9], trouble=Trouble.LOST)) is Outcome.IN_DOUBT
    assert classify(SENT, Answer(status=103, trouble=Trouble.LOST)) is Outcome.IN_DOUBT
    assert classify(SENT, Answer(trouble=Trouble.UNSENT)) is Outcome.UNSENT
    assert classify(SENT, Answer()) is Outcome.IN_DOUBT


def test_a_host_that_cannot_prove_who_it_is_stops():
    assert classify(SENT, Answer(trouble=Trouble.UNTRUSTED)) is Outcome.STOP


@pytest.mark.parametrize("status", [100, 101, 300, 301, 302, 303, 304, 307, 308, 405, 407, 421, 426, 511])
def test_a_redirect_a_wrong_method_or_a_proxy_that_wants_a_login_rejects_no_row(status):
    result = settle(Outcome.MISROUTED, Answer(status=status))

    assert classify(SENT, Answer(status=status)) is Outcome.MISROUTED
    assert (result.state, result.reason, result.attempts, result.doubts, result.failures) == (State.READY, None, 1, 0, 1)
    assert result.retry_seconds is not None


# Retry-After


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("1", 1),
        (" 120 ", 120),
        ("007", 7),
        ("3600", 3600),
        ("Sat, 14 Mar 2026 22:00:30 GMT", 30),
        ("Saturday, 14-Mar-26 22:00:30 GMT", 30),
        ("Sat Mar 14 22:00:30 2026", 30),  # asctime(), which names no zone and means UTC
        ("Sat, 14 Mar 2026 22:00:30 -0000", 30),
        ("Sat, 14 Mar 2026 23:00:30 +0100", 30),
    ],
)
def test_retry_after_is_seconds_or_a_date(header, seconds):
    assert retry_after_seconds(header, NOW) == seconds


@pytest.mark.parametrize("header", ["3601", "86400", "9" * 400, "Sun, 15 Mar 2026 22:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_absurd_retry_after_is_an_hour(header):
    assert retry_after_seconds(header, NOW) == LONGEST_RETRY_AFTER == 3_600


@pytest.mark.parametrize("header", [None, "", " ", "0", "00", "Sat, 14 Mar 2026 21:59:59 GMT", "Fri, 01 Jan 1999 00:00:00 GMT", "99999999999999999999 Nov 2026 10:00:00 GMT", "Mon, 23 Nov 2026 10:00:00 +99999999999999999999", "soon", "-1", "+5", "1.5", "1e3", "0x10", "²", "１２", "nan", "inf", "60 seconds", "60, 120", "Mon, 99 Foo 2026 00:00:00 GMT", "Fri, 31 Dec 99999 23:59:59 GMT", "Sat, 14 Mar 2026 22:00:30 +9999", "\x00"])  # fmt: skip
def test_a_retry_after_that_asks_for_nothing_or_nonsense_is_none(header):
    assert retry_after_seconds(header, NOW) is None


@given(
    st.none()
    | st.text()
    | st.integers().map(str)
    | st.datetimes().map(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S GMT"))
)
def test_any_retry_after_is_none_or_between_now_and_an_hour(header):
    seconds = retry_after_seconds(header, NOW)

    assert seconds is None or 0 < seconds <= LONGEST_RETRY_AFTER


# What is recorded


def settle(outcome, answer=None, *, resend=True, failures=0, chance=0.5):
    return settlement(
        Claimed(id=7, event=EVENT, attempts=0, failures=failures),
        TREATMENTS[outcome],
        answer or Answer(),
        sent_at=1_773_525_600.0,
        resend=resend,
        token="secret",
        chance=lambda: chance,
    )


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("status", [None, 200, 204, 302, 400, 401, 429, 500])
def test_every_outcome_has_a_settlement_whose_reason_explains_its_state(outcome, status):
    for resend in (True, False):
        result = settle(outcome, Answer(status=status, body=b"no"), resend=resend)

        assert result.id == 7
        assert result.state in {State.READY, State.SENDING, State.ACCEPTED, State.REJECTED}
        assert (result.reason is None) == (result.state in {State.READY, State.ACCEPTED})
        assert result.reason is None or explain(result.reason).state is result.state


def test_an_accepted_conversion_is_accepted_without_a_reason():
    result = settle(Outcome.ACCEPTED, Answer(status=200, body=SENT))

    assert (result.state, result.reason, result.http_status, result.attempts, result.doubts) == (State.ACCEPTED, None, 200, 1, 0)


def test_a_refusal_rejects_with_its_status_and_what_the_api_said():
    result = settle(Outcome.REFUSED, Answer(status=422, body=b" unknown goal "))

    assert (result.state, result.reason, result.trouble, result.attempts) == (State.REJECTED, "refused_422", "unknown goal", 1)


@pytest.mark.parametrize("body", [SENT, b'{"error": "bad", "event": ' + SENT + b"}", b"x" * 50 + SENT])
def test_what_the_api_said_is_not_kept_if_it_repeats_the_user(body):
    assert "72349876" not in (settle(Outcome.REFUSED, Answer(status=400, body=body)).trouble or "")


@pytest.mark.parametrize("body", [b"\x00" * 9, b"\xff\xfe", b"x" * 10**6])
def test_what_the_api_said_can_be_stored_and_is_short(body):
    trouble = settle(Outcome.REFUSED, Answer(status=400, body=body)).trouble

    assert trouble is None or (len(trouble) <= 200 and "\x00" not in trouble and trouble.encode("utf-8"))


def test_a_mismatch_is_rejected_and_not_sent_again():
    result = settle(Outcome.MISMATCHED, Answer(status=200, body=b"?"))

    assert (result.state, result.reason, result.attempts, result.retry_seconds) == (State.REJECTED, Reason.ECHO_MISMATCH, 1, None)


def test_a_doubt_is_resent_after_a_back_off_or_waits_for_a_person():
    resent, held = (
        settle(Outcome.IN_DOUBT, Answer(trouble=Trouble.LOST), resend=resend, failures=2, chance=1.0) for resend in (True, False)
    )

    assert (resent.state, resent.reason, resent.attempts, resent.doubts, resent.failures) == (State.READY, None, 1, 1, 1)
    assert resent.retry_seconds == 0.5 * 2**3
    assert (held.state, held.reason, held.attempts, held.doubts, held.retry_seconds) == (
        State.SENDING,
        Reason.IN_DOUBT,
        1,
        1,
        None,
    )


@pytest.mark.parametrize("outcome", [Outcome.LATER, Outcome.STOP])
def test_what_the_api_did_not_take_stays_ready_and_is_no_failure_of_its_own(outcome):
    result = settle(outcome, Answer(status=429 if outcome is Outcome.LATER else 401))

    assert (result.state, result.reason, result.failures) == (State.READY, None, 0)
    assert result.doubts == (outcome is Outcome.LATER)  # a gateway may say later after its backend stored the event


@pytest.mark.parametrize(
    ("details", "trouble"),
    [
        (
            [f"curl 7: Failed to connect to localhost port 80 after {ms} ms: Could not connect to server" for ms in (0, 17)],
            "curl 7: Failed to connect to localhost port 80: Could not connect to server",
        ),
        ([f"curl 28: Operation timed out after {ms} milliseconds with {size} out of 4000 bytes received" for ms, size in ((5000, 38), (5001, 2))], "curl 28: Operation timed out"),
        ([f"curl 28: Operation timed out after {ms} milliseconds with 0 bytes received" for ms in (5000, 5002)], "curl 28: Operation timed out with 0 bytes received"),
        ([f"curl 18: end of response with {size} bytes missing" for size in (1, 499)], "curl 18: end of response"),
        (["curl 52: Empty reply from server"], "curl 52: Empty reply from server"),
    ],
    ids=["refused", "in the answer", "without an answer", "broken off", "constant"],
)  # fmt: skip
def test_one_cause_is_one_trouble_whatever_was_measured(details, trouble):
    answers = [Answer(trouble=Trouble.LOST, detail=detail) for detail in details]
    assert {settle(Outcome.IN_DOUBT, answer).trouble for answer in answers} == {trouble}


def test_what_was_put_off_waits_for_a_person_where_doubts_are_held():
    result = settle(Outcome.LATER, Answer(status=503), resend=False)

    assert (result.state, result.reason, result.doubts, result.retry_seconds) == (State.SENDING, Reason.IN_DOUBT, 1, None)


@pytest.mark.parametrize("trouble", [Trouble.UNSENT, Trouble.UNTRUSTED])
def test_a_request_of_which_no_byte_left_is_no_attempt(trouble):
    answer = Answer(trouble=trouble, detail="no connection")
    result = settle(classify(SENT, answer), answer)

    assert result.state is State.READY
    assert result.attempts == 0
    assert result.sent_at is None


@pytest.mark.parametrize(
    ("body", "trouble"),
    [
        (b"no such goal", "no such goal"),
        (b" " * 300, "HTTP 400"),
        (b'{"error": "unknown user %b"}' % EVENT.user_id.encode(), "HTTP 400"),
        (b"x" * 190 + EVENT.user_id.encode(), "HTTP 400"),
        (SENT, "HTTP 400"),
    ],
)
def test_what_the_api_said_is_kept_for_people_unless_it_names_the_user(body, trouble):
    assert settle(Outcome.REFUSED, Answer(status=400, body=body)).trouble == trouble
