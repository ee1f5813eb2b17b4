"""The table of troubles in docs/delivery.md says what the code does, names every class, and names tests that exist."""

import re
from itertools import chain
from pathlib import Path

import pytest

from webflow_conversions.delivery.outcomes import Answer, Outcome, Trouble, classify

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in DOCUMENT.partition("## The table of troubles")[2].splitlines()
    if line.startswith("| ") and not line.startswith("| What happened")
]
SENT = b'{"actionId":"a"}'


def answer(text: str) -> Answer:
    """The answer that a part of the second column writes down: ``lost 200``, ``503``, ``200 with another body``."""
    found = re.fullmatch(r"([a-z_]+)?(?: ?(\d{3}))?( with another body)?", text)
    assert found, text
    trouble, status, other = found.groups()
    return Answer(
        status=int(status) if status else None,
        trouble=Trouble(trouble) if trouble else None,
        body=b"{}" if other else SENT,
    )


ANSWERS = [(part, row[2]) for row in ROWS if row[1] != "–" for part in row[1].split(", ")]


@pytest.mark.parametrize(("text", "outcome"), ANSWERS)
def test_each_answer_is_of_the_class_that_the_table_says(text: str, outcome: str) -> None:
    assert classify(SENT, answer(text)).name.lower() == outcome


def test_every_class_and_every_trouble_has_its_row() -> None:
    assert {outcome for _, outcome in ANSWERS} == {outcome.name.lower() for outcome in Outcome}
    assert {given.trouble for text, _ in ANSWERS if (given := answer(text)).trouble} == set(Trouble)


def test_every_row_names_tests_that_exist() -> None:
    tests = chain.from_iterable(
        re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE) for path in ROOT.glob("tests/**/test_*.py")
    )
    named = [set(re.findall(r"`(test_\w+)`", row[5])) for row in ROWS]
    assert all(named)
    assert set().union(*named) <= set(tests)
    assert {len(row) for row in ROWS} == {6}
