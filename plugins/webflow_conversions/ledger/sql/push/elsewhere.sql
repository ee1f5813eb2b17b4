-- Other pushes to the destination since this one began: the number that pushes of this run had accepted at their last
-- renewal, and whether an earlier or later push that is alive has claimed rows of this scope.
WITH other AS (
    SELECT
        p.id,
        CASE WHEN p.run = %(run)s THEN (p.counts ->> 'accepted')::bigint END AS accepted,
        {is_alive} AND EXISTS (
            SELECT FROM webflow.conversions c
            WHERE c.state = 'sending' AND c.push_id = p.id
              AND {in_scope}
        ) AS is_at_work
    FROM webflow.pushes p
    WHERE p.destination = %(destination)s AND p.id <> %(push)s
      AND (p.ended_at IS NULL OR p.ended_at > (SELECT started_at FROM webflow.pushes WHERE id = %(push)s))
)
SELECT
    coalesce(sum(accepted), 0)::bigint AS accepted,
    coalesce(bool_or(is_at_work AND id < %(push)s), false) AS has_earlier,
    coalesce(bool_or(is_at_work AND id > %(push)s), false) AS has_later
FROM other
