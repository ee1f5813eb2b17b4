-- Rejected, expired or withdrawn conversions that were settled before a moment and kept their people then, since they were dated
-- ahead and might go out again; since the last time (place) they have grown too old for that.
SELECT id
FROM webflow.conversions
WHERE state IN ('rejected', 'expired', 'withdrawn')
  AND action_timestamp_ms >= %(place)s
  AND action_timestamp_ms < %(oldest_ms)s
  AND settled_at < %(before)s
  AND (identity_key NOT LIKE 'sha256:%%' OR user_id NOT LIKE 'sha256:%%')
LIMIT %(rows)s
