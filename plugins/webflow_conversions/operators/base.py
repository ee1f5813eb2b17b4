"""What the tasks of the Dag have in common: the configuration, the ledger, the clock.

The Dag's file imports the operators each time that Airflow reads it. So these modules import Airflow's SDK alone; what
takes its time (pandas, database drivers) is imported when a task runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, conf
from airflow.sdk.observability import stats

if TYPE_CHECKING:
    from webflow_conversions.configuration import Configuration, ConfigurationFile, Source
    from webflow_conversions.ledger.session import Session
    from webflow_conversions.pipeline.metrics import Metric
    from webflow_conversions.pipeline.run import Run
    from webflow_conversions.pipeline.warehouse import KnownUsers, SourceQuery


def default_config_path() -> Path:
    """The file that ``WEBFLOW_CONVERSIONS_CONFIG`` names, else ``include/conversions.yaml`` beside the Dags' folder."""
    from webflow_conversions.configuration import ENVIRONMENT_VARIABLE

    named = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(named) if named else Path(conf.get_mandatory_value("core", "dags_folder")).parent / "include" / "conversions.yaml"


def now() -> datetime:
    """The wall clock, aware."""
    return datetime.now(UTC)


def tell(metrics: Iterable[Metric]) -> None:
    """Give gauges to Airflow's metrics; where it exports legacy names, also under names that need no tags."""
    are_legacy_names_on = conf.getboolean("metrics", "legacy_names_on", fallback=True)
    for metric in metrics:
        stats.gauge(metric.name, metric.value, tags=dict(metric.tags))
        if metric.tags and are_legacy_names_on:
            stats.gauge(stats.normalize_name_for_stats(metric.name_with_tags, log_warning=False), metric.value)


class ConversionsOperator(BaseOperator):
    """A task on the way of the conversions.

    :param config_path: the path of the configuration file; default see :func:`default_config_path`.
    :param ledger_conn_id: the connection of the ledger.
    """

    template_fields: Sequence[str] = ("config_path", "ledger_conn_id")

    def __init__(self, *, config_path: str | None = None, ledger_conn_id: str = "webflow_ledger", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config_path = config_path
        self.ledger_conn_id = ledger_conn_id

    @cached_property
    def file(self) -> ConfigurationFile:
        """The configuration file."""
        from webflow_conversions.configuration import ConfigurationFile

        return ConfigurationFile(Path(self.config_path) if self.config_path else default_config_path())

    @property
    def config(self) -> Configuration:
        """What it says."""
        return self.file.configuration

    def ledger(self) -> Session:
        """A session on the ledger, not opened yet."""
        from webflow_conversions.hooks.connections import ledger_session

        return ledger_session(self.ledger_conn_id)

    def source_query(self, source: Source, run: Run) -> SourceQuery:
        """The query of a source, for a run."""
        from webflow_conversions.hooks.connections import warehouse
        from webflow_conversions.pipeline.warehouse import SourceQuery

        return SourceQuery(
            warehouse=warehouse(source.warehouse_conn_id),
            name=source.name,
            sql=self.file.sql(source.sql),
            run=run,
            also_required=source.columns_instead,
        )

    def known_users(self) -> KnownUsers:
        """The query for known users."""
        from webflow_conversions.hooks.connections import warehouse
        from webflow_conversions.pipeline.warehouse import KnownUsers

        known = self.config.known_users
        return KnownUsers(
            warehouse=warehouse(known.warehouse_conn_id), sql=self.file.sql(known.sql), personal_data=known.personal_data
        )

    def config_digest(self, destination: str) -> str:
        """The fingerprint under which a row that this destination refused stays refused."""
        from webflow_conversions.configuration import digest
        from webflow_conversions.hooks.webflow import WebflowHook

        api = WebflowHook(destination).get_conn()
        return digest(
            self.config.model_dump(mode="json", exclude={"delivery", "guards", "notices", "retention_days"}),
            api.url,
            api.customer_id,
        )
