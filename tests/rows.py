"""A row of the ledger as a test says it is."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from tests.night import DESTINATION, Night


def put(night: Night, state: str, conversion_id: str = "c1", **columns: Any) -> int:
    """Write a conversion of an hour ago straight into the ledger; its number."""
    row: dict[str, Any] = {
        "destination": DESTINATION,
        "source": "sales",
        "event_name": "offline-purchase",
        "conversion_id": conversion_id,
        "action_id": f"{DESTINATION}/sales/offline-purchase/{conversion_id}",
        "action_timestamp_ms": int((night.clock.at - timedelta(hours=1)).timestamp() * 1000),
        "value": Decimal("149.99"),
        "user_domain": "crm",
        "user_id": "72349876",
        "state": state,
        "first_seen_at": night.clock.at,
        "run_id": "earlier",
        **columns,
    }
    night.sql("INSERT INTO webflow.destinations (destination) VALUES (%s) ON CONFLICT DO NOTHING", DESTINATION)
    names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    ((number,),) = night.sql(f"INSERT INTO webflow.conversions ({names}) VALUES ({marks}) RETURNING id", *row.values())
    return int(number)
