"""What a task read and wrote, in OpenLineage's words: tables of the warehouse, the ledger, Webflow's site.

Airflow's OpenLineage provider asks the operators for it when a task has ended, in a process of its own, and goes on without it
where that fails. Nobody else does, so nothing here is imported where the provider is missing. Namespaces and names come from the
connections' own hooks, as for other operators of the same warehouse (https://openlineage.io/docs/spec/naming).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from airflow.providers.common.compat.openlineage.facet import (
    ColumnLineageDatasetFacet,
    Dataset,
    Error,
    ExtractionErrorRunFacet,
    Fields,
    InputField,
    OutputDataset,
    OutputStatisticsOutputDatasetFacet,
)
from airflow.providers.common.sql.hooks.sql import DbApiHook
from airflow.providers.openlineage.extractors import OperatorLineage

from webflow_conversions.errors import ConversionsError, Unusable, described, first_line
from webflow_conversions.hooks.connections import connection_named
from webflow_conversions.project import Project
from webflow_conversions.transport.api import Api

LEDGER_COLUMNS: Mapping[str, str] = {
    "conversion_id": "conversion_id",
    "event_name": "event_name",
    "occurred_at": "action_timestamp_ms",
    "timezone": "action_timestamp_ms",
    "value": "value",
    "identity_key": "identity_key",
    "user_domain": "user_domain",
    "user_id": "user_id",
}
"""The column of ``webflow.conversions`` in which a column of a query ends."""


class Query(NamedTuple):
    """A query of the configuration: its SQL file and its connection."""

    file: str
    conn_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """How OpenLineage names the tables of a connection; ``dialect`` is SQLAlchemy's name of it."""

    namespace: str
    name: str | None
    schema: str | None
    dialect: str
    is_upper: bool

    @classmethod
    def of(cls, conn_id: str, schema: str | None = None) -> Self:
        """The database of a connection.

        :param schema: that of tables without one; default the database's own, for which it is asked.
        :raises Unusable: if there is no such connection, or its provider has no names for OpenLineage.
        """
        connection = connection_named(conn_id)
        hook = connection.get_hook()
        info = hook.get_openlineage_database_info(connection) if isinstance(hook, DbApiHook) else None
        if info is None:
            raise Unusable(f"The provider of connection type {connection.conn_type} has no names for OpenLineage.")
        return cls(
            namespace=f"{info.scheme}://{info.authority}" if info.authority else info.scheme,
            name=info.database,
            schema=schema or hook.get_openlineage_default_schema() or (None if info.database else connection.schema),
            dialect=hook.dialect_name,
            is_upper=info.is_uppercase_names,
        )

    def table(self, database: str, schema: str, name: str) -> str:
        """The name of a table; its database and its schema may be empty."""
        whole = ".".join(filter(None, (database or self.name, schema or self.schema, name)))
        return whole.upper() if self.is_upper else whole


def of_queries(
    project: Project, queries: Sequence[Query], ledger_conn_id: str, *, reads_ledger: bool, writes_ledger: bool
) -> OperatorLineage[Any, Any]:
    """The lineage of a task that ran these queries. One that cannot be understood is told, and costs the others nothing."""
    tables: dict[tuple[str, str], Dataset] = {}
    columns: dict[str, set[tuple[str, str, str]]] = {}
    errors: list[Error] = []
    for number, query in enumerate(queries):
        try:
            from webflow_conversions.warehouse.tables import read_by

            database = Database.of(query.conn_id)
            read = read_by(project.file.sql(query.file), database.dialect)
        except Exception as error:  # noqa: BLE001 - told
            errors.append(Error(errorMessage=_words(error), stackTrace=None, task=query.file, taskNumber=number))
            continue
        for table in read.tables:
            name = database.table(*table)
            tables[database.namespace, name] = Dataset(namespace=database.namespace, name=name)
        for origin in read.origins:
            if column := LEDGER_COLUMNS.get(origin.column):
                place = (database.namespace, database.table(*origin.table), origin.table_column)
                columns.setdefault(column, set()).add(place)
    failed = ExtractionErrorRunFacet(totalTasks=len(queries), failedTasks=len(errors), errors=errors)
    return OperatorLineage(
        inputs=[*(tables[place] for place in sorted(tables)), *([ledger(ledger_conn_id)] if reads_ledger else [])],
        outputs=[ledger(ledger_conn_id, columns)] if writes_ledger else [],
        run_facets={"extractionError": failed} if errors else {},
    )


def of_push(ledger_conn_id: str, api: Api, accepted: int) -> OperatorLineage[Any, Any]:
    """The lineage of a push, of which Webflow's site accepted this number of conversions."""
    statistics = OutputStatisticsOutputDatasetFacet(rowCount=accepted)
    site = OutputDataset(
        namespace=f"webflow://{urlsplit(api.url).netloc}", name=api.customer_id, outputFacets={"outputStatistics": statistics}
    )
    return OperatorLineage(inputs=[ledger(ledger_conn_id)], outputs=[site])


def ledger(conn_id: str, columns: Mapping[str, Iterable[tuple[str, str, str]]] = {}) -> Dataset:
    """The ledger's table of conversions.

    :param columns: by column what it comes from: namespace, table and column.
    """
    database = Database.of(conn_id, "webflow")
    fields = {
        column: Fields(
            inputFields=[InputField(namespace=namespace, name=name, field=origin) for namespace, name, origin in sorted(origins)],
            transformationType="",
            transformationDescription="",
        )
        for column, origins in sorted(columns.items())
    }
    return Dataset(
        namespace=database.namespace,
        name=database.table("", "webflow", "conversions"),
        facets={"columnLineage": ColumnLineageDatasetFacet(fields=fields)} if fields else {},
    )


def _words(error: Exception) -> str:
    """An error in words that hold nothing of a row."""
    if isinstance(error, ModuleNotFoundError) and error.name == "sqlglot":
        return "sqlglot is not installed: pip install 'webflow-offsite-conversions[lineage]'"
    return first_line(error) if isinstance(error, ConversionsError) else described(error)
