"""A rehearsal: all but the sending, night after night, with a real ledger and a server that would see whatever leaves."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.conftest import Gauges
from tests.night import CUSTOMER_ID, TOKEN, Night
from tests.servers import Server
from tests.surroundings import CONFIGURATION, Surroundings
from webflow_conversions.errors import Stopped, Unfinished
from webflow_conversions.pipeline.causes import Cause, Level
from webflow_conversions.rules.states import Reason

REHEARSE, LIVE = (CONFIGURATION + f"delivery: {{mode: {mode}}}\n" for mode in ("rehearse", "live"))
HOUR = timedelta(hours=1)


@pytest.fixture
def server(around: Surroundings) -> Iterator[Server]:
    """The destination, which accepts all that it gets, and keeps it."""
    with Server() as server:
        around.connect("webflow_default", conn_type="webflow", host=server.url, login=CUSTOMER_ID, password=TOKEN)
        yield server


def events(server: Server) -> list[str]:
    """The conversion IDs of the events that came, in their order; a HEAD has no body."""
    return [json.loads(body)["actionId"].rsplit("/", 1)[1] for _, body in server.got if body]


def run(around: Surroundings, name: str, configuration: str = REHEARSE) -> Any:
    """A run from plan to reconcile; returns the counts."""
    around.configure(configuration)
    around.run_id = name
    around.plan()
    around.extract()
    for work in around.identify():
        around.push(work).execute(around.context())
    return around.reconcile()


def record(around: Surroundings, name: str) -> tuple[bool, str, list[tuple[str, str, str]]]:
    ((is_rehearsal, outcome, verdict),) = around.sql(
        f"SELECT is_rehearsal, outcome, verdict FROM webflow.runs WHERE run_id = '{name}'"
    )
    return is_rehearsal, outcome, [(one["cause"], one["level"], one["sentence"]) for one in verdict["findings"]]


def states(around: Surroundings) -> dict[str, tuple[str, str | None]]:
    return {
        name: (state, reason)
        for name, state, reason in around.sql("SELECT conversion_id, state, reason FROM webflow.conversions")
    }


def test_a_rehearsal_does_all_but_send_and_its_record_says_what_would_have_been_sent(
    around: Surroundings, server: Server, gauges: Gauges
) -> None:
    around.sql("INSERT INTO sales VALUES ('c2', now() - interval '3 hours', 'k1'), ('h1', now(), 'nobody')")

    document = run(around, "first")

    assert events(server) == []
    assert states(around) == {"c1": ("ready", None), "c2": ("ready", None), "h1": ("held", "unknown_user")}
    assert around.sql("SELECT count(*) FROM webflow.pushes") == [(0,)]
    sales = document["sources"]["sales"]
    assert (sales["would_send"]["rows"], sales["sent"]["rows"], sales["ready"]["rows"]) == (2, 0, 0)
    numbers = dict(around.sql("SELECT conversion_id, id FROM webflow.conversions"))
    assert sales["first_to_send"] == [numbers["c2"], numbers["c1"]]
    sentence = "this was a rehearsal, and nothing was sent: 2 conversions (0.00) would have been"
    assert record(around, "first") == (True, "succeeded", [("rehearsal", "note", sentence)])
    assert around.asset_event.extra == {"run_id": "first", "dry_run": False, "is_rehearsal": True, **document}
    assert (gauges.told["would_send", "sales"], gauges.told["ready", "sales"], gauges.told["level", "sales"]) == (2, 0, 0)


def test_each_push_says_where_to_and_what_would_go_without_a_user_id(
    around: Surroundings, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    around.sql("UPDATE people SET user_id = 'a-user-id-that-is-nobodys-business'")
    around.configure(REHEARSE)
    around.plan()
    around.extract()
    (first, second) = around.identify()
    capsys.readouterr()

    told = [around.push(work).execute(around.context()) for work in (first, second)]

    assert told == [{"would_send": {"rows": 1, "value": "0"}}] * 2
    log = capsys.readouterr().out
    where = f"{server.url}/event for customer ID {CUSTOMER_ID} (connection webflow_default)"
    assert f"Rehearsal: nothing is sent. 1 conversion (0.00) would go to {where}." in log
    assert "would send {" in log
    assert "/c1" in log
    assert "nobodys-business" not in log


def test_going_live_sends_what_is_still_due_once(around: Surroundings, server: Server) -> None:
    run(around, "first")
    run(around, "second")
    around.sql("INSERT INTO sales VALUES ('c2', now() - interval '1 minute', 'k1')")

    run(around, "live", LIVE)
    run(around, "live again", LIVE)

    assert sorted(events(server)) == ["c1", "c2"]
    assert states(around) == {"c1": ("accepted", None), "c2": ("accepted", None)}
    assert record(around, "live") == (False, "succeeded", [])


def test_a_run_that_was_planned_as_live_stops_where_the_file_says_rehearse_and_stays_a_rehearsal(
    around: Surroundings, server: Server
) -> None:
    around.configure(LIVE)
    around.plan()
    around.extract()
    (first, second) = around.identify()
    around.configure(REHEARSE)
    around.push(first).execute(around.context())
    around.configure(LIVE)
    around.push(second).execute(around.context())
    around.reconcile()

    assert events(server) == []
    findings = [finding[:2] for finding in record(around, "manual__1")[2]]
    assert findings == [("rehearsal", "note"), ("configuration_changed", "note")]


def test_a_run_that_was_planned_as_a_rehearsal_sends_nothing_though_the_file_says_live(
    around: Surroundings, server: Server
) -> None:
    around.configure(REHEARSE)
    around.plan()
    around.extract()
    around.configure(LIVE)
    for work in around.identify():
        around.push(work).execute(around.context())
    around.reconcile()

    assert events(server) == []
    assert record(around, "manual__1")[0]


def test_what_the_first_workers_of_a_run_had_sent_before_the_file_said_rehearse_is_in_its_account(
    around: Surroundings, server: Server
) -> None:
    around.configure(LIVE)
    around.plan()
    around.extract()
    (first, second) = around.identify()
    around.push(first).execute(around.context())
    around.sql("INSERT INTO sales VALUES ('c2', now() - interval '1 hour', 'k1')")
    around.configure(REHEARSE)
    around.push(second).execute(around.context())
    document = around.reconcile()

    assert events(server) == ["c1"]
    assert (document["sources"]["sales"]["sent"]["rows"], document["sources"]["sales"]["would_send"]["rows"]) == (1, 0)
    sentence = "the run became a rehearsal after 1 conversion (0.00) had been accepted, and nothing more was sent: there was nothing to send"
    assert [finding[2] for finding in record(around, "manual__1")[2]][:1] == [sentence]


def test_the_ledger_gives_a_rehearsal_no_push_whatever_its_worker_believes(night: Night) -> None:
    night.person()
    night.sale("c1")
    run = night.begin(is_rehearsal=True)
    night.extract(run)
    night.runs.approve(run)

    with Server() as server, pytest.raises(Stopped, match="This run is a rehearsal"):
        night.push(run, server.url)

    assert server.got == []
    assert night.states() == {"c1": ("ready", None)}


def test_what_is_in_doubt_since_a_live_run_is_not_sent_again_and_is_told(around: Surroundings, server: Server) -> None:
    run(around, "first")
    around.sql("UPDATE webflow.conversions SET state = 'sending', push_id = NULL, reason = 'in_doubt', attempts_in_doubt = 1")

    around.run_id = "second"
    around.plan()
    around.extract()
    for work in around.identify():
        around.push(work).execute(around.context())
    with pytest.raises(Unfinished, match=r"1 conversion .* in doubt"):
        around.reconcile()

    assert events(server) == []
    assert states(around) == {"c1": ("sending", "in_doubt")}


def test_a_guard_stops_a_rehearsal_as_it_would_a_live_run(around: Surroundings, server: Server) -> None:
    around.configure(REHEARSE + "guards: {rejected_share: 0.01, min_rows: 1}\n")
    around.sql("INSERT INTO sales VALUES (NULL, now() - interval '1 hour', 'k1')")
    around.plan()
    around.extract()

    with pytest.raises(Stopped, match=r"guards\.rejected_share"):
        around.identify()


def test_guards_compare_with_what_rehearsals_would_have_sent(around: Surroundings, server: Server) -> None:
    guards = "guards: {volume_factor: 2, min_rows: 1}\n"
    for number in range(3):
        run(around, f"rehearsal {number}", REHEARSE + guards)
    around.sql("INSERT INTO sales SELECT 'm' || n, now() - interval '1 hour', 'k1' FROM generate_series(1, 9) n")

    with pytest.raises(Stopped, match=r"sales has 10 conversions to send, more than 2 times the 1 of its fullest"):
        run(around, "live", LIVE + guards)


def test_what_a_rehearsal_finds_wrong_is_told_as_in_a_live_run(around: Surroundings, server: Server) -> None:
    around.sql("UPDATE sales SET identity_key = 'nobody'")

    with pytest.raises(Unfinished, match=r"^The run needs somebody: sales: 1 conversion .* not one of their users is known"):
        run(around, "first")

    assert {cause for cause, *_ in record(around, "first")[2]} == {"nobody_known", "rehearsal"}


def test_the_mode_gives_no_refused_row_another_chance(around: Surroundings) -> None:
    around.simulator.faults([{"action": "status", "status": 422}])
    with pytest.raises(Unfinished, match="Webflow refused"):
        run(around, "live", LIVE)
    around.simulator.faults([])

    with pytest.raises(Unfinished):  # Nothing of the source can be sent.
        run(around, "rehearsal")
    with pytest.raises(Unfinished):
        run(around, "live again", LIVE)

    assert states(around) == {"c1": ("rejected", "refused_422")}
    assert around.simulator.events() == []


# Two days later


def rehearsed(night: Night, name: str = "rehearsal", *, is_rehearsal: bool = True) -> None:
    """A run over what the source has now, without its push."""
    run = night.begin(name, is_rehearsal=is_rehearsal)
    night.extract(run)
    night.identify(run)


def later(night: Night, name: str = "later", *, is_rehearsal: bool = True, hours: int = 47) -> list[tuple[Cause, Level]]:
    """What a run some hours later finds, and what it brings about."""
    night.clock.at += hours * HOUR
    run = night.begin(name, is_rehearsal=is_rehearsal)
    night.extract(run)
    night.identify(run)
    return [(finding.cause, finding.level) for finding in night.verdict(run).findings]


@pytest.mark.parametrize("meanwhile", ["", "DELETE FROM sales", "UPDATE sales SET value = 99"])
@pytest.mark.parametrize("then_is_rehearsal", [True, False])
def test_what_only_rehearsals_saw_expires_as_rehearsed_also_in_the_first_live_run(
    night: Night, meanwhile: str, then_is_rehearsal: bool
) -> None:
    night.person()
    night.sale("c1", ago=2 * HOUR)
    rehearsed(night)
    night.sql(meanwhile or "SELECT")

    found = later(night, is_rehearsal=then_is_rehearsal)

    assert night.states() == {"c1": ("expired", Reason.EXPIRED_IN_REHEARSAL)}
    assert (Cause.EXPIRED_IN_REHEARSAL, Level.NOTE) in found
    assert all(level is Level.NOTE for _, level in found)


def test_what_a_live_run_should_have_sent_meanwhile_expires_as_unsent(night: Night) -> None:
    night.person()
    night.sale("c1", ago=2 * HOUR)
    rehearsed(night)
    night.clock.at += HOUR
    rehearsed(night, "live, and stopped", is_rehearsal=False)

    found = later(night)

    assert night.states() == {"c1": ("expired", Reason.EXPIRED_UNSENT)}
    assert (Cause.EXPIRED_UNSENT, Level.FAILED) in found


def test_what_a_live_run_had_left_ready_expires_as_unsent_though_rehearsals_followed(night: Night) -> None:
    night.person()
    night.sale("c1", ago=2 * HOUR)
    rehearsed(night, "live, and stopped", is_rehearsal=False)
    night.clock.at += HOUR
    rehearsed(night)

    later(night)

    assert night.states() == {"c1": ("expired", Reason.EXPIRED_UNSENT)}


def test_a_live_run_of_another_source_or_a_dry_run_takes_nothing_from_a_rehearsal(night: Night) -> None:
    night.person()
    night.sale("c1", ago=2 * HOUR)
    rehearsed(night)
    night.clock.at += HOUR
    night.begin("of another source", sources=["deals"])
    night.begin("dry", dry_run=True)

    later(night)

    assert night.states() == {"c1": ("expired", Reason.EXPIRED_IN_REHEARSAL)}


def test_what_had_no_user_in_rehearsals_expires_without_one(night: Night) -> None:
    night.person("others")
    night.sale("c1", ago=2 * HOUR)
    night.sale("c2", ago=-HOUR, key="others")
    rehearsed(night)

    found = later(night)

    assert night.states()["c1"] == ("expired", Reason.EXPIRED_UNIDENTIFIED)
    assert (Cause.EXPIRED_UNIDENTIFIED, Level.NOTE) in found  # Others of the source would have gone out.


def test_a_run_stays_a_rehearsal_until_it_is_planned_anew(night: Night) -> None:
    planned = night.begin(is_rehearsal=True)
    assert night.runs.rehearses(planned, asked=False)

    live = night.begin()
    assert not night.runs.rehearses(live, asked=False)
    assert night.runs.rehearses(live, asked=True)
    assert night.runs.rehearses(live, asked=False)
