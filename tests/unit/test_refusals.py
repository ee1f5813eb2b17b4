"""What databases that are not here say of a query, in the words of their manuals: kind, line, and no value of a row."""

from contextlib import closing
from time import process_time

import duckdb
import pytest

from webflow_conversions.errors import without_data
from webflow_conversions.rules.mistakes import Mistake
from webflow_conversions.warehouse.reaching import what_to_correct
from webflow_conversions.warehouse.refusals import refusal
from webflow_conversions.warehouse.statement import Statement

SQL = "SELECT\n    paid_att AS occurred_at\nFROM shop_orders\nWHERE total > 5\n"


@pytest.mark.parametrize(
    ("said", "mistake", "lines", "words"),
    [
        ("000904 (42000): SQL compilation error: error line 3 at position 4\ninvalid identifier 'PAID_ATT'", Mistake.COLUMN, [2], "invalid identifier 'PAID_ATT'"),
        ("001003 (42000): SQL compilation error:\nsyntax error line 5 at position 0 unexpected 'WHERE'.", Mistake.SYNTAX, [4], "unexpected 'WHERE'"),
        ("002003 (42S02): SQL compilation error:\nObject 'SHOP_ORDERS' does not exist or not authorized.", Mistake.TABLE, [3], "'SHOP_ORDERS'"),
        ("100038 (22018): Numeric value 'anna' is not recognized", Mistake.VALUE, [], "Numeric value … is not recognized"),
        ("400 Unrecognized name: paid_att; Did you mean paid_at? at [3:5]", Mistake.COLUMN, [2], "Did you mean paid_at? at [3:5]"),
        ("400 Bad int64 value: anna", Mistake.VALUE, [], "… Bad int64 value: …"),
        ("[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column with name `paid_att` cannot be resolved. SQLSTATE: 42703; line 3 pos 4", Mistake.COLUMN, [2], "`paid_att`"),
        ("[CAST_INVALID_INPUT] The value 'anna' of the type \"STRING\" cannot be cast to \"BIGINT\"", Mistake.VALUE, [], "The value … of the type"),
        (("42S22", "[42S22] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Invalid column name 'paid_att'. (207)"), Mistake.COLUMN, [2], "'paid_att'"),
        ((207, b"Invalid column name 'paid_att'.DB-Lib error message 20018"), Mistake.COLUMN, [2], "'paid_att'"),
        ("Conversion failed when converting the varchar value 'anna' to data type int.", Mistake.VALUE, [], "the varchar value … to data type int"),
        ("ORA-00942: table or view does not exist", Mistake.TABLE, [], "ORA-00942"),
        ("ORA-00904: \"PAID_ATT\": invalid identifier", Mistake.COLUMN, [2], "\"PAID_ATT\""),
        ("line 3:5: Column 'paid_att' cannot be resolved", Mistake.COLUMN, [2], "'paid_att'"),
        ("Invalid Input Error: Anna has no number", Mistake.OWN, [], "an error whose words may hold values of rows"),
        ("something new about anna@example.com or \"Anna\" and 12345", Mistake.OTHER, [], "something new about … or … and …"),
    ],
)  # fmt: skip
def test_the_words_of_other_databases_are_understood_and_hold_no_value(
    said: str | tuple[object, ...], mistake: Mistake, lines: list[int], words: str
) -> None:
    found = refusal(RuntimeError(*([said] if isinstance(said, str) else said)), Statement(SQL, "unheard_of"))
    assert (found.mistake, list(found.lines)) == (mistake, lines)
    assert words in found.told
    assert "anna" not in found.told.lower()


@pytest.mark.parametrize(
    "value",
    ["O'Anna", 'an "Anna"', "Anna's", "can't Anna", "x\nAnna", "x\n\nLINE 1: 'Anna", "'", "no such column: Anna", "'Anna'"],
)
@pytest.mark.parametrize(
    "said",
    [
        "Could not convert string '{}' to INT32: Conversion Error",
        'invalid date field format: "{}", Conversion Error',
        "Type VARCHAR with value '{}' can't be cast: Conversion Error",
        "Numeric value '{}' is not recognized",
        "ungültige Eingabesyntax für Typ integer: »{}«",
        "syntaxe en entrée invalide pour le type integer : « {} »",
        "invalid input “{}”",
        "ungültig: „{}“",
        "cannot read b'{}'",
    ],
)  # fmt: skip
def test_a_value_that_holds_quotation_marks_and_line_breaks_is_told_in_no_part(value: str, said: str) -> None:
    found = refusal(RuntimeError(said.format(value)), Statement(SQL, "unheard_of"))
    assert "Anna" not in found.told
    assert "…" in found.told
    assert not found.mistake.is_about_names, "the value does not say what kind of mistake it is"


@pytest.mark.parametrize("value", ["O''Anna", "x\nAnna", 'a"Anna', "it''s Anna''s", "'' to Anna"])
@pytest.mark.parametrize("target", ["int", "date", "uuid", "int[]", "timestamptz", "json", "decimal(3, 1)", "interval"])
def test_duckdb_tells_no_part_of_a_value(value: str, target: str) -> None:
    with closing(duckdb.connect()) as connection, pytest.raises(duckdb.Error) as raised:
        connection.execute(f"SELECT CAST('{value}' AS {target})")
    assert "Anna" in str(raised.value)
    found = refusal(raised.value, Statement(SQL, "duckdb"))
    assert "Anna" not in found.told
    assert found.mistake is Mistake.VALUE


@pytest.mark.parametrize(
    "known", ["column 'total' of \"shop_orders\"", "that doesn't exist, in shop_orders' rows", "Airflow's 'total' isn't there"]
)
def test_what_stands_in_the_query_is_told(known: str) -> None:
    assert without_data(known, Statement(SQL, "unheard_of").words) == known


def test_a_message_of_any_length_is_told_at_once() -> None:
    began = process_time()
    told = [
        refusal(RuntimeError(f"could not cast '{piece * 500_000}'"), Statement(SQL, "duckdb")).told
        for piece in ("table ", "'total' ", "\n ", "x")
    ]
    assert process_time() - began < 10  # some hundredths; without a bound it takes hours
    assert all(len(one) < 2_100 for one in told)


@pytest.mark.parametrize(
    "said",
    ["connection to server at \"sslmode.example\" (10.0.0.1), port 5432 failed: Connection refused", "timeout expired", "FATAL:  the database system is starting up",
     "could not translate host name \"certificate\" to address: Temporary failure in name resolution", "FATAL:  sorry, too many clients already",
     "(2003, \"Can't connect to MySQL server on 'warehouse' ([Errno 111] Connection refused)\")", "SSL SYSCALL error: EOF detected"],
)  # fmt: skip
def test_what_may_pass_is_no_mistake_in_a_connection(said: str) -> None:
    assert what_to_correct(RuntimeError(said)) is None
