"""Rows that are wrong together: is it they, or the address that they were sent to?"""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from demo.simulator import SimulatorProcess
from tests.integration.test_push import counted, wait_until
from tests.night import NOW, Night
from tests.servers import Server, number, ok, saying
from webflow_conversions.delivery.protocols import Settlement
from webflow_conversions.errors import Unavailable
from webflow_conversions.rules.states import State

ACTION = "webflow_default/sales/offline-purchase/"


@pytest.mark.parametrize("status", [422, 404])
@pytest.mark.parametrize("first", [1, 101])
def test_rows_that_are_refused_one_after_the_other_do_not_hold_up_the_rest(
    night: Night, simulator: SimulatorProcess, status: int, first: int
) -> None:
    run = night.ready(400)
    simulator.faults([{"action": "status", "status": status, "action_id": f"{ACTION}c{n}"} for n in range(first, first + 80)])
    counts = night.push(run, simulator.url)
    assert (counts.accepted, counts.rejected) == (320, {f"refused_{status}": 80})
    assert set(counted(simulator).values()) == {1}


def test_a_source_whose_rows_are_all_refused_does_not_hold_up_the_others(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(100)
    night.sql("UPDATE webflow.conversions SET source = 'deals' WHERE conversion_id <> 'c7'")
    run = night.begin("both")
    night.runs.approve(run)
    both = type(run).from_json(run.to_json() | {"sources": ["sales", "deals"]})
    simulator.faults([{"action": "status", "status": 400, "action_id": f"{ACTION}c{n}"} for n in range(1, 101) if n != 7])
    counts = night.push(both, simulator.url)
    assert (counts.accepted, counts.rejected) == (1, {"refused_400": 99})


def test_others_that_are_put_off_say_nothing_about_the_address(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(100)
    wrong = [{"action": "status", "status": 404, "action_id": f"{ACTION}c{n}"} for n in range(1, 51)]
    simulator.faults([*wrong, {"action": "status", "status": 503, "times": 10}])
    counts = night.push(run, simulator.url)
    assert (counts.accepted, counts.rejected) == (50, {"refused_404": 50})


def test_refusals_of_rows_among_refusals_of_the_address_do_not_hold_up_the_rest(night: Night) -> None:
    run = night.ready(200)

    def answer(head: bytes, body: bytes) -> bytes:
        if 2 <= number(body) <= 60:
            return saying(404)
        return saying(422) if number(body) > 190 else ok(head, body)

    with Server(answer) as server:
        counts = night.push(run, server.url)
    assert (counts.accepted, counts.rejected) == (131, {"refused_404": 59, "refused_422": 10})


def test_others_are_found_among_what_was_claimed_already(night: Night) -> None:
    run = night.ready(22)
    with Server(lambda head, body: saying(422) if number(body) <= 20 else ok(head, body)) as server:
        counts = night.push(run, server.url, settings={"concurrency": 1})
    assert (counts.accepted, counts.rejected) == (2, {"refused_422": 20})


def test_others_are_waited_for_if_they_were_put_off(night: Night) -> None:
    run, met = night.ready(25), set()

    def answer(head: bytes, body: bytes) -> bytes:
        if number(body) <= 20:
            return saying(422)
        if number(body) in met:
            return ok(head, body)
        met.add(number(body))
        return saying(503)

    with Server(answer) as server:
        counts = night.push(run, server.url, chance=0.2)
    assert (counts.accepted, counts.rejected) == (5, {"refused_422": 20})


def test_an_answer_that_is_still_out_is_waited_for(night: Night) -> None:
    run = night.ready(100)

    def answer(head: bytes, body: bytes) -> bytes:
        if number(body) == 25:
            time.sleep(0.5)
            return ok(head, body)
        return saying(422) if number(body) < 60 or number(body) > 90 else ok(head, body)

    with Server(answer) as server:
        counts = night.push(run, server.url)
    assert (counts.accepted, counts.rejected) == (32, {"refused_422": 68})


@pytest.mark.parametrize("right", [0, 10])
def test_of_two_workers_only_one_judges_the_address_and_not_before_the_other_has_ended(night: Night, right: int) -> None:
    run = night.ready(130)

    def answer(head: bytes, body: bytes) -> bytes:
        time.sleep(0.02)
        return saying(422) if number(body) <= 130 - right else ok(head, body)

    with Server(answer) as server:
        pushes = [night.prepare_push(run, server.url, worker=worker, settings={"concurrency": 4}) for worker in range(2)]
        with ThreadPoolExecutor(2) as pool:
            errors = [running.exception() for running in [pool.submit(push.run) for push in pushes]]
        stopped = [error for error in errors if error is not None and not isinstance(error, Unavailable)]
        if right:
            assert stopped == []
            night.push(run, server.url, try_number=2)
            assert [row.state for row in night.rows().values()] == ["rejected"] * 120 + ["accepted"] * 10
        else:
            assert len(stopped) == 1
            assert {row.state for row in night.rows().values()} == {"ready"}


def test_a_push_waits_for_what_an_earlier_one_that_is_at_work_comes_to(night: Night) -> None:
    run = night.ready(40)
    earlier = night.queue(run, worker=1)
    earlier.begin(60)
    right = earlier.claim_probes(10, NOW)
    with Server(lambda *_: saying(422)) as server, ThreadPoolExecutor(1) as pool:
        running = pool.submit(night.prepare_push(run, server.url).run)
        wait_until(lambda: len(server.got) == 30)
        time.sleep(1)
        assert not running.done()
        earlier.settle([Settlement(id=row.id, state=State.ACCEPTED, attempts=1) for row in right])
        earlier.end({"accepted": 10})
        counts = running.result()
    assert (counts.accepted, counts.rejected) == (0, {"refused_422": 30})


def test_what_an_earlier_push_leaves_is_tried_before_the_address_is_judged(night: Night) -> None:
    run = night.ready(40)
    earlier = night.queue(run, worker=1)
    earlier.begin(60)
    right = earlier.claim_probes(10, NOW)
    with (
        Server(lambda head, body: saying(422) if number(body) <= 30 else ok(head, body)) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        running = pool.submit(night.prepare_push(run, server.url).run)
        wait_until(lambda: len(server.got) == 30)
        time.sleep(1)
        earlier.settle([Settlement(id=row.id, state=State.READY) for row in right])
        earlier.end({})
        counts = running.result()
    assert (counts.accepted, counts.rejected) == (10, {"refused_422": 30})


def test_a_push_leaves_the_judgment_to_a_later_one_that_is_at_work(night: Night) -> None:
    run = night.ready(40)
    later = night.queue(run, worker=1)

    def answer(head: bytes, body: bytes) -> bytes:
        if number(body) == 1:
            later.begin(60)
            later.claim_probes(10, NOW)
        return saying(422)

    with Server(answer) as server, pytest.raises(Unavailable, match="another push has what is left"):
        night.push(run, server.url, settings={"concurrency": 1})
    assert [row.state for row in night.rows().values()] == ["ready"] * 30 + ["sending"] * 10


def test_a_rest_does_not_make_a_push_try_one_row_after_the_other(night: Night) -> None:
    run, met = night.ready(200), []

    def answer(head: bytes, body: bytes) -> bytes:
        if number(body) <= 100:
            return saying(422)
        if met:
            return ok(head, body)
        met.append(number(body))
        return saying(429, "Retry-After: 6")

    with Server(answer) as server:
        queue = night.queue(run)
        claim_probes, claims = queue.claim_probes, []
        queue.claim_probes = lambda *given: claims.append(given) or claim_probes(*given)
        assert night.push(run, server.url, ledger=queue, settings={"concurrency": 2}).accepted == 100
    assert len(claims) <= 3
