"""In doubt, alive, awaited: every reader of the ledger says the same of the same rows, whatever became of their push."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.night import DESTINATION, NOW, Night
from webflow_conversions.delivery.protocols import Settlement
from webflow_conversions.ledger.actions import Action, Actions, Effect
from webflow_conversions.ledger.notices import stake
from webflow_conversions.ledger.overview import read_overview
from webflow_conversions.ledger.push import PushQueue
from webflow_conversions.ledger.search import Conversions
from webflow_conversions.ledger.selection import Filter, Only
from webflow_conversions.pipeline.run import Run
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.states import State


def let_live(night: Night, run: Run, queue: PushQueue) -> None:
    """The push works."""


def supersede(night: Night, run: Run, queue: PushQueue) -> None:
    night.queue(run, worker=7, try_number=2).begin(60)


def end_lease(night: Night, run: Run, queue: PushQueue) -> None:
    night.sql("UPDATE webflow.pushes SET expires_at = clock_timestamp() - interval '1 s'")


def remove(night: Night, run: Run, queue: PushQueue) -> None:
    night.sql("DELETE FROM webflow.pushes")


def end(night: Night, run: Run, queue: PushQueue) -> None:
    queue.end({})


def reconcile(night: Night, run: Run, queue: PushQueue) -> None:
    night.runs.end_pushes(run)


def hold(night: Night, run: Run, queue: PushQueue) -> None:
    ((number,),) = night.sql("SELECT id FROM webflow.conversions")
    queue.settle([Settlement(id=number, state=State.SENDING, reason="in_doubt", attempts=1, doubts=1, failures=1)])


SITUATIONS: dict[str, tuple[Callable[[Night, Run, PushQueue], None], bool]] = {
    "alive": (let_live, False),
    "superseded, its lease runs": (supersede, True),
    "killed, its lease is over": (end_lease, True),
    "removed": (remove, True),
    "ended with a claim left": (end, True),
    "its run was reconciled, its lease runs": (reconcile, True),
    "held for a person": (hold, True),
}

OF_DOUBT = {Action.SEND_AGAIN: Effect.CHANGED, Action.WRITE_OFF: Effect.CHANGED, Action.TAKE_BACK: Effect.IN_DOUBT}
"""The effect of each action on a row in doubt."""


def claimed(night: Night, situation: str) -> tuple[Run, PushQueue, int]:
    """One row that a push has claimed, and what became of that push."""
    run = night.ready(1, name="claiming")
    queue = night.queue(run, worker=7)
    queue.begin(60)
    (row,) = queue.claim(10, NOW)
    SITUATIONS[situation][0](night, run, queue)
    return run, queue, row.id


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_reader_says_the_same_of_a_row(night: Night, situation: str) -> None:
    _, _, number = claimed(night, situation)
    is_in_doubt = SITUATIONS[situation][1]
    another = night.begin("another")
    overview = read_overview(night.session, "nightly", NOW)
    conversions = Conversions(night.session)
    rows = Amount(rows=int(is_in_doubt), value=Amount().value + int(is_in_doubt))
    readers = {
        "reconcile of another run": night.runs.accounts(another, {DESTINATION: ["sales"]}, NOW)["sales"].in_doubt == rows,
        "notices": stake(night.session, "nightly", NOW, {DESTINATION: ["sales"]}, NOW).in_doubt == rows,
        "the page's overview": (overview.in_doubt.get("sales", Amount()) == rows) and bool(overview.awaited) is not is_in_doubt,
        "the page's list": bool(conversions.page(Filter(only=Only.IN_DOUBT), 9).conversions) is is_in_doubt,
        "the conversion's page": conversions.one(number).is_in_doubt is is_in_doubt,
        **{
            f"action {action}": Actions(night.session).preview(action, [number], NOW)
            == {effect if is_in_doubt else Effect.AWAITED: 1}
            for action, effect in OF_DOUBT.items()
        },
    }
    assert set(OF_DOUBT) == set(Action)
    assert [reader for reader, agrees in readers.items() if not agrees] == []
    recovering = night.queue(another)
    night.runs.approve(another)
    recovering.begin(60)
    recovering.recover(NOW)
    assert night.row("c1").state == ("ready" if is_in_doubt else "sending")


@pytest.mark.parametrize("situation", SITUATIONS)
def test_at_reconcile_whatever_is_sending_for_the_run_is_open(night: Night, situation: str) -> None:
    run, _, _ = claimed(night, situation)
    assert "sales: 1 conversion (1.00) in doubt: a request left, and its answer was lost or leaves it open" in night.problems(run)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_only_a_live_push_renews_and_claims(night: Night, situation: str) -> None:
    _, queue, _ = claimed(night, situation)
    is_alive = situation in ("alive", "held for a person")
    night.sql("UPDATE webflow.conversions SET state = 'ready', retry_at = NULL, failures = 0")
    assert (queue.renew(60, {}) is not None) is is_alive
    assert bool(queue.claim_probes(1, NOW)) is is_alive
    night.sql("UPDATE webflow.conversions SET state = 'ready'")
    assert bool(queue.claim(1, NOW)) is is_alive


@pytest.mark.parametrize("situation", ["superseded, its lease runs", "its run was reconciled, its lease runs"])
@pytest.mark.parametrize("actions", [[], [Action.SEND_AGAIN], [Action.WRITE_OFF, Action.SEND_AGAIN]])
def test_a_row_in_doubt_goes_out_only_when_the_lease_is_over(night: Night, situation: str, actions: list[Action]) -> None:
    _, _, number = claimed(night, situation)
    for action in actions:
        Actions(night.session).do(action, Filter(id=number), [number], "alice", NOW)
    later = night.queue(night.read("later"))
    later.begin(60)
    later.recover(NOW)
    assert night.row("c1").state == "ready"
    assert later.claim(10, NOW) == []
    assert 50 < (later.seconds_to_retry(NOW) or 0) <= 60
    night.sql("UPDATE webflow.conversions SET retry_at = clock_timestamp()")
    assert len(later.claim(10, NOW + timedelta(seconds=1))) == 1
