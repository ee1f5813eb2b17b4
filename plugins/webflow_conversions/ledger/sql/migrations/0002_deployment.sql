-- Which Airflow this ledger belongs to, since two on one ledger would take each other's runs for their own.
CREATE TABLE webflow.deployment (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    id      text NOT NULL,
    since   timestamptz NOT NULL DEFAULT now()
);

COMMENT ON COLUMN webflow.deployment.id IS 'The Airflow Variable webflow_deployment of the Airflow that plans its runs; at most one row.';
