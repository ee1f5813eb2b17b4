"""Every command in the documents is one that its program takes: each is parsed by that program, or stands in ``NOT_PARSED`` with the reason.

Those of the way from a clone to a rehearsed night are run, see ``tests/e2e/test_first_night.py``.
"""

import importlib.util
import re
import shlex
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr
from functools import cache
from io import StringIO
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import click
import pytest
import yaml
from opentelemetry import environment_variables as of_opentelemetry
from opentelemetry.sdk import environment_variables as of_its_sdk

from tests.unit.test_documents import DOCUMENTS, FENCE, ROOT
from webflow_conversions.cli.main import cli
from webflow_conversions.configuration import ENVIRONMENT_VARIABLE

SHELLS = {"bash", "sh", "shell", "console"}
OTHERS = {"", "json", "mermaid", "python", "sql", "text", "yaml", "html", "js", "javascript", "dockerfile", "ini", "toml", "diff"}
"""Languages of blocks that hold no commands."""

NOT_PARSED = {
    "curl": "its options are curl's own; the addresses are tried in tests/integration/test_page.py",
    "jq": "not installed everywhere; it only prints what curl got",
    "git": "git pull and git clone of the reader's own repository",
    "mkdir": "of the system",
    "cp": "of the system",
    "kubectl": "there is no cluster",
    "helm": "there is no cluster",
    "pip": "of Python; what it installs is in the locks",
    "dbt": "of an environment of its own; its files are compared with the ledger in tests/integration/test_reports.py",
}
"""Programs whose commands are not checked, and why."""


class Command(NamedTuple):
    """A command of a document. One in running text may lack arguments."""

    document: str
    words: tuple[str, ...]
    is_whole: bool

    def __str__(self) -> str:
        return f"{self.document}: {' '.join(self.words)}"


def commands_of(document: Path) -> Iterator[Command]:
    """The commands of all blocks, and of what stands in running text as code and begins like a command of ours."""
    text = document.read_text(encoding="utf-8")
    name = str(document.relative_to(ROOT))
    for _, language, block in FENCE.findall(text):
        assert language in SHELLS | OTHERS, f"{name} has a block of {language}"
        if language in SHELLS:
            for words in words_of(block, is_console=language == "console"):
                yield Command(name, words, True)
    for code in re.findall(r"`((?:webflow-conversions|make|airflow|(?:\.venv/bin/)?python -m) [^`…]*)`", FENCE.sub("", text)):
        for words in words_of(code):
            yield Command(name, words, False)


def words_of(block: str, *, is_console: bool = False) -> Iterator[tuple[str, ...]]:
    """The words of each command of a shell's text, without redirections and comments."""
    lines = block.replace("\\\n", " ").splitlines()
    if is_console:
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    for line in lines:
        in_brackets = re.fullmatch(r"\w+=\$\((.*)\)", line.strip())
        lexer = shlex.shlex(in_brackets[1] if in_brackets else line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        yield from split(list(lexer))


def split(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The commands that are joined on one line."""
    one: list[str] = []
    is_target = False
    for word in [*words, ";"]:
        if set(word) <= set("|&;"):
            if one:
                yield tuple(one)
            one = []
        elif set(word) <= set("<>"):
            is_target = True
        elif is_target:
            is_target = False
        else:
            one.append(word)


COMMANDS = list(dict.fromkeys(chain.from_iterable(map(commands_of, DOCUMENTS))))


# What each program says


def taken_by_click(words: Sequence[str], is_whole: bool) -> None:
    if words[0] in ("--version", "--help"):
        return
    command = cli.commands[words[0]]
    context = click.Context(cli, info_name="webflow-conversions")
    if is_whole:
        command.make_context(words[0], list(words[1:]), parent=context)
    else:
        known = {name for option in command.get_params(context) for name in (*option.opts, *option.secondary_opts)}
        assert {word for word in words[1:] if word.startswith("--")} <= known


@cache
def airflow_s_parser() -> ArgumentParser:
    from airflow.cli.cli_parser import get_parser

    return get_parser()


def taken_by_airflow(words: Sequence[str], is_whole: bool) -> None:
    said = StringIO()
    try:
        with redirect_stderr(said):
            airflow_s_parser().parse_args(list(words))
    except SystemExit:
        # argparse names the command that lacks something, so the command is there.
        assert not is_whole, said.getvalue()
        assert "the following arguments are required" in said.getvalue()


def taken_by_make(words: Sequence[str], _: bool) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    variables = set(re.findall(r"\$\((\w+)\)|\$\(or \$\((\w+)\)", (ROOT / "Makefile").read_text(encoding="utf-8")))
    for word in words:
        assert word in targets or word.partition("=")[0] in set(chain.from_iterable(variables)), word


def taken_by_python(words: Sequence[str], is_whole: bool) -> None:
    assert words[0] == "-m", "only modules are called"
    if words[1] == "webflow_conversions":
        return taken_by_click(words[2:] or ["--help"], is_whole)
    if words[1] == "pytest":
        return None
    spec = importlib.util.find_spec(words[1])
    assert spec is not None
    files = [Path(spec.origin or "")]
    if spec.submodule_search_locations:
        assert importlib.util.find_spec(f"{words[1]}.__main__") is not None
        files = list(chain.from_iterable(Path(folder).glob("*.py") for folder in spec.submodule_search_locations))
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    assert "__main__" in source or len(files) > 1
    assert [word for word in words[2:] if word.startswith("--") and f'"{word}"' not in source] == []
    return None


def taken_by_compose(words: Sequence[str], _: bool) -> None:
    """Docker is not here: services and profiles are those of the file, and the rest is a word that Compose has."""
    if list(words[:3]) == ["buildx", "imagetools", "inspect"]:
        return  # looks an image up in its registry, which nothing here can stand for
    assert words[0] == "compose"
    services = yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))["services"]
    rest = list(words[1:])
    while rest[0].startswith("--"):
        option, value = rest.pop(0), rest.pop(0)
        assert option in ("--env-file", "--project-name", "--profile")
        assert option != "--profile" or any(value in one.get("profiles", ()) for one in services.values())
    verb, *arguments = rest
    names = [word for word in arguments if not word.startswith("-")]
    assert verb in ("up", "down", "build", "exec", "run")
    assert not names or names[0] in services
    if names[1:2] == ["webflow-conversions"]:
        taken_by_click(names[2:], is_whole=False)


def taken_by_psql(words: Sequence[str], _: bool) -> None:
    """Its options are psql's own; the files that it runs are run in test_roles.py."""
    (file,) = [value for option, value in pairwise(words) if option == "--file"]
    assert (ROOT / file).is_file()


def taken_by_the_environment(words: Sequence[str], _: bool) -> None:
    """Names that somebody reads; what connections hold is read in test_documents.py."""
    from airflow.configuration import conf

    described = conf.configuration_description
    for name in (word.partition("=")[0] for word in words):
        if found := re.fullmatch(r"AIRFLOW__(\w+?)__(\w+)", name):
            assert found[2].lower() in described[found[1].lower()]["options"], name
        else:
            known = ("AIRFLOW_HOME", ENVIRONMENT_VARIABLE, *vars(of_opentelemetry).values(), *vars(of_its_sdk).values())
            assert name in known or name.startswith("AIRFLOW_CONN_"), name


PROGRAMS: dict[str, Callable[[Sequence[str], bool], None]] = {
    "webflow-conversions": taken_by_click,
    "airflow": taken_by_airflow,
    "make": taken_by_make,
    "python": taken_by_python,
    "docker": taken_by_compose,
    "psql": taken_by_psql,
    "export": taken_by_the_environment,
}


def check(words: Sequence[str], is_whole: bool) -> None:
    program, arguments = words[0], words[1:]
    if "=" in program:
        taken_by_the_environment([program], is_whole)
        if arguments:
            check(arguments, is_whole)
        return
    if program == "source":
        assert arguments == (".venv/bin/activate",) or list(arguments) == [".venv/bin/activate"]
        return
    if program.startswith("deploy/"):
        assert (ROOT / program).stat().st_mode & 0o100
        if "docker" in arguments:
            check(arguments[arguments.index("docker") :], is_whole)
        return
    name = program.removeprefix(".venv/bin/")
    if name != program and name not in PROGRAMS:
        assert (Path(sys.executable).parent / name).exists()
        return
    assert name in PROGRAMS or name in NOT_PARSED, f"nothing checks {name}"
    if name in PROGRAMS:
        PROGRAMS[name](arguments, is_whole)


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_of_the_documents_is_one_that_its_program_takes(command: Command) -> None:
    check(command.words, command.is_whole)


@pytest.mark.parametrize(
    "line",
    [
        "webflow-conversions preview --lines 3", "webflow-conversions look", "webflow-conversions trace", "airflow standalone --port 8081",
        "airflow backfill create --dag-id one --from 2026-11-22", "make demonstration", "python -m webflow_conversions.nothing",
        "python -m demo.postgres --where 3", "docker compose exec ledger psql", "export AIRFLOW__CORE__NO_SUCH_KEY=1", "export OTHER=1", "export OTEL_NO_SUCH_NAME=1",
        "psql --dbname webflow --file deploy/no-such.sql", "rm -rf .venv", ".venv/bin/no-such-program", "deploy/no-such-script.sh",
    ],
)  # fmt: skip
def test_a_command_that_is_none_is_found(line: str) -> None:
    (words,) = words_of(line)
    with pytest.raises((AssertionError, KeyError, click.ClickException, OSError, ModuleNotFoundError)):
        check(words, True)


def test_the_documents_have_commands_of_each_program() -> None:
    """So that a change of the documents' form does not leave these tests without work."""
    used = {command.words[0] for command in COMMANDS if command.is_whole}
    assert {"webflow-conversions", "airflow", "make", "docker", "export", "source", "deploy/new-env.sh"} <= used
    assert len(COMMANDS) > 40
