-- Tells the history of each conversion that this extraction changed what the source, or known_users, says now.
INSERT INTO webflow.history (conversion, what, detail, run_id)
SELECT
    id,
    CASE
        WHEN was_withdrawn THEN 'returned'
        WHEN differs THEN 'corrected'
        WHEN user_id IS NULL THEN 'user_gone'
        ELSE 'user_changed'
    END,
    nullif(detail, ''),
    %(run_id)s
FROM (
    SELECT
        c.id,
        c.user_id,
        b.state = 'withdrawn' AND c.state <> 'withdrawn' AS was_withdrawn,
        has_another_key OR (c.action_timestamp_ms, c.value, c.detail) IS DISTINCT FROM (b.action_timestamp_ms, b.value, b.detail)
            AS differs,
        has_another_user,
        concat_ws('; ',
            CASE WHEN c.action_timestamp_ms IS DISTINCT FROM b.action_timestamp_ms
                 THEN format(
                     'time %%s, was %%s', coalesce(c.action_timestamp_ms::text, 'none'), coalesce(b.action_timestamp_ms::text, 'none')
                 ) END,
            CASE WHEN c.value IS DISTINCT FROM b.value
                 THEN format('value %%s, was %%s', coalesce(c.value::text, 'none'), coalesce(b.value::text, 'none')) END,
            CASE WHEN has_another_key AND b.identity_key LIKE 'sha256:%%' THEN 'another identity key'
                 WHEN has_another_key
                 THEN format('key %%s, was %%s', webflow.shortened(c.identity_key), webflow.shortened(b.identity_key)) END,
            CASE WHEN has_another_user
                 THEN format('user %%s, was %%s', webflow.shortened(c.user_id), webflow.shortened(b.user_id)) END,
            CASE WHEN c.detail IS DISTINCT FROM b.detail THEN c.detail END
        ) AS detail
    FROM webflow.extracted e
    JOIN webflow.conversions c ON c.id = e.conversion
    CROSS JOIN LATERAL jsonb_to_record(e.was) AS b (
        state text, action_timestamp_ms bigint, value numeric, identity_key text, detail text, user_domain text, user_id text
    )
    -- Only a hash may be left of the key and the user before.
    CROSS JOIN LATERAL (
        SELECT
            NOT webflow.is_same_key(c.action_id, c.identity_key, b.identity_key) AS has_another_key,
            coalesce(b.user_id NOT LIKE 'sha256:%%', false)
                AND (c.user_domain, c.user_id) IS DISTINCT FROM (b.user_domain, b.user_id) AS has_another_user
    ) k
    WHERE e.extraction = %(extraction)s AND e.was IS NOT NULL
) changed
WHERE was_withdrawn OR differs OR has_another_user
