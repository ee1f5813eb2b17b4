"""Actions of people: what one would do, doing it, and its effects in words; every action goes into the action log."""

from dataclasses import dataclass

from webflow_conversions.delivery.protocols import Clock
from webflow_conversions.errors import Unusable
from webflow_conversions.ledger.actions import MOST_CONVERSIONS, USEFUL, Action, ActionRecord, Actions, Effect, Effects
from webflow_conversions.ledger.search import Conversions
from webflow_conversions.ledger.selection import Filter
from webflow_conversions.ui.cache import overviews
from webflow_conversions.ui.dag import start_run
from webflow_conversions.ui.ledger import acting, reading

_CHANGED = {
    (Action.SEND_AGAIN, False): "will be ready to go out again",
    (Action.SEND_AGAIN, True): "ready to go out again",
    (Action.TAKE_BACK, False): "will be withdrawn, and not go out",
    (Action.TAKE_BACK, True): "withdrawn, and not going out",
    (Action.WRITE_OFF, False): "will be written off",
    (Action.WRITE_OFF, True): "written off",
}
_EFFECTS = {
    Effect.HELD: "held: the next run looks again for their user",
    Effect.LATER: "dated after now: they wait for their time, and go out then",
    Effect.WAITS: "wait already, and go out by themselves",
    Effect.TOO_OLD: "older than 2 days: Webflow would ignore them",
    Effect.UNFIT: "cannot go out as they are: their source row or the configuration has to change; the next run judges them anew",
    Effect.AWAITED: "out at this moment: a push still waits for their answer",
    Effect.ACCEPTED: "accepted, and never sent again",
    Effect.FORGOTTEN: "of a person who was removed from the ledger, and never sent again",
    Effect.IN_DOUBT: "in doubt: a request for them may have left, so write them off instead",
    Effect.NOT_IN_DOUBT: "not in doubt, so there is nothing to write off",
    Effect.NOT_WAITING: "not waiting to go out, so there is nothing to take back",
    Effect.BUSY: "being worked on at this moment: try again in a minute",
}
_OTHER_WORDS = {(Action.TAKE_BACK, Effect.ACCEPTED): "accepted: what Webflow has received cannot be taken back"}
"""Effects that an action words in another way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectLine:
    """The number of conversions with one effect, and the effect in words; ``is_meant`` for the effect that was asked for."""

    conversions: int
    text: str
    is_meant: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an action would do to the selection; ``is_cut``: it takes only the first ``MOST_CONVERSIONS``."""

    effects: Effects
    is_cut: bool

    @property
    def is_useful(self) -> bool:
        """Whether the action would do anything."""
        return any(self.effects.get(effect) for effect in USEFUL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionResult:
    """The record of an action; ``run_error`` says why no run was started, if one was asked for."""

    action: ActionRecord
    run_error: str | None = None


def preview(action: Action, selection: Filter) -> Preview:
    """The effects that an action would have now; nothing is changed."""
    with reading() as session:
        ids = Conversions(session).ids(selection, MOST_CONVERSIONS + 1)
        effects = Actions(session).preview(action, ids[:MOST_CONVERSIONS], Clock().now())
    return Preview(effects=effects, is_cut=len(ids) > MOST_CONVERSIONS)


def perform(action: Action, selection: Filter, person: str, *, with_run: bool) -> ActionResult:
    """Do an action on the selection; ``with_run`` also starts a run that sends it."""
    with acting() as session:
        ids = Conversions(session).ids(selection, MOST_CONVERSIONS)
        number = Actions(session).do(action, selection, ids, person, Clock().now())
    overviews.clear()
    run_id = run_error = None
    if with_run:
        try:
            run_id = start_run(person)
        except Unusable as error:
            run_error = str(error)
    with acting() as session:
        if run_id is not None:
            Actions(session).started(number, run_id)
        record = Actions(session).one(number)
    if record is None:
        raise Unusable(f"Action {number} is not there any more.")
    return ActionResult(action=record, run_error=run_error)


def effect_lines(action: str, effects: Effects, *, done: bool) -> list[EffectLine]:
    """The effects of an action in words, before or after it was done."""
    return [
        EffectLine(
            conversions=effects[effect],
            text=_CHANGED[Action(action), done]
            if effect is Effect.CHANGED
            else _OTHER_WORDS.get((Action(action), effect), _EFFECTS[effect]),
            is_meant=effect is Effect.CHANGED,
        )
        for effect in Effect
        if effects.get(effect)
    ]
