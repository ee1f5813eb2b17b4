"""What is left when things break: every due event was stored, once, or known as sent more than once.

``CHAOS_KILLS`` says how many lives end by ``kill -9`` (20), ``CHAOS_SEED`` makes a run's dice fall again as they fell.
"""

import os
import signal
import time
from collections.abc import Callable
from decimal import Decimal

import pytest

from demo.postgres import PostgresServer
from tests.chaos.conftest import Stage
from tests.chaos.life import GAVE_UP
from tests.chaos.network import Network
from tests.night import DESTINATION
from webflow_conversions.ledger.notices import stake
from webflow_conversions.ledger.overview import read_overview
from webflow_conversions.ledger.search import Conversions
from webflow_conversions.ledger.selection import Filter, Only
from webflow_conversions.rules.amounts import Amount

KILLS = int(os.environ.get("CHAOS_KILLS") or 20)

FAULTS = [
    {"action": "delay", "milliseconds": [2, 30]},
    {"action": "drop_before", "probability": 0.01},
    {"action": "drop_after", "probability": 0.01},
    {"action": "drop_after", "probability": 0.005, "reset": True},
    {"action": "drop_in_body", "probability": 0.005},
    {"action": "stall", "probability": 0.002, "store": True},
    {"action": "stall_in_body", "probability": 0.002},
    {"action": "status", "status": 500, "probability": 0.01, "store": True},
    {"action": "status", "status": 429, "probability": 0.01},
    {"action": "status", "status": 503, "probability": 0.005, "retry_after": "0"},
    {"action": "close_after_answer", "probability": 0.02},
]


def test_kill_9_at_any_moment_loses_nothing_and_hides_nothing(stage: Stage) -> None:
    """Two runs with two workers each; whoever dies is followed by another try, as Airflow does it."""
    stage.simulator.faults(FAULTS, seed=stage.seed)
    stage.feed(600)
    places = [(run, worker) for run in (stage.run("first"), stage.run("second")) for worker in range(2)]
    lives = [stage.start(*place) for place in places]
    killed = 0
    while killed < KILLS:
        chosen = stage.dice.randrange(len(places))
        if stage.dice.random() < 0.9:
            eventually(lambda chosen=chosen: stage.has_begun(lives[chosen]))
        time.sleep(stage.dice.uniform(0.0, 0.3))
        if stage.waiting() < 300:
            stage.feed(600)
        if lives[chosen].is_alive():
            end = stage.dice.choices([signal.SIGKILL, signal.SIGTERM], [9, 1])[0]
            killed += end == signal.SIGKILL
            os.kill(lives[chosen].pid, end)
            assert stage.finish([lives[chosen]])[0] in (-signal.SIGKILL, -signal.SIGTERM, 0, GAVE_UP)
        lives[chosen] = stage.start(*places[chosen])
    stage.simulator.faults([])
    for life in lives:
        life.terminate()
    stage.finish(lives)
    stage.hurry()
    stage.see_through(places)
    assert stage.simulator.summary()["twice_at_once"] == {"count": 0, "first": []}
    again = stage.check()
    print(f"killed {killed} lives; {len(stage.night.rows())} events, {len(again)} of them stored more than once")


def test_a_frozen_worker_that_airflow_took_for_dead_sends_nothing_at_the_same_time_as_its_successor(stage: Stage) -> None:
    stage.simulator.faults([{"action": "delay", "milliseconds": [20, 60]}])
    stage.feed(200)
    run = stage.run("first")
    for _ in range(2):
        frozen = stage.start(run, 0)
        before = stage.accepted()
        eventually(lambda before=before: stage.accepted() > before)
        os.kill(frozen.pid, signal.SIGSTOP)
        successor = stage.start(run, 0, host="another-machine")
        before = stage.accepted()
        eventually(lambda before=before: stage.accepted() > before)
        os.kill(frozen.pid, signal.SIGCONT)
        codes = stage.finish([frozen, successor])
        assert codes[0] == GAVE_UP
        assert codes[1] in (0, GAVE_UP)
        stage.feed(200)
    stage.see_through([(run, 0)])
    assert stage.simulator.summary()["twice_at_once"] == {"count": 0, "first": []}
    stage.check()


def test_a_run_whose_last_try_was_killed_is_open_for_reconcile_the_page_and_the_notices_alike(stage: Stage) -> None:
    night, webflow = stage.night, {DESTINATION: ["sales"]}
    run = night.read("first")
    stage.feed(200)
    stage.simulator.faults([{"action": "stall", "store": True}])
    last = stage.start(run, 0, timeout_seconds=30)
    eventually(lambda: len(stage.simulator.action_ids()) >= 4)
    os.kill(last.pid, signal.SIGKILL)
    assert stage.finish([last]) == [-signal.SIGKILL]
    out = sum(row.state == "sending" for row in night.rows().values())
    assert out >= 4
    assert night.sql("SELECT bool_and(ended_at IS NULL AND expires_at > now() + interval '10 s') FROM webflow.pushes") == [
        (True,)
    ]
    night.sql("DELETE FROM webflow.conversions WHERE state = 'ready'")

    assert night.problems(run) == [
        f"sales: {Amount(rows=out, value=Decimal(out))} in doubt: a request left, and its answer was lost or leaves it open"
    ]

    overview = read_overview(night.session, "nightly", night.clock.at)
    assert (overview.awaited, overview.in_doubt["sales"].rows) == ({}, out)
    assert stake(night.session, "nightly", night.clock.at, webflow, night.clock.at).in_doubt.rows == out
    assert len(Conversions(night.session).ids(Filter(only=Only.IN_DOUBT), 1_000)) == out
    later = night.queue(night.read("later"))
    later.begin(60)
    later.recover(night.clock.at)
    assert later.claim(10, night.clock.at) == [], "a request of the dead push may be out until its lease is over"


def test_two_workers_of_two_runs_without_trouble_send_each_event_once(stage: Stage) -> None:
    stage.feed(600)
    runs = [stage.run("first"), stage.run("second")]
    stage.see_through([(run, worker) for run in runs for worker in range(2)])
    assert stage.check() == {}
    rows = stage.night.rows().values()
    assert {(row.attempts, row.attempts_in_doubt) for row in rows} == {(1, 0)}


def test_sigterm_leaves_nothing_in_doubt(stage: Stage) -> None:
    stage.simulator.faults([{"action": "delay", "milliseconds": [20, 60]}])
    stage.feed(2_000)
    run = stage.run("first")
    for _ in range(3):
        life, before = stage.start(run, 0), stage.accepted()
        eventually(lambda before=before: stage.accepted() > before)
        os.kill(life.pid, signal.SIGTERM)
        assert stage.finish([life]) == [GAVE_UP]
        rows = stage.night.rows().values()
        assert {row.state for row in rows} == {"accepted", "ready"}
        assert {row.attempts_in_doubt for row in rows} == {0}
    stored = stage.simulator.action_ids()
    assert set(stored.values()) == {1}
    assert set(stored) == {row.action_id for row in stage.night.rows().values() if row.state == "accepted"}


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_the_database_is_restarted_in_mid_run(own_stage: Stage, own_postgres: PostgresServer, mode: str) -> None:
    stage = own_stage
    stage.simulator.faults([{"action": "delay", "milliseconds": [5, 20]}])
    stage.feed(800)
    run = stage.run("first")
    lives = [stage.start(run, worker) for worker in range(2)]
    eventually(lambda: stage.accepted() > 100)
    stage.night.session.close()
    own_postgres.stop(mode)
    time.sleep(stage.dice.uniform(0.2, 1.0))
    own_postgres.start()
    stage.see_through([(run, 0), (run, 1)], lives)
    stage.check()


def test_the_api_is_restarted_in_mid_run(stage: Stage) -> None:
    stage.simulator.faults([{"action": "delay", "milliseconds": [5, 20]}])
    stage.feed(800)
    run = stage.run("first")
    lives = [stage.start(run, worker) for worker in range(2)]
    for target in (100, 400):
        eventually(lambda target=target: stage.accepted() > target)
        assert stage.simulator.summary()["twice_at_once"]["count"] == 0
        stage.simulator.kill()
        time.sleep(stage.dice.uniform(0.1, 0.5))
        stage.simulator.start()
        stage.simulator.faults([{"action": "delay", "milliseconds": [5, 20]}])
    stage.see_through([(run, 0), (run, 1)], lives)
    assert stage.simulator.summary()["twice_at_once"]["count"] == 0
    stage.check()


@pytest.mark.parametrize("part", ["webflow", "ledger"])
def test_the_network_is_gone_for_a_while(stage: Stage, part: str) -> None:
    stage.simulator.faults([{"action": "delay", "milliseconds": [5, 20]}])
    stage.feed(800)
    run = stage.run("first")
    to_port = stage.webflow_port if part == "webflow" else stage.ledger.port
    with Network(to_port) as network:
        if part == "webflow":
            stage.webflow_port = network.port
        else:
            stage.ledger = stage.ledger._replace(netloc=f"{stage.ledger.username}@127.0.0.1:{network.port}")
        lives = [stage.start(run, worker) for worker in range(2)]
        for target in (100, 400):
            eventually(lambda target=target: stage.accepted() > target)
            network.cut()
            time.sleep(stage.dice.uniform(0.7, 1.5))
            network.mend()
        stage.see_through([(run, 0), (run, 1)], lives)
    stage.check()


def eventually(happened: Callable[[], bool]) -> None:
    for _ in range(3_000):
        if happened():
            return
        time.sleep(0.02)
    raise AssertionError("it never happened")
