"""What the page says of a conversion, for every state, reason, age and doubt: no sentence denies another, or what a person may do."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from tests.night import DESTINATION, NOW, Night
from tests.rows import put
from webflow_conversions.ledger.actions import USEFUL, Action, Actions, Effect
from webflow_conversions.ledger.search import Conversion, Conversions
from webflow_conversions.ledger.selection import Filter
from webflow_conversions.rules.states import EXPLANATIONS, WAITING, Reason, State
from webflow_conversions.rules.window import sendable
from webflow_conversions.ui.conversion import ConversionView, conversion_view
from webflow_conversions.ui.listing import useful_actions
from webflow_conversions.ui.sentences import Prospect
from webflow_conversions.ui.timeline import timeline
from webflow_conversions.ui.words import reason_words

AGES = {"young": timedelta(hours=1), "old": timedelta(hours=49), "coming": timedelta(hours=-1), "none": None}
ATTEMPTS = {"unsent": (0, 0), "sent": (1, 0), "doubted": (1, 1), "sent again": (2, 1)}
REASONS: dict[State, list[str | None]] = {
    state: [str(reason) for reason, explanation in EXPLANATIONS.items() if explanation.state is state] for state in State
}
REASONS[State.REJECTED].append("refused_422")
for waiting in (State.READY, State.HELD, State.FUTURE, State.SENDING, State.ACCEPTED):
    REASONS[waiting].append(None)
ENDED = (State.REJECTED, State.EXPIRED, State.WITHDRAWN)


@dataclass(frozen=True, kw_only=True)
class Case:
    state: State
    reason: str | None
    age: str
    attempts: str
    has_user: bool
    is_forgotten: bool
    push: str
    mode: str

    @property
    def can_be(self) -> bool:
        """Whether the ledger can have such a row."""
        sent = ATTEMPTS[self.attempts][0] > 0
        return all(
            (
                self.age != "none" or (self.state is State.REJECTED and not sent),
                self.age != "coming" or self.state in (State.FUTURE, State.WITHDRAWN),
                self.state is not State.EXPIRED or self.age == "old",
                not (self.state is State.FUTURE and sent),
                self.has_user or self.is_forgotten or self.state in (State.HELD, State.FUTURE, *ENDED),
                self.has_user or self.is_forgotten or not sent or self.state is State.HELD,
                not (self.state is State.HELD and self.reason != Reason.NOT_LOADED_YET and self.has_user),
                not self.is_forgotten or self.state in (State.ACCEPTED, *ENDED),
                not (self.is_forgotten and self.has_user),
                self.reason != Reason.FORGOTTEN or self.is_forgotten,
                self.push == "none" or self.state is State.SENDING,
                self.state is not State.SENDING or (self.push == "none") == (self.reason == Reason.IN_DOUBT),
                self.reason not in (Reason.IN_DOUBT, Reason.EXPIRED_IN_DOUBT, Reason.ECHO_MISMATCH, Reason.WRITTEN_OFF)
                or ATTEMPTS[self.attempts][1] > 0,
                self.state is not State.ACCEPTED or sent,
                not (self.reason or "").startswith("refused_") or sent,
                self.mode == "live" or (not sent and self.state in (*WAITING, State.REJECTED)),
                self.reason not in (Reason.EXPIRED_UNSENT, Reason.EXPIRED_UNIDENTIFIED) or ATTEMPTS[self.attempts][1] == 0,
            )
        )


CASES = [
    case
    for state in State
    for values in product(
        REASONS[state], AGES, ATTEMPTS, (True, False), (True, False), ("none", "alive", "dead"), ("live", "rehearse")
    )
    if (
        case := Case(
            state=state,
            **dict(zip(("reason", "age", "attempts", "has_user", "is_forgotten", "push", "mode"), values, strict=True)),  # type: ignore[arg-type]
        )
    ).can_be
]


@pytest.fixture(autouse=True)
def one_connection(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows of a test over one connection, since there are many."""

    def sql(statement: str, *parameters: Any) -> list[Any]:
        with night.session.transaction() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    monkeypatch.setattr(night, "sql", sql)


@pytest.fixture
def pushes(night: Night) -> dict[str, int | None]:
    run = night.begin()
    night.begin("rehearsal", is_rehearsal=True)
    found: dict[str, int | None] = {"none": None}
    for name, lease in (("alive", "1 hour"), ("dead", "-1 hour")):
        ((push,),) = night.sql(
            "INSERT INTO webflow.pushes (run, destination, worker, try_number, host, pid, expires_at)"
            " VALUES (%s, %s, 0, 1, 'host', 1, clock_timestamp() + %s::interval) RETURNING id",
            run.id,
            DESTINATION,
            lease,
        )
        found[name] = push
    return found


def written(night: Night, case: Case, name: str, pushes: dict[str, int | None]) -> int:
    attempts, in_doubt = ATTEMPTS[case.attempts]
    age = AGES[case.age]
    columns: dict[str, Any] = {
        "reason": case.reason,
        "action_timestamp_ms": None if age is None else int((NOW - age).timestamp() * 1000),
        "attempts": attempts,
        "attempts_in_doubt": in_doubt,
        "push_id": pushes[case.push],
        "run_id": "rehearsal" if case.mode == "rehearse" else "earlier",
        "settled_at": NOW if case.state in (State.ACCEPTED, *ENDED) else None,
    }
    if not case.has_user:
        columns |= {"user_id": None, "user_domain": None}
    if case.is_forgotten:
        columns |= {"forgotten_at": NOW}
    return put(night, case.state, name, **columns)


def found(night: Night, number: int) -> Conversion:
    one = Conversions(night.session).one(number)
    assert one is not None
    return one


@dataclass(frozen=True, kw_only=True)
class Shown:
    case: Case
    view: ConversionView
    text: str
    ahead: list[str]
    actions: set[Action]


@pytest.fixture
def shown(night: Night, pushes: dict[str, int | None]) -> list[Shown]:
    everything = []
    for place, case in enumerate(CASES):
        number = written(night, case, f"c{place}", pushes)
        one = found(night, number)
        view = conversion_view(one, NOW, with_user_ids=True, is_rehearsing=case.mode == "rehearse")
        entries = timeline(one, [], NOW)
        actions = {action for action in Action if USEFUL & Actions(night.session).preview(action, [number], NOW).keys()}
        text = " | ".join((view.label, view.sentence, view.meaning, view.remedy, *(entry.text for entry in entries)))
        ahead = [entry.text for entry in entries if entry.is_ahead]
        everything.append(Shown(case=case, view=view, text=text, ahead=ahead, actions=actions))
    return everything


GOES = r"\bgoes out (?:with|when|as|if)\b|\bis to be sent again|\bstart a run\b|\bnext run sends\b|whether it is sent again|would go out"
NEVER = r"never goes out|too old|cannot go out any more|[Nn]othing can be sent any more|\bit is older than 2 days"
ENDS = r"It (?:never goes out|goes out (?:by itself )?only if|is not sent again by itself|does not go out by itself)"
SEND = r"[Ss]end it again|[Rr]esend it|sent again by hand"
WRITE_OFF = r"[Ww]rite it off"
MAYBE = r"may have (?:it|received)|may receive it twice|perhaps more than once"


def check(one: Shown) -> Iterator[str]:
    """What is wrong with what is shown of a conversion."""
    case, view, never = one.case, one.view, one.view.prospect is Prospect.NEVER
    is_old = case.age == "old" and view.prospect not in (Prospect.RECEIVED, Prospect.OUT)
    if never != (is_old or (case.is_forgotten and case.state is not State.ACCEPTED)):
        yield "the prospect is not that of its age"
    if bool(re.search(NEVER, one.text)) != never:
        yield "it says never where it may go out, or does not say it where it never does"
    if never and re.search(GOES, one.text):
        yield "it goes out and never does"
    if never and (one.ahead or view.is_pending or one.actions & {Action.SEND_AGAIN, Action.TAKE_BACK}):
        yield "something is still to come, or is offered"
    futures = re.findall(rf"{GOES}|{ENDS}|Webflow received it|answer comes within", view.sentence)
    if len(futures) != 1:
        yield f"{len(futures)} futures"
    if ("Webflow received it" in view.sentence) != (case.state is State.ACCEPTED):
        yield "it says that Webflow received it where that is not known, or does not where it is"
    if re.search(SEND, one.text) and Action.SEND_AGAIN not in one.actions:
        yield "it tells to send what cannot be sent"
    if re.search(r"goes out only if|never goes out", view.sentence) and Action.SEND_AGAIN in one.actions:
        yield "it offers to send what goes out only otherwise"
    if re.search(WRITE_OFF, one.text) and Action.WRITE_OFF not in one.actions:
        yield "it tells to write off what cannot be"
    is_doubted = ATTEMPTS[case.attempts][1] > 0 or view.is_in_doubt
    if view.prospect is not Prospect.OUT and bool(re.search(MAYBE, view.sentence)) != (
        is_doubted and (case.state is not State.ACCEPTED or case.attempts == "sent again")
    ):
        yield "it hides that Webflow may have it, or says so where it cannot"
    if case.mode == "rehearse" and not never and case.state in WAITING and "only rehearsals run" not in view.sentence:
        yield "it hides that nothing is sent"
    if "did not reach" in view.sentence and re.search(MAYBE, view.sentence):
        yield "it did not reach Webflow, and may have"
    if re.search(r"\w_\w", f"{view.sentence} {view.label}"):
        yield "it speaks in codes"
    if view.label == "in doubt" and not view.is_in_doubt:
        yield "it is called in doubt and is not"


def test_there_are_as_many_cases_as_the_ledger_can_have():
    assert len(CASES) > 250
    assert {case.state for case in CASES} == set(State)
    assert {case.reason for case in CASES} >= set(Reason)


def test_no_sentence_denies_another_or_what_is_offered(shown: list[Shown]):
    wrong = [f"{one.case}\n  {problem}: {one.text} {sorted(one.actions)}" for one in shown for problem in check(one)]

    assert not wrong, f"{len(wrong)} wrong\n" + "\n".join(wrong[:8])


def test_what_is_too_old_is_said_with_the_reason_that_the_next_run_records(night: Night, shown: list[Shown]):
    oldest_ms = sendable(NOW).start_ms
    night.session.execute("expiry/expire_waiting", {"now": NOW, "run_id": "next", "oldest_ms": oldest_ms, "rows": 10_000})
    expired = [one for one in shown if one.case.state in WAITING and one.case.age == "old"]

    assert len(expired) > 10
    for one in expired:
        recorded = found(night, one.view.id)
        assert recorded.state is State.EXPIRED
        assert one.view.label == conversion_view(recorded, NOW, with_user_ids=True).label == "too old"
        assert recorded.reason is not None
        assert one.view.sentence.startswith(reason_words(recorded.reason)), one.case
        assert recorded.reason in one.view.meaning


def test_every_offered_action_has_its_effect(night: Night, pushes: dict[str, int | None], shown: list[Shown]):
    actions = Actions(night.session)
    for place, one in enumerate(shown):
        for action in one.actions:
            number = written(night, one.case, f"{action}-{place}", pushes)
            before = found(night, number)
            done = actions.one(actions.do(action, Filter(id=number), [number], "ada", NOW))
            after = found(night, number)

            assert done is not None
            assert done.conversions == 1
            if done.outcome == {Effect.HELD: 1} and one.case.state is State.HELD:  # the next run looks again for its user
                assert one.view.prospect is Prospect.WAITS
            else:
                assert (after.state, after.reason) != (before.state, before.reason), one.case


def test_the_actions_of_a_list_are_those_that_can_do_something_to_one_of_its_state(shown: list[Shown]):
    for state in State:
        possible = {action for one in shown if one.case.state is state for action in one.actions}

        assert useful_actions(Filter(state=state)) == possible, state


def test_an_action_that_is_not_offered_changes_nothing(night: Night, pushes: dict[str, int | None], shown: list[Shown]):
    actions = Actions(night.session)
    for one in shown:
        for action in set(Action) - one.actions:
            actions.do(action, Filter(id=one.view.id), [one.view.id], "ada", NOW)

        after = found(night, one.view.id)
        assert (after.state, after.reason) == (one.case.state, one.case.reason), one.case
