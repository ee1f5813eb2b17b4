-- Removes the person from conversions: what stays is the action ID, the state, the moment and the value, so that none is sent
-- again, and the counts stay. What waits is withdrawn. What is in doubt is written off, since a request of it may have left.
WITH judged AS (
    SELECT c.id, c.state, {is_in_doubt} AS is_in_doubt FROM webflow.conversions c WHERE c.id = ANY (%(ids)s)
), forgotten AS (
    UPDATE webflow.conversions c
    SET state = CASE WHEN j.is_in_doubt THEN 'rejected' WHEN j.state IN ('ready', 'held', 'future') THEN 'withdrawn' ELSE c.state END,
        reason = CASE WHEN j.is_in_doubt THEN 'written_off' WHEN j.state IN ('ready', 'held', 'future') THEN 'forgotten' ELSE c.reason END,
        attempts = c.attempts + (j.state = 'sending' AND c.push_id IS NOT NULL)::integer,
        attempts_in_doubt = c.attempts_in_doubt + (j.state = 'sending' AND c.push_id IS NOT NULL)::integer,
        settled_at = CASE WHEN j.state IN ('ready', 'held', 'future', 'sending') THEN %(now)s ELSE c.settled_at END,
        push_id = CASE WHEN j.state <> 'sending' THEN c.push_id END,
        retry_at = NULL,
        conversion_id = NULL,
        identity_key = NULL,
        user_domain = NULL,
        user_id = NULL,
        detail = NULL,
        trouble = NULL,
        visit_id = NULL,
        visit = {without_times},
        forgotten_at = %(now)s
    FROM judged j
    WHERE c.id = j.id
    RETURNING c.id
)
INSERT INTO webflow.history (conversion, at, what) SELECT id, %(now)s, 'forgotten' FROM forgotten
