-- What the roles of deploy/roles.sql may do, where there are such roles.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'webflow_worker') THEN
        GRANT SELECT ON ALL TABLES IN SCHEMA webflow TO webflow_worker;
        GRANT INSERT, UPDATE, DELETE
            ON webflow.conversions, webflow.runs, webflow.extractions, webflow.extracted, webflow.pushes, webflow.destinations,
            webflow.history
            TO webflow_worker;
        GRANT INSERT ON webflow.deployment TO webflow_worker;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'webflow_page') THEN
        GRANT SELECT ON ALL TABLES IN SCHEMA webflow TO webflow_page;
        -- Send again, take back, write off: never what was sent, nor to whom.
        GRANT UPDATE (state, reason, attempts, attempts_in_doubt, failures, retry_at, settled_at, refused_with, push_id)
            ON webflow.conversions TO webflow_page;
        GRANT INSERT ON webflow.history, webflow.actions TO webflow_page;
        GRANT UPDATE (conversions, outcome, run_id) ON webflow.actions TO webflow_page;
    END IF;
END $$
