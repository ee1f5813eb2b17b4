"""The result of identification for one source, as the run's record keeps it and the verdict reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from webflow_conversions.rules.amounts import Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceIdentified:
    """What identification found of a source.

    ``unseen``: waiting conversions of the window that the run's extraction did not return, and that stay.
    ``withdrawn``: those that were withdrawn. ``missing``: those that a source which promises all rows did not return, and that
    were not withdrawn, since the extraction does not look whole. ``had_user``: numbers of conversions that were ready and were
    looked up again; ``lost_user``: those of them whose user is no longer known; ``user_changed``: those that have another one.
    ``asked_keys``: numbers of identity keys without a known user, a sample; ``near_keys``: those of them that equal a known
    one but for case, blanks, zeros or ``.0``.
    """

    unseen: Amount = field(default_factory=Amount)
    withdrawn: Amount = field(default_factory=Amount)
    missing: Amount = field(default_factory=Amount)
    had_user: int = 0
    lost_user: int = 0
    user_changed: int = 0
    asked_keys: int = 0
    near_keys: int = 0

    def with_looked_up(self, had_user: int, lost_user: int) -> "SourceIdentified":
        """With the users that the extraction looked up itself."""
        return replace(self, had_user=self.had_user + had_user, lost_user=self.lost_user + lost_user)

    def to_json(self) -> dict[str, Any]:
        """For the run's record; money as text, exactly."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: one.to_json() if isinstance(one, Amount) else one for name, one in found.items()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Out of a run's record."""
        found: dict[str, Any] = {name: Amount.from_json(one) if isinstance(one, dict) else one for name, one in document.items()}
        return cls(**found)
