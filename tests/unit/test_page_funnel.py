"""The funnel and the reasons beside it account for every row that a run read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.unit.test_page_status import ledger_run
from webflow_conversions.ledger.overview import EndedByDay, Held, OverviewData, SourceExtraction
from webflow_conversions.pipeline.identified import SourceIdentified
from webflow_conversions.pipeline.verdict import Verdict
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.states import EXPLANATIONS, Reason, State, refused
from webflow_conversions.ui.funnel import STEPS, explained, funnel, match_rate, reasons, total
from webflow_conversions.ui.night import DagNow
from webflow_conversions.ui.overview import overview

NOW = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)


def amount(rows: int) -> Amount:
    return Amount(rows=rows, value=Decimal(rows) * 10)


STATES = {
    (State.ACCEPTED, None): amount(50),
    (State.READY, None): amount(7),
    (State.SENDING, None): amount(2),
    (State.SENDING, Reason.IN_DOUBT): amount(1),
    (State.HELD, Reason.UNKNOWN_USER): amount(20),
    (State.FUTURE, None): amount(3),
    (State.REJECTED, Reason.MISSING_TIMESTAMP): amount(4),
    (State.REJECTED, Reason.PERSONAL_DATA_IN_USER_ID): amount(5),
    (State.REJECTED, refused(422)): amount(6),
    (State.EXPIRED, Reason.EXPIRED_BEFORE_SEEN): amount(8),
    (State.EXPIRED, Reason.EXPIRED_UNSENT): amount(9),
    (State.EXPIRED, Reason.EXPIRED_IN_DOUBT): amount(1),
    (State.EXPIRED, Reason.EXPIRED_UNIDENTIFIED): amount(10),
    (State.WITHDRAWN, Reason.TAKEN_BACK): amount(2),
    (State.WITHDRAWN, Reason.NO_LONGER_IN_SOURCE): amount(1),
}
EXTRACTION = SourceExtraction(
    source="shop",
    at=NOW,
    read=amount(143),
    duplicates=amount(7),
    conflicting=amount(2),
    outside=amount(3),
    too_old=amount(2),
    states={(state, None if reason is None else str(reason)): found for (state, reason), found in STATES.items()},
)


def test_each_step_is_what_came_so_far():
    shop = funnel(EXTRACTION)

    assert {step: getattr(shop, step).rows for step in STEPS} == {
        "read": 143,
        "in_window": 50 + 7 + 3 + 20 + 5 + 6 + 9 + 1 + 10 + 2 + 1,
        "known": 50 + 7 + 3 + 6 + 9 + 1,
        "sent": 50 + 3 + 6 + 1,
        "accepted": 50,
    }


def test_the_reasons_and_the_accepted_are_all_that_was_read():
    counted = reasons([EXTRACTION])

    assert sum((one.amount for one in counted), funnel(EXTRACTION).accepted) == EXTRACTION.read


def test_every_reason_has_a_sentence_and_a_remedy():
    assert all(one.meaning and one.remedy for one in reasons([EXTRACTION]))
    assert all(all(explained(explanation.state, str(reason))) for reason, explanation in EXPLANATIONS.items())


def test_what_is_lost_stands_before_what_waits_and_that_before_what_is_none():
    order = list(dict.fromkeys(one.state for one in reasons([EXTRACTION])))

    assert order == [
        State.REJECTED,
        State.EXPIRED,
        State.WITHDRAWN,
        State.HELD,
        State.SENDING,
        State.READY,
        State.FUTURE,
        "",
    ]


def test_sources_add_up():
    both = total([funnel(EXTRACTION), funnel(EXTRACTION)])

    assert both is not None
    assert both.accepted == amount(100)
    assert total([]) is None


def test_what_is_not_counted_of_one_source_is_not_of_all():
    both = total([funnel(EXTRACTION), funnel(replace(EXTRACTION, states=None))])

    assert both is not None
    assert (both.read, both.accepted, both.is_counted) == (amount(286), None, False)


def test_the_match_rate_is_the_known_among_the_valid_without_what_was_withdrawn():
    assert match_rate(EXTRACTION.states) == pytest.approx((111 - 20 - 10) / 111)
    assert match_rate({(State.REJECTED, "missing_timestamp"): amount(5)}) is None


def test_a_source_that_lost_its_users_is_noticed():
    def night(back: int, held: int) -> object:
        states = {"accepted": {"": {"rows": 100 - held, "value": "1"}}, "held": {"unknown_user": {"rows": held, "value": "1"}}}
        return ledger_run(NOW - timedelta(days=back), id=back, run_id=f"{back}", counts={"sources": {"shop": {"states": states}}})

    def notes(last_held: int) -> list[str]:
        runs = [night(0, last_held), *(night(back, 20) for back in range(1, 8))]
        return [note.sentence for note in overview(OverviewData(at=NOW, runs=runs), DagNow(), NOW).notes]  # type: ignore[arg-type]

    assert notes(39) == []
    assert notes(40) == [
        "The match rate of shop fell to 60 % of its valid conversions, and 80 % is usual: check that the site still calls wf.setUserId()."
    ]


def test_a_day_has_what_its_runs_got_accepted_and_what_was_decided_on_it():
    data = OverviewData(
        at=NOW,
        runs=[ledger_run(NOW - timedelta(hours=1), id=2, sent={"shop": amount(3)}), ledger_run(sent={"shop": amount(10)})],
        ended=[
            EndedByDay(day=NOW.date(), source="shop", state="rejected", reason="refused_400", amount=amount(2)),
            EndedByDay(day=NOW.date(), source="shop", state="expired", reason="expired_unsent", amount=amount(1)),
            EndedByDay(day=NOW.date(), source="shop", state="withdrawn", reason="taken_back", amount=amount(4)),
            EndedByDay(day=NOW.date(), source="shop", state="withdrawn", reason="no_longer_in_source", amount=amount(1)),
        ],
    )

    days = overview(data, DagNow(), NOW).days

    assert len(days) == 14
    assert (days[-1].accepted, days[-1].rejected, days[-1].expired, days[-1].withdrawn) == (
        {"shop": amount(13)},
        {"shop": amount(2)},
        {"shop": amount(1)},
        {"shop": amount(5)},
    )
    assert not days[-2].accepted


def test_a_source_says_what_goes_out_that_it_did_not_return_and_what_changed_until_the_verdict_does():
    identified = {
        "shop": SourceIdentified(unseen=amount(12), withdrawn=amount(2), had_user=60, lost_user=1, user_changed=3),
        "kiosk": SourceIdentified(had_user=5),
    }
    run = ledger_run(sources=["shop", "kiosk", "new"], verdict=None)
    extractions = [replace(EXTRACTION, source=source, identified=found) for source, found in identified.items()]
    data = OverviewData(at=NOW, runs=[run], shown=run, extractions=extractions)

    shop, kiosk, new = overview(data, DagNow(), NOW).sources
    judged = overview(replace(data, shown=replace(run, verdict=Verdict())), DagNow(), NOW).sources[0]

    assert (shop.identified, kiosk.identified, new.identified) == (*identified.values(), SourceIdentified())
    assert [note.sentence for note in shop.notes] == [
        "shop: 1 of 60 conversions that had a known user have none any more.",
        "shop: 12 conversions (120.00) wait and were not returned this time; they are due all the same.",
        "shop: 2 conversions (20.00) were withdrawn: the source no longer returns them.",
    ]
    assert "returns_all" in shop.notes[1].remedy
    assert (list(kiosk.notes), list(new.notes), list(judged.notes)) == ([], [], [])


def test_held_conversions_are_sorted_by_the_hours_left_and_none_is_forgotten():
    held = [Held(source="shop", hours_left=hours, amount=amount(1)) for hours in (-1, 0, 2, 3, 6, 11, 12, 23, 24, 47, 48)]

    found = overview(OverviewData(at=NOW, held=held), DagNow(), NOW)

    assert [(one.from_hours, one.amount.rows) for one in found.held_hours] == [(0, 2), (3, 1), (6, 2), (12, 2), (24, 3)]
    assert found.held == amount(10)


def test_a_run_that_airflow_has_forgotten_is_still_listed():
    found = overview(OverviewData(at=NOW, runs=[ledger_run()]), DagNow(), NOW)

    assert [(run.run_id, run.is_in_airflow, run.state) for run in found.runs] == [("run of 23 22:00", False, "success")]
