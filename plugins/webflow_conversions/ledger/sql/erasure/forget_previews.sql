-- The results of all dry runs: they name conversions that the ledger may not have, and are kept for a day only.
DELETE FROM webflow.dry_runs
