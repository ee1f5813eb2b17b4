"""The benchmark still measures: each of its pieces, with few events."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("line", "events"),
    [
        ("loop --tls", 20),
        ("threads --concurrency 4", 40),
        ("transport --tls --concurrency 8", 200),
        ("push --concurrency 8 --workers 2 --history 500", 200),
        ("extract", 500),
        ("attribution", 500),
    ],
)
def test_a_line_of_the_benchmark_can_be_measured(line: str, events: int) -> None:
    command = [sys.executable, "-m", "benchmarks", *line.split(), "--events", str(events)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]).stdout
    result = json.loads(output.splitlines()[-1])
    assert result["events"] == events
    assert result["rate"] > 0
