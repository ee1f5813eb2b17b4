"""The common base of the Dag's tasks: the configuration, the ledger, the clock, and how they fail.

The Dag's file imports the operators each time that Airflow reads it. So these modules import Airflow's SDK alone; what
takes its time (pandas, database drivers) is imported when a task runs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context, RetryAction, conf
from airflow.sdk.exceptions import AirflowException, AirflowSkipException
from airflow.sdk.log import redact  # type: ignore[attr-defined]
from airflow.sdk.observability import stats

from webflow_conversions.errors import ConversionsError, Unexpected, described, frames
from webflow_conversions.hooks.scheduler import FAILURE

if TYPE_CHECKING:
    from webflow_conversions.configuration import Configuration
    from webflow_conversions.ledger.runs import Runs
    from webflow_conversions.ledger.session import Connect, Session
    from webflow_conversions.pipeline.causes import Cause
    from webflow_conversions.pipeline.failures import Failure
    from webflow_conversions.pipeline.metrics import Metric
    from webflow_conversions.pipeline.run import Run
    from webflow_conversions.project import Project


def default_config_path(dag_file: str | None = None) -> Path:
    """The configuration file on this machine, see :func:`~webflow_conversions.configuration.default_path`.

    :param dag_file: the path of the Dag's own file; None where no Dag is at hand.
    """
    from webflow_conversions.configuration import default_path

    return default_path(conf.get_mandatory_value("core", "dags_folder"), dag_file)


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
    """A task on the way of the conversions: :meth:`perform` does its work.

    A task that fails says why in one sentence: as the error that its log ends in, and in the ledger and an XCom for the page,
    the notices and the run's note in Airflow.

    :param config_path: the path of the configuration file; default: the one that is nearest to the Dag's own file, see
        :func:`~webflow_conversions.configuration.default_path`.
    :param ledger_conn_id: the connection of the ledger.
    """

    template_fields: Sequence[str] = ("config_path", "ledger_conn_id")

    def __init__(self, *, config_path: str | None = None, ledger_conn_id: str = "webflow_ledger", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config_path = config_path
        self.ledger_conn_id = ledger_conn_id

    def execute(self, context: Context) -> Any:
        """Do the work. The log ends in a sentence, and what is behind it stands before; texts of errors that are not ours may
        hold values of rows, and are logged at DEBUG alone.
        """
        try:
            result, unexpected = self.perform(context), None
        except AirflowSkipException:
            raise
        except AirflowException as error:
            self._record(context, error)
            raise
        except ConversionsError as error:
            self._log_causes(error)
            self._record(context, error)
            raise error.with_traceback(None) from None
        except Exception as error:  # noqa: BLE001 - raised below, without its text
            self._log_unexpected(error)
            result, unexpected = None, self._record(context, error)
        if unexpected is not None:
            raise Unexpected(unexpected.sentence)
        if context["ti"].try_number > 1:
            self._forget(context)
        return result

    def _planned(self, context: Context, plan: Any) -> Run:
        """The run as plan pushed it; that this task reads another configuration than plan did is kept as a hint.

        :raises Unusable: if another release planned it.
        """
        from webflow_conversions.pipeline.causes import Cause
        from webflow_conversions.pipeline.run import Run

        run, file = Run.from_json(plan), self.project.file
        if file.digest != run.config_digest:
            sentence = (
                f"the configuration was changed during the run, or machines have different ones: plan read {run.config_digest}, "
                f"a task on {gethostname()} {file.digest} ({file.path})"
            )
            self._hint(context, run, Cause.CONFIGURATION_CHANGED, sentence)
        return run

    @abstractmethod
    def perform(self, context: Context) -> Any:
        """The work of the task."""

    @property
    def about(self) -> dict[str, str]:
        """The source or the destination that the task is about, by these names."""
        return {}

    def _log_causes(self, error: ConversionsError) -> None:
        from webflow_conversions.pipeline.failures import causes_of

        for cause in causes_of(error):
            self.log.info("behind it: %s", cause if isinstance(cause, ConversionsError) else described(cause))
        self.log.debug("where it comes from", exc_info=error)

    def _log_unexpected(self, error: Exception) -> None:
        from webflow_conversions.pipeline.failures import causes_of

        for one in (error, *causes_of(error)):
            self.log.error("%s\n%s", described(one), frames(one))
        self.log.debug("with what it said", exc_info=error)

    def _record(self, context: Context, error: Exception) -> Failure:
        """Keep why the task failed, for people in the ledger, and for the scheduler and a notice without a ledger as an XCom."""
        dag_run = context["dag_run"]
        failure = self._failure(context, error)

        def tell_airflow() -> None:
            context["ti"].xcom_push(key=FAILURE, value=failure.to_json())

        self._try(tell_airflow)
        self._try(lambda: self._runs(context).record_failure(dag_run.run_id, str(dag_run.run_type), failure))
        return failure

    def _hint(self, context: Context, run: Run, cause: Cause, sentence: str | None) -> None:
        """Log what was found and stops nothing, and keep it for the verdict on the run; None if nothing was found."""
        from webflow_conversions.pipeline.failures import key_of

        if sentence is not None:
            self.log.warning("%s.", sentence)
            self._runs(context).record_hint(run, cause, key_of(self.task_id, context["ti"].map_index), sentence)

    def _forget(self, context: Context) -> None:
        """Remove the recorded failure of a task whose later try succeeded."""
        from webflow_conversions.pipeline.failures import key_of

        key = key_of(self.task_id, context["ti"].map_index)
        self._try(lambda: self._runs(context).remove_failure(context["dag_run"].run_id, key))

    def _runs(self, context: Context) -> Runs:
        from webflow_conversions.ledger.runs import Runs

        return Runs(self.ledger(), context["dag_run"].dag_id)

    def _try(self, keep: Callable[[], Any]) -> None:
        """Call ``keep``, and log its error: the task's own result matters more than the record of it."""
        try:
            keep()
        except Exception as trouble:  # noqa: BLE001
            self.log.warning("It could not be kept what became of this task: %s", described(trouble))

    def _failure(self, context: Context, error: Exception) -> Failure:
        from webflow_conversions.pipeline.failures import Failure, sentence_of

        ti = context["ti"]
        return Failure(
            task=self.task_id,
            map_index=-1 if ti.map_index is None else ti.map_index,
            error=type(error).__name__,
            sentence=str(redact(sentence_of(error))),
            at=now(),
            try_number=ti.try_number,
            is_last_try=self._is_last_try(context, error),
            **self.about,
        )

    def _is_last_try(self, context: Context, error: Exception) -> bool:
        ti = context["ti"]
        if ti.try_number > ti.max_tries or self.retry_policy is None:
            return bool(ti.try_number > ti.max_tries)
        decision = self.retry_policy.evaluate(error, try_number=ti.try_number, max_tries=ti.max_tries, context=context)
        return decision.action is RetryAction.FAIL

    @cached_property
    def project(self) -> Project:
        """The configuration, and the queries that it names."""
        from webflow_conversions.project import Project

        if self.config_path:
            return Project(Path(self.config_path))
        dag = self.get_dag()
        return Project(default_config_path(dag.fileloc if dag else None))

    @property
    def config(self) -> Configuration:
        """The content of the configuration file."""
        return self.project.config

    def ledger(self) -> Session:
        """A session on the ledger, not opened yet. Airflow is asked once for the connection of all sessions of a task."""
        from webflow_conversions.ledger.session import Session

        return Session(self._connect_ledger)

    @cached_property
    def _connect_ledger(self) -> Connect:
        from webflow_conversions.hooks.connections import ledger_connect

        return ledger_connect(self.ledger_conn_id)
