"""plan: fixes the window and sources of the run, and refuses a run that cannot succeed, before anything is read or sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context, Variable

from webflow_conversions.errors import ConversionsError, Unavailable, Unusable
from webflow_conversions.hooks import scheduler
from webflow_conversions.hooks.installation import missing_in_run
from webflow_conversions.operators import notifiers
from webflow_conversions.operators.base import ConversionsOperator, now
from webflow_conversions.rules.window import Window, WindowError, parse_date

if TYPE_CHECKING:
    from webflow_conversions.ledger.session import Session
    from webflow_conversions.pipeline.run import Run


class PlanConversionsOperator(ConversionsOperator):
    """Opens a run. Returns the names of its sources; pushes the run itself to XCom as ``run``.

    All parameters are templated, and are to be rendered as native objects.

    :param date: conversions of this UTC date (``YYYY-MM-DD``) only; default the run's data interval.
    :param sources: these only; default all.
    :param is_dry_run: everything but the sending.
    :param force: past the guards, once.
    """

    template_fields: Sequence[str] = (*ConversionsOperator.template_fields, "date", "sources", "is_dry_run", "force")

    def __init__(
        self,
        *,
        date: str | None = None,
        sources: list[str] | str | None = None,
        is_dry_run: bool | str = False,
        force: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.date = date
        self.sources = sources
        self.is_dry_run = is_dry_run
        self.force = force

    def perform(self, context: Context) -> list[str]:
        from webflow_conversions.ledger.migrations import migrate
        from webflow_conversions.ledger.runs import Runs
        from webflow_conversions.pipeline.causes import Cause
        from webflow_conversions.pipeline.warehouse import refusing_connections

        started = now()
        dry_run, force = _flag("dry_run", self.is_dry_run), _flag("force", self.force)
        missing = self._check_scheduler(context)
        sources = self.config.chosen(_names(self.sources))
        window = self._window(context, started)
        destinations = list(self.config.destinations(sources))
        for notice in self.config.notices:
            notifiers.built(notice)
        session = self.ledger()
        with refusing_connections():
            applied = migrate(session)
        for name in applied:
            self.log.info("brought the ledger to %s", name)
        self._settle_deployment(session)
        addresses, hidden = self._addresses(destinations), self._hidden(sources)
        dag_run = context["dag_run"]
        run = Runs(session, dag_run.dag_id).begin(
            run_id=dag_run.run_id,
            run_type=str(dag_run.run_type),
            window=window,
            sources=sources,
            destinations=destinations,
            dry_run=dry_run,
            is_whole=not dry_run and self._is_whole(window, sources, str(dag_run.run_type)),
            force=force,
            clock_offset=self._clock_offset(destinations),
            now=started,
            currency=self.config.currency,
            config_path=str(self.project.file.path),
            config_digest=self.project.file.digest,
            is_rehearsal=self.config.delivery.is_rehearsal,
            addresses=addresses,
        )
        self._hint(context, run, Cause.HIDDEN_CONNECTION, hidden)
        self._hint(context, run, Cause.NOT_INSTALLED, missing)
        self._check_queries(run)
        self._check_goals(context, run)
        self.log.info("run %s may send conversions of %s in %s", run.run_id, ", ".join(sources), window)
        context["ti"].xcom_push(key="run", value=run.to_json())
        return sources

    @staticmethod
    def _check_scheduler(context: Context) -> str | None:
        """Refuse a release other than the scheduler's, and a pool that is missing; returns what else is missing, in words."""
        told = Variable.get(scheduler.VARIABLE, default=None, deserialize_json=True)
        if told is not None:
            scheduler.check(told, {task.pool for task in context["dag"].tasks})
        return missing_in_run(told, getattr(context["dag_run"], "start_date", None))

    @staticmethod
    def _settle_deployment(session: Session) -> None:
        """Refuse a ledger that belongs to another Airflow."""
        from webflow_conversions.ledger import deployment

        known = Variable.get(deployment.VARIABLE, default=None)
        settled = deployment.belong_to(session, known)
        if settled != known:
            Variable.set(deployment.VARIABLE, settled, "Whose ledger connection webflow_ledger leads to.")

    def _window(self, context: Context, started: datetime) -> Window:
        try:
            window = self._asked_window(context)
            window.refuse_if_hopeless(started)
        except WindowError as error:
            raise Unusable(str(error)) from None
        return window

    def _asked_window(self, context: Context) -> Window:
        if self.date not in (None, ""):
            return Window.of_date(parse_date(str(self.date)))
        start, end = context.get("data_interval_start"), context.get("data_interval_end")
        if start is not None and end is not None and start < end:
            return Window(start=_plain(start), end=_plain(end))
        return Window.up_to(_plain(end or context["dag_run"].run_after))

    def _is_whole(self, window: Window, sources: Sequence[str], run_type: str) -> bool:
        """Whether the run is to send all that is due."""
        has_all = set(sources) == {source.name for source in self.config.sources}
        return has_all and window.spans_two_days and run_type != "backfill"

    def _clock_offset(self, destinations: Sequence[str]) -> timedelta | None:
        """The most careful of the destinations' clocks; each is asked whether it knows the token, too."""
        from webflow_conversions.hooks.webflow import WebflowHook

        offsets: list[timedelta] = []
        for destination in destinations:
            api = self.project.destination(destination)
            try:
                probe = WebflowHook(destination).probe()
            except Unavailable as error:
                self.log.warning("%s The push will try again.", error)
                continue
            # The contract names POST alone, so a proxy before the API may refuse HEAD although the token is good.
            if probe.status in (401, 403):
                WebflowHook(destination).check_token()
            if probe.clock_offset is not None:
                offsets.append(probe.clock_offset)
                if probe.clock_offset:
                    self.log.warning("the clock of %s is %s away from ours", api.url, probe.clock_offset)
        return min(offsets, default=None)

    def _addresses(self, destinations: Sequence[str]) -> dict[str, dict[str, str]]:
        """Where the conversions go, by destination; the log tells it."""
        found: dict[str, dict[str, str]] = {}
        for destination in destinations:
            api = self.project.destination(destination)
            found[destination] = {"url": api.url, "customer_id": api.customer_id}
            what = "rehearsal, nothing is sent: conversions would go" if self.config.delivery.is_rehearsal else "conversions go"
            self.log.info("%s to %s for customer ID %s (connection %s)", what, api.url, api.customer_id, destination)
        return found

    def _hidden(self, sources: Sequence[str]) -> str | None:
        """Which connections of Airflow's database others of the same name hide, as far as the scheduler has told of them."""
        from webflow_conversions.hooks.connections import connection_named

        told = Variable.get(scheduler.VARIABLE, default=None, deserialize_json=True) or {}
        names = [self.ledger_conn_id, *self.project.connections(sources)]
        found = scheduler.hidden(told, {name: connection_named(name) for name in names if name in told.get("connections", {})})
        if found is not None:
            self.log.warning("%s.", found)  # Before the token is tried, which may be that of the other one.
        return found

    def _check_queries(self, run: Run) -> None:
        """Refuse a query that cannot work; a warehouse that is away is for the extraction to try again."""
        for query in self.project.queries(run.sources, run.window):
            try:
                query.build().check()
            except Unavailable as error:
                self.log.warning("%s", error)

    def _check_goals(self, context: Context, run: Run) -> None:
        """Tell of event names that no goal of the site has. If the goals cannot be read, the run goes on without."""
        from webflow_conversions.pipeline.causes import Cause

        try:
            difference = self.project.goals_difference(run.sources, now())
        except ConversionsError as error:
            self.log.warning("%s The event names are not compared with the goals.", error)
            return
        self._hint(context, run, Cause.GOALS_DIFFER, difference)


def _flag(name: str, given: Any) -> bool:
    """A switch of the form, also as the text that a template makes of it.

    :raises Unusable: if it is neither on nor off: taken for on, it would go past the guards, or send nothing.
    """
    match given:
        case bool() | 0 | 1:
            return bool(given)
        case None | "":
            return False
        case "True" | "true":
            return True
        case "False" | "false" | "None":
            return False
        case _:
            raise Unusable(f"{name} is {given!r}, which is neither true nor false: write one of these.")


def _names(given: Any) -> list[str] | None:
    """The names of sources of the form, of which there may be none.

    :raises Unusable: if they are no texts.
    """
    if not given:
        return None
    names = [given] if isinstance(given, str) else given
    if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
        return list(names)
    raise Unusable(f"sources is {given!r}, which is no list of names: write it like ['shop', 'crm'].")


def _plain(moment: datetime) -> datetime:
    """Airflow's moments are pendulum's, whose differences are no timedeltas."""
    in_utc = moment.astimezone(UTC)
    return datetime.combine(in_utc.date(), in_utc.time(), UTC)
