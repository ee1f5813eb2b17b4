"""The tables of answers in ``docs/delivery.md``: ``python -m webflow_conversions.documents.delivery docs/delivery.md``."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from webflow_conversions.delivery.answers import Answer, Trouble
from webflow_conversions.delivery.outcomes import TREATMENTS, BackOff, Evidence, Outcome, Row, Tempo, Treatment, classify
from webflow_conversions.documents.markdown import table

BEGIN, END = "<!-- Written by `python -m webflow_conversions.documents.delivery docs/delivery.md` -->", "<!-- Until here -->"
ECHO, REWRITTEN = b'{"actionId":"a","userId":"u","eventName":"e"}', b'{"action_id":"a","userId":"u","eventName":"e"}'

_ROWS = {
    Row.ACCEPTED: "`accepted`",
    Row.REFUSED: "`rejected`, `refused_<status>`, until the source row or the configuration changes",
    Row.MISMATCHED: "`rejected`, `echo_mismatch`: it is not sent again by itself",
    Row.READY: "`ready`",
    Row.DOUBTFUL: "by `delivery.in_doubt`: `ready`, or `sending` until a person decides",
    Row.NEXT: "stays claimed, and is the next to be sent",
}
_BACK_OFFS = {
    BackOff.NONE: "–",
    BackOff.ATTEMPTS: "by its attempts",
    BackOff.FAILURES: "by its failures",
}
_TEMPOS = {
    Tempo.NONE: "–",
    Tempo.CLEAN: "speeds up",
    Tempo.SLOW_DOWN: "halves the concurrency; without a good answer since the last trouble also rests by back-off",
    Tempo.REST: "halves the concurrency, rests by back-off",
    Tempo.REST_AS_ASKED: "halves the concurrency, rests: all workers as `Retry-After` asks, else by back-off",
}
_EVIDENCE = {
    Evidence.NONE: "–",
    Evidence.ACCEPTED: "closes",
    Evidence.REFUSED: "a refusal: 20 in a row trip it, unless an event was accepted before (402, 404, 410 and 451: even then)",
    Evidence.STRANGE: "not the API: 3 in a row stop the push, 20 once an event was accepted",
    Evidence.REWRITTEN: "not the API: 3 in a row stop the push",
}


_BODIES = {ECHO: "", REWRITTEN: " with other JSON", b"<html>": " with HTML"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What can happen to a request: the answers that it gives, and the tests that hold what follows."""

    happened: str
    statuses: Sequence[int | None] = (None,)
    trouble: Trouble | None = None
    body: bytes = ECHO
    note: str = "–"
    tests: Sequence[str]

    @property
    def answers(self) -> list[Answer]:
        """The answers, one for each status."""
        return [Answer(status=status, trouble=self.trouble, body=self.body) for status in self.statuses]

    @property
    def outcomes(self) -> set[Outcome]:
        """The classes of the answers."""
        return {classify(ECHO, answer) for answer in self.answers}


EXAMPLES: Sequence[Example] = (
    Example(
        happened="The API has it: a JSON object came back with the event's actionId, itself or in an envelope",
        statuses=(200, 201, 202),
        note="Other fields, another order or writing, and gzip or deflate make no difference; differences are logged once.",
        tests=(
            "test_everything_that_is_due_arrives_once_and_is_accepted",
            "test_an_echo_in_another_order_and_with_more_fields_is_an_echo",
            "test_an_echo_in_another_form_is_an_echo_and_noted_once",
        ),
    ),
    Example(
        happened="A JSON object with fields of the event, but without its actionId: a proxy writes it anew; or with the word "
        "that it failed (an error, no success, a status of failure)",
        statuses=(200, 201),
        body=REWRITTEN,
        note="It may have been received. The next run begins with one request, and stops if its answer is no better.",
        tests=(
            "test_an_echo_that_never_matches_costs_a_few_rows_and_the_next_run_one",
            "test_an_event_of_which_another_one_came_back_is_not_sent_again",
        ),
    ),
    Example(
        happened="A success that is not the API's: HTML, text, another JSON, nothing at all",
        statuses=(200, 201, 202, 204),
        body=b"<html>",
        note="It may have been received. After 3 before anything was accepted the push stops, and says who answered.",
        tests=(
            "test_a_success_that_is_not_the_api_s_stops_the_push_and_rejects_nothing",
            "test_answers_without_our_events_stop_the_push_and_reject_nothing",
            "test_a_success_that_proves_nothing_leaves_the_row_ready_and_what_went_out_twice_is_known",
            "test_what_answered_is_told_without_markup_and_secrets",
        ),
    ),
    Example(
        happened="A body of over 64 kB, of announced length or not, up to 1 GB; gzip that grows beyond 256 kB; endless headers",
        statuses=(200,),
        trouble=Trouble.TOO_LARGE,
        note="The body is not read to its end; the connection is closed.",
        tests=("test_an_answer_without_an_end_costs_neither_memory_nor_time",),
    ),
    Example(
        happened="The API refuses this event",
        statuses=(400, 406, 409, 411, 412, 413, 414, 415, 422, 431),
        note="After 20 before anything was accepted, probe rows follow; are they refused, too, the push stops and rejects none.",
        tests=(
            "test_rows_that_are_refused_one_after_the_other_do_not_hold_up_the_rest",
            "test_of_two_workers_only_one_judges_the_address_and_not_before_the_other_has_ended",
            "test_a_refusal_of_one_row_rejects_that_row_alone",
            "test_whatever_an_answer_says_it_ends_no_push",
            "test_refusals_before_anything_is_accepted_are_not_the_rows_fault",
            "test_any_number_of_events_that_the_api_refuses_is_rejected_once_it_accepted_one",
        ),
    ),
    Example(
        happened="Nothing is found at the address, or nothing is taken there: the account is to pay, a filter is against it",
        statuses=(402, 404, 410, 451),
        note="`rejected` only where the same push had others accepted; else `ready`.",
        tests=(
            "test_an_address_that_accepts_nothing_rejects_nothing",
            "test_an_address_that_goes_away_after_the_first_acceptance_rejects_nothing",
        ),
    ),
    Example(
        happened="A redirect, or a server that is not the API and refuses what it gets",
        statuses=(301, 302, 303, 304, 307, 308, 405, 407, 421, 426, 511),
        note="Redirects are not followed: they would carry the token elsewhere.",
        tests=(
            "test_a_redirect_is_not_followed_and_the_token_stays_here",
            "test_what_is_not_the_api_stops_the_push_and_rejects_nothing",
        ),
    ),
    Example(
        happened="A page for a browser refuses the request: a proxy, a filter or a portal wrote it, not the API",
        statuses=(400, 404, 406, 410, 413, 415, 422, 451),
        body=b"<html>",
        tests=("test_a_page_that_refuses_is_not_taken_for_webflow", "test_an_event_that_a_filter_blocks_costs_no_other"),
    ),
    Example(
        happened="The token is refused",
        statuses=(401, 403),
        note="Where the body is neither empty nor a JSON object, the push says who answered instead.",
        tests=(
            "test_a_refused_token_stops_at_once_and_consumes_no_row",
            "test_a_proxy_that_refuses_is_not_taken_for_webflow",
        ),
    ),
    Example(
        happened="The API is busy, or did not wait for the request; a gateway says so whose backend may have stored the event",
        statuses=(408, 425, 429, 503),
        tests=(
            "test_what_a_gateway_puts_off_may_have_been_received",
            "test_a_status_that_says_later_is_tried_again_until_it_is_taken",
            "test_retry_after_lets_every_worker_rest",
        ),
    ),
    Example(
        happened="An absurd `Retry-After`",
        statuses=(429, 503),
        note="It counts as an hour at most, which ends the push; one that asks for nothing, or is no time, counts as none.",
        tests=(
            "test_retry_after_0_does_not_take_the_back_off_away",
            "test_a_date_that_cannot_be_is_taken_for_none",
            "test_an_absurd_retry_after_ends_the_push_and_blocks_nobody_for_over_an_hour",
            "test_a_retry_after_that_says_nothing_is_taken_for_none",
        ),
    ),
    Example(
        happened="The API failed, whether before or after it stored the event",
        statuses=(500, 501, 502, 504, 507, 520, 522, 524, 599),
        tests=(
            "test_an_outage_leaves_few_in_doubt",
            "test_a_failure_of_the_server_is_in_doubt_and_sent_again",
            "test_an_event_that_ends_in_doubt_again_and_again_is_left_for_the_next_run",
        ),
    ),
    Example(
        happened="No answer, or not to its end: reset before or after it was stored, time-out before or within the body",
        statuses=(None, 200),
        trouble=Trouble.LOST,
        tests=(
            "test_a_lost_answer_is_in_doubt_and_what_went_out_twice_is_known",
            "test_with_hold_what_is_in_doubt_waits_for_a_person",
        ),
    ),
    Example(
        happened="A reused connection breaks",
        trouble=Trouble.LOST,
        note="libcurl is kept from repeating the request by itself; after 3 in a row connections are not used again.",
        tests=(
            "test_a_server_that_hangs_up_after_each_answer_costs_a_few_doubts_at_the_beginning",
            "test_libcurl_repeats_nothing_by_itself_on_a_connection_that_broke",
        ),
    ),
    Example(
        happened="Connection refused, no such host, time-out while connecting",
        trouble=Trouble.UNSENT,
        note="No attempt.",
        tests=(
            "test_a_refused_connection_was_never_sent",
            "test_a_host_that_does_not_exist_was_never_sent",
            "test_a_time_out_while_connecting_was_never_sent",
        ),
    ),
    Example(
        happened="When its connection is ready it may not leave any more: too old, no permit, no lease, a rest, a stop",
        trouble=Trouble.WITHHELD,
        note="No attempt; `expired` if it is too old. That connection is closed.",
        tests=(
            "test_what_grows_too_old_while_it_connects_does_not_leave",
            "test_the_rate_limit_holds_when_connections_come_about_late",
            "test_a_far_server_gets_its_events_under_a_low_rate_limit",
            "test_a_worker_that_freezes_while_it_hands_requests_to_the_wire_sends_nothing_later",
            "test_a_stop_while_connecting_puts_nothing_in_doubt",
        ),
    ),
    Example(
        happened="TLS breaks off in the handshake, or the other side speaks none",
        trouble=Trouble.UNSENT,
        note="No attempt.",
        tests=(
            "test_a_connection_that_breaks_in_the_handshake_carried_nothing",
            "test_plain_http_where_tls_was_promised_was_never_sent",
        ),
    ),
    Example(
        happened="A proxy does not let the connection through",
        trouble=Trouble.UNSENT,
        note="No attempt.",
        tests=("test_what_a_proxy_did_not_let_through_was_never_sent",),
    ),
    Example(
        happened="The certificate is of an unknown authority, of another host, or expired",
        trouble=Trouble.UNTRUSTED,
        note="No attempt.",
        tests=("test_a_host_that_cannot_prove_who_it_is_gets_nothing",),
    ),
)


def section() -> str:
    """Both tables, in Markdown."""
    classes = ((_name(outcome), *_in_words(treatment)) for outcome, treatment in TREATMENTS.items())
    examples = (
        (
            example.happened,
            _label(example),
            ", ".join(map(_name, example.outcomes)),
            example.note,
            ", ".join(f"`{test}`" for test in example.tests),
        )
        for example in EXAMPLES
    )
    return "\n".join(
        (
            *table(
                ("Class", "The row", "Its back-off", "In doubt", "Limited", "The pace", "The circuit breaker", "The push"),
                classes,
            ),
            "",
            *table(("What happened", "Answer", "Class", "Besides", "Test"), examples),
        )
    )


def updated(page: str) -> str:
    """The page with the tables as the code has them."""
    begin, end = page.index(BEGIN), page.index(END)
    return f"{page[:begin]}{BEGIN}\n{section()}\n{page[end:]}"


def _in_words(treatment: Treatment) -> Iterator[str]:
    yield _ROWS[treatment.row]
    yield _BACK_OFFS[treatment.back_off]
    yield "yes" if treatment.is_in_doubt else "–"
    yield "yes" if treatment.is_failure else "–"
    yield _TEMPOS[treatment.tempo]
    yield _EVIDENCE[treatment.evidence]
    yield "stops at once" if treatment.end else "loses patience" if treatment.is_good is False else "goes on"


def _name(outcome: Outcome) -> str:
    return outcome.name.lower()


def _label(example: Example) -> str:
    """``lost, lost 200``; ``200, 204 with HTML``."""
    answers = (" ".join(str(part) for part in (example.trouble, status) if part is not None) for status in example.statuses)
    return ", ".join(answers) + _BODIES[example.body]


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8")
