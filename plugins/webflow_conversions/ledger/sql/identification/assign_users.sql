-- Gives waiting conversions the users that were found for them: without one they are held, with one that has a reason rejected.
WITH assigned AS (
    UPDATE webflow.conversions c
    SET user_domain = i.user_domain,
        user_id = i.user_id,
        state = CASE WHEN i.reason IS NULL THEN 'ready' WHEN i.reason = 'unknown_user' THEN 'held' ELSE 'rejected' END,
        reason = i.reason,
        settled_at = CASE WHEN i.reason <> 'unknown_user' THEN %(now)s END,
        run_id = %(run_id)s,
        failures = 0,
        -- Another user is another question; user_before is null where it is the same one, or the first.
        attribution = CASE WHEN i.user_before IS NULL THEN c.attribution END,
        attribution_reason = CASE WHEN i.user_before IS NULL THEN c.attribution_reason END,
        attribution_judged_at = CASE WHEN i.user_before IS NULL THEN c.attribution_judged_at END,
        visit_id = CASE WHEN i.user_before IS NULL THEN c.visit_id END,
        visit = CASE WHEN i.user_before IS NULL THEN c.visit END,
        minutes_from_activity = CASE WHEN i.user_before IS NULL THEN c.minutes_from_activity END
    FROM pg_temp.identified i
    WHERE c.id = i.id AND c.state IN ('held', 'ready')
    RETURNING c.id, c.user_id, i.user_before
)
INSERT INTO webflow.history (conversion, what, detail, run_id)
SELECT
    id,
    CASE WHEN user_id IS NULL THEN 'user_gone' ELSE 'user_changed' END,
    format('user %%s, was %%s', webflow.shortened(user_id), webflow.shortened(user_before)),
    %(run_id)s
FROM assigned
WHERE user_before IS NOT NULL
