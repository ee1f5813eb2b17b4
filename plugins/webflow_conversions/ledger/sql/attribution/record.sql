-- Records verdicts. What follows from one (a state, a user) concerns a conversion that is still ready; a push or a person
-- may have been faster. A verdict that changed is told in the history.
WITH recorded AS (
    UPDATE webflow.conversions c
    SET attribution = j.attribution,
        attribution_reason = j.attribution_reason,
        attribution_judged_at = %(now)s,
        visit_id = j.visit_id,
        visit = j.visit,
        minutes_from_activity = j.minutes_from_activity,
        state = CASE WHEN c.state = 'ready' THEN coalesce(j.state, c.state) ELSE c.state END,
        reason = CASE WHEN c.state = 'ready' AND j.state IS NOT NULL THEN j.reason ELSE c.reason END,
        settled_at = CASE WHEN c.state = 'ready' AND j.state = 'rejected' THEN %(now)s ELSE c.settled_at END,
        user_domain = CASE WHEN c.state = 'ready' AND j.user_id IS NOT NULL THEN j.user_domain ELSE c.user_domain END,
        user_id = CASE WHEN c.state = 'ready' AND j.user_id IS NOT NULL THEN j.user_id ELSE c.user_id END,
        run_id = CASE WHEN c.state = 'ready' AND j.state IS NOT NULL THEN %(run_id)s ELSE c.run_id END
    FROM pg_temp.judged j
    WHERE c.id = j.id AND c.forgotten_at IS NULL
    RETURNING c.id, c.attribution, c.attribution_reason, j.was
)
INSERT INTO webflow.history (conversion, what, detail, run_id)
SELECT id, 'judged', concat_ws(' ', attribution, attribution_reason) || ', was ' || was, %(run_id)s
FROM recorded
WHERE was <> attribution
