"""The tables of answers in docs/delivery.md are what the code says, name every class, and name tests that exist."""

import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from webflow_conversions.delivery.answers import Trouble
from webflow_conversions.delivery.outcomes import TREATMENTS, Outcome
from webflow_conversions.delivery.settings import PushCounts
from webflow_conversions.documents.delivery import EXAMPLES, Example, updated

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
TESTS = set(
    chain.from_iterable(
        re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE) for path in ROOT.glob("tests/**/test_*.py")
    )
)


def test_the_tables_in_the_docs_are_those_that_the_code_writes() -> None:
    assert updated(DOCUMENT) == DOCUMENT


def test_the_tables_are_written_without_airflow(tmp_path: Path) -> None:
    copy = tmp_path / "delivery.md"
    copy.write_text(DOCUMENT, encoding="utf-8")
    check = f"import sys, runpy; sys.argv = ['', {str(copy)!r}]; runpy.run_module('webflow_conversions.documents.delivery', run_name='__main__'); assert 'airflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True, cwd=ROOT / "plugins")
    assert copy.read_text(encoding="utf-8") == DOCUMENT


def test_every_class_has_a_treatment_and_every_class_and_trouble_an_example() -> None:
    assert set(TREATMENTS) == set(Outcome)
    assert set().union(*(example.outcomes for example in EXAMPLES)) == set(Outcome)
    assert {example.trouble for example in EXAMPLES} == {None, *Trouble}


def test_what_a_treatment_counts_is_a_field_of_the_counts() -> None:
    assert {treatment.counter for treatment in TREATMENTS.values()} - {None} <= set(PushCounts().to_json())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.happened)
def test_an_example_is_of_one_class_and_names_tests_that_exist(example: Example) -> None:
    assert len(example.outcomes) == 1
    assert example.tests
    assert set(example.tests) <= TESTS


def test_every_test_that_the_page_names_exists() -> None:
    assert set(re.findall(r"`(test_\w+)`", DOCUMENT)) <= TESTS
