"""What will count is judged before it is sent, and again while more data can change it."""

from datetime import timedelta
from typing import Any

import pytest

from tests.night import NOW, Night
from webflow_conversions.errors import Unusable
from webflow_conversions.ledger.attribution import AttributionOfRun
from webflow_conversions.pipeline.attribution import Judged, Policy
from webflow_conversions.rules.window import Window

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
HOLD, SKIP = Policy(holds_unknown=True), Policy(skips_useless=True)


@pytest.fixture
def site(night: Night) -> Night:
    """A warehouse with visits, loaded up to now."""
    night.sql(
        "CREATE TABLE visits (user_domain text, user_id text, session_id text, started_at timestamptz, last_active_at timestamptz,"
        " first_viewed_at timestamptz);"
        "CREATE TABLE loaded (moment timestamptz)"
    )
    load(night)
    night.person()
    return night


def load(night: Night, *, ago: timedelta = timedelta()) -> None:
    """The visits are loaded up to so long ago."""
    night.sql("DELETE FROM loaded")
    night.sql("INSERT INTO loaded VALUES (%s)", night.clock.at - ago)


def visit(night: Night, *, ago: timedelta, user_id: str = "u1", lasts: timedelta = 10 * MINUTE, views: bool = True) -> None:
    start = NOW - ago
    viewed = start + MINUTE if views else None
    night.sql("INSERT INTO visits VALUES (%s, %s, %s, %s, %s, %s)", "crm", user_id, f"s-{user_id}", start, start + lasts, viewed)


def verdict(night: Night, conversion_id: str = "a") -> tuple[str | None, str | None]:
    row = night.row(conversion_id)
    return row.attribution, row.attribution_reason


def judged(night: Night, name: str = "run", policy: Policy = Policy()) -> Judged:  # noqa: B008
    return night.attribute(night.read(name), policy)


def told(night: Night) -> list[Any]:
    return night.sql("SELECT detail FROM webflow.history WHERE what = 'judged' ORDER BY id")


def test_a_sale_during_a_visit_with_a_view_will_count_and_says_by_which_visit(site: Night) -> None:
    site.sale("a", ago=HOUR)
    visit(site, ago=HOUR + 8 * MINUTE, lasts=5 * MINUTE)
    assert judged(site) == Judged(will_count=1)
    row = site.row("a")
    start = int((NOW - HOUR - 8 * MINUTE).timestamp() * 1000)
    assert (row.state, row.attribution, row.attribution_reason) == ("ready", "will_count", None)
    assert (row.visit_id, row.minutes_from_activity, row.attribution_judged_at) == ("s-u1", 3, NOW)
    assert row.visit == {
        "started_at": start,
        "last_active_at": start + 300_000,
        "first_viewed_at": start + 60_000,
        "readings": ["strict", "wide", "lenient"],
    }


def test_the_user_of_the_visit_that_credits_it_goes_out(site: Night) -> None:
    site.person("k1", "u2", ago=timedelta(days=1))
    site.sale("a", ago=HOUR)
    visit(site, ago=HOUR + 5 * MINUTE, user_id="u1")
    run = site.read()
    assert site.row("a").user_id == "u2"
    site.attribute(run)
    assert site.row("a").user_id == "u1"


@pytest.mark.parametrize("went_out", ["state = 'accepted'", "state = 'sending'", "attempts = 1, attempts_in_doubt = 1"])
@pytest.mark.parametrize(("visitor", "expected"), [("u1", ("will_not_count", "no_view")), ("u2", ("will_count", None))])
def test_what_went_out_keeps_its_user_and_is_judged_by_this_one_alone(
    site: Night, went_out: str, visitor: str, expected: tuple[str, str | None]
) -> None:
    site.person("k1", "u2", ago=timedelta(days=1))
    site.sale("a", ago=HOUR)
    load(site, ago=2 * HOUR)
    judged(site)
    site.sql(f"UPDATE webflow.conversions SET {went_out}")
    visit(site, ago=HOUR + 5 * MINUTE, user_id=visitor)
    site.clock.at = NOW + MINUTE
    load(site)
    judged(site, "second")
    assert (site.row("a").user_id, verdict(site)) == ("u2", expected)


def test_a_verdict_changes_no_state_unless_the_configuration_says_so(site: Night) -> None:
    site.sale("never", ago=HOUR)
    site.sale("later", ago=MINUTE)
    load(site, ago=30 * MINUTE)
    assert judged(site) == Judged(will_not_count=1, unknown=1)
    assert site.states() == {"never": ("ready", None), "later": ("ready", None)}
    assert verdict(site, "never") == ("will_not_count", "no_view")
    assert verdict(site, "later") == ("unknown", "not_loaded_yet")


@pytest.mark.parametrize("state", ["ready", "accepted", "sending"])
def test_what_is_unknown_is_judged_again_once_the_visits_are_loaded(site: Night, state: str) -> None:
    site.sale("a", ago=HOUR)
    load(site, ago=2 * HOUR)
    judged(site)
    assert verdict(site) == ("unknown", "not_loaded_yet")
    site.sql("UPDATE webflow.conversions SET state = %s", state)
    visit(site, ago=HOUR + 5 * MINUTE)
    site.clock.at = NOW + 20 * HOUR
    load(site)
    judged(site, "second")
    assert verdict(site) == ("will_count", None)
    assert (site.row("a").state, told(site)) == (state, [("will_count, was unknown",)])
    assert judged(site, "third").unknown == 0
    assert len(told(site)) == 1


@pytest.mark.parametrize("state", ["accepted", "sending"])
def test_what_will_not_count_is_judged_again_since_a_visitor_may_be_identified_later(site: Night, state: str) -> None:
    site.sale("a", ago=HOUR)
    judged(site)
    assert verdict(site) == ("will_not_count", "no_view")
    site.sql("UPDATE webflow.conversions SET state = %s", state)
    visit(site, ago=HOUR + 5 * MINUTE)
    site.clock.at = NOW + 20 * HOUR
    load(site)
    judged(site, "second")
    assert (verdict(site), told(site)) == (("will_count", None), [("will_count, was will_not_count",)])


def test_a_verdict_that_is_not_final_is_left_alone_after_three_days(site: Night) -> None:
    site.sale("a", ago=HOUR)
    load(site, ago=2 * HOUR)
    judged(site)
    site.sql("UPDATE webflow.conversions SET state = 'accepted'")
    site.clock.at = NOW + 72 * HOUR
    load(site)
    assert judged(site, "second") == Judged()


def test_another_moment_is_another_question(site: Night) -> None:
    site.sale("a", ago=HOUR)
    visit(site, ago=HOUR + 5 * MINUTE)
    judged(site)
    site.sql("UPDATE sales SET occurred_at = %s", NOW - 20 * HOUR)
    judged(site, "second")
    assert verdict(site) == ("will_not_count", "viewed_later")


def test_with_hold_what_is_unknown_waits_one_night_and_no_longer(site: Night) -> None:
    site.sale("new", ago=HOUR)
    site.sale("old", ago=25 * HOUR)
    load(site, ago=30 * HOUR)
    assert judged(site, policy=HOLD) == Judged(unknown=2, held=1)
    assert site.states() == {"new": ("held", "not_loaded_yet"), "old": ("ready", None)}
    site.clock.at = NOW + 24 * HOUR
    load(site, ago=50 * HOUR)
    assert judged(site, "second", HOLD).held == 0
    assert site.states()["new"] == ("ready", None)


def test_with_hold_nothing_waits_that_the_next_night_s_run_could_be_too_late_for(site: Night) -> None:
    site.sale("sent", ago=22 * HOUR + timedelta(milliseconds=1))
    site.sale("held", ago=22 * HOUR - MINUTE)
    load(site, ago=30 * HOUR)
    judged(site, policy=HOLD)
    assert site.states() == {"sent": ("ready", None), "held": ("held", "not_loaded_yet")}


@pytest.mark.parametrize("also", ["", "DELETE FROM sales"])
def test_what_is_held_for_its_visits_and_loses_its_user_waits_for_its_user(site: Night, also: str) -> None:
    site.sale("a")
    load(site, ago=2 * HOUR)
    judged(site, policy=HOLD)
    site.sql(f"DELETE FROM people; {also}")
    site.clock.at = NOW + HOUR
    judged(site, "second", HOLD)
    row = site.row("a")
    assert (row.state, row.reason, row.user_id, row.attribution) == ("held", "unknown_user", None, None)
    assert site.sql("SELECT what FROM webflow.history") == [("user_gone",)]


@pytest.mark.parametrize("also", ["", "DELETE FROM sales"])
@pytest.mark.parametrize("user", ["u9", None])
def test_another_user_is_another_question_also_where_the_visits_cannot_be_read(site: Night, user: str | None, also: str) -> None:
    site.sale("a")
    visit(site, ago=HOUR + 5 * MINUTE)
    judged(site)
    assert verdict(site) == ("will_count", None)
    site.sql(f"DELETE FROM people; {also}")
    if user is not None:
        site.person("k1", user)
    site.clock.at = NOW + HOUR
    run = site.read("second")
    AttributionOfRun(site.session, site.session, run, {site.rules.destination: run.sources}).give_up(site.clock.at)
    row = site.row("a")
    assert (row.user_id, row.visit_id, row.visit, row.minutes_from_activity) == (user, None, None, None)
    assert verdict(site) == (("unknown", "not_loaded_yet") if user else (None, None))


@pytest.mark.parametrize("policy", [HOLD, SKIP])
def test_what_follows_from_a_verdict_concerns_the_window_of_the_run_alone(site: Night, policy: Policy) -> None:
    site.sale("outside", ago=2 * HOUR)
    site.sale("inside", ago=HOUR)
    load(site, ago=40 * HOUR)
    judged(site)
    site.clock.at = NOW + MINUTE
    load(site, ago=40 * HOUR if policy is HOLD else timedelta())
    window = Window(start=NOW - HOUR, end=NOW)
    site.attribute(site.begin("second", window=window), policy)
    assert site.states()["outside"] == ("ready", None)
    assert site.states()["inside"] != ("ready", None)


def test_with_hold_it_goes_out_with_the_user_of_its_visit_once_that_is_known(site: Night) -> None:
    site.sale("a", ago=HOUR)
    load(site, ago=2 * HOUR)
    judged(site, policy=HOLD)
    site.sql("DELETE FROM sales")
    visit(site, ago=HOUR + 5 * MINUTE)
    site.clock.at = NOW + 24 * HOUR
    load(site)
    judged(site, "second", HOLD)
    assert (site.row("a").state, site.row("a").user_id, verdict(site)) == ("ready", "u1", ("will_count", None))
    assert site.sql("SELECT count(*) FROM webflow.history WHERE what LIKE 'user%%'") == [(0,)]


def test_with_skip_what_no_reading_credits_is_rejected_each_night_anew(site: Night) -> None:
    site.sale("never", ago=HOUR)
    site.sale("too early", ago=3 * HOUR, key="k2")
    site.person("k2", "u2")
    visit(site, ago=2 * HOUR, user_id="u2")
    for name in ("first", "second"):
        judged(site, name, SKIP)
        assert site.states() == {"never": ("rejected", "no_view"), "too early": ("rejected", "viewed_later")}
    assert site.row("never").settled_at == NOW


def test_ids_that_the_visits_have_none_of_reject_nothing(site: Night) -> None:
    for number in range(20):
        site.sale(f"c{number}", ago=HOUR)
    visit(site, ago=HOUR, user_id="webflows-own-id")
    done = judged(site, policy=SKIP)
    assert (done.unknown, done.skipped, done.without_visits) == (20, 0, 20)
    assert done.hint == "the visits have none of the users of 20 conversions: nothing was judged by them"


def test_visits_that_cannot_be_read_leave_a_question_for_the_next_run(site: Night) -> None:
    site.sale("a", ago=HOUR)
    visit(site, ago=HOUR + 5 * MINUTE)
    run = site.read()
    site.clock.at = NOW + MINUTE
    AttributionOfRun(site.session, site.session, run, {site.rules.destination: run.sources}).give_up(site.clock.at)
    assert verdict(site) == ("unknown", "not_loaded_yet")
    site.clock.at = NOW + HOUR
    load(site)
    judged(site, "second")
    assert verdict(site) == ("will_count", None)


@pytest.mark.parametrize("moments", [[], [NOW, NOW]])
def test_the_end_of_the_visits_is_one_moment(site: Night, moments: list[Any]) -> None:
    site.sql("DELETE FROM loaded")
    for moment in moments:
        site.sql("INSERT INTO loaded VALUES (%s)", moment)
    with pytest.raises(Unusable, match=rf"attribution\.complete_until returned {len(moments)} rows: let it return one"):
        site.visits.coverage(NOW)


@pytest.mark.parametrize("moment", [None, NOW + 2 * HOUR])
def test_an_end_that_is_not_known_or_in_the_future_is_not_believed(site: Night, moment: Any) -> None:
    site.sql("UPDATE loaded SET moment = %s", moment)
    site.sale("a", ago=HOUR)
    judged(site)
    assert verdict(site) == ("unknown", "not_loaded_yet")


def test_a_query_of_known_users_with_former_columns_is_refused(site: Night) -> None:
    site.people_sql = "SELECT *, identified_at AS viewed_at FROM people WHERE identity_key IN :identity_keys"
    with pytest.raises(Unusable, match=r"returns viewed_at, which is no longer read.*attribution\.visits"):
        site.users.check()
