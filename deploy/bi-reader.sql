-- A role for BI tools and dbt: it reads the ledger's reports (docs/reports.md), and nothing else. May be run again and again.
--
--     psql --dbname webflow --file bi-reader.sql         as a superuser, with the role's password in the environment
--
-- Then python -m webflow_conversions.ledger, run as the ledger's owner, grants it the reports, and does so again with each release.
\set ON_ERROR_STOP on
\getenv bi_password WEBFLOW_BI_PASSWORD

SELECT 'CREATE ROLE webflow_bi LOGIN'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'webflow_bi')
\gexec
ALTER ROLE webflow_bi PASSWORD :'bi_password';
ALTER ROLE webflow_bi SET default_transaction_read_only = on;
-- An open transaction keeps the ledger's dead rows from being cleared away, so a dashboard that was left open must not hold one.
ALTER ROLE webflow_bi SET statement_timeout = '5min';
ALTER ROLE webflow_bi SET idle_in_transaction_session_timeout = '1min';
-- A report takes no second core from a night.
ALTER ROLE webflow_bi SET max_parallel_workers_per_gather = 0;

SELECT format('GRANT CONNECT ON DATABASE %I TO webflow_bi', current_database())
\gexec
