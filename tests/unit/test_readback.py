"""What Webflow shows, beside what was sent: the alarms, the goals, and which reading explains it."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from webflow_conversions.pipeline.causes import Cause, Level
from webflow_conversions.pipeline.readback import (
    ReadDay,
    SentDay,
    WebflowGoal,
    alarms,
    compare_goals,
    match_goals,
    observed,
    read_back,
)
from webflow_conversions.rules.readings import Observation, Reading, estimate

TODAY = date(2026, 11, 24)
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
NAME = "offline-purchase"


def sent(ago: int, users: int, name: str = NAME, destination: str = "webflow_default", **verdicts: int) -> SentDay:
    """A day so many days ago."""
    return SentDay(
        destination=destination,
        event_name=name,
        day=TODAY - timedelta(days=ago),
        accepted=users,
        users=users,
        verdicts=verdicts,
    )


def day(ago: int, shown: int, users: int, **verdicts: int) -> ReadDay:
    return ReadDay(sent=sent(ago, users, **verdicts), goal_id="1234", shown=shown)


def told(read: list[ReadDay], earlier: list[ReadDay] | None = None) -> list[tuple[str, str]]:
    return [(finding.cause, finding.sentence) for finding in alarms(read, [*(earlier or []), *read], TODAY)]


# Alarms


def test_a_day_on_which_nothing_is_shown_although_one_had_to_count_is_told_with_its_figures() -> None:
    assert told([day(1, 0, 11, will_count=9, unknown=2)]) == [
        (
            Cause.SHOWS_NOTHING,
            "offline-purchase: Webflow shows no conversion on 2026-11-23 (UTC), and accepted 11 of 11 users, of whom 9 had to count",
        )
    ]


def test_what_may_count_or_will_not_raises_no_alarm() -> None:
    assert told([day(1, 0, 40, may_count=20, will_not_count=10, unknown=10)]) == []


def test_a_day_without_anything_sent_or_shown_raises_no_alarm() -> None:
    assert told([day(number, 0, 0) for number in range(1, 8)], [day(number, 0, 0) for number in range(8, 22)]) == []
    assert told([]) == []


def test_a_day_of_more_than_three_days_ago_is_only_recorded() -> None:
    read = [day(4, 0, 9, will_count=9), day(3, 9, 9, will_count=9)]
    assert told(read) == []


def test_of_several_wrong_days_the_latest_one_is_told() -> None:
    ((_, sentence),) = told([day(number, 0, 9, will_count=9) for number in (3, 2, 1)])
    assert "2026-11-23" in sentence


USUAL = [day(number, 30, 100) for number in range(2, 8)]


@pytest.mark.parametrize(
    ("shown", "users", "is_told"),
    [(7, 100, True), (8, 100, False), (0, 34, True), (0, 33, False), (0, 0, False), (120, 100, False)],
)
def test_less_than_a_quarter_of_what_is_usual_for_as_many_users_is_told(shown: int, users: int, is_told: bool) -> None:
    assert [cause for cause, _ in told([day(1, shown, users)], USUAL)] == [Cause.SHOWS_LITTLE] * is_told


def test_a_fall_is_told_with_both_shares() -> None:
    ((_, sentence),) = told([day(1, 3, 120)], USUAL)
    assert sentence == (
        "offline-purchase: Webflow shows 3 conversions on 2026-11-23 (UTC) for 120 users whose conversions it accepted (2.5%); "
        "in the 14 days before it was 30.0%"
    )


def test_what_is_usual_takes_five_days_with_conversions_of_the_last_14() -> None:
    assert told([day(1, 1, 100)], USUAL[:4]) == []
    assert told([day(1, 1, 100)], [*USUAL[:4], day(15, 30, 100)]) != []
    assert told([day(1, 1, 100)], [*USUAL[:4], day(16, 30, 100)]) == []
    assert told([day(1, 1, 100)], [*USUAL[:4], day(9, 0, 0)]) == []


def test_a_goal_of_which_nothing_was_ever_shown_has_no_share_that_could_fall() -> None:
    assert told([day(1, 0, 40)], [day(number, 0, 100) for number in range(2, 16)]) == []


@pytest.mark.parametrize(("users", "will_not_count", "is_told"), [(25, 0, True), (24, 0, False), (30, 10, False)])
def test_nothing_at_all_for_many_users_is_told_without_verdicts(users: int, will_not_count: int, is_told: bool) -> None:
    read = [day(2, 0, users, will_not_count=will_not_count), day(1, 0, users, will_not_count=will_not_count)]
    assert [cause for cause, _ in told(read)] == [Cause.SHOWS_NOTHING] * is_told


# Goals

NAMED = [WebflowGoal("1", "lead"), WebflowGoal("2", NAME), WebflowGoal("3")]


def test_goals_are_matched_by_the_name_that_webflow_gives_and_else_by_the_configuration() -> None:
    assert match_goals([NAME, "lead"], NAMED, {"lead": "9"}) == ({NAME: "2", "lead": "1"}, [])
    assert match_goals([NAME], [WebflowGoal("2")], {NAME: "2"}) == ({NAME: "2"}, [])


def test_a_name_that_no_goal_has_is_told_and_read_back_where_the_configuration_names_its_goal() -> None:
    for configured in ({}, {"sale": "7"}):
        matched, (finding,) = match_goals(["sale"], NAMED, configured)
        assert matched == configured
        assert (finding.cause, finding.level) == (Cause.NO_GOAL, Level.ATTENTION)
        assert finding.sentence == "sale: no goal of the site has this event name"


def test_a_name_without_any_goal_id_is_a_note_where_webflow_names_no_goals() -> None:
    matched, (finding,) = match_goals([NAME], [WebflowGoal("2")], {"lead": "1"})
    assert (matched, finding.level) == ({}, Level.NOTE)
    assert "readback.goals" in finding.sentence


@pytest.mark.parametrize(
    ("used", "configured", "listed", "expected"),
    [
        ({NAME}, None, NAMED, None),
        ({NAME}, {NAME}, NAMED, None),
        ({"Offline-Purchase"}, None, NAMED, "no goal of the site has the event name Offline-Purchase"),
        ({"sale"}, {"sale"}, NAMED, "no goal of the site has the event name sale"),
        (set(), {"sale"}, NAMED, "goals of the configuration has sale, and the site does not"),
        ({NAME}, {"lead"}, NAMED, f"the site has {NAME}, and goals of the configuration does not"),
        ({"a", "b"}, None, NAMED, "no goal of the site has the event name a; no goal of the site has the event name b"),
        ({"sale"}, {"deal"}, [WebflowGoal("2")], None),
        ({"sale"}, {"deal"}, [], None),
    ],
)
def test_differences_between_the_configuration_and_webflow_are_told(
    used: Any, configured: Any, listed: Any, expected: str | None
) -> None:
    assert compare_goals(used, configured, listed) == expected


# The whole of it


class Site:
    """Goals and their conversions, by the number of days ago."""

    def __init__(self, goals: list[WebflowGoal], shown: Mapping[str, Mapping[int, int]]) -> None:
        self._goals, self._shown = goals, shown
        self.asked: list[tuple[str, date, date]] = []

    def goals(self) -> list[WebflowGoal]:
        return self._goals

    def conversions(self, goal_id: str, since: date, until: date) -> dict[date, int] | None:
        self.asked.append((goal_id, since, until))
        if goal_id not in self._shown:
            return None
        return {TODAY - timedelta(days=ago): count for ago, count in self._shown[goal_id].items()}


class Ledger:
    def __init__(self, *days: SentDay, known: tuple[ReadDay, ...] = ()) -> None:
        self._days, self._known = days, known
        self.kept: list[ReadDay] = []

    def sent(self, since: date, until: date) -> tuple[SentDay, ...]:
        return self._days

    def recorded(self, since: date) -> tuple[ReadDay, ...]:
        return self._known

    def record(self, days: Any, now: datetime) -> None:
        self.kept += days


def test_each_day_is_recorded_whether_or_not_anything_was_sent_or_shown() -> None:
    ledger, site = Ledger(sent(1, 5, will_count=5)), Site(NAMED, {"2": {1: 4, 3: 1}})
    done = read_back(site, ledger, {}, 3, NOW)
    assert [(one.sent.day, one.sent.users, one.shown) for one in ledger.kept] == [
        (date(2026, 11, 21), 0, 1),
        (date(2026, 11, 22), 0, 0),
        (date(2026, 11, 23), 5, 4),
    ]
    assert site.asked == [("2", date(2026, 11, 21), TODAY)]
    assert done.verdict.level is Level.GOOD


def test_a_configured_goal_that_the_site_does_not_have_is_told_and_keeps_no_other_from_being_read() -> None:
    ledger = Ledger(sent(1, 5, will_count=5), sent(1, 5, "lead"))
    done = read_back(Site([WebflowGoal("1")], {"1": {1: 5}}), ledger, {NAME: "7", "lead": "1"}, 1, NOW)
    assert [finding.sentence for finding in done.findings] == [f"{NAME}: the site has no goal 7"]
    assert [one.sent.event_name for one in ledger.kept] == ["lead"]
    assert done.verdict.level is Level.ATTENTION


def test_an_event_name_of_two_destinations_is_not_read_back() -> None:
    ledger = Ledger(sent(1, 5, will_count=5), sent(1, 5, destination="other", will_count=5))
    done = read_back(Site(NAMED, {"2": {}}), ledger, {}, 1, NOW)
    assert [(finding.level, finding.sentence) for finding in done.findings] == [
        (Level.NOTE, f"{NAME}: goes to several Webflow connections (other, webflow_default), and a goal does not tell them apart: it is not read back")
    ]  # fmt: skip
    assert ledger.kept == []


def test_what_was_recorded_before_is_what_is_usual_and_is_read_anew() -> None:
    known = (*(day(number, 30, 100) for number in range(2, 8)), day(1, 30, 100))
    done = read_back(Site(NAMED, {"2": {1: 1}}), Ledger(sent(1, 100), known=known), {}, 1, NOW)
    assert [finding.cause for finding in done.findings] == [Cause.SHOWS_LITTLE]
    assert done.estimate.shown == 181


# Readings


def days(*rows: tuple[int, int, int, int], unknown: int = 0) -> list[Observation]:
    """What is shown, and what strict, wide and lenient expect, day by day."""
    return [
        Observation(
            day=TODAY - timedelta(days=number), shown=shown, expected=dict(zip(Reading, expected, strict=True)), unknown=unknown
        )
        for number, (shown, *expected) in enumerate(rows)
    ]


@pytest.mark.parametrize("best", Reading)
def test_the_reading_whose_numbers_webflow_shows_is_found(best: Reading) -> None:
    rows = [(10, 14, 19), (3, 5, 5), (0, 0, 2), (8, 8, 9), (20, 31, 33)]
    shown = [row[list(Reading).index(best)] for row in rows]
    found = estimate(days(*((count, *row) for count, row in zip(shown, rows, strict=True))))
    assert found.best is best
    assert found.distances[best] == 0
    assert found.sentence.startswith(f"{best.capitalize()} explains best what Webflow shows: on ")


def test_the_estimate_says_its_numbers() -> None:
    found = estimate(days(*[(10, 10, 15, 20)] * 4, (9, 10, 15, 20)))
    assert found.sentence == (
        "Strict explains best what Webflow shows: on 5 days Webflow shows 49 unique conversions; strict expects 50 and is off by 1; "
        "wide expects 75 and is off by 26; lenient expects 100 and is off by 51."
    )
    assert found.to_json()["best"] == "strict"


def test_a_day_with_too_many_does_not_make_up_for_one_with_too_few() -> None:
    found = estimate(days(*[(20, 10, 15, 10), (10, 20, 15, 10)] * 3))
    assert found.distances == {Reading.STRICT: 60, Reading.WIDE: 30, Reading.LENIENT: 30}


def test_below_five_days_with_conversions_nothing_is_said() -> None:
    found = estimate(days(*[(10, 10, 15, 20)] * 4, *[(0, 0, 0, 0)] * 20))
    assert (found.best, found.days) == (None, 4)
    assert found.sentence == "Not enough days yet to tell the readings apart: 4 with conversions, and it takes 5."
    assert estimate([]).best is None


def test_readings_that_agree_are_not_told_apart() -> None:
    found = estimate(days(*[(10, 10, 10, 10)] * 6))
    assert found.best is None
    assert found.sentence.startswith("No difference between the readings yet: on 6 days Webflow shows 60")


def test_two_readings_that_are_equally_near_are_both_named() -> None:
    found = estimate(days(*[(10, 10, 10, 20)] * 6))
    assert found.best is None
    assert found.sentence.startswith("Strict and wide explain best what Webflow shows: ")


def test_a_reading_that_is_nearest_and_yet_far_off_is_told_as_such() -> None:
    found = estimate(days(*[(2, 10, 15, 20)] * 6))
    assert found.sentence.startswith(
        "No reading explains what Webflow shows well, strict least badly: on 6 days Webflow shows 12"
    )


def test_users_without_a_verdict_may_be_credited_or_not() -> None:
    found = estimate(days(*[(12, 10, 15, 20)] * 6, unknown=2))
    assert found.distances == {Reading.STRICT: 0, Reading.WIDE: 18, Reading.LENIENT: 48}
    assert observed(day(1, 3, 9, unknown=4)).unknown == 4
