"""The command ``webflow-conversions``: what it asks for, says and ends with."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from webflow_conversions import __version__
from webflow_conversions.cli import forget
from webflow_conversions.cli.main import cli
from webflow_conversions.errors import Unavailable
from webflow_conversions.ledger.erasure import Kept, KeptConversion, People, Removed
from webflow_conversions.rules.states import State

ROOT = Path(__file__).parents[2]
ORDER = KeptConversion(
    id=1,
    source="sales",
    event_name="sale",
    conversion_id="o1",
    action_id="webflow_default/sales/sale/o1",
    action_timestamp_ms=1773500966000,
    value=None,
    identity_key="k1",
    user_domain="crm",
    user_id="u1",
    state=State.ACCEPTED,
    reason=None,
)
WITHOUT_MOMENT = replace(ORDER, state=State.REJECTED, action_id="webflow_default/sales/sale/o2", action_timestamp_ms=None)
FAR_AHEAD = replace(ORDER, state=State.FUTURE, action_id="webflow_default/sales/sale/o3", action_timestamp_ms=2**60)


@pytest.fixture(autouse=True)
def of_this_test_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command sets where Airflow looks for connections, and does not set it for the tests after this one."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")


class Ledger:
    """What the command is told, in place of a ledger."""

    def __init__(self, conversions: Sequence[KeptConversion] = (ORDER,), busy: int = 0) -> None:
        self.kept_now = Kept(conversions=conversions, history=2)
        self.removed = Removed(conversions=len(conversions) - busy, busy=busy, wait_minutes=3)
        self.people: list[People] = []
        self.removals = 0

    def __call__(self, people: People) -> "Ledger":
        self.people.append(people)
        return self

    def kept(self) -> Kept:
        return self.kept_now

    def remove(self, now: Any) -> Removed:
        self.removals += 1
        return self.removed


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    return at(monkeypatch, Ledger())


def at(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> Ledger:
    monkeypatch.setattr(forget, "_erasure", ledger)
    return ledger


def run(*arguments: str, answer: str | None = None, monkeypatch: pytest.MonkeyPatch | None = None) -> Result:
    """``webflow-conversions forget``; with an answer, on a terminal."""
    if monkeypatch is not None:
        monkeypatch.setattr(forget, "is_terminal", lambda: True)
    return CliRunner().invoke(cli, ["forget", *arguments], input=answer)


def test_users_and_keys_may_be_repeated(ledger: Ledger) -> None:
    arguments = ["--user", "crm", "u1", "--user", "shop", "u2", "--identity-key", "k1", "--identity-key", "k2", "--yes"]
    assert run(*arguments).exit_code == 0
    assert ledger.people == [People(users=(("crm", "u1"), ("shop", "u2")), identity_keys=("k1", "k2"))]
    assert ledger.removals == 1


@pytest.mark.parametrize(
    "arguments",
    [["--yes"], ["--user", "crm", "u1"], ["--user", "crm"], ["--user", "", "u1", "--yes"], ["--identity-key", " ", "--yes"]],
)
def test_without_a_person_or_without_a_terminal_to_ask_on_it_is_a_mistake(ledger: Ledger, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2
    assert ledger.removals == 0


def test_an_error_that_nobody_foresaw_is_told_without_its_text(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "invalid input: 'user-of-ann'"

    def fail(now: Any) -> Removed:
        raise ValueError(said)

    monkeypatch.setattr(ledger, "remove", fail)
    result = run("--user", "crm", "u1", "--yes")
    assert result.exit_code == 1
    assert "Error: Something unexpected happened: ValueError, in cli/forget.py line " in result.output
    assert "in fail" in result.output, "it says where it comes from"
    assert "user-of-ann" not in f"{result.output} {result.exception}"


@pytest.mark.parametrize(("answer", "exit_code", "removals"), [("y\n", 0, 1), ("n\n", 1, 0), ("\n", 1, 0)])
def test_on_a_terminal_it_asks(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, answer: str, exit_code: int, removals: int
) -> None:
    result = run("--user", "crm", "u1", answer=answer, monkeypatch=monkeypatch)
    assert "Is the person removed from the warehouse" in result.output
    assert (result.exit_code, ledger.removals) == (exit_code, removals)


def test_a_dry_run_shows_what_is_kept_and_removes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = at(monkeypatch, Ledger([ORDER, WITHOUT_MOMENT, FAR_AHEAD]))
    result = run("--identity-key", "k1", "--dry-run")
    assert (result.exit_code, ledger.removals) == (0, 0)
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert {"conversions 3", "accepted 1", "rejected 1", "future 1", "entries of their history 2"} <= set(lines)
    who = "user_domain=crm user_id=u1 identity_key=k1 conversion_id=o1"
    assert lines[-3:] == [
        f"webflow_default/sales/sale/o1 accepted 2026-03-14 15:09:26Z {who}",
        f"webflow_default/sales/sale/o2 rejected no moment {who}",
        f"webflow_default/sales/sale/o3 future {2**60} ms {who}",
    ]


def test_it_says_the_order_and_that_backups_and_webflow_are_left(ledger: Ledger) -> None:
    result = run("--user", "crm", "u1", "--yes")
    assert "Removed the person from 1 conversion." in result.output
    assert "Backups of the ledger and of the warehouse still have the person" in result.output
    assert "First remove the person from the warehouse, then from the ledger" in " ".join(run("--help").output.split())


def test_nothing_that_is_kept_is_said_and_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = at(monkeypatch, Ledger([]))
    result = run("--user", "crm", "u1", "--yes")
    assert (result.exit_code, result.output) == (0, "The ledger keeps nothing about this person.\n")
    assert ledger.removals == 0


def test_what_a_push_holds_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, Ledger([ORDER, WITHOUT_MOMENT], busy=1))
    result = run("--user", "crm", "u1", "--yes")
    assert result.exit_code == 1
    assert (
        "Error: 1 conversion was left alone, since it is being worked on at this moment: run it again in 3 minutes."
        in result.output
    )


def test_a_ledger_that_is_away_is_one_sentence(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> Kept:
        raise Unavailable("The ledger's database does not answer: connection refused.")

    monkeypatch.setattr(ledger, "kept", away)
    result = run("--user", "crm", "u1", "--yes")
    assert (result.exit_code, result.output) == (1, "Error: The ledger's database does not answer: connection refused.\n")


def test_the_installed_script_and_the_package_are_the_command(tmp_path: Path) -> None:
    """The script is installed from a copy, since a build leaves files beside the sources."""
    source, target = tmp_path / "source", tmp_path / "target"
    shutil.copytree(
        ROOT / "plugins" / "webflow_conversions",
        source / "plugins" / "webflow_conversions",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in ("pyproject.toml", "setup.py", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--no-compile"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(source)], check=True)
    environment = {"PYTHONPATH": str(target), "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__UNIT_TEST_MODE": "False"}

    def ends(*command: str, **more: str) -> tuple[int, str]:
        """Status and last line."""
        done = subprocess.run(command, env=environment | more, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        return done.returncode, (done.stdout + done.stderr).splitlines()[-1]

    script, of_ann = str(target / "bin" / "webflow-conversions"), ("forget", "--user", "crm", "u1", "--yes")
    version = (0, f"webflow-conversions, version {__version__}")
    assert ends(script, "--version") == ends(sys.executable, "-m", "webflow_conversions", "--version") == version
    shop = ["--system", "shopify", "--loader", "airbyte", "--dialect", "duckdb", "--event-name", "sale"]
    assert ends(script, "init", *shop, "--into", str(tmp_path / "include"))[0] == 0
    assert ends(script, *of_ann) == (
        1,
        "Error: There is no connection webflow_ledger: create it under Admin > Connections, or as AIRFLOW_CONN_WEBFLOW_LEDGER.",
    )
    assert ends(script, *of_ann, AIRFLOW_CONN_WEBFLOW_LEDGER='{"conn_type": "sqlite"}') == (
        1,
        "Error: Connection webflow_ledger is of type sqlite: the ledger needs PostgreSQL (type postgres).",
    )
