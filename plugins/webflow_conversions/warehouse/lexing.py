"""What of an SQL text is code, and what is a comment, a text or a quoted name."""

import re
from collections.abc import Iterator
from functools import cache

HIDDEN = "\x01"
"""Stands for each character of a text or of a quoted name."""

_BACKSLASH = frozenset({"bigquery", "clickhouse", "databricks", "hive", "mariadb", "mysql", "snowflake"})
"""Databases in which a backslash keeps a quote from ending a text. PostgreSQL has it in ``E'…'`` alone."""
_E_TEXTS = frozenset({"cockroachdb", "duckdb", "postgresql", "redshift", "vertica"})
_DOLLARS = frozenset({"cockroachdb", "duckdb", "postgresql", "redshift", "snowflake", "vertica"})
"""Databases with ``$tag$ … $tag$``; in others the sign is part of a name."""
_NESTED_COMMENTS = frozenset({"cockroachdb", "databricks", "duckdb", "mssql", "postgresql", "redshift", "vertica"})
_HASH_COMMENTS = frozenset({"bigquery", "mariadb", "mysql"})
_STRICT_DASHES = frozenset({"mariadb", "mysql"})
"""Databases in which ``--`` begins a comment only before a blank: ``5--3`` is 8."""
_BRACKETS = frozenset({"mssql", "sqlite"})
"""Databases in which ``[…]`` is a quoted name; in others it is a list or a subscript."""
_TRIPLES = frozenset({"bigquery"})
_Q_TEXTS = frozenset({"oracle"})


def mask(sql: str, dialect: str) -> str:
    """The code of an SQL text, each character in its place: comments as blanks, what is quoted as :data:`HIDDEN` in its quotes.

    Line ends stay. What is opened and never closed reaches to the end.

    :param dialect: SQLAlchemy's name of the database. Of one not named above the SQL standard is assumed.
    """
    parts: list[str] = []
    done = 0
    for start, end, is_comment in _beyond_code(sql, dialect):
        parts.append(sql[done:start])
        found = sql[start:end]
        quotes = 0 if is_comment else min(1, len(found) // 2)
        inner = re.sub(r"[^\n]", " " if is_comment else HIDDEN, found[quotes : len(found) - quotes])
        parts += [found[:quotes], inner, found[len(found) - quotes :]]
        done = end
    return "".join([*parts, sql[done:]])


def without_comments(sql: str, dialect: str) -> str:
    """The SQL text with its comments as blanks, each character in its place."""
    for start, end, is_comment in _beyond_code(sql, dialect):
        if is_comment:
            sql = sql[:start] + re.sub(r"[^\n]", " ", sql[start:end]) + sql[end:]
    return sql


def _beyond_code(sql: str, dialect: str) -> Iterator[tuple[int, int, bool]]:
    """Start and end of each comment and of each quoted part, and whether it is a comment."""
    pattern, at = _pattern(dialect), 0
    while found := pattern.search(sql, at):
        at = found.end()
        if found["block"] and dialect in _NESTED_COMMENTS:
            at = _end_of_nested(sql, found.start())
        yield found.start(), at, bool(found["line"] or found["block"])


def _end_of_nested(sql: str, start: int) -> int:
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(sql, start):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(sql)


_PLAIN = r"{0}(?:[^{0}]|{0}{0})*+(?:{0}|\Z)"
_ESCAPED = r"{0}(?:[^{0}\\]|\\.|{0}{0})*+(?:{0}|\\?\Z)"


@cache
def _pattern(dialect: str) -> re.Pattern[str]:
    """A comment in one line, a comment in marks, or a quoted part: each as a whole, or up to the text's end."""
    quote = _ESCAPED if dialect in _BACKSLASH else _PLAIN
    line = [r"--(?=\s|\Z)" if dialect in _STRICT_DASHES else "--", *(["#"] if dialect in _HASH_COMMENTS else [])]
    quoted = [
        *([r"'''.*?(?:'''|\Z)", r'""".*?(?:"""|\Z)'] if dialect in _TRIPLES else []),
        *([r"(?<!\w)[eE]" + _ESCAPED.format("'")] if dialect in _E_TEXTS else []),
        *([r"(?<![\w$])\$(?P<tag>[^\W\d]\w*|)\$.*?(?:\$(?P=tag)\$|\Z)"] if dialect in _DOLLARS else []),
        *([r"(?<!\w)[nN]?[qQ]'(?:\[.*?\]|\{.*?\}|\(.*?\)|<.*?>|(?P<end>\S).*?(?P=end))'"] if dialect in _Q_TEXTS else []),
        *([r"\[(?:[^]]|\]\])*+(?:\]|\Z)"] if dialect in _BRACKETS else []),
        quote.format("'"),
        quote.format("`"),
        (_PLAIN if dialect == "snowflake" else quote).format('"'),
    ]
    return re.compile(rf"(?P<line>(?:{'|'.join(line)})[^\n]*)|(?P<block>/\*.*?(?:\*/|\Z))|{'|'.join(quoted)}", re.DOTALL)
