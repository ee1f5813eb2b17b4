"""Which Airflow deployment a ledger belongs to: the first that plans a run on it.

Two on one ledger would take each other's runs for their own, since Airflow names runs by time.
"""

import uuid

from webflow_conversions.errors import Unusable
from webflow_conversions.ledger.session import Session

VARIABLE = "webflow_deployment"
"""The Airflow Variable that holds a deployment's ID: it survives restarts, upgrades and new machines, as the connections do."""


def belong_to(session: Session, deployment: str | None) -> str:
    """Let the ledger belong to this deployment if it has none.

    :param deployment: the ID of this deployment; None if it was never given one.
    :return: the ID of this deployment from now on.
    :raises Unusable: if the ledger belongs to another one.
    """
    mine = deployment or str(uuid.uuid4())
    session.execute("deployment/begin", {"id": mine})
    (owner,) = session.fetch("deployment/owner", {})
    if owner.id != mine:
        raise Unusable(
            f"The ledger belongs to another Airflow deployment, since {owner.since:%Y-%m-%d}: give this one a ledger of its own, "
            f"or, if it takes that one's place, set its Airflow Variable {VARIABLE} to {owner.id}."
        )
    return mine


def server(session: Session) -> str:
    """Which server the ledger's connection leads to, in words.

    :raises Unavailable: if it does not answer.
    """
    (row,) = session.fetch("deployment/server", {})
    return f"PostgreSQL {row.version}, database {row.database}, role {row.role}"
