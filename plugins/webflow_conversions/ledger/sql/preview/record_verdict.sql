-- SQLite. A verdict, and what it changes.
UPDATE conversions
SET attribution = :attribution,
    attribution_reason = :attribution_reason,
    visit = :visit,
    minutes_from_activity = :minutes_from_activity,
    state = coalesce(:state, state),
    reason = coalesce(:reason, reason),
    user_domain = coalesce(:user_domain, user_domain),
    user_id = coalesce(:user_id, user_id)
WHERE id = :id
