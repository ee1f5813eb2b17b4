"""The errors that leave the product, named by what the caller does about them.

    ConversionsError
    ├── Unusable        configuration, parameters, connections: a person has to change something; no retry helps
    ├── Unavailable     a database or the API does not answer: the same call may work later
    │   └── NotLetIn    a database answers, and does not let us in as the connection is: plan refuses it, later tasks try again
    ├── InDoubt         a request left and its answer was lost: only the caller can know whether to repeat it
    ├── Stopped         the run must not go on as it is: a guard, a refused token
    └── Unfinished      the run ended, and something that should have gone out did not

Each carries one sentence for people: what is wrong, and what to change.
"""

import re
from collections.abc import Collection


class ConversionsError(Exception):
    """The base of all of them."""


class Unusable(ConversionsError):
    """Something that was given cannot work; trying again does not help."""


class Unavailable(ConversionsError):
    """Something is out of reach; trying again may help."""


class NotLetIn(Unavailable):
    """A connection is wrong: its password, its host's name, its TLS. Where it has worked before, trying again may help."""


class InDoubt(ConversionsError):
    """A request may have been received."""


class Stopped(ConversionsError):
    """Going on could do harm that cannot be undone."""


class Unfinished(ConversionsError):
    """A run's account has something open."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without its full stop; the name of the error's class if it has no message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


_DATA = re.compile(r"""'[^']*'|"[^"]*"|“[^”]*”|\S+@\S+|\b\w*\d{5,}\w*\b""")


def without_data(text: str, known: Collection[str] = ()) -> str:
    """A message that nobody here wrote, without what may be a value out of a row, a secret or a person.

    :param known: words in small letters that may be told.
    """
    return _DATA.sub(lambda found: found[0] if set(re.findall(r"\w+", found[0].lower())) <= set(known) else "…", text)
