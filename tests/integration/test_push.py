"""What each trouble on the wire means for the conversions: real sockets, the real ledger."""

import json
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext, suppress
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from demo.postgres import free_port
from demo.simulator import SimulatorProcess
from tests.night import NOW, SETTINGS, FixedClock, Night, curl
from tests.servers import Server, number, saying
from webflow_conversions.delivery import settings as push_settings
from webflow_conversions.delivery.circuit_breaker import TRIP_AFTER
from webflow_conversions.delivery.claims import PROBE_ROWS
from webflow_conversions.delivery.ending import Phase
from webflow_conversions.delivery.forecast import Forecast, forecasts_of
from webflow_conversions.delivery.protocols import Settlement
from webflow_conversions.delivery.push import Push
from webflow_conversions.errors import Stopped, Unavailable
from webflow_conversions.ledger.push import RunForecasts
from webflow_conversions.pipeline.verdict import unread
from webflow_conversions.rules.states import State

IMPATIENT = {"patience_seconds": 1.0, "timeout_seconds": 1.0}


def counted(simulator: SimulatorProcess) -> dict[str, int]:
    """Conversion IDs with how often the simulator stored each."""
    return {action_id.rsplit("/", 1)[1]: times for action_id, times in simulator.action_ids().items()}


def test_everything_that_is_due_arrives_once_and_is_accepted(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(300)
    counts = night.push(run, simulator.url)
    assert counted(simulator) == {f"c{number}": 1 for number in range(1, 301)}
    assert {row.state for row in night.rows().values()} == {"accepted"}
    assert {(row.attempts, row.http_status, row.attempts_in_doubt) for row in night.rows().values()} == {(1, 200, 0)}
    assert (counts.accepted, counts.requests, counts.complete) == (300, 300, True)
    assert night.problems(run) == []


def test_the_body_is_the_contract_s_to_the_letter(night: Night, simulator: SimulatorProcess) -> None:
    night.person("k1", "72349876", domain="salesforce")
    night.sale("23823940", value="149.99", event_name="application-accepted", at="2026-11-23 13:09:10+00")
    night.push(night.read(), simulator.url)
    (event,) = simulator.events()
    assert json.loads(event["body"]) == {
        "customerId": "123456789",
        "eventName": "application-accepted",
        "userDomain": "salesforce",
        "userId": "72349876",
        "actionId": "webflow_default/sales/application-accepted/23823940",
        "actionTimestamp": 1795439350000,
        "value": 149.99,
    }
    assert '"value":149.99' in event["body"]


def test_what_expires_first_goes_out_first(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(100)
    night.push(run, simulator.url, settings={"concurrency": 1})
    arrived = [event["action_id"].rsplit("/", 1)[1] for event in simulator.events()]
    assert arrived == [f"c{number}" for number in range(1, 101)]


def test_a_second_push_sends_nothing_again(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(50)
    night.push(run, simulator.url)
    assert night.push(night.read("second"), simulator.url).requests == 0
    assert len(simulator.events()) == 50


def test_two_workers_share_the_queue_and_send_nothing_twice(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(1_500)
    simulator.faults([{"action": "delay", "milliseconds": 5}])
    pushes = [night.prepare_push(run, simulator.url, worker=worker) for worker in range(3)]
    with ThreadPoolExecutor(len(pushes)) as pool:
        list(pool.map(Push.run, pushes))
    assert set(counted(simulator).values()) == {1}
    assert sum(push.counts.accepted for push in pushes) == 1_500
    assert all(push.counts.accepted for push in pushes)


# Answers


@pytest.mark.parametrize("status", [400, 404, 409, 410, 413, 415, 422, 451])
def test_a_refusal_of_one_row_rejects_that_row_alone(night: Night, simulator: SimulatorProcess, status: int) -> None:
    run = night.ready(40)
    action_id = "webflow_default/sales/offline-purchase/c20"
    simulator.faults([{"action": "status", "status": status, "action_id": action_id, "body": "no such thing"}])
    counts = night.push(run, simulator.url)
    row = night.row("c20")
    assert (row.state, row.reason, row.http_status, row.attempts) == ("rejected", f"refused_{status}", status, 1)
    assert row.trouble == "no such thing"
    assert (counts.accepted, counts.rejected) == (39, {f"refused_{status}": 1})
    assert night.problems(run) == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_token_stays_here(night: Night, simulator: SimulatorProcess, status: int) -> None:
    run = night.ready(40)
    action_id = "webflow_default/sales/offline-purchase/c3"
    simulator.faults([{"action": "redirect", "status": status, "action_id": action_id}])
    night.push(run, simulator.url, attempts_per_run=2)
    row = night.row("c3")
    assert (row.state, row.reason, row.attempts, row.attempts_in_doubt) == ("ready", None, 2, 0)
    assert row.trouble.startswith(f"HTTP {status}")
    assert sum(row.state == "accepted" for row in night.rows().values()) == 39
    assert any(f"last trouble: HTTP {status}" in problem for problem in night.problems(run))
    assert "elsewhere" not in json.dumps(simulator.summary()["requests_by_status"])


@pytest.mark.parametrize("status", [302, 405, 407])
def test_what_is_not_the_api_stops_the_push_and_rejects_nothing(night: Night, simulator: SimulatorProcess, status: int) -> None:
    run = night.ready(200)
    simulator.faults([{"action": "redirect" if status == 302 else "status", "status": status}])
    with pytest.raises(
        Stopped,
        match=rf"None of the last \d events was accepted: HTTP {status} \(\d\)\. It was not Webflow's API .*: HTTP {status}.* Check the "
        "host of connection webflow_default and the proxy on the way",
    ):
        night.push(run, simulator.url)
    assert {row.state for row in night.rows().values()} == {"ready"}


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_stops_at_once_and_consumes_no_row(night: Night, simulator: SimulatorProcess, status: int) -> None:
    run = night.ready(500)
    simulator.faults([{"action": "status", "status": status}])
    with pytest.raises(Stopped, match=rf"refuses the token \(HTTP {status}\): put a valid .* into connection webflow_default"):
        night.push(run, simulator.url)
    assert {row.state for row in night.rows().values()} == {"ready"}
    assert simulator.summary()["requests"] <= SETTINGS.concurrency
    assert sum(row.attempts for row in night.rows().values()) == simulator.summary()["requests_by_status"][str(status)]


@pytest.mark.parametrize("status", [400, 404])
def test_refusals_before_anything_is_accepted_are_not_the_rows_fault(
    night: Night, simulator: SimulatorProcess, status: int
) -> None:
    run = night.ready(200)
    simulator.faults([{"action": "status", "status": status}])
    with pytest.raises(Stopped, match=rf"None of the last \d\d events was accepted: HTTP {status} \(\d\d\)"):
        night.push(run, simulator.url)
    assert by_state(night) == {"ready": 200}
    assert TRIP_AFTER + PROBE_ROWS <= simulator.summary()["requests"] <= TRIP_AFTER + SETTINGS.concurrency + PROBE_ROWS


def turns_bad(night: Night, simulator: SimulatorProcess, rule: dict[str, Any], *, after: int) -> Push:
    """A push of 200 rows. Once it has accepted so many events, the API does this."""

    def poll(wait_seconds: float) -> Any:
        if push.counts.accepted >= after and not turned:
            turned.append(True)
            simulator.faults([rule])
        return wait(wait_seconds)

    turned: list[bool] = []
    wire = curl(simulator.url)
    wait, wire.poll = wire.poll, poll
    push = night.prepare_push(night.ready(200), wire)
    return push


def by_state(night: Night) -> Counter[str]:
    return Counter(row.state for row in night.rows().values())


@pytest.mark.parametrize("status", [402, 404, 410, 451])
def test_an_address_that_goes_away_after_the_first_acceptance_rejects_nothing(
    night: Night, simulator: SimulatorProcess, status: int
) -> None:
    push = turns_bad(night, simulator, {"action": "status", "status": status}, after=30)
    with pytest.raises(Stopped, match=rf"None of the last \d\d events was accepted: HTTP {status} \(\d\d\)"):
        push.run()
    assert push.counts.accepted >= 30
    assert by_state(night) == {"accepted": push.counts.accepted, "ready": 200 - push.counts.accepted}


def test_any_number_of_events_that_the_api_refuses_is_rejected_once_it_accepted_one(
    night: Night, simulator: SimulatorProcess
) -> None:
    counts = turns_bad(night, simulator, {"action": "status", "status": 422}, after=30).run()
    assert counts.accepted >= 30
    assert counts.rejected == {"refused_422": 200 - counts.accepted}
    assert by_state(night) == {"accepted": counts.accepted, "rejected": 200 - counts.accepted}


@pytest.mark.parametrize("good", [0, 30])
def test_answers_without_our_events_stop_the_push_and_reject_nothing(
    night: Night, simulator: SimulatorProcess, good: int
) -> None:
    strange = {"action": "status", "status": 200, "body": "{}"}
    simulator.faults([] if good else [strange])
    push = turns_bad(night, simulator, strange, after=good)
    with pytest.raises(Stopped, match=r"None of the last \d+ events was accepted: HTTP 200 without our event \(\d+\)"):
        push.run()
    states = by_state(night)
    assert states == Counter({"accepted": push.counts.accepted, "ready": 200 - push.counts.accepted})
    assert push.counts.accepted >= good
    doubted = sum(row.attempts_in_doubt > 0 for row in night.rows().values())
    assert 3 <= doubted <= SETTINGS.concurrency + TRIP_AFTER
    simulator.faults([])
    assert night.push(night.read("again"), simulator.url).accepted == states["ready"]


def test_an_outage_leaves_few_in_doubt(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(5_000)
    simulator.faults([{"action": "status", "status": 500}])
    push = night.prepare_push(run, simulator.url, settings={"patience_seconds": 2.0}, chance=0.1, resend=False)
    with pytest.raises(Unavailable, match="gave no good answer"):
        push.run()
    assert 0 < push.counts.in_doubt < 100
    assert by_state(night) == {"sending": push.counts.in_doubt, "ready": 5_000 - push.counts.in_doubt}


def test_runs_that_overlap_give_each_other_no_further_attempts(night: Night, simulator: SimulatorProcess) -> None:
    first = night.ready(1, name="first")
    second = night.read("second")
    simulator.faults([{"action": "status", "status": 500}])
    for run, worker in [(first, 0), (second, 0), (first, 1), (second, 1), (first, 0)]:
        night.push(run, simulator.url, worker=worker, attempts_per_run=3)
    assert night.row("c1").attempts == 6


@pytest.mark.parametrize("from_its_first_task_on", [False, True])
def test_a_run_that_ended_and_was_cleared_tries_anew(
    night: Night, simulator: SimulatorProcess, from_its_first_task_on: bool
) -> None:
    run = night.ready(1)
    simulator.faults([{"action": "status", "status": 500}])
    night.push(run, simulator.url, attempts_per_run=3)
    night.runs.end(run, unread(["sales"]), {})
    simulator.faults([])
    if from_its_first_task_on:
        run = night.read("run")
    assert night.push(run, simulator.url, try_number=2, attempts_per_run=3).accepted == 1
    assert night.row("c1").attempts == 4


def test_a_few_refusals_and_nothing_else_do_reject(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(5)
    simulator.faults([{"action": "status", "status": 400}])
    night.push(run, simulator.url)
    assert set(night.states().values()) == {("rejected", "refused_400")}


@pytest.mark.parametrize("status", [404, 410])
def test_an_address_that_accepts_nothing_rejects_nothing(night: Night, simulator: SimulatorProcess, status: int) -> None:
    run = night.ready(5)
    simulator.faults([{"action": "status", "status": status, "body": ""}])
    night.push(run, simulator.url)
    assert set(night.states().values()) == {("ready", None)}
    assert any(f"last trouble: HTTP {status}" in problem for problem in night.problems(run))


@pytest.mark.parametrize("status", [408, 425, 429, 503])
def test_a_status_that_says_later_is_tried_again_until_it_is_taken(
    night: Night, simulator: SimulatorProcess, status: int
) -> None:
    run = night.ready(60)
    simulator.faults([{"action": "status", "status": status, "times": 25, "retry_after": "0"}])
    counts = night.push(run, simulator.url)
    assert set(counted(simulator).values()) == {1}
    assert (counts.accepted, counts.deferred) == (60, 25)
    assert sum(row.attempts for row in night.rows().values()) == 85
    assert sum(row.attempts_in_doubt for row in night.rows().values()) == 25


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_lets_every_worker_rest(night: Night, simulator: SimulatorProcess, form: str) -> None:
    run = night.ready(30)
    header = "2" if form == "seconds" else format_datetime(night.clock.at + timedelta(seconds=2), usegmt=True)
    simulator.faults([{"action": "status", "status": 429, "times": 1, "retry_after": header}])
    night.push(run, simulator.url, settings={"concurrency": 1})
    assert night.sql("SELECT paused_until - started_at >= '2 s' FROM webflow.destinations, webflow.pushes") == [(True,)]
    assert set(counted(simulator).values()) == {1}
    assert night.row("c1").attempts == 2


@pytest.mark.parametrize("header", ["86400", "99999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_absurd_retry_after_ends_the_push_and_blocks_nobody_for_over_an_hour(
    night: Night, simulator: SimulatorProcess, header: str
) -> None:
    run = night.ready(30)
    simulator.faults([{"action": "status", "status": 503, "retry_after": header}])
    with pytest.raises(Unavailable, match=r"asks to wait 3600 seconds, more than delivery.patience_seconds"):
        night.push(run, simulator.url)
    assert {row.state for row in night.rows().values()} == {"ready"}
    assert night.sql("SELECT paused_until <= clock_timestamp() + interval '1 hour' FROM webflow.destinations") == [(True,)]


@pytest.mark.parametrize("header", ["", "soon", "-5", "Tue, 31 Feb 2026 00:00:00 GMT", "1e3"])
def test_a_retry_after_that_says_nothing_is_taken_for_none(night: Night, simulator: SimulatorProcess, header: str) -> None:
    run = night.ready(10)
    simulator.faults([{"action": "status", "status": 429, "times": 2, "retry_after": header}])
    assert night.push(run, simulator.url).accepted == 10


@pytest.mark.parametrize("status", [500, 502, 504, 520])
def test_a_failure_of_the_server_is_in_doubt_and_sent_again(night: Night, simulator: SimulatorProcess, status: int) -> None:
    run = night.ready(20)
    simulator.faults([{"action": "status", "status": status, "times": 1, "store": True}])
    night.push(run, simulator.url, settings={"concurrency": 1})
    assert counted(simulator)["c1"] == 2
    row = night.row("c1")
    assert (row.state, row.attempts, row.attempts_in_doubt) == ("accepted", 2, 1)
    assert night.runs.accounts(run, {"webflow_default": run.sources}, NOW)["sales"].sent_again == 1


@pytest.mark.parametrize("action", ["drop_before", "drop_after", "drop_in_body", "stall", "stall_in_body"])
@pytest.mark.parametrize("fresh", [True, False], ids=["first request of a connection", "reused connection"])
def test_a_lost_answer_is_in_doubt_and_what_went_out_twice_is_known(
    night: Night, simulator: SimulatorProcess, action: str, fresh: bool
) -> None:
    run = night.ready(12)
    target = "c1" if fresh else "c6"
    simulator.faults([{"action": action, "times": 1, "action_id": f"webflow_default/sales/offline-purchase/{target}"}])
    counts = night.push(run, simulator.url, settings={"concurrency": 1, "timeout_seconds": 1.0})
    stored = counted(simulator)
    assert set(stored) == {f"c{number}" for number in range(1, 13)}
    marked = {name: row.attempts_in_doubt for name, row in night.rows().items() if row.attempts_in_doubt}
    assert marked == {target: 1}
    assert {name for name, times in stored.items() if times > 1} <= set(marked)
    assert (night.row(target).state, night.row(target).attempts) == ("accepted", 2)
    assert (counts.accepted, counts.in_doubt, counts.requests) == (12, 1, 13)


def test_libcurl_repeats_nothing_by_itself_on_a_connection_that_broke(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(200)
    simulator.faults([{"action": "drop_after", "probability": 0.2}])
    night.push(run, simulator.url, attempts_per_run=50)
    stored = counted(simulator)
    rows = night.rows()
    assert {name: rows[name].attempts for name in stored} == stored
    assert any(times > 1 for times in stored.values())


def test_with_hold_what_is_in_doubt_waits_for_a_person(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(10)
    simulator.faults([{"action": "drop_after", "times": 3}])
    night.push(run, simulator.url, resend=False, settings={"concurrency": 1})
    assert set(counted(simulator).values()) == {1}
    states = sorted(night.states().values())
    assert states == [("accepted", None)] * 7 + [("sending", "in_doubt")] * 3
    assert night.problems(run) == [
        "sales: 3 conversions (3.00) in doubt: a request left, and its answer was lost or leaves it open"
    ]
    assert night.push(night.read("second"), simulator.url, resend=False).requests == 0


def test_what_hold_kept_goes_out_once_the_policy_is_resend(night: Night, simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "drop_after", "times": 1}])
    night.push(night.ready(3), simulator.url, resend=False, settings={"concurrency": 1})
    night.push(night.read("second"), simulator.url, resend=True)
    assert (night.row("c1").state, night.row("c1").attempts, night.row("c1").attempts_in_doubt) == ("accepted", 2, 1)


def test_an_echo_in_another_order_and_with_more_fields_is_an_echo(night: Night, simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "reordered"}])
    assert night.push(night.ready(5), simulator.url).accepted == 5


@pytest.mark.parametrize("field", ["actionTimestamp", "userId"])
def test_an_echo_with_another_value_beside_its_action_id_is_an_echo(
    night: Night, simulator: SimulatorProcess, field: str
) -> None:
    simulator.faults([{"action": "mismatch", "field": field}])
    assert night.push(night.ready(10), simulator.url).accepted == 10


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "garbage"},
        {"action": "huge", "bytes": 1_000_000_000},
        {"action": "huge", "bytes": 1_000_000_000, "chunked": True},
        {"action": "status", "status": 202, "store": True},
        {"action": "status", "status": 204, "store": True},
    ],
    ids=str,
)
def test_a_success_that_proves_nothing_leaves_the_row_ready_and_what_went_out_twice_is_known(
    night: Night, simulator: SimulatorProcess, fault: dict[str, Any]
) -> None:
    run = night.ready(10)
    simulator.faults([fault | {"action_id": "webflow_default/sales/offline-purchase/c4"}])
    night.push(run, simulator.url, attempts_per_run=2)
    row = night.row("c4")
    assert (row.state, row.reason, row.attempts, row.attempts_in_doubt) == ("ready", None, 2, 2)
    simulator.faults([])
    night.push(night.read("second"), simulator.url)
    row = night.row("c4")
    assert (row.state, row.attempts, row.attempts_in_doubt) == ("accepted", 3, 2)


def test_an_event_that_ends_in_doubt_again_and_again_is_left_for_the_next_run(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(3)
    simulator.faults([{"action": "status", "status": 500, "action_id": "webflow_default/sales/offline-purchase/c2"}])
    night.push(run, simulator.url, attempts_per_run=4)
    row = night.row("c2")
    assert (row.state, row.attempts, row.attempts_in_doubt) == ("ready", 4, 4)
    assert night.problems(run) == ["sales: 1 conversion (1.00) ready, not sent (last trouble: HTTP 500)"]
    simulator.faults([])
    night.push(night.read("second"), simulator.url)
    assert (night.row("c2").state, night.row("c2").attempts) == ("accepted", 5)


# The wire


def test_a_refused_connection_was_never_sent(night: Night) -> None:
    run = night.ready(5)
    with pytest.raises(
        Unavailable, match=r"gave no good answer for \d+ seconds \(last trouble: curl 7: .*\): what is left stays ready"
    ):
        night.push(run, f"http://127.0.0.1:{free_port()}", settings=IMPATIENT)
    assert {(row.state, row.attempts, row.attempts_in_doubt) for row in night.rows().values()} == {("ready", 0, 0)}
    assert "Could not connect" in night.problems(run)[0] or "Failed to connect" in night.problems(run)[0]


def test_a_host_that_does_not_exist_was_never_sent(night: Night) -> None:
    run = night.ready(2)
    with pytest.raises(Unavailable):
        night.push(run, "http://no-such-host.invalid", settings=IMPATIENT)
    assert {(row.state, row.attempts) for row in night.rows().values()} == {("ready", 0)}


@contextmanager
def silent_listener(backlog: int) -> Iterator[str]:
    """A listening socket whose queue is full: connections to it do not come about."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(backlog)
        fillers = []
        for _ in range(backlog + 2):
            filler = socket.socket()
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(listener.getsockname())
            fillers.append(filler)
        time.sleep(0.1)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for filler in fillers:
            filler.close()


def test_a_time_out_while_connecting_was_never_sent(night: Night) -> None:
    run = night.ready(2)
    with silent_listener(0) as url, pytest.raises(Unavailable):
        night.push(run, url, settings=IMPATIENT)
    assert {(row.state, row.attempts, row.attempts_in_doubt) for row in night.rows().values()} == {("ready", 0, 0)}


def test_plain_http_where_tls_was_promised_was_never_sent(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(2)
    with pytest.raises(Unavailable):
        night.push(run, simulator.url.replace("http:", "https:"), settings=IMPATIENT)
    assert {(row.state, row.attempts) for row in night.rows().values()} == {("ready", 0)}
    assert simulator.events() == []


def test_the_api_comes_back_in_mid_run_and_everything_arrives(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(800)
    simulator.faults([{"action": "delay", "milliseconds": 2}])
    push = night.prepare_push(run, simulator.url, attempts_per_run=50)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(push.run)
        wait_until(lambda: push.counts.accepted > 100)
        simulator.kill()
        time.sleep(0.5)
        simulator.start()
        running.result()
    stored, rows = counted(simulator), night.rows()
    assert set(stored) == set(rows)
    assert {row.state for row in rows.values()} == {"accepted"}
    assert {name for name, times in stored.items() if times > 1} <= {name for name, row in rows.items() if row.attempts_in_doubt}


def wait_until(happened: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if happened():
            return
        time.sleep(0.005)
    raise AssertionError("it never happened")


@contextmanager
def in_thread(push: Push, error: type[Exception], message: str) -> Iterator[None]:
    """The push runs meanwhile, and ends with this error."""

    def run() -> None:
        with pytest.raises(error, match=message):
            push.run()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        yield
        running.result()


# Time


def test_what_grows_too_old_while_it_waits_is_not_sent(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(20)
    queue = night.queue(run)
    claim = queue.claim

    def claim_and_grow_old(rows: int, now: Any) -> Any:
        claimed = claim(rows, now)
        night.clock.at = NOW + timedelta(hours=8, milliseconds=10, microseconds=1)
        return claimed

    queue.claim = claim_and_grow_old
    night.prepare_push(run, simulator.url, ledger=queue).run()
    assert set(counted(simulator)) == {f"c{number}" for number in range(10, 21)} - {"c10"}
    assert night.states()["c10"] == ("expired", "expired_unsent")
    assert night.states()["c11"] == ("accepted", None)
    assert night.row("c1").attempts == 0


def test_a_clock_that_is_set_back_holds_back_what_lies_in_the_future_then(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(1)
    queue = night.queue(run)
    claim = queue.claim

    def claim_and_set_back(rows: int, now: Any) -> Any:
        claimed = claim(rows, now)
        night.clock.at = NOW - timedelta(hours=41)
        return claimed

    queue.claim = claim_and_set_back
    night.prepare_push(run, simulator.url, ledger=queue).run()
    assert simulator.events() == []
    assert night.states() == {"c1": ("future", None)}


def test_rows_outside_the_run_s_window_or_sources_are_left_alone(night: Night, simulator: SimulatorProcess) -> None:
    from dataclasses import replace

    from webflow_conversions.rules.window import Window

    night.ready(5)
    night.sql("UPDATE webflow.conversions SET source = 'another' WHERE conversion_id = 'c5'")
    start = NOW - timedelta(hours=40)
    window = Window(start=start + timedelta(milliseconds=2), end=start + timedelta(milliseconds=4))
    run = night.begin("narrow", window=window)
    night.runs.approve(run)
    night.push(run, simulator.url)
    assert set(counted(simulator)) == {"c2", "c3"}
    night.push(replace(run, window=Window.up_to(NOW)), simulator.url)
    assert set(counted(simulator)) == {"c1", "c2", "c3", "c4"}


# The pace


def test_the_rate_limit_holds_for_all_workers_together(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(60)
    pushes = [
        night.prepare_push(run, simulator.url, worker=worker, settings={"requests_per_second": 20.0}) for worker in range(3)
    ]
    with ThreadPoolExecutor(len(pushes)) as pool:
        list(pool.map(Push.run, pushes))
    assert set(counted(simulator).values()) == {1}
    ((seconds,),) = night.sql(
        "SELECT extract(epoch FROM next_permit_at - (SELECT min(started_at) FROM webflow.pushes)) FROM webflow.destinations"
    )
    assert seconds >= 60 / 20


def test_concurrency_falls_when_the_api_is_overloaded_and_nothing_is_lost(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(400)
    simulator.faults([{"action": "status", "status": 429, "probability": 0.3, "retry_after": "0"}])
    push = night.prepare_push(run, simulator.url, settings={"concurrency": 64})
    push.run()
    assert push.counts.accepted == 400
    assert push.concurrency < 64
    assert set(counted(simulator).values()) == {1}


def test_an_event_that_alone_is_put_off_again_and_again_does_not_hold_up_the_others(
    night: Night, simulator: SimulatorProcess
) -> None:
    run = night.ready(2_000)
    simulator.faults([{"action": "status", "status": 503, "action_id": "webflow_default/sales/offline-purchase/c1"}])
    push = night.prepare_push(run, simulator.url, settings={"patience_seconds": 3.0}, chance=0.5)
    with pytest.raises(Unavailable, match=r"\(last trouble: HTTP 503\)"):
        push.run()
    assert push.counts.accepted == 1_999
    row = night.row("c1")
    assert (row.state, row.attempts_in_doubt) == ("ready", row.attempts)
    assert row.attempts <= 5


class CountingClock(FixedClock):
    """Counts how many times it was asked: each turn of a push asks it some ten times."""

    times = 0

    def monotonic(self) -> float:
        self.times += 1
        return super().monotonic()


def test_a_rest_burns_no_processor(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(30)
    simulator.faults([{"action": "status", "status": 429, "times": 1, "retry_after": "1"}])
    clock = CountingClock()
    assert night.push(run, simulator.url, settings={"concurrency": 1}, clock=clock).accepted == 30
    assert clock.times < 4_000


def test_a_destination_that_rests_is_left_alone_by_a_push_that_begins(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(5)
    night.sql("UPDATE webflow.destinations SET paused_until = clock_timestamp() + interval '1 hour'")
    with pytest.raises(Unavailable, match=r"asks to wait 3600 seconds, more than delivery.patience_seconds"):
        night.push(run, simulator.url)
    assert simulator.summary()["requests"] == 0
    assert {(row.state, row.attempts) for row in night.rows().values()} == {("ready", 0)}


# The end


def test_a_stop_lets_flying_requests_end_and_leaves_nothing_in_doubt(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(2_000)
    simulator.faults([{"action": "delay", "milliseconds": 50}])
    push = night.prepare_push(run, simulator.url)
    with in_thread(push, Unavailable, "The push was stopped"):
        wait_until(lambda: push.counts.accepted > 50)
        push.stop()
    stored, rows = counted(simulator), night.rows()
    assert {row.state for row in rows.values()} == {"accepted", "ready"}
    assert {name for name, row in rows.items() if row.state == "accepted"} == set(stored)
    assert set(stored.values()) == {1}
    assert {row.attempts_in_doubt for row in rows.values()} == {0}


def test_what_does_not_answer_within_the_grace_is_in_doubt(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(4)
    simulator.faults([{"action": "stall", "store": True}])
    push = night.prepare_push(run, simulator.url, settings={"timeout_seconds": 30.0, "grace_seconds": 0.2})
    with in_thread(push, Unavailable, "The push was stopped"):
        wait_until(lambda: len(simulator.events()) == 4)
        push.stop()
    assert {(row.state, row.attempts, row.attempts_in_doubt) for row in night.rows().values()} == {("ready", 1, 1)}


def test_a_run_that_the_guards_have_not_cleared_sends_nothing(night: Night, simulator: SimulatorProcess) -> None:
    night.person()
    night.sale("a")
    run = night.begin()
    night.extract(run)
    with pytest.raises(Stopped, match=r"not approved for sending: see why its identify task failed"):
        night.push(run, simulator.url)
    assert simulator.events() == []


def test_an_empty_queue_ends_at_once(night: Night, simulator: SimulatorProcess) -> None:
    counts = night.push(night.read(), simulator.url)
    assert (counts.requests, counts.complete) == (0, True)


def test_a_stop_before_the_end_rejects_nothing_that_is_not_proven(night: Night) -> None:
    run, stopped = night.ready(100), threading.Event()

    def answer(head: bytes, body: bytes) -> bytes:
        if number(body) > 1:
            stopped.wait(10)
        return saying(400)

    with Server(answer) as server:
        push = night.prepare_push(run, server.url, settings={"concurrency": 1, "timeout_seconds": 30.0})
        with in_thread(push, Unavailable, "The push was stopped"):
            wait_until(lambda: len(server.got) == 2)
            push.stop()
        stopped.set()
    assert (night.row("c1").state, night.row("c1").attempts) == ("ready", 1)


def test_an_interruption_of_the_task_records_what_is_known(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(500)
    simulator.faults([{"action": "delay", "milliseconds": 10}])
    wire = curl(simulator.url)
    poll = wire.poll

    def poll_or_interrupt(wait_seconds: float) -> Any:
        if push.counts.accepted > 50 and push.phase is Phase.PUSHING:
            raise KeyboardInterrupt
        return poll(wait_seconds)

    wire.poll = poll_or_interrupt
    push = night.prepare_push(run, wire)
    with pytest.raises(KeyboardInterrupt):
        push.run()
    stored, rows = counted(simulator), night.rows()
    assert {name for name, row in rows.items() if row.state == "accepted"} == set(stored)
    assert {(row.state, row.attempts_in_doubt) for row in rows.values()} == {("accepted", 0), ("ready", 0)}


def test_what_expires_after_a_doubt_is_recorded_as_possibly_received(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(1)
    simulator.faults([{"action": "drop_after"}])
    queue = night.queue(run)
    claim = queue.claim

    def claim_and_grow_old(rows: int, now: Any) -> Any:
        claimed = claim(rows, now)
        if claimed and claimed[0].failures:
            night.clock.at = NOW + timedelta(hours=9)
        return claimed

    queue.claim = claim_and_grow_old
    night.prepare_push(run, simulator.url, ledger=queue).run()
    assert night.states() == {"c1": ("expired", "expired_in_doubt")}


@pytest.mark.parametrize("text", ["", "NULL", "a,b", "{}", '"', "\\", '\\"', "it's %s %(ids)s", "ü\n\t日本 ", None], ids=ascii)
def test_what_the_api_said_is_recorded_to_the_letter(night: Night, text: str | None) -> None:
    queue = night.queue(night.ready(2))
    queue.begin(60)
    first, second = queue.claim(2, NOW)
    rejected = Settlement(id=first.id, state=State.REJECTED, reason="refused_400", trouble=text, http_status=400, attempts=1)
    assert queue.settle([rejected, Settlement(id=second.id, state=State.READY)]).rows == 2
    assert (night.row("c1").reason, night.row("c1").trouble) == ("refused_400", text)
    assert (night.row("c2").reason, night.row("c2").trouble) == (None, None)


# The ledger away


def test_a_ledger_that_is_away_for_a_moment_costs_nothing(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(1_000)
    simulator.faults([{"action": "delay", "milliseconds": 5}])
    push = night.prepare_push(run, simulator.url)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(push.run)
        wait_until(lambda: push.counts.accepted > 100)
        night.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        running.result()
    night.session.close()
    stored, rows = counted(simulator), night.rows()
    assert set(stored) == set(rows)
    doubtful = {name for name, row in rows.items() if row.attempts_in_doubt}
    assert {name for name, times in stored.items() if times > 1} <= doubtful
    assert {row.state for row in rows.values()} == {"accepted"}


def test_a_claim_whose_commit_was_not_confirmed_goes_out_in_the_same_run(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(300)
    queue = night.queue(run)
    claim, lost = queue.claim, []

    def claim_and_lose_the_answer(rows: int, now: Any) -> Any:
        claimed = claim(rows, now)
        if not lost:
            lost.extend(claimed)
            raise Unavailable("the connection broke after the commit")
        return claimed

    queue.claim = claim_and_lose_the_answer
    assert night.prepare_push(run, simulator.url, ledger=queue).run().accepted == 300
    assert lost
    assert set(counted(simulator).values()) == {1}
    assert {(row.attempts, row.attempts_in_doubt) for row in night.rows().values()} == {(1, 0)}


def test_an_outcome_that_is_recorded_late_never_meets_a_newer_claim(night: Night, simulator: SimulatorProcess) -> None:
    """The commit of "goes back, not sent" is not confirmed: recorded again later, it must not undo the next claim."""
    run = night.ready(40)
    simulator.faults([{"action": "status", "status": 429, "times": 1}])
    queue = night.queue(run)
    settle, claim, order = queue.settle, queue.claim, []

    def settle_and_lose_the_answer(settlements: Any) -> int:
        settled = settle(settlements)
        order.append("settle")
        if order.count("settle") == 1:
            raise Unavailable("the connection broke after the commit")
        return settled

    def note_claim(rows: int, now: Any) -> Any:
        order.append("claim")
        return claim(rows, now)

    queue.settle, queue.claim = settle_and_lose_the_answer, note_claim
    assert night.push(run, simulator.url, ledger=queue, settings={"concurrency": 1}).accepted == 40
    first = order.index("settle")
    assert order[first + 1] == "settle"
    assert set(counted(simulator).values()) == {1}


def test_a_push_whose_lease_ended_unnoticed_sends_nothing_more(
    night: Night, simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a machine was asleep: others may have taken its rows up."""
    run = night.ready(200)
    simulator.faults([{"action": "delay", "milliseconds": 20}])
    push = night.prepare_push(run, simulator.url, settings={"concurrency": 2})
    with in_thread(push, Stopped, "Another try of this task has taken over"):
        wait_until(lambda: push.counts.accepted > 5)
        night.sql("UPDATE webflow.pushes SET expires_at = clock_timestamp() - interval '1 s'")
    assert push.counts.accepted < 200
    assert night.push(run, simulator.url, worker=1).complete
    assert {row.state for row in night.rows().values()} == {"accepted"}


def test_a_lease_that_ended_cannot_be_renewed(night: Night) -> None:
    run = night.ready(1)
    queue = night.queue(run)
    queue.begin(lease_seconds=60)
    assert queue.renew(60, {}) == 0
    night.sql("UPDATE webflow.pushes SET expires_at = clock_timestamp() - interval '1 ms'")
    assert queue.renew(60, {}) is None


# Another try


def test_what_a_dead_try_had_claimed_goes_out_at_once_as_in_doubt(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(30)
    dead = night.queue(run)
    dead.begin(lease_seconds=1_000)
    dead.claim(10, NOW)
    night.sql("UPDATE webflow.pushes SET pid = %s", ended_process())
    counts = night.push(run, simulator.url, try_number=2)
    assert (counts.recovered, counts.accepted) == (10, 30)
    doubtful = {name for name, row in night.rows().items() if row.attempts_in_doubt}
    assert doubtful == {f"c{number}" for number in range(1, 11)}
    assert {night.row(name).attempts for name in doubtful} == {2}


def ended_process() -> int:
    """The number of a process of this machine that is gone."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize("host", ["here", "elsewhere"])
def test_what_a_try_that_may_live_had_claimed_is_in_doubt_at_once_and_goes_out_when_its_lease_is_over(
    night: Night, simulator: SimulatorProcess, host: str
) -> None:
    run = night.ready(30)
    old = night.queue(run)
    old.begin(lease_seconds=1_000)
    old.claim(10, NOW)
    if host == "elsewhere":
        night.sql("UPDATE webflow.pushes SET host = 'elsewhere', pid = %s", ended_process())
    push = night.prepare_push(run, simulator.url, try_number=2)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(push.run)
        wait_until(lambda: push.counts.accepted == 20)
        assert night.sql("SELECT count(*) FROM webflow.conversions WHERE state = 'ready' AND attempts_in_doubt = 1") == [(10,)]
        night.sql("UPDATE webflow.conversions SET retry_at = clock_timestamp() WHERE state = 'ready'")
        assert running.result().accepted == 30


def test_what_another_live_worker_has_claimed_is_left_to_it(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(30)
    other = night.queue(run, worker=1)
    other.begin(lease_seconds=1_000)
    other.claim(10, NOW)
    assert night.push(run, simulator.url).accepted == 20
    assert set(counted(simulator)) == {f"c{number}" for number in range(11, 31)}


def test_what_a_vanished_worker_had_claimed_is_taken_up_when_its_lease_ends(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(30)
    gone = night.queue(run, worker=1)
    gone.begin(lease_seconds=-1)
    night.sql("UPDATE webflow.pushes SET expires_at = clock_timestamp() + interval '1 hour'")
    gone.claim(10, NOW)
    night.sql("UPDATE webflow.pushes SET expires_at = clock_timestamp() - interval '1 s'")
    assert night.push(run, simulator.url).accepted == 30


def test_a_try_that_was_declared_dead_claims_and_settles_nothing_more(
    night: Night, simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_settings, "LEASE_MARGIN_SECONDS", 2.0)
    run = night.ready(500)
    simulator.faults([{"action": "delay", "milliseconds": 20}])
    old = night.prepare_push(run, simulator.url, settings={"concurrency": 4, "timeout_seconds": 1.0})
    with in_thread(old, Stopped, "Another try of this task has taken over"):
        wait_until(lambda: old.counts.accepted > 20)
        night.push(run, simulator.url, try_number=2, settings={"concurrency": 4, "timeout_seconds": 1.0})
    stored, rows = counted(simulator), night.rows()
    assert set(stored) == set(rows)
    assert {row.state for row in rows.values()} == {"accepted"}
    assert {name for name, times in stored.items() if times > 1} <= {name for name, row in rows.items() if row.attempts_in_doubt}


def test_the_forecast_says_what_misses_the_import(
    night: Night, simulator: SimulatorProcess, caplog: pytest.LogCaptureFixture
) -> None:
    night.clock = FixedClock(NOW.replace(hour=23, minute=59, second=58))
    run = night.ready(300)
    simulator.faults([{"action": "delay", "milliseconds": 40}])
    recorded: list[Forecast] = []

    class Recorded(RunForecasts):
        def record(self, forecast: Forecast) -> None:
            recorded.append(forecast)
            super().record(forecast)

    forecasts = night.forecasts(run, Recorded)
    night.push(run, simulator.url, settings={"concurrency": 2, "forecast_seconds": 0.2}, forecasts=forecasts)
    ((documents,),) = night.sql("SELECT forecast FROM webflow.runs")
    assert forecasts_of(documents) == {"webflow_default": recorded[-1]}
    assert documents["webflow_default"]["import_at"] == "2026-11-24T00:00:00+00:00"
    waiting = recorded[0].waiting
    assert waiting.total.rows > 0
    assert recorded[0].rows_per_second > 0
    assert waiting.late.rows > 0
    assert waiting.late.value == waiting.late.rows
    assert f"{waiting.late.rows} ({waiting.late.value}) miss the import at 00:00 UTC" in caplog.text


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_push_that_has_ended_keeps_no_connection_to_the_ledger(
    night: Night, simulator: SimulatorProcess, *, is_refused: bool
) -> None:
    run = night.ready(300)
    simulator.faults([{"action": "delay", "milliseconds": 20}, *([{"action": "status", "status": 401}] if is_refused else [])])
    push = night.prepare_push(run, simulator.url, settings={"concurrency": 2, "forecast_seconds": 0.05})
    night.session.close()
    with closing(night.connect()) as watcher, watcher.cursor() as cursor:
        with pytest.raises(Stopped) if is_refused else nullcontext():
            push.run()
        others, give_up_at = 1, time.monotonic() + 5  # the server hears of it in a moment
        while others and time.monotonic() < give_up_at:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            ((others,),) = cursor.fetchall()
            watcher.commit()
    assert others == 0
    assert push.phase is Phase.ENDED


def test_a_transport_closed_with_requests_out_is_no_error() -> None:
    transport = curl("http://127.0.0.1:1")
    transport.send(1, b"{}", bool)
    transport.close()


def test_a_long_trouble_is_told_a_limited_number_of_times(
    night: Night, simulator: SimulatorProcess, caplog: pytest.LogCaptureFixture
) -> None:
    simulator.faults([{"action": "status", "status": 503, "times": 20, "retry_after": "0"}])
    night.push(night.ready(30), simulator.url, settings={"told_troubles": 3})
    told = [record.getMessage() for record in caplog.records if "later HTTP 503" in record.getMessage()]
    assert len(told) == 3
    assert told[-1].endswith("(more of these are in webflow.history alone)")
    assert night.sql("SELECT count(*) FROM webflow.history WHERE what = 'in_doubt'") == [(20,)]


def test_a_push_logs_no_user_and_no_token(night: Night, simulator: SimulatorProcess, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    night.person("k9", "secret-user-id")
    night.sale("a", key="k9")
    simulator.faults([{"action": "status", "status": 500, "times": 1}])
    night.push(night.read(), simulator.url)
    assert "in_doubt" in caplog.text
    assert "secret-user-id" not in caplog.text
    assert "token-of-the-tests" not in caplog.text
