"""The tables and columns that lineage finds in a query are those that the database would read; without the provider nobody needs them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.test_init import COMBINATIONS, init
from webflow_conversions.errors import Unusable
from webflow_conversions.warehouse.tables import Origin, Table, read_by

ROOT = Path(__file__).parents[2]
SQL = ROOT / "include" / "sql"


def tables(sql: str, dialect: str = "postgresql") -> list[str]:
    return sorted(".".join(filter(None, table)) for table in read_by(sql, dialect).tables)


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT * FROM sales", ["sales"]),
        ("SELECT * FROM shop.sales s JOIN crm.deals d USING (id)", ["crm.deals", "shop.sales"]),
        ("WITH recent AS (SELECT * FROM shop.sales), more AS (SELECT * FROM recent) SELECT * FROM more", ["shop.sales"]),
        ("WITH sales AS (SELECT * FROM sales) SELECT * FROM sales", ["sales"]),
        ("WITH RECURSIVE tree AS (SELECT 1 FROM parts UNION ALL SELECT 1 FROM tree) SELECT * FROM tree", ["parts"]),
        ("SELECT a FROM x UNION ALL (SELECT b FROM y EXCEPT SELECT c FROM z)", ["x", "y", "z"]),
        ("SELECT (SELECT max(v) FROM a) FROM b WHERE EXISTS (SELECT FROM c) AND k IN (SELECT k FROM d)", ["a", "b", "c", "d"]),
        ("SELECT * FROM a CROSS JOIN LATERAL (SELECT * FROM b WHERE b.x = a.x) c", ["a", "b"]),
        ("SELECT * FROM sales WHERE k IN :identity_keys AND at >= CAST(:window_start AS timestamptz)", ["sales"]),
        ("SELECT * FROM sales WHERE k = ANY(CAST(:identity_keys AS text[]))", ["sales"]),
        ("SELECT * FROM generate_series(1, 3) g, unnest(:identity_keys) k", []),
        ("-- FROM nowhere\nSELECT 'FROM elsewhere' /* FROM nothing */ FROM sales; -- the end", ["sales"]),
        ('SELECT * FROM Sales, "Sales" s, "Our Shop"."Sales of 2026"', ["Our Shop.Sales of 2026", "Sales", "sales"]),
    ],
)
def test_the_tables_are_those_that_are_read(sql: str, found: list[str]) -> None:
    assert tables(sql) == found


@pytest.mark.parametrize(
    ("dialect", "sql", "found"),
    [
        ("snowflake", 'SELECT payload\\:id FROM shop.raw.orders, "small"', ["SHOP.RAW.ORDERS", "small"]),
        ("bigquery", "SELECT * FROM `shop-123.raw.events_*` WHERE id IN UNNEST(:identity_keys)", ["shop-123.raw.events_*"]),
        ("mysql", "SELECT * FROM shop.`sales of 2026` # all of them", ["shop.sales of 2026"]),
        ("mssql", "SELECT TOP 5 * FROM [crm].[dbo].[Deals]", ["crm.dbo.deals"]),
        ("default", "SELECT * FROM sales", ["sales"]),
    ],
)
def test_each_dialect_writes_names_in_its_way(dialect: str, sql: str, found: list[str]) -> None:
    assert tables(sql, dialect) == found


def test_a_column_comes_from_columns_of_tables_through_what_the_query_defines_itself() -> None:
    sql = """
    WITH paid AS (SELECT number, amount, tax FROM shop.orders)
    SELECT paid.number AS conversion_id, paid.amount - paid.tax AS "Value", 'store' AS event_name, c.* FROM paid JOIN customers c USING (number)
    """
    orders = Table("", "shop", "orders")
    assert read_by(sql, "postgresql").origins == {
        Origin("conversion_id", orders, "number"),
        Origin("value", orders, "amount"),
        Origin("value", orders, "tax"),
    }


@pytest.mark.parametrize(
    ("sql", "dialect", "said"),
    [
        ("SELECT *\nFROM WHERE secret", "postgresql", "It is not understood in line 2."),
        ("SELECT 'secret", "postgresql", "It is not understood."),
        ("SELECT * FROM a; SELECT * FROM secret", "postgresql", "It is not understood."),
        ("SELECT * FROM secret", "of nobody", "It is not understood."),
    ],
)
def test_what_cannot_be_understood_is_refused_without_its_words(sql: str, dialect: str, said: str) -> None:
    with pytest.raises(Unusable) as refused:
        read_by(sql, dialect)
    assert str(refused.value) == said


@pytest.mark.parametrize("file", sorted(SQL.rglob("*.sql")), ids=lambda path: str(path.relative_to(SQL)))
def test_every_query_of_the_sample_is_understood(file: Path) -> None:
    found = read_by(file.read_text(encoding="utf-8"), "bigquery" if "bigquery" in file.name else "postgresql")
    assert found.tables
    assert {origin.table for origin in found.origins} <= found.tables


@pytest.mark.parametrize(("system", "loader", "dialect"), COMBINATIONS)
def test_every_starter_is_understood(
    system: str, loader: str, dialect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")
    assert init(system, loader, dialect, "--table", "orders").exit_code == 0
    files = sorted(tmp_path.rglob("*.sql"))
    assert len(files) == 2
    for file in files:
        assert tables(file.read_text(encoding="utf-8"), "mssql" if dialect == "sqlserver" else dialect), file


_WITHOUT = """
import sys
from importlib.abc import MetaPathFinder
from pkgutil import walk_packages

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        # What Airflow loads to list the providers stays.
        is_of_provider = name.startswith("airflow.providers.openlineage.") and not name.endswith(".get_provider_info")
        if is_of_provider or name.partition(".")[0] in ("openlineage", "openlineage_sql", "sqlglot"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import webflow_conversions
from airflow.dag_processing.dagbag import DagBag

skipped = {"webflow_conversions.operators.lineage", "webflow_conversions.warehouse.tables", "webflow_conversions.__main__",
    "webflow_conversions.ledger.__main__"}
names = {module.name for module in walk_packages(webflow_conversions.__path__, "webflow_conversions.")}
assert skipped <= names
for name in sorted(names - skipped):
    __import__(name)
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
print(len(bag.dags), len(names))
"""


def test_without_the_provider_and_sqlglot_everything_else_works(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, str(ROOT / "dags")], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    dags, modules = map(int, done.stdout.split()[-2:])
    assert (dags, modules > 100) == (2, True)
