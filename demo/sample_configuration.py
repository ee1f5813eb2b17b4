"""The sample's configuration in a folder of its own, with its SQL and the queries of visits from Webflow's Data Exports."""

import shutil
from pathlib import Path

from demo.airflow_stack import REPOSITORY

SAMPLE = (REPOSITORY / "include" / "conversions.yaml").read_text(encoding="utf-8")
ATTRIBUTION = """
attribution:
  visits: attribution/webflow_exports.sql
  complete_until: attribution/webflow_exports_until.sql
"""
"""What the sample's configuration needs in addition, so that it judges what will count."""

_SQL = REPOSITORY / "include" / "sql"
_DOMAIN = "'salesforce' AS user_domain"
_DOMAINS = "CASE WHEN visit_user.user_id LIKE '003%' THEN 'salesforce' ELSE 'shop' END AS user_domain"
"""The exports name no domain, and the sample's site calls ``wf.setUserId()`` with two of them."""


def write(folder: Path, text: str = SAMPLE + ATTRIBUTION) -> Path:
    """Write a configuration into an empty folder, with the ``sql/`` folder beside it; returns the file."""
    shutil.copytree(_SQL, folder / "sql")
    for query in (folder / "sql" / "attribution").glob("webflow_exports*.sql"):
        query.write_text(query.read_text(encoding="utf-8").replace(_DOMAIN, _DOMAINS), encoding="utf-8")
    file = folder / "conversions.yaml"
    file.write_text(text, encoding="utf-8")
    return file
