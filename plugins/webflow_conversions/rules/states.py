"""The states of a conversion, and the reasons for them: the one place that lists both.

A state says how far a conversion is; a reason is one lower-case code that explains the state. The ledger
stores the codes and people search for them, so a released code keeps its meaning.
``docs/reasons.md`` is generated from this module.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class State(StrEnum):
    """The state of a conversion; every row of the ledger has exactly one state."""

    READY = "ready"
    HELD = "held"
    FUTURE = "future"
    SENDING = "sending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


WAITING = frozenset({State.READY, State.HELD, State.FUTURE})
"""States of conversions that may still be sent; a conversion that gets too old in one of these states expires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The explanation of a state: one sentence on its meaning, one on the moment at which a conversion leaves it."""

    meaning: str
    leaves: str


STANDINGS: dict[State, Standing] = {
    State.READY: Standing(
        meaning="Valid, in time, and its user is known.", leaves="When a push claims it, or when it is older than 2 days."
    ),
    State.HELD: Standing(
        meaning="Valid and in time, but nobody knows its user yet.",
        leaves="When the user is known, or when it is older than 2 days.",
    ),
    State.FUTURE: Standing(meaning="Dated after now.", leaves="When its time has come."),
    State.SENDING: Standing(
        meaning="Claimed by a push: a request has left or may have, and its outcome is not known yet.",
        leaves="When the outcome is recorded. If the push died, it is in doubt, and delivery.in_doubt decides.",
    ),
    State.ACCEPTED: Standing(meaning="Webflow answered with the event that was sent.", leaves="Never."),
    State.REJECTED: Standing(
        meaning="It cannot be sent as it is, or was refused for good.",
        leaves="When the source row or the configuration changes, while it is younger than 2 days.",
    ),
    State.EXPIRED: Standing(
        meaning="Older than 2 days before Webflow accepted it.",
        leaves="Never, unless the source corrects the moment at which it happened.",
    ),
    State.WITHDRAWN: Standing(
        meaning="The source no longer returns it, or a person took it back, before a request left.",
        leaves="When the source returns it again; if a person took it back, when a person sends it again.",
    ),
}


class Step(IntEnum):
    """The steps of a conversion from its source row to Webflow, in order."""

    READ = 0
    IN_WINDOW = 1
    """The row is valid, and at most 2 days old."""
    KNOWN = 2
    """The user is known and can be sent."""
    SENT = 3
    ACCEPTED = 4


class ReasonKind(StrEnum):
    """The subject of a reason."""

    ROW = "row"
    """The source row itself, without its user and its age."""
    USER = "user"
    """The user behind the row."""
    TIME = "time"
    """The age of the conversion."""
    DELIVERY = "delivery"
    """The result of a request, or a person's decision."""
    WITHDRAWAL = "withdrawal"
    """The source, or a person, took the conversion back before it was sent."""


class Reason(StrEnum):
    """Codes that explain the state of a conversion. Refusals add ``refused_<status>``, see :func:`refused`."""

    MISSING_CONVERSION_ID = "missing_conversion_id"
    INVALID_CONVERSION_ID = "invalid_conversion_id"
    PERSONAL_DATA_IN_CONVERSION_ID = "personal_data_in_conversion_id"
    MISSING_EVENT_NAME = "missing_event_name"
    INVALID_EVENT_NAME = "invalid_event_name"
    MISSING_TIMESTAMP = "missing_timestamp"
    INVALID_TIMESTAMP = "invalid_timestamp"
    UNKNOWN_TIMEZONE = "unknown_timezone"
    AMBIGUOUS_LOCAL_TIME = "ambiguous_local_time"
    NONEXISTENT_LOCAL_TIME = "nonexistent_local_time"
    UNKNOWN_GOAL = "unknown_goal"
    GOAL_NOT_YET_CREATED = "goal_not_yet_created"
    GOAL_RENAMED = "goal_renamed"
    INVALID_VALUE = "invalid_value"
    NEGATIVE_VALUE = "negative_value"
    MISSING_IDENTITY = "missing_identity"

    UNKNOWN_USER = "unknown_user"
    INVALID_USER = "invalid_user"
    PERSONAL_DATA_IN_USER_ID = "personal_data_in_user_id"
    PLACEHOLDER_USER_ID = "placeholder_user_id"
    NO_VIEW = "no_view"
    VIEWED_LATER = "viewed_later"
    NOT_LOADED_YET = "not_loaded_yet"

    EXPIRED_BEFORE_SEEN = "expired_before_seen"
    EXPIRED_UNSENT = "expired_unsent"
    EXPIRED_UNIDENTIFIED = "expired_unidentified"
    EXPIRED_IN_DOUBT = "expired_in_doubt"
    EXPIRED_IN_REHEARSAL = "expired_in_rehearsal"

    ECHO_MISMATCH = "echo_mismatch"
    IN_DOUBT = "in_doubt"
    WRITTEN_OFF = "written_off"

    NO_LONGER_IN_SOURCE = "no_longer_in_source"
    TAKEN_BACK = "taken_back"
    FORGOTTEN = "forgotten"


REFUSED = "refused"
"""What stands for every refusal by the API where people look for reasons; no conversion has it."""
REFUSED_PREFIX = f"{REFUSED}_"


def refused(status: int) -> str:
    """The reason code of a row that the API refused for good with this HTTP status."""
    return f"{REFUSED_PREFIX}{status}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The explanation of a reason: one sentence on its meaning, one on the remedy.

    ``state`` is the explained state, ``kind`` the subject, ``came_to`` the last step that the conversion reached.
    """

    state: State
    kind: ReasonKind
    meaning: str
    remedy: str
    came_to: Step = Step.READ


def explain(reason: str) -> Explanation:
    """The explanation of a reason code.

    :raises KeyError: for a code that no release has used.
    """
    if reason.startswith(REFUSED_PREFIX):
        return Explanation(
            state=State.REJECTED,
            kind=ReasonKind.DELIVERY,
            came_to=Step.SENT,
            meaning=f"Webflow refused the event for good, with HTTP status {reason.removeprefix(REFUSED_PREFIX)}.",
            remedy="Compare it with the API's contract, and correct the source or the configuration.",
        )
    try:
        return EXPLANATIONS[Reason(reason)]
    except ValueError:
        raise KeyError(reason) from None


def explain_standing(state: str, reason: str | None) -> tuple[str, str]:
    """A sentence for where a conversion stands, and one for what to do: of its reason, else of its state, which has no remedy.

    :raises KeyError: for a reason that no release has used.
    """
    if not reason:
        return STANDINGS[State(state)].meaning, ""
    found = explain(reason)
    return found.meaning, found.remedy


EXPLANATIONS: dict[Reason, Explanation] = {
    Reason.MISSING_CONVERSION_ID: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.ROW,
        meaning="The row has no conversion_id, so it could not be told from another one.",
        remedy="Give every row of the source an ID that never changes.",
    ),
    Reason.INVALID_CONVERSION_ID: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.ROW,
        meaning="The conversion_id is longer than 500 characters, no readable text, a placeholder such as undefined, "
        "or a number that may have lost digits.",
        remedy="Return a plain, stable ID from the source's query; detail names the cast.",
    ),
    Reason.PERSONAL_DATA_IN_CONVERSION_ID: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.ROW,
        meaning="The conversion_id looks like an e-mail address or a phone number, which Webflow would get inside actionId.",
        remedy="Return another ID, or set the source's personal_data: sha256, or allow where order numbers only look like it.",
    ),
    Reason.MISSING_EVENT_NAME: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.ROW,
        meaning="Neither the row nor the source's configuration gives an event name.",
        remedy="Set event_name for the source, or return it from the query for every row.",
    ),
    Reason.INVALID_EVENT_NAME: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.ROW,
        meaning="The event name is not 1 to 40 printable ASCII characters without a space, stands for a missing one (null), or "
        "holds an e-mail address.",
        remedy="Return the custom goal's event name to the letter.",
    ),
    Reason.MISSING_TIMESTAMP: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.ROW,
        meaning="The row has no occurred_at.",
        remedy="Fill the column, or leave such rows out in the query.",
    ),
    Reason.INVALID_TIMESTAMP: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.ROW,
        meaning="occurred_at is no moment of the kind that the source's configuration promises.",
        remedy="Compare detail with timestamps.kind: local has no offset, aware has one, epochs are numbers of that unit.",
    ),
    Reason.UNKNOWN_TIMEZONE: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.ROW,
        meaning="The row's time zone is missing or is no name of the IANA time zone database.",
        remedy="Return a name such as Europe/Berlin, or set timestamps.timezone as the default.",
    ),
    Reason.AMBIGUOUS_LOCAL_TIME: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.ROW,
        meaning="A clock change repeats this local time, and the source is set to reject such times.",
        remedy="Return aware times, or set timestamps.ambiguous to later.",
    ),
    Reason.NONEXISTENT_LOCAL_TIME: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.ROW,
        meaning="A clock change skips this local time, and the source is set to reject such times.",
        remedy="Return aware times, or set timestamps.nonexistent to offset_before.",
    ),
    Reason.UNKNOWN_GOAL: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.ROW,
        meaning="No goal of the configuration has this event name (an exact match, case too).",
        remedy="Correct the event name, or add the goal to the configuration.",
    ),
    Reason.GOAL_NOT_YET_CREATED: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.ROW,
        meaning="The conversion happened before a goal had this event name; Webflow does not attribute it.",
        remedy="Nothing, unless valid_from of the goal is wrong in the configuration.",
    ),
    Reason.GOAL_RENAMED: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.ROW,
        meaning="The goal no longer has this event name; Webflow does not attribute it.",
        remedy="Nothing, unless valid_to of the goal is wrong in the configuration.",
    ),
    Reason.INVALID_VALUE: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.ROW,
        meaning="The value is no plain decimal number below 10,000,000,000,000.",
        remedy="Return a number without currency sign or thousands separator, or NULL.",
    ),
    Reason.NEGATIVE_VALUE: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.ROW,
        meaning="The value is below zero, which the API does not take (a refund, perhaps).",
        remedy="Leave refunds out in the query; what was sent cannot be lowered.",
    ),
    Reason.MISSING_IDENTITY: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.ROW,
        meaning="The row has no identity_key (or one of over 500 characters, no readable text, or a number that "
        "may have lost digits), so no user can ever be found for it.",
        remedy="Return the key that known_users joins on, with the cast that detail names; or leave anonymous sales out.",
    ),
    Reason.UNKNOWN_USER: Explanation(
        state=State.HELD,
        kind=ReasonKind.USER,
        came_to=Step.IN_WINDOW,
        meaning="No known user has this identity_key yet; it goes out as soon as one does.",
        remedy="Nothing for a late visitor; if the match rate falls, check that the site still calls wf.setUserId().",
    ),
    Reason.INVALID_USER: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.USER,
        came_to=Step.IN_WINDOW,
        meaning="The known user has no user_domain or no user_id (or one that is no readable text, or a number "
        "that may have lost digits).",
        remedy="Return from known_users exactly what wf.setUserId() was given.",
    ),
    Reason.PERSONAL_DATA_IN_USER_ID: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.USER,
        came_to=Step.IN_WINDOW,
        meaning="The user ID looks like an e-mail address or a phone number, or user_domain holds one; Webflow forbids it.",
        remedy="Hash it on the site and set known_users.personal_data to sha256, or use another ID on both sides.",
    ),
    Reason.PLACEHOLDER_USER_ID: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.USER,
        came_to=Step.IN_WINDOW,
        meaning="The user ID or its domain is what a program writes for a missing one: undefined, null, 0, [object Object], say.",
        remedy="Correct the site's call of wf.setUserId() and the table of known users; leave such rows out of known_users.",
    ),
    Reason.NO_VIEW: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.USER,
        came_to=Step.KNOWN,
        meaning="The user viewed no variation before the conversion, so Webflow credits it to none (will_not_count: skip).",
        remedy="Nothing, unless the query of attribution.visits lacks visits; will_not_count: send lets such conversions go out.",
    ),
    Reason.VIEWED_LATER: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.USER,
        came_to=Step.KNOWN,
        meaning="The user viewed a variation only after the conversion, so Webflow credits it to none (will_not_count: skip).",
        remedy="Nothing, unless the times of attribution.visits are wrong; will_not_count: send lets such conversions go out.",
    ),
    Reason.NOT_LOADED_YET: Explanation(
        state=State.HELD,
        kind=ReasonKind.USER,
        came_to=Step.KNOWN,
        meaning="The visits of that time are not loaded yet, so nobody knows whether Webflow will credit it (unknown: hold).",
        remedy="Nothing: the next night knows, and it goes out before it expires in any case.",
    ),
    Reason.EXPIRED_BEFORE_SEEN: Explanation(
        state=State.EXPIRED,
        kind=ReasonKind.TIME,
        meaning="The conversion was older than 2 days when a run first read it.",
        remedy="Load the warehouse sooner, or run the Dag more often.",
    ),
    Reason.EXPIRED_UNSENT: Explanation(
        state=State.EXPIRED,
        kind=ReasonKind.TIME,
        came_to=Step.KNOWN,
        meaning="The conversion was ready, but grew older than 2 days before it was accepted.",
        remedy="Look at the failed runs of those days: a stopped guard, a refused token, an API that was away.",
    ),
    Reason.EXPIRED_UNIDENTIFIED: Explanation(
        state=State.EXPIRED,
        kind=ReasonKind.TIME,
        came_to=Step.IN_WINDOW,
        meaning="No known user turned up for the conversion within its 2 days.",
        remedy="Nothing for a visitor who never identified; if there are many, check wf.setUserId() on the site.",
    ),
    Reason.EXPIRED_IN_DOUBT: Explanation(
        state=State.EXPIRED,
        kind=ReasonKind.TIME,
        came_to=Step.SENT,
        meaning="A request left, its answer was lost or leaves it open, and the row grew older than 2 days: Webflow may have it.",
        remedy="Nothing can be sent any more; read it as possibly received.",
    ),
    Reason.EXPIRED_IN_REHEARSAL: Explanation(
        state=State.EXPIRED,
        kind=ReasonKind.TIME,
        came_to=Step.KNOWN,
        meaning="The conversion would have been sent, but only rehearsals ran until it was older than 2 days.",
        remedy="Nothing: a rehearsal sends nothing; set delivery.mode: live to go live.",
    ),
    Reason.ECHO_MISMATCH: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.DELIVERY,
        came_to=Step.SENT,
        meaning="The answer was a success that speaks of the event, but not by its actionId, or says that it failed; Webflow may "
        "have it.",
        remedy="Check what stands between Airflow and the API (a proxy?); send it again only if Webflow does not have it.",
    ),
    Reason.IN_DOUBT: Explanation(
        state=State.SENDING,
        kind=ReasonKind.DELIVERY,
        came_to=Step.SENT,
        meaning="A request left, its answer was lost or leaves it open, and in_doubt is set to hold: a person decides.",
        remedy="Resend it or write it off on the conversions page.",
    ),
    Reason.WRITTEN_OFF: Explanation(
        state=State.REJECTED,
        kind=ReasonKind.DELIVERY,
        came_to=Step.SENT,
        meaning="Somebody decided that this conversion is not sent again.",
        remedy="Nothing; it can be sent again by hand while it is younger than 2 days.",
    ),
    Reason.NO_LONGER_IN_SOURCE: Explanation(
        state=State.WITHDRAWN,
        kind=ReasonKind.WITHDRAWAL,
        came_to=Step.IN_WINDOW,
        meaning="The source promises every row of its window (returns_all), and no longer returns this one.",
        remedy="Nothing for a refund; if the row is still true, correct the source's query, and it goes out.",
    ),
    Reason.TAKEN_BACK: Explanation(
        state=State.WITHDRAWN,
        kind=ReasonKind.WITHDRAWAL,
        came_to=Step.IN_WINDOW,
        meaning="Somebody took this conversion back before it was sent.",
        remedy="Nothing; it can be sent again by hand while it is younger than 2 days.",
    ),
    Reason.FORGOTTEN: Explanation(
        state=State.WITHDRAWN,
        kind=ReasonKind.WITHDRAWAL,
        came_to=Step.IN_WINDOW,
        meaning="The person behind it was removed from the ledger before it was sent.",
        remedy="Nothing; it never goes out. Leave the person's rows out of the warehouse, too.",
    ),
}


_STEPS = {
    State.HELD: Step.IN_WINDOW,
    State.READY: Step.KNOWN,
    State.SENDING: Step.SENT,
    State.ACCEPTED: Step.ACCEPTED,
}


def last_step(state: str, reason: str | None) -> Step:
    """The last step that a conversion reached, from its state, or from its reason where the state alone does not tell."""
    if state in (State.HELD, State.REJECTED, State.EXPIRED, State.WITHDRAWN) and reason is not None:
        return explain(reason).came_to
    return _STEPS.get(State(state), Step.READ) if state in set(State) else Step.READ


SKIPPED = frozenset({Reason.NO_VIEW, Reason.VIEWED_LATER})
"""Reasons of conversions that ``attribution.will_not_count: skip`` rejects: nothing is wrong with them."""

BY_A_PERSON = frozenset({Reason.WRITTEN_OFF, Reason.TAKEN_BACK, Reason.FORGOTTEN})
"""Reasons that no run decided."""

FAULTS = frozenset(reason for reason, explanation in EXPLANATIONS.items() if explanation.kind is ReasonKind.ROW)
"""Reasons of kind ``row``: faults of the source row itself."""

UNIDENTIFIED = frozenset(
    reason
    for reason, explanation in EXPLANATIONS.items()
    if explanation.came_to is Step.IN_WINDOW and explanation.state in (State.HELD, State.EXPIRED)
)
"""Reasons of conversions without a known user."""
