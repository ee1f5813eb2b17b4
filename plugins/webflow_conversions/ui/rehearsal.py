"""Rehearsals on the page: whether nothing is sent at this moment, and what the run that is shown would have sent."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow.configuration import conf

from webflow_conversions.configuration import ENVIRONMENT_VARIABLE, ConfigurationFile, default_path
from webflow_conversions.errors import ConversionsError, Unusable
from webflow_conversions.ledger.overview import LastMode, OverviewData, last_mode
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.ui.conversion import payload
from webflow_conversions.ui.dag import DAG_ID
from webflow_conversions.ui.ledger import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """What every page says above all else while nothing is sent, or nothing was."""

    headline: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsedSource:
    """What a rehearsal would have sent of a source, and the payloads that would have left first, user IDs shortened."""

    source: str
    amount: Amount
    payloads: Sequence[Mapping[str, Any]]


def asked_for(planned_with: str | None) -> bool | None:
    """Whether the configuration asks for a rehearsal; None where this machine has no file that can be read.

    The API server may have another folder of Dags than the tasks, or none: what the last run was planned with comes first.

    :param planned_with: the path of the last run's file; None if there was no run.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE) or planned_with
    try:
        file = ConfigurationFile(Path(named) if named else default_path(conf.get_mandatory_value("core", "dags_folder")))
    except Unusable:
        return None
    return file.configuration.delivery.is_rehearsal


def is_rehearsal() -> bool:
    """Whether the next run sends nothing: by the configuration, or as the last run where it is not known."""
    last = _last_mode()
    asked = asked_for(last.config_path if last else None)
    return bool(last and last.was_rehearsal) if asked is None else asked


def band() -> Band | None:
    """The band at this moment; None in live operation."""
    last = _last_mode()
    return band_of(asked_for(last.config_path), last.was_rehearsal) if last else band_of(asked_for(None), None)


def _last_mode() -> LastMode | None:
    """How the last run was to send; None if there is none, or the ledger is away."""
    try:
        with reading() as session:
            return last_mode(session, DAG_ID)
    except ConversionsError:
        return None


def band_of(asked: bool | None, was_rehearsal: bool | None) -> Band | None:
    """The band by the configuration and by the last run, each None where it is not known."""
    if asked or (asked is None and was_rehearsal):
        return Band(
            headline="Rehearsal: nothing is sent to Webflow."
            if was_rehearsal is not False
            else "Rehearsal: from the next run on, nothing is sent to Webflow.",
            sentence="Runs do all else on schedule; what they would send stays ready until it is 2 days old. To go live, set "
            "delivery.mode: live in the configuration: the next run sends what is still due, once.",
        )
    if was_rehearsal:
        return Band(
            headline="The last run was a rehearsal: it sent nothing.",
            sentence="The configuration says live by now: the next run sends what is still due, once.",
        )
    return None


def rehearsed(data: OverviewData) -> list[RehearsedSource]:
    """What the run that is shown would have sent; nothing for a live run, or one that has not ended."""
    run, found = data.shown, []
    for source in run.sources if run is not None else ():
        amount = run.would_send(source) if run is not None else None
        if run is None or amount is None:
            continue
        first = [data.first_to_send[number] for number in run.first_to_send(source) if number in data.first_to_send]
        shown = [
            payload(one, address.customer_id, with_user_ids=False)
            for one in first
            if (address := run.addresses.get(one.destination)) is not None
        ]
        found.append(RehearsedSource(source=source, amount=amount, payloads=[one for one in shown if one is not None]))
    return found
