"""The wheel and the source distribution: complete, fit for a package index, and at work where nothing else of the project is."""

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from twine.commands.check import check

from demo.airflow_stack import REPOSITORY
from demo.postgres import USER, PostgresServer

PACKAGE = REPOSITORY / "plugins" / "webflow_conversions"
WITHOUT = {"__pycache__", ".DS_Store"}
BUILD = "import setuptools.build_meta as build, sys; to = sys.argv[1]; build.build_sdist(to); build.build_wheel(to)"


LOADED = """
import json, sys
from importlib.metadata import distribution
from airflow import plugins_manager
from airflow.api_fastapi.app import init_plugins
from airflow.sdk import plugins_manager as of_tasks
from fastapi import FastAPI
from webflow_conversions.hooks.installation import missing_here

app = FastAPI()
init_plugins(app)
plugins, errors = plugins_manager._get_plugins()
(plugin,) = [one for one in plugins if one.name == "webflow"]
print(json.dumps({
    "entry points": [point.value for point in distribution("webflow-offsite-conversions").entry_points.select(group="airflow.plugins")],
    "mounted": [route.path for route in app.routes if route.path.startswith("/webflow")],
    "module": sys.modules[type(plugin).__module__].__file__,
    "middlewares": [one.cls.__name__ for one in app.user_middleware],
    "views": [view["url_route"] for view in plugins_manager._get_ui_plugins()[0] if view["name"] == "Webflow"],
    "listeners": [listener.__name__ for one in plugins for listener in one.listeners if one.name == "webflow"],
    "in tasks": [one.name for one in of_tasks._get_plugins()[0] if one.name == "webflow"],
    "errors": [sentence for sentence in errors.values() if "already registered" not in sentence],  # this interpreter has the project, too
    "missing": missing_here(),
}))
"""
"""What Airflow's API server and a task have of the plugin."""


def files_of(folder: Path) -> set[str]:
    """The files of a folder, without what Python leaves there."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and not WITHOUT & set(path.parts)}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the package is built from, so that no build leaves anything in the project."""
    folder = tmp_path_factory.mktemp("sources")
    names = ["pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "CHANGELOG.md", "LICENSE", "deploy/bi-reader.sql"]
    names.append("plugins/.airflowignore")
    for part in ("plugins/webflow_conversions", "dags", "include", "docs", "deploy/dbt"):
        names += [f"{part}/{name}" for name in sorted(files_of(REPOSITORY / part))]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((REPOSITORY / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def distributions(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of both, built without a network."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-c", BUILD, str(folder)], cwd=sources, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(distributions: Path) -> Path:
    (found,) = distributions.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


class Installed:
    """The wheel in a folder of its own, before all else on the path; Airflow and the drivers are this interpreter's."""

    def __init__(self, folder: Path, elsewhere: Path) -> None:
        self.folder, self._elsewhere = folder, elsewhere
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("WEBFLOW")}
        self._environment |= {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(self, *command: str, **environment: str) -> str:
        """The output of a command, in a folder that has nothing of the project."""
        done = subprocess.run(
            [sys.executable, *command], cwd=self._elsewhere, env=self._environment | environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def command(self, *arguments: str) -> str:
        """The output of ``webflow-conversions``, the script that pip made."""
        return self.run(str(self.folder / "bin" / "webflow-conversions"), *arguments)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("site")
    options = ("--quiet", "--no-deps", "--no-index", "--no-compile", "--target", str(folder))
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True, capture_output=True)
    return Installed(folder, tmp_path_factory.mktemp("elsewhere"))


def test_both_pass_the_check_of_the_package_index(distributions: Path) -> None:
    assert not check([str(path) for path in distributions.iterdir()], strict=True)


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name.removeprefix("webflow_conversions/") for name in archive.namelist() if ".dist-info/" not in name}
    assert held == files_of(PACKAGE)


def test_the_source_distribution_holds_dags_plugin_queries_and_documents_too(distributions: Path, sources: Path) -> None:
    (found,) = distributions.glob("*.tar.gz")
    with tarfile.open(found) as archive:
        held = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    wanted = {
        name
        for name in files_of(sources)
        if not name.startswith(("docs/images", "docs/examples", "build", "plugins/webflow_off"))
    }
    assert wanted - held == set()


def test_no_link_of_the_description_leads_to_a_file_that_an_index_lacks(metadata: Message) -> None:
    description = str(metadata.get_payload())
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert re.findall(r"\]\((?!https?://|#)[^)]*\)", description) == []
    for anchor in re.findall(r"\]\(#([^)]+)\)", description):
        assert anchor in {
            re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
            for title in re.findall(r"^#+ (.+)$", description, re.MULTILINE)
        }
    assert "Read on" in description
    assert "configuration.md" not in description


def test_it_asks_for_the_airflow_that_its_documents_name(metadata: Message) -> None:
    (airflow,) = [line for line in metadata.get_all("Requires-Dist", ()) if line.startswith("apache-airflow<")]
    assert airflow == "apache-airflow<4,>=3.3.0"
    assert metadata.get_all("Provides-Extra") == ["lineage", "test"]


def test_the_command_of_the_wheel_works(installed: Installed) -> None:
    where = installed.run("-c", "import webflow_conversions; print(webflow_conversions.__file__)")
    assert where.strip() == str(installed.folder / "webflow_conversions" / "__init__.py")
    assert "Off-site conversions for Webflow." in installed.command("--help")


@pytest.mark.parametrize("system", ["shopify", "stripe", "plain"])
def test_init_of_the_wheel_writes_a_configuration_that_it_reads(installed: Installed, tmp_path: Path, system: str) -> None:
    of_system = (
        ("--table", "orders", "--timestamps", "aware") if system == "plain" else ("--loader", "fivetran", "--currency", "EUR")
    )
    answers = ("--system", system, *of_system, "--dialect", "postgresql", "--event-name", "store-order")
    installed.command("init", *answers, "--into", str(tmp_path / "include"))
    read = "from pathlib import Path; from webflow_conversions.configuration import ConfigurationFile as F; print(F(Path({!r})).digest)"
    assert re.fullmatch(r"[0-9a-f]{16}\n", installed.run("-c", read.format(str(tmp_path / "include" / "conversions.yaml"))))


def test_the_page_of_the_wheel_has_its_templates_and_its_files(installed: Installed) -> None:
    templates = sorted(path.name for path in (PACKAGE / "ui" / "templates").iterdir())
    code = (
        "from webflow_conversions.ui.rendering import _environment; from webflow_conversions.ui import static; "
        f"[_environment().get_template(name) for name in {templates}]; print(*sorted(static.contents()))"
    )
    shown = installed.run("-c", code).split()
    assert {"page.css", "page.js", "uPlot.iife.min.js"} <= set(shown)


def test_the_wheel_brings_an_empty_database_to_the_ledger_of_its_release(installed: Installed, postgres: PostgresServer) -> None:
    postgres.create_database("of_the_wheel")
    place = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGUSER": USER, "PGDATABASE": "of_the_wheel"}
    assert "the ledger is at version" in installed.run("-m", "webflow_conversions.ledger", **place)


def test_airflow_finds_the_connection_types_of_the_wheel(installed: Installed) -> None:
    code = (
        "from importlib.metadata import distribution; points = distribution('webflow-offsite-conversions').entry_points; "
        "print([kind['connection-type'] for point in points if point.group == 'apache_airflow_provider' "
        "for kind in point.load()()['connection-types']])"
    )
    assert installed.run("-c", code).strip() == "['webflow', 'webflow_data']"


def loaded(installed: Installed, home: Path) -> dict[str, Any]:
    """What a new process of Airflow has of this plugin, with ``home`` as AIRFLOW_HOME."""
    place = {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins")}
    return dict(json.loads(installed.run("-c", LOADED, **place).splitlines()[-1]))


def test_airflow_has_the_page_of_the_wheel_with_an_empty_plugins_folder(installed: Installed, tmp_path: Path) -> None:
    of_airflow = loaded(installed, tmp_path)
    assert of_airflow == {
        "entry points": ["webflow_conversions.plugin:WebflowPlugin"],
        "mounted": ["/webflow"],
        "module": str(installed.folder / "webflow_conversions" / "plugin.py"),
        "middlewares": ["PortlessTest"],
        "views": ["conversions"],
        "listeners": ["webflow_conversions.hooks.scheduler"],
        "in tasks": ["webflow"],
        "errors": [],
        "missing": None,
    }


def test_a_copy_of_the_plugin_in_the_plugins_folder_changes_nothing(installed: Installed, tmp_path: Path) -> None:
    once = loaded(installed, tmp_path)
    (tmp_path / "plugins").mkdir()
    copy = tmp_path / "plugins" / "webflow_plugin.py"
    copy.write_bytes((PACKAGE / "plugin.py").read_bytes())
    twice = loaded(installed, tmp_path)
    assert twice == once | {"module": str(copy)}
