-- The databases of docker-compose.yaml, each with an owner of its own, who cannot see the other. May be run again and again.
--
--     psql --dbname postgres --file databases.sql         as a superuser, with the two passwords in the environment
\set ON_ERROR_STOP on
\getenv airflow_password AIRFLOW_DB_PASSWORD
\getenv owner_password WEBFLOW_OWNER_PASSWORD

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['airflow', 'webflow_owner']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
ALTER ROLE airflow PASSWORD :'airflow_password';
ALTER ROLE webflow_owner PASSWORD :'owner_password';

SELECT format('CREATE DATABASE %I OWNER %I ENCODING ''UTF8'' TEMPLATE template0', name, owner)
FROM (VALUES ('airflow', 'airflow'), ('webflow', 'webflow_owner')) AS wanted (name, owner)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name)
\gexec
REVOKE ALL ON DATABASE airflow, webflow FROM PUBLIC;
