"""What a verdict can find in a run, and how bad that is. ``docs/verdicts.md`` is generated from :data:`CAUSES`."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How good a run or a source was, from best to worst. A run is green up to ``note``."""

    GOOD = "good"
    NOTE = "note"
    ATTENTION = "attention"
    FAILED = "failed"

    @property
    def is_green(self) -> bool:
        """Whether the run succeeds in Airflow."""
        return self in (Level.GOOD, Level.NOTE)

    @property
    def meaning(self) -> str:
        """The level in words."""
        return _MEANINGS[self]

    @property
    def headline(self) -> str:
        """The level as the beginning of a sentence."""
        return _HEADLINES[self]

    @classmethod
    def worst(cls, levels: Iterable["Level"]) -> "Level":
        """The worst of the levels; good for none."""
        return max(levels, key=list(cls).index, default=cls.GOOD)


_MEANINGS = {
    Level.GOOD: "good",
    Level.NOTE: "good, with a note",
    Level.ATTENTION: "needs somebody",
    Level.FAILED: "failed",
}


_HEADLINES = {
    Level.GOOD: "The run did all it is for",
    Level.NOTE: "The run did all it is for",
    Level.ATTENTION: "The run needs somebody",
    Level.FAILED: "The run is not complete",
}


class Cause(StrEnum):
    """What a finding is about; the codes that the ledger and the JSON API carry."""

    NOT_READ = "not_read"
    TASK_FAILED = "task_failed"
    NOT_SENT = "not_sent"
    IN_DOUBT = "in_doubt"
    POSSIBLY_RECEIVED = "possibly_received"
    EXPIRED_UNSENT = "expired_unsent"
    NOT_BALANCED = "not_balanced"
    NOTHING_SENDABLE = "nothing_sendable"
    NOTHING_READ = "nothing_read"
    NOBODY_KNOWN = "nobody_known"
    REFUSED = "refused"
    EXPIRED_UNIDENTIFIED = "expired_unidentified"
    CONFLICTING_IDS = "conflicting_ids"
    VOLUME_FELL = "volume_fell"
    REJECTED = "rejected"
    DATED_IN_FUTURE = "dated_in_future"
    EXPIRED_BEFORE_SEEN = "expired_before_seen"
    SENT_AGAIN = "sent_again"
    CHANGED_AFTER_SENT = "changed_after_sent"
    RETURNED = "returned"
    LOST_USERS = "lost_users"
    UNSEEN = "unseen"
    WITHDRAWN = "withdrawn"
    NEAR_KEYS = "near_keys"
    UNREADABLE_TIMES = "unreadable_times"
    VISITS_UNREAD = "visits_unread"
    NO_VISITS = "no_visits"
    SHOWS_NOTHING = "shows_nothing"
    SHOWS_LITTLE = "shows_little"
    NO_GOAL = "no_goal"
    GOALS_DIFFER = "goals_differ"
    REHEARSAL = "rehearsal"
    EXPIRED_IN_REHEARSAL = "expired_in_rehearsal"
    HIDDEN_CONNECTION = "hidden_connection"
    CONFIGURATION_CHANGED = "configuration_changed"
    NOT_INSTALLED = "not_installed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a cause means: its level, the condition under which it is found, and what to do, a sentence each.

    ``level`` is the one that it has if nothing else is said; ``also`` is another one that it can have.
    """

    level: Level
    condition: str
    remedy: str
    also: Level | None = None


CAUSES: dict[Cause, Kind] = {
    Cause.NOT_READ: Kind(
        level=Level.FAILED,
        condition="A source was not read to its end.",
        remedy="See the cause of its extract task; clear the task once its database is back.",
    ),
    Cause.TASK_FAILED: Kind(
        level=Level.FAILED,
        also=Level.NOTE,
        condition="A task failed, or gave up a part of its work. A note, where it is a push whose rows another one sent.",
        remedy="Do what the sentence says, then clear the task.",
    ),
    Cause.NOT_SENT: Kind(
        level=Level.FAILED,
        condition="Conversions of the run are due and were not sent.",
        remedy="Mend the cause, then clear push and reconcile or start a run: they go out until they are 2 days old.",
    ),
    Cause.IN_DOUBT: Kind(
        level=Level.FAILED,
        condition="A request may have left, and no push waits for its answer.",
        remedy="With in_doubt: resend the next live run sends them again; with hold decide on the conversions page.",
    ),
    Cause.POSSIBLY_RECEIVED: Kind(
        level=Level.FAILED,
        condition="The answer was a success, and not our event: Webflow may have it, and no run sends it again.",
        remedy="Check what stands between Airflow and the API (a proxy?); send them again on the conversions page only if "
        "Webflow does not have them.",
    ),
    Cause.EXPIRED_UNSENT: Kind(
        level=Level.FAILED,
        condition="Conversions grew older than 2 days before Webflow accepted them.",
        remedy="Nothing brings them back; see the failed runs of the 2 days before.",
    ),
    Cause.NOT_BALANCED: Kind(
        level=Level.FAILED,
        condition="Rows or money that were read are not all in exactly one state, or a count differs from the ledger's.",
        remedy="Report it with the run's record: the product has lost count.",
    ),
    Cause.NOTHING_SENDABLE: Kind(
        level=Level.ATTENTION,
        condition="A source returned rows, and none of them can be sent, whatever their number; not where people took back, "
        "wrote off or removed all that are in the window.",
        remedy="Look at the reasons: a changed column, time format, time zone or goal stops a whole source.",
    ),
    Cause.NOTHING_READ: Kind(
        level=Level.NOTE,
        condition="The query of a source returned no rows for the whole 2 days (guards.empty_source).",
        remedy="Check the load of the warehouse and the source's query; rows that come later are sent until they are 2 days old.",
    ),
    Cause.NOBODY_KNOWN: Kind(
        level=Level.ATTENTION,
        condition="A source has valid conversions of the window, and not one of their users is known.",
        remedy="Compare identity_key of the source with that of known_users (case, blanks, leading zeros), and check that the "
        "site calls wf.setUserId().",
    ),
    Cause.REFUSED: Kind(
        level=Level.ATTENTION,
        condition="Webflow refused conversions of the run, whatever their number.",
        remedy="Read Webflow's words; the rows go out again once the row or the configuration changes, or by hand.",
    ),
    Cause.EXPIRED_UNIDENTIFIED: Kind(
        level=Level.ATTENTION,
        also=Level.NOTE,
        condition="Conversions grew older than 2 days without a known user. A note, where others of the source were accepted.",
        remedy="If there are more than usual, check that the site calls wf.setUserId(), and known_users.",
    ),
    Cause.CONFLICTING_IDS: Kind(
        level=Level.ATTENTION,
        also=Level.NOTE,
        condition="Rows have the conversion ID of another row and other content. It is a note up to guards.conflicting_share.",
        remedy="Return an ID that is unique in the source: an order number, not a name or a customer.",
    ),
    Cause.VOLUME_FELL: Kind(
        level=Level.NOTE,
        also=Level.ATTENTION,
        condition="A source returned far fewer rows, or far less money, than it usually does on this weekday "
        "(guards.fall_factor). Attention with guards.fall: attention.",
        remedy="Check the load of the warehouse and the source's query; nothing that was not read is lost for 2 days.",
    ),
    Cause.REJECTED: Kind(
        level=Level.NOTE,
        also=Level.ATTENTION,
        condition="Some conversions of a source cannot be sent as they are. Attention where their share is larger than "
        "guards.rejected_share, however few they are, and nobody forced the run; those that will_not_count: skip rejects are "
        "left out.",
        remedy="Look at the reasons; the rows go out once they are corrected, until they are 2 days old.",
    ),
    Cause.DATED_IN_FUTURE: Kind(
        level=Level.NOTE,
        also=Level.ATTENTION,
        condition="Conversions that the run read for the first time are dated in the future. Attention where they are more than "
        "half of the source's conversions.",
        remedy="If they have happened, look at the unit and the zone of occurred_at; else they go out when their time has come.",
    ),
    Cause.EXPIRED_BEFORE_SEEN: Kind(
        level=Level.NOTE,
        condition="Conversions were older than 2 days when this run read them for the first time.",
        remedy="Load the warehouse sooner.",
    ),
    Cause.SENT_AGAIN: Kind(
        level=Level.NOTE,
        condition="Conversions were accepted after an attempt whose answer was lost or left it open: Webflow may have two.",
        remedy="Nothing; they are listed on the page as sent again.",
    ),
    Cause.CHANGED_AFTER_SENT: Kind(
        level=Level.NOTE,
        condition="The source changed conversions after they were sent.",
        remedy="Nothing can be corrected at Webflow; they are listed on the page as changed.",
    ),
    Cause.RETURNED: Kind(
        level=Level.NOTE,
        also=Level.ATTENTION,
        condition="A source that promises every row of its window (returns_all) returned conversions again that it had stopped "
        "returning. From 10 on it needs somebody.",
        remedy="Let the query select by occurred_at alone; if it selects by when a row was changed, remove returns_all.",
    ),
    Cause.LOST_USERS: Kind(
        level=Level.NOTE,
        condition="Conversions that had a known user have none any more; they are held (guards.lost_user_share stops the run).",
        remedy="Nothing, where users were erased; else check the load of the table of known users.",
    ),
    Cause.UNSEEN: Kind(
        level=Level.NOTE,
        condition="Conversions wait from earlier runs, and the source did not return them this time: they go out all the same.",
        remedy="Set returns_all for a source whose query returns every row of the window: then what is gone is withdrawn.",
    ),
    Cause.VISITS_UNREAD: Kind(
        level=Level.NOTE,
        condition="The visits (attribution.visits) could not be read: what was ready went out without a verdict.",
        remedy="See the log of identify; the next run judges what was not judged.",
    ),
    Cause.NO_VISITS: Kind(
        level=Level.NOTE,
        condition="The visits have none of the users of 20 or more conversions: nothing is judged by them.",
        remedy="Check that user_id and user_domain of attribution.visits are what wf.setUserId() was given.",
    ),
    Cause.WITHDRAWN: Kind(
        level=Level.NOTE,
        condition="A source that promises every row of its window (returns_all) no longer returned conversions that waited.",
        remedy="Nothing, for refunds; what the source returns again goes out.",
    ),
    Cause.NEAR_KEYS: Kind(
        level=Level.NOTE,
        condition="Held conversions have identity keys that equal a known one but for case, blanks, zeros before or .0 behind; "
        "the newest 1,000 are looked at.",
        remedy="Write the key alike in the source's query and in known_users: lower(trim(…)), or CAST(… AS text), on both sides.",
    ),
    Cause.UNREADABLE_TIMES: Kind(
        level=Level.NOTE,
        condition="Times of known users that decide something could not be read, and count as unknown.",
        remedy="Return timestamps, dates, epochs or ISO text from known_users (docs/configuration.md lists what is read).",
    ),
    Cause.SHOWS_NOTHING: Kind(
        level=Level.ATTENTION,
        condition="Webflow shows no conversion of a goal on a day on which it accepted some that had to count, or none for all "
        "days that were read back.",
        remedy="Check in this order: Webflow's import of that night, the event name of the goal, the customer ID of the "
        "connection, and that the site still calls wf.setUserId() with these user IDs.",
    ),
    Cause.SHOWS_LITTLE: Kind(
        level=Level.ATTENTION,
        condition="Webflow shows less than a quarter of the conversions of a goal that it usually shows for as many users, by "
        "the 14 days before.",
        remedy="Check that the site still calls wf.setUserId() with these user IDs, whether the goal was renamed, and Webflow's "
        "import of that night.",
    ),
    Cause.NO_GOAL: Kind(
        level=Level.ATTENTION,
        also=Level.NOTE,
        condition="Conversions have an event name that no goal of the site has. A note, where Webflow does not name its goals.",
        remedy="Give the goal in Webflow exactly this event name, or correct it in the configuration (event_name, goals, "
        "readback.goals).",
    ),
    Cause.GOALS_DIFFER: Kind(
        level=Level.NOTE,
        condition="Plan found an event name that no goal of the site has, or goals in the configuration that are not Webflow's.",
        remedy="Give the goal in Webflow exactly this event name, or correct event_name or goals in the configuration.",
    ),
    Cause.REHEARSAL: Kind(
        level=Level.NOTE,
        condition="The run was a rehearsal (delivery.mode: rehearse): all but the sending was done, and what is ready stays so.",
        remedy="To go live, set delivery.mode: live; the next run sends what is not 2 days old by then, once.",
    ),
    Cause.EXPIRED_IN_REHEARSAL: Kind(
        level=Level.NOTE,
        condition="Conversions grew older than 2 days, and only rehearsals had looked at them.",
        remedy="Nothing: a rehearsal sends nothing. What is younger goes out once delivery.mode is live.",
    ),
    Cause.HIDDEN_CONNECTION: Kind(
        level=Level.NOTE,
        condition="A connection made under Admin > Connections is not the one that is used: an environment variable or a secrets "
        "backend has one of the same name, and comes first.",
        remedy="Remove the one that is not meant; plan's log, the run's record and the page name where conversions go.",
    ),
    Cause.CONFIGURATION_CHANGED: Kind(
        level=Level.NOTE,
        condition="A task of the run read another configuration than plan: the file or its SQL was changed meanwhile, or a "
        "worker has another copy of it.",
        remedy="Nothing, if you changed it; else give every worker the same files (docs/deployment.md).",
    ),
    Cause.NOT_INSTALLED: Kind(
        level=Level.NOTE,
        condition="Airflow has not loaded the package's plugin, or does not know its connection types: page, notes, checks of "
        "pools or the connections' forms are missing.",
        remedy="Install the package with pip in the environment of every process of Airflow, and restart them; airflow plugins "
        "and airflow providers hooks then name webflow (docs/deployment.md).",
    ),
}
