"""Brings a ledger up to date as its owner, and grants its roles what they need: ``python -m webflow_conversions.ledger``.

Where it is and who asks is said by libpq's variables (``PGHOST``, ``PGUSER``, ``PGPASSWORD``, ``PGDATABASE``, ``PGSSLMODE``).
Only needed where tasks log in as a role that may not create tables (``deploy/roles.sql``); elsewhere plan sees to it.
"""

import logging
import sys

import psycopg2

from webflow_conversions.errors import ConversionsError
from webflow_conversions.ledger.migrations import migrate, migrations
from webflow_conversions.ledger.session import Session

log = logging.getLogger(__name__)


def main() -> None:
    """Apply what is due, and say so."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    session = Session(lambda: psycopg2.connect(""))
    try:
        for name in migrate(session):
            log.info("brought the ledger to %s", name)
        session.execute("migrations/grants", {})
    except ConversionsError as error:
        sys.exit(str(error))
    log.info("the ledger is at version %s", migrations()[-1].version)


if __name__ == "__main__":
    main()
