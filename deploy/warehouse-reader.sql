-- A role that reads these tables of the warehouse, and nothing else. May be run again and again.
--
--     psql --dbname WAREHOUSE --set tables='shops, shop_sales, crm.deals, site_users' --file warehouse-reader.sql
--
-- as a superuser or the owner of the tables and their schemas, with the role's password in the environment.
--
-- In a database that was made by PostgreSQL 14 or older, everybody may create tables in the schema public, this role too. Where
-- nobody needs that:   REVOKE CREATE ON SCHEMA public FROM PUBLIC
\set ON_ERROR_STOP on
\getenv reader_password WAREHOUSE_READER_PASSWORD

SELECT 'CREATE ROLE webflow_reader LOGIN'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'webflow_reader')
\gexec
ALTER ROLE webflow_reader PASSWORD :'reader_password';
ALTER ROLE webflow_reader SET default_transaction_read_only = on;

SELECT format('GRANT CONNECT ON DATABASE %I TO webflow_reader', current_database())
\gexec
SELECT DISTINCT format('GRANT USAGE ON SCHEMA %I TO webflow_reader', n.nspname)
FROM unnest(string_to_array(:'tables', ',')) name
JOIN pg_class c ON c.oid = name::regclass
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT has_schema_privilege('webflow_reader', n.oid, 'USAGE')
\gexec
GRANT SELECT ON TABLE :tables TO webflow_reader;
