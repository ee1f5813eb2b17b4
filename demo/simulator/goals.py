"""The account's custom goals, and the event names that each has had over time."""

from collections.abc import Iterable
from typing import Any, NamedTuple

_EVER = 2**62


class GoalName(NamedTuple):
    """A goal has had an event name in ``[from_ms, to_ms)``."""

    goal_id: str
    event_name: str
    from_ms: int = -_EVER
    to_ms: int = _EVER


class Goals:
    """The goals of an account.

    :param must_still_have_name: whether a goal must still have the name at the import. Webflow's pages leave it open.
    """

    def __init__(self, names: Iterable[GoalName] = (), *, must_still_have_name: bool = False) -> None:
        self.names = list(names)
        self.must_still_have_name = must_still_have_name

    @property
    def ids(self) -> list[str]:
        """The goals, in the order in which they were given."""
        return list(dict.fromkeys(name.goal_id for name in self.names))

    def of(self, event_name: str, at_ms: int, import_ms: int) -> str | None:
        """The goal that had exactly this event name when a conversion happened; None if none had."""
        for name in self.names:
            if name.event_name == event_name and name.from_ms <= at_ms < name.to_ms:
                if self.must_still_have_name and not name.from_ms <= import_ms < name.to_ms:
                    continue
                return name.goal_id
        return None

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                "goal_id": name.goal_id,
                "event_name": name.event_name,
                "from_ms": None if name.from_ms == -_EVER else name.from_ms,
                "to_ms": None if name.to_ms == _EVER else name.to_ms,
            }
            for name in self.names
        ]


def parse_goals(told: Any) -> list[GoalName]:
    """Goals from JSON: a list of objects with the fields of :class:`GoalName`.

    :raises ValueError: it is anything else.
    """
    if not isinstance(told, list):
        raise ValueError("Send a list of goals.")
    try:
        names = [GoalName(**{field: value for field, value in one.items() if value is not None}) for one in told]
    except (AttributeError, TypeError) as error:
        raise ValueError(f"No goal: {error}.") from None
    for name in names:
        if not all(type(text) is str and text for text in name[:2]) or not all(type(at) is int for at in name[2:]):
            raise ValueError("goal_id and event_name must be text, from_ms and to_ms whole numbers.")
    return names
