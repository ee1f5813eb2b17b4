-- Puts hashes in place of identity keys and user IDs, and takes away which they were before, and the visit's ID and times. The key is salted with the action
-- ID, since it is only compared with that of the same source row: webflow.is_same_key(). A user ID is not, so that people find
-- the conversions of a user. A conversion that may go out again, if a person wants it to, keeps its user.
WITH hashed AS (
    UPDATE webflow.conversions c
    SET identity_key = CASE
            WHEN c.identity_key LIKE 'sha256:%%' THEN c.identity_key
            ELSE webflow.hashed_key(c.action_id, c.identity_key)
        END,
        user_id = {hashed_user_id},
        visit_id = NULL,
        visit = {without_times}
    WHERE c.id = ANY (%(ids)s)
      AND num_nonnulls(c.identity_key, c.user_id) > 0
      AND (c.state = 'accepted' OR c.state IN ('rejected', 'expired', 'withdrawn')
           AND (c.action_timestamp_ms IS NULL OR c.action_timestamp_ms < %(oldest_ms)s))
    RETURNING c.id
), without_people AS (
    UPDATE webflow.history
    SET detail = NULL
    WHERE conversion = ANY (ARRAY(SELECT id FROM hashed)) AND what IN ('corrected', 'returned', 'user_changed', 'user_gone') AND detail IS NOT NULL
)
SELECT count(*) AS conversions FROM hashed
