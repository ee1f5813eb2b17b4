"""What a verdict on a conversion means: will Webflow credit it, and if not, why, and what to do. In words for people.

:mod:`webflow_conversions.rules.attribution` gives the verdicts. The ledger stores the codes, so a released code keeps its
meaning. ``docs/reasons.md`` is generated from this module.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from webflow_conversions.rules.states import Reason, explain


class Attribution(StrEnum):
    """The verdict on a conversion."""

    WILL_COUNT = "will_count"
    """Credited under all readings."""
    MAY_COUNT = "may_count"
    """Credited under some readings, or close to an edge, or the user was identified after the end of the visit."""
    WILL_NOT_COUNT = "will_not_count"
    """Credited under no reading, and the visits are complete."""
    UNKNOWN = "unknown"
    """The visits end before the conversion, begin too late, or are not known at all."""


class AttributionReason(StrEnum):
    """The reason of a verdict other than ``will_count``."""

    SESSION_IDLE = "session_idle"
    """Within 24 hours of the visit's start, but 30 minutes or more after its last activity."""
    SESSION_OVER_24H = "session_over_24h"
    """24 hours or more after the start of the visit with the view."""
    OTHER_SESSION = "other_session"
    """In a visit without a view before it; the view was in another visit."""
    EDGE = "edge"
    """Within 60 seconds of the start, the end or the first view of a visit: a clock that is so far off would decide."""
    IDENTIFIED_LATER = "identified_later"
    """The user was identified after the end of the visit."""
    NO_VIEW = "no_view"
    """The user has viewed no variation."""
    VIEWED_LATER = "viewed_later"
    """The user viewed a variation after the conversion, none before."""
    UNKNOWN_GOAL = "unknown_goal"
    """No goal has the event name."""
    GOAL_NOT_YET_CREATED = "goal_not_yet_created"
    """No goal had the event name yet."""
    GOAL_RENAMED = "goal_renamed"
    """No goal had the event name any more."""
    NOT_LOADED_YET = "not_loaded_yet"
    """The visits end before the conversion, or begin too late to tell."""
    NOT_CONFIGURED = "not_configured"
    """There is no query of visits."""


ATTRIBUTIONS: dict[Attribution, str] = {
    Attribution.WILL_COUNT: "Webflow credits it under every reading of its rule.",
    Attribution.MAY_COUNT: "Webflow credits it under some readings of its rule, or a minute or a late identification decides.",
    Attribution.WILL_NOT_COUNT: "Webflow credits it under no reading of its rule.",
    Attribution.UNKNOWN: "The visits that would tell are not loaded.",
}
"""The meaning of each verdict."""

READINGS = {
    "strict": "in the visit of the view, which ends after 30 minutes without activity and after 24 hours",
    "wide": "within 24 hours of the start of the visit of the view",
    "lenient": "at any time after the view",
}
"""The readings of Webflow's rule, whose pages contradict each other: when a conversion counts under each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionExplanation:
    """The explanation of a reason: one sentence on its meaning, one on the remedy. ``attribution`` is its verdict."""

    attribution: Attribution
    meaning: str
    remedy: str


def _of_goal(reason: Reason) -> AttributionExplanation:
    found = explain(reason)
    return AttributionExplanation(attribution=Attribution.WILL_NOT_COUNT, meaning=found.meaning, remedy=found.remedy)


EXPLANATIONS: dict[AttributionReason, AttributionExplanation] = {
    AttributionReason.SESSION_IDLE: AttributionExplanation(
        attribution=Attribution.MAY_COUNT,
        meaning="It came 30 minutes or more after the visitor's last activity, within 24 hours of the start of the visit.",
        remedy="Nothing for one conversion; if it is most of them, choose an event that happens sooner after the visit.",
    ),
    AttributionReason.SESSION_OVER_24H: AttributionExplanation(
        attribution=Attribution.MAY_COUNT,
        meaning="It came 24 hours or more after the start of the visit in which the visitor saw a variation.",
        remedy="Nothing for one conversion; if it is most of them, choose an event that happens sooner after the visit.",
    ),
    AttributionReason.OTHER_SESSION: AttributionExplanation(
        attribution=Attribution.MAY_COUNT,
        meaning="The visitor saw a variation in an earlier visit only, not in the one during which it happened.",
        remedy="Nothing; if there are many, check that the variations run on the pages that returning visitors see.",
    ),
    AttributionReason.EDGE: AttributionExplanation(
        attribution=Attribution.MAY_COUNT,
        meaning="It lies within 60 seconds of the view, or of the visit's start or end, where differing clocks decide.",
        remedy="Nothing for one conversion; if there are many, compare the clock of the shop with that of the site.",
    ),
    AttributionReason.IDENTIFIED_LATER: AttributionExplanation(
        attribution=Attribution.MAY_COUNT,
        meaning="The site told Webflow who the visitor is only after the visit had ended.",
        remedy="Call wf.setUserId() as soon as the site knows the visitor, in the first visit if possible.",
    ),
    AttributionReason.NO_VIEW: AttributionExplanation(
        attribution=Attribution.WILL_NOT_COUNT,
        meaning="The visitor has seen no variation of any optimization.",
        remedy="Nothing for one visitor; if it is nearly all of them, check the visits query and the IDs of wf.setUserId().",
    ),
    AttributionReason.VIEWED_LATER: AttributionExplanation(
        attribution=Attribution.WILL_NOT_COUNT,
        meaning="The visitor first saw a variation after the conversion.",
        remedy="Nothing; if there are many, check the time zone of the source.",
    ),
    AttributionReason.UNKNOWN_GOAL: _of_goal(Reason.UNKNOWN_GOAL),
    AttributionReason.GOAL_NOT_YET_CREATED: _of_goal(Reason.GOAL_NOT_YET_CREATED),
    AttributionReason.GOAL_RENAMED: _of_goal(Reason.GOAL_RENAMED),
    AttributionReason.NOT_LOADED_YET: AttributionExplanation(
        attribution=Attribution.UNKNOWN,
        meaning="The visits are not loaded up to the conversion, or do not reach back far enough.",
        remedy="Nothing for 3 days, while runs judge it again; after that, check that the site's data reach the warehouse.",
    ),
    AttributionReason.NOT_CONFIGURED: AttributionExplanation(
        attribution=Attribution.UNKNOWN,
        meaning="The configuration has no query of visits.",
        remedy="Set attribution.visits in the configuration.",
    ),
}

HOW_TO_KNOW = "To know what Webflow credits, set attribution.visits in the configuration: a query of the visits on the site."
"""What people read where nothing is judged."""


def explain_attribution(attribution: str, reason: str | None) -> tuple[str, str]:
    """A sentence for a verdict and its reason, and one for what to do; the remedy of ``will_count`` is empty."""
    try:
        found = EXPLANATIONS[AttributionReason(reason or "")]
    except ValueError:
        return ATTRIBUTIONS.get(Attribution(attribution), "") if attribution in set(Attribution) else "", ""
    return found.meaning, found.remedy


ACTIVITY_MINUTES = (5, 15, 30, 60, 120, 240, 480, 720, 1_440, 2_880, 5_760, 10_080, 20_160, 43_200)
"""Bounds in whole minutes between the last activity and the conversion, by which conversions are counted; half open."""
SESSION_IDLE_MINUTES = 30
SESSION_MAX_MINUTES = 1_440


def within(counts: Sequence[int], minutes: int) -> int:
    """How many of the counted conversions came less than ``minutes`` after the last activity.

    :param counts: one more than there are ``ACTIVITY_MINUTES``; the last one is of later ones, and of those without activity.
    :param minutes: one of ``ACTIVITY_MINUTES``.
    """
    return sum(counts[: bisect_right(ACTIVITY_MINUTES, minutes)])
