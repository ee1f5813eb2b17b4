-- What other pushes to the destination do, or did since this one began: what those of this run had accepted, as they told when
-- they last renewed their lease; and whether any that is at work has claimed rows of this scope.
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
