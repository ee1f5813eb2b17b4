-- The conversions of people: of users, of identity keys, and those without a user that have an identity key of one of the
-- users. Nothing is indexed for it, so it reads the whole table.
WITH of_user AS MATERIALIZED (
    SELECT c.id, c.identity_key
    FROM webflow.conversions c
    WHERE (c.user_domain, c.user_id) IN (SELECT * FROM unnest(%(user_domains)s::text[], %(user_ids)s::text[]))
), keys AS MATERIALIZED (
    SELECT identity_key, false AS is_of_user FROM unnest(%(identity_keys)s::text[]) AS given (identity_key)
    UNION
    SELECT identity_key, true FROM of_user WHERE identity_key IS NOT NULL
)
SELECT
    c.id, c.source, c.event_name, c.conversion_id, c.action_id, c.action_timestamp_ms, c.value, c.identity_key, c.user_domain,
    c.user_id, c.state, c.reason
FROM webflow.conversions c
WHERE c.forgotten_at IS NULL
  AND (
      c.id IN (SELECT id FROM of_user)
      OR EXISTS (SELECT FROM keys s WHERE (NOT s.is_of_user OR c.user_id IS NULL) AND webflow.is_same_key(c.action_id, s.identity_key, c.identity_key))
  )
ORDER BY c.id
