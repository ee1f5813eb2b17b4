-- Which runs may stand for their night. The runs until now did not say of which sources the configuration had: those on
-- schedule took them all, and one by hand is whole if it left out none of the scheduled run before it.
ALTER TABLE webflow.runs ADD COLUMN is_whole boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN webflow.runs.is_whole IS
    'It was to send all that was due: of every source, of the whole 2 days; no dry run, no backfill.';

UPDATE webflow.runs r
SET is_whole = NOT dry_run
    AND run_type <> 'backfill'
    AND window_end - window_start >= interval '48 hours'
    AND (
        run_type = 'scheduled'
        OR sources @> coalesce(
            (
                SELECT before.sources FROM webflow.runs before
                WHERE before.dag_id = r.dag_id AND before.run_type = 'scheduled' AND before.id < r.id
                ORDER BY before.id DESC
                LIMIT 1
            ),
            sources
        )
    );
