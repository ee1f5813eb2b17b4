"""Values of rows stay out of whatever tells of an error: the task's log and its last word, the ledger's records, XComs, notices."""

import json
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from tests.surroundings import Surroundings
from webflow_conversions.errors import ConversionsError, Unavailable, Unexpected, described
from webflow_conversions.ledger.notices import run_causes, stake
from webflow_conversions.ledger.session import Session
from webflow_conversions.pipeline.notices import deadline_notice, run_notice

CANARY = "canary anna 4711"
KEY_COLUMNS = {"conversions", "extracted", "history"}
"""Tables that hold identity keys, until they are forgotten."""

RAISES = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {what}; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE {when} ON webflow.{table} FOR EACH ROW EXECUTE FUNCTION refuse()
"""


@pytest.fixture
def planned(around: Surroundings) -> Surroundings:
    """A run that is to read a customer whose key is the canary."""
    around.sql(f"UPDATE sales SET identity_key = '{CANARY}'; UPDATE people SET identity_key = '{CANARY}', user_id = '{CANARY}'")
    around.sql("INSERT INTO sales SELECT 'c2', occurred_at, identity_key FROM sales")
    around.plan()
    return around


def refuse(around: Surroundings, table: str, what: str, when: str = "INSERT OR UPDATE") -> None:
    around.sql(RAISES.format(table=table, what=what, when=when))


def told(around: Surroundings, error: BaseException, printed: str) -> str:
    """All that anybody is told of it."""
    session, now = Session(around.connection), datetime.now(UTC)
    tables = [name for (name,) in around.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'webflow'")]
    records = {name: around.sql(f"SELECT t::text FROM webflow.{name} t") for name in tables if name not in KEY_COLUMNS}
    causes = run_causes(session, "nightly", around.run_id)
    night = stake(session, "nightly", now - timedelta(hours=1), {"webflow_default": ["sales"]}, now)
    notices = [run_notice(around.run_id, causes), deadline_notice(night, now)]
    last_word = "".join(traceback.format_exception(error))
    return "\n".join([printed, last_word, json.dumps(records), json.dumps(around.xcoms, default=str), str(notices)])


def pandas_error(*_: Any, **__: Any) -> Any:
    return pd.Series([CANARY]).astype(float)


def time_error(*_: Any, **__: Any) -> Any:
    return pd.to_datetime([CANARY], format="ISO8601")


def key_error(*_: Any, **__: Any) -> Any:
    return {}[CANARY]


def chained_error(*_: Any, **__: Any) -> Any:
    try:
        key_error()
    except KeyError as error:
        raise RuntimeError(f"no {CANARY}") from error


def grouped_error(*_: Any, **__: Any) -> Any:
    raise ExceptionGroup(CANARY, [ValueError(CANARY)])


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("PERFORM NEW.identity_key::integer", "InvalidTextRepresentation: SQLSTATE 22P02"),
        ("PERFORM NEW.identity_key::timestamptz", "InvalidDatetimeFormat: SQLSTATE 22007"),
        ("RAISE EXCEPTION 'no %', NEW.identity_key", "RaiseException: SQLSTATE P0001"),
        ("RAISE check_violation USING MESSAGE = NEW.identity_key, DETAIL = NEW.identity_key", "CheckViolation: SQLSTATE 23514"),
        ("RAISE EXCEPTION '%', NEW.identity_key USING ERRCODE = '42703'", "SQLSTATE 42703"),
        ("EXECUTE 'SELECT nowhere.' || quote_ident('x')", "SQLSTATE 42P01"),
    ],
)
def test_what_the_ledger_says_of_a_row_is_told_without_its_values(
    planned: Surroundings, capfd: pytest.CaptureFixture[str], what: str, said: str
) -> None:
    refuse(planned, "conversions", what)
    with pytest.raises(Unexpected) as raised:
        planned.extract()
    text = told(planned, raised.value, "".join(capfd.readouterr()))
    assert "canary" not in text
    assert said in str(raised.value)
    assert f"{said}" in planned.xcoms["failure"]["sentence"]
    assert "in ledger/" in str(raised.value)


def test_a_unique_violation_and_a_check_are_told_without_the_row(
    planned: Surroundings, capfd: pytest.CaptureFixture[str]
) -> None:
    planned.sql("CREATE UNIQUE INDEX one_key ON webflow.conversions (identity_key)")
    with pytest.raises(Unavailable) as refused:
        planned.extract()
    printed = "".join(capfd.readouterr())
    assert "canary" not in told(planned, refused.value, printed)

    planned.sql("DROP INDEX webflow.one_key; ALTER TABLE webflow.conversions ADD CHECK (identity_key !~ '^canary') NOT VALID")
    with pytest.raises(Unexpected, match="CheckViolation: new row for relation") as raised:
        planned.extract()
    assert "canary" not in told(planned, raised.value, "".join(capfd.readouterr()))


@pytest.mark.parametrize("trouble", [pandas_error, time_error, key_error, chained_error, grouped_error])
def test_what_nobody_foresaw_is_told_by_its_type_and_place(
    planned: Surroundings,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    trouble: Callable[..., Any],
) -> None:
    from webflow_conversions.pipeline import extraction

    monkeypatch.setattr(extraction, "evaluate", trouble)
    with pytest.raises(Unexpected) as raised:
        planned.extract()
    printed = "".join(capfd.readouterr())
    assert "canary" not in told(planned, raised.value, printed)
    assert "in pipeline/extraction.py line" in str(raised.value)
    assert f"in {trouble.__name__}" in printed, "the log says where it comes from"
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


def test_a_record_of_a_failure_that_cannot_be_kept_is_told_without_values(
    planned: Surroundings, capfd: pytest.CaptureFixture[str]
) -> None:
    refuse(planned, "runs", f"RAISE EXCEPTION 'no {CANARY} %', NEW.failures")
    planned.sql("ALTER TABLE sales RENAME COLUMN occurred_at TO happened_at")
    with pytest.raises(ConversionsError):
        planned.extract()
    printed = "".join(capfd.readouterr())
    assert "It could not be kept what became of this task: RaiseException: SQLSTATE P0001" in printed
    assert "canary" not in printed


def test_the_push_tells_no_values_either(planned: Surroundings, capfd: pytest.CaptureFixture[str]) -> None:
    planned.extract()
    (work, *_) = planned.identify()
    refuse(planned, "conversions", "RAISE EXCEPTION 'no %', NEW.user_id USING DETAIL = NEW.user_id", "UPDATE")
    with pytest.raises(Unexpected) as raised:
        planned.push(work).execute(planned.context())
    assert "canary" not in told(planned, raised.value, "".join(capfd.readouterr()))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError(CANARY), "KeyError"),
        (ValueError(f"could not convert string to float: '{CANARY}'"), "ValueError"),
        (FileNotFoundError(2, "No such file or directory", f"/tmp/{CANARY}"), "FileNotFoundError: No such file or directory"),
        (OSError(CANARY), "OSError"),
        (UnicodeDecodeError("utf-8", CANARY.encode(), 0, 1, CANARY), "UnicodeDecodeError"),
        (RuntimeError(), "RuntimeError"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_an_error_is_described_without_what_it_says(error: Exception, said: str) -> None:
    assert described(error) == said
