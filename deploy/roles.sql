-- The roles of the ledger. May be run again and again.
--
--     psql --dbname webflow --file roles.sql              as a superuser, with the two passwords in the environment
--
-- webflow_owner   owns the ledger; exists already. As it, python -m webflow_conversions.ledger migrates, and grants the
--                 others what they need and no more (plugins/webflow_conversions/ledger/sql/migrations/grants.sql)
-- webflow_worker  what tasks log in as: reads and writes rows; cannot create, alter, truncate or drop
-- webflow_page    what the page logs in as: reads all but the source rows, and writes what its buttons need
\set ON_ERROR_STOP on
\getenv worker_password WEBFLOW_WORKER_PASSWORD
\getenv page_password WEBFLOW_PAGE_PASSWORD

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['webflow_worker', 'webflow_page']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
ALTER ROLE webflow_worker PASSWORD :'worker_password';
ALTER ROLE webflow_page PASSWORD :'page_password';

SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database())
\gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO webflow_worker, webflow_page', current_database())
\gexec
-- A chunk is staged in a temporary table before it is merged.
SELECT format('GRANT TEMPORARY ON DATABASE %I TO webflow_worker', current_database())
\gexec

-- Until PostgreSQL 14, everybody may create tables in the schema public.
SELECT 'REVOKE CREATE ON SCHEMA public FROM PUBLIC' FROM pg_namespace WHERE nspname = 'public'
\gexec
CREATE SCHEMA IF NOT EXISTS webflow AUTHORIZATION webflow_owner;
GRANT USAGE ON SCHEMA webflow TO webflow_worker, webflow_page;
