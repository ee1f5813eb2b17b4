"""What of an SQL text is code is told as its database tells it, and the product's values are bound to names in code alone."""

import pytest
from sqlalchemy.dialects.postgresql import psycopg2

from webflow_conversions.errors import Unusable
from webflow_conversions.rules.query import Query
from webflow_conversions.warehouse.lexing import mask
from webflow_conversions.warehouse.statement import Statement

BINDS = {"identity_keys": ["a", "b"], "window_start": 1}


def bound(sql: str, dialect: str = "postgresql") -> str:
    """The statement as SQLAlchemy writes it, without what is around it; a bind is ``%(name)s``."""
    text = Statement(sql, dialect).bound(BINDS, "SELECT * FROM", "rows")
    compiled = text.compile(dialect=psycopg2.dialect(), compile_kwargs={"render_postcompile": True}).string
    return compiled.removeprefix("SELECT * FROM (\n").removesuffix("\n) rows")


def code(sql: str, dialect: str) -> str:
    return mask(sql, dialect).replace("\x01", "·")


@pytest.mark.parametrize(
    ("dialect", "sql", "expected"),
    [
        ("postgresql", "a -- :b\nc", "a      \nc"),
        ("postgresql", "a -- :b", "a      "),
        ("postgresql", "/* a\n/* b */ c */ d", "    \n             d"),
        ("oracle", "/* a /* b */ c */ d", "             c */ d"),
        ("postgresql", "a /* never closed", "a                "),
        ("postgresql", "'it''s' a", "'·····' a"),
        ("postgresql", "'a\\' b", "'··' b"),
        ("mysql", "'a\\' b' c", "'·····' c"),
        ("snowflake", "'a\\'b' \"c\\\" d", "'····' \"··\" d"),
        ("postgresql", "E'a\\'b' c", "E·····' c"),
        ("postgresql", "date'a\\' c", "date'··' c"),
        ("postgresql", "$$a'b$$ $x$ $$ $x$ a$b$c", "$·····$ $········$ a$b$c"),
        ("oracle", "v$a$ 'x' q'[it's]' b", "v$a$ '·' q·······' b"),
        ("mysql", "a # b\nc", "a    \nc"),
        ("postgresql", "a # b", "a # b"),
        ("mysql", "5--3", "5--3"),
        ("mysql", "5 --\n3", "5   \n3"),
        ("bigquery", "'''a'b''' `c:d` r'\\'", "'·······' `···` r'·'"),
        ("mssql", "[a:]]b] c", "[·····] c"),
        ("postgresql", "[a:b] `c`", "[a:b] `·`"),
        ("duckdb", "{'a':b}", "{'·':b}"),
        ("unheard_of", "'a\\' \"b\" -- c", "'··' \"·\"     "),
        ("postgresql", "'never closed\nat all", "'············\n·····l"),
        ("postgresql", "'", "·"),
        ("postgresql", "", ""),
    ],
)
def test_code_is_told_from_comments_and_from_what_is_quoted(dialect: str, sql: str, expected: str) -> None:
    assert code(sql, dialect) == expected
    assert len(expected) == len(sql)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT :window_start", "SELECT %(window_start)s"),
        ("SELECT :window_start::timestamptz", "SELECT %(window_start)s::timestamptz"),
        ("SELECT (:window_start), -:window_start", "SELECT (%(window_start)s), -%(window_start)s"),
        ("SELECT a::text, b[1:2], b[:2], c:=1", "SELECT a::text, b[1:2], b[:2], c:=1"),
        ("SELECT p:id, \"P\":id, f(x):id, v[0]:id, {'a':x}", "SELECT p:id, \"P\":id, f(x):id, v[0]:id, {'a':x}"),
        ("SELECT ':noon', ':smile:', '{\"a\":1}', '10\\:00', a\\:b", "SELECT ':noon', ':smile:', '{\"a\":1}', '10:00', a:b"),
        ("SELECT 5 % 2, '%(a)s %%'", "SELECT 5 %% 2, '%%(a)s %%%%'"),
        ("SELECT 1\n-- :noon\n", "SELECT 1\n-- :noon\n"),
    ],
)
def test_a_bind_is_a_name_behind_a_colon_in_code(sql: str, expected: str) -> None:
    assert bound(sql) == expected


IN = "IN (%(identity_keys_1)s, %(identity_keys_2)s)"


@pytest.mark.parametrize(
    "form",
    [
        "IN :identity_keys", "IN(:identity_keys)", "in ((:identity_keys))", "= ANY(:identity_keys)", "=any (:identity_keys)",
        "= SOME(:identity_keys::text[])", "= ANY(CAST(:identity_keys AS text[]))", "= ANY(:identity_keys::varchar(20)[])",
        "IN UNNEST(:identity_keys)", "IN (SELECT * FROM UNNEST(:identity_keys))", "IN (:identity_keys::bigint)",
    ],
)  # fmt: skip
def test_a_list_is_what_it_was_meant_to_be(form: str) -> None:
    assert bound(f"SELECT 1 WHERE (k {form} AND a)").split() == f"SELECT 1 WHERE (k {IN} AND a)".split()


def test_what_takes_the_place_of_a_list_keeps_the_lines_of_the_file() -> None:
    sql = "SELECT 1 WHERE k = ANY(\n    -- all of them\n    :identity_keys\n)\nAND a"
    assert bound(sql).count("\n") == sql.count("\n")
    assert bound("SELECT 1 WHERE k IN (SELECT k FROM a WHERE b IN (:identity_keys))").endswith(
        f"k IN (SELECT k FROM a WHERE b {IN} )"
    )


@pytest.mark.parametrize(
    "form",
    [
        "= :identity_keys", "<> ALL(:identity_keys)", "<= ANY(:identity_keys)", "IN (:identity_keys, 'c')", "IN ('c', :identity_keys)",
        "LIKE :identity_keys", "IN (lower(:identity_keys))", "= ANY :identity_keys", "BEGIN :identity_keys",
    ],
)  # fmt: skip
def test_a_list_whose_meaning_is_not_clear_is_refused_with_its_line(form: str) -> None:
    with pytest.raises(
        Unusable, match=r"^The query of people \(sql/people.sql, line 2\) has :identity_keys where no list can be"
    ):
        Statement(Query(f"SELECT 1\nWHERE k {form}", of="people", file="sql/people.sql"), "postgresql").bound(BINDS, "", "")


@pytest.mark.parametrize(
    "sql",
    ["SELECT ';' -- ;\n;", ";;SELECT 1;;", "SELECT 1; -- ; that's it", "(SELECT 1) UNION (SELECT 2)", "FROM a", "VALUES (1)",
     "SELECT update, (update), coalesce(delete, a), insert(a, 1, 2, b), replace(a, b, c) FROM a", "SELECT '{{1,2},{3,4}}'::int[]",
     "SELECT '{{a,b}}'::text[] -- {{ ds }}", "SELECT 'a {% b', 'it''s @window_start', \"for update\" FROM t", "SELECT '‘a’' AS b"],
)  # fmt: skip
def test_what_only_looks_like_a_mistake_is_none(sql: str) -> None:
    Statement(sql, "postgresql").bound(BINDS, "SELECT * FROM", "rows")


@pytest.mark.parametrize(
    "sql",
    ["SELECT 1 FROM {{ schema + '.sales' }}", "SELECT 1 FROM {{ 'sales' | upper }}", "SELECT 1 FROM {{'sales'}}", "SELECT 1 {%if a%}",
     "SELECT '{{ execution_date - macros.timedelta(days=2) }}'", "SELECT '{{ ds if ds else 1 }}'", "SELECT {{ params['a'] }}"],
)  # fmt: skip
def test_a_template_of_any_form_is_refused_as_one(sql: str) -> None:
    with pytest.raises(Unusable, match="holds a template, and templates are not filled in here"):
        Statement(sql, "postgresql")


def test_an_update_of_one_table_of_many_changes_data() -> None:
    with pytest.raises(Unusable, match="changes data with UPDATE"):
        Statement("WITH x AS (UPDATE ONLY sales AS s SET a = 1 RETURNING *) SELECT * FROM x", "postgresql")


def test_the_lines_of_a_statement_are_those_of_its_file() -> None:
    statement = Statement("\n\n-- name\nSELECT name\n, 'name' -- name\n;\n\n", "postgresql")
    assert (statement.lines_of("name"), statement.last_line) == ([4, 5], 5)
    assert Statement("; \n;\nSELECT a;", "postgresql").lines_of("a") == [3]


@pytest.mark.parametrize(
    "text",
    [
        "root:x:0:0:canary:/root:/bin/sh",
        "-----BEGIN PRIVATE KEY-----\ncanary",
        '{"token": "canary"}',
        "canary=1",
        "AWS_SECRET_ACCESS_KEY canary",
        "-- canary\nselected canary",
        "((canary))",
    ],
)
def test_a_file_that_is_no_query_is_refused_without_its_words(text: str) -> None:
    with pytest.raises(Unusable) as refused:
        Statement(Query(text, of="source shop", file="sql/shop.sql"), "postgresql")
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["(SELECT 1)", "/* a */ with a as (select 1) select * from a", "VALUES (1)", "\n((\nTABLE a))", "FROM a"]
)
def test_a_query_may_begin_as_queries_do(text: str) -> None:
    assert Statement(text, "duckdb").last_line > 0
