-- SQLite. The conversions of the chunk that an earlier one had: does the new row say the same, is it better in the order of
-- rules/versions.py, how many source rows said each, and the money that each says.
SELECT
    c.id,
    (a.said_action_timestamp_ms, a.said_value, a.said_identity_key, a.said_detail)
        IS (c.said_action_timestamp_ms, c.said_value, c.said_identity_key, c.said_detail) AS is_alike,
    (
        a.rank, coalesce(a.said_action_timestamp_ms, 9e18), coalesce(a.said_value, 9e18),
        a.said_identity_key IS NULL, coalesce(a.said_identity_key, ''), coalesce(a.said_detail, '')
    ) < (
        c.rank, coalesce(c.said_action_timestamp_ms, 9e18), coalesce(c.said_value, 9e18),
        c.said_identity_key IS NULL, coalesce(c.said_identity_key, ''), coalesce(c.said_detail, '')
    ) AS is_better,
    a.alike,
    a.said_value AS value,
    c.alike AS alike_before,
    c.said_value AS value_before
FROM arrived a
CROSS JOIN conversions c ON c.action_id = a.action_id
