"""What a database says of a query, in one sentence: which query, where in its file, what, and what to change.

Values of rows stay out of it: a word that a database quotes is told if it stands in the query itself, or names a table or column.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from webflow_conversions.errors import first_line, is_raised, without_data
from webflow_conversions.rules.mistakes import Mistake
from webflow_conversions.warehouse.statement import Statement

_SQLSTATES: Sequence[tuple[str, Mistake]] = (
    ("42703", Mistake.COLUMN), ("42P01", Mistake.TABLE), ("3F000", Mistake.TABLE), ("42883", Mistake.FUNCTION),
    ("42804", Mistake.TYPE), ("42846", Mistake.TYPE), ("42725", Mistake.TYPE), ("42702", Mistake.AMBIGUOUS),
    ("42P09", Mistake.AMBIGUOUS), ("42701", Mistake.TWICE), ("42601", Mistake.SYNTAX), ("42501", Mistake.PERMISSION),
    ("25006", Mistake.CHANGE), ("57014", Mistake.TIME), ("22021", Mistake.VALUE), ("22", Mistake.VALUE), ("P0", Mistake.OWN),
    ("XX000", Mistake.OWN), ("38", Mistake.OWN), ("39", Mistake.OWN), ("HV", Mistake.OWN),
    ("42S22", Mistake.COLUMN), ("42S02", Mistake.TABLE),
)  # fmt: skip
"""Codes of the SQL standard, PostgreSQL and ODBC, or the beginnings of some."""

_MYSQL_CODES = {
    code: mistake
    for mistake, codes in {
        Mistake.COLUMN: (1054,), Mistake.TABLE: (1049, 1146), Mistake.FUNCTION: (1305, 1630), Mistake.TYPE: (1241, 1267, 4078),
        Mistake.AMBIGUOUS: (1052,), Mistake.TWICE: (1060,), Mistake.SYNTAX: (1064,), Mistake.PERMISSION: (1142, 1143, 1356, 1370),
        Mistake.CHANGE: (1792,), Mistake.VALUE: (1292, 1365, 1366, 1525, 1690), Mistake.OWN: (1644,),
        Mistake.TIME: (1317, 1969, 3024),
    }.items()
    for code in codes
}  # fmt: skip
"""Codes of MySQL and MariaDB (their server error references)."""

_WORDS: Sequence[tuple[Mistake, str]] = (
    (Mistake.OWN, r"^invalid input error"),
    (
        Mistake.VALUE,
        r"conversion error|out of range|malformed json|integer overflow|numeric value|conversion failed|cast_invalid",
    ),
    (Mistake.VALUE, r"\bbad \w+ value|could not cast|invalid number|is not recognized"),
    (Mistake.COLUMN, r"no such column|referenced column|unrecognized name|invalid identifier|invalid column name"),
    (Mistake.COLUMN, r"unresolved_column|column .* cannot be resolved"),
    (
        Mistake.TABLE,
        r"no such table|table with name|table .* does not exist|does not exist or not authorized|invalid object name",
    ),
    (Mistake.TABLE, r"table_or_view_not_found|not found: table|ora-00942"),
    (Mistake.FUNCTION, r"no such function|function with name|function not found|unknown function|no function matches"),
    (Mistake.FUNCTION, r"no matching signature|wrong number of arguments"),
    (Mistake.TYPE, r"cannot compare|type mismatch|datatype_mismatch|unimplemented type for cast"),
    (Mistake.AMBIGUOUS, r"ambiguous"),
    (Mistake.TWICE, r"duplicate column"),
    (Mistake.PERMISSION, r"permission|not authorized|access denied|insufficient privilege|prohibited"),
    (Mistake.CHANGE, r"read.?only|data-modifying"),
    (Mistake.SYNTAX, r"syntax|incomplete input|unrecognized token|parser error|ora-009\d\d"),
    (Mistake.TIME, r"timed? ?out|timeout|cancell?ed|interrupted"),
)
"""What databases without codes say, and those whose codes are not known here."""

_LINE = re.compile(r"\bline[ :]+(\d+)|\bat \[(\d+):\d+\]", re.IGNORECASE)
_NAME = re.compile(
    r"""["'`]([^"'`]+)["'`]|(?:(?:column|table|function) (?:name:?)?|(?:column|table|function|name|near):) ?([\w.]+)""",
    re.IGNORECASE,
)
_FEW = 3
_NUMBER = re.compile(r"(?<=value: ).+|(?<![\w.])-?\d[\d.,]*\b|\b0x[0-9a-f]+\b")
"""What may be a value without quotes: a number, bytes, what BigQuery has behind ``Bad int64 value:``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What a database said of a statement: the kind of mistake, its words, and the lines of the file that are about it."""

    mistake: Mistake
    words: str
    lines: Sequence[int]
    code: str

    @property
    def told(self) -> str:
        """Its words, with the code where they may not say all."""
        has_code = self.code and self.mistake in (Mistake.VALUE, Mistake.OWN, Mistake.OTHER)
        return f"{self.words} (SQLSTATE {self.code})" if has_code else self.words

    @property
    def remedy(self) -> str:
        """What to change, as the end of a text."""
        return f" {self.mistake.value}." if self.mistake.value else ""


def refusal(error: BaseException, statement: Statement) -> Refusal:
    """What a driver's error says of a statement."""
    text, code = _text(error), sqlstate(error)
    mistake = _mistake(error, code, without_data(text, statement.words))  # a value must not say what kind of mistake it is
    words, line = _words(error, text, mistake), _line(error, text)
    is_behind = "source_rows" in words or "incomplete" in words or (line or 0) > statement.last_line
    if mistake is Mistake.SYNTAX and is_behind:
        return Refusal(mistake=Mistake.END, words="syntax error at its end", lines=[statement.last_line], code=code)
    return Refusal(
        mistake=mistake,
        words=_without_values(words, mistake, statement),
        lines=_lines_of_name(words, statement) if line is None else [line] if line <= statement.last_line else [],
        code=code,
    )


def _text(error: BaseException) -> str:
    """What the driver says; some give a code before it."""
    said = error.args[1] if len(error.args) > 1 else error
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE of a driver's error; empty where it has none."""
    given = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)
    if given is None and error.args and isinstance(error.args[0], str) and re.fullmatch(r"[0-9A-Z]{5}", error.args[0]):
        given = error.args[0]
    return str(given or "")


def mysql_code(error: BaseException) -> int | None:
    """The code of MySQL and MariaDB, whose drivers give it before the message."""
    code = error.args[0] if len(error.args) > 1 else None
    return code if isinstance(code, int) else None


def _mistake(error: BaseException, code: str, text: str) -> Mistake:
    of_code = next((mistake for beginning, mistake in _SQLSTATES if code.startswith(beginning)), None)
    of_number = _MYSQL_CODES.get(mysql_code(error) or 0)
    of_words = next((mistake for mistake, words in _WORDS if re.search(words, text, re.IGNORECASE)), Mistake.OTHER)
    if is_raised(error):
        return Mistake.OWN
    return of_code or of_number or (Mistake.OTHER if getattr(error, "pgcode", None) else of_words)


def _words(error: Any, text: str, mistake: Mistake) -> str:
    """The database's own words, as one line."""
    if mistake is Mistake.OWN:
        return "an error whose words may hold values of rows"
    diagnosis = getattr(error, "diag", None)
    if diagnosis is not None and diagnosis.message_primary:
        hint = diagnosis.message_hint or ""
        return f"{diagnosis.message_primary}. {hint}" if hint.startswith("Perhaps you meant") else diagnosis.message_primary
    if mysql_code(error) is not None:
        near = re.search(r"to use near '(\S*)", text)
        return f"syntax error near '{near[1]}'" if near else first_line(Exception(text))
    told = re.split(r"\n\s*\n|\n\s*LINE \d", text.strip())[0]
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    has_more = mistake.is_about_names or (lines and lines[0].endswith(":"))
    return " ".join(lines[: 2 if has_more else 1]) or first_line(error)


def _without_values(words: str, mistake: Mistake, statement: Statement) -> str:
    words = words.strip().rstrip(".!?")
    if mistake.is_about_names:
        return words
    # The sign at which the syntax breaks is of the query itself.
    signs = statement.marks if mistake is Mistake.SYNTAX else frozenset()
    shown = without_data(words, statement.words | signs | {"source_rows", *re.findall(r'encoding "(\w+)"', words.lower())})
    return _NUMBER.sub("…", shown) if mistake in (Mistake.VALUE, Mistake.OTHER) else shown


def _line(error: Any, text: str) -> int | None:
    """The line of the file that the database names: one less than that of what was sent. None for that of a function's code."""
    diagnosis = getattr(error, "diag", None)
    if diagnosis is not None and not diagnosis.statement_position:
        return None
    told = list(_LINE.finditer(text))
    if not told:
        return None
    # MySQL's line comes last, behind a piece of the query.
    line = told[-1 if mysql_code(error) else 0]
    return int(line[1] or line[2]) - 1 or None


def _lines_of_name(words: str, statement: Statement) -> list[int]:
    """The lines with the first name of the words that the statement has, if they are few."""
    for found in _NAME.finditer(words):
        name = next(filter(None, found.groups())).rpartition(".")[2].strip()
        lines = statement.lines_of(name) if name else []
        if 0 < len(lines) <= _FEW:
            return lines
    return []
