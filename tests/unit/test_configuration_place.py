"""Where the configuration of a Dag lies: beside the Dag's own file, in any kind of bundle; and what its digest tells."""

import zipfile
from pathlib import Path

import pytest

from webflow_conversions.configuration import ConfigurationFile, default_path
from webflow_conversions.errors import Unusable

TEXT = """
sources:
  - {name: sales, sql: sales.sql, event_name: offline-purchase, timestamps: {kind: aware}}
known_users: {sql: people.sql}
"""


@pytest.fixture(autouse=True)
def unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEBFLOW_CONVERSIONS_CONFIG", raising=False)


def put(folder: Path) -> Path:
    """A configuration in ``include`` of a folder."""
    file = folder / "include" / "conversions.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(TEXT)
    return file


def dag_in(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dag.py").write_text("")
    return str(folder / "dag.py")


@pytest.mark.parametrize(
    ("dag_lies_in", "configuration_lies_in"),
    [
        ("bundles/shop/versions/1f3a/dags", "bundles/shop/versions/1f3a"),
        ("bundles/shop", "bundles/shop"),
        ("bundles/shop/conversions", "bundles/shop/conversions"),
        ("bundles/Łódź shop/dags", "bundles/Łódź shop"),
        ("dags", ""),
        ("dags/marketing", "dags"),
        ("dags/marketing", ""),
    ],
)
def test_the_configuration_nearest_to_the_dag_counts(tmp_path: Path, dag_lies_in: str, configuration_lies_in: str) -> None:
    expected = put(tmp_path / configuration_lies_in)
    assert default_path(str(tmp_path / "dags"), dag_in(tmp_path / dag_lies_in)) == expected


def test_a_bundle_elsewhere_does_not_take_the_configuration_beside_the_dags_folder(tmp_path: Path) -> None:
    put(tmp_path)
    expected = tmp_path / "bundles" / "shop" / "include" / "conversions.yaml"
    assert default_path(str(tmp_path / "dags"), dag_in(tmp_path / "bundles" / "shop" / "dags")) == expected


def test_a_dags_folder_that_is_a_link_is_the_same_folder(tmp_path: Path) -> None:
    expected = put(tmp_path)
    (tmp_path / "of-today").mkdir()
    (tmp_path / "dags").symlink_to(tmp_path / "of-today")
    assert default_path(str(tmp_path / "dags"), dag_in(tmp_path / "of-today" / "marketing")) == expected


def test_the_environment_wins_over_what_lies_beside_the_dag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path)
    monkeypatch.setenv("WEBFLOW_CONVERSIONS_CONFIG", "/etc/conversions.yaml")
    assert default_path(str(tmp_path / "dags"), dag_in(tmp_path / "dags")) == Path("/etc/conversions.yaml")


def zipped(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "conversions.zip", "w") as archive:
        archive.writestr("dag.py", "")
        archive.writestr("include/conversions.yaml", TEXT)
    return str(folder / "conversions.zip" / "dag.py")


def test_a_dag_in_an_archive_has_its_configuration_beside_the_archive_s_folder(tmp_path: Path) -> None:
    expected = put(tmp_path)
    assert default_path("/elsewhere/dags", zipped(tmp_path / "dags")) == expected


def test_a_configuration_in_the_archive_is_refused_with_where_to_put_it(tmp_path: Path) -> None:
    dag = zipped(tmp_path / "dags")
    with pytest.raises(Unusable) as refused:
        default_path("/elsewhere/dags", dag)
    assert str(refused.value) == (
        f"The Dag lies in the archive {tmp_path}/dags/conversions.zip, and its configuration cannot: put it at "
        f"{tmp_path}/include/conversions.yaml, with its sql folder, or name another place in WEBFLOW_CONVERSIONS_CONFIG."
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = put(tmp_path)
    (file.parent / "sql").mkdir()
    for name in ("sales.sql", "people.sql", "of_nobody.sql"):
        (file.parent / "sql" / name).write_text("SELECT 1")
    return file


@pytest.mark.parametrize("changed", ["conversions.yaml", "sql/sales.sql", "sql/people.sql"])
def test_the_digest_is_another_one_after_a_change_of_the_file_or_of_a_query(file: Path, changed: str) -> None:
    before = ConfigurationFile(file).digest
    with (file.parent / changed).open("a") as text:
        text.write("\n")
    assert ConfigurationFile(file).digest != before


def test_the_digest_is_the_same_for_the_same_files_elsewhere(file: Path, tmp_path: Path) -> None:
    before = ConfigurationFile(file).digest
    (file.parent / "sql" / "of_nobody.sql").write_text("SELECT 2")
    moved = file.parent.rename(tmp_path / "moved") / "conversions.yaml"
    assert ConfigurationFile(moved).digest == before
    assert len(before) == 16


def test_queries_that_change_places_are_another_configuration(file: Path) -> None:
    (file.parent / "sql" / "people.sql").write_text("SELECT 2")
    before = ConfigurationFile(file).digest
    (file.parent / "sql" / "people.sql").write_text("SELECT 1")
    (file.parent / "sql" / "sales.sql").write_text("SELECT 2")
    assert ConfigurationFile(file).digest != before


def test_a_query_that_is_missing_changes_the_digest_and_breaks_nothing(file: Path) -> None:
    before = ConfigurationFile(file).digest
    (file.parent / "sql" / "sales.sql").unlink()
    assert ConfigurationFile(file).digest != before
