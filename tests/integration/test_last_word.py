"""What the source, and the table of known users, says now counts until a request has left."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.night import DESTINATION, LIMITS, NOW, Night
from webflow_conversions.pipeline.guards import objections
from webflow_conversions.pipeline.identified import SourceIdentified
from webflow_conversions.pipeline.reconciliation import source_counts
from webflow_conversions.pipeline.run import Run
from webflow_conversions.pipeline.verdict import of_waiting
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.window import Window
from webflow_conversions.warehouse.reader import Warehouse

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ALL = {"returns_all": {"sales"}, "limits": LIMITS}


def again(night: Night, name: str = "second", *, window: Window | None = None, **options: Any) -> Run:
    """Another run up to the push."""
    run = night.begin(name, window=window)
    night.extract(run)
    night.identify(run, **options)
    return run


def found(night: Night, run: Run) -> SourceIdentified:
    return night.runs.accounts(run, {DESTINATION: run.sources}, night.clock.at)["sales"].identified


def stopped_by(night: Night, run: Run) -> list[str]:
    """What the guards say of a run."""
    counts = source_counts(night.runs.accounts(run, {DESTINATION: run.sources}, night.clock.at))
    return objections(counts, {}, LIMITS, whole_window=True)


def told(night: Night, conversion_id: str) -> list[tuple[str, str | None]]:
    """The history of a conversion."""
    return night.sql(
        "SELECT what, h.detail FROM webflow.history h JOIN webflow.conversions c ON c.id = h.conversion"
        " WHERE conversion_id = %s ORDER BY h.id",
        conversion_id,
    )


# Withdrawn


@pytest.fixture
def waiting(night: Night) -> Night:
    """A night after which one conversion is ready, one waits for its user, and one for its time."""
    night.person()
    night.sale("ready")
    night.sale("held", key="k2")
    night.sale("other")
    night.read("first")
    return night


@pytest.mark.parametrize("gone", ["ready", "held"])
def test_what_a_source_that_promises_all_no_longer_returns_is_withdrawn_and_comes_back_with_its_row(
    waiting: Night, gone: str
) -> None:
    before = waiting.states()
    (row,) = waiting.sql(
        "DELETE FROM sales WHERE conversion_id = %s RETURNING conversion_id, occurred_at, identity_key, value", gone
    )
    run = again(waiting, **ALL)
    assert waiting.states() == before | {gone: ("withdrawn", "no_longer_in_source")}
    assert waiting.row(gone).settled_at == NOW
    assert found(waiting, run).withdrawn == Amount(rows=1, value=row[3])
    waiting.sql("INSERT INTO sales VALUES (%s, %s, %s, %s)", *row)
    third = again(waiting, "third", **ALL)
    assert waiting.states() == before
    assert waiting.row(gone).settled_at is None
    assert [what for what, _ in told(waiting, gone)] == ["withdrawn", "returned"]
    assert waiting.runs.accounts(third, {DESTINATION: third.sources}, NOW)["sales"].returned == 1


def test_what_comes_due_in_the_window_and_is_gone_is_withdrawn(night: Night) -> None:
    night.person()
    night.sale("future", ago=-2 * HOUR)
    night.sale("other")
    night.read("first")
    night.sql("DELETE FROM sales WHERE conversion_id = 'future'")
    again(night, "still in the future", **ALL)
    assert night.states()["future"] == ("future", None)
    night.clock.at = NOW + 3 * HOUR
    again(night, "third", **ALL)
    assert night.states()["future"] == ("withdrawn", "no_longer_in_source")


def test_without_the_promise_it_goes_out_and_is_counted(waiting: Night) -> None:
    before = waiting.states()
    waiting.sql("DELETE FROM sales WHERE conversion_id <> 'other'")
    run = again(waiting)
    assert waiting.states() == before
    assert found(waiting, run).unseen == Amount(rows=2, value=20)


def test_what_lies_outside_the_window_of_the_run_is_not_withdrawn(waiting: Night) -> None:
    waiting.sale("older", ago=30 * HOUR)
    again(waiting, "second")
    waiting.sql("DELETE FROM sales WHERE conversion_id IN ('ready', 'older')")
    again(waiting, "third", window=Window(start=NOW - 2 * HOUR, end=NOW), **ALL)
    assert waiting.states()["older"] == ("ready", None)
    assert waiting.states()["ready"] == ("withdrawn", "no_longer_in_source")


def test_what_another_run_added_since_the_extraction_began_is_not_withdrawn(waiting: Night) -> None:
    run = waiting.begin("second")
    waiting.extract(run)
    waiting.clock.at += timedelta(seconds=1)
    waiting.sale("late")
    waiting.read("beside")
    waiting.identify(run, **ALL)
    assert waiting.states()["late"] == ("ready", None)


def test_what_was_accepted_or_may_have_been_is_not_withdrawn_unless_it_would_go_out_again(waiting: Night) -> None:
    waiting.sale("sent")
    waiting.sale("in doubt")
    waiting.sale("sending")
    again(waiting, "second")
    for name, state, doubts in (("sent", "accepted", 0), ("in doubt", "ready", 1), ("sending", "sending", 0)):
        waiting.sql(
            "UPDATE webflow.conversions SET state = %s, attempts = 1, attempts_in_doubt = %s WHERE conversion_id = %s",
            state,
            doubts,
            name,
        )
    waiting.sql("DELETE FROM sales WHERE conversion_id IN ('sent', 'in doubt', 'sending')")
    again(waiting, "third", **ALL)
    states = waiting.states()
    assert (states["sent"], states["sending"]) == (("accepted", None), ("sending", None))
    assert states["in doubt"] == ("withdrawn", "no_longer_in_source")
    waiting.sale("in doubt")
    again(waiting, "fourth", **ALL)
    assert waiting.states()["in doubt"] == ("ready", None)
    assert waiting.row("in doubt").attempts_in_doubt == 1


def test_a_corrected_id_withdraws_the_old_one(waiting: Night) -> None:
    waiting.sql("UPDATE sales SET conversion_id = 'corrected' WHERE conversion_id = 'ready'")
    again(waiting, **ALL)
    assert waiting.states()["ready"] == ("withdrawn", "no_longer_in_source")
    assert waiting.states()["corrected"] == ("ready", None)


def test_an_extraction_that_returned_nothing_withdraws_nothing_and_stops_the_run(waiting: Night) -> None:
    before = waiting.states()
    waiting.sql("DELETE FROM sales")
    run = again(waiting, **ALL)
    assert waiting.states() == before
    (objection,) = stopped_by(waiting, run)
    assert "returned no rows at all: 3 conversions (30.00) that wait are not among them" in objection


@pytest.mark.parametrize(("left", "is_stopped"), [(12, False), (11, True)])
def test_an_extraction_that_lost_more_than_a_share_withdraws_nothing_and_stops_the_run(
    night: Night, left: int, is_stopped: bool
) -> None:
    night.ready(24, name="first")
    night.sql("DELETE FROM sales WHERE substr(conversion_id, 2)::int > %s", left)
    run = again(night, **ALL)
    states = [state for state, _ in night.states().values()]
    assert states.count("withdrawn") == (0 if is_stopped else 24 - left)
    assert bool(stopped_by(night, run)) is is_stopped
    forced = again(night, "forced", force=True, **ALL)
    assert [state for state, _ in night.states().values()].count("withdrawn") == 24 - left
    assert stopped_by(night, forced) == []


def test_a_second_try_keeps_what_the_first_one_found(waiting: Night) -> None:
    waiting.sql("DELETE FROM sales WHERE conversion_id = 'ready'")
    run = again(waiting, **ALL)
    waiting.identify(run, just_asked=False, **ALL)
    assert found(waiting, run).withdrawn.rows == 1


# Corrected


def test_a_correction_that_moves_a_row_out_of_what_is_recorded_counts(waiting: Night) -> None:
    waiting.sql("UPDATE sales SET occurred_at = %s WHERE conversion_id = 'ready'", NOW - 40 * DAY)
    run = waiting.begin("second")
    tally = waiting.extract(run)
    waiting.identify(run)
    assert waiting.states()["ready"] == ("expired", "expired_before_seen")
    assert (tally.read.rows, tally.recorded.rows, tally.too_old.rows) == (3, 2, 1)
    assert tally.adds_up
    assert [problem for problem in waiting.problems(run) if "ready, not sent" not in problem] == []


def test_a_correction_that_moves_a_row_out_of_the_window_counts(waiting: Night) -> None:
    today = Window(start=NOW - 2 * HOUR, end=NOW)
    waiting.sql("UPDATE sales SET occurred_at = %s WHERE conversion_id = 'ready'", NOW - 30 * HOUR)
    run = waiting.begin("second", window=today)
    tally = waiting.extract(run)
    waiting.identify(run)
    row = waiting.row("ready")
    assert (row.state, row.action_timestamp_ms) == ("ready", int((NOW - 30 * HOUR).timestamp() * 1000))
    account = waiting.runs.accounts(run, {DESTINATION: run.sources}, NOW)["sales"]
    assert sum(amount.rows for amount in account.ready.values()) == 1
    assert (tally.read.rows, tally.recorded.rows, tally.outside.rows) == (3, 2, 1)
    assert tally.adds_up


@pytest.mark.parametrize(("user_id", "value"), [("undefined", 10), ("u1", -1)], ids=["unfit user", "unfit value"])
def test_what_expired_and_has_a_corrected_moment_is_judged_anew_although_it_cannot_be_sent_yet(
    night: Night, user_id: str, value: int
) -> None:
    night.person(user_id=user_id)
    night.sale("a", ago=50 * HOUR)
    night.read("first")
    night.sql("UPDATE sales SET occurred_at = %s, value = %s", NOW - HOUR, value)
    again(night, "second")
    assert night.states()["a"][0] == "rejected"
    night.sql("UPDATE people SET user_id = 'u2'")
    night.sql("UPDATE sales SET value = 10")
    again(night, "third")
    assert night.states()["a"] == ("ready", None)


def test_what_was_withdrawn_in_doubt_and_comes_back_too_late_expires_in_doubt(waiting: Night) -> None:
    waiting.sql("UPDATE webflow.conversions SET attempts = 1, attempts_in_doubt = 1 WHERE conversion_id = 'ready'")
    (row,) = waiting.sql(
        "DELETE FROM sales WHERE conversion_id = 'ready' RETURNING conversion_id, occurred_at, identity_key, value"
    )
    again(waiting, **ALL)
    waiting.sql("INSERT INTO sales VALUES (%s, %s, %s, %s)", *row)
    waiting.clock.at = NOW + 2 * DAY
    again(waiting, "third", **ALL)
    assert waiting.states()["ready"] == ("expired", "expired_in_doubt")


def test_a_row_outside_the_window_that_says_what_it_said_is_counted_and_left_alone(waiting: Night) -> None:
    waiting.sale("older", ago=30 * HOUR)
    again(waiting, "second")
    waiting.sql("DELETE FROM people")
    run = waiting.begin("third", window=Window(start=NOW - 2 * HOUR, end=NOW))
    tally = waiting.extract(run)
    assert (tally.outside.rows, tally.recorded.rows) == (1, 3)
    assert waiting.states()["older"] == ("ready", None)


def test_a_new_row_outside_the_window_or_too_old_is_only_counted(waiting: Night) -> None:
    waiting.sale("older", ago=30 * HOUR)
    waiting.sale("ancient", ago=40 * DAY)
    run = waiting.begin("second", window=Window(start=NOW - 2 * HOUR, end=NOW))
    tally = waiting.extract(run)
    assert (tally.outside.rows, tally.too_old.rows, tally.recorded.rows) == (1, 1, 3)
    assert set(waiting.states()) == {"ready", "held", "other"}


@pytest.mark.parametrize("ago", [30 * HOUR, 40 * DAY], ids=["another day", "too old"])
def test_a_correction_of_what_was_sent_is_noted_however_far_it_moves(waiting: Night, ago: timedelta) -> None:
    waiting.sql("UPDATE webflow.conversions SET state = 'accepted', attempts = 1 WHERE conversion_id = 'ready'")
    waiting.sql("UPDATE sales SET occurred_at = %s WHERE conversion_id = 'ready'", NOW - ago)
    again(waiting, window=Window(start=NOW - 2 * HOUR, end=NOW))
    row = waiting.row("ready")
    assert (row.state, row.action_timestamp_ms, row.changed_after_sent_at) == (
        "accepted",
        int((NOW - HOUR).timestamp() * 1000),
        NOW,
    )
    assert [what for what, _ in told(waiting, "ready")] == ["changed_after_sent"]


def test_the_history_tells_what_the_source_said_when(waiting: Night) -> None:
    waiting.person("k-new", "another-user")
    waiting.sql("UPDATE sales SET value = 20, identity_key = 'k-new' WHERE conversion_id = 'ready'")
    again(waiting)
    assert told(waiting, "ready") == [("corrected", "value 20.00, was 10.00; key k-…, was k…; user anot…, was u…")]
    again(waiting, "third")
    assert len(told(waiting, "ready")) == 1


# Erased, replaced


def erased(night: Night) -> None:
    night.sql("DELETE FROM people WHERE identity_key = 'k1'")


def replaced(night: Night) -> None:
    night.sql("UPDATE people SET user_id = 'u9' WHERE identity_key = 'k1'")


def made_unfit(night: Night) -> None:
    night.sql("UPDATE people SET user_id = 'undefined' WHERE identity_key = 'k1'")


@pytest.mark.parametrize("is_read_again", [True, False])
@pytest.mark.parametrize("is_in_doubt", [True, False])
@pytest.mark.parametrize(
    ("change", "state", "user", "history"),
    [
        (erased, ("held", "unknown_user"), None, ("user_gone", "user none, was u…")),
        (replaced, ("ready", None), "u9", ("user_changed", "user u…, was u…")),
        (made_unfit, ("rejected", "placeholder_user_id"), None, ("user_gone", "user none, was u…")),
    ],
)
def test_who_it_is_is_looked_up_again_before_it_goes_out(
    waiting: Night,
    change: Callable[[Night], None],
    state: tuple[str, str | None],
    user: str | None,
    history: tuple[str, str],
    is_in_doubt: bool,
    is_read_again: bool,
) -> None:
    if is_in_doubt:
        waiting.sql("UPDATE webflow.conversions SET attempts = 1, attempts_in_doubt = 1 WHERE conversion_id = 'ready'")
    if not is_read_again:
        waiting.sql("DELETE FROM sales")
    change(waiting)
    again(waiting)
    assert waiting.states()["ready"] == state
    assert waiting.row("ready").user_id == user
    assert told(waiting, "ready") == [history]


def test_an_erased_user_that_is_back_gets_its_conversions_again(waiting: Night) -> None:
    waiting.sql("UPDATE webflow.conversions SET attempts = 1, attempts_in_doubt = 1 WHERE conversion_id = 'other'")
    erased(waiting)
    again(waiting)
    assert {waiting.states()[name] for name in ("ready", "other")} == {("held", "unknown_user")}
    waiting.person()
    again(waiting, "third")
    assert {waiting.states()[name] for name in ("ready", "other")} == {("ready", None)}


def test_a_table_of_known_users_that_was_emptied_stops_the_run(night: Night) -> None:
    night.ready(20, name="first")
    night.sql("DELETE FROM people")
    night.sql("DELETE FROM sales WHERE conversion_id IN ('c1', 'c2', 'c3')")
    run = again(night)
    (objection,) = stopped_by(night, run)
    assert "20 of 20 conversions of sales that had a known user have none any more (100%)" in objection


def test_some_erased_users_stop_nothing(night: Night) -> None:
    night.ready(20, name="first")
    night.person("k2", "u2")
    night.sql("UPDATE sales SET identity_key = 'k2' WHERE conversion_id IN ('c1', 'c2')")
    again(night)
    night.sql("DELETE FROM people WHERE identity_key = 'k2'")
    run = again(night, "third")
    assert (found(night, run).had_user, found(night, run).lost_user) == (20, 2)
    assert stopped_by(night, run) == []


# The right one of several


def cut_into_single_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Warehouse.read
    monkeypatch.setattr(
        Warehouse, "read", lambda self, sql, binds, columns, handle: original(self, sql, binds, columns, handle, 1)
    )


@pytest.mark.parametrize("is_cut", [False, True])
@pytest.mark.parametrize("order", ["ASC", "DESC"])
@pytest.mark.parametrize(
    ("first", "second", "stands"),
    [
        ((HOUR, "stranger"), (HOUR, "k1"), "k1"),
        ((3 * HOUR, None), (2 * HOUR, "k1"), "k1"),
        ((3 * HOUR, "stranger"), (2 * HOUR, "k1"), "k1"),
        ((3 * HOUR, "unfit"), (2 * HOUR, "stranger"), "stranger"),
        ((50 * HOUR, "k1"), (2 * HOUR, "k1"), "k1"),
        ((-HOUR, "k1"), (HOUR, "stranger"), "stranger"),
    ],
    ids=["two contacts", "guest", "unknown and earlier", "unfit", "too old", "future"],
)
def test_of_several_versions_the_one_that_can_be_sent_stands(
    night: Night,
    monkeypatch: pytest.MonkeyPatch,
    first: tuple[timedelta, str | None],
    second: tuple[timedelta, str | None],
    stands: str,
    order: str,
    is_cut: bool,
) -> None:
    night.person()
    night.person("unfit", "undefined")
    for ago, key in (first, second):
        night.sale("a", ago=ago, key=key)
    night.sales_sql = f"SELECT * FROM sales ORDER BY occurred_at {order}, identity_key {order}"
    if is_cut:
        cut_into_single_rows(monkeypatch)
    for name in ("first", "second"):
        run = night.begin(name)
        tally = night.extract(run)
        night.identify(run)
        assert night.row("a").identity_key == stands
        assert night.row("a").action_timestamp_ms == int((NOW - second[0]).timestamp() * 1000)
        assert (tally.recorded.rows, tally.conflicting.rows) == (1, 1)
    assert told(night, "a") == []


# Keys that nearly match


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("Anna", "anna"),
        ("anna", "ANNA"),
        (" anna", "anna"),
        ("anna", "anna "),
        ("72349876.0", "72349876"),
        ("72349876", "72349876.0"),
        ("0042", "42"),
    ],
)
def test_a_key_that_nearly_equals_a_known_one_is_held_and_hinted_at(night: Night, key: str, known: str) -> None:
    night.person(known)
    night.sale("near", key=key)
    night.sale("far", key="stranger")
    run = night.read("first")
    assert night.states()["near"] == ("held", "unknown_user")
    assert (found(night, run).near_keys, found(night, run).asked_keys) == (1, 2)
    (finding,) = of_waiting("sales", found(night, run))
    assert finding.sentence == "sales: 1 of 2 unknown identity keys equal a known one but for case, blanks, zeros or .0"


def test_a_uuid_in_capitals_is_hinted_at(night: Night) -> None:
    night.sql("ALTER TABLE people ALTER identity_key TYPE uuid USING identity_key::uuid")
    night.person("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
    night.sale("a", key="6BA7B810-9DAD-11D1-80B4-00C04FD430C8")
    assert found(night, night.read("first")).near_keys == 1


# A dry run says so


def test_a_dry_run_shows_what_would_be_withdrawn_and_what_would_go_out_unseen(waiting: Night) -> None:
    waiting.sql("DELETE FROM sales WHERE conversion_id <> 'other'")
    shown = waiting.dry_run(waiting.begin("dry", dry_run=True), returns_all=True, limits=LIMITS)
    assert shown.states == {
        ("ready", None): Amount(rows=1, value=10),
        ("withdrawn", "no_longer_in_source"): Amount(rows=2, value=20),
    }
    shown = waiting.dry_run(waiting.begin("another", dry_run=True))
    assert shown.states == {("ready", None): Amount(rows=2, value=20), ("held", "unknown_user"): Amount(rows=1, value=10)}
    assert shown.unseen == Amount(rows=2, value=20)


def test_a_dry_run_looks_users_up_again(waiting: Night) -> None:
    waiting.sql("DELETE FROM sales")
    erased(waiting)
    shown = waiting.dry_run(waiting.begin("dry", dry_run=True))
    assert shown.states == {("held", "unknown_user"): Amount(rows=3, value=30)}
    assert shown.payloads == []
