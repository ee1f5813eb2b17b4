"""A verdict says what Webflow's three readings say, no more than the visits tell, and what is final stays."""

import random
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webflow_conversions.rules import attribution
from webflow_conversions.rules.attribution import Coverage, judge, visits_frame
from webflow_conversions.rules.credit import Attribution, AttributionReason
from webflow_conversions.rules.states import Reason
from webflow_conversions.rules.window import to_milliseconds

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
NINE = to_milliseconds(datetime(2026, 11, 23, 9, tzinfo=UTC))
ALL = Coverage(complete_until_ms=NINE + 100 * DAY)
COLUMNS = ["started_at", "last_active_at", "first_viewed_at", "identified_at"]


def visit(start, last=None, viewed=None, user="ada", session=None, **more):
    """A visit with times relative to 9:00; without further words it has one activity, and a view with it."""
    moments = {
        "started_at": start,
        "last_active_at": start if last is None else last,
        "first_viewed_at": start if viewed is None else viewed,
        **more,
    }
    return {
        "user_domain": "shop",
        "user_id": user,
        "session_id": session,
        **{name: None if at is None or at == "null" else NINE + at for name, at in moments.items()},
    }


def frame(visits):
    columns = ["user_domain", "user_id", "session_id", *COLUMNS]
    rows = pd.DataFrame(visits, columns=columns, dtype=object)
    return rows.astype(dict.fromkeys(COLUMNS, "Int64"))


def verdict(t, *visits, coverage=ALL, users=("ada",)):
    conversions = pd.DataFrame(
        {"id": [7], "identity_key": ["card-1"], "action_timestamp_ms": pd.array([None if t is None else NINE + t], dtype="Int64")}
    )
    known = pd.DataFrame(
        [("card-1", "shop", user) for user in users], columns=["identity_key", "user_domain", "user_id"], dtype=object
    )
    [row] = judge(conversions, known, frame(visits), coverage).to_dict("records")
    return SimpleNamespace(**row)


def readings(found):
    return "".join(
        "?" if pd.isna(value) else "SWL"[place] if value else "-"
        for place, value in enumerate((found.strict, found.wide, found.lenient))
    )


# The edges, half open, to the millisecond


@pytest.mark.parametrize(
    ("t", "visits", "credited"),
    [
        pytest.param(0, [visit(0)], "---", id="view at the sale's millisecond"),
        pytest.param(1, [visit(0)], "SWL", id="view a millisecond before"),
        pytest.param(30 * MINUTE - 1, [visit(0)], "SWL", id="29:59.999 after the last activity"),
        pytest.param(30 * MINUTE, [visit(0)], "-WL", id="exactly 30:00"),
        pytest.param(DAY - 1, [visit(0, last=DAY)], "SWL", id="23:59:59.999 after the start"),
        pytest.param(DAY, [visit(0, last=DAY)], "--L", id="exactly 24:00:00.000"),
        pytest.param(DAY - 1, [visit(0)], "-WL", id="idle, 23:59:59.999 after the start"),
        pytest.param(DAY, [visit(0)], "--L", id="idle, exactly 24 hours"),
        pytest.param(10 * MINUTE, [visit(10 * MINUTE, viewed=0)], "SWL", id="at the visit's first millisecond"),
        pytest.param(10 * MINUTE - 1, [visit(10 * MINUTE, viewed=0)], "--L", id="a millisecond before the visit"),
        pytest.param(30 * DAY, [visit(0)], "--L", id="exactly history_days after the view"),
        pytest.param(30 * DAY + 1, [visit(0)], "---", id="a view older than history_days"),
        pytest.param(5 * MINUTE, [visit(0, viewed="null")], "---", id="no view"),
        pytest.param(5 * MINUTE, [visit(0, last="null")], "-WL", id="last activity not known"),
        pytest.param(5 * MINUTE, [visit("null", last=0, viewed=0)], "--L", id="start not known"),
        pytest.param(5 * MINUTE, [visit(0, last=-HOUR)], "-WL", id="ends before it starts"),
        pytest.param(2 * DAY, [visit(0, last=5 * DAY)], "--L", id="lasts for days"),
        pytest.param(5 * MINUTE, [visit(0), visit(0)], "SWL", id="twice"),
        pytest.param(5 * HOUR, [visit(0, last=6 * HOUR), visit(4 * HOUR, viewed=7 * HOUR)], "SWL", id="overlap"),
        pytest.param(5 * MINUTE, [visit(0, user="bob")], "---", id="another person"),
        pytest.param(5 * MINUTE, [visit(0, user=None)], "---", id="nobody"),
        pytest.param(5 * MINUTE, [], "---", id="no visits"),
    ],
)
def test_each_reading_has_its_edges(t, visits, credited):
    assert readings(verdict(t, *visits)) == credited


MAY, WILL, WONT, UNKNOWN = "may_count", "will_count", "will_not_count", "unknown"


@pytest.mark.parametrize(
    ("t", "visits", "expected"),
    [
        pytest.param(10 * MINUTE, [visit(0)], (WILL, None), id="in the session"),
        pytest.param(45 * MINUTE, [visit(0)], (MAY, "session_idle"), id="idle"),
        pytest.param(3 * DAY, [visit(0)], (MAY, "session_over_24h"), id="days later"),
        pytest.param(25 * HOUR, [visit(0, last=25 * HOUR)], (MAY, "session_over_24h"), id="a session of a day"),
        pytest.param(5 * HOUR + MINUTE, [visit(0), visit(5 * HOUR, viewed="null")], (MAY, "other_session"), id="in another session, the same day"),
        pytest.param(3 * DAY + MINUTE, [visit(0), visit(3 * DAY, viewed="null")], (MAY, "other_session"), id="in another session, days later"),
        pytest.param(10 * MINUTE, [visit(0, last=15 * MINUTE, viewed=20 * MINUTE)], (WONT, "viewed_later"), id="viewed later"),
        pytest.param(10 * MINUTE, [visit(0, viewed="null")], (WONT, "no_view"), id="no view"),
        pytest.param(10 * MINUTE, [], (WONT, "no_view"), id="no visit"),
        pytest.param(59_999, [visit(0, viewed=-5 * MINUTE)], (MAY, "edge"), id="59.999 s after the start"),
        pytest.param(60_000, [visit(0, viewed=-5 * MINUTE)], (WILL, None), id="60 s after the start"),
        pytest.param(60_000, [visit(0)], (MAY, "edge"), id="60 s after the view"),
        pytest.param(60_001, [visit(0)], (WILL, None), id="60.001 s after the view"),
        pytest.param(29 * MINUTE, [visit(0)], (MAY, "edge"), id="60 s before the end"),
        pytest.param(29 * MINUTE - 1, [visit(0)], (WILL, None), id="60.001 s before the end"),
        pytest.param(31 * MINUTE - 1, [visit(0)], (MAY, "edge"), id="59.999 s after the end"),
        pytest.param(31 * MINUTE, [visit(0)], (MAY, "session_idle"), id="60 s after the end"),
        pytest.param(10 * MINUTE - 30 * SECOND, [visit(10 * MINUTE, viewed=0)], (MAY, "edge"), id="30 s before the start"),
        pytest.param(-59_999, [visit(0)], (MAY, "edge"), id="59.999 s before the view"),
        pytest.param(-60_000, [visit(0)], (WONT, "viewed_later"), id="60 s before the view"),
        pytest.param(29 * MINUTE + 30 * SECOND, [visit(0), visit(10 * MINUTE, viewed=9 * MINUTE)], (WILL, None), id="an edge of one visit, inside another"),
        pytest.param(10 * MINUTE, [visit(0, identified_at=40 * MINUTE)], (MAY, "identified_later"), id="identified after the end"),
        pytest.param(10 * MINUTE, [visit(0, identified_at=30 * MINUTE)], (MAY, "identified_later"), id="identified at the end"),
        pytest.param(10 * MINUTE, [visit(0, identified_at=30 * MINUTE - 1)], (WILL, None), id="identified before the end"),
        pytest.param(10 * MINUTE, [visit(0, identified_at=40 * MINUTE), visit(0, identified_at=0, user="bob")], (WILL, None), id="on another device in time"),
        pytest.param(None, [visit(0)], (UNKNOWN, "not_loaded_yet"), id="no moment"),
    ],
)  # fmt: skip
def test_a_verdict_has_its_reason(t, visits, expected):
    found = verdict(t, *visits, users=("ada", "bob"))
    assert (found.attribution, found.attribution_reason) == expected


def test_without_a_known_user_nothing_is_known():
    found = verdict(10 * MINUTE, visit(0), users=())
    assert (found.attribution, found.attribution_reason, readings(found)) == (UNKNOWN, "not_loaded_yet", "???")


def test_without_a_goal_no_reading_credits_a_conversion():
    conversions = pd.DataFrame(
        {
            "id": [1, 2],
            "identity_key": ["k", "k"],
            "action_timestamp_ms": [NINE + 10 * MINUTE] * 2,
            "goal_reason": [None, Reason.GOAL_RENAMED],
        }
    )
    users = pd.DataFrame([("k", "shop", "ada")], columns=["identity_key", "user_domain", "user_id"])
    good, bad = judge(conversions, users, frame([visit(0)]), until(None)).itertuples()
    assert (good.attribution, readings(good)) == (WILL, "SWL")
    assert (bad.attribution, bad.attribution_reason, readings(bad), bad.is_final) == (
        WONT,
        AttributionReason.GOAL_RENAMED,
        "---",
        True,
    )
    assert bad.user_id == "ada"


# What is not loaded


def until(milliseconds, **more):
    return Coverage(complete_until_ms=None if milliseconds is None else NINE + milliseconds, **more)


@pytest.mark.parametrize(
    ("visits", "coverage", "expected"),
    [
        pytest.param([], until(HOUR), (WONT, "no_view", "---"), id="loaded up to the sale"),
        pytest.param([], until(HOUR - 1), (UNKNOWN, "not_loaded_yet", "???"), id="loaded up to the millisecond before"),
        pytest.param([], until(None), (UNKNOWN, "not_loaded_yet", "???"), id="loaded up to nobody knows when"),
        pytest.param([visit(40 * MINUTE)], until(None), (WILL, None, "SWL"), id="a positive needs no watermark"),
        pytest.param([visit(HOUR - 1)], until(None), (MAY, "edge", "SWL"), id="nor does one at an edge"),
        pytest.param([visit(0)], until(HOUR - 1), (UNKNOWN, "not_loaded_yet", "?WL"), id="positive under some readings, the rest not loaded"),
        pytest.param([visit(0)], until(HOUR), (MAY, "session_idle", "-WL"), id="positive under some readings, all loaded"),
        pytest.param([], until(HOUR, complete_from_ms=NINE + HOUR - 30 * DAY), (WONT, "no_view", "---"), id="history long enough"),
        pytest.param([], until(HOUR, complete_from_ms=NINE + HOUR - 30 * DAY + 1), (UNKNOWN, "not_loaded_yet", "--?"), id="history too short by a millisecond"),
        pytest.param([], until(HOUR, complete_from_ms=NINE), (UNKNOWN, "not_loaded_yet", "???"), id="history of an hour"),
        pytest.param([visit(2 * HOUR)], until(3 * HOUR, complete_from_ms=NINE - DAY), (UNKNOWN, "not_loaded_yet", "--?"), id="viewed later needs the history, too"),
        pytest.param([], until(HOUR, complete_from_ms=NINE - 2 * DAY, history_days=2), (WONT, "no_view", "---"), id="two days suffice where it is said"),
    ],
)  # fmt: skip
def test_a_negative_needs_complete_visits(visits, coverage, expected):
    found = verdict(HOUR, *visits, coverage=coverage)
    assert (found.attribution, found.attribution_reason, readings(found)) == expected


@pytest.mark.parametrize(("reported", "believed"), [(None, None), (0, 0), (60_000, 60_000), (60_001, None), (10**15, None)])
def test_an_end_of_the_data_in_the_future_is_not_believed(reported, believed):
    assert Coverage.at(NINE, complete_until_ms=reported and NINE + reported).complete_until_ms == (believed and NINE + believed)


@pytest.mark.parametrize("t", [10 * MINUTE, 29 * MINUTE, HOUR], ids=["positive", "edge", "idle"])
def test_a_verdict_other_than_will_count_is_final_when_every_session_around_it_is_over(t):
    """Whoever is identified later in a session has been its user all along."""
    is_positive = t == 10 * MINUTE
    assert verdict(t, visit(0), coverage=until(None)).is_final == is_positive
    assert verdict(t, visit(0), coverage=until(t + DAY - 1)).is_final == is_positive
    assert verdict(t, visit(0), coverage=until(t + DAY)).is_final
    assert not verdict(t, coverage=until(t + DAY - 1)).is_final
    assert verdict(t, coverage=until(t + DAY)).is_final
    assert not verdict(t, coverage=until(t - 1)).is_final


# The visit


def test_the_user_and_the_visit_that_credit_under_the_narrowest_reading_are_named():
    phone, desk = visit(0, user="phone", session="s1"), visit(2 * HOUR, user="desk", session="s2")
    found = verdict(2 * HOUR + 10 * MINUTE, phone, desk, users=("desk", "phone"))
    assert (found.user_domain, found.user_id, found.visit_id) == ("shop", "desk", "s2")
    found = verdict(10 * MINUTE, phone, desk, users=("desk", "phone"))
    assert (found.user_id, found.visit_id) == ("phone", "s1")
    found = verdict(20 * HOUR, phone, desk, users=("desk", "phone"))
    assert (found.user_id, found.visit_id) == ("desk", "s2")
    found = verdict(-HOUR, phone, desk, users=("desk", "phone"))
    assert (found.user_id, found.visit_id) == (None, None)


def test_a_visit_that_began_later_and_has_ended_is_not_the_one_that_credits():
    found = verdict(75 * MINUTE, visit(0, last=50 * MINUTE, session="long"), visit(40 * MINUTE, session="short"))
    assert (found.attribution, found.visit_id) == (WILL, "long")


def test_of_two_users_who_are_credited_alike_the_first_by_id_is_named():
    visits = [visit(0, user="bob"), visit(0, user="ada")]
    assert verdict(10 * MINUTE, *visits, users=("bob", "ada")).user_id == "ada"
    assert verdict(10 * MINUTE, *visits[::-1], users=("ada", "bob")).user_id == "ada"


def test_of_two_users_of_a_visit_the_one_identified_latest_before_the_conversion_is_named():
    t = 10 * MINUTE

    def named(ada, bob):
        return verdict(t, visit(0, identified_at=ada), visit(0, identified_at=bob, user="bob"), users=("bob", "ada")).user_id

    assert named(-DAY, -HOUR) == "bob"
    assert named(-HOUR, -DAY) == "ada"
    assert named(-DAY, t) == "bob"
    assert named(-DAY, t + 1) == "ada"
    assert named("null", -DAY) == "bob"
    assert named(t + 2, t + 1) == "ada"


@pytest.mark.parametrize(
    ("t", "visits", "minutes"),
    [
        pytest.param(30 * MINUTE - 1, [visit(0)], 29, id="floored"),
        pytest.param(30 * MINUTE, [visit(0)], 30, id="at the line"),
        pytest.param(10 * MINUTE, [visit(0, last=20 * MINUTE)], 0, id="while active"),
        pytest.param(3 * DAY, [visit(0), visit(2 * DAY, viewed="null", user="bob")], 24 * 60, id="of any user, without a view"),
        pytest.param(10 * MINUTE, [visit(0, last="null")], 10, id="the start is an activity"),
        pytest.param(-1, [visit(0)], None, id="none before"),
        pytest.param(31 * DAY, [visit(0)], None, id="none in history_days"),
        pytest.param(10 * MINUTE, [], None, id="none at all"),
    ],
)
def test_the_minutes_since_the_last_activity(t, visits, minutes):
    found = verdict(t, *visits, users=("ada", "bob"))
    assert (None if pd.isna(found.minutes_from_activity) else found.minutes_from_activity) == minutes


def test_a_key_that_many_users_share_is_judged_in_parts_as_at_once(monkeypatch):
    users = pd.DataFrame(
        [(key, "shop", f"u{number}") for key in "ab" for number in range(20)], columns=["identity_key", "user_domain", "user_id"]
    )
    conversions = pd.DataFrame(
        {
            "id": range(50),
            "identity_key": [*"abc"] * 16 + ["a"] * 2,
            "action_timestamp_ms": [NINE + number * MINUTE for number in range(50)],
        }
    )
    visits = frame([visit(number * MINUTE, user=f"u{number}", session=f"s{number}") for number in range(20)])
    at_once = judge(conversions, users, visits, ALL)
    monkeypatch.setattr(attribution, "MOST_PAIRS", 45)
    pd.testing.assert_frame_equal(judge(conversions, users, visits, ALL), at_once)


def test_what_is_not_there_is_none():
    conversions = pd.DataFrame(
        {"id": [1, 2], "identity_key": ["a", "a"], "action_timestamp_ms": [NINE + 10 * MINUTE, NINE - 10 * DAY]}
    )
    users = pd.DataFrame([("a", "shop", "ada")], columns=["identity_key", "user_domain", "user_id"])
    good, bad = judge(conversions, users, frame([visit(0, session="s1")]), ALL).itertuples()
    assert good.attribution_reason is None
    assert isinstance(good.attribution, Attribution)
    assert isinstance(bad.attribution_reason, AttributionReason)
    assert (bad.user_domain, bad.user_id, bad.visit_id) == (None, None, None)


def test_moments_far_away_are_judged():
    for far in (-(2**63), -(10**15), 10**15, 2**63 - 1 - NINE):
        moments = dict.fromkeys(COLUMNS, max(far + NINE, -(2**63)))
        assert (
            verdict(10 * MINUTE, visit(0), {"user_domain": "shop", "user_id": "ada", "session_id": None, **moments}).attribution
            == WILL
        )
    assert verdict(-NINE - 10**15, visit(0)).attribution == WONT
    assert verdict(10**15, visit(0), coverage=until(10**16)).attribution == WONT


def test_the_order_of_the_conversions_stays_and_many_are_judged_at_once():
    conversions = pd.DataFrame(
        {"id": [3, 1, 2], "identity_key": ["b", "a", "c"], "action_timestamp_ms": [NINE + 5 * MINUTE, NINE + 45 * MINUTE, NINE]},
        index=[9, 9, 4],
    )
    users = pd.DataFrame(
        [("a", "shop", "ada"), ("b", "shop", "ada"), ("a", "shop", "ada")], columns=["identity_key", "user_domain", "user_id"]
    )
    found = judge(conversions, users, frame([visit(0)]), ALL)
    assert found["id"].tolist() == [3, 1, 2]
    assert found["attribution"].tolist() == [WILL, MAY, UNKNOWN]


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        ("2026-11-23 09:00:00", NINE),
        ("2026-11-23T10:00:00+01:00", NINE),
        ("2026-11-23 04:00:00-05", NINE),
        ("2026-11-23 09:00:00.0019999", NINE + 1),
        ("20261123T090000Z", NINE),
        ("2026-11-23", NINE - 9 * HOUR),
        (date(2026, 11, 23), NINE - 9 * HOUR),
        (datetime(2026, 11, 23, 9, tzinfo=UTC), NINE),
        (datetime(2026, 11, 23, 9), NINE),
        (pd.Timestamp("2026-11-23 09:00", tz="UTC"), NINE),
        (NINE, NINE),
        (NINE // 1000, NINE),
        (NINE / 1000, NINE),
        (Decimal(NINE), NINE),
        (str(NINE), NINE),
        (str(NINE // 1000), NINE),
        ("infinity", None),
        ("-infinity", None),
        ("0044-03-15 12:00:00 BC", None),
        ("soon", None),
        ("", None),
        (None, None),
        (float("nan"), None),
        (pd.NaT, None),
    ],
)
def test_moments_of_the_query_are_read_whatever_the_driver_returns(value, milliseconds):
    chunk = {name: pd.Series([value, "2026-11-23 09:00:00+00"], dtype=object) for name in ("user_domain", "user_id", *COLUMNS)}
    rows = visits_frame([chunk, chunk])
    for name in COLUMNS:
        assert rows[name].dtype == "Int64"
        assert [None if pd.isna(found) else found for found in rows[name]] == [milliseconds, NINE] * 2
    assert "session_id" not in rows


def test_ids_of_the_query_are_text():
    chunk = {
        name: pd.Series([72349876, 72349876.0, "72349876", None, ""], dtype=object)
        for name in ("user_domain", "user_id", "session_id", "started_at", "last_active_at", "first_viewed_at")
    }
    rows = visits_frame([chunk])
    for name in ("user_domain", "user_id", "session_id"):
        assert rows[name].tolist() == ["72349876"] * 3 + [None] * 2
    assert "identified_at" not in rows


def test_a_query_without_rows_is_judged():
    rows = visits_frame([])
    assert rows.empty
    conversions = pd.DataFrame({"id": [7], "identity_key": ["card-1"], "action_timestamp_ms": [NINE]})
    users = pd.DataFrame([("card-1", "shop", "ada")], columns=["identity_key", "user_domain", "user_id"])
    assert judge(conversions, users, rows, ALL)["attribution_reason"].tolist() == ["no_view"]
    assert judge(conversions[:0], users, rows, ALL).empty
    assert judge(conversions[:0], users[:0], rows, ALL).empty


# Against a reader of the rule who goes row by row


def credits_strictly(visit, t):
    return credits_widely(visit, t) and visit["last_active_at"] is not None and t - visit["last_active_at"] < 30 * MINUTE


def credits_widely(visit, t):
    start = visit["started_at"]
    return credits_leniently(visit, t) and start is not None and 0 <= t - start < 24 * HOUR


def credits_leniently(visit, t):
    viewed = visit["first_viewed_at"]
    return viewed is not None and 0 < t - viewed <= 30 * DAY


def read_row_by_row(t, visits, complete):
    """(verdict, strict, wide, lenient) of one conversion."""
    strict, wide, lenient = (
        any(rule(visit, t) for visit in visits) for rule in (credits_strictly, credits_widely, credits_leniently)
    )

    def is_safe(visit):
        identified, last, start = visit["identified_at"], visit["last_active_at"], visit["started_at"]
        if not all(credits_strictly(visit, t + shift) for shift in (-MINUTE, 0, MINUTE)):
            return False
        return identified is None or (identified - last < 30 * MINUTE and identified - start < 24 * HOUR)

    if any(is_safe(visit) for visit in visits):
        return WILL, strict, wide, lenient
    if strict:
        return MAY, strict, wide, lenient
    if not complete:
        return UNKNOWN, None, wide or None, lenient or None
    if (
        lenient
        or any(credits_strictly(visit, t - shift) for visit in visits for shift in (-MINUTE, MINUTE))
        or any(credits_leniently(visit, t + MINUTE) for visit in visits)
    ):
        return MAY, strict, wide, lenient
    return WONT, strict, wide, lenient


coarse = st.one_of(
    st.integers(-3, 60).map(lambda minutes: minutes * MINUTE),
    st.sampled_from([0, HOUR, DAY - 30 * MINUTE, DAY, DAY + MINUTE, 2 * DAY, 30 * DAY, 31 * DAY, -DAY]),
)
moments = st.builds(int.__add__, coarse, st.sampled_from([0, 0, 0, -1, 1]))
maybe = st.one_of(moments, moments, moments, st.none())


@st.composite
def drawn_visits(draw, users="abc"):
    start = draw(maybe)
    from_start = st.one_of(st.none(), st.builds(int.__add__, st.just(start or 0), moments))
    return {
        "user_domain": "shop", "user_id": draw(st.sampled_from(users)), "session_id": None,
        "started_at": None if start is None else NINE + start,
        **{name: draw(from_start.map(lambda at: None if at is None else NINE + at)) for name in COLUMNS[1:]},
    }  # fmt: skip


keys = {"k1": "a", "k2": "bc", "k3": "c", "k4": ""}
conversions_drawn = st.lists(st.tuples(st.sampled_from([*keys]), moments), min_size=1, max_size=8)


def judged(sales, visits, coverage):
    conversions = pd.DataFrame(
        {"id": range(len(sales)), "identity_key": [key for key, _ in sales], "action_timestamp_ms": [NINE + t for _, t in sales]}
    )
    users = pd.DataFrame(
        [(key, "shop", user) for key, of_key in keys.items() for user in of_key],
        columns=["identity_key", "user_domain", "user_id"],
    )
    return judge(conversions, users, frame(visits), coverage)


def as_read(row):
    return (row.attribution, *(None if pd.isna(value) else value for value in (row.strict, row.wide, row.lenient)))


@settings(deadline=None, max_examples=150)
@given(sales=conversions_drawn, visits=st.lists(drawn_visits(), max_size=12), loaded=coarse)
def test_the_verdicts_are_those_of_a_reader_who_goes_row_by_row(sales, visits, loaded):
    found = judged(sales, visits, until(loaded))
    for (key, t), row in zip(sales, found.itertuples(), strict=True):
        own = [visit for visit in visits if visit["user_id"] in keys[key]]
        assert as_read(row) == read_row_by_row(NINE + t, own, t <= loaded and keys[key] != "")


def test_a_large_frame_is_read_as_row_by_row():
    """Many users and visits, one of whom has 10,000: places in sorted arrays are right far from their start, too."""
    dice = random.Random(5)

    def some(spread):
        return dice.choice([0, MINUTE, 30 * MINUTE, DAY]) + dice.randrange(-spread, spread)

    visits = []
    for number in range(20_000):
        start = dice.randrange(-10 * DAY, 2 * DAY)
        visits.append(
            visit(
                start,
                last=start + some(HOUR),
                viewed=dice.choice([start + some(MINUTE), "null"]),
                user="many" if number < 10_000 else f"u{number % 3_000}",
                identified_at=start + some(HOUR),
            )
        )
    sales = [(dice.choice(["many", f"u{dice.randrange(3_500)}"]), dice.randrange(-2 * DAY, 2 * DAY)) for _ in range(3_000)]
    users = pd.DataFrame(
        [(user, "shop", user) for user in {user for user, _ in sales}], columns=["identity_key", "user_domain", "user_id"]
    )
    found = judge(
        pd.DataFrame(
            {
                "id": range(len(sales)),
                "identity_key": [user for user, _ in sales],
                "action_timestamp_ms": [NINE + t for _, t in sales],
            }
        ),
        users,
        frame(visits),
        ALL,
    )
    of_user = {}
    for one in visits:
        of_user.setdefault(one["user_id"], []).append(one)
    expected = [read_row_by_row(NINE + t, of_user.get(user, []), True) for user, t in sales]
    assert [as_read(row) for row in found.itertuples()] == expected
    assert {row[0] for row in expected} == {WILL, MAY, WONT}


# More data never overturns what is final


@st.composite
def grown(draw):
    """Visits, and the same ones after more was loaded: more visits, later activity, earlier views, each beyond what was complete."""
    loaded = draw(coarse)
    full = draw(st.lists(drawn_visits(), max_size=10))

    def is_out(at):
        return at is not None and at > NINE + loaded

    earlier = []
    for one in full:
        if is_out(one["started_at"]):
            if one["first_viewed_at"] is not None and not is_out(one["first_viewed_at"]):
                one["first_viewed_at"] = one["started_at"]  # what is loaded is complete: a view in it has its visit in it
            if draw(st.booleans()):
                earlier.append(one)
            continue
        known = dict(one)
        if is_out(one["last_active_at"]) and draw(st.booleans()):
            known["last_active_at"] = max(one["started_at"] or 0, NINE + loaded - draw(st.integers(0, 30 * MINUTE - 1)))
        if is_out(one["first_viewed_at"]) and draw(st.booleans()):
            known["first_viewed_at"] = None
        if known["started_at"] is None and known["first_viewed_at"] is None:
            known["first_viewed_at"] = one["first_viewed_at"]
        earlier.append(known)
    return loaded, earlier, full


@settings(deadline=None, max_examples=150)
@given(sales=conversions_drawn, growth=grown(), later=st.integers(0, 3 * DAY))
def test_more_data_never_overturn_what_is_final(sales, growth, later):
    loaded, earlier, full = growth
    before, after = judged(sales, earlier, until(loaded)), judged(sales, full, until(loaded + later))
    for was, now in zip(before.itertuples(), after.itertuples(), strict=True):
        if was.attribution == WILL:
            assert now.attribution == WILL
        if was.attribution == WONT:
            assert now.attribution != WILL
            assert not any(value is True for value in (now.strict, now.wide, now.lenient))
        if was.is_final and was.attribution == MAY:
            assert now.attribution == MAY
        for name in ("strict", "wide", "lenient"):
            if not pd.isna(getattr(was, name)):
                assert bool(getattr(now, name)) == bool(getattr(was, name))


def test_every_verdict_but_will_count_has_a_reason():
    for t in range(-2 * HOUR, 26 * HOUR, 37 * MINUTE):
        for visits in ([], [visit(0)], [visit(0), visit(3 * HOUR, viewed="null")], [visit(0, identified_at=DAY)]):
            found = verdict(t, *visits)
            assert (found.attribution is Attribution.WILL_COUNT) == (found.attribution_reason is None)
            assert found.attribution_reason is None or isinstance(found.attribution_reason, AttributionReason)
