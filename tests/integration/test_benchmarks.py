"""The benchmark still measures: each of its pieces, with few events."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import peers

ROOT = Path(__file__).parents[2]


def measure(line: str, events: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks", *line.split(), "--events", str(events)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout
    return dict(json.loads(output.splitlines()[-1]))


@pytest.mark.parametrize(
    ("line", "events"),
    [
        ("loop --tls", 20),
        ("threads --concurrency 4", 40),
        ("transport --tls --concurrency 8", 200),
        ("push --concurrency 8 --workers 2 --history 500", 200),
        ("extract", 500),
        ("attribution", 500),
        ("local-times", 500),
    ],
)
def test_a_line_of_the_benchmark_can_be_measured(line: str, events: int) -> None:
    result = measure(line, events)
    assert result["events"] == events
    assert result["rate"] > 0
    assert result["machine"]
    assert {"commit", "clean", "code"} <= result.keys() or not (ROOT / ".git").exists()


@pytest.mark.parametrize("line", ["extract", "push"])
def test_what_postgresql_used_for_a_row_is_measured(line: str) -> None:
    result = measure(line, 2_000)
    assert result["server_core_seconds"] > 0
    assert result["wal_bytes"] > 2_000 * 50


@pytest.mark.parametrize("piece", ["help", "check", "dag"])
def test_a_start_can_be_measured(piece: str) -> None:
    assert measure(piece, 1)["seconds"] > 0


def test_other_clients_send_each_event_once() -> None:
    """The measurement itself fails if the simulator did not store each event once."""
    try:
        peers.python()
    except peers.Missing as reason:
        if os.environ.get("CI"):
            pytest.fail(str(reason))
        pytest.skip(f"the clients to compare with cannot be installed: {reason}")
    for line in ("aiohttp --tls --concurrency 4", "drt --tls --concurrency 2"):
        result = measure(line, 100)
        assert result["events"] == 100
        assert result["core_seconds"] > 0
