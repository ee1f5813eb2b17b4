"""However the rows of a source are ordered and cut into chunks, the same conversions stand, and the same is told of them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg2.extras import execute_values

from tests.night import DESTINATION, NOW, Night
from webflow_conversions.pipeline.preview import Preview
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.window import Window
from webflow_conversions.warehouse.reader import Warehouse

HOUR = timedelta(hours=1)
COLUMNS = "conversion_id, occurred_at, identity_key, value, place"

rows = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]),
        st.sampled_from(
            [*(str(NOW - hours * HOUR) for hours in (1, 2, 20, 30, -1, 60, 40 * 24)), "infinity", "junk", None],
        ),
        st.sampled_from(["k1", "k2", "Ä", "z", "mail", None]),
        st.sampled_from(["10", "10.00", "20", "-1", "?", "??", "NaN", None]),
    ),
    min_size=1,
    max_size=5,
)

KNOWN = {"k1": "u1", "k2": "u2", "mail": "jane@example.com", "z": "undefined"}
CHANGED = {"k2": "u3", "mail": "u4", "z": "u5"}
"""The users by their keys: in the one night and in another."""

Reading = tuple[Sequence[tuple[Any, ...]], int, dict[str, str]]
"""The rows of a night, the hours of its window, and its users."""

readings = st.tuples(rows, st.sampled_from([48, 48, 24]), st.sampled_from([KNOWN, KNOWN, CHANGED]))

fresh = count()


@pytest.fixture
def cut(night: Night, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of a chunk; the table that the source reads has no types that would refuse junk."""
    chunk_rows = [1]
    original = Warehouse.read
    monkeypatch.setattr(
        Warehouse, "read", lambda self, sql, binds, columns, handle: original(self, sql, binds, columns, handle, chunk_rows[0])
    )
    night.sql(
        "DROP TABLE sales; CREATE TABLE sales (conversion_id text, occurred_at text, identity_key text, value text, place int)"
    )
    return chunk_rows


def one_night_after_another(
    night: Night, nights: Sequence[Reading], returns_all: bool = False, *, foresees: bool = False
) -> list[Any]:
    """What was told of extractions of a source of its own, and what stands then.

    Each has a window and known users of its own, and comes after one of the ready ones of the one before was sent.

    :param returns_all: whether the source promises all rows; :param foresees: whether a dry run before each has to say the same.
    """
    night.rules = replace(night.rules, source=f"source{next(fresh)}")
    told: list[Any] = []
    for number, (read, hours, users) in enumerate(nights):
        people = [(key, "crm", user, NOW - 9 * 24 * HOUR) for key, user in users.items()]
        with night.session.transaction() as cursor:
            cursor.execute("DELETE FROM sales; DELETE FROM people")
            if read:
                execute_values(cursor, "INSERT INTO sales VALUES %s", [(*row, place) for place, row in enumerate(read)])
            execute_values(cursor, "INSERT INTO people VALUES %s", people)
        night.sales_sql = f"SELECT {COLUMNS} FROM sales ORDER BY place"
        run = night.begin(f"{night.rules.source} {number}", window=Window(start=NOW - hours * HOUR, end=NOW))
        foreseen = night.dry_run(run, returns_all=returns_all) if foresees else None
        without_ledger = night.preview(window=run.window) if foresees and not number else None
        tally = night.extract(run)
        night.identify(run, returns_all={night.rules.source} if returns_all else ())
        (account,) = night.runs.accounts(run, {DESTINATION: run.sources}, NOW).values()
        if foreseen is not None:
            assert what_of_what_was_read(foreseen) == account.states
            assert foreseen.tally == tally
            assert foreseen.to_send == sum(account.ready.values(), Amount())
            assert foreseen.unseen == account.identified.unseen + account.identified.withdrawn
        if without_ledger is not None:
            assert (without_ledger.states, without_ledger.tally) == (account.states, tally)
        assert [problem for problem in night.problems(run) if not problem.endswith("ready, not sent")] == []
        told.append((tally, account.changed_after_sent, account.states, account.identified, account.returned))
        with night.session.transaction() as cursor:
            cursor.execute(
                "UPDATE webflow.conversions SET state = 'accepted', attempts = 1 WHERE state = 'ready' AND conversion_id = 'a'"
            )
    stands = night.sql(
        "SELECT conversion_id, action_timestamp_ms, value, identity_key, user_id, state, reason, detail, changed_after_sent_at IS NULL,"
        " (SELECT array_agg(h.detail ORDER BY h.detail) FROM webflow.history h WHERE h.conversion = c.id)"
        " FROM webflow.conversions c WHERE source = %s",
        night.rules.source,
    )
    return [*told, sorted(stands, key=repr)]


def what_of_what_was_read(foreseen: Preview) -> dict[tuple[str, str | None], Amount]:
    """The conversions of a preview that the source returned."""
    read = {(one.state, one.reason): one.amount - one.unseen for one in foreseen.outcomes}
    return {outcome: amount for outcome, amount in read.items() if amount.rows}


EARLY, LATE = (("a", str(NOW - hours * HOUR), "k1", "10") for hours in (2, 1))
UNFIT, UNKNOWN = ("b", str(NOW - HOUR), "z", "10"), ("b", str(NOW - 2 * HOUR), "z", "junk")
EARLIER, MUCH_EARLIER = (("b", str(NOW - hours * HOUR), "k1", "10") for hours in (30, 31))
OLD, TOO_OLD = (("a", str(NOW - hours * HOUR), "k1", "10") for hours in (60, 40 * 24))


def whole(*nights: Sequence[tuple[Any, ...]]) -> list[Reading]:
    return [(read, 48, KNOWN) for read in nights]


@example(whole([EARLY, EARLY, EARLY]), False, Random(1))
@example(whole([LATE, LATE, EARLY, LATE]), False, Random(1))
@example(whole([LATE, EARLY], [EARLY, LATE]), False, Random(1))
@example(whole([LATE, EARLY], [LATE]), False, Random(1))
@example(whole([EARLY], [("a", str(NOW - HOUR), "k2", None)], [("a", "junk", "k2", "-1")]), False, Random(1))
@example(whole([EARLY], [TOO_OLD, EARLY, EARLY], [EARLY, OLD]), True, Random(1))
@example(whole([LATE], [TOO_OLD, LATE]), False, Random(1))
@example(whole([("b", *LATE[1:])], [("b", *TOO_OLD[1:]), ("b", "junk", "k1", "10")]), False, Random(1))
@example([([MUCH_EARLIER], 48, KNOWN), ([EARLIER, MUCH_EARLIER], 24, KNOWN), ([], 48, KNOWN)], True, Random(1))
@example([([UNFIT], 48, KNOWN), ([UNKNOWN, UNFIT], 48, CHANGED), ([UNFIT, EARLIER], 24, KNOWN)], True, Random(1))
@example([([EARLY, EARLIER], 48, KNOWN), ([EARLY, EARLIER, LATE, MUCH_EARLIER], 48, CHANGED)], False, Random(1))
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(readings, min_size=1, max_size=3), st.booleans(), st.randoms(use_true_random=False))
def test_neither_the_order_of_the_rows_nor_the_chunks_in_which_they_come_matter(
    night: Night, cut: list[int], nights, returns_all, chance
) -> None:
    shuffled = [(chance.sample(read, len(read)), hours, users) for read, hours, users in nights]
    cut[0] = 100
    expected = one_night_after_another(night, nights, returns_all)
    for cut[0], order in ((1, nights), (1, shuffled), (2, shuffled)):
        assert one_night_after_another(night, order, returns_all) == expected


@example(whole([EARLY, EARLY, EARLY]), False)
@example(whole([LATE, LATE, EARLY, LATE]), False)
@example(whole([LATE, EARLY], [EARLY, LATE]), False)
@example(whole([LATE, EARLY], [LATE]), False)
@example(whole([EARLY], [("a", str(NOW - HOUR), "k2", None)], [("a", "junk", "k2", "-1")]), False)
@example(whole([EARLY], [TOO_OLD, EARLY, EARLY], [EARLY, OLD]), True)
@example(whole([LATE], [TOO_OLD, LATE]), False)
@example(whole([("b", *LATE[1:])], [("b", *TOO_OLD[1:]), ("b", "junk", "k1", "10")]), False)
@example([([MUCH_EARLIER], 48, KNOWN), ([EARLIER, MUCH_EARLIER], 24, KNOWN), ([], 48, KNOWN)], True)
@example([([UNFIT], 48, KNOWN), ([UNKNOWN, UNFIT], 48, CHANGED), ([UNFIT, EARLIER], 24, KNOWN)], True)
@example([([EARLY, EARLIER], 48, KNOWN), ([EARLY, EARLIER, LATE, MUCH_EARLIER], 48, CHANGED)], False)
@example(whole([EARLIER], [("b", *TOO_OLD[1:])]), False)
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(readings, min_size=1, max_size=3), st.booleans())
def test_a_dry_run_foresees_what_the_run_does_however_its_rows_are_cut_into_chunks(
    night: Night, cut: list[int], nights: list[Reading], returns_all: bool
) -> None:
    one_night_after_another(night, nights, returns_all, foresees=True)


def test_each_change_after_it_was_sent_is_noted_once_and_every_reading_reports_it(night: Night) -> None:
    night.person()
    night.sale("a", value=10)
    night.read("sent")
    night.sql("UPDATE webflow.conversions SET state = 'accepted', attempts = 1")
    for name, value in [("second", 12), ("third", 12), ("fourth", None), ("fifth", 12), ("sixth", 10)]:
        night.sql("UPDATE sales SET value = %s", value)
        night.extract(night.begin(name))
    assert night.sql("SELECT detail, run_id FROM webflow.history ORDER BY id") == [
        ("value 12.00, was 10.00", "second"),
        ("value none, was 10.00", "fourth"),
    ]
    assert night.sql("SELECT changed_after_sent_rows FROM webflow.extractions ORDER BY id") == [
        (0,),
        (1,),
        (1,),
        (1,),
        (1,),
        (0,),
    ]
    assert night.row("a").value == 10


def test_what_was_only_claimed_and_never_sent_follows_the_source_and_is_no_longer_called_changed(night: Night) -> None:
    night.person()
    night.sale("a", value=10)
    night.read("first")
    night.sql("UPDATE webflow.conversions SET state = 'sending'")
    night.sql("UPDATE sales SET value = 12")
    night.extract(night.begin("second"))
    assert night.row("a").changed_after_sent_at == NOW
    night.sql("UPDATE webflow.conversions SET state = 'ready'")
    night.extract(night.begin("third"))
    assert (night.row("a").value, night.row("a").changed_after_sent_at) == (12, None)


@pytest.mark.parametrize(("key", "reason"), [("k1", "expired_unsent"), ("nobody", "expired_unidentified")])
def test_what_expired_while_it_waited_says_so_although_the_source_changed_it_since(night: Night, key: str, reason: str) -> None:
    night.person()
    night.sale("a", ago=timedelta(hours=47), key=key)
    night.read("first")
    night.clock.at += timedelta(hours=2)
    night.sql("UPDATE sales SET value = 99")

    second = night.begin("second")
    night.extract(second)

    row = night.row("a")
    assert (row.state, row.reason, row.value, row.run_id) == ("expired", reason, 99, "second")


def test_what_the_source_moves_before_the_2_days_was_expired_before_it_was_seen_so(night: Night) -> None:
    night.person()
    night.sale("a", ago=timedelta(hours=1))
    night.read("first")
    night.sql("UPDATE sales SET occurred_at = occurred_at - interval '3 days'")

    night.extract(night.begin("second"))

    assert night.states() == {"a": ("expired", "expired_before_seen")}


def test_a_row_that_is_only_counted_has_no_say_in_what_stands(night: Night) -> None:
    """In one chunk as in two: older than 30 days, or outside the window of a run for a date."""
    night.person()
    night.sale("a", ago=timedelta(days=41))
    night.sale("a", ago=timedelta(hours=1))
    night.sale("b", ago=timedelta(hours=30))
    night.sale("b", ago=timedelta(hours=1))

    tally = night.extract(night.begin(window=Window(start=night.clock.at - timedelta(hours=2), end=night.clock.at)))

    assert (tally.too_old.rows, tally.outside.rows, tally.recorded.rows, tally.duplicates.rows) == (1, 1, 2, 0)
    assert night.states() == {"a": ("ready", None), "b": ("ready", None)}
