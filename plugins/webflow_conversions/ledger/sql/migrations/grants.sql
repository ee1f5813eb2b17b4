-- What the roles of deploy/roles.sql may do, where there are such roles.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'webflow_worker') THEN
        GRANT SELECT ON ALL TABLES IN SCHEMA webflow TO webflow_worker;
        GRANT INSERT, UPDATE, DELETE
            ON webflow.conversions, webflow.runs, webflow.extractions, webflow.extracted, webflow.pushes, webflow.destinations,
            webflow.history, webflow.hashed_people, webflow.readback, webflow.dry_runs
            TO webflow_worker;
        GRANT INSERT ON webflow.deployment TO webflow_worker;
        -- Retention and webflow-conversions forget: the end of an entry, and a name in it; never who acted, when and how.
        GRANT DELETE, UPDATE (filter) ON webflow.actions TO webflow_worker;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'webflow_page') THEN
        GRANT SELECT ON ALL TABLES IN SCHEMA webflow TO webflow_page;
        -- Send again, take back, write off: never what was sent, nor to whom.
        GRANT UPDATE (state, reason, attempts, attempts_in_doubt, failures, retry_at, settled_at, refused_with, push_id)
            ON webflow.conversions TO webflow_page;
        GRANT INSERT ON webflow.history, webflow.actions TO webflow_page;
        GRANT UPDATE (conversions, outcome, run_id) ON webflow.actions TO webflow_page;
        -- The page needs the identity keys of conversions, for those who may act; what else was read is for tasks alone. A right to
        -- the whole table would include it.
        REVOKE SELECT ON webflow.extracted FROM webflow_page;
        EXECUTE (
            SELECT format('GRANT SELECT (%%s) ON webflow.extracted TO webflow_page', string_agg(quote_ident(column_name), ', '))
            FROM information_schema.columns
            WHERE table_schema = 'webflow' AND table_name = 'extracted' AND column_name NOT IN ('identity_key', 'was')
        );
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'webflow_bi') THEN
        GRANT USAGE ON SCHEMA webflow TO webflow_bi;
        GRANT SELECT
            ON webflow.report_conversions, webflow.report_runs, webflow.report_run_sources, webflow.report_readback, webflow.daily_summary
            TO webflow_bi;
    END IF;
END $$
