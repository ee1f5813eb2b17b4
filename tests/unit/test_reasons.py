"""The page of reasons is what the code says, and the code's reasons are all on it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from webflow_conversions.documents.reasons import page
from webflow_conversions.rules.credit import ATTRIBUTIONS, EXPLANATIONS, Attribution, AttributionReason, explain_attribution
from webflow_conversions.rules.states import FAULTS, STANDINGS, Reason, State, explain

ROOT = Path(__file__).parents[2]
SQL = ROOT / "plugins" / "webflow_conversions" / "ledger" / "sql"


def test_the_page_in_the_docs_is_the_one_that_the_code_writes() -> None:
    assert (ROOT / "docs" / "reasons.md").read_text(encoding="utf-8") == page()


def test_the_page_is_written_without_airflow() -> None:
    check = "import sys, runpy; runpy.run_module('webflow_conversions.documents.reasons', run_name='__main__'); assert 'airflow' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, encoding="utf-8", check=True, cwd=ROOT / "plugins"
    )
    assert done.stdout == page()


@pytest.mark.parametrize("code", [*map(str, Reason), *map(str, State), *map(str, Attribution)])
def test_every_state_and_every_reason_has_a_line_of_its_own(code: str) -> None:
    assert len(re.findall(rf"^\| `{code}` \|", page(), re.MULTILINE)) == 1


@pytest.mark.parametrize("reason", AttributionReason)
def test_every_reason_of_a_verdict_has_a_line_of_its_own(reason: AttributionReason) -> None:
    assert len(re.findall(rf"^\| `{EXPLANATIONS[reason].attribution}` `{reason}` \|", page(), re.MULTILINE)) == 1


@pytest.mark.parametrize("state", State)
def test_every_state_is_explained_in_sentences(state: State) -> None:
    assert STANDINGS[state].meaning.endswith(".")
    assert STANDINGS[state].leaves.endswith(".")


def test_every_verdict_and_every_reason_of_one_is_explained_in_sentences() -> None:
    assert set(ATTRIBUTIONS) == set(Attribution)
    assert set(EXPLANATIONS) == set(AttributionReason)
    sentences = [*ATTRIBUTIONS.values(), *(text for found in EXPLANATIONS.values() for text in (found.meaning, found.remedy))]
    assert [text for text in sentences if not text.endswith(".")] == []
    assert {found.attribution for found in EXPLANATIONS.values()} == set(Attribution) - {Attribution.WILL_COUNT}


def test_a_verdict_is_explained_by_its_reason_else_by_itself() -> None:
    assert explain_attribution("may_count", "edge") == (
        EXPLANATIONS[AttributionReason.EDGE].meaning,
        EXPLANATIONS[AttributionReason.EDGE].remedy,
    )
    assert explain_attribution("will_count", None) == (ATTRIBUTIONS[Attribution.WILL_COUNT], "")
    assert explain_attribution("of_a_later_release", "so_is_this") == ("", "")


def test_what_is_wrong_with_a_row_is_always_a_rejection() -> None:
    assert {explain(fault).state for fault in FAULTS} == {State.REJECTED}


@pytest.mark.parametrize("path", sorted(SQL.rglob("*.sql")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_ledger_s_sql_knows_no_other_codes(path: Path) -> None:
    text = re.sub(r"--.*", "", path.read_text(encoding="utf-8"))
    codes = set(re.findall(r"'((?:expired|unknown|missing|invalid|personal|echo|written|in_doubt)\w*)'", text))
    assert codes <= {*Reason, *State, *Attribution}
