-- A run that is cleared from plan on reads its sources again: what it read before then does not count any more. By the order
-- in which extractions began, since each machine has its own clock.
ALTER TABLE webflow.runs ADD COLUMN last_extraction_before bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN webflow.runs.last_extraction_before IS
    'The last extraction of the run when plan opened it anew; only those after it count.';
