-- The conversions that a filter finds, in another order; found is their number. direction is 1 for ascending, -1 for descending.
SELECT id, place * %(direction)s AS place, reason, count(*) OVER () AS found
FROM (
    SELECT
        id, reason,
        CASE %(sort)s
            WHEN 'happened' THEN action_timestamp_ms
            WHEN 'value' THEN value
            WHEN 'settled' THEN extract(epoch FROM settled_at)
            WHEN 'state' THEN array_position(%(states)s::text[], state)
        END AS place
    FROM {found} found
) placed
ORDER BY place * %(direction)s NULLS LAST, CASE WHEN %(sort)s = 'state' THEN reason END NULLS LAST, id DESC
LIMIT %(most)s OFFSET %(skipped)s
