"""What identify found in a source, in words: rows that the source did not return, withdrawn rows, users that changed."""

from collections.abc import Mapping
from dataclasses import dataclass

from webflow_conversions.rules.amounts import Amount
from webflow_conversions.ui.formatting import conversions, number

_SENTENCES = {
    "unseen": (
        "{rows} can go out, or still wait, although {source} did not return {them} this time.",
        "If the query returns every row of its window, set returns_all: true; if it returns only what changed, nothing.",
    ),
    "missing": (
        "{rows} not returned by {source}, and not withdrawn: its rows do not look whole.",
        "Check the query and its tables; if so many are gone, run once with force.",
    ),
    "withdrawn": (
        "{rows} withdrawn: {source} no longer returns {them}.",
        "Nothing for refunds; if the rows are still true, correct the query, and they go out.",
    ),
    "lost_user": (
        "Known user lost in {source}: {rows}{of_known}.",
        "Nothing for persons who were erased; otherwise check that the table of known users is whole.",
    ),
    "user_changed": (
        "Known user changed in {source}: {rows}{of_known}.",
        "Nothing; if there are many, look at the query of known_users.",
    ),
}
"""A sentence and a remedy by the name under which identify records it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceNote:
    """A sentence about a source in a run, and what to do."""

    sentence: str
    remedy: str


def notes_on(source: str, identified: Mapping[str, Amount], currency: str | None) -> list[SourceNote]:
    """The notes on a source.

    :param identified: what identify recorded of the source (``SourceExtraction.identified``).
    """
    had_user = identified.get("had_user", Amount()).rows
    notes = []
    for name, (sentence, remedy) in _SENTENCES.items():
        amount = identified.get(name, Amount())
        if amount.rows:
            words = {
                "rows": conversions(amount, currency),
                "source": source,
                "them": "it" if amount.rows == 1 else "them",
                "of_known": f" of {number(had_user)} that had one" if had_user else "",
            }
            notes.append(SourceNote(sentence=sentence.format(**words), remedy=remedy))
    return notes
