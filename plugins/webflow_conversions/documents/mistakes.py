"""The page of mistakes in SQL and connections: ``python -m webflow_conversions.documents.mistakes > docs/mistakes.md``.

``tests/integration/test_mistakes.py`` makes each of them on each database, and compares what is said to the letter.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from webflow_conversions.documents.markdown import table
from webflow_conversions.rules.mistakes import Mistake

DATABASES = {"postgres": "PostgreSQL", "duckdb": "DuckDB", "sqlite": "SQLite", "mariadb": "MariaDB"}
"""The databases on which every mistake is made, with their names."""

SOURCE = """SELECT
    order_no AS conversion_id,
    paid_at AS occurred_at,
    customer_no AS identity_key,
    total AS value
FROM orders
WHERE paid_at >= :window_start AND paid_at < :window_end
"""
KNOWN_USERS = """SELECT
    customer_no AS identity_key,
    'crm' AS user_domain,
    user_id,
    seen_at AS identified_at
FROM site_users
WHERE customer_no IN :identity_keys
"""
WORKS = ""
"""Stands for a sentence where nothing is said: the query is read as meant."""
PORT = "5432"
"""Stands for the port of the server on the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Something that is written into a query, and what the product says of it.

    ``written`` is for the page. ``sql`` is the file of the source ``shop``, or of ``known_users`` where it is ``of`` these,
    in ``encoding``.
    ``says`` is what is said on every database of ``databases``, but on those in ``elsewhere``; the task ``when`` says it.
    """

    written: str
    sql: str
    of: str = "source shop"
    encoding: str = "utf-8"
    says: str = WORKS
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    when: str = "plan"
    databases: Sequence[str] = tuple(DATABASES)
    note: str = "Read as meant."

    def said(self, database: str) -> str:
        """What is said on a database."""
        return self.elsewhere.get(database, self.says)

    @property
    def becomes(self) -> str:
        """What becomes of it, for the page."""
        others = (f"On {DATABASES[name]}: {said or self.note}" for name, said in self.elsewhere.items())
        return "<br>".join((self.says or self.note, *others))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionExample:
    """Something that is wrong in a connection: its fields that differ from those that work, and what is said of it."""

    written: str
    fields: Mapping[str, Any]
    why: str
    remedy: str

    @property
    def says(self) -> str:
        """The sentence with which plan refuses it."""
        return (
            f"The warehouse (connection warehouse) does not let us in: {self.why}. Correct connection warehouse: {self.remedy}."
        )


def _source(old: str, new: str) -> str:
    return SOURCE.replace(old, new)


def _users(old: str, new: str) -> str:
    return KNOWN_USERS.replace(old, new)


def _ours(what: str, line: int | None = None, of: str = "source shop (sql/shop.sql") -> str:
    return f"The query of {of}{f', line {line}' if line else ''}) {what}."


def _theirs(words: str, mistake: Mistake, where: str = "") -> str:
    place = f"sql/shop.sql{f', {where}' if where else ''}"
    return f"The warehouse (connection warehouse) refuses the query of source shop ({place}): {words}. {mistake.value}."


_FILE = "The SQL file include/sql/shop.sql that conversions.yaml names"
_LIST = "has :identity_keys where no list can be: write … IN :identity_keys, for it is a list of texts"
_OF_USERS = "known_users (sql/known_users.sql"

EXAMPLES: Mapping[str, Sequence[Example]] = {
    "The file": (
        Example(written="A byte order mark, as editors on Windows put it", sql=f"\ufeff{SOURCE}"),
        Example(written="CRLF at the ends of lines", sql=_source("\n", "\r\n")),
        Example(written="A comment at the end, without a line end", sql=f"{SOURCE.rstrip()} -- the run's window: 2 days"),
        Example(written="`;` at the end, then comments or blanks", sql=f"{SOURCE.rstrip()};\n\n-- that's all; folks\n"),
        Example(written="Blanks that are none (U+00A0, U+200B)", sql=_source("FROM orders", "FROM\u00a0orders\u200b")),
        Example(written="`WITH … SELECT`", sql=_source("SELECT\n", "WITH paid AS (SELECT * FROM orders)\nSELECT\n")),
        Example(written="`ORDER BY … LIMIT`", sql=f"{SOURCE.rstrip()} ORDER BY paid_at LIMIT 500"),
        Example(written="Nothing", sql="\n", says=f"{_FILE} is empty."),
        Example(written="UTF-16", sql=SOURCE, encoding="utf-16", says=f"{_FILE} is UTF-16: save it as UTF-8."),
        Example(
            written="Latin-1, Windows-1252 and others",
            sql=_source("WHERE", "WHERE order_no <> 'ungültig' AND"),
            encoding="latin-1",
            says=f"{_FILE} is not UTF-8 in line 7: save it as UTF-8.",
        ),
        Example(written="Comments alone", sql="-- SELECT 1\n/* later */\n;", says=_ours("has no statement: write one SELECT")),
        Example(
            written="Two statements",
            sql=f"{SOURCE.rstrip()};\n\nSELECT 2",
            says=_ours("has a second statement: leave one SELECT in the file", 9),
        ),
        Example(
            written="`SET …; SELECT …`",
            sql=f"SET TIME ZONE 'UTC';\n{SOURCE}",
            says=_ours("has a second statement: leave one SELECT in the file", 2),
        ),
        Example(
            written="`INSERT INTO …`",
            sql="-- copies\nINSERT INTO sent SELECT * FROM orders",
            says=_ours("begins with INSERT: write one SELECT, which may have a WITH before it", 2),
        ),
        Example(
            written="`WITH … AS (DELETE …)`",
            sql="WITH gone AS (\n    DELETE FROM orders RETURNING *\n)\nSELECT * FROM gone",
            says=_ours("changes data with DELETE: a query may only read", 2),
        ),
        Example(
            written="`FOR UPDATE`, `FOR SHARE`",
            sql=f"{SOURCE}FOR UPDATE",
            says=_ours("locks rows with FOR UPDATE: a query may only read", 8),
        ),
        Example(
            written="`{{ ds }}`, `{{ ref('orders') }}`, `{% if … %}`",
            sql=_source(":window_start", "'{{ ds }}'"),
            says=_ours(
                "holds a template, and templates are not filled in here: write what it stands for, and :window_start and "
                ":window_end where it stands for times of the run",
                7,
            ),
        ),
        Example(
            written="Quotation marks out of a word processor",
            sql=_source("WHERE", "WHERE order_no <> \u2018test\u2019 AND"),
            says=_ours("has \u2018 for a quotation mark: write ' around a text, and \" around a name", 7),
        ),
    ),
    "Values of the run": (
        Example(
            written="`:word` in a comment, a text or a quoted name",
            sql=_source("FROM orders", "FROM (-- at :noon\nSELECT o.*, ':noon: 12:30' AS \":remark\" FROM orders o) orders"),
        ),
        Example(written="`::text`", sql=_source("order_no AS", "order_no::text AS"), databases=("postgres", "duckdb")),
        Example(
            written="`%` in the SQL",
            sql=_source("WHERE", "WHERE order_no LIKE 'o%' AND order_no <> '%s %(x)s' AND 5 % 2 = 1 AND"),
        ),
        Example(
            written="Neither `:window_start` nor `:window_end`",
            sql=SOURCE.partition("WHERE")[0],
            note="Allowed: rows beyond the window are counted and left alone.",
        ),
        Example(
            written="A name that is not given",
            sql=_source(":window_end", ":window_stop"),
            says=_ours(
                "names :window_stop, but it is given :window_start and :window_end: use these, and write a colon that begins no "
                "name as \\:",
                7,
            ),
        ),
        *(
            Example(
                written=f"`{form}`",
                sql=_source(":window_start", form),
                says=_ours(f"has {form}: write :window_start, without quotes", 7),
            )
            for form in ("':window_start'", "%(window_start)s", "@window_start", "$window_start", "{window_start}")
        ),
        *(
            Example(written=f"`{form}`", of="known_users", sql=_users("IN :identity_keys", form))
            for form in (
                "IN (:identity_keys)",
                "= ANY(:identity_keys)",
                "= ANY(:identity_keys::text[])",
                "IN UNNEST(:identity_keys)",
                "IN (SELECT unnest(:identity_keys))",
            )
        ),
        Example(
            written="`= :identity_keys`",
            of="known_users",
            sql=_users("IN :identity_keys", "= :identity_keys"),
            says=_ours(_LIST, 7, _OF_USERS),
        ),
        Example(
            written="`JOIN unnest(:identity_keys)`",
            of="known_users",
            sql=_users("WHERE customer_no IN :identity_keys", "JOIN unnest(:identity_keys) k ON k = customer_no"),
            says=_ours(_LIST, 7, _OF_USERS),
        ),
        Example(
            written="No `:identity_keys`",
            of="known_users",
            sql=KNOWN_USERS.partition("WHERE")[0],
            note="Allowed, with a warning in the log of plan: all users are read whenever some are looked up.",
        ),
    ),
    "Columns": (
        Example(
            written='`AS "Conversion_ID"`, `AS "CONVERSION_ID"`: a name in other letters',
            sql=_source("AS conversion_id", 'AS "Conversion_ID"').replace("AS identity_key", 'AS "IDENTITY_KEY"'),
            databases=("postgres", "duckdb", "sqlite"),
        ),
        Example(
            written='`AS "order"`: a further column whose name is a reserved word',
            sql=_source("    total", '    total AS "order",\n    total'),
            databases=("postgres", "duckdb", "sqlite"),
        ),
        Example(
            written="A column that is there twice, as in `SELECT orders.*, …`",
            sql=_source("SELECT\n", "SELECT\n    order_no AS conversion_id,\n"),
            says=_ours(
                "returns conversion_id twice: name the columns in the SELECT one by one in place of *, each of them once; small "
                "and capital letters make no difference"
            ),
            elsewhere={"mariadb": _theirs("Duplicate column name 'conversion_id'", Mistake.TWICE, "lines 2 and 3")},
        ),
        Example(
            written="A column is missing, or has another name",
            sql=_source("AS identity_key", "AS customer"),
            says=_ours("does not return identity_key: add it to the SELECT"),
        ),
    ),
    "What a database refuses": (
        Example(
            written="No such column",
            sql=_source("paid_at AS", "paid_att AS"),
            says=_theirs(
                'column "paid_att" does not exist. Perhaps you meant to reference the column "orders.paid_at"',
                Mistake.COLUMN,
                "line 3",
            ),
            elsewhere={
                "duckdb": _theirs(
                    'Binder Error: Referenced column "paid_att" not found in FROM clause! '
                    'Candidate bindings: "paid_at", "order_no"',
                    Mistake.COLUMN,
                    "line 3",
                ),
                "sqlite": _theirs("no such column: paid_att", Mistake.COLUMN, "line 3"),
                "mariadb": _theirs("Unknown column 'paid_att' in 'SELECT'", Mistake.COLUMN, "line 3"),
            },
        ),
        Example(
            written="No such table",
            sql=_source("FROM orders", "FROM shop_orders"),
            says=_theirs('relation "shop_orders" does not exist', Mistake.TABLE, "line 6"),
            elsewhere={
                "duckdb": _theirs(
                    'Catalog Error: Table with name shop_orders does not exist! Did you mean "pg_attrdef"',
                    Mistake.TABLE,
                    "line 6",
                ),
                "sqlite": _theirs("no such table: shop_orders", Mistake.TABLE, "line 6"),
                "mariadb": _theirs("Table 'mistakes.shop_orders' doesn't exist", Mistake.TABLE, "line 6"),
            },
        ),
        Example(
            written="No such function",
            sql=_source("order_no AS", "uper(order_no) AS"),
            says=_theirs("function uper(character varying) does not exist", Mistake.FUNCTION, "line 2"),
            elsewhere={
                "duckdb": _theirs(
                    'Catalog Error: Scalar Function with name uper does not exist! Did you mean "upper"',
                    Mistake.FUNCTION,
                    "line 2",
                ),
                "sqlite": _theirs("no such function: uper", Mistake.FUNCTION, "line 2"),
                "mariadb": _theirs("FUNCTION mistakes.uper does not exist", Mistake.FUNCTION, "line 2"),
            },
        ),
        Example(
            written="A text compared with a number",
            sql=_source("WHERE", "WHERE customer_no = 5 AND"),
            says=_theirs("operator does not exist: character varying = integer", Mistake.FUNCTION, "line 7"),
            databases=("postgres",),
        ),
        Example(
            written="A column that two tables have",
            sql=_source("FROM orders", "FROM orders JOIN refunds ON orders.order_no = refunds.order_no"),
            says=_theirs('column reference "order_no" is ambiguous', Mistake.AMBIGUOUS, "line 2"),
            elsewhere={
                "duckdb": _theirs(
                    'Binder Error: Ambiguous reference to column name "order_no" '
                    "(use: 'orders.order_no' or 'refunds.order_no')",
                    Mistake.AMBIGUOUS,
                    "line 2",
                ),
                "sqlite": _theirs("ambiguous column name: order_no", Mistake.AMBIGUOUS, "lines 2 and 6"),
                "mariadb": _theirs("Column 'order_no' in SELECT is ambiguous", Mistake.AMBIGUOUS, "lines 2 and 6"),
            },
        ),
        Example(
            written="A comma too many",
            sql=_source("value\nFROM", "value,\nFROM"),
            says=_theirs('syntax error at or near "FROM"', Mistake.SYNTAX, "line 6"),
            elsewhere={
                "duckdb": WORKS,
                "sqlite": _theirs('near "FROM": syntax error', Mistake.SYNTAX, "line 6"),
                "mariadb": _theirs("syntax error near 'FROM'", Mistake.SYNTAX, "line 6"),
            },
        ),
        Example(
            written="A placeholder of another tool: `%s`",
            sql=_source(":window_start", "%s"),
            says=_theirs('syntax error at or near "%"', Mistake.SYNTAX, "line 7"),
            databases=("postgres",),
        ),
        Example(
            written="A parenthesis too few",
            sql=_source("paid_at >=", "(paid_at >="),
            says=_theirs("syntax error at its end", Mistake.END, "line 7"),
        ),
        Example(
            written="No right to read a table",
            sql=_source("FROM orders", "FROM payroll"),
            says=_theirs("permission denied for table payroll", Mistake.PERMISSION, "line 6"),
            databases=("postgres",),
        ),
        Example(
            written="A value of a row that cannot be converted",
            sql=_source("customer_no AS", "CAST(customer_no AS integer) AS"),
            says=_theirs("invalid input syntax for type integer: … (SQLSTATE 22P02)", Mistake.VALUE),
            elsewhere={
                "duckdb": _theirs(
                    "Conversion Error: Could not convert string … to INT32 when casting from source column customer_no",
                    Mistake.VALUE,
                    "line 4",
                ),
            },
            when="extract",
            databases=("postgres", "duckdb"),
        ),
        Example(
            written="An error that a function raises",
            sql=_source("customer_no AS", "checked(customer_no) AS"),
            says=_theirs("an error whose words may hold values of rows (SQLSTATE P0001)", Mistake.OWN),
            when="extract",
            databases=("postgres",),
        ),
        Example(
            written="A mistake in a function of the warehouse",
            sql=_source("customer_no AS", "broken(customer_no) AS"),
            says=_theirs('column "nope" does not exist', Mistake.COLUMN),
            when="extract",
            databases=("postgres",),
        ),
        Example(
            written="A query that takes longer than its user may",
            sql=_source("customer_no AS", "customer_no || pg_sleep(5) AS"),
            says=_theirs("canceling statement due to statement timeout", Mistake.TIME).replace("refuses", "ended"),
            when="extract",
            databases=("postgres",),
        ),
        Example(
            written="Keys that are numbers, made text in the SELECT alone",
            of="known_users",
            sql=_users("customer_no AS", "CAST(card AS text) AS").replace("WHERE customer_no", "WHERE card"),
            says=_ours(
                "returns identity_key as text, and compares :identity_keys with something else: compare CAST(… AS text) with "
                ":identity_keys, or return the column as it is",
                of=_OF_USERS,
            ),
            databases=("postgres",),
        ),
    ),
}

_SERVER = f'connection to server at "127.0.0.1", port {PORT} failed: '

CONNECTIONS: Sequence[ConnectionExample] = (
    ConnectionExample(
        written="A wrong password",
        fields={"login": "with_password", "password": "wrong"},
        why=f'{_SERVER}FATAL:  password authentication failed for user "with_password"',
        remedy="its login and password",
    ),
    ConnectionExample(
        written="No password",
        fields={"login": "with_password"},
        why=f"{_SERVER}fe_sendauth: no password supplied",
        remedy="its login and password",
    ),
    ConnectionExample(
        written="A role that is not there",
        fields={"login": "nobody_s"},
        why=f'{_SERVER}FATAL:  role "nobody_s" does not exist',
        remedy="its login",
    ),
    ConnectionExample(
        written="A role that may not log in",
        fields={"login": "no_login"},
        why=f'{_SERVER}FATAL:  role "no_login" is not permitted to log in',
        remedy="its login",
    ),
    ConnectionExample(
        written="A database that is not there",
        fields={"schema": "shopp"},
        why=f'{_SERVER}FATAL:  database "shopp" does not exist',
        remedy="its schema, which names the database",
    ),
    ConnectionExample(
        written="A database that the role may not enter",
        fields={"login": "no_guest", "schema": "closed"},
        why=f'{_SERVER}FATAL:  permission denied for database "closed"',
        remedy="what its login may read, or its schema",
    ),
    ConnectionExample(
        written="A host that is not known",
        fields={"host": "warehouse.invalid"},
        why='could not translate host name "warehouse.invalid" to address: Name or service not known',
        remedy="its host",
    ),
    ConnectionExample(
        written="TLS that the server does not offer",
        fields={"extra": {"sslmode": "require"}},
        why=f"{_SERVER}server does not support SSL, but SSL was required",
        remedy="its TLS: sslmode, sslrootcert, and the server's certificate",
    ),
    ConnectionExample(
        written="An `sslmode` that there is not",
        fields={"extra": {"sslmode": "on"}},
        why='invalid sslmode value: "on"',
        remedy="its TLS: sslmode, sslrootcert, and the server's certificate",
    ),
)

_HEAD = """# Mistakes in SQL and connections

<!-- Written by `python -m webflow_conversions.documents.mistakes > docs/mistakes.md`; change documents/mistakes.py. -->

What people write into `include/sql` and into the warehouse's connection, and what becomes of it. Each line is tried on
PostgreSQL, DuckDB, SQLite and MariaDB, where the database has such a thing. The sentences are those of a source `shop` with the
file `sql/shop.sql`. The task `plan` says them, before anything is read or sent; what `extract` alone can say is marked.

Where a database refuses a query, the sentence names the query, its file, the line in it, the database's own words, and what to
change. A database that tells no line tells a name; then the lines that have the name are given. Values of rows are left out of
the words (`…`). Other warehouses are treated alike, as far as their words are known.
"""

_CONNECTIONS = """## Connections

A connection that cannot work before a person corrects it is refused by `plan`. What may pass (a server that is down, too many
connections, a DNS server without an answer) is tried again by `extract`. A host that is not known is refused, since that is an
answer of DNS. After `plan` each of these is tried again, since the connection has just worked. The sentences are PostgreSQL's.
They are known by libpq's words in English: a server that speaks another language is tried again first. MySQL and MariaDB are
told by their codes (1044, 1045, 1049, …). The ledger's connection is refused in the same words.
"""


def page() -> str:
    """The whole page, in Markdown."""
    parts = [_HEAD]
    for title, examples in EXAMPLES.items():
        rows = (
            (example.written, f"{'*extract*: ' if example.when == 'extract' else ''}{_text(example.becomes)}")
            for example in examples
        )
        parts += [f"## {title}\n", *table(("written", "what becomes of it"), rows), ""]
    wrong = ((example.written, _text(example.says)) for example in CONNECTIONS)
    parts += [_CONNECTIONS, *table(("in the connection", "what is said"), wrong)]
    return "\n".join(parts) + "\n"


def _text(sentence: str) -> str:
    """A sentence as Markdown shows it, to the letter."""
    return re.sub(r"([\\*|])", r"\\\1", sentence)


if __name__ == "__main__":
    sys.stdout.write(page())
