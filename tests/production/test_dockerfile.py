"""The Dockerfile's steps, in their order, in a new virtual environment: what the image would hold is installed and works.

What its base image brings besides Python and pip is not there, and nothing is built by Docker.
"""

import os
import re
import shutil
import subprocess
import sys
import venv
from fnmatch import fnmatch
from pathlib import Path
from string import Template

import pytest

from tests.production.compose import REPOSITORY

pytestmark = pytest.mark.production

_INSTRUCTION = re.compile(r"^(ARG|FROM|COPY|RUN|ENV|WORKDIR) (.+)$", re.MULTILINE)


class Image:
    """A folder that stands for an image's file system."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {
            "HOME": str(root),
            "LANG": "C.UTF-8",
            "AIRFLOW_HOME": str(root / "opt/airflow"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        # How this machine reaches its package index.
        self.environment |= {
            name: value
            for name, value in os.environ.items()
            if re.match(r"PIP_|SSL_CERT|(https?|no|all)_proxy$", name, re.IGNORECASE)
        }

    def build(self, dockerfile: str, stages: list[str]) -> None:
        stage, arguments = "", dict[str, str]()
        for instruction, rest in _INSTRUCTION.findall(dockerfile):
            if instruction == "ARG":
                name, _, arguments[name] = rest.partition("=")
            elif instruction == "FROM":
                base, _, stage = rest.split(" ")
                if stage == stages[0]:
                    self._base(Template(base).substitute(arguments))
            elif stage in stages:
                getattr(self, f"_{instruction.lower()}")(rest)

    def run(self, command: str) -> str:
        path = f"{self.root / 'venv/bin'}:/usr/local/bin:/usr/bin:/bin"
        done = subprocess.run(
            ["sh", "-c", self._here(command)], env={**self.environment, "PATH": path}, cwd=self.root / "opt/airflow",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}"
        return done.stdout

    def _base(self, image: str) -> None:
        version = re.search(r"-python(\d+\.\d+)$", image)
        assert version is not None
        if version[1] != f"{sys.version_info.major}.{sys.version_info.minor}":
            pytest.skip(f"the image has Python {version[1]}: make the virtual environment with it")
        venv.create(self.root / "venv", with_pip=True)
        (self.root / "opt/airflow/plugins").mkdir(parents=True)

    def _copy(self, rest: str) -> None:
        option, source, target = rest.split(" ")
        assert option == "--chown=airflow:root"
        place = Path(self._here(target))
        if target.endswith("/"):
            place /= Path(source).name
        place.parent.mkdir(parents=True, exist_ok=True)
        if (REPOSITORY / source).is_dir():
            shutil.copytree(REPOSITORY / source, place, ignore=shutil.ignore_patterns(*_ignored()))
        else:
            shutil.copy(REPOSITORY / source, place)

    def _run(self, command: str) -> None:
        self.run(command)

    def _env(self, rest: str) -> None:
        name, value = rest.split("=", 1)
        self.environment[name] = self._here(value)

    def _workdir(self, rest: str) -> None:
        assert rest == "/opt/airflow"

    def _here(self, text: str) -> str:
        return re.sub(r"(?<![\w.])/(?=tmp/build|opt/airflow)", f"{self.root}/", text)


def _ignored() -> list[str]:
    lines = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("**/") for line in lines if line.startswith("**/")]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    made = Image(tmp_path_factory.mktemp("image"))
    made.build((REPOSITORY / "Dockerfile").read_text(encoding="utf-8"), ["production", "demo"])
    return made


def test_the_lock_s_airflow_and_providers_are_installed(image: Image) -> None:
    installed = dict(re.findall(r"^(\S+)==(\S+)$", image.run("pip freeze"), re.MULTILINE))
    for name in (
        "apache-airflow",
        "apache-airflow-providers-celery",
        "apache-airflow-providers-fab",
        "pandas",
        "pycurl",
        "redis",
    ):
        assert re.search(rf"^{name}=={re.escape(installed[name])} ", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)
    assert "hypothesis" not in installed


def test_the_package_is_installed_with_its_sql_and_its_connection_type(image: Image) -> None:
    where = image.run("python -c 'import webflow_conversions; print(webflow_conversions.__file__)'").strip()
    assert where.startswith(str(image.root / "venv"))
    names = "from webflow_conversions.ledger.migrations import migrations; print(migrations()[0].name)"
    assert image.run(f'python -c "{names}"').splitlines()[-1] == "0001_ledger.sql"
    sql = "from webflow_conversions.ledger.session import statement; print(statement('push/claim', due='due_first'))"
    assert "FOR UPDATE SKIP LOCKED" in image.run(f'python -c "{sql}"')
    assert "webflow_conversions.hooks.webflow.WebflowHook" in image.run("airflow providers hooks --output json")


def test_the_dags_are_read_without_an_error(image: Image) -> None:
    code = "from airflow.dag_processing.dagbag import DagBag; bag = DagBag('/opt/airflow/dags'); print(sorted(bag.dags), bag.import_errors)"
    assert (
        image.run(f'python -c "{code}"').splitlines()[-1]
        == "['webflow_offsite_conversions', 'webflow_offsite_conversions_readback'] {}"
    )


def test_the_plugin_is_loaded(image: Image) -> None:
    assert "webflow" in image.run("airflow plugins --output plain")


def test_the_executor_the_auth_manager_and_the_simulator_can_be_imported(image: Image) -> None:
    image.run(
        "python -c 'import airflow.providers.celery.executors.celery_executor, airflow.providers.fab.auth_manager.fab_auth_manager'"
    )
    assert "--customer-id" in image.run("python -m demo.simulator --help")


def test_nothing_that_is_not_the_product_s_is_in_it(image: Image) -> None:
    files = {
        str(path.relative_to(image.root / "opt/airflow")) for path in (image.root / "opt/airflow").rglob("*") if path.is_file()
    }
    assert not [name for name in files if fnmatch(name, "*.pyc") or ".env" in name or name.startswith("tests")]
    assert {"include/conversions.yaml", "deploy/init.sh"} <= files
    assert not (image.root / "tmp/build").exists()
