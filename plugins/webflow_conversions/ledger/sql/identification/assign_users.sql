UPDATE webflow.conversions c
SET user_domain = i.user_domain,
    user_id = i.user_id,
    state = CASE WHEN i.reason IS NULL THEN 'ready' ELSE 'rejected' END,
    reason = i.reason,
    settled_at = CASE WHEN i.reason IS NOT NULL THEN %(now)s END,
    run_id = %(run_id)s,
    failures = 0
FROM pg_temp.identified i
WHERE c.id = i.id AND c.state = 'held'
