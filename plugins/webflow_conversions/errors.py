"""The errors that leave the product, named by what the caller does about them.

    ConversionsError
    ├── Unusable        configuration, parameters, connections: a person has to change something; no retry helps
    ├── Unavailable     a database or the API does not answer: the same call may work later
    │   └── NotLetIn    a database answers, and does not let us in as the connection is: plan refuses it, later tasks try again
    ├── InDoubt         a request left and its answer was lost: only the caller can know whether to repeat it
    ├── Stopped         the run must not go on as it is: a guard, a refused token
    ├── Unfinished      the run ended, and something that should have gone out did not
    └── Unexpected      nobody foresaw it: trying again may help, and its log says where it comes from

Each carries one sentence for people: what is wrong, and what to change.
"""

import re
from collections.abc import Collection
from pathlib import Path
from traceback import extract_tb, format_tb


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


class Unexpected(ConversionsError):
    """Another error in its place, whose text may hold values of rows."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without its full stop; the name of the error's class if it has no message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


_PAIRS = {"'": "'", '"': '"', "“": "”", "„": "“”", "‘": "’", "‚": "‘’", "«": "»", "»": "«", "「": "」"}  # noqa: RUF001 - on purpose
"""Quotation marks that open, in the languages of databases, and what closes them."""
_OPENS = re.compile(rf"(?:(?<!\w)|(?<=\b[bBnNrRuUxX]))'|[{''.join(_PAIRS.keys() - {chr(39)})}]")
"""A quotation mark that may open; an apostrophe within a word does not, a letter before a text of a program may stand there."""
_LONGEST_MESSAGE = 2_000
"""Characters of a message that are looked at: a value in it may be of any length."""
_CONTRACTED = re.compile(r"n't\b")
_DATA = re.compile(r"""\S+@\S+|\b\w*\d{5,}\w*\b""")


def without_data(text: str, known: Collection[str] = ()) -> str:
    """A message that nobody here wrote, without what may be a value out of a row, a secret or a person.

    A value may hold quotation marks and line breaks itself, and its end may have been cut off: what is quoted is taken to end
    with the last mark, or with the text.

    :param known: words in small letters that may be told, and signs that may stand alone.
    """

    def is_known(words: str) -> bool:
        found = set(re.findall(r"\w+", words.lower()))
        return found <= set(known) if found else words in known

    text, parts, done = text[:_LONGEST_MESSAGE], list[str](), 0
    while found := _OPENS.search(text, done):
        start, closing = found.start(), _PAIRS[found[0]]
        ends = [at for at in range(found.end(), len(text)) if text[at] in closing and not _CONTRACTED.match(text, at - 1)]
        if ends and is_known(text[found.end() : ends[0]]):
            parts.append(text[done : ends[0] + 1])
            done = ends[0] + 1
        else:
            parts += [text[done:start], "…"]
            done = ends[-1] + 1 if ends else len(text)
    shown = "".join([*parts, text[done:]])
    return _DATA.sub(lambda found: found[0] if is_known(found[0]) else "…", shown)


_VALUE_STATES = ("22", "P0", "XX000", "F0", "38", "39", "HV")
"""Beginnings of PostgreSQL's codes whose message quotes a value, or is written by a function of the database."""


def holds_values(error: BaseException) -> bool:
    """Whether PostgreSQL's message may hold a value of a row: by its code, or since a function of the database wrote it, which
    may give it any code.
    """
    state = getattr(error, "pgcode", None) or ""
    return state.startswith(_VALUE_STATES) or is_raised(error)


def is_raised(error: BaseException) -> bool:
    """Whether a RAISE in a function of PostgreSQL wrote the message."""
    return getattr(getattr(error, "diag", None), "source_function", None) == "exec_stmt_raise"


def described(error: BaseException) -> str:
    """An error that nobody here wrote, for logs and records: its type, where in the package it arose, and what holds no value.

    That is what PostgreSQL says of connections, names, constraints and rights, and what the operating system and Airflow say.
    """
    parts = [type(error).__name__]
    if state := getattr(error, "pgcode", None):
        said = database_words(error)
        parts.append(said if said.endswith(state) else f"{said} (SQLSTATE {state})")
    elif hasattr(error, "pgcode") and parts[0] in ("OperationalError", "InterfaceError"):
        parts.append(first_line(error))
    elif isinstance(error, OSError) and error.strerror:
        parts.append(error.strerror)
    elif type(error).__module__.startswith("airflow."):
        parts.append(without_data(first_line(error)))
    place = _place(error)
    return f"{': '.join(parts)}{f', in {place}' if place else ''}"


def database_words(error: BaseException) -> str:
    """The first line of what PostgreSQL says, or its code where the words may hold a value of a row."""
    state = getattr(error, "pgcode", None) or ""
    return f"SQLSTATE {state}" if holds_values(error) else first_line(error)


def frames(error: BaseException) -> str:
    """Where an error arose, as a traceback without its text; the lines are those of programs, and hold no values."""
    return "".join(format_tb(error.__traceback__)).rstrip()


def _place(error: BaseException) -> str:
    """The innermost line of this package, as ``rules/window.py line 12``."""
    package = Path(__file__).parent
    places = [(Path(frame.filename), frame.lineno) for frame in extract_tb(error.__traceback__)]
    inside = [f"{file.relative_to(package)} line {line}" for file, line in places if file.is_relative_to(package)]
    return inside[-1] if inside else ""
