"""Pushes on a night when everything else misbehaves: servers, clocks, the database, and whoever stops them."""

import gzip
import json
import os
import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import psycopg2
import pytest

from demo.simulator import SimulatorProcess
from tests.integration.test_push import counted, in_thread, silent_listener, wait_until
from tests.night import NOW, SETTINGS, TOKEN, Night, curl
from tests.servers import LateServer, Server, Together, most_in_a_second, number, ok, saying
from webflow_conversions.delivery import settings as push_settings
from webflow_conversions.delivery.answers import Answer
from webflow_conversions.delivery.forecast import Forecast, Waiting
from webflow_conversions.delivery.protocols import Claimed, Clock, Settled, Settlement
from webflow_conversions.delivery.push import Push
from webflow_conversions.errors import Stopped, Unavailable
from webflow_conversions.hooks.connections import ledger_session
from webflow_conversions.ledger.push import PushQueue, RunForecasts
from webflow_conversions.rules.states import State
from webflow_conversions.transport.libcurl import CurlTransport


def by_state(night: Night) -> Counter[tuple[str, int, int]]:
    """How many rows have a state, so many attempts, and so many of them in doubt."""
    return Counter((row.state, row.attempts, row.attempts_in_doubt) for row in night.rows().values())


def order_of(simulator: SimulatorProcess) -> list[str]:
    return [event["action_id"].rsplit("/", 1)[1] for event in simulator.events()]


# A server that is odd


@pytest.mark.parametrize(
    "header", ["99999999999999999999 Nov 2026 10:00:00 GMT", "Mon, 23 Nov 2026 10:00:00 +99999999999999999999"]
)
def test_a_date_that_cannot_be_is_taken_for_none(night: Night, simulator: SimulatorProcess, header: str) -> None:
    run = night.ready(30)
    simulator.faults([{"action": "status", "status": 429, "times": 2, "retry_after": header}])
    assert night.push(run, simulator.url).accepted == 30


def test_retry_after_0_does_not_take_the_back_off_away(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(20_000)
    simulator.faults([{"action": "status", "status": 429, "retry_after": "0"}])
    push = night.prepare_push(run, simulator.url, settings={"patience_seconds": 2.0}, chance=0.5)
    with pytest.raises(Unavailable, match="gave no good answer"):
        push.run()
    assert push.counts.requests < 100


def test_a_server_that_hangs_up_after_each_answer_costs_a_few_doubts_at_the_beginning(night: Night) -> None:
    run = night.ready(300)
    with Server(hangs_up=True) as server:
        counts = night.push(run, server.url)
        arrived = server.conversions()
    assert counts.accepted == 300
    assert counts.in_doubt < 40
    assert set(arrived.values()) == {1}


def test_the_echo_of_a_large_event_is_an_echo(night: Night) -> None:
    night.person("k1", "x" * 70_000)
    night.sale("a")
    with Server() as server:
        night.push(night.read(), server.url)
    assert night.states()["a"] == ("accepted", None)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, b"&#" + b"9" * 5_000 + b";"),
        (400, b"\\ud800\\u0000" * 20),
        (400, b"\xed\xa0\x80 \x00 \xff" * 20),
        (400, b"[" * 60_000),
        (200, b"[" * 60_000),
        (200, b"1" * 5_000),
        (200, b'{"value": 1e400, "x": NaN}'),
        (200, b'{"value": ' + b"9" * 5_000 + b"}"),
        (200, b"\xff\xfe[\x00"),
    ],
    ids=["entity", "surrogates", "bytes", "refusal nested", "nested", "integer", "infinite", "value", "UTF-16"],
)
def test_whatever_an_answer_says_it_ends_no_push(night: Night, status: int, said: bytes) -> None:
    run = night.ready(60)
    with Server(lambda head, body: saying(status, body=said) if number(body) == 5 else ok(head, body)) as server:
        assert night.push(run, server.url, attempts_per_run=1).accepted == 59
    row = night.row("c5")
    assert (row.state, row.attempts, row.attempts_in_doubt) == (("rejected", 1, 0) if status == 400 else ("ready", 1, 1))


def test_a_token_that_the_other_side_repeats_is_not_recorded(night: Night) -> None:
    run = night.ready(3)
    with Server(lambda *_: saying(404, body=f"no such key: {TOKEN}".encode())) as server:
        night.push(run, server.url, settings={"token": TOKEN})
    assert night.row("c1").trouble == "HTTP 404"
    assert TOKEN not in "".join(night.problems(run))


@pytest.mark.parametrize(
    "writing",
    [
        str,
        quote,
        lambda text: quote(text, safe=""),
        lambda text: text.replace(" ", "+"),
        json.dumps,
        lambda text: text.replace("é", "&#233;"),
    ],
)
def test_a_user_id_that_the_other_side_repeats_is_not_recorded(night: Night, writing: Callable[[str], str]) -> None:
    night.person("k1", "Jané Doe/7")
    night.sale("a")
    run = night.read()
    with Server(lambda *_: saying(400, body=f"no such user: {writing('Jané Doe/7')}".encode())) as server:
        night.push(run, server.url)
    assert (night.row("a").state, night.row("a").trouble) == ("rejected", "HTTP 400")


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("status", [422, 200])
def test_an_action_id_that_the_other_side_repeats_stays_out_of_what_runs_keep(night: Night, status: int, coded: bool) -> None:
    run = night.ready(1)

    def says(head: bytes, body: bytes) -> bytes:
        words = b"no goal for " + json.loads(body)["actionId"].encode() + b" here"
        return saying(status, *["Content-Encoding: gzip"] * coded, body=gzip.compress(words) if coded else words)

    with Server(says) as server, suppress(Stopped):
        night.push(run, server.url)
    row = night.row("c1")
    assert "c1" not in row.trouble
    if status == 200 or not coded:
        assert "no goal for … here" in row.trouble
    assert "offline-purchase/c1" not in "".join(night.problems(run))


def test_a_longer_rest_that_is_asked_for_at_the_same_time_reaches_the_others(night: Night) -> None:
    both, number = threading.Barrier(2), iter(range(1_000))

    def answer(head: bytes, body: bytes) -> bytes:
        place = next(number)
        if place > 1:
            return ok(head, body)
        both.wait()
        return b"HTTP/1.1 429 X\r\nRetry-After: %d\r\nContent-Length: 0\r\n\r\n" % (1 if place == 0 else 20)

    run = night.ready(2)
    with Server(answer) as server, pytest.raises(Unavailable, match="asks to wait 20 seconds"):
        night.push(run, server.url, settings={"patience_seconds": 15.0})
    ((seconds,),) = night.sql(
        "SELECT extract(epoch FROM paused_until - started_at)::float8 FROM webflow.destinations, webflow.pushes"
    )
    assert seconds > 15


# Between the turn of a request and its first byte


class RunningClock(Clock):
    """The time of the tests, which goes on."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def now(self) -> datetime:
        return NOW + timedelta(seconds=time.monotonic() - self._began)


def test_what_grows_too_old_while_it_connects_does_not_leave(night: Night) -> None:
    night.person()
    night.sale("a", ago=timedelta(hours=48) - timedelta(seconds=1.5))
    run = night.read()
    with LateServer(2.0) as late:
        night.push(run, late.url, settings={"timeout_seconds": 20.0}, clock=RunningClock())
        assert late.got == []
    assert night.states()["a"] == ("expired", "expired_unsent")
    assert night.row("a").attempts == 0


def test_the_rate_limit_holds_when_connections_come_about_late(night: Night) -> None:
    run = night.ready(30)
    with LateServer(2.5) as late:
        counts = night.push(run, late.url, settings={"requests_per_second": 4.0, "timeout_seconds": 20.0})
        assert most_in_a_second(moment for moment, _ in late.got) <= 4
    assert counts.accepted == 30


def test_the_rate_limit_holds_when_a_commit_takes_its_time(night: Night) -> None:
    run, calls = night.ready(240), []
    with Server() as server:
        settings = {"requests_per_second": 40.0}
        queues = [night.queue(run, worker=worker) for worker in range(3)]
        reserve = queues[0].reserve

        def reserve_and_wait_for_the_disk(permits: int, seconds_apart: float) -> float:
            seconds = reserve(permits, seconds_apart)
            calls.append(True)
            if len(calls) % 2:
                time.sleep(0.3)
            return seconds

        queues[0].reserve = reserve_and_wait_for_the_disk
        pushes = [night.prepare_push(run, server.url, ledger=queue, settings=settings) for queue in queues]
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(Push.run, pushes))
        assert most_in_a_second(moment for moment, _ in server.got) <= 40
        assert set(server.conversions().values()) == {1}


def test_a_worker_that_freezes_while_it_hands_requests_to_the_wire_sends_nothing_later(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_settings, "LEASE_MARGIN_SECONDS", 1.0)
    run, together = night.ready(40), Together(0.6)
    options = {"concurrency": 8, "timeout_seconds": 1.0}
    with Server(together) as server:
        wire, successor_s_wire, queue = (
            curl(server.url, replace(SETTINGS, **options)),
            curl(server.url, replace(SETTINGS, **options)),
            night.queue(run),
        )
        send, threads, thaw = wire.send, [], threading.Event()

        def unless_frozen(work: Callable[..., Any], *arguments: Any) -> Any:
            if threads:
                thaw.wait()
            return work(*arguments)

        def send_and_freeze(tag: int, body: bytes, may_leave: Callable[[int], bool]) -> None:
            send(tag, body, may_leave)
            if not threads:
                successor = night.prepare_push(run, successor_s_wire, worker=1, settings=options)
                threads.append(threading.Thread(target=successor.run))
                time.sleep(3.5)  # the lease of 3 seconds is over
                threads[0].start()
                wait_until(lambda: successor_s_wire.in_flight > 0)
                threading.Timer(1.0, thaw.set).start()

        wire.send = send_and_freeze
        for name in ("recover", "claim", "settle", "release", "renew", "rest", "end"):
            setattr(queue, name, partial(unless_frozen, getattr(queue, name)))
        old = night.prepare_push(run, wire, settings=options, ledger=queue)
        with suppress(Stopped, Unavailable):
            old.run()
        threads[0].join()
    assert together.twice == set()
    assert {row.state for row in night.rows().values()} == {"accepted"}


# The ledger


@contextmanager
def away(night: Night, monkeypatch: pytest.MonkeyPatch, how: str) -> Iterator[None]:
    """The ledger's database became a read-only standby, or Airflow's API server does not tell its connection."""
    with closing(night.connect()) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        database = connection.get_dsn_parameters()["dbname"]
        cursor.execute("SET default_transaction_read_only = off")
        if how == "a standby":
            cursor.execute(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
        else:
            monkeypatch.delenv("AIRFLOW_CONN_WEBFLOW_LEDGER")
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        yield
        cursor.execute(f'ALTER DATABASE "{database}" RESET default_transaction_read_only')


@pytest.mark.parametrize("how", ["a standby", "Airflow"])
def test_a_ledger_that_fails_over_costs_no_answer(
    night: Night, simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    run = night.ready(1_500)
    with closing(night.connect()) as connection:
        dsn = connection.get_dsn_parameters()
    there = {
        "conn_type": "postgres",
        "host": dsn.get("host"),
        "port": int(dsn["port"]),
        "login": dsn["user"],
        "schema": dsn["dbname"],
    }
    monkeypatch.setenv("AIRFLOW_CONN_WEBFLOW_LEDGER", json.dumps(there))
    simulator.faults([{"action": "delay", "milliseconds": 10}])
    push = night.prepare_push(run, simulator.url, session=ledger_session())
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(push.run)
        wait_until(lambda: push.counts.accepted > 100)
        with away(night, monkeypatch, how):
            time.sleep(1.5)
        night.session.close()
        counts = running.result()
    night.session.close()
    assert counts.accepted == 1_500
    assert set(counted(simulator).values()) == {1}
    assert by_state(night) == {("accepted", 1, 0): 1_500}


def test_a_locked_row_holds_up_no_other(night: Night, simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_settings, "LEASE_MARGIN_SECONDS", 1.0)
    run = night.ready(300)
    simulator.faults([{"action": "delay", "milliseconds": 100}])
    wire = curl(simulator.url, replace(SETTINGS, timeout_seconds=1.0))
    push = night.prepare_push(run, wire, settings={"timeout_seconds": 1.0})
    with locking(night, push, wire) as locked:
        wait_until(lambda: sum(state == "accepted" for state, _ in night.states().values()) == 300 - locked)
        time.sleep(3.0)  # the lease
    assert push.counts.accepted == 300
    assert set(counted(simulator).values()) == {1}
    assert by_state(night) == {("accepted", 1, 0): 300}


def test_a_push_that_is_stopped_does_not_wait_for_a_lock(
    night: Night, simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_settings, "LEASE_MARGIN_SECONDS", 2.0)
    run = night.ready(50)
    simulator.faults([{"action": "delay", "milliseconds": 300}])
    settings = {"timeout_seconds": 1.0, "concurrency": 4}
    wire = curl(simulator.url, replace(SETTINGS, **settings))
    push = night.prepare_push(run, wire, settings=settings)
    with locking(night, push, wire, ends_with="The push was stopped") as locked:
        push.stop()
    assert locked >= 4
    assert night.push(run, simulator.url, try_number=2).accepted + push.counts.accepted >= 50
    assert {state for state, _, _ in by_state(night)} == {"accepted"}
    assert {name for name, times in counted(simulator).items() if times > 1} <= {
        name for name, row in night.rows().items() if row.attempts_in_doubt
    }


@contextmanager
def locking(night: Night, push: Push, wire: CurlTransport, *, ends_with: str | None = None) -> Iterator[int]:
    """While a push runs somebody holds what it has claimed, once 4 requests are out; how many rows. In the end the push has ended.

    :param ends_with: while the rows are still locked; otherwise it ends well, when they are not.
    """
    with closing(night.connect()) as other, other.cursor() as cursor, ThreadPoolExecutor(1) as pool:
        running = pool.submit(push.run)
        wait_until(lambda: wire.in_flight >= 4)
        cursor.execute("SELECT FROM webflow.conversions WHERE state = 'sending' FOR UPDATE")
        try:
            yield cursor.rowcount
            if ends_with is not None:
                with pytest.raises(Unavailable, match=ends_with):
                    running.result()
        finally:
            other.rollback()
        if ends_with is None:
            running.result()


def test_a_row_that_is_locked_when_a_push_begins_does_not_fail_it(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(3)
    night.sql("UPDATE webflow.conversions SET failures = 1 WHERE conversion_id = 'c2'")
    with closing(night.connect()) as other, other.cursor() as cursor:
        cursor.execute("SELECT FROM webflow.conversions WHERE conversion_id = 'c2' FOR UPDATE")
        release = threading.Timer(2.0, other.rollback)
        release.start()
        assert night.push(run, simulator.url).accepted == 3
        release.join()


def test_a_row_that_is_held_while_it_is_due_burns_no_processor(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(3)
    queue = night.queue(run)
    claim, claims = queue.claim, []

    def note_claim(rows: int, now: datetime) -> Sequence[Claimed]:
        claims.append(rows)
        return claim(rows, now)

    queue.claim = note_claim
    push = night.prepare_push(run, simulator.url, ledger=queue)
    with closing(night.connect()) as other, other.cursor() as cursor, ThreadPoolExecutor(1) as pool:
        cursor.execute("SELECT FROM webflow.conversions WHERE conversion_id = 'c2' FOR UPDATE")
        running = pool.submit(push.run)
        time.sleep(2)
        other.rollback()
        assert running.result().accepted == 3
    assert len(claims) < 60


@pytest.mark.parametrize("failures", [1, 2, 100])
def test_an_outcome_that_the_ledger_refuses_to_record_is_never_forgotten(night: Night, failures: int) -> None:
    """The rows are recorded by another attempt, or stay claimed; what has left is never given back as if it had not."""
    run, answers = night.ready(40), threading.Event()

    def answer(head: bytes, body: bytes) -> bytes:
        if number(body) > 8:
            answers.wait(10)
        return ok(head, body)

    with Server(answer) as server:
        queue = night.queue(run)
        settle, tries = queue.settle, []

        def settle_after_all(settlements: Sequence[Settlement]) -> Settled:
            tries.append(len(settlements))
            if len(tries) <= failures:
                raise psycopg2.errors.InsufficientPrivilege("permission denied for table history")
            return settle(settlements)

        queue.settle = settle_after_all
        with pytest.raises(psycopg2.Error, match="permission denied"):
            night.push(run, server.url, ledger=queue)
        answers.set()
        arrived, rows = server.conversions(), night.rows()
        assert not {name for name, row in rows.items() if arrived[name] > row.attempts and row.state != "sending"}
        assert night.sql("SELECT ended_at IS NULL AND expires_at > clock_timestamp() FROM webflow.pushes") == [(True,)]
        night.sql("UPDATE webflow.pushes SET expires_at = clock_timestamp()")
        night.push(run, server.url, try_number=2)
        arrived, rows = server.conversions(), night.rows()
    assert {row.state for row in rows.values()} == {"accepted"}
    assert all(rows[name].attempts >= times for name, times in arrived.items())
    assert {name for name, times in arrived.items() if times > 1} <= {name for name, row in rows.items() if row.attempts_in_doubt}


def test_what_a_claim_without_a_word_took_goes_out_in_its_turn(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(3_000)
    queue = night.queue(run)
    lost = claim_whose_commit_is_not_confirmed(queue)
    night.push(run, simulator.url, ledger=queue)
    assert lost
    assert order_of(simulator).index("c1") < 1_500
    assert by_state(night) == {("accepted", 1, 0): 3_000}


def test_what_a_claim_without_a_word_took_is_given_back_by_a_push_that_is_stopped(
    night: Night, simulator: SimulatorProcess
) -> None:
    run = night.ready(100)
    queue = night.queue(run)
    push = night.prepare_push(run, simulator.url, ledger=queue)
    lost = claim_whose_commit_is_not_confirmed(queue, then=push.stop)
    with pytest.raises(Unavailable, match="The push was stopped"):
        push.run()
    assert lost
    assert by_state(night) == {("ready", 0, 0): 100}


def claim_whose_commit_is_not_confirmed(queue: PushQueue, then: Callable[[], None] | None = None) -> Sequence[Claimed]:
    """The first claim of a push is committed, and its connection breaks in that moment."""
    claim, lost = queue.claim, []

    def claim_and_lose_the_answer(rows: int, now: datetime) -> Sequence[Claimed]:
        claimed = claim(rows, now)
        if not lost:
            lost.extend(claimed)
            if then is not None:
                then()
            raise Unavailable("the connection broke after the commit")
        return claimed

    queue.claim = claim_and_lose_the_answer
    return lost


def test_what_a_worker_that_died_meanwhile_had_claimed_goes_out_in_its_turn(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(2_500)
    gone = night.queue(run, worker=1)
    gone.begin(60)
    gone.claim(10, NOW)
    night.sql("UPDATE webflow.pushes SET expires_at = clock_timestamp() + interval '0.5 s'")
    simulator.faults([{"action": "delay", "milliseconds": 40}])
    night.push(run, simulator.url)
    assert order_of(simulator).index("c1") < 2_000


def test_a_database_clock_that_was_set_back_does_not_silence_a_push_with_a_rate_limit(
    night: Night, simulator: SimulatorProcess
) -> None:
    run = night.ready(5)
    night.sql("UPDATE webflow.destinations SET next_permit_at = clock_timestamp() + interval '1 hour'")
    assert night.push(run, simulator.url, settings={"requests_per_second": 10.0}).accepted == 5


def test_a_count_that_fails_does_not_end_the_push(
    night: Night, simulator: SimulatorProcess, caplog: pytest.LogCaptureFixture
) -> None:
    run = night.ready(600)
    simulator.faults([{"action": "delay", "milliseconds": 10}])

    class Unreadable(RunForecasts):
        def waiting(self, *_: object) -> Waiting:
            raise psycopg2.errors.InternalError_("could not read block")

    forecasts = night.forecasts(run, Unreadable)
    counts = night.push(run, simulator.url, settings={"concurrency": 4, "forecast_seconds": 0.1}, forecasts=forecasts)
    assert counts.accepted == 600
    assert "The forecast is unknown" in caplog.text


def test_a_trouble_is_still_told_after_a_claim_that_went_back(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(1)
    simulator.faults([{"action": "status", "status": 500}])
    night.push(run, simulator.url, attempts_per_run=1)
    queue = night.queue(run, worker=1)
    queue.begin(60)
    (claimed,) = queue.claim(1, NOW)
    queue.settle([Settlement(id=claimed.id, state=State.READY)])
    assert night.row("c1").trouble == "HTTP 500"


def test_an_earlier_try_that_begins_late_does_not_end_its_successor(night: Night) -> None:
    run = night.ready(3)
    newer, older = night.queue(run, try_number=2), night.queue(run, try_number=1)
    newer.begin(60)
    with pytest.raises(Stopped, match="A later try of this task has taken over"):
        older.begin(60)
    assert newer.renew(60, {}) is not None


def test_a_later_try_that_is_long_dead_keeps_nobody_out(night: Night, simulator: SimulatorProcess) -> None:
    """Tries are counted from 1 again in a Dag run that was deleted and triggered anew under its name."""
    run = night.ready(3)
    night.queue(run, try_number=2).begin(0)
    assert night.push(run, simulator.url, try_number=1).accepted == 3


# Whoever stops it


def test_a_stop_while_connecting_puts_nothing_in_doubt(night: Night) -> None:
    run = night.ready(4)
    with silent_listener(0) as url:
        wire = curl(url, replace(SETTINGS, timeout_seconds=30.0))
        push = night.prepare_push(run, wire, settings={"timeout_seconds": 30.0}, resend=False)
        with in_thread(push, Unavailable, "The push was stopped"):
            wait_until(lambda: wire.in_flight == 4)
            push.stop()
    assert by_state(night) == {("ready", 0, 0): 4}


def test_outcomes_are_recorded_before_anything_is_closed(night: Night, simulator: SimulatorProcess) -> None:
    """Closing waits for a name server that is asked at this moment, for longer than Airflow waits for the task."""
    wire = curl(simulator.url)
    push = night.prepare_push(night.ready(200), wire)
    simulator.faults([{"action": "delay", "milliseconds": 20}])
    close, at_close = wire.close, []

    def close_late() -> None:
        at_close.append(by_state(night))
        close()

    wire.close = close_late
    with in_thread(push, Unavailable, "The push was stopped"):
        wait_until(lambda: push.counts.accepted > 20)
        push.stop()
    assert {state for state, _, _ in at_close[0]} == {"accepted", "ready"}
    assert by_state(night) == at_close[0]


def test_a_slow_count_does_not_hold_up_a_stop(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(2_000)
    simulator.faults([{"action": "delay", "milliseconds": 200}])
    has_forecast, counting, go_on = threading.Event(), threading.Event(), threading.Event()

    class Slow(RunForecasts):
        """From the first forecast on, a count does not end."""

        def waiting(self, *arguments: Any) -> Waiting:
            if has_forecast.is_set():
                counting.set()
                go_on.wait(60)
            return super().waiting(*arguments)

        def record(self, forecast: Forecast) -> None:
            super().record(forecast)
            has_forecast.set()

    settings = {"concurrency": 4, "forecast_seconds": 0.1}
    push = night.prepare_push(run, simulator.url, settings=settings, forecasts=night.forecasts(run, Slow))
    with in_thread(push, Unavailable, "The push was stopped"):
        assert counting.wait(60)
        push.stop()
    assert not go_on.is_set()
    go_on.set()
    assert {state for state, _, _ in by_state(night)} == {"accepted", "ready"}


def test_a_time_out_of_the_task_leaves_nothing_in_doubt(night: Night, simulator: SimulatorProcess) -> None:
    """As Airflow's execution_timeout has it: a signal handler of the main thread raises its exception, here among answers."""

    class TaskTimeoutByHand(Exception):
        pass

    def bell(*_: object) -> None:
        raise TaskTimeoutByHand

    wire = curl(simulator.url)
    push = night.prepare_push(night.ready(3_000), wire)
    poll, rung = wire.poll, []
    before = signal.signal(signal.SIGALRM, bell)

    def poll_and_bell(wait_seconds: float) -> Iterator[tuple[int, Answer]]:
        for ended in poll(wait_seconds):
            yield ended
            if push.counts.accepted == 300 and not rung:
                rung.append(True)
                os.kill(os.getpid(), signal.SIGALRM)

    wire.poll = poll_and_bell
    try:
        with pytest.raises(TaskTimeoutByHand):
            push.run()
    finally:
        signal.signal(signal.SIGALRM, before)
    states = by_state(night)
    assert set(states) == {("accepted", 1, 0), ("ready", 0, 0)}
    assert states[("accepted", 1, 0)] == len(counted(simulator)) >= 300


# The machine


def test_a_socket_beyond_what_select_can_watch_burns_no_processor(night: Night) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4_096, hard), hard))
    opened = [os.dup(0) for _ in range(1_100)]
    turns = []

    def answer(head: bytes, body: bytes) -> bytes:
        time.sleep(1.0)
        return ok(head, body)

    try:
        run = night.ready(2)
        with Server(answer) as server:
            wire = curl(server.url)
            poll = wire.poll
            wire.poll = lambda wait_seconds: (turns.append(True), poll(wait_seconds))[1]
            assert night.push(run, wire).accepted == 2
    finally:
        for number in opened:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(turns) < 1_000


def test_patience_is_not_lost_while_nothing_is_asked(night: Night, simulator: SimulatorProcess) -> None:
    """One event has no attempt left, the other waits for the end of a dead worker's lease."""
    run = night.ready(2)
    night.sql("UPDATE webflow.conversions SET retry_at = clock_timestamp() + interval '4 s' WHERE conversion_id = 'c2'")
    simulator.faults([{"action": "status", "status": 500, "times": 1}])
    assert night.push(run, simulator.url, attempts_per_run=1, settings={"patience_seconds": 2.0}).accepted == 1


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system's steady clock is another")
def test_a_lease_goes_on_while_the_machine_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_BOOTTIME: 7.0}.__getitem__)
    assert Clock().monotonic() == 7.0
