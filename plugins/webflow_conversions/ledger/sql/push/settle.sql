-- Records the outcomes of claimed rows, except rows that this push no longer owns.
-- trouble and http_status are those of the last attempt alone; an outcome without both is of no attempt.
WITH outcome AS (
    SELECT * FROM unnest(
        %(ids)s::bigint[], %(states)s::text[], %(reasons)s::text[], %(troubles)s::text[], %(statuses)s::smallint[],
        %(attempts)s::integer[], %(doubts)s::integer[], %(failures)s::integer[], %(retry_seconds)s::float8[], %(sent_at)s::float8[]
    ) AS o (id, state, reason, trouble, http_status, attempts, doubts, failures, retry_seconds, sent_at)
), settled AS (
    UPDATE webflow.conversions c
    SET state = o.state,
        reason = CASE WHEN o.state = 'expired' AND c.attempts_in_doubt > 0 THEN 'expired_in_doubt' ELSE o.reason END,
        trouble = CASE WHEN o.trouble IS NULL AND o.http_status IS NULL THEN c.trouble ELSE o.trouble END,
        http_status = CASE WHEN o.trouble IS NULL AND o.http_status IS NULL THEN c.http_status ELSE o.http_status END,
        attempts = c.attempts + o.attempts,
        attempts_in_doubt = c.attempts_in_doubt + o.doubts,
        failures = c.failures + o.failures,
        retry_at = clock_timestamp() + make_interval(secs => o.retry_seconds),
        sent_at = coalesce(to_timestamp(o.sent_at), c.sent_at),
        settled_at = CASE WHEN o.state IN ('accepted', 'rejected', 'expired') THEN clock_timestamp() END,
        refused_with = CASE WHEN o.state = 'rejected' THEN %(fingerprint)s END,
        push_id = CASE WHEN o.state <> 'sending' THEN c.push_id END
    FROM outcome o
    WHERE c.id = o.id AND c.state = 'sending' AND c.push_id = %(push)s
    RETURNING c.id, c.state, c.attempts
), noted AS (
    INSERT INTO webflow.history (conversion, what, http_status, detail, run_id)
    SELECT o.id, CASE WHEN o.doubts > 0 THEN 'in_doubt' ELSE 'attempt_failed' END, o.http_status, o.trouble, %(run_id)s
    FROM outcome o
    JOIN settled s ON s.id = o.id
    WHERE o.attempts + o.failures > 0 AND o.state <> 'accepted'
)
SELECT count(*) FROM settled
