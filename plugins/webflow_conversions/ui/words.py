"""States and reasons as readers without the codes know them: short words for lists, and the first half of a sentence."""

from webflow_conversions.rules.states import REFUSED, REFUSED_PREFIX, Reason, State

IN_DOUBT = "in doubt"
STATE_WORDS: dict[State, str] = {
    State.READY: "waiting to be sent",
    State.HELD: "waiting for its user or visits",
    State.FUTURE: "dated after now",
    State.SENDING: "being sent",
    State.ACCEPTED: "received by Webflow",
    State.REJECTED: "not sendable, or refused",
    State.EXPIRED: "too old",
    State.WITHDRAWN: "withdrawn",
}
REASON_WORDS: dict[Reason, str] = {
    Reason.MISSING_CONVERSION_ID: "It has no order number or other ID",
    Reason.INVALID_CONVERSION_ID: "Its ID cannot be used",
    Reason.PERSONAL_DATA_IN_CONVERSION_ID: "Its ID looks like an e-mail address or a phone number",
    Reason.MISSING_EVENT_NAME: "It has no event name",
    Reason.INVALID_EVENT_NAME: "Webflow takes no event name like its own",
    Reason.MISSING_TIMESTAMP: "It does not say when it happened",
    Reason.INVALID_TIMESTAMP: "The time at which it happened cannot be read",
    Reason.UNKNOWN_TIMEZONE: "Its time zone is not known",
    Reason.AMBIGUOUS_LOCAL_TIME: "A clock change makes its time ambiguous",
    Reason.NONEXISTENT_LOCAL_TIME: "A clock change skips its time",
    Reason.UNKNOWN_GOAL: "No goal has its event name",
    Reason.GOAL_NOT_YET_CREATED: "It happened before its goal had this event name",
    Reason.GOAL_RENAMED: "Its goal has another event name by now",
    Reason.INVALID_VALUE: "Its value is no number that can be sent",
    Reason.NEGATIVE_VALUE: "Its value is below zero",
    Reason.MISSING_IDENTITY: "It does not say which customer it is of",
    Reason.UNKNOWN_USER: "Its user is not known yet",
    Reason.INVALID_USER: "Its user has no ID that can be sent",
    Reason.PERSONAL_DATA_IN_USER_ID: "Its user ID looks like an e-mail address or a phone number",
    Reason.PLACEHOLDER_USER_ID: "Its user ID only stands for a missing one",
    Reason.NO_VIEW: "Its user has seen no variation of the site",
    Reason.VIEWED_LATER: "Its user saw a variation of the site only after it",
    Reason.NOT_LOADED_YET: "The visits of that time are not loaded yet",
    Reason.EXPIRED_BEFORE_SEEN: "It was older than 2 days when it was first read",
    Reason.EXPIRED_UNSENT: "It did not reach Webflow within 2 days",
    Reason.EXPIRED_UNIDENTIFIED: "Its user was not known within 2 days",
    Reason.EXPIRED_IN_DOUBT: "The answer to its request was lost, and it grew older than 2 days",
    Reason.EXPIRED_IN_REHEARSAL: "Only rehearsals ran until it was older than 2 days",
    Reason.ECHO_MISMATCH: "Webflow's answer was about another event",
    Reason.IN_DOUBT: "The answer to its request was lost",
    Reason.WRITTEN_OFF: "Somebody wrote it off",
    Reason.NO_LONGER_IN_SOURCE: "Its source no longer returns it",
    Reason.TAKEN_BACK: "Somebody took it back",
    Reason.FORGOTTEN: "The person behind it was removed",
}


def reason_words(reason: str) -> str:
    """A reason in words, without a full stop; the code itself for one that no release has used."""
    if reason == REFUSED:
        return "Webflow refused it"
    if reason.startswith(REFUSED_PREFIX):
        return f"Webflow refused it (HTTP {reason.removeprefix(REFUSED_PREFIX)})"
    return REASON_WORDS[Reason(reason)] if reason in set(Reason) else reason
